"""What messages say about who takes part and under which rules, and the tenge that the governor creates."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cbdc.errors import Malformed
from cbdc.formats import cbor, certificates, cose, x509
from cbdc.formats.certificates import Certificate
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.tokens import Output
from cbdc.limits import (
    MAX_CERTIFICATE_BYTES,
    MAX_ENROLMENTS,
    MAX_NAME_CHARS,
)
from cbdc.messages.bodies.fields import (
    institution_from,
    nonce_from,
    outputs_from,
    reference_from,
)
from cbdc.policy import Policy


@dataclass(frozen=True, slots=True)
class Genesis:
    """The first entry: the network's name, its root and operator (X.509), its policy."""

    name: str
    root: x509.Institution
    operator: x509.Institution
    policy: Policy

    def to_cbor(self) -> cbor.Value:
        return [self.name, self.root.der, self.operator.der, self.policy.to_cbor()]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Genesis:
        name, root, operator, policy = cbor.array(value, "genesis", 4)
        return cls(
            cbor.text_up_to(name, "name", MAX_NAME_CHARS),
            institution_from(root),
            institution_from(operator),
            Policy.from_cbor(policy),
        )


@dataclass(frozen=True, slots=True)
class Admit:
    """The governor admits an institution."""

    institution: x509.Institution

    def to_cbor(self) -> cbor.Value:
        return [self.institution.der]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Admit:
        (der,) = cbor.array(value, "admit", 1)
        return cls(institution_from(der))


@dataclass(frozen=True, slots=True)
class Dismiss:
    """The governor withdraws an institution's admission, by reference to the decision."""

    name: str
    reference: str

    def to_cbor(self) -> cbor.Value:
        return [self.name, self.reference]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Dismiss:
        name, reference = cbor.array(value, "dismiss", 2)
        return cls(cbor.text_up_to(name, "name", MAX_NAME_CHARS), reference_from(reference))


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """The governor replaces the policy. ``nonce``: 16 bytes, so that an old policy can be set again."""

    policy: Policy
    nonce: bytes

    def to_cbor(self) -> cbor.Value:
        return [self.policy.to_cbor(), self.nonce]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> SetPolicy:
        policy, nonce = cbor.array(value, "policy", 2)
        return cls(Policy.from_cbor(policy), nonce_from(nonce))


@dataclass(frozen=True, slots=True)
class Enrol:
    """A bank registers certificates of its customers: the raw CWTs."""

    raw: tuple[bytes, ...]

    def to_cbor(self) -> cbor.Value:
        return [list(self.raw)]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Enrol:
        (items,) = cbor.array(value, "enrol", 1)
        raw = cbor.array_up_to(items, "certificates", MAX_ENROLMENTS)
        if not raw:
            raise Malformed("enrol names at least one certificate")
        return cls(tuple(cbor.bytes_up_to(item, "certificate", MAX_CERTIFICATE_BYTES) for item in raw))

    def certificates(self, network: bytes) -> Iterable[tuple[Certificate, cose.SignatureCheck]]:
        """Each certificate with the check (without key) that the bank signed it. Raises FormError."""
        return (certificates.unverified(data, network) for data in self.raw)


@dataclass(frozen=True, slots=True)
class Revoke:
    """A bank puts a certificate (its 32-byte id) on the deny-list, with the reason or court reference."""

    certificate: bytes
    reference: str

    def to_cbor(self) -> cbor.Value:
        return [self.certificate, self.reference]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Revoke:
        certificate, reference = cbor.array(value, "revoke", 2)
        return cls(cbor.byte_string(certificate, "certificate id", HASH_BYTES), reference_from(reference))


@dataclass(frozen=True, slots=True)
class Issue:
    """The governor creates tenge for banks."""

    outputs: tuple[Output, ...]
    nonce: bytes

    def to_cbor(self) -> cbor.Value:
        return [[output.to_cbor() for output in self.outputs], self.nonce]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Issue:
        outputs, nonce = cbor.array(value, "issue", 2)
        return cls(outputs_from(outputs, least=1), nonce_from(nonce))
