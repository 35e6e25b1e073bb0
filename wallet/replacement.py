"""A new secure element for a wallet whose old one is denied, locked for good, or gone.

The purse's key changes with its element, so no money goes over: what the old purse holds comes back to the owner's
online key. The old element's file is never written, moved or deleted: it remembers what it has signed.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Final

from cbdc.errors import NotEnrolled, TengeError, Unsettled
from cbdc.formats.tokens import Output
from wallet.element import ElementMaker, ElementProcess, LostElement, SecureElement
from wallet.moving import MovingWallet
from wallet.port import LedgerPort
from wallet.renewal import sum_tiyn
from wallet.settling import NO_DECISION, UNDECIDED
from wallet.vault import KdfCost, Vault

_IN_USE: Final = b"element"
_FIRST_FILE: Final = "element.db"


def element_path(vault: Vault) -> Path:
    """The file of the element that a wallet uses: ``element.db``, after replacements ``element-1.db`` and so on."""
    return _numbered(vault.path.parent, _in_use(vault)[0])


def element_key(vault: Vault) -> bytes:
    """The key of the element that a wallet uses (32 bytes), also where that does not open; empty if it never did."""
    return _in_use(vault)[1]


def note_element(vault: Vault, element: SecureElement) -> None:
    """Write down which element a wallet has, once it is there for the first time."""
    if not element_key(vault):
        vault.put("wallet", _IN_USE, [_in_use(vault)[0], element.public_key])


def _in_use(vault: Vault) -> tuple[int, bytes]:
    number, key = vault.get("wallet", _IN_USE) or (0, b"")
    return number, key


def _numbered(directory: Path, number: int) -> Path:
    return directory / (f"element-{number}.db" if number else _FIRST_FILE)


class ReplaceableWallet(MovingWallet):
    """A wallet that can go over to a new secure element."""

    def replace_element(
        self,
        port: LedgerPort,
        pin: str,
        *,
        element: ElementMaker = ElementProcess,
        cost: KdfCost | None = None,
        random: Callable[[int], bytes] = os.urandom,
    ) -> bytes:
        """Go over to a new secure element with a fresh key and a PIN of its own; the new purse key (32 bytes).

        First everything of the old purse is handed in, and what it holds goes online. A revoked or lost purse cannot
        unload: its money comes at its last deadline (`Balance.returning_tiyn`). Until the bank has certified the new
        key (`BankDesk.replace_purse`) the purse is `not_enrolled`. A call that was cut short may be repeated.

        Raises:
            Unsettled: the ledger has not decided on all that the old purse signed or took, which it can still act on.
            Unreachable: no ledger or no old element (`Customer.open_without_element` does without that).
            TengeError: the ledger does not let the money out. After any error the wallet has the element it had.
        """
        self._bring_home(port)
        number, path = self._free_number()
        made = element.create(path, pin, self.network, cost=cost, random=random)
        try:
            self._go_over(number, made)
        except BaseException:
            made.close()
            raise
        return made.public_key

    # --- first: nothing of the old purse is left behind ------------------------------------------

    def _bring_home(self, port: LedgerPort) -> None:
        """Hand in and take out all that the old purse has.

        Where it can do nothing more itself (its element lost, its certificate denied), what is still undecided stays in
        the wallet's storage and is handed in by every sync to come: evidence needs no element.
        """
        self._learn(port)
        is_lost = isinstance(self.element, LostElement)
        is_stuck = False
        if not is_lost:
            self.purse.recover()
            self._resume_unloads(port)
            is_stuck = bool(self.vault.items("unload"))
        _, refusals = self._hand_in_and_learn(port)
        self._settle(port, refusals)
        if not is_lost and not self._is_denied():
            self._check_decided(is_stuck, refusals)
            self._take_all_out(port)

    def _is_denied(self) -> bool:
        try:
            return self.purse.certificate.id in self.purse.trust_list.revoked
        except NotEnrolled:
            return False

    def _check_decided(self, is_stuck: bool, refusals: Iterable[tuple[bytes, TengeError]]) -> None:
        if is_stuck:
            raise Unsettled("an unload of the purse is waiting for the ledger")
        own = {payment_id for payment_id, _ in self.vault.items("payment")}
        undecided = [
            payment_id for payment_id, error in refusals if payment_id in own and error.code in UNDECIDED | NO_DECISION
        ]
        if undecided:
            raise Unsettled("the ledger has not decided on all payments of the purse", payments=len(undecided))

    def _take_all_out(self, port: LedgerPort) -> None:
        """Unload everything. What the element has signed away without the wallet's knowledge it cannot sign."""
        for purpose, some in self._slices(self._free_leaves(port)):
            output = Output(self.key.public, sum_tiyn(some), purpose)
            self._unload(port, some, (output,), "unloaded", output.amount_tiyn)
            self._forget_known_evidence(port)

    # --- then: the new element -------------------------------------------------------------------

    def _free_number(self) -> tuple[int, Path]:
        """The next number without a file: one that a power cut left half-made was never used, and is left alone."""
        number = _in_use(self.vault)[0] + 1
        while (path := _numbered(self.vault.path.parent, number)).exists():
            number += 1
        return number, path

    def _go_over(self, number: int, made: SecureElement) -> None:
        """The point of no return: one commit of the wallet's storage says which element is its own."""
        old = self.element
        with self.vault.together():
            if old.public_key:
                self.vault.put("retired", old.public_key, _in_use(self.vault)[0])
            self.vault.put("wallet", _IN_USE, [number, made.public_key])
            self.purse.begin_anew()
        self.element = self.purse.element = made
        old.close()
