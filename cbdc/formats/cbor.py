"""Deterministic CBOR (RFC 8949 section 4.2.1), and the shapes that decoders expect.

Anything signed or hashed goes through `encode`; anything that comes from outside goes through `decode`,
which refuses every other spelling of the same value by encoding it again and comparing. Tags, indefinite lengths
and duplicate keys are refused there; floats and simple values, which no format of ours has, by the shapes below.

cbor2 sorts map keys length-first (the older RFC 7049 order). Our maps use only text keys, or integers in
-24..23 and below -65536: for these both orders agree, and the formats refuse any other key.
"""

from __future__ import annotations

import re
from typing import Any, NoReturn, TypeAlias

import cbor2

from cbdc.errors import Malformed, NotCanonical, TooLarge
from cbdc.limits import MAX_CBOR_DEPTH, MAX_MESSAGE_BYTES, MAX_TIME_S

Value: TypeAlias = Any
"""A decoded CBOR value: int, bytes, str, bool, None, list or dict."""


def encode(value: Value) -> bytes:
    """The one canonical encoding of a value made of int, bytes, str, bool, None, list, tuple and dict."""
    return cbor2.dumps(value, canonical=True)


def decode(data: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES) -> Value:
    """Decode untrusted bytes that must be exactly one canonical value.

    Raises:
        TooLarge: longer than ``max_bytes``.
        Malformed: not CBOR, nested deeper than `MAX_CBOR_DEPTH`, or tagged.
        NotCanonical: the same value has another, canonical, spelling, or something follows it.
    """
    if len(data) > max_bytes:
        raise TooLarge("message too long", found=len(data), limit=max_bytes)
    try:
        value = cbor2.loads(
            data,
            max_depth=MAX_CBOR_DEPTH,
            allow_indefinite=False,
            allow_duplicate_keys=False,
            semantic_decoders=_NO_TAGS,
            tag_hook=_refuse_tag,
        )
    except (cbor2.CBORDecodeError, RecursionError, OverflowError, MemoryError) as error:
        raise Malformed("not a CBOR value of ours", reason=type(error).__name__) from None
    try:
        again = cbor2.dumps(value, canonical=True)
    except (cbor2.CBOREncodeError, RecursionError) as error:
        raise Malformed("not a CBOR value of ours", reason=type(error).__name__) from None
    if again != data:
        raise NotCanonical("not the canonical spelling", bytes=len(data))
    return value


def _refuse_tag(*_: object) -> NoReturn:
    raise ValueError("tags are not used")


_TAGS_THAT_CBOR2_INTERPRETS = (
    *(0, 1, 2, 3, 4, 5, 25, 28, 29, 30, 35, 36, 37, 52, 54, 100),
    *(256, 258, 260, 261, 1004, 43000, 55799),
)
_UNSHOWABLE = re.compile("[\x00-\x1f\x7f-\x9f\xad\u061c\u200b-\u200f\u2028-\u202e\u2060-\u2069\ufeff]")
"""Controls, separators of lines and paragraphs, invisible characters, and marks that turn the direction of writing."""

_NO_TAGS = dict.fromkeys(_TAGS_THAT_CBOR2_INTERPRETS, _refuse_tag)


# --- shapes: each returns its argument, typed, or raises Malformed naming the field -------------


def array(value: Value, what: str, length: int) -> list[Value]:
    """A list of exactly ``length`` items."""
    if type(value) is not list or len(value) != length:
        raise Malformed(f"{what} is not an array of {length}")
    return value


def array_up_to(value: Value, what: str, limit: int) -> list[Value]:
    """A list of at most ``limit`` items; more raises TooLarge."""
    if type(value) is not list:
        raise Malformed(f"{what} is not an array")
    if len(value) > limit:
        raise TooLarge(f"{what} has too many items", found=len(value), limit=limit)
    return value


def byte_string(value: Value, what: str, length: int) -> bytes:
    """A byte string of exactly ``length`` bytes."""
    if type(value) is not bytes or len(value) != length:
        raise Malformed(f"{what} is not {length} bytes")
    return value


def bytes_up_to(value: Value, what: str, limit: int) -> bytes:
    """A byte string of at most ``limit`` bytes; more raises TooLarge."""
    if type(value) is not bytes:
        raise Malformed(f"{what} is not a byte string")
    if len(value) > limit:
        raise TooLarge(f"{what} is too long", found=len(value), limit=limit)
    return value


def unsigned(value: Value, what: str, limit: int) -> int:
    """An integer in 0..limit; a boolean is none."""
    if type(value) is not int or value < 0:
        raise Malformed(f"{what} is not an unsigned integer")
    if value > limit:
        raise TooLarge(f"{what} is too large", found=value, limit=limit)
    return value


def text_up_to(value: Value, what: str, limit: int) -> str:
    """A text of 1..limit characters, none of which could hide or turn round what is shown.

    The list is fixed here, because what a Unicode library calls printable changes from version to version.
    """
    if type(value) is not str or not value or _UNSHOWABLE.search(value):
        raise Malformed(f"{what} is not a text that can be shown")
    if len(value) > limit:
        raise TooLarge(f"{what} is too long", found=len(value), limit=limit)
    return value


def int_map(value: Value, what: str, keys: frozenset[int]) -> dict[int, Value]:
    """A map with exactly these integer keys; a boolean or a float that equals one is none."""
    if type(value) is not dict or value.keys() != keys or any(type(key) is not int for key in value):
        raise Malformed(f"{what} is not a map with the keys that belong there")
    return value


def time_s(value: Value, what: str) -> int:
    """Seconds since 1970-01-01T00:00:00Z, up to the year 9999."""
    return unsigned(value, what, MAX_TIME_S)
