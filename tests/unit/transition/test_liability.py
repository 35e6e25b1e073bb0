"""Forks: who is charged, what is seized, who is whole (design section 6, rules 2 to 4)."""

from __future__ import annotations

from contextlib import suppress
from itertools import permutations

import pytest

from cbdc.errors import CertificateRevoked, LimitHolding, NotOwner, Replayed
from cbdc.policy import DAY_S, Policy
from cbdc.state.records import Culprit, Table
from tests.support import LIMITS, Customer, World
from tests.unit.helpers import (
    HOUR_S,
    debt_of,
    in_purse,
    load,
    out,
    paid,
    pay,
    refuses,
    reserve_of,
    revoke,
    sweep,
    unload,
)

FINAL_S = Policy().offline_final_days * DAY_S
TOKEN_TIYN = 10_000


class Fork:
    """The design's worked example: 10 000 are spent to b (6 000, change 4 000) and to c (9 000, change 1 000)."""

    def __init__(self, reserve_tiyn: int) -> None:
        self.world = world = World.founded("altyn", "kumis")
        if reserve_tiyn:
            world.set_reserve("altyn", reserve_tiyn)
        self.a = world.customer("a")
        self.b, self.c = world.customer("b", "kumis"), world.customer("c", "kumis")
        self.token = world.load(self.a, TOKEN_TIYN)
        self.to_b = pay(world, self.a, self.b, self.token, 6_000, 4_000)
        self.to_c = pay(world, self.a, self.c, self.token, 9_000, 1_000)
        world.now_s += HOUR_S

    def settle(self) -> None:
        self.world.reconcile(self.to_b)
        self.world.reconcile(self.to_c)

    def live(self, *customers: Customer) -> list[int]:
        return [self.world.live_tiyn(customer.purse.public) for customer in customers]


@pytest.fixture
def fork() -> Fork:
    return Fork(reserve_tiyn=50_000)


def test_the_worked_example(fork: Fork) -> None:
    world = fork.world
    total_tiyn = world.supply().issued_tiyn
    fork.settle()
    assert fork.live(fork.a, fork.b, fork.c) == [5_000, 6_000, 9_000]
    assert debt_of(world, fork.a) == 5_000
    assert reserve_of(world, "altyn").reserve_tiyn == 45_000
    assert reserve_of(world, "kumis").net_tiyn == 0
    supply = world.supply()
    assert supply.pool_tiyn == 15_000
    assert supply.online_tiyn + supply.pool_tiyn + supply.reserves_tiyn == total_tiyn == supply.issued_tiyn


def test_no_fork_without_a_second_payload(fork: Fork) -> None:
    fork.world.reconcile(fork.to_b)
    with refuses(fork.world, Replayed, payments=2):
        fork.world.reconcile(fork.to_b, fork.to_b)
    assert debt_of(fork.world, fork.a) == 0


def test_a_culprits_purse_is_revoked(fork: Fork) -> None:
    fork.settle()
    with refuses(fork.world, CertificateRevoked, key=fork.a.purse.public):
        unload(fork.world, [paid(fork.world, fork.to_b, 1)], [out(fork.a, 4_000)], fork.a.purse)


def test_honest_payees_are_paid_at_once(fork: Fork) -> None:
    fork.settle()
    unload(fork.world, [paid(fork.world, fork.to_b)], [out(fork.b, 6_000)], fork.b.purse)
    unload(fork.world, [paid(fork.world, fork.to_c)], [out(fork.c, 9_000)], fork.c.purse)
    assert fork.world.supply().pool_tiyn == 0
    assert [fork.world.online_tiyn(who.key.public) for who in (fork.b, fork.c)] == [6_000, 9_000]


def test_a_third_spend_costs_the_whole_value_again(fork: Fork) -> None:
    fork.settle()
    fork.world.reconcile(pay(fork.world, fork.a, fork.b, fork.token, 10_000, salt="third", trust_list_s=1, **EARLY))
    # b, who accepted 6 000 of it before, owes that; the larger spend is his, and the smaller lies in his purse
    assert debt_of(fork.world, fork.a) == 20_000 - 6_000 - 5_000
    assert reserve_of(fork.world, "altyn").reserve_tiyn == 50_000 - 9_000
    assert (debt_of(fork.world, fork.b), seized_of(fork.world, fork.b)) == (0, 6_000)
    assert reserve_of(fork.world, "kumis").net_tiyn == 0


def seized_of(world: World, customer: Customer) -> int:
    value = world.view.get((Table.CULPRIT, customer.purse.public))
    return Culprit.decode(value).seized_tiyn if value else 0


EARLY = {"ledger_time_s": 2}
"""The terms of a payment whose payee could not know of the fork yet."""


def test_a_later_payment_releases_a_seizure(fork: Fork) -> None:
    world = fork.world
    change_to_b = pay(world, fork.a, fork.b, paid(world, fork.to_b, 1), 4_000, trust_list_s=1, ledger_time_s=2)
    fork.settle()
    assert reserve_of(world, "altyn").seized_tiyn == 5_000
    world.reconcile(change_to_b)
    assert reserve_of(world, "altyn").seized_tiyn == 1_000
    assert debt_of(world, fork.a) == 9_000
    assert fork.live(fork.a, fork.b) == [1_000, 10_000]
    assert reserve_of(world, "altyn").reserve_tiyn == 41_000


def test_what_a_culprit_receives_is_seized(fork: Fork) -> None:
    world = fork.world
    fork.settle()
    world.reconcile(pay(world, fork.b, fork.a, paid(world, fork.to_b), 6_000, hop=2))
    assert fork.live(fork.a) == [11_000]
    assert reserve_of(world, "altyn").seized_tiyn == 10_000
    assert debt_of(world, fork.a) == 0


def test_a_fork_of_two_inputs_costs_each() -> None:
    fork = Fork(reserve_tiyn=50_000)
    world = fork.world
    second = world.load(fork.a, 500)
    both = (fork.token, second)
    world.reconcile(world.payment(fork.a, fork.b, both, (in_purse(fork.b, 10_500),), salt="1", trust_list_s=1, **EARLY))
    world.reconcile(world.payment(fork.a, fork.c, both, (in_purse(fork.c, 10_500),), salt="2", trust_list_s=1, **EARLY))
    assert debt_of(world, fork.a) == 10_500


# --- a short reserve ---------------------------------------------------------------------------


def test_a_short_reserve_is_owed_to_the_pool() -> None:
    fork = Fork(reserve_tiyn=2_000)
    fork.settle()
    after = reserve_of(fork.world, "altyn")
    assert (after.reserve_tiyn, after.claims_tiyn) == (0, 3_000)
    supply = fork.world.supply()
    assert (supply.pool_tiyn, supply.reserves_tiyn) == (12_000, 0)


@pytest.mark.parametrize(("top_up_tiyn", "reserve_tiyn", "claims_tiyn"), [(1_000, 0, 2_000), (4_000, 1_000, 0)])
def test_a_top_up_pays_the_pool_first(top_up_tiyn: int, reserve_tiyn: int, claims_tiyn: int) -> None:
    fork = Fork(reserve_tiyn=2_000)
    fork.settle()
    fork.world.set_reserve("altyn", top_up_tiyn)
    after = reserve_of(fork.world, "altyn")
    assert (after.reserve_tiyn, after.claims_tiyn) == (reserve_tiyn, claims_tiyn)
    assert fork.world.supply().pool_tiyn == 15_000 - claims_tiyn


def test_payees_are_whole_even_without_a_reserve() -> None:
    fork = Fork(reserve_tiyn=0)
    fork.settle()
    unload(fork.world, [paid(fork.world, fork.to_b)], [out(fork.b, 6_000)], fork.b.purse)
    unload(fork.world, [paid(fork.world, fork.to_c)], [out(fork.c, 9_000)], fork.c.purse)
    assert reserve_of(fork.world, "altyn").claims_tiyn == 5_000


# --- final -------------------------------------------------------------------------------------


def test_a_seizure_becomes_final(fork: Fork) -> None:
    world = fork.world
    fork.settle()
    world.now_s += FINAL_S
    sweep(world, paid(world, fork.to_b, 1), paid(world, fork.to_c, 1), paid(world, fork.to_b), paid(world, fork.to_c))
    assert world.online_tiyn(fork.a.key.public) == 0
    assert [world.online_tiyn(who.key.public) for who in (fork.b, fork.c)] == [6_000, 9_000]
    assert debt_of(world, fork.a) == 5_000
    assert reserve_of(world, "altyn").reserve_tiyn == 45_000
    assert world.supply().pool_tiyn == 0


def test_a_final_seizure_is_not_released(fork: Fork) -> None:
    world = fork.world
    change_to_b = pay(world, fork.a, fork.b, paid(world, fork.to_b, 1), 4_000)
    fork.settle()
    world.now_s += FINAL_S
    sweep(world, paid(world, fork.to_b, 1))
    with refuses(world, CertificateRevoked):  # certificates come before time, and the fork revoked his
        world.reconcile(change_to_b)
    assert debt_of(world, fork.a) == 5_000


def test_a_culprit_keeps_what_is_above_his_debt(fork: Fork) -> None:
    world = fork.world
    fork.settle()
    world.reconcile(pay(world, fork.b, fork.a, paid(world, fork.to_b), 6_000, hop=2))
    world.reconcile(pay(world, fork.c, fork.a, paid(world, fork.to_c), 9_000, hop=2, salt="c"))
    assert fork.live(fork.a) == [20_000]
    names = [paid(world, fork.to_b, 1), paid(world, fork.to_c, 1)]
    names += [name for name in world.view.offline_of(fork.a.purse.public) if name not in (*names, fork.token)]
    world.now_s += FINAL_S
    sweep(world, *sorted(names))
    assert world.online_tiyn(fork.a.key.public) == 10_000
    assert debt_of(world, fork.a) == 0
    assert reserve_of(world, "altyn").reserve_tiyn == 50_000


# --- an acceptor of both ------------------------------------------------------------------------


def twice_to_b(fork: Fork, count: int = 2) -> list[bytes]:
    """The token is spent ``count`` times, each time whole, and always to b."""
    return [pay(fork.world, fork.a, fork.b, fork.token, TOKEN_TIYN, salt=str(number)) for number in range(count)]


def test_one_payee_is_paid_once_however_often_it_is_spent(fork: Fork) -> None:
    """An opened purse and one accomplice gain nothing: neither bank's reserve falls, b unloads the token once."""
    world = fork.world
    payments = twice_to_b(fork, 50)
    world.reconcile(*payments)
    assert (debt_of(world, fork.a), debt_of(world, fork.b)) == (0, 0)
    assert seized_of(world, fork.b) == 49 * TOKEN_TIYN
    assert reserve_of(world, "altyn").reserve_tiyn == 50_000
    assert (reserve_of(world, "kumis").excess_tiyn, reserve_of(world, "kumis").net_tiyn) == (49 * TOKEN_TIYN, 0)
    unload(world, [paid(world, payments[7])], [out(fork.b, TOKEN_TIYN)], fork.b.purse)
    with refuses(world, NotOwner, found=TOKEN_TIYN, limit=0):
        unload(world, [paid(world, payments[8])], [out(fork.b, TOKEN_TIYN)], fork.b.purse)
    world.now_s += FINAL_S
    for payment in payments[8:]:
        sweep(world, paid(world, payment))
    assert world.online_tiyn(fork.b.key.public) == TOKEN_TIYN


def test_whoever_accepted_both_and_passed_both_on_owes_one(fork: Fork) -> None:
    world = fork.world
    payments = twice_to_b(fork)
    onward = [pay(world, fork.b, fork.c, paid(world, payment), TOKEN_TIYN, hop=2) for payment in payments]
    world.reconcile(*payments, *onward)
    assert world.live_tiyn(fork.c.purse.public) == 2 * TOKEN_TIYN
    assert (debt_of(world, fork.a), debt_of(world, fork.b), debt_of(world, fork.c)) == (0, TOKEN_TIYN, 0)
    assert reserve_of(world, "kumis").claims_tiyn == TOKEN_TIYN
    world.set_reserve("kumis", 50_000)
    token = world.fund(fork.b, 500)
    with refuses(world, CertificateRevoked, debt_tiyn=TOKEN_TIYN):
        load(world, [token], [in_purse(fork.b, 500)], fork.b.key)


def test_a_payee_is_not_harmed_by_a_spend_that_he_never_took(fork: Fork) -> None:
    """A thief can show what b refused. b still unloads what he holds, loads up to his limit, and is not denied."""
    world = fork.world
    kept, shown = pay(world, fork.a, fork.b, fork.token, 7_000, 3_000), pay(world, fork.a, fork.b, fork.token, 10_000)
    world.reconcile(kept)
    world.reconcile(shown)
    assert (debt_of(world, fork.b), seized_of(world, fork.b)) == (0, 7_000)
    assert world.live_tiyn(fork.a.purse.public) == seized_of(world, fork.a) == 3_000
    unload(world, [paid(world, kept)], [out(fork.b, 7_000)], fork.b.purse)
    limit_tiyn = LIMITS.holding_tiyn - 3_000
    token = world.fund(fork.b, limit_tiyn + 1)
    with refuses(world, LimitHolding):
        load(world, [token], [in_purse(fork.b, limit_tiyn + 1)], fork.b.key)
    load(world, [token], [in_purse(fork.b, limit_tiyn), out(fork.b, 1)], fork.b.key)


def test_an_acceptor_answers_for_the_forked_output_alone(fork: Fork) -> None:
    """Other money in the same payment is paid for: of what a spend brings, the output's share of the inputs counts."""
    world = fork.world
    others = [world.load(fork.a, 30_000), world.load(fork.a, 30_000)]
    payments = [
        world.payment(fork.a, fork.b, (fork.token, other), (in_purse(fork.b, 20_000), in_purse(fork.a, 20_000)))
        for other in others
    ]
    world.reconcile(*payments)
    assert seized_of(world, fork.b) == 20_000 * 10_000 // 40_000
    assert seized_of(world, fork.a) == 10_000 - 5_000
    assert (debt_of(world, fork.a), debt_of(world, fork.b)) == (0, 0)


def test_void_money_passed_twice_to_one_payee(fork: Fork) -> None:
    """b took the money of a revoked purse and paid c with it twice: c may keep one, and b owes one."""
    world = fork.world
    revoke(world, fork.a)
    world.now_s += 1
    faulty = pay(world, fork.a, fork.b, fork.token, TOKEN_TIYN)
    onward = [pay(world, fork.b, fork.c, paid(world, faulty), TOKEN_TIYN, hop=2, salt=salt) for salt in "xy"]
    world.reconcile(faulty, *onward)
    assert (debt_of(world, fork.b), seized_of(world, fork.c)) == (TOKEN_TIYN, TOKEN_TIYN)


def test_an_unload_has_no_acceptor(fork: Fork) -> None:
    """Renewed by its own purse, then spent: what the purse holds anew is not what b accepted."""
    world = fork.world
    unload(world, [fork.token], [in_purse(fork.a, TOKEN_TIYN)], fork.a.purse)
    world.reconcile(*twice_to_b(fork))
    assert seized_of(world, fork.b) == TOKEN_TIYN
    assert debt_of(world, fork.a) == 0  # the renewed leaf is seized for the other one


def test_acceptors_in_every_order() -> None:
    roots = set()
    for order in permutations(range(5)):
        fork = Fork(reserve_tiyn=0)
        payments = [*twice_to_b(fork), fork.to_b, fork.to_c]
        onward = pay(fork.world, fork.b, fork.c, paid(fork.world, fork.to_b), 6_000, hop=2)
        groups = [[payment] for payment in payments] + [[fork.to_b, onward]]
        for number in order:
            with suppress(Replayed):
                fork.world.reconcile(*groups[number])
        roots.add(fork.world.root())
        assert (debt_of(fork.world, fork.a), debt_of(fork.world, fork.b)) == (30_000 - 16_000 - 5_000, 0)
    assert len(roots) == 1


def test_what_is_final_is_not_free_for_an_unload_of_the_rest(fork: Fork) -> None:
    """b's second acceptance came when its first leaf was final already: all that is seized lies in the others."""
    world = fork.world
    final = world.load(fork.b, 500)
    world.now_s += DAY_S
    token = world.load(fork.a, TOKEN_TIYN)
    payments = [pay(world, fork.a, fork.b, token, TOKEN_TIYN, salt=salt) for salt in "xy"]
    leaf = world.leaf(final)
    assert leaf is not None
    world.now_s = leaf.final_at_s
    world.reconcile(*payments)
    first, second = (paid(world, payment) for payment in payments)
    unload(world, [first], [out(fork.b, TOKEN_TIYN)], fork.b.purse)
    with refuses(world, NotOwner, limit=0):
        unload(world, [second], [out(fork.b, TOKEN_TIYN)], fork.b.purse)
    sweep(world, final)
    assert world.online_tiyn(fork.b.key.public) == TOKEN_TIYN + 500
