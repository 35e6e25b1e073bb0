"""No trust list is numbered later than a revocation that it does not name."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

import pytest

from cbdc.formats.kinds import Kind
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.offline.documents import TrustList
from cbdc.service.horizon import Horizon
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.opening import ServedLedger
from cbdc.service.queries import Queries
from cbdc.service.verifiers import Outcome, PoolVerifier
from cbdc.service.writer import NoFaults
from cbdc.state.records import Denial, Table
from cbdc.store.sqlite import SqliteStore
from tests.support import NOW_S, Customer, World
from wallet.scenarios.chance import ManualClock
from wallet.scenarios.setting import Founding, OneProcess
from wallet.scenarios.setting.ledger_process import LedgerSession

PATIENCE_S = 30


class Clock:
    def __init__(self) -> None:
        self.now_s = NOW_S

    def __call__(self) -> int:
        return self.now_s


# --- the horizon alone -------------------------------------------------------------------------


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def horizon(clock: Clock) -> Horizon:
    return Horizon(clock)


def test_a_list_is_not_numbered_behind_a_group_that_is_under_way(horizon: Horizon, clock: Clock) -> None:
    first = horizon.begin(0)
    clock.now_s += 5
    second = horizon.begin(0)
    clock.now_s += 5
    assert horizon.list_time_s(0) == first
    horizon.end(first)
    assert horizon.list_time_s(first) == second
    horizon.end(second)
    assert horizon.list_time_s(second) == clock.now_s


def test_of_two_groups_of_one_second_one_may_end(horizon: Horizon, clock: Clock) -> None:
    first = horizon.begin(0)
    assert horizon.begin(0) == first
    horizon.end(first)
    clock.now_s += 1
    assert horizon.list_time_s(0) == first


def test_a_group_has_no_time_before_a_list_that_was_given_out(horizon: Horizon, clock: Clock) -> None:
    given = horizon.list_time_s(0)
    clock.now_s -= 60
    assert horizon.list_time_s(0) == given
    assert horizon.begin(0) == given


def test_a_list_is_not_numbered_before_the_last_entry(horizon: Horizon, clock: Clock) -> None:
    assert horizon.begin(clock.now_s + 60) == clock.now_s + 60
    assert horizon.list_time_s(clock.now_s + 60) == clock.now_s + 60


# --- beside a ledger ---------------------------------------------------------------------------


@dataclass
class Hooked(NoFaults):
    """Something that happens once, in the middle of the pipeline."""

    at_commit: Callable[[], None] | None = None
    at_verifying: Callable[[], None] | None = None

    def before_commit(self) -> None:
        hook, self.at_commit = self.at_commit, None
        if hook is not None:
            hook()


class SlowLast(PoolVerifier):
    """Gives the last outcome of a group only after the hook: the rest of it is being decided meanwhile."""

    def __init__(self, hooked: Hooked) -> None:
        super().__init__(lambda: ThreadPoolExecutor(1))
        self.hooked = hooked

    def start(self, messages: list[bytes], network: bytes) -> list[Future[list[Outcome]]]:  # type: ignore[override]
        parts = super().start(messages, network)
        hook, self.hooked.at_verifying = self.hooked.at_verifying, None
        return [_Late(parts[0], hook), *parts[1:]] if hook else parts


class _Late(Future[list[Outcome]]):
    """Calls the hook in the decider's thread, when it asks for the outcome."""

    def __init__(self, real: Future[list[Outcome]], hook: Callable[[], None]) -> None:
        super().__init__()
        self.real, self.hook = real, hook

    def result(self, timeout: float | None = None) -> list[Outcome]:
        self.hook()
        return self.real.result(timeout)


@dataclass
class Town:
    """A ledger that has a customer to be revoked, with its queries."""

    world: World
    clock: Clock
    hooked: Hooked
    ledger: Ledger
    queries: Queries
    victim: Customer
    lists: list[TrustList] = field(default_factory=list)

    def ask_a_second_later(self) -> None:
        """A wallet syncs while the group is under way."""
        self.clock.now_s += 1
        self.lists.append(TrustList.verify(self.queries.trust_list(), self.world.network))

    def revoke(self) -> int:
        """The ledger time of the revocation."""
        body = bodies.Revoke(self.victim.certificate(self.world.network).id, "lost")
        self.ledger.submit(build(Kind.REVOKE, body, [self.world.banks["altyn"]], self.world.network)).result(PATIENCE_S)
        (value,) = (value for _, value in self.queries._store.records(Table.DENIED))
        return Denial.decode(value).revoked_at_s


@pytest.fixture
def town(tmp_path: Path, clock: Clock) -> Iterator[Town]:
    world, hooked, path = World(), Hooked(), tmp_path / "ledger.db"
    identity = Identity(world.network, "test", world.operator)
    verifier = SlowLast(hooked)
    with Ledger(SqliteStore.create(path), identity, clock=clock, faults=hooked, verifier=verifier) as ledger:
        real = world.submit

        def both(raw: bytes) -> bytes:
            ledger.submit(raw).result(PATIENCE_S)
            return real(raw)

        world.submit = both  # type: ignore[method-assign]
        both(world.governor.genesis("test", "Operator", world.operator.public, world.policy, world.now_s))
        world.admit("altyn")
        victim = world.customer("aida")
        queries = Queries(SqliteStore.read(path), identity, clock, ledger.horizon)
        yield Town(world, clock, hooked, ledger, queries, victim)
        queries.close()


@pytest.mark.parametrize("place", ["at_commit", "at_verifying"])
def test_a_list_signed_while_a_revocation_is_under_way_counts_as_older(town: Town, place: str) -> None:
    setattr(town.hooked, place, town.ask_a_second_later)
    revoked_at_s = town.revoke()
    (asked,) = town.lists
    assert not asked.revoked
    assert asked.time_s <= revoked_at_s < town.clock.now_s


def test_a_list_after_the_revocation_names_it(town: Town) -> None:
    revoked_at_s = town.revoke()
    town.ask_a_second_later()
    assert len(town.lists[0].revoked) == 1
    assert town.lists[0].time_s == revoked_at_s + 1


@pytest.mark.parametrize("place", ["at_commit", "at_verifying"])
def test_a_group_that_came_to_nothing_holds_no_list_back(town: Town, place: str) -> None:
    def fail() -> None:
        raise OSError("no space left on device")

    setattr(town.hooked, place, fail)
    bank = town.world.banks["altyn"].public
    assert town.ledger.submit(town.world.governor.issue(bank, 5, bytes(16))).exception(PATIENCE_S) is not None
    town.ledger.submit(town.world.governor.issue(bank, 6, bytes(15) + b"1")).result(PATIENCE_S)
    town.ask_a_second_later()
    assert town.lists[0].time_s == town.clock.now_s


# --- where lists are signed beside a ledger ----------------------------------------------------


def served(town: Town, path: Path) -> tuple[Ledger, Queries]:
    town.ledger.close()
    opened = ServedLedger(path, town.world.network, town.world.operator, town.clock)
    return opened.ledger, opened.queries


def in_one_process(town: Town, path: Path) -> tuple[Ledger, Queries]:
    identity = town.ledger.identity
    setting = OneProcess(Founding(path.parent / "one", 1, identity, ManualClock(NOW_S)))
    return setting.ledger, setting.queries


def in_its_own_process(town: Town, path: Path) -> tuple[Ledger, Queries]:
    session = LedgerSession()
    session.start(
        str(path.parent / "many.db"), is_new=True, seed=1, network=town.world.network, name="test", now_s=NOW_S
    )
    return session._ledger, session._queries


@pytest.mark.parametrize("start", [served, in_one_process, in_its_own_process])
def test_whoever_signs_lists_beside_a_ledger_shares_its_horizon(
    town: Town, tmp_path: Path, start: Callable[[Town, Path], tuple[Ledger, Queries]]
) -> None:
    ledger, queries = start(town, tmp_path / "ledger.db")
    assert queries._horizon is ledger.horizon
    queries.close()
    ledger.close()
