"""A scenario file as frozen records: TOML in, typed, or a typed error that names the place."""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from cbdc.errors import FormError, Malformed, TengeError
from cbdc.policy import Policy
from cbdc.purposes.conditions import Evidence, every
from cbdc.purposes.rules import UntilEvidence
from wallet.purpose_files import PurposeSpec, purpose_of
from wallet.scenarios import forms
from wallet.scenarios.conditions import condition_of
from wallet.scenarios.forms import Names
from wallet.scenarios.values import (
    MAX_SPAN_S,
    Table,
    amount_of,
    check_fields,
    count_of,
    name_in,
    nearest,
    placed_time,
    shown,
    span_of,
    table_in,
    text_in,
    text_of,
)
from wallet.toml_files import read_toml

KINDS: Final = ("person", "merchant", "sponsor")
_OFFLINE_AMOUNTS: Final = {"holding": "offline_holding_tiyn", "payment": "offline_payment_tiyn"}
_OFFLINE_COUNTS: Final = {
    "spends": "offline_spends",
    "hops": "offline_hops",
    "spend_days": "offline_spend_days",
    "final_days": "offline_final_days",
    "trust_list_days": "trust_list_days",
}
_SUPERVISION: Final = ("supervisors", "supervisor_quorum")
_PRIVACY_AMOUNTS: Final = {
    ("confidential", "payment"): "confidential_payment_tiyn",
    ("cash", "payment"): "cash_payment_tiyn",
    ("cash", "month"): "cash_month_tiyn",
}
_TABLES: Final = ("title", "seed", "start", "policy", "bank", "wallet", "oracle", "approver", "purpose", "step")
_BANK_FIELDS: Final = ("name", "reserve")
_WALLET_FIELDS: Final = ("name", "bank", "kind", "mcc", "kato", "bin", "iin", "tier")

_LAST_START_S: Final = 7_258_118_400
"""The beginning of the year 2200; a hundred years later every calendar still works."""


@dataclass(frozen=True, slots=True)
class BankSpec:
    """A bank; ``reserve_tiyn`` is issued to it and set aside before the first step."""

    name: str
    reserve_tiyn: int


@dataclass(frozen=True, slots=True)
class WalletSpec:
    """A customer of a bank; merchants have attributes."""

    name: str
    bank: str
    kind: str
    mcc: str | None
    kato: str | None
    bin: str | None
    tier: int


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what to do, its fields, and the code with which it must be refused, if it must."""

    number: int
    do: str
    fields: dict[str, Any] = field(repr=False)
    refused: str | None
    note: str

    @property
    def where(self) -> str:
        """How an error names this step."""
        return f"step {self.number} ({self.do})"

    def text(self, name: str) -> str:
        """A required text field. Raises Malformed."""
        return text_in(self.fields, name, self.where)

    def amount_tiyn(self) -> int:
        """The required amount. Raises Malformed."""
        return amount_of(self.fields.get("amount"), "amount", self.where)

    def names(self, name: str) -> list[str]:
        """A required list of names; `forms` has looked at it."""
        found: list[str] = self.fields[name]
        return found


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole file."""

    title: str
    seed: int
    start_s: int
    policy: Policy
    banks: tuple[BankSpec, ...]
    wallets: tuple[WalletSpec, ...]
    oracles: tuple[str, ...]
    approvers: tuple[str, ...]
    purposes: tuple[PurposeSpec, ...]
    steps: tuple[Step, ...]


def read(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        Malformed: not a scenario; the message names the file and the place. TooLarge: above `MAX_SCENARIO_BYTES`, or
        an amount above what there can be.
    """
    return read_toml(path, "scenario", parse)


def parse(data: Table) -> Scenario:
    """Turn the decoded TOML into records: every field known, every name that is used there. Raises FormError."""
    _check_tables(data)
    banks = tuple(_bank(item) for item in _tables(data, "bank"))
    wallets = tuple(_wallet(item) for item in _tables(data, "wallet"))
    oracles, approvers = (_others(data, what) for what in ("oracle", "approver"))
    purposes = tuple(purpose_of(item) for item in _tables(data, "purpose"))
    for named in (banks, wallets, purposes):
        _check_once([item.name for item in named])
    _check_once([*(bank.name for bank in banks), *oracles, *approvers])
    _check_once([*(wallet.name for wallet in wallets), *oracles, *approvers])
    _check_owners(banks, wallets, purposes, oracles, approvers)
    steps = _tables(data, "step")
    names = _names(banks, wallets, purposes, oracles, approvers, steps)
    scenario = Scenario(
        title=text_in(data, "title", "the scenario"),
        seed=count_of(data.get("seed", 0), "seed"),
        start_s=_start(data),
        policy=_policy(data),
        banks=banks,
        wallets=wallets,
        oracles=oracles,
        approvers=approvers,
        purposes=purposes,
        steps=tuple(_step(number, item, names) for number, item in enumerate(steps, 1)),
    )
    _check_time_passed(scenario.steps)
    return scenario


# --- tables ------------------------------------------------------------------------------------


def _bank(item: Table) -> BankSpec:
    name = name_in(item, "name", "a bank")
    check_fields(item, _BANK_FIELDS, f"bank {name}")
    return BankSpec(name, amount_of(item.get("reserve", "0"), "reserve", f"bank {name}"))


def _wallet(item: Table) -> WalletSpec:
    name = name_in(item, "name", "a wallet")
    where = f"wallet {name}"
    check_fields(item, _WALLET_FIELDS, where)
    kind = item.get("kind", "person")
    if kind not in KINDS:
        values = nearest(shown(kind), KINDS)
        raise Malformed(f"{where}: unknown kind", found=shown(kind), wanted=" or ".join(KINDS), **values)
    texts = {name: text_of(item[name], name, where) for name in ("mcc", "kato", "bin", "iin") if name in item}
    return WalletSpec(
        name,
        text_in(item, "bank", where),
        kind,
        mcc=texts.get("mcc"),
        kato=texts.get("kato"),
        bin=texts.get("bin"),
        tier=count_of(item.get("tier", 1), f"{where}: tier"),
    )


def _others(data: Table, what: str) -> tuple[str, ...]:
    """The names of oracles or approvers."""
    tables = _tables(data, what)
    for item in tables:
        check_fields(item, ("name",), what)
    return tuple(name_in(item, "name", f"an {what}") for item in tables)


def _step(number: int, item: Table, names: Names) -> Step:
    do = text_in(item, "do", f"step {number}")
    where = f"step {number} ({do})"
    forms.check_do(number, do)
    rest = {name: value for name, value in item.items() if name not in forms.EVERY_STEP}
    forms.check(do, rest, where, names)
    refused = None if item.get("refused") is None else shown(item["refused"])
    if refused is not None and refused not in (codes := _codes(TengeError)):
        raise Malformed(f"{where}: refused is no known error code", found=refused, **nearest(refused, codes))
    names.note(do, rest, refused=refused is not None)
    note = item.get("note") or ""
    return Step(number, do, rest, refused, note and text_of(note, "note", where))


# --- names -------------------------------------------------------------------------------------


def _check_tables(data: Table) -> None:
    check_fields(data, _TABLES)


def _check_once(names: list[str]) -> None:
    if len(set(names)) != len(names):
        raise Malformed("a name is given twice", found=", ".join(sorted({n for n in names if names.count(n) > 1})))


def _check_owners(
    banks: tuple[BankSpec, ...],
    wallets: tuple[WalletSpec, ...],
    purposes: tuple[PurposeSpec, ...],
    oracles: tuple[str, ...],
    approvers: tuple[str, ...],
) -> None:
    """The banks of wallets and the wallets and oracles of purposes are there, and conditions can be read."""
    for wallet in wallets:
        _check_there(wallet.bank, "bank", f"wallet {wallet.name}", [bank.name for bank in banks])
    accounts = {wallet.name: f"{wallet.bank}/{wallet.name}" for wallet in wallets}
    everybody = accounts | {name: name for name in (*oracles, *approvers)}
    for purpose in purposes:
        where = f"purpose {purpose.name}"
        split_to = (purpose.split.to,) if purpose.split else ()
        for name in (purpose.sponsor, purpose.return_to, *split_to):
            _check_there(name, "wallet", where, accounts)
        if isinstance(purpose.mark, UntilEvidence):
            _check_there(purpose.mark.oracle, "oracle", where, list(oracles))
        try:
            condition = condition_of(purpose.allow, lambda name: _account(name, everybody))
        except FormError as error:
            raise type(error)(f"{where}: {error.message}", **error.values) from None
        for node in every(condition):
            if isinstance(node, Evidence):
                _check_there(node.oracle, "oracle", where, list(oracles))


def _account(name: str, accounts: dict[str, str]) -> str:
    if name not in accounts:
        raise Malformed("no such wallet", found=name[:40], **nearest(name, accounts))
    return accounts[name]


def _check_there(name: str, what: str, where: str, known: list[str] | dict[str, str]) -> None:
    if name not in known:
        raise Malformed(f"{where}: no such {what}", found=name[:40], **nearest(name, known))


def _names(
    banks: tuple[BankSpec, ...],
    wallets: tuple[WalletSpec, ...],
    purposes: tuple[PurposeSpec, ...],
    oracles: tuple[str, ...],
    approvers: tuple[str, ...],
    steps: list[Table],
) -> Names:
    paid = [step.get("as") for step in steps if step.get("do") == "pay"]
    return Names(
        banks=tuple(bank.name for bank in banks),
        wallets=tuple(wallet.name for wallet in wallets),
        purposes=tuple(purpose.name for purpose in purposes),
        oracles=oracles,
        approvers=(*approvers, *(wallet.name for wallet in wallets)),
        devices={wallet.name for wallet in wallets},
        payments_to_come=[name for name in paid if isinstance(name, str)],
    )


def _codes(kind: type[TengeError]) -> set[str]:
    """The codes of an error and of all below it."""
    return {kind.code}.union(*(_codes(below) for below in kind.__subclasses__()))


# --- time and policy ---------------------------------------------------------------------------


def _start(data: Table) -> int:
    start_s = placed_time(data.get("start", "2026-01-01T00:00:00+05:00"), "start")
    if start_s > _LAST_START_S:
        raise Malformed("start: after the beginning of the year 2200", found=shown(data["start"]))
    return start_s


def _check_time_passed(steps: tuple[Step, ...]) -> None:
    passed_s = 0
    for step in steps:
        if step.do == "advance":
            passed_s += span_of(step.text("by"))
        if passed_s > MAX_SPAN_S:
            raise Malformed(f"step {step.number} (advance): more than a hundred years in all")


def _policy(data: Table) -> Policy:
    table = table_in(data, "policy")
    check_fields(table, ("offline", "privacy", *_SUPERVISION), "policy")
    offline, privacy = table_in(table, "offline"), table_in(table, "privacy")
    check_fields(offline, (*_OFFLINE_AMOUNTS, *_OFFLINE_COUNTS), "policy offline")
    check_fields(privacy, {level for level, _ in _PRIVACY_AMOUNTS}, "policy privacy")
    values: dict[str, int] = {
        field: amount_of(offline[name], name, "policy offline")
        for name, field in _OFFLINE_AMOUNTS.items()
        if name in offline
    }
    values |= {field: count_of(offline[name], name) for name, field in _OFFLINE_COUNTS.items() if name in offline}
    for level in privacy:
        inner, where = table_in(privacy, level), f"policy privacy {level}"
        known = {name: target for (of, name), target in _PRIVACY_AMOUNTS.items() if of == level}
        check_fields(inner, known, where)
        values |= {known[name]: amount_of(amount, name, where) for name, amount in inner.items()}
    values |= {name: count_of(table[name], name) for name in _SUPERVISION if name in table}
    return Policy(**values)


def _tables(data: Table, name: str) -> list[Table]:
    value = data.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Malformed(f"[[{name}]] is not a list of tables")
    return value
