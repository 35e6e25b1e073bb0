"""A payee's signed word on what an online payment is for."""

from __future__ import annotations

import cbor2
import pytest

from cbdc.errors import FormError, Malformed, NotCanonical, TooLarge
from cbdc.formats import cbor, cose, requests
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import tagged
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_INVOICE_LINES, MAX_NAME_CHARS, MAX_REQUEST_BYTES
from tests.support import seed

NETWORK = seed("network")
SHOP, OTHER = SigningKey(seed("shop")), SigningKey(seed("other"))
LINES = (Line("bread", 15), Line("tea", 25))
NONCE = bytes(16)
RAW = requests.sign(SHOP, NETWORK, 40, LINES, NONCE)
FIELDS = [SHOP.public, 40, NONCE, [["bread", 15], ["tea", 25]]]


def signed(fields: object) -> bytes:
    """A request of these fields, whatever they are, by the shop."""
    return cose.sign1(SHOP, Kind.REQUEST, cbor.encode(fields), NETWORK)


def changed(index: int, value: object) -> bytes:
    return signed([*FIELDS[:index], value, *FIELDS[index + 1 :]])


def test_round_trip() -> None:
    assert signed(FIELDS) == RAW
    found = requests.read(RAW, NETWORK)
    assert (found.payee, found.amount_tiyn, found.nonce, found.lines) == (SHOP.public, 40, NONCE, LINES)
    assert found.check.key == SHOP.public
    assert found.check.holds()


def test_the_id_is_of_what_is_asked_not_of_the_signature() -> None:
    found = requests.read(RAW, NETWORK)
    assert found.id == tagged(Kind.REQUEST.value, cbor.encode(FIELDS))
    by_other = cose.sign1(OTHER, Kind.REQUEST, cbor.encode(FIELDS), NETWORK)
    assert requests.read(by_other, NETWORK).id == found.id
    again = requests.sign(SHOP, NETWORK, 40, LINES, bytes(15) + b"1")
    assert requests.read(again, NETWORK).id != found.id


def test_a_request_counts_for_its_payee_and_network() -> None:
    """It is read, and its check does not hold."""
    by_other = cose.sign1(OTHER, Kind.REQUEST, cbor.encode(FIELDS), NETWORK)
    elsewhere = requests.sign(SHOP, seed("other network"), 40, LINES, NONCE)
    forged = cbor.encode([*cbor.decode(RAW)[:3], bytes(64)])
    for raw in (by_other, elsewhere, forged):
        assert not requests.read(raw, NETWORK).check.holds()


def test_another_kind_of_signed_bytes_is_no_request() -> None:
    with pytest.raises(Malformed):
        requests.read(cose.sign1(SHOP, Kind.INVOICE, cbor.encode(FIELDS), NETWORK), NETWORK)


@pytest.mark.parametrize(
    ("error", "raw"),
    [
        (Malformed, signed(FIELDS[:3])),
        (Malformed, signed([*FIELDS, None])),
        (Malformed, signed({})),
        (Malformed, changed(0, SHOP.public[:31])),
        (Malformed, changed(0, None)),
        (Malformed, changed(1, 0)),
        (Malformed, changed(1, -1)),
        (Malformed, changed(1, False)),
        (Malformed, changed(1, 40.0)),
        (TooLarge, changed(1, MAX_AMOUNT_TIYN + 1)),
        (Malformed, changed(2, NONCE[:15])),
        (Malformed, changed(2, NONCE + b"1")),
        (Malformed, changed(2, None)),
        (Malformed, changed(3, [])),
        (Malformed, changed(3, None)),
        (Malformed, changed(3, [["bread"]])),
        (TooLarge, changed(3, [["bread", 1]] * (MAX_INVOICE_LINES + 1))),
        (Malformed, b""),
        (Malformed, RAW[:-1]),
    ],
)
def test_malformed(error: type[FormError], raw: bytes) -> None:
    with pytest.raises(FormError) as caught:
        requests.read(raw, NETWORK)
    assert type(caught.value) is error


def test_a_request_has_one_spelling() -> None:
    """Outside and inside its signature."""
    loose = b"\x98\x04" + cbor.encode(FIELDS)[1:]
    for raw in (b"\x98\x04" + RAW[1:], cose.sign1(SHOP, Kind.REQUEST, loose, NETWORK)):
        assert cbor2.loads(raw)
        with pytest.raises(NotCanonical):
            requests.read(raw, NETWORK)


@pytest.mark.parametrize("letter", ["x", "я", "₸", "𐰽"])
def test_as_many_of_the_longest_lines_as_there_may_be_fit(letter: str) -> None:
    lines = (Line(letter * MAX_NAME_CHARS, MAX_AMOUNT_TIYN),) * MAX_INVOICE_LINES
    raw = requests.sign(SHOP, NETWORK, MAX_AMOUNT_TIYN, lines, NONCE)
    assert len(raw) <= MAX_REQUEST_BYTES
    assert requests.read(raw, NETWORK).lines == lines


def test_size_is_bounded() -> None:
    with pytest.raises(TooLarge):
        requests.read(bytes(MAX_REQUEST_BYTES + 1), NETWORK)
