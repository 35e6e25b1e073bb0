"""The shape of the source: which way imports run, and what no module may hold."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SOURCES = {
    path.relative_to(ROOT).as_posix(): path
    for package in ("cbdc", "wallet", "tui")
    for path in sorted((ROOT / package).rglob("*.py"))
}
PURE = (
    "transition",
    "offline",
    "log",
    "state",
    "messages",
    "purposes",
    "formats",
    "policy.py",
    "amounts.py",
    "limits.py",
    "errors.py",
)
CORE = [name for name in SOURCES if name.split("/")[0] == "cbdc" and name.split("/")[1] in PURE]
IMPURE = {
    *("time", "random", "secrets", "os", "io", "pathlib", "socket", "ssl", "select", "threading", "asyncio"),
    *("subprocess", "multiprocessing", "tempfile", "shutil", "sqlite3", "sqlite_utils", "filelock", "urllib", "http"),
    *("logging", "sys", "uuid"),
}
IMPURE_CALLS = {"open", "print", "input", "now", "utcnow", "today", "urandom", "getenv"}
MOST_LINES_IN_A_FUNCTION, MOST_LINES_IN_A_FILE = 60, 450
UNFINISHED = ("TO" + "DO", "FIX" + "ME", "XX" + "X", "NotImplemented" + "Error")
REGISTRIES = ("py" + "pi.org", "python" + "hosted.org", "npm" + "js.org", "npm" + "js.com", "crates" + ".io")

Definition = ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef


def tree(name: str) -> ast.Module:
    return ast.parse(SOURCES[name].read_text(encoding="utf-8"))


def definitions(name: str) -> Iterator[Definition]:
    return (node for node in ast.walk(tree(name)) if isinstance(node, Definition))


def imported(name: str) -> set[str]:
    """The top-level modules that a source imports."""
    found: set[str] = set()
    for node in ast.walk(tree(name)):
        if isinstance(node, ast.Import):
            found |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            found.add(node.module.split(".")[0])
    return found


def test_imports_run_one_way() -> None:
    """The contracts of pyproject.toml, by the tool that knows them."""
    linter = Path(sys.executable).with_name("lint-imports")
    done = subprocess.run([linter], check=False, cwd=ROOT, capture_output=True, text=True, timeout=120)
    assert done.returncode == 0, done.stdout
    assert re.search(r"Contracts: [1-9]\d* kept, 0 broken", done.stdout)


@pytest.mark.parametrize("name", CORE)
def test_the_core_has_no_clock_no_chance_and_no_files(name: str) -> None:
    assert imported(name) & IMPURE == set()
    called = {
        node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
        for node in ast.walk(tree(name))
        if isinstance(node, ast.Call)
    }
    assert called & IMPURE_CALLS == set()


def test_the_core_was_found() -> None:
    assert {"cbdc/transition/apply.py", "cbdc/offline/judge.py", "cbdc/policy.py"} <= set(CORE)
    assert len(CORE) > 25


@pytest.mark.parametrize("name", SOURCES)
def test_nothing_is_left_unfinished(name: str) -> None:
    text = SOURCES[name].read_text(encoding="utf-8")
    assert [word for word in UNFINISHED if re.search(rf"\b{word}\b", text)] == []


@pytest.mark.parametrize("name", SOURCES)
def test_no_error_is_swallowed(name: str) -> None:
    """No handler that does nothing at all, and none that catches everything without raising or answering."""
    handlers = [node for node in ast.walk(tree(name)) if isinstance(node, ast.ExceptHandler)]
    for handler in handlers:
        does_nothing = all(isinstance(line, ast.Pass) or _is_docstring(line) for line in handler.body)
        assert not does_nothing, f"{name}:{handler.lineno}"
        assert handler.type is not None, f"{name}:{handler.lineno}: a bare except"


def _is_docstring(line: ast.stmt) -> bool:
    return isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant)


@pytest.mark.parametrize("name", SOURCES)
def test_functions_fit_on_a_screen(name: str) -> None:
    long = {
        f"{name}:{node.lineno} {node.name}": length
        for node in definitions(name)
        if not isinstance(node, ast.ClassDef)
        and (length := (node.end_lineno or 0) - node.lineno + 1) > MOST_LINES_IN_A_FUNCTION
    }
    assert long == {}


@pytest.mark.parametrize("name", SOURCES)
def test_files_are_short(name: str) -> None:
    assert len(SOURCES[name].read_text(encoding="utf-8").splitlines()) <= MOST_LINES_IN_A_FILE


@pytest.mark.parametrize("name", SOURCES)
def test_modules_and_what_is_public_in_them_say_what_they_are(name: str) -> None:
    module = tree(name)
    assert ast.get_docstring(module), name
    public = [node for node in module.body if isinstance(node, Definition) and not node.name.startswith("_")]
    assert [f"{name}:{node.lineno} {node.name}" for node in public if not ast.get_docstring(node)] == []


def tracked() -> list[Path]:
    done = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, timeout=60, check=True)
    return [ROOT / name for name in done.stdout.split("\0") if name and (ROOT / name).is_file()]


def test_no_tracked_file_names_a_registry() -> None:
    naming = {
        path.relative_to(ROOT).as_posix(): host
        for path in tracked()
        for host in REGISTRIES
        if host.encode() in path.read_bytes()
    }
    assert naming == {}
