"""Issue, redeem, reserve and online transfers."""

from __future__ import annotations

import pytest

from cbdc.errors import (
    AmountMismatch,
    CertificateExpired,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    LimitHolding,
    NotEnrolled,
    NotOwner,
    PurposeMismatch,
    PurposeRefused,
    RoleRefused,
)
from cbdc.formats.certificates import Merchant
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.limits import MAX_AMOUNT_TIYN
from cbdc.messages import bodies
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import Memory, Payment, PerPeriod, Refusal
from cbdc.purposes.words import Phrase
from cbdc.state.records import Table, Token
from tests.support import LATER_S, NOW_S, YEAR_S, Customer, World
from tests.unit.helpers import (
    CANTEEN,
    EXPIRY_S,
    STRANGER,
    define,
    dismiss,
    grant,
    in_purse,
    out,
    programme,
    refuses,
    reserve_of,
    revoke,
    sponsored,
    transfer,
    wallet_id,
)

# --- issue -------------------------------------------------------------------------------------


def issue(world: World, *outputs: Output, by: object = None) -> bytes:
    return world.do(Kind.ISSUE, bodies.Issue(outputs, world.nonce()), by or world.governor.key)


def test_issued_tenge_is_the_banks(world: World) -> None:
    token = world.issue("altyn", 700)
    assert world.token(token) == Token(world.banks["altyn"].public, 700, None)
    assert (world.supply().issued_tiyn, world.supply().online_tiyn) == (700, 700)


def test_several_banks_are_served_at_once(world: World) -> None:
    issue(world, *(Output(key.public, 50, None) for key in world.banks.values()))
    assert [world.online_tiyn(key.public) for key in world.banks.values()] == [50, 50]


def test_only_the_governor_issues(world: World) -> None:
    with refuses(world, RoleRefused):
        issue(world, Output(world.banks["altyn"].public, 1, None), by=world.banks["altyn"])


def test_only_banks_are_issued_to(world: World, aida: Customer) -> None:
    for key in (aida.key.public, world.operator.public, STRANGER.public):
        with refuses(world, RoleRefused):
            issue(world, Output(key, 1, None))


def test_issued_tenge_bears_no_purpose(world: World) -> None:
    with refuses(world, PurposeMismatch):
        issue(world, Output(world.banks["altyn"].public, 1, bytes(32)))


def test_all_money_stays_below_the_bound(world: World) -> None:
    world.issue("altyn", MAX_AMOUNT_TIYN)
    with refuses(world, LimitHolding, found=MAX_AMOUNT_TIYN + 1):
        world.issue("altyn", 1)


def test_what_was_redeemed_may_be_issued_again(world: World) -> None:
    redeem(
        world,
        world.issue("altyn", MAX_AMOUNT_TIYN),
        700,
        change=(out(world.banks["altyn"].public, MAX_AMOUNT_TIYN - 700),),
    )
    with refuses(world, LimitHolding, found=MAX_AMOUNT_TIYN + 1, limit=MAX_AMOUNT_TIYN):
        world.issue("altyn", 701)
    world.issue("altyn", 700)
    assert world.supply().issued_tiyn == MAX_AMOUNT_TIYN + 700


# --- redeem and reserve ------------------------------------------------------------------------


def redeem(
    world: World,
    token: bytes,
    amount_tiyn: int,
    *keys: object,
    change: tuple[Output, ...] = (),
    also: tuple[bytes, ...] = (),
) -> bytes:
    body = bodies.Redeem((token, *also), change, LATER_S, amount_tiyn)
    return world.do(Kind.REDEEM, body, *(keys or (world.banks["altyn"], world.governor.key)))


def reserve(
    world: World,
    token: bytes,
    amount_tiyn: int,
    *,
    change: tuple[Output, ...] = (),
    also: tuple[bytes, ...] = (),
    until_s: int = LATER_S,
) -> bytes:
    body = bodies.Reserve((token, *also), change, until_s, amount_tiyn)
    return world.do(Kind.RESERVE, body, world.banks["altyn"])


def test_redeemed_tenge_is_gone(world: World) -> None:
    altyn = world.banks["altyn"].public
    redeem(world, world.issue("altyn", 700), 600, change=(Output(altyn, 100, None),))
    supply = world.supply()
    assert (supply.issued_tiyn, supply.redeemed_tiyn, supply.online_tiyn) == (700, 600, 100)
    assert world.online_tiyn(altyn) == 100


def test_a_reserve_is_set_aside(world: World) -> None:
    altyn = world.banks["altyn"].public
    reserve(world, world.issue("altyn", 700), 600, change=(Output(altyn, 100, None),))
    assert (reserve_of(world, "altyn").reserve_tiyn, world.online_tiyn(altyn)) == (600, 100)
    assert world.supply().reserves_tiyn == 600


def test_the_governor_agrees_to_a_redemption(world: World) -> None:
    token = world.issue("altyn", 700)
    with refuses(world, RoleRefused):
        redeem(world, token, 700, world.banks["altyn"])


def test_the_governor_alone_redeems_nothing(world: World) -> None:
    token = world.issue("altyn", 700)
    with refuses(world, RoleRefused, found=0):
        redeem(world, token, 700, world.governor.key)


@pytest.mark.parametrize("take", [redeem, reserve])
class TestTakingOut:
    """What redeem and reserve share."""

    def test_no_more_than_is_there(self, world: World, take: object) -> None:
        token = world.issue("altyn", 700)
        with refuses(world, AmountMismatch, missing_tiyn=1):
            take(world, token, 701)

    def test_no_less_than_is_there(self, world: World, take: object) -> None:
        token = world.issue("altyn", 700)
        with refuses(world, AmountMismatch, missing_tiyn=-1):
            take(world, token, 699)

    def test_only_the_banks_own(self, world: World, take: object) -> None:
        token = world.issue("kumis", 700)
        with refuses(world, NotOwner, bank="altyn"):
            take(world, token, 700)

    def test_the_change_stays_with_the_bank(self, world: World, take: object) -> None:
        token = world.issue("altyn", 700)
        with refuses(world, NotOwner, bank="altyn"):
            take(world, token, 600, change=(Output(world.banks["kumis"].public, 100, None),))

    def test_only_free_tenge(self, world: World, take: object) -> None:
        """No bank comes by marked tenge; the transition does not rely on that."""
        _, purpose = sponsored(world)
        token, altyn = world.issue("altyn", 700), world.banks["altyn"].public
        world.view.layer.records[Table.TOKEN, token] = Token(altyn, 700, purpose).encode()
        with refuses(world, PurposeMismatch):
            take(world, token, 700)

    def test_the_change_is_free_as_well(self, world: World, take: object) -> None:
        _, purpose = sponsored(world)
        token, altyn = world.issue("altyn", 700), world.banks["altyn"].public
        with refuses(world, PurposeMismatch):
            take(world, token, 600, change=(Output(altyn, 100, purpose),))

    def test_marked_tenge_does_not_go_round_through_the_change(self, world: World, take: object) -> None:
        """It would come back without its mark."""
        _, purpose = sponsored(world)
        token, altyn = world.issue("altyn", 700), world.banks["altyn"].public
        marked = token[:-1] + bytes([9])
        world.view.layer.records[Table.TOKEN, marked] = Token(altyn, 100, purpose).encode()
        with refuses(world, PurposeMismatch, bank="altyn"):
            take(world, token, 700, change=(Output(altyn, 100, purpose),), also=(marked,))

    def test_only_once(self, world: World, take: object) -> None:
        token = world.issue("altyn", 700)
        winner = take(world, token, 700)
        with refuses(world, DoubleSpend, outpoint=token, by=winner, winner=world.entries - 1):
            transfer(world, [token], [out(world.banks["altyn"].public, 700)], world.banks["altyn"])


@pytest.mark.parametrize("kind", [Kind.RESERVE, Kind.REDEEM])
def test_taking_out_has_its_time(world: World, kind: Kind) -> None:
    token = world.issue("altyn", 700)
    make = bodies.Reserve if kind is Kind.RESERVE else bodies.Redeem
    keys = [world.banks["altyn"], *([world.governor.key] if kind is Kind.REDEEM else [])]
    with refuses(world, Expired, found=NOW_S, limit=NOW_S - 1):
        world.do(kind, make((token,), (), NOW_S - 1, 700), *keys)
    world.do(kind, make((token,), (), NOW_S, 700), *keys)


# --- transfer ----------------------------------------------------------------------------------


def test_a_payment_with_change(world: World, aida: Customer, bolat: Customer) -> None:
    token = world.fund(aida, 900)
    transfer(world, [token], [out(bolat, 600), out(aida, 300)], aida.key)
    assert (world.online_tiyn(aida.key.public), world.online_tiyn(bolat.key.public)) == (300, 600)
    assert world.token(token) is None


def test_several_owners_pay_together(world: World, aida: Customer, bolat: Customer) -> None:
    tokens = [world.fund(aida, 900), world.fund(bolat, 100)]
    transfer(world, tokens, [out(bolat, 1000)], aida.key, bolat.key)
    assert world.online_tiyn(bolat.key.public) == 1000


def test_a_token_is_spent_once(world: World, aida: Customer, bolat: Customer) -> None:
    token = world.fund(aida, 900)
    made = transfer(world, [token], [out(bolat, 900)], aida.key)
    with refuses(world, DoubleSpend, outpoint=token, winner=world.entries - 1, by=made[0][:32]):
        transfer(world, [token], [out(bolat, 899), out(aida, 1)], aida.key)


def test_what_never_was_is_nobodys(world: World, aida: Customer) -> None:
    with refuses(world, NotOwner, outpoint=bytes(34)):
        transfer(world, [bytes(34)], [out(aida, 1)], aida.key)


def test_an_offline_token_is_not_an_online_one(world: World, aida: Customer) -> None:
    leaf = world.load(aida, 900)
    with refuses(world, NotOwner, outpoint=leaf):
        transfer(world, [leaf], [out(aida, 900)], aida.purse)


@pytest.mark.parametrize("signers", ["thief", "one owner of two", "owner and another"])
def test_exactly_the_owners_sign(world: World, aida: Customer, bolat: Customer, signers: str) -> None:
    tokens = [world.fund(aida, 900)]
    keys = {"thief": [bolat.key], "one owner of two": [aida.key], "owner and another": [aida.key, bolat.key]}[signers]
    if signers == "one owner of two":
        tokens.append(world.fund(bolat, 900))
    with refuses(world, NotOwner, signers=len(keys)):
        transfer(world, tokens, [out(bolat, 900 * len(tokens))], *keys)


def test_a_stranger_signs_no_transfer(world: World, aida: Customer, bolat: Customer) -> None:
    token = world.fund(aida, 900)
    for keys in ([STRANGER], [aida.key, STRANGER]):
        with refuses(world, NotEnrolled, key=STRANGER.public):
            transfer(world, [token], [out(bolat, 900)], *keys)


def test_a_revoked_keys_money_stands_still(world: World, aida: Customer, bolat: Customer) -> None:
    tokens = [world.fund(aida, 900), world.fund(bolat, 900)]
    world.now_s += 5
    revoke(world, aida, wallet_id(world, aida))
    for inputs, keys in ((tokens[:1], [aida.key]), (tokens, [aida.key, bolat.key])):
        with refuses(world, CertificateRevoked, key=aida.key.public, revoked_at_s=NOW_S + 5):
            transfer(world, inputs, [out(bolat, 900 * len(inputs))], *keys)


def test_a_dismissed_banks_money_stands_still(world: World, aida: Customer) -> None:
    token = world.issue("altyn", 900)
    dismiss(world, "altyn")
    with refuses(world, CertificateRevoked, key=world.banks["altyn"].public, revoked_at_s=NOW_S):
        transfer(world, [token], [out(aida, 900)], world.banks["altyn"])


def test_a_lost_purse_does_not_stop_its_wallet(world: World, aida: Customer, bolat: Customer) -> None:
    token = world.fund(aida, 900)
    revoke(world, aida)
    transfer(world, [token], [out(bolat, 900)], aida.key)
    assert world.online_tiyn(bolat.key.public) == 900


@pytest.mark.parametrize("amount_tiyn", [899, 901])
def test_value_is_conserved(world: World, aida: Customer, bolat: Customer, amount_tiyn: int) -> None:
    token = world.fund(aida, 900)
    with refuses(world, AmountMismatch, missing_tiyn=amount_tiyn - 900):
        transfer(world, [token], [out(bolat, amount_tiyn)], aida.key)


def test_a_transfer_has_its_time(world: World, aida: Customer, bolat: Customer) -> None:
    token = world.fund(aida, 900)
    with refuses(world, Expired, found=NOW_S, limit=NOW_S - 1):
        transfer(world, [token], [out(bolat, 900)], aida.key, until_s=NOW_S - 1)
    transfer(world, [token], [out(bolat, 900)], aida.key, until_s=NOW_S)


def test_money_goes_to_enrolled_keys_only(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    with refuses(world, NotEnrolled, key=STRANGER.public):
        transfer(world, [token], [out(STRANGER.public, 900)], aida.key)


def test_money_does_not_go_to_a_revoked_key(world: World, aida: Customer, bolat: Customer) -> None:
    token = world.fund(aida, 900)
    revoke(world, bolat, wallet_id(world, bolat))
    with refuses(world, CertificateRevoked, key=bolat.key.public, revoked_at_s=NOW_S):
        transfer(world, [token], [out(bolat, 900)], aida.key)


def test_money_does_not_go_to_an_expired_certificates_key(world: World, aida: Customer) -> None:
    world.now_s += YEAR_S - 1
    bolat = world.customer("bolat")
    tokens = [world.fund(owner, 900) for owner in (aida, bolat)]
    world.now_s += 1
    with refuses(world, CertificateExpired, key=aida.key.public, expired_s=world.now_s):
        transfer(world, [tokens[1]], [out(aida, 900)], bolat.key)
    transfer(world, [tokens[0]], [out(bolat, 900)], aida.key)
    assert world.online_tiyn(bolat.key.public) == 1800


def test_money_does_not_go_to_a_dismissed_bank(world: World, aida: Customer) -> None:
    token = world.fund(aida, 900)
    dismiss(world, "kumis")
    with refuses(world, CertificateRevoked, key=world.banks["kumis"].public):
        transfer(world, [token], [out(world.banks["kumis"].public, 900)], aida.key)


def test_money_does_not_go_to_a_bank_whose_x509_ran_out(world: World) -> None:
    world.now_s += 3650 * DAY_S - 1
    aida = world.customer("aida")
    altyn, kumis = world.banks["altyn"], world.banks["kumis"].public
    (token,) = transfer(world, [world.issue("altyn", 900)], [out(aida, 900)], altyn, until_s=world.now_s)
    world.now_s += 1
    with refuses(world, CertificateExpired, key=kumis, expired_s=world.now_s):
        transfer(world, [token], [out(kumis, 900)], aida.key, until_s=world.now_s)


def test_a_purse_key_holds_no_online_tokens(world: World, aida: Customer, bolat: Customer) -> None:
    token = world.fund(aida, 900)
    with refuses(world, NotEnrolled, key=bolat.purse.public):
        transfer(world, [token], [in_purse(bolat, 900)], aida.key)


# --- marked tokens -----------------------------------------------------------------------------


@pytest.fixture
def canteen(world: World) -> Customer:
    return world.customer("canteen", merchant=CANTEEN)


def test_a_mark_clears_at_an_allowed_payee(world: World, aida: Customer, canteen: Customer) -> None:
    sponsor, purpose = sponsored(world)
    token = grant(world, sponsor, purpose, aida, 900)
    paid, change = transfer(world, [token], [out(canteen, 600, purpose), out(aida, 300, purpose)], aida.key)
    assert world.token(paid) == Token(canteen.key.public, 600, None)
    assert world.token(change) == Token(aida.key.public, 300, purpose)


def test_a_condition_refuses(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = sponsored(world)
    token = grant(world, sponsor, purpose, aida, 900)
    with refuses(world, PurposeRefused, condition="payee_mcc", found=Phrase("no_payee_mcc")):
        transfer(world, [token], [out(bolat, 900, purpose)], aida.key)


def test_a_condition_sees_the_merchants_category(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    bar = world.customer("bar", merchant=Merchant(CANTEEN.bin, "5813", CANTEEN.kato))
    token = grant(world, sponsor, purpose, aida, 900)
    with refuses(world, PurposeRefused, condition="payee_mcc", found=Phrase("payee_mcc", ("5813",))):
        transfer(world, [token], [out(bar, 900, purpose)], aida.key)


def test_a_bank_has_no_category(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    token = grant(world, sponsor, purpose, aida, 900)
    with refuses(world, PurposeRefused, found=Phrase("no_payee_mcc")):
        transfer(world, [token], [out(world.banks["altyn"].public, 900, purpose)], aida.key)


def test_a_mark_is_not_washed_off(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = sponsored(world)
    token = grant(world, sponsor, purpose, aida, 900)
    with refuses(world, PurposeMismatch):
        transfer(world, [token], [out(bolat, 900)], aida.key)


def test_free_tenge_is_not_marked_by_a_payment(world: World, aida: Customer) -> None:
    _, purpose = sponsored(world)
    token = world.fund(aida, 900)
    with refuses(world, PurposeMismatch):
        transfer(world, [token], [out(aida, 900, purpose)], aida.key)


def test_purposes_do_not_mix(world: World, aida: Customer) -> None:
    sponsor, purpose = sponsored(world)
    other = define(world, sponsor, name="books")
    token = grant(world, sponsor, purpose, aida, 900)
    with refuses(world, PurposeMismatch):
        transfer(world, [token], [out(aida, 900, other)], aida.key)


def test_marked_tokens_of_two_owners_are_not_paid_together(
    world: World, aida: Customer, bolat: Customer, canteen: Customer
) -> None:
    sponsor, purpose = sponsored(world)
    tokens = [grant(world, sponsor, purpose, owner, 900) for owner in (aida, bolat)]
    with refuses(world, PurposeMismatch, found=2, wanted=1):
        transfer(world, tokens, [out(canteen, 1800, purpose)], aida.key, bolat.key)


def test_marked_and_free_are_paid_together(world: World, aida: Customer, canteen: Customer) -> None:
    sponsor, purpose = sponsored(world)
    tokens = [grant(world, sponsor, purpose, aida, 900), world.fund(aida, 100)]
    transfer(world, tokens, [out(canteen, 900, purpose), out(canteen, 100)], aida.key)
    assert world.online_tiyn(canteen.key.public) == 1000


def test_a_co_signers_change_is_a_payment_to_him(world: World, aida: Customer, bolat: Customer) -> None:
    sponsor, purpose = sponsored(world)
    tokens = [grant(world, sponsor, purpose, aida, 900), world.fund(bolat, 900)]
    with refuses(world, PurposeRefused):
        transfer(world, tokens, [out(bolat, 900, purpose), out(aida, 900)], aida.key, bolat.key)


def test_marked_tokens_stop_at_the_expiry(world: World, aida: Customer, canteen: Customer) -> None:
    sponsor, purpose = sponsored(world)
    token = grant(world, sponsor, purpose, aida, 900)
    world.now_s = EXPIRY_S
    with refuses(world, Expired, purpose="meals", limit=EXPIRY_S):
        transfer(world, [token], [out(canteen, 900, purpose)], aida.key)


def test_what_a_payer_spent_lately_is_read_and_added_up_once_for_all_payees(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A transfer of a few kilobytes is little work for the one writer, however many it pays."""
    limit = PerPeriod(10_000, 30)
    sponsor, purpose = programme(world, condition=limit)
    aida = world.customer("aida")
    payees = [world.customer(f"payee {number}") for number in range(20)]
    token = grant(world, sponsor, purpose, aida, 100)
    asked: list[Memory] = []
    answer = PerPeriod.refuses

    def counted(self: PerPeriod, payment: Payment) -> Refusal | None:
        asked.append(payment.memory or Memory())
        return answer(self, payment)

    monkeypatch.setattr(PerPeriod, "refuses", counted)
    transfer(world, [token], [out(payee, 5, purpose) for payee in payees], aida.key)
    assert len(asked) == len(payees)
    assert len({id(memory) for memory in asked}) == 1
    assert len(asked[0]._sums) == 1
