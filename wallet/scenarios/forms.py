"""The form of every step: its fields, what each may hold, and the names that it may speak of.

All of it is checked before anything is played, so that a slip of the pen is never taken for an outcome.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from typing import Any, Final

from cbdc.errors import Malformed
from wallet.purse import Status
from wallet.scenarios.forging import FORGERIES
from wallet.scenarios.values import (
    Table,
    amount_of,
    check_fields,
    count_of,
    name_in,
    nearest,
    span_of,
    text_in,
    text_of,
)

MESSAGES: Final = ("invoice", "payment", "receipt")
"""What crosses between two devices in a payment, in this order."""

CRASHES: Final = ("before_commit", "after_commit")
WAITING, LAPSED = "waiting", "lapsed"
STATUSES: Final = (*(status.value for status in Status if status is not Status.INVOICED), WAITING, LAPSED)
PRIVACY_TO_COME: Final = ("confidential", "cash")
STEPS_TO_COME: Final = ("open_private",)
ITEM_FIELDS: Final = ("category", "amount")

EVERY_STEP: Final = ("do", "refused", "note")
"""Fields that any step may have."""


@dataclass
class Names:
    """What a step may speak of: the tables' names, and what earlier steps have made."""

    banks: tuple[str, ...]
    wallets: tuple[str, ...]
    purposes: tuple[str, ...]
    oracles: tuple[str, ...]
    approvers: tuple[str, ...]
    devices: set[str]
    payments_to_come: list[str]
    payments: set[str] = field(default_factory=set)
    backups: set[str] = field(default_factory=set)

    def note(self, do: str, fields: Table, *, refused: bool) -> None:
        """Keep what a step names with ``as``."""
        name = fields.get("as")
        if do == "pay" and name is not None:
            self.payments.add(name)
            self.payments_to_come.remove(name)
        elif do == "backup" and not refused:
            self.backups.add(str(name))
        elif do == "clone" and not refused:
            self.devices.add(str(name))


Reader = Callable[[object, str, str, Names], None]
"""Looks at a field's value, given the field's name, the place and the known names. Raises Malformed."""


def check_do(number: int, do: str) -> None:
    """Raises Malformed: there is no such step, or not yet."""
    if do in FORMS:
        return
    if do in STEPS_TO_COME:
        raise Malformed(f"step {number}: this step is not there yet", found=do)
    raise Malformed(f"step {number}: unknown step", found=do[:40], **nearest(do, FORMS))


def check(do: str, fields: Table, where: str, names: Names) -> None:
    """Check a step's own fields.

    Raises:
        Malformed: one is unknown, missing, of another form, or names what is not there. TooLarge: an amount.
    """
    form = {name.removesuffix("?"): (reader, name.endswith("?")) for name, reader in FORMS[do].items()}
    check_fields(fields, (*form, *EVERY_STEP), where)
    for name, (reader, is_optional) in form.items():
        if name in fields or not is_optional:
            reader(fields.get(name), name, where, names)
    if do == "expect":
        _check_subjects(fields, where)


# --- readers -----------------------------------------------------------------------------------


def _amount(value: object, name: str, where: str, _: Names) -> None:
    amount_of(value, name, where)


def _text(value: object, name: str, where: str, _: Names) -> None:
    text_of(value, name, where)


def _span(value: object, name: str, where: str, _: Names) -> None:
    text = text_of(value, name, where)
    try:
        span_of(text)
    except Malformed as error:
        raise Malformed(f"{where}: {error.message}", **error.values) from None


def _span_or_back(value: object, name: str, where: str, names: Names) -> None:
    _span(value.removeprefix("-") if isinstance(value, str) else value, name, where, names)


def _bank(value: object, name: str, where: str, names: Names) -> None:
    _known(text_of(value, name, where), "bank", where, names.banks)


def _wallet(value: object, name: str, where: str, names: Names) -> None:
    _known(text_of(value, name, where), "wallet", where, names.devices)


def _wallets(value: object, name: str, where: str, names: Names) -> None:
    if not isinstance(value, list) or not value:
        raise Malformed(f"{where} needs a list of names {name!r}")
    for item in value:
        _wallet(item, name, where, names)


def _purpose(value: object, name: str, where: str, names: Names) -> None:
    _known(text_of(value, name, where), "purpose", where, names.purposes)


def _payment(value: object, name: str, where: str, names: Names) -> None:
    _known(text_of(value, name, where), "payment", where, names.payments)


def _payment_to_come(value: object, name: str, where: str, names: Names) -> None:
    _known(text_of(value, name, where), "payment after this step", where, names.payments_to_come)


def _backup(value: object, name: str, where: str, names: Names) -> None:
    _known(text_of(value, name, where), "backup", where, names.backups)


def _new_backup(value: object, name: str, where: str, _: Names) -> None:
    name_in({name: value}, name, where)


def _new_device(value: object, name: str, where: str, names: Names) -> None:
    if name_in({name: value}, name, where) in names.devices:
        raise Malformed(f"{where}: there is a wallet of this name", found=value)


def _known(found: str, what: str, where: str, known: Iterable[str]) -> None:
    if found not in known:
        raise Malformed(f"{where}: no such {what}", found=found[:40], **nearest(found, known))


def _oracle(value: object, name: str, where: str, names: Names) -> None:
    _known(text_of(value, name, where), "oracle", where, names.oracles)


def _approver(value: object, name: str, where: str, names: Names) -> None:
    _known(text_of(value, name, where), "approver", where, names.approvers)


def _payment_or_wallet(value: object, name: str, where: str, names: Names) -> None:
    _known(text_of(value, name, where), "payment or wallet", where, {*names.payments, *names.devices})


def _one_of(choices: tuple[str, ...], to_come: tuple[str, ...] = ()) -> Reader:
    def check_choice(value: object, name: str, where: str, _: Names) -> None:
        found = text_of(value, name, where)
        if found in to_come:
            raise Malformed(f"{where}: this {name} is not there yet", found=found)
        if found not in choices:
            wanted = " or ".join(choices)
            raise Malformed(f"{where}: no such {name}", found=found[:40], wanted=wanted, **nearest(found, choices))

    return check_choice


def _items(value: object, name: str, where: str, _: Names) -> None:
    if not isinstance(value, list):
        raise Malformed(f"{where}: {name} is a list")
    for item in value:
        if not isinstance(item, dict):
            raise Malformed(f"{where}: an item is a table")
        check_fields(item, ITEM_FIELDS, f"{where}: an item")
        text_in(item, "category", f"{where}: an item")
        amount_of(item.get("amount"), "amount", f"{where}: an item")


def _marked(value: object, name: str, where: str, names: Names) -> None:
    if not isinstance(value, dict):
        raise Malformed(f"{where}: {name} is a table of purposes")
    for purpose, amount in value.items():
        _known(purpose, "purpose", where, names.purposes)
        amount_of(amount, purpose, where)


def _owes(value: object, name: str, where: str, names: Names) -> None:
    if not isinstance(value, dict):
        raise Malformed(f"{where}: {name} is a table of a wallet and an amount")
    check_fields(value, ("wallet", "amount"), f"{where}: {name}")
    _known(text_in(value, "wallet", f"{where}: {name}"), "wallet", where, names.wallets)
    amount_of(value.get("amount"), "amount", f"{where}: {name}")


def _count(value: object, name: str, where: str, _: Names) -> None:
    count_of(value, f"{where}: {name}")


# --- the steps ---------------------------------------------------------------------------------

_EXPECTED: Final[dict[str, set[str]]] = {
    "wallet": {"online", "offline", "pending", "marked"},
    "bank": {"online", "reserve", "claims"},
    "payment": {"status"},
    "supply": set(),
    "forks": set(),
    "owes": set(),
}
"""What may be expected of what."""


def _check_subjects(fields: dict[str, Any], where: str) -> None:
    """Every field of an ``expect`` is one that will be looked at. Raises Malformed."""
    known: set[str] = set()
    for subject, of_it in _EXPECTED.items():
        if subject in fields:
            if of_it and not of_it & fields.keys():
                raise Malformed(f"{where} expects nothing of its {subject}", wanted=" or ".join(sorted(of_it)))
            known |= {subject, *of_it}
    unknown = fields.keys() - known
    if unknown or not known:
        raise Malformed(f"{where} expects something of nobody", found=", ".join(sorted(unknown)))


_OF_A_WALLET: Final[dict[str, Reader]] = {"wallet": _wallet}
_OF_WALLETS: Final[dict[str, Reader]] = {"wallets": _wallets}
_MOVED: Final[dict[str, Reader]] = {"wallet": _wallet, "amount": _amount, "purpose?": _purpose}

FORMS: Final[dict[str, dict[str, Reader]]] = {
    "issue": {"to": _bank, "amount": _amount},
    "redeem": {"from": _bank, "amount": _amount},
    "fund": {"from": _bank, "to": _wallet, "amount": _amount},
    "reserve": {"bank": _bank, "amount": _amount},
    "grant": {"from": _wallet, "to": _wallet, "amount": _amount, "purpose": _purpose},
    "pay": {
        "from": _wallet,
        "to": _wallet,
        "amount": _amount,
        "purpose?": _purpose,
        "privacy?": _one_of(("open",), PRIVACY_TO_COME),
        "items?": _items,
        "wait?": _span,
        "as?": _text,
    },
    "evidence": {"oracle": _oracle, "fact": _text, "about": _payment_or_wallet},
    "approve": {"by": _approver, "payment": _payment},
    "refund": {"payment": _payment, "amount?": _amount},
    "allow": {"from": _wallet, "to": _wallet, "amount": _amount, "purpose": _purpose},
    "recall": {"from": _wallet, "wallet": _wallet, "purpose": _purpose, "reference": _text},
    "lose_message": {"payment": _payment_to_come, "message": _one_of(MESSAGES)},
    "resend": {"payment": _payment},
    "release": {"payment": _payment},
    "load": _MOVED,
    "unload": _MOVED,
    "repay": {"wallet": _wallet, "amount": _amount},
    "new_purse": _OF_A_WALLET,
    "offline": _OF_WALLETS,
    "online": _OF_WALLETS,
    "sync": _OF_WALLETS,
    "backup": {"wallet": _wallet, "as": _new_backup},
    "restore": {"wallet": _wallet, "to": _backup},
    "clone": {"wallet": _wallet, "as": _new_device},
    "tamper": {"wallet": _wallet, "what": _one_of(FORGERIES)},
    "careless": _OF_A_WALLET,
    "lose": _OF_A_WALLET,
    "freeze": _OF_A_WALLET,
    "revoke": _OF_A_WALLET,
    "advance": {"by": _span},
    "skew": {"wallet": _wallet, "by": _span_or_back},
    "crash": {"at": _one_of(CRASHES)},
    "expect": {
        "wallet?": _wallet,
        "bank?": _bank,
        "payment?": _payment,
        "online?": _amount,
        "offline?": _amount,
        "pending?": _amount,
        "marked?": _marked,
        "reserve?": _amount,
        "claims?": _amount,
        "supply?": _amount,
        "forks?": _count,
        "owes?": _owes,
        "status?": _one_of(STATUSES),
    },
}
"""Every step that can be played; a ``?`` behind a field says that it may be left out."""
