"""What stands in the place of a secure element that cannot be asked any more."""

from __future__ import annotations

from typing import NoReturn

from cbdc.errors import Unreachable


class LostElement:
    """Its PIN is forgotten, it is locked for good, or its file is gone: only its key is known. All else Unreachable."""

    def __init__(self, public_key: bytes) -> None:
        self.public_key = public_key

    def close(self) -> None:
        """There is nothing to let go of."""

    def _ask(self, *_: object, **__: object) -> NoReturn:
        raise Unreachable("this wallet was opened without its secure element")

    install = counters = held_tiyn = allowance_left_tiyn = has_spent = _ask
    sign_payment = sign_unload = sign_invoice = sign_receipt = _ask
    sync_challenge = note_sync = change_pin = _ask

    def __repr__(self) -> str:
        return f"LostElement({self.public_key.hex()[:16]}…)"
