"""What messages say: each body's form, read back and refused."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.formats import requests, x509
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output
from cbdc.limits import (
    MAX_AMOUNT_TIYN,
    MAX_CERTIFICATE_BYTES,
    MAX_ENROLMENTS,
    MAX_EVIDENCE,
    MAX_FACT_CHARS,
    MAX_INPUTS,
    MAX_INVOICE_LINES,
    MAX_NAME_CHARS,
    MAX_OUTPUTS,
    MAX_REFERENCE_CHARS,
    MAX_REQUEST_BYTES,
    MAX_SEALED_BYTES,
    MAX_SWEEP,
    MAX_TIME_S,
)
from cbdc.messages import bodies
from cbdc.policy import Policy
from cbdc.service.founding import Governor
from tests.support import NOW_S, seed

HASH, NAME, NONCE = bytes(32), bytes(34), bytes(16)
OUTPUT = Output(HASH, 5, None)
TERMS = bodies.OfflineTerms(HASH, seed("payer"), seed("payee"), 1, 2, 3, NOW_S, NOW_S)
GOVERNOR = Governor.from_seed(seed("governor"))
BANK = x509.parse(GOVERNOR.certify("altyn", x509.Role.BANK, seed("key"), NOW_S))
LINES = (Line("bread", 5),)
REQUEST = requests.sign(SigningKey(seed("shop")), GOVERNOR.network, 5, LINES, NONCE)
ACCOUNT_CHARS = 2 * MAX_NAME_CHARS + 1

GOOD = [
    bodies.Genesis("test", BANK, BANK, Policy()),
    bodies.Admit(BANK),
    bodies.Dismiss("altyn", "order 1"),
    bodies.SetPolicy(Policy(), NONCE),
    bodies.Enrol((b"cwt",)),
    bodies.Revoke(HASH, "lost"),
    bodies.Issue((OUTPUT,), NONCE),
    bodies.Redeem((NAME,), (OUTPUT,), NOW_S, 7),
    bodies.Redeem((NAME,), (), NOW_S, 7),
    bodies.Reserve((NAME,), (), NOW_S, 7),
    bodies.Transfer((NAME,), (OUTPUT,), NOW_S),
    bodies.Transfer((NAME,), (OUTPUT,) * MAX_OUTPUTS, NOW_S, bytes(MAX_SEALED_BYTES), TERMS),
    bodies.Transfer((NAME,), (OUTPUT,), NOW_S, None, TERMS, LINES * MAX_INVOICE_LINES),
    bodies.Transfer((NAME,), (OUTPUT,), NOW_S, b"sealed", None, LINES, REQUEST),
    bodies.Load((NAME,), (OUTPUT,), NOW_S),
    bodies.Unload((NAME,), (OUTPUT,), NOW_S),
    bodies.Grant((NAME,), (OUTPUT,), NOW_S, HASH),
    bodies.Reconcile((b"payment",)),
    bodies.Sweep((NAME,)),
    bodies.Refund((NAME,), (OUTPUT,), NOW_S, HASH, seed("purpose"), seed("payee")),
    bodies.Approve(HASH, "altyn/aida"),
    bodies.Approve(HASH, "x" * ACCOUNT_CHARS),
    bodies.Attest("registry", "delivered", HASH),
    bodies.Attest("registry", "x" * MAX_FACT_CHARS, "altyn/aida"),
    bodies.Allow(HASH, "altyn/aida", 0, NONCE),
    bodies.Allow(HASH, "altyn/aida", MAX_AMOUNT_TIYN, NONCE),
    bodies.Recall(HASH, (NAME,), "decision 7"),
]


@pytest.mark.parametrize("body", GOOD, ids=lambda body: type(body).__name__)
def test_round_trip(body: object) -> None:
    assert type(body).from_cbor(body.to_cbor()) == body


@pytest.mark.parametrize("body", GOOD, ids=lambda body: type(body).__name__)
def test_a_body_has_its_number_of_fields(body: object) -> None:
    fields = body.to_cbor()
    for wrong in (fields[:-1], [*fields, None], None, {}, b""):
        with pytest.raises(Malformed):
            type(body).from_cbor(wrong)


def names(count: int) -> list[bytes]:
    return [number.to_bytes(34, "big") for number in range(count)]


SPEND = [[NAME], [OUTPUT.to_cbor()], NOW_S]
TERM_FIELDS = TERMS.to_cbor()


def with_field(fields: list, index: int, value: object) -> list:
    return [*fields[:index], value, *fields[index + 1 :]]


def terms(index: int, value: object) -> list:
    return [*SPEND, None, with_field(TERM_FIELDS, index, value), None]


def stated(value: object, *, is_offline: bool = False) -> list:
    """A payment that says this of what is bought."""
    return [*SPEND, None, TERM_FIELDS if is_offline else None, value]


REFUND = bodies.Refund((NAME,), (OUTPUT,), NOW_S, HASH, HASH, HASH).to_cbor()
APPROVE = bodies.Approve(HASH, "altyn/aida").to_cbor()
ATTEST = bodies.Attest("registry", "delivered", HASH).to_cbor()
ALLOW = bodies.Allow(HASH, "altyn/aida", 5, NONCE).to_cbor()
RECALL = bodies.Recall(HASH, (NAME,), "decision 7").to_cbor()


WRONG: list[tuple[type[FormError], Callable[[object], object], object]] = [
    (Malformed, bodies.Load.from_cbor, [[], *SPEND[1:], None]),
    (Malformed, bodies.Load.from_cbor, [[NAME, NAME], *SPEND[1:], None]),
    (Malformed, bodies.Load.from_cbor, [[NAME[:33]], *SPEND[1:], None]),
    (TooLarge, bodies.Load.from_cbor, [names(MAX_INPUTS + 1), *SPEND[1:], None]),
    (Malformed, bodies.Load.from_cbor, [[NAME], [], NOW_S, None]),
    (TooLarge, bodies.Load.from_cbor, [[NAME], [OUTPUT.to_cbor()] * (MAX_OUTPUTS + 1), NOW_S, None]),
    (TooLarge, bodies.Load.from_cbor, [*SPEND[:2], MAX_TIME_S + 1, None]),
    (Malformed, bodies.Load.from_cbor, [*SPEND, 0]),
    (Malformed, bodies.Unload.from_cbor, [*SPEND, b""]),
    (Malformed, bodies.Unload.from_cbor, [[NAME], [], NOW_S, None]),
    (Malformed, bodies.Redeem.from_cbor, [*SPEND, 0]),
    (Malformed, bodies.Reserve.from_cbor, [*SPEND, 0]),
    (Malformed, bodies.Reserve.from_cbor, [*SPEND, -1]),
    (Malformed, bodies.Reserve.from_cbor, [*SPEND, 0.0]),
    (Malformed, bodies.Reserve.from_cbor, [*SPEND, True]),
    (TooLarge, bodies.Redeem.from_cbor, [*SPEND, MAX_AMOUNT_TIYN + 1]),
    (Malformed, bodies.Grant.from_cbor, [*SPEND, HASH[:31]]),
    (Malformed, bodies.Grant.from_cbor, [*SPEND, None]),
    (TooLarge, bodies.Transfer.from_cbor, [*SPEND, bytes(MAX_SEALED_BYTES + 1), None, None]),
    (Malformed, bodies.Transfer.from_cbor, [*SPEND, "memo", None, None]),
    (Malformed, bodies.Transfer.from_cbor, [*SPEND, None, [], None]),
    (Malformed, bodies.Transfer.from_cbor, terms(0, HASH[:31])),
    (Malformed, bodies.Transfer.from_cbor, terms(1, None)),
    (Malformed, bodies.Transfer.from_cbor, terms(1, HASH[:31])),
    (Malformed, bodies.Transfer.from_cbor, terms(2, None)),
    (Malformed, bodies.Transfer.from_cbor, terms(2, HASH + b"0")),
    (Malformed, bodies.Transfer.from_cbor, terms(3, -1)),
    (TooLarge, bodies.Transfer.from_cbor, terms(4, 1 << 33)),
    (Malformed, bodies.Transfer.from_cbor, terms(5, 1.0)),
    (TooLarge, bodies.Transfer.from_cbor, terms(6, MAX_TIME_S + 1)),
    (Malformed, bodies.Transfer.from_cbor, terms(7, "now")),
    (Malformed, bodies.Transfer.from_cbor, stated(b"")),
    (Malformed, bodies.Transfer.from_cbor, stated([])),
    (Malformed, bodies.Transfer.from_cbor, stated([["bread", 5]])),
    (Malformed, bodies.Transfer.from_cbor, stated(REQUEST[:-1])),
    (Malformed, bodies.Transfer.from_cbor, stated("request")),
    (TooLarge, bodies.Transfer.from_cbor, stated(bytes(MAX_REQUEST_BYTES + 1))),
    (Malformed, bodies.Transfer.from_cbor, stated(REQUEST, is_offline=True)),
    (Malformed, bodies.Transfer.from_cbor, stated([], is_offline=True)),
    (Malformed, bodies.Transfer.from_cbor, stated([["bread"]], is_offline=True)),
    (Malformed, bodies.Transfer.from_cbor, stated([["", 5]], is_offline=True)),
    (TooLarge, bodies.Transfer.from_cbor, stated([["bread", 5]] * (MAX_INVOICE_LINES + 1), is_offline=True)),
    (Malformed, bodies.Refund.from_cbor, with_field(REFUND, 0, [])),
    (Malformed, bodies.Refund.from_cbor, with_field(REFUND, 1, [])),
    (TooLarge, bodies.Refund.from_cbor, with_field(REFUND, 2, MAX_TIME_S + 1)),
    *((Malformed, bodies.Refund.from_cbor, with_field(REFUND, at, HASH[:31])) for at in (3, 4, 5)),
    *((Malformed, bodies.Refund.from_cbor, with_field(REFUND, at, None)) for at in (3, 4, 5)),
    (Malformed, bodies.Approve.from_cbor, with_field(APPROVE, 0, NAME)),
    (Malformed, bodies.Approve.from_cbor, with_field(APPROVE, 1, "")),
    (Malformed, bodies.Approve.from_cbor, with_field(APPROVE, 1, HASH)),
    (TooLarge, bodies.Approve.from_cbor, with_field(APPROVE, 1, "x" * (ACCOUNT_CHARS + 1))),
    (Malformed, bodies.Attest.from_cbor, with_field(ATTEST, 0, "")),
    (TooLarge, bodies.Attest.from_cbor, with_field(ATTEST, 0, "x" * (MAX_NAME_CHARS + 1))),
    (Malformed, bodies.Attest.from_cbor, with_field(ATTEST, 1, None)),
    (TooLarge, bodies.Attest.from_cbor, with_field(ATTEST, 1, "x" * (MAX_FACT_CHARS + 1))),
    (Malformed, bodies.Attest.from_cbor, with_field(ATTEST, 2, HASH[:31])),
    (Malformed, bodies.Attest.from_cbor, with_field(ATTEST, 2, "")),
    (Malformed, bodies.Attest.from_cbor, with_field(ATTEST, 2, None)),
    (TooLarge, bodies.Attest.from_cbor, with_field(ATTEST, 2, "x" * (ACCOUNT_CHARS + 1))),
    (Malformed, bodies.Allow.from_cbor, with_field(ALLOW, 0, HASH[:31])),
    (Malformed, bodies.Allow.from_cbor, with_field(ALLOW, 1, HASH)),
    (Malformed, bodies.Allow.from_cbor, with_field(ALLOW, 2, -1)),
    (Malformed, bodies.Allow.from_cbor, with_field(ALLOW, 2, True)),
    (TooLarge, bodies.Allow.from_cbor, with_field(ALLOW, 2, MAX_AMOUNT_TIYN + 1)),
    (Malformed, bodies.Allow.from_cbor, with_field(ALLOW, 3, NONCE[:15])),
    (Malformed, bodies.Recall.from_cbor, with_field(RECALL, 0, None)),
    (Malformed, bodies.Recall.from_cbor, with_field(RECALL, 1, [])),
    (Malformed, bodies.Recall.from_cbor, with_field(RECALL, 1, [NAME, NAME])),
    (TooLarge, bodies.Recall.from_cbor, with_field(RECALL, 1, names(MAX_SWEEP + 1))),
    (Malformed, bodies.Recall.from_cbor, with_field(RECALL, 2, "")),
    (TooLarge, bodies.Recall.from_cbor, with_field(RECALL, 2, "x" * (MAX_REFERENCE_CHARS + 1))),
    (Malformed, bodies.Issue.from_cbor, [[], NONCE]),
    (Malformed, bodies.Issue.from_cbor, [[OUTPUT.to_cbor()], NONCE[:15]]),
    (Malformed, bodies.SetPolicy.from_cbor, [Policy().to_cbor(), None]),
    (Malformed, bodies.Enrol.from_cbor, [[]]),
    (TooLarge, bodies.Enrol.from_cbor, [[b""] * (MAX_ENROLMENTS + 1)]),
    (TooLarge, bodies.Enrol.from_cbor, [[bytes(MAX_CERTIFICATE_BYTES + 1)]]),
    (Malformed, bodies.Revoke.from_cbor, [HASH[:31], "lost"]),
    (Malformed, bodies.Revoke.from_cbor, [HASH, ""]),
    (TooLarge, bodies.Revoke.from_cbor, [HASH, "x" * (MAX_REFERENCE_CHARS + 1)]),
    (TooLarge, bodies.Dismiss.from_cbor, ["x" * (MAX_NAME_CHARS + 1), "order"]),
    (Malformed, bodies.Genesis.from_cbor, ["", BANK.der, BANK.der, Policy().to_cbor()]),
    (Malformed, bodies.Admit.from_cbor, [b"der"]),
    (Malformed, bodies.Reconcile.from_cbor, [[]]),
    (TooLarge, bodies.Reconcile.from_cbor, [[b""] * (MAX_EVIDENCE + 1)]),
    (Malformed, bodies.Reconcile.from_cbor, [["payment"]]),
    (Malformed, bodies.Sweep.from_cbor, [[]]),
    (Malformed, bodies.Sweep.from_cbor, [[NAME, NAME]]),
    (TooLarge, bodies.Sweep.from_cbor, [names(MAX_SWEEP + 1)]),
]


@pytest.mark.parametrize(("error", "read", "value"), WRONG)
def test_malformed(error: type[FormError], read: Callable[[object], object], value: object) -> None:
    with pytest.raises(FormError) as caught:
        read(value)
    assert type(caught.value) is error


def test_a_payment_says_what_is_bought_once() -> None:
    """Online the lines are those in the payee's request, and nothing else says them."""
    online = bodies.Transfer((NAME,), (OUTPUT,), NOW_S, None, None, LINES, REQUEST)
    assert online.to_cbor()[-1] == REQUEST
    assert bodies.Transfer((NAME,), (OUTPUT,), NOW_S, None, TERMS, LINES).to_cbor()[-1] == [["bread", 5]]
    assert bodies.Transfer((NAME,), (OUTPUT,), NOW_S, None, TERMS).to_cbor()[-1] is None


def test_what_two_approve_are_two_messages() -> None:
    assert bodies.Approve(HASH, "altyn/aida").to_cbor() != bodies.Approve(HASH, "altyn/bolat").to_cbor()
