"""Hostile: devices."""
from __future__ import annotations
import pytest
from cbdc.errors import *
from cbdc.formats import cbor, cose
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.messages.bodies import OfflineTerms, Transfer, Reconcile
from cbdc.messages.message import build, decode
from cbdc.formats.ed25519 import SigningKey
from tests.wallet.conftest import *
from wallet.protocol import PaymentBundle, invoice_payload, read_invoice
from wallet.states import *
DAY_S = 86_400


def signed_by(wallet, inputs, outputs, payee, invoice_id=None, hop=1):
    el = wallet.purse.element
    c, s = el.counters()
    terms = OfflineTerms(invoice_id or bytes(32), wallet.purse.certificate.id, payee.purse.certificate.id, c + 1, s + 1, hop,
                         wallet.purse.trust_list.time_s, wallet.purse.ledger_time_s)
    body = Transfer(tuple(inputs), tuple(outputs), wallet.purse.ledger_time_s + 365 * DAY_S, None, terms)
    payload = cbor.encode(body.to_cbor())
    return cose.assemble(Kind.TRANSFER, payload, [el.sign_payment(payload)])


def try_sync(town, name):
    try:
        town.sync(name); return "ok"
    except TengeError as e:
        return f"{e.code}: {e}"


def test_B_dust_bricks_a_purse(found):
    town = found("eve", "shop")
    town["eve"].load(town.port, 300_00)
    town["shop"].load(town.port, 100_00)
    name = next(iter(town["eve"].purse.tokens()))
    eve, shop = town["eve"], town["shop"]
    outs = [Output(shop.purse_key, 1, None)] * 256
    outs = outs[:255] + [Output(eve.purse_key, 300_00 - 255, None)]
    raw = signed_by(eve, [name], outs, shop)
    town.port.submit(build(Kind.RECONCILE, Reconcile((raw,)), [], eve.network))
    outs2 = [Output(shop.purse_key, 1, None)] * 5 + [Output(eve.purse_key, 300_00 - 260, None)]
    raw2 = signed_by(eve, [outpoint(decode(raw, eve.network).id, 255)], outs2, shop, invoice_id=b"\1" * 32)
    town.port.submit(build(Kind.RECONCILE, Reconcile((raw2,)), [], eve.network))
    print("shop before", town.held("shop"), "leaves", len(town.port.offline_of([shop.purse_key])))
    for _ in range(3):
        print("sync:", try_sync(town, "shop"))
    try:
        shop.unload(town.port, 50_00)
    except TengeError as e: print("unload:", e.code, e)
    town.pass_time(30 * DAY_S)
    print("after final_at", try_sync(town, "shop"))
    try: print(town.held("shop"))
    except TengeError as e: print("balance", e.code)
    try:
        shop.load(town.port, 10_00); print("load ok")
    except TengeError as e: print("load", e.code)
    try:
        r = town["shop"].sync(town.port); print("sync again", r.offline_tiyn)
    except TengeError as e: print("sync again", e.code)
    town.pass_time(5 * DAY_S)
    r = try_sync(town, "shop"); leaf = list(town.port.offline_of([shop.purse_key]).values())
    print("renewed?", r, [(l.final_at_s - town.port.ledger_time_s()) / DAY_S for l in leaf])
    try:
        shop.unload(town.port, 1_00); print("unload ok")
    except TengeError as e: print("unload", e.code, e)


def test_B2_a_busy_merchant(found):
    town = found("p", "shop", spends=1000)
    town["p"].load(town.port, 300_00)
    for i in range(260):
        town.pay_offline("p", "shop", 100)
        if i % 50 == 49: town.sync("p")
    print("shop holds", town.held("shop"))
    print("sync", try_sync(town, "shop")); print("sync", try_sync(town, "shop"))
    print(town.held("shop"))
    try: town.pay_offline("shop", "p", 5000); print("pays ok")
    except TengeError as e: print("pay", e.code, e)


@pytest.mark.parametrize("n", [45, 70])
def test_C_merge_of_many_is_signed_and_cannot_be_taken(found, n):
    town = found("p", "shop", "supplier", spends=1000, hops=5)
    town["p"].load(town.port, 300_00)
    for i in range(n):
        town.pay_offline("p", "shop", 100)
        if i % 8 == 7: town.sync("p")
    inv = town["supplier"].purse.invoice(n * 100)
    bundle = town["shop"].purse.pay(inv)
    from wallet.protocol import to_text, from_text
    text = to_text(bundle)
    print(n, "bundle bytes", len(bundle), "text", len(text))
    try:
        from_text(text); print("text ok")
    except TengeError as e: print("text:", e.code, e)
    try:
        town["supplier"].purse.accept(bundle); print("accepted")
    except TengeError as e: print("supplier:", e.code, e)
    print("shop", town.held("shop")) if n < 64 else None
    print("shop sync:", try_sync(town, "shop"))
    print("shop sync:", try_sync(town, "shop"))
    print("shop", town.held("shop"), "supplier on ledger", sum(t.amount_tiyn for t in town.port.offline_of([town["supplier"].purse_key]).values()))
    town["shop"].load(town.port, 50_00)
    print("load ok; sync", try_sync(town, "shop"))


def test_D1_a_lying_invoice_breaks_the_payers_sync(found):
    town = found("p", "liar")
    p, liar = town["p"], town["liar"]
    p.load(town.port, 100_00); p.load(town.port, 500_00)
    know = liar.purse.knowledge()
    now = town.port.ledger_time_s()
    payload = invoice_payload(50_00, liar.purse.certificate_raw, bytes(16), 1000_00, now + 5 * DAY_S, now + 6 * DAY_S)
    inv = liar.element.sign_invoice(payload)
    p.purse.pay(inv)
    print("p", town.held("p"))
    for d in range(5):
        print("day", d, "sync:", try_sync(town, "p"), "counters", p.element.counters(), town.held("p"))
        town.pass_time(DAY_S)
    try: p.unload(town.port, 100_00); print("unload ok")
    except TengeError as e: print("unload", e.code, e)
    town.pass_time(DAY_S + 5)
    print("day 6", try_sync(town, "p"), town.held("p"))


def test_D3_release_lost_with_the_element(found):
    town = found("p", "q")
    town["p"].load(town.port, 100_00)
    pid = town.pay_offline("p", "q", 60_00)
    q = town["q"]
    real = q.purse.element

    class Dies:
        once = True
        def __getattr__(self, n): return getattr(real, n)
        def sign_payment(self, payload):
            s = real.sign_payment(payload)
            if self.once:
                self.once = False
                raise Unreachable("the element died after signing")
            return s
    q.purse.element = Dies()
    for i in range(3):
        try: q.purse.release(pid); print("released")
        except TengeError as e: print("release", i, e.code, e)
    print("q", town.held("q"), "p", town.held("p"))
    print("q sync", try_sync(town, "q")); print("q sync", try_sync(town, "q"))
    print("q", town.held("q"))
    q.load(town.port, 10_00)
    print("after load", try_sync(town, "q"))


def test_D3b_the_same_for_pay(found):
    town = found("p", "q")
    town["p"].load(town.port, 100_00)
    p = town["p"]; real = p.purse.element
    class Dies:
        once = True
        def __getattr__(self, n): return getattr(real, n)
        def sign_payment(self, payload):
            s = real.sign_payment(payload)
            if self.once:
                self.once = False
                raise Unreachable("the element died after signing")
            return s
    p.purse.element = Dies()
    inv = town["q"].purse.invoice(60_00)
    try: p.purse.pay(inv)
    except TengeError as e: print(e.code)
    b = p.purse.pay(inv); town["q"].purse.accept(b); print("pay recovers", town.held("q"))


def test_E_strangers_stuff_the_proof_store(found):
    town = found("p", "shop")
    p, shop = town["p"], town["shop"]
    p.load(town.port, 100_00)
    inv_raw = shop.purse.invoice(10_00)
    inv = read_invoice(inv_raw, shop.network)
    stranger = SigningKey(b"\7" * 32)   # nobody's key at all
    cert = p.purse.certificate   # public: anybody who saw an invoice or a payment of p has it
    def junk(i, out_amount):
        terms = OfflineTerms(inv.id, cert.id, inv.certificate.id, 1, 1, 1, inv.trust_list_s, inv.ledger_time_s)
        body = Transfer((bytes(32) + b"\0\0",), (Output(inv.certificate.key, out_amount, None),), inv.ledger_time_s + 1000, i.to_bytes(8, "big") * 100, terms)
        return build(Kind.TRANSFER, body, [stranger], shop.network)
    n = 0
    for round_ in range(5):
        anc = [junk(n + i, 1) for i in range(64)]; n += 64
        last = junk(n, 10_00); n += 1
        b = PaymentBundle(last, tuple(anc), (), (p.purse.certificate_raw,)).encode()
        try: shop.purse.accept(b)
        except TengeError as e: code = e.code
    print(code, "proofs kept:", len(shop.vault.items("proof")), "bytes", sum(len(v) for _, v in shop.vault.items("proof")))
    import time
    for _ in range(2):
        t = time.time(); print("sync", try_sync(town, "shop"), round(time.time() - t, 1), "s; still kept", len(shop.vault.items("proof")))


def test_D4_tool_late_drop(found):
    """Interrupted renewal, then one leaf becomes final: the other is stuck and sync fails."""
    from tests.wallet.town import Cable
    town = found("p")
    p = town["p"]
    p.load(town.port, 100_00)
    town.pass_time(5 * DAY_S)
    p.load(town.port, 200_00)
    cable = Cable(town.port)
    cable.refuses = Unreachable("cut")
    try: p.sync(cable)
    except TengeError as e: print("cut sync", e.code)
    town.pass_time(16 * DAY_S + 10)   # first leaf final, second not
    for i in range(3):
        print("sync", try_sync(town, "p"), town.held("p"))
    try: p.unload(town.port, 100_00); print("unload ok")
    except TengeError as e: print("unload", e.code, e)
    town.pass_time(6 * DAY_S)
    print("sync", try_sync(town, "p"), town.held("p"))
