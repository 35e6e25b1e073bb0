"""Scenarios with a process for each wallet, each secure element and the ledger: the same report, and nobody cheats."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cbdc.errors import Unreachable
from cbdc.formats.ed25519 import SigningKey
from cbdc.service.ledger import Identity
from tests.scenarios.plays import BANK, CANTEEN, DANA, ERLAN, EVERYBODY_OFFLINE, FUNDED, MEALS, SHOP, pay, step
from tests.support import NOW_S, seed
from tui.commands.scenario import shipped
from wallet.child import ChildProcess
from wallet.remote import RemotePort
from wallet.scenarios import runner, schema
from wallet.scenarios.chance import ManualClock, SeededRandom
from wallet.scenarios.report import Report
from wallet.scenarios.setting import Founding, ManyProcesses, OneProcess, processes
from wallet.scenarios.setting.ledger_process import OPERATOR_CHANCE

ROOT = Path(__file__).parents[2]
SHIPPED = shipped()
AKIMAT = {"name": "akimat", "bank": "altyn", "kind": "sponsor"}


class Watched(ManyProcesses):
    """Notes what the ledger and the wallets could reach at every offline payment."""

    def __init__(self, founding: Founding) -> None:
        super().__init__(founding)
        self.seen: list[str] = []

    def look(self, _: bytes) -> None:
        """Called when a PAYMENT has left its payer."""
        for name, path in self._paths.items():
            assert path.exists() is (name in self._connected), name
        assert (self.ledger_process_id is None) is (not self._connected)
        self.seen.append("stopped" if self.ledger_process_id is None else "running")

    def processes(self) -> set[int]:
        return {wallet.process_id for wallet in self._wallets.values()}


NEVER_BETWEEN_PURSES = frozenset({"subsidy", "vat_split"})
"""Scenarios of money that needs the ledger for every payment: nothing can move while it is stopped."""


def untimed(report: Report) -> dict[str, Any]:
    data = report.to_json()
    for line in data["steps"]:
        line.pop("ms")
    return data


def play_apart(scenario: schema.Scenario, directory: Path) -> tuple[Report, Watched]:
    made: list[Watched] = []

    def setting(founding: Founding) -> Watched:
        made.append(Watched(founding))
        return made[0]

    def look(bundle: bytes) -> None:
        made[0].look(bundle)

    report = runner.play(scenario, directory, on_payment=look, setting=setting)
    return report, made[0]


@pytest.mark.parametrize("name", sorted(SHIPPED))
def test_a_shipped_scenario_gives_the_same_json_when_everybody_is_a_process(name: str, tmp_path: Path) -> None:
    scenario = schema.read(SHIPPED[name])
    together = runner.play(scenario, tmp_path / "together")
    apart, watched = play_apart(scenario, tmp_path / "apart")
    assert untimed(apart) == untimed(together)
    assert apart.ok
    if name in NEVER_BETWEEN_PURSES:
        assert watched.seen == []
        return
    assert "stopped" in watched.seen, "the ledger was stopped while all were offline, and money moved"
    assert watched.rests > 0


def test_every_wallet_has_its_own_directory_and_process_and_they_end(tmp_path: Path) -> None:
    scenario = schema.parse(
        {"title": "two", "bank": [BANK], "wallet": [DANA, ERLAN], "step": [step("expect", wallet="dana", online="0")]}
    )
    report, watched = play_apart(scenario, tmp_path)
    assert report.ok
    assert len(watched.processes() - {os.getpid()}) == 2
    for name in ("dana", "erlan"):
        assert {"wallet.db", "element.db"} <= {path.name for path in (tmp_path / "wallets" / name).iterdir()}
    for process_id in watched.processes():
        assert not Path(f"/proc/{process_id}").exists()
    assert not watched._sockets.exists()


@pytest.mark.parametrize("at", ["before_commit", "after_commit"])
def test_a_ledger_that_is_killed_in_a_commit_is_started_again_and_nothing_is_paid_twice(at: str) -> None:
    steps = [
        *FUNDED,
        step("crash", at=at),
        pay("dana", "erlan", "100"),
        step("expect", wallet="dana", online="700"),
        step("expect", wallet="erlan", online="100"),
        EVERYBODY_OFFLINE,
        pay("dana", "erlan", "50"),
        step("online", wallets=["dana", "erlan"]),
        step("crash", at=at),
        step("sync", wallets=["erlan"]),
        step("expect", wallet="erlan", offline="50"),
    ]
    wallets = [DANA, ERLAN, SHOP, CANTEEN, AKIMAT]
    tables = {"title": "killed", "bank": [BANK], "wallet": wallets, "purpose": [MEALS], "step": steps}
    scenario = schema.parse(tables)
    with tempfile.TemporaryDirectory() as directory:
        report, watched = play_apart(scenario, Path(directory))
        assert [result for result in report.steps if not result.ok] == []
        together = runner.play(scenario, Path(directory) / "together", setting=OneProcess)
    assert watched.restarts == 2
    assert untimed(report) == untimed(together)


def test_a_crash_waits_for_the_next_commit_even_if_the_ledger_is_stopped_before() -> None:
    everybody = ["dana", "erlan"]
    steps = [
        step("offline", wallets=everybody),
        step("crash", at="after_commit"),
        step("expect", wallet="dana", online="0"),
        step("issue", to="altyn", amount="10"),
        step("expect", bank="altyn", online="10"),
    ]
    scenario = schema.parse({"title": "late", "bank": [BANK], "wallet": [DANA, ERLAN], "step": steps})
    with tempfile.TemporaryDirectory() as directory:
        report, watched = play_apart(scenario, Path(directory))
    assert [result for result in report.steps if not result.ok] == []
    assert (watched.restarts, watched.rests > 0) == (1, True)


# --- a ledger that is killed, and a run that is ended ------------------------------------------


@pytest.fixture
def setting(tmp_path: Path) -> Iterator[Watched]:
    identity = Identity(seed("network"), "test", SigningKey(SeededRandom(1, OPERATOR_CHANCE)(32)))
    made = Watched(Founding(tmp_path / "play", 1, identity, ManualClock(NOW_S)))
    yield made
    made.close()


def kill(setting: Watched) -> None:
    process_id = setting.ledger_process_id
    assert process_id is not None
    os.kill(process_id, signal.SIGKILL)


def comes_back(setting: Watched, restarts: int) -> bool:
    until_s = time.monotonic() + 60
    while time.monotonic() < until_s:
        if setting.restarts >= restarts and setting.ledger_process_id is not None:
            return True
        time.sleep(0.02)
    return False


class Killing:
    """Kills the ledger at the next so many briefings, in the middle of them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.left = 0
        self._real = processes._tell
        monkeypatch.setattr(processes, "_tell", self)

    def __call__(self, ledger: ChildProcess, name: str, *arguments: Any) -> None:
        if name == "crash_next" and self.left:
            self.left -= 1
            os.kill(ledger.process_id, signal.SIGKILL)
        self._real(ledger, name, *arguments)


def test_a_ledger_that_is_killed_while_it_is_started_again_comes_back(
    setting: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    killing = Killing(monkeypatch)
    killing.left = 2
    kill(setting)
    assert comes_back(setting, restarts=1)
    assert killing.left == 0
    kill(setting)
    assert comes_back(setting, restarts=2), "the new one is watched as well"


def test_a_ledger_that_always_dies_is_given_up_with_a_typed_error(
    setting: Watched, monkeypatch: pytest.MonkeyPatch
) -> None:
    killing = Killing(monkeypatch)
    killing.left = 1000
    with pytest.raises(Unreachable, match="dies"):
        setting.crash_next("before_commit")
    with pytest.raises(Unreachable, match="dies"):
        setting.wake()
    killing.left = 0
    setting.wake()
    assert setting.ledger_process_id is not None


def test_a_ledger_that_is_found_dead_is_replaced_by_one_that_knows_the_time(setting: Watched) -> None:
    with setting._gate:  # whoever watches it has to wait
        kill(setting)
        setting.set_time(NOW_S + 5)
        port = RemotePort(setting._own, setting._founding.identity.network, patience_s=5)
        assert port.ledger_time_s() == NOW_S + 5
        port.close()
    assert setting.restarts == 1


def test_a_setting_that_cannot_begin_leaves_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    (tmp_path / "play").write_text("in the way")
    identity = Identity(seed("network"), "test", SigningKey(seed("operator")))
    with pytest.raises(OSError, match="play"):
        ManyProcesses(Founding(tmp_path / "play", 1, identity, ManualClock(NOW_S)))
    assert [path.name for path in tmp_path.iterdir()] == ["play"]


def test_closing_goes_on_whatever_fails_and_once_more_does_nothing(setting: Watched) -> None:
    def fail() -> None:
        raise OSError("cannot be closed")

    setting._ends.callback(fail)
    process_id = setting.ledger_process_id
    with pytest.raises(OSError, match="cannot"):
        setting.close()
    assert not setting._sockets.exists()
    assert not Path(f"/proc/{process_id}").exists()
    setting.close()


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("wallets", [0, 2])
def test_a_run_that_is_ended_leaves_no_file_and_no_process(number: signal.Signals, wallets: int) -> None:
    with tempfile.TemporaryDirectory() as room:
        command = [sys.executable, "-m", "tui.main", "scenario", "run", "market_day", "--processes", "--json"]
        running = subprocess.Popen(
            command,
            env=os.environ | {"TMPDIR": room, "PYTHONPATH": str(ROOT)},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=lambda: signal.signal(signal.SIGINT, signal.default_int_handler),  # noqa: PLW1509 - no threads
        )
        until_s = time.monotonic() + 60
        while len(list(Path(room).glob("*/wallets/*/element*"))) < wallets or not list(Path(room).iterdir()):
            assert time.monotonic() < until_s
            assert running.poll() is None
            time.sleep(0.01)
        running.send_signal(number)
        assert running.wait(60) != 0
        assert list(Path(room).iterdir()) == []
        assert not [line for line in processes_of(room) if line]


def processes_of(room: str) -> list[str]:
    """Command lines in which the directory stands: secure elements have it there."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        with contextlib.suppress(OSError):
            line = path.read_text(errors="replace")
            found += [line] if room in line else []
    return found
