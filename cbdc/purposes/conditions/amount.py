"""Conditions about how much is paid."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cbdc.amounts import format_tenge
from cbdc.formats import cbor
from cbdc.purposes.conditions.base import Memory, Payment, Refusal
from cbdc.purposes.words import Phrase

_DAY_S: Final = 86_400


@dataclass(frozen=True, slots=True)
class PerPayment:
    """At most this much (tiyn) of the purpose's tokens in one payment."""

    limit_tiyn: int

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.amount_tiyn <= self.limit_tiyn:
            return None
        return Refusal("per_payment", Phrase("amount", (format_tenge(payment.amount_tiyn),)), self.wants())

    def wants(self) -> Phrase:
        return Phrase("per_payment", (format_tenge(self.limit_tiyn),))

    def to_cbor(self) -> cbor.Value:
        return ["per_payment", self.limit_tiyn]


@dataclass(frozen=True, slots=True)
class PerPeriod:
    """At most this much (tiyn) of the purpose's tokens by one payer in any ``days`` days: a rolling window.

    Asks the ledger's memory.
    """

    limit_tiyn: int
    days: int

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.memory is None:
            if payment.is_allowed_unseen:
                return None
            return Refusal("per_period", Phrase("needs_ledger"), self.wants(), decided=False)
        sum_tiyn = self.spent_tiyn(payment) + payment.amount_tiyn
        if sum_tiyn <= self.limit_tiyn:
            return None
        return Refusal("per_period", Phrase("in_period", (format_tenge(sum_tiyn), str(self.days))), self.wants())

    def spent_tiyn(self, payment: Payment) -> int:
        """What the window up to the payment holds besides its share."""
        memory = payment.memory or Memory()
        since_s = payment.time_s - self.days * _DAY_S
        return payment.others_tiyn + memory.spent_tiyn(since_s, payment.time_s)

    def wants(self) -> Phrase:
        return Phrase("per_period", (format_tenge(self.limit_tiyn), str(self.days)))

    def to_cbor(self) -> cbor.Value:
        return ["per_period", [self.limit_tiyn, self.days]]
