"""A power cut at every durable step of both devices, and what their owners do then: no value is lost or made.

The steps are the commits of both wallets' and both elements' storage, through load, invoice, payment, receipt, release
and sync; each is cut just before and just after it. The sweep is exhaustive: `STEPS` names every step, and one test
checks that the list is complete. What a device had not committed is gone, what it had not given out was never seen.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from cbdc.errors import InsufficientFunds, Unreachable
from cbdc.formats import cbor
from cbdc.formats.kinds import Kind
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Transfer, Unload
from cbdc.messages.message import decode
from cbdc.service import verifiers
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.queries import Queries
from cbdc.store.sqlite import SqliteStore
from tests.wallet.town import FUNDS_TIYN, Town
from wallet import renewal
from wallet.customer import Customer
from wallet.element import SimulatedElement
from wallet.port import LocalPort
from wallet.protocol import PaymentBundle
from wallet.purse import Holding, Status
from wallet.scenarios.chance import ManualClock
from wallet.scenarios.wallets.local import PASSWORD

LOADED_TIYN, PRICE_TIYN = 100_00, 60_00
PAYER, PAYEE = "payer", "payee"
ORDERS = {"payer first": (PAYER, PAYEE), "payee first": (PAYEE, PAYER)}


class PowerCut(BaseException):
    """A device goes dark here."""


@dataclass
class Fuse:
    """Counts durable steps by name and blows just before or after one of them."""

    at: int | None = None
    after: bool = False
    act: str = ""
    steps: list[str] = field(default_factory=list)

    @property
    def has_blown(self) -> bool:
        return self.at is not None and len(self.steps) > self.at


class Wired:
    """A vault's database behind the fuse; once its device is dark nothing works any more."""

    def __init__(self, connection: Any, fuse: Fuse, device: str, store: str) -> None:
        self._connection, self._fuse, self._place = connection, fuse, f"{device}'s {store}"
        self._dark = False
        connection.execute("PRAGMA synchronous=OFF")  # the cuts are made here, the disk keeps its power

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def execute(self, sql: str, *parameters: Any) -> Any:
        if self._dark:
            raise PowerCut
        is_write = sql.startswith(("INSERT", "DELETE")) and not self._connection.in_transaction
        if self._fuse.has_blown or not (is_write or sql == "COMMIT"):
            return self._connection.execute(sql, *parameters)
        self._fuse.steps.append(f"{self._fuse.act}: {self._place}")
        if not self._fuse.has_blown:
            return self._connection.execute(sql, *parameters)
        self._dark = True
        if self._fuse.after:
            self._connection.execute(sql, *parameters)
        raise PowerCut


# --- two devices and a ledger ------------------------------------------------------------------


@dataclass(frozen=True)
class Template:
    """Closed directories of a ledger and two wallets, to be copied."""

    directory: Path
    identity: Identity
    now_s: int
    wire: dict[str, bytes]


class Bench:
    """A copy of the template, with both devices' storage behind one fuse."""

    def __init__(self, template: Template, directory: Path, fuse: Fuse) -> None:
        shutil.copytree(template.directory, directory)
        self.directory, self.fuse, self.clock = directory, fuse, ManualClock(template.now_s)
        self.wire = dict(template.wire)
        path, identity = directory / "ledger" / "ledger.db", template.identity
        self.ledger = Ledger(SqliteStore.open(path), identity, clock=self.clock, verifier=verifiers.threads(1))
        self.queries = Queries(SqliteStore.read(path), identity, self.clock)
        self.port = LocalPort(self.ledger, self.queries)
        self.signed: dict[bytes, set[bytes]] = {}
        self.shown: dict[bytes, set[bytes]] = {}
        self.customers: dict[str, Customer] = {}
        self.reopen()
        self.total_tiyn = self.value_tiyn()

    def __getitem__(self, name: str) -> Customer:
        return self.customers[name]

    def reopen(self) -> None:
        """Open both wallets from their disks, as after a cut."""
        for customer in self.customers.values():
            customer.close()
        for name in (PAYER, PAYEE):
            customer = Customer.open(
                self.directory / "wallets" / name, PASSWORD, clock=self.clock, element=SimulatedElement
            )
            for store, vault in (("wallet", customer.vault), ("element", customer.element._vault)):
                vault._db = Wired(vault._db, self.fuse, name, store)
            customer.element._sign = self._noting(customer.element._sign)
            self.customers[name] = customer

    def close(self) -> None:
        for thing in (*self.customers.values(), self.ledger, self.queries):
            thing.close()

    def remove(self) -> None:
        self.close()
        shutil.rmtree(self.directory)

    def _noting(self, sign: Callable[..., Any]) -> Callable[..., Any]:
        def noting(kind: Kind, payload: bytes, inputs: Any = None) -> Any:
            body = (Transfer if kind is Kind.TRANSFER else Unload).from_cbor(cbor.decode(payload))
            for name in body.inputs:
                self.signed.setdefault(name, set()).add(payload)
            return sign(kind, payload)

        return noting

    def payment_id_of(self, bundle: bytes) -> bytes:
        return decode(PaymentBundle.decode(bundle).payment, self.ledger.identity.network).id

    # --- what users do ---

    def act(self, name: str) -> None:
        self.fuse.act = name
        what, _, who = name.partition(" ")
        getattr(self, what)(*[who] if who else [])

    def load(self) -> None:
        if self[PAYER].purse.balance_tiyn() < LOADED_TIYN:
            self[PAYER].load(self.port, LOADED_TIYN)

    def invoice(self) -> None:
        self.wire["invoice"] = self[PAYEE].purse.invoice(PRICE_TIYN)

    def pay(self) -> None:
        bundle = self[PAYER].purse.pay(self.wire["invoice"])
        self.wire["bundle"], self.wire["id"] = bundle, self.payment_id_of(bundle)
        self.shown.setdefault(self.wire["id"], set()).add(bundle)

    def accept(self) -> None:
        self.wire["receipt"] = self[PAYEE].purse.accept(self.wire["bundle"])

    def finish(self) -> None:
        self[PAYER].purse.finish(self.wire["id"], self.wire["receipt"])

    def release(self) -> None:
        bundle = self[PAYEE].purse.release(self.wire["id"])
        self.wire["release"] = bundle
        self.shown.setdefault(self.payment_id_of(bundle), set()).add(bundle)

    def take_back(self) -> None:
        assert self[PAYER].purse.take_back(self.wire["release"]) == self.wire["id"]

    def sync(self, who: str) -> None:
        self[who].sync(self.port)

    def unload(self, who: str) -> None:
        with suppress(InsufficientFunds):  # what was cut short went through when it was pressed again
            self[who].unload(self.port, LOADED_TIYN - PRICE_TIYN)

    # --- what must hold ---

    def value_tiyn(self) -> int:
        """All that both own at the ledger."""
        keys = [self[name].element.public_key for name in (PAYER, PAYEE)]
        offline_tiyn = sum(token.amount_tiyn for token in self.port.offline_of(keys).values())
        return offline_tiyn + sum(self[name].balance(self.port).online_tiyn for name in (PAYER, PAYEE))

    def owned_tiyn(self, who: str) -> int:
        leaves = self.port.offline_of([self[who].element.public_key])
        return self[who].balance(self.port).online_tiyn + sum(token.amount_tiyn for token in leaves.values())

    def check_nothing_lost_or_made(self) -> None:
        assert self.value_tiyn() == self.total_tiyn
        supply = self.queries.supply()
        assert supply.online_tiyn + supply.pool_tiyn + supply.reserves_tiyn == supply.issued_tiyn - supply.redeemed_tiyn
        assert self.queries.forked_outputs() == 0
        assert all(len(payloads) == 1 for payloads in self.signed.values()), "two signatures over one input"
        assert all(len(bundles) == 1 for bundles in self.shown.values()), "a payment was shown in two spellings"

    def check_in_order(self, who: str) -> None:
        """After its sync a device holds what the ledger says, and waits for nothing."""
        customer = self[who]
        leaves = self.port.offline_of([customer.element.public_key])
        assert set(customer.purse.spendable()) == set(leaves)
        assert customer.balance(self.port).pending_tiyn == 0
        for space in ("intent", "releasing", "unload"):
            assert customer.vault.items(space) == []

    def check_agreed(self, paid_tiyn: int) -> None:
        """Both sides know the same outcome, and it is what the money says."""
        self.check_nothing_lost_or_made()
        for name in (PAYER, PAYEE):
            self.check_in_order(name)
        assert self.owned_tiyn(PAYER) == FUNDS_TIYN - paid_tiyn
        assert self.owned_tiyn(PAYEE) == FUNDS_TIYN + paid_tiyn


# --- the stories -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def templates(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Template]:
    """Everybody has money online; and the same after a payment that is not synced yet."""
    made: dict[str, Template] = {}
    directory = tmp_path_factory.mktemp("power") / "fresh"
    town = Town.found(directory, PAYER, PAYEE)
    town.close()
    made["fresh"] = Template(directory, town.economy.identity, town.economy.clock(), {})
    bench = Bench(made["fresh"], directory.with_name("paid"), Fuse())
    for act in ("load", "invoice", "pay", "accept", "finish"):
        bench.act(act)
    bench.close()
    made["paid"] = Template(bench.directory, made["fresh"].identity, made["fresh"].now_s, bench.wire)
    return made


@dataclass(frozen=True)
class Story:
    """Acts one after the other, from a template, and how much (tiyn) has changed hands at their end.

    ``steps`` are the durable steps of each act: W is a commit of the wallet's storage, E one of the element's.
    ``syncs`` are those of each sync, the payer's and the payee's.
    """

    start: str
    steps: dict[str, str]
    syncs: dict[str, str]
    paid_tiyn: int

    def all_steps(self, order: tuple[str, str]) -> dict[str, str]:
        return self.steps | {f"sync {who}": self.syncs[who] for who in order}


WHOLE_SYNC, BARE_SYNC = "WWWWWEWWWEE", "WWWWWEE"
STORIES = {
    "paid": Story(
        "fresh",
        {"load": "WWWEE", "invoice": "W", "pay": "WEW", "accept": "EW", "finish": "W"},
        {PAYER: WHOLE_SYNC, PAYEE: WHOLE_SYNC},
        PRICE_TIYN,
    ),
    "released": Story("paid", {"release": "WEW", "take_back": "W"}, {PAYER: WHOLE_SYNC, PAYEE: BARE_SYNC}, 0),
    "unloaded": Story("paid", {"unload payer": "WWWWEWWWEE"}, {PAYER: "WWWWEE", PAYEE: WHOLE_SYNC}, PRICE_TIYN),
}
RESUME = {"load": ["sync payer", "load"], "accept": ["pay", "accept"], "finish": ["pay", "accept", "finish"]}
"""What users do after a cut in an act; after the others, the act itself again."""
RESUME["take_back"] = ["release", "take_back"]


def cuts(*orders: str, whole: bool = True) -> list[Any]:
    """Every step of every story, before and after it; the syncs' steps too if ``whole``."""
    return [
        pytest.param(story, ORDERS[order], act, number, after, id=f"{name}, {order}, {when} step {number} of {act}")
        for name, story in STORIES.items()
        for order in orders
        for act, letters in (story.all_steps(ORDERS[order]) if whole else story.steps).items()
        for number in range(len(letters))
        for when, after in (("before", False), ("after", True))
    ]


EVERY_CUT = pytest.mark.parametrize(("story", "order", "act", "number", "after"), cuts(*ORDERS))
EVERY_CUT_ONCE = pytest.mark.parametrize(("story", "order", "act", "number", "after"), cuts("payer first"))
EVERY_CUT_BUT_SYNCS = pytest.mark.parametrize(
    ("story", "order", "act", "number", "after"), cuts("payer first", whole=False)
)


@pytest.fixture
def bench_of(templates: dict[str, Template], tmp_path: Path) -> Iterator[Callable[..., Bench]]:
    benches: list[Bench] = []

    def make(start: str, fuse: Fuse) -> Bench:
        benches.append(Bench(templates[start], tmp_path / "bench", fuse))
        return benches[-1]

    yield make
    for bench in benches:
        bench.remove()


@dataclass
class Darkness:
    """A story played up to its power cut; `left` are the acts that would have followed."""

    bench: Bench
    left: list[str]

    @classmethod
    def falls(cls, bench: Bench, story: Story, order: tuple[str, str], act: str, number: int, after: bool) -> Darkness:
        steps = story.all_steps(order)
        acts = list(steps)
        before = acts.index(act)
        bench.fuse.at = sum(len(steps[name]) for name in acts[:before]) + number
        bench.fuse.after = after
        for name in acts[:before]:
            bench.act(name)
        with pytest.raises(PowerCut):
            bench.act(act)
        bench.reopen()
        return cls(bench, acts[before + 1 :])


def sync(bench: Bench, *names: str) -> None:
    for who in names:
        bench.act(f"sync {who}")


@pytest.mark.parametrize("order", ORDERS.values(), ids=ORDERS)
@pytest.mark.parametrize("story", STORIES.values(), ids=STORIES)
def test_the_steps_are_all_there_are(bench_of: Callable[..., Bench], story: Story, order: tuple[str, str]) -> None:
    fuse = Fuse()
    bench = bench_of(story.start, fuse)
    wanted = story.all_steps(order)
    for act in wanted:
        bench.act(act)
    found = dict.fromkeys(wanted, "")
    for step in fuse.steps:
        act, _, place = step.partition(": ")
        found[act] += "E" if place.endswith("element") else "W"
    assert found == wanted
    bench.check_agreed(story.paid_tiyn)


@EVERY_CUT
def test_what_was_cut_is_repeated(
    bench_of: Callable[..., Bench], story: Story, order: tuple[str, str], act: str, number: int, after: bool
) -> None:
    """The payee shows the invoice again, the payer the payment, and both sync: it is paid exactly once."""
    bench = bench_of(story.start, Fuse())
    dark = Darkness.falls(bench, story, order, act, number, after)
    for name in [*RESUME.get(act, [act]), *dark.left]:
        bench.act(name)
    sync(bench, *order)
    bench.check_agreed(story.paid_tiyn)
    wanted = "settled" if story.paid_tiyn else "released"
    assert [sent.status.value for sent in bench[PAYER].purse.sent()] == [wanted]
    assert [held.state.value for held in bench[PAYEE].purse.received()] == [wanted]


def outcome(bench: Bench) -> int:
    """How much both sides agree has been paid in the end."""
    sent = {payment.id: payment for payment in bench[PAYER].purse.sent()}
    held = {payment.id: payment.state for payment in bench[PAYEE].purse.received()}
    assert set(held) <= set(sent)
    for payment_id, state in held.items():
        assert (sent[payment_id].status.value, state) in {
            (Status.SETTLED.value, Holding.SETTLED),
            (Status.RELEASED.value, Holding.RELEASED),
        }
    assert {payment.status for payment in sent.values()} <= {Status.SETTLED, Status.RELEASED}
    return sum(payment.amount_tiyn for payment in sent.values() if payment.status is Status.SETTLED)


@pytest.mark.parametrize("who", [PAYER, PAYEE])
@EVERY_CUT_BUT_SYNCS
def test_nothing_is_repeated_and_one_side_syncs(
    bench_of: Callable[..., Bench], story: Story, order: tuple[str, str], act: str, number: int, after: bool, who: str
) -> None:
    """It is paid or it is not, as far as the payer had signed; the other side agrees when it comes back."""
    bench = bench_of(story.start, Fuse())
    Darkness.falls(bench, story, order, act, number, after)
    sync(bench, who)
    bench.check_nothing_lost_or_made()
    bench.check_in_order(who)
    sync(bench, PAYEE if who == PAYER else PAYER, who)
    bench.check_agreed(outcome(bench))


@EVERY_CUT_ONCE
def test_they_pay_something_else_instead(
    bench_of: Callable[..., Bench], story: Story, order: tuple[str, str], act: str, number: int, after: bool
) -> None:
    """Nobody repeats or syncs; the payer pays another invoice if his purse lets him."""
    bench = bench_of(story.start, Fuse())
    Darkness.falls(bench, story, order, act, number, after)
    bench.wire["invoice"] = bench[PAYEE].purse.invoice(10_00)
    with suppress(InsufficientFunds):  # an unload was signed, or nothing was loaded
        for name in ("pay", "accept", "finish"):
            bench.act(name)
        assert bench[PAYER].purse.sent()
    sync(bench, *order, order[0])
    bench.check_agreed(outcome(bench))


# --- what else an owner may do before he syncs --------------------------------------------------

IN_PAY = pytest.mark.parametrize(("number", "after"), [(n, after) for n in range(3) for after in (False, True)])


@IN_PAY
def test_an_unload_after_a_cut_payment_finishes_the_payment_first(
    bench_of: Callable[..., Bench], number: int, after: bool
) -> None:
    bench = bench_of("fresh", Fuse())
    Darkness.falls(bench, STORIES["paid"], ORDERS["payer first"], "pay", number, after)
    bench[PAYER].unload(bench.port, LOADED_TIYN - PRICE_TIYN)
    assert bench[PAYER].purse.balance_tiyn() == bench.owned_tiyn(PAYER) - (FUNDS_TIYN - PRICE_TIYN)
    sync(bench, PAYER, PAYEE, PAYER)
    bench.check_agreed(outcome(bench))


SLICED_SYNC = "WW" + 3 * "WEWW" + "WEE"
"""Learn and keep; journal, signature, receipt and swap for each of three unloads; forget, and the element's sync."""


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(len(SLICED_SYNC)))
def test_a_renewal_in_slices_cut_anywhere_is_finished(
    bench_of: Callable[..., Bench], monkeypatch: pytest.MonkeyPatch, number: int, after: bool
) -> None:
    """Three leaves that one message could not hold; the next sync finishes what was signed and makes the rest anew."""
    monkeypatch.setattr(renewal, "MAX_INPUTS", 1)
    bench = bench_of("fresh", Fuse())
    for tiyn in (10_00, 20_00, 30_00):
        bench[PAYER].load(bench.port, tiyn)
    bench.fuse.steps.clear()
    bench.fuse.at, bench.fuse.after = number, after
    with pytest.raises(PowerCut):
        sync(bench, PAYER)
    bench.reopen()
    sync(bench, PAYER)
    bench.check_agreed(0)
    assert bench[PAYER].purse.balance_tiyn() == 60_00


class Torn(LocalPort):
    """A network that carries unloads and no evidence."""

    def submit(self, message: bytes) -> Receipt:
        if decode(message, self.network).kind is Kind.RECONCILE:
            raise Unreachable("the network is gone")
        return super().submit(message)


SYNC_STEPS = [(number, after) for number in range(len(WHOLE_SYNC)) for after in (False, True)]


@pytest.mark.parametrize(("number", "after"), SYNC_STEPS)
def test_a_sync_cut_twice_takes_nothing_that_was_paid_in_between(
    bench_of: Callable[..., Bench], number: int, after: bool
) -> None:
    """Both devices still hold, without the ledger, what they held before the second sync began."""
    bench = bench_of("fresh", Fuse())
    Darkness.falls(bench, STORIES["paid"], ORDERS["payer first"], "sync payer", number, after)
    bench.wire["invoice"] = bench[PAYEE].purse.invoice(10_00)
    with suppress(InsufficientFunds):  # the unload is signed: the purse can only take money
        for name in ("pay", "accept", "finish"):
            bench.act(name)
    bench[PAYER].purse.accept(bench[PAYEE].purse.pay(bench[PAYER].purse.invoice(25_00)))
    held_tiyn = bench[PAYER].purse.balance_tiyn()
    with suppress(Unreachable):
        bench[PAYER].sync(Torn(bench.ledger, bench.queries))
    assert bench[PAYER].purse.balance_tiyn() >= held_tiyn
    with suppress(InsufficientFunds):  # it cannot pay yet, or its money can be followed back to its loads
        bench[PAYEE].purse.accept(bench[PAYER].purse.pay(bench[PAYEE].purse.invoice(20_00)))
    sync(bench, PAYER, PAYEE, PAYER)
    bench.check_nothing_lost_or_made()
    for name in (PAYER, PAYEE):
        bench.check_in_order(name)
