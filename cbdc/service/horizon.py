"""How late a trust list may be numbered: never after a group that is decided, or being decided, and not on disk yet.

Such a group has a ledger time already and may hold a revocation, which no reader sees before the commit. A list that
was numbered later and does not name it would put every honest payee who holds it at fault (docs/adr/0008).
"""

from __future__ import annotations

import threading
from collections.abc import Callable


class Horizon:
    """Shared by the ledger, which says when groups begin and end, and those who sign lists. Times are ledger seconds.

    Both read the clock under one lock, so that no list is numbered between a group's look at it and its being known.
    """

    def __init__(self, clock: Callable[[], int]) -> None:
        self._clock = clock
        self._gate = threading.Lock()
        self._open: list[int] = []
        self._given_s = 0

    def begin(self, head_s: int) -> int:
        """The time of a group that begins on top of entries of ``head_s``: never before a list that was given out."""
        with self._gate:
            time_s = max(self._clock(), head_s, self._given_s)
            self._open.append(time_s)
            return time_s

    def end(self, time_s: int) -> None:
        """A group of this time is on disk, or will never be."""
        with self._gate:
            self._open.remove(time_s)

    def list_time_s(self, committed_s: int) -> int:
        """The number for a list, of which the state is to be read *afterwards*.

        ``committed_s`` is the time of the last committed entry: every group that is not on disk has at least that.
        """
        with self._gate:
            self._given_s = max(committed_s, min([self._clock(), *self._open]), self._given_s)
            return self._given_s
