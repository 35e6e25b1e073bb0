"""What falls due, by rules alone, so that nobody signs it.

Marked tokens past their purpose's expiry, marks that evidence has lifted, payments that waited and lack nothing any
more or have lapsed, and offline leaves at ``final_at``.
"""

from __future__ import annotations

from dataclasses import replace

from cbdc.errors import RoleRefused
from cbdc.formats.tokens import outpoint
from cbdc.messages.bodies import Sweep
from cbdc.messages.message import Verified
from cbdc.state.records import HolderKind, OfflineToken, Token, Waiting
from cbdc.transition import liability, memory, waiting
from cbdc.transition.draft import Draft


def sweep(draft: Draft, verified: Verified, body: Sweep, time_s: int) -> None:
    """Move each named token where the rules written down beforehand say; nothing else may be named."""
    for index, name in enumerate(body.outpoints):
        made = outpoint(verified.id, index)
        token = draft.token(name)
        if token is not None:
            _move_online(draft, name, token, made, verified.id, time_s)
            continue
        leaf = draft.offline(name)
        if leaf is None or not leaf.is_live or time_s < leaf.final_at_s:
            raise RoleRefused("nothing is due for this token", outpoint=name)
        draft.consume_offline(name, verified.id)
        _return_leaf(draft, name, leaf, made, time_s)


def _move_online(draft: Draft, name: bytes, token: Token, made: bytes, by: bytes, time_s: int) -> None:
    held = draft.waiting(token.owner)
    if held is not None and not held.lapsed:
        _end_waiting(draft, token.owner, held, by, time_s)
        return
    definition = None if token.purpose is None else draft.definition(token.purpose)
    if definition is not None and memory.is_freed(draft, definition, name, token):
        owner = token.owner  # free since the evidence: no expiry is asked, whenever the sweep comes
    elif definition is not None and time_s >= definition.expires_s:
        owner = definition.return_to
    else:
        raise RoleRefused("nothing is due for this token", outpoint=name)
    draft.consume(name, by)
    draft.create(made, Token(owner, token.amount_tiyn, None))


def _end_waiting(draft: Draft, payment_id: bytes, held: Waiting, by: bytes, time_s: int) -> None:
    """A payment of which one escrow token was named: all of it goes through, or returns."""
    if time_s >= held.until_s:
        waiting.lapse(draft, payment_id, held, by)
    elif not waiting.settle_if_complete(draft, payment_id, held, by, time_s):
        raise RoleRefused("the payment still waits", payment=payment_id)


def _return_leaf(draft: Draft, name: bytes, leaf: OfflineToken, made: bytes, time_s: int) -> None:
    """A final leaf becomes an online token of its holder's online key, less what a fork of his costs."""
    kept_tiyn = liability.settle_leaf(draft, name, leaf.owner, time_s)
    leaf = draft.offline(name) or leaf
    draft.put_offline(name, replace(leaf, returned=True))
    returned_tiyn = leaf.amount_tiyn - kept_tiyn
    if not returned_tiyn:
        return
    purse = draft.certificate_of(leaf.owner, HolderKind.PURSE)
    freed = memory.freed(draft, [name], [leaf])
    mark = (None, None) if leaf.purpose in freed else (leaf.purpose, leaf.left)
    draft.create(made, Token(purse.online_key or leaf.owner, returned_tiyn, *mark))
    draft.shift_supply(online_tiyn=returned_tiyn, pool_tiyn=-returned_tiyn)
