"""`tenge ledger serve`: a ledger that other processes of this machine reach over a Unix socket."""

from __future__ import annotations

import sqlite3
import sys
import threading
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cbdc.errors import TengeError
from cbdc.limits import SWEEP_EVERY_S
from cbdc.service.key_files import key_path, read_key
from cbdc.service.opening import ServedLedger
from tui.clock import At, clock_of, show_time
from tui.commands.ledger import Where, ledger_path, pinned_root
from tui.output import Json, err, out, print_json, refusals
from tui.passphrase import passphrase_for
from tui.signals import told_to_end


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
            _say_ready(served, address, as_json)
            _sweep_until(end, served)
        if not as_json:
            out.print("The ledger has stopped; everything that was taken in is in its log.")


def _say_ready(served: ServedLedger, address: Path, as_json: bool) -> None:
    """In one write that is out at once, so that scripts can wait for it."""
    name, time_s = served.identity.name, served.queries.ledger_time_s()
    if as_json:
        print_json({"ok": True, "serving": name, "socket": str(address), "ledger_time": show_time(time_s)})
    else:
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
