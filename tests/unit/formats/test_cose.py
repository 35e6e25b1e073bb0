"""COSE signatures: the structure that is signed, and the one spelling that is read."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cbdc.errors import BadSignature, FormError, Malformed, NotCanonical, TooLarge
from cbdc.formats import cbor, cose
from cbdc.formats.cose import Signature
from cbdc.formats.ed25519 import SigningKey, is_valid
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_SIGNATURES
from tests.support import seed

NETWORK, OTHER_NETWORK = seed("network"), seed("other network")
A, B = sorted((SigningKey(seed("a")), SigningKey(seed("b"))), key=lambda key: key.public)
PAYLOAD = b"This is the content."
INVOICE, TRANSFER = Kind.INVOICE, Kind.TRANSFER


def test_the_wg_example_is_signed_as_we_sign() -> None:
    """COSE WG example: key 1 of RFC 8032, protected {1: -8}, empty external data."""
    key = SigningKey(bytes.fromhex("9d61b19deffd5a60ba844af492ec2cc44449c5697b326919703bac031cae7f60"))
    protected = cbor.encode({cose.HEADER_ALG: cose.ALG_EDDSA})
    to_be_signed = cbor.encode(["Signature1", protected, b"", PAYLOAD])
    assert protected.hex() == "a10127"
    assert to_be_signed.hex().upper() == (
        "846A5369676E61747572653143A101274054546869732069732074686520636F6E74656E742E"
    )
    assert cose._sign1_structure(protected, PAYLOAD, b"") == to_be_signed
    assert is_valid(key.public, to_be_signed, key.sign(to_be_signed))


def test_sign1_signs_the_structure_of_rfc_9052() -> None:
    protected, unprotected, payload, signature = cbor.decode(cose.sign1(A, INVOICE, PAYLOAD, NETWORK))
    assert cbor.decode(protected) == {1: -8, 3: INVOICE.value}
    assert (unprotected, payload) == ({}, PAYLOAD)
    assert is_valid(A.public, cbor.encode(["Signature1", protected, NETWORK, PAYLOAD]), signature)


@pytest.mark.parametrize("length", [0, 1, 23, 24, 255, 256, 65535, 65536])
def test_sign_signs_the_structure_of_rfc_9052(length: int) -> None:
    payload = bytes(length)
    protected, unprotected, carried, signers = cbor.decode(cose.sign([A, B], TRANSFER, payload, NETWORK))
    assert cbor.decode(protected) == {3: TRANSFER.value}
    assert (unprotected, carried) == ({}, payload)
    for key, (signer_protected, signer_unprotected, signature) in zip((A, B), signers, strict=True):
        assert cbor.decode(signer_protected) == {1: -8}
        assert signer_unprotected == {4: key.public}
        structure = cbor.encode(["Signature", protected, signer_protected, NETWORK, payload])
        assert structure == cose.signed_structure(TRANSFER, payload, NETWORK)
        assert is_valid(key.public, structure, signature)


# --- COSE_Sign1 --------------------------------------------------------------------------------


def test_verify1_returns_the_payload() -> None:
    assert cose.verify1(cose.sign1(A, INVOICE, PAYLOAD, NETWORK), INVOICE, NETWORK, A.public) == PAYLOAD


@pytest.mark.parametrize(
    ("kind", "network", "key"),
    [(INVOICE, OTHER_NETWORK, A), (INVOICE, NETWORK, B)],
    ids=["foreign network", "another key"],
)
def test_verify1_refuses_a_foreign_signature(kind: Kind, network: bytes, key: SigningKey) -> None:
    with pytest.raises(BadSignature):
        cose.verify1(cose.sign1(A, INVOICE, PAYLOAD, NETWORK), kind, network, key.public)


@pytest.mark.parametrize("kind", [kind for kind in Kind if kind is not INVOICE])
def test_verify1_refuses_a_foreign_content_type(kind: Kind) -> None:
    with pytest.raises(Malformed):
        cose.verify1(cose.sign1(A, INVOICE, PAYLOAD, NETWORK), kind, NETWORK, A.public)


def _sign1_with(index: int, value: object) -> bytes:
    parts = cbor.decode(cose.sign1(A, INVOICE, PAYLOAD, NETWORK))
    parts[index] = value
    return cbor.encode(parts)


@pytest.mark.parametrize(
    ("error", "data"),
    [
        (Malformed, _sign1_with(0, cbor.encode({1: -8}))),
        (Malformed, _sign1_with(0, cbor.encode({1: -7, 3: INVOICE.value}))),
        (Malformed, _sign1_with(0, {1: -8, 3: INVOICE.value})),
        (Malformed, _sign1_with(1, {4: A.public})),
        (Malformed, _sign1_with(2, None)),
        (Malformed, _sign1_with(3, bytes(63))),
        (Malformed, b"\x84" + bytes(3)),
        (Malformed, cbor.encode([1, 2, 3])),
        (BadSignature, _sign1_with(2, PAYLOAD + b"!")),
        (BadSignature, _sign1_with(3, bytes(64))),
    ],
)
def test_verify1_refuses(error: type[Exception], data: bytes) -> None:
    with pytest.raises(error):
        cose.verify1(data, INVOICE, NETWORK, A.public)


def test_a_tagged_sign1_is_refused() -> None:
    with pytest.raises(Malformed):
        cose.verify1(b"\xd2" + cose.sign1(A, INVOICE, PAYLOAD, NETWORK), INVOICE, NETWORK, A.public)


# --- COSE_Sign ---------------------------------------------------------------------------------


def test_checks_hold_for_this_network_only() -> None:
    signed = cose.decode(cose.sign([B, A], TRANSFER, PAYLOAD, NETWORK))
    assert (signed.kind, signed.payload) == (TRANSFER, PAYLOAD)
    assert [check.key for check in cose.checks(signed, NETWORK)] == [A.public, B.public]
    assert all(check.holds() for check in cose.checks(signed, NETWORK))
    assert not any(check.holds() for check in cose.checks(signed, OTHER_NETWORK))


def test_a_signature_does_not_count_for_another_kind() -> None:
    signature = cose.decode(cose.sign([A], TRANSFER, PAYLOAD, NETWORK)).signatures[0]
    signed = cose.decode(cose.assemble(Kind.LOAD, PAYLOAD, [signature]))
    assert [check.holds() for check in cose.checks(signed, NETWORK)] == [False]


def test_assembling_elsewhere_gives_the_same_bytes() -> None:
    structure = cose.signed_structure(TRANSFER, PAYLOAD, NETWORK)
    signatures = [Signature(key.public, key.sign(structure)) for key in (B, A)]
    assert cose.assemble(TRANSFER, PAYLOAD, signatures) == cose.sign([A, B], TRANSFER, PAYLOAD, NETWORK)


def _with_signers(change: Callable[[list], list]) -> bytes:
    parts = cbor.decode(cose.sign([A, B], TRANSFER, PAYLOAD, NETWORK))
    parts[3] = change(parts[3])
    return cbor.encode(parts)


def _replaced(index: int, value: object) -> Callable[[list], list]:
    """The first signer with another field."""

    def change(signers: list) -> list:
        signers[0][index] = value
        return signers

    return change


def _sign_with(index: int, value: object) -> bytes:
    parts = cbor.decode(cose.sign([A], TRANSFER, PAYLOAD, NETWORK))
    parts[index] = value
    return cbor.encode(parts)


MALFORMED: dict[str, tuple[type[FormError], bytes]] = {
    "unsorted signers": (Malformed, _with_signers(lambda signers: signers[::-1])),
    "a signer twice": (Malformed, _with_signers(lambda signers: [signers[0], signers[0]])),
    "too many signers": (TooLarge, _with_signers(lambda signers: signers * MAX_SIGNATURES)),
    "signers are a map": (Malformed, _with_signers(lambda signers: {1: signers})),
    "kid too short": (Malformed, _with_signers(_replaced(1, {4: A.public[:31]}))),
    "no kid": (Malformed, _with_signers(_replaced(1, {}))),
    "kid and more": (Malformed, _with_signers(_replaced(1, {4: A.public, 5: 0}))),
    "kid elsewhere": (Malformed, _with_signers(_replaced(1, {5: A.public}))),
    "kid is a float": (Malformed, _with_signers(_replaced(1, {4.0: A.public}))),
    "kid is a text": (Malformed, _with_signers(_replaced(1, {"4": A.public}))),
    "signer's header is a list": (Malformed, _with_signers(_replaced(1, [4, A.public]))),
    "no algorithm": (Malformed, _with_signers(_replaced(0, b""))),
    "another algorithm": (Malformed, _with_signers(_replaced(0, cbor.encode({1: -7})))),
    "signature too short": (Malformed, _with_signers(_replaced(2, bytes(63)))),
    "signature missing": (Malformed, _with_signers(_replaced(2, None))),
    "foreign content type": (Malformed, _sign_with(0, cbor.encode({3: "text/plain"}))),
    "no content type": (Malformed, _sign_with(0, b"")),
    "content type and more": (Malformed, _sign_with(0, cbor.encode({1: -8, 3: TRANSFER.value}))),
    "unprotected header": (Malformed, _sign_with(1, {4: A.public})),
    "detached payload": (Malformed, _sign_with(2, None)),
    "tagged": (Malformed, b"\xd8\x62" + cose.sign([A], TRANSFER, PAYLOAD, NETWORK)),
    "trailing byte": (NotCanonical, cose.sign([A], TRANSFER, PAYLOAD, NETWORK) + b"\x00"),
    "not an array": (Malformed, b"\x00"),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_decode_refuses(case: str) -> None:
    error, data = MALFORMED[case]
    with pytest.raises(FormError) as caught:
        cose.decode(data)
    assert type(caught.value) is error


def test_a_wrong_kid_does_not_hold() -> None:
    other = SigningKey(seed("c"))
    signature = cose.decode(cose.sign([A], TRANSFER, PAYLOAD, NETWORK)).signatures[0]
    signed = cose.decode(cose.assemble(TRANSFER, PAYLOAD, [Signature(other.public, signature.value)]))
    assert not cose.checks(signed, NETWORK)[0].holds()


@pytest.mark.parametrize("length", [0, 1, 23, 24, 25, 255, 256, 257, 65_535, 65_536, 65_537])
@pytest.mark.parametrize("kind", [Kind.LOAD, Kind.TRANSFER, Kind.INVOICE])
def test_one_signer_is_read_as_by_the_decoder_of_all_messages(
    kind: Kind, length: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The way past the CBOR decoder gives what the decoder gives; and whatever byte is changed, it says so as well."""
    data = cose.sign([A], kind, bytes(length), NETWORK)
    short_cut = cose.decode(data)
    changed = [data[:at] + bytes((data[at] ^ 1,)) + data[at + 1 :] for at in [*range(50), *range(-110, 0)]]
    found = [_read(message) for message in changed]
    monkeypatch.setattr(cose, "_one_signer", lambda _: None)
    assert short_cut == cose.decode(data) == cose.Signed(kind, bytes(length), short_cut.signatures)
    assert found == [_read(message) for message in changed]


def _read(data: bytes) -> object:
    try:
        return cose.decode(data)
    except FormError as error:
        return error.code, error.message
