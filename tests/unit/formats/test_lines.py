"""The lines of an invoice."""

from __future__ import annotations

import pytest

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.formats.lines import Line, lines_from_cbor, lines_to_cbor
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_INVOICE_LINES, MAX_NAME_CHARS

LONGEST = Line("я" * MAX_NAME_CHARS, MAX_AMOUNT_TIYN)


@pytest.mark.parametrize("lines", [(), (Line("bread", 0),), (Line("tea", 5), Line("tea", 5)), (LONGEST,) * 64])
def test_lines_are_read_as_they_were_written(lines: tuple[Line, ...]) -> None:
    assert lines_from_cbor(lines_to_cbor(lines)) == lines


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (Malformed, None),
        (Malformed, {}),
        (Malformed, "bread"),
        (Malformed, ["bread", 5]),
        (Malformed, [["bread"]]),
        (Malformed, [["bread", 5, 5]]),
        (Malformed, [["", 5]]),
        (Malformed, [["br\u202eead", 5]]),
        (Malformed, [[b"bread", 5]]),
        (Malformed, [["bread", -1]]),
        (Malformed, [["bread", 5.0]]),
        (Malformed, [["bread", True]]),
        (Malformed, [["bread", None]]),
        (TooLarge, [["x" * (MAX_NAME_CHARS + 1), 5]]),
        (TooLarge, [["bread", MAX_AMOUNT_TIYN + 1]]),
        (TooLarge, [["bread", 5]] * (MAX_INVOICE_LINES + 1)),
    ],
)
def test_malformed_lines(error: type[FormError], value: object) -> None:
    with pytest.raises(FormError) as caught:
        lines_from_cbor(value)
    assert type(caught.value) is error
