"""Standardised columns by algebra on exact sums: the codes themselves stay small integers.

With S = Σz, Q = Σz², μ = S/n and s = √(Q/n − μ²), the column (z − μ)/s has the gradient (Zᵀg − μ·Σg)/(n·s).
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from ..crypto.coded import CodedMatrix
from ..errors import BoundError
from .checks import Floats
from .logistic import column_square_sums, column_sums, gram


class Scaling:
    """Exact mean μ_j and standard deviation s_j (over n rows) of every column of Z.

    Attributes
    ----------
    n_rows
        n.
    mean, scale
        float64, shape (n_columns,); scale is exactly 0 for a constant column, and only there.
    varies
        bool, shape (n_columns,): columns that are not constant.
    """

    def __init__(self, matrix: CodedMatrix) -> None:
        self.sums = column_sums(matrix)
        self.n_rows = matrix.n_rows
        spread = [self.n_rows * q - s * s for s, q in zip(self.sums.tolist(), column_square_sums(matrix).tolist(), strict=True)]
        self.mean: Floats = self.sums / self.n_rows
        self.scale: Floats = np.array([math.sqrt(v) / self.n_rows for v in spread])
        self.varies = self.scale > 0.0

    def gradient(self, gradient_sums: Sequence[int], residual_sum: int, frac_bits: int, batch_rows: int) -> Floats:
        """(n·G_j − S_j·R)/(4·2^frac_bits·n·m·s_j) with G = Zᵀ(4g), R = Σ4g over m = batch_rows rows; the numerator is exact.

        Raises
        ------
        BoundError
            Beyond float64.
        """
        denominator = self.n_rows * batch_rows << (frac_bits + 2)
        sums = self.sums.tolist()
        try:
            centred = [(self.n_rows * g - s * residual_sum) / denominator for g, s in zip(gradient_sums, sums, strict=True)]
        except OverflowError:
            raise BoundError("gradient_sums", "exceed the range of float64") from None
        return self.divide(np.array(centred))

    def divide(self, values: Floats) -> Floats:
        """values_j / s_j, 0 for constant columns."""
        return np.divide(values, self.scale, out=np.zeros_like(values), where=self.varies)

    def correlations(self, matrix: CodedMatrix) -> Floats:
        """C = standardised Gram matrix / n (n_columns × n_columns); rows and columns of constant columns are 0."""
        result = gram(matrix)
        centre = np.rint(self.mean).astype(np.int64)  # exact integer centring first: what is left to subtract is below n/4
        rest = (self.sums - self.n_rows * centre) / self.n_rows
        for j, row in enumerate(result):
            shifted = row.astype(np.int64) - centre[j] * self.sums - centre * self.sums[j] + self.n_rows * centre[j] * centre
            covariance = shifted / self.n_rows - rest[j] * rest
            row[:] = self.divide(covariance) / self.scale[j] if self.varies[j] else 0.0
        return result
