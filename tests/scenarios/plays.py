"""Short scenarios in Python: a base economy, the steps under test, and the report."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

from wallet.scenarios import runner, schema
from wallet.scenarios.report import Report
from wallet.scenarios.runner import StepResult

Tables = dict[str, Any]

BANK = {"name": "altyn", "reserve": "500"}
DANA, ERLAN = ({"name": name, "bank": "altyn"} for name in ("dana", "erlan"))
SHOP = {"name": "shop", "bank": "altyn", "kind": "merchant", "mcc": "5942", "kato": "710000000"}
CANTEEN = {"name": "canteen", "bank": "altyn", "kind": "merchant", "mcc": "5812", "kato": "750000000"}
AKIMAT = {"name": "akimat", "bank": "altyn", "kind": "sponsor"}
MEALS = {
    "name": "meals",
    "sponsor": "akimat",
    "title": {"en": "Meals"},
    "expires": "2026-02-01T00:00:00+05:00",
    "allow": {"payee_mcc": ["5812"]},
}
BASE: Tables = {
    "title": "a play",
    "bank": [BANK],
    "wallet": [DANA, ERLAN, SHOP, CANTEEN, AKIMAT],
    "purpose": [MEALS],
}
FUNDED: list[Tables] = [
    {"do": "issue", "to": "altyn", "amount": "10 000"},
    {"do": "fund", "from": "altyn", "to": "dana", "amount": "1 000"},
    {"do": "fund", "from": "altyn", "to": "akimat", "amount": "1 000"},
    {"do": "grant", "from": "akimat", "to": "dana", "amount": "200", "purpose": "meals"},
    {"do": "load", "wallet": "dana", "amount": "300"},
    {"do": "load", "wallet": "dana", "amount": "100", "purpose": "meals"},
]
"""dana has 700 free and 100 marked online, 300 free and 100 marked in her purse."""

EVERYBODY_OFFLINE: Tables = {"do": "offline", "wallets": ["dana", "erlan", "shop", "canteen"]}


def step(do: str, **fields: Any) -> Tables:
    """A step; a field that is a Python keyword is written with an underscore behind."""
    return {"do": do} | {name.removesuffix("_"): value for name, value in fields.items()}


def pay(payer: str, payee: str, amount: str, **fields: Any) -> Tables:
    return step("pay", from_=payer, to=payee, amount=amount, **fields)


def play(*steps: Tables, funded: bool = True, **tables: Any) -> Report:
    """Play the steps after `FUNDED`; the report's ``steps`` are those of this call only."""
    before = FUNDED if funded else []
    scenario = schema.parse(BASE | tables | {"step": [*before, *steps]})
    with tempfile.TemporaryDirectory() as directory:
        report = runner.play(scenario, Path(directory))
    assert [result for result in report.steps[: len(before)] if not result.ok] == []
    assert all(report.invariants.values())
    return report


def last(report: Report) -> StepResult:
    return report.steps[-1]


def failed(report: Report) -> list[StepResult]:
    return [result for result in report.steps if not result.ok]
