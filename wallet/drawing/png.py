"""PNG out of SVG, with resvg: no browser and no library of the system."""

from __future__ import annotations

import tempfile
from pathlib import Path

import resvg_py
from PIL import ImageFont

from cbdc.errors import TooLarge

MAX_PIXELS = 60_000_000
"""In one picture, as in those that are read: 240 MB while it is being drawn."""


def png(svg: str, width: int, height: int, *, system_fonts: bool = True) -> bytes:
    """An SVG of this size (pixels) as a PNG, twice as large if that is not too large, so that letters are sharp.

    Fonts are the system's. Where there are none a plain one with Latin letters alone stands in.

    Raises:
        TooLarge: a picture of so many pixels is not drawn.
    """
    zoom = 2 if 4 * width * height <= MAX_PIXELS else 1
    if width * height * zoom**2 > MAX_PIXELS:
        raise TooLarge("the picture is too large for a PNG: write an SVG", found=width * height, limit=MAX_PIXELS)
    with tempfile.TemporaryDirectory() as directory:
        fonts = _stand_in(Path(directory))
        return resvg_py.svg_to_bytes(
            svg_string=svg,
            zoom=zoom,
            skip_system_fonts=not system_fonts,
            font_files=fonts,
            font_family="Aileron",
            sans_serif_family="DejaVu Sans" if system_fonts else "Aileron",
        )


def _stand_in(directory: Path) -> list[str]:
    """The font that Pillow brings, as a file."""
    font = ImageFont.load_default(12)
    if not isinstance(font, ImageFont.FreeTypeFont):
        return []
    path = directory / "plain.ttf"
    path.write_bytes(font.font_bytes)
    return [str(path)]
