"""Conditions as the scenario format describes them, evaluated in the most obvious way, against the real definition.

`verdict_on` reads the very tables that a scenario file has (`{ payee_mcc = ["5812"] }`), on plain dictionaries of
facts. Nothing of it knows how the ledger evaluates: what an attribute that lacks makes false "under `not` as well" is
an unknown truth value here, and a payment waits if it would be allowed, were all given that it still lacks.
"""

from __future__ import annotations

from datetime import datetime, timedelta, timezone
from fractions import Fraction
from math import floor
from typing import Any

import pytest
from hypothesis import event, given
from hypothesis import strategies as st

from cbdc.errors import PurposeRefused
from cbdc.formats.lines import Line
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import Memory, Payment
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears, Split
from tests.support import LATER_S, NOW_S
from wallet.scenarios.conditions import condition_of

Table = dict[str, Any]
Facts = dict[str, Any]
"""payer, payee, mcc, kato, tier, amount (tiyn), time, lines; online, and then others (tiyn to other payees), earlier
([time, tiyn]), approvals, stated ((oracle, fact)); allowance (tiyn, offline)."""

WEEK = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")

# --- the naive evaluator -----------------------------------------------------------------------


def verdict_on(table: Table, split: tuple[str, int, int] | None, payments: list[Facts]) -> str:
    """``allowed``, ``waits`` or ``refused``: what a purpose says to the payments of one transfer, one per payee."""
    if split is not None:
        if not all(facts["online"] for facts in payments):
            return "refused"  # between two purses nobody else can be paid
        to, parts, of = split
        due = floor(Fraction(parts, of) * sum(facts["amount"] for facts in payments) + Fraction(1, 2))
        if sum(facts["amount"] for facts in payments if facts["payee"] == to) != due:
            return "refused"
        payments = [facts for facts in payments if facts["payee"] != to]
    if all(holds(table, facts, hoping=False) for facts in payments):
        return "allowed"
    return "waits" if all(holds(table, facts, hoping=True) for facts in payments) else "refused"


def holds(table: Table, facts: Facts, *, hoping: bool) -> bool | None:
    """Whether a condition is true, false or (None) unknown; ``hoping``: as if all came that may still come."""
    ((name, argument),) = table.items()
    if name in ("all", "any"):
        answers = [holds(inner, facts, hoping=hoping) for inner in argument]
        deciding = name == "any"
        return deciding if deciding in answers else None if None in answers else not deciding
    if name == "not":
        answer = holds(argument, facts, hoping=False)  # nobody waits for what must not come
        return None if answer is None else not answer
    if name in ("per_period", "approval", "evidence"):
        return remembered(name, argument, facts, hoping=hoping)
    return plain(name, argument, facts)


def plain(name: str, argument: Any, facts: Facts) -> bool | None:
    """Conditions that need nothing but the payment."""
    attribute = {"payee_mcc": "mcc", "payee_kato": "kato", "payee_tier": "tier", "items": "lines"}.get(name)
    if attribute is not None and facts[attribute] in (None, []):
        return None
    now = datetime.fromtimestamp(facts["time"], timezone(timedelta(hours=5)))
    return {
        "payee": lambda: facts["payee"] in argument,
        "payer": lambda: facts["payer"] in argument,
        "payee_mcc": lambda: facts["mcc"] in argument,
        "payee_kato": lambda: any(facts["kato"].startswith(prefix) for prefix in argument),
        "payee_tier": lambda: facts["tier"] in argument,
        "per_payment": lambda: facts["amount"] <= tiyn(argument),
        "items": lambda: (
            facts["amount"] <= sum(line["amount"] for line in facts["lines"] if line["category"] in argument)
        ),
        "after": lambda: now >= datetime.fromisoformat(argument),
        "before": lambda: now < datetime.fromisoformat(argument),
        "hours": lambda: (
            WEEK[now.weekday()] in days(argument["days"]) and argument["from"] <= f"{now:%H:%M}" < argument["to"]
        ),
    }[name]()


def remembered(name: str, argument: Any, facts: Facts, *, hoping: bool) -> bool | None:
    """Conditions that ask the ledger; without one, the purse's allowance stands in for the answer."""
    if not facts["online"]:
        return True if facts["allowance"] is not None and facts["amount"] <= facts["allowance"] else None
    if name == "per_period":
        since = facts["time"] - argument["days"] * DAY_S
        window = [amount for time, amount in facts["earlier"] if since < time <= facts["time"]]
        return sum(window) + facts["others"] + facts["amount"] <= tiyn(argument["amount"])
    if name == "approval":
        has_come = len(set(argument["of"]) & set(facts["approvals"])) >= argument["quorum"]
    else:
        has_come = (argument["oracle"], argument["fact"]) in facts["stated"]
    return True if has_come or hoping else None


def tiyn(amount: str) -> int:
    """``"1 500.50" -> 150050``."""
    return int(Fraction(amount.replace(" ", "")) * 100)


def days(text: str) -> list[str]:
    """``"mon-fri"``, or names with commas between them."""
    if "-" not in text:
        return text.split(",")
    first, last = text.split("-")
    return list(WEEK[WEEK.index(first) : WEEK.index(last) + 1])


# --- random tables and facts -------------------------------------------------------------------

ACCOUNTS = ("altyn/aigul", "altyn/canteen", "kumis/shop", "board", "tax")
TIMES = st.integers(NOW_S - 9 * DAY_S, NOW_S + 9 * DAY_S)
AMOUNTS = st.sampled_from([1, 99_99, 100_00, 100_01, 250_00])
AMOUNTS_IN_TENGE = st.sampled_from(["100", "100.01", "1 500"])


def some(*choices: Any) -> st.SearchStrategy[list[Any]]:
    return st.lists(st.sampled_from(choices), min_size=1, max_size=2, unique=True)


def iso(time_s: int) -> str:
    return datetime.fromtimestamp(time_s, timezone(timedelta(hours=5))).isoformat()


PLAIN = st.one_of(
    st.fixed_dictionaries({"payee": some(*ACCOUNTS)}),
    st.fixed_dictionaries({"payer": some(*ACCOUNTS)}),
    st.fixed_dictionaries({"payee_mcc": some("5812", "5411")}),
    st.fixed_dictionaries({"payee_kato": some("75", "71", "750000000")}),
    st.fixed_dictionaries({"payee_tier": some(0, 1, 2)}),
    st.fixed_dictionaries({"per_payment": AMOUNTS_IN_TENGE}),
    st.fixed_dictionaries({"items": some("food", "books")}),
    st.fixed_dictionaries({"after": TIMES.map(iso)}),
    st.fixed_dictionaries({"before": TIMES.map(iso)}),
    st.fixed_dictionaries(
        {
            "hours": st.fixed_dictionaries(
                {
                    "days": st.sampled_from(["mon-fri", "sat,sun", "tue", "mon-sun"]),
                    "from": st.sampled_from(["00:00", "08:00"]),
                    "to": st.sampled_from(["12:30", "24:00"]),
                }
            )
        }
    ),
)
ASKING = st.one_of(
    st.fixed_dictionaries(
        {"per_period": st.fixed_dictionaries({"amount": AMOUNTS_IN_TENGE, "days": st.sampled_from([1, 7])})}
    ),
    st.builds(
        lambda of, quorum: {"approval": {"of": of, "quorum": min(quorum, len(of))}}, some(*ACCOUNTS), st.integers(1, 2)
    ),
    st.fixed_dictionaries(
        {"evidence": st.fixed_dictionaries({"oracle": st.just("lab"), "fact": st.sampled_from(["grown", "built"])})}
    ),
)


def combined(inner: st.SearchStrategy[Table]) -> st.SearchStrategy[Table]:
    lists = st.lists(inner, min_size=1, max_size=3, unique_by=repr)
    return st.one_of(
        inner,
        st.fixed_dictionaries({"all": lists}),
        st.fixed_dictionaries({"any": lists}),
        st.fixed_dictionaries({"not": inner}),
    )


TABLES = combined(combined(st.one_of(PLAIN, ASKING)))
LINES = st.fixed_dictionaries({"category": st.sampled_from(["food", "toys"]), "amount": AMOUNTS})
SPLITS = st.sampled_from([None, None, ("tax", 1, 10), ("altyn/canteen", 1, 3)])


@st.composite
def transfers(draw: st.DrawFn) -> list[Facts]:
    """One to three payments of one transfer: the same payer, time and memory."""
    payees = draw(st.lists(st.sampled_from(ACCOUNTS), min_size=1, max_size=3, unique=True))
    shares = [draw(AMOUNTS) for _ in payees]
    common = {
        "payer": draw(st.sampled_from(ACCOUNTS)),
        "time": draw(TIMES),
        "lines": draw(st.lists(LINES, max_size=2)),
        "online": draw(st.booleans()),
        "earlier": draw(st.lists(st.tuples(TIMES, AMOUNTS), max_size=3)),
        "approvals": draw(some(*ACCOUNTS) | st.just([])),
        "stated": draw(st.just([]) | st.just([("lab", "grown")])),
        "allowance": draw(st.none() | AMOUNTS),
    }
    return [
        common
        | {
            "payee": payee,
            "amount": share,
            "others": sum(shares) - share,
            "mcc": draw(st.sampled_from([None, "5812", "5411"])),
            "kato": draw(st.sampled_from([None, "750000000", "710000000"])),
            "tier": draw(st.sampled_from([None, 0, 1])),
        }
        for payee, share in zip(payees, shares, strict=True)
    ]


# --- the real one ------------------------------------------------------------------------------


def definition_of(table: Table, split: tuple[str, int, int] | None = None) -> Definition:
    condition = condition_of(table, lambda account: account)
    key = bytes(32)
    return Definition("p", ("A", "B", "C"), key, key, condition, Clears(), LATER_S, Split(*split) if split else None)


def payment_of(facts: Facts) -> Payment:
    memory = Memory(tuple(facts["earlier"]), frozenset(facts["approvals"]), frozenset(facts["stated"]))
    return Payment(
        payer=facts["payer"],
        payee=facts["payee"],
        payee_mcc=facts["mcc"],
        payee_kato=facts["kato"],
        payee_tier=facts["tier"],
        amount_tiyn=facts["amount"],
        time_s=facts["time"],
        lines=tuple(Line(line["category"], line["amount"]) for line in facts["lines"]) or None,
        others_tiyn=facts["others"],
        memory=memory if facts["online"] else None,
        allowance_tiyn=None if facts["online"] else facts["allowance"],
    )


def real_verdict(definition: Definition, payments: list[Payment]) -> str:
    refusals = definition.refusals(payments)
    if not refusals:
        return "allowed"
    return "waits" if all(refusal.pending for refusal in refusals) else "refused"


@given(TABLES, SPLITS, transfers())
def test_the_definition_says_what_the_scenario_format_says(
    table: Table, split: tuple[str, int, int] | None, facts: list[Facts]
) -> None:
    definition, payments = definition_of(table, split), [payment_of(one) for one in facts]
    verdict = verdict_on(table, split, facts)
    event(verdict)
    assert real_verdict(definition, payments) == verdict
    if verdict == "refused":
        with pytest.raises(PurposeRefused) as caught:
            definition.check(payments)
        assert caught.value.values["condition"]
    else:
        assert bool(definition.check(payments)) is (verdict == "waits")


@given(TABLES, transfers())
def test_one_payment_gets_the_same_answer_alone_as_among_others_that_are_allowed(
    table: Table, facts: list[Facts]
) -> None:
    """Each payee is judged by its own share: together they get the worst of their answers."""
    definition, payments = definition_of(table), [payment_of(one) for one in facts]
    alone = [real_verdict(definition, [payment]) for payment in payments]
    worst = next(verdict for verdict in ("refused", "waits", "allowed") if verdict in alone)
    assert real_verdict(definition, payments) == worst


FACTS = {
    "payer": "altyn/aigul",
    "payee": "altyn/canteen",
    "mcc": None,
    "kato": "750000000",
    "tier": 1,
    "amount": 100_00,
    "time": NOW_S,
    "lines": [],
    "online": True,
    "others": 0,
    "earlier": [],
    "approvals": [],
    "stated": [],
    "allowance": None,
}


@pytest.mark.parametrize(
    ("table", "changes", "verdict"),
    [
        ({"payee_mcc": ["5812"]}, {}, "refused"),
        ({"not": {"payee_mcc": ["5812"]}}, {}, "refused"),
        ({"not": {"payee_mcc": ["5812"]}}, {"mcc": "5411"}, "allowed"),
        ({"payee_kato": ["75"]}, {}, "allowed"),
        ({"per_period": {"amount": "150", "days": 7}}, {"earlier": [(NOW_S - 7 * DAY_S, 100_00)]}, "allowed"),
        ({"per_period": {"amount": "150", "days": 7}}, {"earlier": [(NOW_S - 7 * DAY_S + 1, 100_00)]}, "refused"),
        ({"items": ["food"]}, {"lines": [{"category": "food", "amount": 99_99}]}, "refused"),
        ({"items": ["food"]}, {"lines": [{"category": "food", "amount": 100_00}]}, "allowed"),
        ({"approval": {"of": ["board", "tax"], "quorum": 2}}, {"approvals": ["board"]}, "waits"),
        ({"not": {"approval": {"of": ["board"], "quorum": 1}}}, {}, "refused"),
        ({"evidence": {"oracle": "lab", "fact": "grown"}}, {"online": False}, "refused"),
        ({"evidence": {"oracle": "lab", "fact": "grown"}}, {"online": False, "allowance": 100_00}, "allowed"),
        ({"any": [{"payee": ["tax"]}, {"evidence": {"oracle": "lab", "fact": "grown"}}]}, {}, "waits"),
        ({"all": [{"payee": ["tax"]}, {"evidence": {"oracle": "lab", "fact": "grown"}}]}, {}, "refused"),
    ],
)
def test_the_naive_evaluator_by_hand(table: Table, changes: Facts, verdict: str) -> None:
    """So that the two are not wrong alike."""
    facts = FACTS | changes
    assert verdict_on(table, None, [facts]) == verdict
    assert real_verdict(definition_of(table), [payment_of(facts)]) == verdict
