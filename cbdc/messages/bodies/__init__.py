"""What the messages of the ledger say: one frozen record for each kind, with its CBOR form."""

from cbdc.messages.bodies.fields import NONCE_BYTES, outpoints
from cbdc.messages.bodies.network import Admit, Dismiss, Enrol, Genesis, Issue, Revoke, SetPolicy
from cbdc.messages.bodies.purposes import Allow, Approve, Attest, Grant, Recall, Refund
from cbdc.messages.bodies.spending import (
    Load,
    OfflineTerms,
    Reconcile,
    Redeem,
    Repay,
    Reserve,
    Spend,
    Sweep,
    Transfer,
    Unload,
)

__all__ = [
    "NONCE_BYTES",
    "Admit",
    "Allow",
    "Approve",
    "Attest",
    "Dismiss",
    "Enrol",
    "Genesis",
    "Grant",
    "Issue",
    "Load",
    "OfflineTerms",
    "Recall",
    "Reconcile",
    "Redeem",
    "Refund",
    "Repay",
    "Reserve",
    "Revoke",
    "SetPolicy",
    "Spend",
    "Sweep",
    "Transfer",
    "Unload",
    "outpoints",
]
