"""Conditions that ask what the ledger remembers, or what is bought; and what waits, through all of, any of and not."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.formats.lines import Line
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CONDITION_LIST,
    MAX_FACT_CHARS,
    MAX_NAME_CHARS,
    MAX_PERIOD_DAYS,
)
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import (
    All,
    Any,
    Approval,
    Condition,
    Evidence,
    Items,
    Memory,
    Not,
    PayeeMcc,
    Payment,
    PerPayment,
    PerPeriod,
    Refusal,
    every,
    from_cbor,
)
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears, Split
from cbdc.purposes.words import LANGUAGES, Phrase, say
from tests.support import NOW_S

UNSEEN = Payment("altyn/aida", "altyn/shop", "5411", "75", 500, NOW_S, 1)
PAYMENT = replace(UNSEEN, memory=Memory())
YES, NO = PerPayment(500), PerPayment(499)


def asked(condition: Condition, payment: Payment = PAYMENT) -> Refusal:
    refusal = condition.refuses(payment)
    assert refusal is not None
    return refusal


def judged(condition: Condition, payment: Payment) -> str | None:
    """None if it allows; else whether it is ``decided``, ``pending``, or ``unknown`` for lack of what it asks."""
    refusal = condition.refuses(payment)
    if refusal is None:
        return None
    assert not (refusal.decided and refusal.pending)
    return "decided" if refusal.decided else "pending" if refusal.pending else "unknown"


# --- per period --------------------------------------------------------------------------------


def spent(*spends: tuple[int, int], **changes: object) -> Payment:
    return replace(PAYMENT, memory=Memory(spent=spends), **changes)


@pytest.mark.parametrize(
    ("ago_s", "counts"),
    [(0, True), (1, True), (30 * DAY_S - 1, True), (30 * DAY_S, False), (31 * DAY_S, False), (-1, False)],
)
def test_the_window_rolls_to_the_second(ago_s: int, counts: bool) -> None:
    payment = spent((NOW_S - ago_s, 1))
    assert judged(PerPeriod(500, 30), payment) == ("decided" if counts else None)
    assert PerPeriod(501, 30).refuses(payment) is None


def test_all_payments_of_the_window_add_up() -> None:
    payment = spent((NOW_S - 40 * DAY_S, 9_000), (NOW_S - 2 * DAY_S, 300), (NOW_S - 2 * DAY_S, 200))
    assert PerPeriod(1000, 30).refuses(payment) is None
    refusal = asked(PerPeriod(999, 30), payment)
    assert (refusal.condition, refusal.found) == ("per_period", Phrase("in_period", ("10.00", "30")))
    assert refusal.wanted == Phrase("per_period", ("9.99", "30"))
    assert PerPeriod(700, 2).refuses(payment) is None


def test_what_the_same_transfer_pays_to_others_counts() -> None:
    payment = spent((NOW_S, 100), others_tiyn=200)
    assert (judged(PerPeriod(800, 1), payment), judged(PerPeriod(799, 1), payment)) == (None, "decided")


def test_a_payment_alone_is_measured_against_the_limit() -> None:
    assert (judged(PerPeriod(500, 1), PAYMENT), judged(PerPeriod(499, 1), PAYMENT)) == (None, "decided")


# --- items -------------------------------------------------------------------------------------

FOOD = Items(("food", "milk"))


def buys(*lines: tuple[str, int]) -> Payment:
    return replace(PAYMENT, lines=tuple(Line(*line) for line in lines))


@pytest.mark.parametrize(
    ("lines", "verdict"),
    [
        ([("food", 500)], None),
        ([("food", 499)], "decided"),
        ([("food", 900)], None),
        ([("food", 300), ("beer", 900), ("milk", 200)], None),
        ([("food", 300), ("food", 200)], None),
        ([("food", 300), ("milk", 199), ("beer", 1)], "decided"),
        ([("beer", 500)], "decided"),
        ([("foo", 500), ("Food", 500)], "decided"),
    ],
)
def test_the_lines_of_the_categories_cover_what_is_paid(lines: list[tuple[str, int]], verdict: str | None) -> None:
    assert judged(FOOD, buys(*lines)) == verdict


def test_how_much_would_be_covered_is_said() -> None:
    payment = buys(("food", 300), ("beer", 200), ("milk", 1))
    assert (FOOD.covered_tiyn(payment), FOOD.covered_tiyn(PAYMENT)) == (301, 0)
    assert asked(FOOD, payment).found == Phrase("covered", ("3.01",))
    assert asked(FOOD, payment).wanted == Phrase("items", (Phrase("or", ("food", "milk")),))


def test_without_lines_nothing_is_decided() -> None:
    assert judged(FOOD, PAYMENT) == judged(Not(FOOD), PAYMENT) == judged(Not(Not(FOOD)), PAYMENT) == "unknown"
    assert asked(FOOD).found == Phrase("no_lines")
    assert judged(Not(FOOD), buys(("beer", 500))) is None


# --- approval and evidence ---------------------------------------------------------------------

TWO = Approval(("altyn/bolat", "altyn/dana", "works"), 2)


def approved(*by: str) -> Payment:
    return replace(PAYMENT, memory=Memory(approvals=frozenset(by)))


@pytest.mark.parametrize(
    ("by", "verdict"),
    [
        ((), "pending"),
        (("works",), "pending"),
        (("works", "altyn/dana"), None),
        (("works", "altyn/dana", "altyn/bolat"), None),
        (("works", "altyn/erlan", "kumis/dana"), "pending"),
    ],
)
def test_a_quorum_of_those_who_are_named(by: tuple[str, ...], verdict: str | None) -> None:
    assert judged(TWO, approved(*by)) == verdict


def test_who_approved_is_said_and_strangers_are_not() -> None:
    assert asked(TWO, approved("altyn/erlan")).found == Phrase("approved_by_nobody")
    assert asked(TWO, approved("altyn/erlan", "works")).found == Phrase("approved_by", (Phrase("or", ("works",)),))


@pytest.mark.parametrize(
    ("facts", "verdict"),
    [
        (set(), "pending"),
        ({("registry", "built")}, None),
        ({("registry", "begun")}, "pending"),
        ({("other", "built")}, "pending"),
        ({("registry", "begun"), ("registry", "built")}, None),
    ],
)
def test_the_oracles_very_fact(facts: set[tuple[str, str]], verdict: str | None) -> None:
    payment = replace(PAYMENT, memory=Memory(facts=frozenset(facts)))
    assert judged(Evidence("registry", "built"), payment) == verdict


# --- without a ledger --------------------------------------------------------------------------

ASK_THE_LEDGER: list[Condition] = [PerPeriod(10_000, 30), TWO, Evidence("registry", "built")]


@pytest.mark.parametrize("condition", ASK_THE_LEDGER)
@pytest.mark.parametrize(
    ("allowance_tiyn", "verdict"), [(None, "unknown"), (0, "unknown"), (499, "unknown"), (500, None)]
)
def test_an_allowance_stands_in_for_the_ledgers_memory(
    condition: Condition, allowance_tiyn: int | None, verdict: str | None
) -> None:
    payment = replace(UNSEEN, allowance_tiyn=allowance_tiyn)
    assert judged(condition, payment) == verdict
    assert judged(Not(condition), payment) == ("unknown" if verdict else "decided")
    if verdict:
        assert asked(condition, payment).found == Phrase("needs_ledger")


@pytest.mark.parametrize("condition", [PerPeriod(499, 30), TWO, Evidence("registry", "built")])
def test_where_the_ledger_remembers_no_allowance_helps(condition: Condition) -> None:
    assert judged(condition, replace(PAYMENT, allowance_tiyn=10_000)) in ("decided", "pending")


def test_no_allowance_mends_what_can_be_seen() -> None:
    for condition in (NO, PayeeMcc(("5812",)), FOOD):
        assert condition.refuses(replace(UNSEEN, allowance_tiyn=10_000)) is not None


# --- what waits, through the combinators -------------------------------------------------------

WAITS, LACKS = Evidence("registry", "built"), PayeeMcc(("5812",))
PERSON = replace(PAYMENT, payee_mcc=None)


@pytest.mark.parametrize(
    ("condition", "verdict"),
    [
        (All((YES, WAITS)), "pending"),
        (All((WAITS, TWO)), "pending"),
        (All((WAITS, NO)), "decided"),
        (All((NO, WAITS)), "decided"),
        (All((WAITS, LACKS)), "unknown"),
        (Any((WAITS, YES)), None),
        (Any((NO, WAITS)), "pending"),
        (Any((WAITS, LACKS)), "pending"),
        (Any((NO, LACKS)), "unknown"),
        (Any((NO, NO)), "decided"),
        (Not(WAITS), "unknown"),
        (Not(Not(WAITS)), "unknown"),
        (Not(All((WAITS, NO))), None),
        (Not(All((WAITS, YES))), "unknown"),
        (Not(Any((WAITS, NO))), "unknown"),
        (Not(Any((WAITS, YES))), "decided"),
        (All((Any((WAITS, NO)), TWO)), "pending"),
        (All((Any((WAITS, NO)), NO)), "decided"),
    ],
)
def test_what_may_still_come(condition: Condition, verdict: str | None) -> None:
    assert judged(condition, PERSON) == verdict


def test_of_several_reasons_the_one_that_no_waiting_mends_is_said() -> None:
    assert asked(All((WAITS, TWO, LACKS)), PERSON).condition == "payee_mcc"
    assert asked(All((WAITS, NO)), PERSON).condition == "per_payment"
    assert asked(All((TWO, WAITS)), PERSON).condition == "approval"


def test_every_node_is_found_at_every_depth() -> None:
    tree = All((YES, Not(Any((WAITS, Not(TWO))))))
    found = list(every(tree))
    assert [type(node) for node in found] == [All, PerPayment, Not, Any, Evidence, Not, Approval]
    assert list(every(YES)) == [YES]


# --- a definition that asks for them -----------------------------------------------------------


def definition(condition: Condition, split: Split | None = None) -> Definition:
    return Definition(
        "works", ("Works", "Zhumys", "Raboty"), bytes(32), bytes(32), condition, Clears(), NOW_S + 9, split
    )


def test_a_definition_gives_back_what_may_still_come() -> None:
    (waits,) = definition(WAITS).check([PAYMENT])
    assert (waits.condition, waits.pending) == ("evidence", True)
    assert definition(Any((WAITS, YES))).check([PAYMENT]) == ()


@pytest.mark.parametrize(
    ("condition", "days"),
    [
        (YES, 0),
        (PerPeriod(1, 7), 7),
        (All((PerPeriod(1, 7), Not(Any((PerPeriod(1, 30), YES))))), 30),
        (Any((PerPeriod(1, 30), PerPeriod(1, 7))), 30),
    ],
)
def test_the_ledger_remembers_for_the_longest_period(condition: Condition, days: int) -> None:
    assert definition(condition).period_days == days


def test_a_split_is_explained_and_its_refusal_too() -> None:
    tax = definition(YES, Split("altyn/tax", 12, 100))
    assert tax.explain("en") == "at most 5.00 tenge in one payment, and 12 of 100 parts of each payment to altyn/tax"
    (refusal,) = tax.refusals([PAYMENT])
    assert tax.explain_refusal(refusal, "en").endswith(
        "Found: 0.00 tenge to altyn/tax. Wanted: 0.60 tenge to altyn/tax."
    )


def test_the_split_comes_before_the_conditions() -> None:
    tax = definition(NO, Split("altyn/tax", 12, 100))
    assert [refusal.condition for refusal in tax.refusals([PAYMENT])] == ["split", "per_payment"]


# --- words -------------------------------------------------------------------------------------

SAID: dict[str, Refusal] = {
    "in_period": asked(PerPeriod(499, 30)),
    "needs_ledger": asked(WAITS, UNSEEN),
    "covered": asked(FOOD, buys(("beer", 500))),
    "no_lines": asked(FOOD),
    "approved_by": asked(TWO, approved("works")),
    "approved_by_nobody": asked(TWO),
    "no_evidence": asked(WAITS),
}


@pytest.mark.parametrize("key", SAID)
def test_a_refusal_is_said_in_three_languages(key: str) -> None:
    refusal = SAID[key]
    assert refusal.found.key == key
    for phrase in (refusal.found, refusal.wanted):
        said = [say(phrase, language) for language in LANGUAGES]
        assert len(set(said)) == 3
        assert not any("{" in words for words in said)


# --- the canonical form ------------------------------------------------------------------------


@pytest.mark.parametrize("condition", [PerPeriod(0, 1), PerPeriod(MAX_AMOUNT_TIYN, MAX_PERIOD_DAYS), FOOD, TWO, WAITS])
def test_round_trip(condition: Condition) -> None:
    assert from_cbor(condition.to_cbor()) == condition


@pytest.mark.parametrize(
    "value",
    [
        ["items", ["b", "a"]],
        ["items", ["a", "a"]],
        ["approval", [["b", "a"], 1]],
        ["approval", [["a", "a", "b"], 2]],
    ],
)
def test_another_order_is_refused(value: object) -> None:
    with pytest.raises(Malformed, match="sorted and distinct"):
        from_cbor(value)


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (Malformed, ["per_period", [5]]),
        (Malformed, ["per_period", 5]),
        (Malformed, ["per_period", [5, 0]]),
        (Malformed, ["per_period", [-1, 5]]),
        (Malformed, ["per_period", [5, True]]),
        (TooLarge, ["per_period", [MAX_AMOUNT_TIYN + 1, 5]]),
        (TooLarge, ["per_period", [5, MAX_PERIOD_DAYS + 1]]),
        (Malformed, ["items", []]),
        (Malformed, ["items", [1]]),
        (TooLarge, ["items", ["x" * (MAX_NAME_CHARS + 1)]]),
        (Malformed, ["approval", [[], 0]]),
        (Malformed, ["approval", [["a"], 0]]),
        (Malformed, ["approval", [["a"], 2]]),
        (Malformed, ["approval", [["a", "a"], 2]]),
        (Malformed, ["approval", [["a"]]]),
        (Malformed, ["approval", [["a"], True]]),
        (TooLarge, ["approval", [["a"], MAX_CONDITION_LIST + 1]]),
        (TooLarge, ["approval", [["x" * (2 * MAX_NAME_CHARS + 2)], 1]]),
        (Malformed, ["evidence", ["registry"]]),
        (Malformed, ["evidence", ["", "built"]]),
        (Malformed, ["evidence", ["registry", ""]]),
        (TooLarge, ["evidence", ["x" * (MAX_NAME_CHARS + 1), "built"]]),
        (TooLarge, ["evidence", ["registry", "x" * (MAX_FACT_CHARS + 1)]]),
    ],
)
def test_malformed(error: type[FormError], value: object) -> None:
    with pytest.raises(FormError) as caught:
        from_cbor(value)
    assert type(caught.value) is error


def test_between_two_purses_a_split_is_always_refused() -> None:
    """However little is paid: a part that rounds to nothing would let a tax be paid round."""
    tax = definition(PerPayment(10**9), Split("altyn/tax", 1, 1000))
    for tiyn in (1, 3, 10_000):
        (refusal,) = tax.refusals([replace(PAYMENT, amount_tiyn=tiyn, memory=None)])
        assert (refusal.condition, str(refusal.found), refusal.decided) == (
            "split",
            "no ledger to ask here, and no allowance for it",
            False,
        )
