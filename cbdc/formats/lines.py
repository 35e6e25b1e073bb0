"""The lines of an invoice: what is bought, by category, and for how much."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.formats import cbor
from cbdc.formats.compact import Compact
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_INVOICE_LINES, MAX_NAME_CHARS


@dataclass(frozen=True, slots=True)
class Line(Compact):
    """One line: an item's category code and its price in tiyn."""

    category: str
    amount_tiyn: int


def lines_to_cbor(lines: tuple[Line, ...]) -> cbor.Value:
    """``[[category, tiyn], ...]``."""
    return [[line.category, line.amount_tiyn] for line in lines]


def lines_from_cbor(value: cbor.Value) -> tuple[Line, ...]:
    """Read lines, at most `MAX_INVOICE_LINES`.

    Raises:
        FormError: they are none.
    """
    return tuple([_line(item) for item in cbor.array_up_to(value, "lines", MAX_INVOICE_LINES)])


def _line(item: cbor.Value) -> Line:
    category, amount = cbor.array(item, "line", 2)
    return Line(
        cbor.text_up_to(category, "category", MAX_NAME_CHARS), cbor.unsigned(amount, "line amount", MAX_AMOUNT_TIYN)
    )
