"""The head of the late evidence: what it covers, and whose word it is."""

from __future__ import annotations

import pytest

from cbdc.errors import BadSignature, Malformed, TengeError, TooLarge
from cbdc.formats import cbor, cose
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import tagged
from cbdc.formats.kinds import Kind
from cbdc.log.late import LateHead
from tests.support import NOW_S, seed

OPERATOR = SigningKey(seed("operator"))
NETWORK = seed("network")
HEAD = LateHead().after(7, NOW_S, b"payment")


def test_the_digest_is_the_one_of_the_specification() -> None:
    data = cbor.encode([bytes(32), 7, NOW_S, b"payment"])
    assert LateHead(1, tagged("late", data)) == HEAD
    assert LateHead.verify(HEAD.sign(OPERATOR, NETWORK), NETWORK, OPERATOR.public) == HEAD


def test_it_covers_place_time_payment_and_all_before() -> None:
    others = [
        LateHead().after(8, NOW_S, b"payment"),
        LateHead().after(7, NOW_S + 1, b"payment"),
        LateHead().after(7, NOW_S, b"another"),
        HEAD.after(7, NOW_S, b"payment"),
        LateHead().after(7, NOW_S, b"another").after(7, NOW_S, b"payment"),
    ]
    assert len({head.digest for head in [HEAD, *others]}) == len(others) + 1


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (BadSignature, HEAD.sign(SigningKey(seed("another")), NETWORK)),
        (BadSignature, HEAD.sign(OPERATOR, seed("another network"))),
        (Malformed, cose.sign1(OPERATOR, Kind.LATE_HEAD, cbor.encode([1]), NETWORK)),
        (Malformed, cose.sign1(OPERATOR, Kind.LATE_HEAD, cbor.encode([-1, bytes(32)]), NETWORK)),
        (Malformed, cose.sign1(OPERATOR, Kind.LATE_HEAD, cbor.encode([1, bytes(31)]), NETWORK)),
        (Malformed, cose.sign1(OPERATOR, Kind.TRUST_LIST, cbor.encode([1, bytes(32)]), NETWORK)),
        (TooLarge, cose.sign1(OPERATOR, Kind.LATE_HEAD, bytes(600), NETWORK)),
    ],
)
def test_what_is_no_head_is_refused(error: type[TengeError], data: bytes) -> None:
    with pytest.raises(TengeError) as refusal:
        LateHead.verify(data, NETWORK, OPERATOR.public)
    assert type(refusal.value) is error
