"""The messages between two devices: INVOICE, PAYMENT, RECEIPT, and the text or file that carries them.

INVOICE and RECEIPT are COSE_Sign1 by the payee's secure element. PAYMENT is the signed transfer with everything
that a payee without a network needs to judge it: ancestry, load certificates and purse certificates.
"""

from __future__ import annotations

import zlib
from dataclasses import dataclass
from typing import Final

import base45

from cbdc.errors import BadSignature, Malformed, TooLarge
from cbdc.formats import cbor, certificates, cose
from cbdc.formats.certificates import Certificate
from cbdc.formats.hashing import HASH_BYTES, tagged
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line, lines_from_cbor, lines_to_cbor
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_ANCESTRY,
    MAX_CERTIFICATE_BYTES,
    MAX_INFLATED_BYTES,
    MAX_PAYLOAD_TEXT_CHARS,
)
from cbdc.messages.bodies import NONCE_BYTES

PREFIX: Final = "KZT1:"

_PACKING_SLACK_BYTES: Final = 256
"""By how much the same message may pack worse with another signature in it, generously."""


@dataclass(frozen=True, slots=True)
class Invoice:
    """What a payee asks for. ``id`` is the hash of the signed payload; ``raw`` the signed message."""

    amount_tiyn: int
    certificate: Certificate
    certificate_raw: bytes
    nonce: bytes
    headroom_tiyn: int
    trust_list_s: int
    ledger_time_s: int
    lines: tuple[Line, ...]
    id: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class PaymentBundle:
    """A signed offline transfer and what proves it: ancestry, load certificates, the parties' certificates."""

    payment: bytes
    ancestry: tuple[bytes, ...]
    loads: tuple[bytes, ...]
    certificates: tuple[bytes, ...]

    def encode(self) -> bytes:
        return cbor.encode([self.payment, list(self.ancestry), list(self.loads), list(self.certificates)])

    @classmethod
    def decode(cls, data: bytes) -> PaymentBundle:
        """Read a bundle; nothing in it is verified yet.

        Raises:
            FormError: not a bundle.
        """
        payment, ancestry, loads, certs = cbor.array(cbor.decode(data, max_bytes=MAX_INFLATED_BYTES), "payment", 4)
        return cls(
            cbor.bytes_up_to(payment, "payment", MAX_INFLATED_BYTES),
            _byte_strings(ancestry, "ancestry"),
            _byte_strings(loads, "load certificates"),
            _byte_strings(certs, "certificates"),
        )

    @classmethod
    def own(cls, data: bytes) -> PaymentBundle:
        """Read what this device has written itself: no bound on what comes from outside stands against that."""
        payment, ancestry, loads, certs = cbor.decode(data, max_bytes=len(data))
        return cls(payment, tuple(ancestry), tuple(loads), tuple(certs))


@dataclass(frozen=True, slots=True)
class PaymentReceipt:
    """The payee's word that it has stored a payment (by message id)."""

    payment_id: bytes
    ledger_time_s: int


# --- invoice -----------------------------------------------------------------------------------


def invoice_payload(
    amount_tiyn: int,
    certificate: bytes,
    nonce: bytes,
    headroom_tiyn: int,
    trust_list_s: int,
    ledger_time_s: int,
    lines: tuple[Line, ...] = (),
) -> bytes:
    """What the payee's element signs as an invoice."""
    fields = [amount_tiyn, certificate, nonce, headroom_tiyn, trust_list_s, ledger_time_s]
    return cbor.encode([*fields, lines_to_cbor(lines)])


def read_invoice(raw: bytes, network: bytes) -> Invoice:
    """The invoice in ``raw``, signed by the key of the certificate inside it.

    Whether that certificate is by an admitted bank is the reader's to check.

    Raises:
        FormError: not an invoice. BadSignature: not signed by the certificate's key.
    """
    payload, check = cose.open1(raw, Kind.INVOICE, network)
    amount, certificate_raw, nonce, headroom, trust_list, time, items = cbor.array(cbor.decode(payload), "invoice", 7)
    certificate_raw = cbor.bytes_up_to(certificate_raw, "certificate", MAX_CERTIFICATE_BYTES)
    certificate, _ = certificates.unverified(certificate_raw, network)
    if not cose.SignatureCheck(certificate.key, check.message, check.signature).holds():
        raise BadSignature("the invoice is not signed by the payee that it names")
    if amount == 0:
        raise Malformed("an invoice asks for an amount")
    return Invoice(
        amount_tiyn=cbor.unsigned(amount, "amount", MAX_AMOUNT_TIYN),
        certificate=certificate,
        certificate_raw=certificate_raw,
        nonce=cbor.byte_string(nonce, "nonce", NONCE_BYTES),
        headroom_tiyn=cbor.unsigned(headroom, "headroom", MAX_AMOUNT_TIYN),
        trust_list_s=cbor.time_s(trust_list, "trust list time"),
        ledger_time_s=cbor.time_s(time, "ledger time"),
        lines=lines_from_cbor(items),
        id=invoice_id(payload),
        raw=raw,
    )


def invoice_id(payload: bytes) -> bytes:
    """The id that a payment names: the hash of the invoice's payload."""
    return tagged("invoice", payload)


# --- receipt -----------------------------------------------------------------------------------


def receipt_payload(payment_id: bytes, ledger_time_s: int) -> bytes:
    """What the payee's element signs as a receipt."""
    return cbor.encode([payment_id, ledger_time_s])


def read_receipt(raw: bytes, network: bytes, payee_key: bytes) -> PaymentReceipt:
    """The receipt in ``raw`` by this payee.

    Raises:
        FormError: not a receipt. BadSignature: not this payee's.
    """
    payload = cose.verify1(raw, Kind.PAYMENT_RECEIPT, network, payee_key)
    payment_id, time = cbor.array(cbor.decode(payload), "receipt", 2)
    return PaymentReceipt(cbor.byte_string(payment_id, "payment id", HASH_BYTES), cbor.time_s(time, "ledger time"))


# --- the payload that carries any of them ------------------------------------------------------


def to_text(message: bytes) -> str:
    """``KZT1:`` and base45 (RFC 9285) of the packed message: what a QR code, a file or a socket holds."""
    encoded: bytes = base45.b45encode(pack(message))
    return PREFIX + encoded.decode()


def check_carried(bundle: bytes) -> None:
    """Whether a bundle is one that every device reads, over every carrier.

    Raises:
        TooLarge: it is not.
    """
    PaymentBundle.decode(bundle)
    chars = len(PREFIX) + 3 * (len(pack(bundle)) + _PACKING_SLACK_BYTES) // 2
    if chars > MAX_PAYLOAD_TEXT_CHARS:
        raise TooLarge("payload too long", found=chars, limit=MAX_PAYLOAD_TEXT_CHARS)


def from_text(text: str) -> bytes:
    """The message in a payload text, never inflating more than `MAX_INFLATED_BYTES`.

    Raises:
        TooLarge: too much text, or a decompression bomb. Malformed: anything else that is not such a payload.
    """
    return unpack(packed_of(text))


def packed_of(text: str) -> bytes:
    """The packed message in a payload text, not inflated.

    Raises:
        TooLarge: too much text. Malformed: not a payload text.
    """
    text = text.strip()
    if len(text) > MAX_PAYLOAD_TEXT_CHARS:
        raise TooLarge("payload too long", found=len(text), limit=MAX_PAYLOAD_TEXT_CHARS)
    if not text.startswith(PREFIX):
        raise Malformed("not a payload: it begins with another word", wanted=PREFIX)
    try:
        packed: bytes = base45.b45decode(text.removeprefix(PREFIX))
    except ValueError as error:
        raise Malformed("not a payload", reason=type(error).__name__) from None
    return packed


def pack(message: bytes) -> bytes:
    """The message as a zlib stream (RFC 1950)."""
    return zlib.compress(message, 9)


def unpack(packed: bytes) -> bytes:
    """The message in a zlib stream, never inflating more than `MAX_INFLATED_BYTES`.

    Raises:
        TooLarge: a decompression bomb. Malformed: no such stream, or one that is cut or has something behind it.
    """
    inflater = zlib.decompressobj()
    try:
        message = inflater.decompress(packed, MAX_INFLATED_BYTES)
    except zlib.error as error:
        raise Malformed("not a payload", reason=type(error).__name__) from None
    if inflater.unconsumed_tail:
        raise TooLarge("payload inflates too far", limit=MAX_INFLATED_BYTES)
    if not inflater.eof or inflater.unused_data:
        raise Malformed("payload is cut or has something behind it")
    return message


def _byte_strings(value: cbor.Value, what: str) -> tuple[bytes, ...]:
    items = cbor.array_up_to(value, what, MAX_ANCESTRY)
    return tuple(cbor.bytes_up_to(item, what, MAX_INFLATED_BYTES) for item in items)
