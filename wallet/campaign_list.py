"""A sponsor's list of payees: a CSV file in, rows out; and the report on what became of each row, as CSV again."""

from __future__ import annotations

import csv
import hashlib
import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from cbdc.amounts import format_tenge, parse_tenge
from cbdc.errors import FormError, Malformed, TengeError, TooLarge
from cbdc.formats import cbor
from cbdc.limits import MAX_CAMPAIGN_BYTES, MAX_CAMPAIGN_ROWS, MAX_NAME_CHARS, MAX_REFERENCE_CHARS
from wallet.directory import key_from_hex

COLUMNS: Final = ("account", "key", "amount", "reference")
REPORT_COLUMNS: Final = ("row", "account", "key", "amount", "reference", "status", "entry", "code", "reason")
_FORMULA: Final = ("=", "+", "-", "@", "\t", "\r")
"""What a cell begins with that a spreadsheet would carry out."""
_KEPT: Final = 100
"""Characters of a field that are kept of a row that cannot be read."""


@dataclass(frozen=True, slots=True)
class Row:
    """One payee, by account (``bank/subject``) or by wallet key; ``number`` is its line in the file.

    What could not be read is of no amount; ``said`` is the amount as the file has it, ``account`` whoever it names.
    """

    number: int
    account: str
    key: bytes | None
    amount_tiyn: int
    reference: str
    said: str = ""


@dataclass(frozen=True, slots=True)
class Problem:
    """Why a row cannot be paid: a stable code, and words."""

    number: int
    code: str
    message: str

    @classmethod
    def of(cls, number: int, error: TengeError) -> Problem:
        return cls(number, error.code, str(error))


@dataclass(frozen=True, slots=True)
class PaymentList:
    """A file: the SHA-256 of its rows, those that could be read, the others, and what is wrong with those."""

    digest: bytes
    rows: tuple[Row, ...]
    problems: tuple[Problem, ...]
    unread: tuple[Row, ...] = ()


@dataclass(frozen=True, slots=True)
class Result:
    """What became of a row: ``entry`` is where it was paid, ``code`` and ``reason`` say why it was refused.

    ``status`` is paid, refused, pending (signed, and not known to be entered) or not signed.
    """

    row: Row
    status: str
    entry: int | None
    code: str
    reason: str = ""


def read(path: Path) -> PaymentList:
    """Read a list: comma or semicolon between columns, the first line names them. Its digest is of what
    they say, so that a list which a spreadsheet has saved again is the same list.

    Raises:
        Malformed: not such a file. TooLarge: above `MAX_CAMPAIGN_BYTES` or `MAX_CAMPAIGN_ROWS`. OSError.
    """
    with path.open("rb") as file:
        data = file.read(MAX_CAMPAIGN_BYTES + 1)
    if len(data) > MAX_CAMPAIGN_BYTES:
        raise TooLarge("the list is too long", path=path, limit=MAX_CAMPAIGN_BYTES)
    try:
        text = data.decode("utf-8-sig")
        if not text.strip():
            raise Malformed("the list is empty", path=path)
        rows, problems, unread = _rows(text)
    except UnicodeDecodeError:
        raise Malformed("a list is UTF-8 text: save it as CSV in UTF-8", path=path) from None
    except csv.Error as error:
        raise Malformed("not a CSV file", path=path, reason=str(error)) from None
    return PaymentList(_digest([*rows, *unread]), tuple(rows), tuple(problems), tuple(unread))


def _digest(rows: list[Row]) -> bytes:
    """Of all rows with their line numbers: by those the journal knows them."""
    said = [[row.number, row.account, row.key, row.amount_tiyn, row.reference, row.said] for row in rows]
    return hashlib.sha256(cbor.encode(sorted(said, key=lambda fields: fields[0]))).digest()


def _rows(text: str) -> tuple[list[Row], list[Problem], list[Row]]:
    first = text.partition("\n")[0]
    separator = ";" if ";" in first and "," not in first else ","
    reader = csv.reader(io.StringIO(text, newline=""), delimiter=separator, strict=True)
    columns = [name.strip().lower() for name in next(reader, [])]
    _check_columns(columns)
    rows: list[Row] = []
    problems: list[Problem] = []
    unread: list[Row] = []
    for raw in reader:
        fields = [field.strip() for field in raw]
        if not any(fields):
            continue
        if len(rows) + len(problems) >= MAX_CAMPAIGN_ROWS:
            raise TooLarge("the list has too many rows", limit=MAX_CAMPAIGN_ROWS)
        try:
            rows.append(_row(reader.line_num, columns, fields, has_commas=separator == ";"))
        except FormError as error:
            problems.append(Problem.of(reader.line_num, error))
            unread.append(_unread(reader.line_num, columns, fields))
    if not rows and not problems:
        raise Malformed("the list has no rows")
    return rows, problems, unread


def _unread(number: int, columns: list[str], fields: list[str]) -> Row:
    """A row that cannot be read, as far as it says whose it is and how much; long texts are cut."""
    named = dict(zip(columns, fields, strict=False))
    account = (named.get("account") or named.get("key", ""))[:_KEPT]
    return Row(number, account, None, 0, named.get("reference", "")[:_KEPT], named.get("amount", "")[:_KEPT])


def _check_columns(columns: list[str]) -> None:
    unknown = [name for name in columns if name not in COLUMNS]
    if unknown or len(set(columns)) != len(columns):
        wanted = ", ".join(COLUMNS)
        raise Malformed("the first line names the columns, each once", found=", ".join(columns)[:80], wanted=wanted)
    if "amount" not in columns or not {"account", "key"} & set(columns):
        raise Malformed("a list has the column amount, and account or key", found=", ".join(columns)[:80])


def _row(number: int, columns: list[str], fields: list[str], *, has_commas: bool) -> Row:
    """One payee; ``has_commas``: amounts may have a decimal comma. Raises FormError."""
    if len(fields) != len(columns):
        raise Malformed("not as many fields as columns", found=len(fields), wanted=len(columns))
    named = dict(zip(columns, fields, strict=True))
    account, key, reference = (named.get(name, "") for name in ("account", "key", "reference"))
    if bool(account) is bool(key):
        raise Malformed("a row names an account or a key", account=account[:80], key=key[:80])
    if account and ("/" not in account or len(account) > 2 * MAX_NAME_CHARS + 1):
        raise Malformed("an account is bank/subject", found=account[:80])
    if len(reference) > MAX_REFERENCE_CHARS:
        raise TooLarge("a reference is too long", limit=MAX_REFERENCE_CHARS)
    amount_tiyn = parse_tenge(named["amount"].replace(",", ".") if has_commas else named["amount"])
    if not amount_tiyn:
        raise Malformed("an amount is more than nothing", found=named["amount"])
    return Row(number, account, key_from_hex(key) if key else None, amount_tiyn, reference)


# --- the report --------------------------------------------------------------------------------


def report_of(results: Iterable[Result]) -> str:
    """What became of each row, as CSV."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(REPORT_COLUMNS)
    writer.writerows(_cells(result) for result in results)
    return text.getvalue()


def _cells(result: Result) -> Iterator[str]:
    row = result.row
    entry = "" if result.entry is None else str(result.entry)
    key = row.key.hex() if row.key else ""
    amount = format_tenge(row.amount_tiyn) if row.amount_tiyn else row.said
    why = (result.code, result.reason)
    cells = (str(row.number), row.account, key, amount, row.reference, result.status, entry, *why)
    return (f"'{cell}" if cell.startswith(_FORMULA) else cell for cell in cells)
