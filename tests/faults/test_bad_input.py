"""Whatever bytes anybody submits: a typed refusal with a stable code, no change at all, and the ledger serves on."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Iterator
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path

import pytest

from cbdc.errors import TengeError, TooLarge
from cbdc.formats import cbor, certificates, cose, requests
from cbdc.formats.cose import Signature
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CBOR_DEPTH,
    MAX_INPUTS,
    MAX_MESSAGE_BYTES,
    MAX_OUTPUTS,
    MAX_REQUEST_BYTES,
    MAX_SIGNATURES,
)
from cbdc.messages import bodies
from cbdc.messages.message import build, decode
from cbdc.service.ledger import Ledger
from cbdc.store.sqlite import SqliteStore
from tests.faults.stage import COIN_TIYN, PATIENCE_S, Recorder, Stage, audit_file, everything, refusal
from tests.support import LATER_S, Customer, seed

COIN = COIN_TIYN
STRANGER = SigningKey(seed("stranger"))


@dataclass
class Desk:
    """A running ledger at which bad messages are handed in, and what they are made of."""

    stage: Stage
    ledger: Ledger
    next_coin: int = 100

    # --- whole messages ------------------------------------------------------------------------

    def good(self) -> bytes:
        """A transfer that would be accepted."""
        return self.stage.pay(0)

    def transfer(
        self,
        *outputs: Output,
        inputs: tuple[bytes, ...] | None = None,
        keys: list[SigningKey] | None = None,
        until_s: int = LATER_S,
    ) -> bytes:
        body = bodies.Transfer(inputs or (self.stage.coins[0],), outputs or (self.to_bek(),), until_s)
        return build(Kind.TRANSFER, body, keys or [self.aida.key], self.network)

    def raw_transfer(self, *, inputs: object = None, outputs: object = None, until: object = LATER_S) -> bytes:
        """A well signed transfer whose fields may be anything."""
        inputs = [self.stage.coins[0]] if inputs is None else inputs
        outputs = [[self.bek.key.public, COIN, None]] if outputs is None else outputs
        return self.sign(Kind.TRANSFER, cbor.encode([inputs, outputs, until, None, None, None]))

    def amount(self, value: object) -> bytes:
        return self.raw_transfer(outputs=[[self.bek.key.public, value, None]])

    def sign(self, kind: Kind, payload: bytes, *keys: SigningKey, network: bytes | None = None) -> bytes:
        return cose.sign(list(keys) or [self.aida.key], kind, payload, network or self.network)

    # --- parts ---------------------------------------------------------------------------------

    @property
    def network(self) -> bytes:
        return self.stage.world.network

    @property
    def world(self) -> Recorder:
        return self.stage.world

    @property
    def aida(self) -> Customer:
        return self.stage.aida

    @property
    def bek(self) -> Customer:
        return self.stage.bek

    @property
    def bank(self) -> SigningKey:
        return self.world.banks["altyn"]

    def to_bek(self, amount_tiyn: int = COIN) -> Output:
        return Output(self.bek.key.public, amount_tiyn, None)

    # --- handing in ----------------------------------------------------------------------------

    def looks(self) -> tuple[object, ...]:
        """Size, log root, state root and supply as a reader sees them."""
        queries = self.stage.queries()
        try:
            return queries.latest_checkpoint(), queries.supply(), self.ledger.store.size()
        finally:
            queries.close()

    def still_serves(self) -> None:
        self.next_coin += 1
        raw = self.stage.pay(self.next_coin)
        self.stage.verify_receipt(raw, self.ledger.submit(raw).result(PATIENCE_S))


@pytest.fixture(scope="module")
def desk(template: Stage, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    stage = template.copy_to(tmp_path_factory.mktemp("bad-input") / "ledger.db")
    with stage.open() as ledger:
        yield Desk(stage, ledger)
    stage.verify()


# --- the table ---------------------------------------------------------------------------------

Bad = Callable[[Desk], bytes]


def nested(depth: int) -> list[object]:
    value: list[object] = []
    for _ in range(depth - 1):
        value = [value]
    return value


def approve(desk: Desk, *, by: str = "altyn/aida", key: SigningKey | None = None) -> bytes:
    return build(Kind.APPROVE, bodies.Approve(seed("payment"), by), [key or desk.aida.key], desk.network)


def many_outputs(desk: Desk, count: int) -> bytes:
    return desk.raw_transfer(outputs=[[desk.bek.key.public, 1, None]] * count)


def unsorted_signers(desk: Desk) -> bytes:
    payload = cose.decode(desk.good()).payload
    head, empty, _, signers = cbor.decode(desk.sign(Kind.TRANSFER, payload, desk.aida.key, desk.bek.key))
    return cbor.encode([head, empty, payload, signers[::-1]])


def other_signature(desk: Desk, change: Callable[[Signature], Signature]) -> bytes:
    signed = cose.decode(desk.good())
    return cose.assemble(signed.kind, signed.payload, [change(signature) for signature in signed.signatures])


def flip_signature(signature: Signature) -> Signature:
    return Signature(signature.key, signature.value[:40] + bytes([signature.value[40] ^ 1]) + signature.value[41:])


def load(desk: Desk, amount_tiyn: int, coins: int) -> bytes:
    body = bodies.Load(tuple(desk.stage.coins[:coins]), (Output(desk.aida.purse.public, amount_tiyn, None),), LATER_S)
    return build(Kind.LOAD, body, [desk.aida.key], desk.network)


def offline_payment(desk: Desk) -> bytes:
    unknown = outpoint(seed("nowhere"), 0)
    return desk.world.payment(desk.aida, desk.bek, (unknown,), (Output(desk.bek.purse.public, 5, None),))


def issue(desk: Desk, amount_tiyn: int, key: SigningKey) -> bytes:
    body = bodies.Issue((Output(desk.bank.public, amount_tiyn, None),), bytes(16))
    return build(Kind.ISSUE, body, [key], desk.network)


def unsigned(desk: Desk, kind: Kind, body: object) -> bytes:
    return cose.sign([], kind, cbor.encode(body), desk.network)


BAD: dict[str, tuple[str, Bad]] = {
    # form
    "nothing at all": ("malformed", lambda d: b""),
    "one byte": ("malformed", lambda d: b"\x84"),
    "a text": ("not_canonical", lambda d: b"please pay bek one hundred tenge"),
    "a number instead of a message": ("malformed", lambda d: cbor.encode(7)),
    "a map instead of a message": ("malformed", lambda d: cbor.encode({1: 2})),
    "one byte more": ("not_canonical", lambda d: d.good() + b"\0"),
    "the message twice": ("not_canonical", lambda d: d.good() * 2),
    "one byte over the limit": ("too_large", lambda d: bytes(MAX_MESSAGE_BYTES + 1)),
    "sixteen megabytes": ("too_large", lambda d: bytes(16 << 20)),
    "exactly at the limit": ("malformed", lambda d: b"\x5a\x00\x0f\xff\xfb" + bytes(MAX_MESSAGE_BYTES - 5)),
    "an array of 2^64 items announced": ("malformed", lambda d: b"\x9b" + b"\xff" * 8),
    "a byte string of 2^63 bytes announced": ("malformed", lambda d: b"\x5b\x7f" + b"\xff" * 7),
    "nested ten thousand deep": ("malformed", lambda d: b"\x81" * 10_000 + b"\x80"),
    "nested a million deep": ("malformed", lambda d: b"\x81" * (MAX_MESSAGE_BYTES - 1) + b"\x80"),
    "maps nested as keys": ("malformed", lambda d: b"\xa1" * 5000 + b"\x00"),
    "nested too deep inside the payload": ("malformed", lambda d: d.raw_transfer(inputs=nested(MAX_CBOR_DEPTH + 1))),
    "nested as deep as allowed inside the payload": ("malformed", lambda d: d.raw_transfer(inputs=nested(5))),
    "longer head than needed": ("not_canonical", lambda d: b"\x98\x04" + d.good()[1:]),
    "indefinite length": ("malformed", lambda d: b"\x9f" + d.good()[1:] + b"\xff"),
    "a COSE tag": ("malformed", lambda d: b"\xd8\x62" + d.good()),
    "not UTF-8": ("malformed", lambda d: b"\x61\xff"),
    # kinds and fields
    "an unknown kind": ("malformed", lambda d: d.good().replace(b"tenge-transfer", b"tenge-transfar")),
    "the payload of another kind": ("malformed", lambda d: d.sign(Kind.ISSUE, cose.decode(d.good()).payload)),
    "a certificate": ("malformed", lambda d: d.aida.wallet_cwt),
    "a kind that is for devices": ("malformed", lambda d: d.sign(Kind.INVOICE, cose.decode(d.good()).payload)),
    "a field too few": ("malformed", lambda d: d.sign(Kind.TRANSFER, cbor.encode([[], [], 0, None]))),
    "an empty payload": ("malformed", lambda d: d.sign(Kind.TRANSFER, b"")),
    "no inputs": ("malformed", lambda d: d.raw_transfer(inputs=[])),
    "an input named twice": ("malformed", lambda d: d.raw_transfer(inputs=[d.stage.coins[0]] * 2)),
    "an input of another length": ("malformed", lambda d: d.raw_transfer(inputs=[d.stage.coins[0][:-1]])),
    "inputs that are texts": ("malformed", lambda d: d.raw_transfer(inputs=["coin"])),
    "no outputs": ("malformed", lambda d: d.raw_transfer(outputs=[])),
    "an owner of another length": ("malformed", lambda d: d.raw_transfer(outputs=[[b"bek", COIN, None]])),
    "too many inputs": (
        "too_large",
        lambda d: d.raw_transfer(inputs=[outpoint(bytes(32), index) for index in range(MAX_INPUTS + 1)]),
    ),
    "too many outputs": ("too_large", lambda d: many_outputs(d, MAX_OUTPUTS + 1)),
    "as many outputs as allowed, worth too little": ("amount_mismatch", lambda d: many_outputs(d, MAX_OUTPUTS)),
    "a time after the year 9999": ("too_large", lambda d: d.raw_transfer(until=253_402_300_800)),
    "sealed details too long": (
        "too_large",
        lambda d: d.sign(
            Kind.TRANSFER,
            cbor.encode([[d.stage.coins[0]], [[d.bek.key.public, COIN, None]], LATER_S, bytes(1025), None, None]),
        ),
    ),
    # amounts
    "a negative amount": ("malformed", lambda d: d.amount(-COIN)),
    "an amount of zero": ("malformed", lambda d: d.amount(0)),
    "a fraction": ("malformed", lambda d: d.amount(1.5)),
    "a whole number as a float": ("malformed", lambda d: d.amount(float(COIN))),
    "not a number": ("malformed", lambda d: d.amount(float("nan"))),
    "true": ("malformed", lambda d: d.amount(value=True)),
    "an amount as text": ("malformed", lambda d: d.amount("100")),
    "the largest amount": ("amount_mismatch", lambda d: d.amount(MAX_AMOUNT_TIYN)),
    "above the largest amount": ("too_large", lambda d: d.amount(MAX_AMOUNT_TIYN + 1)),
    "an amount of 2^64 - 1": ("too_large", lambda d: d.amount((1 << 64) - 1)),
    "a big number": ("malformed", lambda d: d.amount(1 << 64)),
    "a big negative number": ("malformed", lambda d: d.amount(-(1 << 65))),
    "one tiyn too much": ("amount_mismatch", lambda d: d.transfer(d.to_bek(COIN + 1))),
    "one tiyn too little": ("amount_mismatch", lambda d: d.transfer(d.to_bek(COIN - 1))),
    "amounts that overflow 64 bits together": (
        "amount_mismatch",
        lambda d: d.transfer(*[d.to_bek(MAX_AMOUNT_TIYN)] * 200),
    ),
    "more money than there may be": ("limit_holding", lambda d: issue(d, MAX_AMOUNT_TIYN, d.world.governor.key)),
    # signatures
    "a flipped bit in the signature": ("bad_signature", lambda d: other_signature(d, flip_signature)),
    "a signature of zeros": ("bad_signature", lambda d: other_signature(d, lambda s: Signature(s.key, bytes(64)))),
    "a small-order key": (
        "bad_signature",
        lambda d: other_signature(d, lambda s: Signature(b"\x01" + bytes(31), b"\x01" + bytes(63))),
    ),
    "a signature cut off": ("malformed", lambda d: other_signature(d, lambda s: Signature(s.key, s.value[:63]))),
    "no signature": ("malformed", lambda d: cose.assemble(Kind.TRANSFER, cose.decode(d.good()).payload, [])),
    "a signature for another network": (
        "bad_signature",
        lambda d: d.sign(Kind.TRANSFER, cose.decode(d.good()).payload, network=bytes(32)),
    ),
    "a signature over another kind": (
        "bad_signature",
        lambda d: cose.assemble(
            Kind.TRANSFER,
            cose.decode(d.good()).payload,
            list(cose.decode(d.sign(Kind.LOAD, cose.decode(d.good()).payload)).signatures),
        ),
    ),
    "a stranger's signature": ("not_enrolled", lambda d: d.transfer(keys=[STRANGER])),
    "the operator's signature": ("not_owner", lambda d: d.transfer(keys=[d.world.operator])),
    "the governor's signature": ("not_owner", lambda d: d.transfer(keys=[d.world.governor.key])),
    "the owner's and a stranger's signature": ("not_enrolled", lambda d: d.transfer(keys=[d.aida.key, STRANGER])),
    "signers out of order": ("malformed", unsorted_signers),
    "too many signatures": (
        "too_large",
        lambda d: d.transfer(keys=[SigningKey(seed(f"signer {n}")) for n in range(MAX_SIGNATURES + 1)]),
    ),
    "a signature where none belongs": (
        "malformed",
        lambda d: d.sign(Kind.SWEEP, cbor.encode([[d.stage.coins[0]]])),
    ),
    # who and what
    "an unknown payee": ("not_enrolled", lambda d: d.transfer(Output(STRANGER.public, COIN, None))),
    "a purse's key as payee": ("not_enrolled", lambda d: d.transfer(Output(d.bek.purse.public, COIN, None))),
    "an unknown bank": (
        "role_refused",
        lambda d: build(Kind.ENROL, bodies.Enrol((_certificate(d, STRANGER),)), [STRANGER], d.network),
    ),
    "a customer enrolled by himself": (
        "role_refused",
        lambda d: build(Kind.ENROL, bodies.Enrol((_certificate(d, d.aida.key),)), [d.aida.key], d.network),
    ),
    "a certificate of another bank's": (
        "bad_signature",
        lambda d: build(Kind.ENROL, bodies.Enrol((_certificate(d, STRANGER),)), [d.bank], d.network),
    ),
    "money issued by the operator": ("role_refused", lambda d: issue(d, 100, d.world.operator)),
    "money issued by a bank": ("role_refused", lambda d: issue(d, 100, d.bank)),
    "a second genesis": (
        "replayed",
        lambda d: d.world.governor.genesis("other", "Operator", STRANGER.public, d.world.policy, d.world.now_s),
    ),
    "a token that never was": ("not_owner", lambda d: d.transfer(inputs=(outpoint(seed("nowhere"), 0),))),
    "another one's token": ("not_owner", lambda d: d.transfer(keys=[d.bek.key])),
    "a message that is no longer valid": ("expired", lambda d: d.transfer(until_s=d.world.now_s - 1)),
    # purposes
    "a purpose that never was": (
        "purpose_mismatch",
        lambda d: d.transfer(Output(d.bek.key.public, COIN, seed("purpose"))),
    ),
    "a grant in a purpose that never was": (
        "purpose_refused",
        lambda d: build(
            Kind.GRANT,
            bodies.Grant(
                (d.stage.coins[0],), (Output(d.bek.key.public, COIN, seed("purpose")),), LATER_S, seed("purpose")
            ),
            [d.aida.key],
            d.network,
        ),
    ),
    "a purpose of another length": (
        "malformed",
        lambda d: d.raw_transfer(outputs=[[d.bek.key.public, COIN, b"school"]]),
    ),
    # what waits, what is stated about it, what comes back
    "an approval of what does not wait": ("not_owner", approve),
    "an approval in another's name": ("role_refused", lambda d: approve(d, by="altyn/bek")),
    "an approval by a stranger": ("not_enrolled", lambda d: approve(d, key=STRANGER)),
    "an approval by a purse": ("not_owner", lambda d: approve(d, key=d.aida.purse)),
    "an approval of half a payment": ("malformed", lambda d: d.sign(Kind.APPROVE, cbor.encode([bytes(16), "x"]))),
    "a fact by a wallet": ("role_refused", lambda d: attest(d, d.aida.key)),
    "a fact by a bank": ("role_refused", lambda d: attest(d, d.bank)),
    "a fact by the governor": ("role_refused", lambda d: attest(d, d.world.governor.key)),
    "a fact about nothing": ("malformed", lambda d: d.sign(Kind.ATTEST, cbor.encode(["registry", "sown", None]))),
    "a fact too long": ("too_large", lambda d: d.sign(Kind.ATTEST, cbor.encode(["registry", "x" * 49, bytes(32)]))),
    "a fact that could not be shown": (
        "malformed",
        lambda d: d.sign(Kind.ATTEST, cbor.encode(["registry", "s\u202eown", bytes(32)])),
    ),
    "an allowance in a purpose that never was": ("purpose_refused", lambda d: allow(d, COIN)),
    "a negative allowance": ("malformed", lambda d: allow(d, -COIN)),
    "an allowance above the largest amount": ("too_large", lambda d: allow(d, MAX_AMOUNT_TIYN + 1)),
    "a refund in a purpose that never was": ("purpose_refused", lambda d: refund(d, d.aida.key)),
    "a refund of another one's token": ("not_owner", lambda d: refund(d, d.bek.key)),
    "a recall in a purpose that never was": ("purpose_refused", lambda d: recall(d, [d.stage.coins[0]])),
    "a recall of nothing": ("malformed", lambda d: recall(d, [])),
    "a recall of a token named twice": ("malformed", lambda d: recall(d, [d.stage.coins[0]] * 2)),
    # what was asked for
    "a request for another amount": ("amount_mismatch", lambda d: requested(d, request(d, COIN + 1))),
    "a request by another than the payee": ("wrong_payee", lambda d: requested(d, request(d, COIN, d.aida.key))),
    "a request by nobody's customer": ("wrong_payee", lambda d: requested(d, request(d, COIN, STRANGER))),
    "a request on another network": ("bad_signature", lambda d: requested(d, request(d, COIN, network=bytes(32)))),
    "a request whose signature is another's": (
        "bad_signature",
        lambda d: requested(d, cose.sign1(STRANGER, Kind.REQUEST, cbor.decode(request(d, COIN))[2], d.network)),
    ),
    "a request that is an invoice": (
        "malformed",
        lambda d: requested(d, cose.sign1(d.bek.key, Kind.INVOICE, cbor.decode(request(d, COIN))[2], d.network)),
    ),
    "a request for nothing": (
        "malformed",
        lambda d: requested(d, requests.sign(d.bek.key, d.network, COIN, (), bytes(16))),
    ),
    "a request cut short": ("malformed", lambda d: requested(d, request(d, COIN)[:-1])),
    "a request that is noise": ("malformed", lambda d: requested(d, b"noise")),
    "a request too large": ("too_large", lambda d: requested(d, bytes(MAX_REQUEST_BYTES + 1))),
    "a request that is a number": ("malformed", lambda d: requested(d, 5)),
    "lines without a request": ("malformed", lambda d: requested(d, [["bread", COIN]])),
    "no lines": ("malformed", lambda d: requested(d, [])),
    # offline
    "a load above the purse's limit": ("limit_holding", lambda d: load(d, 11 * COIN, 11)),
    "evidence without its ancestry": (
        "ancestry_broken",
        lambda d: unsigned(d, Kind.RECONCILE, [[offline_payment(d)]]),
    ),
    "an online transfer as evidence": ("malformed", lambda d: unsigned(d, Kind.RECONCILE, [[d.good()]])),
    "noise as evidence": ("malformed", lambda d: unsigned(d, Kind.RECONCILE, [[b"noise"]])),
    "no evidence": ("malformed", lambda d: unsigned(d, Kind.RECONCILE, [[]])),
    "evidence inside evidence": (
        "malformed",
        lambda d: unsigned(d, Kind.RECONCILE, [[unsigned(d, Kind.RECONCILE, [[offline_payment(d)]])]]),
    ),
    "a sweep of what is not due": ("role_refused", lambda d: unsigned(d, Kind.SWEEP, [[d.stage.coins[0]]])),
}


def attest(desk: Desk, key: SigningKey) -> bytes:
    return build(Kind.ATTEST, bodies.Attest("registry", "sown", seed("payment")), [key], desk.network)


def allow(desk: Desk, amount: int) -> bytes:
    return desk.sign(Kind.ALLOW, cbor.encode([seed("purpose"), "altyn/bek", amount, bytes(16)]))


def refund(desk: Desk, key: SigningKey) -> bytes:
    back = (Output(desk.bek.key.public, COIN, seed("purpose")),)
    source = (seed("payment"), seed("purpose"), desk.aida.key.public)
    return build(Kind.REFUND, bodies.Refund((desk.stage.coins[0],), back, LATER_S, *source), [key], desk.network)


def recall(desk: Desk, names: list[bytes]) -> bytes:
    return desk.sign(Kind.RECALL, cbor.encode([seed("purpose"), names, "decision 7"]), desk.world.governor.key)


def request(desk: Desk, amount_tiyn: int, key: SigningKey | None = None, *, network: bytes | None = None) -> bytes:
    """Somebody, bek by default, asks for an amount."""
    line = (Line("bread", amount_tiyn),)
    return requests.sign(key or desk.bek.key, network or desk.network, amount_tiyn, line, bytes(16))


def requested(desk: Desk, stated: object, coin: int = 0) -> bytes:
    """aida pays bek one coin, and says this of what it is for."""
    outputs = [desk.to_bek().to_cbor()]
    return desk.sign(Kind.TRANSFER, cbor.encode([[desk.stage.coins[coin]], outputs, LATER_S, None, None, stated]))


def _certificate(desk: Desk, bank: SigningKey) -> bytes:
    return certificates.issue(
        bank,
        desk.network,
        bank="altyn",
        subject="stranger",
        key=STRANGER.public,
        issued_s=desk.world.now_s,
        expires_s=LATER_S,
    )


@pytest.mark.parametrize("name", BAD)
def test_bad_input(desk: Desk, name: str) -> None:
    code, make = BAD[name]
    raw, before = make(desk), desk.looks()
    started = time.monotonic()
    try:
        error = refusal(desk.ledger.submit(raw))
    except TooLarge as at_the_door:
        error = at_the_door
    assert time.monotonic() - started < 5, "refused, but far too slowly"
    assert error.code == code, error
    assert desk.looks() == before
    desk.still_serves()


def test_a_spent_token(desk: Desk) -> None:
    """The one refusal that must say more: who has it."""
    winner = desk.stage.pay(90)
    receipt = desk.ledger.submit(winner).result(PATIENCE_S)
    before = desk.looks()
    error = refusal(
        desk.ledger.submit(desk.transfer(desk.to_bek(), inputs=(desk.stage.coins[90],), until_s=LATER_S - 1))
    )
    assert (error.code, error.values["winner"], error.values["by"]) == (
        "double_spend",
        receipt.index,
        desk.stage.message_id(winner),
    )
    assert desk.looks() == before


def test_a_request_is_paid_once(desk: Desk) -> None:
    asked = request(desk, COIN)
    first = requested(desk, asked, coin=91)
    desk.stage.verify_receipt(first, desk.ledger.submit(first).result(PATIENCE_S))
    before = desk.looks()
    for coin in (92, 93):
        assert refusal(desk.ledger.submit(requested(desk, asked, coin=coin))).code == "replayed"
    again = desk.ledger.submit(first).result(PATIENCE_S)
    desk.stage.verify_receipt(first, again)
    assert desk.looks() == before


@pytest.mark.parametrize("thing", [None, 7, "text", [b"x"], object()], ids=lambda thing: type(thing).__name__)
def test_what_is_not_bytes_is_refused(desk: Desk, thing: object) -> None:
    """The caller's own mistake: refused at the door or in the answer, and nobody else notices."""
    before = desk.looks()
    with pytest.raises((TypeError, TengeError)):
        desk.ledger.submit(thing).result(PATIENCE_S)  # type: ignore[arg-type]
    assert desk.looks() == before
    desk.still_serves()


def test_every_truncation_is_malformed(desk: Desk) -> None:
    raw, before = desk.good(), desk.looks()
    answers = [desk.ledger.submit(raw[:length]) for length in range(len(raw))]
    assert {refusal(answer).code for answer in answers} == {"malformed"}
    assert desk.looks() == before
    desk.still_serves()


def test_every_changed_byte_is_refused(desk: Desk) -> None:
    """No bit of a signed message can be changed: there is one spelling, and all of it is signed or is the signature."""
    raw, before = desk.good(), desk.looks()
    dice = random.Random("every byte")
    changed = [raw[:at] + bytes([raw[at] ^ dice.randrange(1, 256)]) + raw[at + 1 :] for at in range(len(raw))]
    codes = {refusal(answer).code for answer in [desk.ledger.submit(message) for message in changed]}
    assert codes <= {"malformed", "not_canonical", "too_large", "bad_signature"}
    assert desk.looks() == before
    desk.still_serves()


def test_a_flood_of_noise_among_good_messages(desk: Desk) -> None:
    """Good and bad messages in the same groups: each gets its own answer."""
    dice = random.Random("noise")
    coins = range(10, 40)
    messages = [desk.stage.pay(coin) for coin in coins] + [dice.randbytes(dice.randrange(300)) for _ in range(300)]
    dice.shuffle(messages)
    good = {desk.stage.pay(coin) for coin in coins}
    size = desk.ledger.store.size()
    for raw, answer in [(raw, desk.ledger.submit(raw)) for raw in messages]:
        if raw in good:
            desk.stage.verify_receipt(raw, answer.result(PATIENCE_S))
        else:
            assert refusal(answer).code in ("malformed", "not_canonical")
    assert desk.ledger.store.size() == size + len(good)


# --- well signed nonsense ----------------------------------------------------------------------

ODD = (
    *(None, True, False, -1, 0, 1, 23, 255, 1 << 31, 1 << 53, (1 << 63) - 1, 1 << 63, (1 << 64) - 1, -(1 << 63)),
    *(b"", bytes(1), bytes(16), bytes(32), bytes(34), bytes(64), b"\xff" * 32, bytes(3000)),
    *("", "x", "altyn", "aida", "\u0000", "\u202e", "x" * 300, "1e9", 1.5, float("inf"), float("nan")),
    *([], [[]], [None], [0, 1, 2], {}, {"": None}, {0: 1}, ["all", []], ["not", ["after", 0]]),
)


def test_well_signed_nonsense_is_refused_or_lawful(tmp_path: Path) -> None:
    """Fields of genuine messages of every kind replaced by odd values, and signed again by the right keys.

    So they get past the signatures to every reader and every guard. None may be met with an untyped error or with
    `invariant_violation`, which is for defects; what happens to be lawful is carried out, and the audit holds.
    """
    world = everything()
    dice = random.Random("nonsense")
    world.write(tmp_path / "ledger.db")
    codes: dict[str, int] = {}
    with Ledger(SqliteStore.open(tmp_path / "ledger.db"), world.identity(), clock=lambda: world.now_s) as ledger:
        answers = [ledger.submit(_nonsense(world, dice)) for _ in range(4000)]
        for answer in answers:
            error = answer.exception(PATIENCE_S)
            assert error is None or isinstance(error, TengeError), repr(error)
            code = error.code if isinstance(error, TengeError) else "accepted"
            codes[code] = codes.get(code, 0) + 1
    assert "invariant_violation" not in codes
    assert "unreachable" not in codes
    assert "bad_signature" not in codes or codes["bad_signature"] < 400, "it was to get past the signatures"
    assert codes["accepted"] < 400
    assert len(codes) > 12, codes
    verdict = audit_file(tmp_path / "ledger.db", world.network)
    assert verdict.entries == len(world.messages) + codes["accepted"] - _repeats(answers, len(world.messages))


def _repeats(answers: list, genuine: int) -> int:
    """Accepted only because the message, unchanged after all, is in the log already."""
    receipts = [answer.result() for answer in answers if answer.exception() is None]
    return len(receipts) - len({receipt.index for receipt in receipts if receipt.index >= genuine})


def _nonsense(world: Recorder, dice: random.Random) -> bytes:
    _, raw = dice.choice(world.messages)
    message, signed = decode(raw, world.network), cose.decode(raw)
    payload = cbor.decode(signed.payload)
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        _replace_somewhere(payload, dice)
    keys = [world.keys[key] for key in message.signers]
    return cose.sign(keys, signed.kind, cbor.encode(payload), world.network)


def _replace_somewhere(value: list, dice: random.Random) -> None:
    """Put an odd value into a random place of a tree of lists and maps, or shorten, lengthen or shuffle a list."""
    while True:
        places = list(value) if isinstance(value, dict) else list(range(len(value)))
        if not places:
            return
        at = dice.choice(places)
        if isinstance(value[at], list | dict) and value[at] and dice.random() < 0.8:
            value = value[at]
            continue
        move = dice.random()
        if isinstance(value, list) and move < 0.1:
            del value[at]
        elif isinstance(value, list) and move < 0.2:
            value.append(deepcopy(value[at]))
        elif isinstance(value, list) and move < 0.25:
            dice.shuffle(value)
        else:
            value[at] = deepcopy(dice.choice(ODD))  # what stands there may be changed next
        return
