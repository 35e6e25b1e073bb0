"""Whom marked money is paid to: his certificate counts for all that it says, not only for who signed it."""

from __future__ import annotations

import pytest

from cbdc.errors import (
    CertificateExpired,
    CertificateRevoked,
    NotEnrolled,
    PurposeRefused,
    WrongPayee,
)
from cbdc.formats import certificates
from cbdc.formats.certificates import Merchant
from cbdc.formats.kinds import Kind
from cbdc.messages import bodies
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import All, PayeeKato, PayeeMcc, PayeeTier
from cbdc.purposes.rules import Keeps
from tests.support import LIMITS, NOW_S, Customer, World
from tests.unit.helpers import (
    CANTEEN,
    debt_of,
    dismiss,
    grant,
    in_purse,
    load,
    mark_of,
    out,
    paid,
    programme,
    refuses,
    revoke,
    sponsored,
    transfer,
    wallet_id,
)

GOOD = All((PayeeMcc(("5812",)), PayeeKato(("75",)), PayeeTier((1,))))
"""What `CANTEEN`'s certificate says."""


def certified(
    world: World, customer: Customer, merchant: Merchant | None, *, in_the_purse: bool, tier: int = 1, days: int = 365
) -> bytes:
    """His bank certifies a customer again, with other attributes; the certificate's id."""
    more = {"limits": LIMITS, "online_key": customer.key.public} if in_the_purse else {}
    cwt = certificates.issue(
        world.banks[customer.bank],
        world.network,
        bank=customer.bank,
        subject=customer.name,
        key=(customer.purse if in_the_purse else customer.key).public,
        issued_s=world.now_s + 1,
        expires_s=world.now_s + days * DAY_S,
        tier=tier,
        merchant=merchant,
        **more,
    )
    world.do(Kind.ENROL, bodies.Enrol((cwt,)), world.banks[customer.bank])
    return certificates.unverified(cwt, world.network)[0].id


ATTRIBUTES: dict[str, tuple[Merchant | None, int, str]] = {
    "no merchant": (None, 1, "payee_mcc"),
    "no category": (Merchant(CANTEEN.bin, None, CANTEEN.kato), 1, "payee_mcc"),
    "another category": (Merchant(CANTEEN.bin, "5813", CANTEEN.kato), 1, "payee_mcc"),
    "no region": (Merchant(CANTEEN.bin, "5812", None), 1, "payee_kato"),
    "another region": (Merchant(CANTEEN.bin, "5812", "710000000"), 1, "payee_kato"),
    "another tier": (CANTEEN, 2, "payee_tier"),
}


def test_a_payee_certificate_is_checked_for_more_than_its_issuer(world: World, aida: Customer) -> None:
    """Online: it is what the ledger has of the payee's key that is asked, all of it, and as of now."""
    sponsor, purpose = programme(world, condition=GOOD)
    token = grant(world, sponsor, purpose, aida, 900)
    canteen = world.customer("canteen", merchant=CANTEEN)
    for name, (merchant, tier, condition) in ATTRIBUTES.items():
        payee = world.customer(f"payee with {name}", merchant=merchant, tier=tier)
        with refuses(world, PurposeRefused, condition=condition):
            transfer(world, [token], [out(payee, 900, purpose)], aida.key)
    with refuses(world, NotEnrolled, key=canteen.purse.public):
        transfer(world, [token], [in_purse(canteen, 900, purpose)], aida.key)
    stranger = world.customer("stranger", merchant=CANTEEN, enrol=False)
    with refuses(world, NotEnrolled, key=stranger.key.public):
        transfer(world, [token], [out(stranger, 900, purpose)], aida.key)
    revoked = world.customer("revoked", merchant=CANTEEN)
    revoke(world, revoked, wallet_id(world, revoked))
    with refuses(world, CertificateRevoked, key=revoked.key.public):
        transfer(world, [token], [out(revoked, 900, purpose)], aida.key)
    certified(world, canteen, Merchant(CANTEEN.bin, "5813", CANTEEN.kato), in_the_purse=False)
    with refuses(world, PurposeRefused, condition="payee_mcc"):
        transfer(world, [token], [out(canteen, 900, purpose)], aida.key)
    certified(world, canteen, CANTEEN, in_the_purse=False, days=1)
    world.now_s += DAY_S
    with refuses(world, CertificateExpired, key=canteen.key.public):
        transfer(world, [token], [out(canteen, 900, purpose)], aida.key)


def test_a_payee_whose_bank_is_dismissed_is_vouched_for_by_nobody(world: World, aida: Customer) -> None:
    sponsor, purpose = programme(world, condition=GOOD)
    token, free = grant(world, sponsor, purpose, aida, 900), world.fund(aida, 900)
    canteen = world.customer("canteen", "kumis", merchant=CANTEEN)
    dismiss(world, "kumis")
    with refuses(world, CertificateRevoked, key=canteen.key.public, bank="kumis"):
        transfer(world, [token], [out(canteen, 900, purpose)], aida.key)
    transfer(world, [free], [out(canteen, 900)], aida.key)


def test_offline_a_payee_certificate_is_checked_for_more_than_its_issuer(world: World, aida: Customer) -> None:
    sponsor, purpose = programme(world, condition=GOOD)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)

    def pay(payee: Customer, **terms: object) -> bytes:
        return world.payment(aida, payee, (leaf,), (in_purse(payee, 900, purpose),), **terms)

    for name, (merchant, tier, condition) in ATTRIBUTES.items():
        payee = world.customer(f"payee with {name}", merchant=merchant, tier=tier)
        with refuses(world, PurposeRefused, condition=condition):
            world.reconcile(pay(payee))
    canteen, bar = world.customer("canteen", merchant=CANTEEN), world.customer("bar")
    ids = {customer.name: customer.certificate(world.network).id for customer in (canteen, bar)}
    with refuses(world, WrongPayee):
        world.reconcile(pay(bar, payee_certificate=ids["canteen"]))
    with refuses(world, WrongPayee):
        world.reconcile(pay(canteen, payee_certificate=ids["bar"]))
    with refuses(world, WrongPayee):
        world.reconcile(pay(canteen, payee_certificate=wallet_id(world, canteen)))
    stranger = world.customer("stranger", merchant=CANTEEN, enrol=False)
    with refuses(world, NotEnrolled):
        world.reconcile(pay(stranger))
    soon = certified(world, canteen, CANTEEN, in_the_purse=True, days=1)
    world.now_s += DAY_S
    with refuses(world, CertificateExpired, account="altyn/canteen"):
        world.reconcile(pay(canteen, payee_certificate=soon))
    world.reconcile(pay(canteen, payee_certificate=ids["canteen"]))
    assert world.live_tiyn(canteen.purse.public) == 900


@pytest.mark.parametrize("how", ["revoked", "its bank dismissed"])
def test_offline_a_payee_who_knew_that_he_was_denied_gets_nothing_marked(
    world: World, aida: Customer, how: str
) -> None:
    """His own trust list said so, and it stands in the invoice: its payer could know, and he did."""
    sponsor, purpose = sponsored(world)
    canteen = world.customer("canteen", "kumis", merchant=CANTEEN)
    marked = [
        load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
        for _ in range(2)
    ]
    free = world.load(aida, 900)
    outputs = (in_purse(canteen, 900, purpose),)
    before = world.payment(aida, canteen, (marked[0],), outputs)
    if how == "revoked":
        revoke(world, canteen)
    else:
        dismiss(world, "kumis")
    world.now_s += 1
    after = world.payment(aida, canteen, (marked[1],), outputs)
    with refuses(world, CertificateRevoked, revoked_at_s=NOW_S, payee=canteen.certificate(world.network).id):
        world.reconcile(after)
    world.reconcile(before, world.payment(aida, canteen, (free,), (in_purse(canteen, 900),)))
    assert (world.live_tiyn(canteen.purse.public), world.live_tiyn(aida.purse.public)) == (1_800, 900)


def test_an_honest_holder_behind_a_denied_payee_is_paid(world: World, aida: Customer, dana: Customer) -> None:
    """He heard of it from nobody: as behind a revoked payer, the acceptor bears it."""
    world.set_reserve("altyn", 2_000)
    sponsor, purpose = sponsored(world)
    canteen = world.customer("canteen", merchant=CANTEEN)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    revoke(world, canteen)
    world.now_s += 1
    faulty = world.payment(aida, canteen, (leaf,), (in_purse(canteen, 900, purpose),))
    onward = world.payment(canteen, dana, (paid(world, faulty),), (in_purse(dana, 900),), hop=2, trust_list_s=NOW_S)
    delta = world.reconcile(faulty, onward)
    assert [type(error) for _, error in delta.refused] == [CertificateRevoked]
    assert (world.live_tiyn(dana.purse.public), world.live_tiyn(aida.purse.public)) == (900, 900)
    assert (debt_of(world, canteen), debt_of(world, aida)) == (900, 0)


def test_a_denied_purse_takes_a_release_back(world: World, aida: Customer, bolat: Customer) -> None:
    """It is no payment: the money was his, and comes back to him under its mark."""
    sponsor, purpose = programme(world, mark=Keeps())
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    payment = world.payment(aida, bolat, (leaf,), (in_purse(bolat, 900, purpose),))
    world.reconcile(payment)
    revoke(world, aida)
    world.now_s += 1
    name = paid(world, payment)
    release = world.payment(bolat, aida, (name,), (in_purse(aida, 900, purpose),), hop=0, invoice_id=name[:32])
    world.reconcile(release)
    assert mark_of(world, paid(world, release)) == (purpose, None)
