"""The element in a process of its own: what can be asked of it, what it says to nonsense, and how it dies."""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from cbdc import errors
from cbdc.errors import (
    DoubleSpend,
    FileTrouble,
    FormError,
    LedgerBusy,
    LimitHolding,
    LimitPayment,
    Malformed,
    PinLocked,
    RoleRefused,
    TengeError,
    TooLarge,
    Unreachable,
    WrongPassword,
    WrongPin,
)
from cbdc.formats import cbor, certificates, cose
from cbdc.formats.ed25519 import SigningKey, is_valid
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.limits import MAX_ELEMENT_FRAME_BYTES, MAX_KDF_LANES, PIN_FREE_TRIES, PIN_MAX_WAIT_MS
from cbdc.messages.bodies import Unload
from cbdc.service.stream import receive_frame, send_frame
from tests.support import LIMITS, seed
from tests.wallet.paper import FAR_S, PIN, Device, Paper, stolen_seed
from tests.wallet.town import FUNDS_TIYN, Town
from wallet import child
from wallet.customer import Customer
from wallet.element import ElementProcess, SecureElement, SimulatedElement
from wallet.element.pin import uptime_ms, wait_after_ms
from wallet.element.server import Session, serve
from wallet.element.wire import (
    AFTER_OPEN,
    BEFORE_OPEN,
    read_answer,
    refusal,
)
from wallet.protocol import receipt_payload
from wallet.vault import QUICK_KDF

COIN = bytes(range(34))
OTHER = SigningKey(seed("other")).public
NEW_PIN = "new-pin-864209"
COST = [QUICK_KDF.iterations, QUICK_KDF.lanes, QUICK_KDF.memory_kib]


@pytest.fixture
def device(new_device: Callable[..., Device]) -> Device:
    return new_device("dana", maker=ElementProcess)


def process_of(device: Device) -> ElementProcess:
    assert isinstance(device.element, ElementProcess)
    return device.element


def value_of(answer: bytes) -> Any:
    """What an answer says. Raises the error in it."""
    value, error = read_answer(answer)
    if error is not None:
        raise error
    return value


def payment(device: Device, coin: bytes, amount_tiyn: int = 1_00) -> bytes:
    counter, spends = device.element.counters()
    outputs = (Output(OTHER, amount_tiyn, None),)
    terms, own = {"counter": counter + 1, "spends": spends + 1}, device.purse.certificate.id
    return cbor.encode(device.paper.transfer(own, seed("payee"), (coin,), outputs, **terms).to_cbor())


# --- what can be asked -------------------------------------------------------------------------


def test_these_are_all_the_requests_there_are() -> None:
    """A new one is a new way in: it belongs into the interface, the threat model and this list."""
    assert set(BEFORE_OPEN) == {"create", "open"}
    assert set(AFTER_OPEN) == {
        *("install", "counters", "held_tiyn", "has_spent", "sign_payment", "sign_unload"),
        *("sign_invoice", "sign_receipt", "sync_challenge", "note_sync", "change_pin"),
        "allowance_left_tiyn",
    }
    asked = {name for name in vars(SecureElement) if not name.startswith("_")}
    assert asked == set(AFTER_OPEN) | {"public_key", "close"}


def good_requests(paper: Paper, key: bytes, challenge: bytes) -> list[list[Any]]:
    """One request of each name that an open element carries out, in an order in which all succeed."""
    certificate = paper.certify("dana", key)
    own = certificates.unverified(certificate, paper.network)[0].id
    transfer = paper.transfer(own, seed("payee"), (COIN,), (Output(OTHER, 1_00, None),))
    unload = Unload((COIN[::-1],), (Output(key, 1_00, None),), FAR_S)
    taken = paper.signed(
        paper.transfer(seed("x"), seed("y"), (COIN,), (Output(key, 5, None),)), SigningKey(seed("payer"))
    )
    return [
        ["install", certificate, paper.trust_list()],
        ["note_sync", paper.sync_certificate(key, challenge), paper.trust_list(), True],
        ["sign_payment", cbor.encode(transfer.to_cbor())],
        ["sign_unload", cbor.encode(unload.to_cbor())],
        ["sign_invoice", cbor.encode([1_00, certificate, b"", 0, 0, 0, []])],
        ["sign_receipt", receipt_payload(paper.message_id(taken), 5), taken],
        ["counters"],
        ["held_tiyn"],
        ["allowance_left_tiyn", bytes(32)],
        ["has_spent", COIN],
        ["sync_challenge"],
        ["change_pin", PIN.encode(), NEW_PIN.encode()],
    ]


def test_no_answer_to_any_request_holds_the_key(paper: Paper, tmp_path: Path) -> None:
    path = tmp_path / "element.db"
    answers: list[bytes] = []

    def ask(session: Session, *request: Any) -> Any:
        answers.append(session.handle(cbor.encode(list(request))))
        return value_of(answers[-1])

    session = Session(path)
    key = ask(session, "create", PIN.encode(), paper.network, COST)
    session.close()
    session = Session(path)
    assert ask(session, "open", PIN.encode()) == key
    asked = {"create", "open"}
    for request in good_requests(paper, key, ask(session, "sync_challenge")):
        ask(session, *request)
        asked.add(request[0])
        for spoiled in ([*request, b"more"], request[:1] + [None] * (len(request) - 1)):
            answers.append(session.handle(cbor.encode(spoiled)))
    assert asked == set(BEFORE_OPEN) | set(AFTER_OPEN)
    session.close()
    secret = stolen_seed(path, NEW_PIN)
    assert SigningKey(secret).public == key
    expanded = hashlib.sha512(secret).digest()
    said = b"".join(answers)
    for part in (secret, secret.hex().encode(), expanded[:32], expanded[32:], PIN.encode(), NEW_PIN.encode()):
        assert part not in said


def test_a_locked_element_answers_nothing_else(paper: Paper, tmp_path: Path) -> None:
    session = Session(tmp_path / "element.db")
    for request in good_requests(paper, OTHER, bytes(16)):
        with pytest.raises(RoleRefused):
            value_of(session.handle(cbor.encode(request)))


def test_an_open_element_is_not_opened_again(paper: Paper, tmp_path: Path) -> None:
    session = Session(tmp_path / "element.db")
    value_of(session.handle(cbor.encode(["create", PIN.encode(), paper.network, COST])))
    for request in (["create", PIN.encode(), paper.network, COST], ["open", PIN.encode()], ["open", b"0000"]):
        with pytest.raises(RoleRefused):
            value_of(session.handle(cbor.encode(request)))
    session.close()


# --- nonsense ----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Session]:
    paper, path = Paper(), tmp_path_factory.mktemp("fuzz") / "element.db"
    session = Session(path)
    key = value_of(session.handle(cbor.encode(["create", PIN.encode(), paper.network, COST])))
    value_of(session.handle(cbor.encode(["install", paper.certify("dana", key), paper.trust_list()])))
    yield session
    assert value_of(session.handle(cbor.encode(["counters"]))) == [0, 0]
    session.close()


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers(-(2**63), 2**63) | st.binary(max_size=80) | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=8) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=20,
)
ARGUMENTS = VALUES | VALUES.map(cbor.encode)
CHANGING = {"sync_challenge", "counters", "held_tiyn", "has_spent", "allowance_left_tiyn"}
"""Requests that even nonsense may get right: they need little or nothing."""


@given(body=st.binary(max_size=200))
@example(body=b"")
@example(body=b"\x81" * 200)
@example(body=b"\x9f\xff")
@example(body=cbor.encode([["install"]]))
@example(body=cbor.encode([]))
def test_random_bytes_get_a_typed_error(session: Session, body: bytes) -> None:
    with pytest.raises(FormError):
        value_of(session.handle(body))


@settings(suppress_health_check=[HealthCheck.too_slow])
@given(name=st.sampled_from(sorted(BEFORE_OPEN | AFTER_OPEN)), arguments=st.lists(ARGUMENTS, max_size=4))
def test_random_arguments_get_a_typed_error(session: Session, name: str, arguments: list[Any]) -> None:
    try:
        value_of(session.handle(cbor.encode([name, *arguments])))
    except TengeError as error:
        assert type(error) is not TengeError
    else:
        assert name in CHANGING


@pytest.mark.parametrize(
    "cost",
    [[0, 1, 64], [1, 0, 64], [1, 8, 63], [1, MAX_KDF_LANES + 1, 2**20], [17, 1, 64], [1, 1, 2**20 + 1], [1, 1], 5],
)
def test_it_does_no_boundless_work_for_whoever_makes_it(paper: Paper, tmp_path: Path, cost: Any) -> None:
    session = Session(tmp_path / "element.db")
    with pytest.raises(FormError):
        value_of(session.handle(cbor.encode(["create", PIN.encode(), paper.network, cost])))
    for pin in (b"\xff", bytes(1025), "1234"):
        with pytest.raises(FormError):
            value_of(session.handle(cbor.encode(["open", pin])))
    assert not (tmp_path / "element.db").exists()


def test_settled_is_true_or_false(session: Session) -> None:
    for settled in (1, 0, None, b""):
        with pytest.raises(Malformed, match="neither true nor false"):
            value_of(session.handle(cbor.encode(["note_sync", b"", b"", settled])))


def ask_raw(device: Device, body: bytes) -> Any:
    """A frame past the client's own words, to the real process."""
    channel = process_of(device)._child._channel
    send_frame(channel, body)
    reply = receive_frame(channel, MAX_ELEMENT_FRAME_BYTES)
    assert reply is not None
    return value_of(reply)


def test_the_process_survives_nonsense(device: Device) -> None:
    chance = random.Random(7)
    before = process_of(device).process_id
    for length in (0, 1, 2, 50, 5000):
        for _ in range(10):
            with pytest.raises(FormError):
                ask_raw(device, chance.randbytes(length))
    unknown = [["export"], ["seed"], ["_key"], ["close"], ["__repr__"], ["__init__", b""]]
    for request in (*unknown, ["counters", 1], ["has_spent"], ["has_spent", b"x"]):
        with pytest.raises(Malformed):
            ask_raw(device, cbor.encode(request))
    assert device.element.counters() == (0, 0)
    assert process_of(device).process_id == before


def test_a_frame_above_the_bound_is_refused_unread_and_the_next_one_answered(device: Device) -> None:
    channel = process_of(device)._child._channel
    channel.sendall((MAX_ELEMENT_FRAME_BYTES + 1).to_bytes(4, "big"))
    reply = receive_frame(channel, MAX_ELEMENT_FRAME_BYTES)
    assert reply is not None
    with pytest.raises(TooLarge) as refused:
        value_of(reply)
    assert refused.value.values == {"found": MAX_ELEMENT_FRAME_BYTES + 1, "limit": MAX_ELEMENT_FRAME_BYTES}
    for _ in range(17):
        channel.sendall(bytes((MAX_ELEMENT_FRAME_BYTES + 1) // 17))
    channel.sendall(bytes((MAX_ELEMENT_FRAME_BYTES + 1) % 17))
    assert device.element.counters() == (0, 0)


@pytest.mark.parametrize("cut", [b"", b"\0", b"\0\0\0\x09", b"\0\0\0\x09abc", b"\xff\xff\xff\xffabc"])
def test_it_ends_with_the_stream_wherever_that_is_cut(tmp_path: Path, cut: bytes) -> None:
    ours, theirs = socket.socketpair()
    with ours, theirs:
        ours.sendall(cut)
        ours.shutdown(socket.SHUT_WR)
        serve(theirs, Session(tmp_path / "element.db"))
        theirs.close()
        said = ours.recv(1000)
    assert bool(said) is (cut[:1] == b"\xff")


def test_what_is_no_answer_is_not_taken_for_one() -> None:
    shapes = ([], [True], [True, 1, 2], [1, 1], [False, "x"], [False, "x", "y", {}], [0, "x", "y", []], 5)
    shapes += ([False, "x", "y", [["a"]]], [False, "x", "y", [[1, 2]]], [False, "x", "y", [["a", 1]] * 33])
    for body in (b"", b"\xff", *map(cbor.encode, shapes)):
        with pytest.raises(FormError):
            read_answer(body)


def test_a_process_that_answers_nonsense_is_left(device: Device, monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as broken:
        broken.setattr(child, "receive_frame", lambda *_: b"\xff")
        with pytest.raises(Unreachable):
            device.element.counters()
    with pytest.raises(Unreachable):
        device.element.counters()
    assert device.restarted().element.counters() == (0, 0)


# --- errors travel -----------------------------------------------------------------------------


KINDS = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TengeError)]


@pytest.mark.parametrize("kind", [kind for kind in KINDS if "code" in vars(kind)], ids=lambda kind: kind.code)
def test_every_error_comes_back_as_its_own_class(kind: type[TengeError]) -> None:
    error = kind("refused", found=3, key=b"\1\2", why="so", path=Path("/x"), nothing=None, huge=2**70, is_so=True)
    with pytest.raises(TengeError) as raised:
        value_of(refusal(error))
    assert (type(raised.value), raised.value.message) == (kind, "refused")
    assert raised.value.values == {
        "found": 3,
        "key": b"\1\2",
        "why": "so",
        "path": "/x",
        "nothing": None,
        "huge": str(2**70),
        "is_so": True,
    }


def test_refusals_of_the_process_are_the_cores_own(device: Device) -> None:
    with pytest.raises(LimitPayment) as refused:
        device.element.sign_payment(payment(device, COIN, LIMITS.payment_tiyn + 1))
    assert refused.value.values == {"found": LIMITS.payment_tiyn + 1, "limit": LIMITS.payment_tiyn}
    with pytest.raises(LimitHolding):
        device.element.sign_invoice(cbor.encode([LIMITS.holding_tiyn + 1]))


# --- one wallet at a time ----------------------------------------------------------------------


def test_a_second_wallet_is_refused_while_the_first_works_on(device: Device) -> None:
    path = device.directory / "element.db"
    for maker in (ElementProcess, SimulatedElement, ElementProcess):
        with pytest.raises(LedgerBusy):
            maker.open(path, PIN)
        with pytest.raises(LedgerBusy):
            maker.create(path, PIN, device.paper.network, cost=QUICK_KDF)
    assert device.element.counters() == (0, 0)
    device.close()
    again = SimulatedElement.open(path, PIN)
    assert again.counters() == (0, 0)
    again.close()


def test_threads_of_one_wallet_take_turns(device: Device) -> None:
    wrong: list[object] = []

    def ask(number: int) -> None:
        coin = bytes([number]) * 34
        for _ in range(30):
            if device.element.has_spent(coin) or device.element.counters() != (0, 0):
                wrong.append(number)
            if len(device.element.sync_challenge()) != 16:
                wrong.append(number)

    threads = [threading.Thread(target=ask, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


# --- the PIN -----------------------------------------------------------------------------------


def test_wrong_pins_cost_the_process_its_tries_too(device: Device) -> None:
    path = device.directory / "element.db"
    device.close()
    for left in range(9, 9 - PIN_FREE_TRIES, -1):
        with pytest.raises(WrongPin) as refused:
            ElementProcess.open(path, "0000")
        assert refused.value.values == {"tries_left": left}
    # more wrong ones, in a future where no wait is left: the next wait is longer than a process takes to start
    future = itertools.count(uptime_ms() + PIN_MAX_WAIT_MS, PIN_MAX_WAIT_MS)
    for _ in range(4):
        with pytest.raises(WrongPin):
            SimulatedElement.open(path, "0000", clock_ms=future.__next__)
    with pytest.raises(PinLocked) as locked:
        ElementProcess.open(path, PIN)
    assert locked.value.values == {"wait_s": wait_after_ms(PIN_FREE_TRIES + 4) // 1000, "for_good": False}
    SimulatedElement.open(path, PIN, clock_ms=future.__next__).close()
    device.restarted()
    assert device.element.counters() == (0, 0)


def test_the_process_changes_its_pin(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    signature = device.element.sign_payment(payload := payment(device, COIN))
    with pytest.raises(WrongPin) as refused:
        device.element.change_pin("0000-wrong", NEW_PIN)
    assert refused.value.values == {"tries_left": 9}
    device.element.change_pin(PIN, NEW_PIN)
    assert device.element.sign_payment(payload) == signature
    told = f"{refused.value!r} {refused.value} {refused.value.to_json()} {device.element!r} {caplog.text}"
    assert not [pin for pin in ("0000-wrong", PIN, NEW_PIN) if pin in told]
    device.close()
    path = device.directory / "element.db"
    with pytest.raises(WrongPin):
        ElementProcess.open(path, PIN)
    again = ElementProcess.open(path, NEW_PIN)
    assert (again.counters(), again.sign_payment(payload)) == ((1, 1), signature)
    again.close()


def test_a_changed_pin_is_tried_as_slowly_as_the_first(device: Device) -> None:
    """An open element is no way round the waiting."""
    for _ in range(PIN_FREE_TRIES):
        with pytest.raises(WrongPin):
            device.element.change_pin("0000", NEW_PIN)
    for pin in ("0000", PIN):
        with pytest.raises(PinLocked) as locked:
            device.element.change_pin(pin, NEW_PIN)
        assert locked.value.values == {"wait_s": 1, "for_good": False}
    assert device.element.counters() == (0, 0)
    with pytest.raises(FormError):
        ask_raw(device, cbor.encode(["change_pin", PIN.encode(), b"\xff"]))
    for pin in ("9" * 1025, "\ud800"):
        with pytest.raises(FormError):
            device.element.change_pin(PIN, pin)
    time.sleep(1.1)
    device.element.change_pin(PIN, NEW_PIN)


def test_no_element_no_answer(tmp_path: Path) -> None:
    with pytest.raises(FileTrouble):
        ElementProcess.open(tmp_path / "none.db", PIN)


# --- dying -------------------------------------------------------------------------------------


def kill(device: Device) -> None:
    os.kill(process_of(device).process_id, signal.SIGKILL)


def test_a_dead_element_is_unreachable_until_it_is_opened_again(device: Device) -> None:
    signature = device.element.sign_payment(payload := payment(device, COIN))
    kill(device)
    for _ in range(2):
        with pytest.raises(Unreachable):
            device.element.counters()
    with pytest.raises(Unreachable):
        device.purse.invoice(1_00)
    device.restarted()
    assert device.element.counters() == (1, 1)
    assert device.element.sign_payment(payload) == signature


def test_an_element_that_cannot_be_started_is_unreachable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "executable", str(tmp_path / "no python"))
    with pytest.raises(Unreachable):
        ElementProcess.open(tmp_path / "element.db", PIN)


def test_it_ends_with_a_killed_wallet_and_lets_go_of_its_storage(device: Device) -> None:
    path = device.directory / "element.db"
    device.close()
    wallet = (
        "import os, pathlib, signal, sys\n"
        "from wallet.element import ElementProcess\n"
        "element = ElementProcess.open(pathlib.Path(sys.argv[1]), sys.argv[2])\n"
        "os.kill(os.getpid(), signal.SIGKILL)\n"
    )
    died = subprocess.run([sys.executable, "-c", wallet, str(path), PIN], check=False, timeout=60)
    assert died.returncode == -signal.SIGKILL
    for _ in range(100):
        try:
            assert device.restarted().element.counters() == (0, 0)
            return
        except LedgerBusy:
            device.vault.close()
            time.sleep(0.1)
    pytest.fail("the element's process outlived its wallet")


def test_killed_at_any_moment_it_never_signs_two_payloads_for_one_input(device: Device) -> None:
    """Rival payments of one coin after another, the process killed in the middle of each first one."""
    chance = random.Random(11)
    outcomes = set()
    for number in range(1, 31):
        coin = bytes([number]) * 34
        first, second = payment(device, coin, 1_00), payment(device, coin, 2_00)
        killer = threading.Timer(chance.choice([0, 0.0005, 0.001, 0.002, 0.004, 0.02]), kill, [device])
        killer.start()
        signature = None
        try:
            signature = device.element.sign_payment(first)
        except Unreachable:
            outcomes.add("no answer")
        killer.join()
        device.restarted()
        noted = device.element.has_spent(coin)
        assert noted or signature is None
        outcomes.add("noted" if noted else "not noted")
        assert device.element.counters()[0] == number - (not noted)
        winner, loser = (first, second) if noted else (second, first)
        again = device.element.sign_payment(winner)
        assert signature in (None, again)
        structure = cose.signed_structure(Kind.TRANSFER, winner, device.paper.network)
        assert is_valid(again.key, structure, again.value)
        with pytest.raises(DoubleSpend):
            device.element.sign_payment(loser)
        device.element.note_sync(
            device.paper.sync_certificate(device.element.public_key, device.element.sync_challenge()),
            device.paper.trust_list(),
        )
    assert {"noted", "no answer"} <= outcomes


def opens(path: Path, pin: str) -> bool:
    try:
        ElementProcess.open(path, pin).close()
    except WrongPin:
        return False
    return True


def test_killed_at_any_moment_the_old_pin_or_the_new_one_opens_it(device: Device) -> None:
    """Killed while it changes its PIN: never neither, never both, and it remembers what it has signed."""
    chance, path = random.Random(12), device.directory / "element.db"
    signature = device.element.sign_payment(payload := payment(device, COIN))
    now, outcomes = PIN, set()
    for number in range(15):
        wanted = f"pin {number}"
        killer = threading.Timer(chance.choice([0, 0.001, 0.002, 0.004, 0.006, 0.01, 0.05]), kill, [device])
        killer.start()
        was_answered = True
        try:
            device.element.change_pin(now, wanted)
        except Unreachable:
            was_answered = False
        killer.join()
        device.element.close()
        (now,) = [pin for pin in (wanted, now) if opens(path, pin)]
        assert now == wanted or not was_answered
        outcomes.add((now == wanted, was_answered))
        device.element = ElementProcess.open(path, now)
        assert device.element.sign_payment(payload) == signature
    assert {(True, True), (False, False)} <= outcomes


def test_a_purse_whose_element_died_after_signing_sends_the_very_payment_it_signed(
    device: Device, new_device: Callable[..., Device], monkeypatch: pytest.MonkeyPatch
) -> None:
    shop = new_device("shop")
    device.load(100_00)
    invoice = shop.purse.invoice(60_00)
    element = process_of(device)
    whole = element._child.exchange

    def loses_the_answer(body: bytes) -> Any:
        answer = whole(body)
        if b"sign_payment" not in body:
            return answer
        kill(device)
        raise Unreachable("the answer was lost")

    monkeypatch.setattr(element._child, "exchange", loses_the_answer)
    with pytest.raises(Unreachable):
        device.purse.pay(invoice)
    device.restarted()
    assert device.purse.recover() == 1
    assert device.element.counters() == (1, 1)
    bundle = device.purse.pay(invoice)
    shop.purse.accept(bundle)
    assert (device.purse.balance_tiyn(), shop.purse.balance_tiyn()) == (40_00, 60_00)


def test_a_purse_whose_element_died_before_signing_has_lost_nothing(
    device: Device, new_device: Callable[..., Device]
) -> None:
    shop = new_device("shop")
    device.load(100_00)
    invoice = shop.purse.invoice(60_00)
    kill(device)
    with pytest.raises(Unreachable):
        device.purse.pay(invoice)
    device.restarted()
    assert device.purse.balance_tiyn() == 100_00
    shop.purse.accept(device.purse.pay(invoice))
    assert device.element.counters() == (1, 1)


# --- a whole wallet ----------------------------------------------------------------------------


def test_a_wallets_element_is_a_process_unless_told_otherwise(tmp_path: Path) -> None:
    def clock() -> int:
        return 0

    mine = Customer.create(tmp_path, "password", seed("network"), clock=clock, pin=PIN, cost=QUICK_KDF)
    assert isinstance(mine.element, ElementProcess)
    assert mine.element.process_id != os.getpid()
    mine.close()
    with pytest.raises(WrongPassword):
        Customer.open(tmp_path, "Password", clock=clock, pin=PIN)
    with pytest.raises(WrongPin):
        Customer.open(tmp_path, "password", clock=clock)
    embedded = Customer.open(tmp_path, "password", clock=clock, pin=PIN, element=SimulatedElement)
    assert embedded.element.public_key == mine.element.public_key
    embedded.close()


@pytest.mark.parametrize("maker", [SimulatedElement, ElementProcess])
def test_an_owner_changes_his_pin_and_keeps_his_password(tmp_path: Path, maker: Any) -> None:
    def clock() -> int:
        return 0

    mine = Customer.create(tmp_path, "password", seed("network"), clock=clock, element=maker, cost=QUICK_KDF)
    mine.change_pin("password", NEW_PIN)
    with pytest.raises(WrongPin):
        mine.change_pin("password", PIN)
    mine.close()
    with pytest.raises(WrongPin):
        Customer.open(tmp_path, "password", clock=clock, element=maker)
    again = Customer.open(tmp_path, "password", clock=clock, pin=NEW_PIN, element=maker)
    assert again.element.public_key == mine.element.public_key
    again.close()
    without = Customer.open_without_element(tmp_path, "password", clock=clock)
    with pytest.raises(Unreachable):
        without.change_pin(NEW_PIN, PIN)
    without.close()


def test_a_wallet_without_an_element_is_not_made(tmp_path: Path) -> None:
    (tmp_path / "element.db").write_bytes(b"")
    for _ in range(2):
        with pytest.raises(LedgerBusy):
            Customer.create(tmp_path, "password", seed("network"), clock=lambda: 0, cost=QUICK_KDF)
        assert not (tmp_path / "wallet.db").exists()


def test_wallets_with_element_processes_pay_and_sync(tmp_path: Path) -> None:
    town = Town.found(tmp_path, "dana", "erlan", element=ElementProcess)
    try:
        town["dana"].load(town.port, 100_00)
        town.pay_offline("dana", "erlan", 60_00)
        town.sync("erlan", "dana")
        assert town.held("dana") == (FUNDS_TIYN - 100_00, 40_00, 0)
        assert town.held("erlan") == (FUNDS_TIYN, 60_00, 0)
        assert [town[name].element.held_tiyn() for name in ("dana", "erlan")] == [40_00, 60_00]
        town["dana"].unload(town.port, 10_00)
        assert town["dana"].element.held_tiyn() == 30_00
    finally:
        town.close()
