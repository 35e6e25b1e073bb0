"""The online half of a wallet: tokens under keys from 24 words, payments on the ledger, receipts and history."""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from cbdc.errors import AmountMismatch, Malformed, NotEnrolled, Replayed, TengeError, Unsettled, WrongPayee
from cbdc.formats import certificates, requests
from cbdc.formats.certificates import Certificate
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.kinds import Kind
from cbdc.formats.requests import PaymentRequest
from cbdc.formats.tokens import Output, outpoint
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Repay, Transfer
from cbdc.messages.message import build, decode
from cbdc.offline.documents import TrustList
from cbdc.purposes.conditions import Payment
from cbdc.purposes.marks import payment_facts
from cbdc.state.records import Token
from wallet.history import HistoryItem
from wallet.keys import KeyChain
from wallet.plan import Plan, plan_of
from wallet.port import LedgerPort
from wallet.sealing import seal, unseal
from wallet.selection import Coin, pick
from wallet.vault import Vault

VALID_FOR_S: Final = 600
"""An online message is meant for ten minutes; a lost one does not surprise anybody next week."""

WAIT_FOR_S: Final = 14 * 86_400
"""How long a payment waits for approval or evidence unless its payer says else; then its value is free again."""

GAP_LIMIT: Final = 20
"""Keys without a certificate after which a restore stops looking."""


class OnlineWallet:
    """What a wallet does while it can reach the ledger."""

    def __init__(self, vault: Vault, network: bytes) -> None:
        self.vault = vault
        self.network = network
        self._chain = KeyChain(vault.get("wallet", b"words"))

    def backup_words(self) -> str:
        """The 24 words. Show them once; whoever has them has the online money."""
        return str(self.vault.get("wallet", b"words"))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.vault.path})"

    # --- keys ----------------------------------------------------------------------------------

    @property
    def key(self) -> SigningKey:
        """The current online key."""
        return self._chain.online_key(self.vault.get("wallet", b"keys") - 1)

    def keys(self) -> list[SigningKey]:
        """Every online key used so far."""
        return [self._chain.online_key(number) for number in range(self.vault.get("wallet", b"keys"))]

    def restore(self, port: LedgerPort) -> int:
        """Find the keys and tokens of restored words again; how many keys are in use."""
        found, number = 1, 0
        while number < found + GAP_LIMIT:
            key = self._chain.online_key(number).public
            if _is_enrolled(port, key) or port.tokens_of([key]):
                found = number + 1
            number += 1
        self.vault.put("wallet", b"keys", found)
        return found

    def certificate(self, port: LedgerPort) -> Certificate:
        """The certificate of the current online key, from the ledger. Raises NotEnrolled."""
        return certificates.unverified(port.certificate_bytes(self.key.public), self.network)[0]

    # --- history -------------------------------------------------------------------------------

    def history(self) -> list[HistoryItem]:
        """Everything this wallet did or saw, oldest first."""
        items = [HistoryItem(*value) for _, value in self.vault.items("history")]
        return sorted([*items, *self._offline_items()], key=lambda item: (item.time_s, item.entry_index or 0))

    def _offline_items(self) -> list[HistoryItem]:
        """What a purse beside it did."""
        return []

    def look(self, port: LedgerPort) -> list[HistoryItem]:
        """Notice what has arrived since the last look, and what became of payments that waited; the new arrivals."""
        own = self._end_waiting(port)
        arrivals = []
        seen = {name for name, _ in self.vault.items("seen")}
        for name, token in port.tokens_of([key.public for key in self.keys()]).items():
            if name in seen:
                continue
            self.vault.put("seen", name, None)
            if name[:HASH_BYTES] in own:
                continue  # what a payment of this wallet returned
            item = HistoryItem(port.ledger_time_s(), "received", token.amount_tiyn, "", name[:32], None, "")
            self.vault.put("history", name, item.fields())
            arrivals.append(item)
        return arrivals

    def _end_waiting(self, port: LedgerPort) -> set[bytes]:
        """Write down which payments have gone through and which have lapsed; the ids of those that did ever."""
        lapsed = set()
        for name, value in self.vault.items("history"):
            item = HistoryItem(*value)
            if item.what == "waiting":
                found = port.waiting_payment(item.message_id)
                if found is None:
                    item = replace(item, what="paid")
                elif found.lapsed:
                    item = replace(item, what="lapsed", amount_tiyn=0)
                if item.what != "waiting":
                    self.vault.put("history", name, item.fields())
            if item.what == "lapsed":
                lapsed.add(item.message_id)
        return lapsed

    # --- online --------------------------------------------------------------------------------

    def pay(
        self,
        port: LedgerPort,
        payee: bytes,
        amount_tiyn: int,
        *,
        purpose: bytes | None = None,
        memo: str = "",
        request: bytes | None = None,
        wait_s: int = WAIT_FOR_S,
        agreed: Plan | None = None,
    ) -> Receipt:
        """Pay an online key; the receipt is verified before it is returned.

        ``request`` is the payee's own word on what is bought (`PurposeWallet.request`). The payment carries it, so that
        the ledger counts it once, unless it would show lines that no condition asks for: then this wallet remembers it.
        What needs approval or evidence waits for it, at most ``wait_s`` seconds: `PurposeWallet.waiting` shows it.
        ``agreed`` is the plan that somebody said yes to.

        Raises:
            Unsettled: the payment divides otherwise by now than was agreed. Replayed: the request was paid before.
            InsufficientFunds, PurposeRefused and every other refusal of the ledger.
        """
        tokens = self._tokens_to_pay(port, purpose)
        coins = coins_of(tokens)
        plan = self.plan(port, payee, amount_tiyn, purpose=purpose, request=request, coins=coins)
        if agreed is not None and not plan.is_as(agreed):
            raise Unsettled("the payment divides otherwise by now: look at it again", payee=plan.payee)
        split_off = self._split_off(port, plan)
        chosen = pick(plan.shares, coins, payee, self._change_to(tokens, plan), split_off=split_off)
        sealed = seal(memo, payee, self.network) if memo else None
        until_s = port.ledger_time_s() + (wait_s if plan.waits else VALID_FOR_S)
        asked = None if request is None else self._unpaid(request)
        lines = plan.lines_to_state(asked.lines) if asked else ()
        carried = request if plan.states_lines else None
        body = Transfer(chosen.inputs, chosen.outputs, until_s, sealed, None, lines, carried)
        raw = build(Kind.TRANSFER, body, self.owners(tokens, chosen.inputs), self.network)
        receipt = self.submit(port, raw, "waiting" if plan.waits else "paid", -amount_tiyn, plan.payee, memo)
        if asked is not None and carried is None:
            self.vault.put("request", asked.id, receipt.index)
        return receipt

    def _unpaid(self, request: bytes) -> PaymentRequest:
        """A request that this wallet has not paid yet. Raises Replayed."""
        asked = requests.read(request, self.network)
        paid_at = self.vault.get("request", asked.id)
        if paid_at is not None:
            raise Replayed("the request was paid before", id=asked.id, entry=paid_at)
        return asked

    def _change_to(self, tokens: dict[bytes, Token], plan: Plan) -> bytes:
        """The key that change goes to: whose the marked ones are, since to any other key it would be a payment."""
        owners = [
            token.owner for token in tokens.values() if token.purpose is not None and token.purpose in plan.shares
        ]
        return owners[0] if owners else self.key.public

    def _tokens_to_pay(self, port: LedgerPort, purpose: bytes | None) -> dict[bytes, Token]:
        """All free tokens, and of marked ones those of one key: the ledger takes those of several not together.

        It is the key that holds most of the purpose that is named, or of all marked money.
        """
        tokens = port.tokens_of([key.public for key in self.keys()])
        marked_tiyn: dict[bytes, int] = {}
        for token in tokens.values():
            if token.purpose is not None and purpose in (None, token.purpose):
                marked_tiyn[token.owner] = marked_tiyn.get(token.owner, 0) + token.amount_tiyn
        if not marked_tiyn:
            return {name: token for name, token in tokens.items() if token.purpose is None}
        chosen = max(marked_tiyn, key=lambda owner: (marked_tiyn[owner], owner))
        return {name: token for name, token in tokens.items() if token.purpose is None or token.owner == chosen}

    def plan(
        self,
        port: LedgerPort,
        payee: bytes,
        amount_tiyn: int,
        *,
        purpose: bytes | None = None,
        request: bytes | None = None,
        coins: list[Coin] | None = None,
    ) -> Plan:
        """How a payment would divide, and what it would wait for; nothing is signed. Arguments and errors as `pay`."""
        asked = None if request is None else requests.read(request, self.network)
        if asked is not None:
            _check_asked(asked, payee, amount_tiyn)
        if payee in {key.public for key in self.keys()}:
            raise Malformed("this wallet would pay itself", payee=payee)
        certificate = _certificate_or_none(port, payee, self.network)
        account = certificate.account if certificate else port.institution_of(payee) or payee.hex()
        payer, now_s = self.certificate(port).account, port.ledger_time_s()

        def facts_of(mark: bytes) -> Payment:
            return payment_facts(
                payer,
                account,
                certificate,
                amount_tiyn,
                now_s,
                lines=asked.lines if asked else (),
                memory=port.purpose_memory(mark, payer, account),
            )

        held = coins if coins is not None else coins_of(self._tokens_to_pay(port, purpose))
        return plan_of(account, amount_tiyn, held, port.purposes(), facts_of, purpose)

    def _split_off(self, port: LedgerPort, plan: Plan) -> dict[bytes, Output]:
        """What rules split off, by purpose. Raises NotEnrolled: nobody there can be paid."""
        outputs = {}
        for part in plan.parts:
            if part.purpose is None or part.definition is None or part.definition.split is None or not part.split_tiyn:
                continue
            to = _key_of(port, part.definition.split.to)
            outputs[part.purpose] = Output(to, part.split_tiyn, part.purpose)
        return outputs

    def repay(self, port: LedgerPort, purse_key: bytes, amount_tiyn: int) -> Receipt:
        """Pay towards what a purse (by its key) owes for its forks, out of free tokens.

        Raises:
            InsufficientFunds: too little free money. AmountMismatch: more than the purse owes.
        """
        tokens = {name: t for name, t in port.tokens_of([key.public for key in self.keys()]).items() if not t.purpose}
        chosen = pick({None: amount_tiyn}, coins_of(tokens), purse_key, self.key.public)
        change = tuple(output for output in chosen.outputs if output.owner == self.key.public)
        body = Repay(chosen.inputs, change, port.ledger_time_s() + VALID_FOR_S, purse_key, amount_tiyn)
        raw = build(Kind.REPAY, body, self.owners(tokens, chosen.inputs), self.network)
        return self.submit(port, raw, "repaid", -amount_tiyn, "debt")

    def read_memo(self, message: bytes) -> str:
        """The memo of a transfer to one of this wallet's keys; "" if it has none.

        Raises:
            Malformed: it is sealed for somebody else.
        """
        body = decode(message, self.network).body
        if not isinstance(body, Transfer) or body.sealed is None:
            return ""
        owners = {output.owner for output in body.outputs}
        for key in self.keys():
            if key.public in owners:
                return unseal(body.sealed, key, self.network)
        raise WrongPayee("the transfer pays none of this wallet's keys")

    # --- receipts ------------------------------------------------------------------------------

    def submit(
        self, port: LedgerPort, raw: bytes, what: str, amount_tiyn: int, counterpart: str, memo: str = ""
    ) -> Receipt:
        """Submit, verify the receipt under the pinned root, write it down."""
        receipt = port.submit(raw)
        operator_key = TrustList.verify(port.trust_list(), self.network).operator_key()
        receipt.verify(raw, port.origin, operator_key)
        message = decode(raw, self.network)
        own = {key.public for key in self.keys()}
        item = HistoryItem(receipt.time_s, what, amount_tiyn, counterpart, message.id, receipt.index, memo)
        with self.vault.together():
            self.vault.put("receipt", message.id, [raw, receipt.encode()])
            self.vault.put("history", message.id, item.fields())
            for index, output in enumerate(getattr(message.body, "outputs", ())):
                if output.owner in own:
                    self.vault.put("seen", outpoint(message.id, index), None)
        return receipt

    def receipts(self) -> list[tuple[bytes, Receipt]]:
        """(message bytes, receipt) of everything this wallet submitted."""
        return [(raw, Receipt.decode(data)) for _, (raw, data) in self.vault.items("receipt")]

    def owners(self, tokens: dict[bytes, Token], inputs: tuple[bytes, ...]) -> list[SigningKey]:
        """This wallet's keys that own these inputs."""
        owners = {tokens[name].owner for name in inputs}
        return [key for key in self.keys() if key.public in owners]


def coins_of(tokens: dict[bytes, Token]) -> list[Coin]:
    """Online tokens as coins to pick from."""
    return [Coin(name, token.amount_tiyn, token.purpose, left=token.left) for name, token in tokens.items()]


def _key_of(port: LedgerPort, account: str) -> bytes:
    """The key to pay an account or an institution at. Raises NotEnrolled: it has none."""
    found = port.keys_of(account)[:1] if "/" in account else (port.institution_key(account),)
    for key in found:
        if key is not None:
            return key
    raise NotEnrolled("the account that a part goes to has no key", account=account)


def _check_asked(asked: PaymentRequest, payee: bytes, amount_tiyn: int) -> None:
    """Whether a request asks for this payment. Raises WrongPayee, AmountMismatch."""
    if asked.payee != payee:
        raise WrongPayee("the request is by another payee", found=payee, wanted=asked.payee)
    if asked.amount_tiyn != amount_tiyn:
        raise AmountMismatch("not the amount that was asked for", found=amount_tiyn, wanted=asked.amount_tiyn)


def _is_enrolled(port: LedgerPort, key: bytes) -> bool:
    try:
        port.certificate_bytes(key)
    except TengeError:
        return False
    return True


def _certificate_or_none(port: LedgerPort, key: bytes, network: bytes) -> Certificate | None:
    try:
        return certificates.unverified(port.certificate_bytes(key), network)[0]
    except TengeError:
        return None
