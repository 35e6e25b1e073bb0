"""Whatever comes in, a decoder answers with a typed error or a message, and soon."""

from __future__ import annotations

import time
from collections.abc import Iterator

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdc.errors import FormError, Malformed, NotCanonical, TengeError, TooLarge
from cbdc.formats import cbor, cose
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_CBOR_DEPTH, MAX_MESSAGE_BYTES
from cbdc.log import checkpoint
from cbdc.messages.message import decode
from cbdc.service.wire import LEDGER_CALLS
from tests.fuzz.entries import ENTRIES, Entry, check
from tests.property.strategies import CBOR
from tests.vectors import samples
from tests.vectors.samples import KEYS, NETWORK, ORIGIN

OPERATOR = KEYS["operator"].public
SOON_S = 2.0
"""Far above what any decoder needs (some milliseconds), far below what a bomb would take."""

STRICT = [name for name, entry in ENTRIES.items() if entry.strict]
RAW = [signed.raw for signed in samples.signed().values()]

BIT_STRING_NAME = samples.institutions()[2].replace(
    b"\x06\x03\x55\x04\x03\x0c\x05altyn", b"\x06\x03\x55\x04\x03\x03\x05altyn"
)
"""A bank's X.509 whose name is a bit string: what X.509 allows for one kind of name only."""

FOUND = {
    "a name that is a bit string": ("x509", BIT_STRING_NAME),
    "a name that is a bit string in a message": ("payload of admit", cbor.encode([BIT_STRING_NAME])),
    "a scenario nested too deep": ("scenario", b"a = " + b"[" * 20_000),
    "a scenario with a number too long": ("scenario", b"seed = " + b"9" * 5_000),
    "an answer with a fact named as an argument": (
        "element answer",
        cbor.encode([False, "malformed", "no", {"message": 1}]),
    ),
    "an answer with a fact named as the error itself": (
        "element answer",
        cbor.encode([False, "malformed", "no", {"self": 1}]),
    ),
}
"""What once made a reader stumble."""


def check_all(data: bytes) -> None:
    """Every reader answers these bytes with a value or its own kind of error."""
    for name in ENTRIES:
        check(name, data)


# --- the list ----------------------------------------------------------------------------------


def test_every_kind_of_message_has_its_readers_in_the_list() -> None:
    """Once as it travels, and once for the payload behind its signature."""
    for behind_signature in (False, True):
        entries = [e for name, e in ENTRIES.items() if name.startswith(("payload", "claims")) is behind_signature]
        assert frozenset().union(*(entry.kinds for entry in entries)) == frozenset(Kind)


def test_every_call_to_a_ledger_is_among_the_seeds() -> None:
    names = [cbor.decode(seed)[0] for seed in ENTRIES["ledger request"].seeds()]
    assert sorted(names) == sorted(LEDGER_CALLS)


@pytest.mark.parametrize("name", ENTRIES)
def test_a_reader_takes_its_seeds(name: str) -> None:
    """Otherwise all fuzzing would stop at its first guard."""
    entry = ENTRIES[name]
    assert issubclass(entry.errors, TengeError)
    assert [seed for seed in entry.seeds() if entry.read(seed) is None] == []
    assert entry.seeds()


@pytest.mark.parametrize("name", STRICT)
def test_a_strict_reader_refuses_half_of_its_seeds(name: str) -> None:
    entry = ENTRIES[name]
    for seed in entry.seeds():
        with pytest.raises(entry.errors):
            entry.read(seed[: len(seed) // 2])


def test_the_assertion_fails_for_an_error_of_another_kind(monkeypatch: pytest.MonkeyPatch) -> None:
    def stumbling(_: bytes) -> None:
        raise KeyError

    monkeypatch.setitem(ENTRIES, "stumbling", Entry(stumbling, list))
    with pytest.raises(AssertionError, match="stumbling: KeyError"):
        check("stumbling", b"")


@pytest.mark.parametrize("found", FOUND)
def test_what_was_found_once_is_answered(found: str) -> None:
    check(*FOUND[found])


# --- anything at all ---------------------------------------------------------------------------


@given(data=st.binary(max_size=300))
def test_arbitrary_bytes(data: bytes) -> None:
    check_all(data)


@given(value=CBOR)
def test_arbitrary_cbor(value: object) -> None:
    check_all(cbor2.dumps(value, canonical=True))


@given(kind=st.sampled_from(Kind), value=CBOR, data=st.data())
def test_arbitrary_cbor_properly_signed(kind: Kind, value: object, data: st.DataObject) -> None:
    """The envelope is right, the keys are right, only the payload is anything."""
    payload = cbor2.dumps(value, canonical=True)
    names = data.draw(st.lists(st.sampled_from(["governor", "altyn", "operator"]), max_size=2, unique=True))
    check_all(cose.sign([KEYS[name] for name in names], kind, payload, NETWORK))
    check_all(cose.sign1(KEYS["operator"], kind, payload, NETWORK))


@given(text=st.text(max_size=200))
def test_arbitrary_text_as_a_note(text: str) -> None:
    with pytest.raises(TengeError):
        checkpoint.verify(text, ORIGIN, OPERATOR)


@given(lines=st.lists(st.text(max_size=12), max_size=3))
def test_arbitrary_signature_lines_of_a_note(lines: list[str]) -> None:
    """Under a text that is right."""
    text = samples.signed_checkpoint().partition("\n\n")[0]
    note = text + "\n\n" + "".join(f"— {ORIGIN} {line}\n" for line in lines)
    with pytest.raises(TengeError):
        checkpoint.verify(note, ORIGIN, OPERATOR)


# --- nearly right ------------------------------------------------------------------------------


@given(raw=st.sampled_from(RAW), data=st.data())
def test_truncated_messages(raw: bytes, data: st.DataObject) -> None:
    short = raw[: data.draw(st.integers(0, len(raw) - 1))]
    check_all(short)
    with pytest.raises(FormError):
        decode(short, NETWORK)


@pytest.mark.parametrize("name", ENTRIES)
@given(data=st.data())
def test_mutated_seeds(name: str, data: st.DataObject) -> None:
    """Some stretches replaced, left out, or put in."""
    raw = data.draw(st.sampled_from(ENTRIES[name].seeds()))
    for _ in range(data.draw(st.integers(1, 3))):
        start = data.draw(st.integers(0, len(raw)))
        end = data.draw(st.integers(start, min(len(raw), start + 8)))
        raw = raw[:start] + data.draw(st.binary(max_size=8)) + raw[end:]
    check(name, raw)


def places(value: object, at: tuple[object, ...] = ()) -> Iterator[tuple[object, ...]]:
    """The path to every node of a CBOR value."""
    yield at
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from places(item, (*at, index))
    if isinstance(value, dict):
        for key, item in value.items():
            yield from places(item, (*at, key))


def with_other(value: object, at: tuple[object, ...], other: object) -> object:
    """The value with the node at this path replaced."""
    if not at:
        return other
    step, *rest = at
    if isinstance(value, dict):
        return value | {step: with_other(value[step], tuple(rest), other)}
    return [with_other(item, tuple(rest), other) if index == step else item for index, item in enumerate(value)]


@pytest.mark.parametrize("name", samples.messages())
@given(data=st.data(), other=CBOR)
def test_one_wrong_field_in_a_signed_message(name: str, data: st.DataObject, other: object) -> None:
    """Every reader of every body meets every wrong type, behind a signature that holds."""
    sample = samples.messages()[name]
    body = cbor2.loads(cbor.encode(sample.body.to_cbor()))
    at = data.draw(st.sampled_from(list(places(body))))
    payload = cbor2.dumps(with_other(body, at, other), canonical=True)
    raw = cose.sign(sample.keys, sample.kind, payload, NETWORK)
    try:
        message = decode(raw, NETWORK)
    except FormError:
        return
    assert cbor.encode(message.body.to_cbor()) == payload


@pytest.mark.parametrize("name", [name for name in STRICT if name != "x509"])
@given(data=st.data(), other=CBOR)
def test_one_wrong_field_in_a_seed(name: str, data: st.DataObject, other: object) -> None:
    value = cbor2.loads(data.draw(st.sampled_from(ENTRIES[name].seeds())))
    at = data.draw(st.sampled_from(list(places(value))))
    check(name, cbor2.dumps(with_other(value, at, other), canonical=True))


@given(der=st.sampled_from(samples.institutions()), data=st.data())
def test_a_mutated_x509_certificate_in_a_signed_message(der: bytes, data: st.DataObject) -> None:
    at = data.draw(st.integers(0, len(der) - 1))
    der = der[:at] + data.draw(st.binary(max_size=2)) + der[at + 1 :]
    check_all(cose.sign([KEYS["governor"]], Kind.ADMIT, cbor.encode([der]), NETWORK))


# --- bombs -------------------------------------------------------------------------------------

HUGE = [b"\x5b", b"\x7b", b"\x9b", b"\xbb"]
"""Byte string, text, array and map with a length of eight bytes."""


def soon(data: bytes, name: str) -> float:
    """How long the reader took to refuse."""
    began = time.monotonic()
    with pytest.raises(ENTRIES[name].errors):
        ENTRIES[name].read(data)
    return time.monotonic() - began


BOMBS = {
    "arrays in arrays": b"\x81" * 100_000 + b"\0",
    "maps in maps": b"\xa1\x00" * 100_000 + b"\0",
    "tags on tags": b"\xc6" * 100_000 + b"\0",
    "indefinite arrays": b"\x9f" * 100_000,
    "just too deep": b"\x81" * (MAX_CBOR_DEPTH + 1) + b"\0",
    "huge byte string": b"\x5b\x7f" + b"\xff" * 7,
    "huge text": b"\x7b\x7f" + b"\xff" * 7,
    "huge array": b"\x9b\x7f" + b"\xff" * 7,
    "huge map": b"\xbb\x7f" + b"\xff" * 7,
    "lengths beyond 64 bits signed": b"\x9b" + b"\xff" * 8,
    "arrays of huge arrays": b"\x9a\x00\xff\xff\xff" * 1000,
    "big number of a megabyte": b"\xc2\x5a\x00\x0f\xff\xf0" + b"\xff" * 0xFFFF0,
    "one byte too long": b"\x5a" + MAX_MESSAGE_BYTES.to_bytes(4, "big") + bytes(MAX_MESSAGE_BYTES),
    "shared reference to itself": b"\xd8\x1c\x81\xd8\x1d\x00",
    "string references": b"\xd9\x01\x00\x82\x44AAAA\xd8\x19\x00",
    "regular expression": b"\xd8\x23\x78\x1e(a+)+(a+)+(a+)+(a+)+(a+)+(a+)+",
}


@pytest.mark.parametrize("name", STRICT)
@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_are_refused_soon(bomb: str, name: str) -> None:
    assert soon(BOMBS[bomb], name) < SOON_S


@pytest.mark.parametrize("bomb", BOMBS)
def test_bombs_inside_a_signed_payload_are_refused_soon(bomb: str) -> None:
    payload = BOMBS[bomb][: MAX_MESSAGE_BYTES // 2]
    raw = cose.sign([KEYS["altyn"]], Kind.TRANSFER, payload, NETWORK)
    assert soon(raw, "message") < SOON_S


def test_a_reconcile_inside_a_reconcile_is_no_evidence() -> None:
    raw = samples.messages()["reconcile"].raw
    for _ in range(5):
        raw = cose.assemble(Kind.RECONCILE, cbor.encode([[raw]]), [])
        assert soon(raw, "message") < SOON_S


# --- amounts -----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("amount", "error"),
    [
        (0, Malformed),
        (-1, Malformed),
        (MAX_AMOUNT_TIYN + 1, TooLarge),
        (1 << 63, TooLarge),
        ((1 << 64) - 1, TooLarge),
        (True, Malformed),
        ("100", Malformed),
        (None, Malformed),
        (b"\x01", Malformed),
        ([1], Malformed),
        (1.0, FormError),
        (1 << 64, FormError),
        (-(1 << 64) - 1, FormError),
    ],
)
@pytest.mark.parametrize("name", ["issue", "transfer", "redeem", "reserve", "load", "unload", "grant"])
def test_amounts_are_positive_bounded_integers(name: str, amount: object, error: type[FormError]) -> None:
    sample = samples.messages()[name]
    body = cbor2.loads(cbor.encode(sample.body.to_cbor()))
    if name == "reserve":
        body[3] = amount
    else:
        outputs = body[0] if name == "issue" else body[1]
        outputs[0][1] = amount
    payload = cbor2.dumps(body, canonical=True)
    with pytest.raises(error):
        decode(cose.sign(sample.keys, sample.kind, payload, NETWORK), NETWORK)


def test_what_is_longer_than_a_message_may_be_is_not_looked_at() -> None:
    with pytest.raises(TooLarge):
        decode(bytes(MAX_MESSAGE_BYTES + 1), NETWORK)


def test_a_spelling_error_is_told_from_nonsense() -> None:
    with pytest.raises(NotCanonical):
        cbor.decode(b"\x18\x01")
    with pytest.raises(Malformed):
        cbor.decode(b"\xff")
