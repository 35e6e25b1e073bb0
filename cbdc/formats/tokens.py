"""Tokens, and the outpoints that name them.

A token is an output of an entry: owner key, amount in tiyn, and the purpose that it is bound to, if any. An
*outpoint* names it: the 32-byte id of the message that made it and a two-byte output index (big-endian).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.formats.compact import Compact
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
from cbdc.formats.hashing import HASH_BYTES
from cbdc.limits import MAX_AMOUNT_TIYN

OUTPOINT_BYTES: Final = HASH_BYTES + 2


@dataclass(frozen=True, slots=True)
class Output(Compact):
    """What a message creates: an amount for an owner, drawn from a purpose's tokens or (None) from free ones.

    ``purpose`` says where the value comes *from*. Whether the new token still bears the mark is the rule of
    the purpose's definition (see `cbdc.purposes`), never the payer's word.
    """

    owner: bytes
    amount_tiyn: int
    purpose: bytes | None

    def to_cbor(self) -> cbor.Value:
        return [self.owner, self.amount_tiyn, self.purpose]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Output:
        """Read ``[owner, amount, purpose / null]``; an amount of zero is malformed.

        Raises:
            FormError: not an output.
        """
        owner, amount, purpose = cbor.array(value, "output", 3)
        if amount == 0:
            raise Malformed("an output has an amount")
        if purpose is not None:
            cbor.byte_string(purpose, "purpose", HASH_BYTES)
        return cls(
            cbor.byte_string(owner, "owner key", PUBLIC_KEY_BYTES),
            cbor.unsigned(amount, "amount", MAX_AMOUNT_TIYN),
            purpose,
        )


def outpoint(message_id: bytes, index: int) -> bytes:
    """The name of output ``index`` of the message with this id."""
    return message_id + index.to_bytes(2, "big")
