"""The state root: a homomorphic hash of the set of all records, updated in time proportional to a change.

LtHash16 (Bellare and Micciancio 1997; Lewi, Kim, Maykov and Weis, eprint 2019/227): each record is expanded to
1024 numbers of 16 bits, and the state's sum is their lane-wise sum modulo 2^16. Records are added and
removed in any order. The expansion is the BLAKE3 output stream and the root is BLAKE3 of the sum, as in
Solana's SIMD-0215, whose test vectors we check. See docs/adr/0004-state-root.md.
"""

from __future__ import annotations

import struct
from collections.abc import Iterable, Sequence
from typing import Final

from blake3 import blake3

from cbdc.state.view import Change, Key

SUM_BYTES: Final = 2048
_EVEN: Final = int.from_bytes(b"\xff\xff\0\0" * (SUM_BYTES // 4), "little")
_ODD: Final = _EVEN << 16
_CARRY: Final = _EVEN + (_EVEN & ~(_EVEN << 1))
"""2^16 in every 32-bit slot: what a slot borrows before a subtraction."""

_HEAD: Final = struct.Struct(">BH")
_MAX_IN_SLOT: Final = 1 << 15
"""Numbers of 16 bits that a slot of 32 bits adds up before it must be folded; half of what would fit."""


class LatticeHash:
    """The running sum over a set of byte strings.

    Even and odd lanes are added separately, each in slots of 32 bits, so that big integers add a thousand lanes at
    once without a carry between them.
    """

    __slots__ = ("_even", "_odd")

    def __init__(self, sum_bytes: bytes = bytes(SUM_BYTES)) -> None:
        if len(sum_bytes) != SUM_BYTES:
            raise ValueError("a lattice sum is 2048 bytes")
        total = int.from_bytes(sum_bytes, "little")
        self._even, self._odd = total & _EVEN, (total >> 16) & _EVEN

    def add(self, element: bytes) -> None:
        """Put one element in."""
        self.change([element], [])

    def remove(self, element: bytes) -> None:
        """Take one element out; the caller knows that it is in."""
        self.change([], [element])

    def update(self, changes: Iterable[tuple[Key, Change]]) -> None:
        """Follow a delta's record changes."""
        added, removed = [], []
        for key, (before, after) in changes:
            start = _start(key)
            if before is not None:
                removed.append(start + before)
            if after is not None:
                added.append(start + after)
        self.change(added, removed)

    def change(self, added: Sequence[bytes], removed: Sequence[bytes]) -> None:
        """Put elements in and take others out."""
        for start in range(0, max(len(added), len(removed)), _MAX_IN_SLOT):
            plus_even, plus_odd = _sum(added[start : start + _MAX_IN_SLOT])
            minus_even, minus_odd = _sum(removed[start : start + _MAX_IN_SLOT])
            self._even = (self._even + plus_even + _CARRY - minus_even) & _EVEN
            self._odd = (self._odd + plus_odd + _CARRY - minus_odd) & _EVEN

    def to_bytes(self) -> bytes:
        """The 2048-byte sum."""
        return (self._even | self._odd << 16).to_bytes(SUM_BYTES, "little")

    def root(self) -> bytes:
        """The 32-byte root."""
        return blake3(self.to_bytes()).digest()


def element(key: Key, value: bytes) -> bytes:
    """A record as an element of the set: table (1), length of key (2, big-endian), key, value."""
    return _start(key) + value


def _start(key: Key) -> bytes:
    table, name = key
    return _HEAD.pack(table, len(name)) + name


def root_of(records: Iterable[tuple[Key, bytes]]) -> bytes:
    """The root of a whole set of records."""
    total = LatticeHash()
    for key, value in records:
        total.add(element(key, value))
    return total.root()


def _sum(elements: Iterable[bytes]) -> tuple[int, int]:
    """The lane-wise sums modulo 2^16 of the elements' expansions: even lanes, odd lanes."""
    total = odd = 0
    for item in elements:
        lanes = int.from_bytes(blake3(item).digest(length=SUM_BYTES), "little")
        total += lanes
        odd += lanes & _ODD
    # what is not in an odd lane is in an even one, whatever was carried on the way: no second mask for each element
    return (total - odd) & _EVEN, (odd >> 16) & _EVEN
