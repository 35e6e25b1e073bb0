"""Repay: a culprit's debt is paid with free tenge, and its account may then have a new purse."""

from __future__ import annotations

import pytest

from cbdc.errors import (
    AmountMismatch,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    NotEnrolled,
    NotOwner,
    PurposeMismatch,
    TengeError,
)
from cbdc.formats import certificates
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.messages import bodies
from tests.support import LATER_S, LIMITS, NOW_S, Customer, World, seed
from tests.unit.helpers import STRANGER, debt_of, grant, out, pay, refuses, reserve_of, sponsored


@pytest.fixture
def world() -> World:
    world = World.founded("altyn")
    world.set_reserve("altyn", 5_000)
    return world


@pytest.fixture
def aida(world: World) -> Customer:
    """A culprit: 900 spent twice, nothing left to seize."""
    aida, bolat, dana = (world.customer(name) for name in ("aida", "bolat", "dana"))
    leaf = world.load(aida, 900)
    world.reconcile(pay(world, aida, bolat, leaf, 900), pay(world, aida, dana, leaf, 900))
    assert debt_of(world, aida) == 900
    return aida


def repay(
    world: World,
    debtor: Customer,
    name: bytes,
    amount_tiyn: int,
    *change: Output,
    signer: SigningKey | None = None,
    until_s: int = LATER_S,
) -> None:
    body = bodies.Repay((name,), change, until_s, debtor.purse.public, amount_tiyn)
    world.do(Kind.REPAY, body, signer or debtor.key)


def new_purse(world: World, customer: Customer) -> SigningKey:
    """The bank certifies a second purse for the customer's account."""
    purse, bank = SigningKey(seed(f"new purse of {customer.name}")), world.banks[customer.bank]
    own = customer.certificate(world.network)
    cwt = certificates.issue(
        bank,
        world.network,
        bank=customer.bank,
        subject=own.subject,
        key=purse.public,
        issued_s=NOW_S,
        expires_s=LATER_S,
        limits=LIMITS,
        online_key=customer.key.public,
    )
    world.do(Kind.ENROL, bodies.Enrol((cwt,)), bank)
    return purse


def test_a_debt_is_paid_in_parts_to_the_reserve(world: World, aida: Customer) -> None:
    assert reserve_of(world, "altyn").reserve_tiyn == 4_100
    before = world.supply()
    repay(world, aida, world.fund(aida, 500), 400, out(aida, 100))
    assert (debt_of(world, aida), reserve_of(world, "altyn").reserve_tiyn) == (500, 4_500)
    repay(world, aida, world.fund(aida, 500), 500)
    assert (debt_of(world, aida), reserve_of(world, "altyn").reserve_tiyn) == (0, 5_000)
    after = world.supply()
    assert (after.pool_tiyn, after.online_tiyn) == (before.pool_tiyn, before.online_tiyn + 1_000 - 900)


def test_what_a_short_reserve_owes_the_pool_is_paid_first() -> None:
    world = World.founded("altyn")
    aida, bolat, dana = (world.customer(name) for name in ("aida", "bolat", "dana"))
    leaf = world.load(aida, 900)
    world.reconcile(pay(world, aida, bolat, leaf, 900), pay(world, aida, dana, leaf, 900))
    assert reserve_of(world, "altyn").claims_tiyn == 900
    pool_tiyn = world.supply().pool_tiyn
    repay(world, aida, world.fund(aida, 600), 600)
    assert (reserve_of(world, "altyn").claims_tiyn, world.supply().pool_tiyn) == (300, pool_tiyn + 600)


def test_anybody_may_pay_it(world: World, aida: Customer) -> None:
    aunt = world.customer("aunt")
    name = world.fund(aunt, 900)
    repay(world, aida, name, 900, signer=aunt.key)
    assert debt_of(world, aida) == 0


def test_an_account_in_debt_gets_no_new_purse_until_it_has_paid(world: World, aida: Customer) -> None:
    with refuses(world, CertificateRevoked, account="altyn/aida", debt_tiyn=900):
        new_purse(world, aida)
    repay(world, aida, world.fund(aida, 900), 900)
    purse = new_purse(world, aida)
    name = world.fund(aida, 700)
    world.do(Kind.LOAD, bodies.Load((name,), (Output(purse.public, 700, None),), LATER_S), aida.key)
    assert world.live_tiyn(purse.public) == 700


def test_a_fork_that_shows_after_the_payment_is_a_debt_again(world: World) -> None:
    aida, bolat, dana, erlan = (world.customer(name) for name in ("aida", "bolat", "dana", "erlan"))
    leaf = world.load(aida, 900)
    spends = [pay(world, aida, payee, leaf, 900) for payee in (bolat, dana, erlan)]
    world.reconcile(*spends[:2])
    repay(world, aida, world.fund(aida, 900), 900)
    world.reconcile(spends[2])
    assert debt_of(world, aida) == 900
    with refuses(world, CertificateRevoked, debt_tiyn=900):
        new_purse(world, aida)


@pytest.mark.parametrize(
    ("error", "amount_tiyn", "change_tiyn", "funded_tiyn"),
    [(AmountMismatch, 901, 99, 1_000), (AmountMismatch, 500, 501, 1_000), (AmountMismatch, 500, 499, 1_000)],
)
def test_never_more_than_is_owed_and_never_out_of_nothing(
    world: World, aida: Customer, error: type[TengeError], amount_tiyn: int, change_tiyn: int, funded_tiyn: int
) -> None:
    name = world.fund(aida, funded_tiyn)
    with refuses(world, error):
        repay(world, aida, name, amount_tiyn, out(aida, change_tiyn))


def test_refusals(world: World, aida: Customer) -> None:
    name, honest = world.fund(aida, 500), world.customer("honest")
    honest_name = world.fund(honest, 500)
    with refuses(world, NotOwner):
        repay(world, aida, name, 500, signer=honest.key)
    with refuses(world, NotEnrolled):
        repay(world, aida, name, 500, signer=STRANGER)
    with refuses(world, NotEnrolled):
        repay(world, aida, name, 400, Output(STRANGER.public, 100, None))
    with refuses(world, Expired):
        repay(world, aida, name, 500, until_s=world.now_s - 1)
    with refuses(world, AmountMismatch, limit=0):
        repay(world, honest, honest_name, 500)
    repay(world, aida, name, 500)
    with refuses(world, DoubleSpend):
        repay(world, aida, name, 300, out(aida, 200))


def test_marked_money_pays_no_debt(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    name = grant(world, akimat, purpose, aida, 500)
    with refuses(world, PurposeMismatch):
        repay(world, aida, name, 500)


def test_no_mark_travels_beside_a_repayment(world: World, aida: Customer) -> None:
    """Free money pays, and marked money of the same purpose would go past its conditions to somebody else."""
    akimat, purpose = sponsored(world)
    marked, free = grant(world, akimat, purpose, aida, 500), world.fund(aida, 100)
    body = bodies.Repay((marked, free), (out(akimat, 500, purpose),), LATER_S, aida.purse.public, 100)
    with refuses(world, PurposeMismatch):
        world.do(Kind.REPAY, body, aida.key)
