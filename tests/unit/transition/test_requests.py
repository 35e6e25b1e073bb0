"""Online payments that say what is bought: the payee's signed request."""

from __future__ import annotations

from dataclasses import replace

import pytest

from cbdc.errors import (
    AmountMismatch,
    BadSignature,
    FormError,
    Malformed,
    NotEnrolled,
    PurposeRefused,
    Replayed,
    TooLarge,
    WrongPayee,
)
from cbdc.formats import cbor, cose, requests
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
from cbdc.formats.tokens import Output
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_INVOICE_LINES, MAX_NAME_CHARS
from cbdc.messages import bodies
from cbdc.messages.message import build, decode
from cbdc.purposes.conditions import Items, Payee
from cbdc.purposes.rules import Split
from cbdc.state.records import Token
from tests.support import LATER_S, NOW_S, Customer, World, seed
from tests.unit.helpers import STRANGER, ask, grant, out, programme, refuses, tokens_of, transfer

FOOD, BEER = Line("food", 600), Line("beer", 300)


@pytest.fixture
def world() -> World:
    return World.founded("altyn")


@pytest.fixture
def basket(world: World) -> tuple[Customer, bytes]:
    """A sponsor, and its purpose for food."""
    return programme(world, condition=Items(("food",)))


def test_so_much_of_the_basket_as_it_may_the_purpose_pays(
    world: World, aida: Customer, shop: Customer, basket: tuple[Customer, bytes]
) -> None:
    sponsor, purpose = basket
    tokens = [grant(world, sponsor, purpose, aida, 700), world.fund(aida, 300)]
    request = ask(world, shop, 900, FOOD, BEER)
    outputs = [out(shop, 600, purpose), out(shop, 300), out(aida, 100, purpose)]
    transfer(world, tokens, outputs, aida.key, request=request)
    assert tokens_of(world, shop) == [Token(shop.key.public, tiyn, None) for tiyn in (300, 600)]


def test_more_than_the_lines_cover_is_refused(
    world: World, aida: Customer, shop: Customer, basket: tuple[Customer, bytes]
) -> None:
    sponsor, purpose = basket
    tokens = [grant(world, sponsor, purpose, aida, 601), world.fund(aida, 299)]
    with refuses(world, PurposeRefused, condition="items"):
        transfer(
            world,
            tokens,
            [out(shop, 601, purpose), out(shop, 299)],
            aida.key,
            request=ask(world, shop, 900, FOOD, BEER),
        )


def test_without_a_request_nothing_is_known_of_what_is_bought(
    world: World, aida: Customer, shop: Customer, basket: tuple[Customer, bytes]
) -> None:
    sponsor, purpose = basket
    token = grant(world, sponsor, purpose, aida, 600)
    with refuses(world, PurposeRefused, condition="items"):
        transfer(world, [token], [out(shop, 600, purpose)], aida.key)


def test_the_payers_own_word_on_the_lines_is_no_message(
    world: World, aida: Customer, shop: Customer, basket: tuple[Customer, bytes]
) -> None:
    sponsor, purpose = basket
    token = grant(world, sponsor, purpose, aida, 600)
    body = bodies.Transfer((token,), (out(shop, 600, purpose),), LATER_S, lines=(FOOD,))
    with refuses(world, Malformed):
        world.do(Kind.TRANSFER, body, aida.key)


def test_free_money_may_be_paid_by_request_too(world: World, aida: Customer, shop: Customer) -> None:
    request = ask(world, shop, 900, BEER)
    token = world.fund(aida, 1000)
    transfer(world, [token], [out(shop, 900), out(aida, 100)], aida.key, request=request)
    assert world.online_tiyn(shop.key.public) == 900


@pytest.mark.parametrize("asker", ["aida", "bolat", "stranger"])
def test_only_the_payees_word_counts(
    world: World, aida: Customer, shop: Customer, basket: tuple[Customer, bytes], asker: str
) -> None:
    sponsor, purpose = basket
    token = grant(world, sponsor, purpose, aida, 600)
    key = {"aida": aida.key, "bolat": world.customer("bolat").key, "stranger": STRANGER}[asker]
    request = requests.sign(key, world.network, 600, (FOOD,), world.nonce())
    with refuses(world, WrongPayee, wanted=key.public):
        transfer(world, [token], [out(shop, 600, purpose)], aida.key, request=request)


def test_a_request_is_not_shared_with_others(
    world: World, aida: Customer, shop: Customer, basket: tuple[Customer, bytes]
) -> None:
    """Else one payee's goods would be paid to another."""
    sponsor, purpose = basket
    bolat = world.customer("bolat")
    tokens = [grant(world, sponsor, purpose, aida, 600), world.fund(aida, 1)]
    for outputs in ([out(shop, 1), out(bolat, 600, purpose)], [out(shop, 600, purpose), out(bolat, 1)]):
        with refuses(world, WrongPayee, wanted=shop.key.public):
            transfer(world, tokens, outputs, aida.key, request=ask_without_state(world, shop, 601))


def ask_without_state(world: World, payee: Customer, amount_tiyn: int) -> bytes:
    return requests.sign(payee.key, world.network, amount_tiyn, (FOOD,), bytes(16))


def test_a_co_signer_sells_nothing_by_anothers_request(
    world: World, aida: Customer, shop: Customer, basket: tuple[Customer, bytes]
) -> None:
    """What goes to him is no part of what was asked for, so the lines are not about it either."""
    sponsor, purpose = basket
    bolat = world.customer("bolat")
    tokens = [grant(world, sponsor, purpose, aida, 600), world.fund(aida, 600), world.fund(bolat, 1)]
    outputs = [out(shop, 600), out(bolat, 600, purpose), out(bolat, 1)]
    with refuses(world, PurposeRefused, condition="items"):
        transfer(world, tokens, outputs, aida.key, bolat.key, request=ask_without_state(world, shop, 600))
    paid = [out(shop, 600, purpose), out(aida, 600), out(bolat, 1)]
    transfer(world, tokens, paid, aida.key, bolat.key, request=ask_without_state(world, shop, 600))


def test_a_request_by_whoever_pays_is_for_nobody(world: World, aida: Customer) -> None:
    token = world.fund(aida, 600)
    with refuses(world, WrongPayee, wanted=aida.key.public):
        transfer(world, [token], [out(aida, 600)], aida.key, request=ask_without_state(world, aida, 600))


@pytest.mark.parametrize("paid_tiyn", [599, 601])
def test_a_request_is_paid_as_it_stands(
    world: World, aida: Customer, shop: Customer, basket: tuple[Customer, bytes], paid_tiyn: int
) -> None:
    sponsor, purpose = basket
    tokens = [grant(world, sponsor, purpose, aida, 590), world.fund(aida, 410)]
    outputs = [out(shop, 590, purpose), out(shop, paid_tiyn - 590), out(aida, 1000 - paid_tiyn)]
    with refuses(world, AmountMismatch, found=paid_tiyn, wanted=600):
        transfer(world, tokens, outputs, aida.key, request=ask_without_state(world, shop, 600))


def test_a_request_is_paid_once(world: World, aida: Customer, shop: Customer, basket: tuple[Customer, bytes]) -> None:
    sponsor, purpose = basket
    tokens = [grant(world, sponsor, purpose, aida, 600) for _ in range(2)]
    request = ask(world, shop, 600, FOOD)
    transfer(world, tokens[:1], [out(shop, 600, purpose)], aida.key, request=request)
    with refuses(world, Replayed, id=requests.read(request, world.network).id):
        transfer(world, tokens[1:], [out(shop, 600, purpose)], aida.key, request=request)
    transfer(world, tokens[1:], [out(shop, 600, purpose)], aida.key, request=ask(world, shop, 600, FOOD))


def test_a_refused_payment_does_not_use_its_request_up(world: World, aida: Customer, shop: Customer) -> None:
    sponsor, purpose = programme(world, condition=Payee(("altyn/other",)))
    token = grant(world, sponsor, purpose, aida, 600)
    request = ask_without_state(world, shop, 600)
    with refuses(world, PurposeRefused, condition="payee"):
        transfer(world, [token], [out(shop, 600, purpose)], aida.key, request=request)
    transfer(world, [world.fund(aida, 600)], [out(shop, 600)], aida.key, request=request)


# --- with a part that a rule splits off --------------------------------------------------------


@pytest.fixture
def tax(world: World) -> Customer:
    return world.customer("tax")


def taxed(world: World) -> tuple[Customer, bytes]:
    return programme(world, condition=Items(("food",)), split=Split("altyn/tax", 12, 100))


def test_a_split_part_is_paid_out_of_what_was_asked(
    world: World, aida: Customer, shop: Customer, tax: Customer
) -> None:
    sponsor, purpose = taxed(world)
    token = grant(world, sponsor, purpose, aida, 600)
    transfer(
        world, [token], [out(shop, 528, purpose), out(tax, 72, purpose)], aida.key, request=ask(world, shop, 600, FOOD)
    )
    assert tokens_of(world, shop) == [Token(shop.key.public, 528, None)]
    assert tokens_of(world, tax) == [Token(tax.key.public, 72, None)]


def test_nothing_else_goes_to_the_tax_office_with_it(
    world: World, aida: Customer, shop: Customer, tax: Customer
) -> None:
    sponsor, purpose = taxed(world)
    other, plain = programme(world, name="plain")
    tokens = [
        grant(world, sponsor, purpose, aida, 600),
        world.fund(aida, 10),
        grant(world, other, plain, aida, 10),
    ]
    split = [out(shop, 528, purpose), out(tax, 72, purpose)]
    for inputs, more in ((tokens[:2], out(tax, 10)), (tokens[::2], out(tax, 10, plain))):
        with refuses(world, WrongPayee, wanted=shop.key.public):
            transfer(world, inputs, [*split, more], aida.key, request=ask_without_state(world, shop, 610))


def test_the_whole_is_what_was_asked_for(world: World, aida: Customer, shop: Customer, tax: Customer) -> None:
    sponsor, purpose = taxed(world)
    token = grant(world, sponsor, purpose, aida, 600)
    with refuses(world, AmountMismatch, found=600, wanted=528):
        transfer(
            world,
            [token],
            [out(shop, 528, purpose), out(tax, 72, purpose)],
            aida.key,
            request=ask_without_state(world, shop, 528),
        )


# --- its form ----------------------------------------------------------------------------------


def test_a_request_is_its_askers_signature(world: World, aida: Customer, shop: Customer) -> None:
    """By another key, for another network, or with one byte changed it is nobody's word."""
    payload = cbor.encode([shop.key.public, 600, bytes(16), [["food", 600]]])
    token = world.fund(aida, 600)
    forged = {
        "another key": cose.sign1(aida.key, Kind.REQUEST, payload, world.network),
        "another network": cose.sign1(shop.key, Kind.REQUEST, payload, seed("other")),
        "another signature": ask(world, shop, 600, FOOD)[:-1] + b"\0",
    }
    for request in forged.values():
        with refuses(world, BadSignature, kind=Kind.TRANSFER.value):
            transfer(world, [token], [out(shop, 600)], aida.key, request=request)


def read(key: SigningKey, network: bytes, *fields: object, kind: Kind = Kind.REQUEST) -> requests.PaymentRequest:
    return requests.read(cose.sign1(key, kind, cbor.encode(list(fields)), network), network)


def test_a_request_says_what_is_asked() -> None:
    key, network = SigningKey(seed("shop")), seed("network")
    lines = (FOOD, BEER)
    found = requests.read(requests.sign(key, network, 900, lines, bytes(16)), network)
    assert (found.payee, found.amount_tiyn, found.nonce, found.lines) == (key.public, 900, bytes(16), lines)
    assert found.check.holds()
    other = requests.read(requests.sign(key, network, 900, lines, bytes(15) + b"1"), network)
    assert found.id != other.id


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        (Malformed, {0: bytes(31)}),
        (Malformed, {1: 0}),
        (Malformed, {1: -1}),
        (TooLarge, {1: MAX_AMOUNT_TIYN + 1}),
        (Malformed, {2: bytes(15)}),
        (Malformed, {3: []}),
        (Malformed, {3: None}),
        (Malformed, {3: [["food"]]}),
        (Malformed, {3: [["food", -1]]}),
        (Malformed, {3: [["", 1]]}),
        (TooLarge, {3: [["f" * (MAX_NAME_CHARS + 1), 1]]}),
        (TooLarge, {3: [["food", MAX_AMOUNT_TIYN + 1]]}),
        (TooLarge, {3: [["f", 1]] * (MAX_INVOICE_LINES + 1)}),
        (Malformed, {4: None}),
    ],
)
def test_malformed_requests(error: type[FormError], changes: dict[int, object]) -> None:
    key, network = SigningKey(seed("shop")), seed("network")
    fields = dict(enumerate([key.public, 600, bytes(16), [["food", 600]]])) | changes
    with pytest.raises(FormError) as caught:
        read(key, network, *fields.values())
    assert type(caught.value) is error


def test_another_kind_of_word_is_no_request() -> None:
    key, network = SigningKey(seed("shop")), seed("network")
    with pytest.raises(Malformed):
        read(key, network, key.public, 600, bytes(16), [["food", 600]], kind=Kind.INVOICE)


def test_a_transfer_with_a_request_reads_as_it_was_written(world: World, aida: Customer, shop: Customer) -> None:
    request = ask(world, shop, 600, FOOD)
    body = bodies.Transfer((bytes(34),), (Output(shop.key.public, 600, None),), NOW_S, request=request)
    raw = build(Kind.TRANSFER, body, [aida.key], world.network)
    assert decode(raw, world.network).body == replace(body, lines=(FOOD,))


def test_who_asks_must_be_able_to_hold_it(world: World, aida: Customer) -> None:
    token = world.fund(aida, 600)
    request = requests.sign(STRANGER, world.network, 600, (FOOD,), bytes(16))
    with refuses(world, NotEnrolled, key=STRANGER.public):
        transfer(world, [token], [out(STRANGER.public, 600)], aida.key, request=request)
