"""A customer's wallet, headless: online tokens under keys from 24 words, and the purse beside them.

Every terminal action is first a call here. Nothing is shown or asked; a refusal is a typed error.
"""

from __future__ import annotations

import logging
import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cbdc.errors import (
    CertificateExpired,
    DoubleSpend,
    InsufficientFunds,
    ReserveShort,
    TengeError,
    TooLate,
    Unreachable,
    WrongPayee,
)
from cbdc.formats import cbor, certificates, cose
from cbdc.formats.certificates import Certificate
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_EVIDENCE
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Grant, Load, Reconcile, Transfer, Unload
from cbdc.messages.message import build, decode
from cbdc.offline.documents import TrustList
from cbdc.purposes.definition import Definition
from cbdc.purposes.marks import payment_facts
from cbdc.state.records import OfflineToken, Token
from wallet.element import SimulatedElement
from wallet.keys import KeyChain, check_words, words_of
from wallet.port import LedgerPort
from wallet.purse import Purse, Status
from wallet.sealing import seal, unseal
from wallet.selection import Coin, pick, split_by_purpose
from wallet.vault import KdfCost, Vault

log = logging.getLogger(__name__)

VALID_FOR_S: Final = 600
"""An online message is meant for ten minutes; a lost one does not surprise anybody next week."""

UNLOAD_VALID_FOR_S: Final = 365 * 86_400
"""An unload is signed once for ever, so it must still be good when it gets through after a power cut."""

GAP_LIMIT: Final = 20
"""Keys without a certificate after which a restore stops looking."""


@dataclass(frozen=True, slots=True)
class Balance:
    """Tiyn online, offline and pending (disjoint), and how much of the first two bears which purpose."""

    online_tiyn: int
    offline_tiyn: int
    pending_tiyn: int
    marked: dict[bytes, int]


@dataclass(frozen=True, slots=True)
class HistoryItem:
    """One line of a wallet's history; ``amount_tiyn`` is negative for what went out."""

    time_s: int
    what: str
    amount_tiyn: int
    counterpart: str
    message_id: bytes
    entry_index: int | None
    memo: str


@dataclass(frozen=True, slots=True)
class SyncReport:
    """What a sync changed: evidence sent, refused (payment id, error code), payments settled, money held now (tiyn)."""

    sent: int
    refused: tuple[tuple[bytes, str], ...]
    settled: int
    disputed: int
    offline_tiyn: int


class Customer:
    """A wallet on its directory: ``wallet.db`` and, apart from it, ``element.db``."""

    def __init__(
        self,
        vault: Vault,
        element: SimulatedElement,
        network: bytes,
        clock: Callable[[], int],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.vault = vault
        self.element = element
        self.network = network
        self._clock = clock
        self._chain = KeyChain(vault.get("wallet", b"words"))
        self.purse = Purse(vault, element, network, clock, random)

    # --- life ----------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        directory: Path,
        password: str,
        network: bytes,
        *,
        clock: Callable[[], int],
        words: str | None = None,
        cost: KdfCost | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> Customer:
        """Make a wallet for a network; with ``words`` from another wallet's backup, else with fresh ones.

        Raises:
            LedgerBusy: there is a wallet already. Malformed: the words are not 24 words.
        """
        words = check_words(words) if words else words_of(random(32))
        vault = Vault.create(directory / "wallet.db", password, cost=cost, random=random)
        with vault.together():
            vault.put("wallet", b"words", words)
            vault.put("wallet", b"network", network)
            vault.put("wallet", b"keys", 1)
        element = SimulatedElement.create(directory / "element.db", password, network, cost=cost, random=random)
        return cls(vault, element, network, clock, random)

    @classmethod
    def open(cls, directory: Path, password: str, *, clock: Callable[[], int]) -> Customer:
        """Open a wallet. Raises WrongPassword, WalletCorrupt, LedgerBusy."""
        vault = Vault.open(directory / "wallet.db", password)
        element = SimulatedElement.open(directory / "element.db", password)
        return cls(vault, element, vault.get("wallet", b"network"), clock)

    def close(self) -> None:
        """Let go of the files."""
        self.vault.close()
        self.element.close()

    def backup_words(self) -> str:
        """The 24 words. Show them once; whoever has them has the online money."""
        return str(self.vault.get("wallet", b"words"))

    def __repr__(self) -> str:
        return f"Customer({self.vault.path})"

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

    def install(self, wallet_certificate: bytes, purse_certificate: bytes) -> None:
        """Take the bank's two certificates."""
        self.vault.put("wallet", b"certificate", wallet_certificate)
        self.purse.install(purse_certificate)

    def certificate(self, port: LedgerPort) -> Certificate:
        """The certificate of the current online key, from the ledger. Raises NotEnrolled."""
        return certificates.unverified(port.certificate_bytes(self.key.public), self.network)[0]

    # --- balance and history -------------------------------------------------------------------

    def balance(self, port: LedgerPort | None) -> Balance:
        """Online (as the ledger says; 0 without one), offline and pending."""
        online = port.tokens_of([key.public for key in self.keys()]) if port else {}
        offline = self.purse.spendable()
        marked: dict[bytes, int] = {}
        held = [(t.purpose, t.amount_tiyn) for t in online.values()]
        held += [(t.purpose, t.amount_tiyn) for t in offline.values()]
        for purpose, amount_tiyn in held:
            if purpose is not None:
                marked[purpose] = marked.get(purpose, 0) + amount_tiyn
        return Balance(
            online_tiyn=sum(token.amount_tiyn for token in online.values()),
            offline_tiyn=sum(token.amount_tiyn for token in offline.values()),
            pending_tiyn=self.purse.pending_tiyn(),
            marked=marked,
        )

    def history(self) -> list[HistoryItem]:
        """Everything this wallet did or saw, oldest first."""
        items = [HistoryItem(*value) for _, value in self.vault.items("history")]
        return sorted(items, key=lambda item: (item.time_s, item.entry_index or 0))

    def look(self, port: LedgerPort) -> list[HistoryItem]:
        """Notice what has arrived since the last look; the new arrivals."""
        arrivals = []
        seen = {name for name, _ in self.vault.items("seen")}
        for name, token in port.tokens_of([key.public for key in self.keys()]).items():
            if name in seen:
                continue
            self.vault.put("seen", name, None)
            item = HistoryItem(port.ledger_time_s(), "received", token.amount_tiyn, "", name[:32], None, "")
            self.vault.put("history", name, _fields(item))
            arrivals.append(item)
        return arrivals

    # --- online --------------------------------------------------------------------------------

    def pay(
        self,
        port: LedgerPort,
        payee: bytes,
        amount_tiyn: int,
        *,
        purpose: bytes | None = None,
        memo: str = "",
    ) -> Receipt:
        """Pay an online key; the receipt is verified before it is returned.

        Raises:
            InsufficientFunds, PurposeRefused and every other refusal of the ledger.
        """
        tokens = port.tokens_of([key.public for key in self.keys()])
        coins = _coins(tokens)
        now_s = port.ledger_time_s()
        payee_certificate = _certificate_or_none(port, payee, self.network)
        account = payee_certificate.account if payee_certificate else payee.hex()
        facts = payment_facts(self.certificate(port).account, account, payee_certificate, amount_tiyn, now_s)
        shares = split_by_purpose(amount_tiyn, coins, port.purposes(), facts, purpose)
        chosen = pick(shares, coins, payee, self.key.public)
        sealed = seal(memo, payee, self.network) if memo else None
        body = Transfer(chosen.inputs, chosen.outputs, now_s + VALID_FOR_S, sealed)
        raw = build(Kind.TRANSFER, body, self._owners(tokens, chosen.inputs), self.network)
        return self._submit(port, raw, "paid", -amount_tiyn, account, memo)

    def grant(self, port: LedgerPort, payee: bytes, amount_tiyn: int, purpose: bytes) -> Receipt:
        """Hand marked money out of the sponsor's own free tokens."""
        tokens = {name: t for name, t in port.tokens_of([self.key.public]).items() if t.purpose is None}
        chosen = pick({None: amount_tiyn}, _coins(tokens), payee, self.key.public)
        first, *change = chosen.outputs
        outputs = (Output(first.owner, first.amount_tiyn, purpose), *change)
        body = Grant(chosen.inputs, outputs, port.ledger_time_s() + VALID_FOR_S, purpose)
        raw = build(Kind.GRANT, body, [self.key], self.network)
        return self._submit(port, raw, "granted", -amount_tiyn, payee.hex())

    def define_purpose(self, port: LedgerPort, definition: Definition) -> bytes:
        """Enter a purpose that this wallet sponsors; its id."""
        raw = build(Kind.PURPOSE, definition, [self.key], self.network)
        self._submit(port, raw, "purpose", 0, definition.name)
        return decode(raw, self.network).id

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

    # --- purse ---------------------------------------------------------------------------------

    def load(self, port: LedgerPort, amount_tiyn: int, purpose: bytes | None = None) -> Receipt:
        """Move online money into the purse: one offline token."""
        tokens = {n: t for n, t in port.tokens_of([self.key.public]).items() if t.purpose == purpose}
        chosen = pick({purpose: amount_tiyn}, _coins(tokens), self.element.public_key, self.key.public)
        body = Load(chosen.inputs, chosen.outputs, port.ledger_time_s() + VALID_FOR_S)
        raw = build(Kind.LOAD, body, [self.key], self.network)
        receipt = self._submit(port, raw, "loaded", -amount_tiyn, "purse")
        name = outpoint(decode(raw, self.network).id, 0)
        self._take_in(port, name)
        self._learn(port)
        self._note_sync(port)
        return receipt

    def _take_in(self, port: LedgerPort, name: bytes) -> None:
        token, certificate = port.offline_token(name), port.load_certificate(name)
        if token is not None and certificate is not None:
            self.purse.add(name, token, certificate)

    def unload(self, port: LedgerPort, amount_tiyn: int, purpose: bytes | None = None) -> Receipt:
        """Move money out of the purse; the rest is renewed, as in a sync."""
        self._learn(port)
        self.purse.trust_list.check_not_revoked(self.purse.certificate.id)
        self._resume_unload(port)
        self._reconcile(port)
        leaves = port.offline_of([self.element.public_key])
        held_tiyn = sum(leaf.amount_tiyn for leaf in leaves.values() if leaf.purpose == purpose)
        if held_tiyn < amount_tiyn:
            raise InsufficientFunds("the purse holds less", found=held_tiyn, wanted=amount_tiyn)
        totals = _totals(leaves)
        totals[purpose] -= amount_tiyn
        rest = self._rest(port, totals)
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
        settled, disputed = self._settle(port)
        if not stuck:
            self._renew(port)
        self._note_sync(port)
        return SyncReport(sent, refused, settled, disputed, self.purse.balance_tiyn())

    def _learn(self, port: LedgerPort) -> None:
        self.purse.learn(port.trust_list(), port.policy(), port.purposes())

    def _note_sync(self, port: LedgerPort) -> None:
        word = port.sync_certificate(self.element.public_key, self.element.sync_challenge())
        self.element.note_sync(word, port.trust_list())

    def _reconcile(self, port: LedgerPort) -> tuple[int, tuple[tuple[bytes, str], ...]]:
        """Hand in what the ledger may not have; ids and codes of what it refused."""
        evidence = self.purse.evidence()
        ids = [decode(raw, self.network).id for raw in evidence]
        refused: list[tuple[bytes, str]] = []
        for start in range(0, len(evidence), MAX_EVIDENCE):
            part = evidence[start : start + MAX_EVIDENCE]
            try:
                port.submit(build(Kind.RECONCILE, Reconcile(tuple(part)), [], self.network))
            except TengeError as error:
                refused.append((ids[start], error.code))
        known = [payment_id for payment_id in ids if self._is_known(port, payment_id)]
        return len(evidence), tuple((payment_id, code) for payment_id, code in refused if payment_id not in known)

    @staticmethod
    def _is_known(port: LedgerPort, payment_id: bytes) -> bool:
        return port.offline_token(outpoint(payment_id, 0)) is not None

    def _settle(self, port: LedgerPort) -> tuple[int, int]:
        """Write down what became of every payment made; how many settled, how many are part of a fork."""
        settled = disputed = 0
        for sent in self.purse.sent():
            if not self._is_known(port, sent.id):
                continue
            transfer = decode(sent.payment(), self.network).body
            inputs = transfer.inputs if isinstance(transfer, Transfer) else ()
            forked = any(len(port.spenders_of(name)) > 1 for name in inputs)
            self.purse.mark(sent.id, Status.DISPUTED if forked else Status.SETTLED)
            settled, disputed = settled + (not forked), disputed + forked
        return settled, disputed

    def _renew(self, port: LedgerPort) -> None:
        """Swap all leaves for fresh ones at hop 0; where that is refused, keep what the ledger knows as it is."""
        leaves = port.offline_of([self.element.public_key])
        if not leaves:
            self.purse.hold({}, {})
            self._forget_known_evidence(port)
            return
        try:
            self._check_renewable(port)
        except TengeError:
            self.purse.keep_only(leaves)
            return
        self._unload(port, leaves, self._rest(port, _totals(leaves)), "renewed", 0)

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

    def _rest(self, port: LedgerPort, totals: dict[bytes | None, int]) -> tuple[Output, ...]:
        """What stays in the purse, one token for each purpose; expired purposes go online, where they are swept."""
        now_s, purposes = port.ledger_time_s(), port.purposes()
        outputs = []
        for purpose, amount_tiyn in sorted(totals.items(), key=lambda item: item[0] or b""):
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
        self.vault.put("unload", b"", [payload, what, out_tiyn])
        return self._finish_unload(port, payload, what, out_tiyn)

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
            receipt = self._submit(port, raw, what, out_tiyn, "purse")
        except (DoubleSpend, TooLate):
            self.vault.drop("unload", b"")
            raise
        message = decode(raw, self.network)
        tokens, loads = {}, {}
        for index, output in enumerate(Unload.from_cbor(cbor.decode(payload)).outputs):
            name = outpoint(message.id, index)
            token, certificate = port.offline_token(name), port.load_certificate(name)
            if output.owner == self.element.public_key and token is not None and certificate is not None:
                tokens[name], loads[name] = token, certificate
        self.purse.hold(tokens, loads)
        self.vault.drop("unload", b"")
        self._forget_known_evidence(port)
        return receipt

    def _forget_known_evidence(self, port: LedgerPort) -> None:
        """Every token of the purse has a fresh load certificate, so no ancestry is needed any more."""
        ids = [decode(raw, self.network).id for raw in self.purse.evidence()]
        self.purse.forget_evidence([payment_id for payment_id in ids if self._is_known(port, payment_id)])

    # --- receipts ------------------------------------------------------------------------------

    def _submit(
        self, port: LedgerPort, raw: bytes, what: str, amount_tiyn: int, counterpart: str, memo: str = ""
    ) -> Receipt:
        """Submit, verify the receipt under the pinned root, write it down."""
        receipt = port.submit(raw)
        operator_key = TrustList.verify(port.trust_list(), self.network).operator_key()
        receipt.verify(raw, port.origin, operator_key)
        message = decode(raw, self.network)
        item = HistoryItem(receipt.time_s, what, amount_tiyn, counterpart, message.id, receipt.index, memo)
        with self.vault.together():
            self.vault.put("receipt", message.id, [raw, receipt.encode()])
            self.vault.put("history", message.id, _fields(item))
            for index, output in enumerate(getattr(message.body, "outputs", ())):
                if output.owner == self.key.public:
                    self.vault.put("seen", outpoint(message.id, index), None)
        return receipt

    def receipts(self) -> list[tuple[bytes, Receipt]]:
        """(message bytes, receipt) of everything this wallet submitted."""
        return [(raw, Receipt.decode(data)) for _, (raw, data) in self.vault.items("receipt")]

    def _owners(self, tokens: dict[bytes, Token], inputs: tuple[bytes, ...]) -> list[SigningKey]:
        owners = {tokens[name].owner for name in inputs}
        return [key for key in self.keys() if key.public in owners]


def _coins(tokens: dict[bytes, Token]) -> list[Coin]:
    return [Coin(name, token.amount_tiyn, token.purpose) for name, token in tokens.items()]


def _totals(leaves: dict[bytes, OfflineToken]) -> dict[bytes | None, int]:
    totals: dict[bytes | None, int] = {}
    for leaf in leaves.values():
        totals[leaf.purpose] = totals.get(leaf.purpose, 0) + leaf.amount_tiyn
    return totals


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


def _fields(item: HistoryItem) -> list[cbor.Value]:
    return [getattr(item, name) for name in HistoryItem.__match_args__]
