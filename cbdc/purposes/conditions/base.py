"""What a condition is asked, and what it answers."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Protocol

from cbdc.formats import cbor
from cbdc.formats.lines import Line
from cbdc.purposes.words import Phrase


@dataclass(frozen=True, slots=True)
class Memory:
    """What only the ledger remembers: what the payer paid of this purpose, who approved, what oracles have stated.

    ``spent`` are (ledger time in seconds, tiyn); ``facts`` are (oracle, fact), about the payment or either party.
    """

    spent: tuple[tuple[int, int], ...] = ()
    approvals: frozenset[str] = frozenset()
    facts: frozenset[tuple[str, str]] = frozenset()
    _sums: dict[tuple[int, int], int] = field(default_factory=dict, compare=False, repr=False)

    def spent_tiyn(self, after_s: int, until_s: int) -> int:
        """What was spent after the one time and up to the other; added up once for all payees of a transfer."""
        window = (after_s, until_s)
        if window not in self._sums:
            self._sums[window] = sum([tiyn for time_s, tiyn in self.spent if after_s < time_s <= until_s])
        return self._sums[window]


@dataclass(frozen=True, slots=True)
class Payment:
    """What a condition may look at: one payee's share of one transfer, in one purpose's tokens.

    Accounts are ``bank/subject``, or an institution's name; an attribute is None where the payee's certificate does
    not state it. ``time_s`` is ledger time: the entry's online, the invoice's offline. ``lines`` are the invoice's,
    None if it has none. ``others_tiyn`` is what the same transfer pays of this purpose to others. ``memory`` is None
    where there is no ledger to ask; then ``allowance_tiyn`` is what the payer's purse may pay without it, if anything.
    """

    payer: str
    payee: str
    payee_mcc: str | None
    payee_kato: str | None
    amount_tiyn: int
    time_s: int
    payee_tier: int | None = None
    lines: tuple[Line, ...] | None = None
    others_tiyn: int = 0
    memory: Memory | None = None
    allowance_tiyn: int | None = None

    @property
    def is_allowed_unseen(self) -> bool:
        """Whether the payer's certificate stands in for the ledger's memory."""
        return self.memory is None and self.allowance_tiyn is not None and self.amount_tiyn <= self.allowance_tiyn


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why not: which condition, what it found and what it wanted.

    ``decided`` is False if what it asks about lacked. ``pending`` if it may still come: the payment can wait for it.
    """

    condition: str
    found: Phrase
    wanted: Phrase
    decided: bool = True
    pending: bool = False


class Condition(Protocol):
    """One node of the algebra."""

    def refuses(self, payment: Payment) -> Refusal | None:
        """None if the payment is allowed, else why not."""

    def wants(self) -> Phrase:
        """What the condition asks for, to be said in any language."""

    def to_cbor(self) -> cbor.Value:
        """The canonical form: ``[name, argument]``, lists sorted and distinct."""
