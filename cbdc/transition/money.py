"""Money itself: issue, redeem, reserve, repay, transfer."""

from __future__ import annotations

from cbdc.errors import AmountMismatch, NotOwner, PurposeMismatch, Replayed, RoleRefused, TooLarge, WrongPayee
from cbdc.formats import requests
from cbdc.formats.tokens import Output
from cbdc.limits import MAX_WAITING_OUTPUTS
from cbdc.messages.bodies import Issue, Redeem, Repay, Reserve, Spend, Transfer
from cbdc.messages.message import Verified
from cbdc.purposes.conditions import Payment
from cbdc.purposes.marks import Outcome, Paid, check_conserved, marks_after, payment_facts
from cbdc.state.records import BankReserve, Participant, Token
from cbdc.transition import guards, liability, memory, waiting
from cbdc.transition.draft import Draft


def issue(draft: Draft, verified: Verified, body: Issue, time_s: int) -> None:
    """The governor creates free tenge for banks."""
    guards.signed_by_root(draft, verified.signers)
    guards.not_done(draft, verified.id)
    for output in body.outputs:
        guards.active_bank(draft, output.owner, time_s)
        if output.purpose is not None:
            raise PurposeMismatch("issued tenge bears no purpose")
    amount_tiyn = sum(output.amount_tiyn for output in body.outputs)
    guards.within_supply(draft.supply(), amount_tiyn)
    draft.once(verified.id)
    guards.create_all(draft, verified.id, body.outputs)
    draft.shift_supply(issued_tiyn=amount_tiyn, online_tiyn=amount_tiyn)


def redeem(draft: Draft, verified: Verified, body: Redeem, time_s: int) -> None:
    """A bank and the governor together destroy the bank's tenge."""
    root = draft.network().root_key
    if root not in verified.signers:
        raise RoleRefused("the governor agrees to a redemption")
    bank = guards.active_bank(draft, guards.only_signer(verified.signers - {root}), time_s)
    _take_out(draft, verified, body, body.amount_tiyn, bank, time_s)
    draft.shift_supply(redeemed_tiyn=body.amount_tiyn, online_tiyn=-body.amount_tiyn)


def reserve(draft: Draft, verified: Verified, body: Reserve, time_s: int) -> None:
    """A bank sets tenge aside; what it owes the offline pool is paid first."""
    bank = guards.active_bank(draft, guards.only_signer(verified.signers), time_s)
    _take_out(draft, verified, body, body.amount_tiyn, bank, time_s)
    before = draft.reserve(bank.name)
    topped_up_tiyn = before.topped_up_tiyn + body.amount_tiyn
    after = BankReserve(topped_up_tiyn, before.excess_tiyn, before.seized_tiyn)
    liability.put_reserve(draft, bank.name, after, paid_in_tiyn=body.amount_tiyn)


def repay(draft: Draft, verified: Verified, body: Repay, time_s: int) -> None:
    """Free tenge pays what a purse owes for its forks; anybody may pay it, never more than is owed."""
    tokens = guards.own_tokens(draft, verified, body, time_s)
    marks = [token.purpose for token in tokens] + [output.purpose for output in body.outputs]
    if any(mark is not None for mark in marks):
        raise PurposeMismatch("a debt is paid with free tenge")
    check_conserved(tokens, body.outputs, body.amount_tiyn)
    liability.repay(draft, body.purse, body.amount_tiyn)
    guards.consume_all(draft, body.inputs, verified.id)
    guards.create_all(draft, verified.id, body.outputs)


def _take_out(draft: Draft, verified: Verified, body: Spend, amount_tiyn: int, bank: Participant, time_s: int) -> None:
    """A bank gives ``amount_tiyn`` of its own free tokens up and gets the change."""
    guards.still_valid(body, time_s)
    tokens = guards.unspent(draft, body.inputs)
    if any(token.owner != bank.key for token in tokens):
        raise NotOwner("a bank gives up its own tokens only", bank=bank.name)
    if any(output.owner != bank.key for output in body.outputs):
        raise NotOwner("the change is the bank's own", bank=bank.name)
    marks = [token.purpose for token in tokens] + [output.purpose for output in body.outputs]
    if any(mark is not None for mark in marks):
        raise PurposeMismatch("a bank gives up free tenge", bank=bank.name)
    check_conserved(tokens, body.outputs, amount_tiyn)
    guards.consume_all(draft, body.inputs, verified.id)
    guards.create_all(draft, verified.id, body.outputs)


def transfer(draft: Draft, verified: Verified, body: Transfer, time_s: int) -> None:
    """A payment with online tokens: owners sign, value is conserved, purposes decide; some payments wait."""
    tokens = guards.own_tokens(draft, verified, body, time_s)
    check_conserved(tokens, body.outputs)
    payers = {token.owner for token in tokens if token.purpose is not None}
    asker = None if body.request is None else _asked_by(draft, verified, body)
    if not payers:  # the common case
        guards.consume_all(draft, body.inputs, verified.id)
        guards.create_all(draft, verified.id, body.outputs)
        return
    if len(payers) > 1:
        raise PurposeMismatch("marked tokens of several owners are not paid together", found=len(payers), wanted=1)
    payer = guards.name_of(draft, next(iter(payers)))
    outcome = _outcome(draft, verified, body, tokens, payer, asker, time_s)
    guards.consume_all(draft, body.inputs, verified.id)
    if outcome.waits:
        if len(body.outputs) > MAX_WAITING_OUTPUTS:
            raise TooLarge("a payment that waits has fewer parts", found=len(body.outputs), limit=MAX_WAITING_OUTPUTS)
        waiting.hold(draft, verified, body, outcome, payer, time_s)
    else:
        guards.create_all(draft, verified.id, body.outputs, outcome.marks)
    for purpose in dict.fromkeys(share.mark.purpose for share in outcome.paid):
        spent_tiyn = sum([share.amount_tiyn for share in outcome.paid if share.mark.purpose == purpose])
        memory.note_spent(draft, purpose, payer, spent_tiyn, time_s)
    if not outcome.waits:
        for share in outcome.paid:
            waiting.note_paid(draft, verified.id, share, next(iter(payers)), time_s)


def _outcome(
    draft: Draft, verified: Verified, body: Transfer, tokens: list[Token], payer: str, asker: bytes | None, time_s: int
) -> Outcome:
    """What becomes of the marks, by what the certificates say and the ledger remembers.

    The lines are the word of the ``asker`` (a key) alone: a co-signer who is paid by the way has sold nothing.
    """

    memories = memory.Memories(draft, payer, verified.id)

    def payment_to(share: Paid, others_tiyn: int) -> Payment:
        account, certificate = guards.vouched_for(draft, share.payee)
        return payment_facts(
            payer,
            account,
            certificate,
            share.amount_tiyn,
            time_s,
            lines=body.lines if share.payee == asker else (),
            others_tiyn=others_tiyn,
            memory=memories.of(share.mark.purpose, account),
        )

    payers = {token.owner for token in tokens if token.purpose is not None}
    freed = memory.freed(draft, body.inputs, tokens)
    return marks_after(tokens, body.outputs, payers, draft.definition, payment_to, time_s, freed)


def _asked_by(draft: Draft, verified: Verified, body: Transfer) -> bytes:
    """Whose word (a key) it is what the payment says is bought: its payee's, for just this much, and paid once.

    A rule may split a part off to another; then the whole is what was asked for.

    Raises:
        WrongPayee: asked for by nobody whom it pays, or it pays others too. AmountMismatch. Replayed: paid before.
    """
    request = requests.read(body.request or b"", draft.network().root_key)
    paid = [output for output in body.outputs if output.owner not in verified.signers]
    others = [output for output in paid if output.owner != request.payee]
    if len(others) == len(paid) or not all(_is_split_off(draft, output) for output in others):
        raise WrongPayee("the request is not by the payee", wanted=request.payee)
    paid_tiyn = sum(output.amount_tiyn for output in paid)
    if paid_tiyn != request.amount_tiyn:
        raise AmountMismatch("not the amount that was asked for", found=paid_tiyn, wanted=request.amount_tiyn)
    if draft.is_done(request.id):
        raise Replayed("the request was paid before", id=request.id)
    draft.use_up(request.id)
    return request.payee


def _is_split_off(draft: Draft, output: Output) -> bool:
    if output.purpose is None:
        return False
    return draft.definition(output.purpose).is_split_part(guards.name_of(draft, output.owner))
