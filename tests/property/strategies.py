"""Random bodies of every kind of message, and random CBOR."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from cbdc.formats import requests, x509
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CONDITION_NODES,
    MAX_FACT_CHARS,
    MAX_LEDGER_CONDITIONS,
    MAX_MARK_HOPS,
    MAX_NAME_CHARS,
    MAX_PERIOD_DAYS,
    MAX_SPLIT_PARTS,
    MAX_TIME_S,
)
from cbdc.messages import bodies
from cbdc.messages.message import Body
from cbdc.policy import Policy
from cbdc.purposes.conditions import (
    After,
    All,
    Approval,
    Before,
    Condition,
    Evidence,
    Hours,
    Items,
    Not,
    Payee,
    PayeeKato,
    PayeeMcc,
    PayeeTier,
    Payer,
    PerPayment,
    PerPeriod,
    every,
    from_cbor,
)
from cbdc.purposes.conditions import Any as AnyOf
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, MarkRule, Split, UntilEvidence
from tests.vectors import samples

# --- bodies ------------------------------------------------------------------------------------

KEYS = st.binary(min_size=32, max_size=32)
HASHES = KEYS
NONCES = st.binary(min_size=16, max_size=16)
AMOUNTS = st.one_of(st.integers(1, 1000_00), st.integers(1, MAX_AMOUNT_TIYN))
TIMES = st.one_of(st.integers(samples.NOW_S, samples.LATER_S), st.integers(0, MAX_TIME_S))
COUNTS = st.integers(0, 1 << 32)
PRINTABLE = st.characters(categories=("L", "M", "N", "P", "S"))


def texts(limit: int) -> st.SearchStrategy[str]:
    return st.text(st.sampled_from(" aZ9/ң₸") | PRINTABLE, min_size=1, max_size=limit)


def tuples(items: st.SearchStrategy[Any], least: int = 1) -> st.SearchStrategy[tuple[Any, ...]]:
    return st.lists(items, min_size=least, max_size=4).map(tuple)


OUTPUTS = st.builds(Output, KEYS, AMOUNTS, st.none() | HASHES)
OUTPOINTS = st.lists(st.binary(min_size=34, max_size=34), min_size=1, max_size=4, unique=True).map(tuple)
TERMS = st.builds(bodies.OfflineTerms, HASHES, HASHES, HASHES, COUNTS, COUNTS, COUNTS, TIMES, TIMES)
SPEND = (OUTPOINTS, tuples(OUTPUTS), TIMES)
TAKEN_OUT = (OUTPOINTS, tuples(OUTPUTS, least=0), TIMES, AMOUNTS)
ROOT = x509.parse(samples.institutions()[0])
INSTITUTIONS = st.sampled_from(samples.institutions()).map(x509.parse)


@st.composite
def policies(draw: st.DrawFn) -> Policy:
    final_days = draw(st.integers(2, 3650))
    supervisors = draw(st.integers(1, 100))
    return Policy(
        offline_holding_tiyn=draw(AMOUNTS),
        offline_payment_tiyn=draw(AMOUNTS),
        offline_spends=draw(st.integers(0, 1000)),
        offline_hops=draw(st.integers(0, 1000)),
        offline_spend_days=draw(st.integers(1, final_days - 1)),
        offline_final_days=final_days,
        trust_list_days=draw(st.integers(1, final_days)),
        supervisors=supervisors,
        supervisor_quorum=draw(st.integers(1, supervisors)),
    )


def digits(least: int, most: int) -> st.SearchStrategy[str]:
    return st.text("0123456789", min_size=least, max_size=most)


ACCOUNTS = st.sampled_from(["altyn/aigul", "altyn/canteen", "registry"]) | texts(2 * MAX_NAME_CHARS + 1)
"""Some come up again and again, so that conditions and payments meet."""
MCCS = st.sampled_from(["5812"]) | digits(4, 4)
KATOS = st.sampled_from(["75", "750000000"]) | digits(2, 9)
TIERS = st.integers(0, 3) | st.integers(0, 1000)
CATEGORIES = st.sampled_from(["bread", "tea"]) | texts(MAX_NAME_CHARS)
FACTS = st.sampled_from(["delivered"]) | texts(MAX_FACT_CHARS)
ORACLES = st.sampled_from(["registry"]) | texts(MAX_NAME_CHARS)

LINES = tuples(st.builds(Line, CATEGORIES, st.just(0) | AMOUNTS), least=0)

SIMPLE_CONDITIONS: st.SearchStrategy[Condition] = st.one_of(
    st.builds(Payee, tuples(ACCOUNTS)),
    st.builds(PayeeMcc, tuples(MCCS)),
    st.builds(PayeeKato, tuples(KATOS)),
    st.builds(Payer, tuples(ACCOUNTS)),
    st.builds(PayeeTier, tuples(TIERS)),
    st.builds(
        lambda days, ends: Hours(days, min(ends), max(ends)),
        tuples(st.integers(0, 6)),
        st.tuples(st.integers(0, 1439), st.integers(1, 1440)).filter(lambda ends: ends[0] != ends[1]),
    ),
    st.builds(PerPayment, AMOUNTS),
    st.builds(PerPeriod, AMOUNTS, st.integers(1, MAX_PERIOD_DAYS)),
    st.builds(Items, tuples(CATEGORIES)),
    st.builds(After, TIMES),
    st.builds(Before, TIMES),
    tuples(ACCOUNTS).flatmap(lambda of: st.builds(Approval, st.just(of), st.integers(1, len(set(of))))),
    st.builds(Evidence, ORACLES, FACTS),
)


def combined(inner: st.SearchStrategy[Condition]) -> st.SearchStrategy[Condition]:
    return inner | st.builds(All, tuples(inner)) | st.builds(AnyOf, tuples(inner)) | st.builds(Not, inner)


def is_within_limits(condition: Condition) -> bool:
    nodes = list(every(condition))
    asking = [node for node in nodes if isinstance(node, PerPeriod | Approval | Evidence)]
    return len(nodes) <= MAX_CONDITION_NODES and len(asking) <= MAX_LEDGER_CONDITIONS


DEEPEST_CONDITIONS = combined(combined(combined(SIMPLE_CONDITIONS))).filter(is_within_limits)
CONDITIONS = (
    combined(combined(SIMPLE_CONDITIONS)).filter(is_within_limits).map(lambda condition: from_cbor(condition.to_cbor()))
)
"""In their canonical order, as a decoder would give them."""
RULES: st.SearchStrategy[MarkRule] = st.one_of(
    st.just(Clears()),
    st.just(Keeps()),
    st.builds(KeepsHops, st.integers(1, MAX_MARK_HOPS)),
    st.builds(UntilEvidence, texts(MAX_NAME_CHARS)),
)
SPLITS = st.integers(2, MAX_SPLIT_PARTS).flatmap(
    lambda of: st.builds(Split, ACCOUNTS, st.integers(1, of - 1), st.just(of))
)
DEFINITIONS = st.builds(
    Definition,
    texts(48),
    st.tuples(texts(120), texts(120), texts(120)),
    KEYS,
    KEYS,
    CONDITIONS,
    RULES,
    TIMES,
    st.none() | SPLITS,
)
PAYMENTS = st.sampled_from([samples.offline_payment(salt).raw for salt in ("", "a", "b")])
CERTIFICATES = st.sampled_from(
    [samples.certificate(n, is_purse=p) for n in ("aigul", "canteen") for p in (True, False)]
)


@st.composite
def transfers(draw: st.DrawFn) -> bodies.Transfer:
    """Online or between purses, saying what is bought or not: each in its own way."""
    spend = [draw(part) for part in SPEND]
    sealed = draw(st.none() | st.binary(max_size=1024))
    terms, lines = draw(st.none() | TERMS), draw(LINES)
    if terms is not None or not lines:
        return bodies.Transfer(*spend, sealed, terms, lines)
    key = samples.KEYS[draw(st.sampled_from(["canteen online", "aigul online"]))]
    request = requests.sign(key, samples.NETWORK, draw(AMOUNTS), lines, draw(NONCES))
    return bodies.Transfer(*spend, sealed, None, lines, request)


BODIES: dict[Kind, st.SearchStrategy[Body]] = {
    Kind.GENESIS: st.builds(bodies.Genesis, texts(48), st.just(ROOT), INSTITUTIONS, policies()),
    Kind.ADMIT: st.builds(bodies.Admit, INSTITUTIONS),
    Kind.DISMISS: st.builds(bodies.Dismiss, texts(48), texts(200)),
    Kind.POLICY: st.builds(bodies.SetPolicy, policies(), NONCES),
    Kind.ENROL: st.builds(bodies.Enrol, tuples(CERTIFICATES)),
    Kind.REVOKE: st.builds(bodies.Revoke, HASHES, texts(200)),
    Kind.ISSUE: st.builds(bodies.Issue, tuples(OUTPUTS), NONCES),
    Kind.REDEEM: st.builds(bodies.Redeem, *TAKEN_OUT),
    Kind.TRANSFER: transfers(),
    Kind.RESERVE: st.builds(bodies.Reserve, *TAKEN_OUT),
    Kind.REPAY: st.builds(bodies.Repay, *SPEND, KEYS, AMOUNTS),
    Kind.LOAD: st.builds(bodies.Load, *SPEND),
    Kind.UNLOAD: st.builds(bodies.Unload, *SPEND),
    Kind.RECONCILE: st.builds(bodies.Reconcile, tuples(PAYMENTS)),
    Kind.PURPOSE: DEFINITIONS,
    Kind.GRANT: st.builds(bodies.Grant, *SPEND, HASHES),
    Kind.SWEEP: st.builds(bodies.Sweep, OUTPOINTS),
    Kind.APPROVE: st.builds(bodies.Approve, HASHES, ACCOUNTS),
    Kind.ATTEST: st.builds(bodies.Attest, texts(MAX_NAME_CHARS), texts(MAX_FACT_CHARS), HASHES | ACCOUNTS),
    Kind.ALLOW: st.builds(bodies.Allow, HASHES, ACCOUNTS, st.just(0) | AMOUNTS, NONCES),
    Kind.REFUND: st.builds(bodies.Refund, *SPEND, HASHES, HASHES, KEYS),
    Kind.RECALL: st.builds(bodies.Recall, HASHES, OUTPOINTS, texts(200)),
}
UNSIGNED = {Kind.RECONCILE, Kind.SWEEP}

# --- anything ----------------------------------------------------------------------------------

SCALARS = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-(1 << 70), 1 << 70),
    st.floats(),
    st.binary(max_size=40),
    st.text(max_size=10),
)
LABELS = st.integers(-9, 9) | st.text(max_size=3)
CBOR = st.recursive(
    SCALARS,
    lambda inner: st.lists(inner, max_size=5) | st.dictionaries(LABELS, inner, max_size=3),
    max_leaves=12,
)
"""Any CBOR value: ours or not."""
