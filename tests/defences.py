"""Take the defences out, one by one, and see that each case's scenario or test notices: ``make defences``.

`tests.catalogue` says for every case of docs/offline.md what defends it and what must fail without. It is taken out
in a copy of the project (`tests.mutation`). A defence that nobody misses, an edit that no longer applies, or a test
that fails as it is fail the run.

    python -m tests.defences [--case N] [--jobs N]
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import time
from collections.abc import Iterable
from dataclasses import dataclass

from tests.catalogue import CASES, Defence
from tests.mutation import ROOT, Tree, on_trees

PACKAGES = ("cbdc", "wallet", "tui")
SCENARIO = "tests/scenarios/test_shipped.py::test_it_passes"


@dataclass(frozen=True)
class Outcome:
    """A case's defence, and which of its scenarios and tests did not miss it, or that the edit does not apply."""

    case: int
    defence: Defence
    unmoved: tuple[str, ...]
    is_stale: bool = False

    def __str__(self) -> str:
        fate = ", ".join(f"{name} PASSES WITHOUT" for name in self.unmoved) or f"killed by {', '.join(self.killers)}"
        fate = "THE EDIT NO LONGER APPLIES" if self.is_stale else fate
        return f"case {self.case:2}  {self.defence.words} [{self.defence.path}]  ->  {fate}"

    @property
    def killers(self) -> list[str]:
        return [re.sub(r"^.*::", "", name) for name in self.defence.kills]

    @property
    def is_good(self) -> bool:
        return not self.unmoved and not self.is_stale


def node(name: str) -> str:
    """What pytest calls a scenario or a test of the table."""
    return name if "::" in name else f"{SCENARIO}[{name}]"


def missed(tree: Tree, names: Iterable[str]) -> set[str]:
    """Which of these scenarios and tests fail in a tree as it is now.

    Raises:
        SystemExit: a module could not even be imported, which shows nothing.
    """
    failed = tree.failures(*dict.fromkeys(map(node, names)))
    if any("::" not in name and not name.startswith("(") for name in failed):
        raise SystemExit(f"an edit broke more than its defence: {failed}")
    endless = any(name.startswith("(") for name in failed)
    failed += [name.partition("[")[0] for name in failed]
    return {name for name in names if endless or node(name) in failed}


def outcome(tree: Tree, item: tuple[int, Defence]) -> Outcome:
    """Take one defence out and run what must fail."""
    case, defence = item
    source = defence.without((tree.root / defence.path).read_text(encoding="utf-8"))
    if source is None:
        return Outcome(case, defence, (), is_stale=True)
    with tree.changed(defence.path, source):
        noticed = missed(tree, defence.kills)
    return Outcome(case, defence, tuple(name for name in defence.kills if name not in noticed))


def main() -> int:
    parser = argparse.ArgumentParser(description="Take the defences out and see that each case's tests notice.")
    parser.add_argument("--case", type=int, action="append", help="only this case; may be repeated")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1, help="defences at a time (default: cores)")
    options = parser.parse_args()
    wanted = [(case, one) for case, all_of in CASES.items() if case in (options.case or CASES) for one in all_of]
    started_s = time.monotonic()
    names = sorted({name for _, defence in wanted for name in defence.kills})
    parts = [names[start :: options.jobs] for start in range(options.jobs)]
    failing = sorted(set().union(*on_trees(missed, [part for part in parts if part], options.jobs, PACKAGES)))
    for name in failing:
        print(f"fails with every defence in place: {name}")
    bad = len(failing)
    for done in on_trees(outcome, wanted if not failing else [], options.jobs, PACKAGES):
        print(done, flush=True)
        bad += not done.is_good
    cases = len({case for case, _ in wanted})
    took_s = time.monotonic() - started_s
    print(f"{cases} cases, {len(wanted)} defences, {bad} not shown, {took_s:.0f} s, in copies of {ROOT}")
    return 1 if bad else 0


if __name__ == "__main__":
    sys.exit(main())
