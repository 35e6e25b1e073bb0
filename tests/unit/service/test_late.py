"""A running ledger to which payments are shown too late: kept once, within bounds, as proof; and nothing moves."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cbdc.errors import BadSignature, LedgerCorrupt, Replayed, TengeError, TooLate, Unreachable
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_LATE_SPENDS
from cbdc.messages import bodies
from cbdc.messages.message import build, decode
from cbdc.offline.fraud import verify_proof
from cbdc.policy import DAY_S, Policy
from cbdc.service import late as keeping
from cbdc.service.audit import Verdict, verify_ledger
from cbdc.service.evidence import late_evidence
from cbdc.service.forks import ProvenFork, late_forks, proven_forks
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.queries import Queries
from cbdc.service.writer import NoFaults
from cbdc.state.records import Table
from cbdc.store.base import LateRow
from cbdc.store.sqlite import SqliteStore
from tests.support import NOW_S, Customer, World
from tests.unit.helpers import in_purse, paid, pay, refuses, revoke, sweep

PATIENCE_S = 30
FINAL_AT_S = NOW_S + Policy().offline_final_days * DAY_S


class Fault(NoFaults):
    """Raises what it holds before or after the next commit, once."""

    def __init__(self) -> None:
        self.before: Exception | None = None
        self.after: Exception | None = None

    def before_commit(self) -> None:
        error, self.before = self.before, None
        if error:
            raise error

    def after_commit(self) -> None:
        error, self.after = self.after, None
        if error:
            raise error


@dataclass
class Desk(World):
    """A world whose every message a real ledger takes in as well, in a file that can be opened again."""

    path: Path = Path()

    def open(self) -> None:
        self.faults = Fault()
        store = SqliteStore.open(self.path) if self.path.exists() else SqliteStore.create(self.path)
        identity = Identity(self.network, "test", self.operator)
        self.ledger = Ledger(store, identity, clock=lambda: self.now_s, faults=self.faults)

    def submit(self, raw: bytes) -> bytes:
        self.ledger.submit(raw).result(PATIENCE_S)
        return super().submit(raw)

    def answer(self, raw: bytes) -> TengeError:
        """How the ledger refuses a message; the world has to refuse it alike."""
        error = self.ledger.submit(raw).exception(PATIENCE_S)
        assert isinstance(error, TengeError)
        with refuses(self, type(error)):
            super().submit(raw)
        return error

    def late(self, *payments: bytes) -> None:
        """Show payments in one letter, all of them too late."""
        assert type(self.answer(letter(self, *payments))) is TooLate

    def read(self, what: Callable[[SqliteStore], list]) -> list:
        store = SqliteStore.read(self.path)
        try:
            return what(store)
        finally:
            store.close()

    def rows(self) -> list[LateRow]:
        return self.read(lambda store: list(store.late.rows()))

    def kept(self) -> list[bytes]:
        return [row.payment for row in self.rows()]

    def audit(self) -> Verdict:
        return self.read(lambda store: [verify_ledger(store, self.network)])[0]

    def late_forks(self) -> list[ProvenFork]:
        return self.read(lambda store: list(late_forks(store, self.network)))

    def surface(self) -> list[object]:
        """All that the ledger says but for its late evidence: log, checkpoints, state, what was consumed, meta."""
        tables = ("entries", "checkpoints", "state", "consumed")
        found: list[object] = [self.read(lambda s, t=t: s._db.execute(f"SELECT * FROM {t}").fetchall()) for t in tables]
        return [*found, self.read(lambda s: [s.lattice_sum(), s.stored_ledger_time_s()])]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Desk]:
    desk = Desk(path=tmp_path / "ledger.db")
    desk.open()
    desk.submit(desk.governor.genesis("test", "Operator", desk.operator.public, desk.policy, desk.now_s))
    desk.admit("altyn")
    yield desk
    desk.ledger.close()


@pytest.fixture
def aida(desk: Desk) -> Customer:
    return desk.customer("aida")


@pytest.fixture
def bolat(desk: Desk) -> Customer:
    return desk.customer("bolat")


@pytest.fixture
def dana(desk: Desk) -> Customer:
    return desk.customer("dana")


def letter(world: World, *payments: bytes) -> bytes:
    return build(Kind.RECONCILE, bodies.Reconcile(payments), [], world.network)


def spends(desk: Desk, payer: Customer, payee: Customer, leaf: bytes, count: int, **terms: object) -> list[bytes]:
    """So many different payments of one token of 900."""
    return [pay(desk, payer, payee, leaf, 900, salt=str(number), **terms) for number in range(count)]


# --- kept once, and nothing moves --------------------------------------------------------------


def test_late_evidence_is_kept_once_and_answered_too_late(desk: Desk, aida: Customer, bolat: Customer) -> None:
    payment = pay(desk, aida, bolat, desk.load(aida, 900), 900)
    desk.now_s = FINAL_AT_S
    error = desk.answer(payment)
    assert (error.code, error.values) == ("too_late", {"found": FINAL_AT_S, "limit": FINAL_AT_S})
    row = LateRow(0, desk.message_id(payment), desk.entries, FINAL_AT_S, payment)
    assert desk.rows() == [row]
    desk.now_s += 1
    desk.late(payment)
    desk.late(payment, payment)
    assert type(desk.answer(payment)) is TooLate
    assert desk.rows() == [row]
    assert desk.audit().late == 1


def test_nothing_moves(desk: Desk, aida: Customer, bolat: Customer) -> None:
    leaf = desk.load(aida, 900)
    in_time, too_late = spends(desk, aida, bolat, leaf, 2)
    desk.submit(in_time)
    desk.now_s = FINAL_AT_S
    before = desk.surface()
    desk.late(too_late)
    assert desk.surface() == before
    assert desk.kept() == [too_late]
    sweep(desk, paid(desk, in_time))
    verdict = desk.audit()
    assert (verdict.state_root, verdict.late) == (desk.root(), 1)
    assert desk.online_tiyn(bolat.key.public) == 900


def test_it_is_there_after_reopening(desk: Desk, aida: Customer, bolat: Customer) -> None:
    leaf = desk.load(aida, 900)
    first, second = spends(desk, aida, bolat, leaf, 2)
    desk.now_s = FINAL_AT_S
    desk.late(first)
    desk.ledger.close()
    desk.open()
    assert desk.kept() == [first]
    desk.late(first)
    desk.late(second)
    assert desk.kept() == [first, second]
    assert [row.seq for row in desk.rows()] == [0, 1]
    assert desk.audit().late == 2


def test_a_mixed_letter_gets_its_receipt_and_the_late_ones_are_kept(
    desk: Desk, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    first = pay(desk, aida, bolat, desk.load(aida, 900), 900)
    second = pay(desk, bolat, dana, paid(desk, first), 900, hop=2)
    desk.now_s = FINAL_AT_S
    good = pay(desk, aida, bolat, desk.load(aida, 500), 500, salt="good")
    bad = pay(desk, aida, bolat, desk.load(aida, 700), 701, salt="bad")
    raw = letter(desk, second, bad, good, first)
    desk.submit(raw)
    assert desk.kept() == [first, second]
    assert {row.size for row in desk.rows()} == {desk.entries}
    assert desk.live_tiyn(bolat.purse.public) == 500
    receipt = desk.ledger.submit(raw).result(PATIENCE_S)
    assert receipt.index == desk.entries - 1
    assert len(desk.rows()) == 2
    assert type(desk.answer(letter(desk, good, first))) is TooLate
    assert type(desk.answer(letter(desk, good))) is Replayed
    assert len(desk.rows()) == desk.audit().late == 2


def test_several_late_ones_in_one_group_are_counted_together(desk: Desk, aida: Customer, bolat: Customer) -> None:
    leaf = desk.load(aida, 900)
    desk.now_s, payments = FINAL_AT_S, spends(desk, aida, bolat, leaf, 4, ledger_time_s=NOW_S, trust_list_s=NOW_S)
    answers = [desk.ledger.submit(payment) for payment in [*payments, *payments]]
    assert {type(answer.exception(PATIENCE_S)) for answer in answers} == {TooLate}
    assert desk.kept() == payments[:2]


def test_a_revoked_purse_s_is_kept_and_answered_as_before(desk: Desk, aida: Customer, bolat: Customer) -> None:
    payment = pay(desk, aida, bolat, desk.load(aida, 900), 900)
    revoke(desk, aida)
    desk.now_s = FINAL_AT_S
    assert desk.answer(payment).code == "certificate_revoked"
    assert desk.kept() == [payment]
    assert desk.audit().late == 1


def test_what_is_refused_for_another_reason_writes_nothing(desk: Desk, aida: Customer, bolat: Customer) -> None:
    leaf = desk.load(aida, 900)
    before = desk.surface()
    assert desk.answer(pay(desk, aida, bolat, leaf, 901)).code == "amount_mismatch"
    assert (desk.rows(), desk.surface()) == ([], before)
    assert desk.read(lambda store: [store.late.head()]) == [None]


# --- bounds ------------------------------------------------------------------------------------


def test_a_third_payment_of_an_output_is_not_kept(desk: Desk, aida: Customer, bolat: Customer) -> None:
    first, second, third = spends(desk, aida, bolat, desk.load(aida, 900), MAX_LATE_SPENDS + 1)
    desk.now_s = FINAL_AT_S
    for payment in (first, second, third):
        desk.late(payment)
    assert desk.kept() == [first, second]
    assert desk.audit().late == 2


def test_a_payment_is_kept_for_any_output_that_has_room(desk: Desk, aida: Customer, bolat: Customer) -> None:
    leaf, other = desk.load(aida, 900), desk.load(aida, 100)
    first, second = spends(desk, aida, bolat, leaf, 2)
    both = desk.payment(aida, bolat, (leaf, other), (in_purse(bolat, 1000),), salt="both")
    desk.now_s = FINAL_AT_S
    desk.late(first, second)
    desk.late(both)
    assert desk.kept()[2:] == [both]
    assert desk.read(lambda store: [store.late.count(leaf), store.late.count(other)]) == [2, 1]
    assert desk.audit().late == 3


def test_what_stands_on_a_payment_that_is_not_kept_is_not_kept(
    desk: Desk, aida: Customer, bolat: Customer, dana: Customer
) -> None:
    first, second, third = spends(desk, aida, bolat, desk.load(aida, 900), 3)
    onwards = pay(desk, bolat, dana, paid(desk, third), 900, hop=2)
    desk.now_s = FINAL_AT_S
    desk.late(first, second)
    desk.late(third, onwards)
    assert desk.kept() == [first, second]


def test_a_purse_fills_no_more_than_its_share_with_what_only_late_payments_made(
    desk: Desk, aida: Customer, bolat: Customer, dana: Customer, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Change is no hop, so a purse could go on paying for ever; its share leaves room for what the state knows."""
    monkeypatch.setattr(keeping, "MAX_LATE_BEHIND", 3)
    leaf, other = desk.load(aida, 900), desk.load(aida, 50)
    payments, name = [], leaf
    for left in range(899, 890, -1):
        payments.append(pay(desk, aida, bolat, name, 1, left))
        name = paid(desk, payments[-1], 1)
    honest = pay(desk, bolat, dana, paid(desk, payments[1]), 1, hop=2)
    fork = pay(desk, aida, bolat, other, 50)
    desk.now_s = FINAL_AT_S
    desk.late(*payments)
    assert desk.kept() == payments[:4]
    desk.late(*payments[:2], honest)
    desk.late(fork)
    assert desk.kept() == [*payments[:4], honest, fork]
    assert desk.audit().late == 6


def test_forged_late_evidence_is_not_kept(desk: Desk, aida: Customer, bolat: Customer) -> None:
    """The ledger's own answer to these is too_late as before; what is kept is genuine or nothing."""
    leaf = desk.load(aida, 900)
    nobody = replace(aida, purse=bolat.purse)
    forged = {
        "too_late": pay(desk, aida, bolat, leaf, 901),
        "not_enrolled": pay(desk, aida, bolat, leaf, 900, payee_certificate=bytes(32)),
        "bad_signature": bytearray(pay(desk, aida, bolat, leaf, 900)),
    }
    forged["bad_signature"][-1] ^= 1
    desk.now_s = FINAL_AT_S
    for code, payment in forged.items():
        assert desk.ledger.submit(bytes(payment)).exception(PATIENCE_S).code == code
        assert desk.ledger.submit(letter(desk, bytes(payment))).exception(PATIENCE_S).code == code
    stolen = pay(desk, nobody, aida, leaf, 900, ledger_time_s=NOW_S, trust_list_s=NOW_S)
    assert desk.answer(stolen).code == "too_late"
    assert desk.rows() == []


# --- forks that only late evidence shows -------------------------------------------------------


def proves(desk: Desk, fork: ProvenFork, payer: Customer, name: bytes, *payments: bytes) -> None:
    """The proof stands with the root key alone, and the ledger counts no fork."""
    proof = verify_proof(fork.proof, desk.network)
    assert (proof.account, proof.outpoints) == (payer.certificate(desk.network).account, (name,))
    assert set(proof.spends) == {desk.message_id(payment) for payment in payments}
    assert (fork.outpoint, fork.account, fork.amount_tiyn) == (name, proof.account, 900)
    assert desk.read(lambda store: list(proven_forks(store, desk.network))) == []
    reader = SqliteStore.read(desk.path)
    queries = Queries(reader, desk.ledger.identity, lambda: desk.now_s)
    assert (queries.forked_outputs(), queries.forks(), list(reader.records(Table.DENIED))) == (0, [], [])
    queries.close()


def test_a_fork_of_one_in_time_and_one_too_late(desk: Desk, aida: Customer, bolat: Customer) -> None:
    leaf = desk.load(aida, 900)
    in_time, too_late = spends(desk, aida, bolat, leaf, 2)
    desk.submit(in_time)
    desk.now_s = FINAL_AT_S
    assert desk.late_forks() == []
    desk.late(too_late)
    (fork,) = desk.late_forks()
    proves(desk, fork, aida, leaf, in_time, too_late)
    assert (fork.spenders, fork.late) == ((desk.message_id(in_time),), (desk.message_id(too_late),))


def test_a_fork_of_two_too_late(desk: Desk, aida: Customer, bolat: Customer) -> None:
    """The leaf went back to its owner's online key; a sweep is no spend of his."""
    leaf = desk.load(aida, 900)
    payments = spends(desk, aida, bolat, leaf, 2)
    desk.now_s = FINAL_AT_S
    sweep(desk, leaf)
    for payment in payments:
        desk.late(payment)
    (fork,) = desk.late_forks()
    proves(desk, fork, aida, leaf, *payments)


def test_a_fork_of_what_only_a_late_payment_made(desk: Desk, aida: Customer, bolat: Customer, dana: Customer) -> None:
    first = pay(desk, aida, bolat, desk.load(aida, 900), 900)
    two = spends(desk, bolat, dana, paid(desk, first), 2, hop=2)
    desk.now_s = FINAL_AT_S
    desk.late(first, two[0])
    desk.late(first, two[1])
    assert desk.kept() == [first, *two]
    (fork,) = desk.late_forks()
    proves(desk, fork, bolat, paid(desk, first), *two)
    assert desk.audit().late == 3


def test_an_unload_and_a_late_payment_of_the_same_output(desk: Desk, aida: Customer, bolat: Customer) -> None:
    leaf = desk.load(aida, 900)
    payment = pay(desk, aida, bolat, leaf, 900)
    body = bodies.Unload((leaf,), (replace(in_purse(aida, 900), owner=aida.key.public),), NOW_S + 99)
    unload = build(Kind.UNLOAD, body, [aida.purse], desk.network)
    desk.submit(unload)
    desk.now_s = FINAL_AT_S
    desk.late(payment)
    (fork,) = desk.late_forks()
    proves(desk, fork, aida, leaf, unload, payment)


def test_a_fork_that_counts_is_proven_as_before(desk: Desk, aida: Customer, bolat: Customer) -> None:
    payments = spends(desk, aida, bolat, desk.load(aida, 900), 3)
    desk.submit(letter(desk, *payments[:2]))
    (before,) = desk.read(lambda store: list(proven_forks(store, desk.network)))
    desk.now_s = FINAL_AT_S
    assert desk.answer(payments[2]).code == "certificate_revoked"
    assert desk.late_forks() == []
    (after,) = desk.read(lambda store: list(proven_forks(store, desk.network)))
    assert after == replace(before, late=(desk.message_id(payments[2]),))


def test_what_is_kept_can_be_listed(desk: Desk, aida: Customer, bolat: Customer) -> None:
    leaf = desk.load(aida, 900)
    payment = pay(desk, aida, bolat, leaf, 600, 300)
    desk.now_s = FINAL_AT_S + 7
    desk.late(payment)
    (found,) = desk.read(lambda store: list(late_evidence(store, desk.network)))
    assert (found.id, found.time_s, found.outpoints) == (desk.message_id(payment), FINAL_AT_S + 7, (leaf,))
    assert (found.payer, found.payee, found.amount_tiyn) == ("altyn/aida", "altyn/bolat", 600)


# --- the commit fails --------------------------------------------------------------------------


def test_nobody_hears_too_late_before_it_is_kept(desk: Desk, aida: Customer, bolat: Customer) -> None:
    payment = pay(desk, aida, bolat, desk.load(aida, 900), 900)
    desk.now_s = FINAL_AT_S
    desk.faults.before = OSError("the disk is gone")
    assert type(desk.ledger.submit(payment).exception(PATIENCE_S)) is Unreachable
    assert desk.rows() == []
    desk.late(payment)
    assert desk.kept() == [payment]
    assert desk.audit().late == 1


def test_a_failed_commit_takes_the_late_ones_of_a_mixed_letter_with_it(
    desk: Desk, aida: Customer, bolat: Customer
) -> None:
    payment = pay(desk, aida, bolat, desk.load(aida, 900), 900)
    desk.now_s = FINAL_AT_S
    good = pay(desk, aida, bolat, desk.load(aida, 500), 500, salt="good")
    desk.faults.before = OSError("the disk is gone")
    before = desk.surface()
    assert type(desk.ledger.submit(letter(desk, good, payment)).exception(PATIENCE_S)) is Unreachable
    assert (desk.rows(), desk.surface()) == ([], before)
    desk.submit(letter(desk, good, payment))
    assert desk.kept() == [payment]
    assert desk.audit().late == 1


def test_what_goes_wrong_behind_the_commit_changes_no_answer(desk: Desk, aida: Customer, bolat: Customer) -> None:
    payment = pay(desk, aida, bolat, desk.load(aida, 900), 900)
    desk.now_s = FINAL_AT_S
    desk.faults.after = OSError("the answer got lost")
    desk.late(payment)
    assert desk.faults.after is None
    assert desk.kept() == [payment]


def test_a_ledger_whose_late_evidence_was_thinned_does_not_open(desk: Desk, aida: Customer, bolat: Customer) -> None:
    payments = spends(desk, aida, bolat, desk.load(aida, 900), 2)
    desk.now_s = FINAL_AT_S
    desk.late(*payments)
    desk.ledger.close()
    store = SqliteStore.open(desk.path)
    store._db.execute("DELETE FROM late WHERE seq = 1")
    store.close()
    with pytest.raises(LedgerCorrupt) as refusal:
        desk.open()
    assert refusal.value.values["where"] == "late"


def test_another_operator_s_head_does_not_open(desk: Desk, aida: Customer, bolat: Customer) -> None:
    payment = pay(desk, aida, bolat, desk.load(aida, 900), 900)
    desk.now_s = FINAL_AT_S
    desk.late(payment)
    desk.ledger.close()
    store = SqliteStore.open(desk.path)
    head = keeping.LateHead(1, bytes(HASH_BYTES)).sign(aida.key, desk.network)
    store._db.execute("UPDATE meta SET value = ? WHERE name = 'late_head'", (head,))
    store.close()
    with pytest.raises(BadSignature):
        desk.open()


def test_a_file_from_before_late_evidence_was_kept_gets_its_tables(desk: Desk, aida: Customer, bolat: Customer) -> None:
    payment = pay(desk, aida, bolat, desk.load(aida, 900), 900)
    desk.ledger.close()
    store = SqliteStore.open(desk.path)
    for statement in (
        "DROP TABLE late",
        "DROP TABLE late_things",
        "DELETE FROM _sqlite_migrations WHERE name LIKE 'late%'",
    ):
        store._db.execute(statement)
    store.close()
    assert desk.rows() == desk.late_forks() == []
    desk.open()
    desk.now_s = FINAL_AT_S
    desk.late(payment)
    assert desk.audit().late == 1
    assert decode(desk.kept()[0], desk.network).id == desk.message_id(payment)
