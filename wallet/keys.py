"""A wallet's keys: 24 words (BIP-39) -> seed -> Ed25519 keys (SLIP-0010), all hardened.

The online key number i is at ``m/398'/0'/i'``; 398 is the tenge's number in ISO 4217. The key inside the secure
element is not derived from the words: it never leaves its element.
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Final

from mnemonic import Mnemonic

from cbdc.errors import Malformed
from cbdc.formats.ed25519 import SigningKey

WORDS: Final = 24
PATH_PURPOSE: Final = 398
_HARDENED: Final = 0x8000_0000
_LANGUAGE: Final = Mnemonic("english")


def words_of(entropy: bytes) -> str:
    """The 24 words of 32 bytes of entropy (BIP-39)."""
    if len(entropy) != 32:
        raise ValueError("24 words carry 32 bytes of entropy")
    return _LANGUAGE.to_mnemonic(entropy)


def check_words(words: str) -> str:
    """The words in their plain form, if they are 24 with a right checksum.

    Raises:
        Malformed: they are not; which words they were is not repeated.
    """
    plain = " ".join(words.lower().split())
    if len(plain.split()) != WORDS or not _LANGUAGE.check(plain):
        raise Malformed("these are not 24 words with a right checksum")
    return plain


class KeyChain:
    """The online keys of a wallet, by number. Holds the seed and never shows it."""

    __slots__ = ("_seed",)

    def __init__(self, words: str) -> None:
        self._seed = Mnemonic.to_seed(check_words(words))

    def online_key(self, number: int) -> SigningKey:
        """The online key with this number, from 0."""
        return SigningKey(derive(self._seed, (PATH_PURPOSE, 0, number)))

    def __repr__(self) -> str:
        return "KeyChain(…)"


def derive(seed: bytes, path: tuple[int, ...]) -> bytes:
    """SLIP-0010 for Ed25519: the 32-byte private key at a path of hardened indexes."""
    node = hmac.digest(b"ed25519 seed", seed, hashlib.sha512)
    for index in path:
        data = b"\0" + node[:32] + (index | _HARDENED).to_bytes(4, "big")
        node = hmac.digest(node[32:], data, hashlib.sha512)
    return node[:32]
