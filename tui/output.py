"""How the command line speaks: one console, JSON on request, errors with their code and exit status."""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, Final, NoReturn

import typer
from rich.console import Console
from rich.markup import escape
from typer.core import TyperGroup

from cbdc.amounts import format_tenge
from cbdc.errors import (
    AmountMismatch,
    CertificateExpired,
    Declined,
    Expired,
    FileTrouble,
    InsufficientFunds,
    LimitHolding,
    LimitPayment,
    ReserveShort,
    TengeError,
    TooLate,
    Unsettled,
)
from tui.clock import show_local_time

EXIT_REFUSED: Final = 1
EXIT_USAGE: Final = 2

out = Console(highlight=False)
err = Console(stderr=True, highlight=False)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object instead of text.")]


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on standard output, at once. Raises OSError."""
    sys.stdout.write(json.dumps(value, ensure_ascii=False, indent=2) + "\n")
    sys.stdout.flush()


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
        _refuse(trouble_of(error), as_json)


def trouble_of(error: OSError) -> FileTrouble:
    """What the operating system refuses, as one of our errors."""
    facts = {} if error.filename is None else {"path": error.filename}
    return FileTrouble("a file or directory cannot be used", **facts, reason=error.strerror or str(error))


def _refuse(error: TengeError, as_json: bool) -> NoReturn:
    _show_error(error, as_json)
    raise typer.Exit(EXIT_REFUSED) from None


def _show_error(error: TengeError, as_json: bool) -> None:
    if as_json:
        print_json({"ok": False, "error": error.to_json()})
    else:
        err.print(f"[bold red]{error.code}[/]: {escape(str(_told(error)))}", soft_wrap=True)


_IN_TIYN: Final = (AmountMismatch, InsufficientFunds, LimitHolding, LimitPayment, ReserveShort)
_IN_SECONDS: Final = (CertificateExpired, Expired, TooLate, Unsettled)
_A_TIME_S: Final = 10**9
"""Numbers from here on are moments, of September 2001 or later; smaller ones are durations."""


def _told(error: TengeError) -> TengeError:
    """The error with its amounts in tenge and its moments as people read them; JSON keeps the numbers."""

    def told(name: str, value: object) -> object:
        if type(value) is not int:
            return value
        if isinstance(error, _IN_TIYN) or name.endswith("_tiyn"):
            return format_tenge(value)
        return show_local_time(value) if isinstance(error, _IN_SECONDS) and value >= _A_TIME_S else value

    values = {name.removesuffix("_tiyn"): told(name, value) for name, value in error.values.items()}
    return type(error)(error.message, **values)


class Usage(TengeError):
    """The command line itself does not do: an unknown option, a missing argument."""

    code = "usage"


_NEGATIVE: Final = re.compile(r"-[0-9][0-9 .,]*")
_USAGE_ERROR: Final[Any] = typer.BadParameter.__mro__[1]
"""Every error about the command line; the library does not name it for others."""


class CommandLine(TyperGroup):
    """All commands. With ``--json`` a wrong command line is one JSON object too; what cannot be written is told."""

    def main(self, args: Sequence[str] | None = None, *rest: Any, **options: Any) -> Any:
        """Run the command line."""
        given = sys.argv[1:] if args is None else list(args)
        below_nothing = _negative_in(given)
        if below_nothing is not None:
            _show_error(Usage("an amount is not less than nothing", found=below_nothing), as_json="--json" in given)
            sys.exit(EXIT_USAGE)
        try:
            if "--json" not in given:
                return super().main(args, *rest, **options)
            sys.exit(super().main(args, *rest, **options | {"standalone_mode": False}))
        except typer.Abort:
            _show_error(Declined("there was no answer to a question"), as_json=True)
            sys.exit(EXIT_REFUSED)
        except OSError as error:  # standard output takes nothing: the error goes beside it
            _drop_output()
            _show_error(trouble_of(error), as_json=False)
            sys.exit(EXIT_REFUSED)
        except _USAGE_ERROR as error:
            _show_error(Usage(error.format_message()), as_json=True)
            sys.exit(EXIT_USAGE)


def _negative_in(given: list[str]) -> str | None:
    """An argument such as ``-5``, which would be taken for an option that nobody knows."""
    before = ["", *given]
    for word, last in zip(given, before, strict=False):
        if _NEGATIVE.fullmatch(word) and not last.startswith("-"):
            return word
    return None


def _drop_output() -> None:
    """Let nothing more be written to standard output, also when the program ends."""
    with Path(os.devnull).open("wb") as nowhere:
        os.dup2(nowhere.fileno(), sys.__stdout__.fileno() if sys.__stdout__ else 1)
