"""`tenge sponsor waiting`, `approve` and `attest`: payments that wait, and those whose word they wait for."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Annotated, Any, Final

import typer

from cbdc.amounts import format_tenge, parse_tenge, show_tenge
from cbdc.errors import Malformed, NotEnrolled, RoleRefused
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.lines import lines_from_cbor
from cbdc.limits import MAX_NAME_CHARS
from cbdc.log.receipts import Receipt
from cbdc.purposes.conditions import Approval, Evidence, every
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import UntilEvidence
from cbdc.purposes.words import say
from cbdc.service.key_files import read_key
from cbdc.state.records import Waiting
from tui.clock import At, show_time
from tui.commands.ledger import Root, pinned_root
from tui.commands.purse.plans import Language
from tui.commands.purse.session import (
    LedgerSocket,
    PaymentId,
    WalletPath,
    Yes,
    amounts_in_tenge,
    ask_first,
    connected,
    opened,
    tell,
)
from tui.output import Json, out, print_json, refusals
from tui.passphrase import key_passphrase_for
from wallet import trade
from wallet import waiting as waiting_payments
from wallet.directory import account_of
from wallet.institutions import ApproverDesk, OracleDesk
from wallet.port import LedgerPort
from wallet.remote import RemotePort

_DIGITS: Final = re.compile(r"[0-9a-fA-F]{1,64}")


def waiting(
    wallet: WalletPath, ledger: LedgerSocket, language: Language = "en", at: At = None, as_json: Json = False
) -> None:
    """List payments that wait for approval or evidence, or have lapsed: those to or from here, or for this approval.

    Examples:
        tenge sponsor waiting ./akimat --ledger ./my-ledger/ledger.sock
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        known, found = port.purposes(), customer.waiting(port) | customer.lapsed(port)
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
    wallet: Annotated[
        Path, typer.Argument(metavar="WALLET|NAME", help="A wallet's directory; with --key an approver's name.")
    ],
    payment: PaymentId,
    ledger: LedgerSocket,
    *,
    key_file: Annotated[
        Path | None, typer.Option("--key", metavar="FILE.pem", help="An admitted approver's key, encrypted.")
    ] = None,
    root: Root = None,
    yes: Yes = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Approve a payment that waits for this wallet's word; its id, or its first digits, is in `sponsor waiting`.

    An institution that was admitted as an approver has no wallet: it gives its name and its --key, whose passphrase is
    asked for, or taken from TENGE_KEY_PASSPHRASE, else TENGE_PASSPHRASE.

    Examples:
        tenge sponsor approve ./akimat 3f0c1d2e --ledger ./my-ledger/ledger.sock
        tenge sponsor approve audit 3f0c1d2e --key audit.pem --ledger ./my-ledger/ledger.sock
    """
    if key_file is None:
        with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
            found = customer.waiting(port)
            payment_id = waiting_payments.named(port, payment, found, customer.waited())
            _approve(port, payment_id, found[payment_id], partial(customer.approve, port), yes=yes, as_json=as_json)
        return
    with _institution(ledger, root, key_file, "the approver's key", as_json) as (port, key):
        name = str(wallet)
        found = waiting_payments.for_approver(port, name)
        payment_id = waiting_payments.named(port, payment, found)
        desk = ApproverDesk(name, key, port.network)
        _approve(port, payment_id, found[payment_id], partial(desk.approve, port), yes=yes, as_json=as_json)


def _approve(
    port: LedgerPort,
    payment_id: bytes,
    held: Waiting,
    sign: Callable[[bytes], Receipt],
    *,
    yes: bool,
    as_json: bool,
) -> None:
    known = port.purposes()
    paid_tiyn = sum(output[2] for output in held.outputs)
    titles = dict.fromkeys(part["title"] for part in _money(held, known, "en") if part["title"])
    price = f"{show_tenge(paid_tiyn)} of {', '.join(titles)} from {held.payer} to {', '.join(_accounts(port, held))}"
    tell(f"approves {price}", as_json)
    ask_first(f"Approve {price}?", yes=yes)
    receipt = sign(payment_id)
    _show_word("approved", port, payment_id, {"ok": True, "payment": payment_id.hex()}, receipt, as_json)


def _show_word(
    said: str, port: LedgerPort, payment_id: bytes, facts: dict[str, Any], receipt: Receipt, as_json: bool
) -> None:
    """What became of a payment by somebody's word."""
    is_through = port.waiting_payment(payment_id) is None
    if as_json:
        print_json(facts | {"entry": receipt.index, "settled": is_through})
    else:
        became = "it went through" if is_through else "it still waits"
        out.print(f"{said}, entry {receipt.index}; {became}: payment {payment_id.hex()}", soft_wrap=True)


@contextmanager
def _institution(
    ledger: Path, root: str | None, key_file: Path, what: str, as_json: bool
) -> Iterator[tuple[RemotePort, SigningKey]]:
    """The way to the ledger beside the socket, and an institution's key; every refusal is shown."""
    with refusals(as_json), amounts_in_tenge():
        network = pinned_root(ledger.parent, root)
        key_file.stat()  # no passphrase is asked for a key that is not there
        key = read_key(key_file, key_passphrase_for(what))
        port = RemotePort(ledger, network)
        try:
            port.check_network()
            yield port, key
        finally:
            port.close()


def attest(
    oracle: Annotated[str, typer.Argument(metavar="ORACLE", help="The oracle's name, as it was admitted.")],
    fact: Annotated[str, typer.Argument(metavar="FACT", help="What is so, as the purpose calls it.")],
    about: Annotated[
        str,
        typer.Option(
            "--about",
            metavar="PAYMENT|ACCOUNT",
            help="A payment's id, its first digits while it waits, or bank/subject.",
        ),
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
    with _institution(ledger, root, key_file, "the oracle's key", as_json) as (port, key):
        thing = _about(port, about)
        if isinstance(thing, bytes):
            _check_asked(port, thing, oracle, fact)
        shown = thing.hex() if isinstance(thing, bytes) else thing
        tell(f"{oracle} states {fact!r} about {shown}", as_json)
        ask_first("Sign this?", yes=yes)
        receipt = OracleDesk(oracle, key, port.network).attest(port, fact, thing)
        facts = {"ok": True, "oracle": oracle, "fact": fact, "about": shown}
        if isinstance(thing, bytes):
            _show_word("stated", port, thing, facts, receipt, as_json)
        elif as_json:
            print_json(facts | {"entry": receipt.index})
        else:
            out.print(f"stated, entry {receipt.index}")


def _about(port: LedgerPort, text: str) -> bytes | str:
    """A payment by its whole id, or by the first digits of one that waits; an account or an institution by its name.

    Raises:
        Malformed: neither. NotEnrolled: no such account.
    """
    if waiting_payments.WHOLE_ID.fullmatch(text):
        return bytes.fromhex(text)
    if "/" in text:
        if not port.keys_of(text):
            raise NotEnrolled("no such account, or no key of it is in force", account=text[:100])
        return text
    if len(text) <= MAX_NAME_CHARS and port.role_of(text) is not None:
        return text
    if not _DIGITS.fullmatch(text):
        raise Malformed("neither a payment's id nor an account or institution", found=text[:100])
    return trade.id_named(text, port.waiting())


def _check_asked(port: LedgerPort, payment_id: bytes, oracle: str, fact: str) -> None:
    """Whether a payment that waits is waiting for this oracle's word at all. Raises RoleRefused."""
    held, known = port.waiting_payment(payment_id), port.purposes()
    if held is None or held.lapsed:
        return
    marks = {output[3] for output in held.outputs if output[3] in known}
    nodes = [node for mark in marks for node in every(known[mark].condition) if isinstance(node, Evidence)]
    wanted = sorted(f"{node.oracle}: {node.fact}" for node in nodes)
    rules = [known[mark].mark for mark in marks]
    frees = any(isinstance(rule, UntilEvidence) and rule.oracle == oracle for rule in rules)
    if f"{oracle}: {fact}" not in wanted and not frees:
        found = f"{oracle}: {fact}"
        raise RoleRefused("the payment does not wait for this word", found=found, wanted="; ".join(wanted) or "none")
