"""Following a purpose's money, case by case."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from cbdc.errors import LedgerCorrupt, Malformed
from cbdc.formats import certificates, requests
from cbdc.formats.certificates import Holder, Merchant
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output, outpoint
from cbdc.messages import bodies
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import All, Approval, Items, Not, Payee, PayeeMcc
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, Split, UntilEvidence
from cbdc.service.tracking import (
    NOT_STATED,
    NOT_TOLD_APART,
    Books,
    Fate,
    Flow,
    Group,
    Moved,
    find_purpose,
    rows_by,
    track,
)
from cbdc.service.tracking.items import bought, shared
from cbdc.service.tracking.tree import MAX_DEPTH
from cbdc.state.records import Table
from cbdc.store.sqlite import SqliteStore
from tests.support import NOW_S, YEAR_S
from tests.unit.service.purpose_town import EXPIRY_S, Shown, Town
from tests.unit.service.test_tracking_walks import every

TAX = Split("altyn/kgd", 16, 116)


def kinds(town: Town) -> list[str]:
    return [movement.kind.value for movement in town.tracked().movements]


def loaded(town: Town, who: str, amount_tiyn: int) -> bytes:
    """Grant and load; the purse's token."""
    town.load(who, [town.grant(who, amount_tiyn)], amount_tiyn)
    ((name, _),) = town.leaves(who)
    return name


# --- between purses ----------------------------------------------------------------------------


def test_a_further_spend_is_covered() -> None:
    town = Town(Keeps())
    name = loaded(town, "aru", 1_000)
    town.world.reconcile(town.signed_offline("aru", "shop", name, 600, "a"))
    town.world.reconcile(town.signed_offline("aru", "stall", name, 900, "b"))
    tracked = town.tracked()
    assert tracked.books == Books(1_000, 1_000, offline_tiyn=2_000, paid_tiyn=1_500)
    (tree,) = tracked.trees
    assert (tree.amount_tiyn, tree.covered_tiyn, tree.is_balanced) == (1_000, 1_000, True)
    assert [(child.holder, child.amount_tiyn) for child in tree.children] == [("altyn/shop", 600), ("altyn/stall", 900)]


def test_what_stays_seized_leaves_the_purpose() -> None:
    town = Town(Keeps())
    name = loaded(town, "aru", 1_000)
    town.world.reconcile(town.signed_offline("aru", "shop", name, 600, "a"))
    town.world.reconcile(town.signed_offline("aru", "stall", name, 900, "b"))
    town.world.now_s += 31 * DAY_S
    town.sweep([leaf for who in ("aru", "shop", "stall") for leaf, _ in town.leaves(who)])
    books = town.tracked().books
    assert (books.covered_tiyn, books.seized_tiyn, books.online_tiyn, books.offline_tiyn) == (1_000, 500, 1_500, 0)
    assert {"final", "seized"} <= set(kinds(town))


def test_money_that_never_was_any_is_covered_for_whom_it_reached() -> None:
    """Aru's purse is revoked; the shop could have known, takes her payment, and passes it on to the stall."""
    town = Town(Keeps())
    name = loaded(town, "aru", 1_000)
    aru, world = town.people["aru"], town.world
    world.now_s += DAY_S
    world.do(Kind.REVOKE, bodies.Revoke(aru.certificate(world.network).id, "lost"), world.banks["altyn"])
    world.now_s += DAY_S
    first = town.signed_offline("aru", "shop", name, 1_000, "a")
    shop, stall = town.people["shop"], town.people["stall"]
    output = Output(stall.purse.public, 1_000, town.purpose)
    second = world.payment(shop, stall, (outpoint(world.message_id(first), 0),), (output,), hop=2)
    world.reconcile(first, second)
    tracked = town.tracked()
    assert tracked.books == Books(1_000, 1_000, offline_tiyn=2_000, paid_tiyn=1_000)
    assert [(tree.kind, tree.holder) for tree in tracked.trees] == [
        (Moved.GRANT, "altyn/aru"),
        (Moved.PAYMENT, "altyn/stall"),
    ]


def test_evidence_that_was_refused_moves_nothing_until_it_counts() -> None:
    town = Town(Clears())
    name = loaded(town, "aru", 1_000)
    good = town.signed_offline("aru", "shop", name, 400)
    bad = town.signed_offline("aru", "shop", name, 500, "b", hop=3)
    town.world.reconcile(bad, good)
    town.world.reconcile(good, town.signed_offline("aru", "shop", outpoint(town.world.message_id(good), 1), 100, "c"))
    assert kinds(town) == ["grant", "load", "payment", "payment"]
    assert town.tracked().books.spent_tiyn == 500


def test_a_release_brings_money_back_under_the_mark() -> None:
    town = Town(Clears())
    name = loaded(town, "aru", 1_000)
    payment = town.signed_offline("aru", "shop", name, 400)
    town.world.reconcile(payment)
    assert town.tracked().books.spent_tiyn == 400
    town.world.reconcile(town.signed_release("shop", "aru", town.world.message_id(payment)))
    tracked = town.tracked()
    assert tracked.books == Books(1_000, offline_tiyn=1_000, paid_tiyn=400, given_back_tiyn=400)
    (row,) = rows_by(tracked, Group.PAYEE)
    assert (row.key, row.net_tiyn) == ("altyn/shop", 0)
    town.world.reconcile(town.signed_release("shop", "aru", town.world.message_id(payment), "x"))
    again = town.tracked().books
    assert (again.covered_tiyn, again.offline_tiyn, again.spent_tiyn) == (400, 1_400, 0)


def test_renewals_and_unloads() -> None:
    town = Town(Clears())
    name = loaded(town, "aru", 1_000)
    town.unload("aru", name, 0)
    ((name, _),) = town.leaves("aru")
    town.unload("aru", name, 300)
    assert kinds(town) == ["grant", "load", "renewal", "unload"]
    (tree,) = town.tracked().trees
    assert tree.fates == ((Fate.ONLINE, 300), (Fate.OFFLINE, 700))
    assert [turn.kind for turn in tree.turns] == [Moved.LOAD, Moved.RENEWAL, Moved.UNLOAD]


# --- online ------------------------------------------------------------------------------------


def test_grants_that_are_paid_together_stand_once() -> None:
    town = Town(Clears())
    names = [town.grant("aru", 300), town.grant("aru", 200)]
    town.pay("aru", "shop", names, 450)
    first, second = town.tracked().trees
    assert (first.joined_tiyn, first.fates, first.children[0].amount_tiyn) == (200, ((Fate.ONLINE, 50),), 450)
    assert (second.fates, second.children) == (((Fate.ELSEWHERE, 200),), ())


def test_counted_hops_and_a_split() -> None:
    town = Town(KeepsHops(2), split=TAX)
    town.pay("aru", "shop", [town.grant("aru", 1_160)], 1_160)
    ((name, token),) = town.tokens("shop", marked=True)
    town.pay("shop", "stall", [name], token.amount_tiyn)
    assert kinds(town) == ["grant", "payment", "split", "payment", "split"]
    assert town.tracked().books.spent_tiyn == 1_160
    (tree,) = town.tracked().trees
    assert [(child.kind, child.is_marked) for child in tree.children] == [(Moved.PAYMENT, True), (Moved.SPLIT, False)]


def test_a_payment_that_waits_goes_through_or_lapses() -> None:
    town = Town(Keeps(), All((PayeeMcc(("5411", "5812")), Approval(("altyn/head",), 1))))
    first = town.pay("aru", "shop", [town.grant("aru", 500)], 400)
    waiting = town.tracked()
    assert (waiting.books.waiting_tiyn, waiting.books.paid_tiyn) == (400, 0)
    (held,) = waiting.held
    assert (held.holder, held.online_tiyn, held.waiting_tiyn) == ("altyn/aru", 100, 400)
    town.approve(first)
    ((name, _),) = town.tokens("shop", marked=True)
    second = town.pay("shop", "stall", [name], 400)
    town.world.now_s += 2 * DAY_S
    lapsed_to = outpoint(second, 512)
    town.world.now_s = EXPIRY_S
    town.sweep([outpoint(second, 0), lapsed_to])  # what the first makes, the second names
    assert kinds(town) == ["grant", "waits", "payment", "waits", "lapsed", "expired"]
    assert town.tracked().books == Books(500, online_tiyn=100, paid_tiyn=400, returned_tiyn=400)


def test_refunds_out_of_free_and_of_marked_money() -> None:
    town = Town(Clears())
    message = town.pay("aru", "shop", [town.grant("aru", 500)], 500)
    ((name, _),) = town.tokens("shop")
    town.refund("aru", "shop", message, [name], 200)
    assert town.tracked().books == Books(500, online_tiyn=200, paid_tiyn=500, given_back_tiyn=200, spent_tiyn=300)
    kept = Town(Keeps())
    message = kept.pay("aru", "shop", [kept.grant("aru", 500)], 500)
    ((name, _),) = kept.tokens("shop")
    kept.refund("aru", "shop", message, [name], 200)
    assert kept.tracked().books == Books(500, online_tiyn=500, paid_tiyn=500, given_back_tiyn=200)


def test_evidence_ends_the_trail_where_it_came() -> None:
    town = Town(UntilEvidence("inspector"))
    message = town.pay("aru", "shop", [town.grant("aru", 500)], 500)
    town.attest(message)
    attested = len(town.world.log) - 1
    town.world.now_s += DAY_S
    ((name, _),) = town.tokens("shop")
    town.pay("shop", "stall", [name], 500)
    *_, freed = town.tracked().movements
    assert (freed.kind, freed.entry, freed.payer, freed.payee) == (Moved.FREED, attested, "altyn/shop", "altyn/shop")
    assert "altyn/stall" not in repr(town.tracked())


def test_a_recall() -> None:
    town = Town(Keeps())
    town.recall([town.grant("aru", 500)])
    assert town.tracked().books == Books(500, returned_tiyn=500)
    (row,) = rows_by(town.tracked(), Group.DAY)
    assert (row.granted_tiyn, row.returned_tiyn) == (500, 500)


def test_a_payee_counts_as_what_he_was_then() -> None:
    town = Town(Clears())
    first, second = town.grant("aru", 100), town.grant("aru", 200)
    town.pay("aru", "shop", [first], 100)
    world, shop = town.world, town.people["shop"]
    world.now_s += DAY_S
    cwt = certificates.issue(
        world.banks["altyn"],
        world.network,
        bank="altyn",
        subject="shop",
        key=shop.key.public,
        issued_s=world.now_s,
        expires_s=world.now_s + YEAR_S,
        holder=Holder.MERCHANT,
        merchant=Merchant(bin="990140000383", mcc="5411", kato="390000000"),
    )
    world.do(Kind.ENROL, bodies.Enrol((cwt,)), world.banks["altyn"])
    town.pay("aru", "shop", [second], 200)
    assert {row.key: row.paid_tiyn for row in rows_by(town.tracked(), Group.MCC)} == {"5812": 100, "5411": 200}
    assert {row.key for row in rows_by(town.tracked(), Group.REGION)} == {"750000000", "390000000"}


def test_a_payee_counts_as_the_ledger_judged_him_whatever_date_a_renewal_bears() -> None:
    town = Town(Clears())
    world, shop = town.world, town.people["shop"]
    world.now_s += 100
    town.pay("aru", "shop", [town.grant("aru", 500)], 500)
    world.now_s += DAY_S
    cwt = certificates.issue(
        world.banks["altyn"],
        world.network,
        bank="altyn",
        subject="shop",
        key=shop.key.public,
        issued_s=NOW_S + 1,
        expires_s=world.now_s + YEAR_S,
        holder=Holder.MERCHANT,
        merchant=Merchant(bin="990140000383", mcc="7995", kato="110000000"),
    )
    world.do(Kind.ENROL, bodies.Enrol((cwt,)), world.banks["altyn"])
    assert {row.key: row.paid_tiyn for row in rows_by(town.tracked(), Group.MCC)} == {"5812": 500}
    assert {row.key for row in rows_by(town.tracked(), Group.REGION)} == {"750000000"}


def test_a_refund_out_of_what_the_payment_brought_is_covered_by_nobody() -> None:
    town = Town(Keeps())
    payment = town.pay("aru", "shop", [town.grant("aru", 147)], 147)
    town.refund("aru", "shop", payment, [outpoint(payment, 0)], 99)
    assert town.tracked().books.covered_tiyn == 0
    assert all(flow.covered_tiyn == 0 and flow.is_balanced for flow in every(town.tracked().trees))


def test_money_that_goes_to_and_fro_gets_several_trees() -> None:
    town = Town(Keeps())
    town.pay("aru", "shop", [town.grant("aru", 500)], 500)
    for turn in range(3 * MAX_DEPTH):
        payer, payee = ("shop", "stall") if turn % 2 == 0 else ("stall", "shop")
        ((name, _),) = town.tokens(payer, marked=True)
        town.pay(payer, payee, [name], 500)
    trees = town.tracked().trees
    assert len(trees) == 4
    assert max(map(depth, trees)) == MAX_DEPTH


def depth(flow: Flow) -> int:
    return 1 + max(map(depth, flow.children), default=0)


# --- what is bought ----------------------------------------------------------------------------


def test_what_is_bought() -> None:
    town = Town(Clears(), Items(("food", "books")))
    any_goods, named = definition(town, PayeeMcc(("5812",))), definition(town, Items(("food", "books")))
    lines = (Line("food", 700), Line("books", 300), Line("toys", 500))
    assert bought(any_goods, (), 400, 400) == ((NOT_STATED, 400),)
    assert bought(any_goods, lines, 1_500, 1_500) == (("books", 300), ("food", 700), ("toys", 500))
    assert bought(any_goods, lines, 400, 400) == ((NOT_TOLD_APART, 400),)
    assert bought(named, lines, 1_000, 1_000) == (("books", 300), ("food", 700))
    assert bought(named, lines, 101, 1_000) == (("books", 30), ("food", 71))
    assert bought(definition(town, Not(Items(("toys",)))), lines, 1_500, 1_500)[-1] == ("toys", 500)


def definition(town: Town, condition: object) -> Definition:
    key = town.sponsor.key.public
    return Definition("x", ("x", "x", "x"), key, key, condition, Clears(), EXPIRY_S)  # type: ignore[arg-type]


def test_shares_add_up_to_the_tiyn() -> None:
    assert shared(10, [("a", 1), ("b", 1), ("c", 1)]) == (("a", 4), ("b", 3), ("c", 3))
    assert shared(1, [("a", 1), ("b", 2)]) == (("b", 1),)
    assert shared(5, []) == ((NOT_STATED, 5),)


# --- purposes, the state, and whoever writes beside --------------------------------------------


def test_a_purpose_by_name_and_by_id() -> None:
    town = Town(Clears())
    store, whole = Shown(town.world), town.purpose.hex()
    for named in ("works", whole, whole[:8], whole.upper()):
        assert find_purpose(store, named)[0] == town.purpose  # type: ignore[arg-type]
    for named in ("meals", whole[:7], "", "0" * 64):
        with pytest.raises(Malformed, match="known=works"):
            find_purpose(store, named)  # type: ignore[arg-type]
    key = town.sponsor.key
    other = Definition("works", ("B", "B", "B"), key.public, key.public, PayeeMcc(("5411",)), Clears(), EXPIRY_S)
    second = town.world.do(Kind.PURPOSE, other, key)
    with pytest.raises(Malformed) as caught:
        find_purpose(store, "works")  # type: ignore[arg-type]
    assert caught.value.values["ids"] == ", ".join(sorted([whole, second.hex()]))
    with pytest.raises(LedgerCorrupt):
        track(store, town.world.network, bytes(32))  # type: ignore[arg-type]


def test_a_state_that_says_something_else_is_not_reported() -> None:
    town = Town(Clears())
    name = town.grant("aru", 500)
    town.world.view.layer.records[Table.TOKEN, name] = None
    with pytest.raises(LedgerCorrupt) as caught:
        town.tracked()
    assert caught.value.values["where"] == f"token {name.hex()}"


def test_progress_and_one_snapshot(tmp_path: Path) -> None:
    """Whatever is committed meanwhile, the report is of one moment."""
    from typer.testing import CliRunner

    from tui.main import app

    kept = tmp_path / "kept"
    assert CliRunner().invoke(app, ["scenario", "run", "school_meals", "--keep", str(kept)]).exit_code == 0
    path = kept / "ledger" / "ledger.db"
    network = bytes.fromhex((kept / "ledger" / "root.pub").read_text().strip())
    store = SqliteStore.read(path)
    purpose, _ = find_purpose(store, "school-meals")
    calls: list[tuple[int, int]] = []

    def cut(done: int, total: int) -> None:
        if not calls:
            beside = sqlite3.connect(path)
            beside.execute("DELETE FROM entries WHERE idx > 10")
            beside.execute("DELETE FROM state WHERE tbl != 6")
            beside.commit()
            beside.close()
        calls.append((done, total))

    tracked = track(store, network, purpose, cut)
    assert calls[-1] == (tracked.entries, tracked.entries)
    assert tracked.books.is_balanced
    assert tracked.books.returned_tiyn
    assert track(store, network, purpose).books == Books()  # so it was cut, and the report did not see it
    store.close()


def test_an_institution_may_be_paid() -> None:
    town = Town(Clears(), Payee(("altyn",)))
    name, bank = town.grant("aru", 500), town.world.banks["altyn"].public
    body = bodies.Transfer((name,), (Output(bank, 500, town.purpose),), town.world.now_s + DAY_S)
    town.world.do(Kind.TRANSFER, body, town.people["aru"].key)
    (row,) = rows_by(town.tracked(), Group.PAYEE)
    assert (row.key, row.paid_tiyn) == ("altyn", 500)
    assert [row.key for group in (Group.MCC, Group.REGION) for row in rows_by(town.tracked(), group)] == [None, None]


def test_freed_money_that_goes_into_a_purse_or_out_of_it_is_followed_no_further() -> None:
    town = Town(UntilEvidence("inspector"))
    first, second = town.grant("aru", 500), town.grant("berik", 300)
    town.load("berik", [second], 300)
    ((leaf, _),) = town.leaves("berik")
    town.attest("altyn/aru")
    town.attest("altyn/berik")
    town.load("aru", [first], 500)
    town.unload("berik", leaf, 300)
    assert kinds(town) == ["grant", "grant", "load", "freed", "freed"]
    assert town.tracked().books == Books(800, spent_tiyn=800)


def test_money_that_evidence_freed_and_money_that_it_did_not_stay_bound_together() -> None:
    town = Town(UntilEvidence("inspector"))
    first = town.pay("aru", "shop", [town.grant("aru", 500)], 500)
    town.pay("aru", "shop", [town.grant("aru", 300)], 300)
    town.attest(first)
    town.pay("shop", "stall", [name for name, _ in town.tokens("shop", marked=True)], 800)
    assert town.tracked().books == Books(800, online_tiyn=800, paid_tiyn=1_600)


def test_only_the_mark_s_own_oracle_frees() -> None:
    town = Town(Keeps())
    message = town.pay("aru", "shop", [town.grant("aru", 500)], 500)
    town.attest(message)
    assert kinds(town) == ["grant", "payment"]


def test_evidence_about_a_payment_frees_what_it_paid_and_not_its_change() -> None:
    town = Town(UntilEvidence("inspector"))
    message = town.pay("aru", "shop", [town.grant("aru", 500)], 300)
    town.attest(message)
    town.world.now_s = EXPIRY_S
    town.sweep([outpoint(message, 0), outpoint(message, 1)])
    assert town.tracked().books == Books(500, paid_tiyn=300, spent_tiyn=300, returned_tiyn=200)


def test_a_purse_s_token_that_evidence_freed_comes_online_free() -> None:
    town = Town(UntilEvidence("inspector"))
    payment = town.signed_offline("aru", "shop", loaded(town, "aru", 500), 300)
    town.world.reconcile(payment)
    town.attest(town.world.message_id(payment))
    town.world.now_s += 31 * DAY_S
    town.sweep([name for who in ("aru", "shop") for name, _ in town.leaves(who)])
    assert town.tracked().books == Books(500, online_tiyn=200, paid_tiyn=300, spent_tiyn=300)
    freed = next(movement for movement in town.tracked().movements if movement.kind is Moved.FREED)
    assert freed.time_s < town.world.now_s  # the evidence's time, not the sweep's


def test_a_co_signer_who_is_paid_by_the_way_has_sold_nothing() -> None:
    town = Town(Clears())
    aru, stall, shop = (town.people[name] for name in ("aru", "stall", "shop"))
    marked, free = town.grant("aru", 300), town.world.fund(stall, 50)
    lines = (Line("bread", 250),)
    request = requests.sign(shop.key, town.world.network, 250, lines, bytes(16))
    outputs = (
        Output(shop.key.public, 250, town.purpose),
        Output(stall.key.public, 50, town.purpose),
        Output(stall.key.public, 50, None),
    )
    body = bodies.Transfer((marked, free), outputs, town.world.now_s + DAY_S, lines=lines, request=request)
    town.world.do(Kind.TRANSFER, body, aru.key, stall.key)
    rows = {row.key: row.paid_tiyn for row in rows_by(town.tracked(), Group.ITEM)}
    assert rows == {"bread": 250, NOT_STATED: 50}
