"""Deterministic CBOR: one spelling for each value, and typed errors for everything else."""

from __future__ import annotations

from collections.abc import Callable

import cbor2
import pytest

from cbdc.errors import FormError, Malformed, NotCanonical, TooLarge
from cbdc.formats import cbor
from cbdc.limits import MAX_CBOR_DEPTH, MAX_TIME_S


@pytest.mark.parametrize(
    ("value", "encoded"),
    [
        (0, "00"),
        (23, "17"),
        (24, "1818"),
        (255, "18ff"),
        (256, "190100"),
        (65536, "1a00010000"),
        (2**32, "1b0000000100000000"),
        (-1, "20"),
        (-25, "3818"),
        (-65537, "3a00010000"),
        (b"", "40"),
        (b"\x01" * 24, "5818" + "01" * 24),
        ("ә", "62d399"),
        ([], "80"),
        ([1, [2]], "8201" + "8102"),
        ({}, "a0"),
        ({1: 2, -1: 3, -65537: 4}, "a3010220033a0001000004"),
        ({"a": 1, "bb": 2}, "a26161016262" + "6202"),
        (True, "f5"),
        (None, "f6"),
    ],
)
def test_round_trip(value: object, encoded: str) -> None:
    assert cbor.encode(value).hex() == encoded
    decoded = cbor.decode(bytes.fromhex(encoded))
    assert (decoded, type(decoded)) == (value, type(value))


@pytest.mark.parametrize(
    "other",
    [
        "1800",
        "1817",
        "190017",
        "1900ff",
        "1a0000ffff",
        "1b00000000ffffffff",
        "3817",
        "5800",
        "590001aa",
        "7800",
        "9800",
        "b800",
        "a202000100",
        "a2616200616100",
        "a2626161006162" + "00",
        "0000",
        "8080",
        "fb3ff8000000000000",
        "fa3fc00000",
    ],
    ids=lambda text: text[:18],
)
def test_another_spelling_is_refused(other: str) -> None:
    with pytest.raises(NotCanonical):
        cbor.decode(bytes.fromhex(other))


@pytest.mark.parametrize(
    "data",
    [
        "",
        "18",
        "41",
        "81",
        "a100",
        "61ff",
        "63eda080",
        "1c",
        "fc",
        "f800",
        "ff",
        "5f4100ff",
        "7f6161ff",
        "9fff",
        "bfff",
        "a200000000",
        "a2616100616100",
        "5bffffffffffffffff",
        "7bffffffffffffffff",
        "9bffffffffffffffff",
        "bbffffffffffffffff",
    ],
    ids=lambda text: text[:18] or "nothing",
)
def test_malformed(data: str) -> None:
    with pytest.raises(Malformed):
        cbor.decode(bytes.fromhex(data))


TAGS = [*range(64), 100, 256, 258, 260, 261, 1004, 43000, 55799, 2**16, 2**32, 2**64 - 1]
CONTENTS = {"integer": 0, "bytes": b"\x01", "text": "2026-01-01", "array": [4, 5], "map": {}, "nothing": None}


@pytest.mark.parametrize("content", CONTENTS)
def test_every_tag_is_refused(content: str) -> None:
    for tag in TAGS:
        for data in (cbor2.CBORTag(tag, CONTENTS[content]), [cbor2.CBORTag(tag, CONTENTS[content])]):
            with pytest.raises(FormError):
                cbor.decode(cbor2.dumps(data))


def test_depth_is_bounded() -> None:
    innermost = b"\x00"
    assert cbor.decode(b"\x81" * MAX_CBOR_DEPTH + innermost) is not None
    for head in (b"\x81", b"\xa1\x00"):
        with pytest.raises(Malformed):
            cbor.decode(head * (MAX_CBOR_DEPTH + 1) + innermost)
        with pytest.raises(Malformed):
            cbor.decode(head * 100_000 + innermost)


def test_size_is_bounded() -> None:
    assert cbor.decode(b"\x43abc", max_bytes=4) == b"abc"
    with pytest.raises(TooLarge):
        cbor.decode(b"\x43abc", max_bytes=3)


# --- shapes ------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("shape", "good"),
    [
        (lambda v: cbor.array(v, "x", 2), [[1, 2]]),
        (lambda v: cbor.array_up_to(v, "x", 2), [[], [1], [1, 2]]),
        (lambda v: cbor.byte_string(v, "x", 2), [b"ab"]),
        (lambda v: cbor.bytes_up_to(v, "x", 2), [b"", b"ab"]),
        (lambda v: cbor.unsigned(v, "x", 2), [0, 2]),
        (lambda v: cbor.text_up_to(v, "x", 2), ["a", "ab", "ә"]),
        (lambda v: cbor.time_s(v, "x"), [0, MAX_TIME_S]),
        (lambda v: cbor.int_map(v, "x", frozenset({1, -2})), [{1: 5, -2: None}]),
    ],
    ids=["array", "array_up_to", "byte_string", "bytes_up_to", "unsigned", "text_up_to", "time_s", "int_map"],
)
class TestShapes:
    """Each shape takes its own kind and no other."""

    def test_good(self, shape: Callable[[object], object], good: list[object]) -> None:
        assert [shape(value) for value in good] == good

    def test_other_kinds(self, shape: Callable[[object], object], good: list[object]) -> None:
        others = [True, None, 1.0, 0.0, -1, (), {}, 1, b"ab", "ab", [1, 2]]
        for value in others:
            if type(value) is not type(good[0]) or value == -1:
                with pytest.raises(Malformed):
                    shape(value)


@pytest.mark.parametrize(
    ("error", "call"),
    [
        (Malformed, lambda: cbor.array([1], "x", 2)),
        (TooLarge, lambda: cbor.array_up_to([1, 2, 3], "x", 2)),
        (Malformed, lambda: cbor.byte_string(b"a", "x", 2)),
        (TooLarge, lambda: cbor.bytes_up_to(b"abc", "x", 2)),
        (TooLarge, lambda: cbor.unsigned(3, "x", 2)),
        (TooLarge, lambda: cbor.text_up_to("abc", "x", 2)),
        (Malformed, lambda: cbor.text_up_to("", "x", 2)),
        (Malformed, lambda: cbor.text_up_to("a\n", "x", 2)),
        (TooLarge, lambda: cbor.time_s(MAX_TIME_S + 1, "x")),
    ],
)
def test_shapes_have_bounds(error: type[FormError], call: Callable[[], object]) -> None:
    with pytest.raises(error) as caught:
        call()
    assert type(caught.value) is error


HIDDEN = [
    *(*range(0x20), *range(0x7F, 0xA0), 0xAD, 0x61C, *range(0x200B, 0x2010)),
    *(*range(0x2028, 0x202F), *range(0x2060, 0x206A), 0xFEFF),
]


@pytest.mark.parametrize("key", HIDDEN)
def test_a_text_hides_nothing(key: int) -> None:
    for text in (chr(key), f"a{chr(key)}", f"{chr(key)}a"):
        with pytest.raises(Malformed):
            cbor.text_up_to(text, "x", 2)


@pytest.mark.parametrize(
    "text", [" ", "~", "\u00a0", "\u00ae", "\u2010", "\u2027", "\u202f", "\u206a", "₸", "\U0001f600"]
)
def test_all_other_texts_are_shown(text: str) -> None:
    """Also those that one Unicode version calls printable and another not: a ledger's rules do not move with it."""
    assert cbor.text_up_to(text, "x", 1) == text


@pytest.mark.parametrize(
    "value",
    [{}, {1: 0}, {1: 0, 2: 0, 3: 0}, {1: 0, 3: 0}, {True: 0, 2: 0}, {1.0: 0, 2: 0}, {1: 0, 2.0: 0}, {"1": 0, 2: 0}],
    ids=str,
)
def test_a_map_has_exactly_its_integer_keys(value: dict[object, int]) -> None:
    with pytest.raises(Malformed):
        cbor.int_map(cbor.decode(cbor.encode(value)), "x", frozenset({1, 2}))
