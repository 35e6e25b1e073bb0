"""What wallets, banks and auditors ask the ledger: answers come from committed state only."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Final, TypeVar

from cbdc.errors import NotEnrolled
from cbdc.formats.certificates import Certificate
from cbdc.formats.x509 import Role
from cbdc.offline.documents import LoadCertificate, SyncCertificate, TrustList
from cbdc.policy import Policy
from cbdc.service.horizon import Horizon
from cbdc.service.pages import Page, page_of
from cbdc.service.purpose_queries import PurposeQueries
from cbdc.service.writer import Identity
from cbdc.state.records import (
    BankReserve,
    Culprit,
    Debtor,
    Enrolment,
    KeyHolder,
    OfflineToken,
    Participant,
    Record,
    Supply,
    Table,
    Token,
)
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.draft import parsed_certificate, parsed_policy

R = TypeVar("R", bound=Record)

_ON_LISTS: Final = frozenset({Role.GOVERNOR.value, Role.OPERATOR.value, Role.BANK.value})
"""Whom a device without a network needs: the others speak to the ledger alone."""


@dataclass(frozen=True, slots=True)
class Fork:
    """A purse that spent outputs more than once: whose, how much too much, and what is still owed (tiyn)."""

    account: str
    excess_tiyn: int
    debt_tiyn: int
    purse_key: bytes


class Queries(PurposeQueries):
    """Reads on a connection of its own, so that nothing uncommitted is ever answered.

    Beside a running ledger it shares its ``horizon``; without that no list may be asked for while a ledger decides.
    """

    def __init__(
        self, store: SqliteStore, identity: Identity, clock: Callable[[], int], horizon: Horizon | None = None
    ) -> None:
        self._store = store
        self._identity = identity
        self._clock = clock
        self._horizon = horizon or Horizon(clock)
        self._lock = threading.Lock()

    def close(self) -> None:
        self._store.close()

    # --- tokens --------------------------------------------------------------------------------

    def tokens_of(self, owners: Iterable[bytes]) -> dict[bytes, Token]:
        """Unspent online tokens of these keys, by outpoint."""
        with self._lock:
            return {name: Token.decode(value) for name, value in self._store.owned(Table.TOKEN, owners)}

    def offline_of(self, owners: Iterable[bytes]) -> dict[bytes, OfflineToken]:
        """Live offline leaves of these purse keys as far as the ledger knows, by outpoint."""
        with self._lock:
            return {name: OfflineToken.decode(v) for name, v in self._store.owned(Table.OFFLINE, owners)}

    def offline_token(self, outpoint: bytes) -> OfflineToken | None:
        """An offline output, spent or not."""
        return self._record(OfflineToken, Table.OFFLINE, outpoint)

    def load_certificate(self, outpoint: bytes) -> bytes | None:
        """The operator's certificate for a live token at hop 0; None for any other."""
        token = self.offline_token(outpoint)
        if token is None or not token.is_live or token.hops:
            return None
        return LoadCertificate(outpoint, token).sign(self._identity.operator, self._identity.network)

    def sync_certificate(self, purse_key: bytes, challenge: bytes) -> bytes:
        """The operator's word that this purse is in touch with the ledger now, for the element's challenge."""
        held_tiyn = sum(leaf.amount_tiyn for leaf in self.offline_of([purse_key]).values())
        word = SyncCertificate(purse_key, self.ledger_time_s(), challenge, held_tiyn)
        return word.sign(self._identity.operator, self._identity.network)

    def ledger_time_s(self) -> int:
        """Ledger time now: the clock's, never before the last entry."""
        with self._lock:
            return max(self._clock(), self._store.stored_ledger_time_s())

    # --- a page at a time ----------------------------------------------------------------------

    def tokens_after(self, owners: Iterable[bytes], after: bytes) -> Page[Token]:
        """As `tokens_of`, owner by owner; the first owner's only behind ``after``."""
        with self._lock:
            return page_of(self._store.owned(Table.TOKEN, dict.fromkeys(owners), after), Token.decode)

    def offline_after(self, owners: Iterable[bytes], after: bytes) -> Page[OfflineToken]:
        """As `offline_of`, in the same way."""
        with self._lock:
            return page_of(self._store.owned(Table.OFFLINE, dict.fromkeys(owners), after), OfflineToken.decode)

    # --- trust ---------------------------------------------------------------------------------

    def trust_list(self) -> bytes:
        """A trust list as of now, signed by the operator."""
        with self._lock:
            # the number first: what is committed while the state is being read may be on the list, and has no later one
            number_s = self._horizon.list_time_s(self._store.stored_ledger_time_s())
            found = [Participant.decode(value) for _, value in self._store.records(Table.PARTICIPANT)]
            participants = [participant for participant in found if participant.role in _ON_LISTS]
            denied = [key[1] for key, _ in self._store.records(Table.DENIED)]
        return TrustList.sign(
            number_s,
            [participant.der for participant in participants if not participant.dismissed_at_s],
            denied,
            self._identity.operator,
            self._identity.network,
        )

    def participants(self) -> list[Participant]:
        """Every institution ever admitted."""
        with self._lock:
            return [Participant.decode(value) for _, value in self._store.records(Table.PARTICIPANT)]

    def certificate_of(self, key: bytes) -> Certificate:
        """The certificate under which a wallet or purse key is enrolled.

        Raises:
            NotEnrolled: there is none.
        """
        return parsed_certificate(self.certificate_bytes(key), self._identity.network)

    def certificate_bytes(self, key: bytes) -> bytes:
        """The signed certificate under which a key is enrolled.

        Raises:
            NotEnrolled: there is none.
        """
        holder = self._record(KeyHolder, Table.HOLDER, key)
        enrolment = self._record(Enrolment, Table.CERTIFICATE, holder.reference) if holder else None
        if enrolment is None:
            raise NotEnrolled("key is not enrolled", key=key)
        return enrolment.raw

    # --- rules and totals ----------------------------------------------------------------------

    def policy(self) -> Policy:
        """The policy in force.

        Raises:
            NotEnrolled: there is no genesis yet.
        """
        value = self._value(Table.POLICY, b"")
        if value is None:
            raise NotEnrolled("the ledger has no genesis yet")
        return parsed_policy(value)

    def supply(self) -> Supply:
        """The totals."""
        return self._record(Supply, Table.SUPPLY, b"") or Supply(0, 0, 0, 0, 0)

    def reserve(self, bank: str) -> BankReserve:
        """A bank's reserve and claims."""
        return self._record(BankReserve, Table.RESERVE, bank.encode()) or BankReserve(0, 0, 0)

    def claims_tiyn(self, bank: str) -> int:
        """What a bank owes the offline pool."""
        return self.reserve(bank).claims_tiyn

    def forks(self) -> list[Fork]:
        """All culprits: whose key is revoked, or who owe.

        Not who was only named as the payee of a second spend that he never took: what he owes lies seized in his purse.
        """
        with self._lock:
            culprits = [(key[1], Culprit.decode(value)) for key, value in self._store.records(Table.CULPRIT)]
        return [
            Fork(self.certificate_of(purse).account, culprit.excess_tiyn, culprit.debt_tiyn, purse)
            for purse, culprit in culprits
            if culprit.debt_tiyn or self._is_revoked(purse)
        ]

    def seized_tiyn(self, purse_key: bytes) -> int:
        """How much of a purse's live leaves is seized for what it owes."""
        culprit = self._record(Culprit, Table.CULPRIT, purse_key)
        return culprit.seized_tiyn if culprit else 0

    def debt_tiyn(self, account: str) -> int:
        """What all purses of an account owe for their forks."""
        debtor = self._record(Debtor, Table.DEBTOR, account.encode())
        culprits = [self._record(Culprit, Table.CULPRIT, key) for key in debtor.purses] if debtor else []
        return sum(culprit.debt_tiyn for culprit in culprits if culprit)

    def _is_revoked(self, key: bytes) -> bool:
        holder = self._record(KeyHolder, Table.HOLDER, key)
        return holder is not None and bool(holder.revoked_at_s)

    def forked_outputs(self) -> int:
        """How many offline outputs were spent more than once."""
        with self._lock:
            found = self._store.records(Table.OFFLINE)
            return sum(1 for _, value in found if len(OfflineToken.decode(value).spenders) > 1)

    def is_forked(self, outpoint: bytes) -> bool:
        """Whether the ledger knows more than one spend of this offline output."""
        token = self.offline_token(outpoint)
        return token is not None and len(token.spenders) > 1

    def spenders_of(self, outpoint: bytes) -> tuple[bytes, ...]:
        """Ids of the messages that spent an outpoint, first one first."""
        with self._lock:
            return tuple(consumed.message_id for consumed in self._store.consumers_of(outpoint))

    def latest_checkpoint(self) -> str | None:
        """The last signed checkpoint."""
        with self._lock:
            latest = self._store.latest_checkpoint()
        return latest[1] if latest else None

    # --- records -------------------------------------------------------------------------------

    def _value(self, table: Table, name: bytes) -> bytes | None:
        with self._lock:
            return self._store.get((table, name))

    def _record(self, kind: type[R], table: Table, name: bytes) -> R | None:
        value = self._value(table, name)
        return None if value is None else kind.decode(value)
