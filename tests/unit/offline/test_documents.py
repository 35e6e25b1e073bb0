"""What the operator signs for devices: load and sync certificates, the trust list."""

from __future__ import annotations

import pytest

from cbdc.errors import BadSignature, CertificateRevoked, FormError, Malformed, NotEnrolled, TengeError, TooLarge
from cbdc.formats import cbor, cose
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.x509 import Role
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_MARK_HOPS
from cbdc.offline.documents import CHALLENGE_BYTES, LoadCertificate, SyncCertificate, TrustList
from cbdc.service.founding import Governor
from cbdc.state.records import OfflineToken
from tests.support import NOW_S, seed

GOVERNOR = Governor.from_seed(seed("governor"))
NETWORK = GOVERNOR.network
OPERATOR, BANK = SigningKey(seed("operator")), SigningKey(seed("bank"))
OWNER, PURPOSE, NAME = bytes(32), bytes(31) + b"1", bytes(34)
CHALLENGE = bytes(range(CHALLENGE_BYTES))
LEAF = OfflineToken(OWNER, 500, PURPOSE, NOW_S, NOW_S + 9, 0, [], False)
SYNC = SyncCertificate(OWNER, NOW_S, CHALLENGE, 7_00)


# --- load and sync certificates ----------------------------------------------------------------


@pytest.mark.parametrize(("purpose", "left"), [(PURPOSE, 3), (PURPOSE, None), (None, None)])
def test_a_load_certificate(purpose: bytes | None, left: int | None) -> None:
    token = OfflineToken(OWNER, 500, purpose, NOW_S, NOW_S + 9, 0, [], False, left=left)
    data = LoadCertificate(NAME, token).sign(OPERATOR, NETWORK)
    assert LoadCertificate.verify(data, NETWORK, OPERATOR.public) == LoadCertificate(NAME, token)


def test_a_sync_certificate() -> None:
    assert SyncCertificate.verify(SYNC.sign(OPERATOR, NETWORK), NETWORK, OPERATOR.public) == SYNC


@pytest.mark.parametrize("document", [LoadCertificate(NAME, LEAF), SYNC])
@pytest.mark.parametrize(("network", "key"), [(seed("other"), OPERATOR), (NETWORK, BANK)])
def test_a_document_is_the_operators(
    document: LoadCertificate | SyncCertificate, network: bytes, key: SigningKey
) -> None:
    with pytest.raises(BadSignature):
        type(document).verify(document.sign(OPERATOR, NETWORK), network, key.public)


def test_one_kind_of_document_is_not_the_other() -> None:
    with pytest.raises(Malformed):
        SyncCertificate.verify(LoadCertificate(NAME, LEAF).sign(OPERATOR, NETWORK), NETWORK, OPERATOR.public)
    with pytest.raises(Malformed):
        LoadCertificate.verify(SYNC.sign(OPERATOR, NETWORK), NETWORK, OPERATOR.public)


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (Malformed, [NAME, OWNER, 5, None, None, 1]),
        (Malformed, [NAME, OWNER, 5, None, None, 1, 2, 3]),
        (Malformed, [NAME, OWNER, 5, PURPOSE, "1", 1, 2]),
        (TooLarge, [NAME, OWNER, 5, PURPOSE, MAX_MARK_HOPS + 1, 1, 2]),
        (Malformed, [NAME[:33], OWNER, 5, None, None, 1, 2]),
        (Malformed, [NAME, OWNER[:31], 5, None, None, 1, 2]),
        (Malformed, [NAME, OWNER, -5, None, None, 1, 2]),
        (TooLarge, [NAME, OWNER, MAX_AMOUNT_TIYN + 1, None, None, 1, 2]),
        (Malformed, [NAME, OWNER, 5, b"", None, 1, 2]),
        (Malformed, [NAME, OWNER, 5, None, None, None, 2]),
        (TooLarge, [NAME, OWNER, 5, None, None, 1, 10**12]),
        (TooLarge, [bytes(600), OWNER, 5, None, None, 1, 2]),
    ],
)
def test_malformed_load_certificates(error: type[FormError], fields: list[object]) -> None:
    data = cose.sign1(OPERATOR, Kind.LOAD_CERTIFICATE, cbor.encode(fields), NETWORK)
    with pytest.raises(FormError) as caught:
        LoadCertificate.verify(data, NETWORK, OPERATOR.public)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("error", "fields"),
    [
        (Malformed, [OWNER, NOW_S]),
        (Malformed, [OWNER, NOW_S, CHALLENGE]),
        (Malformed, [OWNER, NOW_S, CHALLENGE, 5, None]),
        (Malformed, [OWNER[:31], NOW_S, CHALLENGE, 5]),
        (Malformed, [OWNER, None, CHALLENGE, 5]),
        (TooLarge, [OWNER, 10**12, CHALLENGE, 5]),
        (Malformed, [OWNER, NOW_S, CHALLENGE[:15], 5]),
        (Malformed, [OWNER, NOW_S, CHALLENGE + b"0", 5]),
        (Malformed, [OWNER, NOW_S, None, 5]),
        (Malformed, [OWNER, NOW_S, CHALLENGE, None]),
        (Malformed, [OWNER, NOW_S, CHALLENGE, -1]),
        (TooLarge, [OWNER, NOW_S, CHALLENGE, MAX_AMOUNT_TIYN + 1]),
    ],
)
def test_malformed_sync_certificates(error: type[FormError], fields: list[object]) -> None:
    data = cose.sign1(OPERATOR, Kind.SYNC_CERTIFICATE, cbor.encode(fields), NETWORK)
    with pytest.raises(FormError) as caught:
        SyncCertificate.verify(data, NETWORK, OPERATOR.public)
    assert type(caught.value) is error


# --- the trust list ----------------------------------------------------------------------------


def certify(name: str, role: Role, key: SigningKey, governor: Governor = GOVERNOR) -> bytes:
    return governor.certify(name, role, key.public, NOW_S)


OPERATOR_DER = certify("Operator", Role.OPERATOR, OPERATOR)
ALTYN_DER = certify("altyn", Role.BANK, BANK)
REVOKED = [seed("one"), seed("two")]


def trust_list(*ders: bytes, signer: SigningKey = OPERATOR, network: bytes = NETWORK) -> bytes:
    return TrustList.sign(NOW_S, list(ders), REVOKED, signer, network)


def test_a_trust_list_vouches_for_itself() -> None:
    data = trust_list(OPERATOR_DER, ALTYN_DER)
    trusted = TrustList.verify(data, NETWORK)
    assert (trusted.time_s, trusted.raw, trusted.revoked) == (NOW_S, data, frozenset(REVOKED))
    assert trusted.operator_key() == OPERATOR.public
    assert trusted.bank_key("altyn") == BANK.public


def test_only_banks_on_the_list_are_banks() -> None:
    trusted = TrustList.verify(trust_list(OPERATOR_DER, ALTYN_DER), NETWORK)
    for name in ("kumis", "Operator", ""):
        with pytest.raises(NotEnrolled):
            trusted.bank_key(name)


def test_the_deny_list() -> None:
    trusted = TrustList.verify(trust_list(OPERATOR_DER), NETWORK)
    trusted.check_not_revoked(seed("three"))
    with pytest.raises(CertificateRevoked):
        trusted.check_not_revoked(seed("one"))


OTHER = Governor.from_seed(seed("other governor"))
REFUSED: dict[str, tuple[type[TengeError], bytes]] = {
    "by a bank": (BadSignature, trust_list(OPERATOR_DER, ALTYN_DER, signer=BANK)),
    "by the governor": (BadSignature, trust_list(OPERATOR_DER, ALTYN_DER, signer=GOVERNOR.key)),
    "for another network": (BadSignature, trust_list(OPERATOR_DER, network=OTHER.network)),
    "another governor's operator": (
        BadSignature,
        trust_list(certify("Operator", Role.OPERATOR, OPERATOR, OTHER)),
    ),
    "another governor's bank": (
        BadSignature,
        trust_list(OPERATOR_DER, certify("altyn", Role.BANK, BANK, OTHER)),
    ),
    "no operator": (Malformed, trust_list(ALTYN_DER)),
    "nobody": (Malformed, trust_list()),
    "two operators": (Malformed, trust_list(OPERATOR_DER, certify("Second", Role.OPERATOR, BANK))),
    "not a certificate": (Malformed, trust_list(OPERATOR_DER, b"der")),
    "another kind": (Malformed, cose.sign1(OPERATOR, Kind.INVOICE, b"\x80", NETWORK)),
    "no list": (Malformed, cose.sign1(OPERATOR, Kind.TRUST_LIST, b"\x80", NETWORK)),
    "short id": (
        Malformed,
        cose.sign1(OPERATOR, Kind.TRUST_LIST, cbor.encode([NOW_S, [OPERATOR_DER], [b"id"]]), NETWORK),
    ),
    "negative time": (
        Malformed,
        cose.sign1(OPERATOR, Kind.TRUST_LIST, cbor.encode([-1, [OPERATOR_DER], []]), NETWORK),
    ),
    "too many institutions": (
        TooLarge,
        cose.sign1(OPERATOR, Kind.TRUST_LIST, cbor.encode([NOW_S, [b""] * 1001, []]), NETWORK),
    ),
    "too many revoked": (
        TooLarge,
        cose.sign1(OPERATOR, Kind.TRUST_LIST, cbor.encode([NOW_S, [OPERATOR_DER], [b""] * 20_001]), NETWORK),
    ),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    error, data = REFUSED[case]
    with pytest.raises(TengeError) as caught:
        TrustList.verify(data, NETWORK)
    assert type(caught.value) is error
