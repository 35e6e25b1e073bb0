"""A purse that accepts what it should refuse: a broken device, so that the ledger's own refusal can be shown.

It still reads bytes by their form, keeps its own storage in order and has an honest element. Lives in scenarios and
tests only.
"""

from __future__ import annotations

from cbdc.errors import Malformed, TengeError
from cbdc.formats import certificates
from cbdc.formats.certificates import Certificate
from cbdc.formats.tokens import outpoint
from cbdc.messages.bodies import OfflineTerms, Transfer
from cbdc.messages.message import decode
from cbdc.offline.documents import LoadCertificate
from cbdc.offline.judge import Parties
from cbdc.policy import DAY_S
from cbdc.state.records import OfflineToken
from wallet.acceptance import Accepted, Hop, Knowledge
from wallet.protocol import Invoice, PaymentBundle
from wallet.purse import Purse


class CarelessPurse(Purse):
    """Skips every guard but form."""

    def _room_for(self, amount_tiyn: int, know: Knowledge) -> int:
        return max(amount_tiyn, know.headroom_tiyn)

    def _check_invoice(self, invoice: Invoice, know: Knowledge) -> None:
        """Pays whatever it is shown."""

    def _check_own(self, transfer: Transfer, inputs: list[OfflineToken], parties: Parties, know: Knowledge) -> None:
        """Signs whatever its element signs."""

    def _check_bundle(self, bundle: PaymentBundle, know: Knowledge) -> Accepted:
        """What is in order is taken as everybody takes it, so that it can be given back; all else as it stands."""
        try:
            return super()._check_bundle(bundle, know)
        except TengeError:
            return self._believed(bundle, know)

    def _believed(self, bundle: PaymentBundle, know: Knowledge) -> Accepted:
        hops = [self._hop(raw, know) for raw in (*bundle.ancestry, bundle.payment)]
        last = hops[-1]
        own = know.certificate.key
        made = {outpoint(last.id, index): token for index, token in enumerate(last.tokens)}
        mine = {name: token for name, token in made.items() if token.owner == own}
        amount_tiyn = sum(token.amount_tiyn for token in mine.values())
        payer = self._certificate_in(bundle, last.terms.payer_certificate, know)
        return Accepted(last.id, payer, tuple(hops), self._loads_in(bundle, know), mine, amount_tiyn)

    def _hop(self, raw: bytes, know: Knowledge) -> Hop:
        """A payment believed as it stands: its outputs are what it says, for as long as the policy lets tokens live."""
        message = decode(raw, know.network)
        transfer, terms = _transfer_of(message.body)
        until_s = terms.ledger_time_s + know.policy.offline_spend_days * DAY_S
        final_s = terms.ledger_time_s + know.policy.offline_final_days * DAY_S
        tokens = tuple(
            OfflineToken(output.owner, output.amount_tiyn, None, until_s, final_s, terms.hop, [], False)
            for output in transfer.outputs
        )
        return Hop(message.id, raw, transfer, terms, tokens)

    def _loads_in(self, bundle: PaymentBundle, know: Knowledge) -> dict[bytes, bytes]:
        """The load certificates that the operator did sign: a purse keeps them by their token's name."""
        found: dict[bytes, bytes] = {}
        for raw in bundle.loads:
            load = _load_or_none(raw, know)
            if load is not None:
                found[load.outpoint] = raw
        return found

    def _certificate_in(self, bundle: PaymentBundle, wanted: bytes, know: Knowledge) -> Certificate:
        there = [certificates.unverified(raw, know.network)[0] for raw in bundle.certificates]
        # nobody's certificate is missed: its own stands in
        return next((certificate for certificate in there if certificate.id == wanted), know.certificate)


def _transfer_of(body: object) -> tuple[Transfer, OfflineTerms]:
    if not isinstance(body, Transfer) or body.terms is None:
        raise Malformed("not an offline transfer")
    return body, body.terms


def _load_or_none(raw: bytes, know: Knowledge) -> LoadCertificate | None:
    try:
        return LoadCertificate.verify(raw, know.network, know.trust_list.operator_key())
    except TengeError:
        return None
