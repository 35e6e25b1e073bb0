"""What a wallet does of its own accord, renewing, loading and unloading, costs no mark anything."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cbdc.purposes.conditions import PerPayment
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import KeepsHops, MarkRule, UntilEvidence
from tests.wallet.test_purposes_online import TABLES
from tests.wallet.town import DAY_S, Town
from wallet.institutions import OracleDesk


@pytest.fixture
def town(found: Callable[..., Town]) -> Town:
    return found(tables=TABLES)


def define(town: Town, rule: MarkRule) -> bytes:
    """A purpose that may be spent anywhere; its id, which all devices know."""
    sponsor, until_s = town["akimat"], town.port.ledger_time_s() + 100 * DAY_S
    key = sponsor.key.public
    purpose = sponsor.define_purpose(
        town.port, Definition("ours", ("Ours",) * 3, key, key, PerPayment(10**9), rule, until_s)
    )
    town.sync("dana", "canteen", "erlan")
    return purpose


def give(town: Town, name: str, amount_tiyn: int, purpose: bytes) -> None:
    """So much into a wallet's purse."""
    town["akimat"].grant(town.port, town[name].online_key, amount_tiyn, purpose)
    town[name].load(town.port, amount_tiyn, purpose)


def accept(town: Town, payment_id: bytes) -> None:
    """The inspector says of a payment that it was for something delivered."""
    key = town.economy.institutions["inspector"]
    OracleDesk("inspector", key, town.port.network).attest(town.port, "delivered", payment_id)


def offline(town: Town, name: str) -> dict[bytes | None, int]:
    return town[name].holdings().offline


def lasting(town: Town, name: str, purpose: bytes) -> list[tuple[int, int | None]]:
    """(amount, payments left) of the purse's tokens of a purpose."""
    tokens = town[name].purse.tokens().values()
    return sorted((token.amount_tiyn, token.left) for token in tokens if token.purpose == purpose)


def test_evidence_frees_what_a_purse_was_paid_after_it_has_synced(town: Town) -> None:
    """The sync that hands the payment in does not renew it: the oracle has yet to see it."""
    purpose = define(town, UntilEvidence("inspector"))
    give(town, "dana", 100_00, purpose)
    payment_id = town.pay_offline("dana", "canteen", 100_00, purpose)
    town.sync("canteen", "canteen")
    assert offline(town, "canteen") == {purpose: 100_00}
    accept(town, payment_id)
    town.sync("canteen")
    assert offline(town, "canteen") == {None: 100_00}
    assert not town["canteen"].purse.evidence()


def test_what_waits_for_evidence_may_be_paid_on_with_its_proof(town: Town) -> None:
    purpose = define(town, UntilEvidence("inspector"))
    give(town, "dana", 100_00, purpose)
    town.pay_offline("dana", "canteen", 100_00, purpose)
    town.sync("canteen")
    town.pay_offline("canteen", "erlan", 30_00, purpose)
    town.sync("erlan", "canteen")
    assert (offline(town, "erlan"), offline(town, "canteen")) == ({purpose: 30_00}, {purpose: 70_00})


def test_what_waits_for_evidence_is_renewed_before_it_can_be_spent_no_more(town: Town) -> None:
    purpose = define(town, UntilEvidence("inspector"))
    give(town, "dana", 100_00, purpose)
    town.pay_offline("dana", "canteen", 100_00, purpose)
    town.sync("canteen")
    (token,) = town["canteen"].purse.tokens().values()
    town.pass_time(token.spend_until_s - DAY_S - 60 - town.port.ledger_time_s())
    town.sync("canteen")
    assert list(town["canteen"].purse.tokens().values()) == [token]
    town.pass_time(120)
    town.sync("canteen")
    (renewed,) = town["canteen"].purse.tokens().values()
    assert (renewed.purpose, renewed.hops) == (purpose, 0)
    assert renewed.spend_until_s > token.spend_until_s


def test_what_evidence_has_freed_is_not_bound_again_by_what_it_has_not(town: Town) -> None:
    purpose = define(town, UntilEvidence("inspector"))
    give(town, "canteen", 1, purpose)
    freed, bound = give_and_pay(town, purpose, 100_00), give_and_pay(town, purpose, 50_00)
    town.sync("dana")
    accept(town, freed)
    town.sync("canteen")
    assert offline(town, "canteen") == {None: 100_00, purpose: 50_01}
    accept(town, bound)
    town.sync("canteen")
    assert offline(town, "canteen") == {None: 150_00, purpose: 1}


def give_and_pay(town: Town, purpose: bytes, amount_tiyn: int) -> bytes:
    give(town, "dana", amount_tiyn, purpose)
    return town.pay_offline("dana", "canteen", amount_tiyn, purpose)


@pytest.fixture
def mixed(town: Town) -> tuple[Town, bytes]:
    """The canteen's purse holds 2 tiyn whose mark lasts one payment, and 500 tenge whose mark lasts three."""
    purpose = define(town, KeepsHops(3))
    give(town, "dana", 2, purpose)
    town.pay_offline("dana", "erlan", 2, purpose)
    town.pay_offline("erlan", "canteen", 2, purpose)
    town.sync("dana", "erlan")
    give(town, "canteen", 500_00, purpose)
    return town, purpose


def test_a_renewal_shortens_no_mark(mixed: tuple[Town, bytes]) -> None:
    town, purpose = mixed
    town.sync("canteen")
    assert lasting(town, "canteen", purpose) == [(2, 1), (500_00, 3)]


def test_an_unload_and_a_load_take_what_lasts_equally_long(mixed: tuple[Town, bytes]) -> None:
    town, purpose = mixed
    town["canteen"].unload(town.port, 400_00, purpose)
    assert lasting(town, "canteen", purpose) == [(2, 1), (100_00, 3)]
    town["canteen"].unload(town.port, 2, purpose)
    town["canteen"].load(town.port, 300_00, purpose)
    assert lasting(town, "canteen", purpose) == [(100_00, 3), (300_00, 3)]
    own = town.port.tokens_of([town["canteen"].online_key]).values()
    assert sorted((t.amount_tiyn, t.left) for t in own if t.purpose == purpose) == [(2, 1), (100_00, 3)]
