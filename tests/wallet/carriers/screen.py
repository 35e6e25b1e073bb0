"""A terminal that only knows block characters and two colours: what a camera in front of it would see."""

from __future__ import annotations

import io
import re
from itertools import pairwise

from PIL import Image

BLACK, WHITE = (0, 0, 0), (255, 255, 255)
COLOURS = {"16": BLACK, "231": WHITE}
HALVES = {" ": (False, False), "▀": (True, False), "▄": (False, True), "█": (True, True)}
ESCAPE = re.compile(r"\x1b\[([0-9;]*)m")
PIXELS = 6

Colour = tuple[int, int, int]


def photograph(picture: str, ink: Colour = WHITE, paper: Colour = BLACK) -> bytes:
    """A PNG of the screen; ``ink`` and ``paper`` are its own colours, which an escape sequence overrides."""
    rows: list[list[Colour]] = []
    for line in picture.split("\n"):
        upper, lower = _line(line, ink, paper)
        rows += [upper, lower]
    assert all(len(one) == len(other) for one, other in pairwise(rows)), "lines of different width"
    image = Image.new("RGB", (len(rows[0]), len(rows)))
    image.putdata([pixel for row in rows for pixel in row])
    target = io.BytesIO()
    image.resize((image.width * PIXELS, image.height * PIXELS), Image.Resampling.NEAREST).save(target, format="PNG")
    return target.getvalue()


def _line(line: str, own_ink: Colour, own_paper: Colour) -> tuple[list[Colour], list[Colour]]:
    ink, paper, upper, lower = own_ink, own_paper, [], []
    parts = ESCAPE.split(line)
    for number, part in enumerate(parts):
        if number % 2:  # between the texts stand the escape sequences' parameters
            ink, paper = _colours(part, own_ink, own_paper)
            continue
        for letter in part:
            above, below = HALVES[letter]
            upper.append(ink if above else paper)
            lower.append(ink if below else paper)
    return upper, lower


def _colours(parameters: str, own_ink: Colour, own_paper: Colour) -> tuple[Colour, Colour]:
    if parameters == "0":
        return own_ink, own_paper
    found = re.fullmatch(r"38;5;(\d+);48;5;(\d+)", parameters)
    assert found, parameters
    return COLOURS[found[1]], COLOURS[found[2]]
