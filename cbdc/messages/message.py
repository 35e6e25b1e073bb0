"""The messages that the ledger takes in: bytes -> `Message` -> `Verified`.

Decoding is all form: sizes, shapes, canonical spelling. Verification is all signatures. What needs the
ledger's state is decided later, in `cbdc.transition`. The id of a message is the hash of its signed payload,
so a second encoding or a second signature is still the same message.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, TypeAlias

from cbdc.errors import BadSignature, Malformed
from cbdc.formats import cbor, cose, requests
from cbdc.formats.certificates import Certificate
from cbdc.formats.compact import Compact
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import tagged
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.limits import MAX_DEFINITION_BYTES, MAX_MESSAGE_BYTES
from cbdc.messages import bodies
from cbdc.purposes.definition import Definition

Body: TypeAlias = (
    bodies.Genesis
    | bodies.Admit
    | bodies.Dismiss
    | bodies.SetPolicy
    | bodies.Enrol
    | bodies.Revoke
    | bodies.Issue
    | bodies.Spend
    | bodies.Reconcile
    | bodies.Sweep
    | bodies.Approve
    | bodies.Attest
    | bodies.Allow
    | bodies.Recall
    | Definition
)

_READERS: Final[dict[Kind, Callable[[cbor.Value], Body]]] = {
    Kind.GENESIS: bodies.Genesis.from_cbor,
    Kind.ADMIT: bodies.Admit.from_cbor,
    Kind.DISMISS: bodies.Dismiss.from_cbor,
    Kind.POLICY: bodies.SetPolicy.from_cbor,
    Kind.ENROL: bodies.Enrol.from_cbor,
    Kind.REVOKE: bodies.Revoke.from_cbor,
    Kind.ISSUE: bodies.Issue.from_cbor,
    Kind.REDEEM: bodies.Redeem.from_cbor,
    Kind.TRANSFER: bodies.Transfer.from_cbor,
    Kind.RESERVE: bodies.Reserve.from_cbor,
    Kind.REPAY: bodies.Repay.from_cbor,
    Kind.LOAD: bodies.Load.from_cbor,
    Kind.UNLOAD: bodies.Unload.from_cbor,
    Kind.RECONCILE: bodies.Reconcile.from_cbor,
    Kind.PURPOSE: Definition.from_cbor,
    Kind.GRANT: bodies.Grant.from_cbor,
    Kind.SWEEP: bodies.Sweep.from_cbor,
    Kind.APPROVE: bodies.Approve.from_cbor,
    Kind.ATTEST: bodies.Attest.from_cbor,
    Kind.ALLOW: bodies.Allow.from_cbor,
    Kind.REFUND: bodies.Refund.from_cbor,
    Kind.RECALL: bodies.Recall.from_cbor,
}
_UNSIGNED: Final = frozenset({Kind.RECONCILE, Kind.SWEEP})


@dataclass(frozen=True, slots=True)
class Message:
    """A decoded message, with the ``checks`` that make it authentic still to be run.

    ``parts`` are the payments inside a reconcile, ``certificates`` those inside an enrol entry.
    """

    kind: Kind
    id: bytes
    body: Body
    signers: frozenset[bytes]
    parts: tuple[Message, ...]
    certificates: tuple[Certificate, ...]
    checks: tuple[cose.SignatureCheck, ...]


@dataclass(frozen=True, slots=True)
class Verified(Compact):
    """A message all of whose signatures hold: the only thing that the transition accepts.

    ``signers`` are the public keys that signed it; whether they had the right to is not decided yet.
    """

    kind: Kind
    id: bytes
    body: Body
    signers: frozenset[bytes]
    parts: tuple[Verified, ...]
    certificates: tuple[Certificate, ...]

    def __reduce__(self) -> tuple[object, ...]:
        """A transfer as one flat tuple: pickling each record in it takes as long as a tenth of a verification."""
        body = self.body
        if type(body) is not bodies.Transfer or self.certificates or self.parts:
            return super(Verified, self).__reduce__()
        outputs = [(output.owner, output.amount_tiyn, output.purpose) for output in body.outputs]
        terms = body.terms.to_cbor() if body.terms else None
        stated = (body.lines, body.request) if body.lines else ()
        return _transfer, (self.id, self.signers, body.inputs, outputs, body.valid_until_s, body.sealed, terms, stated)


def _transfer(
    id_: bytes,
    signers: frozenset[bytes],
    inputs: tuple[bytes, ...],
    outputs: list[tuple[bytes, int, bytes | None]],
    valid_until_s: int,
    sealed: bytes | None,
    terms: list[Any] | None,
    stated: tuple[Any, ...],
) -> Verified:
    """A transfer as a worker sent it back, already read and verified there."""
    made = tuple([Output(*output) for output in outputs])
    body = bodies.Transfer(inputs, made, valid_until_s, sealed, bodies.OfflineTerms(*terms) if terms else None, *stated)
    return Verified(Kind.TRANSFER, id_, body, signers, (), ())


def decode(raw: bytes, network: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES) -> Message:
    """Decode one message of this network (32-byte root key), with the list of checks that make it authentic.

    Raises:
        FormError: malformed, not canonical, or too large.
    """
    signed = cose.decode(raw, max_bytes=max_bytes)
    reader = _READERS.get(signed.kind)
    if reader is None:
        raise Malformed("not a message for the ledger", kind=signed.kind.value)
    if bool(signed.signatures) is (signed.kind in _UNSIGNED):
        raise Malformed("wrong number of signatures", kind=signed.kind.value, found=len(signed.signatures))
    limit_bytes = MAX_DEFINITION_BYTES if signed.kind is Kind.PURPOSE else max_bytes
    body = reader(cbor.decode(signed.payload, max_bytes=limit_bytes))
    parts: tuple[Message, ...] = ()
    certificates: tuple[Certificate, ...] = ()
    checks = tuple(cose.checks(signed, network))
    if type(body) is bodies.Reconcile:
        parts = tuple(_payment(item, network) for item in body.raw)
        checks = tuple(check for part in parts for check in part.checks)
    elif type(body) is bodies.Genesis and body.root.key != network:
        raise Malformed("genesis of another network", found=body.root.key, wanted=network)
    elif type(body) is bodies.Transfer and body.request is not None:
        checks += (requests.read(body.request, network).check,)
    elif type(body) is bodies.Enrol:
        certificates, inner = _certificates(body, signed, network)
        checks += inner
    signers = frozenset([signature.key for signature in signed.signatures])
    return Message(signed.kind, message_id(signed.kind, signed.payload), body, signers, parts, certificates, checks)


def verify(message: Message) -> Verified:
    """Check every signature of the message.

    Raises:
        BadSignature: one of them does not hold.
    """
    if not all(check.holds() for check in message.checks):
        raise BadSignature("a signature does not hold", kind=message.kind.value)
    parts = tuple([_verified(part) for part in message.parts])
    return Verified(message.kind, message.id, message.body, message.signers, parts, message.certificates)


def _verified(part: Message) -> Verified:
    """A part whose checks were among its wrapper's."""
    return Verified(part.kind, part.id, part.body, part.signers, (), ())


def message_id(kind: Kind, payload: bytes) -> bytes:
    """The id of a message: a tagged hash of its payload."""
    return tagged(kind.value, payload)


def build(kind: Kind, body: Body, keys: list[SigningKey], network: bytes) -> bytes:
    """The bytes of a message signed by ``keys``."""
    return cose.sign(keys, kind, cbor.encode(body.to_cbor()), network)


def countersign(raw: bytes, key: SigningKey, network: bytes) -> bytes:
    """The same message with one signature more, of somebody who agrees to it.

    Raises:
        FormError: not a message.
    """
    signed = cose.decode(raw)
    structure = cose.signed_structure(signed.kind, signed.payload, network)
    others = [signature for signature in signed.signatures if signature.key != key.public]
    return cose.assemble(signed.kind, signed.payload, [*others, cose.Signature(key.public, key.sign(structure))])


def _payment(raw: bytes, network: bytes) -> Message:
    message = decode(raw, network, max_bytes=len(raw))
    if type(message.body) is not bodies.Transfer or message.body.terms is None:
        raise Malformed("evidence is an offline transfer", kind=message.kind.value)
    if len(message.signers) != 1:
        raise Malformed("an offline transfer is signed by one purse", found=len(message.signers))
    return message


def _certificates(
    body: bodies.Enrol, signed: cose.Signed, network: bytes
) -> tuple[tuple[Certificate, ...], tuple[cose.SignatureCheck, ...]]:
    """The certificates inside an enrol entry; each must hold under the entry's one signer, the bank."""
    if len(signed.signatures) != 1:
        raise Malformed("enrol is signed by one bank")
    bank_key = signed.signatures[0].key
    opened = list(body.certificates(network))
    checks = [cose.SignatureCheck(bank_key, check.message, check.signature) for _, check in opened]
    return tuple(certificate for certificate, _ in opened), tuple(checks)
