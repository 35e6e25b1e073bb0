"""Secure elements whose key comes from the scenario's seed: in this process, or in one of their own.

A real element draws its key itself; here the same file must give the same roots.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from wallet.element import ElementProcess, SimulatedElement
from wallet.element.server import Session, run
from wallet.scenarios.chance import SeededRandom
from wallet.vault import KdfCost


def _element_chance(chance: str) -> str:
    """The name of an element's random numbers beside its wallet's."""
    return f"{chance} element"


class SeededElements:
    """Makes and opens elements in this process; ``random`` is their wallet's chance."""

    def __init__(self, random: SeededRandom) -> None:
        self._random = random.another(_element_chance(random.name))

    def create(
        self,
        path: Path,
        pin: str,
        network: bytes,
        *,
        cost: KdfCost | None = None,
        random: Callable[[int], bytes] = os.urandom,  # noqa: ARG002 - an element has numbers of its own
    ) -> SimulatedElement:
        return SimulatedElement.create(path, pin, network, cost=cost, random=self._random)

    def open(self, path: Path, pin: str) -> SimulatedElement:
        return SimulatedElement.open(path, pin)


def seeded_element_processes(random: SeededRandom) -> type[ElementProcess]:
    """Makes and opens elements in processes of their own, each told the seed and the name of its numbers; ``random``
    is their wallet's chance."""

    class SeededElementProcess(ElementProcess):
        MODULE: ClassVar[str] = "wallet.scenarios.wallets.elements"
        ARGUMENTS: ClassVar[tuple[str, ...]] = (str(random.seed), _element_chance(random.name))

    return SeededElementProcess


def main() -> int:
    """Serve the wallet at the other end of standard input."""
    path, seed, name = sys.argv[1:]
    return run(Session(Path(path), SeededRandom(int(seed), name)))


if __name__ == "__main__":
    sys.exit(main())
