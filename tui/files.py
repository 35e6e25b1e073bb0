"""Files that commands write: never a ledger's own, others only if that is meant, and whole or not at all."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TextIO

from cbdc.errors import AlreadyThere, FileTrouble
from cbdc.service.key_files import key_path


def refuse_target(ledger: Path, to: Path, force: bool) -> None:
    """The ledger's own files, under whatever name, are never written to; others only if that is meant.

    Raises:
        FileTrouble: it is one of them. AlreadyThere: there is a file, and ``force`` is not set.
    """
    own = [ledger.with_name(ledger.name + suffix) for suffix in ("", "-wal", "-shm", ".lock")]
    own.append(ledger.with_name("root.pub"))
    own += [key_path(ledger.parent, role) for role in ("governor", "operator")]
    own += (ledger.parent / "keys").glob("*.pem")  # those of institutions
    real = to.resolve()
    if any(real == file.resolve() or (real.exists() and file.exists() and real.samefile(file)) for file in own):
        raise FileTrouble("that is one of the ledger's own files", path=to, reason="an export goes elsewhere")
    if to.is_file() and not force:
        raise AlreadyThere("there is a file already; --force replaces it", path=to)


@contextmanager
def replacing(to: Path) -> Iterator[TextIO]:
    """A temporary file beside; it takes the place of ``to`` if all goes well, and is gone otherwise."""
    with _place_for(to) as path, path.open("w", encoding="utf-8", newline="") as target:
        yield target


def write_bytes(to: Path, data: bytes) -> None:
    """Write a file whole, as `replacing` does. Raises OSError."""
    with _place_for(to) as path:
        path.write_bytes(data)


@contextmanager
def _place_for(to: Path) -> Iterator[Path]:
    """Where to write what shall stand in ``to``."""
    if to.exists() and not to.is_file():  # a directory is refused when it is opened, a pipe or device written as it is
        yield to
        return
    real = to.resolve()
    beside = real.with_name(f".{real.name[:100]}.{secrets.token_hex(4)}")
    try:
        beside.touch(exist_ok=False)
        yield beside
        beside.replace(real)
    finally:
        beside.unlink(missing_ok=True)
