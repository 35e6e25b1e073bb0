"""``apply(view, entry) -> delta``: the one transition function, pure.

No clock, no I/O, no randomness: time is the ledger time in the entry. A refused entry raises a typed error and
changes nothing, because all changes are in the delta that is then not returned.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

from cbdc.errors import Malformed, NotEnrolled
from cbdc.formats.kinds import Kind
from cbdc.messages import bodies
from cbdc.messages.message import Verified
from cbdc.purposes.definition import Definition
from cbdc.state.view import Delta, View
from cbdc.transition import money, network, offline, programmes, refund, sweep, waiting
from cbdc.transition.draft import Draft


@dataclass(frozen=True, slots=True)
class Entry:
    """A verified message and the ledger time (seconds) at which the operator ordered it."""

    time_s: int
    verified: Verified


def apply(view: View, entry: Entry) -> Delta:
    """What the entry changes, or a typed error and no change.

    Raises:
        TengeError: the guard that refused, in the order of the scenario format.
    """
    if entry.time_s < view.ledger_time_s:
        raise Malformed("ledger time runs backwards", found=entry.time_s, last=view.ledger_time_s)
    draft = Draft(view)
    message = entry.verified
    if message.kind is not Kind.GENESIS and not draft.has_network():
        raise NotEnrolled("the ledger has no genesis yet")
    if type(message.body) is bodies.Reconcile or (type(message.body) is bodies.Transfer and message.body.terms):
        refused, known = offline.reconcile(draft, message, entry.time_s)
        return replace(draft.finish(), refused=refused, known=known)
    _HANDLERS[type(message.body)](draft, message, message.body, entry.time_s)
    return draft.finish()


_HANDLERS: Final[dict[type, Callable[[Draft, Verified, Any, int], None]]] = {
    bodies.Genesis: network.genesis,
    bodies.Admit: network.admit,
    bodies.Dismiss: network.dismiss,
    bodies.SetPolicy: network.set_policy,
    bodies.Enrol: network.enrol,
    bodies.Revoke: network.revoke,
    bodies.Issue: money.issue,
    bodies.Redeem: money.redeem,
    bodies.Reserve: money.reserve,
    bodies.Repay: money.repay,
    bodies.Transfer: money.transfer,
    Definition: programmes.define_purpose,
    bodies.Grant: programmes.grant,
    bodies.Load: offline.load,
    bodies.Unload: offline.unload,
    bodies.Sweep: sweep.sweep,
    bodies.Approve: waiting.approve,
    bodies.Attest: waiting.attest,
    bodies.Allow: programmes.allow,
    bodies.Refund: refund.refund,
    bodies.Recall: programmes.recall,
}
