"""`tenge purse send`, `request` and `refund`: payments on the ledger itself, and what a merchant does with them."""

from __future__ import annotations

import re
from typing import Annotated, Final

import typer

from cbdc.amounts import format_tenge, show_tenge
from cbdc.errors import InvariantViolation, Malformed
from cbdc.formats import requests
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.lines import Line
from cbdc.limits import MAX_NAME_CHARS
from cbdc.log.receipts import Receipt
from tui.clock import At, show_time
from tui.commands.purse.hands import hand_out
from tui.commands.purse.plans import Language, plan_facts, plan_lines
from tui.commands.purse.session import (
    Amount,
    Force,
    LedgerSocket,
    Out,
    PaymentId,
    Purpose,
    WalletPath,
    Yes,
    amount_of,
    ask_first,
    connected,
    opened,
    tell,
)
from tui.output import Json, out, print_json, refusals
from tui.payloads import check_free, read_payload
from wallet import trade
from wallet.customer import Customer
from wallet.directory import key_named
from wallet.plan import Plan
from wallet.remote import RemotePort

To = Annotated[str, typer.Argument(metavar="TO", help="An account, bank/subject, or a wallet's key (64 hex digits).")]
Items = Annotated[
    list[str], typer.Option("--item", metavar="CATEGORY=AMOUNT", help="What is bought, and its price; repeatable.")
]
_WHOLE_ID: Final = re.compile(r"[0-9a-fA-F]{64}")


def send(
    wallet: WalletPath,
    to: To,
    amount: Amount,
    ledger: LedgerSocket,
    *,
    purpose: Purpose = None,
    request: Annotated[
        str | None,
        typer.Option(
            "--request",
            metavar="FILE|-",
            help="The payee's signed request, as `request` writes: paid once; the log shows it where a condition asks.",
        ),
    ] = None,
    memo: Annotated[str, typer.Option("--memo", help="A note that only the payee can read.")] = "",
    plan_only: Annotated[bool, typer.Option("--plan", help="Show how it would divide, and sign nothing.")] = False,
    yes: Yes = False,
    language: Language = "en",
    at: At = None,
    as_json: Json = False,
) -> None:
    """Pay on the ledger. First it says which money pays how much, what goes elsewhere, and what the payment waits for.

    At a terminal it asks before it signs. What needs approval or evidence waits for it, and comes back without.

    Examples:
        tenge purse send ./aigerim altyn/timur 250 --ledger ./my-ledger/ledger.sock
        tenge purse send ./pupil altyn/canteen 900 --ledger ./my-ledger/ledger.sock --request request.kzt --plan
    """
    with refusals(as_json):
        asked = None if request is None else read_payload(request)
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        amount_tiyn, payee = amount_of(amount), _payee(customer, port, to, asked)
        mark = None if purpose is None else trade.purpose_among(port.purposes(), purpose)
        plan = customer.plan(port, payee, amount_tiyn, purpose=mark, request=asked)
        if plan_only:
            _show_plan(plan, language, as_json)
            return
        price = f"{show_tenge(amount_tiyn)} to {plan.payee}"
        tell(f"pays {price}", as_json)
        for line in plan_lines(plan, language):
            tell(f"  {line}", as_json)
        ask_first(f"Pay {price}?", yes=yes)
        receipt = customer.pay(port, payee, amount_tiyn, purpose=mark, memo=memo, request=asked, agreed=plan)
        _show_sent(customer, port, plan, receipt, language, as_json)


def _payee(customer: Customer, port: RemotePort, to: str, asked: bytes | None) -> bytes:
    """The key to pay: the latest of an account, or the one of it that signed the request."""
    if asked is not None and "/" in to:
        wanted = requests.read(asked, customer.network).payee
        if wanted in port.keys_of(to):
            return wanted
    return key_named(port, to)


def _show_plan(plan: Plan, language: str, as_json: bool) -> None:
    if as_json:
        print_json({"ok": True, **plan_facts(plan, language)})
        return
    out.print(f"{show_tenge(plan.amount_tiyn)} to {plan.payee}:", markup=False, soft_wrap=True)
    for line in plan_lines(plan, language) or [f"{show_tenge(plan.amount_tiyn)} of free money"]:
        out.print(f"  {line}", markup=False, soft_wrap=True)


def _show_sent(
    customer: Customer, port: RemotePort, plan: Plan, receipt: Receipt, language: str, as_json: bool
) -> None:
    payment_id = _id_of(customer, receipt)
    waiting = port.waiting_payment(payment_id)
    until = None if waiting is None else show_time(waiting.until_s)
    if as_json:
        facts = {"ok": True, "payment": payment_id.hex(), "entry": receipt.index, **plan_facts(plan, language)}
        print_json(facts | {"waits": until is not None, "until": until})
        return
    text = f"{show_tenge(plan.amount_tiyn)}, {plan.payee}: payment {payment_id.hex()}, entry {receipt.index}"
    out.print(f"paid {text}" if until is None else f"waiting until {until}: {text}", markup=False, soft_wrap=True)


def _id_of(customer: Customer, receipt: Receipt) -> bytes:
    """The message that a receipt is for."""
    for item in reversed(customer.history()):
        if item.entry_index == receipt.index and not item.status:
            return item.message_id
    raise InvariantViolation("what was submitted is not in the history", entry=receipt.index)


def request(
    wallet: WalletPath,
    amount: Amount,
    items: Items,
    to: Out = None,
    force: Force = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Ask to be paid on the ledger, and say what for: a signed request, which is paid once.

    Purposes that ask what is bought need it; `purse send --request` pays it. The items come to no more than the amount.
    Once paid, they stand in the log.

    Examples:
        tenge purse request ./canteen 900 --item lunch=700 --item juice=200 -o request.kzt
    """
    with opened(wallet, at, as_json) as customer:
        check_free(to, force=force)
        amount_tiyn, lines = amount_of(amount), tuple(_line(item) for item in items)
        signed = customer.request(amount_tiyn, lines)
        requests.read(signed, customer.network)  # what nobody could read is not handed out
        tell(f"asks for {show_tenge(amount_tiyn)} with key {customer.online_key.hex()}", as_json)
        facts = {"amount": format_tenge(amount_tiyn), "key": customer.online_key.hex()}
        hand_out(signed, to, {"ok": True, **facts}, as_json)


def _line(item: str) -> Line:
    category, equals, amount = item.partition("=")
    if not equals or not category.strip() or len(category.strip()) > MAX_NAME_CHARS:
        raise Malformed("an item is category=amount", found=item[:80])
    return Line(category.strip(), amount_of(amount))


def refund(
    wallet: WalletPath,
    payment: PaymentId,
    ledger: LedgerSocket,
    amount: Annotated[str | None, typer.Argument(metavar="[AMOUNT]", help="Default: all that is left of it.")] = None,
    yes: Yes = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Give back what a payment of marked money brought, all or a part; for whoever paid it bears its mark again.

    Examples:
        tenge purse refund ./canteen 3f0c1d2e --ledger ./my-ledger/ledger.sock
        tenge purse refund ./canteen 3f0c1d2e 150 --ledger ./my-ledger/ledger.sock --yes
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        payment_id = _payment_named(customer, port, payment)
        wanted_tiyn = None if amount is None else amount_of(amount)
        source = customer.refundable(port, payment_id, wanted_tiyn)
        back_tiyn = source.rest_tiyn if wanted_tiyn is None else wanted_tiyn
        price = f"{show_tenge(back_tiyn)} to {source.payer}"
        tell(f"gives back {price}, of {show_tenge(source.rest_tiyn)} that are left of the payment", as_json)
        ask_first(f"Give back {price}?", yes=yes)
        receipt = customer.refund(port, payment_id, back_tiyn)
        if as_json:
            facts = {"ok": True, "payment": payment_id.hex(), "amount": format_tenge(back_tiyn), "to": source.payer}
            print_json(facts | {"entry": receipt.index})
        else:
            out.print(f"gave back {price}, entry {receipt.index}", markup=False, soft_wrap=True)


def _payment_named(customer: Customer, port: RemotePort, text: str) -> bytes:
    """A whole id is taken as it is: what was spent since leaves no trace here. Else one of those that brought money."""
    if _WHOLE_ID.fullmatch(text.strip()):
        return bytes.fromhex(text.strip())
    keys = customer.keys()
    held = port.tokens_of([key.public for key in keys])
    seen = [name for name, _ in customer.vault.items("seen")]
    known = {name[:HASH_BYTES] for name in (*held, *seen)} | {taken.id for taken in customer.purse.received()}
    return trade.id_named(text, known | customer.waited())
