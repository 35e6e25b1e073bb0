"""What marked money was spent on, as far as a payment's lines say and the sponsor may know."""

from __future__ import annotations

from collections.abc import Sequence

from cbdc.formats.lines import Line
from cbdc.purposes.conditions import Items as ItemsCondition
from cbdc.purposes.conditions import every
from cbdc.purposes.definition import Definition
from cbdc.service.tracking.records import NOT_STATED, NOT_TOLD_APART, Items


def bought(definition: Definition, lines: Sequence[Line], amount_tiyn: int, total_tiyn: int) -> Items:
    """What ``amount_tiyn`` of a payment bought, which paid ``total_tiyn`` of the purpose in all.

    Marked money pays for the lines whose categories the purpose names, if those cover it; if it names none, for all
    lines, if it is the whole payment. Each line bears its share.
    """
    if not lines:
        return ((NOT_STATED, amount_tiyn),)
    asked = [node for node in every(definition.condition) if isinstance(node, ItemsCondition)]
    named = {category for node in asked for category in node.categories}
    meant = [line for line in lines if line.category in named]
    if sum(line.amount_tiyn for line in meant) >= total_tiyn:
        return shared(amount_tiyn, [(line.category, line.amount_tiyn) for line in meant])
    if sum(line.amount_tiyn for line in lines) == total_tiyn:
        return shared(amount_tiyn, [(line.category, line.amount_tiyn) for line in lines])
    return ((NOT_TOLD_APART, amount_tiyn),)


def shared(amount_tiyn: int, weights: Sequence[tuple[str, int]]) -> Items:
    """An amount in shares like those of ``weights``, to the tiyn: what is left over goes where most was cut off."""
    sums: dict[str, int] = {}
    for category, weight in weights:
        sums[category] = sums.get(category, 0) + weight
    total = sum(sums.values())
    if not total:
        return ((NOT_STATED, amount_tiyn),)
    shares = {category: amount_tiyn * weight // total for category, weight in sums.items()}
    cut = sorted(sums, key=lambda category: (-(amount_tiyn * sums[category] % total), category))
    for category in cut[: amount_tiyn - sum(shares.values())]:
        shares[category] += 1
    return tuple(sorted((category, tiyn) for category, tiyn in shares.items() if tiyn))
