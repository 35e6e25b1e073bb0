"""What a wallet has: online by the ledger's word, offline and pending by its own storage."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cbdc.state.records import OfflineToken
from wallet.port import LedgerPort

Totals = dict[bytes | None, int]
"""Tiyn by purpose; None for money without a mark."""


@dataclass(frozen=True, slots=True)
class Holdings:
    """What a wallet's own storage says: its online keys, what its purse can spend, what it has signed away without
    knowing the outcome, unloads that wait for their answers (first input's outpoint, tiyn), and the keys of
    secure elements that were replaced."""

    keys: tuple[bytes, ...]
    offline: Totals
    pending_tiyn: int
    unanswered: tuple[tuple[bytes, int], ...]
    retired: tuple[bytes, ...] = ()

    @property
    def offline_tiyn(self) -> int:
        return sum(self.offline.values())


@dataclass(frozen=True, slots=True)
class Balance:
    """Tiyn online, offline and pending (disjoint), and how much of the first two bears which purpose.

    ``returning_tiyn`` are live leaves of purses whose element was replaced: they come online at their last deadline,
    less what a fork has seized of them.
    """

    online_tiyn: int
    offline_tiyn: int
    pending_tiyn: int
    marked: dict[bytes, int]
    returning_tiyn: int = 0


def balance_of(holdings: Holdings, port: LedgerPort | None) -> Balance:
    """The balance of these holdings; without a ledger there is nothing online to tell of."""
    online = port.tokens_of(holdings.keys) if port else {}
    waiting_tiyn = _waiting_tiyn(holdings, port)
    held: list[tuple[bytes | None, int]] = [(token.purpose, token.amount_tiyn) for token in online.values()]
    marked: dict[bytes, int] = {}
    for purpose, amount_tiyn in (*held, *holdings.offline.items()):
        if purpose is not None:
            marked[purpose] = marked.get(purpose, 0) + amount_tiyn
    return Balance(
        online_tiyn=sum(amount_tiyn for _, amount_tiyn in held),
        offline_tiyn=holdings.offline_tiyn,
        pending_tiyn=holdings.pending_tiyn + _unanswered_tiyn(holdings, port) + waiting_tiyn,
        marked=marked,
        returning_tiyn=_returning_tiyn(holdings, port),
    )


def without_device(keys: tuple[bytes, ...], retired: tuple[bytes, ...], purse_key: bytes, port: LedgerPort) -> Holdings:
    """What is left to the owner of a device that is gone: the purse as the ledger knows it."""
    return Holdings(keys, totals(port.offline_of([purse_key]).values()), 0, (), retired)


def _waiting_tiyn(holdings: Holdings, port: LedgerPort | None) -> int:
    """What these keys have paid and waits for approval or evidence: signed away, and perhaps to return."""
    found = port.waiting_of(holdings.keys).values() if port else ()
    return sum(output[2] for waiting in found for output in waiting.outputs)


def _returning_tiyn(holdings: Holdings, port: LedgerPort | None) -> int:
    if port is None or not holdings.retired:
        return 0
    return sum(leaf.amount_tiyn for leaf in port.offline_of(holdings.retired).values())


def _unanswered_tiyn(holdings: Holdings, port: LedgerPort | None) -> int:
    """What unloads without an answer hold, as long as the ledger is not known to have them."""
    return sum(
        amount_tiyn
        for first_input, amount_tiyn in holdings.unanswered
        if port is None or not port.spenders_of(first_input)
    )


def totals(tokens: Iterable[OfflineToken]) -> Totals:
    """Tokens by purpose."""
    found: Totals = {}
    for token in tokens:
        found[token.purpose] = found.get(token.purpose, 0) + token.amount_tiyn
    return found
