"""Money between the ledger and the purse: load, unload, and the sync that settles what was paid in between."""

from __future__ import annotations

from dataclasses import dataclass

from cbdc.errors import InsufficientFunds, Malformed, TengeError
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Load
from cbdc.messages.message import build, decode
from wallet.online import VALID_FOR_S, coins_of
from wallet.port import LedgerPort
from wallet.renewal import Leaves, RenewingWallet, sum_tiyn
from wallet.selection import pick
from wallet.settling import is_unsure


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync changed: evidence sent, the refusals, payments settled, money held now (tiyn).

    ``waiting_tiyn`` is signed away, and the ledger has not decided on it: it stays pending.
    """

    sent: int
    refusals: tuple[tuple[bytes, TengeError], ...]
    settled: int
    disputed: int
    offline_tiyn: int
    waiting_tiyn: int = 0

    @property
    def refused(self) -> tuple[tuple[bytes, str], ...]:
        """(payment id, error code) of what the ledger refused."""
        return tuple((payment_id, error.code) for payment_id, error in self.refusals)


class MovingWallet(RenewingWallet):
    """An online wallet with a purse beside it, and the ways between the two."""

    def load(self, port: LedgerPort, amount_tiyn: int, purpose: bytes | None = None) -> Receipt:
        """Move online money into the purse: one offline token.

        Raises:
            Malformed: an amount of nothing.
        """
        if amount_tiyn <= 0:
            raise Malformed("an amount is more than nothing", found=amount_tiyn)
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
        """Move money out of the purse; the rest is renewed, as in a sync.

        More leaves than one message holds take several: after an error some of the amount may be online already.
        """
        self._learn(port)
        self.purse.trust_list.check_not_revoked(self.purse.certificate.id)
        self.purse.recover()
        self._resume_unloads(port)
        _, refused = self._hand_in_and_learn(port)
        self.purse.trust_list.check_not_revoked(self.purse.certificate.id)
        unsure = is_unsure(error for _, error in refused)
        leaves = self._free_leaves(port)
        parts = self._parts(port, leaves, amount_tiyn, purpose)
        if any(output.owner == self.element.public_key for _, outputs, _ in parts for output in outputs):
            self._check_renewable(port)
        self._keep(port, leaves, unsure=unsure)
        for some, outputs, out_tiyn in parts:
            receipt = self._unload(port, some, outputs, "unloaded", out_tiyn)
        taken = {name for some, _, _ in parts for name in some}
        rest = {name: leaf for name, leaf in leaves.items() if name not in taken}
        if self._renew_or_certify(port, rest) and not unsure:
            self._forget_known_evidence(port)
        self._note_waiting(port)
        self._note_sync(port)
        return receipt

    def _parts(
        self, port: LedgerPort, leaves: Leaves, amount_tiyn: int, purpose: bytes | None
    ) -> list[tuple[Leaves, tuple[Output, ...], int]]:
        """The unloads that take an amount out, largest leaves first: inputs, outputs, and how much goes online."""
        found = {name: leaf for name, leaf in leaves.items() if leaf.purpose == purpose}
        if not found or sum_tiyn(found) < amount_tiyn:
            raise InsufficientFunds("the purse holds less", found=sum_tiyn(found), wanted=amount_tiyn)
        stays = self.element.public_key if self._is_open(port, purpose) else self.key.public
        parts, left_tiyn = [], amount_tiyn
        for some in self._chosen(found, amount_tiyn):
            out_tiyn = min(left_tiyn, sum_tiyn(some))
            rest_tiyn = sum_tiyn(some) - out_tiyn
            rest = (Output(stays, rest_tiyn, purpose),) if rest_tiyn else ()
            parts.append((some, (Output(self.key.public, out_tiyn, purpose), *rest), out_tiyn))
            left_tiyn -= out_tiyn
            if not left_tiyn:
                break
        return parts

    def _chosen(self, leaves: Leaves, amount_tiyn: int) -> list[Leaves]:
        """What bears one mark, where that is enough: the smallest that is, and one that waits for no evidence first."""
        groups = [some for _, some in self._slices(leaves)]
        waiting = self._until_evidence()

        def order(some: Leaves) -> tuple[bool, int]:
            waits = any(leaf.paid is not None and leaf.purpose in waiting for leaf in some.values())
            return waits, sum_tiyn(some)

        enough = [some for some in groups if sum_tiyn(some) >= amount_tiyn]
        return [min(enough, key=order)] if enough else groups

    def sync(self, port: LedgerPort) -> SyncReport:
        """Exchange everything with the ledger: evidence, outcomes, trust list, fresh load certificates."""
        self._learn(port)
        self.purse.recover()
        self._resume_unloads(port)
        sent, refused = self._hand_in_and_learn(port)
        settled, disputed = self._settle(port, refused)
        self._renew(port, unsure=is_unsure(error for _, error in refused))
        waiting_tiyn = self._note_waiting(port)
        self._note_sync(port)
        return SyncReport(sent, refused, settled, disputed, self.purse.balance_tiyn(), waiting_tiyn)

    def _hand_in_and_learn(self, port: LedgerPort) -> tuple[int, tuple[tuple[bytes, TengeError], ...]]:
        """Hand the evidence in, then learn the list again: it may prove this very purse's fork, and deny it."""
        sent, refused = self._reconcile(port)
        if sent:
            self._learn(port)
        return sent, refused

    def _learn(self, port: LedgerPort) -> None:
        self.purse.learn(port.trust_list(), port.policy(), port.purposes())

    def _note_sync(self, port: LedgerPort, *, settled: bool = True) -> None:
        word = port.sync_certificate(self.element.public_key, self.element.sync_challenge())
        self.element.note_sync(word, port.trust_list(), settled)
