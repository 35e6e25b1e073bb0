"""Whole offline worlds, reconciled in any order, grouping and duplication: one outcome, and nobody honest loses.

A world has wallets of two banks with reserves that may not suffice, loads (some marked), payments that split, merge
and go on for several hops, cloned and rolled-back purses, messages that never arrived and devices that are gone; in
some, a payee takes money of a revoked purse that he could have known of, and passes it on. What must come out is
worked out here from plain dictionaries, by the words of design section 6.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from copy import copy
from dataclasses import dataclass, field
from typing import Any

from hypothesis import event, given
from hypothesis import strategies as st

from cbdc.errors import AncestryBroken, CertificateRevoked, Replayed
from cbdc.formats.certificates import Holder, Merchant
from cbdc.formats.tokens import Output, outpoint
from cbdc.policy import DAY_S
from cbdc.state.records import Culprit, OfflineToken, Table
from cbdc.state.view import EMPTY, Overlay
from tests.support import Customer, World
from tests.unit.helpers import HOUR_S, define, grant, load, out, reserve_of, revoke, unload

BANKS = ("altyn", "kumis")
CANTEEN = Merchant(bin="990140000383", mcc="5812", kato="750000000")
MAX_HOPS = 4
Draw = Any


@dataclass(frozen=True)
class Coin:
    """An offline output as devices know it."""

    owner: str
    amount_tiyn: int
    purpose: bytes | None
    hop: int


@dataclass(frozen=True)
class Paid:
    """A payment somebody signed: who, what it spends and makes, its bytes."""

    id: bytes
    raw: bytes
    payer: str
    inputs: tuple[bytes, ...]
    made: tuple[bytes, ...]
    at_fault: bool = False


@dataclass
class Device:
    """A purse, or a clone of one: what it thinks it holds, and the payments that it knows."""

    owner: str
    holds: set[bytes] = field(default_factory=set)
    knows: set[bytes] = field(default_factory=set)
    past: list[set[bytes]] = field(default_factory=list)
    is_lost: bool = False


class Tale:
    """A world while it happens, offline; `evidence` is what its devices can show afterwards."""

    def __init__(self, draw: Draw, *, faults: bool) -> None:
        self.draw = draw
        self.world = World.founded(*BANKS)
        self.reserves = {bank: draw(st.sampled_from([0, 300, 2_000, 1_000_000])) for bank in BANKS}
        for bank, amount_tiyn in self.reserves.items():
            if amount_tiyn:
                self.world.set_reserve(bank, amount_tiyn)
        self.sponsor = self.world.customer("akimat", holder=Holder.SPONSOR)
        self.purpose = define(self.world, self.sponsor)
        self.people: dict[str, Customer] = {}
        self.devices: list[Device] = []
        self.coins: dict[bytes, Coin] = {}
        self.payments: dict[bytes, Paid] = {}
        self.dishonest: set[str] = set()
        self.stolen: set[str] = set()
        for number in range(draw(st.integers(3, 6))):
            self.join(f"c{number}")
        for _ in range(draw(st.integers(3, 12))):
            self.something_happens()
        if faults:
            self.money_of_a_revoked_purse_is_passed_on()
        for device in self.devices:
            device.is_lost = not draw(st.integers(0, 5))
        self.world.now_s += draw(st.sampled_from([0, HOUR_S, 2 * DAY_S]))

    def one_of(self, choices: Iterable[Any]) -> Any:
        found = list(choices)
        return found[self.draw(st.integers(0, len(found) - 1))]

    # --- before everybody goes offline ---

    def join(self, name: str) -> None:
        bank, is_canteen = self.one_of(BANKS), self.draw(st.booleans())
        terms = {"holder": Holder.MERCHANT, "merchant": CANTEEN} if is_canteen else {}
        self.people[name] = self.world.customer(name, bank, **terms)
        self.devices.append(Device(name))
        for _ in range(self.draw(st.integers(1, 2))):
            self.fill(name, self.draw(st.integers(1, 2_000)), is_marked=self.draw(st.booleans()))

    def fill(self, name: str, amount_tiyn: int, *, is_marked: bool) -> None:
        owner, purpose = self.people[name], self.purpose if is_marked else None
        source = grant(self.world, self.sponsor, self.purpose, owner, amount_tiyn) if is_marked else None
        token = source or self.world.fund(owner, amount_tiyn)
        leaf = load(self.world, [token], [Output(owner.purse.public, amount_tiyn, purpose)], owner.key)
        self.coins[leaf] = Coin(name, amount_tiyn, purpose, 0)
        self.device(name).holds.add(leaf)

    def device(self, name: str) -> Device:
        """A person's own first device."""
        return next(device for device in self.devices if device.owner == name)

    # --- offline ---

    def something_happens(self) -> None:
        rich = [device for device in self.devices if self.spendable(device)]
        what = self.draw(st.sampled_from(["pay", "pay", "pay", "clone", "rollback", "attack"]))
        if not rich:
            return
        device = self.one_of(rich)
        if what == "clone":
            self.dishonest.add(device.owner)
            self.devices.append(Device(device.owner, set(device.holds), set(device.knows), list(device.past)))
        elif what == "rollback" and device.past:
            self.dishonest.add(device.owner)
            device.holds = set(self.one_of(device.past))
        elif what == "attack":
            self.attack(device)
        else:
            self.pay(device)

    def attack(self, device: Device) -> None:
        """The same tokens are spent twice or three times, each time as from a fresh copy."""
        self.dishonest.add(device.owner)
        before = set(device.holds)
        for _ in range(self.draw(st.integers(2, 3))):
            device.holds = set(before)
            self.pay(device)

    def spendable(self, device: Device) -> list[bytes]:
        return sorted(name for name in device.holds if self.coins[name].hop < MAX_HOPS)

    def payees(self, device: Device, purpose: bytes | None) -> list[str]:
        others = [name for name in self.people if name != device.owner and name not in self.stolen]
        return [name for name in others if purpose is None or CANTEEN.mcc == self.mcc(name)]

    def mcc(self, name: str) -> str | None:
        merchant = self.people[name].certificate(self.world.network).merchant
        return merchant.mcc if merchant else None

    def pay(self, device: Device, *, payee: str | None = None, at_fault: bool = False) -> Paid | None:
        first = self.one_of(self.spendable(device))
        purpose = self.coins[first].purpose
        payees = [payee] if payee else self.payees(device, purpose)
        alike = [name for name in self.spendable(device) if self.coins[name].purpose == purpose and name != first]
        inputs = (first, self.one_of(alike)) if alike and self.draw(st.booleans()) else (first,)
        if not payees:
            return None
        total_tiyn = sum(self.coins[name].amount_tiyn for name in inputs)
        amount_tiyn = total_tiyn if self.draw(st.booleans()) else self.draw(st.integers(1, total_tiyn))
        return self.sign(device, self.one_of(payees), inputs, (amount_tiyn, total_tiyn - amount_tiyn), at_fault)

    def sign(
        self, device: Device, payee: str, inputs: tuple[bytes, ...], shares: tuple[int, int], at_fault: bool
    ) -> Paid:
        """One payment, change to the payer; the payee may never see it, but his payer can show it."""
        purpose, hop = self.coins[inputs[0]].purpose, max(self.coins[name].hop for name in inputs)
        owners = (payee, device.owner)
        outputs = tuple(
            Output(self.people[owner].purse.public, share, purpose)
            for owner, share in zip(owners, shares, strict=True)
            if share
        )
        payer, taker = self.people[device.owner], self.people[payee]
        salt = str(len(self.payments))
        raw = self.world.payment(payer, taker, inputs, outputs, hop=hop + 1, salt=salt)
        name = self.world.message_id(raw)
        made = tuple(outpoint(name, index) for index in range(len(outputs)))
        self.coins[made[0]] = Coin(payee, shares[0], None, hop + 1)  # the canteen's mark clears
        if shares[1]:
            self.coins[made[1]] = Coin(device.owner, shares[1], purpose, hop)
        self.payments[name] = Paid(name, raw, device.owner, inputs, made, at_fault)
        device.past.append(set(device.holds))
        device.holds = (device.holds - set(inputs)) | set(made[1:])
        device.knows.add(name)
        if self.draw(st.integers(0, 5)):
            self.arrives(self.device(payee), name)
        return self.payments[name]

    def arrives(self, device: Device, name: bytes) -> None:
        """A payee takes a payment, but not one that spends again what it has seen spent."""
        seen = device.knows | self.with_ancestry(name)
        spent = [coin for known in seen for coin in self.payments[known].inputs]
        if device.owner in self.dishonest or len(spent) == len(set(spent)):
            device.holds.add(self.payments[name].made[0])
            device.knows |= seen

    def money_of_a_revoked_purse_is_passed_on(self) -> None:
        """A thief spends from a purse whose loss is known; an acceptor takes it all the same and pays on."""
        victim, acceptor = self.one_of(self.people), self.one_of(self.people)
        own = self.device(victim)
        if victim == acceptor or not self.spendable(own):
            return
        if any(self.coins[name].purpose and not self.mcc(acceptor) for name in own.holds):
            return
        revoke(self.world, self.people[victim])
        self.stolen.add(victim)
        self.dishonest.add(acceptor)
        self.world.now_s += 1
        taken = self.pay(own, payee=acceptor, at_fault=True)
        if taken is None or self.coins[taken.made[0]].hop >= MAX_HOPS:
            return
        for _ in range(self.draw(st.integers(0, 2))):
            thief = Device(acceptor, {taken.made[0]}, self.with_ancestry(taken.id))
            self.devices.append(thief)
            self.pay(thief)
        for _ in range(self.draw(st.integers(0, 3))):
            others = [device for device in self.devices if device.owner not in self.stolen and self.spendable(device)]
            if others:
                self.pay(self.one_of(others))

    # --- afterwards ---

    def with_ancestry(self, name: bytes) -> set[bytes]:
        parents = {made[:32] for made in self.payments[name].inputs} & set(self.payments)
        return {name}.union(*map(self.with_ancestry, parents))

    def evidence(self) -> list[tuple[bytes, ...]]:
        """Each payment with its ancestry, from each device that is still there."""
        shown = [name for device in self.devices if not device.is_lost for name in sorted(device.knows)]
        bundles = [tuple(sorted(self.with_ancestry(name))) for name in shown]
        return [tuple(self.payments[name].raw for name in bundle) for bundle in dict.fromkeys(bundles)]

    def known(self) -> dict[bytes, Paid]:
        """The payments that any evidence holds."""
        shown = {raw for bundle in self.evidence() for raw in bundle}
        return {name: paid for name, paid in self.payments.items() if paid.raw in shown}


# --- what must come out, by the words of the design ---------------------------------------------


@dataclass
class Outcome:
    """Live leaves by owner (tiyn), what each culprit owes, what is left of reserves, what banks owe the pool."""

    live: dict[str, int]
    excess: dict[str, int]
    seized: dict[str, int]
    reserves: dict[str, int]
    claims: dict[str, int]


def expected(tale: Tale) -> Outcome:
    known = tale.known()
    counted = {name: paid for name, paid in known.items() if not paid.at_fault}
    void = {made for paid in known.values() if paid.at_fault for made in paid.made}
    spends = dict.fromkeys(tale.coins, 0)
    for paid in counted.values():
        for name in paid.inputs:
            spends[name] += 1
    exists = {name for name in tale.coins if name[:32] not in tale.payments or name[:32] in counted}
    live = dict.fromkeys(tale.people, 0)
    excess = dict.fromkeys(tale.people, 0)
    for name in exists:
        coin = tale.coins[name]
        live[coin.owner] += coin.amount_tiyn if not spends[name] else 0
        excess[coin.owner] += max(0, spends[name] - 1) * coin.amount_tiyn  # rule 2
    for name in exists | void:
        for acceptor, owed_tiyn in accepted_twice(tale, counted, name).items():  # rule 6
            excess[tale.coins[name].owner] -= owed_tiyn
            excess[acceptor] += owed_tiyn
    for name in void:
        excess[tale.coins[name].owner] += spends[name] * tale.coins[name].amount_tiyn  # rule 5
    seized = {person: min(excess[person], live[person]) for person in tale.people}  # rule 4
    net = dict(tale.reserves)
    for person, customer in tale.people.items():
        net[customer.bank] += seized[person] - excess[person]  # rule 3
    reserves = {bank: max(0, rest) for bank, rest in net.items()}
    return Outcome(live, excess, seized, reserves, {bank: max(0, -rest) for bank, rest in net.items()})


def accepted_twice(tale: Tale, counted: dict[bytes, Paid], name: bytes) -> dict[str, int]:
    """What the payees of several spends of one coin have of it beyond the most that one of them brought."""
    brought: dict[str, list[int]] = {}
    for paid in counted.values():
        if name in paid.inputs:
            amounts = [tale.coins[made].amount_tiyn for made in paid.made]
            brought.setdefault(tale.coins[paid.made[0]].owner, []).append(
                tale.coins[name].amount_tiyn * amounts[0] // sum(amounts)
            )
    return {payee: sum(parts) - max(parts) for payee, parts in brought.items()}


def found(tale: Tale, world: World) -> Outcome:
    """The same, as the ledger's records have it."""
    names = {customer.purse.public: name for name, customer in tale.people.items()}
    excess, seized = (dict.fromkeys(tale.people, 0) for _ in range(2))
    live = {name: world.live_tiyn(key) for key, name in names.items()}
    for (table, key), value in world.view.records().items():
        if table is Table.CULPRIT:
            culprit = Culprit.decode(value)
            excess[names[key]], seized[names[key]] = culprit.excess_tiyn, culprit.seized_tiyn
            assert culprit.debt_tiyn == culprit.excess_tiyn - culprit.seized_tiyn
    banks = {bank: reserve_of(world, bank) for bank in BANKS}
    reserves = {bank: reserve.reserve_tiyn for bank, reserve in banks.items()}
    return Outcome(live, excess, seized, reserves, {bank: reserve.claims_tiyn for bank, reserve in banks.items()})


# --- plans -------------------------------------------------------------------------------------


def copied(world: World) -> World:
    """The same state and clock, to go another way from."""
    twin = copy(world)
    twin.view = Overlay(EMPTY)
    twin.view.layer.records = dict(world.view.layer.records)
    twin.view.layer.consumed = dict(world.view.layer.consumed)
    twin.view.layer.offline = {owner: list(names) for owner, names in world.view.layer.offline.items()}
    twin.view.ledger_time_s = world.view.ledger_time_s
    return twin


def reconciled(tale: Tale, groups: list[list[bytes]]) -> World:
    """The world after these reconciles: nothing is refused but payments at fault, and what lacks its ancestors."""
    world = copied(tale.world)
    at_fault = {paid.id for paid in tale.payments.values() if paid.at_fault}
    for group in groups:
        with suppress(Replayed, AncestryBroken, CertificateRevoked):
            refused = world.reconcile(*group).refused
            assert all(name in at_fault or isinstance(error, AncestryBroken) for name, error in refused)
    return world


def plan(draw: Draw, evidence: list[tuple[bytes, ...]]) -> list[list[bytes]]:
    """Every bundle in some order, some of them again, cut into some groups, shuffled; and some payments alone."""
    order = draw(st.permutations(evidence + draw(st.lists(st.sampled_from(evidence), max_size=3))))
    groups: list[list[bytes]] = [[]]
    for bundle in order:
        if groups[-1] and draw(st.booleans()):
            groups.append([])
        groups[-1].extend(bundle)
    groups = [draw(st.permutations(group)) for group in groups]
    for raw in draw(st.lists(st.sampled_from([raw for bundle in evidence for raw in bundle]), max_size=3)):
        groups.insert(draw(st.integers(0, len(groups))), [raw])
    return groups


def check(tale: Tale, draw: Draw, plans: int = 3) -> None:
    evidence = tale.evidence()
    wanted = expected(tale)
    worlds = [reconciled(tale, [list(bundle) for bundle in evidence])]
    if evidence:
        worlds.append(reconciled(tale, [[raw for bundle in evidence for raw in bundle]]))
        worlds += [reconciled(tale, plan(draw, evidence)) for _ in range(plans)]
    for world in worlds:
        assert found(tale, world) == wanted
        supply = world.supply()
        assert supply.online_tiyn + supply.pool_tiyn + supply.reserves_tiyn == supply.issued_tiyn - supply.redeemed_tiyn
        assert supply.pool_tiyn == sum(wanted.live.values()) - sum(wanted.seized.values()) - sum(wanted.claims.values())
        assert supply.reserves_tiyn == sum(wanted.reserves.values())
    assert len({world.root() for world in worlds}) == 1
    nobody_honest_is_short(tale, worlds[-1])
    event(f"somebody owes: {any(wanted.excess.values())}")
    event(f"most hops: {max(coin.hop for coin in tale.coins.values())}")
    event(f"reserve short: {any(wanted.claims.values())}")


def nobody_honest_is_short(tale: Tale, world: World) -> None:
    """Whoever never cheated and still has his device has all that it holds, and can take it out at once."""
    known, charged = tale.known(), expected(tale).excess
    for name, customer in tale.people.items():
        device = tale.device(name)
        if name in tale.dishonest | tale.stolen or device.is_lost:
            continue
        unseen = {made for paid in known.values() if not paid.at_fault for made in paid.made} - device.holds
        spent = {spent for paid in known.values() for spent in paid.inputs}
        late = {made for made in unseen - spent if tale.coins[made].owner == name}  # his payer showed it, not he
        if charged[name]:  # a payer showed a second spend that he never took: it lies there and is seized
            late = set()
        due = device.holds | late
        due_tiyn = sum(tale.coins[coin].amount_tiyn for coin in due)
        leaves = {key[1] for key, value in world.view.records().items() if is_live_of(customer, key[0], value)}
        assert leaves == due or (charged[name] and leaves > due)
        if due:
            outputs = [out(customer, tale.coins[coin].amount_tiyn, tale.coins[coin].purpose) for coin in sorted(due)]
            before_tiyn = world.online_tiyn(customer.key.public)
            unload(world, sorted(due), outputs, customer.purse)
            assert world.online_tiyn(customer.key.public) == before_tiyn + due_tiyn


def is_live_of(customer: Customer, table: Table, value: bytes) -> bool:
    if table is not Table.OFFLINE:
        return False
    leaf = OfflineToken.decode(value)
    return leaf.owner == customer.purse.public and leaf.is_live


@given(data=st.data())
def test_any_order_of_any_world_has_one_outcome(data: st.DataObject) -> None:
    check(Tale(data.draw, faults=False), data.draw)


@given(data=st.data())
def test_the_same_with_an_acceptor_at_fault(data: st.DataObject) -> None:
    check(Tale(data.draw, faults=True), data.draw)
