"""`tenge sponsor`: special-purpose money from the side of whoever pays for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

from tui.commands.sponsor import approvals, define, grants, programmes, reports

app = typer.Typer(no_args_is_help=True, help="Define purposes, grant in them, follow the money, take it back.")
COMMANDS: Final[tuple[Callable[..., None], ...]] = (
    *(programmes.purposes, define.define, grants.grant, define.allow, define.recall),
    *(approvals.waiting, approvals.approve, approvals.attest, reports.report),
)
for command in COMMANDS:
    app.command(command.__name__.rstrip("_").replace("_", "-"))(command)

__all__ = ["app"]
