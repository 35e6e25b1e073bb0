"""Escrow is nobody's: no key is a payment's id. And whose money it was must be in order when it goes through."""

from __future__ import annotations

import pytest

from cbdc.errors import CertificateRevoked, Replayed, RoleRefused
from cbdc.formats import certificates
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import outpoint
from cbdc.formats.x509 import Role
from cbdc.messages import bodies
from cbdc.messages.message import build, decode
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import Approval, Evidence
from cbdc.purposes.rules import Keeps
from cbdc.state.records import HolderKind, KeyHolder, Token
from cbdc.transition.draft import Draft
from tests.support import LIMITS, NOW_S, YEAR_S, Customer, World
from tests.unit.helpers import (
    EXPIRY_S,
    approve,
    attest,
    dismiss,
    grant,
    hold_up,
    out,
    programme,
    recall,
    refuses,
    revoke,
    sweep,
    tokens_of,
    waiting_of,
    wallet_id,
)

BUILT = Evidence("registry", "built")


def enrol(world: World, key: bytes, name: str = "ghost", **changes: object) -> bytes:
    """Certify a key for a customer of altyn."""
    times = {"issued_s": world.now_s + 1, "expires_s": world.now_s + YEAR_S}
    bank = world.banks["altyn"]
    cwt = certificates.issue(bank, world.network, bank="altyn", subject=name, key=key, **times, **changes)
    return world.do(Kind.ENROL, bodies.Enrol((cwt,)), bank)


def lapse(world: World, payment: bytes) -> None:
    world.now_s += DAY_S
    sweep(world, outpoint(payment, 0))


# --- no key is a payment's id ------------------------------------------------------------------


@pytest.mark.parametrize("has_lapsed", [False, True])
def test_a_payments_id_is_nobodys_key(world: World, aida: Customer, shop: Customer, has_lapsed: bool) -> None:
    sponsor, purpose = programme(world, condition=BUILT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 1), [out(shop, 1, purpose)], days=1)
    if has_lapsed:
        lapse(world, payment)
    with refuses(world, Replayed, key=payment):
        enrol(world, payment)
    with refuses(world, Replayed, key=payment):
        enrol(world, payment, "aida", limits=LIMITS, online_key=aida.key.public)
    with refuses(world, Replayed, key=payment):
        world.submit(world.governor.admit("oracle", Role.ORACLE, payment, world.now_s))


def test_a_payment_whose_id_is_a_key_already_does_not_wait(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=BUILT)
    token = grant(world, sponsor, purpose, aida, 5)
    body = bodies.Transfer((token,), (out(shop, 5, purpose),), NOW_S + DAY_S)
    raw = build(Kind.TRANSFER, body, [aida.key], world.network)
    payment = decode(raw, world.network).id
    enrol(world, payment)
    with refuses(world, Replayed, id=payment):
        world.submit(raw)


def test_what_has_lapsed_holds_nothing(world: World, aida: Customer, shop: Customer) -> None:
    """On a ledger where such a key is there: its tokens fall due and are recalled as anybody's."""
    sponsor, purpose = programme(world, condition=BUILT, mark=Keeps())
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 1), [out(shop, 1, purpose)], days=1)
    lapse(world, payment)
    holder = Draft(world.view).holder(shop.key.public)
    assert holder is not None
    draft, names = Draft(world.view), [outpoint(bytes([number]) * 32, 0) for number in (1, 2)]
    draft.put_holder(payment, KeyHolder(HolderKind.WALLET, holder.reference, holder.expires_s, 0))
    for name in names:
        draft.create(name, Token(payment, 700, purpose))
    world.view.add(draft.finish(), world.entries, world.now_s)
    recall(world, purpose, [names[0]], sponsor.key, world.governor.key)
    with refuses(world, RoleRefused, outpoint=names[1]):
        sweep(world, names[1])
    world.now_s = EXPIRY_S
    sweep(world, names[1])
    assert tokens_of(world, sponsor) == [Token(sponsor.key.public, 700, None)] * 2
    with refuses(world, RoleRefused, outpoint=names[1]):
        sweep(world, names[1])


# --- whose money it was, and who says so -------------------------------------------------------


def test_a_denied_payers_payment_does_not_go_through(
    world: World, aida: Customer, shop: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = programme(world, condition=BUILT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 500), [out(shop, 500, purpose)], days=1)
    revoke(world, aida, wallet_id(world, aida))
    attest(world, registry, payment)
    with refuses(world, RoleRefused, payment=payment):
        sweep(world, outpoint(payment, 0))
    lapse(world, payment)
    assert tokens_of(world, shop) == []
    assert tokens_of(world, aida) == [Token(aida.key.public, 500, purpose)]


def test_an_expired_payee_is_paid_once_his_certificate_is_renewed(
    world: World, aida: Customer, shop: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = programme(world, condition=BUILT, expires_s=NOW_S + 2 * YEAR_S)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 5), [out(shop, 5, purpose)], days=366)
    world.now_s = NOW_S + YEAR_S - 1
    renewed = certificates.issue(
        world.banks["altyn"],
        world.network,
        bank="altyn",
        subject="shop",
        key=shop.key.public,
        issued_s=world.now_s,
        expires_s=world.now_s + YEAR_S,
    )
    world.now_s += 1
    attest(world, registry, payment)
    with refuses(world, RoleRefused, payment=payment):
        sweep(world, outpoint(payment, 0))
    world.do(Kind.ENROL, bodies.Enrol((renewed,)), world.banks["altyn"])
    sweep(world, outpoint(payment, 0))
    assert tokens_of(world, shop) == [Token(shop.key.public, 5, None)]


def test_a_dismissed_banks_customer_approves_nothing(world: World, aida: Customer, shop: Customer) -> None:
    head = world.customer("head", "kumis")
    sponsor, purpose = programme(world, condition=Approval(("kumis/head",), 1))
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 5), [out(shop, 5, purpose)])
    dismiss(world, "kumis")
    with refuses(world, CertificateRevoked, key=head.key.public, bank="kumis"):
        approve(world, payment, "kumis/head", head.key)
    waiting = waiting_of(world, payment)
    assert waiting is not None
    assert waiting.approvals == []
