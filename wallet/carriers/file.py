"""A file that is carried from one device to the other."""

from __future__ import annotations

from pathlib import Path

from cbdc.errors import Malformed, TooLarge, Unreachable
from cbdc.limits import MAX_PAYLOAD_TEXT_CHARS
from wallet.protocol import from_text, to_text


class FileCarrier:
    """Payload text in a file: written whole, read whole."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, message: bytes) -> None:
        whole = self._path.with_name(self._path.name + ".part")
        try:
            whole.write_text(to_text(message) + "\n", encoding="ascii")
            whole.replace(self._path)
        except OSError:
            whole.unlink(missing_ok=True)
            raise

    def receive(self) -> bytes:
        try:
            if self._path.stat().st_size > MAX_PAYLOAD_TEXT_CHARS + 2:
                raise TooLarge("payload file too long", limit=MAX_PAYLOAD_TEXT_CHARS)
            return from_text(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            raise Unreachable("nothing has arrived", path=self._path) from None
        except UnicodeDecodeError:
            raise Malformed("not a payload file", path=self._path) from None
