"""Amounts of money: integers of tiyn (1 tenge = 100 tiyn). No float comes near them."""

from __future__ import annotations

import re

from cbdc.errors import Malformed, TooLarge
from cbdc.limits import MAX_AMOUNT_TIYN

TIYN_PER_TENGE = 100
_SPACES = str.maketrans("", "", " \u00a0\u2009\u202f")
_AMOUNT = re.compile(r"([0-9]{1,16})(?:\.([0-9]{2}))?", re.ASCII)


def parse_tenge(text: str) -> int:
    """Read an amount such as ``"1 500"`` or ``"1500.50"`` (tenge) as tiyn.

    Raises:
        Malformed: not digits, optionally grouped by spaces, with two decimals or none.
        TooLarge: above `MAX_AMOUNT_TIYN`.
    """
    if text.strip().startswith(("-", "\u2212")):
        raise Malformed("an amount of tenge is not less than nothing", found=text[:64])
    found = _AMOUNT.fullmatch(text.translate(_SPACES)) if len(text) <= 64 else None
    if found is None:
        raise Malformed("not an amount of tenge", found=text[:64])
    amount_tiyn = int(found[1]) * TIYN_PER_TENGE + int(found[2] or 0)
    if amount_tiyn > MAX_AMOUNT_TIYN:
        raise TooLarge("amount above the limit", found=text, limit=format_tenge(MAX_AMOUNT_TIYN))
    return amount_tiyn


def format_tenge(amount_tiyn: int) -> str:
    """Write tiyn as tenge without separators, two decimals always: ``150000 -> "1500.00"``."""
    sign = "-" if amount_tiyn < 0 else ""
    tenge, tiyn = divmod(abs(amount_tiyn), TIYN_PER_TENGE)
    return f"{sign}{tenge}.{tiyn:02d}"


def show_tenge(amount_tiyn: int) -> str:
    """Write tiyn for people: thin spaces between thousands, decimals only if there are any, and the tenge sign."""
    sign = "-" if amount_tiyn < 0 else ""
    tenge, tiyn = divmod(abs(amount_tiyn), TIYN_PER_TENGE)
    whole = f"{tenge:,}".replace(",", "\u2009")
    return f"{sign}{whole}.{tiyn:02d}\u00a0₸" if tiyn else f"{sign}{whole}\u00a0₸"
