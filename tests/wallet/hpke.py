"""RFC 9180 once more, as the text says it: base mode, DHKEM(X25519, HKDF-SHA256), HKDF-SHA256, ChaCha20-Poly1305.

`cryptography` takes no additional data with a message, and every published vector for this suite has some ("Count-0"),
so no vector can be put through it directly. This second implementation opens the published vector, and then whatever
`cryptography` sealed: both do the same.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

ENC_BYTES: Final = 32
_KEM: Final = b"KEM" + (0x0020).to_bytes(2, "big")
_HPKE: Final = b"HPKE" + b"".join(number.to_bytes(2, "big") for number in (0x0020, 0x0001, 0x0003))


def open_first(enc: bytes, ciphertext: bytes, private: bytes, info: bytes, aad: bytes = b"") -> bytes:
    """The first message of a base-mode context."""
    key, nonce = context(shared_secret(enc, private), info)
    return ChaCha20Poly1305(key).decrypt(nonce, ciphertext, aad)


def shared_secret(enc: bytes, private: bytes) -> bytes:
    """Decap (section 4.1)."""
    secret = X25519PrivateKey.from_private_bytes(private)
    public = secret.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)
    dh = secret.exchange(X25519PublicKey.from_public_bytes(enc))
    prk = _extract(_KEM, b"", b"eae_prk", dh)
    return _expand(_KEM, prk, b"shared_secret", enc + public, 32)


def context(secret: bytes, info: bytes) -> tuple[bytes, bytes]:
    """KeySchedule (section 5.1) in base mode: key and base nonce."""
    psk_id_hash = _extract(_HPKE, b"", b"psk_id_hash", b"")
    info_hash = _extract(_HPKE, b"", b"info_hash", info)
    schedule = b"\x00" + psk_id_hash + info_hash
    prk = _extract(_HPKE, secret, b"secret", b"")
    return _expand(_HPKE, prk, b"key", schedule, 32), _expand(_HPKE, prk, b"base_nonce", schedule, 12)


def _extract(suite: bytes, salt: bytes, label: bytes, ikm: bytes) -> bytes:
    return hmac.digest(salt or bytes(32), b"HPKE-v1" + suite + label + ikm, hashlib.sha256)


def _expand(suite: bytes, prk: bytes, label: bytes, info: bytes, length: int) -> bytes:
    labeled = length.to_bytes(2, "big") + b"HPKE-v1" + suite + label + info
    return hmac.digest(prk, labeled + b"\x01", hashlib.sha256)[:length]
