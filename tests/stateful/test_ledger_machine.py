"""The real ledger against the naive model: random actions, valid and invalid, compared after every step."""

from __future__ import annotations

from dataclasses import replace

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import initialize, precondition, rule

from cbdc.errors import TengeError
from cbdc.formats import certificates, x509
from cbdc.formats.certificates import PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.formats.x509 import Role
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.policy import DAY_S, Policy
from cbdc.service.founding import Governor
from tests.stateful.economy import ANSWER_S, CANTEEN, CONSENT, GENEROUS, STRANGER, Data, Economy
from tests.stateful.plain import plain
from tests.stateful.programmes import Programmes
from tests.support import LATER_S, seed


class OfflineMachine(Economy):
    """Devices pay each other; forks, evidence in any order, deadlines."""

    # --- time -----------------------------------------------------------------------------------

    @rule(seconds=st.sampled_from([1, 3600, DAY_S, DAY_S, 3 * DAY_S, 8 * DAY_S, 22 * DAY_S]))
    def time_passes(self, seconds: int) -> None:
        self.now_s += seconds

    @precondition(lambda self: self.model.live())
    @rule(data=st.data(), late_s=st.sampled_from([-1, 0, 1]), finally_=st.booleans())
    def a_deadline_comes(self, data: Data, late_s: int, finally_: bool) -> None:
        """To the second: just before, at, or just after it, the owner takes the money back."""
        name = self.pick(data, self.model.live())
        leaf = self.model.live()[name]
        self.now_s = max(self.now_s, (leaf.final_at if finally_ else leaf.spend_until) + late_s)
        owner = self.purses()[leaf.owner]
        output = Output(owner.key.public, leaf.amount, leaf.purpose)
        self.do(Kind.UNLOAD, bodies.Unload((name,), (output,), self.valid_until("")), owner.purse)

    # --- payments -------------------------------------------------------------------------------
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

    @precondition(lambda self: self.spent)
    @rule(data=st.data(), order=st.permutations(["first", "second"]), swept=st.booleans())
    def fork_comes_to_light(self, data: Data, order: list[str], swept: bool) -> None:
        """Both spends of one output reach the ledger, in either order; what is seized may become final after that."""
        leaves = {name: leaf for name, leaf in self.known_leaves().items() if name in self.spent}
        second = plain(self.sign_payment(data, leaves, ""), self.network)
        rivals = [name for name, raw in self.payments.items() if self.share_an_input(raw, second["inputs"])]
        for spend in order:
            self.bring(data, rivals if spend == "first" else [second["id"]], with_ancestry=True, bare=False)
        if swept:
            self.sweep_all()

    @precondition(lambda self: self.spendable())
    @rule(data=st.data(), late=st.booleans(), times=st.integers(1, 2), alone_first=st.booleans())
    def a_payment_at_fault_is_passed_on(self, data: Data, late: bool, times: int, alone_first: bool) -> None:
        """A revoked purse pays; whoever takes it, knowing better or syncing too late, passes the money on (rule 5)."""
        leaves = self.spendable()
        first = self.pick(data, leaves)
        person = self.purses()[leaves[first].owner]
        lost = bodies.Revoke(person.certificate(self.network).id, f"lost {self.nonce().hex()}")
        self.do(Kind.REVOKE, lost, self.banks[person.bank])
        self.now_s += 1
        faulty = plain(self.sign_payment(data, {first: leaves[first]}, ""), self.network)["id"]
        made = {name: leaf for name, leaf in self.unseen.items() if name[:32] == faulty}
        if not made:
            return
        self.now_s += 4 * DAY_S if late else 0
        if alone_first:
            self.bring(data, [faulty], with_ancestry=True, bare=True)
        for raw in [self.sign_payment(data, made, "") for _ in range(times)]:
            self.bring(data, [plain(raw, self.network)["id"]], with_ancestry=True, bare=False)

    @precondition(lambda self: self.known_leaves())
    @rule(data=st.data())
    def forge_payment(self, data: Data) -> None:
        """A payment with one thing wrong with it, which the ledger may hear of at once."""
        fault = self.pick(
            data,
            [
                *("amount", "purpose", "third party", "hop", "far", "another purse", "two signers", "wallet signs"),
                *("wallet payer", "another payer", "no payer", "young list", "late"),
                *("wallet payee", "no payee", "to itself", "future", "stale", "too many", "unknown input", "foreign"),
            ],
        )
        raw = self.sign_payment(data, self.known_leaves(), fault)
        if data.draw(st.booleans()):
            self.bring(data, [plain(raw, self.network)["id"]], with_ancestry=True, bare=data.draw(st.booleans()))

    @precondition(lambda self: self.payments)
    @rule(data=st.data(), with_ancestry=st.booleans(), bare=st.booleans())
    def reconcile(self, data: Data, with_ancestry: bool, bare: bool) -> None:
        """Any payments, in any order and grouping, any of them twice, with or without what they come from."""
        chosen = self.pick_some(data, self.payments, most=5)
        chosen += chosen[: data.draw(st.integers(0, 2))]
        self.bring(data, chosen, with_ancestry=with_ancestry, bare=bare)

    # --- back to the ledger ---------------------------------------------------------------------
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

    @rule(data=st.data())
    def revoke(self, data: Data) -> None:
        fault = self.fault(data, "another bank", "unknown", "a person")
        person = self.person(data)
        cwt = person.purse_cwt if data.draw(st.booleans()) else person.wallet_cwt
        name = seed("nothing") if fault == "unknown" else certificates.unverified(cwt, self.network)[0].id
        signer = self.pick(data, self.banks.values()) if fault == "another bank" else self.banks[person.bank]
        body = bodies.Revoke(name, f"lost {self.nonce().hex()}")
        self.do(Kind.REVOKE, body, person.key if fault == "a person" else signer)

    # --- what falls due -------------------------------------------------------------------------

    @rule(data=st.data(), what=st.sampled_from(["all there is", "some", "too early"]))
    def sweep(self, data: Data, what: str) -> None:
        """What is due, or all that ever will be; or with something among it that is not."""
        if what == "all there is":
            self.sweep_all()
            return
        due = [name for _, name in self.model.due(self.now_s)]
        names = self.pick_some(data, due, most=20) if due else []
        if what == "too early":
            names = [*names, self.pick(data, [*self.model.tokens, *self.model.outputs(), seed("nothing") + b"\0\0"])]
        if names:
            self.do(Kind.SWEEP, bodies.Sweep(tuple(dict.fromkeys(names))))

    def sweep_all(self) -> None:
        """Time passes until every leaf is final."""
        self.now_s = max([self.now_s, *(leaf.final_at for leaf in self.model.live().values())])
        due = [name for _, name in self.model.due(self.now_s)]
        if due:
            self.do(Kind.SWEEP, bodies.Sweep(tuple(due)))


class LedgerMachine(OfflineMachine, Programmes):
    """Everything that happens offline, special-purpose money, and every other kind of entry."""

    # --- institutions and customers -------------------------------------------------------------

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
            offline_holding_tiyn=data.draw(st.sampled_from([1000_00, 1500_00])),
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
        fault = self.fault(
            data, "another bank's", "expired", "limits", "purse alone", "taken key", "bank's key", "two", "escrow"
        )
        bank = self.pick(data, self.banks)
        signer = self.banks[bank]
        person = self.certify(
            f"person{len(self.people)}",
            "altyn" if fault == "another bank's" else bank,
            merchant=data.draw(st.sampled_from([None, CANTEEN])),
            days=0 if fault == "expired" else data.draw(st.sampled_from([5, 365])),
            limits=PurseLimits(1500_00, 601_00, 3, 4) if fault == "limits" else PurseLimits(1000_00, 500_00, 3, 2),
            signed_by=signer,
        )
        raw = [person.wallet_cwt, person.purse_cwt]
        if fault == "purse alone":
            raw = raw[1:]
        if fault in ("taken key", "bank's key") or (fault == "escrow" and self.model.waiting):
            key = self.taken_key(data, fault)
            raw[0] = certificates.issue(
                signer,
                self.network,
                bank=bank,
                subject=person.name,
                key=key,
                issued_s=self.now_s,
                expires_s=LATER_S,
            )
        signers = [signer, STRANGER][:1]
        if self.do(Kind.ENROL, bodies.Enrol(tuple(raw)), *signers):
            self.people[person.name] = person

    def taken_key(self, data: Data, whose: str) -> bytes:
        """A key, or a payment's id, that may not be enrolled for somebody new."""
        if whose == "escrow":
            return self.pick(data, self.model.waiting)
        key = self.person(data).key if whose == "taken key" else self.pick(data, self.banks.values())
        return key.public

    @rule(data=st.data(), old=st.booleans())
    def renew_certificates(self, data: Data, old: bool) -> None:
        """New certificates for the same keys, while devices may go on with the old ones; or an old one once more."""
        if old and self.replaced:
            person = self.pick(data, self.replaced)
            self.do(Kind.ENROL, bodies.Enrol((person.purse_cwt,)), self.banks[person.bank])
            return
        person = self.person(data)
        before = certificates.unverified(person.purse_cwt, self.network)[0]
        self.now_s += self.now_s == before.issued_s
        limits = before.limits
        allowed = {of: tiyn for (of, account), tiyn in self.model.allowed.items() if account == before.account}
        if allowed and data.draw(st.integers(0, 3)):
            purpose = self.pick(data, allowed)
            more = self.fault(data, "more than allowed") != ""
            limits = replace(limits, allowances=((purpose, allowed[purpose] + more),))
        known = {"holder": before.holder, "merchant": before.merchant, "limits": limits, "tier": before.tier}
        fresh = self.certify(person.name, person.bank, **known)
        if self.do(Kind.ENROL, bodies.Enrol((fresh.wallet_cwt, fresh.purse_cwt)), self.banks[person.bank]):
            self.replaced.append(person)
            self.people[person.name] = fresh

    # --- online money ---------------------------------------------------------------------------

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
        per_purpose = self.sums(self.model.tokens[name] for name in inputs)
        total = per_purpose.pop(None, 1)
        amount = data.draw(st.integers(1, total))
        change_to = STRANGER if fault == "foreign change" else bank
        change = tuple(Output(change_to.public, part, None) for part in self.divide(data, total - amount) if part)
        change += tuple(Output(bank.public, marked, purpose) for purpose, marked in per_purpose.items())
        if fault == "foreign input":
            inputs.append(self.pick(data, self.model.tokens))
            inputs = list(dict.fromkeys(inputs))
        amount += fault == "amount"
        keys = [self.person(data).key if fault == "by a person" else bank]
        keys += [self.governor.key] * (redeems is not (fault == "signers"))
        kind, make = (Kind.REDEEM, bodies.Redeem) if redeems else (Kind.RESERVE, bodies.Reserve)
        self.do(kind, make(tuple(inputs), change, self.valid_until(fault), amount), *keys)

    @rule(data=st.data(), rest=st.booleans())
    def repay(self, data: Data, rest: bool) -> None:
        """Somebody pays a purse's debt: all of it, a part, or with one thing wrong."""
        fault = self.fault(data, "too much", "no debt", "unsigned", "amount", "late", "marked")
        debts = {purse: debt for purse, (_, debt) in self.model.debts().items() if debt}
        owned = {name: token for name, token in self.model.tokens.items() if token.owner in self.keys()}
        free = [name for name, token in owned.items() if token.purpose is None]
        names = list(owned) if fault == "marked" else free
        if not debts or not names:
            return
        purse = STRANGER.public if fault == "no debt" else self.pick(data, debts)
        owed = debts.get(purse, 1) + (fault == "too much")
        name = self.pick(data, names)
        token = self.model.tokens[name]
        amount = min(token.amount, owed if rest else data.draw(st.integers(1, owed)))
        left = token.amount - amount + (fault == "amount")
        change = (Output(token.owner, left, token.purpose),) if left else ()
        signer = STRANGER if fault == "unsigned" else self.keys()[token.owner]
        self.do(Kind.REPAY, bodies.Repay((name,), change, self.valid_until(fault), purse, amount), signer)

    @rule(data=st.data())
    def a_debtor_gets_another_purse(self, data: Data) -> None:
        """An account whose purse owes for a fork is certified anew: a second purse under its own online key."""
        person = self.person(data)
        signer = self.banks[person.bank]
        purse = SigningKey(seed(f"another purse {self.nonce().hex()}"))
        cwt = certificates.issue(
            signer,
            self.network,
            bank=person.bank,
            subject=person.name,
            key=purse.public,
            issued_s=self.now_s,
            expires_s=LATER_S,
            limits=PurseLimits(1000_00, 500_00, 3, 2),
            online_key=person.key.public,
        )
        self.do(Kind.ENROL, bodies.Enrol((cwt,)), signer)

    @rule(data=st.data())
    def transfer(self, data: Data) -> None:
        """Split, merge, several owners; marked money among it or not."""
        fault = self.fault(
            data, "amount", "purpose", "unsigned", "one too many", "late", "to a purse", "to nobody", "spent"
        )
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
        if fault == "one too many":
            signers.append(self.pick(data, [self.person(data).key, STRANGER]))
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


class PurposeMachine(Programmes):
    """Special-purpose money above all: several programmes, marks that travel online and off, payments that wait."""

    pay_offline = OfflineMachine.pay_offline
    reconcile = OfflineMachine.reconcile
    unload = OfflineMachine.unload
    sweep = OfflineMachine.sweep
    sweep_all = OfflineMachine.sweep_all
    renew_certificates = LedgerMachine.renew_certificates

    @rule(seconds=st.sampled_from([1, 3600, DAY_S, 4 * DAY_S]))
    def some_time_passes(self, seconds: int) -> None:
        self.now_s += seconds

    @initialize(data=st.data())
    def found(self, data: Data) -> None:
        super().found(data)
        for conditions in (GENEROUS, CONSENT):
            self.start_another(data, data.draw(conditions))

    def start_another(self, data: Data, condition: object) -> None:
        """A programme of which three people hold tokens online."""
        sponsor = self.people["akimat"]
        self.give(sponsor, 600_00)
        name = self.tokens_of(sponsor.key.public, free=True)[-1]
        total = self.model.tokens[name].amount
        body = self.definition(data, sponsor.key.public, sponsor.key.public, self.now_s + 30 * DAY_S, condition)
        purpose = self.do(Kind.PURPOSE, body, sponsor.key)
        owners = [self.people[name].key.public for name in ("aigul", "bolat", "canteen")]
        outputs = [Output(owner, total // 3, purpose) for owner in owners]
        outputs += [Output(sponsor.key.public, total % 3, None)] if total % 3 else []
        body = bodies.Grant((name,), tuple(outputs), self.valid_until(""), purpose)
        self.do(Kind.GRANT, body, sponsor.key)


OfflineMachine.TestCase.settings = settings(suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
LedgerMachine.TestCase.settings = OfflineMachine.TestCase.settings
TestOfflineMachine = OfflineMachine.TestCase
TestLedgerMachine = LedgerMachine.TestCase
PurposeMachine.TestCase.settings = OfflineMachine.TestCase.settings
TestPurposeMachine = PurposeMachine.TestCase
