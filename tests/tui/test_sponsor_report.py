"""`tenge sponsor report`: every form of it says the same, adds up, and says nothing of other money."""

from __future__ import annotations

import csv
import io
import json
import re
import socket
import tempfile
from collections import Counter
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest
from PIL import Image
from rich.console import Console
from typer.testing import CliRunner

from cbdc.amounts import format_tenge, parse_tenge
from cbdc.errors import TooLarge
from cbdc.formats import requests
from cbdc.formats.certificates import Holder
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output
from cbdc.messages import bodies
from cbdc.policy import DAY_S
from cbdc.purposes.rules import Clears, Keeps
from cbdc.service.tracking import Group, Tracked, find_purpose, track
from cbdc.store.sqlite import SqliteStore
from tests.tui.conftest import Run
from tests.unit.service.purpose_town import STALL, Town
from tui.commands.scenario import shipped
from tui.commands.sponsor.report_files import COLUMNS, facts_of, write_csv
from tui.commands.sponsor.report_view import TREES, bar, show
from tui.main import app
from wallet.drawing.bundles import MAX_BUNDLES, Bundle, bundled
from wallet.drawing.png import png
from wallet.drawing.purpose import picture
from wallet.scenarios import schema

SCENARIO = Path(__file__).with_name("report.toml")
PURPOSES = ("meals", "works", "chain", "field")
OTHERS = ("zhasyryn", "duken", "gifts", "zattar", "5999", "191234000", "7313", "4917", "613.37", "3331", "1117")
"""What is in the log and nobody's business: names, a purpose, a line, a category, a region, amounts."""


def played(text: str, directory: Path) -> Path:
    file = directory / "report.toml"
    file.write_text(text)
    done = CliRunner().invoke(app, ["scenario", "run", str(file), "--keep", str(directory / "kept"), "--json"])
    assert done.exit_code == 0, done.output
    return directory / "kept" / "ledger"


@pytest.fixture(scope="module")
def ledger(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return played(SCENARIO.read_text(), tmp_path_factory.mktemp("report"))


@pytest.fixture(scope="module")
def over(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same, seventy days later: the meals have expired, the payment that waited has lapsed."""
    later = '\n[[step]]\ndo = "advance"\nby = "70 days"\n'
    return played(SCENARIO.read_text() + later, tmp_path_factory.mktemp("over"))


def report(tenge: Run, ledger: Path, purpose: str, *more: object) -> Any:
    done = tenge("sponsor", "report", purpose, "--ledger", ledger, *more, "--json")
    assert done.status == 0, done.out
    return done.json()


def tiyn(books: dict[str, str], *names: str) -> int:
    return sum(parse_tenge(books[name]) for name in names)


# --- what it says ------------------------------------------------------------------------------


@pytest.mark.parametrize("purpose", PURPOSES)
def test_issued_is_held_spent_and_returned(tenge: Run, ledger: Path, over: Path, purpose: str) -> None:
    for where in (ledger, over):
        books = report(tenge, where, purpose)["books"]
        assert tiyn(books, "issued", "covered") == tiyn(books, "held", "spent", "returned", "seized")
        assert tiyn(books, "held") == tiyn(books, "held_online", "held_offline", "waiting")


def test_the_meals(tenge: Run, ledger: Path, over: Path) -> None:
    facts = report(tenge, ledger, "meals")
    books = facts["books"]
    assert (books["issued"], books["paid"], books["refunded"]) == ("8000.00", "2500.00", "700.00")
    assert (books["spent"], books["held_online"], books["held_offline"]) == ("1800.00", "5400.00", "800.00")
    (payee,) = facts["by"]["payee"]
    assert (payee["key"], payee["paid"], payee["net"]) == ("altyn/canteen", "2500.00", "1800.00")
    assert [row["key"] for group in ("mcc", "region", "item") for row in facts["by"][group]] == [
        "5812",
        "750000000",
        "food",
    ]
    assert [(row["key"], row["granted"], row["paid"]) for row in facts["by"]["day"]] == [
        ("2026-09-01", "8000.00", "2300.00"),
        ("2026-09-02", "0.00", "200.00"),
    ]
    after = report(tenge, over, "meals")
    assert (after["books"]["returned"], after["books"]["held"]) == ("6200.00", "0.00")
    assert Counter(m["movement"] for m in after["movements"])["expired"] >= 2


def test_the_works_the_chain_and_the_field(tenge: Run, ledger: Path, over: Path) -> None:
    works = report(tenge, ledger, "works")["books"]
    assert (works["spent"], works["waiting"], works["held_online"]) == ("1600.00", "1160.00", "8840.00")
    kinds = {m["movement"] for m in report(tenge, over, "works")["movements"]}
    assert {"grant", "waits", "payment", "split", "lapsed"} <= kinds
    chain = report(tenge, ledger, "chain")
    assert (chain["books"]["paid"], chain["books"]["refunded"]) == ("2600.00", "100.00")
    assert (chain["books"]["returned"], chain["books"]["spent"]) == ("400.00", "0.00")
    kinds = {m["movement"] for m in chain["movements"]}
    assert {"load", "renewal", "unload", "payment", "release", "recalled"} <= kinds
    field = report(tenge, ledger, "field")
    assert (field["books"]["spent"], field["books"]["held"]) == ("100.00", "60.00")
    (freed,) = [m for m in field["movements"] if m["movement"] == "freed"]
    facts = [m["entry"] for m in field["movements"] if m["movement"] == "payment"]
    assert freed["entry"] == facts[0] + 1  # the evidence's entry, not that of what the supplier did afterwards


def test_tree_text_and_tables_fit_eighty_columns(tenge: Run, ledger: Path) -> None:
    for purpose in PURPOSES:
        for options in ((), ("--tree",), *(("--by", group.value) for group in Group), ("--by", "day", "--tree")):
            done = tenge("sponsor", "report", purpose, "--ledger", ledger, *options, COLUMNS="80")
            assert done.status == 0
            assert max(map(len, done.out.splitlines())) <= 80
    tree = tenge("sponsor", "report", "works", "--ledger", ledger, "--tree").out
    for words in ("grant → altyn/aru", "put in escrow", "payment → altyn/supplier", "split → altyn/kgd", "lapsed"):
        assert words in tree
    assert "└── refund → altyn/aru" in tenge("sponsor", "report", "meals", "--ledger", ledger, "--tree").out
    alone = tenge("sponsor", "report", "meals", "--ledger", ledger, "--by", "mcc").out
    assert "by category" in alone
    assert "by payee" not in alone


def test_a_purpose_is_named_by_name_or_id(tenge: Run, ledger: Path) -> None:
    facts = report(tenge, ledger, "meals")
    whole = facts["purpose"]["id"]
    for named in (whole, whole[:8], whole[:16].upper()):
        assert report(tenge, ledger, named) == facts
    assert report(tenge, ledger / "ledger.db", "meals") == facts


# --- files -------------------------------------------------------------------------------------


def test_files(tenge: Run, ledger: Path, tmp_path: Path) -> None:
    files = {name: tmp_path / f"report.{name}" for name in ("svg", "png", "csv")}
    options = [word for name, path in files.items() for word in (f"--{name}", path)]
    done = tenge("sponsor", "report", "meals", "--ledger", ledger, *options)
    assert done.status == 0
    assert all(f"Written: {path}" in done.out for path in files.values())
    drawn = ElementTree.fromstring(files["svg"].read_text())
    assert drawn.tag == "{http://www.w3.org/2000/svg}svg"
    assert re.search(r"(href|src|url\()", files["svg"].read_text()) is None
    with Image.open(files["png"]) as image:
        assert image.size == (2 * int(drawn.get("width") or 0), 2 * int(drawn.get("height") or 0))
    rows = list(csv.DictReader(io.StringIO(files["csv"].read_text())))
    movements = report(tenge, ledger, "meals")["movements"]
    assert [(row["movement"], row["amount"], row["message"]) for row in rows] == [
        (m["movement"], m["amount"], m["message"]) for m in movements
    ]
    again = tenge("sponsor", "report", "meals", "--ledger", ledger, *options, "--json")
    assert again.code() == "already_there"
    forced = tenge("sponsor", "report", "meals", "--ledger", ledger, *options, "--force", "--json").json()
    assert forced["files"] == {name: str(path) for name, path in files.items()}
    assert sorted(tmp_path.iterdir()) == sorted(files.values())


def test_refusals(tenge: Run, ledger: Path, tmp_path: Path) -> None:
    def code(*arguments: object) -> str:
        return tenge("sponsor", "report", *arguments, "--json").code()

    unknown = tenge("sponsor", "report", "lunches", "--ledger", ledger, "--json")
    assert (unknown.code(), "meals" in unknown.json()["error"]["known"]) == ("malformed", True)
    assert code("meals", "--ledger", tmp_path) == "io_error"
    assert code("meals", "--ledger", ledger, "--root", "zz") == "malformed"
    assert code("meals", "--ledger", ledger, "--svg", ledger / "ledger.db", "--force") == "io_error"
    assert code("meals", "--ledger", ledger, "--svg", tmp_path / "a", "--png", tmp_path / "a") == "malformed"
    assert code("meals", "--ledger", ledger, "--csv", tmp_path / "no" / "a") == "io_error"
    assert tenge("sponsor", "report", "meals", "--ledger", ledger, "--by", "colour", "--json").status == 2
    assert list(tmp_path.iterdir()) == []


def test_a_socket_in_place_of_the_directory_is_told(tenge: Run) -> None:
    with tempfile.TemporaryDirectory() as short, socket.socket(socket.AF_UNIX) as listening:
        listening.bind(f"{short}/s")
        said = tenge("sponsor", "report", "meals", "--ledger", f"{short}/s")
    assert (said.status, "this reads the ledger's directory" in said.err) == (1, True)


def test_times_are_told_with_their_zone(tenge: Run, ledger: Path, tmp_path: Path) -> None:
    said = tenge("sponsor", "report", "meals", "--ledger", ledger, "--csv", tmp_path / "r.csv")
    assert re.search(r"as of \d{4}-\d\d-\d\d \d\d:\d\d:\d\d \+05:00\n", said.out)
    with (tmp_path / "r.csv").open() as file:
        assert {row["time"][-6:] for row in csv.DictReader(file)} == {"+05:00"}


def test_what_went_back_whole_is_told_once(tenge: Run, over: Path) -> None:
    tree = tenge("sponsor", "report", "meals", "--ledger", over, "--tree").out.splitlines()
    ends = [number for number, line in enumerate(tree) if "returned: the purpose expired" in line]
    assert ends
    assert not [line for line in tree if line.endswith(": returned")]


def test_no_progress_without_a_terminal(tenge: Run, ledger: Path) -> None:
    assert tenge("sponsor", "report", "meals", "--ledger", ledger).err == ""


# --- nothing of other money --------------------------------------------------------------------


def every_form(tracked: Tracked) -> str:
    """All that can be printed or written of a report, amounts without their spaces."""
    rows, console = io.StringIO(), Console(width=200, file=io.StringIO())
    write_csv(tracked, rows)
    for group in (None, *Group):
        show(console, tracked, group, tree=True)
        show(console, tracked, group, tree=False)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue() + rows.getvalue() + json.dumps(facts_of(tracked)) + picture(tracked).svg
    return re.sub("[\u2009\u202f]", "", text)


@pytest.mark.parametrize("purpose", PURPOSES)
def test_nothing_of_other_money_is_in_it(over: Path, purpose: str) -> None:
    store = SqliteStore.read(over / "ledger.db")
    root = bytes.fromhex((over / "root.pub").read_text().strip())
    text = every_form(track(store, root, find_purpose(store, purpose)[0]))
    store.close()
    assert "altyn/" in text
    assert [word for word in OTHERS if word in text] == []
    others = set(PURPOSES) - {purpose}
    assert [word for word in others if word in text] == []


def test_a_mixed_payment_shows_its_marked_part_and_no_memo() -> None:
    town = Town(Clears())
    marked, free = town.grant("aru", 1_000_00, 313_13), town.world.fund(town.people["aru"], 777_77)
    memo = b"MEMO that nobody reads"
    message = town.pay("aru", "shop", [marked, free], 400_00, sealed=memo)
    unmarked = town.world.fund(town.people["berik"], 555_55)
    body = bodies.Transfer((unmarked,), (Output(town.people["stall"].key.public, 555_55, None),), 2_000_000_000)
    other = town.world.do(Kind.TRANSFER, body, town.people["berik"].key)
    cleared = [name for name, _ in town.tokens("shop")]
    spent = bodies.Transfer((cleared[0],), (Output(town.people["head"].key.public, 400_00, None),), 2_000_000_000)
    after = town.world.do(Kind.TRANSFER, spent, town.people["shop"].key)
    text = every_form(town.tracked())
    assert message.hex() in text
    assert "400.00" in text
    for word in ("777", "313", "555", "altyn/berik", "altyn/head", "altyn/stall", "MEMO", memo.hex()):
        assert word not in text
    for hidden in (other, after, marked, free):
        assert hidden.hex() not in text


# --- shipped scenarios -------------------------------------------------------------------------


WITH_PURPOSES = sorted(name for name, path in shipped().items() if schema.read(path).purposes)


def test_some_shipped_scenarios_have_purposes() -> None:
    assert {"forgery", "market_day", "school_meals"} <= set(WITH_PURPOSES)


@pytest.mark.parametrize("name", WITH_PURPOSES)
def test_the_books_of_every_shipped_scenario_with_purposes(tenge: Run, tmp_path: Path, name: str) -> None:
    kept = tmp_path / "kept"
    assert CliRunner().invoke(app, ["scenario", "run", name, "--keep", str(kept)]).exit_code == 0
    held = tenge("ledger", "audit", kept / "ledger", "--json").json()["purpose"]
    for purpose in schema.read(shipped()[name]).purposes:
        books = report(tenge, kept / "ledger", purpose.name)["books"]
        assert tiyn(books, "issued", "covered") == tiyn(books, "held", "spent", "returned", "seized")
        assert held.get(purpose.name, "0.00") == books["held"]


# --- drawing -----------------------------------------------------------------------------------


def test_what_is_written_of_others_becomes_no_markup_and_no_formula(tmp_path: Path) -> None:
    town = Town(Clears())
    bad = town.world.customer("=1+2<b>[red]&", merchant=None)
    town.people["aru"] = bad
    town.grant("aru", 500)
    tracked = town.tracked()
    assert "=1+2<b>" not in picture(tracked).svg
    ElementTree.fromstring(picture(tracked).svg)
    out = Console(width=100, file=io.StringIO())
    show(out, tracked, None, tree=True)
    assert isinstance(out.file, io.StringIO)
    assert "altyn/=1+2<b>[red]&" in out.file.getvalue()


def test_a_picture_of_very_many_grants_stays_small() -> None:
    town = Town(Clears())
    for number in range(40):
        name = f"p{number}"
        town.people[name] = town.world.customer(name)
        token = town.grant(name, 100 + number)
        town.pay(name, "shop", [token], 50)
    tracked = town.tracked()
    bundles = bundled(tracked.trees)
    assert sum(bundle.amount_tiyn for bundle in bundles) == tracked.books.issued_tiyn
    assert bundles[-1].holder == ""
    assert count(bundles) <= MAX_BUNDLES
    assert "and 30 more" in every_form(tracked)
    drawn = picture(tracked)
    assert drawn.height < 4_000


def count(bundles: tuple[Bundle, ...]) -> int:
    return sum(1 + count(bundle.children) for bundle in bundles)


def test_a_png_has_letters_where_the_system_has_no_fonts() -> None:
    drawn = picture(report_of_one_grant())
    bare = Image.open(io.BytesIO(png(drawn.svg, drawn.width, drawn.height, system_fonts=False))).convert("L")
    title = bare.crop((20, 20, 200, 70))
    assert title.getextrema()[0] < 100  # something dark is where the title stands
    empty = Image.open(io.BytesIO(png(re.sub(r"<text.*?</text>", "", drawn.svg), drawn.width, drawn.height)))
    assert empty.convert("L").crop((20, 20, 200, 70)).getextrema()[0] > 200


def report_of_one_grant() -> Tracked:
    town = Town(Clears())
    town.grant("aru", 500)
    return town.tracked()


def test_bars() -> None:
    assert bar(0, 10) == bar(5, 0) == ""
    assert bar(10, 10) == "█" * 24
    assert bar(1, 1_000_000) == "▏"
    assert bar(5, 10) == "█" * 12
    assert len(COLUMNS) == 13
    assert format_tenge(1) == "0.01"


def test_short_tables_say_how_much_more_there_is() -> None:
    town = Town(Clears())
    for number in range(12):
        name = f"shop{number}"
        town.people[name] = town.world.customer(name, holder=Holder.MERCHANT, merchant=STALL)
        town.pay("aru", name, [town.grant("aru", 100 + number)], 100)
        town.world.now_s += DAY_S
    text = every_form(town.tracked())
    assert "and 2 more" in text
    assert "2 days before" in text
    assert all(f"altyn/shop{number}" in text for number in range(12))


def test_what_reserves_covered_and_what_was_not_told_apart_are_said() -> None:
    town = Town(Keeps())
    town.load("aru", [town.grant("aru", 1_000)], 1_000)
    ((name, _),) = town.leaves("aru")
    for payee in ("shop", "stall"):
        town.world.reconcile(town.signed_offline("aru", payee, name, 900, payee))
    text = every_form(town.tracked())
    assert "covered by reserves" in text
    assert "covered by a reserve" in text
    lines = (Line("zattar", 300),)
    request = requests.sign(town.people["shop"].key, town.world.network, 200, lines, bytes(16))
    mixed = Town(Clears())
    marked, free = mixed.grant("aru", 100), mixed.world.fund(mixed.people["aru"], 100)
    mixed.pay("aru", "shop", [marked, free], 100, lines=lines, request=request)
    text = every_form(mixed.tracked())
    assert "with other money" in text
    assert "zattar" not in text


def test_of_many_grants_the_first_are_drawn_and_the_rest_is_one_line() -> None:
    town = Town(Clears())
    for _ in range(TREES + 2):
        town.grant("aru", 1_00)
    console = Console(width=80, file=io.StringIO())
    show(console, town.tracked(), None, tree=True)
    assert isinstance(console.file, io.StringIO)
    text = console.file.getvalue()
    assert text.count("grant → ") == TREES
    assert "and 2 more grants, 2\u00a0₸; --json has all" in text
    assert len(facts_of(town.tracked())["trees"]) == TREES + 2


def test_large_amounts_lose_no_digit_on_a_narrow_screen() -> None:
    town = Town(Clears())
    amount_tiyn = 98_765_432_109_12
    for payee in ("shop", "stall"):
        town.pay("aru", payee, [town.grant("aru", 2 * amount_tiyn)], amount_tiyn)
    narrow = Console(width=80, file=io.StringIO())
    show(narrow, town.tracked(), None, tree=True)
    show(narrow, town.tracked(), None, tree=False)
    assert isinstance(narrow.file, io.StringIO)
    text = narrow.file.getvalue()
    assert max(map(len, text.splitlines())) <= 80
    assert "…" not in text
    assert "109.12" in text
    assert "█" not in text.partition("Paid by payee")[2].partition("Paid by category")[0]  # no room for bars


def test_a_picture_that_is_too_large_for_a_png_is_refused() -> None:
    with pytest.raises(TooLarge):
        png("<svg/>", 100_000, 1_000)
