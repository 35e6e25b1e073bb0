"""Conditions as scenario files write them, turned into the canonical algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cbdc.amounts import parse_tenge
from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.purposes import conditions
from cbdc.purposes.conditions import Condition
from cbdc.purposes.conditions.time import DAYS
from wallet.scenarios.schema import time_of


def condition_of(table: dict[str, Any], account_of: Callable[[str], str]) -> Condition:
    """The condition of a TOML table such as ``{ payee_mcc = ["5812"] }``.

    Raises:
        Malformed: unknown or not well written. TooLarge: beyond the limits.
    """
    return conditions.from_cbor(_canonical(table, account_of))


def _canonical(table: object, account_of: Callable[[str], str]) -> cbor.Value:
    if not isinstance(table, dict) or len(table) != 1:
        raise Malformed("a condition is a table with one name", found=str(table)[:80])
    ((name, argument),) = table.items()
    match name:
        case "all" | "any":
            inner = [_canonical(item, account_of) for item in _list(argument, name)]
            return [name, sorted(inner, key=cbor.encode)]
        case "not":
            return [name, _canonical(argument, account_of)]
        case "payee" | "payer":
            return [name, sorted({account_of(str(item)) for item in _list(argument, name)})]
        case "payee_tier":
            return [name, sorted(set(argument if isinstance(argument, list) else [argument]))]
        case "hours":
            return [name, _hours(argument)]
        case "payee_mcc" | "payee_kato":
            return [name, sorted({str(item) for item in _list(argument, name)})]
        case "per_payment":
            return [name, parse_tenge(str(argument))]
        case "after" | "before":
            return [name, time_of(argument)]
        case _:
            raise Malformed("this condition is not there yet", found=name)


def _hours(table: object) -> cbor.Value:
    """``{ days = "mon-fri", from = "08:00", to = "18:00" }``; days are a range, or names with commas between them."""
    if not isinstance(table, dict) or table.keys() != {"days", "from", "to"}:
        raise Malformed("hours takes days, from and to")
    return [sorted(_days(str(table["days"]))), _minute(str(table["from"])), _minute(str(table["to"]))]


def _days(text: str) -> set[int]:
    found: set[int] = set()
    for part in text.split(","):
        first, _, last = part.strip().partition("-")
        ends = [first, last or first]
        if not all(day in DAYS for day in ends):
            raise Malformed("no such days", found=text, wanted=" ".join(DAYS))
        start, end = (DAYS.index(day) for day in ends)
        found |= {(start + step) % len(DAYS) for step in range((end - start) % len(DAYS) + 1)}
    return found


def _minute(text: str) -> int:
    hours, colon, minutes = text.partition(":")
    if not (colon and hours.isdecimal() and minutes.isdecimal() and len(minutes) == 2 and int(minutes) < 60):
        raise Malformed("not a time of day", found=text, wanted="08:00")
    return int(hours) * 60 + int(minutes)


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed(f"{name} takes a list")
    return value
