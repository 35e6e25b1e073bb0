"""Institutions at the ledger: what they hand in has its receipt verified; oracles state facts, approvers approve."""

from __future__ import annotations

from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Approve, Attest
from cbdc.messages.message import build, decode
from cbdc.offline.documents import TrustList
from wallet.port import LedgerPort


class OracleDesk:
    """What an admitted oracle does on the ledger, with its own key."""

    def __init__(self, name: str, key: SigningKey, network: bytes) -> None:
        self.name = name
        self.key = key
        self.network = network

    def attest(self, port: LedgerPort, fact: str, about: bytes | str) -> Receipt:
        """State a fact about a payment (its message id, 32 bytes) or an account; the receipt is verified.

        Raises:
            FormError: no such fact or account can be. RoleRefused: not an admitted oracle's key and name. Replayed.
        """
        raw = build(Kind.ATTEST, Attest(self.name, fact, about), [self.key], self.network)
        decode(raw, self.network)
        return hand_in(port, raw, self.network)


class ApproverDesk:
    """What an admitted approver does on the ledger, with its own key."""

    def __init__(self, name: str, key: SigningKey, network: bytes) -> None:
        self.name = name
        self.key = key
        self.network = network

    def approve(self, port: LedgerPort, payment_id: bytes) -> Receipt:
        """Approve a payment that waits; the receipt is verified.

        Raises:
            RoleRefused: no purpose of it asks for this approval, or the key is another's. NotOwner, Expired.
        """
        raw = build(Kind.APPROVE, Approve(payment_id, self.name), [self.key], self.network)
        return hand_in(port, raw, self.network)


def hand_in(port: LedgerPort, raw: bytes, network: bytes) -> Receipt:
    """Submit a message; its receipt, verified under the network's root. Raises TengeError: what the ledger says."""
    receipt = port.submit(raw)
    operator_key = TrustList.verify(port.trust_list(), network).operator_key()
    receipt.verify(raw, port.origin, operator_key)
    return receipt
