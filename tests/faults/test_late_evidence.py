"""Late evidence under a kill and under tampering: told is kept, and what is changed in what is kept is found."""

from __future__ import annotations

import random
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import cbor2
import pytest

from cbdc.errors import LedgerCorrupt, TooLate
from cbdc.log.late import LateHead
from cbdc.messages.message import decode
from cbdc.policy import DAY_S, Policy
from cbdc.service.ledger import Ledger
from cbdc.store.base import LateBatch, LateRow
from cbdc.store.sqlite import SqliteStore
from tests.faults import late_loader
from tests.faults.stage import NETWORK_NAME, PATIENCE_S, Recorder, audit_file
from tests.support import NOW_S, Customer, seed
from tests.unit.helpers import paid, pay

ROOT = Path(__file__).parents[2]
FINAL_AT_S = NOW_S + Policy().offline_final_days * DAY_S
CHANGES_PER_COLUMN = 12


@dataclass
class Scene:
    """A ledger file with four late payments, bek's behind the one before it; one more, and a third spend of one
    token, were not shown."""

    world: Recorder
    path: Path
    room: Path
    bek: Customer
    shown: list[bytes]
    unshown: bytes
    third: bytes
    rows: list[LateRow]
    copies: int = 0

    def copy(self) -> Path:
        self.copies += 1
        shutil.copy(self.path, path := self.room / f"copy-{self.copies}.db")
        return path

    def refused(self, *statements: tuple[str, tuple[object, ...]]) -> str:
        """The place at which the auditor refuses a copy with these changes."""
        path = self.copy()
        store = SqliteStore.open(path)
        before = store._db.total_changes
        for sql, arguments in statements:
            store._db.execute(sql, arguments)
        assert store._db.total_changes > before
        store.close()
        with pytest.raises(LedgerCorrupt) as refusal:
            audit_file(path, self.world.network)
        return str(refusal.value.values["where"])

    def sign(self, *rows: LateRow) -> bytes:
        """The head that the operator would sign for these rows."""
        head = LateHead()
        for row in rows:
            head = head.after(row.size, row.time_s, row.payment)
        return head.sign(self.world.operator, self.world.network)


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    room = tmp_path_factory.mktemp("late")
    world = Recorder.founded("altyn")
    aida, bek, dana = (world.customer(name) for name in ("aida", "bek", "dana"))
    leaf = world.load(aida, 900)
    chain = [pay(world, aida, bek, world.load(aida, 500), 500)]
    chain.append(pay(world, bek, dana, paid(world, chain[0]), 500, hop=2))
    forks = [pay(world, aida, payee, leaf, 900, salt=salt) for payee, salt in ((bek, "a"), (dana, "b"))]
    third = pay(world, aida, bek, leaf, 900, salt="c")
    unshown = pay(world, aida, bek, world.load(aida, 100), 100)
    world.write(room / "ledger.db")
    _show(world, room / "ledger.db", forks[:1], [*reversed(chain)])
    world.now_s = FINAL_AT_S + DAY_S
    messages = len(world.messages)
    world.issue("altyn", 5)
    with Ledger(SqliteStore.open(room / "ledger.db"), world.identity(), clock=lambda: world.now_s) as ledger:
        for _, raw in world.messages[messages:]:
            ledger.submit(raw).result(PATIENCE_S)
    _show(world, room / "ledger.db", forks[1:])
    store = SqliteStore.read(room / "ledger.db")
    rows = list(store.late.rows())
    store.close()
    return Scene(world, room / "ledger.db", room, bek, [forks[0], *chain, forks[1]], unshown, third, rows)


def _show(world: Recorder, path: Path, *letters: list[bytes]) -> None:
    world.now_s = max(world.now_s, FINAL_AT_S)
    with Ledger(SqliteStore.open(path), world.identity(), clock=lambda: world.now_s) as ledger:
        for payments in letters:
            raw = late_loader.letter(payments, world.network)
            assert type(ledger.submit(raw).exception(PATIENCE_S)) is TooLate


def test_the_untouched_ledger_is_accepted(scene: Scene) -> None:
    assert [row.payment for row in scene.rows] == scene.shown
    assert len({row.size for row in scene.rows}) == len({row.time_s for row in scene.rows}) == 2
    assert audit_file(scene.copy(), scene.world.network).late == len(scene.shown)


# --- tampering ---------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["seq", "id", "size", "time_s", "payment"])
def test_one_changed_byte_of_a_row_is_found(scene: Scene, column: str) -> None:
    dice = random.Random(column)
    for _ in range(CHANGES_PER_COLUMN):
        row = dice.choice(scene.rows)
        value = getattr(row, column)
        if isinstance(value, bytes):
            at = dice.randrange(len(value))
            value = value[:at] + bytes([value[at] ^ dice.randrange(1, 256)]) + value[at + 1 :]
        else:
            value += dice.choice((-1, 1)) * dice.randrange(5, 200)
        where = scene.refused((f"UPDATE late SET {column} = ? WHERE seq = ?", (value, row.seq)))
        assert where == "meta late_head" or where.startswith("late row "), where


@pytest.mark.parametrize("column", ["id", "size", "time_s", "payment"])
def test_another_type_in_a_row_is_found(scene: Scene, column: str) -> None:
    for value in ("text", b"blob", 1.5):
        where = scene.refused((f"UPDATE late SET {column} = ? WHERE seq = 2", (value,)))
        assert where == "late row 2"


def test_deleted_rows_are_found(scene: Scene) -> None:
    for row in scene.rows:
        where = scene.refused(("DELETE FROM late WHERE seq = ?", (row.seq,)))
        assert where.startswith("late_things row" if row is scene.rows[-1] else f"late row {row.seq + 1}")
    assert scene.refused(("DELETE FROM late", ())).startswith("late_things row ")
    both = scene.refused(("DELETE FROM late", ()), ("DELETE FROM late_things", ()))
    assert both == "meta late_head"
    assert scene.refused(("DELETE FROM meta WHERE name = 'late_head'", ())) == "meta late_head"


def test_exchanged_rows_are_found(scene: Scene) -> None:
    statements = [
        ("UPDATE late SET id = ?, size = ?, time_s = ?, payment = ? WHERE seq = ?", (*_values(other), row.seq))
        for row, other in ((scene.rows[0], scene.rows[3]), (scene.rows[3], scene.rows[0]))
    ]
    clear = ("UPDATE late SET id = zeroblob(32) WHERE seq = 0", ())
    assert scene.refused(clear, statements[1], statements[0]).startswith("late row ")


def _values(row: LateRow) -> tuple[object, ...]:
    return row.id, row.size, row.time_s, row.payment


def test_changed_look_up_rows_are_found(scene: Scene) -> None:
    store = SqliteStore.read(scene.path)
    things = list(store.late.things())
    store.close()
    assert {len(thing) for thing, _ in things} == {32, 34}
    for thing, seq in things:
        gone = scene.refused(("DELETE FROM late_things WHERE thing = ? AND seq = ?", (thing, seq)))
        assert gone == f"late_things row {thing.hex()}/{seq}"
    assert scene.refused(("INSERT INTO late_things VALUES (?, ?)", (b"x", 1))) == "late_things row 78/1"
    assert scene.refused(("INSERT INTO late_things VALUES (?, ?)", ("x", "y"))) == "late_things row 'x'/y"


def test_a_changed_head_is_found(scene: Scene) -> None:
    head = scene.sign(*scene.rows)
    for value in (head[:-1] + bytes([head[-1] ^ 1]), scene.sign(*scene.rows[:3]), b"", "text", 5, head + b"\0"):
        assert scene.refused(("UPDATE meta SET value = ? WHERE name = 'late_head'", (value,))) == "meta late_head"


Kept = Callable[[Scene], list[LateRow]]


def _and(scene: Scene, payment: bytes) -> list[LateRow]:
    """What is kept, and one more."""
    last = scene.rows[-1]
    more = LateRow(last.seq + 1, scene.world.message_id(payment), last.size, last.time_s, payment)
    return [*scene.rows, more]


def _forged(scene: Scene) -> list[LateRow]:
    *rows, more = _and(scene, scene.unshown)
    return [*rows, replace(more, payment=more.payment[:-1] + bytes([more.payment[-1] ^ 1]))]


FAULTY: dict[str, tuple[str, str, Kept]] = {
    "a forged signature": ("late row 4", "bad_signature", _forged),
    "an entry of the log": ("late row 4", "malformed", lambda s: _and(s, s.world.messages[-1][1])),
    "another id": ("late row 3", "ledger_corrupt", lambda s: [*s.rows[:3], replace(s.rows[3], id=bytes(32))]),
    "a third spend": ("late row 4", "ledger_corrupt", lambda s: _and(s, s.third)),
    "in time": ("late row 0", "malformed", lambda s: [replace(s.rows[0], time_s=FINAL_AT_S - 1)]),
    "before the last entry": (
        "late row 3",
        "ledger_corrupt",
        lambda s: [*s.rows[:3], replace(s.rows[3], time_s=FINAL_AT_S)],
    ),
    "without what it stands on": (
        "late row 1",
        "ancestry_broken",
        lambda s: [s.rows[0], replace(s.rows[2], seq=1)],
    ),
    "out of order": (
        "late row 1",
        "ledger_corrupt",
        lambda s: [replace(s.rows[3], seq=0), replace(s.rows[0], seq=1)],
    ),
    "a number left out": ("late row 1", "ledger_corrupt", lambda s: [replace(s.rows[0], seq=1)]),
    "beyond the log": ("late row 3", "", lambda s: [*s.rows[:3], replace(s.rows[3], size=s.rows[3].size + 1)]),
}


@pytest.mark.parametrize("case", FAULTY)
def test_what_must_not_be_kept_is_refused_though_the_operator_signed_for_it(scene: Scene, case: str) -> None:
    """A dishonest or faulty operator: the head is right, and the row is still no late payment that is kept."""
    where, cause, kept = FAULTY[case]
    path = _keeping(scene, kept(scene))
    with pytest.raises(LedgerCorrupt) as refusal:
        audit_file(path, scene.world.network)
    assert (refusal.value.values["where"], refusal.value.values.get("cause", "")) == (where, cause)


def test_what_may_be_kept_is_accepted_however_it_was_written(scene: Scene) -> None:
    """So the refusals above are of what was kept, not of how it was written."""
    assert audit_file(_keeping(scene, _and(scene, scene.unshown)), scene.world.network).late == 5
    assert audit_file(_keeping(scene, scene.rows[:3]), scene.world.network).late == 3


def _keeping(scene: Scene, rows: list[LateRow]) -> Path:
    """A copy of the ledger that keeps these rows, with the look-up rows and the head that belong to them."""
    store = SqliteStore.open(path := scene.copy())
    for table in ("late", "late_things"):
        store._db.execute(f"DELETE FROM {table}")
    things = []
    for row in rows:
        inputs = getattr(decode(row.payment, scene.world.network).body, "inputs", ())
        behind = any(name[:32] in {other.id for other in rows} for name in inputs)
        things += [(name, row.seq) for name in inputs] + ([(scene.bek.purse.public, row.seq)] if behind else [])
    store.keep_late(LateBatch(rows, things, scene.sign(*rows)))
    store.close()
    return path


# --- a kill ------------------------------------------------------------------------------------


@pytest.mark.parametrize("instant", ["before-commit", "BEGIN", "INSERT INTO late ", "COMMIT", "after-commit", "told"])
def test_whoever_was_told_too_late_finds_it_kept_after_a_kill(scene: Scene, instant: str) -> None:
    path = scene.copy()
    job = {
        "network": scene.world.network,
        "name": NETWORK_NAME,
        "operator_seed": seed("operator"),
        "now_s": scene.world.now_s,
        "message": scene.unshown,
    }
    path.with_suffix(".job").write_bytes(cbor2.dumps(job))
    command = [sys.executable, "-m", "tests.faults.late_loader", str(path), str(path.with_suffix(".job")), instant]
    done = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, timeout=PATIENCE_S, check=False)
    assert done.returncode == -signal.SIGKILL
    assert done.stdout == (b"too_late" if instant == "told" else b"")
    world = scene.world
    with Ledger(SqliteStore.open(path), world.identity(), clock=lambda: world.now_s) as ledger:
        kept = [row.payment for row in ledger.store.late.rows()]
        assert kept == [*scene.shown, *([scene.unshown] if instant in ("after-commit", "told") else [])]
        assert type(ledger.submit(scene.unshown).exception(PATIENCE_S)) is TooLate
        assert [row.payment for row in ledger.store.late.rows()] == [*scene.shown, scene.unshown]
    assert audit_file(path, world.network).late == 5
