"""Fields that several bodies share, and how they are read."""

from __future__ import annotations

from typing import Final

from cbdc.errors import Malformed
from cbdc.formats import cbor, x509
from cbdc.formats.tokens import OUTPOINT_BYTES, Output
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_INPUTS,
    MAX_NAME_CHARS,
    MAX_OUTPUTS,
    MAX_REFERENCE_CHARS,
    MAX_X509_BYTES,
)

NONCE_BYTES: Final = 16


def outpoints(value: cbor.Value, limit: int) -> tuple[bytes, ...]:
    """A list of 1..limit distinct outpoints (34 bytes each). Raises FormError."""
    items = cbor.array_up_to(value, "outpoints", limit)
    names = tuple([cbor.byte_string(item, "outpoint", OUTPOINT_BYTES) for item in items])
    if not names or len(set(names)) != len(names):
        raise Malformed("outpoints are at least one, and distinct")
    return names


def outputs_from(value: cbor.Value, *, least: int) -> tuple[Output, ...]:
    """A list of outputs, at least ``least``. Raises FormError."""
    items = cbor.array_up_to(value, "outputs", MAX_OUTPUTS)
    if len(items) < least:
        raise Malformed("outputs are missing")
    return tuple([Output.from_cbor(item) for item in items])


def spend_from(value: list[cbor.Value], *, least: int) -> tuple[tuple[bytes, ...], tuple[Output, ...], int]:
    """The three fields of a spend. Raises FormError."""
    inputs, outputs, valid_until = value
    return outpoints(inputs, MAX_INPUTS), outputs_from(outputs, least=least), cbor.time_s(valid_until, "valid until")


def amount_from(value: cbor.Value) -> int:
    """An amount of tiyn that moves something. Raises FormError."""
    if cbor.unsigned(value, "amount", MAX_AMOUNT_TIYN) == 0:
        raise Malformed("an amount of zero moves nothing")
    return int(value)


def check_nothing(value: cbor.Value) -> None:
    """A field that says nothing. Raises Malformed: it says something."""
    if value is not None:
        raise Malformed("this kind of message says nothing more")


def nonce_from(value: cbor.Value) -> bytes:
    """16 bytes. Raises FormError."""
    return cbor.byte_string(value, "nonce", NONCE_BYTES)


def account_from(value: cbor.Value) -> str:
    """``bank/subject``, or an institution's name."""
    return cbor.text_up_to(value, "account", 2 * MAX_NAME_CHARS + 1)


def reference_from(value: cbor.Value) -> str:
    """The text that refers to a decision. Raises FormError."""
    return cbor.text_up_to(value, "reference", MAX_REFERENCE_CHARS)


def institution_from(value: cbor.Value) -> x509.Institution:
    """An institution's X.509. Raises FormError."""
    return x509.parse(cbor.bytes_up_to(value, "X.509 certificate", MAX_X509_BYTES))
