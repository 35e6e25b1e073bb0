"""A payment given back: signed once, by him who still holds all of it, to him who paid it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cbdc.errors import (
    BadSignature,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    LimitHolding,
    LimitSpends,
    NotOwner,
    TengeError,
    TrustListStale,
    Unreachable,
    WrongPayee,
)
from cbdc.formats import cbor
from cbdc.formats.cose import Signature
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.messages.bodies import Reconcile, Transfer
from cbdc.messages.message import build, decode
from cbdc.policy import DAY_S
from tests.support import LIMITS, NOW_S, seed
from tests.wallet.paper import CANTEEN, Device, Paper, PowerCut, cut_power, pay, stolen_seed
from tests.wallet.town import Town
from wallet.carriers import MemoryCarrier
from wallet.carriers.exchange import as_releaser, as_taker
from wallet.protocol import PaymentBundle
from wallet.purse import Event, Holding, Sent, Status
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


@pytest.fixture
def paid(dana: Device, shop: Device) -> bytes:
    """dana has paid the shop 60; the payment's id."""
    pay(dana, shop, 60_00)
    return sent_by(dana).id


def sent_by(device: Device) -> Sent:
    return device.purse.sent()[-1]


def states(dana: Device, shop: Device) -> tuple[Status, Holding]:
    return sent_by(dana).status, shop.purse.received()[-1].state


# --- back and forth ----------------------------------------------------------------------------


def test_a_release_brings_everything_back(dana: Device, shop: Device, paid: bytes) -> None:
    assert dana.purse.take_back(shop.purse.release(paid)) == paid
    assert (dana.purse.balance_tiyn(), shop.purse.balance_tiyn()) == (COIN, 0)
    assert (dana.purse.pending_tiyn(), shop.purse.pending_tiyn()) == (0, 0)
    assert states(dana, shop) == (Status.RELEASED, Holding.RELEASED)
    assert {token.hops for token in dana.purse.tokens().values()} == {0}


def test_it_works_without_the_receipt(dana: Device, shop: Device) -> None:
    shop.purse.accept(dana.purse.pay(shop.purse.invoice(60_00)))
    dana.purse.take_back(shop.purse.release(sent_by(dana).id))
    assert states(dana, shop) == (Status.RELEASED, Holding.RELEASED)
    assert dana.purse.pending_tiyn() == 0


def test_what_came_back_is_money_like_any_other(dana: Device, shop: Device, paid: bytes, new_device: NewDevice) -> None:
    """It is spent together with the change, and a device that knows nothing of the release judges it from the bytes."""
    dana.purse.take_back(shop.purse.release(paid))
    bakery, last = new_device("bakery"), new_device("last")
    bundle = PaymentBundle.decode(pay(dana, bakery, 90_00))
    assert len(bundle.ancestry) == 2
    pay(bakery, last, 80_00)
    assert last.purse.balance_tiyn() == 80_00
    assert {token.hops for token in last.purse.tokens().values()} == {2}


def test_a_repeat_gives_the_same_bytes_and_one_credit(dana: Device, shop: Device, paid: bytes) -> None:
    bundle = shop.purse.release(paid)
    assert [shop.purse.release(paid), shop.restarted().purse.release(paid)] == [bundle, bundle]
    dana.purse.take_back(bundle)
    once = dana.everything()
    assert [dana.purse.take_back(bundle), dana.restarted().purse.take_back(bundle)] == [paid, paid]
    assert dana.everything() == once
    assert dana.purse.balance_tiyn() == COIN


def test_a_repeat_after_the_money_moved_on_brings_nothing_more(
    dana: Device, shop: Device, paid: bytes, new_device: NewDevice
) -> None:
    bundle = shop.purse.release(paid)
    dana.purse.take_back(bundle)
    pay(dana, new_device("bakery"), COIN)
    dana.purse.take_back(bundle)
    assert dana.purse.balance_tiyn() == 0


def test_a_release_asks_no_limit_of_the_purse_that_made_it(dana: Device, new_device: NewDevice) -> None:
    """The element counts the signature; the payer's room is not asked, for it was his money."""
    small = new_device("small", limits=replace(LIMITS, spends=1))
    pay(dana, small, 60_00)
    dana.load(LIMITS.holding_tiyn - dana.purse.balance_tiyn())
    dana.purse.take_back(small.purse.release(sent_by(dana).id))
    assert dana.purse.balance_tiyn() == LIMITS.holding_tiyn + 60_00
    assert small.element.counters() == (1, 1)


# --- marks -------------------------------------------------------------------------------------


def test_the_mark_comes_back_though_the_payee_held_free_money(dana: Device, new_device: NewDevice) -> None:
    canteen = new_device("canteen", merchant=CANTEEN)
    meals = dana.paper.meals_id
    dana.load(30_00, meals)
    pay(dana, canteen, 50_00)
    assert {token.purpose for token in canteen.purse.tokens().values()} == {None}
    dana.purse.take_back(canteen.purse.release(sent_by(dana).id))
    held: dict[Any, int] = {}
    for token in dana.purse.tokens().values():
        held[token.purpose] = held.get(token.purpose, 0) + token.amount_tiyn
    assert held == {None: COIN, meals: 30_00}


# --- who may not -------------------------------------------------------------------------------


def test_only_what_was_taken_can_be_given_back(dana: Device, shop: Device, paid: bytes, new_device: NewDevice) -> None:
    for device, payment_id in ((dana, paid), (new_device("stranger"), paid), (shop, seed("never paid"))):
        before = device.everything()
        with pytest.raises(NotOwner):
            device.purse.release(payment_id)
        assert (device.everything(), device.element.counters()[0]) == (before, int(device is dana))


def test_what_the_ledger_refused_cannot_be_given_back(shop: Device, paid: bytes) -> None:
    assert shop.purse.mark_received(paid, Event.DECLINED) is Holding.REFUSED
    with pytest.raises(NotOwner):
        shop.purse.release(paid)
    assert shop.element.counters()[0] == 0


def test_what_was_spent_in_part_stays(dana: Device, shop: Device, paid: bytes, new_device: NewDevice) -> None:
    pay(shop, new_device("bakery"), 10_00)
    before = shop.everything()
    with pytest.raises(DoubleSpend):
        shop.purse.release(paid)
    assert shop.everything() == before
    assert states(dana, shop) == (Status.ACCEPTED, Holding.STORED)


def test_a_rolled_back_storage_meets_an_element_that_remembers(
    shop: Device, paid: bytes, new_device: NewDevice
) -> None:
    tokens = shop.vault.items("token")
    pay(shop, new_device("bakery"), 60_00)
    for name, value in tokens:
        shop.vault.put("token", name, value)
    with pytest.raises(DoubleSpend):
        shop.purse.release(paid)


def test_what_was_released_cannot_be_paid(shop: Device, paid: bytes, new_device: NewDevice) -> None:
    tokens = shop.vault.items("token")
    shop.purse.release(paid)
    for name, value in tokens:
        shop.vault.put("token", name, value)
    with pytest.raises(DoubleSpend):
        shop.purse.pay(new_device("bakery").purse.invoice(60_00))


def test_a_release_is_for_the_payer_alone(dana: Device, shop: Device, paid: bytes, new_device: NewDevice) -> None:
    bundle = shop.purse.release(paid)
    for device in (new_device("stranger"), shop):
        before = device.everything()
        for take in (device.purse.take_back, device.purse.accept):
            with pytest.raises(WrongPayee):
                take(bundle)
        assert device.everything() == before


def test_a_release_is_no_payment_and_a_payment_no_release(dana: Device, shop: Device, paid: bytes) -> None:
    with pytest.raises(WrongPayee):
        dana.purse.accept(shop.purse.release(paid))
    dana.load(5_00)
    payment = dana.purse.pay(shop.purse.invoice(5_00))
    with pytest.raises(WrongPayee):
        shop.purse.take_back(payment)


def test_a_forged_release_is_refused(dana: Device, shop: Device, paid: bytes) -> None:
    bundle = PaymentBundle.decode(shop.purse.release(paid))
    forged = replace(bundle, payment=bundle.payment[:-1] + bytes([bundle.payment[-1] ^ 1]))
    before = dana.everything()
    with pytest.raises(BadSignature):
        dana.purse.take_back(forged.encode())
    assert dana.everything() == before


def test_a_release_that_another_spend_contradicts_is_refused_and_proven(
    dana: Device, shop: Device, paid: bytes, new_device: NewDevice
) -> None:
    """The shop's element has been opened: it pays dana with the very tokens that it then gives back to her."""
    tokens = shop.vault.items("token")
    bundle = shop.purse.release(paid)
    for name, value in tokens:
        shop.vault.put("token", name, value)
    assert isinstance(shop.element, BrokenElement)
    for name, _ in tokens:
        shop.element.forget_spend(name)
    pay(shop, dana, 60_00)
    with pytest.raises(DoubleSpend):
        dana.purse.take_back(bundle)
    assert PaymentBundle.decode(bundle).payment in dana.purse.evidence()
    assert sent_by(dana).status is Status.ACCEPTED


# --- time --------------------------------------------------------------------------------------


def refused(call: Callable[[], object], error: type[TengeError]) -> None:
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error


def test_a_release_after_spend_until_is_refused(paper: Paper, dana: Device, shop: Device, paid: bytes) -> None:
    paper.now_s += 7 * DAY_S + 1
    shop.learn(paper.trust_list())
    refused(lambda: shop.purse.release(paid), Expired)
    assert shop.purse.balance_tiyn() == 60_00


def test_a_stale_device_neither_gives_nor_takes_back(paper: Paper, dana: Device, shop: Device, paid: bytes) -> None:
    bundle = shop.purse.release(paid)
    paper.now_s += 3 * DAY_S + 1
    refused(lambda: dana.purse.take_back(bundle), TrustListStale)
    paper.now_s -= 1
    dana.purse.take_back(bundle)


def test_a_stale_payee_gives_nothing_back(paper: Paper, shop: Device, paid: bytes) -> None:
    paper.now_s += 3 * DAY_S + 1
    refused(lambda: shop.purse.release(paid), TrustListStale)


def test_nothing_is_taken_back_from_a_revoked_purse(paper: Paper, dana: Device, shop: Device, paid: bytes) -> None:
    bundle = shop.purse.release(paid)
    dana.learn(paper.trust_list(NOW_S + 1, revoked=(shop.purse.certificate.id,)))
    refused(lambda: dana.purse.take_back(bundle), CertificateRevoked)


def test_a_release_from_the_future_is_refused(paper: Paper, dana: Device, shop: Device, paid: bytes) -> None:
    """Whoever names a time yet to come names a list that nobody has: with the list the time comes as well."""
    shop.learn(paper.trust_list(NOW_S + 60))
    bundle = shop.purse.release(paid)
    refused(lambda: dana.purse.take_back(bundle), TrustListStale)
    dana.purse.hear(shop.purse.trust_list_raw())
    dana.purse.take_back(bundle)


# --- power cuts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("at", "space"),
    [("put", "spender"), ("put", "payment"), ("put", "release"), ("put", "received"), ("drop", "token")],
)
def test_power_lost_after_the_element_signed_gives_the_same_release(
    dana: Device, shop: Device, paid: bytes, monkeypatch: pytest.MonkeyPatch, at: str, space: str
) -> None:
    cut_power(monkeypatch, shop, at, space)
    with pytest.raises(PowerCut):
        shop.purse.release(paid)
    monkeypatch.undo()
    assert shop.restarted().purse.recover() == 1
    assert shop.purse.recover() == 0
    bundle = shop.purse.release(paid)
    assert shop.element.counters()[0] == 1
    assert shop.purse.balance_tiyn() == 0
    dana.purse.take_back(bundle)
    assert dana.purse.balance_tiyn() == COIN


def test_a_release_is_not_forgotten_when_the_element_dies_behind_its_signature(
    dana: Device, shop: Device, paid: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    sign = shop.element.sign_payment

    def dying(payload: bytes) -> Signature:
        sign(payload)
        raise Unreachable("the element died after it had signed")

    monkeypatch.setattr(shop.element, "sign_payment", dying)
    with pytest.raises(Unreachable):
        shop.purse.release(paid)
    monkeypatch.undo()
    dana.purse.take_back(shop.purse.release(paid))
    assert (dana.purse.balance_tiyn(), shop.element.counters()[0]) == (COIN, 1)


def test_a_release_that_another_spend_overtook_is_forgotten(shop: Device, paid: bytes, new_device: NewDevice) -> None:
    """The storage was rolled back to between intent and signature; the element has gone another way since."""
    held = shop.vault.items("token")
    payload = shop.purse._compose_release(paid, shop.purse.knowledge())[1]
    pay(shop, new_device("bakery"), 60_00)
    shop.vault.put("releasing", paid, [payload, [name for name, _ in held]])
    assert shop.purse.recover() == 0
    assert shop.vault.items("releasing") == []


def test_power_lost_before_the_element_signed_released_nothing(
    shop: Device, paid: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    def dying(_: bytes) -> None:
        raise PowerCut

    monkeypatch.setattr(shop.element, "sign_payment", dying)
    with pytest.raises(PowerCut):
        shop.purse.release(paid)
    monkeypatch.undo()
    assert shop.restarted().purse.recover() == 0
    assert (shop.purse.balance_tiyn(), shop.element.counters()[0]) == (60_00, 0)
    assert shop.vault.items("releasing") == []
    assert shop.purse.release(paid)


def test_goods_are_given_back_whatever_has_been_paid_before(dana: Device, new_device: NewDevice) -> None:
    """A purse that has paid as often as it may pays no more before a sync, but what it was paid it can give back."""
    payee = new_device("payee", limits=replace(LIMITS, spends=1))
    payee.load(5_00)
    pay(dana, payee, 60_00)
    payment_id, before = sent_by(dana).id, dana.purse.balance_tiyn()
    pay(payee, new_device("bakery"), 5_00)
    with pytest.raises(LimitSpends):
        payee.purse.pay(new_device("grocer").purse.invoice(1_00))
    dana.purse.take_back(payee.purse.release(payment_id))
    assert dana.purse.balance_tiyn() == before + 60_00


@pytest.mark.parametrize("space", ["token", "payment", "spender", "sent", "returned"])
def test_power_lost_while_taking_back_takes_nothing_and_the_repeat_completes_it(
    dana: Device, shop: Device, paid: bytes, monkeypatch: pytest.MonkeyPatch, space: str
) -> None:
    bundle = shop.purse.release(paid)
    before = dana.everything()
    cut_power(monkeypatch, dana, "put", space)
    with pytest.raises(PowerCut):
        dana.purse.take_back(bundle)
    monkeypatch.undo()
    assert dana.restarted().everything() == before
    dana.purse.take_back(bundle)
    assert dana.purse.balance_tiyn() == COIN


# --- at the ledger -----------------------------------------------------------------------------


@pytest.fixture
def town(found: Found) -> Town:
    town = found("dana", "erlan")
    town["dana"].load(town.port, 300_00)
    return town


@pytest.mark.parametrize("order", [("dana", "erlan"), ("erlan", "dana"), ("erlan", "dana", "erlan"), ("dana",)])
def test_the_ledger_takes_payment_and_release_in_any_order(town: Town, order: tuple[str, ...]) -> None:
    payment_id = town.pay_offline("dana", "erlan", 100_00)
    town["dana"].purse.take_back(town["erlan"].purse.release(payment_id))
    town.sync(*order)
    assert town.held("dana")[1:] == (300_00, 0)
    assert town.held("erlan")[1:] == (0, 0)
    assert [sent.status for sent in town["dana"].purse.sent()] == [Status.RELEASED]
    assert [held.state for held in town["erlan"].purse.received()] == [Holding.RELEASED]


def test_a_release_that_never_arrived_reaches_the_payer_by_the_ledger(town: Town) -> None:
    payment_id = town.pay_offline("dana", "erlan", 100_00)
    town["erlan"].purse.release(payment_id)
    town.sync("erlan", "dana")
    assert town.held("dana")[1:] == (300_00, 0)
    assert [sent.status for sent in town["dana"].purse.sent()] == [Status.RELEASED]


def test_a_payment_back_is_no_release(town: Town) -> None:
    town.pay_offline("dana", "erlan", 100_00)
    town.pay_offline("erlan", "dana", 100_00)
    town.sync("erlan", "dana")
    assert town.held("dana")[1:] == (300_00, 0)
    assert [sent.status for sent in town["dana"].purse.sent()] == [Status.SETTLED]


def test_the_ledger_refuses_a_release_that_goes_elsewhere(found: Found) -> None:
    """erlan's element has been opened: he "releases" to a third, which would count a hop down and pass all limits."""
    town = found("dana", "erlan", "farida")
    town["dana"].load(town.port, 300_00)
    payment_id = town.pay_offline("dana", "erlan", 100_00)
    erlan, farida = town["erlan"], town["farida"]
    honest = decode(PaymentBundle.decode(erlan.purse.release(payment_id)).payment, erlan.network).body
    assert isinstance(honest, Transfer)
    assert honest.terms is not None
    terms = replace(honest.terms, payee_certificate=farida.purse.certificate.id)
    outputs = tuple(replace(output, owner=farida.element.public_key) for output in honest.outputs)
    key = SigningKey(stolen_seed(town.economy.device("erlan").directory / "element.db", "scenario"))
    forged = build(Kind.TRANSFER, replace(honest, outputs=outputs, terms=terms), [key], erlan.network)
    town.sync("dana")
    with pytest.raises(WrongPayee):
        town.port.submit(build(Kind.RECONCILE, Reconcile((forged,)), [], erlan.network))
    town.sync("erlan", "dana")
    assert (town.held("dana")[1], town.held("farida")[1]) == (300_00, 0)


def revoked_payee(found: Found) -> tuple[Town, bytes]:
    """erlan was paid 100; then his purse is revoked, which dana has not heard, and his device learns the newer list."""
    town = found("dana", "erlan", "shop", reserve="5 000")
    town["dana"].load(town.port, 100_00)
    payment_id = town.pay_offline("dana", "erlan", 100_00)
    town.pass_time(3600)
    town.bank.revoke(town.port, town["erlan"].purse_key, "lost")
    town.pass_time(3600)
    town["erlan"].purse.learn(town.port.trust_list(), town.port.policy(), town.port.purposes())
    return town, town["erlan"].purse.release(payment_id)


def test_a_revoked_purse_gives_nothing_back(found: Found) -> None:
    """Under the list that it names the ledger refuses its release: dana must not take that for money."""
    town, released = revoked_payee(found)
    dana, erlan = town["dana"], town["erlan"]
    with pytest.raises(TrustListStale):
        dana.purse.take_back(released)
    assert dana.purse.hear(erlan.purse.trust_list_raw())
    with pytest.raises(CertificateRevoked):
        dana.purse.take_back(released)
    assert dana.purse.balance_tiyn() == 0
    town.sync("dana")
    assert [sent.status for sent in dana.purse.sent()] == [Status.SETTLED]
    town.pass_time(22 * DAY_S)
    assert (town.held("dana")[0], town.held("erlan")[0]) == (900_00, 1_100_00)
    assert town.economy.queries.forks() == []


def test_a_release_under_a_newer_list_is_taken_once_that_list_is_heard(dana: Device, shop: Device, paid: bytes) -> None:
    shop.learn(dana.paper.trust_list(dana.paper.now_s + 60))
    bundle = shop.purse.release(paid)
    before = dana.everything()
    with pytest.raises(TrustListStale):
        dana.purse.take_back(bundle)
    assert dana.everything() == before
    link = MemoryCarrier()
    as_releaser(link, bundle, shop.purse)
    assert as_taker(link, dana.purse.take_back, dana.purse) == paid
    assert dana.purse.balance_tiyn() == COIN


# --- the holding limit ---------------------------------------------------------------------------


def filled_again(found: Found) -> tuple[Town, bytes]:
    """dana may hold 100: she paid 60 of it, synced, and filled her purse again; now the goods are refused."""
    town = found("dana", "erlan", "shop", holding="100")
    for name in ("dana", "shop"):
        town[name].load(town.port, 100_00)
    payment_id = town.pay_offline("dana", "erlan", 60_00)
    town.sync("dana")
    town["dana"].load(town.port, 60_00)
    return town, payment_id


def test_a_release_comes_back_also_into_a_purse_that_was_filled_meanwhile(found: Found) -> None:
    town, payment_id = filled_again(found)
    dana = town["dana"]
    dana.purse.take_back(town["erlan"].purse.release(payment_id))
    assert (dana.purse.balance_tiyn(), dana.purse.headroom_tiyn()) == (160_00, 0)


@pytest.mark.parametrize("way", ["by the device", "by the ledger"])
def test_above_its_limit_a_purse_takes_nothing_more_until_it_has_room(found: Found, way: str) -> None:
    """Whether the release was shown to it or came by its payee's sync alone: the same state."""
    town, payment_id = filled_again(found)
    dana, port = town["dana"], town.port
    bundle = town["erlan"].purse.release(payment_id)
    if way == "by the device":
        dana.purse.take_back(bundle)
    else:
        town.sync("erlan", "dana")

    def takes_nothing() -> None:
        for take in (lambda: dana.purse.invoice(1), lambda: dana.load(port, 1)):
            with pytest.raises(LimitHolding):
                take()

    takes_nothing()
    town.pay_offline("dana", "erlan", 10_00)
    town.sync("dana", "erlan")
    assert town.held("dana")[1] == dana.element.held_tiyn() == 150_00
    with pytest.raises(LimitHolding):
        dana.element.sign_invoice(cbor.encode([1]))
    takes_nothing()
    dana.unload(port, 60_00)
    assert (dana.purse.headroom_tiyn(), dana.element.held_tiyn()) == (10_00, 90_00)
    town.pay_offline("shop", "dana", 10_00)
    town.sync("dana")
    takes_nothing()


def test_until_the_next_sync_the_purse_itself_counts_what_came_back(found: Found) -> None:
    """The element is not shown a release, so it counts too little; the purse does not."""
    town, payment_id = filled_again(found)
    dana = town["dana"]
    dana.purse.take_back(town["erlan"].purse.release(payment_id))
    assert dana.element.held_tiyn() == 100_00
    town.pay_offline("dana", "erlan", 60_00)
    assert (dana.element.held_tiyn(), dana.purse.headroom_tiyn()) == (40_00, 0)
    town.sync("dana", "erlan", "dana")
    assert dana.element.held_tiyn() == dana.purse.balance_tiyn() == 100_00
