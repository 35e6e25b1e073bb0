"""Reads conditions in their canonical form, within the limits of size and depth."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CONDITION_DEPTH,
    MAX_CONDITION_LIST,
    MAX_CONDITION_NODES,
    MAX_FACT_CHARS,
    MAX_LEDGER_CONDITIONS,
    MAX_NAME_CHARS,
    MAX_PERIOD_DAYS,
    MAX_SMALL,
)
from cbdc.purposes.conditions.amount import PerPayment, PerPeriod
from cbdc.purposes.conditions.base import Condition
from cbdc.purposes.conditions.combinators import All, Any, Not
from cbdc.purposes.conditions.consent import Approval, Evidence
from cbdc.purposes.conditions.items import Items
from cbdc.purposes.conditions.parties import Payee, PayeeKato, PayeeMcc, PayeeTier, Payer
from cbdc.purposes.conditions.time import DAY_MINUTES, DAYS, After, Before, Hours


def from_cbor(value: cbor.Value) -> Condition:
    """Read a condition in its canonical form, within the limits of size and depth.

    Raises:
        FormError: not a condition, too large, or not canonical (lists unsorted or with repeats).
    """
    condition = _Reader().read(value, MAX_CONDITION_DEPTH)
    if condition.to_cbor() != value:
        raise Malformed("a condition's lists are sorted and distinct")
    return condition


class _Reader:
    """Reads one tree, counting its nodes."""

    def __init__(self) -> None:
        self.nodes_left = MAX_CONDITION_NODES
        self.asking_left = MAX_LEDGER_CONDITIONS

    def read(self, value: cbor.Value, depth_left: int) -> Condition:
        name, argument = cbor.array(value, "condition", 2)
        self.nodes_left -= 1
        if self.nodes_left < 0 or depth_left == 0:
            raise Malformed("condition too large", nodes=MAX_CONDITION_NODES, depth=MAX_CONDITION_DEPTH)
        if name in ("all", "any"):
            items = _some(cbor.array_up_to(argument, name, MAX_CONDITION_LIST), name)
            inner = tuple(self.read(item, depth_left - 1) for item in items)
            return All(inner) if name == "all" else Any(inner)
        if name == "not":
            return Not(self.read(argument, depth_left - 1))
        reader = _LEAVES.get(name) if type(name) is str else None
        if reader is None:
            raise Malformed("unknown condition", found=str(name)[:40])
        self.asking_left -= name in _ASK_THE_LEDGER
        if self.asking_left < 0:
            raise Malformed("too many conditions ask the ledger's memory", limit=MAX_LEDGER_CONDITIONS)
        return reader(argument)


def _some(items: list[cbor.Value], what: str) -> list[cbor.Value]:
    if not items:
        raise Malformed(f"{what} names nothing")
    return items


def _texts(value: cbor.Value, what: str, limit: int) -> tuple[str, ...]:
    items = _some(cbor.array_up_to(value, what, MAX_CONDITION_LIST), what)
    return tuple(cbor.text_up_to(item, what, limit) for item in items)


def _codes(value: cbor.Value, what: str, least: int, most: int) -> tuple[str, ...]:
    codes = _texts(value, what, most)
    if not all(len(code) >= least and code.isascii() and code.isdigit() for code in codes):
        raise Malformed(f"{what} is {least} to {most} digits")
    return codes


def _tiers(value: cbor.Value) -> tuple[int, ...]:
    items = _some(cbor.array_up_to(value, "payee_tier", MAX_CONDITION_LIST), "payee_tier")
    return tuple(cbor.unsigned(item, "tier", MAX_SMALL) for item in items)


def _hours(value: cbor.Value) -> Hours:
    days, start, end = cbor.array(value, "hours", 3)
    numbers = _some(cbor.array_up_to(days, "days", len(DAYS)), "days")
    weekdays = tuple(cbor.unsigned(day, "day", len(DAYS) - 1) for day in numbers)
    from_minute = cbor.unsigned(start, "from", DAY_MINUTES - 1)
    to_minute = cbor.unsigned(end, "to", DAY_MINUTES)
    if from_minute >= to_minute:
        raise Malformed("hours end after they begin, on the same day", found=to_minute, wanted=from_minute + 1)
    return Hours(weekdays, from_minute, to_minute)


def _per_period(value: cbor.Value) -> PerPeriod:
    amount, days = cbor.array(value, "per_period", 2)
    if days == 0:
        raise Malformed("a period has at least one day")
    return PerPeriod(cbor.unsigned(amount, "per_period", MAX_AMOUNT_TIYN), cbor.unsigned(days, "days", MAX_PERIOD_DAYS))


def _approval(value: cbor.Value) -> Approval:
    of, quorum = cbor.array(value, "approval", 2)
    names = _texts(of, "approval", _ACCOUNT_CHARS)
    needed = cbor.unsigned(quorum, "quorum", MAX_CONDITION_LIST)
    if not 0 < needed <= len(set(names)):
        raise Malformed("a quorum is one or more of those who may approve", found=needed, limit=len(set(names)))
    return Approval(names, needed)


def _evidence(value: cbor.Value) -> Evidence:
    oracle, fact = cbor.array(value, "evidence", 2)
    return Evidence(cbor.text_up_to(oracle, "oracle", MAX_NAME_CHARS), cbor.text_up_to(fact, "fact", MAX_FACT_CHARS))


_ACCOUNT_CHARS: Final = 2 * MAX_NAME_CHARS + 1
"""``bank/subject``, or an institution's name."""

_LEAVES: Final[dict[str, Callable[[cbor.Value], Condition]]] = {
    "payee": lambda value: Payee(_texts(value, "payee", _ACCOUNT_CHARS)),
    "payer": lambda value: Payer(_texts(value, "payer", _ACCOUNT_CHARS)),
    "payee_tier": lambda value: PayeeTier(_tiers(value)),
    "hours": _hours,
    "payee_mcc": lambda value: PayeeMcc(_codes(value, "payee_mcc", 4, 4)),
    "payee_kato": lambda value: PayeeKato(_codes(value, "payee_kato", 2, 9)),
    "per_payment": lambda value: PerPayment(cbor.unsigned(value, "per_payment", MAX_AMOUNT_TIYN)),
    "per_period": _per_period,
    "items": lambda value: Items(_texts(value, "items", MAX_NAME_CHARS)),
    "approval": _approval,
    "evidence": _evidence,
    "after": lambda value: After(cbor.time_s(value, "after")),
    "before": lambda value: Before(cbor.time_s(value, "before")),
}
_ASK_THE_LEDGER: Final = frozenset({"per_period", "approval", "evidence"})
