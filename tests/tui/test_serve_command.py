"""`tenge ledger serve`: who may, when it answers, how it ends; and that a kept scenario goes on."""

from __future__ import annotations

import shutil
import signal
import stat
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbdc.service.key_files import read_key
from tests.tui.conftest import Run
from tests.tui.kept import PASSPHRASE, play, run, serving, started

START = "2026-09-01T08:00:00+05:00"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play(tmp_path_factory.mktemp("town"), START)


@pytest.fixture
def town(played: Path) -> Iterator[Path]:
    """A copy, under a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="tenge-") as directory:
        yield Path(shutil.copytree(played, Path(directory) / "t"))


def test_a_kept_play_leaves_the_keys_as_founding_a_ledger_does(town: Path) -> None:
    keys = town / "ledger" / "keys"
    assert stat.S_IMODE(keys.stat().st_mode) == 0o700
    for role in ("governor", "operator", "bank-altyn"):
        assert stat.S_IMODE((keys / f"{role}.pem").stat().st_mode) == 0o600
    governor = read_key(keys / "governor.pem", PASSPHRASE)
    assert governor.public.hex() == (town / "ledger" / "root.pub").read_text().strip()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_it_says_when_it_is_ready_and_ends_cleanly(town: Path, number: int) -> None:
    socket = town / "ledger" / "ledger.sock"
    with started("ledger", "serve", town / "ledger", TENGE_AT="last") as serve:
        assert serve.process.stdout is not None
        line = serve.process.stdout.readline()
        assert line.startswith(f"Serving Digital Tenge on {socket}, ledger time 2026-09-01T03:00:00Z")
        assert stat.S_IMODE(socket.stat().st_mode) == 0o600
        done = serve.stop(number)
    assert (done.status, done.err) == (0, "")
    assert not socket.exists()


def test_one_ledger_is_served_once(town: Path) -> None:
    with serving(town / "ledger", town / "s"):
        second = run("ledger", "serve", town / "ledger", "--socket", town / "s2", "--json")
        assert (second.status, second.code()) == (1, "ledger_busy")


def test_a_founded_ledger_is_served(tmp_path: Path, town: Path) -> None:
    assert run("ledger", "init", tmp_path / "mine", "--name", "Mine [x]").status == 0
    with started("ledger", "serve", tmp_path / "mine", "--socket", town / "s") as serve:
        assert serve.process.stdout is not None
        assert serve.process.stdout.readline().startswith("Serving Mine [x] on ")
        assert serve.stop().status == 0


def test_what_falls_due_comes_back_by_itself(town: Path) -> None:
    """Nobody spent dana's money offline; long after, the ledger has returned it, and the wallet knows."""
    with serving(town / "ledger", town / "s", "--at", "2027-01-01T00:00:00+05:00"):
        report = run("purse", "sync", town / "wallets" / "dana", "--ledger", town / "s", "--at", "last", "--json")
        assert (report.json()["offline"], report.json()["refused"]) == ("0.00", [])
        shown = run("purse", "show", town / "wallets" / "dana", "--ledger", town / "s", "--at", "last", "--json").json()
        assert (shown["online"], shown["offline"]) == ("2300.00", "0.00")
        assert shown["ledger_time"] == "2026-12-31T19:00:00Z"
    assert run("ledger", "verify", town / "ledger").status == 0


def test_a_clock_far_ahead_is_warned_of_before_anything_is_swept(town: Path) -> None:
    with started(
        "ledger", "serve", town / "ledger", "--socket", town / "s", "--at", "2026-09-20T00:00:00+05:00"
    ) as early:
        assert early.process.stdout is not None
        early.process.stdout.readline()
        assert "warning" not in early.stop().err  # nothing is due yet
    with started(
        "ledger", "serve", town / "ledger", "--socket", town / "s", "--at", "2027-01-01T00:00:00+05:00"
    ) as late:
        assert late.process.stdout is not None
        late.process.stdout.readline()
        said = late.stop().err
        assert said.startswith(
            "warning: The clock is 121 days ahead of the last entry (2026-09-01T03:00:00Z). So 2 tokens"
        )
        assert "--at last" in said


# --- refusals ----------------------------------------------------------------------------------


def refused(tenge: Run, town: Path, *options: object, passphrase: str = PASSPHRASE) -> str:
    done = tenge("ledger", "serve", town / "ledger", *options, "--json", TENGE_PASSPHRASE=passphrase)
    assert done.status == 1
    assert passphrase not in done.out.replace("/keys/", "")
    assert not (town / "ledger" / "ledger.sock").exists()
    return done.code()


def test_a_wrong_passphrase_opens_no_key(tenge: Run, town: Path) -> None:
    assert refused(tenge, town, passphrase="nobody knows this") == "wrong_password"


def test_without_the_operators_key_nothing_is_served(tenge: Run, town: Path) -> None:
    (town / "ledger" / "keys" / "operator.pem").unlink()
    assert refused(tenge, town) == "io_error"


def test_the_governors_key_is_not_the_operators(tenge: Run, town: Path) -> None:
    keys = town / "ledger" / "keys"
    (keys / "operator.pem").write_bytes((keys / "governor.pem").read_bytes())
    assert refused(tenge, town) == "role_refused"
    assert run("ledger", "status", town / "ledger").status == 0


@pytest.mark.parametrize(("content", "code"), [(b"no key", "malformed"), (bytes(20_000), "too_large")])
def test_what_is_no_key_file_is_refused(tenge: Run, town: Path, content: bytes, code: str) -> None:
    (town / "ledger" / "keys" / "operator.pem").write_bytes(content)
    assert refused(tenge, town) == code


def test_another_network_is_not_served(tenge: Run, town: Path) -> None:
    (town / "ledger" / "root.pub").write_text("11" * 32)
    assert refused(tenge, town) == "ledger_corrupt"


@pytest.mark.parametrize("at", ["soon", "2026-09-01", "2026-09-01T08:00:00"])
def test_a_time_states_its_offset(tenge: Run, town: Path, at: str) -> None:
    assert refused(tenge, town, "--at", at) == "malformed"


def test_a_path_that_is_too_long_for_a_socket_is_refused(tenge: Run, town: Path) -> None:
    assert refused(tenge, town, "--socket", town / ("x" * 120)) == "unreachable"
    assert run("ledger", "verify", town / "ledger").status == 0
