"""A report for other programs: JSON and CSV. Amounts are tenge with two decimals, days and times are Almaty's."""

from __future__ import annotations

import csv
from typing import Any, Final, TextIO

from cbdc.amounts import format_tenge
from cbdc.purposes.conditions.time import show_time
from cbdc.service.tracking import (
    NOT_STATED,
    NOT_TOLD_APART,
    Books,
    Flow,
    Group,
    Held,
    Movement,
    Row,
    Tracked,
    Turn,
    day_of,
    rows_by,
)
from wallet.drawing.purpose import key_of

COLUMNS: Final = (
    "entry",
    "time",
    "day",
    "movement",
    "from",
    "to",
    "amount",
    "place",
    "mark",
    "mcc",
    "region",
    "items",
    "message",
)


def facts_of(tracked: Tracked) -> dict[str, Any]:
    """Everything, as plain values."""
    definition = tracked.definition
    return {
        "purpose": {"id": tracked.purpose.hex(), "name": definition.name, "title": definition.titles[0]},
        "entries": tracked.entries,
        "until_s": tracked.until_s,
        "books": _books(tracked.books),
        "held": [_held(held) for held in tracked.held],
        "by": {group.value: [_row(row, group) for row in rows_by(tracked, group)] for group in Group},
        "movements": [_movement(movement) for movement in tracked.movements],
        "trees": [_flow(tree) for tree in tracked.trees],
    }


def _books(books: Books) -> dict[str, str]:
    sums = {
        "issued": books.issued_tiyn,
        "covered": books.covered_tiyn,
        "held": books.held_tiyn,
        "held_online": books.online_tiyn,
        "held_offline": books.offline_tiyn,
        "waiting": books.waiting_tiyn,
        "paid": books.paid_tiyn,
        "refunded": books.given_back_tiyn,
        "spent": books.spent_tiyn,
        "returned": books.returned_tiyn,
        "seized": books.seized_tiyn,
    }
    return {name: format_tenge(tiyn) for name, tiyn in sums.items()}


def _held(held: Held) -> dict[str, str]:
    sums = {"online": held.online_tiyn, "offline": held.offline_tiyn, "waiting": held.waiting_tiyn}
    return {"holder": held.holder, **{name: format_tenge(tiyn) for name, tiyn in sums.items()}}


def _row(row: Row, group: Group) -> dict[str, Any]:
    """``key`` is null where there is no such thing; ``name`` says so in words."""
    sums = {
        "granted": row.granted_tiyn,
        "paid": row.paid_tiyn,
        "refunded": row.given_back_tiyn,
        "net": row.net_tiyn,
        "returned": row.returned_tiyn,
    }
    key = None if row.key in (NOT_STATED, NOT_TOLD_APART) else row.key
    return {"key": key, "name": key_of(row.key, group), **{name: format_tenge(tiyn) for name, tiyn in sums.items()}}


def _movement(movement: Movement) -> dict[str, Any]:
    return {
        "entry": movement.entry,
        "time_s": movement.time_s,
        "day": day_of(movement.time_s),
        "movement": movement.kind.value,
        "from": movement.payer,
        "to": movement.payee,
        "amount": format_tenge(movement.amount_tiyn),
        "place": movement.place.value,
        "is_marked": movement.is_marked,
        "mcc": movement.mcc,
        "region": movement.kato,
        "items": {key_of(category, Group.ITEM): format_tenge(tiyn) for category, tiyn in movement.items},
        "message": movement.message.hex(),
    }


def _flow(flow: Flow) -> dict[str, Any]:
    return {
        "movement": flow.kind.value,
        "message": flow.message.hex(),
        "entry": flow.entry,
        "time_s": flow.time_s,
        "from": flow.payer,
        "holder": flow.holder,
        "amount": format_tenge(flow.amount_tiyn),
        "is_marked": flow.is_marked,
        "joined": format_tenge(flow.joined_tiyn),
        "covered": format_tenge(flow.covered_tiyn),
        "became": {fate.value: format_tenge(tiyn) for fate, tiyn in flow.fates},
        "turns": [_turn(turn) for turn in flow.turns],
        "passed_on": [_flow(child) for child in flow.children],
    }


def _turn(turn: Turn) -> dict[str, Any]:
    where = {"entry": turn.entry, "time_s": turn.time_s, "message": turn.message.hex()}
    return {"movement": turn.kind.value, "amount": format_tenge(turn.amount_tiyn), **where}


# --- CSV ---------------------------------------------------------------------------------------


def write_csv(tracked: Tracked, target: TextIO) -> None:
    """One row for each movement, in the order of the log. Raises OSError."""
    writer = csv.writer(target, lineterminator="\n")
    writer.writerow(COLUMNS)
    for movement in tracked.movements:
        writer.writerow(_cells(movement))


def _cells(movement: Movement) -> list[str]:
    items = "; ".join(f"{key_of(category, Group.ITEM)}={format_tenge(tiyn)}" for category, tiyn in movement.items)
    return [
        str(movement.entry),
        f"{show_time(movement.time_s)}+05:00",
        day_of(movement.time_s),
        movement.kind.value,
        _text(movement.payer),
        _text(movement.payee),
        format_tenge(movement.amount_tiyn),
        movement.place.value,
        "stays" if movement.is_marked else "ends",
        _text(movement.mcc or ""),
        _text(movement.kato or ""),
        _text(items),
        movement.message.hex(),
    ]


def _text(text: str) -> str:
    """Somebody else's text, such that no spreadsheet takes it for a formula."""
    return f"'{text}" if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text
