"""What the governor signs beside genesis: who takes part, and consent."""

from __future__ import annotations

import pytest

from cbdc.errors import RoleRefused
from cbdc.formats import x509
from cbdc.formats.certificates import Holder
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.x509 import Role
from cbdc.messages import bodies
from cbdc.messages.message import build, decode, verify
from cbdc.state.records import Participant, Table
from tests.support import NOW_S, World, seed
from tests.unit.helpers import define, grant, refuses


@pytest.mark.parametrize("role", [Role.BANK, Role.ORACLE, Role.APPROVER])
def test_an_institution_takes_part_in_its_role(role: Role) -> None:
    world = World.founded()
    key = SigningKey(seed("institution"))
    raw = world.governor.admit("registry", role, key.public, NOW_S)
    world.submit(raw)
    admitted = Participant.decode(world.view.get((Table.PARTICIPANT, b"registry")) or b"")
    assert (admitted.role, admitted.key) == (role.value, key.public)
    assert admitted.is_active(role)
    x509.verify_issued_by(x509.parse(admitted.der), world.network)
    assert verify(decode(raw, world.network)).signers == {world.network}


def test_a_bank_is_admitted_as_any_institution() -> None:
    governor, key = World().governor, SigningKey(seed("altyn"))
    assert governor.admit_bank("altyn", key.public, NOW_S) == governor.admit("altyn", Role.BANK, key.public, NOW_S)


def test_with_the_governors_consent_a_recall_is_carried_out() -> None:
    world = World.founded("altyn")
    akimat, aida = world.customer("akimat", holder=Holder.SPONSOR), world.customer("aida")
    purpose = define(world, akimat)
    token = grant(world, akimat, purpose, aida, 500)
    body = bodies.Recall(purpose, (token,), "decision 7")
    alone = build(Kind.RECALL, body, [akimat.key], world.network)
    with refuses(world, RoleRefused):
        world.submit(alone)
    agreed = world.governor.agree(alone)
    assert verify(decode(agreed, world.network)).signers == {akimat.key.public, world.network}
    assert world.submit(agreed) == world.message_id(alone)
    assert world.token(token) is None
    assert world.online_tiyn(akimat.key.public) == 500
