"""Where the `tenge` program begins: Ctrl-C ends it in silence also while the rest is still being read."""

from __future__ import annotations

import sys

_ENDED_BY_SIGINT = 130


def main() -> None:
    """Read the commands and run what was typed."""
    try:
        from tui.main import main as run  # noqa: PLC0415 - what may be interrupted

        run()
    except KeyboardInterrupt:
        sys.exit(_ENDED_BY_SIGINT)
