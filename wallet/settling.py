"""What a wallet hands in at a sync, and what it then knows of every payment."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from graphlib import TopologicalSorter
from typing import Final

from cbdc.errors import (
    AncestryBroken,
    FileTrouble,
    InvariantViolation,
    LedgerBusy,
    LedgerCorrupt,
    Malformed,
    Replayed,
    TengeError,
    Unreachable,
    WrongNetwork,
)
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import outpoint
from cbdc.limits import MAX_EVIDENCE
from cbdc.messages.bodies import Reconcile, Transfer
from cbdc.messages.message import build, decode
from wallet.element import SecureElement
from wallet.history import HistoryItem, offline_items
from wallet.port import LedgerPort
from wallet.purposes import PurposeWallet
from wallet.purse import Event, Purse, Sent
from wallet.vault import Vault

UNDECIDED: Final = frozenset({AncestryBroken.code, Malformed.code})
"""Refusals that may pass: an ancestor that nobody has shown yet, a time that has not come."""

NO_DECISION: Final = frozenset(
    kind.code for kind in (InvariantViolation, LedgerBusy, LedgerCorrupt, FileTrouble, WrongNetwork, TengeError)
)
"""Errors of the machinery: a ledger in trouble has said nothing about a payment."""


def is_unsure(errors: Iterable[TengeError]) -> bool:
    """Whether one of these is no decision, so that nothing may be forgotten on their account."""
    return any(error.code in NO_DECISION for error in errors)


class SettlingWallet(PurposeWallet):
    """An online wallet with a purse beside it, and the evidence that goes from the purse to the ledger."""

    def __init__(
        self,
        vault: Vault,
        element: SecureElement,
        network: bytes,
        clock: Callable[[], int],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        super().__init__(vault, network, random)
        self.element = element
        self.purse = Purse(vault, element, network, clock, random)

    def retired_keys(self) -> list[bytes]:
        """Keys of this wallet's purses before the one in use: their debts and their last money are still its own."""
        return [key for key, _ in self.vault.items("retired")]

    def purse_keys(self) -> list[bytes]:
        """The key of the purse in use, then those before it."""
        return [self.element.public_key, *self.retired_keys()]

    def _purse_keys(self) -> set[bytes]:
        return set(self.purse_keys())

    def _offline_items(self) -> list[HistoryItem]:
        return offline_items(self.purse)

    # --- evidence ------------------------------------------------------------------------------

    def _reconcile(self, port: LedgerPort) -> tuple[int, tuple[tuple[bytes, TengeError], ...]]:
        """Hand in what the ledger may not have; how much, and what it refused with why."""
        evidence = self._evidence()
        names = list(evidence)
        errors: dict[bytes, TengeError] = {}
        for start in range(0, len(names), MAX_EVIDENCE):
            errors |= self._hand_in_all(port, [(name, evidence[name]) for name in names[start : start + MAX_EVIDENCE]])
        refused = []
        for payment_id, raw in evidence.items():
            if self._has(port, payment_id, raw):
                continue
            # one that did not count is handed in again by itself, to learn why
            error = errors.get(payment_id) or self._hand_in(port, [raw])
            if error is not None:
                refused.append((payment_id, error))
        return len(evidence), tuple(refused)

    def _evidence(self) -> dict[bytes, bytes]:
        """What the purse has to show by its id, ancestors first: so each part can be taken in by itself."""
        messages = [(decode(raw, self.network), raw) for raw in self.purse.evidence()]
        known = {message.id: raw for message, raw in messages}
        makers: dict[bytes, list[bytes]] = {}
        for message, _ in messages:
            inputs = message.body.inputs if isinstance(message.body, Transfer) else ()
            makers[message.id] = [name[:HASH_BYTES] for name in inputs if name[:HASH_BYTES] in known]
        return {payment_id: known[payment_id] for payment_id in TopologicalSorter(makers).static_order()}

    def _hand_in_all(self, port: LedgerPort, batch: list[tuple[bytes, bytes]]) -> dict[bytes, TengeError]:
        """Hand in together, and where all of it is refused by halves: one that spoils a batch spoils only itself."""
        error = self._hand_in(port, [raw for _, raw in batch])
        if error is None or error.code == Replayed.code:
            return {}
        if len(batch) == 1:
            return {batch[0][0]: error}
        middle = len(batch) // 2
        return self._hand_in_all(port, batch[:middle]) | self._hand_in_all(port, batch[middle:])

    def _hand_in(self, port: LedgerPort, evidence: list[bytes]) -> TengeError | None:
        """Why the ledger refuses all of this, or None."""
        try:
            port.submit(build(Kind.RECONCILE, Reconcile(tuple(evidence)), [], self.network))
        except Unreachable:
            raise  # nothing was decided, so nothing may be forgotten
        except TengeError as error:
            return error
        return None

    def _has(self, port: LedgerPort, payment_id: bytes, raw: bytes) -> bool:
        """Whether the ledger has this payment, any of its outputs."""
        body = decode(raw, self.network).body
        return self._is_known(port, payment_id, len(body.outputs) if isinstance(body, Transfer) else 1)

    @staticmethod
    def _is_known(port: LedgerPort, payment_id: bytes, outputs: int = 1) -> bool:
        """Whether the ledger has taken note of a payment, be it that its outputs are void."""
        return any(port.offline_token(outpoint(payment_id, index)) is not None for index in range(outputs))

    def _settle(self, port: LedgerPort, refusals: Iterable[tuple[bytes, TengeError]]) -> tuple[int, int]:
        """Write down what became of every payment; how many that it made settled, how many are part of a fork."""
        settled = disputed = 0
        errors = dict(refusals)
        declined = {payment_id for payment_id, error in errors.items() if error.code not in UNDECIDED | NO_DECISION}
        for sent in self.purse.sent():
            transfer = decode(sent.payment(), self.network).body
            inputs = transfer.inputs if isinstance(transfer, Transfer) else ()
            event = self._outcome(port, sent.id, inputs, declined)
            if event is Event.TAKEN and self._came_back(port, sent):
                event = Event.RELEASE
            if event is None:
                continue
            self.purse.mark(sent.id, event)
            settled += event in (Event.TAKEN, Event.RELEASE)
            disputed += event is Event.FORKED
        for held in self.purse.received():
            event = self._outcome(port, held.id, held.inputs, declined)
            if event is not None:
                self.purse.mark_received(held.id, event)
        self._drop_decided_proofs(port, errors)
        return settled, disputed

    def _drop_decided_proofs(self, port: LedgerPort, errors: dict[bytes, TengeError]) -> None:
        """Others' payments are kept to be shown once: whatever the ledger says of one, it is not shown again."""
        if is_unsure(errors.values()):
            return
        decided = [name for name, raw in self.vault.items("proof") if name in errors or self._has(port, name, raw)]
        if decided:
            self.purse.drop_proofs(decided)

    def _outcome(
        self, port: LedgerPort, payment_id: bytes, inputs: tuple[bytes, ...], declined: set[bytes]
    ) -> Event | None:
        """What the ledger says of a payment; None while it has not decided."""
        made = port.offline_token(outpoint(payment_id, 0))
        if made is None:
            return Event.DECLINED if payment_id in declined else None
        if made.void:  # it did not count for its acceptor, only for those behind him
            return Event.DECLINED
        forked = any(len(port.spenders_of(name)) > 1 for name in inputs)
        return Event.FORKED if forked else Event.TAKEN

    def _came_back(self, port: LedgerPort, sent: Sent) -> bool:
        """Whether the ledger has the release of a payment: a spend by its payee that counts the hops down."""
        transfer = decode(sent.payment(), self.network).body
        outputs = transfer.outputs if isinstance(transfer, Transfer) else ()
        name = next(outpoint(sent.id, index) for index, o in enumerate(outputs) if o.owner == sent.payee)
        paid = port.offline_token(name)
        backs = [port.offline_token(outpoint(spender, 0)) for spender in port.spenders_of(name)]
        own = self.purse_keys()
        return paid is not None and any(back and back.owner in own and back.hops < paid.hops for back in backs)
