"""Frames over a stream between two processes: four bytes of length (big-endian), then that many bytes."""

from __future__ import annotations

import socket
import time
from typing import Final

from cbdc.errors import TooLarge

HEAD_BYTES: Final = 4
_CHUNK_BYTES: Final = 1 << 16


def send_frame(channel: socket.socket, body: bytes) -> None:
    """Raises OSError: the other side is gone."""
    channel.sendall(len(body).to_bytes(HEAD_BYTES, "big") + body)


def receive_frame(channel: socket.socket, max_bytes: int, within_s: float | None = None) -> bytes | None:
    """The next frame's body, or None at the end of the stream. ``within_s`` bounds the whole of it, where the channel's
    own timeout begins anew with every byte.

    Raises:
        TooLarge: the frame's head announces more than the bound (``found``); its body is still in the stream.
        OSError: the other side is gone.
    """
    until_s = None if within_s is None else time.monotonic() + within_s
    head = _exactly(channel, HEAD_BYTES, until_s)
    if head is None:
        return None
    length = int.from_bytes(head, "big")
    if length > max_bytes:
        raise TooLarge("frame too long", found=length, limit=max_bytes)
    return _exactly(channel, length, until_s)


def skip(channel: socket.socket, length: int) -> None:
    """Read so many bytes, or to the end of the stream, and keep none of them."""
    while length and (got := channel.recv(min(length, _CHUNK_BYTES))):
        length -= len(got)


def _exactly(channel: socket.socket, length: int, until_s: float | None) -> bytes | None:
    parts = bytearray()
    while len(parts) < length:
        if until_s is not None:
            left_s = until_s - time.monotonic()
            if left_s <= 0:
                raise TimeoutError
            channel.settimeout(left_s)
        got = channel.recv(min(length - len(parts), _CHUNK_BYTES))
        if not got:
            return None
        parts += got
    return bytes(parts)
