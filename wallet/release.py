"""A payment given back: the payee signs it to its payer, who takes it like money of his own."""

from __future__ import annotations

import logging
from typing import Final

from cbdc.errors import DoubleSpend, NotOwner, TengeError, Unreachable, WrongPayee
from cbdc.formats import cbor, cose
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.messages.bodies import OfflineTerms, Transfer
from cbdc.messages.message import decode, message_id
from cbdc.offline.judge import Parties, judge
from cbdc.state.records import OfflineToken
from wallet import acceptance
from wallet.acceptance import Knowledge
from wallet.protocol import PaymentBundle
from wallet.purse_store import PurseStore, Received
from wallet.states import Event, Holding

log = logging.getLogger(__name__)

OFFLINE_VALID_FOR_S: Final = 365 * 86_400
"""How long an offline transfer says it is meant; its tokens' deadlines are what bounds it."""


class ReleasingPurse(PurseStore):
    """A purse that gives payments back and takes them back."""

    def release(self, payment_id: bytes) -> bytes:
        """Payee: give a payment back to its payer; the bundle for him. A repeat gives the identical bytes.

        Raises:
            NotOwner: this purse took no such payment, or the ledger refused it.
            DoubleSpend: it no longer holds all that the payment brought.
            TengeError: which guard refused; nothing was signed.
        """
        self.recover()
        released = self.vault.get("release", payment_id)
        if released is not None:
            return bytes(released)
        held = self.vault.get("received", payment_id)
        if held is None or Received.of(payment_id, held).state is Holding.REFUSED:
            raise NotOwner("this purse was paid nothing by it", payment=payment_id)
        inputs, payload = self._compose_release(payment_id, self.knowledge())
        self.vault.put("releasing", payment_id, [payload, list(inputs)])
        try:
            return self._sign_release(payment_id, payload, inputs)
        except Unreachable:
            raise  # the element may have signed before it died: `recover` will ask it
        except TengeError:
            self.vault.drop("releasing", payment_id)
            raise

    def _compose_release(self, payment_id: bytes, know: Knowledge) -> tuple[tuple[bytes, ...], bytes]:
        know.check_trust_list_fresh()
        tokens = self._brought_by(payment_id)
        acceptance.check_deadlines(tokens, know.now_s)
        sources = [token.paid for token in tokens.values() if token.paid is not None]
        payer = self.vault.get("certificate", sources[0][0]) if len(sources) == len(tokens) else None
        if payer is None:
            raise NotOwner("the payment was not taken from its payer", payment=payment_id)
        parties = Parties(know.certificate, acceptance.verified_certificate(payer, know))
        counter, spends = self.element.counters()
        terms = OfflineTerms(
            invoice_id=payment_id,
            payer_certificate=parties.payer.id,
            payee_certificate=parties.payee.id,
            counter=counter + 1,
            spends=spends + 1,
            hop=max(token.hops for token in tokens.values()) - 1,
            trust_list_s=know.trust_list.time_s,
            ledger_time_s=know.ledger_time_s,
        )
        back = zip(tokens.values(), sources, strict=True)
        outputs = tuple(Output(parties.payee.key, token.amount_tiyn, source[1]) for token, source in back)
        transfer = Transfer(tuple(tokens), outputs, know.ledger_time_s + OFFLINE_VALID_FOR_S, None, terms)
        self._check_own(transfer, list(tokens.values()), parties, know)
        payload = cbor.encode(transfer.to_cbor())
        self.check_fits(payload, tokens)
        return tuple(tokens), payload

    def _brought_by(self, payment_id: bytes) -> dict[bytes, OfflineToken]:
        """All tokens that a payment brought, as long as none of them has moved on."""
        raw = self.vault.get("payment", payment_id)
        body = None if raw is None else decode(raw, self.network).body
        outputs = body.outputs if isinstance(body, Transfer) else ()
        own = self.element.public_key
        names = [outpoint(payment_id, index) for index, output in enumerate(outputs) if output.owner == own]
        held = self.tokens()
        if not names or any(name not in held or self.element.has_spent(name) for name in names):
            raise DoubleSpend("the purse no longer holds what this payment brought", payment=payment_id)
        return {name: held[name] for name in names}

    def _sign_release(self, payment_id: bytes, payload: bytes, inputs: tuple[bytes, ...]) -> bytes:
        raw = cose.assemble(Kind.TRANSFER, payload, [self.element.sign_payment(payload)])
        bundle, release_id = self.bundle_of(raw, inputs).encode(), message_id(Kind.TRANSFER, payload)
        with self.vault.together():
            for name in inputs:
                self.vault.drop("token", name)
                self.vault.put("spender", name, release_id)
            self.vault.put("payment", release_id, raw)
            self.vault.put("release", payment_id, bundle)
            self.mark_received(payment_id, Event.RELEASE)
            self.vault.drop("releasing", payment_id)
        return bundle

    def recover(self) -> int:
        """Finish releases that the element has signed; how many. Others never happened, and are forgotten."""
        finished = 0
        for payment_id, (payload, inputs) in self.vault.items("releasing"):
            try:
                if all(self.element.has_spent(name) for name in inputs):
                    self._sign_release(payment_id, payload, tuple(inputs))
                    finished += 1
            except DoubleSpend:  # the element went another way: this release will never be signed
                log.warning("an interrupted release was overtaken by another spend of its tokens")
            self.vault.drop("releasing", payment_id)
        return finished

    def take_back(self, bundle_raw: bytes) -> bytes:
        """Payer: take a release of a payment that this purse made; the payment's id. A repeat changes nothing.

        Raises:
            TengeError: which guard refused; nothing was stored, but for a proven fork.
        """
        bundle = PaymentBundle.decode(bundle_raw)
        known = self.vault.get("returned", decode(bundle.payment, self.network).id)
        if known is not None:
            return bytes(known)
        know = self.knowledge()
        try:
            accepted = acceptance.check_release(bundle, self._has_made, know)
        except DoubleSpend:
            self.keep_fork(bundle, know)
            raise
        payment_id = accepted.hops[-1].terms.invoice_id
        with self.vault.together():
            self.store_hops(accepted, bundle)
            self.mark(payment_id, Event.RELEASE)
            self.vault.put("returned", accepted.id, payment_id)
            self.vault.put("returned at", payment_id, accepted.hops[-1].terms.ledger_time_s)
        return payment_id

    def _has_made(self, payment_id: bytes) -> bool:
        return self.vault.get("sent", payment_id) is not None

    def _check_own(self, transfer: Transfer, inputs: list[OfflineToken], parties: Parties, know: Knowledge) -> None:
        """Judge what is about to be signed as its taker and the ledger will."""
        if transfer.terms is None:
            raise WrongPayee("not an offline transfer")
        days = know.policy.trust_list_days
        judge(transfer, transfer.terms, frozenset({parties.payer.key}), inputs, parties, self.definition, days)
