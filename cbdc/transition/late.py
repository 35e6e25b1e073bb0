"""Evidence after its deadline (design section 6, rule 7): which refused payments are genuine and only too late.

Such a payment moves nothing and is no part of the state; it is worth keeping, because its payer's signature proves what
he did. What is asked of it is all that is asked of a payment in time, but for the deadline and for the deny-list: that
the payer's purse is revoked says who bears a payment, not whether it was made.
"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass

from cbdc.errors import AncestryBroken, Malformed, Replayed, TengeError
from cbdc.formats.tokens import outpoint
from cbdc.messages.bodies import Reconcile
from cbdc.messages.message import Verified
from cbdc.state.records import OfflineToken
from cbdc.state.view import View
from cbdc.transition import offline
from cbdc.transition.draft import Draft


@dataclass(frozen=True, slots=True)
class LatePayment:
    """A genuine payment that was presented at ``time_s`` (ledger time, seconds), too late.

    ``raw`` are its signed bytes, ``payer`` is the purse key that signed. The outputs that it spends are ``known`` to
    the state or, as the others, ``unknown`` to it: late payments made them.
    """

    id: bytes
    raw: bytes
    payer: bytes
    time_s: int
    known: tuple[bytes, ...]
    unknown: tuple[bytes, ...]


def late_payments(view: View, verified: Verified, raw: bytes, time_s: int) -> tuple[LatePayment, ...]:
    """The late payments in a piece of evidence, ancestors first; ``view`` is the state after the ledger judged it.

    A payment may spend what another late one in the same evidence made. ``raw`` are the bytes of ``verified``.
    """
    parts, raws = (verified.parts, verified.body.raw) if type(verified.body) is Reconcile else ((verified,), (raw,))
    bytes_of = {part.id: data for part, data in zip(parts, raws, strict=True)}
    made: dict[bytes, OfflineToken] = {}
    found: list[LatePayment] = []
    for part in offline.ancestors_first(parts):
        with suppress(TengeError):  # the ledger's answer says already what is wrong with it
            late, outputs = judge_late(view, part, bytes_of[part.id], time_s, made)
            found += [late]
            made |= outputs
    return tuple(found)


def judge_late(
    view: View, message: Verified, raw: bytes, time_s: int, made: Mapping[bytes, OfflineToken]
) -> tuple[LatePayment, dict[bytes, OfflineToken]]:
    """One payment that is too late and in order otherwise, and what it would have made, by outpoint.

    ``made`` are outputs of other late payments; what the state knows goes before them.

    Raises:
        Malformed: it is not late, or what `offline.outputs_of` says. Replayed: it counts, in time. AncestryBroken: an
            input is unknown. RoleRefused, NotEnrolled: see `offline.parties_of`.
    """
    draft = Draft(view)
    body, _ = offline.offline_transfer(message)
    parties = offline.parties_of(draft, message)
    known = {name: token for name in body.inputs if (token := draft.offline(name)) is not None}
    inputs = [_input(name, known, made) for name in body.inputs]
    if any(message.id in token.spenders for token in inputs):
        raise Replayed("this payment came in time", id=message.id)
    if not any(offline.is_final(token, time_s) for token in inputs):
        raise Malformed("nothing that the payment spends is final", found=time_s)
    outputs = offline.outputs_of(draft, message, inputs, parties, time_s)
    unknown = tuple(name for name in body.inputs if name not in known)
    late = LatePayment(message.id, raw, parties.payer.key, time_s, tuple(known), unknown)
    return late, {outpoint(message.id, index): token for index, token in enumerate(outputs)}


def _input(name: bytes, known: Mapping[bytes, OfflineToken], made: Mapping[bytes, OfflineToken]) -> OfflineToken:
    token = known.get(name) or made.get(name)
    if token is None:
        raise AncestryBroken("an input is unknown: its own payment has not been shown", outpoint=name)
    return token
