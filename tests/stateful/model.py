"""A naive model of the ledger: what the design page says, in the most obvious way, however slow.

It imports nothing of the ledger. Messages reach it as plain dictionaries (`tests.stateful.plain` makes them), their
signatures already known to hold. Nothing about offline money is ever updated: the model keeps the evidence *E* and
works leaves, forks, excess, seizure, debts, reserves, claims and the pool out of it again at every question, by the
rules of section 6 of the design.

Every refusal names the code that the ledger must answer with; where several guards of equal rank refuse at once it
names all of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

DAY_S = 86_400
MAX_AMOUNT_TIYN = 10**17

Message = dict[str, Any]


class Refused(Exception):
    """The ledger must answer with one of these codes; ``winner`` is the entry that a double spend must name."""

    def __init__(self, *codes: str, winner: int | None = None) -> None:
        super().__init__(*codes)
        self.codes = frozenset(codes)
        self.winner = winner


class Certificate(NamedTuple):
    """A wallet's certificate, or with ``limits`` and ``online`` a purse's."""

    id: bytes
    account: str
    bank: str
    key: bytes
    expires: int
    holder: str
    mcc: str | None
    kato: str | None
    limits: tuple[int, int, int, int] | None
    """Holding, payment, spends, hops."""
    online: bytes | None

    @property
    def is_purse(self) -> bool:
        return self.limits is not None


class Output(NamedTuple):
    """What a message makes."""

    owner: bytes
    amount: int
    purpose: bytes | None


class Leaf(NamedTuple):
    """An offline output."""

    owner: bytes
    amount: int
    purpose: bytes | None
    spend_until: int
    final_at: int
    hops: int
    void: bool = False
    """Made by a payment whose acceptor was at fault: no money, but what is spent of it must be made good."""


@dataclass
class Facts:
    """What a condition may ask about a payment."""

    payer: str
    payee: str
    mcc: str | None
    kato: str | None
    amount: int
    time: int


@dataclass
class Model:
    """The ledger. `submit` is its one way in."""

    root: bytes = b""
    policy: dict[str, int] | None = None
    past_days: list[tuple[int, int]] = field(default_factory=list)
    """(until when, trust_list_days) of every earlier policy."""
    time: int = 0
    entries: int = 0
    carried: dict[bytes, int] = field(default_factory=dict)
    """Message id -> the entry that carried it."""
    consumed: list[tuple[bytes, bytes, int]] = field(default_factory=list)
    """(thing, message id, entry), in order."""
    institutions: dict[str, dict[str, Any]] = field(default_factory=dict)
    certificates: dict[bytes, Certificate] = field(default_factory=dict)
    current: dict[bytes, bytes] = field(default_factory=dict)
    """Key -> id of the certificate under which it is enrolled now."""
    denied: list[tuple[bytes, int]] = field(default_factory=list)
    """(certificate id, time) as banks revoked them; forks revoke as well, see `revoked_at`."""
    purposes: dict[bytes, dict[str, Any]] = field(default_factory=dict)
    tokens: dict[bytes, Output] = field(default_factory=dict)
    issued: int = 0
    redeemed: int = 0
    top_ups: list[tuple[str, int]] = field(default_factory=list)
    loads: dict[bytes, Leaf] = field(default_factory=dict)
    evidence: list[Message] = field(default_factory=list)
    """E, in order of arrival: payments and unloads."""
    void: dict[bytes, Leaf] = field(default_factory=dict)
    """Rule 5: outputs of payments at fault that somebody further down the chain took in good faith."""
    barred: dict[bytes, frozenset[bytes]] = field(default_factory=dict)
    """Output of a payment at fault -> the purses that paid or took it, or void money that it was made of."""
    finals: list[tuple[bytes, int]] = field(default_factory=list)
    """(leaf, time) of what was swept."""
    repaid: list[tuple[bytes, int, int]] = field(default_factory=list)
    """(purse, amount, time) as debts were paid."""

    # --- the way in ----------------------------------------------------------------------------

    def submit(self, message: Message, now: int) -> int:
        """The index of the entry that carries the message, now or already.

        Raises:
            Refused: with the codes that are right.
        """
        self.time = max(self.time, now)
        try:
            if self.policy is None and message["kind"] != "genesis":
                raise Refused("not_enrolled")
            done = getattr(self, message["kind"])(message) or []
        except Refused:
            if message["id"] in self.carried:
                return self.carried[message["id"]]
            raise
        for message_id in [message["id"], *done]:
            self.carried[message_id] = self.entries
        self.entries += 1
        return self.entries - 1

    def _consume(self, thing: bytes, message: Message) -> None:
        self.consumed.append((thing, message["id"], self.entries))

    def _once(self, message: Message) -> None:
        """A message without inputs uses its own id up."""
        self._consume(message["id"], message)

    def _not_done(self, message: Message) -> None:
        if message["id"] in self.carried:
            raise Refused("replayed")

    # --- who is who ----------------------------------------------------------------------------

    def _institution_of(self, key: bytes) -> dict[str, Any] | None:
        return next((i for i in self.institutions.values() if i["key"] == key), None)

    def kind_of(self, key: bytes) -> str | None:
        """``institution``, ``wallet``, ``purse`` or None."""
        if self._institution_of(key):
            return "institution"
        if key in self.current:
            return "purse" if self.certificates[self.current[key]].is_purse else "wallet"
        return None

    def certificate_of(self, key: bytes, kind: str) -> Certificate:
        if self.kind_of(key) != kind:
            raise Refused("not_enrolled")
        return self.certificates[self.current[key]]

    def revoked_at(self, key: bytes) -> int | None:
        """When a key got on the deny-list: at its bank's word, or as its first fork came to light."""
        times = [time for denied, time in self.denied if self.certificates[denied].key == key]
        for name, leaf in self.outputs().items():
            if leaf.owner == key:
                first_too_many = 0 if leaf.void else 1
                times += [spend["arrived"] for spend in self.evidence if name in spend["inputs"]][first_too_many:]
        return min(times, default=None)

    def revoked(self) -> set[bytes]:
        """Ids of all certificates on the deny-list: every one that a revoked key ever had."""
        return {name for name, found in self.certificates.items() if self.revoked_at(found.key) is not None}

    def _enrolled(self, key: bytes) -> str:
        """The kind of a key that is on the ledger and not on the deny-list."""
        kind, institution = self.kind_of(key), self._institution_of(key)
        if kind is None:
            raise Refused("not_enrolled")
        if institution["dismissed"] if institution else self.revoked_at(key) is not None:
            raise Refused("certificate_revoked")
        return kind

    def _may_hold_online(self, outputs: Iterable[Output]) -> None:
        codes = set()
        for output in outputs:
            try:
                kind = self._enrolled(output.owner)
                found = self._institution_of(output.owner)
                expires = found["expires"] if found else self.certificates[self.current[output.owner]].expires
                if kind == "purse":
                    codes.add("not_enrolled")
                elif self.time >= expires:
                    codes.add("certificate_expired")
            except Refused as refused:
                codes |= refused.codes
        if codes:
            raise Refused(*codes)

    def _may_spend(self, signers: frozenset[bytes]) -> None:
        """A revoked key's money stands still."""
        codes = set()
        for key in signers:
            try:
                self._enrolled(key)
            except Refused as refused:
                codes |= refused.codes
        if codes:
            raise Refused(*codes)

    def _by_root(self, message: Message) -> None:
        if message["signers"] != {self.root}:
            raise Refused("role_refused")

    def _active_bank(self, signers: frozenset[bytes]) -> dict[str, Any]:
        bank = self._institution_of(next(iter(signers))) if len(signers) == 1 else None
        if bank is None or bank["role"] != "bank" or bank["dismissed"]:
            raise Refused("role_refused")
        if self.time >= bank["expires"]:
            raise Refused("certificate_expired")
        return bank

    # --- institutions and customers ------------------------------------------------------------

    def genesis(self, message: Message) -> None:
        if self.policy is not None:
            raise Refused("replayed")
        root, operator = message["root"], message["operator"]
        if message["signers"] != {root["key"]} or (root["role"], operator["role"]) != ("governor", "operator"):
            raise Refused("role_refused")
        self._admit(root, root["key"])
        self._admit(operator, root["key"])
        self.root, self.policy = root["key"], message["policy"]
        self._once(message)

    def admit(self, message: Message) -> None:
        self._by_root(message)
        self._not_done(message)
        if message["institution"]["role"] != "bank":
            raise Refused("role_refused")
        self._admit(message["institution"], self.root)
        self._once(message)

    def _admit(self, institution: dict[str, Any], root: bytes) -> None:
        if institution["issuer"] != root:
            raise Refused("bad_signature")
        if not institution["starts"] <= self.time < institution["expires"]:
            raise Refused("certificate_expired")
        if institution["name"] in self.institutions or self.kind_of(institution["key"]):
            raise Refused("replayed")
        self.institutions[institution["name"]] = institution | {"dismissed": False}

    def dismiss(self, message: Message) -> None:
        self._by_root(message)
        self._not_done(message)
        found = self.institutions.get(message["name"])
        if found is None or found["role"] != "bank" or found["dismissed"]:
            raise Refused("not_enrolled")
        found["dismissed"] = True
        self._once(message)

    def set_policy(self, message: Message) -> None:
        self._by_root(message)
        self._not_done(message)
        self.past_days.append((self.time, self.policy["trust_list_days"]))
        self.policy = message["policy"]
        self._once(message)

    def _list_days(self, terms: dict[str, Any]) -> int:
        """How long a trust list was good for: the longest of all policies from the payment's ledger time until now."""
        past = [days for until, days in self.past_days if until >= terms["ledger_time"]]
        return max([self.policy["trust_list_days"], *past])

    def enrol(self, message: Message) -> None:
        bank = self._active_bank(message["signers"])
        self._not_done(message)
        certificates, current = self.certificates, self.current
        self.certificates, self.current = dict(certificates), dict(current)
        try:
            for certificate in message["certificates"]:
                self._enrol(certificate, bank["name"])
        except Refused:
            self.certificates, self.current = certificates, current
            raise
        self._once(message)

    def _enrol(self, certificate: Certificate, bank: str) -> None:
        if certificate.bank != bank:
            raise Refused("role_refused")
        if self.time >= certificate.expires:
            raise Refused("certificate_expired")
        if certificate.key in self.current:
            before = self.certificates[self.current[certificate.key]]
            if self.revoked_at(certificate.key) is not None:
                raise Refused("certificate_revoked")
            if (before.account, before.is_purse) != (certificate.account, certificate.is_purse):
                raise Refused("role_refused")
        elif institution := self._institution_of(certificate.key):
            raise Refused("certificate_revoked" if institution["dismissed"] else "role_refused")
        if certificate.is_purse:
            self._check_purse(certificate)
        if certificate.id in self.certificates:
            raise Refused("replayed")
        self.certificates[certificate.id] = certificate
        self.current[certificate.key] = certificate.id

    def _check_purse(self, certificate: Certificate) -> None:
        owner = self.certificate_of(certificate.online, "wallet")
        self._enrolled(owner.key)
        if owner.account != certificate.account:
            raise Refused("role_refused")
        if self._owes(certificate.account):
            raise Refused("certificate_revoked")
        for what, limit in zip(("holding", "payment", "spends", "hops"), certificate.limits, strict=True):
            if limit > self.policy[what]:
                raise Refused(f"limit_{what}")

    def revoke(self, message: Message) -> None:
        bank = self._active_bank(message["signers"])
        self._not_done(message)
        certificate = self.certificates.get(message["certificate"])
        if certificate is None:
            raise Refused("not_enrolled")
        if certificate.bank != bank["name"]:
            raise Refused("role_refused")
        self.denied.append((certificate.id, self.time))
        self._once(message)

    # --- online money --------------------------------------------------------------------------

    def issue(self, message: Message) -> None:
        self._by_root(message)
        self._not_done(message)
        for output in message["outputs"]:
            self._active_bank(frozenset({output.owner}))
            if output.purpose is not None:
                raise Refused("purpose_mismatch")
        amount = sum(output.amount for output in message["outputs"])
        if self.issued - self.redeemed + amount > MAX_AMOUNT_TIYN:
            raise Refused("limit_holding")
        self.issued += amount
        self._once(message)
        self._create(message, message["outputs"])

    def redeem(self, message: Message) -> None:
        if self.root not in message["signers"]:
            raise Refused("role_refused")
        bank = self._active_bank(message["signers"] - {self.root})
        self._take_out(message, bank["key"])
        self.redeemed += message["amount"]

    def reserve(self, message: Message) -> None:
        bank = self._active_bank(message["signers"])
        self._take_out(message, bank["key"])
        self.top_ups.append((bank["name"], message["amount"]))

    def _take_out(self, message: Message, bank: bytes) -> None:
        self._in_time(message)
        tokens = self._unspent(message)
        if any(owner != bank for owner, *_ in [*tokens, *message["outputs"]]):
            raise Refused("not_owner")
        conserved(tokens, message["outputs"], message["amount"])
        self._spend(message)
        self._create(message, message["outputs"])

    def repay(self, message: Message) -> None:
        self._may_spend(message["signers"])
        self._may_hold_online(message["outputs"])
        self._in_time(message)
        tokens = self._unspent(message)
        self._owners_signed(tokens, message)
        if any(purpose is not None for *_, purpose in [*tokens, *message["outputs"]]):
            raise Refused("purpose_mismatch")
        conserved(tokens, message["outputs"], message["amount"])
        _, owed = self.debts().get(message["purse"], (0, 0))
        if message["amount"] > owed:
            raise Refused("amount_mismatch")
        self.repaid.append((message["purse"], message["amount"], self.time))
        self._spend(message)
        self._create(message, message["outputs"])

    def transfer(self, message: Message) -> list[bytes] | None:
        if message["terms"] is not None:
            return self._take_in([message])
        self._may_spend(message["signers"])
        self._may_hold_online(message["outputs"])
        self._in_time(message)
        tokens = self._unspent(message)
        self._owners_signed(tokens, message)
        conserved(tokens, message["outputs"])
        payers = {token.owner for token in tokens if token.purpose is not None}
        made = message["outputs"]
        if payers:
            if len(payers) > 1:
                raise Refused("purpose_mismatch")
            payer = self.certificate_of(next(iter(payers)), "wallet")
            made = self._marked(made, payers, payer.account, self._payee, self.time)
        self._spend(message)
        self._create(message, made)
        return None

    def _payee(self, owner: bytes) -> Certificate | dict[str, Any]:
        return self._institution_of(owner) or self.certificates[self.current[owner]]

    def _in_time(self, message: Message) -> None:
        if self.time > message["valid_until"]:
            raise Refused("expired")

    def _unspent(self, message: Message) -> list[Output]:
        for name in message["inputs"]:
            if name not in self.tokens:
                winners = [entry for thing, _, entry in self.consumed if thing == name]
                raise Refused("double_spend", winner=winners[0]) if winners else Refused("not_owner")
        return [self.tokens[name] for name in message["inputs"]]

    def _owners_signed(self, tokens: list[Output], message: Message) -> None:
        if {token.owner for token in tokens} != message["signers"]:
            raise Refused("not_owner")

    def _spend(self, message: Message) -> None:
        for name in message["inputs"]:
            del self.tokens[name]
            self._consume(name, message)

    def _create(self, message: Message, outputs: Iterable[Output]) -> None:
        for index, output in enumerate(outputs):
            self.tokens[outpoint(message["id"], index)] = output

    # --- special-purpose money -----------------------------------------------------------------

    def define(self, message: Message) -> None:
        if message["signers"] != {message["sponsor"]}:
            raise Refused("not_sponsor")
        self._enrolled(message["sponsor"])
        if self.certificate_of(message["sponsor"], "wallet").holder != "sponsor":
            raise Refused("role_refused")
        if self._enrolled(message["return_to"]) != "wallet":
            raise Refused("not_enrolled")
        self._not_done(message)
        if self.time >= message["expires"]:
            raise Refused("expired")
        self.purposes[message["id"]] = message
        self._once(message)

    def grant(self, message: Message) -> None:
        purpose = self.purposes.get(message["purpose"])
        if purpose is None:
            raise Refused("purpose_refused")
        if message["signers"] != {purpose["sponsor"]}:
            raise Refused("not_sponsor")
        self._may_spend(message["signers"])
        self._may_hold_online(message["outputs"])
        if any(self.kind_of(output.owner) != "wallet" for output in message["outputs"]):
            raise Refused("not_enrolled")
        self._in_time(message)
        self._open(message["purpose"], self.time)
        tokens = self._unspent(message)
        self._owners_signed(tokens, message)
        for output in message["outputs"]:
            is_change = output.purpose is None and output.owner == purpose["sponsor"]
            if output.purpose != message["purpose"] and not is_change:
                raise Refused("purpose_mismatch")
        # marked money is made of free money, as if all outputs were free
        conserved(tokens, [output._replace(purpose=None) for output in message["outputs"]])
        self._spend(message)
        self._create(message, message["outputs"])

    def _open(self, purpose: bytes, time: int) -> None:
        if time >= self.purposes[purpose]["expires"]:
            raise Refused("expired")

    def _marked(
        self,
        outputs: Iterable[Output],
        payers: set[bytes],
        payer: str,
        payee_of: Callable[[bytes], Certificate | dict[str, Any]],
        time: int,
    ) -> list[Output]:
        """The outputs with the marks that they end up with, if every marked payment is allowed."""
        outputs = list(outputs)
        for output in outputs:
            if output.purpose is not None:
                self._open(output.purpose, time)
        shares = Counter()
        for output in outputs:
            if output.purpose is not None and output.owner not in payers:
                shares[output.purpose, output.owner] += output.amount
        for (purpose, owner), amount in shares.items():
            payee = payee_of(owner)
            if isinstance(payee, Certificate):
                facts = Facts(payer, payee.account, payee.mcc, payee.kato, amount, time)
            else:
                facts = Facts(payer, payee["name"], None, None, amount, time)
            if allows(self.purposes[purpose]["condition"], facts) is not True:
                raise Refused("purpose_refused")
        # the only rule so far is `clears`: a qualified payee gets free money
        return [o if o.owner in payers else o._replace(purpose=None) for o in outputs]

    # --- offline: load, unload, evidence -------------------------------------------------------

    def load(self, message: Message) -> None:
        purse = self._loadable(message)
        self._may_spend(message["signers"])
        self._in_time(message)
        tokens = self._unspent(message)
        self._owners_signed(tokens, message)
        if message["signers"] != {purse.online}:
            raise Refused("not_owner")
        if any(output.owner not in (purse.key, purse.online) for output in message["outputs"]):
            raise Refused("wrong_payee")
        conserved(tokens, message["outputs"])
        held = self._live_of(purse.key) - self.seized()[purse.key]
        if held + sum(o.amount for o in message["outputs"] if o.owner == purse.key) > purse.limits[0]:
            raise Refused("limit_holding")
        self._purposes_open(message, purse.key)
        self._spend(message)
        self._make(message, purse.key)

    def unload(self, message: Message) -> None:
        if len(message["signers"]) != 1:
            raise Refused("role_refused")
        purse = self.certificate_of(next(iter(message["signers"])), "purse")
        self._enrolled(purse.key)
        if any(output.owner == purse.key for output in message["outputs"]):
            self._loadable(message)
        self._in_time(message)
        leaves = [self._unloadable(name, purse.key) for name in message["inputs"]]
        if purse.key in self.excess():
            free = self._live_of(purse.key) - self.seized()[purse.key]
            if sum(leaf.amount for leaf in leaves) > free:
                raise Refused("not_owner")
        if any(output.owner not in (purse.key, purse.online) for output in message["outputs"]):
            raise Refused("wrong_payee")
        conserved(leaves, message["outputs"])
        self._purposes_open(message, purse.key)
        self._enter(message, [])
        self._make(message, purse.key)

    def _loadable(self, message: Message) -> Certificate:
        """The one purse that the outputs name; it and its bank must be in order."""
        purses = {output.owner for output in message["outputs"] if self.kind_of(output.owner) == "purse"}
        if len(purses) != 1:
            raise Refused("not_enrolled")
        purse = self.certificate_of(purses.pop(), "purse")
        self._enrolled(purse.key)
        if self.time >= purse.expires:
            raise Refused("certificate_expired")
        if self.institutions[purse.bank]["dismissed"]:
            raise Refused("certificate_revoked")
        if self.debts().get(purse.key, (0, 0))[1]:
            raise Refused("certificate_revoked")
        if self.claims(purse.bank):
            raise Refused("reserve_short")
        return purse

    def _purposes_open(self, message: Message, purse: bytes) -> None:
        for output in message["outputs"]:
            if output.owner == purse and output.purpose is not None:
                self._open(output.purpose, self.time)

    def _make(self, message: Message, purse: bytes) -> None:
        """Outputs to the purse are offline with fresh deadlines, all others online."""
        for index, output in enumerate(message["outputs"]):
            name = outpoint(message["id"], index)
            if output.owner != purse:
                self.tokens[name] = output
                continue
            spend_until = self.time + self.policy["spend_days"] * DAY_S
            if output.purpose is not None:
                spend_until = min(spend_until, self.purposes[output.purpose]["expires"] - 1)
            final_at = self.time + self.policy["final_days"] * DAY_S
            self.loads[name] = Leaf(*output, spend_until, final_at, 0)

    def _known_leaf(self, name: bytes) -> Leaf:
        leaf = self.outputs().get(name)
        if leaf is None:
            raise Refused("ancestry_broken")
        if self.time >= leaf.final_at or name in dict(self.finals):
            raise Refused("too_late")
        return leaf

    def _unloadable(self, name: bytes, purse: bytes) -> Leaf:
        leaf = self._known_leaf(name)
        if leaf.owner != purse:
            raise Refused("not_owner")
        if any(name in spend["inputs"] for spend in self.evidence):
            raise Refused("double_spend", winner=min(entry for thing, _, entry in self.consumed if thing == name))
        return leaf

    def _enter(self, message: Message, made: list[Leaf]) -> None:
        """Put a spend of offline outputs into E."""
        self.evidence.append(message | {"arrived": self.time, "made": made})
        for name in message["inputs"]:
            self._consume(name, message)

    def reconcile(self, message: Message) -> list[bytes]:
        taken = self._take_in(message["parts"])
        self._once(message)
        return taken

    def _take_in(self, parts: list[Message]) -> list[bytes]:
        """Take in what is valid and new, those payments first whose outputs others spend; the ids of the new ones."""
        taken: list[bytes] = []
        refused: dict[bytes, Refused] = {}
        waiting = {part["id"]: part for part in parts}
        while waiting:
            ready = next(p for p in waiting.values() if not any(name[:32] in waiting for name in p["inputs"]))
            del waiting[ready["id"]]
            if any(ready["id"] == spend["id"] for spend in self.evidence):
                continue
            try:
                made = self.judge(ready)
            except Refused as refusal:
                refused[ready["id"]] = refusal
            else:
                self._enter(ready, made)
                taken.append(ready["id"])
        spent = {name for spend in self.evidence for name in spend["inputs"]}
        self.void = {name: leaf for name, leaf in self.void.items() if name in spent}
        if not taken:
            codes = frozenset[str]().union(*(refusal.codes for refusal in refused.values()))
            raise Refused(*(codes or {"replayed"}))
        return taken

    def judge(self, part: Message) -> list[Leaf]:
        """What a payment between two purses makes, if it stands."""
        terms = part["terms"]
        if len(part["signers"]) != 1:
            raise Refused("role_refused")
        self.certificate_of(next(iter(part["signers"])), "purse")
        payer, payee = self.certificates.get(terms["payer"]), self.certificates.get(terms["payee"])
        if payer is None or payee is None:
            raise Refused("not_enrolled")
        names = [outpoint(part["id"], index) for index in range(len(part["outputs"]))]
        spent = {name for spend in self.evidence for name in spend["inputs"]}
        at_fault = self._is_at_fault(payer, terms) or any(name in self.void and name in spent for name in names)
        try:
            leaves = [self._known_leaf(name) for name in part["inputs"]]
            if terms["ledger_time"] > self.time or terms["trust_list"] > self.time:
                raise Refused("malformed")
            made = self.outcome(part, payer, payee, leaves)
        except Refused:
            if at_fault:
                raise Refused("certificate_revoked") from None
            raise
        barred = frozenset[bytes]().union(*(self.barred[name] for name in part["inputs"] if name in self.void))
        if at_fault or payee.key in barred:  # or he has what he spent still, or could know as well
            for index, leaf in enumerate(made):
                self.void.setdefault(outpoint(part["id"], index), leaf._replace(void=True))
                self.barred[outpoint(part["id"], index)] = barred | {payer.key, payee.key}
            raise Refused("certificate_revoked")
        return made

    def _is_at_fault(self, payer: Certificate, terms: dict[str, Any]) -> bool:
        """Rule 5: the payer was revoked, and its payee could know or came too late."""
        revoked_at = self.revoked_at(payer.key)
        if revoked_at is None:
            return False
        return terms["trust_list"] > revoked_at or self.time > revoked_at + self._list_days(terms) * DAY_S

    def outcome(self, part: Message, payer: Certificate, payee: Certificate, leaves: list[Leaf]) -> list[Leaf]:
        """What two devices can judge by themselves."""
        self._parties_in_order(part["terms"], payer, payee)
        time = part["terms"]["ledger_time"]
        spend_until = min(leaf.spend_until for leaf in leaves)
        if time > min(part["valid_until"], spend_until):
            raise Refused("expired")
        if part["signers"] != {payer.key} or any(leaf.owner != payer.key for leaf in leaves):
            raise Refused("not_owner")
        if any(output.owner not in (payer.key, payee.key) for output in part["outputs"]):
            raise Refused("wrong_payee")
        conserved(leaves, part["outputs"])
        hop = max(leaf.hops for leaf in leaves) + 1
        self._within_limits(part, payer, payee, hop)
        made = self._marked(part["outputs"], {payer.key}, payer.account, lambda _: payee, time)
        final_at = min(leaf.final_at for leaf in leaves)
        return [Leaf(*o, spend_until, final_at, hop if o.owner == payee.key else hop - 1) for o in made]

    def _parties_in_order(self, terms: dict[str, Any], payer: Certificate, payee: Certificate) -> None:
        if not payer.is_purse:
            raise Refused("not_owner")
        if terms["ledger_time"] >= min(payer.expires, payee.expires):
            raise Refused("certificate_expired")
        if terms["ledger_time"] - terms["trust_list"] > self._list_days(terms) * DAY_S:
            raise Refused("trust_list_stale")
        if not payee.is_purse or payee.key == payer.key:
            raise Refused("wrong_payee")
        if terms["trust_list"] > terms["ledger_time"]:
            raise Refused("malformed")

    def _within_limits(self, part: Message, payer: Certificate, payee: Certificate, hop: int) -> None:
        _, max_payment, max_spends, max_hops = payer.limits
        if sum(output.amount for output in part["outputs"] if output.owner == payee.key) > max_payment:
            raise Refused("limit_payment")
        if part["terms"]["spends"] > max_spends:
            raise Refused("limit_spends")
        if max(hop, part["terms"]["hop"]) > max_hops:
            raise Refused("limit_hops")
        if part["terms"]["hop"] != hop:
            raise Refused("ancestry_broken")

    # --- what falls due ------------------------------------------------------------------------

    def sweep(self, message: Message) -> None:
        due = {name for _, name in self.due(self.time)}
        if any(name not in due for name in message["outpoints"]):
            raise Refused("role_refused")
        for index, name in enumerate(message["outpoints"]):
            made = outpoint(message["id"], index)
            self._consume(name, message)
            if name in self.tokens:
                token = self.tokens.pop(name)
                self.tokens[made] = Output(self.purposes[token.purpose]["return_to"], token.amount, None)
                continue
            leaf = self.outputs()[name]
            self.finals.append((name, self.time))
            returned = leaf.amount - self._kept()[name]
            if returned:
                online = self.certificates[self.current[leaf.owner]].online
                self.tokens[made] = Output(online, returned, leaf.purpose)

    def due(self, until: int) -> list[tuple[int, bytes]]:
        """(due time, outpoint) of all that may be swept at this time."""
        leaves = [(leaf.final_at, name) for name, leaf in self.live().items() if leaf.final_at <= until]
        marked = [
            (self.purposes[token.purpose]["expires"], name)
            for name, token in self.tokens.items()
            if token.purpose is not None and self.purposes[token.purpose]["expires"] <= until
        ]
        return sorted(leaves + marked)

    # --- what follows from E -------------------------------------------------------------------

    def outputs(self) -> dict[bytes, Leaf]:
        """Every offline output there ever was."""
        found = self.loads | self.void
        for spend in self.evidence:
            found |= {outpoint(spend["id"], index): leaf for index, leaf in enumerate(spend["made"])}
        return found

    def live(self) -> dict[bytes, Leaf]:
        """Rule 1: what nothing in E spends and no sweep returned."""
        gone = {name for spend in self.evidence for name in spend["inputs"]} | set(dict(self.finals))
        return {name: leaf for name, leaf in self.outputs().items() if name not in gone and not leaf.void}

    def forked(self, size: int | None = None) -> dict[bytes, int]:
        """Rule 2: outputs with more than one spend among the first ``size`` of E, and how many more."""
        spends = Counter(name for spend in self.evidence[:size] for name in spend["inputs"])
        return {name: count - 1 for name, count in spends.items() if count > 1}

    def excess(self, size: int | None = None) -> Counter[bytes]:
        """Rule 2: what each culprit spent too much."""
        outputs, excess = self.outputs(), Counter[bytes]()
        for name, more in self.forked(size).items():
            excess[outputs[name].owner] += more * outputs[name].amount
        for name in {name for spend in self.evidence[:size] for name in spend["inputs"]}:  # rule 5: the first as well
            if outputs[name].void:
                excess[outputs[name].owner] += outputs[name].amount
        for name in self.forked(size):
            for acceptor, owed in self.accepted_twice(name, size).items():
                excess[outputs[name].owner] -= owed
                excess[acceptor] += owed
        return excess

    def accepted_twice(self, name: bytes, size: int | None = None) -> dict[bytes, int]:
        """Rule 6: what the acceptors of several spends of one output have of it beyond the most that one brought.

        Of what a spend brings, this output's share is its share of the inputs.
        """
        leaf, brought = self.outputs()[name], {}
        for spend in self.evidence[:size]:
            if name in spend["inputs"]:
                for payee in {made.owner for made in spend["made"]} - {leaf.owner}:
                    paid = sum(made.amount for made in spend["made"] if made.owner == payee)
                    whole = sum(made.amount for made in spend["made"])
                    brought.setdefault(payee, []).append(leaf.amount * paid // whole)
        return {payee: sum(parts) - max(parts) for payee, parts in brought.items() if sum(parts) > max(parts)}

    def _kept(self) -> dict[bytes, int]:
        """Rules 4 and 7: what of each final leaf stays seized, by what had come when it became final, swept or not."""
        spent, kept, settled = {name for spend in self.evidence for name in spend["inputs"]}, {}, Counter[bytes]()
        leaves = [(leaf.final_at, leaf.purpose is not None, name, leaf) for name, leaf in self.outputs().items()]
        for final_at, _, name, leaf in sorted(leaves, key=lambda found: found[:3]):
            if final_at > self.time or name in spent or leaf.void:
                continue
            size = sum(1 for spend in self.evidence if spend["arrived"] < final_at)
            repaid = sum(amount for purse, amount, time in self.repaid if purse == leaf.owner and time < final_at)
            kept[name] = min(leaf.amount, self.excess(size)[leaf.owner] - settled[leaf.owner] - repaid)
            settled[leaf.owner] += kept[name]
        return kept

    def _settled(self) -> Counter[bytes]:
        outputs, settled = self.outputs(), Counter[bytes]()
        for name, amount in self._kept().items():
            settled[outputs[name].owner] += amount if name in dict(self.finals) else 0
        for purse, amount, _ in self.repaid:
            settled[purse] += amount
        return settled

    def seized(self) -> Counter[bytes]:
        """Rule 4: what culprits' own live leaves give towards their excess; final ones as much as they did then."""
        settled, kept, still_open, seized = self._settled(), self._kept(), Counter[bytes](), Counter[bytes]()
        for name, leaf in self.live().items():
            seized[leaf.owner] += kept.get(name, 0)
            still_open[leaf.owner] += 0 if name in kept else leaf.amount
        for culprit, excess in self.excess().items():
            seized[culprit] += min(excess - settled[culprit] - seized[culprit], still_open[culprit])
        return seized

    def debts(self) -> dict[bytes, tuple[int, int]]:
        """Culprit -> (excess, debt)."""
        seized, settled = self.seized(), self._settled()
        return {key: (excess, excess - seized[key] - settled[key]) for key, excess in self.excess().items()}

    def _net_reserve(self, bank: str) -> int:
        """Rule 3."""
        debts = sum(debt for key, (_, debt) in self.debts().items() if self._bank_of(key) == bank)
        return sum(amount for name, amount in self.top_ups if name == bank) - debts

    def _live_of(self, key: bytes) -> int:
        return sum(leaf.amount for leaf in self.live().values() if leaf.owner == key)

    def _owes(self, account: str) -> bool:
        return any(debt and self._account_of(purse) == account for purse, (_, debt) in self.debts().items())

    def _account_of(self, key: bytes) -> str:
        return self.certificates[self.current[key]].account

    def _bank_of(self, key: bytes) -> str:
        return self.certificates[self.current[key]].bank

    def reserve_of(self, bank: str) -> int:
        return max(0, self._net_reserve(bank))

    def claims(self, bank: str) -> int:
        return max(0, -self._net_reserve(bank))

    def supply(self) -> dict[str, int]:
        """All totals, each added up by itself."""
        live = sum(leaf.amount for leaf in self.live().values())
        claims = sum(self.claims(bank) for bank in self.institutions)
        return {
            "issued": self.issued,
            "redeemed": self.redeemed,
            "online": sum(token.amount for token in self.tokens.values()),
            "pool": live - self.seized().total() - claims,
            "reserves": sum(self.reserve_of(bank) for bank in self.institutions),
        }


def outpoint(message_id: bytes, index: int) -> bytes:
    """The name of an output."""
    return message_id + index.to_bytes(2, "big")


def conserved(inputs: Iterable[Output | Leaf], outputs: Iterable[Output], leaving: int = 0) -> None:
    """Value is conserved in total and within each purpose; ``leaving`` of it may go, free."""
    before, after = Counter(), Counter({None: leaving})
    for token in inputs:
        before[token.purpose] += token.amount
    for token in outputs:
        after[token.purpose] += token.amount
    if before.total() != after.total():
        raise Refused("amount_mismatch")
    if before != after:
        raise Refused("purpose_mismatch")


def allows(condition: list[Any], facts: Facts) -> bool | None:
    """Whether a condition holds; None if it asks for an attribute that the payee's certificate does not state.

    That is false wherever it stands, under ``not`` as well: three-valued logic, where only True allows.
    """
    name, argument = condition
    match name:
        case "all":
            answers = [allows(inner, facts) for inner in argument]
            return False if False in answers else None if None in answers else True
        case "any":
            answers = [allows(inner, facts) for inner in argument]
            return True if True in answers else None if None in answers else False
        case "not":
            answer = allows(argument, facts)
            return None if answer is None else not answer
        case "payee":
            return facts.payee in argument
        case "payee_mcc":
            return None if facts.mcc is None else facts.mcc in argument
        case "payee_kato":
            return None if facts.kato is None else any(facts.kato.startswith(prefix) for prefix in argument)
        case "per_payment":
            return facts.amount <= argument
        case "after":
            return facts.time >= argument
        case "before":
            return facts.time < argument
    raise AssertionError(f"no such condition: {name}")
