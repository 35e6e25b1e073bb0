"""The catalogue: complete in three languages, and every phrase that a condition says is in it."""

from __future__ import annotations

import string
from dataclasses import replace

import pytest

from cbdc.policy import DAY_S
from cbdc.purposes import words
from cbdc.purposes.conditions import Condition, Hours, Memory, Payment, PerPayment, Refusal
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Keeps, Split
from cbdc.purposes.words import KEYS, LANGUAGES, Phrase, say
from tests.support import NOW_S
from tests.unit.purposes.test_conditions import ALLOWED, PAYMENT, PERSON, REFUSED
from tests.unit.purposes.test_memory_conditions import SAID
from tests.unit.purposes.test_rules import RULES

EVERY: list[Condition] = [*ALLOWED.values(), *(condition for condition, _ in REFUSED.values())]
CYRILLIC = {chr(number) for number in range(0x400, 0x530)}


def keys_in(phrase: str | Phrase) -> set[str]:
    return set() if isinstance(phrase, str) else {phrase.key}.union(*map(keys_in, phrase.values))


def phrases() -> list[Phrase]:
    refusals: list[Refusal | None] = [
        condition.refuses(payment) for condition in EVERY for payment in (PAYMENT, PERSON)
    ]
    refusals += SAID.values()
    found = [phrase for refusal in refusals if refusal for phrase in (refusal.found, refusal.wanted)]
    split = Split("altyn/tax", 12, 100)
    taxed = Definition("works", ("Works",) * 3, bytes(32), bytes(32), PerPayment(1), Keeps(), NOW_S, split)
    (of_split,) = taxed.refusals([replace(PAYMENT, memory=Memory())])[:1]
    rules = [split.wants(), of_split.found, *(rule.wants() for rule in RULES)]
    days = Hours((0, 1, 2, 3, 4, 5, 6), 0, 1)
    moments = [refusal.found for day in range(7) if (refusal := days.refuses(at(NOW_S + day * DAY_S)))]
    return [*found, *rules, *moments, *(condition.wants() for condition in [*EVERY, days])]


def at(time_s: int) -> Payment:
    return replace(PAYMENT, time_s=time_s)


def test_every_phrase_that_is_said_is_in_the_catalogue_in_every_language() -> None:
    for phrase in phrases():
        assert keys_in(phrase) <= KEYS
        assert all(say(phrase, language) for language in LANGUAGES)


def test_no_words_are_there_that_nothing_says() -> None:
    """But for the frame of a refusal, which the definition puts around it."""
    assert set().union(*map(keys_in, phrases())) == KEYS - {"refused"}


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
