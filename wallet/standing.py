"""How a wallet stands: whether its purse is denied, what its account owes, and what a sync has changed."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.errors import AmountMismatch
from cbdc.log.receipts import Receipt
from cbdc.offline.documents import TrustList
from wallet.customer import Customer, SyncReport
from wallet.port import LedgerPort
from wallet.purse import Holding, Status


@dataclass(frozen=True, slots=True)
class Standing:
    """Whether the purse's certificate is on the deny-list, and what the account owes (tiyn; None: nobody was asked).

    What a denied purse holds answers for the debt first: it cannot be unloaded, and what is left of it returns online
    at its last deadline.
    """

    is_revoked: bool
    owed_tiyn: int | None


def standing_of(customer: Customer, port: LedgerPort | None) -> Standing:
    """By the ledger's word, or without it by the newest list that this device has."""
    purse = customer.purse
    known = purse.trust_list if port is None else TrustList.verify(port.trust_list(), purse.network)
    owed_tiyn = None if port is None else port.debt_tiyn(purse.certificate.account)
    return Standing(purse.certificate.id in known.revoked, owed_tiyn)


def repay(customer: Customer, port: LedgerPort, amount_tiyn: int) -> Receipt:
    """Pay towards what the account's purses owe, whichever of them it is: the one in use or one before it.

    Raises:
        AmountMismatch: more than is owed, or than any one purse owes. InsufficientFunds: too little free online money.
    """
    owed_tiyn = port.debt_tiyn(customer.purse.certificate.account)
    if amount_tiyn > owed_tiyn:
        raise AmountMismatch("more than is owed", found=amount_tiyn, limit=owed_tiyn)
    keys = customer.purse_keys()
    for key in keys[:-1]:
        try:
            return customer.repay(port, key, amount_tiyn)
        except AmountMismatch:  # that purse owes less, or nothing
            continue
    return customer.repay(port, keys[-1], amount_tiyn)


@dataclass(frozen=True, slots=True)
class News:
    """What a sync has changed: payments of this purse, and payments to it, that the ledger has settled since."""

    report: SyncReport
    sent_settled: int
    received_settled: int
    disputed: int


def sync(customer: Customer, port: LedgerPort) -> News:
    """Sync, and tell what is new by it. Raises as `Customer.sync`."""
    sent, received = _states(customer)
    report = customer.sync(port)
    customer.look(port)
    sent_now, received_now = _states(customer)
    return News(
        report,
        _became(Status.SETTLED, sent, sent_now),
        _became(Holding.SETTLED, received, received_now),
        _became(Status.DISPUTED, sent, sent_now) + _became(Holding.DISPUTED, received, received_now),
    )


def _states(customer: Customer) -> tuple[dict[bytes, object], dict[bytes, object]]:
    purse = customer.purse
    return {made.id: made.status for made in purse.sent()}, {held.id: held.state for held in purse.received()}


def _became(state: object, before: dict[bytes, object], after: dict[bytes, object]) -> int:
    return sum(1 for payment, now in after.items() if now is state and before.get(payment) is not state)
