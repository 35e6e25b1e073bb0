"""What every link between two devices offers."""

from __future__ import annotations

from typing import Protocol


class Carrier(Protocol):
    """One direction of a link; it may lose, repeat or reorder, never alter unnoticed."""

    def send(self, message: bytes) -> None:
        """Hand a message over."""

    def receive(self) -> bytes:
        """The next message. Raises Unreachable if there is none."""
