"""What conditions say, in the most obvious way: the model's own reading of "Conditions" in the scenario format.

A condition is ``[name, argument]``, as a definition spells it; nothing here knows how the ledger evaluates it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

DAY_S = 86_400
ALMATY = timezone(timedelta(hours=5))

NO, UNKNOWN, WAITS, YES = range(4)
"""What a condition answers: refused; refused, as what it asks about lacks; may still come; allowed."""


@dataclass
class Facts:
    """What a condition may ask about a payment."""

    payer: str
    payee: str
    mcc: str | None
    kato: str | None
    tier: int | None
    amount: int
    """Of the purpose, to this payee."""
    time: int
    lines: list[tuple[str, int]] = field(default_factory=list)
    """(category, tiyn) of what is bought."""
    online: bool = False
    """Whether there is a ledger to ask: for all below."""
    whole: int = 0
    """What the payment adds, all payees together, to what its payer has paid of the purpose."""
    earlier: list[list[int]] = field(default_factory=list)
    """[time, tiyn] of what he has paid."""
    approvals: set[str] = field(default_factory=set)
    stated: set[tuple[str, str]] = field(default_factory=set)
    """(oracle, fact) about the payment, its payer or its payee."""
    allowance: int | None = None
    """And what the payer's purse may pay where there is none."""


def allows(condition: list[Any], facts: Facts) -> int:
    """What a condition says: `NO`, `UNKNOWN`, `WAITS` or `YES`.

    An attribute that lacks refuses under ``not`` as well, and so does what may still come: it is not known.
    """
    name, argument = condition
    match name:
        case "all":
            return min(allows(inner, facts) for inner in argument)
        case "any":
            return max(allows(inner, facts) for inner in argument)
        case "not":
            return {YES: NO, NO: YES}.get(allows(argument, facts), UNKNOWN)
    if name in ("per_period", "approval", "evidence"):
        return asks_the_ledger(name, argument, facts)
    return asks_the_payment(name, argument, facts)


def asks_the_payment(name: str, argument: Any, facts: Facts) -> int:
    """Conditions about who, whom, when, how much and for what."""
    match name:
        case "payee":
            return yes(facts.payee in argument)
        case "payer":
            return yes(facts.payer in argument)
        case "payee_mcc" if facts.mcc is not None:
            return yes(facts.mcc in argument)
        case "payee_kato" if facts.kato is not None:
            return yes(any(facts.kato.startswith(prefix) for prefix in argument))
        case "payee_tier" if facts.tier is not None:
            return yes(facts.tier in argument)
        case "per_payment":
            return yes(facts.amount <= argument)
        case "after":
            return yes(facts.time >= argument)
        case "before":
            return yes(facts.time < argument)
        case "hours":
            days, start, end = argument
            local = datetime.fromtimestamp(facts.time, ALMATY)
            return yes(local.weekday() in days and start <= local.hour * 60 + local.minute < end)
        case "items" if facts.lines:
            return yes(facts.amount <= sum(amount for category, amount in facts.lines if category in argument))
        case "payee_mcc" | "payee_kato" | "payee_tier" | "items":
            return UNKNOWN
    raise AssertionError(f"no such condition: {name}")


def asks_the_ledger(name: str, argument: Any, facts: Facts) -> int:
    """Conditions that need its memory, or the allowance that stands in for it."""
    if not facts.online:
        return YES if facts.allowance is not None and facts.amount <= facts.allowance else UNKNOWN
    match name:
        case "per_period":
            limit, days = argument
            window = [amount for time, amount in facts.earlier if facts.time - days * DAY_S < time <= facts.time]
            return yes(sum(window) + facts.whole <= limit)
        case "approval":
            who, quorum = argument
            return YES if sum(name in facts.approvals for name in who) >= quorum else WAITS
        case "evidence":
            return YES if tuple(argument) in facts.stated else WAITS
    raise AssertionError(f"no such condition: {name}")


def yes(is_so: bool) -> int:
    return YES if is_so else NO


def leaves_of(condition: list[Any]) -> list[list[Any]]:
    """The conditions in a condition that combine no others."""
    name, argument = condition
    match name:
        case "all" | "any":
            return [leaf for inner in argument for leaf in leaves_of(inner)]
        case "not":
            return leaves_of(argument)
    return [condition]


def longest_period(condition: list[Any]) -> int:
    """Days; 0 if there is no limit per period."""
    return max((argument[1] for name, argument in leaves_of(condition) if name == "per_period"), default=0)


def approvers(condition: list[Any]) -> set[str]:
    """Everybody whose approval is asked for anywhere."""
    return {who for name, argument in leaves_of(condition) if name == "approval" for who in argument[0]}
