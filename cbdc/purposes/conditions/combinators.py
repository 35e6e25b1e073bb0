"""All of, any of, not."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cbdc.formats import cbor
from cbdc.purposes.conditions.base import Condition, Payment, Refusal
from cbdc.purposes.words import Phrase


@dataclass(frozen=True, slots=True)
class All:
    """Every condition must allow; refuses with the first reason that no waiting mends, and is as decided as any."""

    conditions: tuple[Condition, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        refusals = [refusal for condition in self.conditions if (refusal := condition.refuses(payment))]
        if not refusals:
            return None
        first = next((refusal for refusal in refusals if not refusal.pending), refusals[0])
        return replace(first, decided=any(refusal.decided for refusal in refusals))

    def wants(self) -> Phrase:
        return Phrase("all", tuple(condition.wants() for condition in self.conditions))

    def to_cbor(self) -> cbor.Value:
        return ["all", _listed(self.conditions)]


@dataclass(frozen=True, slots=True)
class Any:
    """At least one condition must allow; refuses with all the reasons, and waits if one of them may still come."""

    conditions: tuple[Condition, ...]

    def refuses(self, payment: Payment) -> Refusal | None:
        refusals = []
        for condition in self.conditions:
            refusal = condition.refuses(payment)
            if refusal is None:
                return None
            refusals.append(refusal)
        found = Phrase("both", tuple(refusal.found for refusal in refusals))
        decided, pending = all(r.decided for r in refusals), any(r.pending for r in refusals)
        return Refusal("any", found, self.wants(), decided, pending)

    def wants(self) -> Phrase:
        return Phrase("any", tuple(condition.wants() for condition in self.conditions))

    def to_cbor(self) -> cbor.Value:
        return ["any", _listed(self.conditions)]


@dataclass(frozen=True, slots=True)
class Not:
    """The condition must refuse, and know what it refuses."""

    condition: Condition

    def refuses(self, payment: Payment) -> Refusal | None:
        refusal = self.condition.refuses(payment)
        if refusal is None:
            return Refusal("not", self.condition.wants(), self.wants())
        return None if refusal.decided else Refusal("not", refusal.found, self.wants(), decided=False)

    def wants(self) -> Phrase:
        return Phrase("not", (self.condition.wants(),))

    def to_cbor(self) -> cbor.Value:
        return ["not", self.condition.to_cbor()]


def _listed(conditions: tuple[Condition, ...]) -> list[cbor.Value]:
    """Their canonical forms, sorted and distinct."""
    forms = {cbor.encode(form): form for form in [condition.to_cbor() for condition in conditions]}
    return [forms[spelled] for spelled in sorted(forms)]
