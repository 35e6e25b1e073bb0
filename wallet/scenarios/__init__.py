"""Scenarios: small economies played on a real ledger with real keys."""
