"""Two devices in one process."""

from __future__ import annotations

from collections import deque

from cbdc.errors import Unreachable
from wallet.protocol import from_text, to_text


class MemoryCarrier:
    """Payload texts in a queue: first in, first out."""

    def __init__(self) -> None:
        self._texts: deque[str] = deque()

    def send(self, message: bytes) -> None:
        self._texts.append(to_text(message))

    def receive(self) -> bytes:
        if not self._texts:
            raise Unreachable("nothing has arrived")
        return from_text(self._texts.popleft())
