"""Everything that reads bytes from outside, in one list: what the property tests and `python -m tests.fuzz` feed.

An entry answers any bytes with a value or with its own kind of error, and nothing else. Its seeds are what it takes,
out of `tests.vectors`. Where a signature stands in front of a reader, the entry signs whatever it is given, so that
the reader behind meets it too.
"""

from __future__ import annotations

import socket
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from cbdc import amounts
from cbdc.errors import FormError, Malformed, PurposeRefused, TengeError
from cbdc.formats import calls, cbor, certificates, cose, requests, x509
from cbdc.formats.calls import read_answer, read_request
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_ELEMENT_FRAME_BYTES, MAX_LEDGER_ANSWER_BYTES, MAX_LEDGER_REQUEST_BYTES
from cbdc.log import checkpoint, entries
from cbdc.log.late import LateHead
from cbdc.log.receipts import Receipt
from cbdc.messages.message import decode, verify
from cbdc.offline import fraud
from cbdc.offline.documents import LoadCertificate, SyncCertificate, TrustList
from cbdc.policy import Policy
from cbdc.purposes.definition import Definition
from cbdc.service import wire as ledger_wire
from cbdc.service.purpose_queries import Refundable
from cbdc.service.stream import receive_frame
from cbdc.state.records import Token, Waiting
from tests.vectors import samples
from tests.vectors.samples import KEYS, NETWORK, NOW_S, ORIGIN
from wallet import acceptance
from wallet.carriers import FileCarrier, exchange, frames, images, qr
from wallet.carriers.socket import SocketCarrier
from wallet.carriers.text import from_clipboard, to_clipboard
from wallet.element import wire
from wallet.protocol import (
    Invoice,
    Line,
    PaymentBundle,
    from_text,
    invoice_payload,
    pack,
    read_invoice,
    read_receipt,
    receipt_payload,
    to_text,
    unpack,
)
from wallet.scenarios import schema

OPERATOR = KEYS["operator"].public
UNSIGNED = frozenset({Kind.RECONCILE, Kind.SWEEP})
_SCENARIOS = Path(schema.__file__).parent


@dataclass(frozen=True)
class Entry:
    """A reader of bytes, what it may raise, some bytes that it takes, and the kinds of message that it reads.

    One that is ``strict`` refuses everything that is no canonical message of its kind.
    """

    read: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]]
    errors: type[TengeError] = FormError
    kinds: frozenset[Kind] = frozenset()
    strict: bool = True


def check(name: str, data: bytes) -> None:
    """The assertion of all fuzzing: the entry answers these bytes with a value or its own kind of error.

    Raises:
        AssertionError: with anything else.
    """
    entry = ENTRIES[name]
    try:
        entry.read(data)
    except entry.errors:
        return
    except Exception as error:
        raise AssertionError(f"{name}: {error!r}") from error


# --- behind a signature ------------------------------------------------------------------------


def _ledger_payload(kind: Kind) -> Entry:
    """The reader of one kind's payload; nobody looks at the signature before it is read."""
    signatures = [] if kind in UNSIGNED else [cose.Signature(KEYS["altyn"].public, bytes(64))]
    bodies = [cbor.encode(sample.body.to_cbor()) for sample in samples.messages().values() if sample.kind is kind]
    return Entry(
        lambda payload: decode(cose.assemble(kind, payload, signatures), NETWORK),
        lambda: bodies,
        kinds=frozenset({kind}),
    )


def _signed_payload(kind: Kind, signer: str, payload: bytes, read: Callable[[bytes], object]) -> Entry:
    """The same for what one key says."""
    return Entry(
        lambda data: read(cose.sign1(KEYS[signer], kind, data, NETWORK)),
        lambda: [payload],
        TengeError,
        frozenset({kind}),
    )


def _payload_of(raw: bytes) -> bytes:
    payload = cbor.array(cbor.decode(raw), "COSE_Sign1", 4)[2]
    return cbor.bytes_up_to(payload, "payload", len(raw))


def _certificates() -> list[bytes]:
    given = [samples.certificate("canteen", is_purse=is_purse) for is_purse in (False, True)]
    return [*given, samples.allowed_certificate()]


def _invoice() -> bytes:
    certificate = samples.certificate("canteen", is_purse=True)
    lines = (Line("bread", 15_00), Line("tea", 25_00))
    return invoice_payload(40_00, certificate, samples.NONCE, 1000_00, NOW_S - 3600, NOW_S, lines)


def _receipt() -> bytes:
    return receipt_payload(samples.seed("some payment"), NOW_S)


# --- a whole payment ---------------------------------------------------------------------------


def _bundle() -> bytes:
    certs = (samples.certificate("aigul", is_purse=True),)
    return PaymentBundle(samples.offline_payment().raw, (), (samples.load_certificate(),), certs).encode()


def _no_purpose(purpose: bytes) -> Definition:
    raise PurposeRefused("no such purpose", purpose=purpose)


@cache
def _canteen() -> tuple[acceptance.Knowledge, Invoice]:
    """What the canteen's purse knows, and the invoice that the sample payment answers."""
    certificate, terms = samples.purse("canteen"), samples.offline_payment().body.terms
    raw = samples.certificate("canteen", is_purse=True)
    invoice = Invoice(
        40_00, certificate, raw, samples.NONCE, 1000_00, terms.trust_list_s, NOW_S, (), terms.invoice_id, b""
    )
    know = acceptance.Knowledge(
        network=NETWORK,
        trust_list=TrustList.verify(samples.trust_list(), NETWORK),
        policy=Policy(),
        certificate=certificate,
        definition_of=_no_purpose,
        spender_of=lambda _: None,
        clock_s=NOW_S,
        ledger_time_s=NOW_S,
        headroom_tiyn=1000_00,
    )
    return know, invoice


def _accept(data: bytes) -> object:
    know, invoice = _canteen()
    return acceptance.check(PaymentBundle.decode(data), lambda _: invoice, know)


def _fraud_proof() -> bytes:
    spends = [samples.offline_payment(salt).raw for salt in ("", "again")]
    bank = samples.messages()["admit"].body.institution.der
    return fraud.encode(*spends, samples.certificate("aigul", is_purse=True), bank)


# --- carriers ----------------------------------------------------------------------------------


def _text(data: bytes) -> str:
    """What a terminal or a file makes of bytes: also what is no UTF-8 becomes some text."""
    return data.decode("utf-8", "surrogateescape")


def _frames() -> list[bytes]:
    return ["\n".join(frames.split(_bundle(), chars)).encode() for chars in (200, 400)]


def _collect(data: bytes) -> bytes:
    collector = frames.Collector()
    for text in _text(data).split("\n"):
        collector.add(text)
    return collector.message()


def _through_socket(data: bytes, receive: Callable[[socket.socket], object]) -> object:
    """What the other end makes of these bytes and the end of the stream; no more than its system's buffer holds."""
    near, far = socket.socketpair()
    with near, far:
        near.sendall(data[: 1 << 15])
        near.shutdown(socket.SHUT_WR)
        return receive(far)


def _in_file(data: bytes, read: Callable[[Path], object]) -> object:
    path = Path(_folder().name) / "input"
    path.write_bytes(data)
    return read(path)


@cache
def _folder() -> tempfile.TemporaryDirectory[str]:
    return tempfile.TemporaryDirectory(prefix="tenge-fuzz-")


def _framed(data: bytes) -> bytes:
    return len(data).to_bytes(4, "big") + data


def _requests() -> list[bytes]:
    lone = [cbor.encode([name]) for name, shapes in wire.AFTER_OPEN.items() if not shapes]
    given = [["open", b"1234"], ["create", b"1234", bytes(32), [1, 1, 8]], ["sign_payment", b"payload"]]
    return lone + [cbor.encode(request) for request in given]


def _answers() -> list[bytes]:
    refusal = wire.refusal(PurposeRefused("no such purpose", purpose=bytes(32)))
    return [wire.answer([1, 2]), wire.answer(b"signature"), refusal]


def _ledger_requests() -> list[bytes]:
    lone = [cbor.encode([name]) for name, shapes in ledger_wire.ARGUMENTS.items() if not shapes]
    given = [
        ["submit", b"message"],
        ["tokens_after", [bytes(32)], b""],
        ["offline_after", [bytes(32)], bytes(34)],
        ["purposes_after", b""],
        ["waiting_after", bytes(32)],
        ["waiting_of_after", [bytes(32)], bytes(32)],
        ["offline_token", bytes(34)],
        ["spenders_of", bytes(34)],
        ["load_certificate", bytes(34)],
        ["sync_certificate", bytes(32), bytes(16)],
        ["certificate_bytes", bytes(32)],
        ["claims_tiyn", "altyn"],
        ["seized_tiyn", bytes(32)],
        ["debt_tiyn", "altyn/aigul"],
        ["purpose_memory", bytes(32), "altyn/aigul", "altyn/canteen"],
        *([name, bytes(32)] for name in ("waiting_payment", "approvers_of", "refundable")),
        ["keys_of", "altyn/aigul"],
        ["institution_of", bytes(32)],
        ["institution_key", "registry"],
        ["is_freed", bytes(34)],
        ["role_of", "altyn"],
    ]
    return lone + [cbor.encode(request) for request in given]


def _ledger_answer(data: bytes) -> object:
    """What a wallet makes of an answer, whichever call it was for."""
    value, error = read_answer(data, MAX_LEDGER_ANSWER_BYTES)
    if error is not None:
        return error
    taken = 0
    for call in ledger_wire.LEDGER_CALLS.values():
        try:
            call.result(value)
            taken += 1
        except FormError:
            continue
    if not taken:
        raise Malformed("an answer to no call")
    return taken


def _ledger_answers() -> list[bytes]:
    refusal = calls.refusal(PurposeRefused("no such purpose", purpose=bytes(32)))
    token = Token(bytes(32), 5, None).encode()
    waiting = Waiting("altyn/aigul", bytes(32), 1, 2, ["altyn/auditor"], [["bread", 5]], [], lapsed=False).encode()
    return [
        calls.answer([[[bytes(34), token]], False]),
        calls.answer([[[bytes(32), waiting]], True]),
        calls.answer([[[NOW_S, 5]], ["altyn/auditor"], [["registry", "delivered"]]]),
        calls.answer([Refundable(bytes(32), bytes(32), "altyn/aigul", 5).encode()]),
        calls.answer(["altyn/auditor"]),
        calls.answer([bytes(32)]),
        calls.answer(waiting),
        calls.answer(5),
        calls.answer(samples.receipt().encode()),
        refusal,
    ]


# --- the list ----------------------------------------------------------------------------------

LEDGER_KINDS = frozenset(sample.kind for sample in samples.messages().values())

_BYTES: dict[str, Entry] = {
    "cbor": Entry(cbor.decode, lambda: [cbor.encode([1, {"a": b"b"}, None, "теңге"])]),
    "message": Entry(
        lambda data: decode(data, NETWORK), lambda: [s.raw for s in samples.messages().values()], kinds=LEDGER_KINDS
    ),
    "verified message": Entry(
        lambda data: verify(decode(data, NETWORK)), lambda: [s.raw for s in samples.messages().values()], TengeError
    ),
    "certificate": Entry(
        lambda data: certificates.unverified(data, NETWORK),
        _certificates,
        kinds=frozenset({Kind.CERTIFICATE}),
    ),
    "claims": Entry(
        certificates.parse_claims,
        lambda: [_payload_of(raw) for raw in _certificates()],
        kinds=frozenset({Kind.CERTIFICATE}),
    ),
    "x509": Entry(x509.parse, samples.institutions),
    "entry": Entry(entries.decode, samples.log_entries),
    "receipt": Entry(Receipt.decode, lambda: [samples.receipt().encode()]),
    "load certificate": Entry(
        lambda data: LoadCertificate.verify(data, NETWORK, OPERATOR),
        lambda: [
            samples.load_certificate(),
            samples.load_certificate(samples.PURPOSE),
            samples.load_certificate(samples.PURPOSE, 2),
        ],
        TengeError,
        frozenset({Kind.LOAD_CERTIFICATE}),
    ),
    "sync certificate": Entry(
        lambda data: SyncCertificate.verify(data, NETWORK, OPERATOR),
        lambda: [samples.sync_certificate()],
        TengeError,
        frozenset({Kind.SYNC_CERTIFICATE}),
    ),
    "trust list": Entry(
        lambda data: TrustList.verify(data, NETWORK),
        lambda: [samples.trust_list()],
        TengeError,
        frozenset({Kind.TRUST_LIST}),
    ),
    "invoice": Entry(
        lambda data: read_invoice(data, NETWORK),
        lambda: [cose.sign1(KEYS["canteen purse"], Kind.INVOICE, _invoice(), NETWORK)],
        TengeError,
        frozenset({Kind.INVOICE}),
    ),
    "request": Entry(
        lambda data: requests.read(data, NETWORK), lambda: [samples.request()], kinds=frozenset({Kind.REQUEST})
    ),
    "payment receipt": Entry(
        lambda data: read_receipt(data, NETWORK, KEYS["canteen purse"].public),
        lambda: [cose.sign1(KEYS["canteen purse"], Kind.PAYMENT_RECEIPT, _receipt(), NETWORK)],
        TengeError,
        frozenset({Kind.PAYMENT_RECEIPT}),
    ),
    "payment": Entry(PaymentBundle.decode, lambda: [_bundle()]),
    "accepted payment": Entry(_accept, lambda: [_bundle()], TengeError),
    "fraud proof": Entry(lambda data: fraud.verify_proof(data, NETWORK), lambda: [_fraud_proof()], TengeError),
    "late head": Entry(
        lambda data: LateHead.verify(data, NETWORK, OPERATOR),
        lambda: [samples.late_head()],
        TengeError,
        frozenset({Kind.LATE_HEAD}),
    ),
    "ledger request": Entry(
        lambda data: read_request(data, ledger_wire.ARGUMENTS, MAX_LEDGER_REQUEST_BYTES), _ledger_requests
    ),
    "ledger answer": Entry(_ledger_answer, _ledger_answers),
    "passed list": Entry(exchange.is_trust_list, lambda: [samples.trust_list()], strict=False),
    "element request": Entry(wire.read_request, _requests),
    "element answer": Entry(wire.read_answer, _answers),
}

_PAYLOADS: dict[str, Entry] = {
    **{f"payload of {kind.name.lower()}": _ledger_payload(kind) for kind in sorted(LEDGER_KINDS, key=lambda k: k.name)},
    "payload of load_certificate": _signed_payload(
        Kind.LOAD_CERTIFICATE,
        "operator",
        _payload_of(samples.load_certificate()),
        lambda raw: LoadCertificate.verify(raw, NETWORK, OPERATOR),
    ),
    "payload of sync_certificate": _signed_payload(
        Kind.SYNC_CERTIFICATE,
        "operator",
        _payload_of(samples.sync_certificate()),
        lambda raw: SyncCertificate.verify(raw, NETWORK, OPERATOR),
    ),
    "payload of trust_list": _signed_payload(
        Kind.TRUST_LIST, "operator", _payload_of(samples.trust_list()), lambda raw: TrustList.verify(raw, NETWORK)
    ),
    "payload of late_head": _signed_payload(
        Kind.LATE_HEAD,
        "operator",
        _payload_of(samples.late_head()),
        lambda raw: LateHead.verify(raw, NETWORK, OPERATOR),
    ),
    "payload of invoice": _signed_payload(
        Kind.INVOICE, "canteen purse", _invoice(), lambda raw: read_invoice(raw, NETWORK)
    ),
    "payload of request": _signed_payload(
        Kind.REQUEST, "canteen online", _payload_of(samples.request()), lambda raw: requests.read(raw, NETWORK)
    ),
    "payload of payment_receipt": _signed_payload(
        Kind.PAYMENT_RECEIPT,
        "canteen purse",
        _receipt(),
        lambda raw: read_receipt(raw, NETWORK, KEYS["canteen purse"].public),
    ),
}

_CARRIED: dict[str, Entry] = {
    "amount": Entry(lambda data: amounts.parse_tenge(_text(data)), lambda: [b"1 500.50"], strict=False),
    "checkpoint": Entry(
        lambda data: checkpoint.verify(_text(data), ORIGIN, OPERATOR),
        lambda: [samples.signed_checkpoint().encode()],
        TengeError,
        strict=False,
    ),
    "payload text": Entry(lambda data: from_text(_text(data)), lambda: [to_text(_bundle()).encode()], strict=False),
    "packed": Entry(unpack, lambda: [pack(_bundle())], strict=False),
    "clipboard": Entry(
        lambda data: from_clipboard(_text(data)), lambda: [to_clipboard(_bundle()).encode()], strict=False
    ),
    "frame": Entry(
        lambda data: frames.read(_text(data)), lambda: [frames.split(_bundle(), 200)[0].encode()], strict=False
    ),
    "frames": Entry(_collect, _frames, TengeError, strict=False),
    "file": Entry(
        lambda data: _in_file(data, lambda path: FileCarrier(path).receive()),
        lambda: [to_text(_bundle()).encode()],
        strict=False,
    ),
    "socket": Entry(
        lambda data: _through_socket(data, lambda far: SocketCarrier(far, 5.0).receive()),
        lambda: [_framed(to_text(_bundle()).encode())],
        TengeError,
        strict=False,
    ),
    "element frame": Entry(
        lambda data: _through_socket(data, lambda far: receive_frame(far, MAX_ELEMENT_FRAME_BYTES)),
        lambda: [_framed(_requests()[0])],
        strict=False,
    ),
    "picture": Entry(images.read_codes, lambda: [qr.png(qr.encode(b"a short message"))], strict=False),
    "scenario": Entry(
        lambda data: _in_file(data, schema.read),
        lambda: [path.read_bytes() for path in sorted(_SCENARIOS.glob("*.toml"))],
        TengeError,
        strict=False,
    ),
}

ENTRIES: dict[str, Entry] = _BYTES | _PAYLOADS | _CARRIED
