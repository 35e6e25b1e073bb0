"""The secure element: the one part of a purse that an attacker is not supposed to get into.

`SecureElement` is the narrow interface; there is no call that exports the key. `SimulatedElement` keeps its own
storage, apart from the wallet's, so that a rolled-back wallet still meets an element that remembers.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Protocol

from cbdc.errors import (
    BadSignature,
    DoubleSpend,
    LimitHops,
    LimitPayment,
    LimitSpends,
    Malformed,
    NotEnrolled,
    Replayed,
)
from cbdc.formats import cbor, certificates, cose
from cbdc.formats.certificates import Certificate, PurseLimits
from cbdc.formats.cose import Signature
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.messages.bodies import OfflineTerms, Transfer, Unload
from cbdc.offline.documents import CHALLENGE_BYTES, SyncCertificate, TrustList
from wallet.vault import KdfCost, Vault

_KEY = b"key"
_NETWORK = b"network"
_CERTIFICATE = b"certificate"
_COUNTERS = b"counters"
_CHALLENGE = b"challenge"


class SecureElement(Protocol):
    """What a purse may ask of its element."""

    @property
    def public_key(self) -> bytes:
        """The purse's key (32 bytes)."""

    def install(self, certificate: bytes) -> None:
        """Take the bank's certificate for this key: from now on its limits are enforced."""

    def counters(self) -> tuple[int, int]:
        """(payments ever signed, payments since the last sync)."""

    def has_spent(self, outpoint: bytes) -> bool:
        """Whether it has signed a spend of this token."""

    def sign_payment(self, payload: bytes) -> Signature:
        """Sign an offline transfer; one payload per input for ever, within the certificate's limits."""

    def sign_unload(self, payload: bytes) -> Signature:
        """Sign an unload; one payload per input for ever, whichever kind it is."""

    def sign_invoice(self, payload: bytes) -> bytes:
        """An invoice as a signed message."""

    def sign_receipt(self, payload: bytes) -> bytes:
        """A payment receipt as a signed message."""

    def sync_challenge(self) -> bytes:
        """A fresh number (16 bytes) that the operator's word on the next sync must repeat."""

    def note_sync(self, sync_certificate: bytes, trust_list: bytes) -> None:
        """Count spends from 0 again, on the operator's word that the purse has synced."""


class SimulatedElement:
    """A secure element in software, with storage of its own."""

    def __init__(self, vault: Vault) -> None:
        self._vault = vault
        self._key = SigningKey(vault.get("element", _KEY))
        self._network: bytes = vault.get("element", _NETWORK)

    @classmethod
    def create(
        cls,
        path: Path,
        pin: str,
        network: bytes,
        *,
        cost: KdfCost | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> SimulatedElement:
        """Make an element with a fresh key for a network (32-byte root key), locked by a PIN."""
        vault = Vault.create(path, pin, cost=cost, random=random)
        with vault.together():
            vault.put("element", _KEY, random(32))
            vault.put("element", _NETWORK, network)
            vault.put("element", _COUNTERS, [0, 0])
        return cls(vault)

    @classmethod
    def open(cls, path: Path, pin: str) -> SimulatedElement:
        """Open an element. Raises WrongPassword, WalletCorrupt, LedgerBusy."""
        return cls(Vault.open(path, pin))

    @property
    def vault(self) -> Vault:
        """The element's own storage; a real element has no such door, see `wallet.scenarios`."""
        return self._vault

    def close(self) -> None:
        """Let go of the storage."""
        self._vault.close()

    @property
    def public_key(self) -> bytes:
        return self._key.public

    def install(self, certificate: bytes) -> None:
        """Raises NotEnrolled if the certificate is not a purse's for this key."""
        parsed, _ = certificates.unverified(certificate, self._network)
        if parsed.key != self._key.public or parsed.limits is None:
            raise NotEnrolled("the certificate is not for this element")
        self._vault.put("element", _CERTIFICATE, certificate)

    def counters(self) -> tuple[int, int]:
        counter, spends = self._vault.get("element", _COUNTERS)
        return counter, spends

    def has_spent(self, outpoint: bytes) -> bool:
        return self._vault.get("spent", outpoint) is not None

    def sign_payment(self, payload: bytes) -> Signature:
        """Raises DoubleSpend, LimitPayment, LimitSpends, LimitHops, Malformed; then nothing was signed or noted."""
        transfer = Transfer.from_cbor(cbor.decode(payload))
        if transfer.terms is None:
            raise Malformed("an element signs offline transfers")
        if not self._signed_before(Kind.TRANSFER, payload, transfer.inputs):
            counter, spends = self.counters()
            self._check_limits(transfer, transfer.terms, counter, spends)
            with self._vault.together():
                self._note_inputs(Kind.TRANSFER, payload, transfer.inputs)
                self._vault.put("element", _COUNTERS, [counter + 1, spends + 1])
        return self._sign(Kind.TRANSFER, payload)

    def sign_unload(self, payload: bytes) -> Signature:
        """Raises DoubleSpend, Malformed; then nothing was signed or noted."""
        unload = Unload.from_cbor(cbor.decode(payload))
        if not self._signed_before(Kind.UNLOAD, payload, unload.inputs):
            with self._vault.together():
                self._note_inputs(Kind.UNLOAD, payload, unload.inputs)
        return self._sign(Kind.UNLOAD, payload)

    def sign_invoice(self, payload: bytes) -> bytes:
        return cose.sign1(self._key, Kind.INVOICE, payload, self._network)

    def sign_receipt(self, payload: bytes) -> bytes:
        return cose.sign1(self._key, Kind.PAYMENT_RECEIPT, payload, self._network)

    def sync_challenge(self) -> bytes:
        challenge = os.urandom(CHALLENGE_BYTES)
        self._vault.put("element", _CHALLENGE, challenge)
        return challenge

    def note_sync(self, sync_certificate: bytes, trust_list: bytes) -> None:
        """Raises BadSignature if either is not by the network's operator, Replayed if it answers no open challenge."""
        operator_key = TrustList.verify(trust_list, self._network).operator_key()
        sync = SyncCertificate.verify(sync_certificate, self._network, operator_key)
        counter, _ = self.counters()
        if sync.purse_key != self._key.public:
            raise BadSignature("the sync certificate is for another element")
        if sync.challenge != self._vault.get("element", _CHALLENGE):
            raise Replayed("the sync certificate answers another challenge")
        with self._vault.together():
            self._vault.drop("element", _CHALLENGE)
            self._vault.put("element", _COUNTERS, [counter, 0])

    # --- inside --------------------------------------------------------------------------------

    def _certificate(self) -> Certificate:
        raw = self._vault.get("element", _CERTIFICATE)
        if raw is None:
            raise NotEnrolled("the element has no certificate yet")
        return certificates.unverified(raw, self._network)[0]

    def _check_limits(self, transfer: Transfer, terms: OfflineTerms, counter: int, spends: int) -> None:
        limits = self._certificate().limits or PurseLimits(0, 0, 0, 0)
        paid_tiyn = sum(output.amount_tiyn for output in transfer.outputs if output.owner != self._key.public)
        if paid_tiyn > limits.payment_tiyn:
            raise LimitPayment("above the purse's limit per payment", found=paid_tiyn, limit=limits.payment_tiyn)
        if spends + 1 > limits.spends:
            raise LimitSpends("too many payments since the last sync", found=spends + 1, limit=limits.spends)
        if terms.hop > limits.hops:
            raise LimitHops("the money has travelled too far without a sync", found=terms.hop, limit=limits.hops)
        if (terms.counter, terms.spends) != (counter + 1, spends + 1):
            raise Malformed("the counters are not the element's next", found=terms.counter, wanted=counter + 1)

    def _signed_before(self, kind: Kind, payload: bytes, inputs: tuple[bytes, ...]) -> bool:
        """Whether exactly this payload was signed before.

        Raises:
            DoubleSpend: an input was spent by another payload.
        """
        noted = [self._vault.get("spent", name) for name in inputs]
        if any(note is not None and note != [kind.value, payload] for note in noted):
            raise DoubleSpend("the element has signed another spend of this token")
        return all(note is not None for note in noted)

    def _note_inputs(self, kind: Kind, payload: bytes, inputs: tuple[bytes, ...]) -> None:
        for name in inputs:
            self._vault.put("spent", name, [kind.value, payload])

    def _sign(self, kind: Kind, payload: bytes) -> Signature:
        return Signature(self._key.public, self._key.sign(cose.signed_structure(kind, payload, self._network)))

    def __repr__(self) -> str:
        return f"SimulatedElement({self._key.public.hex()[:16]}…)"
