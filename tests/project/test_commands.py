"""Every command explains itself, and what the README tells people to type works."""

from __future__ import annotations

import re
import shlex
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import ExitStack
from importlib import metadata
from pathlib import Path

import pytest
import typer.main
from click import Command
from typer.testing import CliRunner

from tests.tui.conftest import TENGE
from tests.tui.kept import until
from tui.main import app
from tui.signals import ENDED_BY_SIGTERM

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
BLOCK = re.compile(r"^```(?:console|shell|sh|bash)\n(.*?)^```", re.MULTILINE | re.DOTALL)
TYPED = re.compile(r"^(?:\$ )?(?:(?:\S*/)?tenge (.*)|(kill \$!.*))$", re.MULTILINE)
EXPORTED = re.compile(r"^export (.*)$", re.MULTILINE)


def commands(command: Command, path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], bool]]:
    """Every command's path, and whether it is a group."""
    inner: dict[str, Command] = getattr(command, "commands", {})
    yield path, bool(inner)
    for name, one in inner.items():
        yield from commands(one, (*path, name))


COMMANDS = dict(commands(typer.main.get_command(app)))


def shown(*arguments: str) -> str:
    done = CliRunner(env={"COLUMNS": "160"}).invoke(app, arguments)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.mark.parametrize("path", COMMANDS, ids=lambda path: " ".join(path) or "tenge")
def test_every_command_has_help(path: tuple[str, ...]) -> None:
    assert "Usage:" in shown(*path, "--help")


@pytest.mark.parametrize("path", [path for path, is_group in COMMANDS.items() if not is_group], ids=" ".join)
def test_every_command_has_an_example_of_itself(path: tuple[str, ...]) -> None:
    _, _, examples = shown(*path, "--help").partition("Examples:")
    assert f"tenge {' '.join(path)}" in examples


def test_help_names_the_commands_of_the_contract() -> None:
    assert {("demo",), ("bench",), ("scenario", "run"), ("scenario", "list")} <= set(COMMANDS)
    assert {("ledger", name) for name in ("init", "status", "verify", "audit", "export", "serve")} <= set(COMMANDS)
    assert {("ledger", "admit"), ("purse", "send"), ("purse", "request"), ("purse", "refund")} <= set(COMMANDS)
    sponsors = ("purposes", "define", "grant", "allow", "recall", "waiting", "approve", "attest")
    assert {("sponsor", name) for name in sponsors} <= set(COMMANDS)
    by_hand = ("ask", "pay", "take", "finish", "again", "release", "take-back", "list", "hear")
    assert {("purse", name) for name in ("show", "load", "unload", "sync", "repay", "sell", "buy", *by_hand)} <= set(
        COMMANDS
    )


def test_the_version_is_the_projects() -> None:
    assert shown("--version") == f"tenge {metadata.version('digital-tenge')}\n"


def typed_in_the_readme() -> list[list[str]]:
    text = "".join(BLOCK.findall(README.read_text(encoding="utf-8")))
    return [shlex.split(line, comments=True) for line in ("".join(parts) for parts in TYPED.findall(text))]


@pytest.mark.skipif(not README.exists(), reason="there is no README")
def test_what_the_readme_types_works(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the README's order, because one line uses what another made. The bench has a test of its own.

    What stands before ``&`` goes on in the background once it listens, until ``kill $!`` or the end.
    """
    monkeypatch.chdir(tmp_path)
    typed = typed_in_the_readme()
    assert typed
    with ExitStack() as background, tempfile.TemporaryDirectory(prefix="tenge-") as short:
        for pair in " ".join(EXPORTED.findall(README.read_text(encoding="utf-8"))).split():
            monkeypatch.setenv(*pair.split("="))
        for line in typed:
            arguments = [argument.replace("/tmp/", f"{short}/") for argument in line]
            if arguments[0] == "bench":
                assert typer.main.get_command(app).make_context("tenge", arguments, resilient_parsing=True)
            elif "&" in arguments:
                start_typed(arguments[: arguments.index("&")], background)
            elif arguments[0] == "kill":
                background.close()
            else:
                done = CliRunner().invoke(app, arguments)
                assert done.exit_code == 0, (arguments, done.output)


def start_typed(arguments: list[str], background: ExitStack) -> None:
    """Start a command of the README and wait for its socket; when the background ends, it must have gone well."""
    process = subprocess.Popen([TENGE, *arguments], stdin=subprocess.DEVNULL)
    background.callback(end_typed, process)
    socket = arguments[arguments.index("--socket") + 1] if "--socket" in arguments else f"{arguments[2]}/ledger.sock"
    until(Path(socket).is_socket, f"a socket of {arguments}")


def end_typed(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        assert process.wait(60) in (0, ENDED_BY_SIGTERM)
    finally:
        process.kill()


@pytest.mark.skipif(not README.exists(), reason="there is no README")
def test_what_the_readme_points_at_is_there() -> None:
    links = re.findall(r"\]\((?!https?:|#)([^)#]+)", README.read_text(encoding="utf-8"))
    assert links
    assert [link for link in links if not (ROOT / link).exists()] == []
