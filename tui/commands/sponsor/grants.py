"""`tenge sponsor grant`: by a list, with a report for every row, resumed after any break."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, TextColumn
from rich.table import Table

from cbdc.amounts import format_tenge, show_tenge
from cbdc.errors import TengeError
from tui.clock import At
from tui.commands.purse.session import LedgerSocket, WalletPath, Yes, ask_first, connected, opened, tell
from tui.commands.sponsor.define import PurposeName
from tui.output import EXIT_REFUSED, Json, err, out, print_json
from tui.payloads import check_free
from wallet import campaign_list, trade
from wallet.campaign import Campaign, Check
from wallet.campaign_list import Problem, Result

_SHOWN = 20
"""Rows of a list that are shown; the report has all."""


def grant(
    wallet: WalletPath,
    purpose: PurposeName,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="Columns: account or key, amount, reference.")],
    ledger: LedgerSocket,
    *,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with a list that was begun; or begin it.")] = False,
    report: Annotated[
        Path | None, typer.Option("--report", metavar="OUT.csv", help="What became of each row, also after a break.")
    ] = None,
    name: Annotated[
        str | None,
        typer.Option(
            "--campaign",
            metavar="NAME",
            help="Its name; default: the file's. A second round of the same list needs one of its own.",
        ),
    ] = None,
    skip: Annotated[bool, typer.Option("--skip-bad", help="Leave rows out that cannot be paid.")] = False,
    allow_repeats: Annotated[bool, typer.Option("--allow-repeats", help="An account may stand there twice.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Let --report replace a file.")] = False,
    yes: Yes = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Grant in a purpose to everybody on a list. Nobody is paid twice, whenever this breaks off; then use --resume.

    Every row is looked at before anything is signed: an account with a key in force, an amount, nobody twice, enough
    free money. The journal is in the wallet. The exit status is 0 only if every row is paid.

    Examples:
        tenge sponsor grant ./akimat meals september.csv --ledger ./my-ledger/ledger.sock --report september-paid.csv
        tenge sponsor grant ./akimat meals september.csv --ledger ./my-ledger/ledger.sock --resume --yes
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        if report is not None:
            check_free(report, force=force or resume)
        listed = campaign_list.read(file)
        mark = trade.purpose_among(port.purposes(), purpose)
        campaign = Campaign(customer, port, mark, listed, name or file.name)
        campaign.check_may_run(resume=resume, is_named=name is not None)
        with _reporting(campaign, report, as_json) as problems:
            with _progress(as_json) as progress:
                check = campaign.check(allow_repeats=allow_repeats, progress=progress)
            problems.extend(check.problems)
            _show_problems(check, as_json)
            check.require(skip=skip)
            if check.payees:
                _ask(check, yes=yes, as_json=as_json)
            with _progress(as_json) as progress:
                campaign.run(check, progress)
        _show_end(campaign, report, as_json)


def _ask(check: Check, *, yes: bool, as_json: bool) -> None:
    price = f"{show_tenge(check.total_tiyn)} to {len(check.payees)} rows"
    tell(f"grants {price}, of {show_tenge(check.free_tiyn)} of free money", as_json)
    ask_first(f"Grant {price}?", yes=yes)


@contextmanager
def _progress(as_json: bool) -> Iterator[Any]:
    """A bar at a terminal, for whatever the campaign says it is doing."""
    columns = (*Progress.get_default_columns(), TextColumn("{task.completed} of {task.total}"))
    with Progress(*columns, console=err, transient=True, disable=as_json or not err.is_terminal) as progress:
        task = progress.add_task("checking", total=None)
        yield lambda what, done, total: progress.update(task, description=what, completed=done, total=total)


@contextmanager
def _reporting(campaign: Campaign, report: Path | None, as_json: bool) -> Iterator[list[Problem]]:
    """Write the report however it ends; takes what the check has found. Raises OSError."""
    problems: list[Problem] = []
    try:
        yield problems
    except TengeError:
        counts = Counter(result.status for result in campaign.results(problems))
        tell(f"{counts['paid']} rows paid, {counts['refused']} refused, {counts['pending']} pending", as_json)
        if campaign.is_begun:
            tell("the same command with --resume goes on, and pays nobody twice", as_json)
        raise
    finally:
        if report is not None:
            _write(report, campaign_list.report_of(campaign.results(problems)))


def _write(path: Path, text: str) -> None:
    """A whole file or none."""
    part = path.with_name(f".{path.name}.part")
    part.write_text(text, encoding="utf-8")
    part.replace(path)


def _show_problems(check: Check, as_json: bool) -> None:
    if as_json or not check.problems:
        return
    table = Table("row", "code", "because", title="Rows that cannot be paid")
    for problem in check.problems[:_SHOWN]:
        table.add_row(str(problem.number), problem.code, escape(problem.message))
    err.print(table)
    if len(check.problems) > _SHOWN:
        err.print(f"and {len(check.problems) - _SHOWN} more; --report has them all")


def _show_end(campaign: Campaign, report: Path | None, as_json: bool) -> None:
    """What was done; exit status 1 if a row is not paid."""
    results = campaign.results()
    counts = Counter(result.status for result in results)
    paid_tiyn = sum(result.row.amount_tiyn for result in results if result.status == "paid")
    refused = [result for result in results if result.status == "refused"]
    is_whole = counts["paid"] == len(results)
    if as_json:
        facts = {"ok": is_whole, "campaign": campaign.name, "rows": len(results), "paid": counts["paid"]}
        facts |= {"refused": counts["refused"], "pending": counts["pending"], "amount": format_tenge(paid_tiyn)}
        facts |= {"entries": sorted({result.entry for result in results if result.entry is not None})}
        facts |= {"report": None if report is None else str(report)}
        print_json(facts | {"refused_rows": [_facts(result) for result in refused]})
    else:
        out.print(f"granted {show_tenge(paid_tiyn)} to {counts['paid']} of {len(results)} rows", soft_wrap=True)
        for result in refused[:_SHOWN]:
            said = f"row {result.row.number} ({result.row.account}) refused: {result.code}"
            out.print(said, markup=False, soft_wrap=True)
    if not is_whole:
        raise typer.Exit(EXIT_REFUSED)


def _facts(result: Result) -> dict[str, Any]:
    row = result.row
    key = row.key.hex() if row.key else None
    facts = {"row": row.number, "account": row.account or None, "key": key, "amount": format_tenge(row.amount_tiyn)}
    return facts | {"code": result.code}
