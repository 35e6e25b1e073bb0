"""The secure element: one payload per input for ever, within the certificate's limits, and no way to the key."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from cbdc.errors import (
    BadSignature,
    DoubleSpend,
    FormError,
    LimitHops,
    LimitPayment,
    LimitSpends,
    Malformed,
    NotEnrolled,
    Replayed,
    TengeError,
)
from cbdc.formats import cbor, cose
from cbdc.formats.certificates import PurseLimits
from cbdc.formats.ed25519 import SigningKey, is_valid
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.messages.bodies import Transfer, Unload
from cbdc.service.founding import Governor
from tests.support import seed
from tests.wallet.paper import FAR_S, PIN, Device, Paper
from wallet.element import SecureElement, SimulatedElement
from wallet.vault import QUICK_KDF

LIMITS = PurseLimits(holding_tiyn=1_000_00, payment_tiyn=200_00, spends=3, hops=2)
PAYEE = SigningKey(seed("payee")).public
COINS = [bytes([number]) * 34 for number in range(1, 9)]


@pytest.fixture
def device(new_device: Callable[..., Device]) -> Device:
    return new_device("dana", limits=LIMITS)


def payment(device: Device, *coins: bytes, amount_tiyn: int = 100_00, change_tiyn: int = 0, **terms: Any) -> bytes:
    """The payload of the element's next payment."""
    counter, spends = device.element.counters()
    outputs = [Output(PAYEE, amount_tiyn, None)]
    if change_tiyn:
        outputs.append(Output(device.element.public_key, change_tiyn, None))
    terms = {"counter": counter + 1, "spends": spends + 1} | terms
    return cbor.encode(device.paper.transfer(seed("payer"), seed("payee"), coins, tuple(outputs), **terms).to_cbor())


def unload(device: Device, *coins: bytes, amount_tiyn: int = 100_00) -> bytes:
    return cbor.encode(Unload(coins, (Output(device.element.public_key, amount_tiyn, None),), FAR_S).to_cbor())


def remembered(device: Device) -> tuple[object, ...]:
    return device.element.counters(), [device.element.has_spent(coin) for coin in COINS]


# --- signing once ------------------------------------------------------------------------------


def test_it_signs_a_payment_for_its_network(device: Device) -> None:
    payload = payment(device, COINS[0])
    signature = device.element.sign_payment(payload)
    assert signature.key == device.element.public_key
    structure = cose.signed_structure(Kind.TRANSFER, payload, device.paper.network)
    assert is_valid(device.element.public_key, structure, signature.value)


def test_the_same_payload_gets_the_identical_signature_and_counts_once(device: Device) -> None:
    payload = payment(device, COINS[0], COINS[1])
    first = device.element.sign_payment(payload)
    assert device.element.sign_payment(payload) == first
    assert device.element.counters() == (1, 1)
    assert device.restarted().element.sign_payment(payload) == first
    assert device.element.counters() == (1, 1)


@pytest.mark.parametrize("coins", [(COINS[0],), (COINS[1], COINS[0]), (COINS[2], COINS[1], COINS[0])])
@pytest.mark.parametrize("again", ["payment", "unload"])
@pytest.mark.parametrize("restart", [False, True])
def test_no_other_payload_ever_for_an_input(
    device: Device, coins: tuple[bytes, ...], again: str, restart: bool
) -> None:
    device.element.sign_payment(payment(device, COINS[0]))
    if restart:
        device.restarted()
    before = remembered(device)
    with pytest.raises(DoubleSpend):
        if again == "payment":
            device.element.sign_payment(payment(device, *coins, amount_tiyn=99_00))
        else:
            device.element.sign_unload(unload(device, *coins))
    assert remembered(device) == before


def test_an_unload_is_a_spend_too(device: Device) -> None:
    payload = unload(device, COINS[0])
    first = device.element.sign_unload(payload)
    assert device.element.sign_unload(payload) == first
    assert device.element.counters() == (0, 0)
    for refused in (unload(device, COINS[0], amount_tiyn=1), unload(device, COINS[0], COINS[1])):
        with pytest.raises(DoubleSpend):
            device.element.sign_unload(refused)
    with pytest.raises(DoubleSpend):
        device.element.sign_payment(payment(device, COINS[0]))
    assert not device.element.has_spent(COINS[1])


def test_a_signature_for_a_payment_is_none_for_an_unload(device: Device) -> None:
    payload = unload(device, COINS[0])
    signature = device.element.sign_unload(payload)
    for kind, holds in ((Kind.UNLOAD, True), (Kind.TRANSFER, False), (Kind.LOAD, False)):
        structure = cose.signed_structure(kind, payload, device.paper.network)
        assert is_valid(signature.key, structure, signature.value) is holds


# --- counters and limits -----------------------------------------------------------------------


def test_counters_go_up_by_one(device: Device) -> None:
    for number, coin in enumerate(COINS[:3], 1):
        device.element.sign_payment(payment(device, coin))
        assert device.element.counters() == (number, number)
        assert device.element.has_spent(coin)
    assert not device.element.has_spent(COINS[3])


@pytest.mark.parametrize(
    ("changes", "error"),
    [
        ({"amount_tiyn": LIMITS.payment_tiyn + 1}, LimitPayment),
        ({"hop": LIMITS.hops + 1}, LimitHops),
        ({"counter": 0}, Malformed),
        ({"counter": 2}, Malformed),
        ({"spends": 0}, Malformed),
        ({"spends": 2}, Malformed),
    ],
)
def test_what_breaks_a_limit_is_neither_signed_nor_noted(
    device: Device, changes: dict[str, int], error: type[TengeError]
) -> None:
    with pytest.raises(error):
        device.element.sign_payment(payment(device, COINS[0], **changes))
    assert remembered(device) == ((0, 0), [False] * len(COINS))


def test_limits_themselves_are_allowed_and_change_is_no_payment(device: Device) -> None:
    at_the_limit = {"amount_tiyn": LIMITS.payment_tiyn, "change_tiyn": 5 * LIMITS.payment_tiyn, "hop": LIMITS.hops}
    device.element.sign_payment(payment(device, COINS[0], **at_the_limit))
    assert device.element.counters() == (1, 1)


def test_no_more_payments_than_allowed_since_the_last_sync(device: Device, paper: Paper) -> None:
    for coin in COINS[: LIMITS.spends]:
        device.element.sign_payment(payment(device, coin))
    for _ in range(2):
        with pytest.raises(LimitSpends):
            device.restarted().element.sign_payment(payment(device, COINS[6]))
    device.element.note_sync(word(paper, device), paper.trust_list())
    assert device.element.counters() == (LIMITS.spends, 0)
    device.element.sign_payment(payment(device, COINS[6]))
    assert device.element.counters() == (LIMITS.spends + 1, 1)


def test_only_offline_transfers_and_unloads_are_signed(device: Device) -> None:
    online = Transfer((COINS[0],), (Output(PAYEE, 1, None),), FAR_S)
    with pytest.raises(Malformed):
        device.element.sign_payment(cbor.encode(online.to_cbor()))
    for sign in (device.element.sign_payment, device.element.sign_unload):
        for junk in (b"", b"\xff", cbor.encode("text"), cbor.encode([])):
            with pytest.raises(FormError):
                sign(junk)
    assert remembered(device) == ((0, 0), [False] * len(COINS))


# --- syncing -----------------------------------------------------------------------------------


def spent_once(device: Device) -> Device:
    device.element.sign_payment(payment(device, COINS[0]))
    return device


def word(paper: Paper, device: Device, operator: SigningKey | None = None) -> bytes:
    """The operator's word on a sync that the element has just asked for."""
    return paper.sync_certificate(device.element.public_key, device.element.sync_challenge(), operator)


def by_stranger(paper: Paper, device: Device) -> tuple[bytes, bytes]:
    return word(paper, device, SigningKey(seed("stranger"))), paper.trust_list()


def by_false_network(paper: Paper, device: Device) -> tuple[bytes, bytes]:
    stranger, false = SigningKey(seed("stranger")), Governor.from_seed(seed("false governor"))
    return word(paper, device, stranger), paper.trust_list(governor=false, operator=stranger)


def by_the_bank(paper: Paper, device: Device) -> tuple[bytes, bytes]:
    return word(paper, device, paper.bank), paper.trust_list()


def for_another(paper: Paper, device: Device) -> tuple[bytes, bytes]:
    return paper.sync_certificate(PAYEE, device.element.sync_challenge()), paper.trust_list()


def load_certificate(paper: Paper, device: Device) -> tuple[bytes, bytes]:
    return paper.load(device.element.public_key, 1)[2], paper.trust_list()


def for_no_challenge(paper: Paper, device: Device) -> tuple[bytes, bytes]:
    return paper.sync_certificate(device.element.public_key, bytes(16)), paper.trust_list()


def for_a_challenge_before_the_last(paper: Paper, device: Device) -> tuple[bytes, bytes]:
    older = word(paper, device)
    device.element.sync_challenge()
    return older, paper.trust_list()


@pytest.mark.parametrize(
    ("documents", "error"),
    [
        (by_stranger, BadSignature),
        (by_false_network, BadSignature),
        (by_the_bank, BadSignature),
        (for_another, BadSignature),
        (load_certificate, Malformed),
        (for_no_challenge, Replayed),
        (for_a_challenge_before_the_last, Replayed),
    ],
)
def test_only_the_operators_fresh_word_resets_the_count(
    paper: Paper, device: Device, documents: Callable[[Paper, Device], tuple[bytes, bytes]], error: type[TengeError]
) -> None:
    spent_once(device)
    with pytest.raises(error):
        device.element.note_sync(*documents(paper, device))
    assert device.element.counters() == (1, 1)


def test_the_same_sync_counts_once(paper: Paper, device: Device) -> None:
    sync = word(paper, device)
    device.element.note_sync(sync, paper.trust_list())
    spent_once(device)
    for _ in range(2):
        with pytest.raises(Replayed):
            device.restarted().element.note_sync(sync, paper.trust_list())
    assert device.element.counters() == (1, 1)


def test_every_challenge_is_another(device: Device) -> None:
    assert len({device.element.sync_challenge() for _ in range(5)}) == 5


# --- certificate and key -----------------------------------------------------------------------


def test_it_takes_its_own_purse_certificate_only(paper: Paper, device: Device) -> None:
    wallet = paper.certify("dana", device.element.public_key, limits=None, online_key=None)
    for certificate in (paper.certify("erlan", PAYEE), wallet):
        with pytest.raises(NotEnrolled):
            device.element.install(certificate)


def test_without_a_certificate_it_signs_no_payment(paper: Paper, device: Device) -> None:
    element = SimulatedElement.create(device.directory / "fresh.db", PIN, paper.network, cost=QUICK_KDF)
    with pytest.raises(NotEnrolled):
        element.sign_payment(payment(device, COINS[0]))
    assert element.counters() == (0, 0)
    element.close()


def test_nothing_shows_or_exports_the_key(device: Device) -> None:
    key: bytes = device.element.vault.get("element", b"key")
    assert SigningKey(key).public == device.element.public_key
    shown = f"{device.element!r} {device.element} {vars(device.element)}"
    assert key.hex()[:8] not in shown
    assert repr(key)[2:10] not in shown
    assert not [name for name in dir(SecureElement) if any(word in name for word in ("export", "secret", "seed"))]
    written = b"".join(file.read_bytes() for file in device.directory.iterdir())
    assert key not in written


def test_invoices_and_receipts_are_signed_in_their_own_domains(device: Device) -> None:
    key, network = device.element.public_key, device.paper.network
    invoice, receipt = device.element.sign_invoice(b"payload"), device.element.sign_receipt(b"payload")
    assert cose.verify1(invoice, Kind.INVOICE, network, key) == b"payload"
    assert cose.verify1(receipt, Kind.PAYMENT_RECEIPT, network, key) == b"payload"
    with pytest.raises(Malformed):
        cose.verify1(invoice, Kind.PAYMENT_RECEIPT, network, key)
