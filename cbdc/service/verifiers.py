"""Who decodes and verifies: threads in this process, or worker processes for a busy ledger.

Decoding and verification need no state, so any worker can do them. libsodium releases the interpreter's lock
while it verifies, so threads suffice where the ledger is embedded; under load the deciding thread keeps that
lock busy, and processes use the other cores fully. See docs/adr/0007-pipeline.md.
"""

from __future__ import annotations

import gc
import logging
import multiprocessing
import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import BrokenExecutor, Executor, Future, ProcessPoolExecutor, ThreadPoolExecutor
from typing import Final, Protocol, TypeAlias

from cbdc.errors import InvariantViolation, TengeError
from cbdc.messages.message import Verified, decode, verify

log = logging.getLogger(__name__)

Outcome: TypeAlias = Verified | TengeError
_CHUNK: Final = 64
"""Messages sent to a worker at a time: some milliseconds of work, so that sending costs little beside it."""

_CHUNK_BYTES: Final = 32_768
"""Bytes after which a chunk is closed, so that several letters of evidence go to several workers."""


class Verifier(Protocol):
    """Turns message bytes into verified messages or typed errors, many at once."""

    def start(self, messages: Sequence[bytes], network: bytes) -> list[Future[list[Outcome]]]:
        """Begin; the futures hold the outcomes in order, a chunk of messages each."""

    def close(self) -> None:
        """Stop the workers."""


class PoolVerifier:
    """Verifies in an executor, in chunks. ``make`` starts a new one in place of one whose worker was killed."""

    def __init__(self, make: Callable[[], Executor]) -> None:
        self._make = make
        self._executor = make()

    def start(self, messages: Sequence[bytes], network: bytes) -> list[Future[list[Outcome]]]:
        chunks = list(_chunks(messages))
        try:
            return self._submit(chunks, network)
        except BrokenExecutor as error:
            # What was at work when the worker died is refused by its futures; this group has not begun. Once only:
            # a pool that breaks again at once must reach the submitters.
            log.warning("a verifying worker died, new ones are started", exc_info=error)
            self._executor.shutdown(wait=False, cancel_futures=True)
            self._executor = self._make()
            return self._submit(chunks, network)

    def close(self) -> None:
        self._executor.shutdown(wait=True, cancel_futures=True)

    def _submit(self, chunks: list[list[bytes]], network: bytes) -> list[Future[list[Outcome]]]:
        return [self._executor.submit(verify_all, chunk, network) for chunk in chunks]


def _chunks(messages: Sequence[bytes]) -> Iterator[list[bytes]]:
    """The messages in order, some milliseconds of work at a time."""
    chunk: list[bytes] = []
    size_bytes = 0
    for raw in messages:
        chunk.append(raw)
        size_bytes += len(raw)
        if len(chunk) == _CHUNK or size_bytes >= _CHUNK_BYTES:
            yield chunk
            chunk, size_bytes = [], 0
    if chunk:
        yield chunk


def threads(workers: int | None = None) -> PoolVerifier:
    """Workers as threads of this process; the default."""
    return PoolVerifier(lambda: ThreadPoolExecutor(workers or os.cpu_count() or 1, thread_name_prefix="verify"))


def processes(workers: int | None = None) -> PoolVerifier:
    """Workers as processes, one fewer than there are cores: the ledger itself keeps one busy."""
    count = workers or max(1, (os.cpu_count() or 2) - 1)
    context = multiprocessing.get_context("forkserver")
    return PoolVerifier(lambda: ProcessPoolExecutor(count, mp_context=context, initializer=collect_rarely))


def collect_rarely() -> None:
    """For a process of the ledger's own: what it loaded stays for good, what it makes has no cycles: collect rarely."""
    gc.freeze()
    gc.set_threshold(100_000, 20, 100)


def verify_all(messages: list[bytes], network: bytes) -> list[Outcome]:
    """Decode and verify each message; a refusal is an outcome like any other."""
    return [_verify(raw, network) for raw in messages]


def _verify(raw: bytes, network: bytes) -> Outcome:
    try:
        return verify(decode(raw, network))
    except TengeError as error:
        return error
    except Exception as error:
        log.exception("a message could not be decoded")
        return InvariantViolation("decoding failed", reason=type(error).__name__)
