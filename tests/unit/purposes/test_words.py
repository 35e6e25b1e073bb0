"""The catalogue: complete in three languages, and every phrase that a condition says is in it."""

from __future__ import annotations

import string

import pytest

from cbdc.purposes import words
from cbdc.purposes.conditions import Condition, Refusal
from cbdc.purposes.words import KEYS, LANGUAGES, Phrase, say
from tests.unit.purposes.test_conditions import ALLOWED, PAYMENT, PERSON, REFUSED

EVERY: list[Condition] = [*ALLOWED.values(), *(condition for condition, _ in REFUSED.values())]
CYRILLIC = {chr(number) for number in range(0x400, 0x530)}


def keys_in(phrase: str | Phrase) -> set[str]:
    return set() if isinstance(phrase, str) else {phrase.key}.union(*map(keys_in, phrase.values))


def phrases() -> list[Phrase]:
    refusals: list[Refusal | None] = [
        condition.refuses(payment) for condition in EVERY for payment in (PAYMENT, PERSON)
    ]
    found = [phrase for refusal in refusals if refusal for phrase in (refusal.found, refusal.wanted)]
    return [*found, *(condition.wants() for condition in EVERY)]


def test_every_phrase_that_is_said_is_in_the_catalogue_in_every_language() -> None:
    for phrase in phrases():
        assert keys_in(phrase) <= KEYS
        assert all(say(phrase, language) for language in LANGUAGES)


@pytest.mark.parametrize("key", sorted(words._WORDS))
def test_a_template_has_the_same_places_in_every_language(key: str) -> None:
    places = [sorted(field for _, field, _, _ in string.Formatter().parse(text) if field) for text in words._WORDS[key]]
    assert places[0] == places[1] == places[2]


@pytest.mark.parametrize("key", sorted(words._WORDS))
def test_kazakh_and_russian_are_not_english(key: str) -> None:
    english, kazakh, russian = words._WORDS[key]
    if english.strip("{}0123456789 "):
        assert CYRILLIC & set(kazakh)
        assert CYRILLIC & set(russian)
        assert len({english, kazakh, russian}) == 3


def test_values_are_never_taken_for_templates() -> None:
    assert say(Phrase("payee", ("{0} {key}",)), "kk") == "алушы: {0} {key}"


def test_lists_are_joined_in_the_language() -> None:
    assert say(words.one_of(("5812", "5814")), "ru") == "5812 или 5814"
    assert say(Phrase("list", (Phrase("mon"), Phrase("sun"))), "kk") == "дүйсенбі, жексенбі"
