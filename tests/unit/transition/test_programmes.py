"""Purposes and grants."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import pytest

from cbdc.errors import (
    AmountMismatch,
    CertificateExpired,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    NotEnrolled,
    NotOwner,
    NotSponsor,
    PurposeMismatch,
    PurposeRefused,
    Replayed,
    RoleRefused,
    TengeError,
)
from cbdc.formats.certificates import Holder
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.messages import bodies
from cbdc.state.records import Token
from tests.support import LATER_S, NOW_S, YEAR_S, Customer, World
from tests.unit.helpers import (
    EXPIRY_S,
    STRANGER,
    define,
    definition,
    out,
    refuses,
    revoke,
    sponsored,
    wallet_id,
)


@pytest.fixture
def world() -> World:
    return World.founded("altyn")


# --- define purpose ----------------------------------------------------------------------------


@pytest.fixture
def akimat(world: World) -> Customer:
    return world.customer("akimat", holder=Holder.SPONSOR)


@pytest.mark.parametrize("keys", [["aida"], ["akimat", "aida"]])
def test_a_purpose_is_signed_by_its_sponsor(world: World, akimat: Customer, aida: Customer, keys: list[str]) -> None:
    by_name = {"aida": aida.key, "akimat": akimat.key}
    with refuses(world, NotSponsor):
        world.do(Kind.PURPOSE, definition(akimat), *(by_name[name] for name in keys))


def test_a_revoked_sponsor_defines_nothing(world: World, akimat: Customer, aida: Customer) -> None:
    revoke(world, akimat, wallet_id(world, akimat))
    with refuses(world, CertificateRevoked, key=akimat.key.public):
        define(world, akimat, return_to=aida.key.public)


@pytest.mark.parametrize("holder", [Holder.PERSON, Holder.MERCHANT])
def test_only_a_sponsor_defines(world: World, holder: Holder) -> None:
    person = world.customer("person", holder=holder)
    with refuses(world, RoleRefused):
        define(world, person)


def test_a_sponsors_purse_defines_nothing(world: World, akimat: Customer) -> None:
    with refuses(world, NotEnrolled, key=akimat.purse.public):
        world.do(Kind.PURPOSE, replace(definition(akimat), sponsor=akimat.purse.public), akimat.purse)


@pytest.mark.parametrize("whose", ["nobody", "purse", "bank"])
def test_the_rest_returns_to_a_wallet(world: World, akimat: Customer, whose: str) -> None:
    keys = {"nobody": STRANGER.public, "purse": akimat.purse.public, "bank": world.banks["altyn"].public}
    with refuses(world, NotEnrolled, key=keys[whose]):
        define(world, akimat, return_to=keys[whose])


def test_the_rest_returns_to_a_wallet_that_is_not_revoked(world: World, akimat: Customer, aida: Customer) -> None:
    revoke(world, aida, wallet_id(world, aida))
    with refuses(world, CertificateRevoked, key=aida.key.public):
        define(world, akimat, return_to=aida.key.public)


def test_a_purpose_begins_before_it_ends(world: World, akimat: Customer) -> None:
    with refuses(world, Expired, limit=NOW_S):
        define(world, akimat, expires_s=NOW_S)


def test_a_purpose_is_defined_once(world: World, akimat: Customer) -> None:
    purpose = define(world, akimat)
    with refuses(world, Replayed, id=purpose):
        define(world, akimat)


# --- grant -------------------------------------------------------------------------------------


@contextmanager
def refuses_after_funding(
    world: World, customer: Customer, error: type[TengeError], **values: object
) -> Iterator[bytes]:
    """`refuses`, handing over a fresh token of the customer's."""
    token = world.fund(customer, 900)
    with refuses(world, error, **values):
        yield token


def give(
    world: World, purpose: bytes, token: bytes, *outputs: Output, by: SigningKey, until_s: int = LATER_S
) -> list[bytes]:
    message = world.do(Kind.GRANT, bodies.Grant((token,), outputs, until_s, purpose), by)
    return [outpoint(message, index) for index in range(len(outputs))]


def test_a_grant_marks_the_sponsors_tenge(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    token = world.fund(akimat, 900)
    marked, change = give(world, purpose, token, out(aida, 600, purpose), out(akimat, 300), by=akimat.key)
    assert world.token(marked) == Token(aida.key.public, 600, purpose)
    assert world.token(change) == Token(akimat.key.public, 300, None)


def test_only_the_sponsor_grants(world: World, aida: Customer) -> None:
    _, purpose = sponsored(world)
    with refuses_after_funding(world, aida, NotSponsor) as token:
        give(world, purpose, token, out(aida, 900, purpose), by=aida.key)


def test_a_sponsor_of_another_purpose_does_not_grant(world: World, aida: Customer) -> None:
    _, purpose = sponsored(world)
    oblast = world.customer("oblast", holder=Holder.SPONSOR)
    define(world, oblast, name="books")
    with refuses_after_funding(world, oblast, NotSponsor, purpose="meals") as token:
        give(world, purpose, token, out(aida, 900, purpose), by=oblast.key)


def test_nobody_marks_anothers_tenge(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    with refuses_after_funding(world, aida, NotOwner) as token:
        give(world, purpose, token, out(aida, 900, purpose), by=akimat.key)


def test_a_grant_names_a_known_purpose(world: World, akimat: Customer, aida: Customer) -> None:
    with refuses_after_funding(world, akimat, PurposeRefused, purpose=bytes(32)) as token:
        give(world, bytes(32), token, out(aida, 900, bytes(32)), by=akimat.key)


@pytest.mark.parametrize("whose", ["nobody", "purse"])
def test_a_grant_goes_to_enrolled_wallets(world: World, aida: Customer, whose: str) -> None:
    akimat, purpose = sponsored(world)
    key = STRANGER.public if whose == "nobody" else aida.purse.public
    with refuses_after_funding(world, akimat, NotEnrolled, key=key) as token:
        give(world, purpose, token, out(key, 900, purpose), by=akimat.key)


@pytest.mark.parametrize("whose", ["bank", "operator", "governor"])
def test_a_grant_does_not_go_to_an_institution(world: World, aida: Customer, whose: str) -> None:
    akimat, purpose = sponsored(world)
    key = {"bank": world.banks["altyn"].public, "operator": world.operator.public, "governor": world.network}[whose]
    with refuses_after_funding(world, akimat, NotEnrolled) as token:
        give(world, purpose, token, out(aida, 600, purpose), out(key, 300, purpose), by=akimat.key)


def test_a_grant_does_not_go_to_a_revoked_wallet(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    revoke(world, aida, wallet_id(world, aida))
    with refuses_after_funding(world, akimat, CertificateRevoked, key=aida.key.public) as token:
        give(world, purpose, token, out(aida, 900, purpose), by=akimat.key)


def test_a_grant_does_not_go_to_an_expired_wallet(world: World, aida: Customer) -> None:
    world.now_s += YEAR_S - 1
    akimat = world.customer("akimat", holder=Holder.SPONSOR)
    purpose = define(world, akimat, expires_s=world.now_s + YEAR_S)
    token = world.fund(akimat, 900)
    world.now_s += 1
    with refuses(world, CertificateExpired, key=aida.key.public, expired_s=world.now_s):
        give(world, purpose, token, out(aida, 900, purpose), by=akimat.key)


def test_a_revoked_sponsor_grants_nothing(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    token = world.fund(akimat, 900)
    revoke(world, akimat, wallet_id(world, akimat))
    with refuses(world, CertificateRevoked, key=akimat.key.public, revoked_at_s=NOW_S):
        give(world, purpose, token, out(aida, 900, purpose), by=akimat.key)


def test_a_grant_has_its_time(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    with refuses_after_funding(world, akimat, Expired, limit=NOW_S - 1) as token:
        give(world, purpose, token, out(aida, 900, purpose), by=akimat.key, until_s=NOW_S - 1)


def test_an_expired_purpose_grants_nothing(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    world.now_s = EXPIRY_S
    with refuses_after_funding(world, akimat, Expired, purpose="meals", limit=EXPIRY_S) as token:
        give(world, purpose, token, out(aida, 900, purpose), by=akimat.key)


def test_a_grant_is_made_of_free_tenge(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    token = world.fund(akimat, 900)
    (marked,) = give(world, purpose, token, out(akimat, 900, purpose), by=akimat.key)
    with refuses(world, PurposeMismatch):
        give(world, purpose, marked, out(aida, 900, purpose), by=akimat.key)


def test_a_purpose_is_not_exchanged_by_a_grant(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    other = define(world, akimat, name="books")
    with refuses_after_funding(world, akimat, PurposeMismatch) as token:
        give(world, purpose, token, out(aida, 900, other), by=akimat.key)


def test_free_outputs_of_a_grant_are_the_sponsors_change(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    with refuses_after_funding(world, akimat, PurposeMismatch) as token:
        give(world, purpose, token, out(akimat, 600, purpose), out(aida, 300), by=akimat.key)


@pytest.mark.parametrize("amount_tiyn", [899, 901])
def test_a_grant_conserves_value(world: World, aida: Customer, amount_tiyn: int) -> None:
    akimat, purpose = sponsored(world)
    with refuses_after_funding(world, akimat, AmountMismatch, missing_tiyn=amount_tiyn - 900) as token:
        give(world, purpose, token, out(aida, amount_tiyn, purpose), by=akimat.key)


def test_a_token_is_granted_once(world: World, aida: Customer) -> None:
    akimat, purpose = sponsored(world)
    token = world.fund(akimat, 900)
    give(world, purpose, token, out(aida, 900, purpose), by=akimat.key)
    with refuses(world, DoubleSpend, outpoint=token):
        give(world, purpose, token, out(akimat, 900, purpose), by=akimat.key)
