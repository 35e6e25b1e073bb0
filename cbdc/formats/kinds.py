"""Every kind of signed message and its content type: the domains that keep signatures apart."""

from __future__ import annotations

from enum import Enum


class Kind(Enum):
    """The content type in the protected header. COSE_Sign kinds are what the ledger takes in."""

    # entries of the ledger (COSE_Sign)
    GENESIS = "application/tenge-genesis+cbor"
    ADMIT = "application/tenge-admit+cbor"
    DISMISS = "application/tenge-dismiss+cbor"
    POLICY = "application/tenge-policy+cbor"
    ENROL = "application/tenge-enrol+cbor"
    REVOKE = "application/tenge-revoke+cbor"
    ISSUE = "application/tenge-issue+cbor"
    REDEEM = "application/tenge-redeem+cbor"
    TRANSFER = "application/tenge-transfer+cbor"
    RESERVE = "application/tenge-reserve+cbor"
    REPAY = "application/tenge-repay+cbor"
    LOAD = "application/tenge-load+cbor"
    UNLOAD = "application/tenge-unload+cbor"
    RECONCILE = "application/tenge-reconcile+cbor"
    PURPOSE = "application/tenge-purpose+cbor"
    GRANT = "application/tenge-grant+cbor"
    SWEEP = "application/tenge-sweep+cbor"
    APPROVE = "application/tenge-approve+cbor"
    ATTEST = "application/tenge-attest+cbor"
    ALLOW = "application/tenge-allow+cbor"
    REFUND = "application/tenge-refund+cbor"
    RECALL = "application/tenge-recall+cbor"

    # what one key says (COSE_Sign1)
    CERTIFICATE = "application/cwt"
    LOAD_CERTIFICATE = "application/tenge-load-certificate+cbor"
    SYNC_CERTIFICATE = "application/tenge-sync-certificate+cbor"
    TRUST_LIST = "application/tenge-trust-list+cbor"
    INVOICE = "application/tenge-invoice+cbor"
    PAYMENT_RECEIPT = "application/tenge-payment-receipt+cbor"
    REQUEST = "application/tenge-request+cbor"
    LATE_HEAD = "application/tenge-late-head+cbor"

    # members are singletons; the identity hash is much cheaper than the enum's own
    __hash__ = object.__hash__

    def __reduce_ex__(self, _protocol: object) -> tuple[object, ...]:
        return kind_named, (self.name,)


_BY_NAME = dict(Kind.__members__)


def kind_named(name: str) -> Kind:
    """The member of this name; what pickling a kind comes down to."""
    return _BY_NAME[name]
