"""Forged payments: what a device with a broken secure element could emit. Lives in scenarios and tests only.

`forge` takes a throw-away copy of a device and an invoice, and returns a PAYMENT bundle that is wrong in exactly
one way; the payee's purse must refuse it with the code of the scenario format.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Final

from cbdc.errors import Malformed
from cbdc.formats import cbor, certificates, cose
from cbdc.formats.certificates import PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.messages.bodies import OfflineTerms, Transfer
from wallet.customer import Customer
from wallet.protocol import Invoice, PaymentBundle, read_invoice

FALSE_BANK_SEED: Final = b"a bank that nobody ever admitted"


class ForgedPurse:
    """A copied purse whose element has been opened: it signs whatever it is given."""

    def __init__(self, copy: Customer, key: SigningKey) -> None:
        self.purse = copy.purse
        self.network = copy.network
        self.key = key

    def spend_all(self, invoice: Invoice, change_tiyn: int | None = None, hop: int | None = None) -> Transfer:
        """A transfer of the largest token to the invoice's payee; ``change_tiyn`` and ``hop`` as the forger likes."""
        name, token = max(self.purse.tokens().items(), key=lambda item: (item[1].amount_tiyn, item[0]))
        counter, spends = self.purse.element.counters()
        terms = OfflineTerms(
            invoice_id=invoice.id,
            payer_certificate=self.purse.certificate.id,
            payee_certificate=invoice.certificate.id,
            counter=counter + 1,
            spends=spends + 1,
            hop=token.hops + 1 if hop is None else hop,
            trust_list_s=invoice.trust_list_s,
            ledger_time_s=invoice.ledger_time_s,
        )
        rest_tiyn = token.amount_tiyn - invoice.amount_tiyn if change_tiyn is None else change_tiyn
        outputs = [Output(invoice.certificate.key, invoice.amount_tiyn, token.purpose)]
        if rest_tiyn > 0:
            outputs.append(Output(self.key.public, rest_tiyn, token.purpose))
        until_s = invoice.ledger_time_s + 86_400
        return Transfer((name,), tuple(outputs), until_s, None, terms)

    def bundle(self, transfer: Transfer) -> PaymentBundle:
        """The transfer, signed, with its honest ancestry."""
        raw = cose.sign([self.key], Kind.TRANSFER, cbor.encode(transfer.to_cbor()), self.network)
        return self.purse.bundle_of(raw, transfer.inputs)


def _amount(forger: ForgedPurse, invoice: Invoice) -> PaymentBundle:
    token_tiyn = max(token.amount_tiyn for token in forger.purse.tokens().values())
    return forger.bundle(forger.spend_all(invoice, change_tiyn=token_tiyn))


def _purpose(forger: ForgedPurse, invoice: Invoice) -> PaymentBundle:
    marked = {name: token for name, token in forger.purse.tokens().items() if token.purpose is not None}
    if not marked:
        raise Malformed("tampering with a purpose needs a marked token in the purse")
    for name in set(forger.purse.tokens()) - set(marked):
        forger.purse.vault.drop("token", name)
    return forger.bundle(forger.spend_all(invoice))


def _signature(forger: ForgedPurse, invoice: Invoice) -> PaymentBundle:
    bundle = forger.bundle(forger.spend_all(invoice))
    raw = bundle.payment
    return replace(bundle, payment=raw[:-1] + bytes([raw[-1] ^ 1]))


def _ancestry(forger: ForgedPurse, invoice: Invoice) -> PaymentBundle:
    bundle = forger.bundle(forger.spend_all(invoice))
    if bundle.ancestry:
        return replace(bundle, ancestry=bundle.ancestry[1:])
    return replace(bundle, loads=())


def _hop_limit(forger: ForgedPurse, invoice: Invoice) -> PaymentBundle:
    limits = forger.purse.certificate.limits or PurseLimits(0, 0, 0, 0)
    return forger.bundle(forger.spend_all(invoice, hop=limits.hops + 1))


def _certificate(forger: ForgedPurse, invoice: Invoice) -> PaymentBundle:
    own = forger.purse.certificate
    forged = certificates.issue(
        SigningKey(FALSE_BANK_SEED),
        forger.network,
        bank=own.bank,
        subject=own.subject,
        key=own.key,
        issued_s=own.issued_s,
        expires_s=own.expires_s,
        holder=own.holder,
        tier=own.tier,
        merchant=own.merchant,
        limits=own.limits,
        online_key=own.online_key,
    )
    bundle = forger.bundle(forger.spend_all(invoice))
    genuine = forger.purse.certificate_raw
    return replace(bundle, certificates=tuple(forged if raw == genuine else raw for raw in bundle.certificates))


def _replay(forger: ForgedPurse, _invoice: Invoice) -> PaymentBundle:
    sent = forger.purse.sent()
    if not sent:
        raise Malformed("a replay needs an earlier payment")
    last = max(sent, key=lambda payment: payment.counter(forger.network))
    return PaymentBundle.decode(last.bundle)


_FORGERIES: Final[dict[str, Callable[[ForgedPurse, Invoice], PaymentBundle]]] = {
    "amount": _amount,
    "purpose": _purpose,
    "signature": _signature,
    "ancestry": _ancestry,
    "hop_limit": _hop_limit,
    "certificate": _certificate,
    "replay": _replay,
}
FORGERIES: Final = tuple(_FORGERIES)


def forge(copy: Customer, key: SigningKey, invoice: bytes, what: str) -> bytes:
    """A forged PAYMENT by a copy of a device and its element's key, wrong in the way ``what`` names.

    Raises:
        Malformed: no such way.
    """
    if what not in _FORGERIES:
        raise Malformed("no such forgery", found=what, wanted=" or ".join(FORGERIES))
    return _FORGERIES[what](ForgedPurse(copy, key), read_invoice(invoice, copy.network)).encode()
