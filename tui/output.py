"""How the command line speaks: one console, JSON on request, errors with their code and exit status."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape

from cbdc.errors import FileTrouble, TengeError

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


@contextmanager
def refusals(as_json: bool) -> Iterator[None]:
    """Show a typed error as the user asked for it, and end with exit status 1; a file's trouble is one of them.

    A reader that has gone away (``| head``) is left to the command line's frame, which ends in silence.
    """
    try:
        yield
    except TengeError as error:
        _refuse(error, as_json)
    except BrokenPipeError:
        raise
    except OSError as error:
        facts = {} if error.filename is None else {"path": error.filename}
        _refuse(
            FileTrouble("a file or directory cannot be used", **facts, reason=error.strerror or str(error)), as_json
        )


def _refuse(error: TengeError, as_json: bool) -> NoReturn:
    if as_json:
        print_json({"ok": False, "error": error.to_json()})
    else:
        err.print(f"[bold red]{error.code}[/]: {escape(str(error))}", soft_wrap=True)
    raise typer.Exit(EXIT_REFUSED) from None
