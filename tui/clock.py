"""What time it is, for commands on a ledger or a wallet: the real time, or one that the caller sets.

Whatever is chosen, neither a ledger nor a purse goes back: it counts from the latest ledger time that it knows.
"""

from __future__ import annotations

import datetime as dt
import time
from collections.abc import Callable
from typing import Annotated, Final

import typer

from cbdc.purposes.conditions import time as conditions_time
from wallet.scenarios.values import time_of

LAST: Final = "last"

At = Annotated[
    str | None,
    typer.Option(
        "--at",
        metavar="TIME|last",
        envvar="TENGE_AT",
        help="Let the clock stand at this time (ISO 8601 with offset), or at the latest ledger time known here; "
        "default: the real clock.",
    ),
]


def clock_of(at: str | None) -> Callable[[], int]:
    """The clock that ``--at`` asks for. Raises Malformed: not a time."""
    if at is None:
        return lambda: int(time.time())
    # a clock that shows 1970 never is the latest that a ledger or purse knows of: what was signed counts alone
    now_s = 0 if at == LAST else time_of(at)
    return lambda: now_s


def show_time(time_s: int) -> str:
    """Seconds since 1970 as ISO 8601, in UTC."""
    return dt.datetime.fromtimestamp(time_s, dt.UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def show_local_time(time_s: int) -> str:
    """As `show_time`, in Kazakhstan's own time."""
    return f"{conditions_time.show_time(time_s)} +05:00"
