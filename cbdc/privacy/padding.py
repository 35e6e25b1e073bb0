"""Padding, so that the length of what is sealed does not tell what it says: ISO/IEC 7816-4, up to whole blocks."""

from __future__ import annotations

from cbdc.errors import Malformed


def padded(plain: bytes, block_bytes: int) -> bytes:
    """80, then zeros up to a whole block."""
    marked = plain + b"\x80"
    return marked + bytes(-len(marked) % block_bytes)


def unpadded(data: bytes, block_bytes: int) -> bytes:
    """What was padded.

    Raises:
        Malformed: it was not padded like that.
    """
    plain = data.rstrip(b"\0")[:-1]
    if padded(plain, block_bytes) != data:
        raise Malformed("not padded as it should be")
    return plain
