"""A report at the terminal: tables, bars and trees that fit eighty columns."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from rich.console import Console
from rich.table import Table
from rich.text import Text
from rich.tree import Tree

from cbdc.amounts import show_tenge
from cbdc.purposes.conditions.time import show_time
from cbdc.service.tracking import Books, Flow, Group, Held, Moved, Row, Tracked, Turn, day_of, rows_by
from wallet.drawing.purpose import GROUP_TITLES, describe_fates, key_of, parts_of, percent

SHORT: Final = 10
"""Rows of a short table; a last one says how many more there are, and how much that is."""

_BAR: Final = 24
_EIGHTHS: Final = " ▏▎▍▌▋▊▉"
_DOING: Final[dict[Moved, str]] = {
    Moved.WAITS: "put in escrow, a payment waits",
    Moved.LAPSED: "back from escrow, the payment lapsed",
    Moved.LOAD: "loaded into the purse",
    Moved.UNLOAD: "unloaded from the purse",
    Moved.RENEWAL: "renewed in the purse",
    Moved.FINAL: "back online at its deadline",
    Moved.FREED: "freed by evidence",
    Moved.EXPIRED: "returned: the purpose expired",
    Moved.RECALLED: "recalled",
}


def show(console: Console, tracked: Tracked, by: Group | None, *, tree: bool) -> None:
    """Print a report: the books, and what was asked for; by default all tables, short."""
    definition = tracked.definition
    console.print(Text(definition.titles[0], style="bold"))
    console.print(Text(f"{definition.name} · id {tracked.purpose.hex()[:16]} · as of {show_time(tracked.until_s)}\n"))
    _show_books(console, tracked.books)
    if by is not None:
        console.print(_rows(rows_by(tracked, by), by, limit=None))
    elif not tree:
        _show_held(console, tracked.held)
        for group in Group:
            rows = rows_by(tracked, group)
            if rows:
                console.print(_rows(rows, group, limit=SHORT))
    if tree:
        for flow in tracked.trees:
            console.print(_tree(flow))


# --- the books ---------------------------------------------------------------------------------


def _show_books(console: Console, books: Books) -> None:
    """What came in, and a bar for each part of it that says where that is."""
    whole_tiyn = books.issued_tiyn + books.covered_tiyn
    grid = Table.grid(padding=(0, 1))
    for justify in ("left", "right", "left", "right"):
        grid.add_column(justify=justify, no_wrap=True)
    grid.add_row("issued", show_tenge(books.issued_tiyn), "", "")
    if books.covered_tiyn:
        grid.add_row("covered by reserves", show_tenge(books.covered_tiyn), "", "")
    for part in parts_of(books):
        if part.amount_tiyn or part.kind in ("spent", "online", "returned"):
            share = percent(part.amount_tiyn, whole_tiyn)
            grid.add_row(f"  {part.name}", show_tenge(part.amount_tiyn), bar(part.amount_tiyn, whole_tiyn), share)
    grid.add_row("payments in all", show_tenge(books.paid_tiyn), "", "")
    grid.add_row("refunded of these", show_tenge(books.given_back_tiyn), "", "")
    console.print(grid)
    console.print()


def bar(amount_tiyn: int, whole_tiyn: int) -> str:
    """A bar as long as this part of the whole is, to an eighth of a letter; whatever is there shows."""
    if amount_tiyn <= 0 or whole_tiyn <= 0:
        return ""
    full, eighths = divmod(max(1, min(_BAR * 8, _BAR * 8 * amount_tiyn // whole_tiyn)), 8)
    return "█" * full + _EIGHTHS[eighths].strip()


def _show_held(console: Console, held: Sequence[Held]) -> None:
    if not held:
        return
    table = _table("Held by", "holder", "online", "in purses", "waiting")
    for one in held[:SHORT]:
        sums = (one.online_tiyn, one.offline_tiyn, one.waiting_tiyn)
        table.add_row(Text(one.holder), *(show_tenge(tiyn) if tiyn else "" for tiyn in sums))
    rest = held[SHORT:]
    if rest:
        table.add_row(Text(f"and {len(rest)} more"), show_tenge(sum(one.total_tiyn for one in rest)), "", "")
    console.print(table)


# --- sums --------------------------------------------------------------------------------------


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", no_wrap=True)
    return table


def _rows(rows: Sequence[Row], group: Group, limit: int | None) -> Table:
    if group is Group.DAY:
        return _days(rows, limit)
    table = _table(f"Paid {GROUP_TITLES[group]}", group.value, "paid", "refunded", "net")
    table.add_column("", no_wrap=True)
    shown = rows if limit is None else rows[:limit]
    most_tiyn = max((row.paid_tiyn for row in rows), default=0)
    for row in shown:
        back = show_tenge(row.given_back_tiyn) if row.given_back_tiyn else ""
        sums = (show_tenge(row.paid_tiyn), back, show_tenge(row.net_tiyn))
        table.add_row(Text(key_of(row, group)), *sums, bar(row.paid_tiyn, 2 * most_tiyn))
    rest = rows[len(shown) :]
    if rest:
        paid_tiyn, back_tiyn = sum(row.paid_tiyn for row in rest), sum(row.given_back_tiyn for row in rest)
        totals = (show_tenge(tiyn) for tiyn in (paid_tiyn, back_tiyn, paid_tiyn - back_tiyn))
        table.add_row(Text(f"and {len(rest)} more"), *totals, "")
    return table


def _days(rows: Sequence[Row], limit: int | None) -> Table:
    """The latest days, and what was before them in one row."""
    table = _table("By day (Almaty)", "day", "granted", "paid", "refunded", "returned")
    shown = rows if limit is None else rows[-limit:]
    earlier = rows[: len(rows) - len(shown)]
    if earlier:
        table.add_row(f"{len(earlier)} days before", *_day_sums(earlier))
    for row in shown:
        table.add_row(row.key, *_day_sums([row]))
    return table


def _day_sums(rows: Sequence[Row]) -> list[str]:
    sums = [(row.granted_tiyn, row.paid_tiyn, row.given_back_tiyn, row.returned_tiyn) for row in rows]
    return [show_tenge(sum(column)) if sum(column) else "" for column in zip(*sums, strict=True)]


# --- trees -------------------------------------------------------------------------------------


def _unbroken(text: str, style: str = "") -> Text:
    """A line in which no amount is broken where its thousands are parted."""
    return Text(text.replace("\u2009", "\u202f"), style=style)


def _tree(flow: Flow) -> Tree:
    tree = Tree(_unbroken(describe_flow(flow)))
    _grow(tree, flow)
    return tree


def _grow(tree: Tree, flow: Flow) -> None:
    """What happened to it and where it went, in the order of the log; then what became of the rest."""
    after: list[Turn | Flow] = [*flow.turns, *flow.children]
    for one in sorted(after, key=lambda one: one.entry):
        if isinstance(one, Turn):
            tree.add(_unbroken(describe_turn(one), "dim"))
        else:
            _grow(tree.add(_unbroken(describe_flow(one))), one)


def describe_flow(flow: Flow) -> str:
    """A node in one line: what came to whom, when, and what became of it that was not passed on."""
    extra = f", {show_tenge(flow.joined_tiyn)} merged in" if flow.joined_tiyn else ""
    extra += f", {show_tenge(flow.covered_tiyn)} covered by a reserve" if flow.covered_tiyn else ""
    became = describe_fates(flow.fates)
    where = f"{day_of(flow.time_s)}, entry {flow.entry}"
    return (
        f"{flow.kind} → {flow.holder} {show_tenge(flow.amount_tiyn)} ({where}){extra}{': ' if became else ''}{became}"
    )


def describe_turn(turn: Turn) -> str:
    """A turn in one line."""
    return f"{show_tenge(turn.amount_tiyn)} {_DOING[turn.kind]} ({day_of(turn.time_s)}, entry {turn.entry})"
