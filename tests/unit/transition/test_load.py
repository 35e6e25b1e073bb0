"""Load, unload and renewal: how money goes into a purse and comes out."""

from __future__ import annotations

import pytest

from cbdc.errors import (
    AmountMismatch,
    AncestryBroken,
    CertificateExpired,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    LimitHolding,
    NotEnrolled,
    NotOwner,
    PurposeMismatch,
    ReserveShort,
    TooLate,
    WrongPayee,
)
from cbdc.policy import DAY_S, Policy
from cbdc.state.records import OfflineToken, Token
from tests.support import LATER_S, LIMITS, NOW_S, YEAR_S, Customer, World
from tests.unit.helpers import (
    CANTEEN,
    EXPIRY_S,
    HOUR_S,
    STRANGER,
    dismiss,
    grant,
    in_purse,
    load,
    out,
    paid,
    pay,
    refuses,
    reserve_of,
    revoke,
    sponsored,
    unload,
    wallet_id,
)

POLICY = Policy()


def owing(world: World, bank: str) -> None:
    """Make the bank owe the pool: a purse of its forks a token that no reserve covers."""
    clone, payees = world.customer("clone", bank), [world.customer(name, bank) for name in ("payee", "another")]
    token = world.load(clone, 300)
    twice = [pay(world, clone, payee, token, 300) for payee in payees]
    world.now_s += HOUR_S
    world.reconcile(*twice)
    assert reserve_of(world, bank).claims_tiyn == 300


# --- load --------------------------------------------------------------------------------------


def test_a_load_moves_value_into_the_pool(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    leaf = load(world, [token], [in_purse(aida, 600), out(aida, 300)], aida.key)
    supply = world.supply()
    assert (supply.online_tiyn, supply.pool_tiyn) == (300, 600)
    assert world.leaf(leaf) == OfflineToken(
        owner=aida.purse.public,
        amount_tiyn=600,
        purpose=None,
        spend_until_s=NOW_S + POLICY.offline_spend_days * DAY_S,
        final_at_s=NOW_S + POLICY.offline_final_days * DAY_S,
        hops=0,
        spenders=[],
        returned=False,
    )


@pytest.mark.parametrize("left_s", [DAY_S, 30 * DAY_S])
def test_marked_tokens_are_not_spendable_past_their_purpose(world: World, aida: Customer, left_s: int) -> None:
    sponsor, purpose = sponsored(world)
    token = grant(world, sponsor, purpose, aida, 900)
    world.now_s = EXPIRY_S - min(left_s, 10 * DAY_S)
    leaf = world.leaf(load(world, [token], [in_purse(aida, 900, purpose)], aida.key))
    assert leaf is not None
    assert leaf.purpose == purpose
    assert leaf.spend_until_s == min(EXPIRY_S - 1, world.now_s + POLICY.offline_spend_days * DAY_S)


def test_a_load_names_a_purse(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    with refuses(world, NotEnrolled, found=0):
        load(world, [token], [out(aida, 900)], aida.key)


def test_a_load_names_one_purse(world: World, aida: Customer, bolat: Customer) -> None:
    token = world.fund(aida, 900)
    with refuses(world, NotEnrolled, found=2):
        load(world, [token], [in_purse(aida, 600), in_purse(bolat, 300)], aida.key)


def test_an_unknown_purse_is_not_loaded(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    with refuses(world, NotEnrolled, found=0):
        load(world, [token], [out(STRANGER.public, 900)], aida.key)


def test_a_revoked_purse_is_not_loaded(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    revoke(world, aida)
    with refuses(world, CertificateRevoked, key=aida.purse.public):
        load(world, [token], [in_purse(aida, 900)], aida.key)


def test_an_expired_purse_is_not_loaded(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    world.now_s += YEAR_S
    with refuses(world, CertificateExpired, account="altyn/aida"):
        load(world, [token], [in_purse(aida, 900)], aida.key, until_s=LATER_S + DAY_S)


def test_a_dismissed_banks_purse_is_not_loaded(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    dismiss(world, "altyn")
    with refuses(world, CertificateRevoked, bank="altyn"):
        load(world, [token], [in_purse(aida, 900)], aida.key)


def test_a_bank_that_owes_the_pool_loads_no_purse(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    owing(world, "altyn")
    with refuses(world, ReserveShort, claims_tiyn=300):
        load(world, [token], [in_purse(aida, 900)], aida.key)


def test_another_banks_debt_is_its_own(world: World, aida: Customer) -> None:
    owing(world, "kumis")
    assert world.leaf(world.load(aida, 900)) is not None


def test_a_load_has_its_time(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    with refuses(world, Expired, limit=NOW_S - 1):
        load(world, [token], [in_purse(aida, 900)], aida.key, until_s=NOW_S - 1)


def test_a_purse_is_loaded_by_its_owner(world: World, aida: Customer, bolat: Customer) -> None:
    token = world.fund(bolat, 900)
    with refuses(world, NotOwner, account="altyn/aida"):
        load(world, [token], [in_purse(aida, 900)], bolat.key)


def test_a_purse_is_not_loaded_jointly(world: World, aida: Customer, bolat: Customer) -> None:
    """A co-signer of a load that is then refunded to one of them would have paid past every guard of a payment."""
    tokens = [world.fund(aida, 600), world.fund(bolat, 300)]
    with refuses(world, NotOwner, account="altyn/aida"):
        load(world, tokens, [in_purse(aida, 900)], aida.key, bolat.key)
    with refuses(world, NotOwner, account="altyn/aida"):
        load(world, tokens, [in_purse(aida, 600), out(bolat, 300)], aida.key, bolat.key)


def test_a_revoked_wallet_loads_nothing(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    revoke(world, aida, wallet_id(world, aida))
    with refuses(world, CertificateRevoked, key=aida.key.public, revoked_at_s=NOW_S):
        load(world, [token], [in_purse(aida, 900)], aida.key)


def test_a_stranger_loads_nothing(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    with refuses(world, NotEnrolled, key=STRANGER.public):
        load(world, [token], [in_purse(aida, 900)], STRANGER)


def test_a_load_takes_its_owners_tokens(world: World, aida: Customer, bolat: Customer) -> None:
    token = world.fund(bolat, 900)
    with refuses(world, NotOwner, owners=1, signers=1):
        load(world, [token], [in_purse(aida, 900)], aida.key)


def test_a_token_is_loaded_once(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    leaf = load(world, [token], [in_purse(aida, 900)], aida.key)
    with refuses(world, DoubleSpend, outpoint=token, by=leaf[:32]):
        load(world, [token], [in_purse(aida, 899), out(aida, 1)], aida.key)


@pytest.mark.parametrize("whose", ["customer", "bank", "nobody"])
def test_what_is_not_loaded_is_change(world: World, aida: Customer, bolat: Customer, whose: str) -> None:
    token = world.fund(aida, 900)
    key = {"customer": bolat.key, "bank": world.banks["altyn"], "nobody": STRANGER}[whose].public
    with refuses(world, WrongPayee):
        load(world, [token], [in_purse(aida, 600), out(key, 300)], aida.key)


@pytest.mark.parametrize("amount_tiyn", [899, 901])
def test_a_load_conserves_value(world: World, aida: Customer, amount_tiyn: int) -> None:
    token = world.fund(aida, 900)
    with refuses(world, AmountMismatch, missing_tiyn=amount_tiyn - 900):
        load(world, [token], [in_purse(aida, amount_tiyn)], aida.key)


def test_a_load_neither_marks_nor_washes(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    marked, free = grant(world, sponsor, purpose, aida, 900), world.fund(aida, 900)
    for token, mark in ((marked, None), (free, purpose)):
        with refuses(world, PurposeMismatch):
            load(world, [token], [in_purse(aida, 900, mark)], aida.key)


def test_a_purse_holds_up_to_its_limit(world: World, aida: Customer) -> None:
    world.load(aida, LIMITS.holding_tiyn)
    token = world.fund(aida, 1)
    with refuses(world, LimitHolding, found=LIMITS.holding_tiyn + 1, limit=LIMITS.holding_tiyn):
        load(world, [token], [in_purse(aida, 1)], aida.key)


def test_what_was_spent_makes_room(world: World, aida: Customer, bolat: Customer) -> None:
    full = world.load(aida, LIMITS.holding_tiyn)
    world.reconcile(pay(world, aida, bolat, full, LIMITS.payment_tiyn, LIMITS.holding_tiyn - LIMITS.payment_tiyn))
    world.load(aida, LIMITS.payment_tiyn)
    assert world.live_tiyn(aida.purse.public) == LIMITS.holding_tiyn


def test_an_expired_purpose_is_not_loaded(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    token = grant(world, sponsor, purpose, aida, 900)
    world.now_s = EXPIRY_S
    with refuses(world, Expired, purpose="meals"):
        load(world, [token], [in_purse(aida, 900, purpose)], aida.key)


# --- unload and renew --------------------------------------------------------------------------


def test_an_unload_brings_value_online(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    token = unload(world, [leaf], [out(aida, 900)], aida.purse)
    assert world.token(token) == Token(aida.key.public, 900, None)
    assert (world.supply().online_tiyn, world.supply().pool_tiyn) == (900, 0)
    assert world.live_tiyn(aida.purse.public) == 0


def test_a_received_leaf_is_unloaded(world: World, aida: Customer, bolat: Customer) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    world.reconcile(payment)
    unload(world, [paid(world, payment)], [out(bolat, 900)], bolat.purse)
    assert world.online_tiyn(bolat.key.public) == 900


def test_a_renewal_starts_afresh(world: World, aida: Customer, bolat: Customer) -> None:
    payment = pay(world, aida, bolat, world.load(aida, 900), 900)
    world.now_s += DAY_S
    world.reconcile(payment)
    old = world.leaf(paid(world, payment))
    renewed = world.leaf(unload(world, [paid(world, payment)], [in_purse(bolat, 900)], bolat.purse))
    assert old is not None
    assert renewed is not None
    assert (old.hops, renewed.hops) == (1, 0)
    assert (old.final_at_s, renewed.final_at_s) == (
        NOW_S + POLICY.offline_final_days * DAY_S,
        world.now_s + POLICY.offline_final_days * DAY_S,
    )
    assert world.supply().pool_tiyn == 900


def test_a_sync_may_renew_some_and_unload_some(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    unload(world, [leaf], [in_purse(aida, 500), out(aida, 400)], aida.purse)
    assert (world.live_tiyn(aida.purse.public), world.online_tiyn(aida.key.public)) == (500, 400)
    assert world.supply().pool_tiyn == 500


def test_only_a_purse_unloads(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    with refuses(world, NotEnrolled, key=aida.key.public):
        unload(world, [leaf], [out(aida, 900)], aida.key)


def test_a_purse_unloads_its_own(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    with refuses(world, NotOwner, outpoint=leaf):
        unload(world, [leaf], [out(bolat, 900)], bolat.purse)


def test_a_revoked_purse_unloads_nothing(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    revoke(world, aida)
    with refuses(world, CertificateRevoked, key=aida.purse.public):
        unload(world, [leaf], [out(aida, 900)], aida.purse)


def test_an_unload_goes_to_its_owner(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    with refuses(world, WrongPayee):
        unload(world, [leaf], [out(bolat, 900)], aida.purse)


def test_an_unload_has_its_time(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    with refuses(world, Expired, limit=NOW_S - 1):
        unload(world, [leaf], [out(aida, 900)], aida.purse, until_s=NOW_S - 1)


def test_a_leaf_is_unloaded_once(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    token = unload(world, [leaf], [out(aida, 900)], aida.purse)
    with refuses(world, DoubleSpend, outpoint=leaf, by=token[:32], winner=world.entries - 1):
        unload(world, [leaf], [out(aida, 899), out(aida, 1)], aida.purse)


def test_a_paid_leaf_is_not_unloaded(world: World, aida: Customer, bolat: Customer) -> None:
    leaf = world.load(aida, 900)
    payment = pay(world, aida, bolat, leaf, 900)
    world.reconcile(payment)
    with refuses(world, DoubleSpend, outpoint=leaf, by=world.message_id(payment)):
        unload(world, [leaf], [out(aida, 900)], aida.purse)


def test_an_unknown_leaf_is_not_unloaded(world: World, aida: Customer) -> None:
    with refuses(world, AncestryBroken, outpoint=bytes(34)):
        unload(world, [bytes(34)], [out(aida, 900)], aida.purse)


def test_a_final_leaf_is_not_unloaded(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    world.now_s += POLICY.offline_final_days * DAY_S
    with refuses(world, TooLate, limit=world.now_s):
        unload(world, [leaf], [out(aida, 900)], aida.purse)


@pytest.mark.parametrize("amount_tiyn", [899, 901])
def test_an_unload_conserves_value(world: World, aida: Customer, amount_tiyn: int) -> None:
    leaf = world.load(aida, 900)
    with refuses(world, AmountMismatch, missing_tiyn=amount_tiyn - 900):
        unload(world, [leaf], [out(aida, amount_tiyn)], aida.purse)


def test_an_unload_does_not_wash(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    with refuses(world, PurposeMismatch):
        unload(world, [leaf], [out(aida, 900)], aida.purse)


def test_an_expired_purpose_is_unloaded_but_not_renewed(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    world.now_s = EXPIRY_S
    with refuses(world, Expired, purpose="meals"):
        unload(world, [leaf], [in_purse(aida, 900, purpose)], aida.purse)
    token = unload(world, [leaf], [out(aida, 900, purpose)], aida.purse)
    assert world.token(token) == Token(aida.key.public, 900, purpose)


def test_a_dismissed_banks_purse_unloads_but_is_not_renewed(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    dismiss(world, "altyn")
    with refuses(world, CertificateRevoked, bank="altyn"):
        unload(world, [leaf], [in_purse(aida, 900)], aida.purse)
    unload(world, [leaf], [out(aida, 900)], aida.purse)
    assert world.online_tiyn(aida.key.public) == 900


def test_a_renewal_waits_for_the_bank_to_pay_its_debt(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    owing(world, "altyn")
    with refuses(world, ReserveShort, claims_tiyn=300):
        unload(world, [leaf], [in_purse(aida, 900)], aida.purse)
    world.set_reserve("altyn", 300)
    unload(world, [leaf], [in_purse(aida, 900)], aida.purse)
    assert world.live_tiyn(aida.purse.public) == 900


def test_a_merchant_is_paid_in_its_purse_and_unloads(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    canteen = world.customer("canteen", merchant=CANTEEN)
    leaf = load(world, [grant(world, sponsor, purpose, aida, 900)], [in_purse(aida, 900, purpose)], aida.key)
    payment = world.payment(aida, canteen, (leaf,), (in_purse(canteen, 900, purpose),))
    world.reconcile(payment)
    unload(world, [paid(world, payment)], [out(canteen, 900)], canteen.purse)
    assert world.online_tiyn(canteen.key.public) == 900
