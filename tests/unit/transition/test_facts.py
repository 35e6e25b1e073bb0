"""What oracles state, and the marks that their evidence lifts."""

from __future__ import annotations

import pytest

from cbdc.errors import (
    CertificateExpired,
    Expired,
    PurposeMismatch,
    PurposeRefused,
    Replayed,
    RoleRefused,
    TooLarge,
)
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.x509 import Role
from cbdc.limits import MAX_FACTS
from cbdc.policy import DAY_S, Policy
from cbdc.purposes.conditions import Approval, PerPayment
from cbdc.purposes.rules import UntilEvidence
from cbdc.state.records import Facts, Table, Token
from cbdc.transition.draft import Draft
from cbdc.transition.waiting import RETURNED_FROM, SETTLED_FROM
from tests.support import NOW_S, YEAR_S, Customer, World
from tests.unit.helpers import (
    EXPIRY_S,
    approve,
    attest,
    define,
    dismiss,
    grant,
    hold_up,
    in_purse,
    load,
    out,
    paid,
    programme,
    recall,
    refuses,
    sweep,
    transfer,
    unload,
)


@pytest.fixture
def world() -> World:
    return World.founded("altyn")


def facts(world: World, about: bytes | str, oracle: str = "registry") -> list[str]:
    return Draft(world.view).facts(oracle, about).facts


# --- stating -----------------------------------------------------------------------------------


def test_facts_are_kept_for_each_oracle_and_thing(world: World, registry: SigningKey) -> None:
    weather = world.institution("weather", Role.ORACLE)
    for about, fact in (("altyn/aida", "built"), ("altyn/aida", "begun"), (bytes(32), "paid")):
        attest(world, registry, about, fact)
    attest(world, weather, "altyn/aida", "rain", oracle="weather")
    assert facts(world, "altyn/aida") == ["begun", "built"]
    assert facts(world, bytes(32)) == ["paid"]
    assert (facts(world, "altyn/aida", "weather"), facts(world, "altyn/bolat")) == (["rain"], [])
    values = [value for (table, _), value in world.view.records().items() if table is Table.FACT]
    assert sorted(values) == sorted(Facts(list(found)).encode() for found in (["begun", "built"], ["paid"], ["rain"]))


@pytest.mark.parametrize("whose", ["bank", "operator", "governor", "approver", "customer"])
def test_only_an_oracle_states_facts(world: World, aida: Customer, registry: SigningKey, whose: str) -> None:
    inspectorate = world.institution("inspectorate", Role.APPROVER)
    keys = {
        "bank": world.banks["altyn"],
        "operator": world.operator,
        "governor": world.governor.key,
        "approver": inspectorate,
        "customer": aida.key,
    }
    with refuses(world, RoleRefused, key=keys[whose].public):
        attest(world, keys[whose], "altyn/aida")


def test_an_oracle_speaks_in_its_own_name(world: World, registry: SigningKey) -> None:
    weather = world.institution("weather", Role.ORACLE)
    with refuses(world, RoleRefused, found="registry", wanted="weather"):
        attest(world, weather, "altyn/aida", oracle="registry")


def test_a_dismissed_oracle_states_nothing(world: World, registry: SigningKey) -> None:
    dismiss(world, "registry")
    with refuses(world, RoleRefused, key=registry.public):
        attest(world, registry, "altyn/aida")


def test_an_oracle_whose_x509_ran_out_states_nothing(world: World, registry: SigningKey) -> None:
    world.now_s += 3650 * DAY_S
    with refuses(world, CertificateExpired, name="registry"):
        attest(world, registry, "altyn/aida")


def test_a_fact_is_stated_once(world: World, registry: SigningKey) -> None:
    done = attest(world, registry, "altyn/aida")
    with refuses(world, Replayed, id=done):
        attest(world, registry, "altyn/aida")


def test_facts_about_one_thing_are_bounded(world: World, registry: SigningKey) -> None:
    for number in range(MAX_FACTS):
        attest(world, registry, "altyn/aida", f"{number}")
    with refuses(world, TooLarge, limit=MAX_FACTS):
        attest(world, registry, "altyn/aida", "one more")
    attest(world, registry, "altyn/bolat", "one more")


# --- what evidence lifts -----------------------------------------------------------------------


def bound(world: World, **changes: object) -> tuple[Customer, bytes]:
    return programme(world, mark=UntilEvidence("registry"), **changes)


def test_evidence_about_a_payment_frees_what_it_brought(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = bound(world)
    token = grant(world, sponsor, purpose, aida, 900)
    (made,) = transfer(world, [token], [out(bolat, 900, purpose)], aida.key)
    assert world.token(made) == Token(bolat.key.public, 900, purpose)
    with refuses(world, RoleRefused, outpoint=made):
        sweep(world, made)
    attest(world, registry, made[:32])
    (freed,) = sweep(world, made)
    assert world.token(freed) == Token(bolat.key.public, 900, None)


def test_evidence_about_a_payment_does_not_free_its_change(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    """It says what was done for what was paid; who paid one tiyn would else be rid of the mark on all the rest."""
    sponsor, purpose = bound(world)
    token = grant(world, sponsor, purpose, aida, 900)
    made, change = transfer(world, [token], [out(bolat, 1, purpose), out(aida, 899, purpose)], aida.key)
    attest(world, registry, made[:32])
    with refuses(world, RoleRefused, outpoint=change):
        sweep(world, change)
    (again,) = transfer(world, [change], [out(aida, 899, purpose)], aida.key)
    assert world.token(again) == Token(aida.key.public, 899, purpose)
    sweep(world, made)


def test_evidence_about_a_grant_frees_nothing(world: World, aida: Customer, registry: SigningKey) -> None:
    """Nothing was done for it yet."""
    sponsor, purpose = bound(world)
    token = grant(world, sponsor, purpose, aida, 900)
    attest(world, registry, token[:32])
    with refuses(world, RoleRefused, outpoint=token):
        sweep(world, token)


def test_evidence_about_an_owner_frees_all_that_is_his(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = bound(world)
    tokens = [grant(world, sponsor, purpose, owner, 900) for owner in (aida, bolat)]
    attest(world, registry, "altyn/aida")
    (freed,) = sweep(world, tokens[0])
    assert world.token(freed) == Token(aida.key.public, 900, None)
    with refuses(world, RoleRefused, outpoint=tokens[1]):
        sweep(world, tokens[1])


def test_another_oracles_evidence_frees_nothing(world: World, aida: Customer) -> None:
    weather = world.institution("weather", Role.ORACLE)
    sponsor, purpose = bound(world)
    token = grant(world, sponsor, purpose, aida, 900)
    attest(world, weather, "altyn/aida", oracle="weather")
    with refuses(world, RoleRefused, outpoint=token):
        sweep(world, token)


def test_evidence_frees_no_mark_of_another_rule(world: World, aida: Customer, registry: SigningKey) -> None:
    sponsor, purpose = programme(world)
    token = grant(world, sponsor, purpose, aida, 900)
    attest(world, registry, "altyn/aida")
    with refuses(world, RoleRefused, outpoint=token):
        sweep(world, token)


def test_what_is_freed_may_be_paid_before_any_sweep_and_asks_no_condition(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = bound(world, condition=PerPayment(1))
    token = grant(world, sponsor, purpose, aida, 900)
    with refuses(world, PurposeRefused):
        transfer(world, [token], [out(bolat, 600, purpose), out(aida, 300, purpose)], aida.key)
    attest(world, registry, "altyn/aida")
    made = transfer(world, [token], [out(bolat, 600, purpose), out(aida, 300, purpose)], aida.key)
    assert [world.token(name) for name in made] == [
        Token(bolat.key.public, 600, None),
        Token(aida.key.public, 300, None),
    ]


def test_freed_and_bound_tokens_together_stay_bound(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = bound(world)
    first = grant(world, sponsor, purpose, aida, 500)
    (brought,) = transfer(world, [first], [out(bolat, 500, purpose)], aida.key)
    granted = grant(world, sponsor, purpose, bolat, 400)
    attest(world, registry, brought[:32])
    (made,) = transfer(world, [brought, granted], [out(bolat, 900, purpose)], bolat.key)
    assert world.token(made) == Token(bolat.key.public, 900, purpose)


def test_freed_tokens_say_still_where_they_come_from(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = bound(world)
    token = grant(world, sponsor, purpose, aida, 900)
    attest(world, registry, "altyn/aida")
    with refuses(world, PurposeMismatch):
        transfer(world, [token], [out(bolat, 900)], aida.key)


def test_what_evidence_freed_in_time_is_its_owners_whenever_the_sweep_comes(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    """He could pay with it at any time; a sweep after the purpose's expiry does not take it from him."""
    sponsor, purpose = bound(world)
    tokens = [grant(world, sponsor, purpose, owner, 900) for owner in (aida, bolat)]
    world.now_s = EXPIRY_S - 1
    attest(world, registry, "altyn/aida")
    world.now_s = EXPIRY_S
    freed, expired = sweep(world, *tokens)
    assert world.token(freed) == Token(aida.key.public, 900, None)
    assert world.token(expired) == Token(sponsor.key.public, 900, None)


def test_evidence_about_a_payment_that_lapsed_frees_nothing(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = bound(world, condition=Approval(("altyn",), 1))
    payment = hold_up(world, aida, grant(world, sponsor, purpose, aida, 900), [out(bolat, 900, purpose)], days=1)
    attest(world, registry, payment)
    world.now_s += DAY_S
    sweep(world, payment + b"\0\0")
    returned = payment + RETURNED_FROM.to_bytes(2, "big")
    assert world.token(returned) == Token(aida.key.public, 900, purpose)
    with refuses(world, RoleRefused, outpoint=returned):
        sweep(world, returned)


def test_what_waited_is_freed_by_evidence_about_it(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = bound(world, condition=Approval(("altyn",), 1))
    token = grant(world, sponsor, purpose, aida, 900)
    payment = hold_up(world, aida, token, [out(bolat, 600, purpose), out(aida, 300, purpose)])
    approve(world, payment, "altyn", world.banks["altyn"])
    attest(world, registry, payment)
    (freed,) = sweep(world, payment + SETTLED_FROM.to_bytes(2, "big"))
    assert world.token(freed) == Token(bolat.key.public, 600, None)
    with refuses(world, RoleRefused):
        sweep(world, payment + b"\0\1")


def test_what_evidence_freed_is_not_recalled(world: World, aida: Customer, registry: SigningKey) -> None:
    """Swept or not, it is its owner's free money."""
    sponsor, purpose = bound(world)
    token = grant(world, sponsor, purpose, aida, 900)
    attest(world, registry, "altyn/aida")
    with refuses(world, PurposeMismatch):
        recall(world, purpose, [token], sponsor.key, world.governor.key)


# --- in the purse ------------------------------------------------------------------------------


def test_what_is_freed_is_loaded_free(world: World, aida: Customer, registry: SigningKey) -> None:
    sponsor, purpose = bound(world)
    other = define(world, sponsor, name="other")
    tokens = [grant(world, sponsor, mark, aida, 900) for mark in (purpose, other)]
    attest(world, registry, "altyn/aida")
    outputs = [in_purse(aida, 600, purpose), out(aida, 300, purpose), in_purse(aida, 900, other)]
    name = load(world, tokens, outputs, aida.key)
    leaf, change = world.leaf(name), world.token(name[:32] + b"\0\1")
    bound_leaf = world.leaf(name[:32] + b"\0\2")
    assert leaf is not None
    assert bound_leaf is not None
    assert (leaf.purpose, change, bound_leaf.purpose) == (None, Token(aida.key.public, 300, None), other)


def test_between_purses_the_mark_stays_until_the_ledger_is_asked(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    sponsor, purpose = bound(world)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    payment = world.payment(aida, bolat, (leaf,), (in_purse(bolat, 600, purpose), in_purse(aida, 300, purpose)))
    world.reconcile(payment)
    attest(world, registry, world.message_id(payment))
    received, change = world.leaf(paid(world, payment)), world.leaf(paid(world, payment, 1))
    assert received is not None
    assert change is not None
    assert (received.purpose, change.purpose) == (purpose, purpose)
    token = unload(world, [paid(world, payment)], [out(bolat, 600, purpose)], bolat.purse)
    assert world.token(token) == Token(bolat.key.public, 600, None)
    kept = unload(world, [paid(world, payment, 1)], [out(aida, 300, purpose)], aida.purse)
    assert world.token(kept) == Token(aida.key.public, 300, purpose)


def test_a_final_leaf_that_evidence_freed_returns_free(
    world: World, aida: Customer, bolat: Customer, registry: SigningKey
) -> None:
    """As if it had been unloaded in time; its change returns as it was."""
    sponsor, purpose = bound(world, expires_s=NOW_S + YEAR_S)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    payment = world.payment(aida, bolat, (leaf,), (in_purse(bolat, 600, purpose), in_purse(aida, 300, purpose)))
    world.reconcile(payment)
    attest(world, registry, world.message_id(payment))
    world.now_s += Policy().offline_final_days * DAY_S
    freed, kept = sweep(world, paid(world, payment), paid(world, payment, 1))
    assert world.token(freed) == Token(bolat.key.public, 600, None)
    assert world.token(kept) == Token(aida.key.public, 300, purpose)


def test_an_expired_purpose_frees_no_more_than_it_did(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = bound(world)
    token = grant(world, sponsor, purpose, aida, 900)
    world.now_s = EXPIRY_S
    with refuses(world, Expired, limit=EXPIRY_S):
        transfer(world, [token], [out(bolat, 900, purpose)], aida.key)
