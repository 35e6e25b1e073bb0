"""A scenario with a process for each wallet, one for each secure element, and one for the ledger.

A wallet that is cut has no path to the ledger: its socket is gone. While all wallets are cut the ledger is stopped,
and is started for as long as an institution needs it. Messages between wallets are carried by the scenario.
"""

from __future__ import annotations

import logging
import shutil
import tempfile
import threading
import weakref
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any, Final

from cbdc.errors import TengeError, Unreachable
from cbdc.formats.calls import read_answer, request
from cbdc.log.receipts import Receipt
from cbdc.service.ledger import Identity
from cbdc.service.queries import Queries
from cbdc.store.sqlite import SqliteStore
from wallet.child import ChildProcess
from wallet.port import LedgerPort, QueriesPort
from wallet.remote import RemotePort
from wallet.scenarios.setting.interface import Founding
from wallet.scenarios.setting.ledger_process import FRAME_BYTES
from wallet.scenarios.wallets.process import WalletProcess
from wallet.scenarios.wallets.wire import ANSWER_S

log = logging.getLogger(__name__)

_STARTS: Final = 5
"""How often a ledger that dies while it is being started is tried: whoever kills it so often does it on purpose."""


class ManyProcesses:
    """Everybody in a process of their own."""

    def __init__(self, founding: Founding) -> None:
        self._founding = founding
        self._sockets = Path(tempfile.mkdtemp(prefix="tenge-"))  # a socket's path may have some 100 characters
        # whatever ends this process, but for SIGKILL: also what comes before anybody could close this setting
        self._remove_sockets = weakref.finalize(self, shutil.rmtree, self._sockets, ignore_errors=True)
        self._own = self._sockets / "institutions"
        self._paths: dict[str, Path] = {}
        self._wallets: dict[str, WalletProcess] = {}
        self._connected: set[str] = set()
        self._armed = ""
        self._gate = threading.RLock()
        self._ledger: ChildProcess | None = None
        self._ends = ExitStack()
        self.restarts = 0
        self.rests = 0
        try:
            self._open()
        except BaseException:
            self.close()
            raise

    def _open(self) -> None:
        founding = self._founding
        self._ends.callback(self._remove_sockets)
        founding.ledger_path.parent.mkdir(parents=True)
        self._ends.callback(self._stop)
        self._start()
        self._queries = Queries(SqliteStore.read(founding.ledger_path), founding.identity, founding.clock)
        self._ends.callback(self._queries.close)
        remote = RemotePort(self._own, founding.identity.network)
        self._port = _InstitutionsPort(self, founding.identity, remote)
        self._ends.callback(self._port.close)

    @property
    def queries(self) -> Queries:
        return self._queries

    @property
    def port(self) -> LedgerPort:
        return self._port

    # --- the ledger's process ------------------------------------------------------------------

    @property
    def ledger_process_id(self) -> int | None:
        """The operating system's number of the ledger's process; None while it is stopped."""
        with self._gate:
            return None if self._ledger is None else self._ledger.process_id

    def wake(self) -> None:
        """Start the ledger if it was stopped. Raises Unreachable: it dies whenever it is started."""
        with self._gate:
            if self._ledger is None:
                self._start()

    def _start(self) -> None:
        for _ in range(_STARTS):
            ledger = ChildProcess(
                "the ledger",
                "wallet.scenarios.setting.ledger_process",
                (),
                answer_s=ANSWER_S,
                max_bytes=FRAME_BYTES,
            )
            try:
                self._brief(ledger)
            except Unreachable:
                ledger.give_up()
                continue
            except BaseException:
                ledger.close()
                raise
            self._ledger = ledger
            threading.Thread(target=self._watch, args=(ledger,), name="ledger watch", daemon=True).start()
            return
        raise Unreachable("the ledger dies whenever it is started", tries=_STARTS)

    def _brief(self, ledger: ChildProcess) -> None:
        """Tell a new ledger all that it has to know. Raises Unreachable: it died over it."""
        founding = self._founding
        path, identity = founding.ledger_path.resolve(), founding.identity
        is_new = not path.exists()
        _tell(ledger, "start", str(path), is_new, founding.seed, identity.network, identity.name, founding.clock())
        _tell(ledger, "crash_next", self._armed)
        for listening in (self._own, *(self._paths[name] for name in sorted(self._connected))):
            _tell(ledger, "listen", str(listening))

    def _watch(self, ledger: ChildProcess) -> None:
        """Start the ledger again if it ends without having been told."""
        ledger.wait()
        with self._gate:
            if self._ledger is ledger:
                self._armed = ""
                try:
                    self._replace(ledger)
                except TengeError as error:  # whoever needs it next tries again, and hears it
                    log.warning("the ledger could not be started again: %s", error)

    def _replace(self, dead: ChildProcess) -> None:
        """Start another ledger in place of one that died."""
        self._ledger = None
        self.restarts += 1
        dead.give_up()
        self._start()

    def _stop(self) -> None:
        with self._gate:
            ledger, self._ledger = self._ledger, None
            if ledger is not None:
                ledger.close()

    def _tell(self, name: str, *arguments: Any) -> None:
        """Tell the ledger, if it runs. If it dies over it the next one is briefed with what is so by now."""
        with self._gate:
            ledger = self._ledger
            if ledger is not None:
                try:
                    _tell(ledger, name, *arguments)
                except Unreachable:
                    if name != "crash_next":
                        self._armed = ""  # as it may have died of that
                    self._replace(ledger)

    def set_time(self, now_s: int) -> None:
        self._founding.clock.now_s = now_s
        self._tell("set_time", now_s)

    def crash_next(self, at: str) -> None:
        self._armed = at
        self._tell("crash_next", at)

    def rest(self) -> None:
        if not self._connected and self._ledger is not None:
            self._stop()
            self.rests += 1

    # --- wallets -------------------------------------------------------------------------------

    def create_wallet(self, name: str, chance: str, clock: Callable[[], int]) -> WalletProcess:
        return self._start_wallet("create", name, chance, clock)

    def open_wallet(self, name: str, chance: str, clock: Callable[[], int]) -> WalletProcess:
        return self._start_wallet("open", name, chance, clock)

    def _start_wallet(self, how: str, name: str, chance: str, clock: Callable[[], int]) -> WalletProcess:
        founding, is_new = self._founding, name not in self._paths
        path = self._paths.setdefault(name, self._sockets / f"wallet-{len(self._paths)}")
        wallet = self._wallets[name] = WalletProcess(clock)
        self._ends.callback(wallet.close)
        directory, network = founding.wallet_directory(name), founding.identity.network
        wallet.start(how, directory, network, founding.seed, chance, path)
        if is_new or name in self._connected:
            self.connect(name)
        else:
            self.cut(name)
        return wallet

    def connect(self, name: str) -> None:
        with self._gate:
            self.wake()
            if name not in self._connected:
                self._connected.add(name)
                self._tell("listen", str(self._paths[name]))
        self._wallets[name].set_connected(is_connected=True)

    def cut(self, name: str) -> None:
        with self._gate:
            self._connected.discard(name)
            self._tell("hang_up", str(self._paths[name]))
        self._wallets[name].set_connected(is_connected=False)

    def close(self) -> None:
        """End everybody, wallets first, and remove the sockets; each of it whatever becomes of the rest, and once."""
        self._ends.close()


def _tell(ledger: ChildProcess, name: str, *arguments: Any) -> None:
    _, error = read_answer(ledger.exchange(request(name, *arguments)), FRAME_BYTES)
    if error is not None:
        raise error


class _InstitutionsPort(QueriesPort):
    """Reads the committed state; submits through the ledger's own socket, and waits for a ledger that died."""

    def __init__(self, setting: ManyProcesses, identity: Identity, remote: RemotePort) -> None:
        super().__init__(identity, setting.queries)
        self._setting = setting
        self._remote = remote

    def submit(self, message: bytes) -> Receipt:
        self._setting.wake()
        return self._remote.submit(message)

    def close(self) -> None:
        self._remote.close()
