"""A sale between two purses: the payer's yes, the link between them, and how a person names a payment or a purpose.

What a purse checks is the purse's; here is only the order of things, the same over a socket and with files.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Final, TypeVar

from cbdc.errors import FormError, LimitPayment, Malformed, NotOwner, TengeError, Unreachable
from cbdc.formats import cbor, cose
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.kinds import Kind
from cbdc.limits import MIN_NAMED_ID_CHARS
from cbdc.messages.message import decode
from cbdc.purposes.definition import Definition
from wallet import acceptance
from wallet.carriers import exchange
from wallet.carriers.base import Carrier
from wallet.plan import Plan
from wallet.protocol import Invoice, PaymentBundle, read_invoice
from wallet.purse import Purse, Received, Sent

Approve = Callable[[Invoice, Plan | None], None]
"""Asked with an invoice that is by a purse of an admitted bank, before anything is signed; raises to refuse. The plan
is how the payment would divide; None if it was made already, or cannot be made."""


T = TypeVar("T", Sent, Received)


@dataclass(frozen=True, slots=True)
class Deal:
    """A payment as one side knows it: the other side's account, and whether the payer has his receipt."""

    payment_id: bytes
    account: str
    amount_tiyn: int
    is_confirmed: bool


# --- payer -------------------------------------------------------------------------------------


def at_most(limit_tiyn: int | None) -> Approve:
    """Approves up to an amount; None is any amount."""

    def approve(invoice: Invoice, _plan: Plan | None = None) -> None:
        if limit_tiyn is not None and invoice.amount_tiyn > limit_tiyn:
            raise LimitPayment("the invoice asks for more than is allowed", found=invoice.amount_tiyn, limit=limit_tiyn)

    return approve


def pay(purse: Purse, invoice_raw: bytes, approve: Approve, purpose: bytes | None = None) -> tuple[Deal, bytes]:
    """Pay an invoice that is approved; the payment's bytes, which the purse has journaled.

    Raises:
        TengeError: which guard refused; nothing was signed.
    """
    invoice = read_invoice(invoice_raw, purse.network)
    acceptance.verified_certificate(invoice.certificate_raw, purse.knowledge())
    approve(invoice, _plan(purse, invoice_raw, purpose))
    bundle = purse.pay(invoice_raw, purpose)
    payment_id = payment_id_of(bundle, purse.network)
    return Deal(payment_id, invoice.certificate.account, invoice.amount_tiyn, is_confirmed=False), bundle


def _plan(purse: Purse, invoice_raw: bytes, purpose: bytes | None) -> Plan | None:
    try:
        return purse.plan(invoice_raw, purpose)
    except TengeError:  # paying says better why not, or gives the same bytes again
        return None


def buy(purse: Purse, link: Carrier, approve: Approve, purpose: bytes | None = None) -> Deal:
    """Pay over a link that goes both ways.

    Raises:
        Unreachable: the payment (``payment``) is signed, but no receipt for it came: it is pending.
        TengeError: which guard refused; nothing was signed.
    """
    made: list[Deal] = []

    def sign(invoice_raw: bytes) -> bytes:
        deal, bundle = pay(purse, invoice_raw, approve, purpose)
        made.append(deal)
        return bundle

    try:
        exchange.as_payer(link, sign, lambda receipt: purse.finish(made[-1].payment_id, receipt), purse)
    except TengeError as error:
        if not made:
            raise
        raise Unreachable(
            "signed but not confirmed, so it is pending: show the same bytes again, or sync",
            payment=made[-1].payment_id,
            reason=error.code,
        ) from error
    return Deal(made[-1].payment_id, made[-1].account, made[-1].amount_tiyn, is_confirmed=True)


def finish(purse: Purse, receipt_raw: bytes) -> Sent:
    """Take a receipt for whichever payment of this purse it names.

    Raises:
        FormError: not a receipt. NotOwner: for a payment that this purse did not make. BadSignature: not its payee's.
    """
    payload, _ = cose.open1(receipt_raw, Kind.PAYMENT_RECEIPT, purse.network)
    named, _ = cbor.array(cbor.decode(payload), "receipt", 2)
    payment_id = cbor.byte_string(named, "payment id", HASH_BYTES)
    purse.finish(payment_id, receipt_raw)
    return made_by(purse, payment_id)


# --- payee -------------------------------------------------------------------------------------


def take(purse: Purse, bundle: bytes) -> tuple[Deal, bytes]:
    """Accept a payment; the receipt for its payer. Raises TengeError: as `Purse.accept`."""
    receipt = purse.accept(bundle)
    held = taken_by(purse, payment_id_of(bundle, purse.network))
    return Deal(held.id, held.account, held.amount_tiyn, is_confirmed=False), receipt


def sell(purse: Purse, link: Carrier, invoice: bytes) -> Deal:
    """Be paid over a link that goes both ways. The money is here as soon as it is stored, confirmed or not.

    Raises:
        TengeError: why nothing was taken.
    """
    taken: list[Deal] = []

    def accept(bundle: bytes) -> bytes:
        deal, receipt = take(purse, bundle)
        taken.append(deal)
        return receipt

    try:
        exchange.as_payee(link, invoice, accept, purse)
    except Unreachable:
        if not taken:
            raise
        return taken[-1]
    return Deal(taken[-1].payment_id, taken[-1].account, taken[-1].amount_tiyn, is_confirmed=True)


# --- what a message is ---------------------------------------------------------------------------

_SIGNED: Final = {"an invoice": Kind.INVOICE, "a receipt": Kind.PAYMENT_RECEIPT, "a trust list": Kind.TRUST_LIST}


def check_kind(message: bytes, wanted: str, network: bytes) -> None:
    """Whether a message is of the wanted kind, or of none that is known: then its reader says what is wrong.

    Raises:
        Malformed: it is of another kind.
    """
    found = next((name for name, kind in _SIGNED.items() if _reads(partial(cose.open1, message, kind, network))), None)
    if found is None and _reads(partial(PaymentBundle.decode, message)):
        found = "a payment"
    if found not in (None, wanted):
        raise Malformed(f"this is {found}; {wanted} is wanted")


def _reads(read: Callable[[], object]) -> bool:
    try:
        read()
    except FormError:
        return False
    return True


# --- names -------------------------------------------------------------------------------------


def payment_id_of(bundle: bytes, network: bytes) -> bytes:
    """The id of the payment in a bundle. Raises FormError: not a bundle."""
    return decode(PaymentBundle.decode(bundle).payment, network).id


def made_by(purse: Purse, payment_id: bytes) -> Sent:
    """A payment that this purse made. Raises NotOwner."""
    return _held(purse.sent(), payment_id)


def taken_by(purse: Purse, payment_id: bytes) -> Received:
    """A payment that this purse took. Raises NotOwner."""
    return _held(purse.received(), payment_id)


def id_named(text: str, ids: Iterable[bytes]) -> bytes:
    """The one of these ids whose hex digits begin so.

    Raises:
        Malformed: too few hex digits, or several begin so. NotOwner: none does.
    """
    wanted = text.strip().lower()
    if len(wanted) < MIN_NAMED_ID_CHARS:
        raise Malformed("too short to name a payment", found=text[:80], wanted=f"{MIN_NAMED_ID_CHARS} hex digits")
    found = sorted({known for known in ids if known.hex().startswith(wanted)})
    if not found:
        raise NotOwner("no such payment is known here", payment=text[:80])
    if len(found) > 1:
        raise Malformed("several payments begin so: give more digits", found=text[:80])
    return found[0]


def purpose_named(purse: Purse, text: str | None) -> bytes | None:
    """The id of a purpose that the purse knows, by its name or id.

    Raises:
        Malformed: none is called so, or several are.
    """
    return None if text is None else purpose_among(purse.definitions(), text)


def purpose_among(known: Mapping[bytes, Definition], text: str) -> bytes:
    """The id of one of these purposes, by its name or id. Raises Malformed: none is called so, or several are."""
    found = [purpose for purpose, definition in known.items() if text in (definition.name, purpose.hex())]
    if len(found) != 1:
        what = "several purposes are called so: give its id" if found else "no such purpose is known"
        names = ", ".join(sorted({definition.name for definition in known.values()}))
        raise Malformed(what, found=text[:80], known=names or "none")
    return found[0]


def _held(payments: list[T], payment_id: bytes) -> T:
    for payment in payments:
        if payment.id == payment_id:
            return payment
    raise NotOwner("this purse knows no such payment", payment=payment_id)
