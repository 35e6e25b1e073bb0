"""The secrets of cash notes, from the wallet's seed: a restored seed finds and blinds the same notes again.

Note number i of a published key has a serial, a prefix, a salt and a blinding factor that HKDF (RFC 5869) derives from
the seed's cash secret, the key's id (which covers network, denomination and epoch) and i. A number is used for one
withdrawal only.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Final

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from cbdc.formats import cbor
from cbdc.formats.ed25519 import SEED_BYTES, SigningKey
from cbdc.limits import MAX_NOTE_NUMBER
from cbdc.privacy import blind_rsa
from cbdc.privacy.blind_rsa import PREFIX_BYTES, Blinding
from cbdc.privacy.notes import Note, NoteKey

_SALT: Final = b"tenge/v1/cash"


@dataclass(frozen=True, slots=True)
class Draft:
    """A note before it is signed: ``blinding.blinded`` goes to the issuer, all else stays."""

    key: NoteKey
    owner: SigningKey = field(repr=False)
    prepared: bytes = field(repr=False)
    blinding: Blinding = field(repr=False)

    def finish(self, blind_signature: bytes) -> Note:
        """The note that this answer makes of the draft.

        Raises:
            Malformed, BadSignature: the issuer did not sign what it was sent.
        """
        signature = blind_rsa.finalize(self.key.public, self.prepared, self.blinding, blind_signature)
        return Note(self.owner.public, self.prepared[:PREFIX_BYTES], signature)


class CashKeys:
    """Drafts of notes by key and number. Holds the wallet's cash secret and never shows it."""

    __slots__ = ("_secret",)

    def __init__(self, secret: bytes) -> None:
        self._secret = secret

    def draft(self, key: NoteKey, number: int) -> Draft:
        """Note ``number`` of ``key``, the same every time.

        Raises:
            TooLarge: a number above `MAX_NOTE_NUMBER`.
        """
        cbor.unsigned(number, "a note's number", MAX_NOTE_NUMBER)
        owner = SigningKey(self._derive("serial", key, number, 0, SEED_BYTES))
        draws = iter(range(1 << 16))

        def random(count: int) -> bytes:
            return self._derive("blinding", key, number, next(draws), count)

        prepared = blind_rsa.prepare(key.message(owner.public), random)
        return Draft(key, owner, prepared, blind_rsa.blind(key.public, prepared, random))

    def _derive(self, what: str, key: NoteKey, number: int, draw: int, count: int) -> bytes:
        info = cbor.encode([what, key.id, number, draw])
        return HKDF(SHA256(), count, _SALT, info).derive(self._secret)

    def __repr__(self) -> str:
        return "CashKeys(…)"

    def __reduce__(self) -> str:
        raise TypeError("cash keys are not pickled")
