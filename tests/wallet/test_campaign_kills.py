"""A campaign killed at any moment, again and again, and resumed: everybody on the list is paid exactly once."""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from cbdc.service.server import LedgerServer
from tests.wallet.school import SPONSOR, School
from wallet.scenarios.setting import OneProcess

ROOT = Path(__file__).parents[2]
PUPILS, KILLS = 1_000, 12
AMOUNT_TIYN = 2_50
FUNDS_TIYN = 2 * PUPILS * AMOUNT_TIYN


@pytest.fixture(scope="module")
def school(tmp_path_factory: pytest.TempPathFactory) -> Iterator[School]:
    made = School.found(tmp_path_factory.mktemp("school"), PUPILS, funds_tiyn=FUNDS_TIYN)
    yield made
    made.town.close()


@pytest.fixture(scope="module")
def socket(school: School) -> Iterator[Path]:
    setting = school.town.economy.setting
    assert isinstance(setting, OneProcess)
    server = LedgerServer(setting.ledger, setting.queries)
    with tempfile.TemporaryDirectory(prefix="tenge-") as short:
        server.listen(Path(short) / "s")
        yield Path(short) / "s"
    server.close()


def granting(school: School, socket: Path, path: Path) -> subprocess.Popen[str]:
    directory = school.town.device(SPONSOR).directory
    arguments = [str(directory), str(socket), school.purpose.hex(), str(path)]
    command = [sys.executable, "-m", "tests.wallet.granter", *arguments]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def killed(process: subprocess.Popen[str], chance: random.Random) -> list[str]:
    """What it said until it was killed: some lines on, at once or some milliseconds into what comes next."""
    assert process.stdout is not None
    said = [process.stdout.readline().strip() for _ in range(chance.randint(1, 8))]
    time.sleep(chance.choice([0, chance.random() * 0.01]))
    process.kill()
    rest, _ = process.communicate(timeout=60)
    assert process.returncode == -signal.SIGKILL
    return [*said, *rest.split()]


def test_whenever_it_is_killed_everybody_is_paid_once(school: School, socket: Path) -> None:
    path = school.write(school.rows("2.50"))
    school.town[SPONSOR].close()  # the process opens its files
    chance, port = random.Random(2604), school.town.port
    ends: set[str] = set()
    paid = 0
    for _ in range(KILLS):
        ends.add(killed(granting(school, socket, path), chance)[-1])
        granted = school.granted(port)
        assert set(granted.values()) <= {0, AMOUNT_TIYN}, "somebody was paid twice"
        before, paid = paid, sum(1 for amount_tiyn in granted.values() if amount_tiyn)
        assert before <= paid < PUPILS, "killed behind the end"
    assert ends >= {"signed", "paid"}
    for _ in range(2):  # once more behind the end
        out, _ = granting(school, socket, path).communicate(timeout=120)
        assert out.split()[-1] == "done"
        assert set(school.granted(port).values()) == {AMOUNT_TIYN}
    assert out.split() == ["checked", "done"]
    sponsor = next(iter(port.purposes().values())).sponsor
    rest_tiyn = sum(token.amount_tiyn for token in port.tokens_of([sponsor]).values())
    assert rest_tiyn == FUNDS_TIYN - PUPILS * AMOUNT_TIYN
