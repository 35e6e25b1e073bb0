"""The wallet's way to the ledger: a narrow port, so that a ledger in this process or far away looks the same."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Protocol

from cbdc.errors import Unreachable
from cbdc.log.receipts import Receipt
from cbdc.policy import Policy
from cbdc.purposes.conditions import Memory
from cbdc.purposes.definition import Definition
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.purpose_queries import Refundable
from cbdc.service.queries import Queries
from cbdc.state.records import OfflineToken, Token, Waiting


class LedgerPort(Protocol):
    """What a wallet asks of the ledger. Every call may raise Unreachable."""

    @property
    def network(self) -> bytes:
        """The governor's root key: the pin."""

    @property
    def origin(self) -> str:
        """The log's origin line."""

    def submit(self, message: bytes) -> Receipt:
        """Hand a message in and wait for its receipt. Raises the typed error that refused it."""

    def trust_list(self) -> bytes:
        """The operator's signed trust list."""

    def policy(self) -> Policy:
        """The policy in force."""

    def purposes(self) -> dict[bytes, Definition]:
        """Every purpose by its id."""

    def tokens_of(self, owners: Iterable[bytes]) -> dict[bytes, Token]:
        """Unspent online tokens of these keys, by outpoint."""

    def offline_of(self, owners: Iterable[bytes]) -> dict[bytes, OfflineToken]:
        """Live offline leaves of these purse keys, by outpoint."""

    def offline_token(self, outpoint: bytes) -> OfflineToken | None:
        """What the ledger knows of an offline output."""

    def spenders_of(self, outpoint: bytes) -> tuple[bytes, ...]:
        """Ids of the messages that spent an outpoint, first one first."""

    def load_certificate(self, outpoint: bytes) -> bytes | None:
        """The operator's certificate for a live token at hop 0."""

    def sync_certificate(self, purse_key: bytes, challenge: bytes) -> bytes:
        """The operator's word that this purse is in touch, for its element's challenge (16 bytes)."""

    def certificate_bytes(self, key: bytes) -> bytes:
        """The certificate under which a key is enrolled. Raises NotEnrolled."""

    def claims_tiyn(self, bank: str) -> int:
        """What a bank owes the offline pool."""

    def seized_tiyn(self, purse_key: bytes) -> int:
        """How much of a purse's live leaves is seized, and not its to unload."""

    def debt_tiyn(self, account: str) -> int:
        """What the purses of an account (``bank/subject``) owe for their forks."""

    def purpose_memory(self, purpose: bytes, payer: str, payee: str) -> Memory:
        """What the ledger remembers that a new payment's conditions would be judged by; accounts."""

    def waiting(self) -> dict[bytes, Waiting]:
        """All payments that wait for approval or evidence, by id."""

    def waiting_of(self, payers: Iterable[bytes]) -> dict[bytes, Waiting]:
        """Those of them that these keys made."""

    def waiting_payment(self, payment_id: bytes) -> Waiting | None:
        """One of these, or one that has lapsed; None once it went through."""

    def approvers_of(self, payment_id: bytes) -> tuple[str, ...]:
        """Whose approval a waiting payment's purposes ask for."""

    def refundable(self, payment_id: bytes) -> tuple[Refundable, ...]:
        """What a payment of marked tokens brought, for each payee and purpose."""

    def keys_of(self, account: str) -> tuple[bytes, ...]:
        """The wallet keys of an account that are in force, the latest certified first."""

    def is_freed(self, outpoint: bytes) -> bool:
        """Whether an oracle's word has lifted the mark of a token, online or in a purse."""

    def institution_of(self, key: bytes) -> str | None:
        """The name of the institution whose key this is, if it is one's."""

    def institution_key(self, name: str) -> bytes | None:
        """The key of an institution that takes part, by its name."""

    def role_of(self, name: str) -> str | None:
        """What an institution that takes part may do ("bank", "oracle", ...); None if no such one does."""

    def ledger_time_s(self) -> int:
        """Ledger time now."""


class QueriesPort:
    """The reading half of a port, from committed state in this process."""

    def __init__(self, identity: Identity, queries: Queries) -> None:
        self.network = identity.network
        self.origin = identity.origin
        self.trust_list = queries.trust_list
        self.policy = queries.policy
        self.purposes = queries.purposes
        self.tokens_of = queries.tokens_of
        self.offline_of = queries.offline_of
        self.offline_token = queries.offline_token
        self.spenders_of = queries.spenders_of
        self.load_certificate = queries.load_certificate
        self.sync_certificate = queries.sync_certificate
        self.certificate_bytes = queries.certificate_bytes
        self.claims_tiyn = queries.claims_tiyn
        self.seized_tiyn = queries.seized_tiyn
        self.debt_tiyn = queries.debt_tiyn
        self.purpose_memory = queries.purpose_memory
        self.waiting = queries.waiting
        self.waiting_of = queries.waiting_of
        self.waiting_payment = queries.waiting_payment
        self.approvers_of = queries.approvers_of
        self.refundable = queries.refundable
        self.keys_of = queries.keys_of
        self.is_freed = queries.is_freed
        self.institution_of = queries.institution_of
        self.institution_key = queries.institution_key
        self.role_of = queries.role_of
        self.ledger_time_s = queries.ledger_time_s


class LocalPort(QueriesPort):
    """A ledger in this process."""

    def __init__(self, ledger: Ledger, queries: Queries) -> None:
        super().__init__(ledger.identity, queries)
        self._ledger = ledger

    def submit(self, message: bytes) -> Receipt:
        return self._ledger.submit(message).result()


class Switch:
    """A network cable: `port` gives the way to the ledger, or raises while it is pulled."""

    def __init__(self, port: Callable[[], LedgerPort]) -> None:
        self._port = port
        self.is_connected = True

    def port(self) -> LedgerPort:
        """The ledger. Raises Unreachable while disconnected."""
        if not self.is_connected:
            raise Unreachable("this wallet is offline")
        return self._port()
