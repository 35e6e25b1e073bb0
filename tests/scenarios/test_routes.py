"""The trees of a report: where each load went, by hand-made economies small enough to know in advance."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest

from cbdc.errors import TengeError
from cbdc.offline.fraud import verify_proof
from cbdc.service.forks import ProvenFork
from tests.scenarios.plays import EVERYBODY_OFFLINE, pay, play, step
from wallet.scenarios import report as reports
from wallet.scenarios import routes
from wallet.scenarios.report import Report, describe_fork, describe_offline
from wallet.scenarios.routes import Move, RouteOutput, all_moves

EVERYBODY = ["dana", "erlan", "shop", "canteen"]
ONLINE, SYNC = step("online", wallets=EVERYBODY), step("sync", wallets=EVERYBODY)
CLONE = step("clone", wallet="dana", as_="dana-clone")
CUT = step("offline", wallets=[*EVERYBODY, "dana-clone"])

Line = tuple[Any, ...]


def lines(move: Move, depth: int = 0) -> list[Line]:
    """A tree as indented lines; renewals, which every sync makes, without what is below them."""
    found: list[Line] = [(depth, move.kind, move.name, move.payer, move.payee, move.amount_tiyn // 100, move.status)]
    for output in move.outputs if move.kind != "renewal" else ():
        found.append((depth + 1, output.holder, output.amount_tiyn // 100, output.state))
        for spend in output.spends:
            found += lines(spend, depth + 2)
    return found


def outputs(report: Report) -> list[RouteOutput]:
    return [output for move in all_moves(report.routes) for output in move.outputs]


def moves(report: Report, name: str) -> list[Move]:
    return [move for move in all_moves(report.routes) if move.name == name]


def test_two_hops_with_change() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        pay("dana", "erlan", "100", as_="one"),
        pay("erlan", "shop", "60", as_="two"),
        ONLINE,
        SYNC,
        step("unload", wallet="shop", amount="60"),
    )
    free, marked = report.routes
    assert lines(free) == [
        (0, "load", None, "dana", "dana", 300, "settled"),
        (1, "dana", 300, "spent"),
        (2, "payment", "one", "dana", "erlan", 100, "settled"),
        (3, "erlan", 100, "spent"),
        (4, "payment", "two", "erlan", "shop", 60, "settled"),
        (5, "shop", 60, "spent"),
        (6, "renewal", None, "shop", "shop", 60, "settled"),
        (5, "erlan", 40, "spent"),
        (6, "renewal", None, "erlan", "erlan", 40, "settled"),
        (3, "dana", 200, "spent"),
        (4, "renewal", None, "dana", "dana", 200, "settled"),  # her marked 100 apart from it
    ]
    assert [move.hop for name in ("one", "two") for move in moves(report, name)] == [1, 2]
    assert ("shop", 60_00, "online") in {(o.holder, o.amount_tiyn, o.state) for o in outputs(report)}
    assert (marked.amount_tiyn, marked.outputs[0].purpose) == (100_00, "meals")


def test_a_merge_is_followed_once_and_named_where_else_it_draws_from() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        pay("dana", "erlan", "50", as_="one"),
        pay("dana", "erlan", "30", as_="two"),
        pay("erlan", "shop", "80", as_="both"),
        ONLINE,
        step("sync", wallets=["shop"]),
    )
    first, second = moves(report, "both")
    assert first.id == second.id
    assert sorted((move.elsewhere, len(move.outputs)) for move in (first, second)) == [(False, 1), (True, 0)]


def test_a_fork_is_an_output_with_two_moves_below_and_change_that_is_seized() -> None:
    report = play(
        CLONE,
        CUT,
        pay("dana", "erlan", "200", as_="one"),
        pay("dana-clone", "shop", "250", as_="two"),
        ONLINE,
        step("sync", wallets=["erlan", "shop"]),
    )
    load = report.routes[0]
    (forked,) = load.outputs
    assert (forked.state, [move.name for move in forked.spends]) == ("forked", ["one", "two"])
    assert {(move.payer, move.status) for move in forked.spends} == {("dana", "disputed")}
    seized = {(o.amount_tiyn, o.seized_tiyn) for o in outputs(report) if o.state == "seized"}
    assert {(100_00, 100_00), (50_00, 50_00)} <= seized
    (fork,) = report.forks
    assert [output.outpoint for output in fork.outputs] == [forked.outpoint]


def test_a_purse_keeps_what_its_excess_does_not_cover() -> None:
    """Of the 100 that the fork costs, the canteen owes the 60 it was paid twice: 40 of what dana still has are seized.

    It is all of one small leaf or a part of a large one, whichever comes first by its name.
    """
    report = play(
        CLONE,
        CUT,
        pay("dana", "canteen", "60", purpose="meals"),
        pay("dana-clone", "canteen", "100", purpose="meals"),
        ONLINE,
        step("sync", wallets=["canteen"]),
    )
    (seized,) = [output for output in outputs(report) if output.holder == "dana" and output.seized_tiyn]
    assert (seized.state, seized.seized_tiyn, seized.to_json()["seized"]) == ("seized", 40_00, "40.00")
    dana = report.wallets["dana"]
    assert (dana["offline"], dana["seized"], dana["revoked"]) == ("340.00", "40.00", True)
    assert describe_offline(dana) == "340\u00a0₸, of it seized 40\u00a0₸; purse revoked"
    canteen = report.wallets["canteen"]
    assert (canteen["seized"], "revoked" in canteen) == ("60.00", False)
    assert [describe_fork(fork) for fork in report.forks] == ["Fork by dana: 40\u00a0₸ too much, nothing owed any more"]
    later = play(
        CLONE,
        CUT,
        pay("dana", "canteen", "60", purpose="meals"),
        pay("dana-clone", "canteen", "100", purpose="meals"),
        ONLINE,
        step("sync", wallets=["canteen"]),
        step("advance", by="22 days"),
    )
    (returned,) = [output for output in outputs(later) if output.holder == "dana" and output.seized_tiyn]
    assert (returned.state, returned.seized_tiyn) == ("seized", 40_00)


def test_what_falls_due_returns() -> None:
    report = play(step("advance", by="22 days"))
    assert [(o.state, o.seized_tiyn) for o in outputs(report)] == [("returned", 0), ("returned", 0)]


def test_a_release_is_a_move_of_its_own() -> None:
    report = play(EVERYBODY_OFFLINE, pay("dana", "shop", "70", as_="one"), step("release", payment="one"), ONLINE, SYNC)
    (given,) = moves(report, "one")
    assert given.status == "released"
    (back,) = [move for move in all_moves(report.routes) if move.kind == "release"]
    assert (back.payer, back.payee, back.amount_tiyn, back.status) == ("shop", "dana", 70_00, "settled")


@pytest.mark.parametrize(("lost", "status"), [("payment", "pending"), ("receipt", "pending"), (None, "accepted")])
def test_a_payment_that_only_a_purse_knows_is_in_the_tree(lost: str | None, status: str) -> None:
    losing = [step("lose_message", payment="one", message=lost)] if lost else []
    report = play(EVERYBODY_OFFLINE, *losing, pay("dana", "erlan", "100", as_="one"))
    (move,) = moves(report, "one")
    assert (move.status, move.entry, {output.state for output in move.outputs}) == (status, None, {"pending"})
    assert report.routes[0].outputs[0].state == "live"


def test_a_refused_payment_made_nothing_that_counts() -> None:
    report = play(
        EVERYBODY_OFFLINE,
        pay("dana", "erlan", "100", as_="late"),
        step("advance", by="22 days"),
        ONLINE,
        step("sync", wallets=["erlan"], refused="too_late"),
    )
    (move,) = moves(report, "late")
    assert (move.status, {output.state for output in move.outputs}) == ("refused", {"void"})


def test_a_long_way_goes_on_in_a_tree_of_its_own(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routes, "MAX_DEPTH", 2)
    report = play(step("sync", wallets=["dana"]), step("sync", wallets=["dana"]), step("sync", wallets=["dana"]))
    roots = [(move.kind, move.elsewhere) for move in report.routes]
    assert roots[:2] == [("load", False), ("load", False)]
    assert {kind for kind, _ in roots[2:]} == {"renewal"}
    followed = [move.id for move in all_moves(report.routes) if not move.elsewhere]
    assert len(followed) == len(set(followed)) == len({move.id for move in all_moves(report.routes)})


def test_the_json_of_routes_and_forks() -> None:
    report = play(CLONE, CUT, pay("dana", "erlan", "200"), pay("dana-clone", "shop", "250"), ONLINE, SYNC)
    data = json.loads(json.dumps(report.to_json()))
    load = data["routes"][0]
    assert set(load) == {
        *("id", "kind", "name", "from", "to", "amount", "hop", "status", "entry", "elsewhere", "outputs"),
    }
    assert set(load["outputs"][0]) == {"outpoint", "holder", "amount", "purpose", "state", "spends"}
    (fork,) = data["forks"]
    (output,) = fork["outputs"]
    assert fork["proof"] == output["proof"]
    assert (output["amount"], len(output["spends"])) == ("300.00", 2)
    proof = verify_proof(base64.b64decode(output["proof"]), bytes.fromhex(data["root_key"]))
    assert (proof.account, output["outpoint"] in {name.hex() for name in proof.outpoints}) == ("altyn/dana", True)
    assert sorted(spend.hex() for spend in proof.spends) == sorted(output["spends"])


@pytest.mark.parametrize("fault", ["altered", "of another fork", "missing"])
def test_a_proof_that_does_not_hold_is_not_shown_and_breaks_an_invariant(
    monkeypatch: pytest.MonkeyPatch, fault: str
) -> None:
    genuine = reports.proven_forks

    def faulty(*arguments: Any) -> Any:
        for fork in genuine(*arguments):
            if fault == "missing":
                raise TengeError("the log lacks it")
            proof = fork.proof[:-1] + bytes([fork.proof[-1] ^ 1]) if fault == "altered" else fork.proof
            name = bytes(34) if fault == "of another fork" else fork.outpoint
            yield ProvenFork(name, fork.account, fork.amount_tiyn, fork.spenders, proof)

    monkeypatch.setattr(reports, "proven_forks", faulty)
    with pytest.raises(AssertionError):
        play(CLONE, CUT, pay("dana", "erlan", "200"), pay("dana-clone", "shop", "250"), ONLINE, SYNC)
