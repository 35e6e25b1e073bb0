"""What records are looked up by besides their keys."""

from __future__ import annotations

import pytest

from cbdc.formats import certificates
from cbdc.formats.ed25519 import SigningKey
from cbdc.state.records import (
    Allowance,
    Enrolment,
    Facts,
    OfflineToken,
    Paid,
    Record,
    Spent,
    Supply,
    Table,
    Token,
    Waiting,
)
from cbdc.store.base import IndexColumns, index_columns
from tests.support import seed

KEY, PURPOSE = seed("key"), seed("purpose")
CWT = certificates.issue(
    SigningKey(seed("altyn")), seed("network"), bank="altyn", subject="aida", key=KEY, issued_s=1, expires_s=2
)
NOTHING = IndexColumns(None, None, None)


def waiting(*, lapsed: bool) -> Waiting:
    return Waiting("altyn/aida", KEY, 5, 9, [], [], [], lapsed)


@pytest.mark.parametrize(
    ("table", "record", "columns"),
    [
        (Table.TOKEN, Token(KEY, 5, None), IndexColumns(KEY)),
        (Table.TOKEN, Token(KEY, 5, PURPOSE, 3), IndexColumns(KEY, PURPOSE)),
        (Table.OFFLINE, OfflineToken(KEY, 5, PURPOSE, 1, 2, 0, [], False, left=3), IndexColumns(KEY, PURPOSE, 2)),
        (Table.OFFLINE, OfflineToken(KEY, 5, PURPOSE, 1, 2, 0, [KEY], False), NOTHING),
        (Table.CERTIFICATE, Enrolment(CWT, None), IndexColumns(b"altyn/aida")),
        (Table.CERTIFICATE, Enrolment(CWT, KEY), IndexColumns(b"altyn/aida")),
        (Table.WAITING, waiting(lapsed=False), IndexColumns(KEY, due_s=9)),
        (Table.WAITING, waiting(lapsed=True), NOTHING),
        (Table.SPENT, Spent([[5, 7]]), NOTHING),
        (Table.FACT, Facts(["sown"]), NOTHING),
        (Table.PAID, Paid(KEY, 5, 0, None, 0), NOTHING),
        (Table.ALLOWANCE, Allowance(5), NOTHING),
        (Table.SUPPLY, Supply(0, 0, 0, 0, 0), NOTHING),
    ],
)
def test_the_columns_follow_from_the_record(table: Table, record: Record, columns: IndexColumns) -> None:
    assert index_columns((table, b"name"), record.encode()) == columns
