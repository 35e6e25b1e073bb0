"""A small economy on a real ledger, shadowed by the naive model: what the machines' rules are made of."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant

from cbdc.errors import Malformed, TengeError
from cbdc.formats import cbor, certificates
from cbdc.formats.certificates import Holder, Merchant, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output
from cbdc.formats.x509 import Role
from cbdc.log.receipts import Receipt
from cbdc.messages import bodies
from cbdc.messages.message import Body, build
from cbdc.offline.documents import TrustList
from cbdc.policy import DAY_S, Policy
from cbdc.purposes import conditions
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Split, rule_from_cbor
from cbdc.service import verifiers
from cbdc.service.audit import verify_ledger
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.queries import Queries
from cbdc.state.records import OfflineToken, Table, Token, Waiting
from cbdc.store.sqlite import SqliteStore
from tests.stateful.model import Leaf, Model, Refused
from tests.stateful.plain import plain
from tests.support import LATER_S, NOW_S, YEAR_S, Customer, World, seed

T = TypeVar("T")
Data = Any
"""What `st.data()` gives to a rule."""

ANSWER_S = 20
POLICY = Policy(offline_holding_tiyn=1500_00, offline_payment_tiyn=500_00, offline_spends=3, offline_hops=3)
LIMITS = PurseLimits(1500_00, 500_00, 3, 3)
STRANGER = SigningKey(seed("stranger"))
CANTEEN, SHOP = Merchant("180540000011", "5812", "750000000"), Merchant("190640000022", "5411", "710000000")

# --- conditions --------------------------------------------------------------------------------


def some(*choices: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(choices), min_size=1, max_size=2, unique=True)


APPROVERS = ("board", "altyn/akimat", "berik/bolat")
FACTS = ("delivered", "grown")
PARTIES = st.one_of(
    st.tuples(st.just("payee"), some("altyn/canteen", "berik/shop", "altyn/aigul", "board")),
    st.tuples(st.just("payer"), some("altyn/aigul", "berik/bolat", "altyn/canteen")),
    st.tuples(st.just("payee_mcc"), some("5812", "5411", "5999")),
    st.tuples(st.just("payee_kato"), some("75", "71", "750000000")),
    st.tuples(st.just("payee_tier"), some(0, 1, 2)),
)
LIMITED = st.one_of(
    st.tuples(st.just("per_payment"), st.sampled_from([50_00, 300_00, 100_000_00])),
    st.tuples(st.sampled_from(["after", "before"]), st.integers(-2, 20).map(lambda days: NOW_S + days * DAY_S)),
    st.tuples(
        st.just("hours"),
        st.tuples(some(0, 1, 2, 3, 4, 5, 6), st.sampled_from([0, 480]), st.sampled_from([720, 1440])),
    ),
    st.tuples(st.just("per_period"), st.tuples(st.sampled_from([100_00, 400_00]), st.sampled_from([1, 7]))),
    st.tuples(st.just("items"), some("food", "books", "toys")),
)
CONSENT = st.one_of(
    st.builds(lambda of, quorum: ("approval", (of, min(quorum, len(of)))), some(*APPROVERS), st.integers(1, 2)),
    st.tuples(st.just("evidence"), st.tuples(st.just("lab"), st.sampled_from(FACTS))),
)
LEAVES = st.one_of(PARTIES, LIMITED, CONSENT)
GENEROUS = st.sampled_from([("per_payment", 1000_00), ("per_period", (1000_00, 7)), ("payee_tier", [0, 1, 2])])
"""What lets nearly everything through, so that marks travel."""
MARKS = st.sampled_from(["clears", "clears", "keeps", ["keeps_hops", 1], ["keeps_hops", 3], ["until_evidence", "lab"]])
SPLITS = st.sampled_from([None] * 5 + [Split("board", 1, 10), Split("altyn/canteen", 1, 3)])
LINES = st.lists(
    st.builds(Line, st.sampled_from(["food", "books"]), st.sampled_from([50_00, 200_00])), min_size=1, max_size=2
).map(tuple)


def joined(name: str, inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(name), st.lists(inner, min_size=1, max_size=3))


def negated(inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just("not"), inner)


JOINED = st.one_of(LEAVES, joined("all", LEAVES), joined("any", LEAVES))
SIMPLE = st.one_of(LEAVES, negated(JOINED))
CONDITIONS = st.one_of(
    SIMPLE,
    joined("all", SIMPLE),
    joined("any", SIMPLE),
    GENEROUS,
    CONSENT,
    st.tuples(GENEROUS, CONSENT).map(lambda both: ("all", both)),
)


def canonical(condition: Any) -> cbor.Value:
    """The one spelling that the ledger takes."""
    name, argument = condition
    match name:
        case "all" | "any":
            forms = {cbor.encode(form): form for form in map(canonical, argument)}
            return [name, [forms[spelling] for spelling in sorted(forms)]]
        case "not":
            return [name, canonical(argument)]
        case "approval" | "hours":
            members, *rest = argument
            return [name, [sorted(members), *rest]]
        case "per_period" | "evidence":
            return [name, list(argument)]
        case _:
            return [name, sorted(argument) if isinstance(argument, list) else argument]


# --- the economy -------------------------------------------------------------------------------


@dataclass
class PaymentDraft:
    """An offline payment before it is signed."""

    payer: Customer
    payee: Customer
    inputs: list[bytes]
    outputs: list[Output]
    terms: dict[str, Any]
    signers: list[SigningKey]
    lines: tuple[Line, ...]


class Economy(RuleBasedStateMachine):
    """Customers of two banks; after every step the ledger and the model must agree about all of it."""

    def __init__(self) -> None:
        super().__init__()
        self.folder = tempfile.TemporaryDirectory(prefix="tenge-machine-")
        self.path = Path(self.folder.name) / "ledger.db"
        self.now_s = NOW_S
        self.world = World(policy=POLICY)  # only a bag of keys and message builders; its own transition is not used
        self.governor = self.world.governor
        self.network = self.world.network
        self.identity = Identity(self.network, "test", self.world.operator)
        self.model = Model()
        self.ledger = self.open(SqliteStore.create(self.path))
        self.queries = Queries(SqliteStore.read(self.path), self.identity, lambda: self.now_s)
        self.banks: dict[str, SigningKey] = {}
        self.oracle, self.board = SigningKey(seed("oracle")), SigningKey(seed("board"))
        self.people: dict[str, Customer] = {}
        self.replaced: list[Customer] = []
        """Customers with certificates that newer ones have replaced."""
        self.receipts: dict[bytes, Receipt] = {}
        self.payments: dict[bytes, bytes] = {}
        """All payments that devices ever accepted, whether the ledger has seen them or not."""
        self.forgeries: dict[bytes, bytes] = {}
        """And those that no device should have accepted."""
        self.crowded: set[bytes] = set()
        """Forgeries by two signers, which no reconcile can hold."""
        self.unseen: dict[bytes, Leaf] = {}
        """Outputs of well-made payments, as the devices know them."""
        self.spent: set[bytes] = set()
        """What devices have spent."""

    def open(self, store: SqliteStore) -> Ledger:
        return Ledger(store, self.identity, clock=lambda: self.now_s, verifier=verifiers.threads(1))

    # --- sending and comparing -----------------------------------------------------------------

    def send(self, *messages: bytes) -> list[bytes | None]:
        """Submit messages together; each must be answered as the model says. The ids of the accepted ones."""
        wanted: list[tuple[int, bool] | Refused] = []
        facts = [plain(raw, self.network) for raw in messages]
        for message in facts:
            try:
                before = self.model.entries
                index = self.model.submit(message, self.now_s)
                wanted.append((index, self.model.entries > before))
            except Refused as refused:
                wanted.append(refused)
        answers = [self.ledger.submit(raw) for raw in messages]
        accepted: list[bytes | None] = []
        for raw, message, answer, want in zip(messages, facts, answers, wanted, strict=True):
            error = answer.exception(ANSWER_S)
            if isinstance(want, Refused):
                self.check_refusal(message["kind"], error, want)
                accepted.append(None)
            else:
                assert error is None, f"{message['kind']} should be accepted: {error!r}"
                self.check_receipt(raw, answer.result(), *want)
                accepted.append(message["id"])
        return accepted

    def check_refusal(self, kind: str, error: BaseException | None, want: Refused) -> None:
        assert isinstance(error, TengeError), f"{kind} should be refused with {set(want.codes)}, got {error!r}"
        assert error.code in want.codes, f"{kind} should be refused with {set(want.codes)}, got {error!r}"
        if want.winner is not None:
            assert error.values["winner"] == want.winner

    def check_receipt(self, raw: bytes, receipt: Receipt, index: int, is_new: bool) -> None:
        """A new entry's receipt proves these bytes; the same bytes again get the same receipt."""
        assert receipt.index == index
        if raw in self.receipts:
            assert receipt == self.receipts[raw]
        elif is_new:
            signed = receipt.verify(raw, self.identity.origin, self.identity.operator.public)
            assert signed.size > index
            self.receipts[raw] = receipt

    def do(self, kind: Kind, body: Body, *keys: SigningKey) -> bytes | None:
        return self.send(build(kind, body, list(keys), self.network))[0]

    @invariant()
    def ledger_and_model_agree(self) -> None:
        """Every token, leaf, debt, reserve and total, and everything that was ever used up."""
        model, store = self.model, self.queries._store
        tokens = {name: Token.decode(value) for (_, name), value in store.records(Table.TOKEN)}
        assert {n: (t.owner, t.amount_tiyn, t.purpose, t.left) for n, t in tokens.items()} == model.tokens
        leaves = {name: OfflineToken.decode(value) for (_, name), value in store.records(Table.OFFLINE)}
        as_plain = {
            name: (t.owner, t.amount_tiyn, t.purpose, t.spend_until_s, t.final_at_s, t.hops, t.void, t.left)
            for name, t in leaves.items()
        }
        assert as_plain == model.outputs()
        assert {name for name, leaf in leaves.items() if leaf.is_live} == set(model.live())
        assert sorted(store.consumed_rows()) == sorted(model.consumed)
        held = {name: Waiting.decode(value) for (_, name), value in store.records(Table.WAITING)}
        assert {name: (w.payer, w.until_s, w.approvals, w.lapsed) for name, w in held.items()} == {
            name: (w.payer, w.until, sorted(w.approvals), w.lapsed) for name, w in model.waiting.items()
        }
        self.queries_answer_like_the_model()

    def queries_answer_like_the_model(self) -> None:
        model, queries = self.model, self.queries
        supply, wanted = queries.supply(), model.supply()
        found = {name: getattr(supply, f"{name}_tiyn") for name in wanted}
        assert found == wanted
        assert wanted["online"] + wanted["pool"] + wanted["reserves"] == wanted["issued"] - wanted["redeemed"]
        for bank in self.banks:
            reserve = queries.reserve(bank)
            assert (reserve.reserve_tiyn, reserve.claims_tiyn) == (model.reserve_of(bank), model.claims(bank))
        debts = {
            (model.certificates[model.current[key]].account, excess, debt)
            for key, (excess, debt) in model.debts().items()
            if debt or model.revoked_at(key) is not None  # not who was only named in a second spend, and holds it
        }
        assert {(fork.account, fork.excess_tiyn, fork.debt_tiyn) for fork in queries.forks()} == debts
        assert queries.forked_outputs() == len(model.forked())
        assert queries.due(self.now_s, 10_000) == model.due(self.now_s)
        trust_list = TrustList.verify(queries.trust_list(), self.network)
        assert trust_list.revoked == model.revoked()
        on_lists = {name: found for name, found in model.institutions.items() if not found["dismissed"]}
        admitted = {n for n, found in on_lists.items() if found["role"] in ("governor", "operator", "bank")}
        assert {institution.name for institution in trust_list.institutions} == admitted

    def teardown(self) -> None:
        """The log alone gives the same state, and the file opens again as it was left."""
        self.ledger.close()
        self.queries.close()
        try:
            if self.model.entries:
                self.audit_agrees()
                self.the_reopened_ledger_repeats_itself()
        finally:
            self.folder.cleanup()

    def audit_agrees(self) -> None:
        with closing(SqliteStore.read(self.path)) as store:
            verdict = verify_ledger(store, self.network)
        assert verdict.entries == self.model.entries
        assert all(verdict.laws.values())

    def the_reopened_ledger_repeats_itself(self) -> None:
        with self.open(SqliteStore.open(self.path)) as ledger:
            raw, receipt = next(iter(self.receipts.items()))
            assert ledger.submit(raw).result(ANSWER_S) == receipt

    # --- choosing ------------------------------------------------------------------------------

    def pick(self, data: Data, choices: Iterable[T]) -> T:
        """One of these. Names are drawn as they are, everything else by its place, so that a failure reads well."""
        found = list(choices)
        if isinstance(found[0], str):
            return data.draw(st.sampled_from(found))
        return found[data.draw(st.integers(0, len(found) - 1))]

    def pick_some(self, data: Data, choices: Iterable[T], most: int = 3) -> list[T]:
        """One or a few of these, in any order."""
        found = list(choices)
        places = st.integers(0, len(found) - 1)
        return [found[place] for place in data.draw(st.lists(places, min_size=1, max_size=most, unique=True))]

    def fault(self, data: Data, *faults: str) -> str:
        """Mostly none."""
        return self.pick(data, [*faults, *[""] * (len(faults) + 2)])

    def nonce(self) -> bytes:
        return self.world.nonce()

    def person(self, data: Data) -> Customer:
        return self.pick(data, self.people.values())

    def keys(self) -> dict[bytes, SigningKey]:
        """Everybody's keys for online tokens, by public key."""
        known = [*self.banks.values(), self.board, self.oracle, *(person.key for person in self.people.values())]
        return {key.public: key for key in known}

    def purses(self) -> dict[bytes, Customer]:
        return {person.purse.public: person for person in self.people.values()}

    def tokens_of(self, owner: bytes, *, free: bool = False) -> list[bytes]:
        found = self.model.tokens.items()
        return [name for name, token in found if token.owner == owner and not (free and token.purpose)]

    def owners(self, *, free: bool = False) -> list[bytes]:
        """Keys with something to spend."""
        return [key for key in self.keys() if self.tokens_of(key, free=free)]

    def sums(self, tokens: Iterable[Any]) -> dict[bytes | None, int]:
        total: Counter[bytes | None] = Counter()
        for token in tokens:
            total[token.purpose] += token.amount
        return dict(total)

    def divide(self, data: Data, amount: int) -> list[int]:
        """An amount in one to three parts."""
        parts = []
        while amount > 1 and len(parts) < 2 and data.draw(st.booleans()):
            parts.append(data.draw(st.integers(1, amount - 1)))
            amount -= parts[-1]
        return [*parts, amount]

    def outputs(self, data: Data, inputs: Sequence[bytes], owners: Sequence[bytes]) -> tuple[Output, ...]:
        """All the value of online inputs, cut up for some of these owners."""
        made = []
        for purpose, amount in self.sums(self.model.tokens[name] for name in inputs).items():
            made += [Output(self.pick(data, owners), part, purpose) for part in self.divide(data, amount)]
        return tuple(made)

    def valid_until(self, fault: str) -> int:
        return self.now_s - 1 if fault == "late" else LATER_S + YEAR_S

    # --- founding ------------------------------------------------------------------------------

    @initialize(data=st.data())
    def found(self, data: Data) -> None:
        """Genesis, two banks with customers of every kind, money online, offline and marked."""
        world = self.world
        early = world.governor.issue(STRANGER.public, 1, self.nonce())
        genesis = world.governor.genesis("test", "Operator", world.operator.public, POLICY, self.now_s)
        again = world.governor.genesis("test", "Operator", world.operator.public, Policy(), self.now_s)
        self.send(early, genesis, again, genesis)
        for name in ("altyn", "berik"):
            self.banks[name] = SigningKey(seed(f"bank {name}"))
            self.send(world.governor.admit_bank(name, self.banks[name].public, self.now_s))
        self.send(world.governor.admit("lab", Role.ORACLE, self.oracle.public, self.now_s))
        self.send(world.governor.admit("board", Role.APPROVER, self.board.public, self.now_s))
        for name, bank, holder, merchant in (
            ("aigul", "altyn", Holder.PERSON, None),
            ("bolat", "berik", Holder.PERSON, None),
            ("canteen", "altyn", Holder.MERCHANT, CANTEEN),
            ("shop", "berik", Holder.MERCHANT, SHOP),
            ("akimat", "altyn", Holder.SPONSOR, None),
        ):
            person = self.certify(name, bank, holder=holder, merchant=merchant, tier=1 if merchant else 0)
            self.do(Kind.ENROL, bodies.Enrol((person.wallet_cwt, person.purse_cwt)), self.banks[bank])
            self.people[name] = person
            self.give(person, data.draw(st.integers(1, 900_00)))
            self.give(person, 200_00)
        for bank in self.banks.values():
            (issued,) = self.send(world.governor.issue(bank.public, 5000_00, self.nonce()))
            set_aside = data.draw(st.sampled_from([1, 300_00, 5000_00]))
            change = () if set_aside == 5000_00 else (Output(bank.public, 5000_00 - set_aside, None),)
            self.do(Kind.RESERVE, bodies.Reserve((issued + b"\0\0",), change, self.valid_until(""), set_aside), bank)
        for name in ("aigul", "bolat"):
            self.fill_purse(self.people[name])
        self.start_programme(data)

    def give(self, person: Customer, amount_tiyn: int) -> None:
        bank = self.banks[person.bank]
        (issued,) = self.send(self.governor.issue(bank.public, amount_tiyn, self.nonce()))
        outputs = (Output(person.key.public, amount_tiyn, None),)
        self.do(Kind.TRANSFER, bodies.Transfer((issued + b"\0\0",), outputs, self.valid_until("")), bank)

    def fill_purse(self, person: Customer) -> None:
        """Everything that the customer has; half a day passes between the loads, so that their deadlines differ."""
        for name in self.tokens_of(person.key.public):
            token = self.model.tokens[name]
            output = Output(person.purse.public, token.amount, token.purpose)
            self.do(Kind.LOAD, bodies.Load((name,), (output,), self.valid_until("")), person.key)
            self.now_s += DAY_S // 2

    def start_programme(self, data: Data) -> None:
        """The akimat pays for meals; a person's purse holds some of it."""
        sponsor = self.people["akimat"].key
        body = self.definition(data, sponsor.public, sponsor.public, NOW_S + 10 * DAY_S)
        purpose = self.do(Kind.PURPOSE, body, sponsor)
        for name in ("aigul", "bolat"):
            (granted,) = self.send(self.governor.issue(self.banks["altyn"].public, 600_00, self.nonce()))
            outputs = (Output(sponsor.public, 600_00, None),)
            moved = self.do(
                Kind.TRANSFER,
                bodies.Transfer((granted + b"\0\0",), outputs, self.valid_until("")),
                self.banks["altyn"],
            )
            outputs = tuple(Output(self.people[name].key.public, 300_00, purpose) for _ in range(2))
            self.do(Kind.GRANT, bodies.Grant((moved + b"\0\0",), outputs, self.valid_until(""), purpose), sponsor)
        self.fill_purse(self.people["aigul"])

    def certify(
        self,
        name: str,
        bank: str,
        *,
        holder: Holder = Holder.PERSON,
        merchant: Merchant | None = None,
        days: int = 365,
        limits: PurseLimits = LIMITS,
        tier: int = 0,
        signed_by: SigningKey | None = None,
    ) -> Customer:
        """A customer with both certificates, not enrolled yet."""
        key, purse = SigningKey(seed(f"{name} online")), SigningKey(seed(f"{name} purse"))
        signer = signed_by or self.banks[bank]
        common = {
            "bank": bank,
            "subject": name,
            "issued_s": self.now_s,
            "expires_s": self.now_s + days * DAY_S,
            "holder": holder,
            "merchant": merchant,
            "tier": tier,
        }
        wallet_cwt = certificates.issue(signer, self.network, key=key.public, **common)
        purse_cwt = certificates.issue(
            signer, self.network, key=purse.public, limits=limits, online_key=key.public, **common
        )
        return Customer(name, bank, key, purse, wallet_cwt, purse_cwt)

    def definition(
        self, data: Data, sponsor: bytes, return_to: bytes, expires_s: int, wanted: Any = None
    ) -> Definition:
        condition = conditions.from_cbor(canonical(wanted or data.draw(CONDITIONS)))
        number = str(self.world.counter)
        self.nonce()
        mark, split = rule_from_cbor(data.draw(MARKS)), data.draw(SPLITS)
        titles = ("Meals", "Тамақ", "Еда")
        return Definition(number, titles, sponsor, return_to, condition, mark, expires_s, split)

    # --- payments between devices ---------------------------------------------------------------

    def known_leaves(self) -> dict[bytes, Leaf]:
        """Offline outputs as the devices know them, whether the ledger has seen them or not."""
        return self.unseen | self.model.outputs()

    def spendable(self) -> dict[bytes, Leaf]:
        """What an honest purse would still spend."""
        gone = {name for spend in self.model.evidence for name in spend["inputs"]} | set(dict(self.model.finals))
        return {name: leaf for name, leaf in self.known_leaves().items() if name not in self.spent | gone}

    def sign_payment(
        self,
        data: Data,
        leaves: dict[bytes, Leaf],
        fault: str,
        first: bytes | None = None,
        payee: Customer | None = None,
    ) -> bytes:
        """A payer's device signs a payment of some of these leaves; if it is well made, its outputs may be spent."""
        first = first or self.pick(data, leaves)
        payer = self.purses()[leaves[first].owner]
        payee = payee or self.pick(data, [person for person in self.people.values() if person is not payer])
        own = [name for name, leaf in leaves.items() if leaf.owner == payer.purse.public]
        inputs = list(dict.fromkeys([first, *self.pick_some(data, own, most=2)]))
        outputs = []
        for purpose, amount in self.sums(leaves[name] for name in inputs).items():
            # two purposes together stay below the purse's limit for one payment, now and then they do not
            most = min(amount, 260_00)
            paid = data.draw(st.one_of(st.just(most), st.integers(1, most)))
            outputs.append(Output(payee.purse.public, paid, purpose))
            change = self.divide(data, amount - paid) if amount > paid else []
            outputs += [Output(payer.purse.public, part, purpose) for part in change]
        terms = self.terms(data, payer, payee, 1 + max(leaves[name].hops for name in inputs))
        lines = data.draw(st.just(()) | LINES)
        draft = PaymentDraft(payer, payee, inputs, outputs, terms, [payer.purse], lines)
        self.spoil_money(data, draft, fault)
        self.spoil_terms(draft, fault)
        return self.sign(draft, fault)

    def spoil_money(self, data: Data, draft: PaymentDraft, fault: str) -> None:
        """Make one thing wrong with the inputs, the outputs or the signatures."""
        paid = draft.outputs[0]
        match fault:
            case "amount":
                draft.outputs[0] = replace(paid, amount_tiyn=paid.amount_tiyn + 1)
            case "purpose":
                other = None if paid.purpose else self.pick(data, self.model.purposes)
                draft.outputs[0] = replace(paid, purpose=other)
            case "third party":
                draft.outputs[0] = replace(paid, owner=STRANGER.public)
            case "unknown input":
                draft.inputs.append(seed("nothing") + b"\0\0")
            case "foreign":
                draft.inputs = list(dict.fromkeys([*draft.inputs, self.pick(data, self.known_leaves())]))
            case "another purse":
                draft.signers = [draft.payee.purse]
            case "two signers":
                draft.signers.append(draft.payee.purse)
            case "wallet signs":
                draft.signers = [draft.payer.key]

    def spoil_terms(self, draft: PaymentDraft, fault: str) -> None:
        """Make one thing wrong with what the payment says besides."""
        terms = draft.terms
        match fault:
            case "hop":
                terms["hop"] -= 1
            case "far":
                terms["hop"] += 9
            case "future":
                terms["ledger_time_s"] = self.now_s + 2
            case "stale":
                terms["trust_list_s"] = self.now_s - 6 * DAY_S
            case "young list":
                terms["trust_list_s"] = terms["ledger_time_s"] + 1
            case "too many":
                terms["spends"] = LIMITS.spends + 1
        certificates_named = {
            "wallet payer": ("payer_certificate", draft.payer.wallet_cwt),
            "another payer": ("payer_certificate", draft.payee.purse_cwt),
            "wallet payee": ("payee_certificate", draft.payee.wallet_cwt),
            "to itself": ("payee_certificate", draft.payer.purse_cwt),
        }
        if fault in certificates_named:
            field, cwt = certificates_named[fault]
            terms[field] = certificates.unverified(cwt, self.network)[0].id
        if fault in ("no payer", "no payee"):
            terms[f"{fault[3:]}_certificate"] = seed("nothing")

    def sign(self, draft: PaymentDraft, fault: str) -> bytes:
        terms = bodies.OfflineTerms(**draft.terms)
        until_s = terms.ledger_time_s - (fault == "late")
        body = bodies.Transfer(tuple(draft.inputs), tuple(draft.outputs), until_s, None, terms, draft.lines)
        raw = build(Kind.TRANSFER, body, draft.signers, self.network)
        self.remember_payment(raw)
        return raw

    def terms(self, data: Data, payer: Customer, payee: Customer, hop: int) -> dict[str, Any]:
        ledger_time_s = self.now_s - data.draw(st.sampled_from([0, 0, 60]))
        return {
            "invoice_id": seed(f"invoice {self.nonce().hex()}"),
            "payer_certificate": payer.certificate(self.network).id,
            "payee_certificate": payee.certificate(self.network).id,
            "counter": 1,
            "spends": data.draw(st.integers(1, LIMITS.spends)),
            "hop": hop,
            "trust_list_s": ledger_time_s - data.draw(st.sampled_from([0, 3600, DAY_S, 2 * DAY_S])),
            "ledger_time_s": ledger_time_s,
        }

    def remember_payment(self, raw: bytes) -> None:
        """The devices keep a payment; if they accept it, its outputs are money to them."""
        part = plain(raw, self.network)
        known = self.known_leaves()
        self.forgeries[part["id"]] = raw
        if len(part["signers"]) > 1:
            self.crowded.add(part["id"])
        try:
            payer = self.model.certificates[part["terms"]["payer"]]
            payee = self.model.certificates[part["terms"]["payee"]]
            made = self.model.outcome(part, payer, payee, [known[name] for name in part["inputs"]])
        except (Refused, KeyError):
            return
        self.payments[part["id"]] = self.forgeries.pop(part["id"])
        self.spent.update(part["inputs"])
        self.unseen |= {part["id"] + index.to_bytes(2, "big"): leaf for index, leaf in enumerate(made)}

    def bring(self, data: Data, payments: Iterable[bytes], *, with_ancestry: bool, bare: bool) -> None:
        """Show these payments to the ledger in any order, a forged one sometimes among them."""
        shown = list(payments)
        if with_ancestry:
            shown += self.ancestry(shown)
        if self.forgeries and self.fault(data, "forged"):
            shown.append(self.pick(data, self.forgeries))
        every = self.payments | self.forgeries
        raw = tuple(every[name] for name in data.draw(st.permutations(shown)))
        if bare:
            self.send(*raw)
            return
        message = build(Kind.RECONCILE, bodies.Reconcile(raw), [], self.network)
        if self.crowded.isdisjoint(shown):
            self.send(message)
        else:
            error = self.ledger.submit(message).exception(ANSWER_S)
            assert isinstance(error, Malformed)

    def share_an_input(self, raw: bytes, inputs: Iterable[bytes]) -> bool:
        return not set(plain(raw, self.network)["inputs"]).isdisjoint(inputs)

    def ancestry(self, payments: Iterable[bytes]) -> list[bytes]:
        """All payments that these come from."""
        found: list[bytes] = []
        waiting = list(payments)
        while waiting:
            inputs = plain((self.payments | self.forgeries)[waiting.pop()], self.network)["inputs"]
            parents = {name[:32] for name in inputs if name[:32] in self.payments} - set(found)
            found += sorted(parents)
            waiting += sorted(parents)
        return found
