"""Whom a person means: an account (``bank/subject``) or a key in hex, on the ledger."""

from __future__ import annotations

from typing import Final

from cbdc.errors import Malformed, NotEnrolled
from cbdc.formats import certificates
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
from wallet.port import LedgerPort

_EITHER: Final = "an account is bank/subject, a key 64 hex digits"


def key_named(port: LedgerPort, text: str) -> bytes:
    """The wallet key to pay: the latest of an account that is in force, or the very key.

    Raises:
        NotEnrolled: no such account, or no key of it is in force. Malformed: neither account nor key.
    """
    if "/" not in text:
        return key_from_hex(text, _EITHER)
    keys = port.keys_of(text)
    if not keys:
        raise NotEnrolled("no such account, or no key of it is in force", account=text[:100])
    return keys[0]


def keys_named(port: LedgerPort, text: str) -> tuple[bytes, ...]:
    """As `key_named`, every key of an account that is in force. A key may be a revoked one."""
    return port.keys_of(text) or (key_named(port, text),) if "/" in text else (key_from_hex(text, _EITHER),)


def account_of(port: LedgerPort, key: bytes, network: bytes) -> str:
    """Whose a key is: an account, or for an institution's or nobody's the key itself, in hex."""
    try:
        return certificates.unverified(port.certificate_bytes(key), network)[0].account
    except NotEnrolled:
        return key.hex()


def key_from_hex(text: str, otherwise: str = "a key is 64 hex digits") -> bytes:
    """A public key as people write it. Raises Malformed, which says ``otherwise``: it is none."""
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != PUBLIC_KEY_BYTES:
        raise Malformed(otherwise, found=text[:80])
    return key
