"""What is built decodes to the same body, whose canonical bytes are the payload that was signed."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdc.formats import cbor, certificates, cose, requests
from cbdc.formats.certificates import Holder, Merchant, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_MARK_HOPS
from cbdc.log import entries
from cbdc.log.late import LateHead
from cbdc.log.receipts import Receipt
from cbdc.messages.message import build, decode, message_id, verify
from cbdc.offline.documents import LoadCertificate, SyncCertificate, TrustList
from cbdc.state.records import OfflineToken
from tests.property import strategies as some
from tests.vectors.samples import KEYS, NETWORK, institutions

PEOPLE = [KEYS[name] for name in ("aigul online", "canteen online", "altyn")]
OPERATOR = KEYS["operator"]


def test_every_kind_of_message_is_tried() -> None:
    signed_by_one = {Kind.CERTIFICATE, Kind.LOAD_CERTIFICATE, Kind.SYNC_CERTIFICATE, Kind.TRUST_LIST, Kind.LATE_HEAD}
    signed_by_one.add(Kind.REQUEST)
    between_devices = {Kind.INVOICE, Kind.PAYMENT_RECEIPT}
    assert set(some.BODIES) | signed_by_one | between_devices == set(Kind)


@pytest.mark.parametrize("kind", some.BODIES, ids=lambda kind: kind.name.lower())
@given(data=st.data())
def test_a_message_means_what_was_built(kind: Kind, data: st.DataObject) -> None:
    body = data.draw(some.BODIES[kind])
    signers = signers_for(kind, data)
    raw = build(kind, body, signers, NETWORK)
    message = decode(raw, NETWORK)
    assert message.kind is kind
    assert message.body == body
    assert message.signers == {key.public for key in signers}
    payload = cose.decode(raw).payload
    assert cbor.encode(message.body.to_cbor()) == payload
    assert message.id == message_id(kind, payload)
    assert verify(message).body == body


def signers_for(kind: Kind, data: st.DataObject) -> list[SigningKey]:
    if kind in some.UNSIGNED:
        return []
    if kind is Kind.ENROL:
        return [KEYS["altyn"]]
    return data.draw(st.lists(st.sampled_from(PEOPLE), min_size=1, unique_by=lambda key: key.public))


@given(body=some.BODIES[Kind.TRANSFER], data=st.data())
def test_signatures_are_no_part_of_the_id(body: object, data: st.DataObject) -> None:
    some_keys, others = signers_for(Kind.TRANSFER, data), signers_for(Kind.TRANSFER, data)
    first, second = (decode(build(Kind.TRANSFER, body, keys, NETWORK), NETWORK) for keys in (some_keys, others))
    assert first.id == second.id


@given(output=some.OUTPUTS)
def test_an_output_means_what_was_built(output: Output) -> None:
    assert Output.from_cbor(output.to_cbor()) == output


AMOUNTS = st.integers(0, MAX_AMOUNT_TIYN)
ALLOWANCES = st.dictionaries(some.HASHES, AMOUNTS, max_size=2).map(lambda found: tuple(sorted(found.items())))
LIMITS = st.builds(PurseLimits, AMOUNTS, AMOUNTS, st.integers(0, 1000), st.integers(0, 1000), ALLOWANCES)
MERCHANTS = st.builds(Merchant, some.digits(12, 12), st.none() | some.digits(4, 4), st.none() | some.digits(2, 9))


@given(
    subject=some.texts(40),
    key=some.KEYS,
    times=st.tuples(some.TIMES, some.TIMES),
    holder=st.sampled_from(Holder),
    tier=st.integers(0, 1000),
    merchant=st.none() | MERCHANTS,
    purse=st.none() | st.tuples(LIMITS, some.KEYS),
)
def test_a_certificate_says_what_was_issued(
    subject: str,
    key: bytes,
    times: tuple[int, int],
    holder: Holder,
    tier: int,
    merchant: Merchant | None,
    purse: tuple[PurseLimits, bytes] | None,
) -> None:
    limits, online_key = purse or (None, None)
    stated = {"bank": "altyn", "subject": subject, "key": key, "issued_s": times[0], "expires_s": times[1]}
    stated |= {"holder": holder, "tier": tier, "merchant": merchant, "limits": limits, "online_key": online_key}
    raw = certificates.issue(KEYS["altyn"], NETWORK, **stated)
    found = certificates.verify(raw, NETWORK, KEYS["altyn"].public)
    assert {name: getattr(found, name) for name in stated} == stated
    assert found.account == f"altyn/{subject}"


@given(
    name=st.binary(min_size=34, max_size=34),
    owner=some.KEYS,
    amount=AMOUNTS,
    purpose=st.none() | some.HASHES,
    left=st.none() | st.integers(0, MAX_MARK_HOPS),
    deadlines=st.tuples(some.TIMES, some.TIMES),
)
def test_a_load_certificate_says_what_was_signed(
    name: bytes, owner: bytes, amount: int, purpose: bytes | None, left: int | None, deadlines: tuple[int, int]
) -> None:
    certificate = LoadCertificate(name, OfflineToken(owner, amount, purpose, *deadlines, 0, [], False, left=left))
    assert LoadCertificate.verify(certificate.sign(OPERATOR, NETWORK), NETWORK, OPERATOR.public) == certificate


@given(
    signer=st.sampled_from(PEOPLE),
    amount_tiyn=some.AMOUNTS,
    lines=some.LINES.filter(bool),
    nonce=some.NONCES,
)
def test_a_request_says_what_was_signed(
    signer: SigningKey, amount_tiyn: int, lines: tuple[Line, ...], nonce: bytes
) -> None:
    found = requests.read(requests.sign(signer, NETWORK, amount_tiyn, lines, nonce), NETWORK)
    assert found.check.holds()
    assert (found.payee, found.check.key) == (signer.public, signer.public)
    assert (found.amount_tiyn, found.lines, found.nonce) == (amount_tiyn, lines, nonce)


@given(certificate=st.builds(SyncCertificate, some.KEYS, some.TIMES, some.NONCES, some.AMOUNTS))
def test_a_sync_certificate_says_what_was_signed(certificate: SyncCertificate) -> None:
    assert SyncCertificate.verify(certificate.sign(OPERATOR, NETWORK), NETWORK, OPERATOR.public) == certificate


@given(time_s=some.TIMES, revoked=st.lists(some.HASHES, max_size=5), order=st.permutations(institutions()))
def test_a_trust_list_says_what_was_signed(time_s: int, revoked: list[bytes], order: list[bytes]) -> None:
    raw = TrustList.sign(time_s, order, revoked, OPERATOR, NETWORK)
    found = TrustList.verify(raw, NETWORK)
    assert (found.time_s, found.revoked, found.raw) == (time_s, frozenset(revoked), raw)
    assert sorted(institution.der for institution in found.institutions) == sorted(institutions())
    assert found.operator_key() == OPERATOR.public
    assert found.bank_key("altyn") == KEYS["altyn"].public


@given(head=st.builds(LateHead, st.integers(0, 1 << 53), some.HASHES))
def test_a_late_head_says_what_was_signed(head: LateHead) -> None:
    assert LateHead.verify(head.sign(OPERATOR, NETWORK), NETWORK, OPERATOR.public) == head


@given(
    receipt=st.builds(
        Receipt, st.integers(0, 1 << 53), some.TIMES, st.text(max_size=300), some.tuples(some.HASHES, least=0)
    )
)
def test_a_receipt_is_read_as_it_was_written(receipt: Receipt) -> None:
    assert Receipt.decode(receipt.encode()) == receipt


@given(time_s=some.TIMES, message=st.binary(max_size=200))
def test_an_entry_is_read_as_it_was_written(time_s: int, message: bytes) -> None:
    assert entries.decode(entries.encode(time_s, message)) == (time_s, message)
