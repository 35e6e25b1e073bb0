"""What the tests of `cbdc.privacy` share: fixed randomness, blindings and a context."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

from cbdc.privacy.group import Random, Scalar, random_scalar
from cbdc.privacy.pedersen import Commitment
from cbdc.privacy.range_proofs import Claim, prove
from cbdc.privacy.transcript import Context

HERE = Context(network=b"\x01" * 32, statement=b"payment 1")


def seeded(seed: str) -> Random:
    """Bytes that differ from call to call and are the same in every run."""
    counter = 0

    def random(size: int) -> bytes:
        nonlocal counter
        counter += 1
        return hashlib.shake_256(f"{seed}/{counter}".encode()).digest(size)

    return random


def blindings_for(amounts: Sequence[int], seed: str) -> list[Scalar]:
    random = seeded(f"blinding/{seed}")
    return [random_scalar(random) for _ in amounts]


def claim(*amounts: int, seed: str = "", context: Context = HERE) -> Claim:
    """An honest claim."""
    blindings = blindings_for(amounts, seed)
    commitments = [Commitment.to(amount, blinding) for amount, blinding in zip(amounts, blindings, strict=True)]
    return Claim(commitments, prove(amounts, blindings, context, seeded(f"proof/{seed}")), context)
