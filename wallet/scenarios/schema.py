"""A scenario file as frozen records: TOML in, typed, or a typed error that names the place."""

from __future__ import annotations

import datetime as dt
import re
import tomllib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from difflib import get_close_matches
from pathlib import Path
from typing import Any, Final

from cbdc.amounts import parse_tenge
from cbdc.errors import Malformed, TengeError, TooLarge
from cbdc.limits import MAX_NAME_CHARS, MAX_SCENARIO_BYTES, MAX_TIME_S
from cbdc.policy import Policy

KINDS: Final = ("person", "merchant", "sponsor")
_OFFLINE_AMOUNTS: Final = {"holding": "offline_holding_tiyn", "payment": "offline_payment_tiyn"}
_OFFLINE_COUNTS: Final = {
    "spends": "offline_spends",
    "hops": "offline_hops",
    "spend_days": "offline_spend_days",
    "final_days": "offline_final_days",
    "trust_list_days": "trust_list_days",
}
_PRIVACY_AMOUNTS: Final = {
    ("confidential", "payment"): "confidential_payment_tiyn",
    ("cash", "payment"): "cash_payment_tiyn",
    ("cash", "month"): "cash_month_tiyn",
}
_NAME: Final = re.compile(r"[\w-][\w.-]*")
"""Letters and digits of any script, ``_``, ``-`` and, not at the front, ``.``: names become directories."""

_TABLES: Final = ("title", "seed", "start", "policy", "bank", "wallet", "purpose", "step")
_TABLES_TO_COME: Final = ("oracle", "approver")
_STEPS_TO_COME: Final = ("evidence", "approve", "open_private")

_DEVICE_STEPS: Final = ("backup", "clone")
"""Steps whose ``as`` names what becomes a directory."""

_SPANS: Final = {"second": 1, "minute": 60, "hour": 3600, "day": 86_400, "week": 604_800}
_MAX_SPAN_S: Final = 36_525 * 86_400
"""A hundred years: as far as a scenario's time may move, at once and in all."""

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
class PurposeSpec:
    """A purpose as written; ``allow`` is turned into conditions when the wallets are known."""

    name: str
    sponsor: str
    return_to: str
    titles: tuple[str, str, str]
    mark: str
    expires_s: int
    allow: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Step:
    """One step: what to do, its fields, and the code with which it must be refused, if it must."""

    number: int
    do: str
    fields: dict[str, Any] = field(repr=False)
    refused: str | None
    note: str

    def text(self, name: str) -> str:
        """A required text field. Raises Malformed."""
        value = self.fields.get(name)
        if not isinstance(value, str) or not value:
            raise Malformed(f"step {self.number} ({self.do}) needs a text {name!r}")
        return value

    def amount_tiyn(self) -> int:
        """The required amount. Raises Malformed."""
        return _amount(self.text("amount"), f"step {self.number} ({self.do})")

    def names(self, name: str) -> list[str]:
        """A required list of names. Raises Malformed."""
        value = self.fields.get(name)
        if not isinstance(value, list) or not all(isinstance(item, str) for item in value) or not value:
            raise Malformed(f"step {self.number} ({self.do}) needs a list of names {name!r}")
        return value


@dataclass(frozen=True, slots=True)
class Scenario:
    """A whole file."""

    title: str
    seed: int
    start_s: int
    policy: Policy
    banks: tuple[BankSpec, ...]
    wallets: tuple[WalletSpec, ...]
    purposes: tuple[PurposeSpec, ...]
    steps: tuple[Step, ...]


def read(path: Path) -> Scenario:
    """Read a scenario file.

    Raises:
        Malformed: not a scenario; the message names the place. TooLarge: above `MAX_SCENARIO_BYTES`.
    """
    if path.stat().st_size > MAX_SCENARIO_BYTES:
        raise TooLarge("scenario file too long", limit=MAX_SCENARIO_BYTES)
    try:
        data = tomllib.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as error:  # not UTF-8, not TOML, or numbers and nesting beyond any reader
        raise Malformed("not a TOML file", path=path, reason=str(error)) from None
    return parse(data)


def parse(data: dict[str, Any]) -> Scenario:
    """Turn the decoded TOML into records. Raises Malformed."""
    scenario = Scenario(
        title=_text(data, "title", "the scenario"),
        seed=_count(data.get("seed", 0), "seed"),
        start_s=_start(data),
        policy=_policy(data),
        banks=tuple(_bank(item) for item in _tables(data, "bank")),
        wallets=tuple(_wallet(item) for item in _tables(data, "wallet")),
        purposes=tuple(_purpose(item) for item in _tables(data, "purpose")),
        steps=tuple(_step(number, item) for number, item in enumerate(_tables(data, "step"), 1)),
    )
    _check_known(data)
    _check_time_passed(scenario.steps)
    for named in (scenario.banks, scenario.wallets, scenario.purposes):
        names = [item.name for item in named]
        if len(set(names)) != len(names):
            raise Malformed("a name is given twice", found=", ".join(sorted({n for n in names if names.count(n) > 1})))
    return scenario


def time_of(value: object) -> int:
    """Seconds since 1970 of an ISO 8601 time with its offset. Raises Malformed."""
    try:
        time = value if isinstance(value, dt.datetime) else dt.datetime.fromisoformat(str(value))
    except ValueError:
        raise Malformed("not a time", found=str(value)[:40]) from None
    if time.tzinfo is None:
        raise Malformed("a time states its offset", found=str(value)[:40])
    seconds = int(time.timestamp())
    if not 0 <= seconds <= MAX_TIME_S:
        raise Malformed("not a time between 1970 and 9999", found=str(value)[:40])
    return seconds


def span_of(text: str) -> int:
    """Seconds of a span such as ``"3 days"`` or ``"2 hours"``. Raises Malformed."""
    number, _, unit = text.strip().partition(" ")
    seconds = _SPANS.get(unit.strip().removesuffix("s"))
    if seconds is None or not number.isdecimal():
        raise Malformed("not a span of time", found=text[:40], wanted="such as '3 days'")
    if len(number) > len(str(_MAX_SPAN_S)) or int(number) * seconds > _MAX_SPAN_S:
        raise Malformed("a span of more than a hundred years", found=text[:40])
    return int(number) * seconds


# --- tables ------------------------------------------------------------------------------------


def _bank(item: dict[str, Any]) -> BankSpec:
    name = _name(item, "name", "a bank")
    return BankSpec(name, _amount(item.get("reserve", "0"), f"reserve of bank {name}"))


def _wallet(item: dict[str, Any]) -> WalletSpec:
    name = _name(item, "name", "a wallet")
    kind = item.get("kind", "person")
    if kind not in KINDS:
        raise Malformed(f"wallet {name}: unknown kind", found=str(kind), wanted=" or ".join(KINDS))
    optional = {field: None if item.get(field) is None else str(item[field]) for field in ("mcc", "kato", "bin")}
    return WalletSpec(
        name, _text(item, "bank", f"wallet {name}"), kind, tier=_count(item.get("tier", 1), "tier"), **optional
    )


def _purpose(item: dict[str, Any]) -> PurposeSpec:
    name = _name(item, "name", "a purpose")
    where = f"purpose {name}"
    title = item.get("title", {})
    titles = {lang: str(title.get(lang) or name) for lang in ("en", "kk", "ru")} if isinstance(title, dict) else {}
    mark, allow = item.get("mark", "clears"), item.get("allow")
    if mark != "clears":
        raise Malformed(f"{where}: this rule for the mark is not there yet", found=str(mark), wanted="clears")
    if not titles or not isinstance(allow, dict):
        raise Malformed(f"{where} needs a title and allow")
    sponsor = _text(item, "sponsor", where)
    return PurposeSpec(
        name=name,
        sponsor=sponsor,
        return_to=str(item.get("return_to", sponsor)),
        titles=(titles["en"], titles["kk"], titles["ru"]),
        mark=mark,
        expires_s=_time(item.get("expires"), f"{where}: expires"),
        allow=allow,
    )


def _step(number: int, item: dict[str, Any]) -> Step:
    do = _text(item, "do", f"step {number}")
    where = f"step {number} ({do})"
    _check_do(number, do)
    _check_items(item.get("items", []), where)
    refused = None if item.get("refused") is None else str(item["refused"])
    if refused is not None and refused not in _codes(TengeError):
        raise Malformed(f"{where}: refused is no known error code", found=refused[:40])
    if do in _DEVICE_STEPS and "as" in item:
        _name(item, "as", where)
    rest = {name: value for name, value in item.items() if name not in ("do", "refused", "note")}
    return Step(number, do, rest, refused, str(item.get("note", "")))


def _check_known(data: dict[str, Any]) -> None:
    for name in data:
        if name in _TABLES_TO_COME:
            raise Malformed(f"[[{name}]] is not there yet")
        if name not in _TABLES:
            raise Malformed(f"unknown field {name[:40]!r}", **_nearest(name, _TABLES))


def _check_do(number: int, do: str) -> None:
    from wallet.scenarios.runner import STEPS  # noqa: PLC0415 - the runner imports this module

    if do in STEPS:
        return
    if do in _STEPS_TO_COME:
        raise Malformed(f"step {number}: this step is not there yet", found=do)
    raise Malformed(f"step {number}: unknown step", found=do[:40], **_nearest(do, STEPS))


def _check_items(items: object, where: str) -> None:
    if not isinstance(items, list):
        raise Malformed(f"{where}: items is a list")
    for item in items:
        if not isinstance(item, dict):
            raise Malformed(f"{where}: an item is a table")
        _text(item, "category", f"{where}: an item")
        _amount(_text(item, "amount", f"{where}: an item"), f"{where}: an item")


def _nearest(name: str, known: Sequence[str]) -> dict[str, str]:
    """What was probably meant, for an error's values."""
    return {"nearest": near[0]} if (near := get_close_matches(name, known, 1)) else {}


def _codes(kind: type[TengeError]) -> set[str]:
    """The codes of an error and of all below it."""
    return {kind.code}.union(*(_codes(below) for below in kind.__subclasses__()))


def _start(data: dict[str, Any]) -> int:
    start_s = _time(data.get("start", "2026-01-01T00:00:00+05:00"), "start")
    if start_s > _LAST_START_S:
        raise Malformed("start: after the beginning of the year 2200", found=str(data["start"])[:40])
    return start_s


def _check_time_passed(steps: tuple[Step, ...]) -> None:
    """All spans together; one that is none by itself fails when its step is played."""
    passed_s = 0
    for step in steps:
        if step.do == "advance":
            with suppress(Malformed):
                passed_s += span_of(str(step.fields.get("by")))
        if passed_s > _MAX_SPAN_S:
            raise Malformed(f"step {step.number} (advance): more than a hundred years in all")


def _policy(data: dict[str, Any]) -> Policy:
    table = _table(data, "policy")
    values: dict[str, int] = {}
    offline, privacy = _table(table, "offline"), _table(table, "privacy")
    values |= {
        field: _amount(offline[name], f"policy offline {name}")
        for name, field in _OFFLINE_AMOUNTS.items()
        if name in offline
    }
    values |= {field: _count(offline[name], name) for name, field in _OFFLINE_COUNTS.items() if name in offline}
    for (level, name), target in _PRIVACY_AMOUNTS.items():
        if name in _table(privacy, level):
            values[target] = _amount(privacy[level][name], f"policy privacy {level} {name}")
    values |= {name: _count(table[name], name) for name in ("supervisors", "supervisor_quorum") if name in table}
    return Policy(**values)


def _tables(data: dict[str, Any], name: str) -> list[dict[str, Any]]:
    value = data.get(name, [])
    if not isinstance(value, list) or not all(isinstance(item, dict) for item in value):
        raise Malformed(f"[[{name}]] is not a list of tables")
    return value


def _table(data: dict[str, Any], name: str) -> dict[str, Any]:
    value = data.get(name, {})
    if not isinstance(value, dict):
        raise Malformed(f"{name} is not a table")
    return value


def _text(data: dict[str, Any], name: str, where: str) -> str:
    value = data.get(name)
    if not isinstance(value, str) or not value:
        raise Malformed(f"{where} needs a text {name!r}")
    return value


def _name(data: dict[str, Any], field: str, where: str) -> str:
    name = _text(data, field, where)
    if len(name) > MAX_NAME_CHARS or not _NAME.fullmatch(name):
        wanted = f"at most {MAX_NAME_CHARS} letters, digits, '-', '_', '.', the last not first"
        raise Malformed(f"{where}: {field} does not do as a name", found=name[:MAX_NAME_CHARS], wanted=wanted)
    return name


def _amount(value: object, where: str) -> int:
    try:
        return parse_tenge(str(value))
    except Malformed as error:
        raise Malformed(f"{where}: {error.message}", **error.values) from None


def _time(value: object, where: str) -> int:
    try:
        return time_of(value)
    except Malformed as error:
        raise Malformed(f"{where}: {error.message}", **error.values) from None


def _count(value: object, name: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise Malformed(f"{name} is not a whole number", found=str(value)[:40])
    return value
