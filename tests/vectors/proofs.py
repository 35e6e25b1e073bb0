"""Vectors of `cbdc.privacy`: bases, commitments and range proofs out of stated randomness."""

from __future__ import annotations

import hashlib
from typing import Any

from cbdc.privacy import range_proofs
from cbdc.privacy.group import Random, encode_point, encode_scalar, random_scalar
from cbdc.privacy.pedersen import BLINDING_BASE, VALUE_BASE, Commitment, total
from cbdc.privacy.transcript import Context
from tests.vectors.samples import NETWORK

AMOUNTS = ([0], [2**64 - 1], [150_000, 850_000], [1, 2, 3])


def stream(seed: str) -> Random:
    """The i-th call, from 0, gets SHAKE256 over ``seed/i``, as long as it asks for."""
    calls = 0

    def random(size: int) -> bytes:
        nonlocal calls
        calls += 1
        return hashlib.shake_256(f"{seed}/{calls - 1}".encode()).digest(size)

    return random


def range_proof_vectors() -> dict[str, Any]:
    bases = range_proofs._bases(64)
    return {
        "randomness": "call i, from 0, of a seed gives SHAKE256(seed/i); scalars take 64 bytes, big-endian",
        "bases": {
            "G": encode_point(VALUE_BASE).hex(),
            "H": encode_point(BLINDING_BASE).hex(),
            "u": encode_point(bases.u).hex(),
            "g": [encode_point(point).hex() for point in (bases.g[0], bases.g[63])],
            "h": [encode_point(point).hex() for point in (bases.h[0], bases.h[63])],
        },
        "network": NETWORK.hex(),
        "proofs": [proof_vector(f"vector {number}", amounts) for number, amounts in enumerate(AMOUNTS)],
    }


def proof_vector(seed: str, amounts: list[int]) -> dict[str, Any]:
    random = stream(f"{seed} blindings")
    blindings = [random_scalar(random) for _ in amounts]
    commitments = [Commitment.to(amount, blinding) for amount, blinding in zip(amounts, blindings, strict=True)]
    proof = range_proofs.prove(amounts, blindings, Context(NETWORK, seed.encode()), stream(f"{seed} proof"))
    return {
        "seed": f"{seed} proof",
        "statement": seed.encode().hex(),
        "amounts_tiyn": amounts,
        "blindings": [encode_scalar(blinding).hex() for blinding in blindings],
        "commitments": [commitment.encode().hex() for commitment in commitments],
        "sum": total(commitments).encode().hex(),
        "proof": proof.hex(),
    }
