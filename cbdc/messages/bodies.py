"""What the messages of the ledger say: one frozen record for each kind, with its CBOR form."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

from cbdc.errors import Malformed
from cbdc.formats import cbor, certificates, cose, requests, x509
from cbdc.formats.certificates import Certificate
from cbdc.formats.compact import Compact
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.lines import Line, lines_from_cbor, lines_to_cbor
from cbdc.formats.tokens import OUTPOINT_BYTES, Output
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CERTIFICATE_BYTES,
    MAX_COUNTER,
    MAX_ENROLMENTS,
    MAX_EVIDENCE,
    MAX_FACT_CHARS,
    MAX_INPUTS,
    MAX_MESSAGE_BYTES,
    MAX_NAME_CHARS,
    MAX_OUTPUTS,
    MAX_REFERENCE_CHARS,
    MAX_REQUEST_BYTES,
    MAX_SEALED_BYTES,
    MAX_SWEEP,
    MAX_X509_BYTES,
)
from cbdc.policy import Policy

NONCE_BYTES: Final = 16


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
        spent, made = outpoints(inputs, MAX_INPUTS), _outputs(outputs, least=1)
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
        return cls(*_spend(spend, least=0), _amount(amount))


@dataclass(frozen=True, slots=True)
class Reserve(Spend):
    """A bank tops its reserve up by ``amount_tiyn``; the outputs are change."""

    amount_tiyn: int

    def _tail(self) -> cbor.Value:
        return self.amount_tiyn

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Reserve:
        *spend, amount = cbor.array(value, "reserve", 4)
        return cls(*_spend(spend, least=0), _amount(amount))


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
        return cls(*_spend(spend, least=0), cbor.byte_string(purse, "purse key", PUBLIC_KEY_BYTES), _amount(amount))


@dataclass(frozen=True, slots=True)
class Load(Spend):
    """Online tokens go into a purse: outputs to a purse key are offline, all others are change."""

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Load:
        *spend, nothing = cbor.array(value, "load", 4)
        _nothing(nothing)
        return cls(*_spend(spend, least=1))


@dataclass(frozen=True, slots=True)
class Unload(Spend):
    """A purse gives offline tokens up: for its own online key, or for itself with fresh deadlines (a sync)."""

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Unload:
        *spend, nothing = cbor.array(value, "unload", 4)
        _nothing(nothing)
        return cls(*_spend(spend, least=1))


@dataclass(frozen=True, slots=True)
class Grant(Spend):
    """A sponsor marks its own free tenge: outputs with the purpose are grants, free ones are change."""

    purpose: bytes

    def _tail(self) -> cbor.Value:
        return self.purpose

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Grant:
        *spend, purpose = cbor.array(value, "grant", 4)
        return cls(*_spend(spend, least=1), cbor.byte_string(purpose, "purpose", HASH_BYTES))


@dataclass(frozen=True, slots=True)
class Refund(Spend):
    """A merchant gives back what a payment (by its message id) brought its key ``payee`` out of a purpose.

    Outputs of the purpose go to whoever paid. They may be drawn from the merchant's free tokens, or from those of the
    purpose; what goes to the signers is change.
    """

    payment: bytes
    purpose: bytes
    payee: bytes

    def to_cbor(self) -> cbor.Value:
        return [*self._head(), self.payment, self.purpose, self.payee]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Refund:
        *spend, payment, purpose, payee = cbor.array(value, "refund", 6)
        return cls(
            *_spend(spend, least=1),
            cbor.byte_string(payment, "payment id", HASH_BYTES),
            cbor.byte_string(purpose, "purpose", HASH_BYTES),
            cbor.byte_string(payee, "payee", PUBLIC_KEY_BYTES),
        )


@dataclass(frozen=True, slots=True)
class Approve:
    """Somebody whom a purpose names approves a payment (by its message id) that waits.

    ``by`` is the signer's account, so that what two of them approve are two messages.
    """

    payment: bytes
    by: str

    def to_cbor(self) -> cbor.Value:
        return [self.payment, self.by]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Approve:
        payment, by = cbor.array(value, "approval", 2)
        return cls(cbor.byte_string(payment, "payment id", HASH_BYTES), _account(by))


@dataclass(frozen=True, slots=True)
class Attest:
    """An oracle, by its name, states a fact about a payment (its message id, 32 bytes) or about an account (a text)."""

    oracle: str
    fact: str
    about: bytes | str

    def to_cbor(self) -> cbor.Value:
        return [self.oracle, self.fact, self.about]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Attest:
        oracle, fact, about = cbor.array(value, "attestation", 3)
        return cls(
            cbor.text_up_to(oracle, "oracle", MAX_NAME_CHARS),
            cbor.text_up_to(fact, "fact", MAX_FACT_CHARS),
            cbor.byte_string(about, "payment id", HASH_BYTES) if type(about) is bytes else _account(about),
        )


@dataclass(frozen=True, slots=True)
class Allow:
    """A sponsor lets an account's purses pay so much (tiyn) of a purpose between two syncs without asking the ledger.

    ``nonce``: 16 bytes, so that an old amount can be set again. 0 takes it back for certificates to come.
    """

    purpose: bytes
    account: str
    amount_tiyn: int
    nonce: bytes

    def to_cbor(self) -> cbor.Value:
        return [self.purpose, self.account, self.amount_tiyn, self.nonce]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Allow:
        purpose, account, amount, nonce = cbor.array(value, "allowance", 4)
        return cls(
            cbor.byte_string(purpose, "purpose", HASH_BYTES),
            _account(account),
            cbor.unsigned(amount, "allowance", MAX_AMOUNT_TIYN),
            _nonce(nonce),
        )


@dataclass(frozen=True, slots=True)
class Recall:
    """Sponsor and governor together take unspent tokens of a purpose back, by reference to a court's decision."""

    purpose: bytes
    outpoints: tuple[bytes, ...]
    reference: str

    def to_cbor(self) -> cbor.Value:
        return [self.purpose, list(self.outpoints), self.reference]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Recall:
        purpose, names, reference = cbor.array(value, "recall", 3)
        return cls(cbor.byte_string(purpose, "purpose", HASH_BYTES), outpoints(names, MAX_SWEEP), _reference(reference))


@dataclass(frozen=True, slots=True)
class Genesis:
    """The first entry: the network's name, its root and operator (X.509), its policy."""

    name: str
    root: x509.Institution
    operator: x509.Institution
    policy: Policy

    def to_cbor(self) -> cbor.Value:
        return [self.name, self.root.der, self.operator.der, self.policy.to_cbor()]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Genesis:
        name, root, operator, policy = cbor.array(value, "genesis", 4)
        return cls(
            cbor.text_up_to(name, "name", MAX_NAME_CHARS),
            _institution(root),
            _institution(operator),
            Policy.from_cbor(policy),
        )


@dataclass(frozen=True, slots=True)
class Admit:
    """The governor admits an institution."""

    institution: x509.Institution

    def to_cbor(self) -> cbor.Value:
        return [self.institution.der]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Admit:
        (der,) = cbor.array(value, "admit", 1)
        return cls(_institution(der))


@dataclass(frozen=True, slots=True)
class Dismiss:
    """The governor withdraws an institution's admission, by reference to the decision."""

    name: str
    reference: str

    def to_cbor(self) -> cbor.Value:
        return [self.name, self.reference]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Dismiss:
        name, reference = cbor.array(value, "dismiss", 2)
        return cls(cbor.text_up_to(name, "name", MAX_NAME_CHARS), _reference(reference))


@dataclass(frozen=True, slots=True)
class SetPolicy:
    """The governor replaces the policy. ``nonce``: 16 bytes, so that an old policy can be set again."""

    policy: Policy
    nonce: bytes

    def to_cbor(self) -> cbor.Value:
        return [self.policy.to_cbor(), self.nonce]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> SetPolicy:
        policy, nonce = cbor.array(value, "policy", 2)
        return cls(Policy.from_cbor(policy), _nonce(nonce))


@dataclass(frozen=True, slots=True)
class Enrol:
    """A bank registers certificates of its customers: the raw CWTs."""

    raw: tuple[bytes, ...]

    def to_cbor(self) -> cbor.Value:
        return [list(self.raw)]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Enrol:
        (items,) = cbor.array(value, "enrol", 1)
        raw = cbor.array_up_to(items, "certificates", MAX_ENROLMENTS)
        if not raw:
            raise Malformed("enrol names at least one certificate")
        return cls(tuple(cbor.bytes_up_to(item, "certificate", MAX_CERTIFICATE_BYTES) for item in raw))

    def certificates(self, network: bytes) -> Iterable[tuple[Certificate, cose.SignatureCheck]]:
        """Each certificate with the check (without key) that the bank signed it. Raises FormError."""
        return (certificates.unverified(data, network) for data in self.raw)


@dataclass(frozen=True, slots=True)
class Revoke:
    """A bank puts a certificate (its 32-byte id) on the deny-list, with the reason or court reference."""

    certificate: bytes
    reference: str

    def to_cbor(self) -> cbor.Value:
        return [self.certificate, self.reference]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Revoke:
        certificate, reference = cbor.array(value, "revoke", 2)
        return cls(cbor.byte_string(certificate, "certificate id", HASH_BYTES), _reference(reference))


@dataclass(frozen=True, slots=True)
class Issue:
    """The governor creates tenge for banks."""

    outputs: tuple[Output, ...]
    nonce: bytes

    def to_cbor(self) -> cbor.Value:
        return [[output.to_cbor() for output in self.outputs], self.nonce]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Issue:
        outputs, nonce = cbor.array(value, "issue", 2)
        return cls(_outputs(outputs, least=1), _nonce(nonce))


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


# --- fields that several bodies share ----------------------------------------------------------


def outpoints(value: cbor.Value, limit: int) -> tuple[bytes, ...]:
    """A list of 1..limit distinct outpoints (34 bytes each). Raises FormError."""
    items = cbor.array_up_to(value, "outpoints", limit)
    names = tuple([cbor.byte_string(item, "outpoint", OUTPOINT_BYTES) for item in items])
    if not names or len(set(names)) != len(names):
        raise Malformed("outpoints are at least one, and distinct")
    return names


def _outputs(value: cbor.Value, *, least: int) -> tuple[Output, ...]:
    items = cbor.array_up_to(value, "outputs", MAX_OUTPUTS)
    if len(items) < least:
        raise Malformed("outputs are missing")
    return tuple([Output.from_cbor(item) for item in items])


def _spend(value: list[cbor.Value], *, least: int) -> tuple[tuple[bytes, ...], tuple[Output, ...], int]:
    inputs, outputs, valid_until = value
    return outpoints(inputs, MAX_INPUTS), _outputs(outputs, least=least), cbor.time_s(valid_until, "valid until")


def _amount(value: cbor.Value) -> int:
    if cbor.unsigned(value, "amount", MAX_AMOUNT_TIYN) == 0:
        raise Malformed("an amount of zero moves nothing")
    return int(value)


def _nothing(value: cbor.Value) -> None:
    if value is not None:
        raise Malformed("this kind of message says nothing more")


def _nonce(value: cbor.Value) -> bytes:
    return cbor.byte_string(value, "nonce", NONCE_BYTES)


def _account(value: cbor.Value) -> str:
    """``bank/subject``, or an institution's name."""
    return cbor.text_up_to(value, "account", 2 * MAX_NAME_CHARS + 1)


def _reference(value: cbor.Value) -> str:
    return cbor.text_up_to(value, "reference", MAX_REFERENCE_CHARS)


def _institution(value: cbor.Value) -> x509.Institution:
    return x509.parse(cbor.bytes_up_to(value, "X.509 certificate", MAX_X509_BYTES))
