"""Ed25519: the published vectors, and what the strict verification refuses though others accept it."""

from __future__ import annotations

import hashlib
import pickle

import pytest
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from cbdc.formats.ed25519 import SigningKey, is_valid
from tests.support import seed

# RFC 8032 section 7.1: seed, public key, message, signature
RFC_8032 = {
    "TEST 1": (
        "9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60",
        "d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a",
        "",
        (
            "e5564300c360ac729086e2cc806e828a84877f1eb8e5d974d873e06522490155"
            "5fb8821590a33bacc61e39701cf9b46bd25bf5f0595bbe24655141438e7a100b"
        ),
    ),
    "TEST 2": (
        "4ccd089b28ff96da9db6c346ec114e0f5b8a319f35aba624da8cf6ed4fb8a6fb",
        "3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c",
        "72",
        (
            "92a009a9f0d4cab8720e820b5f642540a2b27b5416503f8fb3762223ebdb69da"
            "085ac1e43e15996e458f3613d0f11d8c387b2eaeb4302aeeb00d291612bb0c00"
        ),
    ),
    "TEST 3": (
        "c5aa8df43f9f837bedb7442f31dcb7b166d38535076f094b85ce3a2e0b4458f7",
        "fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025",
        "af82",
        (
            "6291d657deec24024827e69c3abe01a30ce548a284743a445e3680d7db5ac3ac"
            "18ff9b538d16f290ae67f760984dc6594a7c15e9716ed28dc027beceea1ec40a"
        ),
    ),
    "TEST SHA(abc)": (
        "833fe62409237b9d62ec77587520911e9a759cec1d19755b7da901b96dca3d42",
        "ec172b93ad5e563bf4932c70e1245034c35467ef2efd4d64ebf819683467e2bf",
        hashlib.sha512(b"abc").hexdigest(),
        (
            "dc2a4459e7369633a52b1bf277839a00201009a3efbf3ecb69bea2186c26b589"
            "09351fc9ac90b3ecfdfbc7c66431e0303dca179c138ac17ad9bef1177331a704"
        ),
    ),
}

# --- the curve, by the textbook (RFC 8032 section 5.1) -----------------------------------------

P = 2**255 - 19
L = 2**252 + 27742317777372353535851937790883648493
D = -121665 * pow(121666, -1, P) % P
ROOT = pow(2, (P - 1) // 4, P)
Point = tuple[int, int]


def add(a: Point, b: Point) -> Point:
    (x1, y1), (x2, y2) = a, b
    k = D * x1 * x2 * y1 * y2
    return (
        (x1 * y2 + x2 * y1) * pow(1 + k, -1, P) % P,
        (y1 * y2 + x1 * x2) * pow(1 - k, -1, P) % P,
    )


def multiply(scalar: int, point: Point) -> Point:
    result = (0, 1)
    while scalar:
        if scalar & 1:
            result = add(result, point)
        point, scalar = add(point, point), scalar >> 1
    return result


def decompress(data: bytes) -> Point:
    """The point, however its encoding is spelled."""
    number = int.from_bytes(data, "little")
    y, sign = (number & ((1 << 255) - 1)) % P, number >> 255
    square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
    x = pow(square, (P + 3) // 8, P)
    x = x if x * x % P == square else x * ROOT % P
    assert x * x % P == square
    return ((P - x) % P if x & 1 != sign else x, y)


def compress(point: Point) -> bytes:
    return (point[1] | (point[0] & 1) << 255).to_bytes(32, "little")


def challenge(r: bytes, key: bytes, message: bytes) -> int:
    return int.from_bytes(hashlib.sha512(r + key + message).digest(), "little") % L


def textbook_accepts(key: bytes, message: bytes, signature: bytes) -> bool:
    """The group equation of RFC 8032 section 5.1.7 times the cofactor, and nothing else."""
    r, s = signature[:32], int.from_bytes(signature[32:], "little")
    h = challenge(r, key, message)
    right = add(decompress(r), multiply(h, decompress(key)))
    return multiply(8, multiply(s, BASE)) == multiply(8, right)


BASE = decompress(bytes.fromhex("58" + "66" * 31))
MESSAGE = b"100 tenge to me"
KEY = SigningKey(seed("ed25519"))
_DIGEST = hashlib.sha512(seed("ed25519")).digest()
SECRET = int.from_bytes(_DIGEST[:32], "little") & ((1 << 254) - 8) | 1 << 254
"""The secret scalar of KEY (RFC 8032 section 5.1.5)."""

TORSION = {
    "order 1": "01" + "00" * 31,
    "order 2": "ec" + "ff" * 30 + "7f",
    "order 4": "00" * 32,
    "order 4, negative": "00" * 31 + "80",
    "order 8, first": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
    "order 8, second": "26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
    "order 8, third": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
    "order 8, fourth": "c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
    "order 1, with a sign": "01" + "00" * 30 + "80",
    "order 2, with a sign": "ec" + "ff" * 31,
    "order 1, y = p + 1": "ee" + "ff" * 30 + "7f",
    "order 1, y = p + 1, with a sign": "ee" + "ff" * 31,
    "order 4, y = p": "ed" + "ff" * 30 + "7f",
    "order 4, y = p, with a sign": "ed" + "ff" * 31,
}
"""The eight points whose order divides the cofactor, in every encoding that fits 32 bytes."""


def test_the_torsion_points_are_what_they_are_called() -> None:
    points = {decompress(bytes.fromhex(data)) for data in TORSION.values()}
    assert len(points) == 8
    assert {multiply(8, point) for point in points} == {(0, 1)}


# --- vectors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", RFC_8032)
def test_rfc_8032(name: str) -> None:
    secret, public, message, signature = map(bytes.fromhex, RFC_8032[name])
    key = SigningKey.from_seed(secret)
    assert (key.public, key.sign(message)) == (public, signature)
    assert is_valid(public, message, signature)
    assert textbook_accepts(public, message, signature)


@pytest.mark.parametrize("position", [0, 31, 32, 63])
def test_one_changed_bit_does_not_hold(position: int) -> None:
    signature = bytearray(KEY.sign(MESSAGE))
    signature[position] ^= 1
    assert not is_valid(KEY.public, MESSAGE, bytes(signature))


def test_another_message_or_key_does_not_hold() -> None:
    signature = KEY.sign(MESSAGE)
    assert not is_valid(KEY.public, MESSAGE + b"!", signature)
    assert not is_valid(SigningKey(bytes(32)).public, MESSAGE, signature)


@pytest.mark.parametrize(("key_bytes", "signature_bytes"), [(31, 64), (33, 64), (32, 63), (32, 65), (0, 0)])
def test_lengths_are_exact(key_bytes: int, signature_bytes: int) -> None:
    key, signature = (KEY.public + b"x")[:key_bytes], (KEY.sign(MESSAGE) + b"x")[:signature_bytes]
    assert not is_valid(key, MESSAGE, signature)


# --- strictness --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TORSION)
def test_a_small_order_key_signs_nothing(name: str) -> None:
    """Under such a key, S B = R satisfies the equation for every message: anybody could sign."""
    key = bytes.fromhex(TORSION[name])
    scalar = 5
    signature = compress(multiply(scalar, BASE)) + scalar.to_bytes(32, "little")
    assert textbook_accepts(key, MESSAGE, signature)
    assert not is_valid(key, MESSAGE, signature)


@pytest.mark.parametrize("name", TORSION)
def test_a_small_order_r_is_refused(name: str) -> None:
    r = bytes.fromhex(TORSION[name])
    scalar = challenge(r, KEY.public, MESSAGE) * SECRET % L
    signature = r + scalar.to_bytes(32, "little")
    assert textbook_accepts(KEY.public, MESSAGE, signature)
    assert not is_valid(KEY.public, MESSAGE, signature)


@pytest.mark.parametrize("times", [1, 2, 7])
def test_a_scalar_beyond_the_order_is_refused(times: int) -> None:
    signature = KEY.sign(MESSAGE)
    scalar = int.from_bytes(signature[32:], "little") + times * L
    malleated = signature[:32] + scalar.to_bytes(32, "little")
    assert textbook_accepts(KEY.public, MESSAGE, malleated)
    assert not is_valid(KEY.public, MESSAGE, malleated)


def off_by_nineteen(on_curve: bool) -> list[bytes]:
    """The encodings y >= p, with either sign, that are (or are not) points."""
    found = []
    for y in range(19):
        square = (y * y - 1) * pow(D * y * y + 1, -1, P) % P
        if (pow(square, (P - 1) // 2, P) in (0, 1)) is on_curve:
            found += [((P + y) | sign << 255).to_bytes(32, "little") for sign in (0, 1)]
    return found


@pytest.mark.parametrize("on_curve", [True, False])
def test_points_with_y_beyond_the_field_are_refused(on_curve: bool) -> None:
    encodings = off_by_nineteen(on_curve)
    assert encodings
    for data in encodings:
        scalar = challenge(data, KEY.public, MESSAGE) * SECRET % L
        assert not is_valid(KEY.public, MESSAGE, data + scalar.to_bytes(32, "little"))
        assert not is_valid(data, MESSAGE, KEY.sign(MESSAGE))


def test_openssl_accepts_what_we_refuse() -> None:
    """Why nothing is left to OpenSSL: with the key of order 1 this 'signature' fits every message."""
    key = bytes.fromhex(TORSION["order 1"])
    signature = compress(multiply(5, BASE)) + (5).to_bytes(32, "little")
    Ed25519PublicKey.from_public_bytes(key).verify(signature, MESSAGE)
    Ed25519PublicKey.from_public_bytes(key).verify(signature, b"anything else")
    assert not is_valid(key, MESSAGE, signature)


def test_openssl_refuses_an_ordinary_forgery() -> None:
    with pytest.raises(InvalidSignature):
        Ed25519PublicKey.from_public_bytes(KEY.public).verify(bytes(64), MESSAGE)


# --- the key object ----------------------------------------------------------------------------


def test_a_signing_key_does_not_show_its_secret() -> None:
    shown = repr(KEY)
    assert KEY.public.hex()[:16] in shown
    assert seed("ed25519").hex()[:8] not in shown
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


@pytest.mark.parametrize("length", [0, 31, 33, 64])
def test_a_seed_is_32_bytes(length: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        SigningKey(bytes(length))
