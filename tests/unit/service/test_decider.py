"""Which entry carried a message: what a repeated submission is answered with."""

from __future__ import annotations

import pytest

from cbdc.formats.kinds import Kind
from cbdc.messages import bodies
from cbdc.messages.message import Verified, build, decode, verify
from cbdc.policy import DAY_S
from cbdc.service.decider import entry_of
from tests.support import LATER_S, Customer, World
from tests.unit.helpers import out, pay, revoke


@pytest.fixture
def world() -> World:
    return World.founded("altyn")


@pytest.fixture
def aida(world: World) -> Customer:
    return world.customer("aida")


@pytest.fixture
def bolat(world: World) -> Customer:
    return world.customer("bolat")


def message(world: World, raw: bytes) -> Verified:
    return verify(decode(raw, world.network))


def carried(world: World, raw: bytes) -> int:
    """Submit the message: it was unknown before, and its entry is found afterwards, whatever follows it."""
    assert entry_of(world.view, message(world, raw)) is None
    world.submit(raw)
    index = world.entries - 1
    assert entry_of(world.view, message(world, raw)) == index
    world.issue("altyn", 1)
    assert entry_of(world.view, message(world, raw)) == index
    return index


def test_a_message_with_inputs_is_found_by_them(world: World, aida: Customer) -> None:
    body = bodies.Transfer((world.fund(aida, 900),), (out(aida, 900),), LATER_S)
    carried(world, build(Kind.TRANSFER, body, [aida.key], world.network))
    rival = bodies.Transfer(body.inputs, (out(aida, 899), out(aida, 1)), LATER_S)
    assert entry_of(world.view, message(world, build(Kind.TRANSFER, rival, [aida.key], world.network))) is None


def test_a_message_without_inputs_is_found_by_its_id(world: World) -> None:
    carried(world, world.governor.issue(world.banks["altyn"].public, 5, bytes(16)))


def test_a_sweep_is_found_by_what_it_moved(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    world.now_s += world.policy.offline_final_days * DAY_S
    carried(world, build(Kind.SWEEP, bodies.Sweep((leaf,)), [], world.network))


def test_a_payment_is_found_where_it_came_first(world: World, aida: Customer, bolat: Customer) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    other = pay(world, aida, bolat, world.load(aida, 500), 500, salt="other")
    index = carried(world, build(Kind.RECONCILE, bodies.Reconcile((payment, other)), [], world.network))
    assert entry_of(world.view, message(world, payment)) == index


def test_a_reconcile_is_found_even_if_a_part_was_refused(world: World, aida: Customer, bolat: Customer) -> None:
    good, bad = pay(world, aida, bolat, world.load(aida, 900), 900), pay(world, aida, bolat, bytes(34), 1)
    carried(world, build(Kind.RECONCILE, bodies.Reconcile((bad, good)), [], world.network))


def test_the_same_evidence_in_other_groups_is_another_message(world: World, aida: Customer, bolat: Customer) -> None:
    payments = [pay(world, aida, bolat, world.load(aida, amount), amount, salt=str(amount)) for amount in (500, 900)]
    carried(world, build(Kind.RECONCILE, bodies.Reconcile(tuple(payments)), [], world.network))
    for group in (payments[::-1], payments[:1], payments * 2):
        regrouped = build(Kind.RECONCILE, bodies.Reconcile(tuple(group)), [], world.network)
        assert entry_of(world.view, message(world, regrouped)) is None


def test_a_refused_message_has_no_entry(world: World, aida: Customer, bolat: Customer) -> None:
    revoke(world, aida)
    payment = pay(world, aida, bolat, bytes(34), 900)
    assert entry_of(world.view, message(world, payment)) is None
