"""Adding up: the books, who holds what, and sums by payee, category, region, item and day."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from typing import Final

from cbdc.errors import InvariantViolation
from cbdc.purposes.conditions.time import show_time
from cbdc.service.tracking.records import Books, Fate, Group, Held, Moved, Movement, Place, Row, Tracked
from cbdc.service.tracking.trail import Trail

PAID: Final = frozenset({Moved.PAYMENT, Moved.SPLIT})
GIVEN_BACK: Final = frozenset({Moved.REFUND, Moved.RELEASE})
RETURNED: Final = frozenset({Moved.EXPIRED, Moved.RECALLED})


def books_of(trail: Trail) -> Books:
    """The books of a purpose.

    Raises:
        InvariantViolation: they do not balance.
    """
    live: Counter[Place] = Counter()
    for name in trail.live:
        live[trail.pieces[name].place] += trail.pieces[name].amount_tiyn
    gone: Counter[Fate] = Counter()
    for step in trail.steps:
        gone.update(dict(step.gone))
    ended_tiyn = sum(piece.amount_tiyn for piece in trail.pieces.values() if piece.place is Place.FREE)
    granted_tiyn = sum(step.drawn_tiyn for step in trail.steps if step.kind is Moved.GRANT)
    drawn_tiyn = sum(step.drawn_tiyn for step in trail.steps) - granted_tiyn
    books = Books(
        issued_tiyn=granted_tiyn,
        covered_tiyn=sum(step.covered_tiyn for step in trail.steps),
        online_tiyn=live[Place.ONLINE],
        offline_tiyn=live[Place.OFFLINE],
        waiting_tiyn=live[Place.WAITING],
        paid_tiyn=_sum(trail.movements, PAID),
        given_back_tiyn=_sum(trail.movements, GIVEN_BACK),
        spent_tiyn=ended_tiyn + gone[Fate.SPENT] - drawn_tiyn,
        returned_tiyn=gone[Fate.RETURNED],
        seized_tiyn=gone[Fate.SEIZED],
    )
    if not books.is_balanced:
        raise InvariantViolation("the books of the purpose do not balance", purpose=trail.definition.name)
    return books


def held_of(trail: Trail) -> tuple[Held, ...]:
    """What each account holds under the mark, the most first."""
    sums: dict[str, Counter[Place]] = {}
    for name in trail.live:
        piece = trail.pieces[name]
        sums.setdefault(piece.holder, Counter())[piece.place] += piece.amount_tiyn
    places = (Place.ONLINE, Place.OFFLINE, Place.WAITING)
    held = [Held(holder, *(by_place[place] for place in places)) for holder, by_place in sums.items()]
    return tuple(sorted(held, key=lambda one: (-one.total_tiyn, one.holder)))


def _sum(movements: Iterable[Movement], kinds: frozenset[Moved]) -> int:
    return sum(movement.amount_tiyn for movement in movements if movement.kind in kinds)


# --- by ----------------------------------------------------------------------------------------


def rows_by(tracked: Tracked, group: Group) -> tuple[Row, ...]:
    """Sums by what ``group`` says; days in order, all others with the most paid first."""
    rows: dict[str | None, Row] = {}
    for movement in tracked.movements:
        for key, tiyn in _shares(movement, group):
            before = rows.get(key, Row(key))
            rows[key] = _add(before, movement.kind, tiyn)
    if group is Group.DAY:
        return tuple(rows[key] for key in sorted(rows, key=str))
    return tuple(sorted(rows.values(), key=lambda row: (-row.paid_tiyn, row.key is None, row.key or "")))


def _shares(movement: Movement, group: Group) -> Iterable[tuple[str | None, int]]:
    """What a movement counts for: (key, tiyn)."""
    if group is Group.DAY:
        counts = movement.kind in PAID | GIVEN_BACK | RETURNED | {Moved.GRANT}
        return [(day_of(movement.time_s), movement.amount_tiyn)] if counts else []
    if movement.kind not in PAID | GIVEN_BACK:
        return []
    if group is Group.ITEM:
        return movement.items
    return [(_KEYS[group](movement), movement.amount_tiyn)]


def day_of(time_s: int) -> str:
    """The day in Almaty: ``2026-09-01``."""
    return show_time(time_s)[:10]


def _merchant(movement: Movement) -> str:
    return movement.payer if movement.kind in GIVEN_BACK else movement.payee


_KEYS: Final[dict[Group, Callable[[Movement], str | None]]] = {
    Group.PAYEE: _merchant,
    Group.MCC: lambda movement: movement.mcc,
    Group.REGION: lambda movement: movement.kato,
}


def _add(row: Row, kind: Moved, tiyn: int) -> Row:
    return Row(
        row.key,
        row.granted_tiyn + (tiyn if kind is Moved.GRANT else 0),
        row.paid_tiyn + (tiyn if kind in PAID else 0),
        row.given_back_tiyn + (tiyn if kind in GIVEN_BACK else 0),
        row.returned_tiyn + (tiyn if kind in RETURNED else 0),
    )
