"""What the fault tests play on: a real ledger file whose every token and every next message is known."""

from __future__ import annotations

import shutil
import threading
from collections.abc import Sequence
from concurrent.futures import Future
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from cbdc.errors import TengeError
from cbdc.formats import requests
from cbdc.formats.certificates import Holder, Merchant
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output, outpoint
from cbdc.formats.x509 import Role
from cbdc.log.receipts import Receipt
from cbdc.messages import bodies
from cbdc.messages.message import build, decode
from cbdc.policy import DAY_S, Policy
from cbdc.purposes.conditions import All, Approval, Evidence, Items, PayeeMcc, PerPayment, PerPeriod
from cbdc.purposes.conditions import Any as AnyOf
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears, KeepsHops
from cbdc.service import audit, verifiers
from cbdc.service.audit import Verdict
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.queries import Queries
from cbdc.service.verifiers import Outcome
from cbdc.service.writer import NoFaults
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.waiting import SETTLED_FROM
from tests.support import LATER_S, LIMITS, NOW_S, Customer, World, seed

NETWORK_NAME = "test"
"""As `World.founded` names its network."""

COIN_TIYN = 100_00
PATIENCE_S = 30
"""How long a test waits for what happens at once on an idle machine; longer means that it never happens."""

_FAN_OUT = 256


class Recorder(World):
    """A world that remembers the bytes of all that it carried out and when (ledger time)."""

    def __post_init__(self) -> None:
        self.messages: list[tuple[int, bytes]] = []
        self.keys: dict[bytes, SigningKey] = {}
        super().__post_init__()
        for key in (self.governor.key, self.operator):
            self.keys[key.public] = key

    def submit(self, raw: bytes) -> bytes:
        message_id = super().submit(raw)
        self.messages.append((self.now_s, raw))
        return message_id

    def admit(self, name: str) -> SigningKey:
        key = super().admit(name)
        self.keys[key.public] = key
        return key

    def customer(self, name: str, bank: str = "altyn", **options: Any) -> Customer:
        customer = super().customer(name, bank, **options)
        self.keys |= {customer.key.public: customer.key, customer.purse.public: customer.purse}
        return customer

    def identity(self) -> Identity:
        return Identity(self.network, NETWORK_NAME, self.operator)

    def write(self, path: Path, *, together: int = 0) -> None:
        """Carry everything out once more, on a real ledger in a new file.

        Each message is a group of its own, but for the last ``together``: the first of those is one, and all that
        are submitted while it is being verified are another.
        """
        now_s, verifier = NOW_S, SlowVerifier()
        alone = len(self.messages) - together
        with Ledger(SqliteStore.create(path), self.identity(), clock=lambda: now_s, verifier=verifier) as ledger:
            for now_s, raw in self.messages[:alone]:  # noqa: B007 - the clock reads it
                ledger.submit(raw).result(PATIENCE_S)
            if together:
                verifier.shut()
                answers = [ledger.submit(raw) for _, raw in self.messages[alone : alone + 1]]
                assert verifier.entered.wait(PATIENCE_S)
                answers += [ledger.submit(raw) for _, raw in self.messages[alone + 1 :]]
                verifier.open()
                for answer in answers:
                    answer.result(PATIENCE_S)


@dataclass
class Stage:
    """A ledger file in which ``aida`` owns many coins of `COIN_TIYN`, and ``bek`` none."""

    path: Path
    world: Recorder
    aida: Customer
    bek: Customer
    coins: list[bytes]

    @classmethod
    def build(cls, path: Path, coins: int = _FAN_OUT) -> Stage:
        world = Recorder.founded("altyn")
        aida = world.customer("aida", limits=replace(LIMITS, holding_tiyn=10 * COIN_TIYN))
        bek = world.customer("bek")
        names: list[bytes] = []
        while len(names) < coins:
            count = min(_FAN_OUT, coins - len(names))
            token = world.issue("altyn", count * COIN_TIYN)
            body = bodies.Transfer((token,), (Output(aida.key.public, COIN_TIYN, None),) * count, LATER_S)
            message_id = world.do(Kind.TRANSFER, body, world.banks["altyn"])
            names.extend(outpoint(message_id, index) for index in range(count))
        world.write(path)
        return cls(path, world, aida, bek, names)

    def copy_to(self, path: Path) -> Stage:
        """The same stage on a file of its own."""
        shutil.copy(self.path, path)
        return Stage(path, self.world, self.aida, self.bek, self.coins)

    # --- the ledger ----------------------------------------------------------------------------

    @property
    def founding(self) -> int:
        """Entries that were there before the test."""
        return len(self.world.messages)

    def open(self, **options: Any) -> Ledger:
        clock = options.pop("clock", lambda: self.world.now_s)
        return Ledger(SqliteStore.open(self.path), self.world.identity(), clock=clock, **options)

    def queries(self) -> Queries:
        return Queries(SqliteStore.read(self.path), self.world.identity(), lambda: self.world.now_s)

    def entries(self) -> int:
        store = SqliteStore.read(self.path)
        try:
            return store.size()
        finally:
            store.close()

    def checkpoint(self) -> str:
        """The last signed checkpoint: size, log root and state root in one line of text."""
        queries = self.queries()
        try:
            return queries.latest_checkpoint() or ""
        finally:
            queries.close()

    def verify(self) -> Verdict:
        """Audit the file; supply must be what was issued, every tiyn of it online, and nothing else may exist."""
        verdict = audit_file(self.path, self.world.network)
        assert all(verdict.laws.values()), verdict.laws
        queries = self.queries()
        try:
            supply = queries.supply()
            held = {name: queries.tokens_of([c.key.public]).values() for name, c in (("a", self.aida), ("b", self.bek))}
        finally:
            queries.close()
        issued_tiyn = len(self.coins) * COIN_TIYN
        assert (supply.issued_tiyn, supply.redeemed_tiyn, supply.online_tiyn) == (issued_tiyn, 0, issued_tiyn)
        assert sum(token.amount_tiyn for tokens in held.values() for token in tokens) == issued_tiyn
        return verdict

    def verify_receipt(self, raw: bytes, receipt: Receipt) -> None:
        receipt.verify(raw, self.world.identity().origin, self.world.operator.public)

    # --- messages ------------------------------------------------------------------------------

    def transfer(self, *outputs: Output, coins: tuple[int, ...] = (0,), key: SigningKey | None = None) -> bytes:
        body = bodies.Transfer(tuple(self.coins[index] for index in coins), outputs, LATER_S)
        return build(Kind.TRANSFER, body, [key or self.aida.key], self.world.network)

    def pay(self, coin: int) -> bytes:
        """The bytes with which aida gives this coin to bek."""
        return self.transfer(Output(self.bek.key.public, COIN_TIYN, None), coins=(coin,))

    def pays(self, count: int, start: int = 0) -> list[bytes]:
        return [self.pay(coin) for coin in range(start, start + count)]

    def message_id(self, raw: bytes) -> bytes:
        return decode(raw, self.world.network).id


def audit_file(path: Path, root_key: bytes) -> Verdict:
    """`verify_ledger` on a reader of its own."""
    store = SqliteStore.read(path)
    try:
        return audit.verify_ledger(store, root_key)
    finally:
        store.close()


def refusal(answer: Future[Receipt]) -> TengeError:
    """The typed error that a submission was refused with."""
    error = answer.exception(PATIENCE_S)
    assert isinstance(error, TengeError), f"not a typed refusal: {error!r}"
    return error


class _Gate:
    """Stands open until it is shut; whoever passes is held while it is."""

    def __init__(self) -> None:
        self.entered = threading.Event()
        self._open = threading.Event()
        self._open.set()

    def shut(self) -> None:
        self.entered.clear()
        self._open.clear()

    def open(self) -> None:
        self._open.set()

    def _pass(self) -> None:
        self.entered.set()
        assert self._open.wait(PATIENCE_S)


class SlowVerifier(_Gate):
    """Holds the ledger's first step while it is shut."""

    def __init__(self) -> None:
        super().__init__()
        self._verifier = verifiers.threads(1)

    def start(self, messages: Sequence[bytes], network: bytes) -> list[Future[list[Outcome]]]:
        self._pass()
        return self._verifier.start(messages, network)

    def close(self) -> None:
        self._verifier.close()


class Gate(_Gate, NoFaults):
    """Holds the ledger just before a commit while it is shut."""

    def before_commit(self) -> None:
        self._pass()

    def hold(self, ledger: Ledger, raw: bytes) -> Future[Receipt]:
        """Submit and return while the commit of it is being held."""
        self.shut()
        answer = ledger.submit(raw)
        assert self.entered.wait(PATIENCE_S)
        return answer


# --- a ledger with an entry of every kind ------------------------------------------------------


def everything() -> Recorder:
    """Some ninety entries: every kind of message, a fork, two hops, marked money, what fell due; two banks."""
    world = Recorder.founded("altyn", "kumis")
    aida, bek, kanat = (world.customer(name) for name in ("aida", "bek", "kanat"))
    dana = world.customer("dana", "kumis")
    shop = world.customer("shop", holder=Holder.MERCHANT, merchant=Merchant("012345678901", "8220", "750000000"))
    akimat = world.customer("akimat", holder=Holder.SPONSOR)
    world.set_reserve("altyn", 5_000_00)

    for _ in range(3):
        _split(world, world.fund(aida, 1_000_00), aida, bek)
    _split(world, world.fund(dana, 700_00), dana, aida)

    _offline_money(world, aida, bek, kanat)
    _marked_money(world, "school", akimat, aida, shop)
    _watched_money(world, akimat, kanat, shop, bek)

    world.submit(world.governor.set_policy(Policy(offline_payment_tiyn=30_000_00), world.nonce()))
    world.do(
        Kind.REVOKE, bodies.Revoke(dana.certificate(world.network).id, "lost, says its owner"), world.banks["kumis"]
    )
    token = world.issue("altyn", 300_00)
    change = (Output(world.banks["altyn"].public, 100_00, None),)
    body = bodies.Redeem((token,), change, LATER_S, 200_00)
    world.do(Kind.REDEEM, body, world.banks["altyn"], world.governor.key)
    world.submit(world.governor.dismiss("kumis", "decision 7"))

    world.now_s += 30 * DAY_S
    due = [key[1] for key, value in world.view.records().items() if _is_due(world, key[1])]
    world.submit(build(Kind.SWEEP, bodies.Sweep(tuple(sorted(due))), [], world.network))
    _marked_money(world, "school again", akimat, bek, shop)
    for _ in range(2):
        world.load(bek, 150_00)
    for _ in range(5):
        _split(world, world.fund(bek, 400_00), bek, kanat)
    return world


def _split(world: Recorder, token: bytes, payer: Customer, payee: Customer) -> None:
    """Pay half of a token, keep the rest."""
    found = world.token(token)
    assert found is not None
    half = found.amount_tiyn // 2
    outputs = (Output(payee.key.public, half, None), Output(payer.key.public, found.amount_tiyn - half, None))
    world.do(Kind.TRANSFER, bodies.Transfer((token,), outputs, LATER_S), payer.key)


def _offline_money(world: Recorder, aida: Customer, bek: Customer, kanat: Customer) -> None:
    """A clone of aida's purse spends one token twice, and she pays some of it back; bek pays on and unloads."""
    forked = world.load(aida, 10_000_00)
    world.load(aida, 500_00)
    honest = world.payment(
        aida, bek, (forked,), (Output(bek.purse.public, 6_000_00, None), Output(aida.purse.public, 4_000_00, None))
    )
    clone = world.payment(
        aida, kanat, (forked,), (Output(kanat.purse.public, 9_000_00, None), Output(aida.purse.public, 1_000_00, None))
    )
    received = outpoint(world.message_id(honest), 0)
    onwards = world.payment(bek, kanat, (received,), (Output(kanat.purse.public, 6_000_00, None),), hop=2)
    world.reconcile(honest)
    world.reconcile(onwards, clone)
    mine = world.load(bek, 300_00)
    outputs = (Output(bek.key.public, 200_00, None), Output(bek.purse.public, 100_00, None))
    world.do(Kind.UNLOAD, bodies.Unload((mine,), outputs, LATER_S), bek.purse)
    rest = (Output(aida.key.public, 50_00, None),)
    repay = bodies.Repay((world.fund(aida, 150_00),), rest, LATER_S, aida.purse.public, 100_00)
    world.do(Kind.REPAY, repay, aida.key)


def _marked_money(world: Recorder, name: str, akimat: Customer, pupil: Customer, shop: Customer) -> None:
    """Money for schooling, granted, partly spent at a school; the rest can expire."""
    definition = Definition(
        name=name,
        titles=("School", "Мектеп", "Школа"),
        sponsor=akimat.key.public,
        return_to=akimat.key.public,
        condition=All((PayeeMcc(("8220",)), PerPayment(500_00))),
        mark=Clears(),
        expires_s=world.now_s + 10 * DAY_S,
    )
    purpose = world.do(Kind.PURPOSE, definition, akimat.key)
    grants = tuple(Output(pupil.key.public, amount, purpose) for amount in (300_00, 200_00, 100_00))
    token = world.fund(akimat, 1_000_00)
    body = bodies.Grant((token,), (*grants, Output(akimat.key.public, 400_00, None)), LATER_S, purpose)
    granted = world.do(Kind.GRANT, body, akimat.key)
    spent = bodies.Transfer((outpoint(granted, 0),), (Output(shop.key.public, 300_00, purpose),), LATER_S)
    world.do(Kind.TRANSFER, spent, pupil.key)


def _watched_money(world: Recorder, akimat: Customer, farmer: Customer, shop: Customer, auditor: Customer) -> None:
    """Money for seed: payments that wait, and go through by approval or evidence, or lapse; a refund and a recall."""
    registry = SigningKey(seed("registry"))
    world.keys[registry.public] = registry
    world.submit(world.governor.admit("registry", Role.ORACLE, registry.public, world.now_s))
    asked = AnyOf((Approval(("altyn/bek",), 1), Evidence("registry", "delivered")))
    definition = Definition(
        name="seed",
        titles=("Seed", "Тұқым", "Семена"),
        sponsor=akimat.key.public,
        return_to=akimat.key.public,
        condition=All((asked, Items(("seed",)), PerPeriod(1_000_00, 30))),
        mark=KeepsHops(2),
        expires_s=world.now_s + 10 * DAY_S,
    )
    purpose = world.do(Kind.PURPOSE, definition, akimat.key)
    grants = tuple(Output(farmer.key.public, amount, purpose) for amount in (100_00, 200_00, 300_00, 400_00))
    granted = world.do(Kind.GRANT, bodies.Grant((world.fund(akimat, 1_000_00),), grants, LATER_S, purpose), akimat.key)
    world.do(Kind.ALLOW, bodies.Allow(purpose, "altyn/kanat", 50_00, world.nonce()), akimat.key)

    payments = []
    for index, output in enumerate(grants[:3]):
        lines = (Line("seed", output.amount_tiyn),)
        request = requests.sign(shop.key, world.network, output.amount_tiyn, lines, world.nonce())
        outputs = (Output(shop.key.public, output.amount_tiyn, purpose),)
        body = bodies.Transfer((outpoint(granted, index),), outputs, LATER_S, None, None, lines, request)
        payments.append(world.do(Kind.TRANSFER, body, farmer.key))
    world.do(Kind.APPROVE, bodies.Approve(payments[0], "altyn/bek"), auditor.key)
    world.do(Kind.ATTEST, bodies.Attest("registry", "delivered", payments[1]), registry)
    world.do(Kind.ATTEST, bodies.Attest("registry", "licensed", "altyn/shop"), registry)

    back = (Output(farmer.key.public, 40_00, purpose), Output(shop.key.public, 60_00, purpose))
    received = outpoint(payments[0], SETTLED_FROM)
    refund = bodies.Refund((received,), back, LATER_S, payments[0], purpose, shop.key.public)
    world.do(Kind.REFUND, refund, shop.key)
    recall = bodies.Recall(purpose, (outpoint(granted, 3),), "decision 9")
    world.do(Kind.RECALL, recall, akimat.key, world.governor.key)


def _is_due(world: Recorder, name: bytes) -> bool:
    leaf, token = world.leaf(name), world.token(name)
    if leaf is not None:
        return leaf.is_live and world.now_s >= leaf.final_at_s
    return token is not None and token.purpose is not None


def kinds_of(world: Recorder) -> set[Kind]:
    return {decode(raw, world.network).kind for _, raw in world.messages}
