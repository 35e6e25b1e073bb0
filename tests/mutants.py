"""Take every guard out, one by one, and see that a test notices: ``make mutants``.

A mutant is the package with one guard less: an ``if ...: raise ...`` that no longer raises, a ``raise`` at the end
of a function that is gone, or a call of a guard (`guards.still_valid(...)`) that is dropped. On a copy of the project
(`tests.mutation`) run first the test files that mirror the mutated module, then the others, until the first test
fails. Survivors fail the run.

    python -m tests.mutants [--only PATTERN] [--jobs N]

``PATTERN`` is a regular expression over ``file:line  guard``.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import re
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from tests.mutation import ROOT, Tree, on_trees

MUTATED = ("cbdc/transition/*.py", "cbdc/offline/judge.py", "cbdc/purposes/*.py", "cbdc/purposes/conditions/*.py")
PACKAGES = ("cbdc",)
TESTS = ("tests/unit/transition", "tests/unit/offline", "tests/unit/purposes")
MIRRORS = {
    "cbdc/transition/waiting.py": ["tests/unit/transition/test_waiting.py", "tests/unit/transition/test_escrow.py"],
    "cbdc/transition/memory.py": ["tests/unit/transition/test_facts.py"],
    "cbdc/transition/refund.py": ["tests/unit/transition/test_refund.py"],
    "cbdc/transition/network.py": ["tests/unit/transition/test_network.py", "tests/unit/transition/test_escrow.py"],
    "cbdc/transition/money.py": ["tests/unit/transition/test_money.py", "tests/unit/transition/test_requests.py"],
    "cbdc/transition/programmes.py": [
        "tests/unit/transition/test_programmes.py",
        "tests/unit/transition/test_recall.py",
    ],
    "cbdc/transition/offline.py": ["tests/unit/transition/test_load.py", "tests/unit/transition/test_evidence.py"],
    "cbdc/transition/sweep.py": ["tests/unit/transition/test_sweep.py", "tests/unit/transition/test_escrow.py"],
    "cbdc/transition/invariants.py": ["tests/unit/transition/test_invariants.py"],
    "cbdc/transition/draft.py": ["tests/unit/transition/test_draft.py"],
    "cbdc/transition/apply.py": ["tests/unit/transition/test_apply.py"],
    "cbdc/transition/guards.py": [
        "tests/unit/transition/test_guards.py",
        "tests/unit/transition/test_money.py",
        "tests/unit/transition/test_network.py",
    ],
    "cbdc/offline/judge.py": ["tests/unit/offline/test_judge.py"],
    "cbdc/purposes/marks.py": ["tests/unit/purposes/test_marks.py"],
    "cbdc/purposes/definition.py": ["tests/unit/purposes/test_definition.py"],
    "cbdc/purposes/rules.py": ["tests/unit/purposes/test_rules.py"],
    "cbdc/purposes/conditions/reading.py": [
        "tests/unit/purposes/test_conditions.py",
        "tests/unit/purposes/test_memory_conditions.py",
    ],
}
GUARD_CALL = re.compile(
    r"guards\.(?!consume_all|create_all)\w+|enrolled|may_spend|may_hold_online|still_valid|owned_by_signers"
    r"|draft\.certificate_of|_?check_\w+|.*\.check(_\w+)?|x509\.verify_issued_by|_loadable_purse"
)
EFFECT_CALL = re.compile(
    r"guards\.(consume_all|create_all)|(draft|liability|memory|waiting)\.\w+|self\._?\w+.*|put_reserve|revoke_certificate"
    r"|_HANDLERS\[.*\]|draft\.settled_due\.add|_accept|_owe|settle_due|_catch_up|_take_out|_create|_admit|_return_leaf"
    r"|_move_online|_end_waiting|note_\w+|settle_if_complete|.*\.(append|extend|add)|super\(\).*"
)


@dataclass(frozen=True)
class Mutant:
    """One guard less: where, what (in short), and the module's source without it."""

    path: str
    line: int
    guard: str
    source: str

    def __str__(self) -> str:
        return f"{self.path}:{self.line}  {self.guard}"


@dataclass(frozen=True)
class Outcome:
    """The first test that failed, or None if all passed."""

    mutant: Mutant
    killed_by: str | None


# --- making mutants ----------------------------------------------------------------------------


def mutants() -> Iterator[Mutant]:
    for pattern in MUTATED:
        for file in sorted(ROOT.glob(pattern)):
            found = mutants_of(file.relative_to(ROOT).as_posix(), file.read_text())
            yield from sorted(found, key=lambda mutant: mutant.line)


def mutants_of(path: str, source: str) -> Iterator[Mutant]:
    """Every mutant of one module."""
    tree = ast.parse(source)
    for number, node in enumerate(ast.walk(tree)):
        guard = guard_in(node, path)
        if guard is not None:
            mutated = copy.deepcopy(tree)
            _disarm(mutated, number)
            yield Mutant(path, node.lineno, guard, ast.unparse(mutated))


def guard_in(node: ast.AST, path: str) -> str | None:
    """The guard that this node is, in short, or None."""
    if isinstance(node, ast.If) and isinstance(node.body[-1], ast.Raise):
        return f"if {_short(node.test)}"
    if isinstance(node, ast.FunctionDef) and isinstance(node.body[-1], ast.Raise):
        return f"{node.name} ends in {_short(node.body[-1])}"
    if not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Call)):
        return None
    name = ast.unparse(node.value.func)
    if GUARD_CALL.fullmatch(name):
        return _short(node.value)
    if not EFFECT_CALL.fullmatch(name):
        raise SystemExit(f"{path}:{node.lineno}: is {name}(...) a guard or an effect? Say it in {Path(__file__).name}")
    return None


def _disarm(tree: ast.Module, number: int) -> None:
    """Take the guard out of the tree's node of this number in walking order."""
    guard = next(node for at, node in enumerate(ast.walk(tree)) if at == number)
    if isinstance(guard, ast.If | ast.FunctionDef):
        guard.body = guard.body[:-1] or [ast.Pass()]
    elif isinstance(guard, ast.Expr):
        guard.value = ast.Constant(value=None)


def _short(node: ast.AST, width: int = 90) -> str:
    text = ast.unparse(node)
    return text if len(text) <= width else text[: width - 1] + "…"


# --- running them ------------------------------------------------------------------------------


def outcome(tree: Tree, mutant: Mutant) -> Outcome:
    """Put the mutant in and run the tests until one fails, those that mirror the module first."""
    near = MIRRORS.get(mutant.path, [])
    others = [f"--ignore={file}" for file in near]
    with tree.changed(mutant.path, mutant.source):
        failed = (tree.failure(*near) if near else None) or tree.failure(*others, *TESTS)
    return Outcome(mutant, failed and failed.removeprefix("tests/unit/"))


def check_sound(tree: Tree, tests: tuple[str, ...]) -> None:
    """Raises SystemExit: the tests fail as they are."""
    failed = tree.failure(*tests)
    if failed is not None:
        raise SystemExit(f"the tests fail without any mutant: {failed}")


def main() -> int:
    parser = argparse.ArgumentParser(description="Take every guard out and see that a test notices.")
    parser.add_argument("--only", metavar="PATTERN", default="", help="mutants whose 'file:line  guard' matches")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="mutants at a time (default: cores)")
    options = parser.parse_args()
    wanted = [mutant for mutant in mutants() if re.search(options.only, str(mutant))]
    if not wanted:
        print("no such mutant")
        return 1
    started = time.monotonic()
    survivors: list[Mutant] = []
    list(on_trees(check_sound, [TESTS], 1, PACKAGES))
    for number, done in enumerate(on_trees(outcome, wanted, options.jobs, PACKAGES), start=1):
        if done.killed_by is None:
            survivors.append(done.mutant)
        print(f"[{number}/{len(wanted)}] {done.mutant}  ->  {done.killed_by or 'SURVIVED'}", flush=True)
    took_s = time.monotonic() - started
    print(f"{len(wanted)} mutants, {len(wanted) - len(survivors)} killed, {len(survivors)} survived, {took_s:.0f} s")
    for mutant in sorted(survivors, key=str):
        print(f"survived: {mutant}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
