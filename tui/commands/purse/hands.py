"""Payments by hand: each command reads one payload and writes one, wherever it travels in between."""

from __future__ import annotations

from pathlib import Path

from cbdc.amounts import format_tenge, show_tenge
from cbdc.errors import FileTrouble
from tui.clock import At
from tui.commands.purse.plans import plan_lines
from tui.commands.purse.session import (
    Amount,
    Force,
    Out,
    PaymentId,
    Purpose,
    Source,
    WalletPath,
    Yes,
    amount_of,
    ask_first,
    deal_facts,
    deal_text,
    opened,
    opened_with,
    tell,
)
from tui.output import Json, out, print_json
from tui.payloads import check_free, write_payload
from wallet import trade
from wallet.plan import Plan
from wallet.protocol import Invoice, to_text


def ask(
    wallet: WalletPath, amount: Amount, to: Out = None, force: Force = False, at: At = None, as_json: Json = False
) -> None:
    """Ask for an amount: the signed invoice.

    Examples:
        tenge purse ask ./timur 250 -o invoice.kzt
    """
    with opened(wallet, at, as_json) as customer:
        check_free(to, force=force)
        amount_tiyn = amount_of(amount)
        invoice = customer.purse.invoice(amount_tiyn)
        tell(f"asks for {show_tenge(amount_tiyn)} as {customer.purse.certificate.account}", as_json)
        hand_out(invoice, to, {"ok": True, "amount": format_tenge(amount_tiyn)}, as_json)


def pay(
    wallet: WalletPath,
    invoice: Source,
    to: Out = None,
    purpose: Purpose = None,
    force: Force = False,
    yes: Yes = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Pay an invoice: sign, journal, then write the payment. At a terminal it asks before it signs.

    From there on the same invoice gets the same bytes; `purse again` gives them too.

    Examples:
        tenge purse pay ./aigerim invoice.kzt -o payment.kzt
        tenge purse pay ./pupil - --purpose school-meals < invoice.kzt
    """
    with opened_with(wallet, invoice, "an invoice", at, as_json) as (customer, raw):
        check_free(to, force=force)

        def approve(asked: Invoice, plan: Plan | None) -> None:
            price = f"{show_tenge(asked.amount_tiyn)} to {asked.certificate.account}"
            tell(f"pays {price}", as_json)
            for line in plan_lines(plan):
                tell(f"  {line}", as_json)
            ask_first(f"Pay {price}?", yes=yes)

        deal, bundle = trade.pay(customer.purse, raw, approve, trade.purpose_named(customer.purse, purpose))
        tell(f"payment {deal.payment_id.hex()}", as_json)
        _hand_out_signed(bundle, to, deal.payment_id, deal_facts(deal), as_json)


def take(
    wallet: WalletPath, payment: Source, to: Out = None, force: Force = False, at: At = None, as_json: Json = False
) -> None:
    """Take a payment that answers an invoice of this wallet: check, store, then write the receipt.

    A repeat gets the same receipt.

    Examples:
        tenge purse take ./timur payment.kzt -o receipt.kzt
    """
    with opened_with(wallet, payment, "a payment", at, as_json) as (customer, raw):
        check_free(to, force=force)
        deal, receipt_raw = trade.take(customer.purse, raw)
        tell(deal_text("took", deal), as_json)
        hand_out(receipt_raw, to, deal_facts(deal), as_json)


def finish(wallet: WalletPath, receipt: Source, at: At = None, as_json: Json = False) -> None:
    """Take the receipt for a payment: it is no longer pending.

    Examples:
        tenge purse finish ./aigerim receipt.kzt
    """
    with opened_with(wallet, receipt, "a receipt", at, as_json) as (customer, raw):
        sent = trade.finish(customer.purse, raw)
        if as_json:
            print_json({"ok": True, "payment": sent.id.hex(), "state": sent.status.value})
        else:
            out.print(f"payment {sent.id.hex()} is {sent.status.value}", soft_wrap=True)


def again(
    wallet: WalletPath, payment: PaymentId, to: Out = None, force: Force = False, at: At = None, as_json: Json = False
) -> None:
    """Write the identical bytes of a payment made before.

    Examples:
        tenge purse again ./aigerim 3f0c1d2e -o payment.kzt
    """
    with opened(wallet, at, as_json) as customer:
        check_free(to, force=force)
        payment_id = trade.id_named(payment, (sent.id for sent in customer.purse.sent()))
        bundle = customer.purse.again(payment_id)
        hand_out(bundle, to, {"ok": True, "payment": payment_id.hex()}, as_json)


def release(
    wallet: WalletPath,
    payment: PaymentId,
    to: Out = None,
    force: Force = False,
    yes: Yes = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Give a payment that was taken back to its payer: sign, journal, then write it. A repeat gives the same bytes.

    The payer takes it only under a trust list as new as the one that this wallet has: `purse list` writes that.

    Examples:
        tenge purse release ./timur 3f0c1d2e -o release.kzt
    """
    with opened(wallet, at, as_json) as customer:
        check_free(to, force=force)
        payment_id = trade.id_named(payment, (held.id for held in customer.purse.received()))
        held = trade.taken_by(customer.purse, payment_id)
        price = f"{show_tenge(held.amount_tiyn)} to {held.account}"
        tell(f"gives back {price}", as_json)
        ask_first(f"Give back {price}?", yes=yes)
        bundle = customer.purse.release(payment_id)
        _hand_out_signed(bundle, to, payment_id, {"ok": True, "payment": payment_id.hex()}, as_json)


def take_back(wallet: WalletPath, released: Source, at: At = None, as_json: Json = False) -> None:
    """Take a released payment back. Where it names a newer trust list (`trust_list_stale`), `purse hear` that first.

    Examples:
        tenge purse hear ./aigerim list.kzt
        tenge purse take-back ./aigerim release.kzt
    """
    with opened_with(wallet, released, "a payment", at, as_json) as (customer, raw):
        payment_id = customer.purse.take_back(raw)
        sent = trade.made_by(customer.purse, payment_id)
        if as_json:
            print_json({"ok": True, "payment": payment_id.hex(), "state": sent.status.value})
        else:
            out.print(f"took back {show_tenge(sent.amount_tiyn)}: payment {payment_id.hex()} is {sent.status.value}")


# --- what comes out ----------------------------------------------------------------------------


def hand_out(message: bytes, to: Path | None, facts: dict[str, object], as_json: bool) -> None:
    """The payload to its file or to standard output; in JSON beside the facts, unless it has a file."""
    if to is not None or not as_json:
        write_payload(message, to)
    if as_json:
        print_json(facts | ({"payload": to_text(message)} if to is None else {"written": str(to)}))
    elif to is not None:
        tell(f"written to {to}", as_json)


def _hand_out_signed(
    bundle: bytes, to: Path | None, payment_id: bytes, facts: dict[str, object], as_json: bool
) -> None:
    try:
        hand_out(bundle, to, facts, as_json)
    except OSError as error:
        raise FileTrouble(
            "not written, but signed and kept: nothing is lost, the same command or `purse again` gives the same bytes",
            payment=payment_id,
            path=to or "standard output",
            reason=error.strerror or type(error).__name__,
        ) from None
