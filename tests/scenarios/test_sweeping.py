"""How a played economy sweeps: what may not move holds up neither the rest nor the clock."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from cbdc.errors import RoleRefused
from cbdc.formats.tokens import outpoint
from cbdc.messages.bodies import Sweep
from cbdc.messages.message import decode
from wallet.scenarios.economy import Economy

NETWORK = bytes(32)
NAMES = [outpoint(bytes(32), index) for index in range(5)]


def economy(stuck: bytes) -> tuple[Any, list[bytes]]:
    """One in which everything is due at its index in seconds, and one token never moves."""
    left, clock = list(NAMES), SimpleNamespace(now_s=0)

    def submit(raw: bytes) -> None:
        body = decode(raw, NETWORK).body
        assert isinstance(body, Sweep)
        if stuck in body.outpoints:
            raise RoleRefused("nothing is due for this token")
        left[:] = [name for name in left if name not in body.outpoints]

    def due(until_s: int, limit: int) -> list[tuple[int, bytes]]:
        return [(NAMES.index(name), name) for name in left if NAMES.index(name) <= until_s][:limit]

    made: Any = Economy.__new__(Economy)
    made.clock, made.governor = clock, SimpleNamespace(network=NETWORK)
    made.setting = SimpleNamespace(
        port=SimpleNamespace(submit=submit),
        queries=SimpleNamespace(due=due),
        set_time=lambda now_s: setattr(clock, "now_s", now_s),
    )
    return made, left


def test_what_may_not_move_is_left_out_of_a_sweep() -> None:
    made, left = economy(NAMES[1])
    made.clock.now_s = 10
    assert made.sweep_due() == 4
    assert left == [NAMES[1]]


def test_the_clock_goes_on_past_what_may_not_move() -> None:
    made, left = economy(NAMES[1])
    assert made.advance(10) == 4
    assert (made.clock.now_s, left) == (10, [NAMES[1]])
