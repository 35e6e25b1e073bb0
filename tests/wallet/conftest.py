"""Devices on paper documents, and whole towns with a ledger; all closed after each test."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from tests.wallet.paper import Device, Paper
from tests.wallet.town import Town


@pytest.fixture
def paper() -> Paper:
    return Paper()


@pytest.fixture
def new_device(paper: Paper, tmp_path: Path) -> Iterator[Callable[..., Device]]:
    """``new_device(name, **certificate fields)``."""
    with ExitStack() as closing:

        def make(name: str, **certificate: Any) -> Device:
            device = Device.make(paper, tmp_path / name, name, **certificate)
            closing.callback(device.close)
            return device

        yield make


@pytest.fixture
def found(tmp_path: Path) -> Iterator[Callable[..., Town]]:
    """``found(*wallets, reserve=..., **offline policy)``: a ledger, a bank, and wallets with 1 000 tenge each."""
    with ExitStack() as closing:

        def make(*wallets: str, **options: Any) -> Town:
            town = Town.found(tmp_path / "town", *wallets, **options)
            closing.callback(town.close)
            return town

        yield make
