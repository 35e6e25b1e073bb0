"""What became of a purpose's money: the records. All amounts are in tiyn, all times are ledger time in seconds."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import Final, TypeAlias

from cbdc.purposes.definition import Definition

Items: TypeAlias = tuple[tuple[str, int], ...]
"""What was bought for an amount: (category, tiyn), which add up to it. Two categories stand for what is not known."""

NOT_STATED: Final = ""
"""The payment says nothing of what is bought. Like the next, it is no category that a line can have."""

NOT_TOLD_APART: Final = "\0"
"""The payment says it of marked and free money together, and the purpose names no categories: which was paid with which
is open, and what was bought with free money is not the sponsor's to know."""


class Moved(StrEnum):
    """What a movement is."""

    GRANT = "grant"
    PAYMENT = "payment"
    SPLIT = "split"
    """The part of a payment that the purpose's rule gives to another account."""
    WAITS = "waits"
    """A payment whose value is in escrow; once it goes through, there is a payment besides."""
    LAPSED = "lapsed"
    LOAD = "load"
    UNLOAD = "unload"
    RENEWAL = "renewal"
    FINAL = "final"
    """A purse's token came online at its deadline."""
    RELEASE = "release"
    """A payment between purses was given back whole."""
    REFUND = "refund"
    FREED = "freed"
    """An oracle's evidence lifted the mark from money that stays where it is."""
    EXPIRED = "expired"
    RECALLED = "recalled"
    SEIZED = "seized"
    """Kept from a purse's token at its deadline, for what the purse owes."""


class Place(StrEnum):
    """Where a token is; ``free``: its mark has ended, and it is followed no further."""

    ONLINE = "online"
    OFFLINE = "offline"
    WAITING = "waiting"
    FREE = "free"


class Fate(StrEnum):
    """What became of money that was not passed on under the mark."""

    ONLINE = "online"
    OFFLINE = "offline"
    WAITING = "waiting"
    SPENT = "spent"
    """Free: paid to whom the purpose allows, or freed by evidence."""
    RETURNED = "returned"
    SEIZED = "seized"
    ELSEWHERE = "elsewhere"
    """It went on together with money that is followed at another place of the trees."""


@dataclass(frozen=True, slots=True)
class Movement:
    """One message that moved the purpose's money from one holder to another, or to another place.

    ``entry`` is the log's, ``message`` the id of what was signed. ``mcc`` and ``kato`` are the payee's, or of whoever
    gives back; None where his certificate has none. ``is_marked``: whether the money bears the mark afterwards.
    """

    time_s: int
    entry: int
    message: bytes
    kind: Moved
    payer: str
    payee: str
    amount_tiyn: int
    place: Place
    is_marked: bool
    mcc: str | None = None
    kato: str | None = None
    items: Items = ()


@dataclass(frozen=True, slots=True)
class Books:
    """What was granted in a purpose, and where it is.

    ``issued``: granted. ``covered``: what reserves paid for further spends of marked outputs, which put more marked
    money into honest hands. ``paid``: all settled payments, of money that went through several hands each time.
    ``given_back``: of those, refunds and releases. ``spent``: what became free in the hands of those whom it was paid
    to, less what came back under the mark from free money. ``returned``: by expiry or recall. ``seized``: see `Moved`.
    """

    issued_tiyn: int = 0
    covered_tiyn: int = 0
    online_tiyn: int = 0
    offline_tiyn: int = 0
    waiting_tiyn: int = 0
    paid_tiyn: int = 0
    given_back_tiyn: int = 0
    spent_tiyn: int = 0
    returned_tiyn: int = 0
    seized_tiyn: int = 0

    @property
    def held_tiyn(self) -> int:
        """What bears the mark now."""
        return self.online_tiyn + self.offline_tiyn + self.waiting_tiyn

    @property
    def is_balanced(self) -> bool:
        """Whether everything that came in is somewhere."""
        out_tiyn = self.held_tiyn + self.spent_tiyn + self.returned_tiyn + self.seized_tiyn
        return self.issued_tiyn + self.covered_tiyn == out_tiyn


@dataclass(frozen=True, slots=True)
class Held:
    """What one account holds under the mark; ``waiting`` is in escrow in payments of its own."""

    holder: str
    online_tiyn: int = 0
    offline_tiyn: int = 0
    waiting_tiyn: int = 0

    @property
    def total_tiyn(self) -> int:
        return self.online_tiyn + self.offline_tiyn + self.waiting_tiyn


class Group(StrEnum):
    """What sums are made by."""

    PAYEE = "payee"
    MCC = "mcc"
    REGION = "region"
    ITEM = "item"
    DAY = "day"


@dataclass(frozen=True, slots=True)
class Row:
    """Sums of one payee, category, region, item or day in Almaty; ``key`` is None where there is no such thing.

    Grants and returns have a day and nothing else of these, so elsewhere they are 0.
    """

    key: str | None
    granted_tiyn: int = 0
    paid_tiyn: int = 0
    given_back_tiyn: int = 0
    returned_tiyn: int = 0

    @property
    def net_tiyn(self) -> int:
        """Paid, less what was given back."""
        return self.paid_tiyn - self.given_back_tiyn


@dataclass(frozen=True, slots=True)
class Turn:
    """What happened to money in its holder's hands: loaded, renewed, put in escrow, swept, recalled; how much of it."""

    kind: Moved
    message: bytes
    entry: int
    time_s: int
    amount_tiyn: int


@dataclass(frozen=True, slots=True)
class Flow:
    """Money that reached a holder by one message, and what he did with it: a node of the tree.

    ``turns`` are what happened to it in between. ``joined`` came in from elsewhere in the trees and went on with it;
    ``covered`` was paid by a reserve because he spent some of it more than once. What came in is what went on: amount +
    joined + covered = children + fates. ``is_marked`` says whether it bore the mark when it came.
    """

    kind: Moved
    message: bytes
    entry: int
    time_s: int
    payer: str
    holder: str
    amount_tiyn: int
    is_marked: bool
    joined_tiyn: int
    covered_tiyn: int
    fates: tuple[tuple[Fate, int], ...]
    turns: tuple[Turn, ...]
    children: tuple[Flow, ...]

    @property
    def is_balanced(self) -> bool:
        """Whether what came in went on, here."""
        out_tiyn = sum(tiyn for _, tiyn in self.fates) + sum(child.amount_tiyn for child in self.children)
        return self.amount_tiyn + self.joined_tiyn + self.covered_tiyn == out_tiyn


@dataclass(frozen=True, slots=True)
class Tracked:
    """All that a sponsor may see of a purpose: its definition, books, holders, movements, and trees from the grants."""

    purpose: bytes
    definition: Definition
    until_s: int
    entries: int
    books: Books
    held: tuple[Held, ...]
    movements: tuple[Movement, ...] = field(repr=False)
    trees: tuple[Flow, ...] = field(repr=False)
