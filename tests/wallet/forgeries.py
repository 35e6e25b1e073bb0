"""One honest payment, and every way we could think of to make it dishonest.

`Scene` sets a table: dana's purse key is in a forger's hands, the shop has a real device and an open invoice. Each
function of `FORGERIES` gives a bundle that is wrong in one way.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from cbdc.errors import (
    AmountMismatch,
    AncestryBroken,
    BadSignature,
    CertificateExpired,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    LimitHops,
    LimitPayment,
    LimitSpends,
    Malformed,
    NotCanonical,
    NotEnrolled,
    NotOwner,
    PurposeMismatch,
    PurposeRefused,
    TengeError,
    TrustListStale,
    WrongPayee,
)
from cbdc.formats import cbor
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.messages.bodies import Transfer, Unload
from cbdc.messages.message import build
from cbdc.policy import DAY_S
from tests.support import LIMITS, NOW_S, seed
from tests.wallet.paper import CANTEEN, FAR_S, Device, Holding, Loaded, Paper
from wallet.protocol import Invoice, PaymentBundle

AMOUNT, TOKEN = 60_00, 100_00
STRANGER: Final = SigningKey(seed("stranger"))
FALSE_BANK: Final = SigningKey(seed("a bank that nobody admitted"))


@dataclass
class Scene:
    """dana may pay ``AMOUNT`` out of ``TOKEN`` to the shop; erlan is another honest purse."""

    paper: Paper
    shop: Device
    invoice: Invoice
    dana: Holding
    erlan: Holding
    coin: Loaded

    @classmethod
    def set(cls, paper: Paper, shop: Device) -> Scene:
        dana, erlan = paper.holding("dana"), paper.holding("erlan", merchant=CANTEEN)
        coin = paper.load(dana.key.public, TOKEN)
        return cls(paper, shop, shop.invoice(AMOUNT), dana, erlan, coin)

    # --- honest pieces -------------------------------------------------------------------------

    def outputs(self, amount: int = AMOUNT, change: int = TOKEN - AMOUNT, purpose: bytes | None = None) -> Any:
        made = (Output(self.shop.element.public_key, amount, purpose), Output(self.dana.key.public, change, purpose))
        return tuple(output for output in made if output.amount_tiyn)

    def transfer(self, **changes: Any) -> Transfer:
        """dana's payment to the shop; ``inputs``, ``outputs``, ``payee`` and every term may be changed."""
        inputs = changes.pop("inputs", (self.coin[0],))
        outputs = changes.pop("outputs", self.outputs())
        payee = changes.pop("payee", self.shop.purse.certificate.id)
        return self.paper.transfer(self.dana.certificate.id, payee, inputs, outputs, self.invoice, **changes)

    def bundle(self, transfer: Transfer | None = None, *keys: SigningKey, **parts: Any) -> PaymentBundle:
        """The payment, signed by ``keys`` (dana), with the proofs it needs; any part may be changed."""
        raw = self.paper.signed(transfer or self.transfer(), *(keys or (self.dana.key,)))
        honest = PaymentBundle(raw, (), (self.coin[2],), (self.dana.raw,))
        return replace(honest, **parts)

    def spending(self, coin: Loaded, purpose: bytes | None, **changes: Any) -> PaymentBundle:
        """The payment out of another coin."""
        outputs = self.outputs(purpose=purpose)
        return self.bundle(self.transfer(inputs=(coin[0],), outputs=outputs, **changes), loads=(coin[2],))

    def ancestor(self, **changes: Any) -> bytes:
        """erlan's payment of everything to dana, by which she has a coin at hop 1."""
        owner = changes.pop("owner", self.dana.key.public)
        outputs = changes.pop("outputs", (Output(owner, TOKEN, None),))
        coin = changes.pop("coin", None) or self.erlans_coin()
        keys = changes.pop("keys", (self.erlan.key,))
        parties = (self.erlan.certificate.id, self.dana.certificate.id)
        transfer = self.paper.transfer(*parties, (coin[0],), outputs, **changes)
        return self.paper.signed(transfer, *keys)

    def to_erlan(self) -> bytes:
        """dana's payment of the coin to erlan: by itself in perfect order."""
        outputs = (
            Output(self.erlan.key.public, AMOUNT, None),
            Output(self.dana.key.public, TOKEN - AMOUNT, None),
        )
        parties = (self.dana.certificate.id, self.erlan.certificate.id)
        return self.paper.signed(self.paper.transfer(*parties, (self.coin[0],), outputs), self.dana.key)

    def erlans_coin(self) -> Loaded:
        self.paper.loads = 100
        return self.paper.load(self.erlan.key.public, TOKEN)

    def second_hop(self, *ancestry: bytes, index: int = 0, **parts: Any) -> PaymentBundle:
        """dana's payment of what the last of ``ancestry`` gave her."""
        made = outpoint(self.paper.message_id(ancestry[-1]), index)
        proofs = {"ancestry": ancestry, "loads": (self.erlans_coin()[2],), "certificates": self.both()}
        return self.bundle(self.transfer(inputs=(made,), hop=2), **(proofs | parts))

    def both(self) -> tuple[bytes, bytes]:
        return self.dana.raw, self.erlan.raw

    def with_certificate(self, **changes: Any) -> PaymentBundle:
        """The payment under another certificate for dana's key."""
        self.dana = self.paper.holding("dana", **changes)
        return self.bundle()


Forgery = Callable[[Scene], PaymentBundle | bytes]
FORGERIES: dict[str, tuple[Forgery, type[TengeError]]] = {}


def refused_with(error: type[TengeError]) -> Callable[[Forgery], Forgery]:
    def note(forgery: Forgery) -> Forgery:
        FORGERIES[forgery.__name__] = (forgery, error)
        return forgery

    return note


def variants(error: type[TengeError], **forgeries: Forgery) -> None:
    FORGERIES.update({name: (forgery, error) for name, forgery in forgeries.items()})


# --- form --------------------------------------------------------------------------------------


@refused_with(Malformed)
def an_unload_as_payment(s: Scene) -> PaymentBundle:
    body = Unload((s.coin[0],), s.outputs(), FAR_S)
    return s.bundle(payment=build(Kind.UNLOAD, body, [s.dana.key], s.paper.network))


@refused_with(Malformed)
def an_online_transfer_as_payment(s: Scene) -> PaymentBundle:
    return s.bundle(replace(s.transfer(), terms=None))


@refused_with(Malformed)
def an_online_transfer_in_the_ancestry(s: Scene) -> PaymentBundle:
    online = s.paper.signed(replace(s.transfer(), terms=None), s.dana.key)
    return s.bundle(ancestry=(online,))


@refused_with(NotCanonical)
def a_payment_spelled_otherwise(s: Scene) -> PaymentBundle:
    raw = s.bundle().payment
    assert raw[0] == 0x84
    return s.bundle(payment=b"\x98\x04" + raw[1:])


variants(
    Malformed,
    a_certificate_that_is_none=lambda s: s.bundle(certificates=(b"\x80",)),
    a_load_certificate_that_is_none=lambda s: s.bundle(loads=(b"\x80",)),
    a_sync_certificate_as_load_certificate=lambda s: s.bundle(
        loads=(s.paper.sync_certificate(s.dana.key.public, bytes(16)),)
    ),
    no_inputs=lambda s: s.bundle(s.transfer(inputs=())),
    the_same_input_twice=lambda s: s.bundle(s.transfer(inputs=(s.coin[0], s.coin[0]))),
    a_negative_amount=lambda s: s.bundle(s.transfer(outputs=(Output(s.shop.element.public_key, -1, None),))),
    an_amount_of_nothing=lambda s: s.bundle(s.transfer(outputs=(Output(s.shop.element.public_key, 0, None),))),
    bytes_that_are_no_bundle=lambda s: b"no bundle",
    half_a_bundle=lambda s: s.bundle().encode()[:-60],
)


# --- signatures and certificates ---------------------------------------------------------------


@refused_with(BadSignature)
def a_flipped_bit_in_the_signature(s: Scene) -> PaymentBundle:
    raw = s.bundle().payment
    return s.bundle(payment=raw[:-1] + bytes([raw[-1] ^ 1]))


@refused_with(BadSignature)
def the_signature_of_another_payment(s: Scene) -> PaymentBundle:
    one, other = s.bundle().payment, s.bundle(s.transfer(counter=2)).payment
    return s.bundle(payment=one[:-64] + other[-64:])


@refused_with(BadSignature)
def a_payment_of_another_network(s: Scene) -> PaymentBundle:
    return s.bundle(payment=s.paper.signed(s.transfer(), s.dana.key, network=bytes(32)))


@refused_with(BadSignature)
def a_bad_signature_in_the_ancestry(s: Scene) -> PaymentBundle:
    raw = s.ancestor()
    return s.second_hop(raw[:-1] + bytes([raw[-1] ^ 1]))


variants(
    BadSignature,
    a_load_by_a_false_operator=lambda s: s.spending(s.paper.load(s.dana.key.public, TOKEN, by=STRANGER), None),
    a_load_by_the_bank=lambda s: s.spending(s.paper.load(s.dana.key.public, TOKEN, by=s.paper.bank), None),
    a_load_by_the_payer=lambda s: s.spending(s.paper.load(s.dana.key.public, TOKEN, by=s.dana.key), None),
    a_load_with_another_amount=lambda s: s.bundle(
        loads=(s.coin[2].replace(cbor.encode(TOKEN), cbor.encode(TOKEN + 1)),)
    ),
)
variants(
    NotEnrolled,
    no_certificates=lambda s: s.bundle(certificates=()),
    only_a_strangers_certificate=lambda s: s.bundle(certificates=(s.erlan.raw,)),
    a_certificate_by_a_false_bank=lambda s: s.with_certificate(by=FALSE_BANK),
    a_certificate_signed_by_its_holder=lambda s: s.with_certificate(by=s.dana.key),
    a_certificate_by_a_bank_that_is_not_admitted=lambda s: s.with_certificate(bank="kumis", by=FALSE_BANK),
    a_certificate_in_the_operators_name=lambda s: s.with_certificate(bank="Operator", by=s.paper.operator),
    a_false_bank_beside_the_true_one=lambda s: s.bundle(
        certificates=(s.dana.raw, s.paper.certify("dana", s.dana.key.public, by=FALSE_BANK))
    ),
    an_ancestors_payer_without_certificate=lambda s: s.second_hop(s.ancestor(), certificates=(s.dana.raw,)),
    an_ancestors_payee_without_certificate=lambda s: s.second_hop(s.ancestor(payee_certificate=seed("nobody"))),
)
variants(
    NotOwner,
    a_certificate_that_is_no_purses=lambda s: s.with_certificate(limits=None, online_key=None),
    another_owners_coin=lambda s: s.spending(s.paper.load(s.erlan.key.public, TOKEN), None),
    another_owners_coin_beside_ones_own=lambda s: s.bundle(
        s.transfer(inputs=(s.coin[0], s.erlans_coin()[0]), outputs=s.outputs(change=2 * TOKEN - AMOUNT)),
        loads=(s.coin[2], s.erlans_coin()[2]),
    ),
    signed_by_a_stranger=lambda s: s.bundle(None, STRANGER),
    in_the_name_of_another_purse=lambda s: s.bundle(
        s.transfer(payer_certificate=s.erlan.certificate.id), certificates=s.both()
    ),
    two_signers=lambda s: s.bundle(None, s.dana.key, s.erlan.key, certificates=s.both()),
)
variants(
    CertificateExpired,
    an_expired_certificate=lambda s: s.with_certificate(expires_s=NOW_S),
)


@refused_with(CertificateExpired)
def an_ancestors_expired_certificate(s: Scene) -> PaymentBundle:
    s.erlan = s.paper.holding("erlan", expires_s=NOW_S)
    return s.second_hop(s.ancestor())


@refused_with(CertificateRevoked)
def a_revoked_certificate(s: Scene) -> PaymentBundle:
    s.paper.now_s += 1
    s.shop.learn(s.paper.trust_list(revoked=(s.dana.certificate.id,)))
    return s.bundle()


# --- whose invoice, and when -------------------------------------------------------------------

variants(
    WrongPayee,
    no_invoice_of_the_shop=lambda s: s.bundle(s.transfer(invoice_id=seed("another invoice"))),
    another_payees_certificate=lambda s: s.bundle(s.transfer(payee=s.erlan.certificate.id), certificates=s.both()),
    a_newer_trust_list_than_invoiced=lambda s: s.bundle(s.transfer(trust_list_s=NOW_S + 1)),
    an_older_trust_list_than_invoiced=lambda s: s.bundle(s.transfer(trust_list_s=NOW_S - 1)),
    a_later_time_than_invoiced=lambda s: s.bundle(s.transfer(ledger_time_s=NOW_S + 1)),
    an_earlier_time_than_invoiced=lambda s: s.bundle(s.transfer(ledger_time_s=NOW_S - 1)),
    an_output_to_a_third_party=lambda s: s.bundle(
        s.transfer(outputs=(s.outputs()[0], Output(s.erlan.key.public, TOKEN - AMOUNT, None)))
    ),
    an_ancestors_output_to_a_third_party=lambda s: s.second_hop(
        s.ancestor(outputs=(Output(s.dana.key.public, 90_00, None), Output(STRANGER.public, 10_00, None)))
    ),
)
variants(
    Expired,
    a_payment_past_its_own_validity=lambda s: s.bundle(s.transfer(valid_until_s=NOW_S - 1)),
)
variants(
    Malformed,
    an_ancestors_list_newer_than_its_time=lambda s: s.second_hop(s.ancestor(trust_list_s=NOW_S + 1)),
)
variants(
    TrustListStale,
    an_ancestors_stale_trust_list=lambda s: s.second_hop(s.ancestor(trust_list_s=NOW_S - 3 * DAY_S - 1)),
)


@refused_with(TrustListStale)
def a_shop_that_has_not_synced_for_days(s: Scene) -> PaymentBundle:
    s.paper.now_s += s.paper.policy.trust_list_days * DAY_S + 1
    return s.bundle()


@refused_with(Expired)
def an_expired_coin_by_the_shops_clock(s: Scene) -> PaymentBundle:
    coin = s.paper.load(s.dana.key.public, TOKEN, spend_until_s=NOW_S + 60)
    s.paper.now_s += 61
    return s.spending(coin, None)


@refused_with(Expired)
def an_expired_coin_by_signed_time(s: Scene) -> PaymentBundle:
    """The shop's clock was set back, but it has seen a later time signed."""
    coin = s.paper.load(s.dana.key.public, TOKEN, spend_until_s=NOW_S + 60)
    s.shop.learn(s.paper.trust_list(NOW_S + 61))
    return s.spending(coin, None)


@refused_with(Expired)
def an_expired_coin_in_the_ancestry(s: Scene) -> PaymentBundle:
    coin = s.paper.load(s.erlan.key.public, TOKEN, spend_until_s=NOW_S - 1)
    return s.second_hop(s.ancestor(coin=coin, ledger_time_s=NOW_S - 60, trust_list_s=NOW_S - 60), loads=(coin[2],))


# --- spent, and where it comes from ------------------------------------------------------------


@refused_with(DoubleSpend)
def a_fork_in_the_bundle(s: Scene) -> PaymentBundle:
    """The ancestry shows another payment of the very coin."""
    return s.bundle(ancestry=(s.to_erlan(),), certificates=s.both())


@refused_with(DoubleSpend)
def a_fork_claimed_by_a_payment_that_counts_nowhere(s: Scene) -> PaymentBundle:
    """The other payment names erlan and pays the shop: no ledger takes it, so the coin is spent once."""
    other = s.paper.transfer(s.dana.certificate.id, s.erlan.certificate.id, (s.coin[0],), s.outputs())
    return s.bundle(ancestry=(s.paper.signed(other, s.dana.key),), certificates=s.both())


@refused_with(DoubleSpend)
def a_fork_claimed_by_somebody_else(s: Scene) -> PaymentBundle:
    """erlan signs a payment of dana's coin, which is not his."""
    parties = (s.erlan.certificate.id, s.dana.certificate.id)
    other = s.paper.transfer(*parties, (s.coin[0],), (Output(s.dana.key.public, TOKEN, None),))
    return s.bundle(ancestry=(s.paper.signed(other, s.erlan.key),), certificates=s.both())


@refused_with(DoubleSpend)
def a_fork_of_a_coin_that_nobody_loaded(s: Scene) -> PaymentBundle:
    """Whoever has a purse key can sign any number of spends of nothing."""
    coin = seed("nothing") + bytes(2)
    others = [
        s.paper.transfer(
            s.erlan.certificate.id, s.dana.certificate.id, (coin,), (Output(s.dana.key.public, amount, None),)
        )
        for amount in (1, 2)
    ]
    return s.bundle(ancestry=tuple(s.paper.signed(other, s.erlan.key) for other in others), certificates=s.both())


UNPROVEN: Final = {
    "a_fork_claimed_by_a_payment_that_counts_nowhere",
    "a_fork_claimed_by_somebody_else",
    "a_fork_of_a_coin_that_nobody_loaded",
}
"""Bundles that spend a token twice and yet prove no fork."""


@refused_with(DoubleSpend)
def a_fork_between_ancestors(s: Scene) -> PaymentBundle:
    return s.second_hop(s.ancestor(counter=7), s.ancestor())


variants(
    AncestryBroken,
    no_load_certificate=lambda s: s.bundle(loads=()),
    a_coin_that_nobody_loaded=lambda s: s.bundle(s.transfer(inputs=(seed("nothing") + b"\0\0",))),
    a_hop_cut_out=lambda s: s.second_hop(s.ancestor(), ancestry=()),
    the_load_under_a_hop_cut_out=lambda s: s.second_hop(s.ancestor(), loads=()),
    an_output_that_the_ancestor_has_not=lambda s: s.second_hop(s.ancestor(), index=1),
    a_hop_number_too_small=lambda s: s.bundle(s.transfer(hop=0)),
    a_hop_number_too_large=lambda s: s.bundle(s.transfer(hop=2)),
    a_second_hop_that_says_it_is_the_first=lambda s: s.bundle(
        s.transfer(inputs=(outpoint(s.paper.message_id(s.ancestor()), 0),)),
        ancestry=(s.ancestor(),),
        loads=(s.erlans_coin()[2],),
        certificates=s.both(),
    ),
)


@refused_with(AncestryBroken)
def descendants_before_ancestors(s: Scene) -> PaymentBundle:
    """Three honest payments, told in the wrong order; in the right one they are taken, see `in_order`."""
    bundle = in_order(s)
    return replace(bundle, ancestry=bundle.ancestry[::-1])


def in_order(s: Scene) -> PaymentBundle:
    """erlan pays dana, dana pays erlan with change, and the shop out of the change."""
    first = s.ancestor()
    outputs = (Output(s.erlan.key.public, 10_00, None), Output(s.dana.key.public, TOKEN - 10_00, None))
    coins = (outpoint(s.paper.message_id(first), 0),)
    back = s.paper.transfer(s.dana.certificate.id, s.erlan.certificate.id, coins, outputs, hop=2)
    second = s.paper.signed(back, s.dana.key)
    change = (outpoint(s.paper.message_id(second), 1),)
    last = s.transfer(inputs=change, outputs=s.outputs(change=TOKEN - 10_00 - AMOUNT), hop=2)
    return s.bundle(last, ancestry=(first, second), loads=(s.erlans_coin()[2],), certificates=s.both())


# --- amounts, limits, purposes -----------------------------------------------------------------

variants(
    AmountMismatch,
    outputs_above_inputs=lambda s: s.bundle(s.transfer(outputs=s.outputs(change=TOKEN))),
    outputs_below_inputs=lambda s: s.bundle(s.transfer(outputs=s.outputs(change=1))),
    less_than_invoiced=lambda s: s.bundle(s.transfer(outputs=s.outputs(AMOUNT - 1, TOKEN - AMOUNT + 1))),
    more_than_invoiced=lambda s: s.bundle(s.transfer(outputs=s.outputs(AMOUNT + 1, TOKEN - AMOUNT - 1))),
    nothing_for_the_shop=lambda s: s.bundle(s.transfer(outputs=(Output(s.dana.key.public, TOKEN, None),))),
    money_made_by_an_ancestor=lambda s: s.second_hop(s.ancestor(outputs=(Output(s.dana.key.public, TOKEN + 1, None),))),
)
variants(
    LimitHops,
    a_hop_number_above_the_limit=lambda s: s.bundle(s.transfer(hop=LIMITS.hops + 1)),
)


@refused_with(LimitHops)
def a_purse_that_may_pay_loaded_money_only(s: Scene) -> PaymentBundle:
    s.dana = s.paper.holding("dana", limits=replace(LIMITS, hops=1))
    return s.second_hop(s.ancestor())


variants(
    LimitSpends,
    more_payments_than_allowed=lambda s: s.bundle(s.transfer(spends=LIMITS.spends + 1)),
    an_ancestor_with_more_payments_than_allowed=lambda s: s.second_hop(s.ancestor(spends=LIMITS.spends + 1)),
)
variants(
    LimitPayment,
    above_the_purses_limit=lambda s: s.with_certificate(limits=replace(LIMITS, payment_tiyn=AMOUNT - 1)),
)
variants(
    PurposeRefused,
    meals_spent_elsewhere=lambda s: s.spending(
        s.paper.load(s.dana.key.public, TOKEN, s.paper.meals_id), s.paper.meals_id
    ),
    a_purpose_that_the_shop_does_not_know=lambda s: s.spending(
        s.paper.load(s.dana.key.public, TOKEN, seed("unknown")), seed("unknown")
    ),
)
variants(
    PurposeMismatch,
    meals_spent_as_free_money=lambda s: s.spending(s.paper.load(s.dana.key.public, TOKEN, s.paper.meals_id), None),
    free_money_spent_as_meals=lambda s: s.spending(s.paper.load(s.dana.key.public, TOKEN), s.paper.meals_id),
)
