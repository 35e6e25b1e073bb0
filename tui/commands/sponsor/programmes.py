"""`tenge sponsor purposes`: what purposes there are, in words."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.table import Table

from cbdc.purposes.conditions.time import show_time
from cbdc.purposes.definition import Definition
from cbdc.purposes.words import LANGUAGES, say
from tui.clock import At
from tui.commands.purse.session import LedgerSocket, WalletPath, connected, opened
from tui.output import Json, out, print_json

Language = Annotated[str, typer.Option("--language", "-l", help="en, kk or ru.")]


def purposes(
    wallet: WalletPath, ledger: LedgerSocket, language: Language = "en", at: At = None, as_json: Json = False
) -> None:
    """List every purpose: its title, what it asks for, what becomes of the mark, until when.

    Examples:
        tenge sponsor purposes ./akimat --ledger ./my-ledger/ledger.sock --language kk
    """
    if language not in LANGUAGES:
        raise typer.BadParameter(f"one of {', '.join(LANGUAGES)}", param_hint="--language")
    with opened(wallet, at, as_json) as customer, connected(customer, ledger) as port:
        known = port.purposes()
        keys = customer.keys()
        own = {key.public for key in keys}
        if as_json:
            print_json({"ok": True, "purposes": [_facts(p, known[p], language, own) for p in sorted(known)]})
            return
        table = Table(title="Purposes")
        for column in ("purpose", "title", "asks for", "the mark", "until", "own"):
            table.add_column(column, overflow="fold")
        for purpose, definition in sorted(known.items(), key=lambda item: item[1].name):
            is_own = "yes" if definition.sponsor in own else ""
            said = (definition.title(language), definition.explain(language), say(definition.mark.wants(), language))
            until = show_time(definition.expires_s).replace(" ", "\n") + "\n+05:00"
            table.add_row(f"{definition.name}\n{purpose.hex()[:8]}", *said, until, is_own)
        out.print(table if known else "There are no purposes.")


def _facts(purpose: bytes, definition: Definition, language: str, own: set[bytes]) -> dict[str, object]:
    return {
        "id": purpose.hex(),
        "name": definition.name,
        "title": definition.title(language),
        "asks_for": definition.explain(language),
        "mark": definition.explain_mark(language),
        "expires_s": definition.expires_s,
        "expires": f"{show_time(definition.expires_s).replace(' ', 'T')}+05:00",
        "own": definition.sponsor in own,
    }
