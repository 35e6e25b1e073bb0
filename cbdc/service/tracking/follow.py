"""Streams the log along a purpose's trail, and compares the end of it with the state."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from graphlib import TopologicalSorter
from typing import TypeAlias

from cbdc.errors import LedgerCorrupt
from cbdc.formats import cose
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.kinds import Kind
from cbdc.log import entries
from cbdc.messages.bodies import Attest, Grant, Load, Recall, Refund, Sweep, Transfer, Unload
from cbdc.messages.message import Message, decode
from cbdc.purposes.rules import UntilEvidence
from cbdc.service.tracking import online, purses
from cbdc.service.tracking.lookup import Lookup
from cbdc.service.tracking.online import Escrow
from cbdc.service.tracking.records import Place, Tracked
from cbdc.service.tracking.sums import books_of, held_of
from cbdc.service.tracking.trail import At, Trail
from cbdc.service.tracking.tree import grow
from cbdc.state.records import OfflineToken, Table
from cbdc.store.base import Store
from cbdc.transition.draft import parsed_definition

Progress: TypeAlias = Callable[[int, int], None]
"""Called with (entries done, entries in all)."""

_UNNAMED = frozenset({Kind.SWEEP, Kind.ATTEST, Kind.ENROL})
"""What may touch a purpose's money, or say whose it is, without naming it; every other message that does has its id in
its bytes."""


def track(store: Store, network: bytes, purpose: bytes, progress: Progress | None = None) -> Tracked:
    """Follow a purpose's money from its grants to where it is now. ``network`` is the pinned root key.

    Raises:
        LedgerCorrupt: there is no such purpose, or log and state do not agree about its money.
    """
    with _one_snapshot(store):
        value = store.get((Table.PURPOSE, purpose))
        if value is None:
            raise LedgerCorrupt("no such purpose", where=f"purpose {purpose.hex()}")
        follower = _Follower(Trail(purpose, parsed_definition(value), Lookup(store, network)), network)
        total = store.size()
        for index, data, _ in store.entries():
            follower.follow(index, data)
            if progress and (index % 64 == 0 or index + 1 == total):
                progress(index + 1, total)
        trail = follower.trail
        _compare(store, trail)
        return Tracked(
            purpose=purpose,
            definition=trail.definition,
            until_s=follower.time_s,
            entries=total,
            books=books_of(trail),
            held=held_of(trail),
            movements=tuple(sorted(trail.movements, key=lambda movement: movement.entry)),
            trees=grow(trail),
        )


@contextmanager
def _one_snapshot(store: Store) -> Iterator[None]:
    """As long as a query is open, all others see what it sees, whatever a ledger beside commits meanwhile."""
    open_query = store.entries()
    next(open_query, None)
    yield
    del open_query


class _Follower:
    """Hands each entry that may touch the purpose's money to what knows its kind."""

    def __init__(self, trail: Trail, network: bytes) -> None:
        self.trail = trail
        self._network = network
        self._ends: dict[int, list[Escrow]] = {}
        self.time_s = 0
        """Of the last entry."""

    def follow(self, index: int, data: bytes) -> None:
        time_s, raw = entries.decode(data)
        self.time_s = time_s
        for escrow in self._ends.pop(index, ()):  # first: a sweep may name what this makes
            online.end_waiting(self.trail, At(time_s, index, escrow.payment), escrow)
        if self.trail.purpose not in raw and cose.decode(raw).kind not in _UNNAMED:
            return
        message = decode(raw, self._network)
        self.trail.lookup.enrolled(message.certificates)
        for part in _ancestors_first(message.parts) if message.parts else [message]:
            self._take(part, At(time_s, index, part.id))

    def _take(self, message: Message, at: At) -> None:
        trail, body = self.trail, message.body
        if isinstance(body, Transfer) and body.terms is not None:
            purses.payment(trail, at, body, body.terms)
        elif isinstance(body, Transfer):
            escrow = online.transfer(trail, at, body, message.signers)
            if escrow is not None and escrow.waited.entry is not None:
                self._ends.setdefault(escrow.waited.entry, []).append(escrow)
        elif isinstance(body, Load | Unload):
            purses.load_or_unload(trail, at, body)
        elif isinstance(body, Sweep):
            purses.sweep(trail, at, body)
        elif isinstance(body, Grant) and body.purpose == trail.purpose:
            online.grant(trail, at, body)
        elif isinstance(body, Refund):
            online.refund(trail, at, body, message.signers)
        elif isinstance(body, Recall):
            online.recall(trail, at, body)
        elif isinstance(body, Attest):
            self._learn(at, body)

    def _learn(self, at: At, body: Attest) -> None:
        rule = self.trail.definition.mark
        if isinstance(rule, UntilEvidence) and rule.oracle == body.oracle:
            self.trail.facts.setdefault(body.about, at)


def _ancestors_first(parts: tuple[Message, ...]) -> Iterator[Message]:
    """The payments of one reconcile, those before others that they made tokens for; each once."""
    by_id = {part.id: part for part in parts}
    made_by = {
        part.id: {name[:HASH_BYTES] for name in part.body.inputs} & by_id.keys()
        for part in parts
        if isinstance(part.body, Transfer)
    }
    return (by_id[message_id] for message_id in TopologicalSorter(made_by).static_order())


# --- the comparison ----------------------------------------------------------------------------


def _compare(store: Store, trail: Trail) -> None:
    """The live tokens at the end of the trail are those that bear the mark in the state.

    Raises:
        LedgerCorrupt: they are not; ``where`` names one.
    """
    pieces = [trail.pieces[name] for name in trail.live]
    in_purses = {piece.name for piece in pieces if piece.place is Place.OFFLINE}
    found = {(p.name, p.owner, p.amount_tiyn, p.left, p.name in in_purses) for p in pieces}
    wanted = {(name, t.owner, t.amount_tiyn, t.left, False) for name, t in store.marked(trail.purpose)}
    for (_, name), value in store.records(Table.OFFLINE):
        leaf = OfflineToken.decode(value)
        if leaf.purpose == trail.purpose and leaf.is_live:
            wanted.add((name, leaf.owner, leaf.amount_tiyn, leaf.left, True))
    wrong = found ^ wanted
    if wrong:
        where = f"token {min(wrong)[0].hex()}"
        raise LedgerCorrupt("the state has other tokens of the purpose than its movements make", where=where)
