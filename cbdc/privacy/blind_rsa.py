"""Blind RSA signatures by RFC 9474 (RSABSSA), on RSASSA-PSS with SHA-384 (RFC 8017).

The signer signs what it cannot read, and cannot recognise the signature when it comes back. Pure: randomness is an
argument. Signatures are verified by `cryptography`; it offers no private operation without padding, so that one is
here, on GMP's constant-time exponentiation. See docs/adr/0030-cash-notes.md.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Final, Self, TypeAlias

import gmpy2
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, RSAPublicKey, RSAPublicNumbers
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_private_key,
    load_der_public_key,
)

from cbdc.errors import BadSignature, InvariantViolation, Malformed, TooLarge
from cbdc.limits import MAX_RSA_SPKI_BYTES, RSA_BITS

Random: TypeAlias = Callable[[int], bytes]
"""``random(n)`` gives n bytes that nobody can guess."""

EXPONENT: Final = 65537
PREFIX_BYTES: Final = 32
HASH_BYTES: Final = 48
_MOST_DRAWS: Final = 128
_PSS_SHA384: Final = bytes.fromhex(
    "303d06092a864886f70d01010a3030a00d300b0609608648016503040202"
    "a11a301806092a864886f70d010108300b0609608648016503040202a203020130"
)
"""AlgorithmIdentifier id-RSASSA-PSS with SHA-384, MGF1 with SHA-384, salt of 48 bytes (RFC 4055, RFC 9578 6.5)."""


@dataclass(frozen=True, slots=True)
class Variant:
    """A named variant of RFC 9474 section 5; a key serves one of them only (section 6.2)."""

    name: str
    prefix_bytes: int
    salt_bytes: int


PSS_RANDOMIZED: Final = Variant("RSABSSA-SHA384-PSS-Randomized", PREFIX_BYTES, HASH_BYTES)
PSSZERO_RANDOMIZED: Final = Variant("RSABSSA-SHA384-PSSZERO-Randomized", PREFIX_BYTES, 0)
PSS_DETERMINISTIC: Final = Variant("RSABSSA-SHA384-PSS-Deterministic", 0, HASH_BYTES)
PSSZERO_DETERMINISTIC: Final = Variant("RSABSSA-SHA384-PSSZERO-Deterministic", 0, 0)


# --- keys --------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PublicKey:
    """An RSA public key with exponent 65537 and a modulus of one of `RSA_BITS`."""

    n: int

    def __post_init__(self) -> None:
        if self.n.bit_length() not in RSA_BITS or self.n % 2 == 0:
            raise Malformed("an RSA modulus is odd and of a size in use", bits=self.n.bit_length())

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """The key of a SubjectPublicKeyInfo under id-RSASSA-PSS (RFC 9474 section 6.2), spelled as `to_der` does.

        Raises:
            TooLarge: above `MAX_RSA_SPKI_BYTES`. Malformed: no such key.
        """
        if len(der) > MAX_RSA_SPKI_BYTES:
            raise TooLarge("RSA key too long", found=len(der), limit=MAX_RSA_SPKI_BYTES)
        try:
            loaded = load_der_public_key(der)
        except (ValueError, UnsupportedAlgorithm):
            raise Malformed("not a public key") from None
        if not isinstance(loaded, RSAPublicKey):
            raise Malformed("not an RSA key")
        numbers = loaded.public_numbers()
        if numbers.e != EXPONENT:
            raise Malformed("an RSA exponent is 65537", found=numbers.e)
        key = cls(numbers.n)
        if key.to_der() != der:
            raise Malformed("an RSA key is encoded under id-RSASSA-PSS with SHA-384 and a salt of 48 bytes")
        return key

    def to_der(self) -> bytes:
        """The SubjectPublicKeyInfo: 342 bytes for 2048 bits."""
        pkcs1 = _loaded(self.n).public_bytes(Encoding.DER, PublicFormat.PKCS1)
        return _tlv(0x30, _PSS_SHA384 + _tlv(0x03, b"\0" + pkcs1))

    def may_sign(self, blinded: bytes) -> bool:
        """Whether `blind_sign` takes a blinded message: as long as the modulus, and in 2..n-2."""
        return len(blinded) == self.size and 1 < int.from_bytes(blinded, "big") < self.n - 1

    @property
    def size(self) -> int:
        """Bytes of the modulus, and of everything signed."""
        return self.n.bit_length() // 8


class PrivateKey:
    """A private key that signs and never shows itself: no repr, no pickle, no export."""

    __slots__ = ("_d_p", "_d_q", "_p", "_q", "_q_inverse", "public")

    def __init__(self, key: RSAPrivateKey) -> None:
        numbers = key.private_numbers()
        if numbers.public_numbers.e != EXPONENT:
            raise Malformed("an RSA exponent is 65537", found=numbers.public_numbers.e)
        self.public: PublicKey = PublicKey(numbers.public_numbers.n)
        self._p, self._q = gmpy2.mpz(numbers.p), gmpy2.mpz(numbers.q)
        self._d_p, self._d_q = gmpy2.mpz(numbers.dmp1), gmpy2.mpz(numbers.dmq1)
        self._q_inverse = gmpy2.mpz(numbers.iqmp)

    @classmethod
    def from_der(cls, der: bytes) -> Self:
        """The key of an unencrypted PKCS #8 encoding.

        Raises:
            Malformed: no such key; nothing of it is repeated.
        """
        try:
            loaded = load_der_private_key(der, None)
        except (ValueError, TypeError, UnsupportedAlgorithm):
            raise Malformed("not a private key") from None
        if not isinstance(loaded, RSAPrivateKey):
            raise Malformed("not an RSA key")
        return cls(loaded)

    def power(self, representative: int, random: Random) -> int:
        """RSASP1 (RFC 8017 section 5.2.1) by the Chinese remainders, blinded and checked (RFC 9474 sections 4.3, 7.1).

        What is reduced and raised is the representative times a fresh random power: no timing depends on what the
        caller chose. A wrong half would give away a factor of the modulus, hence the check.
        """
        n = gmpy2.mpz(self.public.n)
        mask = _unit_below(n, random)
        masked = representative * gmpy2.powmod(mask, EXPONENT, n) % n
        at_p = gmpy2.powmod_sec(masked % self._p, self._d_p, self._p)
        at_q = gmpy2.powmod_sec(masked % self._q, self._d_q, self._q)
        root = at_q + self._q * ((at_p - at_q) * self._q_inverse % self._p)
        signature = root * gmpy2.invert(mask, n) % n
        if gmpy2.powmod(signature, EXPONENT, n) != representative:
            raise InvariantViolation("an RSA signature came out wrong")
        return int(signature)

    def __repr__(self) -> str:
        return f"PrivateKey(public={hashlib.sha256(self.public.to_der()).hexdigest()[:16]}…)"

    def __reduce__(self) -> str:
        raise TypeError("a private key is not pickled")


@lru_cache(maxsize=256)
def _loaded(n: int) -> RSAPublicKey:
    return RSAPublicNumbers(EXPONENT, n).public_key()


def _tlv(tag: int, content: bytes) -> bytes:
    """DER of contents of 128 to 65535 bytes."""
    length = len(content)
    short = length < 256
    return bytes([tag, 0x81 if short else 0x82]) + length.to_bytes(1 if short else 2, "big") + content


# --- the protocol (RFC 9474 section 4) ---------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Blinding:
    """What goes to the signer, and the inverse that stays: whoever knows it can link the two."""

    blinded: bytes
    inverse: int = field(repr=False)


def prepare(message: bytes, random: Random, variant: Variant = PSS_RANDOMIZED) -> bytes:
    """Prepare (section 4.1): the message behind its random prefix, if the variant has one."""
    return _draw(random, variant.prefix_bytes) + message


def blind(key: PublicKey, prepared: bytes, random: Random, variant: Variant = PSS_RANDOMIZED) -> Blinding:
    """Blind (section 4.2). Draws the salt first, then the blinding factor.

    Raises:
        Malformed: the key has a factor that this very message shows ("invalid input", "blinding error").
    """
    n = gmpy2.mpz(key.n)
    # 1.-3. encoded_msg = EMSA-PSS-ENCODE(input_msg); the RFC's vectors take bit_len(n) - 1 bits, as RFC 8017 does
    encoded = _emsa_pss_encode(prepared, key.n.bit_length() - 1, _draw(random, variant.salt_bytes))
    m = gmpy2.mpz(int.from_bytes(encoded, "big"))
    # 4.-5. m and n are coprime
    if gmpy2.gcd(m, n) != 1:
        raise Malformed("this message cannot be blinded for this key")
    # 6.-8. r and its inverse
    r = _unit_below(n, random)
    # 9.-11. blinded_msg = m * RSAVP1(r) mod n
    z = m * gmpy2.powmod(r, EXPONENT, n) % n
    return Blinding(int(z).to_bytes(key.size, "big"), int(gmpy2.invert(r, n)))


def blind_sign(key: PrivateKey, blinded: bytes, random: Random) -> bytes:
    """BlindSign (section 4.3): the same answer to the same bytes; ``random`` only hides the key from a stopwatch.

    Raises:
        Malformed: not as long as the modulus, or not in 2..n-2: 0, 1 and n-1 are their own signatures.
        InvariantViolation: "signing failure".
    """
    m = _integer(blinded, key.public, "a blinded message")
    if not 1 < m < key.public.n - 1:
        raise Malformed("a blinded message is out of range")
    return key.power(m, random).to_bytes(key.public.size, "big")


def answers(key: PublicKey, blinded: bytes, blind_signature: bytes) -> bool:
    """Whether this is the answer to this blinded message: what anyone who replays the log can check."""
    try:
        m, s = _integer(blinded, key, "a blinded message"), _integer(blind_signature, key, "a blind signature")
    except Malformed:
        return False
    return bool(gmpy2.powmod(s, EXPONENT, key.n) == m)


def finalize(
    key: PublicKey, prepared: bytes, blinding: Blinding, blind_signature: bytes, variant: Variant = PSS_RANDOMIZED
) -> bytes:
    """Finalize (section 4.4): the signature over the prepared message, verified.

    Raises:
        Malformed: "unexpected input size", or not below the modulus.
        BadSignature: "invalid signature": the signer did not sign what it was sent.
    """
    # 1.-4. s = z * inv mod n
    z = _integer(blind_signature, key, "a blind signature")
    signature = (z * blinding.inverse % key.n).to_bytes(key.size, "big")
    # 5. RSASSA-PSS-VERIFY
    verify(key, prepared, signature, variant)
    return signature


def verify(key: PublicKey, prepared: bytes, signature: bytes, variant: Variant = PSS_RANDOMIZED) -> None:
    """RSASSA-PSS-VERIFY (RFC 8017 section 8.1.2, RFC 9474 section 4.5).

    Raises:
        BadSignature: it does not hold.
    """
    if len(prepared) < variant.prefix_bytes:
        raise BadSignature("a prepared message is longer than its prefix")
    try:
        _loaded(key.n).verify(signature, prepared, PSS(MGF1(SHA384()), variant.salt_bytes), SHA384())
    except InvalidSignature:
        raise BadSignature("the RSA signature does not hold") from None


def _integer(data: bytes, key: PublicKey, what: str) -> int:
    """bytes_to_int of a field of the modulus's length, below the modulus."""
    if len(data) != key.size:
        raise Malformed(f"{what} is as long as the modulus", found=len(data), wanted=key.size)
    value = int.from_bytes(data, "big")
    if value >= key.n:
        raise Malformed(f"{what} is out of range")
    return value


# --- RFC 8017 ----------------------------------------------------------------------------------


def _emsa_pss_encode(message: bytes, bits: int, salt: bytes) -> bytes:
    """EMSA-PSS-ENCODE (section 9.1.1) with SHA-384 and MGF1-SHA-384."""
    length = (bits + 7) // 8
    # 2. mHash; 3. emLen is large enough for every modulus in use
    hashed = hashlib.sha384(message).digest()
    # 5.-6. H = Hash(eight zeros || mHash || salt)
    digest = hashlib.sha384(bytes(8) + hashed + salt).digest()
    # 7.-8. DB = zeros || 01 || salt
    block = b"\x01".rjust(length - len(salt) - HASH_BYTES - 1, b"\0") + salt
    # 9.-11. masked with MGF1(H), the leftmost bits beyond emBits cleared
    masked = int.from_bytes(block, "big") ^ int.from_bytes(_mgf1(digest, len(block)), "big")
    masked &= (1 << (bits - 8 * (HASH_BYTES + 1))) - 1
    # 12. EM = maskedDB || H || bc
    return masked.to_bytes(len(block), "big") + digest + b"\xbc"


def _mgf1(seed: bytes, length: int) -> bytes:
    """MGF1 (appendix B.2.1) with SHA-384."""
    blocks = range(-(-length // HASH_BYTES))
    return b"".join(hashlib.sha384(seed + i.to_bytes(4, "big")).digest() for i in blocks)[:length]


def _draw(random: Random, count: int) -> bytes:
    data = random(count) if count else b""
    if len(data) != count:
        raise InvariantViolation("a source of randomness gave another number of bytes", found=len(data), wanted=count)
    return data


def _unit_below(n: gmpy2.mpz, random: Random) -> gmpy2.mpz:
    """A uniform integer in 1..n-1 (RFC 9474 section 3, random_integer_uniform) that has an inverse modulo n."""
    size = n.bit_length() // 8
    for _ in range(_MOST_DRAWS):
        value = gmpy2.mpz(int.from_bytes(_draw(random, size), "big"))
        if 0 < value < n:
            if gmpy2.gcd(value, n) != 1:
                raise Malformed("this modulus has just been factored")
            return value
    raise InvariantViolation("a source of randomness does not move")
