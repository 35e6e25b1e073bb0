"""Range proofs that are made as they should be: they hold, for every amount and shape, and show nothing."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbdc.errors import LimitPayment, Malformed, ProofInvalid, TooLarge
from cbdc.limits import MAX_PROVED_AMOUNTS
from cbdc.privacy import range_proofs
from cbdc.privacy.group import IDENTITY, ONE, ORDER, ZERO, scalar_of
from cbdc.privacy.pedersen import BLINDING_BASE, VALUE_BASE, Commitment
from cbdc.privacy.range_proofs import headroom, proof_bytes, prove, prove_at_most, verify, verify_at_most, verify_batch
from cbdc.privacy.transcript import Context
from tests.unit.privacy.forger import Forger, bits
from tests.unit.privacy.worlds import HERE, blindings_for, claim, seeded

AMOUNTS = st.integers(0, 2**64 - 1) | st.sampled_from([0, 1, 2**63, 2**64 - 1, 10**17])


@pytest.mark.parametrize("amount", [0, 1, 2**32, 10**17, 2**63, 2**64 - 2, 2**64 - 1])
def test_the_borders_of_the_range_are_inside(amount: int) -> None:
    verify(*claim(amount))


@settings(max_examples=10)
@given(st.lists(AMOUNTS, min_size=1, max_size=4), st.binary(max_size=40), st.binary(min_size=32, max_size=32))
def test_proofs_of_any_amounts_hold(amounts: list[int], statement: bytes, network: bytes) -> None:
    found = claim(*amounts, context=Context(network, statement))
    verify(*found)
    assert len(found.proof) == proof_bytes(len(amounts))


@pytest.mark.parametrize("count", [5, 8, MAX_PROVED_AMOUNTS])
def test_long_proofs_hold(count: int) -> None:
    verify(*claim(*range(count)))


@pytest.mark.parametrize(
    ("count", "length"), [(1, 928), (2, 1024), (3, 1120), (4, 1120), (5, 1216), (8, 1216), (9, 1312), (16, 1312)]
)
def test_the_length_of_a_proof(count: int, length: int) -> None:
    assert proof_bytes(count) == length


def test_a_blinding_of_zero_is_a_public_amount_and_can_be_proved() -> None:
    verify([Commitment.of_public(5)], prove([5], [ZERO], HERE, seeded("public")), HERE)
    verify([Commitment.of_public(0)], prove([0], [ZERO], HERE, seeded("public")), HERE)


def test_a_proof_is_a_function_of_its_randomness() -> None:
    blinding = blindings_for([5], "")
    assert prove([5], blinding, HERE, seeded("a")) == prove([5], blinding, HERE, seeded("a"))
    first, second = (prove([5], blinding, HERE, seeded(seed)) for seed in "ab")
    shared = [i for i in range(0, len(first), 16) if first[i : i + 16] == second[i : i + 16]]
    assert shared == []


def test_all_randomness_comes_from_the_caller() -> None:
    """Four blindings and two vectors of 64, each out of 64 bytes."""
    asked = []
    source = seeded("counted")
    prove([5], blindings_for([5], ""), HERE, lambda size: asked.append(size) or source(size))
    assert asked == [64] * (4 + 2 * 64)


@pytest.mark.parametrize("amount", [-1, 2**64, ORDER - 1, ORDER + 5])
def test_the_prover_refuses_what_is_no_amount_without_saying_it(amount: int) -> None:
    with pytest.raises(TooLarge) as refusal:
        prove([5, amount], [ONE, ONE], HERE, seeded(""))
    assert str(amount) not in f"{refusal.value} {refusal.value.values}"


@pytest.mark.parametrize("count", [0, MAX_PROVED_AMOUNTS + 1])
def test_the_prover_refuses_no_amounts_and_too_many(count: int) -> None:
    with pytest.raises(TooLarge):
        prove([1] * count, [ONE] * count, HERE, seeded(""))


def test_the_prover_wants_a_blinding_for_each_amount() -> None:
    with pytest.raises(Malformed):
        prove([1, 2], [ONE], HERE, seeded(""))


def test_the_bases_are_all_different() -> None:
    bases = range_proofs._bases(128)
    points = {VALUE_BASE, BLINDING_BASE, IDENTITY, bases.u, *bases.g, *bases.h}
    assert len(points) == 4 + 2 * 128
    assert range_proofs._bases(64).g == bases.g[:64], "a longer proof has the same bases, and more"


# --- at most -----------------------------------------------------------------------------------------

LIMIT = 5_000_000
BLINDING = scalar_of(123456789)


@pytest.mark.parametrize("amount", [0, 1, LIMIT - 1, LIMIT])
def test_an_amount_up_to_the_limit_is_proved(amount: int) -> None:
    commitment = Commitment.to(amount, BLINDING)
    proof = prove_at_most(LIMIT, amount, BLINDING, HERE, seeded("limit"))
    verify_at_most(LIMIT, commitment, proof, HERE)
    verify_batch([([headroom(LIMIT, commitment)], proof, HERE)])


def test_the_prover_refuses_an_amount_above_the_limit_without_saying_it() -> None:
    with pytest.raises(LimitPayment) as refusal:
        prove_at_most(LIMIT, LIMIT + 1, BLINDING, HERE, seeded("limit"))
    assert refusal.value.values == {"limit_tiyn": LIMIT}


@pytest.mark.parametrize(("limit", "amount"), [(2**64, 1), (5, -1), (-1, -2), (2**64 + 1, 2**64)])
def test_neither_limit_nor_amount_may_be_outside_64_bits(limit: int, amount: int) -> None:
    with pytest.raises(TooLarge):
        prove_at_most(limit, amount, BLINDING, HERE, seeded("limit"))


@pytest.mark.parametrize("amounts", [None, [-1]], ids=["t_hat honest", "t_hat bent"])
def test_one_tiyn_above_the_limit_cannot_be_proved(amounts: list[int] | None) -> None:
    commitment = Commitment.to(LIMIT + 1, BLINDING)
    room = headroom(LIMIT, commitment)
    proof = Forger(bits(-1), [-int(BLINDING)], [room], amounts=amounts).proof()
    with pytest.raises(ProofInvalid):
        verify_at_most(LIMIT, commitment, proof, HERE)


def test_a_proof_for_one_limit_is_none_for_another() -> None:
    commitment = Commitment.to(LIMIT, BLINDING)
    proof = prove_at_most(LIMIT, LIMIT, BLINDING, HERE, seeded("limit"))
    for other in (LIMIT - 1, LIMIT + 1, 0):
        with pytest.raises(ProofInvalid):
            verify_at_most(other, commitment, proof, HERE)


def test_a_range_proof_of_the_amount_is_no_proof_of_the_limit() -> None:
    found = claim(LIMIT, seed="range")
    with pytest.raises(ProofInvalid):
        verify_at_most(LIMIT, found.commitments[0], found.proof, HERE)


def test_a_limit_alone_lets_a_negative_amount_pass() -> None:
    """Why `headroom` wants the range proof beside it."""
    negative = Commitment.of_public(0) - Commitment.to(7, -BLINDING)
    verify_at_most(LIMIT, negative, prove([LIMIT + 7], [-BLINDING], HERE, seeded("negative")), HERE)


def test_amount_and_headroom_fit_one_proof() -> None:
    commitment = Commitment.to(60, BLINDING)
    proof = prove([60, 40], [BLINDING, -BLINDING], HERE, seeded("both"))
    verify([commitment, headroom(100, commitment)], proof, HERE)
