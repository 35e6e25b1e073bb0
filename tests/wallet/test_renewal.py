"""What a sync does with leaves that are many, signed away already, expired, or refused: it goes on with the rest."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cbdc.errors import (
    CertificateRevoked,
    InsufficientFunds,
    InvariantViolation,
    LedgerCorrupt,
    Malformed,
    NotEnrolled,
    TengeError,
    Unreachable,
)
from cbdc.formats import cbor, cose
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_INPUTS
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import OfflineTerms, Reconcile, Transfer, Unload
from cbdc.messages.message import build, decode
from tests.scenarios.plays import AKIMAT, MEALS
from tests.support import seed
from tests.wallet.town import DAY_S, FUNDS_TIYN, Cable, Town
from wallet.customer import Customer
from wallet.protocol import invoice_payload
from wallet.purse import Holding, Status

Found = Callable[..., Town]


def split_into_dust(town: Town, payer: str, payee: str, count: int) -> None:
    """A payer with changed software pays one tiyn at a time, as many as a message holds, and hands it in himself."""
    eve, shop = town[payer], town[payee]
    (name,), left_tiyn = eve.purse.tokens(), eve.purse.balance_tiyn()
    while count:
        dust = min(count, MAX_INPUTS - 1)
        count, left_tiyn = count - dust, left_tiyn - dust
        outputs = (*[Output(shop.purse_key, 1, None)] * dust, Output(eve.purse_key, left_tiyn, None))
        counter, spends = eve.element.counters()
        terms = OfflineTerms(
            bytes([count % 256]) * 32,
            eve.purse.certificate.id,
            shop.purse.certificate.id,
            counter + 1,
            spends + 1,
            1,
            eve.purse.trust_list.time_s,
            eve.purse.ledger_time_s,
        )
        body = Transfer((name,), outputs, eve.purse.ledger_time_s + DAY_S, None, terms)
        payload = cbor.encode(body.to_cbor())
        raw = cose.assemble(Kind.TRANSFER, payload, [eve.element.sign_payment(payload)])
        town.port.submit(build(Kind.RECONCILE, Reconcile((raw,)), [], eve.network))
        name = outpoint(decode(raw, eve.network).id, dust)


class Counting(Cable):
    """A way to the ledger that counts what goes there, by kind."""

    def __init__(self, town: Town) -> None:
        super().__init__(town.port)
        self.network = town.port.network
        self.sent: list[Kind] = []

    def submit(self, message: bytes) -> Receipt:
        self.sent.append(decode(message, self.network).kind)
        return super().submit(message)


class Troubled(Cable):
    """A ledger that fails at all evidence."""

    def __init__(self, town: Town, error: TengeError) -> None:
        super().__init__(town.port)
        self.network, self.error = town.port.network, error

    def submit(self, message: bytes) -> Receipt:
        if decode(message, self.network).kind is Kind.RECONCILE:
            raise self.error
        return super().submit(message)


# --- many leaves -------------------------------------------------------------------------------


@pytest.fixture
def dusty(found: Found) -> Town:
    """The shop has 100, and 600 tiyn in as many leaves."""
    town = found("eve", "shop", spends=1000)
    town["eve"].load(town.port, 300_00)
    town["shop"].load(town.port, 100_00)
    split_into_dust(town, "eve", "shop", 600)
    return town


def test_dust_is_renewed_some_at_a_time(dusty: Town) -> None:
    shop, port = dusty["shop"], Counting(dusty)
    for slices, left in ((3, 3), (1, 1)):
        port.sent.clear()
        assert shop.sync(port).offline_tiyn == 106_00
        assert port.sent.count(Kind.UNLOAD) == slices
        assert len(shop.purse.tokens()) == len(port.offline_of([shop.purse_key])) == left


def test_an_amount_made_of_dust_is_unloaded(dusty: Town) -> None:
    shop, port = dusty["shop"], Counting(dusty)
    shop.unload(port, 104_00)
    assert dusty.held("shop") == (FUNDS_TIYN + 4_00, 2_00, 0)
    assert port.sent.count(Kind.UNLOAD) == 3
    with pytest.raises(InsufficientFunds):
        shop.unload(port, 2_01)
    assert dusty.held("shop") == (FUNDS_TIYN + 4_00, 2_00, 0)


def test_a_journal_that_nothing_can_read_is_dropped(dusty: Town) -> None:
    """As wallets wrote it before they counted: more inputs than a message holds, which no element has signed."""
    shop = dusty["shop"]
    names = tuple(sorted(dusty.port.offline_of([shop.purse_key])))
    body = Unload(names, (Output(shop.purse_key, 106_00, None),), dusty.port.ledger_time_s() + DAY_S)
    shop.vault.put("unload", b"", [cbor.encode(body.to_cbor()), "renewed", 0])
    assert shop.balance(dusty.port).pending_tiyn == 0
    dusty.sync("shop")
    assert shop.vault.items("unload") == []
    assert dusty.held("shop")[1:] == (106_00, 0)


def test_what_the_element_never_signed_is_made_anew(found: Found) -> None:
    town = found("dana")
    town["dana"].load(town.port, 100_00)
    (name,) = town["dana"].purse.tokens()
    body = Unload((name,), (Output(town["dana"].key.public, 100_00, None),), town.port.ledger_time_s() + DAY_S)
    town["dana"].vault.put("unload", b"any", [cbor.encode(body.to_cbor()), "unloaded", 100_00])
    town.sync("dana")
    assert (town.held("dana"), town["dana"].vault.items("unload")) == ((FUNDS_TIYN - 100_00, 100_00, 0), [])


# --- signed away, and the ledger does not know ---------------------------------------------------


def invoice_dated_ahead(town: Town, liar: str, ahead_s: int) -> bytes:
    purse, now_s = town[liar].purse, town.port.ledger_time_s()
    times = (now_s + ahead_s, now_s + ahead_s)
    return purse.element.sign_invoice(invoice_payload(50_00, purse.certificate_raw, bytes(16), 1_000_00, *times))


def test_a_payment_that_the_ledger_does_not_take_yet_holds_up_nothing_else(found: Found) -> None:
    """Its time comes an hour later; until then what it spends is pending, all of it, and the rest is renewed."""
    town = found("dana", "liar", "shop")
    dana = town["dana"]
    for tiyn in (100_00, 500_00):
        dana.load(town.port, tiyn)
    dana.purse.pay(invoice_dated_ahead(town, "liar", 3600))
    for _ in range(2):
        report = dana.sync(town.port)
        assert report.waiting_tiyn == 50_00
        assert town.held("dana") == (FUNDS_TIYN - 600_00, 500_00, 100_00)
        assert dana.element.counters()[1] == 0
        town.pay_offline("dana", "shop", 10_00)
        town.sync("shop", "dana")
        town.pay_offline("shop", "dana", 10_00)
    dana.unload(town.port, 100_00)
    town.pass_time(3600)
    dana.sync(town.port)
    assert town.held("dana") == (FUNDS_TIYN - 500_00, 450_00, 0)


def test_an_invoice_far_ahead_of_every_clock_is_refused(found: Found) -> None:
    town = found("dana", "liar")
    town["dana"].load(town.port, 100_00)
    with pytest.raises(Malformed):
        town["dana"].purse.pay(invoice_dated_ahead(town, "liar", DAY_S + 1))
    assert town["dana"].element.counters() == (0, 0)
    town["dana"].purse.pay(invoice_dated_ahead(town, "liar", DAY_S))


def test_a_backup_put_back_strands_only_what_was_signed_since(found: Found) -> None:
    """The element has paid with one token, of which the storage knows nothing any more."""
    town = found("dana", "shop")
    dana = town["dana"]
    for tiyn in (100_00, 500_00):
        dana.load(town.port, tiyn)
    spaces = ("token", "sent", "payment", "spender", "paid", "certificate")
    before = {space: dana.vault.items(space) for space in spaces}
    dana.purse.pay(town["shop"].purse.invoice(60_00))
    for space, items in before.items():
        for name, _ in dana.vault.items(space):
            dana.vault.drop(space, name)
        for name, value in items:
            dana.vault.put(space, name, value)
    for _ in range(2):
        town.sync("dana")
        assert town.held("dana") == (FUNDS_TIYN - 600_00, 500_00, 100_00)
    town.pass_time(21 * DAY_S)
    town.sync("dana")
    assert sum(town.held("dana")) == FUNDS_TIYN


def test_a_renewal_that_came_too_late_for_one_leaf_stops_no_other(found: Found) -> None:
    town = found("dana")
    dana, cable = town["dana"], Cable(town.port)
    dana.load(town.port, 100_00)
    town.pass_time(5 * DAY_S)
    dana.load(town.port, 200_00)
    cable.refuses = Unreachable("the cable is cut")
    with pytest.raises(Unreachable):
        dana.sync(cable)
    town.pass_time(16 * DAY_S + 10)
    town.sync("dana")
    assert town.held("dana") == (FUNDS_TIYN - 200_00, 0, 200_00)
    dana.load(town.port, 50_00)
    town.sync("dana")
    assert town.held("dana") == (FUNDS_TIYN - 250_00, 50_00, 200_00)
    town.pass_time(6 * DAY_S)
    town.sync("dana")
    assert sum(town.held("dana")) == FUNDS_TIYN


def test_an_expired_purpose_in_a_cut_renewal_holds_no_free_money_back(found: Found) -> None:
    expires = MEALS | {"expires": "2026-01-06T00:00:00+05:00"}
    town = found(tables={"wallet": [{"name": "dana", "bank": "altyn"}, AKIMAT], "purpose": [expires]})
    dana, meals, cable = town["dana"], town.economy.purposes["meals"], Cable(town.port)
    town["akimat"].grant(town.port, dana.key.public, 100_00, meals)
    dana.load(town.port, 100_00, meals)
    dana.load(town.port, 500_00)
    for refusal in (InvariantViolation("no"), Unreachable("the cable is cut")):
        cable.refuses = refusal
        try:
            dana.sync(cable)
        except Unreachable:
            break
    assert len(dana.vault.items("unload")) == 2
    town.pass_time(town.port.purposes()[meals].expires_s - town.port.ledger_time_s() + 60)
    town.sync("dana")
    assert town.held("dana") == (FUNDS_TIYN - 500_00, 500_00, 100_00)
    dana.unload(town.port, 500_00)
    assert town.held("dana") == (FUNDS_TIYN, 0, 100_00)


# --- a ledger in trouble -------------------------------------------------------------------------


def test_an_unload_from_a_ledger_in_trouble_forgets_no_token(found: Found) -> None:
    town = found("dana", "erlan")
    for name in ("dana", "erlan"):
        town[name].load(town.port, 200_00)
    town.pay_offline("dana", "erlan", 100_00)
    town["erlan"].unload(Troubled(town, InvariantViolation("a law")), 150_00)
    assert town.held("erlan") == (FUNDS_TIYN - 50_00, 150_00, 0)
    town.sync("erlan", "dana")
    assert [town.held(name)[1:] for name in ("erlan", "dana")] == [(150_00, 0), (100_00, 0)]


def test_a_refused_payment_strands_what_it_spends_and_nothing_else(found: Found) -> None:
    """The payee's certificate is not registered, so the ledger refuses the payment and knows no other spend; later it
    takes it after all."""
    town = found("dana", "erlan")
    dana = town["dana"]
    for tiyn in (100_00, 500_00):
        dana.load(town.port, tiyn)
    town.pay_offline("dana", "erlan", 60_00)
    dana.sync(Troubled(town, NotEnrolled("no such certificate")))
    assert dana.purse.sent()[0].status is Status.REFUSED
    assert town.held("dana") == (FUNDS_TIYN - 600_00, 500_00, 100_00)
    town.sync("dana")
    assert dana.purse.sent()[0].status is Status.SETTLED
    assert town.held("dana") == (FUNDS_TIYN - 600_00, 540_00, 0)


@pytest.mark.parametrize("error", [InvariantViolation("a law"), LedgerCorrupt("a row")], ids=lambda error: error.code)
def test_a_ledger_in_trouble_has_decided_nothing(found: Found, error: TengeError) -> None:
    town = found("dana", "erlan")
    town["dana"].load(town.port, 400_00)
    town["erlan"].load(town.port, 5_00)
    payment_id = town.pay_offline("dana", "erlan", 100_00)
    for name, held in (("erlan", (105_00, 0)), ("dana", (300_00, 0))):
        report = town[name].sync(Troubled(town, error))
        assert report.refused == ((payment_id, error.code),)
        assert town.held(name)[1:] == held
    assert [sent.status for sent in town["dana"].purse.sent()] == [Status.ACCEPTED]
    assert [got.state for got in town["erlan"].purse.received()] == [Holding.STORED]
    town.pay_offline("erlan", "dana", 100_00)
    town.sync("erlan", "dana")
    assert [town.held(name)[1:] for name in ("erlan", "dana")] == [(5_00, 0), (400_00, 0)]


def test_one_that_spoils_a_batch_spoils_only_itself(found: Found) -> None:
    """A careless purse keeps what nobody signed; the ledger refuses any message that it is a part of."""
    town = found("dana", "shop", spends=1000)
    town["dana"].load(town.port, 400_00)
    shop = town["shop"]
    for _ in range(7):
        town.pay_offline("dana", "shop", 10_00)
    body = decode(shop.vault.items("payment")[3][1], shop.network).body
    assert isinstance(body, Transfer)
    junk = build(Kind.TRANSFER, replace(body, sealed=b"junk"), [SigningKey(seed("anybody"))], shop.network)
    junk = junk[:-1] + bytes([junk[-1] ^ 1])
    shop.vault.put("payment", decode(junk, shop.network).id, junk)
    port = Counting(town)
    shop.sync(port)
    assert town.held("shop")[1:] == (70_00, 0)
    assert port.sent.count(Kind.RECONCILE) < 2 * 8


# --- learnt in the same sync -----------------------------------------------------------------------


def signed_unloads(customer: Customer, monkeypatch: pytest.MonkeyPatch) -> list[bytes]:
    signed: list[bytes] = []
    sign = customer.element.sign_unload

    def noting(payload: bytes) -> Any:
        signed.append(payload)
        return sign(payload)

    monkeypatch.setattr(customer.element, "sign_unload", noting)
    return signed


@pytest.mark.parametrize("what", ["sync", "unload"])
def test_a_purse_that_its_own_evidence_denies_signs_no_unload(
    found: Found, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    town = found("dana", "erlan", "farida", reserve="5 000")
    dana = town["dana"]
    for tiyn in (100_00, 50_00):
        dana.load(town.port, tiyn)
    town.clone("dana", "clone")
    town.pay_offline("clone", "erlan", 90_00)
    town.sync("erlan")
    town.pay_offline("dana", "farida", 90_00)
    signed = signed_unloads(dana, monkeypatch)
    if what == "sync":
        dana.sync(town.port)
    else:
        with pytest.raises(CertificateRevoked):
            dana.unload(town.port, 10_00)
    assert dana.purse.certificate.id in dana.purse.trust_list.revoked
    assert signed == []


def test_change_needs_no_ancestry_where_nothing_may_be_renewed(found: Found) -> None:
    """A bank that owes gives no fresh tokens; what the ledger has at hop 0 it certifies all the same."""
    town = found("dana", "shop", "cheat", "x", "y", reserve="0")
    town["cheat"].load(town.port, 100_00)
    town["dana"].load(town.port, 400_00)
    town.clone("cheat", "other")
    town.pay_offline("cheat", "x", 100_00)
    town.pay_offline("other", "y", 100_00)
    town.sync("x", "y")
    for _ in range(8):
        town.pay_offline("dana", "shop", 1_00)
    town.sync("dana")
    bundle = town["dana"].purse.pay(town["shop"].purse.invoice(1_00))
    assert cbor.decode(bundle)[1] == []
