"""The small economy of a scenario: a ledger on disk, a governor, banks and wallets, all keys from the seed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, TypeVar

from cbdc.errors import InsufficientFunds, Malformed, Unreachable
from cbdc.formats.certificates import Holder, Merchant
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.x509 import Role
from cbdc.limits import MAX_SWEEP
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Approve, Attest
from cbdc.messages.message import build
from cbdc.service.founding import Governor
from cbdc.service.ledger import Identity
from cbdc.service.queries import Queries
from cbdc.service.sweeping import enter_sweeps
from wallet.balance import Balance, balance_of, without_device
from wallet.bank import BankDesk
from wallet.customer import Customer
from wallet.port import LedgerPort
from wallet.purpose_files import PurposeSpec, definition_of
from wallet.scenarios.broken_element import BrokenElement, copy_storage
from wallet.scenarios.chance import DeviceClock, ManualClock, SeededRandom, business_number
from wallet.scenarios.schema import Scenario, WalletSpec
from wallet.scenarios.setting import Founding, OneProcess, Setting, SettingMaker
from wallet.scenarios.setting.ledger_process import OPERATOR_CHANCE
from wallet.scenarios.wallets import PlayedWallet
from wallet.scenarios.wallets.local import PASSWORD

NETWORK_NAME: Final = "Digital Tenge"
OPERATOR_NAME: Final = "KISC"
GOVERNOR_CHANCE: Final = "governor"
_HOLDERS: Final = {"person": Holder.PERSON, "merchant": Holder.MERCHANT, "sponsor": Holder.SPONSOR}


@dataclass
class Device:
    """A wallet in the economy: its directory, its network, and whose it is (for a clone, the original's)."""

    name: str
    spec: WalletSpec
    directory: Path
    wallet: PlayedWallet
    clock: DeviceClock
    original: str = ""
    is_connected: bool = True
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
    banks: dict[str, BankDesk] = field(default_factory=dict)
    devices: dict[str, Device] = field(default_factory=dict)
    purposes: dict[str, bytes] = field(default_factory=dict)
    institutions: dict[str, SigningKey] = field(default_factory=dict)
    """Oracles and approvers by name."""
    allowances: dict[str, dict[bytes, int]] = field(default_factory=dict)
    """What sponsors let wallets pay without the ledger's memory, by wallet and purpose (tiyn)."""

    def __post_init__(self) -> None:
        seed = self.scenario.seed
        self._random: Callable[[str], SeededRandom] = lambda name: SeededRandom(seed, name)
        self._nonces = self._random("governor nonces")
        self.governor = Governor.from_seed(self._random(GOVERNOR_CHANCE)(32))
        operator = SigningKey(self._random(OPERATOR_CHANCE)(32))
        self.identity = Identity(self.governor.network, NETWORK_NAME, operator)
        self.founding = Founding(self.directory, seed, self.identity, self.clock)
        self.setting: Setting
        self._openings = 0

    # --- opening -------------------------------------------------------------------------------

    @classmethod
    def found(cls, scenario: Scenario, directory: Path, setting: SettingMaker = OneProcess) -> Economy:
        """Found the network and everybody in it, before the first step; in this process unless told else."""
        economy = cls(scenario, directory, ManualClock(scenario.start_s))
        economy.setting = setting(economy.founding)
        try:
            economy._found_all()
        except BaseException:
            economy.close()
            raise
        return economy

    def _found_all(self) -> None:
        scenario, governor = self.scenario, self.governor
        (self.ledger_path.parent / "root.pub").write_text(governor.network.hex() + "\n", encoding="ascii")
        operator = self.identity.operator.public
        genesis = governor.genesis(NETWORK_NAME, OPERATOR_NAME, operator, scenario.policy, scenario.start_s)
        self.port.submit(genesis)
        for bank in scenario.banks:
            self._admit(bank.name, bank.reserve_tiyn)
        for wallet in scenario.wallets:
            self._open_wallet(wallet)
        for role, names in ((Role.ORACLE, scenario.oracles), (Role.APPROVER, scenario.approvers)):
            for name in names:
                key = self.institutions[name] = SigningKey(self._random(f"{role.value} {name}")(32))
                self.port.submit(governor.admit(name, role, key.public, self.clock()))
        for purpose in scenario.purposes:
            self._define(purpose)
        for device in self.devices.values():
            device.wallet.sync()

    def close(self) -> None:
        """Let go of every file."""
        self.setting.close()

    @property
    def ledger_path(self) -> Path:
        return self.founding.ledger_path

    @property
    def port(self) -> LedgerPort:
        """The institutions' way to the ledger."""
        return self.setting.port

    @property
    def queries(self) -> Queries:
        """The committed state, for whoever looks on."""
        return self.setting.queries

    def _admit(self, name: str, reserve_tiyn: int) -> None:
        key = SigningKey(self._random(f"bank {name}")(32))
        desk = BankDesk(name, key, self.governor.network)
        self.banks[name] = desk
        self.port.submit(self.governor.admit_bank(name, key.public, self.clock()))
        if reserve_tiyn:
            self.issue(name, reserve_tiyn)
            desk.top_up(self.port, reserve_tiyn)

    def _open_wallet(self, spec: WalletSpec) -> None:
        clock = DeviceClock(self.clock)
        wallet = self.setting.create_wallet(spec.name, f"wallet {spec.name}", clock)
        merchant = None
        if spec.kind == "merchant":
            number = spec.bin or business_number(self._random(f"bin {spec.name}"))
            merchant = Merchant(number, spec.mcc, spec.kato)
        self.bank(spec.bank).enrol(
            self.port, wallet, spec.name, holder=_HOLDERS[spec.kind], merchant=merchant, tier=spec.tier
        )
        directory = self.founding.wallet_directory(spec.name)
        self.devices[spec.name] = Device(spec.name, spec, directory, wallet, clock)

    def _define(self, spec: PurposeSpec) -> None:
        sponsor = self.device(spec.sponsor).wallet
        definition = definition_of(spec, lambda name: self.device(name).wallet.online_key, self.account)
        self.purposes[spec.name] = sponsor.define_purpose(definition)

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
        device = self.wallet(name)
        holdings = device.wallet.holdings()
        if device.is_lost:
            holdings = without_device(holdings.keys, holdings.retired, device.wallet.purse_key, self.port)
        return balance_of(holdings, self.port)

    def purpose(self, name: str | None) -> bytes | None:
        return None if name is None else _named(self.purposes, name, "purpose")

    def purpose_name(self, purpose: bytes) -> str:
        return next((name for name, known in self.purposes.items() if known == purpose), purpose.hex())

    def account(self, name: str) -> str:
        """``bank/subject`` of a wallet of the scenario; the name of an oracle or approver."""
        if name in self.institutions:
            return name
        for wallet in self.scenario.wallets:
            if wallet.name == name:
                return f"{wallet.bank}/{wallet.name}"
        raise Malformed("no such wallet", found=name)

    def name_of(self, account: str) -> str:
        return account.partition("/")[2] or account

    # --- oracles and approvers -----------------------------------------------------------------

    def attest(self, oracle: str, fact: str, about: bytes | str) -> Receipt:
        """An oracle states a fact; what that lets through or frees is swept at once."""
        key = _named(self.institutions, oracle, "oracle")
        body = Attest(oracle, fact, about)
        receipt = self.port.submit(build(Kind.ATTEST, body, [key], self.governor.network))
        self.sweep_due()
        return receipt

    def approve(self, by: str, payment_id: bytes) -> Receipt:
        """An approver, or a wallet that a purpose names, approves a payment that waits."""
        if by not in self.institutions:
            return self.port.submit(self.device(by).wallet.sign_approval(payment_id, self.account(by)))
        body = Approve(payment_id, by)
        return self.port.submit(build(Kind.APPROVE, body, [self.institutions[by]], self.governor.network))

    def allow(self, sponsor: Device, device: Device, purpose: bytes, amount_tiyn: int) -> None:
        """A sponsor's allowance, which the bank then writes into the purse's certificate."""
        sponsor.wallet.allow(purpose, self.account(device.owner), amount_tiyn)
        allowed = self.allowances.setdefault(device.owner, {})
        allowed[purpose] = amount_tiyn
        self.bank(device.spec.bank).renew_purse(self.port, device.wallet, allowed)

    def recall(self, sponsor: Device, device: Device, purpose: bytes, reference: str) -> int:
        """Take all unspent tokens of a purpose that a wallet has online; how much (tiyn)."""
        held = self.port.tokens_of([device.wallet.online_key])
        names = {name: token.amount_tiyn for name, token in held.items() if token.purpose == purpose}
        if not names:
            raise InsufficientFunds("nothing of this purpose is there online", wallet=device.name)
        signed = sponsor.wallet.sign_recall(purpose, tuple(sorted(names)), reference)
        self.port.submit(self.governor.agree(signed))
        return sum(names.values())

    # --- the governor's and the operator's part --------------------------------------------------

    def issue(self, bank: str, amount_tiyn: int) -> Receipt:
        return self.port.submit(self.governor.issue(self.bank(bank).key.public, amount_tiyn, self._nonces(16)))

    def advance(self, span_s: int) -> int:
        """Move all clocks; whatever falls due happens in due order. How many tokens were swept."""
        until_s = self.clock.now_s + span_s
        swept, stuck = 0, set[bytes]()
        while due := [found for found in self.queries.due(until_s, MAX_SWEEP) if found[1] not in stuck]:
            self.setting.set_time(max(self.clock.now_s, due[0][0]))
            moved = self.sweep_due()
            swept += moved
            if not moved:
                stuck.add(due[0][1])
        self.setting.set_time(until_s)
        return swept

    def sweep_due(self) -> int:
        """Move what is due by now, as a ledger that is served does every minute; how many tokens."""
        names = [name for _, name in self.queries.due(self.clock.now_s, MAX_SWEEP)]
        return enter_sweeps(names, self.governor.network, self.port.submit)

    # --- devices -------------------------------------------------------------------------------

    def connect(self, device: Device) -> None:
        """Give a device its network back."""
        device.is_connected = True
        self.setting.connect(device.name)

    def cut(self, device: Device) -> None:
        """Take a device's network away."""
        device.is_connected = False
        self.setting.cut(device.name)

    def reopen(self, device: Device) -> None:
        """Open a device's files again after they were replaced."""
        device.wallet = self.setting.open_wallet(device.name, self._fresh_chance(device.name), device.clock)
        if device.is_careless:
            self.make_careless(device)

    def make_careless(self, device: Device) -> None:
        """From now on the device's purse accepts what it should refuse."""
        device.is_careless = True
        device.wallet.be_careless(self._fresh_chance(device.name))

    def _fresh_chance(self, name: str) -> str:
        """Chance for a purse that was opened again: from the seed, and never the same numbers twice."""
        self._openings += 1
        return f"wallet {name} opened {self._openings}"

    def replace_purse(self, device: Device) -> None:
        """A new secure element for a device, whose key its bank certifies beside the old one, which it denies."""
        bank = self.bank(device.spec.bank)
        bank.check_may_replace(self.port, device.owner)
        device.wallet.new_element(self._fresh_chance(device.name))
        bank.replace_purse(self.port, device.wallet)

    def copy_device(self, device: Device, directory: Path, *, element: bool) -> None:
        """Copy a device's storage; with ``element`` its secure element too, which no sound element allows."""
        device.wallet.copy_storage(directory / "wallet.db")
        if element:
            name = device.wallet.element_file
            copy_storage(device.directory / name, directory / name)

    def clone(self, name: str, as_name: str) -> None:
        """A broken secure element: a second device with everything of the first."""
        device = self.device(name)
        if as_name in self.devices:
            raise Malformed("there is a wallet of this name", found=as_name)
        directory = self.founding.wallet_directory(as_name)
        self.copy_device(device, directory, element=True)
        clock = DeviceClock(self.clock, device.clock.skew_s)
        wallet = self.setting.open_wallet(as_name, self._fresh_chance(as_name), clock)
        clone = Device(as_name, device.spec, directory, wallet, clock, original=device.owner)
        self.devices[as_name] = clone
        if not device.is_connected:
            self.cut(clone)

    def open_copy(self, device: Device, directory: Path) -> tuple[Customer, SigningKey]:
        """A throw-away copy of a device for forging on, and the key of its opened element."""
        self.copy_device(device, directory, element=True)
        opened = BrokenElement.open(directory / device.wallet.element_file, PASSWORD)
        key = opened.steal_key()
        opened.close()
        return Customer.open(directory, PASSWORD, clock=device.clock, element=BrokenElement), key


T = TypeVar("T")


def _named(table: dict[str, T], name: str, what: str) -> T:
    if name not in table:
        raise Malformed(f"no such {what}", found=name)
    return table[name]
