"""The rules of the secure element, over storage of its own, apart from the wallet's.

A rolled-back wallet thus still meets an element that remembers. `SimulatedElement` runs in whatever process makes it;
`wallet.element.server` runs it in a process of its own.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import Self

from cbdc.errors import (
    BadSignature,
    DoubleSpend,
    LimitHolding,
    LimitHops,
    LimitPayment,
    LimitSpends,
    Malformed,
    NotEnrolled,
    Replayed,
    TrustListStale,
    WalletCorrupt,
    WrongPassword,
    WrongPayee,
    WrongPin,
)
from cbdc.formats import cbor, certificates, cose
from cbdc.formats.certificates import PurseLimits
from cbdc.formats.cose import Signature
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.limits import MAX_AMOUNT_TIYN
from cbdc.messages.bodies import OfflineTerms, Transfer, Unload
from cbdc.messages.message import decode
from cbdc.offline.documents import CHALLENGE_BYTES, SyncCertificate, TrustList
from cbdc.offline.judge import is_release
from wallet.element.pin import PinGate, pin_bytes, uptime_ms
from wallet.vault import KdfCost, Vault

KEY = b"key"
_NETWORK = b"network"
_CERTIFICATE = b"certificate"
_COUNTERS = b"counters"
_HELD = b"held"
_PAID_AWAY = b"paid away"
_CHALLENGE = b"challenge"
_LIST_TIME = b"list time"

_MAX_INVOICE_FIELDS = 16
"""The element reads an invoice's amount only, which comes first; the payer checks the rest."""


class SimulatedElement:
    """A secure element in software. See `SecureElement` for what each call does and raises."""

    def __init__(self, vault: Vault, gate: PinGate | None = None) -> None:
        seed = vault.get("element", KEY)
        if seed is None:
            raise WalletCorrupt("this element was never finished", path=vault.path)
        self._vault = vault
        self._gate = gate or PinGate()
        self._key = SigningKey(seed)
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
        clock_ms: Callable[[], int] = uptime_ms,
    ) -> Self:
        """Make an element with a fresh key for a network (32-byte root key), locked by a PIN.

        Raises:
            LedgerBusy: there is one already.
        """
        gate = PinGate(clock_ms)
        vault = Vault.create(path, pin, cost=cost, random=random, gate=gate)
        with vault.together():
            vault.put("element", KEY, random(32))
            vault.put("element", _NETWORK, network)
            vault.put("element", _COUNTERS, [0, 0])
            vault.put("element", _HELD, 0)
            vault.put("element", _PAID_AWAY, 0)
            vault.put("element", _LIST_TIME, 0)
        return cls(vault, gate)

    @classmethod
    def open(cls, path: Path, pin: str, *, clock_ms: Callable[[], int] = uptime_ms) -> Self:
        """Open an element; ``clock_ms`` measures the wait after wrong PINs, in milliseconds.

        Raises:
            WrongPin, PinLocked, WalletCorrupt; LedgerBusy: another program has it open.
        """
        gate = PinGate(clock_ms)
        try:
            vault = Vault.open(path, pin, gate=gate)
        except WrongPassword:
            raise WrongPin("the PIN does not open this element", tries_left=gate.tries_left) from None
        try:
            return cls(vault, gate)
        except BaseException:
            vault.close()
            raise

    def change_pin(self, old: str, new: str) -> None:
        pin_bytes(new)
        try:
            self._vault.change_password(old, new, gate=self._gate)
        except WrongPassword:
            raise WrongPin("the old PIN is another", tries_left=self._gate.tries_left) from None

    def close(self) -> None:
        self._vault.close()

    @property
    def public_key(self) -> bytes:
        return self._key.public

    def install(self, certificate: bytes, trust_list: bytes) -> None:
        claimed, _ = certificates.unverified(certificate, self._network)
        if claimed.key != self._key.public or claimed.limits is None:
            raise NotEnrolled("the certificate is not for this element")
        known = TrustList.verify(trust_list, self._network)
        if known.time_s < self._vault.get("element", _LIST_TIME):
            raise TrustListStale("the element has seen a later trust list", found=known.time_s)
        verified = certificates.verify(certificate, self._network, known.bank_key(claimed.bank))
        known.check_not_revoked(verified.id)
        with self._vault.together():
            self._vault.put("element", _CERTIFICATE, certificate)
            self._vault.put("element", _LIST_TIME, known.time_s)

    def counters(self) -> tuple[int, int]:
        counter, spends = self._vault.get("element", _COUNTERS)
        return counter, spends

    def held_tiyn(self) -> int:
        return int(self._vault.get("element", _HELD))

    def allowance_left_tiyn(self, purpose: bytes) -> int | None:
        allowed_tiyn = self._limits().allowance_tiyn(purpose)
        return None if allowed_tiyn is None else max(0, allowed_tiyn - self._allowed_tiyn(purpose))

    def has_spent(self, outpoint: bytes) -> bool:
        return self._vault.get("spent", outpoint) is not None

    # --- signing: first the journal, then the signature ----------------------------------------

    def sign_payment(self, payload: bytes) -> Signature:
        transfer = Transfer.from_cbor(cbor.decode(payload))
        if transfer.terms is None:
            raise Malformed("an element signs offline transfers")
        if not self._signed_before(Kind.TRANSFER, payload, transfer.inputs):
            counter, spends = self.counters()
            self._check_names_installed(transfer.terms.payer_certificate)
            self._check_limits(transfer, transfer.terms, counter, spends)
            with self._vault.together():
                self._note_inputs(Kind.TRANSFER, payload, transfer.inputs)
                self._vault.put("element", _COUNTERS, [counter + 1, spends + 1])
                paid_tiyn = self._paid_away_tiyn(transfer.outputs)
                away_tiyn = min(self._vault.get("element", _PAID_AWAY) + paid_tiyn, MAX_AMOUNT_TIYN)
                self._vault.put("element", _PAID_AWAY, away_tiyn)
                self._note_held(-paid_tiyn)
                self._note_allowed(transfer)
        return self._sign(Kind.TRANSFER, payload)

    def sign_unload(self, payload: bytes) -> Signature:
        unload = Unload.from_cbor(cbor.decode(payload))
        if not self._signed_before(Kind.UNLOAD, payload, unload.inputs):
            with self._vault.together():
                self._note_inputs(Kind.UNLOAD, payload, unload.inputs)
                self._note_held(-self._paid_away_tiyn(unload.outputs))
        return self._sign(Kind.UNLOAD, payload)

    def sign_invoice(self, payload: bytes) -> bytes:
        fields = cbor.array_up_to(cbor.decode(payload), "invoice", _MAX_INVOICE_FIELDS)
        if not fields:
            raise Malformed("an invoice asks for an amount")
        self._check_holding(cbor.unsigned(fields[0], "amount", MAX_AMOUNT_TIYN))
        if fields[1:2] != [self._installed()]:
            raise NotEnrolled("the invoice names another certificate than the element's")
        return cose.sign1(self._key, Kind.INVOICE, payload, self._network)

    def sign_receipt(self, payload: bytes, payment: bytes) -> bytes:
        named, _ = cbor.array(cbor.decode(payload), "receipt", 2)
        payment_id = cbor.byte_string(named, "payment id", HASH_BYTES)
        message = decode(payment, self._network)
        if not isinstance(message.body, Transfer) or message.id != payment_id:
            raise WrongPayee("the receipt names another payment")
        if self._vault.get("received", payment_id) is None:
            outputs = message.body.outputs
            amount_tiyn = sum(output.amount_tiyn for output in outputs) - self._paid_away_tiyn(outputs)
            if not amount_tiyn:
                raise WrongPayee("the payment pays this purse nothing")
            self._check_holding(amount_tiyn)
            with self._vault.together():
                self._vault.put("received", payment_id, amount_tiyn)
                self._note_held(amount_tiyn)
        return cose.sign1(self._key, Kind.PAYMENT_RECEIPT, payload, self._network)

    # --- syncing -------------------------------------------------------------------------------

    def sync_challenge(self) -> bytes:
        challenge = os.urandom(CHALLENGE_BYTES)
        self._vault.put("element", _CHALLENGE, challenge)
        return challenge

    def note_sync(self, sync_certificate: bytes, trust_list: bytes, settled: bool = True) -> None:
        known = TrustList.verify(trust_list, self._network)
        sync = SyncCertificate.verify(sync_certificate, self._network, known.operator_key())
        counter, _ = self.counters()
        if sync.purse_key != self._key.public:
            raise BadSignature("the sync certificate is for another element")
        if sync.challenge != self._vault.get("element", _CHALLENGE):
            raise Replayed("the sync certificate answers another challenge")
        # All that was paid away since the last settled sync: some of it may be known, then the count errs downwards.
        unknown_tiyn = 0 if settled else self._vault.get("element", _PAID_AWAY)
        with self._vault.together():
            self._vault.drop("element", _CHALLENGE)
            self._vault.put("element", _COUNTERS, [counter, 0])
            for purpose, _ in self._vault.items("allowed"):
                self._vault.drop("allowed", purpose)
            self._vault.put("element", _HELD, max(0, sync.held_tiyn - unknown_tiyn))
            self._vault.put("element", _PAID_AWAY, unknown_tiyn)
            self._vault.put("element", _LIST_TIME, max(known.time_s, self._vault.get("element", _LIST_TIME)))

    # --- inside --------------------------------------------------------------------------------

    def _installed(self) -> bytes:
        raw: bytes | None = self._vault.get("element", _CERTIFICATE)
        if raw is None:
            raise NotEnrolled("the element has no certificate yet")
        return raw

    def _limits(self) -> PurseLimits:
        return certificates.unverified(self._installed(), self._network)[0].limits or PurseLimits(0, 0, 0, 0)

    def _check_names_installed(self, certificate_id: bytes) -> None:
        """Others judge a payment by the certificate that it names, so it is the one whose limits are kept here."""
        wanted = certificates.unverified(self._installed(), self._network)[0].id
        if certificate_id != wanted:
            raise NotEnrolled("the payment names another certificate than the element's", wanted=wanted)

    def _paid_away_tiyn(self, outputs: tuple[Output, ...]) -> int:
        return sum(output.amount_tiyn for output in outputs if output.owner != self._key.public)

    def _note_held(self, change_tiyn: int) -> None:
        """Never below 0: the element does not see every way in, such as another device handing its payment in."""
        self._vault.put("element", _HELD, max(0, self.held_tiyn() + change_tiyn))

    def _check_holding(self, amount_tiyn: int) -> None:
        limit, found = self._limits().holding_tiyn, self.held_tiyn() + amount_tiyn
        if found > limit:
            raise LimitHolding("the purse would hold more than it may", found=found, limit=limit)

    def _check_limits(self, transfer: Transfer, terms: OfflineTerms, counter: int, spends: int) -> None:
        if (terms.counter, terms.spends) != (counter + 1, spends + 1):
            raise Malformed("the counters are not the element's next", found=terms.counter, wanted=counter + 1)
        if is_release(transfer, terms):  # goods may be given back whatever has been paid before
            return
        limits, paid_tiyn = self._limits(), self._paid_away_tiyn(transfer.outputs)
        if paid_tiyn > limits.payment_tiyn:
            raise LimitPayment("above the purse's limit per payment", found=paid_tiyn, limit=limits.payment_tiyn)
        if spends + 1 > limits.spends:
            raise LimitSpends("too many payments since the last sync", found=spends + 1, limit=limits.spends)
        if terms.hop > limits.hops:
            raise LimitHops("the money has travelled too far without a sync", found=terms.hop, limit=limits.hops)

        for purpose, allowed_tiyn in limits.allowances:
            sum_tiyn = self._paid_of(transfer, purpose) + self._allowed_tiyn(purpose)
            if sum_tiyn > allowed_tiyn:
                raise LimitPayment("above the allowance since the last sync", found=sum_tiyn, limit=allowed_tiyn)

    def _paid_of(self, transfer: Transfer, purpose: bytes) -> int:
        """What a payment pays others of a purpose (tiyn)."""
        outputs = tuple(output for output in transfer.outputs if output.purpose == purpose)
        return self._paid_away_tiyn(outputs)

    def _note_allowed(self, transfer: Transfer) -> None:
        """Count what an allowance was used up by; a release uses none up."""
        if transfer.terms is not None and is_release(transfer, transfer.terms):
            return
        for purpose, _ in self._limits().allowances:
            paid_tiyn = self._paid_of(transfer, purpose)
            if paid_tiyn:
                self._vault.put("allowed", purpose, self._allowed_tiyn(purpose) + paid_tiyn)

    def _allowed_tiyn(self, purpose: bytes) -> int:
        """What was paid under an allowance since the last sync."""
        return int(self._vault.get("allowed", purpose) or 0)

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
