"""The Merkle tree of RFC 9162 section 2.1: append, root, inclusion and consistency proofs.

`Tree` keeps every complete subtree's hash in memory, one byte array for each level: 64 bytes an entry.
The two ``verify_*`` functions are the other side and need only hashes.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Final

from cbdc.errors import ProofInvalid

HASH_BYTES: Final = 32
_BLOCK_LEVELS: Final = 6
_BLOCK: Final = 1 << _BLOCK_LEVELS
"""Leaves whose inclusion proofs share everything above their common subtree."""
EMPTY_ROOT: Final = hashlib.sha256(b"").digest()


def leaf_hash(entry: bytes) -> bytes:
    """RFC 9162 section 2.1.1: SHA-256(0x00 || entry)."""
    return hashlib.sha256(b"\0" + entry).digest()


def _node(left: bytes, right: bytes) -> bytes:
    return hashlib.sha256(b"\x01" + left + right).digest()


class Tree:
    """An append-only Merkle tree over leaf hashes."""

    def __init__(self) -> None:
        self._levels: list[bytearray] = [bytearray()]

    @property
    def size(self) -> int:
        return len(self._levels[0]) // HASH_BYTES

    def append(self, leaf: bytes) -> None:
        """Add one leaf hash; hashes every subtree that it completes."""
        level, node = 0, leaf
        while True:
            if level == len(self._levels):
                self._levels.append(bytearray())
            row = self._levels[level]
            row += node
            if len(row) // HASH_BYTES % 2:
                return
            node = _node(bytes(row[-2 * HASH_BYTES : -HASH_BYTES]), bytes(row[-HASH_BYTES:]))
            level += 1

    def truncate(self, size: int) -> None:
        """Forget every leaf from ``size`` on: what a failed commit had appended."""
        for row in self._levels:
            del row[size * HASH_BYTES :]
            size //= 2

    def root(self, size: int | None = None) -> bytes:
        """The root over the first ``size`` leaves (all of them by default)."""
        size = self.size if size is None else size
        return self._range(0, size) if size else EMPTY_ROOT

    def inclusion(self, index: int, size: int) -> list[bytes]:
        """PATH(index, D[size]) of RFC 9162 section 2.1.3.1, leaf to root.

        Raises:
            ProofInvalid: no such leaf in a tree of that size.
        """
        if not 0 <= index < size <= self.size:
            raise ProofInvalid("no such leaf in the tree", index=index, size=size)
        proof: list[bytes] = []
        start, end = 0, size
        while end - start > 1:
            split = start + _split(end - start)
            if index < split:
                proof.append(self._range(split, end))
                end = split
            else:
                proof.append(self._range(start, split))
                start = split
        return proof[::-1]

    def inclusions(self, indexes: Iterable[int], size: int) -> Iterator[tuple[bytes, ...]]:
        """`inclusion` for many leaves of one tree; neighbours share the upper part of their paths."""
        upper: dict[int, list[bytes]] = {}
        for index in indexes:
            block = index >> _BLOCK_LEVELS
            start = block << _BLOCK_LEVELS
            if start + _BLOCK > size:
                yield tuple(self.inclusion(index, size))
                continue
            if block not in upper:
                upper[block] = self.inclusion(start, size)[_BLOCK_LEVELS:]
            lower = []
            for level in range(_BLOCK_LEVELS):
                at = ((index >> level) ^ 1) * HASH_BYTES
                lower.append(bytes(self._levels[level][at : at + HASH_BYTES]))
            yield (*lower, *upper[block])

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """PROOF(old_size, D[size]) of RFC 9162 section 2.1.4.1.

        Raises:
            ProofInvalid: sizes out of order or beyond the tree.
        """
        if not 0 < old_size <= size <= self.size:
            raise ProofInvalid("sizes out of order", old=old_size, new=size)
        proof: list[bytes] = []
        start, end, whole = 0, size, True
        while old_size < end:
            split = start + _split(end - start)
            if old_size <= split:
                proof.append(self._range(split, end))
                end = split
            else:
                proof.append(self._range(start, split))
                start, whole = split, False
        if not whole:
            proof.append(self._range(start, end))
        return proof[::-1]

    def _range(self, start: int, end: int) -> bytes:
        """The hash over leaves start..end-1, where start is aligned to the range's largest power of two."""
        width = end - start
        level = width.bit_length() - 1
        if width == 1 << level:
            at = (start >> level) * HASH_BYTES
            return bytes(self._levels[level][at : at + HASH_BYTES])
        split = start + _split(width)
        return _node(self._range(start, split), self._range(split, end))


def _split(width: int) -> int:
    """The largest power of two smaller than ``width``."""
    return 1 << ((width - 1).bit_length() - 1)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: list[bytes], root: bytes) -> None:
    """RFC 9162 section 2.1.3.2.

    Raises:
        ProofInvalid: the leaf is not at ``index`` of the tree with this size and root.
    """
    if not 0 <= index < size:
        raise ProofInvalid("index outside the tree", index=index, size=size)
    node, last, computed = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            raise ProofInvalid("inclusion proof too long")
        if node % 2 or node == last:
            computed = _node(sibling, computed)
            while not node % 2 and node:
                node, last = node >> 1, last >> 1
        else:
            computed = _node(computed, sibling)
        node, last = node >> 1, last >> 1
    if last or computed != root:
        raise ProofInvalid("inclusion proof does not lead to the root", index=index, size=size)


def verify_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: list[bytes]) -> None:
    """RFC 9162 section 2.1.4.2: the tree of ``size`` continues the one of ``old_size``.

    Raises:
        ProofInvalid: it does not.
    """
    if not 0 < old_size <= size:
        raise ProofInvalid("sizes out of order", old=old_size, new=size)
    if old_size == size:
        if proof or old_root != root:
            raise ProofInvalid("two roots of one size", size=size)
        return
    path = [old_root, *proof] if old_size & (old_size - 1) == 0 else list(proof)
    if not path:
        raise ProofInvalid("consistency proof is empty")
    node, last = old_size - 1, size - 1
    while node % 2:
        node, last = node >> 1, last >> 1
    first = second = path[0]
    for sibling in path[1:]:
        if last == 0:
            raise ProofInvalid("consistency proof too long")
        if node % 2 or node == last:
            first, second = _node(sibling, first), _node(sibling, second)
            while not node % 2 and node:
                node, last = node >> 1, last >> 1
        else:
            second = _node(second, sibling)
        node, last = node >> 1, last >> 1
    if last or first != old_root or second != root:
        raise ProofInvalid("the log was rewritten between the two checkpoints", old=old_size, new=size)
