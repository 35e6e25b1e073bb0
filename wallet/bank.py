"""A bank's desk: enrols customers, hands tenge to them, keeps its reserve, denies lost purses."""

from __future__ import annotations

from typing import Final, Protocol

from cbdc.formats import certificates
from cbdc.formats.certificates import Holder, Merchant, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.log.receipts import Receipt
from cbdc.messages.bodies import Enrol, Redeem, Reserve, Revoke, Transfer
from cbdc.messages.message import Body, build
from cbdc.policy import DAY_S
from cbdc.service.founding import Governor
from wallet.customer import VALID_FOR_S
from wallet.port import LedgerPort
from wallet.selection import Coin, Selection, pick

CERTIFICATE_DAYS: Final = 730


class Enrollee(Protocol):
    """Whoever comes to be enrolled: two public keys, and where the certificates go."""

    @property
    def online_key(self) -> bytes: ...

    @property
    def purse_key(self) -> bytes: ...

    def install(self, wallet_certificate: bytes, purse_certificate: bytes, trust_list: bytes) -> None: ...


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
        policy, now_s = port.policy(), port.ledger_time_s()
        limits = PurseLimits(
            policy.offline_holding_tiyn, policy.offline_payment_tiyn, policy.offline_spends, policy.offline_hops
        )

        def certify(key: bytes, limits: PurseLimits | None, online_key: bytes | None) -> bytes:
            return certificates.issue(
                self.key,
                self.network,
                bank=self.name,
                subject=subject,
                key=key,
                issued_s=now_s,
                expires_s=now_s + CERTIFICATE_DAYS * DAY_S,
                holder=holder,
                tier=tier,
                merchant=merchant,
                limits=limits,
                online_key=online_key,
            )

        wallet = certify(customer.online_key, None, None)
        purse = certify(customer.purse_key, limits, customer.online_key)
        receipt = port.submit(build(Kind.ENROL, Enrol((wallet, purse)), [self.key], self.network))
        customer.install(wallet, purse, port.trust_list())
        return receipt

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
