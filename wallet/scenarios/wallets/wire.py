"""The calls of a scenario's wallet in a process of its own: both ends in one table.

Scenario and wallet are one program, so that the shapes here only make values of bytes; what comes from outside is
checked where it is used, as everywhere.
"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from cbdc.formats import cbor
from cbdc.formats.calls import Call, Calls, Shape, error_fields, error_of
from cbdc.formats.lines import lines_from_cbor
from cbdc.limits import MAX_LEDGER_ANSWER_BYTES
from cbdc.log.receipts import Receipt
from cbdc.purposes.definition import Definition
from wallet.balance import Holdings
from wallet.customer import SyncReport
from wallet.purse import Received, Sent

FRAME_BYTES: Final = MAX_LEDGER_ANSWER_BYTES
ANSWER_S: Final = 300
"""A wallet may wait for a ledger that is being started again, and then sync much."""


def as_is(value: cbor.Value) -> Any:
    """The value itself."""
    return value


def nothing(_: object) -> None:
    """Of a call that gives nothing back."""


def _call(*arguments: Shape, to: Callable[[Any], cbor.Value] = as_is, back: Callable[[Any], Any] = as_is) -> Call:
    return Call(arguments, to, back)


def _list_of(back: Callable[[Any], Any]) -> Callable[[Any], list[Any]]:
    return lambda values: [back(value) for value in values]


def _sent_fields(sent: Sent) -> cbor.Value:
    rest = [sent.amount_tiyn, sent.bundle, sent.status.value, sent.receipt]
    return [sent.id, [sent.payee, sent.account, *rest]]


def _report_fields(report: SyncReport) -> cbor.Value:
    refusals = [[payment_id, error_fields(error)] for payment_id, error in report.refusals]
    return [report.sent, refusals, report.settled, report.disputed, report.offline_tiyn, report.waiting_tiyn]


def _report(value: Any) -> SyncReport:
    sent, refusals, settled, disputed, offline_tiyn, waiting_tiyn = value
    errors = tuple((payment_id, error_of(fields)) for payment_id, fields in refusals)
    return SyncReport(sent, errors, settled, disputed, offline_tiyn, waiting_tiyn)


def _holdings_fields(holdings: Holdings) -> cbor.Value:
    unanswered = [list(pair) for pair in holdings.unanswered]
    offline = [[purpose, amount_tiyn] for purpose, amount_tiyn in holdings.offline.items()]
    return [list(holdings.keys), offline, holdings.pending_tiyn, unanswered, list(holdings.retired)]


def _holdings(value: Any) -> Holdings:
    keys, offline, pending_tiyn, unanswered, retired = value
    waiting = tuple((first_input, amount_tiyn) for first_input, amount_tiyn in unanswered)
    return Holdings(tuple(keys), dict(offline), pending_tiyn, waiting, tuple(retired))


WALLET_CALLS: Final[dict[str, Call]] = {
    "online_key": _call(),
    "purse_key": _call(),
    "install": _call(as_is, as_is, as_is, to=nothing),
    "define_purpose": _call(Definition.from_cbor),
    "grant": _call(as_is, as_is, as_is),
    "pay_online": _call(as_is, as_is, as_is, as_is, as_is),
    "request": _call(as_is, lines_from_cbor),
    "refund": _call(as_is, as_is),
    "sign_approval": _call(as_is, as_is),
    "allow": _call(as_is, as_is, as_is, to=nothing),
    "sign_recall": _call(as_is, tuple, as_is),
    "look": _call(to=nothing),
    "load": _call(as_is, as_is, to=nothing),
    "unload": _call(as_is, as_is, to=nothing),
    "repay": _call(as_is, as_is, to=nothing),
    "sync": _call(to=_report_fields, back=_report),
    "new_element": _call(as_is, to=nothing),
    "retired_keys": _call(),
    "install_purse": _call(as_is, as_is, to=nothing),
    "element_file": _call(),
    "invoice": _call(as_is, lines_from_cbor),
    "pay": _call(as_is, as_is),
    "accept": _call(as_is),
    "finish": _call(as_is, as_is, to=nothing),
    "again": _call(as_is),
    "release": _call(as_is),
    "take_back": _call(as_is),
    "trust_list_raw": _call(),
    "hear": _call(as_is),
    "holdings": _call(to=_holdings_fields, back=_holdings),
    "sent": _call(to=_list_of(_sent_fields), back=_list_of(lambda value: Sent.of(*value))),
    "received": _call(
        to=_list_of(lambda held: [held.id, held.fields()]), back=_list_of(lambda value: Received.of(*value))
    ),
    "evidence": _call(),
    "receipts": _call(
        to=_list_of(lambda pair: [pair[0], pair[1].encode()]),
        back=_list_of(lambda pair: (pair[0], Receipt.decode(pair[1]))),
    ),
    "copy_storage": _call(Path, to=nothing),
    "be_careless": _call(as_is, to=nothing),
}
"""As in `PlayedWallet`, which says what each gives."""

LIFE_CALLS: Final[Calls] = {
    "create": (as_is, as_is, as_is, as_is, as_is),
    "open": (as_is, as_is, as_is, as_is, as_is),
    "set_connected": (as_is,),
    "set_clock": (as_is,),
}
"""``create`` and ``open`` take directory, network, seed, name of chance, path to the ledger."""

ALL_CALLS: Final[Calls] = {**{name: call.arguments for name, call in WALLET_CALLS.items()}, **LIFE_CALLS}
