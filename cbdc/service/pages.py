"""Answers that may be long, a page at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Generic, TypeVar

from cbdc.limits import MAX_LEDGER_PAGE_BYTES

T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Page(Generic[T]):
    """Some of what was asked for, by name and in order, and whether there is more behind it."""

    found: dict[bytes, T]
    has_more: bool


def page_of(rows: Iterable[tuple[bytes, bytes]], read: Callable[[bytes], T]) -> Page[T]:
    """As many (name, value) as fit one answer, one at least."""
    found: dict[bytes, T] = {}
    size_bytes = 0
    for name, value in rows:
        size_bytes += len(name) + len(value)
        if found and size_bytes > MAX_LEDGER_PAGE_BYTES:
            return Page(found, has_more=True)
        found[name] = read(value)
    return Page(found, has_more=False)
