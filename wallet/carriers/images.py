"""QR codes out of PNG and JPEG files: every code of every picture, several frames from several files.

An image file is a stranger's: its size, its pixels and its frames are bounded before anything is unpacked, only two
formats are looked at, and only QR codes.
"""

from __future__ import annotations

import io
import warnings
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import zxingcpp
from PIL import Image, ImageSequence

from cbdc.errors import FileTrouble, FormError, Malformed, TooLarge, Unreachable
from cbdc.limits import MAX_ANIMATION_PIXELS, MAX_FRAMES, MAX_IMAGE_BYTES, MAX_IMAGE_PIXELS
from wallet.carriers.frames import FRAME_PREFIX, Added, Collector
from wallet.protocol import PREFIX

FORMATS: Final = ("PNG", "JPEG")


@dataclass(frozen=True, slots=True)
class Reading:
    """What was in a heap of pictures: the message, how many codes of it there were, and how many of something else."""

    message: bytes
    codes: int
    foreign: int


def read_file(path: Path) -> bytes:
    """The bytes of an image file.

    Raises:
        FileTrouble: there is no such file, or it cannot be read. TooLarge: above `MAX_IMAGE_BYTES`.
    """
    try:
        with path.open("rb") as file:
            data = file.read(MAX_IMAGE_BYTES + 1)
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FileTrouble("the picture cannot be read", path=path, reason=reason) from None
    if len(data) > MAX_IMAGE_BYTES:
        raise TooLarge("the picture's file is too large", path=path, limit=MAX_IMAGE_BYTES)
    return data


def read_codes(data: bytes) -> tuple[str, ...]:
    """The texts of all QR codes in an image file, an animation's frames one after the other.

    Raises:
        TooLarge: above a bound of `cbdc.limits`. Malformed: not a PNG or JPEG, or damaged.
    """
    if len(data) > MAX_IMAGE_BYTES:
        raise TooLarge("the picture's file is too large", found=len(data), limit=MAX_IMAGE_BYTES)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # what Pillow only remarks about is no concern of ours
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            with Image.open(io.BytesIO(data), formats=FORMATS) as image:
                _bound(image)
                return tuple(text for frame in ImageSequence.Iterator(image) for text in _codes_of(frame))
    except (Image.DecompressionBombWarning, Image.DecompressionBombError):
        raise TooLarge("the picture has too many pixels", limit=MAX_IMAGE_PIXELS) from None
    except FormError:
        raise
    except Exception as error:  # noqa: BLE001 - on damaged files Pillow raises of every kind, AssertionError included
        raise Malformed("not a picture, or damaged", formats=", ".join(FORMATS), reason=type(error).__name__) from None


def _bound(image: Image.Image) -> None:
    pixels, count = image.width * image.height, getattr(image, "n_frames", 1)
    if pixels > MAX_IMAGE_PIXELS:
        raise TooLarge("the picture has too many pixels", found=pixels, limit=MAX_IMAGE_PIXELS)
    if count > MAX_FRAMES:
        raise TooLarge("the animation has too many frames", found=count, limit=MAX_FRAMES)
    if pixels * count > MAX_ANIMATION_PIXELS:
        raise TooLarge("the animation has too many pixels", found=pixels * count, limit=MAX_ANIMATION_PIXELS)


def _codes_of(image: Image.Image) -> list[str]:
    if image.width * image.height > MAX_IMAGE_PIXELS:  # a JPEG's second picture has a size of its own
        raise TooLarge("a further picture has too many pixels", limit=MAX_IMAGE_PIXELS)
    if image.has_transparency_data:  # what shows through is paper: dark modules on nothing would be dark on dark
        image = _on_white(image if image.mode == "RGBA" else image.convert("RGBA"))
    formats = zxingcpp.BarcodeFormats(zxingcpp.BarcodeFormat.QRCode)
    found = zxingcpp.read_barcodes(image.convert("L"), formats=formats, text_mode=zxingcpp.TextMode.Plain)
    return [code.text for code in found]


def _on_white(image: Image.Image) -> Image.Image:
    paper = Image.new("L", image.size, 255)
    paper.paste(image.convert("L"), mask=image.getchannel("A"))
    return paper


def read_message(pictures: Iterable[bytes], collector: Collector | None = None) -> Reading:
    """The one message in these image files: its only code, or all its frames, in any order and repeated at will.

    Codes of other programs and of other payloads are left alone and counted. Damaged codes of ours are refused.

    Raises:
        Unreachable: no payload, or frames are missing (``missing``). FormError: a picture or a code is not sound.
    """
    collector = collector or Collector()
    codes = foreign = 0
    for text in (text for picture in pictures for text in read_codes(picture)):
        if text.startswith((PREFIX, FRAME_PREFIX)) and collector.add(text) is not Added.FOREIGN:
            codes += 1
        else:
            foreign += 1
    if not codes:
        raise Unreachable("no payload in the pictures", foreign=foreign)
    return Reading(collector.message(), codes, foreign)
