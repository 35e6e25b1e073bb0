"""Deltas laid over a view."""

from __future__ import annotations

from cbdc.state.records import OfflineToken, Table, Token
from cbdc.state.view import EMPTY, Change, Consumed, Delta, Layer, Overlay

OWNER, NAME, OTHER = bytes(range(32)), bytes(34), bytes(33) + b"1"
TOKEN = Token(OWNER, 5, None).encode()
LEAF = OfflineToken(OWNER, 5, None, 1, 2, 0, [], False)
KEY = (Table.TOKEN, NAME)


def test_the_empty_state() -> None:
    assert (EMPTY.get(KEY), list(EMPTY.offline_of(OWNER)), EMPTY.consumers_of(NAME)) == (None, [], ())
    assert EMPTY.ledger_time_s == 0


def test_an_overlay_shows_its_deltas_over_its_base() -> None:
    base = Overlay(EMPTY)
    base.add(Delta({KEY: Change(None, TOKEN)}, ()), 0, 100)
    top = Overlay(base)
    assert (top.get(KEY), top.ledger_time_s) == (TOKEN, 100)
    top.add(Delta({KEY: Change(TOKEN, None)}, ((NAME, OWNER),)), 1, 200)
    assert (top.get(KEY), base.get(KEY)) == (None, TOKEN)
    assert (top.consumers_of(NAME), base.consumers_of(NAME)) == ((Consumed(OWNER, 1),), ())
    assert (top.ledger_time_s, base.ledger_time_s) == (200, 100)
    assert (top.records(), base.records()) == ({}, {KEY: TOKEN})


def test_consumers_stand_in_order() -> None:
    view = Overlay(EMPTY)
    for index, message in enumerate((b"first", b"second")):
        view.add(Delta({}, ((NAME, message),)), index, 0)
    assert view.consumers_of(NAME) == (Consumed(b"first", 0), Consumed(b"second", 1))
    assert view.consumed() == {NAME: view.consumers_of(NAME)}


def test_offline_outputs_are_found_by_owner() -> None:
    view = Overlay(EMPTY)
    view.add(Delta({(Table.OFFLINE, NAME): Change(None, LEAF.encode())}, ()), 0, 0)
    top = Overlay(view)
    top.add(Delta({(Table.OFFLINE, OTHER): Change(None, LEAF.encode())}, ()), 1, 0)
    assert set(top.offline_of(OWNER)) == {NAME, OTHER}
    assert set(view.offline_of(OWNER)) == {NAME}
    assert not list(top.offline_of(bytes(32)))


def test_prefetched_records_are_read_first() -> None:
    view = Overlay(EMPTY, {KEY: TOKEN})
    assert view.get(KEY) == TOKEN
    view.add(Delta({KEY: Change(TOKEN, None)}, ()), 0, 0)
    assert view.get(KEY) is None


# --- a layer between the base and the overlay: a group that may not be on the disk yet ----------

OFFLINE = (Table.OFFLINE, NAME)
MADE = Delta({KEY: Change(None, TOKEN), OFFLINE: Change(None, LEAF.encode())}, ((OTHER, b"first"),))
SPENT = Delta({KEY: Change(TOKEN, None)}, ((NAME, b"second"), (OTHER, b"second")))


def layer(*deltas: Delta) -> Layer:
    made = Layer()
    for index, delta in enumerate(deltas):
        made.add(delta, index)
    return made


def test_a_layer_is_read_through() -> None:
    view = Overlay(EMPTY, below=layer(MADE))
    assert (view.get(KEY), list(view.offline_of(OWNER))) == (TOKEN, [NAME])
    assert view.consumers_of(OTHER) == (Consumed(b"first", 0),)
    view.add(SPENT, 1, 0)
    assert view.get(KEY) is None
    assert view.consumers_of(OTHER) == (Consumed(b"first", 0), Consumed(b"second", 1))


def test_a_layer_is_not_the_overlays_own() -> None:
    below = layer(MADE)
    view = Overlay(EMPTY, below=below)
    view.add(SPENT, 1, 0)
    assert (view.layer.records, view.consumed()) == ({KEY: None}, {n: (Consumed(b"second", 1),) for n in (NAME, OTHER)})
    assert below.records == {KEY: TOKEN, OFFLINE: LEAF.encode()}
    assert below.consumed == {OTHER: (Consumed(b"first", 0),)}


def test_a_layer_is_newer_than_what_was_prefetched() -> None:
    """The prefetching reader may not see the group below yet."""
    assert Overlay(EMPTY, {KEY: None}, layer(MADE)).get(KEY) == TOKEN
    assert Overlay(EMPTY, {KEY: TOKEN}, layer(MADE, SPENT)).get(KEY) is None


def test_a_layer_may_have_reached_the_base_already() -> None:
    base = Overlay(EMPTY)
    base.add(MADE, 0, 100)
    view = Overlay(base, below=layer(MADE))
    assert (view.get(KEY), list(view.offline_of(OWNER))) == (TOKEN, [NAME])
    assert view.consumers_of(OTHER) == (Consumed(b"first", 0),)


def test_one_layer_holds_many_entries() -> None:
    both = layer(MADE, SPENT)
    assert both.records[KEY] is None
    assert both.consumed[OTHER] == (Consumed(b"first", 0), Consumed(b"second", 1))
    assert both.offline == {OWNER: [NAME]}


def test_an_offline_output_is_listed_once() -> None:
    rewritten = Delta(
        {OFFLINE: Change(LEAF.encode(), OfflineToken(OWNER, 5, None, 1, 2, 0, [OWNER], False).encode())}, ()
    )
    assert layer(MADE, rewritten).offline == {OWNER: [NAME]}
