"""The log that makes the operator accountable: entries, Merkle tree, checkpoints, receipts."""
