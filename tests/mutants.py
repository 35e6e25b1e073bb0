"""Take every guard out, one by one, and see that a test notices: ``make mutants``.

A mutant is the package with one guard less: an ``if ...: raise ...`` that no longer raises, a ``raise`` at the end
of a function that is gone, or a call of a guard (`guards.still_valid(...)`) that is dropped. Each worker owns a copy
of the package and the tests in a temporary directory and runs pytest there, in a fork of a process that has imported
everything that no mutant changes: first the test files that mirror the mutated
module, then the others, until the first test fails. Survivors fail the run.

    python tests/mutants.py [--only PATTERN] [--jobs N]

``PATTERN`` is a regular expression over ``file:line  guard``.
"""

from __future__ import annotations

import argparse
import ast
import copy
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor, as_completed
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
MUTATED = ("cbdc/transition/*.py", "cbdc/offline/judge.py", "cbdc/purposes/marks.py", "cbdc/purposes/definition.py")
TESTS = ("tests/unit/transition", "tests/unit/offline", "tests/unit/purposes")
MIRRORS = {
    "cbdc/transition/network.py": ["tests/unit/transition/test_network.py"],
    "cbdc/transition/money.py": ["tests/unit/transition/test_money.py"],
    "cbdc/transition/programmes.py": ["tests/unit/transition/test_programmes.py"],
    "cbdc/transition/offline.py": ["tests/unit/transition/test_load.py", "tests/unit/transition/test_evidence.py"],
    "cbdc/transition/sweep.py": ["tests/unit/transition/test_sweep.py"],
    "cbdc/transition/invariants.py": ["tests/unit/transition/test_invariants.py"],
    "cbdc/transition/draft.py": ["tests/unit/transition/test_draft.py"],
    "cbdc/transition/apply.py": ["tests/unit/transition/test_apply.py"],
    "cbdc/transition/guards.py": ["tests/unit/transition/test_money.py", "tests/unit/transition/test_network.py"],
    "cbdc/offline/judge.py": ["tests/unit/offline/test_judge.py"],
    "cbdc/purposes/marks.py": ["tests/unit/purposes/test_marks.py"],
    "cbdc/purposes/definition.py": ["tests/unit/purposes/test_definition.py"],
}
GUARD_CALL = re.compile(
    r"guards\.(?!consume_all|create_all)\w+|enrolled|draft\.certificate_of|_?check_\w+|.*\.check(_\w+)?|x509\.verify_issued_by|_loadable_purse"
)
EFFECT_CALL = re.compile(
    r"guards\.(consume_all|create_all)|draft\.\w+|liability\.\w+|self\._?\w+.*|put_reserve|revoke_certificate"
    r"|_HANDLERS\[.*\]|_take_out|_create|_admit|_return_leaf|tokens\.append|inputs\.append|refused\.append|super\(\).*"
)
SECONDS_PER_RUN = 120
RUNNER = """
import os
import signal
import sys

import blake3, cbor2, cryptography.x509, filelock, hypothesis.strategies, nacl.bindings, pytest, sqlite_utils

for line in sys.stdin:
    limit_s, *arguments = line.split()
    child = os.fork()
    if not child:
        signal.alarm(int(limit_s))
        log = os.open("pytest.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = pytest.main(arguments)
        sys.stdout.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs pytest on each line of arguments, after a time limit in seconds, and says how it ended; see `Tree.failure`."""

ORIGIN_CHECK = """
import os
import cbdc

if not os.path.realpath(cbdc.__file__).startswith(os.path.realpath(os.path.dirname(__file__)) + os.sep):
    raise SystemExit("the mutated package was not imported")
"""


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


class Tree:
    """One worker's copy of package and tests."""

    def __init__(self, root: Path) -> None:
        self.root = root
        for name in ("cbdc", "tests"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", root)
        (root / "conftest.py").write_text(ORIGIN_CHECK)
        self._runner = subprocess.Popen(
            [sys.executable, "-c", RUNNER],
            cwd=root,
            env=os.environ | {"PYTHONPATH": str(root), "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"},
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def close(self) -> None:
        """End the process that runs the tests."""
        self._runner.communicate()

    def run(self, mutant: Mutant) -> Outcome:
        """Put the mutant in, run the tests until one fails, and put the original back."""
        original = (self.root / mutant.path).read_text()
        self._write(mutant.path, mutant.source)
        try:
            return Outcome(mutant, self._first_failure(mutant.path))
        finally:
            self._write(mutant.path, original)

    def _write(self, path: str, source: str) -> None:
        file = self.root / path
        file.write_text(source)
        for stale in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            stale.unlink()

    def _first_failure(self, path: str) -> str | None:
        near = MIRRORS.get(path, [])
        others = [f"--ignore={file}" for file in near]
        return (self.failure(*near) if near else None) or self.failure(*others, *TESTS)

    def failure(self, *tests: str) -> str | None:
        """The first of these tests (or what else pytest is told) that fails, or None.

        Raises:
            SystemExit: pytest itself failed.
        """
        runner = self._runner
        assert runner.stdin is not None
        assert runner.stdout is not None
        runner.stdin.write(
            " ".join([str(SECONDS_PER_RUN), "-x", "-q", "--tb=no", "-p", "no:cacheprovider", *tests]) + "\n"
        )
        runner.stdin.flush()
        status = int(runner.stdout.readline() or "-1")
        output = (self.root / "pytest.log").read_text()
        if status == -signal.SIGALRM:
            return f"(no end after {SECONDS_PER_RUN} s)"
        if status == 0:
            return None
        failed = re.search(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)
        if status not in (1, 2) or failed is None:
            raise SystemExit(f"pytest failed with status {status}:\n{output}")
        return failed[1].removeprefix("tests/unit/")


def run_all(wanted: list[Mutant], jobs: int) -> Iterator[Outcome]:
    """The outcomes as they come."""
    with tempfile.TemporaryDirectory(prefix="mutants-") as directory, ExitStack() as running:
        trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for number in range(jobs):
            root = Path(directory) / str(number)
            root.mkdir()
            tree = Tree(root)
            running.callback(tree.close)
            trees.put(tree)
        sound = trees.get()
        failed = sound.failure(*TESTS)
        if failed is not None:
            raise SystemExit(f"the tests fail without any mutant: {failed}")
        trees.put(sound)

        def work(mutant: Mutant) -> Outcome:
            tree = trees.get()
            try:
                return tree.run(mutant)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(jobs) as pool:
            for done in as_completed([pool.submit(work, mutant) for mutant in wanted]):
                yield done.result()


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
    for number, outcome in enumerate(run_all(wanted, options.jobs), start=1):
        if outcome.killed_by is None:
            survivors.append(outcome.mutant)
        print(f"[{number}/{len(wanted)}] {outcome.mutant}  ->  {outcome.killed_by or 'SURVIVED'}", flush=True)
    took_s = time.monotonic() - started
    print(f"{len(wanted)} mutants, {len(wanted) - len(survivors)} killed, {len(survivors)} survived, {took_s:.0f} s")
    for mutant in sorted(survivors, key=str):
        print(f"survived: {mutant}")
    return 1 if survivors else 0


if __name__ == "__main__":
    sys.exit(main())
