"""Long answers, a page at a time."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from cbdc.limits import MAX_LEDGER_PAGE_BYTES
from cbdc.service import pages
from cbdc.service.pages import Page, page_of

ROWS = [(b"a", b"11"), (b"b", b"222"), (b"c", b"3")]


@pytest.mark.parametrize(
    ("limit_bytes", "names", "has_more"),
    [(0, "a", True), (3, "a", True), (6, "a", True), (7, "ab", True), (8, "ab", True), (9, "abc", False)],
)
def test_a_page_has_what_fits_and_one_at_least(
    monkeypatch: pytest.MonkeyPatch, limit_bytes: int, names: str, has_more: bool
) -> None:
    monkeypatch.setattr(pages, "MAX_LEDGER_PAGE_BYTES", limit_bytes)
    page = page_of(ROWS, len)
    assert list(page.found) == [name.encode() for name in names]
    assert page.has_more is has_more
    assert list(page.found.values()) == [2, 3, 1][: len(names)]


def test_nothing_is_a_page_too() -> None:
    assert page_of([], len) == Page({}, has_more=False)


def test_what_stands_on_a_later_page_is_not_read() -> None:
    """A store has millions of rows, and values that are not shown are not decoded."""
    taken = []

    def rows() -> Iterator[tuple[bytes, bytes]]:
        for number in range(100):
            taken.append(number)
            yield bytes([number]), bytes(MAX_LEDGER_PAGE_BYTES // 2)

    read = []
    page = page_of(rows(), lambda value: read.append(len(value)))
    assert (len(page.found), page.has_more) == (1, True)
    assert (len(read), len(taken)) == (1, 2)
