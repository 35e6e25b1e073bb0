"""`tenge ledger admit`: the governor lets an institution take part."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from cbdc.errors import AlreadyThere, Malformed, RoleRefused, TengeError, Unreachable
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.x509 import Role
from cbdc.service.founding import Governor
from cbdc.service.key_files import key_path, read_seed, write_key
from tui.commands.ledger import Where, ledger_path, pinned_root
from tui.commands.purse.session import LedgerSocket, Yes, ask_first, tell
from tui.output import Json, out, print_json, refusals
from tui.passphrase import key_passphrase_for, passphrase_for
from wallet.directory import key_from_hex
from wallet.institutions import hand_in
from wallet.remote import RemotePort


class Admitted(StrEnum):
    """The roles that an institution may have beside the governor and the operator."""

    BANK = "bank"
    ORACLE = "oracle"
    APPROVER = "approver"


def admit(
    where: Where,
    name: Annotated[str, typer.Argument(metavar="NAME", help="The institution's name.")],
    role: Annotated[Admitted, typer.Option("--role", help="What it may do.")],
    ledger: LedgerSocket,
    key: Annotated[str | None, typer.Option("--key", metavar="HEX", help="Its public key, 64 hex digits.")] = None,
    new_key: Annotated[
        Path | None, typer.Option("--new-key", metavar="FILE.pem", help="Make it a key, in a new encrypted file.")
    ] = None,
    yes: Yes = False,
    as_json: Json = False,
) -> None:
    """Admit a bank, an oracle or an approver, with the governor's key in the ledger's directory.

    The governor's passphrase is asked for, or taken from TENGE_PASSPHRASE; that of a new key from TENGE_KEY_PASSPHRASE,
    else it is the same.

    Examples:
        tenge ledger admit ./my-ledger agro --role oracle --new-key agro.pem --ledger ./my-ledger/ledger.sock
    """
    with refusals(as_json):
        if (key is None) is (new_key is None):
            raise Malformed("give one of --key and --new-key")
        if new_key is not None and new_key.exists():
            raise AlreadyThere("there is a file already", path=new_key)
        governor = _governor(ledger_path(where).parent, pinned_root(where, None))
        port = RemotePort(ledger, governor.network)
        try:
            port.check_network()
            tell(f"admits {name} as {role.value}", as_json)
            ask_first(f"Admit {name} as {role.value}?", yes=yes)
            with (
                _made(new_key)
                if new_key is not None
                else nullcontext(key_from_hex(key or "", "a public key is 64 hex digits")) as public
            ):
                raw = governor.admit(name, Role(role.value), public, port.ledger_time_s())
                receipt = hand_in(port, raw, governor.network)
        finally:
            port.close()
        if as_json:
            facts = {"ok": True, "name": name, "role": role.value, "key": public.hex(), "entry": receipt.index}
            print_json(facts | {"written": None if new_key is None else str(new_key)})
        else:
            out.print(f"admitted {name} as {role.value}, entry {receipt.index}", markup=False, soft_wrap=True)


def _governor(directory: Path, network: bytes) -> Governor:
    path = key_path(directory, "governor")
    path.stat()  # no passphrase is asked for a key that is not there
    governor = Governor.from_seed(read_seed(path, passphrase_for("the governor's key")))
    if governor.network != network:
        raise RoleRefused("this is not the governor's key of this network", found=governor.network, wanted=network)
    return governor


@contextmanager
def _made(path: Path) -> Iterator[bytes]:
    """A new key in a file, which goes again if the ledger refuses the key; not if it is unknown what was decided."""
    seed = secrets.token_bytes(32)
    write_key(path, seed, key_passphrase_for("the new key"))
    try:
        yield SigningKey(seed).public
    except Unreachable:
        raise
    except TengeError:
        path.unlink()
        raise
