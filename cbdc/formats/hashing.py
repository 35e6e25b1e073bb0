"""SHA-256 with domain tags: two kinds of things never share a hash."""

from __future__ import annotations

import hashlib
from typing import Final

HASH_BYTES: Final = 32


def tagged(tag: str, data: bytes) -> bytes:
    """SHA-256 over ``"tenge/v1/" tag NUL data``."""
    return hashlib.sha256(b"tenge/v1/" + tag.encode() + b"\0" + data).digest()
