"""Payloads on the command line: read from a file or standard input, written to a file or standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Final

from cbdc.errors import AlreadyThere, FileTrouble, Malformed
from cbdc.limits import MAX_CLIPBOARD_CHARS
from wallet.carriers.file import FileCarrier
from wallet.carriers.text import from_clipboard
from wallet.protocol import to_text

STANDARD_INPUT: Final = "-"


def read_payload(source: str) -> bytes:
    """The message in a payload file, or in text that was pasted into one; ``-`` is standard input.

    At most so many bytes are read that longer text is refused by the reader of clipboard text, not cut silently.

    Raises:
        FileTrouble: it cannot be read. FormError: it is no payload.
    """
    most_bytes = 4 * MAX_CLIPBOARD_CHARS + 4
    try:
        if source == STANDARD_INPUT:
            data = sys.stdin.buffer.read(most_bytes)
        else:
            with Path(source).open("rb") as file:
                data = file.read(most_bytes)
        return from_clipboard(data.decode("utf-8"))
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FileTrouble("the payload cannot be read", path=source, reason=reason) from None
    except UnicodeDecodeError:
        raise Malformed("not a payload: not text", path=source) from None


def check_free(to: Path | None, *, force: bool) -> None:
    """Asked before anything is signed. Raises AlreadyThere: a file would be overwritten."""
    if to is not None and to.is_file() and not force:
        raise AlreadyThere("there is a file already; --force replaces it", path=to)


def write_payload(message: bytes, to: Path | None) -> None:
    """Payload text into a file, whole or not at all, or to standard output. Raises OSError."""
    if to is None:
        sys.stdout.write(to_text(message) + "\n")
        sys.stdout.flush()
    elif to.exists() and not to.is_file():  # a pipe or a device is written to as it is; a directory is refused
        with to.open("w", encoding="ascii") as target:
            target.write(to_text(message) + "\n")
    else:
        FileCarrier(to).send(message)
