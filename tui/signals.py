"""Ctrl-C and SIGTERM: a command that waits for others ends with its files closed and its sockets removed."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType
from typing import Final

ENDED_BY_SIGINT: Final = 128 + signal.SIGINT
ENDED_BY_SIGTERM: Final = 128 + signal.SIGTERM


@contextmanager
def told_to_end() -> Iterator[threading.Event]:
    """An event that Ctrl-C or SIGTERM sets: all they do to a command that waits for it."""
    event = threading.Event()
    with _handling((signal.SIGINT, signal.SIGTERM), lambda *_: event.set()):
        yield event


@contextmanager
def ending_on_sigterm() -> Iterator[None]:
    """SIGTERM unwinds the command, as Ctrl-C does by itself."""

    def leave(_number: int, _frame: FrameType | None) -> None:
        raise SystemExit(ENDED_BY_SIGTERM)

    with _handling((signal.SIGTERM,), leave):
        yield


@contextmanager
def ending_between() -> Iterator[Callable[[], None]]:
    """What is to be called between two steps: it ends the command if Ctrl-C or SIGTERM came meanwhile.

    A step in the middle is finished first; a second signal does not wait for it.
    """
    came: list[int] = []

    def leave() -> None:
        if came and came[0] == signal.SIGINT:
            raise KeyboardInterrupt
        if came:
            raise SystemExit(ENDED_BY_SIGTERM)

    def note(number: int, _frame: FrameType | None) -> None:
        came.append(number)
        if len(came) > 1:
            leave()

    with _handling((signal.SIGINT, signal.SIGTERM), note):
        yield leave


@contextmanager
def _handling(numbers: tuple[signal.Signals, ...], handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)
