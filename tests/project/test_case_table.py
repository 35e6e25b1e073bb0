"""docs/offline.md's table of cases: complete, and everything that it names is there."""

from __future__ import annotations

import ast
import re
from pathlib import Path

import pytest

from tests.catalogue import CASES as DEFENDED
from tests.catalogue import Defence
from tui.commands.scenario import shipped

ROOT = Path(__file__).parents[2]
CASES = 26
TABLE = (ROOT / "docs" / "offline.md").read_text(encoding="utf-8").partition("## The cases")[2]
ROWS = {int(row.split("|")[1]): row.split("|")[1:-1] for row in TABLE.splitlines() if re.match(r"\| \d", row)}


def test_every_case_has_its_row_a_scenario_or_a_word_why_not_and_a_test() -> None:
    assert sorted(ROWS) == list(range(1, CASES + 1))
    for number, (*_, scenario, tests) in ROWS.items():
        assert re.match(r" (`\w+`|\(tests only\))", scenario), number
        assert re.match(r" `tests/[\w/]+\.py::\w+`", tests), number


def test_every_scenario_named_is_shipped_and_heads_the_case() -> None:
    for number, row in ROWS.items():
        for name in re.findall(r"`(\w+)`", row[3]):
            text = shipped()[name].read_text(encoding="utf-8")
            assert _speaks_of(text, number) or name == "double_spend", (number, name)


def _speaks_of(text: str, number: int) -> bool:
    """Whether a heading of the file is about the case: "case 7", or "cases 2, 3 and 5"."""
    headings = re.findall(r"^# --- cases? ([\d, and]+):", text, re.MULTILINE)
    return any(str(number) in re.findall(r"\d+", heading) for heading in headings)


def test_every_test_named_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(\w+)`", TABLE)
    assert len(named) >= CASES
    for path, name in named:
        module = ast.parse((ROOT / path).read_text(encoding="utf-8"))
        found = {node.name for node in ast.walk(module) if isinstance(node, ast.FunctionDef)}
        assert name in found, f"{path}::{name}"


# --- what defends each case: `make defences` runs these, here is only whether it can ------------

DEFENCES = [(number, defence) for number, defences in DEFENDED.items() for defence in defences]


def test_every_case_has_a_defence_that_can_be_taken_out() -> None:
    assert sorted(DEFENDED) == list(range(1, CASES + 1))
    assert all(DEFENDED.values())


@pytest.mark.parametrize(("number", "defence"), DEFENCES, ids=[f"{n} {defence.words}" for n, defence in DEFENCES])
def test_its_edit_applies_and_what_fails_without_it_is_in_the_cases_row(number: int, defence: Defence) -> None:
    source = (ROOT / defence.path).read_text(encoding="utf-8")
    changed = defence.without(source)
    assert changed is not None, f"{defence.old!r} stands {source.count(defence.old)} times in {defence.path}"
    assert ast.dump(ast.parse(changed)) != ast.dump(ast.parse(source))
    assert defence.kills
    *_, scenarios, tests = ROWS[number]
    for name in defence.kills:
        assert f"`{name.partition('[')[0]}`" in (tests if "::" in name else scenarios), name


def test_an_edit_whose_text_is_gone_or_stands_twice_does_not_apply() -> None:
    guard = Defence("a guard", "nowhere.py", "if a:", "if False:", ())
    assert guard.without("if a:\n    raise\n") == "if False:\n    raise\n"
    assert guard.without("if b:\n    raise\n") is None
    assert guard.without("if a:\n    raise\nif a:\n    raise\n") is None
