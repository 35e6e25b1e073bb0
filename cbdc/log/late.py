"""The head of the late evidence: the operator's word on which payments were shown to it too late, how many, and when.

Late evidence is kept beside the log, so no checkpoint covers it. A chain of hashes over the kept payments, with its end
signed, makes whatever is changed, added or taken away afterwards show.
"""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.formats import cbor, cose
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import HASH_BYTES, tagged
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_DOCUMENT_BYTES, MAX_LOG_INDEX


@dataclass(frozen=True, slots=True)
class LateHead:
    """The end of the chain: how many late payments are kept, and the hash over all of them."""

    count: int = 0
    digest: bytes = bytes(HASH_BYTES)

    def after(self, size: int, time_s: int, payment: bytes) -> LateHead:
        """The head with one more: shown at ledger time ``time_s`` (seconds), when the log had ``size`` entries."""
        return LateHead(self.count + 1, tagged("late", cbor.encode([self.digest, size, time_s, payment])))

    def sign(self, operator: SigningKey, network: bytes) -> bytes:
        """The head in the operator's words."""
        return cose.sign1(operator, Kind.LATE_HEAD, cbor.encode([self.count, self.digest]), network)

    @classmethod
    def verify(cls, data: bytes, network: bytes, operator_key: bytes) -> LateHead:
        """The head in ``data``, by this operator.

        Raises:
            FormError: not one. BadSignature: not the operator's.
        """
        payload = cose.verify1(data, Kind.LATE_HEAD, network, operator_key, max_bytes=MAX_DOCUMENT_BYTES)
        count, digest = cbor.array(cbor.decode(payload), "late head", 2)
        return cls(cbor.unsigned(count, "count", MAX_LOG_INDEX), cbor.byte_string(digest, "digest", HASH_BYTES))
