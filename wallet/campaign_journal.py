"""The journal of a campaign, in the wallet's vault: what was signed for whom, before anybody else sees it.

It is of the wallet and not of the file, so that a list which is copied, renamed or sent to a colleague is known again,
and so that two programs cannot grant by one list at a time: a vault is open once.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Final

from cbdc.formats import cbor
from wallet.vault import Vault

_HEADS: Final = "campaigns"


class BatchState(Enum):
    """What is known of a signed batch.

    ``REFUSED`` is the ledger's answer of one moment: while its inputs are unspent the same bytes might still come in.
    ``DEAD`` is for ever: something else spent an input of it.
    """

    PENDING = "pending"
    PAID = "paid"
    REFUSED = "refused"
    DEAD = "dead"


@dataclass(frozen=True, slots=True)
class Head:
    """A campaign: its name, the purpose, the SHA-256 of the list, when it began (ledger time), and what it was told.

    ``allow_repeats`` and ``skip_bad`` hold at each resume. ``is_abandoned``: nothing of it is ever signed again.
    """

    name: str
    purpose: bytes
    digest: bytes
    begun_s: int
    allow_repeats: bool = False
    skip_bad: bool = False
    is_abandoned: bool = False


@dataclass(frozen=True, slots=True)
class Batch:
    """A signed grant: its rows in the order of its first outputs, its exact bytes while they may be needed again."""

    number: int
    message_id: bytes
    rows: tuple[int, ...]
    raw: bytes
    state: BatchState
    entry: int | None = None

    @property
    def is_open(self) -> bool:
        """Whether it might still enter the ledger."""
        return self.state in (BatchState.PENDING, BatchState.REFUSED)

    def to_cbor(self) -> cbor.Value:
        return [self.message_id, list(self.rows), self.raw, self.state.value, self.entry]


class Journal:
    """One campaign's records. Everything written is on disk when the call returns; what is read is read once."""

    def __init__(self, vault: Vault, purpose: bytes, name: str) -> None:
        self._vault = vault
        self._id = hashlib.sha256(purpose + name.encode()).digest()
        self._batch_space = f"campaign batches {self._id.hex()}"
        self._refusal_space = f"campaign refusals {self._id.hex()}"
        self._batches = {batch.number: batch for batch in self._stored_batches()}
        self._paid: dict[int, int] = {}
        for batch in self._batches.values():
            self._count(batch)
        self._refusals = {int.from_bytes(name, "big"): code for name, code in vault.items(self._refusal_space)}

    def head(self) -> Head | None:
        """The campaign; None if it has not begun."""
        fields = self._vault.get(_HEADS, self._id)
        return None if fields is None else Head(*fields)

    def begin(self, head: Head) -> None:
        """Note that it begins, or with which options it goes on. Nothing is signed before."""
        fields = [head.name, head.purpose, head.digest, head.begun_s]
        self._vault.put(_HEADS, self._id, [*fields, head.allow_repeats, head.skip_bad, head.is_abandoned])

    def abandon(self, head: Head, codes: Mapping[int, str]) -> None:
        """Note that it ends, and for which rows (number -> code) nothing is signed any more."""
        with self._vault.together():
            self.begin(replace(head, is_abandoned=True))
            self._note(codes)

    def batches(self) -> list[Batch]:
        """All batches ever signed, in order."""
        return list(self._batches.values())

    def put(self, batch: Batch) -> None:
        """Write a batch down, or what has become of it."""
        self._vault.put(self._batch_space, _name(batch.number), batch.to_cbor())
        self._batches[batch.number] = batch
        self._count(batch)

    def paid(self, batch: Batch, entry: int) -> None:
        """The ledger has it, for good; its bytes are with the wallet's receipts."""
        self.put(replace(batch, state=BatchState.PAID, entry=entry, raw=b""))

    def refuse(self, batch: Batch, codes: Mapping[int, str]) -> None:
        """The ledger refused a batch because of these rows (number -> code)."""
        with self._vault.together():
            self.put(replace(batch, state=BatchState.REFUSED))
            self._note(codes)

    def set_refusals(self, codes: Mapping[int, str]) -> None:
        """Rows that cannot be paid now (number -> code); those of before are asked again and forgotten."""
        with self._vault.together():
            for number in self._refusals:
                self._vault.drop(self._refusal_space, _name(number))
            self._refusals.clear()
            self._note(codes)

    def paid_rows(self) -> Mapping[int, int]:
        """Row number -> the entry that paid it."""
        return self._paid

    def open_rows(self) -> set[int]:
        """Rows of signed batches that might still enter."""
        return {number for batch in self._batches.values() if batch.is_open for number in batch.rows}

    def refusals(self) -> dict[int, str]:
        """Row number -> code."""
        return dict(self._refusals)

    def _note(self, codes: Mapping[int, str]) -> None:
        for number, code in codes.items():
            self._vault.put(self._refusal_space, _name(number), code)
            self._refusals[number] = code

    def _count(self, batch: Batch) -> None:
        if batch.state is BatchState.PAID and batch.entry is not None:
            self._paid |= dict.fromkeys(batch.rows, batch.entry)

    def _stored_batches(self) -> list[Batch]:
        return [_batch(name, fields) for name, fields in self._vault.items(self._batch_space)]


def same_list(vault: Vault, purpose: bytes, digest: bytes) -> list[str]:
    """The names of all campaigns of a purpose that have this very list."""
    heads: Iterable[Head] = (Head(*fields) for _, fields in vault.items(_HEADS))
    return sorted(head.name for head in heads if (head.purpose, head.digest) == (purpose, digest))


def _name(number: int) -> bytes:
    return number.to_bytes(4, "big")


def _batch(name: bytes, fields: cbor.Value) -> Batch:
    message_id, rows, raw, state, entry = fields
    return Batch(int.from_bytes(name, "big"), message_id, tuple(rows), raw, BatchState(state), entry)
