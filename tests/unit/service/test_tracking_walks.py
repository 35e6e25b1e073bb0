"""Whatever is done to a purpose's money, the books add up, the trees hold all of it, and the state agrees."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator

import pytest

from cbdc.purposes.conditions import All, Approval, Condition, Evidence, PayeeMcc
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, MarkRule, Split, UntilEvidence
from cbdc.service.tracking import Fate, Flow, Group, Moved, Tracked, rows_by
from tests.unit.service.purpose_town import Town, Wanderer

WALKS = 70
STEPS = 120
SHOPS = PayeeMcc(("5411", "5812"))
APPROVED = All((SHOPS, Approval(("altyn/head",), 1)))
TAX = Split("altyn/kgd", 16, 116)
KINDS: list[tuple[MarkRule, Condition, Split | None]] = [
    (Clears(), SHOPS, None),
    (Keeps(), SHOPS, None),
    (KeepsHops(2), SHOPS, None),
    (UntilEvidence("inspector"), SHOPS, None),
    (Keeps(), SHOPS, TAX),
    (Clears(), APPROVED, None),
    (UntilEvidence("inspector"), Evidence("inspector", "1"), TAX),
]


def every(flows: Iterable[Flow]) -> Iterator[Flow]:
    for flow in flows:
        yield flow
        yield from every(flow.children)


def walked(number: int) -> tuple[Town, Tracked]:
    rule, condition, split = KINDS[number % len(KINDS)]
    town = Town(rule, condition, split)
    wanderer = Wanderer(town, number)
    wanderer.walk(STEPS)
    if number % 3 == 0:
        wanderer.end()
    return town, town.tracked()  # which compares every token with the state


def check(town: Town, tracked: Tracked) -> None:
    books = tracked.books
    assert books.is_balanced
    assert books.held_tiyn == sum(held.total_tiyn for held in tracked.held)
    flows = list(every(tracked.trees))
    assert [flow for flow in flows if not flow.is_balanced] == []
    grants = [flow for flow in flows if flow.kind is Moved.GRANT]
    assert sum(flow.amount_tiyn for flow in grants) == books.issued_tiyn
    became: Counter[Fate] = Counter()
    for flow in flows:
        became.update(dict(flow.fates))
    held = (became[Fate.ONLINE], became[Fate.OFFLINE], became[Fate.WAITING])
    assert held == (books.online_tiyn, books.offline_tiyn, books.waiting_tiyn)
    assert (became[Fate.RETURNED], became[Fate.SEIZED]) == (books.returned_tiyn, books.seized_tiyn)
    for group in Group:
        rows = rows_by(tracked, group)
        assert sum(row.paid_tiyn for row in rows) == books.paid_tiyn
        assert sum(row.given_back_tiyn for row in rows) == books.given_back_tiyn
    days = rows_by(tracked, Group.DAY)
    assert sum(row.granted_tiyn for row in days) == books.issued_tiyn
    assert sum(row.returned_tiyn for row in days) == books.returned_tiyn
    if isinstance(town.rule, Keeps) and town.split is None:  # all purses' money is marked, and stays so
        assert books.covered_tiyn == town.reserve().excess_tiyn


@pytest.mark.parametrize("number", range(WALKS))
def test_a_walk(number: int) -> None:
    check(*walked(number))


def test_the_walks_go_everywhere() -> None:
    """Over all of them, there is every movement, and something in every line of the books."""
    kinds: set[Moved] = set()
    lines: Counter[str] = Counter()
    for number in range(WALKS):
        tracked = walked(number)[1]
        kinds |= {movement.kind for movement in tracked.movements}
        lines.update(name for name in tracked.books.__match_args__ if getattr(tracked.books, name))
    assert set(Moved) - kinds <= {Moved.SEIZED}
    assert {"covered_tiyn", "waiting_tiyn", "given_back_tiyn", "returned_tiyn"} <= set(lines)
