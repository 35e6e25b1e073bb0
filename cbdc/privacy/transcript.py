"""The Fiat-Shamir transcript: challenges are a hash of everything that was said before them.

What is bound first says where a proof belongs: the protocol, the network and the statement's own context. A proof
made for one of them fails for every other. Each part is framed by its kind, label and length, so that no two
different conversations hash the same bytes.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Final

from cbdc.errors import ProofInvalid
from cbdc.privacy.group import WIDE_BYTES, ZERO, Point, Scalar, encode_point, encode_scalar, wide_scalar

_DOMAIN: Final = b"tenge/v1/transcript"
_DATA, _CHALLENGE = b"\0", b"\1"
_FINGERPRINT_BYTES: Final = 64


class Transcript:
    """A running SHAKE256 (FIPS 202) over frames of ``kind || len(label) || label || len(data) || data``."""

    __slots__ = ("_state",)

    def __init__(self, protocol: str) -> None:
        self._state = hashlib.shake_256(_DOMAIN)
        self.append("protocol", protocol.encode())

    def append(self, label: str, data: bytes) -> None:
        self._absorb(_DATA, label, data)

    def append_point(self, label: str, point: Point) -> None:
        self.append(label, encode_point(point))

    def append_scalar(self, label: str, scalar: Scalar) -> None:
        self.append(label, encode_scalar(scalar))

    def challenge(self, label: str) -> Scalar:
        """A scalar other than zero that depends on all that came before.

        Raises:
            ProofInvalid: it is zero, for which the paper's protocols are not defined; once in 2^255.
        """
        self._absorb(_CHALLENGE, label, b"")
        scalar = wide_scalar(self._state.copy().digest(WIDE_BYTES))
        if scalar == ZERO:
            raise ProofInvalid("a challenge is zero", challenge=label)
        return scalar

    def fingerprint(self) -> bytes:
        """64 bytes that stand for all that came before."""
        return self._state.copy().digest(_FINGERPRINT_BYTES)

    def _absorb(self, kind: bytes, label: str, data: bytes) -> None:
        name = label.encode()
        self._state.update(kind + len(name).to_bytes(1, "big") + name + len(data).to_bytes(8, "big") + data)


@dataclass(frozen=True, slots=True)
class Context:
    """Where a proof belongs: the network (the governor's root key) and what it is part of, such as one payment."""

    network: bytes
    statement: bytes

    def begin(self, protocol: str) -> Transcript:
        """A transcript to which protocol, network and statement are bound, in this order."""
        transcript = Transcript(protocol)
        transcript.append("network", self.network)
        transcript.append("statement", self.statement)
        return transcript
