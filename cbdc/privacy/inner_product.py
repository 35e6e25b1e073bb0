"""The inner-product argument of Bulletproofs (Bünz et al., eprint 2017/1066, section 3, Protocols 1 and 2).

It proves knowledge of vectors a and b with ``P = <a, g> + <b, h> + <a, b> u`` (Protocol 1 has multiplied u with a
challenge already) in two points for each halving of the vectors. It hides nothing: `cbdc.privacy.range_proofs` gives
it an a and a b that are blinded. Each base may carry a factor, so that nobody computes ``y^-i * h_i`` as points.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from cbdc.privacy.group import ONE, ZERO, Point, Scalar, multiexp
from cbdc.privacy.transcript import Transcript


@dataclass(frozen=True, slots=True)
class Bases:
    """The vectors g and h, of one power of two of points, and u."""

    g: Sequence[Point]
    h: Sequence[Point]
    u: Point


@dataclass(frozen=True, slots=True)
class Argument:
    """L and R of each round, and the two numbers that are left of a and b."""

    rounds: tuple[tuple[Point, Point], ...]
    a: Scalar
    b: Scalar


def inner(a: Sequence[Scalar], b: Sequence[Scalar]) -> Scalar:
    """<a, b>."""
    return sum((left * right for left, right in zip(a, b, strict=True)), ZERO)


def prove(
    transcript: Transcript,
    bases: Bases,
    factors: tuple[list[Scalar], list[Scalar]],
    u_factor: Scalar,
    a: list[Scalar],
    b: list[Scalar],
) -> Argument:
    """Protocol 2 for bases ``factors[0] * g``, ``factors[1] * h`` and ``u_factor * u``.

    Where the paper folds the bases in each round, this folds their factors: one multi-exponentiation over the
    bases as they are is faster than making new ones. What is at place k of the folded bases is the sum of what is at
    all places that are k modulo their number.
    """
    g_factors, h_factors = factors
    rounds = []
    half = len(a) // 2
    while half:
        low, high = (a[:half], b[:half]), (a[half:], b[half:])
        left = _cross(bases, g_factors, h_factors, (low[0], high[1]), u_factor, g_is_high=True)
        right = _cross(bases, g_factors, h_factors, (high[0], low[1]), u_factor, g_is_high=False)
        rounds.append((left, right))
        x, inverse = _challenge(transcript, left, right)
        a = [first * x + second * inverse for first, second in zip(low[0], high[0], strict=True)]
        b = [first * inverse + second * x for first, second in zip(low[1], high[1], strict=True)]
        places = range(len(g_factors))
        g_factors = [g_factors[i] * (x if i & half else inverse) for i in places]
        h_factors = [h_factors[i] * (inverse if i & half else x) for i in places]
        half //= 2
    return Argument(tuple(rounds), a[0], b[0])


def _cross(
    bases: Bases,
    g_factors: Sequence[Scalar],
    h_factors: Sequence[Scalar],
    halves: tuple[list[Scalar], list[Scalar]],
    u_factor: Scalar,
    *,
    g_is_high: bool,
) -> Point:
    """L or R: half of a against the other half of g, the other half of b against that half of h, and their product."""
    a, b = halves
    half = len(a)
    points, scalars = [bases.u], [u_factor * inner(a, b)]
    for i, (g_factor, h_factor) in enumerate(zip(g_factors, h_factors, strict=True)):
        k = i % half
        if bool(i & half) is g_is_high:
            points.append(bases.g[i])
            scalars.append(a[k] * g_factor)
        else:
            points.append(bases.h[i])
            scalars.append(b[k] * h_factor)
    return multiexp(points, scalars)


def _challenge(transcript: Transcript, left: Point, right: Point) -> tuple[Scalar, Scalar]:
    """x of a round, and its inverse."""
    transcript.append_point("L", left)
    transcript.append_point("R", right)
    x = transcript.challenge("round")
    return x, x.inverse()


@dataclass(frozen=True, slots=True)
class Replay:
    """What a verifier needs of an argument: s of section 3.1, and x^2 and x^-2 of each round.

    The factor of g_i in the last, single base is ``s[i]``; that of h_i is the inverse, which is ``s[-1 - i]``.
    """

    s: list[Scalar]
    squares: list[tuple[Scalar, Scalar]]


def replay(transcript: Transcript, rounds: Sequence[tuple[Point, Point]]) -> Replay:
    """Section 3.1: all challenges first, so that the checks of all rounds become one."""
    challenges = [_challenge(transcript, left, right) for left, right in rounds]
    first = ONE
    for _, inverse in challenges:
        first = first * inverse
    s = [first]
    squares = [(x.square(), inverse.square()) for x, inverse in challenges]
    for square, _ in reversed(squares):  # the last round halves neighbours, so it is the lowest bit of a place
        s += [factor * square for factor in s]
    return Replay(s, squares)
