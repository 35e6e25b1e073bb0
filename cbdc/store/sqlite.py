"""The embedded store: one SQLite file, write-ahead log, full synchronisation.

`sqlite-utils` makes and migrates the schema; the hot path uses plain prepared statements. One process writes,
kept by a lock file beside the database; readers open the same file read-only at any time.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import closing
from itertools import chain
from pathlib import Path
from typing import Any, Final

import sqlite_utils
from filelock import FileLock, Timeout
from sqlite_utils import Migrations

from cbdc.errors import InvariantViolation, LedgerBusy, LedgerCorrupt
from cbdc.state.records import Table, Token
from cbdc.state.root import SUM_BYTES
from cbdc.state.view import Change, Consumed, Key
from cbdc.store.base import Batch, DueRow, LateBatch, MarkedRow, index_columns
from cbdc.store.late import LATE_HEAD, SCHEMA, LateTable

_CACHED_TABLES: Final = frozenset(Table) - {
    *(Table.TOKEN, Table.OFFLINE, Table.DONE, Table.ACCEPTED),
    *(Table.WAITING, Table.SPENT, Table.FACT, Table.PAID),
}
"""All but the tables that grow with every message, or every fork. That a record is *not* there is kept as well: hardly
any purse is on the deny-list or a culprit, and every payment asks."""

_ROWS_AT_ONCE: Final = 512
"""Rows in one statement: six columns each stay well below SQLite's 32,766 parameters."""

_UPDATE: Final = """ ON CONFLICT DO UPDATE SET
    value = excluded.value, owner = excluded.owner, purpose = excluded.purpose, due_s = excluded.due_s"""
"""Makes an insert of rows that are there an update: the one form of it that takes many rows at a time."""

_WAL_PAGES: Final = 8_000
"""Pages in the write-ahead log before they are copied home: some groups' worth, so that a page changed by several of
them is copied once. A reader that stays on an old state keeps the log growing beyond that, 33 MB, for as long."""

_WAL_BYTES: Final = _WAL_PAGES * (4096 + 24)
"""The file of that many pages with their headers: it is cut back to this once no reader needs more."""

META_NAMES: Final = frozenset({"lattice_sum", "ledger_time_s"})
"""What every ledger's meta table has; `LATE_HEAD` is there once late evidence has been kept."""
_MAX_CACHED: Final = 100_000
_PREFETCH: Final = 250
"""Names in one query, below SQLite's limit on parameters; a full group's statement stays in the cache."""

WAITING_QUERY: Final = """SELECT key, value FROM state INDEXED BY state_waiting
    WHERE tbl = 17 AND due_s IS NOT NULL AND key > ? ORDER BY key"""
"""By an index of its own, which the planner would not choose: those that have lapsed are not looked at."""

migrations = Migrations("tenge-ledger")


@migrations()
def first_schema(db: sqlite_utils.Database) -> None:
    """Entries with their leaves, checkpoints, the state and what was consumed by whom."""
    for statement in (
        "CREATE TABLE entries (idx INTEGER PRIMARY KEY, entry BLOB NOT NULL, leaf BLOB NOT NULL)",
        "CREATE TABLE checkpoints (size INTEGER PRIMARY KEY, note TEXT NOT NULL)",
        """CREATE TABLE state (tbl INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
           owner BLOB, purpose BLOB, due_s INTEGER, PRIMARY KEY (tbl, key)) WITHOUT ROWID""",
        "CREATE INDEX state_owner ON state (owner, tbl) WHERE owner IS NOT NULL",
        "CREATE INDEX state_purpose ON state (purpose) WHERE purpose IS NOT NULL",
        "CREATE INDEX state_due ON state (due_s) WHERE due_s IS NOT NULL",
        """CREATE TABLE consumed (thing BLOB NOT NULL, message BLOB NOT NULL, idx INTEGER NOT NULL,
           PRIMARY KEY (thing, message)) WITHOUT ROWID""",
        "CREATE TABLE meta (name TEXT PRIMARY KEY, value BLOB NOT NULL)",
    ):
        db.execute(statement)


@migrations()
def late_evidence(db: sqlite_utils.Database) -> None:
    """Payments that came too late, beside the log."""
    for statement in SCHEMA:
        db.execute(statement)


@migrations()
def state_in_order_of_arrival(db: sqlite_utils.Database) -> None:
    """The state's rows stand where they arrived and only their keys are sorted: what is new fills whole pages.

    Sorted by outpoint, which is a hash, each row touched a page of its own; so did its entry in the index of due times,
    which now grows at its end.
    """
    for statement in (
        """CREATE TABLE state_rows (tbl INTEGER NOT NULL, key BLOB NOT NULL, value BLOB NOT NULL,
           owner BLOB, purpose BLOB, due_s INTEGER, PRIMARY KEY (tbl, key))""",
        "INSERT INTO state_rows SELECT tbl, key, value, owner, purpose, due_s FROM state",
        "DROP TABLE state",
        "ALTER TABLE state_rows RENAME TO state",
        "CREATE INDEX state_owner ON state (owner, tbl) WHERE owner IS NOT NULL",
        "CREATE INDEX state_purpose ON state (purpose) WHERE purpose IS NOT NULL",
        "CREATE INDEX state_due ON state (due_s) WHERE due_s IS NOT NULL",
    ):
        db.execute(statement)


@migrations()
def payments_that_wait(db: sqlite_utils.Database) -> None:
    """Those that wait still are found without those that have lapsed, which stay for ever."""
    db.execute("CREATE INDEX state_waiting ON state (key) WHERE tbl = 17 AND due_s IS NOT NULL")


class SqliteStore:
    """The ledger in one file. Use `create` or `open` to write, `read` to look on."""

    def __init__(
        self, path: Path, connection: sqlite3.Connection, lock: FileLock | None, *, caching: bool = False
    ) -> None:
        self.path = path
        self._db = connection
        self._lock = lock
        self._caching = caching
        self._closed = False
        self._cache: dict[Key, bytes | None] = {}
        self.late = LateTable(connection)
        self.ledger_time_s = self.stored_ledger_time_s()

    # --- opening -------------------------------------------------------------------------------

    @classmethod
    def create(cls, path: Path) -> SqliteStore:
        """Make a new, empty ledger file.

        Raises:
            LedgerBusy: there is a file already.
        """
        if path.exists():
            raise LedgerBusy("there is a ledger already", path=path)
        path.parent.mkdir(parents=True, exist_ok=True)
        return cls._open_writer(path)

    @classmethod
    def open(cls, path: Path) -> SqliteStore:
        """Open a ledger file as its one writer.

        Raises:
            LedgerBusy: another process writes it. LedgerCorrupt: not a ledger file.
        """
        if not path.exists():
            raise LedgerCorrupt("there is no ledger here", path=path)
        return cls._open_writer(path)

    @classmethod
    def _open_writer(cls, path: Path) -> SqliteStore:
        lock = FileLock(f"{path.resolve()}.lock", thread_local=False)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise LedgerBusy("another process writes this ledger", path=path) from None
        try:
            connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.execute("PRAGMA synchronous=FULL")
            connection.execute("PRAGMA cache_size=-65536")
            connection.execute(f"PRAGMA wal_autocheckpoint={_WAL_PAGES}")
            connection.execute(f"PRAGMA journal_size_limit={_WAL_BYTES}")
            migrations.apply(sqlite_utils.Database(connection))
            return cls(path, connection, lock)
        except (sqlite3.DatabaseError, UnicodeError) as error:
            lock.release()
            raise LedgerCorrupt("not a ledger file", path=path, reason=str(error)) from None
        except BaseException:
            lock.release()
            raise

    @classmethod
    def read(cls, path: Path, *, caching: bool = False) -> SqliteStore:
        """Open a ledger file for reading only, beside a writer or without one.

        With ``caching``, records of the small tables are read once; the caller says with `remember` what changed.

        Raises:
            LedgerCorrupt: not a ledger file.
        """
        if not path.exists():
            raise LedgerCorrupt("there is no ledger here", path=path)
        try:
            uri = f"{path.resolve().as_uri()}?mode=ro"
            connection = sqlite3.connect(uri, uri=True, isolation_level=None, check_same_thread=False)
            return cls(path, connection, None, caching=caching)
        except (sqlite3.DatabaseError, UnicodeError) as error:
            raise LedgerCorrupt("not a ledger file", path=path, reason=str(error)) from None

    def close(self) -> None:
        """Let go of the file; once more does nothing."""
        if self._closed:
            return
        self._closed = True
        if self._lock is not None and not self._db.in_transaction:
            # bring everything into the one file, so that it can be copied alone
            self._db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        self._db.close()
        if self._lock is not None:
            self._lock.release()

    # --- the writer's view ---------------------------------------------------------------------

    def get(self, key: Key) -> bytes | None:
        if key in self._cache:
            return self._cache[key]
        row = self._one("SELECT value FROM state WHERE tbl = ? AND key = ?", key)
        value: bytes | None = row[0] if row else None
        if self._caching and key[0] in _CACHED_TABLES:
            self._remember(key, value)
        return value

    def prefetch(self, table: Table, names: Iterable[bytes]) -> dict[Key, bytes | None]:
        """Values of many records at once; None for those that are not there."""
        wanted = list(dict.fromkeys(names))
        found: dict[Key, bytes | None] = {(table, name): None for name in wanted}
        for start in range(0, len(wanted), _PREFETCH):
            part = wanted[start : start + _PREFETCH]
            marks = ",".join("?" * len(part))
            query = f"SELECT key, value FROM state WHERE tbl = ? AND key IN ({marks})"  # noqa: S608 - only marks
            for name, value in self._db.execute(query, (table, *part)):
                found[table, name] = value
        return found

    def remember(self, changes: Mapping[Key, Change]) -> None:
        """Follow what the writer has committed."""
        for key, change in changes.items():
            if key[0] in _CACHED_TABLES:
                self._remember(key, change.after)

    def forget(self) -> None:
        """Empty the cache."""
        self._cache.clear()

    def _remember(self, key: Key, value: bytes | None) -> None:
        if len(self._cache) >= _MAX_CACHED:
            self._cache.clear()
        self._cache[key] = value

    def offline_of(self, owner: bytes) -> Iterable[bytes]:
        return [name for name, _ in self.owned(Table.OFFLINE, [owner])]

    def consumers_of(self, thing: bytes) -> tuple[Consumed, ...]:
        query = "SELECT message, idx FROM consumed WHERE thing = ? ORDER BY idx"
        return tuple(Consumed(message, index) for message, index in self._db.execute(query, (thing,)))

    # --- commit --------------------------------------------------------------------------------

    def commit(self, batch: Batch) -> None:
        self._in_transaction(lambda: self._write(batch))
        self.ledger_time_s = batch.ledger_time_s

    def keep_late(self, late: LateBatch) -> None:
        self._in_transaction(lambda: self.late.insert(late))

    def _in_transaction(self, write: Callable[[], None]) -> None:
        execute = self._db.execute
        execute("BEGIN IMMEDIATE")
        try:
            write()
            execute("COMMIT")
        except sqlite3.IntegrityError as error:
            execute("ROLLBACK")
            raise InvariantViolation("the batch does not fit the store", reason=str(error)) from None
        except BaseException:
            if self._db.in_transaction:
                execute("ROLLBACK")
            raise

    def _write(self, batch: Batch) -> None:
        many = self._db.executemany
        deleted, inserted, updated = _sorted_changes(batch.changes)
        self._rows("INSERT INTO entries VALUES", [(e.index, e.data, e.leaf) for e in batch.entries])
        self._rows("INSERT INTO consumed VALUES", sorted(batch.consumed))
        for table in {key[0] for key in deleted}:
            names = [key[1] for key in deleted if key[0] is table]
            start = f"DELETE FROM state WHERE tbl = {int(table)} AND key IN (VALUES"  # noqa: S608 - a number
            self._rows(start, [(name,) for name in names], end=")")
        self._rows("INSERT INTO state VALUES", inserted)
        self._rows("INSERT INTO state VALUES", updated, end=_UPDATE)
        self._db.execute("INSERT INTO checkpoints VALUES (?, ?)", (batch.size, batch.checkpoint))
        meta = [("lattice_sum", batch.lattice_sum), ("ledger_time_s", str(batch.ledger_time_s))]
        many("INSERT OR REPLACE INTO meta VALUES (?, ?)", meta)
        if batch.late is not None:
            self.late.insert(batch.late)

    def _rows(self, start: str, rows: Sequence[tuple[Any, ...]], end: str = "") -> None:
        """Run a statement over many rows at a time.

        The interpreter's lock is given up once for each statement, not for each row, so that the next group can be
        decided meanwhile. Sizes are powers of two: few different statements, each prepared once.
        """
        at = 0
        while at < len(rows):
            count = min(_ROWS_AT_ONCE, 1 << ((len(rows) - at).bit_length() - 1))
            part = rows[at : at + count]
            one = f"({','.join('?' * len(part[0]))})"
            self._db.execute(f"{start} {','.join([one] * count)}{end}", list(chain.from_iterable(part)))
            at += count

    # --- reading -------------------------------------------------------------------------------

    def size(self) -> int:
        row = self._one("SELECT max(idx) FROM entries", ())
        return 0 if row is None or row[0] is None else int(row[0]) + 1

    def entry(self, index: int) -> bytes | None:
        row = self._one("SELECT entry FROM entries WHERE idx = ?", (index,))
        return row[0] if row else None

    def entries(self) -> Iterator[tuple[int, bytes, bytes]]:
        yield from self._db.execute("SELECT idx, entry, leaf FROM entries ORDER BY idx")

    def leaves(self) -> Iterator[bytes]:
        """Leaf hashes in order."""
        for (leaf,) in self._db.execute("SELECT leaf FROM entries ORDER BY idx"):
            yield leaf

    def lattice_sum(self) -> bytes | None:
        value = self._meta("lattice_sum")
        if value is not None and (type(value) is not bytes or len(value) != SUM_BYTES):
            raise LedgerCorrupt("the stored lattice sum has another form", where="meta lattice_sum")
        return value

    def checkpoint_covering(self, index: int) -> tuple[int, str] | None:
        query = "SELECT size, note FROM checkpoints WHERE size > ? ORDER BY size LIMIT 1"
        row = self._one(query, (index,))
        return (row[0], row[1]) if row else None

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        yield from self._db.execute("SELECT size, note FROM checkpoints ORDER BY size")

    def latest_checkpoint(self) -> tuple[int, str] | None:
        """The last (size, note)."""
        row = self._one("SELECT size, note FROM checkpoints ORDER BY size DESC LIMIT 1", ())
        return (row[0], row[1]) if row else None

    def records(self, table: Table | None = None) -> Iterator[tuple[Key, bytes]]:
        query = "SELECT tbl, key, value FROM state"
        rows = self._db.execute(query) if table is None else self._db.execute(f"{query} WHERE tbl = ?", (table,))
        for tbl, key, value in rows:
            yield (Table(tbl), key), value

    def records_after(self, table: Table, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        yield from self._db.execute(
            "SELECT key, value FROM state WHERE tbl = ? AND key > ? ORDER BY key", (table, after)
        )

    def rows(self) -> Iterator[tuple[int, bytes, bytes, bytes | None, bytes | None, int | None]]:
        """The state table as it is, index columns included, for the auditor."""
        yield from self._db.execute("SELECT tbl, key, value, owner, purpose, due_s FROM state")

    def consumed_rows(self) -> Iterator[tuple[bytes, bytes, int]]:
        """All (thing, message id, entry index), for the auditor."""
        yield from self._db.execute("SELECT thing, message, idx FROM consumed")

    def owned(self, table: Table, owners: Iterable[bytes], after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        for owner in owners:
            # the plus keeps the planner from the primary key, where it would read the whole table
            query = "SELECT key, value FROM state WHERE owner = ? AND +tbl = ? AND +key > ? ORDER BY key"
            yield from self._db.execute(query, (owner, table, after))
            after = b""

    def marked(self, purpose: bytes) -> list[tuple[bytes, Token]]:
        query = "SELECT key, value FROM state WHERE purpose = ? AND +tbl = ? ORDER BY rowid"
        return [(key, Token.decode(value)) for key, value in self._db.execute(query, (purpose, Table.TOKEN))]

    def waiting(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        yield from self._db.execute(WAITING_QUERY, (after,))

    def marked_after(self, purpose: bytes, after: int, limit: int) -> list[MarkedRow]:
        query = "SELECT rowid, tbl, key, value FROM state WHERE purpose = ? AND rowid > ? ORDER BY rowid LIMIT ?"
        return [MarkedRow(*row) for row in self._db.execute(query, (purpose, after, limit))]

    def due(self, until_s: int, limit: int, after: tuple[int, int] = (0, 0)) -> list[DueRow]:
        query = """SELECT due_s, rowid, tbl, key FROM state WHERE due_s <= ? AND (due_s, rowid) > (?, ?)
            ORDER BY due_s, rowid LIMIT ?"""
        return [DueRow(*row) for row in self._db.execute(query, (until_s, *after, limit))]

    def stored_ledger_time_s(self) -> int:
        """The time of the last committed entry, also where another connection wrote it."""
        stored = self._meta("ledger_time_s")
        if stored is None:
            return 0
        if type(stored) is not str or not stored.isdecimal() or str(int(stored)) != stored:
            raise LedgerCorrupt("the stored ledger time is not a number", where="meta ledger_time_s")
        return int(stored)

    def check_file(self) -> None:
        """Check what no row shows: the file's own structure, its indexes and its schema.

        Raises:
            LedgerCorrupt: SQLite finds fault with it, or something is there that the migrations do not make.
        """
        report = self._db.execute("PRAGMA integrity_check(1)").fetchone()
        if report != ("ok",):
            raise LedgerCorrupt("the file's structure is damaged", where="file", reason=str(report))
        names = {name for (name,) in self._db.execute("SELECT name FROM meta")}
        if not names <= META_NAMES | {LATE_HEAD}:
            wrong = META_NAMES - names or names - META_NAMES - {LATE_HEAD}
            raise LedgerCorrupt("the meta rows are not those that belong there", where=f"meta {min(map(str, wrong))}")
        with closing(sqlite3.connect(":memory:", isolation_level=None)) as fresh:
            migrations.apply(sqlite_utils.Database(fresh))
            query = "SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name"
            if self._db.execute(query).fetchall() != fresh.execute(query).fetchall():
                raise LedgerCorrupt("the schema is not the one that the migrations make", where="schema")

    def _one(self, query: str, arguments: tuple[Any, ...]) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self._db.execute(query, arguments).fetchone()
        return row

    def _meta(self, name: str) -> Any:
        row = self._one("SELECT value FROM meta WHERE name = ?", (name,))
        return row[0] if row else None


def _sorted_changes(
    changes: dict[Key, Change],
) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    """Rows to delete, insert and update, in key order so that neighbouring pages are written together."""
    deleted, inserted, updated = [], [], []
    for key in sorted(changes):
        change = changes[key]
        if change.after is None:
            deleted.append(key)
            continue
        row = (*key, change.after, *index_columns(key, change.after))
        if change.before is None:
            inserted.append(row)
        else:
            updated.append(row)
    return deleted, inserted, updated
