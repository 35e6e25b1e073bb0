"""`tenge sponsor grant`: by a list, with a report for every row, resumed after any break."""

from __future__ import annotations

import shlex
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.progress import Progress, TextColumn
from rich.table import Table

from cbdc.amounts import format_tenge, show_tenge
from cbdc.errors import TengeError, Unsettled
from tui.clock import At
from tui.commands.purse.session import LedgerSocket, WalletPath, Yes, ask_first, connected, opened, tell
from tui.commands.sponsor.define import PurposeName
from tui.output import EXIT_REFUSED, Json, err, out, print_json
from tui.payloads import check_free
from tui.signals import ENDED_BY_SIGINT, ENDED_BY_SIGTERM, ending_between
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
    abandon: Annotated[bool, typer.Option("--abandon", help="Give a list up: rows not paid never are.")] = False,
    force: Annotated[bool, typer.Option("--force", help="Let --report replace a file.")] = False,
    yes: Yes = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Grant in a purpose to everybody on a list. Nobody is paid twice, whenever this breaks off; then use --resume.

    Every row is looked at before anything is signed: an account with a key in force, an amount, nobody twice, enough
    free money. The journal is in the wallet, with --skip-bad and --allow-repeats, which --resume need not repeat.
    Ctrl-C ends it after the message that is under way. The exit status is 0 only if every row is paid.

    Examples:
        tenge sponsor grant ./akimat meals september.csv --ledger ./my-ledger/ledger.sock --report september-paid.csv
        tenge sponsor grant ./akimat meals september.csv --ledger ./my-ledger/ledger.sock --resume --yes
    """
    order = Order(wallet, purpose, file, ledger, report, name, skip, allow_repeats)
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        if report is not None:
            check_free(report, force=force or resume or abandon)
        listed = campaign_list.read(file)
        campaign = Campaign(customer, port, trade.purpose_among(port.purposes(), purpose), listed, name or file.name)
        if abandon:
            _abandon(campaign, order, yes=yes, as_json=as_json)
            return
        with _telling_how_to_go_on(order, as_json):
            campaign.check_may_run(resume=resume, is_named=name is not None)
        paid_before = campaign.paid()
        with _reporting(campaign, order, as_json) as problems:
            with _progress(as_json) as progress:
                check = campaign.check(allow_repeats=allow_repeats, progress=progress)
            problems.extend(check.problems)
            _show_problems(check, as_json)
            check.require(skip=skip)
            if check.payees:
                _ask(check, yes=yes, as_json=as_json)
            with _progress(as_json) as progress:
                campaign.run(check, progress, skip=skip)
        _show_end(campaign, check.problems, order, paid_before, as_json)


@dataclass(frozen=True, slots=True)
class Order:
    """What was asked for, so that it can be told how to go on with it."""

    wallet: Path
    purpose: str
    file: Path
    ledger: Path
    report: Path | None
    name: str | None
    skip: bool
    allow_repeats: bool

    def to_resume(self, campaign: str | None = None) -> str:
        """The command that goes on, for a shell; ``campaign`` if it is another than the one asked for."""
        words = ["tenge", "sponsor", "grant", str(self.wallet), self.purpose, str(self.file)]
        words += ["--ledger", str(self.ledger)]
        name = campaign or self.name
        words += ["--campaign", name] if name is not None and name != self.file.name else []
        words += ["--report", str(self.report)] if self.report is not None else []
        words += ["--skip-bad"] * self.skip + ["--allow-repeats"] * self.allow_repeats
        return shlex.join([*words, "--resume"])


def rows_of(count: int) -> str:
    """So many rows, in words."""
    return "1 row" if count == 1 else f"{count} rows"


@contextmanager
def _telling_how_to_go_on(order: Order, as_json: bool) -> Iterator[None]:
    """With a campaign that is not at its end, the command that brings it there."""
    try:
        yield
    except Unsettled as error:
        tell(f"to go on: {order.to_resume(str(error.values['campaign']))}", as_json)
        raise


def _abandon(campaign: Campaign, order: Order, *, yes: bool, as_json: bool) -> None:
    """Give a campaign up; its report is written."""
    campaign.check_may_abandon()
    question = f"Never pay the {rows_of(campaign.unsigned())} of campaign {campaign.name} that are not paid?"
    ask_first(question, yes=yes)
    campaign.abandon()
    if order.report is not None:
        _write(order.report, campaign_list.report_of(campaign.results()))
    counts = _counts(campaign.results())
    if as_json:
        print_json({"ok": True, "campaign": campaign.name, "abandoned": True, **counts})
    else:
        out.print(f"campaign {campaign.name} is abandoned: {_said(counts)}", markup=False, soft_wrap=True)


def _ask(check: Check, *, yes: bool, as_json: bool) -> None:
    price = f"{show_tenge(check.total_tiyn)} to {rows_of(len(check.payees))}"
    tell(f"grants {price}, of {show_tenge(check.free_tiyn)} of free money", as_json)
    ask_first(f"Grant {price}?", yes=yes)


@contextmanager
def _progress(as_json: bool) -> Iterator[Any]:
    """A bar at a terminal, for whatever the campaign says it is doing; Ctrl-C and SIGTERM end it between two steps."""
    columns = (*Progress.get_default_columns(), TextColumn("{task.completed} of {task.total}"))
    with (
        ending_between() as leave,
        Progress(*columns, console=err, transient=True, disable=as_json or not err.is_terminal) as progress,
    ):
        task = progress.add_task("checking", total=None)

        def show(what: str, done: int, total: int) -> None:
            progress.update(task, description=what, completed=done, total=total)
            leave()

        yield show


@contextmanager
def _reporting(campaign: Campaign, order: Order, as_json: bool) -> Iterator[list[Problem]]:
    """Write the report however it ends; takes what the check has found. Raises OSError."""
    problems: list[Problem] = []
    try:
        yield problems
    except (TengeError, KeyboardInterrupt, SystemExit) as error:
        results = campaign.results(problems)
        is_stopped = not isinstance(error, TengeError)
        if is_stopped and as_json:
            print_json({"ok": False, "interrupted": True, "campaign": campaign.name, **_counts(results)})
        tell(("interrupted: " if is_stopped else "") + _said(_counts(results)), as_json)
        if campaign.is_begun or is_stopped:
            tell(f"this goes on, and pays nobody twice: {order.to_resume()}", as_json)
        if is_stopped:
            raise typer.Exit(ENDED_BY_SIGTERM if isinstance(error, SystemExit) else ENDED_BY_SIGINT) from None
        raise
    finally:
        if order.report is not None:
            _write(order.report, campaign_list.report_of(campaign.results(problems)))


def _counts(results: Sequence[Result]) -> dict[str, int]:
    """How many rows are what."""
    counts = Counter(result.status for result in results)
    return {name.replace(" ", "_"): counts[name] for name in ("paid", "refused", "pending", "not signed")}


def _said(counts: dict[str, int]) -> str:
    """The same in words; what is always told, and what else there is."""
    others = [f"{counts[name]} {name.replace('_', ' ')}" for name in ("pending", "not_signed") if counts[name]]
    return ", ".join([f"{rows_of(counts['paid'])} paid", f"{counts['refused']} refused", *others])


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


def _show_end(campaign: Campaign, problems: Sequence[Problem], order: Order, paid_before: int, as_json: bool) -> None:
    """What was done; exit status 1 if a row is not paid."""
    results = campaign.results(problems)
    counts = _counts(results)
    paid_tiyn = sum(result.row.amount_tiyn for result in results if result.status == "paid")
    refused = [result for result in results if result.status == "refused"]
    is_whole = counts["paid"] == len(results)
    if as_json:
        facts = {"ok": is_whole, "campaign": campaign.name, "rows": len(results), **counts}
        facts |= {"paid_before": paid_before, "amount": format_tenge(paid_tiyn)}
        facts |= {"entries": sorted({result.entry for result in results if result.entry is not None})}
        facts |= {"report": None if order.report is None else str(order.report)}
        print_json(facts | {"refused_rows": [_facts(result) for result in refused]})
    else:
        what = f"{show_tenge(paid_tiyn)} to {counts['paid']} of {rows_of(len(results))}"
        out.print(_what_was_done(what, counts["paid"], paid_before), soft_wrap=True)
        for result in refused[:_SHOWN]:
            out.print(_refusal(result), markup=False, soft_wrap=True)
    if not is_whole:
        raise typer.Exit(EXIT_REFUSED)


def _what_was_done(what: str, paid: int, paid_before: int) -> str:
    if paid_before and paid == paid_before:
        return f"nothing left to pay: {what} was granted before"
    return f"granted {what}" + (f", {paid_before} of them before" if paid_before else "")


def _refusal(result: Result) -> str:
    """A row that is not paid, in a line."""
    row = result.row
    named = row.account or (row.key.hex() if row.key else "nobody")
    amount = show_tenge(row.amount_tiyn) if row.amount_tiyn else row.said
    return f"row {row.number} ({named}, {amount}) refused: {result.reason or result.code}"


def _facts(result: Result) -> dict[str, Any]:
    row = result.row
    key = row.key.hex() if row.key else None
    amount = format_tenge(row.amount_tiyn) if row.amount_tiyn else row.said
    facts = {"row": row.number, "account": row.account or None, "key": key, "amount": amount}
    return facts | {"code": result.code, "reason": result.reason}
