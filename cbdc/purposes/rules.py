"""What becomes of a mark when marked tokens are paid: the definition's choice, one class each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, NamedTuple, Protocol

from cbdc.errors import Malformed
from cbdc.formats import cbor
from cbdc.limits import MAX_MARK_HOPS, MAX_NAME_CHARS, MAX_SPLIT_PARTS
from cbdc.purposes.words import Phrase


class Mark(NamedTuple):
    """What a token bears: a purpose's id and, where the purpose counts them, how many payments it still lasts."""

    purpose: bytes
    left: int | None


class MarkRule(Protocol):
    """What becomes of the mark."""

    @property
    def first_left(self) -> int | None:
        """How many payments the mark of a granted token lasts; None if they are not counted."""

    def after(self, mark: Mark) -> Mark | None:
        """The mark on an allowed payee's token; None if it is free."""

    def back(self, left: int | None) -> int | None:
        """How many payments a mark lasts again that a refund brings back; ``left``: what the merchant's lasted."""

    def wants(self) -> Phrase:
        """The rule, to be said in any language."""

    def to_cbor(self) -> cbor.Value:
        """The canonical form."""


@dataclass(frozen=True, slots=True)
class Clears:
    """The first payee that the conditions allow gets free tokens."""

    first_left: None = None

    def after(self, mark: Mark) -> Mark | None:  # noqa: ARG002 - whatever it was
        return None

    def back(self, left: int | None) -> int | None:  # noqa: ARG002
        return None

    def wants(self) -> Phrase:
        return Phrase("clears")

    def to_cbor(self) -> cbor.Value:
        return "clears"


@dataclass(frozen=True, slots=True)
class Keeps:
    """Every payee gets marked tokens: a chain of contractors."""

    first_left: None = None

    def after(self, mark: Mark) -> Mark | None:
        return mark

    def back(self, left: int | None) -> int | None:  # noqa: ARG002
        return None

    def wants(self) -> Phrase:
        return Phrase("keeps")

    def to_cbor(self) -> cbor.Value:
        return "keeps"


@dataclass(frozen=True, slots=True)
class KeepsHops:
    """The first ``hops`` payments go to payees that the conditions allow; the last of these payees has free tokens."""

    hops: int

    @property
    def first_left(self) -> int | None:
        return self.hops

    def after(self, mark: Mark) -> Mark | None:
        left = (mark.left or 1) - 1
        return Mark(mark.purpose, left) if left else None

    def back(self, left: int | None) -> int | None:
        return min(self.hops, (left or 0) + 1)

    def wants(self) -> Phrase:
        return Phrase("keeps_hops", (str(self.hops),))

    def to_cbor(self) -> cbor.Value:
        return ["keeps_hops", self.hops]


@dataclass(frozen=True, slots=True)
class UntilEvidence:
    """The mark stays until the oracle states a fact about the payment that brought the tokens or about their owner.

    The ledger alone knows of it; between purses the mark stays.
    """

    oracle: str
    first_left: None = None

    def after(self, mark: Mark) -> Mark | None:
        return mark

    def back(self, left: int | None) -> int | None:  # noqa: ARG002
        return None

    def wants(self) -> Phrase:
        return Phrase("until_evidence", (self.oracle,))

    def to_cbor(self) -> cbor.Value:
        return ["until_evidence", self.oracle]


_PLAIN: Final[dict[str, MarkRule]] = {"clears": Clears(), "keeps": Keeps()}


def rule_from_cbor(value: cbor.Value) -> MarkRule:
    """Read a rule.

    Raises:
        FormError: none in its canonical form.
    """
    if type(value) is str and value in _PLAIN:
        return _PLAIN[value]
    if type(value) is not list:
        raise Malformed("unknown rule for the mark", found=str(value)[:40])
    name, argument = cbor.array(value, "rule for the mark", 2)
    if name == "keeps_hops":
        if argument == 0:
            raise Malformed("a mark lasts at least one payment")
        return KeepsHops(cbor.unsigned(argument, "payments", MAX_MARK_HOPS))
    if name == "until_evidence":
        return UntilEvidence(cbor.text_up_to(argument, "oracle", MAX_NAME_CHARS))
    raise Malformed("unknown rule for the mark", found=str(name)[:40])


@dataclass(frozen=True, slots=True)
class Split:
    """``parts`` of ``of`` parts of what one transfer pays of a purpose go to one account, such as a tax office's."""

    to: str
    parts: int
    of: int

    def share_tiyn(self, total_tiyn: int) -> int:
        """What of a total goes there, rounded to the nearest tiyn, half up."""
        return (2 * total_tiyn * self.parts + self.of) // (2 * self.of)

    def wants(self) -> Phrase:
        return Phrase("split", (str(self.parts), str(self.of), self.to))

    def to_cbor(self) -> cbor.Value:
        return [self.to, self.parts, self.of]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Split:
        to, parts, of = cbor.array(value, "split", 3)
        account = cbor.text_up_to(to, "split", 2 * MAX_NAME_CHARS + 1)
        found = cls(account, cbor.unsigned(parts, "parts", MAX_SPLIT_PARTS), cbor.unsigned(of, "of", MAX_SPLIT_PARTS))
        if not 0 < found.parts < found.of:
            raise Malformed("a split is a part of the whole, and not all of it", found=found.parts, limit=found.of)
        return found
