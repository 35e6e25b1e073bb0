"""`tenge demo` and `tenge scenario`: play an economy and show how it went."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from cbdc.amounts import parse_tenge, show_tenge
from cbdc.errors import LedgerBusy, Malformed
from tui.output import EXIT_REFUSED, Json, err, out, print_json, refusals
from wallet.scenarios import runner, schema
from wallet.scenarios.report import Report
from wallet.scenarios.runner import StepResult
from wallet.scenarios.schema import Step

app = typer.Typer(no_args_is_help=True, help="Play small economies on a real ledger with real keys.")

Keep = Annotated[Path | None, typer.Option("--keep", help="Keep the ledger and the wallets in this new directory.")]


def demo(keep: Keep = None, as_json: Json = False) -> None:
    """Play a market day: issue, pay online and offline, reconcile, school meals refused at the wrong shop.

    Examples:
        tenge demo
        tenge demo --keep /tmp/market && tenge ledger verify /tmp/market/ledger
    """
    _play("market_day", keep, as_json)


@app.command("run")
def run(
    file: Annotated[str, typer.Argument(help="A scenario file, or the name of a shipped one.")],
    keep: Keep = None,
    as_json: Json = False,
) -> None:
    """Play a scenario; exit status 0 only if every step did what it says and every invariant held.

    Examples:
        tenge scenario run double_spend
        tenge scenario run my.toml --json
    """
    _play(file, keep, as_json)


@app.command("list")
def list_(as_json: Json = False) -> None:
    """List the shipped scenarios.

    Examples:
        tenge scenario list
    """
    found = {name: schema.read(path) for name, path in shipped().items()}
    if as_json:
        print_json(
            {"scenarios": [{"name": name, "title": s.title, "steps": len(s.steps)} for name, s in found.items()]}
        )
        return
    table = Table("name", "title", "steps", box=None)
    for name, scenario in found.items():
        table.add_row(name, scenario.title, str(len(scenario.steps)))
    out.print(table)


def shipped() -> dict[str, Path]:
    """The scenarios that come with the wallet, by name."""
    folder = Path(str(resources.files("wallet.scenarios")))
    return {path.stem: path for path in sorted(folder.glob("*.toml"))}


def _play(name: str, keep: Path | None, as_json: bool) -> None:
    with refusals(as_json), _directory(keep) as directory:
        path = shipped().get(name, Path(name))
        if not path.is_file():
            raise Malformed("there is no such scenario", found=name, shipped=", ".join(shipped()))
        scenario = schema.read(path)
        if not as_json:
            out.print(f"[bold]{scenario.title}[/]")
        report = runner.play(scenario, directory, None if as_json else _show_step)
        if as_json:
            print_json(report.to_json())
        else:
            _show_report(report, directory if keep else None)
    if not report.ok:
        raise typer.Exit(EXIT_REFUSED)


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tenge-") as temporary:
            yield Path(temporary)
        return
    if keep.exists() and any(keep.iterdir()):
        raise LedgerBusy("the directory is not empty", path=keep)
    keep.mkdir(parents=True, exist_ok=True)
    yield keep


def _show_step(step: Step, result: StepResult) -> None:
    mark = "[green]✓[/]" if result.ok else "[bold red]✗[/]"
    refusal = f"[yellow]refused: {result.code}[/] - " if result.code else ""
    out.print(f" {mark} {result.number:>2} {step.do:<8} {refusal}{_escape(result.detail)}", soft_wrap=True)
    if step.note:
        out.print(f"               [dim]{_escape(step.note)}[/]", soft_wrap=True)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


def _show_report(report: Report, kept: Path | None) -> None:
    table = Table("wallet", "online", "offline", "pending", "bound to a purpose", title="Balances at the end")
    for name, wallet in report.wallets.items():
        marked = ", ".join(f"{_shown(amount)} {purpose}" for purpose, amount in wallet["marked"].items())
        table.add_row(name, *(_shown(wallet[field]) for field in ("online", "offline", "pending")), marked)
    for column in table.columns[1:4]:
        column.justify = "right"
    out.print(table)
    banks = Table("bank", "online", "reserve", "owes the pool", title="Banks")
    for name, bank in report.banks.items():
        banks.add_row(name, *(_shown(bank[field]) for field in ("online", "reserve", "claims")))
    for column in banks.columns[1:]:
        column.justify = "right"
    out.print(banks)
    _show_supply(report)
    if kept:
        out.print(f"Kept in {kept}: try [bold]tenge ledger verify {kept}/ledger[/]", soft_wrap=True)
    if report.ok:
        out.print("[bold green]Every step did what it says, and every invariant held.[/]")
    else:
        failed = [str(step.number) for step in report.steps if not step.ok]
        broken = [name for name, holds in report.invariants.items() if not holds]
        err.print(f"[bold red]Failed[/]: steps {', '.join(failed) or 'none'}; invariants {', '.join(broken) or 'none'}")


def _show_supply(report: Report) -> None:
    s = report.supply
    table = Table("supply", "tenge", title="Supply and proofs")
    rows = {
        "issued": s.issued_tiyn,
        "redeemed": s.redeemed_tiyn,
        "online": s.online_tiyn,
        "offline pool": s.pool_tiyn,
        "reserves": s.reserves_tiyn,
    }
    for name, amount_tiyn in rows.items():
        table.add_row(name, show_tenge(amount_tiyn))
    table.columns[1].justify = "right"
    out.print(table)
    held = ", ".join(name for name, holds in report.invariants.items() if holds)
    out.print(
        f"Checked: {report.signatures_verified} signatures and {report.log_size} entries re-executed from the log's "
        f"bytes, {report.receipts_verified} receipts with inclusion proofs; these hold: {held}.",
        soft_wrap=True,
    )
    for fork in report.forks:
        proofs = f", {len(fork.outputs)} proven under the root key" if fork.outputs else ""
        out.print(f"[yellow]Fork[/] by {fork.by}: {show_tenge(fork.excess_tiyn)} too much{proofs}")
    out.print(f"log root   {report.log_root.hex()}\nstate root {report.state_root.hex()}", soft_wrap=True)


def _shown(amount: str) -> str:
    return show_tenge(parse_tenge(amount))
