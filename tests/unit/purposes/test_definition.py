"""A purpose's definition: its form and what it decides."""

from __future__ import annotations

import pickle
from dataclasses import replace

import pytest

from cbdc.errors import Expired, FormError, Malformed, PurposeRefused, TooLarge
from cbdc.limits import MAX_NAME_CHARS, MAX_TITLE_CHARS
from cbdc.purposes.conditions import Payment, PerPayment
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears

MEALS = Definition("meals", ("Meals", "Tamaq", "Obedy"), bytes(32), bytes(31) + b"1", PerPayment(500), Clears(), 1000)
PAYMENT = Payment("altyn/aida", "altyn/canteen", None, None, 500, 999)


def test_round_trip() -> None:
    assert Definition.from_cbor(MEALS.to_cbor()) == MEALS


@pytest.mark.parametrize(
    ("index", "value", "error"),
    [
        (0, "", Malformed),
        (0, "x" * (MAX_NAME_CHARS + 1), TooLarge),
        (0, "me\nals", Malformed),
        (1, ["Meals", "Tamaq"], Malformed),
        (1, ["Meals", "Tamaq", "x" * (MAX_TITLE_CHARS + 1)], TooLarge),
        (2, bytes(31), Malformed),
        (3, bytes(33), Malformed),
        (4, ["per_payment", -1], Malformed),
        (5, "keeps it", Malformed),
        (5, 1, Malformed),
        (5, ["clears"], Malformed),
        (5, ["keeps_hops", 0], Malformed),
        (5, {}, Malformed),
        (6, -1, Malformed),
        (6, 1.5, Malformed),
        (6, 10**12, TooLarge),
        (7, [], Malformed),
        (7, ["tax", 12, 12], Malformed),
    ],
)
def test_malformed(index: int, value: object, error: type[FormError]) -> None:
    fields = MEALS.to_cbor()
    fields[index] = value
    with pytest.raises(error) as caught:
        Definition.from_cbor(fields)
    assert type(caught.value) is error


def test_a_definition_has_eight_fields() -> None:
    for fields in (MEALS.to_cbor()[:-1], [*MEALS.to_cbor(), 1], {}, None):
        with pytest.raises(Malformed):
            Definition.from_cbor(fields)


def test_a_refusal_explains_itself() -> None:
    assert MEALS.check([PAYMENT]) == ()
    with pytest.raises(PurposeRefused, match="Meals") as caught:
        MEALS.check([PAYMENT, replace(PAYMENT, amount_tiyn=501)])
    facts = {name: str(value) for name, value in caught.value.values.items()}
    assert facts == {
        "purpose": "meals",
        "condition": "per_payment",
        "found": "5.01 tenge in one payment",
        "wanted": "at most 5.00 tenge in one payment",
    }
    assert pickle.loads(pickle.dumps(caught.value)).values == caught.value.values


@pytest.mark.parametrize(
    ("language", "wants", "refused"),
    [
        ("en", "at most 5.00 tenge", "Meals: not allowed here. Found: 5.01 tenge in one payment. Wanted: at most 5.00"),
        ("kk", "бір төлемде ең көбі 5.00", "Tamaq: бұл жерде төлеуге болмайды. Бары: бір төлемде 5.01 теңге. Керегі:"),
        ("ru", "не больше 5.00 тенге", "Obedy: здесь платить нельзя. Есть: 5.01 тенге одним платежом. Нужно: не"),
    ],
)
def test_it_explains_itself_in_every_language(language: str, wants: str, refused: str) -> None:
    assert MEALS.explain(language).startswith(wants)
    assert MEALS.refusals([PAYMENT]) == ()
    (refusal,) = MEALS.refusals([replace(PAYMENT, amount_tiyn=501)])
    assert MEALS.explain_refusal(refusal, language).startswith(refused)


def test_open_until_the_expiry() -> None:
    MEALS.check_open(999)
    with pytest.raises(Expired):
        MEALS.check_open(1000)
