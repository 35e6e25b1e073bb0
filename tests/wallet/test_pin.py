"""The element's PIN: tries are counted before they are looked at, and neither power cuts nor clocks forgive them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import pytest

from cbdc.errors import FormError, LedgerBusy, Malformed, PinLocked, TooLarge, WalletCorrupt, WrongPin
from cbdc.limits import MAX_PIN_BYTES, PIN_FREE_TRIES, PIN_MAX_WAIT_MS, PIN_TRIES
from tests.faults.test_power_cuts import Fuse, PowerCut, Wired
from tests.support import seed
from tests.wallet.paper import PIN
from wallet import vault
from wallet.element import SimulatedElement
from wallet.element.pin import uptime_ms, wait_after_ms
from wallet.vault import QUICK_KDF

WRONG = "0000"


class Locked:
    """An element on disk, and a clock in milliseconds that the test moves."""

    def __init__(self, path: Path) -> None:
        self.path, self.now_ms = path, 1_000_000
        element = SimulatedElement.create(path, PIN, seed("network"), cost=QUICK_KDF, clock_ms=self.clock)
        self.public_key = element.public_key
        element.close()

    def clock(self) -> int:
        return self.now_ms

    def opens(self, pin: str = PIN) -> bool:
        """True, or the error of a refused try."""
        element = SimulatedElement.open(self.path, pin, clock_ms=self.clock)
        found = element.public_key
        element.close()
        return found == self.public_key

    def wrong(self) -> int:
        """A wrong try that was let through; how many are left."""
        with pytest.raises(WrongPin) as refused:
            self.opens(WRONG)
        assert set(refused.value.values) == {"tries_left"}
        return int(str(refused.value.values["tries_left"]))

    def waits_s(self, pin: str = PIN) -> int:
        """How long it wants the next try to wait."""
        with pytest.raises(PinLocked) as refused:
            self.opens(pin)
        assert refused.value.values["for_good"] is False
        return int(str(refused.value.values["wait_s"]))

    def wrong_after_waiting(self, times: int) -> None:
        for _ in range(times):
            self.now_ms += PIN_MAX_WAIT_MS
            self.wrong()


@pytest.fixture
def locked(tmp_path: Path) -> Locked:
    return Locked(tmp_path / "element.db")


def test_the_right_pin_opens_and_forgives(locked: Locked) -> None:
    for _ in range(3):
        assert [locked.wrong() for _ in range(PIN_FREE_TRIES - 1)] == [9, 8]
        assert locked.opens()


def test_the_wait_doubles(locked: Locked) -> None:
    assert [locked.wrong() for _ in range(PIN_FREE_TRIES)] == [9, 8, 7]
    for wait_s, left in ((1, 6), (2, 5), (4, 4), (8, 3), (16, 2), (32, 1)):
        assert locked.waits_s(WRONG) == wait_s
        locked.now_ms += 1000 * wait_s - 1
        assert locked.waits_s() == 1
        locked.now_ms += 1
        assert locked.wrong() == left
    assert locked.waits_s() == PIN_MAX_WAIT_MS // 1000


def test_waits_are_bounded() -> None:
    waits = [wait_after_ms(tries) for tries in range(PIN_TRIES + 1)]
    assert waits == [0, 0, 0, 1000, 2000, 4000, 8000, 16_000, 32_000, 60_000, 60_000]


def test_a_refused_try_is_no_try(locked: Locked) -> None:
    locked.wrong_after_waiting(4)
    for _ in range(20):
        assert locked.waits_s(WRONG) == 2
    locked.now_ms += 2000
    assert locked.opens()


def test_after_the_last_try_not_even_the_right_pin_opens(locked: Locked) -> None:
    locked.wrong_after_waiting(PIN_TRIES - 1)
    locked.now_ms += PIN_MAX_WAIT_MS
    assert locked.wrong() == 0
    for later_ms in (0, PIN_MAX_WAIT_MS, 10**12):
        locked.now_ms += later_ms
        with pytest.raises(PinLocked) as refused:
            locked.opens()
        assert refused.value.values == {"for_good": True}


def test_the_last_try_may_be_the_right_one(locked: Locked) -> None:
    locked.wrong_after_waiting(PIN_TRIES - 1)
    locked.now_ms += PIN_MAX_WAIT_MS
    assert locked.opens()
    assert locked.wrong() == PIN_TRIES - 1


@pytest.mark.parametrize("pin", [PIN, WRONG])
def test_a_power_cut_while_the_pin_is_looked_at_uses_the_try_up(
    locked: Locked, monkeypatch: pytest.MonkeyPatch, pin: str
) -> None:
    def power_cut(*_: object) -> bytes:
        raise KeyboardInterrupt

    with monkeypatch.context() as cut:
        cut.setattr(vault, "_unwrap", power_cut)
        for _ in range(PIN_FREE_TRIES):
            with pytest.raises(KeyboardInterrupt):
                locked.opens(pin)
    assert locked.waits_s() == 1
    locked.now_ms += 1000
    assert locked.wrong() == PIN_TRIES - PIN_FREE_TRIES - 1


def test_a_clock_set_back_shortens_nothing(locked: Locked) -> None:
    locked.wrong_after_waiting(6)
    assert locked.waits_s() == 8
    locked.now_ms += 3000
    assert locked.waits_s() == 5
    locked.now_ms = 10
    assert locked.waits_s() == 5
    locked.now_ms += 4000
    assert locked.waits_s() == 1
    locked.now_ms = 0
    assert locked.waits_s() == 1
    locked.now_ms += 1000
    assert locked.opens()


def test_going_back_and_forth_gains_nothing(locked: Locked) -> None:
    """Each reading lies before the last one: no time has been proven, however often somebody asks."""
    locked.wrong_after_waiting(8)
    for now_ms in range(900_000, 0, -50_000):
        locked.now_ms = now_ms
        assert locked.waits_s() == 32


def test_its_own_clock_runs_on_and_nobody_sets_it() -> None:
    first = uptime_ms()
    assert 0 <= first <= uptime_ms() < first + 60_000


def test_the_count_cannot_be_thrown_away(locked: Locked) -> None:
    locked.wrong()
    with closing(sqlite3.connect(locked.path, isolation_level=None)) as db:
        db.execute("DELETE FROM pin")
    for pin in (PIN, WRONG):
        with pytest.raises(WalletCorrupt):
            locked.opens(pin)
    with closing(sqlite3.connect(locked.path, isolation_level=None)) as db:
        db.execute("INSERT INTO pin VALUES (0, 'none', 0, 0)")
    with pytest.raises(WalletCorrupt):
        locked.opens()
    with closing(sqlite3.connect(locked.path, isolation_level=None)) as db:
        db.execute("DROP TABLE pin")
    with pytest.raises(WalletCorrupt):
        locked.opens()


def test_a_busy_element_uses_no_try_up(locked: Locked) -> None:
    element = SimulatedElement.open(locked.path, PIN, clock_ms=locked.clock)
    for _ in range(PIN_TRIES):
        with pytest.raises(LedgerBusy):
            locked.opens(WRONG)
    element.close()
    assert locked.wrong() == PIN_TRIES - 1


def test_an_element_whose_making_was_cut_short_says_so(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "element.db"
    with monkeypatch.context() as cut:
        cut.setattr(vault.Vault, "put", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            SimulatedElement.create(path, PIN, seed("network"), cost=QUICK_KDF)
    with pytest.raises(WalletCorrupt):
        SimulatedElement.open(path, PIN)


# --- another PIN -------------------------------------------------------------------------------

NEW = "987654"


@pytest.fixture
def opened(locked: Locked) -> Iterator[SimulatedElement]:
    element = SimulatedElement.open(locked.path, PIN, clock_ms=locked.clock)
    yield element
    element.close()


def test_the_new_pin_opens_it_and_the_old_one_no_longer(locked: Locked, opened: SimulatedElement) -> None:
    opened.change_pin(PIN, NEW)
    assert opened.public_key == locked.public_key
    opened.change_pin(NEW, NEW)
    opened.close()
    assert locked.wrong() == 9
    with pytest.raises(WrongPin):
        locked.opens(PIN)
    assert locked.opens(NEW)


def test_the_old_pin_is_a_try_like_any_other(locked: Locked, opened: SimulatedElement) -> None:
    for left in (9, 8, 7):
        with pytest.raises(WrongPin) as refused:
            opened.change_pin(WRONG, NEW)
        assert refused.value.values == {"tries_left": left}
    for pin in (WRONG, PIN):
        with pytest.raises(PinLocked) as locked_up:
            opened.change_pin(pin, NEW)
        assert locked_up.value.values == {"wait_s": 1, "for_good": False}
    opened.close()
    assert locked.waits_s() == 1
    locked.now_ms += 1000
    assert locked.opens()
    assert locked.wrong() == 9


def test_a_right_change_forgives_wrong_tries(locked: Locked, opened: SimulatedElement) -> None:
    with pytest.raises(WrongPin):
        opened.change_pin(WRONG, NEW)
    opened.change_pin(PIN, NEW)
    opened.close()
    assert locked.wrong() == 9


def test_the_last_wrong_try_locks_an_open_element_for_the_next_time(locked: Locked, opened: SimulatedElement) -> None:
    for _ in range(PIN_TRIES):
        locked.now_ms += PIN_MAX_WAIT_MS
        with pytest.raises(WrongPin):
            opened.change_pin(WRONG, NEW)
    locked.now_ms += PIN_MAX_WAIT_MS
    with pytest.raises(PinLocked) as refused:
        opened.change_pin(PIN, NEW)
    assert refused.value.values == {"for_good": True}
    opened.close()
    with pytest.raises(PinLocked):
        locked.opens()


@pytest.mark.parametrize(("pin", "error"), [("9" * (MAX_PIN_BYTES + 1), TooLarge), ("\ud800", Malformed)])
def test_a_pin_that_cannot_be_typed_costs_no_try(
    locked: Locked, opened: SimulatedElement, pin: str, error: type[FormError]
) -> None:
    with pytest.raises(error) as refused:
        opened.change_pin(PIN, pin)
    assert pin not in str(refused.value)
    opened.close()
    assert locked.wrong() == 9


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", [0, 1])
def test_after_a_power_cut_one_of_both_opens(
    locked: Locked, opened: SimulatedElement, number: int, after: bool
) -> None:
    """Two durable steps: the try, and the change with its forgiveness."""
    fuse = Fuse(number, after)
    opened._vault._db = Wired(opened._vault._db, fuse, "dana", "element")
    with pytest.raises(PowerCut):
        opened.change_pin(PIN, NEW)
    opened.close()
    is_changed = (number, after) == (1, True)
    right, other = (NEW, PIN) if is_changed else (PIN, NEW)
    with pytest.raises(WrongPin) as refused:
        locked.opens(other)
    assert refused.value.values == {"tries_left": 9 if is_changed or (number, after) == (0, False) else 8}
    assert locked.opens(right)


def test_these_are_all_the_durable_steps(opened: SimulatedElement) -> None:
    opened._vault._db = Wired(opened._vault._db, fuse := Fuse(), "dana", "element")
    opened.change_pin(PIN, NEW)
    assert len(fuse.steps) == 2


def test_the_file_keeps_no_copy_of_its_key_under_the_old_pin(locked: Locked, opened: SimulatedElement) -> None:
    def header() -> bytes:
        with closing(sqlite3.connect(locked.path)) as db:
            return bytes(db.execute("SELECT value FROM header").fetchone()[0])

    old = header()
    opened.change_pin(PIN, NEW)
    assert header() != old
    written = b"".join(file.read_bytes() for file in locked.path.parent.iterdir())
    opened.close()
    written += locked.path.read_bytes()
    assert old[-48:] not in written
    assert NEW.encode() not in written
