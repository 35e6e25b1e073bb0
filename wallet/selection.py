"""Which tokens pay: the most restricted money that may be spent there first, so that free money lasts longest."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final

from cbdc.amounts import format_tenge
from cbdc.errors import InsufficientFunds, LimitPayment, PurposeRefused, TengeError
from cbdc.formats.tokens import Output
from cbdc.purposes.conditions import Condition, Items, Payment, PerPayment, PerPeriod, every
from cbdc.purposes.definition import Definition

_NOTHING: Final[Mapping[bytes, Output]] = {}


@dataclass(frozen=True, slots=True)
class Coin:
    """A token that could pay: its outpoint, amount in tiyn and purpose."""

    outpoint: bytes
    amount_tiyn: int
    purpose: bytes | None
    weight: int = 0
    """How many payments must be shown to prove it."""
    left: int | None = None
    """How many payments its mark still lasts, where its purpose counts them."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The inputs and outputs of a payment."""

    inputs: tuple[bytes, ...]
    outputs: tuple[Output, ...]


def split_by_purpose(
    amount_tiyn: int,
    coins: Iterable[Coin],
    definitions: Mapping[bytes, Definition],
    facts_of: Callable[[bytes], Payment],
    purpose: bytes | None = None,
) -> dict[bytes | None, int]:
    """How much (tiyn) of which purpose's tokens pays ``amount_tiyn``; None is free money.

    ``facts_of(purpose)`` states the payment as its conditions will see it, but for the amount. With ``purpose`` the
    whole amount is paid in that purpose's tokens. Money that would make the payment wait, for approval or evidence, is
    left alone unless that purpose is named or there is not enough of other money.

    Raises:
        InsufficientFunds: there is not enough that may be spent there.
        Expired, PurposeRefused: ``purpose`` was asked for and refuses, or is unknown. LimitPayment: the purse's element
        signs no more of it before the next sync.
    """
    held: dict[bytes | None, int] = {}
    for coin in coins:
        held[coin.purpose] = held.get(coin.purpose, 0) + coin.amount_tiyn
    if purpose is not None:
        definition = definitions.get(purpose)
        if definition is None:
            raise PurposeRefused("no such purpose", purpose=purpose)
        facts = facts_of(purpose)
        definition.check_open(facts.time_s)
        _check_allowance(facts, amount_tiyn)
        definition.check(shares_of(definition, facts, amount_tiyn))
        _check_enough(held.get(purpose, 0), amount_tiyn)
        return {purpose: amount_tiyn}
    for may_wait in (False, True):
        shares, left_tiyn = _marked_shares(amount_tiyn, held, definitions, facts_of, may_wait=may_wait)
        if left_tiyn <= held.get(None, 0):
            break
    _check_enough(amount_tiyn - left_tiyn + held.get(None, 0), amount_tiyn)
    return shares | {None: left_tiyn} if left_tiyn else shares


def _marked_shares(
    amount_tiyn: int,
    held: Mapping[bytes | None, int],
    definitions: Mapping[bytes, Definition],
    facts_of: Callable[[bytes], Payment],
    *,
    may_wait: bool,
) -> tuple[dict[bytes | None, int], int]:
    """What marked money pays of an amount, the most restricted first, and what is left (tiyn).

    Where it is said what is bought, money that may buy only some things is the most restricted.
    """
    shares: dict[bytes | None, int] = {}
    left_tiyn = amount_tiyn
    facts = {mark: facts_of(mark) for mark in _most_restricted_first(held, definitions)}
    ask_for_lines = [mark for mark in facts if facts[mark].lines and _asks_for_lines(definitions[mark])]
    for mark in dict.fromkeys([*ask_for_lines, *facts]):
        most_tiyn = min(held[mark], left_tiyn)
        share_tiyn = _most_allowed(definitions[mark], most_tiyn, facts[mark], may_wait=may_wait)
        if share_tiyn:
            shares[mark] = share_tiyn
            left_tiyn -= share_tiyn
    return shares, left_tiyn


def shares_of(definition: Definition, facts: Payment, amount_tiyn: int) -> list[Payment]:
    """The payments that paying an amount of a purpose comes to: one, or two where its rule splits a part off."""
    split = definition.split
    off_tiyn = split.share_tiyn(amount_tiyn) if split and facts.payee != split.to else 0
    to_payee = replace(facts, amount_tiyn=amount_tiyn - off_tiyn, others_tiyn=facts.others_tiyn + off_tiyn)
    if split is None or not off_tiyn:
        return [to_payee]
    rest_tiyn = facts.others_tiyn + amount_tiyn - off_tiyn
    return [to_payee, replace(facts, payee=split.to, amount_tiyn=off_tiyn, others_tiyn=rest_tiyn)]


def pick(
    shares: Mapping[bytes | None, int],
    coins: Iterable[Coin],
    payee: bytes,
    change_to: bytes,
    *,
    lightest_first: bool = False,
    split_off: Mapping[bytes, Output] = _NOTHING,
) -> Selection:
    """Tokens and outputs for these shares: one output to the payee and one change for each purpose.

    ``split_off`` is, by purpose, what of the share goes elsewhere.

    A purpose's share comes from the smallest single token that covers it, or from its largest ones; with
    ``lightest_first`` from those that need the least proof. Tokens whose marks last for different numbers of payments
    are put together only where none of the numbers has enough: together all would last for the fewest.

    Raises:
        InsufficientFunds: the coins do not cover a share.
    """
    by_purpose: dict[bytes | None, list[Coin]] = {}
    for coin in coins:
        by_purpose.setdefault(coin.purpose, []).append(coin)
    inputs: list[bytes] = []
    outputs: list[Output] = []
    for purpose, share_tiyn in shares.items():
        cover = _cover_lightly if lightest_first else _cover
        chosen = cover(sorted(_alike(by_purpose.get(purpose, []), share_tiyn), key=_size), share_tiyn)
        change_tiyn = sum(coin.amount_tiyn for coin in chosen) - share_tiyn
        inputs.extend(coin.outpoint for coin in chosen)
        off = split_off.get(purpose) if purpose is not None else None
        to_payee_tiyn = share_tiyn - (off.amount_tiyn if off else 0)
        if to_payee_tiyn:
            outputs.append(Output(payee, to_payee_tiyn, purpose))
        if off is not None:
            outputs.append(off)
        if change_tiyn:
            outputs.append(Output(change_to, change_tiyn, purpose))
    return Selection(tuple(inputs), tuple(outputs))


def _alike(coins: list[Coin], amount_tiyn: int) -> list[Coin]:
    """The coins of one number of payments left that come to an amount, those that come to least; else all."""
    by_left: dict[int | None, list[Coin]] = {}
    for coin in coins:
        by_left.setdefault(coin.left, []).append(coin)
    sums = {left: sum(coin.amount_tiyn for coin in some) for left, some in by_left.items()}
    enough = [left for left in sums if sums[left] >= amount_tiyn]
    return by_left[min(enough, key=lambda left: (sums[left], left or 0))] if enough else coins


def _cover(ascending: list[Coin], amount_tiyn: int) -> list[Coin]:
    for coin in ascending:
        if coin.amount_tiyn >= amount_tiyn:
            return [coin]
    chosen, sum_tiyn = [], 0
    for coin in reversed(ascending):
        chosen.append(coin)
        sum_tiyn += coin.amount_tiyn
        if sum_tiyn >= amount_tiyn:
            return chosen
    raise InsufficientFunds("not enough money", found=format_tenge(sum_tiyn), wanted=format_tenge(amount_tiyn))


def _cover_lightly(ascending: list[Coin], amount_tiyn: int) -> list[Coin]:
    """Coins with little behind them first, large before small; then without those that the others make needless."""
    chosen, sum_tiyn = [], 0
    for coin in sorted(ascending, key=lambda coin: (coin.weight, -coin.amount_tiyn)):
        if sum_tiyn >= amount_tiyn:
            break
        chosen.append(coin)
        sum_tiyn += coin.amount_tiyn
    for coin in sorted(chosen, key=_size):
        if sum_tiyn - coin.amount_tiyn >= amount_tiyn:
            chosen.remove(coin)
            sum_tiyn -= coin.amount_tiyn
    return chosen


def largest_of_each(coins: Iterable[Coin], count: int) -> list[Coin]:
    """The largest coins of each purpose."""
    by_purpose: dict[bytes | None, list[Coin]] = {}
    for coin in sorted(coins, key=_size, reverse=True):
        by_purpose.setdefault(coin.purpose, []).append(coin)
    return [coin for some in by_purpose.values() for coin in some[:count]]


def _size(coin: Coin) -> tuple[int, bytes]:
    return coin.amount_tiyn, coin.outpoint


def _check_enough(found_tiyn: int, wanted_tiyn: int) -> None:
    if found_tiyn < wanted_tiyn:
        raise InsufficientFunds(
            "not enough money that may be spent there", found=format_tenge(found_tiyn), wanted=format_tenge(wanted_tiyn)
        )


def _check_allowance(facts: Payment, amount_tiyn: int) -> None:
    """A secure element that has an allowance for a purpose signs no more of it, whichever condition allows it."""
    limit = facts.allowance_tiyn
    if limit is not None and amount_tiyn > limit:
        raise LimitPayment("more than is left of the allowance until the next sync", found=amount_tiyn, limit=limit)


def _most_restricted_first(held: Mapping[bytes | None, int], definitions: Mapping[bytes, Definition]) -> list[bytes]:
    """Marks by number of conditions, most first; then by expiry, soonest first."""
    marks = [mark for mark in held if mark is not None and mark in definitions]
    return sorted(marks, key=lambda m: (-_nodes(definitions[m].condition), definitions[m].expires_s, m))


def _asks_for_lines(definition: Definition) -> bool:
    return any(isinstance(node, Items) for node in every(definition.condition))


def _nodes(condition: Condition) -> int:
    return sum(1 for _ in every(condition))


def _most_allowed(definition: Definition, up_to_tiyn: int, facts: Payment, *, may_wait: bool) -> int:
    """The largest share that the conditions allow: all of it, or up to one of their limits."""
    limits = {limit for node in every(definition.condition) for limit in _limits(node, facts)}
    split = definition.split
    if split is not None:  # a limit binds what the payee gets: try what it is a part of, whichever way it rounds
        whole = {limit * split.of // (split.of - split.parts) + step for limit in limits for step in (-1, 0, 1)}
        limits |= whole
    if facts.allowance_tiyn is not None:
        up_to_tiyn = min(up_to_tiyn, facts.allowance_tiyn)
    candidates = {up_to_tiyn, *(limit for limit in limits if 0 < limit < up_to_tiyn)}
    for share_tiyn in sorted(candidates, reverse=True):
        if share_tiyn and _is_allowed(definition, facts, share_tiyn, may_wait=may_wait):
            return share_tiyn
    return 0


def _limits(node: Condition, facts: Payment) -> tuple[int, ...]:
    """Amounts at which a condition's answer changes."""
    match node:
        case PerPayment(limit_tiyn):
            return (limit_tiyn,)
        case PerPeriod(limit_tiyn, _):
            found = [limit_tiyn - node.spent_tiyn(facts)]
            return (*found, facts.allowance_tiyn) if facts.allowance_tiyn is not None else tuple(found)
        case Items():
            return (node.covered_tiyn(facts),)
        case _:
            return (facts.allowance_tiyn,) if facts.allowance_tiyn is not None else ()


def _is_allowed(definition: Definition, facts: Payment, share_tiyn: int, *, may_wait: bool) -> bool:
    try:
        _check_allowance(facts, share_tiyn)
        definition.check_open(facts.time_s)
        waits = definition.check(shares_of(definition, facts, share_tiyn))
    except TengeError:
        return False
    return may_wait or not waits
