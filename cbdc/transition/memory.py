"""What the ledger remembers for conditions: payments of late, oracles' facts, and which marks evidence has lifted."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from dataclasses import dataclass, field

from cbdc.errors import TooLarge
from cbdc.formats.hashing import HASH_BYTES
from cbdc.limits import MAX_FACTS
from cbdc.messages.bodies import Attest
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import Evidence, Memory, every
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import UntilEvidence
from cbdc.state.records import Facts, OfflineToken, Token
from cbdc.transition import guards
from cbdc.transition.draft import Draft

Spends = tuple[tuple[int, int], ...]
"""(Ledger time in seconds, tiyn), earliest first."""


@dataclass(slots=True)
class Memories:
    """What the conditions of one payment may ask the ledger; what does not depend on the payee is read once.

    ``payer`` is an account.
    """

    draft: Draft
    payer: str
    payment_id: bytes
    approvals: Collection[str] = ()
    _read: dict[bytes, tuple[frozenset[tuple[str, str]], Spends]] = field(default_factory=dict)
    _made: dict[tuple[bytes, frozenset[tuple[str, str]]], Memory] = field(default_factory=dict)

    def of(self, purpose: bytes, payee: str) -> Memory:
        """For the share that this payee (an account) gets of a purpose."""
        if purpose not in self._read:
            self._read[purpose] = (self._asked(purpose), self._spends(purpose))
        asked, spends = self._read[purpose]
        abouts: tuple[bytes | str, ...] = (self.payment_id, self.payer, payee)
        stated = {(oracle, about): self.draft.facts(oracle, about).facts for oracle, _ in asked for about in abouts}
        known = [(oracle, fact) for oracle, fact in asked if any(fact in stated[oracle, about] for about in abouts)]
        facts = frozenset(known)
        return self._made.setdefault((purpose, facts), Memory(spends, frozenset(self.approvals), facts))

    def _asked(self, purpose: bytes) -> frozenset[tuple[str, str]]:
        nodes = every(self.draft.definition(purpose).condition)
        return frozenset([(node.oracle, node.fact) for node in nodes if isinstance(node, Evidence)])

    def _spends(self, purpose: bytes) -> Spends:
        if not self.draft.definition(purpose).period_days:
            return ()
        return tuple([(time_s, tiyn) for time_s, tiyn in self.draft.spent(purpose, self.payer).spends])


def memory_of(
    draft: Draft, purpose: bytes, payer: str, payee: str, payment_id: bytes, approvals: Collection[str] = ()
) -> Memory:
    """What the share of one payee may ask the ledger; payer and payee are accounts."""
    return Memories(draft, payer, payment_id, approvals).of(purpose, payee)


def note_spent(draft: Draft, purpose: bytes, payer: str, amount_tiyn: int, time_s: int) -> None:
    """Remember a payment for as long as a limit per period asks for it."""
    days = draft.definition(purpose).period_days
    if days:
        spent = draft.spent(purpose, payer).with_one_more(time_s, amount_tiyn, time_s - days * DAY_S)
        draft.put_spent(purpose, payer, spent)


def note_returned(draft: Draft, purpose: bytes, payer: str, amount_tiyn: int, time_s: int) -> None:
    """What came back was not spent: it counts no more."""
    if draft.definition(purpose).period_days:
        draft.put_spent(purpose, payer, draft.spent(purpose, payer).without(amount_tiyn, time_s))


# --- evidence ----------------------------------------------------------------------------------


def state_fact(draft: Draft, body: Attest) -> None:
    """Write an oracle's fact down; it is stated once, since the same message counts once.

    Raises:
        TooLarge: `MAX_FACTS` about one thing.
    """
    before = draft.facts(body.oracle, body.about).facts
    if len(before) >= MAX_FACTS:
        raise TooLarge("too many facts about one thing", limit=MAX_FACTS)
    draft.put_facts(body.oracle, body.about, Facts(sorted([*before, body.fact])))


def is_freed(draft: Draft, definition: Definition, name: bytes, token: Token | OfflineToken) -> bool:
    """Whether evidence has lifted the mark of a token: about the payment that brought it, or about its owner."""
    rule = definition.mark
    if not isinstance(rule, UntilEvidence):
        return False
    abouts: list[bytes | str] = [guards.name_of(draft, token.owner)]
    if _was_paid(draft, name, token):
        abouts.append(name[:HASH_BYTES])
    return any(draft.facts(rule.oracle, about).facts for about in abouts)


def _was_paid(draft: Draft, name: bytes, token: Token | OfflineToken) -> bool:
    """Whether a payment brought the token; what it left to its payer is change, and was his before."""
    if isinstance(token, OfflineToken):
        return token.paid is not None
    return token.purpose is not None and draft.paid(name[:HASH_BYTES], token.purpose, token.owner) is not None


def freed(draft: Draft, names: Iterable[bytes], tokens: Iterable[Token | OfflineToken]) -> frozenset[bytes]:
    """The purposes all of whose value in these tokens is free money by evidence."""
    marked = [(name, token) for name, token in zip(names, tokens, strict=True) if token.purpose is not None]
    found: set[bytes] = set()
    bound: set[bytes] = set()
    for name, token in marked:
        purpose = token.purpose or b""
        is_free = is_freed(draft, draft.definition(purpose), name, token)
        (found if is_free else bound).add(purpose)
    return frozenset(found - bound)
