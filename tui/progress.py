"""How far a long reading of the log has come: on the error stream, at a terminal only."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.progress import Progress, TextColumn

from tui.output import err


@contextmanager
def entries_done(doing: str, as_json: bool) -> Iterator[Callable[[int, int], None]]:
    """What is to be called with (entries done, entries in all)."""
    columns = (*Progress.get_default_columns(), TextColumn("{task.completed} entries"))
    with Progress(*columns, console=err, transient=True, disable=as_json or not err.is_terminal) as progress:
        task = progress.add_task(doing, total=None)
        yield lambda done, total: progress.update(task, completed=done, total=total)
