"""Late payments as the ledger's file shows them: who paid whom what, and which outputs they spent."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from cbdc.errors import LedgerCorrupt
from cbdc.formats.certificates import Certificate
from cbdc.messages.bodies import OfflineTerms, Transfer
from cbdc.messages.message import decode
from cbdc.state.records import Enrolment, Table
from cbdc.store.base import LateRow
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.draft import parsed_certificate


@dataclass(frozen=True, slots=True)
class LateSpend:
    """A late payment that is kept, in short: its id and its signed bytes."""

    id: bytes
    raw: bytes


@dataclass(frozen=True, slots=True)
class LateEvidence:
    """A late payment that is kept: when it was shown (ledger time, seconds), from whose purse to whose, how much the
    payee would have got (tiyn), and the outputs that it spends."""

    id: bytes
    time_s: int
    payer: str
    payee: str
    amount_tiyn: int
    outpoints: tuple[bytes, ...]


def late_evidence(store: SqliteStore, network: bytes) -> Iterator[LateEvidence]:
    """Every late payment that the ledger keeps, in the order in which they were shown.

    Raises:
        LedgerCorrupt: a row is no payment between two enrolled purses.
    """
    for row in store.late.rows():
        transfer, terms = late_transfer(row, network)
        payer = _certificate(store, network, terms.payer_certificate)
        payee = _certificate(store, network, terms.payee_certificate)
        amount_tiyn = sum(output.amount_tiyn for output in transfer.outputs if output.owner == payee.key)
        yield LateEvidence(row.id, row.time_s, payer.account, payee.account, amount_tiyn, transfer.inputs)


def late_spends(store: SqliteStore, network: bytes) -> dict[bytes, list[LateSpend]]:
    """The kept late payments by each output that they spend, first one first."""
    spends: dict[bytes, list[LateSpend]] = {}
    for row in store.late.rows():
        for name in late_transfer(row, network)[0].inputs:
            spends.setdefault(name, []).append(LateSpend(row.id, row.payment))
    return spends


def late_transfer(row: LateRow, network: bytes) -> tuple[Transfer, OfflineTerms]:
    """The payment in a row and its terms.

    Raises:
        LedgerCorrupt: there is none in it.
    """
    body = decode(row.payment, network).body
    if type(body) is not Transfer or body.terms is None:
        raise LedgerCorrupt("a late payment is no offline transfer", where=f"late row {row.seq}")
    return body, body.terms


def _certificate(store: SqliteStore, network: bytes, certificate_id: bytes) -> Certificate:
    enrolment = store.get((Table.CERTIFICATE, certificate_id))
    if enrolment is None:
        raise LedgerCorrupt("a late payment's certificate is missing", where=f"certificate {certificate_id.hex()}")
    return parsed_certificate(Enrolment.decode(enrolment).raw, network)
