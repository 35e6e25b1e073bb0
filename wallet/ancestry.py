"""Where a purse's tokens come from: the payments behind them, back to load certificates."""

from __future__ import annotations

from collections.abc import Iterable

from cbdc.errors import NotEnrolled
from cbdc.formats.hashing import HASH_BYTES
from cbdc.messages.bodies import OfflineTerms, Transfer
from cbdc.messages.message import decode
from wallet.protocol import PaymentBundle
from wallet.vault import Vault


class Ancestry:
    """Follows tokens back through a purse's storage; it remembers what it has read, so make one for each question."""

    def __init__(self, vault: Vault, network: bytes) -> None:
        self._vault = vault
        self._network = network
        self._read: dict[bytes, tuple[bytes, Transfer, OfflineTerms]] = {}
        self._loads: dict[bytes, bytes | None] = {}

    def bundle(self, raw: bytes, inputs: Iterable[bytes], own: dict[bytes, bytes]) -> PaymentBundle:
        """A payment with all that is behind its inputs, ancestors first; ``own``: the payer's certificate by its id."""
        makers, loads = self._behind(inputs)
        wanted = dict(own)
        for maker in makers:
            _, _, terms = self._payment(maker)
            for party in (terms.payer_certificate, terms.payee_certificate):
                wanted[party] = self._vault.get("certificate", party)
        ancestry = tuple(self._payment(maker)[0] for maker in makers)
        return PaymentBundle(raw, ancestry, tuple(loads.values()), tuple(wanted.values()))

    def weight(self, name: bytes) -> int:
        """How many payments stand behind a token."""
        return len(self._behind([name])[0])

    def _behind(self, inputs: Iterable[bytes]) -> tuple[list[bytes], dict[bytes, bytes]]:
        """Ids of the payments behind these tokens, ancestors first, and load certificates by outpoint."""
        makers: dict[bytes, None] = {}
        loads: dict[bytes, bytes] = {}
        left = list(reversed(list(inputs)))
        while left:
            name = left[-1]
            load, maker = self._load(name), name[:HASH_BYTES]
            if load is not None:
                loads[name] = load
            elif maker not in makers:
                missing = [n for n in self._payment(maker)[1].inputs if n not in loads and n[:HASH_BYTES] not in makers]
                if missing:
                    left.extend(reversed(missing))
                    continue
                makers[maker] = None
            left.pop()
        return list(makers), loads

    def _load(self, name: bytes) -> bytes | None:
        if name not in self._loads:
            self._loads[name] = self._vault.get("load", name)
        return self._loads[name]

    def _payment(self, payment_id: bytes) -> tuple[bytes, Transfer, OfflineTerms]:
        if payment_id not in self._read:
            raw = self._vault.get("payment", payment_id)
            transfer = None if raw is None else decode(raw, self._network).body
            if not isinstance(transfer, Transfer) or transfer.terms is None:
                raise NotEnrolled("an ancestor is not an offline payment")
            self._read[payment_id] = (raw, transfer, transfer.terms)
        return self._read[payment_id]
