"""HPKE: the published vectors of RFC 9180 (appendix A.2.1) against what `cryptography` does.

`cryptography` has one-shot messages without additional data, and every published message has some ("Count-0"). The
data enters nothing but the tag. So each vector is checked in two steps: the tag is the published one for the
published data under the published key and nonce (by `cryptography`'s AEAD), and the first message, with its published
encapsulated key and ciphertext and a tag for no data, is opened by `cryptography`'s HPKE. It opens only if the library
comes, from the private key and info, to exactly the published key and nonce.
"""

from __future__ import annotations

from typing import Any

import pytest
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite

from cbdc.privacy import envelope
from tests.unit.privacy.keys import published
from tests.wallet import hpke
from wallet import sealing

RFC: dict[str, Any] = published("rfc9180")
V = {name: bytes.fromhex(value) for name, value in RFC.items() if isinstance(value, str) and name != "source"}
SUITE = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
PRIVATE = X25519PrivateKey.from_private_bytes(V["skRm"])
TAG_BYTES = 16
MESSAGES = pytest.mark.parametrize("message", RFC["encryptions"], ids=lambda message: f"sequence {message['sequence']}")


def test_the_vectors_are_of_our_suite() -> None:
    assert (RFC["mode"], RFC["kem_id"], RFC["kdf_id"], RFC["aead_id"]) == (0, 0x0020, 0x0001, 0x0003)
    assert len(RFC["encryptions"]) == 6


def test_the_keys_belong_together() -> None:
    for private, public in (("skRm", "pkRm"), ("skEm", "pkEm")):
        assert X25519PrivateKey.from_private_bytes(V[private]).public_key().public_bytes_raw() == V[public]
    assert V["enc"] == V["pkEm"]


def test_the_second_implementation_comes_to_the_published_key_and_nonce() -> None:
    assert hpke.shared_secret(V["enc"], V["skRm"]) == V["shared_secret"]
    assert hpke.context(V["shared_secret"], V["info"]) == (V["key"], V["base_nonce"])


@MESSAGES
def test_the_published_ciphertexts(message: dict[str, Any]) -> None:
    """Nonces by section 5.2, ciphertext and tag by `cryptography`'s AEAD."""
    nonce = int.from_bytes(V["base_nonce"], "big") ^ message["sequence"]
    assert nonce.to_bytes(12, "big").hex() == message["nonce"]
    ciphertext = ChaCha20Poly1305(V["key"]).encrypt(
        bytes.fromhex(message["nonce"]), bytes.fromhex(message["pt"]), bytes.fromhex(message["aad"])
    )
    assert ciphertext.hex() == message["ct"]


def without_data() -> bytes:
    """The first published message, tagged for no additional data: its ciphertext is the published one."""
    first = RFC["encryptions"][0]
    tagged = ChaCha20Poly1305(V["key"]).encrypt(V["base_nonce"], bytes.fromhex(first["pt"]), b"")
    assert tagged[:-TAG_BYTES].hex() == first["ct"][: -2 * TAG_BYTES]
    return V["enc"] + tagged


def test_the_library_opens_the_published_message() -> None:
    assert SUITE.decrypt(without_data(), PRIVATE, info=V["info"]).hex() == RFC["encryptions"][0]["pt"]


@pytest.mark.parametrize("place", [0, 31, 32, 60, -1])
def test_the_library_opens_it_only_as_published(place: int) -> None:
    changed = bytearray(without_data())
    changed[place] ^= 1
    with pytest.raises(InvalidTag):
        SUITE.decrypt(bytes(changed), PRIVATE, info=V["info"])


def test_the_library_opens_it_for_no_other_info_or_key() -> None:
    for private, info in ((PRIVATE, b""), (X25519PrivateKey.from_private_bytes(V["skEm"]), V["info"])):
        with pytest.raises(InvalidTag):
            SUITE.decrypt(without_data(), private, info=info)


def test_the_library_refuses_the_published_tag() -> None:
    """Because of the additional data; should `cryptography` take some one day, these tests can say it directly."""
    with pytest.raises(InvalidTag):
        SUITE.decrypt(V["enc"] + bytes.fromhex(RFC["encryptions"][0]["ct"]), PRIVATE, info=V["info"])


@pytest.mark.parametrize("suite", [sealing._SUITE, envelope._SUITE], ids=["memos", "envelopes"])
def test_the_project_s_suites_are_this_one(suite: Suite) -> None:
    assert suite.decrypt(without_data(), PRIVATE, info=V["info"]).hex() == RFC["encryptions"][0]["pt"]
    sealed = suite.encrypt(b"text", PRIVATE.public_key(), info=b"info")
    assert hpke.open_first(sealed[:32], sealed[32:], V["skRm"], b"info") == b"text"
