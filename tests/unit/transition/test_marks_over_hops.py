"""Marks on their way: they stay as long as their rule says, wherever the money goes, and nobody makes them."""

from __future__ import annotations

from itertools import pairwise

import pytest

from cbdc.errors import (
    NotOwner,
    NotSponsor,
    PurposeMismatch,
    PurposeRefused,
    TengeError,
)
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import outpoint
from cbdc.formats.x509 import Role
from cbdc.messages import bodies
from cbdc.policy import DAY_S, Policy
from cbdc.purposes.conditions import Any, Approval, Condition, Payee, PerPayment
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, MarkRule, UntilEvidence
from cbdc.state.records import Paid, Token
from tests.support import LATER_S, NOW_S, YEAR_S, Customer, World
from tests.unit.helpers import (
    ANYBODY,
    attest,
    debt_of,
    define,
    grant,
    hold_up,
    in_purse,
    load,
    mark_of,
    out,
    paid,
    paid_of,
    programme,
    refund,
    refuses,
    reserve_of,
    sweep,
    tokens_of,
    transfer,
    unload,
)

# --- online ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("mark", "lefts"),
    [
        (Clears(), [None, "free", "free", "free"]),
        (Keeps(), [None, None, None, None]),
        (UntilEvidence("registry"), [None, None, None, None]),
        (KeepsHops(1), [1, "free", "free", "free"]),
        (KeepsHops(2), [2, 1, "free", "free"]),
        (KeepsHops(3), [3, 2, 1, "free"]),
    ],
)
def test_a_mark_over_three_payments(
    world: World, aida: Customer, bolat: Customer, dana: Customer, mark: MarkRule, lefts: list[int | str | None]
) -> None:
    """Exact records after every payment; change at each one keeps what was there."""
    sponsor, purpose = programme(world, mark=mark)
    token, amount_tiyn = grant(world, sponsor, purpose, aida, 900), 900
    records = [None if left == "free" else (purpose, left) for left in lefts]
    assert world.token(token) == Token(aida.key.public, 900, purpose, mark.first_left)
    for before, after, payer, payee in zip(
        records[:-1], records[1:], (aida, bolat, dana), (bolat, dana, aida), strict=True
    ):
        drawn = before and before[0]
        outputs = [out(payee, amount_tiyn - 100, drawn), out(payer, 100, drawn)]
        token, change = transfer(world, [token], outputs, payer.key)
        amount_tiyn -= 100
        assert world.token(token) == Token(payee.key.public, amount_tiyn, *(after or (None, None)))
        assert world.token(change) == Token(payer.key.public, 100, *(before or (None, None)))
        written = Paid(payer.key.public, amount_tiyn, 0, before[1], NOW_S) if before else None
        assert paid_of(world, token[:32], purpose, payee) == written


def test_every_payee_of_a_kept_mark_is_asked_for(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    sponsor, purpose = programme(world, mark=KeepsHops(2), condition=Payee(("altyn/bolat", "altyn/dana")))
    token = grant(world, sponsor, purpose, aida, 900)
    (token,) = transfer(world, [token], [out(bolat, 900, purpose)], aida.key)
    with refuses(world, PurposeRefused, condition="payee"):
        transfer(world, [token], [out(aida, 900, purpose)], bolat.key)
    (token,) = transfer(world, [token], [out(dana, 900, purpose)], bolat.key)
    transfer(world, [token], [out(aida, 900)], dana.key)


def test_change_never_counts_however_often(world: World, aida: Customer) -> None:
    sponsor, purpose = programme(world, mark=KeepsHops(2))
    token = grant(world, sponsor, purpose, aida, 900)
    for _ in range(3):
        (token,) = transfer(world, [token], [out(aida, 900, purpose)], aida.key)
    assert mark_of(world, token) == (purpose, 2)


def test_a_merge_takes_the_smallest_number_left(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    sponsor, purpose = programme(world, mark=KeepsHops(3))
    (second,) = transfer(world, [grant(world, sponsor, purpose, aida, 500)], [out(bolat, 500, purpose)], aida.key)
    first = grant(world, sponsor, purpose, bolat, 400)
    names = transfer(world, [first, second], [out(dana, 800, purpose), out(bolat, 100, purpose)], bolat.key)
    assert [mark_of(world, name) for name in names] == [(purpose, 1), (purpose, 2)]
    assert paid_of(world, names[0][:32], purpose, dana) == Paid(bolat.key.public, 800, 0, 2, NOW_S)


def test_purposes_on_one_payment_keep_their_own_marks(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, keeps = programme(world, mark=Keeps())
    hops = define(world, sponsor, name="hops", mark=KeepsHops(2), condition=ANYBODY)
    clears = define(world, sponsor, name="clears", condition=ANYBODY)
    tokens = [*(grant(world, sponsor, purpose, aida, 100) for purpose in (keeps, hops, clears)), world.fund(aida, 100)]
    names = transfer(world, tokens, [out(bolat, 100, mark) for mark in (clears, None, hops, keeps)], aida.key)
    assert [mark_of(world, name) for name in names] == [(None, None), (None, None), (hops, 1), (keeps, None)]


def test_an_institution_that_was_paid_may_pay_on(world: World, aida: Customer, bolat: Customer) -> None:
    """A bank that a definition lets in as a contractor holds marked money, and its name is its account."""
    sponsor, purpose = programme(world, mark=Keeps(), condition=Payee(("altyn", "altyn/bolat")))
    token = grant(world, sponsor, purpose, aida, 900)
    (token,) = transfer(world, [token], [out(world.banks["altyn"].public, 900, purpose)], aida.key)
    assert world.token(token) == Token(world.banks["altyn"].public, 900, purpose)
    (token,) = transfer(world, [token], [out(bolat, 900, purpose)], world.banks["altyn"])
    assert world.token(token) == Token(bolat.key.public, 900, purpose)


# --- through the purse -------------------------------------------------------------------------


@pytest.mark.parametrize("left", [1, 2, 3])
def test_loads_and_unloads_are_no_payments(world: World, aida: Customer, left: int) -> None:
    sponsor, purpose = programme(world, mark=KeepsHops(left))
    token = grant(world, sponsor, purpose, aida, 900)
    name = load(world, [token], [in_purse(aida, 600, purpose), out(aida, 300, purpose)], aida.key)
    assert mark_of(world, name) == mark_of(world, outpoint(name[:32], 1)) == (purpose, left)
    name = unload(world, [name], [in_purse(aida, 400, purpose), out(aida, 200, purpose)], aida.purse)
    assert mark_of(world, name) == mark_of(world, outpoint(name[:32], 1)) == (purpose, left)
    assert world.leaf(name) is not None


def test_what_is_loaded_together_takes_the_smallest_number_left(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = programme(world, mark=KeepsHops(3))
    (second,) = transfer(world, [grant(world, sponsor, purpose, bolat, 500)], [out(aida, 500, purpose)], bolat.key)
    tokens = [grant(world, sponsor, purpose, aida, 400), second, world.fund(aida, 50)]
    name = load(world, tokens, [in_purse(aida, 900, purpose), in_purse(aida, 50)], aida.key)
    assert [mark_of(world, outpoint(name[:32], index)) for index in range(2)] == [(purpose, 2), (None, None)]


def offline_chain(world: World, purpose: bytes, leaf: bytes, *customers: Customer) -> list[bytes]:
    """Hand a leaf of 900 on from purse to purse under its purpose; the payments, not yet shown."""
    payments: list[bytes] = []
    for hop, (payer, payee) in enumerate(pairwise(customers), start=1):
        payments.append(world.payment(payer, payee, (leaf,), (in_purse(payee, 900, purpose),), hop=hop))
        leaf = paid(world, payments[-1])
    return payments


@pytest.mark.parametrize("mark", [Keeps(), UntilEvidence("registry"), KeepsHops(3)])
def test_a_mark_between_purses_over_hops(
    world: World, aida: Customer, bolat: Customer, dana: Customer, mark: MarkRule
) -> None:
    sponsor, purpose = programme(world, mark=mark)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    payments = offline_chain(world, purpose, leaf, aida, bolat, dana)
    world.reconcile(*reversed(payments))
    counts = [3, 2, 1] if isinstance(mark, KeepsHops) else [None] * 3
    names = [leaf, *(paid(world, payment) for payment in payments)]
    assert [mark_of(world, name) for name in names] == [(purpose, left) for left in counts]
    received = world.leaf(names[2])
    assert received is not None
    assert received.paid == [bolat.certificate(world.network).id, purpose, 900, counts[1]]
    token = unload(world, [names[2]], [out(dana, 900, purpose)], dana.purse)
    assert world.token(token) == Token(dana.key.public, 900, purpose, counts[2])


def test_the_last_payee_between_purses_is_free(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    sponsor, purpose = programme(world, mark=KeepsHops(2))
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    payments = offline_chain(world, purpose, leaf, aida, bolat, dana)
    world.reconcile(*payments)
    assert [mark_of(world, paid(world, payment)) for payment in payments] == [(purpose, 1), (None, None)]
    onward = world.payment(dana, aida, (paid(world, payments[1]),), (in_purse(aida, 900, purpose),), hop=3)
    with refuses(world, PurposeMismatch):
        world.reconcile(onward)


def test_a_merge_between_purses_takes_the_smallest_number_left(
    world: World, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    sponsor, purpose = programme(world, mark=KeepsHops(3))
    leaves = [
        load(world, [grant(world, sponsor, purpose, owner, 900)], [in_purse(owner, 900, purpose)], owner.key)
        for owner in (aida, bolat)
    ]
    first = world.payment(aida, bolat, (leaves[0],), (in_purse(bolat, 900, purpose),))
    outputs = (in_purse(dana, 1_700, purpose), in_purse(bolat, 100, purpose))
    second = world.payment(bolat, dana, (leaves[1], paid(world, first)), outputs, hop=2)
    world.reconcile(first, second)
    assert [mark_of(world, paid(world, second, index)) for index in range(2)] == [(purpose, 1), (purpose, 2)]


@pytest.mark.parametrize(("mark", "left"), [(Clears(), None), (Keeps(), None), (KeepsHops(1), 1), (KeepsHops(3), 3)])
def test_a_release_brings_the_mark_back_as_it_was(
    world: World, aida: Customer, bolat: Customer, mark: MarkRule, left: int | None
) -> None:
    sponsor, purpose = programme(world, mark=mark)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    payment = world.payment(aida, bolat, (leaf,), (in_purse(bolat, 900, purpose),))
    release = world.payment(
        bolat,
        aida,
        (paid(world, payment),),
        (in_purse(aida, 900, purpose),),
        hop=0,
        invoice_id=world.message_id(payment),
    )
    world.reconcile(payment, release)
    back = world.leaf(paid(world, release))
    assert back is not None
    assert (back.owner, back.purpose, back.left, back.paid) == (aida.purse.public, purpose, left, None)


def test_a_final_leaf_returns_with_what_was_left(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = programme(world, mark=KeepsHops(3), expires_s=NOW_S + YEAR_S)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    (payment,) = offline_chain(world, purpose, leaf, aida, bolat)
    world.reconcile(payment)
    world.now_s += Policy().offline_final_days * DAY_S
    (token,) = sweep(world, paid(world, payment))
    assert world.token(token) == Token(bolat.key.public, 900, purpose, 2)


def test_both_payees_of_marked_money_spent_twice_hold_it_marked(
    world: World, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    """Design section 6, rule 8: the reserve covers the second, and what it pays for bears the mark as well."""
    world.set_reserve("altyn", 2_000)
    sponsor, purpose = programme(world, mark=KeepsHops(3))
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    twice = [world.payment(aida, payee, (leaf,), (in_purse(payee, 900, purpose),)) for payee in (bolat, dana)]
    world.reconcile(*twice)
    assert [mark_of(world, paid(world, payment)) for payment in twice] == [(purpose, 2)] * 2
    assert (debt_of(world, aida), reserve_of(world, "altyn").reserve_tiyn) == (900, 1_100)
    for payment, payee in zip(twice, (bolat, dana), strict=True):
        token = unload(world, [paid(world, payment)], [out(payee, 900, purpose)], payee.purse)
        assert world.token(token) == Token(payee.key.public, 900, purpose, 2)


# --- nobody marks another's tenge --------------------------------------------------------------


def test_a_payment_marks_nobodys_tenge(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = programme(world, mark=Keeps())
    for payer in (aida, sponsor):
        free = world.fund(payer, 900)
        for owner in (bolat, payer):
            with refuses(world, PurposeMismatch):
                transfer(world, [free], [out(owner, 900, purpose)], payer.key)
    mine, free = grant(world, sponsor, purpose, aida, 900), world.fund(aida, 900)
    with refuses(world, PurposeMismatch):
        transfer(world, [mine, free], [out(bolat, 901, purpose), out(aida, 899)], aida.key)


def test_a_grant_marks_only_the_sponsors_tenge(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = programme(world, mark=Keeps())
    other, _ = programme(world, name="other")
    theirs = {customer.name: world.fund(customer, 900) for customer in (aida, other)}
    tries: list[tuple[type[TengeError], str, tuple[Customer, ...]]] = [
        (NotSponsor, "aida", (aida,)),
        (NotSponsor, other.name, (other,)),
        (NotSponsor, "aida", (sponsor, aida)),
        (NotOwner, "aida", (sponsor,)),
        (NotOwner, other.name, (sponsor,)),
    ]
    for error, whose, signers in tries:
        body = bodies.Grant((theirs[whose],), (out(bolat, 900, purpose),), LATER_S, purpose)
        with refuses(world, error):
            world.do(Kind.GRANT, body, *(signer.key for signer in signers))


def test_a_refund_marks_only_the_merchants_tenge(world: World, aida: Customer, bolat: Customer, dana: Customer) -> None:
    """Neither the customer's nor a stranger's, nor change that he keeps."""
    sponsor, purpose = programme(world)
    (made,) = transfer(world, [grant(world, sponsor, purpose, aida, 900)], [out(bolat, 900, purpose)], aida.key)
    theirs = [world.fund(aida, 900), world.fund(dana, 900)]
    payment = made[:32]
    for token, victim in zip(theirs, (aida, dana), strict=True):
        with refuses(world, NotOwner):
            refund(world, bolat, payment, purpose, [token], [out(aida, 900, purpose)])
        with refuses(world, NotOwner):
            refund(world, bolat, payment, purpose, [token], [out(victim, 900, purpose)], keys=(bolat.key, victim.key))
        with refuses(world, NotOwner):
            refund(world, victim, payment, purpose, [token], [out(victim, 900, purpose)], payee=bolat.key.public)


def test_a_load_or_an_unload_marks_nobodys_tenge(world: World, aida: Customer) -> None:
    sponsor, purpose = programme(world, mark=Keeps())
    tokens = [grant(world, sponsor, purpose, aida, 900), world.fund(aida, 900)]
    with refuses(world, PurposeMismatch):
        load(world, tokens, [in_purse(aida, 901, purpose), in_purse(aida, 899)], aida.key)
    leaf = world.load(aida, 900)
    with refuses(world, PurposeMismatch):
        unload(world, [leaf], [out(aida, 900, purpose)], aida.purse)


def test_an_offline_payment_marks_nobodys_tenge(world: World, aida: Customer, bolat: Customer) -> None:
    _, purpose = programme(world, mark=Keeps())
    leaf = world.load(aida, 900)
    with refuses(world, PurposeMismatch):
        world.reconcile(world.payment(aida, bolat, (leaf,), (in_purse(bolat, 900, purpose),)))


# --- the first hole ----------------------------------------------------------------------------


MAYBE_APPROVED: Condition = Any((PerPayment(900), Approval(("kumis",), 1)))
"""Everything up to 900 in one payment, and above it what the bank approves."""


def online_once(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    del dana
    return bolat, transfer(world, [token], [out(bolat, 900, purpose)], aida.key)[0]


def online_twice(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    _, token = online_once(world, purpose, token, aida, bolat, dana)
    return dana, transfer(world, [token], [out(dana, 900, purpose)], bolat.key)[0]


def mixed_with_free(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    """Paid together with free money, and then merged with more of it."""
    tokens = [world.fund(aida, 500), token]
    free, marked = transfer(world, tokens, [out(bolat, 500), out(bolat, 900, purpose)], aida.key)
    names = transfer(world, [free, marked], [out(bolat, 500), out(dana, 900, purpose)], bolat.key)
    assert mark_of(world, names[0]) == (None, None)
    return dana, names[1]


def in_small_change(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    del dana
    pieces = transfer(world, [token], [out(bolat, 300, purpose) for _ in range(3)], aida.key)
    return bolat, transfer(world, pieces, [out(bolat, 900, purpose)], bolat.key)[0]


def offline_once(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    del dana
    leaf = load(world, [token], [in_purse(aida, 900, purpose)], aida.key)
    payment = world.payment(aida, bolat, (leaf,), (in_purse(bolat, 900, purpose),))
    world.reconcile(payment)
    return bolat, paid(world, payment)


def offline_and_online(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    _, leaf = offline_once(world, purpose, token, aida, bolat, dana)
    online = unload(world, [leaf], [out(bolat, 900, purpose)], bolat.purse)
    return dana, transfer(world, [online], [out(dana, 900, purpose)], bolat.key)[0]


def renewed(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    _, leaf = offline_once(world, purpose, token, aida, bolat, dana)
    leaf = unload(world, [leaf], [in_purse(bolat, 900, purpose)], bolat.purse)
    payment = world.payment(bolat, dana, (leaf,), (in_purse(dana, 900, purpose),))
    world.reconcile(payment)
    return dana, unload(world, [paid(world, payment)], [in_purse(dana, 900, purpose)], dana.purse)


def offline_with_free(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    del dana
    name = load(world, [token, world.fund(aida, 500)], [in_purse(aida, 900, purpose), in_purse(aida, 500)], aida.key)
    leaves = (name, outpoint(name[:32], 1))
    payment = world.payment(aida, bolat, leaves, (in_purse(bolat, 500), in_purse(bolat, 900, purpose)))
    world.reconcile(payment)
    assert mark_of(world, paid(world, payment)) == (None, None)
    return bolat, paid(world, payment, 1)


def lost_and_swept(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    _, leaf = offline_once(world, purpose, token, aida, bolat, dana)
    world.now_s += Policy().offline_final_days * DAY_S
    return bolat, sweep(world, leaf)[0]


def released(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    _, leaf = offline_once(world, purpose, token, aida, bolat, dana)
    release = world.payment(bolat, aida, (leaf,), (in_purse(aida, 900, purpose),), hop=0, invoice_id=leaf[:32])
    world.reconcile(release)
    return aida, paid(world, release)


def refunded(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    _, made = online_once(world, purpose, token, aida, bolat, dana)
    return aida, refund(world, bolat, made[:32], purpose, [made], [out(aida, 900, purpose)])[0]


def refunded_from_free(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    """What the merchant has stays marked, and what goes back is marked too."""
    _, made = online_once(world, purpose, token, aida, bolat, dana)
    (back,) = refund(world, bolat, made[:32], purpose, [world.fund(bolat, 900)], [out(aida, 900, purpose)])
    assert mark_of(world, made)[0] == purpose
    return aida, back


def lapsed(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    """A payment above the limit waits for an approval that never comes."""
    sponsor = world.customer("sponsor of works", enrol=False)
    more = grant(world, sponsor, purpose, aida, 1)
    (whole,) = transfer(world, [token, more], [out(aida, 901, purpose)], aida.key)
    payment = hold_up(world, aida, whole, [out(dana, 901, purpose)], days=1)
    world.now_s += DAY_S
    sweep(world, outpoint(payment, 0))
    (back,) = tokens_of(world, aida)
    assert (back.purpose, back.amount_tiyn) == (purpose, 901)
    names = [name for (_, name), value in world.view.records().items() if value == back.encode()]
    return bolat, transfer(world, names, [out(bolat, 900, purpose), out(aida, 1, purpose)], aida.key)[0]


def spent_twice(
    world: World, purpose: bytes, token: bytes, aida: Customer, bolat: Customer, dana: Customer
) -> tuple[Customer, bytes]:
    leaf = load(world, [token], [in_purse(aida, 900, purpose)], aida.key)
    twice = [world.payment(aida, payee, (leaf,), (in_purse(payee, 900, purpose),)) for payee in (bolat, dana)]
    world.reconcile(*twice)
    return dana, paid(world, twice[1])


WAYS = {
    way.__name__: way
    for way in (
        online_once,
        online_twice,
        mixed_with_free,
        in_small_change,
        offline_once,
        offline_and_online,
        renewed,
        offline_with_free,
        lost_and_swept,
        released,
        refunded,
        refunded_from_free,
        lapsed,
        spent_twice,
    )
}


@pytest.mark.parametrize("mark", [Keeps(), KeepsHops(3), UntilEvidence("registry")])
@pytest.mark.parametrize("way", WAYS)
def test_a_mark_does_not_vanish_after_one_hop_where_it_must_be_kept(way: str, mark: MarkRule) -> None:
    """Whatever way the money took, once or more than once: it is marked still, and as free money it is refused."""
    world = World.founded("altyn", "kumis")
    world.set_reserve("altyn", 10_000)
    aida, bolat, dana = (world.customer(name) for name in ("aida", "bolat", "dana"))
    sponsor, purpose = programme(world, mark=mark, expires_s=NOW_S + YEAR_S, condition=MAYBE_APPROVED)
    token = grant(world, sponsor, purpose, aida, 900)
    owner, name = WAYS[way](world, purpose, token, aida, bolat, dana)
    assert mark_of(world, name)[0] == purpose
    is_online = world.token(name) is not None
    with refuses(world, PurposeMismatch):
        if is_online:
            transfer(world, [name], [out(sponsor, 900)], owner.key)
        else:
            unload(world, [name], [out(owner, 900)], owner.purse)


def test_evidence_frees_and_nothing_else_does(world: World, aida: Customer, bolat: Customer) -> None:
    """The one way out of a mark until evidence, beside the expiry."""
    registry = world.institution("registry", Role.ORACLE)
    sponsor, purpose = programme(world, mark=UntilEvidence("registry"))
    (made,) = transfer(world, [grant(world, sponsor, purpose, aida, 900)], [out(bolat, 900, purpose)], aida.key)
    attest(world, registry, made[:32])
    (freed,) = sweep(world, made)
    transfer(world, [freed], [out(aida, 900)], bolat.key)
    assert tokens_of(world, aida) == [Token(aida.key.public, 900, None)]
