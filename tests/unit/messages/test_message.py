"""Bytes become a message, a message becomes verified."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from cbdc.errors import BadSignature, FormError, Malformed, NotCanonical, TooLarge
from cbdc.formats import cbor, cose, requests
from cbdc.formats.cose import Signature
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import tagged
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.limits import MAX_DEFINITION_BYTES, MAX_MESSAGE_BYTES, MAX_NAME_CHARS, MAX_SIGNATURES
from cbdc.messages import bodies
from cbdc.messages.message import build, countersign, decode, message_id, verify
from cbdc.purposes.conditions import Any as AnyOf
from cbdc.purposes.conditions import Payee
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears
from tests.support import LATER_S, NOW_S, World, seed
from tests.unit.helpers import out, pay

NETWORK = seed("network")
A, B = SigningKey(seed("a")), SigningKey(seed("b"))
TRANSFER = bodies.Transfer((bytes(34),), (out(A.public, 5),), NOW_S)
PAYLOAD = cbor.encode(TRANSFER.to_cbor())
RAW = build(Kind.TRANSFER, TRANSFER, [A, B], NETWORK)
LINES = (Line("bread", 2), Line("tea", 3))
REQUEST = requests.sign(B, NETWORK, 5, LINES, bytes(16))
REQUESTED = replace(TRANSFER, lines=LINES, request=REQUEST)


@pytest.fixture(scope="module")
def world() -> World:
    return World.founded("altyn")


def test_a_message_is_verified() -> None:
    verified = verify(decode(RAW, NETWORK))
    assert (verified.kind, verified.body) == (Kind.TRANSFER, TRANSFER)
    assert verified.signers == {A.public, B.public}
    assert verified.id == message_id(Kind.TRANSFER, PAYLOAD) == tagged(Kind.TRANSFER.value, PAYLOAD)
    assert pickle.loads(pickle.dumps(verified)) == verified


def test_a_worker_sends_back_what_it_verified() -> None:
    terms = bodies.OfflineTerms(seed("invoice"), seed("payer"), seed("payee"), 1, 2, 3, NOW_S - 1, NOW_S)
    outputs = (out(A.public, 5), out(B.public, 6, seed("purpose")))
    offline = bodies.Transfer((bytes(34), bytes(33) + b"1"), outputs, NOW_S, b"sealed", terms)
    payment = build(Kind.TRANSFER, offline, [A], NETWORK)
    itemised = build(Kind.TRANSFER, replace(offline, lines=LINES), [A], NETWORK)
    online = build(Kind.TRANSFER, REQUESTED, [A, B], NETWORK)
    evidence = build(Kind.RECONCILE, bodies.Reconcile((payment, payment, itemised)), [], NETWORK)
    for raw in (payment, itemised, online, evidence):
        verified = verify(decode(raw, NETWORK))
        assert pickle.loads(pickle.dumps(verified)) == verified


def test_the_id_is_of_the_payload_not_of_the_signatures() -> None:
    alone = decode(build(Kind.TRANSFER, TRANSFER, [A], NETWORK), NETWORK)
    assert alone.id == decode(RAW, NETWORK).id
    assert message_id(Kind.LOAD, PAYLOAD) != alone.id


def test_a_foreign_network_does_not_verify() -> None:
    with pytest.raises(BadSignature):
        verify(decode(RAW, seed("other")))


def test_one_bad_signature_refuses_the_message() -> None:
    good = cose.decode(RAW).signatures
    for index in range(2):
        forged = [Signature(s.key, bytes(64)) if at == index else s for at, s in enumerate(good)]
        with pytest.raises(BadSignature):
            verify(decode(cose.assemble(Kind.TRANSFER, PAYLOAD, forged), NETWORK))


@pytest.mark.parametrize(
    "kind",
    [Kind.CERTIFICATE, Kind.LOAD_CERTIFICATE, Kind.SYNC_CERTIFICATE, Kind.TRUST_LIST, Kind.INVOICE, Kind.REQUEST],
)
def test_what_one_key_says_is_no_message_for_the_ledger(kind: Kind) -> None:
    with pytest.raises(Malformed):
        decode(cose.sign([A], kind, PAYLOAD, NETWORK), NETWORK)


def test_a_body_of_another_kind_is_malformed() -> None:
    with pytest.raises(Malformed):
        decode(cose.sign([A], Kind.ISSUE, PAYLOAD, NETWORK), NETWORK)


@pytest.mark.parametrize("kind", [Kind.TRANSFER, Kind.ISSUE, Kind.ENROL, Kind.PURPOSE, Kind.GENESIS])
def test_an_unsigned_message_is_malformed(kind: Kind) -> None:
    with pytest.raises(Malformed):
        decode(cose.sign([], kind, PAYLOAD, NETWORK), NETWORK)


@pytest.mark.parametrize(
    ("kind", "body"), [(Kind.SWEEP, bodies.Sweep((bytes(34),))), (Kind.RECONCILE, bodies.Reconcile((RAW,)))]
)
def test_what_nobody_signs_is_not_signed(kind: Kind, body: bodies.Sweep | bodies.Reconcile) -> None:
    with pytest.raises(Malformed, match="number of signatures"):
        decode(build(kind, body, [A], NETWORK), NETWORK)


def test_a_payload_has_one_spelling() -> None:
    loose = b"\x98\x06" + PAYLOAD[1:]
    with pytest.raises(NotCanonical):
        decode(cose.sign([A], Kind.TRANSFER, loose, NETWORK), NETWORK)


def test_size_is_bounded() -> None:
    with pytest.raises(TooLarge):
        decode(bytes(MAX_MESSAGE_BYTES + 1), NETWORK)


@pytest.mark.parametrize("end", range(0, len(RAW), 17))
def test_a_cut_message_is_malformed(end: int) -> None:
    with pytest.raises(FormError):
        decode(RAW[:end], NETWORK)


# --- requests ----------------------------------------------------------------------------------


def test_the_payees_signature_is_among_the_checks() -> None:
    message = decode(build(Kind.TRANSFER, REQUESTED, [A], NETWORK), NETWORK)
    assert [check.key for check in message.checks] == [A.public, B.public]
    assert verify(message).signers == {A.public}
    assert message.body == REQUESTED


@pytest.mark.parametrize(
    "request_",
    [
        requests.sign(B, seed("other"), 5, LINES, bytes(16)),
        cose.sign1(A, Kind.REQUEST, cbor.decode(REQUEST)[2], NETWORK),
        cbor.encode([*cbor.decode(REQUEST)[:3], bytes(64)]),
    ],
    ids=["of another network", "by another", "forged"],
)
def test_what_the_payee_did_not_ask_for_does_not_verify(request_: bytes) -> None:
    with pytest.raises(BadSignature):
        verify(decode(build(Kind.TRANSFER, replace(REQUESTED, request=request_), [A], NETWORK), NETWORK))


# --- countersigning ----------------------------------------------------------------------------


def test_a_countersigned_message_is_the_same_one_signed_by_both() -> None:
    alone = build(Kind.TRANSFER, TRANSFER, [A], NETWORK)
    assert countersign(alone, B, NETWORK) == RAW
    assert countersign(build(Kind.TRANSFER, TRANSFER, [B], NETWORK), A, NETWORK) == RAW
    assert decode(RAW, NETWORK).id == decode(alone, NETWORK).id


def test_countersigning_twice_changes_nothing() -> None:
    assert countersign(RAW, B, NETWORK) == RAW


def test_countersigning_for_another_network_does_not_verify() -> None:
    alone = build(Kind.TRANSFER, TRANSFER, [A], NETWORK)
    with pytest.raises(BadSignature):
        verify(decode(countersign(alone, B, seed("other")), NETWORK))


def test_there_are_only_so_many_signatures() -> None:
    keys = [SigningKey(seed(f"signer {number}")) for number in range(MAX_SIGNATURES)]
    full = build(Kind.TRANSFER, TRANSFER, keys, NETWORK)
    assert len(decode(full, NETWORK).signers) == MAX_SIGNATURES
    with pytest.raises(TooLarge):
        decode(countersign(full, A, NETWORK), NETWORK)


@pytest.mark.parametrize("raw", [b"", RAW[:-1], REQUEST], ids=["nothing", "cut", "what one key says"])
def test_what_is_no_message_is_not_countersigned(raw: bytes) -> None:
    with pytest.raises(FormError):
        countersign(raw, B, NETWORK)


# --- reconcile ---------------------------------------------------------------------------------


def offline(world: World) -> bytes:
    aida, bolat = world.customer("aida", enrol=False), world.customer("bolat", enrol=False)
    return pay(world, aida, bolat, bytes(34), 900)


def reconcile(world: World, *parts: bytes) -> bytes:
    return build(Kind.RECONCILE, bodies.Reconcile(parts), [], world.network)


def test_the_payments_of_a_reconcile_are_its_parts(world: World) -> None:
    payment = offline(world)
    verified = verify(decode(reconcile(world, payment), world.network))
    (part,) = verified.parts
    assert part == verify(decode(payment, world.network))
    assert verified.signers == frozenset()


def test_a_bad_signature_inside_refuses_the_whole(world: World) -> None:
    forged = cose.assemble(Kind.TRANSFER, cose.decode(offline(world)).payload, [Signature(A.public, bytes(64))])
    with pytest.raises(BadSignature):
        verify(decode(reconcile(world, offline(world), forged), world.network))


def test_only_offline_payments_are_evidence(world: World) -> None:
    online = build(Kind.TRANSFER, TRANSFER, [A], world.network)
    unload = build(Kind.UNLOAD, bodies.Unload((bytes(34),), (out(A.public, 5),), NOW_S), [A], world.network)
    for part in (online, unload, reconcile(world, offline(world)), b""):
        with pytest.raises(Malformed):
            decode(reconcile(world, part), world.network)


def test_evidence_is_signed_by_one_purse(world: World) -> None:
    body = decode(offline(world), world.network).body
    joint = build(Kind.TRANSFER, body, [A, B], world.network)
    with pytest.raises(Malformed, match="one purse"):
        decode(reconcile(world, offline(world), joint), world.network)


# --- genesis -----------------------------------------------------------------------------------


def test_genesis_is_of_the_network_that_it_is_decoded_for(world: World) -> None:
    governor = world.governor
    raw = governor.genesis("test", "Operator", world.operator.public, world.policy, NOW_S)
    assert verify(decode(raw, governor.network)).body.root.key == governor.network
    with pytest.raises(Malformed, match="another network"):
        decode(raw, NETWORK)


# --- enrol -------------------------------------------------------------------------------------


def test_the_certificates_of_an_enrolment_are_checked_under_its_signer(world: World) -> None:
    aida = world.customer("aida", enrol=False)
    enrol = bodies.Enrol((aida.wallet_cwt, aida.purse_cwt))
    message = decode(build(Kind.ENROL, enrol, [world.banks["altyn"]], world.network), world.network)
    assert [certificate.key for certificate in verify(message).certificates] == [aida.key.public, aida.purse.public]
    assert len(message.checks) == 3
    with pytest.raises(BadSignature):
        verify(decode(build(Kind.ENROL, enrol, [A], world.network), world.network))


def test_an_enrolment_is_signed_by_one_bank(world: World) -> None:
    enrol = bodies.Enrol((world.customer("aida", enrol=False).wallet_cwt,))
    with pytest.raises(Malformed):
        decode(build(Kind.ENROL, enrol, [A, world.banks["altyn"]], world.network), world.network)


def test_a_malformed_certificate_refuses_the_enrolment(world: World) -> None:
    with pytest.raises(Malformed):
        decode(build(Kind.ENROL, bodies.Enrol((b"cwt",)), [A], world.network), world.network)


def wide_definition(length: int) -> Definition:
    """A definition that is encoded in so many bytes: 660 merchants by name, of which the first are cut shorter."""

    def made(cut: int) -> Definition:
        names = []
        for number in range(660):
            here = min(cut, MAX_NAME_CHARS - 24)  # so that every name's head stays as long
            names.append(f"{number:04}".ljust(MAX_NAME_CHARS - here, "x"))
            cut -= here
        lists = tuple(Payee(tuple(names[start : start + 220])) for start in range(0, 660, 220))
        return Definition("wide", ("A", "B", "C"), bytes(32), bytes(32), AnyOf(lists), Clears(), LATER_S)

    return made(len(cbor.encode(made(0).to_cbor())) - length)


@pytest.mark.parametrize("above", [0, 1])
def test_a_definition_is_bounded_in_bytes(above: int) -> None:
    definition = wide_definition(MAX_DEFINITION_BYTES + above)
    assert len(cbor.encode(definition.to_cbor())) == MAX_DEFINITION_BYTES + above
    raw = build(Kind.PURPOSE, definition, [A], NETWORK)
    if above:
        with pytest.raises(TooLarge):
            decode(raw, NETWORK)
    else:
        assert decode(raw, NETWORK).body == definition
