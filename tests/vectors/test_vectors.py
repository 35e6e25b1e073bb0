"""The committed vectors are what the code produces, and the code reads them as they say."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from cbdc import errors
from cbdc.amounts import format_tenge, parse_tenge, show_tenge
from cbdc.errors import TengeError
from cbdc.formats import cbor, certificates, cose, requests
from cbdc.formats.ed25519 import SigningKey, is_valid
from cbdc.formats.kinds import Kind
from cbdc.log import checkpoint, entries, merkle
from cbdc.log.late import LateHead
from cbdc.log.receipts import Receipt
from cbdc.messages.message import decode, message_id, verify
from cbdc.offline.documents import LoadCertificate, SyncCertificate, TrustList
from cbdc.purposes.conditions import reading
from cbdc.state.records import Table
from cbdc.state.root import LatticeHash
from tests.vectors import regenerate
from tests.vectors.regenerate import FOLDER, as_text, shown, vectors
from wallet.carriers.frames import Collector
from wallet.carriers.socket import SocketCarrier
from wallet.carriers.text import from_clipboard
from wallet.protocol import from_text, unpack

CODES = {kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, TengeError)}
PRODUCED = vectors()
MESSAGES = sorted(name for name in PRODUCED if name.startswith("message-"))
Vector = dict[str, Any]


def load(name: str) -> Any:
    """A committed file."""
    return json.loads((FOLDER / f"{name}.json").read_text())


def raw(text: str) -> bytes:
    return bytes.fromhex(text)


def public(signer: Vector) -> bytes:
    """The key of a stated seed, which is the stated key."""
    key = SigningKey(raw(signer["seed"])).public
    assert key.hex() == signer["public"]
    return key


# --- committed is produced ---------------------------------------------------------------------


@pytest.mark.parametrize("name", PRODUCED)
def test_the_committed_file_is_what_the_code_produces(name: str) -> None:
    assert (FOLDER / f"{name}.json").read_text() == as_text(PRODUCED[name])


def test_no_other_file_is_committed() -> None:
    assert {path.stem for path in FOLDER.glob("*.json")} == set(PRODUCED)


def test_every_kind_of_message_has_a_vector() -> None:
    between_devices = {Kind.INVOICE, Kind.PAYMENT_RECEIPT}  # the wallet's, not the ledger's
    one_key = {Kind.CERTIFICATE, Kind.LOAD_CERTIFICATE, Kind.SYNC_CERTIFICATE, Kind.TRUST_LIST, Kind.LATE_HEAD}
    one_key.add(Kind.REQUEST)
    assert {Kind[load(name)["kind"].upper()] for name in MESSAGES} == set(Kind) - between_devices - one_key


def test_the_script_writes_and_compares(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(regenerate, "FOLDER", tmp_path)
    assert regenerate.main(["--check"]) == 1
    (tmp_path / "stray.json").write_text("{}")
    assert regenerate.main([]) == 0
    assert regenerate.main(["--check"]) == 0
    (tmp_path / "cose.json").write_text("{}")
    capsys.readouterr()
    assert regenerate.main(["--check"]) == 1
    assert capsys.readouterr().err == "differs: cose.json\n"
    assert regenerate.main(["--wrong"]) == 2


# --- the files say what they are read as -------------------------------------------------------


def test_amounts() -> None:
    found = load("amounts")
    for vector in found["valid"]:
        tiyn = vector["tiyn"]
        assert parse_tenge(vector["text"]) == tiyn
        assert (format_tenge(tiyn), show_tenge(tiyn)) == (vector["plain"], vector["shown"])
    for vector in found["invalid"]:
        with pytest.raises(CODES[vector["code"]]):
            parse_tenge(vector["input"])


def test_cbor() -> None:
    found = load("cbor")
    for vector in found["valid"]:
        assert shown(cbor.decode(raw(vector["bytes"]))) == vector["value"]
    for vector in found["invalid"]:
        with pytest.raises(CODES[vector["code"]]):
            cbor.decode(raw(vector["input"]))


def test_cose_sign1() -> None:
    vector = load("cose")["sign1"]
    network, key = raw(vector["network"]), public(vector["signer"])
    opened = cose.verify1(raw(vector["message"]), Kind(vector["content_type"]), network, key)
    assert opened == raw(vector["payload"])
    assert is_valid(key, raw(vector["to_be_signed"]), raw(vector["signature"]))


def test_cose_sign() -> None:
    vector = load("cose")["sign"]
    signed = cose.decode(raw(vector["message"]))
    assert (signed.kind.value, signed.payload.hex()) == (vector["content_type"], vector["payload"])
    assert {s.key.hex(): s.value.hex() for s in signed.signatures} == vector["signatures"]
    assert {s.key for s in signed.signatures} == {public(signer) for signer in vector["signers"]}
    for signature in signed.signatures:
        assert is_valid(signature.key, raw(vector["to_be_signed"]), signature.value)


@pytest.mark.parametrize("name", load("certificate"))
def test_certificates(name: str) -> None:
    vector = load("certificate")[name]
    found = certificates.verify(raw(vector["certificate"]), raw(vector["network"]), public(vector["bank"]))
    assert found.id.hex() == vector["id"]
    assert found.key == public(vector["holder"])
    claims = vector["claims"]
    stated = [claims[str(claim)] for claim in (certificates.ISS, certificates.SUB, certificates.EXP, certificates.IAT)]
    assert [found.bank, found.subject, found.expires_s, found.issued_s] == stated
    holder, tier, merchant, limits, online_key = claims[str(certificates.TENGE_CLAIM)]
    assert [found.holder.value, found.tier] == [holder, tier]
    assert (found.merchant is None, found.limits is None) == (merchant is None, limits is None)
    assert shown(found.online_key) == online_key


@pytest.mark.parametrize("name", MESSAGES)
def test_messages(name: str) -> None:
    vector = load(name)
    message = decode(raw(vector["message"]), raw(vector["network"]))
    assert (message.kind.name.lower(), message.kind.value) == (vector["kind"], vector["content_type"])
    assert message.id.hex() == vector["id"]
    assert message.id == message_id(message.kind, raw(vector["payload"]))
    assert message.signers == {public(signer) for signer in vector["signers"]}
    assert shown(message.body.to_cbor()) == vector["body"]
    assert shown(cbor.decode(raw(vector["payload"]))) == vector["body"]
    assert verify(message).id == message.id


def test_the_vectors_have_every_condition_rule_and_split() -> None:
    bodies = [load(name)["body"] for name in MESSAGES if load(name)["kind"] == "purpose"]
    found = {name for body in bodies for name in condition_names(body[4])}
    assert found == {*reading._LEAVES, "all", "any", "not"}
    assert {rule if isinstance(rule, str) else rule[0] for rule in (body[5] for body in bodies)} == {
        "clears",
        "keeps",
        "keeps_hops",
        "until_evidence",
    }
    assert any(body[7] for body in bodies)
    assert any(body[7] is None for body in bodies)


def condition_names(condition: list[Any]) -> set[str]:
    name, argument = condition
    inner = {"all": argument, "any": argument, "not": [argument]}.get(name, [])
    return {name}.union(*(condition_names(item) for item in inner))


def test_request() -> None:
    vector = load("request")
    found = requests.read(raw(vector["message"]), raw(vector["network"]))
    assert found.check.holds()
    assert found.check.key == found.payee == public(vector["signer"])
    lines = [[line.category, line.amount_tiyn] for line in found.lines]
    assert shown([found.payee, found.amount_tiyn, found.nonce, lines]) == vector["body"]
    assert found.id.hex() == vector["id"]


def test_a_certificate_with_allowances() -> None:
    vector = load("certificate")["aigul purse with allowances"]
    found = certificates.verify(raw(vector["certificate"]), raw(vector["network"]), public(vector["bank"]))
    assert found.limits is not None
    holding, payment, spends, hops, allowances = vector["claims"][str(certificates.TENGE_CLAIM)][3]
    limits = [found.limits.holding_tiyn, found.limits.payment_tiyn, found.limits.spends, found.limits.hops]
    assert [holding, payment, spends, hops] == limits
    assert shown(found.limits.allowances) == allowances


@pytest.mark.parametrize("name", ["free", "marked", "counted"])
def test_load_certificates(name: str) -> None:
    vector = load("load-certificate")[name]
    found = LoadCertificate.verify(raw(vector["message"]), raw(vector["network"]), public(vector["signer"]))
    token = found.token
    mark = [token.purpose, token.left]
    fields = [found.outpoint, token.owner, token.amount_tiyn, *mark, token.spend_until_s, token.final_at_s]
    assert shown(fields) == vector["body"]


def test_sync_certificate() -> None:
    vector = load("sync-certificate")
    found = SyncCertificate.verify(raw(vector["message"]), raw(vector["network"]), public(vector["signer"]))
    assert shown([found.purse_key, found.time_s, found.challenge, found.held_tiyn]) == vector["body"]


def test_trust_list() -> None:
    vector = load("trust-list")
    found = TrustList.verify(raw(vector["message"]), public(vector["governor"]))
    ders = [institution.der for institution in found.institutions]
    assert shown([found.time_s, ders, sorted(found.revoked)]) == vector["body"]
    assert found.operator_key() == public(vector["signer"])


def test_late_head() -> None:
    vector = load("late-head")
    head = LateHead()
    for size, time_s, payment in vector["late"]:
        head = head.after(size, time_s, raw(payment.removeprefix("0x")))
    assert LateHead.verify(raw(vector["message"]), raw(vector["network"]), public(vector["signer"])) == head
    assert shown([head.count, head.digest]) == vector["body"]


def test_entries_and_the_tree_over_them() -> None:
    found = load("entry")
    tree = merkle.Tree()
    assert tree.root().hex() == found["empty_root"]
    for vector in found["entries"]:
        assert entries.decode(raw(vector["entry"])) == (vector["time_s"], raw(vector["message"]))
        leaf = merkle.leaf_hash(raw(vector["entry"]))
        tree.append(leaf)
        assert (leaf.hex(), tree.root().hex()) == (vector["leaf"], vector["root_after"])


def test_checkpoint() -> None:
    vector = load("checkpoint")
    key = public(vector["operator"])
    found = checkpoint.verify(vector["note"], vector["origin"], key)
    stated = (vector["size"], vector["root"], vector["state_root"])
    assert (found.size, found.root.hex(), found.state_root.hex()) == stated
    assert vector["note"].startswith(vector["text"] + "\n")
    assert vector["verifier_key"].split("+")[1] == vector["key_id"]
    assert found.root.hex() == load("entry")["entries"][-1]["root_after"]


def test_receipt() -> None:
    vector = load("receipt")
    found = Receipt.decode(raw(vector["receipt"]))
    assert (found.index, found.time_s, found.checkpoint) == (vector["index"], vector["time_s"], vector["checkpoint"])
    assert [item.hex() for item in found.proof] == vector["proof"]
    signed = found.verify(raw(vector["message"]), vector["origin"], public(vector["operator"]))
    assert signed.size > found.index


def test_state_root() -> None:
    found = load("state-root")
    total = LatticeHash()
    assert total.root().hex() == found["empty_root"]
    for vector in found["records"]:
        assert Table[vector["table"]] == vector["number"]
        assert shown(cbor.decode(raw(vector["value"]))) == vector["fields"]
        key = raw(vector["key"])
        head = bytes([vector["number"]]) + len(key).to_bytes(2, "big")
        assert raw(vector["element"]) == head + key + raw(vector["value"])
        total.add(raw(vector["element"]))
        assert total.root().hex() == vector["root_after"]
    total.remove(raw(found["records"][0]["element"]))
    assert total.root().hex() == found["root_without_the_first"]
    assert total.to_bytes().hex() == found["sum_without_the_first"]


# --- carriers ----------------------------------------------------------------------------------


def test_every_carrier_brings_the_message() -> None:
    vector = load("carriers")
    message = raw(vector["message"])
    assert unpack(raw(vector["packed"])) == from_text(vector["payload_text"]) == message
    assert from_clipboard(vector["clipboard_text"]["text"]) == message
    collector = Collector()
    for text in reversed(vector["frames"]["texts"]):
        assert len(text) <= vector["frames"]["max_chars"]
        collector.add(text)
    assert collector.message() == message
    ours, theirs = socket.socketpair()
    with ours, SocketCarrier(theirs) as carrier:
        ours.sendall(raw(vector["socket"]))
        assert carrier.receive() == message


@pytest.mark.parametrize(("what", "read"), [("frames", Collector().add), ("clipboard_text", from_clipboard)])
def test_what_is_wrong_on_a_carrier_is_refused(what: str, read: Callable[[str], object]) -> None:
    invalid = load("carriers")[what]["invalid"]
    assert invalid
    for case in invalid:
        with pytest.raises(CODES[case["code"]]):
            read(case["input"])
