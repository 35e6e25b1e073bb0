"""`tenge ledger serve`: a ledger that other processes of this machine reach over a Unix socket."""

from __future__ import annotations

import sqlite3
import sys
import threading
from pathlib import Path
from typing import Annotated, Final

import typer
from rich.markup import escape

from cbdc.errors import TengeError
from cbdc.limits import MAX_SWEEP, SWEEP_EVERY_S
from cbdc.policy import DAY_S
from cbdc.service.key_files import key_path, read_key
from cbdc.service.opening import ServedLedger
from cbdc.store.sqlite import SqliteStore
from tui.clock import At, clock_of, show_time
from tui.commands.ledger import Where, ledger_path, pinned_root
from tui.output import Json, err, out, print_json, refusals
from tui.passphrase import passphrase_for
from tui.signals import told_to_end

_NAMED: Final = 10
"""So many payments are named one by one."""


def serve(
    where: Where,
    socket: Annotated[
        Path | None, typer.Option("--socket", help="Where to answer; default: ledger.sock in the directory.")
    ] = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Answer wallets on a Unix socket until Ctrl-C or SIGTERM; then finish what was taken in, and remove the socket.

    The operator's key is keys/operator.pem beside the ledger. Its passphrase is asked for, or taken from
    TENGE_PASSPHRASE. A line, or one JSON object, says when the ledger answers. What falls due is swept every minute.

    Examples:
        tenge ledger serve ./my-ledger
        tenge ledger serve /tmp/market-day/ledger --at last --json
    """
    with refusals(as_json):
        path = ledger_path(where)
        root, clock = pinned_root(where, None), clock_of(at)
        key_file = key_path(path.parent, "operator")
        key_file.stat()  # no passphrase is asked for a key that is not there
        operator = read_key(key_file, passphrase_for("the operator's key"))
        address = socket or path.with_name("ledger.sock")
        with told_to_end() as end, ServedLedger(path, root, operator, clock) as served:
            served.listen(address)
            _say_ready(served, address, _warning(served, path), as_json)
            _sweep_until(end, served)
        if not as_json:
            out.print("The ledger has stopped; everything that was taken in is in its log.")


def _warning(served: ServedLedger, path: Path) -> str:
    """What happens at once because the clock is far ahead of the last entry; "" if nothing does."""
    store = SqliteStore.read(path)
    last_s = store.stored_ledger_time_s()
    store.close()
    now_s = served.queries.ledger_time_s()
    due = served.due_by_time(now_s) if now_s > last_s + DAY_S else 0
    if not due:
        return ""
    many = f"{due} or more tokens" if due == MAX_SWEEP else f"{due} tokens" if due > 1 else "1 token"
    return (
        f"The clock is {(now_s - last_s) // DAY_S} days ahead of the last entry ({show_time(last_s)}). So {many} past "
        "the last deadline will be swept now: offline money goes back online, money of an expired purpose to where its "
        f"purpose says.{_lapsing(served, now_s)} That is entered in the log for good; to go on where the ledger ended, "
        "serve with --at last."
    )


def _lapsing(served: ServedLedger, now_s: int) -> str:
    """Which payments wait no longer."""
    ids = [payment_id.hex()[:16] for payment_id, held in served.queries.waiting().items() if held.until_s <= now_s]
    if not ids:
        return ""
    more = f" and {len(ids) - _NAMED} more" if len(ids) > _NAMED else ""
    return f" Payments that wait lapse, and their money goes back to the payer: {', '.join(ids[:_NAMED])}{more}."


def _say_ready(served: ServedLedger, address: Path, warning: str, as_json: bool) -> None:
    """In one write that is out at once, so that scripts can wait for it."""
    name, time_s = served.identity.name, served.queries.ledger_time_s()
    if as_json:
        facts = {"ok": True, "serving": name, "socket": str(address), "ledger_time": show_time(time_s)}
        print_json(facts | ({"warning": warning} if warning else {}))
    else:
        if warning:
            err.print(f"[bold yellow]warning[/]: {escape(warning)}", soft_wrap=True)
        place = escape(str(address))
        out.print(
            f"Serving [bold]{escape(name)}[/] on {place}, ledger time {show_time(time_s)}; Ctrl-C ends it.",
            soft_wrap=True,
        )
    sys.stdout.flush()


def _sweep_until(end: threading.Event, served: ServedLedger) -> None:
    while not end.is_set():
        try:
            served.sweep()
        except (TengeError, sqlite3.Error) as error:  # wallets are answered all the same, and it is tried again
            err.print(f"not swept: {escape(str(error))}", soft_wrap=True)
        end.wait(SWEEP_EVERY_S)
