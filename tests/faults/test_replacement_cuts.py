"""A power cut at every durable step of going over to a new secure element: the wallet has the old one or the new one.

As in `test_power_cuts`, the steps are the commits of the wallet's and the old element's storage; making the new one is
cut as well, before its file is there, in the middle, and after it is whole.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.faults.test_power_cuts import (
    LOADED_TIYN,
    ORDERS,
    PAYEE,
    PAYER,
    PRICE_TIYN,
    Bench,
    Fuse,
    PowerCut,
    Template,
    sync,
)
from tests.wallet.town import FUNDS_TIYN, Town
from wallet.bank import BankDesk
from wallet.element import SimulatedElement
from wallet.element.pin import PinGate
from wallet.scenarios.wallets.local import PASSWORD
from wallet.vault import QUICK_KDF, Vault

STEPS = "WWWWEWWWW"
"""Trust list, again after the evidence, outcome; the unload: journal, signature, receipt, tokens; evidence; over."""


class Cutter(SimulatedElement):
    """Makes elements, and loses power at one moment of it."""

    moment = ""

    @classmethod
    def create(cls, path: Path, pin: str, network: bytes, **options: Any) -> Any:
        if cls.moment == "before":
            raise PowerCut
        if cls.moment == "half made":
            Vault.create(path, pin, cost=QUICK_KDF, gate=PinGate()).close()
            raise PowerCut
        made = SimulatedElement.create(path, pin, network, **options)
        if cls.moment == "after":
            made.close()
            raise PowerCut
        return made


class Desk(Bench):
    """The payer has paid, and nobody has synced; the act is ``replace``."""

    def replace(self) -> None:
        self[PAYER].replace_element(self.port, PASSWORD, element=Cutter, cost=QUICK_KDF)

    def is_old(self) -> bool:
        return not self[PAYER].retired_keys()

    def value_tiyn(self) -> int:
        """All that both own at the ledger, the payer's old purse included."""
        return super().value_tiyn() + sum(self[name].balance(self.port).returning_tiyn for name in (PAYER, PAYEE))


@pytest.fixture(scope="module")
def town(tmp_path_factory: pytest.TempPathFactory) -> tuple[Template, BankDesk]:
    directory = tmp_path_factory.mktemp("replacement") / "fresh"
    town = Town.found(directory, PAYER, PAYEE)
    bank = town.bank
    town.close()
    template = Template(directory, town.economy.identity, town.economy.clock(), {})
    bench = Bench(template, directory.with_name("paid"), Fuse())
    for act in ("load", "invoice", "pay", "accept"):
        bench.act(act)
    bench.close()
    return Template(bench.directory, template.identity, template.now_s, bench.wire), bank


@pytest.fixture
def desk_of(town: tuple[Template, BankDesk], tmp_path: Path) -> Iterator[Callable[[Fuse], Desk]]:
    desks: list[Desk] = []

    def make(fuse: Fuse) -> Desk:
        desks.append(Desk(town[0], tmp_path / "desk", fuse))
        return desks[-1]

    yield make
    Cutter.moment = ""
    for desk in desks:
        desk.remove()


def check_the_end(desk: Desk, bank: BankDesk) -> None:
    """The new purse is certified and loaded; nobody has lost anything."""
    desk.check_nothing_lost_or_made()
    payer = desk[PAYER]
    assert payer.balance(desk.port).online_tiyn == FUNDS_TIYN - PRICE_TIYN
    bank.replace_purse(desk.port, payer)
    payer.load(desk.port, LOADED_TIYN)
    sync(desk, PAYEE, PAYER)
    desk.check_nothing_lost_or_made()
    for name in (PAYER, PAYEE):
        desk.check_in_order(name)
    assert (desk.owned_tiyn(PAYER), desk.owned_tiyn(PAYEE)) == (FUNDS_TIYN - PRICE_TIYN, FUNDS_TIYN + PRICE_TIYN)
    assert [sent.status.value for sent in payer.purse.sent()] == ["settled"]


def cut(desk: Desk) -> None:
    with pytest.raises(PowerCut):
        desk.act("replace")
    desk.reopen()
    Cutter.moment = ""


def test_the_steps_are_all_there_are(desk_of: Callable[[Fuse], Desk], town: tuple[Template, BankDesk]) -> None:
    desk = desk_of(fuse := Fuse())
    old_key = desk[PAYER].element.public_key
    desk.act("replace")
    assert "".join("E" if step.endswith("element") else "W" for step in fuse.steps) == STEPS
    assert desk[PAYER].retired_keys() == [old_key]
    check_the_end(desk, town[1])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(len(STEPS)))
def test_a_cut_replacement_is_repeated(
    desk_of: Callable[[Fuse], Desk], town: tuple[Template, BankDesk], number: int, after: bool
) -> None:
    desk = desk_of(Fuse(number, after))
    old_key = desk[PAYER].element.public_key
    cut(desk)
    went_over = number == len(STEPS) - 1 and after
    assert desk.is_old() is not went_over
    assert (desk[PAYER].element.public_key == old_key) is desk.is_old()
    desk.check_nothing_lost_or_made()
    if desk.is_old():
        desk.act("replace")
    assert desk[PAYER].retired_keys() == [old_key]
    check_the_end(desk, town[1])


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("number", range(len(STEPS) - 1))
def test_after_a_cut_the_owner_may_think_better_of_it(
    desk_of: Callable[[Fuse], Desk], number: int, after: bool
) -> None:
    """The old element is in use as long as the new one is not: a sync puts everything in order."""
    desk = desk_of(Fuse(number, after))
    cut(desk)
    sync(desk, *ORDERS["payer first"])
    desk.check_agreed(PRICE_TIYN)
    desk.act("load")
    assert desk[PAYER].purse.balance_tiyn() >= LOADED_TIYN - PRICE_TIYN


@pytest.mark.parametrize("moment", ["before", "half made", "after"])
def test_power_lost_while_the_new_element_is_made(
    desk_of: Callable[[Fuse], Desk], town: tuple[Template, BankDesk], moment: str
) -> None:
    """A file that was begun is left alone: the next try takes the next number."""
    desk = desk_of(Fuse())
    for _ in range(2):
        Cutter.moment = moment
        cut(desk)
        assert desk.is_old()
    desk.act("replace")
    assert desk[PAYER].element_path.name == ("element-1.db" if moment == "before" else "element-3.db")
    desk.reopen()
    check_the_end(desk, town[1])
