"""The tables beside the log: payments that were shown too late, and what each is found by."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from typing import Final

from cbdc.store.base import LateBatch, LateRow

LATE_HEAD: Final = "late_head"
"""The meta row with the signed head."""

SCHEMA: Final = (
    """CREATE TABLE late (seq INTEGER PRIMARY KEY, id BLOB NOT NULL UNIQUE, size INTEGER NOT NULL,
       time_s INTEGER NOT NULL, payment BLOB NOT NULL)""",
    "CREATE TABLE late_things (thing BLOB NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (thing, seq)) WITHOUT ROWID",
)


class LateTable:
    """Late payments in a ledger file. A *thing* is an outpoint that a payment spends, or its payer's key where that
    is counted."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._db = connection

    def insert(self, late: LateBatch) -> None:
        """Write a batch, inside the caller's transaction."""
        rows = [(row.seq, row.id, row.size, row.time_s, row.payment) for row in late.rows]
        self._db.executemany("INSERT INTO late VALUES (?, ?, ?, ?, ?)", rows)
        self._db.executemany("INSERT INTO late_things VALUES (?, ?)", late.things)
        self._db.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (LATE_HEAD, late.head))

    def head(self) -> bytes | None:
        """The signed head; None if nothing was ever kept."""
        row = self._db.execute("SELECT value FROM meta WHERE name = ?", (LATE_HEAD,)).fetchone()
        return row[0] if row else None

    def __len__(self) -> int:
        return int(self._db.execute("SELECT count(*) FROM late").fetchone()[0])

    def __contains__(self, payment_id: bytes) -> bool:
        return self.row(payment_id) is not None

    def row(self, payment_id: bytes) -> LateRow | None:
        """The late payment with this id."""
        query = "SELECT seq, id, size, time_s, payment FROM late WHERE id = ?"
        row = self._db.execute(query, (payment_id,)).fetchone()
        return None if row is None else LateRow(*row)

    def count(self, thing: bytes) -> int:
        """How many kept payments are found by this."""
        return int(self._db.execute("SELECT count(*) FROM late_things WHERE thing = ?", (thing,)).fetchone()[0])

    def rows(self) -> Iterator[LateRow]:
        """All late payments in the order in which they were shown; none in a file from before they were kept."""
        if self._db.execute("SELECT 1 FROM sqlite_master WHERE name = 'late'").fetchone() is None:
            return
        for row in self._db.execute("SELECT seq, id, size, time_s, payment FROM late ORDER BY seq"):
            yield LateRow(*row)

    def things(self) -> Iterator[tuple[bytes, int]]:
        """All (thing, number)."""
        yield from self._db.execute("SELECT thing, seq FROM late_things ORDER BY thing, seq")
