"""A purpose as people write it, in TOML: the table of a scenario, or a file of its own for `tenge sponsor define`."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from cbdc.errors import FormError, Malformed, NotEnrolled, NotSponsor
from cbdc.limits import MAX_SPLIT_PARTS
from cbdc.purposes.conditions import Evidence, every
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import MarkRule, Split, UntilEvidence, rule_from_cbor
from wallet.directory import key_named
from wallet.port import LedgerPort
from wallet.scenarios.conditions import condition_of
from wallet.scenarios.values import (
    Table,
    check_fields,
    count_of,
    name_in,
    nearest,
    placed_time,
    shown,
    table_in,
    text_in,
    text_of,
)
from wallet.toml_files import read_toml

_PURPOSE_FIELDS: Final = ("name", "sponsor", "title", "mark", "expires", "return_to", "allow", "split")
_LANGUAGES: Final = ("en", "kk", "ru")
_PLAIN_MARKS: Final = ("clears", "keeps")
_MARKS: Final = (*_PLAIN_MARKS, "keeps_hops", "until_evidence")


@dataclass(frozen=True, slots=True)
class SplitSpec:
    """``parts`` of ``of`` parts of every payment go to a wallet."""

    to: str
    parts: int
    of: int


@dataclass(frozen=True, slots=True)
class PurposeSpec:
    """A purpose as written; ``allow`` is turned into conditions when the wallets are known."""

    name: str
    sponsor: str
    return_to: str
    titles: tuple[str, str, str]
    mark: MarkRule
    expires_s: int
    allow: dict[str, Any]
    split: SplitSpec | None


def definition_of(spec: PurposeSpec, key_of: Callable[[str], bytes], account_of: Callable[[str], str]) -> Definition:
    """The definition that a purpose as written comes to; ``key_of`` and ``account_of`` say who a name is.

    Raises:
        Malformed, TooLarge: a condition cannot be read, or names nobody. What the two raise.
    """
    split = spec.split
    return Definition(
        name=spec.name,
        titles=spec.titles,
        sponsor=key_of(spec.sponsor),
        return_to=key_of(spec.return_to),
        condition=condition_of(spec.allow, account_of),
        mark=spec.mark,
        expires_s=spec.expires_s,
        split=Split(account_of(split.to), split.parts, split.of) if split else None,
    )


def definition_by(spec: PurposeSpec, own_account: str, own_key: bytes, port: LedgerPort) -> Definition:
    """As `definition_of`, wallets named by account and institutions by name; ``own_key`` is the sponsor's to use.

    Oracles and approvers are on no list that a wallet has: the ledger is asked.

    Raises:
        NotSponsor: the file names another sponsor. NotEnrolled: an account has no key in force, or no institution of
        a name takes part. FormError.
    """
    if spec.sponsor != own_account:
        raise NotSponsor("the file names another sponsor", found=spec.sponsor, wanted=own_account)

    def key_of(account: str) -> bytes:
        return own_key if account == own_account else key_named(port, account)

    def account_of(name: str) -> str:
        if "/" in name and name != own_account:
            key_named(port, name)
        elif "/" not in name:
            _check_takes_part(port, name)
        return name

    definition = definition_of(spec, key_of, account_of)
    for node in every(definition.condition):
        if isinstance(node, Evidence):
            _check_takes_part(port, node.oracle, "oracle")
    if isinstance(definition.mark, UntilEvidence):
        _check_takes_part(port, definition.mark.oracle, "oracle")
    return definition


def _check_takes_part(port: LedgerPort, name: str, role: str | None = None) -> None:
    """Raises NotEnrolled: no institution of this name does, or not in this role."""
    found = port.role_of(name)
    if found is None or role not in (None, found):
        raise NotEnrolled(f"no such {role or 'institution'} takes part", name=name, found=found or "nobody")


def read(path: Path, sponsor: str) -> PurposeSpec:
    """The purpose in a file: its fields alone, or one ``[[purpose]]``. Who sponsors it is ``sponsor`` unless it says.

    Raises:
        Malformed: not such a file; the message names file and place. TooLarge: above `MAX_SCENARIO_BYTES`. OSError.
    """
    return read_toml(path, "purpose", lambda data: purpose_of({"sponsor": sponsor} | _only_purpose(data)))


def _only_purpose(data: Table) -> Table:
    """The fields of the file's one purpose."""
    if data.keys() != {"purpose"}:
        return data
    inner = data["purpose"]
    found = inner if isinstance(inner, list) else [inner]
    if len(found) != 1 or not isinstance(found[0], dict):
        raise Malformed("a file defines one purpose", found=len(found))
    return found[0]


# --- tables ------------------------------------------------------------------------------------


def purpose_of(item: Table) -> PurposeSpec:
    """A purpose from its table. Raises FormError, with the place."""
    name = name_in(item, "name", "a purpose")
    where = f"purpose {name}"
    check_fields(item, _PURPOSE_FIELDS, where)
    title, allow = item.get("title", {}), item.get("allow")
    if not isinstance(title, dict) or not isinstance(allow, dict):
        raise Malformed(f"{where} needs a title and allow")
    check_fields(title, _LANGUAGES, f"{where}: title")
    en, kk, ru = (text_of(title.get(lang) or name, lang, f"{where}: title") for lang in _LANGUAGES)
    sponsor = text_in(item, "sponsor", where)
    return PurposeSpec(
        name=name,
        sponsor=sponsor,
        return_to=text_of(item.get("return_to", sponsor), "return_to", where),
        titles=(en, kk, ru),
        mark=_mark(item.get("mark", "clears"), where),
        expires_s=placed_time(item.get("expires"), f"{where}: expires"),
        allow=allow,
        split=_split(item, where),
    )


def _mark(mark: object, where: str) -> MarkRule:
    """The rule for the mark: a text, or a table of one rule with its argument. Raises FormError."""
    name, argument = next(iter(mark.items())) if isinstance(mark, dict) and len(mark) == 1 else (mark, None)
    if name not in _MARKS or (argument is None) is not (name in _PLAIN_MARKS):
        values = nearest(shown(name), _MARKS)
        raise Malformed(f"{where}: unknown rule for the mark", found=shown(mark), wanted=" or ".join(_MARKS), **values)
    try:
        return rule_from_cbor(name if argument is None else [name, argument])
    except FormError as error:
        raise type(error)(f"{where}: mark: {error.message}", **error.values) from None


def _split(item: Table, where: str) -> SplitSpec | None:
    if "split" not in item:
        return None
    table, where = table_in(item, "split"), f"{where}: split"
    check_fields(table, ("to", "parts", "of"), where)
    found = SplitSpec(
        text_in(table, "to", where),
        count_of(table.get("parts"), f"{where}: parts"),
        count_of(table.get("of"), f"{where}: of"),
    )
    if not 0 < found.parts < found.of <= MAX_SPLIT_PARTS:
        raise Malformed(f"{where}: a part of the whole, and not all of it", found=found.parts, limit=found.of)
    return found
