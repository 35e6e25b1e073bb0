"""`python -m tests.fuzz`: what it says without atheris, of a wrong name, and of what it found."""

from __future__ import annotations

import subprocess
import sys
from types import ModuleType

import pytest

from tests.fuzz import __main__ as command
from tests.fuzz.entries import ENTRIES


def run(monkeypatch: pytest.MonkeyPatch, *arguments: str, atheris: ModuleType | None) -> int:
    monkeypatch.setitem(sys.modules, "atheris", atheris)  # None: importing it raises ImportError
    monkeypatch.setattr(sys, "argv", ["tests.fuzz", *arguments])
    return command.main()


def test_without_atheris_it_says_how_to_get_it(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert run(monkeypatch, atheris=None) == 2
    assert "pip install 'atheris>=3.0'" in capsys.readouterr().err


def test_an_unknown_entry_is_named(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    assert run(monkeypatch, "message", "massage", atheris=ModuleType("atheris")) == 2
    assert "no such entry: massage; there are: cbor, message," in capsys.readouterr().err


@pytest.mark.parametrize(("status", "says"), [(0, "cbor: 12 inputs, nothing found"), (77, "cbor: 12 inputs, FOUND")])
def test_every_entry_runs_in_a_process_of_its_own(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], status: int, says: str
) -> None:
    commands: list[list[str]] = []

    def child(arguments: list[str], **_: object) -> subprocess.CompletedProcess[str]:
        commands.append(arguments)
        return subprocess.CompletedProcess(arguments, status, "", "stat::number_of_executed_units: 12\n")

    monkeypatch.setattr(subprocess, "run", child)
    assert run(monkeypatch, "--seconds", "3", atheris=ModuleType("atheris")) == bool(status)
    assert [arguments[-4:] for arguments in commands] == [["--alone", "--seconds", "3", name] for name in ENTRIES]
    assert capsys.readouterr().out.startswith(says)
