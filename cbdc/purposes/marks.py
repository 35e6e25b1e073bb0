"""What a spend does to marks: the same rule for the wallet, the purse and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from cbdc.errors import AmountMismatch, PurposeMismatch
from cbdc.formats.certificates import Certificate
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output
from cbdc.purposes.conditions import Memory, Payment, Refusal
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Mark


class Valued(Protocol):
    """A token or an output: an amount in tiyn, of a purpose or (None) free."""

    @property
    def amount_tiyn(self) -> int: ...

    @property
    def purpose(self) -> bytes | None: ...


class Marked(Valued, Protocol):
    """A token, online or offline."""

    @property
    def left(self) -> int | None: ...


@dataclass(frozen=True, slots=True)
class Paid:
    """What a transfer pays one payee (its key) of one purpose, the whole drawn under ``mark``."""

    payee: bytes
    amount_tiyn: int
    mark: Mark


@dataclass(frozen=True, slots=True)
class Outcome:
    """The mark of each output's token (None: free), every share that was paid, and what the payment waits for."""

    marks: list[Mark | None]
    paid: tuple[Paid, ...] = ()
    waits: tuple[Refusal, ...] = ()


def check_conserved(inputs: Iterable[Valued], outputs: Iterable[Valued], leaving_tiyn: int = 0) -> None:
    """Value is conserved purpose by purpose; ``leaving_tiyn`` of free value may leave the tokens.

    Raises:
        AmountMismatch: the totals differ. PurposeMismatch: they agree, but not within each purpose.
    """
    balance: dict[bytes | None, int] = {None: -leaving_tiyn}
    for valued in inputs:
        balance[valued.purpose] = balance.get(valued.purpose, 0) + valued.amount_tiyn
    for valued in outputs:
        balance[valued.purpose] = balance.get(valued.purpose, 0) - valued.amount_tiyn
    if not any(balance.values()):
        return
    total_tiyn = sum(balance.values())
    if total_tiyn:
        raise AmountMismatch("inputs and outputs differ", missing_tiyn=-total_tiyn)
    raise PurposeMismatch("tokens of one purpose would become tokens of another")


def merged(inputs: Iterable[Marked]) -> dict[bytes, Mark]:
    """The mark of each purpose's value in these tokens: of those that count payments, the fewest that are left."""
    marks: dict[bytes, Mark] = {}
    for token in inputs:
        if token.purpose is None:
            continue
        before = marks.get(token.purpose)
        if before is None or (token.left is not None and (before.left is None or token.left < before.left)):
            marks[token.purpose] = Mark(token.purpose, token.left)
    return marks


def marks_after(
    inputs: Iterable[Marked],
    outputs: Sequence[Output],
    payers: Collection[bytes],
    definition_of: Callable[[bytes], Definition],
    payment_to: Callable[[Paid, int], Payment],
    time_s: int,
    freed: Collection[bytes] = (),
) -> Outcome:
    """The mark that each output's token bears, after checking the conditions of every marked payment.

    Outputs back to one of the ``payers``' keys are change and keep their mark; the rest is a payment, judged
    by the sum that one payee gets of one purpose. ``payment_to(share, what others get)`` states the facts. Of a
    purpose in ``freed`` all inputs are free money since an oracle's evidence, and nothing is asked.

    Raises:
        Expired, PurposeRefused: from the definition.
    """
    drawn = {purpose: mark for purpose, mark in merged(inputs).items() if purpose not in freed}
    shares: dict[tuple[bytes, bytes], int] = {}
    for output in outputs:
        if output.purpose in drawn and output.owner not in payers:
            share = (output.purpose, output.owner)
            shares[share] = shares.get(share, 0) + output.amount_tiyn
    for purpose in drawn:
        definition_of(purpose).check_open(time_s)
    paid = tuple([Paid(owner, tiyn, drawn[purpose]) for (purpose, owner), tiyn in shares.items()])
    waits, split_owners = _judge(paid, definition_of, payment_to)
    marks = [_mark_of(output, drawn, payers, split_owners, definition_of) for output in outputs]
    return Outcome(marks, paid, waits)


def _judge(
    paid: Sequence[Paid], definition_of: Callable[[bytes], Definition], payment_to: Callable[[Paid, int], Payment]
) -> tuple[tuple[Refusal, ...], set[tuple[bytes, bytes]]]:
    """What the payment waits for, and (purpose, owner) of the parts that a rule splits off."""
    waits: list[Refusal] = []
    split_off: set[tuple[bytes, bytes]] = set()
    for purpose in dict.fromkeys(share.mark.purpose for share in paid):
        shares = [share for share in paid if share.mark.purpose == purpose]
        total_tiyn = sum([share.amount_tiyn for share in shares])
        payments = [payment_to(share, total_tiyn - share.amount_tiyn) for share in shares]
        definition = definition_of(purpose)
        waits.extend(definition.check(payments))
        for share, payment in zip(shares, payments, strict=True):
            if definition.is_split_part(payment.payee):
                split_off.add((purpose, share.payee))
    return tuple(waits), split_off


def _mark_of(
    output: Output,
    drawn: dict[bytes, Mark],
    payers: Collection[bytes],
    split_off: set[tuple[bytes, bytes]],
    definition_of: Callable[[bytes], Definition],
) -> Mark | None:
    mark = None if output.purpose is None else drawn.get(output.purpose)
    if mark is None or output.owner in payers:
        return mark
    if (mark.purpose, output.owner) in split_off:
        return None
    return definition_of(mark.purpose).mark.after(mark)


def payment_facts(
    payer: str,
    payee: str,
    certificate: Certificate | None,
    amount_tiyn: int,
    time_s: int,
    *,
    lines: tuple[Line, ...] = (),
    others_tiyn: int = 0,
    memory: Memory | None = None,
    allowance_tiyn: int | None = None,
) -> Payment:
    """The facts of a payment; ``certificate`` is the payee's, if it has one (an institution has none)."""
    merchant = certificate.merchant if certificate else None
    return Payment(
        payer=payer,
        payee=payee,
        payee_mcc=merchant.mcc if merchant else None,
        payee_kato=merchant.kato if merchant else None,
        amount_tiyn=amount_tiyn,
        time_s=time_s,
        payee_tier=certificate.tier if certificate else None,
        lines=lines or None,
        others_tiyn=others_tiyn,
        memory=memory,
        allowance_tiyn=allowance_tiyn,
    )
