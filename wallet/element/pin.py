"""The tries of an element's PIN, counted on its disk before each is looked at.

After `PIN_FREE_TRIES` wrong ones in a row the element makes its holder wait, twice as long each time; after
`PIN_TRIES` it is locked for good. Killing the program forgives nothing, and no change of the device's clock shortens
the wait: what is kept is the wait still left, and the clock's reading when that was true.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Callable
from contextlib import closing

from cbdc.errors import Malformed, PinLocked, TooLarge, WalletCorrupt
from cbdc.limits import MAX_PIN_BYTES, PIN_FREE_TRIES, PIN_MAX_WAIT_MS, PIN_TRIES


def uptime_ms() -> int:
    """Milliseconds since the machine started. Nobody can set it; a restart sets it back, so the wait begins again."""
    return time.monotonic_ns() // 1_000_000


def wait_after_ms(tries: int) -> int:
    """How long to wait after so many wrong tries in a row: 0, then 1 s, 2 s, 4 s ... up to `PIN_MAX_WAIT_MS`."""
    if tries < PIN_FREE_TRIES:
        return 0
    return min(1000 << (tries - PIN_FREE_TRIES), PIN_MAX_WAIT_MS)


def pin_bytes(pin: str) -> bytes:
    """A PIN as it travels to the element.

    Raises:
        Malformed: no text that can be written down. TooLarge.
    """
    try:
        raw = pin.encode()
    except UnicodeEncodeError:
        raise Malformed("the PIN is not a text") from None
    if len(raw) > MAX_PIN_BYTES:
        raise TooLarge("PIN too long", limit=MAX_PIN_BYTES)
    return raw


class PinGate:
    """The counter in the element's file. ``clock_ms`` is any clock in milliseconds; it may be set back."""

    def __init__(self, clock_ms: Callable[[], int] = uptime_ms) -> None:
        self._clock_ms = clock_ms
        self.tries_left = PIN_TRIES

    def before(self, db: sqlite3.Connection) -> None:
        """Count a try, durably, or refuse it.

        Raises:
            PinLocked: not yet, or never again. WalletCorrupt: the counter is gone.
        """
        now_ms = self._clock_ms()
        tries, wait_ms, seen_ms = _read(db)
        if tries >= PIN_TRIES:
            raise PinLocked("locked for good: the ledger returns the purse's money at its last deadline", for_good=True)
        # A clock that was set back proves no time to have passed.
        wait_ms = max(0, wait_ms - max(0, now_ms - seen_ms))
        if wait_ms:
            _write(db, tries, wait_ms, now_ms)
            raise PinLocked("the PIN was wrong too often: wait", wait_s=-(-wait_ms // 1000), for_good=False)
        # Counted as wrong with its wait first: who cuts the power while it is looked at has used it up.
        _write(db, tries + 1, wait_after_ms(tries + 1), now_ms)
        self.tries_left = PIN_TRIES - tries - 1

    def opened(self, db: sqlite3.Connection) -> None:
        """The PIN was right, or a new element was made: count from 0."""
        db.execute("CREATE TABLE IF NOT EXISTS pin (id INTEGER PRIMARY KEY, tries INT, wait_ms INT, seen_ms INT)")
        _write(db, 0, 0, self._clock_ms())
        self.tries_left = PIN_TRIES


def _read(db: sqlite3.Connection) -> tuple[int, int, int]:
    try:
        with closing(db.execute("SELECT tries, wait_ms, seen_ms FROM pin WHERE id = 0")) as rows:
            row = rows.fetchone()
    except sqlite3.DatabaseError:
        row = None
    if row is None or any(type(field) is not int for field in row):
        raise WalletCorrupt("this is not an element's file: it has no count of tries")
    tries, wait_ms, seen_ms = row
    return tries, wait_ms, seen_ms


def _write(db: sqlite3.Connection, tries: int, wait_ms: int, seen_ms: int) -> None:
    """One statement outside a transaction: durable when it returns, as the vault's file is in ``synchronous=FULL``."""
    db.execute("INSERT OR REPLACE INTO pin VALUES (0, ?, ?, ?)", (tries, wait_ms, seen_ms))
