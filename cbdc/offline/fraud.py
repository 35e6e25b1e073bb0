"""A fraud proof: two payloads, both signed by one purse, that spend one offline output.

It holds all that a reader needs besides the governor's root key: both spends as they were signed, the purse's
certificate and the X.509 of the bank that signed it. Design section 6, rule 2: two encodings or two signatures of
one payload are no fork.
"""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.errors import BadSignature, Malformed, ProofInvalid
from cbdc.formats import cbor, certificates, x509
from cbdc.formats.certificates import Certificate
from cbdc.formats.x509 import Role
from cbdc.limits import MAX_CERTIFICATE_BYTES, MAX_MESSAGE_BYTES, MAX_X509_BYTES
from cbdc.messages.bodies import Transfer, Unload
from cbdc.messages.message import Verified, decode, verify


@dataclass(frozen=True, slots=True)
class FraudProof:
    """A proven fork: whose purse, under which bank's certificate, the outputs spent twice, the two spends' ids."""

    account: str
    bank: str
    purse_key: bytes
    outpoints: tuple[bytes, ...]
    spends: tuple[bytes, bytes]


def encode(one: bytes, other: bytes, certificate: bytes, bank_der: bytes) -> bytes:
    """The bytes of a proof: two signed spends (in the order of their bytes), the purse's CWT, the bank's X.509."""
    return cbor.encode([sorted([one, other]), certificate, bank_der])


def verify_proof(data: bytes, root_key: bytes) -> FraudProof:
    """What a proof proves, under the governor's pinned root key (32 bytes) alone.

    Raises:
        FormError: not a proof. BadSignature: one of the signatures in it does not hold. ProofInvalid: everything is
        genuine and yet proves no fork.
    """
    spends, certificate_raw, bank_der = cbor.array(cbor.decode(data), "fraud proof", 3)
    one, other = (cbor.bytes_up_to(raw, "spend", MAX_MESSAGE_BYTES) for raw in cbor.array(spends, "spends", 2))
    bank = x509.parse(cbor.bytes_up_to(bank_der, "X.509 certificate", MAX_X509_BYTES))
    x509.verify_issued_by(bank, root_key)
    purse = certificates.verify(
        cbor.bytes_up_to(certificate_raw, "certificate", MAX_CERTIFICATE_BYTES), root_key, bank.key
    )
    if bank.role is not Role.BANK or purse.bank != bank.name or purse.limits is None:
        raise ProofInvalid("the certificate is no purse's by this bank", bank=bank.name, found=purse.bank)
    first, second = _spend(one, purse, root_key), _spend(other, purse, root_key)
    if first.id == second.id:
        raise ProofInvalid("two copies of one spend are no fork", id=first.id)
    common = sorted(set(_inputs(first)) & set(_inputs(second)))
    if not common:
        raise ProofInvalid("the two spends have no output in common")
    return FraudProof(purse.account, bank.name, purse.key, tuple(common), (first.id, second.id))


def _spend(raw: bytes, purse: Certificate, network: bytes) -> Verified:
    message = verify(decode(raw, network))
    _inputs(message)
    if message.signers != {purse.key}:
        raise BadSignature("the spend is not signed by the purse alone", purse=purse.key)
    return message


def _inputs(message: Verified) -> tuple[bytes, ...]:
    """What a spend of offline outputs uses up: an offline payment or an unload."""
    body = message.body
    if isinstance(body, Unload) or (isinstance(body, Transfer) and body.terms is not None):
        return body.inputs
    raise Malformed("not a spend of offline outputs", kind=message.kind.value)


def spend_in(raw: bytes, wanted: bytes, network: bytes) -> bytes | None:
    """The signed spend with this id in a log entry's message: the message itself, or a part of the evidence in it."""
    message = decode(raw, network)
    if message.id == wanted:
        return raw
    parts = getattr(message.body, "raw", ())
    return next((part for part, decoded in zip(parts, message.parts, strict=False) if decoded.id == wanted), None)


__all__ = ["FraudProof", "encode", "spend_in", "verify_proof"]
