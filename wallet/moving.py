"""Money between the ledger and the purse: load, unload, and the sync that settles what was paid in between."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final

from cbdc.errors import (
    AncestryBroken,
    CertificateExpired,
    DoubleSpend,
    InsufficientFunds,
    Malformed,
    ReserveShort,
    TengeError,
    TooLate,
    Unreachable,
)
from cbdc.formats import cbor, cose
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_EVIDENCE
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Load, Reconcile, Transfer, Unload
from cbdc.messages.message import build, decode
from cbdc.state.records import OfflineToken
from wallet.balance import totals
from wallet.element import SecureElement
from wallet.history import HistoryItem, offline_items
from wallet.online import VALID_FOR_S, OnlineWallet, coins_of
from wallet.port import LedgerPort
from wallet.purse import Event, Purse, Sent
from wallet.selection import pick
from wallet.vault import Vault

log = logging.getLogger(__name__)

UNDECIDED: Final = frozenset({AncestryBroken.code, Malformed.code})
"""Refusals that may pass: an ancestor that nobody has shown yet, a time that has not come."""

UNLOAD_VALID_FOR_S: Final = 365 * 86_400
"""An unload is signed once for ever, so it must still be good when it gets through after a power cut."""


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync changed: evidence sent, the refusals, payments settled, money held now (tiyn)."""

    sent: int
    refusals: tuple[tuple[bytes, TengeError], ...]
    settled: int
    disputed: int
    offline_tiyn: int

    @property
    def refused(self) -> tuple[tuple[bytes, str], ...]:
        """(payment id, error code) of what the ledger refused."""
        return tuple((payment_id, error.code) for payment_id, error in self.refusals)


class MovingWallet(OnlineWallet):
    """An online wallet with a purse beside it, and the ways between the two."""

    def __init__(
        self,
        vault: Vault,
        element: SecureElement,
        network: bytes,
        clock: Callable[[], int],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        super().__init__(vault, network)
        self.element = element
        self.purse = Purse(vault, element, network, clock, random)

    def retired_keys(self) -> list[bytes]:
        """Keys of this wallet's purses before the one in use: their debts and their last money are still its own."""
        return [key for key, _ in self.vault.items("retired")]

    def purse_keys(self) -> list[bytes]:
        """The key of the purse in use, then those before it."""
        return [self.element.public_key, *self.retired_keys()]

    def _offline_items(self) -> list[HistoryItem]:
        return offline_items(self.purse)

    # --- between ledger and purse --------------------------------------------------------------

    def load(self, port: LedgerPort, amount_tiyn: int, purpose: bytes | None = None) -> Receipt:
        """Move online money into the purse: one offline token."""
        tokens = {n: t for n, t in port.tokens_of([self.key.public]).items() if t.purpose == purpose}
        chosen = pick({purpose: amount_tiyn}, coins_of(tokens), self.element.public_key, self.key.public)
        body = Load(chosen.inputs, chosen.outputs, port.ledger_time_s() + VALID_FOR_S)
        raw = build(Kind.LOAD, body, [self.key], self.network)
        receipt = self.submit(port, raw, "loaded", -amount_tiyn, "purse")
        name = outpoint(decode(raw, self.network).id, 0)
        self._take_in(port, name)
        self._learn(port)
        self._note_sync(port, settled=not self.purse.evidence())
        return receipt

    def _take_in(self, port: LedgerPort, name: bytes) -> None:
        token, certificate = port.offline_token(name), port.load_certificate(name)
        if token is not None and certificate is not None:
            self.purse.add(name, token, certificate)

    def unload(self, port: LedgerPort, amount_tiyn: int, purpose: bytes | None = None) -> Receipt:
        """Move money out of the purse; the rest is renewed, as in a sync."""
        self._learn(port)
        self.purse.trust_list.check_not_revoked(self.purse.certificate.id)
        self.purse.recover()
        self._resume_unload(port)
        self._reconcile(port)
        leaves = port.offline_of([self.element.public_key])
        held_tiyn = sum(leaf.amount_tiyn for leaf in leaves.values() if leaf.purpose == purpose)
        if held_tiyn < amount_tiyn:
            raise InsufficientFunds("the purse holds less", found=held_tiyn, wanted=amount_tiyn)
        left = totals(leaves.values())
        left[purpose] -= amount_tiyn
        rest = self._rest(port, left)
        if any(output.owner == self.element.public_key for output in rest):
            self._check_renewable(port)
        outputs = (Output(self.key.public, amount_tiyn, purpose), *rest)
        receipt = self._unload(port, leaves, outputs, "unloaded", amount_tiyn)
        self._note_sync(port)
        return receipt

    def sync(self, port: LedgerPort) -> SyncReport:
        """Exchange everything with the ledger: evidence, outcomes, trust list, fresh load certificates."""
        self._learn(port)
        self.purse.recover()
        stuck = self._is_unload_stuck(port)
        sent, refused = self._reconcile(port)
        settled, disputed = self._settle(port, refused)
        if not stuck:
            self._renew(port)
        self._note_sync(port)
        return SyncReport(sent, refused, settled, disputed, self.purse.balance_tiyn())

    def _learn(self, port: LedgerPort) -> None:
        self.purse.learn(port.trust_list(), port.policy(), port.purposes())

    def _note_sync(self, port: LedgerPort, *, settled: bool = True) -> None:
        word = port.sync_certificate(self.element.public_key, self.element.sync_challenge())
        self.element.note_sync(word, port.trust_list(), settled)

    def _reconcile(self, port: LedgerPort) -> tuple[int, tuple[tuple[bytes, TengeError], ...]]:
        """Hand in what the ledger may not have; how much, and what it refused with why."""
        evidence = {decode(raw, self.network).id: raw for raw in self.purse.evidence()}
        raws = list(evidence.values())
        for start in range(0, len(raws), MAX_EVIDENCE):
            self._hand_in(port, raws[start : start + MAX_EVIDENCE])
        refused = []
        for payment_id, raw in evidence.items():
            # one that did not count is handed in again by itself, to learn why
            error = None if self._has(port, payment_id, raw) else self._hand_in(port, [raw])
            if error is not None:
                refused.append((payment_id, error))
        return len(evidence), tuple(refused)

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
        declined = {payment_id for payment_id, error in refusals if error.code not in UNDECIDED}
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
        proofs = self.vault.items("proof")
        decided = [name for name, raw in proofs if name in declined or self._has(port, name, raw)]
        if decided:
            self.purse.drop_proofs(decided)
        return settled, disputed

    def _outcome(
        self, port: LedgerPort, payment_id: bytes, inputs: tuple[bytes, ...], declined: set[bytes]
    ) -> Event | None:
        """What the ledger says of a payment; None while it has not decided."""
        if not self._is_known(port, payment_id):
            return Event.DECLINED if payment_id in declined else None
        made = port.offline_token(outpoint(payment_id, 0))
        if made is not None and made.void:  # it did not count for its acceptor, only for those behind him
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

    def _renew(self, port: LedgerPort) -> None:
        """Swap all leaves for fresh ones at hop 0; where that is refused, keep what the ledger knows as it is."""
        leaves = port.offline_of([self.element.public_key])
        if not leaves:
            self.purse.keep_only(())
            self._forget_known_evidence(port)
            return
        try:
            self._check_renewable(port)
        except TengeError:
            self.purse.keep_only(leaves)
            return
        self._unload(port, leaves, self._rest(port, totals(leaves.values())), "renewed", 0)

    def _check_renewable(self, port: LedgerPort) -> None:
        """Ask before the element signs, because what it has signed it cannot take back.

        Raises:
            CertificateRevoked, CertificateExpired, NotEnrolled, ReserveShort: the ledger would refuse fresh tokens.
        """
        own, trust_list = self.purse.certificate, self.purse.trust_list
        trust_list.check_not_revoked(own.id)
        trust_list.bank_key(own.bank)
        if port.ledger_time_s() >= own.expires_s:
            raise CertificateExpired("the purse's certificate has expired", account=own.account)
        claims_tiyn = port.claims_tiyn(own.bank)
        if claims_tiyn:
            raise ReserveShort("the bank owes the offline pool and may load no purse", claims_tiyn=claims_tiyn)

    def _rest(self, port: LedgerPort, sums: dict[bytes | None, int]) -> tuple[Output, ...]:
        """What stays in the purse, one token for each purpose; expired purposes go online, where they are swept."""
        now_s, purposes = port.ledger_time_s(), port.purposes()
        outputs = []
        for purpose, amount_tiyn in sorted(sums.items(), key=lambda item: item[0] or b""):
            is_open = purpose is None or now_s < purposes[purpose].expires_s
            owner = self.element.public_key if is_open else self.key.public
            if amount_tiyn:
                outputs.append(Output(owner, amount_tiyn, purpose))
        return tuple(outputs)

    def _unload(
        self, port: LedgerPort, leaves: dict[bytes, OfflineToken], outputs: tuple[Output, ...], what: str, out_tiyn: int
    ) -> Receipt:
        body = Unload(tuple(sorted(leaves)), outputs, port.ledger_time_s() + UNLOAD_VALID_FOR_S)
        payload = cbor.encode(body.to_cbor())
        self.purse.keep_only(leaves)
        self.vault.put("unload", b"", [payload, what, out_tiyn])
        receipt = self._finish_unload(port, payload, what, out_tiyn)
        self._forget_known_evidence(port)
        return receipt

    def _resume_unload(self, port: LedgerPort) -> None:
        """Finish an unload that a power cut or a lost network interrupted: the same bytes again."""
        interrupted = self.vault.get("unload", b"")
        if interrupted is not None:
            self._finish_unload(port, *interrupted)

    def _is_unload_stuck(self, port: LedgerPort) -> bool:
        """Try to finish an interrupted unload; True if the ledger refuses it, so that evidence still goes through."""
        try:
            self._resume_unload(port)
        except Unreachable:
            raise
        except TengeError as error:
            log.warning("an interrupted unload is refused: %s", error.code)
            return self.vault.get("unload", b"") is not None
        return False

    def _finish_unload(self, port: LedgerPort, payload: bytes, what: str, out_tiyn: int) -> Receipt:
        try:
            raw = cose.assemble(Kind.UNLOAD, payload, [self.element.sign_unload(payload)])
            receipt = self.submit(port, raw, what, out_tiyn, "purse")
        except (DoubleSpend, TooLate):
            self.vault.drop("unload", b"")
            raise
        message, body = decode(raw, self.network), Unload.from_cbor(cbor.decode(payload))
        tokens, loads = {}, {}
        for index, output in enumerate(body.outputs):
            name = outpoint(message.id, index)
            token, certificate = port.offline_token(name), port.load_certificate(name)
            if output.owner == self.element.public_key and token is not None and certificate is not None:
                tokens[name], loads[name] = token, certificate
        self.purse.swap(body.inputs, tokens, loads)
        return receipt

    def _forget_known_evidence(self, port: LedgerPort) -> None:
        """Every token of the purse has a fresh load certificate, so no ancestry is needed any more."""
        ids = [decode(raw, self.network).id for raw in self.purse.evidence()]
        self.purse.forget_evidence([payment_id for payment_id in ids if self._is_known(port, payment_id)])
