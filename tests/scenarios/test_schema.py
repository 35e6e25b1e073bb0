"""Scenario files as text: what is read, and what a malformed one is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from cbdc.errors import Malformed, TengeError, TooLarge
from cbdc.limits import MAX_SCENARIO_BYTES
from cbdc.policy import Policy
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, MarkRule, UntilEvidence
from tests.scenarios.plays import play
from wallet.purpose_files import SplitSpec
from wallet.scenarios import schema
from wallet.scenarios.values import span_of, time_of

WHOLE = """
title = "A play"
seed = 7
start = "2026-09-01T08:00:00+05:00"

[policy]
privacy = { confidential = { payment = "50" }, cash = { payment = "20", month = "100" } }
supervisors = 5
supervisor_quorum = 3
[policy.offline]
holding = "1 000"
payment = "200.50"
spends = 3
hops = 2
spend_days = 5
final_days = 9
trust_list_days = 1

[[bank]]
name = "altyn"
reserve = "500"

[[wallet]]
name = "shop"
bank = "altyn"
kind = "merchant"
mcc = "5812"
kato = "75"
tier = 2

[[purpose]]
name = "meals"
sponsor = "shop"
title = { en = "Meals", kk = "Tamaq" }
expires = 2026-12-31T23:59:59+05:00
allow = { payee_mcc = ["5812"] }

[[step]]
do = "issue"
to = "altyn"
amount = "5"
note = "money"
refused = "expired"
"""


def read(folder: Path, text: str) -> schema.Scenario:
    file = folder / "play.toml"
    file.write_text(text, encoding="utf-8")
    return schema.read(file)


def test_a_whole_file_is_read(tmp_path: Path) -> None:
    scenario = read(tmp_path, WHOLE)
    assert (scenario.title, scenario.seed, scenario.start_s) == ("A play", 7, 1_788_231_600)
    assert scenario.policy == Policy(1_000_00, 200_50, 3, 2, 5, 9, 1, 50_00, 20_00, 100_00, 5, 3)
    assert [(bank.name, bank.reserve_tiyn) for bank in scenario.banks] == [("altyn", 500_00)]
    (wallet,) = scenario.wallets
    assert (wallet.name, wallet.kind, wallet.mcc, wallet.kato, wallet.bin, wallet.tier) == (
        *("shop", "merchant", "5812", "75", None, 2),
    )
    (purpose,) = scenario.purposes
    assert (purpose.titles, purpose.return_to, purpose.mark) == (("Meals", "Tamaq", "meals"), "shop", Clears())
    assert purpose.expires_s == time_of("2026-12-31T23:59:59+05:00")
    (step,) = scenario.steps
    assert (step.number, step.do, step.refused, step.note) == (1, "issue", "expired", "money")
    assert step.fields == {"to": "altyn", "amount": "5"}


@pytest.mark.parametrize(
    ("mark", "rule"),
    [
        ('"clears"', Clears()),
        ('"keeps"', Keeps()),
        ("{ keeps_hops = 3 }", KeepsHops(3)),
        ('{ until_evidence = "registry" }', UntilEvidence("registry")),
    ],
)
def test_every_rule_for_the_mark_is_read(tmp_path: Path, mark: str, rule: MarkRule) -> None:
    text = WHOLE.replace('sponsor = "shop"', f'sponsor = "shop"\nmark = {mark}', 1)
    scenario = read(tmp_path, text.replace("[[bank]]", '[[oracle]]\nname = "registry"\n\n[[bank]]', 1))
    assert [purpose.mark for purpose in scenario.purposes] == [rule]


def test_a_split_is_read(tmp_path: Path) -> None:
    split = 'split = { to = "shop", parts = 12, of = 112 }'
    scenario = read(tmp_path, WHOLE.replace('sponsor = "shop"', f'sponsor = "shop"\n{split}', 1))
    assert [purpose.split for purpose in scenario.purposes] == [SplitSpec("shop", 12, 112)]


def test_a_title_is_all_that_a_file_needs(tmp_path: Path) -> None:
    scenario = read(tmp_path, 'title = "nothing"')
    assert (scenario.seed, scenario.policy, scenario.steps) == (0, Policy(), ())


MALFORMED: dict[str, tuple[str, str, str]] = {
    "not TOML": ("[[bank]]", "[[bank", "play.toml"),
    "a repeated key": ("seed = 7", "seed = 7\nseed = 8", "play.toml"),
    "no title": ('title = "A play"', "", "title"),
    "a title of nothing": ('title = "A play"', 'title = ""', "title"),
    "a negative seed": ("seed = 7", "seed = -7", "seed"),
    "a seed that is no number": ("seed = 7", 'seed = "x"', "seed"),
    "a true seed": ("seed = 7", "seed = true", "seed"),
    "a bank without name": ('name = "altyn"', "", "a bank"),
    "banks that are no list": ("[[bank]]", "[bank]", "bank"),
    "a wallet without bank": ('bank = "altyn"', "", "wallet shop"),
    "an unknown kind": ('kind = "merchant"', 'kind = "robot"', "wallet shop"),
    "a tier that is none": ("tier = 2", "tier = -1", "tier"),
    "a purpose without sponsor": ('sponsor = "shop"', "", "purpose meals"),
    "a purpose without conditions": ('allow = { payee_mcc = ["5812"] }', "", "purpose meals"),
    "a purpose titled by a text": ('{ en = "Meals", kk = "Tamaq" }', '"Meals"', "purpose meals"),
    "an unknown mark": (
        'sponsor = "shop"',
        'sponsor = "shop"\nmark = "keps"',
        "purpose meals: unknown rule for the mark",
    ),
    "a mark that needs a number": ('sponsor = "shop"', 'sponsor = "shop"\nmark = "keeps_hops"', "purpose meals"),
    "a mark that needs none": ('sponsor = "shop"', 'sponsor = "shop"\nmark = { keeps = 3 }', "purpose meals"),
    "a mark of no payments": ('sponsor = "shop"', 'sponsor = "shop"\nmark = { keeps_hops = 0 }', "purpose meals: mark"),
    "a mark until nobody": ('sponsor = "shop"', 'sponsor = "shop"\nmark = { until_evidence = "x" }', "no such oracle"),
    "a split of nothing": ('sponsor = "shop"', 'sponsor = "shop"\nsplit = { to = "shop" }', "purpose meals: split"),
    "a split of all": (
        'sponsor = "shop"',
        'sponsor = "shop"\nsplit = { to = "shop", parts = 3, of = 3 }',
        "purpose meals: split",
    ),
    "an unknown field": ("seed = 7", "sead = 7", "unknown field 'sead' (nearest=seed)"),
    "an oracle without name": ("[[bank]]", "[[oracle]]\n[[bank]]", "an oracle needs a text 'name'"),
    "an unknown step": ('do = "issue"', 'do = "isue"', "step 1: unknown step (found=isue, nearest=issue)"),
    "a step to come": ('do = "issue"', 'do = "open_private"', "step 1: this step is not there yet"),
    "an unknown code": ('refused = "expired"', 'refused = "to_late"', "step 1 (issue): refused"),
    "a code that is no text": ('refused = "expired"', "refused = true", "step 1 (issue): refused"),
    "banks that are one table": ("[[bank]]", "[bank]", "[[bank]] is not a list"),
    "a step without do": ('do = "issue"', "", "step 1"),
    "limits that are no table": ("[policy.offline]", "offline = 5\n[unread]", "unknown field 'unread'"),
    "a count that is none": ("spends = 3", "spends = 3.5", "spends"),
    "supervisors that are none": ("supervisors = 5", 'supervisors = "many"', "supervisors"),
}


@pytest.mark.parametrize(("old", "new", "place"), MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_file_is_refused_and_told_where(tmp_path: Path, old: str, new: str, place: str) -> None:
    assert old in WHOLE
    with pytest.raises(Malformed) as refused:
        read(tmp_path, WHOLE.replace(old, new, 1))
    assert place in str(refused.value)


BAD_NAMES = ["../../x", "/tmp/x", "..", ".", ".hidden", "a/b", "a\\\\b", "a b", "a\\n", "a\\u0000", "x" * 49]


@pytest.mark.parametrize("bad", BAD_NAMES)
@pytest.mark.parametrize("field", ['name = "altyn"', 'name = "shop"', 'name = "meals"', 'as = "copy"'])
def test_a_name_that_would_leave_its_directory_is_refused(tmp_path: Path, field: str, bad: str) -> None:
    text = WHOLE + '[[step]]\ndo = "clone"\nwallet = "shop"\nas = "copy"\n'
    assert field in text
    with pytest.raises(Malformed, match="does not do as a name"):
        read(tmp_path, text.replace(field, f'{field.split()[0]} = "{bad}"', 1))


def test_the_name_of_a_backup_is_looked_at_too(tmp_path: Path) -> None:
    with pytest.raises(Malformed, match="step 2"):
        read(tmp_path, WHOLE + '[[step]]\ndo = "backup"\nwallet = "shop"\nas = "../../x"\n')


@pytest.mark.parametrize("good", ["a", "8", "x" * 48, "dana-clone", "dana_2", "v1.0", "Дана", "Әсел-2"])
def test_names_that_do(tmp_path: Path, good: str) -> None:
    text = WHOLE.replace('"altyn"', f'"{good}"')
    assert read(tmp_path, text).banks[0].name == good


UNPLACED = {
    "a bank's reserve": ('reserve = "500"', 'reserve = "lots"', "altyn"),
    "a limit": ('holding = "1 000"', 'holding = "lots"', "holding"),
    "the start": ('start = "2026-09-01T08:00:00+05:00"', 'start = "today"', "start"),
    "a start without offset": ('08:00:00+05:00"', '08:00:00"', "start"),
    "a purpose's end": ("expires = 2026-12-31T23:59:59+05:00", "", "meals"),
}


@pytest.mark.parametrize(("old", "new", "_place"), UNPLACED.values(), ids=UNPLACED)
def test_a_bad_amount_or_time_is_refused(tmp_path: Path, old: str, new: str, _place: str) -> None:
    assert old in WHOLE
    with pytest.raises(Malformed):
        read(tmp_path, WHOLE.replace(old, new, 1))


@pytest.mark.parametrize(("old", "new", "place"), UNPLACED.values(), ids=UNPLACED)
def test_a_bad_amount_or_time_is_told_where(tmp_path: Path, old: str, new: str, place: str) -> None:
    with pytest.raises(Malformed) as refused:
        read(tmp_path, WHOLE.replace(old, new, 1))
    assert place in str(refused.value)


def test_a_file_of_other_bytes_is_refused(tmp_path: Path) -> None:
    file = tmp_path / "play.toml"
    file.write_bytes(b"title = '\xff'")
    with pytest.raises(Malformed, match="not a TOML file"):
        schema.read(file)
    file.write_bytes(b"#" * (MAX_SCENARIO_BYTES + 1))
    with pytest.raises(TooLarge):
        schema.read(file)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("1 second", 1), ("3 minutes", 180), ("2 hours", 7200), ("3 days", 259_200), ("1 week", 604_800)],
)
def test_spans(text: str, seconds: int) -> None:
    assert span_of(text) == seconds


@pytest.mark.parametrize("text", ["", "3", "days", "3days", "3 fortnights", "-3 days", "3.5 days", "٣ ", "3 "])
def test_what_is_no_span(text: str) -> None:
    with pytest.raises(Malformed):
        span_of(text)


@pytest.mark.parametrize("text", ["99999999999999999999 weeks", "36526 days", "9" * 5000 + " seconds"])
def test_a_span_has_an_end(text: str) -> None:
    with pytest.raises(Malformed, match="hundred years"):
        span_of(text)
    with pytest.raises(Malformed, match=r"step 1 \(advance\): a span of more than a hundred years"):
        play({"do": "advance", "by": text}, funded=False)


def test_time_passes_for_a_hundred_years_in_all() -> None:
    steps = [{"do": "advance", "by": "36524 days"}, {"do": "advance", "by": "1 day"}]
    assert len(schema.parse({"title": "a play", "step": steps}).steps) == 2
    with pytest.raises(Malformed, match="step 3"):
        schema.parse({"title": "a play", "step": [*steps, {"do": "advance", "by": "1 second"}]})


@pytest.mark.parametrize(
    "start",
    [
        *("9999-12-31T23:59:59+00:00", "9999-12-31T23:59:59-05:00", "2200-01-01T00:00:01Z"),
        *("1969-12-31T23:59:59Z", "0001-01-01T00:00:00+05:00"),
    ],
)
def test_a_play_starts_between_1970_and_2200(tmp_path: Path, start: str) -> None:
    with pytest.raises(Malformed, match="start"):
        read(tmp_path, WHOLE.replace("2026-09-01T08:00:00+05:00", start, 1))


def test_the_longest_play_there_can_be() -> None:
    """The last start and all the years: an outcome, whatever it is, and no traceback."""
    steps = [{"do": "advance", "by": "36525 days"}, {"do": "issue", "to": "altyn", "amount": "1"}]
    report = play(*steps, funded=False, start="2200-01-01T00:00:00Z", purpose=[])
    assert report.steps[0].ok


@pytest.mark.parametrize(
    "value", ["", "now", "2026-13-01T00:00:00+05:00", "2026-09-01", "2026-09-01T08:00:00", None, 5]
)
def test_what_is_no_time(value: object) -> None:
    with pytest.raises(TengeError):
        time_of(value)


def test_the_same_moment_in_two_zones() -> None:
    assert time_of("2026-09-01T08:00:00+05:00") == time_of("2026-09-01T03:00:00Z")
