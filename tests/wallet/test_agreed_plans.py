"""A payment is made as it was shown, or not at all."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cbdc.errors import NotEnrolled, NotOwner, Unsettled
from tests.wallet.school import SPONSOR, TABLES
from tests.wallet.town import FUNDS_TIYN, Town
from wallet.directory import account_of, key_named, keys_named


def test_what_divides_otherwise_by_now_is_not_paid(found: Callable[..., Town]) -> None:
    pupil = {"name": "dana", "bank": "altyn"}
    town = found(tables=TABLES | {"wallet": [*TABLES["wallet"], pupil]})
    dana, port = town["dana"], town.port
    canteen, purpose = town["canteen"].key.public, town.economy.purposes["meals"]
    plan = dana.plan(port, canteen, 100_00)
    assert plan.shares == {None: 100_00}
    town[SPONSOR].grant(port, dana.key.public, 30_00, purpose)
    with pytest.raises(Unsettled):
        dana.pay(port, canteen, 100_00, agreed=plan)
    assert town.held("dana")[0] == FUNDS_TIYN + 30_00
    plan = dana.plan(port, canteen, 100_00)
    assert plan.shares == {purpose: 30_00, None: 70_00}
    dana.pay(port, canteen, 100_00, agreed=plan)
    assert town.held("dana")[0] == FUNDS_TIYN - 70_00
    with pytest.raises(NotOwner):
        dana.refundable(port, bytes(32))


def test_whom_a_name_means(found: Callable[..., Town]) -> None:
    town = found("dana")
    port, network, key = town.port, town.port.network, town["dana"].key.public
    assert key_named(port, "altyn/dana") == key_named(port, key.hex()) == key
    assert keys_named(port, "altyn/dana") == keys_named(port, key.hex()) == (key,)
    assert account_of(port, key, network) == "altyn/dana"
    assert account_of(port, bytes(32), network) == bytes(32).hex()
    for name in ("altyn/nobody", "/"):
        with pytest.raises(NotEnrolled):
            keys_named(port, name)
