"""`tenge demo` and `tenge scenario`: play an economy and show how it went."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table
from rich.tree import Tree

from cbdc.amounts import parse_tenge, show_tenge
from cbdc.errors import AlreadyThere, FileTrouble, TengeError
from tui.output import EXIT_REFUSED, Json, err, out, print_json, refusals, trouble_of
from tui.signals import ending_on_sigterm
from wallet.scenarios import keeping, page, runner, schema
from wallet.scenarios.drawing import describe_move, describe_output
from wallet.scenarios.report import FORK_MEANING, Report, describe_fork, describe_offline
from wallet.scenarios.routes import Move
from wallet.scenarios.runner import StepResult
from wallet.scenarios.schema import Scenario, Step
from wallet.scenarios.setting import ManyProcesses, OneProcess

app = typer.Typer(no_args_is_help=True, help="Play small economies on a real ledger with real keys.")

Html = Annotated[Path | None, typer.Option("--html", help="Write the report there as one self-contained page.")]
Force = Annotated[bool, typer.Option("--force", help="Let --html replace a file.")]
Routes = Annotated[bool, typer.Option("--routes", help="Show where each load went, as trees.")]
Keep = Annotated[Path | None, typer.Option("--keep", help="Keep the ledger and the wallets in this new directory.")]

Processes = Annotated[
    bool,
    typer.Option("--processes", help="Run each wallet, each secure element and the ledger as a process of its own."),
]


def demo(
    keep: Keep = None,
    html: Html = None,
    force: Force = False,
    routes: Routes = False,
    processes: Processes = False,
    as_json: Json = False,
) -> None:
    """Play a market day: issue, pay online and offline, reconcile, school meals refused at the wrong shop.

    Examples:
        tenge demo
        tenge demo --keep /tmp/market && tenge ledger verify /tmp/market/ledger
        tenge demo --html market.html
    """
    _play("market_day", _Wanted(keep, html, force, routes, processes, as_json))


@app.command("run")
def run(
    file: Annotated[str, typer.Argument(metavar="SCENARIO", help="A scenario file, or the name of a shipped one.")],
    keep: Keep = None,
    html: Html = None,
    force: Force = False,
    routes: Routes = False,
    processes: Processes = False,
    as_json: Json = False,
) -> None:
    """Play a scenario; exit status 0 only if every step did what it says and every invariant held.

    Examples:
        tenge scenario run double_spend
        tenge scenario run double_spend --routes --html report.html
        tenge scenario run market_day --processes
        tenge scenario run my.toml --json
    """
    _play(file, _Wanted(keep, html, force, routes, processes, as_json))


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


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What is to be left behind and shown of a play."""

    keep: Path | None
    html: Path | None
    force: bool
    routes: bool
    processes: bool
    as_json: bool


def _play(name: str, wanted: _Wanted) -> None:
    with refusals(wanted.as_json), ending_on_sigterm():
        if wanted.html:
            page.check_free(wanted.html, force=wanted.force)
        path = shipped().get(name, Path(name))
        if not path.is_file():
            shown = ", ".join(shipped())
            raise FileTrouble("there is no such scenario", path=name, reason="no such file", shipped=shown)
        scenario = schema.read(path)
        with _directory(wanted.keep) as directory:
            if not wanted.as_json:
                out.print(f"[bold]{_escape(scenario.title)}[/]")
            setting = ManyProcesses if wanted.processes else OneProcess
            report = runner.play(scenario, directory, None if wanted.as_json else _show_step, setting=setting)
            trouble = _leave(scenario, report, wanted)
            if not wanted.as_json:
                _show_report(report, wanted, trouble)
                if trouble:
                    raise trouble
            elif trouble:
                print_json(report.to_json() | {"ok": False, "error": trouble.to_json()})
            else:
                print_json(report.to_json())
    if trouble or not report.ok:
        raise typer.Exit(EXIT_REFUSED)


def _leave(scenario: Scenario, report: Report, wanted: _Wanted) -> TengeError | None:
    """Write what is to stay of a play. What is in the way is told with the report: the play is not lost for it."""
    try:
        if wanted.keep:
            keeping.write_keys(scenario, wanted.keep)
        if wanted.html:
            page.write(wanted.html, page.render(scenario, report), force=wanted.force)
    except TengeError as error:
        return error
    except OSError as error:
        return trouble_of(error)
    return None


@contextmanager
def _directory(keep: Path | None) -> Iterator[Path]:
    if keep is None:
        with tempfile.TemporaryDirectory(prefix="tenge-") as temporary:
            yield Path(temporary)
        return
    if keep.exists() and any(keep.iterdir()):
        raise AlreadyThere("the directory is not empty", path=keep)
    keep.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=keep):  # it can be written to, and that is known before a long play
        pass
    yield keep


def _show_step(step: Step, result: StepResult) -> None:
    mark = "[green]✓[/]" if result.ok else "[bold red]✗[/]"
    refusal = f"[yellow]refused: {result.code}[/] - " if result.code else ""
    out.print(f" {mark} {result.number:>2} {step.do:<8} {refusal}{_escape(result.detail)}", soft_wrap=True)
    if step.note:
        out.print(f"               [dim]{_escape(step.note)}[/]", soft_wrap=True)


def _escape(text: str) -> str:
    return text.replace("[", r"\[")


def _show_report(report: Report, wanted: _Wanted, trouble: TengeError | None) -> None:
    table = Table("wallet", "online", "offline", "pending", "bound to a purpose", title="Balances at the end")
    for name, wallet in report.wallets.items():
        marked = ", ".join(f"{_shown(amount)} {purpose}" for purpose, amount in wallet["marked"].items())
        table.add_row(name, _shown(wallet["online"]), describe_offline(wallet), _shown(wallet["pending"]), marked)
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
    if wanted.routes:
        _show_routes(report)
    if wanted.keep and not trouble:
        _show_kept(wanted.keep)
    if wanted.html and not trouble:
        out.print(f"The report is in {_escape(str(wanted.html))}", soft_wrap=True)
    if report.ok:
        out.print("[bold green]Every step did what it says, and every invariant held.[/]")
    else:
        failed = [str(step.number) for step in report.steps if not step.ok]
        broken = [name for name, holds in report.invariants.items() if not holds]
        err.print(f"[bold red]Failed[/]: steps {', '.join(failed) or 'none'}; invariants {', '.join(broken) or 'none'}")


def _show_kept(keep: Path) -> None:
    place = _escape(str(keep))
    out.print(f"Kept in {place}: try [bold]tenge ledger verify {place}/ledger[/]", soft_wrap=True)
    out.print(
        f"To go on by hand, in both terminals: [bold]export TENGE_PASSPHRASE={keeping.PASSWORD} TENGE_AT=last[/]",
        soft_wrap=True,
    )


def _show_routes(report: Report) -> None:
    out.print("[bold]Where each load went[/]" if report.routes else "No purse was loaded: there are no routes.")
    for route in report.routes:
        tree = Tree(_escape(describe_move(route)))
        _grow(tree, route)
        out.print(tree, soft_wrap=True)


def _grow(tree: Tree, move: Move) -> None:
    for output in move.outputs:
        style = {"forked": "bold red", "seized": "yellow", "spent": "dim"}.get(output.state, "")
        branch = tree.add(_escape(describe_output(output)), style=style)
        for spend in output.spends:
            _grow(branch.add(_escape(describe_move(spend)), style="default not bold"), spend)


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
        out.print(f"[yellow]{_escape(describe_fork(fork))}[/]{proofs}", soft_wrap=True)
    if report.forks:
        out.print(FORK_MEANING, soft_wrap=True)
    out.print(f"log root   {report.log_root.hex()}\nstate root {report.state_root.hex()}", soft_wrap=True)


def _shown(amount: str) -> str:
    return show_tenge(parse_tenge(amount))
