"""Which refused payments are genuine and only too late; whatever else is wrong with one, it is not kept."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cbdc.errors import (
    AmountMismatch,
    AncestryBroken,
    CertificateRevoked,
    Malformed,
    NotEnrolled,
    NotOwner,
    Replayed,
    RoleRefused,
    TengeError,
    TooLate,
    WrongPayee,
)
from cbdc.formats.kinds import Kind
from cbdc.messages import bodies
from cbdc.messages.message import build, decode, verify
from cbdc.policy import DAY_S, Policy
from cbdc.transition.late import LatePayment, judge_late, late_payments
from tests.support import NOW_S, Customer, World
from tests.unit.helpers import STRANGER, in_purse, paid, pay, refuses, revoke, sweep

FINAL_AT_S = NOW_S + Policy().offline_final_days * DAY_S
Forge = Callable[[World, Customer, Customer, bytes], bytes]


@pytest.fixture
def world() -> World:
    return World.founded("altyn")


def letter(world: World, *payments: bytes) -> bytes:
    return build(Kind.RECONCILE, bodies.Reconcile(payments), [], world.network)


def found(world: World, raw: bytes) -> list[LatePayment]:
    return list(late_payments(world.view, verify(decode(raw, world.network)), raw, world.now_s))


def judged(world: World, raw: bytes) -> LatePayment:
    return judge_late(world.view, verify(decode(raw, world.network)), raw, world.now_s, {})[0]


# --- what is late ------------------------------------------------------------------------------


def test_a_payment_is_late_from_the_deadline_on(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    payment = pay(world, aida, bolat, leaf, 900)
    world.now_s = FINAL_AT_S - 1
    with pytest.raises(Malformed):
        judged(world, payment)
    world.now_s = FINAL_AT_S
    with refuses(world, TooLate):
        world.submit(payment)
    late = LatePayment(world.message_id(payment), payment, aida.purse.public, FINAL_AT_S, (leaf,), ())
    assert found(world, payment) == found(world, letter(world, payment)) == [late]


def test_a_payment_is_late_once_its_token_was_returned(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    payment = pay(world, aida, bolat, leaf, 900)
    world.now_s = FINAL_AT_S
    sweep(world, leaf)
    assert judged(world, payment).known == (leaf,)


def test_one_late_input_makes_a_payment_late(world: World, aida: Customer, bolat: Customer) -> None:
    early = world.load(aida, 600)
    world.now_s += DAY_S
    both = early, world.load(aida, 300)
    payment = world.payment(aida, bolat, both, (in_purse(bolat, 900),))
    world.now_s = FINAL_AT_S
    assert judged(world, payment).known == both


def test_what_came_in_time_is_not_late(world: World, aida: Customer, bolat: Customer) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    world.submit(payment)
    world.now_s = FINAL_AT_S
    with pytest.raises(Replayed):
        judged(world, payment)
    assert found(world, payment) == []


def test_a_second_spend_is_late_as_well(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    leaf = world.load(aida, 900)
    first, second = pay(world, aida, bolat, leaf, 900), pay(world, aida, dana, leaf, 900)
    world.submit(first)
    world.now_s = FINAL_AT_S
    assert [late.raw for late in found(world, letter(world, first, second))] == [second]


def test_late_payments_stand_on_each_other(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    leaf = world.load(aida, 900)
    first = pay(world, aida, bolat, leaf, 900)
    second = pay(world, bolat, dana, paid(world, first), 900, hop=2)
    world.now_s = FINAL_AT_S
    one, other = found(world, letter(world, second, first))
    assert (one.raw, one.known, one.unknown) == (first, (leaf,), ())
    assert (other.raw, other.known, other.unknown) == (second, (), (paid(world, first),))
    with pytest.raises(AncestryBroken):
        judged(world, second)


def test_a_revoked_purse_s_payment_is_genuine_all_the_same(world: World, aida: Customer, bolat: Customer) -> None:
    """The deny-list says who bears it; the signature is the purse's. The answer stays what it was."""
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    revoke(world, aida)
    world.now_s = FINAL_AT_S
    with refuses(world, CertificateRevoked):
        world.submit(payment)
    assert judged(world, payment).raw == payment


# --- what is not kept --------------------------------------------------------------------------


def two_signatures(world: World, aida: Customer, bolat: Customer, leaf: bytes) -> bytes:
    body = decode(pay(world, aida, bolat, leaf, 900), world.network).body
    return build(Kind.TRANSFER, body, [aida.purse, bolat.purse], world.network)


def without_terms(world: World, aida: Customer, bolat: Customer, leaf: bytes) -> bytes:
    body = decode(pay(world, aida, bolat, leaf, 900), world.network).body
    return build(Kind.TRANSFER, replace(body, terms=None), [aida.purse], world.network)


NOT_KEPT: dict[str, tuple[type[TengeError], Forge]] = {
    "no offline transfer": (Malformed, without_terms),
    "signed by two": (RoleRefused, two_signatures),
    "payer is nobody": (NotEnrolled, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, signer=STRANGER)),
    "payer is a wallet": (NotEnrolled, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, signer=a.key)),
    "unknown payer certificate": (
        NotEnrolled,
        lambda w, a, b, leaf: pay(w, a, b, leaf, 900, payer_certificate=bytes(32)),
    ),
    "unknown payee": (NotEnrolled, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, payee_certificate=bytes(32))),
    "another's token": (NotOwner, lambda w, a, b, leaf: pay(w, b, a, leaf, 900)),
    "too much": (AmountMismatch, lambda w, a, b, leaf: pay(w, a, b, leaf, 901)),
    "third party": (WrongPayee, lambda w, a, b, leaf: w.payment(a, b, (leaf,), (in_purse(w.customer("c"), 900),))),
    "wrong hop": (AncestryBroken, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, hop=2)),
    "unknown token": (AncestryBroken, lambda w, a, b, _: pay(w, a, b, bytes(34), 900)),
    "a time to come": (
        Malformed,
        lambda w, a, b, leaf: pay(w, a, b, leaf, 900, ledger_time_s=FINAL_AT_S + 1, trust_list_s=FINAL_AT_S + 1),
    ),
}


@pytest.mark.parametrize("case", NOT_KEPT)
def test_what_is_wrong_besides_is_not_kept(world: World, aida: Customer, bolat: Customer, case: str) -> None:
    error, forge = NOT_KEPT[case]
    payment = forge(world, aida, bolat, world.load(aida, 900))
    world.now_s = FINAL_AT_S
    with pytest.raises(TengeError) as refusal:
        judged(world, payment)
    assert type(refusal.value) is error
    if case not in ("no offline transfer", "signed by two"):  # no letter holds such a one
        assert found(world, letter(world, payment)) == []


def test_void_money_that_went_back_is_kept(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    """The deny-list says who bears a payment, not whether it was made; so it does of void money."""
    fault = pay(world, aida, bolat, world.load(aida, 900), 900, 0)
    revoke(world, aida)
    world.now_s += 4 * DAY_S
    void = paid(world, fault)
    world.reconcile(fault, pay(world, bolat, dana, void, 900, hop=2))
    back = pay(world, bolat, aida, void, 900, hop=2)
    world.now_s = FINAL_AT_S
    late = judged(world, back)
    assert late.payer == bolat.purse.public
