"""Chance and time of a scenario: everything comes from the file, so that the same file gives the same roots."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable
from dataclasses import dataclass


class SeededRandom:
    """A byte stream that depends on the scenario's seed and a name only."""

    def __init__(self, seed: int, name: str) -> None:
        self.seed = seed
        self.name = name
        self._state = hashlib.sha256(f"tenge scenario {seed} {name}".encode()).digest()
        self._count = 0

    def __call__(self, length: int) -> bytes:
        self._count += 1
        return hashlib.shake_256(self._state + self._count.to_bytes(8, "big")).digest(length)

    def another(self, name: str) -> SeededRandom:
        """A stream of another name from the same seed."""
        return SeededRandom(self.seed, name)


class ManualClock:
    """Ledger time and the devices' clocks: they move when a scenario says so."""

    def __init__(self, now_s: int) -> None:
        self.now_s = now_s

    def __call__(self) -> int:
        return self.now_s


@dataclass
class DeviceClock:
    """One device's clock: the economy's, and by how much it is wrong (seconds)."""

    right: ManualClock
    skew_s: int = 0

    def __call__(self) -> int:
        return self.right() + self.skew_s


def business_number(random: Callable[[int], bytes]) -> str:
    """A BIN with its check digit: the sum with weights 1..11 modulo 11, and with 3..11, 1, 2 where that gives 10."""
    while True:
        digits = [byte % 10 for byte in random(11)]
        check = _weighted(digits, range(1, 12))
        if check == 10:
            check = _weighted(digits, (3, 4, 5, 6, 7, 8, 9, 10, 11, 1, 2))
        if check < 10:
            return "".join(map(str, [*digits, check]))


def _weighted(digits: list[int], weights: Iterable[int]) -> int:
    return sum(digit * weight for digit, weight in zip(digits, weights, strict=True)) % 11
