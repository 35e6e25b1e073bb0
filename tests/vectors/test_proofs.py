"""The committed range proofs are what the code produces, and the code reads them as they say."""

from __future__ import annotations

import json
from typing import Any

import pytest

from cbdc.privacy import range_proofs
from cbdc.privacy.group import decode_scalar
from cbdc.privacy.pedersen import Commitment, total
from cbdc.privacy.transcript import Context
from tests.vectors.proofs import range_proof_vectors
from tests.vectors.regenerate import FOLDER, as_text

TEXT = (FOLDER / "range-proof.json").read_text()
COMMITTED: dict[str, Any] = json.loads(TEXT)


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def test_the_committed_proofs_are_what_the_code_produces() -> None:
    assert as_text(range_proof_vectors()) == TEXT


@pytest.mark.parametrize("vector", COMMITTED["proofs"], ids=lambda vector: vector["seed"])
def test_a_committed_proof_holds(vector: dict[str, Any]) -> None:
    commitments = [Commitment.decode(raw(item)) for item in vector["commitments"]]
    openings = zip(vector["amounts_tiyn"], map(raw, vector["blindings"]), strict=True)
    assert commitments == [Commitment.to(amount, decode_scalar(item, "blinding")) for amount, item in openings]
    assert total(commitments) == Commitment.decode(raw(vector["sum"]))
    context = Context(raw(COMMITTED["network"]), raw(vector["statement"]))
    range_proofs.verify(commitments, raw(vector["proof"]), context)
