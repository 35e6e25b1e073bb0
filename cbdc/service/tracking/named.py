"""Which purpose somebody means."""

from __future__ import annotations

from typing import Final

from cbdc.errors import Malformed
from cbdc.formats.hashing import HASH_BYTES
from cbdc.purposes.definition import Definition
from cbdc.state.records import Table
from cbdc.store.base import Store
from cbdc.transition.draft import parsed_definition

LEAST_DIGITS: Final = 8
"""Of an id that is given in part: so many hex digits at least."""


def find_purpose(store: Store, named: str) -> tuple[bytes, Definition]:
    """The purpose of this name, or of this id in hex, whole or its first digits.

    Raises:
        Malformed: there is none, ``known`` says which there are; or several, ``ids`` says which.
    """
    known = {key[1]: parsed_definition(value) for key, value in store.records(Table.PURPOSE)}
    found = [purpose for purpose, definition in known.items() if definition.name == named]
    found = found or [purpose for purpose in known if _is_id(named) and purpose.hex().startswith(named.lower())]
    if not found:
        names = ", ".join(sorted({definition.name for definition in known.values()}))
        raise Malformed("no such purpose is known", found=named[:80], known=names or "none")
    if len(found) > 1:
        ids = ", ".join(purpose.hex() for purpose in sorted(found))
        raise Malformed("several purposes are called so: give an id", purpose=named, ids=ids)
    return found[0], known[found[0]]


def _is_id(text: str) -> bool:
    return LEAST_DIGITS <= len(text) <= 2 * HASH_BYTES and all(digit in "0123456789abcdefABCDEF" for digit in text)
