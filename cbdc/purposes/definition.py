"""A purpose: the definition that a sponsor signs, whose hash is the mark that tokens carry."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cbdc.amounts import format_tenge
from cbdc.errors import Expired, PurposeRefused
from cbdc.formats import cbor
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
from cbdc.limits import MAX_NAME_CHARS, MAX_TITLE_CHARS
from cbdc.purposes.conditions import Condition, Payment, PerPeriod, Refusal, every, from_cbor
from cbdc.purposes.rules import MarkRule, Split, rule_from_cbor
from cbdc.purposes.words import LANGUAGES, Phrase, say


@dataclass(frozen=True, slots=True)
class Definition:
    """Name, titles (en, kk, ru), the sponsor's and the return key, conditions, mark rule, expiry (ledger time).

    With ``split`` every transfer divides by that rule; the part that it names is free money and asks no condition.
    """

    name: str
    titles: tuple[str, str, str]
    sponsor: bytes
    return_to: bytes
    condition: Condition
    mark: MarkRule
    expires_s: int
    split: Split | None = None

    def to_cbor(self) -> cbor.Value:
        rules = [self.condition.to_cbor(), self.mark.to_cbor(), self.expires_s]
        split = self.split.to_cbor() if self.split else None
        return [self.name, list(self.titles), self.sponsor, self.return_to, *rules, split]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Definition:
        """Read a definition.

        Raises:
            FormError: not a definition in its canonical form.
        """
        name, titles, sponsor, return_to, condition, mark, expires, split = cbor.array(value, "definition", 8)
        en, kk, ru = (cbor.text_up_to(t, "title", MAX_TITLE_CHARS) for t in cbor.array(titles, "titles", 3))
        return cls(
            cbor.text_up_to(name, "name", MAX_NAME_CHARS),
            (en, kk, ru),
            cbor.byte_string(sponsor, "sponsor key", PUBLIC_KEY_BYTES),
            cbor.byte_string(return_to, "return key", PUBLIC_KEY_BYTES),
            from_cbor(condition),
            rule_from_cbor(mark),
            cbor.time_s(expires, "expires"),
            None if split is None else Split.from_cbor(split),
        )

    # --- judging -------------------------------------------------------------------------------

    def refusals(self, payments: Sequence[Payment]) -> tuple[Refusal, ...]:
        """Why one transfer that makes these payments of the purpose is not allowed; () if it is."""
        by_rule = self._split_refusal(payments)
        asked = [payment for payment in payments if not self.is_split_part(payment.payee)]
        found = [self.condition.refuses(payment) for payment in asked]
        return tuple(refusal for refusal in (by_rule, *found) if refusal is not None)

    def is_split_part(self, payee: str) -> bool:
        """Whether what this account gets is its part by the rule."""
        return self.split is not None and payee == self.split.to

    def _split_refusal(self, payments: Sequence[Payment]) -> Refusal | None:
        split = self.split
        if split is None:
            return None
        if any(payment.memory is None for payment in payments):  # between two purses nobody else can be paid
            return Refusal("split", Phrase("needs_ledger"), split.wants(), decided=False)
        paid_tiyn = sum(payment.amount_tiyn for payment in payments if payment.payee == split.to)
        due_tiyn = split.share_tiyn(sum(payment.amount_tiyn for payment in payments))
        if paid_tiyn == due_tiyn:
            return None
        found, wanted = (Phrase("split_paid", (format_tenge(tiyn), split.to)) for tiyn in (paid_tiyn, due_tiyn))
        return Refusal("split", found, wanted)

    def check(self, payments: Sequence[Payment]) -> tuple[Refusal, ...]:
        """Allow the payments of one transfer, or say which condition refuses; what it may still wait for is returned.

        Raises:
            PurposeRefused: with the condition, what it found and what it wanted (as phrases: see `explain_refusal`).
        """
        refusals = self.refusals(payments)
        for refusal in refusals:
            if not refusal.pending:
                raise self.refused(refusal)
        return refusals

    def refused(self, refusal: Refusal) -> PurposeRefused:
        """The error that says so."""
        facts = {"condition": refusal.condition, "found": refusal.found, "wanted": refusal.wanted}
        return PurposeRefused(f"{self.titles[0]}: not allowed here", purpose=self.name, **facts)

    def check_open(self, time_s: int) -> None:
        """Marked tokens move only before the purpose's expiry.

        Raises:
            Expired: at or after it.
        """
        if time_s >= self.expires_s:
            raise Expired("the purpose has expired", purpose=self.name, found=time_s, limit=self.expires_s)

    @property
    def period_days(self) -> int:
        """How long the ledger remembers what was paid, for the longest limit per period; 0 if there is none."""
        return max((node.days for node in every(self.condition) if isinstance(node, PerPeriod)), default=0)

    # --- in words ------------------------------------------------------------------------------

    def title(self, language: str) -> str:
        """The title in one of `LANGUAGES`."""
        return self.titles[LANGUAGES.index(language)]

    def explain(self, language: str) -> str:
        """What the conditions ask for, in one of `LANGUAGES`."""
        wants = self.condition.wants()
        return say(Phrase("all", (wants, self.split.wants())) if self.split else wants, language)

    def explain_mark(self, language: str) -> str:
        """What becomes of the mark, in one of `LANGUAGES`."""
        return say(self.mark.wants(), language)

    def explain_refusal(self, refusal: Refusal, language: str) -> str:
        """Which condition refuses a payment and why, in one of `LANGUAGES`."""
        return say(Phrase("refused", (self.title(language), refusal.found, refusal.wanted)), language)
