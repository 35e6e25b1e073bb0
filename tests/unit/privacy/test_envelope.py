"""Envelopes: a quorum opens this one payment; every change of every part is noticed, and whose doing it was."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from itertools import combinations
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from hypothesis import given, settings
from hypothesis import strategies as st

from cbdc.errors import FormError, Malformed, NotCanonical, ProofInvalid, QuorumNotMet, TengeError, TooLarge
from cbdc.formats import cbor
from cbdc.limits import MAX_ENVELOPE_BYTES, MAX_ENVELOPE_SECRETS_BYTES, MAX_SUPERVISORS
from cbdc.privacy import envelope as module
from cbdc.privacy.envelope import Context, Envelope, check_addressed_to, group_of, open_share, open_with, seal
from cbdc.privacy.sharing import Share, split
from tests.support import seed
from tests.unit.privacy.keys import Replay, supervisor
from tests.wallet import hpke

SUPERVISORS = [supervisor(number) for number in range(5)]
STRANGER = supervisor(99)
CONTEXT = Context(seed("network"), seed("payment"))
OTHER_PAYMENT = Context(seed("network"), seed("other payment"))
OTHER_NETWORK = Context(seed("other network"), seed("payment"))
SECRETS = {"amounts": [150_000, 42], "blindings": [seed("b1"), seed("b2")], "owners": ["halyk/aisulu"], "memo": "қарыз"}


def public(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


KEYS = [public(key) for key in SUPERVISORS]


def sealed(secrets: Any = SECRETS, quorum: int = 3, context: Context = CONTEXT, name: str = "payer") -> bytes:
    return seal(secrets, KEYS, quorum, context, Replay(name))


def shares_of(envelope: bytes, indexes: Any = range(3), context: Context = CONTEXT) -> list[Share]:
    return [open_share(envelope, index, SUPERVISORS[index], context) for index in indexes]


ENVELOPE = sealed()
PARTS = Envelope.decode(ENVELOPE)


# --- what it does ------------------------------------------------------------------------------


def test_any_quorum_opens_it() -> None:
    for size in (3, 4, 5):
        for indexes in combinations(range(5), size):
            assert open_with(ENVELOPE, shares_of(ENVELOPE, indexes), CONTEXT) == SECRETS


def test_one_less_does_not() -> None:
    for indexes in combinations(range(5), 2):
        with pytest.raises(QuorumNotMet) as caught:
            open_with(ENVELOPE, shares_of(ENVELOPE, indexes), CONTEXT)
        assert caught.value.values == {"found": 2, "wanted": 3}
    with pytest.raises(QuorumNotMet):
        open_with(ENVELOPE, [], CONTEXT)


def test_a_share_that_comes_twice_counts_once() -> None:
    one, two = shares_of(ENVELOPE, (0, 1))
    with pytest.raises(QuorumNotMet):
        open_with(ENVELOPE, [one, two, two], CONTEXT)
    with pytest.raises(Malformed, match="twice"):
        open_with(ENVELOPE, [*shares_of(ENVELOPE), one], CONTEXT)


VALUES = st.recursive(
    st.integers(0, 2**63) | st.binary(max_size=40) | st.text(max_size=20) | st.booleans() | st.none(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=3), inner, max_size=3),
    max_leaves=12,
)


@settings(max_examples=40)
@given(secrets=VALUES, count=st.integers(2, MAX_SUPERVISORS), data=st.data())
def test_any_secrets_any_group(secrets: Any, count: int, data: st.DataObject) -> None:
    quorum = data.draw(st.integers(2, count))
    keys = [supervisor(number) for number in range(count)]
    envelope = seal(secrets, [public(key) for key in keys], quorum, CONTEXT, Replay())
    chosen = data.draw(st.permutations(range(count)))[:quorum]
    shares = [Share.decode(open_share(envelope, index, keys[index], CONTEXT).encode()) for index in chosen]
    assert open_with(envelope, shares, CONTEXT) == secrets


def test_two_envelopes_for_the_same_secrets_have_nothing_in_common() -> None:
    other = Envelope.decode(sealed(name="again"))
    assert other.box != PARTS.box
    assert other.key_mark != PARTS.key_mark
    assert not set(other.sealed + other.marks) & set(PARTS.sealed + PARTS.marks)


def test_the_same_randomness_still_gives_other_sealed_shares() -> None:
    """HPKE draws its own ephemeral keys."""
    other = Envelope.decode(sealed())
    assert (other.marks, other.key_mark) == (PARTS.marks, PARTS.key_mark)
    assert not set(other.sealed) & set(PARTS.sealed)


def test_the_length_tells_only_whole_blocks() -> None:
    lengths = {len(sealed("x" * length)) for length in range(1, 200, 13)}
    assert len(lengths) == 1
    assert len(sealed("x" * 300)) == lengths.pop() + 256


def test_nothing_of_the_secrets_shows() -> None:
    key = Replay("payer")(32)
    hidden = [key, b"aisulu", "қарыз".encode(), seed("b1"), (150_000).to_bytes(3, "big")]
    hidden += [share.value for share in shares_of(ENVELOPE)]
    assert not [secret for secret in hidden if secret in ENVELOPE]


def test_a_sealed_share_is_hpke_under_its_own_info() -> None:
    """A second implementation of RFC 9180 opens it."""
    info = cbor.encode(["tenge/v1/envelope", CONTEXT.network, CONTEXT.payment, group_of(KEYS, 3), 1])
    sealed_share = PARTS.sealed[1]
    value = hpke.open_first(sealed_share[:32], sealed_share[32:], SUPERVISORS[1].private_bytes_raw(), info)
    assert value == shares_of(ENVELOPE, (1,))[0].value


# --- for whom and for what ---------------------------------------------------------------------


@pytest.mark.parametrize("context", [OTHER_PAYMENT, OTHER_NETWORK], ids=["payment", "network"])
def test_it_opens_for_no_other(context: Context) -> None:
    with pytest.raises(ProofInvalid):
        open_share(ENVELOPE, 0, SUPERVISORS[0], context)
    with pytest.raises(ProofInvalid):
        open_with(ENVELOPE, shares_of(ENVELOPE), context)


def test_shares_of_one_payment_open_no_other() -> None:
    other = sealed(context=OTHER_PAYMENT, name="again")
    with pytest.raises(ProofInvalid):
        open_with(other, shares_of(ENVELOPE), OTHER_PAYMENT)


@pytest.mark.parametrize("private", [STRANGER, SUPERVISORS[1]], ids=["stranger", "another supervisor"])
def test_nobody_else_opens_a_share(private: X25519PrivateKey) -> None:
    with pytest.raises(ProofInvalid) as caught:
        open_share(ENVELOPE, 0, private, CONTEXT)
    assert caught.value.values == {"index": 0}


@pytest.mark.parametrize("index", [-1, 5, 16])
def test_a_place_that_is_not_there(index: int) -> None:
    with pytest.raises(Malformed, match="no such share"):
        open_share(ENVELOPE, index, SUPERVISORS[0], CONTEXT)


def test_a_group_is_its_keys_their_order_and_the_quorum() -> None:
    groups = [group_of(KEYS, 3), group_of(KEYS, 2), group_of(KEYS[::-1], 3), group_of(KEYS[:4], 3)]
    assert len(set(groups)) == 4


def test_it_says_for_whom_it_is() -> None:
    check_addressed_to(ENVELOPE, KEYS, 3)
    for keys, quorum in ((KEYS[::-1], 3), (KEYS, 2), (KEYS[:4], 3), ([*KEYS[:4], public(STRANGER)], 3)):
        with pytest.raises(ProofInvalid, match="supervisors in office"):
            check_addressed_to(ENVELOPE, keys, quorum)
    fewer = replace(PARTS, sealed=PARTS.sealed[:4], marks=PARTS.marks[:4])
    with pytest.raises(ProofInvalid):
        check_addressed_to(fewer.encode(), KEYS, 3)


# --- tampering ---------------------------------------------------------------------------------


def flipped(data: bytes, place: int) -> bytes:
    place %= len(data)
    return data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]


def test_any_flipped_bit_is_noticed() -> None:
    """Also in a share that nobody opened: the box's tag covers it."""
    shares = shares_of(ENVELOPE)
    for place in range(len(ENVELOPE)):
        with pytest.raises(TengeError):
            open_with(flipped(ENVELOPE, place), shares, CONTEXT)


CHANGES: dict[str, Callable[[Envelope], Envelope]] = {
    "a lower quorum": lambda e: replace(e, quorum=2),
    "a higher quorum": lambda e: replace(e, quorum=4),
    "another group": lambda e: replace(e, group=bytes(32)),
    "another key's mark": lambda e: replace(e, key_mark=bytes(32)),
    "a share's mark": lambda e: replace(e, marks=(bytes(32), *e.marks[1:])),
    "an unused share's mark": lambda e: replace(e, marks=(*e.marks[:4], bytes(32))),
    "an unused share": lambda e: replace(e, sealed=(*e.sealed[:4], bytes(80))),
    "two shares swapped": lambda e: replace(e, sealed=(*e.sealed[:3], e.sealed[4], e.sealed[3])),
    "a share less": lambda e: replace(e, sealed=e.sealed[:4], marks=e.marks[:4]),
    "a share more": lambda e: replace(e, sealed=(*e.sealed, bytes(80)), marks=(*e.marks, bytes(32))),
    "another box": lambda e: replace(e, box=Envelope.decode(sealed(name="again")).box),
    "a longer box": lambda e: replace(e, box=e.box + bytes(256)),
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_part_is_noticed(change: Callable[[Envelope], Envelope]) -> None:
    shares = shares_of(ENVELOPE)
    with pytest.raises((ProofInvalid, Malformed)):
        open_with(change(PARTS).encode(), shares, CONTEXT)


@pytest.mark.parametrize("place", [0, 31, 32, 63, 64, 79])
def test_a_damaged_share_does_not_open(place: int) -> None:
    damaged = replace(PARTS, sealed=(flipped(PARTS.sealed[0], place), *PARTS.sealed[1:]))
    with pytest.raises(ProofInvalid) as caught:
        open_share(damaged.encode(), 0, SUPERVISORS[0], CONTEXT)
    assert caught.value.values == {"index": 0}


def test_a_supervisor_who_hands_in_a_false_share_is_named() -> None:
    one, two, three = shares_of(ENVELOPE)
    false = Share(two.index, two.quorum, flipped(two.value, 7))
    with pytest.raises(ProofInvalid, match="committed to") as caught:
        open_with(ENVELOPE, [one, false, three], CONTEXT)
    assert caught.value.values == {"index": 1}


def test_a_share_for_another_quorum_or_place() -> None:
    one, two, three = shares_of(ENVELOPE)
    for bad in (Share(one.index, 2, one.value), Share(9, 3, one.value)):
        with pytest.raises(Malformed, match="another envelope"):
            open_with(ENVELOPE, [bad, two, three], CONTEXT)


# --- a payer who cheats ------------------------------------------------------------------------


def by_a_cheat(monkeypatch: pytest.MonkeyPatch, **changes: Any) -> bytes:
    with monkeypatch.context() as cheating:
        for name, value in changes.items():
            cheating.setattr(module, name, value)
        return sealed()


def blamed_on_the_payer(envelope: bytes) -> None:
    """All shares are what the payer committed to, and still it does not open."""
    with pytest.raises(ProofInvalid) as caught:
        open_with(envelope, shares_of(envelope), CONTEXT)
    assert "index" not in caught.value.values


def test_a_payer_who_splits_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    other = lambda key, quorum, count, random: split(seed("other"), quorum, count, random)  # noqa: E731
    with monkeypatch.context() as cheating:
        cheating.setattr("cbdc.privacy.sharing.split", other)
        envelope = sealed()
    blamed_on_the_payer(envelope)


def test_a_payer_who_shows_each_quorum_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Two sharings in one envelope: at most one of the keys is the one committed to."""

    def two_keys(key: bytes, quorum: int, count: int, random: Any) -> tuple[Share, ...]:
        return (*split(seed("other"), quorum, count, random)[:3], *split(key, quorum, count, random)[3:])

    with monkeypatch.context() as cheating:
        cheating.setattr("cbdc.privacy.sharing.split", two_keys)
        envelope = sealed()
    blamed_on_the_payer(envelope)
    with pytest.raises(ProofInvalid):
        open_with(envelope, shares_of(envelope, (2, 3, 4)), CONTEXT)


def test_a_payer_who_commits_to_another_share(monkeypatch: pytest.MonkeyPatch) -> None:
    envelope = by_a_cheat(monkeypatch, _mark=lambda *_: bytes(32))
    with pytest.raises(ProofInvalid, match="committed to"):
        open_share(envelope, 0, SUPERVISORS[0], CONTEXT)


def test_a_payer_who_commits_to_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    blamed_on_the_payer(by_a_cheat(monkeypatch, _key_mark=lambda *_: bytes(32)))


WRONG_PLAIN: dict[str, bytes] = {
    "no padding": b"no padding at all".ljust(256, b"x"),
    "zeros": bytes(256),
    "not CBOR": b"\xff\x80".ljust(256, b"\0"),
    "a block too many": b"\x00\x80".ljust(512, b"\0"),
    "not canonical": b"\x18\x01\x80".ljust(256, b"\0"),
    "two values": b"\x00\x00\x80".ljust(256, b"\0"),
}


@pytest.mark.parametrize("plain", WRONG_PLAIN.values(), ids=WRONG_PLAIN)
def test_a_payer_who_encrypts_something_else(plain: bytes, monkeypatch: pytest.MonkeyPatch) -> None:
    blamed_on_the_payer(by_a_cheat(monkeypatch, padded=lambda *_: plain))


# --- form and size -----------------------------------------------------------------------------


def test_it_survives_its_bytes() -> None:
    assert Envelope.decode(ENVELOPE) == PARTS
    assert PARTS.encode() == ENVELOPE


WRONG_FIELDS: list[tuple[int, Any]] = [
    *((0, value) for value in (0, 1, 6, 17, -1, True, "3")),
    *((place, value) for place in (1, 2) for value in (bytes(31), bytes(33), None)),
    *((3, value) for value in ([], [[bytes(80), bytes(32)]], [[bytes(80)]] * 5, [[bytes(79), bytes(32)]] * 5)),
    *((3, value) for value in ([[bytes(80), bytes(31)]] * 5, [[bytes(80), bytes(32)]] * 17, {}, b"")),
    *((4, value) for value in (b"", bytes(16), bytes(256), bytes(271), bytes(273), bytes(256 * 34 + 16), None)),
]


@pytest.mark.parametrize(("place", "value"), WRONG_FIELDS)
def test_a_field_of_another_form(place: int, value: Any) -> None:
    fields = cbor.decode(ENVELOPE)
    fields[place] = value
    with pytest.raises(FormError):
        Envelope.decode(cbor.encode(fields))


def test_bytes_that_are_no_envelope() -> None:
    fields = cbor.decode(ENVELOPE)
    for bad in (fields[:-1], [*fields, 0], {}, 1):
        with pytest.raises(Malformed):
            Envelope.decode(cbor.encode(bad))
    with pytest.raises(NotCanonical):
        Envelope.decode(ENVELOPE + b"\0")
    with pytest.raises(Malformed):
        Envelope.decode(ENVELOPE[:-1])
    with pytest.raises(TooLarge):
        Envelope.decode(bytes(MAX_ENVELOPE_BYTES + 1))


def test_the_longest_envelope_fits() -> None:
    longest = bytes(MAX_ENVELOPE_SECRETS_BYTES - 3)
    keys = [supervisor(number) for number in range(MAX_SUPERVISORS)]
    envelope = seal(longest, [public(key) for key in keys], 2, CONTEXT, Replay())
    assert len(envelope) <= MAX_ENVELOPE_BYTES
    shares = [open_share(envelope, index, keys[index], CONTEXT) for index in (3, 15)]
    assert open_with(envelope, shares, CONTEXT) == longest
    with pytest.raises(TooLarge):
        sealed(longest + b"x")


NO_GROUPS: dict[str, tuple[list[bytes], int]] = {
    "one alone": (KEYS, 1),
    "more than there are": (KEYS, 6),
    "one": (KEYS[:1], 2),
    "none": ([], 2),
    "too many": (KEYS * 4, 2),
    "twice": ([*KEYS, KEYS[0]], 2),
    "no key": ([b"short", *KEYS], 2),
    "a key of order 2": ([bytes(32), *KEYS], 2),
    "a key of order 4": ([(1).to_bytes(32, "little"), *KEYS], 2),
}


@pytest.mark.parametrize(("keys", "quorum"), NO_GROUPS.values(), ids=NO_GROUPS)
def test_a_group_that_is_none(keys: list[bytes], quorum: int) -> None:
    with pytest.raises(Malformed):
        seal(SECRETS, keys, quorum, CONTEXT, Replay())


@pytest.mark.parametrize("field", ["network", "payment"])
def test_a_context_is_two_hashes(field: str) -> None:
    with pytest.raises(Malformed):
        replace(CONTEXT, **{field: b"short"})
