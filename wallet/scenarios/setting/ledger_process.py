"""A scenario's ledger as a process of its own: ``python -m wallet.scenarios.setting.ledger_process``.

The scenario tells it the time, at which paths to answer, and when to die; wallets and institutions reach it through
those paths only, as they would a real one.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import Any, Final, NoReturn

from cbdc.errors import TengeError
from cbdc.formats.calls import Calls, answer, read_request, refusal
from cbdc.formats.ed25519 import SigningKey
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.queries import Queries
from cbdc.service.server import LedgerServer
from cbdc.service.stream import serve_parent
from cbdc.store.sqlite import SqliteStore
from wallet.scenarios.chance import ManualClock, SeededRandom
from wallet.scenarios.setting.one_process import CrashPoint

FRAME_BYTES: Final = 1 << 16


def _same(value: Any) -> Any:
    return value


CALLS: Final[Calls] = {
    "start": (_same, _same, _same, _same, _same, _same),
    "set_time": (_same,),
    "crash_next": (_same,),
    "listen": (Path,),
    "hang_up": (Path,),
}
"""``start`` takes the store's path, whether it is new, the scenario's seed, network, network's name and time."""

OPERATOR_CHANCE: Final = "operator"


class SuddenDeath(CrashPoint):
    """Ends the process as a power cut would: nothing is closed, nothing is said."""

    def die(self) -> NoReturn:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("a killed process goes on")


class LedgerSession:
    """The scenario's talk with its ledger."""

    def __init__(self) -> None:
        self._clock = ManualClock(0)
        self._crash_point = SuddenDeath()
        self._ledger: Ledger
        self._queries: Queries
        self._server: LedgerServer

    def handle(self, body: bytes) -> bytes:
        """The answer to a request."""
        try:
            name, arguments = read_request(body, CALLS, FRAME_BYTES)
            getattr(self, name)(*arguments)
            return answer(None)
        except TengeError as error:
            return refusal(error)

    def start(self, path: str, is_new: bool, seed: int, network: bytes, name: str, now_s: int) -> None:
        self._clock.now_s = now_s
        identity = Identity(network, name, SigningKey(SeededRandom(seed, OPERATOR_CHANCE)(32)))
        store = SqliteStore.create(Path(path)) if is_new else SqliteStore.open(Path(path))
        self._ledger = Ledger(store, identity, clock=self._clock, faults=self._crash_point)
        self._queries = Queries(SqliteStore.read(Path(path)), identity, self._clock, self._ledger.horizon)
        self._server = LedgerServer(self._ledger, self._queries)

    def set_time(self, now_s: int) -> None:
        self._clock.now_s = now_s

    def crash_next(self, at: str) -> None:
        self._crash_point.armed = at

    def listen(self, path: Path) -> None:
        self._server.listen(path)

    def hang_up(self, path: Path) -> None:
        self._server.hang_up(path)

    def close(self) -> None:
        """Answer nobody any more, finish what was taken in, let go of the files."""
        if hasattr(self, "_server"):
            self._server.close()
            self._ledger.close()
            self._queries.close()


if __name__ == "__main__":
    sys.exit(serve_parent(LedgerSession(), FRAME_BYTES))
