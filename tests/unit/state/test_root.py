"""The state root: a hash of the set of records, whatever the order in which they came and went."""

from __future__ import annotations

import pytest
from blake3 import blake3
from hypothesis import given, settings
from hypothesis import strategies as st

from cbdc.state.records import Table
from cbdc.state.root import SUM_BYTES, LatticeHash, element, root_of
from cbdc.state.view import Change

ELEMENTS = st.lists(st.binary(max_size=8), max_size=6)


def naive(elements: list[bytes], removed: list[bytes] = []) -> bytes:  # noqa: B006
    """Lane by lane, in 16-bit numbers."""
    lanes = [0] * (SUM_BYTES // 2)
    for sign, group in ((1, elements), (-1, removed)):
        for item in group:
            stream = blake3(item).digest(length=SUM_BYTES)
            for lane in range(len(lanes)):
                number = int.from_bytes(stream[2 * lane : 2 * lane + 2], "little")
                lanes[lane] = (lanes[lane] + sign * number) % (1 << 16)
    return b"".join(lane.to_bytes(2, "little") for lane in lanes)


def lattice(elements: list[bytes], removed: list[bytes] = []) -> LatticeHash:  # noqa: B006
    total = LatticeHash()
    for item in elements:
        total.add(item)
    for item in removed:
        total.remove(item)
    return total


def test_the_published_vector() -> None:
    """Solana's lattice-hash tests (SIMD-0215): the set {"hello"}."""
    expected = "4f9c1ab89ccd5ed0b6eb21936f99e598cf854b6db6c6773d0b51294618576455"
    assert lattice([b"hello"]).root().hex() == expected


def test_the_empty_set() -> None:
    assert lattice([]).to_bytes() == bytes(SUM_BYTES)
    assert lattice([]).root() == blake3(bytes(SUM_BYTES)).digest() == root_of([])


@settings(max_examples=25, deadline=None)
@given(ELEMENTS, ELEMENTS)
def test_as_the_naive_one(added: list[bytes], removed: list[bytes]) -> None:
    assert lattice(added, removed).to_bytes() == naive(added, removed)


@settings(max_examples=50, deadline=None)
@given(st.data(), ELEMENTS)
def test_order_does_not_matter(data: st.DataObject, elements: list[bytes]) -> None:
    assert lattice(data.draw(st.permutations(elements))).to_bytes() == lattice(elements).to_bytes()


@settings(max_examples=50, deadline=None)
@given(ELEMENTS, ELEMENTS)
def test_removing_undoes_adding(kept: list[bytes], passing: list[bytes]) -> None:
    assert lattice([*kept, *passing], passing).to_bytes() == lattice(kept).to_bytes()
    assert lattice([], passing).to_bytes() == lattice([], passing[::-1]).to_bytes()


def test_a_sum_is_resumed() -> None:
    resumed = LatticeHash(lattice([b"a"]).to_bytes())
    resumed.add(b"b")
    assert resumed.root() == lattice([b"b", b"a"]).root()


@pytest.mark.parametrize("length", [0, SUM_BYTES - 1, SUM_BYTES + 1])
def test_a_sum_has_its_length(length: int) -> None:
    with pytest.raises(ValueError, match="2048"):
        LatticeHash(bytes(length))


def test_following_changes_equals_hashing_everything() -> None:
    one, two, three = ((Table.TOKEN, name) for name in (b"1", b"2", b"3"))
    total = lattice([element(one, b"a"), element(two, b"b")])
    total.update({one: Change(b"a", None), two: Change(b"b", b"c"), three: Change(None, b"d")}.items())
    assert total.root() == root_of([(three, b"d"), (two, b"c")])


def test_records_that_differ_are_different_elements() -> None:
    variants = [
        ((Table.TOKEN, b"ab"), b"c"),
        ((Table.OFFLINE, b"ab"), b"c"),
        ((Table.TOKEN, b"a"), b"bc"),
        ((Table.TOKEN, b"abc"), b""),
    ]
    assert len({element(key, value) for key, value in variants}) == len(variants)
    assert len({root_of([record]) for record in variants}) == len(variants)
