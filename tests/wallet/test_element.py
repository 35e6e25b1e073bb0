"""The secure element: one payload per input for ever, within the certificate's limits, and no way to the key."""

from __future__ import annotations

import os
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from cbdc.errors import (
    BadSignature,
    CertificateRevoked,
    DoubleSpend,
    FormError,
    LimitHolding,
    LimitHops,
    LimitPayment,
    LimitSpends,
    Malformed,
    NotEnrolled,
    Replayed,
    TengeError,
    TrustListStale,
    WrongPayee,
)
from cbdc.formats import cbor, certificates, cose
from cbdc.formats.certificates import PurseLimits
from cbdc.formats.ed25519 import SigningKey, is_valid
from cbdc.formats.kinds import Kind
from cbdc.formats.tokens import Output
from cbdc.messages.bodies import Transfer, Unload
from cbdc.service.founding import Governor
from tests.support import seed
from tests.wallet.paper import FAR_S, PIN, Device, Paper
from wallet.element import ElementProcess, SecureElement, SimulatedElement
from wallet.protocol import receipt_payload
from wallet.vault import QUICK_KDF

LIMITS = PurseLimits(holding_tiyn=1_000_00, payment_tiyn=200_00, spends=3, hops=2)
PAYEE = SigningKey(seed("payee")).public
COINS = [bytes([number]) * 34 for number in range(1, 9)]


@pytest.fixture(params=[SimulatedElement, ElementProcess], ids=["in_process", "own_process"])
def device(request: pytest.FixtureRequest, new_device: Callable[..., Device]) -> Device:
    """Every rule holds for both variants."""
    return new_device("dana", maker=request.param, limits=LIMITS)


def payment(device: Device, *coins: bytes, amount_tiyn: int = 100_00, change_tiyn: int = 0, **terms: Any) -> bytes:
    """The payload of the element's next payment."""
    counter, spends = device.element.counters()
    outputs = [Output(PAYEE, amount_tiyn, None)]
    if change_tiyn:
        outputs.append(Output(device.element.public_key, change_tiyn, None))
    own = device.purse.certificate.id
    terms = {"payer_certificate": own, "counter": counter + 1, "spends": spends + 1} | terms
    return cbor.encode(device.paper.transfer(own, seed("payee"), coins, tuple(outputs), **terms).to_cbor())


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


def word(paper: Paper, device: Device, operator: SigningKey | None = None, held_tiyn: int = 0) -> bytes:
    """The operator's word on a sync that the element has just asked for."""
    return paper.sync_certificate(device.element.public_key, device.element.sync_challenge(), operator, held_tiyn)


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
            device.element.install(certificate, paper.trust_list())


def test_it_believes_only_a_bank_on_the_trust_list(paper: Paper, device: Device) -> None:
    """Wider limits by whoever has the wallet's software are not enforced, because they are not taken."""
    key, stranger = device.element.public_key, SigningKey(seed("stranger"))
    wide = PurseLimits(10**9, 10**9, 1000, 5)
    by_stranger, of_no_bank = (
        paper.certify("dana", key, limits=wide, by=stranger),
        paper.certify("dana", key, limits=wide, bank="kumis"),
    )
    good = paper.certify("dana", key, limits=wide)
    revoked = certificates.unverified(good, paper.network)[0].id
    false = Governor.from_seed(seed("false governor"))
    for certificate, trust_list, error in (
        (by_stranger, paper.trust_list(), BadSignature),
        (of_no_bank, paper.trust_list(), NotEnrolled),
        (good, paper.trust_list(revoked=(revoked,)), CertificateRevoked),
        (good, paper.trust_list(governor=false), BadSignature),
        (good, paper.trust_list(time_s=paper.now_s - 1), TrustListStale),
        (good, b"", FormError),
        (b"", paper.trust_list(), FormError),
    ):
        with pytest.raises(error):
            device.element.install(certificate, trust_list)
    with pytest.raises(LimitPayment):
        device.element.sign_payment(payment(device, COINS[0], amount_tiyn=LIMITS.payment_tiyn + 1))
    device.purse.install(good, paper.trust_list())
    device.element.sign_payment(payment(device, COINS[0], amount_tiyn=LIMITS.payment_tiyn + 1))


def test_it_signs_under_its_installed_certificate_alone(paper: Paper, device: Device) -> None:
    """Software that goes on naming an earlier one, whose limits the element no longer keeps, gets nothing."""
    key, earlier = device.element.public_key, device.purse.certificate_raw
    payload, asked = payment(device, COINS[0]), invoice(device, 1_00)
    later = paper.certify("dana", key, limits=LIMITS, issued_s=paper.now_s + 1)
    device.element.install(later, paper.trust_list())
    assert certificates.unverified(earlier, paper.network)[0].id != certificates.unverified(later, paper.network)[0].id
    before = remembered(device)
    for refused in (lambda: device.element.sign_payment(payload), lambda: device.element.sign_invoice(asked)):
        with pytest.raises(NotEnrolled):
            refused()
    assert remembered(device) == before
    device.purse.install(later, paper.trust_list())
    device.element.sign_payment(payment(device, COINS[0]))
    device.element.sign_invoice(invoice(device, 1_00))


def test_what_was_signed_before_a_new_certificate_is_shown_again(paper: Paper, device: Device) -> None:
    payload = payment(device, COINS[0])
    first = device.element.sign_payment(payload)
    device.element.install(paper.certify("dana", device.element.public_key, limits=LIMITS), paper.trust_list())
    assert device.element.sign_payment(payload) == first


def test_it_says_what_is_left_of_an_allowance(paper: Paper, device: Device) -> None:
    purpose, other = paper.meals_id, seed("other purpose")
    allowing = replace(LIMITS, allowances=((purpose, 150_00),))
    assert device.element.allowance_left_tiyn(purpose) is None
    device.purse.install(paper.certify("dana", device.element.public_key, limits=allowing), paper.trust_list())
    assert device.element.allowance_left_tiyn(purpose) == 150_00
    own = device.purse.certificate.id
    counters = {"counter": 1, "spends": 1}
    paid = paper.transfer(own, seed("payee"), (COINS[0],), (Output(PAYEE, 100_00, purpose),), **counters)
    device.element.sign_payment(cbor.encode(paid.to_cbor()))
    assert device.restarted().element.allowance_left_tiyn(purpose) == 50_00
    assert device.element.allowance_left_tiyn(other) is None
    device.element.note_sync(word(paper, device), paper.trust_list())
    assert device.element.allowance_left_tiyn(purpose) == 150_00


def test_a_later_list_that_it_saw_in_a_sync_counts(paper: Paper, device: Device) -> None:
    paper.now_s += 60
    device.element.note_sync(word(paper, device), paper.trust_list())
    certificate = paper.certify("dana", device.element.public_key)
    with pytest.raises(TrustListStale):
        device.element.install(certificate, paper.trust_list(time_s=paper.now_s - 1))


def test_without_a_certificate_it_signs_nothing_that_has_a_limit(paper: Paper, device: Device) -> None:
    path = device.directory / "fresh.db"
    element = device.maker.create(path, PIN, paper.network, cost=QUICK_KDF, random=os.urandom)
    for refused in (
        lambda: element.sign_payment(payment(device, COINS[0])),
        lambda: element.sign_invoice(invoice(device, 1)),
        lambda: element.sign_receipt(*receipt_for(element.public_key, paper, 1)),
    ):
        with pytest.raises(NotEnrolled):
            refused()
    assert (element.counters(), element.held_tiyn()) == ((0, 0), 0)
    element.close()


def test_nothing_shows_or_exports_the_key(device: Device) -> None:
    key = device.stolen_seed()
    assert SigningKey(key).public == device.element.public_key
    shown = f"{device.element!r} {device.element} {vars(device.element)}"
    assert key.hex()[:8] not in shown
    assert repr(key)[2:10] not in shown
    assert not [name for name in dir(SecureElement) if any(word in name for word in ("export", "secret", "seed"))]
    written = b"".join(file.read_bytes() for file in device.directory.iterdir())
    assert key not in written


def test_invoices_and_receipts_are_signed_in_their_own_domains(device: Device) -> None:
    key, network = device.element.public_key, device.paper.network
    payload, taken = receipt_for(key, device.paper, 1_00)
    asked, receipt = device.element.sign_invoice(invoice(device, 1_00)), device.element.sign_receipt(payload, taken)
    assert cose.verify1(asked, Kind.INVOICE, network, key) == invoice(device, 1_00)
    assert cose.verify1(receipt, Kind.PAYMENT_RECEIPT, network, key) == payload
    with pytest.raises(Malformed):
        cose.verify1(asked, Kind.PAYMENT_RECEIPT, network, key)


# --- holding -----------------------------------------------------------------------------------


def invoice(device: Device, amount_tiyn: int) -> bytes:
    """The payload of an invoice, as far as an element looks: the amount comes first, then the certificate."""
    return cbor.encode([amount_tiyn, device.purse.certificate_raw, b"", 0, 0, 0, []])


def receipt_for(payee: bytes, paper: Paper, amount_tiyn: int, number: int = 0) -> tuple[bytes, bytes]:
    """A receipt's payload, and a stranger's payment of so much to ``payee`` that it is for."""
    outputs = (Output(payee, amount_tiyn, None), Output(PAYEE, 5_00, None))
    transfer = paper.transfer(seed("payer"), seed("payee"), (COINS[number],), outputs)
    raw = paper.signed(transfer, SigningKey(seed("payer purse")))
    return receipt_payload(paper.message_id(raw), paper.now_s), raw


def take(device: Device, amount_tiyn: int, number: int = 0) -> bytes:
    return device.element.sign_receipt(*receipt_for(device.element.public_key, device.paper, amount_tiyn, number))


def test_it_counts_what_comes_in_and_goes_out(paper: Paper, device: Device) -> None:
    element = device.element
    assert element.held_tiyn() == 0
    element.note_sync(word(paper, device, held_tiyn=500_00), paper.trust_list())
    assert element.held_tiyn() == 500_00
    take(device, 100_00)
    assert element.held_tiyn() == 600_00
    element.sign_payment(payment(device, COINS[1], amount_tiyn=150_00, change_tiyn=70_00))
    assert device.restarted().element.held_tiyn() == 450_00
    out = (Output(device.element.public_key, 1_00, None), Output(PAYEE, 50_00, None))
    device.element.sign_unload(cbor.encode(Unload((COINS[2],), out, FAR_S).to_cbor()))
    assert device.element.held_tiyn() == 400_00


def test_a_repeat_counts_once(device: Device) -> None:
    assert take(device, 100_00) == take(device, 100_00)
    assert device.restarted().element.held_tiyn() == 100_00
    take(device, 100_00)
    assert device.element.held_tiyn() == 100_00
    payload = payment(device, COINS[1], amount_tiyn=30_00)
    for _ in range(2):
        device.element.sign_payment(payload)
    assert device.element.held_tiyn() == 70_00


def test_what_it_never_saw_come_in_may_go_out(device: Device) -> None:
    device.element.sign_payment(payment(device, COINS[0], amount_tiyn=200_00))
    assert device.element.held_tiyn() == 0


def test_it_asks_for_no_more_than_the_purse_may_hold(paper: Paper, device: Device) -> None:
    room_tiyn = LIMITS.holding_tiyn - 900_00
    device.element.note_sync(word(paper, device, held_tiyn=900_00), paper.trust_list())
    device.element.sign_invoice(invoice(device, room_tiyn))
    with pytest.raises(LimitHolding) as refused:
        device.element.sign_invoice(invoice(device, room_tiyn + 1))
    assert refused.value.values == {"found": LIMITS.holding_tiyn + 1, "limit": LIMITS.holding_tiyn}


def test_it_takes_no_more_than_the_purse_may_hold(device: Device) -> None:
    """Two invoices may be open at once; the second payment is refused when both would not fit."""
    take(device, 900_00, 1)
    with pytest.raises(LimitHolding):
        take(device, 100_01, 2)
    assert device.element.held_tiyn() == 900_00
    take(device, 100_00, 3)
    assert device.element.held_tiyn() == LIMITS.holding_tiyn
    with pytest.raises(LimitHolding):
        device.element.sign_invoice(invoice(device, 1))
    take(device, 900_00, 1)


def test_a_sync_puts_the_count_right(paper: Paper, device: Device) -> None:
    take(device, LIMITS.holding_tiyn)
    device.element.note_sync(word(paper, device, held_tiyn=0), paper.trust_list())
    device.element.sign_invoice(invoice(device, LIMITS.holding_tiyn))
    assert device.element.held_tiyn() == 0


def test_a_sync_before_the_evidence_is_in_still_counts_what_was_paid_away(paper: Paper, device: Device) -> None:
    """The ledger knows 500 and the 100 just loaded, and nothing yet of the 150 and 50 that left."""
    device.element.note_sync(word(paper, device, held_tiyn=500_00), paper.trust_list())
    for coin, amount_tiyn in ((COINS[0], 150_00), (COINS[1], 50_00)):
        device.element.sign_payment(payment(device, coin, amount_tiyn=amount_tiyn))
        device.element.note_sync(word(paper, device, held_tiyn=600_00), paper.trust_list(), settled=False)
    assert device.restarted().element.held_tiyn() == 400_00
    device.element.note_sync(word(paper, device, held_tiyn=100_00), paper.trust_list(), settled=False)
    assert device.element.held_tiyn() == 0
    for settled in (True, False):
        device.element.note_sync(word(paper, device, held_tiyn=400_00), paper.trust_list(), settled)
        assert device.element.held_tiyn() == 400_00


def test_a_receipt_is_for_the_payment_that_it_names(paper: Paper, device: Device) -> None:
    mine, theirs = device.element.public_key, PAYEE
    payload, raw = receipt_for(mine, paper, 1_00)
    other_payload, other_raw = receipt_for(theirs, paper, 1_00)
    for wrong in ((payload, other_raw), (other_payload, raw), (other_payload, other_raw)):
        with pytest.raises(WrongPayee):
            device.element.sign_receipt(*wrong)
    for junk in (
        (b"", raw),
        (cbor.encode([1, 2]), raw),
        (cbor.encode([seed("x")]), raw),
        (payload, b""),
        (payload, b"\xa0"),
    ):
        with pytest.raises(FormError):
            device.element.sign_receipt(*junk)
    assert device.element.held_tiyn() == 0


@pytest.mark.parametrize(
    "junk", [b"", b"\xff", cbor.encode([]), cbor.encode(["1"]), cbor.encode([-1]), cbor.encode([1] * 17)]
)
def test_an_invoice_begins_with_an_amount(device: Device, junk: bytes) -> None:
    with pytest.raises(FormError):
        device.element.sign_invoice(junk)
