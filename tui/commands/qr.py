"""`tenge qr`: show a payload as QR codes, on the screen or in files, and read it back from pictures."""

from __future__ import annotations

import shutil
import sys
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Annotated, Final

import typer

from cbdc.errors import FileTrouble, TooLarge
from tui.output import Json, err, out, print_json, refusals
from tui.payloads import read_payload
from wallet.carriers import images, qr
from wallet.carriers.file import FileCarrier
from wallet.carriers.qr import Code, Ink
from wallet.carriers.text import to_clipboard
from wallet.protocol import to_text

app = typer.Typer(no_args_is_help=True, help="Show a payload as QR codes, and read it back from pictures.")

_HOME: Final = "\x1b[H"


@app.command()
def show(
    source: Annotated[str, typer.Argument(metavar="FILE|-", help="A payload or pasted text; - for standard input.")],
    *,
    svg: Annotated[Path | None, typer.Option(help="Write SVG here; several codes: NAME-1.svg and so on.")] = None,
    png: Annotated[Path | None, typer.Option(help="Write PNG here; several codes: an animation.")] = None,
    max_version: Annotated[int, typer.Option(min=1, max=qr.MAX_VERSION, help="No code above this version.")] = 40,
    columns: Annotated[int | None, typer.Option(min=1, help="The screen's width; default: as it is.")] = None,
    rows: Annotated[int | None, typer.Option(min=1, help="The screen's height; default: as it is.")] = None,
    ink: Annotated[Ink | None, typer.Option(help="Colours, or plain letters on a dark or light screen.")] = None,
    frame_ms: Annotated[int, typer.Option(min=50, max=10_000, help="How long a frame stays.")] = qr.FRAME_MS,
    as_json: Json = False,
) -> None:
    """Show a payload as one QR code, or as numbered frames if the screen is too small for one.

    On a terminal the frames take turns until Ctrl-C; elsewhere each is printed once.

    Examples:
        tenge qr show invoice.kzt
        tenge qr show payment.kzt --png payment.png
        xclip -o | tenge qr show - --max-version 25
    """
    with refusals(as_json):
        message = read_payload(source)
        if svg or png or as_json:
            codes = qr.encode(message, max_version)
            written = _write_svg(svg, codes) + _write_png(png, codes, frame_ms)
            facts = {"ok": True, "version": codes[0].version, "codes": [code.text for code in codes]}
            if as_json:
                print_json(facts | {"written": [str(path) for path in written]})
            else:
                out.print(f"{_counted(codes)} in {', '.join(map(str, written))}", soft_wrap=True)
            return
        screen = shutil.get_terminal_size()
        # one row is the prompt's, or the number of the frame
        version = qr.fits(columns or screen.columns, (rows or screen.lines) - 1)
        if not version:
            raise TooLarge("no code fits the screen: make it larger, or write a picture with --png")
        _present(qr.encode(message, min(version, max_version)), ink, frame_ms)


@app.command()
def read(
    pictures: Annotated[list[Path], typer.Argument(metavar="IMAGE...", help="PNG or JPEG files, in any order.")],
    to: Annotated[Path | None, typer.Option("--out", help="A payload file to write; default: print it.")] = None,
    clipboard: Annotated[bool, typer.Option(help="Print text for the clipboard instead.")] = False,
    as_json: Json = False,
) -> None:
    """Read a payload from pictures of its QR code, or of all its frames: several in one picture, or animated.

    Examples:
        tenge qr read photo.jpg
        tenge qr read frame-*.png --out payment.kzt
        tenge qr read payment.png --clipboard | xclip -i
    """
    with refusals(as_json):
        found = images.read_message(map(images.read_file, pictures))
        if to:
            _save(to, lambda: FileCarrier(to).send(found.message))
        text = to_clipboard(found.message) if clipboard else to_text(found.message)
        if as_json:
            facts = {"ok": True, "codes": found.codes, "foreign": found.foreign, "bytes": len(found.message)}
            print_json(facts | {"payload": text})
        elif to:
            out.print(f"{len(found.message)} bytes from {found.codes} codes in {to}", soft_wrap=True)
        else:
            sys.stdout.write(text + "\n")
        if found.foreign and not as_json:
            err.print(f"left alone: {found.foreign} other codes")


# --- where the payload comes from and goes -----------------------------------------------------


def _save(path: Path, write: Callable[[], object]) -> Path:
    try:
        write()
    except OSError as error:
        reason = error.strerror or type(error).__name__
        raise FileTrouble("the file cannot be written", path=path, reason=reason) from None
    return path


def _write_svg(path: Path | None, codes: Sequence[Code]) -> list[Path]:
    if path is None:
        return []
    paths = [path] if len(codes) == 1 else [path.with_stem(f"{path.stem}-{n}") for n in range(1, len(codes) + 1)]
    return [
        _save(each, partial(each.write_text, qr.svg(code), encoding="utf-8"))
        for each, code in zip(paths, codes, strict=True)
    ]


def _write_png(path: Path | None, codes: Sequence[Code], frame_ms: int) -> list[Path]:
    return [_save(path, partial(path.write_bytes, qr.png(codes, frame_ms)))] if path else []


# --- the screen --------------------------------------------------------------------------------


def _present(codes: Sequence[Code], ink: Ink | None, frame_ms: int) -> None:
    terminal = out.is_terminal
    ink = ink or (Ink.COLOUR if terminal and not out.no_color else Ink.DARK_SCREEN)
    if terminal and len(codes) > 1:
        _animate(codes, ink, frame_ms)
        return
    for number, code in enumerate(codes, 1):
        sys.stdout.write(qr.terminal(code, ink) + "\n")
        if len(codes) > 1:
            sys.stdout.write(f"{number} of {len(codes)}\n")


def _animate(codes: Sequence[Code], ink: Ink, frame_ms: int) -> None:
    with out.screen(hide_cursor=True), suppress(KeyboardInterrupt):
        for turn, picture in enumerate(qr.animation(codes, ink)):
            sys.stdout.write(f"{_HOME}{picture}\n{turn % len(codes) + 1} of {len(codes)}, Ctrl-C ends ")
            sys.stdout.flush()
            time.sleep(frame_ms / 1000)


def _counted(codes: Sequence[Code]) -> str:
    what = "1 code" if len(codes) == 1 else f"{len(codes)} frames"
    return f"{what} of version {codes[0].version}"
