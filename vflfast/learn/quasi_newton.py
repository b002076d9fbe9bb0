"""One party's block under L-BFGS: its gradient from opened sums, P by its own correlation matrix, and its share of the steps (lbfgs.py)."""

from __future__ import annotations

import math
from collections.abc import Generator
from typing import Any

import numpy as np

from ..crypto.coded import CodedMatrix
from ..errors import InputError, ModelError
from ..params import MAX_GRAM_COLUMNS
from . import checks
from .checks import Floats
from .lbfgs import Lbfgs
from .logistic import linear_predictor
from .newton import make_newton
from .solver import BlockNewton
from .weights import RowWeights

INTERCEPT_INVERSE = 4.0  # P of the intercept: the loss curves by ¼ at most

Steps = Generator[list[float], list[float], tuple[Floats, float]]


class QuasiNewton(BlockNewton):
    """θ and, at the guest, the intercept, by L-BFGS over all parties' blocks.

    Parameters
    ----------
    matrix, alpha, n_blocks, weights
        As of `BlockNewton`.
    has_intercept
        The guest's block ends with the model's intercept.

    Raises
    ------
    InputError, BoundError
        As `BlockNewton`.
    """

    def __init__(
        self, matrix: CodedMatrix, *, alpha: float, n_blocks: int, weights: RowWeights | None = None, has_intercept: bool = False
    ) -> None:
        super().__init__(matrix, alpha=alpha, n_blocks=n_blocks, weights=weights)
        self._matrix, self._has_intercept = matrix, has_intercept
        self._correlations: Floats | None = None  # kept once a second λ needs them
        self._lbfgs = Lbfgs(self._precondition, self._move)

    def steps(self, theta: Floats, intercept: float, gradient_sums: list[int], residual_sum: int, frac_bits: int) -> Steps:
        """Return (θ, intercept) of the next round. Yields numbers of this party, and is sent their sums over all parties.

        Parameters
        ----------
        theta, gradient_sums, residual_sum, frac_bits
            As of `update`.
        intercept
            The guest's; 0 at a host.

        Raises
        ------
        InputError, BoundError
            Weights beyond float64.
        """
        slope = self.scaling.gradient(gradient_sums, residual_sum, frac_bits, self.scaling.n_rows) + self.alpha * theta
        place = theta
        if self._has_intercept:
            own = residual_sum / (self.scaling.n_rows * self.scaling.unit << (frac_bits + 2))
            slope, place = np.append(slope, own), np.append(theta, intercept)
        found = yield from self._lbfgs.step(place, slope)
        if not np.isfinite(found).all():
            raise InputError("alpha", "the weights exceed the range of float64; a larger penalty is needed")
        return (found[:-1].copy(), float(found[-1])) if self._has_intercept else (found, intercept)

    def penalise(self, alpha: float, scale: float = 1.0) -> None:
        """Take another λ over, of a loss that is `scale` times the old one; pairs go with it, and correlations are computed once.

        Raises
        ------
        InputError
            Dependent columns without a penalty.
        """
        if self._correlations is None and self._matrix.n_columns <= MAX_GRAM_COLUMNS:
            self._correlations = self.scaling.correlations(self._matrix)
        before, self.alpha = self.alpha, checks.number("alpha", alpha, least=0.0)
        self._newton = make_newton(self._matrix, self.scaling, self.alpha, self._block_curvature, self._correlations)
        more = np.full(self.n_columns, self.alpha - before * scale)
        self._lbfgs.penalise(np.append(more, 0.0) if self._has_intercept else more, scale)

    def state(self) -> dict[str, Any]:
        """Return pairs and where the last step began; they belong to a checkpoint."""
        return self._lbfgs.state()

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned; ModelError if it is something else."""
        try:
            self._lbfgs.restore(state, self.n_columns + self._has_intercept)
        except (InputError, TypeError) as error:
            raise ModelError("state", str(error)) from None

    def _precondition(self, vector: Floats) -> Floats:
        if not self._has_intercept:
            return self.newton(vector)
        return np.append(self.newton(vector[:-1]), INTERCEPT_INVERSE * vector[-1])

    def _move(self, vector: Floats) -> float:
        """Root mean square of the change of the own predictor by a change of (θ, intercept)."""
        theta, intercept = (vector[:-1], float(vector[-1])) if self._has_intercept else (vector, 0.0)
        weights, shift = self.coefficients(theta)
        change = linear_predictor(self._matrix, weights, shift + intercept)
        return math.sqrt(math.fsum((change * change).tolist()) / change.size)
