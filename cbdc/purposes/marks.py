"""What a spend does to marks: the same rule for the wallet, the purse and the ledger."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Sequence
from typing import Protocol

from cbdc.errors import AmountMismatch, PurposeMismatch
from cbdc.formats.certificates import Certificate
from cbdc.formats.tokens import Output
from cbdc.purposes.conditions import Payment
from cbdc.purposes.definition import Definition


class Valued(Protocol):
    """A token or an output: an amount in tiyn, of a purpose or (None) free."""

    @property
    def amount_tiyn(self) -> int: ...

    @property
    def purpose(self) -> bytes | None: ...


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


def marks_after(
    outputs: Sequence[Output],
    payers: Collection[bytes],
    definition_of: Callable[[bytes], Definition],
    payment_to: Callable[[bytes, int], Payment],
    time_s: int,
) -> list[bytes | None]:
    """The mark that each output's token bears, after checking the conditions of every marked payment.

    Outputs back to one of the ``payers``' keys are change and keep their mark; the rest is a payment, judged
    by the sum that one payee gets of one purpose. ``payment_to(owner key, amount)`` states the facts.

    Raises:
        Expired, PurposeRefused: from the definition.
    """
    paid: dict[tuple[bytes, bytes], int] = {}
    for output in outputs:
        if output.purpose is not None and output.owner not in payers:
            share = (output.purpose, output.owner)
            paid[share] = paid.get(share, 0) + output.amount_tiyn
    for purpose in dict.fromkeys(output.purpose for output in outputs if output.purpose is not None):
        definition_of(purpose).check_open(time_s)
    for (purpose, owner), amount_tiyn in paid.items():
        definition_of(purpose).check(payment_to(owner, amount_tiyn))
    return [
        output.purpose
        if output.purpose is None or output.owner in payers
        else definition_of(output.purpose).mark_after(output.purpose)
        for output in outputs
    ]


def payment_facts(payer: str, payee: str, certificate: Certificate | None, amount_tiyn: int, time_s: int) -> Payment:
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
    )
