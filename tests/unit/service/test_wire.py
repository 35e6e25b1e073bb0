"""The calls of a ledger: what goes in at one end comes out at the other, and nothing else does."""

from __future__ import annotations

from typing import Any

import cbor2
import pytest

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.formats import cbor
from cbdc.formats.calls import answer, read_answer, read_request, request
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CONDITION_DEPTH,
    MAX_CONDITION_NODES,
    MAX_FACT_CHARS,
    MAX_LEDGER_ANSWER_BYTES,
    MAX_LEDGER_REQUEST_BYTES,
    MAX_NAME_CHARS,
    MAX_PERIOD_SPENDS,
    MAX_TIME_S,
)
from cbdc.purposes.conditions import All, Approval, Condition, Hours, Items, Memory, PerPeriod
from cbdc.purposes.conditions import Any as AnyOf
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears, KeepsHops, MarkRule, Split, UntilEvidence
from cbdc.service.pages import Page
from cbdc.service.purpose_queries import Refundable
from cbdc.service.wire import ARGUMENTS, LEDGER_CALLS
from cbdc.state.records import OfflineToken, Token, Waiting
from tests.support import NOW_S, seed

HASH, KEY, NAME = bytes(32), seed("key"), bytes(34)
LONGEST = "x" * (2 * MAX_NAME_CHARS + 1)
HELD = Waiting("altyn/aida", KEY, 5, 9, ["altyn/bolat"], [["bread", 5]], [[0, KEY, 5, HASH, 3, True, 2]], lapsed=False)
LAPSED = Waiting("altyn/aida", KEY, 5, 9, [], [], [], lapsed=True)
FULL = Memory(
    tuple((MAX_TIME_S, MAX_AMOUNT_TIYN) for _ in range(MAX_PERIOD_SPENDS)),
    frozenset({"altyn/aida", LONGEST}),
    frozenset(("registry", f"fact {number}") for number in range(MAX_CONDITION_NODES)),
)


def travelled(name: str, result: Any) -> Any:
    """A result as the other end of the call gets it."""
    call = LEDGER_CALLS[name]
    value, error = read_answer(answer(call.to_cbor(result)), MAX_LEDGER_ANSWER_BYTES)
    assert error is None
    return call.result(value)


def purpose(condition: Condition, mark: MarkRule | None = None, split: Split | None = None) -> Definition:
    return Definition("meals", ("A", "B", "C"), KEY, KEY, condition, mark or Clears(), NOW_S, split)


def nested(leaf: Condition) -> Condition:
    """A leaf as deep as one may be."""
    for _ in range(MAX_CONDITION_DEPTH - 1):
        leaf = AnyOf((leaf,)) if isinstance(leaf, All) else All((leaf,))
    return leaf


@pytest.mark.parametrize(
    ("name", "result"),
    [
        ("purpose_memory", Memory()),
        ("purpose_memory", Memory(((5, 7), (5, 7)), frozenset({"altyn/aida"}), frozenset({("registry", "sown")}))),
        ("purpose_memory", FULL),
        ("waiting_payment", None),
        ("waiting_payment", HELD),
        ("waiting_after", Page({}, has_more=False)),
        ("waiting_after", Page({HASH: HELD, KEY: LAPSED}, has_more=True)),
        ("approvers_of", ()),
        ("approvers_of", ("altyn/aida", LONGEST)),
        ("refundable", ()),
        ("refundable", (Refundable(HASH, KEY, "altyn/aida", 5), Refundable(KEY, HASH, "altyn/bolat", 0))),
        ("is_freed", True),
        ("institution_of", None),
        ("institution_of", "registry"),
        ("institution_key", None),
        ("institution_key", KEY),
        ("role_of", None),
        ("role_of", "oracle"),
        ("keys_of", ()),
        ("keys_of", (KEY, HASH)),
        ("tokens_after", Page({NAME: Token(KEY, 5, HASH, 3)}, has_more=False)),
        ("offline_after", Page({NAME: OfflineToken(KEY, 5, HASH, 1, 2, 0, [], False, left=2)}, has_more=False)),
        ("offline_token", OfflineToken(KEY, 5, HASH, 1, 2, 1, [], False, [KEY, HASH, 5, 3], left=2)),
        ("purposes_after", Page({HASH: purpose(Items(("bread",)), UntilEvidence("registry"))}, has_more=False)),
        (
            "purposes_after",
            Page({HASH: purpose(PerPeriod(5, 30), KeepsHops(3), Split("altyn/tax", 1, 9))}, has_more=True),
        ),
    ],
)
def test_a_result_comes_out_as_it_went_in(name: str, result: Any) -> None:
    assert travelled(name, result) == result


@pytest.mark.parametrize("leaf", [Approval(("altyn/aida",), 1), Hours((0, 6), 0, 1440), PerPeriod(5, 30)])
def test_the_deepest_purpose_reaches_a_wallet(leaf: Condition) -> None:
    """Else one sponsor could keep every wallet from its ledger's purposes."""
    page = Page({HASH: purpose(nested(leaf))}, has_more=False)
    assert travelled("purposes_after", page) == page


@pytest.mark.parametrize(
    ("name", "arguments"),
    [
        ("purpose_memory", (HASH, "altyn/aida", "tax office")),
        ("waiting_payment", (HASH,)),
        ("waiting_after", (b"",)),
        ("waiting_after", (HASH,)),
        ("approvers_of", (HASH,)),
        ("refundable", (HASH,)),
        ("is_freed", (NAME,)),
        ("institution_of", (KEY,)),
        ("institution_key", ("registry",)),
        ("keys_of", (LONGEST,)),
        ("role_of", ("registry",)),
    ],
)
def test_arguments_come_out_as_they_went_in(name: str, arguments: tuple[Any, ...]) -> None:
    asked = read_request(request(name, *arguments), ARGUMENTS, MAX_LEDGER_REQUEST_BYTES)
    assert asked == (name, arguments)


@pytest.mark.parametrize(
    ("error", "name", "arguments"),
    [
        (Malformed, "purpose_memory", (HASH, "altyn/aida")),
        (Malformed, "purpose_memory", (NAME, "altyn/aida", "altyn/bolat")),
        (Malformed, "purpose_memory", (HASH, "", "altyn/bolat")),
        (TooLarge, "purpose_memory", (HASH, "altyn/aida", LONGEST + "x")),
        (Malformed, "waiting_payment", (HASH[:31],)),
        (Malformed, "waiting_payment", ("payment",)),
        (TooLarge, "waiting_after", (bytes(35),)),
        (Malformed, "approvers_of", (None,)),
        (Malformed, "refundable", (NAME,)),
        (Malformed, "keys_of", (KEY,)),
        (Malformed, "role_of", (KEY,)),
        (TooLarge, "role_of", (LONGEST,)),
        (TooLarge, "keys_of", (LONGEST + "x",)),
    ],
)
def test_what_is_no_argument_is_refused(error: type[FormError], name: str, arguments: tuple[Any, ...]) -> None:
    with pytest.raises(FormError) as caught:
        read_request(request(name, *arguments), ARGUMENTS, MAX_LEDGER_REQUEST_BYTES)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("purpose_memory", [[], []]),
        ("purpose_memory", [[[5]], [], []]),
        ("purpose_memory", [[[5, -1]], [], []]),
        ("purpose_memory", [[[5, True]], [], []]),
        ("purpose_memory", [[[-1, 5]], [], []]),
        ("purpose_memory", [[[5, 5]] * (MAX_PERIOD_SPENDS + 1), [], []]),
        ("purpose_memory", [[], [""], []]),
        ("purpose_memory", [[], [5], []]),
        ("purpose_memory", [[], [], [["registry"]]]),
        ("purpose_memory", [[], [], [["registry", ""]]]),
        ("purpose_memory", [[], [], [["registry", "x" * (MAX_FACT_CHARS + 1)]]]),
        ("purpose_memory", [[], [], [["registry", "sown"]] * (MAX_CONDITION_NODES + 1)]),
        ("waiting_payment", 5),
        ("waiting_payment", b""),
        ("waiting_payment", cbor.encode([1, 2])),
        ("waiting_payment", HELD.encode() + b"\0"),
        ("waiting_after", [[[HASH, HELD.encode()]]]),
        ("waiting_after", [[[HASH, HELD.encode()]], 1]),
        ("waiting_after", [[[NAME, HELD.encode()]], False]),
        ("waiting_after", [[[HASH, None]], False]),
        ("approvers_of", None),
        ("approvers_of", [HASH]),
        ("approvers_of", [LONGEST + "x"]),
        ("refundable", [5]),
        ("refundable", [[HASH, KEY, "altyn/aida", 5]]),
        ("refundable", [cbor.encode([HASH, KEY, "altyn/aida"])]),
        ("keys_of", [HASH[:31]]),
        ("keys_of", ["altyn/aida"]),
        ("role_of", 5),
        ("role_of", ""),
        ("purposes_after", [[[HASH, purpose(PerPeriod(5, 30)).to_cbor()[:-1]]], False]),
    ],
)
def test_what_is_no_answer_is_refused(name: str, value: cbor.Value) -> None:
    with pytest.raises(FormError):
        LEDGER_CALLS[name].result(value)


# --- records from outside ----------------------------------------------------------------------

LEAF = OfflineToken(KEY, 5, HASH, 6, 7, 1, [HASH], False, [HASH, None, 5, None], [KEY], 3, 2)
RECORDS = {
    "waiting_payment": [HELD, LAPSED],
    "offline_token": [LEAF, OfflineToken(KEY, 5, None, 6, 7, 0, [], True)],
}
"""Calls that answer one record, and such."""


@pytest.mark.parametrize("call", RECORDS)
def test_each_field_of_a_record_from_outside_is_looked_at(call: str) -> None:
    read = LEDGER_CALLS[call].result
    for record in RECORDS[call]:
        assert read(record.encode()) == record
        fields = cbor.decode(record.encode())
        assert isinstance(fields, list)
        for index in range(len(fields)):
            for wrong in (1.5, -1, "", [1], [[1]], {}, b"x"):
                with pytest.raises(FormError):
                    read(cbor2.dumps([*fields[:index], wrong, *fields[index + 1 :]]))
        for wrong_length in (fields[:-1], [*fields, None], []):
            with pytest.raises(Malformed):
                read(cbor.encode(wrong_length))
    with pytest.raises(FormError):
        read(cbor.encode(5))


@pytest.mark.parametrize("index", range(7))
def test_each_field_of_an_output_that_waits_is_looked_at(index: int) -> None:
    fields = cbor.decode(HELD.encode())
    assert isinstance(fields, list)
    fields[6][0][index] = "x"
    with pytest.raises(FormError):
        LEDGER_CALLS["waiting_payment"].result(cbor.encode(fields))


def test_tokens_and_refunds_from_outside_are_looked_at() -> None:
    for wrong in ([1, 2, 3, "x"], [KEY, 5, HASH], [KEY, 5, HASH, "x"], [KEY, -1, HASH, None], [KEY, 5, KEY[:5], None]):
        with pytest.raises(FormError):
            LEDGER_CALLS["tokens_after"].result([[[NAME, cbor.encode(wrong)]], False])
    for wrong in ([1, 2, 3, "x"], [HASH, KEY, "altyn/aida"], [HASH, KEY, "altyn/aida", "x"], [HASH, KEY, 5, 5]):
        with pytest.raises(FormError):
            LEDGER_CALLS["refundable"].result([cbor.encode(wrong)])
