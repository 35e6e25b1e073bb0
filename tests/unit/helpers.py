"""What the unit tests share: refusals that must change nothing, purposes, and two-way payments."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cbdc.errors import TengeError
from cbdc.formats import certificates, requests
from cbdc.formats.certificates import Holder, Merchant, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_AMOUNT_TIYN
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import Condition, PayeeMcc, PerPayment
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears
from cbdc.state.records import BankReserve, Culprit, Paid, Spent, Table, Token, Waiting
from tests.support import LATER_S, LIMITS, NOW_S, YEAR_S, Customer, World

CANTEEN = Merchant(bin="990140000383", mcc="5812", kato="750000000")
EXPIRY_S = NOW_S + 10 * 86_400
HOUR_S = 3_600
STRANGER = SigningKey(bytes(32))
ANYBODY = PerPayment(MAX_AMOUNT_TIYN)
"""A condition that every payment fulfils."""


@contextmanager
def refuses(world: World, error: type[TengeError], **values: object) -> Iterator[None]:
    """The block is refused with exactly this error (carrying at least ``values``), and the state stays as it was."""
    before = world.root(), world.entries
    with pytest.raises(TengeError) as caught:
        yield
    assert type(caught.value) is error, caught.value
    assert {name: caught.value.values.get(name) for name in values} == values
    assert (world.root(), world.entries) == before


def out(owner: Customer | bytes, amount_tiyn: int, purpose: bytes | None = None) -> Output:
    """An output to a customer's online key, or to this very key."""
    return Output(owner if isinstance(owner, bytes) else owner.key.public, amount_tiyn, purpose)


def in_purse(owner: Customer, amount_tiyn: int, purpose: bytes | None = None) -> Output:
    """An output to a customer's purse."""
    return Output(owner.purse.public, amount_tiyn, purpose)


def transfer(
    world: World,
    inputs: list[bytes],
    outputs: list[Output],
    *keys: SigningKey,
    until_s: int = LATER_S,
    request: bytes | None = None,
) -> list[bytes]:
    """Pay online; the new tokens' outpoints."""
    body = bodies.Transfer(tuple(inputs), tuple(outputs), until_s, request=request)
    message = world.do(Kind.TRANSFER, body, *keys)
    return [outpoint(message, index) for index in range(len(outputs))]


def load(world: World, inputs: list[bytes], outputs: list[Output], *keys: SigningKey, until_s: int = LATER_S) -> bytes:
    """Load a purse; the first new token's outpoint."""
    return outpoint(world.do(Kind.LOAD, bodies.Load(tuple(inputs), tuple(outputs), until_s), *keys), 0)


def unload(
    world: World, inputs: list[bytes], outputs: list[Output], *keys: SigningKey, until_s: int = LATER_S
) -> bytes:
    """Unload or renew; the first new token's outpoint."""
    return outpoint(world.do(Kind.UNLOAD, bodies.Unload(tuple(inputs), tuple(outputs), until_s), *keys), 0)


def sweep(world: World, *names: bytes) -> list[bytes]:
    """Sweep these tokens; the outpoints that take their place."""
    message = world.submit(build(Kind.SWEEP, bodies.Sweep(names), [], world.network))
    return [outpoint(message, index) for index in range(len(names))]


def revoke(world: World, customer: Customer, certificate: bytes | None = None) -> bytes:
    """The bank revokes a certificate of its customer, the purse's by default."""
    certificate = certificate or customer.certificate(world.network).id
    return world.do(Kind.REVOKE, bodies.Revoke(certificate, "lost"), world.banks[customer.bank])


def renew_purse(world: World, customer: Customer, *, limits: PurseLimits = LIMITS) -> bytes:
    """The bank renews the certificate of its customer's purse; the new one's id."""
    cwt = certificates.issue(
        world.banks[customer.bank],
        world.network,
        bank=customer.bank,
        subject=customer.name,
        key=customer.purse.public,
        issued_s=world.now_s + 1,
        expires_s=world.now_s + YEAR_S,
        limits=limits,
        online_key=customer.key.public,
    )
    world.do(Kind.ENROL, bodies.Enrol((cwt,)), world.banks[customer.bank])
    return certificates.unverified(cwt, world.network)[0].id


def second_key(world: World, customer: Customer) -> SigningKey:
    """Another wallet key of the same account."""
    key = SigningKey(bytes([7]) * 32)
    times = {"issued_s": world.now_s, "expires_s": world.now_s + YEAR_S}
    bank = world.banks[customer.bank]
    cwt = certificates.issue(bank, world.network, bank=customer.bank, subject=customer.name, key=key.public, **times)
    world.do(Kind.ENROL, bodies.Enrol((cwt,)), bank)
    return key


def wallet_id(world: World, customer: Customer) -> bytes:
    """The id of a customer's wallet certificate."""
    return certificates.unverified(customer.wallet_cwt, world.network)[0].id


def dismiss(world: World, bank: str) -> bytes:
    return world.submit(world.governor.dismiss(bank, "order 1"))


def pay(
    world: World, payer: Customer, payee: Customer, name: bytes, amount_tiyn: int, change_tiyn: int = 0, **terms: object
) -> bytes:
    """The bytes of an offline payment of one free token, with change to the payer."""
    change = (in_purse(payer, change_tiyn),) if change_tiyn else ()
    return world.payment(payer, payee, (name,), (in_purse(payee, amount_tiyn), *change), **terms)


def paid(world: World, payment: bytes, index: int = 0) -> bytes:
    """The outpoint of an output of an offline payment."""
    return outpoint(world.message_id(payment), index)


# --- purposes ----------------------------------------------------------------------------------


def sponsored(world: World) -> tuple[Customer, bytes]:
    """A sponsor and its purpose: meals at canteens (MCC 5812), until `EXPIRY_S`."""
    akimat = world.customer("akimat", holder=Holder.SPONSOR)
    return akimat, define(world, akimat)


def definition(sponsor: Customer, **changes: object) -> Definition:
    condition: Condition = PayeeMcc(("5812",))
    fields = {
        "name": "meals",
        "titles": ("Meals", "Tamaq", "Obedy"),
        "sponsor": sponsor.key.public,
        "return_to": sponsor.key.public,
        "condition": condition,
        "mark": Clears(),
        "expires_s": EXPIRY_S,
    } | changes
    return Definition(**fields)


def define(world: World, sponsor: Customer, **changes: object) -> bytes:
    return world.do(Kind.PURPOSE, definition(sponsor, **changes), sponsor.key)


def grant(world: World, sponsor: Customer, purpose: bytes, owner: Customer, amount_tiyn: int) -> bytes:
    """Mark fresh tenge of the sponsor's for an owner; the marked token's outpoint."""
    token = world.fund(sponsor, amount_tiyn)
    body = bodies.Grant((token,), (out(owner, amount_tiyn, purpose),), LATER_S, purpose)
    return outpoint(world.do(Kind.GRANT, body, sponsor.key), 0)


def programme(world: World, **changes: object) -> tuple[Customer, bytes]:
    """A sponsor and a purpose of its own: as `sponsored`, with these changes, and no condition unless one is named."""
    name = str(changes.setdefault("name", "works"))
    sponsor = world.customer(f"sponsor of {name}", holder=Holder.SPONSOR)
    return sponsor, define(world, sponsor, **{"condition": ANYBODY} | changes)


def hold_up(world: World, payer: Customer, token: bytes, outputs: list[Output], *, days: int = 30) -> bytes:
    """Pay online what has to wait, for so many days; the payment's id."""
    until_s = world.now_s + days * DAY_S
    return transfer(world, [token], outputs, payer.key, until_s=until_s)[0][:HASH_BYTES]


def approve(world: World, payment: bytes, by: str, *keys: SigningKey) -> bytes:
    return world.do(Kind.APPROVE, bodies.Approve(payment, by), *keys)


def attest(world: World, key: SigningKey, about: bytes | str, fact: str = "built", oracle: str = "registry") -> bytes:
    return world.do(Kind.ATTEST, bodies.Attest(oracle, fact, about), key)


def allow(world: World, sponsor: Customer, purpose: bytes, account: str, amount_tiyn: int) -> bytes:
    return world.do(Kind.ALLOW, bodies.Allow(purpose, account, amount_tiyn, world.nonce()), sponsor.key)


def refund(
    world: World,
    merchant: Customer,
    payment: bytes,
    purpose: bytes,
    inputs: list[bytes],
    outputs: list[Output],
    *,
    payee: bytes | None = None,
    keys: tuple[SigningKey, ...] = (),
    until_s: int = LATER_S,
) -> list[bytes]:
    """Give back what a payment brought the merchant's online key (or ``payee``); the new tokens' outpoints."""
    body = bodies.Refund(tuple(inputs), tuple(outputs), until_s, payment, purpose, payee or merchant.key.public)
    message = world.do(Kind.REFUND, body, *(keys or (merchant.key,)))
    return [outpoint(message, index) for index in range(len(outputs))]


def recall(world: World, purpose: bytes, names: list[bytes], *keys: SigningKey) -> list[bytes]:
    """Take tokens back; the outpoints that take their place."""
    message = world.do(Kind.RECALL, bodies.Recall(purpose, tuple(names), "court 1"), *keys)
    return [outpoint(message, index) for index in range(len(names))]


def ask(world: World, payee: Customer, amount_tiyn: int, *lines: Line) -> bytes:
    """The payee's request for a payment."""
    return requests.sign(payee.key, world.network, amount_tiyn, lines, world.nonce())


# --- reading -----------------------------------------------------------------------------------


def waiting_of(world: World, payment: bytes) -> Waiting | None:
    value = world.view.get((Table.WAITING, payment))
    return None if value is None else Waiting.decode(value)


def paid_of(world: World, payment: bytes, purpose: bytes, payee: Customer | bytes) -> Paid | None:
    """What is written down of what a payment brought a payee, by its online key or this very key."""
    key = payee if isinstance(payee, bytes) else payee.key.public
    value = world.view.get((Table.PAID, payment + purpose + key))
    return None if value is None else Paid.decode(value)


def spent_of(world: World, purpose: bytes, account: str) -> list[list[int]]:
    """What the ledger remembers that an account paid of a purpose: [ledger time, tiyn]."""
    value = world.view.get((Table.SPENT, purpose + account.encode()))
    return Spent.decode(value).spends if value else []


def tokens_of(world: World, owner: Customer | bytes) -> list[Token]:
    """All online tokens of an online key, free ones first, then by amount."""
    key = owner if isinstance(owner, bytes) else owner.key.public
    tokens = [Token.decode(value) for (table, _), value in world.view.records().items() if table is Table.TOKEN]
    own = [token for token in tokens if token.owner == key]
    return sorted(own, key=lambda token: (token.purpose is not None, token.amount_tiyn))


def mark_of(world: World, name: bytes) -> tuple[bytes | None, int | None]:
    """The purpose of a token, online or in a purse, and how many payments its mark lasts."""
    found = world.token(name) or world.leaf(name)
    assert found is not None
    return found.purpose, found.left


def reserve_of(world: World, bank: str) -> BankReserve:
    value = world.view.get((Table.RESERVE, bank.encode()))
    return BankReserve.decode(value) if value else BankReserve(0, 0, 0)


def debt_of(world: World, customer: Customer) -> int:
    value = world.view.get((Table.CULPRIT, customer.purse.public))
    return Culprit.decode(value).debt_tiyn if value else 0
