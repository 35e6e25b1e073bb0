"""A customer's wallet, headless: online tokens under keys from 24 words, and the purse beside them.

Every terminal action is first a call here. Nothing is shown or asked; a refusal is a typed error.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from pathlib import Path
from typing import Final

from cbdc.errors import LedgerBusy
from wallet.balance import Balance, Holdings, balance_of, totals, without_device
from wallet.element import ElementMaker, ElementProcess, LostElement
from wallet.history import HistoryItem
from wallet.keys import check_words, words_of
from wallet.moving import SyncReport
from wallet.online import VALID_FOR_S
from wallet.port import LedgerPort
from wallet.replacement import ReplaceableWallet, element_key, element_path, note_element
from wallet.vault import KdfCost, Vault

_BETWEEN_TRIES_S: Final = 0.1


class Customer(ReplaceableWallet):
    """A wallet on its directory: ``wallet.db`` and, apart from it, its secure element's file."""

    # --- life ----------------------------------------------------------------------------------

    @classmethod
    def create(
        cls,
        directory: Path,
        password: str,
        network: bytes,
        *,
        clock: Callable[[], int],
        words: str | None = None,
        pin: str | None = None,
        element: ElementMaker = ElementProcess,
        cost: KdfCost | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> Customer:
        """Make a wallet for a network; with ``words`` from another wallet's backup, else with fresh ones.

        ``pin`` is the secure element's own, by default the password; ``element`` says whether it runs in a process of
        its own or, for tests and embedding, in this one (`SimulatedElement`).

        Raises:
            LedgerBusy: there is a wallet already. Malformed: the words are not 24 words.
        """
        words = check_words(words) if words is not None else words_of(random(32))
        vault = Vault.create(directory / "wallet.db", password, cost=cost, random=random)
        with vault.together():
            vault.put("wallet", b"words", words)
            vault.put("wallet", b"network", network)
            vault.put("wallet", b"keys", 1)
        try:
            made = element.create(
                element_path(vault), password if pin is None else pin, network, cost=cost, random=random
            )
        except BaseException:
            vault.close()
            vault.path.unlink()  # without its element it is no wallet, and would be in the way of the next try
            raise
        note_element(vault, made)
        return cls(vault, made, network, clock, random)

    @classmethod
    def open(
        cls,
        directory: Path,
        password: str,
        *,
        clock: Callable[[], int],
        pin: str | None = None,
        element: ElementMaker = ElementProcess,
        random: Callable[[int], bytes] = os.urandom,
    ) -> Customer:
        """Open a wallet; a wrong password costs the element no try of its PIN.

        Raises:
            WrongPassword, WrongPin, PinLocked, WalletCorrupt, LedgerBusy. Unreachable: the element does not start.
        """
        vault = Vault.open(directory / "wallet.db", password)
        try:
            opened = element.open(element_path(vault), password if pin is None else pin)
        except BaseException:
            vault.close()
            raise
        note_element(vault, opened)
        return cls(vault, opened, vault.get("wallet", b"network"), clock, random)

    @classmethod
    def open_soon(
        cls, directory: Path, password: str, *, clock: Callable[[], int], pin: str | None = None, wait_s: float
    ) -> Customer:
        """As `open`, but a wallet that another program has is asked for again, for so long. Raises as `open`."""
        deadline_s = time.monotonic() + wait_s
        while True:
            try:
                return cls.open(directory, password, clock=clock, pin=pin)
            except LedgerBusy:
                if time.monotonic() + _BETWEEN_TRIES_S > deadline_s:
                    raise
                time.sleep(_BETWEEN_TRIES_S)

    @classmethod
    def open_without_element(
        cls, directory: Path, password: str, *, clock: Callable[[], int], random: Callable[[int], bytes] = os.urandom
    ) -> Customer:
        """Open a wallet whose element's PIN is forgotten or whose element is locked for good or gone.

        It does all that is online; what would ask the element is Unreachable until `replace_element`.

        Raises:
            WrongPassword, WalletCorrupt, LedgerBusy.
        """
        vault = Vault.open(directory / "wallet.db", password)
        network: bytes = vault.get("wallet", b"network")
        return cls(vault, LostElement(element_key(vault)), network, clock, random)

    @property
    def element_path(self) -> Path:
        """The file of the secure element in use."""
        return element_path(self.vault)

    def close(self) -> None:
        """Let go of the files."""
        self.vault.close()
        self.element.close()

    def install(self, wallet_certificate: bytes, purse_certificate: bytes, trust_list: bytes) -> None:
        """Take the bank's two certificates; the element checks its own against the trust list."""
        self.purse.install(purse_certificate, trust_list)
        self.vault.put("wallet", b"certificate", wallet_certificate)

    def install_purse(self, purse_certificate: bytes, trust_list: bytes) -> None:
        """Take the bank's certificate for a new element's key; the element checks it against the trust list."""
        self.purse.install(purse_certificate, trust_list)

    def change_pin(self, old: str, new: str) -> None:
        """Give the secure element another PIN; where none was given it is the password. `open` asks for the new one.

        Raises:
            WrongPin, PinLocked: nothing has changed. FormError: the new one is too long or no text. Unreachable: the
            element died; it opens with the old PIN or with the new one.
        """
        self.element.change_pin(old, new)

    @property
    def online_key(self) -> bytes:
        """The current online key (public)."""
        return self.key.public

    @property
    def purse_key(self) -> bytes:
        """The secure element's key (public)."""
        return self.element.public_key

    # --- balance -------------------------------------------------------------------------------

    def balance(self, port: LedgerPort | None) -> Balance:
        """Online (as the ledger says; 0 without one), offline and pending."""
        return balance_of(self.holdings(), port)

    def holdings(self) -> Holdings:
        """What this device's own storage says of its money."""
        return Holdings(
            keys=tuple(key.public for key in self.keys()),
            offline=totals(self.purse.spendable().values()),
            pending_tiyn=self.purse.pending_tiyn(),
            unanswered=self._unanswered(),
            retired=tuple(self.retired_keys()),
        )

    def balance_without_device(self, port: LedgerPort) -> Balance:
        """What is left to the owner of a device that is gone: all that the ledger knows of."""
        keys, retired = tuple(key.public for key in self.keys()), tuple(self.retired_keys())
        return balance_of(without_device(keys, retired, self.purse_key, port), port)

    def _unanswered(self) -> tuple[tuple[bytes, int], ...]:
        """Unloads that wait for their answer: the first input of each and what it holds (tiyn)."""
        return tuple((u.inputs[0], sum(output.amount_tiyn for output in u.outputs)) for u in self.purse.unloads())


__all__ = ["VALID_FOR_S", "Balance", "Customer", "HistoryItem", "SyncReport"]
