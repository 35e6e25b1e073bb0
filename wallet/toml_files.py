"""TOML files that people write: read in bounds, with errors that name the file."""

from __future__ import annotations

import tomllib
from collections.abc import Callable
from pathlib import Path
from typing import Any, TypeVar

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.limits import MAX_SCENARIO_BYTES

T = TypeVar("T")


def read_toml(path: Path, what: str, parse: Callable[[dict[str, Any]], T]) -> T:
    """What ``parse`` makes of a file; ``what`` it is ("scenario") is for the message.

    Raises:
        Malformed: not TOML, or what ``parse`` refuses; the message names the file. TooLarge: above
        `MAX_SCENARIO_BYTES`. OSError.
    """
    if path.stat().st_size > MAX_SCENARIO_BYTES:
        raise TooLarge(f"{what} file too long", limit=MAX_SCENARIO_BYTES)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or numbers and nesting beyond any reader
        raise Malformed("not a TOML file", path=path, reason=str(error)) from None
    try:
        return parse(data)
    except FormError as error:
        raise type(error)(f"{path.name}: {error.message}", **error.values) from None
