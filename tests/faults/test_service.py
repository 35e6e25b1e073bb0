"""The running ledger's own troubles: closed from within or twice, a killed worker, too many bytes, a lost answer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections.abc import Callable
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor

import pytest

from cbdc.errors import LedgerBusy, Overloaded, TengeError, TooLarge
from cbdc.limits import MAX_MESSAGE_BYTES
from cbdc.log.receipts import Receipt
from cbdc.service import verifiers
from cbdc.service.decider import Decider
from cbdc.service.ledger import Ledger
from cbdc.store.sqlite import SqliteStore
from tests.faults.stage import PATIENCE_S, Gate, Stage, refusal

# --- closing -----------------------------------------------------------------------------------


def test_an_answers_callback_cannot_close_the_ledger_and_breaks_nothing(stage: Stage) -> None:
    gate, tried = Gate(), Future[BaseException | None]()

    def close(_: Future[Receipt]) -> None:
        try:
            ledger.close()
        except BaseException as error:
            tried.set_result(error)
        else:
            tried.set_result(None)

    with stage.open(faults=gate) as ledger:
        answer = gate.hold(ledger, stage.pay(0))
        answer.add_done_callback(close)
        gate.open()
        error = tried.result(PATIENCE_S)
        assert isinstance(error, LedgerBusy), repr(error)
        assert ledger.submit(stage.pay(1)).result(PATIENCE_S).index == stage.founding + 1
    with stage.open() as ledger:
        assert ledger.store.size() == stage.founding + 2


def test_whoever_closes_second_waits_until_it_is_closed(stage: Stage) -> None:
    gate = Gate()
    ledger = stage.open(faults=gate)
    gate.hold(ledger, stage.pay(0))
    closers = [threading.Thread(target=ledger.close) for _ in range(3)]
    for closer in closers:
        closer.start()
    for closer in closers:
        closer.join(0.2)
    assert all(closer.is_alive() for closer in closers)
    gate.open()
    for closer in closers:
        closer.join(PATIENCE_S)
    stage.open().close()


# --- workers -----------------------------------------------------------------------------------


def kill_workers() -> None:
    workers = [child.pid for child in multiprocessing.active_children() if child.pid is not None]
    assert workers
    for worker in workers:
        os.kill(worker, signal.SIGKILL)


def test_a_killed_worker_costs_the_groups_it_was_in_and_no_other(stage: Stage) -> None:
    """Several times over: each time new workers are started."""
    with stage.open(verifier=verifiers.processes(2)) as ledger:
        for turn in range(3):
            coins = range(60 * turn, 60 * turn + 60)
            ledger.submit(stage.pay(coins[0])).result(PATIENCE_S)
            kill_workers()
            met = [ledger.submit(stage.pay(coin)) for coin in coins[1:]]
            codes = {error.code for answer in met if isinstance(error := answer.exception(PATIENCE_S), TengeError)}
            assert codes <= {"unreachable"}
            again = [ledger.submit(stage.pay(coin)) for coin in coins]
            assert [answer.exception(PATIENCE_S) for answer in again] == [None] * len(coins)


def test_a_pool_whose_workers_die_at_once_is_said_to_be_unreachable() -> None:
    """Not one new pool after the other within a group."""
    made = []

    class Broken(ThreadPoolExecutor):
        def __init__(self) -> None:
            super().__init__(1)
            made.append(self)

        def submit(self, *_: object, **__: object) -> Future:
            raise BrokenExecutor("dead")

    verifier = verifiers.PoolVerifier(Broken)
    with pytest.raises(BrokenExecutor):
        verifier.start([b"message"], bytes(32))
    assert len(made) == 2
    verifier.close()


# --- bytes that wait ---------------------------------------------------------------------------


@pytest.mark.parametrize("make", [bytes, bytearray, lambda size: memoryview(bytes(4 * size))[::4]])
def test_a_message_too_long_is_refused_at_the_door(stage: Stage, make: Callable[[int], bytes]) -> None:
    with stage.open() as ledger:
        with pytest.raises(TooLarge):
            ledger.submit(make(MAX_MESSAGE_BYTES + 1))
        assert refusal(ledger.submit(make(MAX_MESSAGE_BYTES))).code == "not_canonical"


def test_the_bytes_that_wait_are_bounded_and_given_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    limit = 10_000
    monkeypatch.setattr("cbdc.service.ledger.MAX_QUEUED_BYTES", limit)
    gate, good = Gate(), stage.pay(0)
    with stage.open(faults=gate) as ledger:
        for turn in range(3):
            answers = [gate.hold(ledger, good)]
            answers += [ledger.submit(bytes(1000)) for _ in range((limit - len(good)) // 1000)]
            with pytest.raises(Overloaded):
                ledger.submit(bytes(1000))
            gate.open()
            for answer in answers:
                answer.exception(PATIENCE_S)
            good = stage.pay(len(stage.coins) - 2 - turn)
            _settles(ledger)


def test_refused_groups_give_their_bytes_back(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("cbdc.service.ledger.MAX_QUEUED_BYTES", 10_000)
    monkeypatch.setattr(Decider, "decide", _fails)
    with stage.open() as ledger:
        for _ in range(20):
            assert refusal(ledger.submit(bytes(9000))).code == "unreachable"
            _settles(ledger)


def _fails(*_: object) -> None:
    raise OSError("no memory")


def _settles(ledger: Ledger) -> None:
    """An answer is out a moment before its bytes are counted off."""
    end = time.monotonic() + PATIENCE_S
    while ledger._bytes_held and time.monotonic() < end:
        time.sleep(0.001)
    assert ledger._bytes_held == 0


# --- a lost answer -----------------------------------------------------------------------------


def test_a_lost_answer_says_that_it_is_committed(stage: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """Those who were refused learn why; the others that the same bytes get them their receipt."""
    gate = Gate()
    with stage.open(faults=gate) as ledger:
        first = gate.hold(ledger, stage.pay(0))
        with monkeypatch.context() as patched:
            patched.setattr("cbdc.log.merkle.Tree.inclusions", _fails)
            answers = [first, ledger.submit(stage.pay(1)), ledger.submit(b"noise")]
            gate.open()
            errors = [refusal(answer) for answer in answers]
        assert [error.code for error in errors] == ["unreachable", "unreachable", "malformed"]
        assert all("it is committed" in str(error) and "same bytes" in str(error) for error in errors[:2])
        for coin in range(2):
            receipt = ledger.submit(stage.pay(coin)).result(PATIENCE_S)
            assert receipt.index == stage.founding + coin
            stage.verify_receipt(stage.pay(coin), receipt)
        assert ledger.submit(stage.pay(2)).result(PATIENCE_S).index == stage.founding + 2


# --- the write-ahead log -----------------------------------------------------------------------


def test_the_write_ahead_log_shrinks_again_when_a_long_reader_is_gone(
    stage: Stage, monkeypatch: pytest.MonkeyPatch
) -> None:
    pages, wal = 20, stage.path.with_name(stage.path.name + "-wal")
    monkeypatch.setattr("cbdc.store.sqlite._WAL_PAGES", pages)
    monkeypatch.setattr("cbdc.store.sqlite._WAL_BYTES", pages * 4120)
    with stage.open() as ledger:
        reader = SqliteStore.read(stage.path)
        old = reader.entries()
        next(old)
        for coin in range(30):
            ledger.submit(stage.pay(coin)).result(PATIENCE_S)
        grown = wal.stat().st_size
        assert grown > 4 * pages * 4120
        old.close()
        reader.close()
        for coin in range(30, 40):
            ledger.submit(stage.pay(coin)).result(PATIENCE_S)
        assert wal.stat().st_size < grown / 2
