"""What a wallet and its element say to each other: frames, requests and answers.

A frame is four bytes of length (big-endian) and one canonical CBOR value of at most `MAX_ELEMENT_FRAME_BYTES`::

    request = [name: text, *arguments]
    answer  = [true, value] / [false, code: text, message: text, {* text => int / bytes / text / bool / null}]
"""

from __future__ import annotations

import socket
from collections.abc import Callable, Iterator
from typing import Any, Final

from cbdc.errors import Malformed, TengeError, TooLarge
from cbdc.formats import cbor
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
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

HEAD_BYTES: Final = 4
_CHUNK_BYTES: Final = 1 << 16
_MOST_TEXT: Final = 1000
"""Characters of an error's text that travel: enough for a path in it."""


# --- frames ------------------------------------------------------------------------------------


def send_frame(channel: socket.socket, body: bytes) -> None:
    """Raises OSError: the other side is gone."""
    channel.sendall(len(body).to_bytes(HEAD_BYTES, "big") + body)


def receive_frame(channel: socket.socket) -> bytes | None:
    """The next frame's body, or None at the end of the stream.

    Raises:
        TooLarge: the frame's head announces more than the bound (``found``); its body is still in the stream.
        OSError: the other side is gone.
    """
    head = _exactly(channel, HEAD_BYTES)
    if head is None:
        return None
    length = int.from_bytes(head, "big")
    if length > MAX_ELEMENT_FRAME_BYTES:
        raise TooLarge("frame too long", found=length, limit=MAX_ELEMENT_FRAME_BYTES)
    return _exactly(channel, length)


def skip(channel: socket.socket, length: int) -> None:
    """Read so many bytes, or to the end of the stream, and keep none of them."""
    while length and (got := channel.recv(min(length, _CHUNK_BYTES))):
        length -= len(got)


def _exactly(channel: socket.socket, length: int) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        got = channel.recv(min(length - len(parts), _CHUNK_BYTES))
        if not got:
            return None
        parts += got
    return bytes(parts)


# --- requests ----------------------------------------------------------------------------------

Shape = Callable[[cbor.Value], Any]


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
    fields = cbor.array_up_to(cbor.decode(body, max_bytes=MAX_ELEMENT_FRAME_BYTES), "request", 4)
    name = fields[0] if fields and type(fields[0]) is str else ""
    shapes = (BEFORE_OPEN | AFTER_OPEN).get(name)
    if shapes is None:
        raise Malformed("no such request")
    cbor.array(fields, name, 1 + len(shapes))
    return name, tuple(shape(value) for shape, value in zip(shapes, fields[1:], strict=True))


# --- answers -----------------------------------------------------------------------------------


def answer(value: cbor.Value) -> bytes:
    """What a request gave, as an answer."""
    return cbor.encode([True, value])


def refusal(error: TengeError) -> bytes:
    """An error as an answer: its code, text and values."""
    values = {name: _plain(value) for name, value in error.values.items()}
    return cbor.encode([False, error.code, error.message[:_MOST_TEXT], values])


def _plain(value: object) -> cbor.Value:
    if value is None or isinstance(value, bool | bytes):
        return value
    if isinstance(value, int) and abs(value) < 1 << 63:
        return value
    return str(value)[:_MOST_TEXT]


def read_answer(body: bytes) -> tuple[cbor.Value, TengeError | None]:
    """The value of an answer, or the error that the element answered with, as its own class and with its values.

    Raises:
        FormError: not an answer of ours.
    """
    fields = cbor.array_up_to(cbor.decode(body, max_bytes=MAX_ELEMENT_FRAME_BYTES), "answer", 4)
    if fields and fields[0] is True:
        return cbor.array(fields, "answer", 2)[1], None
    kind, code, message, values = cbor.array(fields, "answer", 4)
    if kind is not False or type(values) is not dict or not all(type(name) is str for name in values):
        raise Malformed("not an answer of an element")
    return None, _KINDS.get(str(code), TengeError)(str(message), **values)


def _kinds(root: type[TengeError]) -> Iterator[type[TengeError]]:
    yield root
    for kind in root.__subclasses__():
        yield from _kinds(kind)


_KINDS: Final = {kind.code: kind for kind in _kinds(TengeError) if "code" in vars(kind)}
