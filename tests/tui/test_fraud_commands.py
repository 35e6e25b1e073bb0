"""`tenge fraud`: a double spend is exported from a ledger and proven without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbdc.errors import TooLate
from cbdc.policy import DAY_S
from cbdc.service.ledger import Ledger
from cbdc.store.sqlite import SqliteStore
from tests.faults.stage import PATIENCE_S, Recorder
from tests.tui.conftest import Run
from tests.unit.helpers import paid, pay


@pytest.fixture(scope="module")
def played(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from typer.testing import CliRunner

    from tui.main import app

    directory = tmp_path_factory.mktemp("fraud") / "play"
    done = CliRunner().invoke(app, ["scenario", "run", "double_spend", "--keep", str(directory)])
    assert done.exit_code == 0, done.output
    return directory


def test_export_and_verify(tenge: Run, played: Path, tmp_path: Path) -> None:
    forks = tenge("fraud", "export", played / "ledger", "--to", tmp_path, "--json").json()["forks"]
    assert forks
    root = played / "ledger" / "root.pub"
    for fork in forks:
        by_file = tenge("fraud", "verify", fork["file"], "--root", root, "--json")
        by_key = tenge("fraud", "verify", fork["file"], "--root", root.read_text().strip(), "--json")
        assert by_file.status == by_key.status == 0
        assert by_file.json() == by_key.json()
        assert by_file.json()["by"] == fork["by"]
    narrow = tenge("fraud", "export", played / "ledger", "--to", tmp_path, COLUMNS="40").out.splitlines()
    assert {fork["file"] for fork in forks} <= set(narrow)
    shown = tenge("fraud", "verify", forks[0]["file"], "--root", root)
    assert "Proven." in shown.out
    assert forks[0]["by"] in shown.out


def test_refusals(tenge: Run, played: Path, tmp_path: Path) -> None:
    root = played / "ledger" / "root.pub"
    proof = Path(tenge("fraud", "export", played / "ledger", "--to", tmp_path, "--json").json()["forks"][0]["file"])
    assert tenge("fraud", "verify", proof, "--root", "00" * 32, "--json").code() == "bad_signature"
    assert tenge("fraud", "verify", proof, "--root", "no key", "--json").code() == "malformed"
    assert tenge("fraud", "verify", tmp_path / "none", "--root", root, "--json").code() == "io_error"
    proof.write_bytes(proof.read_bytes()[:-1])
    cut = tenge("fraud", "verify", proof, "--root", root, "--json")
    assert (cut.status, cut.code()) == (1, "malformed")


@pytest.fixture
def late(tmp_path: Path) -> Path:
    """A ledger on which only late evidence shows forks: of aida's token, and of two outputs of one payment of hers."""
    world = Recorder.founded("altyn")
    aida, bolat, dana = (world.customer(name) for name in ("aida", "bolat", "dana"))
    leaf, other = world.load(aida, 900_00), world.load(aida, 500_00)
    world.submit(pay(world, aida, bolat, leaf, 900_00))
    split = pay(world, aida, bolat, other, 300_00, 200_00)
    again = [pay(world, bolat, dana, paid(world, split), 300_00, hop=2, salt=salt) for salt in "ab"]
    change = [pay(world, aida, dana, paid(world, split, 1), 200_00, salt=salt) for salt in "ab"]
    world.submit(split)
    shown = [pay(world, aida, dana, leaf, 900_00), *again, *change]
    world.write(tmp_path / "ledger.db")
    (tmp_path / "root.pub").write_text(world.network.hex())
    world.now_s += 30 * DAY_S
    store = SqliteStore.open(tmp_path / "ledger.db")
    with Ledger(store, world.identity(), clock=lambda: world.now_s) as ledger:
        assert {type(ledger.submit(raw).exception(PATIENCE_S)) for raw in shown} == {TooLate}
    return tmp_path


def test_late_evidence_is_listed_and_its_forks_are_proven(tenge: Run, late: Path, tmp_path: Path) -> None:
    listed = tenge("ledger", "evidence", late, "--json").json()["late"]
    assert [(line["by"], line["to"], line["amount"]) for line in listed] == [
        ("altyn/aida", "altyn/dana", "900.00"),
        *[("altyn/bolat", "altyn/dana", "300.00")] * 2,
        *[("altyn/aida", "altyn/dana", "200.00")] * 2,
    ]
    assert "altyn/aida" in tenge("ledger", "evidence", late).out
    forks = tenge("fraud", "export", late, "--to", tmp_path / "proofs", "--json").json()["forks"]
    assert sorted((fork["by"], fork["amount"], fork["spends"], fork["late"]) for fork in forks) == [
        ("altyn/aida", "200.00", 2, 2),
        ("altyn/aida", "900.00", 2, 1),
        ("altyn/bolat", "300.00", 2, 2),
    ]
    proven = [tenge("fraud", "verify", fork["file"], "--root", late / "root.pub", "--json").json() for fork in forks]
    assert [proof["by"] for proof in proven] == [fork["by"] for fork in forks]
    assert len({tuple(proof["outpoints"]) for proof in proven}) == 3
    assert "too late" in tenge("fraud", "export", late, "--to", tmp_path / "proofs").out
    assert tenge("ledger", "verify", late, "--json").json()["late"] == 5


def test_a_ledger_without_late_evidence_says_so(tenge: Run, played: Path) -> None:
    assert tenge("ledger", "evidence", played / "ledger").out.strip() == "No payment came too late."
