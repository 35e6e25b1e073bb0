"""The ledger: bytes in, receipt out.

    submit -> decode -> verify -> apply -> commit -> log -> answer

Each step stands here once, in this order. `submit` only queues; an *intake* thread hands groups to workers that
decode and verify; the *committer* thread, the one place where order is decided, applies a group of
messages, appends their leaves, signs the checkpoint and commits it all in one transaction. Only then are
the receipts given out: acknowledged means durable.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, Protocol

from cbdc.errors import LedgerCorrupt, Overloaded, TengeError, Unreachable
from cbdc.formats.ed25519 import SigningKey
from cbdc.limits import MAX_BATCH, MAX_QUEUED
from cbdc.log import checkpoint, entries, merkle
from cbdc.log.checkpoint import Checkpoint
from cbdc.log.receipts import Receipt
from cbdc.messages import bodies
from cbdc.messages.message import Verified
from cbdc.service import verifiers
from cbdc.service.verifiers import Outcome, Verifier
from cbdc.state.records import Table
from cbdc.state.root import LatticeHash
from cbdc.state.view import Change, Key, Overlay, View
from cbdc.store.base import Batch, NewEntry
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.apply import Entry, apply
from cbdc.transition.invariants import Books

log = logging.getLogger(__name__)

_STOP: Final = None
_PIPELINE_DEPTH: Final = 2
"""Groups between intake and committer: one being checked while one is committed."""


class Faults(Protocol):
    """Places where a test or a scenario may let the process die."""

    def before_commit(self) -> None: ...

    def after_commit(self) -> None: ...


class NoFaults:
    """The faults of an ordinary day."""

    def before_commit(self) -> None:
        return

    def after_commit(self) -> None:
        return


class LedgerDied(BaseException):
    """Raised by `Faults` to end the ledger where it stands, as if the process had been killed."""


@dataclass(frozen=True, slots=True)
class Submission:
    """One message on its way, with the promise to its submitter."""

    raw: bytes
    answer: Future[Receipt]


@dataclass(frozen=True, slots=True)
class Group:
    """Submissions on their way together, and the outcomes of their verification to come."""

    submissions: list[Submission]
    outcomes: list[Future[list[Outcome]]]


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this ledger is: the network (governor's root key), its name and the operator's key."""

    network: bytes
    name: str
    operator: SigningKey

    @property
    def origin(self) -> str:
        return checkpoint.origin_of(self.name)


class Ledger:
    """A running ledger on a store. Use it as a context manager, or `close` it."""

    def __init__(
        self,
        store: SqliteStore,
        identity: Identity,
        *,
        clock: Callable[[], int] = lambda: int(time.time()),
        verifier: Verifier | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.store = store
        self.identity = identity
        self._clock = clock
        self._verifier = verifier or verifiers.threads()
        self._faults = faults or NoFaults()
        self._tree = merkle.Tree()
        for leaf in store.leaves():
            self._tree.append(leaf)
        self._lattice = LatticeHash(store.lattice_sum() or bytes(2048))
        self._books = Books.of(store.records())
        self._check_opening()
        self._submissions: queue.Queue[Submission | None] = queue.Queue(MAX_QUEUED)
        self._groups: queue.Queue[Group | None] = queue.Queue(_PIPELINE_DEPTH)
        self._dead: str | None = None
        self._threads = [
            threading.Thread(target=self._run_intake, name="intake", daemon=True),
            threading.Thread(target=self._run_committer, name="committer", daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish what is queued, then stop and let go of the store."""
        if self._dead != "closed":
            self._submissions.put(_STOP)
            for thread in self._threads:
                thread.join()
            self._dead = "closed"
            self._verifier.close()
            self.store.close()

    # --- bytes in ------------------------------------------------------------------------------

    def submit(self, raw: bytes) -> Future[Receipt]:
        """Take a message in. The future holds its receipt, or the typed error that refused it.

        Raises:
            Overloaded: the queue is full. Unreachable: the ledger has stopped.
        """
        if self._dead is not None:
            raise Unreachable("the ledger has stopped", reason=self._dead)
        answer: Future[Receipt] = Future()
        try:
            self._submissions.put_nowait(Submission(raw, answer))
        except queue.Full:
            raise Overloaded("the ledger's queue is full, try again", limit=MAX_QUEUED) from None
        return answer

    # --- decode and verify ---------------------------------------------------------------------

    def _run_intake(self) -> None:
        stopping = False
        while not stopping:
            taken = [self._submissions.get()]
            while len(taken) < MAX_BATCH and not self._submissions.empty():
                taken.append(self._submissions.get_nowait())
            stopping = taken[-1] is _STOP
            group = [submission for submission in taken if submission is not _STOP]
            if group:
                outcomes = self._verifier.start([submission.raw for submission in group], self.identity.network)
                self._groups.put(Group(group, outcomes))
        self._groups.put(_STOP)

    # --- verified, applied, committed, logged, answered ----------------------------------------

    def _run_committer(self) -> None:
        while (group := self._groups.get()) is not _STOP:
            try:
                if self._dead is not None:
                    raise Unreachable("the ledger has stopped", reason=self._dead)
                self._settle(group)
            except LedgerDied:
                self._dead = "died"
                _refuse(group, Unreachable("the ledger died; ask again"))
            except TengeError as error:
                _refuse(group, error)
            except Exception as error:
                log.exception("a group could not be committed")
                _refuse(group, Unreachable("the group could not be committed", reason=type(error).__name__))

    def _settle(self, group: Group) -> None:
        """Carry one group from verified to answered."""
        outcomes = [outcome for part in group.outcomes for outcome in part.result()]
        view = Overlay(self.store, self.store.prefetch(Table.TOKEN, _inputs(outcomes)))
        work = _Work(view, self._tree.size, self._books, max(self._clock(), self.store.ledger_time_s))
        for submission, outcome in zip(group.submissions, outcomes, strict=True):
            if isinstance(outcome, TengeError):
                submission.answer.set_exception(outcome)
                continue
            try:
                work.add(outcome, submission)
            except TengeError as error:
                self._refuse_or_repeat(work, submission, outcome, error)
        if work.entries:
            self._answer(work, self._commit(work))
        for answer, index in work.repeats:
            answer.set_result(self.receipt(index))

    def _refuse_or_repeat(self, work: _Work, submission: Submission, verified: Verified, error: TengeError) -> None:
        """A message that is in the log already gets its receipt again, whatever has changed since."""
        index = entry_of(work.view, verified)
        if index is None:
            submission.answer.set_exception(error)
        else:
            work.repeats.append((submission.answer, index))

    def _commit(self, work: _Work) -> str:
        """Leaves, checkpoint, entries and state change: one transaction."""
        before_size, before_sum = self._tree.size, self._lattice.to_bytes()
        try:
            for entry in work.entries:
                self._tree.append(entry.leaf)
            self._lattice.update(work.changes.items())
            note = checkpoint.sign(
                Checkpoint(self.identity.origin, self._tree.size, self._tree.root(), self._lattice.root()),
                self.identity.operator,
            )
            self._faults.before_commit()
            self.store.commit(
                Batch(
                    entries=work.entries,
                    changes=work.changes,
                    consumed=work.consumed,
                    size=self._tree.size,
                    checkpoint=note,
                    lattice_sum=self._lattice.to_bytes(),
                    ledger_time_s=work.time_s,
                )
            )
        except BaseException:
            self._tree.truncate(before_size)
            self._lattice = LatticeHash(before_sum)
            raise
        self._books = work.books
        self._faults.after_commit()
        return note

    def _answer(self, work: _Work, note: str) -> None:
        """The receipts of a committed group."""
        indexes = [entry.index for entry in work.entries]
        proofs = self._tree.inclusions(indexes, self._tree.size)
        for answer, index, proof in zip(work.answers, indexes, proofs, strict=True):
            answer.set_result(Receipt(index, work.time_s, note, proof))

    def receipt(self, index: int) -> Receipt:
        """The receipt of an entry: always the same one, under the first checkpoint that covered it.

        Raises:
            LedgerCorrupt: there is no such entry.
        """
        covering, data = self.store.checkpoint_covering(index), self.store.entry(index)
        if covering is None or data is None:
            raise LedgerCorrupt("no such entry", index=index)
        size, note = covering
        return Receipt(index, entries.decode(data)[0], note, tuple(self._tree.inclusion(index, size)))

    def _check_opening(self) -> None:
        """What was stored must be one consistent ledger before anything is added to it."""
        latest = self.store.latest_checkpoint()
        if latest is None:
            if self._tree.size:
                raise LedgerCorrupt("entries without a checkpoint")
            return
        found = checkpoint.verify(latest[1], self.identity.origin, self.identity.operator.public)
        if (found.size, found.root) != (self._tree.size, self._tree.root()):
            raise LedgerCorrupt("the last checkpoint does not match the entries", size=found.size)
        if found.state_root != self._lattice.root():
            raise LedgerCorrupt("the last checkpoint does not match the state", size=found.size)


class _Work:
    """One group being applied: an overlay on the store and everything that the commit will write."""

    def __init__(self, view: Overlay, size: int, books: Books, time_s: int) -> None:
        self.view = view
        self.books = books
        self.time_s = time_s
        self.entries: list[NewEntry] = []
        self.changes: dict[Key, Change] = {}
        self.consumed: list[tuple[bytes, bytes, int]] = []
        self.answers: list[Future[Receipt]] = []
        self.repeats: list[tuple[Future[Receipt], int]] = []
        self._next = size

    def add(self, verified: Verified, submission: Submission) -> None:
        """Apply one message on top of those before it in the group; an error leaves no trace."""
        delta = apply(self.view, Entry(self.time_s, verified))
        self.books = self.books.follow(delta)
        data = entries.encode(self.time_s, submission.raw)
        self.entries.append(NewEntry(self._next, data, merkle.leaf_hash(data)))
        self.view.add(delta, self._next, self.time_s)
        for key, change in delta.changes.items():
            first = self.changes.get(key)
            self.changes[key] = Change(first.before if first else change.before, change.after)
        self.consumed.extend((thing, message_id, self._next) for thing, message_id in delta.consumed)
        self.answers.append(submission.answer)
        self._next += 1


def entry_of(view: View, message: Verified) -> int | None:
    """The entry that carried this message, or all the evidence in it; None if the log has it not."""
    indexes = []
    for part in message.parts or (message,):
        found = [c.entry_index for c in view.consumers_of(_consumes(part)) if c.message_id == part.id]
        if not found:
            return None
        indexes.append(found[0])
    return indexes[0]


def _consumes(message: Verified) -> bytes:
    """The first thing that a message uses up: an outpoint, or its own id."""
    match message.body:
        case bodies.Spend():
            return message.body.inputs[0]
        case bodies.Sweep():
            return message.body.outpoints[0]
        case _:
            return message.id


def _inputs(outcomes: Iterable[Outcome]) -> Iterable[bytes]:
    """The outpoints that a group's messages spend."""
    for outcome in outcomes:
        if isinstance(outcome, Verified) and isinstance(outcome.body, bodies.Spend):
            yield from outcome.body.inputs


def _refuse(group: Group, error: TengeError) -> None:
    for submission in group.submissions:
        if not submission.answer.done():
            submission.answer.set_exception(error)
