"""Where each grant went, as trees.

A node is money that reached a holder by one message. What he keeps or gets as change stays in the node, and so does
what happens to it in his hands: loads, renewals, waiting, sweeps, recalls are its turns. What goes to another holder,
or comes back, is a child. A message that spends tokens of several nodes is followed below the one that comes to it
first; in the others its part is ``elsewhere``.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

from cbdc.service.tracking.records import Fate, Flow, Moved, Place, Turn
from cbdc.service.tracking.trail import Piece, Step, Trail

MAX_DEPTH: Final = 32
"""Holders below one another in one tree: more than any chain of contractors has. What goes on longer, such as money
that two of them pass to and fro, gets a tree of its own."""

_FATES: Final = {
    Place.ONLINE: Fate.ONLINE,
    Place.OFFLINE: Fate.OFFLINE,
    Place.WAITING: Fate.WAITING,
}

_TURNS: Final = {
    Moved.WAITS: Place.WAITING,
    Moved.LAPSED: Place.ONLINE,
    Moved.LOAD: Place.OFFLINE,
    Moved.UNLOAD: Place.ONLINE,
    Moved.RENEWAL: Place.OFFLINE,
    Moved.FINAL: Place.ONLINE,
    Moved.FREED: None,
    Moved.EXPIRED: None,
    Moved.RECALLED: None,
}
"""What happens to money in one holder's hands, and where what it moves is then; None: gone from the trail."""


def grow(trail: Trail) -> tuple[Flow, ...]:
    """The trees in the order of the log: one for each grant, and for whatever no grant leads to, such as what a
    reserve pays for a payment out of money that never was any."""
    grower = _Grower(trail)
    grants = [grower.tree(index) for index, step in enumerate(trail.steps) if step.kind is Moved.GRANT]
    rest = [grower.tree(index) for index in range(len(trail.steps)) if not grower.has(index)]
    return tuple(flow for flows in (*grants, *rest) for flow in flows)


@dataclass(slots=True)
class _Node:
    """A node in the making: the tokens that are still to be followed, and what became of the others."""

    holder: str
    depth: int
    queue: deque[Piece]
    joined_tiyn: int = 0
    covered_tiyn: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    turns: list[Turn] = field(default_factory=list)
    passed_on: list[tuple[Step, list[Piece]]] = field(default_factory=list)
    own_steps: set[int] = field(default_factory=set)


class _Grower:
    """Knows which steps have a place already; each has one only."""

    def __init__(self, trail: Trail) -> None:
        self._trail = trail
        self._grown: set[int] = set()
        self._spends: dict[bytes, list[int]] = {}
        for index, step in enumerate(trail.steps):
            for name in dict.fromkeys((*step.inputs, *step.after)):  # a refund may draw from what was paid
                self._spends.setdefault(name, []).append(index)

    def has(self, index: int) -> bool:
        """Whether a step has its place."""
        return index in self._grown

    def tree(self, index: int) -> list[Flow]:
        """The trees that begin with a step, one for each holder."""
        self._grown.add(index)
        step = self._trail.steps[index]
        return [self._flow(step, pieces, 0) for pieces in self._by_holder(step)]

    def _by_holder(self, step: Step) -> list[list[Piece]]:
        found: dict[str, list[Piece]] = {}
        for piece in self._pieces(step.outputs):
            found.setdefault(piece.holder, []).append(piece)
        return list(found.values())

    def _pieces(self, names: Sequence[bytes]) -> list[Piece]:
        return [self._trail.pieces[name] for name in names]

    def _flow(self, step: Step, pieces: list[Piece], depth: int) -> Flow:
        node = _Node(pieces[0].holder, depth, deque(pieces))
        while node.queue:
            self._follow(node, node.queue.popleft())
        # only now: what comes back to this holder joins what he has, and not the other way round
        children = [self._flow(passed, theirs, depth + 1) for passed, theirs in node.passed_on]
        return Flow(
            kind=self._kind(step, node.holder),
            message=step.at.message,
            entry=step.at.entry,
            time_s=step.at.time_s,
            payer=step.payer,
            holder=node.holder,
            amount_tiyn=sum(piece.amount_tiyn for piece in pieces),
            is_marked=any(piece.place is not Place.FREE for piece in pieces),
            joined_tiyn=node.joined_tiyn,
            covered_tiyn=node.covered_tiyn,
            fates=tuple((fate, node.fates[fate]) for fate in Fate if node.fates[fate]),
            turns=tuple(sorted(node.turns, key=lambda turn: turn.entry)),
            children=tuple(sorted(children, key=lambda child: child.entry)),
        )

    def _kind(self, step: Step, holder: str) -> Moved:
        is_part = step.kind is Moved.PAYMENT and self._trail.definition.is_split_part(holder)
        return Moved.SPLIT if is_part else step.kind

    def _follow(self, node: _Node, piece: Piece) -> None:
        """One token of the node: what is left of it here, and where it went."""
        spends = self._spends.get(piece.name, ())
        inputs = [index for index in spends if piece.name in self._trail.steps[index].inputs]
        if piece.place is Place.FREE:
            node.fates[Fate.SPENT] += piece.amount_tiyn
            node.covered_tiyn += piece.amount_tiyn * len(inputs)
        elif not inputs:
            node.fates[_FATES[piece.place]] += piece.amount_tiyn
        else:
            node.covered_tiyn += piece.amount_tiyn * (len(inputs) - 1)
        for index in spends:
            self._spend(node, piece, index, is_input=index in inputs)

    def _spend(self, node: _Node, piece: Piece, index: int, *, is_input: bool) -> None:
        step = self._trail.steps[index]
        brought_tiyn = piece.amount_tiyn if is_input else 0
        if index in node.own_steps:
            node.joined_tiyn -= brought_tiyn
            return
        passed_on = [pieces for pieces in self._by_holder(step) if pieces[0].holder != node.holder]
        if index in self._grown or (passed_on and node.depth + 1 >= MAX_DEPTH):
            node.fates[Fate.ELSEWHERE] += brought_tiyn
            return
        self._grown.add(index)
        node.own_steps.add(index)
        node.joined_tiyn += sum(other.amount_tiyn for other in self._pieces(step.inputs)) - brought_tiyn
        if is_input or piece.place is not Place.FREE:
            node.joined_tiyn += step.drawn_tiyn
        else:  # what came back out of free money that this node's payment had brought is no longer spent
            node.fates[Fate.SPENT] -= step.drawn_tiyn
        node.fates.update(dict(step.gone))
        self._turn(node, step)
        node.queue.extend(piece for piece in self._pieces(step.outputs) if piece.holder == node.holder)
        node.passed_on.extend((step, pieces) for pieces in passed_on)

    def _turn(self, node: _Node, step: Step) -> None:
        if step.kind in _TURNS:
            place = _TURNS[step.kind]
            moved_tiyn = sum(piece.amount_tiyn for piece in self._pieces(step.outputs) if piece.place is place)
            moved_tiyn += sum(tiyn for _, tiyn in step.gone)
            node.turns.append(Turn(step.kind, step.at.message, step.at.entry, step.at.time_s, moved_tiyn))
