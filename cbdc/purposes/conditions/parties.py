"""Conditions about who pays and who is paid."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.formats import cbor
from cbdc.purposes.conditions.base import Payment, Refusal
from cbdc.purposes.words import Phrase, one_of


@dataclass(frozen=True, slots=True)
class Payee:
    """The payee is one of these accounts."""

    accounts: tuple[str, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.payee in self.accounts:
            return None
        return Refusal("payee", Phrase("payee", (payment.payee,)), self.wants())

    def wants(self) -> Phrase:
        return Phrase("payee", (one_of(self.accounts),))

    def to_cbor(self) -> cbor.Value:
        return ["payee", sorted(set(self.accounts))]


@dataclass(frozen=True, slots=True)
class Payer:
    """The payer is one of these accounts."""

    accounts: tuple[str, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.payer in self.accounts:
            return None
        return Refusal("payer", Phrase("payer", (payment.payer,)), self.wants())

    def wants(self) -> Phrase:
        return Phrase("payer", (one_of(self.accounts),))

    def to_cbor(self) -> cbor.Value:
        return ["payer", sorted(set(self.accounts))]


@dataclass(frozen=True, slots=True)
class PayeeMcc:
    """The payee's merchant category (ISO 18245) is one of these."""

    codes: tuple[str, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.payee_mcc in self.codes:
            return None
        return _attribute("payee_mcc", payment.payee_mcc, self.wants())

    def wants(self) -> Phrase:
        return Phrase("payee_mcc", (one_of(self.codes),))

    def to_cbor(self) -> cbor.Value:
        return ["payee_mcc", sorted(set(self.codes))]


@dataclass(frozen=True, slots=True)
class PayeeKato:
    """The payee's region (KATO) begins with one of these prefixes."""

    prefixes: tuple[str, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.payee_kato is not None and payment.payee_kato.startswith(self.prefixes):
            return None
        return _attribute("payee_kato", payment.payee_kato, self.wants())

    def wants(self) -> Phrase:
        return Phrase("payee_kato", (one_of(self.prefixes),))

    def to_cbor(self) -> cbor.Value:
        return ["payee_kato", sorted(set(self.prefixes))]


@dataclass(frozen=True, slots=True)
class PayeeTier:
    """The payee's tier of identification is one of these."""

    tiers: tuple[int, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        if payment.payee_tier in self.tiers:
            return None
        found = None if payment.payee_tier is None else str(payment.payee_tier)
        return _attribute("payee_tier", found, self.wants())

    def wants(self) -> Phrase:
        return Phrase("payee_tier", (one_of(tuple(str(tier) for tier in self.tiers)),))

    def to_cbor(self) -> cbor.Value:
        return ["payee_tier", sorted(set(self.tiers))]


def _attribute(name: str, found: str | None, wanted: Phrase) -> Refusal:
    """The refusal of an attribute of the payee's certificate, which may lack."""
    if found is None:
        return Refusal(name, Phrase(f"no_{name}"), wanted, decided=False)
    return Refusal(name, Phrase(name, (found,)), wanted)
