"""A bank's desk: enrols customers, hands tenge to them, keeps its reserve, denies lost purses."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Final, Protocol

from cbdc.errors import CertificateRevoked, NotEnrolled
from cbdc.formats import certificates
from cbdc.formats.certificates import Holder, Merchant, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Enrol, Redeem, Reserve, Revoke, Transfer
from cbdc.messages.message import Body, build
from cbdc.offline.documents import TrustList
from cbdc.policy import DAY_S, Policy
from cbdc.service.founding import Governor
from wallet.customer import VALID_FOR_S
from wallet.port import LedgerPort
from wallet.selection import Coin, Selection, pick

CERTIFICATE_DAYS: Final = 730


@dataclass(frozen=True, slots=True)
class _Customer:
    """What a bank knows of a customer and writes into his certificates."""

    subject: str
    holder: Holder
    merchant: Merchant | None
    tier: int


class Enrollee(Protocol):
    """Whoever comes to be enrolled: two public keys, and where the certificates go."""

    @property
    def online_key(self) -> bytes: ...

    @property
    def purse_key(self) -> bytes: ...

    def install(self, wallet_certificate: bytes, purse_certificate: bytes, trust_list: bytes) -> None: ...


class Returning(Protocol):
    """A customer who comes with a new secure element."""

    @property
    def online_key(self) -> bytes: ...

    @property
    def purse_key(self) -> bytes: ...

    def retired_keys(self) -> list[bytes]: ...

    def install_purse(self, purse_certificate: bytes, trust_list: bytes) -> None: ...


class BankDesk:
    """What a second-tier bank does on the ledger, with its own key."""

    def __init__(self, name: str, key: SigningKey, network: bytes) -> None:
        self.name = name
        self.key = key
        self.network = network

    def enrol(
        self,
        port: LedgerPort,
        customer: Enrollee,
        subject: str,
        *,
        holder: Holder = Holder.PERSON,
        merchant: Merchant | None = None,
        tier: int = 1,
    ) -> Receipt:
        """Certify a customer's online key and purse, with the policy's limits, and register both."""
        now_s = port.ledger_time_s()
        known = _Customer(subject, holder, merchant, tier)
        wallet = self._certify(known, now_s, customer.online_key)
        limits = _purse_limits(port.policy())
        purse = self._certify(known, now_s, customer.purse_key, limits, customer.online_key)
        receipt = self._do(port, Kind.ENROL, Enrol((wallet, purse)))
        customer.install(wallet, purse, port.trust_list())
        return receipt

    def check_may_replace(self, port: LedgerPort, subject: str) -> None:
        """Ask before a customer goes over to a new element: the ledger would refuse the certificate for it.

        Raises:
            CertificateRevoked: the account owes for a fork.
        """
        account = f"{self.name}/{subject}"
        debt_tiyn = port.debt_tiyn(account)
        if debt_tiyn:
            raise CertificateRevoked("the account owes for a fork", account=account, debt_tiyn=debt_tiyn)

    def replace_purse(self, port: LedgerPort, customer: Returning, reference: str = "replaced") -> bytes:
        """Certify the key of a customer's new element, then deny those that it replaces; the purse's certificate.

        The customer is who he was: his wallet's certificate on the ledger says it. May be repeated after a power cut.

        Raises:
            CertificateRevoked: the account owes for a fork, or its wallet is denied. NotEnrolled: nobody's customer.
        """
        owner, _ = certificates.unverified(port.certificate_bytes(customer.online_key), self.network)
        key = customer.purse_key
        try:
            purse = port.certificate_bytes(key)
        except NotEnrolled:
            known = _Customer(owner.subject, owner.holder, owner.merchant, owner.tier)
            purse = self._certify(known, port.ledger_time_s(), key, _purse_limits(port.policy()), owner.key)
            self._do(port, Kind.ENROL, Enrol((purse,)))
        for retired in customer.retired_keys():
            if self._is_in_force(port, retired):
                self.revoke(port, retired, reference)
        customer.install_purse(purse, port.trust_list())
        return purse

    def renew_purse(self, port: LedgerPort, customer: Returning, allowances: Mapping[bytes, int]) -> Receipt:
        """A new certificate for the same purse, with what sponsors allow it to pay without the ledger's memory (tiyn).

        Raises:
            NotSponsor: a sponsor allows less. NotEnrolled: nobody's customer.
        """
        owner, _ = certificates.unverified(port.certificate_bytes(customer.online_key), self.network)
        known = _Customer(owner.subject, owner.holder, owner.merchant, owner.tier)
        limits = replace(_purse_limits(port.policy()), allowances=tuple(sorted(allowances.items())))
        now_s = port.ledger_time_s()
        purse = self._certify(known, now_s, customer.purse_key, limits, owner.key)
        receipt = self._do(port, Kind.ENROL, Enrol((purse,)))
        customer.install_purse(purse, port.trust_list())
        return receipt

    def _certify(
        self,
        known: _Customer,
        now_s: int,
        key: bytes,
        limits: PurseLimits | None = None,
        online_key: bytes | None = None,
    ) -> bytes:
        """A wallet's certificate, or with ``limits`` and ``online_key`` a purse's."""
        return certificates.issue(
            self.key,
            self.network,
            bank=self.name,
            subject=known.subject,
            key=key,
            issued_s=now_s,
            expires_s=now_s + CERTIFICATE_DAYS * DAY_S,
            holder=known.holder,
            tier=known.tier,
            merchant=known.merchant,
            limits=limits,
            online_key=online_key,
        )

    def _is_in_force(self, port: LedgerPort, key: bytes) -> bool:
        """Whether a key was ever certified, and is not denied."""
        try:
            certificate, _ = certificates.unverified(port.certificate_bytes(key), self.network)
        except NotEnrolled:
            return False
        return certificate.id not in TrustList.verify(port.trust_list(), self.network).revoked

    def fund(self, port: LedgerPort, payee: bytes, amount_tiyn: int) -> Receipt:
        """Hand tenge to a customer's online key."""
        chosen = self._pick(port, amount_tiyn, payee)
        return self._do(port, Kind.TRANSFER, Transfer(chosen.inputs, chosen.outputs, self._until_s(port)))

    def top_up(self, port: LedgerPort, amount_tiyn: int) -> Receipt:
        """Set tenge aside for the forks of this bank's purses."""
        chosen = self._pick(port, amount_tiyn, b"")
        body = Reserve(chosen.inputs, chosen.outputs[1:], self._until_s(port), amount_tiyn)
        return self._do(port, Kind.RESERVE, body)

    def redeem(self, port: LedgerPort, governor: Governor, amount_tiyn: int) -> Receipt:
        """Give tenge back to the governor, who signs as well."""
        chosen = self._pick(port, amount_tiyn, b"")
        body = Redeem(chosen.inputs, chosen.outputs[1:], self._until_s(port), amount_tiyn)
        return port.submit(build(Kind.REDEEM, body, [self.key, governor.key], self.network))

    def revoke(self, port: LedgerPort, purse_key: bytes, reference: str) -> Receipt:
        """Put a purse's certificate on the deny-list."""
        certificate, _ = certificates.unverified(port.certificate_bytes(purse_key), self.network)
        return self._do(port, Kind.REVOKE, Revoke(certificate.id, reference))

    def online_tiyn(self, port: LedgerPort) -> int:
        """The bank's own online tenge."""
        return sum(token.amount_tiyn for token in port.tokens_of([self.key.public]).values())

    def _pick(self, port: LedgerPort, amount_tiyn: int, payee: bytes) -> Selection:
        """Tokens for an amount: the first output is the amount itself, the rest change."""
        tokens = port.tokens_of([self.key.public])
        coins = [Coin(name, token.amount_tiyn, token.purpose) for name, token in tokens.items()]
        return pick({None: amount_tiyn}, coins, payee, self.key.public)

    def _until_s(self, port: LedgerPort) -> int:
        return port.ledger_time_s() + VALID_FOR_S

    def _do(self, port: LedgerPort, kind: Kind, body: Body) -> Receipt:
        return port.submit(build(kind, body, [self.key], self.network))


def _purse_limits(policy: Policy) -> PurseLimits:
    return PurseLimits(
        policy.offline_holding_tiyn, policy.offline_payment_tiyn, policy.offline_spends, policy.offline_hops
    )
