"""One offline payment, judged from bytes alone: each guard refuses for exactly one thing that is wrong."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pytest

from cbdc.errors import (
    AmountMismatch,
    AncestryBroken,
    CertificateExpired,
    Expired,
    LimitHops,
    LimitPayment,
    LimitSpends,
    Malformed,
    NotOwner,
    PurposeMismatch,
    PurposeRefused,
    TengeError,
    TrustListStale,
    WrongPayee,
)
from cbdc.formats.certificates import Certificate, Holder, Merchant, PurseLimits
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output
from cbdc.messages.bodies import OfflineTerms, Transfer
from cbdc.offline.judge import Parties, judge
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import (
    All,
    Approval,
    Before,
    Condition,
    Evidence,
    Items,
    Payee,
    PayeeKato,
    PayeeMcc,
    PayeeTier,
    Payer,
    PerPayment,
    PerPeriod,
)
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, MarkRule, Split, UntilEvidence
from cbdc.state.records import OfflineToken
from tests.support import NOW_S

PAYER, PAYEE, THIRD, PURPOSE = (bytes([number]) * 32 for number in (1, 2, 3, 4))
LIMITS = PurseLimits(holding_tiyn=1000, payment_tiyn=800, spends=3, hops=2)
TRUST_LIST_DAYS = 3
MEALS = Definition("meals", ("Meals",) * 3, PAYER, PAYER, PayeeMcc(("5812",)), Clears(), NOW_S + 100)


def purse(name: str, key: bytes, **changes: object) -> Certificate:
    fields = {
        "id": key,
        "bank": "altyn",
        "subject": name,
        "key": key,
        "issued_s": 0,
        "expires_s": NOW_S + 1,
        "holder": Holder.PERSON,
        "tier": 1,
        "merchant": Merchant("990140000383", "5812", "75"),
        "limits": LIMITS,
        "online_key": THIRD,
    } | changes
    return Certificate(**fields)


def token(amount_tiyn: int = 700, **changes: object) -> OfflineToken:
    fields = {
        "owner": PAYER,
        "amount_tiyn": amount_tiyn,
        "purpose": None,
        "spend_until_s": NOW_S,
        "final_at_s": NOW_S + 9,
        "hops": 0,
        "spenders": [],
        "returned": False,
    } | changes
    return OfflineToken(**fields)


@dataclass(frozen=True)
class Case:
    """A payment, and all that it is judged by."""

    inputs: tuple[OfflineToken, ...]
    outputs: tuple[Output, ...]
    signers: frozenset[bytes]
    payer: Certificate
    payee: Certificate
    terms: OfflineTerms
    definition: Definition
    valid_until_s: int = NOW_S
    lines: tuple[Line, ...] = ()

    def judge(self) -> list[OfflineToken]:
        names = tuple(bytes([number + 1]) * 34 for number in range(len(self.inputs)))
        transfer = Transfer(names, self.outputs, self.valid_until_s, None, self.terms, self.lines)
        parties = Parties(self.payer, self.payee)
        return judge(
            transfer, self.terms, self.signers, self.inputs, parties, lambda _: self.definition, TRUST_LIST_DAYS
        )


RIGHT = Case(
    inputs=(token(),),
    outputs=(Output(PAYEE, 500, None), Output(PAYER, 200, None)),
    signers=frozenset({PAYER}),
    payer=purse("aida", PAYER),
    payee=purse("bolat", PAYEE),
    terms=OfflineTerms(bytes(32), PAYER, PAYEE, 1, 3, 1, NOW_S, NOW_S),
    definition=MEALS,
)
"""A payment of 700: 500 to the payee, 200 change."""
MARKED = replace(
    RIGHT,
    inputs=(token(purpose=PURPOSE),),
    outputs=(Output(PAYEE, 500, PURPOSE), Output(PAYER, 200, PURPOSE)),
)


def terms(**changes: int | bytes) -> OfflineTerms:
    return replace(RIGHT.terms, **changes)


def test_a_right_payment() -> None:
    assert RIGHT.judge() == [token(500, owner=PAYEE, hops=1, paid=[PAYER, None, 500, None]), token(200)]


def test_a_marked_payment() -> None:
    assert MARKED.judge() == [
        token(500, owner=PAYEE, hops=1, paid=[PAYER, PURPOSE, 500, None]),
        token(200, purpose=PURPOSE),
    ]


def test_a_merge_takes_the_worst_of_each() -> None:
    inputs = (token(300, hops=1, spend_until_s=NOW_S + 5), token(400, final_at_s=NOW_S + 3))
    made = replace(RIGHT, inputs=inputs, terms=terms(hop=2)).judge()
    assert made == [
        token(500, owner=PAYEE, hops=2, final_at_s=NOW_S + 3, paid=[PAYER, None, 500, None]),
        token(200, hops=1, final_at_s=NOW_S + 3),
    ]


def test_everything_just_within_its_bound() -> None:
    case = replace(
        RIGHT,
        inputs=(token(900, hops=LIMITS.hops - 1),),
        outputs=(Output(PAYEE, 799, None), Output(PAYEE, 1, None), Output(PAYER, 100, None)),
        terms=terms(hop=LIMITS.hops, trust_list_s=NOW_S - TRUST_LIST_DAYS * DAY_S),
    )
    assert [made.amount_tiyn for made in case.judge()] == [799, 1, 100]


WRONG: dict[str, tuple[type[TengeError], Case]] = {
    "payer's certificate expired": (CertificateExpired, replace(RIGHT, payer=purse("aida", PAYER, expires_s=NOW_S))),
    "payee's certificate expired": (CertificateExpired, replace(RIGHT, payee=purse("bolat", PAYEE, expires_s=NOW_S))),
    "payer is a wallet": (NotOwner, replace(RIGHT, payer=purse("aida", PAYER, limits=None))),
    "payee is a wallet": (WrongPayee, replace(RIGHT, payee=purse("bolat", PAYEE, limits=None))),
    "names another payee": (WrongPayee, replace(RIGHT, terms=terms(payee_certificate=THIRD))),
    "names another certificate of the payer": (NotOwner, replace(RIGHT, terms=terms(payer_certificate=THIRD))),
    "trust list newer than the ledger time": (Malformed, replace(RIGHT, terms=terms(trust_list_s=NOW_S + 1))),
    "no longer valid": (Expired, replace(RIGHT, valid_until_s=NOW_S - 1)),
    "payer pays himself": (
        WrongPayee,
        replace(RIGHT, payee=purse("aida", PAYER), terms=terms(payee_certificate=PAYER)),
    ),
    "trust list too old": (
        TrustListStale,
        replace(RIGHT, terms=terms(trust_list_s=NOW_S - TRUST_LIST_DAYS * DAY_S - 1)),
    ),
    "token past its day": (Expired, replace(RIGHT, inputs=(token(spend_until_s=NOW_S - 1),))),
    "one of two tokens past its day": (
        Expired,
        replace(RIGHT, inputs=(token(300), token(400, spend_until_s=NOW_S - 1))),
    ),
    "signed by another": (NotOwner, replace(RIGHT, signers=frozenset({PAYEE}))),
    "signed by two": (NotOwner, replace(RIGHT, signers=frozenset({PAYER, PAYEE}))),
    "unsigned": (NotOwner, replace(RIGHT, signers=frozenset())),
    "another's token": (NotOwner, replace(RIGHT, inputs=(token(owner=THIRD),))),
    "one of two tokens another's": (NotOwner, replace(RIGHT, inputs=(token(300), token(400, owner=THIRD)))),
    "output to a third": (
        WrongPayee,
        replace(RIGHT, outputs=(Output(PAYEE, 500, None), Output(THIRD, 200, None))),
    ),
    "too much": (AmountMismatch, replace(RIGHT, outputs=(Output(PAYEE, 701, None),))),
    "too little": (AmountMismatch, replace(RIGHT, outputs=(Output(PAYEE, 699, None),))),
    "mark washed off": (PurposeMismatch, replace(MARKED, outputs=RIGHT.outputs)),
    "mark out of nothing": (PurposeMismatch, replace(RIGHT, outputs=MARKED.outputs)),
    "above the limit per payment": (
        LimitPayment,
        replace(RIGHT, inputs=(token(801),), outputs=(Output(PAYEE, 801, None),)),
    ),
    "above the limit in two outputs": (
        LimitPayment,
        replace(RIGHT, inputs=(token(801),), outputs=(Output(PAYEE, 800, None), Output(PAYEE, 1, None))),
    ),
    "too many spends": (LimitSpends, replace(RIGHT, terms=terms(spends=LIMITS.spends + 1))),
    "too many hops": (
        LimitHops,
        replace(RIGHT, inputs=(token(hops=LIMITS.hops),), terms=terms(hop=LIMITS.hops + 1)),
    ),
    "hop too low": (AncestryBroken, replace(RIGHT, inputs=(token(hops=1),), terms=terms(hop=1))),
    "hop too high": (AncestryBroken, replace(RIGHT, terms=terms(hop=2))),
    "purpose refuses": (PurposeRefused, replace(MARKED, payee=purse("bolat", PAYEE, merchant=None))),
    "purpose refuses the sum": (
        PurposeRefused,
        replace(
            MARKED,
            outputs=(Output(PAYEE, 300, PURPOSE), Output(PAYEE, 400, PURPOSE)),
            definition=replace(MEALS, condition=PerPayment(699)),
        ),
    ),
    "a part is split off": (
        PurposeRefused,
        replace(MARKED, definition=replace(MEALS, split=Split("altyn/tax", 12, 100))),
    ),
    "the part alone": (
        PurposeRefused,
        replace(MARKED, definition=replace(MEALS, split=Split("altyn/bolat", 12, 100))),
    ),
    "purpose expired": (Expired, replace(MARKED, definition=replace(MEALS, expires_s=NOW_S))),
}


@pytest.mark.parametrize("case", WRONG)
def test_refused(case: str) -> None:
    error, wrong = WRONG[case]
    with pytest.raises(TengeError) as caught:
        wrong.judge()
    assert type(caught.value) is error


def test_the_first_guard_names_the_code() -> None:
    """Certificates come before time, time before ownership, ownership before amounts, amounts before limits."""
    broken = replace(
        RIGHT,
        payer=purse("aida", PAYER, expires_s=NOW_S),
        inputs=(token(9_999, owner=THIRD, spend_until_s=0, hops=9),),
        outputs=(Output(PAYEE, 9_998, PURPOSE),),
    )
    repairs = (
        {"payer": RIGHT.payer},
        {"inputs": (token(9_999, owner=THIRD, hops=9),)},
        {"inputs": (token(9_999, hops=9),)},
        {"outputs": (Output(PAYEE, 9_999, None),)},
        {"inputs": (token(800, hops=9),), "outputs": (Output(PAYEE, 800, None),)},
    )
    codes = []
    for repair in ({}, *repairs):
        broken = replace(broken, **repair)
        with pytest.raises(TengeError) as caught:
            broken.judge()
        codes.append(caught.value.code)
    assert codes == [
        "certificate_expired",
        "expired",
        "not_owner",
        "amount_mismatch",
        "limit_payment",
        "limit_hops",
    ]


# --- marks that last, and what asks the ledger ---------------------------------------------------


@pytest.mark.parametrize("rule", [Keeps(), UntilEvidence("registry")])
def test_a_mark_that_is_kept_goes_along(rule: MarkRule) -> None:
    assert replace(MARKED, definition=replace(MEALS, mark=rule)).judge() == [
        token(500, owner=PAYEE, hops=1, purpose=PURPOSE, paid=[PAYER, PURPOSE, 500, None]),
        token(200, purpose=PURPOSE),
    ]


@pytest.mark.parametrize(("left", "after"), [(3, 2), (2, 1), (1, None)])
def test_a_counted_mark_goes_down_and_the_payment_says_from_where(left: int, after: int | None) -> None:
    case = replace(
        MARKED,
        inputs=(token(300, purpose=PURPOSE, left=left + 2), token(400, purpose=PURPOSE, left=left)),
        definition=replace(MEALS, mark=KeepsHops(9)),
    )
    assert case.judge() == [
        token(
            500, owner=PAYEE, hops=1, purpose=PURPOSE if after else None, paid=[PAYER, PURPOSE, 500, left], left=after
        ),
        token(200, purpose=PURPOSE, left=left),
    ]


def test_free_money_beside_a_counted_mark_counts_nothing() -> None:
    case = replace(
        MARKED,
        inputs=(token(500, purpose=PURPOSE, left=3), token(200)),
        outputs=(Output(PAYEE, 200, None), Output(PAYEE, 500, PURPOSE)),
        definition=replace(MEALS, mark=KeepsHops(3)),
    )
    assert case.judge() == [
        token(200, owner=PAYEE, hops=1, paid=[PAYER, None, 700, None]),
        token(500, owner=PAYEE, hops=1, purpose=PURPOSE, left=2, paid=[PAYER, PURPOSE, 700, 3]),
    ]


ASK_THE_LEDGER: list[Condition] = [PerPeriod(10_000, 30), Approval(("altyn/dana",), 1), Evidence("registry", "built")]


@pytest.mark.parametrize("condition", ASK_THE_LEDGER)
@pytest.mark.parametrize(("allowance_tiyn", "is_allowed"), [(None, False), (499, False), (500, True)])
def test_what_asks_the_ledger_needs_an_allowance(
    condition: Condition, allowance_tiyn: int | None, is_allowed: bool
) -> None:
    allowances = ((PURPOSE, allowance_tiyn),) if allowance_tiyn else ()
    payer = purse("aida", PAYER, limits=replace(LIMITS, allowances=allowances))
    case = replace(MARKED, definition=replace(MEALS, condition=condition), payer=payer)
    if is_allowed:
        assert case.judge()[0].purpose is None
        return
    with pytest.raises(PurposeRefused, match="no ledger to ask"):
        case.judge()


def test_the_payees_allowance_and_another_purposes_do_not_help() -> None:
    theirs, others = ((PURPOSE, 500),), ((THIRD, 500),)
    definition = replace(MEALS, condition=PerPeriod(10_000, 30))
    payee = purse("canteen", PAYEE, limits=replace(LIMITS, allowances=theirs))
    payer = purse("aida", PAYER, limits=replace(LIMITS, allowances=others))
    with pytest.raises(PurposeRefused):
        replace(MARKED, definition=definition, payee=payee, payer=payer).judge()


@pytest.mark.parametrize(
    ("lines", "is_allowed"), [((), False), ((Line("food", 499),), False), ((Line("food", 500),), True)]
)
def test_the_lines_are_the_payments(lines: tuple[Line, ...], is_allowed: bool) -> None:
    case = replace(MARKED, definition=replace(MEALS, condition=Items(("food",))), lines=lines)
    if is_allowed:
        assert case.judge()[0].purpose is None
        return
    with pytest.raises(PurposeRefused, match="condition=items"):
        case.judge()


def test_the_conditions_see_whole_accounts_and_the_payees_certificate() -> None:
    seen = All(
        (Payer(("altyn/aida",)), Payee(("altyn/bolat",)), PayeeTier((1,)), PayeeKato(("75",)), Before(NOW_S + 1))
    )
    assert replace(MARKED, definition=replace(MEALS, condition=seen)).judge()[0].purpose is None


# --- release -----------------------------------------------------------------------------------

PAYMENT = bytes([9]) * 32
BACK = OfflineTerms(PAYMENT, PAYER, PAYEE, 1, 99, 1, NOW_S, NOW_S)


@dataclass(frozen=True)
class Release:
    """What PAYER was paid by PAYEE in ``PAYMENT`` goes back: 500 drawn from a purpose, cleared of its mark, and 200."""

    inputs: tuple[OfflineToken, ...] = (
        token(500, hops=2, paid=[PAYEE, PURPOSE, 700, None]),
        token(200, hops=2, paid=[PAYEE, None, 700, None]),
    )
    outputs: tuple[Output, ...] = (Output(PAYEE, 500, PURPOSE), Output(PAYEE, 200, None))
    terms: OfflineTerms = BACK
    made_by: tuple[bytes, ...] = (PAYMENT, PAYMENT)

    def judge(self) -> list[OfflineToken]:
        names = tuple(made_by + bytes([0, n]) for n, made_by in enumerate(self.made_by[: len(self.inputs)]))
        transfer = Transfer(names, self.outputs, NOW_S, None, self.terms)
        parties = Parties(purse("aida", PAYER, limits=PurseLimits(0, 0, 0, 0)), purse("bolat", PAYEE, merchant=None))
        return judge(transfer, self.terms, frozenset({PAYER}), self.inputs, parties, lambda _: MEALS, TRUST_LIST_DAYS)


def test_a_release_gives_the_marks_back_and_asks_neither_limits_nor_conditions() -> None:
    assert Release().judge() == [
        token(500, owner=PAYEE, hops=1, purpose=PURPOSE),
        token(200, owner=PAYEE, hops=1),
    ]


@pytest.mark.parametrize("left", [None, 1, 3])
def test_a_release_gives_back_what_was_left_then(left: int | None) -> None:
    """Whatever the payee's own tokens last, who may have had them from several."""
    inputs = (
        token(500, hops=2, purpose=PURPOSE, left=left and 9, paid=[PAYEE, PURPOSE, 700, left]),
        token(200, hops=2, paid=[PAYEE, None, 700, None]),
    )
    assert replace(Release(), inputs=inputs).judge()[0] == token(500, owner=PAYEE, hops=1, purpose=PURPOSE, left=left)


FRESH = Release()
WRONG_RELEASES: dict[str, tuple[type[TengeError], Release]] = {
    "of a load": (WrongPayee, replace(FRESH, inputs=(token(500), token(200)))),
    "of half a load": (WrongPayee, replace(FRESH, inputs=(FRESH.inputs[0], token(200)))),
    "to a third": (WrongPayee, replace(FRESH, outputs=(FRESH.outputs[0], Output(THIRD, 200, None)))),
    "to himself": (WrongPayee, replace(FRESH, outputs=(FRESH.outputs[0], Output(PAYER, 200, None)))),
    "of another's payment": (
        WrongPayee,
        replace(FRESH, inputs=tuple(replace(t, paid=[THIRD, None, 700, None]) for t in FRESH.inputs)),
    ),
    "of a part": (AmountMismatch, replace(FRESH, inputs=FRESH.inputs[:1], outputs=FRESH.outputs[:1])),
    "of too much": (AmountMismatch, replace(FRESH, outputs=(FRESH.outputs[0], Output(PAYEE, 201, None)))),
    "with the mark washed off": (
        PurposeMismatch,
        replace(FRESH, outputs=(Output(PAYEE, 500, None), Output(PAYEE, 200, None))),
    ),
    "with a mark out of nothing": (
        PurposeMismatch,
        replace(FRESH, outputs=(Output(PAYEE, 500, PURPOSE), Output(PAYEE, 200, PURPOSE))),
    ),
    "in other pieces": (
        PurposeMismatch,
        replace(FRESH, outputs=(Output(PAYEE, 200, None), Output(PAYEE, 500, PURPOSE))),
    ),
    "counting a hop": (AncestryBroken, replace(FRESH, terms=replace(FRESH.terms, hop=3))),
    "counting two hops down": (AncestryBroken, replace(FRESH, terms=replace(FRESH.terms, hop=0))),
    "of another's token": (NotOwner, replace(FRESH, inputs=(FRESH.inputs[0], token(200, owner=THIRD)))),
    "with something else": (PurposeMismatch, replace(FRESH, made_by=(PAYMENT, THIRD))),
    "on a stale trust list": (
        TrustListStale,
        replace(FRESH, terms=replace(FRESH.terms, trust_list_s=NOW_S - TRUST_LIST_DAYS * DAY_S - 1)),
    ),
}


@pytest.mark.parametrize("case", WRONG_RELEASES)
def test_a_wrong_release_is_refused(case: str) -> None:
    error, wrong = WRONG_RELEASES[case]
    with pytest.raises(TengeError) as caught:
        wrong.judge()
    assert type(caught.value) is error


def test_what_was_released_cannot_be_released_again() -> None:
    """Or two purses would count the hops down by giving it to and fro."""
    back = [replace(token, owner=PAYER) for token in FRESH.judge()]
    with pytest.raises(WrongPayee):
        replace(FRESH, inputs=tuple(back), terms=replace(FRESH.terms, hop=0)).judge()
