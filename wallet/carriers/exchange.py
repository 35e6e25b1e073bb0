"""The exchange of an offline payment over a link that goes both ways: INVOICE, PAYMENT, RECEIPT.

Only the order of messages is here; what they mean is the purses'. Their rules make it safe to break anywhere: the payer
journals before ``pay`` returns, the payee stores before ``accept`` returns, and whoever meets `Unreachable` in between
has a payment that is *pending*, not failed: the same bytes go out again.
"""

from __future__ import annotations

from collections.abc import Callable

from wallet.carriers.base import Carrier


def as_payee(link: Carrier, invoice: bytes, accept: Callable[[bytes], bytes]) -> bytes:
    """Ask for a payment, accept it (``accept``: PAYMENT to RECEIPT, durably) and confirm it; returns the receipt.

    Raises:
        Unreachable: the link broke; if ``accept`` was called, the money is here all the same.
        TengeError: as ``accept``.
    """
    link.send(invoice)
    receipt = accept(link.receive())
    link.send(receipt)
    return receipt


def as_payer(link: Carrier, pay: Callable[[bytes], bytes], finish: Callable[[bytes], None]) -> None:
    """Read the invoice, pay it (``pay``: INVOICE to PAYMENT, journaled) and take the receipt (``finish``).

    Raises:
        Unreachable: the link broke; if ``pay`` was called, the payment is pending.
        TengeError: as ``pay`` or ``finish``.
    """
    payment = pay(link.receive())
    link.send(payment)
    finish(link.receive())
