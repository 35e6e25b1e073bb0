"""A scenario's wallet as a process of its own: ``python -m wallet.scenarios.wallets.server``.

It knows its own directory, the pinned root key and one path, at which the ledger answers while the network is there.
Everything else reaches it as bytes from the scenario, which carries the messages between wallets.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from cbdc.errors import TengeError
from cbdc.formats.calls import answer, read_request, refusal
from cbdc.service.stream import serve_parent
from wallet.port import Switch
from wallet.remote import RemotePort
from wallet.scenarios.chance import ManualClock, SeededRandom
from wallet.scenarios.wallets.elements import seeded_element_processes
from wallet.scenarios.wallets.local import LocalWallet
from wallet.scenarios.wallets.wire import ALL_CALLS, FRAME_BYTES, LIFE_CALLS, WALLET_CALLS


class WalletSession:
    """One scenario's talk with one wallet."""

    def __init__(self) -> None:
        self._clock = ManualClock(0)
        self._wallet: LocalWallet
        self._switch: Switch

    def handle(self, body: bytes) -> bytes:
        """The answer to a request."""
        try:
            name, arguments = read_request(body, ALL_CALLS, FRAME_BYTES)
            return answer(self._do(name, arguments))
        except TengeError as error:
            return refusal(error)

    def _do(self, name: str, arguments: tuple[Any, ...]) -> Any:
        if name in LIFE_CALLS:
            getattr(self, f"_{name}")(*arguments)
            return None
        found = getattr(self._wallet, name)
        return WALLET_CALLS[name].to_cbor(found(*arguments) if callable(found) else found)

    def _create(self, directory: str, network: bytes, seed: int, chance: str, ledger: str) -> None:
        random = SeededRandom(seed, chance)
        port = self._port_to(ledger, network)
        self._wallet = LocalWallet.create(Path(directory), network, self._clock, port, seeded_element_processes, random)

    def _open(self, directory: str, network: bytes, seed: int, chance: str, ledger: str) -> None:
        random = SeededRandom(seed, chance)
        port = self._port_to(ledger, network)
        self._wallet = LocalWallet.open(Path(directory), self._clock, port, seeded_element_processes, random)

    def _port_to(self, ledger: str, network: bytes) -> Any:
        remote = RemotePort(Path(ledger), network)
        self._switch = Switch(lambda: remote)
        return self._switch.port

    def _set_connected(self, is_connected: bool) -> None:
        self._switch.is_connected = is_connected

    def _set_clock(self, now_s: int) -> None:
        self._clock.now_s = now_s

    def close(self) -> None:
        """Let go of the wallet's files."""
        if hasattr(self, "_wallet"):
            self._wallet.close()


if __name__ == "__main__":
    sys.exit(serve_parent(WalletSession(), FRAME_BYTES))
