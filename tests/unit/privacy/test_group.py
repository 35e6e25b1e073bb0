"""The group: published vectors, and one spelling for each point and scalar."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from py_arkworks_bls12381 import G1Point

from cbdc.errors import InvariantViolation, Malformed, NotCanonical
from cbdc.privacy.group import (
    IDENTITY,
    ORDER,
    decode_point,
    decode_scalar,
    encode_point,
    encode_scalar,
    hash_to_group,
    multiexp,
    random_scalar,
    scalar_of,
    wide_scalar,
)

PUBLISHED = json.loads((Path(__file__).parents[2] / "vectors/published/rfc9380-bls12381g1.json").read_text())
FIELD = 0x1A0111EA397FE69A4B1BA7B6434BACD764774B84F38512BF6730D2A0F6B0F6241EABFFFEB153FFFFB9FEFFFFFFFFAAAB
POINT = hash_to_group(b"some point")
GOOD = encode_point(POINT)
ORDER_THREE = b"\x80" + bytes(47)  # (0, 2), on the curve and outside the subgroup


@pytest.mark.parametrize("vector", PUBLISHED["vectors"], ids=lambda vector: vector["msg"][:8] or "empty")
def test_hash_to_curve_gives_the_published_points(vector: dict[str, str]) -> None:
    point = G1Point.hash_to_curve(vector["msg"].encode(), PUBLISHED["dst"].encode())
    assert point.to_xy_bytes_be().hex() == vector["x"] + vector["y"]


def test_our_hash_has_a_tag_of_its_own() -> None:
    assert hash_to_group(b"abc") == G1Point.hash_to_curve(
        b"abc", b"TENGE-V01-CS01-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"
    )
    assert hash_to_group(b"abc") != hash_to_group(b"abd")


def test_a_point_survives_its_bytes() -> None:
    assert decode_point(GOOD, "it") == POINT


def compressed(x: int) -> bytes:
    return (x | 1 << 383).to_bytes(48, "big")


NO_POINTS = {
    "short": GOOD[:-1],
    "long": GOOD + b"\0",
    "empty": b"",
    "a mutable buffer": bytearray(GOOD),
    "not marked as compressed": bytes([GOOD[0] & 0x7F]) + GOOD[1:],
    "the identity": b"\xc0" + bytes(47),
    "the identity, uncompressed": b"\x40" + bytes(47),
    "x not below the field's size": compressed(FIELD),
    "x above the field's size": compressed(FIELD + 4),
    "x of no point": compressed(1),
    "a point of order three": ORDER_THREE,
    "a point outside the subgroup": encode_point(POINT + G1Point.from_compressed_bytes_unchecked(ORDER_THREE)),
    "a small x on the curve outside the subgroup": compressed(4),
}


@pytest.mark.parametrize("data", NO_POINTS.values(), ids=NO_POINTS)
def test_what_is_no_point_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_point(data, "it")


OTHER_IDENTITIES = {
    "with a sign": b"\xe0" + bytes(47),
    "with something behind": b"\xc0" + bytes(46) + b"\1",
    "with something in the first byte": b"\xc1" + bytes(47),
}


@pytest.mark.parametrize("data", OTHER_IDENTITIES.values(), ids=OTHER_IDENTITIES)
def test_other_spellings_of_the_identity_which_the_library_reads_are_refused(data: bytes) -> None:
    assert G1Point.from_compressed_bytes(data) == IDENTITY
    with pytest.raises(NotCanonical):
        decode_point(data, "it")


def test_the_library_itself_tells_the_subgroup() -> None:
    """What the strictness rests on: adding a point of order three leaves the subgroup."""
    three = G1Point.from_compressed_bytes_unchecked(ORDER_THREE)
    assert three + three + three == IDENTITY
    assert POINT.is_in_subgroup()
    assert not (POINT + three).is_in_subgroup()


@pytest.mark.parametrize("number", [0, 1, ORDER - 1])
def test_a_scalar_survives_its_bytes(number: int) -> None:
    assert encode_scalar(decode_scalar(number.to_bytes(32, "big"), "it")) == number.to_bytes(32, "big")


@pytest.mark.parametrize("number", [ORDER, ORDER + 1, 2**256 - 1])
def test_a_scalar_not_below_the_order_is_refused(number: int) -> None:
    with pytest.raises(NotCanonical):
        decode_scalar(number.to_bytes(32, "big"), "it")


@pytest.mark.parametrize("data", [b"", bytes(31), bytes(33), bytearray(32)], ids=["empty", "short", "long", "buffer"])
def test_what_is_no_scalar_is_refused(data: bytes) -> None:
    with pytest.raises(Malformed):
        decode_scalar(data, "it")


@pytest.mark.parametrize("number", [0, 1, -1, ORDER, 2**64, -(2**300), 2**500 + 7])
def test_integers_are_reduced(number: int) -> None:
    assert int(scalar_of(number)) == number % ORDER


def test_sixty_four_bytes_are_reduced_big_endian() -> None:
    data = bytes(range(1, 65))
    assert int(wide_scalar(data)) == int.from_bytes(data, "big") % ORDER
    assert random_scalar(lambda size: data[:size]) == wide_scalar(data)


def test_a_source_of_too_few_bytes_is_noticed() -> None:
    with pytest.raises(InvariantViolation):
        random_scalar(lambda size: bytes(size - 1))


def test_multiexp_is_the_sum_of_products() -> None:
    points = [hash_to_group(bytes([i])) for i in range(5)]
    scalars = [scalar_of(i * i - 3) for i in range(5)]
    products = [point * scalar for point, scalar in zip(points, scalars, strict=True)]
    assert multiexp(points, scalars) == sum(products, IDENTITY)
    assert multiexp([], []) == IDENTITY


def test_multiexp_drops_nothing_in_silence() -> None:
    """The library would take the shorter list's length."""
    assert G1Point.multiexp_unchecked([POINT, POINT], [scalar_of(1)]) == POINT
    with pytest.raises(InvariantViolation):
        multiexp([POINT, POINT], [scalar_of(1)])
