"""What falls due: marked tokens past their purpose's expiry, and offline leaves at ``final_at``."""

from __future__ import annotations

from dataclasses import replace

from cbdc.errors import RoleRefused
from cbdc.formats.tokens import outpoint
from cbdc.messages.bodies import Sweep
from cbdc.messages.message import Verified
from cbdc.state.records import HolderKind, OfflineToken, Token
from cbdc.transition import liability
from cbdc.transition.draft import Draft


def sweep(draft: Draft, verified: Verified, body: Sweep, time_s: int) -> None:
    """Move each named token where the rules written down beforehand say; nothing else may be named."""
    for index, name in enumerate(body.outpoints):
        made = outpoint(verified.id, index)
        token = draft.token(name)
        if token is not None:
            draft.consume(name, verified.id)
            draft.create(made, _returned_to_sponsor(draft, token, time_s))
            continue
        leaf = draft.offline(name)
        if leaf is None or not leaf.is_live or time_s < leaf.final_at_s:
            raise RoleRefused("nothing is due for this token", outpoint=name)
        draft.consume_offline(name, verified.id)
        _return_leaf(draft, name, leaf, made, time_s)


def _returned_to_sponsor(draft: Draft, token: Token, time_s: int) -> Token:
    """Expired marked tenge goes back free to where its definition says."""
    definition = None if token.purpose is None else draft.definition(token.purpose)
    if definition is None or time_s < definition.expires_s:
        raise RoleRefused("nothing is due for this token")
    return Token(definition.return_to, token.amount_tiyn, None)


def _return_leaf(draft: Draft, name: bytes, leaf: OfflineToken, made: bytes, time_s: int) -> None:
    """A final leaf becomes an online token of its holder's online key, less what a fork of his costs."""
    kept_tiyn = liability.settle_leaf(draft, name, leaf.owner, time_s)
    leaf = draft.offline(name) or leaf
    draft.put_offline(name, replace(leaf, returned=True))
    returned_tiyn = leaf.amount_tiyn - kept_tiyn
    if not returned_tiyn:
        return
    purse = draft.certificate_of(leaf.owner, HolderKind.PURSE)
    draft.create(made, Token(purse.online_key or leaf.owner, returned_tiyn, leaf.purpose))
    draft.shift_supply(online_tiyn=returned_tiyn, pool_tiyn=-returned_tiyn)
