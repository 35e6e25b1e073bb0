"""Wallet, purse and merchant identities: CWT (RFC 8392) with a proof-of-possession key (RFC 8747).

A bank signs one certificate for a customer's online key (kind of holder, tier, merchant attributes) and one
for the key inside the customer's secure element, the *purse*, which adds the purse's limits and the online
key to which its money returns. Both carry the same subject, so that conditions can name a customer.
Claims: 1 iss (bank), 2 sub, 4 exp, 6 iat, 8 cnf, and one private claim with everything that is ours.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final

from cbdc.errors import Malformed
from cbdc.formats import cbor, cose
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES, SigningKey
from cbdc.formats.hashing import HASH_BYTES, tagged
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_ALLOWANCES, MAX_AMOUNT_TIYN, MAX_CERTIFICATE_BYTES, MAX_NAME_CHARS, MAX_SMALL

ISS, SUB, EXP, IAT, CNF = 1, 2, 4, 6, 8
TENGE_CLAIM: Final = -65537
"""The first integer that RFC 8392 leaves for private use."""

_CLAIMS: Final = frozenset({ISS, SUB, EXP, IAT, CNF, TENGE_CLAIM})


class Holder(Enum):
    """What the bank found its customer to be."""

    PERSON = 0
    MERCHANT = 1
    SPONSOR = 2


@dataclass(frozen=True, slots=True)
class Merchant:
    """A merchant's attributes: BIN (12 digits), and if stated MCC (ISO 18245, 4 digits) and KATO region (2 to 9)."""

    bin: str
    mcc: str | None = None
    kato: str | None = None


@dataclass(frozen=True, slots=True)
class PurseLimits:
    """What the secure element enforces and every payee sees: tiyn, tiyn, count, count.

    ``allowances`` are (purpose id, tiyn), sorted: so much of a purpose's tokens the purse may pay between two syncs
    although its conditions ask for the ledger's memory.
    """

    holding_tiyn: int
    payment_tiyn: int
    spends: int
    hops: int
    allowances: tuple[tuple[bytes, int], ...] = ()

    def allowance_tiyn(self, purpose: bytes) -> int | None:
        """What it may pay of a purpose without the ledger's memory; None if nothing."""
        return dict(self.allowances).get(purpose)


@dataclass(frozen=True, slots=True)
class Certificate:
    """A wallet certificate, or with ``limits`` and ``online_key`` a purse certificate.

    ``id`` is the hash of the signed claims: two encodings of one certificate are one.
    """

    id: bytes
    bank: str
    subject: str
    key: bytes
    issued_s: int
    expires_s: int
    holder: Holder
    tier: int
    merchant: Merchant | None
    limits: PurseLimits | None
    online_key: bytes | None

    @property
    def account(self) -> str:
        """The customer this certificate speaks for, unique in the network: ``bank/subject``."""
        return f"{self.bank}/{self.subject}"


def issue(
    bank_key: SigningKey,
    network: bytes,
    *,
    bank: str,
    subject: str,
    key: bytes,
    issued_s: int,
    expires_s: int,
    holder: Holder = Holder.PERSON,
    tier: int = 1,
    merchant: Merchant | None = None,
    limits: PurseLimits | None = None,
    online_key: bytes | None = None,
) -> bytes:
    """Sign a certificate as a COSE_Sign1 CWT."""
    ours = [
        holder.value,
        tier,
        [merchant.bin, merchant.mcc, merchant.kato] if merchant else None,
        _limits_to_cbor(limits) if limits else None,
        online_key,
    ]
    claims: dict[int, cbor.Value] = {ISS: bank, SUB: subject, EXP: expires_s, IAT: issued_s}
    claims |= {CNF: {1: {1: 1, -1: 6, -2: key}}, TENGE_CLAIM: ours}
    return cose.sign1(bank_key, Kind.CERTIFICATE, cbor.encode(claims), network)


def verify(data: bytes, network: bytes, bank_key: bytes) -> Certificate:
    """The certificate in ``data``, checked to be signed by ``bank_key``.

    Raises:
        FormError: not a certificate. BadSignature: not by this bank.
    """
    payload = cose.verify1(data, Kind.CERTIFICATE, network, bank_key, max_bytes=MAX_CERTIFICATE_BYTES)
    return parse_claims(payload)


def unverified(data: bytes, network: bytes) -> tuple[Certificate, cose.SignatureCheck]:
    """The certificate in ``data`` and the check (without its key) that must still hold.

    Raises:
        FormError: not a certificate.
    """
    payload, check = cose.open1(data, Kind.CERTIFICATE, network, max_bytes=MAX_CERTIFICATE_BYTES)
    return parse_claims(payload), check


def parse_claims(payload: bytes) -> Certificate:
    """Read the claims set of a certificate.

    Raises:
        FormError: not the claims of a wallet or purse certificate.
    """
    claims = cbor.int_map(cbor.decode(payload, max_bytes=MAX_CERTIFICATE_BYTES), "claims", _CLAIMS)
    holder, tier, merchant, limits, online_key = cbor.array(claims[TENGE_CLAIM], "tenge claim", 5)
    if (limits is None) != (online_key is None):
        raise Malformed("a purse certificate has both limits and an online key")
    try:
        kind = Holder(cbor.unsigned(holder, "holder", MAX_SMALL))
    except ValueError:
        raise Malformed("unknown kind of holder", found=holder) from None
    return Certificate(
        id=tagged("certificate", payload),
        bank=cbor.text_up_to(claims[ISS], "iss", MAX_NAME_CHARS),
        subject=cbor.text_up_to(claims[SUB], "sub", MAX_NAME_CHARS),
        key=_confirmation_key(claims[CNF]),
        issued_s=cbor.time_s(claims[IAT], "iat"),
        expires_s=cbor.time_s(claims[EXP], "exp"),
        holder=kind,
        tier=cbor.unsigned(tier, "tier", MAX_SMALL),
        merchant=None if merchant is None else _merchant(merchant),
        limits=None if limits is None else _limits(limits),
        online_key=None if online_key is None else cbor.byte_string(online_key, "online key", PUBLIC_KEY_BYTES),
    )


def _confirmation_key(cnf: cbor.Value) -> bytes:
    """The OKP key of RFC 8747 section 3.2: kty 1, crv 6 (Ed25519), x."""
    cose_key = cbor.int_map(cbor.int_map(cnf, "cnf", frozenset({1}))[1], "cnf key", frozenset({1, -1, -2}))
    if cbor.encode([cose_key[1], cose_key[-1]]) != cbor.encode([1, 6]):
        raise Malformed("cnf is not an Ed25519 COSE key")
    return cbor.byte_string(cose_key[-2], "cnf x", PUBLIC_KEY_BYTES)


def _merchant(value: cbor.Value) -> Merchant:
    bin_, mcc, kato = cbor.array(value, "merchant", 3)
    return Merchant(
        _digits(bin_, "bin", 12, 12),
        None if mcc is None else _digits(mcc, "mcc", 4, 4),
        None if kato is None else _digits(kato, "kato", 2, 9),
    )


def _limits_to_cbor(limits: PurseLimits) -> cbor.Value:
    """Four numbers, and behind them the allowances if there are any."""
    fields: list[cbor.Value] = [limits.holding_tiyn, limits.payment_tiyn, limits.spends, limits.hops]
    allowances = [[purpose, amount_tiyn] for purpose, amount_tiyn in limits.allowances]
    return [*fields, allowances] if allowances else fields


def _limits(value: cbor.Value) -> PurseLimits:
    has_allowances = type(value) is list and len(value) == 5
    holding, payment, spends, hops, *rest = cbor.array(value, "limits", 5 if has_allowances else 4)
    return PurseLimits(
        cbor.unsigned(holding, "holding", MAX_AMOUNT_TIYN),
        cbor.unsigned(payment, "payment", MAX_AMOUNT_TIYN),
        cbor.unsigned(spends, "spends", MAX_SMALL),
        cbor.unsigned(hops, "hops", MAX_SMALL),
        _allowances(rest[0]) if rest else (),
    )


def _allowances(value: cbor.Value) -> tuple[tuple[bytes, int], ...]:
    pairs = [cbor.array(item, "allowance", 2) for item in cbor.array_up_to(value, "allowances", MAX_ALLOWANCES)]
    found = tuple(
        (cbor.byte_string(purpose, "purpose", HASH_BYTES), cbor.unsigned(amount, "allowance", MAX_AMOUNT_TIYN))
        for purpose, amount in pairs
    )
    if not found or list(dict(found)) != sorted(dict(found)) or len(dict(found)) != len(found):
        raise Malformed("allowances are at least one, sorted and distinct")
    return found


def _digits(value: cbor.Value, what: str, least: int, most: int) -> str:
    text = cbor.text_up_to(value, what, most)
    if len(text) < least or not (text.isascii() and text.isdigit()):
        raise Malformed(f"{what} is not {least} to {most} digits", found=text)
    return text
