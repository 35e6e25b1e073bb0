"""Special-purpose money: define purpose, grant, allow, recall."""

from __future__ import annotations

from cbdc.errors import Expired, NotEnrolled, NotSponsor, PurposeMismatch, RoleRefused
from cbdc.formats.certificates import Holder
from cbdc.formats.tokens import outpoint
from cbdc.messages.bodies import Allow, Grant, Recall
from cbdc.messages.message import Verified
from cbdc.purposes.definition import Definition
from cbdc.purposes.marks import check_conserved
from cbdc.purposes.rules import Mark
from cbdc.state.records import Allowance, HolderKind, Token
from cbdc.transition import guards, memory, waiting
from cbdc.transition.draft import Draft


def define_purpose(draft: Draft, verified: Verified, body: Definition, time_s: int) -> None:
    """A sponsor enters a definition; the message's id is the mark."""
    if verified.signers != {body.sponsor}:
        raise NotSponsor("a purpose is signed by its sponsor alone")
    guards.enrolled(draft, body.sponsor)
    if draft.certificate_of(body.sponsor, HolderKind.WALLET).holder is not Holder.SPONSOR:
        raise RoleRefused("only a customer enrolled as sponsor defines a purpose")
    if guards.enrolled(draft, body.return_to).kind != HolderKind.WALLET:
        raise NotEnrolled("the rest returns to an enrolled wallet", key=body.return_to)
    guards.not_done(draft, verified.id)
    if time_s >= body.expires_s:
        raise Expired("the purpose has expired already", found=time_s, limit=body.expires_s)
    draft.once(verified.id)
    draft.put_definition(verified.id, body)


def grant(draft: Draft, verified: Verified, body: Grant, time_s: int) -> None:
    """A sponsor marks its own free tenge and hands it out."""
    definition = draft.definition(body.purpose)
    if verified.signers != {definition.sponsor}:
        raise NotSponsor("only the purpose's sponsor grants in it", purpose=definition.name)
    guards.may_spend(draft, verified.signers)
    guards.may_hold_online(draft, body.outputs, time_s)
    if any(guards.enrolled(draft, output.owner).kind != HolderKind.WALLET for output in body.outputs):
        raise NotEnrolled("marked tenge is granted to customers' wallets")
    guards.still_valid(body, time_s)
    definition.check_open(time_s)
    tokens = guards.unspent(draft, body.inputs)
    guards.owned_by_signers(tokens, verified.signers)
    for output in body.outputs:
        if output.purpose != body.purpose and (output.purpose is not None or output.owner != definition.sponsor):
            raise PurposeMismatch("a grant makes tokens of its purpose, and change for the sponsor")
    marked_tiyn = sum(output.amount_tiyn for output in body.outputs if output.purpose is not None)
    check_conserved(tokens, [output for output in body.outputs if output.purpose is None], marked_tiyn)
    guards.consume_all(draft, body.inputs, verified.id)
    granted = Mark(body.purpose, definition.mark.first_left)
    marks = [granted if output.purpose is not None else None for output in body.outputs]
    guards.create_all(draft, verified.id, body.outputs, marks)


def allow(draft: Draft, verified: Verified, body: Allow, time_s: int) -> None:  # noqa: ARG001 - at any time
    """A sponsor says how much an account's purses may pay without the ledger's memory."""
    definition = draft.definition(body.purpose)
    if verified.signers != {definition.sponsor}:
        raise NotSponsor("only the purpose's sponsor allows this", purpose=definition.name)
    guards.enrolled(draft, definition.sponsor)
    guards.not_done(draft, verified.id)
    draft.once(verified.id)
    draft.put_allowance(body.purpose, body.account, Allowance(body.amount_tiyn))


def recall(draft: Draft, verified: Verified, body: Recall, time_s: int) -> None:  # noqa: ARG001 - at any time
    """Sponsor and governor take unspent marked tokens back, free, to where the definition says; a court has decided.

    What is in purses may be spent by now, and is out of reach until it is online again.
    """
    definition = draft.definition(body.purpose)
    if verified.signers != {definition.sponsor, draft.network().root_key}:
        raise RoleRefused("a recall is signed by the sponsor and the governor", purpose=definition.name)
    guards.enrolled(draft, definition.sponsor)
    guards.not_done(draft, verified.id)
    tokens = guards.unspent(draft, body.outpoints)
    if any(token.purpose != body.purpose for token in tokens):
        raise PurposeMismatch("a recall takes tokens of its purpose only")
    if any(waiting.is_escrow(draft, token) for token in tokens):
        raise RoleRefused("a token waits in a payment: first that goes through, or lapses")
    if any(memory.is_freed(draft, definition, name, token) for name, token in zip(body.outpoints, tokens, strict=True)):
        raise PurposeMismatch("evidence has lifted the mark of a token: it is its owner's free money")
    draft.once(verified.id)
    for index, (name, token) in enumerate(zip(body.outpoints, tokens, strict=True)):
        draft.consume(name, verified.id)
        draft.create(outpoint(verified.id, index), Token(definition.return_to, token.amount_tiyn, None))
