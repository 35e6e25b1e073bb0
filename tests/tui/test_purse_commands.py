"""`tenge purse`: a kept town's wallets by hand, at the town's own time.

Elements run in this process here, because it is quicker; tests/wallet/test_two_processes.py has them in their own.
"""

from __future__ import annotations

import os
import pty
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from cbdc.errors import TengeError
from cbdc.service.key_files import read_key
from cbdc.service.opening import ServedLedger
from tests.tui.conftest import TENGE, Outcome, Run
from tests.tui.kept import PASSPHRASE, PATIENCE_S, environment, play, started, until
from tui.commands.purse import session
from tui.signals import ENDED_BY_SIGTERM
from wallet import trade
from wallet.carriers.file import FileCarrier
from wallet.carriers.socket import Listener, SocketCarrier
from wallet.carriers.text import to_clipboard
from wallet.customer import Customer
from wallet.element import SimulatedElement
from wallet.protocol import from_text, to_text

START = "2026-09-01T08:00:00+05:00"


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return play(tmp_path_factory.mktemp("town"), START)


@pytest.fixture
def town(played: Path) -> Iterator[Path]:
    """A copy, under a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="tenge-") as directory:
        yield Path(shutil.copytree(played, Path(directory) / "t"))


class WithElementHere(Customer):
    """A wallet as the commands open it, but for where its element runs."""

    @classmethod
    def open(cls, directory: Path, password: str, **options: Any) -> Customer:
        return Customer.open(directory, password, element=SimulatedElement, **options)


@pytest.fixture
def purse(tenge: Run, town: Path, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``purse("pay", "dana", file)``, in this process."""
    monkeypatch.setattr(session, "Customer", WithElementHere)

    def run(command: str, name: str, *rest: object, **variables: str) -> Outcome:
        known = {"TENGE_PASSPHRASE": PASSPHRASE, "TENGE_AT": "last", **variables}
        return tenge("purse", command, town / "wallets" / name, *rest, **known)

    return run


@pytest.fixture
def done(purse: Run) -> Any:
    """What a command that must succeed says in JSON."""

    def run(command: str, name: str, *rest: object, **variables: str) -> Any:
        outcome = purse(command, name, *rest, "--json", **variables)
        assert outcome.status == 0, outcome.out + outcome.err
        return outcome.json()

    return run


@pytest.fixture
def refused(purse: Run) -> Any:
    """The code of a command that must be refused."""

    def run(command: str, name: str, *rest: object, **variables: str) -> str:
        outcome = purse(command, name, *rest, "--json", **variables)
        assert outcome.status == 1, outcome.out + outcome.err
        return outcome.code()

    return run


@contextmanager
def served(town: Path) -> Iterator[Path]:
    """The town's ledger in this process, on a socket."""
    ledger, socket = town / "ledger", town / "s"
    operator = read_key(ledger / "keys" / "operator.pem", PASSPHRASE)
    network = bytes.fromhex((ledger / "root.pub").read_text().strip())
    with ServedLedger(ledger / "ledger.db", network, operator, lambda: 0) as running:
        running.listen(socket)
        yield socket


def states(done: Any, name: str) -> list[str]:
    facts = done("show", name)
    return [payment["state"] for payment in (*facts["sent"], *facts["received"])]


# --- by hand -----------------------------------------------------------------------------------


def test_four_commands_and_three_files_are_a_payment(done: Any, purse: Run, town: Path) -> None:
    invoice, payment, receipt = (town / name for name in ("invoice", "payment", "receipt"))
    assert done("ask", "erlan", "250.50", "-o", invoice) == {"ok": True, "amount": "250.50", "written": str(invoice)}
    paid = done("pay", "dana", invoice, "-o", payment)
    assert (paid["with"], paid["amount"], paid["confirmed"]) == ("altyn/erlan", "250.50", False)
    assert states(done, "dana") == ["pending"]
    taken = done("take", "erlan", payment, "-o", receipt)
    assert (taken["payment"], taken["with"], taken["amount"]) == (paid["payment"], "altyn/dana", "250.50")
    assert done("finish", "dana", receipt) == {"ok": True, "payment": paid["payment"], "state": "accepted"}
    facts = done("show", "erlan")
    assert (facts["account"], facts["online"], facts["offline"]) == ("altyn/erlan", None, "250.50")
    (token,) = facts["tokens"]
    assert (token["amount"], token["hops"], token["purpose"]) == ("250.50", 1, None)
    assert token["spend_until"].startswith("2026-")


def test_payloads_go_to_standard_output_and_come_from_standard_input(purse: Run, town: Path) -> None:
    """What people are told is beside it, on standard error."""
    asked = purse("ask", "erlan", "10")
    assert asked.out.startswith("KZT1:")
    assert asked.out.count("\n") == 1
    assert "asks for 10" in asked.err
    paid = subprocess.run(
        [TENGE, "purse", "pay", town / "wallets" / "dana", "-"],
        input=to_clipboard(from_text(asked.out)),
        capture_output=True,
        text=True,
        timeout=PATIENCE_S,
        check=True,
        env=environment(TENGE_AT="last"),
    )
    assert "pays 10\u00a0₸ to altyn/erlan" in paid.stderr
    (town / "payment").write_text(paid.stdout)
    assert purse("take", "erlan", town / "payment").out.startswith("KZT1:")


def test_the_same_invoice_and_again_give_the_same_bytes(done: Any, town: Path) -> None:
    invoice = town / "invoice"
    done("ask", "erlan", "10", "-o", invoice)
    first = done("pay", "dana", invoice)
    assert done("pay", "dana", invoice)["payload"] == first["payload"]
    assert done("again", "dana", first["payment"][:10])["payload"] == first["payload"]
    assert states(done, "dana") == ["pending"]
    (town / "payment").write_text(first["payload"])
    receipts = {done("take", "erlan", town / "payment")["payload"] for _ in range(2)}
    assert len(receipts) == 1
    assert states(done, "erlan") == ["stored"]


def test_a_file_is_not_overwritten_and_nothing_is_signed_for_it(done: Any, refused: Any, town: Path) -> None:
    invoice, there = town / "invoice", town / "there"
    done("ask", "erlan", "10", "-o", invoice)
    there.write_text("mine")
    for command, name, rest in (("ask", "erlan", ["5"]), ("pay", "dana", [invoice])):
        assert refused(command, name, *rest, "-o", there) == "already_there"
    assert (there.read_text(), states(done, "dana")) == ("mine", [])
    done("pay", "dana", invoice, "-o", there, "--force")
    assert there.read_text().startswith("KZT1:")


def test_a_payment_that_cannot_be_written_is_kept_and_says_so(done: Any, purse: Run, town: Path) -> None:
    invoice = town / "invoice"
    done("ask", "erlan", "10", "-o", invoice)
    failed = purse("pay", "dana", invoice, "-o", town / "no such" / "payment", "--json")
    assert (failed.status, failed.code()) == (1, "io_error")
    error = failed.json()["error"]
    assert "purse again" in error["message"]
    assert states(done, "dana") == ["pending"]
    again = done("again", "dana", error["payment"])
    assert done("pay", "dana", invoice)["payload"] == again["payload"]


def test_goods_refused_are_given_back(done: Any, refused: Any, town: Path) -> None:
    invoice, payment, released = (town / name for name in ("invoice", "payment", "released"))
    done("ask", "erlan", "10", "-o", invoice)
    paid = done("pay", "dana", invoice, "-o", payment)
    done("take", "erlan", payment)
    assert done("release", "erlan", paid["payment"], "-o", released)["payment"] == paid["payment"]
    assert done("take-back", "dana", released) == {"ok": True, "payment": paid["payment"], "state": "released"}
    assert (states(done, "dana"), states(done, "erlan")) == (["released"], ["released"])
    assert done("show", "dana")["offline"] == "1200.00"
    assert refused("take-back", "erlan", released) != ""


def test_bound_money_is_named_by_its_purpose(done: Any, refused: Any, purse: Run, town: Path) -> None:
    invoice = town / "invoice"
    done("ask", "canteen", "50", "-o", invoice)
    assert refused("pay", "dana", invoice, "--purpose", "rides") == "malformed"
    payment = done("pay", "dana", invoice, "--purpose", "meals")["payload"]
    assert {token["purpose"]: token["amount"] for token in done("show", "dana")["tokens"]} == {
        None: "1000.00",
        "meals": "150.00",
    }
    (town / "payment").write_text(payment)
    assert done("take", "canteen", town / "payment")["amount"] == "50.00"
    assert "of these, for meals: 150" in purse("show", "dana").out
    done("ask", "erlan", "50", "-o", town / "another")
    assert refused("pay", "dana", town / "another", "--purpose", "meals") == "purpose_refused"


@pytest.mark.parametrize(
    ("command", "rest", "code"),
    [
        ("ask", ["0"], "malformed"),
        ("ask", ["a lot"], "malformed"),
        ("ask", ["99999999"], "limit_holding"),
        ("pay", ["{town}/nothing"], "unreachable"),
        ("pay", ["{town}/ledger"], "unreachable"),
        ("pay", ["{town}/ledger/ledger.db"], "malformed"),
        ("take", ["{town}/ledger/root.pub"], "malformed"),
        ("finish", ["{town}/ledger/root.pub"], "malformed"),
        ("take-back", ["{town}/ledger/root.pub"], "malformed"),
        ("again", ["1234567"], "malformed"),
        ("again", ["12345678"], "not_owner"),
        ("release", ["12345678"], "not_owner"),
        ("sell", ["5"], "malformed"),
        ("sell", ["5", "--port", "1", "--socket", "{town}/s"], "malformed"),
        ("sell", ["5", "--socket", "{town}/s", "--timeout", "0.2"], "unreachable"),
        ("buy", ["--socket", "{town}/s", "--timeout", "0.2"], "unreachable"),
        ("sync", ["--ledger", "{town}/s"], "unreachable"),
        ("load", ["5", "--ledger", "{town}/s"], "unreachable"),
        ("unload", ["5", "--ledger", "{town}/s"], "unreachable"),
        ("show", ["--ledger", "{town}/s"], "unreachable"),
        ("show", ["--at", "yesterday"], "malformed"),
    ],
)
def test_what_cannot_be_done_is_refused_with_its_code(
    refused: Any, done: Any, town: Path, command: str, rest: list[str], code: str
) -> None:
    assert refused(command, "dana", *(text.replace("{town}", str(town)) for text in rest)) == code
    assert done("show", "dana")["offline"] == "1200.00"


def test_a_message_of_another_kind_is_refused(done: Any, refused: Any, town: Path) -> None:
    invoice, payment, receipt = (town / name for name in ("invoice", "payment", "receipt"))
    done("ask", "erlan", "10", "-o", invoice)
    done("pay", "dana", invoice, "-o", payment)
    done("take", "erlan", payment, "-o", receipt)
    assert refused("pay", "aru", payment) == "malformed"
    assert refused("take", "erlan", invoice) == "malformed"
    assert refused("finish", "dana", payment) == "malformed"
    assert refused("finish", "aru", receipt) == "not_owner"
    assert refused("pay", "erlan", invoice) == "wrong_payee"
    assert refused("take", "aru", payment) == "wrong_payee"


# --- secrets and time --------------------------------------------------------------------------


def test_the_passphrase_is_asked_for_or_given_and_never_printed(purse: Run, program: Run, town: Path) -> None:
    secret = "a passphrase that nobody prints"
    for options in ([], ["--json"]):
        wrong = purse("show", "dana", *options, TENGE_PASSPHRASE=secret)
        assert wrong.status == 1
        assert "wrong_password" in wrong.out + wrong.err
        assert secret not in wrong.out + wrong.err
    asked = program("purse", "show", town / "wallets" / "dana", "--json")
    assert (asked.status, asked.code()) == (1, "malformed")
    assert "TENGE_PASSPHRASE" in asked.json()["error"]["message"]


def test_an_element_may_have_a_pin_of_its_own(refused: Any, done: Any) -> None:
    assert refused("show", "dana", TENGE_PIN="0000") == "wrong_pin"
    assert done("show", "dana", TENGE_PIN=PASSPHRASE)["offline"] == "1200.00"


def test_where_there_is_no_wallet_no_passphrase_is_asked(program: Run, tmp_path: Path) -> None:
    missing = program("purse", "show", tmp_path, "--json")
    assert (missing.status, missing.code()) == (1, "wallet_corrupt")


def test_a_wallet_that_is_no_wallet_is_refused(refused: Any, town: Path) -> None:
    (town / "wallets" / "dana" / "wallet.db").write_bytes(b"not a database at all" * 100)
    assert refused("show", "dana") == "wallet_corrupt"


def test_a_wallet_is_one_process_at_a_time(program: Run, town: Path, purse: Run) -> None:
    with Listener(town / "till") as listener:
        buying = subprocess.Popen(
            [TENGE, "purse", "buy", town / "wallets" / "dana", "--socket", town / "till", "--timeout", "60"],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment(TENGE_AT="last"),
        )
        with listener.accept(60):
            busy = purse("show", "dana", "--json")
        _, err = buying.communicate(timeout=PATIENCE_S)
    assert (busy.status, busy.code()) == (1, "ledger_busy")
    assert buying.returncode == 1
    assert b"unreachable" in err
    assert b"Traceback" not in err


def test_time_is_the_callers_to_set_but_never_before_what_was_signed(done: Any, refused: Any, town: Path) -> None:
    invoice = town / "invoice"
    for at in ("last", "2020-01-01T00:00:00+05:00", "2026-09-02T00:00:00+05:00"):
        done("ask", "erlan", "10", "-o", invoice, "--force", "--at", at)
        assert done("pay", "dana", invoice, "--at", at)["amount"] == "10.00"
    assert refused("pay", "aru", invoice, "--at", "last") == "insufficient_funds"
    late = "2028-01-01T00:00:00+05:00"
    assert refused("ask", "erlan", "10", "--at", late) == "trust_list_stale"
    done("ask", "erlan", "10", "-o", invoice, "--force")
    assert refused("pay", "dana", invoice, "--at", late) == "expired"


# --- a person at a terminal --------------------------------------------------------------------


@pytest.mark.parametrize(("answer", "status", "left"), [("n", 1, []), ("y", 0, ["pending"])])
def test_at_a_terminal_it_asks_before_it_signs(
    done: Any, town: Path, answer: str, status: int, left: list[str]
) -> None:
    invoice = town / "invoice"
    done("ask", "erlan", "250", "-o", invoice)
    ours, theirs = pty.openpty()
    try:
        os.write(ours, f"{answer}\n".encode())
        asked = subprocess.run(
            [TENGE, "purse", "pay", town / "wallets" / "dana", invoice, "-o", town / "payment"],
            stdin=theirs,
            capture_output=True,
            text=True,
            timeout=PATIENCE_S,
            check=False,
            env=environment(TENGE_AT="last"),
        )
    finally:
        os.close(ours)
        os.close(theirs)
    assert "Pay 250\u00a0₸ to altyn/erlan?" in asked.stderr
    assert (asked.returncode, states(done, "dana"), (town / "payment").exists()) == (status, left, status == 0)


# --- with a ledger -----------------------------------------------------------------------------


def test_money_goes_in_and_out_and_a_sync_reports(done: Any, purse: Run, town: Path) -> None:
    with served(town) as socket:
        assert done("load", "dana", "100.25", "--ledger", socket)["offline"] == "1300.25"
        assert done("load", "dana", "30", "--purpose", "meals", "--ledger", socket)["offline"] == "1330.25"
        invoice, payment = town / "invoice", town / "payment"
        done("ask", "erlan", "10", "-o", invoice)
        done("pay", "dana", invoice, "-o", payment)
        done("take", "erlan", payment)
        report = done("sync", "erlan", "--ledger", socket)
        assert report == {"ok": True, "sent": 1, "settled": 0, "refused": [], "disputed": 0, "offline": "10.00"}
        assert "settled 1, refused 0" in purse("sync", "dana", "--ledger", socket).out
        assert states(done, "dana") == ["settled"]
        assert done("unload", "dana", "320.25", "--ledger", socket)["offline"] == "1000.00"
        facts = done("show", "dana", "--ledger", socket)
        assert (facts["online"], facts["offline"], facts["marked"]) == ("1290.00", "1000.00", {"meals": "300.00"})
        assert "loaded 1\u00a0₸" in purse("load", "dana", "1", "--ledger", socket).out


def test_what_the_ledger_refuses_is_a_refusal_here(refused: Any, town: Path) -> None:
    with served(town) as socket:
        assert refused("load", "erlan", "5", "--ledger", socket) == "insufficient_funds"
        assert refused("unload", "erlan", "5", "--ledger", socket) == "insufficient_funds"
        assert refused("load", "dana", "5", "--purpose", "rides", "--ledger", socket) == "malformed"


def test_another_networks_ledger_is_not_believed(tenge: Run, refused: Any, town: Path, tmp_path: Path) -> None:
    assert tenge("ledger", "init", tmp_path / "other", TENGE_PASSPHRASE=PASSPHRASE).status == 0
    operator = read_key(tmp_path / "other" / "keys" / "operator.pem", PASSPHRASE)
    network = bytes.fromhex((tmp_path / "other" / "root.pub").read_text().strip())
    with ServedLedger(tmp_path / "other" / "ledger.db", network, operator, lambda: 0) as running:
        running.listen(town / "s")
        for command in (["sync"], ["load", "5"], ["show"]):
            assert refused(command[0], "dana", *command[1:], "--ledger", town / "s") == "wrong_network"


# --- over a socket -----------------------------------------------------------------------------


@contextmanager
def seller(town: Path, invoice: bytes) -> Iterator[list[bytes]]:
    """The other end of `buy`: hands an invoice over, keeps what comes, and hangs up."""
    came: list[bytes] = []

    def sell() -> None:
        with listener.accept(60) as link:
            link.send(invoice)
            try:
                came.append(link.receive())
            except TengeError:
                return

    with Listener(town / "till") as listener:
        thread = threading.Thread(target=sell, daemon=True)
        thread.start()
        yield came
        thread.join(PATIENCE_S)


def test_a_buyer_pays_no_more_than_he_allows(done: Any, refused: Any, town: Path) -> None:
    invoice = from_text(done("ask", "erlan", "250")["payload"])
    with seller(town, invoice) as came:
        assert refused("buy", "dana", "--socket", town / "till", "--max", "249.99") == "limit_payment"
    assert (came, states(done, "dana")) == ([], [])


def test_a_buyer_without_a_receipt_is_told_that_the_payment_is_pending(done: Any, purse: Run, town: Path) -> None:
    invoice = from_text(done("ask", "erlan", "250")["payload"])
    with seller(town, invoice) as came:
        broken = purse("buy", "dana", "--socket", town / "till", "--max", "250", "--json")
    assert (broken.status, broken.code(), states(done, "dana")) == (1, "unreachable", ["pending"])
    again = done("again", "dana", broken.json()["error"]["payment"])
    assert again["payload"] == to_text(came[0])
    FileCarrier(town / "payment").send(came[0])
    (town / "receipt").write_text(done("take", "erlan", town / "payment")["payload"])
    assert done("finish", "dana", town / "receipt")["state"] == "accepted"


def test_an_invoice_by_nobody_known_is_not_even_asked_about(done: Any, refused: Any, town: Path) -> None:
    with seller(town, b"\x80") as came:
        assert refused("buy", "dana", "--socket", town / "till") == "malformed"
    assert came == []


@contextmanager
def buyer(town: Path, *, stays: bool) -> Iterator[None]:
    """The other end of `sell`, with dana's purse; it may hang up instead of waiting for the receipt."""

    def buy() -> None:
        customer = WithElementHere.open(town / "wallets" / "dana", PASSPHRASE, clock=lambda: 0)
        try:
            with SocketCarrier.reach(town / "till", 60) as link:
                if stays:
                    trade.buy(customer.purse, link, trade.at_most(None))
                else:
                    customer.purse.hear(link.receive())
                    _, bundle = trade.pay(customer.purse, link.receive(), trade.at_most(None))
                    link.send(bundle)
        finally:
            customer.close()

    thread = threading.Thread(target=buy, daemon=True)
    thread.start()
    yield
    thread.join(PATIENCE_S)
    assert not thread.is_alive()


def test_a_seller_says_what_he_took(done: Any, town: Path) -> None:
    with buyer(town, stays=True):
        sold = done("sell", "erlan", "33", "--socket", town / "till", "--timeout", 60)
    assert (sold["with"], sold["amount"], sold["confirmed"]) == ("altyn/dana", "33.00", True)
    assert (states(done, "dana"), states(done, "erlan")) == (["accepted"], ["stored"])
    assert not (town / "till").exists()


def test_a_seller_whose_buyer_left_early_has_the_money(done: Any, purse: Run, town: Path) -> None:
    with buyer(town, stays=False):
        sold = purse("sell", "erlan", "33", "--socket", town / "till", "--timeout", 60)
    assert sold.status == 0, sold.err
    assert "took 33" in sold.out
    assert (states(done, "dana"), states(done, "erlan")) == (["pending"], ["stored"])


def test_a_seller_told_to_end_takes_its_socket_along(town: Path) -> None:
    with started(
        "purse", "sell", town / "wallets" / "erlan", "5", "--socket", town / "till", TENGE_AT="last"
    ) as selling:
        until((town / "till").is_socket, "the seller listens")
        assert selling.stop().status == ENDED_BY_SIGTERM
    assert not (town / "till").exists()
