"""What becomes of an offline payment, on each side: every state, every event, and the tables of what follows.

No I/O, no clock, no keys: the purse asks `next_payer_state` and `next_payee_state` and writes the answer down. What
a table does not list cannot happen, and raises. ``python -m wallet.states`` draws the tables into docs/offline.md.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import Enum
from pathlib import Path
from typing import Final, TypeVar

from cbdc.errors import InvariantViolation, Malformed

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "offline.md"
_BEGIN: Final = "<!-- states: begin; written by python -m wallet.states -->"
_END: Final = "<!-- states: end -->"


class Status(Enum):
    """What a payer's purse knows of a payment."""

    INVOICED = "invoiced"  # an invoice was shown; nothing is signed
    PENDING = "pending"
    ACCEPTED = "accepted"
    RELEASED = "released"
    SETTLED = "settled"
    DISPUTED = "disputed"
    REFUSED = "refused"


class Holding(Enum):
    """What a payee's purse knows of a payment."""

    INVOICED = "invoiced"
    STORED = "stored"
    RELEASED = "released"
    SETTLED = "settled"
    DISPUTED = "disputed"
    REFUSED = "refused"


class Event(Enum):
    """What happens to a payment. The last three are what a sync learns of the ledger."""

    JOURNAL = "journalled"
    STORE = "stored"
    REPEAT = "shown again"
    RECEIPT = "receipt"
    RELEASE = "release"
    TAKEN = "ledger takes it"
    FORKED = "ledger finds a fork"
    DECLINED = "ledger refuses it"


PAYER: Final[Mapping[Status, Mapping[Event, Status]]] = {
    Status.INVOICED: {Event.JOURNAL: Status.PENDING},
    Status.PENDING: {
        Event.REPEAT: Status.PENDING,
        Event.RECEIPT: Status.ACCEPTED,
        Event.RELEASE: Status.RELEASED,
        Event.TAKEN: Status.SETTLED,
        Event.FORKED: Status.DISPUTED,
        Event.DECLINED: Status.REFUSED,
    },
    Status.ACCEPTED: {
        Event.REPEAT: Status.ACCEPTED,
        Event.RECEIPT: Status.ACCEPTED,
        Event.RELEASE: Status.RELEASED,
        Event.TAKEN: Status.SETTLED,
        Event.FORKED: Status.DISPUTED,
        Event.DECLINED: Status.REFUSED,
    },
    # the ledger takes a released payment too, and then its way back: that changes nothing here
    Status.RELEASED: {
        Event.REPEAT: Status.RELEASED,
        Event.RECEIPT: Status.RELEASED,
        Event.RELEASE: Status.RELEASED,
        Event.TAKEN: Status.RELEASED,
        Event.FORKED: Status.DISPUTED,
        Event.DECLINED: Status.REFUSED,
    },
    Status.SETTLED: {
        Event.REPEAT: Status.SETTLED,
        Event.RECEIPT: Status.SETTLED,
        Event.RELEASE: Status.RELEASED,
        Event.TAKEN: Status.SETTLED,
        Event.FORKED: Status.DISPUTED,
    },
    Status.DISPUTED: {
        Event.REPEAT: Status.DISPUTED,
        Event.RECEIPT: Status.DISPUTED,
        Event.RELEASE: Status.DISPUTED,
        Event.TAKEN: Status.DISPUTED,
        Event.FORKED: Status.DISPUTED,
    },
    # somebody else's evidence may still make a refused payment count
    Status.REFUSED: {
        Event.REPEAT: Status.REFUSED,
        Event.RECEIPT: Status.REFUSED,
        Event.RELEASE: Status.RELEASED,
        Event.TAKEN: Status.SETTLED,
        Event.FORKED: Status.DISPUTED,
        Event.DECLINED: Status.REFUSED,
    },
}
"""The payer's side. The point of no return is `Event.JOURNAL`: from there on the bytes never change."""

PAYEE: Final[Mapping[Holding, Mapping[Event, Holding]]] = {
    Holding.INVOICED: {Event.STORE: Holding.STORED},
    Holding.STORED: {
        Event.REPEAT: Holding.STORED,
        Event.RELEASE: Holding.RELEASED,
        Event.TAKEN: Holding.SETTLED,
        Event.FORKED: Holding.DISPUTED,
        Event.DECLINED: Holding.REFUSED,
    },
    Holding.RELEASED: {
        Event.REPEAT: Holding.RELEASED,
        Event.RELEASE: Holding.RELEASED,
        Event.TAKEN: Holding.RELEASED,
        Event.FORKED: Holding.DISPUTED,
        Event.DECLINED: Holding.REFUSED,
    },
    # a purse that may not renew its tokens still holds after a sync what it was paid, and may give it back
    Holding.SETTLED: {
        Event.REPEAT: Holding.SETTLED,
        Event.RELEASE: Holding.RELEASED,
        Event.TAKEN: Holding.SETTLED,
        Event.FORKED: Holding.DISPUTED,
    },
    Holding.DISPUTED: {
        Event.REPEAT: Holding.DISPUTED,
        Event.RELEASE: Holding.DISPUTED,
        Event.TAKEN: Holding.DISPUTED,
        Event.FORKED: Holding.DISPUTED,
    },
    Holding.REFUSED: {
        Event.REPEAT: Holding.REFUSED,
        Event.TAKEN: Holding.SETTLED,
        Event.FORKED: Holding.DISPUTED,
        Event.DECLINED: Holding.REFUSED,
    },
}
"""The payee's side. The value is his from `Event.STORE` on, which comes before his receipt."""

S = TypeVar("S", Status, Holding)


def next_payer_state(state: Status, event: Event) -> Status:
    """Where an event takes the payer. Raises InvariantViolation if it cannot happen there."""
    return _follow(PAYER, state, event)


def next_payee_state(state: Holding, event: Event) -> Holding:
    """Where an event takes the payee. Raises InvariantViolation if it cannot happen there."""
    return _follow(PAYEE, state, event)


def _follow(table: Mapping[S, Mapping[Event, S]], state: S, event: Event) -> S:
    after = table[state].get(event)
    if after is None:
        raise InvariantViolation("this cannot happen to a payment in this state", state=state.value, event=event.value)
    return after


# --- the drawing -------------------------------------------------------------------------------


def diagram(table: Mapping[S, Mapping[Event, S]]) -> str:
    """A table as a Mermaid state diagram; events that change nothing are listed in the state itself."""
    lines = ["stateDiagram-v2"]
    for state, row in table.items():
        unchanged = [event.value for event, after in row.items() if after is state]
        if unchanged:
            lines.append(f"    {state.value} : {state.value} (unchanged by {', '.join(unchanged)})")
        lines += [f"    {state.value} --> {after.value} : {e.value}" for e, after in row.items() if after is not state]
    return "\n".join(lines)


def drawn(text: str) -> str:
    """The document with both diagrams between its two markers.

    Raises:
        Malformed: the markers are not there.
    """
    head, begin, rest = text.partition(_BEGIN)
    _, end, tail = rest.partition(_END)
    if not begin or not end:
        raise Malformed("the document has no place for the diagrams", wanted=f"{_BEGIN} and {_END}")
    blocks = [f"**{who}**\n\n```mermaid\n{picture}\n```" for who, picture in _pictures().items()]
    return "\n\n".join([f"{head}{_BEGIN}", *blocks, f"{_END}{tail}"])


def _pictures() -> dict[str, str]:
    return {"The payer": diagram(PAYER), "The payee": diagram(PAYEE)}


def main(document: Path = DOCUMENT) -> None:
    """Draw the tables into the document."""
    document.write_text(drawn(document.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
