"""Every kind of step: what it does, and that a wrong expectation or refusal really fails."""

from __future__ import annotations

from typing import Any

import pytest

from cbdc.amounts import parse_tenge
from cbdc.errors import LimitHolding, TengeError
from tests.scenarios.plays import (
    AKIMAT,
    BANK,
    DANA,
    ERLAN,
    EVERYBODY_OFFLINE,
    MEALS,
    SHOP,
    Tables,
    failed,
    last,
    pay,
    play,
    step,
)
from wallet.purse import Purse
from wallet.scenarios.forging import FORGERIES

SYNC_ALL = step("sync", wallets=["shop", "canteen", "erlan", "dana"])
ONLINE_ALL = step("online", wallets=["dana", "erlan", "shop", "canteen"])

# --- expect ------------------------------------------------------------------------------------

FORKED: list[Tables] = [
    step("clone", wallet="dana", as_="clone"),
    EVERYBODY_OFFLINE,
    step("offline", wallets=["clone"]),
    pay("dana", "shop", "200", as_="first"),
    pay("clone", "erlan", "250", as_="second"),
    ONLINE_ALL,
    step("sync", wallets=["shop", "erlan"]),
]
TRUE: dict[str, tuple[list[Tables], Tables, Tables]] = {
    "online": ([], {"wallet": "dana", "online": "800"}, {"online": "800.01"}),
    "offline": ([], {"wallet": "dana", "offline": "400"}, {"offline": "300"}),
    "pending": ([], {"wallet": "dana", "pending": "0"}, {"pending": "1"}),
    "marked": ([], {"wallet": "dana", "marked": {"meals": "200"}}, {"marked": {"meals": "100"}}),
    "bank online": ([], {"bank": "altyn", "online": "8 000"}, {"online": "10 000"}),
    "reserve": ([], {"bank": "altyn", "reserve": "500"}, {"reserve": "0"}),
    "claims": ([], {"bank": "altyn", "claims": "0"}, {"claims": "0.01"}),
    "supply": ([], {"supply": "10 500"}, {"supply": "10 000"}),
    "forks": (FORKED, {"forks": 1}, {"forks": 0}),
    "owes": (
        FORKED,
        {"owes": {"wallet": "dana", "amount": "50"}},
        {"owes": {"wallet": "dana", "amount": "0"}},
    ),
    "status": (FORKED, {"payment": "first", "status": "disputed"}, {"status": "settled"}),
}
"""What came before, what is true of it, and what of that is not."""


@pytest.mark.parametrize(("before", "true", "false"), TRUE.values(), ids=TRUE)
def test_an_expectation_holds_or_fails(before: list[Tables], true: Tables, false: Tables) -> None:
    report = play(*before, step("expect", **true), step("expect", **(true | false)))
    held, broken = report.steps[-2:]
    assert failed(report) == [broken]
    assert held.ok
    assert broken.code == "unexpected"
    assert not report.ok
    assert "found=" in broken.detail
    assert "wanted=" in broken.detail


@pytest.mark.parametrize(
    ("steps", "status"),
    [
        ([pay("dana", "shop", "10", as_="p")], "settled"),
        ([EVERYBODY_OFFLINE, pay("dana", "shop", "10", as_="p")], "accepted"),
        ([EVERYBODY_OFFLINE, pay("dana", "shop", "10", as_="p"), ONLINE_ALL, SYNC_ALL], "settled"),
        (
            [EVERYBODY_OFFLINE, pay("dana", "shop", "10", as_="p"), ONLINE_ALL, step("sync", wallets=["shop"])],
            "settled",
        ),
    ],
)
def test_a_payments_status(steps: list[Tables], status: str) -> None:
    assert failed(play(*steps, step("expect", payment="p", status=status))) == []


# --- refused -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("unwilling", "code", "detail"),
    [
        (pay("dana", "shop", "5 000", refused="insufficient_funds"), "insufficient_funds", "not enough"),
        (pay("dana", "shop", "5 000", refused="expired"), "insufficient_funds", "not enough"),
        (pay("dana", "shop", "5 000"), "insufficient_funds", "not enough"),
        (pay("dana", "shop", "5", refused="insufficient_funds"), None, "should have been refused"),
    ],
    ids=["as said", "another code", "not foreseen", "not refused"],
)
def test_a_refusal_is_the_one_that_was_said(unwilling: Tables, code: str | None, detail: str) -> None:
    result = last(play(unwilling))
    assert result.ok is (unwilling.get("refused") == code)
    assert result.code == code
    assert detail in result.detail


def test_a_refused_step_that_moved_value_fails(monkeypatch: pytest.MonkeyPatch) -> None:
    """The refusal comes only after the payee has stored the payment."""

    def finish(*_: object) -> None:
        raise LimitHolding("no room")

    monkeypatch.setattr(Purse, "finish", finish)
    result = last(play(EVERYBODY_OFFLINE, pay("dana", "shop", "10", refused="limit_holding")))
    assert (result.ok, result.code) == (False, "limit_holding")
    assert result.detail.startswith("refused, but value moved")


REFUSED: dict[str, tuple[list[Tables], Tables, str]] = {
    "online, too much": ([], pay("dana", "shop", "900"), "insufficient_funds"),
    "offline, too much": ([EVERYBODY_OFFLINE], pay("dana", "shop", "301"), "insufficient_funds"),
    "marked, wrong payee": ([], pay("dana", "shop", "10", purpose="meals"), "purpose_refused"),
    "marked offline, wrong payee": ([EVERYBODY_OFFLINE], pay("dana", "shop", "1", purpose="meals"), "purpose_refused"),
    "marked, expired": ([step("advance", by="40 days")], pay("dana", "canteen", "1", purpose="meals"), "expired"),
    "a grant by no sponsor": ([], step("grant", from_="dana", to="erlan", amount="1", purpose="meals"), "not_sponsor"),
    "a cut wallet loads": ([EVERYBODY_OFFLINE], step("load", wallet="dana", amount="1"), "unreachable"),
    "a cut wallet syncs": ([EVERYBODY_OFFLINE], step("sync", wallets=["dana"]), "unreachable"),
    "a cut wallet unloads": ([EVERYBODY_OFFLINE], step("unload", wallet="dana", amount="1"), "unreachable"),
    "above the holding": ([], step("load", wallet="dana", amount="601"), "limit_holding"),
    "above the payment": ([EVERYBODY_OFFLINE], pay("dana", "shop", "351"), "limit_payment"),
    "a stale payee": ([EVERYBODY_OFFLINE, step("advance", by="4 days")], pay("dana", "shop", "1"), "trust_list_stale"),
    "coins too old": (
        [step("offline", wallets=["dana"]), step("advance", by="8 days"), step("sync", wallets=["shop"])],
        pay("dana", "shop", "1"),
        "expired",
    ),
    "a frozen purse loads": (
        [step("freeze", wallet="dana")],
        step("load", wallet="dana", amount="1"),
        "certificate_revoked",
    ),
    "a bank redeems too much": ([], step("redeem", from_="altyn", amount="8 000.01"), "insufficient_funds"),
    "a bank reserves too much": ([], step("reserve", bank="altyn", amount="8 000.01"), "insufficient_funds"),
    "too many payments": (
        [EVERYBODY_OFFLINE, *[pay("dana", "shop", "1")] * 3],
        pay("dana", "shop", "1"),
        "limit_spends",
    ),
    "too many hops": (
        [EVERYBODY_OFFLINE, pay("dana", "erlan", "3"), pay("erlan", "shop", "2")],
        pay("shop", "canteen", "1"),
        "limit_hops",
    ),
}
POLICY = {"offline": {"holding": "1 000", "payment": "350", "spends": 3, "hops": 2}}


@pytest.mark.parametrize(("before", "unwilling", "code"), REFUSED.values(), ids=REFUSED)
def test_what_may_not_be_is_refused_with_its_code(before: list[Tables], unwilling: Tables, code: str) -> None:
    assert failed(play(*before, unwilling | {"refused": code}, policy=POLICY)) == []


@pytest.mark.parametrize("do", ["revoke", "freeze"])
def test_a_payment_refused_by_a_payee_who_knows_more_is_a_refusal(do: str) -> None:
    """The payer could not know; its money is pending, and nobody else has it."""
    report = play(
        step("offline", wallets=["dana"]),
        step("advance", by="1 hour"),
        step(do, wallet="dana"),
        step("advance", by="1 hour"),
        step("sync", wallets=["shop"]),
        pay("dana", "shop", "1", refused="certificate_revoked"),
        step("expect", wallet="shop", online="0", offline="0"),
    )
    assert failed(report) == []


# --- tamper ------------------------------------------------------------------------------------

TAMPERED = {
    "amount": "amount_mismatch",
    "purpose": "purpose_refused",
    "signature": "bad_signature",
    "ancestry": "ancestry_broken",
    "hop_limit": "limit_hops",
    "certificate": "not_enrolled",
    "replay": "wrong_payee",
}
"""The contract's table."""


def test_every_forgery_of_the_contract_is_there() -> None:
    assert set(FORGERIES) == set(TAMPERED)


@pytest.mark.parametrize("hops", [1, 2])
@pytest.mark.parametrize(("what", "code"), TAMPERED.items())
def test_a_tampered_payment_is_refused_and_an_honest_one_follows(what: str, code: str, hops: int) -> None:
    """dana forges loaded money, or erlan what he was paid."""
    forger, before = "dana", [EVERYBODY_OFFLINE, pay("dana", "erlan", "100")]
    if hops == 2 and what != "purpose":
        forger = "erlan"
        before.append(pay("erlan", "canteen", "5"))
    report = play(
        *before,
        step("tamper", wallet=forger, what=what),
        pay(forger, "shop", "50", refused=code),
        pay(forger, "shop", "50"),
        step("expect", wallet="shop", offline="50"),
    )
    assert failed(report) == []


def test_tampering_needs_something_to_forge() -> None:
    result = last(play(EVERYBODY_OFFLINE, step("tamper", wallet="dana", what="replay"), pay("dana", "shop", "1")))
    assert (result.ok, result.code) == (False, "malformed")


# --- devices, faults, time ---------------------------------------------------------------------


def test_a_restored_storage_meets_the_old_element() -> None:
    report = play(
        step("backup", wallet="dana", as_="early"),
        EVERYBODY_OFFLINE,
        pay("dana", "shop", "200"),
        step("restore", wallet="dana", to="early"),
        pay("dana", "erlan", "200", refused="double_spend"),
        ONLINE_ALL,
        SYNC_ALL,
        step("expect", wallet="dana", offline="200", online="800"),
        step("expect", forks=0),
    )
    assert failed(report) == []


def test_a_clone_is_listed_apart_and_its_fork_names_the_original() -> None:
    """300 too much; seized are dana's 100 and the clone's 50 of change, and the 100 for meals in her purse."""
    report = play(*FORKED)
    assert failed(report) == []
    assert "clone" in report.wallets
    assert [(fork.by, fork.excess_tiyn) for fork in report.forks] == [("dana", 300_00)]
    assert report.banks["altyn"] == {"online": "8000.00", "reserve": "450.00", "claims": "0.00"}


@pytest.mark.parametrize("at", ["before_commit", "after_commit"])
def test_a_crash_in_the_middle_changes_nothing_of_the_outcome(at: str) -> None:
    """One crash in every kind of step that the ledger takes part in."""
    steps = [
        pay("dana", "shop", "100"),
        step("load", wallet="dana", amount="50"),
        step("unload", wallet="dana", amount="50"),
        step("issue", to="altyn", amount="10"),
        step("grant", from_="akimat", to="erlan", amount="10", purpose="meals"),
        step("sync", wallets=["dana"]),
        step("redeem", from_="altyn", amount="10"),
        step("reserve", bank="altyn", amount="10"),
        step("advance", by="60 days"),
    ]
    calm = play(*steps)
    crashed = play(*[one for crashing in steps for one in (step("crash", at=at), crashing)])
    assert failed(calm) == failed(crashed) == []
    assert (crashed.wallets, crashed.banks, crashed.supply) == (calm.wallets, calm.banks, calm.supply)
    assert (crashed.log_root, crashed.state_root) == (calm.log_root, calm.state_root)


def test_advance_sweeps_in_due_order() -> None:
    """dana's load is final on day 21, erlan's on day 31, the purpose ends on day 31 at midnight."""
    report = play(
        step("fund", from_="altyn", to="erlan", amount="100"),
        step("advance", by="10 days"),
        step("load", wallet="erlan", amount="40"),
        step("advance", by="20 days"),
        step("expect", wallet="dana", online="1 200", marked={"meals": "200"}),
        step("expect", wallet="erlan", online="60"),
        step("advance", by="30 days"),
        step("expect", wallet="dana", online="1 000", marked={"meals": "0"}),
        step("expect", wallet="erlan", online="100", offline="0"),
        step("expect", wallet="akimat", online="1 000"),
        step("expect", supply="10 500"),
    )
    assert failed(report) == []
    swept = [result.detail for result in report.steps if result.do == "advance"]
    assert swept == ["10 days pass", "20 days pass, 2 tokens fall due", "30 days pass, 3 tokens fall due"]


def test_many_due_tokens_are_swept_together_or_one_by_one_alike() -> None:
    in_one = play(step("advance", by="40 days"))
    in_many = play(*[step("advance", by="10 days")] * 4)
    assert (in_one.wallets, in_one.supply, in_one.state_root) == (in_many.wallets, in_many.supply, in_many.state_root)


def test_nobodys_online_money_is_lost_to_time() -> None:
    """A year passes over wallets, purses, forks and purposes: but for what the fork cost, everything is online."""
    report = play(*FORKED, step("advance", by="365 days"))
    assert failed(report) == []
    online = {name: parse_tenge(wallet["online"]) for name, wallet in report.wallets.items() if name != "clone"}
    assert online == {"dana": 700_00, "erlan": 250_00, "shop": 200_00, "canteen": 0, "akimat": 900_00}
    assert report.supply.online_tiyn == sum(online.values()) + 8_000_00
    assert (report.supply.pool_tiyn, report.supply.reserves_tiyn) == (0, 450_00)


@pytest.mark.parametrize("span", ["1 second", "2 hours", "1 week"])
def test_spans_of_time(span: str) -> None:
    assert last(play(step("advance", by=span))).ok


def test_reserve_issue_and_redeem_balance() -> None:
    report = play(
        step("issue", to="altyn", amount="100"),
        step("reserve", bank="altyn", amount="50"),
        step("redeem", from_="altyn", amount="30"),
        step("expect", bank="altyn", online="8 020", reserve="550"),
        step("expect", supply="10 570"),
    )
    assert failed(report) == []
    assert (report.supply.issued_tiyn, report.supply.redeemed_tiyn) == (10_600_00, 30_00)


def test_a_wallet_with_no_purpose_named_spends_the_most_restricted_first() -> None:
    report = play(pay("dana", "canteen", "150"), EVERYBODY_OFFLINE, pay("dana", "canteen", "150"))
    assert failed(report) == []
    assert report.wallets["dana"] == {"online": "650.00", "offline": "250.00", "pending": "0.00", "marked": {}}
    assert report.wallets["canteen"]["marked"] == {}


def test_honest_customers_of_a_bank_in_debt_keep_their_purses() -> None:
    """Case 12: the bank may load no purse, but nobody else loses by that."""
    report = play(
        step("fund", from_="altyn", to="erlan", amount="100"),
        step("load", wallet="erlan", amount="100"),
        *FORKED,
        step("expect", bank="altyn", claims="50"),
        step("sync", wallets=["erlan"]),
        step("advance", by="1 hour"),
        step("offline", wallets=["erlan"]),
        pay("erlan", "canteen", "350"),
        bank=[{"name": "altyn"}],
        policy={"offline": {"payment": "1 000"}},
    )
    assert [result.number for result in failed(report)] == []


# --- what a step needs -------------------------------------------------------------------------

NOTHING: dict[str, Tables] = {
    "issue": step("issue", to="altyn", amount="0"),
    "pay": pay("dana", "shop", "0"),
    "load": step("load", wallet="dana", amount="0"),
}


@pytest.mark.parametrize("nothing", NOTHING.values(), ids=NOTHING)
def test_an_amount_of_nothing_is_refused_when_it_is_played(nothing: Tables) -> None:
    result = last(play(nothing | {"refused": "malformed"}))
    assert (result.ok, result.code) == (True, "malformed")


def test_two_banks_of_one_name_are_refused() -> None:
    with pytest.raises(TengeError):
        play(funded=False, bank=[BANK, BANK])


CAST: dict[str, tuple[Tables, str]] = {
    "a wallet of an unknown bank": ({"wallet": [DANA | {"bank": "kumis"}], "purpose": []}, "kumis"),
    "a sponsor that is no wallet": ({"purpose": [MEALS | {"sponsor": "nobody"}]}, "nobody"),
    "a return to no wallet": ({"purpose": [MEALS | {"return_to": "nobody"}]}, "nobody"),
    "a condition about no wallet": ({"purpose": [MEALS | {"allow": {"payee": ["nobody"]}}]}, "nobody"),
    "an unknown condition": ({"purpose": [MEALS | {"allow": {"phase_of_moon": "full"}}]}, "phase_of_moon"),
    "two conditions in one table": ({"purpose": [MEALS | {"allow": {"payee_mcc": [], "before": "x"}}]}, "payee_mcc"),
    "a category of three digits": ({"purpose": [MEALS | {"allow": {"payee_mcc": ["581"]}}]}, "payee_mcc"),
    "a list that is none": ({"purpose": [MEALS | {"allow": {"payee_mcc": "5812"}}]}, "payee_mcc"),
    "an empty list": ({"purpose": [MEALS | {"allow": {"all": []}}]}, "all"),
    "a time in a condition": ({"purpose": [MEALS | {"allow": {"after": "tomorrow"}}]}, "tomorrow"),
    "an amount in a condition": ({"purpose": [MEALS | {"allow": {"per_payment": "lots"}}]}, "lots"),
    "two wallets of one name": ({"wallet": [DANA, ERLAN, DANA, AKIMAT]}, "dana"),
    "a merchant's bad category": ({"wallet": [SHOP | {"mcc": "59"}, AKIMAT]}, "mcc"),
    "a policy out of order": ({"policy": {"offline": {"spend_days": 30}}}, "spend_days"),
}


@pytest.mark.parametrize(("tables", "place"), CAST.values(), ids=CAST)
def test_a_cast_that_cannot_be_is_refused_by_name(tables: dict[str, Any], place: str) -> None:
    with pytest.raises(TengeError) as refused:
        play(funded=False, **tables)
    assert place in str(refused.value)
