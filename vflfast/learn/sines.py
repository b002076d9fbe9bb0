"""The logistic residual of several hosts: σ(u) − ½ ≈ Σ_k a_k·sin((2k − 1)πu/(2L)), because a sine of a sum is a sum of products.

With θ_b = πu_b/(2L) of each party's half, cos and sin of (2k − 1)·Σθ_b follow party by party: each multiplies the encrypted cosines and
sines of the parties before it by its own. For |u| ≤ L the series is within 10^-3; beyond L the sine comes back, so every party clips its
own |u| to L over the number of data parties.

cos θ and sin θ are polynomials of θ, and those of odd multiples follow by recurrence: the same bits on every machine, which a library's
are not.
"""

from __future__ import annotations

from functools import lru_cache

import numpy as np

from . import linalg
from .checks import Floats, Ints
from .logistic import sigmoid

L = 12.0
TERMS = 8  # K: error below 8.5·10^-4 for |u| ≤ L
FIRST_BITS, NEXT_BITS = 12, 10  # binary places of the first host's cosines and sines, and of each factor of the others
POINTS = 2401
SERIES = 24  # terms of the power series: (π/2)^24/24! is below 10^-19


def residual_bits(n_hosts: int) -> int:
    """Return the binary places of the residual: of the first host's columns, and of a factor of every other host and of the guest."""
    return FIRST_BITS + NEXT_BITS * n_hosts


def waves(half: Floats, n_parties: int) -> tuple[Floats, Floats]:
    """Return cos and sin of (2k − 1)πu/(2L) of one party's half, clipped to L/n_parties, each of shape (TERMS, n_rows)."""
    limit = L / n_parties
    angle = np.clip(half, -limit, limit) * (np.pi / (2 * L))
    cosine, sine = _series(angle)
    twice = 2.0 * (2.0 * cosine * cosine - 1.0)  # 2·cos 2θ
    cosines, sines = [cosine, cosine * (twice - 1.0)], [sine, sine * (twice + 1.0)]  # cos 3θ and sin 3θ
    while len(cosines) < TERMS:
        cosines.append(twice * cosines[-1] - cosines[-2])
        sines.append(twice * sines[-1] - sines[-2])
    return np.stack(cosines[:TERMS]), np.stack(sines[:TERMS])


def whole(values: Floats, bits: int) -> Ints:
    """Return values in whole steps of 2^−bits, rounded to nearest, ties to even."""
    found: Ints = np.rint(values * (1 << bits)).astype(np.int64)
    return found


@lru_cache(maxsize=1)
def coefficients() -> tuple[float, ...]:
    """Return a_1 … a_K, the least squares of σ − ½ on the sines over [−L, L]."""
    grid = np.linspace(-L, L, POINTS)
    _, sines = waves(grid, 1)
    target = sigmoid(grid) - 0.5
    normal = np.stack([linalg.product(sines, row) for row in sines])
    right = linalg.product(sines, target)
    linalg.cholesky(normal)  # the sines are independent
    return tuple(linalg.solve(normal, right).tolist())


def factors(half: Floats, n_parties: int) -> tuple[Ints, Ints]:
    """Return the guest's factors of the sums' cosines and sines: a_k·sin and a_k·cos of its own angles, shape (TERMS, n_rows) each."""
    cosines, sines = waves(half, n_parties)
    a = np.array(coefficients())[:, None]
    return whole(a * sines, NEXT_BITS), whole(a * cosines, NEXT_BITS)


def _series(angle: Floats) -> tuple[Floats, Floats]:
    """Cos and sin by their power series, |angle| ≤ π/2."""
    square = angle * angle
    cosine, sine = np.ones_like(angle), np.ones_like(angle)
    for k in range(SERIES, 0, -2):
        cosine = 1.0 - square / (k * (k - 1)) * cosine
        sine = 1.0 - square / ((k + 1) * k) * sine
    return cosine, angle * sine
