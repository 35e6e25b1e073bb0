"""One signed message of every kind, made of seeds and plain numbers alone: vectors and property tests begin here."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Hashable
from dataclasses import dataclass, field, replace
from functools import cache

from cbdc.errors import BadSignature, Malformed
from cbdc.formats import cbor, certificates, requests, x509
from cbdc.formats.certificates import Certificate, Holder, Merchant, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.formats.lines import Line
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
from cbdc.purposes.definition import Definition
from cbdc.purposes.rules import Clears, Keeps, KeepsHops, MarkRule, Split, UntilEvidence
from cbdc.service.founding import Governor
from cbdc.state.records import OfflineToken

NOW_S = 1_788_000_000
LATER_S = NOW_S + 365 * DAY_S
NAMES = ("governor", "operator", "altyn", "aigul online", "aigul purse", "canteen online", "canteen purse", "akimat")
NAMES += ("registry", "auditor")
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
LINES = (Line("bread", 15_00), Line("чай", 25_00))


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


def allowed_certificate() -> bytes:
    """Aigul's purse certificate with allowances in two purposes."""
    allowances = tuple(sorted([(PURPOSE, 20_00), (seed("another purpose"), 5_00)]))
    claims = purse_claims("aigul") | {"limits": replace(LIMITS, allowances=allowances)}
    return certificates.issue(KEYS["altyn"], NETWORK, **claims)


def purse(name: str) -> Certificate:
    return certificates.unverified(certificate(name, is_purse=True), NETWORK)[0]


# --- messages for the ledger -------------------------------------------------------------------


def offline_payment(salt: str = "", lines: tuple[Line, ...] = ()) -> Sample:
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
    body = bodies.Transfer((TOKEN,), outputs, LATER_S, None, terms, lines)
    return Sample(Kind.TRANSFER, body, ("aigul purse",))


def request() -> bytes:
    """The canteen asks for 40.00, and says what for."""
    return requests.sign(KEYS["canteen online"], NETWORK, 40_00, LINES, NONCE)


def requested_payment() -> Sample:
    """Aigul pays online what the canteen asked for."""
    outputs = (Output(KEYS["canteen online"].public, 40_00, PURPOSE),)
    body = bodies.Transfer((TOKEN,), outputs, LATER_S, None, None, LINES, request())
    return Sample(Kind.TRANSFER, body, ("aigul online",))


WHERE = [
    "all",
    [
        ["not", ["payee", ["altyn/kiosk"]]],
        ["payee_mcc", ["5812", "5814"]],
        ["payee_kato", ["75"]],
        ["per_payment", 1500_00],
    ],
]
WHO_AND_WHEN = [
    "all",
    [
        ["after", NOW_S],
        ["hours", [[0, 1, 2, 3, 4], 480, 1080]],
        ["payer", ["altyn/aigul"]],
        ["before", LATER_S],
        ["payee_tier", [1, 2]],
    ],
]
CONSENT = [
    "any",
    [
        ["approval", [["altyn/auditor", "inspectorate"], 2]],
        ["evidence", ["registry", "delivered"]],
    ],
]
BASKET = ["all", [["items", ["bread", "чай"]], ["per_period", [50_000_00, 30]]]]


def definition(condition: cbor.Value = None, mark: MarkRule | None = None, split: Split | None = None) -> Definition:
    key = KEYS["akimat"].public
    titles = ("School meals", "Мектеп тамағы", "Школьное питание")
    read = conditions.from_cbor(condition or WHERE)
    return Definition("school-meals", titles, key, key, read, mark or Clears(), NOW_S + 100 * DAY_S, split)


def definitions() -> dict[str, Definition]:
    """One for each rule of the mark and one with a split; together they have every condition."""
    return {
        "purpose": definition(),
        "purpose-keeps": definition(WHO_AND_WHEN, Keeps()),
        "purpose-keeps-hops": definition(CONSENT, KeepsHops(3)),
        "purpose-until-evidence": definition(BASKET, UntilEvidence("registry")),
        "purpose-split": definition(BASKET, Clears(), Split("altyn/tax office", 12, 112)),
    }


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
    registry = _institution("registry", x509.Role.ORACLE, "registry")
    paid = seed("some payment")
    return {
        "genesis": Sample(Kind.GENESIS, bodies.Genesis(NETWORK_NAME, root, operator, Policy()), ("governor",)),
        "admit": Sample(Kind.ADMIT, bodies.Admit(_institution("altyn", x509.Role.BANK, "altyn")), ("governor",)),
        "admit-oracle": Sample(Kind.ADMIT, bodies.Admit(registry), ("governor",)),
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
        "offline-payment-with-lines": offline_payment(lines=LINES),
        "requested-payment": requested_payment(),
        "repay": Sample(
            Kind.REPAY, bodies.Repay((TOKEN,), (), LATER_S, KEYS["aigul purse"].public, 100_00), ("aigul online",)
        ),
        "reserve": Sample(Kind.RESERVE, bodies.Reserve((TOKEN,), (), LATER_S, 100_00), ("altyn",)),
        "load": Sample(Kind.LOAD, bodies.Load((TOKEN,), (loaded, to_aigul), LATER_S), ("aigul online",)),
        "unload": Sample(Kind.UNLOAD, bodies.Unload((TOKEN,), (loaded, to_aigul), LATER_S), ("aigul purse",)),
        "reconcile": Sample(Kind.RECONCILE, bodies.Reconcile((offline_payment().raw, offline_payment("again").raw))),
        **{name: Sample(Kind.PURPOSE, found, ("akimat",)) for name, found in definitions().items()},
        "grant": Sample(Kind.GRANT, bodies.Grant((TOKEN,), (marked, free), LATER_S, PURPOSE), ("akimat",)),
        "sweep": Sample(Kind.SWEEP, bodies.Sweep((TOKEN, OTHER_TOKEN))),
        "approve": Sample(Kind.APPROVE, bodies.Approve(paid, "altyn/auditor"), ("auditor",)),
        "attest": Sample(Kind.ATTEST, bodies.Attest("registry", "delivered", paid), ("registry",)),
        "attest-account": Sample(Kind.ATTEST, bodies.Attest("registry", "farmer", "altyn/aigul"), ("registry",)),
        "allow": Sample(Kind.ALLOW, bodies.Allow(PURPOSE, "altyn/aigul", 20_00, NONCE), ("akimat",)),
        "refund": Sample(
            Kind.REFUND,
            bodies.Refund((TOKEN,), (marked,), LATER_S, paid, PURPOSE, KEYS["canteen online"].public),
            ("canteen online",),
        ),
        "recall": Sample(
            Kind.RECALL,
            bodies.Recall(PURPOSE, (TOKEN, OTHER_TOKEN), "decision 12 of 2026-09-02"),
            ("akimat", "governor"),
        ),
    }


# --- what one key says -------------------------------------------------------------------------


def offline_token(purpose: bytes | None = None, left: int | None = None) -> OfflineToken:
    owner = KEYS["aigul purse"].public
    return OfflineToken(owner, 100_00, purpose, NOW_S + 7 * DAY_S, NOW_S + 21 * DAY_S, 0, [], False, left=left)


def load_certificate(purpose: bytes | None = None, left: int | None = None) -> bytes:
    return LoadCertificate(TOKEN, offline_token(purpose, left)).sign(KEYS["operator"], NETWORK)


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
        "allowed-certificate": Signed(allowed_certificate(), open_certificate),
        "request": Signed(request(), open_request),
        "load-certificate": Signed(
            load_certificate(PURPOSE, 2), lambda raw: LoadCertificate.verify(raw, NETWORK, operator).outpoint
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


def open_request(raw: bytes) -> Hashable:
    found = requests.read(raw, NETWORK)
    if not found.check.holds():
        raise BadSignature("not the payee's request")
    return found.id


def open_checkpoint(raw: bytes) -> Hashable:
    try:
        note = raw.decode()
    except UnicodeDecodeError:
        raise Malformed("a note is text") from None
    return checkpoint.verify(note, ORIGIN, KEYS["operator"].public)


def open_receipt(raw: bytes) -> Hashable:
    found = Receipt.decode(raw)
    return found.verify(messages()["issue"].raw, ORIGIN, KEYS["operator"].public)
