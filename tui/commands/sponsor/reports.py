"""`tenge sponsor report`: where a purpose's money went."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cbdc.errors import Malformed
from cbdc.service.tracking import Group, Tracked, find_purpose, track
from cbdc.store.sqlite import SqliteStore
from tui.commands.ledger import ledger_path, pinned_root
from tui.commands.sponsor.report_files import facts_of, write_csv
from tui.commands.sponsor.report_view import show
from tui.files import refuse_target, replacing, write_bytes
from tui.output import Json, out, print_json, refusals
from tui.progress import entries_done
from wallet.drawing.png import png
from wallet.drawing.purpose import picture


def report(
    purpose: Annotated[str, typer.Argument(metavar="PURPOSE", help="Its name, or its id (8 hex digits or more).")],
    ledger: Annotated[
        Path, typer.Option("--ledger", metavar="LEDGER_DIR", help="The ledger's directory, or its ledger.db.")
    ],
    *,
    root: Annotated[
        str | None, typer.Option("--root", help="The pinned root key (64 hex digits); default: root.pub beside it.")
    ] = None,
    by: Annotated[Group | None, typer.Option("--by", help="Print this table alone, whole.")] = None,
    tree: Annotated[bool, typer.Option("--tree", help="Print where each grant went, as trees; the first 40.")] = False,
    svg_file: Annotated[Path | None, typer.Option("--svg", help="Write a picture there.")] = None,
    png_file: Annotated[Path | None, typer.Option("--png", help="Write the same picture there as a PNG.")] = None,
    csv_file: Annotated[Path | None, typer.Option("--csv", help="Write one row for each movement there.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace files that are there.")] = False,
    as_json: Json = False,
) -> None:
    """Show where a purpose's money went: issued, held, spent, returned, by whom, on what, where and when.

    Nothing of other money is in it. Reads the ledger's file, also while it is served.

    Examples:
        tenge sponsor report school-meals --ledger /tmp/meals/ledger
        tenge sponsor report school-meals --ledger /tmp/meals/ledger --by day --tree
        tenge sponsor report school-meals --ledger /tmp/meals/ledger --svg meals.svg --png meals.png --csv meals.csv
    """
    with refusals(as_json):
        files = {"svg": svg_file, "png": png_file, "csv": csv_file}
        targets = {name: path for name, path in files.items() if path is not None}
        _check_targets(ledger_path(ledger), targets, force)
        tracked = _tracked(ledger, root, purpose, as_json)
        _write(tracked, targets)
        if as_json:
            print_json({"ok": True, **facts_of(tracked), "files": {n: str(path) for n, path in targets.items()}})
            return
        show(out, tracked, by, tree=tree)
        for path in targets.values():
            out.print(f"Written: {path}", markup=False, soft_wrap=True)


def _check_targets(ledger: Path, targets: dict[str, Path], force: bool) -> None:
    """Whether all files may be written; asked before the log is read.

    Raises:
        Malformed: two are one. FileTrouble, AlreadyThere: see `refuse_target`.
    """
    if len({path.resolve() for path in targets.values()}) < len(targets):
        raise Malformed("two files of one name", files=", ".join(str(path) for path in targets.values()))
    for path in targets.values():
        refuse_target(ledger, path, force)


def _tracked(ledger: Path, root: str | None, named: str, as_json: bool) -> Tracked:
    network = pinned_root(ledger, root)
    store = SqliteStore.read(ledger_path(ledger))
    try:
        purpose, _ = find_purpose(store, named)
        with entries_done("following the money", as_json) as progress:
            return track(store, network, purpose, progress)
    finally:
        store.close()


def _write(tracked: Tracked, targets: dict[str, Path]) -> None:
    """The files that were asked for, each whole or not at all. Raises OSError, TooLarge."""
    if targets.keys() & {"svg", "png"}:
        drawn = picture(tracked)
        if "svg" in targets:
            write_bytes(targets["svg"], drawn.svg.encode())
        if "png" in targets:
            write_bytes(targets["png"], png(drawn.svg, drawn.width, drawn.height))
    if "csv" in targets:
        with replacing(targets["csv"]) as target:
            write_csv(tracked, target)
