"""Two devices: journals before emission, storage before answers, and nothing but bytes between them."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from dataclasses import replace
from typing import Any

import pytest

from cbdc.errors import (
    BadSignature,
    CertificateExpired,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    FormError,
    InsufficientFunds,
    LimitHolding,
    LimitHops,
    LimitPayment,
    LimitSpends,
    NotEnrolled,
    NotOwner,
    PurposeRefused,
    TengeError,
    TrustListStale,
    Unreachable,
    WrongPayee,
)
from cbdc.formats import cose
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.messages.bodies import Transfer
from cbdc.messages.message import decode
from cbdc.policy import DAY_S
from cbdc.service.founding import Governor
from tests.support import LIMITS, NOW_S, seed
from tests.wallet.paper import CANTEEN, Device, Paper, PowerCut, cut_power, pay
from tests.wallet.town import FUNDS_TIYN, Cable, Town
from wallet.protocol import PaymentBundle, invoice_payload, receipt_payload
from wallet.purse import Event, Purse, Sent, Status
from wallet.scenarios.broken_element import BrokenElement

COIN = 100_00
NewDevice = Callable[..., Device]
Found = Callable[..., Town]


@pytest.fixture
def dana(new_device: NewDevice) -> Device:
    device = new_device("dana")
    device.load(COIN)
    return device


@pytest.fixture
def shop(new_device: NewDevice) -> Device:
    return new_device("shop")


def only_sent(device: Device) -> Sent:
    (sent,) = device.purse.sent()
    return sent


# --- one payment -------------------------------------------------------------------------------


def test_a_payment_moves_the_money_and_the_receipt_ends_the_wait(dana: Device, shop: Device) -> None:
    bundle = dana.purse.pay(shop.purse.invoice(60_00))
    assert (dana.purse.balance_tiyn(), dana.purse.pending_tiyn()) == (40_00, 60_00)
    assert only_sent(dana).status is Status.PENDING
    receipt = shop.purse.accept(bundle)
    assert shop.purse.balance_tiyn() == 60_00
    dana.purse.finish(only_sent(dana).id, receipt)
    assert (dana.purse.balance_tiyn(), dana.purse.pending_tiyn()) == (40_00, 0)
    sent = only_sent(dana)
    assert (sent.status, sent.receipt, sent.amount_tiyn, sent.account) == (
        Status.ACCEPTED,
        receipt,
        60_00,
        "altyn/shop",
    )


def test_everything_survives_both_devices_restarting(dana: Device, shop: Device) -> None:
    pay(dana, shop, 60_00)
    dana.restarted()
    shop.restarted()
    assert (dana.purse.balance_tiyn(), shop.purse.balance_tiyn()) == (40_00, 60_00)
    assert only_sent(dana).status is Status.ACCEPTED
    assert shop.purse.spendable() == shop.purse.tokens()


def test_both_sides_have_the_payment_as_evidence(dana: Device, shop: Device) -> None:
    payment = PaymentBundle.decode(pay(dana, shop, 60_00)).payment
    assert dana.purse.evidence() == shop.purse.evidence() == [payment]
    for device in (dana, shop):
        device.purse.forget_evidence([device.paper.message_id(payment)])
        assert device.purse.evidence() == []


# --- torn transfers ----------------------------------------------------------------------------


def test_a_payment_is_journaled_before_its_bytes_are_out(dana: Device, shop: Device) -> None:
    """Power is lost before the payee sees anything: the same bytes come again, as often as asked."""
    bundle = dana.purse.pay(shop.purse.invoice(60_00))
    payment_id = only_sent(dana.restarted()).id
    assert dana.purse.again(payment_id) == dana.restarted().purse.again(payment_id) == bundle
    assert (dana.purse.balance_tiyn(), dana.purse.pending_tiyn()) == (40_00, 60_00)
    dana.purse.finish(payment_id, shop.purse.accept(dana.purse.again(payment_id)))
    assert dana.purse.again(payment_id) == bundle


def test_what_was_never_paid_is_not_shown_again(dana: Device) -> None:
    with pytest.raises(NotOwner):
        dana.purse.again(seed("no payment"))


def test_power_lost_before_the_journal_emits_nothing(
    dana: Device, shop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    cut_power(monkeypatch, dana, "put", "sent")
    with pytest.raises(PowerCut):
        dana.purse.pay(shop.purse.invoice(60_00))
    monkeypatch.undo()
    assert (dana.restarted().purse.sent(), sum(t.amount_tiyn for t in dana.purse.tokens().values())) == ([], COIN)


@pytest.mark.parametrize("place", ["in the journal", "in the element"])
def test_power_lost_while_paying_loses_nothing(
    dana: Device, shop: Device, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    """Cases 1 and 2: either nothing was signed and all is free, or the same payment is shown again."""
    invoice = shop.purse.invoice(60_00)
    if place == "in the journal":
        cut_power(monkeypatch, dana, "put", "sent")
    else:
        monkeypatch.setattr(dana.element, "_sign", lambda *_: (_ for _ in ()).throw(PowerCut))
    with pytest.raises(PowerCut):
        dana.purse.pay(invoice)
    monkeypatch.undo()
    dana.restarted().purse.recover()
    sent = dana.purse.sent()
    shop.purse.accept(dana.purse.again(sent[0].id) if sent else dana.purse.pay(invoice))
    assert (dana.purse.balance_tiyn(), shop.purse.balance_tiyn()) == (40_00, 60_00)


def test_a_payment_that_the_element_never_signed_never_happened(
    dana: Device, shop: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(_: bytes) -> None:
        raise PowerCut

    monkeypatch.setattr(dana.element, "sign_payment", dying)
    with pytest.raises(PowerCut):
        dana.purse.pay(shop.purse.invoice(60_00))
    monkeypatch.undo()
    assert dana.restarted().purse.recover() == 0
    assert (dana.purse.sent(), dana.purse.balance_tiyn(), dana.element.counters()) == ([], COIN, (0, 0))
    pay(dana, shop, COIN)


def test_an_invoice_is_never_paid_by_two_payments(dana: Device, shop: Device) -> None:
    """Whoever presses the button again, after a power cut or not, gets the same bytes or a refusal."""
    invoice = shop.purse.invoice(10_00)
    bundle = dana.purse.pay(invoice)
    with suppress(TengeError):
        assert dana.restarted().purse.pay(invoice) == bundle
    assert len(dana.purse.sent()) == 1
    assert dana.purse.pending_tiyn() == 10_00


@pytest.mark.parametrize("space", ["token", "payment", "spender", "received"])
def test_power_lost_before_storing_receives_nothing_and_the_repeat_completes_it_once(
    dana: Device, shop: Device, monkeypatch: pytest.MonkeyPatch, space: str
) -> None:
    bundle = dana.purse.pay(shop.purse.invoice(60_00))
    before = shop.everything()
    cut_power(monkeypatch, shop, "put", space)
    with pytest.raises(PowerCut):
        shop.purse.accept(bundle)
    monkeypatch.undo()
    assert shop.restarted().everything() == before
    receipt = shop.purse.accept(bundle)
    assert shop.restarted().purse.accept(bundle) == receipt
    assert shop.purse.balance_tiyn() == 60_00


def test_a_repeat_gets_the_same_receipt_and_one_credit(dana: Device, shop: Device) -> None:
    bundle = dana.purse.pay(shop.purse.invoice(60_00))
    receipt = shop.purse.accept(bundle)
    once = shop.everything()
    assert [shop.purse.accept(bundle), shop.restarted().purse.accept(bundle)] == [receipt, receipt]
    assert shop.everything() == once


def test_a_repeat_is_answered_even_after_the_money_has_moved_on(
    dana: Device, shop: Device, new_device: NewDevice
) -> None:
    bundle = dana.purse.pay(shop.purse.invoice(60_00))
    receipt = shop.purse.accept(bundle)
    pay(shop, new_device("baker"), 60_00)
    assert shop.purse.accept(bundle) == receipt
    assert shop.purse.balance_tiyn() == 0


def test_another_payee_refuses_what_was_not_for_him(dana: Device, shop: Device, new_device: NewDevice) -> None:
    bundle = dana.purse.pay(shop.purse.invoice(60_00))
    other = new_device("other")
    other.purse.invoice(60_00)
    with pytest.raises(WrongPayee):
        other.purse.accept(bundle)
    assert other.purse.balance_tiyn() == 0


def test_one_invoice_is_paid_once(dana: Device, shop: Device, new_device: NewDevice) -> None:
    invoice = shop.purse.invoice(60_00)
    shop.purse.accept(dana.purse.pay(invoice))
    erlan = new_device("erlan")
    erlan.load(COIN)
    with pytest.raises(WrongPayee):
        shop.purse.accept(erlan.purse.pay(invoice))
    assert shop.purse.balance_tiyn() == 60_00


# --- receipts ----------------------------------------------------------------------------------


@pytest.fixture
def waiting(dana: Device, shop: Device) -> Sent:
    """dana's payment whose receipt has not come."""
    shop.purse.accept(dana.purse.pay(shop.purse.invoice(60_00)))
    return only_sent(dana)


def sign_receipt(device: Device, payment_id: bytes) -> bytes:
    """A receipt that no sound element signs, for whatever payment."""
    key, payload = SigningKey(device.stolen_seed()), receipt_payload(payment_id, NOW_S)
    return cose.sign1(key, Kind.PAYMENT_RECEIPT, payload, device.paper.network)


def test_a_strangers_receipt_ends_no_wait(dana: Device, waiting: Sent, new_device: NewDevice) -> None:
    stranger = new_device("stranger")
    for receipt in (sign_receipt(stranger, waiting.id), sign_receipt(dana, waiting.id)):
        with pytest.raises(BadSignature):
            dana.purse.finish(waiting.id, receipt)
    assert only_sent(dana).status is Status.PENDING


def test_a_receipt_for_another_payment_ends_no_wait(dana: Device, shop: Device, waiting: Sent) -> None:
    with pytest.raises(WrongPayee):
        dana.purse.finish(waiting.id, sign_receipt(shop, seed("another payment")))
    with pytest.raises(FormError):
        dana.purse.finish(waiting.id, b"thanks")
    assert only_sent(dana).status is Status.PENDING


def test_a_receipt_for_a_payment_never_made_is_refused(dana: Device, shop: Device) -> None:
    with pytest.raises(NotOwner):
        dana.purse.finish(seed("never made"), sign_receipt(shop, seed("never made")))


@pytest.mark.parametrize(
    ("told", "final"),
    [(Event.TAKEN, Status.SETTLED), (Event.FORKED, Status.DISPUTED), (Event.DECLINED, Status.REFUSED)],
)
def test_a_late_receipt_changes_nothing_that_the_ledger_said(
    dana: Device, shop: Device, waiting: Sent, told: Event, final: Status
) -> None:
    assert dana.purse.mark(waiting.id, told) is final
    dana.purse.finish(waiting.id, sign_receipt(shop, waiting.id))
    assert only_sent(dana).status is final


# --- the payer looks at the invoice ------------------------------------------------------------


def forged_invoice(paper: Paper, **changes: Any) -> bytes:
    """An invoice by a payee whose element has been opened."""
    certificate, by = changes.pop("certificate", None), changes.pop("by", None)
    holding = by or paper.holding("forger")
    fields = {
        "amount_tiyn": 60_00,
        "certificate": certificate or holding.raw,
        "nonce": bytes(16),
        "headroom_tiyn": 100_00,
        "trust_list_s": NOW_S,
        "ledger_time_s": NOW_S,
    } | changes
    return cose.sign1(holding.key, Kind.INVOICE, invoice_payload(**fields), paper.network)


def by_a_false_bank(paper: Paper) -> bytes:
    key = paper.holding("forger").key.public
    return forged_invoice(paper, certificate=paper.certify("forger", key, by=SigningKey(seed("false bank"))))


def to_a_wallet(paper: Paper) -> bytes:
    key = paper.holding("forger").key.public
    return forged_invoice(paper, certificate=paper.certify("forger", key, limits=None, online_key=None))


def by_an_expired_payee(paper: Paper) -> bytes:
    key = paper.holding("forger").key.public
    return forged_invoice(paper, certificate=paper.certify("forger", key, expires_s=NOW_S))


BAD_INVOICES: dict[str, tuple[Callable[[Paper], bytes], type[TengeError]]] = {
    "by a false bank": (by_a_false_bank, NotEnrolled),
    "to a wallet, not a purse": (to_a_wallet, WrongPayee),
    "by an expired payee": (by_an_expired_payee, CertificateExpired),
    "above its own headroom": (lambda p: forged_invoice(p, headroom_tiyn=60_00 - 1), LimitHolding),
    "above the payer's limit": (
        lambda p: forged_invoice(p, amount_tiyn=LIMITS.payment_tiyn + 1, headroom_tiyn=10**9),
        LimitPayment,
    ),
    "more than there is": (lambda p: forged_invoice(p, amount_tiyn=COIN + 1, headroom_tiyn=10**9), InsufficientFunds),
    "with a stale trust list": (lambda p: forged_invoice(p, trust_list_s=NOW_S - 3 * DAY_S - 1), TrustListStale),
}


@pytest.mark.parametrize(("invoice", "error"), BAD_INVOICES.values(), ids=BAD_INVOICES)
def test_a_bad_invoice_is_refused_before_anything_is_signed(
    paper: Paper, dana: Device, invoice: Callable[[Paper], bytes], error: type[TengeError]
) -> None:
    before = dana.everything()
    with pytest.raises(TengeError) as refused:
        dana.purse.pay(invoice(paper))
    assert isinstance(refused.value, error), refused.value
    assert (dana.everything(), dana.element.counters()) == (before, (0, 0))
    assert dana.purse.balance_tiyn() == COIN


def test_coins_past_their_time_by_the_payees_word_are_called_expired(paper: Paper, dana: Device) -> None:
    """Case 19: the payer's clock was set back; the payee has seen a later time signed."""
    later_s = NOW_S + 7 * DAY_S + 1
    paper.now_s = NOW_S + 7 * DAY_S
    with pytest.raises(Expired):
        dana.purse.pay(forged_invoice(paper, ledger_time_s=later_s, trust_list_s=later_s))


def test_a_payer_whose_clock_is_set_back_still_pays_with_what_may_be_spent(paper: Paper, dana: Device) -> None:
    """By the payee's word one coin is past its time, so the other one pays."""
    later_s = NOW_S + 7 * DAY_S + 1
    paper.now_s = NOW_S + 7 * DAY_S
    fresh = dana.load(COIN, spend_until_s=later_s)
    bundle = dana.purse.pay(forged_invoice(paper, ledger_time_s=later_s, trust_list_s=later_s))
    body = decode(PaymentBundle.decode(bundle).payment, paper.network).body
    assert isinstance(body, Transfer)
    assert body.inputs == (fresh,)


def test_nobody_pays_himself(dana: Device) -> None:
    for amount_tiyn in (1_00, COIN + 1):
        with pytest.raises(WrongPayee):
            dana.purse.pay(dana.purse.invoice(amount_tiyn))
    assert dana.element.counters() == (0, 0)


def test_a_revoked_payee_is_not_paid(paper: Paper, dana: Device, shop: Device) -> None:
    invoice = shop.invoice(60_00)
    dana.learn(paper.trust_list(NOW_S + 1, revoked=(invoice.certificate.id,)))
    with pytest.raises(CertificateRevoked):
        dana.purse.pay(invoice.raw)
    assert dana.element.counters() == (0, 0)


def test_coins_past_their_time_are_not_offered(paper: Paper, dana: Device, shop: Device) -> None:
    paper.now_s += 7 * DAY_S + 1
    for device in (dana, shop):
        device.learn(paper.trust_list())
    with pytest.raises(Expired):
        dana.purse.pay(shop.purse.invoice(60_00))
    dana.load(80_00, spend_until_s=paper.now_s)
    assert PaymentBundle.decode(pay(dana, shop, 60_00)).loads
    assert dana.purse.balance_tiyn() == COIN + 20_00


def test_no_more_payments_than_the_element_allows(new_device: NewDevice, shop: Device) -> None:
    payer = new_device("payer", limits=replace(LIMITS, spends=2))
    payer.load(COIN)
    for _ in range(2):
        pay(payer, shop, 10_00)
    before = payer.everything()
    with pytest.raises(LimitSpends):
        payer.purse.pay(shop.purse.invoice(10_00))
    assert payer.everything() == before


# --- the payee's invoice -----------------------------------------------------------------------


def test_an_invoice_states_the_room_that_is_left(new_device: NewDevice, dana: Device) -> None:
    payee = new_device("payee", limits=replace(LIMITS, holding_tiyn=100_00))
    assert payee.invoice(100_00).headroom_tiyn == 100_00
    pay(dana, payee, 70_00)
    assert payee.invoice(30_00).headroom_tiyn == 30_00
    with pytest.raises(LimitHolding):
        payee.purse.invoice(30_01)


def test_the_purse_leaves_room_even_where_its_element_has_not_seen_the_money(new_device: NewDevice) -> None:
    """A load comes from the ledger, past the element, which hears of it in a sync that may be cut off."""
    payee = new_device("payee", limits=replace(LIMITS, holding_tiyn=100_00))
    payee.load(70_00)
    assert (payee.element.held_tiyn(), payee.invoice(30_00).headroom_tiyn) == (0, 30_00)
    with pytest.raises(LimitHolding):
        payee.purse.invoice(30_01)


def test_what_is_final_is_no_longer_in_the_purse(paper: Paper, dana: Device) -> None:
    """It is online again: it neither counts nor takes room."""
    room_tiyn = dana.purse.headroom_tiyn()
    paper.now_s += 21 * DAY_S - 1
    assert (dana.purse.balance_tiyn(), dana.purse.headroom_tiyn()) == (COIN, room_tiyn)
    paper.now_s += 1
    assert (dana.purse.balance_tiyn(), dana.purse.headroom_tiyn()) == (0, room_tiyn + COIN)


def test_two_open_invoices_share_the_room(new_device: NewDevice, dana: Device) -> None:
    payee, erlan = new_device("payee", limits=replace(LIMITS, holding_tiyn=100_00)), new_device("erlan")
    erlan.load(COIN)
    with pytest.raises(LimitHolding):
        one, other = payee.purse.invoice(70_00), payee.purse.invoice(70_00)
        payee.purse.accept(dana.purse.pay(one))
        payee.purse.accept(erlan.purse.pay(other))
    assert payee.purse.balance_tiyn() <= 100_00


def test_a_device_that_has_not_synced_for_days_asks_for_nothing(paper: Paper, shop: Device) -> None:
    paper.now_s += paper.policy.trust_list_days * DAY_S
    assert shop.purse.invoice(1_00)
    paper.now_s += 1
    with pytest.raises(TrustListStale):
        shop.purse.invoice(1_00)


def test_every_invoice_is_another(shop: Device) -> None:
    assert shop.invoice(1_00).id != shop.invoice(1_00).id


# --- hop after hop -----------------------------------------------------------------------------


def test_money_splits_and_merges_over_many_hops(dana: Device, new_device: NewDevice) -> None:
    """dana and erlan pay farida, who merges both and pays guldana, who pays hamza; change at every step."""
    erlan, farida, guldana, hamza = (new_device(name) for name in ("erlan", "farida", "guldana", "hamza"))
    erlan.load(50_00)
    pay(dana, farida, 60_00)
    pay(erlan, farida, 30_00)
    third = pay(farida, guldana, 80_00)
    last = pay(guldana, hamza, 70_00)
    devices = (dana, erlan, farida, guldana, hamza)
    assert [device.purse.balance_tiyn() for device in devices] == [40_00, 20_00, 10_00, 10_00, 70_00]
    assert [len(PaymentBundle.decode(bundle).ancestry) for bundle in (third, last)] == [2, 3]
    assert len(PaymentBundle.decode(last).loads) == 2
    hops = [{token.hops for token in device.purse.tokens().values()} for device in devices]
    assert hops == [{0}, {0}, {1}, {2}, {3}]


def test_a_bundle_alone_is_proof_enough(paper: Paper, dana: Device, shop: Device, new_device: NewDevice) -> None:
    """A device that has seen nothing but a trust list judges three hops from the bytes."""
    middle, last = new_device("middle"), new_device("last")
    pay(dana, middle, 60_00)
    pay(middle, shop, 50_00)
    bundle = shop.purse.pay(last.purse.invoice(40_00))
    last.purse.accept(bundle)
    assert last.purse.balance_tiyn() == 40_00
    assert len(last.purse.evidence()) == 3


def test_money_may_come_back_to_where_it_was(dana: Device, shop: Device) -> None:
    pay(dana, shop, 100_00)
    pay(shop, dana, 100_00)
    pay(dana, shop, 100_00)
    assert (dana.purse.balance_tiyn(), shop.purse.balance_tiyn()) == (0, 100_00)


def test_the_hop_after_the_last_is_refused_by_the_payers_own_purse(dana: Device, new_device: NewDevice) -> None:
    chain = [dana, *(new_device(f"hop {n}", limits=replace(LIMITS, hops=2)) for n in (1, 2, 3))]
    pay(chain[0], chain[1], 50_00)
    pay(chain[1], chain[2], 50_00)
    with pytest.raises(LimitHops):
        pay(chain[2], chain[3], 50_00)
    assert (chain[2].purse.balance_tiyn(), chain[2].element.counters()) == (50_00, (0, 0))


# --- marked money ------------------------------------------------------------------------------


@pytest.fixture
def canteen(new_device: NewDevice) -> Device:
    return new_device("canteen", merchant=CANTEEN)


def marked_tiyn(device: Device) -> int:
    return sum(token.amount_tiyn for token in device.purse.spendable().values() if token.purpose is not None)


def test_marked_money_is_spent_first_where_it_may_be(dana: Device, canteen: Device) -> None:
    dana.load(30_00, dana.paper.meals_id)
    pay(dana, canteen, 50_00)
    assert (dana.purse.balance_tiyn(), marked_tiyn(dana)) == (80_00, 0)
    assert (canteen.purse.balance_tiyn(), marked_tiyn(canteen)) == (50_00, 0)


def test_marked_change_keeps_its_mark(dana: Device, canteen: Device) -> None:
    dana.load(30_00, dana.paper.meals_id)
    pay(dana, canteen, 20_00, dana.paper.meals_id)
    assert (dana.purse.balance_tiyn(), marked_tiyn(dana)) == (COIN + 10_00, 10_00)


def test_marked_money_stays_where_its_conditions_say(dana: Device, shop: Device) -> None:
    dana.load(30_00, dana.paper.meals_id)
    with pytest.raises(PurposeRefused):
        dana.purse.pay(shop.purse.invoice(20_00), dana.paper.meals_id)
    pay(dana, shop, 20_00)
    assert (marked_tiyn(dana), marked_tiyn(shop)) == (30_00, 0)


# --- forks -------------------------------------------------------------------------------------


@pytest.fixture
def forked(dana: Device, new_device: NewDevice, monkeypatch: pytest.MonkeyPatch) -> tuple[Device, Device]:
    """Two honest payees of one coin: dana's storage was rolled back, and her element has been opened."""
    first, second = new_device("first"), new_device("second")
    tokens = dana.vault.items("token")
    assert isinstance(dana.element, BrokenElement)
    pay(dana, first, 60_00)
    for name, value in tokens:
        dana.vault.put("token", name, value)
        dana.element.forget_spend(name)
    pay(dana, second, 90_00)
    return first, second


def test_a_fork_between_bundle_and_storage_is_refused_and_proven(
    forked: tuple[Device, Device], shop: Device, paper: Paper
) -> None:
    first, second = forked
    taken = PaymentBundle.decode(pay(first, shop, 60_00))
    before = shop.everything()
    refused = second.purse.pay(shop.purse.invoice(90_00))
    with pytest.raises(DoubleSpend):
        shop.purse.accept(refused)
    assert shop.purse.balance_tiyn() == 60_00
    assert {k: v for k, v in shop.everything().items() if k != "invoice"} == {
        k: v for k, v in before.items() if k != "invoice"
    }
    bundle = PaymentBundle.decode(refused)
    one, other = taken.ancestry[0], bundle.ancestry[0]
    proof = shop.restarted().purse.evidence()
    assert {one, other} <= set(proof)
    assert bundle.payment not in proof  # it only spends what the fork made
    inputs = [set(decode(raw, paper.network).body.inputs) for raw in (one, other)]  # type: ignore[union-attr]
    assert inputs[0] & inputs[1]


def test_a_rolled_back_storage_meets_an_element_that_remembers(dana: Device, shop: Device) -> None:
    tokens = dana.vault.items("token")
    pay(dana, shop, 60_00)
    for name, value in tokens:
        dana.vault.put("token", name, value)
    assert dana.purse.balance_tiyn() == 40_00
    before = dana.everything()
    with pytest.raises(DoubleSpend):
        dana.purse.pay(shop.purse.invoice(90_00))
    assert {**dana.everything(), "invoice": []} == {**before, "invoice": []}


# --- what a device learns ----------------------------------------------------------------------


def test_a_device_never_goes_back_to_an_older_list(paper: Paper, shop: Device) -> None:
    newer = paper.trust_list(NOW_S + 10, revoked=(seed("revoked"),))
    shop.learn(newer)
    shop.learn(paper.trust_list(NOW_S + 9))
    assert shop.purse.trust_list.raw == newer
    assert shop.restarted().purse.ledger_time_s == NOW_S + 10


def test_a_list_under_another_root_is_not_learnt(paper: Paper, shop: Device) -> None:
    false = Governor.from_seed(seed("false governor"))
    operator = SigningKey(seed("false operator"))
    known = shop.purse.trust_list.raw
    for forged in (paper.trust_list(NOW_S + 10, governor=false), paper.trust_list(NOW_S + 10)[:-1] + b"\0"):
        with pytest.raises(BadSignature):
            shop.learn(forged)
    with pytest.raises(TengeError):
        shop.learn(paper.trust_list(NOW_S + 10, governor=false, operator=operator))
    assert (shop.purse.trust_list.raw, shop.purse.ledger_time_s) == (known, NOW_S)


def test_a_new_device_knows_nothing_and_says_so(paper: Paper, dana: Device) -> None:
    dana.vault.drop("purse", b"trust list")
    with pytest.raises(NotEnrolled, match="never synced"):
        dana.purse.invoice(1_00)
    dana.vault.drop("purse", b"certificate")
    with pytest.raises(NotEnrolled, match="no certificate"):
        Purse(dana.vault, dana.element, paper.network, paper.clock).certificate  # noqa: B018


# --- what the element can still sign -------------------------------------------------------------


def cut_renewal(found: Found) -> Town:
    """dana's renewal of her 100 is signed and has no answer; then she was paid 30."""
    town = found("dana", "erlan")
    for name in ("dana", "erlan"):
        town[name].load(town.port, 100_00)
    cable = Cable(town.port)
    cable.refuses = Unreachable("the cable is cut")
    with suppress(Unreachable):
        town["dana"].sync(cable)
    town.pay_offline("erlan", "dana", 30_00)
    return town


def test_after_a_cut_renewal_the_rest_is_spent(found: Found) -> None:
    """The tokens in the renewal are the better fit, and the element will not sign them."""
    town = cut_renewal(found)
    town.pay_offline("dana", "erlan", 20_00)
    assert town["dana"].purse.balance_tiyn() == 10_00
    with pytest.raises(InsufficientFunds) as refused:
        town.pay_offline("dana", "erlan", 10_01)
    assert refused.value.values["found"] == "10.00"
    town.sync("dana", "erlan", "dana")
    assert town.held("dana") == (FUNDS_TIYN - 100_00, 110_00, 0)
    town.pay_offline("dana", "erlan", 110_00)


def test_after_a_cut_renewal_of_everything_there_is_nothing_to_spend(found: Found) -> None:
    town = cut_renewal(found)
    town.pay_offline("dana", "erlan", 30_00)
    with pytest.raises(InsufficientFunds):
        town.pay_offline("dana", "erlan", 1)
    with pytest.raises(InsufficientFunds):
        town["dana"].purse.pay(town["erlan"].purse.invoice(100_00))
    assert len(town["dana"].purse.sent()) == 1


def test_a_token_past_its_time_beside_a_cut_renewal_is_called_expired(found: Found) -> None:
    town = cut_renewal(found)
    town.pass_time(7 * DAY_S + 1)
    town["erlan"].purse.learn(town.port.trust_list(), town.port.policy(), {})
    with pytest.raises(Expired):
        town.pay_offline("dana", "erlan", 20_00)


def test_a_storage_rolled_back_spends_what_is_left_and_names_the_reason_where_that_is_not_enough(
    dana: Device, shop: Device
) -> None:
    dana.load(20_00)
    before = dana.vault.items("token")
    pay(dana, shop, 60_00)
    for name, _ in dana.vault.items("token"):
        dana.vault.drop("token", name)
    for name, value in before:
        dana.vault.put("token", name, value)
    with pytest.raises(DoubleSpend):
        dana.purse.pay(shop.purse.invoice(20_01))
    pay(dana, shop, 20_00)
    assert shop.purse.balance_tiyn() == 80_00
