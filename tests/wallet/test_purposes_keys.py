"""Special-purpose money in a wallet that has had several keys, and paid to institutions."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from cbdc.errors import PurposeRefused
from cbdc.formats import certificates
from cbdc.formats.kinds import Kind
from cbdc.messages.bodies import Enrol
from cbdc.messages.message import build
from cbdc.purposes.conditions import Payee
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears, Split
from tests.wallet.test_purposes_online import TABLES, grant, marked, pay
from tests.wallet.town import DAY_S, FUNDS_TIYN, Town


@pytest.fixture
def town(found: Callable[..., Town]) -> Town:
    return found(tables=TABLES)


def another_key(town: Town, name: str) -> None:
    """The bank certifies the wallet's next key for the same account."""
    wallet, network = town[name], town.port.network
    before, _ = certificates.unverified(town.port.certificate_bytes(wallet.online_key), network)
    wallet.vault.put("wallet", b"keys", len(wallet.keys()) + 1)
    raw = certificates.issue(
        town.bank.key,
        network,
        bank=before.bank,
        subject=before.subject,
        key=wallet.key.public,
        issued_s=town.port.ledger_time_s(),
        expires_s=before.expires_s,
        holder=before.holder,
        merchant=before.merchant,
    )
    town.port.submit(build(Kind.ENROL, Enrol((raw,)), [town.bank.key], network))


def test_change_of_marked_money_goes_back_to_the_key_that_held_it(town: Town) -> None:
    """To the newest key it would be a payment: the mark would be gone, and the period used up."""
    week = grant(town, "week", 140_00)
    another_key(town, "dana")
    pay(town, "canteen", 10_00, purpose=week)
    assert marked(town, "dana") == {week: 130_00}
    assert [tiyn for _, tiyn in town.port.purpose_memory(week, "altyn/dana", "altyn/canteen").spent] == [10_00]
    assert not town["dana"].look(town.port)


def test_the_key_that_pays_is_one_that_holds_the_purpose(town: Town) -> None:
    week = grant(town, "week", 100_00)
    another_key(town, "dana")
    taxed = town.economy.purposes["taxed"]
    town["akimat"].grant(town.port, town["dana"].key.public, 150_00, taxed)
    pay(town, "canteen", 100_00, purpose=week)
    pay(town, "canteen", 116_00, purpose=taxed)
    assert marked(town, "dana") == {taxed: 34_00}


def test_change_of_a_refund_goes_back_to_a_key_that_signs(town: Town) -> None:
    """To any other key it would be taken for a part of the refund."""
    week = grant(town, "week", 100_00)
    payment_id = pay(town, "canteen", 100_00, purpose=week)
    another_key(town, "canteen")
    town["canteen"].refund(town.port, payment_id, 50_00)
    assert marked(town, "dana") == {week: 50_00}
    assert town.held("canteen")[0] == FUNDS_TIYN + 50_00


# --- institutions ------------------------------------------------------------------------------


def defined(town: Town, payees: tuple[str, ...], split: Split | None = None) -> bytes:
    """A purpose of the akimat's, and 300 tenge of it in Dana's wallet."""
    sponsor, until_s = town["akimat"], town.port.ledger_time_s() + 100 * DAY_S
    key = sponsor.key.public
    definition = Definition("fees", ("Fees",) * 3, key, key, Payee(payees), Clears(), until_s, split)
    purpose = sponsor.define_purpose(town.port, definition)
    sponsor.grant(town.port, town["dana"].online_key, 300_00, purpose)
    return purpose


def test_an_institution_on_a_list_of_payees_is_paid(town: Town) -> None:
    fees, head = defined(town, ("head",)), town.economy.institutions["head"].public
    assert town["dana"].plan(town.port, head, 100_00, purpose=fees).payee == "head"
    town["dana"].pay(town.port, head, 100_00, purpose=fees)
    assert marked(town, "dana") == {fees: 200_00}
    with pytest.raises(PurposeRefused):
        town["dana"].pay(town.port, town.economy.institutions["inspector"].public, 1_00, purpose=fees)


def test_a_part_is_split_off_to_an_institution(town: Town) -> None:
    fees = defined(town, ("altyn/canteen",), Split("head", 16, 116))
    pay(town, "canteen", 116_00, purpose=fees)
    head = town.economy.institutions["head"].public
    assert [token.amount_tiyn for token in town.port.tokens_of([head]).values()] == [16_00]
    assert marked(town, "dana") == {fees: 184_00}
