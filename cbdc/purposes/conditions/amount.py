"""Conditions about how much is paid."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.amounts import format_tenge
from cbdc.formats import cbor
from cbdc.purposes.conditions.base import Payment, Refusal
from cbdc.purposes.words import Phrase


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
