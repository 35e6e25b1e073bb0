"""How large an offline payment is: within one code as promised, and as docs/offline.md shows it."""

from __future__ import annotations

import re
from dataclasses import replace
from itertools import pairwise
from pathlib import Path

import pytest

from cbdc.errors import InvariantViolation, Malformed
from cbdc.limits import MAX_CERTIFICATE_BYTES
from tests.support import seed
from wallet import sizes
from wallet.carriers import qr
from wallet.protocol import PaymentBundle
from wallet.sizes import CHAINS, DOCUMENT, HOPS, Size, Sizes

ONE_HOP_VERSION, THREE_HOPS_VERSION = 25, 40


@pytest.fixture(scope="module")
def measured(tmp_path_factory: pytest.TempPathFactory) -> Sizes:
    return sizes.measure(tmp_path_factory.mktemp("sizes"))


def row_of(line: str) -> tuple[str, int, int, int, int]:
    """Of a table's line: chain, hop, message bytes, characters, QR version."""
    cells = [cell.strip().replace(",", "") for cell in line.split("|")[1:-1]]
    title, hop, message_bytes, _, _, characters, code = cells
    return title, int(hop), int(message_bytes), int(characters), int(code.partition("-")[0])


def table_in(text: str) -> list[tuple[str, int, int, int, int]]:
    body = text.partition(sizes.BEGIN)[2].partition(sizes.END)[0]
    return [row_of(line) for line in body.splitlines() if re.match(r"\| (?!payment|---)", line)]


# --- the bounds --------------------------------------------------------------------------------


def test_every_one_hop_payment_fits_one_small_code(measured: Sizes) -> None:
    worst = max((hops[0] for hops in measured.values()), key=lambda size: size.characters)
    assert (worst.codes, worst.qr_version <= ONE_HOP_VERSION) == (1, True), worst


def test_a_one_hop_payment_fits_even_with_the_longest_certificate(tmp_path: Path) -> None:
    """Whatever a bank may put into a certificate: as many bytes as the limit allows, none of which packs."""
    bundle = PaymentBundle.decode(sizes.payments(CHAINS["merging"], tmp_path, hops=1)[0])
    assert (len(bundle.certificates), len(bundle.loads), len(bundle.ancestry)) == (1, 2, 0)
    noise = b"".join(seed(f"noise {number}") for number in range(MAX_CERTIFICATE_BYTES // 32))
    size = Size.of(replace(bundle, certificates=(noise,)).encode())
    assert len(noise) == MAX_CERTIFICATE_BYTES
    assert (size.codes, size.qr_version <= ONE_HOP_VERSION) == (1, True), size


def test_three_hops_fit_the_largest_code(measured: Sizes) -> None:
    worst = max((hops[2] for hops in measured.values()), key=lambda size: size.characters)
    assert (worst.codes, worst.qr_version <= THREE_HOPS_VERSION) == (1, True), worst


def test_a_hop_adds_no_more_at_the_end_than_at_the_beginning(measured: Sizes) -> None:
    """Growth is by the hop: nothing in a payment grows with all that went before it."""
    for hops in measured.values():
        bytes_at = [size.message_bytes for size in hops]
        more = [after - before for before, after in pairwise(bytes_at)]
        assert len(hops) == HOPS
        assert 0 < more[-1] <= more[0]


# --- what is shown -----------------------------------------------------------------------------


def test_the_document_shows_what_is_measured(measured: Sizes) -> None:
    """Message bytes exactly; what is packed differs a little with the version of zlib."""
    shown = table_in(DOCUMENT.read_text(encoding="utf-8"))
    wanted = table_in(sizes.written(f"{sizes.BEGIN}{sizes.END}", measured))
    assert [row[:3] for row in shown] == [row[:3] for row in wanted], "run: python -m wallet.sizes"
    for (*_, characters, version), (*_, packed, needed) in zip(shown, wanted, strict=True):
        assert characters == pytest.approx(packed, rel=0.03)
        assert abs(version - needed) <= 1


@pytest.mark.parametrize(("name", "mark"), [("README.md", ","), ("docs/spec.md", " ")])
def test_other_documents_say_what_the_table_says(name: str, mark: str) -> None:
    table = table_in(DOCUMENT.read_text(encoding="utf-8"))
    rows = {
        hop: (characters, version) for title, hop, _, characters, version in table if title == "two inputs at first"
    }
    text = (DOCUMENT.parents[1] / name).read_text(encoding="utf-8")
    for characters, version in (rows[1], rows[3]):
        assert re.search(rf"\b{f'{characters:,}'.replace(',', mark)}\b", text)
        assert f"{version}-L" in text


def test_measuring_twice_gives_the_same_bytes(tmp_path: Path) -> None:
    one, other = (sizes.payments(CHAINS["one_input"], tmp_path / name, hops=2) for name in ("one", "other"))
    assert one == other


def test_writing_replaces_what_was_between_the_markers(tmp_path: Path, measured: Sizes) -> None:
    whole = DOCUMENT.read_text(encoding="utf-8")
    document = tmp_path / "offline.md"
    document.write_text(re.sub(r"\| one input \|.*", "| old |", whole), encoding="utf-8")
    sizes.main(document)
    text = document.read_text(encoding="utf-8")
    assert text == sizes.written(whole, measured)
    assert "| old |" not in text


@pytest.mark.parametrize("text", ["", sizes.BEGIN, sizes.END])
def test_a_document_without_both_markers_is_left_alone(text: str, measured: Sizes) -> None:
    with pytest.raises(Malformed):
        sizes.written(text, measured)


def test_the_figures_hold_all_sizes_and_give_them_back(measured: Sizes) -> None:
    figures = sizes.figures(measured)
    assert sizes.in_figures(figures) == measured
    first, third = measured["two_inputs"][0], measured["two_inputs"][2]
    assert (figures["hop1_bytes"], figures["hop3_bytes"]) == (first.characters, third.characters)
    assert (figures["hop1_qr_version"], figures["hop3_qr_version"]) == (first.qr_version, third.qr_version)


def test_the_version_is_the_one_that_the_carrier_draws(tmp_path: Path) -> None:
    (message,) = sizes.payments(CHAINS["one_input"], tmp_path, hops=1)
    (code,) = qr.encode(message)
    assert (code.version, len(code.text)) == (Size.of(message).qr_version, Size.of(message).characters)


def test_what_is_too_large_for_one_code_is_counted_in_codes() -> None:
    size = Size.of(b"".join(seed(f"noise {number}") for number in range(200)))
    assert (size.codes, size.message_bytes) == (3, 6400)


def test_a_chain_that_is_refused_is_no_measurement(tmp_path: Path) -> None:
    with pytest.raises(InvariantViolation):
        sizes.payments(replace(CHAINS["one_input"], amounts=(9_000, 0)), tmp_path)
