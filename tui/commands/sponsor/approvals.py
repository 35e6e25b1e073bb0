"""`tenge sponsor waiting`, `approve` and `attest`: payments that wait, and those whose word they wait for."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cbdc.amounts import format_tenge, parse_tenge, show_tenge
from cbdc.formats.lines import lines_from_cbor
from cbdc.purposes.conditions import Approval, Evidence, every
from cbdc.purposes.definition import Definition
from cbdc.purposes.words import say
from cbdc.service.key_files import read_key
from cbdc.state.records import Waiting
from tui.clock import At, show_time
from tui.commands.ledger import Root, pinned_root
from tui.commands.purse.plans import Language
from tui.commands.purse.session import LedgerSocket, PaymentId, WalletPath, Yes, ask_first, connected, opened, tell
from tui.output import Json, out, print_json, refusals
from tui.passphrase import key_passphrase_for
from wallet import trade
from wallet.directory import account_of
from wallet.institutions import OracleDesk
from wallet.port import LedgerPort
from wallet.remote import RemotePort

_PAYMENT: Final = re.compile(r"[0-9a-fA-F]{64}")


def waiting(
    wallet: WalletPath, ledger: LedgerSocket, language: Language = "en", at: At = None, as_json: Json = False
) -> None:
    """List payments that wait for approval or evidence, or have lapsed: those to or from here, or for this approval.

    Examples:
        tenge sponsor waiting ./akimat --ledger ./my-ledger/ledger.sock
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        known, found = port.purposes(), customer.waiting(port)
        facts = [_facts(port, payment_id, found[payment_id], known, language) for payment_id in sorted(found)]
        if as_json:
            print_json({"ok": True, "waiting": facts})
            return
        for line in [line for one in facts for line in _lines(one)] or ["Nothing waits."]:
            out.print(line, markup=False, soft_wrap=True)


def _facts(
    port: LedgerPort, payment_id: bytes, held: Waiting, known: dict[bytes, Definition], language: str
) -> dict[str, Any]:
    return {
        "payment": payment_id.hex(),
        "from": held.payer,
        "to": _accounts(port, held),
        "money": _money(held, known, language),
        "lines": [[line.category, format_tenge(line.amount_tiyn)] for line in lines_from_cbor(held.lines)],
        "asks_for": _asked(held, known, language),
        "approvals": held.approvals,
        "until": show_time(held.until_s),
        "lapsed": held.lapsed,
    }


def _accounts(port: LedgerPort, held: Waiting) -> list[str]:
    """Whom it would pay."""
    return list(dict.fromkeys(account_of(port, output[1], port.network) for output in held.outputs))


def _money(held: Waiting, known: dict[bytes, Definition], language: str) -> list[dict[str, Any]]:
    """Amount by purpose; free money has none."""
    sums: dict[bytes | None, int] = {}
    for _, _, amount_tiyn, purpose, *_ in held.outputs:
        sums[purpose] = sums.get(purpose, 0) + amount_tiyn
    titles: dict[bytes | None, str] = {mark: known[mark].title(language) for mark in sums if mark and mark in known}
    return [
        {"purpose": mark.hex() if mark else None, "title": titles.get(mark, ""), "amount": format_tenge(tiyn)}
        for mark, tiyn in sums.items()
    ]


def _asked(held: Waiting, known: dict[bytes, Definition], language: str) -> list[str]:
    """The approvals and the evidence that its purposes ask for, in words."""
    marks = {output[3] for output in held.outputs if output[3] in known}
    nodes = [node for mark in sorted(marks) for node in every(known[mark].condition)]
    return [say(node.wants(), language) for node in nodes if isinstance(node, Approval | Evidence)]


def _lines(one: dict[str, Any]) -> list[str]:
    """A payment for people: its id, and below that what is known of it."""
    money = [f"{show_tenge(parse_tenge(part['amount']))} {part['title'] or 'free'}" for part in one["money"]]
    bought = [f"{category} {amount}" for category, amount in one["lines"]]
    if one["lapsed"]:
        return [f"payment {one['payment']}", f"  from {one['from']}: lapsed {one['until']}, and returned"]
    return [
        f"payment {one['payment']}",
        f"  {', '.join(money)}, from {one['from']} to {', '.join(one['to'])}, until {one['until']}",
        *([f"  for {', '.join(bought)}"] if bought else []),
        f"  waits for {'; '.join(one['asks_for'])}; approved by {', '.join(one['approvals']) or 'nobody yet'}",
    ]


def approve(
    wallet: WalletPath,
    payment: PaymentId,
    ledger: LedgerSocket,
    yes: Yes = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Approve a payment that waits for this wallet's word; its id, or its first digits, is in `sponsor waiting`.

    Examples:
        tenge sponsor approve ./akimat 3f0c1d2e --ledger ./my-ledger/ledger.sock
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        found = customer.waiting(port)
        payment_id = trade.id_named(payment, found)
        held = found[payment_id]
        paid_tiyn = sum(output[2] for output in held.outputs)
        price = f"{show_tenge(paid_tiyn)} from {held.payer} to {', '.join(_accounts(port, held))}"
        tell(f"approves {price}", as_json)
        ask_first(f"Approve {price}?", yes=yes)
        receipt = customer.approve(port, payment_id)
        is_through = port.waiting_payment(payment_id) is None
        if as_json:
            facts = {"ok": True, "payment": payment_id.hex(), "entry": receipt.index, "settled": is_through}
            print_json(facts)
        else:
            said = "it went through" if is_through else "it still waits"
            out.print(f"approved, entry {receipt.index}; {said}: payment {payment_id.hex()}", soft_wrap=True)


def attest(
    oracle: Annotated[str, typer.Argument(metavar="ORACLE", help="The oracle's name, as it was admitted.")],
    fact: Annotated[str, typer.Argument(metavar="FACT", help="What is so, as the purpose calls it.")],
    about: Annotated[
        str, typer.Option("--about", metavar="PAYMENT|ACCOUNT", help="A payment's whole id, or bank/subject.")
    ],
    key_file: Annotated[Path, typer.Option("--key", metavar="FILE.pem", help="The oracle's key, encrypted.")],
    ledger: LedgerSocket,
    *,
    root: Root = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """State a fact that payments or marks wait for, as an oracle. What it lets through goes through.

    The key's passphrase is asked for, or taken from TENGE_KEY_PASSPHRASE, else TENGE_PASSPHRASE.

    Examples:
        tenge sponsor attest agro delivered --about 3f0c...d2 --key agro.pem --ledger ./my-ledger/ledger.sock
    """
    with refusals(as_json):
        network = pinned_root(ledger.parent, root)
        key_file.stat()  # no passphrase is asked for a key that is not there
        desk = OracleDesk(oracle, read_key(key_file, key_passphrase_for("the oracle's key")), network)
        port = RemotePort(ledger, network)
        try:
            port.check_network()
            tell(f"{oracle} states {fact!r} about {about}", as_json)
            ask_first("Sign this?", yes=yes)
            receipt = desk.attest(port, fact, bytes.fromhex(about) if _PAYMENT.fullmatch(about) else about)
        finally:
            port.close()
        if as_json:
            print_json({"ok": True, "oracle": oracle, "fact": fact, "about": about, "entry": receipt.index})
        else:
            out.print(f"stated, entry {receipt.index}")
