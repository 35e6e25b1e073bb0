"""A merchant's refund: its own money goes back under the mark that the customer's money bore."""

from __future__ import annotations

from dataclasses import dataclass, replace

from cbdc.errors import AmountMismatch, NotOwner, PurposeMismatch, RoleRefused, WrongPayee
from cbdc.formats.tokens import Output, outpoint
from cbdc.limits import MAX_OUTPUTS
from cbdc.messages.bodies import Refund
from cbdc.messages.message import Verified
from cbdc.purposes.marks import merged
from cbdc.purposes.rules import Mark
from cbdc.state.records import HolderKind, OfflineToken, Paid, Token
from cbdc.transition import guards, memory
from cbdc.transition.draft import Draft


@dataclass(frozen=True, slots=True)
class _Source:
    """The payment that is refunded: who paid (an account), and its record."""

    payer: str
    paid: Paid


def refund(draft: Draft, verified: Verified, body: Refund, time_s: int) -> None:
    """Give back what a payment brought, or a part of it; no condition is asked."""
    tokens = guards.own_tokens(draft, verified, body, time_s)
    merchant = {guards.name_of(draft, key) for key in verified.signers}
    definition = draft.definition(body.purpose)
    definition.check_open(time_s)
    source = _source(draft, body)
    if merchant != {guards.name_of(draft, body.payee)}:
        raise NotOwner("the payment was to somebody else", payee=body.payee)
    back = [output for output in body.outputs if output.owner not in verified.signers]
    _check_back(draft, back, body.purpose, source.payer)
    back_tiyn = sum(output.amount_tiyn for output in back)
    rest_tiyn = source.paid.amount_tiyn - source.paid.refunded_tiyn
    _check_drawn(tokens, body, [output for output in body.outputs if output.owner in verified.signers])
    if back_tiyn > rest_tiyn:
        raise AmountMismatch("more than the payment brought", found=back_tiyn, limit=rest_tiyn)
    own = merged(tokens).get(body.purpose)
    returned = Mark(body.purpose, definition.mark.back(own.left if own else None))
    marks = [_mark(output, own, returned, verified.signers) for output in body.outputs]
    guards.consume_all(draft, body.inputs, verified.id)
    guards.create_all(draft, verified.id, body.outputs, marks)
    paid = source.paid
    after = replace(paid, refunded_tiyn=paid.refunded_tiyn + back_tiyn)
    draft.put_paid(body.payment, body.purpose, body.payee, after)
    memory.note_returned(draft, body.purpose, source.payer, back_tiyn, paid.counted_s)


def _mark(output: Output, own: Mark | None, returned: Mark, signers: frozenset[bytes]) -> Mark | None:
    if output.owner not in signers:
        return returned
    return own if output.purpose is not None else None


def _check_back(draft: Draft, back: list[Output], purpose: bytes, payer: str) -> None:
    """What is given back goes to a wallet of whoever paid, under the mark.

    Raises:
        AmountMismatch: nothing is. WrongPayee: to somebody else. PurposeMismatch: under another mark, or none.
    """
    if not back:
        raise AmountMismatch("a refund gives something back")
    for output in back:
        if guards.enrolled(draft, output.owner).kind != HolderKind.WALLET:
            raise RoleRefused("a refund goes to a wallet", key=output.owner)
        if guards.name_of(draft, output.owner) != payer:
            raise WrongPayee("a refund goes back to whoever paid", wanted=payer)
        if output.purpose != purpose:
            raise PurposeMismatch("a refund goes back under the mark of the payment")


def _check_drawn(tokens: list[Token], body: Refund, change: list[Output]) -> None:
    """Free tokens may become marked ones, and never the other way round; no other purpose takes part.

    Raises:
        PurposeMismatch: else. AmountMismatch: value would appear or vanish.
    """
    marks = {token.purpose for token in tokens} | {output.purpose for output in change}
    if marks - {None, body.purpose}:
        raise PurposeMismatch("a refund is drawn from free tokens or from those of its purpose")
    missing_tiyn = sum(o.amount_tiyn for o in body.outputs) - sum(token.amount_tiyn for token in tokens)
    if missing_tiyn:
        raise AmountMismatch("inputs and outputs differ", missing_tiyn=missing_tiyn)
    for purpose in (None, body.purpose):
        before_tiyn = sum(token.amount_tiyn for token in tokens if token.purpose == purpose)
        after_tiyn = sum(output.amount_tiyn for output in change if output.purpose == purpose)
        if after_tiyn > before_tiyn:
            raise PurposeMismatch("change bears the marks that it bore", found=after_tiyn, limit=before_tiyn)


def _source(draft: Draft, body: Refund) -> _Source:
    """The payment as it is written down, or between purses as its outputs say.

    Raises:
        NotOwner: no such payment brought this key anything out of the purpose.
    """
    paid = draft.paid(body.payment, body.purpose, body.payee)
    made = _made_offline(draft, body)
    if made:
        certificate_id, _, _, left = made[0].paid or [b"", None, 0, None]
        payer = draft.certificate(certificate_id)
        amount_tiyn = sum(token.amount_tiyn for token in made)
        return _Source(payer.account, paid or Paid(payer.key, amount_tiyn, 0, left, 0))
    if paid is None or not paid.counted_s:  # a record of one between purses, since released
        raise NotOwner("no such payment of this purpose", payment=body.payment)
    return _Source(guards.name_of(draft, paid.payer), paid)


def _made_offline(draft: Draft, body: Refund) -> list[OfflineToken]:
    """What an offline payment made for the payee out of the purpose."""
    made = []
    for index in range(MAX_OUTPUTS):
        token = draft.offline(outpoint(body.payment, index))
        if token is None:
            break
        if token.owner == body.payee and is_refundable(draft, token) and (token.paid or [])[1] == body.purpose:
            made.append(token)
    return made


def is_refundable(draft: Draft, token: OfflineToken) -> bool:
    """Whether an offline output was brought by a payment of marked money that counts, and was not released."""
    if token.paid is None or token.paid[1] is None or token.void:
        return False
    behind = [draft.offline(outpoint(spender, 0)) for spender in token.spenders]
    return not any(back and back.paid is None and back.owner != token.owner for back in behind)
