"""`tenge purse show`: what a wallet holds, and what became of its payments."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Table

from cbdc.amounts import format_tenge, parse_tenge, show_tenge
from cbdc.state.records import OfflineToken
from tui.clock import At, show_time
from tui.commands.purse.on_ledger import payments_on_ledger, print_payments
from tui.commands.purse.online import show_standing, standing_facts
from tui.commands.purse.session import WalletPath, connected, opened
from tui.output import Json, out, print_json
from wallet import standing
from wallet.balance import Balance
from wallet.customer import Customer
from wallet.purse import Purse
from wallet.remote import RemotePort
from wallet.standing import Standing


def show(
    wallet: WalletPath,
    ledger: Annotated[
        Path | None, typer.Option("--ledger", metavar="SOCKET", help="Ask this ledger for the online balance too.")
    ] = None,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Show balance, tokens with their deadlines and hops, and payments with their states and ids.

    Examples:
        tenge purse show ./aigerim
        tenge purse show ./aigerim --ledger ./my-ledger/ledger.sock --json
    """
    with opened(wallet, at, as_json) as customer:
        if ledger is None:
            facts, stands = _asked(customer, None)
        else:
            with connected(customer, ledger) as port:
                facts, stands = _asked(customer, port)
        if as_json:
            print_json(facts)
        else:
            _print(facts)
            show_standing(stands)


def _asked(customer: Customer, port: RemotePort | None) -> tuple[dict[str, Any], Standing]:
    """All that is shown, by the ledger's word too if there is one."""
    known = customer.purse.definitions() | (port.purposes() if port else {})
    names = {purpose: definition.name for purpose, definition in known.items()}
    stands = standing.standing_of(customer, port)
    facts = _facts(customer, customer.balance(port), names, is_online=port is not None) | standing_facts(stands)
    return facts | {"on_ledger": payments_on_ledger(customer, port, names)}, stands


def _facts(customer: Customer, balance: Balance, names: dict[bytes, str], *, is_online: bool) -> dict[str, Any]:
    purse = customer.purse
    return {
        "ok": True,
        "account": purse.certificate.account,
        "ledger_time": show_time(purse.ledger_time_s),
        "online": format_tenge(balance.online_tiyn) if is_online else None,
        "offline": format_tenge(balance.offline_tiyn),
        "pending": format_tenge(balance.pending_tiyn),
        "marked": {names.get(purpose, purpose.hex()): format_tenge(n) for purpose, n in balance.marked.items()},
        "tokens": _tokens(purse, names),
        "sent": [
            {"payment": p.id.hex(), "with": p.account, "amount": format_tenge(p.amount_tiyn), "state": p.status.value}
            for p in purse.sent()
        ],
        "received": [
            {"payment": p.id.hex(), "with": p.account, "amount": format_tenge(p.amount_tiyn), "state": p.state.value}
            for p in purse.received()
        ],
    }


def _tokens(purse: Purse, names: dict[bytes, str]) -> list[dict[str, Any]]:
    """All that the purse has not spent, also what can no longer be paid with."""
    now_s = max(purse.clock(), purse.ledger_time_s)
    return [
        {
            "outpoint": outpoint.hex(),
            "amount": format_tenge(token.amount_tiyn),
            "purpose": None if token.purpose is None else names.get(token.purpose, token.purpose.hex()),
            "hops": token.hops,
            "spend_until": show_time(token.spend_until_s),
            "final_at": show_time(token.final_at_s),
            "state": _state_of(token, now_s),
        }
        for outpoint, token in purse.tokens().items()
        if not purse.element.has_spent(outpoint)
    ]


def _state_of(token: OfflineToken, now_s: int) -> str:
    if token.final_at_s <= now_s:
        return "final"
    return "expired" if token.spend_until_s < now_s else "spendable"


def _print(facts: dict[str, Any]) -> None:
    online = "not asked" if facts["online"] is None else _shown(facts["online"])
    out.print(f"[bold]{escape(facts['account'])}[/], ledger time last seen {facts['ledger_time']}")
    out.print(f"online {online}, offline {_shown(facts['offline'])}, pending {_shown(facts['pending'])}")
    for purpose, amount in facts["marked"].items():
        out.print(f"of these, for {escape(purpose)}: {_shown(amount)}")
    if facts["tokens"]:
        table = Table("amount", "purpose", "hops", "spend until", "otherwise", title="Tokens in the purse")
        for t in facts["tokens"]:
            until = t["spend_until"] if t["state"] == "spendable" else f"no longer ({t['spend_until']})"
            returns = f"{'returned' if t['state'] == 'final' else 'returns'} online at {t['final_at']}"
            table.add_row(_shown(t["amount"]), escape(t["purpose"] or ""), str(t["hops"]), until, returns)
        out.print(table)
    if facts["sent"] or facts["received"]:
        table = Table("payment", "", "with", "amount", "state", title="Payments")
        for direction, word in (("sent", "to"), ("received", "from")):
            for p in facts[direction]:
                table.add_row(p["payment"][:16], word, escape(p["with"]), _shown(p["amount"]), p["state"])
        out.print(table)
    print_payments(facts["on_ledger"])


def _shown(amount: str) -> str:
    return show_tenge(parse_tenge(amount))
