"""What the tracking asks of the final state."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from cbdc.errors import LedgerCorrupt
from cbdc.formats.certificates import Certificate
from cbdc.formats.tokens import outpoint
from cbdc.state.records import Enrolment, HolderKind, KeyHolder, OfflineToken, Table, Waiting
from cbdc.store.base import Store
from cbdc.transition.draft import parsed_certificate
from cbdc.transition.waiting import SETTLED_FROM


@dataclass(frozen=True, slots=True)
class Party:
    """Whose a key is: the account, or an institution's name; a merchant's category and region."""

    account: str
    mcc: str | None = None
    kato: str | None = None

    @classmethod
    def of(cls, certificate: Certificate) -> Party:
        """The party that a certificate speaks for."""
        merchant = certificate.merchant
        return cls(certificate.account, merchant.mcc if merchant else None, merchant.kato if merchant else None)


@dataclass(frozen=True, slots=True)
class Waited:
    """How a payment's waiting ended: the index of the entry that ended it (None: it waits still), and whether it
    lapsed."""

    entry: int | None
    lapsed: bool


class Lookup:
    """Reads records by name, and knows which renewed certificates the log has come to; nothing else is kept."""

    def __init__(self, store: Store, network: bytes) -> None:
        self._store = store
        self._network = network
        self._renewals: set[bytes] = set()

    # --- people --------------------------------------------------------------------------------

    def enrolled(self, certificates: Iterable[Certificate]) -> None:
        """Follow the log: these certificates are in force from here on."""
        for found in certificates:
            value = self._store.get((Table.CERTIFICATE, found.id))
            if value is not None and Enrolment.decode(value).previous is not None:
                self._renewals.add(found.id)

    def party(self, key: bytes) -> Party:
        """Whose a key is where the log has come to, as the ledger judged him there.

        Raises:
            LedgerCorrupt: nobody's.
        """
        holder = self._holder(key)
        if holder.kind == HolderKind.INSTITUTION:
            return Party(holder.reference.decode())
        return Party.of(self.certificate_of(key))

    def certificate_of(self, key: bytes) -> Certificate:
        """A customer's certificate for a key: of those that renewed each other the latest that the log has come to,
        whatever date the bank wrote on it.

        Raises:
            LedgerCorrupt: there is none.
        """
        name = self._holder(key).reference
        enrolment = self._enrolment(name)
        while enrolment.previous is not None and name not in self._renewals:
            name = enrolment.previous
            enrolment = self._enrolment(name)
        return parsed_certificate(enrolment.raw, self._network)

    def certificate(self, certificate_id: bytes) -> Certificate:
        """A registered certificate. Raises LedgerCorrupt: there is none with this id."""
        return parsed_certificate(self._enrolment(certificate_id).raw, self._network)

    def _holder(self, key: bytes) -> KeyHolder:
        value = self._store.get((Table.HOLDER, key))
        if value is None:
            raise LedgerCorrupt("a key that holds marked money is nobody's", where=f"holder {key.hex()}")
        return KeyHolder.decode(value)

    def _enrolment(self, certificate_id: bytes) -> Enrolment:
        value = self._store.get((Table.CERTIFICATE, certificate_id))
        if value is None:
            raise LedgerCorrupt("a certificate is missing", where=f"certificate {certificate_id.hex()}")
        return Enrolment.decode(value)

    # --- tokens --------------------------------------------------------------------------------

    def offline(self, name: bytes) -> OfflineToken | None:
        """An offline output, spent or not."""
        value = self._store.get((Table.OFFLINE, name))
        return None if value is None else OfflineToken.decode(value)

    def counted(self, spent: bytes, message_id: bytes, entry: int) -> bool:
        """Whether it was in this entry that a message used an outpoint up; evidence that was refused never did."""
        found = self._store.consumers_of(spent)
        return any(by.message_id == message_id and by.entry_index == entry for by in found)

    def waited(self, payment_id: bytes, index: int) -> Waited | None:
        """How it was with a payment whose output ``index`` is not its payer's; None if it did not wait.

        One that waits or has lapsed is recorded, and one that went through has left tokens with names of their own.
        """
        value = self._store.get((Table.WAITING, payment_id))
        if value is None and not self._ever_was(outpoint(payment_id, SETTLED_FROM + index)):
            return None
        ended = self._store.consumers_of(outpoint(payment_id, index))
        return Waited(ended[0].entry_index if ended else None, bool(value) and Waiting.decode(value or b"").lapsed)

    def _ever_was(self, name: bytes) -> bool:
        return self._store.get((Table.TOKEN, name)) is not None or bool(self._store.consumers_of(name))
