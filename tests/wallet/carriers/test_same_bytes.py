"""Every carrier brings the same bytes, whatever they are."""

from __future__ import annotations

import socket
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.wallet.carriers.screen import photograph
from wallet.carriers import FileCarrier, MemoryCarrier, frames, images, qr, text
from wallet.carriers.socket import SocketCarrier

MESSAGES = st.one_of(
    st.binary(max_size=400),
    st.binary(min_size=1, max_size=40).map(lambda piece: piece * 100),
    st.integers(0, 2**32).map(lambda n: b"".join(zlib.crc32(bytes([i]), n).to_bytes(4, "big") for i in range(250))),
)


def by_memory(message: bytes) -> bytes:
    carrier = MemoryCarrier()
    carrier.send(message)
    return carrier.receive()


def by_file(message: bytes) -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        carrier = FileCarrier(Path(folder) / "payload")
        carrier.send(message)
        return carrier.receive()


def by_clipboard(message: bytes) -> bytes:
    return text.from_clipboard(text.to_clipboard(message))


def by_frames(message: bytes) -> bytes:
    collector = frames.Collector()
    for code in frames.split(message, 80):
        collector.add(code)
    return collector.message()


def by_png(message: bytes) -> bytes:
    return images.read_message([qr.png(qr.encode(message))]).message


def by_animated_png(message: bytes) -> bytes:
    return images.read_message([qr.png(qr.encode(message, 7))]).message


def by_terminal(message: bytes) -> bytes:
    return images.read_message(photograph(qr.terminal(code)) for code in qr.encode(message, 10)).message


def by_socket(message: bytes) -> bytes:
    ours, theirs = socket.socketpair()
    with SocketCarrier(ours, 10) as here, SocketCarrier(theirs, 10) as there:
        sending = Thread(target=here.send, args=(message,))
        sending.start()
        try:
            return there.receive()
        finally:
            sending.join()


CARRIERS = (by_memory, by_file, by_clipboard, by_frames, by_png, by_animated_png, by_terminal, by_socket)


@pytest.mark.parametrize("carried", CARRIERS, ids=lambda carried: carried.__name__)
@given(message=MESSAGES)
def test_the_same_bytes(carried: Callable[[bytes], bytes], message: bytes) -> None:
    assert carried(message) == message


@pytest.mark.parametrize("carried", [by_memory, by_file, by_clipboard, by_socket], ids=lambda carried: carried.__name__)
def test_the_longest_payload(carried: Callable[[bytes], bytes]) -> None:
    message = longest()
    assert carried(message) == message


def longest() -> bytes:
    """Bytes that do not pack any smaller, and fill a payload text to the last few letters."""
    noise = b"".join(zlib.crc32(n.to_bytes(4, "big"), 7).to_bytes(4, "big") for n in range(9_000))
    return noise + bytes(200_000)
