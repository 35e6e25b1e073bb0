"""A second prover, slow and written straight from the paper, that can be told to lie.

It works with integers, folds every base as Protocol 2 is written, and shares with `cbdc.privacy.range_proofs` only the
group, the transcript's labels and the names of the bases. What it proves honestly must hold; with a lie it says what
a cheat would say who keeps to the protocol everywhere else.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from cbdc.privacy.group import (
    IDENTITY,
    ORDER,
    Point,
    encode_point,
    encode_scalar,
    hash_to_group,
    random_scalar,
    scalar_of,
)
from cbdc.privacy.pedersen import BLINDING_BASE, VALUE_BASE, Commitment
from cbdc.privacy.transcript import Context, Transcript
from tests.unit.privacy.worlds import HERE, seeded

LABEL = "bulletproofs range proof, 64 bits, BLS12-381 G1"


@dataclass
class Answers:
    """What the prover says after the challenge x, before it is said."""

    tau_x: int
    mu: int
    t_hat: int


def bits(amount: int) -> list[int]:
    """The lowest 64 bits of an amount, whatever it is."""
    return [amount >> k & 1 for k in range(64)]


@dataclass
class Forger:
    """Opens ``commitments`` as it likes: ``digits`` are a_L, ``complements`` a_R (digits less one, if not given).

    ``amounts``, if given, are what t_hat is bent to: then (65) holds, whatever the digits are.
    """

    digits: Sequence[int]
    blindings: Sequence[int]
    commitments: Sequence[Commitment]
    complements: Sequence[int] | None = None
    amounts: Sequence[int] | None = None
    context: Context = HERE
    label: str = LABEL
    tamper: Callable[[Answers], None] = lambda answers: None
    seed: str = "forger"

    def proof(self) -> bytes:
        random = seeded(self.seed)
        draw = lambda: int(random_scalar(random))  # noqa: E731
        n = len(self.digits)
        a_l = list(self.digits)
        a_r = list(self.complements) if self.complements is not None else [digit - 1 for digit in a_l]
        s_l, s_r = [draw() for _ in a_l], [draw() for _ in a_l]
        alpha, rho, tau1, tau2 = draw(), draw(), draw(), draw()
        g = [hash_to_group(b"bits g" + i.to_bytes(4, "big")) for i in range(n)]
        h = [hash_to_group(b"bits h" + i.to_bytes(4, "big")) for i in range(n)]
        a = times(BLINDING_BASE, alpha) + weighted(g, a_l) + weighted(h, a_r)
        s = times(BLINDING_BASE, rho) + weighted(g, s_l) + weighted(h, s_r)

        transcript = self._begin()
        y, z = self._say(transcript, {"A": a, "S": s}, "y", "z")
        twos = [z ** (2 + i // 64) * 2 ** (i % 64) for i in range(n)]
        l0, l1 = [a_l[i] - z for i in range(n)], s_l
        r0 = [pow(y, i, ORDER) * (a_r[i] + z) + twos[i] for i in range(n)]
        r1 = [pow(y, i, ORDER) * s_r[i] for i in range(n)]
        t1, t2 = dot(l0, r1) + dot(l1, r0), dot(l1, r1)
        big_t1 = times(VALUE_BASE, t1) + times(BLINDING_BASE, tau1)
        big_t2 = times(VALUE_BASE, t2) + times(BLINDING_BASE, tau2)
        (x,) = self._say(transcript, {"T1": big_t1, "T2": big_t2}, "x")

        left = [(l0[i] + l1[i] * x) % ORDER for i in range(n)]
        right = [(r0[i] + r1[i] * x) % ORDER for i in range(n)]
        blinded = sum(z ** (2 + j) * blinding for j, blinding in enumerate(self.blindings))
        answers = Answers(tau2 * x * x + tau1 * x + blinded, alpha + rho * x, dot(left, right))
        if self.amounts is not None:
            answers.t_hat = self._wanted(y, z) + t1 * x + t2 * x * x
        self.tamper(answers)
        said = [scalar_of(number) for number in (answers.tau_x, answers.mu, answers.t_hat)]
        for name, scalar in zip(("tau_x", "mu", "t_hat"), said, strict=True):
            transcript.append_scalar(name, scalar)
        u = times(hash_to_group(b"inner product"), int(transcript.challenge("u")))
        h_prime = [times(point, pow(y, -i, ORDER)) for i, point in enumerate(h)]
        rounds, last_a, last_b = fold(transcript, g, h_prime, u, left, right)
        points = [a, s, big_t1, big_t2, *rounds]
        scalars = [*said, scalar_of(last_a), scalar_of(last_b)]
        return b"".join([*map(encode_point, points), *map(encode_scalar, scalars)])

    def _begin(self) -> Transcript:
        transcript = self.context.begin(self.label)
        transcript.append("commitments", bytes([len(self.commitments)]))
        for commitment in self.commitments:
            transcript.append("V", commitment.encode())
        return transcript

    def _say(self, transcript: Transcript, points: dict[str, Point], *challenges: str) -> list[int]:
        for label, point in points.items():
            transcript.append_point(label, point)
        return [int(transcript.challenge(label)) for label in challenges]

    def _wanted(self, y: int, z: int) -> int:
        """t_0 of an honest proof of ``amounts``: ``sum of z^(2+j) v_j + delta(y, z)``."""
        amounts = [*self.amounts, *[0] * (len(self.digits) // 64 - len(self.amounts))]
        delta = (z - z * z) * sum(pow(y, i, ORDER) for i in range(len(self.digits)))
        delta -= sum(z ** (3 + j) * (2**64 - 1) for j in range(len(amounts)))
        return sum(z ** (2 + j) * amount for j, amount in enumerate(amounts)) + delta


def times(point: Point, number: int) -> Point:
    return point * scalar_of(number)


def weighted(points: Sequence[Point], numbers: Sequence[int]) -> Point:
    return sum((times(point, number) for point, number in zip(points, numbers, strict=True)), IDENTITY)


def dot(a: Sequence[int], b: Sequence[int]) -> int:
    return sum(x * y for x, y in zip(a, b, strict=True)) % ORDER


def fold(
    transcript: Transcript, g: list[Point], h: list[Point], u: Point, a: list[int], b: list[int]
) -> tuple[list[Point], int, int]:
    """Protocol 2: L, R of every round one after the other, and what is left of a and b."""
    rounds: list[Point] = []
    while len(a) > 1:
        half = len(a) // 2
        left = weighted(g[half:], a[:half]) + weighted(h[:half], b[half:]) + times(u, dot(a[:half], b[half:]))
        right = weighted(g[:half], a[half:]) + weighted(h[half:], b[:half]) + times(u, dot(a[half:], b[:half]))
        transcript.append_point("L", left)
        transcript.append_point("R", right)
        rounds += [left, right]
        x = int(transcript.challenge("round"))
        back = pow(x, -1, ORDER)
        g = [times(g[k], back) + times(g[half + k], x) for k in range(half)]
        h = [times(h[k], x) + times(h[half + k], back) for k in range(half)]
        a = [(a[k] * x + a[half + k] * back) % ORDER for k in range(half)]
        b = [(b[k] * back + b[half + k] * x) % ORDER for k in range(half)]
    return rounds, a[0], b[0]
