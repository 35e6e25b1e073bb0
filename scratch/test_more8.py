from __future__ import annotations
from tests.support import World, NOW_S, LIMITS
from tests.unit.helpers import *
from cbdc.policy import DAY_S


def test_S_one_opened_purse_and_one_accomplice():
    w = World.founded("altyn"); w.set_reserve("altyn", 500_00)
    a, b = w.customer("a"), w.customer("b")
    x = w.load(a, 20_000_00)
    print("before", w.supply())
    raws = [pay(w, a, b, x, 20_000_00, salt=str(i)) for i in range(1000)]     # every one names the same open list, the same payee
    w.reconcile(*raws)
    leaves = [paid(w, r) for r in raws]
    print("b's purse holds", w.live_tiyn(b.purse.public), "its holding limit", LIMITS.holding_tiyn)
    for i in range(0, 1000, 250):
        unload(w, leaves[i:i + 250], [out(b, 250 * 20_000_00)], b.purse)
    print("after", w.supply(), "b online", w.online_tiyn(b.key.public), "a owes", debt_of(w, a))
    # and b can spend it at once, to anybody: b's purse is not even revoked
    assert w.supply().online_tiyn <= w.supply().issued_tiyn


def test_S2_b_splits_over_own_second_spend_same_device_would_have_seen():
    """Rule 2: 'a device that finds both spends between that and what it holds refuses'. The ledger pays the acceptor who did not."""
    w = World.founded("altyn"); w.set_reserve("altyn", 500_00)
    a, b = w.customer("a"), w.customer("b")
    x = w.load(a, 100_00)
    w.reconcile(pay(w, a, b, x, 100_00)); w.reconcile(pay(w, a, b, x, 100_00, salt="again"))
    print("b", w.live_tiyn(b.purse.public), "b owes", debt_of(w, b), "reserve", reserve_of(w, "altyn").reserve_tiyn)
