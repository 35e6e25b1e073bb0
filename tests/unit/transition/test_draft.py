"""The delta in the making: what it reads through, what it refuses to find, what it finally changes."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cbdc.errors import NotEnrolled, PurposeRefused, TengeError
from cbdc.state.records import Denial, HolderKind, OfflineToken, Table, Token
from cbdc.state.view import EMPTY, Change, Delta
from cbdc.transition.draft import Draft
from tests.support import World

NAME = bytes(34)


@pytest.mark.parametrize(
    ("error", "read"),
    [
        (NotEnrolled, lambda draft: draft.network()),
        (NotEnrolled, lambda draft: draft.policy()),
        (NotEnrolled, lambda draft: draft.certificate(bytes(32))),
        (NotEnrolled, lambda draft: draft.certificate_of(bytes(32), HolderKind.WALLET)),
        (PurposeRefused, lambda draft: draft.definition(bytes(32))),
    ],
    ids=["network", "policy", "certificate", "certificate_of", "definition"],
)
def test_what_is_not_there_is_refused(error: type[TengeError], read: Callable[[Draft], object]) -> None:
    with pytest.raises(error) as caught:
        read(Draft(EMPTY))
    assert type(caught.value) is error


def test_a_key_has_a_certificate_of_its_kind_only() -> None:
    world = World.founded("altyn")
    aida = world.customer("aida")
    draft = Draft(world.view)
    assert draft.certificate_of(aida.purse.public, HolderKind.PURSE).account == "altyn/aida"
    with pytest.raises(NotEnrolled, match="not an enrolled wallet"):
        draft.certificate_of(aida.purse.public, HolderKind.WALLET)


def test_a_draft_reads_its_own_writes() -> None:
    draft = Draft(EMPTY)
    draft.create(NAME, Token(bytes(32), 5, None))
    assert draft.token(NAME) == Token(bytes(32), 5, None)
    draft.consume(NAME, bytes(32))
    assert draft.token(NAME) is None


def test_the_view_is_untouched() -> None:
    draft = Draft(EMPTY)
    draft.shift_supply(issued_tiyn=5, online_tiyn=5)
    assert EMPTY.get((Table.SUPPLY, b"")) is None
    assert draft.supply().issued_tiyn == 5


def test_only_differences_are_changes() -> None:
    draft = Draft(EMPTY)
    draft.create(NAME, Token(bytes(32), 5, None))
    draft.consume(NAME, bytes(32))
    draft.once(bytes(32))
    delta = draft.finish()
    assert delta.changes == {(Table.DONE, bytes(32)): Change(None, b"")}
    assert delta.consumed == ((NAME, bytes(32)), (bytes(32), bytes(32)))


def test_a_note_is_no_part_of_the_state() -> None:
    draft = Draft(EMPTY)
    draft.note(bytes(32))
    assert not draft.is_done(bytes(32))
    assert draft.finish() == Delta({}, ((bytes(32), bytes(32)),))


def test_a_denial_is_a_record_of_its_own() -> None:
    draft = Draft(EMPTY)
    assert draft.denied_at_s(bytes(32)) is None
    draft.deny(bytes(32), 7)
    assert draft.denied_at_s(bytes(32)) == 7
    assert draft.finish().changes == {(Table.DENIED, bytes(32)): Change(None, Denial(7).encode())}


class Counted:
    """An empty view that counts how often somebody asks for a purse's leaves."""

    ledger_time_s, get, consumers_of = 0, EMPTY.get, EMPTY.consumers_of

    def __init__(self) -> None:
        self.asked = 0

    def offline_of(self, _: bytes) -> tuple[bytes, ...]:
        self.asked += 1
        return ()


def test_a_purses_leaves_are_gathered_once_and_followed() -> None:
    """A culprit's purse may hold very many, and each of a thousand payments asks what they are worth."""
    owner, view = bytes(32), Counted()
    draft = Draft(view)
    leaf = OfflineToken(owner, 5, None, 1, 2, 0, [], False)
    assert draft.live_tiyn_of(owner) == 0
    for number in range(3):
        draft.put_offline(bytes(33) + bytes([number]), leaf)
    assert draft.live_tiyn_of(owner) == 15
    draft.spend_offline(bytes(34), leaf.spent_by(b"spend"), b"spend")
    draft.spend_offline(bytes(34), leaf.spent_by(b"spend").spent_by(b"again"), b"again")
    draft.put_offline(bytes(33) + b"\1", leaf)
    assert draft.live_tiyn_of(owner) == 10
    assert list(draft.live_offline_of(owner).values()) == [leaf, leaf]
    assert view.asked == 1
