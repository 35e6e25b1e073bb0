"""A secure element as a process of its own: ``python -m wallet.element.server FILE``, started by the wallet.

Its standard input is one end of a socket pair; the wallet has the other, and nobody else can reach it. It answers one
request at a time and ends with the stream. What is no request of ours gets a typed error, and the next is read.
"""

from __future__ import annotations

import os
import resource
import socket
import sqlite3
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cbdc.errors import RoleRefused, TengeError, Unreachable
from cbdc.formats import cbor
from cbdc.formats.cose import Signature
from cbdc.limits import MAX_ELEMENT_FRAME_BYTES
from cbdc.service.stream import answer_all, serve_parent
from wallet.element.core import SimulatedElement
from wallet.element.wire import BEFORE_OPEN, answer, read_request, refusal
from wallet.vault import KdfCost


class Session:
    """One wallet's talk with the element in a file: locked until `create` or `open` gets the PIN."""

    def __init__(self, path: Path, random: Callable[[int], bytes] = os.urandom) -> None:
        self._path = path
        self._random = random
        self._element: SimulatedElement | None = None

    def handle(self, body: bytes) -> bytes:
        """The answer to a request, of which anything may be wrong."""
        try:
            name, arguments = read_request(body)
            return answer(self._do(name, arguments))
        except TengeError as error:
            return refusal(error)
        except sqlite3.Error as error:
            return refusal(Unreachable("the element's storage does not answer", reason=type(error).__name__))

    def _do(self, name: str, arguments: tuple[Any, ...]) -> cbor.Value:
        if name in BEFORE_OPEN:
            return self._open(name, *arguments)
        if self._element is None:
            raise RoleRefused("the element is locked: its PIN comes first")
        value = getattr(self._element, name)(*arguments)
        return value.value if isinstance(value, Signature) else value

    def _open(self, name: str, pin: str, network: bytes = b"", cost: tuple[int, int, int] | None = None) -> bytes:
        if self._element is not None:
            raise RoleRefused("the element is open")
        if name == "create":
            chosen = None if cost is None else KdfCost(*cost)
            self._element = SimulatedElement.create(self._path, pin, network, cost=chosen, random=self._random)
        else:
            self._element = SimulatedElement.open(self._path, pin)
        return self._element.public_key

    def close(self) -> None:
        """Let go of the storage."""
        if self._element is not None:
            self._element.close()


def serve(channel: socket.socket, session: Session) -> None:
    """Answer until the wallet hangs up."""
    answer_all(channel, session.handle, MAX_ELEMENT_FRAME_BYTES)


def run(session: Session) -> int:
    """Serve the wallet at the other end of standard input; the exit status."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))  # a core dump would hold the key
    return serve_parent(session, MAX_ELEMENT_FRAME_BYTES)


if __name__ == "__main__":
    sys.exit(run(Session(Path(sys.argv[1]))))
