"""Secure elements that somebody got into. Lives in scenarios and tests only.

A sound element has no door. These come in through the disk: whoever copies an element's file and knows its PIN has
its key, which is what the ledger must survive.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from cbdc.formats.ed25519 import SigningKey
from wallet.element.core import KEY, SimulatedElement


def copy_storage(source: Path, target: Path) -> None:
    """A copy of an element's encrypted file, past its lock, as of its last durable change."""
    target.parent.mkdir(parents=True, exist_ok=True)
    with closing(sqlite3.connect(source)) as there, closing(sqlite3.connect(target)) as here:
        there.backup(here)


class BrokenElement(SimulatedElement):
    """An element that has been opened up: it gives its key away and forgets what it has signed."""

    def steal_seed(self) -> bytes:
        """The secret (32 bytes) that no sound element gives out."""
        return bytes(self._vault.get("element", KEY))

    def steal_key(self) -> SigningKey:
        """The key of that secret."""
        return SigningKey(self.steal_seed())

    def forget_spend(self, outpoint: bytes) -> None:
        """From now on it signs another spend of this token."""
        self._vault.drop("spent", outpoint)
