"""What the operator signs for devices that will be without a network: load certificates and the trust list."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.errors import BadSignature, CertificateRevoked, Malformed, NotEnrolled
from cbdc.formats import cbor, cose, x509
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES, SigningKey
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import OUTPOINT_BYTES
from cbdc.formats.x509 import Institution, Role
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_DOCUMENT_BYTES,
    MAX_MARK_HOPS,
    MAX_PARTICIPANTS,
    MAX_REVOKED,
    MAX_X509_BYTES,
)
from cbdc.state.records import OfflineToken

CHALLENGE_BYTES = 16


@dataclass(frozen=True, slots=True)
class LoadCertificate:
    """The operator's word that an offline token exists: outpoint, owner, amount, mark, the two deadlines."""

    outpoint: bytes
    token: OfflineToken

    def sign(self, operator: SigningKey, network: bytes) -> bytes:
        t = self.token
        fields = [self.outpoint, t.owner, t.amount_tiyn, t.purpose, t.left, t.spend_until_s, t.final_at_s]
        return cose.sign1(operator, Kind.LOAD_CERTIFICATE, cbor.encode(fields), network)

    @classmethod
    def verify(cls, data: bytes, network: bytes, operator_key: bytes) -> LoadCertificate:
        """The load certificate in ``data``, by this operator.

        Raises:
            FormError: not one. BadSignature: not the operator's.
        """
        payload = cose.verify1(data, Kind.LOAD_CERTIFICATE, network, operator_key, max_bytes=MAX_DOCUMENT_BYTES)
        outpoint, owner, amount, purpose, left, spend_until, final_at = cbor.array(cbor.decode(payload), "load", 7)
        token = OfflineToken(
            owner=cbor.byte_string(owner, "owner key", PUBLIC_KEY_BYTES),
            amount_tiyn=cbor.unsigned(amount, "amount", MAX_AMOUNT_TIYN),
            purpose=None if purpose is None else cbor.byte_string(purpose, "purpose", HASH_BYTES),
            spend_until_s=cbor.time_s(spend_until, "spend until"),
            final_at_s=cbor.time_s(final_at, "final at"),
            hops=0,
            spenders=[],
            returned=False,
            left=None if left is None else cbor.unsigned(left, "payments left", MAX_MARK_HOPS),
        )
        return cls(cbor.byte_string(outpoint, "outpoint", OUTPOINT_BYTES), token)


@dataclass(frozen=True, slots=True)
class SyncCertificate:
    """The operator's word to a secure element that its purse has just synced: it may count its spends from 0.

    ``challenge`` is the element's own, so that no certificate counts twice; ``held_tiyn`` is what the ledger knows
    the purse to hold, from which the element counts on.
    """

    purse_key: bytes
    time_s: int
    challenge: bytes
    held_tiyn: int

    def sign(self, operator: SigningKey, network: bytes) -> bytes:
        fields = [self.purse_key, self.time_s, self.challenge, self.held_tiyn]
        return cose.sign1(operator, Kind.SYNC_CERTIFICATE, cbor.encode(fields), network)

    @classmethod
    def verify(cls, data: bytes, network: bytes, operator_key: bytes) -> SyncCertificate:
        """The sync certificate in ``data``, by this operator.

        Raises:
            FormError: not one. BadSignature: not the operator's.
        """
        payload = cose.verify1(data, Kind.SYNC_CERTIFICATE, network, operator_key, max_bytes=MAX_DOCUMENT_BYTES)
        key, time, challenge, held = cbor.array(cbor.decode(payload), "sync", 4)
        return cls(
            cbor.byte_string(key, "purse key", PUBLIC_KEY_BYTES),
            cbor.time_s(time, "time"),
            cbor.byte_string(challenge, "challenge", CHALLENGE_BYTES),
            cbor.unsigned(held, "held", MAX_AMOUNT_TIYN),
        )


@dataclass(frozen=True, slots=True)
class TrustList:
    """Whom devices may trust: the institutions' X.509 certificates and the revoked certificates' ids.

    Its number is the ledger time at which it was signed: of two lists the later one counts, and a list is older
    than a revocation exactly if its number is smaller than the revocation's ledger time.
    """

    time_s: int
    institutions: tuple[Institution, ...]
    revoked: frozenset[bytes]
    raw: bytes

    @staticmethod
    def sign(time_s: int, ders: list[bytes], revoked: list[bytes], operator: SigningKey, network: bytes) -> bytes:
        payload = cbor.encode([time_s, sorted(ders), sorted(revoked)])
        return cose.sign1(operator, Kind.TRUST_LIST, payload, network)

    @classmethod
    def verify(cls, data: bytes, root_key: bytes) -> TrustList:
        """A trust list by an operator whom the pinned governor's root key vouches for, inside the list itself.

        Raises:
            FormError: not a trust list. BadSignature: an institution is not the governor's, or the list not the
            operator's.
        """
        payload, check = cose.open1(data, Kind.TRUST_LIST, root_key)
        time, ders, revoked = cbor.array(cbor.decode(payload), "trust list", 3)
        institutions = []
        for der in cbor.array_up_to(ders, "institutions", MAX_PARTICIPANTS):
            institution = x509.parse(cbor.bytes_up_to(der, "X.509 certificate", MAX_X509_BYTES))
            x509.verify_issued_by(institution, root_key)
            institutions.append(institution)
        operators = [i for i in institutions if i.role is Role.OPERATOR]
        if len(operators) != 1:
            raise Malformed("a trust list names one operator", found=len(operators))
        if not cose.SignatureCheck(operators[0].key, check.message, check.signature).holds():
            raise BadSignature("the trust list is not by the operator that it names")
        ids = cbor.array_up_to(revoked, "revoked certificates", MAX_REVOKED)
        return cls(
            cbor.time_s(time, "trust list time"),
            tuple(institutions),
            frozenset(cbor.byte_string(item, "certificate id", HASH_BYTES) for item in ids),
            data,
        )

    def operator_key(self) -> bytes:
        """The key that signs load certificates, checkpoints and this list."""
        return next(i.key for i in self.institutions if i.role is Role.OPERATOR)

    def bank_key(self, name: str) -> bytes:
        """The key of an admitted bank.

        Raises:
            NotEnrolled: there is none of that name.
        """
        for institution in self.institutions:
            if institution.role is Role.BANK and institution.name == name:
                return institution.key
        raise NotEnrolled("no such bank on the trust list", bank=name)

    def check_not_revoked(self, certificate_id: bytes) -> None:
        """Raises CertificateRevoked if the certificate is on the deny-list."""
        if certificate_id in self.revoked:
            raise CertificateRevoked("certificate is on the deny-list", certificate=certificate_id)
