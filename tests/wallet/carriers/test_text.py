"""Clipboard text: what people and programs do to it is undone or refused, never taken for something else."""

from __future__ import annotations

import base64
import re
import textwrap
import time
import zlib
from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.limits import MAX_CLIPBOARD_CHARS, MAX_INFLATED_BYTES
from tests.support import seed
from wallet.carriers import text
from wallet.carriers.text import BEGIN, END, LINE_CHARS, from_clipboard, to_clipboard
from wallet.protocol import PREFIX, pack, to_text

MESSAGE = b"".join(seed(f"message {n}") for n in range(20))
GOOD = to_clipboard(MESSAGE)

SURVIVED: dict[str, Callable[[str], str]] = {
    "as it is": lambda t: t,
    "small letters": str.lower,
    "a capital here and there": str.swapcase,
    "Windows line ends": lambda t: t.replace("\n", "\r\n"),
    "old line ends": lambda t: t.replace("\n", "\r"),
    "doubled line breaks": lambda t: t.replace("\n", "\n\n"),
    "one line": lambda t: t.replace("\n", ""),
    "blanks for line breaks": lambda t: t.replace("\n", " "),
    "wrapped narrower": lambda t: "\n".join(textwrap.wrap(t, 20)),
    "indented": lambda t: textwrap.indent(t, "\t    "),
    "quoted": lambda t: textwrap.indent(t, "> "),
    "quoted twice": lambda t: textwrap.indent(textwrap.indent(t, "> "), ">"),
    "quoted with bars": lambda t: textwrap.indent(t, "| "),
    "blanks at line ends": lambda t: t.replace("\n", "  \n"),
    "no-break blanks": lambda t: t.replace("\n", "\u00a0\n\u00a0"),
    "invisible characters": lambda t: "\ufeff" + t.replace("A", "A\u200b").replace("B", "\u00adB\u2060"),
    "words around": lambda t: f"Hello Aigerim,\n\nhere it is:\n{t}\n\nBest, Dana. Төлем үшін рахмет!",
    "a whole mail, quoted": lambda t: textwrap.indent(f"Hi\n\n{t}\n-- \nDana", "> "),
}


@pytest.mark.parametrize("done", SURVIVED.values(), ids=SURVIVED)
def test_what_happens_to_text_is_undone(done: Callable[[str], str]) -> None:
    assert from_clipboard(done(GOOD)) == MESSAGE


def test_the_form_is_short_lines_of_letters_that_nothing_touches() -> None:
    first, *lines, last = GOOD.split("\n")
    assert (first, last) == (BEGIN, END)
    assert all(len(line) == LINE_CHARS for line in lines[:-1])
    assert re.fullmatch("[A-Z2-7]+", "".join(lines))


def test_the_bare_payload_of_a_code_may_be_pasted_too() -> None:
    assert from_clipboard(f"\n {to_text(MESSAGE)}\n") == MESSAGE


@given(st.data())
def test_any_changed_letter_is_noticed(data: st.DataObject) -> None:
    where = data.draw(st.integers(0, len(GOOD) - 1))
    letter = data.draw(st.sampled_from("ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789:=+/-Ңſı\u212a"))
    changed = GOOD[:where] + letter + GOOD[where + 1 :]
    if changed == GOOD:
        return
    with pytest.raises(FormError):
        from_clipboard(changed)


@pytest.mark.parametrize("where", [len(BEGIN) + 1, len(GOOD) // 2, len(GOOD) - len(END) - 2])
@pytest.mark.parametrize("length", [1, 2, 8, LINE_CHARS + 1])
def test_missing_and_repeated_letters_are_noticed(where: int, length: int) -> None:
    start = max(len(BEGIN) + 1, where - length)
    for changed in (GOOD[:start] + GOOD[start + length :], GOOD[: start + length] + GOOD[start:]):
        with pytest.raises(Malformed):
            from_clipboard(changed)


def test_swapped_lines_are_noticed() -> None:
    lines = GOOD.split("\n")
    lines[2], lines[3] = lines[3], lines[2]
    with pytest.raises(Malformed):
        from_clipboard("\n".join(lines))


@given(st.text(alphabet=" \n\t" + to_text(MESSAGE)[5:25], min_size=1, max_size=3), st.integers(5, 300))
def test_a_code_s_payload_with_blanks_changed_is_never_another_message(extra: str, where: int) -> None:
    payload = to_text(MESSAGE)
    try:
        assert from_clipboard(payload[:where] + extra + payload[where:]) == MESSAGE
    except FormError as error:
        assert error.code in {"malformed", "too_large"}


def armoured(packed: bytes, check: bytes | None = None) -> str:

    letters = base64.b32encode((text.check_of(packed) if check is None else check) + packed).decode()
    return f"{BEGIN}\n{letters.rstrip('=')}\n{END}"


REFUSED: dict[str, tuple[str, type[FormError]]] = {
    "nothing": ("", Malformed),
    "no payload": ("Dear Aigerim, thank you", Malformed),
    "empty": (f"{BEGIN}{END}", Malformed),
    "no end": (GOOD.removesuffix(END), Malformed),
    "no beginning": (GOOD.removeprefix(BEGIN), Malformed),
    "two payloads": (f"{GOOD}\n{GOOD}", Malformed),
    "one in another": (GOOD.replace("\n", f"\n{BEGIN}\n", 2), Malformed),
    "padding": (GOOD.replace("\n" + END, f"=\n{END}"), Malformed),
    "quote mark inside a line": (GOOD[:40] + ">" + GOOD[40:], Malformed),
    "a check only": (armoured(b""), Malformed),
    "less than a check": (f"{BEGIN}AAAA{END}", Malformed),
    "wrong check": (armoured(pack(MESSAGE), bytes(8)), Malformed),
    "no zlib stream": (armoured(b"plain bytes"), Malformed),
    "bytes behind": (armoured(pack(MESSAGE) + b"\0"), Malformed),
    "a bomb": (armoured(zlib.compress(bytes(MAX_INFLATED_BYTES + 1))), TooLarge),
    "too much text": (" " * MAX_CLIPBOARD_CHARS + GOOD, TooLarge),
    "a code's payload, small letters": (to_text(MESSAGE).lower(), Malformed),
    "a code's payload, wrapped": ("\n".join(textwrap.wrap(to_text(MESSAGE), 64)), Malformed),
    "a code's payload, empty": (PREFIX, Malformed),
}


@pytest.mark.parametrize(("pasted", "error"), REFUSED.values(), ids=REFUSED)
def test_what_is_no_payload_is_refused(pasted: str, error: type[FormError]) -> None:
    with pytest.raises(FormError) as refused:
        from_clipboard(pasted)
    assert type(refused.value) is error


@given(st.text(max_size=300))
def test_no_text_makes_the_reader_stumble(pasted: str) -> None:
    for whole in (pasted, f"{BEGIN}{pasted}{END}", GOOD[:60] + pasted + GOOD[60:]):
        try:
            assert isinstance(from_clipboard(whole), bytes)
        except FormError as error:
            assert error.code in {"malformed", "too_large"}


@pytest.mark.parametrize("piece", [BEGIN, END, f"{BEGIN}A", "> ", "\n>", "KZT1", PREFIX, "\u200b", " \n"])
def test_reading_takes_time_in_proportion_to_the_text(piece: str) -> None:
    """A search that starts anew at each beginning takes minutes here."""
    pasted = piece * (MAX_CLIPBOARD_CHARS // len(piece))
    began_s = time.process_time()
    for whole in (pasted, BEGIN + pasted[: -len(BEGIN + END)] + END):
        with pytest.raises(FormError):
            from_clipboard(whole)
    assert time.process_time() - began_s < 5


def test_more_than_the_other_device_takes_is_not_sent() -> None:
    noise = b"".join(zlib.crc32(n.to_bytes(4, "big")).to_bytes(4, "big") for n in range(20_000))
    with pytest.raises(TooLarge):
        to_clipboard(noise)
