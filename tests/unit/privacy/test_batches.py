"""A batch holds if and only if each of its proofs does, and nobody can make errors that cancel."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbdc.errors import ProofInvalid
from cbdc.privacy import range_proofs
from cbdc.privacy.group import ONE, encode_scalar
from cbdc.privacy.pedersen import Commitment
from cbdc.privacy.range_proofs import Claim, verify, verify_batch
from cbdc.privacy.transcript import Context
from tests.unit.privacy.forger import Answers, Forger, bits
from tests.unit.privacy.test_malleation import PLACES
from tests.unit.privacy.test_soundness import any_commitment
from tests.unit.privacy.worlds import HERE, claim

CLAIMS = [claim(100 + i, seed=f"batch {i}") for i in range(16)]
PAIR = claim(5, 6, seed="pair")
SIXTY_FOUR = CLAIMS * 4


def holds(claims: list[Claim]) -> bool:
    try:
        verify_batch(claims)
    except ProofInvalid:
        return False
    return True


def bad(kind: str) -> Claim:
    good, other = CLAIMS[3], CLAIMS[4]
    last_b = good.proof[:-32] + encode_scalar(ONE)
    return {
        "another's proof": good._replace(proof=other.proof),
        "another's commitment": good._replace(commitments=other.commitments),
        "a tiyn more": good._replace(commitments=[good.commitments[0] + Commitment.of_public(1)]),
        "a changed scalar": good._replace(proof=last_b),
        "a proof cut off": good._replace(proof=good.proof[:-1]),
    }[kind]


BAD = ["another's proof", "another's commitment", "a tiyn more", "a changed scalar", "a proof cut off"]


def test_sixty_four_good_proofs_hold() -> None:
    assert holds(SIXTY_FOUR)


@pytest.mark.parametrize("place", [0, 31, 63])
@pytest.mark.parametrize("kind", BAD)
def test_one_bad_proof_among_sixty_four_is_refused_and_found_one_by_one(kind: str, place: int) -> None:
    claims = [*SIXTY_FOUR[:place], bad(kind), *SIXTY_FOUR[place + 1 :]]
    assert not holds(claims)
    culprits = [i for i in {0, 1, place, 63} if not holds([claims[i]])]
    assert culprits == [place]


def test_an_empty_batch_holds() -> None:
    verify_batch([])


@settings(max_examples=8)
@given(st.lists(st.sampled_from([*CLAIMS[:3], PAIR, bad("another's proof"), bad("a tiyn more")]), max_size=5))
def test_a_batch_of_any_shape_holds_exactly_if_each_proof_does(claims: list[Claim]) -> None:
    assert holds(claims) is all(holds([each]) for each in claims)


# --- weights ---------------------------------------------------------------------------------------


def erring(seed: str, error: Callable[[Answers], None]) -> Claim:
    commitment = any_commitment(5)
    proof = Forger(bits(5), [77], [commitment], tamper=error, seed=seed).proof()
    return Claim([commitment], proof, HERE)


def more(answers: Answers) -> None:
    answers.tau_x += 1000


def less(answers: Answers) -> None:
    answers.tau_x -= 1000


def both(answers: Answers) -> None:
    answers.tau_x += 1000
    answers.mu += 1000


def equal(spoken: list[object]) -> list[tuple[object, object]]:
    return [(ONE, ONE) for _ in spoken]


def test_errors_of_two_proofs_that_cancel_under_equal_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """One blinding is 1000 too high and one 1000 too low, each said before its last challenges were known."""
    claims = [erring("one", more), erring("two", less)]
    assert [holds([each]) for each in claims] == [False, False]
    assert not holds(claims)
    assert not holds([*claims, *CLAIMS])
    monkeypatch.setattr(range_proofs, "_weights", equal)
    assert holds(claims), "under weights that are known beforehand they would have passed"


def test_errors_of_two_equations_that_cancel_under_equal_weights_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Within one proof: tau_x and mu are both wrong by the same, and (65) and (67) have opposite signs of H."""
    alone = erring("alone", both)
    assert not holds([alone])
    monkeypatch.setattr(range_proofs, "_weights", equal)
    assert holds([alone]), "under weights that are known beforehand it would have passed"


def weights(*claims: Claim) -> list[int]:
    spoken = [range_proofs._listen(each) for each in claims]
    return [int(weight) for pair in range_proofs._weights(spoken) for weight in pair]


def test_every_weight_is_different_and_depends_on_every_claim() -> None:
    first = weights(*CLAIMS[:3])
    assert len(set(first)) == 6
    for changed in (
        weights(*CLAIMS[:2], CLAIMS[3]),
        weights(CLAIMS[1], CLAIMS[0], CLAIMS[2]),
        weights(*CLAIMS[:2]),
        weights(*CLAIMS[:3], CLAIMS[3]),
    ):
        assert set(first).isdisjoint(changed)


def test_the_same_batch_has_the_same_weights() -> None:
    assert weights(*CLAIMS[:3]) == weights(*CLAIMS[:3])


@pytest.mark.parametrize("name", PLACES)
def test_every_part_of_a_proof_is_bound_to_the_weights(name: str) -> None:
    """The part of another proof in place of this one's: it is heard, and all weights are others."""
    start, end = PLACES[name]
    good, other = CLAIMS[0].proof, CLAIMS[1].proof
    changed = weights(CLAIMS[0]._replace(proof=good[:start] + other[start:end] + good[end:]))
    assert set(changed).isdisjoint(weights(CLAIMS[0]))


@pytest.mark.parametrize("context", [Context(HERE.network, b""), Context(b"", HERE.statement)], ids=["payment", "net"])
def test_the_statement_is_bound_to_the_weights(context: Context) -> None:
    assert set(weights(CLAIMS[0]._replace(context=context))).isdisjoint(weights(CLAIMS[0]))
    others = CLAIMS[0]._replace(commitments=CLAIMS[1].commitments)
    assert set(weights(others)).isdisjoint(weights(CLAIMS[0]))


def test_verify_is_a_batch_of_one() -> None:
    verify(*CLAIMS[0])
    with pytest.raises(ProofInvalid):
        verify(*bad("another's proof"))
