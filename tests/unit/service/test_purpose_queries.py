"""What is asked of a ledger about special-purpose money, and what a sweep may move."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from cbdc.errors import PurposeRefused
from cbdc.formats import certificates
from cbdc.formats.certificates import Holder, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.formats.x509 import Role
from cbdc.messages import bodies
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import All, Approval, Condition, Evidence, Memory, Payee, PerPayment, PerPeriod
from cbdc.purposes.conditions import Any as AnyOf
from cbdc.purposes.rules import Keeps, UntilEvidence
from cbdc.service import audit, pages
from cbdc.service.purpose_queries import Refundable
from cbdc.service.queries import Queries
from cbdc.state.records import Waiting
from cbdc.store.sqlite import SqliteStore
from tests.faults.stage import Recorder
from tests.support import LATER_S, LIMITS, YEAR_S, Customer, seed
from tests.unit.helpers import EXPIRY_S, define, grant, in_purse, load, out, revoke, sweep, transfer, wallet_id

ANYTHING = PerPayment(10**9)
SOWN = Evidence("registry", "sown")


@dataclass
class Field:
    """A ledger with a sponsor, two farmers, a shop and an oracle."""

    world: Recorder
    akimat: Customer
    aida: Customer
    bek: Customer
    shop: Customer
    registry: SigningKey
    path: Path

    @contextmanager
    def queries(self) -> Iterator[Queries]:
        """Everything that was recorded so far, on a ledger file of its own."""
        path = self.path / f"{len(self.world.messages)} {self.world.now_s}.db"
        if not path.exists():
            self.world.write(path)
        found = Queries(SqliteStore.read(path), self.world.identity(), lambda: self.world.now_s)
        try:
            yield found
        finally:
            found.close()

    def purpose(self, condition: Condition, **changes: object) -> bytes:
        return define(self.world, self.akimat, condition=condition, **changes)

    def grant(self, purpose: bytes, amount_tiyn: int, to: Customer | None = None) -> bytes:
        return grant(self.world, self.akimat, purpose, to or self.aida, amount_tiyn)

    def pay(self, token: bytes, *outputs: Output, until_s: int = LATER_S) -> bytes:
        """aida pays one token online; the message's id."""
        return transfer(self.world, [token], list(outputs), self.aida.key, until_s=until_s)[0][:32]

    def attest(self, fact: str, about: bytes | str) -> bytes:
        return self.world.do(Kind.ATTEST, bodies.Attest("registry", fact, about), self.registry)

    def due(self, after_s: int = 0, limit: int = 100) -> list[tuple[int, bytes]]:
        with self.queries() as queries:
            return queries.due(self.world.now_s + after_s, limit)


@pytest.fixture
def field(tmp_path: Path) -> Field:
    world = Recorder.founded("altyn")
    akimat = world.customer("akimat", holder=Holder.SPONSOR)
    aida, bek, shop = (world.customer(name) for name in ("aida", "bek", "shop"))
    registry = SigningKey(seed("registry"))
    world.submit(world.governor.admit("registry", Role.ORACLE, registry.public, world.now_s))
    return Field(world, akimat, aida, bek, shop, registry, tmp_path)


# --- keys of an account ------------------------------------------------------------------------


def another_key(field: Field, customer: Customer, number: int, *, after_s: int) -> bytes:
    """One more wallet key of a customer's, certified later."""
    bank, key = field.world.banks["altyn"], SigningKey(seed(f"{customer.name} {number}"))
    issued_s = field.world.now_s + after_s
    cwt = certificates.issue(
        bank,
        field.world.network,
        bank="altyn",
        subject=customer.name,
        key=key.public,
        issued_s=issued_s,
        expires_s=issued_s + YEAR_S,
    )
    field.world.do(Kind.ENROL, bodies.Enrol((cwt,)), bank)
    return key.public


def test_the_keys_of_an_account_the_latest_first_without_its_purses(field: Field) -> None:
    older, newer = (another_key(field, field.aida, number, after_s=number) for number in (1, 2))
    with field.queries() as queries:
        assert queries.keys_of("altyn/aida") == (newer, older, field.aida.key.public)
        assert queries.keys_of("altyn/bek") == (field.bek.key.public,)
        assert queries.keys_of("altyn/nobody") == queries.keys_of("altyn") == queries.keys_of("registry") == ()


def test_an_institution_by_its_key_and_by_its_name(field: Field) -> None:
    key = field.world.banks["altyn"].public
    with field.queries() as queries:
        assert (queries.institution_of(key), queries.institution_key("altyn")) == ("altyn", key)
        assert queries.institution_of(field.aida.key.public) is queries.institution_of(bytes(32)) is None
        assert queries.institution_key("nobody") is queries.institution_key("altyn/aida") is None


def test_keys_that_are_revoked_or_past_their_time_are_not_among_them(field: Field) -> None:
    newer = another_key(field, field.aida, 1, after_s=DAY_S)
    revoke(field.world, field.bek, wallet_id(field.world, field.bek))
    with field.queries() as queries:
        assert queries.keys_of("altyn/bek") == ()
        assert queries.keys_of("altyn/aida") == (newer, field.aida.key.public)
    field.world.now_s += YEAR_S
    field.world.submit(field.world.governor.issue(field.world.banks["altyn"].public, 5, field.world.nonce()))
    with field.queries() as queries:
        assert queries.keys_of("altyn/aida") == (newer,)


def test_a_key_that_was_certified_anew_is_one_key(field: Field) -> None:
    bank = field.world.banks["altyn"]
    cwt = certificates.issue(
        bank,
        field.world.network,
        bank="altyn",
        subject="aida",
        key=field.aida.key.public,
        issued_s=field.world.now_s + 1,
        expires_s=field.world.now_s + YEAR_S,
    )
    field.world.do(Kind.ENROL, bodies.Enrol((cwt,)), bank)
    with field.queries() as queries:
        assert queries.keys_of("altyn/aida") == (field.aida.key.public,)


# --- payments that wait ------------------------------------------------------------------------


def test_payments_that_wait_are_shown_until_they_went_through(field: Field, monkeypatch: pytest.MonkeyPatch) -> None:
    approved = Approval(("altyn/bek", "altyn/shop"), 1)
    purpose = field.purpose(All((approved, SOWN)))
    other = field.purpose(Approval(("altyn/akimat",), 1))
    first, second = (field.pay(field.grant(mark, 500), out(field.shop, 500, mark)) for mark in (purpose, other))
    with field.queries() as queries:
        held = queries.waiting()
        assert set(held) == {first, second}
        assert {found.lapsed for found in held.values()} == {False}
        assert queries.waiting_payment(first) == held[first]
        assert held[first].payer == "altyn/aida"
        assert held[first].until_s == EXPIRY_S
        assert queries.approvers_of(first) == ("altyn/bek", "altyn/shop")
        assert queries.approvers_of(second) == ("altyn/akimat",)
        assert queries.waiting_after(b"").found == held
        monkeypatch.setattr(pages, "MAX_LEDGER_PAGE_BYTES", 1)
        page = queries.waiting_after(b"")
        assert (list(page.found), page.has_more) == ([min(held)], True)
        rest = queries.waiting_after(min(held))
        assert (list(rest.found), rest.has_more) == ([max(held)], False)
    field.world.do(Kind.APPROVE, bodies.Approve(second, "altyn/akimat"), field.akimat.key)
    with field.queries() as queries:
        assert set(queries.waiting()) == {first}
        assert queries.waiting_payment(second) is None
        assert queries.approvers_of(second) == ()


def test_a_lapsed_payment_is_shown_as_one(field: Field) -> None:
    purpose = field.purpose(SOWN)
    payment = field.pay(field.grant(purpose, 500), out(field.shop, 500, purpose), until_s=field.world.now_s + 60)
    field.world.now_s += 60
    sweep(field.world, outpoint(payment, 0))
    with field.queries() as queries:
        found = queries.waiting_payment(payment)
        assert isinstance(found, Waiting)
        assert (found.lapsed, found.outputs) == (True, [])
        assert queries.approvers_of(payment) == ()


# --- memory ------------------------------------------------------------------------------------


def test_the_ledger_remembers_what_conditions_ask_for(field: Field) -> None:
    purpose = field.purpose(All((PerPeriod(10_000, 30), AnyOf((SOWN, Evidence("registry", "licensed"), ANYTHING)))))
    forgetful = field.purpose(ANYTHING)
    paid_s = field.world.now_s
    field.pay(field.grant(purpose, 500), out(field.shop, 300, purpose), out(field.aida, 200, purpose))
    field.pay(field.grant(forgetful, 500), out(field.shop, 500, forgetful))
    field.attest("licensed", "altyn/shop")
    field.attest("audited", "altyn/shop")
    with field.queries() as queries:
        spent, licensed = ((paid_s, 300),), frozenset({("registry", "licensed")})
        assert queries.purpose_memory(purpose, "altyn/aida", "altyn/shop") == Memory(spent, frozenset(), licensed)
        assert queries.purpose_memory(purpose, "altyn/aida", "altyn/bek") == Memory(spent)
        assert queries.purpose_memory(purpose, "altyn/shop", "altyn/bek") == Memory((), frozenset(), licensed)
        assert queries.purpose_memory(forgetful, "altyn/aida", "altyn/shop") == Memory()
        with pytest.raises(PurposeRefused):
            queries.purpose_memory(seed("purpose"), "altyn/aida", "altyn/shop")


# --- refunds -----------------------------------------------------------------------------------


def test_what_an_online_payment_brought_each_payee_may_be_refunded(field: Field) -> None:
    meals, books = field.purpose(ANYTHING), field.purpose(PerPayment(10**8))
    tokens = [field.grant(meals, 500), field.grant(books, 300), field.world.fund(field.aida, 50)]
    outputs = [
        out(field.shop, 200, meals),
        out(field.shop, 100, meals),
        out(field.bek, 150, meals),
        out(field.aida, 50, meals),
        out(field.shop, 300, books),
        out(field.shop, 50),
    ]
    payment = transfer(field.world, tokens, outputs, field.aida.key)[0][:32]
    rest = [(meals, field.shop, 300), (meals, field.bek, 150), (books, field.shop, 300)]
    wanted = [Refundable(mark, who.key.public, "altyn/aida", tiyn) for mark, who, tiyn in rest]
    with field.queries() as queries:
        assert queries.refundable(payment) == tuple(sorted(wanted, key=lambda one: one.purpose + one.payee))
        assert queries.refundable(seed("payment")) == ()
    back = (out(field.aida, 120, meals), out(field.shop, 180))
    source = (payment, meals, field.shop.key.public)
    inputs = (outpoint(payment, 0), outpoint(payment, 1))
    field.world.do(Kind.REFUND, bodies.Refund(inputs, back, LATER_S, *source), field.shop.key)
    with field.queries() as queries:
        rests = {(one.purpose, one.payee): one.rest_tiyn for one in queries.refundable(payment)}
        assert rests[meals, field.shop.key.public] == 180
        assert sorted(rests.values()) == [150, 180, 300]


def test_what_waits_brought_nothing_yet(field: Field) -> None:
    purpose = field.purpose(SOWN)
    payment = field.pay(field.grant(purpose, 500), out(field.shop, 500, purpose))
    with field.queries() as queries:
        assert queries.refundable(payment) == ()
    field.attest("sown", payment)
    with field.queries() as queries:
        (found,) = queries.refundable(payment)
        assert found == Refundable(purpose, field.shop.key.public, "altyn/aida", 500)


def offline_payment(field: Field, purpose: bytes) -> bytes:
    """aida's purse pays the shop's 500 of a purpose in two outputs, with change and 100 of free money."""
    world = field.world
    marked = load(world, [field.grant(purpose, 900)], [in_purse(field.aida, 900, purpose)], field.aida.key)
    free = world.load(field.aida, 100)
    outputs = (
        in_purse(field.shop, 300, purpose),
        in_purse(field.shop, 200, purpose),
        in_purse(field.aida, 400, purpose),
        in_purse(field.shop, 100),
    )
    return world.payment(field.aida, field.shop, (marked, free), outputs)


def test_what_a_payment_between_purses_brought_may_be_refunded(field: Field) -> None:
    purpose = field.purpose(ANYTHING, mark=Keeps())
    raw = offline_payment(field, purpose)
    field.world.reconcile(raw)
    payment, purse = field.world.message_id(raw), field.shop.purse.public
    with field.queries() as queries:
        assert queries.refundable(payment) == (Refundable(purpose, purse, "altyn/aida", 500),)
    back = (out(field.aida, 120, purpose), out(field.shop, 30))
    body = bodies.Refund((field.world.fund(field.shop, 150),), back, LATER_S, payment, purpose, purse)
    field.world.do(Kind.REFUND, body, field.shop.key)
    with field.queries() as queries:
        assert queries.refundable(payment) == (Refundable(purpose, purse, "altyn/aida", 380),)


# --- what falls due ----------------------------------------------------------------------------


def test_nothing_is_due_before_its_time(field: Field) -> None:
    purpose = field.purpose(ANYTHING)
    field.grant(purpose, 500)
    field.world.load(field.aida, 100)
    field.pay(field.grant(held := field.purpose(SOWN), 500), out(field.shop, 500, held))
    assert field.due() == []


def test_marked_tokens_are_due_when_their_purpose_expires(field: Field) -> None:
    purpose, later = field.purpose(ANYTHING), field.purpose(ANYTHING, expires_s=EXPIRY_S + 5)
    tokens, last = {field.grant(purpose, 500 + index) for index in range(3)}, field.grant(later, 500)
    assert field.due(10 * DAY_S - 1) == []
    due = field.due(10 * DAY_S)
    assert {name for _, name in due} == tokens
    assert {due_s for due_s, _ in due} == {EXPIRY_S}
    assert field.due(10 * DAY_S + 5) == [*due, (EXPIRY_S + 5, last)]
    assert len(field.due(10 * DAY_S + 5, limit=2)) == 2
    field.world.now_s = EXPIRY_S
    sweep(field.world, *tokens)
    assert field.due() == []


def test_final_leaves_and_lapsing_payments_are_due_in_order(field: Field) -> None:
    purpose = field.purpose(SOWN)
    leaf = field.world.load(field.aida, 100)
    found = field.world.leaf(leaf)
    assert found is not None
    until_s = field.world.now_s + DAY_S
    payment = field.pay(field.grant(purpose, 500), out(field.shop, 500, purpose), until_s=until_s)
    assert field.due(DAY_S - 1) == []
    assert field.due(DAY_S) == [(until_s, outpoint(payment, 0))]
    assert field.due(YEAR_S) == sorted([(until_s, outpoint(payment, 0)), (found.final_at_s, leaf)])
    field.world.now_s = until_s
    sweep(field.world, outpoint(payment, 0))
    returned = [name for due_s, name in field.due(10 * DAY_S) if due_s == EXPIRY_S]
    assert len(returned) == 1, "what returned is due with its purpose, and its payment no more"
    token = field.world.token(returned[0])
    assert token is not None
    assert (token.owner, token.amount_tiyn, token.purpose) == (field.aida.key.public, 500, purpose)


def test_one_name_of_each_payment_that_waits(field: Field) -> None:
    """Also where it has many tokens in escrow, where they are marked, and where its purpose expires."""
    purpose = field.purpose(SOWN)
    outputs = [out(who, 100 + number, purpose) for number, who in enumerate((field.shop, field.bek) * 3)]
    outputs.insert(0, out(field.aida, 90, purpose))
    total_tiyn = sum(output.amount_tiyn for output in outputs)
    payment = field.pay(field.grant(purpose, total_tiyn), *outputs)
    due = field.due(YEAR_S)
    assert [name for _, name in due if name.startswith(payment)] == [outpoint(payment, 0), outpoint(payment, 1)]
    field.world.now_s = EXPIRY_S
    swept = [name for _, name in due]
    assert swept == [outpoint(payment, 0), outpoint(payment, 1)], "the change, and one that stands for the rest"
    sweep(field.world, *swept)
    with field.queries() as queries:
        found = queries.waiting_payment(payment)
        assert found is not None
        assert found.lapsed


def test_a_payment_that_waits_for_evidence_about_its_payee_is_due_once_it_is_there(field: Field) -> None:
    purpose = field.purpose(SOWN)
    payment = field.pay(field.grant(purpose, 500), out(field.shop, 500, purpose))
    assert field.due() == []
    field.attest("sown", "altyn/bek")
    assert field.due() == []
    field.attest("sown", "altyn/shop")
    assert field.due() == [(field.world.now_s, outpoint(payment, 0))]
    assert field.due(YEAR_S) == [(field.world.now_s, outpoint(payment, 0))]
    sweep(field.world, outpoint(payment, 0))
    assert field.world.online_tiyn(field.shop.key.public) == 500
    assert field.due() == []


def test_a_payment_whose_payee_is_denied_by_now_lapses(field: Field) -> None:
    purpose = field.purpose(SOWN)
    until_s = field.world.now_s + DAY_S
    payment = field.pay(field.grant(purpose, 500), out(field.shop, 500, purpose), until_s=until_s)
    revoke(field.world, field.shop, wallet_id(field.world, field.shop))
    field.attest("sown", payment)
    assert field.due() == []
    assert field.due(DAY_S) == [(until_s, outpoint(payment, 0))]


def test_tokens_that_evidence_has_freed_are_due(field: Field) -> None:
    purpose = field.purpose(ANYTHING, mark=UntilEvidence("registry"))
    first, second = field.grant(purpose, 500), field.grant(purpose, 300, field.bek)
    payment = field.pay(first, out(field.shop, 400, purpose), out(field.akimat, 100, purpose))
    assert field.due() == []
    field.attest("delivered", payment)
    assert field.due() == [(field.world.now_s, outpoint(payment, index)) for index in (0, 1)]
    field.attest("farmer", "altyn/bek")
    assert {name for _, name in field.due()} == {outpoint(payment, 0), outpoint(payment, 1), second}
    sweep(field.world, second)
    assert field.world.online_tiyn(field.bek.key.public) == 300
    assert {name for _, name in field.due()} == {outpoint(payment, 0), outpoint(payment, 1)}


def test_whether_a_token_is_freed(field: Field) -> None:
    purpose = field.purpose(ANYTHING, mark=UntilEvidence("registry"))
    first, second = field.grant(purpose, 500), field.grant(purpose, 300, field.bek)
    payment = field.pay(first, out(field.shop, 400, purpose), out(field.aida, 100, purpose))
    field.attest("delivered", payment)
    with field.queries() as queries:
        names = [outpoint(payment, 0), outpoint(payment, 1), second, bytes(34)]
        assert [queries.is_freed(name) for name in names] == [True, False, False, False]
    field.attest("farmer", "altyn/bek")
    with field.queries() as queries:
        assert queries.is_freed(second)


def test_escrow_of_freed_money_waits_for_its_payment(field: Field) -> None:
    """Evidence about the payer frees what it holds, not what it has paid already."""
    purpose = field.purpose(Approval(("altyn/bek",), 1), mark=UntilEvidence("registry"))
    payment = field.pay(field.grant(purpose, 500), out(field.shop, 400, purpose), out(field.aida, 100, purpose))
    field.attest("farmer", "altyn/aida")
    assert field.due() == [(field.world.now_s, outpoint(payment, 1))]


# --- an allowance is no memory -----------------------------------------------------------------


def test_an_allowance_in_a_certificate_is_what_the_sponsor_allowed(field: Field) -> None:
    purpose = field.purpose(PerPeriod(10_000, 30))
    field.world.do(Kind.ALLOW, bodies.Allow(purpose, "altyn/aida", 70, field.world.nonce()), field.akimat.key)
    limits: PurseLimits = replace(LIMITS, allowances=((purpose, 70),))
    aida = field.aida
    cwt = certificates.issue(
        field.world.banks["altyn"],
        field.world.network,
        bank="altyn",
        subject="aida",
        key=aida.purse.public,
        issued_s=field.world.now_s + 1,
        expires_s=field.world.now_s + YEAR_S,
        limits=limits,
        online_key=aida.key.public,
    )
    field.world.do(Kind.ENROL, bodies.Enrol((cwt,)), field.world.banks["altyn"])
    with field.queries() as queries:
        found = queries.certificate_of(aida.purse.public).limits
        assert found is not None
        assert (found.allowance_tiyn(purpose), found.allowance_tiyn(seed("other"))) == (70, None)
        assert queries.keys_of("altyn/aida") == (aida.key.public,)


def test_a_payee_that_a_condition_names_is_asked_for_by_its_account(field: Field) -> None:
    """An institution has no certificate, and is paid by its name."""
    purpose = field.purpose(All((Payee(("altyn",)), SOWN)))
    bank = field.world.banks["altyn"]
    payment = field.pay(field.grant(purpose, 500), out(bank.public, 500, purpose))
    field.attest("sown", "altyn")
    assert field.due() == [(field.world.now_s, outpoint(payment, 0))]
    sweep(field.world, outpoint(payment, 0))
    with field.queries() as queries:
        assert queries.refundable(payment) == (Refundable(purpose, bank.public, "altyn/aida", 500),)


# --- the auditor -------------------------------------------------------------------------------


def test_the_audit_holds_while_payments_wait_and_shows_what_is_in_escrow(field: Field) -> None:
    purpose = field.purpose(SOWN)
    payment = field.pay(field.grant(purpose, 500), out(field.shop, 400, purpose), out(field.aida, 100, purpose))
    with field.queries() as queries:
        store = SqliteStore.read(next(field.path.glob("*.db")))
        try:
            verdict = audit.verify_ledger(store, field.world.network)
            report = audit.report_supply(store, field.world.network)
        finally:
            store.close()
        assert set(queries.waiting()) == {payment}
    assert all(verdict.laws.values())
    assert verdict.state_root == field.world.root()
    assert report.online_by_participant == {"customers of altyn": 100, "payments that wait": 400}
    assert report.marked_by_purpose == {"meals": 500}
