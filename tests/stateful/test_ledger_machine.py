"""The real ledger against the naive model: random economies, valid and invalid, compared after every step."""

from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any, TypeVar

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cbdc.errors import TengeError
from cbdc.formats import cbor, certificates, x509
from cbdc.formats.certificates import Holder, Merchant, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.formats.x509 import Role
from cbdc.log.receipts import Receipt
from cbdc.messages import bodies
from cbdc.messages.message import Body, build
from cbdc.offline.documents import TrustList
from cbdc.policy import DAY_S, Policy
from cbdc.purposes import conditions
from cbdc.purposes.definition import Definition, MarkRule
from cbdc.service import verifiers
from cbdc.service.audit import verify_ledger
from cbdc.service.founding import Governor
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.queries import Queries
from cbdc.state.records import OfflineToken, Table, Token
from cbdc.store.sqlite import SqliteStore
from tests.stateful.model import Leaf, Model, Refused
from tests.stateful.plain import plain
from tests.support import LATER_S, NOW_S, YEAR_S, Customer, World, seed

T = TypeVar("T")
Data = Any
"""What `st.data()` gives to a rule."""

ANSWER_S = 20
POLICY = Policy(offline_holding_tiyn=3000_00, offline_payment_tiyn=500_00, offline_spends=3, offline_hops=3)
LIMITS = PurseLimits(3000_00, 500_00, 3, 3)
STRANGER = SigningKey(seed("stranger"))
CANTEEN, SHOP = Merchant("180540000011", "5812", "750000000"), Merchant("190640000022", "5411", "710000000")

# --- conditions --------------------------------------------------------------------------------


def some(*choices: str) -> st.SearchStrategy[list[str]]:
    return st.lists(st.sampled_from(choices), min_size=1, max_size=2, unique=True)


LEAVES = st.one_of(
    st.tuples(st.just("payee"), some("altyn/canteen", "berik/shop", "altyn/aigul")),
    st.tuples(st.just("payee_mcc"), some("5812", "5411", "5999")),
    st.tuples(st.just("payee_kato"), some("75", "71", "750000000")),
    st.tuples(st.just("per_payment"), st.sampled_from([50_00, 300_00, 100_000_00])),
    st.tuples(st.sampled_from(["after", "before"]), st.integers(-2, 20).map(lambda days: NOW_S + days * DAY_S)),
)


def joined(name: str, inner: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    return st.tuples(st.just(name), st.lists(inner, min_size=1, max_size=3))


# Known weakness: `all` answers with its first refusal, whatever the later ones are, so under `not` the spelling's order
# decides whether a lacking attribute counts. No `all` is drawn inside a `not`.
NEGATED = st.tuples(st.just("not"), st.one_of(LEAVES, joined("any", LEAVES)))
SIMPLE = st.one_of(LEAVES, NEGATED)
CONDITIONS = st.one_of(SIMPLE, joined("all", SIMPLE), joined("any", SIMPLE))


def canonical(condition: Any) -> cbor.Value:
    """The one spelling that the ledger takes."""
    name, argument = condition
    match name:
        case "all" | "any":
            return [name, sorted(map(canonical, argument), key=cbor.encode)]
        case "not":
            return [name, canonical(argument)]
        case _:
            return [name, sorted(argument) if isinstance(argument, list) else argument]


# --- the machine -------------------------------------------------------------------------------


class LedgerMachine(RuleBasedStateMachine):
    """Customers of two banks live; the ledger and the model must agree about all of it."""

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
        self.people: dict[str, Customer] = {}
        self.receipts: dict[bytes, Receipt] = {}
        self.payments: dict[bytes, bytes] = {}
        """All payments that devices ever signed, whether the ledger has seen them or not."""
        self.unseen: dict[bytes, Leaf] = {}
        """Outputs of well-made payments, as the devices know them."""
        self.spent: set[bytes] = set()
        """What devices have spent."""

    def open(self, store: SqliteStore) -> Ledger:
        return Ledger(store, self.identity, clock=lambda: self.now_s, verifier=verifiers.threads(1))

    # --- sending and comparing -----------------------------------------------------------------

    def send(self, *messages: bytes) -> list[bytes | None]:
        """Submit messages together; each must be answered as the model says. The ids of the accepted ones."""
        wanted: list[int | Refused] = []
        facts = [plain(raw, self.network) for raw in messages]
        for message in facts:
            try:
                wanted.append(self.model.submit(message, self.now_s))
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
                self.check_receipt(raw, answer.result(), want)
                accepted.append(message["id"])
        return accepted

    def check_refusal(self, kind: str, error: BaseException | None, want: Refused) -> None:
        assert isinstance(error, TengeError), f"{kind} should be refused with {set(want.codes)}, got {error!r}"
        assert error.code in want.codes, f"{kind} should be refused with {set(want.codes)}, got {error!r}"
        if want.winner is not None:
            assert error.values["winner"] == want.winner

    def check_receipt(self, raw: bytes, receipt: Receipt, index: int) -> None:
        assert receipt.index == index
        if raw in self.receipts:
            assert receipt == self.receipts[raw]
        elif index == self.model.entries - 1:
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
        assert {n: (t.owner, t.amount_tiyn, t.purpose) for n, t in tokens.items()} == model.tokens
        leaves = {name: OfflineToken.decode(value) for (_, name), value in store.records(Table.OFFLINE)}
        as_plain = {
            name: (t.owner, t.amount_tiyn, t.purpose, t.spend_until_s, t.final_at_s, t.hops)
            for name, t in leaves.items()
        }
        assert as_plain == model.outputs()
        assert {name for name, leaf in leaves.items() if leaf.is_live} == set(model.live())
        assert sorted(store.consumed_rows()) == sorted(model.consumed)
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
        }
        assert {(fork.account, fork.excess_tiyn, fork.debt_tiyn) for fork in queries.forks()} == debts
        assert queries.forked_outputs() == len(model.forked())
        assert queries.due(self.now_s, 10_000) == model.due(self.now_s)
        trust_list = TrustList.verify(queries.trust_list(), self.network)
        assert trust_list.revoked == model.revoked()
        admitted = {name for name, found in model.institutions.items() if not found["dismissed"]}
        assert {institution.name for institution in trust_list.institutions} == admitted

    def teardown(self) -> None:
        """The log alone gives the same state, and the file opens again as it was left."""
        self.ledger.close()
        self.queries.close()
        store = SqliteStore.open(self.path)
        try:
            if self.model.entries:
                verdict = verify_ledger(store, self.network)
                assert verdict.entries == self.model.entries
                assert all(verdict.laws.values())
                self.the_reopened_ledger_repeats_itself(store)
        finally:
            store.close()
            self.folder.cleanup()

    def the_reopened_ledger_repeats_itself(self, store: SqliteStore) -> None:
        with self.open(store) as ledger:
            raw, receipt = next(iter(self.receipts.items()))
            assert ledger.submit(raw).result(ANSWER_S) == receipt

    # --- choosing ------------------------------------------------------------------------------

    def pick(self, data: Data, choices: Iterable[T]) -> T:
        return data.draw(st.sampled_from(list(choices)))

    def pick_some(self, data: Data, choices: Iterable[T], most: int = 3) -> list[T]:
        return data.draw(st.lists(st.sampled_from(list(choices)), min_size=1, max_size=most, unique=True))

    def fault(self, data: Data, *faults: str) -> str:
        """Mostly none."""
        return self.pick(data, [*faults, *[""] * (len(faults) + 2)])

    def nonce(self) -> bytes:
        return self.world.nonce()

    def person(self, data: Data) -> Customer:
        return self.pick(data, self.people.values())

    def keys(self) -> dict[bytes, SigningKey]:
        """Everybody's keys for online tokens, by public key."""
        known = [*self.banks.values(), *(person.key for person in self.people.values())]
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
        for name, bank, holder, merchant in (
            ("aigul", "altyn", Holder.PERSON, None),
            ("bolat", "berik", Holder.PERSON, None),
            ("canteen", "altyn", Holder.MERCHANT, CANTEEN),
            ("shop", "berik", Holder.MERCHANT, SHOP),
            ("akimat", "altyn", Holder.SPONSOR, None),
        ):
            person = self.certify(name, bank, holder=holder, merchant=merchant)
            self.do(Kind.ENROL, bodies.Enrol((person.wallet_cwt, person.purse_cwt)), self.banks[bank])
            self.people[name] = person
            self.give(person, data.draw(st.integers(1, 900_00)))
            self.give(person, 1000_00)
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
        for name in self.tokens_of(person.key.public):
            token = self.model.tokens[name]
            output = Output(person.purse.public, token.amount, token.purpose)
            self.do(Kind.LOAD, bodies.Load((name,), (output,), self.valid_until("")), person.key)

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
        }
        wallet_cwt = certificates.issue(signer, self.network, key=key.public, **common)
        purse_cwt = certificates.issue(
            signer, self.network, key=purse.public, limits=limits, online_key=key.public, **common
        )
        return Customer(name, bank, key, purse, wallet_cwt, purse_cwt)

    def definition(self, data: Data, sponsor: bytes, return_to: bytes, expires_s: int) -> Definition:
        condition = conditions.from_cbor(canonical(data.draw(CONDITIONS)))
        number = str(self.world.counter)
        self.nonce()
        return Definition(number, ("Meals", "Тамақ", "Еда"), sponsor, return_to, condition, MarkRule.CLEARS, expires_s)

    # --- time ----------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 3600, DAY_S, DAY_S, 3 * DAY_S, 8 * DAY_S, 22 * DAY_S]))
    def time_passes(self, seconds: int) -> None:
        self.now_s += seconds

    # --- institutions and customers ------------------------------------------------------------

    @rule(data=st.data())
    def admit(self, data: Data) -> None:
        fault = self.pick(data, ["", "by a bank", "name taken", "key taken", "not a bank", "false root", "too old"])
        number = len(self.banks)
        name = "altyn" if fault == "name taken" else f"bank{number}"
        key = self.banks["altyn"] if fault == "key taken" else SigningKey(seed(f"bank {name}"))
        governor = Governor.from_seed(seed("another governor")) if fault == "false root" else self.governor
        since_s = self.now_s - 3651 * DAY_S if fault == "too old" else self.now_s
        role = Role.OPERATOR if fault == "not a bank" else Role.BANK
        body = bodies.Admit(x509.parse(governor.certify(name, role, key.public, since_s)))
        if self.do(Kind.ADMIT, body, key if fault == "by a bank" else self.governor.key):
            self.banks[name] = key

    @rule(data=st.data())
    def dismiss(self, data: Data) -> None:
        # rarely a real one: little happens between the customers of dismissed banks
        fault = self.pick(data, ["", "by a bank", "operator", "unknown"])
        admitted = {"operator": "Operator", "unknown": "nobody"}.get(fault) or self.pick(data, list(self.banks)[1:])
        body = bodies.Dismiss(admitted, "decision 7")
        self.do(Kind.DISMISS, body, self.banks["altyn"] if fault == "by a bank" else self.governor.key)

    @rule(data=st.data())
    def set_policy(self, data: Data) -> None:
        policy = Policy(
            offline_holding_tiyn=data.draw(st.sampled_from([1000_00, 3000_00])),
            offline_payment_tiyn=data.draw(st.sampled_from([500_00, 600_00])),
            offline_spends=3,
            offline_hops=data.draw(st.sampled_from([2, 3])),
            offline_spend_days=data.draw(st.sampled_from([1, 7])),
            offline_final_days=data.draw(st.sampled_from([8, 21])),
            trust_list_days=data.draw(st.sampled_from([1, 3, 5])),
        )
        signer = self.pick(data, [self.governor.key, self.governor.key, self.banks["altyn"]])
        self.do(Kind.POLICY, bodies.SetPolicy(policy, self.nonce()), signer)

    @precondition(lambda self: len(self.people) < 8)
    @rule(data=st.data())
    def enrol(self, data: Data) -> None:
        fault = self.fault(data, "another bank's", "expired", "limits", "purse alone", "taken key", "bank's key", "two")
        bank = self.pick(data, self.banks)
        signer = self.banks[bank]
        person = self.certify(
            f"person{len(self.people)}",
            "altyn" if fault == "another bank's" else bank,
            merchant=data.draw(st.sampled_from([None, CANTEEN])),
            days=0 if fault == "expired" else data.draw(st.sampled_from([5, 365])),
            limits=PurseLimits(3000_00, 601_00, 3, 4) if fault == "limits" else PurseLimits(1000_00, 500_00, 3, 2),
            signed_by=signer,
        )
        raw = [person.wallet_cwt, person.purse_cwt]
        if fault == "purse alone":
            raw = raw[1:]
        if fault in ("taken key", "bank's key"):
            key = self.person(data).key if fault == "taken key" else self.pick(data, self.banks.values())
            raw[0] = certificates.issue(
                signer,
                self.network,
                bank=bank,
                subject=person.name,
                key=key.public,
                issued_s=self.now_s,
                expires_s=LATER_S,
            )
        signers = [signer, STRANGER][:1]
        if self.do(Kind.ENROL, bodies.Enrol(tuple(raw)), *signers):
            self.people[person.name] = person

    @rule(data=st.data())
    def renew_certificates(self, data: Data) -> None:
        """A new certificate for the same keys. (Never an older one again: see `known weaknesses` below.)"""
        person = self.person(data)
        old = certificates.unverified(person.purse_cwt, self.network)[0]
        if self.now_s == old.issued_s:
            self.now_s += 1
        fresh = self.certify(person.name, person.bank, holder=old.holder, merchant=old.merchant, limits=old.limits)
        if self.do(Kind.ENROL, bodies.Enrol((fresh.wallet_cwt, fresh.purse_cwt)), self.banks[person.bank]):
            self.people[person.name] = fresh

    @rule(data=st.data())
    def revoke(self, data: Data) -> None:
        self.now_s += 1  # see `reconcile`
        fault = self.fault(data, "another bank", "unknown", "a person")
        person = self.person(data)
        cwt = person.purse_cwt if data.draw(st.booleans()) else person.wallet_cwt
        name = seed("nothing") if fault == "unknown" else certificates.unverified(cwt, self.network)[0].id
        signer = self.pick(data, self.banks.values()) if fault == "another bank" else self.banks[person.bank]
        body = bodies.Revoke(name, f"lost {self.nonce().hex()}")
        self.do(Kind.REVOKE, body, person.key if fault == "a person" else signer)

    # --- online money --------------------------------------------------------------------------

    @rule(data=st.data(), amount=st.integers(1, 2000_00))
    def issue(self, data: Data, amount: int) -> None:
        fault = self.fault(data, "by a bank", "to a person", "marked", "too much")
        bank = self.pick(data, self.banks.values())
        owner = self.person(data).key if fault == "to a person" else bank
        purpose = self.pick(data, self.model.purposes) if fault == "marked" else None
        output = Output(owner.public, 10**17 if fault == "too much" else amount, purpose)
        signer = bank if fault == "by a bank" else self.governor.key
        self.do(Kind.ISSUE, bodies.Issue((output,), self.nonce()), signer)

    @rule(data=st.data(), redeems=st.booleans())
    def redeem_or_set_aside(self, data: Data, redeems: bool) -> None:
        rich = [bank for bank in self.banks.values() if self.tokens_of(bank.public)]
        if not rich:
            return
        fault = self.fault(data, "amount", "foreign input", "foreign change", "late", "by a person", "signers")
        bank = self.pick(data, rich)
        inputs = self.pick_some(data, self.tokens_of(bank.public))
        total = sum(self.model.tokens[name].amount for name in inputs)
        amount = data.draw(st.integers(1, total))
        change_to = STRANGER if fault == "foreign change" else bank
        change = tuple(Output(change_to.public, part, None) for part in self.divide(data, total - amount) if part)
        if fault == "foreign input":
            inputs.append(self.pick(data, self.model.tokens))
            inputs = list(dict.fromkeys(inputs))
        amount += fault == "amount"
        keys = [self.person(data).key if fault == "by a person" else bank]
        keys += [self.governor.key] * (redeems is not (fault == "signers"))
        kind, make = (Kind.REDEEM, bodies.Redeem) if redeems else (Kind.RESERVE, bodies.Reserve)
        self.do(kind, make(tuple(inputs), change, self.valid_until(fault), amount), *keys)

    @rule(data=st.data())
    def transfer(self, data: Data) -> None:
        """Split, merge, several owners; marked money among it or not."""
        fault = self.fault(data, "amount", "purpose", "unsigned", "stranger", "late", "to a purse", "to nobody", "spent")
        owners = self.pick_some(data, self.owners(), most=2)
        inputs = [name for owner in owners for name in self.pick_some(data, self.tokens_of(owner), most=2)]
        recipients = {"to a purse": list(self.purses()), "to nobody": [STRANGER.public]}.get(fault, list(self.keys()))
        outputs = list(self.outputs(data, inputs, recipients))
        last = outputs[-1]
        if fault == "amount":
            outputs[-1] = Output(last.owner, last.amount_tiyn + 1, last.purpose)
        if fault == "purpose":
            other = None if last.purpose else self.pick(data, self.model.purposes)
            outputs[-1] = Output(last.owner, last.amount_tiyn, other)
        if fault == "spent" and self.model.consumed:
            used = self.pick(data, self.model.consumed)[0]
            inputs[0] = used if len(used) == 34 else used + b"\0\7"
        signers = [self.keys()[owner] for owner in owners]
        if fault == "unsigned":
            signers = [self.person(data).key]
        if fault == "stranger":
            signers.append(STRANGER)
        self.do(Kind.TRANSFER, bodies.Transfer(tuple(inputs), tuple(outputs), self.valid_until(fault)), *signers)

    @rule(data=st.data())
    def race(self, data: Data) -> None:
        """Several messages for one token in one group, one of them twice: the first wins."""
        owner = self.pick(data, self.owners(free=True))
        name = self.pick(data, self.tokens_of(owner, free=True))
        amount = self.model.tokens[name].amount
        messages = [
            build(
                Kind.TRANSFER,
                bodies.Transfer((name,), (Output(key, amount, None),), self.valid_until("")),
                [self.keys()[owner]],
                self.network,
            )
            for key in self.pick_some(data, self.keys())
        ]
        self.send(*messages, messages[0])

    @rule(data=st.data())
    def say_it_again(self, data: Data) -> None:
        """Whatever has changed since, the same bytes get the same receipt."""
        self.send(self.pick(data, self.receipts))

    @rule(data=st.data(), bit=st.integers(0, 511))
    def spoil_a_signature(self, data: Data, bit: int) -> None:
        """A well-formed message whose last signature does not hold is refused before anything else is asked."""
        owner = self.pick(data, self.owners())
        name = self.pick(data, self.tokens_of(owner))
        token = self.model.tokens[name]
        body = bodies.Transfer((name,), (Output(owner, token.amount, token.purpose),), LATER_S)
        raw = bytearray(build(Kind.TRANSFER, body, [self.keys()[owner]], self.network))
        raw[-1 - bit // 8] ^= 1 << bit % 8
        error = self.ledger.submit(bytes(raw)).exception(ANSWER_S)
        assert isinstance(error, TengeError)
        assert error.code == "bad_signature"

    # --- special-purpose money -----------------------------------------------------------------

    @precondition(lambda self: len(self.model.purposes) < 4)
    @rule(data=st.data())
    def define(self, data: Data) -> None:
        fault = self.fault(data, "expired", "signer", "no sponsor", "return to purse", "return to nobody")
        sponsor = self.person(data) if fault == "no sponsor" else self.people["akimat"]
        return_to = {"return to purse": sponsor.purse, "return to nobody": STRANGER}.get(fault, sponsor.key)
        days = 0 if fault == "expired" else data.draw(st.sampled_from([1, 5, 30]))
        body = self.definition(data, sponsor.key.public, return_to.public, self.now_s + days * DAY_S)
        self.do(Kind.PURPOSE, body, STRANGER if fault == "signer" else sponsor.key)

    @rule(data=st.data())
    def grant(self, data: Data) -> None:
        fault = self.fault(data, "purpose", "not sponsor", "amount", "marked input", "free gift", "late", "to a purse")
        owner = self.person(data).key if fault == "not sponsor" else self.people["akimat"].key
        own = self.tokens_of(owner.public, free=fault != "marked input")
        if not own:
            return
        inputs = self.pick_some(data, own)
        total = sum(self.model.tokens[name].amount for name in inputs)
        purpose = seed("nothing") if fault == "purpose" else self.pick(data, self.model.purposes)
        people = [person.purse if fault == "to a purse" else person.key for person in self.people.values()]
        granted, *change = self.divide(data, total)
        outputs = [Output(self.pick(data, people).public, granted + (fault == "amount"), purpose)]
        outputs += [Output(owner.public, part, None) for part in change]
        if fault == "free gift":
            outputs[-1] = Output(self.pick(data, people).public, outputs[-1].amount_tiyn, None)
        body = bodies.Grant(tuple(inputs), tuple(outputs), self.valid_until(fault), purpose)
        self.do(Kind.GRANT, body, owner)

    # --- purses --------------------------------------------------------------------------------

    @rule(data=st.data())
    def load(self, data: Data) -> None:
        fault = self.fault(data, "amount", "two purses", "no purse", "third party", "another's purse", "late")
        rich = [person for person in self.people.values() if self.tokens_of(person.key.public)]
        if not rich:
            return
        person = self.pick(data, rich)
        inputs = self.pick_some(data, self.tokens_of(person.key.public))
        purse = self.person(data).purse if fault == "another's purse" else person.purse
        owners = [purse.public, purse.public, person.key.public]
        owners += {"two purses": list(self.purses()), "third party": list(self.keys())}.get(fault, [])
        outputs = self.outputs(data, inputs, owners)
        if fault == "no purse":
            outputs = tuple(Output(person.key.public, o.amount_tiyn, o.purpose) for o in outputs)
        if fault == "amount":
            outputs += (Output(purse.public, 1, None),)
        self.do(Kind.LOAD, bodies.Load(tuple(inputs), outputs, self.valid_until(fault)), person.key)

    @precondition(lambda self: self.model.outputs())
    @rule(data=st.data(), renews=st.sampled_from(["unload", "renew", "both"]))
    def unload(self, data: Data, renews: str) -> None:
        """To the online key, to the purse itself with fresh deadlines, or some of each."""
        fault = self.fault(data, "any input", "unknown input", "third party", "amount", "by another", "late", "two")
        leaves = self.model.outputs() if fault == "any input" else self.model.live()
        if not leaves:
            return
        first = self.pick(data, leaves)
        person = self.purses()[leaves[first].owner]
        own = [name for name, leaf in leaves.items() if leaf.owner == person.purse.public]
        inputs = list(dict.fromkeys([first, *self.pick_some(data, own)]))
        owners = {"unload": [person.key], "renew": [person.purse], "both": [person.key, person.purse]}[renews]
        made = []
        for purpose, amount in self.sums(leaves[name] for name in inputs).items():
            made += [Output(self.pick(data, owners).public, p, purpose) for p in self.divide(data, amount)]
        if fault == "unknown input":
            inputs.append(seed("nothing") + b"\0\0")
        if fault in ("third party", "amount"):
            owner = STRANGER.public if fault == "third party" else made[-1].owner
            made[-1] = Output(owner, made[-1].amount_tiyn + (fault == "amount"), made[-1].purpose)
        signers = [STRANGER if fault == "by another" else person.purse]
        signers += [STRANGER] * (fault == "two")
        self.do(Kind.UNLOAD, bodies.Unload(tuple(inputs), tuple(made), self.valid_until(fault)), *signers)

    # --- payments between devices --------------------------------------------------------------

    def known_leaves(self) -> dict[bytes, Leaf]:
        """Offline outputs as the devices know them, whether the ledger has seen them or not."""
        return self.unseen | self.model.outputs()

    def spendable(self) -> dict[bytes, Leaf]:
        """What an honest purse would still spend."""
        gone = {name for spend in self.model.evidence for name in spend["inputs"]} | set(dict(self.model.finals))
        return {name: leaf for name, leaf in self.known_leaves().items() if name not in self.spent | gone}

    @precondition(lambda self: self.spendable())
    @rule(data=st.data())
    def pay_offline(self, data: Data) -> None:
        """An honest payment, soon for money that the ledger has not heard of: it moves on at once."""
        self.sign_payment(data, self.spendable(), "")

    @precondition(lambda self: self.spent)
    @rule(data=st.data())
    def fork(self, data: Data) -> None:
        """A clone spends again what its other half has spent."""
        leaves = {name: leaf for name, leaf in self.known_leaves().items() if name in self.spent}
        self.sign_payment(data, leaves, "")

    @precondition(lambda self: self.known_leaves())
    @rule(data=st.data())
    def forge_payment(self, data: Data) -> None:
        """A payment with one thing wrong with it, which the ledger hears of at once."""
        fault = self.pick(
            data,
            [
                *("amount", "purpose", "third party", "hop", "far", "another purse", "two signers", "wallet signs"),
                *("wallet payee", "no payee", "to itself", "future", "stale", "too many", "unknown input", "foreign"),
            ],
        )
        raw = self.sign_payment(data, self.known_leaves(), fault)
        self.now_s += 1
        self.send(raw)

    def sign_payment(self, data: Data, leaves: dict[bytes, Leaf], fault: str) -> bytes:
        """A payer's device signs a payment of some of these leaves; if it is well made, its outputs may be spent."""
        first = self.pick(data, leaves)
        payer = self.purses()[leaves[first].owner]
        own = [name for name, leaf in leaves.items() if leaf.owner == payer.purse.public]
        inputs = list(dict.fromkeys([first, *self.pick_some(data, own, most=2)]))
        payee = self.pick(data, [person for person in self.people.values() if person is not payer])
        made = []
        for purpose, amount in self.sums(leaves[name] for name in inputs).items():
            paid, *change = self.divide(data, amount)
            made.append(Output(payee.purse.public, paid, purpose))
            made += [Output(payer.purse.public, part, purpose) for part in change]
        terms = self.terms(data, payee, 1 + max(leaves[name].hops for name in inputs))
        signers = [payer.purse]
        # --- one thing wrong
        match fault:
            case "amount":
                made[0] = Output(made[0].owner, made[0].amount_tiyn + 1, made[0].purpose)
            case "purpose":
                other = None if made[0].purpose else self.pick(data, self.model.purposes)
                made[0] = Output(made[0].owner, made[0].amount_tiyn, other)
            case "third party":
                made[0] = Output(STRANGER.public, made[0].amount_tiyn, made[0].purpose)
            case "hop" | "far":
                terms["hop"] += 9 if fault == "far" else -1
            case "another purse":
                signers = [payee.purse]
            case "two signers":
                signers.append(payee.purse)
            case "wallet signs":
                signers = [payer.key]
            case "wallet payee":
                terms["payee_certificate"] = certificates.unverified(payee.wallet_cwt, self.network)[0].id
            case "no payee":
                terms["payee_certificate"] = seed("nothing")
            case "to itself":
                terms["payee_certificate"] = payer.certificate(self.network).id
            case "future":
                terms["ledger_time_s"] = self.now_s + 2
            case "stale":
                terms["trust_list_s"] = self.now_s - 6 * DAY_S
            case "too many":
                terms["spends"] = LIMITS.spends + 1
            case "unknown input":
                inputs.append(seed("nothing") + b"\0\0")
            case "foreign":
                inputs = list(dict.fromkeys([*inputs, self.pick(data, self.known_leaves())]))
        body = bodies.Transfer(tuple(inputs), tuple(made), LATER_S, None, bodies.OfflineTerms(**terms))
        raw = build(Kind.TRANSFER, body, signers, self.network)
        self.remember_payment(raw)
        return raw

    def terms(self, data: Data, payee: Customer, hop: int) -> dict[str, Any]:
        return {
            "invoice_id": seed(f"invoice {self.nonce().hex()}"),
            "payee_certificate": payee.certificate(self.network).id,
            "counter": 1,
            "spends": data.draw(st.integers(1, LIMITS.spends)),
            "hop": hop,
            "trust_list_s": self.now_s - data.draw(st.sampled_from([0, 3600, DAY_S, 2 * DAY_S])),
            "ledger_time_s": self.now_s - data.draw(st.sampled_from([0, 0, 60])),
        }

    def remember_payment(self, raw: bytes) -> None:
        """The devices keep a payment; if they accept it, its outputs are money to them."""
        part = plain(raw, self.network)
        self.payments[part["id"]] = raw
        known = self.known_leaves()
        try:
            payer = self.model.certificate_of(next(iter(part["signers"])), "purse")
            payee = self.model.certificates[part["terms"]["payee"]]
            made = self.model.outcome(part, payer, payee, [known[name] for name in part["inputs"]])
        except (Refused, KeyError):
            return
        self.spent.update(part["inputs"])
        self.unseen |= {part["id"] + index.to_bytes(2, "big"): leaf for index, leaf in enumerate(made)}

    @precondition(lambda self: self.payments)
    @rule(data=st.data(), with_ancestry=st.booleans(), bare=st.booleans())
    def reconcile(self, data: Data, with_ancestry: bool, bare: bool) -> None:
        """Any payments, in any order and grouping, any of them twice, with or without what they come from."""
        # Known weakness: trust lists are numbered in whole seconds, so a list signed *before* a revocation in the same
        # second counts as one that knows it, and then the order of the evidence decides. Here a second always
        # passes between the newest trust list and a fork or a revocation.
        self.now_s += 1
        chosen = data.draw(st.lists(st.sampled_from(sorted(self.payments)), min_size=1, max_size=5))
        if with_ancestry:
            chosen += self.ancestry(chosen)
        chosen = data.draw(st.permutations(chosen))
        raw = tuple(self.payments[name] for name in chosen)
        if bare:
            self.send(*raw)
        else:
            self.send(build(Kind.RECONCILE, bodies.Reconcile(raw), [], self.network))

    def ancestry(self, payments: Iterable[bytes]) -> list[bytes]:
        """All payments that these come from."""
        found: list[bytes] = []
        waiting = list(payments)
        while waiting:
            inputs = plain(self.payments[waiting.pop()], self.network)["inputs"]
            parents = {name[:32] for name in inputs if name[:32] in self.payments} - set(found)
            found += sorted(parents)
            waiting += sorted(parents)
        return found

    # --- what falls due ------------------------------------------------------------------------

    @rule(data=st.data(), early=st.booleans())
    def sweep(self, data: Data, early: bool) -> None:
        """Some of what is due; or with something among it that is not."""
        due = [name for _, name in self.model.due(self.now_s)]
        names = self.pick_some(data, due, most=20) if due else []
        if early and self.pick(data, [True, False, False]):
            names.append(self.pick(data, [*self.model.tokens, *self.model.outputs(), seed("nothing") + b"\0\0"]))
        if names:
            self.do(Kind.SWEEP, bodies.Sweep(tuple(dict.fromkeys(names))))


LedgerMachine.TestCase.settings = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
TestLedgerMachine = LedgerMachine.TestCase
