"""Spending conditions: what each allows and refuses, and the one form in which they are written."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

import pytest

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CONDITION_DEPTH,
    MAX_CONDITION_LIST,
    MAX_CONDITION_NODES,
    MAX_LEDGER_CONDITIONS,
    MAX_NAME_CHARS,
    MAX_SMALL,
    MAX_TIME_S,
)
from cbdc.purposes.conditions import (
    After,
    All,
    Any,
    Before,
    Condition,
    Hours,
    Not,
    Payee,
    PayeeKato,
    PayeeMcc,
    PayeeTier,
    Payer,
    Payment,
    PerPayment,
    from_cbor,
)
from cbdc.purposes.conditions.time import local_day_and_minute, show_time
from tests.support import NOW_S

PAYMENT = Payment("altyn/aida", "altyn/canteen", "5812", "750000000", 500, NOW_S, 2)
PERSON = replace(PAYMENT, payee_mcc=None, payee_kato=None, payee_tier=None)
YES, NO = PerPayment(500), PerPayment(499)

ALLOWED: dict[str, Condition] = {
    "payee": Payee(("altyn/bolat", "altyn/canteen")),
    "payer": Payer(("altyn/aida", "altyn/bolat")),
    "tier": PayeeTier((2, 3)),
    "always": Hours((0, 1, 2, 3, 4, 5, 6), 0, 24 * 60),
    "category": PayeeMcc(("5411", "5812")),
    "region": PayeeKato(("750000000",)),
    "region by prefix": PayeeKato(("10", "75")),
    "amount at the limit": YES,
    "at the very second": After(NOW_S),
    "the second before": Before(NOW_S + 1),
    "all": All((YES, PayeeKato(("75",)))),
    "any": Any((NO, YES)),
    "not": Not(NO),
    "not not": Not(Not(YES)),
}
REFUSED: dict[str, tuple[Condition, str]] = {
    "payee": (Payee(("altyn/bolat", "kumis/canteen")), "payee"),
    "payer": (Payer(("altyn/bolat",)), "payer"),
    "tier": (PayeeTier((1, 3)), "payee_tier"),
    "category": (PayeeMcc(("5411", "5813")), "payee_mcc"),
    "region": (PayeeKato(("71", "7500001")), "payee_kato"),
    "amount": (NO, "per_payment"),
    "too early": (After(NOW_S + 1), "after"),
    "too late": (Before(NOW_S), "before"),
    "all, first": (All((NO, Payee(("x",)))), "per_payment"),
    "all, last": (All((YES, Payee(("x",)))), "payee"),
    "any": (Any((NO, Payee(("x",)))), "any"),
    "not": (Not(YES), "not"),
    "not any": (Not(Any((NO, YES))), "not"),
}


@pytest.mark.parametrize("case", ALLOWED)
def test_allows(case: str) -> None:
    assert ALLOWED[case].refuses(PAYMENT) is None


@pytest.mark.parametrize("case", REFUSED)
def test_refuses(case: str) -> None:
    condition, name = REFUSED[case]
    refusal = condition.refuses(PAYMENT)
    assert refusal is not None
    assert (refusal.condition, refusal.decided) == (name, True)
    assert refusal.found
    assert refusal.wanted


@pytest.mark.parametrize(
    "condition",
    [
        PayeeMcc(("5812",)),
        PayeeKato(("75",)),
        PayeeTier((2,)),
        Not(PayeeTier((1,))),
        Not(PayeeMcc(("5813",))),
        Not(PayeeKato(("10",))),
        Not(Not(PayeeMcc(("5812",)))),
        Not(All((YES, PayeeMcc(("5813",))))),
        Any((PayeeMcc(("5812",)), PayeeKato(("75",)))),
    ],
)
def test_an_attribute_that_lacks_makes_its_condition_false(condition: Condition) -> None:
    refusal = condition.refuses(PERSON)
    assert refusal is not None
    assert not refusal.decided
    assert condition.refuses(PAYMENT) is None


def test_another_way_to_be_allowed_needs_no_attribute() -> None:
    assert Any((PayeeMcc(("5812",)), YES)).refuses(PERSON) is None


@pytest.mark.parametrize("conditions", [(PayeeMcc(("5812",)), NO), (NO, PayeeMcc(("5812",)))])
def test_all_is_decided_by_any_that_refuses_knowingly(conditions: tuple[Condition, ...]) -> None:
    refusal = All(conditions).refuses(PERSON)
    assert refusal is not None
    assert (refusal.decided, refusal.condition) == (True, conditions[0].to_cbor()[0])
    assert Not(All(conditions)).refuses(PERSON) is None


def test_any_explains_every_way() -> None:
    refusal = Any((NO, Payee(("altyn/bolat",)))).refuses(PAYMENT)
    assert refusal is not None
    assert str(refusal.found) == "5.00 tenge in one payment; payee altyn/canteen"
    assert str(refusal.wanted) == "at most 4.99 tenge in one payment, or payee altyn/bolat"


# --- weekly hours ------------------------------------------------------------------------------

SATURDAY_S = 1_767_985_200  # 2026-01-10T00:00:00+05:00
"""Midnight in Almaty between Friday and Saturday."""


def at(time_s: int, condition: Condition) -> bool:
    return condition.refuses(replace(PAYMENT, time_s=time_s)) is None


def test_hours_begin_and_end_to_the_second() -> None:
    saturday = Hours((5,), 8 * 60, 18 * 60)
    start_s, end_s = SATURDAY_S + 8 * 3600, SATURDAY_S + 18 * 3600
    assert [at(time_s, saturday) for time_s in (start_s - 1, start_s, end_s - 1, end_s)] == [False, True, True, False]
    assert not at(start_s + 86_400, saturday)
    assert at(start_s + 7 * 86_400, saturday)


def test_the_day_changes_at_midnight_in_almaty() -> None:
    friday, saturday = Hours((4,), 0, 24 * 60), Hours((5,), 0, 24 * 60)
    assert [at(SATURDAY_S - 1, friday), at(SATURDAY_S, friday)] == [True, False]
    assert [at(SATURDAY_S - 1, saturday), at(SATURDAY_S, saturday)] == [False, True]


@pytest.mark.parametrize("time_s", [0, 1, SATURDAY_S, NOW_S, 951_782_400, MAX_TIME_S])
def test_weekday_and_minute_are_the_calendars(time_s: int) -> None:
    local = datetime(1970, 1, 1, 5, tzinfo=UTC) + timedelta(seconds=min(time_s, MAX_TIME_S - 5 * 3600))
    if time_s != MAX_TIME_S:
        assert local_day_and_minute(time_s) == (local.weekday(), local.hour * 60 + local.minute)
    assert show_time(time_s) == local.strftime("%Y-%m-%d %H:%M:%S")


def test_evaluation_is_total_at_the_ends_of_time() -> None:
    for time_s in (0, MAX_TIME_S):
        for condition in (After(time_s), Before(time_s), Hours((0,), 0, 1), Not(Hours((0,), 0, 1))):
            payment = replace(PAYMENT, time_s=MAX_TIME_S - time_s)
            refusal = condition.refuses(payment)
            assert refusal is None or str(refusal.wanted)


# --- the canonical form ------------------------------------------------------------------------


@pytest.mark.parametrize("case", ALLOWED)
def test_round_trip(case: str) -> None:
    condition = ALLOWED[case]
    again = from_cbor(condition.to_cbor())
    assert again.to_cbor() == condition.to_cbor()
    assert again.refuses(PAYMENT) is None


def test_lists_are_written_sorted_and_distinct() -> None:
    assert Payee(("b", "a", "b")).to_cbor() == ["payee", ["a", "b"]]
    assert All((NO, Payee(("a",)))).to_cbor() == All((Payee(("a",)), NO)).to_cbor()


@pytest.mark.parametrize(
    "value",
    [
        ["payee", ["b", "a"]],
        ["payee", ["a", "a"]],
        ["payee_mcc", ["5814", "5812"]],
        ["payee_kato", ["75", "75"]],
        ["payer", ["b", "a"]],
        ["payee_tier", [2, 1]],
        ["hours", [[1, 0], 0, 60]],
        ["hours", [[1, 1], 0, 60]],
        ["all", [["per_payment", 5], ["payee", ["a"]]]],
        ["any", [["per_payment", 6], ["per_payment", 5]]],
        ["not", ["payee", ["b", "a"]]],
    ],
)
def test_another_order_is_refused(value: object) -> None:
    with pytest.raises(Malformed, match="sorted and distinct"):
        from_cbor(value)


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (Malformed, None),
        (Malformed, ["payee"]),
        (Malformed, ["payee", ["a"], 1]),
        (Malformed, ["phase of the moon", 1]),
        (Malformed, [["payee"], 1]),
        (Malformed, [1, 1]),
        (Malformed, ["payee", []]),
        (Malformed, ["payee", "a"]),
        (Malformed, ["payee", [""]]),
        (Malformed, ["payee", [1]]),
        (TooLarge, ["payee", ["x" * (2 * MAX_NAME_CHARS + 2)]]),
        (TooLarge, ["payee", [f"{number:03}" for number in range(MAX_CONDITION_LIST + 1)]]),
        (Malformed, ["payee_mcc", ["581"]]),
        (TooLarge, ["payee_mcc", ["58121"]]),
        (Malformed, ["payee_mcc", ["58a2"]]),
        (Malformed, ["payee_mcc", ["٥٨١٢"]]),
        (Malformed, ["payee_kato", ["7"]]),
        (TooLarge, ["payee_kato", ["7500000000"]]),
        (Malformed, ["payee_kato", [75]]),
        (Malformed, ["payer", []]),
        (Malformed, ["payee_tier", []]),
        (Malformed, ["payee_tier", ["1"]]),
        (Malformed, ["payee_tier", [True]]),
        (TooLarge, ["payee_tier", [MAX_SMALL + 1]]),
        (Malformed, ["hours", [[], 0, 60]]),
        (TooLarge, ["hours", [[7], 0, 60]]),
        (TooLarge, ["hours", [[0], 0, 1441]]),
        (TooLarge, ["hours", [[0], 1440, 1440]]),
        (Malformed, ["hours", [[0], 60, 60]]),
        (Malformed, ["hours", [[0], 61, 60]]),
        (Malformed, ["hours", [[0], 60]]),
        (Malformed, ["per_payment", -1]),
        (Malformed, ["per_payment", 1.0]),
        (Malformed, ["per_payment", True]),
        (TooLarge, ["per_payment", MAX_AMOUNT_TIYN + 1]),
        (Malformed, ["after", "2026-01-01"]),
        (TooLarge, ["before", 10**12]),
        (Malformed, ["all", []]),
        (Malformed, ["any", []]),
        (Malformed, ["all", ["payee", ["a"]]]),
        (Malformed, ["not", []]),
    ],
)
def test_malformed(error: type[FormError], value: object) -> None:
    with pytest.raises(FormError) as caught:
        from_cbor(value)
    assert type(caught.value) is error


def test_depth_is_bounded() -> None:
    deepest: object = ["per_payment", 5]
    for _ in range(MAX_CONDITION_DEPTH - 1):
        deepest = ["not", deepest]
    from_cbor(deepest)
    with pytest.raises(Malformed, match="too large"):
        from_cbor(["not", deepest])


def test_nodes_are_bounded() -> None:
    def wide(nodes: int) -> object:
        return ["all", [["per_payment", number] for number in range(nodes - 1)]]

    from_cbor(wide(MAX_CONDITION_NODES))
    with pytest.raises(Malformed, match="too large"):
        from_cbor(wide(MAX_CONDITION_NODES + 1))


@pytest.mark.parametrize("name", ["per_period", "approval", "evidence"])
def test_few_conditions_ask_the_ledgers_memory(name: str) -> None:
    """Each is work for the one writer, for each payee of a transfer."""

    def asking(nodes: int) -> object:
        arguments = {
            "per_period": [[number, 1] for number in range(nodes)],
            "approval": [[[str(number)], 1] for number in range(nodes)],
            "evidence": [["registry", str(number)] for number in range(nodes)],
        }
        return ["any", [["all", [[name, argument] for argument in arguments[name]]], ["per_payment", 1]]]

    from_cbor(asking(MAX_LEDGER_CONDITIONS))
    with pytest.raises(Malformed, match="ask the ledger"):
        from_cbor(asking(MAX_LEDGER_CONDITIONS + 1))
