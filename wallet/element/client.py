"""The wallet's end of a secure element that runs as a process of its own."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar, Self

from cbdc.errors import FormError, Unreachable
from cbdc.formats import cbor
from cbdc.formats.calls import request
from cbdc.formats.cose import Signature
from cbdc.limits import ELEMENT_ANSWER_S, MAX_ELEMENT_FRAME_BYTES
from wallet.child import ChildProcess
from wallet.element.pin import pin_bytes
from wallet.element.wire import read_answer
from wallet.vault import KdfCost


class ElementProcess:
    """A `SecureElement` in a process that this one started. One that has died answers Unreachable until reopened."""

    MODULE: ClassVar[str] = "wallet.element.server"
    ARGUMENTS: ClassVar[tuple[str, ...]] = ()
    """What its process is told beside the path of its storage."""

    def __init__(self, path: Path) -> None:
        self.public_key = b""
        self._child = ChildProcess(
            "the secure element",
            self.MODULE,
            (str(path.resolve()), *self.ARGUMENTS),
            answer_s=ELEMENT_ANSWER_S,
            max_bytes=MAX_ELEMENT_FRAME_BYTES,
        )

    @classmethod
    def create(
        cls,
        path: Path,
        pin: str,
        network: bytes,
        *,
        cost: KdfCost | None = None,
        random: Callable[[int], bytes] = os.urandom,  # noqa: ARG003 - the wallet has no say in its element's key
    ) -> Self:
        """Make an element with a fresh key, drawn in its own process, for a network (32-byte root key).

        Raises:
            LedgerBusy: there is one already. Unreachable: the process does not answer.
        """
        element = cls(path)
        element.unlock("create", pin_bytes(pin), network, None if cost is None else cost.fields())
        return element

    @classmethod
    def open(cls, path: Path, pin: str) -> Self:
        """Open an element.

        Raises:
            WrongPin, PinLocked, WalletCorrupt, Unreachable; LedgerBusy: another program has it open.
        """
        element = cls(path)
        element.unlock("open", pin_bytes(pin))
        return element

    def unlock(self, name: str, *arguments: cbor.Value) -> None:
        """Make the first request, ``create`` or ``open``. The process ends if it is refused."""
        try:
            self.public_key = bytes(self._ask(name, *arguments))
        except BaseException:
            self.close()
            raise

    @property
    def process_id(self) -> int:
        """The operating system's number of the element's process."""
        return self._child.process_id

    def close(self) -> None:
        """Hang up and wait until the process has let go of its storage."""
        self._child.close()

    # --- requests ------------------------------------------------------------------------------

    def install(self, certificate: bytes, trust_list: bytes) -> None:
        self._ask("install", certificate, trust_list)

    def counters(self) -> tuple[int, int]:
        counter, spends = self._ask("counters")
        return counter, spends

    def held_tiyn(self) -> int:
        return int(self._ask("held_tiyn"))

    def allowance_left_tiyn(self, purpose: bytes) -> int | None:
        left_tiyn = self._ask("allowance_left_tiyn", purpose)
        return None if left_tiyn is None else int(left_tiyn)

    def has_spent(self, outpoint: bytes) -> bool:
        return bool(self._ask("has_spent", outpoint))

    def sign_payment(self, payload: bytes) -> Signature:
        return Signature(self.public_key, self._ask("sign_payment", payload))

    def sign_unload(self, payload: bytes) -> Signature:
        return Signature(self.public_key, self._ask("sign_unload", payload))

    def sign_invoice(self, payload: bytes) -> bytes:
        return bytes(self._ask("sign_invoice", payload))

    def sign_receipt(self, payload: bytes, payment: bytes) -> bytes:
        return bytes(self._ask("sign_receipt", payload, payment))

    def sync_challenge(self) -> bytes:
        return bytes(self._ask("sync_challenge"))

    def note_sync(self, sync_certificate: bytes, trust_list: bytes, settled: bool = True) -> None:
        self._ask("note_sync", sync_certificate, trust_list, settled)

    def change_pin(self, old: str, new: str) -> None:
        self._ask("change_pin", pin_bytes(old), pin_bytes(new))

    def _ask(self, name: str, *arguments: cbor.Value) -> cbor.Value:
        """One request and its answer.

        Raises:
            TengeError: the element refused. Unreachable: it does not answer; it may or may not have signed, and after
            reopening the same request gets the same answer.
        """
        reply = self._child.exchange(request(name, *arguments))
        try:
            value, error = read_answer(reply)
        except FormError as wrong:
            self._child.give_up()
            raise Unreachable("the secure element does not answer", reason=type(wrong).__name__) from None
        if error is not None:
            raise error
        return value

    def __repr__(self) -> str:
        return f"ElementProcess({self.public_key.hex()[:16]}…)"
