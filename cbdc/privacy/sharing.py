"""A 32-byte key in n shares of which any k give it back: Shamir's scheme as SLIP-0039 fixes it.

The field's arithmetic and the recovery are the standard's reference implementation, `shamir-mnemonic`; what is here is
the standard's SplitSecret with the caller's randomness, because the library draws its own. A digest inside the shares
tells wrong ones from right ones. See docs/adr/0031-supervised-opening.md.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Final, Self, TypeAlias

from shamir_mnemonic import MnemonicError, recover_ems
from shamir_mnemonic import Share as LibraryShare
from shamir_mnemonic.constants import DIGEST_INDEX, DIGEST_LENGTH_BYTES, SECRET_INDEX
from shamir_mnemonic.shamir import RawShare, ShareGroup, _interpolate

from cbdc.errors import Malformed, ProofInvalid, QuorumNotMet
from cbdc.formats import cbor
from cbdc.limits import MAX_SHARE_BYTES, MAX_SUPERVISORS, MIN_QUORUM

Random: TypeAlias = Callable[[int], bytes]
KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Share:
    """One of the shares of one key: ``index`` from 0, and how many of its kind are needed."""

    index: int
    quorum: int
    value: bytes = field(repr=False)

    def __post_init__(self) -> None:
        if not MIN_QUORUM <= self.quorum <= MAX_SUPERVISORS or not 0 <= self.index < MAX_SUPERVISORS:
            raise Malformed("a share's index or quorum is out of range", index=self.index, quorum=self.quorum)
        cbor.byte_string(self.value, "a share", KEY_BYTES)

    def encode(self) -> bytes:
        """``[index, quorum, value]``, to hand it to whoever combines."""
        return cbor.encode([self.index, self.quorum, self.value])

    @classmethod
    def decode(cls, data: bytes) -> Self:
        """The share of untrusted bytes.

        Raises:
            FormError: not exactly one share.
        """
        index, quorum, value = cbor.array(cbor.decode(data, max_bytes=MAX_SHARE_BYTES), "a share", 3)
        return cls(
            cbor.unsigned(index, "an index", MAX_SUPERVISORS - 1),
            cbor.unsigned(quorum, "a quorum", MAX_SUPERVISORS),
            cbor.byte_string(value, "a share", KEY_BYTES),
        )


def check_quorum(quorum: int, count: int) -> None:
    """Whether a key can be shared like this.

    Raises:
        Malformed: not `MIN_QUORUM` <= quorum <= count <= `MAX_SUPERVISORS`.
    """
    if not MIN_QUORUM <= quorum <= count <= MAX_SUPERVISORS:
        raise Malformed("not a quorum", quorum=quorum, count=count, least=MIN_QUORUM, most=MAX_SUPERVISORS)


def split(secret: bytes, quorum: int, count: int, random: Random) -> tuple[Share, ...]:
    """Shares 0 to ``count`` - 1 of a key that nobody can guess (SLIP-0039, SplitSecret).

    Raises:
        Malformed: not a key or not a quorum.
    """
    cbor.byte_string(secret, "a key to share", KEY_BYTES)
    check_quorum(quorum, count)
    # 3. the first quorum - 2 shares are random
    drawn = [RawShare(index, random(KEY_BYTES)) for index in range(quorum - 2)]
    # 4.-5. D = the first 4 bytes of HMAC-SHA256(R, S) || R lies on the polynomial at 254, and S at 255
    tail = random(KEY_BYTES - DIGEST_LENGTH_BYTES)
    digest = hmac.digest(tail, secret, "sha256")[:DIGEST_LENGTH_BYTES]
    points = [*drawn, RawShare(DIGEST_INDEX, digest + tail), RawShare(SECRET_INDEX, secret)]
    # 6.-7. the other shares by interpolation
    return tuple(Share(index, quorum, _interpolate(points, index)) for index in range(count))


def combine(shares: Sequence[Share]) -> bytes:
    """The key; shares beyond the quorum must lie on the same polynomial.

    Raises:
        QuorumNotMet: too few. Malformed: an index twice, or shares of different quorums.
        ProofInvalid: these are not all shares of one key.
    """
    if not shares:
        raise QuorumNotMet("no share at all", found=0)
    quorum = shares[0].quorum
    if any(share.quorum != quorum for share in shares):
        raise Malformed("shares of different quorums")
    if len({share.index for share in shares}) != len(shares):
        raise Malformed("one share came twice")
    if len(shares) < quorum:
        raise QuorumNotMet("not enough shares", found=len(shares), wanted=quorum)
    secret = _recover(shares[:quorum])
    for extra in shares[quorum:]:
        if _recover([*shares[: quorum - 1], extra]) != secret:
            raise ProofInvalid("these are not shares of one key")
    return secret


def _recover(shares: Sequence[Share]) -> bytes:
    """RecoverSecret of SLIP-0039, by the library: a single group, nothing encrypted."""
    group = ShareGroup()
    for share in shares:
        group.add(LibraryShare(0, True, 0, 0, 1, 1, share.index, share.quorum, share.value))
    try:
        ciphertext: bytes = recover_ems({0: group}).ciphertext
    except MnemonicError:
        raise ProofInvalid("these are not shares of one key") from None
    return ciphertext
