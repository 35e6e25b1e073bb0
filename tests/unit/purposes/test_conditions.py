"""Spending conditions: what each allows and refuses, and the one form in which they are written."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CONDITION_DEPTH,
    MAX_CONDITION_LIST,
    MAX_CONDITION_NODES,
    MAX_NAME_CHARS,
)
from cbdc.purposes.conditions import (
    After,
    All,
    Any,
    Before,
    Condition,
    Not,
    Payee,
    PayeeKato,
    PayeeMcc,
    Payment,
    PerPayment,
    from_cbor,
)
from tests.support import NOW_S

PAYMENT = Payment("altyn/aida", "altyn/canteen", "5812", "750000000", 500, NOW_S)
PERSON = replace(PAYMENT, payee_mcc=None, payee_kato=None)
YES, NO = PerPayment(500), PerPayment(499)

ALLOWED: dict[str, Condition] = {
    "payee": Payee(("altyn/bolat", "altyn/canteen")),
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
    assert refusal.found == "per_payment: 5.00; payee: altyn/canteen"
    assert refusal.wanted == "per_payment: at most 4.99 or payee: altyn/bolat"


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
