"""What a purse may pay between two syncs without the ledger's memory: the sponsor's word, and the certificate."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbdc.errors import CertificateRevoked, Expired, NotSponsor, PurposeRefused, Replayed
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.messages import bodies
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import All, Approval, Condition, Evidence, Items, Not, PayeeMcc, PerPeriod
from cbdc.purposes.rules import Keeps, Split
from cbdc.state.records import Allowance, Table
from tests.support import LIMITS, Customer, World
from tests.unit.helpers import (
    CANTEEN,
    EXPIRY_S,
    allow,
    define,
    grant,
    in_purse,
    load,
    paid,
    programme,
    refuses,
    renew_purse,
    revoke,
    spent_of,
    wallet_id,
)


@pytest.fixture
def shop(world: World) -> Customer:
    return world.customer("shop", merchant=CANTEEN)


def allowance_of(world: World, purpose: bytes, account: str) -> int | None:
    value = world.view.get((Table.ALLOWANCE, purpose + account.encode()))
    return None if value is None else Allowance.decode(value).amount_tiyn


# --- the sponsor's word ------------------------------------------------------------------------


def test_a_sponsor_allows_an_account_so_much_of_its_purpose(world: World, aida: Customer) -> None:
    sponsor, purpose = programme(world)
    other = define(world, sponsor, name="other")
    allow(world, sponsor, purpose, "altyn/aida", 500)
    assert allowance_of(world, purpose, "altyn/aida") == 500
    assert (allowance_of(world, other, "altyn/aida"), allowance_of(world, purpose, "kumis/aida")) == (None, None)
    allow(world, sponsor, purpose, "altyn/aida", 0)
    assert allowance_of(world, purpose, "altyn/aida") == 0


@pytest.mark.parametrize("who", ["customer", "another sponsor", "governor", "both"])
def test_only_the_sponsor_allows(world: World, aida: Customer, who: str) -> None:
    sponsor, purpose = programme(world)
    other, _ = programme(world, name="other")
    keys = {
        "customer": [aida.key],
        "another sponsor": [other.key],
        "governor": [world.governor.key],
        "both": [sponsor.key, world.governor.key],
    }[who]
    with refuses(world, NotSponsor, purpose="works"):
        world.do(Kind.ALLOW, bodies.Allow(purpose, "altyn/aida", 500, bytes(16)), *keys)


def test_a_revoked_sponsor_allows_nothing(world: World) -> None:
    sponsor, purpose = programme(world)
    revoke(world, sponsor, wallet_id(world, sponsor))
    with refuses(world, CertificateRevoked, key=sponsor.key.public):
        allow(world, sponsor, purpose, "altyn/aida", 500)


def test_an_unknown_purpose_allows_nothing(world: World) -> None:
    sponsor, _ = programme(world)
    with refuses(world, PurposeRefused, purpose=bytes(32)):
        allow(world, sponsor, bytes(32), "altyn/aida", 500)


def test_an_allowance_is_said_once(world: World) -> None:
    sponsor, purpose = programme(world)
    body = bodies.Allow(purpose, "altyn/aida", 500, bytes(16))
    done = world.do(Kind.ALLOW, body, sponsor.key)
    allow(world, sponsor, purpose, "altyn/aida", 0)
    with refuses(world, Replayed, id=done):
        world.do(Kind.ALLOW, body, sponsor.key)


# --- the certificate ---------------------------------------------------------------------------


def allowed(world: World, aida: Customer, purpose: bytes, amount_tiyn: int) -> bytes:
    """Her bank certifies her purse again, with an allowance; the certificate's id, a second later."""
    limits = replace(LIMITS, allowances=((purpose, amount_tiyn),))
    certificate = renew_purse(world, aida, limits=limits)
    world.now_s += 1
    return certificate


def test_a_bank_certifies_up_to_what_the_sponsor_allows(world: World, aida: Customer) -> None:
    sponsor, purpose = programme(world)
    with refuses(world, NotSponsor, purpose=purpose, limit=0):
        allowed(world, aida, purpose, 1)
    allow(world, sponsor, purpose, "altyn/aida", 500)
    with refuses(world, NotSponsor, purpose=purpose, limit=500):
        allowed(world, aida, purpose, 501)
    allowed(world, aida, purpose, 500)


def test_every_allowance_of_a_certificate_is_checked(world: World, aida: Customer) -> None:
    sponsor, purpose = programme(world)
    other = define(world, sponsor, name="other")
    allow(world, sponsor, purpose, "altyn/aida", 500)
    allow(world, sponsor, other, "altyn/aida", 400)
    for wrong in (purpose, other):
        right = {purpose: 500, other: 400}
        limits = replace(LIMITS, allowances=tuple(sorted((right | {wrong: right[wrong] + 1}).items())))
        with refuses(world, NotSponsor, purpose=wrong):
            renew_purse(world, aida, limits=limits)


def test_an_allowance_is_one_accounts(world: World, aida: Customer) -> None:
    sponsor, purpose = programme(world)
    allow(world, sponsor, purpose, "altyn/aida", 500)
    bolat = world.customer("bolat")
    with refuses(world, NotSponsor, limit=0):
        allowed(world, bolat, purpose, 500)


def test_an_allowance_taken_back_is_certified_no_more(world: World, aida: Customer) -> None:
    sponsor, purpose = programme(world)
    allow(world, sponsor, purpose, "altyn/aida", 500)
    allowed(world, aida, purpose, 500)
    allow(world, sponsor, purpose, "altyn/aida", 499)
    with refuses(world, NotSponsor, limit=499):
        allowed(world, aida, purpose, 500)


# --- between purses ----------------------------------------------------------------------------

ASK_THE_LEDGER: dict[str, Condition] = {
    "per_period": PerPeriod(10_000, 30),
    "approval": Approval(("altyn/dana",), 1),
    "evidence": Evidence("registry", "built"),
}


def pay_offline(
    world: World, aida: Customer, shop: Customer, purpose: bytes, leaf: bytes, amount_tiyn: int, **how: object
) -> bytes:
    outputs = [in_purse(shop, amount_tiyn, purpose)]
    if amount_tiyn < 900:
        outputs.append(in_purse(aida, 900 - amount_tiyn, purpose))
    return world.payment(aida, shop, (leaf,), tuple(outputs), **how)


def loaded(world: World, aida: Customer, **changes: object) -> tuple[Customer, bytes, bytes]:
    """The sponsor, its purpose, and 900 of it in Aida's purse."""
    sponsor, purpose = programme(world, **changes)
    token = grant(world, sponsor, purpose, aida, 900)
    return sponsor, purpose, load(world, [token], [in_purse(aida, 900, purpose)], aida.key)


@pytest.mark.parametrize("name", ASK_THE_LEDGER)
def test_what_asks_the_ledger_is_refused_offline_without_an_allowance(
    world: World, aida: Customer, shop: Customer, name: str
) -> None:
    _, purpose, leaf = loaded(world, aida, condition=ASK_THE_LEDGER[name])
    with refuses(world, PurposeRefused, condition=name):
        world.reconcile(pay_offline(world, aida, shop, purpose, leaf, 500))


@pytest.mark.parametrize("name", ASK_THE_LEDGER)
def test_an_allowance_lets_so_much_of_it_through(world: World, aida: Customer, shop: Customer, name: str) -> None:
    sponsor, purpose, leaf = loaded(world, aida, condition=ASK_THE_LEDGER[name])
    allow(world, sponsor, purpose, "altyn/aida", 500)
    before = aida.certificate(world.network).id
    certificate = allowed(world, aida, purpose, 500)
    with refuses(world, PurposeRefused, condition=name):
        world.reconcile(pay_offline(world, aida, shop, purpose, leaf, 501, payer_certificate=certificate))
    with refuses(world, PurposeRefused, condition=name):
        world.reconcile(pay_offline(world, aida, shop, purpose, leaf, 500, payer_certificate=before))
    payment = pay_offline(world, aida, shop, purpose, leaf, 500, payer_certificate=certificate)
    world.reconcile(payment)
    received, change = world.leaf(paid(world, payment)), world.leaf(paid(world, payment, 1))
    assert received is not None
    assert change is not None
    assert (received.amount_tiyn, received.purpose, change.amount_tiyn, change.purpose) == (500, None, 400, purpose)
    assert spent_of(world, purpose, "altyn/aida") == []


def test_a_payees_allowance_is_not_the_payers(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose, leaf = loaded(world, aida, condition=PerPeriod(10_000, 30))
    allow(world, sponsor, purpose, "altyn/shop", 500)
    certificate = allowed(world, shop, purpose, 500)
    with refuses(world, PurposeRefused, condition="per_period"):
        world.reconcile(pay_offline(world, aida, shop, purpose, leaf, 500, payee_certificate=certificate))


def test_an_allowance_is_for_its_purpose(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose, leaf = loaded(world, aida, condition=PerPeriod(10_000, 30))
    other = define(world, sponsor, name="other")
    allow(world, sponsor, other, "altyn/aida", 500)
    certificate = allowed(world, aida, other, 500)
    with refuses(world, PurposeRefused, condition="per_period"):
        world.reconcile(pay_offline(world, aida, shop, purpose, leaf, 500, payer_certificate=certificate))


def test_an_allowance_mends_nothing_else(world: World, aida: Customer, shop: Customer) -> None:
    conditions = (PerPeriod(10_000, 30), Not(PayeeMcc((CANTEEN.mcc,))))
    sponsor, purpose, leaf = loaded(world, aida, condition=All(conditions))
    allow(world, sponsor, purpose, "altyn/aida", 500)
    certificate = allowed(world, aida, purpose, 500)
    with refuses(world, PurposeRefused, condition="not"):
        world.reconcile(pay_offline(world, aida, shop, purpose, leaf, 500, payer_certificate=certificate))


# --- other conditions between purses -----------------------------------------------------------


def test_offline_the_lines_stand_in_the_payment(world: World, aida: Customer, shop: Customer) -> None:
    _, purpose, leaf = loaded(world, aida, condition=Items(("food",)))
    for lines in ((), (Line("food", 899),), (Line("beer", 900),)):
        with refuses(world, PurposeRefused, condition="items"):
            world.reconcile(pay_offline(world, aida, shop, purpose, leaf, 900, lines=lines))
    world.reconcile(pay_offline(world, aida, shop, purpose, leaf, 900, lines=(Line("food", 500), Line("food", 400))))
    assert world.live_tiyn(shop.purse.public) == 900


@pytest.mark.parametrize("payee", ["shop", "tax"])
def test_a_split_is_not_paid_between_two_purses(world: World, aida: Customer, shop: Customer, payee: str) -> None:
    """One payment has one payee, and a split has two."""
    tax = world.customer("tax")
    _, purpose, leaf = loaded(world, aida, mark=Keeps(), split=Split("altyn/tax", 12, 100))
    with refuses(world, PurposeRefused, condition="split"):
        world.reconcile(pay_offline(world, aida, tax if payee == "tax" else shop, purpose, leaf, 900))


def test_an_allowance_does_not_outlive_its_purpose(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=PerPeriod(10_000, 30))
    world.now_s = EXPIRY_S - DAY_S
    allow(world, sponsor, purpose, "altyn/aida", 900)
    certificate = allowed(world, aida, purpose, 900)
    token = grant(world, sponsor, purpose, aida, 900)
    leaf = load(world, [token], [in_purse(aida, 900, purpose)], aida.key)
    world.now_s = EXPIRY_S - 1
    payment = pay_offline(world, aida, shop, purpose, leaf, 900, payer_certificate=certificate)
    world.now_s = EXPIRY_S
    late = pay_offline(world, aida, shop, purpose, leaf, 900, payer_certificate=certificate)
    with refuses(world, Expired):
        world.reconcile(late)
    world.reconcile(payment)
    assert world.live_tiyn(shop.purse.public) == 900
