"""Which tokens pay: the most restricted money that may be spent there first, so that free money lasts longest."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from cbdc.amounts import format_tenge
from cbdc.errors import InsufficientFunds, PurposeRefused, TengeError
from cbdc.formats.tokens import Output
from cbdc.purposes.conditions import All, Any, Condition, Not, Payment, PerPayment
from cbdc.purposes.definition import Definition


@dataclass(frozen=True, slots=True)
class Coin:
    """A token that could pay: its outpoint, amount in tiyn and purpose."""

    outpoint: bytes
    amount_tiyn: int
    purpose: bytes | None
    weight: int = 0
    """How many payments must be shown to prove it."""


@dataclass(frozen=True, slots=True)
class Selection:
    """The inputs and outputs of a payment."""

    inputs: tuple[bytes, ...]
    outputs: tuple[Output, ...]


def split_by_purpose(
    amount_tiyn: int,
    coins: Iterable[Coin],
    definitions: Mapping[bytes, Definition],
    facts: Payment,
    purpose: bytes | None = None,
) -> dict[bytes | None, int]:
    """How much (tiyn) of which purpose's tokens pays ``amount_tiyn``; None is free money.

    With ``purpose`` the whole amount is paid in that purpose's tokens.

    Raises:
        InsufficientFunds: there is not enough that may be spent there.
        Expired, PurposeRefused: ``purpose`` was asked for and refuses, or is unknown.
    """
    held: dict[bytes | None, int] = {}
    for coin in coins:
        held[coin.purpose] = held.get(coin.purpose, 0) + coin.amount_tiyn
    if purpose is not None:
        definition = definitions.get(purpose)
        if definition is None:
            raise PurposeRefused("no such purpose", purpose=purpose)
        definition.check_open(facts.time_s)
        definition.check(replace(facts, amount_tiyn=amount_tiyn))
        _check_enough(held.get(purpose, 0), amount_tiyn)
        return {purpose: amount_tiyn}
    shares: dict[bytes | None, int] = {}
    left_tiyn = amount_tiyn
    for mark in _most_restricted_first(held, definitions):
        share_tiyn = _most_allowed(definitions[mark], min(held[mark], left_tiyn), facts)
        if share_tiyn:
            shares[mark] = share_tiyn
            left_tiyn -= share_tiyn
    _check_enough(held.get(None, 0), left_tiyn)
    if left_tiyn:
        shares[None] = left_tiyn
    return shares


def pick(
    shares: Mapping[bytes | None, int],
    coins: Iterable[Coin],
    payee: bytes,
    change_to: bytes,
    *,
    lightest_first: bool = False,
) -> Selection:
    """Tokens and outputs for these shares: one output to the payee and one change for each purpose.

    A purpose's share comes from the smallest single token that covers it, or from its largest ones; with
    ``lightest_first`` from those that need the least proof.

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
        chosen = cover(sorted(by_purpose.get(purpose, []), key=_size), share_tiyn)
        change_tiyn = sum(coin.amount_tiyn for coin in chosen) - share_tiyn
        inputs.extend(coin.outpoint for coin in chosen)
        outputs.append(Output(payee, share_tiyn, purpose))
        if change_tiyn:
            outputs.append(Output(change_to, change_tiyn, purpose))
    return Selection(tuple(inputs), tuple(outputs))


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
        raise InsufficientFunds("not enough money", found=format_tenge(found_tiyn), wanted=format_tenge(wanted_tiyn))


def _most_restricted_first(held: Mapping[bytes | None, int], definitions: Mapping[bytes, Definition]) -> list[bytes]:
    """Marks by number of conditions, most first; then by expiry, soonest first."""
    marks = [mark for mark in held if mark is not None and mark in definitions]
    return sorted(marks, key=lambda m: (-_nodes(definitions[m].condition), definitions[m].expires_s, m))


def _nodes(condition: Condition) -> int:
    match condition:
        case All(inner) | Any(inner):
            return 1 + sum(map(_nodes, inner))
        case Not(inner_one):
            return 1 + _nodes(inner_one)
        case _:
            return 1


def _most_allowed(definition: Definition, up_to_tiyn: int, facts: Payment) -> int:
    """The largest share that the conditions allow: all of it, or up to one of their limits per payment."""
    candidates = {up_to_tiyn, *(limit for limit in _limits(definition.condition) if limit < up_to_tiyn)}
    for share_tiyn in sorted(candidates, reverse=True):
        if share_tiyn and _is_allowed(definition, replace(facts, amount_tiyn=share_tiyn)):
            return share_tiyn
    return 0


def _limits(condition: Condition) -> list[int]:
    match condition:
        case All(inner) | Any(inner):
            return [limit for one in inner for limit in _limits(one)]
        case PerPayment(limit_tiyn):
            return [limit_tiyn]
        case _:
            return []


def _is_allowed(definition: Definition, facts: Payment) -> bool:
    try:
        definition.check_open(facts.time_s)
        definition.check(facts)
    except TengeError:
        return False
    return True
