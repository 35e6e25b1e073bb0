"""Single values of a scenario file: texts, amounts, spans, times and names, each refused with its place."""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Iterable
from difflib import get_close_matches
from typing import Any, Final

from cbdc.amounts import parse_tenge
from cbdc.errors import FormError, Malformed
from cbdc.limits import MAX_NAME_CHARS, MAX_TIME_S

Table = dict[str, Any]

_NAME: Final = re.compile(r"[\w-][\w.-]*")
"""Letters and digits of any script, ``_``, ``-`` and, not at the front, ``.``: names become directories."""

_SPANS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
MAX_SPAN_S: Final = 36_525 * 86_400
"""A hundred years: as far as a scenario's time may move, at once and in all."""


def time_of(value: object) -> int:
    """Seconds since 1970 of an ISO 8601 time with its offset. Raises Malformed."""
    try:
        time = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(shown(value))
    except ValueError:
        raise Malformed("not a time", found=shown(value)) from None
    if time.tzinfo is None:
        raise Malformed("a time states its offset", found=shown(value))
    seconds = int(time.timestamp())
    if not 0 <= seconds <= MAX_TIME_S:
        raise Malformed("not a time between 1970 and 9999", found=shown(value))
    return seconds


def span_of(text: str) -> int:
    """Seconds of a span such as ``"3 days"`` or ``"2 hours"``. Raises Malformed."""
    number, _, unit = text.strip().partition(" ")
    seconds = _SPANS.get(unit.strip().removesuffix("s"))
    if seconds is None or not number.isdecimal():
        raise Malformed("not a span of time", found=text[:40], wanted="such as '3 days'")
    if len(number) > len(str(MAX_SPAN_S)) or int(number) * seconds > MAX_SPAN_S:
        raise Malformed("a span of more than a hundred years", found=text[:40])
    return int(number) * seconds


def shown(value: object) -> str:
    """A value for an error: its beginning."""
    try:
        return str(value)[:40]
    except ValueError:  # a hexadecimal number of more digits than Python writes
        return "a very long number"


# --- with their place --------------------------------------------------------------------------


def text_of(value: object, name: str, where: str) -> str:
    """A text that is not empty; a number is told to stand in quotes. Raises Malformed."""
    if isinstance(value, str) and value:
        return value
    if isinstance(value, int | float) and not isinstance(value, bool):
        raise Malformed(f"{where}: {name!r} is a text: put the number in quotes", wanted=f'{name} = "{shown(value)}"')
    raise Malformed(f"{where} needs a text {name!r}")


def text_in(table: Table, name: str, where: str) -> str:
    """A required text field of a table. Raises Malformed."""
    return text_of(table.get(name), name, where)


def name_in(table: Table, field: str, where: str) -> str:
    """A required text field that will do as the name of a directory. Raises Malformed."""
    name = text_in(table, field, where)
    if len(name) > MAX_NAME_CHARS or not _NAME.fullmatch(name):
        wanted = f"at most {MAX_NAME_CHARS} letters, digits, '-', '_', '.', the last not first"
        raise Malformed(f"{where}: {field} does not do as a name", found=name[:MAX_NAME_CHARS], wanted=wanted)
    return name


def amount_of(value: object, name: str, where: str) -> int:
    """An amount in tiyn. Raises Malformed, TooLarge."""
    text = text_of(value, name, where)
    try:
        return parse_tenge(text)
    except FormError as error:
        raise type(error)(f"{where}: {name}: {error.message}", **error.values) from None


def placed_time(value: object, where: str) -> int:
    """A time in seconds since 1970. Raises Malformed."""
    try:
        return time_of(value)
    except Malformed as error:
        raise Malformed(f"{where}: {error.message}", **error.values) from None


def count_of(value: object, name: str) -> int:
    """A whole number, not below nothing. Raises Malformed."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Malformed(f"{name} is not a whole number", found=shown(value))
    return value


def table_in(data: Table, name: str) -> Table:
    """A table inside another, empty if it is left out. Raises Malformed."""
    value = data.get(name, {})
    if not isinstance(value, dict):
        raise Malformed(f"{name} is not a table")
    return value


# --- names of fields ---------------------------------------------------------------------------


def check_fields(table: Table, known: Iterable[str], where: str = "") -> None:
    """Every field of a table is one that will be looked at. Raises Malformed, with what was probably meant."""
    known = tuple(known)
    for name in table:
        if name not in known:
            raise Malformed(f"{where}{': ' if where else ''}unknown field {name[:40]!r}", **nearest(name, known))


def nearest(name: str, known: Iterable[str]) -> dict[str, str]:
    """What was probably meant, for an error's values."""
    return {"nearest": near[0]} if (near := get_close_matches(name, list(known), 1)) else {}
