"""A network on paper: the documents that devices need of a ledger, made by hand, and devices that hold them.

No ledger runs here. A payment between two devices is a function of bytes, so these are all it takes.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from cbdc.formats import certificates
from cbdc.formats.certificates import Certificate, Holder, Merchant
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.hashing import tagged
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.formats.x509 import Role
from cbdc.messages.bodies import OfflineTerms, Transfer
from cbdc.messages.message import build, decode
from cbdc.offline.documents import LoadCertificate, SyncCertificate, TrustList
from cbdc.policy import DAY_S, Policy
from cbdc.purposes.conditions import PayeeMcc
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears
from cbdc.service.founding import Governor
from cbdc.state.records import OfflineToken
from tests.support import LIMITS, NOW_S, seed
from wallet.element import ElementMaker, SecureElement
from wallet.protocol import Invoice, PaymentBundle, read_invoice
from wallet.purse import Purse
from wallet.scenarios.broken_element import BrokenElement, copy_storage
from wallet.vault import QUICK_KDF, Vault

PASSWORD = "correct horse"
PIN = "1234"
CANTEEN = Merchant(bin="990140000383", mcc="5812", kato="750000000")
BOOKSHOP = Merchant(bin="990140000391", mcc="5942", kato="750000000")
UNTIL_S = NOW_S + 365 * DAY_S
FAR_S = NOW_S + 700 * DAY_S

Loaded = tuple[bytes, OfflineToken, bytes]
"""An outpoint, its token and the operator's load certificate for it."""


@dataclass
class Holding:
    """A purse key with its certificate: a payer or payee without a device."""

    key: SigningKey
    raw: bytes
    certificate: Certificate


@dataclass
class Paper:
    """Governor, operator and one bank; ``now_s`` is every device's clock."""

    now_s: int = NOW_S
    policy: Policy = field(default_factory=Policy)
    loads: int = 0

    def __post_init__(self) -> None:
        self.governor = Governor.from_seed(seed("paper governor"))
        self.network = self.governor.network
        self.operator = SigningKey(seed("paper operator"))
        self.bank = SigningKey(seed("paper bank"))
        self.meals = Definition(
            "meals", ("Meals", "Tamaq", "Obedy"), bytes(32), bytes(32), PayeeMcc(("5812",)), Clears(), FAR_S
        )
        self.meals_id = tagged("a purpose", b"meals")

    def clock(self) -> int:
        return self.now_s

    # --- documents -----------------------------------------------------------------------------

    def trust_list(self, time_s: int | None = None, revoked: tuple[bytes, ...] = (), **signed: Any) -> bytes:
        """A trust list as of now; ``governor`` and ``operator`` may be somebody else's."""
        governor, operator = signed.get("governor", self.governor), signed.get("operator", self.operator)
        ders = [
            governor.certify("Operator", Role.OPERATOR, operator.public, NOW_S),
            governor.certify("altyn", Role.BANK, self.bank.public, NOW_S),
        ]
        time_s = self.now_s if time_s is None else time_s
        return TrustList.sign(time_s, ders, list(revoked), operator, self.network)

    def sync_certificate(
        self, purse_key: bytes, challenge: bytes, operator: SigningKey | None = None, held_tiyn: int = 0
    ) -> bytes:
        word = SyncCertificate(purse_key, self.now_s, challenge, held_tiyn)
        return word.sign(operator or self.operator, self.network)

    def certify(self, name: str, key: bytes, **changes: Any) -> bytes:
        """A purse certificate by the bank; every field may be changed, its signer with ``by``."""
        fields: dict[str, Any] = {
            "bank": "altyn",
            "subject": name,
            "key": key,
            "issued_s": NOW_S,
            "expires_s": UNTIL_S,
            "holder": Holder.PERSON,
            "limits": LIMITS,
            "online_key": SigningKey(seed(f"{name} online")).public,
        } | changes
        return certificates.issue(fields.pop("by", self.bank), self.network, **fields)

    def holding(self, name: str, **changes: Any) -> Holding:
        key = SigningKey(seed(f"{name} purse"))
        raw = self.certify(name, key.public, **changes)
        return Holding(key, raw, certificates.unverified(raw, self.network)[0])

    def load(self, owner: bytes, amount_tiyn: int, purpose: bytes | None = None, **changes: Any) -> Loaded:
        """A fresh offline token with its load certificate, by the operator unless ``by`` says otherwise."""
        self.loads += 1
        by = changes.pop("by", self.operator)
        fresh = OfflineToken(owner, amount_tiyn, purpose, NOW_S + 7 * DAY_S, NOW_S + 21 * DAY_S, 0, [], False)
        token, name = replace(fresh, **changes), outpoint(tagged("a load", self.loads.to_bytes(4, "big")), 0)
        return name, token, LoadCertificate(name, token).sign(by, self.network)

    # --- payments ------------------------------------------------------------------------------

    def transfer(
        self,
        payer: bytes,
        payee: bytes,
        inputs: tuple[bytes, ...],
        outputs: tuple[Output, ...],
        invoice: Invoice | None = None,
        **changes: Any,
    ) -> Transfer:
        """An offline transfer between the purses with these certificate ids, answering ``invoice`` if there is one."""
        valid_until_s = changes.pop("valid_until_s", FAR_S)
        fields: dict[str, Any] = {
            "invoice_id": invoice.id if invoice else seed("some invoice"),
            "payer_certificate": payer,
            "payee_certificate": payee,
            "counter": 1,
            "spends": 1,
            "hop": 1,
            "trust_list_s": invoice.trust_list_s if invoice else NOW_S,
            "ledger_time_s": invoice.ledger_time_s if invoice else NOW_S,
        } | changes
        return Transfer(inputs, outputs, valid_until_s, None, OfflineTerms(**fields))

    def signed(self, transfer: Transfer, *keys: SigningKey, network: bytes | None = None) -> bytes:
        return build(Kind.TRANSFER, transfer, list(keys), network or self.network)

    def message_id(self, raw: bytes) -> bytes:
        return decode(raw, self.network).id


@dataclass
class Device:
    """A purse on real storage with a real element."""

    paper: Paper
    directory: Path
    vault: Vault
    element: SecureElement
    purse: Purse
    maker: ElementMaker = BrokenElement

    @classmethod
    def make(
        cls, paper: Paper, directory: Path, name: str, maker: ElementMaker = BrokenElement, **certificate: Any
    ) -> Device:
        """By default with an element that can be broken into, and keeps all the rules until it is."""
        vault = Vault.create(directory / "wallet.db", PASSWORD, cost=QUICK_KDF)
        element = maker.create(directory / "element.db", PIN, paper.network, cost=QUICK_KDF, random=os.urandom)
        purse = Purse(vault, element, paper.network, paper.clock)
        purse.install(paper.certify(name, element.public_key, **certificate), paper.trust_list())
        device = cls(paper, directory, vault, element, purse, maker)
        device.learn(paper.trust_list())
        return device

    def learn(self, trust_list: bytes) -> None:
        self.purse.learn(trust_list, self.paper.policy, {self.paper.meals_id: self.paper.meals})

    def load(self, amount_tiyn: int, purpose: bytes | None = None, **changes: Any) -> bytes:
        name, token, raw = self.paper.load(self.element.public_key, amount_tiyn, purpose, **changes)
        self.purse.add(name, token, raw)
        return name

    def restarted(self) -> Device:
        """The same device after its program ended and was started again."""
        self.close()
        vault = Vault.open(self.directory / "wallet.db", PASSWORD)
        element = self.maker.open(self.directory / "element.db", PIN)
        purse = Purse(vault, element, self.paper.network, self.paper.clock)
        self.vault, self.element, self.purse = vault, element, purse
        return self

    def close(self) -> None:
        self.vault.close()
        self.element.close()

    def stolen_seed(self) -> bytes:
        """The element's secret, got out of a copy of its file by one who knows the PIN."""
        return stolen_seed(self.directory / "element.db", PIN)

    def invoice(self, amount_tiyn: int) -> Invoice:
        return read_invoice(self.purse.invoice(amount_tiyn), self.paper.network)

    def everything(self) -> dict[str, list[tuple[bytes, Any]]]:
        """All that its storage holds, but for proofs of forks."""
        spaces = ("purse", "token", "load", "payment", "spender", "certificate", "invoice", "sent", "received")
        return {space: self.vault.items(space) for space in spaces}


def stolen_seed(path: Path, pin: str) -> bytes:
    """The secret in an element's file, past its lock."""
    with TemporaryDirectory() as elsewhere:
        copy = Path(elsewhere) / "element.db"
        copy_storage(path, copy)
        opened = BrokenElement.open(copy, pin)
        try:
            return opened.steal_seed()
        finally:
            opened.close()


def pay(payer: Device, payee: Device, amount_tiyn: int, purpose: bytes | None = None) -> bytes:
    """A whole honest payment, receipt included; the bundle's bytes."""
    bundle = payer.purse.pay(payee.purse.invoice(amount_tiyn), purpose)
    payment_id = payer.paper.message_id(PaymentBundle.decode(bundle).payment)
    payer.purse.finish(payment_id, payee.purse.accept(bundle))
    return bundle


class PowerCut(BaseException):
    """The device goes dark here."""


def cut_power(monkeypatch: pytest.MonkeyPatch, device: Device, at: str, space: str) -> None:
    """Let the device's storage die at the first ``put`` or ``drop`` in a space."""
    whole = getattr(device.vault, at)

    def dying(first: str, *rest: Any) -> None:
        if first == space:
            raise PowerCut
        whole(first, *rest)

    monkeypatch.setattr(device.vault, at, dying)
