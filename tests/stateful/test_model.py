"""The model is worth something only if it is independent of what it checks."""

from __future__ import annotations

import ast
import sys
from pathlib import Path
from types import ModuleType

import pytest

from tests.stateful import model, naive_conditions


@pytest.mark.parametrize("module", [model, naive_conditions], ids=["model", "conditions"])
def test_the_model_imports_nothing_but_the_standard_library(module: ModuleType) -> None:
    tree = ast.parse(Path(module.__file__).read_text())
    imported = {alias.name for node in ast.walk(tree) if isinstance(node, ast.Import) for alias in node.names}
    imported |= {node.module or "." for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    assert imported
    imported -= {naive_conditions.__name__}  # a part of the model, and asked the same
    assert {name.partition(".")[0] for name in imported} <= sys.stdlib_module_names
    assert "importlib" not in imported


def test_the_worked_example_of_the_design() -> None:
    """Section 6: 10 000 spent twice, to b 6 000 and by a clone to c 9 000."""
    culprit, b, c = b"culprit", b"b", b"c"
    ledger = model.Model()
    ledger.institutions["altyn"] = {"name": "altyn", "key": b"bank", "dismissed": False}
    ledger.certificates[b"certificate"] = model.Certificate(
        b"certificate", "altyn/culprit", "altyn", culprit, 0, "person", None, None, (0, 0, 0, 0), b"online"
    )
    ledger.current[culprit] = b"certificate"
    ledger.issued, ledger.top_ups = 30_000, [("altyn", 20_000)]
    ledger.loads[b"loaded"] = model.Leaf(culprit, 10_000, None, 1, 2, 0)
    for payee, paid in ((b, 6_000), (c, 9_000)):
        made = [
            model.Leaf(payee, paid, None, 1, 2, 1),
            model.Leaf(culprit, 10_000 - paid, None, 1, 2, 0),
        ]
        ledger.evidence.append(
            {"id": payee * 32, "inputs": [b"loaded"], "made": made, "arrived": 0, "certificate": b""}
        )
    assert ledger.debts() == {culprit: (10_000, 5_000)}
    assert +ledger.seized() == {culprit: 5_000}
    assert (ledger.reserve_of("altyn"), ledger.claims("altyn")) == (15_000, 0)
    assert sum(leaf.amount for leaf in ledger.live().values()) == 20_000
    assert ledger.supply() == {"issued": 30_000, "redeemed": 0, "online": 0, "pool": 15_000, "reserves": 15_000}
