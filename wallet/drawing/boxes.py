"""Draws trees as SVG: boxes from left to right, every parent in the middle of its children, no two boxes overlapping.

A tidy tree as Reingold and Tilford draw it: one column for each depth, and each subtree as close below the one
before as their outlines allow. All text is escaped here; colours are classes that whoever shows it defines, and never
the only sign.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Final

_WIDTH, _HEIGHT, _GAP_X, _MARGIN = 184, 62, 26, 8
_ROW = _HEIGHT + 12
_HEAD_UNITS, _TEXT_UNITS = 22, 25
"""Letters of average width that fit a box's first, bold line and its others; wide ones count for more."""

SQUARE: Final = "move"
"""The first class of a box with square corners; all others are round."""


@dataclass(frozen=True, slots=True)
class Box:
    """What a box says: up to three lines, its classes, and all of it in full for a pointer or a reader aloud."""

    lines: tuple[str, ...]
    classes: str
    full: str


@dataclass(frozen=True, slots=True)
class Shape:
    """A subtree before it has a place: its children with how far below its root each stands, and its outline.

    ``tops`` and ``bottoms`` are the highest and lowest box of each depth, seen from the root. All in pixels.
    """

    box: Box
    children: tuple[tuple[float, Shape], ...]
    tops: tuple[float, ...]
    bottoms: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Placed:
    """A box with its top left corner (pixels) and the boxes that follow it."""

    box: Box
    x: int
    y: float
    children: tuple[_Placed, ...]

    def all(self) -> Iterator[_Placed]:
        yield self
        for child in self.children:
            yield from child.all()


@dataclass(frozen=True, slots=True)
class Drawn:
    """A tree's elements, and the room that they take (pixels)."""

    elements: str
    width: int
    height: int


def draw(tree: Shape, top: int = 0) -> Drawn:
    """A tree as SVG elements, ``top`` pixels below the upper edge."""
    placed = list(_place(tree, 0, top + _MARGIN - min(tree.tops)).all())
    width = max(node.x for node in placed) + _WIDTH + _MARGIN
    height = round(max(node.y for node in placed)) + _HEIGHT + _MARGIN - top
    edges = "".join(_edge(node, child) for node in placed for child in node.children)
    return Drawn(edges + "".join(_box(node) for node in placed), width, height)


def svg(tree: Shape, label: str) -> str:
    """A tree as one ``<svg>`` element; ``label`` names it for those who do not see it."""
    drawn = draw(tree)
    return (
        f'<svg class="route" role="img" aria-label="{html.escape(label)}" viewBox="0 0 {drawn.width} {drawn.height}" '
        f'width="{drawn.width}" height="{drawn.height}">{drawn.elements}</svg>'
    )


# --- layout --------------------------------------------------------------------------------------


def shape(box: Box, children: Sequence[Shape]) -> Shape:
    """Set the children below one another, each as high as the outline above it allows, and their parent midway."""
    offsets: list[float] = []
    tops: list[float] = []
    bottoms: list[float] = []
    for child in children:
        offset = max((low + _ROW - high for low, high in zip(bottoms, child.tops, strict=False)), default=0.0)
        offsets.append(offset)
        tops += [offset + top for top in child.tops[len(tops) :]]
        lows = [offset + bottom for bottom in child.bottoms]
        bottoms = lows + bottoms[len(lows) :]
    middle = (offsets[0] + offsets[-1]) / 2 if offsets else 0.0
    return Shape(
        box,
        tuple((offset - middle, child) for offset, child in zip(offsets, children, strict=True)),
        (0.0, *(top - middle for top in tops)),
        (0.0, *(bottom - middle for bottom in bottoms)),
    )


def _place(tree: Shape, depth: int, y: float) -> _Placed:
    children = tuple(_place(child, depth + 1, y + offset) for offset, child in tree.children)
    return _Placed(tree.box, _MARGIN + depth * (_WIDTH + _GAP_X), y, children)


# --- SVG ---------------------------------------------------------------------------------------


def _edge(parent: _Placed, child: _Placed) -> str:
    x, y = parent.x + _WIDTH, parent.y + _HEIGHT / 2
    to_x, to_y, bend = child.x, child.y + _HEIGHT / 2, _GAP_X / 2
    doubled = " forked" if "forked" in parent.box.classes else ""
    return (
        f'<path class="edge{doubled}" d="M{x:g} {y:g}C{x + bend:g} {y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}"/>'
    )


def _box(node: _Placed) -> str:
    round_px = 4 if node.box.classes.startswith(SQUARE) else 16
    first_y = node.y + _HEIGHT / 2 + 5 - 8 * (len(node.box.lines) - 1)
    head, *others = node.box.lines
    shown = [html.escape(text) for text in (cut(head, _HEAD_UNITS), *(cut(line, _TEXT_UNITS) for line in others))]
    lines = "".join(
        f'<text class="line{index}" x="{node.x + 10}" y="{first_y + 17 * index:g}">{line}</text>'
        for index, line in enumerate(shown)
    )
    return (
        f'<g class="{node.box.classes}"><title>{html.escape(node.box.full)}</title>'
        f'<rect x="{node.x}" y="{node.y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="{round_px}"/>{lines}</g>'
    )


def cut(text: str, units: float) -> str:
    """As much of a text as fits into so many average letters."""
    room = units
    for index, letter in enumerate(text):
        room -= _units(letter)
        if room < 1 and index + 1 < len(text):
            return text[:index] + "…"
    return text


def _units(letter: str) -> float:
    """How wide a letter is, in average letters; capitals, Cyrillic and East Asian ones are wider."""
    if unicodedata.east_asian_width(letter) in "WF":
        return 2.0
    if unicodedata.combining(letter):
        return 0.0
    if letter in "mwMW—…":
        return 1.8
    return 1.2 if letter.isupper() or (ord(letter) > 0x24F and letter.isalpha()) else 1.0
