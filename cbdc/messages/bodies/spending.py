"""What messages say that move money."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.errors import Malformed
from cbdc.formats import cbor, requests
from cbdc.formats.compact import Compact
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.lines import Line, lines_from_cbor, lines_to_cbor
from cbdc.formats.tokens import Output
from cbdc.limits import (
    MAX_COUNTER,
    MAX_EVIDENCE,
    MAX_INPUTS,
    MAX_MESSAGE_BYTES,
    MAX_REQUEST_BYTES,
    MAX_SEALED_BYTES,
    MAX_SWEEP,
)
from cbdc.messages.bodies.fields import (
    amount_from,
    check_nothing,
    outpoints,
    outputs_from,
    spend_from,
)


@dataclass(frozen=True, slots=True)
class OfflineTerms(Compact):
    """What a transfer made between two devices says besides: what was invoiced, and how far it has travelled.

    ``trust_list_s`` and ``ledger_time_s`` are copied from the payee's invoice; ``spends`` counts this purse's
    payments since its last sync, ``counter`` all that it ever made; ``hop`` is the new owner's hop number.
    """

    invoice_id: bytes
    payer_certificate: bytes
    payee_certificate: bytes
    counter: int
    spends: int
    hop: int
    trust_list_s: int
    ledger_time_s: int

    def to_cbor(self) -> cbor.Value:
        counts = [self.counter, self.spends, self.hop]
        names = [self.invoice_id, self.payer_certificate, self.payee_certificate]
        return [*names, *counts, self.trust_list_s, self.ledger_time_s]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> OfflineTerms:
        invoice, payer, payee, counter, spends, hop, trust_list, ledger_time = cbor.array(value, "offline terms", 8)
        return cls(
            cbor.byte_string(invoice, "invoice id", HASH_BYTES),
            cbor.byte_string(payer, "payer certificate", HASH_BYTES),
            cbor.byte_string(payee, "payee certificate", HASH_BYTES),
            cbor.unsigned(counter, "counter", MAX_COUNTER),
            cbor.unsigned(spends, "spends", MAX_COUNTER),
            cbor.unsigned(hop, "hop", MAX_COUNTER),
            cbor.time_s(trust_list, "trust list time"),
            cbor.time_s(ledger_time, "ledger time"),
        )


@dataclass(frozen=True, slots=True)
class Spend(Compact):
    """Inputs become outputs: the common part of every body that moves tokens. Times in seconds."""

    inputs: tuple[bytes, ...]
    outputs: tuple[Output, ...]
    valid_until_s: int

    def to_cbor(self) -> cbor.Value:
        return [*self._head(), self._tail()]

    def _head(self) -> list[cbor.Value]:
        return [list(self.inputs), [output.to_cbor() for output in self.outputs], self.valid_until_s]

    def _tail(self) -> cbor.Value:
        return None


@dataclass(frozen=True, slots=True)
class Transfer(Spend):
    """A payment: online, or with ``terms`` made between two purses. ``sealed`` is HPKE for the payee, or None.

    ``lines`` say what is bought. Online they are the payee's word: ``request`` is its signed message, from which they
    are read. Between purses they stand bare, and the payee compares them with its own invoice.
    """

    sealed: bytes | None = None
    terms: OfflineTerms | None = None
    lines: tuple[Line, ...] = ()
    request: bytes | None = None

    def to_cbor(self) -> cbor.Value:
        stated = self.request if self.request is not None else lines_to_cbor(self.lines) or None
        return [*self._head(), self.sealed, self.terms.to_cbor() if self.terms else None, stated]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Transfer:
        inputs, outputs, valid_until, sealed, terms, stated = cbor.array(value, "transfer", 6)
        spent, made = outpoints(inputs, MAX_INPUTS), outputs_from(outputs, least=1)
        until_s = cbor.time_s(valid_until, "valid until")
        details = None if sealed is None else cbor.bytes_up_to(sealed, "sealed details", MAX_SEALED_BYTES)
        offline = None if terms is None else OfflineTerms.from_cbor(terms)
        if stated is None:
            return cls(spent, made, until_s, details, offline)
        return cls(spent, made, until_s, details, offline, *_stated(stated, is_offline=offline is not None))


def _stated(value: cbor.Value, *, is_offline: bool) -> tuple[tuple[Line, ...], bytes | None]:
    """What a payment says is bought: between purses bare lines, online the payee's signed request."""
    if is_offline:
        lines = lines_from_cbor(value)
        if not lines:
            raise Malformed("no lines are said by saying nothing")
        return lines, None
    request = cbor.bytes_up_to(value, "request", MAX_REQUEST_BYTES)
    return requests.read(request, b"").lines, request


@dataclass(frozen=True, slots=True)
class Redeem(Spend):
    """A bank gives tenge back to the governor: ``amount_tiyn`` is destroyed, the outputs are change."""

    amount_tiyn: int

    def _tail(self) -> cbor.Value:
        return self.amount_tiyn

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Redeem:
        *spend, amount = cbor.array(value, "redeem", 4)
        return cls(*spend_from(spend, least=0), amount_from(amount))


@dataclass(frozen=True, slots=True)
class Reserve(Spend):
    """A bank tops its reserve up by ``amount_tiyn``; the outputs are change."""

    amount_tiyn: int

    def _tail(self) -> cbor.Value:
        return self.amount_tiyn

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Reserve:
        *spend, amount = cbor.array(value, "reserve", 4)
        return cls(*spend_from(spend, least=0), amount_from(amount))


@dataclass(frozen=True, slots=True)
class Repay(Spend):
    """``amount_tiyn`` of somebody's free tenge pays the debt of a purse (its key) to its bank's reserve."""

    purse: bytes
    amount_tiyn: int

    def to_cbor(self) -> cbor.Value:
        return [*self._head(), self.purse, self.amount_tiyn]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Repay:
        *spend, purse, amount = cbor.array(value, "repay", 5)
        return cls(
            *spend_from(spend, least=0), cbor.byte_string(purse, "purse key", PUBLIC_KEY_BYTES), amount_from(amount)
        )


@dataclass(frozen=True, slots=True)
class Load(Spend):
    """Online tokens go into a purse: outputs to a purse key are offline, all others are change."""

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Load:
        *spend, nothing = cbor.array(value, "load", 4)
        check_nothing(nothing)
        return cls(*spend_from(spend, least=1))


@dataclass(frozen=True, slots=True)
class Unload(Spend):
    """A purse gives offline tokens up: for its own online key, or for itself with fresh deadlines (a sync)."""

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Unload:
        *spend, nothing = cbor.array(value, "unload", 4)
        check_nothing(nothing)
        return cls(*spend_from(spend, least=1))


@dataclass(frozen=True, slots=True)
class Reconcile:
    """Evidence: offline transfers as they were signed, in any order. Anybody may submit it."""

    raw: tuple[bytes, ...]

    def to_cbor(self) -> cbor.Value:
        return [list(self.raw)]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Reconcile:
        (items,) = cbor.array(value, "reconcile", 1)
        raw = cbor.array_up_to(items, "payments", MAX_EVIDENCE)
        if not raw:
            raise Malformed("reconcile brings at least one payment")
        return cls(tuple(cbor.bytes_up_to(item, "payment", MAX_MESSAGE_BYTES) for item in raw))


@dataclass(frozen=True, slots=True)
class Sweep:
    """Tokens whose time has come. Everything about them follows from rules, so nobody signs it."""

    outpoints: tuple[bytes, ...]

    def to_cbor(self) -> cbor.Value:
        return [list(self.outpoints)]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Sweep:
        (items,) = cbor.array(value, "sweep", 1)
        return cls(outpoints(items, MAX_SWEEP))
