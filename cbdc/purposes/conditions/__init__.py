"""The algebra of spending conditions: one class each, closed, canonical, bounded.

A condition answers a `Payment` with None (allowed) or the `Refusal` that explains why not. The same code runs
in the payer's wallet, the payee's purse and the ledger. An attribute that the payee's certificate lacks makes
its condition false, under `Not` as well; so `Not` holds only where its inner condition refuses *with* the
attribute at hand (``Refusal.decided``).

A new condition is one new class, a line in the reader's table, its words, and its tests; nothing else moves.
"""

from __future__ import annotations

from collections.abc import Iterator

from cbdc.purposes.conditions.amount import PerPayment, PerPeriod
from cbdc.purposes.conditions.base import Condition, Memory, Payment, Refusal
from cbdc.purposes.conditions.combinators import All, Any, Not
from cbdc.purposes.conditions.consent import Approval, Evidence
from cbdc.purposes.conditions.items import Items
from cbdc.purposes.conditions.parties import Payee, PayeeKato, PayeeMcc, PayeeTier, Payer
from cbdc.purposes.conditions.reading import from_cbor
from cbdc.purposes.conditions.time import After, Before, Hours

__all__ = [
    "After",
    "All",
    "Any",
    "Approval",
    "Before",
    "Condition",
    "Evidence",
    "Hours",
    "Items",
    "Memory",
    "Not",
    "Payee",
    "PayeeKato",
    "PayeeMcc",
    "PayeeTier",
    "Payer",
    "Payment",
    "PerPayment",
    "PerPeriod",
    "Refusal",
    "every",
    "from_cbor",
]


def every(condition: Condition) -> Iterator[Condition]:
    """The condition and all inside it."""
    yield condition
    if isinstance(condition, All | Any):
        for inner in condition.conditions:
            yield from every(inner)
    elif isinstance(condition, Not):
        yield from every(condition.condition)
