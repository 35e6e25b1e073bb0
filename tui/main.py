"""The `tenge` command."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="Digital Tenge: a ledger of tokenised tenge, and its wallet.")


@app.callback()
def root() -> None:
    """Digital Tenge: a ledger of tokenised tenge, and its wallet."""


def main() -> None:
    """Run the command line."""
    app()
