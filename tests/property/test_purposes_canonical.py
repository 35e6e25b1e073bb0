"""One definition has one hash, however it was written down; and every definition has an answer to every payment."""

from __future__ import annotations

import datetime as dt
import json
import tomllib
from collections.abc import Iterator
from copy import deepcopy
from dataclasses import dataclass
from typing import Any as Anything

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from cbdc.amounts import format_tenge
from cbdc.errors import FormError, PurposeRefused
from cbdc.formats import cbor
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CONDITION_DEPTH,
    MAX_CONDITION_LIST,
    MAX_CONDITION_NODES,
    MAX_DEFINITION_BYTES,
    MAX_FACT_CHARS,
    MAX_INVOICE_LINES,
    MAX_LEDGER_CONDITIONS,
    MAX_NAME_CHARS,
    MAX_PERIOD_DAYS,
    MAX_PERIOD_SPENDS,
    MAX_TIME_S,
)
from cbdc.messages.message import message_id
from cbdc.purposes import conditions
from cbdc.purposes.conditions import All, Condition, Memory, Not, Payment, Refusal, every
from cbdc.purposes.conditions import Any as AnyOf
from cbdc.purposes.conditions.time import DAYS
from cbdc.purposes.definition import Definition
from cbdc.purposes.marks import marks_after
from cbdc.purposes.rules import Clears, MarkRule
from cbdc.purposes.words import LANGUAGES, Phrase
from cbdc.state.records import Token
from tests.property import strategies as some
from wallet.scenarios.conditions import condition_of

Table = dict[str, Anything]
KEY = bytes(32)


def hash_of(condition: Condition) -> bytes:
    """The id of a purpose with this condition: the mark of its tokens."""
    definition = Definition("p", ("A", "B", "C"), KEY, KEY, condition, Clears(), 9)
    return message_id(Kind.PURPOSE, cbor.encode(definition.to_cbor()))


# --- written in a scenario's TOML --------------------------------------------------------------

NAMES = st.text("abcdeңғ-_", min_size=1, max_size=6)
CODES = st.text("0123456789", min_size=4, max_size=4)
AMOUNTS = st.integers(0, MAX_AMOUNT_TIYN).map(format_tenge)
MOMENTS = st.integers(0, MAX_TIME_S - 86_400).map(lambda time_s: dt.datetime.fromtimestamp(time_s, dt.UTC))
"""A day before the last there is, so that every time zone can show it."""


def some_of(items: st.SearchStrategy[Anything]) -> st.SearchStrategy[list[Anything]]:
    return st.lists(items, min_size=1, max_size=4)


@st.composite
def approvals(draw: st.DrawFn) -> Table:
    of = draw(some_of(NAMES))
    return {"approval": {"of": of, "quorum": draw(st.integers(1, len(set(of))))}}


@st.composite
def hours(draw: st.DrawFn) -> Table:
    start, end = sorted(draw(st.lists(st.integers(0, 1440), min_size=2, max_size=2, unique=True)))
    clock = [f"{minute // 60:02d}:{minute % 60:02d}" for minute in (start, end)]
    return {"hours": {"days": ",".join(draw(some_of(st.sampled_from(DAYS)))), "from": clock[0], "to": clock[1]}}


WRITTEN_LEAVES: st.SearchStrategy[Table] = st.one_of(
    *(st.builds(lambda found, name=name: {name: found}, some_of(NAMES)) for name in ("payee", "payer", "items")),
    *(st.builds(lambda found, name=name: {name: found}, some_of(CODES)) for name in ("payee_mcc", "payee_kato")),
    *(st.builds(lambda found, name=name: {name: found}, MOMENTS) for name in ("after", "before")),
    st.builds(lambda found: {"payee_tier": found}, some_of(st.integers(0, 9))),
    st.builds(lambda found: {"per_payment": found}, AMOUNTS),
    st.builds(
        lambda amount, days: {"per_period": {"amount": amount, "days": days}}, AMOUNTS, st.integers(1, MAX_PERIOD_DAYS)
    ),
    st.builds(lambda oracle, fact: {"evidence": {"oracle": oracle, "fact": fact}}, NAMES, NAMES),
    approvals(),
    hours(),
)


def joined(inner: st.SearchStrategy[Table]) -> st.SearchStrategy[Table]:
    lists = st.lists(inner, min_size=1, max_size=3)
    return st.one_of(
        inner,
        st.builds(lambda found: {"all": found}, lists),
        st.builds(lambda found: {"any": found}, lists),
        st.builds(lambda found: {"not": found}, inner),
    )


WRITTEN = joined(joined(joined(WRITTEN_LEAVES)))


@st.composite
def rewritten(draw: st.DrawFn, table: Table) -> Table:
    """The same condition as somebody else would write it: lists and keys in another order, some things twice."""
    ((name, argument),) = table.items()
    if name in ("all", "any"):
        inner = [draw(rewritten(item)) for item in argument]
        again = [draw(rewritten(item)) for item in argument if draw(st.booleans())]
        return {name: draw(st.permutations([*inner, *again]))}
    if name == "not":
        return {name: draw(rewritten(argument))}
    if isinstance(argument, list):
        return {name: draw(relisted(argument))}
    if isinstance(argument, dict):
        fields = {field: draw(relisted(found)) if field == "of" else found for field, found in argument.items()}
        if name == "hours":
            fields["days"] = ", ".join(draw(relisted(fields["days"].split(","))))
        if "amount" in fields:
            fields["amount"] = draw(respaced(fields["amount"]))
        return {name: dict(draw(st.permutations(list(fields.items()))))}
    if isinstance(argument, dt.datetime):
        zone = dt.timezone(dt.timedelta(minutes=draw(st.integers(-14 * 60, 14 * 60))))
        return {name: argument.astimezone(zone)}
    return {name: draw(respaced(argument))}


@st.composite
def relisted(draw: st.DrawFn, found: list[Anything]) -> list[Anything]:
    """A list in another order, some of it twice."""
    return list(draw(st.permutations([*found, *draw(st.lists(st.sampled_from(found), max_size=2))])))


@st.composite
def respaced(draw: st.DrawFn, amount: str) -> str:
    """An amount with spaces between its digits, and without a fraction where that is nothing."""
    short = amount.removesuffix(".00") if draw(st.booleans()) else amount
    return short if len(short) < 4 or not draw(st.booleans()) else f"{short[0]} {short[1:]}"


def toml(value: Anything) -> str:
    """A value as it stands in a file."""
    if isinstance(value, dict):
        return "{ " + ", ".join(f"{name} = {toml(found)}" for name, found in value.items()) + " }"
    if isinstance(value, list):
        return f"[{', '.join(map(toml, value))}]"
    return value.isoformat() if isinstance(value, dt.datetime) else json.dumps(value, ensure_ascii=False)


def read(table: Table) -> Condition:
    """The condition of a table as a scenario's file has it."""
    return condition_of(tomllib.loads(f"allow = {toml(table)}")["allow"], lambda name: f"altyn/{name}")


@given(table=WRITTEN, data=st.data())
def test_one_definition_has_one_hash_however_it_is_written(table: Table, data: st.DataObject) -> None:
    condition, again = read(table), read(data.draw(rewritten(table)))
    assert again == condition
    assert hash_of(again) == hash_of(condition)


@given(table=WRITTEN, other=WRITTEN)
def test_definitions_that_say_something_else_have_another_hash(table: Table, other: Table) -> None:
    one, two = read(table), read(other)
    assume(one != two)
    assert hash_of(one) != hash_of(two)


@given(condition=some.DEEPEST_CONDITIONS, data=st.data())
def test_a_condition_built_in_any_order_has_one_hash(condition: Condition, data: st.DataObject) -> None:
    """Whoever builds it without a file: the classes themselves write the one form."""
    assert hash_of(shuffled(condition, data)) == hash_of(condition)


def shuffled(condition: Condition, data: st.DataObject) -> Condition:
    """The condition with the lists of its combinators in another order."""
    if isinstance(condition, All | AnyOf):
        inner = [shuffled(found, data) for found in condition.conditions]
        return type(condition)(tuple(data.draw(st.permutations([*inner, inner[0]]))))
    return Not(shuffled(condition.condition, data)) if isinstance(condition, Not) else condition


# --- any other spelling ------------------------------------------------------------------------

LISTS = {"all", "any", "payee", "payer", "payee_mcc", "payee_kato", "payee_tier", "items"}


def places(value: list[Anything], at: tuple[int, ...] = ()) -> Iterator[tuple[tuple[int, ...], str]]:
    """Every condition in a condition's canonical form: its place and its name."""
    name, argument = value
    yield at, name
    inner = enumerate(argument) if name in ("all", "any") else ()
    for index, item in inner:
        yield from places(item, (*at, 1, index))
    if name == "not":
        yield from places(argument, (*at, 1))


def inside(value: Anything, at: tuple[int, ...]) -> Anything:
    for index in at:
        value = value[index]
    return value


def misspelled(value: list[Anything]) -> Iterator[list[Anything]]:
    """Other ways to say the same: a list backwards or with a member twice; and numbers as what equals them."""
    for at, name in places(value):
        list_at = (*at, 1) if name in LISTS else (*at, 1, 0) if name in ("approval", "hours") else None
        if list_at is not None:
            for change in (list.reverse, first_again, last_again):
                other = deepcopy(value)
                change(inside(other, list_at))
                yield other
    for at in numbers(value):
        found = inside(value, at)
        for same in (float(found), *([bool(found)] if found in (0, 1) else [])):
            other = deepcopy(value)
            inside(other, at[:-1])[at[-1]] = same
            yield other


def first_again(found: list[Anything]) -> None:
    found.insert(0, found[0])


def last_again(found: list[Anything]) -> None:
    found.append(found[-1])


def numbers(value: Anything, at: tuple[int, ...] = ()) -> Iterator[tuple[int, ...]]:
    """The places of all numbers in lists of lists."""
    if isinstance(value, list):
        for index, item in enumerate(value):
            yield from numbers(item, (*at, index))
    elif isinstance(value, int):
        yield at


@given(condition=some.DEEPEST_CONDITIONS)
def test_every_other_spelling_is_refused(condition: Condition) -> None:
    value = condition.to_cbor()
    again = conditions.from_cbor(value)
    assert again.to_cbor() == value
    assert hash_of(again) == hash_of(condition)
    for other in misspelled(value):
        if cbor.encode(other) != cbor.encode(value):
            with pytest.raises(FormError):
                conditions.from_cbor(other)


@given(rule=some.RULES)
def test_a_rule_for_the_mark_has_one_spelling(rule: MarkRule) -> None:
    definition = Definition("p", ("A", "B", "C"), KEY, KEY, conditions.PerPayment(5), rule, 9)
    value = definition.to_cbor()
    assert Definition.from_cbor(value) == definition
    written = value[5]
    others = [[written], [written, None]] if isinstance(written, str) else [written[0], written[::-1], [*written, None]]
    if isinstance(written, list) and isinstance(written[1], int):
        others += [[written[0], float(written[1])], [written[0], bool(written[1])]]
    for other in others:
        with pytest.raises(FormError):
            Definition.from_cbor([*value[:5], other, *value[6:]])


# --- evaluation --------------------------------------------------------------------------------

TIYN = st.integers(0, MAX_AMOUNT_TIYN)
MEMORIES = st.builds(
    Memory,
    some.tuples(st.tuples(some.TIMES, TIYN), least=0),
    st.frozensets(some.ACCOUNTS, max_size=4),
    st.frozensets(st.tuples(some.ORACLES, some.FACTS), max_size=4),
)
PAYMENTS = st.builds(
    Payment,
    payer=some.ACCOUNTS,
    payee=some.ACCOUNTS,
    payee_mcc=st.none() | some.MCCS,
    payee_kato=st.none() | some.KATOS,
    amount_tiyn=some.AMOUNTS,
    time_s=some.TIMES,
    payee_tier=st.none() | some.TIERS,
    lines=st.none() | some.LINES.filter(bool),
    others_tiyn=st.integers(-MAX_AMOUNT_TIYN, MAX_AMOUNT_TIYN),
    memory=st.none() | MEMORIES,
    allowance_tiyn=st.none() | TIYN,
)
DEFINITIONS = st.builds(
    Definition,
    some.texts(48),
    st.tuples(some.texts(120), some.texts(120), some.texts(120)),
    some.KEYS,
    some.KEYS,
    some.DEEPEST_CONDITIONS,
    some.RULES,
    some.TIMES,
    st.none() | some.SPLITS,
)


def most_chars(definition: Definition) -> int:
    """What no explanation is longer than: so much for each node's words, and for what each byte is shown as."""
    nodes = sum(1 for _ in every(definition.condition))
    return 1000 + 300 * nodes + 40 * len(cbor.encode(definition.to_cbor()))


@given(definition=DEFINITIONS, payment=PAYMENTS)
def test_every_payment_gets_an_answer_in_words(definition: Definition, payment: Payment) -> None:
    refusal = definition.condition.refuses(payment)
    assert refusal is None or isinstance(refusal, Refusal)
    assert definition.condition.refuses(payment) == refusal, "the same facts, the same answer"
    for language in LANGUAGES:
        texts = [definition.explain(language), definition.explain_mark(language)]
        if refusal is not None:
            texts.append(definition.explain_refusal(refusal, language))
        assert all(text.strip() for text in texts)
        assert max(map(len, texts)) <= most_chars(definition)
    if refusal is not None:
        assert str(definition.refused(refusal))
        assert definition.explain_refusal(refusal, "en") == str(
            Phrase("refused", (definition.titles[0], refusal.found, refusal.wanted))
        )


@given(definition=DEFINITIONS, payments=st.lists(PAYMENTS, max_size=3))
def test_every_transfer_is_allowed_refused_or_has_to_wait(definition: Definition, payments: list[Payment]) -> None:
    refusals = definition.refusals(payments)
    assert all(isinstance(refusal, Refusal) for refusal in refusals)
    assert len(refusals) <= len(payments) + 1
    try:
        waits = definition.check(payments)
    except PurposeRefused as refused:
        assert not all(refusal.pending for refusal in refusals)
        assert refused.values["purpose"] == definition.name
    else:
        assert waits == refusals
        assert all(refusal.pending for refusal in waits)


@given(condition=some.DEEPEST_CONDITIONS, payment=PAYMENTS.filter(lambda payment: payment.memory is None))
def test_nothing_waits_where_there_is_no_ledger(condition: Condition, payment: Payment) -> None:
    refusal = condition.refuses(payment)
    assert refusal is None or not refusal.pending


@given(condition=some.DEEPEST_CONDITIONS, payment=PAYMENTS)
def test_not_allows_only_what_its_condition_refuses_knowingly(condition: Condition, payment: Payment) -> None:
    inner, outer = condition.refuses(payment), Not(condition).refuses(payment)
    assert (outer is None) is (inner is not None and inner.decided)
    assert outer is None or not outer.pending


@dataclass(frozen=True)
class Counted:
    """A leaf that counts how often it is asked."""

    inner: Condition
    asked: list[int]

    def refuses(self, payment: Payment) -> Refusal | None:
        self.asked[0] += 1
        return self.inner.refuses(payment)

    def wants(self) -> Phrase:
        return self.inner.wants()

    def to_cbor(self) -> cbor.Value:
        return self.inner.to_cbor()


def counted(condition: Condition, asked: list[int]) -> Condition:
    if isinstance(condition, All | AnyOf):
        return type(condition)(tuple([counted(found, asked) for found in condition.conditions]))
    return Not(counted(condition.condition, asked)) if isinstance(condition, Not) else Counted(condition, asked)


@given(condition=some.DEEPEST_CONDITIONS, payment=PAYMENTS)
def test_each_node_is_asked_once_at_most(condition: Condition, payment: Payment) -> None:
    asked = [0]
    assert counted(condition, asked).refuses(payment) == condition.refuses(payment)
    leaves = sum(1 for node in every(condition) if not isinstance(node, All | AnyOf | Not))
    assert 1 <= asked[0] <= leaves <= MAX_CONDITION_NODES


@given(definition=DEFINITIONS, payments=st.lists(PAYMENTS, min_size=1, max_size=3), left=st.integers(1, 9))
def test_marks_follow_the_rule_for_whoever_is_allowed(
    definition: Definition, payments: list[Payment], left: int
) -> None:
    """A transfer of these payments: every output has a mark by the rule, or the whole is refused."""
    assume(definition.expires_s > 0)
    purpose, payer = bytes([1]) * 32, bytes([2]) * 32
    owners = [bytes([3 + number]) * 32 for number in range(len(payments))]
    facts = dict(zip(owners, payments, strict=True))
    outputs = [Output(owner, payment.amount_tiyn, purpose) for owner, payment in facts.items()]
    outputs.append(Output(payer, 5, purpose))
    inputs = [Token(payer, sum(output.amount_tiyn for output in outputs), purpose, left)]
    try:
        outcome = marks_after(inputs, outputs, {payer}, lambda _: definition, lambda share, _: facts[share.payee], 0)
    except PurposeRefused:
        assert any(not refusal.pending for refusal in definition.refusals(payments))
        return
    assert outcome.waits == definition.refusals(payments)
    assert outcome.marks[-1] == (purpose, left)
    for mark, payment in zip(outcome.marks, payments, strict=False):
        is_free = mark is None
        assert is_free or mark[0] == purpose
        if definition.is_split_part(payment.payee) or isinstance(definition.mark, Clears):
            assert is_free


# --- at the limits -----------------------------------------------------------------------------

FULL = Memory(tuple([(MAX_TIME_S, MAX_AMOUNT_TIYN)] * MAX_PERIOD_SPENDS))


def numbered(count: int, chars: int) -> list[str]:
    return [f"{number:0{chars}}" for number in range(count)]


def broad(leaf: list[Anything]) -> list[Anything]:
    """As many of these leaves as one condition may have, told apart by limits that never bind."""
    asks = leaf[0] in ("per_period", "approval", "evidence")
    most = (MAX_CONDITION_NODES - 1) // 3
    inner = [
        ["any", [leaf if number < MAX_LEDGER_CONDITIONS or not asks else ["before", 1], ["per_payment", number]]]
        for number in range(most)
    ]
    return ["all", sorted([["any", sorted(found[1], key=cbor.encode)] for found in inner], key=cbor.encode)]


@pytest.mark.parametrize(
    "leaf",
    [
        ["payee_mcc", numbered(12, 4)],
        ["items", numbered(12, 4)],
        ["per_period", [1, MAX_PERIOD_DAYS]],
        ["approval", [numbered(12, 4), 12]],
        ["evidence", ["registry", "x" * MAX_FACT_CHARS]],
        ["hours", [[0, 1, 2, 3, 4, 5, 6], 0, 1440]],
        ["before", MAX_TIME_S],
        ["after", MAX_TIME_S],
    ],
    ids=lambda leaf: leaf[0],
)
def test_the_broadest_condition_is_read_and_answers(leaf: list[Anything]) -> None:
    condition = conditions.from_cbor(broad(leaf))
    assert MAX_CONDITION_NODES - 3 < sum(1 for _ in every(condition)) <= MAX_CONDITION_NODES
    assert len(cbor.encode(condition.to_cbor())) < MAX_DEFINITION_BYTES
    lines = tuple(Line("x" * MAX_NAME_CHARS, MAX_AMOUNT_TIYN) for _ in range(MAX_INVOICE_LINES))
    for time_s in (0, MAX_TIME_S):
        payment = Payment(
            "a", "b", None, None, MAX_AMOUNT_TIYN, time_s, lines=lines, others_tiyn=MAX_AMOUNT_TIYN, memory=FULL
        )
        refusal = condition.refuses(payment)
        assert refusal is None or str(refusal.found)
    with pytest.raises(FormError):
        conditions.from_cbor(["all", [condition.to_cbor(), ["per_payment", 1], ["per_payment", 2], ["not", leaf]]])


@pytest.mark.parametrize("depth", range(1, MAX_CONDITION_DEPTH + 2))
def test_a_condition_is_no_deeper_than_the_limit(depth: int) -> None:
    value: list[Anything] = ["per_payment", 5]
    for level in range(depth - 1):
        value = ["not", value] if level % 2 else ["all", [value]]
    if depth <= MAX_CONDITION_DEPTH:
        assert conditions.from_cbor(value).to_cbor() == value
    else:
        with pytest.raises(FormError):
            conditions.from_cbor(value)


@pytest.mark.parametrize("name", ["payee", "payer", "items", "payee_mcc"])
def test_a_list_is_no_longer_than_the_limit(name: str) -> None:
    assert conditions.from_cbor([name, numbered(MAX_CONDITION_LIST, 4)])
    with pytest.raises(FormError):
        conditions.from_cbor([name, numbered(MAX_CONDITION_LIST + 1, 4)])
