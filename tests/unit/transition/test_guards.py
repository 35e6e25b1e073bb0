"""Guards that no message reaches with what they refuse, because another stands before them."""

from __future__ import annotations

import pytest

from cbdc.errors import NotEnrolled
from cbdc.transition import guards
from cbdc.transition.draft import Draft
from tests.support import World
from tests.unit.helpers import STRANGER, dismiss, revoke, wallet_id


def test_whose_a_key_is() -> None:
    world = World.founded("altyn")
    aida = world.customer("aida")
    revoke(world, aida, wallet_id(world, aida))
    dismiss(world, "altyn")
    draft = Draft(world.view)
    keys = (aida.key.public, aida.purse.public, world.banks["altyn"].public, world.network)
    assert [guards.name_of(draft, key) for key in keys] == ["altyn/aida", "altyn/aida", "altyn", "National Bank"]


def test_a_strangers_key_is_nobodys() -> None:
    world = World.founded("altyn")
    with pytest.raises(NotEnrolled):
        guards.name_of(Draft(world.view), STRANGER.public)
