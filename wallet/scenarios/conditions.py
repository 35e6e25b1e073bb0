"""Conditions as scenario files write them, turned into the canonical algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.purposes import conditions
from cbdc.purposes.conditions import Condition
from cbdc.purposes.conditions.time import DAYS
from wallet.scenarios.values import amount_of, count_of, nearest, shown, text_of, time_of


def condition_of(table: dict[str, Any], account_of: Callable[[str], str]) -> Condition:
    """The condition of a TOML table such as ``{ payee_mcc = ["5812"] }``.

    Raises:
        Malformed: unknown or not well written. TooLarge: beyond the limits.
    """
    return conditions.from_cbor(_canonical(table, account_of))


def _canonical(table: object, account_of: Callable[[str], str]) -> cbor.Value:
    if not isinstance(table, dict) or len(table) != 1:
        raise Malformed("a condition is a table with one name", found=shown(table))
    ((name, argument),) = table.items()
    if name in ("all", "any"):
        inner = {cbor.encode(form): form for form in [_canonical(item, account_of) for item in _list(argument, name)]}
        return [name, [inner[spelled] for spelled in sorted(inner)]]
    if name == "not":
        return [name, _canonical(argument, account_of)]
    reader = _LEAVES.get(name)
    if reader is None:
        raise Malformed("unknown condition", found=name[:40], **nearest(name, (*_LEAVES, "all", "any", "not")))
    return [name, reader(argument, name, account_of)]


def _accounts(argument: object, name: str, account_of: Callable[[str], str]) -> cbor.Value:
    return sorted({account_of(item) for item in _texts(argument, name)})


def _codes(argument: object, name: str, _: object) -> cbor.Value:
    return sorted(set(_texts(argument, name)))


def _per_period(argument: object, name: str, _: object) -> cbor.Value:
    table = _fields(argument, name, "amount", "days")
    return [amount_of(table["amount"], "amount", name), count_of(table["days"], f"{name}: days")]


def _approval(argument: object, name: str, account_of: Callable[[str], str]) -> cbor.Value:
    table = _fields(argument, name, "of", "quorum")
    return [_accounts(table["of"], name, account_of), count_of(table["quorum"], f"{name}: quorum")]


def _evidence(argument: object, name: str, _: object) -> cbor.Value:
    table = _fields(argument, name, "oracle", "fact")
    return [text_of(table[field], field, name) for field in ("oracle", "fact")]


def _fields(argument: object, name: str, *fields: str) -> dict[str, Any]:
    if not isinstance(argument, dict) or argument.keys() != set(fields):
        raise Malformed(f"{name} takes {' and '.join(fields)}", found=shown(argument))
    return argument


def _tiers(argument: object) -> list[cbor.Value]:
    tiers = argument if isinstance(argument, list) else [argument]
    if not all(isinstance(tier, int) and not isinstance(tier, bool) for tier in tiers):
        raise Malformed("payee_tier takes a number or a list of them", found=shown(argument))
    return sorted(set(tiers))


def _hours(table: object) -> cbor.Value:
    """``{ days = "mon-fri", from = "08:00", to = "18:00" }``; days are a range, or names with commas between them."""
    if not isinstance(table, dict) or table.keys() != {"days", "from", "to"}:
        raise Malformed("hours takes days, from and to")
    text = {name: text_of(value, name, "hours") for name, value in table.items()}
    return [sorted(_days(text["days"])), _minute(text["from"]), _minute(text["to"])]


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


def _texts(value: object, name: str) -> list[str]:
    return [text_of(item, name, "condition") for item in _list(value, name)]


_LEAVES: Final[dict[str, Callable[[Any, str, Callable[[str], str]], cbor.Value]]] = {
    "payee": _accounts,
    "payer": _accounts,
    "payee_tier": lambda argument, *_: _tiers(argument),
    "payee_mcc": _codes,
    "payee_kato": _codes,
    "per_payment": lambda argument, name, _: amount_of(argument, name, "condition"),
    "per_period": _per_period,
    "items": _codes,
    "after": lambda argument, *_: time_of(argument),
    "before": lambda argument, *_: time_of(argument),
    "hours": lambda argument, *_: _hours(argument),
    "approval": _approval,
    "evidence": _evidence,
}
"""Every condition but those that hold others; each gets its argument, its own name, and whose account a name is."""
