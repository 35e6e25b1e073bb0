"""Money itself: issue, redeem, reserve, repay, transfer."""

from __future__ import annotations

from cbdc.errors import NotOwner, PurposeMismatch, RoleRefused
from cbdc.messages.bodies import Issue, Redeem, Repay, Reserve, Spend, Transfer
from cbdc.messages.message import Verified
from cbdc.purposes.conditions import Payment
from cbdc.purposes.marks import check_conserved, marks_after, payment_facts
from cbdc.state.records import BankReserve, HolderKind, Participant, Token
from cbdc.transition import guards, liability
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
    tokens = _own_tokens(draft, verified, body, time_s)
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
    check_conserved(tokens, body.outputs, amount_tiyn)
    guards.consume_all(draft, body.inputs, verified.id)
    guards.create_all(draft, verified.id, body.outputs)


def _own_tokens(draft: Draft, verified: Verified, body: Spend, time_s: int) -> list[Token]:
    """The unspent tokens that their owners, and nobody else, spend into outputs that may be held online."""
    guards.may_spend(draft, verified.signers)
    guards.may_hold_online(draft, body.outputs, time_s)
    guards.still_valid(body, time_s)
    tokens = guards.unspent(draft, body.inputs)
    guards.owned_by_signers(tokens, verified.signers)
    return tokens


def transfer(draft: Draft, verified: Verified, body: Transfer, time_s: int) -> None:
    """A payment with online tokens: owners sign, value is conserved, purposes decide."""
    tokens = _own_tokens(draft, verified, body, time_s)
    check_conserved(tokens, body.outputs)
    marks = _marks(draft, body, tokens, time_s)
    guards.consume_all(draft, body.inputs, verified.id)
    guards.create_all(draft, verified.id, body.outputs, marks)


def _marks(draft: Draft, body: Transfer, tokens: list[Token], time_s: int) -> list[bytes | None] | None:
    """The marks of the new tokens; None where no marked token is involved, the common case."""
    payers = {token.owner for token in tokens if token.purpose is not None}
    if not payers:
        return None
    if len(payers) > 1:
        raise PurposeMismatch("marked tokens of several owners are not paid together", found=len(payers), wanted=1)
    payer = draft.certificate_of(next(iter(payers)), HolderKind.WALLET).account

    def payment_to(owner: bytes, amount_tiyn: int) -> Payment:
        holder = guards.enrolled(draft, owner)
        if holder.kind == HolderKind.INSTITUTION:
            return payment_facts(payer, holder.reference.decode(), None, amount_tiyn, time_s)
        payee = draft.certificate(holder.reference)
        return payment_facts(payer, payee.account, payee, amount_tiyn, time_s)

    return marks_after(body.outputs, payers, draft.definition, payment_to, time_s)
