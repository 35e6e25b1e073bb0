"""Processes that share nothing but files and sockets: two wallets pay each other while the ledger is stopped, and sync.

Every line of this is a `tenge` command as a process of its own, each with its secure element as another.
"""

from __future__ import annotations

import datetime as dt
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from cbdc.amounts import format_tenge
from cbdc.limits import MAX_CARRIER_TIMEOUT_S
from tests.tui.conftest import Outcome
from tests.tui.kept import PASSPHRASE, Running, play, run, serving, started, until
from wallet.carriers.file import FileCarrier
from wallet.carriers.socket import Listener
from wallet.customer import Customer
from wallet.element import SimulatedElement


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A town whose ledger time is the real one, so that real clocks do."""
    return play(tmp_path_factory.mktemp("town"), dt.datetime.now(dt.UTC).isoformat(timespec="seconds"))


@pytest.fixture
def town(played: Path) -> Iterator[Path]:
    """A copy, under a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="tenge-") as directory:
        yield Path(shutil.copytree(played, Path(directory) / "t"))


def purse(command: str, town: Path, name: str, *rest: object) -> Outcome:
    done = run("purse", command, town / "wallets" / name, *rest, "--json")
    assert done.status == 0, (command, name, done.out, done.err)
    return done


@contextmanager
def looked_into(town: Path, name: str) -> Iterator[Customer]:
    """A wallet that no process has open, read here."""
    customer = Customer.open(town / "wallets" / name, PASSPHRASE, clock=lambda: 0, element=SimulatedElement)
    try:
        yield customer
    finally:
        customer.close()


def held(town: Path, name: str) -> tuple[str, str]:
    """Offline and pending, by the device."""
    with looked_into(town, name) as customer:
        balance = customer.balance(None)
        return format_tenge(balance.offline_tiyn), format_tenge(balance.pending_tiyn)


def held_in_all(town: Path, name: str) -> tuple[str, str, str]:
    """Online, offline and pending, with the ledger's word."""
    facts = purse("show", town, name, "--ledger", socket_of(town)).json()
    return facts["online"], facts["offline"], facts["pending"]


def states(town: Path, name: str) -> list[str]:
    with looked_into(town, name) as customer:
        sent = [payment.status.value for payment in customer.purse.sent()]
        return sent + [payment.state.value for payment in customer.purse.received()]


def wallet(town: Path, name: str) -> Path:
    return town / "wallets" / name


def socket_of(town: Path) -> Path:
    return town / "ledger" / "ledger.sock"


def sync_all(town: Path, *names: str) -> None:
    for name in names:
        report = purse("sync", town, name, "--ledger", socket_of(town)).json()
        assert (report["refused"], report["disputed"]) == ([], 0)


def sell_and_buy(town: Path, seller: str, buyer: str, amount: str, seller_at: list[object]) -> str:
    """Two processes at the same time; the payment's id."""
    limit = ["--timeout", 60, "--json"]
    with (
        started("purse", "sell", wallet(town, seller), amount, *seller_at, *limit) as selling,
        started("purse", "buy", wallet(town, buyer), *seller_at, "--max", amount, *limit) as buying,
    ):
        bought, sold = buying.end(), selling.end()
    assert (bought.status, sold.status) == (0, 0), (bought, sold)
    assert bought.json()["payment"] == sold.json()["payment"]
    assert (bought.json()["confirmed"], sold.json()["confirmed"]) == (True, True)
    assert bought.json()["amount"] == sold.json()["amount"] == f"{amount}"
    return str(bought.json()["payment"])


def by_file(town: Path, payee: str, payer: str, amount: str) -> None:
    """Four processes, one after the other, and three files."""
    files = [town / f"{payee}-{payer}-{amount}.{part}" for part in ("invoice", "payment", "receipt")]
    invoice, payment, receipt = files
    purse("ask", town, payee, amount, "-o", invoice)
    purse("pay", town, payer, invoice, "-o", payment)
    assert held(town, payer)[1] == amount
    purse("take", town, payee, payment, "-o", receipt)
    purse("finish", town, payer, receipt)
    assert held(town, payer)[1] == "0.00"


def stop(ledger: Running, town: Path) -> None:
    """The ledger's process ends, its socket goes, and a wallet that asks is told so."""
    assert ledger.stop().status == 0
    assert not socket_of(town).exists()
    refused = run("purse", "sync", wallet(town, "dana"), "--ledger", socket_of(town), "--json")
    assert (refused.status, refused.code()) == (1, "unreachable")


def free_port() -> int:
    with Listener(0) as listener:
        assert isinstance(listener.address, int)
        return listener.address


@pytest.mark.slow
def test_two_processes_pay_each_other_without_a_ledger_and_both_sync_when_it_is_back(town: Path) -> None:
    ledger = socket_of(town)
    with serving(town / "ledger", ledger) as serve:
        purse("load", town, "dana", "500.25", "--ledger", ledger)
        purse("load", town, "aru", "100", "--ledger", ledger)
        sync_all(town, "dana", "erlan", "aru")
        assert held_in_all(town, "dana") == ("599.75", "1700.25", "0.00")
        stop(serve, town)

    sell_and_buy(town, "erlan", "dana", "300.50", ["--socket", town / "till.sock"])
    assert not (town / "till.sock").exists()
    sell_and_buy(town, "erlan", "dana", "40.01", ["--port", free_port()])
    by_file(town, "erlan", "dana", "99.99")
    sell_and_buy(town, "dana", "aru", "60.00", ["--socket", town / "till.sock"])
    # the money moves on at once: erlan pays aru with what dana paid him
    sell_and_buy(town, "aru", "erlan", "350.00", ["--socket", town / "till.sock"])
    with looked_into(town, "aru") as customer:
        assert max(token.hops for token in customer.purse.tokens().values()) == 2
    assert [held(town, name)[0] for name in ("dana", "erlan", "aru")] == ["1319.75", "90.50", "390.00"]
    assert set(states(town, "dana")) == {"accepted", "stored"}
    assert set(states(town, "erlan")) == {"accepted", "stored"}

    with serving(town / "ledger", ledger) as serve:
        sync_all(town, "aru", "dana", "erlan")
        for name in ("dana", "erlan", "aru"):
            assert set(states(town, name)) == {"settled"}
        assert held_in_all(town, "dana") == ("599.75", "1319.75", "0.00")
        assert held_in_all(town, "erlan") == ("0.00", "90.50", "0.00")
        assert held_in_all(town, "aru") == ("100.00", "390.00", "0.00")
        purse("unload", town, "erlan", "90.50", "--ledger", ledger)
        assert held_in_all(town, "erlan") == ("90.50", "0.00", "0.00")
        stop(serve, town)
    assert run("ledger", "verify", town / "ledger", "--json").json()["ok"]


@pytest.mark.parametrize("how", ["shown again", "synced"])
def test_a_buyer_who_is_killed_after_signing_has_a_pending_payment_that_settles(town: Path, how: str) -> None:
    """The seller's end of the socket is the test's: it takes the payment in, says nothing, and the buyer is killed."""
    invoice, till = town / "invoice", town / "till.sock"
    purse("ask", town, "erlan", "250", "-o", invoice)
    with (
        Listener(till) as listener,
        started("purse", "buy", wallet(town, "dana"), "--socket", till, "--timeout", MAX_CARRIER_TIMEOUT_S) as buying,
        listener.accept(60) as link,
    ):
        link.send(FileCarrier(invoice).receive())
        payment = link.receive()
        assert not buying.is_over
        buying.kill()
    # its secure element ends when it notices; until then the wallet is in use
    until(lambda: run("purse", "show", wallet(town, "dana"), "--json").status == 0, "the killed wallet opens")
    (sent,) = purse("show", town, "dana").json()["sent"]
    assert (sent["state"], held(town, "dana")) == ("pending", ("950.00", "250.00"))

    if how == "shown again":
        shown, receipt = town / "payment", town / "receipt"
        purse("again", town, "dana", sent["payment"][:12], "-o", shown)
        assert FileCarrier(shown).receive() == payment
        purse("take", town, "erlan", shown, "-o", receipt)
        purse("finish", town, "dana", receipt)
        assert states(town, "dana") == ["accepted"]
    with serving(town / "ledger", socket_of(town)):
        sync_all(town, "dana", "erlan")
        assert states(town, "dana") == ["settled"]
        assert held_in_all(town, "dana") == ("1100.00", "950.00", "0.00")
        assert held_in_all(town, "erlan") == ("0.00", "250.00", "0.00")
    assert run("ledger", "verify", town / "ledger", "--json").json()["ok"]


def test_a_ledger_that_is_killed_leaves_nothing_that_hinders_the_next(town: Path) -> None:
    ledger = socket_of(town)
    with serving(town / "ledger", ledger) as serve:
        purse("load", town, "dana", "1", "--ledger", ledger)
        serve.kill()
    assert ledger.exists()
    with serving(town / "ledger", ledger):
        sync_all(town, "dana")
        assert held_in_all(town, "dana") == ("1099.00", "1201.00", "0.00")
