"""The guards that several entries share. Each either returns what it looked up or raises its own error."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from cbdc.errors import (
    CertificateExpired,
    CertificateRevoked,
    DoubleSpend,
    Expired,
    LimitHolding,
    NotEnrolled,
    NotOwner,
    Replayed,
    RoleRefused,
)
from cbdc.formats.certificates import Certificate
from cbdc.formats.tokens import Output, outpoint
from cbdc.formats.x509 import Role
from cbdc.limits import MAX_AMOUNT_TIYN
from cbdc.messages.bodies import Spend
from cbdc.messages.message import Verified
from cbdc.purposes.rules import Mark
from cbdc.state.records import HolderKind, KeyHolder, Participant, Supply, Token
from cbdc.transition.draft import Draft

# --- signatures, certificates and roles --------------------------------------------------------


def signed_by_root(draft: Draft, signers: frozenset[bytes]) -> None:
    """Only the governor may do this.

    Raises:
        RoleRefused: signed by another, or by more.
    """
    if signers != {draft.network().root_key}:
        raise RoleRefused("only the governor may do this")


def only_signer(signers: frozenset[bytes]) -> bytes:
    """The one key that signed.

    Raises:
        RoleRefused: several did.
    """
    if len(signers) != 1:
        raise RoleRefused("signed by more than one key", found=len(signers), wanted=1)
    return next(iter(signers))


def active_bank(draft: Draft, key: bytes, time_s: int) -> Participant:
    """The admitted bank whose key this is. Raises as `active_institution`."""
    return active_institution(draft, key, Role.BANK, time_s)


def enrolled(draft: Draft, key: bytes) -> KeyHolder:
    """Whose a key is; it must be on the ledger and not on the deny-list.

    Raises:
        NotEnrolled: nobody's. CertificateRevoked: a revoked certificate's or a dismissed institution's.
    """
    holder = draft.holder(key)
    if holder is None:
        raise NotEnrolled("key is not enrolled", key=key)
    if holder.revoked_at_s:
        raise CertificateRevoked("certificate is revoked", key=key, revoked_at_s=holder.revoked_at_s)
    return holder


def name_of(draft: Draft, key: bytes) -> str:
    """Whose a key is, revoked or not, in words: ``bank/subject``, or an institution's name.

    Raises:
        NotEnrolled: it is nobody's.
    """
    holder = draft.holder(key)
    if holder is None:
        raise NotEnrolled("key is not enrolled", key=key)
    if holder.kind == HolderKind.INSTITUTION:
        return holder.reference.decode()
    return draft.certificate(holder.reference).account


def vouched_for(draft: Draft, key: bytes) -> tuple[str, Certificate | None]:
    """Whose a payee's or approver's key is, and what his bank says of him, for conditions; None for an institution.

    Raises:
        NotEnrolled, CertificateRevoked: see `enrolled`; or the bank that says so is no longer admitted.
    """
    holder = enrolled(draft, key)
    if holder.kind == HolderKind.INSTITUTION:
        return holder.reference.decode(), None
    certificate = draft.certificate(holder.reference)
    bank = draft.participant(certificate.bank)
    if bank is None or not bank.is_active(Role.BANK):
        raise CertificateRevoked("the bank behind the key is no longer admitted", key=key, bank=certificate.bank)
    return certificate.account, certificate


def active_institution(draft: Draft, key: bytes, role: Role, time_s: int) -> Participant:
    """The admitted institution of this role whose key this is.

    Raises:
        RoleRefused: no such one's key, or a dismissed one's. CertificateExpired: its X.509 has run out.
    """
    holder = draft.holder(key)
    found = draft.participant(holder.reference.decode()) if holder and holder.kind == HolderKind.INSTITUTION else None
    if found is None or not found.is_active(role):
        raise RoleRefused(f"only an admitted {role.value} may do this", key=key)
    if time_s >= found.expires_s:
        raise CertificateExpired("the institution's X.509 certificate has expired", name=found.name)
    return found


def may_hold_online(draft: Draft, outputs: Iterable[Output], time_s: int) -> None:
    """Online tokens belong to enrolled wallets and admitted institutions, never to a purse's key.

    Raises:
        NotEnrolled, CertificateRevoked: see `enrolled`; a purse key counts as not enrolled for this.
        CertificateExpired: the owner's certificate has run out; its bank can renew it.
    """
    for owner in dict.fromkeys(output.owner for output in outputs):
        holder = enrolled(draft, owner)
        if holder.kind == HolderKind.PURSE:
            raise NotEnrolled("a purse's key holds no online tokens", key=owner)
        if time_s >= holder.expires_s:
            raise CertificateExpired("the owner's certificate has expired", key=owner, expired_s=holder.expires_s)


def may_spend(draft: Draft, signers: Iterable[bytes]) -> None:
    """Whoever signs a spend is enrolled and not on the deny-list: a revoked key's money stands still.

    Raises:
        NotEnrolled, CertificateRevoked: see `enrolled`.
    """
    for key in sorted(signers):
        enrolled(draft, key)


def owes_nothing(draft: Draft, account: str) -> None:
    """An account gets no new purse while one of its purses owes for a fork.

    Raises:
        CertificateRevoked: one does; ``debt_tiyn`` says how much.
    """
    for purse_key in draft.debtor(account).purses:
        culprit = draft.culprit(purse_key)
        if culprit is not None and culprit.debt_tiyn:
            raise CertificateRevoked("the account owes for a fork", account=account, debt_tiyn=culprit.debt_tiyn)


def is_no_payment(draft: Draft, key: bytes) -> None:
    """A key that is enrolled is not the id of a payment that waits or has lapsed: its escrow is nobody's.

    Raises:
        Replayed: it is one.
    """
    if draft.waiting(key) is not None:
        raise Replayed("the key is a payment's", key=key)


# --- time and spending -------------------------------------------------------------------------


def not_done(draft: Draft, message_id: bytes) -> None:
    """A message without inputs counts once.

    Raises:
        Replayed: it was done before.
    """
    if draft.is_done(message_id):
        raise Replayed("this message has been carried out before", id=message_id)


def still_valid(spend: Spend, time_s: int) -> None:
    """The signers bounded how long they meant it.

    Raises:
        Expired: the bound has passed.
    """
    if time_s > spend.valid_until_s:
        raise Expired("the message is no longer valid", found=time_s, limit=spend.valid_until_s)


def unspent(draft: Draft, outpoints: Sequence[bytes]) -> list[Token]:
    """The online tokens that these outpoints name, all unspent.

    Raises:
        DoubleSpend: one was spent; ``winner`` is the index of the entry that spent it.
        NotOwner: one never was an online token.
    """
    tokens = []
    for name in outpoints:
        token = draft.token(name)
        if token is None:
            consumers = draft.view.consumers_of(name)
            if not consumers:
                raise NotOwner("no such token", outpoint=name)
            winner = consumers[0]
            raise DoubleSpend(
                "the token was spent already", outpoint=name, winner=winner.entry_index, by=winner.message_id
            )
        tokens.append(token)
    return tokens


def owned_by_signers(tokens: Sequence[Token], signers: frozenset[bytes]) -> None:
    """Every owner of an input signed, and nobody else.

    Raises:
        NotOwner: an owner's signature lacks, or a stranger's is there.
    """
    owners = {token.owner for token in tokens}
    if owners != signers:
        raise NotOwner("signed by others than the owners", owners=len(owners), signers=len(signers))


def own_tokens(draft: Draft, verified: Verified, body: Spend, time_s: int) -> list[Token]:
    """The unspent tokens that their owners, and nobody else, spend into outputs that may be held online.

    Raises:
        NotEnrolled, CertificateRevoked, CertificateExpired, Expired, DoubleSpend, NotOwner: from the guards above.
    """
    may_spend(draft, verified.signers)
    may_hold_online(draft, body.outputs, time_s)
    still_valid(body, time_s)
    tokens = unspent(draft, body.inputs)
    owned_by_signers(tokens, verified.signers)
    return tokens


# --- amounts and limits ------------------------------------------------------------------------


def within_holding(draft: Draft, certificate: Certificate, added_tiyn: int) -> None:
    """A purse may not be given more than its limit, as far as the ledger knows what it holds and may spend.

    Raises:
        LimitHolding: it would hold more.
    """
    limit_tiyn = certificate.limits.holding_tiyn if certificate.limits else 0
    culprit = draft.culprit(certificate.key)
    held_tiyn = draft.live_tiyn_of(certificate.key)
    held_tiyn -= culprit.seized_tiyn if culprit else 0
    if held_tiyn + added_tiyn > limit_tiyn:
        raise LimitHolding("the purse would hold too much", found=held_tiyn + added_tiyn, limit=limit_tiyn)


def within_supply(supply: Supply, added_tiyn: int) -> None:
    """All money together stays below the bound on one amount.

    Raises:
        LimitHolding: it would not.
    """
    issued_tiyn = supply.issued_tiyn - supply.redeemed_tiyn + added_tiyn
    if issued_tiyn > MAX_AMOUNT_TIYN:
        raise LimitHolding("the supply would be too large", found=issued_tiyn, limit=MAX_AMOUNT_TIYN)


# --- effects -----------------------------------------------------------------------------------


def consume_all(draft: Draft, outpoints: Iterable[bytes], message_id: bytes) -> None:
    """Take these tokens out of the unspent set."""
    for name in outpoints:
        draft.consume(name, message_id)


def create_all(
    draft: Draft, message_id: bytes, outputs: Sequence[Output], marks: Sequence[Mark | None] | None = None
) -> None:
    """Make one online token of each output; ``marks`` says what it bears, None that all of them are free."""
    for index, output in enumerate(outputs):
        mark = None if marks is None else marks[index]
        draft.create(outpoint(message_id, index), token_of(output, mark))


def token_of(output: Output, mark: Mark | None) -> Token:
    """An output's online token under a mark."""
    return Token(output.owner, output.amount_tiyn, *(mark or (None, None)))
