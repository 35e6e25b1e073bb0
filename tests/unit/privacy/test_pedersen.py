"""Commitments add up as their amounts do, and show nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdc.errors import Malformed, TooLarge
from cbdc.privacy.group import IDENTITY, ORDER, ZERO, scalar_of
from cbdc.privacy.pedersen import BLINDING_BASE, VALUE_BASE, Commitment, total, total_blinding

AMOUNTS = st.integers(0, 2**64 - 1)
BLINDINGS = st.integers(0, ORDER - 1).map(scalar_of)
ONE_TENGE = Commitment.to(100, scalar_of(7))


def test_a_commitment_is_the_sum_of_two_products() -> None:
    assert ONE_TENGE.point == VALUE_BASE * scalar_of(100) + BLINDING_BASE * scalar_of(7)


def test_the_bases_are_different_points() -> None:
    assert len({VALUE_BASE, BLINDING_BASE, IDENTITY}) == 3


@given(st.lists(st.tuples(AMOUNTS, BLINDINGS), max_size=5))
def test_the_sum_of_commitments_is_the_commitment_to_the_sum(openings: list[tuple[int, object]]) -> None:
    found = total(Commitment.to(amount, blinding) for amount, blinding in openings)
    blinding = total_blinding(blinding for _, blinding in openings)
    assert found.point == VALUE_BASE * scalar_of(sum(a for a, _ in openings)) + BLINDING_BASE * blinding


@given(AMOUNTS, AMOUNTS, BLINDINGS)
def test_clear_and_hidden_amounts_mix(first: int, second: int, blinding: object) -> None:
    hidden, clear = Commitment.to(first, blinding), Commitment.of_public(second)
    assert hidden + clear - hidden == clear
    assert (hidden + clear) - clear == hidden


def test_a_wrong_sum_is_not_the_same_commitment() -> None:
    blinding = scalar_of(5)
    paid = Commitment.to(60, blinding) + Commitment.to(41, -blinding)
    assert paid != Commitment.of_public(100)
    assert paid == Commitment.of_public(101)


def test_a_public_amount_has_no_blinding() -> None:
    assert Commitment.of_public(5) == Commitment.to(5, ZERO)
    assert Commitment.of_public(0).point == total([]).point == IDENTITY


@pytest.mark.parametrize("amount", [-1, 2**64, ORDER - 1, -(2**64)])
def test_an_amount_outside_64_bits_is_refused_and_not_repeated(amount: int) -> None:
    with pytest.raises(TooLarge) as refusal:
        Commitment.to(amount, scalar_of(1))
    assert str(amount) not in str(refusal.value)
    with pytest.raises(TooLarge):
        Commitment.of_public(amount)


@given(AMOUNTS, BLINDINGS.filter(lambda blinding: blinding != ZERO))
def test_a_commitment_survives_its_48_bytes(amount: int, blinding: object) -> None:
    commitment = Commitment.to(amount, blinding)
    assert len(commitment.encode()) == 48
    assert Commitment.decode(commitment.encode()) == commitment
    assert hash(Commitment.decode(commitment.encode())) == hash(commitment)


def test_a_commitment_to_nothing_does_not_come_from_outside() -> None:
    with pytest.raises(Malformed):
        Commitment.decode(Commitment.of_public(0).encode())


def test_a_commitment_shows_its_bytes_and_nothing_else() -> None:
    assert repr(ONE_TENGE) == f"Commitment({ONE_TENGE.encode().hex()[:16]}…)"


def test_a_commitment_is_frozen() -> None:
    with pytest.raises(AttributeError):
        ONE_TENGE.point = IDENTITY
