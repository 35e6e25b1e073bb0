"""A payee's signed word on what an online payment is for: COSE_Sign1 over ``[payee, amount, nonce, lines]``.

Between two purses the payee compares the payment with its own invoice before it takes it. Online nobody takes a
payment: it arrives. So where a condition asks what was bought, the payment carries this, and the ledger checks it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cbdc.errors import Malformed
from cbdc.formats import cbor, cose
from cbdc.formats.cose import SignatureCheck
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES, SigningKey
from cbdc.formats.hashing import tagged
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line, lines_from_cbor, lines_to_cbor
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_REQUEST_BYTES

REQUEST_NONCE_BYTES: Final = 16


@dataclass(frozen=True, slots=True)
class PaymentRequest:
    """Asked by an online key: an amount in tiyn for these lines. ``id`` is the hash of the payload: it is paid once."""

    payee: bytes
    amount_tiyn: int
    nonce: bytes
    lines: tuple[Line, ...]
    id: bytes
    check: SignatureCheck


def sign(key: SigningKey, network: bytes, amount_tiyn: int, lines: tuple[Line, ...], nonce: bytes) -> bytes:
    """A request by the payee's online key; ``nonce``: 16 bytes, so that two alike are paid apart."""
    payload = cbor.encode([key.public, amount_tiyn, nonce, lines_to_cbor(lines)])
    return cose.sign1(key, Kind.REQUEST, payload, network)


def read(data: bytes, network: bytes) -> PaymentRequest:
    """The request in ``data``; its ``check`` is still to be made.

    Raises:
        FormError: not a request.
    """
    payload, check = cose.open1(data, Kind.REQUEST, network, max_bytes=MAX_REQUEST_BYTES)
    payee, amount, nonce, lines = cbor.array(cbor.decode(payload, max_bytes=MAX_REQUEST_BYTES), "request", 4)
    key = cbor.byte_string(payee, "payee", PUBLIC_KEY_BYTES)
    found = lines_from_cbor(lines)
    if amount == 0 or not found:
        raise Malformed("a request asks for an amount, and has lines")
    return PaymentRequest(
        key,
        cbor.unsigned(amount, "amount", MAX_AMOUNT_TIYN),
        cbor.byte_string(nonce, "nonce", REQUEST_NONCE_BYTES),
        found,
        tagged(Kind.REQUEST.value, payload),
        SignatureCheck(key, check.message, check.signature),
    )
