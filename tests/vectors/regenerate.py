"""Golden vectors: writes one JSON file for every format, out of fixed seeds; the same on every machine.

    python tests/vectors/regenerate.py            write the files (`make vectors`)
    python tests/vectors/regenerate.py --check    compare, and fail if the code produces anything else

Byte strings are hex, inside decoded values marked with ``0x``.
"""

# ruff: noqa: E402 - as a script, it must find the project before it can import it
from __future__ import annotations

import json
import sys
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).resolve().parent
if not __package__:  # run as a script
    sys.path.insert(0, str(FOLDER.parents[1]))

import base45

from cbdc import amounts
from cbdc.errors import TengeError
from cbdc.formats import cbor, cose, requests
from cbdc.formats.hashing import tagged
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import outpoint
from cbdc.limits import MAX_AMOUNT_TIYN, MAX_CBOR_DEPTH
from cbdc.log import checkpoint, entries, merkle
from cbdc.messages.message import message_id
from cbdc.state.records import Allowance, BankReserve, Facts, Paid, Record, Spent, Supply, Table, Token, Waiting
from cbdc.state.root import LatticeHash, element, root_of
from tests.vectors import samples
from tests.vectors.proofs import range_proof_vectors
from tests.vectors.samples import KEYS, NETWORK, SEEDS
from wallet.carriers import frames
from wallet.carriers.text import END, armoured, from_clipboard
from wallet.protocol import PREFIX

Vector = dict[str, Any]


def main(arguments: list[str]) -> int:
    """Write or compare; the exit status."""
    files = {FOLDER / f"{name}.json": as_text(content) for name, content in vectors().items()}
    if arguments == ["--check"]:
        wrong = sorted(path.name for path, text in files.items() if not path.exists() or path.read_text() != text)
        stray = sorted(path.name for path in FOLDER.glob("*.json") if path not in files)
        for name in wrong + stray:
            print(f"differs: {name}", file=sys.stderr)
        return 1 if wrong or stray else 0
    if arguments:
        print(__doc__, file=sys.stderr)
        return 2
    for path in FOLDER.glob("*.json"):
        path.unlink()
    for path, text in files.items():
        path.write_text(text)
    return 0


def as_text(content: object) -> str:
    return json.dumps(content, indent=2, ensure_ascii=False) + "\n"


def shown(value: cbor.Value) -> Any:
    """A decoded value as JSON: byte strings as ``0x...``, the keys of maps as text."""
    if isinstance(value, bytes):
        return f"0x{value.hex()}"
    if isinstance(value, list | tuple):
        return [shown(item) for item in value]
    if isinstance(value, dict):
        return {str(key): shown(item) for key, item in value.items()}
    return value


def vectors() -> dict[str, Vector]:
    """Every file's content by its name without ``.json``."""
    return {
        "amounts": amount_vectors(),
        "cbor": cbor_vectors(),
        "cose": cose_vectors(),
        "certificate": certificate_vectors(),
        **{f"message-{name}": message_vector(sample) for name, sample in samples.messages().items()},
        "request": request_vector(),
        "load-certificate": load_certificate_vectors(),
        "sync-certificate": sync_certificate_vector(),
        "trust-list": trust_list_vector(),
        "late-head": late_head_vector(),
        "entry": entry_vectors(),
        "checkpoint": checkpoint_vector(),
        "receipt": receipt_vector(),
        "state-root": state_root_vectors(),
        "carriers": carrier_vectors(),
        "range-proof": range_proof_vectors(),
    }


def refusals(inputs: Iterable[Any], read: Callable[[Any], object], show: Callable[[Any], Any]) -> list[Vector]:
    """What must be refused, with the code."""
    found = []
    for value in inputs:
        try:
            read(value)
        except TengeError as error:
            found.append({"input": show(value), "code": error.code})
        else:
            raise AssertionError(f"should be refused: {value!r}")
    return found


# --- formats without keys ----------------------------------------------------------------------


def amount_vectors() -> Vector:
    texts = ["0", "1", "1.00", "0.01", "1 500", "1500.50", "1\u2009000\u2009000", "1\u00a0234\u202f567.89"]
    texts.append(str(MAX_AMOUNT_TIYN // 100))
    wrong = ["", "-1", "1.5", "1.505", "1,5", "1e3", ".50", "١", "9" * 17, str(MAX_AMOUNT_TIYN // 100 + 1)]
    return {
        "valid": [
            {"text": text, "tiyn": tiyn, "plain": amounts.format_tenge(tiyn), "shown": amounts.show_tenge(tiyn)}
            for text in texts
            for tiyn in [amounts.parse_tenge(text)]
        ],
        "invalid": refusals(wrong, amounts.parse_tenge, str),
    }


def carrier_vectors() -> Vector:
    """One message on each carrier, packed without compression: how well zlib compresses differs by its version."""
    message = bytes(range(256))
    packed = stored(message)
    payload = PREFIX + base45.b45encode(packed).decode()
    cut = frames.split_text(payload, 195)
    clip = armoured(packed)
    collector = frames.Collector()
    wrong_frames = ["KZF1:", cut[0][:-1], cut[0].replace("/1/", "/2/"), cut[0].lower(), cut[0] + "0", payload + "0"]
    wrong_clips = ["", clip.replace("A", "B", 1), clip.removesuffix(END), clip + clip, clip.replace("\n", "=", 1)]
    return {
        "message": message.hex(),
        "packed": packed.hex(),
        "payload_text": payload,
        "frames": {"max_chars": 195, "texts": list(cut), "invalid": refusals(wrong_frames, collector.add, str)},
        "clipboard_text": {"text": clip, "invalid": refusals(wrong_clips, from_clipboard, str)},
        "socket": (len(payload).to_bytes(4, "big") + payload.encode()).hex(),
    }


def stored(message: bytes) -> bytes:
    """A zlib stream (RFC 1950) of one stored block (RFC 1951 section 3.2.4)."""
    length = len(message).to_bytes(2, "little")
    block = b"\x01" + length + bytes(byte ^ 0xFF for byte in length) + message
    return b"\x78\x01" + block + zlib.adler32(message).to_bytes(4, "big")


def cbor_vectors() -> Vector:
    values: list[cbor.Value] = [0, 23, 24, 255, 256, 65535, 65536, 1 << 32, (1 << 64) - 1, -1, -24, -25, -65537]
    values += [b"", b"\x01\x02", "", "теңге ₸", None, True, False, [], [1, [2, b"\x03"]], {}]
    values += [{"bb": 1, "a": 2}, {1: "a", -1: "b", 4: "c", -65537: "d"}]
    wrong = [
        "1800",
        "190017",
        "5801ff",
        "9f01ff",
        "5f4101ff",
        "a2010101 02",
        "a202000100",
        "c100",
        "c24105",
        "ff",
        "0000",
    ]
    wrong += [
        "81" * (MAX_CBOR_DEPTH + 1) + "00",
        "1c",
        "",
        "d9d9f701",
        "9b7fffffffffffffff",
        "fb3ff0000000000000",
        "f800",
        "61ff",
    ]
    return {
        "valid": [{"value": shown(value), "bytes": cbor.encode(value).hex()} for value in values],
        "invalid": refusals(map(bytes.fromhex, wrong), cbor.decode, bytes.hex),
    }


# --- signatures and certificates ---------------------------------------------------------------


def signer(name: str) -> Vector:
    return {"seed": SEEDS[name].hex(), "public": KEYS[name].public.hex()}


def cose_vectors() -> Vector:
    payload = cbor.encode(["what is signed", 1])
    one = cose.sign1(KEYS["operator"], Kind.TRUST_LIST, payload, NETWORK)
    two = cose.sign([KEYS["altyn"], KEYS["aigul online"]], Kind.TRANSFER, payload, NETWORK)
    common = {"network": NETWORK.hex(), "payload": payload.hex()}
    _, check = cose.open1(one, Kind.TRUST_LIST, NETWORK)
    return {
        "sign1": common
        | {
            "content_type": Kind.TRUST_LIST.value,
            "signer": signer("operator"),
            "to_be_signed": check.message.hex(),
            "signature": check.signature.hex(),
            "message": one.hex(),
        },
        "sign": common
        | {
            "content_type": Kind.TRANSFER.value,
            "signers": [signer("altyn"), signer("aigul online")],
            "to_be_signed": cose.signed_structure(Kind.TRANSFER, payload, NETWORK).hex(),
            "signatures": {check.key.hex(): check.signature.hex() for check in cose.checks(cose.decode(two), NETWORK)},
            "message": two.hex(),
        },
    }


def certificate_vectors() -> Vector:
    found = {}
    for name, is_purse in (("aigul", False), ("aigul", True), ("canteen", False)):
        of = f"{name} {'purse' if is_purse else 'wallet'}"
        holder = f"{name} {'purse' if is_purse else 'online'}"
        found[of] = certificate_vector(samples.certificate(name, is_purse=is_purse), holder)
    return found | {"aigul purse with allowances": certificate_vector(samples.allowed_certificate(), "aigul purse")}


def certificate_vector(raw: bytes, holder: str) -> Vector:
    payload = cbor.decode(raw)[2]
    return {
        "network": NETWORK.hex(),
        "bank": signer("altyn"),
        "holder": signer(holder),
        "claims": shown(cbor.decode(payload)),
        "payload": payload.hex(),
        "id": samples.open_certificate(raw).hex(),
        "certificate": raw.hex(),
    }


# --- messages ----------------------------------------------------------------------------------


def message_vector(sample: samples.Sample) -> Vector:
    payload = cbor.encode(sample.body.to_cbor())
    return {
        "kind": sample.kind.name.lower(),
        "content_type": sample.kind.value,
        "network": NETWORK.hex(),
        "signers": [signer(name) for name in sample.signers],
        "body": shown(sample.body.to_cbor()),
        "payload": payload.hex(),
        "id": message_id(sample.kind, payload).hex(),
        "message": sample.raw.hex(),
    }


def sign1_vector(raw: bytes, name: str) -> Vector:
    payload = cbor.decode(raw)[2]
    return {
        "network": NETWORK.hex(),
        "signer": signer(name),
        "body": shown(cbor.decode(payload)),
        "payload": payload.hex(),
        "message": raw.hex(),
    }


def request_vector() -> Vector:
    raw = samples.request()
    return sign1_vector(raw, "canteen online") | {"id": requests.read(raw, NETWORK).id.hex()}


def load_certificate_vectors() -> Vector:
    return {
        "free": sign1_vector(samples.load_certificate(), "operator"),
        "marked": sign1_vector(samples.load_certificate(samples.PURPOSE), "operator"),
        "counted": sign1_vector(samples.load_certificate(samples.PURPOSE, 2), "operator"),
    }


def sync_certificate_vector() -> Vector:
    return sign1_vector(samples.sync_certificate(), "operator")


def trust_list_vector() -> Vector:
    return sign1_vector(samples.trust_list(), "operator") | {"governor": signer("governor")}


def late_head_vector() -> Vector:
    return sign1_vector(samples.late_head(), "operator") | {"late": shown(samples.late_payments())}


# --- the log and the state ---------------------------------------------------------------------


def entry_vectors() -> Vector:
    tree = merkle.Tree()
    found = []
    for data in samples.log_entries():
        time_s, message = entries.decode(data)
        tree.append(merkle.leaf_hash(data))
        found.append(
            {
                "time_s": time_s,
                "message": message.hex(),
                "entry": data.hex(),
                "leaf": merkle.leaf_hash(data).hex(),
                "root_after": tree.root().hex(),
            }
        )
    return {"empty_root": merkle.EMPTY_ROOT.hex(), "entries": found}


def checkpoint_vector() -> Vector:
    found = samples.open_checkpoint(samples.signed_checkpoint().encode())
    return {
        "origin": found.origin,
        "operator": signer("operator"),
        "key_id": checkpoint.key_id(found.origin, KEYS["operator"].public).hex(),
        "verifier_key": checkpoint.verifier_key(found.origin, KEYS["operator"].public),
        "size": found.size,
        "root": found.root.hex(),
        "state_root": found.state_root.hex(),
        "text": found.text(),
        "note": samples.signed_checkpoint(),
    }


def receipt_vector() -> Vector:
    receipt = samples.receipt()
    return {
        "origin": samples.ORIGIN,
        "operator": signer("operator"),
        "message": samples.messages()["issue"].raw.hex(),
        "index": receipt.index,
        "time_s": receipt.time_s,
        "checkpoint": receipt.checkpoint,
        "proof": [item.hex() for item in receipt.proof],
        "receipt": receipt.encode().hex(),
    }


def state_root_vectors() -> Vector:
    records = [
        ((Table.TOKEN, samples.TOKEN), Token(KEYS["altyn"].public, 100_00, None)),
        ((Table.TOKEN, samples.OTHER_TOKEN), Token(KEYS["aigul online"].public, 1, samples.PURPOSE)),
        ((Table.OFFLINE, samples.OTHER_TOKEN), samples.offline_token()),
        ((Table.RESERVE, b"altyn"), BankReserve(500_00, 200_00, 50_00)),
        ((Table.SUPPLY, b""), Supply(1000_00, 0, 400_00, 250_00, 350_00)),
        *purpose_records(),
    ]
    total, found = LatticeHash(), []
    for key, record in records:
        total.add(element(key, record.encode()))
        found.append(
            {
                "table": key[0].name,
                "number": int(key[0]),
                "key": key[1].hex(),
                "fields": shown([getattr(record, name) for name in record.__match_args__]),
                "value": record.encode().hex(),
                "element": element(key, record.encode()).hex(),
                "root_after": total.root().hex(),
            }
        )
    key, record = records[0]
    total.remove(element(key, record.encode()))
    return {
        "empty_root": root_of([]).hex(),
        "records": found,
        "root_without_the_first": total.root().hex(),
        "sum_without_the_first": total.to_bytes().hex(),
    }


def purpose_records() -> list[tuple[tuple[Table, bytes], Record]]:
    """What the ledger remembers of special-purpose money."""
    aigul, canteen = KEYS["aigul online"].public, KEYS["canteen online"].public
    payment, purpose, account = samples.seed("some payment"), samples.PURPOSE, b"altyn/aigul"
    lines = [[line.category, line.amount_tiyn] for line in samples.LINES]
    held = [[0, canteen, 40_00, purpose, 3, True, 2]]
    entered_s, until_s = samples.NOW_S, samples.LATER_S
    waiting = Waiting("altyn/aigul", aigul, entered_s, until_s, ["altyn/auditor"], lines, held, lapsed=False)
    return [
        ((Table.TOKEN, outpoint(payment, 1)), Token(aigul, 60_00, purpose, 3)),
        ((Table.OFFLINE, outpoint(payment, 2)), samples.offline_token(purpose, 2)),
        ((Table.WAITING, payment), waiting),
        ((Table.SPENT, purpose + account), Spent([[samples.NOW_S, 40_00], [samples.NOW_S + 60, 5_00]])),
        ((Table.FACT, tagged("fact", cbor.encode(["registry", payment]))), Facts(["accepted", "delivered"])),
        ((Table.PAID, payment + purpose + canteen), Paid(aigul, 40_00, 15_00, 3, samples.NOW_S)),
        ((Table.ALLOWANCE, purpose + account), Allowance(20_00)),
    ]


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
