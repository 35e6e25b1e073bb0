"""A ledger on a Unix socket: it answers as the one in this process does, and outlives bad input and bad networks."""

from __future__ import annotations

import random
import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path

import pytest

from cbdc.errors import (
    FormError,
    InsufficientFunds,
    Malformed,
    NotEnrolled,
    Overloaded,
    PurposeRefused,
    TooLarge,
    Unreachable,
    WrongNetwork,
)
from cbdc.formats import cbor
from cbdc.formats.calls import answer, read_answer, read_request
from cbdc.limits import MAX_LEDGER_ANSWER_BYTES, MAX_LEDGER_REQUEST_BYTES, MAX_OWNERS
from cbdc.log import entries
from cbdc.log.receipts import Receipt
from cbdc.messages.message import decode
from cbdc.purposes.conditions import Approval, Evidence, PerPayment, PerPeriod
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears
from cbdc.service import pages
from cbdc.service import server as server_module
from cbdc.service.pages import Page
from cbdc.service.server import LedgerServer
from cbdc.service.stream import receive_frame, send_frame
from cbdc.service.wire import ARGUMENTS
from cbdc.state.records import OfflineToken
from tests.wallet.town import FUNDS_TIYN, Town
from wallet.port import LedgerPort
from wallet.remote import RemotePort
from wallet.scenarios.setting import OneProcess

Raw = Callable[[bytes], bytes]


@pytest.fixture
def town(tmp_path: Path) -> Iterator[Town]:
    made = Town.found(tmp_path / "town", "dana", "erlan")
    yield made
    made.close()


@pytest.fixture
def server(town: Town) -> Iterator[LedgerServer]:
    setting = town.economy.setting
    assert isinstance(setting, OneProcess)
    made = LedgerServer(setting.ledger, setting.queries)
    yield made
    made.close()


@pytest.fixture
def path(server: LedgerServer, tmp_path: Path) -> Path:
    server.listen(tmp_path / "ledger.sock")
    return tmp_path / "ledger.sock"


@pytest.fixture
def remote(town: Town, path: Path) -> Iterator[RemotePort]:
    port = RemotePort(path, town.port.network, patience_s=5)
    yield port
    port.close()


@pytest.fixture
def raw(path: Path) -> Iterator[Raw]:
    """Frames past the client's own words."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(20)
        channel.connect(str(path))

        def ask(body: bytes) -> bytes:
            send_frame(channel, body)
            reply = receive_frame(channel, MAX_LEDGER_ANSWER_BYTES)
            assert reply is not None
            return reply

        yield ask


def error_in(reply: bytes) -> Exception:
    _, error = read_answer(reply, MAX_LEDGER_ANSWER_BYTES)
    assert error is not None
    return error


# --- the same answers --------------------------------------------------------------------------


def test_every_question_gets_the_answer_that_a_ledger_in_this_process_gives(town: Town, remote: RemotePort) -> None:
    dana = town["dana"]
    dana.load(town.port, 300_00)
    (leaf,) = dana.purse.tokens()
    keys = [dana.online_key]
    questions: list[Callable[[LedgerPort], object]] = [
        lambda port: (port.network, port.origin, port.trust_list(), port.policy(), port.purposes()),
        lambda port: port.tokens_of(keys),
        lambda port: port.offline_of([dana.purse_key]),
        lambda port: (port.offline_token(leaf), port.offline_token(bytes(len(leaf)))),
        lambda port: (port.load_certificate(leaf), port.load_certificate(bytes(len(leaf)))),
        lambda port: port.sync_certificate(dana.purse_key, bytes(16)),
        lambda port: [port.spenders_of(name) for name in (leaf, *port.tokens_of(keys))],
        lambda port: (port.certificate_bytes(dana.purse_key), port.claims_tiyn("altyn"), port.ledger_time_s()),
        lambda port: (port.debt_tiyn("altyn/dana"), port.seized_tiyn(dana.purse_key)),
    ]
    for ask in questions:
        assert ask(remote) == ask(town.port)
    assert remote.offline_of([dana.purse_key])[leaf].amount_tiyn == 300_00


def test_every_question_about_purposes_gets_the_same_answer(tmp_path: Path) -> None:
    """Where there is something to answer, and where there is not."""
    wallets = [{"name": name, "bank": "altyn", "kind": "sponsor"} for name in ("dana", "erlan", "zere")]
    town = Town.found(tmp_path / "town", tables={"wallet": wallets})
    dana, erlan, zere = (town[name] for name in ("dana", "erlan", "zere"))
    limited = PerPeriod(10_00, 30)
    ready = dana.define_purpose(town.port, replace(purpose(town, "ready"), condition=limited))
    held = dana.define_purpose(town.port, replace(purpose(town, "held"), condition=Approval(("altyn/dana",), 1)))
    for mark in (ready, held):
        dana.grant(town.port, erlan.online_key, 5_00, mark)
    paid, waits = (spent_by(town, erlan.pay(town.port, zere.online_key, 3_00, purpose=mark)) for mark in (ready, held))
    setting = town.economy.setting
    assert isinstance(setting, OneProcess)
    server = LedgerServer(setting.ledger, setting.queries)
    server.listen(tmp_path / "ledger.sock")
    remote = RemotePort(tmp_path / "ledger.sock", town.port.network, patience_s=5)
    questions: list[Callable[[LedgerPort], object]] = [
        lambda port: port.purpose_memory(ready, "altyn/erlan", "altyn/zere"),
        lambda port: port.waiting_payment(waits),
        lambda port: port.approvers_of(waits),
        lambda port: port.refundable(paid),
        lambda port: port.keys_of("altyn/zere"),
        lambda port: port.role_of("altyn"),
    ]
    for ask in questions:
        assert ask(remote) == ask(town.port)
        assert ask(remote)
    nothing: list[Callable[[LedgerPort], object]] = [
        lambda port: port.waiting_payment(paid),
        lambda port: port.approvers_of(paid),
        lambda port: port.refundable(waits),
        lambda port: port.keys_of("altyn/nobody"),
        lambda port: port.role_of("nobody"),
    ]
    for ask in nothing:
        assert ask(remote) == ask(town.port)
        assert not ask(remote)
    with pytest.raises(PurposeRefused):
        remote.purpose_memory(bytes(32), "altyn/erlan", "altyn/zere")
    zere.refund(remote, paid, 1_00)
    assert [found.rest_tiyn for found in remote.refundable(paid)] == [2_00]
    dana.approve(remote, waits)
    assert (remote.waiting(), remote.waiting_payment(waits)) == ({}, None)
    remote.close()
    server.close()
    town.close()


def spent_by(town: Town, receipt: Receipt) -> bytes:
    """The id of the message that a receipt is of."""
    setting = town.economy.setting
    assert isinstance(setting, OneProcess)
    entry = setting.ledger.store.entry(receipt.index)
    assert entry is not None
    return decode(entries.decode(entry)[1], town.port.network).id


def test_a_wallet_pays_loads_and_syncs_through_it(town: Town, remote: RemotePort) -> None:
    dana, erlan = town["dana"], town["erlan"]
    dana.pay(remote, erlan.online_key, 100_00)
    dana.load(remote, 300_00)
    erlan.sync(remote)
    town.pay_offline("dana", "erlan", 120_00)
    assert erlan.sync(remote).refused == ()
    assert dana.sync(remote).settled == 1
    assert town.held("erlan") == (FUNDS_TIYN + 100_00, 120_00, 0)
    assert dana.balance(remote) == dana.balance(town.port)


def test_refusals_come_back_as_their_own_class_with_their_facts(town: Town, remote: RemotePort) -> None:
    with pytest.raises(NotEnrolled) as refused:
        remote.certificate_bytes(bytes(32))
    assert refused.value.values == {"key": bytes(32)}
    with pytest.raises(InsufficientFunds):
        town["dana"].pay(remote, town["erlan"].online_key, FUNDS_TIYN + 1)
    with pytest.raises(FormError):
        remote.submit(b"nonsense")


def test_another_networks_ledger_is_noticed(path: Path) -> None:
    port = RemotePort(path, bytes(32))
    with pytest.raises(WrongNetwork):
        _ = port.origin
    port.close()


# --- what comes from outside -------------------------------------------------------------------


def test_nonsense_gets_a_typed_error_and_the_next_request_an_answer(raw: Raw) -> None:
    chance = random.Random(11)
    calls: list[list[cbor.Value]] = [["close"], ["_do"], ["__init__", b""], [], ["policy", 1], ["tokens_after", 5, b""]]
    calls += [
        ["tokens_after", [b"short"], b""],
        ["tokens_of", [bytes(32)]],
        ["purposes_after", bytes(35)],
        ["claims_tiyn", ""],
        ["sync_certificate", bytes(32), b""],
        ["waiting_after", bytes(35)],
        ["waiting_payment", bytes(31)],
        ["purpose_memory", bytes(32), "altyn/dana"],
        ["purpose_memory", bytes(32), "", "altyn/dana"],
        ["approvers_of", "altyn/dana"],
        ["refundable", None],
        ["keys_of", bytes(32)],
        ["role_of", bytes(32)],
        ["keys_of", "x" * 98],
        ["submit"],
        [7],
    ]
    for body in (*(chance.randbytes(length) for length in (0, 1, 9, 4000)), *map(cbor.encode, calls)):
        assert isinstance(error_in(raw(body)), FormError)
    assert isinstance(error_in(raw(cbor.encode(["tokens_after", [bytes(32)] * (MAX_OWNERS + 1), b""]))), TooLarge)
    assert read_answer(raw(cbor.encode(["policy"])), MAX_LEDGER_ANSWER_BYTES)[1] is None


def test_a_frame_above_the_bound_is_refused_unread_and_the_next_one_answered(path: Path) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as channel:
        channel.settimeout(20)
        channel.connect(str(path))
        length = MAX_LEDGER_REQUEST_BYTES + 1
        channel.sendall(length.to_bytes(4, "big"))
        reply = receive_frame(channel, MAX_LEDGER_ANSWER_BYTES)
        assert reply is not None
        assert isinstance(error_in(reply), TooLarge)
        channel.sendall(bytes(length))
        send_frame(channel, cbor.encode(["ledger_time_s"]))
        reply = receive_frame(channel, MAX_LEDGER_ANSWER_BYTES)
        assert reply is not None
        assert read_answer(reply, MAX_LEDGER_ANSWER_BYTES)[1] is None


def test_an_answer_above_the_bound_is_refused(raw: Raw, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server_module, "MAX_LEDGER_ANSWER_BYTES", 100)
    assert isinstance(error_in(raw(cbor.encode(["trust_list"]))), TooLarge)


# --- a page at a time --------------------------------------------------------------------------


def purpose(town: Town, name: str) -> Definition:
    dana = town["dana"].online_key
    return Definition(name, ("A", "B", "C"), dana, dana, PerPayment(5), Clears(), town.port.ledger_time_s() + 9)


@pytest.mark.parametrize("page_bytes", [1, 300, 1 << 20])
def test_what_does_not_fit_one_answer_is_asked_for_in_pages(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, page_bytes: int
) -> None:
    monkeypatch.setattr(pages, "MAX_LEDGER_PAGE_BYTES", page_bytes)
    wallets = [{"name": name, "bank": "altyn", "kind": "sponsor"} for name in ("dana", "erlan", "zere")]
    town = Town.found(tmp_path / "town", tables={"wallet": wallets})
    dana, erlan, zere = (town[name] for name in ("dana", "erlan", "zere"))
    for number in range(5):
        dana.define_purpose(town.port, purpose(town, f"purpose {number}"))
        dana.pay(town.port, erlan.online_key, 1_00 + number)
        dana.load(town.port, 2_00 + number)
    erlan.load(town.port, 50)
    harvest = dana.define_purpose(town.port, replace(purpose(town, "harvest"), condition=Evidence("registry", "sown")))
    for amount_tiyn in (10, 20, 30):
        dana.grant(town.port, erlan.online_key, amount_tiyn, harvest)
        erlan.pay(town.port, zere.online_key, amount_tiyn, purpose=harvest)
    setting = town.economy.setting
    assert isinstance(setting, OneProcess)
    server = LedgerServer(setting.ledger, setting.queries)
    server.listen(tmp_path / "ledger.sock")
    remote = RemotePort(tmp_path / "ledger.sock", town.port.network, patience_s=5)
    online = [erlan.online_key, bytes(32), zere.online_key, dana.online_key, erlan.online_key]
    offline = [dana.purse_key, zere.purse_key, erlan.purse_key]
    assert remote.purposes() == town.port.purposes() != {}
    assert remote.tokens_of(online) == town.port.tokens_of(online)
    assert remote.offline_of(offline) == town.port.offline_of(offline)
    assert (len(remote.purposes()), len(remote.offline_of(offline))) == (6, 6)
    assert remote.waiting() == town.port.waiting()
    assert sorted(found.outputs[0][2] for found in remote.waiting().values()) == [10, 20, 30]
    assert len(town.port.tokens_of(online)) > 7
    erlan.sync(remote)
    remote.close()
    server.close()
    town.close()


class Reciting(RemotePort):
    """A ledger that says the same whatever it is asked."""

    said: Page[object]

    def _ask(self, name: str, *arguments: object) -> Page[object]:
        return self.said


@pytest.mark.parametrize("found", [{}, {bytes(34): OfflineToken(bytes(32), 5, None, 1, 2, 0, [], returned=False)}])
def test_a_ledger_that_never_comes_to_an_end_is_noticed(tmp_path: Path, found: dict[bytes, object]) -> None:
    port = Reciting(tmp_path / "nobody", bytes(32))
    port.said = Page(found, has_more=True)
    for ask in (
        port.purposes,
        port.waiting,
        lambda: port.tokens_of([bytes(32)]),
        lambda: port.offline_of([bytes(31) + b"x"]),
    ):
        with pytest.raises(Malformed):
            ask()


def test_more_connections_than_it_has_places_for_are_told_so(
    town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 1)
    setting = town.economy.setting
    assert isinstance(setting, OneProcess)
    small, path = LedgerServer(setting.ledger, setting.queries), tmp_path / "small.sock"
    small.listen(path)
    first, second = (RemotePort(path, town.port.network, patience_s=0) for _ in range(2))
    try:
        first.ledger_time_s()
        with pytest.raises(Overloaded):
            second.ledger_time_s()
        first.close()
        for _ in range(200):
            try:
                assert second.ledger_time_s() == town.port.ledger_time_s()
                break
            except Unreachable:
                second.close()
        else:
            pytest.fail("the place was never given back")
    finally:
        second.close()
        small.close()


def is_hung_up(channel: socket.socket) -> bool:
    """Whether the other side has gone, within a moment."""
    channel.settimeout(0.2)
    try:
        return channel.recv(1) == b""
    except TimeoutError:
        return False
    except OSError:
        return True


@pytest.fixture
def crowded(town: Town, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[], socket.socket]]:
    """Connections to a ledger whose one place is taken, and that turns two away at a time."""
    monkeypatch.setattr(server_module, "MAX_CONNECTIONS", 1)
    monkeypatch.setattr(server_module, "_TURNED_AWAY_AT_ONCE", 2)
    setting = town.economy.setting
    assert isinstance(setting, OneProcess)
    small, path, made = LedgerServer(setting.ledger, setting.queries), tmp_path / "small.sock", ExitStack()
    small.listen(path)
    first = RemotePort(path, town.port.network)
    first.ledger_time_s()

    def connect() -> socket.socket:
        channel = made.enter_context(socket.socket(socket.AF_UNIX, socket.SOCK_STREAM))
        channel.connect(str(path))
        return channel

    with made:
        yield connect
    first.close()
    small.close()


def test_whoever_drips_into_a_connection_without_a_place_has_little_time(
    crowded: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_TURNED_AWAY_S", 0.5)
    dripping, until_s = crowded(), time.monotonic() + 20
    dripping.sendall(MAX_LEDGER_REQUEST_BYTES.to_bytes(4, "big"))
    with pytest.raises(OSError, match=r"[Pp]ipe|reset"):
        while time.monotonic() < until_s:
            dripping.sendall(b"x")
            time.sleep(0.05)


def test_not_more_than_a_few_are_turned_away_at_a_time(
    crowded: Callable[[], socket.socket], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server_module, "_TURNED_AWAY_S", 60)
    silent = [crowded() for _ in range(8)]
    until_s = time.monotonic() + 20
    while sum(is_hung_up(channel) for channel in silent) < 6 and time.monotonic() < until_s:
        pass
    assert sum(is_hung_up(channel) for channel in silent) == 6


def test_the_socket_is_its_owners_only(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


# --- bad networks ------------------------------------------------------------------------------


def test_where_nobody_listens_a_call_is_unreachable_at_once(town: Town, tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        RemotePort(tmp_path / "nobody", town.port.network, patience_s=3600).policy()


def test_after_hanging_up_there_is_no_path_and_no_connection(
    server: LedgerServer, path: Path, town: Town, remote: RemotePort
) -> None:
    hasty = RemotePort(path, town.port.network, patience_s=0)
    hasty.policy()
    server.hang_up(path)
    assert not path.exists()
    with pytest.raises(Unreachable):
        hasty.policy()
    server.listen(path)
    assert hasty.policy() == remote.policy()
    hasty.close()


def test_one_path_may_go_while_another_stays(server: LedgerServer, path: Path, town: Town, tmp_path: Path) -> None:
    server.listen(tmp_path / "other.sock")
    other = RemotePort(tmp_path / "other.sock", town.port.network)
    other.policy()
    server.hang_up(path)
    assert other.policy() == town.port.policy()
    other.close()


def test_a_path_where_somebody_answers_is_not_taken_over(server: LedgerServer, path: Path) -> None:
    with pytest.raises(Unreachable):
        server.listen(path)
    assert path.exists()


def test_the_socket_of_a_killed_ledger_is_taken_over(server: LedgerServer, town: Town, tmp_path: Path) -> None:
    left = tmp_path / "left.sock"
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as dead:
        dead.bind(str(left))
    server.listen(left)
    port = RemotePort(left, town.port.network)
    assert port.policy() == town.port.policy()
    port.close()


def test_a_file_in_the_way_is_left_alone(server: LedgerServer, tmp_path: Path) -> None:
    (tmp_path / "mine").write_text("mine")
    with pytest.raises(Unreachable):
        server.listen(tmp_path / "mine")
    assert (tmp_path / "mine").read_text() == "mine"


def test_a_call_that_breaks_in_the_middle_is_made_again_byte_for_byte(town: Town, tmp_path: Path) -> None:
    """The ledger takes a payment in and dies before it answers; the wallet gets the receipt of that payment."""
    path = tmp_path / "flaky.sock"
    got: list[bytes] = []

    def answer_once_in_vain(listener: socket.socket) -> None:
        for is_answered in (False, True):
            channel, _ = listener.accept()
            with channel:
                body = receive_frame(channel, MAX_LEDGER_REQUEST_BYTES)
                assert body is not None
                got.append(body)
                _, (message,) = read_request(body, ARGUMENTS, MAX_LEDGER_REQUEST_BYTES)
                receipt = town.port.submit(message)
                if is_answered:
                    send_frame(channel, answer(receipt.encode()))

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=answer_once_in_vain, args=(listener,))
        thread.start()
        flaky = RemotePort(path, town.port.network, patience_s=20)

        class Way:
            def __getattr__(self, name: str) -> object:
                return flaky.submit if name == "submit" else getattr(town.port, name)

        town["dana"].pay(Way(), town["erlan"].online_key, 100_00)  # type: ignore[arg-type]
        thread.join()
        flaky.close()
    assert got[0] == got[1]
    assert town.held("dana")[0] == FUNDS_TIYN - 100_00


def test_what_is_no_answer_to_the_call_is_malformed(town: Town, tmp_path: Path) -> None:
    path = tmp_path / "liar.sock"
    rows: list[cbor.Value] = [[[1, 2]], [[bytes(34), b"\x80"]], [[bytes(34), b"\x81\x61\x80"]], [[bytes(34), 7]]]
    rows.append([["x", b""]])
    lies: list[cbor.Value] = [5, None, "x", [[], 0], [[]], *([row, False] for row in rows)]
    lies = [[True, lie] for lie in lies] + [[False, "x", "y", [["message", 1], ["self", 2]]]]

    def lie(listener: socket.socket) -> None:
        channel, _ = listener.accept()
        with channel:
            for said in lies:
                receive_frame(channel, MAX_LEDGER_REQUEST_BYTES)
                send_frame(channel, cbor.encode(said))

    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as listener:
        listener.bind(str(path))
        listener.listen()
        thread = threading.Thread(target=lie, args=(listener,))
        thread.start()
        port = RemotePort(path, town.port.network, patience_s=0)
        for _ in lies[:-1]:
            with pytest.raises(Malformed):
                port.tokens_of([bytes(32)])
        with pytest.raises(Exception, match="y") as error:
            port.tokens_of([bytes(32)])
        assert error.value.code == "error"  # type: ignore[attr-defined]
        thread.join()
        port.close()
