"""The ledger: bytes in, receipt out.

    submit -> decode -> verify -> apply -> commit -> log -> answer

Each step stands in one place, in this order, and three threads carry a group of messages along:

* *intake* takes what has been submitted and hands it to workers that decode and verify (`verifiers`);
* *decider* applies the verified messages, one after the other (`decider`);
* *writer* appends the leaves, signs the checkpoint and commits everything in one transaction, and only then gives
  the receipts out (`writer`): acknowledged means durable.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future
from typing import Final

from cbdc.errors import InvariantViolation, LedgerBusy, Malformed, Overloaded, TengeError, TooLarge, Unreachable
from cbdc.limits import MAX_BATCH, MAX_BATCH_BYTES, MAX_MESSAGE_BYTES, MAX_QUEUED, MAX_QUEUED_BYTES
from cbdc.log.receipts import Receipt
from cbdc.service import verifiers
from cbdc.service.decider import Decider
from cbdc.service.groups import Decided, Group, Submission
from cbdc.service.horizon import Horizon
from cbdc.service.verifiers import Verifier
from cbdc.service.writer import Faults, Identity, LedgerDied, Writer
from cbdc.store.sqlite import SqliteStore

log = logging.getLogger(__name__)

_STOP: Final = None
_GROUPS_AHEAD: Final = 2
"""Groups between intake and decider: one being verified while one is decided."""


class Ledger:
    """A running ledger on a store. Use it as a context manager, or `close` it."""

    def __init__(
        self,
        store: SqliteStore,
        identity: Identity,
        *,
        clock: Callable[[], int] = lambda: int(time.time()),
        verifier: Verifier | None = None,
        faults: Faults | None = None,
    ) -> None:
        self.store = store
        self.identity = identity
        self._verifier = verifier or verifiers.threads()
        self._writer = Writer(store, identity, faults)
        self._reader = SqliteStore.read(store.path, caching=True)
        self.horizon = Horizon(clock)
        self._decider = Decider(self._reader, self._writer, self.horizon)
        self._submissions: queue.SimpleQueue[Submission | list[Submission] | None] = queue.SimpleQueue()
        self._groups: queue.Queue[Group | None] = queue.Queue(_GROUPS_AHEAD)
        self._decided: queue.Queue[tuple[Decided, Group] | None] = queue.Queue()
        self._bytes_held = 0
        self._stopped: str | None = None
        self._closing = False
        self._closed = threading.Event()
        self._gate = threading.Lock()
        self._threads = [
            threading.Thread(target=run, name=run.__name__.strip("_"), daemon=True)
            for run in (self._intake, self._decide, self._write)
        ]
        for thread in self._threads:
            thread.start()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Finish what is queued, then stop and let go of the store; whoever comes second waits until that is done.

        Raises:
            LedgerBusy: called from an answer's callback, which would wait for itself; nothing has changed.
        """
        if threading.current_thread() in self._threads:
            raise LedgerBusy("a ledger cannot be closed from an answer's callback", path=self.store.path)
        with self._gate:
            is_second, self._closing = self._closing, True
        if is_second:
            self._closed.wait()
            return
        try:
            self._submissions.put(_STOP)
            for thread in self._threads:
                thread.join()
            self._verifier.close()
            self._reader.close()
            self.store.close()
        finally:
            self._closed.set()

    # --- bytes in ------------------------------------------------------------------------------

    def submit(self, raw: bytes) -> Future[Receipt]:
        """Take a message in. The future holds its receipt, or the typed error that refused it.

        Raises:
            Malformed: not bytes. TooLarge: above `MAX_MESSAGE_BYTES`. Overloaded: too many messages wait, or too many
                bytes of messages without an answer. Unreachable: the ledger has stopped.
        """
        if not isinstance(raw, bytes | bytearray | memoryview):
            raise Malformed("a message is bytes", found=type(raw).__name__)
        size = memoryview(raw).nbytes
        if size > MAX_MESSAGE_BYTES:
            raise TooLarge("message too long", found=size, limit=MAX_MESSAGE_BYTES)
        answer: Future[Receipt] = Future()
        answer.set_running_or_notify_cancel()  # a message that is on its way cannot be called back
        with self._gate:  # nothing is queued behind the end
            if self._closing or self._stopped is not None:
                raise Unreachable("the ledger has stopped", reason=self._stopped or "closed")
            if self._submissions.qsize() >= MAX_QUEUED:
                raise Overloaded("the ledger's queue is full, try again", limit=MAX_QUEUED)
            if self._bytes_held + size > MAX_QUEUED_BYTES:
                raise Overloaded("the ledger holds too many bytes of messages, try again", limit=MAX_QUEUED_BYTES)
            self._bytes_held += size
            self._submissions.put(Submission(bytes(raw), answer))
        return answer

    def _release(self, size: int) -> None:
        """Messages of so many bytes in all have their answers."""
        with self._gate:
            self._bytes_held -= size

    # --- decode and verify ---------------------------------------------------------------------

    def _intake(self) -> None:
        stopping = False
        while not stopping:
            group, behind = self._take()
            stopping = behind is _STOP
            for submissions in (group, behind):
                if submissions:
                    self._groups.put(self._start_verifying(submissions))
        self._groups.put(_STOP)

    def _take(self) -> tuple[list[Submission], list[Submission] | None]:
        """What is waiting, up to a group's size in messages and in bytes, and what came behind that but apart from it.

        The latter is nothing, a group that is tried again, or the end.
        """
        group: list[Submission] = []
        size_bytes = 0
        # only this thread takes, so what is counted as waiting is there
        waiting = 1
        while waiting and len(group) < MAX_BATCH and size_bytes < MAX_BATCH_BYTES:
            submission = self._submissions.get()
            if not isinstance(submission, Submission):
                return group, submission
            group.append(submission)
            size_bytes += len(submission.raw)
            waiting = self._submissions.qsize()
        return group, []

    def _start_verifying(self, submissions: list[Submission]) -> Group:
        try:
            outcomes = self._verifier.start([submission.raw for submission in submissions], self.identity.network)
        except Exception as error:  # noqa: BLE001 - a broken pool must reach the submitters, not end the thread
            broken: Future[list[verifiers.Outcome]] = Future()
            broken.set_exception(error)
            outcomes = [broken]
        return Group(submissions, outcomes)

    # --- apply ---------------------------------------------------------------------------------

    def _decide(self) -> None:
        while (group := self._groups.get()) is not _STOP:
            try:
                if self._stopped is not None:
                    raise Unreachable("the ledger has stopped", reason=self._stopped)
                decided = self._decider.decide(group.submissions, _as_they_come(group.outcomes))
                self._decided.put((decided, group))
            except Exception as error:  # noqa: BLE001 - whatever it is, the submitters learn of it
                _refuse(group, _typed(error, "the group could not be decided", group))
                self._release(group.size)
        self._decided.put(_STOP)

    # --- commit, log, answer -------------------------------------------------------------------

    def _write(self) -> None:
        while (taken := self._decided.get()) is not _STOP:
            decided, group = taken
            waits_again = False
            try:
                if self._stopped is not None:
                    raise Unreachable("the ledger has stopped", reason=self._stopped)
                self._writer.write(decided)
            except LedgerDied:
                self._stopped = "died"
                decided.refuse_all(Unreachable("the ledger died; ask again"))
            except Exception as error:  # noqa: BLE001 - whatever it is, the submitters learn of it
                waits_again = self._try_again(self._parts(group, error))
                if not waits_again:
                    decided.refuse_all(_typed(error, "the group could not be committed", group))
            finally:
                self.horizon.end(decided.time_s)
                decided.written.set()
            if not waits_again:
                self._release(group.size)

    def _parts(self, group: Group, error: Exception) -> list[list[Submission]]:
        """A message that does not fit decides nothing for the others: its group is tried again by halves, and what was
        decided on top of that as a whole."""
        messages, half = group.submissions, len(group.submissions) // 2
        if isinstance(error, InvariantViolation):
            return [messages[:half], messages[half:]] if half else []
        return [messages] if isinstance(error, Unreachable) and self._writer.was_misfit else []

    def _try_again(self, groups: list[list[Submission]]) -> bool:
        """Queue groups behind all that waits, if there are any and the ledger goes on."""
        with self._gate:  # nothing is queued behind the end
            if self._closing or self._stopped is not None:
                return False
            for group in groups:
                self._submissions.put(group)
            return bool(groups)


def _as_they_come(parts: Iterable[Future[list[verifiers.Outcome]]]) -> Iterator[list[verifiers.Outcome]]:
    """Outcomes in order, as many at a time as are there."""
    waiting = deque(parts)
    while waiting:
        outcomes = waiting.popleft().result()
        while waiting and waiting[0].done():
            outcomes = outcomes + waiting.popleft().result()
        yield outcomes


def _typed(error: Exception, what: str, group: Group) -> TengeError:
    """The error itself if it is one of ours and not one message's alone; else that nothing was decided."""
    is_of_one = isinstance(error, InvariantViolation) and len(group.submissions) > 1
    if isinstance(error, TengeError) and not is_of_one:
        return error
    log.error(what, exc_info=error)
    return Unreachable(what, reason=type(error).__name__)


def _refuse(group: Group, error: TengeError) -> None:
    for submission in group.submissions:
        if not submission.answer.done():
            submission.answer.set_exception(error)


__all__ = ["Identity", "Ledger", "LedgerDied"]
