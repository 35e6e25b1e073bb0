"""Bytes and what they mean: the wire formats, and nothing that depends on the ledger's state."""
