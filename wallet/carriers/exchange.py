"""The exchange of an offline payment over a link that goes both ways: INVOICE, PAYMENT, RECEIPT; and a RELEASE.

Only the order of messages is here; what they mean is the purses'. Their rules make it safe to break anywhere: the payer
journals before ``pay`` returns, the payee stores before ``accept`` returns, and whoever meets `Unreachable` in between
has a payment that is *pending*, not failed: the same bytes go out again.

Each side passes its trust list on ahead of its first message, if the other may not have one as new and it fits: the
signed list as it is, with the ledger time that it names.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from cbdc.errors import Malformed
from cbdc.formats import cose
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_INFLATED_BYTES, MAX_PASSED_LIST_BYTES
from wallet.carriers.base import Carrier


class Listener(Protocol):
    """Who keeps a device's trust list: its purse."""

    def trust_list_raw(self) -> bytes:
        """The newest list that this device has."""

    def newer_list(self, invoice: bytes) -> bytes | None:
        """The list, if it is newer than the one that an invoice names."""

    def hear(self, trust_list: bytes) -> bool:
        """Take a list from another device if it is newer; whether it was."""


def as_payee(link: Carrier, invoice: bytes, accept: Callable[[bytes], bytes], purse: Listener) -> bytes:
    """Ask for a payment, accept it (``accept``: PAYMENT to RECEIPT, durably) and confirm it; returns the receipt.

    Raises:
        Unreachable: the link broke; if ``accept`` was called, the money is here all the same.
        TengeError: as ``accept``, or as `Listener.hear` for a list that is nobody's.
    """
    _pass_on(link, purse.trust_list_raw())
    link.send(invoice)
    receipt = accept(_next(link, purse))
    link.send(receipt)
    return receipt


def as_payer(link: Carrier, pay: Callable[[bytes], bytes], finish: Callable[[bytes], None], purse: Listener) -> None:
    """Read the invoice, pay it (``pay``: INVOICE to PAYMENT, journaled) and take the receipt (``finish``).

    Raises:
        Unreachable: the link broke; if ``pay`` was called, the payment is pending.
        TengeError: as ``pay`` or ``finish``, or as `Listener.hear` for a list that is nobody's.
    """
    invoice = _next(link, purse)
    payment = pay(invoice)
    _pass_on(link, purse.newer_list(invoice))
    link.send(payment)
    finish(_next(link, purse))


def as_releaser(link: Carrier, release: bytes, purse: Listener) -> None:
    """Give a payment back. The list that the release names goes ahead: its taker refuses it under one he has not heard.

    Raises:
        Unreachable: the link broke; the release is signed all the same.
    """
    _pass_on(link, purse.trust_list_raw())
    link.send(release)


def as_taker(link: Carrier, take_back: Callable[[bytes], bytes], purse: Listener) -> bytes:
    """Hear the list that comes ahead, then take what is given back (``take_back``); the payment's id.

    Raises:
        Unreachable: the link broke.
        TengeError: as ``take_back``, or as `Listener.hear` for a list that is nobody's.
    """
    return take_back(_next(link, purse))


def is_trust_list(message: bytes) -> bool:
    """Whether a message between devices is a trust list that is passed on; nothing is verified."""
    return len(message) <= MAX_INFLATED_BYTES and cose.is_kind1(message, Kind.TRUST_LIST)


def _pass_on(link: Carrier, trust_list: bytes | None) -> None:
    if trust_list is not None and len(trust_list) <= MAX_PASSED_LIST_BYTES:
        link.send(trust_list)


def _next(link: Carrier, purse: Listener) -> bytes:
    """The next message; a trust list ahead of it is heard first.

    Raises:
        Malformed: one list after the other.
    """
    message = link.receive()
    if not is_trust_list(message):
        return message
    purse.hear(message)
    message = link.receive()
    if is_trust_list(message):
        raise Malformed("one trust list goes ahead of a message")
    return message
