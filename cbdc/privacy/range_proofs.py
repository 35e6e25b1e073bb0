"""Range proofs: hidden amounts are integers of 64 bits, so their sums cannot wrap round and make money.

This is Bulletproofs, as published: Bünz, Bootle, Boneh, Poelstra, Wuille, Maxwell, eprint 2017/1066; section 4.1 for
one amount, 4.2 for several in one proof, 3 and 4.3 for its length, 4.4 for the challenges out of a hash, 6.2 for
verification as one multi-exponentiation. Equation numbers below are the paper's. Its names, once:

    V          the commitments, one for each amount; j counts them from 0 here, from 1 in the paper
    a_L, a_R   the amounts' bits, and the bits less one; A commits to both, blinded by alpha
    s_L, s_R   random vectors that hide them; S commits to both, blinded by rho
    l(X), r(X) vectors of polynomials out of a and s, whose constant terms have an inner product that says it all
    t(X)       <l(X), r(X)> = t_0 + t_1 X + t_2 X^2; T1 and T2 commit to t_1 and t_2, blinded by tau_1 and tau_2
    t_hat      t(x) at the challenge x; tau_x and mu are the blindings of t_hat and of l, r there
    y, z, x    the challenges; x_u is Protocol 1's, for the point u

A proof covers 1 to 16 commitments. The paper needs a power of two: prover and verifier fill up with commitments to
zero without blinding, which are the identity and cost the verifier nothing. How many there really are is bound to the
transcript.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final, NamedTuple

from cbdc.errors import FormError, LimitPayment, Malformed, ProofInvalid, TooLarge
from cbdc.limits import MAX_PROVED_AMOUNTS
from cbdc.privacy import inner_product
from cbdc.privacy.group import (
    IDENTITY,
    ONE,
    POINT_BYTES,
    SCALAR_BYTES,
    ZERO,
    Point,
    Random,
    Scalar,
    decode_point,
    decode_scalar,
    encode_point,
    encode_scalar,
    hash_to_group,
    multiexp,
    random_scalar,
    scalar_of,
)
from cbdc.privacy.inner_product import Argument, Bases, Replay, inner
from cbdc.privacy.pedersen import AMOUNT_BITS, BLINDING_BASE, VALUE_BASE, Commitment, check_amount
from cbdc.privacy.transcript import Context, Transcript

PROTOCOL: Final = "bulletproofs range proof, 64 bits, BLS12-381 G1"
_BATCH: Final = "bulletproofs range proofs, weights of a batch"
_TWOS: Final = [scalar_of(1 << k) for k in range(AMOUNT_BITS)]
_ALL_ONES: Final = scalar_of((1 << AMOUNT_BITS) - 1)
_U: Final = hash_to_group(b"inner product")


class Claim(NamedTuple):
    """What a verifier is given: these commitments hide amounts of 64 bits, says this proof, made for this context."""

    commitments: Sequence[Commitment]
    proof: bytes
    context: Context


@dataclass(frozen=True, slots=True)
class _Proof:
    """The prover's messages, in the order in which they are said and encoded."""

    a: Point
    s: Point
    t1: Point
    t2: Point
    tau_x: Scalar
    mu: Scalar
    t_hat: Scalar
    argument: Argument


# --- proving -----------------------------------------------------------------------------------


def prove(amounts: Sequence[int], blindings: Sequence[Scalar], context: Context, random: Random) -> bytes:
    """The proof that ``Commitment.to(amount, blinding)`` of each pair hides an amount of 64 bits.

    ``random`` must never give the same bytes for two proofs: whoever sees two with the same s_L and s_R can solve for
    the amounts. The library's arithmetic is fast rather than of constant time; the prover is the amounts' owner.

    Raises:
        TooLarge: an amount outside 64 bits, no amount or more than `MAX_PROVED_AMOUNTS`.
        Malformed: not one blinding for each amount.
    """
    padding = _places(len(amounts)) - len(amounts)
    if len(blindings) != len(amounts):
        raise Malformed("not one blinding for each amount", amounts=len(amounts), blindings=len(blindings))
    commitments = [Commitment.to(amount, blinding) for amount, blinding in zip(amounts, blindings, strict=True)]
    a_left = [(ZERO, ONE)[amount >> k & 1] for amount in (*amounts, *[0] * padding) for k in range(AMOUNT_BITS)]
    a_right = [bit - ONE for bit in a_left]  # (42)
    return _encode(_prove(a_left, a_right, [*blindings, *[ZERO] * padding], _begin(commitments, context), random))


def _prove(
    a_left: list[Scalar], a_right: list[Scalar], blindings: list[Scalar], transcript: Transcript, random: Random
) -> _Proof:
    """Section 4.2 with the numbers of 4.1, step by step."""
    bases, n = _bases(len(a_left)), range(len(a_left))
    alpha, rho, tau_1, tau_2 = (random_scalar(random) for _ in range(4))
    s_left, s_right = ([random_scalar(random) for _ in n] for _ in range(2))
    points = (BLINDING_BASE, *bases.g, *bases.h)
    a = multiexp(points, (alpha, *a_left, *a_right))  # (44)
    s = multiexp(points, (rho, *s_left, *s_right))  # (47)
    y, z = _challenges_y_z(transcript, a, s)

    # l(X) and r(X): coefficients of X^0 and X^1
    ys, digits = _powers(y, len(n)), _digits(z, len(blindings))
    l_0 = [a_left[i] - z for i in n]
    r_0 = [ys[i] * (a_right[i] + z) + digits[i] for i in n]
    r_1 = [ys[i] * s_right[i] for i in n]
    t_1, t_2 = inner(l_0, r_1) + inner(s_left, r_0), inner(s_left, r_1)
    t1, t2 = (multiexp((VALUE_BASE, BLINDING_BASE), pair) for pair in ((t_1, tau_1), (t_2, tau_2)))  # (53)
    x = _challenge_x(transcript, t1, t2)

    left = [l_0[i] + s_left[i] * x for i in n]  # (58)
    right = [r_0[i] + r_1[i] * x for i in n]  # (59)
    t_hat = inner(left, right)  # (60)
    zs = _powers(z, len(blindings) + 2)[2:]
    tau_x = tau_2 * x.square() + tau_1 * x + inner(zs, blindings)  # (61)
    mu = alpha + rho * x  # (62)
    x_u = _challenge_u(transcript, tau_x, mu, t_hat)
    factors = [ONE] * len(n), _powers(y.inverse(), len(n))  # (64)
    argument = inner_product.prove(transcript, bases, factors, x_u, left, right)
    return _Proof(a, s, t1, t2, tau_x, mu, t_hat, argument)


def headroom(limit_tiyn: int, commitment: Commitment) -> Commitment:
    """``limit - amount``, hidden: a range proof on it shows that the amount is at most the limit.

    It says nothing of amounts below zero: the commitment needs its own range proof beside it. Both can be claims of
    one batch, and commitments of one proof.
    """
    return Commitment.of_public(limit_tiyn) - commitment


def prove_at_most(limit_tiyn: int, amount_tiyn: int, blinding: Scalar, context: Context, random: Random) -> bytes:
    """The proof on the `headroom` of ``Commitment.to(amount_tiyn, blinding)``.

    Raises:
        LimitPayment: the amount is above the limit.
        TooLarge: the amount or the limit is outside 64 bits.
    """
    check_amount(limit_tiyn)
    check_amount(amount_tiyn)
    if amount_tiyn > limit_tiyn:
        raise LimitPayment("the hidden amount is above the limit", limit_tiyn=limit_tiyn)
    return prove([limit_tiyn - amount_tiyn], [-blinding], context, random)


# --- verifying ---------------------------------------------------------------------------------


def verify(commitments: Sequence[Commitment], proof: bytes, context: Context) -> None:
    """Check one proof.

    Raises:
        ProofInvalid: not the proof of these commitments for this context.
    """
    verify_batch([Claim(commitments, proof, context)])


def verify_at_most(limit_tiyn: int, commitment: Commitment, proof: bytes, context: Context) -> None:
    """Check a proof by `prove_at_most`; see `headroom` for what it leaves open.

    Raises:
        ProofInvalid: not the proof of this commitment, limit and context.
        TooLarge: the limit is outside 64 bits.
    """
    verify([headroom(limit_tiyn, commitment)], proof, context)


def verify_batch(claims: Iterable[tuple[Sequence[Commitment], bytes, Context]]) -> None:
    """Check many proofs by one multi-exponentiation (section 6.2); an empty batch holds.

    Every equation gets a weight of its own, out of a hash over all claims: who makes a proof cannot know its weight
    before every claim is fixed, so errors cancel with a chance of 2^-255 for each batch that is tried. A batch that
    does not hold says nothing of who is to blame: `verify` tells, claim by claim.

    Raises:
        ProofInvalid: at least one of them does not hold.
    """
    spoken = [_listen(Claim(*claim)) for claim in claims]
    total = _Sum(max((len(each.replay.s) for each in spoken), default=0))
    for each, (amount_weight, vector_weight) in zip(spoken, _weights(spoken), strict=True):
        _add_amounts(total, each, amount_weight)
        _add_vectors(total, each, vector_weight)
    if total.evaluate() != IDENTITY:
        raise ProofInvalid("range proofs do not hold", claims=len(spoken))


@dataclass(frozen=True, slots=True)
class _Spoken:
    """A claim with the challenges that its transcript gives, and the fingerprint of all of it."""

    commitments: Sequence[Commitment]
    proof: _Proof
    y: Scalar
    z: Scalar
    x: Scalar
    x_u: Scalar
    replay: Replay
    fingerprint: bytes


class _Sum:
    """The terms of one multi-exponentiation: bases that all proofs share are there once."""

    def __init__(self, size: int) -> None:
        self.g, self.h = [ZERO] * size, [ZERO] * size
        self.value = self.blinding = self.u = ZERO
        self._points: list[Point] = []
        self._scalars: list[Scalar] = []

    def add(self, point: Point, scalar: Scalar) -> None:
        self._points.append(point)
        self._scalars.append(scalar)

    def evaluate(self) -> Point:
        bases = _bases(len(self.g))
        points = (VALUE_BASE, BLINDING_BASE, bases.u, *bases.g, *bases.h, *self._points)
        return multiexp(points, (self.value, self.blinding, self.u, *self.g, *self.h, *self._scalars))


def _listen(claim: Claim) -> _Spoken:
    """Read a proof and make its challenges again.

    Raises:
        ProofInvalid: the bytes are not a proof for so many commitments.
    """
    try:
        proof = _decode(claim.proof, _places(len(claim.commitments)))
    except FormError as error:
        raise ProofInvalid("not a range proof for so many commitments", reason=error.message) from None
    transcript = _begin(claim.commitments, claim.context)
    y, z = _challenges_y_z(transcript, proof.a, proof.s)
    x = _challenge_x(transcript, proof.t1, proof.t2)
    x_u = _challenge_u(transcript, proof.tau_x, proof.mu, proof.t_hat)
    replay = inner_product.replay(transcript, proof.argument.rounds)
    transcript.append_scalar("a", proof.argument.a)
    transcript.append_scalar("b", proof.argument.b)
    return _Spoken(claim.commitments, proof, y, z, x, x_u, replay, transcript.fingerprint())


def _weights(spoken: Sequence[_Spoken]) -> list[tuple[Scalar, Scalar]]:
    """Two weights for each claim, that depend on every statement and on every byte of every proof."""
    transcript = Transcript(_BATCH)
    for each in spoken:
        transcript.append("claim", each.fingerprint)
    return [(transcript.challenge("amounts"), transcript.challenge("vectors")) for _ in spoken]


def _add_amounts(total: _Sum, spoken: _Spoken, weight: Scalar) -> None:
    """(65), for several amounts as in section 4.2: t_hat is what the commitments, T1 and T2 say it is.

    With ``delta(y, z) = (z - z^2) <1, y^nm> - sum of z^(3+j) <1, 2^n>``:
    ``(t_hat - delta(y, z)) G + tau_x H - sum of z^(2+j) V_j - x T1 - x^2 T2 = 0``
    """
    proof, x, z = spoken.proof, spoken.x, spoken.z
    places = len(spoken.replay.s) // AMOUNT_BITS
    zs = _powers(z, places + 3)
    ys_sum = sum(_powers(spoken.y, len(spoken.replay.s)), ZERO)
    delta = (z - zs[2]) * ys_sum - sum(zs[3:], ZERO) * _ALL_ONES
    total.value += weight * (proof.t_hat - delta)
    total.blinding += weight * proof.tau_x
    for j, commitment in enumerate(spoken.commitments):
        total.add(commitment.point, -weight * zs[2 + j])
    total.add(proof.t1, -weight * x)
    total.add(proof.t2, -weight * x.square())


def _add_vectors(total: _Sum, spoken: _Spoken, weight: Scalar) -> None:
    """(66) to (68), the last two by the argument of section 3.1: l and r are what A and S say, and t_hat is <l, r>.

    With ``h'_i = y^-i h_i`` (64), and sums over all rounds and all places i:
    ``A + x S - mu H + sum of (-z - a s_i) g_i + sum of (z y^i + z^(2+j) 2^k - b / s_i) h'_i``
    ``+ x_u (t_hat - a b) u + sum of x_r^2 L_r + x_r^-2 R_r = 0``, where place i is bit k of amount j.
    """
    proof, s, z = spoken.proof, spoken.replay.s, spoken.z
    a, b = weight * proof.argument.a, weight * proof.argument.b
    shift = weight * z
    digits = _digits(z, len(s) // AMOUNT_BITS)
    power = ONE
    inverse = spoken.y.inverse()
    for i, factor in enumerate(s):
        total.g[i] -= shift + a * factor
        total.h[i] += shift + power * (weight * digits[i] - b * s[-1 - i])
        power *= inverse
    total.blinding -= weight * proof.mu
    total.u += weight * spoken.x_u * (proof.t_hat - proof.argument.a * proof.argument.b)
    total.add(proof.a, weight)
    total.add(proof.s, weight * spoken.x)
    for (left, right), (square, inverse_square) in zip(proof.argument.rounds, spoken.replay.squares, strict=True):
        total.add(left, weight * square)
        total.add(right, weight * inverse_square)


# --- what both sides say and compute -----------------------------------------------------------


def _begin(commitments: Sequence[Commitment], context: Context) -> Transcript:
    """The statement comes before everything: a challenge that did not know it could be chosen first."""
    transcript = context.begin(PROTOCOL)
    transcript.append("commitments", len(commitments).to_bytes(1, "big"))
    for commitment in commitments:
        transcript.append_point("V", commitment.point)
    return transcript


def _challenges_y_z(transcript: Transcript, a: Point, s: Point) -> tuple[Scalar, Scalar]:
    transcript.append_point("A", a)
    transcript.append_point("S", s)
    return transcript.challenge("y"), transcript.challenge("z")


def _challenge_x(transcript: Transcript, t1: Point, t2: Point) -> Scalar:
    transcript.append_point("T1", t1)
    transcript.append_point("T2", t2)
    return transcript.challenge("x")


def _challenge_u(transcript: Transcript, tau_x: Scalar, mu: Scalar, t_hat: Scalar) -> Scalar:
    transcript.append_scalar("tau_x", tau_x)
    transcript.append_scalar("mu", mu)
    transcript.append_scalar("t_hat", t_hat)
    return transcript.challenge("u")


def _powers(base: Scalar, count: int) -> list[Scalar]:
    """1, base, base^2, ..."""
    powers = [ONE]
    while len(powers) < count:
        powers.append(powers[-1] * base)
    return powers


def _digits(z: Scalar, places: int) -> list[Scalar]:
    """What bit k of amount j counts in t_0: ``z^(2+j) 2^k``."""
    return [power * two for power in _powers(z, places + 2)[2:] for two in _TWOS]


def _places(count: int) -> int:
    """The power of two to which so many commitments are filled up."""
    if not 1 <= count <= MAX_PROVED_AMOUNTS:
        raise TooLarge("one proof covers one amount or a few", found=count, limit=MAX_PROVED_AMOUNTS)
    return 1 << (count - 1).bit_length()


@cache
def _bases(size: int) -> Bases:
    """The first ``size`` points of g and h, each out of a hash of its name: nobody knows a relation between them."""
    g, h = (tuple(hash_to_group(name + i.to_bytes(4, "big")) for i in range(size)) for name in (b"bits g", b"bits h"))
    return Bases(g, h, _U)


# --- the encoding: points and scalars in a fixed order, nothing else ---------------------------


def proof_bytes(count: int) -> int:
    """The length of a proof for so many commitments."""
    rounds = (_places(count) * AMOUNT_BITS).bit_length() - 1
    return (4 + 2 * rounds) * POINT_BYTES + 5 * SCALAR_BYTES


def _encode(proof: _Proof) -> bytes:
    argument = proof.argument
    points = (proof.a, proof.s, proof.t1, proof.t2, *(point for pair in argument.rounds for point in pair))
    scalars = (proof.tau_x, proof.mu, proof.t_hat, argument.a, argument.b)
    return b"".join((*map(encode_point, points), *map(encode_scalar, scalars)))


def _decode(data: bytes, places: int) -> _Proof:
    """Read a proof for so many places, strictly: its length is fixed, and each part has one spelling.

    Raises:
        Malformed: another length, or a point that is none or the identity.
        NotCanonical: a point or scalar that is spelled differently.
    """
    if len(data) != proof_bytes(places):
        raise Malformed("not the length of such a proof")
    split = len(data) - 5 * SCALAR_BYTES
    a, s, t1, t2, *rest = (decode_point(data[i : i + POINT_BYTES], "point") for i in range(0, split, POINT_BYTES))
    tau_x, mu, t_hat, last_a, last_b = (
        decode_scalar(data[i : i + SCALAR_BYTES], "scalar") for i in range(split, len(data), SCALAR_BYTES)
    )
    rounds = tuple(zip(rest[::2], rest[1::2], strict=True))
    return _Proof(a, s, t1, t2, tau_x, mu, t_hat, Argument(rounds, last_a, last_b))
