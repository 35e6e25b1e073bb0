"""The machines' rules about special-purpose money: define, grant, pay, wait, refund, recall, allow."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import precondition, rule

from cbdc.formats import certificates, requests
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output
from cbdc.messages import bodies
from cbdc.policy import DAY_S
from tests.stateful import model
from tests.stateful.economy import APPROVERS, FACTS, LINES, STRANGER, Data, Economy
from tests.stateful.naive_conditions import WAITS, allows, leaves_of
from tests.stateful.plain import plain
from tests.support import Customer, seed


class Programmes(Economy):
    """Sponsors' money, with every way to spend it rightly or wrongly."""

    # --- special-purpose money ------------------------------------------------------------------

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

    def seldom(self, data: Data, *faults: str) -> str:
        """Mostly none, and none at first."""
        return self.pick(data, [*[""] * (2 * len(faults)), *faults])

    @precondition(lambda self: self.marked())
    @rule(data=st.data(), with_request=st.booleans())
    def pay_marked(self, data: Data, with_request: bool) -> None:
        """Tokens of one purpose to one payee, mostly one who may get them; the split is kept, or there is a fault."""
        faults = ("split", "asks for more", "asked by another", "asked before", "waits too long", "free too")
        self.send_marked(data, self.pick(data, self.marked()), self.seldom(data, *faults), with_request=with_request)

    @precondition(lambda self: self.asking("approval", "evidence"))
    @rule(data=st.data(), with_request=st.booleans(), first=st.booleans(), days=st.sampled_from([0, 0, 1, 5]))
    def pay_and_get_consent(self, data: Data, with_request: bool, first: bool, days: int) -> None:
        """A payment that waits, and all that it waits for, the evidence sometimes before it; it may be too late."""
        name = self.pick(data, self.asking("approval", "evidence"))
        condition = self.model.purposes[self.model.tokens[name].purpose]["condition"]
        account = self.model.account_of(self.model.tokens[name].owner)
        if first:
            self.consent(data, condition, account)
        payment = self.send_marked(data, name, "", with_request=with_request)
        self.now_s += days * DAY_S
        if payment:
            self.consent(data, condition, self.pick(data, [payment, payment, account]))
            self.sweep_what_is_due(data)

    @precondition(lambda self: self.asking("approval", "evidence"))
    @rule(data=st.data(), bank=st.booleans())
    def pay_whom_nobody_vouches_for(self, data: Data, bank: bool) -> None:
        """A payment that waits, its payee revoked or his bank dismissed meanwhile; then all comes that it waits for."""
        name = self.pick(data, self.asking("approval", "evidence"))
        condition = self.model.purposes[self.model.tokens[name].purpose]["condition"]
        payment = self.send_marked(data, name, self.pick(data, ["", "free too"]), with_request=False)
        if payment not in self.model.waiting:
            return
        payees = [self.model.account_of(before.owner) for _, before, _ in self.model.waiting[payment].held]
        people = [person for person in self.people.values() if f"{person.bank}/{person.name}" in payees]
        if people:
            self.lose_standing(self.pick(data, people), bank=bank)
        self.consent(data, condition, payment)
        self.sweep_what_is_due(data)

    def lose_standing(self, person: Customer, *, bank: bool) -> None:
        """A customer is revoked, his purse as well, or his bank is dismissed."""
        if bank:
            self.do(Kind.DISMISS, bodies.Dismiss(person.bank, f"decision {self.nonce().hex()}"), self.governor.key)
            return
        for cwt in (person.wallet_cwt, person.purse_cwt):
            name = certificates.unverified(cwt, self.network)[0].id
            self.do(Kind.REVOKE, bodies.Revoke(name, f"lost {self.nonce().hex()}"), self.banks[person.bank])

    @precondition(lambda self: any(leaf.purpose for leaf in self.spendable().values()))
    @rule(data=st.data(), bank=st.booleans(), before=st.booleans(), passed_on=st.booleans())
    def pay_a_purse_that_nobody_vouches_for(self, data: Data, bank: bool, before: bool, passed_on: bool) -> None:
        """Marked money between purses, the payee's standing lost just before or just after; it may travel on."""
        leaves = self.spendable()
        first = self.pick(data, [name for name, leaf in leaves.items() if leaf.purpose])
        payer = self.purses()[leaves[first].owner]
        payee = self.pick(data, [person for person in self.people.values() if person is not payer])
        if before:
            self.lose_standing(payee, bank=bank)
            self.now_s += self.pick(data, [1, 3601, 3 * DAY_S])
        raw = self.sign_payment(data, leaves, "", first, payee)
        if not before:
            self.lose_standing(payee, bank=bank)
        shown = [plain(raw, self.network)["id"]]
        made = {name: leaf for name, leaf in self.unseen.items() if name[:32] == shown[0]}
        if made and passed_on:
            shown = [plain(self.sign_payment(data, made, ""), self.network)["id"]]
        self.bring(data, shown, with_ancestry=True, bare=False)

    @rule(name=st.sampled_from(["akimat", "bolat"]), days=st.integers(1, 3))
    def an_approver_runs_out_soon(self, name: str, days: int) -> None:
        """Somebody is certified anew, for a few days only."""
        before = self.people[name]
        known = certificates.unverified(before.purse_cwt, self.network)[0]
        self.now_s += self.now_s == known.issued_s
        fresh = self.certify(name, before.bank, holder=known.holder, days=days)
        if self.do(Kind.ENROL, bodies.Enrol((fresh.wallet_cwt, fresh.purse_cwt)), self.banks[before.bank]):
            self.replaced.append(before)
            self.people[name] = fresh

    @precondition(lambda self: self.asking("until_evidence"))
    @rule(data=st.data(), about=st.sampled_from(["payment", "payee", "payer"]))
    def pay_and_prove(self, data: Data, about: str) -> None:
        """Marks that an oracle lifts, the payment's or all of an account's; then somebody uses the tokens."""
        name = self.pick(data, self.asking("until_evidence"))
        payer = self.model.account_of(self.model.tokens[name].owner)
        payment = self.send_marked(data, name, "", with_request=False)
        if payment is None:
            return
        made = [token for found, token in self.marked().items() if found[:32] == payment]
        payees = [self.model.account_of(token.owner) for token in made]
        subject = {"payment": payment, "payer": payer, "payee": self.pick(data, [*payees, payer])}[about]
        self.do(Kind.ATTEST, bodies.Attest("lab", self.pick(data, FACTS), subject), self.oracle)
        if data.draw(st.booleans()):
            self.sweep_what_is_due(data)
        elif self.marked():
            self.send_marked(data, self.pick(data, self.marked()), "", with_request=False)

    def asking(self, *what: str) -> list[bytes]:
        """Marked tokens whose purpose has such a condition or rule."""
        found = []
        for name, token in self.marked().items():
            definition = self.model.purposes[token.purpose]
            names = {leaf[0] for leaf in leaves_of(definition["condition"])} | {definition["mark"][0]}
            if names & set(what) and self.now_s < definition["expires"]:
                found.append(name)
        return found

    def consent(self, data: Data, condition: list[Any], about: bytes | str) -> None:
        """Whatever approval and evidence a condition asks for."""
        signers = self.approving()
        for name, argument in leaves_of(condition):
            if name == "approval" and isinstance(about, bytes):
                for by in argument[0]:
                    self.do(Kind.APPROVE, bodies.Approve(about, by), signers[by])
            elif name == "evidence":
                self.do(Kind.ATTEST, bodies.Attest(*argument, about), self.oracle)

    def approving(self) -> dict[str, SigningKey]:
        """Account -> key of everybody who might approve."""
        return {"board": self.board} | {f"{p.bank}/{p.name}": p.key for p in self.people.values()}

    def sweep_what_is_due(self, data: Data) -> None:
        due = [name for _, name in self.model.due(self.now_s)]
        if due:
            self.do(Kind.SWEEP, bodies.Sweep(tuple(self.pick_some(data, due))))

    def send_marked(self, data: Data, first: bytes, fault: str, *, with_request: bool) -> bytes | None:
        """Pay with this token and perhaps others of its owner and purpose; the payment's id if it is accepted."""
        token = self.model.tokens[first]
        payer = self.keys()[token.owner]
        own = [name for name, other in self.marked().items() if other[:3:2] == token[:3:2]]
        inputs = list(dict.fromkeys([first, *self.pick_some(data, own)]))
        total = sum(self.model.tokens[name].amount for name in inputs)
        amount = data.draw(st.one_of(st.integers(1, total), st.just(total)))
        lines = data.draw(LINES) if with_request else ()
        payee = self.pick_payee(data, token.purpose, payer.public, amount, lines)
        outputs = self.divided(token.purpose, payee.public, amount + (fault == "split"))
        outputs += [Output(payer.public, part, token.purpose) for part in self.divide(data, total - amount) if part]
        if fault == "free too" and self.tokens_of(payer.public, free=True):
            name = self.pick(data, self.tokens_of(payer.public, free=True))
            inputs.append(name)
            outputs.append(Output(payee.public, self.model.tokens[name].amount, None))
        request = None
        if with_request:
            asker = self.person(data).key if fault == "asked by another" else payee
            asked = sum(output.amount_tiyn for output in outputs if output.owner != payer.public)
            nonce = bytes(16) if fault == "asked before" else self.nonce()
            request = requests.sign(asker, self.network, asked + (fault == "asks for more"), lines, nonce)
        days = 367 if fault == "waits too long" else data.draw(st.sampled_from([30, 1, 366]))
        until_s = self.now_s + days * DAY_S
        body = bodies.Transfer(tuple(inputs), tuple(outputs), until_s, None, None, lines, request)
        return self.do(Kind.TRANSFER, body, payer)

    def marked(self) -> dict[bytes, model.Output]:
        """Marked tokens that somebody can sign for."""
        found = self.model.tokens.items()
        return {name: token for name, token in found if token.purpose is not None and token.owner in self.keys()}

    def pick_payee(self, data: Data, purpose: bytes, payer: bytes, amount: int, lines: tuple[Line, ...]) -> SigningKey:
        others = {public: key for public, key in self.keys().items() if public != payer}
        plain_lines = [(line.category, line.amount_tiyn) for line in lines]
        account = self.model.account_of(payer)
        welcome = []
        for public, key in others.items():
            with suppress(model.Refused):
                facts = self.model._facts(b"", account, public, amount, amount, self.now_s, plain_lines, purpose)
                if allows(self.model.purposes[purpose]["condition"], facts) >= WAITS:
                    welcome.append(key)
        return self.pick(data, welcome if welcome and data.draw(st.integers(0, 3)) else others.values())

    def divided(self, purpose: bytes, payee: bytes, amount: int) -> list[Output]:
        """A payment as the purpose's rule divides it, if it has one."""
        split = self.model.purposes[purpose]["split"]
        if split is None:
            return [Output(payee, amount, purpose)]
        to, parts, of = split
        part = (2 * amount * parts + of) // (2 * of)
        key = next(public for public in self.keys() if self.model.account_of(public) == to)
        shares = [Output(payee, amount - part, purpose)] if amount > part else []
        return [*shares, Output(key, part, purpose)] if part else shares

    @precondition(lambda self: self.model.waiting)
    @rule(data=st.data())
    def approve(self, data: Data) -> None:
        fault = self.seldom(data, "unknown", "in another's name", "two", "anybody")
        payment = seed("nothing") if fault == "unknown" else self.pick(data, self.model.waiting)
        signers = self.approving()
        by = self.pick(data, signers if fault == "anybody" else APPROVERS)
        keys = [STRANGER if fault == "in another's name" else signers[by], self.board][: 2 if fault == "two" else 1]
        self.do(Kind.APPROVE, bodies.Approve(payment, by), *dict.fromkeys(keys))

    @rule(data=st.data())
    def attest(self, data: Data) -> None:
        """About a payment that waits, or whatever brought a token, or somebody."""
        fault = self.seldom(data, "by a bank", "in another's name", "two")
        choices = [*self.model.waiting, *(name[:32] for name in self.marked()), *(self.marked_accounts())]
        about = self.pick(data, choices) if choices else "altyn/aigul"
        name = "board" if fault == "in another's name" else "lab"
        signer = self.banks["altyn"] if fault == "by a bank" else self.oracle
        keys = [signer, STRANGER][: 2 if fault == "two" else 1]
        self.do(Kind.ATTEST, bodies.Attest(name, self.pick(data, FACTS), about), *keys)

    def marked_accounts(self) -> list[str]:
        return [self.model.account_of(token.owner) for token in self.marked().values()]

    @precondition(lambda self: any(not waiting.lapsed for waiting in self.model.waiting.values()))
    @rule(data=st.data(), late_s=st.sampled_from([-1, 0, 1]))
    def a_wait_ends(self, data: Data, late_s: int) -> None:
        """To the second: just before, at, or just after a waiting payment lapses, somebody sweeps it."""
        payment = self.pick(data, [name for name, held in self.model.waiting.items() if not held.lapsed])
        self.now_s = max(self.now_s, self.model.waiting[payment].until + late_s)
        held = [name for name, token in self.model.tokens.items() if token.owner == payment]
        self.do(Kind.SWEEP, bodies.Sweep(tuple(self.pick_some(data, held, most=1))))

    @rule(data=st.data())
    def refund(self, data: Data) -> None:
        """All or a part of what a payment brought, out of free or marked tokens, or with one thing wrong."""
        fault = self.seldom(data, "amount", "to another", "free", "unknown", "too much", "change", "late", "by another")
        offline = [
            (spend["id"], output.purpose, output.owner)
            for spend in self.model.evidence
            for output in (spend["outputs"] if spend.get("terms") else ())
            if output.purpose
        ]
        choices = [*self.model.paid, *offline]
        if not choices:
            return
        payment, purpose, payee = self.pick(data, choices)
        found = self.model.paid.get((payment, purpose, payee)) or self.model._paid_offline(payment, purpose, payee)
        payer, paid, _ = found or ("altyn/aigul", 1, None)
        merchant = self.keys_of(self.model.account_of(payee))
        customer = self.keys_of(payer)
        signer = self.person(data).key if fault == "by another" else merchant
        own = [name for name in self.tokens_of(signer.public) if self.model.tokens[name].purpose in (None, purpose)]
        if not own or signer is customer:
            return
        inputs = self.pick_some(data, own)
        totals = self.sums(self.model.tokens[name] for name in inputs)
        free, bound = totals.get(None, 0), totals.get(purpose, 0)
        rest = paid - self.model.refunded[payment, purpose, payee]
        back = rest + 1 if fault == "too much" else data.draw(st.integers(1, max(1, min(rest, free + bound))))
        back = min(back, free + bound)
        from_free = data.draw(st.integers(max(0, back - bound), min(back, free)))
        to = self.person(data).key if fault == "to another" else customer
        outputs = [Output(to.public, back + (fault == "amount"), None if fault == "free" else purpose)]
        change = {None: free - from_free, purpose: bound - (back - from_free)}
        if fault == "change":
            change = {None: sum(change.values())}
        outputs += [Output(signer.public, tiyn, mark) for mark, tiyn in change.items() if tiyn]
        about = seed("nothing") if fault == "unknown" else payment
        body = bodies.Refund(tuple(inputs), tuple(outputs), self.valid_until(fault), about, purpose, payee)
        self.do(Kind.REFUND, body, signer)

    def keys_of(self, account: str) -> SigningKey:
        """The online key of an account."""
        return next(key for public, key in self.keys().items() if self.model.account_of(public) == account)

    @precondition(lambda self: any(token.purpose for token in self.model.tokens.values()))
    @rule(data=st.data())
    def recall(self, data: Data) -> None:
        fault = self.seldom(data, "sponsor alone", "not sponsor", "another purpose", "free too", "unknown")
        marked = [name for name, token in self.model.tokens.items() if token.purpose is not None]
        first = self.pick(data, marked)
        purpose = self.model.tokens[first].purpose
        same = [name for name in marked if self.model.tokens[name].purpose == purpose]
        names = list(dict.fromkeys([first, *self.pick_some(data, same)]))
        if fault == "free too":
            names = list(dict.fromkeys([*names, self.pick(data, self.model.tokens)]))
        if fault in ("another purpose", "unknown"):
            purpose = seed("nothing") if fault == "unknown" else self.pick(data, self.model.purposes)
        sponsor = self.person(data).key if fault == "not sponsor" else self.people["akimat"].key
        keys = [sponsor, self.governor.key][: 1 if fault == "sponsor alone" else 2]
        body = bodies.Recall(purpose, tuple(names), f"case {self.nonce().hex()}")
        self.do(Kind.RECALL, body, *keys)

    @rule(data=st.data(), amount=st.sampled_from([300_00, 50_00, 0]))
    def allow(self, data: Data, amount: int) -> None:
        fault = self.seldom(data, "not sponsor", "unknown")
        purpose = seed("nothing") if fault == "unknown" else self.pick(data, self.model.purposes)
        person = self.person(data)
        sponsor = person.key if fault == "not sponsor" else self.people["akimat"].key
        body = bodies.Allow(purpose, f"{person.bank}/{person.name}", amount, self.nonce())
        self.do(Kind.ALLOW, body, sponsor)

    # --- purses ---------------------------------------------------------------------------------

    @rule(data=st.data())
    def load(self, data: Data) -> None:
        fault = self.seldom(data, "amount", "two purses", "no purse", "third party", "another's purse", "late")
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
