"""What a spend does to marks."""

from __future__ import annotations

import pytest

from cbdc.errors import AmountMismatch, Expired, PurposeMismatch, PurposeRefused, TengeError
from cbdc.formats.certificates import Merchant
from cbdc.formats.tokens import Output
from cbdc.purposes.conditions import All, Condition, Payment, PerPayment
from cbdc.purposes.definition import Definition, MarkRule
from cbdc.purposes.marks import check_conserved, marks_after, payment_facts
from cbdc.state.records import OfflineToken, Token
from tests.support import NOW_S, World

P, Q = bytes([1]) * 32, bytes([2]) * 32
AIDA, CANTEEN, SHOP = (bytes([number]) * 32 for number in (3, 4, 5))


def valued(pairs: list[tuple[int, bytes | None]]) -> list[Output]:
    """Outputs of these amounts and purposes."""
    return [Output(AIDA, amount_tiyn, purpose) for amount_tiyn, purpose in pairs]


@pytest.mark.parametrize(
    ("inputs", "outputs", "leaving_tiyn"),
    [
        ([], [], 0),
        ([(5, None)], [(2, None), (3, None)], 0),
        ([(5, P), (7, None)], [(7, None), (5, P)], 0),
        ([(5, P), (5, Q)], [(2, Q), (5, P), (3, Q)], 0),
        ([(5, None)], [(2, None)], 3),
    ],
)
def test_conserved(inputs: list, outputs: list, leaving_tiyn: int) -> None:
    check_conserved(valued(inputs), valued(outputs), leaving_tiyn)


def test_whatever_has_an_amount_and_a_purpose_is_weighed() -> None:
    online, offline = Token(AIDA, 5, P), OfflineToken(AIDA, 7, None, 1, 2, 0, [], False)
    check_conserved([online, offline], [Output(SHOP, 12 - 5, None), Output(SHOP, 5, P)])
    check_conserved((valued for valued in (offline,)), iter([Output(SHOP, 7, None)]))
    with pytest.raises(PurposeMismatch):
        check_conserved([online, offline], [Output(SHOP, 7, P), Output(SHOP, 5, None)])


@pytest.mark.parametrize(
    ("error", "inputs", "outputs", "leaving_tiyn"),
    [
        (AmountMismatch, [(5, None)], [(6, None)], 0),
        (AmountMismatch, [(5, None)], [(4, None)], 0),
        (AmountMismatch, [(5, None)], [], 0),
        (AmountMismatch, [(5, P)], [(6, P)], 0),
        (AmountMismatch, [(5, None)], [(5, None)], 1),
        (PurposeMismatch, [(5, P)], [(5, None)], 0),
        (PurposeMismatch, [(5, None)], [(5, P)], 0),
        (PurposeMismatch, [(5, P)], [(5, Q)], 0),
        (PurposeMismatch, [(5, P), (5, Q)], [(4, P), (6, Q)], 0),
        (PurposeMismatch, [(5, P)], [], 5),
    ],
)
def test_not_conserved(error: type[TengeError], inputs: list, outputs: list, leaving_tiyn: int) -> None:
    with pytest.raises(TengeError) as caught:
        check_conserved(valued(inputs), valued(outputs), leaving_tiyn)
    assert type(caught.value) is error


ANYTHING = All(())


def after(*outputs: Output, condition: Condition = ANYTHING, time_s: int = NOW_S) -> list[bytes | None]:
    definition = Definition("meals", ("Meals",) * 3, AIDA, AIDA, condition, MarkRule.CLEARS, NOW_S + 1)
    facts = {CANTEEN: "altyn/canteen", SHOP: "altyn/shop"}
    return marks_after(
        outputs,
        {AIDA},
        lambda _: definition,
        lambda owner, amount: payment_facts("altyn/aida", facts[owner], None, amount, time_s),
        time_s,
    )


def test_free_tokens_stay_free() -> None:
    assert after(Output(CANTEEN, 5, None), Output(AIDA, 5, None)) == [None, None]


def test_a_payment_clears_and_change_keeps() -> None:
    assert after(Output(CANTEEN, 5, P), Output(AIDA, 5, P), Output(SHOP, 5, None)) == [None, P, None]


def test_each_payees_share_is_judged_as_a_sum() -> None:
    outputs = (Output(CANTEEN, 3, P), Output(SHOP, 5, P), Output(CANTEEN, 2, P))
    assert after(*outputs, condition=PerPayment(5)) == [None, None, None]
    with pytest.raises(PurposeRefused, match="condition=per_payment"):
        after(*outputs, condition=PerPayment(4))


def test_shares_in_two_purposes_are_judged_apart() -> None:
    assert after(Output(CANTEEN, 5, P), Output(CANTEEN, 5, Q), condition=PerPayment(5)) == [None, None]


def test_change_is_not_judged() -> None:
    assert after(Output(AIDA, 500, P), condition=PerPayment(1)) == [P]


def test_an_expired_purpose_does_not_move_even_to_its_owner() -> None:
    with pytest.raises(Expired):
        after(Output(AIDA, 5, P), time_s=NOW_S + 1)


def test_the_facts_of_a_merchant() -> None:
    world = World.founded("altyn")
    shop = world.customer("shop", merchant=Merchant("990140000383", "5411", "75"), enrol=False)
    certificate = shop.certificate(world.network)
    assert payment_facts("altyn/aida", "altyn/shop", certificate, 5, NOW_S) == Payment(
        payer="altyn/aida",
        payee="altyn/shop",
        payee_mcc="5411",
        payee_kato="75",
        amount_tiyn=5,
        time_s=NOW_S,
        payee_tier=1,
    )
