"""Which tokens pay: the most restricted first, never more than allowed, and always exactly the amount."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdc.errors import Expired, InsufficientFunds, PurposeRefused, TengeError
from cbdc.purposes.conditions import All, Any, Condition, Not, Payee, PayeeKato, PayeeMcc, Payment, PerPayment
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears
from tests.support import NOW_S
from wallet.selection import Coin, Selection, pick, split_by_purpose

PAYEE, PAYER = bytes([1]) * 32, bytes([2]) * 32
FACTS = Payment("altyn/dana", "altyn/canteen", "5812", "750000000", 0, NOW_S)


def defined(condition: Condition, expires_s: int = NOW_S + 100) -> Definition:
    return Definition("p", ("p", "p", "p"), bytes(32), bytes(32), condition, Clears(), expires_s)


LUNCH, CITY, TRIP, BOOKS, OLD = (bytes([number]) * 32 for number in range(10, 15))
DEFINITIONS = {
    LUNCH: defined(All((PayeeMcc(("5812",)), PayeeKato(("75",)), PerPayment(15)))),
    CITY: defined(PayeeKato(("75",))),
    TRIP: defined(PayeeKato(("75",)), expires_s=NOW_S + 50),
    BOOKS: defined(PayeeMcc(("5942",))),
    OLD: defined(PayeeMcc(("5812",)), expires_s=NOW_S),
}


def coins(*held: tuple[int, bytes | None]) -> list[Coin]:
    return [Coin(bytes([number]) * 34, amount, purpose) for number, (amount, purpose) in enumerate(held, 1)]


def split(amount_tiyn: int, held: list[Coin], purpose: bytes | None = None) -> dict[bytes | None, int]:
    return split_by_purpose(amount_tiyn, held, DEFINITIONS, lambda _: replace(FACTS, amount_tiyn=amount_tiyn), purpose)


def chosen(shares: dict[bytes | None, int], held: list[Coin]) -> Selection:
    return pick(shares, held, PAYEE, PAYER)


# --- splitting ---------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "held", "shares"),
    [
        (10, [(20, None)], {None: 10}),
        (10, [(20, None), (20, CITY)], {CITY: 10}),
        (30, [(20, None), (20, CITY)], {CITY: 20, None: 10}),
        (10, [(20, CITY), (20, LUNCH)], {LUNCH: 10}),
        (20, [(20, CITY), (20, LUNCH)], {LUNCH: 15, CITY: 5}),
        (20, [(20, None), (20, LUNCH)], {LUNCH: 15, None: 5}),
        (40, [(20, None), (20, CITY), (8, LUNCH)], {LUNCH: 8, CITY: 20, None: 12}),
        (10, [(20, CITY), (20, TRIP)], {TRIP: 10}),
        (25, [(20, CITY), (20, TRIP)], {TRIP: 20, CITY: 5}),
        (10, [(20, None), (20, BOOKS)], {None: 10}),
        (10, [(20, None), (20, OLD)], {None: 10}),
        (10, [(20, None), (20, bytes(32))], {None: 10}),
        (10, [(4, CITY), (6, CITY)], {CITY: 10}),
    ],
    ids=[
        "free money alone",
        "marked before free",
        "free fills up",
        "more conditions first",
        "a limit per payment binds",
        "free above the limit",
        "three kinds",
        "sooner expiry first",
        "sooner expiry first, then the later",
        "not where it is refused",
        "not once expired",
        "not of an unknown purpose",
        "tokens of one purpose add up",
    ],
)
def test_the_most_restricted_money_goes_first(
    amount: int, held: list[tuple[int, bytes | None]], shares: dict[bytes | None, int]
) -> None:
    assert split(amount, coins(*held)) == shares


@pytest.mark.parametrize(
    "held", [[], [(9, None)], [(20, BOOKS)], [(20, OLD)], [(4, None), (5, CITY)], [(20, bytes(32))]]
)
def test_too_little_that_may_be_spent_there(held: list[tuple[int, bytes | None]]) -> None:
    with pytest.raises(InsufficientFunds):
        split(10, coins(*held))


@pytest.mark.parametrize(
    ("purpose", "amount", "error"),
    [
        (CITY, 21, InsufficientFunds),
        (LUNCH, 16, PurposeRefused),
        (BOOKS, 1, PurposeRefused),
        (OLD, 1, Expired),
        pytest.param(
            bytes(32),
            1,
            TengeError,
        ),
    ],
)
def test_a_purpose_by_name_pays_all_or_refuses(purpose: bytes, amount: int, error: type[TengeError]) -> None:
    held = coins((20, CITY), (20, LUNCH), (20, BOOKS), (20, OLD), (50, None))
    with pytest.raises(error):
        split(amount, held, purpose)


def test_a_purpose_by_name_pays_the_whole_amount() -> None:
    assert split(20, coins((20, CITY), (20, LUNCH), (50, None)), CITY) == {CITY: 20}


@pytest.mark.parametrize("condition", [Any((PerPayment(5), Payee(("altyn/canteen",)))), Not(Payee(("altyn/other",)))])
def test_a_limit_that_does_not_bind_is_no_limit(condition: Condition) -> None:
    purpose = bytes(32)
    shares = split_by_purpose(20, coins((30, purpose)), {purpose: defined(condition)}, lambda _: FACTS)
    assert shares == {purpose: 20}


# --- picking -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("share", "amounts", "picked"),
    [
        (10, [10, 50], [10]),
        (10, [50, 20, 11, 9], [11]),
        (60, [50, 20, 11], [50, 20]),
        (81, [50, 20, 11], [50, 20, 11]),
        (1, [5, 5], [5]),
    ],
    ids=["exact", "smallest that covers", "largest first", "all", "one of equals"],
)
def test_the_smallest_token_that_covers_or_the_largest_ones(share: int, amounts: list[int], picked: list[int]) -> None:
    held = coins(*((amount, None) for amount in amounts))
    by_name = {coin.outpoint: coin.amount_tiyn for coin in held}
    assert [by_name[name] for name in chosen({None: share}, held).inputs] == picked


@pytest.mark.parametrize("lightest_first", [False, True])
def test_marks_that_last_differently_are_not_put_together_where_one_kind_is_enough(lightest_first: bool) -> None:
    long = [Coin(bytes([number]) * 34, 40, LUNCH, left=3) for number in (1, 2)]
    short = [Coin(bytes([number]) * 34, 50, LUNCH, left=1) for number in (3, 4)]
    for share_tiyn, expected in ((70, long), (90, short)):
        found = pick({LUNCH: share_tiyn}, [*short, *long], PAYEE, PAYER, lightest_first=lightest_first)
        assert sorted(found.inputs) == [coin.outpoint for coin in expected]
    assert len(pick({LUNCH: 170}, [*short, *long], PAYEE, PAYER, lightest_first=lightest_first).inputs) == 4


def test_each_share_has_its_payment_and_its_change() -> None:
    held = coins((20, CITY), (50, None))
    outputs = [(o.owner, o.amount_tiyn, o.purpose) for o in chosen({CITY: 20, None: 30}, held).outputs]
    assert outputs == [(PAYEE, 20, CITY), (PAYEE, 30, None), (PAYER, 20, None)]


@pytest.mark.parametrize("held", [[], [(9, None)], [(50, CITY)]])
def test_a_share_is_covered_by_its_own_tokens_only(held: list[tuple[int, bytes | None]]) -> None:
    with pytest.raises(InsufficientFunds):
        chosen({None: 10}, coins(*held))


purses = st.lists(st.tuples(st.integers(1, 60), st.sampled_from([None, LUNCH, CITY, TRIP, BOOKS, OLD])), max_size=8)


@given(purses, st.integers(1, 200))
def test_what_is_chosen_conserves_every_purpose_and_pays_exactly(
    held: list[tuple[int, bytes | None]], amount: int
) -> None:
    money = coins(*held)
    payable = sum(a for a, p in held if p in (None, CITY, TRIP)) + min(15, sum(a for a, p in held if p == LUNCH))
    try:
        shares = split(amount, money)
    except InsufficientFunds:
        assert payable < amount
        return
    assert payable >= amount
    assert shares.get(LUNCH, 0) <= 15
    assert not {BOOKS, OLD} & set(shares)
    selection = chosen(shares, money)
    by_name = {coin.outpoint: coin for coin in money}
    assert len(set(selection.inputs)) == len(selection.inputs)
    balance: Counter[bytes | None] = Counter()
    for name in selection.inputs:
        balance[by_name[name].purpose] += by_name[name].amount_tiyn
    for output in selection.outputs:
        assert output.amount_tiyn > 0
        balance[output.purpose] -= output.amount_tiyn
    assert not any(balance.values())
    assert sum(o.amount_tiyn for o in selection.outputs if o.owner == PAYEE) == amount
