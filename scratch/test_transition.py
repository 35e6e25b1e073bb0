"""Hostile: transition."""
from __future__ import annotations
import pytest
from dataclasses import replace
from cbdc.errors import *
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.messages import bodies
from cbdc.messages.message import build
from cbdc.policy import DAY_S, Policy
from tests.support import World, LIMITS, NOW_S
from tests.unit.helpers import *


def release_raw(world, releaser, payer, payment_raw, amount, hop=0, purpose=None, **terms):
    pid = world.message_id(payment_raw)
    return world.payment(releaser, payer, (outpoint(pid, 0),), (in_purse(payer, amount, purpose),), hop=hop, invoice_id=pid, **terms)


@pytest.mark.parametrize("how", ["release", "payment"])
def test_A_honest_payee_behind_a_way_back_loses(how):
    w = World.founded("altyn", "kumis")
    w.set_reserve("altyn", 1_000_00); w.set_reserve("kumis", 1_000_00)
    thief = w.customer("thief"); shop = w.customer("shop", "kumis"); honest = w.customer("honest", "kumis")
    x = w.load(thief, 10_000)
    old_list = w.now_s            # honest has this list
    w.now_s += 3600
    revoke(w, thief)              # reported lost
    w.now_s += 3600
    p = pay(w, thief, shop, x, 10_000)                    # shop's list is newer: at fault (trust_list_s = now)
    if how == "release":
        back = release_raw(w, shop, thief, p, 10_000, hop=0)
        hop = 1
    else:
        back = pay(w, shop, thief, paid(w, p), 10_000, hop=2, trust_list_s=old_list)
        hop = 3
    q = pay(w, thief, honest, paid(w, back), 10_000, hop=hop, trust_list_s=old_list, ledger_time_s=old_list)
    w.now_s += 60                                        # well within trust_list_days
    try:
        d = w.reconcile(p, back, q)
        print("refused:", [(n.hex()[:8], e.code, e.message) for n, e in d.refused])
    except TengeError as e:
        print("WHOLE REFUSED", e.code, e)
    for n, raw in (("p", p), ("back", back), ("q", q)):
        try:
            w.reconcile(raw); print(n, "taken")
        except TengeError as e: print(n, e.code, e.message)
    print(how, "honest has", w.live_tiyn(honest.purse.public), "thief has", w.live_tiyn(thief.purse.public))
    w.now_s = NOW_S + 22 * DAY_S
    sweep(w, x)
    print("at final_at thief online", w.online_tiyn(thief.key.public), "honest online", w.online_tiyn(honest.key.public))
    assert w.live_tiyn(honest.purse.public) == 10_000


def test_J_void_back_under_a_renewed_certificate():
    w = World.founded("altyn", "kumis")
    w.set_reserve("altyn", 1_000_00); w.set_reserve("kumis", 1_000_00)
    thief = w.customer("thief"); acc = w.customer("acc", "kumis")
    old_id = thief.certificate(w.network).id
    x = w.load(thief, 10_000)
    new_id = renew_purse(w, thief)
    old_list = w.now_s
    w.now_s += 3600
    revoke(w, thief, new_id)
    w.now_s += 3600
    p = pay(w, thief, acc, x, 10_000)  # named under old certificate
    back = pay(w, acc, thief, paid(w, p), 10_000, hop=2, payee_certificate=new_id)
    d = w.reconcile(p, back)
    print("refused:", [(n.hex()[:8], e.code) for n, e in d.refused])
    print("thief live", w.live_tiyn(thief.purse.public), "reserve kumis", reserve_of(w, "kumis"), "acc debt", debt_of(w, acc))
    w.now_s = NOW_S + 22 * DAY_S
    sweep(w, x, paid(w, back))
    print("thief online at final", w.online_tiyn(thief.key.public))
    assert w.online_tiyn(thief.key.public) <= 10_000


def test_F_policy_change_makes_honest_payee_lose():
    w = World.founded("altyn")
    a, b = w.customer("a"), w.customer("b")
    x = w.load(a, 10_000)
    lst = w.now_s
    w.now_s += 2 * DAY_S + 100
    p = pay(w, a, b, x, 10_000, trust_list_s=lst, ledger_time_s=w.now_s)   # 2 days old list: allowed (3 days)
    w.now_s += 10
    policy = replace(Policy(), trust_list_days=1)
    w.submit(build(Kind.POLICY, bodies.SetPolicy(policy, w.nonce()), [w.governor.key], w.network) if hasattr(w.governor, "key") else w.governor.set_policy(policy, w.nonce()))
    try:
        w.reconcile(p)
    except TengeError as e:
        print(e.code, e)
    assert w.live_tiyn(b.purse.public) == 10_000


def test_M_pool_negative_redeem_more_than_issued():
    w = World.founded("altyn")
    a, b, c = (w.customer(n) for n in "abc")
    x = w.load(a, 10_000)
    p1 = pay(w, a, b, x, 10_000); p2 = pay(w, a, c, x, 10_000, salt="2")
    w.reconcile(p1); w.reconcile(p2)
    tb = unload(w, [paid(w, p1)], [out(b, 10_000)], b.purse)
    tc = unload(w, [paid(w, p2)], [out(c, 10_000)], c.purse)
    print(w.supply())
    t = transfer(w, [tb, tc], [Output(w.banks["altyn"].public, 20_000, None)], b.key, c.key)
    root = w.governor
    k = getattr(root, "key", None) or getattr(root, "_key", None)
    w.do(Kind.REDEEM, bodies.Redeem((t[0],), (), LATER_S, 20_000), k, w.banks["altyn"])
    print(w.supply(), reserve_of(w, "altyn"))
    s = w.supply()
    assert s.redeemed_tiyn <= s.issued_tiyn


def test_K_sweep_order_chooses_the_mark():
    from tests.unit.helpers import CANTEEN, grant
    roots = []
    for order in (0, 1):
        w = World.founded("altyn")
        w.set_reserve("altyn", 1_000_00)
        akimat, meals = sponsored(w)
        meals = define(w, akimat, expires_s=NOW_S + 100 * DAY_S, name="long")
        a, b, c = (w.customer(n) for n in "abc")
        x = w.load(a, 1000)
        free = w.load(a, 1000)
        g = grant(w, akimat, meals, a, 1000)
        marked = load(w, [g], [in_purse(a, 1000, meals)], a.key)
        p1 = pay(w, a, b, x, 1000); p2 = pay(w, a, c, x, 1000, salt="2")
        w.reconcile(p1, p2)
        w.now_s = NOW_S + 21 * DAY_S
        names = [free, marked] if order == 0 else [marked, free]
        for n in names: sweep(w, n)
        toks = [(t.amount_tiyn, t.purpose and "marked") for t in map(lambda kv: __import__("cbdc.state.records", fromlist=["Token"]).Token.decode(kv[1]), [kv for kv in w.view.records().items() if kv[0][0] is Table.TOKEN]) if t.owner == a.key.public]
        print(order, "a gets online:", toks, "debt", debt_of(w, a))
        roots.append(toks)
    assert roots[0] == roots[1]


def test_G_quadratic_spenders():
    import time
    w = World.founded("altyn")
    a, b = w.customer("a"), w.customer("b")
    x = w.load(a, 1)
    n = 0
    for group in range(8):
        raws = [pay(w, a, b, x, 1, salt=str(n + i)) for i in range(1000)]
        n += 1000
        t = time.perf_counter()
        w.reconcile(*raws)
        dt = time.perf_counter() - t
        print(n, "forks of one tiyn:", round(dt, 2), "s per reconcile of 1000; record bytes", len(w.view.get((Table.OFFLINE, x))))


def test_G2_quadratic_seizure():
    import time
    w = World.founded("altyn")
    a, b, c = w.customer("a"), w.customer("b"), w.customer("c")
    # make a a culprit
    x = w.load(a, 1)
    w.reconcile(pay(w, a, b, x, 1), pay(w, a, c, x, 1, salt="x"))
    # b splits to many tiny leaves of a
    for k in range(40):
        big = w.load(b, 256) if not reserve_of(w, "altyn").claims_tiyn else None
        if big is None:
            w.set_reserve("altyn", 10_000); big = w.load(b, 256)
        w.reconcile(w.payment(b, a, (big,), tuple(in_purse(a, 1) for _ in range(256)), salt=f"s{k}"))
    leaves = [k[1] for k, v in w.view.records().items() if k[0] is Table.OFFLINE and __import__("cbdc.state.records", fromlist=["OfflineToken"]).OfflineToken.decode(v).owner == a.purse.public and __import__("cbdc.state.records", fromlist=["OfflineToken"]).OfflineToken.decode(v).is_live]
    print("culprit's live leaves:", len(leaves))
    raws = [pay(w, a, b, l, 1, hop=2, salt=l.hex()) for l in leaves[:200]]
    t = time.perf_counter(); w.reconcile(*raws); dt = time.perf_counter() - t
    print("200 payments by the culprit:", round(dt, 2), "s", round(dt / 200 * 1000, 2), "ms each")
