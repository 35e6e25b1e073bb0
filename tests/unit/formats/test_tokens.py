"""Outputs, outpoints, tagged hashes, content types."""

from __future__ import annotations

import hashlib
import pickle

import pytest

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.formats.hashing import tagged
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_AMOUNT_TIYN

OWNER, PURPOSE = bytes(32), bytes(31) + b"1"


@pytest.mark.parametrize("output", [Output(OWNER, 1, None), Output(OWNER, MAX_AMOUNT_TIYN, PURPOSE)])
def test_round_trip(output: Output) -> None:
    assert Output.from_cbor(output.to_cbor()) == output
    assert pickle.loads(pickle.dumps(output)) == output


@pytest.mark.parametrize(
    ("error", "value"),
    [
        (Malformed, [OWNER, 0, None]),
        (Malformed, [OWNER, 0.0, None]),
        (Malformed, [OWNER, False, None]),
        (Malformed, [OWNER, True, None]),
        (Malformed, [OWNER, 1.0, None]),
        (Malformed, [OWNER, -1, None]),
        (TooLarge, [OWNER, MAX_AMOUNT_TIYN + 1, None]),
        (Malformed, [OWNER[:31], 1, None]),
        (Malformed, [OWNER, 1, PURPOSE[:31]]),
        (Malformed, [OWNER, 1, False]),
        (Malformed, [OWNER, 1]),
        (Malformed, {}),
    ],
)
def test_malformed(error: type[FormError], value: object) -> None:
    with pytest.raises(FormError) as caught:
        Output.from_cbor(value)
    assert type(caught.value) is error


def test_an_outpoint_is_message_and_index() -> None:
    assert outpoint(bytes(32), 258) == bytes(32) + b"\x01\x02"
    with pytest.raises(OverflowError):
        outpoint(bytes(32), 1 << 16)


def test_a_tagged_hash_keeps_domains_apart() -> None:
    assert tagged("a", b"b") == hashlib.sha256(b"tenge/v1/a\0b").digest()
    assert tagged("a", b"bc") != tagged("ab", b"c")


def test_content_types_are_distinct() -> None:
    assert len({kind.value for kind in Kind}) == len(Kind)
    assert pickle.loads(pickle.dumps(Kind.LOAD)) is Kind.LOAD
