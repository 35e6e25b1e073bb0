"""The ledger's calls for wallets in other processes: arguments, results and their bytes, both ends in one table."""

from __future__ import annotations

from typing import Final

from cbdc.formats import cbor
from cbdc.formats.calls import Call, Calls, Shape
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.tokens import OUTPOINT_BYTES
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CERTIFICATE_BYTES,
    MAX_DOCUMENT_BYTES,
    MAX_LEDGER_ANSWER_BYTES,
    MAX_MESSAGE_BYTES,
    MAX_NAME_CHARS,
    MAX_OWNERS,
    MAX_RECEIPT_BYTES,
)
from cbdc.log.receipts import Receipt
from cbdc.offline.documents import CHALLENGE_BYTES
from cbdc.policy import Policy
from cbdc.purposes.definition import Definition
from cbdc.state.records import OfflineToken, Record, Token


def _bytes(what: str, limit: int) -> Shape:
    return lambda value: cbor.bytes_up_to(value, what, limit)


def _exactly(what: str, length: int) -> Shape:
    return lambda value: cbor.byte_string(value, what, length)


def _owners(value: cbor.Value) -> list[bytes]:
    return [_key(owner) for owner in cbor.array_up_to(value, "owners", MAX_OWNERS)]


_key = _exactly("key", PUBLIC_KEY_BYTES)
_outpoint = _exactly("outpoint", OUTPOINT_BYTES)
_message = _bytes("message", MAX_MESSAGE_BYTES)


def _rows(value: cbor.Value) -> list[cbor.Value]:
    """Names and values in turn; the frame bounds how many."""
    rows = cbor.array_up_to(value, "rows", MAX_LEDGER_ANSWER_BYTES)
    return [cbor.array(row, "row", 2) for row in rows]


def _named(kind: type[Record]) -> Call:
    """Owners to the tokens that are theirs."""
    return Call(
        (_owners,),
        lambda found: [[name, token.encode()] for name, token in found.items()],
        lambda value: {_outpoint(name): kind.decode(_message(raw)) for name, raw in _rows(value)},
    )


def _optional(shape: Shape) -> Shape:
    return lambda value: None if value is None else shape(value)


def _plain(*arguments: Shape, result: Shape) -> Call:
    """A call whose result is a CBOR value as it stands."""
    return Call(arguments, lambda value: value, result)


def _purposes(value: cbor.Value) -> dict[bytes, Definition]:
    return {_exactly("purpose", HASH_BYTES)(purpose): Definition.from_cbor(fields) for purpose, fields in _rows(value)}


def _spenders(value: cbor.Value) -> tuple[bytes, ...]:
    ids = cbor.array_up_to(value, "spenders", MAX_LEDGER_ANSWER_BYTES)
    return tuple(_exactly("message id", HASH_BYTES)(spender) for spender in ids)


def _offline_token(value: cbor.Value) -> OfflineToken:
    return OfflineToken.decode(_message(value))


def _identity(value: cbor.Value) -> tuple[bytes, str]:
    network, origin = cbor.array(value, "identity", 2)
    return _key(network), cbor.text_up_to(origin, "origin", 2 * MAX_NAME_CHARS)


LEDGER_CALLS: Final[dict[str, Call]] = {
    "identity": Call((), list, _identity),
    "submit": Call(
        (_message,), Receipt.encode, lambda value: Receipt.decode(cbor.bytes_up_to(value, "receipt", MAX_RECEIPT_BYTES))
    ),
    "trust_list": _plain(result=_message),
    "policy": Call((), Policy.to_cbor, Policy.from_cbor),
    "purposes": Call((), lambda found: [[purpose, made.to_cbor()] for purpose, made in found.items()], _purposes),
    "tokens_of": _named(Token),
    "offline_of": _named(OfflineToken),
    "offline_token": Call(
        (_outpoint,), lambda token: None if token is None else token.encode(), _optional(_offline_token)
    ),
    "spenders_of": Call((_outpoint,), list, _spenders),
    "load_certificate": _plain(_outpoint, result=_optional(_bytes("load certificate", MAX_DOCUMENT_BYTES))),
    "sync_certificate": _plain(
        _key, _exactly("challenge", CHALLENGE_BYTES), result=_bytes("sync certificate", MAX_DOCUMENT_BYTES)
    ),
    "certificate_bytes": _plain(_key, result=_bytes("certificate", MAX_CERTIFICATE_BYTES)),
    "claims_tiyn": _plain(
        lambda value: cbor.text_up_to(value, "bank", MAX_NAME_CHARS),
        result=lambda value: cbor.unsigned(value, "claims", MAX_AMOUNT_TIYN),
    ),
    "debt_tiyn": _plain(
        lambda value: cbor.text_up_to(value, "account", 2 * MAX_NAME_CHARS + 1),
        result=lambda value: cbor.unsigned(value, "debt", MAX_AMOUNT_TIYN),
    ),
    "ledger_time_s": _plain(result=lambda value: cbor.time_s(value, "ledger time")),
}
"""Everything a wallet may ask, as in `wallet.port.LedgerPort`; ``identity`` is network and origin."""

ARGUMENTS: Final[Calls] = {name: call.arguments for name, call in LEDGER_CALLS.items()}
