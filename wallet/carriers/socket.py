"""Sockets: two processes of one machine, over a Unix socket or TCP on the loopback address.

A message is its payload text behind its length in four bytes, big-endian: the same text as in a file or a code. The
link is not encrypted and says nothing about who is at the other end; the messages' signatures do. It therefore never
leaves the machine: TCP is bound to 127.0.0.1.
"""

from __future__ import annotations

import errno
import socket
import time
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Final, Self

from filelock import FileLock, Timeout

from cbdc.errors import Malformed, TooLarge, Unreachable
from cbdc.limits import MAX_CARRIER_TIMEOUT_S, MAX_PAYLOAD_TEXT_CHARS
from wallet.protocol import from_text, to_text

LENGTH_BYTES: Final = 4
LOOPBACK: Final = "127.0.0.1"
DEFAULT_TIMEOUT_S: Final = 30.0
_BETWEEN_TRIES_S: Final = 0.1

Address = Path | int
"""Where the other process listens: a Unix socket's path, or a TCP port of this machine."""


class SocketCarrier:
    """A connection, both directions. Each call has ``timeout_s`` seconds in all, however slowly bytes trickle in."""

    def __init__(self, connection: socket.socket, timeout_s: float = DEFAULT_TIMEOUT_S) -> None:
        self._connection = connection
        self._timeout_s = _checked(timeout_s)

    @classmethod
    def connect(cls, address: Address, timeout_s: float = DEFAULT_TIMEOUT_S) -> Self:
        """Reach a listening process.

        Raises:
            Unreachable: nobody listens there, or nobody answers in time. Malformed: no such time to wait.
        """
        _checked(timeout_s)
        connection = _new(address)
        try:
            connection.settimeout(timeout_s)
            connection.connect(_system_address(address))
        except OSError as error:
            connection.close()
            raise _unreachable("nobody listens there", error, address=address) from None
        return cls(connection, timeout_s)

    @classmethod
    def reach(cls, address: Address, timeout_s: float = DEFAULT_TIMEOUT_S) -> Self:
        """As `connect`, but for a process that may only be about to listen: tries until the time is over."""
        deadline_s = time.monotonic() + _checked(timeout_s)
        while True:
            try:
                return cls.connect(address, timeout_s)
            except Unreachable:
                if time.monotonic() + _BETWEEN_TRIES_S > deadline_s:
                    raise
                time.sleep(_BETWEEN_TRIES_S)

    def send(self, message: bytes) -> None:
        """Hand a message over: to the system's buffer, which is not yet to the other process.

        Raises:
            TooLarge: the other device would refuse it. Unreachable: the other end is gone or takes nothing.
        """
        text = to_text(message).encode("ascii")
        if len(text) > MAX_PAYLOAD_TEXT_CHARS:
            raise TooLarge("payload too long", found=len(text), limit=MAX_PAYLOAD_TEXT_CHARS)
        try:
            self._connection.settimeout(self._timeout_s)
            self._connection.sendall(len(text).to_bytes(LENGTH_BYTES, "big") + text)
        except OSError as error:
            raise _unreachable("the message did not get through", error) from None

    def receive(self) -> bytes:
        """The next message.

        Raises:
            Unreachable: the other end closed, also in the middle of a message, or was silent too long.
            TooLarge: a length above `MAX_PAYLOAD_TEXT_CHARS`, of which nothing more is read. Malformed: not a payload.
        """
        deadline_s = time.monotonic() + self._timeout_s
        length = int.from_bytes(self._exactly(LENGTH_BYTES, deadline_s), "big")
        if length > MAX_PAYLOAD_TEXT_CHARS:
            raise TooLarge("a message above the limit was announced", found=length, limit=MAX_PAYLOAD_TEXT_CHARS)
        try:
            return from_text(self._exactly(length, deadline_s).decode("ascii"))
        except UnicodeDecodeError:
            raise Malformed("not a payload") from None

    def close(self) -> None:
        """Close the connection; the other end sees it as `Unreachable`."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()

    def _exactly(self, wanted: int, deadline_s: float) -> bytes:
        data = bytearray()
        while len(data) < wanted:
            left_s = deadline_s - time.monotonic()
            if left_s <= 0:
                raise Unreachable("the other end was silent too long", found=len(data), wanted=wanted)
            try:
                self._connection.settimeout(left_s)
                part = self._connection.recv(wanted - len(data))
            except OSError as error:
                raise _unreachable("the link broke", error, found=len(data), wanted=wanted) from None
            if not part:
                raise Unreachable("the other end closed", found=len(data), wanted=wanted)
            data += part
        return bytes(data)


class Listener:
    """Waits for other processes. A Unix socket is its owner's only (mode 0600) and is removed at the end.

    While it listens on one it holds a lock beside it, so that the socket of a process that was killed can be told from
    one that is in use without connecting to it: a connection would be taken for the payer.
    """

    def __init__(self, address: Address) -> None:
        """Begin to listen; TCP port 0 takes a free one, see `address`.

        Raises:
            Unreachable: the address is taken or cannot be had.
        """
        self._path = address if isinstance(address, Path) else None
        self._lock = None if self._path is None else _taken_over(self._path)
        self._socket = _new(address)
        try:
            if self._path is None:  # a port that was just given back may be taken again
                self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            self._socket.bind(_system_address(address))
            if self._path is not None:
                self._path.chmod(0o600)  # before listen(): until then nobody can connect
            self._socket.listen(1)
        except OSError as error:
            self._socket.close()
            self._unlock()
            raise _unreachable("cannot listen there", error, address=address) from None

    @property
    def address(self) -> Address:
        """Where to connect to."""
        if self._path is not None:
            return self._path
        port: int = self._socket.getsockname()[1]
        return port

    def accept(self, timeout_s: float = DEFAULT_TIMEOUT_S) -> SocketCarrier:
        """The next process that connects.

        Raises:
            Unreachable: nobody came in time.
        """
        try:
            self._socket.settimeout(_checked(timeout_s))
            connection, _ = self._socket.accept()
        except OSError as error:
            raise _unreachable("nobody came", error) from None
        return SocketCarrier(connection, timeout_s)

    def close(self) -> None:
        """Stop listening."""
        self._socket.close()
        if self._path is not None:
            with suppress(FileNotFoundError):
                self._path.unlink()
        self._unlock()

    def _unlock(self) -> None:
        if self._lock is not None:
            self._lock.release()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self.close()


def _taken_over(path: Path) -> FileLock:
    """The lock of a listener's path; a socket that nobody answers on is removed. Raises Unreachable: it is in use."""
    lock = FileLock(f"{path}.lock", thread_local=False)
    try:
        path.parent.stat()  # the lock would make a directory that is not there
        lock.acquire(timeout=0)
    except Timeout:
        raise Unreachable("cannot listen there", address=path, reason="another process listens on this path") from None
    except OSError as error:
        raise _unreachable("cannot listen there", error, address=path) from None
    if path.is_socket() and not _answers(path):
        with suppress(FileNotFoundError):
            path.unlink()
    return lock


def _answers(path: Path) -> bool:
    """Whether a process without such a lock listens there: no seller of ours."""
    with _new(path) as probe:
        try:
            probe.settimeout(_BETWEEN_TRIES_S)
            probe.connect(str(path))
        except ConnectionRefusedError:
            return False
        except OSError:
            return True
    return True


def _new(address: Address) -> socket.socket:
    return socket.socket(socket.AF_UNIX if isinstance(address, Path) else socket.AF_INET, socket.SOCK_STREAM)


def _system_address(address: Address) -> str | tuple[str, int]:
    if isinstance(address, Path):
        return str(address)
    if not 0 <= address <= 0xFFFF:
        raise OSError(errno.EADDRNOTAVAIL, "no such port")
    return (LOOPBACK, address)


def _checked(timeout_s: float) -> float:
    if not 0 < timeout_s <= MAX_CARRIER_TIMEOUT_S:
        raise Malformed("no such time to wait", limit=MAX_CARRIER_TIMEOUT_S)
    return timeout_s


def _unreachable(message: str, error: OSError, **values: object) -> Unreachable:
    return Unreachable(message, reason=error.strerror or str(error) or type(error).__name__, **values)
