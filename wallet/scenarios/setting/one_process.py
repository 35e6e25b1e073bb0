"""A scenario in this process: quick, and easy to look into."""

from __future__ import annotations

from collections.abc import Callable

from cbdc.errors import Unreachable
from cbdc.log.receipts import Receipt
from cbdc.service.ledger import Ledger, LedgerDied
from cbdc.service.queries import Queries
from cbdc.store.sqlite import SqliteStore
from wallet.element import ElementMaker
from wallet.port import LedgerPort, LocalPort, Switch
from wallet.scenarios.chance import SeededRandom
from wallet.scenarios.setting.interface import Founding
from wallet.scenarios.wallets import LocalWallet
from wallet.scenarios.wallets.elements import SeededElements


class CrashPoint:
    """Lets the ledger die once at a named place."""

    def __init__(self) -> None:
        self.armed: str | None = None

    def before_commit(self) -> None:
        self._maybe_die("before_commit")

    def after_commit(self) -> None:
        self._maybe_die("after_commit")

    def die(self) -> None:
        """Raises LedgerDied."""
        raise LedgerDied

    def _maybe_die(self, here: str) -> None:
        if self.armed == here:
            self.armed = None
            self.die()


class OneProcess:
    """Ledger and wallets here, the wallets' elements too unless told else."""

    def __init__(self, founding: Founding, element: ElementMaker | None = None) -> None:
        self._founding = founding
        self._element = element
        self._crash_point = CrashPoint()
        self._wallets: list[LocalWallet] = []
        self._switches: dict[str, Switch] = {}
        self.restarts = 0
        self.rests = 0
        self.ledger: Ledger
        self._start(SqliteStore.create(founding.ledger_path))

    def _start(self, store: SqliteStore) -> None:
        identity, clock = self._founding.identity, self._founding.clock
        self.ledger = Ledger(store, identity, clock=clock, faults=self._crash_point)
        store = SqliteStore.read(self._founding.ledger_path)
        self._queries = Queries(store, identity, clock, self.ledger.horizon)

    @property
    def queries(self) -> Queries:
        return self._queries

    @property
    def port(self) -> LedgerPort:
        return _RetryingPort(self)

    def restart(self) -> None:
        """Open the ledger again after it died."""
        self.ledger.close()
        self._queries.close()
        self.restarts += 1
        self._start(SqliteStore.open(self._founding.ledger_path))

    def set_time(self, now_s: int) -> None:
        self._founding.clock.now_s = now_s

    def crash_next(self, at: str) -> None:
        self._crash_point.armed = at

    def create_wallet(self, name: str, chance: str, clock: Callable[[], int]) -> LocalWallet:
        directory, network = self._founding.wallet_directory(name), self._founding.identity.network
        random, port = SeededRandom(self._founding.seed, chance), self._switch(name).port
        wallet = LocalWallet.create(directory, network, clock, port, self._elements, random)
        self._wallets.append(wallet)
        return wallet

    def open_wallet(self, name: str, chance: str, clock: Callable[[], int]) -> LocalWallet:
        random, port = SeededRandom(self._founding.seed, chance), self._switch(name).port
        wallet = LocalWallet.open(self._founding.wallet_directory(name), clock, port, self._elements, random)
        self._wallets.append(wallet)
        return wallet

    def _elements(self, random: SeededRandom) -> ElementMaker:
        return self._element or SeededElements(random)

    def _switch(self, name: str) -> Switch:
        return self._switches.setdefault(name, Switch(lambda: self.port))

    def connect(self, name: str) -> None:
        self._switch(name).is_connected = True

    def cut(self, name: str) -> None:
        self._switch(name).is_connected = False

    def rest(self) -> None:
        """The ledger is here and stays."""

    def close(self) -> None:
        for wallet in self._wallets:
            wallet.close()
        self.ledger.close()
        self._queries.close()


class _RetryingPort(LocalPort):
    """Hands the same bytes in again after the ledger has died and was started anew."""

    def __init__(self, setting: OneProcess) -> None:
        super().__init__(setting.ledger, setting.queries)
        self._setting = setting

    def submit(self, message: bytes) -> Receipt:
        try:
            return self._setting.ledger.submit(message).result()
        except Unreachable:
            self._setting.restart()
            super().__init__(self._setting.ledger, self._setting.queries)
            return self._setting.ledger.submit(message).result()
