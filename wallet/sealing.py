"""Sealed details of a payment: HPKE (RFC 9180, base mode, one shot) to the payee's online key.

The payee's Ed25519 key is turned into its X25519 form (the birational map of RFC 7748 section 4.1, libsodium's
conversion), so nobody needs a second public key. Suite: DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.
"""

from __future__ import annotations

from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from nacl.bindings import crypto_sign_ed25519_pk_to_curve25519

from cbdc.errors import Malformed, TooLarge
from cbdc.formats.ed25519 import SigningKey
from cbdc.limits import MAX_MEMO_CHARS

_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_INFO: Final = b"tenge/v1/memo"


def seal(memo: str, payee: bytes, network: bytes) -> bytes:
    """Encrypt a memo for the holder of an Ed25519 key (32 bytes).

    Raises:
        TooLarge: more than `MAX_MEMO_CHARS`. Malformed: not a usable key.
    """
    if len(memo) > MAX_MEMO_CHARS:
        raise TooLarge("memo too long", found=len(memo), limit=MAX_MEMO_CHARS)
    try:
        key = X25519PublicKey.from_public_bytes(crypto_sign_ed25519_pk_to_curve25519(payee))
    except (RuntimeError, ValueError):
        raise Malformed("nothing can be sealed for this key", key=payee) from None
    return _SUITE.encrypt(memo.encode(), key, info=_INFO + network)


def unseal(sealed: bytes, key: SigningKey, network: bytes) -> str:
    """Decrypt a memo that was sealed for this key.

    Raises:
        Malformed: it was not.
    """
    private = X25519PrivateKey.from_private_bytes(key.agreement_secret())
    try:
        return _SUITE.decrypt(sealed, private, info=_INFO + network).decode()
    except (InvalidTag, ValueError):
        raise Malformed("the sealed details are not for this key") from None
