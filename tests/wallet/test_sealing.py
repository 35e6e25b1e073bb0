"""Sealed memos: HPKE as RFC 9180 publishes it, and for nobody but the payee."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from cbdc.errors import Malformed, TengeError, TooLarge
from cbdc.formats.ed25519 import SigningKey
from cbdc.limits import MAX_SEALED_BYTES
from tests.support import seed
from tests.wallet import hpke
from wallet.sealing import MAX_MEMO_CHARS, seal, unseal

NETWORK, OTHER_NETWORK = bytes(32), bytes([1]) * 32
PAYEE, STRANGER = SigningKey(seed("payee")), SigningKey(seed("stranger"))

A_2_1 = {
    "info": "4f6465206f6e2061204772656369616e2055726e",
    "enc": "1afa08d3dec047a643885163f1180476fa7ddb54c6a8029ea33f95796bf2ac4a",
    "pkRm": "4310ee97d88cc1f088a5576c77ab0cf5c3ac797f3d95139c6c84b5429c59662a",
    "skRm": "8057991eef8f1f1af18f4a9491d16a1ce333f695d4db8e38da75975c4478e0fb",
    "shared_secret": "0bbe78490412b4bbea4812666f7916932b828bba79942424abb65244930d69a7",
    "key": "ad2744de8e17f4ebba575b3f5f5a8fa1f69c2a07f6e7500bc60ca6e3e3ec1c91",
    "base_nonce": "5c4d98150661b848853b547f",
    "pt": "4265617574792069732074727574682c20747275746820626561757479",
    "aad": "436f756e742d30",
    "ct": "1c5250d8034ec2b784ba2cfd69dbdb8af406cfe3ff938e131f0def8c8b60b4db21993c62ce81883d2dd1b51a28",
}
"""RFC 9180, appendix A.2.1 (base mode of our suite) and its first encryption, A.2.1.1."""
V = {name: bytes.fromhex(value) for name, value in A_2_1.items()}


def test_the_second_implementation_opens_the_published_vector() -> None:
    assert hpke.shared_secret(V["enc"], V["skRm"]) == V["shared_secret"]
    assert hpke.context(V["shared_secret"], V["info"]) == (V["key"], V["base_nonce"])
    assert hpke.open_first(V["enc"], V["ct"], V["skRm"], V["info"], V["aad"]) == V["pt"]


def test_the_library_seals_what_the_second_implementation_opens() -> None:
    private = X25519PrivateKey.from_private_bytes(V["skRm"])
    assert private.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw) == V["pkRm"]
    suite = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
    sealed = suite.encrypt(V["pt"], private.public_key(), info=V["info"])
    enc, ciphertext = sealed[: hpke.ENC_BYTES], sealed[hpke.ENC_BYTES :]
    assert hpke.open_first(enc, ciphertext, V["skRm"], V["info"]) == V["pt"]
    assert suite.decrypt(sealed, private, info=V["info"]) == V["pt"]


def test_a_memo_is_that_suite_under_the_memo_domain() -> None:
    sealed = seal("three apples", PAYEE.public, NETWORK)
    enc, ciphertext = sealed[: hpke.ENC_BYTES], sealed[hpke.ENC_BYTES :]
    opened = hpke.open_first(enc, ciphertext, PAYEE.agreement_secret(), b"tenge/v1/memo" + NETWORK)
    assert opened == b"three apples"


@pytest.mark.parametrize("memo", ["rent", "Үш алма, 3 × 150 ₸", "x" * MAX_MEMO_CHARS, "🍎" * MAX_MEMO_CHARS])
def test_the_payee_reads_the_memo(memo: str) -> None:
    sealed = seal(memo, PAYEE.public, NETWORK)
    assert len(sealed) <= MAX_SEALED_BYTES
    assert memo.encode() not in sealed
    assert unseal(sealed, PAYEE, NETWORK) == memo


def test_the_same_memo_is_never_sealed_twice_alike() -> None:
    assert seal("rent", PAYEE.public, NETWORK) != seal("rent", PAYEE.public, NETWORK)


def test_nobody_else_reads_it_and_no_other_network() -> None:
    sealed = seal("rent", PAYEE.public, NETWORK)
    for key, network in ((STRANGER, NETWORK), (PAYEE, OTHER_NETWORK)):
        with pytest.raises(Malformed, match="not for this key"):
            unseal(sealed, key, network)


@pytest.mark.parametrize("damage", [lambda s: s[:-1], lambda s: s + b"\0", lambda s: bytes(32) + s[32:], lambda s: b""])
def test_damaged_memos_are_refused(damage: object) -> None:
    with pytest.raises(Malformed):
        unseal(damage(seal("rent", PAYEE.public, NETWORK)), PAYEE, NETWORK)  # type: ignore[operator]


@pytest.mark.parametrize("place", [0, 31, 32, 40, -1])
def test_a_flipped_bit_is_refused(place: int) -> None:
    sealed = bytearray(seal("rent", PAYEE.public, NETWORK))
    sealed[place] ^= 1
    with pytest.raises(Malformed):
        unseal(bytes(sealed), PAYEE, NETWORK)


def test_a_long_memo_is_refused() -> None:
    with pytest.raises(TooLarge):
        seal("x" * (MAX_MEMO_CHARS + 1), PAYEE.public, NETWORK)


def test_a_key_that_is_no_point_is_refused_by_name() -> None:
    with pytest.raises(TengeError):
        seal("rent", bytes(32), NETWORK)
