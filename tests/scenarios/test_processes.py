"""Scenarios with a process for each wallet, each secure element and the ledger: the same report, and nobody cheats."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import Any

import pytest

from tests.scenarios.plays import BANK, CANTEEN, DANA, ERLAN, EVERYBODY_OFFLINE, FUNDED, MEALS, SHOP, pay, step
from tui.commands.scenario import shipped
from wallet.scenarios import runner, schema
from wallet.scenarios.report import Report
from wallet.scenarios.setting import Founding, ManyProcesses, OneProcess

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
