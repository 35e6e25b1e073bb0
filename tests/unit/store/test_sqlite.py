"""The embedded store: a file of an earlier schema is brought up to date when its writer opens it."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
import sqlite_utils

from cbdc.errors import LedgerCorrupt
from cbdc.state.records import Table
from cbdc.store.sqlite import SqliteStore, migrations

ROWS = [
    (int(Table.TOKEN), b"b", b"value of b", b"owner", b"purpose", None),
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
        assert store.due(7, 10) == [(7, b"c")]
        assert store.marked(b"purpose", 10) == [b"b"]
        assert list(store.owned(Table.TOKEN, [b"owner"])) == [(b"a", b"value of a"), (b"b", b"value of b")]


def test_an_old_file_that_no_writer_opened_is_told_from_a_good_one(old: Path) -> None:
    with closing(SqliteStore.read(old)) as store, pytest.raises(LedgerCorrupt, match="schema"):
        store.check_file()
