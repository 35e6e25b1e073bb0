"""Conditions about what is bought."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.amounts import format_tenge
from cbdc.formats import cbor
from cbdc.purposes.conditions.base import Payment, Refusal
from cbdc.purposes.words import Phrase, one_of


@dataclass(frozen=True, slots=True)
class Items:
    """The invoice's lines of these categories come to what is paid, or more: so much of it the tokens may cover."""

    categories: tuple[str, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.lines is None:
            return Refusal("items", Phrase("no_lines"), self.wants(), decided=False)
        covered_tiyn = self.covered_tiyn(payment)
        if payment.amount_tiyn <= covered_tiyn:
            return None
        return Refusal("items", Phrase("covered", (format_tenge(covered_tiyn),)), self.wants())

    def covered_tiyn(self, payment: Payment) -> int:
        """What the lines of these categories come to."""
        return sum([line.amount_tiyn for line in payment.lines or () if line.category in self.categories])

    def wants(self) -> Phrase:
        return Phrase("items", (one_of(self.categories),))

    def to_cbor(self) -> cbor.Value:
        return ["items", sorted(set(self.categories))]
