"""Entering sweeps: what is due moves, and a token that may not move holds up no other one."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from typing import Final

from cbdc.errors import FileTrouble, InvariantViolation, LedgerBusy, LedgerCorrupt, TengeError, Unreachable
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_SWEEP
from cbdc.messages.bodies import Sweep
from cbdc.messages.message import build

_log = logging.getLogger(__name__)

_TROUBLE: Final = (FileTrouble, InvariantViolation, LedgerBusy, LedgerCorrupt, Unreachable)
"""What is no word about the tokens: fewer of them would fare no better."""


def enter_sweeps(names: Sequence[bytes], network: bytes, submit: Callable[[bytes], object]) -> int:
    """Sweep these tokens together; where that is refused, halve by halve, down to those that may not move. How many
    moved.

    ``submit`` returns once a message is entered, and raises what refused it. What one token's move changes may keep
    another where it is: a payment that lapses frees its payer's period.

    Raises:
        TengeError: the ledger has stopped, or cannot be reached.
    """
    left_out = _left_out(names, network, submit)
    if left_out:
        name, error = left_out[0]
        _log.warning("not swept: %d of %d tokens, the first %s: %s", len(left_out), len(names), name.hex(), error)
    return len(names) - len(left_out)


def _left_out(
    names: Sequence[bytes], network: bytes, submit: Callable[[bytes], object]
) -> list[tuple[bytes, TengeError]]:
    """Sweep these; those that may not move, and why."""
    if not names:
        return []
    if len(names) <= MAX_SWEEP:
        try:
            submit(build(Kind.SWEEP, Sweep(tuple(names)), [], network))
            return []
        except _TROUBLE:
            raise
        except TengeError as error:
            if len(names) == 1:
                return [(names[0], error)]
    half = len(names) // 2
    return [found for part in (names[:half], names[half:]) for found in _left_out(part, network, submit)]
