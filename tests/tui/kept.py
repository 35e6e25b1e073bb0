"""A small town, played by `tenge scenario run --keep` and left to go on by hand; and real processes for it."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.tui.conftest import TENGE, Outcome

PASSPHRASE = "scenario"
PATIENCE_S = 120
TOWN = """
title = "A small town"
seed = 5
start = "{start}"

[[bank]]
name = "altyn"
reserve = "5 000"

[[wallet]]
name = "dana"
bank = "altyn"

[[wallet]]
name = "erlan"
bank = "altyn"

[[wallet]]
name = "aru"
bank = "altyn"

[[wallet]]
name = "akimat"
bank = "altyn"
kind = "sponsor"

[[wallet]]
name = "canteen"
bank = "altyn"
kind = "merchant"
mcc = "5812"
kato = "750000000"

[[purpose]]
name = "meals"
sponsor = "akimat"
title = {{ en = "Meals" }}
mark = "clears"
expires = "2099-12-31T23:59:59+05:00"
return_to = "akimat"
allow = {{ payee_mcc = ["5812"] }}

[[step]]
do = "issue"
to = "altyn"
amount = "10 000"

[[step]]
do = "fund"
from = "altyn"
to = "dana"
amount = "2 000"

[[step]]
do = "fund"
from = "altyn"
to = "aru"
amount = "200"

[[step]]
do = "fund"
from = "altyn"
to = "akimat"
amount = "500"

[[step]]
do = "grant"
from = "akimat"
to = "dana"
amount = "300"
purpose = "meals"

[[step]]
do = "load"
wallet = "dana"
amount = "1 000"

[[step]]
do = "load"
wallet = "dana"
amount = "200"
purpose = "meals"
"""
"""Dana ends with 1 000 and 100 for meals online, 1 000 and 200 for meals in her purse; all wallets have synced."""


def play(directory: Path, start: str) -> Path:
    """Play the town into ``directory``/kept; that."""
    directory.mkdir(parents=True, exist_ok=True)
    file = directory / "town.toml"
    file.write_text(TOWN.format(start=start))
    done = run("scenario", "run", file, "--keep", directory / "kept", "--json")
    assert done.status == 0, done.out + done.err
    return directory / "kept"


def environment(**variables: str) -> dict[str, str]:
    known = {name: value for name, value in os.environ.items() if not name.startswith("TENGE_")}
    return known | {"COLUMNS": "200", "TENGE_PASSPHRASE": PASSPHRASE, **variables}


def run(*arguments: object, **variables: str) -> Outcome:
    """One command as a process of its own, without a terminal."""
    done = subprocess.run(
        [TENGE, *map(str, arguments)],
        check=False,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        env=environment(**variables),
    )
    assert "Traceback" not in done.stderr, done.stderr
    return Outcome(done.returncode, done.stdout, done.stderr)


@dataclass
class Running:
    """A command that goes on while others run."""

    process: subprocess.Popen[str]

    @property
    def is_over(self) -> bool:
        return self.process.poll() is not None

    def end(self) -> Outcome:
        """Wait until it ends by itself."""
        out, err = self.process.communicate(timeout=PATIENCE_S)
        assert "Traceback" not in err, err
        return Outcome(self.process.returncode, out, err)

    def stop(self, number: int = signal.SIGTERM) -> Outcome:
        self.process.send_signal(number)
        return self.end()

    def kill(self) -> None:
        self.process.kill()
        self.process.communicate(timeout=PATIENCE_S)


@contextmanager
def started(*arguments: object, **variables: str) -> Iterator[Running]:
    """A command in the background; it is not left behind."""
    process = subprocess.Popen(
        [TENGE, *map(str, arguments)],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        env=environment(**variables),
    )
    running = Running(process)
    try:
        yield running
    finally:
        if not running.is_over:
            running.kill()


@contextmanager
def serving(ledger: Path, socket: Path, *options: object, **variables: str) -> Iterator[Running]:
    """`tenge ledger serve`, ready to answer."""
    with started("ledger", "serve", ledger, "--socket", socket, "--json", *options, **variables) as running:
        assert running.process.stdout is not None
        facts = json.loads(_first_object(running))
        assert facts["ok"], facts
        assert facts["socket"] == str(socket)
        yield running


def _first_object(running: Running) -> str:
    """What it prints up to a line that closes an object; a process that says nothing is killed, and the pipe ends."""
    assert running.process.stdout is not None
    text = ""
    for line in running.process.stdout:
        text += line
        if line.rstrip() == "}":
            return text
    raise AssertionError(f"nothing was served: {text}{running.end().err}")


def until(condition: Any, what: str) -> Any:
    """The first true value of a condition."""
    deadline_s = time.monotonic() + PATIENCE_S
    while time.monotonic() < deadline_s:
        found = condition()
        if found:
            return found
        time.sleep(0.05)
    raise AssertionError(f"never: {what}")
