"""The records that make up the state, and the tables they live in.

A record's value is the canonical CBOR of its fields; the state root covers (table, key, value) of every record
and nothing else, so log positions and arrival order never enter it.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import IntEnum
from functools import lru_cache
from typing import Any, ClassVar, NamedTuple, Self

import cbor2

from cbdc.formats import cbor
from cbdc.formats.x509 import Role
from cbdc.limits import MAX_PERIOD_SPENDS


class Table(IntEnum):
    """What a key names. The numbers are part of the state root."""

    TOKEN = 1  # outpoint
    OFFLINE = 2  # outpoint
    PARTICIPANT = 3  # name
    CERTIFICATE = 4  # certificate id
    HOLDER = 5  # public key
    PURPOSE = 6  # purpose id
    RESERVE = 7  # bank name
    CULPRIT = 8  # purse key
    POLICY = 9  # empty
    SUPPLY = 10  # empty
    NETWORK = 11  # empty
    DONE = 12  # id of a message that has no inputs, so that it counts once
    DENIED = 13  # certificate id
    DEBTOR = 14  # account
    ACCEPTED = 15  # outpoint of an output spent more than once, then the purse key of who accepted spends of it
    PAST_LIST_DAYS = 16  # empty
    WAITING = 17  # id of a payment that waits for approval or evidence
    SPENT = 18  # purpose id, then the payer's account
    FACT = 19  # hash of an oracle's name and of what its facts are about
    PAID = 20  # payment id, purpose id, payee's key
    ALLOWANCE = 21  # purpose id, then account


@dataclass(frozen=True, slots=True)
class Record:
    """A state record: the fields in order are its value."""

    __match_args__: ClassVar[tuple[str, ...]] = ()

    def encode(self) -> bytes:
        return cbor.encode([getattr(self, field) for field in self.__match_args__])

    @classmethod
    def decode(cls, value: bytes) -> Self:
        """Read a value that our own `encode` wrote."""
        return cls(*fields_of(value))


def fields_of(value: bytes) -> list[Any]:
    """The fields in a record's value, where building the record would be too dear."""
    fields: list[Any] = cbor2.loads(value)
    return fields


@dataclass(frozen=True, slots=True)
class Token(Record):
    """An unspent online token."""

    owner: bytes
    amount_tiyn: int
    purpose: bytes | None
    left: int | None = None
    """How many payments the mark still lasts, where its purpose counts them."""

    def encode(self) -> bytes:
        return cbor.encode([self.owner, self.amount_tiyn, self.purpose, self.left])


@dataclass(frozen=True, slots=True)
class OfflineToken(Record):
    """An offline output, kept after it was spent: ``spenders`` are the ids of all that spent it, sorted.

    ``hops`` counts changes of owner since the load. After ``final_at_s`` a live one is ``returned`` online.
    ``paid`` says of what a payment brought to its payee whence it came, so that a release can be checked: the
    payer's certificate id, the purpose that the value was drawn from, all that the payment brought (tiyn), and the
    payments that the mark lasted then. A
    ``void`` one was made by a payment that does not count, as its acceptor could know; kept because he passed it on.
    ``kept_tiyn`` is what stays seized of a final leaf that is not swept yet, once its purse owes for a fork.
    ``barred`` are the purse keys, sorted, that paid or accepted it on such payments: behind it they are not honest.
    ``left`` is how many payments the mark still lasts, where its purpose counts them.
    """

    owner: bytes
    amount_tiyn: int
    purpose: bytes | None
    spend_until_s: int
    final_at_s: int
    hops: int
    spenders: list[bytes]
    returned: bool
    paid: list[Any] | None = None
    barred: list[bytes] = field(default_factory=list)
    kept_tiyn: int | None = None
    left: int | None = None

    def encode(self) -> bytes:
        return cbor.encode(
            [
                self.owner,
                self.amount_tiyn,
                self.purpose,
                self.spend_until_s,
                self.final_at_s,
                self.hops,
                self.spenders,
                self.returned,
                self.paid,
                self.barred,
                self.kept_tiyn,
                self.left,
            ]
        )

    @property
    def void(self) -> bool:
        return bool(self.barred)

    @property
    def is_live(self) -> bool:
        return not self.spenders and not self.returned and not self.void

    def spent_by(self, message_id: bytes) -> OfflineToken:
        """The same output with one spender more."""
        return OfflineToken(
            self.owner,
            self.amount_tiyn,
            self.purpose,
            self.spend_until_s,
            self.final_at_s,
            self.hops,
            sorted([*self.spenders, message_id]),
            self.returned,
            self.paid,
            self.barred,
            self.kept_tiyn,
            self.left,
        )

    @property
    def costs_owner(self) -> bool:
        """Whether one more spend is one too many: it was spent before, or never was money."""
        return bool(self.spenders) or self.void


class LiveLeaf(NamedTuple):
    """What sums and indexes need of a live `OfflineToken`."""

    owner: bytes
    amount_tiyn: int
    purpose: bytes | None
    final_at_s: int


@lru_cache(maxsize=1 << 14)
def live_leaf(value: bytes) -> LiveLeaf | None:
    """The leaf in an `OfflineToken`'s value if it is live: most are not, and then no record is built.

    Kept for as long as a group is on its way, because sums and indexes ask for the same values one after the other.
    """
    owner, amount_tiyn, purpose, _, final_at_s, _, spenders, returned, _, barred, _, _ = fields_of(value)
    return None if spenders or returned or barred else LiveLeaf(owner, amount_tiyn, purpose, final_at_s)


@dataclass(frozen=True, slots=True)
class Participant(Record):
    """An institution. ``role`` is a `Role` value; ``dismissed_at_s`` is 0 while it is admitted."""

    name: str
    role: str
    key: bytes
    expires_s: int
    der: bytes
    dismissed_at_s: int

    def is_active(self, role: Role) -> bool:
        return self.role == role.value and not self.dismissed_at_s


@dataclass(frozen=True, slots=True)
class Enrolment(Record):
    """A registered certificate: its signed bytes, and the id of the one that it renewed, if any."""

    raw: bytes
    previous: bytes | None


@dataclass(frozen=True, slots=True)
class Denial(Record):
    """A certificate on the deny-list, and since when."""

    revoked_at_s: int


class HolderKind(IntEnum):
    """What a public key belongs to."""

    INSTITUTION = 0
    WALLET = 1
    PURSE = 2


@dataclass(frozen=True, slots=True)
class KeyHolder(Record):
    """Whose a public key is: ``reference`` is a participant's name or a certificate's id.

    ``expires_s`` is the X.509's or certificate's; ``revoked_at_s`` is 0 while it is neither revoked nor dismissed.
    """

    kind: int
    reference: bytes
    expires_s: int
    revoked_at_s: int


@dataclass(frozen=True, slots=True)
class BankReserve(Record):
    """What a bank set aside, what its purses' forks cost, and what was seized against that; tiyn, all rising or falling
    only with the evidence, so that the record does not depend on the order of arrival."""

    topped_up_tiyn: int
    excess_tiyn: int
    seized_tiyn: int

    @property
    def net_tiyn(self) -> int:
        return self.topped_up_tiyn - self.excess_tiyn + self.seized_tiyn

    @property
    def reserve_tiyn(self) -> int:
        return max(0, self.net_tiyn)

    @property
    def claims_tiyn(self) -> int:
        """What the bank still owes the offline pool."""
        return max(0, -self.net_tiyn)


@dataclass(frozen=True, slots=True)
class Culprit(Record):
    """A purse that owes for a fork: it spent an output more than once, or accepted more than one of its spends.

    ``settled_tiyn`` was seized from final leaves, or repaid.
    """

    bank: str
    excess_tiyn: int
    seized_tiyn: int
    settled_tiyn: int

    @property
    def debt_tiyn(self) -> int:
        return self.excess_tiyn - self.seized_tiyn - self.settled_tiyn


@dataclass(frozen=True, slots=True)
class Accepted(Record):
    """What the spends of one forked output brought one acceptor, in all and the most of one (tiyn)."""

    total_tiyn: int
    most_tiyn: int

    @property
    def owed_tiyn(self) -> int:
        """One of them is rightly his, and it may be the largest."""
        return self.total_tiyn - self.most_tiyn

    def with_one_more(self, brought_tiyn: int) -> Accepted:
        return Accepted(self.total_tiyn + brought_tiyn, max(self.most_tiyn, brought_tiyn))


@dataclass(frozen=True, slots=True)
class Debtor(Record):
    """The keys of an account's purses that spent too much, sorted: what is owed, the `Culprit` of each says."""

    purses: list[bytes]


@dataclass(frozen=True, slots=True)
class PastListDays(Record):
    """Larger values of the policy's ``trust_list_days`` that were in force: [last second in force, days], latest last.

    Of earlier ones only those stay that are larger than all later ones, so there are never more than days in the
    largest value that a policy may have.
    """

    steps: list[list[int]]

    def changed(self, days: int, to_days: int, time_s: int) -> PastListDays:
        """After the policy changed at this ledger time."""
        steps = [*self.steps, [time_s, days]]
        while steps and steps[-1][1] <= to_days:
            steps.pop()
        kept: list[list[int]] = []
        for step in reversed(steps):
            if not kept or step[1] > kept[-1][1]:
                kept.append(step)
        return PastListDays(kept[::-1])

    def most_since(self, since_s: int, now_days: int) -> int:
        """The largest value in force at any time from then until now, when it is ``now_days``."""
        return max([now_days, *(days for until_s, days in self.steps if until_s >= since_s)])


@dataclass(frozen=True, slots=True)
class Waiting(Record):
    """An online payment of marked tokens that waits for approvals or evidence; its value stands in escrow tokens.

    ``payer`` is the account, ``signer`` the key to which it returns; ``entered_s`` and ``until_s`` are ledger times in
    seconds; ``approvals`` the accounts that approved it, sorted; ``lines`` as in an invoice. ``outputs`` are those to
    payees: [index, owner, tiyn, purpose, payments that its mark lasted, whether the mark stays, how long it lasts
    then]. ``lapsed`` when its time ran out: the value has returned.
    """

    payer: str
    signer: bytes
    entered_s: int
    until_s: int
    approvals: list[str]
    lines: list[list[Any]]
    outputs: list[list[Any]]
    lapsed: bool


@dataclass(frozen=True, slots=True)
class Spent(Record):
    """What an account paid of a purpose lately: [ledger time, tiyn], earliest first."""

    spends: list[list[int]]

    def with_one_more(self, time_s: int, amount_tiyn: int, since_s: int) -> Spent:
        """With one payment more, and without those from before ``since_s``."""
        kept = sorted([*(spend for spend in self.spends if spend[0] > since_s), [time_s, amount_tiyn]])
        while len(kept) > MAX_PERIOD_SPENDS:
            (_, first_tiyn), (second_s, second_tiyn), *rest = kept
            kept = [[second_s, first_tiyn + second_tiyn], *rest]
        return Spent(kept)

    def without(self, amount_tiyn: int, until_s: int) -> Spent:
        """With so much less, taken from the latest payments up to ``until_s``."""
        kept = []
        for time_s, spent_tiyn in reversed(self.spends):
            taken_tiyn = min(spent_tiyn, amount_tiyn) if time_s <= until_s else 0
            amount_tiyn -= taken_tiyn
            if spent_tiyn > taken_tiyn:
                kept.append([time_s, spent_tiyn - taken_tiyn])
        return Spent(kept[::-1])


@dataclass(frozen=True, slots=True)
class Facts(Record):
    """What an oracle has stated about a payment or an account: its facts, sorted."""

    facts: list[str]


@dataclass(frozen=True, slots=True)
class Paid(Record):
    """What a payment of marked tokens brought one payee out of one purpose, and how much of it was refunded (tiyn).

    ``payer`` is the key that paid; ``left`` is how many payments the mark lasted when it did. ``counted_s`` is the
    ledger time from which a limit per period counts it, 0 if none does: between purses nobody asked one.
    """

    payer: bytes
    amount_tiyn: int
    refunded_tiyn: int
    left: int | None
    counted_s: int


@dataclass(frozen=True, slots=True)
class Allowance(Record):
    """How much of a purpose (tiyn) an account's purses may pay between two syncs without the ledger's memory."""

    amount_tiyn: int


@dataclass(frozen=True, slots=True)
class Supply(Record):
    """The ledger's totals in tiyn: online + pool + reserves = issued - redeemed."""

    issued_tiyn: int
    redeemed_tiyn: int
    online_tiyn: int
    pool_tiyn: int
    reserves_tiyn: int


@dataclass(frozen=True, slots=True)
class Network(Record):
    """The network: its name, the governor's root key and the operator's name."""

    name: str
    root_key: bytes
    operator: str
