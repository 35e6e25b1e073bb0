"""What a sweep may move: everything that has fallen due by rules that were written down beforehand."""

from __future__ import annotations

from collections.abc import Iterator

from cbdc.formats.tokens import outpoint
from cbdc.purposes.rules import UntilEvidence
from cbdc.state.records import Table, Waiting
from cbdc.store.sqlite import SqliteStore
from cbdc.transition import memory, waiting
from cbdc.transition.draft import Draft, parsed_definition


def due_tokens(store: SqliteStore, until_s: int, limit: int) -> list[tuple[int, bytes]]:
    """(due time in seconds, outpoint), earliest first; what has waited for evidence that is there is due at once."""
    draft, now_s = Draft(store), store.stored_ledger_time_s()
    held = {key[1]: Waiting.decode(value) for key, value in store.records(Table.WAITING)}
    found = list(_waiting(draft, held, now_s, until_s))
    found += [(due_s, name) for due_s, name in store.due(until_s, limit) if name not in held]
    for key, value in list(store.records(Table.PURPOSE)):
        definition = parsed_definition(value)
        is_over, may_be_freed = definition.expires_s <= until_s, isinstance(definition.mark, UntilEvidence)
        if not is_over and not may_be_freed:
            continue
        for name, token in store.marked(key[1]) if may_be_freed else store.marked(key[1], limit + len(held)):
            if token.owner in held:
                continue
            if memory.is_freed(draft, definition, name, token):
                found.append((now_s, name))
            elif is_over:
                found.append((definition.expires_s, name))
    return sorted(found)[:limit]


def _waiting(draft: Draft, held: dict[bytes, Waiting], now_s: int, until_s: int) -> Iterator[tuple[int, bytes]]:
    """Payments that lack nothing any more, or whose time has run out: each by one of its escrow tokens."""
    for payment_id, found in held.items():
        if found.lapsed:
            continue
        name = outpoint(payment_id, found.outputs[0][0])
        if now_s < found.until_s and waiting.is_complete(draft, payment_id, found):
            yield now_s, name
        elif found.until_s <= until_s:
            yield found.until_s, name
