"""What falls due: expired marks and final leaves."""

from __future__ import annotations

from itertools import permutations

import pytest

from cbdc.errors import RoleRefused
from cbdc.formats.certificates import Holder
from cbdc.policy import DAY_S, Policy
from cbdc.state.records import Table, Token
from tests.support import NOW_S, Customer, World
from tests.unit.helpers import (
    EXPIRY_S,
    debt_of,
    define,
    grant,
    in_purse,
    load,
    paid,
    pay,
    refuses,
    reserve_of,
    revoke,
    sponsored,
    sweep,
)

FINAL_AT_S = NOW_S + Policy().offline_final_days * DAY_S


@pytest.fixture
def world() -> World:
    return World.founded("altyn")


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


# --- what a fork costs, whenever and in whatever order the sweep comes ----------------------------


def forked(world: World, aida: Customer, amount_tiyn: int) -> list[bytes]:
    """Two payments of one token, to two payees."""
    leaf = world.load(aida, amount_tiyn)
    return [pay(world, aida, world.customer(f"{name} {amount_tiyn}"), leaf, amount_tiyn) for name in ("bolat", "dana")]


def outcome(world: World, aida: Customer) -> tuple[int, int, list[Token]]:
    """What she owes, what is left of the reserve, and what she has online."""
    values = [value for (table, _), value in world.view.records().items() if table is Table.TOKEN]
    tokens = [token for token in map(Token.decode, values) if token.owner == aida.key.public]
    reserve = reserve_of(world, "altyn").reserve_tiyn
    return debt_of(world, aida), reserve, sorted(tokens, key=lambda token: (token.purpose is None, token.amount_tiyn))


@pytest.mark.parametrize("when", ["before", "after", "half"])
def test_evidence_after_a_leaf_became_final_seizes_nothing_of_it(when: str) -> None:
    """Swept in time or only after the fork came to light: the owner gets it, and owes."""
    world = World.founded("altyn")
    world.set_reserve("altyn", 10_000)
    aida = world.customer("aida")
    leaves = [world.load(aida, 700), world.load(aida, 300)]
    world.now_s += 5 * DAY_S
    payments = forked(world, aida, 1_000)
    world.now_s = FINAL_AT_S
    swept = {"before": leaves, "half": leaves[:1], "after": []}[when]
    for name in swept:
        sweep(world, name)
    world.reconcile(*payments)
    for name in leaves:
        if name not in swept:
            sweep(world, name)
    tokens = [Token(aida.key.public, 300, None), Token(aida.key.public, 700, None)]
    assert outcome(world, aida) == (1_000, 9_000, tokens)


@pytest.mark.parametrize("more_s", [-1, 0])
def test_up_to_its_last_second_a_leaf_is_seized(more_s: int) -> None:
    world = World.founded("altyn")
    world.set_reserve("altyn", 10_000)
    aida = world.customer("aida")
    leaf = world.load(aida, 700)
    world.now_s += 5 * DAY_S
    payments = forked(world, aida, 1_000)
    world.now_s = FINAL_AT_S + more_s
    world.reconcile(*payments)
    world.now_s = FINAL_AT_S
    sweep(world, leaf)
    assert outcome(world, aida)[:2] == ((300, 9_700) if more_s else (1_000, 9_000))


@pytest.mark.parametrize("swept", [False, True])
def test_what_was_seized_in_time_stays_whatever_is_spent_twice_later(swept: bool) -> None:
    """A first fork takes 500 of a leaf; a second one, after it became final, finds only what is not final yet."""
    world = World.founded("altyn")
    world.set_reserve("altyn", 10_000)
    aida = world.customer("aida")
    leaf = world.load(aida, 900)
    world.now_s += 5 * DAY_S
    first, second, _ = forked(world, aida, 500), forked(world, aida, 1_000), world.load(aida, 200)
    world.now_s = FINAL_AT_S - 1
    world.reconcile(*first)
    assert outcome(world, aida) == (0, 10_000, [])
    world.now_s = FINAL_AT_S
    if swept:
        sweep(world, leaf)
    world.reconcile(*second)
    if not swept:
        sweep(world, leaf)
    assert outcome(world, aida) == (800, 9_200, [Token(aida.key.public, 400, None)])
    assert world.live_tiyn(aida.purse.public) == 200


@pytest.mark.parametrize("order", list(permutations(range(3))))
def test_seized_leaves_go_in_a_fixed_order(order: tuple[int, ...]) -> None:
    """Free before marked, whatever the sweep's order, so that it does not choose what the owner keeps."""
    world = World.founded("altyn")
    world.set_reserve("altyn", 10_000)
    sponsor = world.customer("akimat", holder=Holder.SPONSOR)
    purpose = define(world, sponsor, expires_s=NOW_S + 100 * DAY_S)
    aida = world.customer("aida")
    payments = forked(world, aida, 1_000)
    names = [
        load(world, [grant(world, sponsor, purpose, aida, 600)], [in_purse(aida, 600, purpose)], aida.key),
        world.load(aida, 600),
        load(world, [grant(world, sponsor, purpose, aida, 600)], [in_purse(aida, 600, purpose)], aida.key),
    ]
    world.reconcile(*payments)
    world.now_s = FINAL_AT_S
    for index in order:
        sweep(world, names[index])
    tokens = [Token(aida.key.public, 200, purpose), Token(aida.key.public, 600, purpose)]
    assert outcome(world, aida) == (0, 10_000, tokens)
    # of two alike the one with the smaller name is taken first
    kept = min(names[0], names[2])
    returned = world.leaf(kept)
    assert returned is not None
    assert returned.kept_tiyn == 400
