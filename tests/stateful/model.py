"""A naive model of the ledger: what the design page says, in the most obvious way, however slow.

It imports nothing of the ledger; conditions are beside it, in `naive_conditions`. Messages reach it as plain
dictionaries (`tests.stateful.plain` makes them), their signatures already known to hold. Nothing about offline money
is ever updated: the model keeps the evidence *E* and works leaves, forks, excess, seizure, debts, reserves, claims and
the pool out of it again at every question, by the rules of section 6 of the design.

Every refusal names the code that the ledger must answer with; where several guards of equal rank refuse at once it
names all of them.
"""

from __future__ import annotations

import copy
import math
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from fractions import Fraction
from typing import Any, NamedTuple

from tests.stateful.naive_conditions import NO, WAITS, YES, Facts, allows, approvers, longest_period

DAY_S = 86_400
MAX_AMOUNT_TIYN = 10**17
MAX_WAITING_DAYS = 366
MAX_FACTS = 64
SETTLED_FROM, RETURNED_FROM = 256, 512
"""Indexes of the tokens of a payment that waited: behind those of a message's own outputs."""

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
    tier: int | None = None
    allowances: tuple[tuple[bytes, int], ...] = ()
    """(purpose, tiyn): what the purse may pay of it without asking the ledger."""

    @property
    def is_purse(self) -> bool:
        return self.limits is not None


class Output(NamedTuple):
    """What a message makes, or an online token; then ``left`` says how many payments the mark lasts, if counted."""

    owner: bytes
    amount: int
    purpose: bytes | None
    left: int | None = None


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
    left: int | None = None


@dataclass
class Waiting:
    """A payment that waits: ``held`` are (index, payee's output as it was drawn, as it will be)."""

    payer: str
    signer: bytes
    entered: int
    until: int
    lines: list[tuple[str, int]]
    held: list[tuple[int, Output, Output]]
    approvals: set[str] = field(default_factory=set)
    lapsed: bool = False


@dataclass
class Model:
    """The ledger. `submit` is its one way in."""

    root: bytes = b""
    policy: dict[str, int] | None = None
    past_days: list[tuple[int, int]] = field(default_factory=list)
    """(until when, trust_list_days) of every earlier policy."""
    time: int = 0
    last: int = 0
    """Ledger time of the last entry."""
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
    waiting: dict[bytes, Waiting] = field(default_factory=dict)
    """By payment; the lapsed ones too."""
    paid: dict[tuple[bytes, bytes, bytes], tuple[str, int, int]] = field(default_factory=dict)
    """(payment, purpose, payee's key) -> who paid, how much, and the time from which a period counts it; online."""
    refunded: Counter[tuple[bytes, bytes, bytes]] = field(default_factory=Counter)
    spends: dict[tuple[bytes, str], list[list[int]]] = field(default_factory=dict)
    """(purpose, payer) -> [time, tiyn], where a limit per period asks."""
    stated: set[tuple[str, str, bytes | str]] = field(default_factory=set)
    """(oracle, fact, what it is about: a payment or an account)."""
    allowed: dict[tuple[bytes, str], int] = field(default_factory=dict)
    """(purpose, account) -> what the sponsor lets its purses pay unseen."""
    requests: set[bytes] = field(default_factory=set)
    """Those that were paid."""

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
            before = copy.deepcopy(vars(self)) if message["kind"] == "sweep" else {}
            try:
                done = getattr(self, message["kind"])(message) or []
            except Refused:
                vars(self).update(before)
                raise
        except Refused:
            if message["id"] in self.carried:
                return self.carried[message["id"]]
            raise
        for message_id in [message["id"], *done]:
            self.carried[message_id] = self.entries
        self.last = self.time
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

    def account_of(self, key: bytes) -> str:
        """``bank/subject``, or an institution's name."""
        found = self._institution_of(key)
        if found:
            return found["name"]
        if key not in self.current:
            raise Refused("not_enrolled")
        return self.certificates[self.current[key]].account

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

    def _expires(self, key: bytes) -> int:
        found = self._institution_of(key)
        return found["expires"] if found else self.certificates[self.current[key]].expires

    def _may_hold_online(self, outputs: Iterable[Output]) -> None:
        codes = set()
        for output in outputs:
            try:
                kind = self._enrolled(output.owner)
                if kind == "purse":
                    codes.add("not_enrolled")
                elif self.time >= self._expires(output.owner):
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
        return self._active("bank", signers)

    def _active(self, role: str, signers: frozenset[bytes]) -> dict[str, Any]:
        found = self._institution_of(next(iter(signers))) if len(signers) == 1 else None
        if found is None or found["role"] != role or found["dismissed"]:
            raise Refused("role_refused")
        if self.time >= found["expires"]:
            raise Refused("certificate_expired")
        return found

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
        if message["institution"]["role"] not in ("bank", "oracle", "approver"):
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
        if institution["key"] in self.waiting:
            raise Refused("replayed")
        self.institutions[institution["name"]] = institution | {"dismissed": False, "dismissed_at": None}

    def dismiss(self, message: Message) -> None:
        self._by_root(message)
        self._not_done(message)
        found = self.institutions.get(message["name"])
        if found is None or found["role"] in ("governor", "operator") or found["dismissed"]:
            raise Refused("not_enrolled")
        found["dismissed"], found["dismissed_at"] = True, self.time
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
        if certificate.key in self.waiting:
            raise Refused("replayed")
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
        for purpose, amount in certificate.allowances:
            if amount > self.allowed.get((purpose, certificate.account), 0):
                raise Refused("not_sponsor")

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
        if any(valued.purpose is not None for valued in [*tokens, *message["outputs"]]):
            raise Refused("purpose_mismatch")
        conserved(tokens, message["outputs"], message["amount"])
        self._spend(message)
        self._create(message, message["outputs"])

    def repay(self, message: Message) -> None:
        self._may_spend(message["signers"])
        self._may_hold_online(message["outputs"])
        self._in_time(message)
        tokens = self._unspent(message)
        self._owners_signed(tokens, message)
        if any(valued.purpose is not None for valued in [*tokens, *message["outputs"]]):
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
        if message["request"] is not None:
            self._as_requested(message)
        payers = {token.owner for token in tokens if token.purpose is not None}
        if not payers:
            self._spend(message)
            self._create(message, message["outputs"])
        else:
            self._pay_marked(message, tokens, payers)
        if message["request"] is not None:
            self.requests.add(message["request"]["id"])
        return None

    def _as_requested(self, message: Message) -> None:
        """What is paid is what the payee asked for, and once; a part may be split off by a purpose's rule."""
        request = message["request"]
        paid = [output for output in message["outputs"] if output.owner not in message["signers"]]
        others = [output for output in paid if output.owner != request["payee"]]
        for output in others:
            split = None if output.purpose is None else self.purposes[output.purpose]["split"]
            if split is None or split[0] != self.account_of(output.owner):
                raise Refused("wrong_payee")
        if len(others) == len(paid):
            raise Refused("wrong_payee")
        if sum(output.amount for output in paid) != request["amount"]:
            raise Refused("amount_mismatch")
        if request["id"] in self.requests:
            raise Refused("replayed")

    def _pay_marked(self, message: Message, tokens: list[Output], payers: set[bytes]) -> None:
        if len(payers) > 1:
            raise Refused("purpose_mismatch")
        key = next(iter(payers))
        payer = self.account_of(key)
        request = message["request"]
        lines = request["lines"] if request else []
        freed = self._freed(message["inputs"], tokens)

        def facts(purpose: bytes, owner: bytes, amount: int, whole: int) -> Facts:
            sold = lines if request and owner == request["payee"] else []  # who else is paid has sold nothing
            return self._facts(message["id"], payer, owner, amount, whole, self.time, sold, purpose)

        made, answer, shares = self._marked(tokens, message["outputs"], payers, facts, self.time, freed)
        if answer == WAITS:
            self._hold(message, tokens, made, shares, payer, lines)
        else:
            self._spend(message)
            self._create(message, made)
        for (purpose, owner), amount in shares.items():
            self._remember(purpose, payer, amount)
            if answer != WAITS:
                self.paid[message["id"], purpose, owner] = (payer, amount, self.time)

    def _facts(
        self,
        payment: bytes,
        payer: str,
        owner: bytes,
        amount: int,
        whole: int,
        time: int,
        lines: list[tuple[str, int]],
        purpose: bytes,
    ) -> Facts:
        """What the ledger knows of an online payment to a key; a dismissed bank vouches for nobody."""
        payee = self._payee(owner)
        if not isinstance(payee, Certificate):
            about = Facts(payer, payee["name"], None, None, None, amount, time, lines)
        elif self.institutions[payee.bank]["dismissed"]:
            raise Refused("certificate_revoked")
        else:
            about = Facts(payer, payee.account, payee.mcc, payee.kato, payee.tier, amount, time, lines)
        about.online = True
        about.whole = whole
        about.earlier = self.spends.get((purpose, payer), [])
        known = (payment, payer, about.payee)
        about.stated = {(oracle, fact) for oracle, fact, subject in self.stated if subject in known}
        return about

    def _remember(self, purpose: bytes, payer: str, amount: int) -> None:
        """For as long as the longest limit per period asks."""
        days = longest_period(self.purposes[purpose]["condition"])
        if days:
            lately = [s for s in self.spends.get((purpose, payer), []) if s[0] > self.time - days * DAY_S]
            self.spends[purpose, payer] = [*lately, [self.time, amount]]

    def _came_back(self, purpose: bytes, payer: str, amount: int, until: int) -> None:
        """So much less was spent, the latest up to then first: what came later is none of it."""
        for spend in reversed(self.spends.get((purpose, payer), [])):
            if spend[0] <= until:
                less = min(spend[1], amount)
                spend[1] -= less
                amount -= less

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
        left = purpose["mark"][1] if purpose["mark"][0] == "keeps_hops" else None
        marked = [output if output.purpose is None else output._replace(left=left) for output in message["outputs"]]
        self._create(message, marked)

    def _open(self, purpose: bytes, time: int) -> None:
        if time >= self.purposes[purpose]["expires"]:
            raise Refused("expired")

    def _marked(
        self,
        tokens: Iterable[Output | Leaf],
        outputs: Iterable[Output],
        payers: set[bytes],
        facts: Callable[[bytes, bytes, int, int], Facts],
        time: int,
        freed: set[bytes] = frozenset(),
    ) -> tuple[list[Output], int, Counter[tuple[bytes, bytes]]]:
        """The outputs with the marks that they end up with, the conditions' answer, and what was paid to whom."""
        outputs, left = list(outputs), fewest_left(token for token in tokens if token.purpose not in freed)
        for purpose in left:
            self._open(purpose, time)
        shares = Counter()
        for output in outputs:
            if output.purpose in left and output.owner not in payers:
                shares[output.purpose, output.owner] += output.amount
        answers, codes = [YES], set()
        for purpose in {purpose for purpose, _ in shares}:
            paid = {owner: amount for (of, owner), amount in shares.items() if of == purpose}
            whole = sum(paid.values())
            try:
                payments = [facts(purpose, owner, amount, whole) for owner, amount in paid.items()]
            except Refused as refused:
                codes |= refused.codes
            else:
                answers.append(self._ask(purpose, payments))
        if min(answers) < WAITS:
            codes.add("purpose_refused")
        if codes:
            raise Refused(*codes)
        made = []
        for output in outputs:
            if output.purpose not in left:
                made.append(output._replace(purpose=None))
            elif output.owner in payers:
                made.append(output._replace(left=left[output.purpose]))
            else:
                payee = facts(output.purpose, output.owner, 0, 0).payee
                made.append(self._after(output, left[output.purpose], payee))
        return made, min(answers), shares

    def _ask(self, purpose: bytes, payments: list[Facts]) -> int:
        """What a purpose says to the payments of one transfer, one for each payee."""
        definition, answers = self.purposes[purpose], [YES]
        split = definition["split"]
        if split is not None:
            if not all(payment.online for payment in payments):
                answers.append(NO)  # between two purses nobody else can be paid
            to, parts, of = split
            due = math.floor(Fraction(sum(payment.amount for payment in payments) * parts, of) + Fraction(1, 2))
            if sum(payment.amount for payment in payments if payment.payee == to) != due:
                answers.append(NO)
            payments = [payment for payment in payments if payment.payee != to]
        return min(answers + [allows(definition["condition"], payment) for payment in payments])

    def _after(self, output: Output, left: int | None, payee: str) -> Output:
        """What a payee gets."""
        definition = self.purposes[output.purpose]
        free = output._replace(purpose=None, left=None)
        if definition["split"] is not None and definition["split"][0] == payee:
            return free
        match definition["mark"]:
            case "clears":
                return free
            case ["keeps_hops", _]:
                return output._replace(left=left - 1) if left > 1 else free
            case "keeps" | ["until_evidence", _]:
                return output
        raise AssertionError(f"no such rule: {definition['mark']}")

    # --- evidence ------------------------------------------------------------------------------

    def attest(self, message: Message) -> None:
        oracle = self._active("oracle", message["signers"])
        if oracle["name"] != message["oracle"]:
            raise Refused("role_refused")
        self._not_done(message)
        about = message["about"]
        before = [fact for by, fact, subject in self.stated if (by, subject) == (oracle["name"], about)]
        if message["fact"] in before:
            raise Refused("replayed")
        if len(before) >= MAX_FACTS:
            raise Refused("too_large")
        self.stated.add((oracle["name"], message["fact"], about))
        self._once(message)
        waiting = self.waiting.get(about)
        if waiting is not None and not waiting.lapsed and self.time < waiting.until:
            self._settle_if_complete(about, message)

    def _lifted(self, name: bytes, token: Output | Leaf) -> bool:
        """Whether evidence has freed a token: about the payment that paid it to its owner, or about the owner."""
        rule = self.purposes[token.purpose]["mark"]
        if rule[0] != "until_evidence":
            return False
        abouts: list[bytes | str] = [self.account_of(token.owner)]
        if (name[:32], token.purpose, token.owner) in self.paid or self._paid_offline(
            name[:32], token.purpose, token.owner
        ):
            abouts.append(name[:32])
        return any(oracle == rule[1] and subject in abouts for oracle, _, subject in self.stated)

    def _freed(self, names: Iterable[bytes], tokens: Iterable[Output | Leaf]) -> set[bytes]:
        """The purposes of which these tokens hold nothing that is still bound."""
        marked = [(name, token) for name, token in zip(names, tokens, strict=True) if token.purpose is not None]
        bound = {token.purpose for name, token in marked if not self._lifted(name, token)}
        return {token.purpose for _, token in marked} - bound

    # --- payments that wait --------------------------------------------------------------------

    def _hold(
        self,
        message: Message,
        tokens: list[Output],
        made: list[Output],
        shares: Counter[tuple[bytes, bytes]],
        payer: str,
        lines: list[tuple[str, int]],
    ) -> None:
        """The value stands apart, nobody's; change is there at once."""
        if self.kind_of(message["id"]):
            raise Refused("replayed")
        if len(message["signers"]) > 1:
            raise Refused("purpose_mismatch")
        if message["valid_until"] > self.time + MAX_WAITING_DAYS * DAY_S:
            raise Refused("malformed")
        signer = next(iter(message["signers"]))
        self._spend(message)
        held, left = [], fewest_left(tokens)
        purposes = {purpose for purpose, _ in shares}
        for index, (output, after) in enumerate(zip(message["outputs"], made, strict=True)):
            name = outpoint(message["id"], index)
            if output.owner == signer:
                self.tokens[name] = after
                continue
            purpose = output.purpose if output.purpose in purposes else None
            before = output._replace(purpose=purpose, left=left.get(purpose))
            self.tokens[name] = before._replace(owner=message["id"])
            held.append((index, before, after))
        until = min([message["valid_until"], *(self.purposes[purpose]["expires"] for purpose in purposes)])
        self.waiting[message["id"]] = Waiting(payer, signer, self.time, until, lines, held)

    def _in_escrow(self, token: Output) -> bool:
        """Whether it stands for a payment that waits; what has lapsed holds nothing."""
        return token.owner in self.waiting and not self.waiting[token.owner].lapsed

    def _held(self, waiting: Waiting) -> Counter[tuple[bytes, bytes]]:
        """(purpose, payee's key) -> tiyn."""
        shares = Counter()
        for _, before, _ in waiting.held:
            if before.purpose is not None:
                shares[before.purpose, before.owner] += before.amount
        return shares

    def _is_complete(self, payment: bytes, now: int) -> bool:
        """Judged as of when it was made, by what is known now; that it was made is among what is remembered."""
        waiting = self.waiting[payment]
        asked: dict[bytes, list[Facts]] = {}
        try:
            self._enrolled(waiting.signer)
            for _, before, _ in waiting.held:  # marked or free
                self._enrolled(before.owner)
                if now >= self._expires(before.owner):
                    return False
            known = {
                (purpose, owner): self._facts(
                    payment, waiting.payer, owner, amount, 0, waiting.entered, waiting.lines, purpose
                )
                for (purpose, owner), amount in self._held(waiting).items()
            }
        except Refused:
            return False
        for (purpose, _), facts in known.items():
            facts.approvals = waiting.approvals
            asked.setdefault(purpose, []).append(facts)
        return all(self._ask(purpose, payments) == YES for purpose, payments in asked.items())

    def _settle_if_complete(self, payment: bytes, message: Message) -> bool:
        if not self._is_complete(payment, self.time):
            return False
        waiting = self.waiting.pop(payment)
        for index, _, after in waiting.held:
            self._consume(outpoint(payment, index), message)
            del self.tokens[outpoint(payment, index)]
            self.tokens[outpoint(payment, SETTLED_FROM + index)] = after
        for (purpose, owner), amount in self._held(waiting).items():
            self.paid[payment, purpose, owner] = (waiting.payer, amount, waiting.entered)
        return True

    def _lapse(self, payment: bytes, message: Message) -> None:
        waiting = self.waiting[payment]
        waiting.lapsed = True
        for index, before, _ in waiting.held:
            self._consume(outpoint(payment, index), message)
            del self.tokens[outpoint(payment, index)]
            self.tokens[outpoint(payment, RETURNED_FROM + index)] = before._replace(owner=waiting.signer)
        for (purpose, _), amount in self._held(waiting).items():
            self._came_back(purpose, waiting.payer, amount, waiting.entered)

    def approve(self, message: Message) -> None:
        if len(message["signers"]) != 1:
            raise Refused("role_refused")
        signer = next(iter(message["signers"]))
        self._enrolled(signer)
        if self.time >= self._expires(signer):
            raise Refused("certificate_expired")
        speaker = self._payee(signer)
        if isinstance(speaker, Certificate) and self.institutions[speaker.bank]["dismissed"]:
            raise Refused("certificate_revoked")
        if self.account_of(signer) != message["by"]:
            raise Refused("role_refused")
        self._not_done(message)
        waiting = self.waiting.get(message["payment"])
        if waiting is None:
            raise Refused("not_owner")
        if waiting.lapsed or self.time >= waiting.until:
            raise Refused("expired")
        asked = [self.purposes[purpose]["condition"] for purpose, _ in self._held(waiting)]
        if not any(message["by"] in approvers(condition) for condition in asked):
            raise Refused("role_refused")
        if message["by"] in waiting.approvals:
            raise Refused("replayed")
        waiting.approvals.add(message["by"])
        self._once(message)
        self._settle_if_complete(message["payment"], message)

    # --- refunds, recalls, allowances ----------------------------------------------------------

    def _paid_offline(self, payment: bytes, purpose: bytes, payee: bytes) -> tuple[str, int, None] | None:
        """Who paid a purse how much of a purpose in an offline payment that counts; no period counts it."""
        for spend in self.evidence:
            if spend["id"] == payment and spend.get("terms"):
                to = self.certificates[spend["terms"]["payee"]].key
                mine = [o.amount for o in spend["outputs"] if (o.owner, o.purpose) == (to, purpose) and to == payee]
                return (self.certificates[spend["terms"]["payer"]].account, sum(mine), None) if mine else None
        return None

    def refund(self, message: Message) -> None:
        purpose = message["purpose"]
        self._may_spend(message["signers"])
        self._may_hold_online(message["outputs"])
        self._in_time(message)
        tokens = self._unspent(message)
        self._owners_signed(tokens, message)
        if purpose not in self.purposes:
            raise Refused("purpose_refused")
        self._open(purpose, self.time)
        what = (message["payment"], purpose, message["payee"])
        found = self.paid.get(what) or self._paid_offline(*what)
        if found is None:
            raise Refused("not_owner")
        payer, paid, counted = found
        if {self.account_of(key) for key in message["signers"]} != {self.account_of(message["payee"])}:
            raise Refused("not_owner")
        back = [output for output in message["outputs"] if output.owner not in message["signers"]]
        change = [output for output in message["outputs"] if output.owner in message["signers"]]
        self._goes_back(back, payer, purpose)
        if any(valued.purpose not in (None, purpose) for valued in [*tokens, *change]):
            raise Refused("purpose_mismatch")
        if sum(token.amount for token in tokens) != sum(output.amount for output in message["outputs"]):
            raise Refused("amount_mismatch")
        if sums(change)[None] > sums(tokens)[None] or sums(change)[purpose] > sums(tokens)[purpose]:
            raise Refused("purpose_mismatch")
        amount = sum(output.amount for output in back)
        if self.refunded[what] + amount > paid:
            raise Refused("amount_mismatch")
        own, rule = fewest_left(tokens).get(purpose), self.purposes[purpose]["mark"]
        left = min(rule[1], (own or 0) + 1) if rule[0] == "keeps_hops" else None
        self.refunded[what] += amount
        if counted is not None:
            self._came_back(purpose, payer, amount, counted)
        self._spend(message)
        marked = [o if o.purpose is None else o._replace(left=own if o in change else left) for o in message["outputs"]]
        self._create(message, marked)

    def _goes_back(self, back: list[Output], payer: str, purpose: bytes) -> None:
        if not back:
            raise Refused("amount_mismatch")
        for output in back:
            if self._enrolled(output.owner) != "wallet":
                raise Refused("role_refused")
            if self.account_of(output.owner) != payer:
                raise Refused("wrong_payee")
            if output.purpose != purpose:
                raise Refused("purpose_mismatch")

    def recall(self, message: Message) -> None:
        purpose = self.purposes.get(message["purpose"])
        if purpose is None:
            raise Refused("purpose_refused")
        if message["signers"] != {purpose["sponsor"], self.root}:
            raise Refused("role_refused")
        self._enrolled(purpose["sponsor"])
        self._not_done(message)
        tokens = self._unspent({"inputs": message["outpoints"]})
        if any(token.purpose != message["purpose"] for token in tokens):
            raise Refused("purpose_mismatch")
        if any(self._in_escrow(token) for token in tokens):
            raise Refused("role_refused")
        if any(self._lifted(name, token) for name, token in zip(message["outpoints"], tokens, strict=True)):
            raise Refused("purpose_mismatch")  # its owner's free money
        self._once(message)
        self._spend(message | {"inputs": message["outpoints"]})
        self._create(message, [Output(purpose["return_to"], token.amount, None) for token in tokens])

    def allow(self, message: Message) -> None:
        purpose = self.purposes.get(message["purpose"])
        if purpose is None:
            raise Refused("purpose_refused")
        if message["signers"] != {purpose["sponsor"]}:
            raise Refused("not_sponsor")
        self._enrolled(purpose["sponsor"])
        self._not_done(message)
        self._once(message)
        self.allowed[message["purpose"], message["account"]] = message["amount"]

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
        freed = self._freed(message["inputs"], tokens)
        self._spend(message)
        self._make(message, tokens, purse.key, freed)

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
        freed = self._freed(message["inputs"], leaves)
        self._enter(message, [])
        self._make(message, leaves, purse.key, freed)

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

    def _make(self, message: Message, tokens: Iterable[Output | Leaf], purse: bytes, freed: set[bytes]) -> None:
        """Outputs to the purse are offline with fresh deadlines, all others online; what evidence freed is free."""
        left = fewest_left(tokens)
        for index, stated in enumerate(message["outputs"]):
            name = outpoint(message["id"], index)
            output = stated._replace(left=left.get(stated.purpose))
            if stated.purpose in freed:
                output = stated._replace(purpose=None)
            if output.owner != purse:
                self.tokens[name] = output
                continue
            spend_until = self.time + self.policy["spend_days"] * DAY_S
            if output.purpose is not None:
                spend_until = min(spend_until, self.purposes[output.purpose]["expires"] - 1)
            final_at = self.time + self.policy["final_days"] * DAY_S
            self.loads[name] = Leaf(*output[:3], spend_until, final_at, 0, left=output.left)

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
        is_marked = any(leaf.purpose is not None for leaf in leaves)
        at_fault = at_fault or (is_marked and self._is_unfit(payee, terms))
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

    def _is_unfit(self, payee: Certificate, terms: dict[str, Any]) -> bool:
        """Nobody vouched any more for what a payee of marked money is, and the invoice's own trust list said so."""
        since = [self.revoked_at(payee.key), self.institutions[payee.bank]["dismissed_at"]]
        return any(time is not None and terms["trust_list"] > time for time in since)

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

        def facts(purpose: bytes, owner: bytes, amount: int, whole: int) -> Facts:
            about = Facts(payer.account, payee.account, payee.mcc, payee.kato, payee.tier, amount, time, part["lines"])
            about.allowance = dict(payer.allowances).get(purpose)
            return about

        made, _, _ = self._marked(leaves, part["outputs"], {payer.key}, facts, time)
        final_at = min(leaf.final_at for leaf in leaves)
        return [
            Leaf(*o[:3], spend_until, final_at, hop if o.owner == payee.key else hop - 1, left=o.left) for o in made
        ]

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
        for index, name in enumerate(message["outpoints"]):
            made = outpoint(message["id"], index)
            if name in self.tokens:
                self._sweep_token(name, made, message)
                continue
            leaf = self.live().get(name)
            if leaf is None or self.time < leaf.final_at:
                raise Refused("role_refused")
            self._consume(name, message)
            returned = leaf.amount - self._kept()[name]
            self.finals.append((name, self.time))
            if returned:
                online = self.certificates[self.current[leaf.owner]].online
                token = Output(online, returned, leaf.purpose, leaf.left)
                if self._freed([name], [leaf]):
                    token = Output(online, returned, None)
                self.tokens[made] = token

    def _sweep_token(self, name: bytes, made: bytes, message: Message) -> None:
        token = self.tokens[name]
        if self._in_escrow(token):
            if self.time >= self.waiting[token.owner].until:
                self._lapse(token.owner, message)
            elif not self._settle_if_complete(token.owner, message):
                raise Refused("role_refused")
            return
        if token.purpose is not None and self._lifted(name, token):
            owner = token.owner
        elif token.purpose is not None and self.time >= self.purposes[token.purpose]["expires"]:
            owner = self.purposes[token.purpose]["return_to"]
        else:
            raise Refused("role_refused")
        self._consume(name, message)
        del self.tokens[name]
        self.tokens[made] = Output(owner, token.amount, None)

    def due(self, until: int) -> list[tuple[int, bytes]]:
        """(due time, outpoint) of all that may be swept at this time; what evidence brought about is due at once."""
        found = [(leaf.final_at, name) for name, leaf in self.live().items() if leaf.final_at <= until]
        for name, token in self.tokens.items():
            if token.purpose is None or self._in_escrow(token):
                continue
            expires = self.purposes[token.purpose]["expires"]
            if self._lifted(name, token):
                found.append((self.last, name))
            elif expires <= until:
                found.append((expires, name))
        for payment, waiting in self.waiting.items():
            if waiting.lapsed:
                continue
            name = outpoint(payment, waiting.held[0][0])
            if self.last < waiting.until and self._is_complete(payment, self.last):
                found.append((self.last, name))
            elif waiting.until <= until:
                found.append((waiting.until, name))
        return sorted(found)

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


def sums(valued: Iterable[Output]) -> Counter[bytes | None]:
    """Purpose -> tiyn."""
    total = Counter()
    for one in valued:
        total[one.purpose] += one.amount
    return total


def fewest_left(tokens: Iterable[Output | Leaf]) -> dict[bytes, int | None]:
    """Marked purpose -> how many payments its mark lasts when these are merged."""
    found: dict[bytes, int | None] = {}
    for token in tokens:
        if token.purpose is not None:
            lasts = [left for left in (found.get(token.purpose), token.left) if left is not None]
            found[token.purpose] = min(lasts, default=None)
    return found
