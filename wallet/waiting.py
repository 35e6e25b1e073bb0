"""A payment that somebody names: one that waits, or else what became of it, so that nobody is left with "unknown"."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Final

from cbdc.errors import Expired, NotOwner, Replayed, TengeError
from cbdc.state.records import Waiting
from wallet import trade
from wallet.port import LedgerPort

WHOLE_ID: Final = re.compile(r"[0-9a-fA-F]{64}")


def for_approver(port: LedgerPort, name: str) -> dict[bytes, Waiting]:
    """Payments that wait and whose purposes ask for this account's or institution's approval, by id."""
    return {key: held for key, held in port.waiting().items() if name in port.approvers_of(key)}


def named(port: LedgerPort, text: str, found: Mapping[bytes, Waiting], known: Iterable[bytes] = ()) -> bytes:
    """The id of one of the payments ``found``, by its digits; ``known`` are others that are known here.

    Raises:
        Malformed: too few digits, or several begin so. Expired: it has lapsed. Replayed: it went through. NotOwner: it
        waits for others, or the ledger has no such payment.
    """
    text = text.strip()
    try:
        payment_id = bytes.fromhex(text) if WHOLE_ID.fullmatch(text) else trade.id_named(text, {*found, *known})
    except NotOwner:
        raise NotOwner("no payment that begins so waits here; its whole id tells more", payment=text[:80]) from None
    if payment_id not in found:
        raise what_became_of(port, payment_id)
    return payment_id


def what_became_of(port: LedgerPort, payment_id: bytes) -> TengeError:
    """Why nothing can be done about a payment that is not among those that wait here."""
    held = port.waiting_payment(payment_id)
    if held is not None and held.lapsed:
        return Expired("the payment has lapsed, its money is back with its payer", payment=payment_id, **_until(held))
    if held is not None:
        return NotOwner("the payment waits, but not for this word", payment=payment_id, **_until(held))
    if port.refundable(payment_id):
        return Replayed("the payment went through already", payment=payment_id)
    return NotOwner("the ledger has no such payment that waits", payment=payment_id)


def _until(held: Waiting) -> dict[str, int]:
    return {"limit": held.until_s}
