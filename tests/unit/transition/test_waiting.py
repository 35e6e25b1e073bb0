"""Payments that wait: what is held, what lets them through, and how they lapse."""

from __future__ import annotations

import pytest

from cbdc.errors import (
    AmountMismatch,
    CertificateExpired,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    Malformed,
    NotEnrolled,
    NotOwner,
    PurposeMismatch,
    PurposeRefused,
    Replayed,
    RoleRefused,
    TengeError,
    TooLarge,
)
from cbdc.formats import certificates
from cbdc.formats.certificates import Merchant
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import outpoint
from cbdc.formats.x509 import Role
from cbdc.limits import MAX_WAITING_DAYS, MAX_WAITING_OUTPUTS
from cbdc.messages import bodies
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import All, Any, Approval, Before, Evidence, Items, PayeeMcc, PerPayment, PerPeriod
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, MarkRule, Split
from cbdc.state.records import Paid, Token, Waiting
from cbdc.transition.waiting import RETURNED_FROM, SETTLED_FROM
from tests.support import LATER_S, NOW_S, YEAR_S, Customer, World
from tests.unit.helpers import (
    CANTEEN,
    EXPIRY_S,
    HOUR_S,
    STRANGER,
    approve,
    ask,
    attest,
    define,
    dismiss,
    grant,
    hold_up,
    out,
    paid_of,
    programme,
    refund,
    refuses,
    revoke,
    second_key,
    spent_of,
    sweep,
    tokens_of,
    transfer,
    waiting_of,
    wallet_id,
)

BY_BOLAT = Approval(("altyn/bolat",), 1)
BUILT = Evidence("registry", "built")


def escrow(payment: bytes, index: int = 0) -> bytes:
    return outpoint(payment, index)


def settled(payment: bytes, index: int = 0) -> bytes:
    return outpoint(payment, SETTLED_FROM + index)


def returned(payment: bytes, index: int = 0) -> bytes:
    return outpoint(payment, RETURNED_FROM + index)


# --- what is held ------------------------------------------------------------------------------


@pytest.mark.parametrize("parts", [MAX_WAITING_OUTPUTS, MAX_WAITING_OUTPUTS + 1])
def test_what_waits_has_few_parts(world: World, aida: Customer, bolat: Customer, shop: Customer, parts: int) -> None:
    """A sweep names one token of each payment, and writes all of its parts."""
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    token = grant(world, sponsor, purpose, aida, 900)
    outputs = [*(out(shop, 1, purpose) for _ in range(parts - 1)), out(aida, 901 - parts, purpose)]
    if parts <= MAX_WAITING_OUTPUTS:
        assert waiting_of(world, hold_up(world, aida, token, outputs, days=5))
        return
    with refuses(world, TooLarge, found=parts, limit=MAX_WAITING_OUTPUTS):
        hold_up(world, aida, token, outputs, days=5)


def test_a_payment_that_waits_is_held_and_its_change_is_there_at_once(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    token = grant(world, sponsor, purpose, aida, 900)
    payment = hold_up(world, aida, token, [out(shop, 600, purpose), out(aida, 300, purpose)], days=5)
    assert waiting_of(world, payment) == Waiting(
        payer="altyn/aida",
        signer=aida.key.public,
        entered_s=NOW_S,
        until_s=NOW_S + 5 * DAY_S,
        approvals=[],
        lines=[],
        outputs=[[0, shop.key.public, 600, purpose, None, False, None]],
        lapsed=False,
    )
    assert world.token(token) is None
    assert world.token(escrow(payment)) == Token(payment, 600, purpose)
    assert tokens_of(world, aida) == [Token(aida.key.public, 300, purpose)]
    assert (tokens_of(world, shop), paid_of(world, payment, purpose, shop)) == ([], None)
    transfer(world, [escrow(payment, 1)], [out(aida, 300, purpose)], aida.key)


def test_free_tenge_in_a_payment_that_waits_waits_as_well(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    tokens = [grant(world, sponsor, purpose, aida, 900), world.fund(aida, 100)]
    outputs = [out(shop, 900, purpose), out(shop, 40), out(aida, 60)]
    payment = transfer(world, tokens, outputs, aida.key, until_s=NOW_S + DAY_S)[0][:32]
    assert [world.token(escrow(payment, index)) for index in range(3)] == [
        Token(payment, 900, purpose),
        Token(payment, 40, None),
        Token(aida.key.public, 60, None),
    ]
    approve(world, payment, "altyn/bolat", bolat.key)
    assert tokens_of(world, shop) == [Token(shop.key.public, 40, None), Token(shop.key.public, 900, None)]


def test_what_waits_is_nobodys_to_spend(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    for owner in (aida, shop, bolat):
        with refuses(world, NotOwner):
            transfer(world, [escrow(payment)], [out(owner, 900, purpose)], owner.key)


def test_nothing_waits_for_what_a_condition_refuses_for_good(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=All((BY_BOLAT, PerPayment(899))))
    token = grant(world, sponsor, purpose, aida, 900)
    with refuses(world, PurposeRefused, condition="per_payment"):
        hold_up(world, aida, token, [out(shop, 900, purpose)])


def test_what_is_there_already_is_not_waited_for(
    world: World, aida: Customer, shop: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = programme(world, condition=BUILT)
    attest(world, registry, "altyn/aida")
    (made,) = transfer(world, [grant(world, sponsor, purpose, aida, 900)], [out(shop, 900, purpose)], aida.key)
    assert world.token(made) == Token(shop.key.public, 900, None)
    assert waiting_of(world, made[:32]) is None


def test_several_owners_payment_does_not_wait(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    tokens = [grant(world, sponsor, purpose, aida, 900), world.fund(bolat, 100)]
    with refuses(world, PurposeMismatch, found=2, wanted=1):
        transfer(world, tokens, [out(shop, 900, purpose), out(shop, 100)], aida.key, bolat.key, until_s=NOW_S + DAY_S)


def test_no_payment_waits_longer_than_a_season(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT, expires_s=NOW_S + 3 * YEAR_S)
    token = grant(world, sponsor, purpose, aida, 900)
    limit_s = NOW_S + MAX_WAITING_DAYS * DAY_S
    with refuses(world, Malformed, found=limit_s + 1, limit_days=MAX_WAITING_DAYS):
        transfer(world, [token], [out(shop, 900, purpose)], aida.key, until_s=limit_s + 1)
    (made,) = transfer(world, [token], [out(shop, 900, purpose)], aida.key, until_s=limit_s)
    waiting = waiting_of(world, made[:32])
    assert waiting is not None
    assert waiting.until_s == limit_s


def test_a_purposes_expiry_ends_the_waiting(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    """The earliest of all that are paid; a purpose of which only change comes back is not asked."""
    sponsor, purpose = programme(world, condition=BY_BOLAT, expires_s=NOW_S + 3 * DAY_S)
    other = define(world, sponsor, condition=BY_BOLAT, name="other", expires_s=NOW_S + 2 * DAY_S)
    third = define(world, sponsor, name="third", expires_s=NOW_S + DAY_S)
    tokens = [grant(world, sponsor, mark, aida, 100) for mark in (purpose, other, third)]
    outputs = [out(shop, 100, purpose), out(shop, 100, other), out(aida, 100, third)]
    payment = transfer(world, tokens, outputs, aida.key, until_s=NOW_S + 9 * DAY_S)[0][:32]
    waiting = waiting_of(world, payment)
    assert waiting is not None
    assert waiting.until_s == NOW_S + 2 * DAY_S
    world.now_s = NOW_S + 2 * DAY_S
    with refuses(world, Expired, limit=world.now_s):
        approve(world, payment, "altyn/bolat", bolat.key)
    sweep(world, escrow(payment))
    assert [token.purpose for token in tokens_of(world, aida)].count(other) == 1


# --- approvals ---------------------------------------------------------------------------------


@pytest.mark.parametrize(("mark", "after"), [(Clears(), None), (Keeps(), (None,)), (KeepsHops(3), (2,))])
def test_an_approved_payment_goes_through(
    world: World, aida: Customer, bolat: Customer, shop: Customer, mark: MarkRule, after: tuple[int | None] | None
) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT, mark=mark)
    token = grant(world, sponsor, purpose, aida, 900)
    payment = hold_up(world, aida, token, [out(shop, 600, purpose), out(aida, 300, purpose)])
    assert world.token(escrow(payment)) == Token(payment, 600, purpose, mark.first_left)
    world.now_s += HOUR_S
    approve(world, payment, "altyn/bolat", bolat.key)
    assert world.token(escrow(payment)) is None
    assert world.token(settled(payment)) == Token(shop.key.public, 600, *((purpose, *after) if after else (None, None)))
    assert waiting_of(world, payment) is None
    assert paid_of(world, payment, purpose, shop) == Paid(aida.key.public, 600, 0, mark.first_left, NOW_S)


def test_an_institution_approves_in_its_name(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=Approval(("inspectorate", "kumis"), 2))
    inspectorate = world.institution("inspectorate", Role.APPROVER)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    approve(world, payment, "inspectorate", inspectorate)
    waiting = waiting_of(world, payment)
    assert waiting is not None
    assert (waiting.approvals, world.token(settled(payment))) == (["inspectorate"], None)
    approve(world, payment, "kumis", world.banks["kumis"])
    assert world.token(settled(payment)) == Token(shop.key.public, 900, None)


def test_a_quorum_in_any_order(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=Approval(("altyn/bolat", "altyn/dana", "altyn/erlan"), 2))
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    approve(world, payment, "altyn/erlan", world.customer("erlan").key)
    approve(world, payment, "altyn/bolat", bolat.key)
    assert world.token(settled(payment)) == Token(shop.key.public, 900, None)
    dana = world.customer("dana")
    with refuses(world, NotOwner, payment=payment):
        approve(world, payment, "altyn/dana", dana.key)


def test_approvals_are_kept_sorted(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    names = ("altyn/bolat", "altyn/dana", "altyn/erlan")
    sponsor, purpose = programme(world, condition=Approval(names, 3))
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    approve(world, payment, "altyn/dana", world.customer("dana").key)
    approve(world, payment, "altyn/bolat", bolat.key)
    waiting = waiting_of(world, payment)
    assert waiting is not None
    assert waiting.approvals == ["altyn/bolat", "altyn/dana"]


def test_who_may_not_approve(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=Approval(("altyn/bolat", "altyn/erlan"), 1))
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    dana, erlan = world.customer("dana"), world.customer("erlan")
    refused: list[tuple[type[TengeError], str, list[SigningKey]]] = [
        (RoleRefused, "altyn/dana", [dana.key]),
        (RoleRefused, "altyn/aida", [aida.key]),
        (RoleRefused, "altyn", [world.banks["altyn"]]),
        (RoleRefused, "altyn/bolat", [dana.key]),
        (RoleRefused, "altyn/erlan", [bolat.key]),
        (RoleRefused, "altyn/bolat", [bolat.key, erlan.key]),
        (NotEnrolled, "altyn/bolat", [STRANGER]),
    ]
    for error, by, keys in refused:
        with refuses(world, error):
            approve(world, payment, by, *keys)


def test_a_revoked_approvers_word_counts_no_more(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=Approval(("altyn/bolat", "inspectorate"), 1))
    inspectorate = world.institution("inspectorate", Role.APPROVER)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    revoke(world, bolat, wallet_id(world, bolat))
    dismiss(world, "inspectorate")
    for by, key in (("altyn/bolat", bolat.key), ("inspectorate", inspectorate)):
        with refuses(world, CertificateRevoked, key=key.public):
            approve(world, payment, by, key)


def test_an_expired_approvers_word_counts_no_more(world: World, shop: Customer, bolat: Customer) -> None:
    world.now_s += YEAR_S - DAY_S
    aida = world.customer("aida")
    sponsor, purpose = programme(world, condition=BY_BOLAT, expires_s=world.now_s + YEAR_S)
    token = grant(world, sponsor, purpose, aida, 900)
    payment = hold_up(world, aida, token, [out(shop, 900, purpose)])
    world.now_s += DAY_S
    with refuses(world, CertificateExpired, key=bolat.key.public, expired_s=world.now_s):
        approve(world, payment, "altyn/bolat", bolat.key)


def test_one_approves_once(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=Approval(("altyn/bolat", "altyn/dana"), 2))
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    done = approve(world, payment, "altyn/bolat", bolat.key)
    with refuses(world, Replayed, id=done):
        approve(world, payment, "altyn/bolat", bolat.key)


def test_the_same_approval_under_another_key_of_the_account_counts_once(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=Approval(("altyn/bolat", "altyn/dana"), 2))
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    approve(world, payment, "altyn/bolat", bolat.key)
    key = second_key(world, bolat)
    with refuses(world, Replayed):
        approve(world, payment, "altyn/bolat", key)


def test_what_does_not_wait_is_not_approved(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    (made,) = transfer(world, [world.fund(aida, 900)], [out(shop, 900)], aida.key)
    for payment in (made[:32], bytes(32)):
        with refuses(world, NotOwner, payment=payment):
            approve(world, payment, "altyn/bolat", bolat.key)


def test_an_approval_comes_before_the_deadline(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    tokens = [grant(world, sponsor, purpose, aida, 900) for _ in range(2)]
    first, second = (hold_up(world, aida, token, [out(shop, 900, purpose)], days=1) for token in tokens)
    world.now_s += DAY_S - 1
    approve(world, first, "altyn/bolat", bolat.key)
    world.now_s += 1
    with refuses(world, Expired, found=world.now_s, limit=world.now_s):
        approve(world, second, "altyn/bolat", bolat.key)


def test_approval_does_not_mend_what_else_is_lacking(
    world: World, aida: Customer, bolat: Customer, shop: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = programme(world, condition=All((BY_BOLAT, BUILT)))
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    approve(world, payment, "altyn/bolat", bolat.key)
    assert world.token(settled(payment)) is None
    attest(world, registry, payment)
    assert world.token(settled(payment)) == Token(shop.key.public, 900, None)


def test_each_purpose_of_a_payment_has_its_own_approvers(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    other = define(world, sponsor, name="other", condition=Approval(("altyn/dana",), 1))
    tokens = [grant(world, sponsor, mark, aida, 100) for mark in (purpose, other)]
    outputs = [out(shop, 100, purpose), out(shop, 100, other)]
    payment = transfer(world, tokens, outputs, aida.key, until_s=NOW_S + DAY_S)[0][:32]
    approve(world, payment, "altyn/bolat", bolat.key)
    assert tokens_of(world, shop) == []
    approve(world, payment, "altyn/dana", world.customer("dana").key)
    assert tokens_of(world, shop) == [Token(shop.key.public, 100, None)] * 2


# --- the payee, as he is by then ---------------------------------------------------------------


@pytest.mark.parametrize("whose", ["wallet", "another category"])
def test_a_payee_who_is_no_longer_what_he_was_gets_nothing(
    world: World, aida: Customer, bolat: Customer, whose: str
) -> None:
    canteen = world.customer("canteen", merchant=CANTEEN)
    sponsor, purpose = programme(world, condition=All((BY_BOLAT, PayeeMcc(("5812",)))))
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(canteen, 900, purpose)], days=1)
    if whose == "wallet":
        revoke(world, canteen, wallet_id(world, canteen))
    else:
        become(world, canteen, Merchant(CANTEEN.bin, "5813", CANTEEN.kato))
    approve(world, payment, "altyn/bolat", bolat.key)
    waiting = waiting_of(world, payment)
    assert waiting is not None
    assert (waiting.approvals, world.token(escrow(payment))) == (["altyn/bolat"], Token(payment, 900, purpose))
    with refuses(world, RoleRefused, payment=payment):
        sweep(world, escrow(payment))
    world.now_s += DAY_S
    sweep(world, escrow(payment))
    assert tokens_of(world, aida) == [Token(aida.key.public, 900, purpose)]


def become(world: World, customer: Customer, merchant: Merchant) -> None:
    """The bank certifies the customer's wallet again, with other attributes."""
    cwt = certificates.issue(
        world.banks[customer.bank],
        world.network,
        bank=customer.bank,
        subject=customer.name,
        key=customer.key.public,
        issued_s=world.now_s + 1,
        expires_s=world.now_s + YEAR_S,
        merchant=merchant,
    )
    world.do(Kind.ENROL, bodies.Enrol((cwt,)), world.banks[customer.bank])


def test_free_tenge_that_waits_does_not_go_to_a_revoked_key(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    dana = world.customer("dana")
    tokens = [grant(world, sponsor, purpose, aida, 900), world.fund(aida, 100)]
    payment = transfer(world, tokens, [out(shop, 900, purpose), out(dana, 100)], aida.key, until_s=NOW_S + DAY_S)[0][
        :32
    ]
    revoke(world, dana, wallet_id(world, dana))
    approve(world, payment, "altyn/bolat", bolat.key)
    assert (tokens_of(world, shop), tokens_of(world, dana)) == ([], [])


def test_the_conditions_ask_for_the_time_when_it_was_paid(world: World, aida: Customer, bolat: Customer) -> None:
    """Hours, dates and periods are judged as of then, so that waiting itself refuses nothing."""
    sponsor, purpose = programme(world, condition=All((BY_BOLAT, PerPeriod(900, 1))))
    shop = world.customer("shop")
    tokens = [grant(world, sponsor, purpose, aida, 900) for _ in range(2)]
    first = hold_up(world, aida, tokens[0], [out(shop, 900, purpose)])
    world.now_s += DAY_S
    second = hold_up(world, aida, tokens[1], [out(shop, 900, purpose)])
    for payment in (second, first):
        approve(world, payment, "altyn/bolat", bolat.key)
    assert tokens_of(world, shop) == [Token(shop.key.public, 900, None)] * 2


def test_waiting_beyond_the_last_hour_of_a_condition_refuses_nothing(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=All((BY_BOLAT, Before(NOW_S + 1))))
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    world.now_s += DAY_S
    approve(world, payment, "altyn/bolat", bolat.key)
    assert tokens_of(world, shop) == [Token(shop.key.public, 900, None)]


def test_what_was_bought_is_asked_again_as_it_was_stated(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = programme(world, condition=All((BY_BOLAT, Items(("food",)))))
    shop = world.customer("shop")
    token = grant(world, sponsor, purpose, aida, 900)
    request = ask(world, shop, 900, Line("food", 900))
    (made,) = transfer(world, [token], [out(shop, 900, purpose)], aida.key, until_s=NOW_S + DAY_S, request=request)
    waiting = waiting_of(world, made[:32])
    assert waiting is not None
    assert waiting.lines == [["food", 900]]
    approve(world, made[:32], "altyn/bolat", bolat.key)
    assert tokens_of(world, shop) == [Token(shop.key.public, 900, None)]


def test_a_split_part_waits_with_the_rest_and_is_free(world: World, aida: Customer, bolat: Customer) -> None:
    tax, shop = world.customer("tax"), world.customer("shop")
    sponsor, purpose = programme(world, condition=BY_BOLAT, mark=Keeps(), split=Split("altyn/tax", 12, 100))
    token = grant(world, sponsor, purpose, aida, 1000)
    payment = hold_up(world, aida, token, [out(shop, 880, purpose), out(tax, 120, purpose)])
    assert (tokens_of(world, shop), tokens_of(world, tax)) == ([], [])
    approve(world, payment, "altyn/bolat", bolat.key)
    assert tokens_of(world, shop) == [Token(shop.key.public, 880, purpose)]
    assert tokens_of(world, tax) == [Token(tax.key.public, 120, None)]
    assert paid_of(world, payment, purpose, tax) == Paid(aida.key.public, 120, 0, None, NOW_S)


# --- evidence ----------------------------------------------------------------------------------


def test_evidence_about_the_payment_lets_it_through_at_once(
    world: World, aida: Customer, shop: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = programme(world, condition=BUILT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    attest(world, registry, payment, "begun")
    assert world.token(escrow(payment)) == Token(payment, 900, purpose)
    attest(world, registry, payment, "built")
    assert world.token(settled(payment)) == Token(shop.key.public, 900, None)
    assert waiting_of(world, payment) is None


@pytest.mark.parametrize("about", ["altyn/aida", "altyn/shop"])
def test_evidence_about_an_account_lets_it_through_by_a_sweep(
    world: World, aida: Customer, shop: Customer, registry: SigningKey, about: str
) -> None:
    sponsor, purpose = programme(world, condition=BUILT)
    token = grant(world, sponsor, purpose, aida, 900)
    payment = hold_up(world, aida, token, [out(shop, 600, purpose), out(shop, 300, purpose)])
    attest(world, registry, about)
    assert world.token(escrow(payment)) == Token(payment, 600, purpose)
    sweep(world, escrow(payment, 1))
    assert tokens_of(world, shop) == [Token(shop.key.public, 300, None), Token(shop.key.public, 600, None)]
    assert paid_of(world, payment, purpose, shop) == Paid(aida.key.public, 900, 0, None, NOW_S)


@pytest.mark.parametrize("about", ["altyn/bolat", "kumis/aida", "altyn"])
def test_evidence_about_others_lets_nothing_through(
    world: World, aida: Customer, shop: Customer, registry: SigningKey, about: str
) -> None:
    sponsor, purpose = programme(world, condition=BUILT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    attest(world, registry, about)
    with refuses(world, RoleRefused, payment=payment):
        sweep(world, escrow(payment))


def test_evidence_at_the_deadline_is_too_late(
    world: World, aida: Customer, shop: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = programme(world, condition=BUILT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)], days=1)
    world.now_s += DAY_S
    attest(world, registry, payment)
    assert world.token(settled(payment)) is None
    sweep(world, escrow(payment))
    assert tokens_of(world, aida) == [Token(aida.key.public, 900, purpose)]


def test_evidence_after_it_lapsed_moves_nothing(
    world: World, aida: Customer, shop: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = programme(world, condition=BUILT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)], days=1)
    world.now_s += DAY_S
    sweep(world, escrow(payment))
    attest(world, registry, payment)
    assert (tokens_of(world, shop), len(tokens_of(world, aida))) == ([], 1)


# --- lapse -------------------------------------------------------------------------------------


def test_a_payment_lapses_at_its_deadline_exactly(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)], days=1)
    world.now_s += DAY_S - 1
    with refuses(world, RoleRefused, payment=payment):
        sweep(world, escrow(payment))
    world.now_s += 1
    sweep(world, escrow(payment))
    assert world.token(returned(payment)) == Token(aida.key.public, 900, purpose)
    after = waiting_of(world, payment)
    assert after is not None
    assert (after.lapsed, after.outputs, after.until_s) == (True, [], world.now_s)
    with refuses(world, Expired):
        approve(world, payment, "altyn/bolat", bolat.key)


def test_what_lapsed_returns_with_its_marks_and_what_was_left_of_them(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT, mark=KeepsHops(3))
    tokens = [grant(world, sponsor, purpose, aida, 900), world.fund(aida, 50)]
    outputs = [out(shop, 500, purpose), out(bolat, 400, purpose), out(shop, 50)]
    payment = transfer(world, tokens, outputs, aida.key, until_s=NOW_S + DAY_S)[0][:32]
    world.now_s += DAY_S
    sweep(world, escrow(payment, 2))
    assert [world.token(returned(payment, index)) for index in range(3)] == [
        Token(aida.key.public, 500, purpose, 3),
        Token(aida.key.public, 400, purpose, 3),
        Token(aida.key.public, 50, None),
    ]
    assert [world.token(escrow(payment, index)) for index in range(3)] == [None] * 3
    transfer(world, [returned(payment)], [out(aida, 500, purpose)], aida.key)


def test_a_payment_ends_once(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    """One of its escrow tokens stands for all of it: two of them in one sweep would end it twice."""
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    token = grant(world, sponsor, purpose, aida, 900)
    payment = hold_up(world, aida, token, [out(shop, 600, purpose), out(bolat, 300, purpose)], days=1)
    world.now_s += DAY_S
    with refuses(world, RoleRefused, outpoint=escrow(payment, 1)):
        sweep(world, escrow(payment, 0), escrow(payment, 1))
    sweep(world, escrow(payment))
    for index in range(2):
        with refuses(world, RoleRefused, outpoint=escrow(payment, index)):
            sweep(world, escrow(payment, index))


def test_who_spent_what_waited_is_told(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)])
    by = approve(world, payment, "altyn/bolat", bolat.key)
    with refuses(world, DoubleSpend, by=by):
        transfer(world, [escrow(payment)], [out(aida, 900, purpose)], aida.key)


def test_a_lapsed_payment_was_never_paid_and_is_not_refunded(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(shop, 900, purpose)], days=1)
    token = world.fund(shop, 900)
    with refuses(world, NotOwner, payment=payment):
        refund(world, shop, payment, purpose, [token], [out(aida, 900, purpose)])
    world.now_s += DAY_S
    sweep(world, escrow(payment))
    with refuses(world, NotOwner, payment=payment):
        refund(world, shop, payment, purpose, [token], [out(aida, 900, purpose)])


# --- the period --------------------------------------------------------------------------------

BIG_ONES_ASK = Any((PerPeriod(1000, 30), BY_BOLAT))


def test_a_payment_that_waits_counts_in_its_period_once(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=All((BY_BOLAT, PerPeriod(1000, 30))))
    first = hold_up(world, aida, grant(world, sponsor, purpose, aida, 600), [out(shop, 600, purpose)])
    assert spent_of(world, purpose, "altyn/aida") == [[NOW_S, 600]]
    token = grant(world, sponsor, purpose, aida, 401)
    with refuses(world, PurposeRefused, condition="per_period"):
        hold_up(world, aida, token, [out(shop, 401, purpose)])
    second = hold_up(world, aida, token, [out(shop, 400, purpose), out(aida, 1, purpose)])
    for payment in (first, second):
        approve(world, payment, "altyn/bolat", bolat.key)
    assert spent_of(world, purpose, "altyn/aida") == [[NOW_S, 400], [NOW_S, 600]]
    assert sum(token.amount_tiyn for token in tokens_of(world, shop)) == 1000


def test_every_payee_of_a_payment_that_waits_counts(world: World, aida: Customer, bolat: Customer) -> None:
    shop, dana = world.customer("shop"), world.customer("dana")
    sponsor, purpose = programme(world, condition=All((BY_BOLAT, PerPeriod(1000, 30))))
    token = grant(world, sponsor, purpose, aida, 1000)
    payment = hold_up(world, aida, token, [out(shop, 700, purpose), out(dana, 300, purpose)])
    approve(world, payment, "altyn/bolat", bolat.key)
    assert (tokens_of(world, shop)[0].amount_tiyn, tokens_of(world, dana)[0].amount_tiyn) == (700, 300)


def test_what_lapsed_was_not_spent(world: World, aida: Customer, bolat: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=BIG_ONES_ASK)
    small, big = grant(world, sponsor, purpose, aida, 600), grant(world, sponsor, purpose, aida, 700)
    transfer(world, [small], [out(shop, 600, purpose)], aida.key)
    world.now_s += HOUR_S
    payment = hold_up(world, aida, big, [out(shop, 400, purpose), out(bolat, 300, purpose)], days=1)
    assert spent_of(world, purpose, "altyn/aida") == [[NOW_S, 600], [NOW_S + HOUR_S, 700]]
    world.now_s += DAY_S
    sweep(world, escrow(payment))
    assert spent_of(world, purpose, "altyn/aida") == [[NOW_S, 600]]
    transfer(world, [returned(payment)], [out(shop, 400, purpose)], aida.key)


def test_a_purpose_without_a_period_remembers_nothing(
    world: World, aida: Customer, bolat: Customer, shop: Customer
) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 600), [out(shop, 600, purpose)], days=1)
    world.now_s += DAY_S
    sweep(world, escrow(payment))
    assert spent_of(world, purpose, "altyn/aida") == []


def test_value_is_conserved_before_it_waits(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    token = grant(world, sponsor, purpose, aida, 900)
    with refuses(world, AmountMismatch, missing_tiyn=1):
        hold_up(world, aida, token, [out(shop, 901, purpose)])


def test_an_expired_purpose_does_not_begin_to_wait(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=BY_BOLAT)
    token = grant(world, sponsor, purpose, aida, 900)
    world.now_s = EXPIRY_S
    with refuses(world, Expired, limit=EXPIRY_S):
        transfer(world, [token], [out(shop, 900, purpose)], aida.key, until_s=LATER_S)
