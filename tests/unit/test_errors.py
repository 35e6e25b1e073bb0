"""The tree of errors: stable codes, and facts that travel."""

from __future__ import annotations

import pickle

import pytest

from cbdc import errors
from cbdc.errors import DoubleSpend, TengeError

SCENARIO_CODES = {
    "insufficient_funds",
    "double_spend",
    "not_owner",
    "bad_signature",
    "not_canonical",
    "not_enrolled",
    "certificate_revoked",
    "certificate_expired",
    "trust_list_stale",
    "expired",
    "limit_payment",
    "limit_holding",
    "limit_spends",
    "limit_hops",
    "purpose_refused",
    "purpose_mismatch",
    "not_sponsor",
    "privacy_limit",
    "quorum_not_met",
    "wrong_payee",
    "replayed",
    "ancestry_broken",
    "amount_mismatch",
    "too_late",
    "reserve_short",
    "role_refused",
    "unreachable",
    "too_large",
    "malformed",
}


def leaves() -> list[type[TengeError]]:
    found = [value for value in vars(errors).values() if isinstance(value, type) and issubclass(value, TengeError)]
    return [kind for kind in found if "code" in vars(kind)]


def test_codes_are_distinct_and_cover_the_scenario_format() -> None:
    codes = [kind.code for kind in leaves()]
    assert len(set(codes)) == len(codes)
    assert set(codes) >= SCENARIO_CODES


@pytest.mark.parametrize("kind", leaves(), ids=lambda kind: kind.code)
def test_an_error_survives_a_process_boundary(kind: type[TengeError]) -> None:
    error = kind("refused", outpoint=b"\x01\x02", found=3)
    again = pickle.loads(pickle.dumps(error))
    assert (type(again), again.message, again.values) == (kind, "refused", {"outpoint": b"\x01\x02", "found": 3})


@pytest.mark.parametrize("name", ["message", "self", "code", "a b", ""])
def test_a_fact_may_have_any_name(name: str) -> None:
    """An error may come out of another process's bytes, with facts that nobody here chose."""
    error = DoubleSpend("spent", **{name: 7})
    assert (error.message, error.values, error.code) == ("spent", {name: 7}, "double_spend")


def test_an_error_shows_its_facts() -> None:
    error = DoubleSpend("the token was spent already", outpoint=b"\xab", winner=7, by=("x",))
    assert str(error) == "the token was spent already (outpoint=ab, winner=7, by=('x',))"
    assert error.to_json() == {
        "code": "double_spend",
        "message": "the token was spent already",
        "outpoint": "ab",
        "winner": 7,
        "by": "('x',)",
    }
    assert str(DoubleSpend("spent")) == "spent"
