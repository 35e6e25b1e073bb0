"""What a purse keeps on its device: tokens, journals, and what it knows of the world outside."""

from __future__ import annotations

import hashlib
import logging
import os
from collections.abc import Callable, Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Final

from cbdc.errors import (
    FormError,
    NotEnrolled,
    PurposeRefused,
    TooLarge,
)
from cbdc.formats import cbor, certificates, cose
from cbdc.formats.certificates import Certificate
from cbdc.formats.cose import Signature
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_PROOF_PAYMENTS
from cbdc.messages.bodies import Transfer, Unload
from cbdc.messages.message import decode
from cbdc.offline.documents import TrustList
from cbdc.policy import Policy
from cbdc.purposes.definition import Definition
from cbdc.state.records import OfflineToken
from wallet import acceptance
from wallet.acceptance import Accepted, Knowledge
from wallet.ancestry import Ancestry
from wallet.element import SecureElement
from wallet.protocol import PaymentBundle, check_carried, read_invoice
from wallet.states import Event, Holding, Status, next_payee_state, next_payer_state
from wallet.vault import Vault

log = logging.getLogger(__name__)

_CERTIFICATE: Final = b"certificate"
_TRUST_LIST: Final = b"trust list"
_POLICY: Final = b"policy"
_LEDGER_TIME: Final = b"ledger time"
_WAITING: Final = b"waiting"


@dataclass(frozen=True, slots=True)
class Sent:
    """A payment this purse signed: the bytes that are shown again and again, and what became of it."""

    id: bytes
    payee: bytes
    account: str
    amount_tiyn: int
    bundle: bytes
    status: Status
    receipt: bytes | None

    @classmethod
    def of(cls, payment_id: bytes, value: cbor.Value) -> Sent:
        """The payment in a journal's record."""
        payee, account, amount_tiyn, bundle, status, receipt = value
        return cls(payment_id, payee, account, amount_tiyn, bundle, Status(status), receipt)

    def payment(self) -> bytes:
        """The signed transfer inside the bundle."""
        return PaymentBundle.own(self.bundle).payment

    def counter(self, network: bytes) -> int:
        """Which payment of its purse this is."""
        body = decode(self.payment(), network).body
        return body.terms.counter if isinstance(body, Transfer) and body.terms else 0


@dataclass(frozen=True, slots=True)
class Received:
    """A payment this purse stored: its receipt, who paid, what it spends, and what became of it."""

    id: bytes
    receipt: bytes
    account: str
    amount_tiyn: int
    ledger_time_s: int
    state: Holding
    inputs: tuple[bytes, ...]

    @classmethod
    def of(cls, payment_id: bytes, value: cbor.Value) -> Received:
        """The payment in a journal's record."""
        receipt, account, amount_tiyn, ledger_time_s, state, inputs = value
        return cls(payment_id, receipt, account, amount_tiyn, ledger_time_s, Holding(state), tuple(inputs))

    def fields(self) -> list[cbor.Value]:
        """The journal's record."""
        times = [self.amount_tiyn, self.ledger_time_s]
        return [self.receipt, self.account, *times, self.state.value, list(self.inputs)]


class PurseStore:
    """The storage of one device's purse, beside its secure element."""

    def __init__(
        self,
        vault: Vault,
        element: SecureElement,
        network: bytes,
        clock: Callable[[], int],
        random: Callable[[int], bytes] = os.urandom,
    ) -> None:
        self.vault = vault
        self.element = element
        self.network = network
        self.clock = clock
        self.random = random

    # --- what it knows -------------------------------------------------------------------------

    @property
    def certificate(self) -> Certificate:
        """The purse's own certificate. Raises NotEnrolled before `install`."""
        return certificates.unverified(self.certificate_raw, self.network)[0]

    @property
    def certificate_raw(self) -> bytes:
        raw: bytes | None = self.vault.get("purse", _CERTIFICATE)
        if raw is None:
            raise NotEnrolled("the purse has no certificate yet")
        return raw

    def install(self, certificate: bytes, trust_list: bytes) -> None:
        """Take the bank's certificate for the element's key. Raises what `SecureElement.install` does."""
        self.element.install(certificate, trust_list)
        with self.vault.together():
            self.vault.put("purse", _CERTIFICATE, certificate)
            self.vault.put("certificate", self.certificate.id, certificate)

    def begin_anew(self) -> None:
        """Forget what only the element before could act on; inside `Vault.together` with the change of elements.

        Evidence, journals of payments and what this device has seen spent stay: they need no element.
        """
        self.vault.drop("purse", _CERTIFICATE)
        self.vault.drop("purse", _WAITING)
        for space in ("token", "invoice", "intent", "releasing", "unload"):
            for name, _ in self.vault.items(space):
                self.vault.drop(space, name)

    def learn(self, trust_list: bytes, policy: Policy, purposes: dict[bytes, Definition]) -> None:
        """Take a newer trust list, the policy and the purposes. Raises BadSignature, Malformed."""
        fresh = TrustList.verify(trust_list, self.network)
        known = self.vault.get("purse", _TRUST_LIST)
        with self.vault.together():
            if known is None or TrustList.verify(known, self.network).time_s <= fresh.time_s:
                self._keep_list(fresh)
            self.vault.put("purse", _POLICY, policy.to_cbor())
            for purpose, definition in purposes.items():
                self.vault.put("purpose", purpose, definition.to_cbor())

    def hear(self, trust_list: bytes) -> bool:
        """Take a trust list that another device passes on, and with it the ledger time that it names; whether it was
        news. Who passes it on is nobody's concern: the operator has signed it.

        Raises:
            BadSignature, FormError: it is not of this network's operator.
        """
        fresh = TrustList.verify(trust_list, self.network)
        if fresh.time_s <= self.trust_list.time_s:
            return False
        with self.vault.together():
            self._keep_list(fresh)
        return True

    def _keep_list(self, fresh: TrustList) -> None:
        """A newer list, and with it the ledger time that it names; inside `Vault.together`."""
        self.vault.put("purse", _TRUST_LIST, fresh.raw)
        self.vault.put("purse", _LEDGER_TIME, max(fresh.time_s, self.ledger_time_s))

    def newer_list(self, invoice: bytes) -> bytes | None:
        """This device's trust list, to be passed on to a payee whose invoice names an older one.

        Raises:
            FormError, BadSignature: not an invoice.
        """
        is_newer = self.trust_list.time_s > read_invoice(invoice, self.network).trust_list_s
        return self.trust_list_raw() if is_newer else None

    @property
    def trust_list(self) -> TrustList:
        """The newest list this device has. Raises NotEnrolled if it never had one."""
        return TrustList.verify(self.trust_list_raw(), self.network)

    def trust_list_raw(self) -> bytes:
        """The newest list as the operator signed it. Raises NotEnrolled if this device never had one."""
        raw: bytes | None = self.vault.get("purse", _TRUST_LIST)
        if raw is None:
            raise NotEnrolled("the purse has never synced")
        return raw

    @property
    def policy(self) -> Policy:
        return Policy.from_cbor(self.vault.get("purse", _POLICY))

    @property
    def ledger_time_s(self) -> int:
        """The latest ledger time that this device has seen signed."""
        return int(self.vault.get("purse", _LEDGER_TIME) or 0)

    def definitions(self) -> dict[bytes, Definition]:
        """The purposes this device knows."""
        return {purpose: Definition.from_cbor(value) for purpose, value in self.vault.items("purpose")}

    def definition(self, purpose: bytes) -> Definition:
        value = self.vault.get("purpose", purpose)
        if value is None:
            raise PurposeRefused("this device does not know the purpose: sync first", purpose=purpose)
        return Definition.from_cbor(value)

    def knowledge(self) -> Knowledge:
        """All that judging a payment needs."""
        return Knowledge(
            network=self.network,
            trust_list=self.trust_list,
            policy=self.policy,
            certificate=self.certificate,
            definition_of=self.definition,
            spender_of=lambda name: self.vault.get("spender", name),
            clock_s=self.clock(),
            ledger_time_s=self.ledger_time_s,
            headroom_tiyn=self.headroom_tiyn(),
        )

    def headroom_tiyn(self) -> int:
        """How much more the purse may hold."""
        limits = self.certificate.limits
        return max(0, (limits.holding_tiyn if limits else 0) - self.balance_tiyn())

    # --- money ---------------------------------------------------------------------------------

    def tokens(self) -> dict[bytes, OfflineToken]:
        """What this device's storage holds, by outpoint."""
        return {name: OfflineToken(*fields) for name, fields in self.vault.items("token")}

    def spendable(self) -> dict[bytes, OfflineToken]:
        """What the purse can still spend or hand in.

        A storage rolled back may hold what its element has spent already, and a final token is online again.
        """
        now_s = max(self.clock(), self.ledger_time_s)
        held = self.tokens().items()
        return {n: token for n, token in held if token.final_at_s > now_s and not self.element.has_spent(n)}

    def balance_tiyn(self) -> int:
        return sum(token.amount_tiyn for token in self.spendable().values())

    def sent(self) -> list[Sent]:
        """Payments that this purse made."""
        return [Sent.of(payment_id, value) for payment_id, value in self.vault.items("sent")]

    def received(self) -> list[Received]:
        """Payments that this purse took."""
        return [Received.of(payment_id, value) for payment_id, value in self.vault.items("received")]

    def pending_tiyn(self) -> int:
        """What it has signed away without knowing the outcome."""
        now_s = max(self.clock(), self.ledger_time_s)
        waiting_tiyn = sum(tiyn for tiyn, final_at_s in self.waiting().values() if final_at_s > now_s)
        return waiting_tiyn + sum(sent.amount_tiyn for sent in self.sent() if sent.status is Status.PENDING)

    def waiting(self) -> dict[bytes, tuple[int, int]]:
        """Leaves that were signed away and that the ledger still called live at the last sync.

        By outpoint: how much of each is this purse's and counted nowhere else (tiyn), and when it is final (seconds).
        """
        return {name: (tiyn, final_at_s) for name, tiyn, final_at_s in self.vault.get("purse", _WAITING) or ()}

    def note_waiting(self, leaves: dict[bytes, tuple[int, int]]) -> None:
        """Write down what `waiting` says from now on."""
        if leaves != self.waiting():
            self.vault.put("purse", _WAITING, [[name, *value] for name, value in sorted(leaves.items())])

    def unloads(self) -> Iterator[Unload]:
        """Unloads that wait for their answer."""
        for _, (payload, *_) in self.vault.items("unload"):
            with suppress(FormError):  # one that cannot be read was never signed
                yield Unload.from_cbor(cbor.decode(payload))

    def swap(
        self, unload: bytes, gone: Iterable[bytes], tokens: dict[bytes, OfflineToken], loads: dict[bytes, bytes]
    ) -> None:
        """Put what an unload gave back, at hop 0 with load certificates, in place of what it spent; the unload is over.

        What else the purse holds stays: it may have come in while an interrupted unload waited for its answer.
        """
        with self.vault.together():
            for name in gone:
                self.vault.drop("token", name)
            for name, token in tokens.items():
                self.put_token(name, token)
            for name, raw in loads.items():
                self.vault.put("load", name, raw)
            self.vault.drop("unload", unload)

    def keep_only(self, live: Iterable[bytes]) -> None:
        """Forget tokens that the ledger says are not live; the others stay as they are."""
        alive = set(live)
        with self.vault.together():
            for name, _ in self.vault.items("token"):
                if name not in alive:
                    self.vault.drop("token", name)

    def add(self, name: bytes, token: OfflineToken, load: bytes) -> None:
        """Take one freshly loaded token."""
        with self.vault.together():
            self.put_token(name, token)
            self.vault.put("load", name, load)

    def put_token(self, name: bytes, token: OfflineToken) -> None:
        """Keep one token; inside `Vault.together` with whatever made it."""
        self.vault.put("token", name, [getattr(token, field) for field in OfflineToken.__match_args__])

    # --- journals ------------------------------------------------------------------------------

    def mark(self, payment_id: bytes, event: Event, receipt: bytes | None = None) -> Status:
        """Write down what happened to a payment that this purse made; its state now (`wallet.states`)."""
        value = self.vault.get("sent", payment_id)
        state = next_payer_state(Status(value[4]), event)
        self.vault.put("sent", payment_id, [*value[:4], state.value, receipt or value[5]])
        return state

    def mark_received(self, payment_id: bytes, event: Event) -> Holding:
        """Write down what happened to a payment that this purse took; its state now."""
        held = Received.of(payment_id, self.vault.get("received", payment_id))
        state = next_payee_state(held.state, event)
        self.vault.put("received", payment_id, replace(held, state=state).fields())
        return state

    def store_hops(self, accepted: Accepted, bundle: PaymentBundle) -> None:
        """The tokens that are now this purse's, with all that proves them; inside `Vault.together`."""
        for name, token in accepted.mine.items():
            self.put_token(name, token)
        for name, raw in accepted.loads.items():
            self.vault.put("load", name, raw)
        for raw in bundle.certificates:
            self.vault.put("certificate", certificates.unverified(raw, self.network)[0].id, raw)
        for hop in accepted.hops:
            self.vault.put("payment", hop.id, hop.raw)
            for name in hop.transfer.inputs:
                self.vault.put("spender", name, hop.id)

    # --- evidence ------------------------------------------------------------------------------

    def keep_fork(self, bundle: PaymentBundle, know: Knowledge) -> None:
        """Keep what of a refused bundle proves a fork."""
        if not self.keep_proof(acceptance.proven_fork(bundle, know)):
            log.warning("no room for another proof of a fork before the next sync")

    def keep_proof(self, payments: Iterable[bytes]) -> bool:
        """Keep the payments that prove a fork for the next sync, all or none; False if they would be too many."""
        fresh = {decode(raw, self.network).id: raw for raw in payments}
        if len(dict(self.vault.items("proof")) | fresh) > MAX_PROOF_PAYMENTS:
            return False
        with self.vault.together():
            for payment_id, raw in fresh.items():
                self.vault.put("proof", payment_id, raw)
        return True

    def drop_proofs(self, payment_ids: Iterable[bytes]) -> None:
        """Drop proofs on which the ledger has decided; the purse's own payments stay."""
        with self.vault.together():
            for payment_id in payment_ids:
                self.vault.drop("proof", payment_id)

    def bundle_of(self, raw: bytes, inputs: Iterable[bytes]) -> PaymentBundle:
        """A payment with its ancestry back to load certificates, ancestors first."""
        own = {self.certificate.id: self.certificate_raw}
        return Ancestry(self.vault, self.network).bundle(raw, inputs, own)

    def check_fits(self, payload: bytes, inputs: Iterable[bytes]) -> None:
        """Build what would be given out, before anything is signed: it must be what every device can take.

        Raises:
            TooLarge: too much stands behind its tokens, or they are too many.
        """
        unsigned = Signature(self.element.public_key, hashlib.sha512(payload).digest())  # as hard to pack as a real one
        raw = cose.assemble(Kind.TRANSFER, payload, [unsigned])
        try:
            decode(raw, self.network)
            check_carried(self.bundle_of(raw, inputs).encode())
        except TooLarge as error:
            raise TooLarge(
                f"no device could take this, sync first or pay less: {error.message}", **error.values
            ) from None

    def evidence(self) -> list[bytes]:
        """Every payment this device knows, for the ledger: those it made, those it took, and proofs of forks."""
        known = dict(self.vault.items("payment")) | dict(self.vault.items("proof"))
        return list(known.values())

    def forget_evidence(self, payment_ids: Iterable[bytes]) -> None:
        """Drop payments that the ledger has."""
        with self.vault.together():
            for payment_id in payment_ids:
                self.vault.drop("payment", payment_id)
                self.vault.drop("proof", payment_id)
