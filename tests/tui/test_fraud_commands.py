"""`tenge fraud`: a double spend is exported from a ledger and proven without it."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.tui.conftest import Run


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
    shown = tenge("fraud", "verify", forks[0]["file"], "--root", root)
    assert "Proven." in shown.out
    assert forks[0]["by"] in shown.out


def test_refusals(tenge: Run, played: Path, tmp_path: Path) -> None:
    root = played / "ledger" / "root.pub"
    proof = Path(tenge("fraud", "export", played / "ledger", "--to", tmp_path, "--json").json()["forks"][0]["file"])
    assert tenge("fraud", "verify", proof, "--root", "00" * 32, "--json").code() == "bad_signature"
    assert tenge("fraud", "verify", proof, "--root", "no key", "--json").code() == "malformed"
    assert tenge("fraud", "verify", tmp_path / "none", "--root", root, "--json").code() == "malformed"
    proof.write_bytes(proof.read_bytes()[:-1])
    cut = tenge("fraud", "verify", proof, "--root", root, "--json")
    assert (cut.status, cut.code()) == (1, "malformed")
