"""The payments of a scenario by name, and what has become of each."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from cbdc.errors import Malformed
from cbdc.formats.tokens import outpoint
from cbdc.messages.bodies import OfflineTerms, Transfer
from cbdc.messages.message import decode
from wallet.protocol import PaymentBundle
from wallet.purse import Status

if TYPE_CHECKING:
    from wallet.scenarios.economy import Economy
    from wallet.scenarios.schema import Step


@dataclass(frozen=True, slots=True)
class Payment:
    """Who paid whom; offline ones have an id, online ones an entry."""

    payer: str
    payee: str
    amount_tiyn: int
    id: bytes | None = None
    online_entry: int | None = None


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

    def named(self, name: str) -> Payment:
        """The payment of this name. Raises Malformed."""
        if name not in self._by_name:
            raise Malformed("no such payment", found=name)
        return self._by_name[name]

    def status(self, name: str) -> str:
        """What became of it: by the ledger where it knows, else by the payer's purse."""
        payment = self.named(name)
        if payment.id is None:
            return Status.SETTLED.value
        sent = next(s for s in self._economy.device(payment.payer).customer.purse.sent() if s.id == payment.id)
        if self._economy.queries.offline_token(outpoint(payment.id, 0)) is None:
            return sent.status.value
        transfer, _ = self._transfer(sent.payment())
        forked = any(self._economy.queries.is_forked(name) for name in transfer.inputs)
        return Status.DISPUTED.value if forked else Status.SETTLED.value

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
