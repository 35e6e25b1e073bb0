"""What travels through the pipeline: submissions, groups of them, and a group that has been decided."""

from __future__ import annotations

import threading
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import TypeAlias

from cbdc.errors import TengeError
from cbdc.log.receipts import Receipt
from cbdc.service.verifiers import Outcome
from cbdc.state.view import Change, Key
from cbdc.store.base import NewEntry
from cbdc.transition.invariants import Books
from cbdc.transition.late import LatePayment


@dataclass(frozen=True, slots=True)
class Submission:
    """One message on its way, with the promise to its submitter."""

    raw: bytes
    answer: Future[Receipt]


@dataclass(frozen=True, slots=True)
class Group:
    """Submissions on their way together, and the outcomes of their verification to come."""

    submissions: list[Submission]
    outcomes: list[Future[list[Outcome]]]

    @property
    def size(self) -> int:
        """Their bytes in all."""
        return sum(len(submission.raw) for submission in self.submissions)


Decision: TypeAlias = int | TengeError
"""What a submitter will be told: the index of the entry that carries its message, or why not."""


@dataclass(slots=True)
class Decided:
    """A group after `apply`: what the commit will write and what each submitter will be told afterwards.

    It stands on the groups decided before it: if one of those could not be committed (a newer ``generation`` has
    begun), this one never happened either. ``late`` are the payments that came too late, each with the number of
    entries before it.
    """

    generation: int
    time_s: int
    books: Books
    entries: list[NewEntry] = field(default_factory=list)
    changes: dict[Key, Change] = field(default_factory=dict)
    consumed: list[tuple[bytes, bytes, int]] = field(default_factory=list)
    late: list[tuple[int, LatePayment]] = field(default_factory=list)
    answers: list[tuple[Future[Receipt], Decision]] = field(default_factory=list)
    written: threading.Event = field(default_factory=threading.Event)

    def refuse_all(self, error: TengeError) -> None:
        """Tell every submitter that has no answer yet."""
        for answer, _ in self.answers:
            if not answer.done():
                answer.set_exception(error)
