"""What a payment will take, before it is signed: of which money how much, and what it then waits for."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from cbdc.formats.lines import Line
from cbdc.purposes.conditions import All, Condition, Items, Payment, Refusal, every
from cbdc.purposes.definition import Definition
from wallet.selection import Coin, shares_of, split_by_purpose


@dataclass(frozen=True, slots=True)
class Part:
    """So much (tiyn) of a purpose's tokens, or of free money where ``purpose`` is None.

    ``split_tiyn`` of it go to the account that the purpose's rule names; ``waits`` is what the part waits for.
    """

    purpose: bytes | None
    definition: Definition | None
    amount_tiyn: int
    split_tiyn: int = 0
    waits: tuple[Refusal, ...] = ()


@dataclass(frozen=True, slots=True)
class Plan:
    """How a payment to an account divides, the most restricted money first."""

    payee: str
    amount_tiyn: int
    parts: tuple[Part, ...]

    @property
    def shares(self) -> dict[bytes | None, int]:
        """Tiyn by purpose, None for free money."""
        return {part.purpose: part.amount_tiyn for part in self.parts}

    def is_as(self, other: Plan) -> bool:
        """Whether the same goes to the same, of the same money, at once or not."""
        ours, others = (
            [(part.purpose, part.amount_tiyn, part.split_tiyn, bool(part.waits)) for part in plan.parts]
            for plan in (self, other)
        )
        return self.payee == other.payee and ours == others

    @property
    def waits(self) -> tuple[Refusal, ...]:
        """What the payment as a whole waits for; () if it is paid at once."""
        return tuple(refusal for part in self.parts for refusal in part.waits)

    @property
    def states_lines(self) -> bool:
        """Whether a condition asks what is bought, so that the payment has to say it."""
        definitions = [part.definition for part in self.parts if part.definition is not None]
        return any(isinstance(node, Items) for found in definitions for node in every(found.condition))

    def lines_to_state(self, lines: tuple[Line, ...]) -> tuple[Line, ...]:
        """The invoice's lines as far as the payment shows them: nobody else needs to know what was bought."""
        return lines if self.states_lines else ()


def plan_of(
    payee: str,
    amount_tiyn: int,
    coins: Iterable[Coin],
    definitions: Mapping[bytes, Definition],
    facts_of: Callable[[bytes], Payment],
    purpose: bytes | None = None,
) -> Plan:
    """The plan for an amount out of these coins. Arguments and errors as of `split_by_purpose`."""
    shares = split_by_purpose(amount_tiyn, coins, definitions, facts_of, purpose)
    parts = [_part(mark, tiyn, definitions, facts_of) for mark, tiyn in shares.items()]
    return Plan(payee, amount_tiyn, tuple(parts))


def _part(
    mark: bytes | None, tiyn: int, definitions: Mapping[bytes, Definition], facts_of: Callable[[bytes], Payment]
) -> Part:
    if mark is None:
        return Part(None, None, tiyn)
    definition = definitions[mark]
    payments = shares_of(definition, facts_of(mark), tiyn)
    waits = definition.check(payments) and _lacking(definition, payments)
    return Part(mark, definition, tiyn, sum(p.amount_tiyn for p in payments[1:]), waits)


def _lacking(definition: Definition, payments: list[Payment]) -> tuple[Refusal, ...]:
    """All that a payment which waits waits for, not the first thing alone."""
    asked = [payment for payment in payments if not definition.is_split_part(payment.payee)]
    found = [refusal for payment in asked for refusal in _refusals(definition.condition, payment)]
    return tuple(dict.fromkeys(found))


def _refusals(condition: Condition, payment: Payment) -> list[Refusal]:
    """Why a condition refuses: each reason by itself where all must hold."""
    if isinstance(condition, All):
        return [refusal for inner in condition.conditions for refusal in _refusals(inner, payment)]
    refusal = condition.refuses(payment)
    return [] if refusal is None else [refusal]
