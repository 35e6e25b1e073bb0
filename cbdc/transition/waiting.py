"""Payments that wait: for approvals, or for an oracle's evidence.

Such a payment is in the log as it was signed. Its value stands in *escrow tokens*, which belong to the payment's own
id: no key, so nobody can sign for them. When nothing is lacking any more it goes to the payees; when its time has run
out it returns to the payer, with the marks that it had. Neither is anybody's word: it follows from what is recorded.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any, Final

from cbdc.errors import (
    CertificateExpired,
    CertificateRevoked,
    Expired,
    Malformed,
    NotOwner,
    PurposeMismatch,
    PurposeRefused,
    Replayed,
    RoleRefused,
)
from cbdc.formats.lines import lines_from_cbor, lines_to_cbor
from cbdc.formats.tokens import outpoint
from cbdc.formats.x509 import Role
from cbdc.limits import MAX_OUTPUTS, MAX_WAITING_DAYS
from cbdc.messages.bodies import Approve, Attest, Transfer
from cbdc.messages.message import Verified
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import Approval, Payment, Refusal, every
from cbdc.purposes.marks import Outcome, payment_facts
from cbdc.purposes.marks import Paid as Share
from cbdc.purposes.rules import Mark
from cbdc.state.records import Paid, Token, Waiting
from cbdc.transition import guards, memory
from cbdc.transition.draft import Draft

SETTLED_FROM: Final = MAX_OUTPUTS
"""The tokens of a payment that waited are named as its outputs, with indexes behind those that a message has."""

RETURNED_FROM: Final = 2 * MAX_OUTPUTS
"""So are those that return to the payer of a lapsed one."""


def hold(draft: Draft, verified: Verified, body: Transfer, outcome: Outcome, payer: str, time_s: int) -> None:
    """Put a payment's value in escrow; what goes back to the payer is there at once.

    Raises:
        PurposeMismatch: several owners pay. Malformed: it would wait longer than `MAX_WAITING_DAYS`. Replayed: its id
            is enrolled as a key, whose holder the escrow would belong to.
    """
    if draft.holder(verified.id) is not None:
        raise Replayed("the payment's id is somebody's key", id=verified.id)
    if len(verified.signers) > 1:
        raise PurposeMismatch("a payment that waits is one owner's", found=len(verified.signers), wanted=1)
    if body.valid_until_s > time_s + MAX_WAITING_DAYS * DAY_S:
        raise Malformed("a payment waits not so long", found=body.valid_until_s, limit_days=MAX_WAITING_DAYS)
    signer = next(iter(verified.signers))
    drawn = {share.mark.purpose: share.mark for share in outcome.paid}
    held: list[list[Any]] = []
    for index, (output, mark) in enumerate(zip(body.outputs, outcome.marks, strict=True)):
        if output.owner == signer:
            draft.create(outpoint(verified.id, index), guards.token_of(output, mark))
            continue
        before = drawn.get(output.purpose) if output.purpose is not None else None
        draft.create(outpoint(verified.id, index), Token(verified.id, output.amount_tiyn, *(before or (None, None))))
        after = [mark is not None, mark.left if mark else None]
        left = before.left if before else None
        held.append([index, output.owner, output.amount_tiyn, before.purpose if before else None, left, *after])
    ends_s = [draft.definition(purpose).expires_s for purpose in drawn]
    until_s = min([body.valid_until_s, *ends_s])
    waiting = Waiting(payer, signer, time_s, until_s, [], lines_to_cbor(body.lines), held, lapsed=False)
    draft.put_waiting(verified.id, waiting)


# --- what it waits for -------------------------------------------------------------------------


def is_escrow(draft: Draft, token: Token) -> bool:
    """Whether a token stands for a payment that waits: what has lapsed or gone through holds nothing any more."""
    held = draft.waiting(token.owner)
    return held is not None and not held.lapsed


def lacks(draft: Draft, payment_id: bytes, waiting: Waiting, time_s: int) -> tuple[Refusal, ...]:
    """What a payment still waits for; () if nothing.

    Raises:
        PurposeRefused: a condition refuses it by now for good, such as a payee who is no longer what he was.
        CertificateRevoked: the payer's certificate is, or a payee's, or his bank is dismissed.
        CertificateExpired: a payee's certificate has run out; a renewal mends that.
    """
    guards.enrolled(draft, waiting.signer)
    for owner in dict.fromkeys(owner for _, owner, *_ in waiting.outputs):
        expires_s = guards.enrolled(draft, owner).expires_s
        if time_s >= expires_s:
            raise CertificateExpired("the payee's certificate has expired", key=owner, expired_s=expires_s)
    found: list[Refusal] = []
    for purpose, shares in _shares(waiting).items():
        payments = [_facts(draft, payment_id, waiting, purpose, owner, tiyn) for owner, tiyn in shares.items()]
        found.extend(draft.definition(purpose).check(payments))
    return tuple(found)


def _shares(waiting: Waiting) -> dict[bytes, dict[bytes, int]]:
    """Purpose -> payee's key -> tiyn."""
    shares: dict[bytes, dict[bytes, int]] = {}
    for _, owner, amount_tiyn, purpose, *_ in waiting.outputs:
        if purpose is not None:
            of_purpose = shares.setdefault(purpose, {})
            of_purpose[owner] = of_purpose.get(owner, 0) + amount_tiyn
    return shares


def _facts(draft: Draft, payment_id: bytes, waiting: Waiting, purpose: bytes, owner: bytes, tiyn: int) -> Payment:
    """As the payment was made, by what is known now: the ledger remembers all of its shares as spent already."""
    account, certificate = guards.vouched_for(draft, owner)
    known = memory.memory_of(draft, purpose, waiting.payer, account, payment_id, waiting.approvals)
    return payment_facts(
        waiting.payer,
        account,
        certificate,
        tiyn,
        waiting.entered_s,
        lines=lines_from_cbor(waiting.lines),
        others_tiyn=-tiyn,
        memory=known,
    )


# --- approvals and evidence --------------------------------------------------------------------


def approve(draft: Draft, verified: Verified, body: Approve, time_s: int) -> None:
    """One of those whom the purposes name approves; the payment goes through if nothing is lacking any more.

    Nobody approves twice: payment and approver are all that the message says, and the same message counts once.
    """
    signer = guards.only_signer(verified.signers)
    expires_s = guards.enrolled(draft, signer).expires_s
    if time_s >= expires_s:
        raise CertificateExpired("the approver's certificate has expired", key=signer, expired_s=expires_s)
    account, _ = guards.vouched_for(draft, signer)
    if account != body.by:
        raise RoleRefused("an approval names its signer's account", found=body.by)
    guards.not_done(draft, verified.id)
    waiting = _open(draft, body.payment, time_s)
    if body.by not in approvers(draft, waiting):
        raise RoleRefused("no purpose of this payment asks for this approval", by=body.by)
    draft.once(verified.id)
    approved = replace(waiting, approvals=sorted([*waiting.approvals, body.by]))
    draft.put_waiting(body.payment, approved)
    settle_if_complete(draft, body.payment, approved, verified.id, time_s)


def approvers(draft: Draft, waiting: Waiting) -> set[str]:
    """Everybody whose approval a payment's purposes ask for."""
    conditions = [draft.definition(purpose).condition for purpose in _shares(waiting)]
    nodes = [node for condition in conditions for node in every(condition)]
    return {name for node in nodes if isinstance(node, Approval) for name in node.of}


def attest(draft: Draft, verified: Verified, body: Attest, time_s: int) -> None:
    """An oracle states a fact; a payment that it is about goes through if nothing is lacking any more.

    What a fact about an account lets through or frees is swept, as everything that falls due.
    """
    oracle = guards.active_institution(draft, guards.only_signer(verified.signers), Role.ORACLE, time_s)
    if oracle.name != body.oracle:
        raise RoleRefused("an oracle speaks in its own name", found=body.oracle, wanted=oracle.name)
    guards.not_done(draft, verified.id)
    memory.state_fact(draft, body)
    draft.once(verified.id)
    waiting = draft.waiting(body.about) if isinstance(body.about, bytes) else None
    if waiting is not None and isinstance(body.about, bytes) and time_s < waiting.until_s:
        settle_if_complete(draft, body.about, waiting, verified.id, time_s)


def _open(draft: Draft, payment_id: bytes, time_s: int) -> Waiting:
    """A payment that waits.

    Raises:
        NotOwner: none of this id does. Expired: its time has run out.
    """
    waiting = draft.waiting(payment_id)
    if waiting is None:
        raise NotOwner("no such payment waits", payment=payment_id)
    if time_s >= waiting.until_s:
        raise Expired("the payment has lapsed", found=time_s, limit=waiting.until_s)
    return waiting


# --- the end of waiting ------------------------------------------------------------------------


def settle_if_complete(draft: Draft, payment_id: bytes, waiting: Waiting, by: bytes, time_s: int) -> bool:
    """Let a payment through if nothing is lacking; ``by`` is the message that made it so."""
    if not is_complete(draft, payment_id, waiting, time_s):
        return False
    for index, owner, amount_tiyn, purpose, left, stays, left_after in waiting.outputs:
        draft.consume(outpoint(payment_id, index), by)
        mark = Mark(purpose, left_after) if stays else None
        draft.create(outpoint(payment_id, SETTLED_FROM + index), Token(owner, amount_tiyn, *(mark or (None, None))))
        if purpose is not None:
            share = Share(owner, amount_tiyn, Mark(purpose, left))
            note_paid(draft, payment_id, share, waiting.signer, waiting.entered_s)
    draft.drop_waiting(payment_id)
    return True


def is_complete(draft: Draft, payment_id: bytes, waiting: Waiting, time_s: int) -> bool:
    """Whether nothing is lacking any more."""
    try:
        return not lacks(draft, payment_id, waiting, time_s)
    except (PurposeRefused, CertificateRevoked, CertificateExpired):
        return False


def lapse(draft: Draft, payment_id: bytes, waiting: Waiting, by: bytes) -> None:
    """The value returns to the payer as it was; the record stays, so that everybody sees what became of it."""
    totals: Mapping[bytes, dict[bytes, int]] = _shares(waiting)
    for index, _, amount_tiyn, purpose, left, *_ in waiting.outputs:
        draft.consume(outpoint(payment_id, index), by)
        draft.create(outpoint(payment_id, RETURNED_FROM + index), Token(waiting.signer, amount_tiyn, purpose, left))
    for purpose, shares in totals.items():
        memory.note_returned(draft, purpose, waiting.payer, sum(shares.values()), waiting.entered_s)
    draft.put_waiting(payment_id, replace(waiting, outputs=[], lapsed=True))


def note_paid(draft: Draft, payment_id: bytes, share: Share, payer: bytes, time_s: int) -> None:
    """Write down what a payment brought a payee out of a purpose: so much may be refunded."""
    purpose, left = share.mark
    before = draft.paid(payment_id, purpose, share.payee) or Paid(payer, 0, 0, left, time_s)
    draft.put_paid(
        payment_id, purpose, share.payee, replace(before, amount_tiyn=before.amount_tiyn + share.amount_tiyn)
    )
