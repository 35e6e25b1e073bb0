"""A route of a scenario as boxes, and in words."""

from __future__ import annotations

from typing import Final

from cbdc.amounts import show_tenge
from wallet.drawing import boxes
from wallet.drawing.boxes import Box, Shape, cut
from wallet.scenarios.routes import Move, RouteOutput

_PAID: Final = ("payment", "release")
"""The moves between two purses: they have a hop."""


def svg(route: Move, label: str) -> str:
    """A route as one ``<svg>`` element; ``label`` names it for those who do not see it."""
    return boxes.svg(_shape_of(route), label)


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
    who = move.payer if move.payer == move.payee else f"{cut(move.payer, 12)} → {cut(move.payee, 12)}"
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


def _shape_of(move: Move) -> Shape:
    if len(move.outputs) == 1 and move.kind not in _PAID:
        (output,) = move.outputs
        return boxes.shape(_joint_box(move, output), [_shape_of(spend) for spend in output.spends])
    outputs = [
        boxes.shape(_output_box(output), [_shape_of(spend) for spend in output.spends]) for output in move.outputs
    ]
    return boxes.shape(_move_box(move), outputs)
