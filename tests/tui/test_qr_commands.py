"""`tenge qr`: on a screen, in files, and back."""

from __future__ import annotations

import codecs
import os
import pty
import re
import signal
import subprocess
import time
from pathlib import Path

import pytest
from PIL import Image
from typer.testing import CliRunner

from cbdc.limits import MAX_CLIPBOARD_CHARS
from tests.support import seed
from tests.tui.conftest import TENGE, Run
from tests.wallet.carriers.screen import photograph
from tui.main import app
from wallet.carriers import FileCarrier, frames, images
from wallet.carriers.text import from_clipboard, to_clipboard
from wallet.protocol import from_text, to_text

MESSAGE = b"".join(seed(f"message {n}") for n in range(20))


@pytest.fixture
def payload(tmp_path: Path) -> Path:
    path = tmp_path / "payment.kzt"
    FileCarrier(path).send(MESSAGE)
    return path


def pictures(printed: str) -> list[str]:
    """The codes in what was printed, without the lines that number them."""
    return [part.rstrip("\n") for part in re.split(r"^\d+ of \d+\n", printed, flags=re.MULTILINE) if part.strip()]


# --- show --------------------------------------------------------------------------------------


def test_a_payload_is_one_code_on_a_large_screen(tenge: Run, payload: Path) -> None:
    done = tenge("qr", "show", payload, "--columns", 200, "--rows", 100)
    assert done.status == 0, done.err
    (picture,) = pictures(done.out)
    assert images.read_message([photograph(picture)]).message == MESSAGE


def test_a_payload_is_frames_on_a_small_screen(tenge: Run, payload: Path) -> None:
    done = tenge("qr", "show", payload, "--columns", 80, "--rows", 24)
    shown = pictures(done.out)
    assert len(shown) > 3
    assert f"{len(shown)} of {len(shown)}" in done.out
    for picture in shown:
        lines = picture.split("\n")
        assert len(lines) <= 23
        assert len(lines[0]) <= 80
    assert images.read_message(map(photograph, shown)).message == MESSAGE


def test_colours_on_request(tenge: Run, payload: Path) -> None:
    done = tenge("qr", "show", payload, "--columns", 200, "--rows", 100, "--ink", "colour")
    assert "\x1b[38;5;16;48;5;231m" in done.out
    assert images.read_message([photograph(done.out.rstrip("\n"))]).message == MESSAGE


def test_a_payload_comes_from_standard_input_and_from_pasted_text(tmp_path: Path) -> None:
    mail = tmp_path / "mail.txt"
    mail.write_text(f"Сәлем!\n\n{to_clipboard(MESSAGE).lower()}\n", encoding="utf-8")
    for arguments, given in (([str(mail)], None), (["-"], to_text(MESSAGE)), (["-"], mail.read_text())):
        done = CliRunner().invoke(app, ["qr", "show", *arguments, "--columns", "200", "--rows", "100"], input=given)
        assert done.exit_code == 0, done.output
        assert images.read_message([photograph(done.stdout.rstrip("\n"))]).message == MESSAGE


def test_pictures_are_written_and_listed(tenge: Run, payload: Path, tmp_path: Path) -> None:
    png, svg = tmp_path / "code.png", tmp_path / "code.svg"
    facts = tenge("qr", "show", payload, "--png", png, "--svg", svg, "--json").json()
    assert facts["ok"] is True
    assert facts["codes"] == [to_text(MESSAGE)]
    assert facts["written"] == [str(svg), str(png)]
    assert images.read_message([png.read_bytes()]).message == MESSAGE
    assert "<svg" in svg.read_text()


def test_frames_are_an_animation_and_numbered_drawings(tenge: Run, payload: Path, tmp_path: Path) -> None:
    png, svg = tmp_path / "code.png", tmp_path / "code.svg"
    done = tenge("qr", "show", payload, "--png", png, "--svg", svg, "--max-version", 8, "--frame-ms", 100)
    assert done.status == 0, done.err
    count = len(frames.split(MESSAGE, 279))
    assert sorted(tmp_path.glob("*.svg")) == [tmp_path / f"code-{n}.svg" for n in range(1, count + 1)]
    with Image.open(png) as image:
        assert (image.n_frames, image.info["duration"]) == (count, 100)
    assert f"{count} frames of version 8" in done.out


def test_a_terminal_shows_the_frames_in_turn_until_it_is_interrupted(payload: Path) -> None:
    """A real terminal, read by a camera that sees each picture."""
    ours, theirs = pty.openpty()
    known = {name: value for name, value in os.environ.items() if name not in {"NO_COLOR", "CI"}}
    process = subprocess.Popen(
        [TENGE, "qr", "show", str(payload), "--columns", "80", "--rows", "24", "--frame-ms", "50"],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=known | {"TERM": "xterm-256color"},
        # where the tests themselves run in the background, an interruption would be ignored
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),  # noqa: PLW1509
    )
    os.close(theirs)
    count = len(frames.split(MESSAGE, 154))
    seen = b""
    deadline_s = time.monotonic() + 30
    while seen.count(b"\x1b[H\x1b[38") < count + 2 and time.monotonic() < deadline_s:
        seen += os.read(ours, 65_536)  # may end in the middle of a character
    process.send_signal(signal.SIGINT)
    try:
        assert process.wait(20) == 0
    finally:
        process.kill()
        process.wait()
    os.close(ours)
    text = codecs.getincrementaldecoder("utf-8")().decode(seen).replace("\r\n", "\n")
    shots = re.findall(r"\x1b\[H(\x1b\[38.*?)\n\d+ of", text, re.DOTALL)
    assert images.read_message(map(photograph, shots)).message == MESSAGE


# --- read --------------------------------------------------------------------------------------


@pytest.fixture
def shots(tenge: Run, payload: Path, tmp_path: Path) -> list[Path]:
    """The payload's frames, a picture each, last one first."""
    printed = pictures(tenge("qr", "show", payload, "--columns", 80, "--rows", 24).out)
    paths = [tmp_path / f"shot-{n}.png" for n in range(len(printed))]
    for path, picture in zip(paths, printed, strict=True):
        path.write_bytes(photograph(picture))
    return paths[::-1]


def test_frames_are_read_in_any_order(tenge: Run, shots: list[Path]) -> None:
    facts = tenge("qr", "read", *shots, shots[0], "--json").json()
    assert from_text(facts["payload"]) == MESSAGE
    assert (facts["codes"], facts["foreign"], facts["bytes"]) == (len(shots) + 1, 0, len(MESSAGE))
    assert tenge("qr", "read", *shots).out == to_text(MESSAGE) + "\n"


def test_a_payload_file_is_written(tenge: Run, shots: list[Path], payload: Path, tmp_path: Path) -> None:
    done = tenge("qr", "read", *shots, "--out", tmp_path / "got.kzt")
    assert done.status == 0, done.err
    assert (tmp_path / "got.kzt").read_bytes() == payload.read_bytes()


def test_clipboard_text_is_printed(tenge: Run, shots: list[Path]) -> None:
    done = tenge("qr", "read", *shots, "--clipboard")
    assert from_clipboard(done.out) == MESSAGE


def test_other_codes_are_mentioned(tenge: Run, shots: list[Path], tmp_path: Path) -> None:
    other = tmp_path / "other.kzt"
    FileCarrier(other).send(b"another")
    tenge("qr", "show", other, "--png", tmp_path / "other.png")
    done = tenge("qr", "read", *shots, tmp_path / "other.png")
    assert (done.out, done.err) == (to_text(MESSAGE) + "\n", "left alone: 1 other codes\n")


def test_missing_frames_are_named(tenge: Run, shots: list[Path]) -> None:
    done = tenge("qr", "read", *shots[1:], "--json")
    assert (done.status, done.code()) == (1, "unreachable")
    assert done.json()["error"]["missing"] == str(len(shots))


# --- refusals ----------------------------------------------------------------------------------


def test_what_cannot_be_shown_or_read_is_refused_with_a_code(tenge: Run, payload: Path, tmp_path: Path) -> None:
    (tmp_path / "prose.txt").write_text("Dear Aigerim")
    (tmp_path / "long.txt").write_text(" " * (MAX_CLIPBOARD_CHARS + 1))
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    for code, arguments in (
        ("io_error", ("show", tmp_path / "none.kzt")),
        ("malformed", ("show", tmp_path / "prose.txt")),
        ("too_large", ("show", tmp_path / "long.txt")),
        ("malformed", ("show", tmp_path / "binary")),
        ("too_large", ("show", payload, "--max-version", 1)),
        ("io_error", ("show", payload, "--png", tmp_path / "none" / "code.png")),
        ("io_error", ("show", payload, "--svg", tmp_path / "none" / "code.svg")),
        ("io_error", ("read", tmp_path / "none.png")),
        ("malformed", ("read", payload)),
    ):
        done = tenge("qr", *arguments, "--json")
        assert (done.status, done.code()) == (1, code), arguments


def test_a_screen_that_is_too_small_is_named_as_the_reason(tenge: Run, payload: Path) -> None:
    done = tenge("qr", "show", payload, "--columns", 20, "--rows", 100)
    assert done.status == 1
    assert done.err.startswith("too_large: no code fits the screen")
