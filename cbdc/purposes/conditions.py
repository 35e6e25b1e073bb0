"""The algebra of spending conditions: one class each, closed, canonical, bounded.

A condition answers a `Payment` with None (allowed) or the `Refusal` that explains why not. The same code runs
in the payer's wallet, the payee's purse and the ledger. An attribute that the payee's certificate lacks makes
its condition false, under `Not` as well; so `Not` holds only where its inner condition refuses *with* the
attribute at hand (``Refusal.decided``).

A new condition is one new class in this file's table, and its tests; nothing else moves.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Final, Protocol

from cbdc.amounts import format_tenge
from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CONDITION_DEPTH,
    MAX_CONDITION_LIST,
    MAX_CONDITION_NODES,
    MAX_NAME_CHARS,
)


@dataclass(frozen=True, slots=True)
class Payment:
    """What a condition may look at: one payee's share of one transfer, in one purpose's tokens.

    Accounts are ``bank/subject``; an attribute is None where the payee's certificate does not state it.
    ``time_s`` is ledger time: the entry's online, the invoice's offline.
    """

    payer: str
    payee: str
    payee_mcc: str | None
    payee_kato: str | None
    amount_tiyn: int
    time_s: int


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: which condition, what it found and what it wanted. ``decided`` is False if an attribute lacked."""

    condition: str
    found: str
    wanted: str
    decided: bool = True


class Condition(Protocol):
    """One node of the algebra."""

    def refuses(self, payment: Payment) -> Refusal | None:
        """None if the payment is allowed, else why not."""

    def to_cbor(self) -> cbor.Value:
        """The canonical form: ``[name, argument]``, lists sorted and distinct."""


# --- combinators -------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class All:
    """Every condition must allow; refuses with the first reason, and is as decided as any of them."""

    conditions: tuple[Condition, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        refusals = [refusal for condition in self.conditions if (refusal := condition.refuses(payment))]
        return replace(refusals[0], decided=any(refusal.decided for refusal in refusals)) if refusals else None

    def to_cbor(self) -> cbor.Value:
        return ["all", sorted((c.to_cbor() for c in self.conditions), key=cbor.encode)]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one condition must allow; refuses with all the reasons."""

    conditions: tuple[Condition, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        refusals = []
        for condition in self.conditions:
            refusal = condition.refuses(payment)
            if refusal is None:
                return None
            refusals.append(refusal)
        return Refusal(
            "any",
            "; ".join(f"{r.condition}: {r.found}" for r in refusals),
            " or ".join(f"{r.condition}: {r.wanted}" for r in refusals),
            all(r.decided for r in refusals),
        )

    def to_cbor(self) -> cbor.Value:
        return ["any", sorted((c.to_cbor() for c in self.conditions), key=cbor.encode)]


@dataclass(frozen=True, slots=True)
class Not:
    """The condition must refuse, and know what it refuses."""

    condition: Condition

    def refuses(self, payment: Payment) -> Refusal | None:
        refusal = self.condition.refuses(payment)
        if refusal is None:
            name = self.condition.to_cbor()[0]
            return Refusal("not", f"{name} holds", f"{name} does not hold")
        return None if refusal.decided else Refusal("not", refusal.found, f"not ({refusal.wanted})", decided=False)

    def to_cbor(self) -> cbor.Value:
        return ["not", self.condition.to_cbor()]


# --- about the payee ---------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Payee:
    """The payee is one of these accounts."""

    accounts: tuple[str, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.payee in self.accounts:
            return None
        return Refusal("payee", payment.payee, " or ".join(self.accounts))

    def to_cbor(self) -> cbor.Value:
        return ["payee", sorted(set(self.accounts))]


@dataclass(frozen=True, slots=True)
class PayeeMcc:
    """The payee's merchant category (ISO 18245) is one of these."""

    codes: tuple[str, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.payee_mcc is None:
            return Refusal("payee_mcc", "no category", " or ".join(self.codes), decided=False)
        if payment.payee_mcc in self.codes:
            return None
        return Refusal("payee_mcc", payment.payee_mcc, " or ".join(self.codes))

    def to_cbor(self) -> cbor.Value:
        return ["payee_mcc", sorted(set(self.codes))]


@dataclass(frozen=True, slots=True)
class PayeeKato:
    """The payee's region (KATO) begins with one of these prefixes."""

    prefixes: tuple[str, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.payee_kato is None:
            return Refusal("payee_kato", "no region", " or ".join(self.prefixes), decided=False)
        if payment.payee_kato.startswith(self.prefixes):
            return None
        return Refusal("payee_kato", payment.payee_kato, " or ".join(self.prefixes))

    def to_cbor(self) -> cbor.Value:
        return ["payee_kato", sorted(set(self.prefixes))]


# --- about the amount and the time -------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PerPayment:
    """At most this much of the purpose's tokens in one payment."""

    limit_tiyn: int

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.amount_tiyn <= self.limit_tiyn:
            return None
        return Refusal("per_payment", format_tenge(payment.amount_tiyn), f"at most {format_tenge(self.limit_tiyn)}")

    def to_cbor(self) -> cbor.Value:
        return ["per_payment", self.limit_tiyn]


@dataclass(frozen=True, slots=True)
class After:
    """Not before this ledger time."""

    time_s: int

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.time_s >= self.time_s:
            return None
        return Refusal("after", str(payment.time_s), f"{self.time_s} or later")

    def to_cbor(self) -> cbor.Value:
        return ["after", self.time_s]


@dataclass(frozen=True, slots=True)
class Before:
    """Only before this ledger time."""

    time_s: int

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.time_s < self.time_s:
            return None
        return Refusal("before", str(payment.time_s), f"before {self.time_s}")

    def to_cbor(self) -> cbor.Value:
        return ["before", self.time_s]


# --- reading -----------------------------------------------------------------------------------


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


_LEAVES: Final[dict[str, Callable[[cbor.Value], Condition]]] = {
    "payee": lambda value: Payee(_texts(value, "payee", 2 * MAX_NAME_CHARS + 1)),
    "payee_mcc": lambda value: PayeeMcc(_codes(value, "payee_mcc", 4, 4)),
    "payee_kato": lambda value: PayeeKato(_codes(value, "payee_kato", 2, 9)),
    "per_payment": lambda value: PerPayment(cbor.unsigned(value, "per_payment", MAX_AMOUNT_TIYN)),
    "after": lambda value: After(cbor.time_s(value, "after")),
    "before": lambda value: Before(cbor.time_s(value, "before")),
}
