"""One signed message of every kind, made of seeds and plain numbers alone: vectors and property tests begin here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field
from functools import cache

from cbdc.errors import Malformed
from cbdc.formats import certificates, x509
from cbdc.formats.certificates import Certificate, Holder, Merchant, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output, outpoint
from cbdc.log import checkpoint, entries, merkle
from cbdc.log.checkpoint import Checkpoint
from cbdc.log.late import LateHead
from cbdc.log.receipts import Receipt
from cbdc.messages import bodies
from cbdc.messages.message import Body, build, decode, verify
from cbdc.offline.documents import LoadCertificate, SyncCertificate, TrustList
from cbdc.policy import DAY_S, Policy
from cbdc.purposes import conditions
from cbdc.purposes.definition import Definition, MarkRule
from cbdc.service.founding import Governor
from cbdc.state.records import OfflineToken

NOW_S = 1_788_000_000
LATER_S = NOW_S + 365 * DAY_S
NAMES = ("governor", "operator", "altyn", "aigul online", "aigul purse", "canteen online", "canteen purse", "akimat")
NETWORK_NAME = "vectors"
ORIGIN = checkpoint.origin_of(NETWORK_NAME)


def seed(name: str) -> bytes:
    """The 32-byte seed behind a name."""
    return hashlib.sha256(b"tenge vectors " + name.encode()).digest()


SEEDS = {name: seed(name) for name in NAMES}
KEYS = {name: SigningKey(value) for name, value in SEEDS.items()}
GOVERNOR = Governor.from_seed(SEEDS["governor"])
NETWORK = GOVERNOR.network
NONCE = bytes(range(16))
TOKEN = outpoint(seed("some message"), 0)
OTHER_TOKEN = outpoint(seed("some message"), 258)
PURPOSE = seed("some purpose")
LIMITS = PurseLimits(100_000_00, 20_000_00, 10, 5)
CANTEEN = Merchant("180540000011", "5812", "750000000")


@dataclass(frozen=True)
class Sample:
    """A message for the ledger: its kind, what it says, and who signs."""

    kind: Kind
    body: Body
    signers: tuple[str, ...] = field(default=())

    @property
    def keys(self) -> list[SigningKey]:
        return [KEYS[name] for name in self.signers]

    @property
    def raw(self) -> bytes:
        return build(self.kind, self.body, self.keys, NETWORK)


@dataclass(frozen=True)
class Signed:
    """Signed bytes of any kind; ``open`` answers what they mean, or raises a typed error."""

    raw: bytes
    open: Callable[[bytes], Hashable]
    is_signed: bool = True


# --- certificates ------------------------------------------------------------------------------


def wallet_claims(name: str) -> dict[str, object]:
    """The arguments of a wallet certificate."""
    merchant = CANTEEN if name == "canteen" else None
    holder = Holder.MERCHANT if merchant else Holder.PERSON
    common = {"bank": "altyn", "subject": name, "issued_s": NOW_S, "expires_s": LATER_S}
    return common | {"holder": holder, "merchant": merchant, "key": KEYS[f"{name} online"].public}


def purse_claims(name: str) -> dict[str, object]:
    """The arguments of a purse certificate."""
    purse = {"key": KEYS[f"{name} purse"].public, "limits": LIMITS, "online_key": KEYS[f"{name} online"].public}
    return wallet_claims(name) | purse


@cache
def certificate(name: str, *, is_purse: bool) -> bytes:
    """A customer's certificate by the bank altyn."""
    claims = purse_claims(name) if is_purse else wallet_claims(name)
    return certificates.issue(KEYS["altyn"], NETWORK, **claims)


def purse(name: str) -> Certificate:
    return certificates.unverified(certificate(name, is_purse=True), NETWORK)[0]


# --- messages for the ledger -------------------------------------------------------------------


def offline_payment(salt: str = "") -> Sample:
    """Aigul's purse pays the canteen 40.00 of 100.00."""
    outputs = (
        Output(KEYS["canteen purse"].public, 40_00, None),
        Output(KEYS["aigul purse"].public, 60_00, None),
    )
    terms = bodies.OfflineTerms(
        invoice_id=seed(f"invoice {salt}"),
        payer_certificate=purse("aigul").id,
        payee_certificate=purse("canteen").id,
        counter=7,
        spends=2,
        hop=1,
        trust_list_s=NOW_S - 3600,
        ledger_time_s=NOW_S,
    )
    return Sample(Kind.TRANSFER, bodies.Transfer((TOKEN,), outputs, LATER_S, None, terms), ("aigul purse",))


def definition() -> Definition:
    condition = conditions.from_cbor(
        [
            "all",
            [
                ["not", ["payee", ["altyn/kiosk"]]],
                ["payee_mcc", ["5812", "5814"]],
                ["payee_kato", ["75"]],
                ["per_payment", 1500_00],
            ],
        ]
    )
    key = KEYS["akimat"].public
    titles = ("School meals", "Мектеп тамағы", "Школьное питание")
    return Definition("school-meals", titles, key, key, condition, MarkRule.CLEARS, NOW_S + 100 * DAY_S)


def _institution(name: str, role: x509.Role, key: str) -> x509.Institution:
    return x509.parse(GOVERNOR.certify(name, role, KEYS[key].public, NOW_S))


@cache
def messages() -> dict[str, Sample]:
    """One message of every kind that the ledger takes in, by name; a payment between purses besides."""
    aigul, bank = KEYS["aigul online"].public, KEYS["altyn"].public
    root = _institution(GOVERNOR.name, x509.Role.GOVERNOR, "governor")
    operator = _institution("Operator", x509.Role.OPERATOR, "operator")
    certified = (certificate("aigul", is_purse=False), certificate("aigul", is_purse=True))
    to_aigul, change = Output(aigul, 40_00, None), Output(bank, 60_00, None)
    marked, free = Output(aigul, 40_00, PURPOSE), Output(KEYS["akimat"].public, 60_00, None)
    loaded = Output(KEYS["aigul purse"].public, 40_00, None)
    return {
        "genesis": Sample(Kind.GENESIS, bodies.Genesis(NETWORK_NAME, root, operator, Policy()), ("governor",)),
        "admit": Sample(Kind.ADMIT, bodies.Admit(_institution("altyn", x509.Role.BANK, "altyn")), ("governor",)),
        "dismiss": Sample(Kind.DISMISS, bodies.Dismiss("altyn", "decision 7 of 2026-09-01"), ("governor",)),
        "policy": Sample(Kind.POLICY, bodies.SetPolicy(Policy(offline_hops=4), NONCE), ("governor",)),
        "enrol": Sample(Kind.ENROL, bodies.Enrol(certified), ("altyn",)),
        "revoke": Sample(Kind.REVOKE, bodies.Revoke(purse("aigul").id, "reported lost"), ("altyn",)),
        "issue": Sample(Kind.ISSUE, bodies.Issue((Output(bank, 5_000_000_00, None),), NONCE), ("governor",)),
        "redeem": Sample(Kind.REDEEM, bodies.Redeem((TOKEN,), (change,), LATER_S, 40_00), ("governor", "altyn")),
        "transfer": Sample(
            Kind.TRANSFER,
            bodies.Transfer((TOKEN, OTHER_TOKEN), (to_aigul, change), LATER_S, b"sealed", None),
            ("altyn", "aigul online"),
        ),
        "offline-payment": offline_payment(),
        "repay": Sample(
            Kind.REPAY, bodies.Repay((TOKEN,), (), LATER_S, KEYS["aigul purse"].public, 100_00), ("aigul online",)
        ),
        "reserve": Sample(Kind.RESERVE, bodies.Reserve((TOKEN,), (), LATER_S, 100_00), ("altyn",)),
        "load": Sample(Kind.LOAD, bodies.Load((TOKEN,), (loaded, to_aigul), LATER_S), ("aigul online",)),
        "unload": Sample(Kind.UNLOAD, bodies.Unload((TOKEN,), (loaded, to_aigul), LATER_S), ("aigul purse",)),
        "reconcile": Sample(Kind.RECONCILE, bodies.Reconcile((offline_payment().raw, offline_payment("again").raw))),
        "purpose": Sample(Kind.PURPOSE, definition(), ("akimat",)),
        "grant": Sample(Kind.GRANT, bodies.Grant((TOKEN,), (marked, free), LATER_S, PURPOSE), ("akimat",)),
        "sweep": Sample(Kind.SWEEP, bodies.Sweep((TOKEN, OTHER_TOKEN))),
    }


# --- what one key says -------------------------------------------------------------------------


def offline_token(purpose: bytes | None = None) -> OfflineToken:
    owner = KEYS["aigul purse"].public
    return OfflineToken(owner, 100_00, purpose, NOW_S + 7 * DAY_S, NOW_S + 21 * DAY_S, 0, [], False)


def load_certificate(purpose: bytes | None = None) -> bytes:
    return LoadCertificate(TOKEN, offline_token(purpose)).sign(KEYS["operator"], NETWORK)


def sync_certificate() -> bytes:
    return SyncCertificate(KEYS["aigul purse"].public, NOW_S, NONCE, 1_500_00).sign(KEYS["operator"], NETWORK)


def late_payments() -> list[tuple[int, int, bytes]]:
    """Late payments as a ledger keeps them: entries that the log had, ledger time (seconds), signed bytes."""
    return [(3, NOW_S, offline_payment().raw), (4, NOW_S + 60, offline_payment("again").raw)]


def late_head() -> bytes:
    head = LateHead()
    for size, time_s, payment in late_payments():
        head = head.after(size, time_s, payment)
    return head.sign(KEYS["operator"], NETWORK)


def institutions() -> list[bytes]:
    """The DER of every institution's X.509."""
    genesis, admit = messages()["genesis"].body, messages()["admit"].body
    return [genesis.root.der, genesis.operator.der, admit.institution.der]


def revoked() -> list[bytes]:
    """Ids of two certificates on the deny-list."""
    return [seed("revoked 1"), seed("revoked 2")]


def trust_list() -> bytes:
    return TrustList.sign(NOW_S, institutions(), revoked(), KEYS["operator"], NETWORK)


# --- the log -----------------------------------------------------------------------------------


def log_entries() -> list[bytes]:
    """A log of five entries."""
    names = ("genesis", "admit", "issue", "enrol", "transfer")
    return [entries.encode(NOW_S + number, messages()[name].raw) for number, name in enumerate(names)]


def log_tree() -> merkle.Tree:
    tree = merkle.Tree()
    for entry in log_entries():
        tree.append(merkle.leaf_hash(entry))
    return tree


@cache
def signed_checkpoint() -> str:
    tree = log_tree()
    return checkpoint.sign(Checkpoint(ORIGIN, tree.size, tree.root(), seed("state root")), KEYS["operator"])


def receipt() -> Receipt:
    """The receipt of the issue."""
    tree = log_tree()
    return Receipt(2, NOW_S + 2, signed_checkpoint(), tuple(tree.inclusion(2, tree.size)))


# --- all of them, ready to be tampered with ----------------------------------------------------


@cache
def signed() -> dict[str, Signed]:
    """Every kind of signed bytes, each with what makes sense of it."""
    unsigned = {"reconcile", "sweep"}
    found = {name: Signed(s.raw, open_message, name not in unsigned) for name, s in messages().items()}
    operator = KEYS["operator"].public
    return found | {
        "wallet-certificate": Signed(certificate("canteen", is_purse=False), open_certificate),
        "purse-certificate": Signed(certificate("aigul", is_purse=True), open_certificate),
        "load-certificate": Signed(
            load_certificate(PURPOSE), lambda raw: LoadCertificate.verify(raw, NETWORK, operator).outpoint
        ),
        "sync-certificate": Signed(
            sync_certificate(), lambda raw: SyncCertificate.verify(raw, NETWORK, operator).purse_key
        ),
        "trust-list": Signed(trust_list(), lambda raw: TrustList.verify(raw, NETWORK).time_s),
        "checkpoint": Signed(signed_checkpoint().encode(), open_checkpoint),
        "receipt": Signed(receipt().encode(), open_receipt),
    }


def open_message(raw: bytes) -> Hashable:
    return verify(decode(raw, NETWORK)).id


def open_certificate(raw: bytes) -> Hashable:
    return certificates.verify(raw, NETWORK, KEYS["altyn"].public).id


def open_checkpoint(raw: bytes) -> Hashable:
    try:
        note = raw.decode()
    except UnicodeDecodeError:
        raise Malformed("a note is text") from None
    return checkpoint.verify(note, ORIGIN, KEYS["operator"].public)


def open_receipt(raw: bytes) -> Hashable:
    found = Receipt.decode(raw)
    return found.verify(messages()["issue"].raw, ORIGIN, KEYS["operator"].public)
