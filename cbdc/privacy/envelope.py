"""The envelope of a confidential payment: k of n supervisors together open it, and with it that payment alone.

A fresh key encrypts the payment's secrets; it is split among the supervisors (`cbdc.privacy.sharing`), each share under
HPKE (RFC 9180) for one of them. Everything is bound to the network, the payment and the group of supervisors. The
payer commits to the key and to each share, so all quorums see the same secrets and a false share is told from a true
one. HPKE's ephemeral keys are drawn by `cryptography`; all other randomness is an argument. The ledger only looks at
the outside. See docs/adr/0031-supervised-opening.md.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Self

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.hpke import AEAD, KDF, KEM, Suite
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cbdc.errors import FormError, Malformed, ProofInvalid, QuorumNotMet, TooLarge
from cbdc.formats import cbor
from cbdc.formats.hashing import HASH_BYTES, tagged
from cbdc.limits import MAX_ENVELOPE_BYTES, MAX_ENVELOPE_SECRETS_BYTES, MAX_SUPERVISORS
from cbdc.privacy import sharing
from cbdc.privacy.padding import padded, unpadded
from cbdc.privacy.sharing import KEY_BYTES, Random, Share

SUPERVISOR_KEY_BYTES: Final = 32
_SUITE: Final = Suite(KEM.X25519, KDF.HKDF_SHA256, AEAD.CHACHA20_POLY1305)
_TAG_BYTES: Final = 16
_SEALED_BYTES: Final = 32 + KEY_BYTES + _TAG_BYTES
_BLOCK_BYTES: Final = 256
"""Secrets are padded to whole blocks: the envelope's length does not tell the memo's."""

_MAX_BOX_BYTES: Final = MAX_ENVELOPE_SECRETS_BYTES + _BLOCK_BYTES + _TAG_BYTES
_ONLY_NONCE: Final = bytes(12)


@dataclass(frozen=True, slots=True)
class Context:
    """What an envelope belongs to: the network, and the hash of all of the payment but its envelope (32 bytes each)."""

    network: bytes
    payment: bytes

    def __post_init__(self) -> None:
        cbor.byte_string(self.network, "a network", HASH_BYTES)
        cbor.byte_string(self.payment, "a payment's hash", HASH_BYTES)

    def info(self, group: bytes, index: int) -> bytes:
        """HPKE's ``info`` for one supervisor's share."""
        return cbor.encode(["tenge/v1/envelope", self.network, self.payment, group, index])


@dataclass(frozen=True, slots=True)
class Envelope:
    """An envelope's parts, as they were read; nothing of them is secret."""

    quorum: int
    group: bytes
    """The supervisors' keys, in order, and the quorum, hashed: `group_of`."""
    key_mark: bytes
    """The payer's commitment to the key."""
    sealed: tuple[bytes, ...]
    """Each supervisor's share under HPKE: encapsulated key, ciphertext, tag."""
    marks: tuple[bytes, ...]
    """The payer's commitment to each share."""
    box: bytes
    """The secrets under the key."""

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The envelope of untrusted bytes.

        Raises:
            FormError: not exactly one envelope.
        """
        fields = cbor.array(cbor.decode(data, max_bytes=MAX_ENVELOPE_BYTES), "an envelope", 5)
        rows = [cbor.array(row, "a share", 2) for row in cbor.array_up_to(fields[3], "shares", MAX_SUPERVISORS)]
        quorum = cbor.unsigned(fields[0], "a quorum", MAX_SUPERVISORS)
        sharing.check_quorum(quorum, len(rows))
        box = cbor.bytes_up_to(fields[4], "a box", _MAX_BOX_BYTES)
        if len(box) <= _TAG_BYTES or (len(box) - _TAG_BYTES) % _BLOCK_BYTES:
            raise Malformed("a box is not of whole blocks", bytes=len(box))
        return cls(
            quorum,
            cbor.byte_string(fields[1], "a group", HASH_BYTES),
            cbor.byte_string(fields[2], "a key's mark", HASH_BYTES),
            tuple(cbor.byte_string(sealed, "a sealed share", _SEALED_BYTES) for sealed, _ in rows),
            tuple(cbor.byte_string(mark, "a share's mark", HASH_BYTES) for _, mark in rows),
            box,
        )

    def encode(self) -> bytes:
        """``[quorum, group, key's mark, [[sealed share, mark], ...], box]``."""
        return cbor.encode([*self._head(), self.box])

    def additional_data(self, context: Context) -> bytes:
        """What the box's tag covers besides the box: everything else."""
        return cbor.encode([context.network, context.payment, *self._head()])

    def _head(self) -> list[cbor.Value]:
        return [
            self.quorum,
            self.group,
            self.key_mark,
            [list(row) for row in zip(self.sealed, self.marks, strict=True)],
        ]


def group_of(supervisors: Sequence[bytes], quorum: int) -> bytes:
    """What names a group of supervisors (X25519 keys, 32 bytes each, in their order) and its quorum.

    Raises:
        Malformed: not such keys, one of them twice, or not a quorum.
    """
    sharing.check_quorum(quorum, len(supervisors))
    keys = [cbor.byte_string(key, "a supervisor's key", SUPERVISOR_KEY_BYTES) for key in supervisors]
    if len(set(keys)) != len(keys):
        raise Malformed("a supervisor has more than one share")
    return tagged("supervisors", cbor.encode([quorum, keys]))


def check_addressed_to(envelope: bytes, supervisors: Sequence[bytes], quorum: int) -> None:
    """What can be seen from outside: that this is an envelope, and says it is for exactly these supervisors.

    Raises:
        FormError: it is none. ProofInvalid: it is for others.
    """
    parts = Envelope.decode(envelope)
    if (parts.group, parts.quorum, len(parts.sealed)) != (group_of(supervisors, quorum), quorum, len(supervisors)):
        raise ProofInvalid("the envelope is not for the supervisors in office")


def seal(secrets: cbor.Value, supervisors: Sequence[bytes], quorum: int, context: Context, random: Random) -> bytes:
    """An envelope that any ``quorum`` of these supervisors open (X25519 keys, 32 bytes each).

    Raises:
        TooLarge: secrets above `MAX_ENVELOPE_SECRETS_BYTES`. Malformed: not such keys or not a quorum.
    """
    plain = cbor.encode(secrets)
    if len(plain) > MAX_ENVELOPE_SECRETS_BYTES:
        raise TooLarge("too much for one envelope", found=len(plain), limit=MAX_ENVELOPE_SECRETS_BYTES)
    group = group_of(supervisors, quorum)
    key = random(KEY_BYTES)
    shares = sharing.split(key, quorum, len(supervisors), random)
    head = Envelope(
        quorum,
        group,
        _key_mark(key, context, group),
        tuple(_sealed(share, public, context, group) for share, public in zip(shares, supervisors, strict=True)),
        tuple(_mark(share, context, group) for share in shares),
        b"",
    )
    box = _cipher(key).encrypt(_ONLY_NONCE, padded(plain, _BLOCK_BYTES), head.additional_data(context))
    return Envelope(head.quorum, head.group, head.key_mark, head.sealed, head.marks, box).encode()


def open_share(envelope: bytes, index: int, private: X25519PrivateKey, context: Context) -> Share:
    """One supervisor's share, by its private key; ``index`` is its place in the group.

    Raises:
        FormError: no envelope, or no such place in it.
        ProofInvalid: the share does not open for this key, place and payment, or is not the one committed to.
    """
    parts = Envelope.decode(envelope)
    if not 0 <= index < len(parts.sealed):
        raise Malformed("the envelope has no such share", index=index, count=len(parts.sealed))
    try:
        value = _SUITE.decrypt(parts.sealed[index], private, info=context.info(parts.group, index))
    except (InvalidTag, ValueError):
        raise ProofInvalid("the share does not open", index=index) from None
    share = Share(index, parts.quorum, value)
    _check_mark(share, parts, context)
    return share


def open_with(envelope: bytes, shares: Sequence[Share], context: Context) -> cbor.Value:
    """The payment's secrets, by a quorum's shares. Whoever has the same shares can check the same.

    Raises:
        FormError: no envelope, a share twice, or one from another place.
        QuorumNotMet: too few shares.
        ProofInvalid: ``index`` is not the share that the payer committed to; without ``index``, all shares are, and
            the payer made an envelope that does not open.
    """
    parts = Envelope.decode(envelope)
    for share in shares:
        if share.quorum != parts.quorum or share.index >= len(parts.sealed):
            raise Malformed("a share of another envelope", index=share.index)
        _check_mark(share, parts, context)
    present = len({share.index for share in shares})
    if present < parts.quorum:
        raise QuorumNotMet("not enough supervisors", found=present, wanted=parts.quorum)
    key = sharing.combine(shares)
    if _key_mark(key, context, parts.group) != parts.key_mark:
        raise ProofInvalid("the envelope is not under the key that the payer committed to")
    try:
        filled = _cipher(key).decrypt(_ONLY_NONCE, parts.box, parts.additional_data(context))
        return cbor.decode(unpadded(filled, _BLOCK_BYTES), max_bytes=MAX_ENVELOPE_SECRETS_BYTES)
    except (InvalidTag, FormError):
        raise ProofInvalid("the envelope does not open") from None


def _sealed(share: Share, public: bytes, context: Context, group: bytes) -> bytes:
    try:
        key = X25519PublicKey.from_public_bytes(public)
        return _SUITE.encrypt(share.value, key, info=context.info(group, share.index))
    except ValueError:
        raise Malformed("nothing can be sealed for this key", key=public) from None


def _mark(share: Share, context: Context, group: bytes) -> bytes:
    return tagged("share", context.info(group, share.index) + share.value)


def _check_mark(share: Share, parts: Envelope, context: Context) -> None:
    if _mark(share, context, parts.group) != parts.marks[share.index]:
        raise ProofInvalid("not the share that the payer committed to", index=share.index)


def _key_mark(key: bytes, context: Context, group: bytes) -> bytes:
    return tagged("envelope-key", cbor.encode([context.network, context.payment, group, key]))


def _cipher(key: bytes) -> ChaCha20Poly1305:
    """The one-time cipher of an envelope: its key encrypts once, so the nonce is fixed."""
    return ChaCha20Poly1305(HKDF(SHA256(), 32, None, b"tenge/v1/envelope-box").derive(key))
