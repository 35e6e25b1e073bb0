"""Ways to tamper with a ledger file through SQL, and where the auditor must say that it was done."""

from __future__ import annotations

import random
import shutil
import sqlite3
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

Row = tuple[Any, ...]

COLUMNS: Final = {
    "entries": ("idx", "entry", "leaf"),
    "checkpoints": ("size", "note"),
    "state": ("tbl", "key", "value", "owner", "purpose", "due_s"),
    "consumed": ("thing", "message", "idx"),
    "meta": ("name", "value"),
}
KEYS: Final = {"entries": 1, "checkpoints": 1, "state": 2, "consumed": 2, "meta": 1}
"""How many of the first columns identify a row."""


@dataclass(frozen=True)
class Tampering:
    """One change to a file: what it is, the SQL that does it, and the places that the auditor may name for it."""

    name: str
    statements: tuple[tuple[str, Row], ...]
    where: frozenset[str]

    def on(self, path: Path, copy: Path) -> Path:
        """A copy of the file with this change, which really changes something."""
        shutil.copy(path, copy)
        db = sqlite3.connect(copy, isolation_level=None)
        db.execute("PRAGMA synchronous=OFF")
        before = db.total_changes
        db.execute("BEGIN")
        for sql, arguments in self.statements:
            db.execute(sql, arguments)
        db.execute("COMMIT")
        assert db.total_changes > before, f"{self.name} changed nothing"
        db.close()
        return copy


def rows_of(path: Path) -> dict[str, list[Row]]:
    """Every row of the ledger's tables."""
    db = sqlite3.connect(path)
    found = {
        table: db.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall() for table, columns in COLUMNS.items()
    }
    db.close()
    return found


def place(table: str, row: Row) -> str:
    """What the auditor calls the place of a row."""
    match table:
        case "entries":
            return f"entry {row[0]}"
        case "checkpoints":
            return f"checkpoint {row[0]}"
        case "state":
            return f"state row {row[0]}/{row[1].hex()}"
        case "consumed":
            return f"consumed row {row[0].hex()}"
        case _:
            return f"meta {row[0]}"


def one_byte(rows: dict[str, list[Row]], table: str, column: str, dice: random.Random) -> Tampering:
    """Change one byte (of a number: the number) in one column of a random row of a table."""
    at = COLUMNS[table].index(column)
    row = dice.choice([row for row in rows[table] if row[at] is not None])
    others = {found[: KEYS[table]] for found in rows[table]}
    while True:
        changed = (*row[:at], _changed(row[at], dice), *row[at + 1 :])
        if at >= KEYS[table] or changed[: KEYS[table]] not in others:
            break
    where = {place(table, row), place(table, changed)}
    if table == "entries" and column == "idx":
        where = {place(table, row) if changed[0] > row[0] else "entry 0"}
    if table == "meta":
        where = {place(table, row)}
    return Tampering(
        f"{table}.{column} of {place(table, row)}", (_set(table, row, column, changed[at]),), frozenset(where)
    )


def null_or_not(rows: dict[str, list[Row]], column: str, dice: random.Random) -> Tampering:
    """Put something into an index column of a state row that has nothing there, or take it out."""
    at = COLUMNS["state"].index(column)
    row = dice.choice(rows["state"])
    value = None if row[at] is not None else 1 if column == "due_s" else bytes(32)
    return Tampering(
        f"state.{column} of {place('state', row)} {'set' if row[at] is None else 'emptied'}",
        (_set("state", row, column, value),),
        frozenset({place("state", row)}),
    )


def another_type(rows: dict[str, list[Row]], table: str, column: str, dice: random.Random) -> Tampering:
    """The same bytes as a text where a blob is stored, or as a blob where a text is."""
    at = COLUMNS[table].index(column)
    row = dice.choice([row for row in rows[table] if isinstance(row[at], bytes | str)])
    value = row[at].encode() if isinstance(row[at], str) else row[at].hex()
    return Tampering(
        f"{table}.{column} of {place(table, row)} as {type(value).__name__}",
        (_set(table, row, column, value),),
        frozenset({place(table, row), f"consumed row {value!r}"}),
    )


def deleted(table: str, row: Row) -> Tampering:
    where, arguments = _where(table, row)
    return Tampering(
        f"deleted: {place(table, row)}", ((f"DELETE FROM {table} WHERE {where}", arguments),), _gap(table, row)
    )


def _gap(table: str, row: Row) -> frozenset[str]:
    """A missing entry shows as a gap; only the last one leaves none, but a checkpoint without entries."""
    return frozenset({place(table, row)} | ({f"checkpoint {row[0] + 1}"} if table == "entries" else set()))


def exchanged(table: str, column: str, first: Row, second: Row) -> Tampering:
    """Two rows with each other's value in one column."""
    at = COLUMNS[table].index(column)
    return Tampering(
        f"exchanged: {table}.{column} of {place(table, first)} and {place(table, second)}",
        (_set(table, first, column, second[at]), _set(table, second, column, first[at])),
        frozenset({place(table, first), place(table, second)}),
    )


def exchanged_entries(first: Row, second: Row) -> Tampering:
    """Two whole entries, leaves included, in each other's place."""
    statements = [
        _set("entries", row, column, other[at])
        for row, other in ((first, second), (second, first))
        for at, column in ((1, "entry"), (2, "leaf"))
    ]
    where = {f"entry {index}" for index in (first[0], second[0])} | {
        f"checkpoint {index + 1}" for index in range(min(first[0], second[0]), max(first[0], second[0]) + 1)
    }
    return Tampering(f"exchanged: entries {first[0]} and {second[0]}", tuple(statements), frozenset(where))


def doubled(table: str, row: Row, key: Row, where: str) -> Tampering:
    """A second copy of a row under another key."""
    copy = (*key, *row[len(key) :])
    marks = ", ".join("?" * len(copy))
    return Tampering(
        f"doubled: {place(table, row)}", ((f"INSERT INTO {table} VALUES ({marks})", copy),), frozenset({where})
    )


def _set(table: str, row: Row, column: str, value: object) -> tuple[str, Row]:
    where, arguments = _where(table, row)
    return f"UPDATE {table} SET {column} = ? WHERE {where}", (value, *arguments)


def _where(table: str, row: Row) -> tuple[str, Row]:
    names = COLUMNS[table][: KEYS[table]]
    return " AND ".join(f"{name} = ?" for name in names), row[: KEYS[table]]


def _changed(value: object, dice: random.Random) -> object:
    """The value with one byte changed, as a blob, a text or a number."""
    match value:
        case bytes():
            at = dice.randrange(len(value)) if value else 0
            return value[:at] + bytes([(value[at] if value else 0) ^ dice.randrange(1, 256)]) + value[at + 1 :]
        case str():
            at = dice.randrange(len(value))
            other = dice.choice([chr(code) for code in range(33, 127) if chr(code) != value[at]])
            return value[:at] + other + value[at + 1 :]
        case int():
            return value + dice.choice((-1, 1)) * dice.randrange(1, 200)
    raise TypeError(type(value))


def flips(path: Path, count: int, dice: random.Random) -> Iterator[tuple[int, Callable[[Path], None]]]:
    """(offset, writer): copies of a file with one byte of the file itself changed."""
    content = path.read_bytes()
    for offset in sorted(dice.sample(range(len(content)), count)):
        changed = content[:offset] + bytes([content[offset] ^ dice.randrange(1, 256)]) + content[offset + 1 :]
        yield offset, lambda copy, changed=changed: copy.write_bytes(changed)
