"""H⁻¹·slope for one party's block, H = κ·C/4 + λI with C the correlations of its columns: the same bits on every machine.

Up to `MAX_GRAM_COLUMNS` columns H is factored once, in the memory of one d × d matrix. Beyond, conjugate gradients see C through the codes
alone: two passes over them a step, and vectors of d and n numbers.
"""

from __future__ import annotations

import logging
import math
from typing import Protocol

import numpy as np

from ..crypto.coded import CodedMatrix
from ..errors import InputError
from ..params import MAX_GRAM_COLUMNS
from . import linalg
from .checks import Floats, Ints
from .logistic import cross_product, largest_value, linear_predictor
from .scaling import Scaling

log = logging.getLogger("vflfast")

STEPS = 500
RESIDUAL = 1e-6  # |slope − H·x| over |slope| at the end: far below what one relaxed step leaves
QUANTISED = 1 << 62  # bound of the sums over rows, as integers
DEPENDENT = "columns are linearly dependent, a larger penalty is needed"


class Newton(Protocol):
    """Solves with H."""

    def solve(self, slope: Floats) -> Floats:
        """Return H⁻¹·slope, 0 for constant columns."""


def make_newton(matrix: CodedMatrix, scaling: Scaling, alpha: float, curvature: float, correlations: Floats | None = None) -> Newton:
    """Return the solver for a block of this many columns; InputError for dependent columns without a penalty.

    `correlations`, where they are at hand for several penalties, are left as they are.
    """
    if matrix.n_columns > MAX_GRAM_COLUMNS:
        return Iterated(Correlations(matrix, scaling), alpha, curvature)
    return Factored(scaling.correlations(matrix) if correlations is None else correlations.copy(), scaling, alpha, curvature)


class Factored:
    """H = L·Lᵀ; `correlations` is overwritten; InputError for dependent columns without a penalty."""

    def __init__(self, correlations: Floats, scaling: Scaling, alpha: float, curvature: float) -> None:
        hessian = np.multiply(correlations, 0.25 * curvature, out=correlations)
        diagonal = np.where(scaling.varies, hessian.diagonal() + alpha, 1.0)
        np.fill_diagonal(hessian, diagonal)
        if not linalg.cholesky(hessian):
            raise InputError("alpha", DEPENDENT)
        self._lower = hessian
        if float(self._lower.diagonal().min()) ** 2 <= 8.0 * diagonal.size * np.finfo(np.float64).eps * float(diagonal.max()):
            raise InputError("alpha", DEPENDENT)

    def solve(self, slope: Floats) -> Floats:
        """Return H⁻¹·slope."""
        return linalg.solve(self._lower, slope.copy())


class Correlations:
    """v ↦ C·v from the codes: with t = Z·(v/s) − μ·(v/s), (C·v)_j = Σ_i a_i·(z_ij − μ_j)·t_i / (Σa·s_j)."""

    def __init__(self, matrix: CodedMatrix, scaling: Scaling) -> None:
        self.matrix, self.scaling = matrix, scaling
        self._largest = max(largest_value(matrix), 1)

    def times(self, vector: Floats) -> Floats:
        """Return C·v; sums over the rows are of integers, so no order of them shows."""
        weights = self.scaling.divide(vector)
        image = linear_predictor(self.matrix, weights, -math.fsum(weights * self.scaling.mean))
        if self.scaling.row_weights is not None:
            image = image * self.scaling.row_weights
        whole, shift = self._quantised(image)
        sums = np.ldexp(cross_product(self.matrix, whole).astype(np.float64), -shift)
        total = math.ldexp(int(whole.sum()), -shift)
        return self.scaling.divide((sums - self.scaling.mean * total) / self.scaling.total)

    def _quantised(self, image: Floats) -> tuple[Ints, int]:
        """Return image·2^shift as integers, as finely as their sums against the columns fit int64, and the shift."""
        peak = float(np.abs(image).max())
        if peak == 0.0:
            return np.zeros(image.size, dtype=np.int64), 0
        room = QUANTISED // (self._largest * image.size)
        shift = math.frexp(room)[1] - 1 - math.frexp(peak)[1]
        return np.rint(np.ldexp(image, shift)).astype(np.int64), shift


class Iterated:
    """Conjugate gradients on H; scalar products are summed exactly."""

    def __init__(self, correlations: Correlations, alpha: float, curvature: float) -> None:
        self._correlations, self._alpha, self._scale = correlations, alpha, 0.25 * curvature

    def solve(self, slope: Floats) -> Floats:
        """Return H⁻¹·slope up to `RESIDUAL`; after `STEPS` steps what there is, with a warning."""
        result, residual, direction = np.zeros_like(slope), slope.copy(), slope.copy()
        square = first = math.fsum(slope * slope)
        for _ in range(STEPS):
            if square <= RESIDUAL**2 * first:
                return result
            image = self._scale * self._correlations.times(direction) + self._alpha * direction
            bend = math.fsum(direction * image)
            if not bend > 0.0:  # only without a penalty: what is left of the slope lies where H is 0
                return result
            length = square / bend
            result += length * direction
            residual -= length * image
            before, square = square, math.fsum(residual * residual)
            direction = residual + (square / before) * direction
        log.warning("solver: %d steps leave %.1e of the slope; a larger alpha takes fewer", STEPS, math.sqrt(square / first))
        return result
