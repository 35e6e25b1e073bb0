"""The trees of a purpose's money drawn together: what took the same way is one bundle, however many grants it was."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from cbdc.service.tracking import Fate, Flow, Moved

MAX_CHILDREN: Final = 12
"""Bundles below one another that are told apart; the smallest of more are one."""

MAX_BUNDLES: Final = 300
"""In one picture: so many boxes can still be looked at, and drawn in a second."""

OTHERS: Final = ""
"""The holder of a bundle that stands for many."""


@dataclass(frozen=True, slots=True)
class Bundle:
    """Money that reached one holder in one way: by how many messages, how much of it (tiyn), and what became of it."""

    kind: Moved
    holder: str
    is_marked: bool
    count: int
    amount_tiyn: int
    fates: tuple[tuple[Fate, int], ...]
    children: tuple[Bundle, ...]


@dataclass(slots=True)
class _Making:
    """A bundle that still grows."""

    count: int = 0
    amount_tiyn: int = 0
    fates: Counter[Fate] = field(default_factory=Counter)
    children: dict[tuple[Moved, str, bool], _Making] = field(default_factory=dict)


def bundled(trees: Iterable[Flow]) -> tuple[Bundle, ...]:
    """The bundles of these trees, the largest first; no more than `MAX_BUNDLES` in all."""
    roots: dict[tuple[Moved, str, bool], _Making] = {}
    for tree in trees:
        _add(roots, tree)
    left = [MAX_BUNDLES]
    return _finished(roots, left)


def _add(makings: dict[tuple[Moved, str, bool], _Making], flow: Flow) -> None:
    making = makings.setdefault((flow.kind, flow.holder, flow.is_marked), _Making())
    making.count += 1
    making.amount_tiyn += flow.amount_tiyn
    making.fates.update(dict(flow.fates))
    for child in flow.children:
        _add(making.children, child)


def _finished(makings: dict[tuple[Moved, str, bool], _Making], left: list[int]) -> tuple[Bundle, ...]:
    """Bundles out of those in the making; ``left`` says how many more the picture has room for."""
    largest = sorted(makings.items(), key=lambda item: (-item[1].amount_tiyn, item[0]))
    room = max(0, min(MAX_CHILDREN, left[0]) - 1) if len(largest) > min(MAX_CHILDREN, left[0]) else len(largest)
    left[0] -= min(len(largest), room + 1)
    found = [_bundle(*item, left) for item in largest[:room]]
    rest = largest[room:]
    return (*found, _together(rest)) if rest else tuple(found)


def _bundle(key: tuple[Moved, str, bool], making: _Making, left: list[int]) -> Bundle:
    fates = _sorted(making.fates)
    return Bundle(*key, making.count, making.amount_tiyn, fates, _finished(making.children, left))


def _together(rest: Sequence[tuple[tuple[Moved, str, bool], _Making]]) -> Bundle:
    """The smallest as one, with everything behind them."""
    fates: Counter[Fate] = Counter()
    for _, making in rest:
        _gather(making, fates)
    count, amount_tiyn = sum(making.count for _, making in rest), sum(making.amount_tiyn for _, making in rest)
    (kind, _, is_marked), _ = rest[0]
    return Bundle(kind, OTHERS, is_marked, count, amount_tiyn, _sorted(fates), ())


def _gather(making: _Making, fates: Counter[Fate]) -> None:
    fates.update(making.fates)
    for child in making.children.values():
        _gather(child, fates)


def _sorted(fates: Counter[Fate]) -> tuple[tuple[Fate, int], ...]:
    return tuple((fate, fates[fate]) for fate in Fate if fates[fate])
