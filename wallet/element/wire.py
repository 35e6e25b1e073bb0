"""What a wallet and its element say to each other: the calls of an element, in frames of `cbdc.service.stream`.

A frame holds one request or answer (`cbdc.formats.calls`) of at most `MAX_ELEMENT_FRAME_BYTES`.
"""

from __future__ import annotations

from typing import Any, Final

from cbdc.errors import Malformed, TengeError
from cbdc.formats import calls, cbor
from cbdc.formats.calls import Shape, answer, refusal
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.tokens import OUTPOINT_BYTES
from cbdc.limits import (
    MAX_CERTIFICATE_BYTES,
    MAX_DOCUMENT_BYTES,
    MAX_ELEMENT_FRAME_BYTES,
    MAX_KDF_ITERATIONS,
    MAX_KDF_LANES,
    MAX_KDF_MEMORY_KIB,
    MAX_MESSAGE_BYTES,
    MAX_PIN_BYTES,
)

__all__ = ["answer", "read_answer", "read_request", "refusal"]

# --- requests ----------------------------------------------------------------------------------


def _bytes(what: str, limit: int) -> Shape:
    return lambda value: cbor.bytes_up_to(value, what, limit)


def _pin(value: cbor.Value) -> str:
    raw = cbor.bytes_up_to(value, "PIN", MAX_PIN_BYTES)
    try:
        return raw.decode()
    except UnicodeDecodeError:
        raise Malformed("the PIN is not a text") from None


def _cost(value: cbor.Value) -> tuple[int, int, int] | None:
    """Argon2id's iterations, lanes and memory in KiB; None leaves them to the vault."""
    if value is None:
        return None
    iterations, lanes, memory_kib = cbor.array(value, "KDF cost", 3)
    cbor.unsigned(iterations, "iterations", MAX_KDF_ITERATIONS)
    cbor.unsigned(lanes, "lanes", MAX_KDF_LANES)
    cbor.unsigned(memory_kib, "memory", MAX_KDF_MEMORY_KIB)
    if not iterations or not lanes or memory_kib < 8 * lanes:
        raise Malformed("Argon2id takes at least one pass, one lane and 8 KiB for each lane")
    return iterations, lanes, memory_kib


def _yes_or_no(value: cbor.Value) -> bool:
    if type(value) is not bool:
        raise Malformed("neither true nor false")
    return value


_payload = _bytes("payload", MAX_MESSAGE_BYTES)
_message = _bytes("message", MAX_MESSAGE_BYTES)

BEFORE_OPEN: Final[dict[str, tuple[Shape, ...]]] = {
    "create": (_pin, lambda value: cbor.byte_string(value, "network", PUBLIC_KEY_BYTES), _cost),
    "open": (_pin,),
}
"""Requests of a locked element: both are answered with its public key."""

AFTER_OPEN: Final[dict[str, tuple[Shape, ...]]] = {
    "install": (_bytes("certificate", MAX_CERTIFICATE_BYTES), _message),
    "counters": (),
    "held_tiyn": (),
    "allowance_left_tiyn": (lambda value: cbor.byte_string(value, "purpose", HASH_BYTES),),
    "has_spent": (lambda value: cbor.byte_string(value, "outpoint", OUTPOINT_BYTES),),
    "sign_payment": (_payload,),
    "sign_unload": (_payload,),
    "sign_invoice": (_payload,),
    "sign_receipt": (_bytes("receipt", MAX_DOCUMENT_BYTES), _message),
    "sync_challenge": (),
    "change_pin": (_pin, _pin),
    "note_sync": (_bytes("sync certificate", MAX_DOCUMENT_BYTES), _message, _yes_or_no),
}
"""Requests of an open element. This is all there is: none of them asks for the key."""


def read_request(body: bytes) -> tuple[str, tuple[Any, ...]]:
    """The name of a request and its checked arguments.

    Raises:
        FormError: not a request of ours.
    """
    return calls.read_request(body, BEFORE_OPEN | AFTER_OPEN, MAX_ELEMENT_FRAME_BYTES)


def read_answer(body: bytes) -> tuple[cbor.Value, TengeError | None]:
    """The value of an answer, or the error that the element answered with, as its own class and with its values.

    Raises:
        FormError: not an answer of ours.
    """
    return calls.read_answer(body, MAX_ELEMENT_FRAME_BYTES)
