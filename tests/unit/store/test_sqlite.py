"""The embedded store: a file of an earlier schema is brought up to date when its writer opens it."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils

from cbdc.errors import LedgerCorrupt
from cbdc.state.records import OfflineToken, Record, Supply, Table, Token, Waiting
from cbdc.state.view import Change, Key
from cbdc.store.base import Batch, NewEntry
from cbdc.store.sqlite import WAITING_QUERY, SqliteStore, migrations

MARKED = Token(b"owner", 5, b"purpose", 3)
ROWS = [
    (int(Table.TOKEN), b"b", MARKED.encode(), b"owner", b"purpose", None),
    (int(Table.TOKEN), b"a", b"value of a", b"owner", None, None),
    (int(Table.OFFLINE), b"c", b"value of c", b"owner", None, 7),
    (int(Table.SUPPLY), b"", b"totals", None, None, None),
]


@pytest.fixture
def old(tmp_path: Path) -> Path:
    """A file as it was before the state's rows stood in order of arrival."""
    path = tmp_path / "ledger.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        migrations.apply(sqlite_utils.Database(db), stop_before="state_in_order_of_arrival")
        db.executemany("INSERT INTO state VALUES (?, ?, ?, ?, ?, ?)", ROWS)
        db.execute("INSERT INTO meta VALUES ('lattice_sum', ?), ('ledger_time_s', '9')", (bytes(2048),))
    return path


def test_an_old_file_is_migrated_with_all_its_rows(old: Path) -> None:
    with closing(SqliteStore.open(old)) as store:
        store.check_file()
        assert sorted(store.rows()) == sorted(ROWS)
        assert due(store, 7, 10) == [(7, b"c")]
        assert store.marked(b"purpose") == [(b"b", MARKED)]
        assert list(store.owned(Table.TOKEN, [b"owner"])) == [(b"a", b"value of a"), (b"b", MARKED.encode())]


def test_an_old_file_that_no_writer_opened_is_told_from_a_good_one(old: Path) -> None:
    with closing(SqliteStore.read(old)) as store, pytest.raises(LedgerCorrupt, match="schema"):
        store.check_file()


def due(store: SqliteStore, until_s: int, limit: int, after: tuple[int, int] = (0, 0)) -> list[tuple[int, bytes]]:
    """(due time, name) of rows that are due."""
    return [(row.due_s, row.name) for row in store.due(until_s, limit, after)]


def commit(store: SqliteStore, records: dict[Key, Record]) -> None:
    """All these records in one batch."""
    size = store.size()
    changes = {key: Change(None, record.encode()) for key, record in records.items()}
    store.commit(Batch([NewEntry(size, b"entry", bytes(32))], changes, [], size + 1, "note", bytes(2048), 5))


@pytest.fixture
def store(tmp_path: Path) -> Iterator[SqliteStore]:
    with closing(SqliteStore.create(tmp_path / "ledger.db")) as made:
        yield made


def test_marked_are_the_online_tokens_of_a_purpose_in_order_of_arrival(store: SqliteStore) -> None:
    first = {(Table.TOKEN, name): Token(b"owner", 5, b"purpose", left) for name, left in ((b"d", None), (b"e", 2))}
    commit(store, {**first, (Table.TOKEN, b"f"): Token(b"owner", 5, None)})
    others = {
        (Table.TOKEN, b"a"): Token(b"another", 6, b"purpose"),
        (Table.TOKEN, b"b"): Token(b"owner", 7, b"another purpose"),
        (Table.OFFLINE, b"c"): OfflineToken(b"owner", 8, b"purpose", 1, 2, 0, [], False),
    }
    commit(store, others)
    found = [(b"d", Token(b"owner", 5, b"purpose", None)), (b"e", Token(b"owner", 5, b"purpose", 2))]
    found.append((b"a", Token(b"another", 6, b"purpose")))
    assert store.marked(b"purpose") == found
    assert store.marked(b"nothing") == []


def test_what_bears_a_purpose_is_read_row_by_row(store: SqliteStore) -> None:
    tokens = {(Table.TOKEN, name): Token(b"owner", 5, b"purpose") for name in (b"d", b"e")}
    commit(store, {**tokens, (Table.OFFLINE, b"c"): OfflineToken(b"owner", 8, b"purpose", 1, 2, 0, [], False)})
    rows = store.marked_after(b"purpose", 0, 10)
    assert {(row.table, row.name) for row in rows} == {(Table.TOKEN, b"d"), (Table.TOKEN, b"e"), (Table.OFFLINE, b"c")}
    assert store.marked_after(b"purpose", 0, 2) == rows[:2]
    assert store.marked_after(b"purpose", rows[1].row, 2) == rows[2:]
    assert store.marked_after(b"nothing", 0, 2) == []


def test_a_waiting_payment_falls_due_and_a_lapsed_one_does_not(store: SqliteStore) -> None:
    held = {
        name: Waiting("altyn/aida", b"key", 1, until_s, [], [], [], False) for name, until_s in (("p", 9), ("q", 7))
    }
    records: dict[Key, Record] = {(Table.WAITING, name.encode()): found for name, found in held.items()}
    records[Table.WAITING, b"r"] = Waiting("altyn/aida", b"key", 1, 5, [], [], [], True)
    records[Table.OFFLINE, b"c"] = OfflineToken(b"owner", 8, None, 1, 8, 0, [], False)
    commit(store, records)
    assert due(store, 9, 10) == [(7, b"q"), (8, b"c"), (9, b"p")]
    assert due(store, 8, 10) == [(7, b"q"), (8, b"c")]
    first = store.due(9, 1)
    assert [(row.table, row.name) for row in first] == [(Table.WAITING, b"q")]
    assert due(store, 9, 10, (first[0].due_s, first[0].row)) == [(8, b"c"), (9, b"p")]
    assert [name for name, _ in store.waiting()] == [b"p", b"q"]
    assert [name for name, _ in store.waiting(b"p")] == [b"q"]


def test_what_is_due_at_one_time_is_read_row_by_row(store: SqliteStore) -> None:
    leaf = OfflineToken(b"owner", 8, None, 1, 8, 0, [], False)
    commit(store, {(Table.OFFLINE, bytes([number])): leaf for number in range(5)})
    found, after = [], (0, 0)
    while rows := store.due(8, 2, after):
        found += [row.name for row in rows]
        after = (rows[-1].due_s, rows[-1].row)
    assert sorted(found) == [bytes([number]) for number in range(5)]


def test_payments_that_have_lapsed_are_not_looked_at(store: SqliteStore) -> None:
    plan = store._db.execute("EXPLAIN QUERY PLAN " + WAITING_QUERY, (b"",)).fetchall()
    assert any("state_waiting" in str(step) for step in plan)
    assert not any("TEMP B-TREE" in str(step) for step in plan)


def test_records_behind_a_name_stand_in_order(store: SqliteStore) -> None:
    names = [b"a", b"b", b"ba", b"c"]
    commit(store, {(Table.TOKEN, name): Token(name, 5, None) for name in reversed(names)})
    commit(store, {(Table.SUPPLY, b"b"): Supply(0, 0, 0, 0, 0)})
    for at in range(len(names)):
        assert [name for name, _ in store.records_after(Table.TOKEN, names[at])] == names[at + 1 :]
    assert [name for name, _ in store.records_after(Table.TOKEN, b"")] == names
