"""A small network for tests: real keys, real messages, and the transition in memory."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field

from cbdc.formats import certificates
from cbdc.formats.certificates import Certificate, Holder, Merchant, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output, outpoint
from cbdc.formats.x509 import Role
from cbdc.messages import bodies
from cbdc.messages.message import Body, Verified, build, decode, verify
from cbdc.policy import DAY_S, Policy
from cbdc.service.founding import Governor
from cbdc.state.records import OfflineToken, Supply, Table, Token
from cbdc.state.root import root_of
from cbdc.state.view import EMPTY, Delta, Overlay
from cbdc.transition.apply import Entry, apply
from cbdc.transition.invariants import Books

NOW_S = 1_788_000_000
YEAR_S = 365 * DAY_S
LATER_S = NOW_S + YEAR_S
LIMITS = PurseLimits(holding_tiyn=100_000_00, payment_tiyn=20_000_00, spends=10, hops=5)


def seed(name: str) -> bytes:
    """A test seed."""
    return hashlib.sha256(name.encode()).digest()


@dataclass
class Customer:
    """A bank's customer: an online key and a purse key, both certified."""

    name: str
    bank: str
    key: SigningKey
    purse: SigningKey
    wallet_cwt: bytes
    purse_cwt: bytes

    def certificate(self, network: bytes) -> Certificate:
        return certificates.unverified(self.purse_cwt, network)[0]


@dataclass
class World:
    """A network in memory: `do` applies a message and returns its id; refused ones raise and change nothing."""

    policy: Policy = field(default_factory=Policy)
    now_s: int = NOW_S

    def __post_init__(self) -> None:
        self.governor = Governor.from_seed(seed("governor"))
        self.network = self.governor.network
        self.operator = SigningKey(seed("operator"))
        self.banks: dict[str, SigningKey] = {}
        self.view = Overlay(EMPTY)
        self.books = Books()
        self.entries = 0
        self.counter = 0
        self.last: Delta | None = None

    @classmethod
    def founded(cls, *banks: str, policy: Policy | None = None) -> World:
        """A world after genesis with these banks admitted."""
        world = cls(policy=policy or Policy())
        world.submit(world.governor.genesis("test", "Operator", world.operator.public, world.policy, world.now_s))
        for name in banks:
            world.admit(name)
        return world

    # --- messages ------------------------------------------------------------------------------

    def submit(self, raw: bytes) -> bytes:
        """Decode, verify, apply, check the invariants; the message's id."""
        verified = verify(decode(raw, self.network))
        self.apply(verified)
        return verified.id

    def apply(self, verified: Verified) -> Delta:
        delta = apply(self.view, Entry(self.now_s, verified))
        self.books = self.books.follow(delta)
        self.view.add(delta, self.entries, self.now_s)
        self.entries += 1
        self.last = delta
        return delta

    def do(self, kind: Kind, body: Body, *keys: SigningKey) -> bytes:
        return self.submit(build(kind, body, list(keys), self.network))

    def nonce(self) -> bytes:
        self.counter += 1
        return self.counter.to_bytes(16, "big")

    # --- people --------------------------------------------------------------------------------

    def admit(self, name: str) -> SigningKey:
        key = SigningKey(seed(f"bank {name}"))
        self.submit(self.governor.admit_bank(name, key.public, self.now_s))
        self.banks[name] = key
        return key

    def institution(self, name: str, role: Role) -> SigningKey:
        """Admit an oracle or an approver."""
        key = SigningKey(seed(f"{role.value} {name}"))
        self.submit(self.governor.admit(name, role, key.public, self.now_s))
        return key

    def customer(
        self,
        name: str,
        bank: str = "altyn",
        *,
        holder: Holder = Holder.PERSON,
        tier: int = 1,
        merchant: Merchant | None = None,
        limits: PurseLimits = LIMITS,
        enrol: bool = True,
    ) -> Customer:
        key, purse = SigningKey(seed(f"{name} online")), SigningKey(seed(f"{name} purse"))
        common = {
            "bank": bank,
            "subject": name,
            "issued_s": self.now_s,
            "expires_s": self.now_s + YEAR_S,
            "holder": holder,
            "tier": tier,
            "merchant": merchant,
        }
        wallet_cwt = certificates.issue(self.banks[bank], self.network, key=key.public, **common)
        purse_cwt = certificates.issue(
            self.banks[bank], self.network, key=purse.public, limits=limits, online_key=key.public, **common
        )
        if enrol:
            self.do(Kind.ENROL, bodies.Enrol((wallet_cwt, purse_cwt)), self.banks[bank])
        return Customer(name, bank, key, purse, wallet_cwt, purse_cwt)

    # --- money ---------------------------------------------------------------------------------

    def issue(self, bank: str, amount_tiyn: int) -> bytes:
        """Issue to a bank; the new token's outpoint."""
        return outpoint(self.submit(self.governor.issue(self.banks[bank].public, amount_tiyn, self.nonce())), 0)

    def fund(self, customer: Customer, amount_tiyn: int) -> bytes:
        """Give a customer one fresh token; its outpoint."""
        token = self.issue(customer.bank, amount_tiyn)
        body = bodies.Transfer((token,), (Output(customer.key.public, amount_tiyn, None),), LATER_S)
        return outpoint(self.do(Kind.TRANSFER, body, self.banks[customer.bank]), 0)

    def load(self, customer: Customer, amount_tiyn: int) -> bytes:
        """Give a customer one fresh offline token; its outpoint."""
        token = self.fund(customer, amount_tiyn)
        body = bodies.Load((token,), (Output(customer.purse.public, amount_tiyn, None),), LATER_S)
        return outpoint(self.do(Kind.LOAD, body, customer.key), 0)

    def set_reserve(self, bank: str, amount_tiyn: int) -> bytes:
        token = self.issue(bank, amount_tiyn)
        return self.do(Kind.RESERVE, bodies.Reserve((token,), (), LATER_S, amount_tiyn), self.banks[bank])

    def payment(
        self,
        payer: Customer,
        payee: Customer,
        inputs: tuple[bytes, ...],
        outputs: tuple[Output, ...],
        *,
        hop: int = 1,
        salt: str = "",
        lines: tuple[Line, ...] = (),
        signer: SigningKey | None = None,
        **terms: object,
    ) -> bytes:
        """The bytes of an offline payment between two purses."""
        fields = {
            "invoice_id": seed(f"invoice {payer.name} {payee.name} {salt}"),
            "payer_certificate": payer.certificate(self.network).id,
            "payee_certificate": payee.certificate(self.network).id,
            "counter": 1,
            "spends": 1,
            "hop": hop,
            "trust_list_s": self.now_s,
            "ledger_time_s": self.now_s,
        } | terms
        body = bodies.Transfer(inputs, outputs, LATER_S, None, bodies.OfflineTerms(**fields), lines)
        return build(Kind.TRANSFER, body, [signer or payer.purse], self.network)

    def reconcile(self, *payments: bytes) -> Delta:
        self.submit(build(Kind.RECONCILE, bodies.Reconcile(payments), [], self.network))
        assert self.last is not None
        return self.last

    def message_id(self, raw: bytes) -> bytes:
        return decode(raw, self.network).id

    # --- reading -------------------------------------------------------------------------------

    def token(self, name: bytes) -> Token | None:
        value = self.view.get((Table.TOKEN, name))
        return None if value is None else Token.decode(value)

    def leaf(self, name: bytes) -> OfflineToken | None:
        value = self.view.get((Table.OFFLINE, name))
        return None if value is None else OfflineToken.decode(value)

    def online_tiyn(self, key: bytes) -> int:
        tokens = [Token.decode(v) for k, v in self.view.records().items() if k[0] is Table.TOKEN]
        return sum(token.amount_tiyn for token in tokens if token.owner == key)

    def live_tiyn(self, key: bytes) -> int:
        leaves = [OfflineToken.decode(v) for k, v in self.view.records().items() if k[0] is Table.OFFLINE]
        return sum(leaf.amount_tiyn for leaf in leaves if leaf.owner == key and leaf.is_live)

    def supply(self) -> Supply:
        value = self.view.get((Table.SUPPLY, b""))
        return Supply.decode(value) if value else Supply(0, 0, 0, 0, 0)

    def root(self) -> bytes:
        return root_of(self.view.records().items())
