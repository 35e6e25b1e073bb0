"""A purpose's money as one picture: where it is, who got it for what and when, and the ways that it took.

The SVG needs nothing else: no script, no font of its own, no reference to any place. All text is escaped.
"""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from cbdc.amounts import show_tenge
from cbdc.purposes.conditions.time import show_time
from cbdc.service.tracking import NOT_STATED, NOT_TOLD_APART, Books, Fate, Group, Moved, Row, Tracked, rows_by
from wallet.drawing import boxes
from wallet.drawing.boxes import Box, Drawn, Shape, cut
from wallet.drawing.bundles import OTHERS, Bundle, bundled

_WIDTH, _MARGIN, _LINE = 760, 16, 22
_LABEL, _BAR = 220, 360
_BAR_UNITS: Final = 30
MAX_BARS: Final = 10
"""Bars of one group in a picture; a note says how many more there are."""

GROUP_TITLES: Final[dict[Group, str]] = {
    Group.PAYEE: "by payee",
    Group.MCC: "by category (MCC)",
    Group.REGION: "by region (KATO)",
    Group.ITEM: "by what was bought",
    Group.DAY: "by day (Almaty)",
}
FATE_WORDS: Final[dict[Fate, str]] = {
    Fate.ONLINE: "held",
    Fate.OFFLINE: "in the purse",
    Fate.WAITING: "waiting",
    Fate.SPENT: "free",
    Fate.RETURNED: "returned",
    Fate.SEIZED: "seized",
    Fate.ELSEWHERE: "merged",
}
_STYLE: Final = (
    "svg{background:#fff;color:#1c2024}text{font:13px 'DejaVu Sans',system-ui,Roboto,sans-serif;fill:#1c2024}"
    ".title{font-size:18px;font-weight:600}.head{font-weight:600}.dim{fill:#5b6470}"
    "g text{font-size:12px}.line0{font-weight:600}"
    "rect{fill:#f5f6f8;stroke:#c9ced6;stroke-width:1.2}.edge{fill:none;stroke:#5b6470;stroke-width:1.3}"
    ".free rect,rect.spent{fill:#d9efdf;stroke:#1a6b35}.marked rect,rect.online{fill:#e3edfb;stroke:#0b57a4}"
    "rect.offline{fill:#cfe0f7;stroke:#0b57a4}rect.waiting{fill:#fff4dc;stroke:#8a5a00}"
    "rect.returned{fill:#e8e4f3;stroke:#5b4a8a}rect.seized{fill:#fdecea;stroke:#b3261e}"
    "rect.bar{fill:#0b57a4;stroke:none}rect.back{fill:#8a5a00;stroke:none}"
)


@dataclass(frozen=True, slots=True)
class Part:
    """A part of the whole: what it is called, its class, how much it is (tiyn)."""

    name: str
    kind: str
    amount_tiyn: int


def parts_of(books: Books) -> tuple[Part, ...]:
    """Where everything that was granted or covered is now."""
    return (
        Part("spent, free", "spent", books.spent_tiyn),
        Part("held online", "online", books.online_tiyn),
        Part("held in purses", "offline", books.offline_tiyn),
        Part("waiting in escrow", "waiting", books.waiting_tiyn),
        Part("returned", "returned", books.returned_tiyn),
        Part("seized", "seized", books.seized_tiyn),
    )


def percent(part_tiyn: int, whole_tiyn: int) -> str:
    """How much of the whole a part is, to a tenth of a percent."""
    tenths = (2000 * part_tiyn + whole_tiyn) // (2 * whole_tiyn) if whole_tiyn else 0
    return f"{tenths // 10}.{tenths % 10} %"


def key_of(key: str | None, group: Group) -> str:
    """What a row is of, in words where there is no such thing."""
    if group is Group.ITEM and key in (NOT_STATED, NOT_TOLD_APART):
        return "not stated" if key == NOT_STATED else "with other money"
    return "none" if key is None else key


@dataclass(frozen=True, slots=True)
class Picture:
    """An SVG file's text, and its size in pixels."""

    svg: str
    width: int
    height: int


def picture(tracked: Tracked) -> Picture:
    """The whole picture."""
    elements, y = _head(tracked)
    drawn = _parts(tracked.books, y)
    elements, y = elements + drawn.elements, y + drawn.height
    for group in Group:
        drawn = _bars(rows_by(tracked, group), group, y)
        elements, y = elements + drawn.elements, y + drawn.height
    width = _WIDTH
    if tracked.trees:
        elements, y = elements + _text(_MARGIN, y + 16, "The ways it took", "head"), y + 24
    for bundle in bundled(tracked.trees):
        drawn = boxes.draw(_shape_of(bundle), y)
        elements, y, width = elements + drawn.elements, y + drawn.height, max(width, drawn.width)
    height = y + _MARGIN
    label = html.escape(f"{tracked.definition.titles[0]}: where the money went")
    svg = (
        f'<svg xmlns="http://www.w3.org/2000/svg" role="img" aria-label="{label}" viewBox="0 0 {width} {height}" '
        f'width="{width}" height="{height}"><style>{_STYLE}</style>'
        f'<rect width="{width}" height="{height}" style="fill:#fff;stroke:none"/>{elements}</svg>\n'
    )
    return Picture(svg, width, height)


def _text(x: float, y: float, text: str, kind: str = "", units: float = 90) -> str:
    return f'<text x="{x:g}" y="{y:g}" class="{kind}">{html.escape(cut(text, units))}</text>'


def _head(tracked: Tracked) -> tuple[str, int]:
    books, definition = tracked.books, tracked.definition
    covered = f", {show_tenge(books.covered_tiyn)} covered by reserves" if books.covered_tiyn else ""
    lines = (
        f"{definition.name} · {tracked.purpose.hex()[:16]} · as of {show_time(tracked.until_s)} (Almaty)",
        f"{show_tenge(books.issued_tiyn)} issued{covered}",
    )
    text = _text(_MARGIN, 30, definition.titles[0], "title", 70)
    return text + "".join(_text(_MARGIN, 54 + 20 * n, line, "dim") for n, line in enumerate(lines)), 90


def _parts(books: Books, y: int) -> Drawn:
    """One bar that is the whole, and each of its parts in words."""
    parts = [part for part in parts_of(books) if part.amount_tiyn > 0]
    whole_tiyn = sum(part.amount_tiyn for part in parts)
    elements, x = "", float(_MARGIN)
    for part in parts:
        width = (_WIDTH - 2 * _MARGIN) * part.amount_tiyn / whole_tiyn
        elements += f'<rect class="{part.kind}" x="{x:g}" y="{y}" width="{width:g}" height="24"/>'
        x += width
    for number, part in enumerate(parts):
        line_y = y + 34 + _LINE * number
        elements += f'<rect class="{part.kind}" x="{_MARGIN}" y="{line_y}" width="14" height="14"/>'
        share = percent(part.amount_tiyn, whole_tiyn)
        elements += _text(_MARGIN + 22, line_y + 12, f"{part.name}: {show_tenge(part.amount_tiyn)} ({share})")
    return Drawn(elements, _WIDTH, 46 + _LINE * len(parts))


def _bars(rows: Sequence[Row], group: Group, y: int) -> Drawn:
    """A bar for each row of what was paid, and inside it what came back."""
    paid = [row for row in rows if row.paid_tiyn]
    if not paid:
        return Drawn("", _WIDTH, 0)
    shown = paid[-MAX_BARS:] if group is Group.DAY else paid[:MAX_BARS]
    most_tiyn = max(row.paid_tiyn for row in shown)
    elements = _text(_MARGIN, y + 16, f"Paid {GROUP_TITLES[group]}", "head")
    for number, row in enumerate(shown):
        line_y = y + 24 + _LINE * number
        elements += _text(_MARGIN, line_y + 14, key_of(row.key, group), "", _BAR_UNITS) + _bar(row, most_tiyn, line_y)
    more = len(paid) - len(shown)
    if more:
        elements += _text(_MARGIN, y + 38 + _LINE * len(shown), f"and {more} more", "dim")
    return Drawn(elements, _WIDTH, 40 + _LINE * (len(shown) + bool(more)))


def _bar(row: Row, most_tiyn: int, y: int) -> str:
    """The bar of one row, and its amount behind it."""
    elements, paid_px = "", max(1.0, _BAR * row.paid_tiyn / most_tiyn)
    for kind, tiyn, top, height in (("bar", row.paid_tiyn, y + 3, 14), ("back", row.given_back_tiyn, y + 12, 5)):
        width = min(paid_px, _BAR * tiyn / most_tiyn)
        if tiyn:
            elements += f'<rect class="{kind}" x="{_LABEL}" y="{top}" width="{max(1.0, width):g}" height="{height}"/>'
    back = f" − {show_tenge(row.given_back_tiyn)}" if row.given_back_tiyn else ""
    return elements + _text(_LABEL + paid_px + 8, y + 14, f"{show_tenge(row.paid_tiyn)}{back}")


# --- the tree ----------------------------------------------------------------------------------


def describe_fates(fates: Sequence[tuple[Fate, int]]) -> str:
    """What became of money, in words."""
    return ", ".join(f"{show_tenge(tiyn)} {FATE_WORDS[fate]}" for fate, tiyn in fates)


def _shape_of(bundle: Bundle) -> Shape:
    times = f"{bundle.count} × " if bundle.count > 1 else ""
    kind = bundle.kind if bundle.kind is not Moved.GRANT or bundle.count == 1 else "grants"
    holder = "others" if bundle.holder == OTHERS else bundle.holder
    fates = describe_fates(bundle.fates) or "passed on"
    lines = (f"{times}{kind}", holder, f"{show_tenge(bundle.amount_tiyn)}")
    full = f"{times}{kind} to {holder}, {show_tenge(bundle.amount_tiyn)}: {fates}"
    if bundle.fates and not bundle.children:
        whole = len(bundle.fates) == 1
        lines = (*lines[:2], f"{lines[2]} · {FATE_WORDS[bundle.fates[0][0]]}" if whole else lines[2])
    box = Box(lines, f"{'marked' if bundle.is_marked else 'free'}", full)
    return boxes.shape(box, [_shape_of(child) for child in bundle.children])
