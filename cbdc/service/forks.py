"""Forks as the ledger's file shows them, each with a proof that stands without the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cbdc.errors import LedgerCorrupt
from cbdc.log import entries
from cbdc.offline import fraud
from cbdc.state.records import Enrolment, KeyHolder, OfflineToken, Participant, Table
from cbdc.state.view import Consumed
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.draft import parsed_certificate


@dataclass(frozen=True, slots=True)
class ProvenFork:
    """An offline output that was spent more than once: whose, worth what (tiyn), by whom, and the proof's bytes."""

    outpoint: bytes
    account: str
    amount_tiyn: int
    spenders: tuple[bytes, ...]
    proof: bytes


def proven_forks(store: SqliteStore, network: bytes) -> Iterator[ProvenFork]:
    """Every fork of the ledger; the proof holds its first two spends.

    Raises:
        LedgerCorrupt: the log lacks what the state says.
    """
    for (_, name), value in list(store.records(Table.OFFLINE)):
        token = OfflineToken.decode(value)
        if len(token.spenders) > 1:
            yield _proven(store, network, name, token)


def _proven(store: SqliteStore, network: bytes, name: bytes, token: OfflineToken) -> ProvenFork:
    first, second, *_ = store.consumers_of(name)
    raw = _certificate(store, token.owner)
    certificate = parsed_certificate(raw, network)
    bank = store.get((Table.PARTICIPANT, certificate.bank.encode()))
    if bank is None:
        raise LedgerCorrupt("a culprit's bank is missing", where=f"participant {certificate.bank}")
    spends = _spend(store, network, first), _spend(store, network, second)
    proof = fraud.encode(*spends, raw, Participant.decode(bank).der)
    return ProvenFork(name, certificate.account, token.amount_tiyn, tuple(token.spenders), proof)


def _certificate(store: SqliteStore, key: bytes) -> bytes:
    """The signed certificate under which a purse is enrolled."""
    holder = store.get((Table.HOLDER, key))
    enrolment = None if holder is None else store.get((Table.CERTIFICATE, KeyHolder.decode(holder).reference))
    if enrolment is None:
        raise LedgerCorrupt("a culprit's certificate is missing", where=f"holder {key.hex()}")
    return Enrolment.decode(enrolment).raw


def _spend(store: SqliteStore, network: bytes, consumed: Consumed) -> bytes:
    """A spend as it stands in the log."""
    data = store.entry(consumed.entry_index)
    spend = None
    if data is not None:
        spend = fraud.spend_in(entries.decode(data)[1], consumed.message_id, network)
    if spend is None:
        raise LedgerCorrupt("the log lacks a spend that was consumed", where=f"entry {consumed.entry_index}")
    return spend
