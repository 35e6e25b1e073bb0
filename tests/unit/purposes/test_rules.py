"""What becomes of a mark, and what a rule splits off."""

from __future__ import annotations

from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_MARK_HOPS, MAX_NAME_CHARS, MAX_SPLIT_PARTS
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, Mark, MarkRule, Split, UntilEvidence, rule_from_cbor
from cbdc.purposes.words import LANGUAGES, say

P = bytes([1]) * 32
RULES: list[MarkRule] = [Clears(), Keeps(), KeepsHops(1), KeepsHops(MAX_MARK_HOPS), UntilEvidence("registry")]

# --- what becomes of a mark --------------------------------------------------------------------


@pytest.mark.parametrize("rule", RULES)
def test_round_trip(rule: MarkRule) -> None:
    assert rule_from_cbor(rule.to_cbor()) == rule


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (Malformed, "clear"),
        (Malformed, "keeps_hops"),
        (Malformed, None),
        (Malformed, 1),
        (Malformed, {}),
        (Malformed, []),
        (Malformed, ["keeps"]),
        (Malformed, ["keeps", 1]),
        (Malformed, [["keeps_hops"], 1]),
        (Malformed, ["keeps_hops", 1, 1]),
        (Malformed, ["keeps_hops", 0]),
        (Malformed, ["keeps_hops", -1]),
        (Malformed, ["keeps_hops", True]),
        (Malformed, ["keeps_hops", 1.0]),
        (TooLarge, ["keeps_hops", MAX_MARK_HOPS + 1]),
        (Malformed, ["until_evidence", ""]),
        (Malformed, ["until_evidence", 1]),
        (TooLarge, ["until_evidence", "x" * (MAX_NAME_CHARS + 1)]),
    ],
)
def test_malformed(error: type[FormError], value: object) -> None:
    with pytest.raises(FormError) as caught:
        rule_from_cbor(value)
    assert type(caught.value) is error


@pytest.mark.parametrize(("value", "found"), [("clear", "clear"), (None, "None"), (["keeps", 1], "keeps")])
def test_an_unknown_rule_is_named(value: object, found: str) -> None:
    with pytest.raises(Malformed, match="unknown rule") as caught:
        rule_from_cbor(value)
    assert caught.value.values["found"] == found


def test_the_first_payee_of_a_mark_that_clears_is_free() -> None:
    assert (Clears().first_left, Clears().after(Mark(P, None)), Clears().back(None)) == (None, None, None)


@pytest.mark.parametrize("rule", [Keeps(), UntilEvidence("registry")])
def test_a_mark_that_is_kept_counts_nothing(rule: MarkRule) -> None:
    mark = Mark(P, None)
    assert (rule.first_left, rule.after(mark), rule.back(None)) == (None, mark, None)


@pytest.mark.parametrize("hops", [1, 2, 3, MAX_MARK_HOPS])
def test_the_last_payee_of_a_counted_mark_is_free(hops: int) -> None:
    rule = KeepsHops(hops)
    mark: Mark | None = Mark(P, rule.first_left)
    seen = []
    while mark is not None:
        seen.append(mark.left)
        mark = rule.after(mark)
    assert seen == list(range(hops, 0, -1))


@pytest.mark.parametrize(("left", "back"), [(None, 1), (1, 2), (2, 3), (3, 3)])
def test_a_refund_counts_a_payment_back(left: int | None, back: int) -> None:
    """Out of free money it is the last payment that comes back; and never more than a grant has."""
    assert KeepsHops(3).back(left) == back


@pytest.mark.parametrize("rule", RULES)
def test_a_rule_is_said_in_three_languages(rule: MarkRule) -> None:
    said = [say(rule.wants(), language) for language in LANGUAGES]
    assert len(set(said)) == 3
    if isinstance(rule, UntilEvidence):
        assert all("registry" in words for words in said)
    if isinstance(rule, KeepsHops):
        assert all(str(rule.hops) in words for words in said)


# --- split -------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("total_tiyn", "parts", "of", "share_tiyn"),
    [
        (100, 12, 100, 12),
        (0, 12, 100, 0),
        (4, 12, 100, 0),
        (5, 12, 100, 1),
        (112_00, 12, 112, 12_00),
        (1, 1, 2, 1),
        (3, 1, 2, 2),
        (1, 1, 3, 0),
        (2, 1, 3, 1),
        (12, 1, 8, 2),
        (MAX_AMOUNT_TIYN, 1, 2, MAX_AMOUNT_TIYN // 2),
    ],
)
def test_a_share_is_rounded_half_up(total_tiyn: int, parts: int, of: int, share_tiyn: int) -> None:
    assert Split("tax", parts, of).share_tiyn(total_tiyn) == share_tiyn


@given(
    st.integers(0, MAX_AMOUNT_TIYN),
    st.integers(2, MAX_SPLIT_PARTS).flatmap(lambda of: st.tuples(st.integers(1, of - 1), st.just(of))),
)
def test_a_share_is_the_nearest_tiyn_and_never_more_than_there_is(total_tiyn: int, ratio: tuple[int, int]) -> None:
    parts, of = ratio
    share_tiyn = Split("tax", parts, of).share_tiyn(total_tiyn)
    exact = Fraction(total_tiyn * parts, of)
    assert Fraction(-1, 2) < share_tiyn - exact <= Fraction(1, 2)
    assert 0 <= share_tiyn <= total_tiyn


def test_a_split_round_trips() -> None:
    for split in (
        Split("altyn/tax", 1, 2),
        Split("t" * (2 * MAX_NAME_CHARS + 1), MAX_SPLIT_PARTS - 1, MAX_SPLIT_PARTS),
    ):
        assert Split.from_cbor(split.to_cbor()) == split


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (Malformed, None),
        (Malformed, ["tax", 12]),
        (Malformed, ["tax", 12, 100, 1]),
        (Malformed, ["", 12, 100]),
        (Malformed, [1, 12, 100]),
        (Malformed, ["tax", 0, 100]),
        (Malformed, ["tax", 100, 100]),
        (Malformed, ["tax", 101, 100]),
        (Malformed, ["tax", -1, 100]),
        (Malformed, ["tax", 12.0, 100]),
        (Malformed, ["tax", 0, 0]),
        (TooLarge, ["tax", 1, MAX_SPLIT_PARTS + 1]),
        (TooLarge, ["t" * (2 * MAX_NAME_CHARS + 2), 1, 2]),
    ],
)
def test_malformed_splits(error: type[FormError], value: object) -> None:
    with pytest.raises(FormError) as caught:
        Split.from_cbor(value)
    assert type(caught.value) is error
