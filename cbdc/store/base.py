"""What a store is asked to do, in terms that any transactional database can serve."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from cbdc.formats import certificates
from cbdc.state.records import Enrolment, Table, Token, Waiting, fields_of, live_leaf
from cbdc.state.view import Change, Key, View


@dataclass(frozen=True, slots=True)
class NewEntry:
    """One entry of a batch: its bytes and its leaf hash."""

    index: int
    data: bytes
    leaf: bytes


@dataclass(frozen=True, slots=True)
class LateRow:
    """A late payment that is kept: its number, its id, how many entries the log had and the ledger time (seconds) when
    it was shown, and its signed bytes."""

    seq: int
    id: bytes
    size: int
    time_s: int
    payment: bytes


@dataclass(frozen=True, slots=True)
class LateBatch:
    """Late payments to keep, what they are found by as (thing, number), and the signed head after them."""

    rows: Sequence[LateRow]
    things: Sequence[tuple[bytes, int]]
    head: bytes


@dataclass(frozen=True, slots=True)
class Batch:
    """A group commit: everything in it becomes durable in one transaction or not at all."""

    entries: Sequence[NewEntry]
    changes: dict[Key, Change]
    consumed: Sequence[tuple[bytes, bytes, int]]
    size: int
    checkpoint: str
    lattice_sum: bytes
    ledger_time_s: int
    late: LateBatch | None = None


class IndexColumns(NamedTuple):
    """What a record is looked up by besides its key: owner (a key, or of a certificate the account), purpose, time at
    which it falls due."""

    owner: bytes | None = None
    purpose: bytes | None = None
    due_s: int | None = None


_NOT_INDEXED: Final = IndexColumns()


def index_columns(key: Key, value: bytes) -> IndexColumns:
    """The index columns that follow from a record."""
    table = key[0]
    if table is Table.TOKEN:
        owner, _, purpose, _ = fields_of(value)
        return IndexColumns(owner, purpose)
    if table is Table.CERTIFICATE:
        return IndexColumns(owner=certificates.unverified(Enrolment.decode(value).raw, b"")[0].account.encode())
    if table is Table.WAITING:
        waiting = Waiting.decode(value)
        return _NOT_INDEXED if waiting.lapsed else IndexColumns(owner=waiting.signer, due_s=waiting.until_s)
    if table is Table.OFFLINE:
        leaf = live_leaf(value)
        return IndexColumns(leaf.owner, leaf.purpose, leaf.final_at_s) if leaf else _NOT_INDEXED
    return _NOT_INDEXED


class DueRow(NamedTuple):
    """What falls due at a time that is known: a leaf's outpoint, or the id of a payment that waits."""

    due_s: int
    row: int
    table: int
    name: bytes


class MarkedRow(NamedTuple):
    """A record that bears a purpose."""

    row: int
    table: int
    name: bytes
    value: bytes


class Store(View, Protocol):
    """A ledger's storage. The `View` part is read by the one writer; the rest by anybody."""

    def commit(self, batch: Batch) -> None:
        """Make a batch durable. Raises InvariantViolation if it does not fit what is stored."""

    def keep_late(self, late: LateBatch) -> None:
        """Make late payments durable where no entry is. Raises InvariantViolation if they do not fit what is stored."""

    def size(self) -> int:
        """Number of entries."""

    def entry(self, index: int) -> bytes | None:
        """An entry's bytes."""

    def entries(self) -> Iterator[tuple[int, bytes, bytes]]:
        """All (index, entry bytes, leaf hash) in order."""

    def lattice_sum(self) -> bytes | None:
        """The sum behind the state root as of the last commit."""

    def checkpoint_covering(self, index: int) -> tuple[int, str] | None:
        """The first checkpoint (size, note) that covers an entry: the one its receipt shows."""

    def checkpoints(self) -> Iterator[tuple[int, str]]:
        """All (size, note) in order."""

    def records(self, table: Table | None = None) -> Iterator[tuple[Key, bytes]]:
        """All records, or those of one table."""

    def records_after(self, table: Table, after: bytes) -> Iterator[tuple[bytes, bytes]]:
        """(name, value) of a table's records behind this name, in the order of their names."""

    def owned(self, table: Table, owners: Iterable[bytes], after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(outpoint, value) of the unspent tokens or live offline leaves that belong to these keys, owner by owner in
        the order of their names; the first owner's only behind ``after``."""

    def marked(self, purpose: bytes) -> list[tuple[bytes, Token]]:
        """Online tokens that bear a purpose, with their outpoints."""

    def marked_after(self, purpose: bytes, after: int, limit: int) -> list[MarkedRow]:
        """So many of the online tokens and live leaves that bear a purpose, behind this row."""

    def waiting(self, after: bytes = b"") -> Iterator[tuple[bytes, bytes]]:
        """(id, value) of the payments that wait, not of those that have lapsed, behind this id in order."""

    def due(self, until_s: int, limit: int, after: tuple[int, int] = (0, 0)) -> list[DueRow]:
        """Live offline leaves that are final and payments that have waited long enough by then, earliest first; those
        behind this due time and row."""

    def close(self) -> None:
        """Let go of the file."""
