"""What the machines found, each at its smallest."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import pytest

from cbdc.errors import CertificateRevoked, Replayed
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.log.receipts import Receipt
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.purposes import conditions
from cbdc.purposes.conditions import Condition, Payment
from cbdc.service.ledger import Identity, Ledger
from cbdc.store.sqlite import SqliteStore
from tests.support import NOW_S, Customer, World


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
