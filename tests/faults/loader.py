"""A ledger process under load, made to be killed: ``python -m tests.faults.loader LEDGER MESSAGES WINDOW [DIE_AT]``.

It opens the ledger, submits the messages of a file in order, at most ``WINDOW`` of them unanswered at a time, and
writes what it knows to stdout, unbuffered, in records of `RECORD_BYTES`: `OPENING`, `READY`, then for each receipt, as
soon as it is given, the message's id and the hash of the receipt; at the very end `FINISHED`. It never closes the
ledger.

``DIE_AT`` names an instant at which it kills itself with SIGKILL, some groups into the load: ``before-commit``,
``after-commit``, or the beginning of the SQL statement before which to die.
"""

from __future__ import annotations

import hashlib
import os
import signal
import sys
import threading
from concurrent.futures import Future
from pathlib import Path

import cbor2

from cbdc.formats.ed25519 import SigningKey
from cbdc.log.receipts import Receipt
from cbdc.messages.message import decode
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.writer import NoFaults
from cbdc.store.sqlite import SqliteStore

RECORD_BYTES = 64
OPENING, READY, FINISHED = (bytes([number]) * RECORD_BYTES for number in (1, 2, 3))
GROUPS_BEFORE_DEATH = 3


def record(message_id: bytes, receipt: Receipt) -> bytes:
    """What the loader writes when a receipt is given; below PIPE_BUF, so a kill never cuts it."""
    return message_id + hashlib.sha256(receipt.encode()).digest()


class DieAt(NoFaults):
    """SIGKILL to this very process at a named instant of the third group."""

    def __init__(self, instant: str | None) -> None:
        self.instant = instant
        self._left = GROUPS_BEFORE_DEATH

    def before_commit(self) -> None:
        self._reached("before-commit")

    def after_commit(self) -> None:
        self._reached("after-commit")

    def statement(self, sql: str) -> None:
        if self.instant and sql.startswith(self.instant):
            self._reached(self.instant)

    def _reached(self, instant: str) -> None:
        if instant == self.instant:
            self._left -= 1
            if not self._left:
                os.kill(os.getpid(), signal.SIGKILL)


def main(ledger_path: str, messages_path: str, window: str, die_at: str | None = None) -> None:
    out = sys.stdout.fileno()
    job = cbor2.loads(Path(messages_path).read_bytes())
    network, messages = job["network"], job["messages"]
    identity = Identity(network, job["name"], SigningKey(job["operator_seed"]))

    os.write(out, OPENING)
    faults = DieAt(die_at)
    store = SqliteStore.open(Path(ledger_path))
    store._db.set_trace_callback(faults.statement)
    ledger = Ledger(store, identity, clock=lambda: job["now_s"], faults=faults)
    os.write(out, READY)

    free = threading.Semaphore(int(window))

    def answered(raw: bytes, answer: Future[Receipt]) -> None:
        os.write(out, record(decode(raw, network).id, answer.result()))
        free.release()

    for raw in messages:
        free.acquire()
        ledger.submit(raw).add_done_callback(lambda answer, raw=raw: answered(raw, answer))
    for _ in range(int(window)):
        free.acquire()
    os.write(out, FINISHED)


if __name__ == "__main__":
    main(*sys.argv[1:])
