"""What a wallet did, line by line: entries of the ledger, and payments between devices with what became of them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cbdc.formats import cbor
from cbdc.messages.bodies import Transfer
from cbdc.messages.message import decode
from wallet.protocol import PaymentBundle
from wallet.purse_store import PurseStore, Received, Sent
from wallet.states import Holding, Status


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One line of a wallet's history; ``amount_tiyn`` is negative for what went out.

    ``status`` is what became of an offline payment (`wallet.states`), and empty for what the ledger entered. The time
    of an offline payment is the latest ledger time that its payee knew then.
    """

    time_s: int
    what: str
    amount_tiyn: int
    counterpart: str
    message_id: bytes
    entry_index: int | None
    memo: str
    status: str = ""

    def fields(self) -> list[cbor.Value]:
        """The journal's record."""
        return [getattr(self, name) for name in HistoryItem.__match_args__]


def offline_items(purse: PurseStore) -> list[HistoryItem]:
    """Every payment that the purse made or took, each followed by its release if it came back."""
    return [*_made(purse), *_taken(purse)]


def _made(purse: PurseStore) -> Iterator[HistoryItem]:
    for sent in purse.sent():
        paid_s = _time_s(purse, sent.payment())
        yield _line(paid_s, "paid", -sent.amount_tiyn, sent, sent.status.value)
        if sent.status is Status.RELEASED:
            # where only the ledger told of it, nobody told when
            back_s = purse.vault.get("returned at", sent.id) or paid_s
            yield _line(back_s, "released", sent.amount_tiyn, sent, sent.status.value)


def _taken(purse: PurseStore) -> Iterator[HistoryItem]:
    for held in purse.received():
        yield _line(held.ledger_time_s, "received", held.amount_tiyn, held, held.state.value)
        if held.state is Holding.RELEASED:
            release = PaymentBundle.own(purse.vault.get("release", held.id)).payment
            yield _line(_time_s(purse, release), "released", -held.amount_tiyn, held, held.state.value)


def _line(time_s: int, what: str, amount_tiyn: int, payment: Sent | Received, status: str) -> HistoryItem:
    return HistoryItem(time_s, what, amount_tiyn, payment.account, payment.id, None, "", status)


def _time_s(purse: PurseStore, raw: bytes) -> int:
    body = decode(raw, purse.network).body
    return body.terms.ledger_time_s if isinstance(body, Transfer) and body.terms else 0


__all__ = ["HistoryItem", "offline_items"]
