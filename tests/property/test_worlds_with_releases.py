"""Worlds as in `test_worlds` in which payments are given back too, by honest payees and by some who also spend them."""

from __future__ import annotations

from hypothesis import event, given
from hypothesis import strategies as st

from cbdc.formats.tokens import Output, outpoint
from tests.property.test_worlds import Coin, Device, Paid, Tale, check


class TaleWithReleases(Tale):
    """Releases are payments like any other, so the words of the design that `expected` follows need no more."""

    def something_happens(self) -> None:
        if not self.draw(st.integers(0, 2)):
            self.something_is_given_back()
        super().something_happens()

    def something_is_given_back(self) -> None:
        able = [device for device in self.devices if device.owner not in self.stolen and self.releasable(device)]
        if not able:
            return
        device = self.one_of(able)
        before = set(device.holds)
        self.give_back(device, self.one_of(self.releasable(device)))
        if not self.draw(st.integers(0, 3)):
            self.spends_it_too(device, before)

    def spends_it_too(self, device: Device, before: set[bytes]) -> None:
        """A fork: the releaser's clone pays with what it held before."""
        self.dishonest.add(device.owner)
        after, device.holds = set(device.holds), before
        if self.spendable(device):
            self.pay(device)
        if self.draw(st.booleans()):
            device.holds = (device.holds & after) | (device.holds - before)
        event("given back and spent as well")

    def releasable(self, device: Device) -> list[bytes]:
        """What a payment brought this device, and it still holds; not of a payment at fault, nor of a release."""
        found = []
        for name in sorted(device.holds):
            paid = self.payments.get(name[:32])
            if paid is None or paid.at_fault or paid.made[0] != name or self.coins[name].owner != device.owner:
                continue
            if self.coins[name].hop > max(self.coins[spent].hop for spent in paid.inputs):
                found.append(name)
        return found

    def give_back(self, device: Device, name: bytes) -> None:
        """The whole of what the payment brought, under the mark that it was drawn from, one hop less."""
        paid, coin = self.payments[name[:32]], self.coins[name]
        purpose = self.coins[paid.inputs[0]].purpose
        payer, taker = self.people[device.owner], self.people[paid.payer]
        back = (Output(taker.purse.public, coin.amount_tiyn, purpose),)
        salt, hop = str(len(self.payments)), coin.hop - 1
        raw = self.world.payment(payer, taker, (name,), back, hop=hop, invoice_id=paid.id, salt=salt)
        release = self.world.message_id(raw)
        made = outpoint(release, 0)
        self.coins[made] = Coin(paid.payer, coin.amount_tiyn, purpose, hop)
        self.payments[release] = Paid(release, raw, device.owner, (name,), (made,))
        device.holds = device.holds - {name}
        device.knows.add(release)
        event("given back")
        if self.draw(st.booleans()):
            self.arrives(self.device(paid.payer), release)


@given(st.data())
def test_any_order_of_any_world_with_releases_has_one_outcome(data: st.DataObject) -> None:
    check(TaleWithReleases(data.draw, faults=False), data.draw)


@given(st.data())
def test_the_same_with_an_acceptor_at_fault(data: st.DataObject) -> None:
    check(TaleWithReleases(data.draw, faults=True), data.draw)
