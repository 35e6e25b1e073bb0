"""Shares of a key: SLIP-0039's vectors, any quorum, and nothing below it."""

from __future__ import annotations

from collections import Counter
from itertools import combinations
from typing import Any

import pytest
import shamir_mnemonic
from hypothesis import given, settings
from hypothesis import strategies as st
from shamir_mnemonic import EncryptedMasterSecret, MnemonicError, combine_mnemonics, split_ems

from cbdc.errors import FormError, Malformed, NotCanonical, ProofInvalid, QuorumNotMet
from cbdc.formats import cbor
from cbdc.limits import MAX_SUPERVISORS
from cbdc.privacy.sharing import Share, combine, split
from tests.support import seed
from tests.unit.privacy.keys import Replay, published

SECRET = seed("a payment's key")
VECTORS = published("slip-0039")["vectors"]
QUORUMS = st.integers(2, MAX_SUPERVISORS).flatmap(lambda n: st.tuples(st.integers(2, n), st.just(n)))


def forged(share: Share, place: int = 0) -> Share:
    value = bytearray(share.value)
    value[place] ^= 1
    return Share(share.index, share.quorum, bytes(value))


# --- published vectors -------------------------------------------------------------------------


@pytest.mark.parametrize("vector", VECTORS, ids=lambda vector: vector["name"])
def test_the_library_passes_the_vectors_of_slip_0039(vector: dict[str, Any]) -> None:
    if vector["secret"]:
        assert combine_mnemonics(vector["mnemonics"], b"TREZOR").hex() == vector["secret"]
    else:
        with pytest.raises(MnemonicError):
            combine_mnemonics(vector["mnemonics"], b"TREZOR")


def test_all_vectors_are_there() -> None:
    assert len(VECTORS) == 45
    assert sum(bool(vector["secret"]) for vector in VECTORS) == 15


@pytest.mark.parametrize(
    "name", ["23. Basic sharing 2-of-3 (256 bits)", "45. Extendable basic sharing 2-of-3 (256 bits)"]
)
def test_the_vectors_of_one_group_combine_here(name: str) -> None:
    """`combine` gives what SLIP-0039 then decrypts with the passphrase."""
    (vector,) = (vector for vector in VECTORS if vector["name"] == name)
    words = [shamir_mnemonic.Share.from_mnemonic(mnemonic) for mnemonic in vector["mnemonics"]]
    key = combine([Share(share.index, share.member_threshold, share.value) for share in words])
    first = words[0]
    ems = EncryptedMasterSecret(first.identifier, first.extendable, first.iteration_exponent, key)
    assert ems.decrypt(b"TREZOR").hex() == vector["secret"]


@pytest.mark.parametrize(("quorum", "count"), [(2, 2), (2, 3), (3, 5), (5, 9), (16, 16), (2, 16)])
def test_the_shares_are_the_library_s_own(quorum: int, count: int, monkeypatch: pytest.MonkeyPatch) -> None:
    """Given the same randomness, `split_ems` makes the same shares."""
    monkeypatch.setattr("shamir_mnemonic.shamir.RANDOM_BYTES", Replay())
    (theirs,) = split_ems(1, [(quorum, count)], EncryptedMasterSecret(0, True, 0, SECRET))
    ours = split(SECRET, quorum, count, Replay())
    assert [(share.index, share.value) for share in ours] == [(share.index, share.value) for share in theirs]


# --- any quorum --------------------------------------------------------------------------------


@pytest.mark.parametrize(("quorum", "count"), [(2, 2), (2, 3), (3, 5), (4, 6)])
def test_any_quorum_combines_in_any_order(quorum: int, count: int) -> None:
    shares = split(SECRET, quorum, count, Replay())
    for size in range(quorum, count + 1):
        for chosen in combinations(shares, size):
            assert combine(chosen) == combine(chosen[::-1]) == SECRET


@settings(max_examples=30)
@given(secret=st.binary(min_size=32, max_size=32), shape=QUORUMS, name=st.text(max_size=4), choice=st.randoms())
def test_any_secret_any_shape(secret: bytes, shape: tuple[int, int], name: str, choice: Any) -> None:
    quorum, count = shape
    shares = split(secret, quorum, count, Replay(name))
    assert combine(choice.sample(shares, quorum)) == secret


# --- nothing below it --------------------------------------------------------------------------


@pytest.mark.parametrize(("quorum", "count"), [(2, 3), (3, 5), (5, 5)])
def test_one_less_does_not_combine(quorum: int, count: int) -> None:
    shares = split(SECRET, quorum, count, Replay())
    for chosen in combinations(shares, quorum - 1):
        with pytest.raises(QuorumNotMet) as caught:
            combine(chosen)
        assert caught.value.values == {"found": quorum - 1, "wanted": quorum}
    with pytest.raises(QuorumNotMet):
        combine([])


def test_one_less_with_a_guessed_share_is_noticed() -> None:
    shares = split(SECRET, 3, 5, Replay())
    guess = Share(4, 3, seed("a guess"))
    with pytest.raises(ProofInvalid):
        combine([*shares[:2], guess])


def test_one_less_that_claims_a_smaller_quorum_is_noticed() -> None:
    shares = split(SECRET, 3, 5, Replay())
    with pytest.raises(ProofInvalid):
        combine([Share(share.index, 2, share.value) for share in shares[:2]])


def test_shares_below_the_quorum_look_the_same_for_any_secret() -> None:
    """Two shares of three: the bytes of each, and of their difference, are spread alike for two very unlike keys.

    6400 bytes in 16 classes of 400; four standard deviations are some 78. The draws are fixed, so this never flickers.
    """
    for secret in (bytes(32), b"\xff" * 32):
        runs = [split(secret, 3, 5, Replay(f"run {run}"))[2:4] for run in range(200)]
        for values in (
            [one.value for one, _ in runs],
            [two.value for _, two in runs],
            [bytes(a ^ b for a, b in zip(one.value, two.value, strict=True)) for one, two in runs],
        ):
            classes = Counter(byte >> 4 for value in values for byte in value)
            assert len(classes) == 16
            assert all(abs(found - 400) < 78 for found in classes.values())


# --- wrong shares ------------------------------------------------------------------------------


@pytest.mark.parametrize("place", [0, 3, 4, 31])
@pytest.mark.parametrize("which", range(3))
def test_a_changed_share_is_noticed(which: int, place: int) -> None:
    shares = list(split(SECRET, 3, 5, Replay())[:3])
    shares[which] = forged(shares[which], place)
    with pytest.raises(ProofInvalid):
        combine(shares)


def test_a_changed_share_beyond_the_quorum_is_noticed() -> None:
    shares = split(SECRET, 3, 5, Replay())
    with pytest.raises(ProofInvalid):
        combine([*shares[:3], forged(shares[3])])


def test_a_share_beyond_the_quorum_that_leads_to_another_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """Somebody found a share with a right digest for another key (2^32 tries): still it is not the same key."""
    keys = iter((SECRET, seed("other")))
    monkeypatch.setattr("cbdc.privacy.sharing._recover", lambda _: next(keys))
    with pytest.raises(ProofInvalid):
        combine(split(SECRET, 2, 3, Replay()))


def test_a_share_under_another_index_is_noticed() -> None:
    one, two, three, *_ = split(SECRET, 3, 5, Replay())
    with pytest.raises(ProofInvalid):
        combine([one, two, Share(4, 3, three.value)])


def test_a_share_of_another_key_is_noticed() -> None:
    one, two, *_ = split(SECRET, 3, 5, Replay())
    with pytest.raises(ProofInvalid):
        combine([one, two, split(SECRET, 3, 5, Replay("again"))[2]])


def test_a_share_that_comes_twice() -> None:
    one, two, *_ = split(SECRET, 3, 5, Replay())
    with pytest.raises(Malformed, match="twice"):
        combine([one, two, two])


def test_shares_of_different_quorums() -> None:
    with pytest.raises(Malformed, match="different quorums"):
        combine([split(SECRET, 2, 3, Replay())[0], split(SECRET, 3, 3, Replay())[1]])


# --- form --------------------------------------------------------------------------------------


@pytest.mark.parametrize(("quorum", "count"), [(0, 3), (1, 1), (1, 3), (4, 3), (2, 17), (17, 17), (-1, 2)])
def test_what_is_no_quorum(quorum: int, count: int) -> None:
    with pytest.raises(Malformed, match="not a quorum"):
        split(SECRET, quorum, count, Replay())


@pytest.mark.parametrize("length", [0, 16, 31, 33])
def test_what_is_no_key(length: int) -> None:
    with pytest.raises(Malformed):
        split(bytes(length), 2, 3, Replay())


def test_a_share_survives_its_bytes() -> None:
    for share in split(SECRET, 16, 16, Replay()):
        assert Share.decode(share.encode()) == share


NO_SHARES: list[Any] = [
    *([0, 2], [0, 2, bytes(32), 0], {}),
    *([16, 2, bytes(32)], [True, 2, bytes(32)]),
    *([0, 1, bytes(32)], [0, 17, bytes(32)]),
    *([0, 2, bytes(31)], [0, 2, "x"]),
]


@pytest.mark.parametrize("fields", NO_SHARES)
def test_bytes_that_are_no_share(fields: Any) -> None:
    with pytest.raises(FormError):
        Share.decode(cbor.encode(fields))
    with pytest.raises(NotCanonical):
        Share.decode(split(SECRET, 2, 2, Replay())[0].encode() + b"\0")


def test_a_share_is_not_shown() -> None:
    share = split(SECRET, 2, 2, Replay())[0]
    assert share.value.hex() not in repr(share)
    assert repr(share.value) not in repr(share)
