"""One offline payment, judged from bytes: the same guards in the payee's purse and at the ledger.

What a device could have seen in the bytes is refused at the ledger too, so whoever accepts it bears it
(design section 6, rule 6). What needs memory is not here: forks, revocation, headroom and deadlines' arrival
belong to `cbdc.transition.offline` and to the purse.

A *release* gives one payment back: its inputs are all that the payment brought its payee, and where a payment
names an invoice it names that payment. It is judged by the payment alone and never by limits or conditions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from cbdc.errors import (
    AmountMismatch,
    AncestryBroken,
    CertificateExpired,
    Expired,
    LimitHops,
    LimitPayment,
    LimitSpends,
    Malformed,
    NotOwner,
    PurposeMismatch,
    TrustListStale,
    WrongPayee,
)
from cbdc.formats.certificates import Certificate, PurseLimits
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.tokens import Output
from cbdc.messages.bodies import OfflineTerms, Transfer
from cbdc.policy import DAY_S
from cbdc.purposes.conditions import Payment
from cbdc.purposes.definition import Definition
from cbdc.purposes.marks import Paid, check_conserved, marks_after, merged, payment_facts
from cbdc.purposes.rules import Mark
from cbdc.state.records import OfflineToken


@dataclass(frozen=True, slots=True)
class Parties:
    """The two purses: each with its certificate and limits, already checked to be by an admitted bank."""

    payer: Certificate
    payee: Certificate

    def payer_limits(self) -> PurseLimits:
        if self.payer.limits is None:
            raise NotOwner("the payer's certificate is not a purse's")
        return self.payer.limits


def judge(
    transfer: Transfer,
    terms: OfflineTerms,
    signers: frozenset[bytes],
    inputs: Sequence[OfflineToken],
    parties: Parties,
    definition_of: Callable[[bytes], Definition],
    trust_list_days: int,
) -> list[OfflineToken]:
    """The offline tokens that the payment makes, one for each output.

    ``inputs`` are the tokens that ``transfer.inputs`` name, in order. Guards run in the order of the scenario
    format: certificates, time, ownership, amounts, limits, purpose.

    Raises:
        CertificateExpired, TrustListStale, WrongPayee, Expired, NotOwner, AmountMismatch, PurposeMismatch,
        LimitPayment, LimitSpends, LimitHops, AncestryBroken, PurposeRefused, Malformed.
    """
    payer, payee, limits = parties.payer, parties.payee, parties.payer_limits()
    _check_papers(transfer, terms, parties, trust_list_days)
    spend_until_s = _spend_until_s(inputs)
    if terms.ledger_time_s > spend_until_s:
        raise Expired("a token may no longer be spent offline", found=terms.ledger_time_s, limit=spend_until_s)
    if signers != {payer.key} or {token.owner for token in inputs} != {payer.key}:
        raise NotOwner("a purse spends exactly its own tokens", payer=payer.key)
    if is_release(transfer, terms):
        return _judge_release(transfer, terms, inputs, payee)
    if not {output.owner for output in transfer.outputs} <= {payer.key, payee.key}:
        raise WrongPayee("an output goes to a third party")
    check_conserved(inputs, transfer.outputs)
    hop = max([token.hops for token in inputs]) + 1
    brought_tiyn = sum([output.amount_tiyn for output in transfer.outputs if output.owner == payee.key])
    _check_limits(terms, hop, limits, brought_tiyn)
    marks = _marks(transfer, terms, inputs, parties, definition_of)
    drawn = merged(inputs)
    final_at_s = _final_at_s(inputs)
    made = []
    for output, mark in zip(transfer.outputs, marks, strict=True):
        is_paid = output.owner == payee.key
        left = None if output.purpose is None else drawn[output.purpose].left
        paid = [payer.id, output.purpose, brought_tiyn, left] if is_paid else None
        made.append(_made(output, mark, spend_until_s, final_at_s, hop if is_paid else hop - 1, paid))
    return made


def _marks(
    transfer: Transfer,
    terms: OfflineTerms,
    inputs: Sequence[OfflineToken],
    parties: Parties,
    definition_of: Callable[[bytes], Definition],
) -> list[Mark | None]:
    """What the outputs' tokens bear; there is no ledger to ask, and nothing waits."""
    payer, payee, limits = parties.payer, parties.payee, parties.payer_limits()

    def payment_to(share: Paid, others_tiyn: int) -> Payment:
        return payment_facts(
            payer.account,
            payee.account,
            payee,
            share.amount_tiyn,
            terms.ledger_time_s,
            lines=transfer.lines,
            others_tiyn=others_tiyn,
            allowance_tiyn=limits.allowance_tiyn(share.mark.purpose),
        )

    if all(token.purpose is None for token in inputs):  # the common case
        return [None] * len(transfer.outputs)
    time_s = terms.ledger_time_s
    return marks_after(inputs, transfer.outputs, {payer.key}, definition_of, payment_to, time_s).marks


def is_release(transfer: Transfer, terms: OfflineTerms) -> bool:
    """Whether it gives a payment back: every input is an output of the message that the terms name."""
    return {name[:HASH_BYTES] for name in transfer.inputs} == {terms.invoice_id}


def _judge_release(
    transfer: Transfer, terms: OfflineTerms, inputs: Sequence[OfflineToken], payee: Certificate
) -> list[OfflineToken]:
    """Everything that one payment brought goes back to its payer, token by token, under the mark it was drawn from.

    What a release brings bears no ``paid``, so that nobody counts hops down by giving it to and fro.
    """
    sources = [token.paid for token in inputs if token.paid is not None and token.paid[0] == payee.id]
    if len(sources) < len(inputs) or any(output.owner != payee.key for output in transfer.outputs):
        raise WrongPayee("a release gives what a payment brought back to its payer", payee=payee.id)
    back_tiyn = sum(output.amount_tiyn for output in transfer.outputs)
    brought_tiyn = sources[0][2]
    if back_tiyn != brought_tiyn or sum(token.amount_tiyn for token in inputs) != brought_tiyn:
        raise AmountMismatch("a release gives back all of the payment", found=back_tiyn, wanted=brought_tiyn)
    wanted = [(source[1], token.amount_tiyn) for source, token in zip(sources, inputs, strict=True)]
    if [(output.purpose, output.amount_tiyn) for output in transfer.outputs] != wanted:
        raise PurposeMismatch("a release gives back the same tokens under the same marks")
    hop = max(token.hops for token in inputs) - 1
    if terms.hop != hop:
        raise AncestryBroken("the hop number is not where the value was", found=terms.hop, wanted=hop)
    deadlines = (_spend_until_s(inputs), _final_at_s(inputs))
    marks = [None if source[1] is None else Mark(source[1], source[3]) for source in sources]
    return [_made(output, mark, *deadlines, hop, None) for output, mark in zip(transfer.outputs, marks, strict=True)]


def _spend_until_s(inputs: Sequence[OfflineToken]) -> int:
    return min([token.spend_until_s for token in inputs])


def _final_at_s(inputs: Sequence[OfflineToken]) -> int:
    return min([token.final_at_s for token in inputs])


def _made(
    output: Output, mark: Mark | None, spend_until_s: int, final_at_s: int, hop: int, paid: list[Any] | None
) -> OfflineToken:
    # by position: it is built twice for each payment, and names cost as much as the values
    purpose, left = mark or (None, None)
    times = (spend_until_s, final_at_s)
    return OfflineToken(output.owner, output.amount_tiyn, purpose, *times, hop, [], False, paid, [], None, left)


def _check_papers(transfer: Transfer, terms: OfflineTerms, parties: Parties, trust_list_days: int) -> None:
    """Certificates, and the times that the payment names."""
    payer, payee = parties.payer, parties.payee
    for certificate in (payer, payee):
        if terms.ledger_time_s >= certificate.expires_s:
            raise CertificateExpired("certificate has expired", account=certificate.account)
    if terms.ledger_time_s - terms.trust_list_s > trust_list_days * DAY_S:
        raise TrustListStale("the payee's trust list is too old", found=terms.trust_list_s, now=terms.ledger_time_s)
    if terms.payee_certificate != payee.id or payee.limits is None or payee.key == payer.key:
        raise WrongPayee("the payment names another payee's purse", found=terms.payee_certificate, wanted=payee.id)
    if terms.payer_certificate != payer.id:
        raise NotOwner("the payment names another certificate", found=terms.payer_certificate, wanted=payer.id)
    if terms.trust_list_s > terms.ledger_time_s:
        raise Malformed("the trust list is newer than the latest ledger time", found=terms.trust_list_s)
    if terms.ledger_time_s > transfer.valid_until_s:
        raise Expired("the payment is no longer valid", found=terms.ledger_time_s, limit=transfer.valid_until_s)


def _check_limits(terms: OfflineTerms, hop: int, limits: PurseLimits, paid_tiyn: int) -> None:
    if paid_tiyn > limits.payment_tiyn:
        raise LimitPayment("above the purse's limit per payment", found=paid_tiyn, limit=limits.payment_tiyn)
    if terms.spends > limits.spends:
        raise LimitSpends("too many payments since the last sync", found=terms.spends, limit=limits.spends)
    if max(hop, terms.hop) > limits.hops:
        raise LimitHops("the money has travelled too far without a sync", found=max(hop, terms.hop), limit=limits.hops)
    if terms.hop != hop:
        raise AncestryBroken("the hop number does not follow from the ancestry", found=terms.hop, wanted=hop)
