"""The small economy of a scenario: a ledger on disk, a governor, banks and wallets, all keys from the seed."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from cbdc.errors import Malformed, Unreachable
from cbdc.formats.certificates import Holder, Merchant
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_SWEEP
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Sweep
from cbdc.messages.message import build
from cbdc.purposes.definition import Definition, MarkRule
from cbdc.service.founding import Governor
from cbdc.service.ledger import Identity, Ledger, LedgerDied
from cbdc.service.queries import Queries
from cbdc.store.sqlite import SqliteStore
from wallet.bank import BankDesk
from wallet.customer import Balance, Customer
from wallet.element import ElementMaker, SimulatedElement
from wallet.port import LedgerPort, LocalPort, Switch
from wallet.scenarios.broken_element import BrokenElement, copy_storage
from wallet.scenarios.careless import CarelessPurse
from wallet.scenarios.conditions import condition_of
from wallet.scenarios.schema import PurposeSpec, Scenario, WalletSpec
from wallet.vault import QUICK_KDF

NETWORK_NAME: Final = "Digital Tenge"
OPERATOR_NAME: Final = "KISC"
_PASSWORD: Final = "scenario"  # noqa: S105 - protects nothing: a scenario's wallets live for one run
_HOLDERS: Final = {"person": Holder.PERSON, "merchant": Holder.MERCHANT, "sponsor": Holder.SPONSOR}


class SeededRandom:
    """A byte stream that depends on the scenario's seed and a name only."""

    def __init__(self, seed: int, name: str) -> None:
        self._state = hashlib.sha256(f"tenge scenario {seed} {name}".encode()).digest()
        self._count = 0

    def __call__(self, length: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._state + self._count.to_bytes(8, "big")).digest(length)


class ManualClock:
    """Ledger time and the devices' clocks: they move when a scenario says so."""

    def __init__(self, now_s: int) -> None:
        self.now_s = now_s

    def __call__(self) -> int:
        return self.now_s


@dataclass
class DeviceClock:
    """One device's clock: the economy's, and by how much it is wrong (seconds)."""

    right: ManualClock
    skew_s: int = 0

    def __call__(self) -> int:
        return self.right() + self.skew_s


class CrashPoint:
    """Lets the ledger die once at a named place."""

    def __init__(self) -> None:
        self.armed: str | None = None

    def before_commit(self) -> None:
        self._maybe_die("before_commit")

    def after_commit(self) -> None:
        self._maybe_die("after_commit")

    def _maybe_die(self, here: str) -> None:
        if self.armed == here:
            self.armed = None
            raise LedgerDied


@dataclass
class Device:
    """A wallet in the economy: its directory, its network switch, and whose it is (for a clone, the original's)."""

    name: str
    spec: WalletSpec
    directory: Path
    customer: Customer
    switch: Switch
    clock: DeviceClock
    original: str = ""
    is_lost: bool = False
    is_careless: bool = False

    @property
    def owner(self) -> str:
        return self.original or self.name


@dataclass
class Economy:
    """Everything a scenario's steps act on."""

    scenario: Scenario
    directory: Path
    clock: ManualClock
    element: ElementMaker = SimulatedElement
    crash_point: CrashPoint = field(default_factory=CrashPoint)
    banks: dict[str, BankDesk] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    purposes: dict[str, bytes] = field(default_factory=dict)

    def __post_init__(self) -> None:
        seed = self.scenario.seed
        self._random: Callable[[str], SeededRandom] = lambda name: SeededRandom(seed, name)
        self._nonces = self._random("governor nonces")
        self.governor = Governor.from_seed(self._random("governor")(32))
        self._operator = SigningKey(self._random("operator")(32))
        self._identity = Identity(self.governor.network, NETWORK_NAME, self._operator)
        self.ledger_path = self.directory / "ledger" / "ledger.db"
        self.ledger: Ledger
        self.queries: Queries
        self.restarts = 0
        self._openings = 0

    # --- opening -------------------------------------------------------------------------------

    @classmethod
    def found(cls, scenario: Scenario, directory: Path, element: ElementMaker = SimulatedElement) -> Economy:
        """Found the network and everybody in it, before the first step; elements in this process unless told else."""
        economy = cls(scenario, directory, ManualClock(scenario.start_s), element)
        economy._start(SqliteStore.create(economy.ledger_path))
        governor, now_s = economy.governor, scenario.start_s
        (economy.ledger_path.parent / "root.pub").write_text(governor.network.hex() + "\n", encoding="ascii")
        genesis = governor.genesis(NETWORK_NAME, OPERATOR_NAME, economy._operator.public, scenario.policy, now_s)
        economy.port.submit(genesis)
        for bank in scenario.banks:
            economy._admit(bank.name, bank.reserve_tiyn)
        for wallet in scenario.wallets:
            economy._open_wallet(wallet)
        for purpose in scenario.purposes:
            economy._define(purpose)
        for device in economy.devices.values():
            device.customer.sync(economy.port)
        return economy

    def _start(self, store: SqliteStore) -> None:
        self.ledger = Ledger(store, self._identity, clock=self.clock, faults=self.crash_point)
        self.queries = Queries(SqliteStore.read(self.ledger_path), self._identity, self.clock)

    def restart(self) -> None:
        """Open the ledger again after it died."""
        self.ledger.close()
        self.queries.close()
        self.restarts += 1
        self._start(SqliteStore.open(self.ledger_path))

    def close(self) -> None:
        """Let go of every file."""
        for device in self.devices.values():
            device.customer.close()
        self.ledger.close()
        self.queries.close()

    @property
    def port(self) -> LedgerPort:
        """The way to the ledger; a message that meets a dying ledger is handed in again, byte for byte."""
        return _RetryingPort(self)

    def _admit(self, name: str, reserve_tiyn: int) -> None:
        key = SigningKey(self._random(f"bank {name}")(32))
        desk = BankDesk(name, key, self.governor.network)
        self.banks[name] = desk
        self.port.submit(self.governor.admit_bank(name, key.public, self.clock()))
        if reserve_tiyn:
            self.issue(name, reserve_tiyn)
            desk.top_up(self.port, reserve_tiyn)

    def _open_wallet(self, spec: WalletSpec) -> None:
        directory = self.directory / "wallets" / spec.name
        random, clock = self._random(f"wallet {spec.name}"), DeviceClock(self.clock)
        customer = Customer.create(
            directory,
            _PASSWORD,
            self.governor.network,
            clock=clock,
            element=self.element,
            cost=QUICK_KDF,
            random=random,
        )
        merchant = None
        if spec.kind == "merchant":
            merchant = Merchant(spec.bin or business_number(random), spec.mcc, spec.kato)
        self.bank(spec.bank).enrol(
            self.port, customer, spec.name, holder=_HOLDERS[spec.kind], merchant=merchant, tier=spec.tier
        )
        self.devices[spec.name] = Device(spec.name, spec, directory, customer, Switch(lambda: self.port), clock)

    def _define(self, spec: PurposeSpec) -> None:
        sponsor = self.device(spec.sponsor).customer
        definition = Definition(
            name=spec.name,
            titles=spec.titles,
            sponsor=sponsor.key.public,
            return_to=self.device(spec.return_to).customer.key.public,
            condition=condition_of(spec.allow, self.account),
            mark=MarkRule(spec.mark),
            expires_s=spec.expires_s,
        )
        self.purposes[spec.name] = sponsor.define_purpose(self.port, definition)

    # --- names ---------------------------------------------------------------------------------

    def bank(self, name: str) -> BankDesk:
        return _named(self.banks, name, "bank")

    def device(self, name: str) -> Device:
        """A device that takes part. Raises Malformed if there is none, Unreachable if it is gone for good."""
        device = self.wallet(name)
        if device.is_lost:
            raise Unreachable("this device is gone for good", wallet=name)
        return device

    def wallet(self, name: str) -> Device:
        """A wallet, its device lost or not. Raises Malformed."""
        return _named(self.devices, name, "wallet")

    def balance(self, name: str) -> Balance:
        """What a wallet has; of a lost device, what the ledger knows."""
        wallet = self.wallet(name)
        customer = wallet.customer
        return customer.balance_without_device(self.port) if wallet.is_lost else customer.balance(self.port)

    def purpose(self, name: str | None) -> bytes | None:
        return None if name is None else _named(self.purposes, name, "purpose")

    def purpose_name(self, purpose: bytes) -> str:
        return next((name for name, known in self.purposes.items() if known == purpose), purpose.hex())

    def account(self, name: str) -> str:
        """``bank/subject`` of a wallet of the scenario."""
        for wallet in self.scenario.wallets:
            if wallet.name == name:
                return f"{wallet.bank}/{wallet.name}"
        raise Malformed("no such wallet", found=name)

    def name_of(self, account: str) -> str:
        return account.partition("/")[2]

    # --- the governor's and the operator's part --------------------------------------------------

    def issue(self, bank: str, amount_tiyn: int) -> Receipt:
        return self.port.submit(self.governor.issue(self.bank(bank).key.public, amount_tiyn, self._nonces(16)))

    def advance(self, span_s: int) -> int:
        """Move all clocks; whatever falls due happens in due order. How many tokens were swept."""
        until_s = self.clock.now_s + span_s
        swept = 0
        while due := self.queries.due(until_s, MAX_SWEEP):
            self.clock.now_s = max(self.clock.now_s, due[0][0])
            names = [name for at_s, name in due if at_s <= self.clock.now_s]
            self.port.submit(build(Kind.SWEEP, Sweep(tuple(names)), [], self.governor.network))
            swept += len(names)
        self.clock.now_s = until_s
        return swept

    # --- devices -------------------------------------------------------------------------------

    def reopen(self, device: Device) -> None:
        """Open a device's files again after they were replaced."""
        random = self._fresh_random(device.name)
        device.customer = Customer.open(
            device.directory, _PASSWORD, clock=device.clock, random=random, element=self.element
        )
        if device.is_careless:
            self.make_careless(device)

    def make_careless(self, device: Device) -> None:
        """From now on the device's purse accepts what it should refuse."""
        device.is_careless = True
        customer = device.customer
        random = self._fresh_random(device.name)
        customer.purse = CarelessPurse(customer.vault, customer.element, customer.network, device.clock, random)

    def _fresh_random(self, name: str) -> SeededRandom:
        """Chance for a purse that was opened again: from the seed, and never the same numbers twice."""
        self._openings += 1
        return self._random(f"wallet {name} opened {self._openings}")

    def copy_device(self, device: Device, directory: Path, *, element: bool) -> None:
        """Copy a device's storage; with ``element`` its secure element too, which no sound element allows."""
        device.customer.vault.copy_to(directory / "wallet.db")
        if element:
            copy_storage(device.directory / "element.db", directory / "element.db")

    def clone(self, name: str, as_name: str) -> None:
        """A broken secure element: a second device with everything of the first."""
        device = self.device(name)
        if as_name in self.devices:
            raise Malformed("there is a wallet of this name", found=as_name)
        directory = self.directory / "wallets" / as_name
        self.copy_device(device, directory, element=True)
        clock = DeviceClock(self.clock, device.clock.skew_s)
        random = self._fresh_random(as_name)
        customer = Customer.open(directory, _PASSWORD, clock=clock, random=random, element=self.element)
        switch = Switch(lambda: self.port)
        switch.is_connected = device.switch.is_connected
        self.devices[as_name] = Device(as_name, device.spec, directory, customer, switch, clock, original=device.owner)

    def open_copy(self, device: Device, directory: Path) -> tuple[Customer, SigningKey]:
        """A throw-away copy of a device for forging on, and the key of its opened element."""
        self.copy_device(device, directory, element=True)
        opened = BrokenElement.open(directory / "element.db", _PASSWORD)
        key = opened.steal_key()
        opened.close()
        return Customer.open(directory, _PASSWORD, clock=device.clock, element=BrokenElement), key


class _RetryingPort(LocalPort):
    """Hands the same bytes in again after the ledger has died and was started anew."""

    def __init__(self, economy: Economy) -> None:
        super().__init__(economy.ledger, economy.queries)
        self._economy = economy

    def submit(self, message: bytes) -> Receipt:
        try:
            return self._economy.ledger.submit(message).result()
        except Unreachable:
            self._economy.restart()
            super().__init__(self._economy.ledger, self._economy.queries)
            return self._economy.ledger.submit(message).result()


def business_number(random: Callable[[int], bytes]) -> str:
    """A BIN with its check digit: the sum with weights 1..11 modulo 11, and with 3..11, 1, 2 where that gives 10."""
    while True:
        digits = [byte % 10 for byte in random(11)]
        check = _weighted(digits, range(1, 12))
        if check == 10:
            check = _weighted(digits, (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2))
        if check < 10:
            return "".join(map(str, [*digits, check]))


def _weighted(digits: list[int], weights: Iterable[int]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=True)) % 11


T = TypeVar("T")


def _named(table: dict[str, T], name: str, what: str) -> T:
    if name not in table:
        raise Malformed(f"no such {what}", found=name)
    return table[name]
