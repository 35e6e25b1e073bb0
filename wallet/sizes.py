"""What an offline payment weighs, hop after hop: the bytes of its PAYMENT, and the QR code that they need.

Every chain is played by real purses whose keys, nonces and times derive from one seed, so the bytes of a message are
the same everywhere; how well they pack differs a little with the version of zlib. ``python -m wallet.sizes`` writes
the table into docs/offline.md.
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any, Final

from cbdc.errors import InvariantViolation, Malformed
from cbdc.policy import Policy
from wallet.carriers import frames, qr
from wallet.protocol import pack, to_text
from wallet.scenarios import runner, schema

HOPS: Final = Policy().offline_hops
"""As far as money travels without a sync."""

DOCUMENT: Final = Path(__file__).parents[1] / "docs" / "offline.md"
BEGIN: Final = "<!-- sizes: begin; written by python -m wallet.sizes -->"
END: Final = "<!-- sizes: end -->"

_LOADED: Final = "1 500"
_MARK: Final = {
    "name": "books",
    "sponsor": "akimat",
    "title": {"en": "School books"},
    "expires": "2026-12-31T23:59:59+05:00",
    "allow": {"all": [{"payee_mcc": ["5942"]}, {"per_payment": "1 200"}]},
}
_MERCHANT: Final = {"kind": "merchant", "mcc": "5942", "kato": "750000000"}


@dataclass(frozen=True, slots=True)
class Chain:
    """One way to pay, hop after hop, with change at each.

    ``tokens`` are the first payer's, True for a marked one; with ``merges`` every later payer adds a marked token of
    its own to what it was paid. ``amounts`` (tenge) are what the first hop pays and by how much less the next one.
    Where anything is marked all are merchants, whose certificates say more; the mark ends with the first payee.
    """

    title: str
    tokens: tuple[bool, ...]
    amounts: tuple[int, int]
    merges: bool = False


CHAINS: Final[dict[str, Chain]] = {
    "one_input": Chain("one input", (False,), (1_400, 100)),
    "two_inputs": Chain("two inputs at first", (False, False), (2_000, 100)),
    "one_marked_input": Chain("one marked input at first", (True,), (1_190, 10)),
    "two_marked_inputs": Chain("a marked and a free input at first", (True, False), (1_900, 100)),
    "merging": Chain("a marked and a free input at every hop", (True, False), (1_900, 50), True),
}
"""The ways that are measured, by the name that their figures begin with. At the last one's third hop nothing is left
out: two inputs, each payer's own token and change of both, ancestry of two hops."""

OLD_KEYS: Final = "two_inputs"
"""The chain whose first and third hop the figures ``hop1_...`` and ``hop3_...`` show."""


@dataclass(frozen=True, slots=True)
class Size:
    """A PAYMENT's size: bytes of the message and of its zlib stream, letters of its text, QR version at level L.

    Above version 40 ``codes`` numbered frames carry it.
    """

    message_bytes: int
    packed_bytes: int
    characters: int
    qr_version: int
    codes: int

    @classmethod
    def of(cls, message: bytes) -> Size:
        """Measure a PAYMENT."""
        text = to_text(message)
        texts = frames.split_text(text, qr.CAPACITY_CHARS[qr.MAX_VERSION])
        version = next(v for v, room in enumerate(qr.CAPACITY_CHARS) if room >= max(map(len, texts)))
        return cls(len(message), len(pack(message)), len(text), version, len(texts))


Sizes = dict[str, tuple[Size, ...]]
"""By chain, one for each hop, the first one first."""


# --- measuring ---------------------------------------------------------------------------------


def measure(directory: Path, hops: int = HOPS) -> Sizes:
    """Play every chain in a directory of its own under an empty ``directory``."""
    return {name: tuple(map(Size.of, payments(chain, directory / name, hops))) for name, chain in CHAINS.items()}


def payments(chain: Chain, directory: Path, hops: int = HOPS) -> list[bytes]:
    """The PAYMENT of each hop of a chain.

    Raises:
        InvariantViolation: an honest chain was refused.
    """
    names = [f"wallet-{number}" for number in range(hops + 1)]
    marked = any(chain.tokens)
    tables: dict[str, Any] = {
        "title": chain.title,
        "bank": [{"name": "altyn"}],
        "wallet": [{"name": name, "bank": "altyn"} | (_MERCHANT if marked else {}) for name in names],
        "step": [*_loads(chain, names), {"do": "offline", "wallets": names}, *_hops(chain, names)],
    }
    if marked:
        tables["wallet"].append({"name": "akimat", "bank": "altyn", "kind": "sponsor"})
        tables["purpose"] = [_MARK]
    bundles: list[bytes] = []
    report = runner.play(schema.parse(tables), directory, on_payment=bundles.append)
    if not report.ok or len(bundles) != hops:
        raise InvariantViolation("a chain of payments broke", chain=chain.title, found=len(bundles), wanted=hops)
    return bundles


def _loads(chain: Chain, names: list[str]) -> list[dict[str, Any]]:
    steps: list[dict[str, Any]] = [{"do": "issue", "to": "altyn", "amount": "100 000"}]
    owners = [(names[0], is_marked) for is_marked in chain.tokens]
    owners += [(name, True) for name in names[1:] if chain.merges]
    for owner, is_marked in owners:
        giver: dict[str, Any] = {"do": "fund", "from": "altyn"}
        purpose = {}
        if is_marked:
            steps.append({"do": "fund", "from": "altyn", "to": "akimat", "amount": _LOADED})
            giver, purpose = {"do": "grant", "from": "akimat"}, {"purpose": _MARK["name"]}
        steps.append(giver | {"to": owner, "amount": _LOADED} | purpose)
        steps.append({"do": "load", "wallet": owner, "amount": _LOADED} | purpose)
    return steps


def _hops(chain: Chain, names: list[str]) -> list[dict[str, Any]]:
    first, less = chain.amounts
    pairs = enumerate(pairwise(names))
    return [{"do": "pay", "from": a, "to": b, "amount": str(first - less * number)} for number, (a, b) in pairs]


# --- showing -----------------------------------------------------------------------------------


def figures(sizes: Mapping[str, tuple[Size, ...]]) -> dict[str, int]:
    """All sizes under flat names, as `tenge bench --json` prints them: ``two_inputs_hop3_characters``."""
    found: dict[str, int] = {}
    for number in (1, 3):
        size = sizes[OLD_KEYS][number - 1]
        found |= {f"hop{number}_bytes": size.characters, f"hop{number}_qr_version": size.qr_version}
    for chain, hops in sizes.items():
        for number, size in enumerate(hops, 1):
            found |= {f"{chain}_hop{number}_{what}": getattr(size, what) for what in Size.__match_args__}
    return found


HEADINGS: Final = ("payment", "hop", "message bytes", "more than the last", "packed bytes", "characters", "QR")


def rows(sizes: Mapping[str, tuple[Size, ...]]) -> Iterator[tuple[str, ...]]:
    """The table, a row for each hop of each chain, under `HEADINGS`."""
    for chain, hops in sizes.items():
        before = 0
        for number, size in enumerate(hops, 1):
            more = f"+{size.message_bytes - before:,}" if before else ""
            code = f"{size.qr_version}-L" if size.codes == 1 else f"{size.codes} of {size.qr_version}-L"
            bulk = (f"{size.packed_bytes:,}", f"{size.characters:,}", code)
            yield (CHAINS[chain].title, str(number), f"{size.message_bytes:,}", more, *bulk)
            before = size.message_bytes


def in_figures(found: Mapping[str, float]) -> Sizes:
    """The sizes again out of flat `figures`, which may hold others too."""
    sizes: Sizes = {}
    for chain in CHAINS:
        hops: list[Size] = []
        while f"{chain}_hop{len(hops) + 1}_codes" in found:
            name = f"{chain}_hop{len(hops) + 1}"
            hops.append(Size(*(int(found[f"{name}_{what}"]) for what in Size.__match_args__)))
        sizes[chain] = tuple(hops)
    return sizes


def written(text: str, sizes: Mapping[str, tuple[Size, ...]]) -> str:
    """The document with the table between its two markers.

    Raises:
        Malformed: the markers are not there.
    """
    head, begin, rest = text.partition(BEGIN)
    _, end, tail = rest.partition(END)
    if not begin or not end:
        raise Malformed("the document has no place for the sizes", wanted=f"{BEGIN} and {END}")
    lines = [HEADINGS, ("---", *["---:"] * (len(HEADINGS) - 1)), *rows(sizes)]
    table = "\n".join(f"| {' | '.join(line)} |" for line in lines)
    return f"{head}{BEGIN}\n\n{table}\n\n{END}{tail}"


def main(document: Path = DOCUMENT) -> None:
    """Measure, and write the table into the document."""
    with tempfile.TemporaryDirectory(prefix="tenge-sizes-") as directory:
        sizes = measure(Path(directory))
    document.write_text(written(document.read_text(encoding="utf-8"), sizes), encoding="utf-8")


if __name__ == "__main__":
    main()
