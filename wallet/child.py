"""A process that this one started and talks to over a socket pair that nobody else can reach, one request at a time."""

from __future__ import annotations

import socket
import subprocess
import sys
import threading

from cbdc.errors import FormError, Unreachable
from cbdc.service.stream import receive_frame, send_frame

_INTERRUPTED_S = 5
"""How long a process may take to finish what it is at when its parent is told to end: less than a person waits."""


class ChildProcess:
    """One module of ours, run by this interpreter; its standard input is its end of the pair."""

    def __init__(self, what: str, module: str, arguments: tuple[str, ...], *, answer_s: float, max_bytes: int) -> None:
        """Start it.

        ``what`` it is, for errors; ``answer_s`` seconds to wait for an answer of at most ``max_bytes``.

        Raises:
            Unreachable: it does not start.
        """
        self._what = what
        self._answer_s = answer_s
        self._max_bytes = max_bytes
        self._turn = threading.Lock()
        self._channel, theirs = socket.socketpair()
        self._channel.settimeout(answer_s)
        try:
            self._process = _start(module, arguments, theirs)
        except OSError as error:
            self._channel.close()
            raise Unreachable(f"{what} does not start", reason=type(error).__name__) from None
        finally:
            theirs.close()

    @property
    def process_id(self) -> int:
        """The operating system's number of the process."""
        return int(self._process.pid)

    @property
    def is_alive(self) -> bool:
        return self._process.poll() is None

    def exchange(self, body: bytes) -> bytes:
        """One request and its answer. A process that does not answer is ended.

        Raises:
            Unreachable: it does not answer.
        """
        with self._turn:
            try:
                send_frame(self._channel, body)
                reply = receive_frame(self._channel, self._max_bytes)
                if reply is None:
                    raise ConnectionResetError
            except (OSError, FormError) as error:
                self.give_up()
                raise Unreachable(f"{self._what} does not answer", reason=type(error).__name__) from None
            except BaseException:  # an answer that nobody waited for must not be taken for the next one's
                self.close(_INTERRUPTED_S)
                raise
            return reply

    def wait(self) -> None:
        """Wait until the process has ended by itself."""
        self._process.wait()

    def close(self, patience_s: float | None = None) -> None:
        """Hang up and wait until the process has let go of its files, and so have those that it started."""
        self._channel.close()
        try:
            self._process.wait(self._answer_s if patience_s is None else patience_s)
        except BaseException as error:
            self._process.kill()
            self._process.wait()
            if not isinstance(error, subprocess.TimeoutExpired):
                raise

    def give_up(self) -> None:
        """End the process where it stands."""
        self._process.kill()
        self.close()


def _start(module: str, arguments: tuple[str, ...], theirs: socket.socket) -> subprocess.Popen[bytes]:
    # -P: no module in the current directory stands in for one of ours. A session of its own: Ctrl-C in the terminal is
    # meant for the parent, and the child ends when the parent hangs up. What it would print could only betray it.
    return subprocess.Popen(  # noqa: S603 - this interpreter, a module of ours, its arguments
        [sys.executable, "-P", "-m", module, *arguments],
        stdin=theirs.fileno(),
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
