"""What the machines found, each at its smallest."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import pytest

from cbdc.errors import CertificateRevoked, PurposeMismatch, PurposeRefused, Replayed, RoleRefused
from cbdc.formats.certificates import Holder
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.formats.x509 import Role
from cbdc.log.receipts import Receipt
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.purposes import conditions
from cbdc.purposes.conditions import Condition, Payment
from cbdc.purposes.rules import UntilEvidence
from cbdc.service.ledger import Identity, Ledger
from cbdc.state.records import Token
from cbdc.store.sqlite import SqliteStore
from tests.support import LATER_S, LIMITS, NOW_S, Customer, World, seed
from tests.unit.helpers import EXPIRY_S, define, grant, load, out, refuses, sweep, transfer


class OnDisk(World):
    """The same small world on a real ledger."""

    ledger: Ledger
    receipts: list[Receipt]

    def submit(self, raw: bytes) -> bytes:
        self.receipts.append(self.ledger.submit(raw).result(20))
        return self.message_id(raw)


@pytest.fixture
def world(tmp_path: Path) -> Iterator[OnDisk]:
    world = OnDisk()
    world.receipts = []
    identity = Identity(world.network, "test", world.operator)
    with Ledger(SqliteStore.create(tmp_path / "ledger.db"), identity, clock=lambda: world.now_s) as world.ledger:
        world.submit(world.governor.genesis("test", "Operator", world.operator.public, world.policy, world.now_s))
        world.admit("altyn")
        yield world


def pay(world: World, payer: Customer, payee: Customer, token: bytes, amount_tiyn: int, salt: str = "") -> bytes:
    """The whole of a token, straight on."""
    return world.payment(payer, payee, (token,), (Output(payee.purse.public, amount_tiyn, None),), salt=salt)


@pytest.mark.parametrize("other", ["known", "refused"])
def test_a_reconcile_that_was_partly_new_gets_the_same_receipt_again(world: OnDisk, other: str) -> None:
    aigul, shop = world.customer("aigul"), world.customer("shop")
    first, second = (pay(world, aigul, shop, world.load(aigul, 100_00), 100_00) for _ in range(2))
    if other == "known":
        world.submit(first)
    else:
        first = pay(world, aigul, shop, outpoint(bytes(32), 0), 100_00)
    both = build(Kind.RECONCILE, bodies.Reconcile((first, second)), [], world.network)
    receipt = world.ledger.submit(both).result(20)
    assert world.ledger.submit(both).result(20) == receipt


def test_the_order_of_evidence_within_a_second_changes_nothing() -> None:
    """Every trust list here was signed before the fork came to light, and all three payees are honest."""

    def third_payee_gets(order: str) -> int:
        world = World.founded("altyn")
        culprit, *payees = (world.customer(name) for name in ("culprit", "a", "b", "c"))
        twice, once = world.load(culprit, 100_00), world.load(culprit, 50_00)
        fork = [pay(world, culprit, payee, twice, 100_00) for payee in payees[:2]]
        honest = [pay(world, culprit, payees[2], once, 50_00)]
        for payment in fork + honest if order == "fork first" else honest + fork:
            with suppress(CertificateRevoked):
                world.reconcile(payment)
        return world.live_tiyn(payees[2].purse.public)

    assert third_payee_gets("fork last") == 50_00
    assert third_payee_gets("fork first") == 50_00


def test_not_all_is_any_not() -> None:
    """A payee without a category, and an amount above the limit: the limit alone decides that not both hold."""
    category, limit = conditions.PayeeMcc(("5812",)), conditions.PerPayment(10_00)
    payment = Payment("altyn/aigul", "altyn/bolat", None, None, 20_00, NOW_S)

    def allows(condition: Condition) -> bool:
        return condition.refuses(payment) is None

    assert allows(conditions.Any((conditions.Not(category), conditions.Not(limit))))
    assert allows(conditions.Not(conditions.All((limit, category))))
    assert allows(conditions.Not(conditions.All((category, limit))))


def test_a_key_whose_old_certificate_was_enrolled_again_can_be_revoked() -> None:
    world = World.founded("altyn")
    old = world.customer("aigul")
    world.now_s += 1
    world.customer("aigul")
    with pytest.raises(Replayed):
        world.do(Kind.ENROL, bodies.Enrol((old.purse_cwt,)), world.banks["altyn"])
    with at_most(seconds=1):
        world.do(Kind.REVOKE, bodies.Revoke(old.certificate(world.network).id, "lost"), world.banks["altyn"])


class Proven(World):
    """An oracle, and 300 tenge of a purpose that keeps its mark until it speaks; aigul paid the shop 100 of them."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.oracle = SigningKey(seed("oracle"))

    def begin(self) -> None:
        self.submit(self.governor.admit("lab", Role.ORACLE, self.oracle.public, self.now_s))
        self.akimat = self.customer("akimat", holder=Holder.SPONSOR)
        self.aigul, self.shop = self.customer("aigul"), self.customer("shop")
        terms = {"condition": conditions.PerPayment(500_00), "mark": UntilEvidence("lab")}
        self.purpose = define(self, self.akimat, **terms)
        token = grant(self, self.akimat, self.purpose, self.aigul, 300_00)
        outputs = [out(self.shop, 100_00, self.purpose), out(self.aigul, 200_00, self.purpose)]
        self.paid, self.change = transfer(self, [token], outputs, self.aigul.key)

    def attest(self, about: bytes | str) -> None:
        self.do(Kind.ATTEST, bodies.Attest("lab", "delivered", about), self.oracle)


@pytest.fixture
def proven() -> Proven:
    world = Proven.founded("altyn")
    world.begin()
    return world


def test_evidence_about_a_payment_does_not_free_the_payers_change(proven: Proven) -> None:
    proven.attest(proven.paid[:32])
    with refuses(proven, RoleRefused):
        sweep(proven, proven.change)
    (change,) = transfer(proven, [proven.change], [out(proven.aigul, 200_00, proven.purpose)], proven.aigul.key)
    assert proven.token(change) == Token(proven.aigul.key.public, 200_00, proven.purpose)
    (freed,) = sweep(proven, proven.paid)
    assert proven.token(freed) == Token(proven.shop.key.public, 100_00, None)


def test_what_evidence_freed_is_not_returned_when_the_purpose_expires(proven: Proven) -> None:
    """Whether somebody swept it in time decides nothing."""
    proven.attest(proven.paid[:32])
    proven.now_s = EXPIRY_S
    freed, returned = sweep(proven, proven.paid, proven.change)
    assert proven.token(freed) == Token(proven.shop.key.public, 100_00, None)
    assert proven.token(returned) == Token(proven.akimat.key.public, 200_00, None)


def test_a_bank_that_is_paid_marked_tokens_gives_none_of_them_up_as_free(proven: Proven) -> None:
    bank = proven.banks["altyn"]
    (marked,) = transfer(proven, [proven.change], [out(bank.public, 200_00, proven.purpose)], proven.aigul.key)
    free = proven.issue("altyn", 50_00)
    change = (out(bank.public, 200_00, proven.purpose),)
    with refuses(proven, PurposeMismatch):
        proven.do(Kind.RESERVE, bodies.Reserve((marked, free), change, LATER_S, 50_00), bank)


def test_a_refund_of_what_was_paid_between_purses_gives_no_more_to_spend_online() -> None:
    """Only what was counted in a period can count no more."""
    world = World.founded("altyn")
    akimat, aigul, shop = (
        world.customer("akimat", holder=Holder.SPONSOR),
        world.customer("aigul"),
        world.customer("shop"),
    )
    purpose = define(world, akimat, condition=conditions.PerPeriod(100_00, 7))
    names = [grant(world, akimat, purpose, aigul, 100_00) for _ in range(3)]
    allowance = bodies.Allow(purpose, "altyn/aigul", 100_00, world.nonce())
    world.do(Kind.ALLOW, allowance, akimat.key)
    world.now_s += 1
    aigul = world.customer("aigul", limits=replace(LIMITS, allowances=((purpose, 100_00),)))
    leaf = load(world, [names[0]], [Output(aigul.purse.public, 100_00, purpose)], aigul.key)
    offline = world.payment(aigul, shop, (leaf,), (Output(shop.purse.public, 100_00, purpose),))
    world.reconcile(offline)
    (online,) = transfer(world, [names[1]], [out(shop, 100_00, purpose)], aigul.key)
    back = (out(aigul, 100_00, purpose),)
    payment = world.message_id(offline)
    world.do(Kind.REFUND, bodies.Refund((online,), back, LATER_S, payment, purpose, shop.purse.public), shop.key)
    with refuses(world, PurposeRefused, condition="per_period"):
        transfer(world, [names[2]], [out(shop, 100_00, purpose)], aigul.key)


@contextmanager
def at_most(seconds: int) -> Iterator[None]:
    """Interrupts a block that does not end by itself."""

    def interrupt(*_: object) -> None:
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, interrupt)
    # again and again, because a signal that arrives inside a callback of the interpreter is swallowed there
    signal.setitimer(signal.ITIMER_REAL, seconds, 0.1)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
