"""The logistic residual of several hosts: σ(u) − ½ ≈ Σ_k a_k·sin((2k − 1)πu/(2L)), because a sine of a sum is a sum of products.

With θ_b = πu_b/(2L) of each party's half, cos and sin of (2k − 1)·Σθ_b follow party by party: each multiplies the encrypted cosines and
sines of the parties before it by its own. Every party tells the others the centre of its half and how far it reaches from there, at most
eight deviations, beyond which it is clipped. L is the sum of the reaches and of the centres, so no sum leaves the range of the series,
where beyond L the sine would come back; and K grows with L, so that the error stays below 10^-3.

cos θ and sin θ are polynomials of θ, and those of odd multiples follow by recurrence: the same bits on every machine, which a library's
are not.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt

from . import linalg
from .checks import Floats, Ints
from .elementary import softplus
from .logistic import sigmoid
from .residual import LARGEST_SCALE, LEAST_SCALE, MAX_CENTRE, agreed_range, agreed_scale, usual_weight

MOST_DEVIATIONS = 8.0  # that a half reaches from its centre; clipped beyond
LARGEST_REACH = 32.0  # that many deviations of the largest half whose residual can be trusted (residual.py)
LEAST_L = 6.0
TERMS_PER_L = 2 / 3  # K over L: an error below 8.5·10^-4
FIRST_BITS, NEXT_BITS = 12, 10  # binary places of the first host's cosines and sines, and of each factor of the others
POINTS = 2401
RIDGE = 1e-9  # of the least squares of the loss
SERIES = 24  # terms of the power series: (π/2)^24/24! is below 10^-19

Range = tuple[float, float]  # centre and reach of a half


def residual_bits(n_hosts: int) -> int:
    """Return the binary places of the residual: of the first host's columns, and of a factor of every other host and of the guest."""
    return FIRST_BITS + NEXT_BITS * n_hosts


def agreed_reach(half: Floats, bound: float | None = None) -> Range:
    """Return the centre of a half, and how far it reaches from there, rounded up to the next power of √2; BoundError as `agreed_range`.

    With a `bound`, in a run that searches for λ, a half that varies too much or goes beyond it says so by a reach above the largest.
    """
    centre, scale = agreed_range(half, bound)
    if scale > LARGEST_SCALE:
        return centre, agreed_scale(MOST_DEVIATIONS * scale)
    return centre, agreed_scale(min(float(np.abs(half - centre).max()), MOST_DEVIATIONS * scale))


def within(half: Range) -> Range:
    """Return the range that the series is made for: no reach above the largest that can be trusted."""
    return half[0], min(half[1], LARGEST_REACH)


def is_reach(centre: float, reach: float, *, tolerant: bool = False) -> bool:
    """Return whether a centre and a reach can be those of a half."""
    known = LEAST_SCALE <= reach <= (MAX_CENTRE if tolerant else LARGEST_REACH) and agreed_scale(reach) == reach
    return known and abs(centre) <= MAX_CENTRE


@dataclass(frozen=True)
class Waves:
    """What all parties agree on in a round: the ranges of their halves, the guest's first."""

    ranges: tuple[Range, ...]

    @property
    def length(self) -> float:
        """L, a whole number of at least 6."""
        return max(LEAST_L, float(math.ceil(math.fsum(reach for _, reach in self.ranges) + abs(self._centre))))

    @property
    def terms(self) -> int:
        """K."""
        return math.ceil(TERMS_PER_L * self.length)

    @property
    def _centre(self) -> float:
        return math.fsum(centre for centre, _ in self.ranges)

    def of(self, place: int, half: Floats) -> tuple[Floats, Floats]:
        """Return cos and sin of (2k − 1)πu/(2L) of a party's half, counted from its centre; the guest's, at place 0, has all centres.

        Returns
        -------
        float64, shape (terms, n_rows) each
        """
        centre, reach = self.ranges[place]
        held = np.clip(half - centre, -reach, reach) + (self._centre if place == 0 else 0.0)
        return multiples(held * (np.pi / (2 * self.length)), self.terms)

    def factors(self, half: Floats) -> tuple[Ints, Ints]:
        """Return the guest's factors of the sums' cosines and sines: a_k·sin and a_k·cos of its own angles, shape (terms, n_rows) each."""
        cosines, sines = self.of(0, half)
        a = np.array(coefficients(self.length, self.terms))[:, None]
        return whole(a * sines, NEXT_BITS), whole(a * cosines, NEXT_BITS)

    def loss_factors(self, half: Floats, labels: npt.NDArray[np.int8]) -> tuple[float, Floats, Floats]:
        """Return what log(1 + e^(−y·u)) is made of: a constant, and the guest's factors of the sums' cosines and sines.

        Returns
        -------
        (float, float64 of shape (terms, n_rows), the same)
        """
        constant, even, odd = loss_coefficients(self.length, self.terms)
        cosines, sines = self.of(0, half)
        alpha, beta = np.array(even)[:, None], -labels.astype(np.float64) * np.array(odd)[:, None]
        return constant, alpha * cosines + beta * sines, beta * cosines - alpha * sines


def whole(values: Floats, bits: int) -> Ints:
    """Return values in whole steps of 2^−bits, rounded to nearest, ties to even."""
    found: Ints = np.rint(values * (1 << bits)).astype(np.int64)
    return found


@lru_cache(maxsize=64)
def coefficients(length: float, terms: int) -> tuple[float, ...]:
    """Return a_1 … a_K, the least squares of σ − ½ on the sines over [−L, L]."""
    grid = np.linspace(-length, length, POINTS)
    _, sines = multiples(grid * (np.pi / (2 * length)), terms)
    target = sigmoid(grid) - 0.5
    normal = np.stack([linalg.product(sines, row) for row in sines])
    right = linalg.product(sines, target)
    linalg.cholesky(normal)  # the sines are independent
    return tuple(linalg.solve(normal, right).tolist())


@lru_cache(maxsize=64)
def loss_coefficients(length: float, terms: int) -> tuple[float, tuple[float, ...], tuple[float, ...]]:
    """Return the least squares of log(1 + e^u) on 1, cosines and sines over [−L, L], with rows as a rule within a quarter of L."""
    grid = np.linspace(-length, length, POINTS)
    weight = usual_weight(grid / (length / 4))
    cosines, sines = multiples(grid * (np.pi / (2 * length)), terms)
    columns = np.vstack([np.ones(POINTS), cosines, sines])
    normal = np.stack([linalg.product(columns * weight, row) for row in columns]) / POINTS
    right = linalg.product(columns * weight, softplus(grid)) / POINTS
    np.fill_diagonal(normal, normal.diagonal() + RIDGE)
    linalg.cholesky(normal)  # positive definite by the ridge
    found = linalg.solve(normal, right).tolist()
    return found[0], tuple(found[1 : terms + 1]), tuple(found[terms + 1 :])


def multiples(angle: Floats, terms: int) -> tuple[Floats, Floats]:
    """Return cos and sin of (2k − 1)·angle for k = 1 … terms, |angle| ≤ π/2, each of shape (terms, n)."""
    cosine, sine = _series(angle)
    twice = 2.0 * (2.0 * cosine * cosine - 1.0)  # 2·cos 2θ
    cosines, sines = [cosine, cosine * (twice - 1.0)], [sine, sine * (twice + 1.0)]  # cos 3θ and sin 3θ
    while len(cosines) < terms:
        cosines.append(twice * cosines[-1] - cosines[-2])
        sines.append(twice * sines[-1] - sines[-2])
    return np.stack(cosines[:terms]), np.stack(sines[:terms])


def _series(angle: Floats) -> tuple[Floats, Floats]:
    """Cos and sin by their power series, |angle| ≤ π/2."""
    square = angle * angle
    cosine, sine = np.ones_like(angle), np.ones_like(angle)
    for k in range(SERIES, 0, -2):
        cosine = 1.0 - square / (k * (k - 1)) * cosine
        sine = 1.0 - square / ((k + 1) * k) * sine
    return cosine, angle * sine
