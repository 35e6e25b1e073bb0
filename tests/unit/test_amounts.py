"""Amounts of money: reading and writing tenge."""

from __future__ import annotations

import pytest

from cbdc.amounts import format_tenge, parse_tenge, show_tenge
from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.limits import MAX_AMOUNT_TIYN


@pytest.mark.parametrize(
    ("text", "amount_tiyn"),
    [
        ("0", 0),
        ("1", 100),
        ("1500.50", 150_050),
        ("1 500", 150_000),
        ("1\u00a0500\u2009000\u202f000.01", 150_000_000_001),
        ("0.01", 1),
        ("007", 700),
        ("1000000000000000", MAX_AMOUNT_TIYN),
    ],
)
def test_parse(text: str, amount_tiyn: int) -> None:
    assert parse_tenge(text) == amount_tiyn


@pytest.mark.parametrize(
    ("text", "error"),
    [
        ("", Malformed),
        (" ", Malformed),
        ("-1", Malformed),
        ("+1", Malformed),
        ("1.5", Malformed),
        ("1.500", Malformed),
        (".50", Malformed),
        ("1,50", Malformed),
        ("1e3", Malformed),
        ("0x10", Malformed),
        ("1_000", Malformed),
        ("١٢", Malformed),
        ("1\n", Malformed),
        ("1" * 17, Malformed),
        (" " * 64 + "1", Malformed),
        ("1000000000000000.01", TooLarge),
    ],
)
def test_parse_refuses(text: str, error: type[FormError]) -> None:
    with pytest.raises(FormError) as caught:
        parse_tenge(text)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("amount_tiyn", "plain", "shown"),
    [
        (0, "0.00", "0\u00a0₸"),
        (1, "0.01", "0.01\u00a0₸"),
        (150_000, "1500.00", "1\u2009500\u00a0₸"),
        (123_456_789, "1234567.89", "1\u2009234\u2009567.89\u00a0₸"),
        (-1, "-0.01", "-0.01\u00a0₸"),
        (-150_050, "-1500.50", "-1\u2009500.50\u00a0₸"),
    ],
)
def test_write(amount_tiyn: int, plain: str, shown: str) -> None:
    assert (format_tenge(amount_tiyn), show_tenge(amount_tiyn)) == (plain, shown)
    if amount_tiyn >= 0:
        assert parse_tenge(plain) == amount_tiyn
