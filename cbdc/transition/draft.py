"""A delta in the making: typed reading and writing of records on top of a view."""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from typing import TypeVar

from cbdc.errors import NotEnrolled, PurposeRefused
from cbdc.formats import cbor, certificates
from cbdc.formats.certificates import Certificate
from cbdc.formats.hashing import tagged
from cbdc.policy import Policy
from cbdc.purposes.definition import Definition
from cbdc.state.records import (
    Accepted,
    Allowance,
    BankReserve,
    Culprit,
    Debtor,
    Denial,
    Enrolment,
    Facts,
    HolderKind,
    KeyHolder,
    Network,
    OfflineToken,
    Paid,
    Participant,
    PastListDays,
    Record,
    Spent,
    Supply,
    Table,
    Token,
    Waiting,
)
from cbdc.state.view import Change, Delta, Key, View

R = TypeVar("R", bound=Record)
_ONLY = b""
"""The key of tables that hold one record."""


class Draft:
    """Reads through to the view, collects changes; nothing touches the view."""

    def __init__(self, view: View) -> None:
        self.view = view
        self._before: dict[Key, bytes | None] = {}
        self._changes: dict[Key, bytes | None] = {}
        self._consumed: list[tuple[bytes, bytes]] = []
        self._offline: dict[bytes, list[bytes]] = {}
        self._leaves: dict[bytes, OfflineToken] = {}
        self._live: dict[bytes, dict[bytes, OfflineToken]] = {}
        self._live_tiyn: dict[bytes, int] = {}
        self._final: dict[bytes, dict[bytes, OfflineToken]] = {}
        self.settled_due: set[bytes] = set()
        """Purse keys whose final leaves were looked through: no message makes new ones that are final already."""
        self._certificates: dict[bytes, Certificate] = {}

    def finish(self) -> Delta:
        """The delta: every key that ended up different."""
        known, changes = self._before, {}
        for key, after in self._changes.items():
            before = known[key] if key in known else self.view.get(key)
            if before != after:
                changes[key] = Change(before, after)
        return Delta(changes, tuple(self._consumed))

    # --- raw access ----------------------------------------------------------------------------

    def _get(self, key: Key) -> bytes | None:
        """A record as it is in the draft; what the view says is kept for `finish`."""
        if key in self._changes:
            return self._changes[key]
        if key not in self._before:
            self._before[key] = self.view.get(key)
        return self._before[key]

    def _read(self, kind: type[R], table: Table, name: bytes) -> R | None:
        value = self._get((table, name))
        return None if value is None else kind.decode(value)

    def _put(self, table: Table, name: bytes, record: Record) -> None:
        self._changes[table, name] = record.encode()

    # --- tokens --------------------------------------------------------------------------------

    def token(self, outpoint: bytes) -> Token | None:
        return self._read(Token, Table.TOKEN, outpoint)

    def create(self, outpoint: bytes, token: Token) -> None:
        """Add a token to the unspent set.

        Its name holds the id of a message that could not be applied before, so nothing is looked up here; the
        store refuses to insert a record twice.
        """
        self._before[Table.TOKEN, outpoint] = None
        self._put(Table.TOKEN, outpoint, token)

    def consume(self, outpoint: bytes, message_id: bytes) -> None:
        """Take a token out of the unspent set for ever."""
        self._changes[Table.TOKEN, outpoint] = None
        self._consumed.append((outpoint, message_id))

    def consume_offline(self, outpoint: bytes, message_id: bytes) -> None:
        """Note who used an offline output up; its record stays."""
        self._consumed.append((outpoint, message_id))

    def spend_offline(self, outpoint: bytes, spent: OfflineToken, message_id: bytes) -> None:
        """Put an offline output back with one spender more, and note it; its record stays."""
        self._keep_leaf(outpoint, spent)
        self._consumed.append((outpoint, message_id))

    def once(self, message_id: bytes) -> None:
        """Note that a message without inputs has been done."""
        self._changes[Table.DONE, message_id] = b""
        self._consumed.append((message_id, message_id))

    def use_up(self, thing: bytes) -> None:
        """Note that something with an id of its own counts no more, such as a request; `is_done` says so."""
        self._changes[Table.DONE, thing] = b""

    def note(self, message_id: bytes) -> None:
        """Note which entry carried a message that may come again in other words; no part of the state."""
        self._consumed.append((message_id, message_id))

    def is_done(self, message_id: bytes) -> bool:
        return self._get((Table.DONE, message_id)) is not None

    def offline(self, outpoint: bytes) -> OfflineToken | None:
        """An offline output. What was read or put is kept: a payment asks for its inputs more than once."""
        if outpoint in self._leaves:
            return self._leaves[outpoint]
        token = self._read(OfflineToken, Table.OFFLINE, outpoint)
        if token is not None:
            self._leaves[outpoint] = token
        return token

    def put_offline(self, outpoint: bytes, token: OfflineToken) -> None:
        key = (Table.OFFLINE, outpoint)
        if key not in self._changes and self._get(key) is None:
            self._offline.setdefault(token.owner, []).append(outpoint)
        self._keep_leaf(outpoint, token)

    def _keep_leaf(self, outpoint: bytes, token: OfflineToken) -> None:
        self._leaves[outpoint] = token
        self._follow_leaf(outpoint, token)
        self._put(Table.OFFLINE, outpoint, token)

    def forget_unspent(self, outpoints: Iterable[bytes]) -> None:
        """Take outputs back that this draft made and nothing spent; what the view has, or is spent, stays."""
        for name in outpoints:
            token = self.offline(name)
            if token is not None and not token.spenders and self.view.get((Table.OFFLINE, name)) is None:
                del self._changes[Table.OFFLINE, name], self._leaves[name]
                self._offline[token.owner].remove(name)

    def live_offline_of(self, owner: bytes) -> dict[bytes, OfflineToken]:
        """The live offline outputs of a purse key, by outpoint.

        They are gathered once: every payment of a culprit asks, and his purse may hold very many.
        """
        if owner in self._live:
            return self._live[owner]
        live = self._live[owner] = {}
        for outpoint in (*self.view.offline_of(owner), *self._offline.get(owner, ())):
            token = self.offline(outpoint)
            if token is not None and token.is_live:
                live[outpoint] = token
        self._live_tiyn[owner] = sum(token.amount_tiyn for token in live.values())
        return live

    def live_tiyn_of(self, owner: bytes) -> int:
        """What the live offline outputs of a purse key are worth."""
        self.live_offline_of(owner)
        return self._live_tiyn[owner]

    def final_of(self, owner: bytes) -> list[OfflineToken]:
        """Those of a purse's live offline outputs of which it is fixed what stays seized."""
        if owner not in self._final:
            leaves = self.live_offline_of(owner).items()
            self._final[owner] = {name: leaf for name, leaf in leaves if leaf.kept_tiyn is not None}
        return list(self._final[owner].values())

    def _follow_leaf(self, outpoint: bytes, token: OfflineToken) -> None:
        """Keep what was gathered of its owner's live outputs in step."""
        live = self._live.get(token.owner)
        if live is None:
            return
        before = live.pop(outpoint, None)
        if token.is_live:
            live[outpoint] = token
        if token.kept_tiyn is not None:
            self._final.pop(token.owner, None)
        gained_tiyn = (token.amount_tiyn if token.is_live else 0) - (before.amount_tiyn if before else 0)
        self._live_tiyn[token.owner] += gained_tiyn

    # --- people and institutions ---------------------------------------------------------------

    def network(self) -> Network:
        value = self._get((Table.NETWORK, _ONLY))
        if value is None:
            raise NotEnrolled("the ledger has no genesis yet")
        return parsed_network(value)

    def put_network(self, network: Network) -> None:
        self._put(Table.NETWORK, _ONLY, network)

    def has_network(self) -> bool:
        return self._get((Table.NETWORK, _ONLY)) is not None

    def participant(self, name: str) -> Participant | None:
        return self._read(Participant, Table.PARTICIPANT, name.encode())

    def put_participant(self, participant: Participant) -> None:
        self._put(Table.PARTICIPANT, participant.name.encode(), participant)
        name, expires_s, dismissed_at_s = participant.name.encode(), participant.expires_s, participant.dismissed_at_s
        self.put_holder(participant.key, KeyHolder(HolderKind.INSTITUTION, name, expires_s, dismissed_at_s))

    def holder(self, key: bytes) -> KeyHolder | None:
        value = self._get((Table.HOLDER, key))
        return None if value is None else parsed_holder(value)

    def put_holder(self, key: bytes, holder: KeyHolder) -> None:
        self._put(Table.HOLDER, key, holder)

    def enrolment(self, certificate_id: bytes) -> Enrolment | None:
        return self._read(Enrolment, Table.CERTIFICATE, certificate_id)

    def put_enrolment(self, certificate_id: bytes, enrolment: Enrolment) -> None:
        self._certificates.pop(certificate_id, None)
        self._put(Table.CERTIFICATE, certificate_id, enrolment)

    def denied_at_s(self, certificate_id: bytes) -> int | None:
        """Since when a certificate is on the deny-list, if it is."""
        denial = self._read(Denial, Table.DENIED, certificate_id)
        return denial.revoked_at_s if denial else None

    def deny(self, certificate_id: bytes, time_s: int) -> None:
        self._put(Table.DENIED, certificate_id, Denial(time_s))

    def certificate(self, certificate_id: bytes) -> Certificate:
        """A registered certificate.

        Raises:
            NotEnrolled: there is none with this id.
        """
        found = self._certificates.get(certificate_id)
        if found is None:
            enrolment = self.enrolment(certificate_id)
            if enrolment is None:
                raise NotEnrolled("no such certificate is registered", certificate=certificate_id)
            found = parsed_certificate(enrolment.raw, self.network().root_key)
            self._certificates[certificate_id] = found
        return found

    def certificate_of(self, key: bytes, kind: HolderKind) -> Certificate:
        """The certificate of an enrolled wallet or purse key.

        Raises:
            NotEnrolled: the key has none of that kind.
        """
        holder = self.holder(key)
        if holder is None or holder.kind != kind:
            raise NotEnrolled(f"key is not an enrolled {kind.name.lower()}", key=key)
        return self.certificate(holder.reference)

    # --- rules ---------------------------------------------------------------------------------

    def policy(self) -> Policy:
        value = self._get((Table.POLICY, _ONLY))
        if value is None:
            raise NotEnrolled("the ledger has no genesis yet")
        return parsed_policy(value)

    def put_policy(self, policy: Policy) -> None:
        self._changes[Table.POLICY, _ONLY] = cbor.encode(policy.to_cbor())

    def past_list_days(self) -> PastListDays:
        """What ``trust_list_days`` was before, where that was more."""
        return self._read(PastListDays, Table.PAST_LIST_DAYS, _ONLY) or PastListDays([])

    def put_past_list_days(self, past: PastListDays) -> None:
        self._put(Table.PAST_LIST_DAYS, _ONLY, past)

    def trust_list_days(self, since_s: int) -> int:
        """The largest number of days that a trust list was good for at any ledger time from ``since_s`` until now.

        Evidence is judged by it: who accepted a payment by the rules of that day does not lose it to a later policy.
        """
        return self.past_list_days().most_since(since_s, self.policy().trust_list_days)

    def definition(self, purpose: bytes) -> Definition:
        """A purpose's definition.

        Raises:
            PurposeRefused: there is none with this id.
        """
        value = self._get((Table.PURPOSE, purpose))
        if value is None:
            raise PurposeRefused("no such purpose", purpose=purpose)
        return parsed_definition(value)

    def put_definition(self, purpose: bytes, definition: Definition) -> None:
        self._changes[Table.PURPOSE, purpose] = cbor.encode(definition.to_cbor())

    # --- purposes ------------------------------------------------------------------------------

    def waiting(self, payment_id: bytes) -> Waiting | None:
        """A payment that waits, or has lapsed."""
        return self._read(Waiting, Table.WAITING, payment_id)

    def put_waiting(self, payment_id: bytes, waiting: Waiting) -> None:
        self._put(Table.WAITING, payment_id, waiting)

    def drop_waiting(self, payment_id: bytes) -> None:
        self._changes[Table.WAITING, payment_id] = None

    def spent(self, purpose: bytes, account: str) -> Spent:
        """What an account paid of a purpose lately."""
        return self._read(Spent, Table.SPENT, purpose + account.encode()) or Spent([])

    def put_spent(self, purpose: bytes, account: str, spent: Spent) -> None:
        self._put(Table.SPENT, purpose + account.encode(), spent)

    def facts(self, oracle: str, about: bytes | str) -> Facts:
        """What an oracle has stated about a payment (its id) or an account."""
        return self._read(Facts, Table.FACT, _fact_name(oracle, about)) or Facts([])

    def put_facts(self, oracle: str, about: bytes | str, facts: Facts) -> None:
        self._put(Table.FACT, _fact_name(oracle, about), facts)

    def paid(self, payment_id: bytes, purpose: bytes, payee: bytes) -> Paid | None:
        """What a payment brought a payee's key out of a purpose, as far as that is written down."""
        return self._read(Paid, Table.PAID, payment_id + purpose + payee)

    def put_paid(self, payment_id: bytes, purpose: bytes, payee: bytes, paid: Paid) -> None:
        self._put(Table.PAID, payment_id + purpose + payee, paid)

    def allowance(self, purpose: bytes, account: str) -> Allowance:
        """What the sponsor lets an account's purses pay without the ledger's memory."""
        return self._read(Allowance, Table.ALLOWANCE, purpose + account.encode()) or Allowance(0)

    def put_allowance(self, purpose: bytes, account: str, allowance: Allowance) -> None:
        self._put(Table.ALLOWANCE, purpose + account.encode(), allowance)

    # --- reserves and totals -------------------------------------------------------------------

    def reserve(self, bank: str) -> BankReserve:
        return self._read(BankReserve, Table.RESERVE, bank.encode()) or BankReserve(0, 0, 0)

    def put_reserve(self, bank: str, reserve: BankReserve) -> None:
        self._put(Table.RESERVE, bank.encode(), reserve)

    def culprit(self, purse_key: bytes) -> Culprit | None:
        return self._read(Culprit, Table.CULPRIT, purse_key)

    def put_culprit(self, purse_key: bytes, culprit: Culprit) -> None:
        self._put(Table.CULPRIT, purse_key, culprit)

    def accepted(self, outpoint: bytes, purse_key: bytes) -> Accepted:
        """What the spends of a forked output brought a purse."""
        return self._read(Accepted, Table.ACCEPTED, outpoint + purse_key) or Accepted(0, 0)

    def put_accepted(self, outpoint: bytes, purse_key: bytes, accepted: Accepted) -> None:
        self._put(Table.ACCEPTED, outpoint + purse_key, accepted)

    def debtor(self, account: str) -> Debtor:
        """The purses of an account that ever spent too much."""
        return self._read(Debtor, Table.DEBTOR, account.encode()) or Debtor([])

    def put_debtor(self, account: str, debtor: Debtor) -> None:
        self._put(Table.DEBTOR, account.encode(), debtor)

    def supply(self) -> Supply:
        return self._read(Supply, Table.SUPPLY, _ONLY) or Supply(0, 0, 0, 0, 0)

    def shift_supply(
        self,
        *,
        issued_tiyn: int = 0,
        redeemed_tiyn: int = 0,
        online_tiyn: int = 0,
        pool_tiyn: int = 0,
        reserves_tiyn: int = 0,
    ) -> None:
        """Add to the totals (tiyn, may be negative)."""
        now = self.supply()
        shifted = Supply(
            now.issued_tiyn + issued_tiyn,
            now.redeemed_tiyn + redeemed_tiyn,
            now.online_tiyn + online_tiyn,
            now.pool_tiyn + pool_tiyn,
            now.reserves_tiyn + reserves_tiyn,
        )
        self._put(Table.SUPPLY, _ONLY, shifted)


def _fact_name(oracle: str, about: bytes | str) -> bytes:
    return tagged("fact", cbor.encode([oracle, about]))


@lru_cache(maxsize=4096)
def parsed_certificate(raw: bytes, network: bytes) -> Certificate:
    """The certificate in registered bytes, whose signature was checked when it was enrolled."""
    return certificates.unverified(raw, network)[0]


@lru_cache(maxsize=4)
def parsed_network(value: bytes) -> Network:
    """The record in the network's value."""
    return Network.decode(value)


@lru_cache(maxsize=4096)
def parsed_holder(value: bytes) -> KeyHolder:
    """The record in a holder's value."""
    return KeyHolder.decode(value)


@lru_cache(maxsize=64)
def parsed_policy(value: bytes) -> Policy:
    """The policy in a record's value."""
    return Policy.from_cbor(cbor.decode(value))


@lru_cache(maxsize=1024)
def parsed_definition(value: bytes) -> Definition:
    """The definition in a record's value."""
    return Definition.from_cbor(cbor.decode(value))
