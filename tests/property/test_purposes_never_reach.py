"""No sequence of payments, splits, merges, offline hops, refunds and reconciles moves marked value to a payee that its
conditions refuse.

A town pays and tries to pay what it may not, at random. After every accepted step an auditor looks at what the state
has now: it knows the messages, whose keys are whose, and the scenario format's conditions through the naive evaluator,
and asks of the ledger nothing but its tokens. What is refused must have changed nothing.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from cbdc.errors import TengeError
from cbdc.formats import certificates, requests
from cbdc.formats.certificates import Holder, Merchant
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output, outpoint
from cbdc.formats.x509 import Role
from cbdc.messages import bodies
from cbdc.messages.message import build, decode
from cbdc.offline import judge
from cbdc.policy import DAY_S
from cbdc.purposes import marks
from cbdc.purposes.conditions import PerPayment
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Split, rule_from_cbor
from cbdc.state.records import OfflineToken, Table, Token
from cbdc.transition import money, refund
from tests.property.test_purposes_evaluator import Table as ConditionTable
from tests.property.test_purposes_evaluator import verdict_on
from tests.support import LIMITS, YEAR_S, Customer, World, seed
from wallet.scenarios.conditions import condition_of

PEOPLE = {  # name -> bank, kind, MCC, KATO, tier
    "akimat": ("altyn", Holder.SPONSOR, None, None, 2),
    "aigul": ("altyn", Holder.PERSON, None, None, 0),
    "bolat": ("kumis", Holder.PERSON, None, None, 1),
    "canteen": ("altyn", Holder.MERCHANT, "5812", "750000000", 1),
    "shop": ("kumis", Holder.MERCHANT, "5411", "710000000", 2),
    "builder": ("altyn", Holder.MERCHANT, "1520", "751000000", 2),
}
CONDITIONS: list[ConditionTable] = [
    {"payee_mcc": ["5812"]},
    {"payee_kato": ["75"]},
    {"all": [{"payee_kato": ["75"]}, {"per_payment": "400"}]},
    {"not": {"payee_mcc": ["5411"]}},
    {"payee_tier": [2]},
    {"any": [{"payee": ["altyn/canteen"]}, {"payee_tier": [2]}]},
    {"all": [{"per_payment": "300"}, {"not": {"payee": ["altyn/aigul", "kumis/bolat"]}}]},
    {"per_period": {"amount": "500", "days": 3}},
    {"all": [{"items": ["food"]}, {"payee_mcc": ["5812", "5411"]}]},
    {"any": [{"items": ["food"]}, {"per_payment": "50"}]},
    {"hours": {"days": "mon-fri", "from": "08:00", "to": "18:00"}},
]
CONSENTING: list[ConditionTable] = [
    {"all": [{"payee_tier": [1, 2]}, {"approval": {"of": ["board"], "quorum": 1}}]},
    {"any": [{"payee_mcc": ["5812"]}, {"evidence": {"oracle": "lab", "fact": "grown"}}]},
]
MARKS = ("clears", "keeps", ["keeps_hops", 2], ["until_evidence", "lab"])
SPLITS = (None, None, None, Split("altyn/builder", 1, 4))
ENDS_DAYS = (6, 30, 60)
STEPS = 80


class Reached(AssertionError):
    """The auditor found what must never be."""


def must(holds: object, *what: object) -> None:
    if not holds:
        raise Reached(*what)


@dataclass
class Programme:
    """A purpose as the town knows it."""

    id: bytes
    table: ConditionTable
    mark: Any
    split: tuple[str, int, int] | None
    expires_s: int

    def after(self, left: int | None) -> tuple[bytes | None, int | None]:
        """The mark on a payee's token."""
        if self.mark == "clears":
            return None, None
        if self.mark[0] == "keeps_hops":
            return (self.id, left - 1) if left > 1 else (None, None)
        return self.id, None


@dataclass
class State:
    """What the ledger's state holds: online tokens, and offline outputs, spent ones too."""

    tokens: dict[bytes, Token]
    leaves: dict[bytes, OfflineToken]

    def marked(self) -> Counter[bytes]:
        """Purpose -> all value that bears it."""
        total: Counter[bytes] = Counter()
        for token in [*self.tokens.values(), *(leaf for leaf in self.leaves.values() if leaf.is_live)]:
            if token.purpose is not None:
                total[token.purpose] += token.amount_tiyn
        return total

    def value(self) -> int:
        live = [leaf for leaf in self.leaves.values() if leaf.is_live]
        return sum(token.amount_tiyn for token in [*self.tokens.values(), *live])


@dataclass
class Share:
    """What a payment brought a key out of a purpose: whose it was, how much, and what of it went back.

    ``counted`` is the time from which a period counts it; None between purses, where none does.
    """

    payer: str
    amount: int
    counted: int | None = None
    refunded: int = 0


@dataclass
class Held:
    """A payment that waits: its payer, his key, when it was made, its lines, and (index, output, left) for payees."""

    payer: str
    signer: bytes
    time: int
    until: int
    lines: tuple[Line, ...]
    outputs: list[tuple[int, Output, int | None]]
    approvals: set[str] = field(default_factory=set)


class Town:
    """A small economy on the real ledger in memory, and the auditor's own notes."""

    def __init__(self, dice: random.Random) -> None:
        self.dice = dice
        self.world = World.founded("altyn", "kumis")
        self.world.set_reserve("altyn", 100)
        self.oracle, self.board = SigningKey(seed("lab")), SigningKey(seed("board"))
        for name, role, key in (("lab", Role.ORACLE, self.oracle), ("board", Role.APPROVER, self.board)):
            self.world.submit(self.world.governor.admit(name, role, key.public, self.world.now_s))
        self.people = {name: self.enrol(name, *facts) for name, facts in PEOPLE.items()}
        self.signers: dict[bytes, SigningKey] = {}
        self.account: dict[bytes, str] = {}
        for name, person in self.people.items():
            for key in (person.key, person.purse):
                self.signers[key.public], self.account[key.public] = key, f"{person.bank}/{name}"
        for name, key in {**self.world.banks, "lab": self.oracle, "board": self.board}.items():
            self.signers[key.public], self.account[key.public] = key, name
        self.sponsor = self.people["akimat"]
        self.programmes = {}
        for conditions in (CONDITIONS, CONDITIONS, CONDITIONS, CONSENTING):
            self.define(self.one(conditions))
        self.raw: dict[bytes, bytes] = {}
        """Offline payments that were signed, by id."""
        self.counted: set[bytes] = set()
        """Those that the ledger took in."""
        self.coins: dict[bytes, OfflineToken] = {}
        """What devices made of leaves that the ledger has not heard of."""
        self.gone: set[bytes] = set()
        self.shares: dict[tuple[bytes, bytes, bytes], Share] = {}
        """(payment, purpose, payee's key) -> what it brought."""
        self.spent: dict[tuple[bytes, str], list[list[int]]] = {}
        self.stated: set[tuple[str, bytes | str]] = set()
        self.held: dict[bytes, Held] = {}
        self.cleared: Counter[bytes] = Counter()
        self.gained: Counter[bytes] = Counter()
        self.done: Counter[str] = Counter()
        for name in ("aigul", "bolat", "canteen", "builder"):
            self.world.fund(self.people[name], 300_00)
            self.grant(self.people[name])
        self.world.fund(self.sponsor, 500_00)
        for bank in self.world.banks:
            self.world.issue(bank, 200_00)

    def enrol(self, name: str, bank: str, holder: Holder, mcc: str | None, kato: str | None, tier: int) -> Customer:
        key, purse = SigningKey(seed(f"{name} online")), SigningKey(seed(f"{name} purse"))
        common = {
            "bank": bank,
            "subject": name,
            "issued_s": self.world.now_s,
            "expires_s": self.world.now_s + YEAR_S,
            "holder": holder,
            "tier": tier,
            "merchant": Merchant(bin="990140000383", mcc=mcc, kato=kato) if mcc else None,
        }
        signer, network = self.world.banks[bank], self.world.network
        wallet = certificates.issue(signer, network, key=key.public, **common)
        inner = certificates.issue(signer, network, key=purse.public, limits=LIMITS, online_key=key.public, **common)
        self.world.do(Kind.ENROL, bodies.Enrol((wallet, inner)), signer)
        return Customer(name, bank, key, purse, wallet, inner)

    def define(self, table: ConditionTable) -> None:
        mark, split = self.one(MARKS), self.one(SPLITS)
        expires_s = self.world.now_s + self.one(ENDS_DAYS) * DAY_S
        key = self.sponsor.key.public
        rules = (condition_of(table, lambda account: account), rule_from_cbor(mark), expires_s, split)
        definition = Definition(str(len(self.programmes)), ("A", "B", "C"), key, key, *rules)
        purpose = self.world.do(Kind.PURPOSE, definition, self.sponsor.key)
        plain_split = (split.to, split.parts, split.of) if split else None
        self.programmes[purpose] = Programme(purpose, table, mark, plain_split, expires_s)

    def grant(self, owner: Customer) -> None:
        """Two tokens of each of some purposes that are not over yet."""
        for purpose in self.some(list(self.programmes), 3):
            if self.world.now_s >= self.programmes[purpose].expires_s:
                continue
            token = self.world.fund(self.sponsor, 500_00)
            outputs = tuple(Output(owner.key.public, tiyn, purpose) for tiyn in (200_00, 300_00))
            self.world.do(Kind.GRANT, bodies.Grant((token,), outputs, self.late(), purpose), self.sponsor.key)

    # --- chance ----------------------------------------------------------------------------------

    def one(self, choices: Iterable[Any]) -> Any:
        found = list(choices)
        return found[self.dice.randrange(len(found))]

    def some(self, choices: list[Any], most: int) -> list[Any]:
        return self.dice.sample(choices, self.dice.randint(1, min(most, len(choices))))

    def late(self) -> int:
        return self.world.now_s + 300 * DAY_S

    def cut(self, amount: int) -> list[int]:
        """An amount in one or two parts; nothing in none."""
        if not amount:
            return []
        first = self.dice.choice([amount, self.dice.randint(1, amount)])
        return [first, amount - first] if amount > first else [first]

    # --- the state, and one step -------------------------------------------------------------------

    def state(self) -> State:
        tokens, leaves = {}, {}
        for (table, name), value in self.world.view.records().items():
            if table is Table.TOKEN:
                tokens[name] = Token.decode(value)
            elif table is Table.OFFLINE:
                leaves[name] = OfflineToken.decode(value)
        return State(tokens, leaves)

    def try_to(self, raw: bytes, audit: Callable[[State, State, bytes], None]) -> bool:
        """Submit a message; an accepted one is audited, a refused one has changed nothing."""
        before, records = self.state(), dict(self.world.view.records())
        try:
            message = self.world.submit(raw)
        except TengeError as error:
            must(self.world.view.records() == records, "a refused message changed the state", error)
            self.done["refused"] += 1
            return False
        after = self.state()
        self.cleared.clear()
        self.gained.clear()
        audit(before, after, message)
        self.audit_escrow(before, after)
        wanted = before.marked()
        wanted.subtract(self.cleared)
        wanted.update(self.gained)
        must(+wanted == +after.marked(), "marked value appeared or vanished", wanted, after.marked())
        return True

    def do(self, kind: Kind, body: Any, audit: Callable[[State, State, bytes], None], *keys: SigningKey) -> bool:
        accepted = self.try_to(build(kind, body, list(keys), self.world.network), audit)
        self.done[f"{kind.name} {'accepted' if accepted else 'refused'}"] += 1
        return accepted

    # --- what the auditor asks ---------------------------------------------------------------------

    def facts(
        self, payer: str, owner: bytes, amount: int, others: int, time: int, lines: Iterable[Line]
    ) -> dict[str, Any]:
        """The facts of a payment, by what was certified; without a ledger to ask."""
        payee = self.account[owner]
        _, _, mcc, kato, tier = PEOPLE.get(payee.rpartition("/")[2] if "/" in payee else "", (None,) * 5)
        return {
            "payer": payer,
            "payee": payee,
            "mcc": mcc,
            "kato": kato,
            "tier": tier,
            "amount": amount,
            "others": others,
            "time": time,
            "lines": [{"category": line.category, "amount": line.amount_tiyn} for line in lines],
            "online": False,
            "allowance": None,
        }

    def online_facts(
        self,
        payment: bytes,
        purpose: bytes,
        payer: str,
        paid: dict[bytes, int],
        time: int,
        lines: Iterable[Line],
        approvals: Iterable[str] = (),
        *,
        noted: bool = False,
    ) -> list[dict[str, Any]]:
        """Of every payee; ``noted``: the payment itself is among what its payer has spent."""
        whole, found = sum(paid.values()), []
        for owner, amount in paid.items():
            facts = self.facts(payer, owner, amount, -amount if noted else whole - amount, time, lines)
            about = (payment, payer, facts["payee"])
            facts |= {
                "online": True,
                "earlier": self.spent.get((purpose, payer), []),
                "approvals": list(approvals),
                "stated": [("lab", fact) for fact, subject in self.stated if subject in about],
            }
            found.append(facts)
        return found

    def verdict(self, purpose: bytes, payments: list[dict[str, Any]]) -> str:
        programme = self.programmes[purpose]
        return verdict_on(programme.table, programme.split, payments)

    def is_lifted(self, name: bytes, token: Token | OfflineToken) -> bool:
        """Whether the town's oracle has freed it: by a word about the payment to its owner, or about the owner."""
        if self.programmes[token.purpose].mark[0] != "until_evidence":
            return False
        about: set[bytes | str] = {self.account[token.owner]}
        if (name[:32], token.purpose, token.owner) in self.shares:
            about.add(name[:32])
        return any(subject in about for _, subject in self.stated)

    def lifted(self, names: Iterable[bytes], tokens: list[Any]) -> set[bytes]:
        marked = [(name, token) for name, token in zip(names, tokens, strict=True) if token.purpose]
        return {t.purpose for _, t in marked} - {t.purpose for name, t in marked if not self.is_lifted(name, t)}

    @staticmethod
    def sums(valued: Iterable[Any]) -> Counter[bytes | None]:
        total: Counter[bytes | None] = Counter()
        for one in valued:
            total[one.purpose] += one.amount_tiyn
        return total

    @staticmethod
    def shares_of(outputs: Iterable[Output], purposes: set[bytes], payers: set[bytes]) -> dict[bytes, dict[bytes, int]]:
        """Purpose -> payee's key -> tiyn."""
        found: dict[bytes, dict[bytes, int]] = {}
        for output in outputs:
            if output.purpose in purposes and output.owner not in payers:
                paid = found.setdefault(output.purpose, {})
                paid[output.owner] = paid.get(output.owner, 0) + output.amount_tiyn
        return found

    @staticmethod
    def fewest(tokens: Iterable[Any]) -> dict[bytes, int | None]:
        found: dict[bytes, int | None] = {}
        for token in tokens:
            if token.purpose is not None:
                lasts = [left for left in (found.get(token.purpose), token.left) if left is not None]
                found[token.purpose] = min(lasts, default=None)
        return found

    def check_made(self, output: Output, made: Any, bound: dict[bytes, int | None], payers: set[bytes]) -> None:
        """A payment's output bears just the mark that it must."""
        must(made is not None, "an output is missing", output)
        must((made.owner, made.amount_tiyn) == (output.owner, output.amount_tiyn), "not what was signed", output, made)
        mark = (made.purpose, made.left)
        if output.purpose not in bound:
            must(mark == (None, None), "free value was marked", output, made)
        elif output.owner in payers:
            must(mark == (output.purpose, bound[output.purpose]), "change lost its mark", output, made)
        else:
            programme = self.programmes[output.purpose]
            is_part = programme.split is not None and programme.split[0] == self.account[output.owner]
            wanted = (None, None) if is_part else programme.after(bound[output.purpose])
            must(mark == wanted, "a payee's token bears another mark", output, made, wanted)
        if output.purpose is not None and made.purpose is None:
            self.cleared[output.purpose] += output.amount_tiyn

    # --- online ------------------------------------------------------------------------------------

    def holders(self) -> dict[bytes, list[bytes]]:
        """Online key -> the names of its tokens."""
        found: dict[bytes, list[bytes]] = {}
        for name, token in self.state().tokens.items():
            if token.owner in self.signers:
                found.setdefault(token.owner, []).append(name)
        return found

    def pay_online(self) -> None:
        """Some tokens of one owner, marked and free mixed, to some payees, allowed or not; change; perhaps lines."""
        tokens, holders = self.state().tokens, self.holders()
        payer = self.one(holders)
        inputs = self.chosen(holders[payer], tokens)
        others = [key for key, name in self.account.items() if key != payer and key not in self.purses()]
        payees = self.some(others, 2)
        with_request = self.dice.random() < 0.4
        if with_request:
            payees = [self.friendly(tokens[inputs[0]].purpose, payees, others)]
        outputs: list[Output] = []
        for purpose, total in self.sums(tokens[name] for name in inputs).items():
            paid = self.dice.choice([total, self.dice.randint(1, total)])
            payee = payees[0] if with_request else self.friendly(purpose, payees, others)
            outputs += [Output(key, part, purpose) for key, part in self.divide(purpose, payee, paid)]
            outputs += [Output(payer, part, purpose) for part in self.cut(total - paid)]
        if len(outputs) > 1 and self.dice.random() < 0.1:  # somebody tries to change marks
            outputs[0], outputs[-1] = (
                replace(outputs[0], purpose=outputs[-1].purpose),
                replace(outputs[-1], purpose=outputs[0].purpose),
            )
        lines, request = (), None
        if with_request:
            asked = sum(output.amount_tiyn for output in outputs if output.owner != payer)
            lines = tuple(Line(self.one(["food", "toys"]), part) for part in self.cut(asked))
            request = requests.sign(self.signers[payees[0]], self.world.network, asked, lines, self.world.nonce())
        until_s = self.world.now_s + self.one([1, 300]) * DAY_S
        body = bodies.Transfer(inputs, tuple(outputs), until_s, None, None, lines, request)
        self.do(Kind.TRANSFER, body, lambda *state: self.audit_transfer(body, *state), self.signers[payer])

    def chosen(self, names: list[bytes], tokens: dict[bytes, Any]) -> tuple[bytes, ...]:
        """Some of an owner's tokens, mostly a marked one among them."""
        marked = [name for name in names if tokens[name].purpose]
        first = [self.one(marked)] if marked and self.dice.random() < 0.7 else []
        return tuple(dict.fromkeys([*first, *(self.some(names, 2) if not first or self.dice.random() < 0.5 else ())]))

    def purses(self) -> set[bytes]:
        return {person.purse.public for person in self.people.values()}

    def friendly(self, purpose: bytes | None, payees: list[bytes], others: list[bytes]) -> bytes:
        """Mostly somebody whom the conditions do not refuse outright."""
        able = [
            key
            for key in others
            if purpose and verdict_on(self.programmes[purpose].table, None, self.probe(key)) != "refused"
        ]
        return self.one(able) if able and self.dice.random() < 0.75 else payees[0]

    def probe(self, key: bytes) -> list[dict[str, Any]]:
        facts = self.facts("altyn/aigul", key, 1, 0, self.world.now_s, [Line("food", 1)])
        return [facts | {"online": True, "earlier": [], "approvals": [], "stated": []}]

    def divide(self, purpose: bytes | None, payee: bytes, amount: int) -> list[tuple[bytes, int]]:
        """A payment as a rule divides it, mostly; or to the payee alone."""
        split = self.programmes[purpose].split if purpose else None
        if split is None or self.dice.random() < 0.2:
            return [(payee, amount)]
        part = (2 * amount * split[1] + split[2]) // (2 * split[2])
        tax = self.people[split[0].partition("/")[2]].key.public
        return [(key, tiyn) for key, tiyn in ((payee, amount - part), (tax, part)) if tiyn]

    def audit_transfer(self, body: bodies.Transfer, before: State, after: State, message: bytes) -> None:
        inputs = [before.tokens[name] for name in body.inputs]
        must(self.sums(inputs) == self.sums(body.outputs), "value changed its purpose")
        signers = {token.owner for token in inputs}
        payers = {token.owner for token in inputs if token.purpose}
        freed = self.lifted(body.inputs, inputs)
        bound = self.fewest(token for token in inputs if token.purpose not in freed)
        for purpose in bound:
            must(self.world.now_s < self.programmes[purpose].expires_s, "spent after its expiry", body)
        shares = self.shares_of(body.outputs, set(bound), payers)
        payer = self.account[next(iter(payers))] if payers else ""
        verdicts = ["allowed"]
        for purpose, paid in shares.items():
            facts = self.online_facts(message, purpose, payer, paid, self.world.now_s, body.lines)
            verdicts.append(self.verdict(purpose, facts))
        must("refused" not in verdicts, "marked value reached whom its conditions refuse", body, verdicts)
        is_held = "waits" in verdicts
        held = []
        for index, output in enumerate(body.outputs):
            made = after.tokens.get(outpoint(message, index))
            if not is_held or output.owner in signers:
                self.check_made(output, made, bound, payers)
                continue
            mark = (output.purpose, bound[output.purpose]) if output.purpose in shares else (None, None)
            must(made == Token(message, output.amount_tiyn, *mark), "what waits is not in escrow", output, made)
            self.cleared[output.purpose] += output.amount_tiyn if output.purpose and mark[0] is None else 0
            held.append((index, replace(output, purpose=mark[0]), mark[1]))
        if is_held:
            ends = [self.programmes[purpose].expires_s for purpose in shares]
            until = min([body.valid_until_s, *ends])
            self.held[message] = Held(payer, next(iter(signers)), self.world.now_s, until, body.lines, held)
            self.done["waits"] += 1
        for purpose, paid in shares.items():
            self.spent.setdefault((purpose, payer), []).append([self.world.now_s, sum(paid.values())])
            self.done["marked payment"] += 1
            for owner, amount in () if is_held else paid.items():
                self.shares[message, purpose, owner] = Share(payer, amount, self.world.now_s)

    def audit_escrow(self, before: State, after: State) -> None:
        """What left escrow went to payees who are allowed by now, or back."""
        for payment, held in list(self.held.items()):
            names = [outpoint(payment, index) for index, _, _ in held.outputs]
            if any(name in after.tokens for name in names):
                must(all(name in after.tokens for name in names), "half of a payment left escrow")
                continue
            del self.held[payment]
            shares = self.shares_of([output for _, output, _ in held.outputs], set(self.programmes), set())
            if outpoint(payment, 512 + held.outputs[0][0]) in after.tokens:
                self.audit_lapse(payment, held, shares, after)
                continue
            for purpose, paid in shares.items():
                known = (payment, purpose, held.payer, paid, held.time, held.lines, held.approvals)
                verdict = self.verdict(purpose, self.online_facts(*known, noted=True))
                must(verdict == "allowed", "a payment went through without what it waits for", held, verdict)
                for owner, amount in paid.items():
                    self.shares[payment, purpose, owner] = Share(held.payer, amount, held.time)
            for index, output, left in held.outputs:
                made = after.tokens.get(outpoint(payment, 256 + index))
                self.check_made(output, made, {output.purpose: left} if output.purpose else {}, set())
            self.done["settled"] += 1

    def audit_lapse(self, payment: bytes, held: Held, shares: dict[bytes, dict[bytes, int]], after: State) -> None:
        must(self.world.now_s >= held.until, "a payment lapsed before its time")
        for index, output, left in held.outputs:
            made = after.tokens.get(outpoint(payment, 512 + index))
            wanted = Token(held.signer, output.amount_tiyn, output.purpose, left)
            must(made == wanted, "a lapsed payment did not return as it was", made, wanted)
        for purpose, paid in shares.items():
            self.came_back(purpose, held.payer, sum(paid.values()), held.time)
        self.done["lapsed"] += 1

    def came_back(self, purpose: bytes, payer: str, amount: int, until: int) -> None:
        for spend in reversed(self.spent.get((purpose, payer), [])):
            if spend[0] <= until:
                less = min(spend[1], amount)
                spend[1] -= less
                amount -= less

    def approve(self) -> None:
        if not self.held:
            return
        payment = self.one(self.held)

        def audit(before: State, after: State, message: bytes) -> None:
            self.held[payment].approvals.add("board")

        self.do(Kind.APPROVE, bodies.Approve(payment, "board"), audit, self.board)

    def attest(self) -> None:
        about = self.one(
            [*self.held, *(payment for payment, _, _ in self.shares), *dict.fromkeys(self.account.values())]
        )
        if isinstance(about, str) and self.dice.random() < 0.7:
            return
        fact = self.one(["grown", "built"])

        def audit(before: State, after: State, message: bytes) -> None:
            self.stated.add((fact, about))

        self.do(Kind.ATTEST, bodies.Attest("lab", fact, about), audit, self.oracle)

    def refund(self) -> None:
        """A merchant, or somebody in his place, gives marked value back to the payer, or to somebody else."""
        holders = self.holders()
        if not self.shares:
            return
        payment, purpose, payee = self.one(self.shares)
        share = self.shares[payment, purpose, payee]
        honest = self.dice.random() < 0.7
        merchant = self.key_of(self.account[payee]) if honest else self.one(holders)
        customer = self.key_of(share.payer) if honest else self.one(self.people.values()).key.public
        if merchant not in holders or merchant == customer:
            return
        tokens = self.state().tokens
        inputs = tuple(self.some(holders[merchant], 2))
        total = self.sums(tokens[name] for name in inputs)
        drawn = self.one(total)
        back = min(self.dice.randint(1, share.amount), total[drawn])
        outputs = [Output(customer, back, purpose if self.dice.random() < 0.9 else None)]
        total[drawn] -= back
        outputs += [Output(merchant, tiyn, mark) for mark, tiyn in total.items() if tiyn]
        body = bodies.Refund(inputs, tuple(outputs), self.late(), payment, purpose, payee)
        self.do(Kind.REFUND, body, lambda *state: self.audit_refund(body, *state), self.signers[merchant])

    def key_of(self, account: str) -> bytes:
        """The online key of an account."""
        return next(key for key, name in self.account.items() if name == account)

    def audit_refund(self, body: bodies.Refund, before: State, after: State, message: bytes) -> None:
        inputs = [before.tokens[name] for name in body.inputs]
        share = self.shares.get((body.payment, body.purpose, body.payee))
        must(share is not None, "a refund of what was never paid", body)
        must({self.account[t.owner] for t in inputs} == {self.account[body.payee]}, "somebody else's refund", body)
        signers, back, change = {token.owner for token in inputs}, 0, Counter[bytes | None]()
        for index, output in enumerate(body.outputs):
            made = after.tokens[outpoint(message, index)]
            signed = (output.owner, output.amount_tiyn, output.purpose)
            must((made.owner, made.amount_tiyn, made.purpose) == signed, "not what was signed", body)
            if output.owner in signers:
                change[made.purpose] += made.amount_tiyn
                continue
            must(self.account[made.owner] == share.payer, "a refund reached somebody else", body)
            must(made.purpose == body.purpose, "a refund lost its mark", body)
            back += made.amount_tiyn
        for purpose, tiyn in change.items():
            must(tiyn <= self.sums(inputs)[purpose], "a refund's change grew", body)
        share.refunded += back
        must(share.refunded <= share.amount, "more was refunded than was paid", body)
        self.gained[body.purpose] += self.sums(inputs)[None] - change[None]
        if share.counted is not None:
            self.came_back(body.purpose, share.payer, back, share.counted)

    def bank_gives_up(self) -> None:
        """A bank sets aside, or tries to, what it holds: also marked tokens."""
        holders, tokens = self.holders(), self.state().tokens
        bank = self.world.banks[self.one(self.world.banks)]
        if bank.public not in holders:
            return
        inputs = tuple(self.some(holders[bank.public], 3))
        total = self.sums(tokens[name] for name in inputs)
        free = total.pop(None, 0)
        amount = self.dice.randint(1, free) if free else 1
        change = [Output(bank.public, tiyn, mark) for mark, tiyn in {None: free - amount, **total}.items() if tiyn > 0]
        body = bodies.Reserve(inputs, tuple(change), self.late(), amount)
        self.do(Kind.RESERVE, body, lambda *_: None, bank)

    def recall(self) -> None:
        tokens = self.state().tokens
        marked = [name for name, token in tokens.items() if token.purpose]
        if not marked:
            return
        name = self.one(marked)
        body = bodies.Recall(tokens[name].purpose, (name,), f"case {self.world.nonce().hex()}")

        def audit(before: State, after: State, message: bytes) -> None:
            wanted = Token(self.sponsor.key.public, tokens[name].amount_tiyn, None)
            must(after.tokens[outpoint(message, 0)] == wanted, "a recall went elsewhere")
            must(not self.is_lifted(name, tokens[name]), "a recall took what evidence had freed")
            self.cleared[tokens[name].purpose] += tokens[name].amount_tiyn

        self.do(Kind.RECALL, body, audit, self.sponsor.key, self.world.governor.key)

    # --- purses ------------------------------------------------------------------------------------

    def load(self) -> None:
        tokens, holders = self.state().tokens, self.holders()
        person = self.one(self.people.values())
        if person.key.public not in holders:
            return
        inputs = self.chosen(holders[person.key.public], tokens)
        purse = person.purse if self.dice.random() < 0.9 else self.one(self.people.values()).purse
        outputs = []
        for purpose, total in self.sums(tokens[name] for name in inputs).items():
            outputs += [Output(self.one([purse, purse, person.key]).public, part, purpose) for part in self.cut(total)]
        body = bodies.Load(inputs, tuple(outputs), self.late())
        self.do(Kind.LOAD, body, lambda *state: self.audit_own(body, *state), person.key)

    def unload(self) -> None:
        """To the online key or, with fresh deadlines, to the purse itself."""
        leaves = {name: leaf for name, leaf in self.state().leaves.items() if leaf.is_live}
        person = self.one(self.people.values())
        own = [name for name, leaf in leaves.items() if leaf.owner == person.purse.public and name not in self.gone]
        if not own:
            return
        inputs = tuple(self.some(own, 3))
        outputs = []
        for purpose, total in self.sums(leaves[name] for name in inputs).items():
            outputs += [Output(self.one([person.purse, person.key]).public, part, purpose) for part in self.cut(total)]
        body = bodies.Unload(inputs, tuple(outputs), self.late())
        if self.do(Kind.UNLOAD, body, lambda *state: self.audit_own(body, *state), person.purse):
            self.gone |= set(inputs)

    def audit_own(self, body: bodies.Load | bodies.Unload, before: State, after: State, message: bytes) -> None:
        """Between an account's purse and its wallet: nothing changes hands, and nothing else changes."""
        inputs = [before.tokens.get(name) or before.leaves[name] for name in body.inputs]
        must(self.sums(inputs) == self.sums(body.outputs), "value changed its purpose", body)
        freed = self.lifted(body.inputs, inputs)
        bound = self.fewest(token for token in inputs if token.purpose not in freed)
        owners = {self.account[token.owner] for token in inputs}
        for index, output in enumerate(body.outputs):
            name = outpoint(message, index)
            made = after.tokens.get(name) or after.leaves.get(name)
            must({self.account[output.owner]} == owners, "a load or unload changed hands", body)
            self.check_made(output, made, bound, {output.owner})

    def pay_offline(self) -> None:
        """Some coins of a purse, merged, to another purse that takes them if the conditions allow, or carelessly."""
        coins = self.spendable()
        if not coins:
            return
        payer = self.one(dict.fromkeys(leaf.owner for leaf in coins.values()))
        inputs = self.chosen([name for name, leaf in coins.items() if leaf.owner == payer], coins)
        others = [key for key in sorted(self.purses()) if key != payer]
        key = self.friendly(coins[inputs[0]].purpose, [self.one(others)], others)
        payee = next(person for person in self.people.values() if person.purse.public == key)
        spent = [coins[name] for name in inputs]
        outputs = []
        for purpose, total in self.sums(spent).items():
            paid = self.dice.choice([total, self.dice.randint(1, total)])
            outputs += [Output(payee.purse.public, paid, purpose)]
            outputs += [Output(payer, part, purpose) for part in self.cut(total - paid)]
        lines = self.one([(), (Line("food", 300_00),), (Line("food", 100_00), Line("toys", 900_00))])
        hop = 1 + max(leaf.hops for leaf in spent)
        raw = self.sign(payer, payee, inputs, tuple(outputs), hop, lines, seed(f"invoice {self.world.nonce().hex()}"))
        bound, payers = self.fewest(spent), {payer}
        shares = self.shares_of(outputs, set(bound), payers)
        facts = (self.account[payer], payee.purse.public)
        verdicts = [
            self.verdict(purpose, [self.facts(*facts, sum(paid.values()), 0, self.world.now_s, lines)])
            for purpose, paid in shares.items()
        ]
        if set(verdicts) <= {"allowed"} or self.dice.random() < 0.3:
            self.remember(raw, spent, outputs, payee.purse.public, hop)
            self.done["hop"] += hop > 1
        elif self.dice.random() < 0.5:
            self.raw[self.world.message_id(raw)] = raw  # refused by the payee, and shown to the ledger all the same

    def sign(
        self,
        payer: bytes,
        payee: Customer,
        inputs: tuple[bytes, ...],
        outputs: tuple[Output, ...],
        hop: int,
        lines: tuple[Line, ...],
        invoice: bytes,
    ) -> bytes:
        person = next(person for person in self.people.values() if person.purse.public == payer)
        terms = bodies.OfflineTerms(
            invoice_id=invoice,
            payer_certificate=person.certificate(self.world.network).id,
            payee_certificate=payee.certificate(self.world.network).id,
            counter=1,
            spends=1,
            hop=hop,
            trust_list_s=self.world.now_s,
            ledger_time_s=self.world.now_s,
        )
        body = bodies.Transfer(inputs, outputs, self.late(), None, terms, lines)
        return build(Kind.TRANSFER, body, [person.purse], self.world.network)

    def spendable(self) -> dict[bytes, OfflineToken]:
        known = self.coins | {name: leaf for name, leaf in self.state().leaves.items() if leaf.is_live}
        return {
            name: leaf
            for name, leaf in known.items()
            if name not in self.gone and leaf.hops < LIMITS.hops and self.world.now_s <= leaf.spend_until_s
        }

    def remember(self, raw: bytes, spent: list[OfflineToken], outputs: list[Output], payee: bytes, hop: int) -> None:
        """The devices hold what the payment made."""
        message, bound = decode(raw, self.world.network), self.fewest(spent)
        self.raw[message.id] = raw
        self.gone |= set(message.body.inputs)
        ends = (min(leaf.spend_until_s for leaf in spent), min(leaf.final_at_s for leaf in spent))
        for index, output in enumerate(outputs):
            mark = (output.purpose, bound.get(output.purpose))
            if output.owner == payee and output.purpose:
                mark = self.programmes[output.purpose].after(mark[1])
            hops = hop if output.owner == payee else hop - 1
            coin = OfflineToken(
                output.owner, output.amount_tiyn, mark[0], *ends, hops, [], returned=False, left=mark[1]
            )
            self.coins[outpoint(message.id, index)] = coin

    def reconcile(self) -> None:
        """Any payments in any order, mostly with what they come from, in one message or one by one."""
        if not self.raw:
            return
        chosen = self.some(list(self.raw), 4)
        if self.dice.random() < 0.7:
            chosen += self.ancestors(chosen)
        self.dice.shuffle(chosen)
        shown = [self.raw[name] for name in dict.fromkeys(chosen)]
        if self.dice.random() < 0.3:
            for raw in shown:
                self.try_to(raw, self.audit_evidence)
            return
        message = build(Kind.RECONCILE, bodies.Reconcile(tuple(shown)), [], self.world.network)
        self.done["reconciled"] += self.try_to(message, self.audit_evidence)

    def ancestors(self, names: list[bytes]) -> list[bytes]:
        found, waiting = [], list(names)
        while waiting:
            inputs = decode(self.raw[waiting.pop()], self.world.network).body.inputs
            parents = [name[:32] for name in inputs if name[:32] in self.raw]
            found += parents
            waiting += parents
        return found

    def audit_evidence(self, before: State, after: State, message: bytes) -> None:
        """Every payment that counts from now on, each with what it spends as the ledger has it."""
        for name, raw in self.raw.items():
            if name not in self.counted and outpoint(name, 0) in after.leaves:
                self.counted.add(name)
                body = decode(raw, self.world.network).body
                if {spent[:32] for spent in body.inputs} == {body.terms.invoice_id}:
                    self.audit_release(name, body, after)
                else:
                    self.audit_offline(name, body, after)

    def audit_offline(self, name: bytes, body: bodies.Transfer, after: State) -> None:
        spent = [after.leaves[spent] for spent in body.inputs]
        must(self.sums(spent) == self.sums(body.outputs), "value changed its purpose", body)
        payers, bound = {leaf.owner for leaf in spent}, self.fewest(spent)
        payer = self.account[next(iter(payers))]
        shares = self.shares_of(body.outputs, set(bound), payers)
        for purpose, paid in shares.items():
            time_s = body.terms.ledger_time_s
            must(time_s < self.programmes[purpose].expires_s, "spent after its expiry", body)
            facts = [self.facts(payer, owner, amount, 0, time_s, body.lines) for owner, amount in paid.items()]
            verdict = self.verdict(purpose, facts)
            must(verdict == "allowed", "marked value reached a purse that its conditions refuse", body, facts)
            for owner, amount in paid.items():
                self.shares[name, purpose, owner] = Share(payer, amount)
            self.done["marked hop" if max(leaf.hops for leaf in spent) else "marked offline payment"] += 1
        for index, output in enumerate(body.outputs):
            self.check_made(output, after.leaves.get(outpoint(name, index)), bound, payers)

    def release(self) -> None:
        """A payee signs all that a payment brought him back to its payer, or to somebody else."""
        paid = [name for name in self.raw if outpoint(name, 0) in self.coins and outpoint(name, 0) not in self.gone]
        if not paid:
            return
        name = self.one(paid)
        body = decode(self.raw[name], self.world.network).body
        payee = next(key for key in self.purses() if key == body.outputs[0].owner)
        brought = [index for index, output in enumerate(body.outputs) if output.owner == payee]
        names = tuple(outpoint(name, index) for index in brought)
        if any(made not in self.coins or made in self.gone for made in names):
            return
        payer = next(
            p for p in self.people.values() if p.certificate(self.world.network).id == body.terms.payer_certificate
        )
        taker = payer if self.dice.random() < 0.8 else self.one(self.people.values())
        if taker.purse.public == payee:
            return
        outputs = tuple(
            Output(taker.purse.public, body.outputs[i].amount_tiyn, body.outputs[i].purpose) for i in brought
        )
        raw = self.sign(payee, taker, names, outputs, self.coins[names[0]].hops - 1, (), name)
        self.raw[self.world.message_id(raw)] = raw
        self.gone |= set(names)
        self.done["release"] += 1

    def audit_release(self, name: bytes, body: bodies.Transfer, after: State) -> None:
        """To the purse that paid, under the marks that the payment was drawn from."""
        source = decode(self.raw[body.terms.invoice_id], self.world.network)
        (payer,) = source.signers
        for index, spent in enumerate(body.inputs):
            drawn = source.body.outputs[int.from_bytes(spent[32:], "big")]
            made = after.leaves[outpoint(name, index)]
            must(made.owner == payer, "a release reached somebody else", body)
            must((made.amount_tiyn, made.purpose) == (drawn.amount_tiyn, drawn.purpose), "a release lost a mark", body)
            if made.purpose and after.leaves[spent].purpose is None:
                self.gained[made.purpose] += made.amount_tiyn
            self.shares.pop((body.terms.invoice_id, drawn.purpose, drawn.owner), None)  # refunded no more

    # --- time --------------------------------------------------------------------------------------

    def time_passes(self) -> None:
        self.world.now_s += self.one([60, 3600, 7 * 3600, 11 * 3600, DAY_S, 4 * DAY_S])

    def sweep(self) -> None:
        """What may be due, and what is not."""
        state, now_s = self.state(), self.world.now_s
        live = {name: leaf for name, leaf in state.leaves.items() if leaf.is_live}
        likely = [name for name, leaf in live.items() if leaf.final_at_s <= now_s]
        lapsed = {payment for payment, held in self.held.items() if held.until <= now_s}
        likely += [name for name, token in state.tokens.items() if token.owner in lapsed]
        for name, token in state.tokens.items():
            if token.purpose and token.owner not in self.held:
                likely += [name] * (self.is_lifted(name, token) or self.programmes[token.purpose].expires_s <= now_s)
        names = likely if likely and self.dice.random() < 0.8 else [*state.tokens, *live]
        body = bodies.Sweep(tuple(dict.fromkeys(self.some(names, 2))))
        raw = build(Kind.SWEEP, body, [], self.world.network)
        self.done["swept"] += self.try_to(raw, lambda *state: self.audit_sweep(body, *state))

    def audit_sweep(self, body: bodies.Sweep, before: State, after: State, message: bytes) -> None:
        for index, name in enumerate(body.outpoints):
            made, token = after.tokens.get(outpoint(message, index)), before.tokens.get(name)
            if token is None:
                leaf = before.leaves[name]
                must(self.world.now_s >= leaf.final_at_s, "a leaf was swept before its time")
                online = self.key_of(self.account[leaf.owner])
                is_lifted = leaf.purpose is not None and self.is_lifted(name, leaf)
                mark = (None, None) if is_lifted else (leaf.purpose, leaf.left)
                must(made == Token(online, leaf.amount_tiyn, *mark), "a leaf became another token")
                self.cleared[leaf.purpose] += leaf.amount_tiyn if is_lifted else 0
            elif token.owner not in self.held:
                is_lifted = self.is_lifted(name, token)
                must(is_lifted or self.world.now_s >= self.programmes[token.purpose].expires_s, "swept too early")
                owner = token.owner if is_lifted else self.sponsor.key.public
                must(made == Token(owner, token.amount_tiyn, None), "a sweep went elsewhere", made)
                self.cleared[token.purpose] += token.amount_tiyn

    # --- all of it ---------------------------------------------------------------------------------

    def play(self, steps: int = STEPS) -> None:
        often = [self.pay_online] * 5 + [self.load] * 3 + [self.pay_offline] * 4 + [self.reconcile] * 3
        now_and_then = [self.unload, self.refund, self.refund, self.sweep, self.sweep, self.time_passes, self.release]
        rarely = [self.approve, self.approve, self.attest, self.bank_gives_up]
        for step in range(steps):
            if step % 20 == 19:
                self.grant(self.one(list(self.people.values())[1:]))
                self.recall() if self.dice.random() < 0.3 else self.sweep()
            self.one(often + now_and_then + rarely)()
        every = self.ancestors(list(self.raw)) + list(self.raw)
        for name in dict.fromkeys(every):
            self.try_to(self.raw[name], self.audit_evidence)


@given(st.randoms(use_true_random=True))
def test_marked_value_never_reaches_whom_its_conditions_refuse(dice: random.Random) -> None:
    town = Town(dice)
    town.play()
    supply = town.world.supply()
    assert town.state().value() + supply.reserves_tiyn == supply.issued_tiyn - supply.redeemed_tiyn
    for what in ("marked payment", "waits", "settled", "lapsed", "hop", "REFUND accepted", "swept", "release"):
        event(f"{what}: {bool(town.done[what])}")


# --- the auditor can find something ------------------------------------------------------------


def plays_until_caught(plays: int = 25) -> str:
    """What the auditor says first in some fixed plays; empty if nothing."""
    for number in range(plays):
        try:
            Town(random.Random(number)).play()
        except Reached as reached:
            return str(reached.args[0])
    return ""


def test_fixed_plays_do_all_that_the_property_speaks_of() -> None:
    """What the faults below are judged by is no idle play."""
    done: Counter[str] = Counter()
    for number in range(12):
        town = Town(random.Random(number))
        town.play()
        done += town.done
    wanted = ("marked payment", "waits", "settled", "lapsed", "hop", "marked hop", "reconciled", "swept", "release")
    assert {what: done[what] for what in wanted if not done[what]} == {}
    assert done["REFUND accepted"] and done["UNLOAD accepted"] and done["refused"] > 50


def test_a_mark_that_gets_lost_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    def forgetful(*args: Any, **terms: Any) -> marks.Outcome:
        outcome = marks.marks_after(*args, **terms)
        return replace(outcome, marks=[None] * len(outcome.marks))

    monkeypatch.setattr(money, "marks_after", forgetful)
    monkeypatch.setattr(judge, "marks_after", forgetful)
    assert plays_until_caught() in ("change lost its mark", "a payee's token bears another mark")


@pytest.mark.parametrize("where", [money, judge], ids=["online", "offline"])
def test_conditions_that_are_not_asked_are_noticed(monkeypatch: pytest.MonkeyPatch, where: Any) -> None:
    def lax(inputs: Any, outputs: Any, payers: Any, definition_of: Any, *rest: Any) -> marks.Outcome:
        def any_payee(purpose: bytes) -> Definition:
            return replace(definition_of(purpose), condition=PerPayment(10**17))

        return marks.marks_after(inputs, outputs, payers, any_payee, *rest)

    monkeypatch.setattr(where, "marks_after", lax)
    caught = plays_until_caught()
    assert caught.startswith(("marked value reached", "what waits is not in escrow")), caught


def test_a_refund_to_somebody_else_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(refund, "_check_back", lambda *_: None)
    assert plays_until_caught() in ("a refund reached somebody else", "a refund lost its mark", "not what was signed")
