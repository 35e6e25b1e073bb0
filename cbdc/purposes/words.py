"""What conditions ask for and find, in English, Kazakh and Russian.

A condition gives a `Phrase`: a key of the catalogue below and the values in it, which are texts that read the same in
every language or phrases again. `say` makes a sentence of it.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Final

LANGUAGES: Final = ("en", "kk", "ru")


@dataclass(frozen=True, slots=True)
class Phrase:
    """A key of the catalogue and its values, in order."""

    key: str
    values: tuple[str | Phrase, ...] = ()

    def __str__(self) -> str:
        return say(self)


def one_of(values: Iterable[str]) -> Phrase:
    """These values, any of them."""
    return Phrase("or", tuple(values))


def say(phrase: str | Phrase, language: str = "en") -> str:
    """The phrase in one of `LANGUAGES`."""
    if isinstance(phrase, str):
        return phrase
    values = [say(value, language) for value in phrase.values]
    joints = _JOINTS.get(phrase.key)
    if joints is not None:
        return joints[LANGUAGES.index(language)].join(values)
    return _WORDS[phrase.key][LANGUAGES.index(language)].format(*values)


_JOINTS: Final[dict[str, tuple[str, str, str]]] = {
    "or": (" or ", " немесе ", " или "),
    "list": (", ", ", ", ", "),
    "all": (", and ", ", әрі ", ", и "),
    "any": (", or ", ", не болмаса ", ", либо "),
    "both": ("; ", "; ", "; "),
}
"""Keys that join any number of values."""

_WORDS: Final[dict[str, tuple[str, str, str]]] = {
    "refused": (
        "{0}: not allowed here. Found: {1}. Wanted: {2}.",
        "{0}: бұл жерде төлеуге болмайды. Бары: {1}. Керегі: {2}.",
        "{0}: здесь платить нельзя. Есть: {1}. Нужно: {2}.",
    ),
    "payee": ("payee {0}", "алушы: {0}", "получатель: {0}"),
    "payer": ("payer {0}", "төлеуші: {0}", "плательщик: {0}"),
    "payee_mcc": ("payee's category {0}", "алушының санаты: {0}", "категория получателя: {0}"),
    "payee_kato": ("payee's region {0}", "алушының өңірі: {0}", "регион получателя: {0}"),
    "payee_tier": ("payee's tier {0}", "алушының деңгейі: {0}", "уровень получателя: {0}"),
    "no_payee_mcc": ("payee without a category", "алушының санаты көрсетілмеген", "у получателя нет категории"),
    "no_payee_kato": ("payee without a region", "алушының өңірі көрсетілмеген", "у получателя не указан регион"),
    "no_payee_tier": ("payee without a tier", "алушының деңгейі көрсетілмеген", "у получателя не указан уровень"),
    "amount": ("{0} tenge in one payment", "бір төлемде {0} теңге", "{0} тенге одним платежом"),
    "per_payment": (
        "at most {0} tenge in one payment",
        "бір төлемде ең көбі {0} теңге",
        "не больше {0} тенге одним платежом",
    ),
    "per_period": (
        "at most {0} tenge in any {1} days",
        "кез келген {1} күнде ең көбі {0} теңге",
        "не больше {0} тенге за любые {1} дн.",
    ),
    "in_period": ("{0} tenge in {1} days", "{1} күнде {0} теңге", "{0} тенге за {1} дн."),
    "needs_ledger": (
        "no ledger to ask here, and no allowance for it",
        "мұнда тізілімнен сұрау мүмкін емес және оған рұқсат берілмеген",
        "реестр здесь не спросить, а разрешения на это нет",
    ),
    "items": ("goods of {0}", "мына тауарлар: {0}", "товары: {0}"),
    "covered": (
        "such goods for {0} tenge",
        "ондай тауарлар {0} теңгеге",
        "таких товаров на {0} тенге",
    ),
    "no_lines": (
        "payment that does not say what is bought",
        "төлемде не сатып алынғаны айтылмаған",
        "в платеже не сказано, что куплено",
    ),
    "approval": ("approval by {0} of: {1}", "мақұлдау керек, {0} адам, мына тізімнен: {1}", "одобрение, {0} из: {1}"),
    "approved_by": ("approved by {0}", "мақұлдаған: {0}", "одобрено: {0}"),
    "approved_by_nobody": ("approved by nobody yet", "әзірге ешкім мақұлдаған жоқ", "пока никем не одобрено"),
    "evidence": ("evidence of {0} by {1}", "{1} растауы: {0}", "подтверждение от {1}: {0}"),
    "no_evidence": ("no such evidence yet", "ондай растау әзірге жоқ", "такого подтверждения пока нет"),
    "split": (
        "{0} of {1} parts of each payment to {2}",
        "әр төлемнің {1} бөлігінің {0} бөлігі мынаған: {2}",
        "{0} из {1} частей каждого платежа получает {2}",
    ),
    "split_paid": ("{0} tenge to {1}", "{1} алатыны {0} теңге", "{1} получает {0} тенге"),
    "clears": (
        "free money for whom it is paid to",
        "алушы үшін еркін ақшаға айналады",
        "у получателя это свободные деньги",
    ),
    "keeps": (
        "bound for whom it is paid to as well",
        "алушыда да мақсатты болып қалады",
        "у получателя остаются целевыми",
    ),
    "keeps_hops": (
        "bound for {0} payments, then free",
        "{0} төлем бойы мақсатты, содан кейін еркін",
        "целевые на протяжении {0} платежей, потом свободные",
    ),
    "until_evidence": (
        "bound until {0} gives evidence",
        "{0} растағанша мақсатты",
        "целевые, пока {0} не подтвердит",
    ),
    "time": ("{0}", "{0}", "{0}"),
    "after": ("from {0} on", "{0} бастап", "начиная с {0}"),
    "before": ("before {0}", "{0} дейін", "до {0}"),
    "moment": ("{0} {1}", "{0} {1}", "{0} {1}"),
    "hours": ("{0} from {1} to {2}", "{0}, сағат {1} бастап {2} дейін", "{0} с {1} до {2}"),
    "not": ("not ({0})", "мынадай емес: ({0})", "не ({0})"),
    "mon": ("Monday", "дүйсенбі", "понедельник"),
    "tue": ("Tuesday", "сейсенбі", "вторник"),
    "wed": ("Wednesday", "сәрсенбі", "среда"),
    "thu": ("Thursday", "бейсенбі", "четверг"),
    "fri": ("Friday", "жұма", "пятница"),
    "sat": ("Saturday", "сенбі", "суббота"),
    "sun": ("Sunday", "жексенбі", "воскресенье"),
}
"""Every other key: a template for each language."""

KEYS: Final = frozenset(_JOINTS) | frozenset(_WORDS)
