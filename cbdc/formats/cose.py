"""COSE signatures (RFC 9052, RFC 9053) with Ed25519.

Two forms are used, both untagged and in exactly one spelling:

* ``COSE_Sign1`` (section 4.2) for what one key says: certificates, invoices, receipts, lists.
* ``COSE_Sign`` (section 4.1) for what the ledger takes in: signed by every owner that must agree. Each
  signer's header carries the public key itself as ``kid``, so a signature is checked without any lookup;
  whether that key may sign is the transition's question. Signers are sorted by key and distinct.

Every kind of message has its own content type in the protected header, and the network (the governor's
root key) is the external additional data: a signature never counts for another kind or another network.
"""

from __future__ import annotations

from functools import cache, lru_cache
from itertools import pairwise
from typing import Final, NamedTuple

from cbdc.errors import BadSignature, FormError, Malformed
from cbdc.formats import cbor
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES, SIGNATURE_BYTES, SigningKey, is_valid
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_MESSAGE_BYTES, MAX_SIGNATURES

HEADER_ALG: Final = 1
HEADER_CONTENT_TYPE: Final = 3
HEADER_KID: Final = 4
ALG_EDDSA: Final = -8
_SIGNER_HEADERS: Final = frozenset({HEADER_KID})
_SIGNER_PROTECTED: Final = cbor.encode({HEADER_ALG: ALG_EDDSA})


class Signature(NamedTuple):
    """One signer of a COSE_Sign: the 32-byte public key (kid) and the 64-byte signature."""

    key: bytes
    value: bytes


class SignatureCheck(NamedTuple):
    """One Ed25519 verification that is still to be done: pure data, so that any worker can do it."""

    key: bytes
    message: bytes
    signature: bytes

    def holds(self) -> bool:
        return is_valid(self.key, self.message, self.signature)


# --- COSE_Sign1 --------------------------------------------------------------------------------


def sign1(key: SigningKey, kind: Kind, payload: bytes, network: bytes) -> bytes:
    """A COSE_Sign1 message over ``payload`` for this network (32-byte root key)."""
    protected = _protected1(kind)
    signature = key.sign(_sign1_structure(protected, payload, network))
    return cbor.encode([protected, {}, payload, signature])


def is_kind1(data: bytes, kind: Kind) -> bool:
    """Whether bytes claim to be a COSE_Sign1 of this kind; nothing is verified."""
    try:
        fields = cbor.decode(data)
    except FormError:
        return False
    return isinstance(fields, list) and len(fields) == 4 and fields[0] == _protected1(kind)


def open1(
    data: bytes, kind: Kind, network: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES
) -> tuple[bytes, SignatureCheck]:
    """Split a COSE_Sign1 of this content type into its payload and the check that is still to be made.

    The check's ``key`` is empty: the caller knows whose signature it expects (see `verify1`).

    Raises:
        FormError: not such a message.
    """
    protected, unprotected, payload, signature = cbor.array(cbor.decode(data, max_bytes=max_bytes), "COSE_Sign1", 4)
    if protected != _protected1(kind) or unprotected != {}:
        raise Malformed("not the expected kind of signed message", wanted=kind.value)
    payload = cbor.bytes_up_to(payload, "payload", max_bytes)
    signature = cbor.byte_string(signature, "signature", SIGNATURE_BYTES)
    return payload, SignatureCheck(b"", _sign1_structure(protected, payload, network), signature)


def verify1(data: bytes, kind: Kind, network: bytes, key: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES) -> bytes:
    """The payload of a COSE_Sign1 that ``key`` signed.

    Raises:
        FormError: not such a message.
        BadSignature: not by this key over these bytes.
    """
    payload, check = open1(data, kind, network, max_bytes=max_bytes)
    if not is_valid(key, check.message, check.signature):
        raise BadSignature("signature does not hold", kind=kind.value, key=key)
    return payload


@cache
def _protected1(kind: Kind) -> bytes:
    """The protected header of this kind."""
    return cbor.encode({HEADER_ALG: ALG_EDDSA, HEADER_CONTENT_TYPE: kind.value})


def _sign1_structure(protected: bytes, payload: bytes, network: bytes) -> bytes:
    return cbor.encode(["Signature1", protected, network, payload])


# --- COSE_Sign ---------------------------------------------------------------------------------


class Signed(NamedTuple):
    """A decoded COSE_Sign whose signatures are not yet checked."""

    kind: Kind
    payload: bytes
    signatures: tuple[Signature, ...]


def sign(keys: list[SigningKey], kind: Kind, payload: bytes, network: bytes) -> bytes:
    """A COSE_Sign message by every key of ``keys``."""
    structure = signed_structure(kind, payload, network)
    signatures = {key.public: key.sign(structure) for key in keys}
    return assemble(kind, payload, [Signature(k, signatures[k]) for k in sorted(signatures)])


def assemble(kind: Kind, payload: bytes, signatures: list[Signature]) -> bytes:
    """The bytes of a COSE_Sign from signatures made elsewhere (a secure element, a second party)."""
    signers = [[_SIGNER_PROTECTED, {HEADER_KID: s.key}, s.value] for s in sorted(signatures, key=lambda s: s.key)]
    return cbor.encode([_HEADER_BY_KIND[kind], {}, payload, signers])


def signed_structure(kind: Kind, payload: bytes, network: bytes) -> bytes:
    """What each signer of a COSE_Sign signs: the Sig_structure of RFC 9052 section 4.4."""
    return _structure_head(kind, network) + _byte_string_head(len(payload)) + payload


def decode(data: bytes, *, max_bytes: int = MAX_MESSAGE_BYTES) -> Signed:
    """Decode a COSE_Sign; its signatures are not checked here.

    Raises:
        FormError: not such a message.
    """
    signed = _one_signer(data) if len(data) <= max_bytes else None
    if signed is not None:
        return signed
    protected, unprotected, payload, signers = cbor.array(cbor.decode(data, max_bytes=max_bytes), "COSE_Sign", 4)
    kind = _KIND_BY_HEADER.get(protected) if type(protected) is bytes else None
    if kind is None or unprotected != {}:
        raise Malformed("not a kind of message that the ledger knows")
    payload = cbor.bytes_up_to(payload, "payload", max_bytes)
    signatures = tuple(map(_signature, cbor.array_up_to(signers, "signatures", MAX_SIGNATURES)))
    for before, after in pairwise(signatures):
        if before.key >= after.key:
            raise Malformed("signers are not sorted and distinct")
    return Signed(kind, payload, signatures)


def _one_signer(data: bytes) -> Signed | None:
    """What nearly every message is, a COSE_Sign by one signer, read without building its CBOR; None if it is not that.

    The parts are cut out where they must stand and spelled as `assemble` spells them: only if that gives ``data`` byte
    for byte was it right to cut there, and ``data`` canonical. What else it may be, good or bad, `decode` finds out.
    """
    if len(data) <= _SIGNER_BYTES:
        return None
    start = data[: data[2] + 4]
    kind = _KIND_BY_START.get(start)
    if kind is None:
        return None
    length = len(data) - len(start) - _SIGNER_BYTES
    head_bytes = 1 + (length > 24) + (length > 0x101) + 2 * (length > 0x1_0002)
    payload = data[len(start) + head_bytes : -_SIGNER_BYTES]
    key, value = data[_KEY_AT : _KEY_AT + PUBLIC_KEY_BYTES], data[-SIGNATURE_BYTES:]
    again = b"".join((start, _byte_string_head(len(payload)), payload, _SIGNER_START, key, _VALUE_START, value))
    return Signed(kind, payload, (Signature(key, value),)) if again == data else None


def checks(signed: Signed, network: bytes) -> list[SignatureCheck]:
    """The signature checks that make ``signed`` authentic; all must hold."""
    structure = signed_structure(signed.kind, signed.payload, network)
    return [SignatureCheck(s.key, structure, s.value) for s in signed.signatures]


def _signature(item: cbor.Value) -> Signature:
    protected, unprotected, value = cbor.array(item, "COSE_Signature", 3)
    if protected != _SIGNER_PROTECTED:
        raise Malformed("not an Ed25519 signer")
    key = cbor.byte_string(cbor.int_map(unprotected, "header", _SIGNER_HEADERS)[HEADER_KID], "kid", PUBLIC_KEY_BYTES)
    return Signature(key, cbor.byte_string(value, "signature", SIGNATURE_BYTES))


_KIND_BY_HEADER: Final = {cbor.encode({HEADER_CONTENT_TYPE: kind.value}): kind for kind in Kind}
_HEADER_BY_KIND: Final = {kind: header for header, kind in _KIND_BY_HEADER.items()}
_KIND_BY_START: Final = {b"\x84" + cbor.encode(header) + b"\xa0": kind for header, kind in _KIND_BY_HEADER.items()}
"""An array of four, the protected header, no unprotected ones: how a COSE_Sign of each kind begins."""

_SIGNER_START: Final = b"\x81\x83" + cbor.encode(_SIGNER_PROTECTED) + b"\xa1\x04\x58\x20"
"""What stands before the key of an only signer."""

_VALUE_START: Final = b"\x58\x40"
_KEY_AT: Final = -SIGNATURE_BYTES - len(_VALUE_START) - PUBLIC_KEY_BYTES
_SIGNER_BYTES: Final = len(_SIGNER_START) + PUBLIC_KEY_BYTES + len(_VALUE_START) + SIGNATURE_BYTES


@lru_cache(maxsize=256)
def _structure_head(kind: Kind, network: bytes) -> bytes:
    """The part of the Sig_structure before the payload; the same for every message of a kind, so kept."""
    return cbor.encode(["Signature", _HEADER_BY_KIND[kind], _SIGNER_PROTECTED, network, b""])[:-1]


def _byte_string_head(length: int) -> bytes:
    """The CBOR head of a byte string (RFC 8949 section 3.1, major type 2)."""
    if length < 24:
        return bytes((0x40 | length,))
    if length < 1 << 8:
        return b"\x58" + length.to_bytes(1, "big")
    if length < 1 << 16:
        return b"\x59" + length.to_bytes(2, "big")
    return b"\x5a" + length.to_bytes(4, "big")
