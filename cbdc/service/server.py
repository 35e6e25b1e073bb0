"""A ledger for other processes of this machine: the calls of `wire` over Unix sockets, a thread for each connection.

Who is at the other end is nobody's concern: what moves money is signed, and what is read is what the ledger shows
to everybody. Asking twice is harmless: the same message gets the same receipt.
"""

from __future__ import annotations

import logging
import socket
import socketserver
import sqlite3
import threading
from pathlib import Path
from typing import Any, Final

from cbdc.errors import Overloaded, TengeError, TooLarge, Unreachable
from cbdc.formats import cbor
from cbdc.formats.calls import answer, read_request, refusal
from cbdc.limits import IDLE_CONNECTION_S, MAX_CONNECTIONS, MAX_LEDGER_ANSWER_BYTES, MAX_LEDGER_REQUEST_BYTES
from cbdc.service.ledger import Ledger
from cbdc.service.queries import Queries
from cbdc.service.stream import answer_all, receive_frame, send_frame
from cbdc.service.wire import ARGUMENTS, LEDGER_CALLS

log = logging.getLogger(__name__)

_TURNED_AWAY_S: Final = 2
"""How long somebody for whom there is no place may take to ask, in all: he asks as soon as he is connected."""

_TURNED_AWAY_AT_ONCE: Final = 16
"""To how many it is said at a time that there is no place. Whoever comes on top is hung up on: that needs no thread."""


class Desk:
    """Answers one request at a time, from as many threads as there are."""

    def __init__(self, ledger: Ledger, queries: Queries) -> None:
        self._ledger = ledger
        self._queries = queries

    def handle(self, body: bytes) -> bytes:
        """The answer to a request, of which anything may be wrong."""
        try:
            name, arguments = read_request(body, ARGUMENTS, MAX_LEDGER_REQUEST_BYTES)
            reply = answer(self._do(name, arguments))
        except TengeError as error:
            return refusal(error)
        except sqlite3.Error as error:
            return refusal(Unreachable("the ledger's storage does not answer", reason=type(error).__name__))
        if len(reply) > MAX_LEDGER_ANSWER_BYTES:
            return refusal(TooLarge("the answer is too long", found=len(reply), limit=MAX_LEDGER_ANSWER_BYTES))
        return reply

    def _do(self, name: str, arguments: tuple[Any, ...]) -> cbor.Value:
        if name == "identity":
            result: Any = (self._ledger.identity.network, self._ledger.identity.origin)
        elif name == "submit":
            result = self._ledger.submit(*arguments).result()
        else:
            result = getattr(self._queries, name)(*arguments)
        return LEDGER_CALLS[name].to_cbor(result)


class _Places:
    """For those who are answered and those who are told that they are not: together they bound the threads."""

    def __init__(self) -> None:
        self.to_stay = threading.BoundedSemaphore(MAX_CONNECTIONS)
        self.to_be_told = threading.BoundedSemaphore(_TURNED_AWAY_AT_ONCE)


class LedgerServer:
    """Listens on Unix sockets that are their owner's only, and answers whoever connects."""

    def __init__(self, ledger: Ledger, queries: Queries) -> None:
        self._desk = Desk(ledger, queries)
        self._places = _Places()
        self._listeners: dict[Path, _Listener] = {}

    def listen(self, path: Path) -> None:
        """Answer on this path from now on.

        Raises:
            Unreachable: somebody answers there already, or no socket can be made there.
        """
        if path.is_socket() and not _is_served(path):
            path.unlink()  # left behind by a ledger that was killed
        try:
            listener = _Listener(path, self._desk, self._places)
        except OSError as error:
            raise Unreachable("cannot listen there", path=path, reason=type(error).__name__) from None
        self._listeners[path] = listener
        threading.Thread(target=listener.serve_forever, args=(0.05,), name="listener", daemon=True).start()

    def hang_up(self, path: Path) -> None:
        """Stop answering there: the path goes, and every connection that was made through it."""
        listener = self._listeners.pop(path, None)
        if listener is not None:
            listener.hang_up()

    def close(self) -> None:
        """Stop answering everywhere; a call that is being answered is finished by the ledger all the same."""
        for path in list(self._listeners):
            self.hang_up(path)


class _Listener(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False
    request_queue_size = 64

    def __init__(self, path: Path, desk: Desk, places: _Places) -> None:
        self.desk = desk
        self.places = places
        self._path = path
        self._open: set[socket.socket] = set()
        self._gate = threading.Lock()
        self._is_closing = False
        super().__init__(str(path), _Connection)

    def server_bind(self) -> None:
        super().server_bind()
        self._path.chmod(0o600)  # before listen(): until then nobody can connect

    def enter(self, connection: socket.socket) -> bool:
        """Whether a new connection may stay."""
        with self._gate:
            if not self._is_closing:
                self._open.add(connection)
            return not self._is_closing

    def leave(self, connection: socket.socket) -> None:
        with self._gate:
            self._open.discard(connection)

    def hang_up(self) -> None:
        self._path.unlink(missing_ok=True)
        self.shutdown()
        self.server_close()
        with self._gate:
            self._is_closing = True
            for connection in self._open:
                connection.shutdown(socket.SHUT_RDWR)

    def handle_error(self, request: object, client_address: object) -> None:  # noqa: ARG002 - the base class's form
        log.exception("a connection ended in an error")


class _Connection(socketserver.BaseRequestHandler):
    server: _Listener

    def handle(self) -> None:
        channel: socket.socket = self.request
        if not self.server.enter(channel):
            return
        try:
            channel.settimeout(IDLE_CONNECTION_S)
            places = self.server.places
            if places.to_stay.acquire(blocking=False):
                try:
                    answer_all(channel, self.server.desk.handle, MAX_LEDGER_REQUEST_BYTES)
                finally:
                    places.to_stay.release()
            elif places.to_be_told.acquire(blocking=False):
                try:
                    _turn_away(channel)
                finally:
                    places.to_be_told.release()
        except OSError as error:  # the wallet went away or fell silent; what it had submitted is decided all the same
            log.info("a connection broke: %s", type(error).__name__)
        finally:
            self.server.leave(channel)


def _turn_away(channel: socket.socket) -> None:
    """Say to whoever asks something at once that there is no place."""
    if receive_frame(channel, MAX_LEDGER_REQUEST_BYTES, within_s=_TURNED_AWAY_S) is not None:
        channel.settimeout(_TURNED_AWAY_S)  # the time for all of the answer
        send_frame(channel, refusal(Overloaded("too many connections, try again", limit=MAX_CONNECTIONS)))


def _is_served(path: Path) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        try:
            probe.connect(str(path))
        except OSError:
            return False
    return True
