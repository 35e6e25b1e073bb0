"""The scenario's end of a wallet that runs as a process of its own."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from cbdc.formats.calls import read_answer, request
from cbdc.formats.lines import Line, lines_to_cbor
from cbdc.log.receipts import Receipt
from cbdc.purposes.definition import Definition
from wallet.balance import Holdings
from wallet.child import ChildProcess
from wallet.customer import SyncReport
from wallet.purse import Received, Sent
from wallet.scenarios.wallets.wire import ANSWER_S, FRAME_BYTES, WALLET_CALLS


class WalletProcess:
    """A `PlayedWallet` in a process that this one started. Its clock is set before every call."""

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._child = ChildProcess(
            "a wallet", "wallet.scenarios.wallets.server", (), answer_s=ANSWER_S, max_bytes=FRAME_BYTES
        )

    def start(self, how: str, directory: Path, network: bytes, seed: int, chance: str, ledger: Path) -> None:
        """``create`` or ``open`` it; ``ledger`` is the path at which the ledger may answer. Raises TengeError."""
        self._tell(how, str(directory.resolve()), network, seed, chance, str(ledger))

    def set_connected(self, *, is_connected: bool) -> None:
        """Tell the wallet whether it has a network: it says so itself instead of trying."""
        self._tell("set_connected", is_connected)

    @property
    def process_id(self) -> int:
        """The operating system's number of the wallet's process."""
        return self._child.process_id

    def close(self) -> None:
        self._child.close()

    # --- calls ---------------------------------------------------------------------------------

    @property
    def online_key(self) -> bytes:
        return bytes(self._ask("online_key"))

    @property
    def purse_key(self) -> bytes:
        return bytes(self._ask("purse_key"))

    def install(self, wallet_certificate: bytes, purse_certificate: bytes, trust_list: bytes) -> None:
        self._ask("install", wallet_certificate, purse_certificate, trust_list)

    def define_purpose(self, definition: Definition) -> bytes:
        return bytes(self._ask("define_purpose", definition.to_cbor()))

    def grant(self, payee: bytes, amount_tiyn: int, purpose: bytes) -> int:
        return int(self._ask("grant", payee, amount_tiyn, purpose))

    def pay_online(
        self, payee: bytes, amount_tiyn: int, purpose: bytes | None, request: bytes | None, wait_s: int
    ) -> list[Any]:
        return list(self._ask("pay_online", payee, amount_tiyn, purpose, request, wait_s))

    def request(self, amount_tiyn: int, lines: tuple[Line, ...]) -> bytes:
        return bytes(self._ask("request", amount_tiyn, lines_to_cbor(lines)))

    def refund(self, payment_id: bytes, amount_tiyn: int | None) -> int:
        return int(self._ask("refund", payment_id, amount_tiyn))

    def sign_approval(self, payment_id: bytes, account: str) -> bytes:
        return bytes(self._ask("sign_approval", payment_id, account))

    def allow(self, purpose: bytes, account: str, amount_tiyn: int) -> None:
        self._ask("allow", purpose, account, amount_tiyn)

    def sign_recall(self, purpose: bytes, names: tuple[bytes, ...], reference: str) -> bytes:
        return bytes(self._ask("sign_recall", purpose, list(names), reference))

    def look(self) -> None:
        self._ask("look")

    def load(self, amount_tiyn: int, purpose: bytes | None) -> None:
        self._ask("load", amount_tiyn, purpose)

    def unload(self, amount_tiyn: int, purpose: bytes | None) -> None:
        self._ask("unload", amount_tiyn, purpose)

    def repay(self, purse_key: bytes, amount_tiyn: int) -> None:
        self._ask("repay", purse_key, amount_tiyn)

    def sync(self) -> SyncReport:
        report: SyncReport = self._ask("sync")
        return report

    def new_element(self, chance: str) -> None:
        self._ask("new_element", chance)

    def retired_keys(self) -> list[bytes]:
        return list(self._ask("retired_keys"))

    def install_purse(self, purse_certificate: bytes, trust_list: bytes) -> None:
        self._ask("install_purse", purse_certificate, trust_list)

    @property
    def element_file(self) -> str:
        return str(self._ask("element_file"))

    def invoice(self, amount_tiyn: int, lines: tuple[Line, ...]) -> bytes:
        return bytes(self._ask("invoice", amount_tiyn, lines_to_cbor(lines)))

    def pay(self, invoice: bytes, purpose: bytes | None) -> bytes:
        return bytes(self._ask("pay", invoice, purpose))

    def accept(self, bundle: bytes) -> bytes:
        return bytes(self._ask("accept", bundle))

    def finish(self, payment_id: bytes, receipt: bytes) -> None:
        self._ask("finish", payment_id, receipt)

    def again(self, payment_id: bytes) -> bytes:
        return bytes(self._ask("again", payment_id))

    def release(self, payment_id: bytes) -> bytes:
        return bytes(self._ask("release", payment_id))

    def take_back(self, bundle: bytes) -> bytes:
        return bytes(self._ask("take_back", bundle))

    def trust_list_raw(self) -> bytes:
        return bytes(self._ask("trust_list_raw"))

    def hear(self, trust_list: bytes) -> bool:
        return bool(self._ask("hear", trust_list))

    def holdings(self) -> Holdings:
        holdings: Holdings = self._ask("holdings")
        return holdings

    def sent(self) -> list[Sent]:
        return list(self._ask("sent"))

    def received(self) -> list[Received]:
        return list(self._ask("received"))

    def evidence(self) -> list[bytes]:
        return list(self._ask("evidence"))

    def receipts(self) -> list[tuple[bytes, Receipt]]:
        return list(self._ask("receipts"))

    def copy_storage(self, path: Path) -> None:
        self._ask("copy_storage", str(path.resolve()))

    def be_careless(self, chance: str) -> None:
        self._ask("be_careless", chance)

    def _ask(self, name: str, *arguments: Any) -> Any:
        """One call at the device's own time. Raises TengeError: the wallet refused, or does not answer."""
        self._tell("set_clock", self._clock())
        return WALLET_CALLS[name].result(self._tell(name, *arguments))

    def _tell(self, name: str, *arguments: Any) -> Any:
        value, error = read_answer(self._child.exchange(request(name, *arguments)), FRAME_BYTES)
        if error is not None:
            raise error
        return value
