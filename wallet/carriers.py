"""Carriers: how the bytes of a message get from one device to the other. The same bytes on all of them."""

from __future__ import annotations

from collections import deque
from pathlib import Path
from typing import Protocol

from cbdc.errors import Malformed, TooLarge, Unreachable
from cbdc.limits import MAX_PAYLOAD_TEXT_CHARS
from wallet.protocol import from_text, to_text


class Carrier(Protocol):
    """One direction of a link; it may lose, repeat or reorder, never alter unnoticed."""

    def send(self, message: bytes) -> None:
        """Hand a message over."""

    def receive(self) -> bytes:
        """The next message. Raises Unreachable if there is none."""


class MemoryCarrier:
    """Two devices in one process."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque()

    def send(self, message: bytes) -> None:
        self._texts.append(to_text(message))

    def receive(self) -> bytes:
        if not self._texts:
            raise Unreachable("nothing has arrived")
        return from_text(self._texts.popleft())


class FileCarrier:
    """A file that is carried over: written whole, read whole, as payload text."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def send(self, message: bytes) -> None:
        whole = self._path.with_name(self._path.name + ".part")
        whole.write_text(to_text(message) + "\n", encoding="ascii")
        whole.replace(self._path)

    def receive(self) -> bytes:
        try:
            if self._path.stat().st_size > MAX_PAYLOAD_TEXT_CHARS + 2:
                raise TooLarge("payload file too long", limit=MAX_PAYLOAD_TEXT_CHARS)
            return from_text(self._path.read_text(encoding="ascii"))
        except FileNotFoundError:
            raise Unreachable("nothing has arrived", path=self._path) from None
        except UnicodeDecodeError:
            raise Malformed("not a payload file", path=self._path) from None
