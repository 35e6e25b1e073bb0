"""Acknowledged means durable: the ledger's process is killed at any moment, and what it had acknowledged is there.

A kill by signal shows that nothing is held back in the process. That the disk has it too is SQLite's promise under
``synchronous=FULL``, which is asserted here and not tried.
"""

from __future__ import annotations

import hashlib
import random
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

import cbor2
import pytest

from cbdc.log import entries
from cbdc.store.sqlite import SqliteStore
from tests.faults import loader
from tests.faults.stage import NETWORK_NAME, PATIENCE_S, Stage
from tests.support import seed

ROOT = Path(__file__).parents[2]
LEDGERS, KILLS_PER_LEDGER = 10, 5
COINS = 2048
WINDOWS = (1, 8, 64, 256)
"""Transfers on their way at once: from groups of one to large ones."""
DEEPEST = 300
"""Acknowledgements in one process before the latest kills."""


@dataclass
class Loader:
    """A running loader process and what it has said so far."""

    process: subprocess.Popen[bytes]
    out: IO[bytes]
    said: list[bytes] = field(default_factory=list)

    def listen(self, records: int) -> None:
        """Wait until it has said that much."""
        while len(self.said) < records:
            said = self.out.read(loader.RECORD_BYTES)
            assert said, f"the loader ended by itself after {len(self.said)} records"
            self.said.append(said)

    def kill(self) -> None:
        self.process.send_signal(signal.SIGKILL)

    def acknowledged(self) -> dict[bytes, bytes]:
        """Everything it said before its death, which must have been by SIGKILL: message id -> hash of the receipt."""
        assert self.process.wait(PATIENCE_S) == -signal.SIGKILL
        with self.out:
            rest = self.out.read()
        assert len(rest) % loader.RECORD_BYTES == 0
        self.said += [rest[at : at + loader.RECORD_BYTES] for at in range(0, len(rest), loader.RECORD_BYTES)]
        assert loader.FINISHED not in self.said, "it had no work left when it was killed"
        return {said[:32]: said[32:] for said in self.said if said not in (loader.OPENING, loader.READY)}


@dataclass
class Bench:
    """A ledger file to be killed over, and the transfers to load it with."""

    stage: Stage
    messages: list[bytes]
    ids: dict[bytes, int]
    receipts: dict[bytes, bytes] = field(default_factory=dict)
    """Hashes of all the receipts that any process gave for it, by message id."""

    def start(self, window: int, die_at: str | None = None) -> Loader:
        """A loader with all the transfers that are not in the log yet."""
        job = {
            "network": self.stage.world.network,
            "name": NETWORK_NAME,
            "operator_seed": seed("operator"),
            "now_s": self.stage.world.now_s,
            "messages": self.messages[self.logged() :],
        }
        path = self.stage.path.with_suffix(".job")
        path.write_bytes(cbor2.dumps(job))
        arguments = [str(self.stage.path), str(path), str(window), *([die_at] if die_at else [])]
        command = [sys.executable, "-m", "tests.faults.loader", *arguments]
        process = subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE)
        assert process.stdout is not None
        return Loader(process, process.stdout)

    def logged(self) -> int:
        """How many of the transfers are in the log; they must be the first ones, each once, in order."""
        store = SqliteStore.read(self.stage.path)
        in_log = [entries.decode(data)[1] for _, data, _ in store.entries()][self.stage.founding :]
        store.close()
        assert in_log == self.messages[: len(in_log)]
        return len(in_log)

    def survey(self, acknowledged: dict[bytes, bytes]) -> None:
        """Reopen the file: nothing acknowledged by this or an earlier process is lost or different."""
        self.receipts |= acknowledged
        with self.stage.open() as ledger:
            size = ledger.store.size()
            again = {message_id: ledger.submit(self.messages[self.ids[message_id]]) for message_id in self.receipts}
            for message_id, answer in again.items():
                receipt = answer.result(PATIENCE_S)
                assert hashlib.sha256(receipt.encode()).digest() == self.receipts[message_id], "another receipt"
                self.stage.verify_receipt(self.messages[self.ids[message_id]], receipt)
            assert ledger.store.size() == size, "an acknowledged transfer was carried out once more"
        logged = self.logged()
        assert logged >= len(self.receipts)
        assert self.stage.verify().entries == self.stage.founding + logged
        queries = self.stage.queries()
        assert len(queries.tokens_of([self.stage.bek.key.public])) == logged
        queries.close()


@pytest.fixture(scope="module")
def loaded(tmp_path_factory: pytest.TempPathFactory) -> Bench:
    stage = Stage.build(tmp_path_factory.mktemp("sigkill") / "ledger.db", COINS)
    messages = stage.pays(COINS)
    return Bench(stage, messages, {stage.message_id(raw): index for index, raw in enumerate(messages)})


@pytest.fixture
def bench(loaded: Bench, tmp_path: Path) -> Bench:
    return Bench(loaded.stage.copy_to(tmp_path / "ledger.db"), loaded.messages, loaded.ids)


@dataclass(frozen=True)
class Moment:
    """When to kill: after that many acknowledgements (0: while the ledger is being opened), and a little later."""

    window: int
    acknowledged: int
    delay_s: float


def moments(number: int) -> list[Moment]:
    """The kills over one ledger file: one at its opening, the others at work, half of those deep in the load."""
    dice = random.Random(f"sigkill {number}")
    found = []
    for kill in range(KILLS_PER_LEDGER):
        if kill == number % KILLS_PER_LEDGER:
            found.append(Moment(dice.choice(WINDOWS), 0, dice.uniform(0, 0.03)))
        else:
            depth = 1 + dice.randrange(DEEPEST if kill % 2 else DEEPEST // 10)
            found.append(Moment(dice.choice(WINDOWS), depth, dice.uniform(0, 0.003)))
    return found


@pytest.mark.slow
@pytest.mark.parametrize("number", range(LEDGERS))
def test_acknowledged_transfers_survive_a_kill_at_a_random_moment(bench: Bench, number: int) -> None:
    for moment in moments(number):
        running = bench.start(moment.window)
        running.listen(1 if moment.acknowledged == 0 else 2 + moment.acknowledged)
        time.sleep(moment.delay_s)
        running.kill()
        acknowledged = running.acknowledged()
        assert len(acknowledged) >= moment.acknowledged
        bench.survey(acknowledged)


def test_the_moments_are_all_over_the_load() -> None:
    """The test above is worth something only if it kills often, early and late."""
    depths = sorted(moment.acknowledged for number in range(LEDGERS) for moment in moments(number))
    assert len(depths) == 50
    assert depths.count(0) == LEDGERS
    assert sum(depths) > 2500
    assert depths[LEDGERS] < 5
    assert depths[-1] > DEEPEST * 0.9


@pytest.mark.parametrize(
    "instant",
    ["before-commit", "BEGIN", "INSERT INTO checkpoints", "INSERT OR REPLACE INTO meta", "COMMIT", "after-commit"],
)
def test_acknowledged_transfers_survive_a_kill_at_the_worst_instants(bench: Bench, instant: str) -> None:
    running = bench.start(window=8, die_at=instant)
    bench.survey(running.acknowledged())
    logged = bench.logged()
    if instant == "after-commit":
        assert logged > len(bench.receipts), "the third group is in the log, though nobody was told"
    else:
        assert logged == len(bench.receipts), "two groups are in the log, and nothing of the third"
    assert logged > 0


def test_the_store_asks_for_every_commit_to_reach_the_disk(stage: Stage) -> None:
    store = SqliteStore.open(stage.path)
    pragma = {name: store._db.execute(f"PRAGMA {name}").fetchone()[0] for name in ("synchronous", "journal_mode")}
    store.close()
    assert pragma == {"synchronous": 2, "journal_mode": "wal"}
