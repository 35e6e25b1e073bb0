"""`tenge ledger`: found, look at, verify, audit and export, with stable codes and exit statuses."""

from __future__ import annotations

import json
import re
import shutil
import sqlite3
import stat
import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, load_pem_private_key

from cbdc.amounts import parse_tenge
from cbdc.formats.ed25519 import SigningKey
from cbdc.log import entries, merkle
from tests.tui.conftest import PASSPHRASE, TENGE, Run

LOOKING = [("status",), ("verify",), ("audit",), ("export",)]

# --- init --------------------------------------------------------------------------------------


def test_a_new_network_is_founded_and_sound(tenge: Run, program: Run, tmp_path: Path) -> None:
    home = tmp_path / "mine"
    done = program("ledger", "init", home, "--name", "Test Tenge", "--json", TENGE_PASSPHRASE=PASSPHRASE)
    assert done.status == 0, done.err
    facts = done.json()
    assert facts["ok"] is True
    assert (home / "root.pub").read_text().strip() == facts["root"]
    assert facts["vkey"].startswith("tenge/Test-Tenge+")
    assert tenge("ledger", "verify", home, "--json").json()["entries"] == 1


def test_keys_are_encrypted_and_their_owners_only_and_never_printed(tenge: Run, tmp_path: Path) -> None:
    done = tenge("ledger", "init", tmp_path / "mine", TENGE_PASSPHRASE=PASSPHRASE)
    assert done.status == 0
    root = (tmp_path / "mine" / "root.pub").read_text().strip()
    publics = {}
    for role in ("governor", "operator"):
        file = tmp_path / "mine" / "keys" / f"{role}.pem"
        assert stat.S_IMODE(file.stat().st_mode) == 0o600
        pem = file.read_bytes()
        assert b"BEGIN ENCRYPTED PRIVATE KEY" in pem
        key = load_pem_private_key(pem, PASSPHRASE.encode())
        assert isinstance(key, Ed25519PrivateKey)
        seed = key.private_bytes(Encoding.Raw, PrivateFormat.Raw, NoEncryption())
        publics[role] = SigningKey(seed).public.hex()
        for written in (done.out, done.err, (tmp_path / "mine" / "ledger.db").read_bytes().hex()):
            assert seed.hex() not in written
        with pytest.raises(ValueError):  # about the password, or, one time in 256, about what it decrypts to
            load_pem_private_key(pem, b"another")
    assert publics["governor"] == root
    assert PASSPHRASE not in done.out + done.err


def test_without_a_terminal_nobody_is_asked(program: Run, tmp_path: Path) -> None:
    done = program("ledger", "init", tmp_path / "mine", "--json")
    assert (done.status, done.code()) == (1, "malformed")
    assert "TENGE_PASSPHRASE" in done.out
    assert not (tmp_path / "mine").exists()


def test_nothing_is_founded_over_a_ledger(tenge: Run, copied: Path) -> None:
    before = (copied / "ledger.db").read_bytes()
    done = tenge("ledger", "init", copied, "--json", TENGE_PASSPHRASE=PASSPHRASE)
    assert (done.status, done.code()) == (1, "already_there")
    assert (copied / "ledger.db").read_bytes() == before


def test_a_refused_name_leaves_room_for_a_better_one(tenge: Run, tmp_path: Path) -> None:
    bad = tenge("ledger", "init", tmp_path / "mine", "--name", "x" * 49, "--json", TENGE_PASSPHRASE=PASSPHRASE)
    assert (bad.status, bad.code()) == (1, "too_large")
    assert tenge("ledger", "init", tmp_path / "mine", TENGE_PASSPHRASE=PASSPHRASE).status == 0


# --- looking -----------------------------------------------------------------------------------


def test_status_shows_size_checkpoint_and_supply(tenge: Run, market: Path) -> None:
    facts = tenge("ledger", "status", market / "ledger", "--json").json()
    origin, size, *_ = facts["checkpoint"].split("\n")
    assert (origin, int(size)) == ("tenge/Digital-Tenge", facts["entries"])
    assert facts["supply"] == "6700000.00"
    shown = tenge("ledger", "status", market / "ledger").out
    assert f"{facts['entries']} entries" in shown
    assert facts["checkpoint"].split("\n")[2] in shown


def test_verify_says_what_it_established(tenge: Run, program: Run, market: Path) -> None:
    facts = tenge("ledger", "verify", market / "ledger", "--json").json()
    assert facts["ok"] is True
    assert all(facts["invariants"].values())
    assert facts["signatures"] > facts["entries"] / 2
    assert re.fullmatch("[0-9a-f]{64}", facts["state_root"])
    done = program("ledger", "verify", market / "ledger" / "ledger.db")
    assert (done.status, done.err) == (0, "")
    assert "The ledger is sound." in done.out
    assert facts["log_root"] in done.out


def test_audit_adds_up(tenge: Run, market: Path) -> None:
    facts = tenge("ledger", "audit", market / "ledger", "--json").json()
    assert set(facts) == {"pool", "participant", "purpose"}
    pools = {name: parse_tenge(amount) for name, amount in facts["pool"].items()}
    assert pools["online"] + pools["offline pool"] + pools["reserves"] == pools["issued"] - pools["redeemed"]
    assert sum(map(parse_tenge, facts["participant"].values())) == pools["online"]
    assert facts["purpose"] == {"school-meals": "13550.00"}, "9 000 online and 4 550 in the pupil's purse"
    shown = tenge("ledger", "audit", market / "ledger").out
    assert all(name in shown for name in (*facts["pool"], *facts["participant"]))


def test_export_writes_every_entry_with_its_leaf(tenge: Run, market: Path, tmp_path: Path) -> None:
    printed = tenge("ledger", "export", market / "ledger").out
    assert tenge("ledger", "export", market / "ledger", "--out", tmp_path / "log.jsonl").out == ""
    assert (tmp_path / "log.jsonl").read_text() == printed
    lines = [json.loads(line) for line in printed.splitlines()]
    assert [line["index"] for line in lines] == list(range(len(lines)))
    assert lines[0]["kind"] == "genesis"
    for line in lines:
        data = bytes.fromhex(line["entry"])
        assert entries.decode(data)[0] == line["time_s"]
        assert merkle.leaf_hash(data).hex() == line["leaf"]
    status = tenge("ledger", "status", market / "ledger", "--json").json()
    assert lines[-1]["checkpoint"] == status["checkpoint"]


OWN_FILES = ("ledger.db", "ledger.db-wal", "ledger.db-shm", "ledger.db.lock", "root.pub", "keys/operator.pem")


@pytest.mark.parametrize("own", OWN_FILES)
@pytest.mark.parametrize("force", [True, False])
def test_export_never_writes_to_the_ledgers_own_files(tenge: Run, copied: Path, own: str, force: bool) -> None:
    before = {path.name: path.read_bytes() for path in copied.rglob("*") if path.is_file()}
    done = tenge("ledger", "export", copied, "--out", copied / own, *(["--force"] if force else []))
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("io_error: ")
    assert {path.name: path.read_bytes() for path in copied.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize("link", ["symlink_to", "hardlink_to"])
def test_export_knows_the_ledger_under_another_name(tenge: Run, copied: Path, tmp_path: Path, link: str) -> None:
    getattr(tmp_path / "log.jsonl", link)(copied / "ledger.db")
    before = (copied / "ledger.db").read_bytes()
    assert tenge("ledger", "export", copied, "--out", tmp_path / "log.jsonl", "--force").status == 1
    assert (copied / "ledger.db").read_bytes() == before


def test_export_replaces_a_file_only_with_force(tenge: Run, market: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    file.write_text("something dear")
    done = tenge("ledger", "export", market / "ledger", "--out", file)
    assert done.status == 1
    assert done.err.startswith("already_there: there is a file already")
    assert file.read_text() == "something dear"
    assert tenge("ledger", "export", market / "ledger", "--out", file, "--force").status == 0
    assert file.read_text() == tenge("ledger", "export", market / "ledger").out
    assert list(tmp_path.iterdir()) == [file]


def test_export_in_json_sums_up_what_it_wrote(tenge: Run, market: Path, tmp_path: Path) -> None:
    file = tmp_path / "log.jsonl"
    facts = tenge("ledger", "export", market / "ledger", "--out", file, "--json").json()
    assert facts == {"ok": True, "entries": len(file.read_text().splitlines()), "path": str(file)}
    assert tenge("ledger", "export", market / "ledger", "--out", file, "--json").code() == "already_there"
    assert tenge("ledger", "export", market / "ledger", "--json").out == file.read_text()


def test_a_broken_export_leaves_the_file_that_was_there(tenge: Run, copied: Path, tmp_path: Path) -> None:
    db = sqlite3.connect(copied / "ledger.db")
    db.execute("UPDATE entries SET entry = x'00' WHERE idx = 9")
    db.commit()
    db.close()
    folder = tmp_path / "out"
    folder.mkdir()
    (folder / "log.jsonl").write_text("something dear")
    assert tenge("ledger", "export", copied, "--out", folder / "log.jsonl", "--force").status == 1
    assert [path.read_text() for path in folder.iterdir()] == ["something dear"]


# --- refusing ----------------------------------------------------------------------------------

TAMPERINGS = {
    "an entry's byte": (
        "UPDATE entries SET entry = CAST(substr(entry, 1, length(entry) - 1) || x'00' AS BLOB) WHERE idx = 9",
        "entry 9",
    ),
    "an entry taken out": ("DELETE FROM entries WHERE idx = 12", "entry 12"),
    "money from nowhere": ("UPDATE state SET value = x'00' WHERE owner IS NOT NULL", "state row"),
    "a checkpoint": ("UPDATE checkpoints SET note = replace(note, 'tenge/', 'tange/')", "checkpoint 1"),
    "a spent token unspent": ("DELETE FROM consumed", "consumed row"),
}


@pytest.fixture(params=TAMPERINGS.values(), ids=TAMPERINGS)
def place(request: pytest.FixtureRequest, copied: Path) -> str:
    """Where the copied ledger was tampered with."""
    sql, place = request.param
    db = sqlite3.connect(copied / "ledger.db")
    assert db.execute(sql).rowcount > 0
    db.commit()
    db.close()
    return str(place)


def test_verify_refuses_a_tampered_file_and_names_the_place(tenge: Run, copied: Path, place: str) -> None:
    done = tenge("ledger", "verify", copied)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("ledger_corrupt: ")
    assert f"where={place}" in done.err
    done = tenge("ledger", "verify", copied, "--json")
    assert (done.status, done.json()["ok"]) == (1, False)
    assert done.json()["error"]["where"].startswith(place)


def test_a_tampered_entry_is_a_corrupt_ledger_in_json_too(tenge: Run, copied: Path) -> None:
    db = sqlite3.connect(copied / "ledger.db")
    db.execute("UPDATE checkpoints SET note = replace(note, 'tenge/', 'tange/')")
    db.commit()
    db.close()
    assert tenge("ledger", "verify", copied, "--json").code() == "ledger_corrupt"


def test_verify_refuses_a_file_that_is_no_database(tenge: Run, copied: Path) -> None:
    for file in copied.glob("ledger.db*"):
        file.unlink()
    (copied / "ledger.db").write_bytes(b"not a database " * 500)
    done = tenge("ledger", "verify", copied, "--json")
    assert (done.status, done.code()) == (1, "ledger_corrupt")


def test_the_kept_file_alone_is_the_ledger(tenge: Run, market: Path, tmp_path: Path) -> None:
    shutil.copy(market / "ledger" / "ledger.db", tmp_path)
    shutil.copy(market / "ledger" / "root.pub", tmp_path)
    assert tenge("ledger", "verify", tmp_path).status == 0


def test_verify_trusts_the_pinned_root_only(tenge: Run, copied: Path) -> None:
    root = (copied / "root.pub").read_text().strip()
    other = SigningKey(bytes(32)).public.hex()
    assert tenge("ledger", "verify", copied, "--root", root).status == 0
    done = tenge("ledger", "verify", copied, "--root", other)
    assert done.status == 1
    assert done.err.startswith("ledger_corrupt: ")
    (copied / "root.pub").unlink()
    done = tenge("ledger", "verify", copied, "--json")
    assert (done.status, done.code()) == (1, "ledger_corrupt")
    assert "--root" in done.out


@pytest.mark.parametrize("root", ["", "00", "zz" * 32, "00" * 33])
def test_a_root_key_is_64_hex_digits(tenge: Run, copied: Path, root: str) -> None:
    done = tenge("ledger", "verify", copied, "--root", root, "--json")
    assert (done.status, done.code()) == (1, "malformed")


@pytest.mark.parametrize("command", LOOKING, ids=lambda command: command[0])
def test_looking_where_there_is_no_ledger_is_refused(tenge: Run, tmp_path: Path, command: tuple[str, ...]) -> None:
    done = tenge("ledger", *command, tmp_path)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("io_error: there is no ledger here")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("command", LOOKING, ids=lambda command: command[0])
def test_looking_changes_nothing(tenge: Run, copied: Path, command: tuple[str, ...]) -> None:
    before = (copied / "ledger.db").read_bytes()
    assert tenge("ledger", *command, copied).status == 0
    assert (copied / "ledger.db").read_bytes() == before


# --- usage -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "arguments",
    [
        ("juggle",),
        ("ledger", "juggle"),
        ("ledger", "verify"),
        ("ledger", "init"),
        ("ledger", "status", "somewhere", "else"),
        ("demo", "--keep"),
        ("demo", "--colour"),
        ("scenario", "run"),
        ("bench", "--transfers", "3"),
        ("bench", "--transfers", "many"),
    ],
    ids=" ".join,
)
def test_a_usage_error_ends_with_status_2(tenge: Run, arguments: tuple[str, ...]) -> None:
    done = tenge(*arguments)
    assert (done.status, done.out) == (2, "")
    assert "Error" in done.err
    assert "Traceback" not in done.err
    at = -1 if arguments[-1].startswith("--") else len(arguments)  # an option that lacks its value would take it
    done = tenge(*arguments[:at], "--json", *arguments[at:])
    assert (done.status, done.code(), done.err) == (2, "usage", "")


def test_a_refusal_as_a_program(program: Run, tmp_path: Path) -> None:
    done = program("ledger", "verify", tmp_path, "--json")
    assert (done.status, done.code(), done.err) == (1, "io_error", "")


def test_nothing_is_founded_among_other_files(tenge: Run, tmp_path: Path) -> None:
    (tmp_path / "letters").touch()
    done = tenge("ledger", "init", tmp_path, "--json", TENGE_PASSPHRASE=PASSPHRASE)
    assert (done.status, done.code()) == (1, "already_there")
    assert [path.name for path in tmp_path.iterdir()] == ["letters"]


def test_what_standard_output_does_not_take_is_told_beside_it(market: Path) -> None:
    for arguments in (["ledger", "audit", market / "ledger", "--json"], ["scenario", "list"]):
        with Path("/dev/full").open("w") as full:
            done = subprocess.run([TENGE, *arguments], check=False, stdout=full, stderr=subprocess.PIPE, text=True)
        assert (done.returncode, done.stderr.count("\n")) == (1, 1)
        assert done.stderr.startswith("io_error: ")
        assert "No space left on device" in done.stderr


@pytest.mark.parametrize("as_json", [True, False])
def test_a_directory_that_is_a_file_is_told_with_its_path(tenge: Run, tmp_path: Path, as_json: bool) -> None:
    file = tmp_path / "file"
    file.touch()
    done = tenge("ledger", "init", file, *(["--json"] if as_json else []), TENGE_PASSPHRASE=PASSPHRASE)
    assert done.status == 1
    if as_json:
        assert done.code() == "io_error"
        assert str(file) in done.json()["error"]["path"]
    else:
        assert done.err.startswith("io_error: ")
        assert str(file) in done.err


def test_an_export_to_a_directory_is_told_with_its_path(tenge: Run, market: Path, tmp_path: Path) -> None:
    done = tenge("ledger", "export", market / "ledger", "--out", tmp_path)
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("io_error: ")
    assert str(tmp_path) in done.err
