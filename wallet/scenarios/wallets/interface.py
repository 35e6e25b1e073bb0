"""What a scenario asks of a wallet, wherever it runs. Between two wallets only bytes cross, carried by the scenario."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

from cbdc.formats.lines import Line
from cbdc.log.receipts import Receipt
from cbdc.purposes.definition import Definition
from wallet.balance import Holdings
from wallet.customer import SyncReport
from wallet.purse import Received, Sent


class PlayedWallet(Protocol):
    """A wallet on its own directory. What needs the ledger raises Unreachable while the network is cut."""

    @property
    def online_key(self) -> bytes: ...

    @property
    def purse_key(self) -> bytes: ...

    def install(self, wallet_certificate: bytes, purse_certificate: bytes, trust_list: bytes) -> None: ...

    # --- on the ledger -------------------------------------------------------------------------

    def define_purpose(self, definition: Definition) -> bytes: ...

    def grant(self, payee: bytes, amount_tiyn: int, purpose: bytes) -> int:
        """The entry's index."""

    def pay_online(
        self, payee: bytes, amount_tiyn: int, purpose: bytes | None, request: bytes | None, wait_s: int
    ) -> list[Any]:
        """The entry's index, and the payment's id. ``request`` is the payee's own word on what is bought."""

    def request(self, amount_tiyn: int, lines: tuple[Line, ...]) -> bytes: ...

    def refund(self, payment_id: bytes, amount_tiyn: int | None) -> int: ...

    def sign_approval(self, payment_id: bytes, account: str) -> bytes: ...

    def allow(self, purpose: bytes, account: str, amount_tiyn: int) -> None: ...

    def sign_recall(self, purpose: bytes, names: tuple[bytes, ...], reference: str) -> bytes: ...

    def look(self) -> None: ...

    def load(self, amount_tiyn: int, purpose: bytes | None) -> None: ...

    def unload(self, amount_tiyn: int, purpose: bytes | None) -> None: ...

    def repay(self, purse_key: bytes, amount_tiyn: int) -> None: ...

    def sync(self) -> SyncReport: ...

    def new_element(self, chance: str) -> None:
        """Go over to a new secure element, whose key comes from ``chance``."""

    def retired_keys(self) -> list[bytes]: ...

    def install_purse(self, purse_certificate: bytes, trust_list: bytes) -> None: ...

    # --- between two purses --------------------------------------------------------------------

    def invoice(self, amount_tiyn: int, lines: tuple[Line, ...]) -> bytes: ...

    def pay(self, invoice: bytes, purpose: bytes | None) -> bytes: ...

    def accept(self, bundle: bytes) -> bytes: ...

    def finish(self, payment_id: bytes, receipt: bytes) -> None: ...

    def again(self, payment_id: bytes) -> bytes: ...

    def release(self, payment_id: bytes) -> bytes: ...

    def take_back(self, bundle: bytes) -> bytes: ...

    def trust_list_raw(self) -> bytes: ...

    def hear(self, trust_list: bytes) -> bool: ...

    # --- what is in it -------------------------------------------------------------------------

    def holdings(self) -> Holdings: ...

    def sent(self) -> list[Sent]: ...

    def received(self) -> list[Received]: ...

    def evidence(self) -> list[bytes]: ...

    def receipts(self) -> list[tuple[bytes, Receipt]]: ...

    # --- the device ----------------------------------------------------------------------------

    @property
    def element_file(self) -> str:
        """The name of the secure element's file in the wallet's directory."""

    def copy_storage(self, path: Path) -> None:
        """A copy of ``wallet.db``: never of the secure element."""

    def be_careless(self, chance: str) -> None:
        """From now on the purse takes what it should refuse; ``chance`` names its random numbers."""

    def close(self) -> None: ...
