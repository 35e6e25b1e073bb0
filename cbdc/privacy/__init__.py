"""Proofs, blind signatures, shared secrets and envelopes: what private payments are made of."""
