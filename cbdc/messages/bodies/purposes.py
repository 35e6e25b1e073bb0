"""What messages say about special-purpose money."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.formats import cbor
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
from cbdc.formats.hashing import HASH_BYTES
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_FACT_CHARS,
    MAX_NAME_CHARS,
    MAX_SWEEP,
)
from cbdc.messages.bodies.fields import (
    account_from,
    nonce_from,
    outpoints,
    reference_from,
    spend_from,
)
from cbdc.messages.bodies.spending import Spend


@dataclass(frozen=True, slots=True)
class Grant(Spend):
    """A sponsor marks its own free tenge: outputs with the purpose are grants, free ones are change."""

    purpose: bytes

    def _tail(self) -> cbor.Value:
        return self.purpose

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Grant:
        *spend, purpose = cbor.array(value, "grant", 4)
        return cls(*spend_from(spend, least=1), cbor.byte_string(purpose, "purpose", HASH_BYTES))


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
            *spend_from(spend, least=1),
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
        return cls(cbor.byte_string(payment, "payment id", HASH_BYTES), account_from(by))


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
            cbor.byte_string(about, "payment id", HASH_BYTES) if type(about) is bytes else account_from(about),
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
            account_from(account),
            cbor.unsigned(amount, "allowance", MAX_AMOUNT_TIYN),
            nonce_from(nonce),
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
        return cls(
            cbor.byte_string(purpose, "purpose", HASH_BYTES), outpoints(names, MAX_SWEEP), reference_from(reference)
        )
