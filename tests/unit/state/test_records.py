"""Records: their bytes, and what follows from their fields."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdc.formats.x509 import Role
from cbdc.limits import MAX_PERIOD_SPENDS
from cbdc.state.records import (
    Accepted,
    Allowance,
    BankReserve,
    Culprit,
    Denial,
    Enrolment,
    Facts,
    HolderKind,
    KeyHolder,
    Network,
    OfflineToken,
    Paid,
    Participant,
    PastListDays,
    Record,
    Spent,
    Supply,
    Token,
    Waiting,
    live_leaf,
)
from cbdc.state.view import owner_of

KEY = bytes(range(32))
LEAF = OfflineToken(KEY, 5, None, 1, 2, 0, [], False)
WAITING = Waiting("altyn/aida", KEY, 5, 9, ["altyn/bolat"], [["bread", 5]], [[0, KEY, 5, KEY, 3, True, 2]], False)


@pytest.mark.parametrize(
    "record",
    [
        Token(KEY, 5, None),
        Token(KEY, 1 << 40, KEY),
        LEAF,
        Token(KEY, 5, KEY, 3),
        OfflineToken(KEY, 5, KEY, 1, 2, 3, [KEY], True),
        OfflineToken(KEY, 5, KEY, 1, 2, 3, [KEY], True, [KEY, None, 5, None], [KEY], 3, 2),
        Participant("altyn", "bank", KEY, 9, b"der", 0),
        Enrolment(b"cwt", None),
        Enrolment(b"cwt", KEY),
        Denial(7),
        KeyHolder(HolderKind.PURSE, KEY, 9, 0),
        BankReserve(1, 2, 3),
        Culprit("altyn", 3, 2, 1),
        Accepted(5, 3),
        PastListDays([[7, 9], [8, 3]]),
        Supply(5, 1, 2, -1, 3),
        Network("tenge", KEY, "operator"),
        WAITING,
        Waiting("altyn/aida", KEY, 5, 9, [], [], [], lapsed=True),
        Spent([]),
        Spent([[5, 7], [5, 7]]),
        Facts(["delivered", "accepted"]),
        Paid(KEY, 5, 3, None, 1),
        Paid(KEY, 5, 0, 3, 7),
        Allowance(0),
    ],
    ids=lambda record: type(record).__name__,
)
def test_round_trip(record: Record) -> None:
    assert type(record).decode(record.encode()) == record


def test_the_owner_is_read_from_the_bytes() -> None:
    assert owner_of(Token(KEY, 5, None).encode()) == owner_of(LEAF.encode()) == KEY


@pytest.mark.parametrize(
    ("spenders", "returned", "live"), [([], False, True), ([KEY], False, False), ([], True, False)]
)
def test_a_leaf_is_live_until_it_is_spent_or_returned(spenders: list[bytes], returned: bool, live: bool) -> None:
    leaf = OfflineToken(KEY, 5, None, 1, 2, 0, spenders, returned)
    assert leaf.is_live is live
    assert live_leaf(leaf.encode()) == ((KEY, 5, None, 2) if live else None)


def test_a_void_leaf_is_not_live() -> None:
    leaf = OfflineToken(KEY, 5, None, 1, 2, 0, [], False, barred=[KEY])
    assert not leaf.is_live
    assert live_leaf(leaf.encode()) is None


def test_spenders_are_sorted_whoever_came_first() -> None:
    first, second = bytes(32), b"\x01" * 32
    assert LEAF.spent_by(second).spent_by(first) == LEAF.spent_by(first).spent_by(second)
    assert LEAF.spent_by(second).spent_by(first) == OfflineToken(KEY, 5, None, 1, 2, 0, [first, second], False)


def test_a_spender_more_changes_nothing_else() -> None:
    whole = OfflineToken(KEY, 5, KEY, 1, 2, 3, [], False, [KEY, KEY, 5, 3], [KEY], 4, 2)
    assert replace(whole, spenders=[KEY]) == whole.spent_by(KEY)


@pytest.mark.parametrize(("role", "dismissed_at_s", "active"), [("bank", 0, True), ("bank", 9, False)])
def test_a_participant_is_active_until_dismissed(role: str, dismissed_at_s: int, active: bool) -> None:
    participant = Participant("altyn", role, KEY, 9, b"der", dismissed_at_s)
    assert participant.is_active(Role.BANK) is active
    assert not participant.is_active(Role.OPERATOR)


@pytest.mark.parametrize(
    ("reserve", "left_tiyn", "claims_tiyn"),
    [(BankReserve(10, 4, 1), 7, 0), (BankReserve(10, 14, 1), 0, 3), (BankReserve(10, 11, 1), 0, 0)],
)
def test_a_reserve_is_what_is_left_or_owed(reserve: BankReserve, left_tiyn: int, claims_tiyn: int) -> None:
    assert (reserve.reserve_tiyn, reserve.claims_tiyn) == (left_tiyn, claims_tiyn)


def test_a_debt_is_what_was_not_seized() -> None:
    assert Culprit("altyn", 10, 3, 2).debt_tiyn == 5


def test_of_past_list_days_stays_what_was_larger_than_all_later_ones() -> None:
    past = PastListDays([]).changed(9, 3, 10).changed(3, 5, 20).changed(5, 4, 30).changed(4, 1, 40)
    assert past.steps == [[10, 9], [30, 5], [40, 4]]
    assert past.changed(1, 5, 50).steps == [[10, 9]]
    assert past.changed(1, 9, 50).steps == []


@pytest.mark.parametrize(("since_s", "days"), [(10, 9), (11, 5), (30, 5), (31, 4), (40, 4), (41, 1)])
def test_the_largest_list_days_since(since_s: int, days: int) -> None:
    assert PastListDays([[10, 9], [30, 5], [40, 4]]).most_since(since_s, 1) == days


def test_a_larger_value_now_is_the_largest() -> None:
    assert PastListDays([[10, 9]]).most_since(5, 12) == 12


# --- payments of late --------------------------------------------------------------------------


def test_payments_stand_in_order_and_old_ones_are_forgotten() -> None:
    spent = Spent([]).with_one_more(10, 5, 0).with_one_more(10, 3, 0).with_one_more(20, 4, 0)
    assert spent == Spent([[10, 3], [10, 5], [20, 4]])
    assert spent.with_one_more(30, 1, 9) == Spent([[10, 3], [10, 5], [20, 4], [30, 1]])
    assert spent.with_one_more(30, 1, 10) == Spent([[20, 4], [30, 1]])


def test_there_are_only_so_many_and_the_two_oldest_count_as_one_at_the_later_time() -> None:
    full = Spent([[second, 1] for second in range(1, MAX_PERIOD_SPENDS + 1)])
    more = full.with_one_more(1000, 7, 0)
    assert len(more.spends) == MAX_PERIOD_SPENDS
    assert more.spends[:2] == [[2, 2], [3, 1]]
    assert more.spends[-1] == [1000, 7]


@pytest.mark.parametrize(
    ("amount_tiyn", "until_s", "left"),
    [
        (0, 30, [[10, 5], [20, 4], [30, 3]]),
        (2, 30, [[10, 5], [20, 4], [30, 1]]),
        (3, 30, [[10, 5], [20, 4]]),
        (4, 30, [[10, 5], [20, 3]]),
        (4, 29, [[10, 5], [30, 3]]),
        (12, 30, []),
        (99, 30, []),
        (99, 20, [[30, 3]]),
        (99, 9, [[10, 5], [20, 4], [30, 3]]),
    ],
)
def test_what_came_back_is_taken_from_the_latest_payments_before(
    amount_tiyn: int, until_s: int, left: list[list[int]]
) -> None:
    assert Spent([[10, 5], [20, 4], [30, 3]]).without(amount_tiyn, until_s) == Spent(left)


STEPS = st.lists(st.tuples(st.integers(0, 50), st.integers(1, 9)), max_size=30)


@given(steps=STEPS, window_s=st.integers(1, 2500))
def test_what_is_merged_holds_back_for_longer_and_never_for_less(steps: list[tuple[int, int]], window_s: int) -> None:
    """In any window up to now there is at least what was paid in it, and in all never more than was paid in all."""
    spent, all_spends, now_s = Spent([]), [], 1
    for wait_s, amount_tiyn in [(1, 1)] * (MAX_PERIOD_SPENDS - 5) + steps:
        now_s += wait_s
        spent = spent.with_one_more(now_s, amount_tiyn, 0)
        all_spends.append((now_s, amount_tiyn))
    assert len(spent.spends) == min(len(all_spends), MAX_PERIOD_SPENDS)
    times = [time_s for time_s, _ in spent.spends]
    assert times == sorted(times)
    since_s = now_s - window_s
    remembered_tiyn = sum(tiyn for time_s, tiyn in spent.spends if time_s > since_s)
    assert remembered_tiyn >= sum(tiyn for time_s, tiyn in all_spends if time_s > since_s)
    assert sum(tiyn for _, tiyn in spent.spends) == sum(tiyn for _, tiyn in all_spends)
