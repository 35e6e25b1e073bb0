"""Other ways to write the same CBOR, made at the level of bytes: an encoder that is not the ledger's."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import cbor2


class Head(NamedTuple):
    """The head of one data item: where it stands, its major type, its argument, and where what follows begins."""

    start: int
    major: int
    argument: int
    end: int


def heads(data: bytes) -> Iterator[Head]:
    """The head of every item in canonical CBOR, contents of byte strings not looked into."""
    at = 0
    while at < len(data):
        major, info = data[at] >> 5, data[at] & 31
        width = 0 if info < 24 else 1 << (info - 24)
        end = at + 1 + width
        argument = info if info < 24 else int.from_bytes(data[at + 1 : end], "big")
        yield Head(at, major, argument, end)
        at = end + (argument if major in (2, 3) else 0)


def longer_heads(data: bytes) -> Iterator[bytes]:
    """The same value with one number or length written wider than needed, for every place and width."""
    for head in heads(data):
        if head.major == 7:
            continue
        for info, width in ((24, 1), (25, 2), (26, 4), (27, 8)):
            if width > head.end - head.start - 1 and head.argument < 1 << 8 * width:
                wider = bytes((head.major << 5 | info,)) + head.argument.to_bytes(width, "big")
                yield data[: head.start] + wider + data[head.end :]


def indefinite(data: bytes) -> Iterator[bytes]:
    """The same value with the outermost array, or one of its strings, of indefinite length."""
    for head in heads(data):
        if head.major in (2, 3):
            chunk = data[head.start : head.end + head.argument]
            begin = bytes((head.major << 5 | 31,))
            yield data[: head.start] + begin + chunk + b"\xff" + data[head.end + head.argument :]
    first = next(heads(data))
    if first.major in (4, 5):
        yield bytes((first.major << 5 | 31,)) + data[first.end :] + b"\xff"


def reordered_maps(value: object) -> Iterator[bytes]:
    """The encodings of a value with one of its maps backwards."""
    canonical = cbor2.dumps(value, canonical=True)
    for order in (dict_backwards(value), dict_backwards(value, inner_only=True)):
        spelled = cbor2.dumps(order)
        if spelled != canonical:
            yield spelled


def dict_backwards(value: object, *, inner_only: bool = False) -> object:
    """A value with the entries of its maps the other way round."""
    if isinstance(value, list):
        return [dict_backwards(item, inner_only=inner_only) for item in value]
    if isinstance(value, dict):
        items = sorted(value.items(), key=lambda item: cbor2.dumps(item[0], canonical=True), reverse=not inner_only)
        return {key: dict_backwards(item) for key, item in items}
    return value
