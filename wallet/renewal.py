"""Unloads: how a purse's leaves become fresh ones, or online money, some at a time.

Every unload is written down before the element signs it and sent until the ledger has answered. It is of one purpose
and never larger than a message may be: what holds up one of them holds up no other money.
"""

from __future__ import annotations

import logging
from collections.abc import Collection, Iterator
from typing import Final

from cbdc.errors import CertificateExpired, DoubleSpend, FormError, ReserveShort, TengeError, TooLate, Unreachable
from cbdc.formats import cbor, cose
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_INPUTS
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Transfer, Unload
from cbdc.messages.message import decode, message_id
from cbdc.policy import DAY_S
from cbdc.purposes.rules import UntilEvidence
from cbdc.state.records import OfflineToken
from wallet.port import LedgerPort
from wallet.settling import SettlingWallet
from wallet.states import Status

log = logging.getLogger(__name__)

UNLOAD_VALID_FOR_S = 365 * 86_400
"""An unload is signed once for ever, so it must still be good when it gets through after a power cut."""

RENEWED_BEFORE_S: Final = DAY_S
"""A leaf that waits for evidence is renewed when it can be spent for only so long."""

Leaves = dict[bytes, OfflineToken]


class RenewingWallet(SettlingWallet):
    """A wallet whose purse gives leaves up for fresh ones."""

    def _free_leaves(self, port: LedgerPort) -> Leaves:
        """What the ledger holds for the purse, its element has not signed away and no fork has seized.

        The rest waits for the ledger. Of what is seized that goes first which the purse never took: whoever pays a
        purse twice out of one token, and is refused the second time, puts it at the ledger all the same.
        """
        leaves = port.offline_of([self.element.public_key])
        free = {name: leaf for name, leaf in leaves.items() if not self.element.has_spent(name)}
        seized_tiyn, taken = port.seized_tiyn(self.element.public_key), set(self.purse.tokens())
        for name in sorted(free, key=lambda name: (name in taken, free[name].amount_tiyn, name)):
            if seized_tiyn <= 0:
                break
            seized_tiyn -= free.pop(name).amount_tiyn
        return free

    def _renew(self, port: LedgerPort, *, unsure: bool) -> None:
        """Swap leaves for fresh ones at hop 0; where that is refused, keep what the ledger knows as it is.

        ``unsure``: the ledger was in trouble, so what it does not know is kept as well.
        """
        leaves = self._free_leaves(port)
        self._keep(port, leaves, unsure=unsure)
        if self._renew_or_certify(port, leaves) and not unsure:
            self._forget_known_evidence(port)

    def _keep(self, port: LedgerPort, leaves: Leaves, *, unsure: bool) -> None:
        unknown = [n for n in self.purse.tokens() if port.offline_token(n) is None] if unsure else []
        self.purse.keep_only([*leaves, *unknown])

    def _renew_or_certify(self, port: LedgerPort, leaves: Leaves) -> bool:
        """Renew these, or where fresh tokens are not given make do with what is there; whether none needs ancestry."""
        try:
            if leaves:
                self._check_renewable(port)
        except TengeError as error:
            log.info("nothing is renewed: %s", error.code)
            self._certify(port, leaves)
            return False
        postponed = self._waiting_for_evidence(port, leaves)
        self._renew_all(port, {name: leaf for name, leaf in leaves.items() if name not in postponed})
        return not postponed

    def _waiting_for_evidence(self, port: LedgerPort, leaves: Leaves) -> set[bytes]:
        """Leaves that a fact about the payment that brought them can still free, and that are good as they are.

        A renewed leaf is another message's, which no fact about that payment frees: so they are renewed only when they
        have been freed, or when they could soon not be spent any more.
        """
        held, now_s = self.purse.tokens(), port.ledger_time_s()
        return {
            name
            for name, leaf in leaves.items()
            if name in held
            and leaf.paid is not None
            and leaf.purpose in self._until_evidence()
            and now_s < leaf.spend_until_s - RENEWED_BEFORE_S
            and self._is_open(port, leaf.purpose)
            and not port.is_freed(name)
        }

    def _until_evidence(self) -> set[bytes]:
        """The purposes whose marks evidence lifts."""
        return {mark for mark, found in self.purse.definitions().items() if isinstance(found.mark, UntilEvidence)}

    def _renew_all(self, port: LedgerPort, leaves: Leaves) -> None:
        """Renew what bears the same mark, `MAX_INPUTS` at a time; one that the ledger refuses stops no other."""
        for purpose, some in self._slices(leaves):
            owner = self.element.public_key if self._is_open(port, purpose) else self.key.public
            output = Output(owner, sum_tiyn(some), purpose)
            try:
                self._unload(port, some, (output,), "renewed", 0)
            except Unreachable:
                raise
            except TengeError as error:
                log.warning("a renewal is refused: %s", error.code)

    def _slices(self, leaves: Leaves) -> Iterator[tuple[bytes | None, Leaves]]:
        return slices(leaves, self._until_evidence())

    def _is_open(self, port: LedgerPort, purpose: bytes | None) -> bool:
        """Whether money of a purpose may stay in a purse; what has expired goes online, where it is swept."""
        return purpose is None or port.ledger_time_s() < self.purse.definition(purpose).expires_s

    def _certify(self, port: LedgerPort, leaves: Leaves) -> None:
        """Take load certificates for leaves at hop 0 as they are: change needs no ancestry any more."""
        for name, leaf in leaves.items():
            certificate = port.load_certificate(name) if not leaf.hops else None
            if certificate is not None and self.vault.get("load", name) is None:
                self.purse.add(name, leaf, certificate)

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

    # --- one unload ----------------------------------------------------------------------------

    def _unload(
        self, port: LedgerPort, leaves: Leaves, outputs: tuple[Output, ...], what: str, out_tiyn: int
    ) -> Receipt:
        body = Unload(tuple(sorted(leaves)), outputs, port.ledger_time_s() + UNLOAD_VALID_FOR_S)
        payload = cbor.encode(body.to_cbor())
        Unload.from_cbor(cbor.decode(payload))  # nothing is written down that could not be read again
        self.vault.put("unload", message_id(Kind.UNLOAD, payload), [payload, what, out_tiyn])
        return self._finish_unload(port, payload, what, out_tiyn)

    def _resume_unloads(self, port: LedgerPort) -> None:
        """Finish unloads that a power cut or a lost network interrupted: the same bytes again.

        One that the element has not signed, or cannot even read, never happened. One that the ledger refuses waits, and
        holds back nothing but its own inputs.
        """
        for name, (payload, what, out_tiyn) in self.vault.items("unload"):
            if not self._is_signed(payload):
                self.vault.drop("unload", name)
                continue
            try:
                self._finish_unload(port, payload, what, out_tiyn, name)
            except Unreachable:
                raise
            except TengeError as error:
                log.warning("an interrupted unload is refused: %s", error.code)

    def _is_signed(self, payload: bytes) -> bool:
        try:
            inputs = Unload.from_cbor(cbor.decode(payload)).inputs
        except FormError:
            return False
        return all(self.element.has_spent(name) for name in inputs)

    def _finish_unload(
        self, port: LedgerPort, payload: bytes, what: str, out_tiyn: int, name: bytes | None = None
    ) -> Receipt:
        name = name if name is not None else message_id(Kind.UNLOAD, payload)
        raw = self._signed_unload(payload, name)
        try:
            receipt = self.submit(port, raw, what, out_tiyn, "purse")
        except (DoubleSpend, TooLate):  # never to be carried out
            self.vault.drop("unload", name)
            raise
        message, body = decode(raw, self.network), Unload.from_cbor(cbor.decode(payload))
        tokens, loads = {}, {}
        for index, output in enumerate(body.outputs):
            made = outpoint(message.id, index)
            token, certificate = port.offline_token(made), port.load_certificate(made)
            if output.owner == self.element.public_key and token is not None and certificate is not None:
                tokens[made], loads[made] = token, certificate
        self.purse.swap(name, body.inputs, tokens, loads)
        return receipt

    def _signed_unload(self, payload: bytes, name: bytes) -> bytes:
        try:
            return cose.assemble(Kind.UNLOAD, payload, [self.element.sign_unload(payload)])
        except Unreachable:
            raise  # the element may have signed before it died
        except TengeError:
            self.vault.drop("unload", name)
            raise

    # --- what is left behind -------------------------------------------------------------------

    def _note_waiting(self, port: LedgerPort) -> int:
        """Write down leaves that the element has signed away and the ledger still calls live: pending value (tiyn).

        So it is after a payment that the ledger has not taken yet, or after the storage was rolled back.
        """
        leaves = port.offline_of([self.element.public_key])
        bound = {name for unload in self.purse.unloads() for name in unload.inputs}
        waiting, counted = {}, set[bytes]()
        for name, leaf in leaves.items():
            if name in bound or not self.element.has_spent(name):
                continue
            spender = self.vault.get("spender", name) or b""
            change_tiyn = self._undecided_change_tiyn(spender)
            own_tiyn = leaf.amount_tiyn if change_tiyn is None else change_tiyn * (spender not in counted)
            counted.add(spender)
            waiting[name] = (own_tiyn, leaf.final_at_s)
        self.purse.note_waiting(waiting)
        return sum(own_tiyn for own_tiyn, _ in waiting.values())

    def _undecided_change_tiyn(self, payment_id: bytes) -> int | None:
        """What of an undecided payment or release is to stay here and is not held; None if there is none of this id."""
        raw, sent = self.vault.get("payment", payment_id), self.vault.get("sent", payment_id)
        if raw is None or (sent is not None and sent[4] == Status.REFUSED.value):
            return None
        body = decode(raw, self.network).body
        outputs = body.outputs if isinstance(body, Transfer) else ()
        held, own = self.purse.tokens(), self.element.public_key
        change = [
            o.amount_tiyn for i, o in enumerate(outputs) if o.owner == own and outpoint(payment_id, i) not in held
        ]
        return sum(change)

    def _forget_known_evidence(self, port: LedgerPort) -> None:
        """Every token of the purse has a fresh load certificate, so no ancestry is needed any more."""
        ids = [decode(raw, self.network).id for raw in self.purse.evidence()]
        self.purse.forget_evidence([payment_id for payment_id in ids if self._is_known(port, payment_id)])


def slices(leaves: Leaves, until_evidence: Collection[bytes]) -> Iterator[tuple[bytes | None, Leaves]]:
    """Leaves that may become one, at most `MAX_INPUTS` together, largest first.

    They are of one purpose and last as many payments; in a purpose of ``until_evidence`` one payment brought them. So
    none loses by the others' company.
    """
    groups: dict[tuple[bytes, int, bytes], list[bytes]] = {}
    for name in sorted(leaves, key=lambda name: (-leaves[name].amount_tiyn, name)):
        leaf = leaves[name]
        brought_by = name[:HASH_BYTES] if leaf.paid is not None and leaf.purpose in until_evidence else b""
        groups.setdefault((leaf.purpose or b"", leaf.left or 0, brought_by), []).append(name)
    for group in sorted(groups):
        names = groups[group]
        for start in range(0, len(names), MAX_INPUTS):
            yield group[0] or None, {name: leaves[name] for name in names[start : start + MAX_INPUTS]}


def sum_tiyn(leaves: Leaves) -> int:
    """What these leaves hold."""
    return sum(leaf.amount_tiyn for leaf in leaves.values())
