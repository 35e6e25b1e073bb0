"""A scenario's wallet in this process."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cbdc.formats.lines import Line
from cbdc.log.receipts import Receipt
from cbdc.purposes.definition import Definition
from wallet.balance import Holdings
from wallet.customer import Customer, SyncReport
from wallet.element import ElementMaker
from wallet.port import LedgerPort
from wallet.purse import Received, Sent
from wallet.scenarios.careless import CarelessPurse
from wallet.scenarios.chance import SeededRandom
from wallet.vault import QUICK_KDF

PASSWORD: Final = "scenario"  # noqa: S105 - protects nothing: a scenario's wallets live for one run


Elements = Callable[[SeededRandom], ElementMaker]
"""Who makes and opens the secure element of a wallet with this chance."""


class LocalWallet:
    """A `Customer` with its way to the ledger; ``port`` raises Unreachable while the network is cut."""

    def __init__(
        self, customer: Customer, port: Callable[[], LedgerPort], elements: Elements, random: SeededRandom
    ) -> None:
        self.customer = customer
        self._port = port
        self._elements = elements
        self._random = random

    @classmethod
    def create(
        cls,
        directory: Path,
        network: bytes,
        clock: Callable[[], int],
        port: Callable[[], LedgerPort],
        elements: Elements,
        random: SeededRandom,
    ) -> LocalWallet:
        """Make a wallet in a new directory."""
        element = elements(random)
        customer = Customer.create(
            directory, PASSWORD, network, clock=clock, element=element, cost=QUICK_KDF, random=random
        )
        return cls(customer, port, elements, random)

    @classmethod
    def open(
        cls,
        directory: Path,
        clock: Callable[[], int],
        port: Callable[[], LedgerPort],
        elements: Elements,
        random: SeededRandom,
    ) -> LocalWallet:
        """Open a wallet that is there."""
        customer = Customer.open(directory, PASSWORD, clock=clock, element=elements(random), random=random)
        return cls(customer, port, elements, random)

    @property
    def online_key(self) -> bytes:
        return self.customer.key.public

    @property
    def purse_key(self) -> bytes:
        return self.customer.element.public_key

    def install(self, wallet_certificate: bytes, purse_certificate: bytes, trust_list: bytes) -> None:
        self.customer.install(wallet_certificate, purse_certificate, trust_list)

    # --- on the ledger -------------------------------------------------------------------------

    def define_purpose(self, definition: Definition) -> bytes:
        return self.customer.define_purpose(self._port(), definition)

    def grant(self, payee: bytes, amount_tiyn: int, purpose: bytes) -> int:
        return self.customer.grant(self._port(), payee, amount_tiyn, purpose).index

    def pay_online(
        self, payee: bytes, amount_tiyn: int, purpose: bytes | None, request: bytes | None, wait_s: int
    ) -> list[Any]:
        port = self._port()
        receipt = self.customer.pay(port, payee, amount_tiyn, purpose=purpose, request=request, wait_s=wait_s)
        made = next(item for item in reversed(self.customer.history()) if item.entry_index == receipt.index)
        return [receipt.index, made.message_id]

    def request(self, amount_tiyn: int, lines: tuple[Line, ...]) -> bytes:
        return self.customer.request(amount_tiyn, lines)

    def refund(self, payment_id: bytes, amount_tiyn: int | None) -> int:
        return self.customer.refund(self._port(), payment_id, amount_tiyn).index

    def sign_approval(self, payment_id: bytes, account: str) -> bytes:
        return self.customer.sign_approval(payment_id, account)

    def allow(self, purpose: bytes, account: str, amount_tiyn: int) -> None:
        self.customer.allow(self._port(), purpose, account, amount_tiyn)

    def sign_recall(self, purpose: bytes, names: tuple[bytes, ...], reference: str) -> bytes:
        return self.customer.sign_recall(purpose, names, reference)

    def look(self) -> None:
        self.customer.look(self._port())

    def load(self, amount_tiyn: int, purpose: bytes | None) -> None:
        self.customer.load(self._port(), amount_tiyn, purpose)

    def unload(self, amount_tiyn: int, purpose: bytes | None) -> None:
        self.customer.unload(self._port(), amount_tiyn, purpose)

    def repay(self, purse_key: bytes, amount_tiyn: int) -> None:
        self.customer.repay(self._port(), purse_key, amount_tiyn)

    def sync(self) -> SyncReport:
        return self.customer.sync(self._port())

    def new_element(self, chance: str) -> None:
        random = self._random.another(chance)
        self.customer.replace_element(
            self._port(), PASSWORD, element=self._elements(random), cost=QUICK_KDF, random=random
        )

    def retired_keys(self) -> list[bytes]:
        return self.customer.retired_keys()

    def install_purse(self, purse_certificate: bytes, trust_list: bytes) -> None:
        self.customer.install_purse(purse_certificate, trust_list)

    # --- between two purses --------------------------------------------------------------------

    def invoice(self, amount_tiyn: int, lines: tuple[Line, ...]) -> bytes:
        return self.customer.purse.invoice(amount_tiyn, lines)

    def pay(self, invoice: bytes, purpose: bytes | None) -> bytes:
        return self.customer.purse.pay(invoice, purpose)

    def accept(self, bundle: bytes) -> bytes:
        return self.customer.purse.accept(bundle)

    def finish(self, payment_id: bytes, receipt: bytes) -> None:
        self.customer.purse.finish(payment_id, receipt)

    def again(self, payment_id: bytes) -> bytes:
        return self.customer.purse.again(payment_id)

    def release(self, payment_id: bytes) -> bytes:
        return self.customer.purse.release(payment_id)

    def take_back(self, bundle: bytes) -> bytes:
        return self.customer.purse.take_back(bundle)

    def trust_list_raw(self) -> bytes:
        return self.customer.purse.trust_list_raw()

    def hear(self, trust_list: bytes) -> bool:
        return self.customer.purse.hear(trust_list)

    # --- what is in it -------------------------------------------------------------------------

    def holdings(self) -> Holdings:
        return self.customer.holdings()

    def sent(self) -> list[Sent]:
        return self.customer.purse.sent()

    def received(self) -> list[Received]:
        return self.customer.purse.received()

    def evidence(self) -> list[bytes]:
        return self.customer.purse.evidence()

    def receipts(self) -> list[tuple[bytes, Receipt]]:
        return self.customer.receipts()

    # --- the device ----------------------------------------------------------------------------

    @property
    def element_file(self) -> str:
        return self.customer.element_path.name

    def copy_storage(self, path: Path) -> None:
        self.customer.vault.copy_to(path)

    def be_careless(self, chance: str) -> None:
        customer, random = self.customer, self._random.another(chance)
        clock = customer.purse.clock
        customer.purse = CarelessPurse(customer.vault, customer.element, customer.network, clock, random)

    def close(self) -> None:
        self.customer.close()
