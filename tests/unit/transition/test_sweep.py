"""What falls due: expired marks and final leaves."""

from __future__ import annotations

import pytest

from cbdc.errors import RoleRefused
from cbdc.policy import DAY_S, Policy
from cbdc.state.records import Token
from tests.support import NOW_S, Customer, World
from tests.unit.helpers import (
    EXPIRY_S,
    define,
    grant,
    in_purse,
    load,
    paid,
    pay,
    refuses,
    revoke,
    sponsored,
    sweep,
)

FINAL_AT_S = NOW_S + Policy().offline_final_days * DAY_S


@pytest.fixture
def world() -> World:
    return World.founded("altyn")


@pytest.fixture
def aida(world: World) -> Customer:
    return world.customer("aida")


def test_expired_marked_tenge_returns_free(world: World, aida: Customer) -> None:
    sponsor, _ = sponsored(world)
    treasury = world.customer("treasury")
    purpose = define(world, sponsor, return_to=treasury.key.public, name="books")
    token = grant(world, sponsor, purpose, aida, 900)
    world.now_s = EXPIRY_S
    (returned,) = sweep(world, token)
    assert world.token(token) is None
    assert world.token(returned) == Token(treasury.key.public, 900, None)


def test_marked_tenge_stays_until_the_expiry(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    token = grant(world, sponsor, purpose, aida, 900)
    world.now_s = EXPIRY_S - 1
    with refuses(world, RoleRefused):
        sweep(world, token)


def test_free_tenge_is_never_swept(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    world.now_s += 3650 * DAY_S
    with refuses(world, RoleRefused):
        sweep(world, token)


@pytest.mark.parametrize("lost", [False, True])
def test_a_final_leaf_returns_to_its_holder(world: World, aida: Customer, lost: bool) -> None:
    leaf = world.load(aida, 900)
    if lost:
        revoke(world, aida)
    world.now_s = FINAL_AT_S
    (token,) = sweep(world, leaf)
    assert world.token(token) == Token(aida.key.public, 900, None)
    after = world.leaf(leaf)
    assert after is not None
    assert after.returned
    assert (world.supply().online_tiyn, world.supply().pool_tiyn) == (900, 0)


def test_a_leaf_is_not_final_before_its_time(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    world.now_s = FINAL_AT_S - 1
    with refuses(world, RoleRefused, outpoint=leaf):
        sweep(world, leaf)


def test_a_leaf_returns_once(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    world.now_s = FINAL_AT_S
    sweep(world, leaf)
    with refuses(world, RoleRefused, outpoint=leaf):
        sweep(world, leaf)


def test_a_spent_output_does_not_return(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    payment = pay(world, aida, world.customer("bolat"), leaf, 900)
    world.reconcile(payment)
    world.now_s = FINAL_AT_S
    with refuses(world, RoleRefused, outpoint=leaf):
        sweep(world, leaf)
    sweep(world, paid(world, payment))
    assert world.live_tiyn(world.customer("bolat", enrol=False).purse.public) == 0


def test_nothing_is_due_for_what_never_was(world: World) -> None:
    with refuses(world, RoleRefused, outpoint=bytes(34)):
        sweep(world, bytes(34))


def test_one_that_is_not_due_refuses_all(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    free = world.fund(aida, 100)
    world.now_s = FINAL_AT_S
    with refuses(world, RoleRefused):
        sweep(world, leaf, free)


def test_a_marked_leaf_comes_back_marked_and_then_to_the_sponsor(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    world.now_s = FINAL_AT_S
    (marked,) = sweep(world, leaf)
    assert world.token(marked) == Token(aida.key.public, 900, purpose)
    (returned,) = sweep(world, marked)
    assert world.token(returned) == Token(sponsor.key.public, 900, None)
