"""The inner-product argument against a slow check that folds every base, as Protocol 2 is written."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cbdc.privacy import inner_product
from cbdc.privacy.group import (
    IDENTITY,
    ONE,
    ORDER,
    ZERO,
    Point,
    Scalar,
    hash_to_group,
    multiexp,
    random_scalar,
    scalar_of,
)
from cbdc.privacy.inner_product import Argument, Bases, inner
from cbdc.privacy.transcript import Transcript
from tests.unit.privacy.worlds import seeded

SCALARS = st.integers(0, ORDER - 1).map(scalar_of)


def bases_of(size: int) -> Bases:
    g, h = ([hash_to_group(name + bytes([i])) for i in range(size)] for name in (b"test g", b"test h"))
    return Bases(g, h, hash_to_group(b"test u"))


def committed(bases: Bases, a: list[Scalar], b: list[Scalar]) -> Point:
    """P = <a, g> + <b, h> + <a, b> u, term by term."""
    terms = [*zip(bases.g, a, strict=True), *zip(bases.h, b, strict=True), (bases.u, inner(a, b))]
    return sum((point * scalar for point, scalar in terms), IDENTITY)


def holds_slowly(bases: Bases, p: Point, argument: Argument) -> bool:
    """Protocol 2, round by round: fold g, h and P, and look at what is left."""
    transcript, g, h = Transcript("test"), list(bases.g), list(bases.h)
    for left, right in argument.rounds:
        transcript.append_point("L", left)
        transcript.append_point("R", right)
        x = transcript.challenge("round")
        half = len(g) // 2
        g = [g[k] * x.inverse() + g[half + k] * x for k in range(half)]
        h = [h[k] * x + h[half + k] * x.inverse() for k in range(half)]
        p = left * (x * x) + p + right * (x * x).inverse()
    return p == g[0] * argument.a + h[0] * argument.b + bases.u * (argument.a * argument.b)


def holds(bases: Bases, p: Point, argument: Argument) -> bool:
    """Section 3.1, as the range proofs use it: one sum with s."""
    replay = inner_product.replay(Transcript("test"), argument.rounds)
    points, scalars = [bases.u, p], [argument.a * argument.b, -ONE]
    points += [*bases.g, *bases.h]
    scalars += [argument.a * factor for factor in replay.s]
    scalars += [argument.b * factor for factor in reversed(replay.s)]
    for (left, right), (square, inverse_square) in zip(argument.rounds, replay.squares, strict=True):
        points += [left, right]
        scalars += [-square, -inverse_square]
    return multiexp(points, scalars) == IDENTITY


def proved(bases: Bases, a: list[Scalar], b: list[Scalar]) -> Argument:
    ones = [ONE] * len(a)
    return inner_product.prove(Transcript("test"), bases, (ones, ones), ONE, a, b)


@settings(max_examples=15)
@given(st.integers(0, 4).flatmap(lambda k: st.lists(st.tuples(SCALARS, SCALARS), min_size=2**k, max_size=2**k)))
def test_an_honest_argument_holds_by_both_checks(pairs: list[tuple[Scalar, Scalar]]) -> None:
    a, b = [left for left, _ in pairs], [right for _, right in pairs]
    bases = bases_of(len(a))
    argument = proved(bases, a, b)
    assert 2 ** len(argument.rounds) == len(a)
    assert holds_slowly(bases, committed(bases, a, b), argument)
    assert holds(bases, committed(bases, a, b), argument)


def test_vectors_of_length_one_are_simply_shown() -> None:
    bases = bases_of(1)
    argument = proved(bases, [scalar_of(3)], [scalar_of(5)])
    assert argument == Argument((), scalar_of(3), scalar_of(5))
    assert holds(bases, committed(bases, [scalar_of(3)], [scalar_of(5)]), argument)


def test_s_of_one_round_is_the_inverse_and_the_challenge() -> None:
    rounds = [(hash_to_group(b"L"), hash_to_group(b"R"))]
    transcript = Transcript("test")
    transcript.append_point("L", rounds[0][0])
    transcript.append_point("R", rounds[0][1])
    x = transcript.challenge("round")
    assert inner_product.replay(Transcript("test"), rounds).s == [x.inverse(), x]


def test_s_is_the_product_of_challenges_by_the_bits_of_a_place() -> None:
    """s_i of section 3.1: x_j where bit j of i, counted from the top, is set, and its inverse where it is not."""
    rounds = [(hash_to_group(bytes([j])), hash_to_group(bytes([j, j]))) for j in range(4)]
    replay, transcript, challenges = inner_product.replay(Transcript("test"), rounds), Transcript("test"), []
    for left, right in rounds:
        transcript.append_point("L", left)
        transcript.append_point("R", right)
        challenges.append(transcript.challenge("round"))
    for i, factor in enumerate(replay.s):
        expected = ONE
        for j, x in enumerate(challenges):
            expected *= x if i >> (3 - j) & 1 else x.inverse()
        assert factor == expected
        assert replay.s[-1 - i] == expected.inverse()


def test_factors_stand_for_multiplied_bases() -> None:
    a, b = ([scalar_of(i * 3 + n) for i in range(8)] for n in (1, 2))
    bases, random = bases_of(8), seeded("factors")
    g_factors, h_factors = ([random_scalar(random) for _ in range(8)] for _ in range(2))
    u_factor = random_scalar(random)
    multiplied = Bases(
        [point * factor for point, factor in zip(bases.g, g_factors, strict=True)],
        [point * factor for point, factor in zip(bases.h, h_factors, strict=True)],
        bases.u * u_factor,
    )
    argument = inner_product.prove(Transcript("test"), bases, (g_factors, h_factors), u_factor, a, b)
    assert argument == proved(multiplied, a, b)
    assert holds_slowly(multiplied, committed(multiplied, a, b), argument)


def lies() -> dict[str, tuple[Point, Argument]]:
    a, b = ([scalar_of(i + n) for i in range(4)] for n in (1, 9))
    bases = bases_of(4)
    p, argument = committed(bases, a, b), proved(bases, a, b)
    (first, second), last = argument.rounds[0], argument.rounds[1]
    return {
        "another inner product": (p + bases.u, argument),
        "another vector a": (p + bases.g[2], argument),
        "another vector b": (p + bases.h[3], argument),
        "another last a": (p, Argument(argument.rounds, argument.a + ONE, argument.b)),
        "another last b": (p, Argument(argument.rounds, argument.a, argument.b + ONE)),
        "a and b changed round": (p, Argument(argument.rounds, argument.b, argument.a)),
        "nothing left of both": (p, Argument(argument.rounds, ZERO, ZERO)),
        "L and R changed round": (p, Argument(((second, first), last), argument.a, argument.b)),
        "rounds changed round": (p, Argument((last, (first, second)), argument.a, argument.b)),
        "no L": (p, Argument(((IDENTITY, second), last), argument.a, argument.b)),
    }


LIES = lies()


@pytest.mark.parametrize(("p", "argument"), LIES.values(), ids=LIES)
def test_a_false_argument_fails_by_both_checks(p: Point, argument: Argument) -> None:
    assert not holds_slowly(bases_of(4), p, argument)
    assert not holds(bases_of(4), p, argument)


def test_a_product_of_vectors_of_different_length_is_an_error() -> None:
    with pytest.raises(ValueError, match="shorter"):
        inner([ONE], [])
