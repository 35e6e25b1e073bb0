"""Pedersen commitments to amounts: ``C = amount * G + blinding * H``.

A commitment hides its amount from everybody without the blinding, whatever they can compute, and cannot be opened to
two amounts by anybody who does not know the logarithm of H to base G; both points come out of a hash, so nobody does.
Sums of commitments commit to sums of amounts, modulo the order: that nothing wraps round is what
`cbdc.privacy.range_proofs` shows.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final, Self

from cbdc.errors import TooLarge
from cbdc.privacy.group import (
    IDENTITY,
    ZERO,
    Point,
    Scalar,
    decode_point,
    encode_point,
    hash_to_group,
    multiexp,
    scalar_of,
)

AMOUNT_BITS: Final = 64
VALUE_BASE: Final = hash_to_group(b"pedersen amount")
"""G: what a tiyn is multiplied with."""
BLINDING_BASE: Final = hash_to_group(b"pedersen blinding")
"""H: what the blinding is multiplied with."""


@dataclass(frozen=True, slots=True)
class Commitment:
    """A hidden amount, or a sum or difference of such."""

    point: Point

    @classmethod
    def to(cls, amount_tiyn: int, blinding: Scalar) -> Self:
        """The commitment to an amount of at most 64 bits; the blinding must be fresh and secret.

        Raises:
            TooLarge: the amount is negative or has more than 64 bits.
        """
        check_amount(amount_tiyn)
        return cls(multiexp((VALUE_BASE, BLINDING_BASE), (scalar_of(amount_tiyn), blinding)))

    @classmethod
    def of_public(cls, amount_tiyn: int) -> Self:
        """An amount that everybody knows, with no blinding: clear and hidden amounts add up in one sum.

        Raises:
            TooLarge: the amount is negative or has more than 64 bits.
        """
        return cls.to(amount_tiyn, ZERO)

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """A commitment out of 48 bytes from outside; that to nothing with no blinding, the identity, is refused."""
        return cls(decode_point(data, "commitment"))

    def encode(self) -> bytes:
        return encode_point(self.point)

    def __add__(self, other: Self) -> Self:
        return type(self)(self.point + other.point)

    def __sub__(self, other: Self) -> Self:
        return type(self)(self.point - other.point)

    def __repr__(self) -> str:
        return f"Commitment({self.encode().hex()[:16]}…)"


def check_amount(amount_tiyn: int) -> None:
    """Refuse what is no amount of at most 64 bits; the error does not say what it was."""
    if not 0 <= amount_tiyn < 1 << AMOUNT_BITS:
        raise TooLarge("an amount to hide is outside 64 bits", limit_bits=AMOUNT_BITS)


def total(commitments: Iterable[Commitment]) -> Commitment:
    """The commitment to the sum; to nothing, if there are none."""
    return Commitment(sum((commitment.point for commitment in commitments), IDENTITY))


def total_blinding(blindings: Iterable[Scalar]) -> Scalar:
    """What blinds `total`."""
    return sum(blindings, ZERO)
