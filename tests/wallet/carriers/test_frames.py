"""Numbered frames: any order, repeated, lost, foreign, damaged, forged."""

from __future__ import annotations

import re
import zlib

import base45
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdc.errors import FormError, Malformed, TooLarge, Unreachable
from cbdc.limits import MAX_FRAMES, MAX_INFLATED_BYTES, MAX_PAYLOAD_TEXT_CHARS
from tests.support import seed
from wallet.carriers.frames import MIN_FRAME_CHARS, Added, Collector, read, split
from wallet.carriers.text import check_of
from wallet.protocol import PREFIX, pack, to_text

MESSAGE = b"".join(seed(f"message {n}") for n in range(20))
OTHER = b"".join(seed(f"other {n}") for n in range(20))
FRAMES = split(MESSAGE, 154)
LETTERS = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"


def frame(rest: str) -> str:
    """A frame with its checksum right, whatever it says."""
    return f"KZF1:{zlib.crc32(rest.encode()):08X}:{rest}"


def collected(*texts: str) -> Collector:
    collector = Collector()
    for text in texts:
        collector.add(text)
    return collector


# --- cutting -----------------------------------------------------------------------------------


@given(st.binary(max_size=2000), st.integers(60, 4296))
def test_frames_are_short_enough_letters_of_a_code_and_end_with_none_that_gets_lost(message: bytes, limit: int) -> None:
    texts = split(message, limit)
    for text in texts:
        assert len(text) <= limit
        assert set(text) <= set(LETTERS)
        assert text == text.strip()
    assert collected(*texts).message() == message


def test_what_fits_one_code_is_no_frame() -> None:
    text = to_text(MESSAGE)
    assert split(MESSAGE, len(text)) == (text,)
    assert len(split(MESSAGE, len(text) - 1)) == 2


def test_a_frame_says_which_payload_which_number_and_how_many() -> None:
    name = check_of(pack(MESSAGE)).hex().upper()
    for number, text in enumerate(FRAMES, 1):
        found = read(text)
        assert (found.id, found.index, found.count) == (name, number, len(FRAMES))
    assert PREFIX + "".join(read(text).chunk for text in FRAMES) == to_text(MESSAGE)


def test_frames_have_even_lengths() -> None:
    lengths = [len(read(text).chunk) for text in FRAMES]
    assert max(lengths) - min(lengths) <= 3 * len(FRAMES)


def test_too_many_frames_are_not_made() -> None:
    with pytest.raises(TooLarge):
        split(MESSAGE, MIN_FRAME_CHARS)
    with pytest.raises(TooLarge):
        split(MESSAGE, MIN_FRAME_CHARS - 1)
    noise = b"".join(zlib.crc32(n.to_bytes(4, "big")).to_bytes(4, "big") for n in range(20_000))
    with pytest.raises(TooLarge):
        split(noise, 4296)


def test_the_longest_payload_goes_into_codes_of_version_9() -> None:
    """What the reason of `MAX_FRAMES` says."""
    noise = b"".join(zlib.crc32(n.to_bytes(4, "big"), 7).to_bytes(4, "big") for n in range(10_900))
    assert MAX_PAYLOAD_TEXT_CHARS - 200 < len(to_text(noise)) <= MAX_PAYLOAD_TEXT_CHARS
    texts = split(noise, 335)
    assert MAX_FRAMES * 0.8 < len(texts) <= MAX_FRAMES
    assert collected(*texts).message() == noise


# --- collecting --------------------------------------------------------------------------------


@given(st.data())
def test_any_order_with_repetitions_and_strangers(data: st.DataObject) -> None:
    order = data.draw(st.permutations(FRAMES))
    strangers = [*split(OTHER, 154), to_text(OTHER)]
    more = data.draw(st.lists(st.sampled_from([*FRAMES, *strangers]), max_size=30))
    heard = [order[0], *data.draw(st.permutations([*order[1:], *more]))]
    collector = Collector()
    added = [collector.add(text) for text in heard]
    assert collector.complete
    assert collector.message() == MESSAGE
    assert added.count(Added.NEW) == len(FRAMES)
    assert added.count(Added.FOREIGN) == collector.foreign == sum(text in strangers for text in heard)


@given(st.sets(st.integers(1, len(FRAMES)), min_size=1))
def test_missing_frames_are_named(lost: set[int]) -> None:
    collector = collected(*(text for number, text in enumerate(FRAMES, 1) if number not in lost))
    assert not collector.complete
    if len(lost) == len(FRAMES):
        assert (collector.missing, collector.count) == ((), 0)
        with pytest.raises(Unreachable):
            collector.message()
        return
    assert collector.missing == tuple(sorted(lost))
    with pytest.raises(Unreachable) as refused:
        collector.message()
    assert refused.value.values == {"missing": ", ".join(map(str, sorted(lost))), "count": len(FRAMES)}
    for number in lost:
        collector.add(FRAMES[number - 1])
    assert collector.message() == MESSAGE


def test_a_payload_in_one_code_is_taken_too() -> None:
    collector = Collector()
    assert collector.add(to_text(MESSAGE)) is Added.NEW
    assert collector.add(to_text(MESSAGE)) is Added.DUPLICATE
    assert collector.add(to_text(OTHER)) is Added.FOREIGN
    assert collector.add(FRAMES[0]) is Added.FOREIGN
    assert (collector.message(), collector.count, collector.foreign) == (MESSAGE, 1, 2)


@pytest.mark.parametrize("number", range(len(FRAMES)))
@given(st.data())
def test_any_changed_letter_of_a_frame_is_noticed(number: int, data: st.DataObject) -> None:
    text = FRAMES[number]
    where = data.draw(st.integers(0, len(text) - 1))
    letter = data.draw(st.sampled_from(LETTERS.replace(text[where], "") + "aҢ\n"))
    with pytest.raises(FormError):
        Collector().add(text[:where] + letter + text[where + 1 :])


NAME = read(FRAMES[0]).id
REFUSED: dict[str, tuple[str, type[FormError]]] = {
    "nothing": ("", Malformed),
    "another program's": ("https://example.kz/", Malformed),
    "prefix only": ("KZF1:", Malformed),
    "another version": (FRAMES[0].replace("KZF1", "KZF2"), Malformed),
    "cut": (FRAMES[0][:-1], Malformed),
    "number 0": (frame(f"{NAME}/0/3:ABC"), Malformed),
    "count 0": (frame(f"{NAME}/1/0:ABC"), Malformed),
    "leading zero": (frame(f"{NAME}/01/3:ABC"), Malformed),
    "beyond the last": (frame(f"{NAME}/4/3:ABC"), Malformed),
    "no chunk": (frame(f"{NAME}/1/3:"), Malformed),
    "small hex": (frame(f"{NAME.lower()}/1/3:ABC"), Malformed),
    "short name": (frame(f"{NAME[:-1]}/1/3:ABC"), Malformed),
    "too many": (frame(f"{NAME}/1/{MAX_FRAMES + 1}:ABC"), TooLarge),
    "four digits": (frame(f"{NAME}/1/1000:ABC"), Malformed),
    "not ASCII": (f"KZF1:00000000:{NAME}/1/3:Ң", Malformed),
    "a digit that is not ASCII": (f"KZF1:00000000:{NAME}/\u0661/3:ABC", Malformed),
}


@pytest.mark.parametrize(("text", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_frame_is_refused(text: str, error: type[FormError]) -> None:
    collector = Collector()
    with pytest.raises(FormError) as refused:
        collector.add(text)
    assert type(refused.value) is error
    assert collector.count == 0


def test_contradicting_frames_are_refused() -> None:
    first = read(FRAMES[0])
    for rest in (f"{first.id}/1/{first.count}:ABC", f"{first.id}/1/{first.count + 1}:{first.chunk}"):
        collector = collected(FRAMES[0])
        with pytest.raises(Malformed):
            collector.add(frame(rest))
        assert collected(*FRAMES).message() == MESSAGE


def test_a_forged_frame_is_found_at_the_end_and_everything_read_again() -> None:
    forged = frame(f"{NAME}/1/{len(FRAMES)}:{read(FRAMES[0]).chunk[::-1]}")
    collector = collected(forged, *FRAMES[1:-1])
    with pytest.raises(FormError):
        collector.add(FRAMES[-1])
    assert (collector.count, collector.complete) == (0, False)
    for text in FRAMES:
        collector.add(text)
    assert collector.message() == MESSAGE


def test_a_bomb_in_frames_does_not_inflate() -> None:
    packed = zlib.compress(bytes(MAX_INFLATED_BYTES * 4), 9)

    letters = base45.b45encode(packed).decode()
    name = check_of(packed).hex().upper()
    half = len(letters) // 6 * 3
    collector = collected(frame(f"{name}/1/2:{letters[:half]}"))
    with pytest.raises(TooLarge):
        collector.add(frame(f"{name}/2/2:{letters[half:]}"))


def test_memory_is_bounded() -> None:
    collector = collected(frame(f"{NAME}/1/9:{'A' * MAX_PAYLOAD_TEXT_CHARS}"))
    with pytest.raises(TooLarge):
        collector.add(frame(f"{NAME}/2/9:AAA"))


@given(st.text(alphabet=LETTERS, max_size=60))
def test_no_text_makes_the_collector_stumble(rest: str) -> None:
    for text in (rest, f"KZF1:{rest}", frame(rest), frame(f"{NAME}/1/1:{rest}"), frame(f"{NAME}/{rest}")):
        try:
            assert re.match("new|duplicate|foreign", Collector().add(text).value)
        except FormError as error:
            assert error.code in {"malformed", "too_large"}
