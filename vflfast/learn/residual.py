"""The logistic residual as a sum of products: σ(u′ + u″) − y ≈ c₀(u′) − y + Σ_k c_k(u′)·φ_k(u″), with K functions φ of the host's half.

The guest knows u′ of every row and may multiply a ciphertext by integers of its own. So any residual of this form costs K encrypted columns
[[φ_k(u″)]] of the host, K plaintext factors a row of the guest, and no message besides. σ(a + b) is very nearly such a sum.

Both sides make the same tables from the agreed centre m and scale s of either half, in a fixed order of operations, so that they have the
same bits on every machine. Either half has points, b = m ± max(6, 6s) of the host and a = m ± max(12, 6s) of the guest, and with its
z = (x − m)/s the weight e^(−z²/2) + 0.03·e^(−|z|/2), which is that of a normal half with heavier tails.

* φ_1 … φ_K are the first left singular functions of σ(a + b) in the weighted inner product of both halves, once the constant function of
  b, which needs no column, is taken out: by power iteration from polynomials in z, one after the other, until what they leave of σ(a + b)
  has a weighted root mean square of at most `ERROR`. So K follows from both scales: 4 where both are 1, 6 at (1, 2).
* c_0 … c_K at a point a are the weighted least squares of σ(a + ·) on 1, φ_1 … φ_K: sums, because these are orthonormal. Where the sum
  would leave [−1, 2] at some b, c_1 … c_K are made smaller until it does not: far from the centre, where few rows are. So the residual's
  bound holds for any two halves, whatever their scales.

The log loss log(1 + e^(−y·u)) of rows held out (penalty.py) comes from such columns too: d_0 … d_K are its weighted least squares on
1, φ_1 … φ_K, for either label. In a round that judges, φ are the leading functions of σ(a + b) and, at `LOSS_SHARE` of its size, of both
losses: one column more as a rule, and an error of the mean loss near 10⁻⁴, where those of σ alone leave up to a tenth.

σ′(u′ + u″), for standard errors (learn/inference.py), comes from the same φ by its own least squares, with fewer binary places.

Between points all are linear; beyond the ends they stay as they are there. φ_k has `PHI_BITS` binary places after it is scaled to
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
from .elementary import exp, softplus
from .logistic import sigmoid

ERROR = 1.5e-3  # weighted root mean square of what K columns leave of σ(a + b)
MOST_COLUMNS = 16
LOWEST, HIGHEST = -1.0, 2.0  # of c_0 + Σ c_k·φ_k, before rounding
LOSS_SHARE = 0.1  # of the loss beside σ where functions serve both
LARGEST_LOSS = 1000.0  # of a row, and of what its sum of columns can be in magnitude
A_POINTS, A_END = 601, 12.0
B_POINTS, B_END = 801, 6.0
ENDS = 6.0  # in scales, where that is more
PHI_BITS, FACTOR_BITS = 12, 10
RESIDUAL_BITS = PHI_BITS + FACTOR_BITS
BOUND = 9 << (RESIDUAL_BITS - 2)  # of the residual in whole steps of 2^-RESIDUAL_BITS: 2, and ¼ for the rounding of K factors and columns
CURVATURE_PHI_BITS, CURVATURE_BITS = 10, 18  # binary places of φ and of σ′ where σ′ is summed (learn/inference.py)
LARGEST_CURVATURE = 0.5  # of a row, and of what its sum of columns can be in magnitude; σ′ itself is at most ¼
LEAST_SCALE, LARGEST_SCALE = 1 / 16, 4.0  # of u″; above, the residual is not to be trusted
MAX_CENTRE = 1024.0
ITERATIONS = 4
KEPT_TABLES = 8

Range = tuple[float, float]  # centre and scale of a half


@dataclass(frozen=True)
class Tables:
    """φ on the points of the host's half, shape (K, B_POINTS), within [−1, 1]; c on those of the guest's, (K + 1, A_POINTS), c_0 first."""

    guest: Range
    host: Range
    phi: Floats
    factors: Floats

    def columns(self, half: Floats, bits: int = PHI_BITS) -> Ints:
        """Return φ_k of the host's half with so many binary places, shape (K, n_rows)."""
        centre, scale = self.host
        return np.stack([_interpolated(row, half, centre, host_end(scale), bits) for row in self.phi])

    def multipliers(self, half: Floats) -> tuple[Ints, Ints]:
        """Return c_0 with `RESIDUAL_BITS`, shape (n_rows,), and c_1 … c_K with `FACTOR_BITS` binary places, shape (K, n_rows)."""
        (centre, scale), (constant, *others) = self.guest, self.factors
        first = _interpolated(constant, half, centre, guest_end(scale), RESIDUAL_BITS)
        return first, np.stack([_interpolated(row, half, centre, guest_end(scale), FACTOR_BITS) for row in others])

    def loss_multipliers(self, half: Floats, labels: npt.NDArray[np.int8]) -> tuple[Ints, Ints]:
        """Return d_0 with `RESIDUAL_BITS`, shape (n_rows,), and d_1 … d_K with `FACTOR_BITS` binary places, shape (K, n_rows)."""
        centre, scale = self.guest
        bits = [RESIDUAL_BITS, *[FACTOR_BITS] * len(self.phi)]
        by_label = [
            [_interpolated(row, half, centre, guest_end(scale), places) for row, places in zip(table, bits, strict=True)]
            for table in _loss_factors(self.guest, self.host)
        ]
        constant, *others = (np.where(labels > 0, positive, negative) for positive, negative in zip(*by_label, strict=True))
        return constant, np.stack(others)

    def curvature_multipliers(self, half: Floats) -> tuple[Ints, Ints]:
        """Return what σ′(u′ + u″) is made of: a constant with `CURVATURE_BITS`, shape (n_rows,), and factors, shape (K, n_rows)."""
        centre, scale = self.guest
        constant, *others = _curvature_factors(self.guest, self.host)
        first = _interpolated(constant, half, centre, guest_end(scale), CURVATURE_BITS)
        bits = CURVATURE_BITS - CURVATURE_PHI_BITS
        return first, np.stack([_interpolated(row, half, centre, guest_end(scale), bits) for row in others])


def agreed_range(half: Floats, bound: float | None = None) -> Range:
    """Return the centre and scale of a host's half.

    With a `bound`, in a run that searches for λ, any scale is told, and one that is too large of a half beyond the bound. Such a half
    ends the search or the run (block.py), and until then counts as one that varies less (`within`).

    Raises
    ------
    BoundError
        It varies too much for the residual to be trusted.
    """
    mean, scale = _moments(half)
    if bound is not None:
        return agreed_centre(mean, scale), _told(half, scale, bound)
    if scale > LARGEST_SCALE:
        raise BoundError(
            "alpha", f"a host's half has a standard deviation above {LARGEST_SCALE:g}; the logistic residual cannot be trusted there. "
            "A larger alpha keeps it smaller, and alpha = \"search\" finds one; residual = \"taylor\" has no such limit"
        )  # fmt: skip
    return agreed_centre(mean, scale), scale


def guest_range(half: Floats, bound: float | None = None) -> Range:
    """Return the centre and scale of the guest's half, which may vary as it likes: c_k are exact in u′; `bound` as of `agreed_range`."""
    mean, scale = _moments(half)
    scale = min(scale, LARGEST_SCALE)
    return agreed_centre(mean, scale), _told(half, scale, bound)


def _told(half: Floats, scale: float, bound: float | None) -> float:
    """The scale, or where the half goes beyond the bound one that is too large."""
    return scale if bound is None or float(np.abs(half).max()) <= bound else max(scale, 2 * LARGEST_SCALE)


def guest_end(scale: float) -> float:
    """Return how far the points of the guest's half reach from its centre."""
    return max(A_END, ENDS * scale)


def host_end(scale: float) -> float:
    """Return how far the points of the host's half reach from its centre."""
    return max(B_END, ENDS * scale)


def _moments(half: Floats) -> tuple[float, float]:
    """The mean, and the agreed scale of the deviation."""
    mean = math.fsum(half.tolist()) / half.size
    spread = half - mean
    return mean, agreed_scale(math.sqrt(math.fsum((spread * spread).tolist()) / half.size))


def within(half: Range) -> Range:
    """Return the range that the tables are made for: no scale above the largest that can be trusted."""
    return half[0], min(half[1], LARGEST_SCALE)


def is_agreed(centre: float, scale: float, *, tolerant: bool = False) -> bool:
    """Return whether a centre and a scale are ones that `agreed_range` and `guest_range` give."""
    known = LEAST_SCALE <= scale <= (MAX_CENTRE if tolerant else LARGEST_SCALE) and agreed_scale(scale) == scale
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


@lru_cache(maxsize=KEPT_TABLES)
def tables(guest: Range, host: Range, *, judging: bool = False) -> Tables:
    """Return the tables of the agreed ranges of both halves; `judging`: of a round that sums the loss of rows, too."""
    a_weight, a = _points(A_POINTS, guest, guest_end(guest[1]))
    b_weight, b = _points(B_POINTS, host, host_end(host[1]))
    root = np.sqrt(b_weight)
    values = sigmoid((a[:, None] + b[None, :]).ravel()).reshape(A_POINTS, B_POINTS)
    mean = _product(b_weight, values.T.copy())  # σ(a + ·) on the constant function
    centred = (values - mean[:, None]) * root
    rows = np.sqrt(a_weight)[:, None]
    losses = [LOSS_SHARE * _centred(loss, b_weight) * root * rows for loss in _losses(a, b)] if judging else []
    basis = _leading(np.vstack([centred * rows, *losses]), root)
    across = centred.T.copy()
    largest = np.abs(basis / root).max(axis=1)
    phi = basis / root / largest[:, None]
    factors = np.stack([_product(row, across) * most for row, most in zip(basis, largest, strict=True)])
    return Tables(guest, host, phi, np.vstack([mean, factors * _held(mean, factors, phi, LOWEST, HIGHEST)]))


@lru_cache(maxsize=KEPT_TABLES)
def _loss_factors(guest: Range, host: Range) -> tuple[Floats, ...]:
    """Return d on the guest's points for label 1 and for −1, shape (K + 1, A_POINTS) each."""
    return tuple(_projected(loss, guest, host, -LARGEST_LOSS, LARGEST_LOSS, judging=True) for loss in _losses(*_axes(guest, host)))


@lru_cache(maxsize=KEPT_TABLES)
def _curvature_factors(guest: Range, host: Range) -> Floats:
    """Return those of σ′ = σ(1 − σ), shape (K + 1, A_POINTS)."""
    a, b = _axes(guest, host)
    chance = sigmoid((a[:, None] + b[None, :]).ravel()).reshape(A_POINTS, B_POINTS)
    return _projected(chance * (1.0 - chance), guest, host, -LARGEST_CURVATURE, LARGEST_CURVATURE, judging=False)


def _projected(values: Floats, guest: Range, host: Range, lowest: float, highest: float, *, judging: bool) -> Floats:
    """The weighted least squares of a function of both halves on 1, φ_1 … φ_K at each of the guest's points, within two ends."""
    phi = tables(guest, host, judging=judging).phi
    weight, _ = _points(B_POINTS, host, host_end(host[1]))
    across = values.T.copy()
    mean = np.minimum(_product(weight, across), highest)
    factors = np.stack([_product(weight * row, across) / _inner(weight * row, row) for row in phi])
    return np.vstack([mean, factors * _held(mean, factors, phi, lowest, highest)])


def _axes(guest: Range, host: Range) -> tuple[Floats, Floats]:
    return _points(A_POINTS, guest, guest_end(guest[1]))[1], _points(B_POINTS, host, host_end(host[1]))[1]


def _losses(a: Floats, b: Floats) -> list[Floats]:
    """log(1 + e^(−y(a + b))) of label 1, then of −1, on all pairs of points."""
    return [softplus((sign * (a[:, None] + b[None, :])).ravel()).reshape(A_POINTS, B_POINTS) for sign in (-1.0, 1.0)]


def _centred(values: Floats, weight: Floats) -> Floats:
    return np.asarray(values - _product(weight, values.T.copy())[:, None])


def _points(count: int, half: Range, end: float) -> tuple[Floats, Floats]:
    """The points of a half, and their weights, of sum 1; the weights first."""
    centre, scale = half
    beside = np.linspace(-end, end, count)
    z = beside / scale
    weight = usual_weight(z)
    return weight / math.fsum(weight.tolist()), centre + beside


def usual_weight(z: Floats) -> Floats:
    """Return e^(−z²/2) + 0.03·e^(−|z|/2): how often rows of a half are z deviations from its centre, tails heavier than normal ones."""
    weight: Floats = exp(-z * z / 2) + 0.03 * exp(-np.abs(z) / 2)
    return weight


def _leading(weighted: Floats, root: Floats) -> Floats:
    """The first right singular vectors of a matrix as rows, as many as leave at most `ERROR` of it, by power iteration."""
    across = weighted.T.copy()
    left = float((weighted * weighted).ravel().cumsum()[-1])
    start, basis = root, np.empty((0, root.size))
    while len(basis) < MOST_COLUMNS and (left > ERROR * ERROR or not len(basis)):
        start = start * np.linspace(-1.0, 1.0, root.size)
        vector = _orthonormal(start, basis)
        for _ in range(ITERATIONS):
            image = _product(_product(vector, across), weighted)
            vector = _orthonormal(image, basis) if image.any() else vector  # far from 0, σ is constant
        image = _product(vector, across)
        left -= _inner(image, image)
        basis = np.vstack([basis, vector])
    return basis


def _held(mean: Floats, factors: Floats, phi: Floats, lowest: float, highest: float) -> Floats:
    """What the factors at each point a are multiplied by, at most 1, so that c_0 + Σ c_k·φ_k stays in [lowest, highest]."""
    beside = np.zeros((mean.size, phi.shape[1]))
    for row, function in zip(factors, phi, strict=True):
        beside += row[:, None] * function[None, :]
    above, below = beside.max(axis=1), -beside.min(axis=1)  # both at least 0: of mean 0
    tiny = np.finfo(np.float64).tiny
    share: Floats = np.minimum(1.0, np.minimum((highest - mean) / np.maximum(above, tiny), (mean - lowest) / np.maximum(below, tiny)))
    return share


def _interpolated(table: Floats, at: Floats, centre: float, end: float, bits: int) -> Ints:
    """The table's value between its points, in whole steps of 2^−bits."""
    place = np.clip((at - (centre - end)) / (2 * end / (table.size - 1)), 0.0, table.size - 1.0)
    left = np.minimum(place.astype(np.int64), table.size - 2)
    between = place - left
    value = table[left] + between * (table[left + 1] - table[left])
    result: npt.NDArray[np.int64] = np.rint(value * (1 << bits)).astype(np.int64)
    return result


def _orthonormal(vector: Floats, basis: Floats) -> Floats:
    """The vector's part orthogonal to the rows of the basis, by Gram–Schmidt twice, of length 1."""
    for _ in range(2):
        for row in basis:
            vector = vector - _inner(row, vector) * row
    return vector / math.sqrt(_inner(vector, vector))


def _inner(left: Floats, right: Floats) -> float:
    return math.fsum((left * right).tolist())


@njit(cache=True, nogil=True)
def _product(vector: Floats, matrix: Floats) -> Floats:
    """vector·matrix, every sum from the first row to the last."""
    result = np.zeros(matrix.shape[1])
    for i in range(matrix.shape[0]):
        for j in range(matrix.shape[1]):
            result[j] += vector[i] * matrix[i, j]
    return result
