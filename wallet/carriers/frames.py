"""Numbered frames: a payload that is too long for one code, in several that may come in any order.

    KZF1:CRC:ID/INDEX/COUNT:CHUNK

CRC is the CRC-32 of what follows its colon and ID the first 8 bytes of the tagged hash of the packed message, both in
hex; INDEX counts from 1; CHUNK is a piece of the payload text behind ``KZT1:``. Pieces are cut at multiples of three
letters: base45 never ends such a group with a blank, so no frame does, and none can lose one.
"""

from __future__ import annotations

import re
import zlib
from dataclasses import dataclass
from enum import Enum
from typing import Final

from cbdc.errors import FormError, Malformed, TooLarge, Unreachable
from cbdc.limits import MAX_FRAMES, MAX_PAYLOAD_TEXT_CHARS
from wallet.carriers.text import CHECK_BYTES, check_of
from wallet.protocol import PREFIX, from_text, packed_of, to_text, unpack

FRAME_PREFIX: Final = "KZF1:"

_HEX: Final = "0-9A-F"
_LETTERS: Final = r"0-9A-Z $%*+\-./:"
_NUMBER: Final = "([1-9][0-9]{0,2})"
_FORM: Final = re.compile(rf"KZF1:([{_HEX}]{{8}}):([{_HEX}]{{{2 * CHECK_BYTES}}})/{_NUMBER}/{_NUMBER}:([{_LETTERS}]+)")
_OVERHEAD_CHARS: Final = len("KZF1:01234567:0123456789ABCDEF/256/256:")
_GROUP_CHARS: Final = 3

MIN_FRAME_CHARS: Final = _OVERHEAD_CHARS + _GROUP_CHARS
"""A frame that carries two bytes."""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame, read and undamaged: which payload it belongs to, its number from 1, how many there are."""

    id: str
    index: int
    count: int
    chunk: str


class Added(Enum):
    """What a collector did with a frame."""

    NEW = "new"
    DUPLICATE = "duplicate"
    FOREIGN = "foreign"


def split(message: bytes, max_chars: int) -> tuple[str, ...]:
    """The texts of the codes that carry a message, each at most ``max_chars`` letters: payload text alone if it fits.

    Raises:
        TooLarge: more than `MAX_FRAMES` frames, or a payload that the other device would refuse.
    """
    return split_text(to_text(message), max_chars)


def split_text(text: str, max_chars: int) -> tuple[str, ...]:
    """The same for a payload text. Raises TooLarge as `split`."""
    if len(text) > MAX_PAYLOAD_TEXT_CHARS:
        raise TooLarge("payload too long", found=len(text), limit=MAX_PAYLOAD_TEXT_CHARS)
    if len(text) <= max_chars:
        return (text,)
    if max_chars < MIN_FRAME_CHARS:
        raise TooLarge("not even a frame of two bytes fits", found=MIN_FRAME_CHARS, limit=max_chars)
    letters = text.removeprefix(PREFIX)
    step = (max_chars - _OVERHEAD_CHARS) // _GROUP_CHARS * _GROUP_CHARS
    count = -(-len(letters) // step)
    if count > MAX_FRAMES:
        raise TooLarge("too many frames: use larger codes", found=count, limit=MAX_FRAMES)
    # the same number of frames with even lengths: the last code is not smaller than the others
    step = -(-len(letters) // (count * _GROUP_CHARS)) * _GROUP_CHARS
    chunks = [letters[start : start + step] for start in range(0, len(letters), step)]
    name = check_of(packed_of(text)).hex().upper()
    return tuple(_written(Frame(name, index, len(chunks), chunk)) for index, chunk in enumerate(chunks, 1))


def _written(frame: Frame) -> str:
    rest = f"{frame.id}/{frame.index}/{frame.count}:{frame.chunk}"
    return f"{FRAME_PREFIX}{_crc(rest)}:{rest}"


def _crc(rest: str) -> str:
    return f"{zlib.crc32(rest.encode('ascii')):08X}"


def read(text: str) -> Frame:
    """The frame in a code's text.

    Raises:
        Malformed: not a frame, damaged, or numbered beyond its count. TooLarge: of more than `MAX_FRAMES`.
    """
    text = text.strip()
    found = _FORM.fullmatch(text)
    if found is None:
        raise Malformed("not a frame", wanted=FRAME_PREFIX)
    crc, name, index, count, chunk = found.groups()
    if crc != _crc(text[len(FRAME_PREFIX) + 9 :]):
        raise Malformed("a frame was damaged on the way")
    frame = Frame(name, int(index), int(count), chunk)
    if frame.count > MAX_FRAMES:
        raise TooLarge("too many frames", found=frame.count, limit=MAX_FRAMES)
    if frame.index > frame.count:
        raise Malformed("a frame beyond the last one", found=frame.index, count=frame.count)
    return frame


class Collector:
    """Takes codes in any order, with repetitions, until one payload is whole.

    The first frame says which payload; frames of others are left alone and counted in ``foreign``. A payload text that
    needs no frames is taken as well. Memory is bounded: `MAX_FRAMES` chunks of one payload.
    """

    def __init__(self) -> None:
        self._first: Frame | None = None
        self._chunks: dict[int, str] = {}
        self._chars = 0
        self._whole: bytes | None = None
        self.foreign = 0

    @property
    def count(self) -> int:
        """How many codes the payload has; 0 as long as nothing has come."""
        return self._first.count if self._first else int(self._whole is not None)

    @property
    def missing(self) -> tuple[int, ...]:
        """The numbers of the frames that have not come yet."""
        if self._first is None:
            return ()
        return tuple(index for index in range(1, self._first.count + 1) if index not in self._chunks)

    @property
    def complete(self) -> bool:
        """Whether `message` has all that it needs."""
        return self._whole is not None

    def add(self, text: str) -> Added:
        """Take the text of one code.

        Raises:
            Malformed: no code of ours, or damaged; or it says something else than an equal frame before it; or the
                payload is whole and wrong, in which case the collector is empty again.
            TooLarge: above a limit.
        """
        if text.strip().startswith(PREFIX):
            return self._add_whole(from_text(text))
        frame = read(text)
        if self._first is None:
            if self._whole is not None:
                return self._is_foreign()
            self._first = frame
        if frame.id != self._first.id:
            return self._is_foreign()
        if frame.count != self._first.count or self._chunks.get(frame.index, frame.chunk) != frame.chunk:
            raise Malformed("two frames of one payload contradict each other", index=frame.index)
        if frame.index in self._chunks:
            return Added.DUPLICATE
        self._keep(frame)
        return Added.NEW

    def message(self) -> bytes:
        """The message, verified.

        Raises:
            Unreachable: not everything has come; ``missing`` names the frames.
        """
        if self._whole is None:
            numbers = ", ".join(map(str, self.missing))
            raise Unreachable("frames are missing", missing=numbers, count=self.count)
        return self._whole

    def _add_whole(self, message: bytes) -> Added:
        if self._whole is not None and self._whole == message:
            return Added.DUPLICATE
        if self._whole is not None or self._first is not None:
            return self._is_foreign()
        self._whole = message
        return Added.NEW

    def _is_foreign(self) -> Added:
        self.foreign += 1
        return Added.FOREIGN

    def _keep(self, frame: Frame) -> None:
        if self._chars + len(frame.chunk) > MAX_PAYLOAD_TEXT_CHARS:
            raise TooLarge("frames hold too much", limit=MAX_PAYLOAD_TEXT_CHARS)
        self._chunks[frame.index] = frame.chunk
        self._chars += len(frame.chunk)
        if self.missing:
            return
        try:
            self._whole = _joined(frame.id, "".join(self._chunks[index] for index in sorted(self._chunks)))
        except FormError:
            # somebody forged a frame: which one is unknown, so all must be read again
            self._first, self._chunks, self._chars = None, {}, 0
            raise


def _joined(name: str, letters: str) -> bytes:
    """The message behind all chunks, if it is the one that the frames name.

    The check is over packed bytes, so the writer's packing is what counts, not this device's.
    """
    packed = packed_of(PREFIX + letters)
    if check_of(packed).hex().upper() != name:
        raise Malformed("the frames' payload is not the one that they name")
    return unpack(packed)
