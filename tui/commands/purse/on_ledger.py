"""A wallet's payments on the ledger itself, as `tenge purse show` lists them: sent, waiting, and what arrived."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from rich.markup import escape
from rich.table import Table

from cbdc.amounts import format_tenge, parse_tenge, show_tenge
from cbdc.formats.hashing import HASH_BYTES
from cbdc.messages.bodies import Transfer
from cbdc.messages.message import decode
from tui.clock import show_time
from tui.output import out
from wallet.customer import Customer
from wallet.history import HistoryItem
from wallet.port import LedgerPort

_WHATS: Final = {"paid": "sent", "waiting": "waits", "lapsed": "lapsed", "received": "received"}
_SHOWN: Final = 20


def payments_on_ledger(customer: Customer, port: LedgerPort | None, names: Mapping[bytes, str]) -> list[dict[str, Any]]:
    """All of them, oldest first; with the ledger also what has arrived by now, and from whom as far as it says."""
    if port is not None:
        customer.look(port)
    sent = _sent(customer)
    marks = {payment_id: {mark for mark in sums if mark is not None} for payment_id, sums in sent.items()}
    if port is not None:
        marks = _marks_held(customer, port) | marks
    rows: dict[tuple[bytes, str], dict[str, Any]] = {}
    for item in customer.history():
        if item.what not in _WHATS or item.status:
            continue
        key = (item.message_id, item.what)
        if key in rows:  # one payment may bring several tokens
            rows[key]["amount"] = format_tenge(parse_tenge(rows[key]["amount"]) + abs(item.amount_tiyn))
            continue
        payer, purposes = item.counterpart, marks.get(item.message_id, set())
        if item.what == "received" and port is not None:
            payer, brought = _brought_by(customer, port, item.message_id)
            purposes = purposes | brought
        # the history counts nothing for one that lapsed; people want to know which it was
        tiyn = sum(sent.get(item.message_id, {}).values()) if item.what == "lapsed" else item.amount_tiyn
        shown = replace(item, amount_tiyn=tiyn)
        rows[key] = _facts(shown, payer, sorted(names.get(mark, mark.hex()) for mark in purposes))
    return list(rows.values())


def _facts(item: HistoryItem, counterpart: str, purposes: list[str]) -> dict[str, Any]:
    return {
        "payment": item.message_id.hex(),
        "what": _WHATS[item.what],
        "with": counterpart or None,
        "amount": format_tenge(abs(item.amount_tiyn)),
        "purposes": purposes,
        "entry": item.entry_index,
        "time": show_time(item.time_s),
        "memo": item.memo,
    }


def _sent(customer: Customer) -> dict[bytes, dict[bytes | None, int]]:
    """Payment's id -> what it sends to others (tiyn) by purpose, None for free money."""
    found: dict[bytes, dict[bytes | None, int]] = {}
    for raw, _ in customer.receipts():
        message = decode(raw, customer.network)
        if isinstance(message.body, Transfer):
            sums = found[message.id] = {}
            for output in message.body.outputs:
                if output.owner not in message.signers:
                    sums[output.purpose] = sums.get(output.purpose, 0) + output.amount_tiyn
    return found


def _marks_held(customer: Customer, port: LedgerPort) -> dict[bytes, set[bytes]]:
    """Id -> purposes, of what arrived and is still here under its mark: a grant, for one."""
    keys = customer.keys()
    found: dict[bytes, set[bytes]] = {}
    for name, token in port.tokens_of([key.public for key in keys]).items():
        if token.purpose is not None:
            found.setdefault(name[:HASH_BYTES], set()).add(token.purpose)
    return found


def _brought_by(customer: Customer, port: LedgerPort, payment_id: bytes) -> tuple[str, set[bytes]]:
    """Who paid, and of which purposes: the ledger says so of marked money alone."""
    keys = customer.keys()
    own = {key.public for key in keys}
    sources = [source for source in port.refundable(payment_id) if source.payee in own]
    return (sources[0].payer if sources else ""), {source.purpose for source in sources}


def print_payments(rows: list[dict[str, Any]]) -> None:
    """The latest of them."""
    if not rows:
        return
    table = Table("payment", "", "with", "amount", "purpose", "entry", "day", title="On the ledger")
    for row in rows[-_SHOWN:]:
        amount, entry = show_tenge(parse_tenge(row["amount"])), "" if row["entry"] is None else str(row["entry"])
        words = (
            row["payment"][:16],
            row["what"],
            escape(row["with"] or ""),
            amount,
            escape(", ".join(row["purposes"])),
        )
        table.add_row(*words, entry, row["time"][:10])
    out.print(table)
    if len(rows) > _SHOWN:
        out.print(f"{len(rows) - _SHOWN} earlier ones: with --json")
