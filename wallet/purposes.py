"""A wallet and special-purpose money online: requests, refunds, payments that wait, and what a sponsor does."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from dataclasses import replace

from cbdc.errors import (
    AmountMismatch,
    Expired,
    InsufficientFunds,
    NotEnrolled,
    NotOwner,
    Replayed,
    RoleRefused,
    TengeError,
    Unsettled,
)
from cbdc.formats import requests
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.requests import REQUEST_NONCE_BYTES
from cbdc.formats.tokens import Output
from cbdc.limits import MAX_SWEEP
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import NONCE_BYTES, Allow, Approve, Grant, Recall, Refund
from cbdc.messages.message import build, decode
from cbdc.purposes.definition import Definition
from cbdc.service.purpose_queries import Refundable
from cbdc.state.records import Token, Waiting
from wallet.online import VALID_FOR_S, OnlineWallet, coins_of
from wallet.port import LedgerPort
from wallet.selection import pick
from wallet.vault import Vault


class PurposeWallet(OnlineWallet):
    """An online wallet that asks, gives back, approves and sponsors."""

    def __init__(self, vault: Vault, network: bytes, random: Callable[[int], bytes] = os.urandom) -> None:
        super().__init__(vault, network)
        self.random = random

    # --- requests and refunds ------------------------------------------------------------------

    def request(self, amount_tiyn: int, lines: tuple[Line, ...]) -> bytes:
        """Ask to be paid online for these lines: a signed request, to be paid once. What they leave is for anything.

        Raises:
            AmountMismatch: the lines come to more than the amount.
        """
        lines_tiyn = sum(line.amount_tiyn for line in lines)
        if lines_tiyn > amount_tiyn:
            raise AmountMismatch("the items come to more than the amount", found=lines_tiyn, wanted=amount_tiyn)
        return requests.sign(self.key, self.network, amount_tiyn, lines, self.random(REQUEST_NONCE_BYTES))

    def refund(self, port: LedgerPort, payment_id: bytes, amount_tiyn: int | None = None) -> Receipt:
        """Give what a payment of marked tokens brought back, all or so much of it, under the marks that it bore.

        Raises:
            NotOwner, Replayed, Unsettled, Expired: see `refundable`. AmountMismatch: it brought less.
            InsufficientFunds: too little money for it.
        """
        source = self.refundable(port, payment_id, amount_tiyn)
        back_tiyn = source.rest_tiyn if amount_tiyn is None else amount_tiyn
        keys = port.keys_of(source.payer)
        if not keys:
            raise NotEnrolled("whoever paid has no key any more", account=source.payer)
        tokens = port.tokens_of([key.public for key in self.keys()])
        inputs, outputs = self._refund_outputs(tokens, source, back_tiyn, keys[0])
        body = Refund(inputs, outputs, port.ledger_time_s() + VALID_FOR_S, payment_id, source.purpose, source.payee)
        raw = build(Kind.REFUND, body, self.owners(tokens, inputs), self.network)
        return self.submit(port, raw, "refunded", -back_tiyn, source.payer)

    def refundable(self, port: LedgerPort, payment_id: bytes, amount_tiyn: int | None = None) -> Refundable:
        """What a payment brought this wallet that may be given back, and whether so much of it can be.

        Raises:
            NotOwner: it brought nothing that bore a mark. Replayed: all of that was given back. Unsettled: it waits.
            Expired: it has lapsed. AmountMismatch: it brought less. InsufficientFunds: too little money is here.
        """
        keys = {key.public for key in self.keys()}
        brought = [source for source in port.refundable(payment_id) if source.payee in keys | self._purse_keys()]
        found = [source for source in brought if source.rest_tiyn]
        if brought and not found:
            raise Replayed("all that the payment brought was given back", payment=payment_id)
        if not found:
            raise _brought_nothing(port.waiting_payment(payment_id), payment_id)
        back_tiyn = found[0].rest_tiyn if amount_tiyn is None else amount_tiyn
        if back_tiyn > found[0].rest_tiyn:
            raise AmountMismatch("more than is left of the payment", found=back_tiyn, limit=found[0].rest_tiyn)
        usable = [token for token in port.tokens_of(keys).values() if token.purpose in (None, found[0].purpose)]
        held_tiyn = sum(token.amount_tiyn for token in usable)
        if held_tiyn < back_tiyn:
            raise InsufficientFunds("not enough money online to give back", found=held_tiyn, wanted=back_tiyn)
        return found[0]

    def _purse_keys(self) -> set[bytes]:
        """Keys of the purse beside this wallet, now and before."""
        return set()

    def _refund_outputs(
        self, tokens: dict[bytes, Token], source: Refundable, back_tiyn: int, payer: bytes
    ) -> tuple[tuple[bytes, ...], tuple[Output, ...]]:
        """Marked tokens of the purpose first, then free ones."""
        coins = coins_of({name: token for name, token in tokens.items() if token.purpose in (None, source.purpose)})
        marked_tiyn = min(back_tiyn, sum(coin.amount_tiyn for coin in coins if coin.purpose is not None))
        shares: dict[bytes | None, int] = {source.purpose: marked_tiyn, None: back_tiyn - marked_tiyn}
        chosen = pick({mark: tiyn for mark, tiyn in shares.items() if tiyn}, coins, payer, self.key.public)
        owners = [tokens[name].owner for name in chosen.inputs]
        change_to = self.key.public if self.key.public in owners else owners[0]  # what goes to others is the refund
        change = [replace(output, owner=change_to) for output in chosen.outputs if output.owner != payer]
        return chosen.inputs, (Output(payer, back_tiyn, source.purpose), *change)

    # --- payments that wait --------------------------------------------------------------------

    def waiting(self, port: LedgerPort) -> dict[bytes, Waiting]:
        """Payments that wait and that this wallet makes, is paid by or may approve, by id; it remembers them."""
        own, account = {key.public for key in self.keys()}, self.certificate(port).account
        waiting = {
            payment_id: found
            for payment_id, found in port.waiting().items()
            if found.signer in own
            or any(output[1] in own for output in found.outputs)
            or account in port.approvers_of(payment_id)
        }
        for payment_id in waiting.keys() - self.waited():
            self.vault.put("waited", payment_id, None)
        return waiting

    def waited(self) -> set[bytes]:
        """Ids of payments that this wallet has seen waiting, whatever became of them."""
        own = {item.message_id for item in self.history() if item.what in ("waiting", "lapsed")}
        return own | {payment_id for payment_id, _ in self.vault.items("waited")}

    def lapsed(self, port: LedgerPort) -> dict[bytes, Waiting]:
        """Those of them that have lapsed, by id."""
        found = {payment_id: port.waiting_payment(payment_id) for payment_id in self.waited()}
        return {payment_id: held for payment_id, held in found.items() if held is not None and held.lapsed}

    def approve(self, port: LedgerPort, payment_id: bytes) -> Receipt:
        """Approve a payment that waits. Raises RoleRefused: no purpose of it asks for this wallet's approval."""
        raw = self.sign_approval(payment_id, self.certificate(port).account)
        return self.submit(port, raw, "approved", 0, payment_id.hex())

    def sign_approval(self, payment_id: bytes, account: str) -> bytes:
        """The approval of a payment by this wallet's account."""
        return build(Kind.APPROVE, Approve(payment_id, account), [self.key], self.network)

    # --- what a sponsor does -------------------------------------------------------------------

    def grant(self, port: LedgerPort, payee: bytes, amount_tiyn: int, purpose: bytes) -> Receipt:
        """Hand marked money out of the sponsor's own free tokens."""
        tokens = {name: t for name, t in port.tokens_of([self.key.public]).items() if t.purpose is None}
        chosen = pick({None: amount_tiyn}, coins_of(tokens), payee, self.key.public)
        first, *change = chosen.outputs
        outputs = (Output(first.owner, first.amount_tiyn, purpose), *change)
        body = Grant(chosen.inputs, outputs, port.ledger_time_s() + VALID_FOR_S, purpose)
        raw = build(Kind.GRANT, body, [self.key], self.network)
        return self.submit(port, raw, "granted", -amount_tiyn, payee.hex())

    def allow(self, port: LedgerPort, purpose: bytes, account: str, amount_tiyn: int) -> Receipt:
        """Let an account's purses pay so much of a purpose between two syncs without asking the ledger.

        Its bank then writes that into the purse's certificate.
        """
        body = Allow(purpose, account, amount_tiyn, self.random(NONCE_BYTES))
        return self.submit(port, build(Kind.ALLOW, body, [self.key], self.network), "allowed", 0, account)

    def recallable_tiyn(self, port: LedgerPort, purpose: bytes, owners: Iterable[bytes], reference: str) -> int:
        """What a recall would take; asked before the governor is.

        Raises:
            RoleRefused: the purpose is another's. FormError: no such reference can be. InsufficientFunds: nothing.
        """
        if port.purposes()[purpose].sponsor != self.key.public:
            raise RoleRefused("only the purpose's sponsor recalls it", purpose=purpose)
        held = {name: token for name, token in port.tokens_of(owners).items() if token.purpose == purpose}
        if not held:
            raise InsufficientFunds("nothing of this purpose is there online", purpose=purpose)
        decode(self.sign_recall(purpose, tuple(sorted(held)[:1]), reference), self.network)
        return sum(token.amount_tiyn for token in held.values())

    def recall(
        self, port: LedgerPort, purpose: bytes, owners: Iterable[bytes], reference: str, agree: Callable[[bytes], bytes]
    ) -> list[Receipt]:
        """Take all that these keys hold of a purpose online; ``agree`` has the governor countersign.

        What is in purses may be spent by now, and what waits in a payment is out of reach.

        Raises:
            InsufficientFunds: nothing is there. RoleRefused: not the sponsor's and the governor's to do.
        """
        held = {name: token for name, token in port.tokens_of(owners).items() if token.purpose == purpose}
        if not held:
            raise InsufficientFunds("nothing of this purpose is there online", purpose=purpose)
        names, receipts = sorted(held), []
        for start in range(0, len(names), MAX_SWEEP):
            part = tuple(names[start : start + MAX_SWEEP])
            raw = agree(self.sign_recall(purpose, part, reference))
            taken_tiyn = sum(held[name].amount_tiyn for name in part)
            receipts.append(self.submit(port, raw, "recalled", taken_tiyn, reference))
        return receipts

    def sign_recall(self, purpose: bytes, names: tuple[bytes, ...], reference: str) -> bytes:
        """Take unspent tokens of a purpose back by a court's decision: to be countersigned by the governor."""
        return build(Kind.RECALL, Recall(purpose, names, reference), [self.key], self.network)

    def define_purpose(self, port: LedgerPort, definition: Definition) -> bytes:
        """Enter a purpose that this wallet sponsors; its id."""
        raw = build(Kind.PURPOSE, definition, [self.key], self.network)
        self.submit(port, raw, "purpose", 0, definition.name)
        return decode(raw, self.network).id


def _brought_nothing(held: Waiting | None, payment_id: bytes) -> TengeError:
    """Why there is nothing of a payment to give back."""
    if held is None:
        return NotOwner("no payment of this id brought this wallet marked money", payment=payment_id)
    if held.lapsed:
        return Expired("the payment has lapsed and brought nothing", payment=payment_id, limit=held.until_s)
    return Unsettled("the payment still waits", payment=payment_id, until=held.until_s)
