"""What is asked of the ledger about special-purpose money: definitions, payments that wait, what may be refunded."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import dataclass

from cbdc.formats.certificates import Certificate
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.tokens import outpoint
from cbdc.limits import MAX_OUTPUTS
from cbdc.purposes.conditions import Memory
from cbdc.purposes.definition import Definition
from cbdc.service.due import DuePage, Stage, due_page
from cbdc.service.pages import Page, page_of
from cbdc.service.writer import Identity
from cbdc.state.records import Enrolment, HolderKind, KeyHolder, OfflineToken, Paid, Participant, Record, Table, Waiting
from cbdc.store.sqlite import SqliteStore
from cbdc.transition import memory, refund, waiting
from cbdc.transition.draft import Draft, parsed_certificate, parsed_definition


@dataclass(frozen=True, slots=True)
class Refundable(Record):
    """What a payment brought a payee's key out of a purpose, whose it was (an account), and what of it is left to
    refund (tiyn)."""

    purpose: bytes
    payee: bytes
    payer: str
    rest_tiyn: int


class PurposeQueries:
    """The part of `Queries` that is about purposes."""

    _store: SqliteStore
    _identity: Identity
    _lock: threading.Lock

    def purposes(self) -> dict[bytes, Definition]:
        """Every purpose by its id."""
        with self._lock:
            return {key[1]: parsed_definition(value) for key, value in self._store.records(Table.PURPOSE)}

    def purposes_after(self, after: bytes) -> Page[Definition]:
        """As `purposes`, those behind the id ``after``."""
        with self._lock:
            return page_of(self._store.records_after(Table.PURPOSE, after), parsed_definition)

    def purpose_memory(self, purpose: bytes, payer: str, payee: str) -> Memory:
        """What the ledger remembers that the conditions of a new payment would be judged by; accounts.

        Raises:
            PurposeRefused: there is no such purpose.
        """
        with self._lock:
            return memory.memory_of(Draft(self._store), purpose, payer, payee, b"")

    def is_freed(self, outpoint: bytes) -> bool:
        """Whether an oracle's word has lifted the mark of a token, online or in a purse."""
        with self._lock:
            draft = Draft(self._store)
            token = draft.token(outpoint) or draft.offline(outpoint)
            if token is None or token.purpose is None or draft.holder(token.owner) is None:  # escrow is nobody's
                return False
            return memory.is_freed(draft, draft.definition(token.purpose), outpoint, token)

    # --- payments that wait --------------------------------------------------------------------

    def waiting_payment(self, payment_id: bytes) -> Waiting | None:
        """A payment that waits, or has lapsed; None once it went through."""
        with self._lock:
            return Draft(self._store).waiting(payment_id)

    def waiting_after(self, after: bytes) -> Page[Waiting]:
        """Payments that wait, by id, those behind the id ``after``."""
        with self._lock:
            return page_of(self._store.waiting(after), Waiting.decode)

    def waiting(self) -> dict[bytes, Waiting]:
        """All payments that wait, by id."""
        with self._lock:
            return {payment_id: Waiting.decode(value) for payment_id, value in self._store.waiting()}

    def waiting_of(self, payers: Iterable[bytes]) -> dict[bytes, Waiting]:
        """The payments that these keys made and that wait, by id."""
        with self._lock:
            rows = self._store.owned(Table.WAITING, payers)
            return {payment_id: Waiting.decode(value) for payment_id, value in rows}

    def waiting_of_after(self, payers: Iterable[bytes], after: bytes) -> Page[Waiting]:
        """As `waiting_of`, payer by payer; the first payer's only behind ``after``."""
        with self._lock:
            return page_of(self._store.owned(Table.WAITING, dict.fromkeys(payers), after), Waiting.decode)

    def approvers_of(self, payment_id: bytes) -> tuple[str, ...]:
        """Whose approval a waiting payment's purposes ask for, sorted."""
        with self._lock:
            draft = Draft(self._store)
            found = draft.waiting(payment_id)
            return tuple(sorted(waiting.approvers(draft, found))) if found else ()

    # --- refunds -------------------------------------------------------------------------------

    def refundable(self, payment_id: bytes) -> tuple[Refundable, ...]:
        """What a payment of marked tokens brought, for each payee and purpose."""
        with self._lock:
            found = self._paid(payment_id) | self._paid_offline(payment_id)
        return tuple(found[name] for name in sorted(found))

    def _paid(self, payment_id: bytes) -> dict[bytes, Refundable]:
        found = {}
        for name, value in self._store.records_after(Table.PAID, payment_id):
            if not name.startswith(payment_id):
                break
            paid = Paid.decode(value)
            if not paid.counted_s:  # one between purses: `_paid_offline`
                continue
            payer = self._certificate(paid.payer)
            purpose, payee = name[HASH_BYTES : 2 * HASH_BYTES], name[2 * HASH_BYTES :]
            if payer is not None:
                rest_tiyn = paid.amount_tiyn - paid.refunded_tiyn
                found[purpose + payee] = Refundable(purpose, payee, payer.account, rest_tiyn)
        return found

    def _paid_offline(self, payment_id: bytes) -> dict[bytes, Refundable]:
        draft = Draft(self._store)
        found: dict[bytes, Refundable] = {}
        for index in range(MAX_OUTPUTS):
            made = draft.offline(outpoint(payment_id, index))
            if made is None:
                break
            if not refund.is_refundable(draft, made):
                continue
            found |= self._one_offline(draft, payment_id, made, found)
        return found

    @staticmethod
    def _one_offline(
        draft: Draft, payment_id: bytes, made: OfflineToken, found: dict[bytes, Refundable]
    ) -> dict[bytes, Refundable]:
        payer_certificate, purpose, *_ = made.paid or []
        before = found.get(purpose + made.owner)
        refunded = draft.paid(payment_id, purpose, made.owner)
        rest_tiyn = made.amount_tiyn + (before.rest_tiyn if before else -(refunded.refunded_tiyn if refunded else 0))
        payer = draft.certificate(payer_certificate).account
        return {purpose + made.owner: Refundable(purpose, made.owner, payer, rest_tiyn)}

    # --- accounts ------------------------------------------------------------------------------

    def keys_of(self, account: str) -> tuple[bytes, ...]:
        """The wallet keys of an account (``bank/subject``) that are in force, the latest certified first."""
        with self._lock:
            now_s = self._store.stored_ledger_time_s()
            rows = list(self._store.owned(Table.CERTIFICATE, [account.encode()]))
            certificates = [parsed_certificate(Enrolment.decode(raw).raw, self._identity.network) for _, raw in rows]
            wallets = [certificate for certificate in certificates if certificate.limits is None]
            latest = sorted(wallets, key=lambda certificate: (-certificate.issued_s, certificate.id))
            return tuple(dict.fromkeys(c.key for c in latest if self._is_in_force(c, now_s)))

    def institution_of(self, key: bytes) -> str | None:
        """The name of the institution whose key this is, if it is one's."""
        with self._lock:
            holder = Draft(self._store).holder(key)
        return holder.reference.decode() if holder and holder.kind == HolderKind.INSTITUTION else None

    def institution_key(self, name: str) -> bytes | None:
        """The key of an institution that takes part, by its name."""
        found = self._takes_part(name)
        return found.key if found else None

    def role_of(self, name: str) -> str | None:
        """What an institution that takes part may do ("bank", "oracle", ...); None if no such one does."""
        found = self._takes_part(name)
        return str(found.role) if found else None

    def _takes_part(self, name: str) -> Participant | None:
        with self._lock:
            found = Draft(self._store).participant(name)
        return None if found is None or found.dismissed_at_s else found

    def _is_in_force(self, certificate: Certificate, now_s: int) -> bool:
        value = self._store.get((Table.HOLDER, certificate.key))
        holder = KeyHolder.decode(value) if value else None
        if holder is None or holder.reference != certificate.id:
            return False
        return not holder.revoked_at_s and now_s < certificate.expires_s

    def _certificate(self, key: bytes) -> Certificate | None:
        value = self._store.get((Table.HOLDER, key))
        enrolment = self._store.get((Table.CERTIFICATE, KeyHolder.decode(value).reference)) if value else None
        return parsed_certificate(Enrolment.decode(enrolment).raw, self._identity.network) if enrolment else None

    # --- what falls due ------------------------------------------------------------------------

    def due(self, until_s: int, limit: int) -> list[tuple[int, bytes]]:
        """(due time, outpoint) of all that a sweep may move by then, earliest first; all is looked through for it."""
        found: dict[bytes, int] = {}
        for stage in Stage:
            after: bytes | None = b""
            while after is not None:
                page = self.due_page(stage, until_s, after)
                for due_s, name in page.found:
                    found[name] = min(due_s, found.get(name, due_s))
                after = page.after or None
        return sorted((due_s, name) for name, due_s in found.items())[:limit]

    def due_page(self, stage: Stage, until_s: int, after: bytes) -> DuePage:
        """Some of it: a bounded part of what one stage looks through, behind ``after``."""
        with self._lock:
            return due_page(self._store, stage, until_s, after)
