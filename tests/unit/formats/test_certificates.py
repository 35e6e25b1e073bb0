"""Wallet and purse certificates."""

from __future__ import annotations

import pytest

from cbdc.errors import BadSignature, FormError, Malformed, TooLarge
from cbdc.formats import cbor, certificates, cose
from cbdc.formats.certificates import Holder, Merchant, PurseLimits
from cbdc.formats.ed25519 import SigningKey
from cbdc.formats.kinds import Kind
from cbdc.limits import MAX_ALLOWANCES, MAX_AMOUNT_TIYN, MAX_CERTIFICATE_BYTES, MAX_NAME_CHARS
from tests.support import NOW_S, seed

NETWORK = seed("network")
BANK, OTHER = SigningKey(seed("altyn")), SigningKey(seed("kumis"))
KEY, ONLINE = seed("key"), seed("online")
SHOP = Merchant("990140000383", "5411", "750000000")
LIMITS = PurseLimits(10, 5, 3, 2)
PURSE = {"limits": LIMITS, "online_key": ONLINE}
MEALS, BOOKS = sorted([seed("meals"), seed("books")])
ALLOWED = PurseLimits(10, 5, 3, 2, ((MEALS, 7), (BOOKS, 0)))


def issue(**changes: object) -> bytes:
    fields = {"bank": "altyn", "subject": "aida", "key": KEY, "issued_s": NOW_S, "expires_s": NOW_S + 1}
    return certificates.issue(BANK, NETWORK, **(fields | changes))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"merchant": SHOP, "holder": Holder.MERCHANT},
        {"merchant": Merchant(SHOP.bin)},
        PURSE,
        {"tier": 3, "holder": Holder.SPONSOR, **PURSE},
        PURSE | {"limits": ALLOWED},
    ],
)
def test_round_trip(changes: dict[str, object]) -> None:
    certificate = certificates.verify(issue(**changes), NETWORK, BANK.public)
    expected = {"bank": "altyn", "subject": "aida", "key": KEY, "issued_s": NOW_S, "expires_s": NOW_S + 1}
    expected |= {"holder": Holder.PERSON, "tier": 1, "merchant": None, "limits": None, "online_key": None}
    expected |= changes
    assert {name: getattr(certificate, name) for name in expected} == expected
    assert certificate.account == "altyn/aida"


def test_a_certificate_counts_for_its_bank_and_network() -> None:
    for network, key in ((seed("other"), BANK), (NETWORK, OTHER)):
        with pytest.raises(BadSignature):
            certificates.verify(issue(), network, key.public)


def test_the_id_is_of_the_claims_not_of_the_signature() -> None:
    again = certificates.issue(
        OTHER, NETWORK, bank="altyn", subject="aida", key=KEY, issued_s=NOW_S, expires_s=NOW_S + 1
    )
    assert certificates.unverified(again, NETWORK)[0].id == certificates.unverified(issue(), NETWORK)[0].id
    assert certificates.unverified(issue(tier=2), NETWORK)[0].id != certificates.unverified(issue(), NETWORK)[0].id


def test_the_largest_certificate_fits() -> None:
    huge = PurseLimits(MAX_AMOUNT_TIYN, MAX_AMOUNT_TIYN, 1000, 1000)
    data = issue(
        bank="b" * MAX_NAME_CHARS,
        subject="s" * MAX_NAME_CHARS,
        merchant=SHOP,
        limits=huge,
        online_key=ONLINE,
        tier=1000,
    )
    assert len(data) <= MAX_CERTIFICATE_BYTES
    assert certificates.verify(data, NETWORK, BANK.public).limits == huge


def test_a_purse_may_pay_what_its_allowances_say() -> None:
    assert [ALLOWED.allowance_tiyn(purpose) for purpose in (MEALS, BOOKS, seed("other"))] == [7, 0, None]
    assert LIMITS.allowance_tiyn(MEALS) is None


@pytest.mark.parametrize(("limits", "count"), [(LIMITS, 4), (ALLOWED, 5)])
def test_limits_without_allowances_say_nothing_of_them(limits: PurseLimits, count: int) -> None:
    stated = cbor.decode(cbor.decode(issue(limits=limits, online_key=ONLINE))[2])[certificates.TENGE_CLAIM][3]
    assert len(stated) == count


def test_a_certificate_with_as_many_allowances_as_there_may_be_fits() -> None:
    """With names of a common length; with the longest ones a bank has to do with fewer."""
    allowances = tuple(sorted((seed(f"purpose {number}"), MAX_AMOUNT_TIYN) for number in range(MAX_ALLOWANCES)))
    limits = PurseLimits(MAX_AMOUNT_TIYN, MAX_AMOUNT_TIYN, 1000, 1000, allowances)
    raw = issue(bank="b" * 24, subject="s" * 24, merchant=SHOP, limits=limits, online_key=ONLINE, tier=1000)
    assert certificates.verify(raw, NETWORK, BANK.public).limits == limits


def claims(**changes: object) -> bytes:
    """The claims of a shop's purse, changed: by claim number as ``c1``, in the private claim as ``t0``."""
    payload = cbor.decode(cbor.decode(issue(merchant=SHOP, **PURSE))[2])
    for name, value in changes.items():
        if name.startswith("t"):
            payload[certificates.TENGE_CLAIM][int(name[1:])] = value
        elif value is None:
            del payload[int(name[1:])]
        else:
            payload[int(name[1:])] = value
    return cbor.encode(payload)


def respelled(claims_of: dict[int, object], number: int, key: object) -> dict[object, object]:
    """The same map with one of its keys as a boolean or a float that equals it."""
    return {key if name == number else name: value for name, value in claims_of.items()}


def claims_respelled(number: int, key: object) -> bytes:
    return cbor.encode(respelled(cbor.decode(claims()), number, key))


def cose_key(**changes: object) -> dict:
    key = {1: 1, -1: 6, -2: KEY}
    return {1: key | {int(name[1:].replace("m", "-")): value for name, value in changes.items()}}


@pytest.mark.parametrize(
    ("error", "payload"),
    [
        (Malformed, claims(c1=None)),
        (Malformed, claims(c6=None)),
        (Malformed, claims(c7=b"")),
        (Malformed, claims(c1=5)),
        (TooLarge, claims(c2="x" * (MAX_NAME_CHARS + 1))),
        (Malformed, claims(c2="")),
        (Malformed, claims(c4=-1)),
        (TooLarge, claims(c4=10**12)),
        (Malformed, claims(c6=1.5)),
        (Malformed, claims(c8=KEY)),
        (Malformed, claims(c8={2: cose_key()[1]})),
        (Malformed, claims(c8=cose_key() | {2: 0})),
        (Malformed, claims(c8=cose_key(k1=2))),
        (Malformed, claims(c8=cose_key(km1=4))),
        (Malformed, claims(c8=cose_key(k1=True))),
        (Malformed, claims(c8=cose_key(k1=1.0))),
        (Malformed, claims(c8=cose_key(km1=6.0))),
        (Malformed, claims(c8=respelled(cose_key(), 1, True))),
        (Malformed, claims(c8={1: respelled(cose_key()[1], 1, True)})),
        (Malformed, claims(c8={1: respelled(cose_key()[1], -2, -2.0)})),
        (Malformed, claims(c8={1: KEY})),
        (Malformed, claims_respelled(1, True)),
        (Malformed, claims_respelled(1, 1.0)),
        (Malformed, claims_respelled(6, 6.0)),
        (Malformed, claims_respelled(certificates.TENGE_CLAIM, float(certificates.TENGE_CLAIM))),
        (Malformed, claims(c8=cose_key(km2=KEY[:31]))),
        (Malformed, claims(c8=cose_key(km3=0))),
        (Malformed, claims(t0=3)),
        (Malformed, claims(t0="person")),
        (TooLarge, claims(t1=1001)),
        (Malformed, claims(t1=True)),
        (Malformed, claims(t2=["99014000038", "5411", "75"])),
        (TooLarge, claims(t2=["9901400003831", "5411", "75"])),
        (Malformed, claims(t2=["990140000383", "541", "75"])),
        (Malformed, claims(t2=["990140000383", "54a1", "75"])),
        (Malformed, claims(t2=["990140000383", "5411", "7"])),
        (Malformed, claims(t2=["990140000383", "5411", "٧٥"])),
        (Malformed, claims(t2=["990140000383", "5411"])),
        (Malformed, claims(t3=[1, 2, 3])),
        (Malformed, claims(t3=[1, 2, 3, -1])),
        (TooLarge, claims(t3=[MAX_AMOUNT_TIYN + 1, 2, 3, 4])),
        (TooLarge, claims(t3=[1, 2, 1001, 4])),
        (Malformed, claims(t3=[1, 2, 3, 4, []])),
        (Malformed, claims(t3=[1, 2, 3, 4, None])),
        (Malformed, claims(t3=[1, 2, 3, 4, {}])),
        (Malformed, claims(t3=[1, 2, 3, 4, [MEALS, 5]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[MEALS]]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[MEALS, 5, 5]]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[MEALS[:31], 5]]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [["meals", 5]]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[MEALS, -1]]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[MEALS, True]]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[MEALS, 5.0]]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[MEALS, None]]])),
        (TooLarge, claims(t3=[1, 2, 3, 4, [[MEALS, MAX_AMOUNT_TIYN + 1]]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[BOOKS, 5], [MEALS, 5]]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[MEALS, 5], [MEALS, 5]]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[MEALS, 5], [MEALS, 6]]])),
        (TooLarge, claims(t3=[1, 2, 3, 4, [[bytes([n]) * 32, 5] for n in range(MAX_ALLOWANCES + 1)]])),
        (Malformed, claims(t3=[1, 2, 3, 4, [[MEALS, 5]], []])),
        (Malformed, claims(t3=None)),
        (Malformed, claims(t4=None)),
        (Malformed, claims(t4=KEY[:31])),
        (Malformed, cbor.encode([])),
    ],
)
def test_malformed_claims(error: type[FormError], payload: bytes) -> None:
    with pytest.raises(FormError) as caught:
        certificates.parse_claims(payload)
    assert type(caught.value) is error


def test_another_kind_of_signed_bytes_is_no_certificate() -> None:
    payload = cbor.decode(issue())[2]
    with pytest.raises(Malformed):
        certificates.unverified(cose.sign1(BANK, Kind.INVOICE, payload, NETWORK), NETWORK)


def test_size_is_bounded() -> None:
    with pytest.raises(TooLarge):
        certificates.unverified(bytes(MAX_CERTIFICATE_BYTES + 1), NETWORK)
