"""Challenges depend on every byte that was said, on its label and on its place."""

from __future__ import annotations

import hashlib
from collections.abc import Callable

import pytest

from cbdc.errors import ProofInvalid
from cbdc.privacy import transcript as module
from cbdc.privacy.group import ONE, ORDER, ZERO, hash_to_group, scalar_of
from cbdc.privacy.transcript import Context, Transcript


def said(*parts: tuple[str, bytes], protocol: str = "test") -> Transcript:
    transcript = Transcript(protocol)
    for label, data in parts:
        transcript.append(label, data)
    return transcript


DIFFERENT = {
    "nothing": said(),
    "another protocol": said(protocol="tess"),
    "an empty part": said(("a", b"")),
    "a part": said(("a", b"bc")),
    "the label takes a byte of the data": said(("ab", b"c")),
    "another label": said(("b", b"bc")),
    "two parts": said(("a", b"b"), ("a", b"c")),
    "two parts, turned round": said(("a", b"c"), ("a", b"b")),
    "a part that looks like a frame": said(("a", b"b\0\1a\0\0\0\0\0\0\0\1c")),
}


def test_different_conversations_have_different_challenges_and_fingerprints() -> None:
    assert len({each.fingerprint() for each in DIFFERENT.values()}) == len(DIFFERENT)
    assert len({int(each.challenge("x")) for each in DIFFERENT.values()}) == len(DIFFERENT)


def test_the_same_conversation_has_the_same_challenges() -> None:
    assert said(("a", b"b")).challenge("x") == said(("a", b"b")).challenge("x")


def test_challenges_differ_from_one_another_by_label_and_order() -> None:
    transcript = said()
    assert transcript.challenge("x") != transcript.challenge("x")
    assert said().challenge("x") != said().challenge("y")


def test_asking_for_a_challenge_is_part_of_the_conversation() -> None:
    asked, other = said(), said()
    asked.challenge("x")
    other.append("x", b"")
    assert len({asked.fingerprint(), other.fingerprint(), said().fingerprint()}) == 3


def test_points_and_scalars_are_bound_by_their_bytes() -> None:
    first, second = said(), said()
    first.append_point("p", hash_to_group(b"a"))
    second.append_point("p", hash_to_group(b"b"))
    assert first.fingerprint() != second.fingerprint()
    first, second = said(), said()
    first.append_scalar("s", ONE)
    second.append_scalar("s", scalar_of(2))
    assert first.fingerprint() != second.fingerprint()


@pytest.mark.parametrize(
    "change",
    [
        lambda: Context(b"n" * 32, b"s").begin("other"),
        lambda: Context(b"m" * 32, b"s").begin("p"),
        lambda: Context(b"n" * 32, b"t").begin("p"),
        lambda: Context(b"n" * 31, b"ns").begin("p"),
    ],
    ids=["protocol", "network", "statement", "the border between both"],
)
def test_a_context_binds_protocol_network_and_statement(change: Callable[[], Transcript]) -> None:
    assert change().challenge("x") != Context(b"n" * 32, b"s").begin("p").challenge("x")


def test_a_challenge_of_zero_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "wide_scalar", lambda data: ZERO)
    with pytest.raises(ProofInvalid):
        said().challenge("x")


def test_the_framing_is_fixed() -> None:
    """Another one would refuse every proof in the log."""
    framed = b"tenge/v1/transcript" + b"\0\x08protocol" + bytes(7) + b"\x04test" + b"\0\x01a" + bytes(7) + b"\x02bc"
    assert said(("a", b"bc")).fingerprint() == hashlib.shake_256(framed).digest(64)
    challenge = hashlib.shake_256(framed + b"\1\x01x" + bytes(8)).digest(64)
    assert int(said(("a", b"bc")).challenge("x")) == int.from_bytes(challenge, "big") % ORDER
