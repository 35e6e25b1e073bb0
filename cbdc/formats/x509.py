"""Institutions' identities: X.509 (RFC 5280, RFC 8410) under the governor's root, Ed25519 only.

`cryptography` parses and builds; the signature is checked by our strict verifier, because OpenSSL's is
laxer. The subject is ``CN=name, OU=role``.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from enum import Enum

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey, Ed25519PublicKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import NameOID, SignatureAlgorithmOID

from cbdc.errors import BadSignature, Malformed, TooLarge
from cbdc.formats import ed25519
from cbdc.limits import MAX_NAME_CHARS, MAX_X509_BYTES


class Role(Enum):
    """What an institution may do; people, merchants and sponsors are wallets and have certificates by a bank."""

    GOVERNOR = "governor"
    OPERATOR = "operator"
    BANK = "bank"
    ORACLE = "oracle"
    APPROVER = "approver"


@dataclass(frozen=True, slots=True)
class Institution:
    """A parsed identity; whether it is trusted follows from `verify_issued_by`, not from having been parsed."""

    name: str
    role: Role
    key: bytes
    not_before_s: int
    not_after_s: int
    der: bytes


def parse(der: bytes) -> Institution:
    """Parse a certificate's DER.

    Raises:
        TooLarge: above `MAX_X509_BYTES`.
        Malformed: not X.509 with an Ed25519 key and signature and a ``CN, OU`` subject.
    """
    if len(der) > MAX_X509_BYTES:
        raise TooLarge("X.509 certificate too long", found=len(der), limit=MAX_X509_BYTES)
    try:
        certificate = x509.load_der_x509_certificate(der)
        key = certificate.public_key()
        signed_by_ed25519 = certificate.signature_algorithm_oid == SignatureAlgorithmOID.ED25519
        name, role = _subject(certificate.subject)
        if certificate.serial_number <= 0:
            raise ValueError("the serial number is positive")
    # TypeError: of a name's part whose DER type is not one for it, such as a bit string
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.InvalidVersion, Warning) as error:
        raise Malformed("not an X.509 certificate of ours", reason=type(error).__name__) from None
    if not isinstance(key, Ed25519PublicKey) or not signed_by_ed25519:
        raise Malformed("an institution's key and signature are Ed25519")
    return Institution(
        name=name,
        role=role,
        key=key.public_bytes(Encoding.Raw, PublicFormat.Raw),
        not_before_s=int(certificate.not_valid_before_utc.timestamp()),
        not_after_s=int(certificate.not_valid_after_utc.timestamp()),
        der=der,
    )


def verify_issued_by(institution: Institution, issuer_key: bytes) -> None:
    """Check, strictly, that ``issuer_key`` signed this certificate.

    Raises:
        BadSignature: it did not.
    """
    certificate = x509.load_der_x509_certificate(institution.der)
    if not ed25519.is_valid(issuer_key, certificate.tbs_certificate_bytes, certificate.signature):
        raise BadSignature("X.509 certificate is not signed by the expected issuer", name=institution.name)


def issue(
    name: str,
    role: Role,
    key: bytes,
    *,
    issuer_name: str,
    issuer_seed: bytes,
    not_before_s: int,
    not_after_s: int,
    serial: int,
) -> bytes:
    """Build the DER of a certificate; deterministic in its arguments (Ed25519 signatures are)."""
    builder = (
        x509.CertificateBuilder()
        .subject_name(_name(name, role))
        .issuer_name(_name(issuer_name, Role.GOVERNOR))
        .public_key(Ed25519PublicKey.from_public_bytes(key))
        .serial_number(serial)
        .not_valid_before(dt.datetime.fromtimestamp(not_before_s, dt.UTC))
        .not_valid_after(dt.datetime.fromtimestamp(not_after_s, dt.UTC))
        .add_extension(x509.BasicConstraints(ca=role is Role.GOVERNOR, path_length=None), critical=True)
    )
    return builder.sign(Ed25519PrivateKey.from_private_bytes(issuer_seed), None).public_bytes(Encoding.DER)


def _name(name: str, role: Role) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.ORGANIZATIONAL_UNIT_NAME, role.value),
            x509.NameAttribute(NameOID.COMMON_NAME, name),
        ]
    )


def _subject(subject: x509.Name) -> tuple[str, Role]:
    names = subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    units = subject.get_attributes_for_oid(NameOID.ORGANIZATIONAL_UNIT_NAME)
    if len(names) != 1 or len(units) != 1 or len(subject) != 2:
        raise ValueError("the subject is CN and OU")
    name = names[0].value
    if not isinstance(name, str) or not 0 < len(name) <= MAX_NAME_CHARS or not name.isascii() or not name.isprintable():
        raise ValueError("the name is a short printable ASCII text")
    if "/" in name:
        raise ValueError("a slash stands between a bank and its customer: no name has one")
    return name, Role(units[0].value)
