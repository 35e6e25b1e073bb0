"""What a served ledger sweeps: page by page, and nobody's money holds up another's."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from cbdc.errors import RoleRefused, Unreachable
from cbdc.formats.tokens import outpoint
from cbdc.messages.bodies import Sweep
from cbdc.messages.message import decode
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import All, Not, PerPeriod
from cbdc.purposes.rules import UntilEvidence
from cbdc.service import due, opening
from cbdc.service.due import Stage
from cbdc.service.opening import ServedLedger
from cbdc.service.sweeping import enter_sweeps
from cbdc.transition import waiting
from tests.support import NOW_S
from tests.unit.helpers import EXPIRY_S, out, sweep
from tests.unit.service.test_purpose_queries import ANYTHING, SOWN, Field, field

__all__ = ["field"]

NETWORK = bytes(32)


@contextmanager
def served(field: Field) -> Iterator[ServedLedger]:
    path = field.path / "served.db"
    field.world.write(path)
    with ServedLedger(path, field.world.network, field.world.operator, lambda: field.world.now_s) as ledger:
        yield ledger


# --- one that may not move ---------------------------------------------------------------------


class Ledger:
    """Refuses every sweep that names one of these."""

    def __init__(self, *refused: bytes) -> None:
        self.refused = set(refused)
        self.moved: list[bytes] = []
        self.messages = 0

    def submit(self, raw: bytes) -> None:
        body = decode(raw, NETWORK).body
        assert isinstance(body, Sweep)
        self.messages += 1
        if self.refused & set(body.outpoints):
            raise RoleRefused("nothing is due for this token")
        self.moved += body.outpoints


NAMES = [outpoint(bytes(32), index) for index in range(1000)]


def test_what_is_refused_alone_is_left_out(caplog: pytest.LogCaptureFixture) -> None:
    ledger = Ledger(NAMES[0], NAMES[517])
    assert enter_sweeps(NAMES, NETWORK, ledger.submit) == 998
    assert ledger.moved == [name for name in NAMES if name not in ledger.refused]
    assert ledger.messages < 50
    assert len(caplog.messages) == 1
    assert f"2 of 1000 tokens, the first {NAMES[0].hex()}" in caplog.messages[0]


def test_what_is_due_together_moves_together() -> None:
    ledger = Ledger()
    assert enter_sweeps(NAMES, NETWORK, ledger.submit) == 1000
    assert ledger.messages == 1
    assert enter_sweeps([], NETWORK, ledger.submit) == 0
    assert ledger.messages == 1


def test_a_ledger_in_trouble_is_not_asked_again() -> None:
    asked: list[bytes] = []

    def submit(raw: bytes) -> None:
        asked.append(raw)
        raise Unreachable("the ledger has stopped")

    with pytest.raises(Unreachable):
        enter_sweeps(NAMES, NETWORK, submit)
    assert len(asked) == 1


def test_a_payment_that_another_ones_lapse_stops_holds_up_nobody(field: Field) -> None:
    """The second is complete only while the first counts in its payer's period, and the first lapses before it."""
    purpose = field.purpose(All((SOWN, Not(PerPeriod(500, 300)))), expires_s=NOW_S + 300 * DAY_S)
    other = field.purpose(ANYTHING, name="other", expires_s=NOW_S + 2 * DAY_S)
    leaf, innocent = field.world.load(field.bek, 4242), field.grant(other, 777)
    field.pay(field.grant(purpose, 501), out(field.bek, 501, purpose), until_s=field.world.now_s + DAY_S)
    second = field.pay(
        field.grant(purpose, 100), out(field.shop, 100, purpose), until_s=field.world.now_s + 299 * DAY_S
    )
    field.world.now_s += DAY_S + 10
    field.attest("sown", "altyn/shop")
    field.world.now_s += 200 * DAY_S
    names = [name for _, name in field.due()]
    assert outpoint(second, 0) in names
    with pytest.raises(RoleRefused):
        sweep(field.world, *names)
    with served(field) as ledger:
        assert ledger.sweep() > 0
        assert innocent not in ledger.queries.tokens_of([field.aida.key.public])
        found = ledger.queries.offline_token(leaf)
        assert found is not None
        assert found.returned
        assert ledger.sweep() == 0
        assert ledger.queries.due(field.world.now_s, 100) == []


# --- page by page ------------------------------------------------------------------------------


def a_field_of_everything(field: Field) -> set[bytes]:
    """Leaves, lapsing and complete payments, expired and freed tokens; the names of what is due at the expiry."""
    expected: set[bytes] = set()
    expiring, freed, held = (
        field.purpose(ANYTHING, name="expiring"),
        field.purpose(ANYTHING, name="freed", mark=UntilEvidence("registry"), expires_s=EXPIRY_S + 99 * DAY_S),
        field.purpose(SOWN, name="held", expires_s=EXPIRY_S + 99 * DAY_S),
    )
    for number in range(5):
        expected |= {field.grant(expiring, 100 + number), field.grant(freed, 100 + number, field.bek)}
        field.grant(freed, 200 + number)
        lapsing = field.pay(field.grant(held, 10), out(field.bek, 10, held), until_s=EXPIRY_S - number)
        done = field.pay(field.grant(held, 20), out(field.shop, 20, held), until_s=EXPIRY_S + DAY_S)
        field.pay(field.grant(held, 30), out(field.akimat, 30, held), until_s=EXPIRY_S + DAY_S)
        expected |= {outpoint(lapsing, 0), outpoint(done, 0)}
    field.attest("farmer", "altyn/bek")
    field.attest("sown", "altyn/shop")
    return expected


@pytest.mark.parametrize("rows", [1, 2, 3, 7, 1000])
def test_pages_of_any_size_find_all_that_is_due(field: Field, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    expected = a_field_of_everything(field)
    monkeypatch.setattr(due, "MAX_DUE_ROWS", rows)
    with field.queries() as queries:
        found = queries.due(EXPIRY_S, 1000)
    assert {name for _, name in found} == expected
    assert found == sorted(found)
    assert len(found) == len(expected)


def test_a_page_looks_at_so_many_records_only(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    a_field_of_everything(field)
    monkeypatch.setattr(due, "MAX_DUE_ROWS", 3)
    judged: list[bytes] = []
    real = waiting.is_complete
    monkeypatch.setattr(waiting, "is_complete", lambda *args: (judged.append(args[1]), real(*args))[1])
    with field.queries() as queries:
        for stage in Stage:
            judged.clear()
            page = queries.due_page(stage, EXPIRY_S, b"")
            assert len(page.found) <= 3
            assert len(judged) <= 3
            assert page.after
            again = queries.due_page(stage, EXPIRY_S, page.after)
            assert not {name for _, name in page.found} & {name for _, name in again.found}


def test_what_has_lapsed_is_not_looked_at_again(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    purpose = field.purpose(SOWN)
    until_s = field.world.now_s + DAY_S
    payment = field.pay(field.grant(purpose, 500), out(field.shop, 500, purpose), until_s=until_s)
    field.world.now_s = until_s
    sweep(field.world, outpoint(payment, 0))
    with field.queries() as queries:
        assert list(queries._store.waiting()) == []
        assert queries.due(until_s, 100) == []


def test_sweeps_go_on_where_the_last_one_ended(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    """Many payments that wait, and one that is complete at their end: it is found after some calls, for all its
    neighbours."""
    purpose = field.purpose(SOWN, expires_s=NOW_S + 300 * DAY_S)
    for _ in range(8):
        field.pay(field.grant(purpose, 10), out(field.bek, 10, purpose))
    done = field.pay(field.grant(purpose, 10), out(field.shop, 10, purpose))
    field.attest("sown", "altyn/shop")
    monkeypatch.setattr(due, "MAX_DUE_ROWS", 1)
    monkeypatch.setattr(opening, "MAX_DUE_PAGES", 2)
    with served(field) as ledger:
        moved = [ledger.sweep() for _ in range(6)]
        assert sum(moved) == 1
        assert ledger.queries.waiting_payment(done) is None


def test_the_lock_is_free_between_pages(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    a_field_of_everything(field)
    monkeypatch.setattr(due, "MAX_DUE_ROWS", 2)
    with field.queries() as queries:
        taken = 0
        lock = threading.Lock()

        class Counting:
            def __enter__(self) -> None:
                nonlocal taken
                taken += 1
                lock.acquire()

            def __exit__(self, *_: object) -> None:
                lock.release()

        monkeypatch.setattr(queries, "_lock", Counting())
        queries.due(EXPIRY_S, 1000)
        assert taken > 10


def test_what_will_be_swept_at_once_is_counted_up_to_a_bound(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    expected = a_field_of_everything(field)
    with served(field) as ledger:
        done = 5  # payments that are complete, whatever the time
        assert ledger.due_by_time(EXPIRY_S) == len(expected) - done
        monkeypatch.setattr(opening, "MAX_SWEEP", 3)
        assert ledger.due_by_time(EXPIRY_S) == 3
        monkeypatch.setattr(due, "MAX_DUE_ROWS", 1)
        monkeypatch.setattr(opening, "MAX_DUE_PAGES", 1)
        assert ledger.due_by_time(EXPIRY_S) <= 2
