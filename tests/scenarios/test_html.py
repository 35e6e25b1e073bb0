"""The page of a report: it stands alone, says everything, and nothing in a scenario becomes markup."""

from __future__ import annotations

import base64
import itertools
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import pytest

from cbdc.errors import AlreadyThere, FileTrouble
from cbdc.offline.fraud import verify_proof
from tests.scenarios.plays import BASE, EVERYBODY_OFFLINE, FUNDED, Tables, pay
from tui.commands.scenario import shipped
from wallet.scenarios import drawing, page, runner, schema
from wallet.scenarios.report import Report
from wallet.scenarios.routes import all_moves
from wallet.scenarios.schema import Scenario

VOID = {"meta", "br", "path", "rect"}
HOSTILE = '"><script>alert(1)</script><img src=x onerror=alert(1)>&amp; </title></style>'
Played = tuple[Scenario, Report, str]


class Page(HTMLParser):
    """Reads a page strictly: every element is closed, in order; keeps elements, attributes and text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.text = ""
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text += data


def played(tables: Tables, directory: Path) -> Played:
    scenario = schema.parse(tables)
    report = runner.play(scenario, directory)
    return scenario, report, page.render(scenario, report)


@pytest.fixture(scope="module", params=["forks", "market_day", "double_spend"])
def shown(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Played:
    scenario = schema.read(shipped()[request.param])
    report = runner.play(scenario, tmp_path_factory.mktemp(request.param))
    return scenario, report, page.render(scenario, report)


def test_it_is_well_formed_and_refers_to_nothing(shown: Played) -> None:
    text = shown[2]
    read = Page(text)
    assert text.startswith('<!DOCTYPE html>\n<html lang="en">')
    assert re.search(r"https?:|//|@import|url\(|javascript:", re.sub(r'href="data:[^"]*"', "", text)) is None
    assert {"script", "link", "iframe", "object", "embed", "img", "form", "base"} & set(read.tags) == set()
    references = [value for _, name, value in read.attributes if name in ("href", "src", "xlink:href", "action")]
    assert all(value.startswith("data:application/octet-stream;base64,") for value in references)


def test_every_drawing_is_well_formed_xml(shown: Played) -> None:
    drawings = re.findall(r"<svg.*?</svg>", shown[2], re.DOTALL)
    assert len(drawings) == len(shown[1].routes)
    for text in drawings:
        assert ElementTree.fromstring(text).get("aria-label")


def test_it_names_every_wallet_bank_step_and_payment(shown: Played) -> None:
    scenario, report, text = shown
    read = Page(text).text
    for name in (report.title, *report.wallets, *report.banks, *report.invariants):
        assert name in read
    for step in scenario.steps:
        assert step.note in read
        if step.refused:
            assert step.refused in read
    for result in report.steps:
        assert result.detail in read
    moves = list(all_moves(report.routes))
    assert {move.name for move in moves if move.name} <= {str(step.fields.get("as")) for step in scenario.steps}
    for move in moves:
        assert drawing.describe_move(move) in read
    for root in (report.log_root, report.state_root, report.root_key):
        assert root.hex() in read


def test_every_proof_in_it_verifies_under_the_root_key_in_it(shown: Played) -> None:
    report, text = shown[1:]
    proofs = re.findall(r'download="([0-9a-f]{16}\.fraud)" href="data:application/octet-stream;base64,([^"]+)"', text)
    assert len(proofs) == sum(len(fork.outputs) for fork in report.forks)
    for name, encoded in proofs:
        (root,) = set(re.findall(rf"tenge fraud verify {re.escape(name)} --root ([0-9a-f]{{64}})", text))
        proof = verify_proof(base64.b64decode(encoded), bytes.fromhex(root))
        assert name[:16] in {outpoint.hex()[:16] for outpoint in proof.outpoints}


def test_tables_have_captions_and_heads(shown: Played) -> None:
    read = Page(shown[2])
    assert read.tags.count("table") == read.tags.count("caption") == read.tags.count("thead")
    assert {value for tag, name, value in read.attributes if (tag, name) == ("th", "scope")} == {"col", "row"}


def test_no_two_boxes_of_a_drawing_overlap(shown: Played) -> None:
    for route in shown[1].routes:
        rects = re.findall(r'<rect x="(\d+)" y="([\d.]+)" width="(\d+)" height="(\d+)"', drawing.svg(route, "a tree"))
        boxes = [tuple(map(float, rect)) for rect in rects]
        for (x, y, wide, high), (x2, y2, *_) in itertools.combinations(boxes, 2):
            assert abs(x - x2) >= wide or abs(y - y2) >= high


def test_nothing_that_a_scenario_says_becomes_markup(tmp_path: Path) -> None:
    steps = [
        {**FUNDED[0], "note": HOSTILE},
        *FUNDED[1:],
        EVERYBODY_OFFLINE,
        pay("dana", "erlan", "10", as_=HOSTILE),
        {"do": "expect", "payment": HOSTILE, "status": "settled"},
    ]
    text = played(BASE | {"title": HOSTILE, "step": steps}, tmp_path)[2]
    read = Page(text)
    assert {"script", "img"} & set(read.tags) == set()
    assert "<script" not in text
    assert read.text.count(HOSTILE) >= 5  # title twice, note, a step's refusal, the payment's name
    assert [name for _, name, _ in read.attributes if name.startswith("on")] == []


def test_names_of_wallets_and_refusals_are_escaped_too(shown: Played) -> None:
    scenario, report, _ = shown
    wallets = {f"{name}{HOSTILE}": wallet for name, wallet in report.wallets.items()}
    banks = {f"{name}{HOSTILE}": bank for name, bank in report.banks.items()}
    routes = tuple(replace(route, payer=HOSTILE, payee=HOSTILE, status=HOSTILE) for route in report.routes)
    forks = tuple(replace(fork, by=HOSTILE) for fork in report.forks)
    hostile = replace(report, wallets=wallets, banks=banks, routes=routes, forks=forks)
    assert {"script", "img"} & set(Page(page.render(scenario, hostile)).tags) == set()


def test_a_failed_play_says_so(tmp_path: Path) -> None:
    steps = [*FUNDED, {"do": "expect", "supply": "1"}]
    text = played(BASE | {"step": steps}, tmp_path)[2]
    read = Page(text).text
    assert "Failed: steps 7; invariants none." in read
    assert "✗ failed: unexpected" in read


def test_a_play_without_loads_has_no_trees(tmp_path: Path) -> None:
    read = Page(played(BASE | {"step": FUNDED[:1]}, tmp_path)[2])
    assert "there are no routes" in read.text
    assert "No output was spent more than once." in read.text
    assert "svg" not in read.tags


def test_a_page_replaces_nothing_unless_forced(tmp_path: Path) -> None:
    path = tmp_path / "report.html"
    page.write(path, "one", force=False)
    with pytest.raises(AlreadyThere):
        page.write(path, "two", force=False)
    assert path.read_text() == "one"
    page.write(path, "two", force=True)
    assert path.read_text() == "two"
    assert list(tmp_path.iterdir()) == [path]


def test_a_page_is_written_whole_or_not_at_all(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(self: Path, target: Path) -> Path:
        raise OSError(28, "No space left on device")

    path = tmp_path / "report.html"
    path.write_text("before")
    monkeypatch.setattr(Path, "replace", full)
    with pytest.raises(FileTrouble, match="No space left"):
        page.write(path, "after", force=True)
    assert (path.read_text(), list(tmp_path.iterdir())) == ("before", [path])


@pytest.mark.parametrize("name", [".", "no/such/directory/report.html"])
def test_a_page_needs_a_place(tmp_path: Path, name: str) -> None:
    with pytest.raises(FileTrouble):
        page.check_free(tmp_path / name, force=True)
