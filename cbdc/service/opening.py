"""A ledger that is there already, opened by its operator to be served."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path

from cbdc.errors import LedgerCorrupt, RoleRefused, TengeError
from cbdc.formats.ed25519 import SigningKey
from cbdc.limits import MAX_DUE_PAGES, MAX_SWEEP
from cbdc.log import entries
from cbdc.messages.bodies import Genesis
from cbdc.messages.message import decode
from cbdc.service.due import Stage
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.queries import Queries
from cbdc.service.server import LedgerServer
from cbdc.service.sweeping import enter_sweeps
from cbdc.store.sqlite import SqliteStore


class ServedLedger:
    """A running ledger, what is read from it, and who answers for it on sockets. Close it, or use it as a context."""

    def __init__(self, path: Path, network: bytes, operator: SigningKey, clock: Callable[[], int]) -> None:
        """Open it.

        Raises:
            LedgerBusy: another process writes it. LedgerCorrupt: no ledger of this network. RoleRefused: the key is
            not its operator's.
        """
        store = SqliteStore.open(path)
        try:
            self.identity = identity_of(store, network, operator)
            self.ledger = Ledger(store, self.identity, clock=clock)
        except BaseException:
            store.close()
            raise
        self.queries = Queries(SqliteStore.read(path), self.identity, clock, self.ledger.horizon)
        self._server = LedgerServer(self.ledger, self.queries)
        self._places: dict[Stage, bytes] = {}

    def __enter__(self) -> ServedLedger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def listen(self, path: Path) -> None:
        """Answer there from now on. Raises Unreachable: somebody does already, or no socket can be made there."""
        self._server.listen(path)

    def sweep(self) -> int:
        """Move what has fallen due by ledger time, as anybody may: final offline money, expired marks. How much it was.

        What takes long to look through is looked through by several calls, each where the one before it ended.

        Raises:
            TengeError: the ledger has stopped.
        """
        now_s = self.queries.ledger_time_s()
        return sum(self._sweep(stage, now_s) for stage in Stage)

    def due_by_time(self, now_s: int) -> int:
        """How many tokens a sweep would move because their time has come: `MAX_SWEEP` means so many or more, and only
        the first pages are looked through."""
        count = 0
        for stage in (Stage.DEADLINES, Stage.MARKED):
            after = b""
            for _ in range(MAX_DUE_PAGES):
                found, after = self.queries.due_page(stage, now_s, after)
                count += len(found)
                if not after or count >= MAX_SWEEP:
                    break
        return min(count, MAX_SWEEP)

    def _sweep(self, stage: Stage, now_s: int) -> int:
        """Go on where the last sweep ended, once round at most: each page that moves nothing is one of few."""
        swept = idle_pages = 0
        while idle_pages < MAX_DUE_PAGES:
            page = self.queries.due_page(stage, now_s, self._places.get(stage, b""))
            self._places[stage] = page.after
            names = list(dict.fromkeys(name for _, name in page.found))
            moved = enter_sweeps(names, self.identity.network, lambda raw: self.ledger.submit(raw).result())
            swept += moved
            idle_pages += not moved
            if not page.after:
                break
        return swept

    def close(self) -> None:
        """Answer nobody any more, finish what was taken in, let go of the files."""
        self._server.close()
        self.ledger.close()
        self.queries.close()


def identity_of(store: SqliteStore, network: bytes, operator: SigningKey) -> Identity:
    """Who a ledger is, by its own genesis.

    Raises:
        LedgerCorrupt: it has none, or one by another root than the pinned one. RoleRefused: this is not its operator's
        key.
    """
    try:
        data = store.entry(0)
        body = None if data is None else decode(entries.decode(data)[1], network).body
    except (TengeError, sqlite3.DatabaseError) as error:
        raise LedgerCorrupt("the first entry cannot be read", where="entry 0", reason=str(error)) from None
    if not isinstance(body, Genesis) or body.root.key != network:
        raise LedgerCorrupt("the ledger has no genesis by the pinned root", where="entry 0")
    if body.operator.key != operator.public:
        raise RoleRefused("this is not the operator's key", found=operator.public, wanted=body.operator.key)
    return Identity(network, body.name, operator)
