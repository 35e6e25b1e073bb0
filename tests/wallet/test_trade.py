"""How people name payments and purposes, and what a sale says of a link that breaks."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cbdc.errors import Malformed, NotEnrolled, NotOwner, Unreachable
from tests.wallet.town import Town
from wallet import trade
from wallet.carriers import MemoryCarrier
from wallet.states import Status

IDS = [bytes.fromhex("0a" * 4 + digit * 28) for digit in ("01", "02")] + [bytes([255]) * 32]


def test_a_payment_is_named_by_its_first_digits() -> None:
    assert trade.id_named(IDS[0].hex()[:10], IDS) == IDS[0]
    assert trade.id_named(" " + IDS[1].hex().upper(), IDS) == IDS[1]
    assert trade.id_named("ffffffff", IDS) == IDS[2]


@pytest.mark.parametrize(
    ("text", "error"), [("0a0a0a0a", Malformed), ("ffffff", Malformed), ("", Malformed), ("00000000", NotOwner)]
)
def test_what_names_no_payment_or_several_is_refused(text: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        trade.id_named(text, IDS)


def test_a_payment_that_broke_off_after_signing_is_named_in_the_error(found: Callable[..., Town]) -> None:
    town = found("dana", "erlan")
    dana, erlan = town["dana"], town["erlan"]
    dana.load(town.port, 100_00)
    erlan.sync(town.port)
    link = MemoryCarrier()
    link.send(erlan.purse.invoice(30_00))
    # the memory's one queue gives the payment back where a receipt should come
    with pytest.raises(Unreachable) as broken:
        trade.buy(dana.purse, link, trade.at_most(30_00))
    (sent,) = dana.purse.sent()
    assert (broken.value.values["payment"], broken.value.values["reason"]) == (sent.id, "malformed")
    assert sent.status is Status.PENDING
    assert trade.made_by(dana.purse, sent.id) == sent


def test_a_refusal_before_signing_is_itself(found: Callable[..., Town]) -> None:
    town = found("dana", "erlan")
    town["erlan"].sync(town.port)
    link = MemoryCarrier()
    link.send(town["erlan"].purse.invoice(30_00))
    with pytest.raises(Exception, match="limit=2999") as refused:
        trade.buy(town["dana"].purse, link, trade.at_most(29_99))
    assert "payment" not in refused.value.args
    assert town["dana"].purse.sent() == []


def test_nobody_is_asked_about_an_invoice_by_an_unknown_bank(found: Callable[..., Town]) -> None:
    """A stranger's invoice may name whom it likes: its certificate is checked before the person is asked."""
    town = found("dana")
    banks = [{"name": name, "reserve": "500"} for name in ("altyn", "kumis")]
    tables = {"bank": banks, "wallet": [{"name": "erlan", "bank": "kumis"}]}
    stranger = Town.found(town.economy.directory / "elsewhere", tables=tables)
    try:
        invoice = stranger["erlan"].purse.invoice(30_00)
        asked: list[object] = []
        with pytest.raises(NotEnrolled):
            trade.pay(town["dana"].purse, invoice, asked.append)
        assert asked == []
    finally:
        stranger.close()


def test_a_purpose_is_named_by_name_or_id(found: Callable[..., Town]) -> None:
    meals = {"name": "meals", "sponsor": "fund", "return_to": "fund", "title": {"en": "Meals"}, "mark": "clears"}
    rest = {"expires": "2099-12-31T23:59:59+05:00", "allow": {"payee_mcc": ["5812"]}}
    wallets = [{"name": "fund", "bank": "altyn", "kind": "sponsor"}, {"name": "dana", "bank": "altyn"}]
    town = found(tables={"wallet": wallets, "purpose": [meals | rest]})
    purse, purpose = town["dana"].purse, town.economy.purposes["meals"]
    assert trade.purpose_named(purse, None) is None
    assert trade.purpose_named(purse, "meals") == trade.purpose_named(purse, purpose.hex()) == purpose
    with pytest.raises(Malformed, match="known=meals"):
        trade.purpose_named(purse, "rides")
