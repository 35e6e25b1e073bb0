"""Reading the state, and the differences that the transition makes to it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple, Protocol, TypeAlias

from cbdc.errors import TengeError
from cbdc.state.records import Table

Key: TypeAlias = tuple[Table, bytes]


@dataclass(frozen=True, slots=True)
class Consumed:
    """Who used something up: the message and the index of the entry that carried it."""

    message_id: bytes
    entry_index: int


class View(Protocol):
    """The state before an entry, as the transition reads it."""

    @property
    def ledger_time_s(self) -> int:
        """The time of the last entry, 0 before genesis."""

    def get(self, key: Key) -> bytes | None:
        """A record's value."""

    def offline_of(self, owner: bytes) -> Iterable[bytes]:
        """Outpoints of this owner's live offline leaves; others may be among them."""

    def consumers_of(self, thing: bytes) -> tuple[Consumed, ...]:
        """The messages that used this outpoint (or, without inputs, their own id) up, first one first."""


class Change(NamedTuple):
    """A record before and after an entry; None where there is none."""

    before: bytes | None
    after: bytes | None


@dataclass(frozen=True, slots=True)
class Delta:
    """What one entry does: record changes, and what each message in it consumed (outpoint or, without
    inputs, its own id; and the message's id).

    ``refused`` names the payments of a reconcile that were not accepted and why; ``known`` counts those that the
    ledger had already.
    """

    changes: dict[Key, Change]
    consumed: tuple[tuple[bytes, bytes], ...]
    refused: tuple[tuple[bytes, TengeError], ...] = ()
    known: int = 0


class Layer:
    """The changes of some entries, without what lies under them."""

    __slots__ = ("consumed", "offline", "records")

    def __init__(self) -> None:
        self.records: dict[Key, bytes | None] = {}
        self.consumed: dict[bytes, tuple[Consumed, ...]] = {}
        self.offline: dict[bytes, list[bytes]] = {}

    def add(self, delta: Delta, entry_index: int) -> None:
        """Put one more entry's delta on top."""
        for key, change in delta.changes.items():
            self.records[key] = change.after
            if key[0] is Table.OFFLINE and change.before is None and change.after is not None:
                self.offline.setdefault(owner_of(change.after), []).append(key[1])
        for thing, message_id in delta.consumed:
            self.consumed[thing] = (*self.consumed.get(thing, ()), Consumed(message_id, entry_index))


class Overlay:
    """Deltas that are not committed yet, laid over a base view; over `EMPTY` it is a whole state in memory.

    ``prefetched`` holds base records that were read ahead of time; more may be put in. ``below`` is a layer between
    the base and this one, whose changes may or may not have reached the base yet.
    """

    def __init__(
        self, base: View, prefetched: Mapping[Key, bytes | None] | None = None, below: Layer | None = None
    ) -> None:
        self._base = base
        self._prefetched = {} if prefetched is None else prefetched
        self._below = below or Layer()
        self.layer = Layer()
        self.ledger_time_s = base.ledger_time_s

    def get(self, key: Key) -> bytes | None:
        for records in (self.layer.records, self._below.records, self._prefetched):
            if key in records:
                return records[key]
        return self._base.get(key)

    def offline_of(self, owner: bytes) -> Iterable[bytes]:
        layers = (*self._below.offline.get(owner, ()), *self.layer.offline.get(owner, ()))
        return sorted({*self._base.offline_of(owner), *layers})

    def consumers_of(self, thing: bytes) -> tuple[Consumed, ...]:
        layers = (*self._below.consumed.get(thing, ()), *self.layer.consumed.get(thing, ()))
        return tuple(dict.fromkeys((*self._base.consumers_of(thing), *layers)))

    def add(self, delta: Delta, entry_index: int, time_s: int) -> None:
        """Lay one more entry's delta on top."""
        self.layer.add(delta, entry_index)
        self.ledger_time_s = time_s

    def records(self) -> dict[Key, bytes]:
        """Every record laid over the base that still exists."""
        return {key: value for key, value in self.layer.records.items() if value is not None}

    def consumed(self) -> dict[bytes, tuple[Consumed, ...]]:
        """Every consumption laid over the base."""
        return dict(self.layer.consumed)


_OWNER = slice(3, 35)
"""Where the owner stands in an encoded token record: after the heads of the array and of a 32-byte string."""


def owner_of(value: bytes) -> bytes:
    """The owner key in the value of a `Token` or `OfflineToken` record."""
    return value[_OWNER]


class _Empty:
    ledger_time_s = 0

    def get(self, key: Key) -> bytes | None:  # noqa: ARG002 - nothing is there
        return None

    def offline_of(self, owner: bytes) -> Iterable[bytes]:  # noqa: ARG002
        return ()

    def consumers_of(self, thing: bytes) -> tuple[Consumed, ...]:  # noqa: ARG002
        return ()


EMPTY: View = _Empty()
"""The state before genesis."""
