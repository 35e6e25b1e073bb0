"""The newer trust list, and the ledger time in it, go from device to device with the payments."""

from __future__ import annotations

import socket
from collections.abc import Callable
from threading import Thread

import pytest

from cbdc.errors import BadSignature, CertificateRevoked, Expired, FormError, Malformed, TengeError, TrustListStale
from cbdc.formats.ed25519 import SigningKey
from cbdc.limits import MAX_PASSED_LIST_BYTES
from cbdc.policy import DAY_S
from cbdc.service.founding import Governor
from tests.support import seed
from tests.wallet.paper import Device, Paper, pay
from wallet.carriers import MemoryCarrier
from wallet.carriers.exchange import as_payee, as_payer, is_trust_list
from wallet.carriers.socket import SocketCarrier

PRICE = 60_00
New = Callable[..., Device]


@pytest.fixture
def shop(new_device: New) -> Device:
    return new_device("shop")


@pytest.fixture
def dana(new_device: New) -> Device:
    made = new_device("dana")
    made.load(200_00)
    return made


def exchange(payer: Device, payee: Device) -> None:
    """A whole payment over a socket, each side in a thread of its own."""
    ours, theirs = socket.socketpair()
    failed: list[BaseException] = []
    with SocketCarrier(ours, 10) as here, SocketCarrier(theirs, 10) as there:

        def sell() -> None:
            try:
                as_payee(here, payee.purse.invoice(PRICE), payee.purse.accept, payee.purse)
            except BaseException as error:
                failed.insert(0, error)
                here.close()

        till = Thread(target=sell)
        till.start()

        def finish(receipt: bytes) -> None:
            payer.purse.finish(payer.purse.sent()[-1].id, receipt)

        try:
            as_payer(there, payer.purse.pay, finish, payer.purse)
        except TengeError as error:
            failed.append(error)
        there.close()
        till.join()
    if failed:
        raise failed[0]  # the payee's, if it refused: the payer then only sees that the link broke


def list_times(*devices: Device) -> list[int]:
    return [device.purse.trust_list.time_s for device in devices]


# --- over a link -------------------------------------------------------------------------------


def test_the_payers_newer_list_reaches_the_payee_and_with_it_the_ledgers_time(
    paper: Paper, dana: Device, shop: Device
) -> None:
    later_s = paper.now_s + 3600
    dana.learn(paper.trust_list(later_s))
    exchange(dana, shop)
    assert list_times(dana, shop) == [later_s, later_s]
    assert shop.purse.ledger_time_s == later_s
    assert shop.purse.balance_tiyn() == PRICE


def test_the_payees_newer_list_reaches_the_payer(paper: Paper, dana: Device, shop: Device) -> None:
    later_s = paper.now_s + 3600
    shop.learn(paper.trust_list(later_s))
    exchange(dana, shop)
    assert list_times(dana, shop) == [later_s, later_s]
    assert dana.purse.ledger_time_s == later_s


def test_a_list_travels_on_without_a_network(paper: Paper, dana: Device, shop: Device, new_device: New) -> None:
    """A revocation that one customer learned of reaches a third device, which then refuses the revoked purse."""
    thief, kiosk = new_device("thief"), new_device("kiosk")
    thief.load(100_00)
    denied = thief.purse.certificate.id
    dana.learn(paper.trust_list(paper.now_s + 60, (denied,)))
    exchange(dana, shop)
    shop.load(100_00)
    exchange(shop, kiosk)
    assert kiosk.purse.trust_list.revoked == {denied}
    with pytest.raises(CertificateRevoked):
        exchange(thief, kiosk)
    assert kiosk.purse.balance_tiyn() == PRICE


def test_nothing_older_is_passed_on_or_taken(paper: Paper, dana: Device, shop: Device) -> None:
    shop.learn(paper.trust_list(paper.now_s + 60))
    invoice = shop.purse.invoice(PRICE)
    assert dana.purse.newer_list(invoice) is None
    old, new = paper.trust_list(paper.now_s - 60), shop.purse.trust_list_raw()
    before = shop.everything()
    assert [shop.purse.hear(heard) for heard in (old, new)] == [False, False]
    assert shop.everything() == before


def test_a_payer_that_hears_of_the_payees_revocation_does_not_pay(paper: Paper, dana: Device, shop: Device) -> None:
    invoice = shop.purse.invoice(PRICE)
    assert dana.purse.hear(paper.trust_list(paper.now_s + 60, (shop.purse.certificate.id,)))
    with pytest.raises(CertificateRevoked):
        dana.purse.pay(invoice)
    assert dana.purse.balance_tiyn() == 200_00


def test_a_clock_that_was_set_back_does_not_outlive_the_word_of_another_device(
    paper: Paper, dana: Device, shop: Device
) -> None:
    """The payer's clock stands before its tokens' deadline; the list that it hears names a later time."""
    past_s = paper.now_s + 8 * DAY_S
    assert dana.purse.hear(paper.trust_list(past_s))
    with pytest.raises(Expired):
        dana.purse.pay(shop.purse.invoice(PRICE))


def test_a_device_whose_list_is_too_old_may_take_money_again_once_it_has_heard_a_newer_one(
    paper: Paper, dana: Device, shop: Device
) -> None:
    invoice = shop.purse.invoice(PRICE)
    paper.now_s += 4 * DAY_S
    dana.learn(paper.trust_list())
    bundle = dana.purse.pay(invoice)
    with pytest.raises(TrustListStale):
        shop.purse.accept(bundle)
    shop.purse.hear(dana.purse.newer_list(invoice) or b"")
    shop.purse.accept(bundle)
    assert shop.purse.balance_tiyn() == PRICE


# --- what is no list ---------------------------------------------------------------------------


def test_a_list_of_anybody_else_is_refused_and_changes_nothing(paper: Paper, shop: Device) -> None:
    later_s, stranger = paper.now_s + 60, SigningKey(seed("stranger"))
    strange_governor = Governor.from_seed(seed("strange governor"))
    genuine = paper.trust_list(later_s)
    before = shop.everything()
    for forged in (
        paper.trust_list(later_s, operator=stranger)[:-1] + b"\0",
        paper.trust_list(later_s, governor=strange_governor),
        genuine[:-1] + bytes([genuine[-1] ^ 1]),
        genuine[:-1],
        b"",
    ):
        with pytest.raises((BadSignature, FormError)):
            shop.purse.hear(forged)
    assert shop.everything() == before


def test_lists_without_end_are_refused(paper: Paper, shop: Device) -> None:
    link = MemoryCarrier()
    for later_s in (60, 120):
        link.send(paper.trust_list(paper.now_s + later_s))
    with pytest.raises(Malformed):
        as_payee(link, shop.purse.invoice(PRICE), shop.purse.accept, shop.purse)


def test_a_list_too_long_to_be_passed_on_stays_at_home(paper: Paper, dana: Device, shop: Device) -> None:
    denied = tuple(number.to_bytes(32, "big") for number in range(MAX_PASSED_LIST_BYTES // 32))
    dana.learn(paper.trust_list(paper.now_s + 60, denied))
    exchange(dana, shop)
    assert list_times(dana, shop) == [paper.now_s + 60, paper.now_s]
    assert shop.purse.balance_tiyn() == PRICE


def test_a_list_is_told_from_every_other_message(paper: Paper, dana: Device, shop: Device) -> None:
    invoice = shop.purse.invoice(PRICE)
    bundle = pay(dana, shop, 1_00)
    receipt = shop.purse.accept(bundle)
    assert is_trust_list(paper.trust_list())
    assert [is_trust_list(message) for message in (invoice, bundle, receipt, b"", b"\x84")] == [False] * 5
