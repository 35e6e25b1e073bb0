"""A town with one purpose, in memory, whose log can be tracked; and everything that can be done to its money."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field

from cbdc.errors import TengeError
from cbdc.formats.certificates import Holder, Merchant
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.formats.x509 import Role
from cbdc.log import entries
from cbdc.messages import bodies
from cbdc.messages.message import build, decode, verify
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import Condition, PayeeMcc
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears, MarkRule, Split
from cbdc.service.tracking import Tracked, track
from cbdc.state.records import BankReserve, OfflineToken, Table, Token
from cbdc.state.view import Consumed, Key
from cbdc.transition.apply import Entry, apply
from tests.support import LATER_S, NOW_S, World, seed

EXPIRY_S = NOW_S + 60 * DAY_S
SHOP = Merchant(bin="990140000383", mcc="5812", kato="750000000")
STALL = Merchant(bin="990140000383", mcc="5411", kato="710000000")


class Recorded(World):
    """A world that keeps its log."""

    def __post_init__(self) -> None:
        super().__post_init__()
        self.log: list[bytes] = []

    def submit(self, raw: bytes) -> bytes:
        message = super().submit(raw)
        self.log.append(entries.encode(self.now_s, raw))
        return message


@dataclass
class Shown:
    """A world as the store that it would be."""

    world: Recorded

    def size(self) -> int:
        return len(self.world.log)

    def entries(self) -> Iterator[tuple[int, bytes, bytes]]:
        for index, data in enumerate(self.world.log):
            yield index, data, b""

    def get(self, key: Key) -> bytes | None:
        return self.world.view.get(key)

    def consumers_of(self, thing: bytes) -> tuple[Consumed, ...]:
        return self.world.view.consumers_of(thing)

    def records(self, table: Table | None = None) -> Iterator[tuple[Key, bytes]]:
        return iter([(key, value) for key, value in self.world.view.records().items() if table in (None, key[0])])

    def marked(self, purpose: bytes, limit: int = -1) -> list[tuple[bytes, Token]]:
        found = [(key[1], Token.decode(value)) for key, value in self.records(Table.TOKEN)]
        return [(name, token) for name, token in found if token.purpose == purpose][: None if limit < 0 else limit]


@dataclass
class Town:
    """A sponsor, two pupils, two shops and a tax office; a purpose that all of them may be paid in."""

    rule: MarkRule = field(default_factory=Clears)
    condition: Condition = field(default_factory=lambda: PayeeMcc(("5411", "5812")))
    split: Split | None = None

    def __post_init__(self) -> None:
        self.world = Recorded.founded("altyn")
        self.world.set_reserve("altyn", 1_000_000_00)
        self.oracle = SigningKey(seed("oracle"))
        self.world.submit(self.world.governor.admit("inspector", Role.ORACLE, self.oracle.public, self.world.now_s))
        self.sponsor = self.world.customer("akimat", holder=Holder.SPONSOR)
        self.people = {name: self.world.customer(name) for name in ("aru", "berik", "head", "kgd")}
        for name, merchant in (("shop", SHOP), ("stall", STALL)):
            self.people[name] = self.world.customer(name, holder=Holder.MERCHANT, merchant=merchant)
        self.payers = ("aru", "berik", "shop", "stall")
        definition = Definition(
            name="works",
            titles=("Works", "Жұмыс", "Работы"),
            sponsor=self.sponsor.key.public,
            return_to=self.sponsor.key.public,
            condition=self.condition,
            mark=self.rule,
            expires_s=EXPIRY_S,
            split=self.split,
        )
        self.purpose = self.world.do(Kind.PURPOSE, definition, self.sponsor.key)
        self.payments: list[tuple[bytes, str, str]] = []

    def tracked(self) -> Tracked:
        """What the sponsor sees."""
        return track(Shown(self.world), self.world.network, self.purpose)  # type: ignore[arg-type]

    # --- what there is -------------------------------------------------------------------------

    def tokens(self, who: str, *, marked: bool | None = None) -> list[tuple[bytes, Token]]:
        owner = self.people[who].key.public
        found = [(key[1], Token.decode(value)) for key, value in Shown(self.world).records(Table.TOKEN)]
        own = sorted((name, token) for name, token in found if token.owner == owner)
        return [one for one in own if marked in (None, one[1].purpose is not None)]

    def leaves(self, who: str, *, live: bool = True) -> list[tuple[bytes, OfflineToken]]:
        owner = self.people[who].purse.public
        found = [(key[1], OfflineToken.decode(value)) for key, value in Shown(self.world).records(Table.OFFLINE)]
        own = sorted((name, leaf) for name, leaf in found if leaf.owner == owner)
        return [one for one in own if one[1].is_live or not live]

    def reserve(self) -> BankReserve:
        value = self.world.view.get((Table.RESERVE, b"altyn"))
        return BankReserve.decode(value or BankReserve(0, 0, 0).encode())

    # --- what can be done ----------------------------------------------------------------------

    def grant(self, who: str, amount_tiyn: int, change_tiyn: int = 0) -> bytes:
        token = self.world.fund(self.sponsor, amount_tiyn + change_tiyn)
        outputs = [Output(self.people[who].key.public, amount_tiyn, self.purpose)]
        outputs += [Output(self.sponsor.key.public, change_tiyn, None)] if change_tiyn else []
        body = bodies.Grant((token,), tuple(outputs), LATER_S, self.purpose)
        return outpoint(self.world.do(Kind.GRANT, body, self.sponsor.key), 0)

    def shares(self, payee: str, amount_tiyn: int) -> list[tuple[str, int]]:
        """Who gets how much of a payment."""
        if self.split is None or payee == "kgd":
            return [(payee, amount_tiyn)]
        part_tiyn = self.split.share_tiyn(amount_tiyn)
        return [(who, tiyn) for who, tiyn in ((payee, amount_tiyn - part_tiyn), ("kgd", part_tiyn)) if tiyn]

    def pay(self, payer: str, payee: str, names: list[bytes], amount_tiyn: int, **fields: object) -> bytes:
        """Pay so much of each purpose out of online tokens: the marked part to the payee, all that is free as well."""
        tokens = [self.world.token(name) for name in names]
        marked_tiyn = sum(token.amount_tiyn for token in tokens if token and token.purpose)
        free_tiyn = sum(token.amount_tiyn for token in tokens if token and not token.purpose)
        outputs = [
            Output(self.people[who].key.public, tiyn, self.purpose) for who, tiyn in self.shares(payee, amount_tiyn)
        ]
        change_tiyn = marked_tiyn - amount_tiyn
        if change_tiyn:
            outputs.append(Output(self.people[payer].key.public, change_tiyn, self.purpose))
        if free_tiyn:
            outputs.append(Output(self.people[payee].key.public, free_tiyn, None))
        until_s = self.world.now_s + DAY_S
        body = bodies.Transfer(tuple(names), tuple(outputs), until_s, **fields)  # type: ignore[arg-type]
        message = self.world.do(Kind.TRANSFER, body, self.people[payer].key)
        self.payments.append((message, payer, payee))
        return message

    def load(self, who: str, names: list[bytes], amount_tiyn: int) -> None:
        token = self.world.token(names[0])
        rest_tiyn = (token.amount_tiyn if token else 0) - amount_tiyn
        purpose, person = token.purpose if token else None, self.people[who]
        outputs = [Output(person.purse.public, amount_tiyn, purpose)]
        outputs += [Output(person.key.public, rest_tiyn, purpose)] if rest_tiyn else []
        self.world.do(Kind.LOAD, bodies.Load(tuple(names), tuple(outputs), LATER_S), person.key)

    def unload(self, who: str, name: bytes, online_tiyn: int) -> None:
        leaf, person = self.world.leaf(name), self.people[who]
        amount_tiyn, purpose = (leaf.amount_tiyn, leaf.purpose) if leaf else (0, None)
        outputs = [Output(person.key.public, online_tiyn, purpose)] if online_tiyn else []
        if amount_tiyn > online_tiyn:
            outputs.append(Output(person.purse.public, amount_tiyn - online_tiyn, purpose))
        self.world.do(Kind.UNLOAD, bodies.Unload((name,), tuple(outputs), LATER_S), person.purse)

    def signed_offline(
        self, payer: str, payee: str, name: bytes, amount_tiyn: int, salt: str = "", **terms: object
    ) -> bytes:
        """An offline payment of one token, with change; nobody has shown it to the ledger yet."""
        leaf, world = self.world.leaf(name), self.world
        assert leaf is not None
        outputs = [Output(self.people[payee].purse.public, amount_tiyn, leaf.purpose)]
        if leaf.amount_tiyn > amount_tiyn:
            outputs.append(Output(self.people[payer].purse.public, leaf.amount_tiyn - amount_tiyn, leaf.purpose))
        given = {"hop": leaf.hops + 1, "salt": salt} | terms
        return world.payment(self.people[payer], self.people[payee], (name,), tuple(outputs), **given)

    def signed_release(self, payer: str, payee: str, payment: bytes, salt: str = "") -> bytes:
        """All that an offline payment brought goes back; ``payer`` is who gives back."""
        names, outputs, hop = [], [], 0
        for index in range(4):
            name = outpoint(payment, index)
            leaf = self.world.leaf(name)
            if leaf is not None and leaf.owner == self.people[payer].purse.public and leaf.paid:
                names.append(name)
                outputs.append(Output(self.people[payee].purse.public, leaf.amount_tiyn, leaf.paid[1]))
                hop = leaf.hops - 1
        world, terms = self.world, {"invoice_id": payment, "hop": hop, "counter": 1 + len(salt)}
        return world.payment(self.people[payer], self.people[payee], tuple(names), tuple(outputs), **terms)

    def refund(self, payer: str, payee: str, payment: bytes, names: list[bytes], amount_tiyn: int) -> None:
        """``payee`` gives back to ``payer`` out of these tokens of his."""
        tokens = [token for token in map(self.world.token, names) if token]
        marked_tiyn = sum(token.amount_tiyn for token in tokens if token.purpose)
        free_tiyn = sum(token.amount_tiyn for token in tokens if not token.purpose)
        from_marked = min(marked_tiyn, amount_tiyn)
        owner = self.people[payee].key.public
        outputs = [Output(self.people[payer].key.public, amount_tiyn, self.purpose)]
        for rest, purpose in ((marked_tiyn - from_marked, self.purpose), (free_tiyn - amount_tiyn + from_marked, None)):
            outputs += [Output(owner, rest, purpose)] if rest else []
        offline = self.world.leaf(outpoint(payment, 0)) is not None
        brought_to = self.people[payee].purse.public if offline else owner
        body = bodies.Refund(tuple(names), tuple(outputs), LATER_S, payment, self.purpose, brought_to)
        self.world.do(Kind.REFUND, body, self.people[payee].key)

    def recall(self, names: list[bytes]) -> None:
        body = bodies.Recall(self.purpose, tuple(names), "court 1")
        keys = [self.sponsor.key, self.world.governor.key]
        self.world.do(Kind.RECALL, body, *keys)

    def attest(self, about: bytes | str, fact: str = "done") -> None:
        self.world.do(Kind.ATTEST, bodies.Attest("inspector", fact, about), self.oracle)

    def approve(self, payment: bytes) -> None:
        self.world.do(Kind.APPROVE, bodies.Approve(payment, "altyn/head"), self.people["head"].key)

    def sweep(self, names: list[bytes]) -> bytes:
        return self.world.submit(build(Kind.SWEEP, bodies.Sweep(tuple(names)), [], self.world.network))


class Wanderer:
    """Does what comes to its mind; what the ledger refuses has not happened."""

    def __init__(self, town: Town, number: int) -> None:
        self.town = town
        self.dice = random.Random(number)
        self.done: dict[str, int] = {}
        self.salt = 0
        self.brought: list[tuple[str, str, bytes]] = []
        self.unshown: list[bytes] = []

    def walk(self, steps: int) -> None:
        acts: list[Callable[[], None]] = [
            self.grant,
            self.pay,
            self.pay,
            self.pay,
            self.load,
            self.load,
            self.unload,
            self.pay_offline,
            self.pay_offline,
            self.pay_offline,
            self.pay_late,
            self.show,
            self.lose,
            self.release,
            self.refund,
            self.recall,
            self.attest,
            self.approve,
            self.sweep,
            self.wait,
        ]
        self.grant()
        for _ in range(steps):
            act = self.dice.choice(acts)
            with suppress(TengeError, IndexError, AssertionError):
                act()
                self.done[act.__name__] = self.done.get(act.__name__, 0) + 1

    def who(self) -> str:
        return self.dice.choice(self.town.payers)

    def amount(self, most_tiyn: int) -> int:
        return self.dice.choice([most_tiyn, self.dice.randint(1, max(1, most_tiyn))])

    def grant(self) -> None:
        self.town.grant(self.who(), self.dice.randint(1, 900), self.dice.choice([0, 50]))
        if self.dice.random() < 0.5:
            self.town.world.fund(self.town.people[self.who()], self.dice.randint(1, 900))

    def pay(self) -> None:
        payer = self.who()
        marked = self.town.tokens(payer, marked=True)
        chosen = self.dice.sample(marked, min(len(marked), self.dice.randint(1, 3)))
        total_tiyn = sum(token.amount_tiyn for _, token in chosen)
        free = self.town.tokens(payer, marked=False)
        names = [name for name, _ in chosen + (free[:1] if self.dice.random() < 0.3 else [])]
        self.town.pay(payer, self.dice.choice(("shop", "stall")), names, self.amount(total_tiyn))

    def load(self) -> None:
        who = self.who()
        name, token = self.dice.choice(self.town.tokens(who, marked=True))
        self.town.load(who, [name], self.amount(token.amount_tiyn))

    def unload(self) -> None:
        who = self.who()
        name, leaf = self.dice.choice(self.town.leaves(who))
        self.town.unload(who, name, self.dice.choice([0, leaf.amount_tiyn, leaf.amount_tiyn // 2]))

    def pay_offline(self) -> None:
        """Mostly out of what is live; at times out of what is not, again."""
        self.salt += 1
        payer, payee = self.who(), self.dice.choice(("shop", "stall"))
        name, leaf = self.dice.choice(self.town.leaves(payer, live=self.dice.random() < 0.8))
        raw = self.town.signed_offline(payer, payee, name, self.amount(leaf.amount_tiyn), str(self.salt))
        message = self.town.world.message_id(raw)
        self.town.world.reconcile(raw)
        self.brought.append((payer, payee, message))

    def pay_late(self) -> None:
        """A payment, and one that goes on from it, which nobody shows yet."""
        self.salt += 1
        payer, payee = self.who(), self.dice.choice(("shop", "stall"))
        name, leaf = self.dice.choice(self.town.leaves(payer, live=self.dice.random() < 0.6))
        raw = self.town.signed_offline(payer, payee, name, self.amount(leaf.amount_tiyn), str(self.salt))
        self.unshown.append(raw)
        self.brought.append((payer, payee, self.town.world.message_id(raw)))
        after = outpoint(self.town.world.message_id(raw), 0)
        first = decode(raw, self.town.world.network).body
        assert isinstance(first, bodies.Transfer)
        goes_on = "stall" if payee == "shop" else "shop"
        amount_tiyn = first.outputs[0].amount_tiyn
        for purpose in (self.town.purpose, None):  # marked or free, as the rule has it: one of them will do
            output = Output(self.town.people[goes_on].purse.public, amount_tiyn, purpose)
            terms = {"hop": leaf.hops + 2, "salt": f"on {self.salt}"}
            people = (self.town.people[payee], self.town.people[goes_on])
            self.unshown.append(self.town.world.payment(*people, (after,), (output,), **terms))

    def show(self) -> None:
        """Some evidence, in any order."""
        chosen = self.dice.sample(self.unshown, min(len(self.unshown), self.dice.randint(1, 6)))
        self.town.world.reconcile(*chosen)

    def lose(self) -> None:
        """A purse is revoked, now and then: what it pays from then on may stand void."""
        if self.dice.random() < 0.08:
            who = self.town.people[self.who()]
            world = self.town.world
            body = bodies.Revoke(who.certificate(world.network).id, "lost")
            world.do(Kind.REVOKE, body, world.banks["altyn"])

    def release(self) -> None:
        payer, payee, message = self.dice.choice(self.brought)
        self.town.world.reconcile(self.town.signed_release(payee, payer, message, "x" * self.dice.randint(0, 1)))

    def refund(self) -> None:
        message, payer, payee = self.dice.choice([*self.town.payments, *((m, a, b) for a, b, m in self.brought)])
        tokens = self.town.tokens(payee)
        chosen = self.dice.sample(tokens, min(len(tokens), 2))
        total_tiyn = sum(token.amount_tiyn for _, token in chosen)
        self.town.refund(payer, payee, message, [name for name, _ in chosen], self.amount(min(total_tiyn, 200)))

    def recall(self) -> None:
        if self.dice.random() < 0.3:
            name, _ = self.dice.choice(self.town.tokens(self.who(), marked=True))
            self.town.recall([name])

    def attest(self) -> None:
        message, _, payee = self.dice.choice(self.town.payments)
        self.town.attest(self.dice.choice([message, message, f"altyn/{payee}"]), str(self.dice.randint(0, 3)))

    def approve(self) -> None:
        self.town.approve(self.dice.choice(self.town.payments)[0])

    def sweep(self) -> None:
        """Whatever is due, in one message; also what the lapse of an escrow makes."""
        records = Shown(self.town.world)
        names = [key[1] for table in (Table.TOKEN, Table.OFFLINE) for key, _ in records.records(table)]
        due: list[bytes] = []
        for name in sorted(names):
            if records.get((Table.WAITING, name[:HASH_BYTES])) and any(
                one[:HASH_BYTES] == name[:HASH_BYTES] for one in due
            ):
                continue  # with one token of an escrow named, all of it goes
            with suppress(TengeError):
                self.try_sweep(name)
                due.append(name)
        assert due
        self.town.sweep(due[: self.dice.randint(1, 20)])

    def end(self) -> None:
        """The purpose expires, and everything that falls due by then is swept."""
        self.town.world.now_s = max(self.town.world.now_s, EXPIRY_S)
        for _ in range(50):
            try:
                self.sweep()
            except AssertionError:
                return
        raise AssertionError("something stays due for ever")

    def try_sweep(self, name: bytes) -> None:
        raw = build(Kind.SWEEP, bodies.Sweep((name,)), [], self.town.world.network)
        apply(self.town.world.view, Entry(self.town.world.now_s, verify(decode(raw, self.town.world.network))))

    def wait(self) -> None:
        self.town.world.now_s += self.dice.choice([60, 3_600, 3_600, DAY_S, 8 * DAY_S])
