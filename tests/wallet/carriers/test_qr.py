"""QR codes on a screen and in files: what is shown can be read; pictures of strangers: what is hostile is bounded."""

from __future__ import annotations

import io
import random
import re
import struct
import subprocess
import sys
import warnings
import xml.etree.ElementTree as ET
import zlib
from collections.abc import Callable
from itertools import islice
from pathlib import Path

import pytest
import segno
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from cbdc.errors import FileTrouble, FormError, Malformed, TengeError, TooLarge, Unreachable
from cbdc.limits import MAX_FRAMES, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from tests.support import seed
from tests.wallet.carriers.screen import BLACK, WHITE, photograph
from wallet.carriers import frames, images, qr
from wallet.carriers.qr import CAPACITY_CHARS, MAX_VERSION, Ink
from wallet.protocol import to_text

MESSAGE = b"".join(seed(f"message {n}") for n in range(20))
OTHER = b"".join(seed(f"other {n}") for n in range(20))
ONE = qr.encode(MESSAGE)
SEVERAL = qr.encode(MESSAGE, 8)


def as_bytes(image: Image.Image, form: str = "PNG", **options: object) -> bytes:
    target = io.BytesIO()
    image.save(target, format=form, **options)  # type: ignore[arg-type]
    return target.getvalue()


def picture(code: qr.Code) -> Image.Image:
    return Image.open(io.BytesIO(qr.png([code])))


# --- versions ----------------------------------------------------------------------------------


@pytest.mark.parametrize("version", range(1, MAX_VERSION + 1))
def test_a_version_holds_what_the_table_says(version: int) -> None:
    chars = CAPACITY_CHARS[version]
    segno.make("A" * chars, error="l", version=version, mode="alphanumeric", boost_error=False)
    with pytest.raises(segno.DataOverflowError):
        segno.make("A" * (chars + 1), error="l", version=version, mode="alphanumeric", boost_error=False)


def test_the_lowest_version_that_holds_it_is_chosen() -> None:
    (code,) = ONE
    assert CAPACITY_CHARS[code.version - 1] < len(code.text) <= CAPACITY_CHARS[code.version]
    assert (code.symbol.version, code.symbol.error, code.symbol.mode) == (code.version, "L", "alphanumeric")
    assert len(code.modules) == 17 + 4 * code.version + 2 * qr.QUIET_MODULES


def test_frames_are_codes_of_one_size() -> None:
    assert len(SEVERAL) > 2
    assert {code.version for code in SEVERAL} == {8}
    assert tuple(code.text for code in SEVERAL) == frames.split(MESSAGE, CAPACITY_CHARS[8])


@pytest.mark.parametrize(
    ("columns", "rows", "version"),
    [(80, 24, 5), (80, 23, 5), (28, 15, 0), (29, 14, 0), (29, 15, 1), (200, 60, 23), (1000, 1000, 40), (0, 0, 0)],
)
def test_what_fits_a_screen(columns: int, rows: int, version: int) -> None:
    assert qr.fits(columns, rows) == version


@given(st.integers(0, 120), st.integers(0, 60))
def test_what_fits_really_fits(columns: int, rows: int) -> None:
    version = qr.fits(columns, rows)
    if version < 2:
        return
    lines = qr.terminal(qr._code("KZT1:", version), Ink.DARK_SCREEN).split("\n")
    assert len(lines) <= rows
    assert {len(line) for line in lines} <= set(range(columns + 1))


@pytest.mark.parametrize(("version", "error"), [(0, TooLarge), (1, TooLarge), (-1, Malformed), (41, Malformed)])
def test_versions_that_do_not_do(version: int, error: type[TengeError]) -> None:
    with pytest.raises(error):
        qr.encode(MESSAGE, version)


# --- what is shown can be read -----------------------------------------------------------------

SCREENS = {
    "colour on a dark screen": (Ink.COLOUR, WHITE, BLACK),
    "colour on a light screen": (Ink.COLOUR, BLACK, WHITE),
    "letters on a dark screen": (Ink.DARK_SCREEN, WHITE, BLACK),
    "letters on a light screen": (Ink.LIGHT_SCREEN, BLACK, WHITE),
}


@pytest.mark.parametrize(("ink", "own_ink", "own_paper"), SCREENS.values(), ids=SCREENS)
def test_a_camera_reads_the_terminal(ink: Ink, own_ink: tuple[int, int, int], own_paper: tuple[int, int, int]) -> None:
    shots = [photograph(qr.terminal(code, ink), own_ink, own_paper) for code in SEVERAL]
    assert images.read_message(shots) == images.Reading(MESSAGE, len(SEVERAL), 0)
    for shot in shots:  # dark on light with a quiet zone: also for readers that insist on it
        corner = Image.open(io.BytesIO(shot)).getpixel((0, 0))
        assert corner == WHITE


@pytest.mark.parametrize("version", [5, 10, 23, 40])
def test_the_largest_codes_are_readable_too(version: int) -> None:
    message = random.Random(version).randbytes(CAPACITY_CHARS[version] // 3 * 2 - 20)
    (code,) = qr.encode(message)
    assert code.version == version
    assert images.read_message([photograph(qr.terminal(code))]).message == message
    assert images.read_message([qr.png([code])]).message == message


def test_an_animation_goes_round() -> None:
    turns = list(islice(qr.animation(SEVERAL, Ink.DARK_SCREEN), 2 * len(SEVERAL)))
    assert turns[: len(SEVERAL)] == turns[len(SEVERAL) :]
    assert len({(len(turn.split("\n")), len(turn.split("\n")[0])) for turn in turns}) == 1
    late = turns[2 : 2 + len(SEVERAL)]
    assert images.read_message(photograph(turn) for turn in late).message == MESSAGE


def test_svg_draws_the_same_modules() -> None:
    (code,) = ONE
    root = ET.fromstring(qr.svg(code))
    assert root.tag == "{http://www.w3.org/2000/svg}svg"
    shapes = root.findall(".//{http://www.w3.org/2000/svg}path")
    dark = next(shape for shape in shapes if "stroke" in shape.attrib)
    assert images.read_message([as_bytes(drawn(dark.attrib["d"], len(code.modules)))]).message == MESSAGE
    assert any(shape.get("fill") in {"#fff", "white"} for shape in shapes)


def drawn(path: str, side: int) -> Image.Image:
    """The one kind of path in such an SVG: move, relative move, and horizontal strokes one module high."""
    image = Image.new("L", (side, side), 255)
    x, y = 0.0, 0.0
    for command, numbers in re.findall(r"([Mmh])([-0-9. ]+)", path):
        values = [float(number) for number in numbers.split()]
        if command == "h":
            image.paste(0, (int(x), int(y), int(x + values[0]), int(y) + 1))
            x += values[0]
        else:
            dx, dy = values
            x, y = (dx, dy) if command == "M" else (x + dx, y + dy)
    return image.resize((side * 6, side * 6), Image.Resampling.NEAREST)


def test_a_png_on_disk_is_read(tmp_path: Path) -> None:
    path = tmp_path / "payment.png"
    path.write_bytes(qr.png(ONE))
    assert images.read_message([images.read_file(path)]).message == MESSAGE


def test_an_animated_png_has_every_frame_and_its_time() -> None:
    data = qr.png(SEVERAL, frame_ms=250)
    with Image.open(io.BytesIO(data)) as image:
        assert image.n_frames == len(SEVERAL)
        assert image.info["duration"] == 250
    assert images.read_codes(data) == tuple(code.text for code in SEVERAL)


# --- pictures as they come ---------------------------------------------------------------------


def sheet(*codes: qr.Code) -> Image.Image:
    """Several codes in one picture."""
    parts = [picture(code) for code in codes]
    whole = Image.new("L", (sum(part.width for part in parts), parts[0].height), 255)
    for number, part in enumerate(parts):
        whole.paste(part, (number * part.width, 0))
    return whole


TAKEN: dict[str, Callable[[], bytes]] = {
    "JPEG": lambda: as_bytes(picture(ONE[0]), "JPEG", quality=60),
    "turned": lambda: as_bytes(picture(ONE[0]).rotate(90)),
    "askew": lambda: as_bytes(
        picture(ONE[0]).rotate(11, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)
    ),
    "upside down": lambda: as_bytes(picture(ONE[0]).rotate(180)),
    "light on dark": lambda: as_bytes(picture(ONE[0]).point(lambda grey: 255 - grey)),
    "on nothing": lambda: as_bytes(on_nothing(picture(ONE[0]))),
    "with a palette": lambda: as_bytes(picture(ONE[0]).convert("P")),
    "black and white": lambda: as_bytes(picture(ONE[0]).convert("1")),
    "in colour": lambda: as_bytes(picture(ONE[0]).convert("RGB")),
    "pale": lambda: as_bytes(picture(ONE[0]).point(lambda grey: 120 + grey // 4)),
}


def askew(image: Image.Image) -> Image.Image:
    return image.rotate(11, expand=True, fillcolor=255, resample=Image.Resampling.BICUBIC)


def on_nothing(image: Image.Image) -> Image.Image:
    """Black modules on a transparent ground."""
    whole = Image.new("RGBA", image.size, (0, 0, 0, 0))
    whole.putalpha(image.point(lambda grey: 255 - grey))
    return whole


@pytest.mark.parametrize("made", TAKEN.values(), ids=TAKEN)
def test_pictures_as_people_take_them(made: Callable[[], bytes]) -> None:
    assert images.read_message([made()]).message == MESSAGE


def test_all_codes_of_a_picture_and_of_several_pictures() -> None:
    shots = [as_bytes(sheet(*SEVERAL[2:])), as_bytes(sheet(*SEVERAL[:3]), "JPEG")]
    assert images.read_message(shots).message == MESSAGE


def test_other_codes_are_left_alone_and_counted() -> None:
    poster = as_bytes(sheet(qr._code("HTTPS://EXAMPLE.KZ/", ONE[0].version), *ONE))
    assert images.read_message([poster, qr.png(qr.encode(OTHER))]) == images.Reading(MESSAGE, 1, 2)


def test_missing_frames_are_named() -> None:
    with pytest.raises(Unreachable) as refused:
        images.read_message([qr.png([code]) for number, code in enumerate(SEVERAL, 1) if number not in {1, 3}])
    assert refused.value.values["missing"] == "1, 3"


def test_no_payload_is_unreachable() -> None:
    for shots in ([], [as_bytes(Image.new("L", (99, 99), 255))]):
        with pytest.raises(Unreachable):
            images.read_message(shots)


def test_a_damaged_code_of_ours_is_refused() -> None:
    text = to_text(MESSAGE)
    changed = qr._code(text[:-1] + ("A" if text[-1] != "A" else "B"), ONE[0].version)
    with pytest.raises(Malformed):
        images.read_message([qr.png([changed])])


# --- hostile pictures --------------------------------------------------------------------------


def chunk(kind: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))


def hollow(width: int, height: int, *more: bytes, colours: int = 0) -> bytes:
    """A PNG of these measures in a few bytes; ``colours``: 0 for grey, 3 for a palette."""
    head = struct.pack(">IIBBBBB", width, height, 8, colours, 0, 0, 0)
    body = chunk(b"IDAT", zlib.compress(bytes(1000)))
    return b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", head) + b"".join(more) + body + chunk(b"IEND", b"")


def frames_announced(count: int) -> bytes:
    return chunk(b"acTL", struct.pack(">II", count, 0))


BOMBS = {
    "above our pixels": hollow(10_000, MAX_IMAGE_PIXELS // 10_000 + 1),
    "above Pillow's warning": hollow(10_000, 9_500),
    "above Pillow's error": hollow(100_000, 100_000),
    "as large as can be said": hollow(2**31 - 1, 2**31 - 1),
    "very wide": hollow(2**31 - 1, 1),
    "too many frames": hollow(8, 8, frames_announced(MAX_FRAMES + 1)),
    "too many pixels in frames": hollow(5_000, 5_000, frames_announced(9)),
    "too large a file": qr.png(ONE) + bytes(MAX_IMAGE_BYTES),
}


@pytest.mark.parametrize("data", BOMBS.values(), ids=BOMBS)
def test_bombs_are_too_large_before_they_are_unpacked(data: bytes) -> None:
    with warnings.catch_warnings(record=True) as heard, pytest.raises(TooLarge):
        images.read_codes(data)
    assert heard == []


def test_a_bomb_does_not_take_memory() -> None:
    """In a program of its own that may have no more than 700 MB at all."""
    code = (
        "import resource, sys; from wallet.carriers import images; from cbdc.errors import TooLarge\n"
        "resource.setrlimit(resource.RLIMIT_AS, (700 << 20,) * 2)\n"
        "try: images.read_codes(sys.stdin.buffer.read())\n"
        "except TooLarge: sys.exit(7)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], input=BOMBS["above Pillow's error"], timeout=60, check=False)
    assert done.returncode == 7


def test_a_jpeg_s_second_picture_is_bounded_by_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    """Phones append a second picture to a JPEG (MPO), with measures of its own."""
    small, large = Image.new("L", (20, 20), 255), Image.new("L", (200, 200), 255)
    data = as_bytes(small, "MPO", save_all=True, append_images=[large])
    assert images.read_codes(data) == ()
    monkeypatch.setattr(images, "MAX_IMAGE_PIXELS", 10_000)
    with pytest.raises(TooLarge):
        images.read_codes(data)


GIF = as_bytes(Image.new("L", (9, 9)), "GIF")
BROKEN = {
    "nothing": b"",
    "text": b"KZT1:",
    "another format": GIF,
    "head only": qr.png(ONE)[:40],
    "cut": qr.png(ONE)[:-200],
    "text that inflates": hollow(9, 9, chunk(b"zTXt", b"a\0\0" + zlib.compress(bytes(90_000_000)))),
    "half a JPEG": as_bytes(picture(ONE[0]), "JPEG")[:3000],
    "no pixels": hollow(0, 0),
    "a palette that is not there": hollow(9, 9, colours=3),  # an AssertionError of Pillow's
}


@pytest.mark.parametrize("data", BROKEN.values(), ids=BROKEN)
def test_broken_pictures_are_malformed(data: bytes) -> None:
    with pytest.raises(Malformed):
        images.read_codes(data)


@pytest.mark.parametrize("whole", [qr.png(qr.encode(b"x")), qr.png(SEVERAL), as_bytes(picture(ONE[0]), "JPEG")])
@given(data=st.data())
def test_no_damage_makes_the_reader_stumble(whole: bytes, data: st.DataObject) -> None:
    changed = bytearray(whole)
    for _ in range(data.draw(st.integers(1, 4))):
        changed[data.draw(st.integers(0, min(len(whole), 400) - 1))] = data.draw(st.integers(0, 255))
    try:
        assert all(isinstance(text, str) for text in images.read_codes(bytes(changed)))
    except FormError as error:
        assert error.code in {"malformed", "too_large"}


def test_files_that_are_not_there_or_too_large(tmp_path: Path) -> None:
    with pytest.raises(FileTrouble):
        images.read_file(tmp_path / "none.png")
    with pytest.raises(FileTrouble):
        images.read_file(tmp_path)
    (tmp_path / "large.png").write_bytes(bytes(MAX_IMAGE_BYTES + 1))
    with pytest.raises(TooLarge):
        images.read_file(tmp_path / "large.png")
