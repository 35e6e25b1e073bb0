"""Conditions as scenario files write them, online and offline."""

from __future__ import annotations

from typing import Any

import pytest

from cbdc.errors import Malformed
from cbdc.purposes.conditions import Condition, Hours, PayeeTier, Payer
from tests.scenarios.plays import AKIMAT, CANTEEN, DANA, ERLAN, MEALS, SHOP, failed, pay, play, step
from wallet.scenarios.conditions import condition_of


def read(table: dict[str, Any]) -> Condition:
    return condition_of(table, lambda name: f"altyn/{name}")


@pytest.mark.parametrize(
    ("table", "condition"),
    [
        ({"payer": ["dana", "erlan"]}, Payer(("altyn/dana", "altyn/erlan"))),
        ({"payee_tier": 2}, PayeeTier((2,))),
        ({"payee_tier": [3, 2, 3]}, PayeeTier((2, 3))),
        ({"hours": {"days": "mon-fri", "from": "08:00", "to": "18:30"}}, Hours((0, 1, 2, 3, 4), 480, 1110)),
        ({"hours": {"days": "sat-mon", "from": "0:00", "to": "24:00"}}, Hours((0, 5, 6), 0, 1440)),
        ({"hours": {"days": "wed", "from": "08:00", "to": "09:00"}}, Hours((2,), 480, 540)),
        ({"hours": {"days": "mon, wed,fri", "from": "08:00", "to": "09:00"}}, Hours((0, 2, 4), 480, 540)),
        ({"hours": {"to": "09:00", "from": "08:00", "days": "fri,mon,wed"}}, Hours((0, 2, 4), 480, 540)),
    ],
)
def test_reads(table: dict[str, Any], condition: Condition) -> None:
    assert read(table) == condition


@pytest.mark.parametrize(
    "table",
    [
        {"payer": "dana"},
        {"payee_tier": ["gold"]},
        {"payee_tier": []},
        {"hours": {"days": "mon-fri", "from": "08:00"}},
        {"hours": "08:00-18:00"},
        {"hours": {"days": "monday", "from": "08:00", "to": "18:00"}},
        {"hours": {"days": "", "from": "08:00", "to": "18:00"}},
        {"hours": {"days": "mon", "from": "8", "to": "18:00"}},
        {"hours": {"days": "mon", "from": "08:60", "to": "18:00"}},
        {"hours": {"days": "mon", "from": "08:0", "to": "18:00"}},
        {"hours": {"days": "mon", "from": "18:00", "to": "08:00"}},
        {"hours": {"days": "mon", "from": "18:00", "to": "18:00"}},
    ],
)
def test_refuses_what_it_cannot_read(table: dict[str, Any]) -> None:
    with pytest.raises(Malformed):
        read(table)


WALLETS = [DANA, ERLAN, SHOP, {**CANTEEN, "tier": 2}, AKIMAT]
OFFLINE = step("offline", wallets=["dana", "erlan", "shop", "canteen"])


@pytest.mark.parametrize(
    ("allow", "code"),
    [
        ({"payer": ["dana"]}, None),
        ({"payer": ["erlan"]}, "purpose_refused"),
        ({"payee_tier": 2}, None),
        ({"payee_tier": [1, 3]}, "purpose_refused"),
        ({"hours": {"days": "mon-sun", "from": "00:00", "to": "24:00"}}, None),
        ({"not": {"hours": {"days": "mon-sun", "from": "00:00", "to": "24:00"}}}, "purpose_refused"),
    ],
)
def test_a_condition_decides_the_same_online_and_offline(allow: dict[str, Any], code: str | None) -> None:
    refused = {"refused": code} if code else {}
    report = play(
        pay("dana", "canteen", "50", purpose="meals", **refused),
        OFFLINE,
        pay("dana", "canteen", "50", purpose="meals", **refused),
        step("online", wallets=["canteen"]),
        step("sync", wallets=["canteen"]),
        step("expect", wallet="canteen", online="0" if code else "50", offline="0" if code else "50"),
        purpose=[{**MEALS, "allow": allow}],
        wallet=WALLETS,
    )
    assert failed(report) == []


def test_hours_follow_ledger_time() -> None:
    """The base economy begins on 1 January 2026 at midnight in Almaty: a Thursday."""
    allow = {"hours": {"days": "fri", "from": "08:00", "to": "12:00"}}
    report = play(
        pay("dana", "canteen", "10", purpose="meals", refused="purpose_refused"),
        step("advance", by="32 hours"),
        pay("dana", "canteen", "10", purpose="meals"),
        step("advance", by="4 hours"),
        pay("dana", "canteen", "10", purpose="meals", refused="purpose_refused"),
        purpose=[{**MEALS, "allow": allow}],
        wallet=WALLETS,
        start="2026-01-01T00:00:00+05:00",
    )
    assert failed(report) == []
