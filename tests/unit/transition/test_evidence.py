"""Reconcile: what counts as evidence of an offline payment, what is refused, and that order never matters."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from itertools import pairwise, permutations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbdc.errors import (
    AmountMismatch,
    AncestryBroken,
    CertificateExpired,
    CertificateRevoked,
    Expired,
    LimitHops,
    LimitPayment,
    LimitSpends,
    Malformed,
    NotEnrolled,
    NotOwner,
    PurposeMismatch,
    PurposeRefused,
    Replayed,
    RoleRefused,
    TengeError,
    TooLate,
    TrustListStale,
    WrongPayee,
)
from cbdc.formats.kinds import Kind
from cbdc.messages import bodies
from cbdc.messages.message import build, decode, verify
from cbdc.policy import DAY_S, Policy
from cbdc.state.records import Table
from tests.support import LIMITS, NOW_S, YEAR_S, Customer, World
from tests.unit.helpers import (
    CANTEEN,
    EXPIRY_S,
    HOUR_S,
    STRANGER,
    debt_of,
    grant,
    in_purse,
    load,
    out,
    paid,
    pay,
    refuses,
    renew_purse,
    reserve_of,
    revoke,
    sponsored,
    sweep,
    unload,
    wallet_id,
)

POLICY = Policy()


# --- what counts -------------------------------------------------------------------------------


def test_a_payment_moves_the_value(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    payment = pay(world, aida, bolat, leaf, 600, 300)
    delta = world.reconcile(payment)
    assert (delta.refused, delta.known) == ((), 0)
    assert (world.live_tiyn(aida.purse.public), world.live_tiyn(bolat.purse.public)) == (300, 600)
    spent = world.leaf(leaf)
    assert spent is not None
    assert spent.spenders == [world.message_id(payment)]


def test_a_payment_may_come_alone(world: World, aida: Customer, bolat: Customer) -> None:
    world.submit(pay(world, aida, bolat, world.load(aida, 900), 900))
    assert world.live_tiyn(bolat.purse.public) == 900


def test_change_is_no_hop_and_deadlines_are_kept(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    loaded = world.leaf(leaf)
    payment = pay(world, aida, bolat, leaf, 600, 300)
    world.now_s += DAY_S
    world.reconcile(payment)
    received, change = world.leaf(paid(world, payment, 0)), world.leaf(paid(world, payment, 1))
    assert loaded is not None
    assert received is not None
    assert received.paid is not None
    assert received.paid[1:] == [None, 600, None]
    assert replace(received, paid=None) == replace(loaded, owner=bolat.purse.public, amount_tiyn=600, hops=1)
    assert change == replace(loaded, amount_tiyn=300)


def test_a_merge_takes_the_highest_hop_and_the_earliest_deadlines(
    world: World, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    early = world.load(aida, 600)
    first = pay(world, aida, bolat, early, 600)
    world.now_s += HOUR_S
    late = world.load(bolat, 300)
    second = world.payment(bolat, dana, (paid(world, first), late), (in_purse(dana, 900),), hop=2)
    world.reconcile(first, second)
    merged, loaded = world.leaf(paid(world, second)), world.leaf(early)
    assert merged is not None
    assert loaded is not None
    assert (merged.hops, merged.spend_until_s, merged.final_at_s) == (2, loaded.spend_until_s, loaded.final_at_s)


def chain(world: World, *customers: Customer, amount_tiyn: int = 900) -> list[bytes]:
    """One token handed on from the first customer to the last; not reconciled yet."""
    name = world.load(customers[0], amount_tiyn)
    payments = []
    for hop, (payer, payee) in enumerate(pairwise(customers), start=1):
        payments.append(pay(world, payer, payee, name, amount_tiyn, hop=hop))
        name = paid(world, payments[-1])
    return payments


def test_a_chain_may_come_backwards(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    delta = world.reconcile(*reversed(chain(world, aida, bolat, dana)))
    assert delta.refused == ()
    assert world.live_tiyn(dana.purse.public) == 900


def test_a_marked_payment_clears_at_the_canteen(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    canteen = world.customer("canteen", merchant=CANTEEN)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    outputs = (in_purse(canteen, 600, purpose), in_purse(aida, 300, purpose))
    payment = world.payment(aida, canteen, (leaf,), outputs)
    world.reconcile(payment)
    received, change = world.leaf(paid(world, payment, 0)), world.leaf(paid(world, payment, 1))
    assert received is not None
    assert change is not None
    assert (received.purpose, change.purpose) == (None, purpose)


def test_evidence_of_before_the_expiry_counts_after_it(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    canteen = world.customer("canteen", merchant=CANTEEN)
    token = grant(world, sponsor, purpose, aida, 900)
    world.now_s = EXPIRY_S - DAY_S
    leaf = load(world, [token], [in_purse(aida, 900, purpose)], aida.key)
    payment = world.payment(aida, canteen, (leaf,), (in_purse(canteen, 900, purpose),))
    world.now_s = EXPIRY_S + DAY_S
    world.reconcile(payment)
    assert world.live_tiyn(canteen.purse.public) == 900


# --- known and refused -------------------------------------------------------------------------


def test_known_evidence_is_told(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    first, second = chain(world, aida, bolat, dana)
    world.reconcile(first)
    assert world.reconcile(first, second).known == 1


def test_the_very_same_evidence_is_replayed(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    """Also once a part that it brought too early would count: that part comes again in another message."""
    early, good = chain(world, aida, bolat, dana), pay(world, aida, bolat, world.load(aida, 500), 500)
    raw = build(Kind.RECONCILE, bodies.Reconcile((good, early[1])), [], world.network)
    handed_in = world.submit(raw)
    for _ in range(2):
        with refuses(world, Replayed, id=handed_in):
            world.submit(raw)
        with suppress(Replayed):
            world.reconcile(early[0])
    assert world.reconcile(early[1]).refused == ()
    assert world.live_tiyn(dana.purse.public) == 900


def test_refused_evidence_was_not_handed_in(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    first, second = chain(world, aida, bolat, dana)
    with refuses(world, AncestryBroken):
        world.reconcile(second)
    world.reconcile(first)
    world.reconcile(second)
    assert world.live_tiyn(dana.purse.public) == 900


@pytest.mark.parametrize("times", [2, 3])
def test_evidence_without_news_is_replayed(world: World, aida: Customer, bolat: Customer, times: int) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    world.reconcile(payment)
    with refuses(world, Replayed, payments=times):
        world.reconcile(*[payment] * times)


def test_known_evidence_in_other_groups_is_replayed(
    world: World, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    first, second = chain(world, aida, bolat, dana)
    world.reconcile(first, second)
    for group in ((second, first), (first,), (second,), (first, second, first)):
        with refuses(world, Replayed, payments=len(group)):
            world.reconcile(*group)


def test_a_reconcile_is_noted_with_what_it_brought(world: World, aida: Customer, bolat: Customer) -> None:
    """The note is what finds the receipt again; it is no part of the state."""
    leaf = world.load(aida, 900)
    payment = pay(world, aida, bolat, leaf, 900)
    raw = build(Kind.RECONCILE, bodies.Reconcile((payment, pay(world, aida, bolat, bytes(34), 1))), [], world.network)
    delta = world.apply(verify(decode(raw, world.network)))
    assert len(delta.refused) == 1
    carried = [(world.message_id(raw), world.message_id(raw)), (leaf, world.message_id(payment))]
    assert sorted(delta.consumed) == sorted(carried)
    assert not any(name == world.message_id(raw) for _, name in delta.changes)


def test_a_payment_alone_is_noted_by_its_inputs(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    payment = pay(world, aida, bolat, leaf, 900)
    world.submit(payment)
    assert world.last is not None
    assert world.last.consumed == ((leaf, world.message_id(payment)),)


def test_a_payment_twice_in_one_reconcile_counts_once(world: World, aida: Customer, bolat: Customer) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    delta = world.reconcile(payment, payment)
    assert (delta.known, delta.refused) == (1, ())
    assert world.live_tiyn(bolat.purse.public) == 900


def test_a_refused_payment_does_not_spoil_the_others(world: World, aida: Customer, bolat: Customer) -> None:
    good = pay(world, aida, bolat, world.load(aida, 900), 900)
    bad = pay(world, aida, bolat, bytes(34), 100)
    delta = world.reconcile(bad, good)
    ((refused, error),) = delta.refused
    assert (refused, type(error)) == (world.message_id(bad), AncestryBroken)
    assert world.live_tiyn(bolat.purse.public) == 900


def test_what_a_refused_payment_paid_is_unknown(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    bad = pay(world, aida, bolat, world.load(aida, 900), 900, hop=2)
    later = pay(world, bolat, dana, paid(world, bad), 900, hop=2)
    with refuses(world, AncestryBroken, found=2, wanted=1):
        world.reconcile(later, bad)


# --- every guard -------------------------------------------------------------------------------

Forge = Callable[[World, Customer, Customer, bytes], bytes]


def _without_terms(world: World, aida: Customer, bolat: Customer, leaf: bytes) -> bytes:
    body = bodies.Transfer((leaf,), (in_purse(bolat, 900),), NOW_S)
    return build(Kind.TRANSFER, body, [aida.purse], world.network)


def _valid_until(world: World, aida: Customer, bolat: Customer, leaf: bytes, until_s: int) -> bytes:
    body = decode(pay(world, aida, bolat, leaf, 900), world.network).body
    return build(Kind.TRANSFER, replace(body, valid_until_s=until_s), [aida.purse], world.network)


REFUSED: dict[str, tuple[type[TengeError], Forge]] = {
    "online transfer": (Malformed, _without_terms),
    "payer is a wallet": (NotEnrolled, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, signer=a.key)),
    "payer is nobody": (NotEnrolled, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, signer=STRANGER)),
    "unknown payer certificate": (
        NotEnrolled,
        lambda w, a, b, leaf: pay(w, a, b, leaf, 900, payer_certificate=leaf[:32]),
    ),
    "payer's certificate is a wallet's": (
        NotOwner,
        lambda w, a, b, leaf: pay(w, a, b, leaf, 900, payer_certificate=wallet_id(w, a)),
    ),
    "another payer's certificate": (
        NotOwner,
        lambda w, a, b, leaf: pay(w, a, b, leaf, 900, payer_certificate=w.customer("c").certificate(w.network).id),
    ),
    "another payer's purse": (NotOwner, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, signer=w.customer("c").purse)),
    "unknown payee": (NotEnrolled, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, payee_certificate=bytes(32))),
    "payee is a wallet": (
        WrongPayee,
        lambda w, a, b, leaf: pay(w, a, b, leaf, 900, payee_certificate=wallet_id(w, b)),
    ),
    "pays itself": (WrongPayee, lambda w, a, b, leaf: pay(w, a, a, leaf, 900)),
    "third party": (
        WrongPayee,
        lambda w, a, b, leaf: w.payment(a, b, (leaf,), (in_purse(b, 600), out(STRANGER.public, 300))),
    ),
    "another's token": (NotOwner, lambda w, a, b, leaf: pay(w, b, a, leaf, 900)),
    "unknown token": (AncestryBroken, lambda w, a, b, leaf: pay(w, a, b, bytes(34), 900)),
    "too much": (AmountMismatch, lambda w, a, b, leaf: pay(w, a, b, leaf, 901)),
    "too little": (AmountMismatch, lambda w, a, b, leaf: pay(w, a, b, leaf, 899)),
    "marked out of free": (
        PurposeMismatch,
        lambda w, a, b, leaf: w.payment(a, b, (leaf,), (in_purse(b, 900, bytes(32)),)),
    ),
    "wrong hop": (AncestryBroken, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, hop=2)),
    "too many spends": (LimitSpends, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, spends=LIMITS.spends + 1)),
    "time to come": (Malformed, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, ledger_time_s=NOW_S + 1)),
    "trust list to come": (Malformed, lambda w, a, b, leaf: pay(w, a, b, leaf, 900, trust_list_s=NOW_S + 1)),
    "trust list newer than the ledger time": (
        Malformed,
        lambda w, a, b, leaf: pay(w, a, b, leaf, 900, ledger_time_s=NOW_S - 1),
    ),
    "no longer valid": (Expired, lambda w, a, b, leaf: _valid_until(w, a, b, leaf, NOW_S - 1)),
    "stale trust list": (
        TrustListStale,
        lambda w, a, b, leaf: pay(w, a, b, leaf, 900, trust_list_s=NOW_S - POLICY.trust_list_days * DAY_S - 1),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(world: World, aida: Customer, bolat: Customer, case: str) -> None:
    error, forge = REFUSED[case]
    payment = forge(world, aida, bolat, world.load(aida, 900))
    with refuses(world, error):
        world.reconcile(payment)


def test_a_payment_is_signed_by_one_purse(world: World, aida: Customer, bolat: Customer) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    body = decode(payment, world.network).body
    joint = build(Kind.TRANSFER, body, [aida.purse, STRANGER], world.network)
    with refuses(world, RoleRefused, found=2):
        world.submit(joint)
    with refuses(world, Malformed, found=2):
        world.reconcile(joint)


def test_a_payment_counts_up_to_its_last_second(world: World, aida: Customer, bolat: Customer) -> None:
    world.reconcile(_valid_until(world, aida, bolat, world.load(aida, 900), NOW_S))
    assert world.live_tiyn(bolat.purse.public) == 900


@pytest.mark.parametrize("part", ["online transfer", "issue"])
def test_evidence_is_payments_only(world: World, aida: Customer, bolat: Customer, part: str) -> None:
    """The decoder sees to it already; the transition does not rely on that."""
    raw = {
        "online transfer": _without_terms(world, aida, bolat, world.load(aida, 900)),
        "issue": world.governor.issue(world.banks["altyn"].public, 100, world.nonce()),
    }[part]
    message = verify(decode(raw, world.network))
    with refuses(world, Malformed):
        world.apply(replace(message, kind=Kind.RECONCILE, body=bodies.Reconcile((raw,)), parts=(message,)))


def test_a_payment_keeps_below_the_limit(world: World, aida: Customer, bolat: Customer) -> None:
    limit = LIMITS.payment_tiyn
    leaf = world.load(aida, limit + 2)
    with refuses(world, LimitPayment, found=limit + 1, limit=limit):
        world.reconcile(pay(world, aida, bolat, leaf, limit + 1, 1))
    world.reconcile(pay(world, aida, bolat, leaf, limit, 2))
    assert world.live_tiyn(bolat.purse.public) == limit


def test_money_travels_five_hops(world: World) -> None:
    customers = [world.customer(f"c{number}") for number in range(LIMITS.hops + 2)]
    payments = chain(world, *customers)
    world.reconcile(*payments[:-1])
    with refuses(world, LimitHops, found=LIMITS.hops + 1, limit=LIMITS.hops):
        world.reconcile(payments[-1])


@pytest.mark.parametrize("whose", ["payer", "payee"])
def test_both_certificates_were_valid(world: World, whose: str) -> None:
    expired = world.customer("expired")
    world.now_s += YEAR_S - 10 * DAY_S
    fresh = world.customer("fresh")
    payer, payee = (expired, fresh) if whose == "payer" else (fresh, expired)
    leaf = world.load(payer, 900)
    world.now_s += 10 * DAY_S
    with refuses(world, CertificateExpired, account="altyn/expired"):
        world.reconcile(pay(world, payer, payee, leaf, 900, ledger_time_s=NOW_S + YEAR_S))


def test_a_token_is_spent_until_its_day(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    until_s = NOW_S + POLICY.offline_spend_days * DAY_S
    world.now_s = until_s + 1
    with refuses(world, Expired, found=until_s + 1, limit=until_s):
        world.reconcile(pay(world, aida, bolat, leaf, 900))
    world.reconcile(pay(world, aida, bolat, leaf, 900, ledger_time_s=until_s, trust_list_s=until_s))
    assert world.live_tiyn(bolat.purse.public) == 900


def test_evidence_has_its_deadline(world: World, aida: Customer, bolat: Customer) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    world.now_s += POLICY.offline_final_days * DAY_S
    with refuses(world, TooLate, limit=world.now_s):
        world.reconcile(payment)
    world.now_s -= 1
    world.reconcile(payment)
    assert world.live_tiyn(bolat.purse.public) == 900


def test_a_condition_refuses_the_payee(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = sponsored(world)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    with refuses(world, PurposeRefused, condition="payee_mcc"):
        world.reconcile(world.payment(aida, bolat, (leaf,), (in_purse(bolat, 900, purpose),)))


def test_a_mark_is_not_washed_off_offline(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = sponsored(world)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    with refuses(world, PurposeMismatch):
        world.reconcile(pay(world, aida, bolat, leaf, 900))


# --- renewed certificates ----------------------------------------------------------------------


def test_a_payment_is_judged_under_the_certificate_that_it_names(world: World, aida: Customer, bolat: Customer) -> None:
    old = aida.certificate(world.network).id
    new = renew_purse(world, aida, limits=replace(LIMITS, payment_tiyn=500))
    leaf = world.load(aida, 900)
    with refuses(world, LimitPayment, found=600, limit=500):
        world.reconcile(pay(world, aida, bolat, leaf, 600, 300, payer_certificate=new))
    world.reconcile(pay(world, aida, bolat, leaf, 600, 300, payer_certificate=old))
    assert world.live_tiyn(bolat.purse.public) == 600


def test_an_expired_certificate_is_not_mended_by_its_renewal(world: World, aida: Customer) -> None:
    old = aida.certificate(world.network).id
    world.now_s += YEAR_S - DAY_S
    bolat = world.customer("bolat")
    new = renew_purse(world, aida)
    leaf = world.load(aida, 900)
    world.now_s += DAY_S
    with refuses(world, CertificateExpired, account="altyn/aida"):
        world.reconcile(pay(world, aida, bolat, leaf, 900, payer_certificate=old))
    world.reconcile(pay(world, aida, bolat, leaf, 900, payer_certificate=new))
    assert world.live_tiyn(bolat.purse.public) == 900


@pytest.mark.parametrize("named", ["old", "new"])
@pytest.mark.parametrize("denied", ["old", "new"])
def test_a_revoked_purse_pays_under_none_of_its_certificates(
    world: World, aida: Customer, bolat: Customer, named: str, denied: str
) -> None:
    ids = {"old": aida.certificate(world.network).id, "new": renew_purse(world, aida)}
    leaf = world.load(aida, 900)
    revoke(world, aida, ids[denied])
    world.now_s += 1
    with refuses(world, CertificateRevoked, revoked_at_s=NOW_S, trust_list_s=NOW_S + 1):
        world.reconcile(pay(world, aida, bolat, leaf, 900, payer_certificate=ids[named]))


def test_a_fork_denies_every_certificate_of_its_purse(world: World, aida: Customer, bolat: Customer) -> None:
    ids = [aida.certificate(world.network).id, renew_purse(world, aida)]
    leaf = world.load(aida, 900)
    payees = (bolat, world.customer("dana"))
    world.reconcile(
        *[pay(world, aida, payee, leaf, 900, payer_certificate=name) for payee, name in zip(payees, ids, strict=True)]
    )
    assert all((Table.DENIED, name) in world.view.records() for name in ids)
    assert debt_of(world, aida) == 900


# --- revocation --------------------------------------------------------------------------------


def test_a_payee_who_could_not_know_is_paid(world: World, aida: Customer, bolat: Customer) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    world.now_s += HOUR_S
    revoke(world, aida)
    world.now_s += POLICY.trust_list_days * DAY_S
    world.reconcile(payment)
    assert world.live_tiyn(bolat.purse.public) == 900


def test_a_payee_who_synced_too_late_is_not(world: World, aida: Customer, bolat: Customer) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    world.now_s += HOUR_S
    revoke(world, aida)
    until_s = world.now_s + POLICY.trust_list_days * DAY_S
    world.now_s = until_s + 1
    with refuses(world, CertificateRevoked, until_s=until_s):
        world.reconcile(payment)


def test_a_payee_who_could_know_is_not_paid(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    revoke(world, aida)
    world.now_s += 1
    with refuses(world, CertificateRevoked, revoked_at_s=NOW_S, trust_list_s=NOW_S + 1):
        world.reconcile(pay(world, aida, bolat, leaf, 900))


def set_list_days(world: World, days: int) -> None:
    world.submit(world.governor.set_policy(replace(POLICY, trust_list_days=days), world.nonce()))


def test_a_list_that_was_young_enough_that_day_stays_so(world: World, aida: Customer, bolat: Customer) -> None:
    """Policy changes after the payment take nothing from its payee, however often it changes."""
    leaf = world.load(aida, 900)
    world.now_s += 2 * DAY_S
    payment = pay(world, aida, bolat, leaf, 900, trust_list_s=NOW_S)
    for days in (2, 1):
        world.now_s += 0 if days == 2 else 1
        set_list_days(world, days)
    world.reconcile(payment)
    assert world.live_tiyn(bolat.purse.public) == 900


def test_a_list_too_old_by_the_policy_of_its_day_is_refused(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    world.now_s += 2 * DAY_S
    set_list_days(world, 1)
    world.now_s += 1
    with refuses(world, TrustListStale):
        world.reconcile(pay(world, aida, bolat, leaf, 900, trust_list_s=NOW_S))


@pytest.mark.parametrize("late_s", [0, 1])
def test_a_lower_policy_shortens_no_deadline_of_before(
    world: World, aida: Customer, bolat: Customer, late_s: int
) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    revoke(world, aida)
    set_list_days(world, 1)
    world.now_s += POLICY.trust_list_days * DAY_S + late_s
    if late_s:
        with refuses(world, CertificateRevoked):
            world.reconcile(payment)
        return
    world.reconcile(payment)
    assert world.live_tiyn(bolat.purse.public) == 900


def test_void_money_stays_void_under_a_longer_policy(
    world: World, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    """Once somebody is paid behind it: the same value would be made a second time, and what was spent be live again."""
    world.set_reserve("altyn", 5_000)
    faulty = pay(world, aida, bolat, world.load(aida, 900), 600, 300)
    onward = handed_on(world, faulty, bolat, dana, 600)
    revoke(world, aida)
    world.now_s += POLICY.trust_list_days * DAY_S + 1
    world.reconcile(faulty, onward)
    set_list_days(world, 7)
    with refuses(world, CertificateRevoked, id=world.message_id(faulty)):
        world.reconcile(faulty)
    with refuses(world, Replayed):
        world.reconcile(onward)
    assert [world.live_tiyn(person.purse.public) for person in (aida, bolat, dana)] == [900, 0, 600]
    assert debt_of(world, bolat) == 600


# --- rule 5: an acceptor at fault, and the honest holders behind him ----------------------------


def at_fault(world: World, aida: Customer, bolat: Customer, amount_tiyn: int = 900) -> tuple[bytes, bytes]:
    """A leaf of a revoked purse, and its payment to an acceptor who could have known; neither is shown yet."""
    leaf = world.load(aida, amount_tiyn)
    revoke(world, aida)
    world.now_s += 1
    return leaf, pay(world, aida, bolat, leaf, amount_tiyn)


def handed_on(
    world: World,
    payment: bytes,
    payer: Customer,
    payee: Customer,
    amount_tiyn: int,
    change_tiyn: int = 0,
    **terms: object,
) -> bytes:
    """The acceptor of ``payment`` pays with what it gave him, at hop 2."""
    return pay(world, payer, payee, paid(world, payment), amount_tiyn, change_tiyn, hop=2, **terms)


def test_an_honest_holder_behind_an_acceptor_at_fault_is_paid(
    world: World, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    world.set_reserve("altyn", 5_000)
    leaf, faulty = at_fault(world, aida, bolat)
    delta = world.reconcile(handed_on(world, faulty, bolat, dana, 600, 300), faulty)
    assert [(name, type(error)) for name, error in delta.refused] == [(world.message_id(faulty), CertificateRevoked)]
    assert world.live_tiyn(dana.purse.public) == 600
    # the value is the acceptor's debt, and what he still holds of it is seized
    assert debt_of(world, bolat) == 900 - 300
    assert reserve_of(world, "altyn").reserve_tiyn == 5_000 - 600
    # the revoked purse's own token is untouched: its owner gets it back at final_at
    assert world.live_tiyn(aida.purse.public) == 900
    assert not debt_of(world, aida)
    kept = world.leaf(leaf)
    assert kept is not None
    assert kept.spenders == []


def test_a_payment_at_fault_alone_leaves_no_trace(world: World, aida: Customer, bolat: Customer) -> None:
    _, faulty = at_fault(world, aida, bolat)
    with refuses(world, CertificateRevoked):
        world.reconcile(faulty)
    assert world.leaf(paid(world, faulty)) is None


def test_the_holder_behind_needs_the_payment_at_fault_as_ancestry(
    world: World, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    _, faulty = at_fault(world, aida, bolat)
    with refuses(world, AncestryBroken):
        world.reconcile(handed_on(world, faulty, bolat, dana, 900))


def test_payments_behind_an_acceptor_at_fault_in_every_order() -> None:
    roots = set()
    for order in permutations(range(4)):
        world = World.founded("altyn", "kumis")
        aida, bolat, dana = (world.customer(name) for name in ("aida", "bolat", "dana"))
        world.set_reserve("altyn", 5_000)
        _, faulty = at_fault(world, aida, bolat)
        first = handed_on(world, faulty, bolat, dana, 600, 300)
        again = handed_on(world, faulty, bolat, dana, 900, salt="again")
        onward = pay(world, dana, bolat, paid(world, first), 600, hop=3)
        groups = [[faulty, first], [faulty, again], [faulty, first, onward], [faulty]]
        for index in order:
            with suppress(CertificateRevoked, Replayed):
                world.reconcile(*groups[index])
        roots.add(world.root())
        assert world.live_tiyn(bolat.purse.public) + world.live_tiyn(dana.purse.public) == 1_800
        # void money spent twice, less his seized leaves of 300 and 600, and less what dana accepted of both spends
        assert debt_of(world, bolat) == 1_800 - 900 - 600
    assert len(roots) == 1


def way_back(world: World, faulty: bytes, acceptor: Customer, payer: Customer, how: str, **terms: object) -> bytes:
    """The acceptor of a payment at fault gives all of it back to its payer."""
    if how == "release":
        return pay(world, acceptor, payer, paid(world, faulty), 900, invoice_id=world.message_id(faulty), hop=0)
    return handed_on(world, faulty, acceptor, payer, 900, **terms)


WAYS_BACK = pytest.mark.parametrize(("how", "hops"), [("payment", 2), ("release", 0)])


@WAYS_BACK
def test_void_money_does_not_become_good_on_its_way_back(
    world: World, aida: Customer, bolat: Customer, how: str, hops: int
) -> None:
    """aida's leaf was never spent: she would have the value twice. Nor does it for bolat, who gave it back."""
    _, faulty = at_fault(world, aida, bolat)
    back = way_back(world, faulty, bolat, aida, how)
    with refuses(world, CertificateRevoked):
        world.reconcile(faulty, back)
    again = pay(world, aida, bolat, paid(world, back), 900, hop=hops + 1, trust_list_s=NOW_S)
    with refuses(world, CertificateRevoked):
        world.reconcile(faulty, back, again)
    assert (world.live_tiyn(aida.purse.public), debt_of(world, bolat)) == (900, 0)


@WAYS_BACK
def test_an_honest_holder_behind_a_way_back_is_paid(
    world: World, aida: Customer, bolat: Customer, dana: Customer, how: str, hops: int
) -> None:
    """He could not see it, and came in time: the one who passed the void money on bears it, out of what she has."""
    world.set_reserve("altyn", 5_000)
    _, faulty = at_fault(world, aida, bolat)
    back = way_back(world, faulty, bolat, aida, how)
    onward = pay(world, aida, dana, paid(world, back), 900, hop=hops + 1, trust_list_s=NOW_S)
    world.reconcile(faulty, back, onward)
    assert [world.live_tiyn(person.purse.public) for person in (aida, bolat, dana)] == [900, 0, 900]
    assert [debt_of(world, person) for person in (aida, bolat, dana)] == [0, 0, 0]  # aida's own leaf is seized
    assert reserve_of(world, "altyn").reserve_tiyn == 5_000
    world.now_s = NOW_S + POLICY.offline_final_days * DAY_S
    assert sweep(world, *leaves_of(world, aida))
    assert world.online_tiyn(aida.key.public) == 0


def test_void_money_that_comes_back_is_known_by_its_purses_key(world: World, aida: Customer, bolat: Customer) -> None:
    """A renewed certificate of the purse that paid it is the same purse."""
    leaf, before = world.load(aida, 900), aida.certificate(world.network).id
    renewed = renew_purse(world, aida)
    world.now_s += 1
    revoke(world, aida, renewed)
    world.now_s += 1
    faulty = pay(world, aida, bolat, leaf, 900, payer_certificate=before)
    back = way_back(world, faulty, bolat, aida, "payment", payee_certificate=renewed)
    with refuses(world, CertificateRevoked):
        world.reconcile(faulty, back)
    assert world.live_tiyn(aida.purse.public) == 900


def test_void_money_does_not_come_back_by_another_acceptor_at_fault(
    world: World, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    _, faulty = at_fault(world, aida, bolat)
    revoke(world, bolat)
    world.now_s += 1
    second = handed_on(world, faulty, bolat, dana, 900)
    with refuses(world, CertificateRevoked):
        world.reconcile(faulty, second, pay(world, dana, aida, paid(world, second), 900, hop=3))


def test_ways_back_in_every_order() -> None:
    """The evidence of two who hold void money by the same way back, and of one behind its acceptor."""
    roots = set()
    for order in permutations(range(4)):
        world = World.founded("altyn", "kumis")
        aida, bolat, dana, erlan = (world.customer(name) for name in ("aida", "bolat", "dana", "erlan"))
        world.set_reserve("altyn", 5_000)
        _, faulty = at_fault(world, aida, bolat)
        back = way_back(world, faulty, bolat, aida, "payment")
        onward = [
            pay(world, aida, payee, paid(world, back), 900, hop=3, trust_list_s=NOW_S, salt=payee.name)
            for payee in (dana, erlan)
        ]
        beside = handed_on(world, faulty, bolat, dana, 900)
        groups = [[faulty, back, onward[0]], [onward[1], back, faulty], [faulty, beside], [back, faulty]]
        for index in order:
            with suppress(CertificateRevoked, Replayed):
                world.reconcile(*groups[index])
        roots.add(world.root())
        assert [world.live_tiyn(person.purse.public) for person in (aida, bolat, dana, erlan)] == [900, 0, 1_800, 900]
        assert [debt_of(world, person) for person in (aida, bolat)] == [1_800 - 900, 900]
    assert len(roots) == 1


def leaves_of(world: World, customer: Customer) -> list[bytes]:
    """The names of a purse's live leaves."""
    leaves = [key[1] for key in world.view.records() if key[0] is Table.OFFLINE]
    found = ((name, world.leaf(name)) for name in leaves)
    return [name for name, leaf in found if leaf and leaf.is_live and leaf.owner == customer.purse.public]


def test_a_void_output_is_no_ones_to_unload_or_to_return(
    world: World, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    _, faulty = at_fault(world, aida, bolat)
    world.reconcile(faulty, handed_on(world, faulty, bolat, dana, 900))
    void = world.leaf(paid(world, faulty))
    assert void is not None
    assert void.void
    assert not void.is_live
    world.now_s = void.final_at_s
    with refuses(world, RoleRefused):
        sweep(world, paid(world, faulty))


def test_an_acceptor_of_forged_money_leaves_nothing_to_those_behind_him(
    world: World, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    """What shows in the bytes, everybody behind could see as well (rule 6): no one is paid for it."""
    leaf = world.load(aida, 900)
    revoke(world, aida)
    world.now_s += 1
    too_much = pay(world, aida, bolat, leaf, 950)
    with refuses(world, CertificateRevoked):
        world.reconcile(too_much, handed_on(world, too_much, bolat, dana, 950))


@pytest.mark.parametrize("age_s", [0, 1])
def test_a_list_of_the_revocations_second_counts_as_older(
    world: World, aida: Customer, bolat: Customer, age_s: int
) -> None:
    leaf = world.load(aida, 900)
    revoke(world, aida)
    world.reconcile(pay(world, aida, bolat, leaf, 900, trust_list_s=NOW_S - age_s))
    assert world.live_tiyn(bolat.purse.public) == 900


# --- order, grouping and duplicates change nothing ---------------------------------------------


Evidence = tuple[tuple[bytes, ...], ...]


def market(pause_s: int) -> tuple[World, Evidence]:
    """A world to start from, and evidence in it: each payment with its ancestors.

    It is ``pause_s`` old: at 0 every payee's trust list is of the very second in which the forks come to light.

    Aida's token is spent three times (by clones) and the change of one fork once more; Bolat forks what he got and
    pays the culprit herself; Erlan hands his share on. The reserves do not suffice.
    """
    world = World.founded("altyn", "kumis")
    aida, erlan = world.customer("aida"), world.customer("erlan")
    bolat, dana = world.customer("bolat", "kumis"), world.customer("dana", "kumis")
    world.set_reserve("altyn", 500)
    token = world.load(aida, 1000)
    to_bolat = pay(world, aida, bolat, token, 600, 400)
    to_erlan = pay(world, aida, erlan, token, 1000)
    received = paid(world, to_bolat)
    evidence = (
        (to_bolat,),
        (to_erlan,),
        (pay(world, aida, dana, token, 900, 100),),
        (to_bolat, pay(world, aida, dana, paid(world, to_bolat, 1), 400)),
        (to_bolat, pay(world, bolat, dana, received, 600, hop=2)),
        (to_bolat, pay(world, bolat, aida, received, 250, 350, hop=2)),
        (to_erlan, pay(world, erlan, bolat, paid(world, to_erlan), 700, 300, hop=2)),
    )
    world.now_s += pause_s
    return world, evidence


def settled(pause_s: int, groups: list[list[bytes]]) -> World:
    """The market after these reconciles; a group without news is no harm."""
    world, _ = market(pause_s)
    for group in groups:
        with suppress(Replayed):
            assert world.reconcile(*group).refused == ()
    return world


@pytest.fixture(scope="module", params=[0, HOUR_S], ids=["same second", "an hour later"])
def pause_s(request: pytest.FixtureRequest) -> int:
    return request.param


@pytest.fixture(scope="module")
def settled_at_once(pause_s: int) -> World:
    _, evidence = market(pause_s)
    return settled(pause_s, [list({payment: None for payments in evidence for payment in payments})])


def test_the_market_has_forks_and_debts(settled_at_once: World) -> None:
    assert reserve_of(settled_at_once, "altyn").excess_tiyn == 2000
    assert reserve_of(settled_at_once, "kumis").excess_tiyn == 600
    assert reserve_of(settled_at_once, "altyn").claims_tiyn == 2000 - 500 - 350


@settings(max_examples=25, deadline=None, derandomize=True)
@given(data=st.data())
def test_order_grouping_and_duplicates_change_nothing(
    pause_s: int, settled_at_once: World, data: st.DataObject
) -> None:
    _, evidence = market(pause_s)
    order = data.draw(st.permutations(range(len(evidence))))
    repeats = data.draw(st.lists(st.sampled_from(range(len(evidence))), max_size=4))
    groups: list[list[bytes]] = [[]]
    for number in [*order, *repeats]:
        if groups[-1] and data.draw(st.booleans()):
            groups.append([])
        groups[-1].extend(evidence[number])
    shuffled = [data.draw(st.permutations(group)) for group in groups]
    assert settled(pause_s, shuffled).root() == settled_at_once.root()


def test_three_spends_of_one_second_in_every_order() -> None:
    roots, debts = set(), set()
    for order in permutations(range(3)):
        world = World.founded("altyn", "kumis")
        world.set_reserve("altyn", 1000)
        aida, payees = world.customer("aida"), [world.customer(f"payee {n}", "kumis") for n in range(3)]
        leaf = world.load(aida, 900)
        payments = [pay(world, aida, payee, leaf, 600, 300, trust_list_s=world.now_s) for payee in payees]
        for number in order:
            assert world.reconcile(payments[number]).refused == ()
        roots.add(world.root())
        debts.add(debt_of(world, aida))
        assert [world.live_tiyn(payee.purse.public) for payee in payees] == [600] * 3
    assert (len(roots), debts) == (1, {2 * 900 - 3 * 300})


def test_an_unload_and_a_payment_of_one_leaf_are_a_fork(world: World, aida: Customer, bolat: Customer) -> None:
    world.set_reserve("altyn", 1000)
    leaf = world.load(aida, 900)
    payment = pay(world, aida, bolat, leaf, 900)
    world.now_s += HOUR_S
    unload(world, [leaf], [out(aida, 900)], aida.purse)
    world.reconcile(payment)
    assert (debt_of(world, aida), reserve_of(world, "altyn").reserve_tiyn) == (900, 100)
    assert world.live_tiyn(bolat.purse.public) == 900
