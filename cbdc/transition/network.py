"""Who takes part and under which rules: genesis, admit, dismiss, policy, enrol, revoke."""

from __future__ import annotations

from typing import Final

from cbdc.errors import (
    CertificateExpired,
    CertificateRevoked,
    LimitHolding,
    LimitHops,
    LimitPayment,
    LimitSpends,
    NotEnrolled,
    NotSponsor,
    Replayed,
    RoleRefused,
)
from cbdc.formats import x509
from cbdc.formats.certificates import Certificate
from cbdc.formats.x509 import Role
from cbdc.messages.bodies import Admit, Dismiss, Enrol, Genesis, Revoke, SetPolicy
from cbdc.messages.message import Verified
from cbdc.state.records import Enrolment, HolderKind, KeyHolder, Network, Participant
from cbdc.transition import guards
from cbdc.transition.draft import Draft


def genesis(draft: Draft, verified: Verified, body: Genesis, time_s: int) -> None:
    """Found the network: root and operator under the governor's own certificate."""
    if draft.has_network():
        raise Replayed("the ledger has a genesis already")
    if verified.signers != {body.root.key}:
        raise RoleRefused("genesis is signed by the root that it names")
    if body.root.role is not Role.GOVERNOR or body.operator.role is not Role.OPERATOR:
        raise RoleRefused("genesis names a governor and an operator")
    draft.put_network(Network(body.name, body.root.key, body.operator.name))
    for institution in (body.root, body.operator):
        _admit(draft, institution, body.root.key, time_s)
    draft.put_policy(body.policy)
    draft.once(verified.id)


_ADMITTED: Final = frozenset({Role.BANK, Role.ORACLE, Role.APPROVER})


def admit(draft: Draft, verified: Verified, body: Admit, time_s: int) -> None:
    """The governor admits a bank, an oracle or an approver."""
    guards.signed_by_root(draft, verified.signers)
    guards.not_done(draft, verified.id)
    if body.institution.role not in _ADMITTED:
        raise RoleRefused("no such role is admitted after genesis", found=body.institution.role.value)
    _admit(draft, body.institution, draft.network().root_key, time_s)
    draft.once(verified.id)


def _admit(draft: Draft, institution: x509.Institution, root_key: bytes, time_s: int) -> None:
    x509.verify_issued_by(institution, root_key)
    if not institution.not_before_s <= time_s < institution.not_after_s:
        raise CertificateExpired("X.509 certificate is not valid now", name=institution.name, now=time_s)
    if draft.participant(institution.name) is not None or draft.holder(institution.key) is not None:
        raise Replayed("the name or the key is taken", name=institution.name)
    guards.is_no_payment(draft, institution.key)
    role, expires_s = institution.role.value, institution.not_after_s
    draft.put_participant(Participant(institution.name, role, institution.key, expires_s, institution.der, 0))


def dismiss(draft: Draft, verified: Verified, body: Dismiss, time_s: int) -> None:
    """The governor withdraws an admission; what the institution signs, and certified, is trusted no longer."""
    guards.signed_by_root(draft, verified.signers)
    guards.not_done(draft, verified.id)
    found = draft.participant(body.name)
    if found is None or not any(found.is_active(role) for role in _ADMITTED):
        raise NotEnrolled("no such admitted institution", name=body.name)
    draft.put_participant(Participant(found.name, found.role, found.key, found.expires_s, found.der, time_s))
    draft.once(verified.id)


def set_policy(draft: Draft, verified: Verified, body: SetPolicy, time_s: int) -> None:
    """The governor replaces the policy."""
    guards.signed_by_root(draft, verified.signers)
    guards.not_done(draft, verified.id)
    before = draft.past_list_days()
    past = before.changed(draft.policy().trust_list_days, body.policy.trust_list_days, time_s)
    if past != before:
        draft.put_past_list_days(past)
    draft.put_policy(body.policy)
    draft.once(verified.id)


def enrol(draft: Draft, verified: Verified, body: Enrol, time_s: int) -> None:
    """Register certificates; a purse's comes after its owner's wallet certificate."""
    bank = guards.active_bank(draft, guards.only_signer(verified.signers), time_s)
    guards.not_done(draft, verified.id)
    for raw, certificate in zip(body.raw, verified.certificates, strict=True):
        if certificate.bank != bank.name:
            raise RoleRefused("a bank enrols its own customers", found=certificate.bank, wanted=bank.name)
        if time_s >= certificate.expires_s:
            raise CertificateExpired("certificate has expired already", account=certificate.account)
        _check_key_is_free(draft, certificate)
        if certificate.limits is not None:
            _check_purse(draft, certificate)
        kind = HolderKind.WALLET if certificate.limits is None else HolderKind.PURSE
        if draft.enrolment(certificate.id) is not None:
            raise Replayed("the certificate is registered already", certificate=certificate.id)
        before = draft.holder(certificate.key)
        draft.put_enrolment(certificate.id, Enrolment(raw, before.reference if before else None))
        draft.put_holder(certificate.key, KeyHolder(kind, certificate.id, certificate.expires_s, 0))
    draft.once(verified.id)


def _check_key_is_free(draft: Draft, certificate: Certificate) -> None:
    """A key is enrolled once, or renewed for the same account and kind while it is not revoked; it is no payment's."""
    guards.is_no_payment(draft, certificate.key)
    holder = draft.holder(certificate.key)
    if holder is None:
        return
    if holder.revoked_at_s:
        raise CertificateRevoked("a revoked key is not enrolled again", key=certificate.key)
    if holder.kind == HolderKind.INSTITUTION:
        raise RoleRefused("the key is an institution's", key=certificate.key)
    before = draft.certificate(holder.reference)
    if before.account != certificate.account or (before.limits is None) != (certificate.limits is None):
        raise RoleRefused("the key is another account's", key=certificate.key)


def _check_purse(draft: Draft, certificate: Certificate) -> None:
    """A purse returns its money to its own account's wallet and keeps within the policy."""
    online = draft.certificate_of(certificate.online_key or b"", HolderKind.WALLET)
    guards.enrolled(draft, online.key)
    if online.account != certificate.account:
        raise RoleRefused("a purse returns to its own account's key", found=online.account)
    guards.owes_nothing(draft, certificate.account)
    limits, policy = certificate.limits, draft.policy()
    if limits is None:
        return
    _check_limit(LimitHolding, limits.holding_tiyn, policy.offline_holding_tiyn)
    _check_limit(LimitPayment, limits.payment_tiyn, policy.offline_payment_tiyn)
    _check_limit(LimitSpends, limits.spends, policy.offline_spends)
    _check_limit(LimitHops, limits.hops, policy.offline_hops)
    for purpose, amount_tiyn in limits.allowances:
        allowed_tiyn = draft.allowance(purpose, certificate.account).amount_tiyn
        if amount_tiyn > allowed_tiyn:
            raise NotSponsor("the sponsor allows this account less", purpose=purpose, limit=allowed_tiyn)


_Limit = type[LimitHolding] | type[LimitPayment] | type[LimitSpends] | type[LimitHops]


def _check_limit(error: _Limit, found: int, limit: int) -> None:
    if found > limit:
        raise error("a purse's limit is above the policy", found=found, limit=limit)


def revoke(draft: Draft, verified: Verified, body: Revoke, time_s: int) -> None:
    """A bank denies one of its certificates; from the next trust list on, devices know."""
    bank = guards.active_bank(draft, guards.only_signer(verified.signers), time_s)
    guards.not_done(draft, verified.id)
    if draft.certificate(body.certificate).bank != bank.name:
        raise RoleRefused("a bank revokes its own certificates", wanted=bank.name)
    revoke_certificate(draft, body.certificate, time_s)
    draft.once(verified.id)


def revoke_certificate(draft: Draft, certificate_id: bytes, time_s: int) -> None:
    """Put a key on the deny-list, with every certificate that it ever had; nothing if it is there."""
    key = draft.certificate(certificate_id).key
    holder = draft.holder(key)
    if holder is None or holder.revoked_at_s:
        return
    draft.put_holder(key, KeyHolder(holder.kind, holder.reference, holder.expires_s, time_s))
    denied: bytes | None = holder.reference
    while denied is not None:
        draft.deny(denied, time_s)
        enrolment = draft.enrolment(denied)
        denied = enrolment.previous if enrolment else None
