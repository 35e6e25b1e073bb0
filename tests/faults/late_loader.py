"""A ledger process that dies around one late payment: ``python -m tests.faults.late_loader LEDGER JOB DIE_AT``.

It submits the job's message, writes the code of the refusal to stdout as soon as it is told, and never gets further.
``DIE_AT`` is ``before-commit``, ``after-commit``, ``told``, or the beginning of the SQL statement before which to die.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path

import cbor2

from cbdc.errors import TengeError
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.writer import NoFaults
from cbdc.store.sqlite import SqliteStore


def letter(payments: list[bytes], network: bytes) -> bytes:
    """A reconcile of these payments."""
    return build(Kind.RECONCILE, bodies.Reconcile(tuple(payments)), [], network)


class DieAt(NoFaults):
    """SIGKILL to this very process at a named instant."""

    def __init__(self, instant: str) -> None:
        self.instant = instant

    def before_commit(self) -> None:
        self.reached("before-commit")

    def after_commit(self) -> None:
        self.reached("after-commit")

    def statement(self, sql: str) -> None:
        if sql.startswith(self.instant):
            self.reached(self.instant)

    def reached(self, instant: str) -> None:
        if instant == self.instant:
            os.kill(os.getpid(), signal.SIGKILL)


def main(ledger_path: str, job_path: str, die_at: str) -> None:
    job = cbor2.loads(Path(job_path).read_bytes())
    identity, faults = Identity(job["network"], job["name"], SigningKey(job["operator_seed"])), DieAt(die_at)
    store = SqliteStore.open(Path(ledger_path))
    store._db.set_trace_callback(faults.statement)
    ledger = Ledger(store, identity, clock=lambda: job["now_s"], faults=faults)
    error = ledger.submit(job["message"]).exception(30)
    os.write(sys.stdout.fileno(), error.code.encode() if isinstance(error, TengeError) else b"no refusal")
    faults.reached("told")


if __name__ == "__main__":
    main(*sys.argv[1:])
