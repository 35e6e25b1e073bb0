"""Recalls: sponsor and governor take unspent marked tokens back, by a court's decision."""

from __future__ import annotations

import pytest

from cbdc.errors import (
    CertificateRevoked,
    DoubleSpend,
    NotOwner,
    PurposeMismatch,
    PurposeRefused,
    Replayed,
    RoleRefused,
)
from cbdc.formats.kinds import Kind
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.purposes.conditions import Approval
from cbdc.purposes.rules import Keeps, KeepsHops, MarkRule, UntilEvidence
from cbdc.state.records import Token
from tests.support import YEAR_S, Customer, World
from tests.unit.helpers import (
    EXPIRY_S,
    STRANGER,
    approve,
    define,
    grant,
    hold_up,
    in_purse,
    load,
    out,
    programme,
    recall,
    refuses,
    revoke,
    transfer,
    unload,
    wallet_id,
)


@pytest.fixture
def world() -> World:
    return World.founded("altyn")


@pytest.fixture
def treasury(world: World) -> Customer:
    return world.customer("treasury")


@pytest.fixture
def works(world: World, treasury: Customer) -> tuple[Customer, bytes]:
    """A sponsor, and its purpose that returns to the treasury."""
    return programme(world, mark=Keeps(), return_to=treasury.key.public)


def test_marked_tokens_go_back_free_to_where_the_definition_says(
    world: World, aida: Customer, treasury: Customer, works: tuple[Customer, bytes]
) -> None:
    sponsor, purpose = works
    bolat = world.customer("bolat")
    tokens = [grant(world, sponsor, purpose, owner, tiyn) for owner, tiyn in ((aida, 900), (bolat, 100), (bolat, 50))]
    back = recall(world, purpose, tokens[:2], sponsor.key, world.governor.key)
    assert [world.token(name) for name in back] == [Token(treasury.key.public, tiyn, None) for tiyn in (900, 100)]
    assert [world.token(name) for name in tokens] == [None, None, Token(bolat.key.public, 50, purpose)]
    with refuses(world, DoubleSpend, outpoint=tokens[0], by=back[0][:32]):
        transfer(world, tokens[:1], [out(bolat, 900, purpose)], aida.key)


def test_a_chain_of_contractors_is_followed(
    world: World, aida: Customer, treasury: Customer, works: tuple[Customer, bytes]
) -> None:
    sponsor, purpose = works
    token = grant(world, sponsor, purpose, aida, 900)
    for payer, payee in (
        (aida, world.customer("bolat")),
        (world.customer("bolat", enrol=False), world.customer("dana")),
    ):
        (token,) = transfer(world, [token], [out(payee, 900, purpose)], payer.key)
    (back,) = recall(world, purpose, [token], sponsor.key, world.governor.key)
    assert world.token(back) == Token(treasury.key.public, 900, None)


def test_a_recall_is_agreed_to_by_the_governor(world: World, aida: Customer, works: tuple[Customer, bytes]) -> None:
    sponsor, purpose = works
    token = grant(world, sponsor, purpose, aida, 900)
    body = bodies.Recall(purpose, (token,), "court 1")
    raw = build(Kind.RECALL, body, [sponsor.key], world.network)
    with refuses(world, RoleRefused, purpose="works"):
        world.submit(raw)
    world.submit(world.governor.agree(raw))
    assert world.token(token) is None


@pytest.mark.parametrize("who", ["sponsor", "governor", "both and another", "another and the governor", "nobody's key"])
def test_exactly_these_two_sign(world: World, aida: Customer, works: tuple[Customer, bytes], who: str) -> None:
    sponsor, purpose = works
    token = grant(world, sponsor, purpose, aida, 900)
    other, _ = programme(world, name="other")
    keys = {
        "sponsor": [sponsor.key],
        "governor": [world.governor.key],
        "both and another": [sponsor.key, world.governor.key, aida.key],
        "another and the governor": [other.key, world.governor.key],
        "nobody's key": [STRANGER, world.governor.key],
    }[who]
    with refuses(world, RoleRefused, purpose="works"):
        recall(world, purpose, [token], *keys)


def test_a_revoked_sponsor_recalls_nothing(world: World, aida: Customer, works: tuple[Customer, bytes]) -> None:
    sponsor, purpose = works
    token = grant(world, sponsor, purpose, aida, 900)
    revoke(world, sponsor, wallet_id(world, sponsor))
    with refuses(world, CertificateRevoked, key=sponsor.key.public):
        recall(world, purpose, [token], sponsor.key, world.governor.key)


def test_only_tokens_of_the_purpose_are_recalled(world: World, aida: Customer, works: tuple[Customer, bytes]) -> None:
    sponsor, purpose = works
    token = grant(world, sponsor, purpose, aida, 900)
    others = [world.fund(aida, 900), grant(world, sponsor, define(world, sponsor, name="books"), aida, 900)]
    for other in others:
        with refuses(world, PurposeMismatch):
            recall(world, purpose, [token, other], sponsor.key, world.governor.key)


def test_what_was_cleared_is_free_and_out_of_reach(world: World, aida: Customer) -> None:
    sponsor, purpose = programme(world, mark=KeepsHops(1))
    token = grant(world, sponsor, purpose, aida, 900)
    (free,) = transfer(world, [token], [out(world.customer("shop"), 900, purpose)], aida.key)
    with refuses(world, PurposeMismatch):
        recall(world, purpose, [free], sponsor.key, world.governor.key)
    with refuses(world, DoubleSpend, outpoint=token):
        recall(world, purpose, [token], sponsor.key, world.governor.key)


def test_what_is_in_a_purse_is_out_of_reach_until_it_is_online(
    world: World, aida: Customer, treasury: Customer, works: tuple[Customer, bytes]
) -> None:
    sponsor, purpose = works
    token = grant(world, sponsor, purpose, aida, 900)
    leaf = load(world, [token], [in_purse(aida, 900, purpose)], aida.key)
    with refuses(world, DoubleSpend, outpoint=token):
        recall(world, purpose, [token], sponsor.key, world.governor.key)
    with refuses(world, NotOwner, outpoint=leaf):
        recall(world, purpose, [leaf], sponsor.key, world.governor.key)
    online = unload(world, [leaf], [out(aida, 900, purpose)], aida.purse)
    (back,) = recall(world, purpose, [online], sponsor.key, world.governor.key)
    assert world.token(back) == Token(treasury.key.public, 900, None)


@pytest.mark.parametrize("mark", [Keeps(), UntilEvidence("registry")])
def test_what_waits_in_a_payment_is_not_recalled(world: World, aida: Customer, mark: MarkRule) -> None:
    bolat = world.customer("bolat")
    sponsor, purpose = programme(world, mark=mark, condition=Approval(("altyn/bolat",), 1))
    token = grant(world, sponsor, purpose, aida, 900)
    payment = hold_up(world, aida, token, [out(bolat, 600, purpose), out(aida, 300, purpose)])
    with refuses(world, RoleRefused):
        recall(world, purpose, [payment + b"\0\1", payment + b"\0\0"], sponsor.key, world.governor.key)
    approve(world, payment, "altyn/bolat", bolat.key)
    recall(world, purpose, [payment + b"\0\1", payment + b"\1\0"], sponsor.key, world.governor.key)
    assert (world.online_tiyn(aida.key.public), world.online_tiyn(bolat.key.public)) == (0, 0)


def test_what_never_was_is_not_recalled(world: World, works: tuple[Customer, bytes]) -> None:
    sponsor, purpose = works
    with refuses(world, NotOwner, outpoint=bytes(34)):
        recall(world, purpose, [bytes(34)], sponsor.key, world.governor.key)
    with refuses(world, PurposeRefused, purpose=bytes(32)):
        recall(world, bytes(32), [bytes(34)], sponsor.key, world.governor.key)


def test_a_recall_counts_once(world: World, aida: Customer, works: tuple[Customer, bytes]) -> None:
    sponsor, purpose = works
    token = grant(world, sponsor, purpose, aida, 900)
    (back,) = recall(world, purpose, [token], sponsor.key, world.governor.key)
    with refuses(world, Replayed, id=back[:32]):
        recall(world, purpose, [token], sponsor.key, world.governor.key)


def test_a_revoked_wallets_tokens_are_recalled_at_any_time(
    world: World, aida: Customer, treasury: Customer, works: tuple[Customer, bytes]
) -> None:
    sponsor, purpose = works
    token = grant(world, sponsor, purpose, aida, 900)
    revoke(world, aida, wallet_id(world, aida))
    world.now_s = EXPIRY_S + YEAR_S
    (back,) = recall(world, purpose, [token], sponsor.key, world.governor.key)
    assert world.token(back) == Token(treasury.key.public, 900, None)
