from __future__ import annotations
import pytest, time
from cbdc.errors import *
from cbdc.messages import bodies
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import outpoint, Output
from cbdc.messages.message import build, decode
from cbdc.formats.ed25519 import SigningKey
from cbdc.messages.bodies import OfflineTerms, Transfer
from tests.support import LATER_S, World, NOW_S
from tests.unit.helpers import *
from tests.wallet.conftest import *
from tests.wallet.town import Cable
from cbdc.policy import DAY_S
from wallet.protocol import PaymentBundle, read_invoice
from scratch.test_wallets import try_sync


def test_K2_when_the_sweep_comes_decides_the_debt():
    out_ = []
    for late in (False, True):
        w = World.founded("altyn"); w.set_reserve("altyn", 100_000)
        a, b, c = (w.customer(n) for n in "abc")
        l1 = w.load(a, 1000)
        w.now_s += 5 * DAY_S
        x = w.load(a, 1000)
        p, q = pay(w, a, b, x, 1000), pay(w, a, c, x, 1000, salt="q")
        w.now_s = NOW_S + 21 * DAY_S
        if not late: sweep(w, l1)
        w.now_s += DAY_S
        w.reconcile(p, q)
        if late: sweep(w, l1)
        out_.append((debt_of(w, a), w.online_tiyn(a.key.public), reserve_of(w, "altyn").reserve_tiyn))
        print("sweep late" if late else "sweep in time", "debt, a online, reserve:", out_[-1])
    assert out_[0] == out_[1]


class Counting(Cable):
    n = 0
    def submit(self, m):
        self.n += 1
        return super().submit(m)


@pytest.mark.parametrize("poison", [False, True])
def test_E2_a_two_signer_proof_spoils_every_batch(found, poison):
    town = found("a", "b", "shop", spends=1000, hops=5)
    town["a"].load(town.port, 600_00)
    for i in range(12):
        town.pay_offline("a", "b", 10_00)
        if i % 6 == 5: town.sync("a")
    for i in range(4): town.pay_offline("b", "shop", 25_00)      # shop's evidence: chains of two hops and merges
    shop = town["shop"]
    if poison:
        inv = read_invoice(shop.purse.invoice(10_00), shop.network)
        k1, k2 = SigningKey(b"\7" * 32), SigningKey(b"\x08" * 32)
        cert = town["a"].purse.certificate
        def junk(i, *keys):
            terms = OfflineTerms(inv.id, cert.id, inv.certificate.id, 1, 1, 1, inv.trust_list_s, inv.ledger_time_s)
            return build(Kind.TRANSFER, Transfer((bytes(32) + b"\0\0",), (Output(inv.certificate.key, i, None),), inv.ledger_time_s + 1000, None, terms), list(keys), shop.network)
        b = PaymentBundle(junk(10_00, k1), (junk(1, k1, k2),), (), (town["a"].purse.certificate_raw,)).encode()
        try: shop.purse.accept(b)
        except TengeError as e: print(e.code, "kept", len(shop.vault.items("proof")))
    for _ in range(3):
        port = Counting(town.port)
        try: r = shop.sync(port); print("poison" if poison else "clean", "submissions", port.n, "refused", sorted(c for _, c in r.refused), "offline", r.offline_tiyn, town.held("shop"))
        except TengeError as e: print(e.code)
