"""What a condition is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from cbdc.formats import cbor
from cbdc.purposes.words import Phrase


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
    payee_tier: int | None = None


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: which condition, what it found and what it wanted. ``decided`` is False if an attribute lacked."""

    condition: str
    found: Phrase
    wanted: Phrase
    decided: bool = True


class Condition(Protocol):
    """One node of the algebra."""

    def refuses(self, payment: Payment) -> Refusal | None:
        """None if the payment is allowed, else why not."""

    def wants(self) -> Phrase:
        """What the condition asks for, to be said in any language."""

    def to_cbor(self) -> cbor.Value:
        """The canonical form: ``[name, argument]``, lists sorted and distinct."""
