"""A payment is signed only if every device can take it: its ancestry, its coins and its text are bounded."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import pytest

from cbdc.errors import TooLarge
from cbdc.limits import MAX_ANCESTRY
from tests.support import LIMITS
from tests.wallet.paper import CANTEEN, Device, pay
from tests.wallet.town import Town
from wallet.protocol import PaymentBundle, from_text, to_text

Found = Callable[..., Town]
NewDevice = Callable[..., Device]


@pytest.fixture
def merchant(found: Found) -> Town:
    """The shop holds 70 tenge in as many coins, with 70 payments behind them; its customer syncs after every 8."""
    town = found("dana", "shop", "supplier", spends=1000, hops=5)
    town["dana"].load(town.port, 300_00)
    for number in range(70):
        town.pay_offline("dana", "shop", 1_00)
        if number % 8 == 7:
            town.sync("dana")
    return town


def test_what_no_device_could_take_is_not_signed(merchant: Town) -> None:
    shop, supplier = merchant["shop"], merchant["supplier"]
    with pytest.raises(TooLarge, match="sync"):
        shop.purse.pay(supplier.purse.invoice(70_00))
    assert (shop.element.counters(), shop.vault.items("intent")) == ((0, 0), [])
    assert shop.purse.balance_tiyn() == 70_00
    merchant.sync("shop")
    merchant.pay_offline("shop", "supplier", 70_00)
    assert supplier.purse.balance_tiyn() == 70_00


def test_coins_are_chosen_so_that_it_fits(merchant: Town) -> None:
    """Fifty of the seventy coins: with the wrong ones there are more payments behind them than a message holds."""
    supplier = merchant["supplier"]
    bundle = merchant["shop"].purse.pay(supplier.purse.invoice(60_00))
    assert len(PaymentBundle.decode(bundle).ancestry) <= MAX_ANCESTRY
    supplier.purse.accept(from_text(to_text(bundle)))
    assert supplier.purse.balance_tiyn() == 60_00


def test_many_small_coins_hold_no_large_one_back(new_device: NewDevice) -> None:
    """Marked dust, which is spent first where it may be, is left out where it would fill the payment."""
    dana, canteen = new_device("dana"), new_device("canteen", merchant=CANTEEN)
    for _ in range(300):
        dana.load(1, dana.paper.meals_id)
    for _ in range(300):
        dana.load(2)
    dana.load(100_00)
    bundle = PaymentBundle.decode(pay(dana, canteen, 50_00))
    assert len(bundle.loads) < MAX_ANCESTRY
    assert canteen.purse.balance_tiyn() == 50_00
    before = dana.element.counters()
    with pytest.raises(TooLarge):
        dana.purse.pay(canteen.purse.invoice(50_00 + 500))
    assert dana.element.counters() == before


@pytest.fixture
def chain(new_device: NewDevice) -> tuple[Device, Device]:
    """dana has paid the shop as often as an ancestry is long, each time out of her change."""
    many = replace(LIMITS, spends=1000)
    dana, shop = new_device("dana", limits=many), new_device("shop", limits=many)
    dana.load(100_00)
    for _ in range(MAX_ANCESTRY):
        pay(dana, shop, 1_00)
    return dana, shop


def test_a_chain_of_change_ends_before_it_is_too_long(chain: tuple[Device, Device], new_device: NewDevice) -> None:
    dana, shop = chain
    pay(dana, shop, 1_00)
    before = dana.element.counters()
    with pytest.raises(TooLarge):
        dana.purse.pay(shop.purse.invoice(1_00))
    assert (dana.element.counters(), dana.vault.items("intent")) == (before, [])
    dana.load(5_00)
    pay(dana, new_device("bakery"), 5_00)


def test_a_release_that_would_be_too_long_is_not_signed(chain: tuple[Device, Device]) -> None:
    dana, shop = chain
    pay(dana, shop, 1_00)
    last = shop.purse.received()[-1]
    longest = max(shop.purse.received(), key=lambda held: len(shop.purse.bundle_of(b"", [held.id + bytes(2)]).ancestry))
    assert last.amount_tiyn == 1_00
    with pytest.raises(TooLarge):
        shop.purse.release(longest.id)
    assert (shop.element.counters(), shop.vault.items("releasing")) == ((0, 0), [])


def test_a_journal_from_before_these_bounds_can_be_read(merchant: Town) -> None:
    """What a wallet once signed and nobody could take is still handed in by its own syncs."""
    shop = merchant["shop"]
    payment_id = merchant.pay_offline("shop", "supplier", 1_00)
    *fields, bundle, status, receipt = shop.vault.get("sent", payment_id)
    old = PaymentBundle.decode(bundle)
    long = replace(old, ancestry=(old.ancestry or (old.payment,)) * (MAX_ANCESTRY + 6)).encode()
    shop.vault.put("sent", payment_id, [*fields, long, status, receipt])
    merchant.sync("shop")
    assert merchant.held("shop")[1:] == (69_00, 0)
    assert shop.purse.again(payment_id) == long
