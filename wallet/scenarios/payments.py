"""The payments of a scenario by name, and what has become of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cbdc.errors import Malformed
from cbdc.formats.tokens import outpoint
from cbdc.messages.bodies import OfflineTerms, Transfer
from cbdc.messages.message import decode
from wallet.protocol import PaymentBundle
from wallet.purse import Holding, Status
from wallet.scenarios.forms import LAPSED, WAITING

if TYPE_CHECKING:
    from wallet.scenarios.economy import Economy
    from wallet.scenarios.schema import Step


@dataclass(frozen=True, slots=True)
class Payment:
    """Who paid whom; offline ones have an id and their bytes, online ones an entry and an id, refused ones neither."""

    payer: str
    payee: str
    amount_tiyn: int
    id: bytes | None = None
    raw: bytes = b""
    online_id: bytes | None = None


class Payments:
    """What ``as`` named."""

    def __init__(self, economy: Economy) -> None:
        self._economy = economy
        self._by_name: dict[str, Payment] = {}

    def note(self, step: Step, payment: Payment) -> None:
        """Keep a payment under the step's ``as``, if it has one."""
        name = step.fields.get("as")
        if isinstance(name, str):
            self._by_name[name] = payment

    def note_refused(self, step: Step, payment: Payment) -> None:
        """Keep that a payment was refused, unless it was signed before: then its outcome is not known."""
        if step.fields.get("as") not in self._by_name:
            self.note(step, payment)

    def offline_payment(self, name: str) -> tuple[Payment, bytes]:
        """An offline payment of this name and its id. Raises Malformed."""
        payment = self.named(name)
        if payment.id is None:
            raise Malformed("this is no payment between two devices", found=name)
        return payment, payment.id

    def id_named(self, name: str) -> bytes:
        """The id of a payment of this name, made online or between two devices. Raises Malformed: it was refused."""
        payment = self.named(name)
        found = payment.id or payment.online_id
        if found is None:
            raise Malformed("this payment was refused", found=name)
        return found

    def has(self, name: str) -> bool:
        """Whether a payment is called so."""
        return name in self._by_name

    def named(self, name: str) -> Payment:
        """The payment of this name. Raises Malformed."""
        if name not in self._by_name:
            raise Malformed("no such payment", found=name)
        return self._by_name[name]

    def names(self) -> dict[bytes, str]:
        """The names of offline payments by their ids; of two names for one payment, the later."""
        return {payment.id: name for name, payment in self._by_name.items() if payment.id is not None}

    def status(self, name: str) -> str:
        """What became of it: by the ledger where it knows, else by the two purses."""
        payment = self.named(name)
        if payment.online_id is not None:
            waiting = self._economy.queries.waiting_payment(payment.online_id)
            if waiting is None:
                return Status.SETTLED.value
            return LAPSED if waiting.lapsed else WAITING
        if payment.id is None:
            return Status.REFUSED.value
        payer, payee = self._states(payment, payment.id)
        is_released = payer is Status.RELEASED or payee is Holding.RELEASED
        queries = self._economy.queries
        made = queries.offline_token(outpoint(payment.id, 0))
        if made is not None and made.void:
            return Status.REFUSED.value
        if made is not None:
            transfer, _ = self._transfer(payment.raw)
            if any(queries.is_forked(name) for name in transfer.inputs):
                return Status.DISPUTED.value
            return Status.RELEASED.value if is_released else Status.SETTLED.value
        if is_released:
            return Status.RELEASED.value
        return Status.REFUSED.value if payee is Holding.REFUSED else payer.value

    def _states(self, payment: Payment, payment_id: bytes) -> tuple[Status, Holding | None]:
        """What the two purses say; a forged payment is known to its payee alone."""
        sent = self._economy.wallet(payment.payer).wallet.sent()
        received = self._economy.wallet(payment.payee).wallet.received()
        payee = next((held.state for held in received if held.id == payment_id), None)
        unknown = Status.PENDING if payee is None else Status.ACCEPTED
        return next((made.status for made in sent if made.id == payment_id), unknown), payee

    def id_of(self, bundle: bytes) -> bytes:
        """The id of the payment in a bundle."""
        return decode(PaymentBundle.decode(bundle).payment, self._economy.governor.network).id

    def terms_of(self, bundle: bytes) -> OfflineTerms:
        """The offline terms of the payment in a bundle."""
        return self._transfer(PaymentBundle.decode(bundle).payment)[1]

    def _transfer(self, raw: bytes) -> tuple[Transfer, OfflineTerms]:
        body = decode(raw, self._economy.governor.network).body
        if not isinstance(body, Transfer) or body.terms is None:
            raise Malformed("not an offline transfer")
        return body, body.terms
