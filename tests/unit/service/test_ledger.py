"""A running ledger beside a world in memory: receipts for repeats, and what the operator says about its state."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator, Sequence
from concurrent.futures import Future
from dataclasses import dataclass
from pathlib import Path

import pytest

from cbdc.errors import Malformed, Replayed, Unreachable
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_BATCH, MAX_BATCH_BYTES
from cbdc.log.checkpoint import verify as verify_checkpoint
from cbdc.log.receipts import Receipt
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.offline.documents import CHALLENGE_BYTES, SyncCertificate, TrustList
from cbdc.service.groups import Decided
from cbdc.service.ledger import Identity, Ledger
from cbdc.service.queries import Queries
from cbdc.service.verifiers import Outcome
from cbdc.store.sqlite import SqliteStore
from cbdc.transition.invariants import Books
from tests.support import NOW_S, Customer, World
from tests.unit.helpers import paid, pay, renew_purse, revoke

PATIENCE_S = 30


@dataclass
class Twin(World):
    """A world whose every message a real ledger takes in as well."""

    ledger: Ledger | None = None

    def submit(self, raw: bytes) -> bytes:
        self.receipt(raw)
        return super().submit(raw)

    def receipt(self, raw: bytes) -> Receipt:
        assert self.ledger is not None
        return self.ledger.submit(raw).result(PATIENCE_S)


@pytest.fixture
def twin(tmp_path: Path) -> Iterator[Twin]:
    twin = Twin()
    identity = Identity(twin.network, "test", twin.operator)
    with Ledger(SqliteStore.create(tmp_path / "ledger.db"), identity, clock=lambda: twin.now_s) as twin.ledger:
        twin.submit(twin.governor.genesis("test", "Operator", twin.operator.public, twin.policy, twin.now_s))
        twin.admit("altyn")
        yield twin


@pytest.fixture
def queries(twin: Twin) -> Iterator[Queries]:
    assert twin.ledger is not None
    found = Queries(SqliteStore.read(twin.ledger.store.path), twin.ledger.identity, lambda: twin.now_s)
    yield found
    found.close()


@pytest.fixture
def aida(twin: Twin) -> Customer:
    return twin.customer("aida")


@pytest.fixture
def bolat(twin: Twin) -> Customer:
    return twin.customer("bolat")


def reconcile(world: World, *payments: bytes) -> bytes:
    return build(Kind.RECONCILE, bodies.Reconcile(payments), [], world.network)


def fork(twin: Twin, payer: Customer, payee: Customer) -> None:
    """The payer spends one token of 900 twice, to this payee and to another."""
    leaf = twin.load(payer, 900)
    twin.submit(reconcile(twin, *(pay(twin, payer, who, leaf, 900) for who in (payee, twin.customer("dana")))))


# --- receipts ----------------------------------------------------------------------------------


def test_the_ledger_and_the_world_agree(twin: Twin, queries: Queries, aida: Customer, bolat: Customer) -> None:
    fork(twin, aida, bolat)
    note = queries.latest_checkpoint()
    assert note is not None
    found = verify_checkpoint(note, "tenge/test", twin.operator.public)
    assert (found.size, found.state_root) == (twin.entries, twin.root())


def test_a_repeated_reconcile_gets_its_receipt_even_if_a_part_was_refused(
    twin: Twin, aida: Customer, bolat: Customer
) -> None:
    good, bad = pay(twin, aida, bolat, twin.load(aida, 900), 900), pay(twin, aida, bolat, bytes(34), 1)
    raw = reconcile(twin, bad, good)
    first = twin.receipt(raw)
    twin.issue("altyn", 1)
    assert twin.receipt(raw) == first


def test_regrouped_evidence_is_replayed(twin: Twin, aida: Customer, bolat: Customer) -> None:
    payments = [pay(twin, aida, bolat, twin.load(aida, amount), amount, salt=str(amount)) for amount in (500, 900)]
    first = twin.receipt(reconcile(twin, *payments))
    for group in (payments[::-1], payments[:1], payments * 2):
        with pytest.raises(Replayed):
            twin.receipt(reconcile(twin, *group))
    assert twin.receipt(payments[0]).index == first.index


def test_a_repeated_reconcile_gets_its_receipt_even_if_the_refused_part_would_count_now(
    twin: Twin, aida: Customer, bolat: Customer
) -> None:
    good = pay(twin, aida, bolat, twin.load(aida, 900), 900)
    ancestor = pay(twin, aida, bolat, twin.load(aida, 500), 500, salt="ancestor")
    later = pay(twin, bolat, aida, paid(twin, ancestor), 500, hop=2)
    raw = reconcile(twin, good, later)
    first = twin.receipt(raw)
    second = twin.receipt(reconcile(twin, ancestor))
    assert twin.receipt(raw) == first
    assert twin.receipt(reconcile(twin, later)).index == second.index + 1


# --- submitting --------------------------------------------------------------------------------


def test_a_submitted_message_cannot_be_called_back(twin: Twin) -> None:
    assert twin.ledger is not None
    answer = twin.ledger.submit(twin.governor.issue(twin.banks["altyn"].public, 5, bytes(16)))
    assert not answer.cancel()
    assert answer.result(PATIENCE_S).index == twin.entries


def test_a_message_is_taken_as_it_was_when_it_was_submitted(twin: Twin) -> None:
    assert twin.ledger is not None
    raw = bytearray(twin.governor.issue(twin.banks["altyn"].public, 5, bytes(16)))
    answer = twin.ledger.submit(raw)
    raw[:] = bytes(len(raw))
    assert answer.result(PATIENCE_S).index == twin.entries


@pytest.mark.parametrize("raw", ["text", 5, None, [1]])
def test_a_message_is_bytes(twin: Twin, raw: object) -> None:
    assert twin.ledger is not None
    with pytest.raises(Malformed):
        twin.ledger.submit(raw)


def test_a_closed_ledger_takes_nothing(twin: Twin) -> None:
    assert twin.ledger is not None
    twin.ledger.close()
    with pytest.raises(Unreachable):
        twin.ledger.submit(b"")
    twin.ledger.close()


def test_a_refused_group_tells_everyone_who_has_no_answer_yet(twin: Twin) -> None:
    assert twin.ledger is not None
    answered = twin.ledger.submit(twin.governor.issue(twin.banks["altyn"].public, 5, bytes(16)))
    receipt = answered.result(PATIENCE_S)
    waiting = type(answered)()
    decided = Decided(0, NOW_S, Books(), answers=[(answered, 0), (waiting, 1)])
    decided.refuse_all(Unreachable("the ledger died"))
    assert answered.result(0) == receipt
    with pytest.raises(Unreachable):
        waiting.result(0)


# --- what the operator says --------------------------------------------------------------------


def test_a_sync_certificate_answers_the_elements_challenge(twin: Twin, queries: Queries, aida: Customer) -> None:
    twin.now_s += 7
    challenges = [bytes([number]) * CHALLENGE_BYTES for number in range(2)]
    words = [queries.sync_certificate(aida.purse.public, challenge) for challenge in challenges]
    for challenge, word in zip(challenges, words, strict=True):
        found = SyncCertificate.verify(word, twin.network, twin.operator.public)
        assert found == SyncCertificate(aida.purse.public, NOW_S + 7, challenge, 0)


def test_the_trust_list_denies_what_a_key_had_before(twin: Twin, queries: Queries, aida: Customer) -> None:
    ids = {aida.certificate(twin.network).id, renew_purse(twin, aida)}
    revoke(twin, aida)
    assert TrustList.verify(queries.trust_list(), twin.network).revoked == ids


def test_what_a_bank_owes_the_pool(twin: Twin, queries: Queries, aida: Customer, bolat: Customer) -> None:
    twin.set_reserve("altyn", 200)
    assert queries.claims_tiyn("altyn") == 0
    fork(twin, aida, bolat)
    assert queries.claims_tiyn("altyn") == 900 - 200
    assert queries.claims_tiyn("nobody") == 0


# --- groups ------------------------------------------------------------------------------------


class Waiting:
    """A verifier that notes the groups it is given, and refuses everything; the first group waits for ``go``."""

    def __init__(self) -> None:
        self.groups: list[list[int]] = []
        self.go = threading.Event()

    def start(self, messages: Sequence[bytes], _: bytes) -> list[Future[list[Outcome]]]:
        self.groups.append([len(raw) for raw in messages])
        self.go.wait(PATIENCE_S)
        outcomes: Future[list[Outcome]] = Future()
        outcomes.set_result([Malformed("refused")] * len(messages))
        return [outcomes]

    def close(self) -> None:
        return


def test_a_group_is_bounded_in_messages_and_in_bytes(twin: Twin, tmp_path: Path) -> None:
    identity = Identity(twin.network, "test", twin.operator)
    verifier = Waiting()
    half = MAX_BATCH_BYTES // 2
    lengths = [half, half - 1, 1, half, 7, half, *[1] * (MAX_BATCH + 5)]
    with Ledger(SqliteStore.create(tmp_path / "other.db"), identity, verifier=verifier) as ledger:
        ledger.submit(b"first")
        while not verifier.groups:
            time.sleep(0.001)
        answers = [ledger.submit(bytes(length)) for length in lengths]
        verifier.go.set()
        assert all(isinstance(answer.exception(PATIENCE_S), Malformed) for answer in answers)
    assert verifier.groups == [[5], [half, half - 1, 1], [half, 7, half], [1] * MAX_BATCH, [1] * 5]
