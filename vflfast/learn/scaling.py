"""Standardised columns by algebra on exact sums: the codes themselves stay small integers.

With S = Σz, Q = Σz², μ = S/n and s = √(Q/n − μ²), the column (z − μ)/s has the gradient (Zᵀg − μ·Σg)/(n·s).
Weights a of the rows, where they are known, move the centre to μ = Σaz/Σa; s stays, so that the penalty is the same for all parties.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..crypto.coded import CodedMatrix
from ..errors import BoundError
from .checks import Floats, Ints
from .logistic import column_square_sums, column_sums, cross_product, gram


class Scaling:
    """Exact mean μ_j and standard deviation s_j (over n rows) of every column of Z.

    Attributes
    ----------
    n_rows, total
        n, and the sum of the weights, n without.
    unit
        The weight that counts as 1.
    row_weights
        a, where they are known, else None.
    mean, scale
        float64, shape (n_columns,); scale is exactly 0 for a constant column, and only there.
    varies
        bool, shape (n_columns,): columns that are not constant.
    """

    def __init__(self, matrix: CodedMatrix, row_weights: Ints | None = None, unit: int = 1) -> None:
        self.sums, self.n_rows = column_sums(matrix), matrix.n_rows
        spread = [self.n_rows * q - s * s for s, q in zip(self.sums.tolist(), column_square_sums(matrix).tolist(), strict=True)]
        self.total, self.unit, self.row_weights = self.n_rows, unit, row_weights
        if row_weights is not None:
            self.sums, self.total = cross_product(matrix, row_weights), int(row_weights.sum())
        self.mean: Floats = self.sums / self.total
        self.scale: Floats = np.array([math.sqrt(v) / self.n_rows for v in spread])
        self.varies = self.scale > 0.0

    def gradient(self, gradient_sums: Sequence[int], residual_sum: int, frac_bits: int, batch_rows: int) -> Floats:
        """(A·G_j − S_j·R)/(4·2^frac_bits·unit·A·m·s_j) with G = Zᵀ(4g), R = Σ4g over m = batch_rows rows, A = `total`, exact above.

        Raises
        ------
        BoundError
            Beyond float64.
        """
        denominator = self.total * batch_rows * self.unit << (frac_bits + 2)
        sums = self.sums.tolist()
        try:
            centred = [(self.total * g - s * residual_sum) / denominator for g, s in zip(gradient_sums, sums, strict=True)]
        except OverflowError:
            raise BoundError("gradient_sums", "exceed the range of float64") from None
        return self.divide(np.array(centred))

    def divide(self, values: Floats) -> Floats:
        """values_j / s_j, 0 for constant columns."""
        return np.divide(values, self.scale, out=np.zeros_like(values), where=self.varies)

    def correlations(self, matrix: CodedMatrix) -> Floats:
        """C = standardised (weighted) Gram matrix / `total` (n_columns × n_columns); rows and columns of constant columns are 0."""
        result = gram(matrix, self.row_weights)
        centre = np.rint(self.mean).astype(np.int64)  # exact integer centring first: what is left to subtract is below total/4
        rest = (self.sums - self.total * centre) / self.total
        for j, row in enumerate(result):
            shifted = row.astype(np.int64) - centre[j] * self.sums - centre * self.sums[j] + self.total * centre[j] * centre
            covariance = shifted / self.total - rest[j] * rest
            row[:] = self.divide(covariance) / self.scale[j] if self.varies[j] else 0.0
        return result
