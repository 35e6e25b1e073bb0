"""QR codes (ISO/IEC 18004) of a payload: for a terminal, as PNG and as SVG; one, or an animation of numbered frames.

Nothing here waits: how long a frame stays is up to whoever shows it. Reading is `wallet.carriers.images`.
"""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from enum import Enum
from itertools import cycle
from typing import Final

import segno
from PIL import Image

from cbdc.errors import Malformed
from wallet.carriers import frames

MAX_VERSION: Final = 40
QUIET_MODULES: Final = 4
"""The empty margin that the standard asks for, on each side."""

PNG_PIXELS_PER_MODULE: Final = 8
FRAME_MS: Final = 400
"""How long an animated image shows a frame: a phone's camera sees each some ten times."""

CAPACITY_CHARS: Final = (
    *(0, 25, 47, 77, 114, 154, 195, 224, 279, 335, 395, 468, 535, 619, 667, 758, 854, 938, 1046, 1153, 1249),
    *(1352, 1460, 1588, 1704, 1853, 1990, 2132, 2223, 2369, 2520, 2677, 2840, 3009, 3183, 3351, 3537, 3729, 3927),
    *(4087, 4296),
)
"""Letters of alphanumeric mode by version at error correction L: ISO/IEC 18004 table 7. No version, no letters."""

_LIGHT_PAPER: Final = "\x1b[38;5;16;48;5;231m"
_RESET: Final = "\x1b[0m"


class Ink(Enum):
    """How a terminal picture gets dark modules on light ground, which many readers insist on."""

    COLOUR = "colour"
    """Black on white by escape sequences, whatever the screen's own colours are."""
    DARK_SCREEN = "dark"
    """No escape sequences: the screen's letters are light, so light modules are drawn."""
    LIGHT_SCREEN = "light"
    """No escape sequences: the screen's letters are dark, so dark modules are drawn."""


@dataclass(frozen=True, slots=True)
class Code:
    """One QR code: the text in it, its version, and its modules with the quiet zone, row by row, True for dark."""

    text: str
    version: int
    modules: tuple[tuple[bool, ...], ...]
    symbol: segno.QRCode


def fits(columns: int, rows: int) -> int:
    """The highest version that a terminal of so many characters shows with its quiet zone; 0 if none does."""
    side = min(columns, 2 * rows) - 2 * QUIET_MODULES
    return max(0, min(MAX_VERSION, (side - 17) // 4))


def encode(message: bytes, max_version: int = MAX_VERSION) -> tuple[Code, ...]:
    """The codes of a message, all of one version and none above ``max_version``: one if it fits, else numbered frames.

    Raises:
        TooLarge: too many frames at this version, or a payload that the other device would refuse.
        Malformed: no such version.
    """
    if not 0 <= max_version <= MAX_VERSION:
        raise Malformed("no such QR version", found=max_version, limit=MAX_VERSION)
    texts = frames.split(message, CAPACITY_CHARS[max_version])
    longest = max(map(len, texts))
    version = next(version for version, chars in enumerate(CAPACITY_CHARS) if chars >= longest)
    return tuple(_code(text, version) for text in texts)


def _code(text: str, version: int) -> Code:
    # L: a screen or a sharp picture has no dirt on it, and a lower version is easier to read than a corrected one
    symbol = segno.make(text, error="l", version=version, mode="alphanumeric", micro=False, boost_error=False)
    rows = tuple(tuple(bool(module) for module in row) for row in symbol.matrix_iter(border=QUIET_MODULES))
    return Code(text, version, rows, symbol)


# --- terminal ----------------------------------------------------------------------------------


def terminal(code: Code, ink: Ink = Ink.COLOUR) -> str:
    """The code in half-block characters, two modules high: lines of equal width, without a line break at the end."""
    drawn = ink is not Ink.DARK_SCREEN  # what a block character stands for: a dark module, or a light one
    rows = [*code.modules, (False,) * len(code.modules[0])]  # the number of rows is odd
    lines = (
        "".join(_block(upper is drawn, lower is drawn) for upper, lower in zip(above, below, strict=True))
        for above, below in zip(rows[::2], rows[1::2], strict=True)
    )
    if ink is Ink.COLOUR:
        lines = (f"{_LIGHT_PAPER}{line}{_RESET}" for line in lines)
    return "\n".join(lines)


def _block(upper: bool, lower: bool) -> str:
    return (" ▄", "▀█")[upper][lower]


def animation(codes: Sequence[Code], ink: Ink = Ink.COLOUR) -> Iterator[str]:
    """The codes as terminal pictures of one size, round and round without end."""
    return cycle([terminal(code, ink) for code in codes])


# --- files -------------------------------------------------------------------------------------


def svg(code: Code) -> str:
    """The code as an SVG document, black on white."""
    target = io.BytesIO()
    code.symbol.save(target, kind="svg", border=QUIET_MODULES, scale=PNG_PIXELS_PER_MODULE, light="white")
    return target.getvalue().decode()


def png(codes: Sequence[Code], frame_ms: int = FRAME_MS) -> bytes:
    """One code as PNG; several as an animated PNG whose frames stay ``frame_ms`` milliseconds each."""
    first, *others = [_image(code) for code in codes]
    target = io.BytesIO()
    if others:
        first.save(target, format="PNG", save_all=True, append_images=others, duration=frame_ms, loop=0)
    else:
        first.save(target, format="PNG")
    return target.getvalue()


def _image(code: Code) -> Image.Image:
    """Eight bits grey: what every program that shows or reads pictures takes."""
    side = len(code.modules)
    grey = bytes(0 if dark else 255 for row in code.modules for dark in row)
    small = Image.frombytes("L", (side, side), grey)
    return small.resize((side * PNG_PIXELS_PER_MODULE,) * 2, Image.Resampling.NEAREST)
