"""Sockets: whole exchanges between two programs, trickling bytes, broken links, hostile lengths."""

from __future__ import annotations

import json
import random
import socket
import stat
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from threading import Thread
from typing import Any

import pytest

from cbdc.errors import Malformed, TengeError, TooLarge, Unreachable, WrongPayee
from cbdc.limits import MAX_CARRIER_TIMEOUT_S, MAX_PAYLOAD_TEXT_CHARS
from tests.wallet.carriers.peer import COIN, PRICE
from tests.wallet.paper import Device
from wallet.carriers import MemoryCarrier
from wallet.carriers.exchange import as_payee, as_payer
from wallet.carriers.socket import LENGTH_BYTES, Address, Listener, SocketCarrier
from wallet.protocol import to_text
from wallet.purse import Status

ROOT = Path(__file__).parents[3]
PAIR_S = 5


@pytest.fixture
def pair() -> Iterator[tuple[socket.socket, SocketCarrier]]:
    """A bare end for the test to misbehave with, and a carrier."""
    ours, theirs = socket.socketpair()
    with ours, SocketCarrier(theirs, PAIR_S) as carrier:
        yield ours, carrier


def announced(data: bytes) -> bytes:
    return len(data).to_bytes(LENGTH_BYTES, "big") + data


# --- two programs ------------------------------------------------------------------------------


def start(*arguments: object) -> subprocess.Popen[str]:
    command = [sys.executable, "-W", "error", "-m", "tests.wallet.carriers.peer", *map(str, arguments)]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)


def end(process: subprocess.Popen[str]) -> Any:
    out, err = process.communicate(timeout=60)
    assert process.returncode == 0, err
    return json.loads(out)


@pytest.mark.parametrize("kind", ["unix", "tcp"])
def test_two_programs_exchange_invoice_payment_and_receipt(kind: str, tmp_path: Path) -> None:
    address = "0" if kind == "tcp" else str(tmp_path / "till.sock")
    payee = start("payee", address, tmp_path / "payee")
    payer = None
    try:
        assert payee.stdout
        listening = payee.stdout.readline().strip()
        payer = start("payer", listening, tmp_path / "payer")
        paid, got = end(payer), end(payee)
    finally:
        for process in filter(None, (payee, payer)):
            process.kill()
            process.communicate()
    assert (paid["balance_tiyn"], got["balance_tiyn"]) == (COIN - PRICE, PRICE)
    assert paid["status"] == "ACCEPTED"
    assert paid["receipt"] == got["receipt"] != ""
    assert not (tmp_path / "till.sock").exists()


def test_a_link_that_breaks_before_the_receipt_leaves_the_payment_pending_and_is_repaired(
    new_device: Callable[..., Device],
) -> None:
    """The payer's second try on a new link sends the same bytes; the payee answers with the same receipt."""
    dana, shop = new_device("dana"), new_device("shop")
    dana.load(COIN)
    invoice = shop.purse.invoice(PRICE)
    ours, theirs = socket.socketpair()
    with SocketCarrier(ours, PAIR_S) as here, SocketCarrier(theirs, PAIR_S) as there:
        here.send(invoice)
        there.send(dana.purse.pay(there.receive()))
        first = shop.purse.accept(here.receive())
        here.close()
        with pytest.raises(Unreachable):
            there.receive()
    (sent,) = dana.purse.sent()
    assert sent.status is Status.PENDING

    ours, theirs = socket.socketpair()
    with SocketCarrier(ours, PAIR_S) as here, SocketCarrier(theirs, PAIR_S) as there:
        receipts: list[bytes] = []
        till = Thread(target=lambda: receipts.append(as_payee(here, invoice, shop.purse.accept, shop.purse)))
        till.start()
        again = dana.purse.again(sent.id)
        as_payer(there, lambda _: again, lambda receipt: dana.purse.finish(sent.id, receipt), dana.purse)
        till.join()
    assert receipts == [first]
    assert dana.purse.sent()[0].status is Status.ACCEPTED
    assert (dana.purse.balance_tiyn(), shop.purse.balance_tiyn()) == (COIN - PRICE, PRICE)


def test_a_payee_that_refuses_sends_no_receipt(new_device: Callable[..., Device]) -> None:
    def refuse(_: bytes) -> bytes:
        raise WrongPayee("not for me")

    link, shop = MemoryCarrier(), new_device("shop")
    link.send(b"a payment")
    with pytest.raises(WrongPayee):
        as_payee(link, b"an invoice", refuse, shop.purse)
    assert link.receive() == shop.purse.trust_list_raw()
    assert link.receive() == b"an invoice"
    with pytest.raises(Unreachable):
        link.receive()


# --- one link ----------------------------------------------------------------------------------


def test_the_wire_has_a_length_and_the_payload_text(pair: tuple[socket.socket, SocketCarrier]) -> None:
    bare, carrier = pair
    carrier.send(b"invoice")
    assert bare.recv(4096) == announced(to_text(b"invoice").encode())


def test_bytes_may_trickle_in(pair: tuple[socket.socket, SocketCarrier]) -> None:
    bare, carrier = pair

    def trickle() -> None:
        for byte in announced(to_text(b"invoice").encode()):
            bare.sendall(bytes([byte]))
            time.sleep(0.001)

    sending = Thread(target=trickle)
    sending.start()
    assert carrier.receive() == b"invoice"
    sending.join()


def test_messages_that_arrive_together_stay_apart(pair: tuple[socket.socket, SocketCarrier]) -> None:
    bare, carrier = pair
    bare.sendall(b"".join(announced(to_text(message).encode()) for message in (b"first", b"", b"third")))
    assert [carrier.receive() for _ in range(3)] == [b"first", b"", b"third"]


@pytest.mark.parametrize("sent", [0, 1, LENGTH_BYTES, LENGTH_BYTES + 5])
def test_an_early_close_is_unreachable(pair: tuple[socket.socket, SocketCarrier], sent: int) -> None:
    bare, carrier = pair
    bare.sendall(announced(to_text(b"invoice").encode())[:sent])
    bare.close()
    with pytest.raises(Unreachable) as refused:
        carrier.receive()
    assert refused.value.code == "unreachable"


@pytest.mark.parametrize("length", [MAX_PAYLOAD_TEXT_CHARS + 1, 2**31, 2**32 - 1])
def test_an_announced_excess_is_refused_before_it_is_read(
    pair: tuple[socket.socket, SocketCarrier], length: int
) -> None:
    bare, carrier = pair
    bare.sendall(length.to_bytes(LENGTH_BYTES, "big"))
    with pytest.raises(TooLarge) as refused:
        carrier.receive()
    assert refused.value.values == {"found": length, "limit": MAX_PAYLOAD_TEXT_CHARS}


@pytest.mark.parametrize("data", [b"", b"GET / HTTP/1.1", b"KZT1:", b"\xff\xfe", "KZT1:Ң".encode()])
def test_what_is_no_payload_is_malformed(pair: tuple[socket.socket, SocketCarrier], data: bytes) -> None:
    bare, carrier = pair
    bare.sendall(announced(data))
    with pytest.raises(Malformed):
        carrier.receive()


@pytest.mark.parametrize("trickling", [False, True])
def test_a_message_has_so_much_time_in_all(trickling: bool) -> None:
    """Also if every single byte comes in time."""
    bare, theirs = socket.socketpair()
    stop = False

    def trickle() -> None:
        while not stop:
            with suppress(OSError):
                bare.sendall(b"\0")
            time.sleep(0.05)

    with bare, SocketCarrier(theirs, 0.3) as carrier:
        bare.sendall((60_000).to_bytes(LENGTH_BYTES, "big"))
        sending = Thread(target=trickle)
        if trickling:
            sending.start()
        began_s = time.monotonic()
        with pytest.raises(Unreachable):
            carrier.receive()
        assert 0.2 < time.monotonic() - began_s < 3
        stop = True
        if trickling:
            sending.join()


def test_who_takes_nothing_is_unreachable() -> None:
    bare, theirs = socket.socketpair()
    noise = bytes(range(256)) * 150
    with bare, SocketCarrier(theirs, 0.2) as carrier, pytest.raises(Unreachable):
        for n in range(1000):
            carrier.send(noise + n.to_bytes(4, "big"))


def test_who_is_gone_is_unreachable(pair: tuple[socket.socket, SocketCarrier]) -> None:
    bare, carrier = pair
    bare.close()
    with pytest.raises(Unreachable):
        carrier.send(b"invoice")


def test_what_would_be_refused_is_not_sent(pair: tuple[socket.socket, SocketCarrier]) -> None:
    bare, carrier = pair
    with pytest.raises(TooLarge):
        carrier.send(random.Random(1).randbytes(60_000))
    bare.setblocking(False)
    with pytest.raises(BlockingIOError):
        bare.recv(1)


# --- addresses ---------------------------------------------------------------------------------


def test_a_unix_socket_is_its_owner_s_and_goes_away(tmp_path: Path) -> None:
    path = tmp_path / "till.sock"
    with Listener(path) as listener:
        assert listener.address == path
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        with SocketCarrier.connect(path, 5) as here, listener.accept(5) as there:
            here.send(b"there")
            there.send(b"and back")
            assert (there.receive(), here.receive()) == (b"there", b"and back")
    assert not path.exists()


def test_a_taken_address_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "till.sock"
    path.write_text("a file of somebody's")
    with pytest.raises(Unreachable) as refused:
        Listener(path)
    assert refused.value.values["reason"] == "Address already in use"
    assert path.read_text() == "a file of somebody's"
    with Listener(0) as listener, pytest.raises(Unreachable):
        Listener(listener.address)


def test_the_socket_of_a_process_that_was_killed_is_taken_over(tmp_path: Path) -> None:
    path = tmp_path / "till.sock"
    left = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    left.bind(str(path))
    left.listen(1)
    with pytest.raises(Unreachable):  # somebody who knows nothing of our locks answers there
        Listener(path)
    left.close()
    assert path.is_socket()
    with Listener(path) as listener, SocketCarrier.connect(path, 5) as here, listener.accept(5) as there:
        here.send(b"there")
        assert there.receive() == b"there"


def test_a_listener_in_use_is_told_from_a_dead_one_without_a_connection(tmp_path: Path) -> None:
    path = tmp_path / "till.sock"
    with Listener(path) as listener:
        with pytest.raises(Unreachable, match="another process listens"):
            Listener(path)
        with SocketCarrier.connect(path, 5) as here, listener.accept(5) as there:
            here.send(b"the payer")
            assert there.receive() == b"the payer"


def test_no_directory_is_made_for_a_socket(tmp_path: Path) -> None:
    with pytest.raises(Unreachable):
        Listener(tmp_path / "none" / "till.sock")
    assert list(tmp_path.iterdir()) == []


def test_tcp_listens_on_the_loopback_address_only() -> None:
    with Listener(0) as listener:
        assert listener._socket.getsockname()[0] == "127.0.0.1"


def free_port() -> int:
    with Listener(0) as listener:
        port = listener.address
    assert isinstance(port, int)
    return port


@pytest.mark.parametrize("where", ["no socket", "a path too long", "a file", "a free port", "no port", "below ports"])
def test_nobody_there_is_unreachable(where: str, tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    address: Address = {
        "no socket": tmp_path / "none.sock",
        "a path too long": tmp_path / ("x" * 200),
        "a file": tmp_path / "file",
        "a free port": free_port(),
        "no port": 65_536,
        "below ports": -1,
    }[where]
    with pytest.raises(TengeError) as refused:
        SocketCarrier.connect(address, 2)
    assert refused.value.code == "unreachable"


def test_nobody_comes_in_time(tmp_path: Path) -> None:
    with Listener(tmp_path / "till.sock") as listener, pytest.raises(Unreachable):
        listener.accept(0.05)


@pytest.mark.parametrize("timeout_s", [0, -1, MAX_CARRIER_TIMEOUT_S + 1, float("inf"), float("nan")])
def test_time_to_wait_is_bounded(timeout_s: float, tmp_path: Path) -> None:
    with Listener(tmp_path / "till.sock") as listener:
        with pytest.raises(Malformed):
            listener.accept(timeout_s)
        with pytest.raises(Malformed):
            SocketCarrier.connect(tmp_path / "till.sock", timeout_s)


def test_who_comes_early_waits_for_the_other_and_no_longer_than_allowed(tmp_path: Path) -> None:
    path, reached = tmp_path / "s", []

    def come() -> None:
        with SocketCarrier.reach(path, timeout_s=30) as link:
            reached.append(link.receive())

    early = Thread(target=come)
    early.start()
    time.sleep(0.3)
    with Listener(path) as listener, listener.accept(timeout_s=30) as link:
        link.send(b"\x80")
    early.join(30)
    assert reached == [b"\x80"]
    started_s = time.monotonic()
    with pytest.raises(Unreachable):
        SocketCarrier.reach(path, timeout_s=0.3)
    assert time.monotonic() - started_s < 10
