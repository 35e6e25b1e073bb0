"""Ed25519 (RFC 8032): signing and the one strict verification that everything uses.

libsodium refuses small-order keys and R, non-canonical points and scalars S >= L; OpenSSL accepts some of
them, so X.509 signatures are checked here as well. See docs/adr/0003-strict-ed25519.md.
"""

from __future__ import annotations

from typing import Final, Self

from nacl.bindings import (
    crypto_sign,
    crypto_sign_ed25519_sk_to_curve25519,
    crypto_sign_open,
    crypto_sign_seed_keypair,
)
from nacl.exceptions import BadSignatureError

PUBLIC_KEY_BYTES: Final = 32
SIGNATURE_BYTES: Final = 64
SEED_BYTES: Final = 32


def is_valid(public_key: bytes, message: bytes, signature: bytes) -> bool:
    """Whether ``signature`` (64 bytes) by ``public_key`` (32 bytes) over ``message`` holds, strictly."""
    if len(public_key) != PUBLIC_KEY_BYTES or len(signature) != SIGNATURE_BYTES:
        return False
    try:
        crypto_sign_open(signature + message, public_key)
    except BadSignatureError:
        return False
    return True


class SigningKey:
    """A private key that signs and never shows itself: no repr, no export but the caller's own seed."""

    __slots__ = ("_secret", "public")

    def __init__(self, seed: bytes) -> None:
        if len(seed) != SEED_BYTES:
            raise ValueError("an Ed25519 seed is 32 bytes")
        self.public: bytes
        self.public, self._secret = crypto_sign_seed_keypair(seed)

    @classmethod
    def from_seed(cls, seed: bytes) -> Self:
        """The key of a 32-byte seed (RFC 8032 section 5.1.5)."""
        return cls(seed)

    def sign(self, message: bytes) -> bytes:
        """The 64-byte signature over ``message``."""
        return crypto_sign(message, self._secret)[:SIGNATURE_BYTES]

    def agreement_secret(self) -> bytes:
        """The X25519 secret that belongs to this key (RFC 7748), for HPKE; as secret as the key itself."""
        return crypto_sign_ed25519_sk_to_curve25519(self._secret)

    def __repr__(self) -> str:
        return f"SigningKey(public={self.public.hex()[:16]}…)"

    def __reduce__(self) -> str:
        raise TypeError("a signing key is not pickled")
