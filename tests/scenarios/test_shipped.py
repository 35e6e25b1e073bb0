"""The scenarios that come with the wallet, and the JSON that the contract promises of them."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from cbdc.amounts import format_tenge, parse_tenge
from tui.commands.scenario import shipped
from wallet.scenarios import runner, schema
from wallet.scenarios.report import Report

SHIPPED = shipped()
MONEY = re.compile(r"-?[0-9]+\.[0-9]{2}")
INVARIANTS = {"replay", "receipts", "fraud_proofs"}


def played(name: str, directory: Path) -> Report:
    return runner.play(schema.read(SHIPPED[name]), directory)


@pytest.fixture(scope="module", params=sorted(SHIPPED))
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def report(name: str, tmp_path_factory: pytest.TempPathFactory) -> Report:
    return played(name, tmp_path_factory.mktemp(name))


@pytest.fixture(scope="module")
def both(name: str, report: Report, tmp_path_factory: pytest.TempPathFactory) -> tuple[Report, Report]:
    """The same scenario played twice."""
    return report, played(name, tmp_path_factory.mktemp(name))


def test_it_passes(report: Report) -> None:
    assert [step for step in report.steps if not step.ok] == []
    assert report.ok


def test_every_invariant_was_looked_at_and_held(both: tuple[Report, Report]) -> None:
    invariants = both[0].invariants
    assert all(invariants.values())
    assert set(invariants) > INVARIANTS
    assert both[0].signatures_verified > both[0].log_size / 2
    assert both[0].receipts_verified > 0


def test_the_same_file_gives_the_same_json_but_for_the_time_it_took(both: tuple[Report, Report]) -> None:
    one, other = (report.to_json() for report in both)
    for line in (*one["steps"], *other["steps"]):
        assert line.pop("ms") >= 0
    assert json.dumps(one) == json.dumps(other)


def test_the_json_has_exactly_the_contracts_fields(both: tuple[Report, Report]) -> None:
    data = both[0].to_json()
    assert set(data) == {
        *("ok", "title", "steps", "wallets", "banks", "supply", "issued", "redeemed", "forks"),
        *("log_size", "log_root", "state_root", "invariants", "routes", "root_key"),
    }
    for number, line in enumerate(data["steps"], 1):
        assert set(line) - {"code"} == {"n", "do", "ok", "detail", "ms"}
        assert (line["n"], type(line["ok"]), type(line["detail"])) == (number, bool, str)
    for wallet in data["wallets"].values():
        assert set(wallet) - {"seized", "revoked"} == {"online", "offline", "pending", "marked"}
    assert {frozenset(bank) for bank in data["banks"].values()} == {frozenset({"online", "reserve", "claims"})}
    assert {frozenset(fork) for fork in data["forks"]} <= {frozenset({"by", "excess", "owed", "proof", "outputs"})}
    assert {type(value) for value in data["invariants"].values()} == {bool}
    for root in (data["log_root"], data["state_root"]):
        assert re.fullmatch(r"[0-9a-f]{64}", root)


def test_every_amount_in_the_json_is_a_text_in_tenge(both: tuple[Report, Report]) -> None:
    data = both[0].to_json()
    amounts = [data[name] for name in ("supply", "issued", "redeemed")] + [fork["excess"] for fork in data["forks"]]
    for table in (*data["wallets"].values(), *data["banks"].values()):
        amounts += [value for value in table.values() if not isinstance(value, dict | bool)]
        amounts += table.get("marked", {}).values()
    assert amounts
    for amount in amounts:
        assert MONEY.fullmatch(amount), amount
        assert format_tenge(parse_tenge(amount)) == amount


def test_codes_stand_where_something_was_refused_and_nowhere_else(both: tuple[Report, Report]) -> None:
    data = both[0].to_json()
    wanted = {step.number: step.refused for step in schema.read(find(data["title"])).steps if step.refused}
    assert {line["n"]: line["code"] for line in data["steps"] if "code" in line} == wanted


def test_the_supply_is_exact(both: tuple[Report, Report]) -> None:
    """What wallets, banks and reserves show adds up to what was issued and not redeemed, to the tiyn."""
    data = both[0].to_json()
    supply = both[0].supply
    online = sum(parse_tenge(w["online"]) for w in data["wallets"].values())
    online += sum(parse_tenge(b["online"]) for b in data["banks"].values())
    clones = sum(parse_tenge(w["online"]) for n, w in data["wallets"].items() if n.endswith("-clone"))
    assert online - clones == supply.online_tiyn
    assert sum(parse_tenge(b["reserve"]) for b in data["banks"].values()) == supply.reserves_tiyn
    total = supply.online_tiyn + supply.pool_tiyn + supply.reserves_tiyn
    assert format_tenge(total) == data["supply"] == format_tenge(supply.issued_tiyn - supply.redeemed_tiyn)


def find(title: str) -> Path:
    """The file of a title."""
    (path,) = [path for path in SHIPPED.values() if schema.read(path).title == title]
    return path


def test_the_economies_are_those_of_the_main_jobs() -> None:
    assert {"market_day", "double_spend", "school_meals"} <= set(SHIPPED)


def test_another_seed_is_another_economy(tmp_path: Path) -> None:
    text = SHIPPED["double_spend"].read_text()
    reports: list[dict[str, Any]] = []
    for seed in ("seed  = 23", "seed  = 24"):
        file = tmp_path / f"{seed[-2:]}.toml"
        file.write_text(text.replace("seed  = 23", seed))
        reports.append(runner.play(schema.read(file), tmp_path / seed[-2:]).to_json())
    assert all(report["ok"] for report in reports)
    assert reports[0]["wallets"] == reports[1]["wallets"]
    assert reports[0]["state_root"] != reports[1]["state_root"]
