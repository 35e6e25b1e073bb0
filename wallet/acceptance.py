"""What a payee's purse checks before it takes a payment: a function of bytes, its own knowledge and the pinned root.

The steps, in order; the code below carries their numbers:

1. form and size of everything in the bundle
2. signatures: certificates by banks on the trust list, load certificates by the operator, every payment
3. certificates: the payer's is not on the deny-list; the payment is for this purse's own open invoice
4. time: the device's own clock and the latest signed ledger time are before every deadline
5. spent or not: within the bundle, and against all that this purse has ever seen
6. amounts, limits and purposes of every hop, by the ledger's own judgement (`cbdc.offline.judge`)
7. amount and headroom against the invoice

A release (`check_release`) takes the same steps, but that it answers no invoice: it must give back a payment that
this purse made, by a trust list that this purse has heard of (the releaser himself names it), and asks for no
headroom: the purse had that room when it paid, and what its payee has signed away comes back by the ledger in any case.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

from cbdc.errors import (
    AmountMismatch,
    AncestryBroken,
    BadSignature,
    DoubleSpend,
    Expired,
    LimitHolding,
    Malformed,
    NotEnrolled,
    TengeError,
    TrustListStale,
    WrongPayee,
)
from cbdc.formats import certificates
from cbdc.formats.certificates import Certificate
from cbdc.formats.hashing import HASH_BYTES
from cbdc.formats.tokens import outpoint
from cbdc.messages.bodies import OfflineTerms, Transfer
from cbdc.messages.message import Verified, decode, verify
from cbdc.offline.documents import LoadCertificate, TrustList
from cbdc.offline.judge import Parties, is_release, judge
from cbdc.policy import DAY_S, Policy
from cbdc.purposes.definition import Definition
from cbdc.state.records import OfflineToken
from wallet.protocol import Invoice, PaymentBundle


@dataclass(frozen=True, slots=True)
class Knowledge:
    """What a device knows without a network. ``spender_of`` is the payment it has seen spending an outpoint."""

    network: bytes
    trust_list: TrustList
    policy: Policy
    certificate: Certificate
    definition_of: Callable[[bytes], Definition]
    spender_of: Callable[[bytes], bytes | None]
    clock_s: int
    ledger_time_s: int
    headroom_tiyn: int

    @property
    def now_s(self) -> int:
        """The latest time this device knows of: its own clock's or one that it has seen signed."""
        return max(self.clock_s, self.ledger_time_s)

    def check_trust_list_fresh(self) -> None:
        """Raises TrustListStale if this device has not had a list for longer than the policy allows."""
        age_s = self.clock_s - self.trust_list.time_s
        if age_s > self.policy.trust_list_days * DAY_S:
            raise TrustListStale("this device must sync first", age_s=age_s, limit_days=self.policy.trust_list_days)


@dataclass(frozen=True, slots=True)
class Hop:
    """One verified payment of a bundle and the tokens that it made."""

    id: bytes
    raw: bytes
    transfer: Transfer
    terms: OfflineTerms
    tokens: tuple[OfflineToken, ...]


@dataclass(frozen=True, slots=True)
class Accepted:
    """A payment that passed every check: its hops, ancestors first, and the tokens that are now the payee's."""

    id: bytes
    payer: Certificate
    hops: tuple[Hop, ...]
    loads: dict[bytes, bytes]
    mine: dict[bytes, OfflineToken]
    amount_tiyn: int


def verified_certificate(raw: bytes, know: Knowledge) -> Certificate:
    """A certificate by a bank on the trust list.

    Raises:
        FormError; NotEnrolled: by nobody whom this device trusts.
    """
    claimed, _ = certificates.unverified(raw, know.network)
    try:
        return certificates.verify(raw, know.network, know.trust_list.bank_key(claimed.bank))
    except BadSignature:
        raise NotEnrolled("the certificate is not by the bank that it names", bank=claimed.bank) from None


def check(bundle: PaymentBundle, invoice_of: Callable[[bytes], Invoice | None], know: Knowledge) -> Accepted:
    """Accept a payment or refuse it with the first guard that fails.

    ``invoice_of`` finds this purse's own open invoice by its id.

    Raises:
        TengeError: which guard refused.
    """
    know.check_trust_list_fresh()
    evidence = _evidence(bundle, know)  # 1, 2
    payer, invoice = _own_invoice(evidence, know, invoice_of)  # 3
    _check_lines(evidence, invoice)
    accepted = _accepted(evidence, payer, know)  # 4 to 6
    if accepted.amount_tiyn != invoice.amount_tiyn:  # 7
        found, wanted = accepted.amount_tiyn, invoice.amount_tiyn
        raise AmountMismatch("not the amount that was asked for", found=found, wanted=wanted)
    room_tiyn = min(invoice.headroom_tiyn, know.headroom_tiyn)
    if accepted.amount_tiyn > room_tiyn:
        raise LimitHolding("the purse would hold too much", found=accepted.amount_tiyn, limit=room_tiyn)
    return accepted


def check_release(bundle: PaymentBundle, has_made: Callable[[bytes], bool], know: Knowledge) -> Accepted:
    """Take back what was paid, or refuse with the first guard that fails.

    ``has_made`` says whether this purse made the payment of an id.

    Raises:
        TengeError: which guard refused.
    """
    know.check_trust_list_fresh()
    evidence = _evidence(bundle, know)  # 1, 2
    transfer, terms = transfer_of(evidence.messages[-1])
    releaser = _payer(evidence, know)  # 3
    if not is_release(transfer, terms) or not has_made(terms.invoice_id):
        raise WrongPayee("it gives back no payment of this purse", found=terms.invoice_id)
    known_s = know.trust_list.time_s
    if terms.trust_list_s > known_s:
        # the ledger judges by the list that is named, and by that one the releaser may be denied: hear it first
        raise TrustListStale(
            "a release by a newer trust list: take that first", found=terms.trust_list_s, known=known_s
        )
    return _accepted(evidence, releaser, know)  # 4 to 6


def proven_fork(bundle: PaymentBundle, know: Knowledge) -> tuple[bytes, ...]:
    """The payments of a bundle that prove a fork, with those that lead up to them, ancestors first; () if none do.

    Each of them stands by itself: signed by the owner of what it spends, traced to load certificates, judged as the
    ledger judges it. So two that spend one token, or one that spends what this purse has seen spent otherwise, are a
    fork there too. What is only claimed, and what has nothing to do with it, is left out.

    Raises:
        TengeError: a signature in the bundle does not hold.
    """
    evidence = _evidence(bundle, know)
    tokens = {name: load.token for name, (load, _) in evidence.loads.items()}
    hops: list[Hop] = []
    for message, raw in zip(evidence.messages, evidence.raws, strict=True):
        try:
            hop = _judge(message, raw, tokens, evidence.certs, know)
        except TengeError:
            continue  # the ledger would refuse it as well
        tokens |= {outpoint(hop.id, index): token for index, token in enumerate(hop.tokens)}
        hops.append(hop)
    wanted = _forking(hops, know)
    for hop in reversed(hops):
        if hop.id in wanted:
            wanted |= {name[:HASH_BYTES] for name in hop.transfer.inputs}
    return tuple(hop.raw for hop in hops if hop.id in wanted)


def _forking(hops: list[Hop], know: Knowledge) -> set[bytes]:
    """Ids of payments that spend what another one spends."""
    spenders: dict[bytes, set[bytes]] = {}
    for hop in hops:
        for name in hop.transfer.inputs:
            seen = know.spender_of(name)
            spenders.setdefault(name, set()).update({hop.id} if seen is None else {hop.id, seen})
    return {payment_id for ids in spenders.values() if len(ids) > 1 for payment_id in ids}


# --- the steps ---------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Evidence:
    """A bundle whose every signature holds: payments with their bytes, the last one last; certificates; loads."""

    messages: list[Verified]
    raws: tuple[bytes, ...]
    certs: dict[bytes, Certificate]
    loads: dict[bytes, tuple[LoadCertificate, bytes]]


def _evidence(bundle: PaymentBundle, know: Knowledge) -> _Evidence:
    messages = _verified_messages(bundle, know)
    certs = {c.id: c for c in (verified_certificate(raw, know) for raw in bundle.certificates)}
    certs[know.certificate.id] = know.certificate
    return _Evidence(messages, (*bundle.ancestry, bundle.payment), certs, _verified_loads(bundle, know))


def _accepted(evidence: _Evidence, payer: Certificate, know: Knowledge) -> Accepted:
    tokens = {name: load.token for name, (load, _) in evidence.loads.items()}
    check_deadlines(tokens, know.now_s)
    _check_not_ahead(evidence.messages, know)
    _check_unspent(evidence.messages, know)
    hops = []
    for message, raw in zip(evidence.messages, evidence.raws, strict=True):
        hop = _judge(message, raw, tokens, evidence.certs, know)
        tokens |= {outpoint(hop.id, index): token for index, token in enumerate(hop.tokens)}
        hops.append(hop)
    made = {outpoint(hops[-1].id, index): token for index, token in enumerate(hops[-1].tokens)}
    mine = {name: token for name, token in made.items() if token.owner == know.certificate.key}
    amount_tiyn = sum(token.amount_tiyn for token in mine.values())
    loads = {name: raw for name, (_, raw) in evidence.loads.items()}
    return Accepted(hops[-1].id, payer, tuple(hops), loads, mine, amount_tiyn)


def transfer_of(message: Verified) -> tuple[Transfer, OfflineTerms]:
    """The body of an offline transfer.

    Raises:
        Malformed: it is something else.
    """
    if not isinstance(message.body, Transfer) or message.body.terms is None:
        raise Malformed("not an offline transfer", kind=message.kind.value)
    return message.body, message.body.terms


def _verified_messages(bundle: PaymentBundle, know: Knowledge) -> list[Verified]:
    """The payments, the final one last; a bundle lists ancestors before their descendants."""
    messages = [verify(decode(raw, know.network)) for raw in (*bundle.ancestry, bundle.payment)]
    for message in messages:
        transfer_of(message)
    return messages


def _verified_loads(bundle: PaymentBundle, know: Knowledge) -> dict[bytes, tuple[LoadCertificate, bytes]]:
    operator_key = know.trust_list.operator_key()
    loads = [(LoadCertificate.verify(raw, know.network, operator_key), raw) for raw in bundle.loads]
    return {load.outpoint: (load, raw) for load, raw in loads}


def _payer(evidence: _Evidence, know: Knowledge) -> Certificate:
    _, terms = transfer_of(evidence.messages[-1])
    payer = evidence.certs.get(terms.payer_certificate)
    if payer is None:
        raise NotEnrolled("the payer's certificate is not there")
    know.trust_list.check_not_revoked(payer.id)
    return payer


def _own_invoice(
    evidence: _Evidence, know: Knowledge, invoice_of: Callable[[bytes], Invoice | None]
) -> tuple[Certificate, Invoice]:
    payer = _payer(evidence, know)
    _, terms = transfer_of(evidence.messages[-1])
    invoice = invoice_of(terms.invoice_id)
    if terms.payee_certificate != know.certificate.id or invoice is None:
        raise WrongPayee("the payment answers no invoice of this purse", found=terms.invoice_id)
    if (terms.trust_list_s, terms.ledger_time_s) != (invoice.trust_list_s, invoice.ledger_time_s):
        raise WrongPayee("the payment does not repeat the invoice's times")
    return payer, invoice


def _check_lines(evidence: _Evidence, invoice: Invoice) -> None:
    """What a payment says is bought, if it says so, is what this purse has sold: a purpose may depend on it."""
    transfer, _ = transfer_of(evidence.messages[-1])
    if transfer.lines and transfer.lines != invoice.lines:
        raise WrongPayee("the payment states other goods than the invoice", invoice=invoice.id)


def check_deadlines(tokens: Mapping[bytes, OfflineToken], now_s: int) -> None:
    """Raises Expired if one of these tokens may no longer be spent."""
    for token in tokens.values():
        if now_s > token.spend_until_s:
            raise Expired("a token may no longer be spent offline", found=now_s, limit=token.spend_until_s)


def _check_not_ahead(messages: list[Verified], know: Knowledge) -> None:
    """A payment that names a time yet to come would be refused at the ledger, and this device would bear it."""
    for message in messages:
        named_s = transfer_of(message)[1].ledger_time_s
        if named_s > know.now_s:
            raise Malformed("a payment names a ledger time that has not come", found=named_s, now=know.now_s)


def _check_unspent(messages: list[Verified], know: Knowledge) -> None:
    """No outpoint is spent twice, here or compared with anything this device has seen."""
    spenders: dict[bytes, bytes] = {}
    for message in messages:
        for name in transfer_of(message)[0].inputs:
            other = spenders.setdefault(name, message.id)
            seen = know.spender_of(name)
            if other != message.id or (seen is not None and seen != message.id):
                raise DoubleSpend("two payments spend this token", outpoint=name, one=message.id, other=seen or other)


def _judge(
    message: Verified,
    raw: bytes,
    tokens: dict[bytes, OfflineToken],
    certs: dict[bytes, Certificate],
    know: Knowledge,
) -> Hop:
    transfer, terms = transfer_of(message)
    payer, payee = certs.get(terms.payer_certificate), certs.get(terms.payee_certificate)
    if payer is None or payee is None:
        raise NotEnrolled("a certificate in the ancestry is not there")
    missing = [name for name in transfer.inputs if name not in tokens]
    if missing:
        raise AncestryBroken("an input has neither a load certificate nor its payment", outpoint=missing[0])
    inputs = [tokens[name] for name in transfer.inputs]
    days = know.policy.trust_list_days
    made = judge(transfer, terms, message.signers, inputs, Parties(payer, payee), know.definition_of, days)
    return Hop(message.id, raw, transfer, terms, tuple(made))
