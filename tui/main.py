"""The `tenge` command: every group of commands in one place."""

from __future__ import annotations

from importlib import metadata
from typing import Annotated

import typer

from tui.commands import admit, bench, fraud, ledger, purse, qr, scenario, serve, sponsor
from tui.output import CommandLine


def _show_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"tenge {metadata.version('digital-tenge')}")
        raise typer.Exit


app = typer.Typer(
    cls=CommandLine,
    no_args_is_help=True,
    add_completion=True,
    pretty_exceptions_show_locals=False,
)


@app.callback()
def tenge(
    version: Annotated[
        bool, typer.Option("--version", callback=_show_version, is_eager=True, help="Print the version and end.")
    ] = False,
) -> None:
    """Digital Tenge: a ledger of tokenised tenge, with offline and special-purpose payments."""


ledger.app.command("admit")(admit.admit)
ledger.app.command("serve")(serve.serve)
app.add_typer(ledger.app, name="ledger")
app.add_typer(purse.app, name="purse")
app.add_typer(sponsor.app, name="sponsor")
app.add_typer(qr.app, name="qr")
app.add_typer(scenario.app, name="scenario")
app.add_typer(fraud.app, name="fraud")
app.command("demo")(scenario.demo)
app.command("bench")(bench.bench)


def main() -> None:
    """Run the command line."""
    app()


if __name__ == "__main__":
    main()
