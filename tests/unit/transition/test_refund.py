"""Refunds: a merchant's own money goes back under the mark that the customer's money bore."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbdc.errors import (
    AmountMismatch,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    NotEnrolled,
    NotOwner,
    PurposeMismatch,
    PurposeRefused,
    RoleRefused,
    WrongPayee,
)
from cbdc.formats.tokens import Output, outpoint
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import Payee, PerPayment, PerPeriod
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, MarkRule, Split
from cbdc.state.records import Paid, Token
from tests.support import LATER_S, LIMITS, NOW_S, Customer, World
from tests.unit.helpers import (
    ANYBODY,
    EXPIRY_S,
    HOUR_S,
    STRANGER,
    allow,
    define,
    grant,
    in_purse,
    load,
    out,
    paid,
    paid_of,
    programme,
    refund,
    refuses,
    renew_purse,
    revoke,
    second_key,
    spent_of,
    sponsored,
    tokens_of,
    transfer,
    wallet_id,
)


def bought(
    world: World, aida: Customer, shop: Customer, amount_tiyn: int = 900, **changes: object
) -> tuple[bytes, bytes, bytes]:
    """Aida pays the shop out of a purpose: the purpose, the payment and the token that it brought."""
    sponsor, purpose = programme(world, **changes)
    token = grant(world, sponsor, purpose, aida, amount_tiyn)
    (made,) = transfer(world, [token], [out(shop, amount_tiyn, purpose)], aida.key)
    return purpose, made[:32], made


# --- what goes back ----------------------------------------------------------------------------


def test_free_money_goes_back_under_the_mark(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    back, change = refund(world, shop, payment, purpose, [made], [out(aida, 600, purpose), out(shop, 300)])
    assert world.token(back) == Token(aida.key.public, 600, purpose)
    assert world.token(change) == Token(shop.key.public, 300, None)
    assert world.token(made) is None
    assert paid_of(world, payment, purpose, shop) == Paid(aida.key.public, 900, 600, None, NOW_S)


def test_any_free_money_of_the_merchants_will_do(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    transfer(world, [made], [out(aida, 900)], shop.key)
    (back,) = refund(world, shop, payment, purpose, [world.fund(shop, 900)], [out(aida, 900, purpose)])
    assert world.token(back) == Token(aida.key.public, 900, purpose)


def test_a_refund_asks_no_condition(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop, condition=Payee(("altyn/shop",)))
    refund(world, shop, payment, purpose, [made], [out(aida, 900, purpose)])
    assert tokens_of(world, aida) == [Token(aida.key.public, 900, purpose)]


def test_a_refund_is_paid_with_again(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    (back,) = refund(world, shop, payment, purpose, [made], [out(aida, 900, purpose)])
    (again,) = transfer(world, [back], [out(shop, 900, purpose)], aida.key)
    assert world.token(again) == Token(shop.key.public, 900, None)


def test_marked_change_of_the_merchant_keeps_its_mark(world: World, aida: Customer, shop: Customer) -> None:
    """Drawn from marked and from free tokens at once: each in change is what it was."""
    purpose, payment, made = bought(world, aida, shop, mark=Keeps())
    outputs = [out(aida, 500, purpose), out(shop, 450, purpose), out(shop, 50)]
    names = refund(world, shop, payment, purpose, [made, world.fund(shop, 100)], outputs)
    assert [world.token(name) for name in names] == [
        Token(aida.key.public, 500, purpose),
        Token(shop.key.public, 450, purpose),
        Token(shop.key.public, 50, None),
    ]


def test_another_key_of_the_merchants_may_give_back(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    other = second_key(world, shop)
    (mine,) = transfer(world, [made], [out(other.public, 900)], shop.key)
    refund(world, shop, payment, purpose, [mine], [out(aida, 900, purpose)], keys=(other,))
    assert tokens_of(world, aida) == [Token(aida.key.public, 900, purpose)]


def test_it_may_go_to_another_key_of_the_payers(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    other = second_key(world, aida)
    revoke(world, aida, wallet_id(world, aida))
    refund(world, shop, payment, purpose, [made], [out(other.public, 900, purpose)])
    assert tokens_of(world, other.public) == [Token(other.public, 900, purpose)]


@pytest.mark.parametrize(("left", "merchants", "back"), [(3, 2, 3), (2, 1, 2), (1, None, 1)])
def test_a_refund_counts_the_payment_back(
    world: World, aida: Customer, shop: Customer, left: int, merchants: int | None, back: int
) -> None:
    """As if it had never been: the customer's mark lasts as long again as it did."""
    purpose, payment, made = bought(world, aida, shop, mark=KeepsHops(left))
    mark = purpose if merchants else None
    assert world.token(made) == Token(shop.key.public, 900, mark, merchants)
    names = refund(world, shop, payment, purpose, [made], [out(aida, 600, purpose), out(shop, 300, mark)])
    assert world.token(names[0]) == Token(aida.key.public, 600, purpose, back)
    assert world.token(names[1]) == Token(shop.key.public, 300, mark, merchants)


def test_a_refund_never_counts_above_a_grant(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, mark=KeepsHops(3))
    granted = [grant(world, sponsor, purpose, owner, 900) for owner in (aida, shop)]
    (made,) = transfer(world, granted[:1], [out(shop, 900, purpose)], aida.key)
    (back,) = refund(world, shop, made[:32], purpose, granted[1:], [out(aida, 900, purpose)])
    assert world.token(back) == Token(aida.key.public, 900, purpose, 3)


def test_what_was_split_off_goes_back_too(world: World, aida: Customer, shop: Customer) -> None:
    tax = world.customer("tax")
    sponsor, purpose = programme(world, split=Split("altyn/tax", 12, 100), mark=Keeps())
    token = grant(world, sponsor, purpose, aida, 1000)
    made, part = transfer(world, [token], [out(shop, 880, purpose), out(tax, 120, purpose)], aida.key)
    refund(world, tax, made[:32], purpose, [part], [out(aida, 120, purpose)])
    refund(world, shop, made[:32], purpose, [made], [out(aida, 880, purpose)])
    assert tokens_of(world, aida) == [Token(aida.key.public, tiyn, purpose) for tiyn in (120, 880)]


# --- how much, and how often -------------------------------------------------------------------


def test_in_parts_up_to_what_was_paid(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    _, rest = refund(world, shop, payment, purpose, [made], [out(aida, 600, purpose), out(shop, 300)])
    more = world.fund(shop, 1)
    with refuses(world, AmountMismatch, found=301, limit=300):
        refund(world, shop, payment, purpose, [rest, more], [out(aida, 301, purpose)])
    refund(world, shop, payment, purpose, [rest], [out(aida, 300, purpose)])
    with refuses(world, AmountMismatch, found=1, limit=0):
        refund(world, shop, payment, purpose, [more], [out(aida, 1, purpose)])
    assert paid_of(world, payment, purpose, shop) == Paid(aida.key.public, 900, 900, None, NOW_S)


def test_two_outputs_of_a_refund_are_one_sum(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    tokens = [made, world.fund(shop, 1)]
    with refuses(world, AmountMismatch, found=901, limit=900):
        refund(world, shop, payment, purpose, tokens, [out(aida, 900, purpose), out(aida, 1, purpose)])


def test_what_a_payment_brought_another_is_his_to_give_back(world: World, aida: Customer, shop: Customer) -> None:
    bolat = world.customer("bolat")
    sponsor, purpose = programme(world)
    token = grant(world, sponsor, purpose, aida, 900)
    made, _ = transfer(world, [token], [out(shop, 500, purpose), out(bolat, 400, purpose)], aida.key)
    tokens = [made, world.fund(shop, 1)]
    with refuses(world, AmountMismatch, found=501, limit=500):
        refund(world, shop, made[:32], purpose, tokens, [out(aida, 501, purpose)])


def test_a_refund_gives_something_back(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    with refuses(world, AmountMismatch):
        refund(world, shop, payment, purpose, [made], [out(shop, 900)])


@pytest.mark.parametrize("amount_tiyn", [899, 901])
def test_a_refund_conserves_value(world: World, aida: Customer, shop: Customer, amount_tiyn: int) -> None:
    purpose, payment, made = bought(world, aida, shop)
    with refuses(world, AmountMismatch, missing_tiyn=amount_tiyn - 900):
        refund(world, shop, payment, purpose, [made], [out(aida, amount_tiyn, purpose)])


def test_a_token_gives_back_once(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    refund(world, shop, payment, purpose, [made], [out(aida, 400, purpose), out(shop, 500)])
    with refuses(world, DoubleSpend, outpoint=made):
        refund(world, shop, payment, purpose, [made], [out(aida, 500, purpose), out(shop, 400)])


# --- by whom, to whom, of what -----------------------------------------------------------------


def test_only_whoever_was_paid_gives_back(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    bolat = world.customer("bolat")
    token = world.fund(bolat, 900)
    with refuses(world, NotOwner, payee=shop.key.public):
        refund(world, bolat, payment, purpose, [token], [out(aida, 900, purpose)], payee=shop.key.public)
    with refuses(world, NotOwner, payment=payment):
        refund(world, bolat, payment, purpose, [token], [out(aida, 900, purpose)])
    with refuses(world, NotOwner, payee=shop.key.public):
        refund(
            world,
            shop,
            payment,
            purpose,
            [made, token],
            [out(aida, 900, purpose), out(bolat, 900)],
            keys=(shop.key, bolat.key),
        )


def test_nobody_gives_back_with_anothers_tokens(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, _ = bought(world, aida, shop)
    theirs = world.fund(world.customer("bolat"), 900)
    with refuses(world, NotOwner, owners=1, signers=1):
        refund(world, shop, payment, purpose, [theirs], [out(aida, 900, purpose)])


@pytest.mark.parametrize("whose", ["customer", "sponsor", "bank"])
def test_a_refund_goes_to_whoever_paid(world: World, aida: Customer, shop: Customer, whose: str) -> None:
    purpose, payment, made = bought(world, aida, shop)
    bolat = world.customer("bolat")
    sponsor = world.customer("sponsor of works", enrol=False)
    key = {"customer": bolat.key, "sponsor": sponsor.key, "bank": world.banks["altyn"]}[whose].public
    with refuses(world, RoleRefused if whose == "bank" else WrongPayee):
        refund(world, shop, payment, purpose, [made], [out(key, 900, purpose)])
    with refuses(world, RoleRefused if whose == "bank" else WrongPayee):
        refund(world, shop, payment, purpose, [made], [out(aida, 500, purpose), out(key, 400, purpose)])


def test_free_money_beside_a_refund_goes_to_nobody(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    for owner, error in ((aida, PurposeMismatch), (world.customer("bolat"), WrongPayee)):
        with refuses(world, error):
            refund(world, shop, payment, purpose, [made], [out(aida, 500, purpose), out(owner, 400)])


def test_a_refund_goes_to_keys_that_may_hold_it(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    for key in (STRANGER.public, aida.purse.public):
        with refuses(world, NotEnrolled, key=key):
            refund(world, shop, payment, purpose, [made], [out(key, 900, purpose)])
    revoke(world, aida, wallet_id(world, aida))
    with refuses(world, CertificateRevoked, key=aida.key.public):
        refund(world, shop, payment, purpose, [made], [out(aida, 900, purpose)])


def test_a_revoked_merchant_gives_nothing_back(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    revoke(world, shop, wallet_id(world, shop))
    with refuses(world, CertificateRevoked, key=shop.key.public):
        refund(world, shop, payment, purpose, [made], [out(aida, 900, purpose)])


def test_a_refund_names_a_payment_of_its_purpose(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    sponsor = world.customer("sponsor of works", enrol=False)
    other = define(world, sponsor, name="other")
    (free,) = transfer(world, [world.fund(aida, 50)], [out(shop, 50)], aida.key)
    for wrong, mark in ((payment, other), (free[:32], purpose), (bytes(32), purpose)):
        with refuses(world, NotOwner, payment=wrong):
            refund(world, shop, wrong, mark, [made], [out(aida, 900, mark)])
    with refuses(world, PurposeRefused, purpose=bytes(32)):
        refund(world, shop, payment, bytes(32), [made], [out(aida, 900, bytes(32))])


def test_change_was_not_paid_and_is_not_given_back(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world)
    token = grant(world, sponsor, purpose, aida, 900)
    made, _ = transfer(world, [token], [out(shop, 500, purpose), out(aida, 400, purpose)], aida.key)
    assert paid_of(world, made[:32], purpose, aida) is None
    free = world.fund(aida, 400)
    with refuses(world, NotOwner, payment=made[:32]):
        refund(world, aida, made[:32], purpose, [free], [out(shop, 400, purpose)])


def test_a_mark_goes_back_as_it_was(world: World, aida: Customer, shop: Customer) -> None:
    """Neither free, nor as another purpose's, nor out of another purpose's tokens."""
    purpose, payment, made = bought(world, aida, shop)
    sponsor = world.customer("sponsor of works", enrol=False)
    other = define(world, sponsor, name="other", mark=Keeps())
    theirs = grant(world, sponsor, other, shop, 900)
    for inputs, outputs in (
        ([made], [out(aida, 900)]),
        ([made], [out(aida, 900, other)]),
        ([theirs], [out(aida, 900, purpose)]),
        ([made, theirs], [out(aida, 900, purpose), out(shop, 900, other)]),
        ([made], [out(aida, 500, purpose), out(shop, 400, other)]),
    ):
        with refuses(world, PurposeMismatch):
            refund(world, shop, payment, purpose, inputs, outputs)


@pytest.mark.parametrize(("marked_tiyn", "free_tiyn"), [(401, 99), (399, 101), (0, 500), (500, 0)])
def test_change_of_a_refund_bears_what_it_bore(
    world: World, aida: Customer, shop: Customer, marked_tiyn: int, free_tiyn: int
) -> None:
    """Inputs are 900 marked and 100 free, 500 go back; the merchant neither washes his own nor marks it."""
    purpose, payment, made = bought(world, aida, shop, mark=Keeps())
    tokens = [made, world.fund(shop, 100)]
    change = [Output(shop.key.public, tiyn, mark) for tiyn, mark in ((marked_tiyn, purpose), (free_tiyn, None)) if tiyn]
    if free_tiyn > 100:
        with refuses(world, PurposeMismatch, found=free_tiyn, limit=100):
            refund(world, shop, payment, purpose, tokens, [out(aida, 500, purpose), *change])
    else:
        refund(world, shop, payment, purpose, tokens, [out(aida, 500, purpose), *change])
        assert [token.amount_tiyn for token in tokens_of(world, shop)] == [
            tiyn for tiyn in (free_tiyn, marked_tiyn) if tiyn
        ]


def test_a_refund_does_not_mark_the_merchants_change(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    with refuses(world, PurposeMismatch, found=300, limit=0):
        refund(world, shop, payment, purpose, [made], [out(aida, 600, purpose), out(shop, 300, purpose)])


# --- time --------------------------------------------------------------------------------------


def test_an_expired_purpose_takes_nothing_back(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    world.now_s = EXPIRY_S
    with refuses(world, Expired, purpose="works", limit=EXPIRY_S):
        refund(world, shop, payment, purpose, [made], [out(aida, 900, purpose)])


def test_a_refund_has_its_time(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop)
    with refuses(world, Expired, limit=NOW_S - 1):
        refund(world, shop, payment, purpose, [made], [out(aida, 900, purpose)], until_s=NOW_S - 1)


# --- the period --------------------------------------------------------------------------------


def test_what_came_back_counts_no_more_in_its_period(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop, condition=PerPeriod(900, 30))
    assert spent_of(world, purpose, "altyn/aida") == [[NOW_S, 900]]
    world.now_s += HOUR_S
    back, _ = refund(world, shop, payment, purpose, [made], [out(aida, 600, purpose), out(shop, 300)])
    assert spent_of(world, purpose, "altyn/aida") == [[NOW_S, 300]]
    transfer(world, [back], [out(shop, 600, purpose)], aida.key)
    assert spent_of(world, purpose, "altyn/aida") == [[NOW_S, 300], [world.now_s, 600]]


def test_an_old_payments_refund_makes_no_room_in_a_new_period(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop, condition=PerPeriod(900, 2))
    sponsor = world.customer("sponsor of works", enrol=False)
    world.now_s += 2 * DAY_S
    new = grant(world, sponsor, purpose, aida, 900)
    transfer(world, [new], [out(shop, 900, purpose)], aida.key)
    (back,) = refund(world, shop, payment, purpose, [made], [out(aida, 900, purpose)])
    assert spent_of(world, purpose, "altyn/aida") == [[world.now_s, 900]]
    with refuses(world, PurposeRefused, condition="per_period"):
        transfer(world, [back], [out(shop, 1, purpose), out(aida, 899, purpose)], aida.key)


def test_of_two_payments_the_refunded_one_makes_room(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment, made = bought(world, aida, shop, condition=PerPeriod(1800, 2))
    sponsor = world.customer("sponsor of works", enrol=False)
    world.now_s += DAY_S
    transfer(world, [grant(world, sponsor, purpose, aida, 900)], [out(shop, 900, purpose)], aida.key)
    refund(world, shop, payment, purpose, [made], [out(aida, 500, purpose), out(shop, 400)])
    assert spent_of(world, purpose, "altyn/aida") == [[NOW_S, 400], [NOW_S + DAY_S, 900]]


# --- between purses ----------------------------------------------------------------------------


def bought_offline(
    world: World, aida: Customer, shop: Customer, *, is_shown: bool = True, **changes: object
) -> tuple[bytes, bytes]:
    """Aida's purse pays 600 of 900 to the shop's purse: the purpose and the payment."""
    sponsor, purpose = programme(world, **changes)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    outputs = (in_purse(shop, 400, purpose), in_purse(aida, 300, purpose), in_purse(shop, 200, purpose))
    payment = world.payment(aida, shop, (leaf,), outputs)
    if is_shown:
        world.reconcile(payment)
    return purpose, world.message_id(payment)


def test_what_was_released_is_not_refunded_as_well(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment = bought_offline(world, aida, shop)
    token = world.fund(shop, 600)
    names = (outpoint(payment, 0), outpoint(payment, 2))
    back = (in_purse(aida, 400, purpose), in_purse(aida, 200, purpose))
    world.reconcile(world.payment(shop, aida, names, back, hop=0, invoice_id=payment))
    with refuses(world, NotOwner):
        refund(world, shop, payment, purpose, [token], [out(aida, 600, purpose)], payee=shop.purse.public)


def test_nor_is_the_rest_of_what_was_refunded_in_part_before(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment = bought_offline(world, aida, shop)
    tokens = [world.fund(shop, 100), world.fund(shop, 500)]
    refund(world, shop, payment, purpose, tokens[:1], [out(aida, 100, purpose)], payee=shop.purse.public)
    names = (outpoint(payment, 0), outpoint(payment, 2))
    back = (in_purse(aida, 400, purpose), in_purse(aida, 200, purpose))
    world.reconcile(world.payment(shop, aida, names, back, hop=0, invoice_id=payment))
    with refuses(world, NotOwner):
        refund(world, shop, payment, purpose, tokens[1:], [out(aida, 500, purpose)], payee=shop.purse.public)


@pytest.mark.parametrize(
    ("mark", "left", "back"), [(Clears(), None, None), (Keeps(), None, None), (KeepsHops(2), 2, 1)]
)
def test_an_offline_payment_is_refunded_online(
    world: World, aida: Customer, shop: Customer, mark: MarkRule, left: int | None, back: int | None
) -> None:
    """All that it brought, in whatever pieces; the mark is counted back from free money."""
    purpose, payment = bought_offline(world, aida, shop, mark=mark)
    key, token = shop.purse.public, world.fund(shop, 601)
    with refuses(world, AmountMismatch, found=601, limit=600):
        refund(world, shop, payment, purpose, [token], [out(aida, 601, purpose)], payee=key)
    outputs = [out(aida, 500, purpose), out(shop, 101)]
    _, rest = refund(world, shop, payment, purpose, [token], outputs, payee=key)
    assert tokens_of(world, aida) == [Token(aida.key.public, 500, purpose, back)]
    assert paid_of(world, payment, purpose, key) == Paid(aida.purse.public, 600, 500, left, 0)
    with refuses(world, AmountMismatch, found=101, limit=100):
        refund(world, shop, payment, purpose, [rest], [out(aida, 101, purpose)], payee=key)
    refund(world, shop, payment, purpose, [rest], [out(aida, 100, purpose), out(shop, 1)], payee=key)


def test_each_purpose_of_an_offline_payment_is_refunded_apart(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world)
    other = define(world, sponsor, name="other", condition=ANYBODY)
    tokens = [grant(world, sponsor, purpose, aida, 400), grant(world, sponsor, other, aida, 200), world.fund(aida, 50)]
    name = load(world, tokens, [in_purse(aida, 400, purpose), in_purse(aida, 200, other), in_purse(aida, 50)], aida.key)
    leaves = tuple(outpoint(name[:32], index) for index in range(3))
    outputs = (in_purse(shop, 400, purpose), in_purse(shop, 200, other), in_purse(shop, 50))
    payment = world.payment(aida, shop, leaves, outputs)
    world.reconcile(payment)
    key, free, message = shop.purse.public, world.fund(shop, 401), world.message_id(payment)
    for mark, limit in ((purpose, 400), (other, 200)):
        with refuses(world, AmountMismatch, found=401, limit=limit):
            refund(world, shop, message, mark, [free], [out(aida, 401, mark)], payee=key)
    refund(world, shop, message, other, [free], [out(aida, 200, other), out(shop, 201)], payee=key)
    assert tokens_of(world, aida) == [Token(aida.key.public, 200, other)]


def test_an_offline_payment_that_was_passed_on_is_refunded(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment = bought_offline(world, aida, shop)
    onward = world.payment(
        shop, world.customer("dana"), (payment + b"\0\0",), (in_purse(world.customer("dana", enrol=False), 400),), hop=2
    )
    world.reconcile(onward)
    token = world.fund(shop, 600)
    refund(world, shop, payment, purpose, [token], [out(aida, 600, purpose)], payee=shop.purse.public)
    assert tokens_of(world, aida) == [Token(aida.key.public, 600, purpose)]


def test_who_may_refund_an_offline_payment(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment = bought_offline(world, aida, shop)
    bolat = world.customer("bolat")
    token, theirs = world.fund(shop, 600), world.fund(bolat, 600)
    with refuses(world, NotOwner, payee=shop.purse.public):
        refund(world, bolat, payment, purpose, [theirs], [out(aida, 600, purpose)], payee=shop.purse.public)
    with refuses(world, WrongPayee, wanted="altyn/aida"):
        refund(world, shop, payment, purpose, [token], [out(bolat, 600, purpose)], payee=shop.purse.public)
    for payee in (shop.key.public, aida.purse.public, bolat.purse.public):
        with refuses(world, NotOwner, payment=payment):
            refund(world, shop, payment, purpose, [token], [out(aida, 600, purpose)], payee=payee)


def test_an_offline_payment_is_refunded_once_the_ledger_knows_it(world: World, aida: Customer, shop: Customer) -> None:
    purpose, payment = bought_offline(world, aida, shop, is_shown=False)
    token = world.fund(shop, 600)
    with refuses(world, NotOwner, payment=payment):
        refund(world, shop, payment, purpose, [token], [out(aida, 600, purpose)], payee=shop.purse.public)


def test_a_payment_that_does_not_count_is_not_refunded(world: World, aida: Customer, shop: Customer) -> None:
    """Its outputs may stand as void, for somebody further down."""
    sponsor, _ = sponsored(world)
    keeps = define(world, sponsor, mark=Keeps(), condition=PerPayment(10_000))
    leaf = load(world, [grant(world, sponsor, keeps, aida, 900)], [in_purse(aida, 900, keeps)], aida.key)
    revoke(world, aida)
    world.now_s += 1
    faulty = world.payment(aida, shop, (leaf,), (in_purse(shop, 900, keeps),))
    dana = world.customer("dana")
    onward = world.payment(shop, dana, (paid(world, faulty),), (in_purse(dana, 900, keeps),), hop=2, trust_list_s=NOW_S)
    world.reconcile(faulty, onward)
    void = world.leaf(paid(world, faulty))
    assert void is not None
    assert void.void
    token = world.fund(shop, 900)
    name = world.message_id(faulty)
    with refuses(world, NotOwner, payment=name):
        refund(world, shop, name, keeps, [token], [out(aida, 900, keeps)], payee=shop.purse.public)


def test_an_offline_payments_refund_makes_no_room_in_a_period(world: World, aida: Customer, shop: Customer) -> None:
    """No limit per period counted it: it was paid by allowance."""
    sponsor, purpose = programme(world, condition=PerPeriod(500, 30))
    allow(world, sponsor, purpose, "altyn/aida", 600)
    renewed = renew_purse(world, aida, limits=replace(LIMITS, allowances=((purpose, 600),)))
    leaf = load(world, [grant(world, sponsor, purpose, aida, 600)], [in_purse(aida, 600, purpose)], aida.key)
    payment = world.payment(aida, shop, (leaf,), (in_purse(shop, 600, purpose),), payer_certificate=renewed)
    world.now_s += 1
    world.reconcile(payment)
    transfer(world, [grant(world, sponsor, purpose, aida, 500)], [out(shop, 500, purpose)], aida.key, until_s=LATER_S)
    token = world.fund(shop, 600)
    name = world.message_id(payment)
    (back,) = refund(world, shop, name, purpose, [token], [out(aida, 600, purpose)], payee=shop.purse.public)
    assert spent_of(world, purpose, "altyn/aida") == [[NOW_S + 1, 500]]
    with refuses(world, PurposeRefused, condition="per_period"):
        transfer(world, [back], [out(shop, 600, purpose)], aida.key)
