"""No bit of a signed message can be flipped unnoticed, and no message counts on another network or as another kind."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdc.errors import BadSignature, FormError, Malformed, TengeError
from cbdc.formats import cbor, cose, requests, x509
from cbdc.formats.kinds import Kind
from cbdc.messages.message import decode, verify
from tests.vectors import samples
from tests.vectors.samples import Sample, Signed

SIGNED = samples.signed()
SMALL = ["revoke", "sweep", "wallet-certificate", "checkpoint", "request", "approve", "attest", "allow"]


def flipped(raw: bytes, bit: int) -> bytes:
    changed = bytearray(raw)
    changed[bit // 8] ^= 1 << bit % 8
    return bytes(changed)


def check_not_accepted(signed: Signed, bit: int) -> None:
    """Flipping the bit is refused; what nobody signs may at most have become another message."""
    try:
        opened = signed.open(flipped(signed.raw, bit))
    except TengeError:
        return
    assert not signed.is_signed, f"bit {bit} may be flipped: {opened}"
    assert opened != signed.open(signed.raw)


@pytest.mark.parametrize("name", SMALL)
def test_every_bit_of_a_small_message_counts(name: str) -> None:
    signed = SIGNED[name]
    for bit in range(8 * len(signed.raw)):
        check_not_accepted(signed, bit)


@pytest.mark.parametrize("name", sorted(SIGNED.keys() - set(SMALL)))
@given(data=st.data())
def test_any_bit_counts(name: str, data: st.DataObject) -> None:
    signed = SIGNED[name]
    for bit in data.draw(st.lists(st.integers(0, 8 * len(signed.raw) - 1), min_size=20, max_size=20)):
        check_not_accepted(signed, bit)


def test_no_bit_of_the_request_inside_a_payment_may_be_flipped() -> None:
    """Even where the payer signs the payment with the flipped request."""
    sample = samples.messages()["requested-payment"]
    raw = sample.body.request
    for bit in range(8 * len(raw)):
        payload = cbor.encode([*sample.body.to_cbor()[:-1], flipped(raw, bit)])
        with pytest.raises((FormError, BadSignature)):
            verify(decode(cose.sign(sample.keys, sample.kind, payload, samples.NETWORK), samples.NETWORK))


def test_a_request_does_not_count_on_another_network() -> None:
    """A payment of this network with a request of another."""
    sample = samples.messages()["requested-payment"]
    foreign = requests.sign(samples.KEYS["canteen online"], bytes(32), 40_00, samples.LINES, samples.NONCE)
    payload = cbor.encode([*sample.body.to_cbor()[:-1], foreign])
    with pytest.raises(BadSignature):
        verify(decode(cose.sign(sample.keys, sample.kind, payload, samples.NETWORK), samples.NETWORK))


@pytest.mark.parametrize(("what", "bit"), [("version", 0x01), ("serial", 0x80)])
def test_x509_that_its_standard_forbids_is_refused_like_any_other(what: str, bit: int) -> None:
    """Version 4 and a negative serial number, a bit away from right."""
    der = bytearray(samples.institutions()[0])
    version = bytes(der).index(b"\xa0\x03\x02\x01\x02\x02") + 4
    der[{"version": version, "serial": version + 3}[what]] ^= bit
    with pytest.raises(FormError):
        x509.parse(bytes(der))


@pytest.mark.parametrize("name", [name for name, sample in samples.messages().items() if sample.signers])
def test_a_signature_does_not_count_on_another_network(name: str) -> None:
    with pytest.raises(BadSignature if name != "genesis" else Malformed):
        verify(decode(samples.messages()[name].raw, samples.seed("another network")))


@pytest.mark.parametrize("name", [name for name, sample in samples.messages().items() if sample.signers])
def test_a_signature_does_not_count_for_another_kind(name: str) -> None:
    """The same payload and signatures under every other content type."""
    sample: Sample = samples.messages()[name]
    signed = cose.decode(sample.raw)
    for kind in Kind:
        if kind is sample.kind:
            continue
        moved = cose.assemble(kind, signed.payload, list(signed.signatures))
        with pytest.raises((FormError, BadSignature)):
            verify(decode(moved, samples.NETWORK))
