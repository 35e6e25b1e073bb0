"""Draws a route as SVG: boxes from left to right, every parent in the middle of its children, no two boxes overlapping.

A tidy tree in the simple form: each leaf takes the next free row, each parent the mean of its first and last child,
each depth one column. All text is escaped here; colours are classes that the page defines, and never the only sign.
"""

from __future__ import annotations

import html
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from cbdc.amounts import show_tenge
from wallet.scenarios.routes import Move, RouteOutput

_WIDTH, _HEIGHT, _GAP_X, _GAP_Y, _MARGIN = 172, 62, 26, 12, 8
_TEXT_UNITS: Final = 24
"""Letters of average width that fit a box's line; wide ones count for more."""


@dataclass(frozen=True, slots=True)
class Box:
    """What a box says: up to three lines, its classes, and all of it in full for a pointer or a reader aloud."""

    lines: tuple[str, ...]
    classes: str
    full: str


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


class _Rows:
    """Hands out the next free row to each leaf."""

    def __init__(self) -> None:
        self.used = 0

    def next_y(self) -> float:
        y = _MARGIN + self.used * (_HEIGHT + _GAP_Y)
        self.used += 1
        return float(y)


def svg(route: Move, label: str) -> str:
    """A route as one ``<svg>`` element; ``label`` names it for those who do not see it."""
    root = _place_move(route, 0, _Rows())
    placed = list(root.all())
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
    hop = f", hop {move.hop}" if move.kind in ("payment", "release") else ""
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
    part = 0 < output.seized_tiyn < output.amount_tiyn
    return f"{show_tenge(output.seized_tiyn)} seized" if part else output.state


def _move_box(move: Move) -> Box:
    hop = f" · hop {move.hop}" if move.kind in ("payment", "release") else ""
    status = "see its first place" if move.elsewhere else move.status
    title = f"{move.kind} “{move.name}”" if move.name else move.kind
    lines = (title, _who(move), f"{show_tenge(move.amount_tiyn)}{hop} · {status}")
    return Box(lines, f"move {move.status}{' elsewhere' if move.elsewhere else ''}", describe_move(move))


def _output_box(output: RouteOutput) -> Box:
    purpose = (f"for {output.purpose}",) if output.purpose else ()
    lines = (f"{output.holder}: {show_tenge(output.amount_tiyn)}", _state(output), *purpose)
    return Box(lines, f"output {output.state}", describe_output(output))


def _place_move(move: Move, depth: int, rows: _Rows) -> _Placed:
    return _placed(_move_box(move), depth, rows, tuple(_place_output(o, depth + 1, rows) for o in move.outputs))


def _place_output(output: RouteOutput, depth: int, rows: _Rows) -> _Placed:
    return _placed(_output_box(output), depth, rows, tuple(_place_move(m, depth + 1, rows) for m in output.spends))


def _placed(box: Box, depth: int, rows: _Rows, children: tuple[_Placed, ...]) -> _Placed:
    y = (children[0].y + children[-1].y) / 2 if children else rows.next_y()
    return _Placed(box, _MARGIN + depth * (_WIDTH + _GAP_X), y, children)


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
    lines = "".join(
        f'<text class="line{index}" x="{node.x + 10}" y="{first_y + 17 * index:g}">{html.escape(_cut(line))}</text>'
        for index, line in enumerate(node.box.lines)
    )
    return (
        f'<g class="{node.box.classes}"><title>{html.escape(node.box.full)}</title>'
        f'<rect x="{node.x}" y="{node.y:g}" width="{_WIDTH}" height="{_HEIGHT}" rx="{round_px}"/>{lines}</g>'
    )


def _cut(text: str) -> str:
    """As much of a line as fits its box."""
    room: float = _TEXT_UNITS
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
        return 1.5
    return 1.2 if letter.isupper() or (ord(letter) > 0x24F and letter.isalpha()) else 1.0
