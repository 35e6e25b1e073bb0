"""Copies of the project in which one module is changed and the tests are run: what ``make mutants`` and ``make
defences`` have in common. The real tree is never touched.

Each worker owns a copy in a temporary directory and runs pytest there, in a fork of a process that has imported
everything that no change touches.
"""

from __future__ import annotations

import json
import os
import queue
import re
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TypeVar

ROOT = Path(__file__).resolve().parent.parent
SECONDS_PER_RUN = 120
RUNNER = """
import json
import os
import signal
import sys

import blake3, cbor2, cryptography.x509, filelock, hypothesis.strategies, nacl.bindings, pytest, sqlite_utils

for line in sys.stdin:
    limit_s, *arguments = json.loads(line)
    child = os.fork()
    if not child:
        signal.alarm(limit_s)
        log = os.open("pytest.log", os.O_WRONLY | os.O_CREAT | os.O_TRUNC)
        os.dup2(log, 1)
        os.dup2(log, 2)
        status = pytest.main(arguments)
        sys.stdout.flush()
        os._exit(status)
    print(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]), flush=True)
"""
"""Runs pytest on each line, a JSON list of a time limit in seconds and arguments, and says how it ended."""

ORIGIN_CHECK = """
import importlib
import os

for package in {packages!r}:
    found = os.path.realpath(importlib.import_module(package).__file__)
    if not found.startswith(os.path.realpath(os.path.dirname(__file__)) + os.sep):
        raise SystemExit("the changed package was not imported")
"""

Item = TypeVar("Item")
Result = TypeVar("Result")


class Tree:
    """One worker's copy of some packages and the tests."""

    def __init__(self, root: Path, packages: Sequence[str]) -> None:
        self.root = root
        for name in (*packages, "tests"):
            shutil.copytree(ROOT / name, root / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(ROOT / "pyproject.toml", root)
        (root / "conftest.py").write_text(ORIGIN_CHECK.format(packages=tuple(packages)))
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

    @contextmanager
    def changed(self, path: str, source: str) -> Iterator[None]:
        """Within, the module at ``path`` has another source."""
        original = (self.root / path).read_text()
        self._write(path, source)
        try:
            yield
        finally:
            self._write(path, original)

    def _write(self, path: str, source: str) -> None:
        file = self.root / path
        file.write_text(source)
        for stale in (file.parent / "__pycache__").glob(f"{file.stem}.*.pyc"):
            stale.unlink()

    def failures(self, *tests: str) -> list[str]:
        """Which of these tests (or what else pytest is told) fail; where there is no end, that alone.

        Raises:
            SystemExit: pytest itself failed.
        """
        runner = self._runner
        assert runner.stdin is not None
        assert runner.stdout is not None
        runner.stdin.write(json.dumps([SECONDS_PER_RUN, "-q", "--tb=no", "-p", "no:cacheprovider", *tests]) + "\n")
        runner.stdin.flush()
        status = int(runner.stdout.readline() or "-1")
        output = (self.root / "pytest.log").read_text()
        if status == -signal.SIGALRM:
            return [f"(no end after {SECONDS_PER_RUN} s)"]
        if status == 0:
            return []
        failed = re.findall(r"^(?:FAILED|ERROR) (.+?)(?: - .*)?$", output, re.MULTILINE)
        if status not in (1, 2) or not failed:
            raise SystemExit(f"pytest failed with status {status}:\n{output}")
        return failed

    def failure(self, *tests: str) -> str | None:
        """The first of these tests that fails, or None."""
        return next(iter(self.failures("-x", *tests)), None)


def on_trees(
    work: Callable[[Tree, Item], Result], items: Sequence[Item], jobs: int, packages: Sequence[str]
) -> Iterator[Result]:
    """What ``work`` makes of each item on a tree of its own for the time, so many at once; in the items' order."""
    with tempfile.TemporaryDirectory(prefix="mutation-") as directory, ExitStack() as running:
        trees: queue.SimpleQueue[Tree] = queue.SimpleQueue()
        for number in range(jobs):
            root = Path(directory) / str(number)
            root.mkdir()
            tree = Tree(root, packages)
            running.callback(tree.close)
            trees.put(tree)

        def on_some_tree(item: Item) -> Result:
            tree = trees.get()
            try:
                return work(tree, item)
            finally:
                trees.put(tree)

        with ThreadPoolExecutor(jobs) as pool:
            yield from pool.map(on_some_tree, items)
