"""Receipts: proof to the submitter that its message is in the log, at which place and time."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.limits import MAX_LOG_INDEX, MAX_PROOF_HASHES, MAX_RECEIPT_BYTES
from cbdc.log import checkpoint, entries, merkle
from cbdc.log.checkpoint import Checkpoint
from cbdc.log.merkle import HASH_BYTES


@dataclass(frozen=True, slots=True)
class Receipt:
    """Where a message stands: entry index, ledger time, the signed checkpoint and the path to its root."""

    index: int
    time_s: int
    checkpoint: str
    proof: tuple[bytes, ...]

    def encode(self) -> bytes:
        return cbor.encode([self.index, self.time_s, self.checkpoint, list(self.proof)])

    @classmethod
    def decode(cls, data: bytes) -> Receipt:
        """Read a receipt; it proves nothing before `verify`.

        Raises:
            FormError: not a receipt.
        """
        index, time, note, proof = cbor.array(cbor.decode(data, max_bytes=MAX_RECEIPT_BYTES), "receipt", 4)
        if type(note) is not str:
            raise Malformed("checkpoint is not a text")
        hashes = cbor.array_up_to(proof, "proof", MAX_PROOF_HASHES)
        return cls(
            cbor.unsigned(index, "index", MAX_LOG_INDEX),
            cbor.time_s(time, "ledger time"),
            note,
            tuple(cbor.byte_string(item, "proof hash", HASH_BYTES) for item in hashes),
        )

    def verify(self, message: bytes, origin: str, operator_key: bytes) -> Checkpoint:
        """Check that the log of this operator contains ``message`` where the receipt says.

        Raises:
            FormError, BadSignature: the checkpoint is not the operator's. ProofInvalid: the path does not lead there.
        """
        signed = checkpoint.verify(self.checkpoint, origin, operator_key)
        leaf = merkle.leaf_hash(entries.encode(self.time_s, message))
        merkle.verify_inclusion(leaf, self.index, signed.size, list(self.proof), signed.root)
        return signed
