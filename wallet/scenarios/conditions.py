"""Conditions as scenario files write them, turned into the canonical algebra."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from cbdc.amounts import parse_tenge
from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.purposes import conditions
from cbdc.purposes.conditions import Condition
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
        case "payee":
            return [name, sorted({account_of(str(item)) for item in _list(argument, name)})]
        case "payee_mcc" | "payee_kato":
            return [name, sorted({str(item) for item in _list(argument, name)})]
        case "per_payment":
            return [name, parse_tenge(str(argument))]
        case "after" | "before":
            return [name, time_of(argument)]
        case _:
            raise Malformed("this condition is not there yet", found=name)


def _list(value: object, name: str) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed(f"{name} takes a list")
    return value
