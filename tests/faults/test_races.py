"""No double spend: whoever races for one token, one wins and every other one is told who."""

from __future__ import annotations

import itertools
import random
import threading
from collections.abc import Iterator
from concurrent.futures import Future

import pytest

from cbdc.errors import TengeError
from cbdc.formats.tokens import Output
from cbdc.log import entries
from cbdc.log.receipts import Receipt
from cbdc.service import verifiers
from cbdc.service.ledger import Ledger
from cbdc.service.verifiers import Verifier
from tests.faults.stage import COIN_TIYN, PATIENCE_S, Stage

RACERS = 200


@pytest.fixture(params=[verifiers.threads, lambda: verifiers.processes(2)], ids=["threads", "processes"])
def verifier(request: pytest.FixtureRequest) -> Iterator[Verifier]:
    made = request.param()
    yield made
    made.close()


def rivals(stage: Stage, coin: int, count: int = RACERS) -> list[bytes]:
    """Different transfers of one coin: each gives bek another part of it."""
    aida, bek = stage.aida.key.public, stage.bek.key.public
    parts = range(1, count + 1)
    return [
        stage.transfer(Output(bek, part, None), Output(aida, COIN_TIYN - part, None), coins=(coin,)) for part in parts
    ]


def race(ledger: Ledger, messages: list[bytes]) -> list[Receipt | TengeError]:
    """Submit each message from a thread of its own, all at once; what each was answered."""
    answers: list[Receipt | TengeError | None] = [None] * len(messages)
    start = threading.Barrier(len(messages))

    def run(index: int) -> None:
        start.wait(PATIENCE_S)
        try:
            answers[index] = ledger.submit(messages[index]).result(PATIENCE_S)
        except TengeError as error:
            answers[index] = error

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(messages))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert None not in answers, "somebody was not answered"
    return [answer for answer in answers if answer is not None]


def check_one_winner(stage: Stage, messages: list[bytes], answers: list[Receipt | TengeError]) -> int:
    """Exactly one receipt; all the others name its entry and its message. Returns the winner's place."""
    winners = [index for index, answer in enumerate(answers) if isinstance(answer, Receipt)]
    assert len(winners) == 1
    receipt = answers[winners[0]]
    assert isinstance(receipt, Receipt)
    stage.verify_receipt(messages[winners[0]], receipt)
    losers = [answer for answer in answers if isinstance(answer, TengeError)]
    assert {loser.code for loser in losers} == {"double_spend"}
    assert {loser.values["winner"] for loser in losers} == {receipt.index}
    assert {loser.values["by"] for loser in losers} == {stage.message_id(messages[winners[0]])}
    return winners[0]


def entry_message(ledger: Ledger, index: int) -> bytes:
    data = ledger.store.entry(index)
    assert data is not None
    return entries.decode(data)[1]


def test_two_hundred_threads_spend_one_token(stage: Stage, verifier: Verifier) -> None:
    messages = rivals(stage, 0)
    with stage.open(verifier=verifier) as ledger:
        winner = check_one_winner(stage, messages, race(ledger, messages))
        assert entry_message(ledger, stage.founding) == messages[winner]
    assert stage.verify().entries == stage.founding + 1


def test_a_race_across_many_groups(stage: Stage, verifier: Verifier) -> None:
    """Waves of racers, each wave with payments of its own that commit: the later ones meet a token spent long ago."""
    messages = rivals(stage, 0)
    random.Random("waves").shuffle(messages)
    answers: list[Receipt | TengeError] = []
    with stage.open(verifier=verifier) as ledger:
        for wave in range(4):
            part = messages[wave * 50 : wave * 50 + 50]
            others = stage.pays(10, start=1 + wave * 10)
            answered = race(ledger, [*part, *others])
            assert all(isinstance(answer, Receipt) for answer in answered[len(part) :])
            answers += answered[: len(part)]
        check_one_winner(stage, messages, answers)
        groups = len(list(ledger.store.checkpoints())) - len(stage.world.messages)
        assert groups >= 4
    assert stage.verify().entries == stage.founding + 41


def test_one_message_from_many_threads_is_one_entry(stage: Stage, verifier: Verifier) -> None:
    """Not a race that anybody loses: the same bytes give everybody the same receipt."""
    with stage.open(verifier=verifier) as ledger:
        answers = race(ledger, [stage.pay(0)] * 100)
    assert len({answer.encode() for answer in answers if isinstance(answer, Receipt)}) == 1
    assert not [answer for answer in answers if isinstance(answer, TengeError)]
    assert stage.verify().entries == stage.founding + 1


def test_a_tangle_of_transfers_with_two_inputs_each(stage: Stage) -> None:
    """Every pair out of twenty coins, all at once: who wins is open, but no coin is spent twice."""
    pairs = list(itertools.combinations(range(20), 2))
    random.Random("tangle").shuffle(pairs)
    messages = [stage.transfer(Output(stage.bek.key.public, 2 * COIN_TIYN, None), coins=pair) for pair in pairs]
    with stage.open() as ledger:
        answers = race(ledger, messages)
    won = [pair for pair, answer in zip(pairs, answers, strict=True) if isinstance(answer, Receipt)]
    spent_by = {coin: message for pair, message in zip(pairs, messages, strict=True) if pair in won for coin in pair}
    assert len(spent_by) == 2 * len(won) == 20, "every coin can be spent, and each is spent once"
    for pair, answer in zip(pairs, answers, strict=True):
        if isinstance(answer, TengeError):
            assert answer.code == "double_spend"
            assert answer.values["by"] in {stage.message_id(spent_by[coin]) for coin in pair}
    stage.verify()


def test_submitters_that_stop_waiting_take_nothing_back(stage: Stage) -> None:
    """A racer that gives up right away has still submitted: its transfer counts like any other."""
    with stage.open() as ledger:
        answers: list[Future[Receipt]] = [ledger.submit(raw) for raw in stage.pays(50)]
        del answers
        again = [ledger.submit(raw).result(PATIENCE_S) for raw in stage.pays(50)]
    assert [receipt.index for receipt in again] == [*range(stage.founding, stage.founding + 50)]
