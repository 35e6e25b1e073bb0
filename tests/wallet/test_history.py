"""A wallet's history tells of payments between devices too, and of what became of them."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from cbdc.formats import cbor
from tests.wallet.town import DAY_S, Town
from wallet.customer import Customer
from wallet.element import SimulatedElement
from wallet.history import HistoryItem
from wallet.scenarios.wallets.local import PASSWORD
from wallet.vault import QUICK_KDF

Found = Callable[..., Town]
Line = tuple[str, int, str, str]


@pytest.fixture
def town(found: Found) -> Town:
    town = found("dana", "erlan")
    town["dana"].load(town.port, 300_00)
    return town


def offline(customer: Customer) -> list[Line]:
    """What, amount, counterpart and status of its offline payments."""
    lines = customer.history()
    return [(i.what, i.amount_tiyn, i.counterpart, i.status) for i in lines if i.status]


def test_a_payment_is_told_on_both_sides_from_its_first_byte_to_its_end(town: Town) -> None:
    dana, erlan = town["dana"], town["erlan"]
    invoice = erlan.purse.invoice(60_00)
    assert offline(dana) == offline(erlan) == []
    bundle = dana.purse.pay(invoice)
    assert (offline(dana), offline(erlan)) == ([("paid", -60_00, "altyn/erlan", "pending")], [])
    dana.purse.finish(town.payment_id_of(bundle), erlan.purse.accept(bundle))
    assert offline(dana) == [("paid", -60_00, "altyn/erlan", "accepted")]
    assert offline(erlan) == [("received", 60_00, "altyn/dana", "stored")]
    town.sync("erlan", "dana")
    assert offline(dana) == [("paid", -60_00, "altyn/erlan", "settled")]
    assert offline(erlan) == [("received", 60_00, "altyn/dana", "settled")]
    (line,) = [item for item in dana.history() if item.status]
    assert (line.message_id, line.entry_index, line.memo) == (town.payment_id_of(bundle), None, "")


@pytest.mark.parametrize("way", ["by the device", "by the ledger"])
def test_what_came_back_has_a_line_of_its_own(town: Town, way: str) -> None:
    dana, erlan = town["dana"], town["erlan"]
    payment_id = town.pay_offline("dana", "erlan", 60_00)
    town.pass_time(DAY_S)
    erlan.purse.learn(town.port.trust_list(), town.port.policy(), {})
    bundle = erlan.purse.release(payment_id)
    if way == "by the device":
        dana.purse.hear(erlan.purse.trust_list_raw())
        dana.purse.take_back(bundle)
    town.sync("erlan", "dana")
    assert offline(dana) == [
        ("paid", -60_00, "altyn/erlan", "released"),
        ("released", 60_00, "altyn/erlan", "released"),
    ]
    assert offline(erlan) == [
        ("received", 60_00, "altyn/dana", "released"),
        ("released", -60_00, "altyn/dana", "released"),
    ]
    for customer, spans in ((erlan, {DAY_S}), (dana, {DAY_S} if way == "by the device" else {0})):
        paid, back = [item.time_s for item in customer.history() if item.status]
        assert {back - paid} == spans


def test_a_fork_is_told(found: Found) -> None:
    town = found("dana", "erlan", "farida")
    town["dana"].load(town.port, 100_00)
    town.clone("dana", "clone")
    town.pay_offline("dana", "erlan", 60_00)
    town.pay_offline("clone", "farida", 60_00)
    town.sync("erlan", "farida", "dana")
    assert [line[3] for line in offline(town["dana"])] == ["disputed"]


def test_a_refusal_is_told(town: Town) -> None:
    town.pay_offline("dana", "erlan", 60_00)
    town.pass_time(21 * DAY_S)
    town.sync("erlan")
    assert offline(town["erlan"]) == [("received", 60_00, "altyn/dana", "refused")]


def test_online_and_offline_stand_in_one_order_of_time(town: Town) -> None:
    dana, erlan = town["dana"], town["erlan"]
    for day, amount_tiyn in enumerate((10_00, 20_00), start=1):
        town.pass_time(DAY_S)
        town.sync("dana", "erlan")
        town.pay_offline("dana", "erlan", amount_tiyn)
        town.pass_time(60)
        dana.pay(town.port, erlan.key.public, day * 1_00)
    lines = [(item.what, item.amount_tiyn, bool(item.status)) for item in dana.history() if item.what == "paid"]
    assert lines == [("paid", -10_00, True), ("paid", -1_00, False), ("paid", -20_00, True), ("paid", -2_00, False)]
    times = [item.time_s for item in dana.history()]
    assert times == sorted(times)


def test_it_needs_no_network_no_element_and_outlives_a_replacement(town: Town) -> None:
    town.pay_offline("dana", "erlan", 60_00)
    town.sync("dana")
    device = town.device("dana")
    before = device.customer.history()
    device.customer.close()
    device.customer = Customer.open_without_element(device.directory, PASSWORD, clock=device.clock)
    assert device.customer.history() == before
    device.customer.replace_element(town.port, "2468", element=SimulatedElement, cost=QUICK_KDF)
    assert offline(device.customer) == [("paid", -60_00, "altyn/erlan", "settled")]


def test_lines_written_before_there_was_a_status_are_read(town: Town, tmp_path: Path) -> None:
    item = HistoryItem(5, "paid", -1, "altyn/erlan", bytes(32), 7, "rent")
    old = item.fields()[:7]
    assert HistoryItem(*cbor.decode(cbor.encode(old))) == item
    town["dana"].vault.put("history", bytes(32), old)
    assert town["dana"].history()[0] == item
