"""An entry as bytes: the leaf of the log. ``[ledger time in seconds, message bytes]`` in canonical CBOR."""

from __future__ import annotations

from cbdc.formats import cbor
from cbdc.limits import MAX_MESSAGE_BYTES

_MAX_ENTRY_BYTES = MAX_MESSAGE_BYTES + 32


def encode(time_s: int, message: bytes) -> bytes:
    """The bytes of an entry."""
    return cbor.encode([time_s, message])


def decode(data: bytes) -> tuple[int, bytes]:
    """The ledger time and the message of an entry.

    Raises:
        FormError: not an entry.
    """
    time, message = cbor.array(cbor.decode(data, max_bytes=_MAX_ENTRY_BYTES), "entry", 2)
    return cbor.time_s(time, "ledger time"), cbor.bytes_up_to(message, "message", MAX_MESSAGE_BYTES)
