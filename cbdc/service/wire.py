"""The ledger's calls for wallets in other processes: arguments, results and their bytes, both ends in one table."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Final

from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.formats.calls import Call, Calls, Shape
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.lines import lines_from_cbor, lines_to_cbor
from cbdc.formats.tokens import OUTPOINT_BYTES
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CERTIFICATE_BYTES,
    MAX_CONDITION_NODES,
    MAX_DOCUMENT_BYTES,
    MAX_FACT_CHARS,
    MAX_LEDGER_ANSWER_BYTES,
    MAX_MARK_HOPS,
    MAX_MESSAGE_BYTES,
    MAX_NAME_CHARS,
    MAX_OUTPUTS,
    MAX_OWNERS,
    MAX_PERIOD_SPENDS,
    MAX_RECEIPT_BYTES,
)
from cbdc.log.receipts import Receipt
from cbdc.offline.documents import CHALLENGE_BYTES
from cbdc.policy import Policy
from cbdc.purposes.conditions import Memory
from cbdc.purposes.definition import Definition
from cbdc.service.pages import Page
from cbdc.service.purpose_queries import Refundable
from cbdc.state.records import OfflineToken, Record, Token, Waiting


def _bytes(what: str, limit: int) -> Shape:
    return lambda value: cbor.bytes_up_to(value, what, limit)


def _exactly(what: str, length: int) -> Shape:
    return lambda value: cbor.byte_string(value, what, length)


def _owners(value: cbor.Value) -> list[bytes]:
    return [_key(owner) for owner in cbor.array_up_to(value, "owners", MAX_OWNERS)]


_key = _exactly("key", PUBLIC_KEY_BYTES)
_outpoint = _exactly("outpoint", OUTPOINT_BYTES)
_after = _bytes("name", OUTPOINT_BYTES)
_message = _bytes("message", MAX_MESSAGE_BYTES)


def _rows(value: cbor.Value) -> list[cbor.Value]:
    """Names and values in turn; the frame bounds how many."""
    rows = cbor.array_up_to(value, "rows", MAX_LEDGER_ANSWER_BYTES)
    return [cbor.array(row, "row", 2) for row in rows]


def _page_of(name: Shape, read: Shape, to_cbor: Callable[[Any], cbor.Value], *arguments: Shape) -> Call:
    """A call that gives a page of named things."""

    def page(value: cbor.Value) -> Page[Any]:
        rows, has_more = cbor.array(value, "page", 2)
        return Page({name(key): read(found) for key, found in _rows(rows)}, _flag(has_more))

    def fields(page: Page[Any]) -> cbor.Value:
        return [[[key, to_cbor(found)] for key, found in page.found.items()], page.has_more]

    return Call(arguments, fields, page)


def _record_of(kind: type[Record], *fields: Shape) -> Shape:
    """A record as it stands in the state. What reads those trusts its own store; this one came from outside, so each
    field is looked at."""

    def read(value: cbor.Value) -> Record:
        found = cbor.decode(_message(value))
        if type(found) is not list or len(found) != len(fields):
            raise Malformed(f"{kind.__name__} is not an array of {len(fields)}")
        return kind(*(shape(item) for shape, item in zip(fields, found, strict=True)))

    return read


def _optional(shape: Shape) -> Shape:
    return lambda value: None if value is None else shape(value)


def _plain(*arguments: Shape, result: Shape) -> Call:
    """A call whose result is a CBOR value as it stands."""
    return Call(arguments, lambda value: value, result)


def _spenders(value: cbor.Value) -> tuple[bytes, ...]:
    ids = cbor.array_up_to(value, "spenders", MAX_LEDGER_ANSWER_BYTES)
    return tuple(_exactly("message id", HASH_BYTES)(spender) for spender in ids)


def _identity(value: cbor.Value) -> tuple[bytes, str]:
    network, origin = cbor.array(value, "identity", 2)
    return _key(network), cbor.text_up_to(origin, "origin", 2 * MAX_NAME_CHARS)


_purpose, _payment = _exactly("purpose", HASH_BYTES), _exactly("payment id", HASH_BYTES)


def _account(value: cbor.Value) -> str:
    return cbor.text_up_to(value, "account", 2 * MAX_NAME_CHARS + 1)


def _flag(value: cbor.Value) -> bool:
    if type(value) is not bool:
        raise Malformed("a flag is true or false")
    return value


def _count(what: str, limit: int) -> Shape:
    return lambda value: cbor.unsigned(value, what, limit)


def _text(what: str) -> Shape:
    return lambda value: cbor.text_up_to(value, what, MAX_NAME_CHARS)


_institution = _text("institution")


def _accounts(value: cbor.Value) -> tuple[str, ...]:
    return tuple(_account(name) for name in cbor.array_up_to(value, "accounts", MAX_LEDGER_ANSWER_BYTES))


# --- records -----------------------------------------------------------------------------------


def _list_of(what: str, limit: int, shape: Shape) -> Shape:
    return lambda value: [shape(item) for item in cbor.array_up_to(value, what, limit)]


def _row_of(what: str, *shapes: Shape) -> Shape:
    def row(value: cbor.Value) -> list[Any]:
        items = cbor.array(value, what, len(shapes))
        return [shape(item) for shape, item in zip(shapes, items, strict=True)]

    return row


def _time(value: cbor.Value) -> int:
    return cbor.time_s(value, "time")


_tiyn, _left = _count("amount", MAX_AMOUNT_TIYN), _optional(_count("payments left", MAX_MARK_HOPS))
_mark = _optional(_purpose)
_index = _count("index", MAX_OUTPUTS - 1)
_ids = _list_of("ids", MAX_LEDGER_ANSWER_BYTES, _exactly("id", HASH_BYTES))

_token = _record_of(Token, _key, _tiyn, _mark, _left)

_paid = _row_of("paid", _exactly("certificate", HASH_BYTES), _mark, _tiyn, _left)
_hops = _count("hops", MAX_AMOUNT_TIYN)
_offline_token = _record_of(
    OfflineToken,
    *(_key, _tiyn, _mark, _time, _time, _hops, _ids, _flag),
    *(_optional(_paid), _ids, _optional(_tiyn), _left),
)

_approvals = _list_of("approvals", MAX_LEDGER_ANSWER_BYTES, _account)
_held = _row_of("output", _index, _key, _tiyn, _mark, _left, _flag, _left)


def _lines(value: cbor.Value) -> cbor.Value:
    return lines_to_cbor(lines_from_cbor(value))


_waiting = _record_of(
    Waiting, _account, _key, _time, _time, _approvals, _lines, _list_of("outputs", MAX_OUTPUTS, _held), _flag
)


def _tokens(kind: type[Record], read: Shape) -> Call:
    """Owners, and the last token of the first one that is known, to the tokens that are theirs."""
    return _page_of(_outpoint, read, kind.encode, _owners, _after)


def _memory_fields(memory: Memory) -> cbor.Value:
    spent = [list(spend) for spend in memory.spent]
    return [spent, sorted(memory.approvals), sorted(list(fact) for fact in memory.facts)]


def _memory(value: cbor.Value) -> Memory:
    spent, approvals, facts = cbor.array(value, "memory", 3)
    spends = [cbor.array(item, "spend", 2) for item in cbor.array_up_to(spent, "spends", MAX_PERIOD_SPENDS)]
    stated = [cbor.array(item, "fact", 2) for item in cbor.array_up_to(facts, "facts", MAX_CONDITION_NODES)]
    return Memory(
        tuple((cbor.time_s(time, "time"), cbor.unsigned(tiyn, "spent", MAX_AMOUNT_TIYN)) for time, tiyn in spends),
        frozenset(_accounts(approvals)),
        frozenset((_account(oracle), cbor.text_up_to(fact, "fact", MAX_FACT_CHARS)) for oracle, fact in stated),
    )


_refund = _record_of(Refundable, _purpose, _key, _account, _tiyn)


def _refundable(value: cbor.Value) -> tuple[Record, ...]:
    rows = cbor.array_up_to(value, "refundable", MAX_LEDGER_ANSWER_BYTES)
    return tuple(_refund(row) for row in rows)


LEDGER_CALLS: Final[dict[str, Call]] = {
    "identity": Call((), list, _identity),
    "submit": Call(
        (_message,), Receipt.encode, lambda value: Receipt.decode(cbor.bytes_up_to(value, "receipt", MAX_RECEIPT_BYTES))
    ),
    "trust_list": _plain(result=_message),
    "policy": Call((), Policy.to_cbor, Policy.from_cbor),
    "purposes_after": _page_of(_purpose, Definition.from_cbor, Definition.to_cbor, _after),
    "tokens_after": _tokens(Token, _token),
    "offline_after": _tokens(OfflineToken, _offline_token),
    "offline_token": Call(
        (_outpoint,), lambda token: None if token is None else token.encode(), _optional(_offline_token)
    ),
    "spenders_of": Call((_outpoint,), list, _spenders),
    "load_certificate": _plain(_outpoint, result=_optional(_bytes("load certificate", MAX_DOCUMENT_BYTES))),
    "sync_certificate": _plain(
        _key, _exactly("challenge", CHALLENGE_BYTES), result=_bytes("sync certificate", MAX_DOCUMENT_BYTES)
    ),
    "certificate_bytes": _plain(_key, result=_bytes("certificate", MAX_CERTIFICATE_BYTES)),
    "claims_tiyn": _plain(_text("bank"), result=_count("claims", MAX_AMOUNT_TIYN)),
    "seized_tiyn": _plain(_key, result=_count("seized", MAX_AMOUNT_TIYN)),
    "debt_tiyn": _plain(_account, result=_count("debt", MAX_AMOUNT_TIYN)),
    "purpose_memory": Call((_purpose, _account, _account), _memory_fields, _memory),
    "waiting_payment": Call((_payment,), lambda found: None if found is None else found.encode(), _optional(_waiting)),
    "waiting_after": _page_of(_payment, _waiting, Waiting.encode, _after),
    "waiting_of_after": _page_of(_payment, _waiting, Waiting.encode, _owners, _after),
    "approvers_of": Call((_payment,), list, _accounts),
    "refundable": Call((_payment,), lambda found: [one.encode() for one in found], _refundable),
    "keys_of": Call((_account,), list, lambda value: tuple(_owners(value))),
    "is_freed": _plain(_outpoint, result=_flag),
    "institution_of": _plain(_key, result=_optional(_institution)),
    "institution_key": _plain(_institution, result=_optional(_key)),
    "role_of": _plain(_institution, result=_optional(_text("role"))),
    "ledger_time_s": _plain(result=lambda value: cbor.time_s(value, "ledger time")),
}
"""Everything a wallet may ask, as in `wallet.port.LedgerPort`; ``identity`` is network and origin. What may be long is
asked for a page at a time."""

ARGUMENTS: Final[Calls] = {name: call.arguments for name, call in LEDGER_CALLS.items()}
