"""The frame around every entry: time, genesis, replay."""

from __future__ import annotations

import pytest

from cbdc.errors import Malformed, NotEnrolled
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import outpoint
from cbdc.messages import bodies
from cbdc.messages.message import build, decode, verify
from cbdc.transition.apply import Entry, apply
from tests.support import NOW_S, World
from tests.unit.helpers import STRANGER, out, refuses, transfer


def test_ledger_time_never_runs_backwards() -> None:
    world = World.founded("altyn")
    world.now_s -= 1
    with refuses(world, Malformed, found=NOW_S - 1, last=NOW_S):
        world.issue("altyn", 100)


def test_two_entries_may_share_a_second() -> None:
    world = World.founded("altyn")
    world.issue("altyn", 100)
    world.issue("altyn", 100)
    assert world.supply().issued_tiyn == 200


@pytest.mark.parametrize("kind", [Kind.SWEEP, Kind.ISSUE, Kind.TRANSFER])
def test_nothing_happens_before_genesis(kind: Kind) -> None:
    world = World()
    name = outpoint(bytes(32), 0)
    body = {
        Kind.SWEEP: bodies.Sweep((name,)),
        Kind.ISSUE: bodies.Issue((out(STRANGER.public, 1),), bytes(16)),
        Kind.TRANSFER: bodies.Transfer((name,), (out(STRANGER.public, 1),), NOW_S),
    }[kind]
    keys = [] if kind is Kind.SWEEP else [STRANGER]
    with refuses(world, NotEnrolled):
        world.submit(build(kind, body, keys, world.network))


def test_apply_is_a_function_of_view_and_entry() -> None:
    world = World.founded("altyn")
    verified = verify(decode(world.governor.issue(world.banks["altyn"].public, 7, bytes(16)), world.network))
    before = world.view.records()
    first = apply(world.view, Entry(NOW_S, verified))
    assert apply(world.view, Entry(NOW_S, verified)) == first
    assert world.view.records() == before


def test_the_same_messages_give_the_same_root() -> None:
    def play() -> World:
        world = World.founded("altyn")
        aida, bolat = world.customer("aida"), world.customer("bolat")
        transfer(world, [world.fund(aida, 900)], [out(bolat, 900)], aida.key)
        return world

    assert play().root() == play().root()
