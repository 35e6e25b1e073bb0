"""The ``expect`` step: compares what is with what the scenario says."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from cbdc.amounts import format_tenge, parse_tenge
from cbdc.errors import TengeError

if TYPE_CHECKING:
    from wallet.scenarios.economy import Economy
    from wallet.scenarios.payments import Payments
    from wallet.scenarios.schema import Step


class Unexpected(TengeError):
    """An expectation of a scenario does not hold."""

    code: ClassVar[str] = "unexpected"


def check(economy: Economy, payments: Payments, step: Step) -> str:
    """Check every field of the step, whose form `forms` has looked at; in words what held.

    Raises:
        Unexpected: the first that does not, with what was found.
    """
    held: list[str] = []
    _check_wallet(economy, step, held)
    _check_bank(economy, step, held)
    if "supply" in step.fields:
        supply = economy.queries.supply()
        _same(held, "supply", supply.issued_tiyn - supply.redeemed_tiyn, step.text("supply"))
    if "forks" in step.fields and economy.queries.forked_outputs() != step.fields["forks"]:
        raise Unexpected("forks", found=economy.queries.forked_outputs(), wanted=step.fields["forks"])
    if "owes" in step.fields:
        owes: dict[str, Any] = step.fields["owes"]
        account = economy.account(str(owes["wallet"]))
        _same(held, f"{owes['wallet']} owes", economy.queries.debt_tiyn(account), str(owes["amount"]))
    if "payment" in step.fields:
        status = payments.status(step.text("payment"))
        if status != step.text("status"):
            raise Unexpected(f"payment {step.text('payment')}", found=status, wanted=step.text("status"))
        held.append(f"payment {step.text('payment')} is {status}")
    return ", ".join(held)


def _check_wallet(economy: Economy, step: Step, held: list[str]) -> None:
    name = step.fields.get("wallet")
    if name is None:
        return
    balance = economy.balance(str(name))
    found = {"online": balance.online_tiyn, "offline": balance.offline_tiyn, "pending": balance.pending_tiyn}
    for field, amount_tiyn in found.items():
        if field in step.fields:
            _same(held, f"{name} {field}", amount_tiyn, step.text(field))
    for purpose, wanted in dict(step.fields.get("marked", {})).items():
        marked_tiyn = balance.marked.get(economy.purpose(purpose) or b"", 0)
        _same(held, f"{name} marked {purpose}", marked_tiyn, str(wanted))


def _check_bank(economy: Economy, step: Step, held: list[str]) -> None:
    name = step.fields.get("bank")
    if name is None:
        return
    desk, reserve = economy.bank(str(name)), economy.queries.reserve(str(name))
    found = {
        "online": desk.online_tiyn(economy.port),
        "reserve": reserve.reserve_tiyn,
        "claims": reserve.claims_tiyn,
    }
    for field, amount_tiyn in found.items():
        if field in step.fields:
            _same(held, f"{name} {field}", amount_tiyn, step.text(field))


def _same(held: list[str], what: str, found_tiyn: int, wanted: str) -> None:
    if found_tiyn != parse_tenge(wanted):
        raise Unexpected(what, found=format_tenge(found_tiyn), wanted=wanted)
    held.append(f"{what} {format_tenge(found_tiyn)}")
