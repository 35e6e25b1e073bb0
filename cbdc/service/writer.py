"""Commit, log, answer: makes a decided group durable and only then gives its receipts out."""

from __future__ import annotations

import logging
import sqlite3
from dataclasses import dataclass
from typing import Protocol

from cbdc.errors import InvariantViolation, LedgerCorrupt, Unreachable
from cbdc.formats.ed25519 import SigningKey
from cbdc.log import checkpoint, entries, merkle
from cbdc.log.checkpoint import Checkpoint
from cbdc.log.receipts import Receipt
from cbdc.service.groups import Decided
from cbdc.service.late import Keeper
from cbdc.state.root import SUM_BYTES, LatticeHash
from cbdc.store.base import Batch, LateBatch
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.invariants import Books

log = logging.getLogger(__name__)


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
class Identity:
    """Who this ledger is: the network (governor's root key), its name and the operator's key."""

    network: bytes
    name: str
    operator: SigningKey

    @property
    def origin(self) -> str:
        return checkpoint.origin_of(self.name)


@dataclass(frozen=True, slots=True)
class Head:
    """The end of the log: number of entries, ledger time in seconds, the books."""

    size: int
    time_s: int
    books: Books

    def after(self, decided: Decided) -> Head:
        """The head once a decided group stands on it."""
        return Head(self.size + len(decided.entries), decided.time_s, decided.books)


class Writer:
    """Owns the writing connection, the tree and the state sum. ``generation`` grows when a group was given up."""

    def __init__(self, store: SqliteStore, identity: Identity, faults: Faults | None = None) -> None:
        self._store = store
        self._identity = identity
        self._faults = faults or NoFaults()
        self._tree = merkle.Tree()
        self.generation = 0
        self._cause: BaseException | None = None
        try:
            for leaf in store.leaves():
                self._tree.append(leaf)
            self._lattice = LatticeHash(store.lattice_sum() or bytes(SUM_BYTES))
            self.committed = Head(self._tree.size, store.ledger_time_s, Books.of(store.records()))
            self._check_opening()
            self._keeper = Keeper(store.late, identity.operator, identity.network)
        except (ValueError, TypeError, LookupError, sqlite3.DatabaseError) as error:
            raise LedgerCorrupt("the file cannot be read as a ledger", reason=str(error)) from None

    def write(self, decided: Decided) -> None:
        """Commit a group and answer its submitters.

        Raises:
            Whatever kept it from being committed; then nothing of it was, and no one has been answered. What goes
            wrong behind the commit is not raised but told to those who have no receipt: theirs is committed.
        """
        try:
            if decided.generation != self.generation:
                reason = type(self._cause).__name__
                raise Unreachable("a group before this one could not be committed; try again", reason=reason)
            late = self._keeper.choose(decided.late)
            note = self._commit(decided, late) if decided.entries else self._keep(late)
        except BaseException as error:
            if decided.generation == self.generation:
                self.generation += 1
                self._cause = error
            raise
        try:
            if decided.entries or late:
                self._faults.after_commit()
            self._answer(decided, note)
        except Exception as error:
            log.exception("a committed group could not be answered")
            _tell_committed(decided, error)

    @property
    def was_misfit(self) -> bool:
        """Whether the last group that was given up did not fit the store, for which one of its messages is to blame."""
        return isinstance(self._cause, InvariantViolation)

    def _keep(self, late: LateBatch | None) -> str:
        """A group without an entry: late evidence is all that becomes durable, and there is no new checkpoint."""
        if late is not None:
            self._faults.before_commit()
            self._store.keep_late(late)
            self._keeper.committed()
        return ""

    def _commit(self, decided: Decided, late: LateBatch | None) -> str:
        """Leaves, checkpoint, entries, state change and late evidence: one transaction."""
        before_size, before_sum = self._tree.size, self._lattice.to_bytes()
        try:
            for entry in decided.entries:
                self._tree.append(entry.leaf)
            self._lattice.update(decided.changes.items())
            size, roots = self._tree.size, (self._tree.root(), self._lattice.root())
            note = checkpoint.sign(Checkpoint(self._identity.origin, size, *roots), self._identity.operator)
            batch = Batch(
                entries=decided.entries,
                changes=decided.changes,
                consumed=decided.consumed,
                size=size,
                checkpoint=note,
                lattice_sum=self._lattice.to_bytes(),
                ledger_time_s=decided.time_s,
                late=late,
            )
            self._faults.before_commit()
            self._store.commit(batch)
        except BaseException:
            self._tree.truncate(before_size)
            self._lattice = LatticeHash(before_sum)
            raise
        self.committed = self.committed.after(decided)
        self._keeper.committed()
        return note

    def _answer(self, decided: Decided, note: str) -> None:
        """Receipts for what was committed, earlier receipts for repeats, errors for the rest."""
        fresh = [entry.index for entry in decided.entries]
        proofs = dict(zip(fresh, self._tree.inclusions(fresh, self._tree.size), strict=True))
        for answer, decision in decided.answers:
            if not isinstance(decision, int):
                answer.set_exception(decision)
            elif decision in proofs:
                answer.set_result(Receipt(decision, decided.time_s, note, proofs[decision]))
            else:
                answer.set_result(self.receipt(decision))

    def receipt(self, index: int) -> Receipt:
        """The receipt of an entry: always the same one, under the first checkpoint that covered it.

        Raises:
            LedgerCorrupt: there is no such entry.
        """
        covering, data = self._store.checkpoint_covering(index), self._store.entry(index)
        if covering is None or data is None:
            raise LedgerCorrupt("no such entry", index=index)
        size, note = covering
        return Receipt(index, entries.decode(data)[0], note, tuple(self._tree.inclusion(index, size)))

    def _check_opening(self) -> None:
        """What was stored must be one consistent ledger before anything is added to it."""
        latest = self._store.latest_checkpoint()
        if latest is None:
            if self._tree.size:
                raise LedgerCorrupt("entries without a checkpoint")
            return
        found = checkpoint.verify(latest[1], self._identity.origin, self._identity.operator.public)
        if (found.size, found.root) != (self._tree.size, self._tree.root()):
            raise LedgerCorrupt("the last checkpoint does not match the entries", size=found.size)
        if found.state_root != self._lattice.root():
            raise LedgerCorrupt("the last checkpoint does not match the state", size=found.size)


def _tell_committed(decided: Decided, error: Exception) -> None:
    """Refusals as they were decided; to all others that the log has their message, whatever became of the answer."""
    lost = Unreachable(
        "it is committed, but its receipt could not be given: send the same bytes again", reason=type(error).__name__
    )
    for answer, decision in decided.answers:
        if not answer.done():
            answer.set_exception(lost if isinstance(decision, int) else decision)
