"""A wallet and special-purpose money online: how a payment divides, what it waits for, what comes back."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cbdc.errors import (
    AmountMismatch,
    Expired,
    InsufficientFunds,
    LimitPayment,
    Malformed,
    NotEnrolled,
    NotOwner,
    NotSponsor,
    PurposeRefused,
    Replayed,
    RoleRefused,
    Unsettled,
    WrongPayee,
)
from cbdc.formats.lines import Line
from cbdc.messages.bodies import Transfer
from cbdc.messages.message import decode
from tests.wallet.town import DAY_S, FUNDS_TIYN, Town
from tui.commands.purse.on_ledger import payments_on_ledger
from wallet.online import WAIT_FOR_S
from wallet.waiting import named

Found = Callable[..., Town]

PURPOSE = {"sponsor": "akimat", "expires": "2027-01-01T00:00:00+05:00"}


def purpose(name: str, allow: dict[str, Any], **fields: Any) -> dict[str, Any]:
    return PURPOSE | {"name": name, "title": {"en": name.title()}, "allow": allow} | fields


TABLES: dict[str, Any] = {
    "wallet": [
        *({"name": name, "bank": "altyn"} for name in ("dana", "erlan", "tax")),
        {"name": "akimat", "bank": "altyn", "kind": "sponsor"},
        {"name": "canteen", "bank": "altyn", "kind": "merchant", "mcc": "5812"},
    ],
    "approver": [{"name": "head"}],
    "oracle": [{"name": "inspector"}],
    "purpose": [
        purpose("meals", {"all": [{"items": ["food"]}, {"per_payment": "100"}]}),
        purpose("week", {"per_period": {"amount": "150", "days": 7}}),
        purpose("taxed", {"payee": ["canteen"]}, split={"to": "tax", "parts": 16, "of": 116}),
        purpose("narrow", {"all": [{"payee": ["canteen"]}, {"per_payment": "90"}, {"not": {"payee": ["tax"]}}]}),
        purpose(
            "subsidy",
            {
                "all": [
                    {"approval": {"of": ["head"], "quorum": 1}},
                    {"evidence": {"oracle": "inspector", "fact": "delivered"}},
                ]
            },
        ),
        purpose("built", {"approval": {"of": ["head", "erlan"], "quorum": 2}}, mark={"keeps_hops": 2}),
    ],
}
FOOD, TOY = Line("food", 70_00), Line("toy", 50_00)


@pytest.fixture
def town(found: Found) -> Town:
    return found(tables=TABLES)


def grant(town: Town, name: str, amount_tiyn: int, payee: str = "dana") -> bytes:
    """Marked money for a wallet; the purpose's id."""
    mark = town.economy.purposes[name]
    town["akimat"].grant(town.port, town[payee].online_key, amount_tiyn, mark)
    return mark


def pay(town: Town, payee: str, amount_tiyn: int, payer: str = "dana", **options: Any) -> bytes:
    """Pay online; the payment's id."""
    receipt = town[payer].pay(town.port, town[payee].online_key, amount_tiyn, **options)
    raw = next(raw for raw, found in town[payer].receipts() if found.index == receipt.index)
    return decode(raw, town.port.network).id


def marked(town: Town, name: str) -> dict[bytes, int]:
    return town[name].balance(town.port).marked


def requests_shown(town: Town) -> set[bytes | None]:
    """What dana's payments on the ledger carry."""
    bodies = [decode(raw, town.port.network).body for raw, _ in town["dana"].receipts()]
    return {body.request for body in bodies if isinstance(body, Transfer)}


# --- composition -------------------------------------------------------------------------------


def test_the_plan_says_how_a_payment_divides_before_anything_is_signed(town: Town) -> None:
    meals, week = grant(town, "meals", 500_00), grant(town, "week", 500_00)
    request = town["canteen"].request(280_00, (FOOD, Line("drink", 210_00)))
    plan = town["dana"].plan(town.port, town["canteen"].online_key, 280_00, request=request)
    assert plan.payee == "altyn/canteen"
    assert plan.shares == {meals: 70_00, week: 150_00, None: 60_00}
    assert [part.definition.name if part.definition else None for part in plan.parts] == ["meals", "week", None]
    assert plan.waits == ()
    assert town.held("dana") == (FUNDS_TIYN + 1000_00, 0, 0)
    pay(town, "canteen", 280_00, request=request)
    assert marked(town, "dana") == {meals: 430_00, week: 350_00}
    assert town.held("dana")[0] == FUNDS_TIYN + 1000_00 - 280_00


def test_what_the_period_has_used_up_is_not_planned(town: Town) -> None:
    week = grant(town, "week", 500_00)
    pay(town, "canteen", 100_00)
    assert town["dana"].plan(town.port, town["canteen"].online_key, 80_00).shares == {week: 50_00, None: 30_00}
    with pytest.raises(PurposeRefused) as refused:
        pay(town, "canteen", 51_00, purpose=week)
    assert str(refused.value.values["found"]) == "151.00 tenge in 7 days"
    assert str(refused.value.values["wanted"]) == "at most 150.00 tenge in any 7 days"
    town.pass_time(7 * DAY_S)
    assert town["dana"].plan(town.port, town["canteen"].online_key, 150_00).shares == {week: 150_00}


def test_a_request_counts_once_whichever_money_pays_it(town: Town) -> None:
    week = grant(town, "week", 500_00)
    for mark in (None, week):
        request = town["canteen"].request(20_00, (Line("food", 20_00),))
        pay(town, "canteen", 20_00, purpose=mark, request=request)
        for again in (None, week):
            with pytest.raises(Replayed):
                pay(town, "canteen", 20_00, purpose=again, request=request)


def test_what_is_bought_is_shown_only_where_a_condition_asks(town: Town) -> None:
    free, marked = (town["canteen"].request(70_00, (FOOD,)) for _ in range(2))
    pay(town, "canteen", 70_00, request=free)
    assert requests_shown(town) <= {None}
    pay(town, "canteen", 70_00, purpose=grant(town, "meals", 500_00), request=marked)
    assert requests_shown(town) - {None} == {marked}


def test_what_is_bought_is_paid_first_with_the_money_for_it(town: Town) -> None:
    narrow, meals = grant(town, "narrow", 500_00), grant(town, "meals", 500_00)
    request = town["canteen"].request(80_00, (FOOD, Line("drink", 10_00)))
    plan = town["dana"].plan(town.port, town["canteen"].online_key, 80_00, request=request)
    assert plan.shares == {meals: 70_00, narrow: 10_00}
    assert town["dana"].plan(town.port, town["canteen"].online_key, 80_00).shares == {narrow: 80_00}


def test_a_request_asks_for_no_less_than_its_lines(town: Town) -> None:
    with pytest.raises(AmountMismatch):
        town["canteen"].request(119_99, (FOOD, TOY))
    town["canteen"].request(120_01, (FOOD, TOY))


def test_a_plan_names_all_that_a_payment_waits_for(town: Town) -> None:
    subsidy = grant(town, "subsidy", 300_00)
    plan = town["dana"].plan(town.port, town["canteen"].online_key, 100_00, purpose=subsidy)
    assert sorted(refusal.condition for refusal in plan.waits) == ["approval", "evidence"]


def test_nobody_pays_himself(town: Town) -> None:
    with pytest.raises(Malformed, match="pay itself"):
        pay(town, "dana", 5_00)


def test_a_request_is_paid_as_it_asks_and_once(town: Town) -> None:
    meals = grant(town, "meals", 300_00)
    request = town["canteen"].request(70_00, (FOOD,))
    for payee, amount_tiyn, error in (("canteen", 69_00, AmountMismatch), ("erlan", 70_00, WrongPayee)):
        with pytest.raises(error):
            pay(town, payee, amount_tiyn, purpose=meals, request=request)
    pay(town, "canteen", 70_00, purpose=meals, request=request)
    with pytest.raises(Replayed):
        pay(town, "canteen", 70_00, purpose=meals, request=request)
    with pytest.raises(PurposeRefused):
        pay(town, "canteen", 70_00, purpose=meals)
    assert marked(town, "dana") == {meals: 230_00}


def test_a_rule_splits_the_payment(town: Town) -> None:
    taxed = grant(town, "taxed", 500_00)
    (part,) = town["dana"].plan(town.port, town["canteen"].online_key, 116_00).parts
    assert (part.amount_tiyn, part.split_tiyn) == (116_00, 16_00)
    pay(town, "canteen", 116_00, purpose=taxed)
    assert town.held("canteen")[0] == FUNDS_TIYN + 100_00
    assert town.held("tax")[0] == FUNDS_TIYN + 16_00
    assert marked(town, "tax") == {}


# --- waiting -----------------------------------------------------------------------------------


def test_a_payment_that_waits_is_pending_and_seen_by_its_parties(town: Town) -> None:
    built = grant(town, "built", 300_00)
    payment_id = pay(town, "canteen", 200_00, purpose=built)
    assert town.held("dana") == (FUNDS_TIYN + 100_00, 0, 200_00)
    assert town.held("canteen")[0] == FUNDS_TIYN
    for name in ("dana", "canteen", "erlan"):
        assert list(town[name].waiting(town.port)) == [payment_id], name
    assert town["tax"].waiting(town.port) == {}
    assert town.port.approvers_of(payment_id) == ("altyn/erlan", "head")
    assert town["dana"].history()[-1].what == "waiting"
    with pytest.raises(RoleRefused):
        town["tax"].approve(town.port, payment_id)
    town["erlan"].approve(town.port, payment_id)
    town.economy.approve("head", payment_id)
    assert town.held("dana") == (FUNDS_TIYN + 100_00, 0, 0)
    assert marked(town, "canteen") == {built: 200_00}
    assert town["dana"].waiting(town.port) == {}
    town["dana"].look(town.port)
    assert (town["dana"].history()[-1].what, town["dana"].history()[-1].amount_tiyn) == ("paid", -200_00)


def test_money_that_would_wait_pays_only_where_it_must(town: Town) -> None:
    built = grant(town, "built", 300_00)
    key = town["canteen"].online_key
    assert town["dana"].plan(town.port, key, FUNDS_TIYN).shares == {None: FUNDS_TIYN}
    assert town["dana"].plan(town.port, key, FUNDS_TIYN + 1).shares == {built: 300_00, None: FUNDS_TIYN - 299_99}
    assert town["dana"].plan(town.port, key, 5_00, purpose=built).shares == {built: 5_00}


def test_what_became_of_a_payment_is_said(town: Town) -> None:
    built = grant(town, "built", 300_00)
    names = ("dana", "erlan", "canteen")
    lapsing, settling = (pay(town, "canteen", tiyn, purpose=built) for tiyn in (200_00, 50_00))
    for name in names:
        assert town[name].waiting(town.port).keys() == {lapsing, settling}
    with pytest.raises(Unsettled):
        town["canteen"].refund(town.port, settling)
    town["erlan"].approve(town.port, settling)
    town.economy.approve("head", settling)
    town.pass_time(WAIT_FOR_S)
    for name in names:
        assert town[name].lapsed(town.port).keys() == {lapsing}
        for payment_id, error in ((lapsing, Expired), (settling, Replayed), (bytes(32), NotOwner)):
            found, known = town[name].waiting(town.port), town[name].waited()
            digits = 64 if payment_id == bytes(32) else 12
            with pytest.raises(error):
                named(town.port, payment_id.hex()[:digits], found, known)
    with pytest.raises(Expired):
        town["canteen"].refund(town.port, lapsing)
    with pytest.raises(AmountMismatch):
        town["canteen"].refund(town.port, settling, 50_01)
    town["canteen"].refund(town.port, settling)


def test_a_payment_that_lapses_gives_everything_back(town: Town) -> None:
    built = grant(town, "built", 300_00)
    payment_id = pay(town, "canteen", 200_00, purpose=built)
    town["erlan"].approve(town.port, payment_id)
    town.pass_time(WAIT_FOR_S)
    lapsed = town.port.waiting_payment(payment_id)
    assert lapsed is not None
    assert lapsed.lapsed
    assert town.held("dana") == (FUNDS_TIYN + 300_00, 0, 0)
    assert marked(town, "dana") == {built: 300_00}
    assert town.held("canteen")[0] == FUNDS_TIYN
    before = len(town["dana"].history())
    assert town["dana"].look(town.port) == []
    assert len(town["dana"].history()) == before
    assert (town["dana"].history()[-1].what, town["dana"].history()[-1].amount_tiyn) == ("lapsed", 0)
    shown = payments_on_ledger(town["dana"], None, {built: "built"})[-1]
    assert (shown["payment"], shown["what"], shown["amount"]) == (payment_id.hex(), "lapsed", "200.00")
    assert shown["purposes"] == ["built"]


# --- refunds -----------------------------------------------------------------------------------


def test_a_refund_comes_back_under_the_mark(town: Town) -> None:
    meals = grant(town, "meals", 100_00)
    payment_id = pay(town, "canteen", 70_00, purpose=meals, request=town["canteen"].request(70_00, (FOOD,)))
    town["canteen"].refund(town.port, payment_id, 30_00)
    assert marked(town, "dana") == {meals: 60_00}
    town["canteen"].refund(town.port, payment_id)
    assert marked(town, "dana") == {meals: 100_00}
    assert town.held("canteen")[0] == FUNDS_TIYN
    with pytest.raises(Replayed):
        town["canteen"].refund(town.port, payment_id)
    with pytest.raises(NotOwner):
        town["erlan"].refund(town.port, payment_id)


def test_a_refund_takes_what_is_still_marked_first(town: Town) -> None:
    built = grant(town, "built", 300_00)
    payment_id = pay(town, "canteen", 200_00, purpose=built)
    town["erlan"].approve(town.port, payment_id)
    town.economy.approve("head", payment_id)
    town["canteen"].refund(town.port, payment_id, 50_00)
    assert marked(town, "canteen") == {built: 150_00}
    assert town.held("canteen")[0] == FUNDS_TIYN + 150_00
    assert marked(town, "dana") == {built: 150_00}


def test_a_refund_needs_the_money(town: Town) -> None:
    taxed = grant(town, "taxed", 116_00)
    payment_id = pay(town, "canteen", 116_00, purpose=taxed)
    pay(town, "erlan", FUNDS_TIYN + 50_00, payer="canteen")
    with pytest.raises(InsufficientFunds):
        town["canteen"].refund(town.port, payment_id)
    assert marked(town, "dana") == {}


def test_what_was_paid_between_purses_is_refunded_online(town: Town) -> None:
    taxed, meals = grant(town, "taxed", 116_00), grant(town, "meals", 100_00)
    town["dana"].load(town.port, 100_00, meals)
    invoice = town["canteen"].purse.invoice(70_00, (FOOD,))
    bundle = town["dana"].purse.pay(invoice, meals)
    town["dana"].purse.finish(town.payment_id_of(bundle), town["canteen"].purse.accept(bundle))
    town.sync("canteen", "dana")
    town["canteen"].refund(town.port, town.payment_id_of(bundle), 20_00)
    assert marked(town, "dana") == {taxed: 116_00, meals: 50_00}
    assert town.held("canteen") == (FUNDS_TIYN - 20_00, 70_00, 0)


# --- between purses ----------------------------------------------------------------------------


def test_a_purse_plans_and_pays_what_the_lines_cover(town: Town) -> None:
    meals = grant(town, "meals", 100_00)
    town["dana"].load(town.port, 100_00, meals)
    town["dana"].load(town.port, 100_00)
    invoice = town["canteen"].purse.invoice(120_00, (FOOD, TOY))
    assert town["dana"].purse.plan(invoice).shares == {meals: 70_00, None: 50_00}
    bundle = town["dana"].purse.pay(invoice)
    town["canteen"].purse.accept(bundle)
    assert town["dana"].holdings().offline == {meals: 30_00, None: 50_00}


def test_a_purse_without_an_allowance_does_not_pay_what_only_the_ledger_knows(town: Town) -> None:
    week = grant(town, "week", 500_00)
    town["dana"].load(town.port, 200_00, week)
    with pytest.raises(PurposeRefused) as refused:
        town.pay_offline("dana", "canteen", 10_00, week)
    assert str(refused.value.values["found"]) == "no ledger to ask here, and no allowance for it"
    with pytest.raises(InsufficientFunds):
        town.pay_offline("dana", "canteen", 10_00)


def test_an_allowance_is_the_sponsors_and_the_element_counts_it(town: Town) -> None:
    week = grant(town, "week", 500_00)
    town["dana"].load(town.port, 200_00, week)
    dana, akimat = town.economy.device("dana"), town.economy.device("akimat")
    with pytest.raises(NotSponsor):
        town.bank.renew_purse(town.port, dana.wallet, {week: 1})
    town.economy.allow(akimat, dana, week, 100_00)
    with pytest.raises(NotSponsor):
        town.bank.renew_purse(town.port, dana.wallet, {week: 100_01})
    town.pay_offline("dana", "canteen", 60_00, week)
    with pytest.raises(LimitPayment) as refused:
        town.pay_offline("dana", "canteen", 40_01, week)
    assert refused.value.values == {"found": 40_01, "limit": 40_00}
    town.pay_offline("dana", "canteen", 40_00, week)
    town.sync("dana", "canteen")
    town.pay_offline("dana", "canteen", 100_00, week)
    town.sync("canteen", "dana")
    assert town.held("canteen")[1] == 200_00
    assert marked(town, "dana") == {week: 300_00}


def test_free_money_pays_once_an_allowance_is_used_up(town: Town) -> None:
    week = grant(town, "week", 500_00)
    town["dana"].load(town.port, 200_00, week)
    town["dana"].load(town.port, 300_00)
    town.economy.allow(town.economy.device("akimat"), town.economy.device("dana"), week, 100_00)
    town.pay_offline("dana", "canteen", 80_00, week)
    plan = town["dana"].purse.plan(town["canteen"].purse.invoice(50_00))
    assert plan.shares == {week: 20_00, None: 30_00}
    town.pay_offline("dana", "canteen", 50_00)
    town.pay_offline("dana", "canteen", 50_00)
    assert town["dana"].holdings().offline == {week: 100_00, None: 220_00}


def test_changed_software_cannot_pay_by_an_allowance_that_was_taken_back(
    town: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its sound element holds to the certificate that it has, and signs under no other."""
    week = grant(town, "week", 500_00)
    town["dana"].load(town.port, 500_00, week)
    dana, akimat = town.economy.device("dana"), town.economy.device("akimat")
    town.economy.allow(akimat, dana, week, 100_00)
    earlier = town["dana"].purse.certificate_raw
    town.pass_time(60)
    town["akimat"].allow(town.port, week, "altyn/dana", 0)
    town.bank.renew_purse(town.port, dana.wallet, {})
    town["dana"].vault.put("purse", b"certificate", earlier)
    monkeypatch.setattr(town["dana"].element, "allowance_left_tiyn", lambda _: 100_00)
    with pytest.raises(NotEnrolled):
        town.pay_offline("dana", "canteen", 50_00, week)
