"""Records: their bytes, and what follows from their fields."""

from __future__ import annotations

import pytest

from cbdc.formats.x509 import Role
from cbdc.state.records import (
    Accepted,
    BankReserve,
    Culprit,
    Denial,
    Enrolment,
    HolderKind,
    KeyHolder,
    Network,
    OfflineToken,
    Participant,
    PastListDays,
    Record,
    Supply,
    Token,
    live_leaf,
)
from cbdc.state.view import owner_of

KEY = bytes(range(32))
LEAF = OfflineToken(KEY, 5, None, 1, 2, 0, [], False)


@pytest.mark.parametrize(
    "record",
    [
        Token(KEY, 5, None),
        Token(KEY, 1 << 40, KEY),
        LEAF,
        OfflineToken(KEY, 5, KEY, 1, 2, 3, [KEY], True),
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
