"""Checkpoints as C2SP signed notes."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable

import pytest

from cbdc.errors import BadSignature, FormError, Malformed, TengeError, TooLarge
from cbdc.formats.ed25519 import SigningKey
from cbdc.log import checkpoint
from cbdc.log.checkpoint import Checkpoint, origin_of, sign, verifier_key, verify
from tests.support import seed

OPERATOR, WITNESS = SigningKey(seed("operator")), SigningKey(seed("witness"))
ORIGIN = "tenge/test"
SIGNED = Checkpoint(ORIGIN, 7, bytes(range(32)), bytes(range(32, 64)))
NOTE = sign(SIGNED, OPERATOR)


def test_the_note_is_spelled_as_c2sp_says() -> None:
    text, signature = NOTE.split("\n\n")
    root, state = (base64.b64encode(data).decode() for data in (SIGNED.root, SIGNED.state_root))
    assert text == f"{ORIGIN}\n7\n{root}\nstate {state}"
    dash, name, blob = signature.removesuffix("\n").split(" ")
    assert (dash, name) == ("—", ORIGIN)
    key_hash = hashlib.sha256(ORIGIN.encode() + b"\n\x01" + OPERATOR.public).digest()[:4]
    assert base64.b64decode(blob) == key_hash + OPERATOR.sign(text.encode() + b"\n")


def test_the_vkey_is_what_log_tools_take() -> None:
    name, key_hash, data = verifier_key(ORIGIN, OPERATOR.public).split("+", 2)
    assert (name, bytes.fromhex(key_hash)) == (ORIGIN, checkpoint.key_id(ORIGIN, OPERATOR.public))
    assert base64.b64decode(data) == b"\x01" + OPERATOR.public


def test_verify_returns_what_was_signed() -> None:
    assert verify(NOTE, ORIGIN, OPERATOR.public) == SIGNED


def witness_line(blob: bytes = bytes(76), name: str = "witness.kz") -> str:
    return f"— {name} {base64.b64encode(blob).decode()}\n"


@pytest.mark.parametrize(
    "note",
    [
        NOTE + witness_line(),
        NOTE.replace("\n\n", "\n\n" + witness_line()),
        NOTE + witness_line(name=ORIGIN),
        NOTE + witness_line() * 3,
        NOTE + NOTE.split("\n\n")[1],
    ],
    ids=["after", "before", "another key of the same name", "many", "the operator's own again"],
)
def test_other_signatures_are_ignored(note: str) -> None:
    assert verify(note, ORIGIN, OPERATOR.public) == SIGNED


@pytest.mark.parametrize("name", ["tenge/other", "", "TENGE/TEST", ORIGIN + " "])
def test_another_origin_is_refused(name: str) -> None:
    with pytest.raises(Malformed):
        verify(NOTE, name, OPERATOR.public)


def test_another_key_is_refused() -> None:
    with pytest.raises(BadSignature, match="did not sign"):
        verify(NOTE, ORIGIN, WITNESS.public)


def line(index: int, text: str) -> str:
    """The note with another line, properly signed again."""
    lines = SIGNED.text().split("\n")
    lines[index] = text
    return resigned("\n".join(lines))


def resigned(text: str) -> str:
    blob = checkpoint.key_id(ORIGIN, OPERATOR.public) + OPERATOR.sign(text.encode())
    return f"{text}\n— {ORIGIN} {base64.b64encode(blob).decode()}\n"


def b64(data: bytes) -> str:
    return base64.b64encode(data).decode()


REFUSED: dict[str, tuple[type[FormError], str]] = {
    "nothing": (Malformed, ""),
    "no signature": (Malformed, SIGNED.text()),
    "no last newline": (Malformed, NOTE[:-1]),
    "extra line": (Malformed, resigned(SIGNED.text() + "extra\n")),
    "no state line": (Malformed, resigned("\n".join(SIGNED.text().split("\n")[:3]) + "\n")),
    "size with zero": (Malformed, line(1, "07")),
    "size with sign": (Malformed, line(1, "+7")),
    "size in other digits": (Malformed, line(1, "٧")),
    "size too long": (Malformed, line(1, "1" * 19)),
    "size empty": (Malformed, line(1, "")),
    "short root": (Malformed, line(2, b64(bytes(31)))),
    "long root": (Malformed, line(2, b64(bytes(33)))),
    "root not base64": (Malformed, line(2, "!" * 44)),
    "root with loose bits": (Malformed, line(2, b64(bytes(32))[:-2] + "B=")),
    "short state": (Malformed, line(3, "state " + b64(bytes(31)))),
    "unnamed state": (Malformed, line(3, "stage " + b64(bytes(32)))),
    "junk before": (Malformed, NOTE.replace("\n\n", "\n\njunk\n")),
    "empty line before": (Malformed, NOTE.replace("\n\n", "\n\n\n")),
    "signature without dash": (Malformed, NOTE.replace("— ", "- ")),
    "signature without name": (Malformed, NOTE.replace(f"— {ORIGIN} ", "—  ")),
    "signature without blob": (Malformed, NOTE.split("\n\n")[0] + f"\n\n— {ORIGIN}\n"),
    "signature not base64": (Malformed, NOTE.split("\n\n")[0] + f"\n\n— {ORIGIN} !!!\n"),
    "junk after": (Malformed, NOTE + "junk\n"),
    "empty line after": (Malformed, NOTE + "\n"),
    "a witness without name": (Malformed, NOTE + witness_line(name="")),
    "a witness not base64": (Malformed, NOTE + "— witness.kz !!!\n"),
    "signature with loose bits": (Malformed, NOTE.replace("\n\n", "\n\n" + witness_line().replace("AA==", "AB=="))),
    "too long": (TooLarge, NOTE + witness_line() * 1000),
}


@pytest.mark.parametrize("case", REFUSED)
def test_refused(case: str) -> None:
    error, note = REFUSED[case]
    with pytest.raises(TengeError) as caught:
        verify(note, ORIGIN, OPERATOR.public)
    assert type(caught.value) is error


@pytest.mark.parametrize(
    "forge",
    [
        lambda: NOTE.replace("\n7\n", "\n8\n"),
        lambda: NOTE.split("\n\n")[0] + "\n\n" + witness_line(),
        lambda: (
            NOTE.split("\n\n")[0]
            + "\n\n"
            + witness_line(checkpoint.key_id(ORIGIN, OPERATOR.public) + bytes(64), ORIGIN)
        ),
        lambda: NOTE.split("\n\n")[0] + "\n\n" + witness_line(checkpoint.key_id(ORIGIN, OPERATOR.public), ORIGIN),
        lambda: NOTE + witness_line(checkpoint.key_id(ORIGIN, OPERATOR.public) + bytes(64), ORIGIN),
    ],
    ids=["another size", "witness only", "null signature", "empty signature", "a second one, null"],
)
def test_forged(forge: Callable[[], str]) -> None:
    with pytest.raises(BadSignature):
        verify(forge(), ORIGIN, OPERATOR.public)


@pytest.mark.parametrize(
    ("name", "origin"),
    [("test", "tenge/test"), ("My  bank + co\n", "tenge/My-bank---co"), ("x" * 60, "tenge/" + "x" * 48)],
)
def test_an_origin_has_no_spaces_and_no_plus(name: str, origin: str) -> None:
    assert origin_of(name) == origin
