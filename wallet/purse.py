"""The purse: the offline part of a wallet, headless and without a network.

It holds tokens with their ancestry, the trust list, certificates and purposes, and journals of what it signed and
took. Only bytes go in and out: `invoice` -> `pay` -> `accept` -> `finish`. A payment is journaled before anything is
emitted and stored before it is answered; an unknown outcome is *pending*, and a sync settles it. What was paid may
come back (`wallet.release`).
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Iterator
from dataclasses import replace

from cbdc.errors import (
    DoubleSpend,
    InsufficientFunds,
    LimitHolding,
    LimitPayment,
    Malformed,
    NotOwner,
    TengeError,
    TooLarge,
    Unreachable,
    WrongPayee,
)
from cbdc.formats import cbor, cose
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import FEW_COINS, MAX_AHEAD_S
from cbdc.messages.bodies import NONCE_BYTES, OfflineTerms, Transfer
from cbdc.messages.message import decode, message_id
from cbdc.offline.judge import Parties
from cbdc.purposes.conditions import Payment
from cbdc.purposes.marks import merged, payment_facts
from cbdc.state.records import OfflineToken
from wallet import acceptance
from wallet.acceptance import Accepted, Knowledge
from wallet.ancestry import Ancestry
from wallet.plan import Plan, plan_of
from wallet.protocol import (
    Invoice,
    PaymentBundle,
    invoice_id,
    invoice_payload,
    read_invoice,
    read_receipt,
    receipt_payload,
)
from wallet.purse_store import Received, Sent
from wallet.release import OFFLINE_VALID_FOR_S, ReleasingPurse
from wallet.selection import Coin, Selection, largest_of_each, pick
from wallet.states import Event, Holding, Status, next_payee_state, next_payer_state

log = logging.getLogger(__name__)


class Purse(ReleasingPurse):
    """One device's purse: what it asks, pays, takes and shows."""

    # --- payee: invoice ------------------------------------------------------------------------

    def invoice(self, amount_tiyn: int, lines: tuple[Line, ...] = ()) -> bytes:
        """Ask for an amount; the signed invoice.

        Raises:
            LimitHolding: the purse has no room for it. TrustListStale: sync first.
        """
        know = self.knowledge()
        headroom_tiyn = self._room_for(amount_tiyn, know)
        payload = invoice_payload(
            amount_tiyn,
            self.certificate_raw,
            self.random(NONCE_BYTES),
            headroom_tiyn,
            know.trust_list.time_s,
            know.ledger_time_s,
            lines,
        )
        raw = self.element.sign_invoice(payload)
        self.vault.put("invoice", invoice_id(payload), raw)
        return raw

    def _room_for(self, amount_tiyn: int, know: Knowledge) -> int:
        """How much the purse may still take (tiyn), if it may take this."""
        know.check_trust_list_fresh()
        if amount_tiyn > know.headroom_tiyn:
            raise LimitHolding("the purse has no room for this", found=amount_tiyn, limit=know.headroom_tiyn)
        return know.headroom_tiyn

    # --- payer ---------------------------------------------------------------------------------

    def pay(self, invoice_raw: bytes, purpose: bytes | None = None) -> bytes:
        """Pay an invoice: check it completely, sign, journal, and only then give the payment's bytes out.

        What is about to be signed is written down first, so that `recover` can finish after a power cut. An invoice
        that was paid before gets the identical bytes again.

        Raises:
            TengeError: which guard refused; nothing was signed.
        """
        self.recover()
        invoice = read_invoice(invoice_raw, self.network)
        paid = self.vault.get("paid", invoice.id)
        if paid is not None:
            return self.again(paid)
        know = self.knowledge()
        self._check_invoice(invoice, know)
        inputs, payload = self._compose(invoice, know, purpose)
        payment_id = message_id(Kind.TRANSFER, payload)
        self.vault.put("intent", payment_id, [payload, invoice_raw, list(inputs)])
        try:
            return self._sign(payment_id, payload, invoice, inputs)
        except Unreachable:
            raise  # the element may have signed before it died: `recover` will ask it
        except TengeError:
            self.vault.drop("intent", payment_id)
            raise

    def _sign(self, payment_id: bytes, payload: bytes, invoice: Invoice, inputs: tuple[bytes, ...]) -> bytes:
        raw = cose.assemble(Kind.TRANSFER, payload, [self.element.sign_payment(payload)])
        bundle = self.bundle_of(raw, inputs).encode()
        self._journal(payment_id, raw, invoice, bundle, inputs)
        return bundle

    def recover(self) -> int:
        """Finish payments and releases that a power cut interrupted after the element had signed; how many.

        One that the element has not signed never happened, and is forgotten.
        """
        finished = 0
        for payment_id, (payload, invoice_raw, inputs) in self.vault.items("intent"):
            try:
                if all(self.element.has_spent(name) for name in inputs):
                    self._sign(payment_id, payload, read_invoice(invoice_raw, self.network), tuple(inputs))
                    finished += 1
            except DoubleSpend:  # the element went another way: this payment will never be signed
                log.warning("an interrupted payment was overtaken by another spend of its tokens")
            self.vault.drop("intent", payment_id)
        return finished + super().recover()

    def _check_invoice(self, invoice: Invoice, know: Knowledge) -> None:
        acceptance.verified_certificate(invoice.certificate_raw, know)
        know.trust_list.check_not_revoked(invoice.certificate.id)
        if invoice.certificate.limits is None or invoice.certificate.key == know.certificate.key:
            raise WrongPayee("an invoice is by another purse")
        if invoice.ledger_time_s > know.now_s + MAX_AHEAD_S:
            found, limit = invoice.ledger_time_s, know.now_s + MAX_AHEAD_S
            raise Malformed(
                "the invoice names a ledger time that has not come; take its payee's trust list or sync",
                found=found,
                limit=limit,
            )
        limits = know.certificate.limits
        if limits is None or invoice.amount_tiyn > limits.payment_tiyn:
            limit = limits.payment_tiyn if limits else 0
            raise LimitPayment("above the purse's limit per payment", found=invoice.amount_tiyn, limit=limit)
        if invoice.amount_tiyn > invoice.headroom_tiyn:
            limit = invoice.headroom_tiyn
            raise LimitHolding("the payee's purse has no room for this", found=invoice.amount_tiyn, limit=limit)

    def _compose(self, invoice: Invoice, know: Knowledge, purpose: bytes | None) -> tuple[tuple[bytes, ...], bytes]:
        """The transfer's inputs and payload, judged here exactly as the payee will."""
        held = self._unsigned()
        usable = self._usable(held, invoice, know)
        payer, payee = know.certificate, invoice.certificate
        too_large: TooLarge | None = None
        for coins, lightest_first in self._offers(usable):
            try:
                plan = self._plan(invoice, know, coins, purpose)
                chosen = pick(plan.shares, coins, payee.key, payer.key, lightest_first=lightest_first)
                lines = plan.lines_to_state(invoice.lines)
                return chosen.inputs, self._payload(chosen, usable, invoice, know, lines)
            except TooLarge as error:
                too_large = too_large or error
            except InsufficientFunds:
                if too_large is not None:
                    continue  # there is enough, but not in coins that fit together
                acceptance.check_deadlines(held, max(know.clock_s, know.ledger_time_s, invoice.ledger_time_s))
                self._check_accounted_for(self.tokens().keys() - held.keys())
                raise
        raise too_large or TooLarge("no coins fit together")

    def plan(self, invoice_raw: bytes, purpose: bytes | None = None) -> Plan:
        """How the payment of an invoice would divide; nothing is signed.

        Raises:
            TengeError: which guard would refuse.
        """
        invoice, know = read_invoice(invoice_raw, self.network), self.knowledge()
        self._check_invoice(invoice, know)
        usable = self._usable(self._unsigned(), invoice, know)
        return self._plan(invoice, know, next(self._offers(usable))[0], purpose)

    def _plan(self, invoice: Invoice, know: Knowledge, coins: list[Coin], purpose: bytes | None) -> Plan:
        payer, payee = know.certificate, invoice.certificate

        def facts_of(mark: bytes) -> Payment:
            return payment_facts(
                payer.account,
                payee.account,
                payee,
                invoice.amount_tiyn,
                invoice.ledger_time_s,
                lines=invoice.lines,
                allowance_tiyn=self.element.allowance_left_tiyn(mark),
            )

        return plan_of(payee.account, invoice.amount_tiyn, coins, self.definitions(), facts_of, purpose)

    def _unsigned(self) -> dict[bytes, OfflineToken]:
        """What is held and not signed away."""
        return {name: token for name, token in self.tokens().items() if not self.element.has_spent(name)}

    @staticmethod
    def _usable(held: dict[bytes, OfflineToken], invoice: Invoice, know: Knowledge) -> dict[bytes, OfflineToken]:
        now_s = max(know.clock_s, know.ledger_time_s, invoice.ledger_time_s)
        return {name: token for name, token in held.items() if token.spend_until_s >= now_s}

    def _offers(self, usable: dict[bytes, OfflineToken]) -> Iterator[tuple[list[Coin], bool]]:
        """Coins to choose from, and whether those with little behind them come first: one try after the other, until
        one makes a payment that a device can take."""
        coins = [Coin(name, token.amount_tiyn, token.purpose, left=token.left) for name, token in usable.items()]
        yield coins, False
        ancestry = Ancestry(self.vault, self.network)
        weighed = [replace(coin, weight=ancestry.weight(coin.outpoint)) for coin in coins]
        for some in (weighed, largest_of_each(weighed, FEW_COINS)):
            yield some, True

    def _payload(
        self,
        chosen: Selection,
        usable: dict[bytes, OfflineToken],
        invoice: Invoice,
        know: Knowledge,
        lines: tuple[Line, ...],
    ) -> bytes:
        counter, spends = self.element.counters()
        inputs = [usable[name] for name in chosen.inputs]
        terms = OfflineTerms(
            invoice_id=invoice.id,
            payer_certificate=know.certificate.id,
            payee_certificate=invoice.certificate.id,
            counter=counter + 1,
            spends=spends + 1,
            hop=max(token.hops for token in inputs) + 1,
            trust_list_s=invoice.trust_list_s,
            ledger_time_s=invoice.ledger_time_s,
        )
        valid_until_s = invoice.ledger_time_s + OFFLINE_VALID_FOR_S
        transfer = Transfer(chosen.inputs, chosen.outputs, valid_until_s, None, terms, lines)
        self._check_own(transfer, inputs, Parties(know.certificate, invoice.certificate), know)
        payload = cbor.encode(transfer.to_cbor())
        self.check_fits(payload, chosen.inputs)
        return payload

    def _check_accounted_for(self, spent: Iterable[bytes]) -> None:
        """What the element has spent is in storage for a reason: an unload that waits, or what a sync left waiting.

        Raises:
            DoubleSpend: else the storage has been rolled back, and shows money that is gone.
        """
        known = {name for unload in self.unloads() for name in unload.inputs} | self.waiting().keys()
        for name in spent:
            if name not in known:
                raise DoubleSpend("the element has signed another spend of this token", outpoint=name)

    def _journal(
        self, payment_id: bytes, raw: bytes, invoice: Invoice, bundle: bytes, inputs: tuple[bytes, ...]
    ) -> None:
        """The point of no return: from here on these inputs re-emit exactly these bytes."""
        transfer = decode(raw, self.network).body
        if not isinstance(transfer, Transfer):
            raise WrongPayee("not a transfer")
        with self.vault.together():
            spent = {name: OfflineToken(*self.vault.get("token", name)) for name in inputs}
            for name in inputs:
                self.vault.drop("token", name)
                self.vault.put("spender", name, payment_id)
            for index, output in enumerate(transfer.outputs):
                if output.owner == self.element.public_key:
                    self.put_token(outpoint(payment_id, index), _change(output, spent.values()))
            self.vault.put("payment", payment_id, raw)
            self.vault.put("certificate", invoice.certificate.id, invoice.certificate_raw)
            payee = invoice.certificate
            state = next_payer_state(Status.INVOICED, Event.JOURNAL)
            journal = [payee.key, payee.account, invoice.amount_tiyn, bundle, state.value, None]
            self.vault.put("sent", payment_id, journal)
            self.vault.put("paid", invoice.id, payment_id)
            self.vault.drop("intent", payment_id)

    def again(self, payment_id: bytes) -> bytes:
        """The identical bytes of a payment made before. Raises NotOwner if there is none."""
        sent = self._made(payment_id)
        self.mark(payment_id, Event.REPEAT)
        return sent.bundle

    def _made(self, payment_id: bytes) -> Sent:
        value = self.vault.get("sent", payment_id)
        if value is None:
            raise NotOwner("this purse made no such payment", payment=payment_id)
        return Sent.of(payment_id, value)

    def finish(self, payment_id: bytes, receipt_raw: bytes) -> None:
        """Take the payee's receipt: the payment is no longer pending.

        Raises:
            BadSignature, FormError: not this payee's receipt. WrongPayee, NotOwner: for another payment or purse.
        """
        sent = self._made(payment_id)
        receipt = read_receipt(receipt_raw, self.network, sent.payee)
        if receipt.payment_id != payment_id:
            raise WrongPayee("the receipt is for another payment", found=receipt.payment_id, wanted=payment_id)
        self.mark(payment_id, Event.RECEIPT, receipt_raw)

    # --- payee: accept -------------------------------------------------------------------------

    def accept(self, bundle_raw: bytes) -> bytes:
        """Take a payment: check it, store it, and answer with a receipt. A repeat gets the same receipt.

        Raises:
            TengeError: which guard refused; nothing was stored, but for a proven fork.
        """
        bundle = PaymentBundle.decode(bundle_raw)
        payment = decode(bundle.payment, self.network)
        known = self.vault.get("received", payment.id)
        if known is not None:
            self.mark_received(payment.id, Event.REPEAT)
            return bytes(known[0])
        know = self.knowledge()
        try:
            accepted = self._check_bundle(bundle, know)
        except DoubleSpend:
            self.keep_fork(bundle, know)
            raise
        receipt = self.element.sign_receipt(receipt_payload(accepted.id, know.ledger_time_s), bundle.payment)
        self._store(accepted, bundle, receipt)
        return receipt

    def _check_bundle(self, bundle: PaymentBundle, know: Knowledge) -> Accepted:
        return acceptance.check(bundle, self._open_invoice, know)

    def _open_invoice(self, wanted: bytes) -> Invoice | None:
        raw = self.vault.get("invoice", wanted)
        return None if raw is None else read_invoice(raw, self.network)

    def _store(self, accepted: Accepted, bundle: PaymentBundle, receipt: bytes) -> None:
        last = accepted.hops[-1]
        state = next_payee_state(Holding.INVOICED, Event.STORE)
        held = Received(
            id=accepted.id,
            receipt=receipt,
            account=accepted.payer.account,
            amount_tiyn=accepted.amount_tiyn,
            ledger_time_s=last.terms.ledger_time_s,
            state=state,
            inputs=last.transfer.inputs,
        )
        with self.vault.together():
            self.store_hops(accepted, bundle)
            self.vault.drop("invoice", last.terms.invoice_id)
            self.vault.put("received", accepted.id, held.fields())


def _change(output: Output, spent: Iterable[OfflineToken]) -> OfflineToken:
    """What of the tokens that a payment spends stays with its payer."""
    inputs = list(spent)
    mark = merged(inputs).get(output.purpose) if output.purpose is not None else None
    return OfflineToken(
        owner=output.owner,
        amount_tiyn=output.amount_tiyn,
        purpose=output.purpose,
        spend_until_s=min(token.spend_until_s for token in inputs),
        final_at_s=min(token.final_at_s for token in inputs),
        hops=max(token.hops for token in inputs),
        spenders=[],
        returned=False,
        left=mark.left if mark else None,
    )


__all__ = ["Event", "Holding", "Purse", "Received", "Sent", "Status"]
