"""`tenge purse`: a wallet's directory from the command line, with a ledger and without one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import typer

from tui.commands.purse import counter, hands, lists, online, payments, show

app = typer.Typer(
    no_args_is_help=True,
    help="Pay and be paid from a wallet's directory: by file, over a socket, and in touch with a ledger.",
)
COMMANDS: Final[tuple[Callable[..., None], ...]] = (
    show.show,
    *(online.load, online.unload, online.sync, online.repay),
    *(payments.send, payments.request, payments.refund),
    *(counter.sell, counter.buy),
    *(hands.ask, hands.pay, hands.take, hands.finish, hands.again, hands.release, hands.take_back),
    *(lists.list_, lists.hear),
)
for command in COMMANDS:
    app.command(command.__name__.rstrip("_").replace("_", "-"))(command)

__all__ = ["app"]
