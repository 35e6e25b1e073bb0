"""What comes back from another process is read as what was asked for, or refused with a typed error."""

from __future__ import annotations

from contextlib import suppress

import pytest

from cbdc.errors import TengeError
from cbdc.service.wire import LEDGER_CALLS

NO_ANSWERS = {
    "nesting without end": b"\x81" * 100_000 + b"\0",
    "tags without end": b"\xd8\x1c" * 1000 + b"\0",
    "an infinite date": b"\xc1\xfb\x7f\xf0\0\0\0\0\0\0",
    "a broken expression": b"\xd8\x23\x61(",
    "a fraction too large": b"\xc4\x82\x1b" + b"\xff" * 8 + b"\x01",
    "nothing": b"",
}


@pytest.mark.parametrize("answer", NO_ANSWERS.values(), ids=NO_ANSWERS)
@pytest.mark.parametrize("call", LEDGER_CALLS)
def test_whatever_a_decoder_stumbles_over_is_a_typed_error(call: str, answer: bytes) -> None:
    """A ledger that answers with nonsense must not end the wallet's program."""
    with suppress(TengeError):  # some calls take any bytes, and look at them later
        LEDGER_CALLS[call].result(answer)
