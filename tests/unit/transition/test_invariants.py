"""The books: a delta that breaks a law is stopped, whatever the transition thought."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbdc.errors import InvariantViolation
from cbdc.state.records import BankReserve, Culprit, OfflineToken, Record, Supply, Table, Token
from cbdc.state.view import Change, Delta, Key
from cbdc.transition.invariants import Books
from tests.support import World
from tests.unit.helpers import HOUR_S, pay

TOKEN: Key = (Table.TOKEN, bytes(34))
OWNER = bytes(32)


def delta(changes: dict[Key, tuple[Record | None, Record | None]], *consumed: bytes) -> Delta:
    encoded = {
        key: Change(before.encode() if before else None, after.encode() if after else None)
        for key, (before, after) in changes.items()
    }
    return Delta(encoded, tuple((name, bytes(32)) for name in consumed))


def test_following_deltas_equals_counting_everything() -> None:
    world = World.founded("altyn", "kumis")
    world.set_reserve("altyn", 100)
    aida, payees = world.customer("aida"), [world.customer(name, "kumis") for name in ("bolat", "dana")]
    token = world.load(aida, 500)
    twice = [pay(world, aida, payee, token, 400, 100) for payee in payees]
    world.now_s += HOUR_S
    world.reconcile(*twice)
    assert world.books == Books.of(world.view.records().items())
    assert world.books.live_tiyn == 1000
    assert world.books.claims_tiyn == 200


ISSUED = {(Table.SUPPLY, b""): (None, Supply(100, 0, 100, 0, 0))}


def test_books_that_balance_are_followed() -> None:
    books = Books().follow(delta(ISSUED | {TOKEN: (None, Token(OWNER, 100, None))}))
    assert books.online_tiyn == 100
    assert all(books.laws().values())


@pytest.mark.parametrize(
    ("law", "changes"),
    [
        ("online", ISSUED | {TOKEN: (None, Token(OWNER, 99, None))}),
        ("reserves", {(Table.RESERVE, b"altyn"): (None, BankReserve(5, 0, 0))}),
        ("pool", {(Table.OFFLINE, bytes(34)): (None, OfflineToken(OWNER, 1, None, 1, 2, 0, [], False))}),
        ("pool", {(Table.CULPRIT, OWNER): (None, Culprit("altyn", 5, 5, 0))}),
        ("pool", {(Table.RESERVE, b"altyn"): (None, BankReserve(0, 5, 0))}),
        ("supply", {(Table.SUPPLY, b""): (None, Supply(100, 0, 0, 0, 0))}),
    ],
)
def test_every_law_stops_the_commit(law: str, changes: dict) -> None:
    with pytest.raises(InvariantViolation) as caught:
        Books().follow(delta(changes))
    assert caught.value.values["law"] == law


def test_a_token_is_never_rewritten() -> None:
    books = Books().follow(delta(ISSUED | {TOKEN: (None, Token(OWNER, 100, None))}))
    before, after = Token(OWNER, 100, None), Token(bytes(31) + b"1", 100, None)
    with pytest.raises(InvariantViolation, match="rewritten"):
        books.follow(delta({TOKEN: (before, after)}))


@pytest.mark.parametrize("vanishes", [True, False])
def test_a_token_goes_exactly_by_being_consumed(vanishes: bool) -> None:
    token = Token(OWNER, 100, None)
    changes, consumed = ({TOKEN: (token, None)}, ()) if vanishes else (ISSUED | {TOKEN: (None, token)}, (TOKEN[1],))
    with pytest.raises(InvariantViolation) as caught:
        Books().follow(delta(changes, *consumed))
    assert caught.value.values["law"] == "no_double_spend"


def test_debts_are_never_negative() -> None:
    assert BankReserve(5, 9, 1).claims_tiyn == 3
    assert BankReserve(9, 5, 1).claims_tiyn == 0
    assert replace(BankReserve(0, 0, 0), topped_up_tiyn=4).reserve_tiyn == 4
