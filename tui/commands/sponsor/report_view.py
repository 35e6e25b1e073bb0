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
from wallet.drawing.purpose import FATE_WORDS, GROUP_TITLES, describe_fates, key_of, parts_of, percent

SHORT: Final = 10
"""Rows of a short table; a last one says how many more there are, and how much that is."""
TREES: Final = 40
"""Trees that are printed."""
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
    Moved.RECALLED: "returned: recalled",
}


def show(console: Console, tracked: Tracked, by: Group | None, *, tree: bool) -> None:
    """Print a report: the books, and what was asked for; by default all tables, short."""
    definition = tracked.definition
    console.print(Text(definition.titles[0], style="bold"))
    console.print(
        Text(f"{definition.name} · id {tracked.purpose.hex()[:16]} · as of {show_time(tracked.until_s)} +05:00\n")
    )
    _show_books(console, tracked.books)
    if by is not None:
        _show_rows(console, rows_by(tracked, by), by, limit=None)
    elif not tree:
        _show_held(console, tracked.held)
        for group in Group:
            _show_rows(console, rows_by(tracked, group), group, limit=SHORT)
    if tree:
        _show_trees(console, tracked.trees)


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
        table.add_row(Text(one.holder), *_held_sums([one]))
    rest = held[SHORT:]
    if rest:
        table.add_row(f"and {len(rest)} more", *_held_sums(rest))
    console.print(table)


def _held_sums(held: Sequence[Held]) -> list[str]:
    return _added([(one.online_tiyn, one.offline_tiyn, one.waiting_tiyn) for one in held])


def _added(rows: Sequence[tuple[int, ...]]) -> list[str]:
    """The sum of each column, nothing for zero."""
    return [show_tenge(sum(column)) if sum(column) else "" for column in zip(*rows, strict=True)]


# --- sums --------------------------------------------------------------------------------------


def _table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title, title_justify="left", title_style="bold")
    table.add_column(first, overflow="fold")
    for name in others:
        table.add_column(name, justify="right", overflow="fold")
    return table


def _show_rows(console: Console, rows: Sequence[Row], group: Group, limit: int | None) -> None:
    """The table, with bars where there is room for them: no digit gives way to a bar."""
    if not rows:
        return
    tables = [_days(rows, limit)] if group is Group.DAY else [_rows(rows, group, limit, bars=b) for b in (True, False)]
    unbounded = console.options.update(max_width=1_000)
    fitting = [table for table in tables if console.measure(table, options=unbounded).maximum <= console.width]
    console.print((fitting or tables[-1:])[0])


def _rows(rows: Sequence[Row], group: Group, limit: int | None, *, bars: bool) -> Table:
    table = _table(f"Paid {GROUP_TITLES[group]}", group.value, "paid", "refunded", "net")
    if bars:
        table.add_column("", no_wrap=True)
    shown = rows if limit is None else rows[:limit]
    most_tiyn = max(row.paid_tiyn for row in rows)
    for row in shown:
        drawn = [bar(row.paid_tiyn, 2 * most_tiyn)] if bars else []
        table.add_row(Text(key_of(row.key, group)), *_row_sums([row]), *drawn)
    rest = rows[len(shown) :]
    if rest:
        table.add_row(f"and {len(rest)} more", *_row_sums(rest))
    return table


def _row_sums(rows: Sequence[Row]) -> list[str]:
    return _added([(row.paid_tiyn, row.given_back_tiyn, row.net_tiyn) for row in rows])


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
    return _added([(row.granted_tiyn, row.paid_tiyn, row.given_back_tiyn, row.returned_tiyn) for row in rows])


# --- trees -------------------------------------------------------------------------------------


def _show_trees(console: Console, trees: Sequence[Flow]) -> None:
    """The first of them, and what is in the others."""
    for flow in trees[:TREES]:
        console.print(_tree(flow))
    rest = trees[TREES:]
    if rest:
        grants = "1 more grant" if len(rest) == 1 else f"{len(rest)} more grants"
        console.print(f"and {grants}, {show_tenge(sum(flow.amount_tiyn for flow in rest))}; --json has all")


def _tree(flow: Flow) -> Tree:
    tree = Tree(Text(describe_flow(flow)))
    _grow(tree, flow)
    return tree


def _grow(tree: Tree, flow: Flow) -> None:
    """What happened to it and where it went, in the order of the log; then what became of the rest."""
    after: list[Turn | Flow] = [*flow.turns, *flow.children]
    for one in sorted(after, key=lambda one: one.entry):
        if isinstance(one, Turn):
            tree.add(Text(describe_turn(one), style="dim"))
        else:
            _grow(tree.add(Text(describe_flow(one))), one)
    if flow.fates and not _is_whole(flow):
        tree.add(Text(f"now {describe_fates(flow.fates)}"))


def describe_flow(flow: Flow) -> str:
    """A node in one line: what came to whom and when, and what became of it if that is all one thing."""
    extra = f", {show_tenge(flow.joined_tiyn)} merged in" if flow.joined_tiyn else ""
    extra += f", {show_tenge(flow.covered_tiyn)} covered by a reserve" if flow.covered_tiyn else ""
    became = f": {FATE_WORDS[flow.fates[0][0]]}" if _is_whole(flow) and not _is_told(flow) else ""
    where = f"{day_of(flow.time_s)}, entry {flow.entry}"
    return f"{flow.kind} → {flow.holder} {show_tenge(flow.amount_tiyn)} ({where}){extra}{became}"


def _is_whole(flow: Flow) -> bool:
    """Whether one word says what became of all of it."""
    return [tiyn for _, tiyn in flow.fates] == [flow.amount_tiyn] and not flow.children


def _is_told(flow: Flow) -> bool:
    """Whether a turn below says how all of it went back, and when."""
    ends = [turn.amount_tiyn for turn in flow.turns if turn.kind in (Moved.EXPIRED, Moved.RECALLED)]
    return sum(ends) == flow.amount_tiyn


def describe_turn(turn: Turn) -> str:
    """A turn in one line."""
    return f"{show_tenge(turn.amount_tiyn)} {_DOING[turn.kind]} ({day_of(turn.time_s)}, entry {turn.entry})"
