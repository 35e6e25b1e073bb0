"""Fuzz the readers of outside bytes, guided by coverage: needs atheris, which is no dependency of the project.

    python -m tests.fuzz [--seconds N] [ENTRY ...]

Each entry of `tests.fuzz.entries` runs in a process of its own for so many seconds, beginning with its seeds. What
an entry answers with anything but a value or its own kind of error is printed, and kept in a file beside.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import tempfile
from pathlib import Path

MOST_BYTES, MOST_SECONDS_AN_INPUT, MOST_MB = 16_384, 5, 2_048
NO_ATHERIS = """\
atheris is not installed here. It has wheels for Linux on x86-64 only, so it is an extra of its own:
    .venv/bin/python -m pip install 'atheris>=3.0'
The same readers meet random bytes in every run of the tests: tests/property/test_fuzz.py."""


def fuzz(name: str, seconds: int) -> None:
    """Run one entry until its time is up or something is found; ends the process."""
    import atheris

    with atheris.instrument_imports(include=["cbdc", "wallet"]):
        from tests.fuzz.entries import ENTRIES, check

    with tempfile.TemporaryDirectory(prefix="tenge-fuzz-") as corpus:
        for number, seed in enumerate(ENTRIES[name].seeds()):
            (Path(corpus) / str(number)).write_bytes(seed)
        found = f"fuzz-{name.replace(' ', '-')}-"
        bounds = (f"-max_len={MOST_BYTES}", f"-timeout={MOST_SECONDS_AN_INPUT}", f"-rss_limit_mb={MOST_MB}")
        options = (f"-max_total_time={seconds}", f"-artifact_prefix={found}", "-print_final_stats=1", "-verbosity=0")
        atheris.Setup([sys.argv[0], corpus, *bounds, *options], lambda data: check(name, data))
        atheris.Fuzz()


def names() -> list[str]:
    """All entries, without instrumenting this process."""
    from tests.fuzz.entries import ENTRIES

    return list(ENTRIES)


def main() -> int:
    parser = argparse.ArgumentParser(description="Fuzz the readers of outside bytes, guided by coverage.")
    parser.add_argument("entry", nargs="*", help="only these; all without one")
    parser.add_argument("--seconds", type=int, default=10, help="for each entry (default: 10)")
    parser.add_argument("--alone", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    try:
        import atheris  # noqa: F401 - here only whether it is there
    except ImportError:
        print(NO_ATHERIS, file=sys.stderr)
        return 2
    if options.alone:
        fuzz(options.entry[0], options.seconds)
    known = names()
    unknown = sorted(set(options.entry) - set(known))
    if unknown:
        print(f"no such entry: {', '.join(unknown)}; there are: {', '.join(known)}", file=sys.stderr)
        return 2
    failed = []
    for name in options.entry or known:
        command = [sys.executable, "-m", "tests.fuzz", "--alone", "--seconds", str(options.seconds), name]
        done = subprocess.run(command, check=False, capture_output=True, text=True)
        runs = [line.split()[-1] for line in done.stderr.splitlines() if "number_of_executed_units" in line]
        print(
            f"{name}: {runs[0] if runs else 'no'} inputs, {'nothing found' if not done.returncode else 'FOUND'}",
            flush=True,
        )
        if done.returncode:
            failed.append(name)
            print(done.stdout[-4000:], done.stderr[-4000:], sep="\n", file=sys.stderr)
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
