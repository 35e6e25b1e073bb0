"""A proof has one form: any change to its bytes is refused."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from py_arkworks_bls12381 import G1Point

from cbdc.errors import ProofInvalid
from cbdc.privacy.group import ORDER, encode_point, hash_to_group
from cbdc.privacy.range_proofs import proof_bytes, verify
from tests.unit.privacy.worlds import HERE, claim

GOOD = claim(1_000_050, seed="malleation")
OTHER = claim(1_000_050, seed="another of the same amount")
POINTS = ["A", "S", "T1", "T2", *(f"{side}{i}" for i in range(1, 7) for side in "LR")]
SCALARS = ["tau_x", "mu", "t_hat", "a", "b"]
PLACES = {name: (48 * i, 48 * i + 48) for i, name in enumerate(POINTS)}
PLACES |= {name: (48 * len(POINTS) + 32 * i, 48 * len(POINTS) + 32 * i + 32) for i, name in enumerate(SCALARS)}
ORDER_THREE = G1Point.from_compressed_bytes_unchecked(b"\x80" + bytes(47))


def refused(proof: bytes) -> bool:
    try:
        verify(GOOD.commitments, proof, HERE)
    except ProofInvalid:
        return True
    return False


def part(name: str, proof: bytes = GOOD.proof) -> bytes:
    start, end = PLACES[name]
    return proof[start:end]


def with_part(name: str, data: bytes) -> bytes:
    start, end = PLACES[name]
    return GOOD.proof[:start] + data + GOOD.proof[end:]


def test_the_places_are_those_of_the_proof() -> None:
    assert len(GOOD.proof) == max(end for _, end in PLACES.values()) == proof_bytes(1)
    assert not refused(GOOD.proof)
    assert not refused(with_part("L3", part("L3")))


def point_changes(name: str) -> Iterator[tuple[str, bytes]]:
    point = G1Point.from_compressed_bytes(part(name))
    yield "another point", encode_point(hash_to_group(b"another"))
    yield "the negated point", encode_point(-point)
    yield "the doubled point", encode_point(point + point)
    yield "another proof's point", part(name, OTHER.proof)
    yield "the identity", b"\xc0" + bytes(47)
    yield "the identity in another spelling", b"\xe0" + bytes(47)
    yield "a point of order three", b"\x80" + bytes(47)
    yield "the point plus one of order three", encode_point(point + ORDER_THREE)
    yield "not marked as compressed", bytes([part(name)[0] & 0x7F]) + part(name)[1:]
    yield "all zero", bytes(48)
    yield "all ones", b"\xff" * 48


@pytest.mark.parametrize("name", POINTS)
def test_no_point_can_be_replaced(name: str) -> None:
    assert [what for what, data in point_changes(name) if not refused(with_part(name, data))] == []


def scalar_changes(name: str) -> Iterator[tuple[str, bytes]]:
    number = int.from_bytes(part(name), "big")
    for what, other in {
        "one more": (number + 1) % ORDER,
        "one less": (number - 1) % ORDER,
        "negated": -number % ORDER,
        "zero": 0,
        "doubled": number * 2 % ORDER,
        "inverted": pow(number, -1, ORDER),
        "plus the order": number + ORDER,
        "the order": ORDER,
        "the order less one": ORDER - 1,
        "all ones": 2**256 - 1,
    }.items():
        yield what, other.to_bytes(32, "big")
    yield "turned round", part(name)[::-1]
    yield "another proof's scalar", part(name, OTHER.proof)


@pytest.mark.parametrize("name", SCALARS)
def test_no_scalar_can_be_replaced(name: str) -> None:
    assert [what for what, data in scalar_changes(name) if not refused(with_part(name, data))] == []


@pytest.mark.parametrize(
    ("first", "second"),
    [("A", "S"), ("T1", "T2"), ("L1", "R1"), ("L6", "R6"), ("L1", "L2"), ("tau_x", "mu"), ("mu", "t_hat"), ("a", "b")],
)
def test_no_two_parts_can_change_places(first: str, second: str) -> None:
    (start, end), (other_start, other_end) = PLACES[first], PLACES[second]
    proof = bytearray(GOOD.proof)
    proof[start:end], proof[other_start:other_end] = part(second), part(first)
    assert refused(bytes(proof))


def test_the_last_two_numbers_cannot_be_scaled_against_each_other() -> None:
    """a b stays the same: only the bases tell."""
    a, b = (int.from_bytes(part(name), "big") for name in "ab")
    scaled = (2 * a % ORDER).to_bytes(32, "big") + (b * pow(2, -1, ORDER) % ORDER).to_bytes(32, "big")
    assert refused(GOOD.proof[:-64] + scaled)


@pytest.mark.parametrize("name", PLACES)
@pytest.mark.parametrize("where", [0, -1, "middle"])
def test_no_bit_of_any_part_can_flip(name: str, where: int | str) -> None:
    data = bytearray(part(name))
    data[len(data) // 2 if where == "middle" else where] ^= 1
    assert refused(with_part(name, bytes(data)))


@pytest.mark.slow
def test_no_byte_can_change() -> None:
    """Every position, one bit of it: 928 verifications."""
    flipped = (bytearray(GOOD.proof) for _ in GOOD.proof)
    accepted = []
    for i, proof in enumerate(flipped):
        proof[i] ^= 1 << i % 8
        if not refused(bytes(proof)):
            accepted.append(i)
    assert accepted == []


LENGTHS = {
    "empty": b"",
    "a byte less": GOOD.proof[:-1],
    "a byte less in front": GOOD.proof[1:],
    "a byte more": GOOD.proof + b"\0",
    "a byte more in front": b"\0" + GOOD.proof,
    "without its last round": GOOD.proof[: 48 * 14] + GOOD.proof[48 * 16 :],
    "with its last round twice": GOOD.proof[: 48 * 16] + GOOD.proof[48 * 14 :],
    "twice": GOOD.proof * 2,
    "of twice as many amounts": claim(1, 2, seed="two").proof,
}


@pytest.mark.parametrize("proof", LENGTHS.values(), ids=LENGTHS)
def test_a_proof_of_another_length_is_refused(proof: bytes) -> None:
    assert refused(proof)


@pytest.mark.parametrize("kind", [bytearray, memoryview, list])
def test_what_is_not_bytes_is_refused(kind: type) -> None:
    assert refused(kind(GOOD.proof))
