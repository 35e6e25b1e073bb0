"""Where a secret comes from: a variable of the environment, or the person at the terminal. It is never printed."""

from __future__ import annotations

import os
import sys
from typing import Final

import typer

from cbdc.errors import Malformed

PASSPHRASE_VARIABLE: Final = "TENGE_PASSPHRASE"  # noqa: S105 - the name of a variable
PIN_VARIABLE: Final = "TENGE_PIN"
KEY_VARIABLE: Final = "TENGE_KEY_PASSPHRASE"


def passphrase_for(what: str, *, is_new: bool = False) -> str:
    """The passphrase for ``what``; a new one is asked for twice.

    Raises:
        Malformed: neither variable nor terminal.
    """
    given = os.environ.get(PASSPHRASE_VARIABLE)
    if given:
        return given
    if not sys.stdin.isatty():
        raise Malformed(f"no terminal to ask for a passphrase: set {PASSPHRASE_VARIABLE}")
    return str(typer.prompt(f"Passphrase for {what}", hide_input=True, confirmation_prompt=is_new, err=True))


def key_passphrase_for(what: str) -> str:
    """As `passphrase_for`, for an institution's key beside a wallet: it may have a passphrase of its own."""
    return os.environ.get(KEY_VARIABLE) or passphrase_for(what)


def pin_given() -> str | None:
    """The PIN of a wallet's secure element, where it has one of its own."""
    return os.environ.get(PIN_VARIABLE) or None
