"""The steps about devices: lost messages, repeats, releases, lost and careless devices, wrong clocks."""

from __future__ import annotations

from typing import Any

import pytest

from tests.scenarios.plays import EVERYBODY_OFFLINE, Tables, failed, last, pay, play, step
from wallet.scenarios.report import Report

ONLINE_ALL = step("online", wallets=["dana", "erlan", "shop", "canteen"])


def expect(**fields: Any) -> Tables:
    return step("expect", **fields)


# --- lost messages and repeats -----------------------------------------------------------------


def test_a_lost_invoice_is_nothing_at_all() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        step("lose_message", payment="p", message="invoice"),
        pay("dana", "shop", "100", as_="p"),
        expect(wallet="dana", offline="400", pending="0"),
        expect(wallet="shop", offline="0"),
        pay("dana", "shop", "100", as_="p"),
        expect(payment="p", status="accepted"),
    )
    assert failed(report) == []


def test_a_lost_payment_is_pending_and_shown_again_it_arrives() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        step("lose_message", payment="p", message="payment"),
        pay("dana", "shop", "100", as_="p"),
        expect(payment="p", status="pending"),
        expect(wallet="dana", offline="300", pending="100"),
        expect(wallet="shop", offline="0"),
        step("resend", payment="p"),
        step("resend", payment="p"),
        expect(payment="p", status="accepted"),
        expect(wallet="dana", offline="300", pending="0"),
        expect(wallet="shop", offline="100"),
    )
    assert failed(report) == []


def test_a_lost_payment_is_credited_when_the_payer_alone_syncs() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        step("lose_message", payment="p", message="payment"),
        pay("dana", "shop", "100", as_="p"),
        ONLINE_ALL,
        step("sync", wallets=["dana", "shop"]),
        expect(payment="p", status="settled"),
        expect(wallet="shop", offline="100"),
    )
    assert failed(report) == []


def test_a_lost_receipt_leaves_the_payee_whole_and_the_payer_waiting() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        step("lose_message", payment="p", message="receipt"),
        pay("dana", "shop", "100", as_="p"),
        expect(payment="p", status="pending"),
        expect(wallet="shop", offline="100"),
        step("resend", payment="p"),
        expect(payment="p", status="accepted"),
        expect(wallet="shop", offline="100"),
    )
    assert failed(report) == []


ONLINE = pay("dana", "shop", "1", as_="p")
NOT_BETWEEN_DEVICES: dict[str, list[Tables]] = {
    "a lost receipt": [step("lose_message", payment="p", message="receipt"), ONLINE],
    "shown again": [ONLINE, step("resend", payment="p")],
    "given back": [ONLINE, step("release", payment="p")],
}


@pytest.mark.parametrize("steps", NOT_BETWEEN_DEVICES.values(), ids=NOT_BETWEEN_DEVICES)
def test_what_turns_out_not_to_be_between_two_devices_is_malformed(steps: list[Tables]) -> None:
    assert (last(play(*steps)).ok, last(play(*steps)).code) == (False, "malformed")


# --- release -----------------------------------------------------------------------------------


@pytest.mark.parametrize("order", [["dana", "shop"], ["shop", "dana"]])
def test_refused_goods_the_value_comes_back(order: list[str]) -> None:
    report = play(
        EVERYBODY_OFFLINE,
        pay("dana", "shop", "120", as_="p"),
        step("release", payment="p"),
        step("release", payment="p"),
        expect(payment="p", status="released"),
        expect(wallet="dana", offline="400", pending="0"),
        expect(wallet="shop", offline="0", pending="0"),
        ONLINE_ALL,
        step("sync", wallets=order),
        expect(payment="p", status="released"),
        expect(wallet="dana", offline="400", pending="0"),
        expect(wallet="shop", offline="0"),
        expect(forks=0, supply="10 500"),
    )
    assert failed(report) == []


def test_a_release_brings_the_mark_back_and_asks_no_condition() -> None:
    """The canteen's tokens are free money; a person's purse could never be paid with school meals."""
    report = play(
        EVERYBODY_OFFLINE,
        pay("dana", "canteen", "60", purpose="meals", as_="lunch"),
        expect(wallet="dana", marked={"meals": "140"}),
        step("release", payment="lunch"),
        expect(wallet="dana", offline="400", marked={"meals": "200"}),
        pay("dana", "canteen", "100", purpose="meals", as_="supper"),
        pay("dana", "shop", "1", purpose="meals", refused="purpose_refused"),
        ONLINE_ALL,
        step("sync", wallets=["canteen", "dana"]),
        expect(payment="lunch", status="released"),
        expect(payment="supper", status="settled"),
        expect(wallet="dana", offline="300", marked={"meals": "100"}),
        expect(wallet="canteen", offline="100", marked={"meals": "0"}),
    )
    assert failed(report) == []


def test_what_moved_on_cannot_come_back() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        pay("dana", "erlan", "120", as_="p"),
        pay("erlan", "shop", "20", as_="on"),
        step("release", payment="p", refused="double_spend"),
        step("release", payment="on"),
        step("release", payment="p", refused="double_spend"),
        expect(wallet="erlan", offline="120"),
    )
    assert failed(report) == []


def test_after_a_sync_the_tokens_are_others() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        pay("dana", "shop", "120", as_="p"),
        ONLINE_ALL,
        step("sync", wallets=["shop"]),
        step("release", payment="p", refused="double_spend"),
        expect(payment="p", status="settled"),
    )
    assert failed(report) == []


def test_a_released_fork_is_disputed_and_what_came_back_is_seized() -> None:
    """300 spent twice: 200 came back to dana; erlan keeps his 250; 300 is owed, less 300 and 50 and 100 seized."""
    report = play(
        step("clone", wallet="dana", as_="clone"),
        EVERYBODY_OFFLINE,
        step("offline", wallets=["clone"]),
        pay("dana", "shop", "200", as_="first"),
        pay("clone", "erlan", "250", as_="second"),
        step("release", payment="first"),
        expect(payment="first", status="released"),
        ONLINE_ALL,
        step("sync", wallets=["shop", "erlan"]),
        expect(payment="first", status="disputed"),
        expect(forks=1, owes={"wallet": "dana", "amount": "0"}),
        expect(bank="altyn", reserve="500", claims="0"),
        expect(wallet="erlan", offline="250"),
    )
    assert failed(report) == []


# --- lost devices ------------------------------------------------------------------------------


def test_a_lost_device_takes_no_part_and_its_owner_gets_its_money_at_the_end() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        pay("dana", "shop", "100", as_="p"),
        step("lose", wallet="dana"),
        *[
            step(do, refused="unreachable", **fields)
            for do, fields in (
                ("sync", {"wallets": ["dana"]}),
                ("online", {"wallets": ["dana"]}),
                ("load", {"wallet": "dana", "amount": "1"}),
                ("pay", {"from": "dana", "to": "shop", "amount": "1"}),
                ("pay", {"from": "shop", "to": "dana", "amount": "1"}),
                ("fund", {"from": "altyn", "to": "dana", "amount": "1"}),
                ("resend", {"payment": "p"}),
                ("release", {"payment": "p"}),
                ("lose", {"wallet": "dana"}),
                ("skew", {"wallet": "dana", "by": "1 day"}),
                ("clone", {"wallet": "dana", "as": "ghost"}),
            )
        ],
        expect(wallet="dana", online="800", offline="400", pending="0", marked={"meals": "200"}),
        step("online", wallets=["shop"]),
        step("sync", wallets=["shop"]),
        expect(wallet="dana", offline="300", pending="0"),
        step("freeze", wallet="dana"),
        step("advance", by="22 days"),
        expect(wallet="dana", online="1 100", offline="0"),
        expect(wallet="shop", online="100"),
    )
    assert failed(report) == []
    assert report.wallets["dana"]["online"] == "1100.00"


# --- stolen devices ----------------------------------------------------------------------------

STOLEN = [
    step("load", wallet="dana", amount="1", refused="limit_holding"),
    EVERYBODY_OFFLINE,
    pay("dana", "shop", "120", as_="before"),
    step("advance", by="1 hour"),
    step("freeze", wallet="dana"),
    step("advance", by="1 hour"),
    pay("dana", "erlan", "110", as_="unheard"),
]
"""dana's purse is full when a thief takes it; the shop is paid before she reports it, erlan before he has heard."""

HEARD = [step("online", wallets=["canteen"]), step("sync", wallets=["canteen"]), step("offline", wallets=["canteen"])]


def play_stolen(*steps: Tables) -> Report:
    """The thief has 70 free and 100 marked left."""
    return play(*STOLEN, *steps, policy={"offline": {"holding": "400"}})


def test_a_stolen_device_pays_until_its_freeze_arrives_and_no_more_than_it_held() -> None:
    """Case 26: whoever could not know is paid, and the bank covers nothing; the rest is its owner's again."""
    report = play_stolen(
        *HEARD,
        pay("dana", "canteen", "70", refused="certificate_revoked"),
        step("online", wallets=["dana", "shop", "erlan"]),
        step("load", wallet="dana", amount="1", refused="certificate_revoked"),
        step("unload", wallet="dana", amount="1", refused="certificate_revoked"),
        step("sync", wallets=["shop", "erlan"]),
        expect(payment="before", status="settled"),
        expect(payment="unheard", status="settled"),
        expect(wallet="shop", offline="120"),
        expect(wallet="erlan", offline="110"),
        step("lose", wallet="dana"),
        step("advance", by="22 days"),
        expect(wallet="dana", online="970", offline="0", marked={"meals": "200"}),  # 1 200 less what the thief spent
        expect(forks=0, bank="altyn", reserve="500", claims="0"),
    )
    assert failed(report) == []


def test_what_a_stolen_device_paid_to_one_who_has_heard_is_borne_by_him() -> None:
    report = play_stolen(
        *HEARD,
        step("careless", wallet="canteen"),
        pay("dana", "canteen", "70", as_="heard"),
        step("online", wallets=["canteen"]),
        step("sync", wallets=["canteen"], refused="certificate_revoked"),
        expect(payment="heard", status="refused"),
        expect(wallet="canteen", offline="0"),
        step("lose", wallet="dana"),
        expect(wallet="dana", online="800", offline="400"),  # the ledger has heard of no payment that stands
        expect(forks=0, bank="altyn", reserve="500", claims="0"),
    )
    assert failed(report) == []


def test_what_a_stolen_device_paid_stands_no_longer_than_the_lists_days() -> None:
    report = play_stolen(
        step("advance", by="4 days"),
        step("online", wallets=["erlan", "shop"]),
        step("sync", wallets=["erlan"], refused="certificate_revoked"),
        expect(payment="unheard", status="refused"),
        expect(wallet="erlan", offline="0"),
    )
    assert failed(report) == []


def test_a_release_brings_the_list_that_it_names() -> None:
    """The shop has heard a newer list from another customer; dana could not judge its release without that."""
    report = play(
        step("fund", from_="altyn", to="erlan", amount="10"),
        EVERYBODY_OFFLINE,
        pay("dana", "shop", "50", as_="returned"),
        step("advance", by="1 hour"),
        step("online", wallets=["erlan"]),
        step("load", wallet="erlan", amount="10"),
        step("offline", wallets=["erlan"]),
        pay("erlan", "shop", "10", as_="news"),
        step("release", payment="returned"),
        expect(payment="returned", status="released"),
    )
    assert failed(report) == []


# --- careless devices --------------------------------------------------------------------------

CARELESS = {
    "amount": "amount_mismatch",
    "purpose": "purpose_refused",
    "signature": "bad_signature",
    "hop_limit": "limit_hops",
}


@pytest.mark.parametrize(("what", "code"), CARELESS.items())
def test_a_careless_payee_bears_what_it_took(what: str, code: str) -> None:
    """The ledger refuses with the same code as an honest purse; nobody else gets poorer, and honest evidence counts."""
    report = play(
        step("careless", wallet="shop"),
        EVERYBODY_OFFLINE,
        step("tamper", wallet="dana", what=what),
        pay("dana", "shop", "50", as_="forged"),
        expect(payment="forged", status="accepted"),
        expect(wallet="shop", offline="50"),
        pay("dana", "erlan", "10", as_="honest"),
        ONLINE_ALL,
        step("sync", wallets=["shop"], refused=code),
        expect(payment="forged", status="refused"),
        expect(wallet="shop", offline="0", online="0"),
        step("sync", wallets=["dana", "erlan"]),
        expect(payment="honest", status="settled"),
        expect(wallet="dana", offline="390", pending="0"),
        expect(supply="10 500", forks=0),
    )
    assert failed(report) == []


def test_a_careless_payee_gives_good_money_back() -> None:
    report = play(
        step("careless", wallet="shop"),
        EVERYBODY_OFFLINE,
        pay("dana", "shop", "50", as_="good"),
        step("release", payment="good"),
        ONLINE_ALL,
        step("sync", wallets=["shop", "dana"]),
        expect(payment="good", status="released"),
        expect(wallet="dana", offline="400", pending="0"),
    )
    assert failed(report) == []


def test_a_sync_that_was_to_be_refused_and_was_not_fails() -> None:
    assert not last(play(step("sync", wallets=["shop"], refused="amount_mismatch"))).ok


def test_a_careless_device_stays_careless_after_a_rollback() -> None:
    report = play(
        step("careless", wallet="shop"),
        step("backup", wallet="shop", as_="b"),
        step("restore", wallet="shop", to="b"),
        EVERYBODY_OFFLINE,
        step("tamper", wallet="dana", what="amount"),
        pay("dana", "shop", "50"),
        expect(wallet="shop", offline="50"),
    )
    assert failed(report) == []


def test_a_stale_and_careless_payee_of_a_revoked_purse_bears_it() -> None:
    """Case 20: nobody careful would have asked; the payment comes too late for the rule that spares payees."""
    report = play(
        step("advance", by="1 hour"),
        step("sync", wallets=["shop"]),
        EVERYBODY_OFFLINE,
        step("advance", by="1 hour"),
        step("revoke", wallet="dana"),
        step("advance", by="4 days"),
        pay("dana", "shop", "50", refused="trust_list_stale"),
        step("careless", wallet="shop"),
        pay("dana", "shop", "50", as_="p"),
        ONLINE_ALL,
        step("sync", wallets=["shop"], refused="certificate_revoked"),
        expect(payment="p", status="refused"),
        expect(wallet="shop", offline="0"),
    )
    assert failed(report) == []


def test_chance_comes_from_the_seed_on_every_opened_device() -> None:
    """Careless, cloned and rolled-back payees write invoices too; the same file gives the same roots."""
    steps = [
        step("careless", wallet="shop"),
        step("clone", wallet="canteen", as_="twin"),
        step("backup", wallet="erlan", as_="b"),
        step("restore", wallet="erlan", to="b"),
        EVERYBODY_OFFLINE,
        *[pay("dana", payee, "10") for payee in ("shop", "twin", "erlan", "erlan")],
        step("online", wallets=["dana"]),
        step("sync", wallets=["dana"]),
    ]
    one, other = play(*steps), play(*steps)
    assert failed(one) == []
    assert (one.log_root, one.state_root) == (other.log_root, other.state_root)


# --- clocks ------------------------------------------------------------------------------------


def test_a_clock_set_back_spends_nothing_that_is_past() -> None:
    report = play(
        step("offline", wallets=["dana"]),
        step("advance", by="8 days"),
        step("skew", wallet="dana", by="-8 days"),
        step("sync", wallets=["shop"]),
        step("offline", wallets=["shop"]),
        pay("dana", "shop", "50", refused="expired"),
        expect(wallet="dana", offline="400"),
    )
    assert failed(report) == []


def test_a_clock_ahead_is_that_devices_own_trouble() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        step("skew", wallet="shop", by="4 days"),
        pay("dana", "shop", "50", refused="trust_list_stale"),
        pay("dana", "erlan", "50"),
        step("skew", wallet="shop", by="-4 days"),
        pay("dana", "shop", "50"),
    )
    assert failed(report) == []


def test_a_clone_starts_with_its_originals_clock_and_keeps_its_own() -> None:
    report = play(
        step("skew", wallet="shop", by="4 days"),
        step("clone", wallet="shop", as_="twin"),
        step("skew", wallet="shop", by="-4 days"),
        EVERYBODY_OFFLINE,
        step("offline", wallets=["twin"]),
        pay("dana", "twin", "50", refused="trust_list_stale"),
        pay("dana", "shop", "50"),
    )
    assert failed(report) == []


# --- statuses ----------------------------------------------------------------------------------


@pytest.mark.parametrize("before", [[], [EVERYBODY_OFFLINE]], ids=["online", "offline"])
def test_a_payment_refused_before_it_was_signed_is_refused(before: list[Tables]) -> None:
    report = play(
        *before,
        pay("dana", "shop", "5 000", as_="p", refused="insufficient_funds"),
        expect(payment="p", status="refused"),
    )
    assert failed(report) == []


# --- paying a debt back ------------------------------------------------------------------------


def test_a_debt_is_repaid_with_online_money_and_never_more_than_it_is() -> None:
    report = play(
        step("clone", wallet="dana", as_="dana-2"),
        EVERYBODY_OFFLINE,
        pay("dana", "shop", "300"),
        pay("dana-2", "erlan", "300"),
        ONLINE_ALL,
        step("sync", wallets=["shop", "erlan"]),
        expect(owes={"wallet": "dana", "amount": "200"}),  # her other 100 are seized
        step("repay", wallet="dana", amount="200.01", refused="amount_mismatch"),
        step("repay", wallet="erlan", amount="1", refused="insufficient_funds"),
        step("repay", wallet="dana", amount="150"),
        expect(owes={"wallet": "dana", "amount": "50"}),
        step("repay", wallet="dana", amount="50"),
        expect(owes={"wallet": "dana", "amount": "0"}),
    )
    assert failed(report) == []


# --- a new purse -------------------------------------------------------------------------------


def test_a_culprit_gets_no_new_purse_before_the_debt_is_paid_and_then_may_pay_again() -> None:
    report = play(
        step("clone", wallet="dana", as_="twin"),
        EVERYBODY_OFFLINE,
        pay("dana", "erlan", "300"),
        pay("twin", "shop", "300"),
        step("online", wallets=["dana", "erlan", "shop"]),
        step("sync", wallets=["erlan", "shop", "dana"]),
        step("expect", owes={"wallet": "dana", "amount": "200"}),
        step("new_purse", wallet="dana", refused="certificate_revoked"),
        step("repay", wallet="dana", amount="200"),
        step("new_purse", wallet="dana"),
        step("load", wallet="dana", amount="100"),
        step("offline", wallets=["dana", "erlan"]),
        pay("dana", "erlan", "60", as_="again"),
        step("online", wallets=["dana", "erlan"]),
        step("sync", wallets=["erlan", "dana"]),
        step("expect", payment="again", status="settled"),
        step("expect", wallet="dana", offline="40"),
    )
    assert failed(report) == []


def test_a_wallet_without_debt_changes_its_purse_and_its_money_comes_home() -> None:
    report = play(
        step("new_purse", wallet="dana"),
        step("expect", wallet="dana", online="1200", offline="0", marked={"meals": "200"}),
        step("load", wallet="dana", amount="50"),
        step("expect", wallet="dana", online="1150", offline="50"),
    )
    assert failed(report) == []


# --- a payee who is paid twice out of one token --------------------------------------------------


def test_a_payee_who_refused_the_second_spend_of_a_token_goes_on_as_if_it_had_never_been() -> None:
    """The refused payment is at the ledger all the same, as proof: what it put into his purse is seized, not his."""
    report = play(
        step("clone", wallet="dana", as_="twin"),
        EVERYBODY_OFFLINE,
        pay("dana", "shop", "100"),
        pay("twin", "shop", "60", refused="double_spend"),
        step("online", wallets=["shop", "dana", "erlan"]),
        step("sync", wallets=["shop"]),
        step("expect", forks=1),
        step("expect", owes={"wallet": "shop", "amount": "0"}),
        step("expect", wallet="shop", online="0", offline="100"),
        step("unload", wallet="shop", amount="50"),
        step("sync", wallets=["shop"]),
        step("expect", wallet="shop", online="50", offline="50"),
        step("unload", wallet="shop", amount="50"),
        step("load", wallet="shop", amount="20"),
        step("offline", wallets=["shop", "erlan"]),
        pay("shop", "erlan", "20"),
        step("online", wallets=["shop", "erlan"]),
        step("sync", wallets=["erlan", "shop"]),
        step("expect", wallet="erlan", offline="20"),
        step("advance", by="22 days"),
        step("expect", wallet="shop", online="80"),
        step("expect", wallet="erlan", online="20"),
    )
    assert failed(report) == []
