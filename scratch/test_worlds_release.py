"""Random worlds with RELEASE: forks of released tokens, release by clones, release + pay on."""
from __future__ import annotations
import os
from hypothesis import given, settings, HealthCheck, event
from hypothesis import strategies as st
from cbdc.formats.tokens import Output, outpoint
from tests.property import test_worlds as tw
from tests.property.test_worlds import *

class RTale(tw.Tale):
    def something_happens(self):
        if self.draw(st.integers(0, 2)) == 0:
            self.maybe_release()
        super().something_happens()

    def releasable(self, device):
        out = []
        for name in sorted(device.holds):
            p = self.payments.get(name[:32])
            if p is None or getattr(p, "release", False) or p.id in self.releases: continue
            if p.made[0] != name or self.coins[name].owner != device.owner: continue
            if p.at_fault: continue
            out.append(name)
        return out

    @property
    def releases(self):
        if not hasattr(self, "_rel"): self._rel = set()
        return self._rel

    def maybe_release(self):
        cands = [d for d in self.devices if d.owner not in self.stolen and self.releasable(d)]
        if not cands: return
        d = self.one_of(cands)
        times = 1
        if self.draw(st.integers(0, 3)) == 0:   # a releaser who also spends it (fork)
            self.dishonest.add(d.owner)
            before = set(d.holds)
            name = self.one_of(self.releasable(d))
            self.release(d, name)
            after = set(d.holds)
            d.holds = before
            if self.spendable(d): self.pay(d)
            if self.draw(st.booleans()): d.holds = d.holds & after | (d.holds - before)
            event("release and spend by a clone")
        else:
            self.release(d, self.one_of(self.releasable(d)))

    def release(self, device, name):
        p = self.payments[name[:32]]
        coin = self.coins[name]
        purpose = self.coins[p.inputs[0]].purpose
        payer, taker = self.people[device.owner], self.people[p.payer]
        raw = self.world.payment(payer, taker, (name,), (Output(taker.purse.public, coin.amount_tiyn, purpose),),
                                 hop=coin.hop - 1, invoice_id=p.id, salt=str(len(self.payments)))
        rid = self.world.message_id(raw)
        if rid in self.payments: return
        made = (outpoint(rid, 0),)
        self.coins[made[0]] = Coin(p.payer, coin.amount_tiyn, purpose, coin.hop - 1)
        self.payments[rid] = Paid(rid, raw, device.owner, (name,), made, False)
        self.releases.add(rid)
        device.past.append(set(device.holds))
        device.holds = device.holds - {name}
        device.knows.add(rid)
        event("release")
        if self.draw(st.integers(0, 5)):
            back = self.device(p.payer)
            back.holds.add(made[0]); back.knows |= self.with_ancestry(rid)

N = int(os.environ.get("N", "600"))
S = settings(max_examples=N, deadline=None, suppress_health_check=list(HealthCheck), print_blob=True)

@S
@given(data=st.data())
def test_release_worlds(data):
    check(RTale(data.draw, faults=False), data.draw, plans=2)

@S
@given(data=st.data())
def test_release_worlds_with_fault(data):
    check(RTale(data.draw, faults=True), data.draw, plans=2)
