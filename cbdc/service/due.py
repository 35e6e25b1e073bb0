"""What a sweep may move: everything that has fallen due by rules that were written down beforehand.

It is looked through in pages, each a bounded number of records, so that no amount of money or of payments that wait
keeps others from asking. Three stages, each with a place of its own, so that none holds up another.
"""

from __future__ import annotations

from collections.abc import Iterator
from enum import IntEnum
from itertools import chain
from typing import Final, NamedTuple

from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.tokens import outpoint
from cbdc.limits import MAX_DUE_ROWS
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import UntilEvidence
from cbdc.state.records import Table, Token, Waiting
from cbdc.store.base import MarkedRow
from cbdc.store.sqlite import SqliteStore
from cbdc.transition import memory, waiting
from cbdc.transition.draft import Draft, parsed_definition


class Stage(IntEnum):
    """Where to look: deadlines that are indexed, payments that wait, tokens of purposes."""

    DEADLINES = 0
    WAITING = 1
    MARKED = 2


class DuePage(NamedTuple):
    """(due time in seconds, outpoint), and the place behind which to look on: empty at the end."""

    found: list[tuple[int, bytes]]
    after: bytes


def due_page(store: SqliteStore, stage: Stage, until_s: int, after: bytes) -> DuePage:
    """What is due by then, behind a place of this stage; what evidence brought about is due at once."""
    return _STAGES[stage](store, until_s, after)


_NUMBER_BYTES: Final = 8


def _number(value: int) -> bytes:
    return value.to_bytes(_NUMBER_BYTES, "big")


def _deadlines(store: SqliteStore, until_s: int, after: bytes) -> DuePage:
    """Final leaves, and payments whose time has run out: each of these by one of its escrow tokens."""
    since = (int.from_bytes(after[:_NUMBER_BYTES], "big"), int.from_bytes(after[_NUMBER_BYTES:], "big"))
    rows = store.due(until_s, MAX_DUE_ROWS, since)
    names = [(row.due_s, _escrow(store, row.name) if row.table == Table.WAITING else row.name) for row in rows]
    is_end = len(rows) < MAX_DUE_ROWS
    after = b"" if is_end else _number(rows[-1].due_s) + _number(rows[-1].row)
    return DuePage([(due_s, name) for due_s, name in names if name is not None], after)


def _escrow(store: SqliteStore, payment_id: bytes) -> bytes | None:
    """A payment's escrow token; None if it has ended since its row was read."""
    value = store.get((Table.WAITING, payment_id))
    held = None if value is None else Waiting.decode(value)
    return outpoint(payment_id, held.outputs[0][0]) if held and not held.lapsed else None


def _waiting(store: SqliteStore, _until_s: int, after: bytes) -> DuePage:
    """Payments that lack nothing any more, each by one of its escrow tokens."""
    draft, now_s = Draft(store), store.stored_ledger_time_s()
    found: list[tuple[int, bytes]] = []
    looked_at = 0
    for payment_id, value in store.waiting(after):
        if looked_at >= MAX_DUE_ROWS:
            return DuePage(found, after)
        held = Waiting.decode(value)
        if now_s < held.until_s and waiting.is_complete(draft, payment_id, held, now_s):
            found.append((now_s, outpoint(payment_id, held.outputs[0][0])))
        looked_at += len(held.outputs)
        after = payment_id
    return DuePage(found, b"")


def _marked(store: SqliteStore, until_s: int, after: bytes) -> DuePage:
    """Tokens whose purpose has expired or whose mark evidence has lifted. The place is a purpose and a row."""
    draft, now_s = Draft(store), store.stored_ledger_time_s()
    found: list[tuple[int, bytes]] = []
    left, row = MAX_DUE_ROWS, int.from_bytes(after[HASH_BYTES:], "big")
    for purpose, value in _purposes_from(store, after[:HASH_BYTES]):
        if left <= 0:
            return DuePage(found, purpose + _number(0))
        definition = parsed_definition(value)
        if definition.expires_s <= until_s or isinstance(definition.mark, UntilEvidence):
            rows = store.marked_after(purpose, row if purpose == after[:HASH_BYTES] else 0, left)
            found.extend(_due_among(draft, definition, rows, now_s, until_s))
            if len(rows) == left:
                return DuePage(found, purpose + _number(rows[-1].row))
            left -= len(rows)
        left -= 1
    return DuePage(found, b"")


def _purposes_from(store: SqliteStore, purpose: bytes) -> Iterator[tuple[bytes, bytes]]:
    value = store.get((Table.PURPOSE, purpose))
    return chain([] if value is None else [(purpose, value)], store.records_after(Table.PURPOSE, purpose))


def _due_among(
    draft: Draft, definition: Definition, rows: list[MarkedRow], now_s: int, until_s: int
) -> Iterator[tuple[int, bytes]]:
    for _, table, name, value in rows:
        if table != Table.TOKEN:
            continue
        token = Token.decode(value)
        if waiting.is_escrow(draft, token):
            continue
        if memory.is_freed(draft, definition, name, token):
            yield now_s, name
        elif definition.expires_s <= until_s:
            yield definition.expires_s, name


_STAGES: Final = {Stage.DEADLINES: _deadlines, Stage.WAITING: _waiting, Stage.MARKED: _marked}
