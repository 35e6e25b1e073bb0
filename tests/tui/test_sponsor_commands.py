"""`tenge sponsor`, and `tenge purse send`, `request` and `refund`: a purpose's whole life by hand, in a kept town."""

from __future__ import annotations

import csv
import os
import pty
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from cbdc.service.key_files import read_key, write_key
from cbdc.service.opening import ServedLedger
from tests.tui.conftest import TENGE, Outcome, Run
from tests.tui.kept import PASSPHRASE, PATIENCE_S, environment, run, serving, started
from tui.commands.purse import session
from tui.commands.sponsor import grants
from wallet import campaign as campaigns
from wallet.campaign import Campaign
from wallet.customer import Customer
from wallet.element import SimulatedElement
from wallet.scenarios.chance import SeededRandom

TOWN = """
title = "A sponsor's town"
seed = 7
start = "2026-09-01T08:00:00+05:00"

bank = [{ name = "altyn", reserve = "5 000" }]
oracle = [{ name = "agro" }]
approver = [{ name = "audit" }]

wallet = [
    { name = "akimat", bank = "altyn", kind = "sponsor" },
    { name = "rector", bank = "altyn" },
    { name = "tax", bank = "altyn" },
    { name = "dana", bank = "altyn" },
    { name = "erlan", bank = "altyn" },
    { name = "canteen", bank = "altyn", kind = "merchant", mcc = "5812", kato = "750000000" },
]

purpose = [
    { name = "meals", sponsor = "akimat", title = { en = "Meals", kk = "Тамақ" }, \
expires = "2027-01-01T00:00:00+05:00", allow = { payee_mcc = ["5812"] } },
    { name = "food", sponsor = "akimat", expires = "2027-01-01T00:00:00+05:00", allow = { items = ["food"] } },
    { name = "repairs", sponsor = "akimat", expires = "2027-01-01T00:00:00+05:00", mark = "keeps", \
split = { to = "tax", parts = 12, of = 112 }, allow = { all = [{ payee = ["erlan", "tax"] }, \
{ approval = { of = ["rector"], quorum = 1 } }] } },
    { name = "seeds", sponsor = "akimat", expires = "2027-01-01T00:00:00+05:00", \
allow = { all = [{ payee = ["erlan"] }, { evidence = { oracle = "agro", fact = "delivered" } }] } },
    { name = "audited", sponsor = "akimat", expires = "2027-01-01T00:00:00+05:00", \
allow = { all = [{ approval = { of = ["audit"], quorum = 1 } }, { evidence = { oracle = "agro", fact = "built" } }] } },
]

step = [
    { do = "issue", to = "altyn", amount = "10 000" },
    { do = "fund", from = "altyn", to = "akimat", amount = "3 000" },
    { do = "fund", from = "altyn", to = "dana", amount = "500" },
    { do = "grant", from = "akimat", to = "dana", amount = "300", purpose = "meals" },
    { do = "grant", from = "akimat", to = "dana", amount = "200", purpose = "food" },
    { do = "grant", from = "akimat", to = "dana", amount = "112", purpose = "repairs" },
    { do = "grant", from = "akimat", to = "dana", amount = "100", purpose = "seeds" },
    { do = "grant", from = "akimat", to = "dana", amount = "90", purpose = "audited" },
    { do = "load", wallet = "dana", amount = "100", purpose = "meals" },
    { do = "load", wallet = "dana", amount = "50" },
]
"""
STIPEND = """
name = "stipend"
title = { en = "Stipend", kk = "Шәкіртақы", ru = "Стипендия" }
mark = "clears"
expires = "2027-06-30T00:00:00+05:00"
allow = { all = [
    { payee = ["altyn/canteen"] }, { per_payment = "500" }, { approval = { of = ["audit"], quorum = 1 } }
] }
"""


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    directory = tmp_path_factory.mktemp("town")
    (directory / "town.toml").write_text(TOWN)
    done = run("scenario", "run", directory / "town.toml", "--keep", directory / "kept", "--json")
    assert done.status == 0, done.out + done.err
    return directory / "kept"


@pytest.fixture
def town(played: Path) -> Iterator[Path]:
    """A copy, under a path that is short enough for sockets."""
    with tempfile.TemporaryDirectory(prefix="tenge-") as directory:
        yield Path(shutil.copytree(played, Path(directory) / "t"))


@pytest.fixture
def ledger(town: Path) -> Iterator[ServedLedger]:
    """The town's ledger in this process, on the socket ``ledger/s``, at the time of its last entry."""
    home = town / "ledger"
    operator = read_key(home / "keys" / "operator.pem", PASSPHRASE)
    network = bytes.fromhex((home / "root.pub").read_text().strip())
    with ServedLedger(home / "ledger.db", network, operator, lambda: 0) as running:
        running.listen(home / "s")
        yield running


class WithElementHere(Customer):
    """A wallet as the commands open it, but for where its element runs."""

    @classmethod
    def open(cls, directory: Path, password: str, **options: Any) -> Customer:
        return Customer.open(directory, password, element=SimulatedElement, **options)


@pytest.fixture
def typed(tenge: Run, town: Path, ledger: ServedLedger, monkeypatch: pytest.MonkeyPatch) -> Run:
    """``typed("sponsor", "define", "akimat", file)``: with the ledger's socket, in this process."""
    monkeypatch.setattr(session, "Customer", WithElementHere)

    def run(group: str, command: str, name: str, *rest: object, **variables: str) -> Outcome:
        known = {"TENGE_PASSPHRASE": PASSPHRASE, "TENGE_AT": "last", **variables}
        socket = () if command in ("request", "ask", "pay") else ("--ledger", town / "ledger" / "s")
        return tenge(group, command, town / "wallets" / name, *rest, *socket, **known)

    return run


@pytest.fixture
def done(typed: Run) -> Any:
    """What a command that must succeed says in JSON."""

    def run(*arguments: object) -> Any:
        outcome = typed(*arguments, "--json")
        assert outcome.status == 0, outcome.out + outcome.err
        return outcome.json()

    return run


@pytest.fixture
def refused(typed: Run) -> Any:
    """The code of a command that must be refused."""

    def run(*arguments: object) -> str:
        outcome = typed(*arguments, "--json")
        assert outcome.status == 1, outcome.out + outcome.err
        return outcome.code()

    return run


@pytest.fixture
def stipend(town: Path) -> Path:
    (town / "stipend.toml").write_text(STIPEND)
    return town / "stipend.toml"


def write(town: Path, text: str) -> Path:
    (town / "list.csv").write_text(text)
    return town / "list.csv"


# --- define ------------------------------------------------------------------------------------


def test_a_purpose_is_said_in_words_and_entered(typed: Run, done: Any, refused: Any, town: Path, stipend: Path) -> None:
    said = typed("sponsor", "define", "akimat", stipend, "--language", "kk")
    assert said.status == 0, said.err
    assert "Шәкіртақы (stipend)" in said.err
    assert "ең көбі 500.00 теңге" in said.err
    assert "taken to be institutions of these names: audit" in said.err
    known = {purpose["name"]: purpose for purpose in done("sponsor", "purposes", "akimat")["purposes"]}
    assert f"purpose {known['stipend']['id']}" in said.out
    assert known["stipend"]["own"]
    assert refused("sponsor", "define", "akimat", stipend) == "already_there"


def test_a_scenarios_table_and_json_do_as_well(done: Any, town: Path, stipend: Path) -> None:
    stipend.write_text("[[purpose]]" + STIPEND.replace("stipend", "grant") + 'sponsor = "altyn/akimat"\n')
    facts = done("sponsor", "define", "akimat", stipend, "--language", "ru")
    assert (facts["name"], facts["title"], facts["institutions"]) == ("grant", "Стипендия", ["audit"])


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("altyn/canteen", "altyn/nobody", "not_enrolled"),
        ("altyn/canteen", "canteen", "not_enrolled"),
        ('["audit"]', '["audlt"]', "not_enrolled"),
        ('{ per_payment = "500" }', '{ evidence = { oracle = "audit", fact = "built" } }', "not_enrolled"),
        ('mark = "clears"', 'mark = "vanishes"', "malformed"),
        ('name = "stipend"', 'sponsor = "altyn/dana"\nname = "stipend"', "not_sponsor"),
        ('name = "stipend"', 'return_to = "altyn/nobody"\nname = "stipend"', "not_enrolled"),
        ('name = "stipend"', "name = ", "malformed"),
        ("2027-06-30T00:00:00+05:00", "2026-01-01T00:00:00+05:00", "expired"),
    ],
)
def test_what_cannot_be_a_purpose_is_not_entered(refused: Any, stipend: Path, old: str, new: str, code: str) -> None:
    assert old in STIPEND
    stipend.write_text(STIPEND.replace(old, new))
    assert refused("sponsor", "define", "akimat", stipend) == code


def test_the_list_of_purposes_says_until_when(typed: Run, done: Any) -> None:
    (meals,) = [purpose for purpose in done("sponsor", "purposes", "akimat")["purposes"] if purpose["name"] == "meals"]
    assert meals["expires"] == "2027-01-01T00:00:00+05:00"
    said = typed("sponsor", "purposes", "akimat").out
    assert "2027-01-01" in said
    assert "+05:00" in said


def test_where_no_ledger_answers_it_says_how_one_is_served(tenge: Run, town: Path, typed: Run) -> None:
    known = {"TENGE_PASSPHRASE": PASSPHRASE, "TENGE_AT": "last"}
    for place, words in ((town / "nothing", "FileNotFoundError"), (town / "ledger", "a directory")):
        said = tenge("sponsor", "purposes", town / "wallets" / "akimat", "--ledger", place, **known)
        assert "unreachable: no ledger answers: is it served? `tenge ledger serve`" in said.err
        assert words in said.err


def test_a_payee_without_a_bank_is_taken_to_be_an_institution(done: Any, stipend: Path) -> None:
    stipend.write_text(STIPEND.replace("altyn/canteen", "agro"))
    assert done("sponsor", "define", "akimat", stipend)["institutions"] == ["agro", "audit"]


def test_the_help_shows_the_name_of_the_table(tenge: Run) -> None:
    assert "[[purpose]]" in tenge("sponsor", "define", "--help").out


def test_only_a_sponsor_defines(refused: Any, stipend: Path) -> None:
    assert refused("sponsor", "define", "dana", stipend) == "role_refused"


def test_a_language_that_nobody_speaks_here_is_a_usage_error(typed: Run, stipend: Path) -> None:
    assert typed("sponsor", "define", "akimat", stipend, "--language", "tlh").status == 2


# --- grant -------------------------------------------------------------------------------------


def test_a_list_is_granted_with_a_report(done: Any, refused: Any, typed: Run, town: Path) -> None:
    path = write(town, "account,amount,reference\naltyn/dana,10,a\naltyn/erlan,20.50,b\n")
    facts = done("sponsor", "grant", "akimat", "meals", path, "--report", town / "out.csv")
    assert (facts["rows"], facts["paid"], facts["refused"], facts["pending"]) == (2, 2, 0, 0)
    assert (facts["amount"], facts["campaign"]) == ("30.50", "list.csv")
    with (town / "out.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert [(row["row"], row["account"], row["status"]) for row in rows] == [
        ("2", "altyn/dana", "paid"),
        ("3", "altyn/erlan", "paid"),
    ]
    assert {row["entry"] for row in rows} == {str(entry) for entry in facts["entries"]}
    assert refused("sponsor", "grant", "akimat", "meals", path) == "already_there"
    assert refused("sponsor", "grant", "akimat", "meals", path, "--report", town / "out.csv") == "already_there"
    assert done("sponsor", "grant", "akimat", "meals", path, "--resume")["paid"] == 2
    said = typed("sponsor", "grant", "akimat", "meals", path, "--resume")
    assert (said.status, said.out) == (0, "nothing left to pay: 30.50\u00a0₸ to 2 of 2 rows was granted before\n")
    again = typed("sponsor", "grant", "akimat", "meals", path, "--campaign", "october")
    assert again.out == "granted 30.50\u00a0₸ to 2 of 2 rows\n"


def test_bad_rows_are_all_told_and_the_report_has_them(typed: Run, refused: Any, town: Path) -> None:
    path = write(town, "account,amount\naltyn/dana,10\naltyn/nobody,20\naltyn/dana,x\n")
    said = typed("sponsor", "grant", "akimat", "meals", path, "--report", town / "out.csv")
    assert said.status == 1
    assert "campaign_refused" in said.err
    assert "not_enrolled" in said.err
    assert "((" not in said.err
    assert "0 rows paid, 2 refused, 1 not signed" in said.err
    assert "(rows=2, first=3, why=not_enrolled)" in said.err
    with (town / "out.csv").open() as file:
        assert [row["code"] for row in csv.DictReader(file)] == ["", "not_enrolled", "malformed"]
    assert refused("sponsor", "grant", "akimat", "meals", path) == "campaign_refused"
    named = typed("sponsor", "grant", "akimat", "food", path, "--skip-bad")
    assert "row 3 (altyn/nobody, 20\u00a0₸) refused: no such account" in named.out
    assert "row 4 (altyn/dana, x) refused: not an amount of tenge" in named.out
    left = typed("sponsor", "grant", "akimat", "meals", path, "--skip-bad", "--json")
    assert (left.status, left.json()["ok"], left.json()["paid"]) == (1, False, 1)
    assert [row["row"] for row in left.json()["refused_rows"]] == [3, 4]
    path.write_text("account,amount\naltyn/dana,10\n")
    assert refused("sponsor", "grant", "akimat", "meals", path, "--resume") == "campaign_changed"


def test_more_than_there_is_and_what_is_not_ones_own_is_refused(refused: Any, town: Path) -> None:
    path = write(town, "account,amount\naltyn/dana,10000\n")
    assert refused("sponsor", "grant", "akimat", "meals", path) == "insufficient_funds"
    assert refused("sponsor", "grant", "dana", "meals", path) == "not_sponsor"
    assert refused("sponsor", "grant", "akimat", "nothing", path) == "malformed"
    assert refused("sponsor", "grant", "akimat", "meals", town / "missing.csv") == "io_error"


def test_after_a_break_it_says_how_to_go_on_and_writes_the_report(
    typed: Run, refused: Any, done: Any, town: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from cbdc.errors import Unreachable

    def broken(self: Campaign, *_: object, **_options: object) -> None:
        from wallet.campaign_journal import Head

        self._journal.begin(Head(self.name, self._purpose, self.listed.digest, 0))
        raise Unreachable("the ledger does not answer")

    path = write(town, "account,amount\naltyn/dana,10\n")
    with monkeypatch.context() as patched:
        patched.setattr(grants.Campaign, "run", broken)
        said = typed("sponsor", "grant", "akimat", "meals", path, "--report", town / "out.csv")
    assert (said.status, "0 rows paid, 0 refused, 1 not signed" in said.err) == (1, True)
    assert f"--report {town / 'out.csv'} --resume" in said.err
    with (town / "out.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["not signed"]
    assert refused("sponsor", "grant", "akimat", "meals", path) == "unsettled"
    assert done("sponsor", "grant", "akimat", "meals", path, "--resume", "--report", town / "out.csv")["paid"] == 1


@pytest.fixture
def stopped(typed: Run, town: Path, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A grant of two messages to which a signal comes while the first is signed."""

    def run(number: signal.Signals, *options: object) -> Outcome:
        sign = Campaign._sign

        def signalled(self: Campaign, *arguments: Any) -> Any:
            os.kill(os.getpid(), number)
            return sign(self, *arguments)

        path = write(town, "account,amount\naltyn/dana,10\naltyn/dana,20\n")
        with monkeypatch.context() as patched:
            patched.setattr(campaigns, "BATCH", 1)
            patched.setattr(Campaign, "_sign", signalled)
            arguments = ("--allow-repeats", "--report", town / "out.csv", *options)
            return typed("sponsor", "grant", "akimat", "meals", path, *arguments)

    return run


@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 130), (signal.SIGTERM, 143)])
def test_a_signal_ends_a_grant_with_a_report_and_the_command_that_goes_on(
    stopped: Any, typed: Run, done: Any, town: Path, number: signal.Signals, status: int
) -> None:
    said = stopped(number)
    assert said.status == status
    assert "interrupted: 1 row paid, 0 refused, 1 not signed" in said.err
    with (town / "out.csv").open() as file:
        assert [row["status"] for row in csv.DictReader(file)] == ["paid", "not signed"]
    (command,) = [line for line in said.err.splitlines() if line.endswith("--resume")]
    assert command.partition(": ")[2].startswith(f"tenge sponsor grant {town / 'wallets' / 'akimat'} meals ")
    facts = done("sponsor", "grant", "akimat", "meals", town / "list.csv", "--resume")  # repeats are meant still
    assert (facts["paid"], facts["paid_before"]) == (2, 1)


def test_a_signal_is_told_in_json_once(stopped: Any) -> None:
    said = stopped(signal.SIGINT, "--json")
    assert (said.status, said.json()["interrupted"]) == (130, True)
    assert (said.json()["paid"], said.json()["not_signed"]) == (1, 1)


def test_an_unfinished_list_is_told_with_its_command_and_may_be_abandoned(
    stopped: Any, typed: Run, done: Any, refused: Any, town: Path
) -> None:
    stopped(signal.SIGINT)
    path = town / "list.csv"
    other = typed("sponsor", "grant", "akimat", "meals", path, "--campaign", "october")
    assert "the list of campaign list.csv was begun" in other.err
    assert "to go on: tenge sponsor grant " in other.err
    assert done("sponsor", "grant", "akimat", "meals", path, "--abandon")["paid"] == 1
    assert refused("sponsor", "grant", "akimat", "meals", path, "--resume") == "already_there"


@pytest.mark.parametrize(("answer", "status"), [("n", 1), ("y", 0)])
def test_at_a_terminal_it_shows_the_total_and_asks(town: Path, answer: str, status: int) -> None:
    path = write(town, "account,amount\naltyn/dana,10\naltyn/erlan,20\n")
    ours, theirs = pty.openpty()
    with serving(town / "ledger", town / "ledger" / "s", TENGE_AT="last"):
        try:
            os.write(ours, f"{answer}\n".encode())
            arguments = [town / "wallets" / "akimat", "meals", path, "--ledger", town / "ledger" / "s"]
            asked = subprocess.run(
                [TENGE, "sponsor", "grant", *arguments],
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
    assert "Grant 30\u00a0₸ to 2 rows?" in asked.stderr
    assert asked.returncode == status
    assert ("granted 30" in asked.stdout) == (status == 0)


# --- send --------------------------------------------------------------------------------------


def test_a_payment_says_how_it_divides_before_it_is_made(typed: Run, done: Any, town: Path) -> None:
    plan = done("purse", "send", "dana", "altyn/canteen", "500", "--plan")
    assert [(part.get("name"), part["amount"]) for part in plan["parts"]] == [("meals", "200.00"), (None, "300.00")]
    said = typed("purse", "send", "dana", "altyn/canteen", "500", "--plan", "--language", "kk")
    assert said.out == ("500\u00a0₸ to altyn/canteen:\n  200\u00a0₸ of Тамақ (meals)\n  300\u00a0₸ of free money\n")
    paid = typed("purse", "send", "dana", "altyn/canteen", "500", "--memo", "lunch")
    assert paid.status == 0, paid.err
    assert "200\u00a0₸ of Meals (meals)" in paid.err
    assert paid.out.startswith("paid 500\u00a0₸, altyn/canteen: payment ")
    assert done("purse", "show", "canteen")["online"] == "500.00"


def test_a_key_is_paid_too_and_a_purpose_may_be_asked_for(done: Any, refused: Any, ledger: ServedLedger) -> None:
    (key,) = ledger.queries.keys_of("altyn/rector")
    facts = done("purse", "send", "dana", key.hex(), "5")
    assert (facts["to"], facts["waits"], facts["until"]) == ("altyn/rector", False, None)
    assert refused("purse", "send", "dana", "altyn/erlan", "5", "--purpose", "meals") == "purpose_refused"
    assert refused("purse", "send", "dana", "altyn/nobody", "5") == "not_enrolled"
    assert refused("purse", "send", "dana", "erlan", "5") == "malformed"
    assert refused("purse", "send", "dana", "altyn/erlan", "5000") == "insufficient_funds"


def test_what_is_lacking_is_told_of_the_whole_amount(typed: Run) -> None:
    said = typed("purse", "send", "dana", "altyn/canteen", "5000")
    assert "found=740.00, wanted=5000.00" in said.err  # 450 of free money, 200 for meals, 90 that would wait


def test_the_payments_on_the_ledger_are_shown_with_their_ids(done: Any, typed: Run) -> None:
    paid = done("purse", "send", "dana", "altyn/canteen", "210", "--memo", "lunch")
    (sent,) = done("purse", "show", "dana")["on_ledger"][-1:]
    assert (sent["payment"], sent["what"], sent["with"]) == (paid["payment"], "sent", "altyn/canteen")
    assert (sent["amount"], sent["purposes"], sent["entry"]) == ("210.00", ["meals"], paid["entry"])
    (got,) = done("purse", "show", "canteen")["on_ledger"]
    assert (got["payment"], got["what"], got["with"]) == (paid["payment"], "received", "altyn/dana")
    assert (got["amount"], got["purposes"]) == ("210.00", ["meals"])
    said = typed("purse", "show", "dana").out
    assert paid["payment"][:16] in said
    grants = [row for row in done("purse", "show", "dana")["on_ledger"] if row["what"] == "received"]
    assert {tuple(row["purposes"]) for row in grants} >= {("food",), ("repairs",), ("seeds",), ("audited",)}
    assert "of these, for audited" in said  # by its name, which the ledger knows


def test_a_refund_is_of_what_the_payment_brought(typed: Run, done: Any, refused: Any) -> None:
    paid = done("purse", "send", "dana", "altyn/canteen", "100", "--purpose", "meals")
    said = typed("purse", "refund", "canteen", paid["payment"], "100.01")
    assert (said.status, said.err) == (
        1,
        "amount_mismatch: more than is left of the payment (found=100.01, limit=100.00)\n",
    )
    done("purse", "send", "canteen", "altyn/erlan", "50")
    assert refused("purse", "refund", "canteen", paid["payment"]) == "insufficient_funds"


def test_a_request_says_what_is_bought(done: Any, refused: Any, town: Path) -> None:
    asked = done("purse", "request", "canteen", "90", "--item", "food=70", "--item", "toys=20", "-o", town / "r")
    assert (asked["amount"], asked["written"]) == ("90.00", str(town / "r"))
    with_request = ("altyn/canteen", "90", "--request", town / "r")
    plan = done("purse", "send", "dana", *with_request, "--plan")
    assert [(part.get("name"), part["amount"]) for part in plan["parts"]] == [("food", "70.00"), ("meals", "20.00")]
    paid = done("purse", "send", "dana", *with_request)
    assert (paid["to"], paid["parts"]) == ("altyn/canteen", plan["parts"])
    assert refused("purse", "send", "dana", "altyn/canteen", "91", "--request", town / "r") == "amount_mismatch"
    assert refused("purse", "send", "dana", "altyn/erlan", "90", "--request", town / "r") == "wrong_payee"
    assert refused("purse", "request", "canteen", "69", "--item", "food=70") == "amount_mismatch"
    assert refused("purse", "request", "canteen", "90", "--item", "food") == "malformed"
    assert refused("purse", "request", "canteen", "90", "--item", "food=0") == "malformed"


def test_a_request_is_paid_once_by_whatever_money(done: Any, refused: Any, town: Path) -> None:
    for mark, name in ((), "a"), (("--purpose", "meals"), "b"):
        done("purse", "request", "canteen", "50", "--item", "toys=50", "-o", town / name)
        paying = ("purse", "send", "dana", "altyn/canteen", "50", "--request", town / name, *mark)
        done(*paying)
        assert refused(*paying) == "replayed"


def test_a_request_that_cannot_be_read_is_told_as_any_other_error(typed: Run, refused: Any, town: Path) -> None:
    (town / "empty").touch()
    for name, code in (("none", "io_error"), ("empty", "malformed"), ("ledger/root.pub", "malformed")):
        paying = ("purse", "send", "dana", "altyn/canteen", "50", "--request", town / name)
        assert refused(*paying) == code
        said = typed(*paying)
        assert (said.status, said.err.startswith(f"{code}: ")) == (1, True)


def test_an_amount_below_nothing_is_said_to_be_that(typed: Run) -> None:
    for rest, said in (((), "usage: an amount is not less than nothing (found=-5)\n"), (("--json",), "")):
        outcome = typed("purse", "send", "dana", "altyn/canteen", "-5", *rest)
        assert (outcome.status, outcome.err) == (2, said)


def test_nobody_pays_himself(refused: Any, ledger: ServedLedger) -> None:
    (key,) = ledger.queries.keys_of("altyn/dana")
    for to in ("altyn/dana", key.hex()):
        assert refused("purse", "send", "dana", to, "5") == "malformed"


def test_a_merchant_gives_back_what_a_payment_brought(done: Any, refused: Any, typed: Run) -> None:
    paid = done("purse", "send", "dana", "altyn/canteen", "100", "--purpose", "meals")
    part = done("purse", "refund", "canteen", paid["payment"][:12], "30")
    assert (part["amount"], part["to"], part["payment"]) == ("30.00", "altyn/dana", paid["payment"])
    rest = typed("purse", "refund", "canteen", paid["payment"])
    assert rest.out.startswith("gave back 70\u00a0₸ to altyn/dana, entry ")
    assert refused("purse", "refund", "canteen", paid["payment"]) == "replayed"
    assert refused("purse", "refund", "canteen", "ab" * 32) == "not_owner"
    plan = done("purse", "send", "dana", "altyn/canteen", "200", "--plan", "--purpose", "meals")
    assert [part["amount"] for part in plan["parts"]] == ["200.00"]


def test_an_offline_payment_shows_its_split_too(typed: Run, town: Path) -> None:
    assert typed("purse", "ask", "canteen", "120", "-o", town / "invoice").status == 0
    paid = typed("purse", "pay", "dana", town / "invoice", "-o", town / "payment")
    assert paid.status == 0, paid.err
    assert "100\u00a0₸ of Meals (meals)" in paid.err
    assert "20\u00a0₸ of free money" in paid.err
    again = typed("purse", "pay", "dana", town / "invoice", "-o", town / "again")
    assert (again.status, (town / "again").read_text()) == (0, (town / "payment").read_text())


# --- payments that wait --------------------------------------------------------------------------


def test_a_payment_waits_for_approval_and_the_tax_is_split_off(done: Any, typed: Run, refused: Any) -> None:
    plan = done("purse", "send", "dana", "altyn/erlan", "112", "--purpose", "repairs", "--plan")
    (part,) = plan["parts"]
    assert (part["split"], part["split_to"], plan["waits"]) == ("12.00", "altyn/tax", True)
    assert part["waits_for"] == ["approval by 1 of: altyn/rector"]
    said = typed("purse", "send", "dana", "altyn/erlan", "112", "--purpose", "repairs")
    assert "of it 12\u00a0₸ to altyn/tax; waits for approval by 1 of: altyn/rector" in said.err
    assert said.out.startswith("waiting until 2026-")
    for name in ("dana", "erlan", "rector"):
        (one,) = done("sponsor", "waiting", name)["waiting"]
        assert (one["from"], one["to"], one["approvals"]) == ("altyn/dana", ["altyn/erlan", "altyn/tax"], [])
        assert [(part["title"], part["amount"]) for part in one["money"]] == [("repairs", "112.00")]
        assert one["asks_for"] == ["approval by 1 of: altyn/rector"]
    assert done("sponsor", "waiting", "canteen")["waiting"] == []
    said = typed("sponsor", "waiting", "rector").out.splitlines()
    assert said[:2] == [
        f"payment {one['payment']}",
        f"  112\u00a0₸ repairs, from altyn/dana to altyn/erlan, altyn/tax, until {one['until']}",
    ]
    assert said[2:] == ["  waits for approval by 1 of: altyn/rector; approved by nobody yet"]
    assert refused("sponsor", "approve", "erlan", one["payment"]) == "role_refused"
    assert refused("sponsor", "approve", "canteen", one["payment"]) == "not_owner"
    approved = done("sponsor", "approve", "rector", one["payment"][:10])
    assert (approved["payment"], approved["settled"]) == (one["payment"], True)
    assert typed("sponsor", "waiting", "rector").out == "Nothing waits.\n"
    assert done("purse", "show", "tax")["account"] == "altyn/tax"


def test_an_oracles_word_lets_a_payment_through(tenge: Run, done: Any, town: Path) -> None:
    paid = done("purse", "send", "dana", "altyn/erlan", "100", "--purpose", "seeds")
    assert paid["waits"]
    write_key(town / "keys" / "agro.pem", SeededRandom(7, "oracle agro")(32), "another secret")

    def attest(*rest: object, **variables: str) -> Outcome:
        known = {"TENGE_PASSPHRASE": PASSPHRASE, "TENGE_KEY_PASSPHRASE": "another secret", **variables}
        arguments = ("--key", town / "keys" / "agro.pem", "--ledger", town / "ledger" / "s", "--json")
        return tenge("sponsor", "attest", *rest, *arguments, **known)

    about = ("--about", paid["payment"])
    assert attest("agro", "delivered", *about, TENGE_KEY_PASSPHRASE="wrong").code() == "wrong_password"
    assert attest("somebody", "delivered", *about).code() == "role_refused"
    stated = attest("agro", "delivered", *about)
    assert (stated.status, stated.json()["fact"]) == (0, "delivered"), stated.out
    assert done("sponsor", "waiting", "dana")["waiting"] == []
    assert attest("agro", "delivered", *about).json() == stated.json()  # the same word gets the same receipt
    assert attest("agro", "x" * 49, *about).code() == "too_large"


def attest_as_agro(tenge: Run, town: Path, fact: str, about: str) -> Outcome:
    known = {"TENGE_PASSPHRASE": PASSPHRASE}
    rest = ("--key", town / "ledger" / "keys" / "oracle-agro.pem", "--ledger", town / "ledger" / "s", "--json")
    return tenge("sponsor", "attest", "agro", fact, "--about", about, *rest, **known)


def test_an_approver_that_is_an_institution_approves_with_its_key(
    tenge: Run, done: Any, refused: Any, town: Path
) -> None:
    paid = done("purse", "send", "dana", "altyn/erlan", "90", "--purpose", "audited")
    assert paid["parts"][0]["waits_for"] == ["approval by 1 of: audit", "evidence of built by agro"]
    keys = town / "ledger" / "keys"

    def approve(name: str, key: str) -> Outcome:
        arguments = (paid["payment"][:10], "--key", keys / key, "--ledger", town / "ledger" / "s", "--json")
        return tenge("sponsor", "approve", name, *arguments, TENGE_PASSPHRASE=PASSPHRASE)

    assert approve("agro", "oracle-agro.pem").code() == "not_owner"
    assert approve("audit", "oracle-agro.pem").code() == "role_refused"
    approved = approve("audit", "approver-audit.pem").json()
    assert (approved["payment"], approved["settled"]) == (paid["payment"], False)
    assert refused("purse", "refund", "erlan", paid["payment"]) == "unsettled"
    assert attest_as_agro(tenge, town, "delivered", paid["payment"]).code() == "role_refused"
    stated = attest_as_agro(tenge, town, "built", paid["payment"][:8]).json()
    assert (stated["about"], stated["settled"]) == (paid["payment"], True)
    assert refused("sponsor", "approve", "dana", paid["payment"]) == "replayed"
    assert done("purse", "refund", "erlan", paid["payment"][:8])["amount"] == "90.00"


def test_an_oracle_speaks_about_what_is_there(tenge: Run, town: Path, ledger: ServedLedger) -> None:
    for about, code in (
        ("abcdef12", "not_owner"),
        ("ab", "malformed"),
        ("nobody", "malformed"),
        ("altyn/nobody", "not_enrolled"),
    ):
        assert attest_as_agro(tenge, town, "built", about).code() == code, about
    assert attest_as_agro(tenge, town, "built", "altyn").json()["about"] == "altyn"


def test_a_clock_far_ahead_names_the_payments_that_lapse(town: Path) -> None:
    home, at_last = town / "ledger", {"TENGE_AT": "last"}
    with serving(home, home / "s", **at_last):
        paying = (town / "wallets" / "dana", "altyn/erlan", "112", "--purpose", "repairs", "--ledger", home / "s")
        payment = run("purse", "send", *paying, "--json", **at_last).json()["payment"]
    with started("ledger", "serve", home, "--socket", home / "s", "--at", "2026-12-01T00:00:00+05:00") as late:
        assert late.process.stdout is not None
        late.process.stdout.readline()
        assert f"their money goes back to the payer: {payment[:16]}." in late.stop().err


# --- allow and recall ----------------------------------------------------------------------------


def test_a_sponsor_allows_what_needs_no_ledger(done: Any, refused: Any) -> None:
    facts = done("sponsor", "allow", "akimat", "meals", "altyn/dana", "50")
    assert (facts["account"], facts["amount"]) == ("altyn/dana", "50.00")
    assert done("sponsor", "allow", "akimat", "meals", "altyn/dana", "0")["amount"] == "0.00"
    assert refused("sponsor", "allow", "akimat", "meals", "altyn/nobody", "50") == "not_enrolled"
    assert refused("sponsor", "allow", "dana", "meals", "altyn/dana", "50") == "not_sponsor"


def test_a_recall_needs_the_governor_as_well(done: Any, refused: Any, typed: Run, town: Path) -> None:
    court = ("--reference", "case 7", "--governor-keys", town / "ledger")
    facts = done("sponsor", "recall", "akimat", "meals", "altyn/dana", *court)
    assert (facts["amount"], len(facts["entries"])) == ("200.00", 1)
    assert refused("sponsor", "recall", "akimat", "meals", "altyn/dana", *court) == "insufficient_funds"
    assert refused("sponsor", "recall", "dana", "food", "altyn/dana", *court) == "role_refused"
    food = ("sponsor", "recall", "akimat", "food", "altyn/dana", "--governor-keys", town / "none")
    assert refused(*food, "--reference", "x" * 500) == "too_large"
    assert refused("sponsor", "recall", "dana", *food[3:], "--reference", "case 7") == "role_refused"
    (town / "ledger" / "keys" / "governor.pem").rename(town / "elsewhere")
    assert refused("sponsor", "recall", "akimat", "food", "altyn/dana", *court) == "io_error"
    (town / "ledger" / "keys" / "operator.pem").rename(town / "ledger" / "keys" / "governor.pem")
    assert refused("sponsor", "recall", "akimat", "food", "altyn/dana", *court) == "role_refused"


# --- institutions ------------------------------------------------------------------------------


def test_the_governor_admits_an_oracle_who_then_speaks(tenge: Run, done: Any, town: Path, ledger: ServedLedger) -> None:
    def admit(name: str, *rest: object) -> Outcome:
        arguments = (town / "ledger", name, "--role", "oracle", *rest, "--ledger", town / "ledger" / "s", "--json")
        return tenge("ledger", "admit", *arguments, TENGE_PASSPHRASE=PASSPHRASE)

    made = admit("school", "--new-key", town / "school.pem")
    assert made.status == 0, made.out
    assert read_key(town / "school.pem", PASSPHRASE).public.hex() == made.json()["key"]
    stated = tenge(
        *("sponsor", "attest", "school", "attended", "--about", "altyn/dana", "--key", town / "school.pem"),
        *("--ledger", town / "ledger" / "s", "--json"),
        TENGE_PASSPHRASE=PASSPHRASE,
    )
    assert (stated.status, stated.json()["about"]) == (0, "altyn/dana"), stated.out
    assert admit("other", "--new-key", town / "school.pem").code() == "already_there"
    assert admit("other", "--key", "00").code() == "malformed"
    assert admit("other").code() == "malformed"
    assert admit("other", "--key", made.json()["key"]).status == 1
    assert admit("school", "--new-key", town / "again.pem").code() == "replayed"
    assert not (town / "again.pem").exists()
    (town / "ledger" / "keys" / "operator.pem").replace(town / "ledger" / "keys" / "governor.pem")
    assert admit("other", "--key", "11" * 32).code() == "role_refused"
