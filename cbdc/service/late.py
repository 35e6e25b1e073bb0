"""Late evidence in the ledger's keeping: which of it is kept, and the auditor's check of what is.

The writer keeps it in tables beside the log, in the same transaction as the group that brought it, before anybody is
answered (docs/adr/0018-late-evidence.md).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

from cbdc.errors import LedgerCorrupt
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import HASH_BYTES
from cbdc.limits import MAX_LATE_BEHIND, MAX_LATE_SPENDS
from cbdc.log.late import LateHead
from cbdc.messages.message import decode, verify
from cbdc.state.records import OfflineToken
from cbdc.state.view import View
from cbdc.store.base import LateBatch, LateRow
from cbdc.store.late import LateTable
from cbdc.transition.late import LatePayment, judge_late


class Bounds:
    """How many late payments are kept. ``count`` and ``has`` say what is stored; what is let in since adds to it."""

    def __init__(self, count: Callable[[bytes], int], has: Callable[[bytes], bool]) -> None:
        self._count = count
        self._has = has
        self._let_in: set[bytes] = set()
        self._counts: dict[bytes, int] = {}

    def let_in(self, late: LatePayment) -> tuple[bytes, ...]:
        """What a payment is to be found by, or nothing if it is not kept.

        It is kept once; if one of the outputs that it spends has fewer than `MAX_LATE_SPENDS`; if those that made what
        the state does not know are kept, so that it can be checked; and if it spends nothing else with room, only up
        to `MAX_LATE_BEHIND` of its payer.
        """
        if self._is_in(late.id) or not all(self._is_in(name[:HASH_BYTES]) for name in late.unknown):
            return ()
        known, unknown = self._with_room(late.known), self._with_room(late.unknown)
        if not known and (not unknown or self._kept(late.payer) >= MAX_LATE_BEHIND):
            return ()
        things = (*known, *unknown) if known else (*unknown, late.payer)
        self._let_in.add(late.id)
        for thing in things:
            self._counts[thing] = self._kept(thing) + 1
        return things

    def _with_room(self, names: Sequence[bytes]) -> tuple[bytes, ...]:
        return tuple(name for name in names if self._kept(name) < MAX_LATE_SPENDS)

    def _is_in(self, payment_id: bytes) -> bool:
        return payment_id in self._let_in or self._has(payment_id)

    def _kept(self, thing: bytes) -> int:
        if thing not in self._counts:
            self._counts[thing] = self._count(thing)
        return self._counts[thing]


class Keeper:
    """The writer's hand on the late evidence: numbers what is to be kept and signs the head."""

    def __init__(self, table: LateTable, operator: SigningKey, network: bytes) -> None:
        self._table = table
        self._operator = operator
        self._network = network
        self._head = self._next = _opened(table, operator.public, network)

    def choose(self, shown: Sequence[tuple[int, LatePayment]]) -> LateBatch | None:
        """What of the late payments that a group showed, each with the log's size then, is to be committed."""
        bounds = Bounds(self._table.count, self._table.__contains__)
        rows, things, head = [], [], self._head
        for size, late in shown:
            found_by = bounds.let_in(late)
            if found_by:
                things += [(thing, head.count) for thing in found_by]
                rows.append(LateRow(head.count, late.id, size, late.time_s, late.raw))
                head = head.after(size, late.time_s, late.raw)
        self._next = head
        return LateBatch(rows, things, head.sign(self._operator, self._network)) if rows else None

    def committed(self) -> None:
        """What was chosen last is durable."""
        self._head = self._next


def _opened(table: LateTable, operator_key: bytes, network: bytes) -> LateHead:
    """The stored head, which must be the operator's and of as many payments as there are."""
    stored = table.head()
    head = LateHead() if stored is None else LateHead.verify(stored, network, operator_key)
    if head.count != len(table):
        raise LedgerCorrupt("late payments were added or taken away", where="late", found=len(table), wanted=head.count)
    return head


class LateAudit:
    """Follows the kept late payments along a replay of the log, and judges each on the state it was shown to."""

    def __init__(self, table: LateTable, network: bytes) -> None:
        self._table = table
        self._network = network
        self._rows = table.rows()
        self._next = next(self._rows, None)
        self._bounds = Bounds(lambda _: 0, lambda _: False)
        self._head = LateHead()
        self._made: dict[bytes, OfflineToken] = {}
        self._things: set[tuple[bytes, int]] = set()

    def due(self, size: int) -> Iterator[LateRow]:
        """The rows that were shown when the log had this many entries; one whose place is no number is due at once."""
        while (row := self._next) is not None and not (type(row.size) is int and row.size > size):
            self._next = next(self._rows, None)
            yield row

    def check(self, row: LateRow, size: int, view: View) -> None:
        """The payment is genuine, late and within bounds on this state, and stands where it belongs.

        Raises:
            LedgerCorrupt: it does not. Any other TengeError: what is wrong with the payment.
        """
        if row.seq != self._head.count or row.size != size:
            raise LedgerCorrupt("a late payment is missing or out of its place")
        message = verify(decode(row.payment, self._network))
        if message.id != row.id:
            raise LedgerCorrupt("a late payment under another id", found=message.id)
        if row.time_s < view.ledger_time_s:
            raise LedgerCorrupt("a late payment from before the log's last entry", found=row.time_s)
        late, outputs = judge_late(view, message, row.payment, row.time_s, self._made)
        things = self._bounds.let_in(late)
        if not things:
            raise LedgerCorrupt("a late payment beyond what is kept")
        self._made |= outputs
        self._things |= {(thing, row.seq) for thing in things}
        self._head = self._head.after(size, row.time_s, row.payment)

    def check_rest(self) -> None:
        """After the last entry: no payment is left over, and the look-up rows are what follows from the payments.

        Raises:
            LedgerCorrupt: one is, or they are not; ``where`` names the row.
        """
        if self._next is not None:
            raise LedgerCorrupt("a late payment from beyond the log's end", where=f"late row {self._next.seq}")
        wrong = self._things.symmetric_difference(self._table.things())
        if wrong:
            thing, seq = next(iter(wrong))
            name = thing.hex() if isinstance(thing, bytes) else repr(thing)
            raise LedgerCorrupt("a look-up row of a late payment differs", where=f"late_things row {name}/{seq}")

    def check_head(self, operator_key: bytes) -> int:
        """After the last entry: the operator signed for these payments and no others. How many they are.

        Raises:
            LedgerCorrupt, FormError, BadSignature: it did not.
        """
        stored = self._table.head()
        head = LateHead() if stored is None else LateHead.verify(stored, self._network, operator_key)
        if head != self._head:
            raise LedgerCorrupt("the late payments are not those that the operator signed for")
        return head.count
