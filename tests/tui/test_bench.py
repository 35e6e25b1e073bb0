"""`tenge bench`: every figure is there; how good they are is no test's business."""

from __future__ import annotations

from tests.tui.conftest import Run

PROMISED = {
    "raw": {"verify_per_s_one_thread", "verify_per_s_all_cores"},
    "ledger": {"transfers_per_s", "ratio", "p50_ms", "p99_ms", "two_in_two_out_per_s"},
    "reconcile": {"hops_per_s", "ratio"},
    "grant": {"per_s", "ratio", "by_list_per_s", "by_list_ratio"},
    "payload": {"hop1_bytes", "hop3_bytes", "hop1_qr_version", "hop3_qr_version"},
}


def test_the_bench_prints_every_figure(program: Run) -> None:
    done = program("bench", "--transfers", "500", "--json")
    assert done.status == 0, done.err
    figures = done.json()
    assert set(figures) == set(PROMISED)
    for group, names in PROMISED.items():
        assert set(figures[group]) >= names
        assert all(isinstance(value, int | float) and value > 0 for value in figures[group].values())
    assert figures["ledger"]["p50_ms"] <= figures["ledger"]["p99_ms"]
    assert figures["payload"]["hop1_bytes"] < figures["payload"]["hop3_bytes"]
    assert figures["payload"]["hop1_qr_version"] <= 25
    assert figures["payload"]["hop3_qr_version"] <= 40
