"""Updates of one party's own block of weights, from its opened gradient and its own Gram matrix.

A model is held as θ on standardised columns (scaling.py); a constant column keeps θ = 0.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto.coded import CodedMatrix
from ..errors import BoundError, InputError, ModelError
from ..params import MAX_GRADIENT_BITS, MAX_GRAM_COLUMNS, MIN_ALPHA, RELAXATION
from . import checks, linalg
from .checks import Floats
from .logistic import cross_product
from .newton import Correlations, make_newton
from .scaling import Scaling
from .weights import MARGIN, RowWeights

LOCAL_START_SCALE = 0.5  # the marginal models of the parties overlap ([0066], [0067])
POWER_ITERATIONS = 200
POWER_TOLERANCE = 1e-4  # relative; the step 1/L stays stable while L is underestimated by less than half


def auto_alpha(n_total_columns: int, n_rows: int) -> float:
    """λ = max(10⁻³, columns of all parties / training rows), on standardised columns (protocol §3)."""
    columns = checks.count("n_total_columns", n_total_columns)
    return max(MIN_ALPHA, columns / checks.count("n_rows", n_rows))


# --- the two solvers ---------------------------------------------------------------------------------------------


class BlockSolver(ABC):
    """What both solvers share: scaling, penalty, and the way from θ to weights."""

    def __init__(self, matrix: CodedMatrix, alpha: float, n_blocks: int, weights: RowWeights | None = None) -> None:
        self.alpha = checks.number("alpha", alpha, least=0.0)
        self.n_blocks = checks.count("n_blocks", n_blocks)
        self.weights = weights
        own, unit = (None, 1) if weights is None else (weights.own, weights.unit)
        self.scaling = Scaling(checks.coded("matrix", matrix), own, unit)
        self.intercept_relaxation = 1.0  # centred columns free the intercept of them; weights that hosts do not know bind it again

    @property
    def n_columns(self) -> int:
        """Number of weights of the block."""
        return int(self.scaling.scale.size)

    def update(
        self, theta: npt.ArrayLike, gradient_sums: npt.ArrayLike, residual_sum: int, frac_bits: int, batch_rows: int | None = None
    ) -> Floats:
        """Return the next θ from the opened gradient ([0107], [0108], [0116], [0119]).

        Parameters
        ----------
        theta
            Standardised coefficients, shape (n_columns,).
        gradient_sums
            Zᵀ(4g)·2^frac_bits, integers of any size, shape (n_columns,).
        residual_sum
            Σ(4g)·2^frac_bits.
        frac_bits
            Binary places, 0..128.
        batch_rows
            Rows that the sums run over; default all of the matrix.

        Returns
        -------
        float64, shape (n_columns,)

        Raises
        ------
        InputError
            Wrong type, length, NaN or infinity.
        BoundError
            A gradient or a new θ that float64 cannot hold.
        """
        now = np.where(self.scaling.varies, checks.floats("theta", theta, self.n_columns), 0.0)
        opened = checks.integers("gradient_sums", gradient_sums, self.n_columns)
        total = checks.integers("residual_sum", [residual_sum], 1)[0]
        bits = checks.fraction_bits("frac_bits", frac_bits, MAX_GRADIENT_BITS)
        slope = self.scaling.gradient(opened, total, bits, self._batch(batch_rows))
        with np.errstate(over="ignore", invalid="ignore"):
            result = self._step(now, slope + self.alpha * now)
        if not np.isfinite(result).all():
            raise BoundError("gradient_sums", "the updated coefficients exceed the range of float64")
        return result

    def coefficients(self, theta: npt.ArrayLike) -> tuple[Floats, float]:
        """Return w_j = θ_j/s_j and the shift −Σ w_j·μ_j, so that the predictor is Z·w + shift.

        Raises
        ------
        InputError
            θ of wrong length, NaN or infinite.
        """
        weights = self.scaling.divide(checks.floats("theta", theta, self.n_columns))
        return weights, -math.fsum(weights * self.scaling.mean)

    def standardised(self, weights: npt.ArrayLike, intercept: float) -> tuple[Floats, float]:
        """θ_j = w_j·s_j and the intercept without the shift: what `coefficients` makes weights and intercept of; constant columns give 0.

        Raises
        ------
        InputError
            Weights of wrong length, NaN or infinite.
        """
        theta = checks.floats("weights", weights, self.n_columns) * self.scaling.scale
        return theta, checks.number("intercept", intercept) - self.coefficients(theta)[1]

    def intercept_step(self, residual_sum: int, frac_bits: int, batch_rows: int | None = None) -> float:
        """−4·Σg/m, the Newton step of the intercept, which centred columns decouple; from Σ(4g)·2^frac_bits over m = batch_rows rows.

        With weights of the rows m is their sum; it is the step of this block alone, to be taken `intercept_relaxation` times.

        Raises
        ------
        BoundError
            Beyond float64.
        """
        total = checks.integers("residual_sum", [residual_sum], 1)[0]
        try:
            return -total / (self._mass(batch_rows) << checks.fraction_bits("frac_bits", frac_bits, MAX_GRADIENT_BITS))
        except OverflowError:
            raise BoundError("residual_sum", "exceeds the range of float64") from None

    def _batch(self, batch_rows: int | None) -> int:
        return self.scaling.n_rows if batch_rows is None else checks.count("batch_rows", batch_rows, most=self.scaling.n_rows)

    def _mass(self, batch_rows: int | None) -> int:
        rows = self._batch(batch_rows)
        return rows if self.weights is None else self.scaling.total

    def _curvature(self, unknown: float) -> float:
        """What multiplies C in the block's Hessian: the mean weight where weights are known, else `unknown`, at least 1 (weights.py)."""
        if self.weights is None:
            return 1.0
        if self.weights.own is not None:
            return self.scaling.total / (self.scaling.n_rows * self.scaling.unit)
        return max(1.0, unknown * self.weights.largest)

    def state(self) -> dict[str, list[float]]:
        """Return what the next update needs besides θ; it belongs to a checkpoint."""
        return {}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned; ModelError if it is something else."""
        if not isinstance(state, dict) or state:
            raise ModelError("state", "this solver keeps none")

    @abstractmethod
    def _step(self, theta: Floats, slope: Floats) -> Floats:
        """Return the next θ from the slope of the penalised loss."""


class BlockNewton(BlockSolver):
    """θ ← θ − ω·H⁻¹·(grad + λθ) with H = C/4 + λI of the party's own block, factored once or solved by steps (newton.py; protocol §3).

    The joint Hessian preconditioned by the blocks has its eigenvalues in (0, n_blocks], so every 0 < ω < 2/n_blocks
    converges, whatever the correlation between the parties' columns.

    Parameters
    ----------
    matrix
        The party's own Z on the training rows.
    alpha
        λ ≥ 0, penalty on standardised coefficients.
    n_blocks
        Number of parties that hold columns.
    omega
        Relaxation, 0 < ω < 2/n_blocks; default min(1, RELAXATION/n_blocks).
    weights
        Of the rows (weights.py); None: all 1.

    Raises
    ------
    InputError
        Setting out of range; linearly dependent columns without a penalty.
    BoundError
        Column values too large for an exact Gram matrix.
    """

    def __init__(
        self, matrix: CodedMatrix, *, alpha: float, n_blocks: int, omega: float | None = None, weights: RowWeights | None = None
    ) -> None:
        super().__init__(matrix, alpha, n_blocks, weights)
        self.omega = min(1.0, RELAXATION / self.n_blocks) if omega is None else checks.number("omega", omega, above=0.0)
        if self.omega * self.n_blocks >= 2.0:
            raise InputError("omega", f"must be below 2/n_blocks = {2.0 / self.n_blocks:g}, else the rounds may diverge")
        if weights is not None:
            self.intercept_relaxation = self.omega
        self._block_curvature = self._curvature(self.omega * self.n_blocks / MARGIN)
        self._newton = make_newton(matrix, self.scaling, self.alpha, self._block_curvature)

    def newton(self, slope: Floats) -> Floats:
        """H⁻¹·slope."""
        return self._newton.solve(slope)

    def _step(self, theta: Floats, slope: Floats) -> Floats:
        return theta - self.omega * self.newton(slope)


class GradientDescent(BlockSolver):
    """v ← m·v − η·(grad + λθ), θ ← θ + v: the patent's update on standardised columns ([0107], [0108]).

    Parameters
    ----------
    matrix
        The party's own Z on the training rows.
    alpha
        λ ≥ 0, penalty on standardised coefficients.
    n_blocks
        Number of parties that hold columns.
    step
        η > 0, or "auto" for 1/L with L = n_blocks·λ_max(C/4) + alpha.
    momentum
        0 ≤ m < 1.
    weights
        Of the rows (weights.py); None: all 1.

    Raises
    ------
    InputError
        Setting out of range.
    BoundError
        Column values too large for an exact Gram matrix.
    """

    def __init__(
        self, matrix: CodedMatrix, *, alpha: float, n_blocks: int, step: float | str = "auto", momentum: float = 0.0,
        weights: RowWeights | None = None,
    ) -> None:  # fmt: skip
        super().__init__(matrix, alpha, n_blocks, weights)
        if weights is not None:
            self.intercept_relaxation = 1.0 / self.n_blocks
        self.momentum = checks.number("momentum", momentum, least=0.0)
        if self.momentum >= 1.0:
            raise InputError("momentum", "must be below 1")
        if isinstance(step, str) and step != "auto":
            raise InputError("step", 'must be "auto" or a number above 0')
        self.step = self._auto_step(matrix) if isinstance(step, str) else checks.number("step", step, above=0.0)
        self._velocity = np.zeros(self.n_columns)

    def state(self) -> dict[str, list[float]]:
        """Return the velocity; it belongs to a checkpoint."""
        return {"velocity": self._velocity.tolist()}

    def restore(self, state: dict[str, Any]) -> None:
        """Take back what `state` returned; ModelError if it is something else."""
        if not isinstance(state, dict) or set(state) != {"velocity"}:
            raise ModelError("state", "must hold velocity and nothing else")
        try:
            self._velocity = checks.floats("velocity", state["velocity"], self.n_columns).copy()
        except InputError as error:
            raise ModelError(error.argument, error.problem) from None

    def _step(self, theta: Floats, slope: Floats) -> Floats:
        velocity = self.momentum * self._velocity - self.step * slope
        if np.isfinite(velocity).all():  # a refused update leaves the state as it was
            self._velocity = velocity
        return theta + velocity

    def _auto_step(self, matrix: CodedMatrix) -> float:
        wide = matrix.n_columns > MAX_GRAM_COLUMNS
        largest = largest_eigenvalue(Correlations(matrix, self.scaling) if wide else self.scaling.correlations(matrix))
        curvature = self.n_blocks * self._curvature(1.0) * largest / 4.0 + self.alpha
        if curvature == 0.0:
            raise InputError("step", "needs a number: every column is constant and alpha is 0")
        return 1.0 / curvature


# --- models of one party, and of all -----------------------------------------------------------------------------


def local_start(solver: BlockSolver, matrix: CodedMatrix, y: npt.ArrayLike) -> tuple[Floats, float]:
    """Half of the minimiser of the Taylor loss + λ|θ|²/2 on the own block, and the intercept 2·mean(y) ([0066], [0067]).

    θ is halved because the parties' marginal models overlap; the intercept is not, only the guest holds one.

    Parameters
    ----------
    solver
        Solver of the block; its scaling and alpha are used.
    matrix
        The matrix that the solver was made from.
    y
        Labels −1/+1, shape (n_rows,).

    Returns
    -------
    (θ float64 of shape (n_columns,), intercept)

    Raises
    ------
    InputError
        Labels outside the coding or of one class only; another matrix than the solver's.
    """
    if not isinstance(solver, BlockSolver):
        raise InputError("solver", f"must be a BlockSolver, not {type(solver).__name__}")
    if (checks.coded("matrix", matrix).n_rows, matrix.n_columns) != (solver.scaling.n_rows, solver.n_columns):
        raise InputError("matrix", f"shape {matrix.shape} differs from the solver's")
    theta, intercept = _taylor_minimum(solver, matrix, y)
    return LOCAL_START_SCALE * theta, intercept


def taylor_optimum(
    matrices: Sequence[CodedMatrix], y: npt.ArrayLike, alpha: float, row_weights: RowWeights | None = None
) -> tuple[list[Floats], float]:
    """Joint minimiser of the Taylor loss + λ|θ|²/2 over all blocks: the model that the rounds converge to ([0133]).

    Parameters
    ----------
    matrices
        One Z per party, on the same rows.
    y
        Labels −1/+1, shape (n_rows,).
    alpha
        λ ≥ 0, penalty on standardised coefficients.
    row_weights
        Known weights of the rows; None: all 1.

    Returns
    -------
    (weights of each matrix, intercept), so that u = Σ_k Z_k·w_k + intercept

    Raises
    ------
    InputError
        No matrices, differing row counts, bad labels, dependent columns without a penalty.
    """
    joint = _side_by_side(matrices)
    solver = BlockNewton(joint, alpha=alpha, n_blocks=1, weights=row_weights)
    theta, intercept = _taylor_minimum(solver, joint, y)
    weights, shift = solver.coefficients(theta)
    return np.split(weights, np.cumsum([part.n_columns for part in matrices])[:-1]), intercept + shift


def _taylor_minimum(solver: BlockSolver, matrix: CodedMatrix, y: npt.ArrayLike) -> tuple[Floats, float]:
    """One full Newton step from zero, where 4g = −2y."""
    signs = checks.labels("y", y, matrix.n_rows).astype(np.int64)
    weights = solver.weights
    newton = solver
    if not isinstance(newton, BlockNewton):
        newton = BlockNewton(matrix, alpha=solver.alpha, n_blocks=solver.n_blocks, weights=weights)
    residual = -2 * signs * (weights.unit if weights is not None else 1)
    if weights is not None and weights.own is not None:
        residual = -2 * signs * weights.own
    slope = solver.scaling.gradient(cross_product(matrix, residual).tolist(), int(residual.sum()), 0, matrix.n_rows)
    return -newton.newton(slope), solver.intercept_step(int(residual.sum()), 0)


def _side_by_side(matrices: Sequence[CodedMatrix]) -> CodedMatrix:
    if not isinstance(matrices, list | tuple) or not matrices:
        raise InputError("matrices", "must be a list with at least one CodedMatrix")
    if len({checks.coded("matrices", part).n_rows for part in matrices}) != 1:
        raise InputError("matrices", "must all have the same number of rows")
    width = max(part.column_values.shape[1] for part in matrices)
    starts = np.cumsum([0] + [part.n_features for part in matrices])
    return CodedMatrix(
        np.concatenate([part.codes for part in matrices]),
        np.concatenate([part.class_counts for part in matrices]),
        np.concatenate([part.column_features + start for part, start in zip(matrices, starts, strict=False)]),
        np.concatenate([np.pad(part.column_values, ((0, 0), (0, width - part.column_values.shape[1]))) for part in matrices]),
    )


# --- linear algebra with fixed bits ------------------------------------------------------------------------------


def largest_eigenvalue(symmetric: Floats | Correlations) -> float:
    """λ_max of a positive semidefinite matrix by power iteration from a fixed start, within about 10⁻³ from below."""
    # fractional parts of multiples of the golden ratio: no symmetry of the columns makes this orthogonal to the top vector
    size = symmetric.matrix.n_columns if isinstance(symmetric, Correlations) else len(symmetric)
    vector = np.modf(np.arange(1, size + 1) * 0.6180339887498949)[0] - 0.5
    value = 0.0
    for _ in range(POWER_ITERATIONS):
        unit = vector / math.sqrt(math.fsum(vector * vector))
        image = symmetric.times(unit) if isinstance(symmetric, Correlations) else linalg.product(symmetric, unit)
        previous, value = value, math.sqrt(math.fsum(image * image))
        if value - previous <= POWER_TOLERANCE * value:
            break
        vector = image
    return value
