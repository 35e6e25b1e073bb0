"""What a purse may ask of its secure element. There is no call that exports the key."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cbdc.formats.cose import Signature
from wallet.vault import KdfCost


class SecureElement(Protocol):
    """The narrow interface. Every call may raise Unreachable where the element is a process of its own."""

    @property
    def public_key(self) -> bytes:
        """The purse's key (32 bytes)."""

    def install(self, certificate: bytes, trust_list: bytes) -> None:
        """Take the bank's certificate for this key: from now on its limits are enforced.

        Raises:
            FormError; NotEnrolled: not this key's purse certificate, or its bank is not on the list. BadSignature: not
            by that bank, or the list not by the network's operator. CertificateRevoked. TrustListStale: the element
            has seen a later list.
        """

    def counters(self) -> tuple[int, int]:
        """(payments ever signed, payments since the last sync)."""

    def held_tiyn(self) -> int:
        """What the element knows the purse to hold: the operator's word at the last sync, and what it signed since."""

    def allowance_left_tiyn(self, purpose: bytes) -> int | None:
        """What it still signs of a purpose before the next sync; None if the certificate has no allowance for it.

        Raises:
            NotEnrolled: no certificate is installed.
        """

    def has_spent(self, outpoint: bytes) -> bool:
        """Whether it has signed a spend of this token."""

    def sign_payment(self, payload: bytes) -> Signature:
        """Sign an offline transfer; one payload per input for ever, within the certificate's limits.

        Raises:
            DoubleSpend, LimitPayment, LimitSpends, LimitHops, FormError: nothing was signed or noted. NotEnrolled: nor
            here; no certificate is installed, or the transfer names another one.
        """

    def sign_unload(self, payload: bytes) -> Signature:
        """Sign an unload; one payload per input for ever, whichever kind it is.

        Raises:
            DoubleSpend, FormError: nothing was signed or noted.
        """

    def sign_invoice(self, payload: bytes) -> bytes:
        """An invoice as a signed message.

        Raises:
            LimitHolding: the purse would hold more than its certificate allows. FormError. NotEnrolled: no certificate
            is installed, or the invoice shows another one.
        """

    def sign_receipt(self, payload: bytes, payment: bytes) -> bytes:
        """A receipt for a payment (the signed transfer that it names) as a signed message.

        Raises:
            WrongPayee: the payment is another, or pays this purse nothing. LimitHolding, NotEnrolled, FormError.
        """

    def sync_challenge(self) -> bytes:
        """A fresh number (16 bytes) that the operator's word on the next sync must repeat."""

    def note_sync(self, sync_certificate: bytes, trust_list: bytes, settled: bool = True) -> None:
        """Count spends from 0 again, and holdings from what the operator says.

        Not ``settled``: there are payments that were not handed in, so the ledger still counts what they paid away.

        Raises:
            BadSignature: either is not by the network's operator. Replayed: it answers no open challenge. FormError.
        """

    def change_pin(self, old: str, new: str) -> None:
        """From now on the new PIN opens it, and the old one no longer; after a power cut it is one of the two.

        The old one is a try like any other, also of an element that is open.

        Raises:
            WrongPin, PinLocked: nothing has changed. FormError: the new one is too long or no text.
        """

    def close(self) -> None:
        """Let go of the storage."""


class ElementMaker(Protocol):
    """How a wallet comes by its element: `SimulatedElement` in this process, `ElementProcess` in one of its own."""

    def create(
        self, path: Path, pin: str, network: bytes, *, cost: KdfCost | None, random: Callable[[int], bytes]
    ) -> SecureElement:
        """Make an element with a fresh key for a network (32-byte root key), locked by a PIN.

        Raises:
            LedgerBusy: there is one already.
        """

    def open(self, path: Path, pin: str) -> SecureElement:
        """Open an element.

        Raises:
            WrongPin, PinLocked, WalletCorrupt; LedgerBusy: another program has it open.
        """
