"""The state root: a homomorphic hash of the set of all records, updated in time proportional to a change.

LtHash16 (Bellare and Micciancio 1997; Lewi, Kim, Maykov and Weis, eprint 2019/227): each record is expanded to
1024 numbers of 16 bits, and the state's sum is their lane-wise sum modulo 2^16. Records are added and
removed in any order. The expansion is the BLAKE3 output stream and the root is BLAKE3 of the sum, as in
Solana's SIMD-0215, whose test vectors we check. See docs/adr/0004-state-root.md.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

from blake3 import blake3

from cbdc.state.view import Change, Key

SUM_BYTES: Final = 2048
_LOW: Final = int.from_bytes(b"\xff\x7f" * 1024, "little")
_HIGH: Final = int.from_bytes(b"\x00\x80" * 1024, "little")


class LatticeHash:
    """The running sum over a set of byte strings."""

    __slots__ = ("_sum",)

    def __init__(self, sum_bytes: bytes = bytes(SUM_BYTES)) -> None:
        if len(sum_bytes) != SUM_BYTES:
            raise ValueError("a lattice sum is 2048 bytes")
        self._sum = int.from_bytes(sum_bytes, "little")

    def add(self, element: bytes) -> None:
        """Put one element in."""
        a, b = self._sum, _expand(element)
        # lanes are added without carry between them: the low 15 bits first, then the top bit by exclusive or
        self._sum = ((a & _LOW) + (b & _LOW)) ^ ((a ^ b) & _HIGH)

    def remove(self, element: bytes) -> None:
        """Take one element out; the caller knows that it is in."""
        a, b = self._sum, _expand(element)
        self._sum = ((a | _HIGH) - (b & _LOW)) ^ ((a ^ b ^ _HIGH) & _HIGH)

    def update(self, changes: Iterable[tuple[Key, Change]]) -> None:
        """Follow a delta's record changes."""
        for key, change in changes:
            if change.before is not None:
                self.remove(element(key, change.before))
            if change.after is not None:
                self.add(element(key, change.after))

    def to_bytes(self) -> bytes:
        """The 2048-byte sum."""
        return self._sum.to_bytes(SUM_BYTES, "little")

    def root(self) -> bytes:
        """The 32-byte root."""
        return blake3(self.to_bytes()).digest()


def element(key: Key, value: bytes) -> bytes:
    """A record as an element of the set: table (1), length of key (2, big-endian), key, value."""
    table, name = key
    return table.to_bytes(1, "big") + len(name).to_bytes(2, "big") + name + value


def root_of(records: Iterable[tuple[Key, bytes]]) -> bytes:
    """The root of a whole set of records."""
    total = LatticeHash()
    for key, value in records:
        total.add(element(key, value))
    return total.root()


def _expand(element_bytes: bytes) -> int:
    return int.from_bytes(blake3(element_bytes).digest(length=SUM_BYTES), "little")
