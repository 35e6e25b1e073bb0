"""The offline pool: load, unload, and the evidence of payments made between devices (design section 6)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from graphlib import TopologicalSorter
from itertools import chain

from cbdc.errors import (
    AncestryBroken,
    CertificateExpired,
    CertificateRevoked,
    DoubleSpend,
    Malformed,
    NotEnrolled,
    NotOwner,
    Replayed,
    ReserveShort,
    TengeError,
    TooLate,
    WrongPayee,
)
from cbdc.formats.certificates import Certificate
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.tokens import Output, outpoint
from cbdc.formats.x509 import Role
from cbdc.messages.bodies import Load, OfflineTerms, Transfer, Unload
from cbdc.messages.message import Verified
from cbdc.offline.judge import Parties, is_release, judge
from cbdc.policy import DAY_S
from cbdc.purposes.marks import check_conserved, merged
from cbdc.purposes.rules import Mark
from cbdc.state.records import HolderKind, OfflineToken, Token
from cbdc.transition import guards, liability, memory
from cbdc.transition.draft import Draft

# --- load and unload ---------------------------------------------------------------------------


def load(draft: Draft, verified: Verified, body: Load, time_s: int) -> None:
    """Online tokens go into the owner's purse; the operator certifies the new offline tokens afterwards."""
    purse = _loadable_purse(draft, body.outputs, time_s)
    guards.may_spend(draft, verified.signers)
    guards.still_valid(body, time_s)
    tokens = guards.unspent(draft, body.inputs)
    guards.owned_by_signers(tokens, verified.signers)
    if verified.signers != {purse.online_key}:
        raise NotOwner("a purse is loaded by its owner alone", account=purse.account)
    if any(output.owner not in (purse.key, purse.online_key) for output in body.outputs):
        raise WrongPayee("what is not loaded is change")
    check_conserved(tokens, body.outputs)
    loaded_tiyn = sum(output.amount_tiyn for output in body.outputs if output.owner == purse.key)
    guards.within_holding(draft, purse, loaded_tiyn)
    _check_purposes_open(draft, body.outputs, purse.key, time_s)
    guards.consume_all(draft, body.inputs, verified.id)
    _create(draft, verified.id, body.outputs, _marks(draft, body, tokens), purse.key, time_s)
    draft.shift_supply(online_tiyn=-loaded_tiyn, pool_tiyn=loaded_tiyn)


def unload(draft: Draft, verified: Verified, body: Unload, time_s: int) -> None:
    """A purse gives live leaves up: for its online key, or for itself with fresh deadlines at hop 0."""
    purse = draft.certificate_of(guards.only_signer(verified.signers), HolderKind.PURSE)
    guards.enrolled(draft, purse.key)
    renews = any(output.owner == purse.key for output in body.outputs)
    if renews:
        _loadable_purse(draft, body.outputs, time_s)
    guards.still_valid(body, time_s)
    tokens = [_live_leaf(draft, name, purse, time_s) for name in body.inputs]
    liability.check_free(draft, purse.key, sum(token.amount_tiyn for token in tokens), time_s)
    if any(output.owner not in (purse.key, purse.online_key) for output in body.outputs):
        raise WrongPayee("a purse unloads to its own online key or itself")
    check_conserved(tokens, body.outputs)
    _check_purposes_open(draft, body.outputs, purse.key, time_s)
    for name, token in zip(body.inputs, tokens, strict=True):
        draft.spend_offline(name, replace(token, spenders=[verified.id]), verified.id)
    _create(draft, verified.id, body.outputs, _marks(draft, body, tokens), purse.key, time_s)
    unloaded_tiyn = sum(output.amount_tiyn for output in body.outputs if output.owner != purse.key)
    draft.shift_supply(online_tiyn=unloaded_tiyn, pool_tiyn=-unloaded_tiyn)


def _loadable_purse(draft: Draft, outputs: tuple[Output, ...], time_s: int) -> Certificate:
    """The one purse that the outputs name, with everything that must hold before it is filled."""
    purses = {output.owner for output in outputs if _is_purse(draft, output.owner)}
    if len(purses) != 1:
        raise NotEnrolled("a load names one enrolled purse", found=len(purses), wanted=1)
    key = purses.pop()
    guards.enrolled(draft, key)
    purse = draft.certificate_of(key, HolderKind.PURSE)
    if time_s >= purse.expires_s:
        raise CertificateExpired("the purse's certificate has expired", account=purse.account)
    bank = draft.participant(purse.bank)
    if bank is None or not bank.is_active(Role.BANK):
        raise CertificateRevoked("the purse's bank is no longer admitted", bank=purse.bank)
    culprit = draft.culprit(key)
    if culprit is not None and culprit.debt_tiyn:
        raise CertificateRevoked("the purse owes for a fork", debt_tiyn=culprit.debt_tiyn)
    claims_tiyn = draft.reserve(purse.bank).claims_tiyn
    if claims_tiyn:
        raise ReserveShort("the bank owes the offline pool and may load no purse", claims_tiyn=claims_tiyn)
    return purse


def _is_purse(draft: Draft, key: bytes) -> bool:
    holder = draft.holder(key)
    return holder is not None and holder.kind == HolderKind.PURSE


def _check_purposes_open(draft: Draft, outputs: tuple[Output, ...], purse_key: bytes, time_s: int) -> None:
    for output in outputs:
        if output.owner == purse_key and output.purpose is not None:
            draft.definition(output.purpose).check_open(time_s)


def _marks(
    draft: Draft, body: Load | Unload, tokens: Sequence[Token | OfflineToken]
) -> dict[bytes | None, Mark | None]:
    """The mark of each purpose's value, which does not change hands; none where evidence has lifted it."""
    lifted = memory.freed(draft, body.inputs, tokens)
    marks: dict[bytes | None, Mark | None] = {None: None}
    return marks | {purpose: None if purpose in lifted else mark for purpose, mark in merged(tokens).items()}


def _create(
    draft: Draft,
    message_id: bytes,
    outputs: tuple[Output, ...],
    marks: dict[bytes | None, Mark | None],
    purse_key: bytes,
    time_s: int,
) -> None:
    """Outputs to the purse become offline tokens with fresh deadlines, all others online tokens."""
    policy = draft.policy()
    final_at_s = time_s + policy.offline_final_days * DAY_S
    for index, output in enumerate(outputs):
        name, mark = outpoint(message_id, index), marks[output.purpose]
        if output.owner != purse_key:
            draft.create(name, guards.token_of(output, mark))
            continue
        spend_until_s = time_s + policy.offline_spend_days * DAY_S
        if mark is not None:
            # the last second before the expiry: a purpose ends *at* expires_s, a token after spend_until_s
            spend_until_s = min(spend_until_s, draft.definition(mark.purpose).expires_s - 1)
        fresh = OfflineToken(
            owner=output.owner,
            amount_tiyn=output.amount_tiyn,
            purpose=mark.purpose if mark else None,
            spend_until_s=spend_until_s,
            final_at_s=final_at_s,
            hops=0,
            spenders=[],
            returned=False,
            left=mark.left if mark else None,
        )
        draft.put_offline(name, fresh)


def _live_leaf(draft: Draft, name: bytes, purse: Certificate, time_s: int) -> OfflineToken:
    token = _evidence_input(draft, name, time_s)
    if token.owner != purse.key:
        raise NotOwner("a purse unloads its own tokens", outpoint=name)
    if token.spenders:
        winner = draft.view.consumers_of(name)
        raise DoubleSpend(
            "the token was spent already",
            outpoint=name,
            by=token.spenders[0],
            winner=winner[0].entry_index if winner else -1,
        )
    return token


def _evidence_input(draft: Draft, name: bytes, time_s: int) -> OfflineToken:
    token = draft.offline(name)
    if token is None:
        raise AncestryBroken("an input is unknown: its own payment has not been shown", outpoint=name)
    if is_final(token, time_s):
        raise TooLate("the token is final", found=time_s, limit=token.final_at_s)
    return token


def is_final(token: OfflineToken, time_s: int) -> bool:
    """Whether evidence about an offline output comes too late at this ledger time (seconds)."""
    return token.returned or time_s >= token.final_at_s


# --- evidence ----------------------------------------------------------------------------------


def reconcile(draft: Draft, verified: Verified, time_s: int) -> tuple[tuple[tuple[bytes, TengeError], ...], int]:
    """Take in offline payments: whatever is valid and new counts, in any order and grouping.

    Returns the payments that were refused with why, and how many were known already.

    Raises:
        Replayed: all of them are known. Any other: nothing was new and this was the first refusal.
    """
    parts = verified.parts or (verified,)
    refused: list[tuple[bytes, TengeError]] = []
    void: list[bytes] = []
    known = 0
    if verified.parts:
        if draft.view.consumers_of(verified.id):
            raise Replayed("this very evidence was handed in before", id=verified.id)
        draft.note(verified.id)
    for part in ancestors_first(parts):
        try:
            known += not _payment(draft, part, time_s, void)
        except TengeError as error:
            refused.append((part.id, error))
    draft.forget_unspent(void)
    if known + len(refused) == len(parts):
        raise refused[0][1] if refused else Replayed("all of this evidence is known", payments=known)
    return tuple(refused), known


def ancestors_first(parts: tuple[Verified, ...]) -> list[Verified]:
    """The payments ordered so that those that make an output come before those that spend it."""
    by_id = {part.id: part for part in parts}
    made_by = {part.id: [name[:HASH_BYTES] for name in offline_transfer(part)[0].inputs] for part in parts}
    repeats = [part for part in parts if by_id[part.id] is not part]
    if by_id.keys().isdisjoint(chain.from_iterable(made_by.values())):
        return [*by_id.values(), *repeats]  # no ancestors among them: the order that the sorter would give as well
    graph = TopologicalSorter({part: [made for made in inputs if made in by_id] for part, inputs in made_by.items()})
    return [*(by_id[message_id] for message_id in graph.static_order()), *repeats]


def offline_transfer(message: Verified) -> tuple[Transfer, OfflineTerms]:
    """A payment's body and terms.

    Raises:
        Malformed: it is no offline transfer.
    """
    if type(message.body) is not Transfer or message.body.terms is None:
        raise Malformed("evidence is an offline transfer")
    return message.body, message.body.terms


def _payment(draft: Draft, message: Verified, time_s: int, void: list[bytes]) -> bool:
    """Take in one payment; False if it is known already.

    One against the deny-list, or that brings void money back, is refused, but if nothing else is wrong with it its
    outputs stand as void until the whole evidence is taken in, so that an honest holder further down the chain is paid
    (rule 5); ``void`` gets their names.
    """
    body, terms = offline_transfer(message)
    parties = parties_of(draft, message)
    payer, payee = parties.payer, parties.payee
    if any(token and message.id in token.spenders for token in map(draft.offline, body.inputs)):
        return False
    fault = _revocation(draft, payer, terms, time_s) or _stands_void(draft, message)
    try:
        inputs, tokens = _judged(draft, message, parties, time_s)
    except TengeError:
        if fault is not None:  # the guard that stands first names the refusal
            raise fault from None
        raise
    if fault is None and not is_release(body, terms) and any(token.purpose is not None for token in inputs):
        fault = _payee_revocation(draft, payee, terms)
    names = [outpoint(message.id, index) for index in range(len(tokens))]
    barred = {key for token in inputs for key in token.barred}
    if fault is None and payee.key in barred:
        fault = CertificateRevoked("void money does not come back to a purse that paid or took it", payee=payee.id)
    if fault is not None:
        void += _put_void(draft, names, tokens, sorted({payer.key, payee.key} | barred))
        raise fault
    for name, token in zip(body.inputs, inputs, strict=True):
        draft.spend_offline(name, token.spent_by(message.id), message.id)
    for name, made in zip(names, tokens, strict=True):
        draft.put_offline(name, made)
    brought_tiyn = sum([made.amount_tiyn for made in tokens if made.owner == payee.key])
    spend = liability.Spend(payer, payee, brought_tiyn, sum([made.amount_tiyn for made in tokens]))
    for name, token in zip(body.inputs, inputs, strict=True):
        if token.costs_owner:
            liability.charge(draft, spend, name, token, time_s)
    for purse_key in (payer.key, payee.key):
        liability.seize(draft, purse_key)
    return True


def parties_of(draft: Draft, message: Verified) -> Parties:
    """The two purses of a payment, under the certificates that its terms name.

    Raises:
        RoleRefused: signed by several keys. NotEnrolled: not by a purse, or a certificate is not registered.
    """
    _, terms = offline_transfer(message)
    payer_key = guards.only_signer(message.signers)
    draft.certificate_of(payer_key, HolderKind.PURSE)
    return Parties(draft.certificate(terms.payer_certificate), draft.certificate(terms.payee_certificate))


def _judged(
    draft: Draft, message: Verified, parties: Parties, time_s: int
) -> tuple[list[OfflineToken], list[OfflineToken]]:
    """The tokens that a payment spends and those that it makes, if everything but revocation is in order."""
    inputs = [_evidence_input(draft, name, time_s) for name in offline_transfer(message)[0].inputs]
    return inputs, outputs_of(draft, message, inputs, parties, time_s)


def outputs_of(
    draft: Draft, message: Verified, inputs: list[OfflineToken], parties: Parties, time_s: int
) -> list[OfflineToken]:
    """The tokens that a payment makes of its inputs, whatever their deadlines; what its bytes show is in order.

    Raises:
        Malformed: it names a time to come. Others: see `cbdc.offline.judge.judge`.
    """
    body, terms = offline_transfer(message)
    if max(terms.ledger_time_s, terms.trust_list_s) > time_s:
        raise Malformed("the payment names a ledger time that has not come", found=terms.ledger_time_s, now=time_s)
    trust_list_days = draft.trust_list_days(terms.ledger_time_s)
    return judge(body, terms, message.signers, inputs, parties, draft.definition, trust_list_days)


def _payee_revocation(draft: Draft, payee: Certificate, terms: OfflineTerms) -> CertificateRevoked | None:
    """Conditions look at what the payee's certificate says, so it has to be good when marked tokens are paid to it.

    A payee whose own trust list denies it, or its bank, knew; the list is in the invoice, so its payer could know.
    """
    bank = draft.participant(payee.bank)
    denied_s = (draft.denied_at_s(payee.id), bank.dismissed_at_s if bank else None)
    revoked_at_s = min([time_s for time_s in denied_s if time_s], default=None)
    if revoked_at_s is None or terms.trust_list_s <= revoked_at_s:
        return None
    return CertificateRevoked(
        "the payee's certificate was revoked, or its bank dismissed", payee=payee.id, revoked_at_s=revoked_at_s
    )


def _put_void(draft: Draft, names: list[bytes], tokens: list[OfflineToken], barred: list[bytes]) -> list[bytes]:
    """Let the outputs of a payment at fault stand as void; the names of those that were not there before.

    Whoever paid or took them is ``barred``: he has what he spent still, or could know, so no later payment makes good
    money of them for him. Keys, since a purse may be known under several certificates.
    """
    fresh = [(name, token) for name, token in zip(names, tokens, strict=True) if draft.offline(name) is None]
    for name, token in fresh:
        draft.put_offline(name, replace(token, barred=barred))
    return [name for name, _ in fresh]


def _stands_void(draft: Draft, message: Verified) -> CertificateRevoked | None:
    """A payment at fault that somebody continued from stays so, though a later policy would let it count.

    What stands behind it was charged to its acceptor, and its outputs are spent: made again they would be spent twice.
    """
    for index in range(len(offline_transfer(message)[0].outputs)):
        made = draft.offline(outpoint(message.id, index))
        if made is not None and made.void and made.spenders:
            return CertificateRevoked("the payment was at fault as it came, and stays void", id=message.id)
    return None


def _revocation(draft: Draft, payer: Certificate, terms: OfflineTerms, time_s: int) -> CertificateRevoked | None:
    """Rule 5: a revoked purse's payment counts if its payee could not know yet and it arrives in time.

    Else its acceptor is at fault, and this is why.

    A list of the very second of the revocation may have been signed before it, so it counts as older; otherwise two
    honest payees of one second would fare differently by the order in which their evidence arrives.
    """
    revoked_at_s = draft.denied_at_s(payer.id)
    if revoked_at_s is None:
        return None
    deadline_s = revoked_at_s + draft.trust_list_days(terms.ledger_time_s) * DAY_S
    if terms.trust_list_s <= revoked_at_s and time_s <= deadline_s:
        return None
    return CertificateRevoked(
        "the payer's purse was revoked", revoked_at_s=revoked_at_s, trust_list_s=terms.trust_list_s, until_s=deadline_s
    )
