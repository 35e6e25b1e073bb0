"""A new secure element: after a debt is repaid, a PIN forgotten, a phone bought; and what must not get lost by it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cbdc.errors import (
    AncestryBroken,
    CertificateRevoked,
    LedgerBusy,
    NotEnrolled,
    PinLocked,
    ReserveShort,
    TengeError,
    Unreachable,
    Unsettled,
    WrongPassword,
    WrongPayee,
    WrongPin,
)
from cbdc.formats.kinds import Kind
from cbdc.limits import PIN_TRIES
from cbdc.log.receipts import Receipt
from cbdc.messages.message import decode
from cbdc.offline.documents import TrustList
from tests.wallet.town import DAY_S, FUNDS_TIYN, Cable, Town
from wallet.customer import Customer
from wallet.element import ElementMaker, ElementProcess, LostElement, SimulatedElement
from wallet.purse import Holding, Status
from wallet.scenarios.wallets.local import PASSWORD
from wallet.vault import QUICK_KDF

Found = Callable[..., Town]
PIN = "2468"
MAKERS = pytest.mark.parametrize("maker", [SimulatedElement, ElementProcess])


def replace(town: Town, name: str, port: Any = None, maker: ElementMaker = SimulatedElement) -> bytes:
    return town[name].replace_element(port or town.port, PIN, element=maker, cost=QUICK_KDF)


def reopen(town: Town, name: str, pin: str, maker: ElementMaker = SimulatedElement) -> Customer:
    device = town.device(name)
    device.customer.close()
    device.customer = Customer.open(device.directory, PASSWORD, clock=device.clock, pin=pin, element=maker)
    return device.customer


def denied(town: Town) -> frozenset[bytes]:
    return TrustList.verify(town.port.trust_list(), town.port.network).revoked


def total_tiyn(town: Town, *names: str) -> int:
    """All that these own, wherever it is."""
    balances = [town[name].balance(town.port) for name in names]
    return sum(b.online_tiyn + b.offline_tiyn + b.pending_tiyn + b.returning_tiyn for b in balances)


# --- a culprit comes back ------------------------------------------------------------------------


def forked(found: Found, **options: Any) -> Town:
    """dana has paid 100 and her clone 90 of the same; the change of 10 is seized, she owes 90."""
    town = found("dana", "erlan", "farida", **options)
    town["dana"].load(town.port, 100_00)
    town.clone("dana", "clone")
    town.pay_offline("dana", "erlan", 100_00)
    town.pay_offline("clone", "farida", 90_00)
    town.sync("erlan", "farida", "dana")
    return town


@MAKERS
def test_a_culprit_who_has_repaid_begins_again(found: Found, maker: ElementMaker) -> None:
    town = forked(found, element=maker)
    dana, old_key, old_certificate = town["dana"], town["dana"].element.public_key, town["dana"].purse.certificate.id
    new_key = replace(town, "dana", maker=maker)
    assert (dana.element.public_key, dana.purse_keys()) == (new_key, [new_key, old_key])
    with pytest.raises(CertificateRevoked):
        town.bank.replace_purse(town.port, dana)
    with pytest.raises(NotEnrolled):
        dana.purse.invoice(1_00)
    with pytest.raises(NotEnrolled):
        dana.load(town.port, 1_00)
    (fork,) = town.economy.queries.forks()
    dana.repay(town.port, old_key, fork.debt_tiyn - 1)
    with pytest.raises(CertificateRevoked):
        town.bank.replace_purse(town.port, dana)
    dana.repay(town.port, old_key, 1)
    town.bank.replace_purse(town.port, dana)
    dana.load(town.port, 80_00)
    town.pay_offline("dana", "erlan", 50_00)
    town.sync("erlan", "dana")
    town.pay_offline("erlan", "dana", 20_00)
    town.sync("erlan", "dana")
    assert town.held("dana") == (FUNDS_TIYN - 100_00 - 90_00 - 80_00, 50_00, 0)
    assert town.held("erlan")[1] == 130_00
    assert old_certificate in denied(town)
    assert dana.purse.certificate.id not in denied(town)
    assert town["clone"].element.public_key == old_key
    with pytest.raises(CertificateRevoked):
        town.pay_offline("clone", "erlan", 1)


def test_the_denied_key_is_never_certified_again(found: Found) -> None:
    town = forked(found)
    (fork,) = town.economy.queries.forks()
    town["dana"].repay(town.port, fork.purse_key, fork.debt_tiyn)
    town.pass_time(1)
    with pytest.raises(CertificateRevoked):
        town.bank.enrol(town.port, town["dana"], "dana")
    replace(town, "dana")
    town.bank.replace_purse(town.port, town["dana"])
    with pytest.raises(CertificateRevoked):
        town.bank.enrol(town.port, town["clone"], "dana")


def test_what_was_seized_stays_seized_and_the_rest_returns(found: Found) -> None:
    """dana paid 30 of 100 twice: her change of 70 is seized for the 100 that she spent too much."""
    town = found("dana", "erlan", "farida")
    town["dana"].load(town.port, 100_00)
    town.clone("dana", "clone")
    town.pay_offline("dana", "erlan", 30_00)
    town.pay_offline("clone", "farida", 30_00)
    town.sync("erlan", "farida", "dana")
    old_key = town["dana"].element.public_key
    replace(town, "dana")
    balance = town["dana"].balance(town.port)
    assert (balance.online_tiyn, balance.offline_tiyn, balance.returning_tiyn) == (FUNDS_TIYN - 100_00, 0, 140_00)
    (fork,) = town.economy.queries.forks()
    assert fork.debt_tiyn == 0
    town.bank.replace_purse(town.port, town["dana"])
    town.pass_time(21 * DAY_S)
    assert town["dana"].balance(town.port).returning_tiyn == 0
    assert town.held("dana")[0] == FUNDS_TIYN - 100_00 + 40_00
    assert old_key in town["dana"].retired_keys()


# --- an honest owner -----------------------------------------------------------------------------


@MAKERS
def test_what_an_honest_purse_holds_goes_online_first(found: Found, maker: ElementMaker) -> None:
    town = found("dana", "erlan", element=maker)
    dana, old_key = town["dana"], town["dana"].element.public_key
    for name in ("dana", "erlan"):
        town[name].load(town.port, 100_00)
    paid, taken = town.pay_offline("dana", "erlan", 60_00), town.pay_offline("erlan", "dana", 25_00)
    replace(town, "dana", maker=maker)
    assert town.held("dana") == (FUNDS_TIYN - 35_00, 0, 0)
    assert [(sent.id, sent.status) for sent in dana.purse.sent()] == [(paid, Status.SETTLED)]
    assert [(held.id, held.state) for held in dana.purse.received()] == [(taken, Holding.SETTLED)]
    town.pass_time(60)
    town.bank.replace_purse(town.port, dana)
    assert dana.purse.certificate.account == "altyn/dana"
    assert [town.port.certificate_bytes(old_key)] != [dana.purse.certificate_raw]
    assert len(denied(town)) == 1
    dana.load(town.port, 40_00)
    town.pass_time(60)
    town.sync("erlan")
    town.pay_offline("dana", "erlan", 40_00)
    town.sync("erlan", "dana")
    assert total_tiyn(town, "dana", "erlan") == 2 * FUNDS_TIYN
    assert town.held("dana") == (FUNDS_TIYN - 75_00, 0, 0)


@MAKERS
def test_the_new_element_opens_with_its_own_pin_and_the_old_one_remembers(found: Found, maker: ElementMaker) -> None:
    town = found("dana", "erlan", element=maker)
    town["dana"].load(town.port, 100_00)
    (coin,) = town["dana"].purse.tokens()
    town.pay_offline("dana", "erlan", 60_00)
    old_path, old_key = town["dana"].element_path, town["dana"].element.public_key
    new_key = replace(town, "dana", maker=maker)
    with pytest.raises(WrongPin):
        reopen(town, "dana", PASSWORD, maker)
    dana = town.device("dana").customer = Customer.open(
        town.device("dana").directory, PASSWORD, clock=town.economy.clock, pin=PIN, element=maker
    )
    assert (dana.element.public_key, dana.element_path.name) == (new_key, "element-1.db")
    old = maker.open(old_path, PASSWORD)
    assert (old.public_key, old.has_spent(coin), old.counters()[0]) == (old_key, True, 1)
    old.close()
    replace(town, "dana", maker=maker)
    assert dana.element_path.name == "element-2.db"
    assert dana.retired_keys() == sorted([old_key, new_key])


def test_a_purse_without_certificate_is_replaced_too(found: Found, tmp_path: Path) -> None:
    """A wallet that no bank has seen, and one whose bank has not certified the last new element yet."""
    town = found("dana")
    for _ in range(2):
        replace(town, "dana")
        assert town["dana"].sync(town.port).offline_tiyn == 0
    town.bank.replace_purse(town.port, town["dana"])
    town["dana"].load(town.port, 10_00)
    network = town.port.network
    fresh = Customer.create(
        tmp_path / "new", "x", network, clock=town.economy.clock, element=SimulatedElement, cost=QUICK_KDF
    )
    fresh.replace_element(town.port, PIN, element=SimulatedElement, cost=QUICK_KDF)
    town.bank.enrol(town.port, fresh, "gulnar")
    fresh.close()


def test_a_key_that_the_wallet_never_saw_certified_is_retired_too(found: Found) -> None:
    """The bank has certified the new element, the answer was lost, and then its PIN is forgotten."""
    town = found("dana")
    first = town["dana"].element.public_key
    second = replace(town, "dana")

    class Torn(Cable):
        def trust_list(self) -> bytes:
            raise Unreachable("the network is gone")

    with pytest.raises(Unreachable):
        town.bank.replace_purse(Torn(town.port), town["dana"])
    device = town.device("dana")
    device.customer.close()
    device.customer = Customer.open_without_element(device.directory, PASSWORD, clock=device.clock)
    replace(town, "dana")
    town.bank.replace_purse(town.port, device.customer)
    assert device.customer.retired_keys() == sorted([first, second])
    assert len(denied(town)) == 2


def test_the_bank_may_be_asked_twice(found: Found) -> None:
    """The first answer was lost: the certificate on the ledger is the one that the purse gets."""
    town = found("dana")
    replace(town, "dana")

    class Torn(Cable):
        def trust_list(self) -> bytes:
            raise Unreachable("the network is gone")

    with pytest.raises(Unreachable):
        town.bank.replace_purse(Torn(town.port), town["dana"])
    certificate = town.bank.replace_purse(town.port, town["dana"])
    assert town.bank.replace_purse(town.port, town["dana"]) == certificate == town["dana"].purse.certificate_raw
    assert len(denied(town)) == 1


def test_replace_purse_is_for_customers(found: Found, tmp_path: Path) -> None:
    town = found("dana")
    stranger = Customer.create(
        tmp_path / "new", "x", town.port.network, clock=town.economy.clock, element=SimulatedElement, cost=QUICK_KDF
    )
    with pytest.raises(NotEnrolled):
        town.bank.replace_purse(town.port, stranger)
    stranger.close()


# --- what arrives afterwards ---------------------------------------------------------------------


def test_a_receipt_and_a_repeat_need_no_old_element(found: Found) -> None:
    town = found("dana", "erlan")
    dana, erlan = town["dana"], town["erlan"]
    dana.load(town.port, 100_00)
    invoice = erlan.purse.invoice(60_00)
    bundle = dana.purse.pay(invoice)
    replace(town, "dana")
    payment_id = town.payment_id_of(bundle)
    assert dana.purse.again(payment_id) == dana.purse.pay(invoice) == bundle
    dana.purse.finish(payment_id, erlan.purse.accept(bundle))
    town.sync("erlan")
    assert (town.held("dana"), town.held("erlan")) == ((FUNDS_TIYN - 60_00, 0, 0), (FUNDS_TIYN, 60_00, 0))


@pytest.mark.parametrize("reaches_the_device", [True, False])
def test_a_release_to_the_old_purse_returns_by_the_ledger(found: Found, reaches_the_device: bool) -> None:
    """The new purse holds nothing of it; it is evidence, and what it gives back is the old purse's last money."""
    town = found("dana", "erlan")
    dana, erlan = town["dana"], town["erlan"]
    dana.load(town.port, 100_00)
    payment_id = town.pay_offline("dana", "erlan", 60_00)
    replace(town, "dana")
    town.bank.replace_purse(town.port, dana)
    bundle = erlan.purse.release(payment_id)
    if reaches_the_device:
        assert dana.purse.take_back(bundle) == payment_id
        assert dana.purse.tokens() == {}
    else:
        town.sync("erlan")
    town.sync("dana")
    assert [sent.status for sent in dana.purse.sent()] == [Status.RELEASED]
    assert dana.balance(town.port).returning_tiyn == 60_00
    town.pass_time(21 * DAY_S)
    assert town.held("dana") == (FUNDS_TIYN, 0, 0)


def test_an_invoice_of_the_old_purse_is_no_longer_answered(found: Found) -> None:
    """Whoever pays it nevertheless has paid: the money comes to the owner's online key."""
    town = found("dana", "erlan")
    town["erlan"].load(town.port, 100_00)
    invoice = town["dana"].purse.invoice(60_00)
    replace(town, "dana")
    town.bank.replace_purse(town.port, town["dana"])
    with pytest.raises(WrongPayee):
        town["dana"].purse.accept(town["erlan"].purse.pay(invoice))
    town.sync("erlan")
    assert town["dana"].balance(town.port).returning_tiyn == 60_00
    town.pass_time(21 * DAY_S)
    assert town.held("dana") == (FUNDS_TIYN + 60_00, 0, 0)


# --- without the old element ---------------------------------------------------------------------


@MAKERS
def test_a_forgotten_pin_costs_time_and_no_money(found: Found, maker: ElementMaker) -> None:
    town = found("dana", "erlan", element=maker)
    for name in ("dana", "erlan"):
        town[name].load(town.port, 100_00)
    town.pay_offline("dana", "erlan", 60_00)
    town.pay_offline("erlan", "dana", 25_00)
    device = town.device("dana")
    old_key = device.customer.element.public_key
    device.customer.close()
    with pytest.raises(WrongPin):
        Customer.open(device.directory, PASSWORD, clock=device.clock, pin="0000", element=maker)
    with pytest.raises(WrongPassword):
        Customer.open_without_element(device.directory, "wrong", clock=device.clock)
    dana = device.customer = Customer.open_without_element(device.directory, PASSWORD, clock=device.clock)
    assert isinstance(dana.element, LostElement)
    assert (dana.element.public_key, repr(dana.element)) == (old_key, f"LostElement({old_key.hex()[:16]}…)")
    with pytest.raises(Unreachable):
        dana.purse.invoice(1_00)
    with pytest.raises(LedgerBusy):
        Customer.open_without_element(device.directory, PASSWORD, clock=device.clock)
    assert dana.balance_without_device(town.port).online_tiyn == FUNDS_TIYN - 100_00
    dana.pay(town.port, town["erlan"].key.public, 1_00)
    replace(town, "dana", maker=maker)
    balance = dana.balance(town.port)
    assert (balance.online_tiyn, balance.offline_tiyn, balance.returning_tiyn) == (FUNDS_TIYN - 101_00, 0, 65_00)
    town.bank.replace_purse(town.port, dana)
    dana.load(town.port, 50_00)
    town.pass_time(60)
    town.sync("erlan", "dana")
    town.pay_offline("dana", "erlan", 50_00)
    town.sync("erlan")
    town.pass_time(21 * DAY_S)
    assert town.held("dana") == (FUNDS_TIYN - 1_00 - 60_00 + 25_00 - 50_00, 0, 0)
    with pytest.raises(TengeError):
        maker.open(device.directory / "element.db", "0000")


def test_an_element_locked_for_good_or_gone_is_replaced(found: Found) -> None:
    town = found("dana")
    town["dana"].load(town.port, 100_00)
    device = town.device("dana")
    device.customer.close()
    now_ms = [0]
    for _ in range(PIN_TRIES):
        now_ms[0] += 60_000
        with pytest.raises(WrongPin):
            SimulatedElement.open(device.directory / "element.db", "0000", clock_ms=lambda: now_ms[0])
    with pytest.raises(PinLocked):
        Customer.open(device.directory, PASSWORD, clock=device.clock, element=SimulatedElement)
    (device.directory / "element.db").unlink()
    device.customer = Customer.open_without_element(device.directory, PASSWORD, clock=device.clock)
    replace(town, "dana")
    assert device.customer.element_path.name == "element-1.db"
    town.pass_time(21 * DAY_S)
    assert town.held("dana") == (FUNDS_TIYN, 0, 0)


def test_a_payment_asked_of_a_lost_element_never_left_the_device(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    """It may have signed; its answer did not come, so nobody has seen the payment, and nobody will."""
    town = found("dana", "erlan")
    town["dana"].load(town.port, 100_00)
    device = town.device("dana")

    def dies(_: bytes) -> None:
        raise Unreachable("the element does not answer")

    monkeypatch.setattr(device.customer.element, "sign_payment", dies)
    with pytest.raises(Unreachable):
        device.customer.purse.pay(town["erlan"].purse.invoice(60_00))
    device.customer.close()
    device.customer = Customer.open_without_element(device.directory, PASSWORD, clock=device.clock)
    replace(town, "dana")
    assert device.customer.purse.sent() == device.customer.vault.items("intent") == []
    town.pass_time(21 * DAY_S)
    assert town.held("dana") == (FUNDS_TIYN, 0, 0)


def test_a_new_phone_is_a_wallet_from_the_words(found: Found, tmp_path: Path) -> None:
    """The words make the online key again and a new element; the bank denies the old one, which they do not know."""
    town = found("dana", "erlan")
    town["dana"].load(town.port, 100_00)
    old_key, words = town["dana"].element.public_key, town["dana"].backup_words()
    town.economy.device("dana").is_lost = True
    fresh = Customer.create(
        tmp_path / "new",
        "x",
        town.port.network,
        clock=town.economy.clock,
        words=words,
        element=SimulatedElement,
        cost=QUICK_KDF,
    )
    fresh.restore(town.port)
    town.bank.revoke(town.port, old_key, "lost")
    town.bank.replace_purse(town.port, fresh)
    fresh.load(town.port, 50_00)
    town.pass_time(60)
    town.sync("erlan")
    town["erlan"].purse.accept(fresh.purse.pay(town["erlan"].purse.invoice(50_00)))
    town.sync("erlan")
    town.pass_time(21 * DAY_S)
    assert fresh.balance(town.port).online_tiyn == FUNDS_TIYN - 50_00
    fresh.close()


# --- refused -------------------------------------------------------------------------------------


class Refusing(Cable):
    """A ledger that refuses messages of one kind."""

    def __init__(self, town: Town, kind: Kind, refusal: TengeError) -> None:
        super().__init__(town.port)
        self._network, self._kind, self._refusal = town.port.network, kind, refusal

    def submit(self, message: bytes) -> Receipt:
        if decode(message, self._network).kind is self._kind:
            raise self._refusal
        return super().submit(message)


def unchanged(town: Town, key: bytes) -> bool:
    """dana has the element that she had, and it works."""
    dana = town["dana"]
    assert (dana.element.public_key, dana.retired_keys(), dana.element_path.name) == (key, [], "element.db")
    return dana.element.counters()[0] >= 0 and bool(dana.purse.certificate)


REFUSALS = {
    "no network for evidence": (Kind.RECONCILE, Unreachable("the cable is cut"), Unreachable),
    "no network for the unload": (Kind.UNLOAD, Unreachable("the cable is cut"), Unreachable),
    "an undecided payment": (Kind.RECONCILE, AncestryBroken("an ancestor is unknown"), Unsettled),
    "an unload refused": (Kind.UNLOAD, ReserveShort("the bank owes"), ReserveShort),
}


@pytest.mark.parametrize(("kind", "refusal", "error"), REFUSALS.values(), ids=REFUSALS)
def test_as_long_as_something_would_be_left_behind_it_is_refused(
    found: Found, kind: Kind, refusal: TengeError, error: type[TengeError]
) -> None:
    town = found("dana", "erlan")
    key = town["dana"].element.public_key
    town["dana"].load(town.port, 100_00)
    town.pay_offline("dana", "erlan", 60_00)
    with pytest.raises(error):
        replace(town, "dana", Refusing(town, kind, refusal))
    assert unchanged(town, key)
    assert total_tiyn(town, "dana", "erlan") == 2 * FUNDS_TIYN
    replace(town, "dana")
    assert (town.held("dana"), town["dana"].retired_keys()) == ((FUNDS_TIYN - 60_00, 0, 0), [key])


def test_an_unload_that_waits_for_its_answer_is_waited_for(found: Found) -> None:
    town = found("dana")
    key = town["dana"].element.public_key
    town["dana"].load(town.port, 100_00)
    cable = Refusing(town, Kind.UNLOAD, ReserveShort("the bank owes"))
    town["dana"].sync(cable)
    assert town.held("dana") == (FUNDS_TIYN - 100_00, 0, 100_00)
    with pytest.raises(Unsettled):
        replace(town, "dana", cable)
    assert unchanged(town, key)
    replace(town, "dana")
    assert town.held("dana") == (FUNDS_TIYN, 0, 0)


def test_a_revoked_purse_waits_for_nothing_that_it_cannot_bring_about(found: Found) -> None:
    """What is undecided stays in the wallet, and its next sync hands it in without the old element."""
    town = found("dana", "erlan")
    for name in ("dana", "erlan"):
        town[name].load(town.port, 100_00)
    town.pay_offline("erlan", "dana", 30_00)
    town.pass_time(60)
    town.bank.revoke(town.port, town["dana"].element.public_key, "stolen")
    replace(town, "dana", Refusing(town, Kind.RECONCILE, AncestryBroken("an ancestor is unknown")))
    assert town["dana"].balance(town.port).returning_tiyn == 100_00
    town.sync("dana")
    assert town["dana"].balance(town.port).returning_tiyn == 130_00
    town.bank.replace_purse(town.port, town["dana"])
    town.pass_time(21 * DAY_S)
    assert town.held("dana") == (FUNDS_TIYN + 30_00, 0, 0)


def test_an_element_that_is_not_made_changes_nothing(found: Found, monkeypatch: pytest.MonkeyPatch) -> None:
    town = found("dana")
    key = town["dana"].element.public_key
    town["dana"].load(town.port, 100_00)
    with monkeypatch.context() as broken:
        broken.setattr(SimulatedElement, "create", lambda *_, **__: (_ for _ in ()).throw(Unreachable("no process")))
        with pytest.raises(Unreachable):
            replace(town, "dana")
    assert unchanged(town, key)
    assert town.held("dana") == (FUNDS_TIYN, 0, 0)
    town["dana"].load(town.port, 100_00)
    assert unchanged(town, key)
