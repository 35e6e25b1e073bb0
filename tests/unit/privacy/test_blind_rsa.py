"""Blind RSA: the published vectors of RFC 9474, what is complete, and what is refused, each by its name."""

from __future__ import annotations

import pickle
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.asymmetric.padding import MGF1, PSS
from cryptography.hazmat.primitives.asymmetric.rsa import (
    RSAPrivateNumbers,
    RSAPublicNumbers,
    rsa_crt_dmp1,
    rsa_crt_iqmp,
)
from cryptography.hazmat.primitives.hashes import SHA384
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from cbdc.errors import BadSignature, InvariantViolation, Malformed, TooLarge
from cbdc.limits import MAX_RSA_SPKI_BYTES
from cbdc.privacy import blind_rsa
from cbdc.privacy.blind_rsa import (
    PSS_DETERMINISTIC,
    PSS_RANDOMIZED,
    PSSZERO_DETERMINISTIC,
    PSSZERO_RANDOMIZED,
    Blinding,
    PrivateKey,
    PublicKey,
    Variant,
    answers,
    blind,
    blind_sign,
    finalize,
    prepare,
    verify,
)
from tests.unit.privacy.keys import Replay, library_key, private_key, published

VARIANTS = {v.name: v for v in (PSS_RANDOMIZED, PSSZERO_RANDOMIZED, PSS_DETERMINISTIC, PSSZERO_DETERMINISTIC)}
RFC = published("rfc9474")
KEY, OTHER = private_key("a"), private_key("b")
MESSAGE = b"a note's serial"


def signed(message: bytes = MESSAGE, key: PrivateKey = KEY, name: str = "wallet") -> tuple[bytes, bytes, Blinding]:
    """Prepared message, signature and blinding of a whole run."""
    random = Replay(name)
    prepared = prepare(message, random)
    blinding = blind(key.public, prepared, random)
    return (
        prepared,
        finalize(key.public, prepared, blinding, blind_sign(key, blinding.blinded, Replay("signer"))),
        blinding,
    )


# --- published vectors -------------------------------------------------------------------------


def rfc_key() -> PrivateKey:
    p, q, n, e, d = (int(RFC["key"][name], 16) for name in "pqned")
    numbers = RSAPrivateNumbers(
        p, q, d, rsa_crt_dmp1(d, p), rsa_crt_dmp1(d, q), rsa_crt_iqmp(p, q), RSAPublicNumbers(e, n)
    )
    return PrivateKey(numbers.private_key())


@pytest.mark.parametrize("vector", RFC["vectors"], ids=lambda vector: vector["name"])
def test_the_vectors_of_rfc_9474(vector: dict[str, str]) -> None:
    key, variant = rfc_key(), VARIANTS[vector["name"]]
    v = {name: bytes.fromhex(value) for name, value in vector.items() if name != "name"}
    inverse = int.from_bytes(v["inv"], "big")
    r = pow(inverse, -1, key.public.n).to_bytes(key.public.size, "big")
    random = Replay(draws=tuple(draw for draw in (v["msg_prefix"], v["salt"], r) if draw))
    prepared = prepare(v["msg"], random, variant)
    assert prepared == v["msg_prefix"] + v["msg"]
    blinding = blind(key.public, prepared, random, variant)
    assert blinding == Blinding(v["blinded_msg"], inverse)
    assert blind_sign(key, blinding.blinded, Replay()) == v["blind_sig"]
    assert finalize(key.public, prepared, blinding, v["blind_sig"], variant) == v["sig"]
    verify(key.public, prepared, v["sig"], variant)


def test_all_four_variants_have_a_vector() -> None:
    assert {vector["name"] for vector in RFC["vectors"]} == set(VARIANTS)


# --- completeness ------------------------------------------------------------------------------


@settings(max_examples=20)
@given(message=st.binary(max_size=100), name=st.text(max_size=3), variant=st.sampled_from(list(VARIANTS.values())))
def test_what_is_blinded_signed_and_finalized_verifies(message: bytes, name: str, variant: Variant) -> None:
    random = Replay(name)
    prepared = prepare(message, random, variant)
    blinding = blind(KEY.public, prepared, random, variant)
    answer = blind_sign(KEY, blinding.blinded, random)
    assert answers(KEY.public, blinding.blinded, answer)
    verify(KEY.public, prepared, finalize(KEY.public, prepared, blinding, answer, variant), variant)


@pytest.mark.parametrize("bits", [2048, 3072])
def test_the_signature_is_an_ordinary_pss_signature(bits: int) -> None:
    key = private_key("sizes", bits)
    prepared, signature, _ = signed(key=key)
    public = library_key("sizes", bits).public_key()
    public.verify(signature, prepared, PSS(MGF1(SHA384()), 48), SHA384())
    assert len(signature) == key.public.size == bits // 8


def test_an_ordinary_pss_signature_verifies() -> None:
    signature = library_key("a").sign(bytes(32) + MESSAGE, PSS(MGF1(SHA384()), 48), SHA384())
    verify(KEY.public, bytes(32) + MESSAGE, signature)


def test_the_signer_answers_the_same_bytes_alike_whatever_it_draws() -> None:
    blinded = signed()[2].blinded
    assert blind_sign(KEY, blinded, Replay("one")) == blind_sign(KEY, blinded, Replay("two"))


def test_what_is_raised_is_never_what_the_caller_chose(monkeypatch: pytest.MonkeyPatch) -> None:
    """Base blinding: the same message under two draws is raised as different numbers, none of them the message."""
    raised: list[int] = []

    def recorded(base: Any, exponent: Any, modulus: Any) -> Any:
        raised.append(int(base))
        return pow(base, exponent, modulus)

    blinded = signed()[2].blinded
    monkeypatch.setattr("gmpy2.powmod_sec", recorded)
    for name in ("one", "two"):
        blind_sign(KEY, blinded, Replay(name))
    numbers, m = library_key("a").private_numbers(), int.from_bytes(blinded, "big")
    assert len(set(raised)) == 4
    assert not {m % numbers.p, m % numbers.q} & set(raised)


# --- soundness: each refusal by name -----------------------------------------------------------


def refused(key: PublicKey, prepared: bytes, signature: bytes) -> None:
    with pytest.raises(BadSignature):
        verify(key, prepared, signature)


def test_another_key_s_signature() -> None:
    prepared, signature, _ = signed()
    refused(OTHER.public, prepared, signature)


def test_another_message() -> None:
    prepared, signature, _ = signed()
    refused(KEY.public, prepared + b"\0", signature)
    refused(KEY.public, prepared[:-1], signature)


def test_another_prefix() -> None:
    prepared, signature, _ = signed()
    refused(KEY.public, bytes([prepared[0] ^ 1]) + prepared[1:], signature)


def test_no_prefix_at_all() -> None:
    signature = library_key("a").sign(b"short", PSS(MGF1(SHA384()), 48), SHA384())
    refused(KEY.public, b"short", signature)


@pytest.mark.parametrize("salt_bytes", [0, 47, 49, 20])
def test_another_salt_length(salt_bytes: int) -> None:
    prepared = bytes(32) + MESSAGE
    refused(KEY.public, prepared, library_key("a").sign(prepared, PSS(MGF1(SHA384()), salt_bytes), SHA384()))


def test_a_changed_salt() -> None:
    """The same draws but for the salt: the answer to the one does not finish the other."""
    factor = bytes(8) + Replay("factor")(KEY.public.size - 8)
    one, two = (blind(KEY.public, bytes(32) + MESSAGE, Replay(draws=(bytes([salt]) * 48, factor))) for salt in (1, 2))
    assert one.inverse == two.inverse
    assert one.blinded != two.blinded
    answer = blind_sign(KEY, one.blinded, Replay())
    assert not answers(KEY.public, two.blinded, answer)


def test_a_signature_with_another_exponent() -> None:
    """Exponent 3 under the same modulus: neither its key nor its signature is taken."""
    library = library_key("three", exponent=3)
    prepared = bytes(32) + MESSAGE
    signature = library.sign(prepared, PSS(MGF1(SHA384()), 48), SHA384())
    refused(PublicKey(library.public_key().public_numbers().n), prepared, signature)
    with pytest.raises(Malformed, match="exponent is 65537"):
        PrivateKey(library)
    spki = library.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(Malformed, match="exponent is 65537"):
        PublicKey.from_der(spki)


@pytest.mark.parametrize("value", [0, 1, -1, "n-1", "n", "n+1", "all ones"])
def test_a_blinded_message_out_of_range(value: Any) -> None:
    n = KEY.public.n
    number = {"n-1": n - 1, "n": n, "n+1": n + 1, "all ones": (1 << 2048) - 1, -1: n - 1}.get(value, value)
    with pytest.raises(Malformed, match="out of range"):
        blind_sign(KEY, number.to_bytes(256, "big"), Replay())


@pytest.mark.parametrize("change", [lambda b: b[:-1], lambda b: b + b"\0", lambda b: b"\0" + b, lambda _: b""])
def test_a_blinded_message_of_another_length(change: Any) -> None:
    with pytest.raises(Malformed, match="as long as the modulus"):
        blind_sign(KEY, change(signed()[2].blinded), Replay())


def test_a_malleated_signature() -> None:
    prepared, signature, _ = signed()
    s, n = int.from_bytes(signature, "big"), KEY.public.n
    others = [n - s, s * 2 % n, pow(s, -1, n), s * s % n]
    forged = [number.to_bytes(256, "big") for number in others]
    forged += [(s + n).to_bytes(257, "big"), b"\0" + signature, signature + b"\0", signature[1:], b""]
    forged += [(s + n).to_bytes(256, "big")] if s + n < 1 << 2048 else []
    forged += [bytes(256), (1).to_bytes(256, "big"), (n - 1).to_bytes(256, "big"), n.to_bytes(256, "big")]
    for bad in forged:
        refused(KEY.public, prepared, bad)


@pytest.mark.parametrize("place", [0, 1, 127, 128, 254, 255])
def test_a_flipped_bit_of_the_signature(place: int) -> None:
    prepared, signature, _ = signed()
    refused(KEY.public, prepared, signature[:place] + bytes([signature[place] ^ 1]) + signature[place + 1 :])


def test_a_product_of_two_signatures() -> None:
    """RSA multiplies, PSS does not: two notes make no third."""
    (prepared, one, _), (_, two, _) = signed(), signed(b"another", name="else")
    product = int.from_bytes(one, "big") * int.from_bytes(two, "big") % KEY.public.n
    refused(KEY.public, prepared, product.to_bytes(256, "big"))


def test_a_replayed_answer_for_another_message() -> None:
    first = signed()[2]
    answer = blind_sign(KEY, first.blinded, Replay())
    random = Replay("second")
    prepared = prepare(b"another serial", random)
    second = blind(KEY.public, prepared, random)
    for blinding in (second, Blinding(second.blinded, first.inverse)):
        with pytest.raises(BadSignature):
            finalize(KEY.public, prepared, blinding, answer)
    assert not answers(KEY.public, second.blinded, answer)


@pytest.mark.parametrize("change", [lambda a: a[:-1], lambda a: a + b"\0", lambda _: b"\xff" * 256, lambda _: b""])
def test_an_answer_of_the_wrong_form(change: Any) -> None:
    prepared, _, blinding = signed()
    bad = change(blind_sign(KEY, blinding.blinded, Replay()))
    assert not answers(KEY.public, blinding.blinded, bad)
    with pytest.raises(Malformed):
        finalize(KEY.public, prepared, blinding, bad)


@pytest.mark.parametrize("answer", [bytes(256), (1).to_bytes(256, "big"), b"\x02" * 256])
def test_an_answer_that_signs_nothing(answer: bytes) -> None:
    prepared, _, blinding = signed()
    with pytest.raises(BadSignature):
        finalize(KEY.public, prepared, blinding, answer)


def test_an_answer_by_another_key() -> None:
    prepared, _, blinding = signed()
    number = int.from_bytes(blinding.blinded, "big") % OTHER.public.n
    answer = blind_sign(OTHER, number.to_bytes(256, "big"), Replay())
    with pytest.raises((BadSignature, Malformed)):
        finalize(KEY.public, prepared, blinding, answer)


def test_a_miscalculated_half_is_never_given_out() -> None:
    """Boneh, DeMillo and Lipton: one wrong half of the remainders gives away the factors."""
    key = PrivateKey(library_key("a"))
    key._d_p += 2
    with pytest.raises(InvariantViolation):
        blind_sign(key, signed()[2].blinded, Replay())


# --- randomness --------------------------------------------------------------------------------


@pytest.mark.parametrize("bad", [lambda _: b"", lambda n: bytes(n - 1), lambda n: bytes(n + 1)])
def test_a_source_that_gives_another_number_of_bytes(bad: Any) -> None:
    with pytest.raises(InvariantViolation):
        prepare(MESSAGE, bad)


@pytest.mark.parametrize("byte", [b"\0", b"\xff"])
def test_a_source_that_does_not_move(byte: bytes) -> None:
    with pytest.raises(InvariantViolation, match="does not move"):
        blind(KEY.public, bytes(32) + MESSAGE, lambda count: byte * count)


def test_a_draw_above_the_modulus_is_drawn_again() -> None:
    good = b"\1" * 256
    once = blind(KEY.public, MESSAGE, Replay(draws=(good,)), PSSZERO_DETERMINISTIC)
    twice = blind(KEY.public, MESSAGE, Replay(draws=(b"\xff" * 256, bytes(256), good)), PSSZERO_DETERMINISTIC)
    assert once == twice


def test_a_draw_that_factors_the_modulus() -> None:
    p = library_key("a").private_numbers().p
    with pytest.raises(Malformed, match="factored"):
        blind(KEY.public, MESSAGE, Replay(draws=(p.to_bytes(256, "big"),)), PSSZERO_DETERMINISTIC)


def test_a_message_that_factors_the_modulus(monkeypatch: pytest.MonkeyPatch) -> None:
    p = library_key("a").private_numbers().p
    monkeypatch.setattr(blind_rsa, "_emsa_pss_encode", lambda *_: p.to_bytes(256, "big"))
    with pytest.raises(Malformed, match="cannot be blinded"):
        blind(KEY.public, MESSAGE, Replay(), PSSZERO_DETERMINISTIC)


# --- unlinkability -----------------------------------------------------------------------------


def test_one_message_is_never_blinded_twice_alike() -> None:
    prepared = bytes(32) + MESSAGE
    one, two = (blind(KEY.public, prepared, Replay(name)) for name in ("one", "two"))
    assert one.blinded != two.blinded
    assert one.inverse != two.inverse


def test_what_the_signer_saw_is_not_in_what_is_paid_with() -> None:
    prepared, signature, blinding = signed()
    seen = blinding.blinded + blind_sign(KEY, blinding.blinded, Replay())
    pieces = {seen[i : i + 5] for i in range(len(seen) - 4)}
    paid = prepared + signature
    assert not [i for i in range(len(paid) - 4) if paid[i : i + 5] in pieces]


def test_every_withdrawal_explains_every_note() -> None:
    """Perfect blindness: for any withdrawal and any note there is one factor that would have led from one to other."""
    runs = [signed(name.encode(), name=name) for name in ("one", "two", "three")]
    n, e = KEY.public.n, 65537
    for _, _, blinding in runs:
        answer = int.from_bytes(blind_sign(KEY, blinding.blinded, Replay()), "big")
        for _, signature, _ in runs:
            s = int.from_bytes(signature, "big")
            factor = answer * pow(s, -1, n) % n
            encoded = pow(s, e, n)
            assert encoded * pow(factor, e, n) % n == int.from_bytes(blinding.blinded, "big")


# --- keys --------------------------------------------------------------------------------------


def test_a_public_key_is_encoded_under_the_pss_oid() -> None:
    der = KEY.public.to_der()
    assert PublicKey.from_der(der) == KEY.public
    assert len(der) == 342
    assert der.hex().startswith("30820152303d06092a864886f70d01010a3030a00d300b0609608648016503040202a11a3018")
    assert len(rfc_key().public.to_der()) <= MAX_RSA_SPKI_BYTES
    assert PublicKey.from_der(rfc_key().public.to_der()) == rfc_key().public


@pytest.mark.parametrize("bits", [1024, 2056])
def test_a_key_of_another_size(bits: int) -> None:
    library = library_key("size", bits)
    with pytest.raises(Malformed, match="of a size in use"):
        PrivateKey(library)
    with pytest.raises(Malformed, match="of a size in use"):
        PublicKey.from_der(library.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))


def test_an_even_modulus() -> None:
    with pytest.raises(Malformed, match="odd"):
        PublicKey(KEY.public.n - 1)


def test_a_public_key_under_the_rsa_encryption_oid() -> None:
    spki = library_key("a").public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    with pytest.raises(Malformed, match="id-RSASSA-PSS"):
        PublicKey.from_der(spki)


def test_bytes_that_are_no_public_key() -> None:
    der = KEY.public.to_der()
    ed25519 = Ed25519PrivateKey.generate().public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    for bad in (b"", b"\x30\x00", der[:-1], der + b"\0", ed25519):
        with pytest.raises(Malformed):
            PublicKey.from_der(bad)
    with pytest.raises(TooLarge):
        PublicKey.from_der(bytes(MAX_RSA_SPKI_BYTES + 1))


def pkcs8(key: Any) -> bytes:
    encoded: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return encoded


def test_a_private_key_is_read_from_pkcs8() -> None:
    assert PrivateKey.from_der(pkcs8(library_key("a"))).public == KEY.public
    for bad in (b"", b"\x30\x00", pkcs8(Ed25519PrivateKey.generate())):
        with pytest.raises(Malformed):
            PrivateKey.from_der(bad)


def test_nothing_secret_is_shown() -> None:
    blinding = signed()[2]
    numbers = library_key("a").private_numbers()
    shown = repr(KEY) + str(KEY) + repr(blinding)
    secrets = (numbers.p, numbers.q, numbers.d, numbers.dmp1, blinding.inverse)
    assert not any(str(secret) in shown or f"{secret:x}" in shown for secret in secrets)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)
