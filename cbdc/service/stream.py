"""Frames over a stream between two processes: four bytes of length (big-endian), then that many bytes; and the side
that answers them.
"""

from __future__ import annotations

import socket
import sys
import time
from collections.abc import Callable
from typing import Final, Protocol

from cbdc.errors import TooLarge
from cbdc.formats.calls import refusal

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


class Session(Protocol):
    """One talk: what answers a request, of which anything may be wrong, and what it lets go of at the end."""

    def handle(self, body: bytes) -> bytes: ...

    def close(self) -> None: ...


def answer_all(channel: socket.socket, handle: Callable[[bytes], bytes], max_bytes: int) -> None:
    """Answer until the other side hangs up; a frame above the bound is refused unread, and the next one answered.

    Raises:
        OSError: the other side is gone in the middle of a frame.
    """
    while True:
        try:
            body = receive_frame(channel, max_bytes)
        except TooLarge as error:
            send_frame(channel, refusal(error))
            skip(channel, int(str(error.values["found"])))
            continue
        if body is None:
            return
        send_frame(channel, handle(body))


def serve_parent(session: Session, max_bytes: int) -> int:
    """Answer the process at the other end of standard input until it hangs up; the exit status."""
    with socket.socket(fileno=sys.stdin.fileno()) as channel:
        try:
            answer_all(channel, session.handle, max_bytes)
        except OSError:  # it went away in the middle of a frame: what is journaled is on the disk
            return 1
        finally:
            session.close()
    return 0
