"""What is said of a slip of the pen in a scenario file, before anything is played."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cbdc.errors import Malformed, TooLarge
from tests.scenarios.plays import BASE, EVERYBODY_OFFLINE, SHOP, Tables, pay, step
from wallet.scenarios import forms, runner, schema

PAID = pay("dana", "shop", "10", as_="p")
AGAIN = step("resend", payment="p")
Change = Callable[[Tables], Tables]


def told(*steps: Tables, **tables: Any) -> str:
    with pytest.raises(Malformed) as refused:
        schema.parse(BASE | tables | {"step": list(steps)})
    return str(refused.value)


def test_every_step_that_can_be_played_has_a_form() -> None:
    assert set(forms.FORMS) == set(runner.STEPS)


# --- fields ------------------------------------------------------------------------------------

UNKNOWN: dict[str, tuple[Tables, str]] = {
    "refused": (pay("dana", "shop", "1", refusd="expired"), "step 1 (pay): unknown field 'refusd' (nearest=refused)"),
    "purpose": (pay("dana", "shop", "1", purpsoe="meals"), "step 1 (pay): unknown field 'purpsoe' (nearest=purpose)"),
    "another step's": (step("advance", by="1 day", wallet="dana"), "step 1 (advance): unknown field 'wallet'"),
    "an item's": (
        pay("dana", "shop", "1", items=[{"category": "5", "amount": "1", "amuont": "2"}]),
        "step 1 (pay): an item: unknown field 'amuont' (nearest=amount)",
    ),
    "a debt's": (
        step("expect", owes={"wallet": "dana", "amount": "0", "walet": "dana"}),
        "step 1 (expect): owes: unknown field 'walet' (nearest=wallet)",
    ),
    "an expectation's": (step("expect", wallet="dana", onlin="1"), "unknown field 'onlin' (nearest=online)"),
}


@pytest.mark.parametrize(("bad", "text"), UNKNOWN.values(), ids=UNKNOWN)
def test_an_unknown_field_of_a_step_is_told_with_what_was_meant(bad: Tables, text: str) -> None:
    assert text in told(bad)


UNKNOWN_IN_TABLES: dict[str, tuple[Tables, str]] = {
    "bank": ({"bank": [{"name": "altyn", "reserv": "5"}]}, "bank altyn: unknown field 'reserv' (nearest=reserve)"),
    "wallet": ({"wallet": [SHOP | {"mmc": "5921"}]}, "wallet shop: unknown field 'mmc' (nearest=mcc)"),
    "purpose": ({"purpose": [BASE["purpose"][0] | {"expirs": "x"}]}, "purpose meals: unknown field 'expirs'"),
    "title": ({"purpose": [BASE["purpose"][0] | {"title": {"kz": "x"}}]}, "purpose meals: title: unknown field 'kz'"),
    "policy": ({"policy": {"supervisor": 3}}, "policy: unknown field 'supervisor' (nearest=supervisors)"),
    "offline": ({"policy": {"offline": {"hop": 3}}}, "policy offline: unknown field 'hop' (nearest=hops)"),
    "privacy": ({"policy": {"privacy": {"cahs": {}}}}, "policy privacy: unknown field 'cahs' (nearest=cash)"),
    "cash": (
        {"policy": {"privacy": {"cash": {"mnth": "1"}}}},
        "policy privacy cash: unknown field 'mnth' (nearest=month)",
    ),
    "condition": (
        {"purpose": [BASE["purpose"][0] | {"allow": {"payee_mmc": ["5812"]}}]},
        "purpose meals: unknown condition (found=payee_mmc, nearest=payee_mcc)",
    ),
    "a limit per period": (
        {"purpose": [BASE["purpose"][0] | {"allow": {"per_period": {"amount": "5", "day": 3}}}]},
        "purpose meals: per_period takes amount and days",
    ),
    "an approval": (
        {"purpose": [BASE["purpose"][0] | {"allow": {"approval": {"of": ["dana"], "quorum": 2}}}]},
        "purpose meals: a quorum is one or more of those who may approve",
    ),
    "mark": ({"purpose": [BASE["purpose"][0] | {"mark": "cleers"}]}, "unknown rule for the mark"),
    "mark with two rules": (
        {"purpose": [BASE["purpose"][0] | {"mark": {"keeps_hops": 3, "until_evidence": "x"}}]},
        "purpose meals: unknown rule for the mark",
    ),
    "split": (
        {"purpose": [BASE["purpose"][0] | {"split": {"to": "dana", "part": 1, "of": 3}}]},
        "purpose meals: split: unknown field 'part' (nearest=parts)",
    ),
    "a wallet's bank": ({"wallet": [SHOP | {"bank": "altin"}], "purpose": []}, "wallet shop: no such bank"),
    "a sponsor": ({"purpose": [BASE["purpose"][0] | {"sponsor": "akimatt"}]}, "purpose meals: no such wallet"),
    "a payee": (
        {"purpose": [BASE["purpose"][0] | {"allow": {"payee": ["shpo"]}}]},
        "purpose meals: no such wallet (found=shpo, nearest=shop)",
    ),
    "a number": ({"wallet": [SHOP | {"mcc": 5942}]}, 'put the number in quotes (wanted=mcc = "5942")'),
    "a reserve": ({"bank": [{"name": "altyn", "reserve": 500}]}, "put the number in quotes"),
}


@pytest.mark.parametrize(("tables", "text"), UNKNOWN_IN_TABLES.values(), ids=UNKNOWN_IN_TABLES)
def test_what_is_wrong_with_a_table_is_told_with_its_name(tables: Tables, text: str) -> None:
    assert text in told(**tables)


def test_what_the_contract_has_is_accepted() -> None:
    items = [{"category": "0101", "amount": "1"}]
    whole = pay("dana", "shop", "1", purpose="meals", privacy="open", items=items, as_="p")
    read = schema.parse(
        BASE | {"wallet": [*BASE["wallet"], {"name": "x", "bank": "altyn", "iin": "1"}], "step": [whole]}
    )
    assert read.steps[0].fields["items"] == items
    for do in forms.FORMS:  # a note never is in the way: what is missed is another field
        assert "'note'" not in told(step(do, note="free text", refused="expired"))


# --- forms -------------------------------------------------------------------------------------

WRONG: dict[str, tuple[list[Tables], str]] = {
    "an unknown wallet": ([pay("dana", "nobody", "1")], "step 1 (pay): no such wallet (found=nobody)"),
    "a misspelt wallet": ([pay("dana", "shpo", "1")], "no such wallet (found=shpo, nearest=shop)"),
    "a misspelt wallet that is to be refused": (
        [pay("dana", "shpo", "1", refused="malformed")],
        "no such wallet (found=shpo, nearest=shop)",
    ),
    "a clone to come": (
        [pay("twin", "shop", "1"), step("clone", wallet="dana", as_="twin")],
        "step 1 (pay): no such wallet",
    ),
    "an unknown bank": ([step("issue", to="kumis", amount="1")], "step 1 (issue): no such bank"),
    "an unknown purpose": ([pay("dana", "canteen", "1", purpose="holidays")], "no such purpose (found=holidays)"),
    "a purpose that is a list": ([pay("dana", "canteen", "1", purpose=["meals"])], "needs a text 'purpose'"),
    "an unknown backup": ([step("restore", wallet="dana", to="never")], "no such backup (found=never)"),
    "a clone of a known name": ([step("clone", wallet="dana", as_="erlan")], "there is a wallet of this name"),
    "no amount": ([step("issue", to="altyn")], "step 1 (issue) needs a text 'amount'"),
    "an amount as a number": ([step("issue", to="altyn", amount=5)], 'put the number in quotes (wanted=amount = "5")'),
    "an amount below nothing": ([step("issue", to="altyn", amount="-5")], "not less than nothing"),
    "an amount in words": ([step("issue", to="altyn", amount="five")], "not an amount of tenge"),
    "an amount with a comma": ([step("issue", to="altyn", amount="1,5")], "not an amount of tenge"),
    "three decimals": ([step("issue", to="altyn", amount="1.005")], "not an amount of tenge"),
    "no wallets": ([step("sync")], "step 1 (sync) needs a list of names 'wallets'"),
    "wallets as a text": ([step("sync", wallets="dana")], "needs a list of names"),
    "an empty list": ([step("sync", wallets=[])], "needs a list of names"),
    "nobody": ([step("lose")], "step 1 (lose) needs a text 'wallet'"),
    "a privacy level to come": ([pay("dana", "shop", "1", privacy="cash")], "this privacy is not there yet"),
    "no privacy level": ([pay("dana", "shop", "1", privacy="opne")], "no such privacy (found=opne, wanted=open"),
    "items that are no list": ([pay("dana", "shop", "1", items="apples")], "step 1 (pay): items is a list"),
    "an item that is no table": ([pay("dana", "shop", "1", items=["apples"])], "an item is a table"),
    "an item's category": ([pay("dana", "shop", "1", items=[{"category": 5, "amount": "1"}])], "'category' is a text"),
    "an item without amount": ([pay("dana", "shop", "1", items=[{"category": "5"}])], "needs a text 'amount'"),
    "no such message": ([step("lose_message", payment="p", message="pigeon"), PAID], "no such message"),
    "a message of a payment before": (
        [PAID, step("lose_message", payment="p", message="receipt")],
        "no such payment after",
    ),
    "a payment to come": ([AGAIN, PAID], "step 1 (resend): no such payment (found=p)"),
    "no span": ([step("advance", by="soon")], "step 1 (advance): not a span of time"),
    "a span back": ([step("advance", by="-1 days")], "not a span of time"),
    "half a span": ([step("advance", by="1.5 days")], "not a span of time"),
    "a skew": ([step("skew", wallet="dana", by="a little")], "step 1 (skew): not a span of time"),
    "a crash": ([step("crash", at="lunch")], "no such at (found=lunch, wanted=before_commit or after_commit)"),
    "a forgery": ([step("tamper", wallet="dana", what="colour")], "no such what (found=colour"),
    "the second step": ([EVERYBODY_OFFLINE, pay("dana", "shop", "x")], "step 2 (pay): amount: not an amount"),
    "a note": ([step("advance", by="1 day", note=5)], "'note' is a text"),
    "nothing expected": ([step("expect")], "step 1 (expect) expects something of nobody"),
    "nothing of a wallet": ([step("expect", wallet="dana")], "expects nothing of its wallet"),
    "of nobody": ([step("expect", offline="1")], "expects something of nobody"),
    "a status of nothing": ([step("expect", status="settled")], "expects something of nobody"),
    "a payment without status": ([PAID, step("expect", payment="p")], "expects nothing of its payment"),
    "an unknown status": ([PAID, step("expect", payment="p", status="setled")], "no such status (found=setled"),
    "an unknown payment": ([step("expect", payment="p", status="settled")], "no such payment (found=p)"),
    "an expected number": ([step("expect", wallet="dana", online=800)], "put the number in quotes"),
    "forks in words": ([step("expect", forks="1")], "step 1 (expect): forks is not a whole number"),
    "marks of nothing": ([step("expect", wallet="dana", marked={"nothing": "0"})], "no such purpose (found=nothing)"),
    "marks that are no table": ([step("expect", wallet="dana", marked="meals")], "marked is a table"),
    "a debt of nobody": ([step("expect", owes={"amount": "0"})], "step 1 (expect): owes needs a text 'wallet'"),
    "a debt of a stranger": ([step("expect", owes={"wallet": "x", "amount": "0"})], "no such wallet (found=x)"),
    "a debt that is none": ([step("expect", owes="dana")], "owes is a table"),
}


@pytest.mark.parametrize(("steps", "text"), WRONG.values(), ids=WRONG)
def test_a_wrong_step_is_told_before_anything_is_played(steps: list[Tables], text: str) -> None:
    assert text in told(*steps)


def test_an_amount_above_the_limit_is_too_large() -> None:
    with pytest.raises(TooLarge, match=r"step 1 \(issue\): amount: amount above the limit"):
        schema.parse(BASE | {"step": [step("issue", to="altyn", amount="9" * 16)]})


def test_the_first_error_is_told_with_the_name_of_the_file(tmp_path: Path) -> None:
    file = tmp_path / "lunch.toml"
    file.write_text('title = "x"\n[[step]]\ndo = "advance"\nby = 3\n[[step]]\ndo = "fly"\n')
    with pytest.raises(Malformed) as refused:
        schema.read(file)
    assert (
        str(refused.value)
        == "lunch.toml: step 1 (advance): 'by' is a text: put the number in quotes (wanted=by = \"3\")"
    )


def test_a_number_of_very_many_digits_is_refused_and_not_written_out(tmp_path: Path) -> None:
    file = tmp_path / "long.toml"
    file.write_text(f'title = "x"\n[[step]]\ndo = "advance"\nby = 0x{"f" * 9000}\n')
    with pytest.raises(Malformed, match="a very long number"):
        schema.read(file)
