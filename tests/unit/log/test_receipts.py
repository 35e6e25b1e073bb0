"""Receipts and entries: proof that a message stands in the log."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbdc.errors import BadSignature, FormError, Malformed, NotCanonical, ProofInvalid, TengeError, TooLarge
from cbdc.formats import cbor
from cbdc.formats.ed25519 import SigningKey
from cbdc.limits import MAX_MESSAGE_BYTES, MAX_TIME_S
from cbdc.log import checkpoint, entries, merkle
from cbdc.log.checkpoint import Checkpoint
from cbdc.log.receipts import Receipt
from tests.support import NOW_S, seed

OPERATOR = SigningKey(seed("operator"))
ORIGIN = "tenge/test"
MESSAGES = [f"message {number}".encode() for number in range(5)]


@pytest.fixture(scope="module")
def receipts() -> list[Receipt]:
    tree = merkle.Tree()
    for message in MESSAGES:
        tree.append(merkle.leaf_hash(entries.encode(NOW_S, message)))
    note = checkpoint.sign(Checkpoint(ORIGIN, tree.size, tree.root(), bytes(32)), OPERATOR)
    return [Receipt(index, NOW_S, note, tuple(tree.inclusion(index, tree.size))) for index in range(tree.size)]


def test_a_receipt_proves_its_message(receipts: list[Receipt]) -> None:
    for receipt, message in zip(receipts, MESSAGES, strict=True):
        again = Receipt.decode(receipt.encode())
        assert again == receipt
        assert again.verify(message, ORIGIN, OPERATOR.public).size == len(MESSAGES)


@pytest.mark.parametrize(
    ("error", "changes", "message"),
    [
        (ProofInvalid, {}, MESSAGES[2]),
        (ProofInvalid, {"index": 2}, MESSAGES[1]),
        (ProofInvalid, {"index": 5}, MESSAGES[1]),
        (ProofInvalid, {"time_s": NOW_S + 1}, MESSAGES[1]),
        (ProofInvalid, {"proof": ()}, MESSAGES[1]),
        (Malformed, {"checkpoint": ""}, MESSAGES[1]),
    ],
)
def test_a_receipt_proves_nothing_else(
    receipts: list[Receipt], error: type[TengeError], changes: dict[str, object], message: bytes
) -> None:
    with pytest.raises(TengeError) as caught:
        replace(receipts[1], **changes).verify(message, ORIGIN, OPERATOR.public)
    assert type(caught.value) is error


def test_a_receipt_is_the_operators(receipts: list[Receipt]) -> None:
    with pytest.raises(BadSignature):
        receipts[1].verify(MESSAGES[1], ORIGIN, SigningKey(seed("other")).public)


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (Malformed, [0, 0, ""]),
        (Malformed, [-1, 0, "", []]),
        (TooLarge, [1 << 54, 0, "", []]),
        (TooLarge, [0, MAX_TIME_S + 1, "", []]),
        (Malformed, [0, 0, b"", []]),
        (Malformed, [0, 0, "", [bytes(31)]]),
        (TooLarge, [0, 0, "", [bytes(32)] * 65]),
        (TooLarge, [0, 0, "x" * 40_000, []]),
    ],
)
def test_malformed_receipts(error: type[FormError], fields: list[object]) -> None:
    with pytest.raises(FormError) as caught:
        Receipt.decode(cbor.encode(fields))
    assert type(caught.value) is error


# --- entries -----------------------------------------------------------------------------------


def test_an_entry_is_time_and_message() -> None:
    data = entries.encode(NOW_S, b"message")
    assert cbor.decode(data) == [NOW_S, b"message"]
    assert entries.decode(data) == (NOW_S, b"message")


def test_the_largest_entry_fits() -> None:
    largest = bytes(MAX_MESSAGE_BYTES)
    assert entries.decode(entries.encode(MAX_TIME_S, largest)) == (MAX_TIME_S, largest)


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (Malformed, b""),
        (Malformed, cbor.encode([1])),
        (Malformed, cbor.encode([-1, b""])),
        (Malformed, cbor.encode([1, "text"])),
        (TooLarge, cbor.encode([1, bytes(MAX_MESSAGE_BYTES + 1)])),
        (TooLarge, cbor.encode([MAX_TIME_S + 1, b""])),
        (NotCanonical, entries.encode(1, b"") + b"\x00"),
    ],
)
def test_malformed_entries(error: type[FormError], data: bytes) -> None:
    with pytest.raises(FormError) as caught:
        entries.decode(data)
    assert type(caught.value) is error
