"""How an error is told: amounts in tenge and moments in local time to people, plain numbers to programs."""

from __future__ import annotations

import json

import pytest
import typer

from cbdc.errors import AmountMismatch, Expired, LimitPayment, LimitSpends, TengeError, Unsettled
from tui.output import refusals


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (LimitPayment("above", found=200000, limit=1), "limit_payment: above (found=2000.00, limit=0.01)"),
        (AmountMismatch("differ", missing_tiyn=150), "amount_mismatch: differ (missing=1.50)"),
        (
            Expired("lapsed", found=1788231600, limit=5),
            "expired: lapsed (found=2026-09-01 08:00:00 +05:00, limit=5)",
        ),
        (Unsettled("waits", until=1788231600), "unsettled: waits (until=2026-09-01 08:00:00 +05:00)"),
        (LimitSpends("many", found=200000), "limit_spends: many (found=200000)"),
    ],
)
def test_people_are_told_tenge_and_local_time(error: TengeError, said: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(typer.Exit), refusals(as_json=False):
        raise error
    assert capsys.readouterr().err.strip() == said
    with pytest.raises(typer.Exit), refusals(as_json=True):
        raise error
    assert json.loads(capsys.readouterr().out)["error"] == error.to_json()
