"""Forks as the ledger's file shows them, each with a proof that stands without the ledger."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cbdc.errors import LedgerCorrupt
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.tokens import Output
from cbdc.log import entries
from cbdc.offline import fraud
from cbdc.service.evidence import late_spends, late_transfer
from cbdc.state.records import Enrolment, KeyHolder, OfflineToken, Participant, Table
from cbdc.state.view import Consumed
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.draft import parsed_certificate


@dataclass(frozen=True, slots=True)
class ProvenFork:
    """An offline output that was spent more than once: whose, worth what (tiyn), by whom, and the proof's bytes.

    ``spenders`` are the ids of the spends that the ledger counts, ``late`` those of the late payments that it keeps.
    """

    outpoint: bytes
    account: str
    amount_tiyn: int
    spenders: tuple[bytes, ...]
    proof: bytes
    late: tuple[bytes, ...] = ()


def proven_forks(store: SqliteStore, network: bytes) -> Iterator[ProvenFork]:
    """Every fork that counts: two spends in time; the proof holds the first two.

    Raises:
        LedgerCorrupt: the log lacks what the state says.
    """
    return (fork for fork in _forks(store, network) if len(fork.spenders) > 1)


def late_forks(store: SqliteStore, network: bytes) -> Iterator[ProvenFork]:
    """Every fork that only late evidence shows: proven like any other, and without consequence on the ledger.

    Raises:
        LedgerCorrupt: the log lacks what the state says.
    """
    return (fork for fork in _forks(store, network) if len(fork.spenders) < 2)


def _forks(store: SqliteStore, network: bytes) -> Iterator[ProvenFork]:
    late = late_spends(store, network)
    for (_, name), value in list(store.records(Table.OFFLINE)):
        token = OfflineToken.decode(value)
        more = {spend.id: spend.raw for spend in late.pop(name, []) if spend.id not in token.spenders}
        if len(token.spenders) + len(more) > 1:
            yield _proven(store, network, name, token, more)
    for name, spends in late.items():
        if len(spends) > 1:  # a late payment made this output: the state does not know it
            yield _proven(store, network, name, _made_late(store, network, name), {one.id: one.raw for one in spends})


def _proven(
    store: SqliteStore, network: bytes, name: bytes, spent: OfflineToken | Output, late: dict[bytes, bytes]
) -> ProvenFork:
    spenders = tuple(spent.spenders) if isinstance(spent, OfflineToken) else ()
    first_two = [by for by in store.consumers_of(name) if by.message_id in spenders][:2]
    spends = [*(_spend(store, network, by) for by in first_two), *late.values()]
    raw = _certificate(store, spent.owner)
    certificate = parsed_certificate(raw, network)
    bank = store.get((Table.PARTICIPANT, certificate.bank.encode()))
    if bank is None:
        raise LedgerCorrupt("a culprit's bank is missing", where=f"participant {certificate.bank}")
    proof = fraud.encode(spends[0], spends[1], raw, Participant.decode(bank).der)
    return ProvenFork(name, certificate.account, spent.amount_tiyn, spenders, proof, tuple(late))


def _made_late(store: SqliteStore, network: bytes, name: bytes) -> Output:
    """An output that only a late payment made."""
    row = store.late.row(name[:HASH_BYTES])
    if row is None:
        raise LedgerCorrupt("the payment that made an output is not kept", where=f"late_things row {name.hex()}")
    return late_transfer(row, network)[0].outputs[int.from_bytes(name[HASH_BYTES:])]


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
