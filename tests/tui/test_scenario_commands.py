"""`tenge demo` and `tenge scenario`: what they print, in words and in JSON, and how they end."""

from __future__ import annotations

import base64
import re
from pathlib import Path

import pytest

from cbdc.errors import FileTrouble
from tests.tui.conftest import Run
from wallet.scenarios import page

SHORT = """
title = "Short and [bold]plain[/bold]"
[[bank]]
name = "altyn"
[[wallet]]
name = "dana"
bank = "altyn"
[[step]]
do = "issue"
to = "altyn"
amount = "5"
note = "a [note]"
"""
FAILING = SHORT + '[[step]]\ndo = "expect"\nbank = "altyn"\nonline = "6"\n'


@pytest.fixture
def written(tmp_path: Path) -> Path:
    file = tmp_path / "play.toml"
    file.write_text(SHORT)
    return file


def test_the_demo_shows_every_step_and_says_that_all_held(tenge: Run) -> None:
    done = tenge("demo")
    assert done.status == 0, done.err
    assert "aigerim pays timur" in done.out
    assert "refused: purpose_refused" in done.out
    assert "✗" not in done.out
    assert "Every step did what it says, and every invariant held." in done.out


def test_the_demo_as_json(program: Run) -> None:
    done = program("demo", "--json")
    data = done.json()
    assert (done.status, data["ok"], done.err) == (0, True, "")
    assert all(data["invariants"].values())


def test_a_kept_demo_leaves_ledger_and_wallets(market: Path) -> None:
    assert (market / "ledger" / "ledger.db").is_file()
    assert len((market / "ledger" / "root.pub").read_text()) == 65
    assert {path.name for path in (market / "wallets").iterdir()} >= {"aigerim", "timur", "canteen"}


def test_a_demo_is_not_kept_where_something_is(tenge: Run, tmp_path: Path) -> None:
    (tmp_path / "something").touch()
    done = tenge("demo", "--keep", tmp_path, "--json")
    assert (done.status, done.code()) == (1, "already_there")


def test_what_is_not_kept_is_gone(tenge: Run, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, written: Path) -> None:
    scratch = tmp_path / "scratch"
    scratch.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(scratch))
    assert tenge("scenario", "run", written).status == 0
    assert list(scratch.iterdir()) == []


def test_the_list_names_what_is_shipped(tenge: Run) -> None:
    listed = {scenario["name"] for scenario in tenge("scenario", "list", "--json").json()["scenarios"]}
    assert listed >= {"market_day", "double_spend", "school_meals"}
    shown = tenge("scenario", "list").out
    assert all(name in shown for name in listed)


def test_a_shipped_scenario_runs_by_name(tenge: Run) -> None:
    done = tenge("scenario", "run", "double_spend", "--json")
    (fork,) = done.json()["forks"]
    assert (done.status, fork["by"], fork["excess"], fork["owed"]) == (0, "dana", "10000.00", "5000.00")
    said = tenge("scenario", "run", "double_spend").out
    assert "purse revoked" in said
    assert "Fork by dana: 10\u2009000\u00a0₸ too much, 5\u2009000\u00a0₸ still owed" in said
    assert "Too much is the whole value of the token, for each spend of it after the first" in said


def test_the_report_as_a_page(tenge: Run, tmp_path: Path, written: Path) -> None:
    file = tmp_path / "report.html"
    done = tenge("scenario", "run", written, "--html", file)
    assert done.status == 0
    assert f"The report is in {file}" in done.out
    assert "Short and [bold]plain[/bold]" in file.read_text()


def test_a_page_is_not_overwritten_unless_forced_and_nothing_is_played_for_it(
    tenge: Run, tmp_path: Path, written: Path
) -> None:
    file = tmp_path / "report.html"
    file.write_text("mine")
    done = tenge("scenario", "run", written, "--html", file, "--keep", tmp_path / "kept", "--json")
    assert (done.status, done.code(), file.read_text()) == (1, "already_there", "mine")
    assert not (tmp_path / "kept").exists()
    assert tenge("scenario", "run", written, "--html", file, "--force", "--json").json()["ok"]
    assert file.read_text().startswith("<!DOCTYPE html>")


def test_a_failing_play_leaves_its_page_too(tenge: Run, tmp_path: Path, written: Path) -> None:
    written.write_text(FAILING)
    done = tenge("scenario", "run", written, "--html", tmp_path / "report.html")
    assert done.status == 1
    assert "Failed: steps 2" in (tmp_path / "report.html").read_text()


def test_a_proof_in_a_page_is_one_that_the_command_line_verifies(tenge: Run, tmp_path: Path) -> None:
    file = tmp_path / "report.html"
    assert tenge("scenario", "run", "double_spend", "--html", file, "--json").status == 0
    found = re.search(
        r'download="(\S+)" href="data:application/octet-stream;base64,([^"]+)".*?--root (\w+)', file.read_text(), re.S
    )
    assert found is not None
    (tmp_path / found[1]).write_bytes(base64.b64decode(found[2]))
    verified = tenge("fraud", "verify", tmp_path / found[1], "--root", found[3], "--json")
    assert (verified.status, verified.json()["by"]) == (0, "altyn/dana")


def test_routes_are_shown_when_asked_for(tenge: Run, written: Path) -> None:
    done = tenge("scenario", "run", "double_spend", "--routes")
    assert "FORK: spent 2 times" in done.out
    assert "payment “bread”: dana → bakery" in done.out
    assert "FORK" not in tenge("scenario", "run", "double_spend").out
    assert "there are no routes" in tenge("scenario", "run", written, "--routes").out


def test_a_scenario_of_ones_own_runs_by_path(tenge: Run, written: Path) -> None:
    done = tenge("scenario", "run", written)
    assert done.status == 0
    assert "the governor issues 5" in done.out
    assert tenge("scenario", "run", written, "--json").json()["supply"] == "5.00"


def test_notes_and_details_are_no_markup(tenge: Run, written: Path) -> None:
    assert "a [note]" in tenge("scenario", "run", written).out


@pytest.mark.parametrize("as_json", [True, False])
def test_a_failing_scenario_ends_with_status_1_and_names_the_step(tenge: Run, written: Path, as_json: bool) -> None:
    written.write_text(FAILING)
    done = tenge("scenario", "run", written, *(["--json"] if as_json else []))
    assert done.status == 1
    if as_json:
        data = done.json()
        assert (data["ok"], [line["ok"] for line in data["steps"]]) == (False, [True, False])
        assert data["steps"][1]["code"] == "unexpected"
    else:
        assert "Failed: steps 2; invariants none" in done.err
        assert "Every step did" not in done.out


@pytest.mark.parametrize(
    ("text", "place"),
    [("[[bank", "play.toml"), ("seed = 1", "title"), (SHORT.replace('bank = "altyn"', ""), "wallet dana")],
)
def test_a_malformed_scenario_is_refused_by_place(tenge: Run, written: Path, text: str, place: str) -> None:
    written.write_text(text)
    done = tenge("scenario", "run", written, "--json")
    assert (done.status, done.code()) == (1, "malformed")
    assert place in done.out


@pytest.mark.parametrize("where", ["{tmp}/none/page.html", "{tmp}", "/dev/null", "/proc/page.html"])
def test_where_no_page_can_be_written_nothing_is_played(tenge: Run, written: Path, tmp_path: Path, where: str) -> None:
    done = tenge("scenario", "run", written, "--html", where.format(tmp=tmp_path), "--force", "--json")
    assert (done.status, done.code()) == (1, "io_error")
    assert "steps" not in done.json()


@pytest.mark.parametrize("as_json", [True, False])
def test_a_page_that_cannot_be_written_in_the_end_costs_no_report(
    tenge: Run, written: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, as_json: bool
) -> None:
    def full(*_: object, **__: object) -> None:
        raise FileTrouble("no page can be written there", reason="No space left on device")

    monkeypatch.setattr(page, "write", full)
    options = ["--json"] if as_json else []
    done = tenge("scenario", "run", written, "--html", tmp_path / "page.html", *options)
    assert done.status == 1
    if as_json:
        assert (done.json()["ok"], done.json()["error"]["code"]) == (False, "io_error")
        assert all(line["ok"] for line in done.json()["steps"])
    else:
        assert "Balances at the end" in done.out
        assert done.err.startswith("io_error: no page can be written there")


def test_keeping_says_how_to_go_on_by_hand(tenge: Run, written: Path, tmp_path: Path) -> None:
    said = tenge("scenario", "run", written, "--keep", tmp_path / "kept").out
    assert "in both terminals: export TENGE_PASSPHRASE=scenario TENGE_AT=last" in said


def test_an_unknown_scenario_is_refused(tenge: Run) -> None:
    done = tenge("scenario", "run", "no_such_play")
    assert (done.status, done.out) == (1, "")
    assert done.err.startswith("io_error: there is no such scenario")
    assert "market_day" in done.err


def test_a_play_is_not_kept_in_a_file(tenge: Run, written: Path) -> None:
    done = tenge("scenario", "run", written, "--keep", written, "--json")
    assert (done.status, done.code()) == (1, "io_error")
    assert done.json()["error"]["path"] == str(written)


def test_a_refusal_is_no_markup(tenge: Run, written: Path) -> None:
    written.write_text(SHORT.replace("[[bank]]", "[bank]"))
    assert "[[bank]] is not a list of tables" in tenge("scenario", "run", written).err
