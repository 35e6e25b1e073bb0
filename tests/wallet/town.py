"""A town: a real ledger with one bank, and wallets that have some money."""

from __future__ import annotations

from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from cbdc.errors import TengeError, Unreachable
from cbdc.log.receipts import Receipt
from cbdc.messages.message import decode
from wallet.bank import BankDesk
from wallet.customer import Customer
from wallet.element import ElementMaker, SimulatedElement
from wallet.port import LedgerPort
from wallet.protocol import PaymentBundle
from wallet.scenarios import economy, schema
from wallet.scenarios.economy import Economy
from wallet.scenarios.setting import OneProcess
from wallet.scenarios.wallets import LocalWallet

FUNDS_TIYN = 1_000_00
DAY_S = 86_400


@dataclass
class Town:
    """`Economy` with shorter names; amounts in tiyn."""

    economy: Economy

    @classmethod
    def found(
        cls,
        directory: Path,
        *wallets: str,
        reserve: str = "500",
        tables: Any = None,
        element: ElementMaker = SimulatedElement,
        **offline: Any,
    ) -> Town:
        """``tables`` may add or replace what the scenario file would say; ``offline`` is its policy."""
        known = {"name": "altyn", "reserve": reserve}
        plain = [{"name": name, "bank": "altyn"} for name in wallets]
        data = {"title": "a town", "bank": [known], "wallet": plain, "policy": {"offline": offline}} | (tables or {})
        town = cls(Economy.found(schema.parse(data), directory, partial(OneProcess, element=element)))
        town.economy.issue("altyn", 100_000_00)
        for name in town.economy.devices:
            town.bank.fund(town.port, town[name].key.public, FUNDS_TIYN)
            town[name].look(town.port)
        return town

    def __getitem__(self, name: str) -> Customer:
        return self.device(name).customer

    def device(self, name: str) -> Device:
        return Device(self.economy.device(name))

    @property
    def port(self) -> LedgerPort:
        return self.economy.port

    @property
    def bank(self) -> BankDesk:
        return self.economy.bank("altyn")

    def clone(self, name: str, as_name: str) -> Customer:
        self.economy.clone(name, as_name)
        return self[as_name]

    def pay_offline(self, payer: str, payee: str, amount_tiyn: int, purpose: bytes | None = None) -> bytes:
        """A payment from purse to purse with its receipt; its id."""
        bundle = self[payer].purse.pay(self[payee].purse.invoice(amount_tiyn), purpose)
        payment_id = self.payment_id_of(bundle)
        self[payer].purse.finish(payment_id, self[payee].purse.accept(bundle))
        return payment_id

    def payment_id_of(self, bundle: bytes) -> bytes:
        return decode(PaymentBundle.decode(bundle).payment, self.economy.governor.network).id

    def sync(self, *names: str) -> None:
        for name in names:
            self[name].sync(self.port)

    def pass_time(self, seconds: int) -> None:
        self.economy.advance(seconds)

    def held(self, name: str) -> tuple[int, int, int]:
        """(online, offline, pending) in tiyn."""
        balance = self[name].balance(self.port)
        return balance.online_tiyn, balance.offline_tiyn, balance.pending_tiyn

    def close(self) -> None:
        self.economy.close()


class Device:
    """A wallet's directory and clock, and its `Customer`, which may be closed and opened in another way."""

    __slots__ = ("_wallet", "clock", "directory")

    def __init__(self, device: economy.Device) -> None:
        assert isinstance(device.wallet, LocalWallet)
        self.directory = device.directory
        self.clock = device.clock
        self._wallet = device.wallet

    @property
    def customer(self) -> Customer:
        return self._wallet.customer

    @customer.setter
    def customer(self, opened: Customer) -> None:
        self._wallet.customer = opened


class Cable:
    """A port whose network can be cut in front of any call, or behind the submission."""

    def __init__(self, port: LedgerPort) -> None:
        self._port = port
        self.refuses: TengeError | None = None
        self.loses_answer = False

    def __getattr__(self, name: str) -> Any:
        return getattr(self._port, name)

    def submit(self, message: bytes) -> Receipt:
        if self.refuses is not None:
            raise self.refuses
        receipt = self._port.submit(message)
        if self.loses_answer:
            raise Unreachable("the answer was lost")
        return receipt
