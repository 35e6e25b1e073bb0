"""What a payee's purse takes and what it refuses: every forgery with its own code, and nothing stored of it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cbdc.errors import (
    AmountMismatch,
    BadSignature,
    DoubleSpend,
    Expired,
    LimitHolding,
    NotEnrolled,
    TengeError,
    TrustListStale,
    WrongPayee,
)
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_PROOF_PAYMENTS
from cbdc.offline.documents import TrustList
from cbdc.policy import DAY_S
from tests.support import NOW_S, seed
from tests.wallet.forgeries import AMOUNT, FORGERIES, TOKEN, UNPROVEN, Scene, in_order
from tests.wallet.paper import BOOKSHOP, CANTEEN, Device, Paper
from wallet import acceptance, purse_store
from wallet.acceptance import Accepted, Knowledge
from wallet.protocol import PaymentBundle


@pytest.fixture
def scene(paper: Paper, new_device: Callable[..., Device]) -> Scene:
    return Scene.set(paper, new_device("shop", merchant=BOOKSHOP))


def check(scene: Scene, bundle: PaymentBundle, **knowledge: object) -> Accepted:
    """The pure judgement, with parts of the shop's knowledge replaced."""
    know: Knowledge = replace(scene.shop.purse.knowledge(), **knowledge)
    return acceptance.check(bundle, lambda wanted: scene.invoice if wanted == scene.invoice.id else None, know)


# --- honest ------------------------------------------------------------------------------------


def test_an_honest_payment_is_taken_whole(scene: Scene) -> None:
    bundle = scene.bundle()
    payment_id = scene.paper.message_id(bundle.payment)
    accepted = check(scene, bundle)
    assert (accepted.id, accepted.amount_tiyn, accepted.payer) == (payment_id, AMOUNT, scene.dana.certificate)
    ((name, token),) = accepted.mine.items()
    assert name == outpoint(payment_id, 0)
    assert (token.owner, token.amount_tiyn, token.hops) == (scene.shop.element.public_key, AMOUNT, 1)
    assert (token.spend_until_s, token.final_at_s) == (scene.coin[1].spend_until_s, scene.coin[1].final_at_s)
    assert accepted.loads == {scene.coin[0]: scene.coin[2]}


def test_an_honest_second_hop_is_taken(scene: Scene) -> None:
    accepted = check(scene, scene.second_hop(scene.ancestor()))
    assert [len(hop.tokens) for hop in accepted.hops] == [1, 2]
    (token,) = accepted.mine.values()
    assert token.hops == 2


def test_change_of_a_second_hop_travels_no_further(scene: Scene) -> None:
    accepted = check(scene, in_order(scene))
    (token,) = accepted.mine.values()
    assert (token.hops, len(accepted.hops)) == (2, 3)


def test_several_coins_at_once_take_the_earliest_deadlines_and_the_highest_hop(scene: Scene) -> None:
    soon = scene.paper.load(scene.dana.key.public, 1_00, spend_until_s=NOW_S + 9, final_at_s=NOW_S + 99)
    ancestor = scene.ancestor()
    inputs = (scene.coin[0], soon[0], outpoint(scene.paper.message_id(ancestor), 0))
    transfer = scene.transfer(inputs=inputs, outputs=scene.outputs(change=2 * TOKEN + 1_00 - AMOUNT), hop=2)
    loads = (scene.coin[2], soon[2], scene.erlans_coin()[2])
    accepted = check(scene, scene.bundle(transfer, ancestry=(ancestor,), loads=loads, certificates=scene.both()))
    (token,) = accepted.mine.values()
    assert (token.hops, token.spend_until_s, token.final_at_s) == (2, NOW_S + 9, NOW_S + 99)


def test_several_outputs_to_the_payee_add_up(scene: Scene) -> None:
    shop = scene.shop.element.public_key
    outputs = (Output(shop, AMOUNT - 1, None), Output(shop, 1, None), Output(scene.dana.key.public, 40_00, None))
    accepted = check(scene, scene.bundle(scene.transfer(outputs=outputs)))
    assert sorted(token.amount_tiyn for token in accepted.mine.values()) == [1, AMOUNT - 1]


def test_the_last_second_of_every_deadline_counts(scene: Scene) -> None:
    coin = scene.paper.load(scene.dana.key.public, TOKEN, spend_until_s=NOW_S + 3 * DAY_S)
    bundle = scene.spending(coin, None)
    last_s = NOW_S + 3 * DAY_S
    assert check(scene, bundle, clock_s=last_s, ledger_time_s=last_s).amount_tiyn == AMOUNT
    for late in ({"ledger_time_s": last_s + 1}, {"clock_s": last_s + 1}):
        with pytest.raises((Expired, TrustListStale)):
            check(scene, bundle, **late)


def test_marks_are_judged_and_cleared_at_the_payee(paper: Paper, new_device: Callable[..., Device]) -> None:
    scene = Scene.set(paper, new_device("canteen", merchant=CANTEEN))
    coin = paper.load(scene.dana.key.public, TOKEN, paper.meals_id)
    accepted = check(scene, scene.spending(coin, paper.meals_id))
    to_canteen, change = accepted.hops[-1].tokens
    assert (to_canteen.purpose, change.purpose) == (None, paper.meals_id)


# --- forged ------------------------------------------------------------------------------------


@pytest.mark.parametrize("name", FORGERIES)
def test_a_forgery_is_refused_with_its_code_and_leaves_nothing(scene: Scene, name: str) -> None:
    """But for the proof of a fork, and that only if it is one."""
    forgery, error = FORGERIES[name]
    forged = forgery(scene)
    before = scene.shop.everything()
    with pytest.raises(TengeError) as refused:
        scene.shop.purse.accept(forged if isinstance(forged, bytes) else forged.encode())
    assert type(refused.value) is error, refused.value
    assert scene.shop.everything() == before
    assert bool(scene.shop.vault.items("proof")) is (error is DoubleSpend and name not in UNPROVEN)


def test_after_every_forgery_the_honest_payment_still_passes(scene: Scene) -> None:
    """Refusals use nothing up: not the invoice, not the coin. Those that change the shop's world are left out."""
    set_alone = {"a_revoked_certificate", "a_shop_that_has_not_synced_for_days", "an_expired_coin_by_the_shops_clock"}
    set_alone |= {"an_expired_coin_by_signed_time"}
    people = scene.dana, scene.erlan
    for name in FORGERIES.keys() - set_alone:
        forged = FORGERIES[name][0](scene)
        scene.dana, scene.erlan = people
        with pytest.raises(TengeError):
            scene.shop.purse.accept(forged if isinstance(forged, bytes) else forged.encode())
    scene.shop.purse.accept(scene.bundle().encode())
    assert scene.shop.purse.balance_tiyn() == AMOUNT


def test_an_ancestor_dated_ahead_of_every_clock_is_refused(scene: Scene) -> None:
    ahead_s = NOW_S + 5 * DAY_S
    with pytest.raises(TengeError):
        check(scene, scene.second_hop(scene.ancestor(ledger_time_s=ahead_s, trust_list_s=ahead_s)))


# --- against what the device knows -------------------------------------------------------------


def test_a_spend_that_the_device_has_seen_before_makes_a_fork(scene: Scene) -> None:
    bundle = scene.bundle()
    payment_id = scene.paper.message_id(bundle.payment)
    assert check(scene, bundle, spender_of=lambda _: payment_id).id == payment_id
    with pytest.raises(DoubleSpend) as refused:
        check(scene, bundle, spender_of=lambda _: seed("another payment"))
    assert refused.value.values["outpoint"] == scene.coin[0]


def test_no_more_than_the_invoices_headroom(scene: Scene) -> None:
    asked = scene.invoice
    scene.invoice = replace(asked, headroom_tiyn=AMOUNT - 1)
    with pytest.raises(LimitHolding):
        check(scene, scene.bundle())
    scene.invoice = replace(asked, headroom_tiyn=AMOUNT)
    assert check(scene, scene.bundle()).amount_tiyn == AMOUNT


def test_the_amount_is_the_invoices(scene: Scene) -> None:
    scene.invoice = replace(scene.invoice, amount_tiyn=AMOUNT - 1)
    with pytest.raises(AmountMismatch):
        check(scene, scene.bundle())


def test_without_an_open_invoice_nothing_is_taken(scene: Scene) -> None:
    with pytest.raises(WrongPayee):
        acceptance.check(scene.bundle(), lambda _: None, scene.shop.purse.knowledge())


def test_a_trust_list_is_stale_one_second_after_its_days(scene: Scene) -> None:
    limit_s = NOW_S + scene.paper.policy.trust_list_days * DAY_S
    assert check(scene, scene.bundle(), clock_s=limit_s).amount_tiyn == AMOUNT
    with pytest.raises(TrustListStale):
        check(scene, scene.bundle(), clock_s=limit_s + 1)


def test_another_operators_load_is_worth_nothing(scene: Scene) -> None:
    other = TrustList.verify(scene.paper.trust_list(operator=scene.erlan.key), scene.paper.network)
    with pytest.raises(BadSignature):
        check(scene, scene.bundle(), trust_list=other)


def test_a_bank_off_the_list_vouches_for_nobody(scene: Scene) -> None:
    full = TrustList.verify(scene.paper.trust_list(), scene.paper.network)
    operator_only = replace(full, institutions=tuple(i for i in full.institutions if i.name != "altyn"))
    with pytest.raises(NotEnrolled):
        check(scene, scene.bundle(), trust_list=operator_only)


# --- proofs of forks ---------------------------------------------------------------------------


def refuse_fork(scene: Scene, *ancestry: bytes, **parts: object) -> None:
    bundle = scene.bundle(ancestry=ancestry, certificates=scene.both(), **parts)
    with pytest.raises(DoubleSpend):
        scene.shop.purse.accept(bundle.encode())


def kept(scene: Scene) -> set[bytes]:
    return {raw for _, raw in scene.shop.vault.items("proof")}


def test_a_proof_is_both_payments_and_nothing_that_came_beside_them(scene: Scene) -> None:
    """erlan's honest payment is in the ancestry, and leads to neither spend of the coin."""
    loads = (scene.coin[2], scene.erlans_coin()[2])
    beside = scene.ancestor()
    refuse_fork(scene, beside, scene.to_erlan(), loads=loads)
    assert kept(scene) == {scene.to_erlan(), scene.bundle().payment}


def test_a_proof_has_what_leads_up_to_it(scene: Scene) -> None:
    """Two payments of what erlan gave dana: the ledger needs his payment to take them."""
    ancestor = scene.ancestor()
    made = outpoint(scene.paper.message_id(ancestor), 0)
    parties = (scene.dana.certificate.id, scene.erlan.certificate.id)
    outputs = (Output(scene.erlan.key.public, TOKEN, None),)
    rival = scene.paper.signed(scene.paper.transfer(*parties, (made,), outputs, hop=2), scene.dana.key)
    bundle = scene.second_hop(ancestor, rival, index=0, ancestry=(ancestor, rival))
    spends = scene.bundle(scene.transfer(inputs=(made,), hop=2)).payment
    with pytest.raises(DoubleSpend):
        scene.shop.purse.accept(replace(bundle, payment=spends).encode())
    assert kept(scene) == {ancestor, rival, spends}


def test_forks_without_end_fill_no_storage(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whoever has dana's key signs as many spends of her coin as he likes; all of them are true proofs."""
    monkeypatch.setattr(purse_store, "MAX_PROOF_PAYMENTS", 7)
    parties = (scene.dana.certificate.id, scene.erlan.certificate.id)
    for counter in range(1, 12):
        outputs = (Output(scene.erlan.key.public, TOKEN, None),)
        rival = scene.paper.transfer(*parties, (scene.coin[0],), outputs, counter=counter)
        refuse_fork(scene, scene.paper.signed(rival, scene.dana.key))
    assert len(kept(scene)) == 7
    refuse_fork(scene, scene.to_erlan())
    assert len(kept(scene)) == 7


def test_a_stranger_who_quotes_a_certificate_proves_nothing(scene: Scene) -> None:
    """Certificates and payments are seen by many; only what their owners signed is kept."""
    parties = (scene.dana.certificate.id, scene.erlan.certificate.id)
    outputs = (Output(scene.erlan.key.public, TOKEN, None),)
    rivals = [scene.paper.transfer(*parties, (scene.coin[0],), outputs, counter=counter) for counter in (1, 2)]
    refuse_fork(scene, *(scene.paper.signed(rival, SigningKey(seed("nobody"))) for rival in rivals))
    assert kept(scene) == set()


def test_a_proof_too_long_for_the_room_left_is_kept_in_no_part(scene: Scene) -> None:
    many = [scene.to_erlan(), scene.bundle().payment]
    assert scene.shop.purse.keep_proof(many)
    rivals = [
        scene.paper.signed(
            scene.transfer(counter=counter, spends=1, hop=1),
            scene.dana.key,
        )
        for counter in range(2, MAX_PROOF_PAYMENTS + 1)
    ]
    assert not scene.shop.purse.keep_proof(rivals)
    assert kept(scene) == set(many)
    assert scene.shop.purse.keep_proof(rivals[1:])
    assert len(kept(scene)) == MAX_PROOF_PAYMENTS
    assert scene.shop.purse.keep_proof(many)
