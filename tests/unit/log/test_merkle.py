"""The Merkle tree against RFC 9162's own recursive definitions."""

from __future__ import annotations

import hashlib
from functools import cache

import pytest

from cbdc.errors import ProofInvalid
from cbdc.log.merkle import EMPTY_ROOT, Tree, leaf_hash, verify_consistency, verify_inclusion

MOST = 70
ENTRIES = [number.to_bytes(2, "big") for number in range(200)]
LEAVES = [leaf_hash(entry) for entry in ENTRIES]


# --- RFC 9162 section 2.1, word by word --------------------------------------------------------


def split(size: int) -> int:
    k = 1
    while 2 * k < size:
        k *= 2
    return k


@cache
def mth(start: int, end: int) -> bytes:
    if end == start:
        return hashlib.sha256().digest()
    if end - start == 1:
        return hashlib.sha256(b"\x00" + ENTRIES[start]).digest()
    k = split(end - start)
    return hashlib.sha256(b"\x01" + mth(start, start + k) + mth(start + k, end)).digest()


def path(index: int, start: int, end: int) -> list[bytes]:
    if end - start == 1:
        return []
    k = split(end - start)
    if index < k:
        return [*path(index, start, start + k), mth(start + k, end)]
    return [*path(index - k, start + k, end), mth(start, start + k)]


def subproof(old: int, start: int, end: int, whole: bool = True) -> list[bytes]:
    if old == end - start:
        return [] if whole else [mth(start, end)]
    k = split(end - start)
    if old <= k:
        return [*subproof(old, start, start + k, whole), mth(start + k, end)]
    return [*subproof(old - k, start + k, end, False), mth(start, start + k)]


@pytest.fixture(scope="module")
def tree() -> Tree:
    return tree_of(len(LEAVES))


def tree_of(size: int) -> Tree:
    tree = Tree()
    for leaf in LEAVES[:size]:
        tree.append(leaf)
    return tree


# --- making ------------------------------------------------------------------------------------


def test_published_roots() -> None:
    """The empty root, and the roots of certificate-transparency's test data."""
    assert EMPTY_ROOT.hex() == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"
    tree = Tree()
    tree.append(leaf_hash(b""))
    assert tree.root().hex() == "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"
    tree.append(leaf_hash(b"\x00"))
    assert tree.root().hex() == "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"


def test_roots(tree: Tree) -> None:
    for size in range(len(LEAVES) + 1):
        assert tree.root(size) == mth(0, size)
    assert tree.root() == mth(0, len(LEAVES))


def test_inclusion_proofs(tree: Tree) -> None:
    for size in range(1, MOST + 1):
        for index in range(size):
            proof = tree.inclusion(index, size)
            assert proof == path(index, 0, size)
            verify_inclusion(LEAVES[index], index, size, proof, mth(0, size))


def test_consistency_proofs(tree: Tree) -> None:
    for size in range(1, MOST + 1):
        for old in range(1, size + 1):
            proof = tree.consistency(old, size)
            assert proof == subproof(old, 0, size)
            verify_consistency(old, mth(0, old), size, mth(0, size), proof)


@pytest.mark.parametrize("size", [1, 63, 64, 65, 127, 128, 130, 200])
def test_inclusions_equal_inclusion(tree: Tree, size: int) -> None:
    indexes = [*range(size), 0, size - 1]
    assert list(tree.inclusions(indexes, size)) == [tuple(tree.inclusion(index, size)) for index in indexes]


@pytest.mark.parametrize("size", [0, 1, 2, 63, 64, 65, 99])
def test_truncate_forgets(size: int) -> None:
    tree = tree_of(100)
    tree.truncate(size)
    assert (tree.size, tree.root()) == (size, mth(0, size))
    for leaf in LEAVES[size:]:
        tree.append(leaf)
    assert tree.root() == mth(0, len(LEAVES))


@pytest.mark.parametrize(("index", "size"), [(0, 0), (-1, 5), (5, 5), (0, 11)])
def test_no_proof_of_what_is_not_there(index: int, size: int) -> None:
    with pytest.raises(ProofInvalid):
        tree_of(10).inclusion(index, size)


@pytest.mark.parametrize(("old", "size"), [(0, 5), (6, 5), (5, 11), (-1, 5)])
def test_no_consistency_out_of_order(old: int, size: int) -> None:
    with pytest.raises(ProofInvalid):
        tree_of(10).consistency(old, size)


# --- refusing ----------------------------------------------------------------------------------


def tampered(proof: list[bytes]) -> list[list[bytes]]:
    """Every kind of wrong proof that is near the right one."""
    wrong = [[*proof, bytes(32)], [bytes(32), *proof]]
    for at in range(len(proof)):
        flipped = bytes([proof[at][0] ^ 1]) + proof[at][1:]
        wrong += [[*proof[:at], flipped, *proof[at + 1 :]], [*proof[:at], *proof[at + 1 :]]]
        if at and proof[at] != proof[at - 1]:
            wrong.append([*proof[: at - 1], proof[at], proof[at - 1], *proof[at + 1 :]])
    return wrong


@pytest.mark.parametrize("size", [1, 2, 7, 8, 13, 64, 69])
def test_tampered_inclusion_is_refused(tree: Tree, size: int) -> None:
    for index in range(size):
        proof, root = tree.inclusion(index, size), mth(0, size)
        for wrong in tampered(proof):
            with pytest.raises(ProofInvalid):
                verify_inclusion(LEAVES[index], index, size, wrong, root)
        for leaf, at, claimed in (
            (LEAVES[index + 1], index, root),
            (LEAVES[index], index, mth(0, size + 1)),
            *((LEAVES[index], other, root) for other in range(size) if other != index),
            (LEAVES[index], -1, root),
            (LEAVES[index], size, root),
        ):
            with pytest.raises(ProofInvalid):
                verify_inclusion(leaf, at, size, proof, claimed)


@pytest.mark.parametrize("size", [1, 2, 7, 8, 13, 64, 69])
def test_tampered_consistency_is_refused(tree: Tree, size: int) -> None:
    for old in range(1, size + 1):
        proof, old_root, root = tree.consistency(old, size), mth(0, old), mth(0, size)
        for wrong in tampered(proof):
            with pytest.raises(ProofInvalid):
                verify_consistency(old, old_root, size, root, wrong)
        for claimed_old, claimed_root in ((bytes(32), root), (old_root, bytes(32))):
            with pytest.raises(ProofInvalid):
                verify_consistency(old, claimed_old, size, claimed_root, proof)
        if old < size:
            with pytest.raises(ProofInvalid):
                verify_consistency(old, old_root, size, root, [])


@pytest.mark.parametrize(("old", "size"), [(0, 5), (6, 5), (-1, 5)])
def test_consistency_out_of_order_is_refused(old: int, size: int) -> None:
    with pytest.raises(ProofInvalid):
        verify_consistency(old, mth(0, 5), size, mth(0, 5), [])


def test_a_node_is_no_leaf() -> None:
    assert leaf_hash(mth(0, 1) + mth(1, 2)) != mth(0, 2)
