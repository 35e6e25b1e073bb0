"""The tables of what becomes of a payment: complete, consistent with each other, and drawn in the documents."""

from __future__ import annotations

from enum import Enum
from pathlib import Path

import pytest

from cbdc.errors import InvariantViolation, Malformed
from wallet import states
from wallet.states import DOCUMENT, PAYEE, PAYER, Event, Holding, Status, next_payee_state, next_payer_state

LEDGERS_WORD = {Event.TAKEN, Event.FORKED, Event.DECLINED}


def test_every_state_has_its_row() -> None:
    assert set(PAYER) == set(Status)
    assert set(PAYEE) == set(Holding)


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", Status)
def test_the_payer_follows_the_table_or_stops(state: Status, event: Event) -> None:
    if event in PAYER[state]:
        assert next_payer_state(state, event) is PAYER[state][event]
        return
    with pytest.raises(InvariantViolation) as stopped:
        next_payer_state(state, event)
    assert stopped.value.values == {"state": state.value, "event": event.value}


@pytest.mark.parametrize("event", Event)
@pytest.mark.parametrize("state", Holding)
def test_the_payee_follows_the_table_or_stops(state: Holding, event: Event) -> None:
    if event in PAYEE[state]:
        assert next_payee_state(state, event) is PAYEE[state][event]
        return
    with pytest.raises(InvariantViolation):
        next_payee_state(state, event)


def test_every_state_can_be_reached() -> None:
    for table, first in ((PAYER, Status.INVOICED), (PAYEE, Holding.INVOICED)):
        reached: set[Enum] = {first}
        for _ in table:
            reached |= {after for state in reached for after in dict(table)[state].values()}  # type: ignore[index]
        assert reached == set(table)


def test_nothing_returns_to_before_the_signature() -> None:
    """The payer's journal and the payee's storage are points of no return."""
    assert Status.INVOICED not in {after for row in PAYER.values() for after in row.values()}
    assert Holding.INVOICED not in {after for row in PAYEE.values() for after in row.values()}
    assert [state for state, row in PAYER.items() if Status.PENDING in row.values()] == [
        Status.INVOICED,
        Status.PENDING,
    ]


def test_a_dispute_ends_only_on_the_ledger() -> None:
    assert set(PAYER[Status.DISPUTED].values()) == {Status.DISPUTED}
    assert set(PAYEE[Holding.DISPUTED].values()) == {Holding.DISPUTED}


@pytest.mark.parametrize("state", [state for state in Status if state is not Status.INVOICED])
def test_a_repeat_changes_nothing_and_a_fork_always_shows(state: Status) -> None:
    assert next_payer_state(state, Event.REPEAT) is state
    assert next_payer_state(state, Event.FORKED) is Status.DISPUTED


def test_what_the_ledger_took_it_never_refuses() -> None:
    taken = [state for state, row in PAYER.items() if row.get(Event.TAKEN) is state is not Status.RELEASED]
    assert taken == [Status.SETTLED, Status.DISPUTED]
    assert all(Event.DECLINED not in PAYER[state] for state in taken)


def test_the_documents_show_the_tables() -> None:
    text = DOCUMENT.read_text(encoding="utf-8")
    assert states.drawn(text) == text, "run: python -m wallet.states"
    assert text.count("stateDiagram-v2") == 2


def test_drawing_replaces_what_was_between_the_markers(tmp_path: Path) -> None:
    whole = DOCUMENT.read_text(encoding="utf-8")
    document = tmp_path / "offline.md"
    document.write_text(whole.replace("stateDiagram-v2", "an old picture"), encoding="utf-8")
    states.main(document)
    assert document.read_text(encoding="utf-8") == whole


@pytest.mark.parametrize(
    "text", ["", "<!-- states: end -->", "<!-- states: begin; written by python -m wallet.states -->"]
)
def test_a_document_without_both_markers_is_left_alone(text: str) -> None:
    with pytest.raises(Malformed):
        states.drawn(text)


def test_the_drawing_has_every_change() -> None:
    picture = states.diagram(PAYER)
    assert "    pending --> released : release" in picture
    assert "    pending --> accepted : receipt" in picture
    assert (
        "    disputed : disputed (unchanged by shown again, receipt, release, ledger takes it, ledger finds a fork)"
        in picture
    )
    assert "disputed -->" not in picture
