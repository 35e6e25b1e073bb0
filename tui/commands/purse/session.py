"""What the purse commands share: their options, the opened wallet, the way to a ledger, and a person's yes."""

from __future__ import annotations

import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape

from cbdc.amounts import format_tenge, parse_tenge, show_tenge
from cbdc.errors import (
    AmountMismatch,
    Declined,
    FileTrouble,
    InsufficientFunds,
    LimitHolding,
    LimitPayment,
    Malformed,
    ReserveShort,
    Unreachable,
)
from cbdc.limits import WALLET_WAIT_S
from tui.clock import clock_of
from tui.output import err, refusals
from tui.passphrase import passphrase_for, pin_given
from tui.payloads import read_payload
from tui.signals import ending_on_sigterm
from wallet.customer import Customer
from wallet.remote import RemotePort
from wallet.trade import Deal, check_kind

WalletPath = Annotated[
    Path, typer.Argument(metavar="WALLET", help="A wallet's directory: wallet.db and element.db are in it.")
]
Amount = Annotated[str, typer.Argument(metavar="AMOUNT", help='Tenge, as in 1500 or "1 500.50".')]
Source = Annotated[str, typer.Argument(metavar="FILE|-", help="A payload or pasted text; - is standard input.")]
PaymentId = Annotated[
    str, typer.Argument(metavar="PAYMENT-ID", help="The payment's id, or its first digits, as `purse show` has it.")
]
Out = Annotated[Path | None, typer.Option("--out", "-o", help="A payload file to write; default: print it.")]
Force = Annotated[bool, typer.Option("--force", help="Let --out replace a file.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before signing.")]
Purpose = Annotated[
    str | None, typer.Option("--purpose", metavar="ID|NAME", help="Use money that is bound to this purpose.")
]
LedgerSocket = Annotated[Path, typer.Option("--ledger", metavar="SOCKET", help="Where the ledger answers.")]


@contextmanager
def opened(wallet: Path, at: str | None, as_json: bool) -> Iterator[Customer]:
    """The wallet, with what a power cut interrupted finished, and every refusal shown.

    Its passphrase is asked for, or taken from TENGE_PASSPHRASE; a PIN of the element's own comes from TENGE_PIN.
    """
    with refusals(as_json), ending_on_sigterm():
        clock = clock_of(at)
        _check_there(wallet)
        try:
            passphrase = passphrase_for("the wallet")
            customer = Customer.open_soon(wallet, passphrase, pin=pin_given(), clock=clock, wait_s=WALLET_WAIT_S)
            try:
                customer.purse.recover()
                with amounts_in_tenge():
                    yield customer
            finally:
                customer.close()
        except sqlite3.Error as error:
            raise FileTrouble("the wallet's storage does not answer", path=wallet, reason=str(error)) from None


@contextmanager
def amounts_in_tenge() -> Iterator[None]:
    """What limits and balances say is counted in tiyn inside; people are told tenge."""
    try:
        yield
    except (AmountMismatch, InsufficientFunds, LimitHolding, LimitPayment, ReserveShort) as error:
        told = {
            name.removesuffix("_tiyn"): format_tenge(value) if isinstance(value, int) else value
            for name, value in error.values.items()
        }
        raise type(error)(error.message, **told) from error


@contextmanager
def opened_with(
    wallet: Path, source: str, wanted: str, at: str | None, as_json: bool
) -> Iterator[tuple[Customer, bytes]]:
    """The message in a payload, which is of the wanted kind, and the wallet, as `opened`.

    The message is read first: in a pipe the command that writes it may have this very wallet open until it ends.
    """
    with refusals(as_json):
        _check_there(wallet)
        message = read_payload(source)
        with opened(wallet, at, as_json) as customer:
            check_kind(message, wanted, customer.network)
            yield customer, message


def _check_there(wallet: Path) -> None:
    if not (wallet / "wallet.db").is_file():
        raise FileTrouble("there is no wallet here", path=wallet, reason="no wallet.db in it")


@contextmanager
def connected(customer: Customer, socket: Path) -> Iterator[RemotePort]:
    """The way to a ledger of the wallet's own network. Raises Unreachable, WrongNetwork."""
    port = RemotePort(socket, customer.network)
    try:
        _check_answers(port, socket)
        yield port
    finally:
        port.close()


def _check_answers(port: RemotePort, socket: Path) -> None:
    """Whether the ledger is served there, and the right one. Raises Unreachable: with what to do; WrongNetwork."""
    try:
        port.check_network()
    except Unreachable as error:
        reason = error.values.get("reason", "")
        if socket.is_dir():
            reason = "a directory; this talks to a served ledger's socket, mostly ledger.sock in there"
        raise Unreachable("no ledger answers: is it served? `tenge ledger serve`", path=socket, reason=reason) from None


def amount_of(text: str) -> int:
    """An amount in tiyn. Raises Malformed: none, or nothing."""
    amount_tiyn = parse_tenge(text)
    if not amount_tiyn:
        raise Malformed("an amount is more than nothing", found=text)
    return amount_tiyn


def ask_first(question: str, *, yes: bool) -> None:
    """Ask whoever sits at a terminal; where there is none, nobody is asked. Raises Declined: a no."""
    if not yes and sys.stdin.isatty() and not typer.confirm(question, err=True):
        raise Declined("nothing was signed: the answer was no")


def tell(text: str, as_json: bool) -> None:
    """A line for people, beside what standard output is for."""
    if not as_json:
        err.print(escape(text), soft_wrap=True)


def deal_facts(deal: Deal) -> dict[str, object]:
    """A payment for JSON."""
    return {
        "ok": True,
        "payment": deal.payment_id.hex(),
        "with": deal.account,
        "amount": format_tenge(deal.amount_tiyn),
        "confirmed": deal.is_confirmed,
    }


def deal_text(verb: str, deal: Deal) -> str:
    """A payment in words."""
    return f"{verb} {show_tenge(deal.amount_tiyn)}, {deal.account}: payment {deal.payment_id.hex()}"
