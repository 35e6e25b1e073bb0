"""`tenge fraud`: proofs of double spending, taken from a ledger and checked by anybody."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cbdc.amounts import format_tenge
from cbdc.errors import FileTrouble, TooLarge
from cbdc.formats.hashing import HASH_BYTES
from cbdc.limits import MAX_MESSAGE_BYTES
from cbdc.offline.fraud import verify_proof
from cbdc.service.forks import late_forks, proven_forks
from cbdc.store.sqlite import SqliteStore
from tui.commands.ledger import Where, ledger_path, pinned_root
from tui.output import Json, out, print_json, refusals

app = typer.Typer(no_args_is_help=True, help="Proofs of double spending: export them from a ledger, verify one.")


@app.command()
def export(
    where: Where,
    to: Annotated[Path, typer.Option("--to", help="A directory for the proofs, one file each.")] = Path(),
    as_json: Json = False,
) -> None:
    """Write a proof for every output that was spent more than once, late payments included.

    Examples:
        tenge fraud export /tmp/double-spend/ledger --to /tmp/proofs
    """
    with refusals(as_json):
        store = SqliteStore.read(ledger_path(where))
        try:
            root = pinned_root(where, None)
            forks = [*proven_forks(store, root), *late_forks(store, root)]
        finally:
            store.close()
        to.mkdir(parents=True, exist_ok=True)
        lines: list[dict[str, Any]] = []
        for fork in forks:
            message, index = fork.outpoint[:HASH_BYTES].hex(), int.from_bytes(fork.outpoint[HASH_BYTES:])
            path = to / f"{message[:16]}{f'-{index}' if index else ''}.fraud"
            path.write_bytes(fork.proof)
            line = {"file": str(path), "by": fork.account, "amount": format_tenge(fork.amount_tiyn)}
            lines.append(line | {"spends": len(fork.spenders) + len(fork.late), "late": len(fork.late)})
        if as_json:
            print_json({"ok": True, "forks": lines})
            return
        table = Table("by", "output worth", "spent", "too late", title="Double spends")
        for line in lines:
            table.add_row(line["by"], line["amount"], f"{line['spends']} times", str(line["late"] or ""))
        out.print(table if lines else "No output was spent more than once.")
        for line in lines:  # whole, however narrow the screen is
            out.print(escape(line["file"]), soft_wrap=True)


@app.command()
def verify(
    file: Annotated[Path, typer.Argument(metavar="FILE.fraud", help="A proof.")],
    root: Annotated[str, typer.Option("--root", help="The governor's root key: 64 hex digits, or a root.pub file.")],
    as_json: Json = False,
) -> None:
    """Check a proof with nothing but the governor's root key.

    Examples:
        tenge fraud verify /tmp/proofs/5f0c1d2e3a4b5c6d.fraud --root /tmp/double-spend/ledger/root.pub
    """
    with refusals(as_json):
        if not file.is_file():
            raise FileTrouble("there is no such proof", path=file, reason="no such file")
        if file.stat().st_size > 2 * MAX_MESSAGE_BYTES:
            raise TooLarge("too large for a proof", found=file.stat().st_size, limit=2 * MAX_MESSAGE_BYTES)
        pin = Path(root)
        text = pin.read_text(encoding="ascii", errors="replace").strip() if pin.is_file() else root
        proof = verify_proof(file.read_bytes(), pinned_root(file, text))
        if as_json:
            facts = {"by": proof.account, "purse": proof.purse_key.hex(), "bank": proof.bank}
            spends = [spend.hex() for spend in proof.spends]
            print_json({"ok": True, **facts, "outpoints": [o.hex() for o in proof.outpoints], "spends": spends})
            return
        out.print(f"[bold]Proven.[/] The purse of [bold]{proof.account}[/], certified by {proof.bank}, spent twice")
        for name in proof.outpoints:
            out.print(f"  {name.hex()}", soft_wrap=True)
        out.print("in the payments\n  " + "\n  ".join(spend.hex() for spend in proof.spends), soft_wrap=True)
