"""The logistic residual as a sum of products: σ(u′ + u″) − y ≈ c₀(u′) − y + Σ_k c_k(u′)·φ_k(u″), with K functions φ of the host's half.

The guest knows u′ of every row and may multiply a ciphertext by integers of its own. So any residual of this form costs K encrypted columns
[[φ_k(u″)]] of the host, K plaintext factors a row of the guest, and no message besides. σ(a + b) is very nearly such a sum.

Both sides make the same tables from two agreed numbers, the centre m and the scale s of u″, in a fixed order of operations, so that they
have the same bits on every machine. With z = (b − m)/s on `B_POINTS` points of m ± 6s and the weight w(b) = e^(−z²/2) + 0.01·e^(−|z|/2):

* φ_1 … φ_K span the first K left singular functions of σ(a + b), a on `A_POINTS` points of [−12, 12], in the w-weighted inner product, once
  the constant function, which needs no column, is taken out: by orthogonal iteration from polynomials in z.
* c_0 … c_K at a point a are the w-weighted least squares of σ(a + ·) on 1, φ_1 … φ_K: sums, because these are orthonormal.

Between points both are linear; beyond the ends they stay as they are there. φ_k has `PHI_BITS` binary places after it is scaled to
[−1, 1], c_k as many as `FACTOR_BITS`; c_0 and y have those of the sum of both. Rounding is to nearest, ties to even.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
import numpy.typing as npt
from numba import njit

from ..errors import BoundError
from .checks import Floats, Ints
from .elementary import exp
from .logistic import sigmoid

# K by scale: the residual's error stays below 10^-3 (root mean square); six columns at s = 4 would leave 1.6·10^-2
COLUMNS = {1 / 8: 2, 1 / 4: 3, 1 / 2: 4, 0.75: 5, 1.0: 6, 1.5: 8, 2.0: 10, 3.0: 12, 4.0: 14}
BOUND = 8 << 22  # of the residual in whole steps of 2^-RESIDUAL_BITS: above `Tables.bound` of every scale
A_POINTS, A_END = 601, 12.0
B_POINTS, B_ENDS = 801, 6.0
PHI_BITS, FACTOR_BITS = 12, 10
RESIDUAL_BITS = PHI_BITS + FACTOR_BITS
LEAST_SCALE, LARGEST_SCALE = 1 / 16, 4.0  # of u″; above, the residual is not to be trusted
MAX_CENTRE = 1024.0
ITERATIONS = 16
KEPT_TABLES = 8


@dataclass(frozen=True)
class Tables:
    """φ on its points, shape (K, B_POINTS), within [−1, 1]; c on its points, shape (K + 1, A_POINTS), c_0 first."""

    centre: float
    scale: float
    phi: Floats
    factors: Floats

    def columns(self, half: Floats) -> Ints:
        """Return φ_k of the host's half with `PHI_BITS` binary places, shape (K, n_rows)."""
        start = self.centre - B_ENDS * self.scale
        return np.stack([_interpolated(row, half, start, 2 * B_ENDS * self.scale, PHI_BITS) for row in self.phi])

    def multipliers(self, half: Floats) -> tuple[Ints, Ints]:
        """Return c_0 with `RESIDUAL_BITS`, shape (n_rows,), and c_1 … c_K with `FACTOR_BITS` binary places, shape (K, n_rows)."""
        constant, *others = self.factors
        first = _interpolated(constant, half, -A_END, 2 * A_END, RESIDUAL_BITS)
        return first, np.stack([_interpolated(row, half, -A_END, 2 * A_END, FACTOR_BITS) for row in others])

    @property
    def bound(self) -> int:
        """Largest |c_0 + Σ c_k·φ_k − y| in `RESIDUAL_BITS` that any two halves can give."""
        factor = np.rint(np.abs(self.factors[1:]).max(axis=1) * (1 << FACTOR_BITS)).astype(np.int64)
        first = math.ceil(float(np.abs(self.factors[0]).max()) * (1 << RESIDUAL_BITS))
        return first + int(factor.sum() << PHI_BITS) + (1 << RESIDUAL_BITS)


def agreed_range(half: Floats) -> tuple[float, float]:
    """Return the centre and scale of a host's half.

    Raises
    ------
    BoundError
        It varies too much for the residual to be trusted.
    """
    mean = math.fsum(half.tolist()) / half.size
    spread = half - mean
    scale = agreed_scale(math.sqrt(math.fsum((spread * spread).tolist()) / half.size))
    if scale > LARGEST_SCALE:
        raise BoundError(
            "alpha", f"a host's half has a standard deviation above {LARGEST_SCALE:g}; the logistic residual cannot be trusted there. "
            "A larger alpha keeps it smaller; residual = \"taylor\" has no such limit"
        )  # fmt: skip
    return agreed_centre(mean, scale), scale


def is_agreed(centre: float, scale: float) -> bool:
    """Return whether a centre and a scale are ones that `agreed_range` gives."""
    known = LEAST_SCALE <= scale <= LARGEST_SCALE and agreed_scale(scale) == scale
    return known and abs(centre) <= MAX_CENTRE and agreed_centre(centre, scale) == centre


def agreed_scale(deviation: float) -> float:
    """Return s, the standard deviation rounded up to the next power of √2, at least 1/16."""
    if deviation <= LEAST_SCALE:
        return LEAST_SCALE
    mantissa, exponent = math.frexp(deviation)  # deviation = mantissa·2^exponent, mantissa from ½ to 1
    if mantissa == 0.5:
        return deviation
    return math.ldexp(math.sqrt(0.5) if mantissa <= math.sqrt(0.5) else 1.0, exponent)


def agreed_centre(mean: float, scale: float) -> float:
    """Return m, the mean rounded to the next eighth of the scale."""
    return float(np.rint(mean / scale * 8) * scale / 8)


def columns_of(scale: float) -> int:
    """Return K, the number of encrypted columns at a scale."""
    return next(k for limit, k in COLUMNS.items() if scale <= limit)


@lru_cache(maxsize=KEPT_TABLES)
def tables(centre: float, scale: float) -> Tables:
    """Return the tables of an agreed centre and scale."""
    n_columns = columns_of(scale)
    z = np.linspace(-B_ENDS, B_ENDS, B_POINTS)
    weight = exp(-z * z / 2) + 0.01 * exp(-np.abs(z) / 2)
    root = np.sqrt(weight / _sum(weight))
    a = np.linspace(-A_END, A_END, A_POINTS)
    values = sigmoid((a[:, None] + (centre + scale * z)[None, :]).ravel()).reshape(A_POINTS, B_POINTS)
    mean = _products(values, (root * root)[:, None])[:, 0]  # σ(a + ·) on the constant function
    weighted = np.ascontiguousarray((values - mean[:, None]) * root)
    powers = [root]
    for _ in range(n_columns):
        powers.append(powers[-1] * (z / B_ENDS))  # multiplied, as the power function differs between machines
    basis = _orthonormal(np.ascontiguousarray(np.stack(powers, axis=1)))[:, 1:].copy()  # without the constant function
    transposed = np.ascontiguousarray(weighted.T)
    for _ in range(ITERATIONS):
        basis = _orthonormal(_products(transposed, _products(weighted, basis)))
    largest = np.abs(basis / root[:, None]).max(axis=0)
    phi = (basis / root[:, None] / largest).T.copy()
    factors = np.vstack([mean, (_products(weighted, basis) * largest).T])
    return Tables(centre, scale, phi, factors)


def _interpolated(table: Floats, at: Floats, start: float, width: float, bits: int) -> Ints:
    """The table's value between its points, in whole steps of 2^−bits."""
    place = np.clip((at - start) / (width / (table.size - 1)), 0.0, table.size - 1.0)
    left = np.minimum(place.astype(np.int64), table.size - 2)
    between = place - left
    value = table[left] + between * (table[left + 1] - table[left])
    result: npt.NDArray[np.int64] = np.rint(value * (1 << bits)).astype(np.int64)
    return result


def _sum(values: Floats) -> float:
    return math.fsum(values.tolist())


@njit(cache=True, nogil=True)
def _products(matrix: Floats, basis: Floats) -> Floats:
    """matrix·basis, each sum from left to right; the columns of the basis side by side."""
    result = np.zeros((matrix.shape[0], basis.shape[1]))
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            for k in range(basis.shape[1]):
                result[i, k] += matrix[i, j] * basis[j, k]
    return result


@njit(cache=True, nogil=True)
def _orthonormal(basis: Floats) -> Floats:
    """Gram–Schmidt, twice, from the left."""
    for k in range(basis.shape[1]):
        for _ in range(2):
            for m in range(k):
                inner = 0.0
                for j in range(basis.shape[0]):
                    inner += basis[j, m] * basis[j, k]
                for j in range(basis.shape[0]):
                    basis[j, k] -= inner * basis[j, m]
        square = 0.0
        for j in range(basis.shape[0]):
            square += basis[j, k] * basis[j, k]
        for j in range(basis.shape[0]):
            basis[j, k] /= math.sqrt(square)
    return basis
