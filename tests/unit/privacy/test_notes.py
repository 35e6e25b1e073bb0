"""Notes: by whose key, of what value, in which epoch; everything else is refused."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from cbdc.errors import BadSignature, FormError, Malformed, NotCanonical, TooLarge
from cbdc.formats import cbor
from cbdc.limits import MAX_NOTE_KEY_BYTES
from cbdc.privacy.blind_rsa import blind_sign
from cbdc.privacy.notes import Note, NoteKey
from tests.support import NOW_S, seed
from tests.unit.privacy.keys import Replay, note_key, private_key
from wallet.cash_keys import CashKeys

KEY = note_key()


def issued(key: NoteKey = KEY, name: str = "a") -> Note:
    draft = CashKeys(seed("cash")).draft(key, 0)
    return draft.finish(blind_sign(private_key(name), draft.blinding.blinded, Replay()))


def test_an_issued_note_verifies() -> None:
    issued().verify(KEY)


@pytest.mark.parametrize(
    "other",
    [
        note_key("b", denomination_tenge=128),
        note_key("b", epoch=8),
        note_key("b"),
        # the same RSA key published twice: what is signed names the record, so it still does not help
        note_key(denomination_tenge=128),
        note_key(epoch=8),
        note_key(network=seed("another network")),
        replace(KEY, accepted_until_s=KEY.accepted_until_s + 1),
    ],
    ids=["denomination", "epoch", "key", "same key, denomination", "same key, epoch", "same key, network", "validity"],
)
def test_a_note_under_another_key(other: NoteKey) -> None:
    with pytest.raises(BadSignature):
        issued().verify(other)


def test_a_changed_serial() -> None:
    with pytest.raises(BadSignature):
        replace(issued(), serial=seed("mine now")).verify(KEY)


def test_a_changed_prefix() -> None:
    with pytest.raises(BadSignature):
        replace(issued(), prefix=bytes(32)).verify(KEY)


def test_a_changed_signature() -> None:
    with pytest.raises(BadSignature):
        replace(issued(), signature=bytes(256)).verify(KEY)


@pytest.mark.parametrize("field", ["serial", "prefix"])
@pytest.mark.parametrize("length", [0, 31, 33])
def test_a_field_of_another_length(field: str, length: int) -> None:
    with pytest.raises(Malformed):
        replace(issued(), **{field: bytes(length)}).verify(KEY)


def test_bytes_do_not_move_between_prefix_and_serial() -> None:
    note = issued()
    with pytest.raises(Malformed):
        replace(note, prefix=note.prefix + note.serial[:1], serial=note.serial[1:]).verify(KEY)


# --- records -----------------------------------------------------------------------------------


def test_a_record_survives_its_bytes() -> None:
    assert NoteKey.decode(KEY.encode()) == KEY
    assert NoteKey.decode(KEY.encode()).id == KEY.id
    assert len({note_key().id, note_key(epoch=8).id, note_key(denomination_tenge=1).id, note_key("b").id}) == 4


def test_the_longest_record_fits() -> None:
    longest = replace(KEY, public=private_key("long", 4096).public, epoch=1_000_000)
    assert len(longest.encode()) <= MAX_NOTE_KEY_BYTES
    assert NoteKey.decode(longest.encode()) == longest


@pytest.mark.parametrize("value", [0, 3, 6, 1 << 15, -1, 12_288])
def test_a_denomination_that_is_none(value: int) -> None:
    with pytest.raises(Malformed, match="power of two"):
        replace(KEY, denomination_tenge=value)


@pytest.mark.parametrize("power", range(15))
def test_every_power_of_two_up_to_the_largest(power: int) -> None:
    assert replace(KEY, denomination_tenge=1 << power).denomination_tenge == 1 << power


@pytest.mark.parametrize("times", [(1, 1, 2), (2, 1, 3), (1, 3, 2)])
def test_times_in_another_order(times: tuple[int, int, int]) -> None:
    with pytest.raises(Malformed, match="before its notes expire"):
        replace(KEY, issues_from_s=times[0], issues_until_s=times[1], accepted_until_s=times[2])


WRONG_FIELDS: list[tuple[int, Any]] = [
    *((0, value) for value in (bytes(31), None)),
    *((1, value) for value in (3, True, 1 << 20)),
    *((2, value) for value in (-1, 1 << 40)),
    *((3, value) for value in (b"", bytes(601))),
    *((4, value) for value in ("now", NOW_S * NOW_S)),
    *((place, NOW_S) for place in (5, 6)),
]


@pytest.mark.parametrize(("place", "value"), WRONG_FIELDS)
def test_a_record_with_another_field(place: int, value: Any) -> None:
    fields = cbor.decode(KEY.encode())
    fields[place] = value
    with pytest.raises(FormError):
        NoteKey.decode(cbor.encode(fields))


def test_a_record_of_another_shape() -> None:
    fields = cbor.decode(KEY.encode())
    for bad in (fields[:-1], [*fields, 0], {}, b""):
        with pytest.raises(Malformed):
            NoteKey.decode(cbor.encode(bad))
    with pytest.raises(NotCanonical):
        NoteKey.decode(KEY.encode() + b"\0")
    with pytest.raises(TooLarge):
        NoteKey.decode(bytes(MAX_NOTE_KEY_BYTES + 1))
