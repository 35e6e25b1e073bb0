"""The steps and tables about special-purpose money, in small plays."""

from __future__ import annotations

from typing import Any

import pytest

from cbdc.errors import Malformed
from tests.scenarios.plays import AKIMAT, BANK, CANTEEN, DANA, ERLAN, SHOP, Tables, failed, last, pay, play, step
from wallet.scenarios import schema

PURPOSE: Tables = {"sponsor": "akimat", "expires": "2026-06-01T00:00:00+05:00"}


def purpose(name: str, allow: dict[str, Any], **fields: Any) -> Tables:
    return PURPOSE | {"name": name, "title": {"en": name}, "allow": allow} | fields


WORLD: Tables = {
    "title": "purposes",
    "bank": [BANK],
    "wallet": [DANA, ERLAN, SHOP, CANTEEN, AKIMAT],
    "oracle": [{"name": "inspector"}],
    "approver": [{"name": "head"}, {"name": "deputy"}],
}
APPROVED = purpose("approved", {"approval": {"of": ["head", "deputy", "erlan"], "quorum": 2}})
PROVEN = purpose("proven", {"evidence": {"oracle": "inspector", "fact": "done"}})
KEPT = purpose("kept", {"payee": ["shop", "canteen"]}, mark="keeps")
COUNTED = purpose("counted", {"payee": ["shop", "canteen", "erlan"]}, mark={"keeps_hops": 2})
BOUND = purpose("bound", {"payee": ["shop"]}, mark={"until_evidence": "inspector"})
FUNDS = [step("issue", to="altyn", amount="10 000"), step("fund", from_="altyn", to="akimat", amount="5 000")]


def acted(*steps: Tables, of: Tables, amount: str = "100") -> Any:
    """Play the steps after dana was granted so much of a purpose."""
    granted = step("grant", from_="akimat", to="dana", amount=amount, purpose=of["name"])
    report = play(*FUNDS, granted, *steps, funded=False, **{**WORLD, "purpose": [of]})
    assert failed(report) == []
    return report


def expect(**fields: Any) -> Tables:
    return step("expect", **fields)


def test_two_of_three_approve() -> None:
    acted(
        pay("dana", "shop", "60", purpose="approved", as_="it"),
        expect(payment="it", status="waiting", wallet="dana", online="40", pending="60"),
        step("approve", by="head", payment="it"),
        step("approve", by="dana", payment="it", refused="role_refused"),
        expect(payment="it", status="waiting"),
        step("approve", by="erlan", payment="it"),
        expect(payment="it", status="settled", wallet="shop", online="60", marked={"approved": "0"}),
        step("approve", by="deputy", payment="it", refused="not_owner"),
        of=APPROVED,
    )


def test_a_payment_lapses_when_nobody_approves() -> None:
    acted(
        pay("dana", "shop", "60", purpose="approved", as_="it", wait="2 hours"),
        step("approve", by="head", payment="it"),
        step("advance", by="7199 seconds"),
        expect(payment="it", status="waiting"),
        step("advance", by="1 second"),
        expect(payment="it", status="lapsed", wallet="dana", online="100", pending="0", marked={"approved": "100"}),
        step("approve", by="erlan", payment="it", refused="expired"),
        of=APPROVED,
    )


@pytest.mark.parametrize("about", ["it", "dana", "shop"])
def test_evidence_about_the_payment_or_a_party_lets_it_through(about: str) -> None:
    acted(
        pay("dana", "shop", "60", purpose="proven", as_="it"),
        step("evidence", oracle="inspector", fact="begun", about=about),
        expect(payment="it", status="waiting"),
        step("evidence", oracle="inspector", fact="done", about=about),
        expect(payment="it", status="settled", wallet="shop", online="60"),
        of=PROVEN,
    )


def test_evidence_may_come_first_and_about_others_it_does_nothing() -> None:
    acted(
        step("evidence", oracle="inspector", fact="done", about="erlan"),
        pay("dana", "shop", "30", purpose="proven", as_="first"),
        expect(payment="first", status="waiting"),
        step("evidence", oracle="inspector", fact="done", about="canteen"),
        pay("dana", "canteen", "30", purpose="proven", as_="second"),
        expect(payment="second", status="settled"),
        of=PROVEN,
    )


def test_a_kept_mark_asks_at_every_hop() -> None:
    acted(
        pay("dana", "shop", "60", purpose="kept"),
        pay("shop", "canteen", "50", purpose="kept"),
        pay("canteen", "erlan", "40", purpose="kept", refused="purpose_refused"),
        pay("canteen", "erlan", "40", refused="insufficient_funds"),
        expect(wallet="canteen", online="50", marked={"kept": "50"}),
        expect(wallet="shop", online="10", marked={"kept": "10"}),
        of=KEPT,
    )


def test_a_mark_that_counts_payments_ends() -> None:
    acted(
        pay("dana", "shop", "60", purpose="counted"),
        expect(wallet="shop", marked={"counted": "60"}),
        pay("shop", "canteen", "50", purpose="counted"),
        expect(wallet="canteen", online="50", marked={"counted": "0"}),
        expect(wallet="shop", online="10", marked={"counted": "10"}),
        of=COUNTED,
    )


def test_a_mark_that_counts_payments_counts_them_between_purses_too() -> None:
    acted(
        step("load", wallet="dana", amount="100", purpose="counted"),
        step("offline", wallets=["dana", "shop", "erlan", "canteen"]),
        pay("dana", "shop", "60", purpose="counted"),
        pay("shop", "erlan", "50", purpose="counted"),
        pay("erlan", "canteen", "20", purpose="counted", refused="insufficient_funds"),
        pay("erlan", "canteen", "20"),
        step("online", wallets=["dana", "shop", "erlan", "canteen"]),
        step("sync", wallets=["canteen", "erlan", "shop", "dana"]),
        expect(wallet="shop", offline="10", marked={"counted": "10"}),
        expect(wallet="erlan", offline="30", marked={"counted": "0"}),
        of=COUNTED,
    )


def test_a_mark_stays_until_the_oracle_has_spoken() -> None:
    acted(
        pay("dana", "shop", "60", purpose="bound", as_="it"),
        pay("shop", "canteen", "10", purpose="bound", refused="purpose_refused"),
        step("evidence", oracle="inspector", fact="built", about="it"),
        expect(wallet="shop", online="60", marked={"bound": "0"}),
        expect(wallet="dana", online="40", marked={"bound": "40"}),
        pay("shop", "canteen", "10"),
        of=BOUND,
    )


def test_a_recall_takes_what_is_unspent_online() -> None:
    acted(
        pay("dana", "shop", "60", purpose="kept"),
        step("load", wallet="dana", amount="10", purpose="kept"),
        step("recall", from_="akimat", wallet="dana", purpose="kept", reference="court 1"),
        step(
            "recall", from_="akimat", wallet="dana", purpose="kept", reference="court 2", refused="insufficient_funds"
        ),
        expect(wallet="dana", online="0", offline="10", marked={"kept": "10"}),
        expect(wallet="akimat", online="4 930"),
        expect(wallet="shop", marked={"kept": "60"}),
        of=KEPT,
    )


def test_a_refund_of_a_refused_payment_is_refused() -> None:
    report = play(
        *FUNDS,
        pay("dana", "shop", "60", purpose="kept", as_="it", refused="insufficient_funds"),
        step("refund", payment="it"),
        funded=False,
        **{**WORLD, "purpose": [KEPT]},
    )
    assert (last(report).code, last(report).ok) == ("malformed", False)


@pytest.mark.parametrize(
    ("tables", "message"),
    [
        ({"purpose": [purpose("p", {"approval": {"of": ["head"], "quorum": 2}})]}, "a quorum is"),
        ({"purpose": [purpose("p", {"approval": {"of": ["nobody"], "quorum": 1}})]}, "no such wallet"),
        ({"purpose": [purpose("p", {"evidence": {"oracle": "head", "fact": "x"}})]}, "no such oracle"),
        ({"purpose": [purpose("p", {"evidence": {"oracle": "inspector"}})]}, "evidence takes oracle and fact"),
        ({"purpose": [purpose("p", {"per_period": {"amount": "5", "days": 0}})]}, "at least one day"),
        ({"purpose": [purpose("p", {"payee": ["shop"]}, mark="fades")]}, "unknown rule"),
        ({"purpose": [purpose("p", {"payee": ["shop"]}, mark={"keeps_hops": 0})]}, "at least one payment"),
        ({"purpose": [purpose("p", {"payee": ["shop"]}, mark={"keeps": 1})]}, "unknown rule"),
        ({"purpose": [purpose("p", {"payee": ["shop"]}, mark={"until_evidence": "head"})]}, "no such oracle"),
        ({"purpose": [purpose("p", {"payee": ["shop"]}, split={"to": "shop", "parts": 5, "of": 5})]}, "a part of"),
        ({"purpose": [purpose("p", {"payee": ["shop"]}, split={"to": "x", "parts": 1, "of": 5})]}, "no such wallet"),
        ({"oracle": [{"name": "inspector"}, {"name": "inspector"}]}, "given twice"),
        ({"approver": [{"name": "altyn"}]}, "given twice"),
        ({"oracle": [{"name": "x", "key": "y"}]}, "unknown field"),
        ({"step": [step("evidence", oracle="head", fact="x", about="dana")]}, "no such oracle"),
        ({"step": [step("evidence", oracle="inspector", fact="x", about="nothing")]}, "no such payment or wallet"),
        ({"step": [step("approve", by="inspector", payment="x")]}, "no such approver"),
    ],
)
def test_what_is_not_well_written_is_told(tables: Tables, message: str) -> None:
    with pytest.raises(Malformed, match=message):
        schema.parse(WORLD | tables)
