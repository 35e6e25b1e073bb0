"""The command line in this process, and as a program; one demo whose ledger was kept."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from tui.main import app

TENGE = str(Path(sys.executable).with_name("tenge"))
PASSPHRASE = "a passphrase that nobody prints"
Run = Callable[..., "Outcome"]


@dataclass(frozen=True)
class Outcome:
    """How a command ended."""

    status: int
    out: str
    err: str

    def json(self) -> Any:
        return json.loads(self.out)

    def code(self) -> str:
        """The stable code of a refusal in JSON."""
        data = self.json()
        assert data["ok"] is False
        return str(data["error"]["code"])


@pytest.fixture
def tenge() -> Run:
    """``tenge("scenario", "list")`` in this process; ``TENGE_...`` variables by keyword."""

    def run(*arguments: object, **variables: str) -> Outcome:
        done = CliRunner(env={"COLUMNS": "200", **variables}).invoke(app, [str(a) for a in arguments])
        if done.exception is not None and not isinstance(done.exception, SystemExit):
            raise done.exception
        return Outcome(done.exit_code, done.stdout, done.stderr)

    return run


@pytest.fixture
def program() -> Run:
    """The same as a program of its own, without a terminal."""

    def run(*arguments: object, **variables: str) -> Outcome:
        known = {name: value for name, value in os.environ.items() if not name.startswith("TENGE_")}
        done = subprocess.run(
            [TENGE, *map(str, arguments)],
            check=False,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=60,
            env=known | {"COLUMNS": "200", **variables},
        )
        return Outcome(done.returncode, done.stdout, done.stderr)

    return run


@pytest.fixture(scope="session")
def market(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The directory of a played demo; nobody writes to it."""
    directory = tmp_path_factory.mktemp("market") / "kept"
    done = CliRunner().invoke(app, ["demo", "--keep", str(directory), "--json"])
    assert done.exit_code == 0, done.output
    return directory


@pytest.fixture
def copied(market: Path, tmp_path: Path) -> Path:
    """The demo's ledger, to be tampered with."""
    return shutil.copytree(market / "ledger", tmp_path / "ledger")
