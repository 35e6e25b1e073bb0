"""The group of prime order in which amounts are hidden: G1 of BLS12-381 (docs/adr/0029-the-group.md).

Points are 48 bytes, compressed; scalars are 32 bytes, big-endian, below `ORDER`. Both have one spelling, and decoders
refuse every other. The group is written additively, the paper of `cbdc.privacy.range_proofs` writes it as products.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeAlias

import py_arkworks_bls12381 as bls

from cbdc.errors import InvariantViolation, Malformed, NotCanonical

Point: TypeAlias = bls.G1Point
Scalar: TypeAlias = bls.Scalar
Random: TypeAlias = Callable[[int], bytes]
"""So many fresh bytes that nobody else can know."""

POINT_BYTES: Final = 48
SCALAR_BYTES: Final = 32
WIDE_BYTES: Final = 64
"""Bytes that make a scalar: twice its size, so that no remainder is likelier than another by more than 2^-256."""

ORDER: Final = 0x73EDA753299D7D483339D80809A1D80553BDA402FFFE5BFEFFFFFFFF00000001
IDENTITY: Final = Point.identity()
ZERO: Final = Scalar(0)
ONE: Final = Scalar(1)

_HASH_TAG: Final = b"TENGE-V01-CS01-with-BLS12381G1_XMD:SHA-256_SSWU_RO_"


def encode_point(point: Point) -> bytes:
    """The 48 bytes of a point."""
    return point.to_compressed_bytes()


def decode_point(data: bytes, what: str) -> Point:
    """A point of the group other than the identity, which no honest sender has a reason to send.

    Raises:
        Malformed: not 48 bytes, not on the curve, outside the subgroup of prime order, or the identity.
        NotCanonical: another spelling of a point; the library lets pass some of the identity.
    """
    if type(data) is not bytes or len(data) != POINT_BYTES:
        raise Malformed(f"{what} is not {POINT_BYTES} bytes")
    try:
        point = Point.from_compressed_bytes(data)
    except ValueError:
        raise Malformed(f"{what} is not a point of the group") from None
    if encode_point(point) != data:
        raise NotCanonical(f"{what} is not the canonical spelling of a point")
    if point == IDENTITY:
        raise Malformed(f"{what} is the identity")
    return point


def encode_scalar(scalar: Scalar) -> bytes:
    """The 32 bytes of a scalar, big-endian."""
    return scalar.to_be_bytes()


def decode_scalar(data: bytes, what: str) -> Scalar:
    """A scalar.

    Raises:
        Malformed: not 32 bytes.
        NotCanonical: not below the order.
    """
    if type(data) is not bytes or len(data) != SCALAR_BYTES:
        raise Malformed(f"{what} is not {SCALAR_BYTES} bytes")
    try:
        return Scalar.from_be_bytes(data)
    except ValueError:
        raise NotCanonical(f"{what} is not below the order of the group") from None


def scalar_of(number: int) -> Scalar:
    """An integer of at most 64 bytes, of any sign, modulo the order."""
    return Scalar.from_be_bytes((number % ORDER).to_bytes(SCALAR_BYTES, "big"))


def wide_scalar(data: bytes) -> Scalar:
    """64 uniform bytes, big-endian, modulo the order: a uniform scalar."""
    if len(data) != WIDE_BYTES:
        raise InvariantViolation("a scalar is made of 64 bytes", found=len(data))
    return Scalar.from_be_bytes_mod_order(data)


def random_scalar(random: Random) -> Scalar:
    """A scalar that only the caller knows."""
    return wide_scalar(random(WIDE_BYTES))


def hash_to_group(message: bytes) -> Point:
    """A point of which nobody knows a relation to another (RFC 9380, BLS12381G1_XMD:SHA-256_SSWU_RO_, our tag)."""
    return Point.hash_to_curve(message, _HASH_TAG)


def multiexp(points: Sequence[Point], scalars: Sequence[Scalar]) -> Point:
    """The sum of ``scalar * point`` over all pairs, at once; the library would drop what has no partner."""
    if len(points) != len(scalars):
        raise InvariantViolation("points and scalars do not pair up", points=len(points), scalars=len(scalars))
    return Point.multiexp_unchecked(list(points), list(scalars))
