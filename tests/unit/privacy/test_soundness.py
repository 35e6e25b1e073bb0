"""What is not so cannot be proved: forged, re-used, swapped and misplaced range proofs are refused.

Each forgery is refused by the real verifier and accepted by one with a check taken out, so that the tests are seen to
be able to fail, for the reason that they name.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from cbdc.errors import ProofInvalid
from cbdc.privacy import range_proofs
from cbdc.privacy.group import ORDER, scalar_of
from cbdc.privacy.pedersen import BLINDING_BASE, VALUE_BASE, Commitment, total
from cbdc.privacy.range_proofs import verify, verify_batch
from cbdc.privacy.transcript import Context
from tests.unit.privacy.forger import Forger, bits
from tests.unit.privacy.worlds import HERE, claim


def refused(commitments: list[Commitment], proof: bytes, context: Context = HERE) -> bool:
    try:
        verify(commitments, proof, context)
    except ProofInvalid:
        return True
    return False


def any_commitment(amount: int, blinding: int = 77) -> Commitment:
    """A commitment to any number at all, also to one that is no amount."""
    return Commitment(VALUE_BASE * scalar_of(amount) + BLINDING_BASE * scalar_of(blinding))


# --- the forger is a good prover as long as it does not lie --------------------------------------


@pytest.mark.parametrize("amount", [0, 1, 10**17, 2**64 - 1])
def test_the_slow_prover_of_the_paper_convinces_the_verifier(amount: int) -> None:
    commitment = any_commitment(amount)
    assert not refused([commitment], Forger(bits(amount), [77], [commitment]).proof())
    assert not refused([commitment], Forger(bits(amount), [77], [commitment], amounts=[amount]).proof())


def test_the_slow_prover_convinces_for_two_amounts_and_for_three_filled_up() -> None:
    two = [any_commitment(5, 8), any_commitment(2**64 - 1, 9)]
    assert not refused(two, Forger([*bits(5), *bits(2**64 - 1)], [8, 9], two).proof())
    three = [*two, any_commitment(1, 10)]
    digits = [*bits(5), *bits(2**64 - 1), *bits(1), *bits(0)]
    assert not refused(three, Forger(digits, [8, 9, 10], three).proof())


# --- amounts out of range ------------------------------------------------------------------------


@dataclass(frozen=True)
class Lie:
    """An amount that is none, and the digits with which a cheat tries to show it."""

    amount: int
    digits: list[int]
    complements: list[int] | None = None


ALL_BUT_TOP = [0] * 63
LIES = {
    "2^64, its bits cut off": Lie(2**64, bits(0)),
    "2^64, a digit of two": Lie(2**64, [*ALL_BUT_TOP, 2]),
    "2^64, a digit of two with a complement of zero": Lie(2**64, [*ALL_BUT_TOP, 2], [*[-1] * 63, 0]),
    "2^64 + 5, the bits of 5": Lie(2**64 + 5, bits(5)),
    "minus one, its bits cut off": Lie(ORDER - 1, bits(2**64 - 1)),
    "minus one, a digit of minus one": Lie(ORDER - 1, [-1, *[0] * 63]),
    "minus one, that digit with a complement of zero": Lie(ORDER - 1, [-1, *[0] * 63], [0, *[-1] * 63]),
    "half the order": Lie(ORDER // 2, [ORDER // 2, *[0] * 63]),
    "a right amount, but another's bits": Lie(6, bits(5)),
}


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_amount_out_of_range_is_refused_where_t_hat_is_honest(lie: Lie, monkeypatch: pytest.MonkeyPatch) -> None:
    """t_hat is <l, r>, so (66) to (68) hold and (65) must catch it."""
    commitment = any_commitment(lie.amount)
    proof = Forger(lie.digits, [77], [commitment], lie.complements).proof()
    assert refused([commitment], proof)
    monkeypatch.setattr(range_proofs, "_add_amounts", lambda *_: None)
    assert not refused([commitment], proof), "without (65), nothing would have refused it"


@pytest.mark.parametrize("lie", LIES.values(), ids=LIES)
def test_an_amount_out_of_range_is_refused_where_t_hat_is_bent(lie: Lie, monkeypatch: pytest.MonkeyPatch) -> None:
    """t_hat is what (65) wants, so that the inner product must catch it."""
    commitment = any_commitment(lie.amount)
    proof = Forger(lie.digits, [77], [commitment], lie.complements, amounts=[lie.amount]).proof()
    assert refused([commitment], proof)
    monkeypatch.setattr(range_proofs, "_add_vectors", lambda *_: None)
    assert not refused([commitment], proof), "without (66) to (68), nothing would have refused it"


@pytest.mark.parametrize("place", [0, 1])
def test_one_amount_out_of_range_among_good_ones_is_refused(place: int) -> None:
    amounts = [100, 100]
    amounts[place] = 2**64
    commitments = [any_commitment(amount, j + 1) for j, amount in enumerate(amounts)]
    digits = [digit for amount in amounts for digit in bits(amount)]
    assert refused(commitments, Forger(digits, [1, 2], commitments).proof())
    assert refused(commitments, Forger(digits, [1, 2], commitments, amounts=amounts).proof())


def test_what_fills_up_cannot_hold_an_amount() -> None:
    """The fourth place of three commitments is zero: digits there would have to come from somewhere."""
    commitments = [any_commitment(1, j) for j in (1, 2, 3)]
    digits = [*bits(1), *bits(1), *bits(1), *bits(1)]
    assert refused(commitments, Forger(digits, [1, 2, 3], commitments).proof())
    assert refused(commitments, Forger(digits, [1, 2, 3], commitments, amounts=[1, 1, 1]).proof())


def test_another_blinding_is_refused() -> None:
    commitment = any_commitment(5, 77)
    assert refused([commitment], Forger(bits(5), [78], [commitment]).proof())


# --- wrong sums ----------------------------------------------------------------------------------


def test_money_out_of_nothing_balances_but_has_no_proof() -> None:
    """100 in, 300 and minus 200 out: the sum is right, and the negative output has no range proof."""
    spent, paid, change = any_commitment(100, 9), any_commitment(300, 4), any_commitment(-200, 5)
    assert total([paid, change]) == spent
    proof = Forger([*bits(300), *bits(-200)], [4, 5], [paid, change]).proof()
    assert refused([paid, change], proof)


def test_a_proof_does_not_cover_the_sum_of_its_commitments() -> None:
    good = claim(100, 200, seed="sum")
    assert refused([total(good.commitments)], good.proof)


# --- another statement ---------------------------------------------------------------------------


GOOD = claim(100, 250, seed="good")
OTHER = claim(100, 250, seed="other")
FIRST, SECOND = GOOD.commitments
OTHER_STATEMENTS = {
    "another's commitments": (OTHER.commitments, HERE),
    "one commitment replaced": ([FIRST, OTHER.commitments[1]], HERE),
    "swapped commitments": ([SECOND, FIRST], HERE),
    "the same commitment twice": ([FIRST, FIRST], HERE),
    "a commitment to one tiyn more": ([FIRST + Commitment.of_public(1), SECOND], HERE),
    "the same sum, shifted": ([FIRST + Commitment.of_public(1), SECOND - Commitment.of_public(1)], HERE),
    "a negated commitment": ([Commitment(-FIRST.point), SECOND], HERE),
    "fewer commitments": ([FIRST], HERE),
    "a commitment more": ([FIRST, SECOND, SECOND], HERE),
    "a commitment to zero more": ([FIRST, SECOND, Commitment.of_public(0)], HERE),
    "no commitments": ([], HERE),
    "seventeen commitments": ([FIRST] * 17, HERE),
    "another payment": (GOOD.commitments, replace(HERE, statement=b"payment 2")),
    "no payment": (GOOD.commitments, replace(HERE, statement=b"")),
    "another network": (GOOD.commitments, replace(HERE, network=b"\x02" * 32)),
}


@pytest.mark.parametrize(("commitments", "context"), OTHER_STATEMENTS.values(), ids=OTHER_STATEMENTS)
def test_a_proof_holds_for_its_own_statement_alone(commitments: list[Commitment], context: Context) -> None:
    assert not refused(GOOD.commitments, GOOD.proof)
    assert refused(commitments, GOOD.proof, context)


def test_the_zero_that_fills_up_is_not_a_commitment_that_was_made() -> None:
    """Three commitments and the same with a commitment to zero have the same equations, and different statements."""
    three = claim(1, 2, 3, seed="three")
    assert not refused(three.commitments, three.proof)
    assert refused([*three.commitments, Commitment.of_public(0)], three.proof)


def test_a_proof_for_one_amount_is_none_for_two_nor_the_other_way_round() -> None:
    one, two = claim(7, seed="one"), claim(7, 7, seed="two")
    assert refused([*one.commitments, *one.commitments], one.proof)
    assert refused(two.commitments[:1], two.proof)


@pytest.mark.parametrize("label", ["", "bulletproofs range proof, 32 bits, BLS12-381 G1", "tenge"])
def test_a_transcript_with_another_label_is_refused(label: str) -> None:
    commitment = any_commitment(5)
    assert refused([commitment], Forger(bits(5), [77], [commitment], label=label).proof())


def test_a_transcript_that_left_out_the_commitments_is_refused() -> None:
    """The weak Fiat-Shamir transform: challenges that do not know the statement let it be chosen afterwards."""
    commitment = any_commitment(5)
    forger = Forger(bits(5), [77], [commitment])
    forger.commitments = []
    assert refused([commitment], forger.proof())


def test_a_refusal_says_nothing_of_amounts() -> None:
    with pytest.raises(ProofInvalid) as refusal:
        verify_batch([(OTHER.commitments, GOOD.proof, HERE)])
    assert refusal.value.values == {"claims": 1}
    assert refusal.value.code == "proof_invalid"
