"""What a spend does to marks."""

from __future__ import annotations

from collections.abc import Collection, Sequence

import pytest

from cbdc.errors import AmountMismatch, Expired, PurposeMismatch, PurposeRefused, TengeError
from cbdc.formats.certificates import Merchant
from cbdc.formats.tokens import Output
from cbdc.purposes.conditions import All, Approval, Condition, Memory, Payment, PerPayment, PerPeriod
from cbdc.purposes.definition import Definition
from cbdc.purposes.marks import Outcome, Paid, check_conserved, marks_after, merged, payment_facts
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, Mark, MarkRule, Split, UntilEvidence
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


ANYTHING, CLEARS = All(()), Clears()
ACCOUNTS = {CANTEEN: "altyn/canteen", SHOP: "altyn/shop"}


def outcome(
    *outputs: Output,
    condition: Condition = ANYTHING,
    mark: MarkRule = CLEARS,
    split: Split | None = None,
    time_s: int = NOW_S,
    inputs: Sequence[Token] = (),
    freed: Collection[bytes] = (),
) -> Outcome:
    """What becomes of a spend of AIDA's; without ``inputs``, of one token of each purpose in the outputs."""
    definition = Definition("meals", ("Meals",) * 3, AIDA, AIDA, condition, mark, NOW_S + 1, split)
    drawn = dict.fromkeys(output.purpose for output in outputs)

    def payment_to(share: Paid, others_tiyn: int) -> Payment:
        name = ACCOUNTS[share.payee]
        memory = Memory()
        tiyn = share.amount_tiyn
        return payment_facts("altyn/aida", name, None, tiyn, time_s, others_tiyn=others_tiyn, memory=memory)

    tokens = inputs or [Token(AIDA, 1, purpose, mark.first_left if purpose else None) for purpose in drawn]
    return marks_after(tokens, outputs, {AIDA}, lambda _: definition, payment_to, time_s, freed)


def after(*outputs: Output, **how: object) -> list[bytes | None]:
    """The purpose that each output's token bears."""
    return [mark and mark.purpose for mark in outcome(*outputs, **how).marks]


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


# --- marks that last ---------------------------------------------------------------------------


def left(*counts: int | None) -> list[Token]:
    """AIDA's tokens of the purpose whose marks last so many payments; None does not count."""
    return [Token(AIDA, 5, P, count) for count in counts]


@pytest.mark.parametrize("rule", [Keeps(), UntilEvidence("registry")])
def test_a_mark_that_is_kept_is_on_every_output(rule: MarkRule) -> None:
    assert outcome(Output(CANTEEN, 5, P), Output(AIDA, 5, P), mark=rule).marks == [Mark(P, None), Mark(P, None)]


@pytest.mark.parametrize(("before", "after"), [(3, Mark(P, 2)), (2, Mark(P, 1)), (1, None)])
def test_a_payment_counts_down_and_change_does_not(before: int, after: Mark | None) -> None:
    made = outcome(Output(CANTEEN, 3, P), Output(AIDA, 2, P), mark=KeepsHops(3), inputs=left(before))
    assert made.marks == [after, Mark(P, before)]


def test_a_merge_takes_the_smallest_number_left() -> None:
    for counts in ((3, 2, 5), (5, 3, 2), (2, 5, 3)):
        made = outcome(Output(CANTEEN, 10, P), Output(AIDA, 5, P), mark=KeepsHops(9), inputs=left(*counts))
        assert made.marks == [Mark(P, 1), Mark(P, 2)]


def test_the_mark_of_many_tokens() -> None:
    assert merged([Token(AIDA, 5, None)]) == {}
    assert merged([*left(None, None), Token(AIDA, 1, Q, 4)]) == {P: Mark(P, None), Q: Mark(Q, 4)}
    assert merged(left(None, 4, None)) == merged(left(4, None)) == {P: Mark(P, 4)}


def test_what_evidence_freed_is_free_in_every_output_and_asks_nothing() -> None:
    outputs = (Output(CANTEEN, 5, P), Output(AIDA, 5, P))
    made = outcome(*outputs, condition=PerPayment(1), mark=UntilEvidence("registry"), time_s=NOW_S + 9, freed={P})
    assert made == Outcome([None, None])


def test_freeing_one_purpose_does_not_free_another() -> None:
    outputs = (Output(CANTEEN, 5, P), Output(CANTEEN, 5, Q))
    assert after(*outputs, mark=Keeps(), freed={P}) == [None, Q]
    with pytest.raises(PurposeRefused):
        outcome(*outputs, condition=PerPayment(4), freed={P})


# --- what was paid, and what it waits for --------------------------------------------------------


def test_the_shares_are_told_apart_by_payee_and_purpose() -> None:
    outputs = (
        Output(CANTEEN, 3, P),
        Output(SHOP, 5, P),
        Output(CANTEEN, 2, P),
        Output(CANTEEN, 7, Q),
        Output(AIDA, 9, P),
    )
    assert outcome(*outputs).paid == (
        Paid(CANTEEN, 5, Mark(P, None)),
        Paid(SHOP, 5, Mark(P, None)),
        Paid(CANTEEN, 7, Mark(Q, None)),
    )


def test_every_share_counts_in_the_period_of_every_other() -> None:
    outputs = (Output(CANTEEN, 3, P), Output(SHOP, 5, P))
    outcome(*outputs, condition=PerPeriod(8, 30))
    with pytest.raises(PurposeRefused, match="condition=per_period"):
        outcome(*outputs, condition=PerPeriod(7, 30))


def test_another_purposes_share_does_not_count_in_the_period() -> None:
    assert outcome(Output(CANTEEN, 5, P), Output(CANTEEN, 5, Q), condition=PerPeriod(5, 30)).waits == ()


def test_it_waits_for_every_share() -> None:
    made = outcome(Output(CANTEEN, 3, P), Output(SHOP, 5, P), condition=Approval(("altyn/dana",), 1), mark=Keeps())
    assert [refusal.condition for refusal in made.waits] == ["approval", "approval"]
    assert made.marks == [Mark(P, None), Mark(P, None)]


def test_change_waits_for_nothing() -> None:
    assert outcome(Output(AIDA, 3, P), condition=Approval(("altyn/dana",), 1)).waits == ()


# --- a part that a rule splits off ---------------------------------------------------------------

TAX = Split("altyn/shop", 12, 100)


@pytest.mark.parametrize("rule", [Clears(), Keeps(), KeepsHops(2)])
def test_the_part_split_off_is_free_and_asks_no_condition(rule: MarkRule) -> None:
    outputs = (Output(CANTEEN, 88, P), Output(SHOP, 12, P), Output(AIDA, 50, P))
    made = outcome(*outputs, condition=PerPayment(88), mark=rule, split=TAX)
    change = Mark(P, rule.first_left)
    assert made.marks == [rule.after(change), None, change]
    assert made.paid == (Paid(CANTEEN, 88, change), Paid(SHOP, 12, change))


@pytest.mark.parametrize(("payee_tiyn", "split_tiyn"), [(88, 11), (88, 13), (100, 0), (0, 100)])
def test_another_part_than_the_rules_is_refused(payee_tiyn: int, split_tiyn: int) -> None:
    pairs = ((CANTEEN, payee_tiyn), (SHOP, split_tiyn))
    with pytest.raises(PurposeRefused, match="condition=split"):
        outcome(*(Output(owner, tiyn, P) for owner, tiyn in pairs if tiyn), split=TAX)


def test_a_split_is_of_what_is_paid_of_its_purpose() -> None:
    """Neither change nor other money counts, and the part may come in pieces."""
    outputs = (
        Output(CANTEEN, 88, P),
        Output(SHOP, 7, P),
        Output(SHOP, 5, P),
        Output(CANTEEN, 900, None),
        Output(AIDA, 9, P),
    )
    assert after(*outputs, split=TAX, mark=Keeps()) == [P, None, None, None, P]
