"""INVOICE, PAYMENT and RECEIPT as bytes and as payload text: round trips, damage, and hostile sizes."""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

import base45
import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st

from cbdc.errors import BadSignature, FormError, Malformed, NotCanonical, TooLarge, Unreachable
from cbdc.formats import cbor, cose
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_ANCESTRY, MAX_INFLATED_BYTES, MAX_INVOICE_LINES, MAX_PAYLOAD_TEXT_CHARS
from tests.support import NOW_S, seed
from tests.wallet.paper import Holding, Paper
from wallet.carriers import Carrier, FileCarrier, MemoryCarrier
from wallet.protocol import (
    PREFIX,
    Line,
    PaymentBundle,
    from_text,
    invoice_id,
    invoice_payload,
    read_invoice,
    read_receipt,
    receipt_payload,
    to_text,
)

NONCE = bytes(range(16))
LINES = (Line("5812.01", 350_00), Line("5812.02", 100_00))


@pytest.fixture
def shop(paper: Paper) -> Holding:
    return paper.holding("shop")


def invoice_fields(shop: Holding, **changes: Any) -> list[Any]:
    """What an invoice's payload says, in order; ``changes`` by name."""
    fields = {
        "amount": 450_00,
        "certificate": shop.raw,
        "nonce": NONCE,
        "headroom": 900_00,
        "trust_list": NOW_S,
        "time": NOW_S + 5,
        "lines": [[line.category, line.amount_tiyn] for line in LINES],
    } | changes
    return list(fields.values())


def sign_invoice(paper: Paper, shop: Holding, **changes: Any) -> bytes:
    return cose.sign1(shop.key, Kind.INVOICE, cbor.encode(invoice_fields(shop, **changes)), paper.network)


# --- invoice -----------------------------------------------------------------------------------


def test_an_invoice_comes_back_as_it_was_written(paper: Paper, shop: Holding) -> None:
    payload = invoice_payload(450_00, shop.raw, NONCE, 900_00, NOW_S, NOW_S + 5, LINES)
    assert payload == cbor.encode(invoice_fields(shop))
    raw = cose.sign1(shop.key, Kind.INVOICE, payload, paper.network)
    invoice = read_invoice(raw, paper.network)
    assert (invoice.amount_tiyn, invoice.headroom_tiyn) == (450_00, 900_00)
    assert (invoice.trust_list_s, invoice.ledger_time_s) == (NOW_S, NOW_S + 5)
    assert (invoice.certificate, invoice.certificate_raw) == (shop.certificate, shop.raw)
    assert (invoice.nonce, invoice.lines) == (NONCE, LINES)
    assert (invoice.id, invoice.raw) == (invoice_id(payload), raw)


def test_a_nonce_makes_another_invoice(shop: Holding) -> None:
    one, other = (cbor.encode(invoice_fields(shop, nonce=bytes([n]) * 16)) for n in (1, 2))
    assert invoice_id(one) != invoice_id(other)


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount": 0}, Malformed),
        ({"amount": -1}, Malformed),
        ({"amount": True}, Malformed),
        ({"amount": "450"}, Malformed),
        ({"amount": MAX_AMOUNT_TIYN + 1}, TooLarge),
        ({"headroom": -1}, Malformed),
        ({"headroom": None}, Malformed),
        ({"nonce": bytes(15)}, Malformed),
        ({"nonce": bytes(17)}, Malformed),
        ({"certificate": b"none"}, Malformed),
        ({"certificate": bytes(513)}, TooLarge),
        ({"time": -1}, Malformed),
        ({"trust_list": 10**12}, TooLarge),
        ({"lines": [["a", 1]] * (MAX_INVOICE_LINES + 1)}, TooLarge),
        ({"lines": [["a"]]}, Malformed),
        ({"lines": [["", 1]]}, Malformed),
        ({"lines": None}, Malformed),
        ({"more": 1}, Malformed),
    ],
)
def test_a_misshapen_invoice_is_refused(
    paper: Paper, shop: Holding, changes: dict[str, Any], error: type[FormError]
) -> None:
    with pytest.raises(error):
        read_invoice(sign_invoice(paper, shop, **changes), paper.network)


def test_an_invoice_by_another_key_is_refused(paper: Paper, shop: Holding) -> None:
    thief = paper.holding("thief")
    raw = cose.sign1(thief.key, Kind.INVOICE, cbor.encode(invoice_fields(shop)), paper.network)
    with pytest.raises(BadSignature, match="not signed by the payee"):
        read_invoice(raw, paper.network)


def test_an_invoice_of_another_network_or_kind_is_refused(paper: Paper, shop: Holding) -> None:
    with pytest.raises(BadSignature):
        read_invoice(sign_invoice(paper, shop), bytes(32))
    receipt = cose.sign1(shop.key, Kind.PAYMENT_RECEIPT, cbor.encode(invoice_fields(shop)), paper.network)
    with pytest.raises(Malformed):
        read_invoice(receipt, paper.network)


def test_every_flipped_bit_of_an_invoice_is_noticed(paper: Paper, shop: Holding) -> None:
    raw = sign_invoice(paper, shop)
    for place in range(0, len(raw), 7):
        bad = raw[:place] + bytes([raw[place] ^ 0x10]) + raw[place + 1 :]
        with pytest.raises((FormError, BadSignature)):
            read_invoice(bad, paper.network)


# --- receipt and bundle ------------------------------------------------------------------------


def test_a_receipt_comes_back_and_only_from_this_payee(paper: Paper, shop: Holding) -> None:
    payment_id = seed("a payment")
    raw = cose.sign1(shop.key, Kind.PAYMENT_RECEIPT, receipt_payload(payment_id, NOW_S), paper.network)
    receipt = read_receipt(raw, paper.network, shop.key.public)
    assert (receipt.payment_id, receipt.ledger_time_s) == (payment_id, NOW_S)
    for network, key in ((paper.network, SigningKey(seed("x")).public), (bytes(32), shop.key.public)):
        with pytest.raises(BadSignature):
            read_receipt(raw, network, key)


@pytest.mark.parametrize("payload", [b"", b"\x80", cbor.encode([bytes(31), 1]), cbor.encode([bytes(32), -1])])
def test_a_misshapen_receipt_is_refused(paper: Paper, shop: Holding, payload: bytes) -> None:
    raw = cose.sign1(shop.key, Kind.PAYMENT_RECEIPT, payload, paper.network)
    with pytest.raises(FormError):
        read_receipt(raw, paper.network, shop.key.public)


blobs = st.lists(st.binary(max_size=40), max_size=4).map(tuple)


@given(st.builds(PaymentBundle, st.binary(max_size=40), blobs, blobs, blobs))
def test_a_bundle_comes_back_as_it_was_written(bundle: PaymentBundle) -> None:
    assert PaymentBundle.decode(bundle.encode()) == bundle


@pytest.mark.parametrize(
    ("value", "error"),
    [
        ([b"", [], []], Malformed),
        ([b"", [], [], [], []], Malformed),
        ({"payment": b""}, Malformed),
        (["text", [], [], []], Malformed),
        ([b"", [b""] * (MAX_ANCESTRY + 1), [], []], TooLarge),
        ([b"", [], [b""] * (MAX_ANCESTRY + 1), []], TooLarge),
        ([b"", [], [], [b""] * (MAX_ANCESTRY + 1)], TooLarge),
        ([b"", [1], [], []], Malformed),
        ([bytes(MAX_INFLATED_BYTES), [], [], []], TooLarge),
    ],
)
def test_a_misshapen_bundle_is_refused(value: Any, error: type[FormError]) -> None:
    with pytest.raises(error):
        PaymentBundle.decode(cbor.encode(value))


def test_a_bundle_has_one_spelling() -> None:
    data = PaymentBundle(b"p", (), (), ()).encode()
    assert data[1:3] == b"\x41p"
    with pytest.raises(NotCanonical):
        PaymentBundle.decode(data[:1] + b"\x58\x01p" + data[3:])
    with pytest.raises(FormError):
        PaymentBundle.decode(data + b"\0")


# --- payload text ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("plain", "encoded"),
    [(b"AB", "BB8"), (b"Hello!!", "%69 VD92EX0"), (b"base-45", "UJCLQE7W581"), (b"ietf!", "QED8WEX0")],
)
def test_base45_is_that_of_rfc_9285(plain: bytes, encoded: str) -> None:
    """Sections 4.3 and 4.4."""
    assert base45.b45encode(plain).decode() == encoded
    assert base45.b45decode(encoded) == plain


@given(st.binary(max_size=3000))
def test_text_carries_any_bytes_in_the_alphabet_of_a_qr_code(message: bytes) -> None:
    text = to_text(message)
    assert re.fullmatch(r"KZT1:[0-9A-Z $%*+\-./:]*", text)
    assert from_text(text) == message
    assert from_text(f"  {text}\n") == message
    assert zlib.decompress(base45.b45decode(text.removeprefix("KZT1:"))) == message


def test_a_qr_code_stores_the_text_as_alphanumeric() -> None:
    assert segno.make(to_text(seed("message")), micro=False).mode == "alphanumeric"


def packed(data: bytes) -> str:
    """Payload text around bytes that may be no zlib stream."""
    return PREFIX + base45.b45encode(data).decode()


GOOD = zlib.compress(b"an honest message " * 10, 9)

REFUSED_TEXTS: dict[str, tuple[str, type[FormError]]] = {
    "nothing": ("", Malformed),
    "prefix only": (PREFIX, Malformed),
    "no prefix": (packed(GOOD).removeprefix(PREFIX), Malformed),
    "another version": (packed(GOOD).replace("KZT1", "KZT2"), Malformed),
    "small letters": (packed(GOOD).lower(), Malformed),
    "letters outside base45": (PREFIX + "ab" + packed(GOOD)[5:], Malformed),
    "letters outside ASCII": (PREFIX + "Ң" * 9, Malformed),
    "65536 in three letters": (PREFIX + "GGW", Malformed),
    "one letter left over": (PREFIX + "BB8B", Malformed),
    "no zlib stream": (packed(b"plain bytes"), Malformed),
    "raw deflate": (packed(GOOD[2:-4]), Malformed),
    "cut short": (packed(GOOD[:-1]), Malformed),
    "cut in the middle": (packed(GOOD[: len(GOOD) // 2]), Malformed),
    "checksum changed": (packed(GOOD[:-1] + bytes([GOOD[-1] ^ 1])), Malformed),
    "bytes behind": (packed(GOOD + b"\0"), Malformed),
    "a second stream behind": (packed(GOOD + GOOD), Malformed),
    "a bomb": (packed(zlib.compress(bytes(40_000_000), 9)), TooLarge),
    "one byte above the limit": (packed(zlib.compress(bytes(MAX_INFLATED_BYTES + 1), 9)), TooLarge),
    "too much text": (PREFIX + "0" * MAX_PAYLOAD_TEXT_CHARS, TooLarge),
}


@pytest.mark.parametrize(("text", "error"), REFUSED_TEXTS.values(), ids=REFUSED_TEXTS)
def test_what_is_no_payload_is_refused(text: str, error: type[FormError]) -> None:
    with pytest.raises(FormError) as refused:
        from_text(text)
    assert type(refused.value) is error


def test_the_largest_message_is_taken() -> None:
    assert from_text(to_text(bytes(MAX_INFLATED_BYTES))) == bytes(MAX_INFLATED_BYTES)


@given(st.binary(max_size=400))
def test_no_bytes_make_the_reader_stumble(data: bytes) -> None:
    for read in (lambda: from_text(packed(data)), lambda: from_text(PREFIX + data.decode("latin-1"))):
        try:
            assert isinstance(read(), bytes)
        except FormError as error:
            assert error.code in {"malformed", "too_large"}


# --- carriers ----------------------------------------------------------------------------------


def memory(_: Path) -> tuple[Carrier, Carrier]:
    carrier = MemoryCarrier()
    return carrier, carrier


def file(folder: Path) -> tuple[Carrier, Carrier]:
    return FileCarrier(folder / "payload"), FileCarrier(folder / "payload")


@pytest.mark.parametrize("link", [memory, file])
def test_a_carrier_brings_the_same_bytes(link: Callable[[Path], tuple[Carrier, Carrier]], tmp_path: Path) -> None:
    here, there = link(tmp_path)
    with pytest.raises(Unreachable):
        there.receive()
    for message in (b"", b"invoice", bytes(10_000)):
        here.send(message)
        assert there.receive() == message


def test_memory_keeps_the_order_and_empties() -> None:
    carrier = MemoryCarrier()
    for message in (b"first", b"second"):
        carrier.send(message)
    assert [carrier.receive(), carrier.receive()] == [b"first", b"second"]
    with pytest.raises(Unreachable):
        carrier.receive()


def test_a_file_holds_payload_text_and_nothing_half_written(tmp_path: Path) -> None:
    path = tmp_path / "payload.kzt"
    FileCarrier(path).send(b"invoice")
    assert path.read_text() == to_text(b"invoice") + "\n"
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize(
    ("content", "error"),
    [(b"", Malformed), (b"\xff\xfe", Malformed), ("Ң".encode(), Malformed), (b"\xff" * 70_000, TooLarge)],
)
def test_a_file_that_is_no_payload_is_refused(tmp_path: Path, content: bytes, error: type[FormError]) -> None:
    (tmp_path / "payload").write_bytes(content)
    with pytest.raises(error):
        FileCarrier(tmp_path / "payload").receive()
