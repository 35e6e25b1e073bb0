"""Rates, and the raw signature verification of the same minutes that they are compared with."""

from __future__ import annotations

import hashlib
import multiprocessing
import os
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Final

from cbdc.errors import InvariantViolation
from cbdc.formats.ed25519 import SigningKey, is_valid

_SLICE_S: Final = 0.3


class Raw:
    """Strict Ed25519 verification alone, in slices between the other measurements.

    Machines change their speed by the minute; a ratio is to the slices just before and after what was measured.
    """

    def __init__(self) -> None:
        self._cores = os.cpu_count() or 1
        self._pool = multiprocessing.get_context("forkserver").Pool(self._cores)
        self._pool.map(_verify_for, [0.05] * self._cores, chunksize=1)
        self._one: list[float] = []
        self._all: list[float] = []

    def __enter__(self) -> Raw:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.terminate()
        self._pool.join()

    def slice(self) -> float:
        """Verifications per second on all cores, just now: the better of threads and processes."""
        self._one.append(_verify_for(_SLICE_S) / _SLICE_S)
        with ThreadPoolExecutor(self._cores) as threads:
            in_threads = sum(threads.map(_verify_for, [_SLICE_S] * self._cores))
        in_processes = sum(self._pool.map(_verify_for, [_SLICE_S] * self._cores, chunksize=1))
        self._all.append(max(in_threads, in_processes) / _SLICE_S)
        return self._all[-1]

    def forget(self) -> None:
        """Leave out the slices of the warming up."""
        self._one.clear()
        self._all.clear()

    def mean(self) -> dict[str, float | int]:
        return {
            "verify_per_s_one_thread": sum(self._one) / len(self._one),
            "verify_per_s_all_cores": sum(self._all) / len(self._all),
        }


def _verify_for(seconds: float) -> int:
    """Verifications of distinct 200-byte messages done within a time."""
    key = SigningKey(hashlib.sha256(b"tenge bench raw").digest())
    signed = [(message := i.to_bytes(200, "big"), key.sign(message)) for i in range(64)]
    done, until = 0, time.perf_counter() + seconds
    while time.perf_counter() < until:
        for message, signature in signed:
            if not is_valid(key.public, message, signature):
                raise InvariantViolation("a genuine signature did not verify")
        done += len(signed)
    return done


@dataclass(frozen=True, slots=True)
class Round:
    """Some messages handed in together: how many (transfers or hops), in how long, each one's wait, raw beside it."""

    count: int
    taken_s: float
    waits_ms: list[float]
    raw_per_s: float

    @property
    def ratio(self) -> float:
        return self.count / self.taken_s / self.raw_per_s


@dataclass(frozen=True, slots=True)
class Throughput:
    """What some rounds come to: rates, ratios to the raw slices around each, time from submit to receipt."""

    rounds: tuple[Round, ...]

    @property
    def per_s(self) -> float:
        return sum(r.count for r in self.rounds) / sum(r.taken_s for r in self.rounds)

    @property
    def ratio(self) -> float:
        """All that was done, to all that raw verification would have done in the same time."""
        return sum(r.count for r in self.rounds) / sum(r.taken_s * r.raw_per_s for r in self.rounds)

    @property
    def lowest_ratio(self) -> float:
        return min(r.ratio for r in self.rounds)

    @property
    def highest_ratio(self) -> float:
        return max(r.ratio for r in self.rounds)

    @property
    def p50_ms(self) -> float:
        return self._wait_ms(0.5)

    @property
    def p99_ms(self) -> float:
        return self._wait_ms(0.99)

    def _wait_ms(self, quantile: float) -> float:
        waits_ms = sorted(wait for r in self.rounds for wait in r.waits_ms)
        return waits_ms[int(len(waits_ms) * quantile)]
