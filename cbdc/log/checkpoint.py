"""Checkpoints: C2SP tlog-checkpoint inside a C2SP signed note, signed with Ed25519 by the operator.

The note's text is the origin, the tree size, the base64 root hash and one extension line, ``state`` with the
base64 state root, so that a witness compares both. The reader accepts exactly this text and at least one
signature that it knows; others (witnesses) are kept and ignored.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
from dataclasses import dataclass
from typing import Final

from cbdc.errors import BadSignature, Malformed, TooLarge
from cbdc.formats.ed25519 import SigningKey, is_valid
from cbdc.limits import MAX_NAME_CHARS, MAX_NOTE_CHARS

_ED25519: Final = b"\x01"
_DASH: Final = "\u2014 "
_STATE: Final = "state "


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What the operator commits to: tree size, tree root (32 bytes), state root (32 bytes)."""

    origin: str
    size: int
    root: bytes
    state_root: bytes

    def text(self) -> str:
        """The note text that is signed, with its final newline."""
        return f"{self.origin}\n{self.size}\n{_b64(self.root)}\n{_STATE}{_b64(self.state_root)}\n"


def origin_of(network_name: str) -> str:
    """The log's origin line, which is also the operator's name in signatures: no spaces, no plus."""
    return "tenge/" + "-".join(network_name.replace("+", "-").split())[:MAX_NAME_CHARS]


def key_id(name: str, public_key: bytes) -> bytes:
    """C2SP signed-note: the first 4 bytes of SHA-256(name LF 0x01 key)."""
    return hashlib.sha256(name.encode() + b"\n" + _ED25519 + public_key).digest()[:4]


def verifier_key(name: str, public_key: bytes) -> str:
    """The C2SP vkey line that existing log tools take: ``name+hex id+base64(type || key)``."""
    return f"{name}+{key_id(name, public_key).hex()}+{_b64(_ED25519 + public_key)}"


def sign(checkpoint: Checkpoint, operator: SigningKey) -> str:
    """The signed note."""
    text = checkpoint.text()
    blob = key_id(checkpoint.origin, operator.public) + operator.sign(text.encode())
    return f"{text}\n{_DASH}{checkpoint.origin} {_b64(blob)}\n"


def verify(note: str, origin: str, operator_key: bytes) -> Checkpoint:
    """The checkpoint in a note that the operator of ``origin`` signed.

    Raises:
        TooLarge, Malformed: not a checkpoint of this origin. BadSignature: none of the signatures is the operator's.
    """
    if len(note) > MAX_NOTE_CHARS:
        raise TooLarge("checkpoint too long", found=len(note), limit=MAX_NOTE_CHARS)
    text, separator, signatures = note.partition("\n\n")
    if not separator or not signatures.endswith("\n"):
        raise Malformed("not a signed note")
    checkpoint, signed = _parse(text + "\n", origin), (text + "\n").encode()
    own = key_id(origin, operator_key)
    found = [blob for name, blob in map(_signature, signatures[:-1].split("\n")) if (name, blob[:4]) == (origin, own)]
    if not found:
        raise BadSignature("the operator did not sign this checkpoint", origin=origin)
    if not all(is_valid(operator_key, signed, blob[4:]) for blob in found):
        raise BadSignature("the operator's signature on the checkpoint does not hold", origin=origin)
    return checkpoint


def _signature(line: str) -> tuple[str, bytes]:
    """The signer's name, and key id with signature, of one line of a note."""
    name, _, blob = line.removeprefix(_DASH).partition(" ")
    if not line.startswith(_DASH) or not name or not blob:
        raise Malformed("not a signature line of a note")
    return name, _unb64(blob)


def _parse(text: str, origin: str) -> Checkpoint:
    lines = text.split("\n")
    if len(lines) != 5 or lines[0] != origin or lines[4] or not lines[3].startswith(_STATE):
        raise Malformed("not a checkpoint of this log", wanted=origin)
    size = lines[1]
    if not (size.isascii() and size.isdigit()) or len(size) > 18 or str(int(size)) != size:
        raise Malformed("the tree size is a plain decimal number")
    checkpoint = Checkpoint(origin, int(size), _unb64(lines[2]), _unb64(lines[3].removeprefix(_STATE)))
    if len(checkpoint.root) != 32 or len(checkpoint.state_root) != 32 or checkpoint.text() != text:
        raise Malformed("roots are 32 bytes of plain base64")
    return checkpoint


def _b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


def _unb64(text: str) -> bytes:
    try:
        data = base64.b64decode(text, validate=True)
    except (binascii.Error, ValueError):
        raise Malformed("not base64") from None
    if _b64(data) != text:
        raise Malformed("not the one spelling of this base64")
    return data
