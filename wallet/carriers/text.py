"""Clipboard text: a payload that survives mail programs, chat windows and people who select a little too much.

    KZT1T:
    3ID6JHQ7...     base32 (RFC 4648) of check and packed message, 64 characters a line, no padding
    :END

Base45 has blanks, which mail programs break and merge, and only capitals; base32 has neither trouble. What white space,
invisible characters, quote marks, capitals or words around it do to the text is undone; anything else is refused.
"""

from __future__ import annotations

import base64
import binascii
import re
from typing import Final

from cbdc.errors import Malformed, TooLarge
from cbdc.formats.hashing import tagged
from cbdc.limits import MAX_CLIPBOARD_CHARS, MAX_PAYLOAD_TEXT_CHARS
from wallet.protocol import PREFIX, from_text, pack, unpack

BEGIN: Final = "KZT1T:"
END: Final = ":END"
LINE_CHARS: Final = 64
CHECK_BYTES: Final = 8

MAX_PACKED_BYTES: Final = (MAX_PAYLOAD_TEXT_CHARS - len(PREFIX)) // 3 * 2
"""What the longest payload text holds: two bytes in three letters."""

# two marks and no pattern from one to the other, which would search a hostile text once for each beginning in it
_BEGIN: Final = re.compile(BEGIN, re.ASCII | re.IGNORECASE)
_END: Final = re.compile(END, re.ASCII | re.IGNORECASE)
_QUOTES: Final = re.compile(r"^[\s>|]+", re.MULTILINE)
_INVISIBLE: Final = re.compile(r"[\s\u00ad\u200b-\u200f\u2060\ufeff]+")
_LETTERS: Final = re.compile(r"[A-Z2-7]+")


def check_of(packed: bytes) -> bytes:
    """The first 8 bytes of the tagged hash of a packed message: proves it whole, and names it among frames."""
    return tagged("carried", packed)[:CHECK_BYTES]


def to_clipboard(message: bytes) -> str:
    """Clipboard text of a message: lines of at most `LINE_CHARS` characters, the last one without a line break.

    Raises:
        TooLarge: the other device would refuse it.
    """
    return armoured(pack(message))


def armoured(packed: bytes) -> str:
    """Clipboard text of a packed message. Raises TooLarge: the other device would refuse it."""
    if len(packed) > MAX_PACKED_BYTES:
        raise TooLarge("payload too long", found=len(packed), limit=MAX_PACKED_BYTES)
    letters = base64.b32encode(check_of(packed) + packed).decode().rstrip("=")
    lines = (letters[start : start + LINE_CHARS] for start in range(0, len(letters), LINE_CHARS))
    return "\n".join([BEGIN, *lines, END])


def from_clipboard(text: str) -> bytes:
    """The message in pasted text: clipboard text with anything around it, or the bare payload text of a QR code.

    Raises:
        TooLarge: too much text, or a decompression bomb.
        Malformed: no payload in it, more than one, or one that is cut or damaged.
    """
    if len(text) > MAX_CLIPBOARD_CHARS:
        raise TooLarge("pasted text too long", found=len(text), limit=MAX_CLIPBOARD_CHARS)
    if text.lstrip().startswith(PREFIX):
        return from_text(text)
    _, *begun = _BEGIN.split(text)
    if len(begun) > 1:
        raise Malformed("several payloads in the text: paste one at a time", found=len(begun))
    body, *ended = _END.split(begun[0], maxsplit=1) if begun else ("",)
    if not ended:
        raise Malformed("no whole payload in the text: one begins and ends so", begin=BEGIN, end=END)
    return _unwrapped(body)


def _unwrapped(body: str) -> bytes:
    letters = _INVISIBLE.sub("", _QUOTES.sub("", body))
    if not letters.isascii():  # before upper(), which makes ASCII letters out of some that are none
        raise Malformed("damaged on the way: not base32")
    letters = letters.upper()
    if not _LETTERS.fullmatch(letters):
        raise Malformed("damaged on the way: not base32")
    try:
        data = base64.b32decode(letters + "=" * (-len(letters) % 8))
    except binascii.Error:
        raise Malformed("damaged on the way: letters are missing") from None
    if base64.b32encode(data).decode().rstrip("=") != letters:
        raise Malformed("damaged on the way: the last letter has too many bits")
    check, packed = data[:CHECK_BYTES], data[CHECK_BYTES:]
    if check != check_of(packed):
        raise Malformed("damaged on the way: the check does not hold")
    return unpack(packed)
