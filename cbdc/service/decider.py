"""The one place where order is decided: applies verified messages, one after the other, to the head of the ledger.

The head may be one group ahead of the disk: while the writer commits a group, the next is decided on top of it. No
answer is given from here, so nobody learns of anything that is not durable yet.
"""

from __future__ import annotations

import logging
import sqlite3
from collections import deque
from collections.abc import Iterable
from itertools import chain
from typing import Final

from cbdc.errors import InvariantViolation, TengeError, Unreachable
from cbdc.formats.tokens import outpoint
from cbdc.log import entries, merkle
from cbdc.messages import bodies
from cbdc.messages.message import Body, Verified
from cbdc.service.groups import Decided, Submission
from cbdc.service.horizon import Horizon
from cbdc.service.verifiers import Outcome
from cbdc.service.writer import Writer
from cbdc.state.records import Table
from cbdc.state.view import Change, Delta, Key, Layer, Overlay, View
from cbdc.store.base import NewEntry
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.apply import Entry, apply
from cbdc.transition.invariants import Books
from cbdc.transition.late import late_payments

log = logging.getLogger(__name__)

_AHEAD: Final = 1
"""Groups that may be decided but not yet committed while another is being decided."""


class Decider:
    """Decides groups in order. ``reader`` is a connection of its own, which sees only what is committed."""

    def __init__(self, reader: SqliteStore, writer: Writer, horizon: Horizon) -> None:
        self._reader = reader
        self._writer = writer
        self._horizon = horizon
        self._in_flight: deque[tuple[Decided, Layer]] = deque()
        self._generation = writer.generation
        self._head = writer.committed

    def decide(self, submissions: list[Submission], outcomes: Iterable[list[Outcome]]) -> Decided:
        """Apply a group on top of all groups before it; every submitter's answer is prepared, none is given.

        The outcomes may come some at a time, in order: what is verified is decided while the rest is being verified.
        If they cannot be had to the end, the group has not happened. Else whoever wrote it or gave it up tells the
        horizon so.
        """
        self._settle_in_flight()
        time_s = self._horizon.begin(self._head.time_s)
        try:
            return self._apply_all(submissions, outcomes, time_s)
        except BaseException:
            self._horizon.end(time_s)
            raise

    def _apply_all(self, submissions: list[Submission], outcomes: Iterable[list[Outcome]], time_s: int) -> Decided:
        below = self._in_flight[-1][1] if self._in_flight else None
        prefetched: dict[Key, bytes | None] = {}
        view = Overlay(self._reader, prefetched, below)
        view.ledger_time_s = self._head.time_s
        decided = Decided(self._generation, time_s, self._head.books)
        work = _Work(view, decided, self._head.size)
        waiting = iter(submissions)
        for part in outcomes:
            prefetched.update(self._prefetch(part))
            for outcome, submission in zip(part, waiting, strict=False):
                decided.answers.append((submission.answer, work.decide(submission.raw, outcome)))
        if len(decided.answers) != len(submissions):
            raise Unreachable("not every message of a group has an outcome", found=len(decided.answers))
        if decided.entries:
            self._head = self._head.after(decided)
        self._in_flight.append((decided, view.layer))
        return decided

    def _prefetch(self, outcomes: list[Outcome]) -> dict[Key, bytes | None]:
        """The tokens that a group's messages will ask for, many in one query."""
        messages = [outcome for outcome in outcomes if isinstance(outcome, Verified)]
        online = self._reader.prefetch(Table.TOKEN, _online(messages))
        return online | self._reader.prefetch(Table.OFFLINE, _offline(messages))

    def _settle_in_flight(self) -> None:
        """Wait until at most `_AHEAD` groups are not on disk; start over from the disk if one could not be written."""
        while len(self._in_flight) > _AHEAD:
            decided, _ = self._in_flight.popleft()
            decided.written.wait()
            self._reader.remember(decided.changes)
        if self._writer.generation != self._generation:
            for decided, _ in self._in_flight:
                decided.written.wait()
            self._in_flight.clear()
            self._reader.forget()
            self._generation, self._head = self._writer.generation, self._writer.committed


class _Work:
    """One group being applied."""

    def __init__(self, view: Overlay, decided: Decided, size: int) -> None:
        self._view = view
        self._decided = decided
        self._next = size

    def decide(self, raw: bytes, outcome: Outcome) -> int | TengeError:
        """Apply one message; the index of the entry that carries it, or the error that refused it."""
        if isinstance(outcome, TengeError):
            return outcome
        try:
            prepared = self._prepare(raw, outcome)
        except TengeError as error:
            self._note_late(raw, outcome)
            # a message that is in the log already gets its receipt again, whatever has changed since
            index = entry_of(self._view, outcome)
            return error if index is None else index
        except (sqlite3.Error, OSError, MemoryError):
            raise  # it is not this message's fault: nothing can be decided now
        except Exception as error:
            # a defect of ours, which must decide for nobody else in the group
            log.exception("a message could not be applied")
            return InvariantViolation("applying failed", reason=type(error).__name__)
        return self._add(raw, outcome, *prepared)

    def _prepare(self, raw: bytes, verified: Verified) -> tuple[Delta, Books, NewEntry]:
        """All that can be refused. Nothing has changed yet."""
        decided = self._decided
        delta = apply(self._view, Entry(decided.time_s, verified))
        books = decided.books.follow(delta)
        data = entries.encode(decided.time_s, raw)
        return delta, books, NewEntry(self._next, data, merkle.leaf_hash(data))

    def _add(self, raw: bytes, verified: Verified, delta: Delta, books: Books, entry: NewEntry) -> int:
        decided, index = self._decided, entry.index
        decided.books = books
        decided.entries.append(entry)
        self._view.add(delta, index, decided.time_s)
        changes = decided.changes
        for key, change in delta.changes.items():
            first = changes.get(key)
            changes[key] = change if first is None else Change(first.before, change.after)
        for thing, message_id in delta.consumed:
            decided.consumed.append((thing, message_id, index))
        self._next += 1
        if delta.refused:
            self._note_late(raw, verified)
        return index

    def _note_late(self, raw: bytes, verified: Verified) -> None:
        """Evidence of which something was refused: what of it came only too late is to be kept."""
        if type(verified.body) is bodies.Reconcile or _is_offline_payment(verified.body):
            late = late_payments(self._view, verified, raw, self._decided.time_s)
            self._decided.late.extend((self._next, payment) for payment in late)


def entry_of(view: View, message: Verified) -> int | None:
    """The entry that carried this very message; None if the log has it not."""
    carriers = view.consumers_of(_consumes(message))
    return next((carrier.entry_index for carrier in carriers if carrier.message_id == message.id), None)


def _consumes(message: Verified) -> bytes:
    """The first thing that a message uses up: an outpoint, or its own id."""
    match message.body:
        case bodies.Spend():
            return message.body.inputs[0]
        case bodies.Sweep():
            return message.body.outpoints[0]
        case _:
            return message.id


def _online(messages: Iterable[Verified]) -> Iterable[bytes]:
    """The online tokens that messages spend."""
    for message in messages:
        if isinstance(message.body, bodies.Spend) and not _is_offline(message.body):
            yield from message.body.inputs


def _offline(messages: Iterable[Verified]) -> Iterable[bytes]:
    """The offline outputs that messages spend, and those that evidence makes: these may be there, void."""
    for part in chain.from_iterable(message.parts or (message,) for message in messages):
        if isinstance(part.body, bodies.Spend) and _is_offline(part.body):
            yield from part.body.inputs
            yield from (outpoint(part.id, index) for index in range(len(part.body.outputs)))


def _is_offline(body: bodies.Spend) -> bool:
    """Whether the inputs are offline outputs."""
    return type(body) is bodies.Unload or _is_offline_payment(body)


def _is_offline_payment(body: Body) -> bool:
    return type(body) is bodies.Transfer and body.terms is not None
