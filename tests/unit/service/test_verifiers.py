"""Chunks of work for the verifying workers."""

from __future__ import annotations

from concurrent.futures import Executor, Future
from typing import Any

import pytest

from cbdc.limits import MAX_MESSAGE_BYTES
from cbdc.service.verifiers import PoolVerifier


class Noting(Executor):
    """Runs nothing; notes the lengths of the messages in each chunk."""

    def __init__(self) -> None:
        self.chunks: list[list[int]] = []

    def submit(self, _: Any, messages: list[bytes], *__: Any) -> Future[Any]:  # type: ignore[override]
        self.chunks.append([len(raw) for raw in messages])
        return Future()


@pytest.mark.parametrize(
    ("lengths", "chunks"),
    [
        ([], []),
        ([300] * 64, [[300] * 64]),
        ([300] * 65, [[300] * 64, [300]]),
        ([100_000] * 3, [[100_000]] * 3),
        ([300, 32_468, 300], [[300, 32_468], [300]]),
        ([300, 32_467, 300], [[300, 32_467, 300]]),
        ([MAX_MESSAGE_BYTES], [[MAX_MESSAGE_BYTES]]),
    ],
    ids=["none", "one chunk", "one more", "letters of evidence", "at the bound", "below the bound", "the largest"],
)
def test_chunks_are_bounded_in_messages_and_in_bytes(lengths: list[int], chunks: list[list[int]]) -> None:
    noting = Noting()
    futures = PoolVerifier(lambda: noting).start([bytes(length) for length in lengths], bytes(32))
    assert noting.chunks == chunks
    assert len(futures) == len(chunks)
