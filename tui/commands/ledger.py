"""`tenge ledger`: found, look at, verify, audit and export a ledger."""

from __future__ import annotations

import json
import secrets
import sys
import time
from pathlib import Path
from typing import Annotated, Any, TextIO

import typer
from rich.table import Table

from cbdc.amounts import format_tenge, show_tenge
from cbdc.errors import AlreadyThere, FileTrouble, LedgerCorrupt, Malformed
from cbdc.formats.ed25519 import SigningKey
from cbdc.log import checkpoint, entries
from cbdc.messages.message import decode
from cbdc.policy import Policy
from cbdc.service import audit as auditor
from cbdc.service.evidence import LateEvidence, late_evidence
from cbdc.service.founding import Governor
from cbdc.service.key_files import key_path, write_key
from cbdc.service.ledger import Identity, Ledger
from cbdc.store.sqlite import SqliteStore
from tui.files import refuse_target, replacing
from tui.output import Json, out, print_json, refusals
from tui.passphrase import passphrase_for
from tui.progress import entries_done

app = typer.Typer(no_args_is_help=True, help="Found, look at, verify, audit and export a ledger.")

Where = Annotated[Path, typer.Argument(metavar="LEDGER", help="The ledger's directory, or its ledger.db.")]
Root = Annotated[
    str | None, typer.Option("--root", help="The pinned root key (64 hex digits); default: root.pub beside it.")
]


@app.command()
def init(
    directory: Annotated[Path, typer.Argument(metavar="DIRECTORY", help="A new directory.")],
    name: Annotated[str, typer.Option(help="The network's name.")] = "Digital Tenge",
    as_json: Json = False,
) -> None:
    """Found a network: governor's root, operator, genesis entry. Keys are encrypted with a passphrase.

    The passphrase is asked for, or taken from TENGE_PASSPHRASE where there is no terminal.

    Examples:
        tenge ledger init ./my-ledger --name "Test Tenge"
    """
    with refusals(as_json):
        path = directory / "ledger.db"
        if directory.exists() and any(directory.iterdir()):
            raise AlreadyThere("the directory is not empty", path=directory)
        passphrase = passphrase_for("the keys", is_new=True)
        governor_seed, operator_seed = secrets.token_bytes(32), secrets.token_bytes(32)
        governor, operator = Governor.from_seed(governor_seed), SigningKey(operator_seed)
        now_s = int(time.time())
        genesis = governor.genesis(name, "Operator", operator.public, Policy(), now_s)
        decode(genesis, governor.network)  # a name that does not do is refused before anything is made
        with Ledger(SqliteStore.create(path), Identity(governor.network, name, operator)) as ledger:
            ledger.submit(genesis).result()
        (directory / "root.pub").write_text(governor.network.hex() + "\n", encoding="ascii")
        for role, seed in (("governor", governor_seed), ("operator", operator_seed)):
            write_key(key_path(directory, role), seed, passphrase)
        vkey = checkpoint.verifier_key(checkpoint.origin_of(name), operator.public)
        if as_json:
            print_json({"ok": True, "path": str(path), "root": governor.network.hex(), "vkey": vkey})
        else:
            out.print(f"Founded [bold]{name}[/] in {path}\nroot key   {governor.network.hex()}\nlog key    {vkey}")
            out.print("Keys are in keys/, encrypted. Keep the governor's somewhere else.")


@app.command()
def status(where: Where, as_json: Json = False) -> None:
    """Show size, time, checkpoint and supply.

    Examples:
        tenge ledger status /tmp/market/ledger
    """
    with refusals(as_json):
        store = SqliteStore.read(ledger_path(where))
        latest = store.latest_checkpoint()
        report = auditor.report_supply(store, pinned_root(where, None))
        facts: dict[str, Any] = {
            "entries": store.size(),
            "ledger_time_s": store.stored_ledger_time_s(),
            "checkpoint": latest[1] if latest else None,
            "supply": format_tenge(report.supply.issued_tiyn - report.supply.redeemed_tiyn),
        }
        store.close()
        if as_json:
            print_json(facts)
            return
        when = _utc(facts["ledger_time_s"])
        out.print(f"{facts['entries']} entries, ledger time {when}, supply {facts['supply']} tenge\n")
        out.print(facts["checkpoint"] or "no checkpoint yet", soft_wrap=True)


@app.command()
def verify(where: Where, root: Root = None, as_json: Json = False) -> None:
    """Re-execute the whole log from its bytes; check every signature, root, row and invariant.

    Examples:
        tenge ledger verify /tmp/market/ledger
    """
    with refusals(as_json):
        store = SqliteStore.read(ledger_path(where))
        with entries_done("re-executing", as_json) as progress:
            verdict = auditor.verify_ledger(store, pinned_root(where, root), progress)
        store.close()
        facts = {
            "ok": True,
            "entries": verdict.entries,
            "checkpoints": verdict.checkpoints,
            "signatures": verdict.signatures,
            "late": verdict.late,
            "log_root": verdict.log_root.hex(),
            "state_root": verdict.state_root.hex(),
            "invariants": verdict.laws,
        }
        if as_json:
            print_json(facts)
            return
        out.print(
            f"[bold green]The ledger is sound.[/] {verdict.entries} entries re-executed, "
            f"{verdict.signatures} signatures and {verdict.checkpoints} checkpoints checked, "
            f"{verdict.late} late payments judged again, every stored row compared.",
            soft_wrap=True,
        )
        out.print(f"log root   {verdict.log_root.hex()}\nstate root {verdict.state_root.hex()}", soft_wrap=True)


@app.command()
def audit(where: Where, as_json: Json = False) -> None:
    """Print the supply by pool, participant and purpose.

    Examples:
        tenge ledger audit /tmp/market/ledger
    """
    with refusals(as_json):
        store = SqliteStore.read(ledger_path(where))
        report = auditor.report_supply(store, pinned_root(where, None))
        store.close()
        s = report.supply
        pools = {
            "online": s.online_tiyn,
            "offline pool": s.pool_tiyn,
            "reserves": s.reserves_tiyn,
            "issued": s.issued_tiyn,
            "redeemed": s.redeemed_tiyn,
            "owed to the pool": report.claims_tiyn,
        }
        groups = {
            "pool": pools,
            "participant": report.online_by_participant,
            "purpose": report.marked_by_purpose,
        }
        if as_json:
            print_json({g: {n: format_tenge(v) for n, v in rows.items()} for g, rows in groups.items()})
            return
        for group, rows in groups.items():
            table = Table(group, "tenge", title=f"Supply by {group}")
            table.columns[1].justify = "right"
            for name, amount_tiyn in rows.items():
                table.add_row(name, show_tenge(amount_tiyn))
            out.print(table)


@app.command()
def evidence(where: Where, as_json: Json = False) -> None:
    """List the offline payments that came too late: they moved nothing and are kept as proof.

    `tenge fraud export` writes a proof where one of them spends what was spent before.

    Examples:
        tenge ledger evidence /tmp/market/ledger
    """
    with refusals(as_json):
        store = SqliteStore.read(ledger_path(where))
        try:
            found = list(late_evidence(store, pinned_root(where, None)))
        finally:
            store.close()
        if as_json:
            print_json({"ok": True, "late": [_late_line(late) for late in found]})
            return
        table = Table("shown", "payment", "by", "to", "tenge", title="Payments that came too late")
        table.columns[4].justify = "right"
        for late in found:
            table.add_row(_utc(late.time_s), late.id.hex()[:16], late.payer, late.payee, show_tenge(late.amount_tiyn))
        out.print(table if found else "No payment came too late.")


def _late_line(late: LateEvidence) -> dict[str, Any]:
    spent = [name.hex() for name in late.outpoints]
    parties = {"by": late.payer, "to": late.payee, "amount": format_tenge(late.amount_tiyn)}
    return {"payment": late.id.hex(), "time_s": late.time_s, **parties, "outpoints": spent}


def _utc(time_s: int) -> str:
    return time.strftime("%Y-%m-%d %H:%M:%S UTC", time.gmtime(time_s))


@app.command()
def export(
    where: Where,
    to: Annotated[Path | None, typer.Option("--out", help="A new file to write; default: standard output.")] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace the file if there is one.")] = False,
    as_json: Json = False,
) -> None:
    """Write the log as JSON lines: entries with their bytes and leaves, and checkpoints.

    A file is written beside and put in its place when it is whole. The ledger's own files are never replaced.
    With --json a summary follows the writing of a file, and refusals are JSON; standard output has the lines alone.

    Examples:
        tenge ledger export /tmp/market/ledger --out log.jsonl
    """
    with refusals(as_json):
        if to is not None:
            refuse_target(ledger_path(where), to, force)
        store, root = SqliteStore.read(ledger_path(where)), pinned_root(where, None)
        try:
            if to is None:
                _write_log(store, root, sys.stdout)
            else:
                with replacing(to) as target:
                    count = _write_log(store, root, target)
                if as_json:
                    print_json({"ok": True, "entries": count, "path": str(to)})
        finally:
            store.close()


def _write_log(store: SqliteStore, root: bytes, target: TextIO) -> int:
    """Entries as lines; how many."""
    count, notes = 0, dict(store.checkpoints())
    for index, data, leaf in store.entries():
        time_s, raw = entries.decode(data)
        message = decode(raw, root)
        line: dict[str, Any] = {"index": index, "time_s": time_s, "kind": message.kind.name.lower()}
        line |= {"id": message.id.hex(), "entry": data.hex(), "leaf": leaf.hex()}
        if index + 1 in notes:
            line["checkpoint"] = notes[index + 1]
        target.write(json.dumps(line) + "\n")
        count += 1
    return count


# --- where things are --------------------------------------------------------------------------


def ledger_path(where: Path) -> Path:
    """The ledger's file: in a directory, or named itself. Raises FileTrouble: there is none, or it is its socket."""
    if where.is_socket():
        raise FileTrouble("this reads the ledger's directory", path=where, reason="that is the socket of a served one")
    path = where / "ledger.db" if where.is_dir() else where
    if not path.is_file():
        raise FileTrouble("there is no ledger here", path=path, reason="no such file")
    return path


def pinned_root(where: Path, given: str | None) -> bytes:
    """The pinned root key: as given, or from root.pub beside the ledger."""
    text = given
    if text is None:
        pin = ledger_path(where).with_name("root.pub")
        if not pin.is_file():
            raise LedgerCorrupt("there is no pinned root key: give --root", path=pin)
        text = pin.read_text(encoding="ascii").strip()
    try:
        key = bytes.fromhex(text)
    except ValueError:
        key = b""
    if len(key) != 32:
        raise Malformed("a root key is 64 hex digits")
    return key
