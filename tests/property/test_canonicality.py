"""Every message has exactly one spelling: whatever else says the same is refused, outside and inside the signature."""

from __future__ import annotations

from collections.abc import Iterator

import cbor2
import pytest

from cbdc.errors import FormError, Malformed, NotCanonical
from cbdc.formats import cbor, certificates, cose, requests
from cbdc.messages.message import decode
from cbdc.offline.documents import LoadCertificate, SyncCertificate, TrustList
from tests.property import spellings
from tests.vectors import samples

MESSAGES = samples.messages()
SIGN1 = {
    "wallet-certificate": ("altyn", lambda raw: certificates.verify(raw, samples.NETWORK, key_of("altyn"))),
    "purse-certificate": ("altyn", lambda raw: certificates.verify(raw, samples.NETWORK, key_of("altyn"))),
    "allowed-certificate": ("altyn", lambda raw: certificates.verify(raw, samples.NETWORK, key_of("altyn"))),
    "request": ("canteen online", lambda raw: requests.read(raw, samples.NETWORK)),
    "load-certificate": ("operator", lambda raw: LoadCertificate.verify(raw, samples.NETWORK, key_of("operator"))),
    "sync-certificate": ("operator", lambda raw: SyncCertificate.verify(raw, samples.NETWORK, key_of("operator"))),
    "trust-list": ("operator", lambda raw: TrustList.verify(raw, samples.NETWORK)),
}


def key_of(name: str) -> bytes:
    return samples.KEYS[name].public


def other_spellings(data: bytes) -> Iterator[bytes]:
    """The same value as ``data``, written otherwise."""
    yield from spellings.longer_heads(data)
    yield from spellings.indefinite(data)
    yield from spellings.reordered_maps(cbor2.loads(data))
    yield data + b"\0"
    yield data + b"\xf6"
    yield b"\xd9\xd9\xf7" + data  # the tag "this is CBOR"


@pytest.mark.parametrize("name", MESSAGES)
def test_the_envelope_has_one_spelling(name: str) -> None:
    for other in other_spellings(MESSAGES[name].raw):
        with pytest.raises(FormError):
            decode(other, samples.NETWORK)


@pytest.mark.parametrize("name", MESSAGES)
def test_the_payload_has_one_spelling(name: str) -> None:
    """Even where the right keys sign the other spelling."""
    sample = MESSAGES[name]
    for other in other_spellings(cbor.encode(sample.body.to_cbor())):
        with pytest.raises((NotCanonical, Malformed)):
            decode(cose.sign(sample.keys, sample.kind, other, samples.NETWORK), samples.NETWORK)


@pytest.mark.parametrize("name", SIGN1)
def test_what_one_key_says_has_one_spelling(name: str) -> None:
    signer, open_ = SIGN1[name]
    raw = samples.signed()[name].raw
    for other in other_spellings(raw):
        with pytest.raises(FormError):
            open_(other)
    protected, _, payload, _ = cbor2.loads(raw)
    kind = next(kind for kind in cose.Kind if kind.value == cbor2.loads(protected)[cose.HEADER_CONTENT_TYPE])
    for other in other_spellings(payload):
        with pytest.raises(FormError):
            open_(cose.sign1(samples.KEYS[signer], kind, other, samples.NETWORK))


def test_the_request_inside_a_payment_has_one_spelling() -> None:
    """Even where the payer signs a payment with the other spelling, and the payee the other spelling of its words."""
    sample = MESSAGES["requested-payment"]
    raw = sample.body.request
    others = list(other_spellings(raw))
    payee = samples.KEYS["canteen online"]
    others += [
        cose.sign1(payee, cose.Kind.REQUEST, other, samples.NETWORK) for other in other_spellings(cbor2.loads(raw)[2])
    ]
    for other in others:
        payload = cbor.encode([*sample.body.to_cbor()[:-1], other])
        with pytest.raises(FormError):
            decode(cose.sign(sample.keys, sample.kind, payload, samples.NETWORK), samples.NETWORK)


@pytest.mark.parametrize("name", ["redeem", "transfer", "recall"])
def test_signers_stand_in_one_order_and_once(name: str) -> None:
    protected, unprotected, payload, signers = cbor2.loads(MESSAGES[name].raw)
    for wrong in (signers[::-1], [signers[0], *signers], [*signers, signers[-1]]):
        with pytest.raises(Malformed):
            decode(cbor.encode([protected, unprotected, payload, wrong]), samples.NETWORK)


@pytest.mark.parametrize("name", MESSAGES)
def test_unprotected_headers_are_empty(name: str) -> None:
    protected, _, payload, signers = cbor2.loads(MESSAGES[name].raw)
    with pytest.raises(Malformed):
        decode(cbor.encode([protected, {1: -8}, payload, signers]), samples.NETWORK)


@pytest.mark.parametrize("number", [b"\xc2\x41\x05", b"\xfa\x40\xa0\0\0", b"\x18\x05", b"\xc1\x05"], ids=bytes.hex)
def test_a_number_is_an_integer_in_its_shortest_form(number: bytes) -> None:
    """Five, as a big number, as a long float, too wide, and as a date."""
    with pytest.raises(FormError):
        cbor.decode(b"\x81" + number)


@pytest.mark.parametrize("label", [4.0, -4, "4", None])
def test_a_signer_names_its_key_under_one_label(label: object) -> None:
    """The header is not signed, so anybody could spell it otherwise: a float equals the integer."""
    protected, unprotected, payload, signers = cbor2.loads(MESSAGES["revoke"].raw)
    signer, header, signature = signers[0]
    signers[0] = [signer, {label: header[cose.HEADER_KID]}, signature]
    with pytest.raises(FormError):
        decode(cbor2.dumps([protected, unprotected, payload, signers], canonical=True), samples.NETWORK)


@pytest.mark.parametrize("one", [True, 1.0])
@pytest.mark.parametrize("place", ["claim", "cnf", "key type label", "key type"])
def test_a_certificate_says_one_as_an_integer(place: str, one: object) -> None:
    """True and 1.0 equal 1, and would be other spellings of the same claims."""
    claims = cbor2.loads(cbor2.loads(samples.certificate("aigul", is_purse=False))[2])
    cnf = claims[certificates.CNF]
    holder = {"claim": claims, "cnf": cnf, "key type label": cnf[1], "key type": cnf[1]}[place]
    if place == "key type":
        holder[1] = one
    else:
        holder[one] = holder.pop(1)
    with pytest.raises(FormError):
        certificates.parse_claims(cbor2.dumps(claims, canonical=True))


@pytest.mark.parametrize("stated", [None, [], [["bread", 15_00]]], ids=["nothing", "no lines", "bare lines"])
def test_what_is_bought_is_said_in_one_way(stated: object) -> None:
    """Online by a request alone, between purses by bare lines alone; nothing at all is said as null."""
    for name, is_offline in (("requested-payment", False), ("offline-payment-with-lines", True)):
        sample = MESSAGES[name]
        payload = cbor.encode([*sample.body.to_cbor()[:-1], stated])
        raw = cose.sign(sample.keys, sample.kind, payload, samples.NETWORK)
        if stated is None or (is_offline and stated):
            assert len(decode(raw, samples.NETWORK).body.lines) == len(stated or [])
            continue
        with pytest.raises(Malformed):
            decode(raw, samples.NETWORK)


def test_a_request_does_not_stand_for_the_lines_between_purses() -> None:
    sample = MESSAGES["offline-payment-with-lines"]
    payload = cbor.encode([*sample.body.to_cbor()[:-1], samples.request()])
    with pytest.raises(Malformed):
        decode(cose.sign(sample.keys, sample.kind, payload, samples.NETWORK), samples.NETWORK)


@pytest.mark.parametrize("name", ["unsorted lists", "repeated member"])
def test_a_condition_has_one_spelling(name: str) -> None:
    sample = MESSAGES["purpose"]
    value = sample.body.to_cbor()
    conditions = value[4][1]
    if name == "unsorted lists":
        conditions.reverse()
    else:
        codes = next(argument for leaf, argument in conditions if leaf == "payee_mcc")
        codes.append(codes[-1])
    with pytest.raises(Malformed):
        decode(cose.sign(sample.keys, sample.kind, cbor.encode(value), samples.NETWORK), samples.NETWORK)
