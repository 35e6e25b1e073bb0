from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.stage import Stage


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Stage:
    """A stage that nobody writes to; tests take copies."""
    return Stage.build(tmp_path_factory.mktemp("template") / "ledger.db")


@pytest.fixture
def stage(template: Stage, tmp_path: Path) -> Stage:
    return template.copy_to(tmp_path / "ledger.db")
