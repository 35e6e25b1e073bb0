"""The trail in the making: the purpose's tokens, the steps between them, and the movements to report.

As much is kept as the purpose has tokens and movements, whatever else is in the log.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from cbdc.errors import LedgerCorrupt
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.lines import Line
from cbdc.purposes.definition import Definition
from cbdc.purposes.marks import merged
from cbdc.purposes.rules import Mark, UntilEvidence
from cbdc.service.tracking.items import bought, shared
from cbdc.service.tracking.lookup import Lookup, Party
from cbdc.service.tracking.records import Fate, Items, Moved, Movement, Place


class At(NamedTuple):
    """Where a step stands: ledger time, index of the entry, id of the message."""

    time_s: int
    entry: int
    message: bytes


@dataclass(frozen=True, slots=True)
class Piece:
    """A token that bears the mark, or (``place`` is free, ``purpose`` None) the one in which the mark ended.

    ``name`` is its outpoint, ``at`` says what made it, ``owner`` is the key that the ledger has for it: in escrow the
    payment's id.
    """

    at: At
    name: bytes
    owner: bytes
    holder: str
    amount_tiyn: int
    place: Place
    purpose: bytes | None
    left: int | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """One message, or a part of one, that turned pieces into others.

    ``after`` are pieces in which the mark had ended and out of whose value ``drawn_tiyn`` came back under it;
    ``covered_tiyn`` is the value of inputs that had been spent before, or never were money; ``gone`` is what left the
    trail. Inputs + drawn = outputs + gone.
    """

    kind: Moved
    at: At
    payer: str
    inputs: tuple[bytes, ...]
    outputs: tuple[bytes, ...]
    after: tuple[bytes, ...]
    drawn_tiyn: int
    covered_tiyn: int
    gone: tuple[tuple[Fate, int], ...]


@dataclass(frozen=True, slots=True)
class Brought:
    """What a payment brought one payee's key: its pieces, and what it bought."""

    names: tuple[bytes, ...]
    items: Items


class Trail:
    """Tokens by outpoint, steps in the order of the log; handlers of single kinds of messages add to it."""

    def __init__(self, purpose: bytes, definition: Definition, lookup: Lookup) -> None:
        self.purpose = purpose
        self.definition = definition
        self.lookup = lookup
        self.pieces: dict[bytes, Piece] = {}
        self.live: set[bytes] = set()
        self.steps: list[Step] = []
        self.movements: list[Movement] = []
        self.given_back: set[bytes] = set()
        """Pieces in which the mark had ended that a release gave back."""
        self.brought: dict[tuple[bytes, bytes], Brought] = {}
        self.facts: dict[bytes | str, At] = {}
        """What the oracle of the mark has stated facts about (payments' ids, accounts), and where it did first."""

    # --- reading -------------------------------------------------------------------------------

    def live_among(self, names: Iterable[bytes]) -> list[Piece]:
        """Those of these tokens that are unspent and bear the mark."""
        return [self.pieces[name] for name in names if name in self.live]

    def mark_of(self, pieces: Iterable[Piece]) -> Mark:
        """The mark of these pieces' value together."""
        return merged(pieces)[self.purpose]

    def mark_after(self, mark: Mark, payee: Party) -> Mark | None:
        """What a payee's token bears."""
        return None if self.definition.is_split_part(payee.account) else self.definition.mark.after(mark)

    def is_freed(self, pieces: Sequence[Piece]) -> bool:
        """Whether evidence has lifted the mark from all of these."""
        if not isinstance(self.definition.mark, UntilEvidence):
            return False
        return all(self._facts_about(piece) for piece in pieces)

    def freed_at(self, piece: Piece) -> At:
        """Where evidence lifted the mark from a piece: when it was stated, or the piece made if that was later."""
        return max(piece.at, min(self._facts_about(piece)))

    def _facts_about(self, piece: Piece) -> list[At]:
        """Where facts were stated about a piece's owner, or about the payment that brought it: not about one of which
        it is the change."""
        payment = piece.name[:HASH_BYTES]
        abouts = (piece.holder, payment) if (payment, piece.owner) in self.brought else (piece.holder,)
        return [self.facts[about] for about in abouts if about in self.facts]

    # --- adding --------------------------------------------------------------------------------

    def piece(
        self, at: At, name: bytes, owner: bytes, holder: str, amount_tiyn: int, mark: Mark | None, place: Place
    ) -> Piece:
        """A new token in a place under a mark, or a free one."""
        if mark is None:
            return Piece(at, name, owner, holder, amount_tiyn, Place.FREE, None)
        return Piece(at, name, owner, holder, amount_tiyn, place, mark.purpose, mark.left)

    def step(
        self,
        kind: Moved,
        at: At,
        payer: str,
        inputs: Sequence[Piece],
        outputs: Sequence[Piece],
        *,
        after: Iterable[bytes] = (),
        drawn_tiyn: int = 0,
        gone: tuple[tuple[Fate, int], ...] = (),
    ) -> None:
        """Put one message's step on the trail.

        Raises:
            LedgerCorrupt: value would appear or vanish.
        """
        in_tiyn = sum(piece.amount_tiyn for piece in inputs) + drawn_tiyn
        out_tiyn = sum(piece.amount_tiyn for piece in outputs) + sum(tiyn for _, tiyn in gone)
        if in_tiyn != out_tiyn:
            raise LedgerCorrupt("marked money appears or vanishes", where=f"entry {at.entry}", found=out_tiyn - in_tiyn)
        covered_tiyn = sum(piece.amount_tiyn for piece in inputs if piece.name not in self.live)
        self.live.difference_update(piece.name for piece in inputs)
        for piece in outputs:
            self.pieces[piece.name] = piece
            if piece.place is not Place.FREE:
                self.live.add(piece.name)
        names = tuple(piece.name for piece in inputs), tuple(piece.name for piece in outputs)
        self.steps.append(Step(kind, at, payer, *names, tuple(after), drawn_tiyn, covered_tiyn, gone))

    def move(
        self,
        kind: Moved,
        at: At,
        payer: Party,
        payee: Party,
        amount_tiyn: int,
        place: Place,
        *,
        merchant: Party | None = None,
        items: Items = (),
    ) -> None:
        """Report a movement, if it moved anything; ``merchant`` is whose category and region it counts for."""
        if not amount_tiyn:
            return
        where = (merchant.mcc, merchant.kato) if merchant else (None, None)
        is_marked = place is not Place.FREE
        row = (at.time_s, at.entry, at.message, kind, payer.account, payee.account, amount_tiyn, place, is_marked)
        self.movements.append(Movement(*row, *where, items))

    def pay(
        self,
        at: At,
        payer: Party,
        paid: Sequence[tuple[Party, Piece]],
        lines: Sequence[Line],
        signers: Collection[bytes] = (),
    ) -> None:
        """Report what a settled payment brought each payee's key; a signer who is paid by the way has sold nothing."""
        total_tiyn = sum(piece.amount_tiyn for _, piece in paid if piece.owner not in signers)
        for owner in dict.fromkeys(piece.owner for _, piece in paid):
            got = [(payee, piece) for payee, piece in paid if piece.owner == owner]
            payee, place = got[0][0], got[0][1].place
            amount_tiyn = sum(piece.amount_tiyn for _, piece in got)
            items = bought(self.definition, () if owner in signers else lines, amount_tiyn, total_tiyn)
            self.brought[at.message, owner] = Brought(tuple(piece.name for _, piece in got), items)
            kind = Moved.SPLIT if self.definition.is_split_part(payee.account) else Moved.PAYMENT
            self.move(kind, at, payer, payee, amount_tiyn, place, merchant=payee, items=items)

    def items_of(self, payment: bytes, payee: bytes, amount_tiyn: int) -> Items:
        """What so much of a payment bought."""
        found = self.brought.get((payment, payee))
        return shared(amount_tiyn, found.items if found else ())
