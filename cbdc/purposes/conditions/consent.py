"""Conditions that others fulfil, after the payment was made if need be: it waits for them.

Both ask the ledger's memory.
"""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.formats import cbor
from cbdc.purposes.conditions.base import Payment, Refusal
from cbdc.purposes.words import Phrase, one_of


@dataclass(frozen=True, slots=True)
class Approval:
    """At least ``quorum`` of these accounts have approved the payment."""

    of: tuple[str, ...]
    quorum: int

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.memory is None:
            return _unseen("approval", payment, self.wants())
        given = payment.memory.approvals & set(self.of)
        if len(given) >= self.quorum:
            return None
        found = Phrase("approved_by", (one_of(sorted(given)),)) if given else Phrase("approved_by_nobody")
        return Refusal("approval", found, self.wants(), decided=False, pending=True)

    def wants(self) -> Phrase:
        return Phrase("approval", (str(self.quorum), Phrase("list", self.of)))

    def to_cbor(self) -> cbor.Value:
        return ["approval", [sorted(set(self.of)), self.quorum]]


@dataclass(frozen=True, slots=True)
class Evidence:
    """The oracle has stated this fact about the payment, its payer or its payee."""

    oracle: str
    fact: str

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.memory is None:
            return _unseen("evidence", payment, self.wants())
        if (self.oracle, self.fact) in payment.memory.facts:
            return None
        return Refusal("evidence", Phrase("no_evidence"), self.wants(), decided=False, pending=True)

    def wants(self) -> Phrase:
        return Phrase("evidence", (self.fact, self.oracle))

    def to_cbor(self) -> cbor.Value:
        return ["evidence", [self.oracle, self.fact]]


def _unseen(name: str, payment: Payment, wanted: Phrase) -> Refusal | None:
    """Where there is no ledger to ask: what the payer's certificate allows, or a refusal."""
    if payment.is_allowed_unseen:
        return None
    return Refusal(name, Phrase("needs_ledger"), wanted, decided=False)
