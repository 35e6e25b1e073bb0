"""The encrypted store: what it keeps, what it hides, and what it refuses to open."""

from __future__ import annotations

import sqlite3
import stat
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from nacl.pwhash.argon2id import kdf

from cbdc.errors import FileTrouble, LedgerBusy, TengeError, WalletCorrupt, WrongPassword
from cbdc.formats import cbor
from wallet.vault import QUICK_KDF, KdfCost, Vault

PASSWORD = "correct horse"
SPACE, NAME, VALUE = "planted-space", b"planted-name", "planted-value"


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "deep" / "vault.db"


@pytest.fixture
def vault(path: Path) -> Iterator[Vault]:
    vault = Vault.create(path, PASSWORD, cost=QUICK_KDF)
    yield vault
    vault.close()


def reopened(vault: Vault) -> Vault:
    vault.close()
    return Vault.open(vault.path, PASSWORD)


def changed(vault: Vault, *statements: str) -> Vault:
    """The vault after somebody worked on its file with SQL; ``header`` and ``sealed`` are its tables."""
    vault.close()
    db = sqlite3.connect(vault.path)
    for sql in statements:
        assert db.execute(sql).rowcount > 0, sql
    db.commit()
    db.close()
    return Vault.open(vault.path, PASSWORD)


# --- keeping -----------------------------------------------------------------------------------


def test_records_survive_reopening_sorted_by_name(vault: Vault) -> None:
    for number in (2, 0, 1):
        vault.put("space", bytes([number]), [number, b"\x00", "text", None, {"a": True}])
    vault.put("other", b"\x00", "elsewhere")
    vault.put("space", b"\x01", "replaced")
    vault.drop("space", b"\x02")
    again = reopened(vault)
    assert again.items("space") == [(b"\x00", [0, b"\x00", "text", None, {"a": True}]), (b"\x01", "replaced")]
    assert again.get("other", b"\x00") == "elsewhere"
    assert again.get("space", b"\x02") is None
    assert again.items("never used") == []
    again.close()


def test_what_fails_together_leaves_nothing(vault: Vault) -> None:
    vault.put("space", b"kept", 1)
    with pytest.raises(KeyboardInterrupt), vault.together():
        vault.put("space", b"new", 2)
        vault.put("space", b"kept", 3)
        vault.drop("space", b"kept")
        raise KeyboardInterrupt
    assert vault.items("space") == [(b"kept", 1)]
    with vault.together():
        vault.put("space", b"new", 2)
    again = reopened(vault)
    assert again.items("space") == [(b"kept", 1), (b"new", 2)]
    again.close()


def test_there_is_one_vault_at_a_path(vault: Vault) -> None:
    with pytest.raises(LedgerBusy, match="already"):
        Vault.create(vault.path, PASSWORD, cost=QUICK_KDF)


def test_a_copy_opens_with_the_same_password(vault: Vault, tmp_path: Path) -> None:
    vault.put(SPACE, NAME, VALUE)
    vault.copy_to(tmp_path / "backup" / "vault.db")
    vault.put(SPACE, NAME, "later")
    copy = Vault.open(tmp_path / "backup" / "vault.db", PASSWORD)
    assert copy.get(SPACE, NAME) == VALUE
    copy.close()


# --- hiding ------------------------------------------------------------------------------------


def test_names_values_and_password_are_not_in_the_file(vault: Vault) -> None:
    vault.put(SPACE, NAME, VALUE)
    vault.put(SPACE, b"other", VALUE.encode())
    written = b"".join(file.read_bytes() for file in vault.path.parent.iterdir())
    vault.close()
    written += vault.path.read_bytes()
    for secret in (SPACE, NAME.decode(), VALUE, PASSWORD):
        assert secret.encode() not in written


def test_equal_values_are_sealed_differently(vault: Vault) -> None:
    vault.put(SPACE, b"a", VALUE)
    vault.put(SPACE, b"b", VALUE)
    vault.close()
    boxes = [box for (box,) in sqlite3.connect(vault.path).execute("SELECT box FROM sealed")]
    assert len({box[:12] for box in boxes}) == len({box[12:] for box in boxes}) == 2


def test_the_file_is_its_owners_only(vault: Vault) -> None:
    assert stat.S_IMODE(vault.path.stat().st_mode) == 0o600


def test_repr_shows_the_path_only(vault: Vault) -> None:
    assert repr(vault) == f"Vault({vault.path})"


def test_the_default_cost_is_rfc_9106s_second_recommendation(path: Path) -> None:
    """Section 4: Argon2id, 3 passes, 4 lanes, 2^16 KiB; it stands in the file's header."""
    assert KdfCost() == KdfCost(iterations=3, lanes=4, memory_kib=1 << 16)
    Vault.create(path, PASSWORD).close()
    assert header_of(path)[:3] == [3, 4, 1 << 16]


def test_the_password_opens_the_data_key_by_argon2id(vault: Vault) -> None:
    """Once more with libsodium's Argon2id (which knows one lane only)."""
    vault.close()
    iterations, lanes, memory_kib, salt, wrapped = header_of(vault.path)
    assert (iterations, lanes, memory_kib, len(salt)) == (1, 1, 64, 16)
    key = kdf(32, PASSWORD.encode(), salt, opslimit=iterations, memlimit=memory_kib * 1024)
    assert len(ChaCha20Poly1305(key).decrypt(wrapped[:12], wrapped[12:], b"data key")) == 32


def test_two_vaults_share_neither_salt_nor_key(vault: Vault, tmp_path: Path) -> None:
    other = Vault.create(tmp_path / "other.db", PASSWORD, cost=QUICK_KDF)
    other.close()
    vault.close()
    for mine, theirs in zip(header_of(vault.path)[3:], header_of(other.path)[3:], strict=True):
        assert mine != theirs


def header_of(path: Path) -> list[cbor.Value]:
    db = sqlite3.connect(path)
    ((value,),) = db.execute("SELECT value FROM header").fetchall()
    db.close()
    header: list[cbor.Value] = cbor.decode(value)
    return header


# --- refusing ----------------------------------------------------------------------------------


@pytest.mark.parametrize("password", ["", "correct horsf", "Correct horse", PASSWORD + " "])
def test_a_wrong_password_opens_nothing_and_is_not_repeated(vault: Vault, password: str) -> None:
    vault.put(SPACE, NAME, VALUE)
    vault.close()
    with pytest.raises(WrongPassword) as refused:
        Vault.open(vault.path, password)
    assert not password or password not in str(refused.value)
    again = Vault.open(vault.path, PASSWORD)
    assert again.get(SPACE, NAME) == VALUE
    again.close()


TAMPERINGS = {
    "a byte of a box": "UPDATE sealed SET box = CAST(substr(box, 1, 20) || x'00' || substr(box, 22) AS BLOB)",
    "a box cut short": "UPDATE sealed SET box = substr(box, 1, length(box) - 1)",
    "a nonce": "UPDATE sealed SET box = CAST(zeroblob(12) || substr(box, 13) AS BLOB)",
    "two boxes swapped": (
        "UPDATE sealed SET box = (SELECT other.box FROM sealed AS other WHERE other.name != sealed.name)"
    ),
    "a row under another name": "UPDATE sealed SET name = CAST(name || x'00' AS BLOB)",
}


@pytest.mark.parametrize("sql", TAMPERINGS.values(), ids=TAMPERINGS)
def test_a_changed_swapped_or_moved_row_does_not_open(vault: Vault, sql: str) -> None:
    vault.put(SPACE, b"one", 1)
    vault.put(SPACE, b"two", 2)
    again = changed(vault, sql)
    with pytest.raises(WalletCorrupt):
        again.items(SPACE)
    again.close()


def test_a_row_moved_to_another_space_does_not_open(vault: Vault) -> None:
    vault.put("spent", b"one", 1)
    vault.put("token", b"two", 2)
    again = changed(vault, "UPDATE sealed SET space = (SELECT space FROM sealed ORDER BY rowid DESC LIMIT 1)")
    try:
        with pytest.raises(WalletCorrupt):
            again.items("spent")
            again.items("token")
    finally:
        again.close()


@pytest.mark.parametrize(
    "sql",
    [
        "DELETE FROM header",
        "UPDATE header SET value = x'00'",
        "UPDATE header SET value = x'850101014040'",
        pytest.param(
            "UPDATE header SET value = x'ffff'",
        ),
    ],
)
def test_a_damaged_header_is_named_a_corrupt_wallet(vault: Vault, sql: str) -> None:
    with pytest.raises(WalletCorrupt):
        changed(vault, sql)


def test_what_is_no_vault_is_refused(tmp_path: Path) -> None:
    with pytest.raises(FileTrouble, match="no wallet here"):
        Vault.open(tmp_path / "nothing.db", PASSWORD)
    (tmp_path / "text.db").write_text("not a database " * 100)
    empty = tmp_path / "empty.db"
    empty.touch()
    for file in (tmp_path / "text.db", empty):
        with pytest.raises(WalletCorrupt, match="not a wallet file"):
            Vault.open(file, PASSWORD)


def test_a_wallet_whose_file_cannot_be_written_is_not_called_corrupt(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    Vault.create(tmp_path / "wallet.db", PASSWORD, cost=QUICK_KDF).close()
    connect = sqlite3.connect

    def in_a_read_only_place(path: Path, **options: Any) -> sqlite3.Connection:
        return connect(f"file:{path.parent / 'none' / path.name}?mode=rw", uri=True, **options)

    monkeypatch.setattr(sqlite3, "connect", in_a_read_only_place)
    with pytest.raises(FileTrouble, match="unable to open"):
        Vault.open(tmp_path / "wallet.db", PASSWORD)
    with pytest.raises(FileTrouble, match="unable to open"):  # and the lock was given back
        Vault.open(tmp_path / "wallet.db", PASSWORD)


HOLD = """
import sys
from pathlib import Path
from wallet.vault import Vault
vault = Vault.open(Path(sys.argv[1]), sys.argv[2])
vault.put("space", b"by the other", 1)
print("open", flush=True)
sys.stdin.read()
"""


def test_one_process_at_a_time_and_a_killed_one_lets_go(vault: Vault) -> None:
    vault.close()
    command = [sys.executable, "-c", HOLD, str(vault.path), PASSWORD]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as other:
        assert other.stdout is not None
        assert other.stdout.readline() == "open\n"
        with pytest.raises(LedgerBusy, match="another program"):
            Vault.open(vault.path, PASSWORD)
        other.kill()
    again = Vault.open(vault.path, PASSWORD)
    assert again.get("space", b"by the other") == 1
    again.close()


def test_a_refused_opening_lets_go_of_the_lock(vault: Vault) -> None:
    vault.close()
    for _ in range(2):
        with pytest.raises(TengeError) as refused:
            Vault.open(vault.path, "wrong")
        assert type(refused.value) is WrongPassword
