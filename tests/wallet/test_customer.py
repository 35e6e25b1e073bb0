"""A whole wallet on a real ledger: create, restore, pay, load, sync, and what it says of all that."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import pytest

from cbdc.errors import (
    CertificateExpired,
    CertificateRevoked,
    DoubleSpend,
    InsufficientFunds,
    LedgerBusy,
    LimitPayment,
    Malformed,
    NotEnrolled,
    NotSponsor,
    PurposeRefused,
    ReserveShort,
    TengeError,
    TooLarge,
    TrustListStale,
    Unreachable,
    WrongPassword,
    WrongPayee,
)
from cbdc.formats import cbor
from cbdc.formats.ed25519 import SigningKey
from cbdc.log.receipts import Receipt
from cbdc.messages.message import decode
from tests.support import seed
from tests.wallet.paper import stolen_seed
from tests.wallet.town import DAY_S, FUNDS_TIYN, Cable, Town
from wallet.bank import CERTIFICATE_DAYS
from wallet.customer import Customer
from wallet.purse import Status
from wallet.scenarios.wallets.local import PASSWORD
from wallet.vault import QUICK_KDF

Found = Callable[..., Town]
MEALS = {
    "wallet": [
        {"name": "dana", "bank": "altyn"},
        {"name": "akimat", "bank": "altyn", "kind": "sponsor"},
        {"name": "canteen", "bank": "altyn", "kind": "merchant", "mcc": "5812", "kato": "750000000"},
        {"name": "bookshop", "bank": "altyn", "kind": "merchant", "mcc": "5942", "kato": "750000000"},
    ],
    "purpose": [
        {
            "name": "meals",
            "title": {"en": "Meals"},
            "sponsor": "akimat",
            "expires": "2026-03-01T00:00:00+05:00",
            "allow": {"payee_mcc": ["5812"]},
        }
    ],
}


def new_wallet(town: Town, directory: Path, words: str | None = None, password: str = "secret") -> Customer:
    network = town.economy.governor.network
    return Customer.create(directory, password, network, clock=town.economy.clock, words=words, cost=QUICK_KDF)


# --- life --------------------------------------------------------------------------------------


def test_a_new_wallet_has_words_of_its_own_and_opens_again(found: Found, tmp_path: Path) -> None:
    town = found("dana")
    wallets = [new_wallet(town, tmp_path / name) for name in ("one", "two")]
    words = [wallet.backup_words() for wallet in wallets]
    keys = [wallet.key.public for wallet in wallets]
    for wallet in wallets:
        wallet.close()
    assert len(words[0].split()) == 24
    assert words[0] != words[1]
    again = Customer.open(tmp_path / "one", "secret", clock=town.economy.clock)
    assert (again.key.public, again.network, again.backup_words()) == (keys[0], town.port.network, words[0])
    again.close()


def test_a_wallet_is_not_made_over_another_and_not_opened_without_its_password(found: Found, tmp_path: Path) -> None:
    town = found("dana")
    new_wallet(town, tmp_path / "mine").close()
    with pytest.raises(LedgerBusy):
        new_wallet(town, tmp_path / "mine")
    with pytest.raises(WrongPassword):
        Customer.open(tmp_path / "mine", "Secret", clock=town.economy.clock)


def test_bad_words_make_no_wallet(found: Found, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        new_wallet(found("dana"), tmp_path / "new", words="abandon " * 24)
    assert not (tmp_path / "new").exists()


def test_empty_words_make_no_wallet(found: Found, tmp_path: Path) -> None:
    with pytest.raises(Malformed):
        new_wallet(found("dana"), tmp_path / "new", words="").close()


def test_the_words_find_the_money_again_on_a_fresh_device(found: Found, tmp_path: Path) -> None:
    town = found("dana", "erlan")
    words = town["dana"].backup_words()
    fresh = new_wallet(town, tmp_path / "fresh", words=words)
    assert fresh.restore(town.port) == 1
    assert fresh.key.public == town["dana"].key.public
    assert fresh.element.public_key != town["dana"].element.public_key
    assert fresh.balance(town.port).online_tiyn == FUNDS_TIYN
    fresh.pay(town.port, town["erlan"].key.public, 300_00)
    assert fresh.balance(town.port).online_tiyn == FUNDS_TIYN - 300_00
    assert town.held("erlan") == (FUNDS_TIYN + 300_00, 0, 0)
    fresh.close()


def test_restoring_looks_past_keys_that_were_never_used(found: Found, tmp_path: Path) -> None:
    """The bank knows key 7 of these words only; the gap before it is within the limit."""
    town = found("dana")
    old = new_wallet(town, tmp_path / "old")
    old.vault.put("wallet", b"keys", 8)
    town.bank.enrol(town.port, old, "farida")
    town.bank.fund(town.port, old.key.public, 50_00)
    fresh = new_wallet(town, tmp_path / "fresh", words=old.backup_words())
    assert fresh.restore(town.port) == 8
    assert (fresh.key.public, fresh.balance(town.port).online_tiyn) == (old.key.public, 50_00)
    for wallet in (old, fresh):
        wallet.close()


def test_nothing_a_wallet_prints_holds_a_secret(found: Found) -> None:
    town = found("dana")
    dana = town["dana"]
    shown = f"{dana!r} {dana.key!r} {dana.element!r} {dana.vault!r}"
    assert not [word for word in dana.backup_words().split() if f" {word} " in f" {shown} "]
    secret = stolen_seed(town.economy.device("dana").directory / "element.db", PASSWORD)
    assert SigningKey(secret).public == dana.element.public_key
    assert secret.hex()[:8] not in shown


# --- paying online -----------------------------------------------------------------------------


def test_a_payment_moves_money_and_its_receipt_proves_it(found: Found) -> None:
    town = found("dana", "erlan")
    receipt = town["dana"].pay(town.port, town["erlan"].key.public, 250_50)
    assert (town.held("dana"), town.held("erlan")) == ((FUNDS_TIYN - 250_50, 0, 0), (FUNDS_TIYN + 250_50, 0, 0))
    raw = {r.encode(): raw for raw, r in town["dana"].receipts()}[receipt.encode()]
    operator = town.economy.identity.operator.public
    assert receipt.verify(raw, town.port.origin, operator).size == receipt.index + 1
    with pytest.raises(TengeError):
        receipt.verify(raw, town.port.origin, town["dana"].key.public)


def test_every_receipt_of_a_day_verifies(found: Found) -> None:
    town = found("dana", "erlan")
    town["dana"].load(town.port, 200_00)
    town.pay_offline("dana", "erlan", 50_00)
    town.sync("erlan", "dana")
    town["erlan"].unload(town.port, 50_00)
    operator = town.economy.identity.operator.public
    receipts = [pair for name in ("dana", "erlan") for pair in town[name].receipts()]
    assert len(receipts) == 4
    for raw, receipt in receipts:
        receipt.verify(raw, town.port.origin, operator)


def test_a_receipt_that_proves_something_else_is_not_accepted(found: Found) -> None:
    """A ledger that acknowledges without committing is found out at once."""
    town = found("dana", "erlan")
    old = town["dana"].pay(town.port, town["erlan"].key.public, 1_00)

    class Lying(Cable):
        def submit(self, message: bytes) -> Receipt:
            return old

    before = len(town["dana"].receipts())
    with pytest.raises(TengeError):
        town["dana"].pay(Lying(town.port), town["erlan"].key.public, 2_00)
    assert len(town["dana"].receipts()) == before


def test_a_memo_is_for_the_payee_alone(found: Found) -> None:
    town = found("dana", "erlan", "farida")
    town["dana"].pay(town.port, town["erlan"].key.public, 1_00, memo="for the apples")
    raw = max(town["dana"].receipts(), key=lambda pair: pair[1].index)[0]
    assert b"apples" not in raw
    assert town["erlan"].read_memo(raw) == "for the apples"
    with pytest.raises(Malformed):
        town["dana"].read_memo(raw)
    with pytest.raises(WrongPayee):
        town["farida"].read_memo(raw)


def test_a_payment_without_memo_has_none(found: Found) -> None:
    town = found("dana", "erlan")
    town["dana"].pay(town.port, town["erlan"].key.public, 1_00)
    ((raw, _),) = town["dana"].receipts()
    assert town["erlan"].read_memo(raw) == ""


REFUSED_PAYMENTS: dict[str, tuple[dict[str, Any], type[TengeError]]] = {
    "more than there is": ({"amount_tiyn": FUNDS_TIYN + 1}, InsufficientFunds),
    "nothing": ({"amount_tiyn": 0}, Malformed),
    "less than nothing": ({"amount_tiyn": -1}, Malformed),
    "to nobody": ({"payee": seed("nobody")}, NotEnrolled),
    "with a long memo": ({"memo": "x" * 201}, TooLarge),
}


@pytest.mark.parametrize(("changes", "error"), REFUSED_PAYMENTS.values(), ids=REFUSED_PAYMENTS)
def test_a_payment_that_cannot_be_changes_nothing(
    found: Found, changes: dict[str, Any], error: type[TengeError]
) -> None:
    town = found("dana", "erlan")
    arguments = {"payee": town["erlan"].key.public, "amount_tiyn": 1_00} | changes
    with pytest.raises(error):
        town["dana"].pay(town.port, **arguments)
    assert (town.held("dana"), town["dana"].receipts()) == ((FUNDS_TIYN, 0, 0), [])


def test_an_offline_wallet_cannot_reach_the_ledger(found: Found) -> None:
    town = found("dana")
    device = town.economy.device("dana")
    town.economy.cut(device)
    with pytest.raises(Unreachable):
        device.wallet.sync()
    assert town["dana"].balance(None).online_tiyn == 0
    town.economy.connect(device)
    assert device.wallet.sync().refused == ()


def test_history_tells_what_happened_in_order(found: Found) -> None:
    town = found("dana", "erlan")
    dana, erlan = town["dana"], town["erlan"]
    dana.pay(town.port, erlan.key.public, 100_00, memo="rent")
    dana.load(town.port, 200_00)
    dana.unload(town.port, 50_00)
    told = [(item.what, item.amount_tiyn, item.counterpart, item.memo) for item in dana.history()]
    assert sorted(told[1:], key=lambda line: line[1]) == [
        ("loaded", -200_00, "purse", ""),
        ("paid", -100_00, "altyn/erlan", "rent"),
        ("unloaded", 50_00, "purse", ""),
    ]
    assert told[0] == ("received", FUNDS_TIYN, "", "")
    (arrived,) = erlan.look(town.port)
    assert (arrived.what, arrived.amount_tiyn) == ("received", 100_00)
    assert erlan.look(town.port) == []
    assert len(erlan.history()) == 2


# --- marked money ------------------------------------------------------------------------------


def test_a_balance_says_what_is_bound_to_which_purpose(found: Found) -> None:
    town = found(tables=MEALS)
    meals = town.economy.purposes["meals"]
    town["akimat"].grant(town.port, town["dana"].key.public, 90_00, meals)
    town["dana"].load(town.port, 30_00, meals)
    balance = town["dana"].balance(town.port)
    assert (balance.online_tiyn, balance.offline_tiyn, balance.marked) == (FUNDS_TIYN + 60_00, 30_00, {meals: 90_00})


def test_marked_money_is_refused_by_purpose_and_used_first_where_allowed(found: Found) -> None:
    town = found(tables=MEALS)
    meals, dana = town.economy.purposes["meals"], town["dana"]
    town["akimat"].grant(town.port, dana.key.public, 90_00, meals)
    with pytest.raises(PurposeRefused) as refused:
        dana.pay(town.port, town["bookshop"].key.public, 10_00, purpose=meals)
    assert refused.value.values["condition"] == "payee_mcc"
    dana.pay(town.port, town["bookshop"].key.public, 10_00)
    assert dana.balance(town.port).marked == {meals: 90_00}
    dana.pay(town.port, town["canteen"].key.public, 40_00)
    assert dana.balance(town.port).marked == {meals: 50_00}
    assert town["canteen"].balance(town.port).marked == {}


def test_only_the_sponsor_grants(found: Found) -> None:
    town = found(tables=MEALS)
    with pytest.raises(NotSponsor):
        town["dana"].grant(town.port, town["canteen"].key.public, 1_00, town.economy.purposes["meals"])


# --- the purse ---------------------------------------------------------------------------------


def test_loading_and_unloading_move_money_and_make_none(found: Found) -> None:
    town = found("dana")
    dana = town["dana"]
    dana.load(town.port, 300_00)
    dana.load(town.port, 100_00)
    assert town.held("dana") == (FUNDS_TIYN - 400_00, 400_00, 0)
    dana.unload(town.port, 150_00)
    assert town.held("dana") == (FUNDS_TIYN - 250_00, 250_00, 0)
    assert len(dana.purse.spendable()) == 1
    dana.unload(town.port, 250_00)
    assert town.held("dana") == (FUNDS_TIYN, 0, 0)
    for move in (dana.unload, lambda port, tiyn: dana.load(port, FUNDS_TIYN + tiyn)):
        with pytest.raises(InsufficientFunds):
            move(town.port, 1)
    assert town.held("dana") == (FUNDS_TIYN, 0, 0)


def test_a_sync_renews_money_with_fresh_deadlines_at_hop_0(found: Found) -> None:
    town = found("dana", "erlan")
    town["dana"].load(town.port, 300_00)
    town.pay_offline("dana", "erlan", 100_00)
    (before,) = town["erlan"].purse.spendable().values()
    town.pass_time(DAY_S)
    town.sync("dana", "erlan")
    (after,) = town["erlan"].purse.spendable().values()
    assert (before.hops, after.hops) == (1, 0)
    assert after.spend_until_s == before.spend_until_s + DAY_S
    assert town["erlan"].purse.evidence() == []
    assert town["erlan"].element.counters()[1] == 0


@pytest.mark.parametrize("order", [("dana", "erlan"), ("erlan", "dana"), ("dana", "dana", "erlan")])
def test_a_payment_settles_whoever_syncs_first(found: Found, order: tuple[str, ...]) -> None:
    town = found("dana", "erlan")
    town["dana"].load(town.port, 300_00)
    payment_id = town.pay_offline("dana", "erlan", 100_00)
    town.sync(*order, "dana")
    assert (town.held("dana"), town.held("erlan")) == ((FUNDS_TIYN - 300_00, 200_00, 0), (FUNDS_TIYN, 100_00, 0))
    (sent,) = town["dana"].purse.sent()
    assert (sent.id, sent.status) == (payment_id, Status.SETTLED)


def test_a_payment_that_never_arrived_is_credited_once_the_payer_syncs(found: Found) -> None:
    """Case 3: PAYMENT never arrives; when it does after all, it is not credited again."""
    town = found("dana", "erlan")
    town["dana"].load(town.port, 300_00)
    bundle = town["dana"].purse.pay(town["erlan"].purse.invoice(100_00))
    assert town.held("dana") == (FUNDS_TIYN - 300_00, 200_00, 100_00)
    town.sync("dana")
    assert town.held("dana") == (FUNDS_TIYN - 300_00, 200_00, 0)
    town.sync("erlan")
    assert town.held("erlan") == (FUNDS_TIYN, 100_00, 0)
    town["erlan"].purse.accept(bundle)
    assert town.held("erlan") == (FUNDS_TIYN, 100_00, 0)
    town.sync("erlan")
    assert town.held("erlan") == (FUNDS_TIYN, 100_00, 0)


def test_many_hops_settle_from_the_last_payees_evidence_alone(found: Found) -> None:
    names = ("a", "b", "c", "d")
    town = found(*names)
    town["a"].load(town.port, 300_00)
    for payer, payee, amount in (("a", "b", 200_00), ("b", "c", 150_00), ("c", "d", 120_00)):
        town.pay_offline(payer, payee, amount)
    report = town["d"].sync(town.port)
    assert (report.sent, report.refused, report.offline_tiyn) == (3, (), 120_00)
    town.sync("c", "a", "b")
    assert [town.held(name)[1] for name in names] == [100_00, 50_00, 30_00, 120_00]


def test_a_second_device_of_the_same_key_is_found_out_after_both_payees_sync(found: Found) -> None:
    town = found("dana", "erlan", "farida")
    town["dana"].load(town.port, 100_00)
    town.clone("dana", "clone")
    town.pay_offline("dana", "erlan", 60_00)
    town.pay_offline("clone", "farida", 90_00)
    town.sync("erlan")
    assert town.economy.queries.forks() == []
    report = town["farida"].sync(town.port)
    assert report.refused == ()
    (fork,) = town.economy.queries.forks()
    assert (fork.account, fork.excess_tiyn, fork.debt_tiyn) == ("altyn/dana", 100_00, 50_00)
    assert (town.held("erlan")[1], town.held("farida")[1]) == (60_00, 90_00)
    assert town["dana"].sync(town.port).disputed == 1
    assert [sent.status for sent in town["dana"].purse.sent()] == [Status.DISPUTED]
    with pytest.raises(CertificateRevoked):
        town["dana"].load(town.port, 1_00)


@pytest.mark.parametrize("is_late", [False, True])
def test_a_proof_is_kept_until_the_ledger_has_decided_on_it(found: Found, is_late: bool) -> None:
    """Also by a purse that may renew nothing, so that no proof takes another's place for good."""
    town = found("dana", "erlan", "farida")
    town["dana"].load(town.port, 100_00)
    town.clone("dana", "clone")
    town.pay_offline("dana", "erlan", 60_00)
    farida, invoice = town["farida"], town["farida"].purse.invoice(90_00)
    seen = town.pay_offline("erlan", "farida", 60_00)
    with pytest.raises(DoubleSpend):
        farida.purse.accept(town["clone"].purse.pay(invoice))
    assert len(farida.vault.items("proof")) == 1
    if is_late:
        town.pass_time(21 * DAY_S)
    else:
        town.bank.revoke(town.port, farida.element.public_key, "lost")
    farida.sync(town.port)
    assert farida.vault.items("proof") == []
    assert len(town.economy.queries.forks()) == (not is_late)
    assert seen in {held.id for held in farida.purse.received()}


# --- a network that fails in the middle --------------------------------------------------------


def test_a_lost_answer_is_no_lost_money(found: Found) -> None:
    town = found("dana")
    cable = Cable(town.port)
    cable.loses_answer = True
    with pytest.raises(Unreachable):
        town["dana"].load(cable, 100_00)
    town.sync("dana")
    assert town.held("dana") == (FUNDS_TIYN - 100_00, 100_00, 0)


def test_evidence_is_kept_until_the_ledger_has_it(found: Found) -> None:
    town = found("dana", "erlan")
    town["dana"].load(town.port, 100_00)
    town.pay_offline("dana", "erlan", 60_00)
    cable = Cable(town.port)
    cable.refuses = Unreachable("the cable is cut")
    with suppress(TengeError):
        town["erlan"].sync(cable)
    assert len(town["erlan"].purse.evidence()) == 1
    town.sync("erlan")
    assert town.held("erlan") == (FUNDS_TIYN, 60_00, 0)


@pytest.mark.parametrize(
    "refusal", [Unreachable("the cable is cut"), ReserveShort("the bank owes")], ids=lambda refusal: refusal.code
)
def test_a_renewal_that_failed_is_made_up_for(found: Found, refusal: TengeError) -> None:
    """The network goes away, or the ledger says no, in the middle of a sync; the next one finishes it."""
    town = found("dana", "erlan")
    town["dana"].load(town.port, 100_00)
    cable = Cable(town.port)
    cable.refuses = refusal
    with suppress(TengeError):
        town["dana"].sync(cable)
    town.pass_time(DAY_S)
    town.sync("dana", "erlan")
    assert town.held("dana") == (FUNDS_TIYN - 100_00, 100_00, 0)
    town.pay_offline("dana", "erlan", 60_00)
    town.sync("dana", "erlan")
    assert town.held("erlan") == (FUNDS_TIYN, 60_00, 0)


def test_money_in_an_unanswered_renewal_is_shown(found: Found) -> None:
    """An unknown outcome shows as pending, never as gone."""
    town = found("dana")
    town["dana"].load(town.port, 100_00)
    cable = Cable(town.port)
    cable.refuses = Unreachable("the cable is cut")
    with suppress(TengeError):
        town["dana"].sync(cable)
    online, offline, pending = town.held("dana")
    assert (online, offline + pending) == (FUNDS_TIYN - 100_00, 100_00)


def with_expired_meals(found: Found) -> Town:
    """dana's purse holds 100 free, and 30 for meals whose time is over."""
    town = found(tables=MEALS)
    dana, meals = town["dana"], town.economy.purposes["meals"]
    town["akimat"].grant(town.port, dana.key.public, 90_00, meals)
    town.pass_time(55 * DAY_S)
    dana.load(town.port, 30_00, meals)
    dana.load(town.port, 100_00)
    town.pass_time(5 * DAY_S)
    return town


def test_a_sync_sends_expired_meals_back_and_keeps_the_rest(found: Found) -> None:
    town = with_expired_meals(found)
    town.sync("dana")
    town.pass_time(1)
    assert town.held("dana") == (FUNDS_TIYN - 100_00, 100_00, 0)
    assert town.held("akimat") == (FUNDS_TIYN, 0, 0)


def test_an_unload_beside_expired_meals_stops_nothing(found: Found) -> None:
    town = with_expired_meals(found)
    with suppress(TengeError):
        town["dana"].unload(town.port, 10_00)
    town.pass_time(60)
    town.sync("dana")
    assert sum(town.held("dana")) == FUNDS_TIYN


def in_debt(found: Found) -> Town:
    """dana and a clone have paid 100 twice; the bank owes that to the pool. honest has 100 in the purse."""
    town = found("dana", "erlan", "farida", "honest", reserve="0")
    for name in ("dana", "honest"):
        town[name].load(town.port, 100_00)
    town.clone("dana", "clone")
    town.pay_offline("dana", "erlan", 100_00)
    town.pay_offline("clone", "farida", 100_00)
    town.sync("erlan", "farida")
    assert town.economy.queries.reserve("altyn").claims_tiyn == 100_00
    return town


def expired(found: Found) -> Town:
    """honest loaded 100 on the last day of the purse's certificate, and that day is over."""
    town = found("honest")
    town.pass_time(CERTIFICATE_DAYS * DAY_S - 60)
    town["honest"].load(town.port, 100_00)
    town.pass_time(120)
    return town


def frozen(found: Found) -> Town:
    town = found("honest")
    town["honest"].load(town.port, 100_00)
    town.pass_time(60)
    town.bank.revoke(town.port, town["honest"].element.public_key, "lost")
    town.pass_time(60)
    return town


@pytest.mark.parametrize(
    ("set_up", "error"), [(in_debt, ReserveShort), (expired, CertificateExpired), (frozen, CertificateRevoked)]
)
def test_what_the_ledger_would_not_renew_is_not_signed_away(
    found: Found, set_up: Callable[[Found], Town], error: type[TengeError]
) -> None:
    town = set_up(found)
    honest = town["honest"]
    honest.sync(town.port)
    with pytest.raises(error):
        honest.unload(town.port, 40_00)
    ((name, token),) = honest.purse.tokens().items()
    assert (token.amount_tiyn, honest.element.has_spent(name)) == (100_00, False)
    assert town.held("honest")[1:] == (100_00, 0)


def test_a_bank_in_debt_keeps_nobody_from_taking_all_out(found: Found) -> None:
    town = in_debt(found)
    town["honest"].unload(town.port, 100_00)
    assert town.held("honest") == (FUNDS_TIYN, 0, 0)


# --- the bank's desk ---------------------------------------------------------------------------


def test_a_bank_moves_its_own_tenge(found: Found) -> None:
    town = found("dana", reserve="500")
    assert town.bank.online_tiyn(town.port) == 100_000_00 - FUNDS_TIYN
    town.bank.top_up(town.port, 1_000_00)
    town.bank.redeem(town.port, town.economy.governor, 2_000_00)
    assert town.bank.online_tiyn(town.port) == 97_000_00 - FUNDS_TIYN
    assert town.economy.queries.reserve("altyn").reserve_tiyn == 1_500_00
    supply = town.economy.queries.supply()
    assert (supply.issued_tiyn, supply.redeemed_tiyn) == (100_500_00, 2_000_00)


@pytest.mark.parametrize("move", ["fund", "top_up", "redeem"])
def test_a_bank_cannot_move_more_than_it_has(found: Found, move: str) -> None:
    town = found("dana")
    arguments = {"fund": [town["dana"].key.public], "top_up": [], "redeem": [town.economy.governor]}[move]
    held = town.bank.online_tiyn(town.port)
    with pytest.raises(InsufficientFunds):
        getattr(town.bank, move)(town.port, *arguments, held + 1)
    assert town.bank.online_tiyn(town.port) == held


def test_enrolment_gives_wallet_and_purse_the_policys_limits(found: Found) -> None:
    town = found("dana", "erlan", holding="700", payment="70", spends=7, hops=3)
    certificate = town["dana"].purse.certificate
    limits = certificate.limits
    assert limits is not None
    assert (limits.holding_tiyn, limits.payment_tiyn, limits.spends, limits.hops) == (700_00, 70_00, 7, 3)
    assert (certificate.account, certificate.online_key) == ("altyn/dana", town["dana"].key.public)
    assert town["dana"].certificate(town.port).limits is None
    town["dana"].load(town.port, 100_00)
    with pytest.raises(LimitPayment):
        town.pay_offline("dana", "erlan", 70_01)


def test_the_element_counts_what_the_purse_holds(found: Found) -> None:
    """Also when money is loaded while payments are still to be handed in, and when all of it has come home."""
    town = found("dana", "erlan", holding="100")
    dana, erlan = town["dana"], town["erlan"]

    def counts() -> tuple[int, int]:
        return dana.element.held_tiyn(), erlan.element.held_tiyn()

    dana.load(town.port, 80_00)
    assert counts() == (80_00, 0)
    town.pay_offline("dana", "erlan", 60_00)
    assert counts() == (20_00, 60_00)
    dana.load(town.port, 10_00)
    assert counts() == (30_00, 60_00)
    town.pay_offline("erlan", "dana", 40_00)
    assert counts() == (70_00, 20_00)
    for name in ("erlan", "dana", "erlan"):
        town.sync(name)
    assert counts() == (town.held("dana")[1], town.held("erlan")[1]) == (70_00, 20_00)
    town.pass_time(21 * DAY_S)
    town.sync("dana", "erlan")
    assert counts() == (0, 0)
    asked = cbor.encode([100_00, erlan.purse.certificate_raw])
    assert erlan.element.sign_invoice(asked)


def test_a_wallet_that_no_bank_knows_holds_nothing(found: Found, tmp_path: Path) -> None:
    town = found("dana")
    unknown = new_wallet(town, tmp_path / "unknown")
    with pytest.raises(NotEnrolled):
        town["dana"].pay(town.port, unknown.key.public, 1_00)
    with pytest.raises(NotEnrolled):
        unknown.purse.invoice(1_00)
    unknown.close()


def test_a_revoked_purse_is_refused_from_the_next_list_on(found: Found) -> None:
    """Cases 21 and 25: until then its payments stand."""
    town = found("dana", "before", "after")
    town["dana"].load(town.port, 100_00)
    town.pass_time(60)
    town.bank.revoke(town.port, town["dana"].element.public_key, "lost")
    town.pay_offline("dana", "before", 10_00)
    town.pass_time(60)
    town.sync("before", "after")
    assert town.held("before") == (FUNDS_TIYN, 10_00, 0)
    with pytest.raises(CertificateRevoked):
        town.pay_offline("dana", "after", 10_00)


def test_a_revoked_purse_does_not_pay_under_its_certificate_before(found: Found) -> None:
    town = found("dana", "shop")
    dana = town["dana"]
    dana.load(town.port, 100_00)
    older = dana.purse.certificate_raw
    town.pass_time(DAY_S)
    town.bank.enrol(town.port, dana, "dana")
    dana.purse.install(older, town.port.trust_list())
    town.bank.revoke(town.port, dana.element.public_key, "stolen")
    town.pass_time(60)
    town.sync("shop")
    with pytest.raises(CertificateRevoked):
        town.pay_offline("dana", "shop", 10_00)


def test_a_wallet_that_stays_away_must_sync_before_it_takes_money(found: Found) -> None:
    town = found("dana", "erlan")
    town["dana"].load(town.port, 100_00)
    town.pass_time(3 * DAY_S + 1)
    with pytest.raises(TrustListStale):
        town.pay_offline("dana", "erlan", 1_00)
    town.sync("erlan")
    town.pay_offline("dana", "erlan", 1_00)


def test_a_lost_device_gets_its_money_back_at_final_at(found: Found) -> None:
    """Case 7: the last owner that the ledger knows has the value, on its online key."""
    town = found("dana", "erlan")
    town["dana"].load(town.port, 100_00)
    town.pay_offline("dana", "erlan", 60_00)
    town.pass_time(21 * DAY_S)
    assert town.economy.queries.tokens_of([town["dana"].key.public])
    assert town["dana"].balance(town.port).online_tiyn == FUNDS_TIYN
    assert town["erlan"].balance(town.port).online_tiyn == FUNDS_TIYN
    late = town["erlan"].sync(town.port)
    assert [code for _, code in late.refused] == ["too_late"]
    assert town.held("erlan") == (FUNDS_TIYN, 0, 0)


def test_a_message_from_another_network_is_not_read(found: Found) -> None:
    town = found("dana", "erlan")
    town["dana"].pay(town.port, town["erlan"].key.public, 1_00, memo="x")
    ((raw, _),) = town["dana"].receipts()
    assert decode(raw, town.port.network).kind.name == "TRANSFER"
    with pytest.raises(TengeError):
        town["erlan"].read_memo(raw[:-1])


def test_scenario_wallets_are_encrypted_too(found: Found) -> None:
    town = found("dana")
    words = town["dana"].backup_words()
    directory = town.economy.device("dana").directory
    town.economy.close()
    written = b"".join(file.read_bytes() for file in directory.iterdir())
    assert not {word for word in words.split() if len(word) > 5 and word.encode() in written}
    reopened = Customer.open(directory, PASSWORD, clock=lambda: 0)
    assert reopened.backup_words() == words
    reopened.close()
