"""The running ledger's own troubles: closed from within or twice, a killed worker, too many bytes, a lost answer."""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
from concurrent.futures import BrokenExecutor, Future, ThreadPoolExecutor

import pytest

from cbdc.errors import LedgerBusy, TengeError
from cbdc.log.receipts import Receipt
from cbdc.service import verifiers
from tests.faults.stage import PATIENCE_S, Gate, Stage

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
