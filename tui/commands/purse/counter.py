"""`tenge purse sell` and `tenge purse buy`: two processes, one socket, one payment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cbdc.amounts import show_tenge
from cbdc.errors import Malformed
from cbdc.limits import MAX_CARRIER_TIMEOUT_S
from tui.clock import At
from tui.commands.purse.plans import plan_lines
from tui.commands.purse.session import (
    Amount,
    Purpose,
    WalletPath,
    Yes,
    amount_of,
    ask_first,
    deal_facts,
    deal_text,
    opened,
    tell,
)
from tui.output import Json, out, print_json
from wallet import trade
from wallet.carriers.socket import LOOPBACK, Address, Listener, SocketCarrier
from wallet.plan import Plan
from wallet.protocol import Invoice

Socket = Annotated[Path | None, typer.Option("--socket", help="A Unix socket's path.")]
Port = Annotated[int | None, typer.Option("--port", min=0, max=65_535, help="A TCP port of this machine.")]
Limit = Annotated[
    float, typer.Option("--timeout", min=0.1, max=MAX_CARRIER_TIMEOUT_S, help="Seconds to wait for the other side.")
]


def sell(
    wallet: WalletPath,
    amount: Amount,
    socket: Socket = None,
    port: Port = None,
    timeout_s: Limit = 120,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Wait for a payer, hand over the invoice, take the payment and confirm it. Port 0 is a free one.

    Where it listens is told on standard error as soon as it does.

    Examples:
        tenge purse sell ./timur 250 --socket /tmp/till.sock
        tenge purse sell ./timur 250 --port 7001 --timeout 300
    """
    with opened(wallet, at, as_json) as customer:
        address = _address(socket, port)
        amount_tiyn = amount_of(amount)
        invoice = customer.purse.invoice(amount_tiyn)
        with Listener(address) as listener:
            where = listener.address
            place = where if isinstance(where, Path) else f"{LOOPBACK}:{where}"
            tell(f"waiting for {show_tenge(amount_tiyn)} on {place}", as_json)
            with listener.accept(timeout_s) as link:
                deal = trade.sell(customer.purse, link, invoice)
        if as_json:
            print_json(deal_facts(deal))
            return
        out.print(deal_text("took", deal), soft_wrap=True)
        if not deal.is_confirmed:
            out.print("The receipt did not get through: the payer shows the payment again, or syncs.")


def buy(
    wallet: WalletPath,
    socket: Socket = None,
    port: Port = None,
    *,
    limit: Annotated[
        str | None, typer.Option("--max", metavar="AMOUNT", help="Refuse an invoice that asks for more.")
    ] = None,
    purpose: Purpose = None,
    yes: Yes = False,
    timeout_s: Limit = 30,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Connect to a seller, read the invoice, pay it and take the receipt. At a terminal it asks before it signs.

    It waits for a seller who does not listen yet. Without a terminal it asks nobody: then --max is the limit.

    Examples:
        tenge purse buy ./aigerim --socket /tmp/till.sock
        tenge purse buy ./aigerim --port 7001 --max 500 --yes
    """
    with opened(wallet, at, as_json) as customer:
        address = _address(socket, port)
        fits = trade.at_most(None if limit is None else amount_of(limit))

        def approve(asked: Invoice, plan: Plan | None) -> None:
            fits(asked, plan)
            price = f"{show_tenge(asked.amount_tiyn)} to {asked.certificate.account}"
            tell(f"pays {price}", as_json)
            for line in plan_lines(plan):
                tell(f"  {line}", as_json)
            ask_first(f"Pay {price}?", yes=yes)

        wanted = trade.purpose_named(customer.purse, purpose)
        with SocketCarrier.reach(address, timeout_s) as link:
            deal = trade.buy(customer.purse, link, approve, wanted)
        if as_json:
            print_json(deal_facts(deal))
        else:
            out.print(deal_text("paid", deal), soft_wrap=True)


def _address(socket: Path | None, port: int | None) -> Address:
    if socket is not None and port is None:
        return socket
    if port is not None and socket is None:
        return port
    raise Malformed("give one of --socket and --port")
