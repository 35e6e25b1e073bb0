"""The governor's policy: its form and its own consistency."""

from __future__ import annotations

import pytest

from cbdc.errors import FormError, Malformed, TooLarge
from cbdc.limits import MAX_AMOUNT_TIYN
from cbdc.policy import Policy


def test_round_trip() -> None:
    policy = Policy(offline_spend_days=1, offline_final_days=2, trust_list_days=2, supervisors=1, supervisor_quorum=1)
    assert Policy.from_cbor(policy.to_cbor()) == policy


@pytest.mark.parametrize(
    ("error", "changes"),
    [
        (Malformed, {"offline_spend_days": 0}),
        (Malformed, {"offline_spend_days": 21}),
        (Malformed, {"offline_final_days": 3651}),
        (Malformed, {"trust_list_days": 0}),
        (Malformed, {"trust_list_days": 22}),
        (Malformed, {"supervisor_quorum": 0}),
        (Malformed, {"supervisor_quorum": 4}),
        (Malformed, {"supervisors": 101}),
        (Malformed, {"offline_hops": -1}),
        (Malformed, {"offline_hops": True}),
        (Malformed, {"offline_hops": 1.0}),
        (TooLarge, {"offline_holding_tiyn": MAX_AMOUNT_TIYN + 1}),
        (Malformed, {"surprise": 1}),
    ],
)
def test_malformed(error: type[FormError], changes: dict[str, object]) -> None:
    with pytest.raises(FormError) as caught:
        Policy.from_cbor(Policy().to_cbor() | changes)
    assert type(caught.value) is error


def test_every_field_is_there() -> None:
    for name in Policy().to_cbor():
        fields = dict(Policy().to_cbor())
        del fields[name]
        with pytest.raises(Malformed):
            Policy.from_cbor(fields)


@pytest.mark.parametrize("value", [None, [], 1, "policy"])
def test_a_policy_is_a_map(value: object) -> None:
    with pytest.raises(Malformed):
        Policy.from_cbor(value)
