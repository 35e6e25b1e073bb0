"""Cash notes: the keys that issue them, and what a note is.

A note is a serial under a blind signature by the key of its denomination and epoch. The serial is a fresh Ed25519 key
of the holder, so a note that somebody saw cannot be spent by him. See docs/adr/0030-cash-notes.md.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final, Self

from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.formats.hashing import HASH_BYTES, tagged
from cbdc.limits import MAX_EPOCH, MAX_NOTE_KEY_BYTES, MAX_NOTE_TENGE, MAX_RSA_SPKI_BYTES
from cbdc.privacy import blind_rsa
from cbdc.privacy.blind_rsa import PREFIX_BYTES, PublicKey

SERIAL_BYTES: Final = 32
_FIELDS: Final = 7


@dataclass(frozen=True, slots=True)
class NoteKey:
    """One published key: it signs notes of one denomination in one epoch of one network, and nothing else."""

    network: bytes
    denomination_tenge: int
    epoch: int
    public: PublicKey
    issues_from_s: int
    issues_until_s: int
    accepted_until_s: int

    def __post_init__(self) -> None:
        value = self.denomination_tenge
        if not 0 < value <= MAX_NOTE_TENGE or value & (value - 1):
            raise Malformed("a denomination is a power of two", found=value, limit=MAX_NOTE_TENGE)
        if not self.issues_from_s < self.issues_until_s <= self.accepted_until_s:
            raise Malformed("a key issues before its notes expire")

    @property
    def id(self) -> bytes:
        """What notes and wallets name the key by: the hash of everything in it."""
        return tagged("note-key", self.encode())

    def encode(self) -> bytes:
        """``[network, denomination, epoch, SubjectPublicKeyInfo, issues from, issues until, accepted until]``."""
        times = (self.issues_from_s, self.issues_until_s, self.accepted_until_s)
        return cbor.encode([self.network, self.denomination_tenge, self.epoch, self.public.to_der(), *times])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The key of untrusted bytes.

        Raises:
            FormError: not exactly one such record.
        """
        fields = cbor.array(cbor.decode(data, max_bytes=MAX_NOTE_KEY_BYTES), "a note key", _FIELDS)
        return cls(
            cbor.byte_string(fields[0], "a network", HASH_BYTES),
            cbor.unsigned(fields[1], "a denomination", MAX_NOTE_TENGE),
            cbor.unsigned(fields[2], "an epoch", MAX_EPOCH),
            PublicKey.from_der(cbor.bytes_up_to(fields[3], "an RSA key", MAX_RSA_SPKI_BYTES)),
            *(cbor.time_s(field, "a key's time") for field in fields[4:]),
        )

    def message(self, serial: bytes) -> bytes:
        """What is signed, behind its random prefix: it names the key, so no other key's signature can stand for it."""
        return b"tenge/v1/note\0" + self.id + cbor.byte_string(serial, "a serial", SERIAL_BYTES)


@dataclass(frozen=True, slots=True)
class Note:
    """A note as it is paid with: 320 bytes under a key of 2048 bits. Its holder proves himself by the serial's key.

    It does not show itself: a note in a wallet's log would link that wallet to the deposit.
    """

    serial: bytes = field(repr=False)
    prefix: bytes = field(repr=False)
    signature: bytes = field(repr=False)

    def verify(self, key: NoteKey) -> None:
        """Check that ``key`` issued this note; times and whether it was spent are for the ledger.

        Raises:
            BadSignature: it did not. Malformed: a field of the wrong length.
        """
        prefix = cbor.byte_string(self.prefix, "a note's prefix", PREFIX_BYTES)
        blind_rsa.verify(key.public, prefix + key.message(self.serial), self.signature)
