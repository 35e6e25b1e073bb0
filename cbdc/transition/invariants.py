"""The laws of the ledger, checked again at every commit from the records alone.

`Books` adds up what the changed records hold, without knowing which entry changed them, and compares with the
totals that the transition wrote. A defect in the transition that creates or destroys a tiyn stops the commit.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cbdc.errors import InvariantViolation
from cbdc.state.records import BankReserve, Culprit, Supply, Table, Token, fields_of, live_leaf
from cbdc.state.view import Change, Delta, Key

_NO_SUPPLY: Final = Supply(0, 0, 0, 0, 0)
_TOKEN_AMOUNT: Final = Token.__match_args__.index("amount_tiyn")


@dataclass(frozen=True, slots=True)
class Books:
    """Sums in tiyn over all records: tokens, live offline leaves, provisional seizures, reserves, claims."""

    online_tiyn: int = 0
    live_tiyn: int = 0
    seized_tiyn: int = 0
    reserves_tiyn: int = 0
    claims_tiyn: int = 0
    supply: Supply = _NO_SUPPLY

    @classmethod
    def of(cls, records: Iterable[tuple[Key, bytes]]) -> Books:
        """The books of a whole state."""
        return Books().after((key, Change(None, value)) for key, value in records)

    def follow(self, delta: Delta) -> Books:
        """The books after a delta, if every law holds.

        Raises:
            InvariantViolation: one does not; ``law`` names it.
        """
        _check_consumed(delta)
        books = self.after(delta.changes.items())
        broken = [law for law, holds in books.laws().items() if not holds]
        if broken:
            raise InvariantViolation("a law of the ledger would break", law=", ".join(broken))
        return books

    def after(self, changes: Iterable[tuple[Key, Change]]) -> Books:
        """The sums after these changes, whether or not they obey the laws."""
        online, live, seized = self.online_tiyn, self.live_tiyn, self.seized_tiyn
        reserves, claims, supply = self.reserves_tiyn, self.claims_tiyn, self.supply
        for (table, _), (before, after) in changes:
            for sign, value in ((-1, before), (1, after)):
                if value is None:
                    continue
                if table is Table.TOKEN:
                    online += sign * fields_of(value)[_TOKEN_AMOUNT]
                elif table is Table.OFFLINE:
                    leaf = live_leaf(value)
                    live += sign * leaf.amount_tiyn if leaf else 0
                elif table is Table.CULPRIT:
                    seized += sign * Culprit.decode(value).seized_tiyn
                elif table is Table.RESERVE:
                    reserve = BankReserve.decode(value)
                    reserves += sign * reserve.reserve_tiyn
                    claims += sign * reserve.claims_tiyn
                elif table is Table.SUPPLY and sign > 0:
                    supply = Supply.decode(value)
        return Books(online, live, seized, reserves, claims, supply)

    def laws(self) -> dict[str, bool]:
        """Each law by name, and whether these sums obey it."""
        s = self.supply
        return {
            "online": self.online_tiyn == s.online_tiyn,
            "reserves": self.reserves_tiyn == s.reserves_tiyn,
            "pool": self.live_tiyn - self.seized_tiyn - self.claims_tiyn == s.pool_tiyn,
            "supply": s.online_tiyn + s.pool_tiyn + s.reserves_tiyn == s.issued_tiyn - s.redeemed_tiyn,
        }


def _check_consumed(delta: Delta) -> None:
    """A token leaves the unspent set exactly once, only by being consumed, and is never rewritten."""
    consumed = {thing for thing, _ in delta.consumed}
    for (table, name), change in delta.changes.items():
        if table is not Table.TOKEN:
            continue
        if change.before is not None and change.after is not None:
            raise InvariantViolation("a token was rewritten", law="ownership")
        if (change.after is None) is not (name in consumed):
            raise InvariantViolation("a token vanished, or was consumed and is still there", law="no_double_spend")
