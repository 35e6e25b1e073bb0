"""A table of named faults: what goes wrong in a ledger's life, and what must be true of it afterwards.

Every fault is one function that plays it on a ledger of its own. Afterwards, whatever it was, the ledger must open
again, pass the audit with its supply exact, and take the next payment.
"""

from __future__ import annotations

import contextlib
import logging
import multiprocessing
import os
import signal
import sqlite3
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future
from pathlib import Path
from unittest import mock

import pytest

from cbdc.errors import BadSignature, FormError, LedgerBusy, LedgerCorrupt, Overloaded, TengeError, Unreachable
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_BATCH, MAX_QUEUED
from cbdc.log import entries
from cbdc.log.receipts import Receipt
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.service import decider, verifiers
from cbdc.service.founding import Governor
from cbdc.service.ledger import Identity, Ledger, LedgerDied
from cbdc.service.verifiers import Outcome
from cbdc.service.writer import NoFaults
from cbdc.state.view import Delta, View
from cbdc.store.base import Batch
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.apply import Entry
from tests.faults.stage import COIN_TIYN, PATIENCE_S, Gate, Recorder, SlowVerifier, Stage, refusal
from tests.support import LATER_S, seed

ROOT = Path(__file__).parents[2]
Fault = Callable[[Stage], None]
FAULTS: list[pytest.param] = []
LAST_COIN = -1
"""The coin that no fault touches: it pays afterwards."""


def named(name: str) -> Callable[[Fault], Fault]:
    """Enter a fault in the table."""

    def enter(fault: Fault) -> Fault:
        FAULTS.append(pytest.param(fault, id=name))
        return fault

    return enter


class OnDemand(NoFaults):
    """Raises an error before or after the next commit, once."""

    def __init__(self, *, before: BaseException | None = None, after: BaseException | None = None) -> None:
        self.before, self.after = before, after

    def before_commit(self) -> None:
        error, self.before = self.before, None
        if error is not None:
            raise error

    def after_commit(self) -> None:
        error, self.after = self.after, None
        if error is not None:
            raise error


def submit_together(ledger: Ledger, gate: Gate, first: bytes, rest: Sequence[bytes]) -> list[Future[Receipt]]:
    """Submit messages; the first one's commit is held and the others wait, until the caller opens the gate."""
    return [gate.hold(ledger, first), *(ledger.submit(raw) for raw in rest)]


# --- the commit fails --------------------------------------------------------------------------


@named("commit raises before anything is written")
def _(stage: Stage) -> None:
    with stage.open(faults=OnDemand(before=OSError("the disk is gone"))) as ledger:
        before = stage.checkpoint()
        assert refusal(ledger.submit(stage.pay(0))).code == "unreachable"
        assert stage.checkpoint() == before
        assert ledger.submit(stage.pay(0)).result(PATIENCE_S).index == stage.founding


@named("commit raises after everything was written")
def _(stage: Stage) -> None:
    with stage.open(faults=OnDemand(after=OSError("the answer got lost"))) as ledger:
        assert refusal(ledger.submit(stage.pay(0))).code == "unreachable"
        receipt = ledger.submit(stage.pay(0)).result(PATIENCE_S)
        assert receipt.index == stage.founding
        stage.verify_receipt(stage.pay(0), receipt)
        assert ledger.submit(stage.pay(1)).result(PATIENCE_S).index == stage.founding + 1
    assert stage.entries() == stage.founding + 2


@named("died before the commit")
def _(stage: Stage) -> None:
    with stage.open(faults=OnDemand(before=LedgerDied())) as ledger:
        assert refusal(ledger.submit(stage.pay(0))).code == "unreachable"
        _is_dead(ledger, stage.pay(1))
    assert stage.entries() == stage.founding
    with stage.open() as ledger:
        assert ledger.submit(stage.pay(0)).result(PATIENCE_S).index == stage.founding


@named("died after the commit: failed but persisted anyway")
def _(stage: Stage) -> None:
    with stage.open(faults=OnDemand(after=LedgerDied())) as ledger:
        assert refusal(ledger.submit(stage.pay(0))).code == "unreachable"
        _is_dead(ledger, stage.pay(1))
    assert stage.entries() == stage.founding + 1
    with stage.open() as ledger:
        receipt = ledger.submit(stage.pay(0)).result(PATIENCE_S)
        assert receipt.index == stage.founding
        stage.verify_receipt(stage.pay(0), receipt)
        assert ledger.submit(stage.pay(0)).result(PATIENCE_S).encode() == receipt.encode()
    assert stage.entries() == stage.founding + 1


def _is_dead(ledger: Ledger, raw: bytes) -> None:
    """Nothing is taken in any more: refused at the door or, at the latest, by the answer."""
    try:
        answer = ledger.submit(raw)
    except Unreachable:
        return
    assert refusal(answer).code == "unreachable"


@named("everybody in the queue of a ledger that died is told")
def _(stage: Stage) -> None:
    class DiesAtTheGate(Gate):
        def after_commit(self) -> None:
            raise LedgerDied

    gate = DiesAtTheGate()
    with stage.open(faults=gate) as ledger:
        answers = submit_together(ledger, gate, stage.pay(0), stage.pays(30, start=1))
        gate.open()
        assert {refusal(answer).code for answer in answers} == {"unreachable"}


@named("disk full in the middle of a group")
def _(stage: Stage) -> None:
    gate = Gate()
    with stage.open(faults=gate) as ledger:
        answers = submit_together(ledger, gate, stage.pay(0), stage.pays(100, start=1))
        pages = ledger.store._db.execute("PRAGMA page_count").fetchone()[0]
        ledger.store._db.execute(f"PRAGMA max_page_count={pages + 2}")
        gate.open()
        outcomes = [answer.exception(PATIENCE_S) for answer in answers]
        refused = [error for error in outcomes if error is not None]
        assert len(refused) >= 50
        assert {(type(error), error.values.get("reason")) for error in refused if isinstance(error, Unreachable)} == {
            (Unreachable, "OperationalError")
        }
        assert stage.entries() == stage.founding + len(answers) - len(refused)
        ledger.store._db.execute(f"PRAGMA max_page_count={1 << 30}")
        again = [ledger.submit(raw) for raw in stage.pays(101)]
        indexes = [answer.result(PATIENCE_S).index for answer in again]
    assert sorted(indexes) == list(range(stage.founding, stage.founding + 101))


class FailsAtTheGate(Gate):
    """Lets the held commit fail as soon as the gate is opened, and no other."""

    failing = True

    def before_commit(self) -> None:
        super().before_commit()
        if self.failing:
            self.failing = False
            raise OSError("the disk is gone")


@named("what was decided on top of a failed commit never happened")
def _(stage: Stage) -> None:
    first, bek = stage.pay(0), stage.bek.key
    onwards = bodies.Transfer(
        (outpoint(stage.message_id(first), 0),), (Output(stage.aida.key.public, COIN_TIYN, None),), LATER_S
    )
    behind = {
        "its output spent": build(Kind.TRANSFER, onwards, [bek], stage.world.network),
        "another spend of its coin": stage.transfer(Output(stage.aida.key.public, COIN_TIYN, None)),
        "the same again": first,
        "a stranger to it": stage.pay(1),
    }
    gate = FailsAtTheGate()
    with stage.open(faults=gate) as ledger:
        before = stage.checkpoint()
        held = gate.hold(ledger, first)
        answers = [ledger.submit(raw) for raw in behind.values()]
        threading.Event().wait(0.3)
        assert not [answer for answer in answers if answer.done()], "answered before what it stands on is durable"
        gate.open()
        assert refusal(held).code == "unreachable"
        assert [refusal(answer).code for answer in answers] == ["unreachable"] * len(answers)
        assert stage.checkpoint() == before
        again = [ledger.submit(first), *(ledger.submit(raw) for raw in behind.values())]
        outcomes = [answer.exception(PATIENCE_S) for answer in again]
    assert [outcome is None for outcome in outcomes] == [True, True, False, True, True]
    assert isinstance(outcomes[2], TengeError)
    assert (outcomes[2].code, outcomes[2].values["by"]) == ("double_spend", stage.message_id(first))
    assert again[3].result().encode() == again[0].result().encode()
    assert stage.entries() == stage.founding + 3


def _does_not_fit(ledger: Ledger, *messages: bytes) -> None:
    """The store has no place for these messages, whatever else is written with them."""
    write = ledger.store._write

    def refuse(batch: Batch) -> None:
        write(batch)
        if any(entries.decode(entry.data)[1] in messages for entry in batch.entries):
            raise sqlite3.IntegrityError("UNIQUE constraint failed")

    ledger.store._write = refuse  # type: ignore[method-assign]


@named("messages that do not fit the store decide for nobody else")
def _(stage: Stage) -> None:
    """Three offenders among forty: the first alone, with others decided on top of it, two beside each other."""
    gate = Gate()
    with stage.open(faults=gate) as ledger:
        offenders = (stage.pay(0), stage.pay(17), stage.pay(18))
        _does_not_fit(ledger, *offenders)
        messages = stage.pays(40)
        answers = submit_together(ledger, gate, messages[0], messages[1:])
        threading.Event().wait(0.3)
        gate.open()
        for raw, answer in zip(messages, answers, strict=True):
            if raw in offenders:
                assert refusal(answer).code == "invariant_violation"
            else:
                stage.verify_receipt(raw, answer.result(PATIENCE_S))
    assert ledger._bytes_held == 0
    assert stage.entries() == stage.founding + len(messages) - len(offenders)


@named("a message that does not fit the store, while the ledger is being closed")
def _(stage: Stage) -> None:
    gate = Gate()
    ledger = stage.open(faults=gate)
    _does_not_fit(ledger, stage.pay(5))
    answers = submit_together(ledger, gate, stage.pay(0), stage.pays(10, start=1))
    closing = threading.Thread(target=ledger.close)
    closing.start()
    while not ledger._closing:
        threading.Event().wait(0.001)
    gate.open()
    closing.join(PATIENCE_S)
    codes = [None if answer.exception(0) is None else refusal(answer).code for answer in answers]
    assert codes[0] is None
    assert set(codes[1:]) <= {None, "unreachable", "invariant_violation"}
    assert codes.count("invariant_violation") <= 1
    assert ledger._bytes_held == 0


@named("a message over which applying breaks decides for nobody else")
def _(stage: Stage) -> None:
    messages, gate, real = stage.pays(20), Gate(), decider.apply

    def breaks(view: View, entry: Entry) -> Delta:
        if entry.verified.id == stage.message_id(messages[7]):
            raise KeyError("a defect")
        return real(view, entry)

    with stage.open(faults=gate) as ledger, mock.patch.object(decider, "apply", breaks):
        answers = submit_together(ledger, gate, messages[0], messages[1:])
        gate.open()
        assert refusal(answers[7]).code == "invariant_violation"
        for raw, answer in zip(messages, answers, strict=True):
            if raw != messages[7]:
                stage.verify_receipt(raw, answer.result(PATIENCE_S))


@named("the file cannot be read while a group is being decided")
def _(stage: Stage) -> None:
    def breaks(_view: View, _entry: Entry) -> Delta:
        raise sqlite3.OperationalError("disk I/O error")

    with stage.open() as ledger:
        with mock.patch.object(decider, "apply", breaks):
            assert refusal(ledger.submit(stage.pay(0))).code == "unreachable"
        assert ledger.submit(stage.pay(0)).result(PATIENCE_S).index == stage.founding


@named("what a failed commit would have enrolled is not remembered")
def _(stage: Stage) -> None:
    """Three groups: an enrolment that fails, one on top of it, and one that waits for both and pays to the new key."""
    recorder = Recorder.founded("altyn")
    dana = recorder.customer("dana")
    gate = FailsAtTheGate()
    with stage.open(faults=gate) as ledger:
        enrolment = gate.hold(ledger, recorder.messages[-1][1])
        above = ledger.submit(stage.pay(0))
        threading.Event().wait(0.3)
        waiting = ledger.submit(stage.transfer(Output(dana.key.public, COIN_TIYN, None), coins=(1,)))
        threading.Event().wait(0.3)
        gate.open()
        assert [refusal(answer).code for answer in (enrolment, above)] == ["unreachable"] * 2
        assert refusal(waiting).code in ("unreachable", "not_enrolled")
        again = ledger.submit(stage.transfer(Output(dana.key.public, COIN_TIYN, None), coins=(1,)))
        assert refusal(again).code == "not_enrolled"
    assert stage.entries() == stage.founding


@named("the disk fails between the last statement and the commit")
def _(stage: Stage) -> None:
    with stage.open() as ledger:
        write, before = ledger.store._write, stage.checkpoint()

        def torn(batch: Batch) -> None:
            write(batch)
            raise sqlite3.OperationalError("disk I/O error")

        ledger.store._write = torn  # type: ignore[method-assign]
        assert refusal(ledger.submit(stage.pay(0))).code == "unreachable"
        assert (stage.checkpoint(), stage.entries()) == (before, stage.founding)
        ledger.store._write = write  # type: ignore[method-assign]
        assert ledger.submit(stage.pay(0)).result(PATIENCE_S).index == stage.founding


@named("one statement of the transaction fails")
def _(stage: Stage) -> None:
    with stage.open() as ledger:
        db = ledger.store._db
        db.execute(
            "CREATE TEMP TRIGGER sick BEFORE INSERT ON main.checkpoints BEGIN SELECT RAISE(ABORT, 'no more notes'); END"
        )
        before = stage.checkpoint()
        error = refusal(ledger.submit(stage.pay(0)))
        assert error.code in ("invariant_violation", "unreachable")
        assert (stage.checkpoint(), stage.entries()) == (before, stage.founding)
        db.execute("DROP TRIGGER sick")
        assert ledger.submit(stage.pay(0)).result(PATIENCE_S).index == stage.founding


@named("another program holds the database's write lock")
def _(stage: Stage) -> None:
    with stage.open() as ledger:
        ledger.store._db.execute("PRAGMA busy_timeout=100")
        other = sqlite3.connect(stage.path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert refusal(ledger.submit(stage.pay(0))).code == "unreachable"
        other.execute("ROLLBACK")
        other.close()
        assert ledger.submit(stage.pay(0)).result(PATIENCE_S).index == stage.founding


# --- the same bytes again ----------------------------------------------------------------------


@named("the same bytes twice in one group, in a later group and after reopening")
def _(stage: Stage) -> None:
    gate = Gate()
    with stage.open(faults=gate) as ledger:
        answers = submit_together(ledger, gate, stage.pay(0), [stage.pay(1), stage.pay(1), stage.pay(0), stage.pay(1)])
        gate.open()
        receipts = [answer.result(PATIENCE_S).encode() for answer in answers]
        assert receipts[0] == receipts[3]
        assert receipts[1] == receipts[2] == receipts[4] != receipts[0]
        for raw in stage.pays(5, start=2):
            ledger.submit(raw).result(PATIENCE_S)
        later = [ledger.submit(raw).result(PATIENCE_S).encode() for raw in stage.pays(2)]
        assert later == receipts[:2]
    with stage.open() as ledger:
        reopened = [ledger.submit(raw).result(PATIENCE_S).encode() for raw in stage.pays(2)]
    assert reopened == receipts[:2]
    assert stage.entries() == stage.founding + 7


@named("the same message without inputs twice")
def _(stage: Stage) -> None:
    with stage.open() as ledger:
        for index, (_, raw) in enumerate(stage.world.messages):
            receipt = ledger.submit(raw).result(PATIENCE_S)
            assert receipt.index == index
            stage.verify_receipt(raw, receipt)
    assert stage.entries() == stage.founding


# --- who may write and who may read ------------------------------------------------------------

_SECOND_WRITER = """
import sys
from pathlib import Path
from cbdc.errors import TengeError
from cbdc.store.sqlite import SqliteStore
reader = SqliteStore.read(Path(sys.argv[1]))
print(reader.size())
try:
    SqliteStore.open(Path(sys.argv[1]))
except TengeError as error:
    print(error.code)
"""


def _second_process(stage: Stage) -> list[str]:
    command = [sys.executable, "-c", _SECOND_WRITER, str(stage.path)]
    return subprocess.run(
        command, cwd=ROOT, capture_output=True, text=True, timeout=PATIENCE_S, check=True
    ).stdout.split()


@named("a second process may read but not write")
def _(stage: Stage) -> None:
    with stage.open() as ledger:
        ledger.submit(stage.pay(0)).result(PATIENCE_S)
        assert _second_process(stage) == [str(stage.founding + 1), "ledger_busy"]
        with pytest.raises(LedgerBusy):
            SqliteStore.open(stage.path)
        ledger.submit(stage.pay(1)).result(PATIENCE_S)
    assert _second_process(stage) == [str(stage.founding + 2)]


@named("a new ledger is not made over an old one")
def _(stage: Stage) -> None:
    with pytest.raises(LedgerBusy):
        SqliteStore.create(stage.path)


@named("opened by one thread and closed by another")
def _(stage: Stage) -> None:
    ledger = stage.open()
    closer = threading.Thread(target=ledger.close)
    closer.start()
    closer.join(PATIENCE_S)
    stage.open().close()


@named("a reader sees nothing before the commit, and nothing of an open transaction")
def _(stage: Stage) -> None:
    queries, gate, at_commit = stage.queries(), Gate(), threading.Event()
    go_on = threading.Event()

    def before_statement(sql: str) -> None:
        if sql.startswith("COMMIT"):
            at_commit.set()
            assert go_on.wait(PATIENCE_S)

    def seen() -> tuple[object, ...]:
        bek = queries.tokens_of([stage.bek.key.public])
        return bek, queries.latest_checkpoint(), queries.spenders_of(stage.coins[0]), queries.supply(), stage.entries()

    with stage.open(faults=gate) as ledger:
        ledger.store._db.set_trace_callback(before_statement)
        before = seen()
        answer = gate.hold(ledger, stage.pay(0))
        assert seen() == before
        gate.open()
        assert at_commit.wait(PATIENCE_S)
        assert seen() == before
        assert not answer.done(), "acknowledged before it was durable"
        go_on.set()
        answer.result(PATIENCE_S)
        ledger.store._db.set_trace_callback(None)
        after = seen()
        assert after[2] == (stage.message_id(stage.pay(0)),)
        assert all(was != now for was, now in zip(before, after, strict=True) if was != queries.supply())
    queries.close()


# --- too much, too late, too early -------------------------------------------------------------


@named("queue full")
def _(stage: Stage) -> None:
    gate = Gate()
    with stage.open(faults=gate) as ledger:
        answers = [gate.hold(ledger, stage.pay(0))]
        with pytest.raises(Overloaded) as refused:
            for _ in range(MAX_QUEUED + 10 * MAX_BATCH):
                answers.append(ledger.submit(b"noise"))
        assert refused.value.code == "overloaded"
        assert len(answers) > MAX_QUEUED
        gate.open()
        assert answers[0].result(PATIENCE_S).index == stage.founding
        assert {refusal(answer).code for answer in answers[1:]} == {"malformed"}
        assert ledger.submit(stage.pay(1)).result(PATIENCE_S).index == stage.founding + 1


@named("closed ledger")
def _(stage: Stage) -> None:
    ledger = stage.open()
    answers = [ledger.submit(raw) for raw in stage.pays(50)]
    ledger.close()
    assert [answer.result(0).index for answer in answers] == list(range(stage.founding, stage.founding + 50))
    with pytest.raises(Unreachable) as refused:
        ledger.submit(stage.pay(50))
    assert refused.value.code == "unreachable"
    ledger.close()


@named("submitted while the ledger closes")
def _(stage: Stage) -> None:
    verifier = SlowVerifier()
    verifier.shut()
    ledger = stage.open(verifier=verifier)
    answers = [ledger.submit(stage.pay(0))]
    assert verifier.entered.wait(PATIENCE_S)
    closer = threading.Thread(target=ledger.close, daemon=True)
    closer.start()
    closer.join(0.2)
    with contextlib.suppress(Unreachable):
        answers.append(ledger.submit(stage.pay(1)))
    verifier.open()
    closer.join(3)
    assert not closer.is_alive(), "close() hangs"
    for answer in answers:
        assert answer.done(), "never answered"
        assert answer.exception() is None or refusal(answer).code == "unreachable"


@named("clock running backwards")
def _(stage: Stage) -> None:
    start_s = stage.world.now_s
    clock = iter([start_s + 100, start_s + 40, start_s - 5000, start_s + 101])
    with stage.open(clock=lambda: next(clock)) as ledger:
        times = [ledger.submit(raw).result(PATIENCE_S).time_s - start_s for raw in stage.pays(4)]
    assert times == [100, 100, 100, 101]
    with stage.open(clock=lambda: start_s) as ledger:
        assert ledger.submit(stage.pay(4)).result(PATIENCE_S).time_s - start_s == 101
    stage.world.now_s = start_s


@named("clock that fails")
def _(stage: Stage) -> None:
    def broken() -> int:
        raise OSError("no time source")

    with stage.open(clock=broken) as ledger:
        assert refusal(ledger.submit(stage.pay(0))).code == "unreachable"
    assert stage.entries() == stage.founding


@named("a submitter that cancels harms nobody")
def _(stage: Stage) -> None:
    gate = Gate()
    with stage.open(faults=gate) as ledger:
        answers = submit_together(ledger, gate, stage.pay(0), stage.pays(10, start=1))
        answers[3].cancel()
        gate.open()
        others = [answer for answer in answers if not answer.cancelled()]
        assert [answer.exception(PATIENCE_S) for answer in others] == [None] * len(others)


class SpoilingVerifier:
    """Changes a byte of a buffer as soon as it has been verified."""

    def __init__(self, buffer: bytearray) -> None:
        self._buffer, self._verifier = buffer, verifiers.threads(1)

    def start(self, messages: Sequence[bytes], network: bytes) -> list[Future[list[Outcome]]]:
        outcomes = self._verifier.start(messages, network)
        for outcome in outcomes:
            outcome.result(PATIENCE_S)
        self._buffer[-1] ^= 1
        return outcomes

    def close(self) -> None:
        self._verifier.close()


@named("a buffer that changes after it was verified")
def _(stage: Stage) -> None:
    buffer = bytearray(stage.pay(0))
    with stage.open(verifier=SpoilingVerifier(buffer)) as ledger, contextlib.suppress(FormError):
        ledger.submit(buffer).exception(PATIENCE_S)  # type: ignore[arg-type]


# --- workers -----------------------------------------------------------------------------------


def _workers() -> Iterator[int]:
    yield from (child.pid for child in multiprocessing.active_children() if child.pid is not None)


@named("a verifying process is killed while idle")
def _(stage: Stage) -> None:
    with stage.open(verifier=verifiers.processes(1)) as ledger:
        ledger.submit(stage.pay(0)).result(PATIENCE_S)
        for worker in _workers():
            os.kill(worker, signal.SIGKILL)
        _recovers(stage, ledger)


@named("a verifying process is killed at work")
def _(stage: Stage) -> None:
    with stage.open(verifier=verifiers.processes(1)) as ledger:
        ledger.submit(stage.pay(0)).result(PATIENCE_S)
        answers = [ledger.submit(raw) for raw in stage.pays(200, start=2)]
        for worker in _workers():
            os.kill(worker, signal.SIGKILL)
        for answer in answers:
            assert answer.exception(PATIENCE_S) is None or refusal(answer).code == "unreachable"
        _recovers(stage, ledger)


def _recovers(stage: Stage, ledger: Ledger) -> None:
    """The group that met the dead worker may be refused; the next one works."""
    error = ledger.submit(stage.pay(1)).exception(PATIENCE_S)
    assert error is None or isinstance(error, Unreachable)
    ledger.submit(stage.pay(1)).result(PATIENCE_S)


# --- a file that is not what it was ------------------------------------------------------------


def _edited(stage: Stage, *statements: str) -> None:
    db = sqlite3.connect(stage.path, isolation_level=None)
    for statement in statements:
        db.execute(statement)
    db.close()


_LAST = "(SELECT max(size) FROM checkpoints)"
_EDITS = {
    "a leaf": "UPDATE entries SET leaf = randomblob(32) WHERE idx = 2",
    "an entry too few": f"DELETE FROM entries WHERE idx = {_LAST} - 1",
    "an older checkpoint": f"DELETE FROM checkpoints WHERE size = {_LAST}",
    "no checkpoint": "DELETE FROM checkpoints",
    "a misspelled checkpoint": "UPDATE checkpoints SET note = replace(note, 'state ', 'stale ')",
    "an unsigned checkpoint": "UPDATE checkpoints SET note = substr(note, 1, length(note) - 9) || 'AAAAAAA=\n'",
    "another state": "UPDATE meta SET value = zeroblob(2048) WHERE name = 'lattice_sum'",
    "no state": "DELETE FROM meta WHERE name = 'lattice_sum'",
    "a state sum cut off": "UPDATE meta SET value = x'00' WHERE name = 'lattice_sum'",
    "no number as the time": "UPDATE meta SET value = 'noon' WHERE name = 'ledger_time_s'",
    "a leaf cut off": "UPDATE entries SET leaf = 'leaf' WHERE idx = 2",
    "tokens that cannot be read": "UPDATE state SET value = x'80' WHERE tbl = 1",
    "records of no table": "UPDATE state SET tbl = 99 WHERE tbl = 12",
}


@pytest.mark.parametrize("edit", _EDITS.values(), ids=_EDITS)
def test_a_ledger_that_does_not_match_its_last_checkpoint_is_not_opened(stage: Stage, edit: str) -> None:
    """Typed, before anything could be added to it, and without keeping the file locked."""
    _edited(stage, edit)
    store = None
    try:
        with pytest.raises((LedgerCorrupt, FormError, BadSignature)):
            store = SqliteStore.open(stage.path)
            Ledger(store, stage.world.identity())
    finally:
        if store is not None:
            store.close()


@pytest.mark.parametrize("other", ["operator", "name"])
def test_a_ledger_is_not_opened_under_another_identity(stage: Stage, other: str) -> None:
    mine = stage.world.identity()
    stranger = SigningKey(seed("stranger"))
    identity = Identity(mine.network, *((mine.name, stranger) if other == "operator" else ("other", mine.operator)))
    store = SqliteStore.open(stage.path)
    with pytest.raises((FormError, BadSignature)):
        Ledger(store, identity)
    store.close()
    stage.open().close()


@pytest.mark.parametrize(
    "content", [b"not a database at all, but long enough to be looked at" * 20, b"SQLite format 3\0"]
)
def test_a_file_that_is_no_ledger_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "ledger.db"
    path.write_bytes(content)
    for opened in (SqliteStore.open, SqliteStore.read):
        with pytest.raises(LedgerCorrupt):
            opened(path)
    with pytest.raises(LedgerCorrupt):
        SqliteStore.read(tmp_path / "nowhere.db")
    assert path.read_bytes() == content


# --- secrets -----------------------------------------------------------------------------------


def test_seeds_are_shown_nowhere(stage: Stage, caplog: pytest.LogCaptureFixture) -> None:
    """Neither in the repr of anything that holds a key, nor in logs, errors, receipts, or the ledger's files."""
    caplog.set_level(logging.DEBUG)
    world = stage.world
    shown = [repr(world.identity()), repr(world.governor), repr(world.operator), repr(stage.aida), repr(world)]
    with stage.open(faults=OnDemand(before=OSError("a fault that is logged"))) as ledger:
        shown += [repr(ledger), repr(ledger.store)]
        for raw in (stage.pay(0), b"noise", stage.pay(0), stage.transfer(coins=(1,)), stage.pay(0)[:-1] + b"\0"):
            answer = ledger.submit(raw)
            error = answer.exception(PATIENCE_S)
            shown += [repr(answer), repr(error), str(error), "".join(traceback.format_exception(error))]
            shown += [repr(error.to_json())] if error else [repr(answer.result())]
        files = [path.read_bytes() for path in stage.path.parent.iterdir() if path.is_file()]
    assert "a fault that is logged" in caplog.text
    shown.append(caplog.text)
    seeds = [seed(name) for name in ("governor", "operator", "bank altyn", "aida online", "aida purse", "bek online")]
    for secret in seeds:
        for spelling in (secret.hex(), repr(secret)[2:-1], str(list(secret))[1:-1]):
            assert not [text for text in shown if spelling in text]
        assert not [content for content in files if secret in content]


def test_keys_do_not_travel() -> None:
    """A signing key is not pickled, so it reaches no worker process and no file by accident."""
    for holder in (SigningKey(seed("operator")), Governor.from_seed(seed("governor"))):
        with pytest.raises(TypeError):
            multiprocessing.reduction.ForkingPickler.dumps(holder)


# --- the table ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", FAULTS)
def test_fault(stage: Stage, fault: Fault) -> None:
    fault(stage)
    before = stage.entries()
    with stage.open() as ledger:
        receipt = ledger.submit(stage.pay(LAST_COIN)).result(PATIENCE_S)
        stage.verify_receipt(stage.pay(LAST_COIN), receipt)
    assert stage.verify().entries == before + 1
