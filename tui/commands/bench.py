"""`tenge bench`: what this machine does, as ratios to raw signature verification in the same run."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from tui.output import Json, err, out, print_json, refusals
from wallet import benchmark, sizes


def bench(
    transfers: Annotated[int, typer.Option(min=500, max=1_000_000, help="Transfers in each ledger run.")] = 10_000,
    as_json: Json = False,
) -> None:
    """Measure raw verification, durable transfers, reconciled hops and the size of offline payments, hop after hop.

    Examples:
        tenge bench
        tenge bench --transfers 2000 --json
    """
    temporary = tempfile.TemporaryDirectory(prefix="tenge-bench-")
    with refusals(as_json), temporary as directory, err.status("measuring") as status:
        figures = benchmark.run(Path(directory), transfers, status.update)
    if as_json:
        print_json(figures)
        return
    out.print(_figures_table(figures))
    out.print(_sizes_table(sizes.in_figures(figures["payload"])))


def _figures_table(figures: benchmark.Figures) -> Table:
    """All figures but those of the payloads, which have a table of their own."""
    table = Table("figure", "value", title="Digital Tenge benchmark")
    table.columns[1].justify = "right"
    for group, rows in figures.items():
        for name, value in rows.items():
            if group != "payload":
                table.add_row(f"{group}.{name}", f"{value:,.3f}" if isinstance(value, float) else f"{value:,}")
    return table


def _sizes_table(measured: sizes.Sizes) -> Table:
    table = Table(*sizes.HEADINGS, title="An offline payment, hop after hop (QR at level L)")
    for column in table.columns[1:]:
        column.justify = "right"
    for row in sizes.rows(measured):
        table.add_row(*row, end_section=row[1] == str(sizes.HOPS))
    return table
