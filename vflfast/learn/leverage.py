"""How far a row is set apart by its own columns: its leverage, the share of its residual that the opened sums give away.

From Zᵀg with the column of ones the owner of Z computes H·g, H = Z(ZᵀZ)⁺Zᵀ, and, linearly, nothing more; h_i = H_ii is the part of row i's
own residual in it. h = 1 is the residual itself, a class of s rows has h ≥ 1/s, and nested columns show in the same number.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numba import njit

from ..crypto.coded import CodedMatrix
from . import linalg
from .checks import Floats, Ints
from .logistic import linear_predictor
from .scaling import Scaling

EXACT_COLUMNS = 500  # beyond, rows are estimated first, and those computed that may be above the limit
SKETCH = 48  # random projections of the estimate: its relative error has a deviation of √(2/SKETCH) = 0.2
MARGIN = 3.0  # rows estimated above limit/MARGIN are computed: 0.2 off three and more times is seen once in 10^4 rows
RIDGE = 1e-9  # on the diagonal of correlations: dependent columns, such as all levels of a category, then do no harm
CHUNK_ROWS = 1024
LIMITS = (0.2, 0.5, 0.9)


@dataclass(frozen=True)
class Leverage:
    """Leverages of the rows of one party's columns.

    Attributes
    ----------
    largest
        The largest, from 0 to 1; of more than `EXACT_COLUMNS` columns that of the row estimated highest, where none is above a limit.
    above
        How many rows are above each of `LIMITS`.
    rows
        The rows above the limit that was asked for, highest first.
    """

    largest: float
    above: dict[float, int]
    rows: list[int]

    @property
    def counts(self) -> tuple[int, int, int]:
        """How many rows are above 0.2, 0.5 and 0.9."""
        fifth, half, nine_tenths = (self.above[limit] for limit in LIMITS)
        return fifth, half, nine_tenths


def leverages(matrix: CodedMatrix, limit: float = LIMITS[0]) -> Leverage:
    """Return the leverages of a party's rows against its own columns and the column of ones.

    Parameters
    ----------
    matrix
        Z, n_rows × n_columns; more than `EXACT_COLUMNS` columns are sketched first.
    limit
        Above which rows are wanted by number.

    Notes
    -----
    Exact up to rounding and the ridge, which takes off at most RIDGE over the smallest eigenvalue of the correlations that matters.
    """
    scaling = Scaling(matrix)
    factor = _factor(matrix, scaling)
    if factor is None:
        return Leverage(1.0, dict.fromkeys(LIMITS, matrix.n_rows), list(range(matrix.n_rows)))
    rows = np.arange(matrix.n_rows)
    if matrix.n_columns > EXACT_COLUMNS:
        estimated = _estimated(matrix, scaling, factor)
        rows = np.flatnonzero(estimated > min(limit, LIMITS[0]) / MARGIN)
        rows = np.union1d(rows, estimated.argsort()[-1:])
    found = _exact(matrix, scaling, factor, rows)
    order = np.argsort(-found, kind="stable")
    above = {one: int((found > one).sum()) for one in LIMITS}
    return Leverage(float(found.max()), above, rows[order[found[order] > limit]].tolist())


def reductions(matrix: CodedMatrix, rows: Ints) -> Floats:
    """Return by how much the leverage of each row falls if each column is left out, shape (n_columns, len(rows)).

    With x_i the standardised row and C the correlations, column j takes (C⁻¹x_i)_j²/(n·(C⁻¹)_jj) away.
    """
    scaling = Scaling(matrix)
    factor = _factor(matrix, scaling)
    if factor is None:
        return _standardised(matrix, scaling, rows) ** 2
    columns = _standardised(matrix, scaling, rows)
    linalg.forward(factor, columns)
    inverse = np.eye(matrix.n_columns)
    linalg.forward(factor, inverse)  # L⁻¹, whose columns' squares are the diagonal of C⁻¹
    return np.where(scaling.varies[:, None], linalg.backward(factor, columns) ** 2 / (matrix.n_rows * _squares(inverse)[:, None]), 0.0)


def _factor(matrix: CodedMatrix, scaling: Scaling) -> Floats | None:
    """L of the correlations, 1 for constant columns; None by rounding only: the ridge makes them positive definite."""
    factor = scaling.correlations(matrix)
    factor[np.diag_indices_from(factor)] = np.where(scaling.varies, factor.diagonal() + RIDGE, 1.0)
    return factor if linalg.cholesky(factor) else None


def _exact(matrix: CodedMatrix, scaling: Scaling, factor: Floats, rows: Ints) -> Floats:
    """h_i = 1/n + |L⁻¹x_i|²/n with x_i the standardised row."""
    result = np.empty(len(rows))
    for start in range(0, len(rows), CHUNK_ROWS):
        columns = _standardised(matrix, scaling, rows[start : start + CHUNK_ROWS])
        linalg.forward(factor, columns)
        result[start : start + columns.shape[1]] = _squares(columns)
    return np.minimum((1.0 + result) / matrix.n_rows, 1.0)


def _estimated(matrix: CodedMatrix, scaling: Scaling, factor: Floats) -> Floats:
    """|G·L⁻¹x_i|² for a matrix G of signs, by one table of G·L⁻¹ a feature: no row is expanded."""
    signs = np.where(np.random.default_rng(1).random((matrix.n_columns, SKETCH)) < 0.5, -1.0, 1.0)
    weights = scaling.divide(linalg.backward(factor, signs).T).T  # columns by projections
    squares = np.zeros(matrix.n_rows)
    for one in np.ascontiguousarray(weights.T):
        shift = -linalg.product(one[None, :], scaling.mean)[0]
        squares += linear_predictor(matrix, one, shift) ** 2
    return (1.0 + squares / SKETCH) / matrix.n_rows


def _standardised(matrix: CodedMatrix, scaling: Scaling, rows: Ints) -> Floats:
    """Columns by rows: (z − μ)/s, 0 for constant columns."""
    codes = matrix.codes[:, rows]
    values = matrix.column_values[np.arange(matrix.n_columns)[:, None], codes[matrix.column_features]]
    return scaling.divide((values - scaling.mean[:, None]).T).T.copy()


@njit(cache=True, nogil=True)
def _squares(columns: Floats) -> Floats:
    result = np.zeros(columns.shape[1])
    for j in range(columns.shape[0]):
        for i in range(columns.shape[1]):
            result[i] += columns[j, i] * columns[j, i]
    return result
