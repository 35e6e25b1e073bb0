"""The world that most of these tests begin with: two banks, and people who are certified when a test names them."""

from __future__ import annotations

import pytest

from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.x509 import Role
from tests.support import Customer, World


@pytest.fixture
def world() -> World:
    return World.founded("altyn", "kumis")


@pytest.fixture
def aida(world: World) -> Customer:
    return world.customer("aida")


@pytest.fixture
def bolat(world: World) -> Customer:
    return world.customer("bolat")


@pytest.fixture
def dana(world: World) -> Customer:
    return world.customer("dana")


@pytest.fixture
def shop(world: World) -> Customer:
    return world.customer("shop")


@pytest.fixture
def registry(world: World) -> SigningKey:
    return world.institution("registry", Role.ORACLE)
