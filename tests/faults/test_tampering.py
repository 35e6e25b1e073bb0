"""Whatever is changed in a ledger file, by whomever, the auditor refuses it and names the place."""

from __future__ import annotations

import contextlib
import random
import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cbdc.errors import LedgerCorrupt, ProofInvalid, TengeError
from cbdc.formats import cose
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.log import checkpoint, entries, merkle
from cbdc.log.receipts import Receipt
from cbdc.messages import bodies
from cbdc.messages.message import _READERS, build, decode
from cbdc.service.audit import Verdict
from cbdc.service.founding import Governor
from cbdc.service.ledger import Ledger
from cbdc.state.records import Table, Token
from cbdc.store.sqlite import SqliteStore
from tests.faults import forge, tamper
from tests.faults.forge import Step
from tests.faults.stage import PATIENCE_S, Recorder, audit_file, everything, kinds_of
from tests.faults.tamper import COLUMNS, Row, Tampering
from tests.support import NOW_S, seed

CHANGES_PER_COLUMN = 20
FLIPS = 150


@dataclass
class Scene:
    """A ledger with an entry of every kind, closed and complete in one file; and room for spoiled copies."""

    world: Recorder
    path: Path
    rows: dict[str, list[Row]]
    verdict: Verdict
    room: Path
    copies: int = 0

    def copy(self) -> Path:
        self.copies += 1
        return self.room / f"copy-{self.copies}.db"

    def refused(self, tampering: Tampering) -> None:
        """The auditor refuses the tampered copy and names the place."""
        with pytest.raises(LedgerCorrupt) as refusal:
            audit_file(tampering.on(self.path, self.copy()), self.world.network)
        where = refusal.value.values.get("where")
        assert where in tampering.where, f"{tampering.name}: {refusal.value} is not at {sorted(tampering.where)}"

    def steps(self) -> list[Step]:
        return [Step(time_s, raw) for time_s, raw in self.world.messages]


@pytest.fixture(scope="module")
def scene(tmp_path_factory: pytest.TempPathFactory) -> Scene:
    room = tmp_path_factory.mktemp("tampering")
    world = everything()
    world.write(room / "ledger.db", together=12)
    verdict = audit_file(room / "ledger.db", world.network)
    return Scene(world, room / "ledger.db", tamper.rows_of(room / "ledger.db"), verdict, room)


def test_the_untouched_ledger_holds_every_kind_and_is_accepted(scene: Scene) -> None:
    assert kinds_of(scene.world) == set(_READERS), "a new kind of entry belongs into `everything`"
    assert scene.verdict.entries == len(scene.world.messages) >= 60
    assert 40 < scene.verdict.checkpoints < scene.verdict.entries, "some groups are larger than one"
    assert scene.verdict.state_root == scene.world.root()
    assert all(scene.verdict.laws.values())
    for table, columns in COLUMNS.items():
        for at, column in enumerate(columns):
            assert any(row[at] is not None for row in scene.rows[table]), f"nothing in {table}.{column}"
    shutil.copy(scene.path, copy := scene.copy())
    assert audit_file(copy, scene.world.network) == scene.verdict


# --- one byte ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("table", "column"),
    [(table, column) for table in COLUMNS for column in COLUMNS[table] if table != "meta"],
)
def test_one_changed_byte_is_found(scene: Scene, table: str, column: str) -> None:
    dice = random.Random(f"{table}.{column}")
    for _ in range(CHANGES_PER_COLUMN):
        scene.refused(tamper.one_byte(scene.rows, table, column, dice))


@pytest.mark.parametrize(
    ("name", "column"),
    [
        ("lattice_sum", "name"),
        ("lattice_sum", "value"),
        ("ledger_time_s", "name"),
        ("ledger_time_s", "value"),
    ],
)
def test_one_changed_byte_in_meta_is_found(scene: Scene, name: str, column: str) -> None:
    dice = random.Random(f"meta.{column} of {name}")
    rows = {"meta": [row for row in scene.rows["meta"] if row[0] == name]}
    for _ in range(CHANGES_PER_COLUMN):
        scene.refused(tamper.one_byte(rows, "meta", column, dice))


@pytest.mark.parametrize("column", ["owner", "purpose", "due_s"])
def test_an_index_column_filled_or_emptied_is_found(scene: Scene, column: str) -> None:
    dice = random.Random(column)
    for _ in range(8):
        scene.refused(tamper.null_or_not(scene.rows, column, dice))


@pytest.mark.parametrize(
    ("table", "column"),
    [
        *[("entries", "entry"), ("entries", "leaf"), ("checkpoints", "note"), ("state", "key"), ("state", "value")],
        *[("state", "owner"), ("state", "purpose"), ("consumed", "thing"), ("consumed", "message")],
        ("meta", "value"),
    ],
)
def test_the_same_value_under_another_type_is_found(scene: Scene, table: str, column: str) -> None:
    dice = random.Random(f"{table}.{column}")
    for _ in range(3):
        scene.refused(tamper.another_type(scene.rows, table, column, dice))


def test_another_spelling_of_a_checkpoint_signature_is_found(scene: Scene) -> None:
    """The last base64 digit before the padding has bits that decode to nothing."""
    row = scene.rows["checkpoints"][10]
    head, digit = row[1][: row[1].rindex("=") - 1], row[1][row[1].rindex("=") - 1]
    digits = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
    note = f"{head}{digits[digits.index(digit) ^ 1]}=\n"
    scene.refused(Tampering("padding bits", (_update_note(row, note),), frozenset({f"checkpoint {row[0]}"})))


def test_a_signature_line_added_to_a_checkpoint_is_found(scene: Scene) -> None:
    row = scene.rows["checkpoints"][10]
    note = f"{row[1]}\u2014 stranger AAAAAAAA\n"
    scene.refused(Tampering("another signature", (_update_note(row, note),), frozenset({f"checkpoint {row[0]}"})))


def test_a_checkpoint_that_is_no_text_at_all_is_found(scene: Scene) -> None:
    """Bytes that are not UTF-8: the database itself cannot give the note out."""
    row = scene.rows["checkpoints"][10]
    statement = "UPDATE checkpoints SET note = CAST(x'74ff67' AS TEXT) WHERE size = ?"
    scene.refused(Tampering("not UTF-8", ((statement, row[:1]),), frozenset({f"checkpoint {row[0]}", "file"})))


def _update_note(row: Row, note: str) -> tuple[str, Row]:
    return "UPDATE checkpoints SET note = ? WHERE size = ?", (note, row[0])


# --- whole rows --------------------------------------------------------------------------------


@pytest.mark.parametrize("table", ["entries", "state", "consumed", "meta"])
def test_a_deleted_row_is_found(scene: Scene, table: str) -> None:
    rows = scene.rows[table]
    some = random.Random(table).sample(rows, min(8, len(rows)))
    for row in {rows[0], rows[-1], *some}:
        scene.refused(tamper.deleted(table, row))


def test_a_deleted_last_checkpoint_is_found(scene: Scene) -> None:
    last = scene.rows["checkpoints"][-1]
    tampering = tamper.deleted("checkpoints", last)
    scene.refused(Tampering(tampering.name, tampering.statements, frozenset({f"entry {scene.verdict.entries - 1}"})))


def test_a_deleted_earlier_checkpoint_moves_nothing_and_is_counted(scene: Scene) -> None:
    """The log does not say where groups ended, so all that is lost is one of many signatures over the same history."""
    path = tamper.deleted("checkpoints", scene.rows["checkpoints"][5]).on(scene.path, scene.copy())
    verdict = audit_file(path, scene.world.network)
    assert verdict.checkpoints == scene.verdict.checkpoints - 1
    assert (verdict.log_root, verdict.state_root) == (scene.verdict.log_root, scene.verdict.state_root)


@pytest.mark.parametrize("table", list(COLUMNS))
def test_an_emptied_table_is_found(scene: Scene, table: str) -> None:
    where = {
        "entries": {"checkpoint 1"},
        "checkpoints": {f"entry {scene.verdict.entries - 1}"},
        "state": {tamper.place("state", row) for row in scene.rows["state"]},
        "consumed": {tamper.place("consumed", row) for row in scene.rows["consumed"]},
        "meta": {"meta lattice_sum"},
    }
    scene.refused(Tampering(f"no {table}", ((f"DELETE FROM {table}", ()),), frozenset(where[table])))


def test_the_last_entry_taken_back_with_its_checkpoint_is_found(scene: Scene) -> None:
    """The rest of the log is in order; the state gives it away."""
    last = scene.verdict.entries - 1
    statements = (
        ("DELETE FROM entries WHERE idx = ?", (last,)),
        ("DELETE FROM checkpoints WHERE size > ?", (last,)),
        ("INSERT OR REPLACE INTO checkpoints VALUES (?, ?)", (last, scene.rows["checkpoints"][-1][1])),
    )
    scene.refused(Tampering("taken back", statements, frozenset({f"checkpoint {last}"})))
    earlier = scene.rows["checkpoints"][20][0]
    statements = (
        ("DELETE FROM entries WHERE idx >= ?", (earlier,)),
        ("DELETE FROM checkpoints WHERE size > ?", (earlier,)),
    )
    anywhere = frozenset(tamper.place("state", row) for row in scene.rows["state"])
    with pytest.raises(LedgerCorrupt) as refusal:
        audit_file(Tampering("back", statements, anywhere).on(scene.path, scene.copy()), scene.world.network)
    assert str(refusal.value.values["where"]).startswith("state row ")


def test_exchanged_rows_are_found(scene: Scene) -> None:
    dice = random.Random("exchanged")
    for _ in range(6):
        scene.refused(tamper.exchanged_entries(*dice.sample(scene.rows["entries"], 2)))
        scene.refused(tamper.exchanged("entries", "entry", *dice.sample(scene.rows["entries"], 2)))
        scene.refused(tamper.exchanged("checkpoints", "note", *dice.sample(scene.rows["checkpoints"], 2)))
        tokens = [row for row in scene.rows["state"] if row[0] == Table.TOKEN]
        first, second = dice.sample(list({row[2]: row for row in tokens}.values()), 2)
        scene.refused(tamper.exchanged("state", "value", first, second))
        first, second = dice.sample(list({row[2]: row for row in scene.rows["consumed"]}.values()), 2)
        scene.refused(tamper.exchanged("consumed", "idx", first, second))


def test_doubled_rows_are_found(scene: Scene) -> None:
    """A second copy of an entry, a checkpoint, a token, a consumption and a meta value."""
    size = scene.verdict.entries
    dice = random.Random("doubled")
    for _ in range(5):
        rows = {table: dice.choice(scene.rows[table]) for table in COLUMNS}
        scene.refused(tamper.doubled("entries", rows["entries"], (size,), f"entry {size}"))
        scene.refused(tamper.doubled("checkpoints", rows["checkpoints"], (size + 1,), f"checkpoint {size + 1}"))
        table, name = rows["state"][0], dice.randbytes(34)
        scene.refused(tamper.doubled("state", rows["state"], (table, name), f"state row {table}/{name.hex()}"))
        thing = rows["consumed"][0]
        where = tamper.place("consumed", rows["consumed"])
        scene.refused(tamper.doubled("consumed", rows["consumed"], (thing, dice.randbytes(32)), where))


def test_a_further_meta_row_is_found(scene: Scene) -> None:
    scene.refused(tamper.doubled("meta", scene.rows["meta"][0], ("more",), "meta more"))


# --- the file itself ---------------------------------------------------------------------------


def answers(path: Path) -> list[object]:
    """What a ledger file's indexes answer."""
    store = SqliteStore.read(path)
    try:
        rows = list(store.rows())
        owners = sorted({row[3] for row in rows if isinstance(row[3], bytes)})
        marks = sorted({row[4] for row in rows if isinstance(row[4], bytes)})
        found: list[object] = [sorted(store.offline_of(owner)) for owner in owners]
        found += [list(store.owned(table, owners)) for table in (Table.TOKEN, Table.OFFLINE)]
        found += [store.marked(mark) for mark in marks]
        found += [store.marked_after(mark, 0, 1000) for mark in marks]
        found += [list(store.waiting())]
        found += [store.due(1 << 40, 1000)]
    finally:
        store.close()
    return found


@pytest.fixture(scope="module")
def flipped(scene: Scene) -> list[tuple[int, Path]]:
    """Copies of the file with one byte of the file itself changed that the auditor accepted, by offset."""
    accepted = []
    for offset, write in tamper.flips(scene.path, FLIPS, random.Random("flips")):
        write(path := scene.copy())
        try:
            verdict = audit_file(path, scene.world.network)
        except TengeError:
            continue
        assert verdict == scene.verdict, f"another verdict after a flip at {offset}"
        accepted.append((offset, path))
    return accepted


def test_flipped_bytes_of_the_file_are_refused_or_touch_no_row(scene: Scene, flipped: list[tuple[int, Path]]) -> None:
    """Also where SQLite keeps its pages and its schema.

    What is accepted hit free space, an index, or an earlier checkpoint that the audit can do without.
    """
    assert len(flipped) < FLIPS * 2 / 3
    for offset, path in flipped:
        rows = tamper.rows_of(path)
        for table in ("entries", "state", "consumed", "meta"):
            assert rows[table] == scene.rows[table], f"accepted with other {table} after a flip at {offset}"


def test_flipped_bytes_of_the_file_are_refused_or_touch_no_index(scene: Scene, flipped: list[tuple[int, Path]]) -> None:
    said = answers(scene.path)
    for offset, path in flipped:
        assert answers(path) == said, f"accepted with another answer after a flip at {offset}"
        assert tamper.rows_of(path) == scene.rows, f"accepted with other checkpoints after a flip at {offset}"


def test_a_schema_that_is_no_text_is_found(scene: Scene) -> None:
    content = bytearray(scene.path.read_bytes())
    start = content.index(b'CREATE TABLE "state" (')
    for at in range(start, start + 60, 4):
        copy = scene.copy()
        copy.write_bytes(content[:at] + b"\xc3" + content[at + 1 :])
        with contextlib.suppress(TengeError):
            audit_file(copy, scene.world.network)


@pytest.mark.parametrize("index", ["state_owner", "state_purpose", "state_due"])
def test_an_index_that_forgets_rows_is_found(scene: Scene, index: str) -> None:
    """The rows are all there, but whoever looks up what he owns is not told: his money is as good as gone."""
    shutil.copy(scene.path, copy := scene.copy())
    db = sqlite3.connect(copy, isolation_level=None)
    (sql,) = db.execute("SELECT sql FROM sqlite_master WHERE name = ?", (index,)).fetchone()
    db.execute(f"DROP INDEX {index}")
    db.execute(f"{sql} AND tbl > 99")
    db.execute("PRAGMA writable_schema=ON")
    db.execute("UPDATE sqlite_master SET sql = ? WHERE name = ?", (sql, index))
    db.close()
    assert answers(copy) != answers(scene.path)
    with pytest.raises(LedgerCorrupt):
        audit_file(copy, scene.world.network)


# --- consistent forgeries ----------------------------------------------------------------------

Forgery = Callable[[Scene], tuple[list[Step], int]]
"""The steps of a forged ledger, and the entry at which it must be refused."""


def _rewritten(scene: Scene, sign: Callable[[bytes, object], bytes]) -> tuple[list[Step], int]:
    """A payment to somebody else in the place of one that nothing later builds upon."""
    steps = scene.steps()
    index = len(steps) - 4
    step, network = steps[index], scene.world.network
    body = forge.redirected(step.raw, network, scene.world.banks["altyn"].public)
    owners = decode(step.raw, network).signers
    steps[index] = Step(step.time_s, sign(step.raw, body), owners)
    return steps, index


def original_signatures_under_another_payee(scene: Scene) -> tuple[list[Step], int]:
    return _rewritten(scene, forge.with_old_signatures)


def payment_signed_by_the_operator(scene: Scene) -> tuple[list[Step], int]:
    world = scene.world
    return _rewritten(scene, lambda raw, body: forge.signed_by(world.operator, raw, body, world.network))


def payment_signed_by_the_accomplice(scene: Scene) -> tuple[list[Step], int]:
    world = scene.world
    return _rewritten(scene, lambda raw, body: forge.signed_by(world.banks["altyn"], raw, body, world.network))


def money_issued_by_the_operator(scene: Scene) -> tuple[list[Step], int]:
    world = scene.world
    body = bodies.Issue((Output(world.banks["altyn"].public, 1_000_000_00, None),), bytes(16))
    raw = build(Kind.ISSUE, body, [world.operator], world.network)
    steps = scene.steps()
    return [*steps, Step(world.now_s, raw, frozenset({world.network}))], len(steps)


@pytest.mark.parametrize(
    ("forgery", "code"),
    [
        (original_signatures_under_another_payee, "bad_signature"),
        (payment_signed_by_the_operator, "not_owner"),
        (payment_signed_by_the_accomplice, "not_owner"),
        (money_issued_by_the_operator, "role_refused"),
    ],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_a_consistent_forgery_lacks_the_signatures_of_owners(scene: Scene, forgery: Forgery, code: str) -> None:
    """Entries, leaves, state and checkpoints all agree and the operator signed them: owners did not."""
    steps, index = forgery(scene)
    path = scene.copy()
    forge.write(path, scene.world.identity(), steps)
    with Ledger(SqliteStore.open(path), scene.world.identity(), clock=lambda: scene.world.now_s) as ledger:
        assert ledger.store.size() == len(steps), "so consistent that the operator could run it"
    with pytest.raises(LedgerCorrupt) as refusal:
        audit_file(path, scene.world.network)
    assert (refusal.value.values["where"], refusal.value.values["cause"]) == (f"entry {index}", code)


def test_the_forger_writes_ledgers_that_would_pass(scene: Scene) -> None:
    """So the refusals above are of what was forged, not of how it was written."""
    forge.write(path := scene.copy(), scene.world.identity(), scene.steps())
    verdict = audit_file(path, scene.world.network)
    assert (verdict.log_root, verdict.state_root) == (scene.verdict.log_root, scene.verdict.state_root)


def test_a_token_out_of_nothing_is_found_under_the_operators_own_checkpoint(scene: Scene) -> None:
    token = Token(scene.world.banks["altyn"].public, 1_000_000_00, None)
    forge.conjure(scene.path, path := scene.copy(), scene.world.identity(), outpoint(bytes(32), 0), token)
    with pytest.raises(LedgerCorrupt) as refusal:
        audit_file(path, scene.world.network)
    assert refusal.value.values["where"] == f"checkpoint {scene.verdict.entries}"


def test_a_left_out_payment_shows_in_its_receipt(scene: Scene) -> None:
    """A log without its end is a good log; the receipt of what was left out proves that another one was signed."""
    identity, (time_s, raw) = scene.world.identity(), scene.world.messages[-1]
    with Ledger(SqliteStore.open(_copied(scene)), identity, clock=lambda: time_s) as ledger:
        receipt = ledger.submit(raw).result(PATIENCE_S)
    forge.write(path := scene.copy(), identity, scene.steps()[:-1])
    assert audit_file(path, scene.world.network).entries == scene.verdict.entries - 1
    assert _convicts(receipt, raw, path, scene)
    assert not _convicts(receipt, raw, scene.path, scene)


def _copied(scene: Scene) -> Path:
    shutil.copy(scene.path, copy := scene.copy())
    return copy


def _convicts(receipt: Receipt, raw: bytes, path: Path, scene: Scene) -> bool:
    """Whether a receipt and a log, both signed by the operator, cannot both be honest."""
    signed = receipt.verify(raw, scene.world.identity().origin, scene.world.operator.public)
    store = SqliteStore.read(path)
    tree = merkle.Tree()
    for leaf in store.leaves():
        tree.append(leaf)
    store.close()
    try:
        proof = tree.consistency(signed.size, tree.size)
        merkle.verify_consistency(signed.size, signed.root, tree.size, tree.root(), proof)
    except ProofInvalid:
        return True
    return False


def test_another_pinned_root_key_refuses_the_ledger(scene: Scene) -> None:
    with pytest.raises(LedgerCorrupt) as refusal:
        audit_file(scene.path, Governor.from_seed(seed("another governor")).network)
    assert refusal.value.values["where"] == "entry 0"


def test_a_ledger_founded_anew_by_another_governor_is_refused(scene: Scene, tmp_path: Path) -> None:
    """Same names, same operator, every signature in order; only the root is not the pinned one."""
    usurper = Governor.from_seed(seed("another governor"))
    world = scene.world
    genesis = usurper.genesis("test", "Operator", world.operator.public, world.policy, NOW_S)
    other = type(world.identity())(usurper.network, "test", world.operator)
    forge.write(tmp_path / "ledger.db", other, [Step(NOW_S, genesis)])
    assert audit_file(tmp_path / "ledger.db", usurper.network).entries == 1
    with pytest.raises(LedgerCorrupt) as refusal:
        audit_file(tmp_path / "ledger.db", world.network)
    assert refusal.value.values["where"] == "entry 0"


def test_a_genesis_by_another_governor_for_the_pinned_network_is_refused(scene: Scene) -> None:
    """The signatures hold, because the usurper made them for the pinned root's network; the root is still another."""
    usurper = Governor.from_seed(seed("another governor"))
    world = scene.world
    genuine = usurper.genesis("test", "Operator", world.operator.public, world.policy, NOW_S)
    raw = cose.sign([usurper.key], Kind.GENESIS, cose.decode(genuine).payload, world.network)
    data = entries.encode(NOW_S, raw)
    statement = "UPDATE entries SET entry = ?, leaf = ? WHERE idx = 0"
    scene.refused(Tampering("usurped", ((statement, (data, merkle.leaf_hash(data))),), frozenset({"entry 0"})))


@pytest.mark.parametrize("change", [{"root": bytes(32)}, {"state_root": bytes(32)}, {"size": 11}], ids=min)
def test_a_checkpoint_over_another_history_is_refused_though_the_operator_signed_it(
    scene: Scene, change: dict[str, object]
) -> None:
    identity, (size, note) = scene.world.identity(), scene.rows["checkpoints"][20]
    honest = checkpoint.verify(note, identity.origin, identity.operator.public)
    forged = checkpoint.sign(replace(honest, **change), identity.operator)
    scene.refused(Tampering("another history", (_update_note((size,), forged),), frozenset({f"checkpoint {size}"})))
