"""`tenge sponsor define`, `allow` and `recall`: what a sponsor says about its purposes."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from cbdc.amounts import format_tenge, parse_tenge, show_tenge
from cbdc.errors import AlreadyThere, NotEnrolled, RoleRefused
from cbdc.formats.ed25519 import SigningKey
from cbdc.messages.message import countersign
from cbdc.purposes.conditions import Approval, Evidence, Payee, Payer, every
from cbdc.purposes.definition import Definition
from cbdc.service.key_files import key_path, read_key
from tui.clock import At, show_time
from tui.commands.purse.plans import Language
from tui.commands.purse.session import LedgerSocket, WalletPath, Yes, ask_first, connected, opened, tell
from tui.output import Json, out, print_json
from tui.passphrase import key_passphrase_for
from wallet import purpose_files, trade
from wallet.directory import keys_named
from wallet.port import LedgerPort

PurposeName = Annotated[str, typer.Argument(metavar="PURPOSE", help="A purpose's name or id.")]


def define(
    wallet: WalletPath,
    file: Annotated[Path, typer.Argument(metavar="PURPOSE.toml", help=r"A scenario's [\[purpose]], alone in a file.")],
    ledger: LedgerSocket,
    language: Language = "en",
    yes: Yes = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Enter a purpose in the ledger. First it says in words what the file means; at a terminal it asks.

    Wallets are named by account, bank/subject, and oracles and approvers by name. The sponsor is this wallet.

    Examples:
        tenge sponsor define ./akimat meals.toml --ledger ./my-ledger/ledger.sock --language kk
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        account = customer.certificate(port).account
        spec = purpose_files.read(file, account)
        definition = purpose_files.definition_by(spec, account, customer.online_key, port)
        _check_new(port, definition)
        for line in _lines(definition, spec.return_to, language):
            tell(line, as_json)
        ask_first("Enter this purpose?", yes=yes)
        purpose = customer.define_purpose(port, definition)
        if as_json:
            print_json({"ok": True, "id": purpose.hex(), **purpose_facts(definition, language)})
        else:
            out.print(f"entered: purpose {purpose.hex()}", soft_wrap=True)


def _check_new(port: LedgerPort, definition: Definition) -> None:
    """Two purposes of one name could not be told apart by it."""
    now_s = port.ledger_time_s()
    for purpose, known in port.purposes().items():
        if (known.name, known.sponsor) == (definition.name, definition.sponsor) and now_s < known.expires_s:
            raise AlreadyThere("this sponsor has a purpose of that name", purpose=purpose, name=known.name)


def _lines(definition: Definition, return_to: str, language: str) -> list[str]:
    lines = [
        f"{definition.title(language)} ({definition.name})",
        f"  asks for: {definition.explain(language)}",
        f"  the mark: {definition.explain_mark(language)}",
        f"  until {show_time(definition.expires_s)}; the rest returns to {return_to}",
    ]
    others = _institutions(definition)
    return lines + ([f"  taken to be institutions of these names: {', '.join(others)}"] if others else [])


def _institutions(definition: Definition) -> list[str]:
    """Names without a bank: whether they are meant so is for a person to see."""
    nodes = list(every(definition.condition))
    parties = [node.accounts for node in nodes if isinstance(node, Payee | Payer)]
    approvers = [node.of for node in nodes if isinstance(node, Approval)]
    names = {name for named in (*parties, *approvers) for name in named if "/" not in name}
    return sorted(names | {node.oracle for node in nodes if isinstance(node, Evidence)})


def purpose_facts(definition: Definition, language: str) -> dict[str, object]:
    """A definition for JSON."""
    return {
        "name": definition.name,
        "title": definition.title(language),
        "asks_for": definition.explain(language),
        "mark": definition.explain_mark(language),
        "expires": show_time(definition.expires_s),
        "institutions": _institutions(definition),
    }


def allow(
    wallet: WalletPath,
    purpose: PurposeName,
    account: Annotated[str, typer.Argument(metavar="ACCOUNT", help="Whose purses: bank/subject.")],
    amount: Annotated[str, typer.Argument(metavar="AMOUNT", help="Tenge between two syncs; 0 takes it back.")],
    ledger: LedgerSocket,
    yes: Yes = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Let an account's purses pay so much of a purpose offline where a condition needs the ledger's memory.

    Its bank then writes that into the purse's next certificate.

    Examples:
        tenge sponsor allow ./akimat meals altyn/pupil 5000 --ledger ./my-ledger/ledger.sock
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        mark, amount_tiyn = trade.purpose_among(port.purposes(), purpose), parse_tenge(amount)
        if not port.keys_of(account):
            raise NotEnrolled("no such account, or no key of it is in force", account=account[:100])
        name = port.purposes()[mark].name
        price = f"{show_tenge(amount_tiyn)} of {name} between two syncs to {account}"
        tell(f"allows {price}", as_json)
        ask_first(f"Allow {price}?", yes=yes)
        receipt = customer.allow(port, mark, account, amount_tiyn)
        if as_json:
            facts = {"ok": True, "purpose": mark.hex(), "account": account, "amount": format_tenge(amount_tiyn)}
            print_json(facts | {"entry": receipt.index})
        else:
            out.print(f"allowed {price}, entry {receipt.index}", markup=False, soft_wrap=True)


def recall(
    wallet: WalletPath,
    purpose: PurposeName,
    holder: Annotated[str, typer.Argument(metavar="HOLDER", help="An account, bank/subject, or a key.")],
    ledger: LedgerSocket,
    *,
    reference: Annotated[str, typer.Option("--reference", help="The court's decision; it stands in the log.")],
    governor: Annotated[
        Path, typer.Option("--governor-keys", metavar="LEDGER_DIR", help="Where keys/governor.pem is, to countersign.")
    ],
    yes: Yes = False,
    at: At = None,
    as_json: Json = False,
) -> None:
    """Take what somebody holds of a purpose online back, by a court's decision; the governor signs as well.

    The passphrase of the governor's key is asked for, or taken from TENGE_KEY_PASSPHRASE, else TENGE_PASSPHRASE.
    What is in purses is out of reach until it is online again.

    Examples:
        tenge sponsor recall ./akimat meals altyn/pupil --reference "case 7/2026" --governor-keys ./my-ledger --ledger s
    """
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        mark, owners = trade.purpose_among(port.purposes(), purpose), keys_named(port, holder)
        held_tiyn = customer.recallable_tiyn(port, mark, owners, reference)
        key = _governor(governor, customer.network)
        price = f"{show_tenge(held_tiyn)} of {port.purposes()[mark].name} from {holder}, by {reference!r}"
        tell(f"takes back {price}", as_json)
        ask_first(f"Take back {price}?", yes=yes)
        receipts = customer.recall(port, mark, owners, reference, lambda raw: countersign(raw, key, customer.network))
        entries = [receipt.index for receipt in receipts]
        if as_json:
            print_json({"ok": True, "purpose": mark.hex(), "amount": format_tenge(held_tiyn), "entries": entries})
        else:
            said = ", ".join(str(entry) for entry in entries)
            out.print(f"took back {price}, entry {said}", markup=False, soft_wrap=True)


def _governor(directory: Path, network: bytes) -> SigningKey:
    """The governor's key of this network. Raises RoleRefused: it is another's."""
    path = key_path(directory, "governor")
    path.stat()  # no passphrase is asked for a key that is not there
    key = read_key(path, key_passphrase_for("the governor's key"))
    if key.public != network:
        raise RoleRefused("this is not the governor's key of this network", found=key.public, wanted=network)
    return key
