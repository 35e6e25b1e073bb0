"""Institutions' certificates: X.509 read by `cryptography`, the signature checked by us."""

from __future__ import annotations

import datetime as dt

import pytest
from cryptography import x509 as ref
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from cbdc.errors import BadSignature, Malformed, TooLarge
from cbdc.formats import x509
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.x509 import Role
from cbdc.limits import MAX_X509_BYTES
from tests.support import NOW_S, seed
from tests.unit.formats.test_ed25519 import BASE, TORSION, L, compress, multiply

ROOT = SigningKey(seed("root"))
BANK = SigningKey(seed("bank"))


def issue(name: str = "altyn", role: Role = Role.BANK, issuer: str = "root") -> bytes:
    return x509.issue(
        name,
        role,
        BANK.public,
        issuer_name="National Bank",
        issuer_seed=seed(issuer),
        not_before_s=NOW_S,
        not_after_s=NOW_S + 9,
        serial=7,
    )


@pytest.mark.parametrize("role", Role)
def test_round_trip(role: Role) -> None:
    institution = x509.parse(issue(role=role))
    x509.verify_issued_by(institution, ROOT.public)
    assert (institution.name, institution.role, institution.key) == ("altyn", role, BANK.public)
    assert (institution.not_before_s, institution.not_after_s) == (NOW_S, NOW_S + 9)


def test_no_name_has_a_slash() -> None:
    """It stands between a bank and its customer: no institution may look like one's account."""
    with pytest.raises(Malformed):
        x509.parse(issue("altyn/aida"))


def test_issuing_is_deterministic() -> None:
    assert issue() == issue()


def test_another_issuer_is_refused() -> None:
    for key in (BANK.public, SigningKey(seed("other")).public):
        with pytest.raises(BadSignature):
            x509.verify_issued_by(x509.parse(issue()), key)
    with pytest.raises(BadSignature):
        x509.verify_issued_by(x509.parse(issue(issuer="other")), ROOT.public)


def test_a_changed_certificate_is_refused() -> None:
    der = issue().replace(b"altyn", b"kumis")
    with pytest.raises(BadSignature):
        x509.verify_issued_by(x509.parse(der), ROOT.public)


def resigned(signature: bytes) -> bytes:
    """The certificate with another signature: the last 64 bytes of the DER."""
    return issue()[:-64] + signature


def test_openssl_accepts_an_issuer_of_small_order_and_we_do_not() -> None:
    """Under the point of order 1 as issuer key, one signature fits every certificate."""
    issuer = bytes.fromhex(TORSION["order 1"])
    institution = x509.parse(resigned(compress(multiply(5, BASE)) + (5).to_bytes(32, "little")))
    certificate = ref.load_der_x509_certificate(institution.der)
    Ed25519PublicKey.from_public_bytes(issuer).verify(certificate.signature, certificate.tbs_certificate_bytes)
    with pytest.raises(BadSignature):
        x509.verify_issued_by(institution, issuer)


def test_a_scalar_beyond_the_order_is_refused() -> None:
    signature = issue()[-64:]
    scalar = int.from_bytes(signature[32:], "little") + L
    with pytest.raises(BadSignature):
        x509.verify_issued_by(x509.parse(resigned(signature[:32] + scalar.to_bytes(32, "little"))), ROOT.public)


def custom(
    *,
    names: list[tuple[ref.ObjectIdentifier, str]] | None = None,
    key: object = None,
    signer: object = None,
    digest: object = None,
) -> bytes:
    """A certificate that our own builder would not make."""
    ed25519 = Ed25519PrivateKey.from_private_bytes(seed("root"))
    names = names or [(NameOID.ORGANIZATIONAL_UNIT_NAME, "bank"), (NameOID.COMMON_NAME, "altyn")]
    name = ref.Name([ref.NameAttribute(oid, value) for oid, value in names])
    builder = (
        ref.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key or ed25519.public_key())
        .serial_number(1)
        .not_valid_before(dt.datetime(2026, 1, 1, tzinfo=dt.UTC))
        .not_valid_after(dt.datetime(2027, 1, 1, tzinfo=dt.UTC))
    )
    return builder.sign(signer or ed25519, digest).public_bytes(Encoding.DER)


CN, OU = NameOID.COMMON_NAME, NameOID.ORGANIZATIONAL_UNIT_NAME
P256 = ec.derive_private_key(7, ec.SECP256R1())
MALFORMED = {
    "nothing": b"",
    "noise": b"\x30\x03abc",
    "cut short": issue()[:-1],
    "one byte more": issue() + b"\x00",
    "no unit": custom(names=[(CN, "altyn")]),
    "no name": custom(names=[(OU, "bank")]),
    "two names": custom(names=[(OU, "bank"), (CN, "altyn"), (CN, "kumis")]),
    "something more": custom(names=[(OU, "bank"), (CN, "altyn"), (NameOID.COUNTRY_NAME, "KZ")]),
    "unknown role": custom(names=[(OU, "witness"), (CN, "altyn")]),
    "long name": custom(names=[(OU, "bank"), (CN, "a" * 49)]),
    "unprintable name": custom(names=[(OU, "bank"), (CN, "al\ntyn")]),
    "name not in ASCII": custom(names=[(OU, "bank"), (CN, "алтын")]),
    "name with a look-alike": custom(names=[(OU, "bank"), (CN, "\u0430ltyn")]),
    "name with a direction mark": custom(names=[(OU, "bank"), (CN, "al\u202etyn")]),
    "serial number zero": custom().replace(b"\x02\x01\x01", b"\x02\x01\x00", 1),
    "negative serial number": custom().replace(b"\x02\x01\x01", b"\x02\x01\xff", 1),
    "unknown version": custom().replace(b"\xa0\x03\x02\x01\x02", b"\xa0\x03\x02\x01\x07", 1),
    "another key type": custom(key=P256.public_key()),
    "another signature type": custom(signer=P256, digest=SHA256()),
}


@pytest.mark.parametrize("case", MALFORMED)
def test_malformed(case: str) -> None:
    with pytest.raises(Malformed):
        x509.parse(MALFORMED[case])


def test_size_is_bounded() -> None:
    with pytest.raises(TooLarge):
        x509.parse(bytes(MAX_X509_BYTES + 1))
