"""Draws a route as SVG: boxes from left to right, every parent in the middle of its children, no two boxes overlapping.

A tidy tree as Reingold and Tilford draw it: one column for each depth, and each subtree as close below the one
before as their outlines allow. All text is escaped here; colours are classes that the page defines, and never the
only sign.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cbdc.amounts import show_tenge
from wallet.scenarios.routes import Move, RouteOutput

_WIDTH, _HEIGHT, _GAP_X, _MARGIN = 184, 62, 26, 8
_ROW = _HEIGHT + 12
_HEAD_UNITS, _TEXT_UNITS = 22, 25
"""Letters of average width that fit a box's first, bold line and its others; wide ones count for more."""

_PAID: Final = ("payment", "release")
"""The moves between two purses: they have a hop."""


@dataclass(frozen=True, slots=True)
class Box:
    """What a box says: up to three lines, its classes, and all of it in full for a pointer or a reader aloud."""

    lines: tuple[str, ...]
    classes: str
    full: str


@dataclass(frozen=True, slots=True)
class _Shape:
    """A subtree before it has a place: its children with how far below its root each stands, and its outline.

    ``tops`` and ``bottoms`` are the highest and lowest box of each depth, seen from the root. All in pixels.
    """

    box: Box
    children: tuple[tuple[float, _Shape], ...]
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


def svg(route: Move, label: str) -> str:
    """A route as one ``<svg>`` element; ``label`` names it for those who do not see it."""
    shape = _shape_of(route)
    placed = list(_place(shape, 0, _MARGIN - min(shape.tops)).all())
    width = max(node.x for node in placed) + _WIDTH + _MARGIN
    height = round(max(node.y for node in placed)) + _HEIGHT + _MARGIN
    edges = "".join(_edge(node, child) for node in placed for child in node.children)
    boxes = "".join(_box(node) for node in placed)
    return (
        f'<svg class="route" role="img" aria-label="{html.escape(label)}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}">{edges}{boxes}</svg>'
    )


def describe_move(move: Move) -> str:
    """A move in one line of plain text."""
    name = f" “{move.name}”" if move.name else ""
    where = f", entry {move.entry}" if move.entry is not None else ", not on the ledger"
    hop = f", hop {move.hop}" if move.kind in _PAID else ""
    more = "; it is followed where it stands first" if move.elsewhere else ""
    return f"{move.kind}{name}: {_who(move)}, {show_tenge(move.amount_tiyn)}{hop}, {move.status}{where}{more}"


def describe_output(output: RouteOutput) -> str:
    """An output in one line of plain text."""
    purpose = f" for {output.purpose}" if output.purpose else ""
    return f"{output.holder}, {show_tenge(output.amount_tiyn)}{purpose}: {_state(output)}"


def _who(move: Move) -> str:
    return move.payer if move.payer == move.payee else f"{move.payer} → {move.payee}"


def _state(output: RouteOutput) -> str:
    if output.state == "forked":
        return f"FORK: spent {len(output.spends)} times"
    if output.state == "live" and output.spends:
        return "live, spend not reported"
    part = 0 < output.seized_tiyn < output.amount_tiyn
    return f"{show_tenge(output.seized_tiyn)} seized" if part else output.state


# --- boxes -------------------------------------------------------------------------------------


def _move_box(move: Move) -> Box:
    title = f"“{move.name}”" if move.name else move.kind
    hop = f"hop {move.hop} · " if move.kind in _PAID else ""
    who = move.payer if move.payer == move.payee else f"{_cut(move.payer, 12)} → {_cut(move.payee, 12)}"
    status = "see elsewhere" if move.elsewhere else move.status
    lines = (f"{hop}{title}", who, f"{show_tenge(move.amount_tiyn)} · {status}")
    return Box(lines, f"move {move.status}{' elsewhere' if move.elsewhere else ''}", describe_move(move))


def _output_box(output: RouteOutput, kind: str = "") -> Box:
    purpose = f" · {output.purpose}" if output.purpose else ""
    lines = (f"{kind}{output.holder}", f"{show_tenge(output.amount_tiyn)}{purpose}", _state(output))
    return Box(lines, f"output {output.state}", describe_output(output))


def _joint_box(move: Move, output: RouteOutput) -> Box:
    """A load, renewal or unload and the one output that it made: the holder stays, so one box says both."""
    box = _output_box(output, f"{move.kind} · ")
    return Box(box.lines, box.classes, f"{describe_move(move)}. {box.full}")


# --- layout ------------------------------------------------------------------------------------


def _shape_of(move: Move) -> _Shape:
    if len(move.outputs) == 1 and move.kind not in _PAID:
        (output,) = move.outputs
        return _shape(_joint_box(move, output), [_shape_of(spend) for spend in output.spends])
    outputs = [_shape(_output_box(output), [_shape_of(spend) for spend in output.spends]) for output in move.outputs]
    return _shape(_move_box(move), outputs)


def _shape(box: Box, children: list[_Shape]) -> _Shape:
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
    return _Shape(
        box,
        tuple((offset - middle, child) for offset, child in zip(offsets, children, strict=True)),
        (0.0, *(top - middle for top in tops)),
        (0.0, *(bottom - middle for bottom in bottoms)),
    )


def _place(shape: _Shape, depth: int, y: float) -> _Placed:
    children = tuple(_place(child, depth + 1, y + offset) for offset, child in shape.children)
    return _Placed(shape.box, _MARGIN + depth * (_WIDTH + _GAP_X), y, children)


# --- SVG ---------------------------------------------------------------------------------------


def _edge(parent: _Placed, child: _Placed) -> str:
    x, y = parent.x + _WIDTH, parent.y + _HEIGHT / 2
    to_x, to_y, bend = child.x, child.y + _HEIGHT / 2, _GAP_X / 2
    doubled = " forked" if "forked" in parent.box.classes else ""
    return (
        f'<path class="edge{doubled}" d="M{x:g} {y:g}C{x + bend:g} {y:g} {to_x - bend:g} {to_y:g} {to_x:g} {to_y:g}"/>'
    )


def _box(node: _Placed) -> str:
    round_px = 4 if node.box.classes.startswith("move") else 16
    first_y = node.y + _HEIGHT / 2 + 5 - 8 * (len(node.box.lines) - 1)
    head, *others = node.box.lines
    shown = [html.escape(text) for text in (_cut(head, _HEAD_UNITS), *(_cut(line, _TEXT_UNITS) for line in others))]
    lines = "".join(
        f'<text class="line{index}" x="{node.x + 10}" y="{first_y + 17 * index:g}">{line}</text>'
        for index, line in enumerate(shown)
    )
    return (
        f'<g class="{node.box.classes}"><title>{html.escape(node.box.full)}</title>'
        f'<rect x="{node.x}" y="{node.y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="{round_px}"/>{lines}</g>'
    )


def _cut(text: str, units: float) -> str:
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
