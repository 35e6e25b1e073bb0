"""Who takes part and under which rules: every refusal, and what an accepted entry changes."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbdc.errors import (
    BadSignature,
    CertificateExpired,
    CertificateRevoked,
    LimitHolding,
    LimitHops,
    LimitPayment,
    LimitSpends,
    NotEnrolled,
    Replayed,
    RoleRefused,
    TengeError,
)
from cbdc.formats import certificates, x509
from cbdc.formats.certificates import PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.x509 import Role
from cbdc.messages import bodies
from cbdc.messages.message import build, decode, verify
from cbdc.policy import DAY_S, Policy
from cbdc.service.founding import Governor
from cbdc.state.records import Denial, Enrolment, HolderKind, Participant, Table
from cbdc.transition.draft import Draft
from tests.support import LIMITS, NOW_S, YEAR_S, Customer, World, seed
from tests.unit.helpers import STRANGER, dismiss, in_purse, load, refuses, renew_purse, revoke, wallet_id

OTHER = Governor.from_seed(seed("another governor"), "Other Bank")


def certificate(world: World, *, bank: str = "altyn", signer: str = "", **changes: object) -> bytes:
    """A certificate for Aida by a bank."""
    fields = {
        "bank": bank,
        "subject": "aida",
        "key": seed("aida online"),
        "issued_s": world.now_s,
        "expires_s": world.now_s + YEAR_S,
    } | changes
    return certificates.issue(world.banks[signer or bank], world.network, **fields)


def purse(world: World, online: bytes, **changes: object) -> bytes:
    """A purse certificate for Aida."""
    return certificate(world, **{"key": seed("aida purse"), "limits": LIMITS, "online_key": online} | changes)


def enrol(world: World, *raw: bytes, bank: str = "altyn") -> bytes:
    return world.do(Kind.ENROL, bodies.Enrol(raw), world.banks[bank])


def enrolment(world: World, name: bytes) -> Enrolment:
    value = world.view.get((Table.CERTIFICATE, name))
    assert value is not None
    return Enrolment.decode(value)


def revoked_at_s(world: World, customer: Customer) -> int:
    value = world.view.get((Table.DENIED, customer.certificate(world.network).id))
    assert value is not None
    return Denial.decode(value).revoked_at_s


# --- genesis -----------------------------------------------------------------------------------


def found(
    world: World,
    governor: Governor,
    *,
    signer: SigningKey | None = None,
    root_role: Role = Role.GOVERNOR,
    operator_role: Role = Role.OPERATOR,
    operator: bytes | None = None,
) -> None:
    """Try a genesis by this governor on the world's ledger."""
    root = x509.parse(governor.certify(governor.name, root_role, governor.key.public, NOW_S))
    operator_der = operator or governor.certify("Other operator", operator_role, STRANGER.public, NOW_S)
    body = bodies.Genesis("other", root, x509.parse(operator_der), Policy())
    raw = build(Kind.GENESIS, body, [signer or governor.key], governor.network)
    world.apply(verify(decode(raw, governor.network)))


def test_genesis_admits_governor_and_operator() -> None:
    world = World()
    found(world, OTHER)
    admitted = {key[1].decode() for key in world.view.records() if key[0] is Table.PARTICIPANT}
    assert admitted == {"Other Bank", "Other operator"}


def test_there_is_one_genesis(world: World) -> None:
    with refuses(world, Replayed):
        found(world, OTHER)


def test_genesis_is_signed_by_its_root() -> None:
    world = World()
    with refuses(world, RoleRefused):
        found(world, OTHER, signer=STRANGER)


@pytest.mark.parametrize("roles", [{"root_role": Role.BANK}, {"operator_role": Role.BANK}])
def test_genesis_names_a_governor_and_an_operator(roles: dict[str, Role]) -> None:
    world = World()
    with refuses(world, RoleRefused):
        found(world, OTHER, **roles)


def test_the_operator_is_certified_by_the_root() -> None:
    world = World()
    with refuses(world, BadSignature):
        found(world, OTHER, operator=world.governor.certify("Mallory", Role.OPERATOR, STRANGER.public, NOW_S))


# --- admit, dismiss, policy --------------------------------------------------------------------


def admit(world: World, der: bytes, *signers: SigningKey) -> bytes:
    body = bodies.Admit(x509.parse(der))
    return world.do(Kind.ADMIT, body, *(signers or (world.governor.key,)))


def test_an_admitted_bank_may_act(world: World) -> None:
    world.admit("temir")
    world.issue("temir", 100)
    assert world.online_tiyn(world.banks["temir"].public) == 100


@pytest.mark.parametrize(
    "act",
    [
        lambda w, *keys: w.do(Kind.ADMIT, bodies.Admit(_bank(w, "temir")), *keys),
        lambda w, *keys: w.do(Kind.DISMISS, bodies.Dismiss("altyn", "order 1"), *keys),
        lambda w, *keys: w.do(Kind.POLICY, bodies.SetPolicy(Policy(offline_hops=1), w.nonce()), *keys),
    ],
    ids=["admit", "dismiss", "policy"],
)
@pytest.mark.parametrize("alone", [True, False], ids=["stranger", "governor and stranger"])
def test_only_the_governor_alone_decides(world: World, act: object, alone: bool) -> None:
    with refuses(world, RoleRefused):
        act(world, *([STRANGER] if alone else [world.governor.key, STRANGER]))


def _bank(world: World, name: str) -> x509.Institution:
    return x509.parse(world.governor.certify(name, Role.BANK, STRANGER.public, world.now_s))


@pytest.mark.parametrize("role", [Role.OPERATOR, Role.GOVERNOR])
def test_only_banks_are_admitted(world: World, role: Role) -> None:
    with refuses(world, RoleRefused, found=role.value):
        admit(world, world.governor.certify("second", role, STRANGER.public, NOW_S))


def test_a_bank_is_certified_by_the_root(world: World) -> None:
    with refuses(world, BadSignature, name="temir"):
        admit(world, OTHER.certify("temir", Role.BANK, STRANGER.public, NOW_S))


@pytest.mark.parametrize("from_s", [NOW_S + 1, NOW_S - 3650 * DAY_S])
def test_an_x509_certificate_counts_within_its_time(world: World, from_s: int) -> None:
    with refuses(world, CertificateExpired, name="temir"):
        admit(world, world.governor.certify("temir", Role.BANK, STRANGER.public, from_s))


@pytest.mark.parametrize("name", ["altyn", "National Bank", "Operator"])
def test_a_name_is_taken_once(world: World, name: str) -> None:
    with refuses(world, Replayed, name=name):
        admit(world, world.governor.certify(name, Role.BANK, STRANGER.public, NOW_S))


def test_a_key_is_taken_once(world: World) -> None:
    aida = world.customer("aida")
    for key in (world.banks["altyn"].public, world.network, aida.key.public, aida.purse.public):
        with refuses(world, Replayed, name="temir"):
            admit(world, world.governor.certify("temir", Role.BANK, key, NOW_S))


def test_a_dismissed_bank_may_do_nothing(world: World) -> None:
    dismiss(world, "altyn")
    with refuses(world, RoleRefused, key=world.banks["altyn"].public):
        world.issue("altyn", 100)
    value = world.view.get((Table.PARTICIPANT, b"altyn"))
    assert value is not None
    assert Participant.decode(value).dismissed_at_s == NOW_S


@pytest.mark.parametrize("name", ["temir", "Operator", "National Bank"])
def test_only_an_admitted_bank_is_dismissed(world: World, name: str) -> None:
    with refuses(world, NotEnrolled, name=name):
        dismiss(world, name)


def test_a_dismissed_bank_is_not_dismissed_again(world: World) -> None:
    dismiss(world, "altyn")
    with refuses(world, NotEnrolled, name="altyn"):
        world.submit(world.governor.dismiss("altyn", "order 2"))


def test_a_new_policy_binds_new_purses(world: World) -> None:
    world.submit(world.governor.set_policy(Policy(offline_hops=1), world.nonce()))
    with refuses(world, LimitHops, found=LIMITS.hops, limit=1):
        world.customer("aida")


# --- enrol -------------------------------------------------------------------------------------


def test_enrolled_keys_may_hold_money(world: World) -> None:
    aida = world.customer("aida")
    world.load(aida, 500)
    assert world.live_tiyn(aida.purse.public) == 500


def test_a_renewed_certificate_takes_the_place_of_the_last(world: World) -> None:
    aida = world.customer("aida")
    old = aida.certificate(world.network).id
    new = renew_purse(world, aida)
    assert [enrolment(world, name).previous for name in (old, new)] == [None, old]
    assert certificates.unverified(enrolment(world, new).raw, world.network)[0].id == new
    assert Draft(world.view).certificate_of(aida.purse.public, HolderKind.PURSE).id == new
    world.load(aida, 100)
    assert world.live_tiyn(aida.purse.public) == 100


@pytest.mark.parametrize("which", ["wallet", "purse in force", "purse renewed"])
def test_a_registered_certificate_is_not_registered_again(world: World, which: str) -> None:
    """Otherwise the chain of renewals could become a ring, and a revocation would go round it for ever."""
    aida = world.customer("aida")
    new = renew_purse(world, aida)
    cwts = {"wallet": aida.wallet_cwt, "purse in force": enrolment(world, new).raw, "purse renewed": aida.purse_cwt}
    name = certificates.unverified(cwts[which], world.network)[0].id
    with refuses(world, Replayed, certificate=name):
        enrol(world, certificate(world, subject="dana", key=seed("dana")), cwts[which])


def test_a_certificate_stands_once_in_an_enrolment(world: World) -> None:
    raw = certificate(world)
    with refuses(world, Replayed):
        enrol(world, raw, raw)


def test_a_bank_enrols_only_its_own(world: World) -> None:
    with refuses(world, RoleRefused, found="kumis", wanted="altyn"):
        enrol(world, certificate(world, bank="kumis", signer="altyn"))


def test_a_certificate_is_signed_by_the_enrolling_bank(world: World) -> None:
    with refuses(world, BadSignature):
        enrol(world, certificate(world, bank="altyn", signer="kumis"))


def test_an_expired_certificate_is_not_enrolled(world: World) -> None:
    with refuses(world, CertificateExpired, account="altyn/aida"):
        enrol(world, certificate(world, expires_s=NOW_S))


@pytest.mark.parametrize("which", ["altyn", "root"])
def test_an_institutions_key_is_not_a_customers(world: World, which: str) -> None:
    key = world.network if which == "root" else world.banks["altyn"].public
    with refuses(world, RoleRefused, key=key):
        enrol(world, certificate(world, key=key))


def test_a_key_stays_with_its_account(world: World) -> None:
    aida = world.customer("aida")
    with refuses(world, RoleRefused, key=aida.key.public):
        enrol(world, certificate(world, key=aida.key.public, subject="bolat"))


def test_a_wallet_key_does_not_become_a_purse(world: World) -> None:
    aida = world.customer("aida")
    with refuses(world, RoleRefused, key=aida.key.public):
        enrol(world, purse(world, aida.key.public, key=aida.key.public))


def test_a_purse_key_does_not_become_a_wallet(world: World) -> None:
    aida = world.customer("aida")
    with refuses(world, RoleRefused, key=aida.purse.public):
        enrol(world, certificate(world, key=aida.purse.public))


def test_a_revoked_key_is_not_enrolled_again(world: World) -> None:
    aida = world.customer("aida")
    revoke(world, aida)
    with refuses(world, CertificateRevoked, key=aida.purse.public):
        enrol(world, purse(world, aida.key.public, key=aida.purse.public, issued_s=NOW_S + 1))


def test_a_revoked_certificate_is_not_enrolled_again(world: World) -> None:
    aida = world.customer("aida")
    enrol(world, purse(world, aida.key.public, key=aida.purse.public, issued_s=NOW_S + 1))
    revoke(world, aida)
    for raw in (aida.purse_cwt, purse(world, aida.key.public, key=aida.purse.public, issued_s=NOW_S + 1)):
        with refuses(world, CertificateRevoked, key=aida.purse.public):
            enrol(world, raw, certificate(world))


def test_a_purse_needs_an_enrolled_wallet(world: World) -> None:
    with refuses(world, NotEnrolled, key=seed("aida online")):
        enrol(world, purse(world, seed("aida online")))


def test_a_purse_is_not_enrolled_on_a_revoked_wallet(world: World) -> None:
    aida = world.customer("aida")
    world.now_s += 5
    revoke(world, aida, wallet_id(world, aida))
    with refuses(world, CertificateRevoked, key=aida.key.public, revoked_at_s=NOW_S + 5):
        enrol(world, purse(world, aida.key.public, key=seed("second purse")))


def test_a_purse_returns_to_its_own_account(world: World) -> None:
    bolat = world.customer("bolat")
    with refuses(world, RoleRefused, found="altyn/bolat"):
        enrol(world, purse(world, bolat.key.public))


def test_a_purse_does_not_return_to_a_purse(world: World) -> None:
    aida = world.customer("aida")
    with refuses(world, NotEnrolled, key=aida.purse.public):
        enrol(world, purse(world, aida.purse.public, key=seed("second purse")))


@pytest.mark.parametrize(
    ("field", "error"),
    [
        ("holding_tiyn", LimitHolding),
        ("payment_tiyn", LimitPayment),
        ("spends", LimitSpends),
        ("hops", LimitHops),
    ],
)
def test_a_purses_limits_keep_within_the_policy(world: World, field: str, error: type[TengeError]) -> None:
    aida = world.customer("aida")
    policy = Policy()
    at_most = PurseLimits(
        policy.offline_holding_tiyn, policy.offline_payment_tiyn, policy.offline_spends, policy.offline_hops
    )
    enrol(world, purse(world, aida.key.public, key=seed("at most"), limits=at_most))
    too_much = replace(at_most, **{field: getattr(at_most, field) + 1})
    with refuses(world, error, found=getattr(too_much, field)):
        enrol(world, purse(world, aida.key.public, key=seed("too much"), limits=too_much))


def test_one_refused_certificate_refuses_the_entry(world: World) -> None:
    with refuses(world, CertificateExpired):
        enrol(world, certificate(world), certificate(world, key=seed("late"), expires_s=NOW_S))


# --- revoke ------------------------------------------------------------------------------------


def test_a_revoked_purse_is_not_loaded(world: World) -> None:
    aida = world.customer("aida")
    token = world.fund(aida, 100)
    world.now_s += 5
    revoke(world, aida)
    with refuses(world, CertificateRevoked, key=aida.purse.public, revoked_at_s=NOW_S + 5):
        load(world, [token], [in_purse(aida, 100)], aida.key)


@pytest.mark.parametrize("which", range(3))
def test_revoking_denies_every_certificate_the_key_ever_had(world: World, which: int) -> None:
    aida = world.customer("aida")
    ids = [aida.certificate(world.network).id]
    for _ in range(2):
        world.now_s += 1
        ids.append(renew_purse(world, aida))
    world.now_s += 1
    revoke(world, aida, ids[which])
    denied = {key[1]: Denial.decode(value) for key, value in world.view.records().items() if key[0] is Table.DENIED}
    assert denied == dict.fromkeys(ids, Denial(world.now_s))
    with refuses(world, CertificateRevoked, key=aida.purse.public):
        renew_purse(world, aida)


def test_revoking_a_purse_leaves_the_wallet(world: World) -> None:
    aida = world.customer("aida")
    revoke(world, aida)
    assert (Table.DENIED, wallet_id(world, aida)) not in world.view.records()
    world.fund(aida, 100)
    assert world.online_tiyn(aida.key.public) == 100


def test_the_first_revocation_counts(world: World) -> None:
    aida = world.customer("aida")
    revoke(world, aida)
    world.now_s += 5
    world.do(Kind.REVOKE, bodies.Revoke(aida.certificate(world.network).id, "stolen as well"), world.banks["altyn"])
    assert revoked_at_s(world, aida) == NOW_S


def test_a_bank_revokes_only_its_own(world: World) -> None:
    aida = world.customer("aida")
    body = bodies.Revoke(aida.certificate(world.network).id, "lost")
    with refuses(world, RoleRefused, wanted="kumis"):
        world.do(Kind.REVOKE, body, world.banks["kumis"])


def test_only_a_registered_certificate_is_revoked(world: World) -> None:
    aida = world.customer("aida", enrol=False)
    with refuses(world, NotEnrolled, certificate=aida.certificate(world.network).id):
        revoke(world, aida)


# --- guards of them all ------------------------------------------------------------------------


def _once_each(world: World) -> dict[str, bytes]:
    """One message without inputs of every kind that may be repeated."""
    altyn = world.banks["altyn"]
    aida = world.customer("aida")
    wallet = certificate(world, subject="dana", key=seed("dana"))
    revocation = bodies.Revoke(aida.certificate(world.network).id, "lost")
    return {
        "admit": world.governor.admit_bank("temir", STRANGER.public, NOW_S),
        "dismiss": world.governor.dismiss("kumis", "order 1"),
        "policy": world.governor.set_policy(Policy(offline_hops=1), bytes(16)),
        "issue": world.governor.issue(altyn.public, 100, bytes(16)),
        "enrol": build(Kind.ENROL, bodies.Enrol((wallet,)), [altyn], world.network),
        "revoke": build(Kind.REVOKE, revocation, [altyn], world.network),
    }


@pytest.mark.parametrize("kind", ["admit", "dismiss", "policy", "issue", "enrol", "revoke"])
def test_a_message_without_inputs_counts_once(world: World, kind: str) -> None:
    raw = _once_each(world)[kind]
    done = world.submit(raw)
    with refuses(world, Replayed, id=done):
        world.submit(raw)


def _by_a_bank(world: World, *keys: SigningKey) -> dict[str, bytes]:
    """What only a bank does, signed by these keys; the tokens are Altyn's."""
    token = world.issue("altyn", 100)
    aida = world.customer("aida")
    wallet = certificates.issue(
        keys[0], world.network, bank="altyn", subject="x", key=seed("x"), issued_s=NOW_S, expires_s=NOW_S + 9
    )
    revocation = bodies.Revoke(aida.certificate(world.network).id, "lost")
    made = {
        "revoke": build(Kind.REVOKE, revocation, list(keys), world.network),
        "reserve": build(Kind.RESERVE, bodies.Reserve((token,), (), NOW_S, 100), list(keys), world.network),
        "redeem": build(
            Kind.REDEEM, bodies.Redeem((token,), (), NOW_S, 100), [*keys, world.governor.key], world.network
        ),
    }
    if len(keys) == 1:
        made["enrol"] = build(Kind.ENROL, bodies.Enrol((wallet,)), list(keys), world.network)
    return made


@pytest.mark.parametrize("kind", ["enrol", "revoke", "reserve", "redeem"])
@pytest.mark.parametrize("who", ["nobody", "customer", "operator"])
def test_only_a_bank_does_a_banks_work(world: World, kind: str, who: str) -> None:
    key = {"nobody": STRANGER, "customer": SigningKey(seed("dana online")), "operator": world.operator}[who]
    world.customer("dana")
    raw = _by_a_bank(world, key)[kind]
    with refuses(world, RoleRefused):
        world.submit(raw)


@pytest.mark.parametrize("kind", ["revoke", "reserve", "redeem"])
def test_a_bank_acts_alone(world: World, kind: str) -> None:
    raw = _by_a_bank(world, world.banks["altyn"], STRANGER)[kind]
    with refuses(world, RoleRefused, found=2, wanted=1):
        world.submit(raw)


@pytest.mark.parametrize("kind", ["enrol", "revoke", "reserve", "redeem"])
def test_a_dismissed_bank_does_no_banks_work(world: World, kind: str) -> None:
    raw = _by_a_bank(world, world.banks["altyn"])[kind]
    dismiss(world, "altyn")
    with refuses(world, RoleRefused, key=world.banks["altyn"].public):
        world.submit(raw)


def test_a_bank_whose_x509_ran_out_does_nothing(world: World) -> None:
    world.now_s += 3650 * DAY_S
    with refuses(world, CertificateExpired, name="altyn"):
        world.issue("altyn", 100)
