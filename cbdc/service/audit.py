"""The auditor: re-executes the whole log from its bytes and compares what is stored with what must be.

Nothing is taken on trust: the only inputs are the log's bytes, the checkpoints and the pinned root key. The
state tables are compared with the outcome, row by row, index columns included.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, field

from cbdc.errors import LedgerCorrupt, TengeError
from cbdc.formats import x509
from cbdc.log import checkpoint, entries, merkle
from cbdc.messages.bodies import Genesis
from cbdc.messages.message import Verified, decode, verify
from cbdc.service.late import LateAudit
from cbdc.state.records import Enrolment, KeyHolder, OfflineToken, Participant, Supply, Table, Token
from cbdc.state.root import LatticeHash
from cbdc.state.view import EMPTY, Delta, Key, Overlay
from cbdc.store.base import index_columns
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.apply import Entry, apply
from cbdc.transition.draft import parsed_certificate, parsed_definition
from cbdc.transition.invariants import Books

Progress = Callable[[int, int], None]
"""Called with (entries done, entries in all)."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """What a successful audit established; ``late`` is the number of late payments kept beside the log."""

    entries: int
    checkpoints: int
    signatures: int
    log_root: bytes
    state_root: bytes
    operator: str
    late: int
    laws: dict[str, bool]


@dataclass(slots=True)
class _Replay:
    """The ledger as it follows from the log alone."""

    root_key: bytes
    view: Overlay = field(default_factory=lambda: Overlay(EMPTY))
    tree: merkle.Tree = field(default_factory=merkle.Tree)
    lattice: LatticeHash = field(default_factory=LatticeHash)
    books: Books = field(default_factory=Books)
    genesis: Genesis | None = None
    signatures: int = 0

    def follow(self, index: int, data: bytes, leaf: bytes) -> None:
        """Re-execute one entry."""
        if merkle.leaf_hash(data) != leaf:
            raise LedgerCorrupt("the leaf is not the hash of the entry")
        time_s, raw = entries.decode(data)
        message = decode(raw, self.root_key)
        self.signatures += len(message.checks)
        verified = verify(message)
        delta = self._apply(verified, time_s)
        self.books = self.books.follow(delta)
        self.lattice.update(delta.changes.items())
        self.view.add(delta, index, time_s)
        self.tree.append(leaf)

    def _apply(self, verified: Verified, time_s: int) -> Delta:
        delta = apply(self.view, Entry(time_s, verified))
        body = verified.body
        if isinstance(body, Genesis):
            if body.root.key != self.root_key:
                raise LedgerCorrupt("genesis is by another root than the pinned one", found=body.root.key)
            self.genesis = body
        return delta


def verify_ledger(store: SqliteStore, root_key: bytes, progress: Progress | None = None) -> Verdict:
    """Re-execute the log and compare every stored row with it.

    Raises:
        LedgerCorrupt: something differs; ``where`` names it.
    """
    try:
        store.check_file()
        replay, late = _Replay(root_key), LateAudit(store.late, root_key)
        covering = dict(store.checkpoints())
        total = store.size()
        for expected, (index, data, leaf) in enumerate(store.entries()):
            if index != expected:
                raise LedgerCorrupt("an entry is missing", where=f"entry {expected}")
            with _Naming(f"entry {index}"):
                replay.follow(index, data, leaf)
            note = covering.pop(index + 1, None)
            if note is not None:
                with _Naming(f"checkpoint {index + 1}"):
                    _check_checkpoint(replay, note)
            _follow_late(late, replay)
            if progress and (index % 64 == 0 or index + 1 == total):
                progress(index + 1, total)
        return _conclude(store, replay, late, covering)
    except (sqlite3.DatabaseError, UnicodeError) as error:
        raise LedgerCorrupt("the file cannot be read as a database", where="file", reason=str(error)) from None


class _Naming:
    """Turns any typed error inside into LedgerCorrupt that names the place."""

    def __init__(self, where: str) -> None:
        self._where = where

    def __enter__(self) -> None:
        return

    def __exit__(self, _kind: object, error: BaseException | None, _trace: object) -> None:
        if isinstance(error, TengeError):
            raise LedgerCorrupt(error.message, where=self._where, cause=error.code, **error.values) from error
        if isinstance(error, TypeError | ValueError | AttributeError):
            raise LedgerCorrupt("cannot be read", where=self._where, reason=type(error).__name__) from error


def _operator(replay: _Replay) -> x509.Institution:
    if replay.genesis is None:
        raise LedgerCorrupt("the log does not begin with a genesis", where="entry 0")
    return replay.genesis.operator


def _check_checkpoint(replay: _Replay, note: str) -> None:
    operator = _operator(replay)
    origin = checkpoint.origin_of(replay.genesis.name if replay.genesis else "")
    found = checkpoint.verify(note, origin, operator.key)
    if note.count("\n") != found.text().count("\n") + 2:
        raise LedgerCorrupt("the checkpoint has other signatures than the operator's one")
    if found.size != replay.tree.size or found.root != replay.tree.root():
        raise LedgerCorrupt("the checkpoint's root is not the log's", found=found.root)
    if found.state_root != replay.lattice.root():
        raise LedgerCorrupt("the checkpoint's state root is not the replay's", found=found.state_root)


def _follow_late(late: LateAudit, replay: _Replay) -> None:
    """The late payments that were shown when the log had got this far."""
    for row in late.due(replay.tree.size):
        with _Naming(f"late row {row.seq}"):
            late.check(row, replay.tree.size, replay.view)


def _conclude(store: SqliteStore, replay: _Replay, late: LateAudit, unused: dict[int, str]) -> Verdict:
    """The state tables, after the last entry."""
    if unused:
        raise LedgerCorrupt("a checkpoint covers no stored entry", where=f"checkpoint {min(unused)}")
    checkpoints = list(store.checkpoints())
    if not checkpoints or checkpoints[-1][0] != replay.tree.size:
        raise LedgerCorrupt("the last entries have no checkpoint", where=f"entry {replay.tree.size - 1}")
    _compare_state(store, replay)
    _compare_consumed(store, replay)
    if store.lattice_sum() != replay.lattice.to_bytes():
        raise LedgerCorrupt("the stored lattice sum is not the replay's", where="meta lattice_sum")
    if store.stored_ledger_time_s() != replay.view.ledger_time_s:
        raise LedgerCorrupt("the stored ledger time is not the replay's", where="meta ledger_time_s")
    late.check_rest()
    with _Naming("meta late_head"):
        kept = late.check_head(_operator(replay).key)
    return Verdict(
        entries=replay.tree.size,
        checkpoints=len(checkpoints),
        signatures=replay.signatures,
        log_root=replay.tree.root(),
        state_root=replay.lattice.root(),
        operator=_operator(replay).name,
        late=kept,
        laws=replay.books.laws(),
    )


def _compare_state(store: SqliteStore, replay: _Replay) -> None:
    expected = replay.view.records()
    for tbl, name, value, owner, purpose, due_s in store.rows():
        where = f"state row {tbl}/{name.hex() if isinstance(name, bytes) else name}"
        key = _key(tbl, name, where)
        wanted = expected.pop(key, None)
        if wanted is None:
            raise LedgerCorrupt("a state row that the log does not give", where=where)
        columns = index_columns(key, wanted)
        if wanted != value or (columns.owner, columns.purpose, columns.due_s) != (owner, purpose, due_s):
            raise LedgerCorrupt("a state row differs from the replay", where=where)
    if expected:
        table, name = next(iter(expected))
        raise LedgerCorrupt("a state row is missing", where=f"state row {int(table)}/{name.hex()}")


def _key(tbl: int, name: bytes, where: str) -> Key:
    try:
        return Table(tbl), name
    except ValueError:
        raise LedgerCorrupt("a state row of an unknown table", where=where) from None


def _compare_consumed(store: SqliteStore, replay: _Replay) -> None:
    expected = {
        (thing, consumed.message_id): consumed.entry_index
        for thing, all_consumed in replay.view.consumed().items()
        for consumed in all_consumed
    }
    for thing, message_id, index in store.consumed_rows():
        if expected.pop((thing, message_id), None) != index:
            raise LedgerCorrupt("a consumed row differs from the replay", where=f"consumed row {_hex(thing)}")
    if expected:
        raise LedgerCorrupt("a consumed row is missing", where=f"consumed row {next(iter(expected))[0].hex()}")


def _hex(value: object) -> str:
    return value.hex() if isinstance(value, bytes) else repr(value)


# --- supply ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class SupplyReport:
    """Where the money is, in tiyn: totals by pool, online by participant, marked by purpose.

    Marked money counts online and, as far as the ledger has heard, in purses.
    """

    supply: Supply
    live_offline_tiyn: int
    claims_tiyn: int
    online_by_participant: dict[str, int]
    marked_by_purpose: dict[str, int]


def report_supply(store: SqliteStore, root_key: bytes) -> SupplyReport:
    """Add up the money from the state; each wallet's tokens count under the bank that enrolled it."""
    books = Books.of(store.records())
    names = {Participant.decode(v).key: Participant.decode(v).name for _, v in store.records(Table.PARTICIPANT)}
    by_participant: dict[str, int] = {}
    by_purpose: dict[str, int] = {}
    for _, value in store.records(Table.TOKEN):
        token = Token.decode(value)
        name = names.get(token.owner) or _customers_of(store, token.owner, root_key)
        by_participant[name] = by_participant.get(name, 0) + token.amount_tiyn
        if token.purpose is not None:
            title = _title(store, token.purpose)
            by_purpose[title] = by_purpose.get(title, 0) + token.amount_tiyn
    for _, value in store.records(Table.OFFLINE):
        leaf = OfflineToken.decode(value)
        if leaf.purpose is not None and leaf.is_live:
            title = _title(store, leaf.purpose)
            by_purpose[title] = by_purpose.get(title, 0) + leaf.amount_tiyn
    return SupplyReport(
        books.supply,
        books.live_tiyn,
        books.claims_tiyn,
        dict(sorted(by_participant.items())),
        dict(sorted(by_purpose.items())),
    )


def _title(store: SqliteStore, purpose: bytes) -> str:
    definition = store.get((Table.PURPOSE, purpose))
    return parsed_definition(definition).name if definition else purpose.hex()


def _customers_of(store: SqliteStore, key: bytes, root_key: bytes) -> str:
    """The bank that enrolled a wallet key, as ``customers of NAME``; what is in escrow is nobody's yet."""
    if store.get((Table.WAITING, key)) is not None:
        return "payments that wait"
    holder = store.get((Table.HOLDER, key))
    enrolment = store.get((Table.CERTIFICATE, KeyHolder.decode(holder).reference)) if holder else None
    if enrolment is None:
        return "unknown"
    return f"customers of {parsed_certificate(Enrolment.decode(enrolment).raw, root_key).bank}"
