"""RSA keys for tests, made once a run; randomness that can be replayed."""

from __future__ import annotations

import hashlib
import json
from functools import cache
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.rsa import RSAPrivateKey, generate_private_key
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from cbdc.privacy.blind_rsa import PrivateKey
from cbdc.privacy.notes import NoteKey
from tests.support import NOW_S, YEAR_S, seed

PUBLISHED = Path(__file__).parents[2] / "vectors" / "published"
NETWORK = seed("network")


def published(name: str) -> Any:
    """A file of published vectors."""
    return json.loads((PUBLISHED / f"{name}.json").read_text())


def library_key(name: str, bits: int = 2048, exponent: int = 65537) -> RSAPrivateKey:
    """The key with this name, as `cryptography` made it in this run."""
    return _made(name, bits, exponent)


@cache
def _made(_name: str, bits: int, exponent: int) -> RSAPrivateKey:
    return generate_private_key(exponent, bits)


def private_key(name: str, bits: int = 2048) -> PrivateKey:
    return PrivateKey(library_key(name, bits))


def note_key(name: str = "a", denomination_tenge: int = 64, epoch: int = 7, network: bytes = NETWORK) -> NoteKey:
    times = (NOW_S, NOW_S + YEAR_S, NOW_S + 2 * YEAR_S)
    return NoteKey(network, denomination_tenge, epoch, private_key(name).public, *times)


def supervisor(number: int) -> X25519PrivateKey:
    return X25519PrivateKey.from_private_bytes(seed(f"supervisor {number}"))


class Replay:
    """Bytes from a seed, one draw after another, or exactly the draws given."""

    def __init__(self, name: str = "random", draws: tuple[bytes, ...] = ()) -> None:
        self.name, self.draws, self.count = name, list(draws), 0

    def __call__(self, count: int) -> bytes:
        if self.draws:
            return self.draws.pop(0)
        self.count += 1
        return hashlib.shake_256(f"{self.name}/{self.count}".encode()).digest(count)
