"""A fraud proof: what proves a fork to somebody with the root key alone, and what does not."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cbor2
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cbdc.errors import BadSignature, FormError, ProofInvalid, TengeError
from cbdc.formats import cbor, certificates
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.x509 import Role
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.offline import fraud
from cbdc.service.founding import Governor
from tests.support import LATER_S, NOW_S, Customer, World, seed
from tests.unit.helpers import in_purse, out, pay


@dataclass
class Case:
    """A forked leaf, its two spends, and who signed what."""

    world: World
    aida: Customer
    bolat: Customer
    leaf: bytes
    spends: list[bytes]
    bank_der: bytes

    def proof(self, **changes: Any) -> bytes:
        fields = {
            "one": self.spends[0],
            "other": self.spends[1],
            "certificate": self.aida.purse_cwt,
            "bank_der": self.bank_der,
        } | changes
        return fraud.encode(**fields)


def founded() -> Case:
    world = World.founded("altyn", "kumis")
    aida, bolat, dana = (world.customer(name) for name in ("aida", "bolat", "dana"))
    leaf = world.load(aida, 900)
    spends = [pay(world, aida, bolat, leaf, 600, 300), pay(world, aida, dana, leaf, 900)]
    der = world.governor.certify("altyn", Role.BANK, world.banks["altyn"].public, NOW_S)
    return Case(world, aida, bolat, leaf, spends, der)


@pytest.fixture(scope="module")
def case() -> Case:
    return founded()


def test_two_spends_of_one_output_prove_a_fork(case: Case) -> None:
    proof = fraud.verify_proof(case.proof(), case.world.network)
    assert (proof.account, proof.bank, proof.purse_key) == ("altyn/aida", "altyn", case.aida.purse.public)
    assert proof.outpoints == (case.leaf,)
    assert set(proof.spends) == {case.world.message_id(raw) for raw in case.spends}


def test_the_order_of_the_spends_is_no_part_of_it(case: Case) -> None:
    assert case.proof(one=case.spends[1], other=case.spends[0]) == case.proof()


def test_a_payment_and_an_unload_prove_a_fork(case: Case) -> None:
    body = bodies.Unload((case.leaf,), (out(case.aida, 900),), LATER_S)
    unload = build(Kind.UNLOAD, body, [case.aida.purse], case.world.network)
    assert fraud.verify_proof(case.proof(other=unload), case.world.network).outpoints == (case.leaf,)


def two_signatures(case: Case) -> bytes:
    """One payload; Ed25519 as we use it signs it in one way, so the copy is the same message."""
    return case.proof(other=case.spends[0])


def other_leaf(case: Case) -> bytes:
    return case.proof(other=pay(case.world, case.aida, case.bolat, seed("elsewhere") + b"\0\0", 900))


def other_purse(case: Case) -> bytes:
    return case.proof(other=pay(case.world, case.bolat, case.aida, case.leaf, 900))


def joint(case: Case) -> bytes:
    body = bodies.Unload((case.leaf,), (out(case.aida, 900),), LATER_S)
    return case.proof(other=build(Kind.UNLOAD, body, [case.aida.purse, case.bolat.purse], case.world.network))


def online(case: Case) -> bytes:
    body = bodies.Transfer((case.leaf,), (in_purse(case.bolat, 900),), LATER_S)
    return case.proof(other=build(Kind.TRANSFER, body, [case.aida.purse], case.world.network))


def load(case: Case) -> bytes:
    body = bodies.Load((case.leaf,), (in_purse(case.bolat, 900),), LATER_S)
    return case.proof(other=build(Kind.LOAD, body, [case.aida.purse], case.world.network))


def wallet_certificate(case: Case) -> bytes:
    return case.proof(certificate=case.aida.wallet_cwt)


def false_bank(case: Case) -> bytes:
    """A certificate for the same key by a bank that the governor never certified."""
    stranger, governor = SigningKey(seed("stranger")), Governor.from_seed(seed("another governor"))
    own, _ = certificates.unverified(case.aida.purse_cwt, case.world.network)
    forged = certificates.issue(
        stranger,
        case.world.network,
        bank="altyn",
        subject="an honest person",
        key=own.key,
        issued_s=own.issued_s,
        expires_s=own.expires_s,
        limits=own.limits,
        online_key=own.online_key,
    )
    return case.proof(certificate=forged, bank_der=governor.certify("altyn", Role.BANK, stranger.public, NOW_S))


def certified_by_the_other_bank(case: Case) -> bytes:
    return case.proof(bank_der=case.world.governor.certify("kumis", Role.BANK, case.world.banks["altyn"].public, NOW_S))


def certified_by_the_operator(case: Case) -> bytes:
    key = case.world.banks["altyn"].public
    return case.proof(bank_der=case.world.governor.certify("altyn", Role.OPERATOR, key, NOW_S))


def bad_signature(case: Case) -> bytes:
    return case.proof(other=case.spends[1][:-1] + bytes([case.spends[1][-1] ^ 1]))


@pytest.mark.parametrize(
    ("forgery", "error"),
    [
        (two_signatures, ProofInvalid),
        (other_leaf, ProofInvalid),
        (other_purse, BadSignature),
        (joint, BadSignature),
        (online, FormError),
        (load, FormError),
        (wallet_certificate, ProofInvalid),
        (false_bank, BadSignature),
        (certified_by_the_other_bank, ProofInvalid),
        (certified_by_the_operator, ProofInvalid),
        (bad_signature, BadSignature),
    ],
)
def test_what_proves_nothing(case: Case, forgery: Callable[[Case], bytes], error: type[TengeError]) -> None:
    with pytest.raises(error):
        fraud.verify_proof(forgery(case), case.world.network)


def test_another_network_s_root_proves_nothing(case: Case) -> None:
    with pytest.raises(BadSignature):
        fraud.verify_proof(case.proof(), SigningKey(seed("another root")).public)


@given(at=st.integers(0, 10**6), bit=st.integers(0, 7))
def test_any_changed_bit_is_noticed(case: Case, at: int, bit: int) -> None:
    proof = bytearray(case.proof())
    proof[at % len(proof)] ^= 1 << bit
    with pytest.raises(TengeError):
        fraud.verify_proof(bytes(proof), case.world.network)


@given(
    st.one_of(st.binary(max_size=400), st.recursive(st.none() | st.binary() | st.integers(), st.lists).map(cbor2.dumps))
)
def test_anything_else_is_a_typed_error(case: Case, data: bytes) -> None:
    with pytest.raises(TengeError):
        fraud.verify_proof(data, case.world.network)


def test_a_proof_is_small(case: Case) -> None:
    assert len(cbor.encode(cbor.decode(case.proof()))) < 2_500
