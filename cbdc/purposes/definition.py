"""A purpose: the definition that a sponsor signs, whose hash is the mark that tokens carry."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum

from cbdc.errors import Expired, Malformed, PurposeRefused
from cbdc.formats import cbor
from cbdc.formats.ed25519 import PUBLIC_KEY_BYTES
from cbdc.limits import MAX_NAME_CHARS, MAX_TITLE_CHARS
from cbdc.purposes.conditions import Condition, Payment, from_cbor
from cbdc.purposes.words import LANGUAGES, Phrase, say


class MarkRule(Enum):
    """What becomes of the mark when a marked token is paid to an allowed payee."""

    CLEARS = "clears"


@dataclass(frozen=True, slots=True)
class Definition:
    """Name, titles (en, kk, ru), the sponsor's and the return key, conditions, mark rule, expiry (ledger time)."""

    name: str
    titles: tuple[str, str, str]
    sponsor: bytes
    return_to: bytes
    condition: Condition
    mark: MarkRule
    expires_s: int

    def to_cbor(self) -> cbor.Value:
        rule = [self.condition.to_cbor(), self.mark.value, self.expires_s]
        return [self.name, list(self.titles), self.sponsor, self.return_to, *rule]

    @classmethod
    def from_cbor(cls, value: cbor.Value) -> Definition:
        """Read a definition.

        Raises:
            FormError: not a definition in its canonical form.
        """
        name, titles, sponsor, return_to, condition, mark, expires = cbor.array(value, "definition", 7)
        en, kk, ru = (cbor.text_up_to(t, "title", MAX_TITLE_CHARS) for t in cbor.array(titles, "titles", 3))
        try:
            rule = MarkRule(mark)
        except ValueError:
            raise Malformed("unknown rule for the mark", found=str(mark)[:40]) from None
        return cls(
            cbor.text_up_to(name, "name", MAX_NAME_CHARS),
            (en, kk, ru),
            cbor.byte_string(sponsor, "sponsor key", PUBLIC_KEY_BYTES),
            cbor.byte_string(return_to, "return key", PUBLIC_KEY_BYTES),
            from_cbor(condition),
            rule,
            cbor.time_s(expires, "expires"),
        )

    def check(self, payment: Payment) -> None:
        """Allow the payment or say which condition refuses it.

        Raises:
            PurposeRefused: with the condition, what it found and what it wanted (as phrases: see `explain_refusal`).
        """
        refusal = self.condition.refuses(payment)
        if refusal is not None:
            facts = {"condition": refusal.condition, "found": refusal.found, "wanted": refusal.wanted}
            raise PurposeRefused(f"{self.titles[0]}: not allowed here", purpose=self.name, **facts)

    def title(self, language: str) -> str:
        """The title in one of `LANGUAGES`."""
        return self.titles[LANGUAGES.index(language)]

    def explain(self, language: str) -> str:
        """What the conditions ask for, in one of `LANGUAGES`."""
        return say(self.condition.wants(), language)

    def explain_refusal(self, payment: Payment, language: str) -> str | None:
        """Which condition refuses the payment and why, in one of `LANGUAGES`; None if all allow it."""
        refusal = self.condition.refuses(payment)
        if refusal is None:
            return None
        return say(Phrase("refused", (self.title(language), refusal.found, refusal.wanted)), language)

    def check_open(self, time_s: int) -> None:
        """Marked tokens move only before the purpose's expiry.

        Raises:
            Expired: at or after it.
        """
        if time_s >= self.expires_s:
            raise Expired("the purpose has expired", purpose=self.name, found=time_s, limit=self.expires_s)

    def mark_after(self, mark: bytes) -> bytes | None:
        """The mark on the payee's token after an allowed payment with tokens marked ``mark``."""
        return None if self.mark is MarkRule.CLEARS else mark
