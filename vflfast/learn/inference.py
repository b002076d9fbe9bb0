"""Standard errors of all parties' coefficients, variance inflation and correlations, from exact second moments of all columns.

With A the columns and a constant, S = diag(w·σ′(u)) and P the penalty, the fit minimises a loss whose second derivative is H = AᵀSA + P.
The covariance of its coefficients is H⁻¹·AᵀSA·H⁻¹, the sandwich of the penalised fit (Gray 1992, section 2.3); without a penalty that is
(AᵀSA)⁻¹, the inverse Fisher information that statistical packages print. A penalised coefficient is drawn towards 0, and its standard error
says how much it varies around that, not around the truth.

The variance inflation of a column is 1/(1 − R²) of its regression on the columns of all other features of all parties, from the inverse
of the correlations: with one column a feature, it is that inverse's diagonal. What is not determined, because columns depend on each other
and no penalty decides, is infinite.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import linalg
from .checks import Floats, Ints

Exact = npt.NDArray[np.object_]  # Python integers

RIDGE = 1e-12  # on the diagonal of correlations: dependent columns are then seen by how large their inverse is
DEPENDENT = 1e9  # of an inverse's diagonal over what it would be of a column on its own
FIELDS = ("errors", "inflation", "correlation", "partners")


@dataclass(frozen=True)
class Inference:
    """What a party is told of its columns, arrays of shape (n_columns,).

    Attributes
    ----------
    errors
        Standard errors of its weights over the integer columns; NaN for a column that is constant, infinite where not determined.
    intercept_error
        That of the guest's intercept, at the mean of the other parties' columns; None at a host.
    inflation
        Variance inflation of the columns beside those of all other features of all parties.
    correlation, partners
        The correlation of largest magnitude with a column of another party, and the number of that column there.
    """

    errors: Floats
    intercept_error: float | None
    inflation: Floats
    correlation: Floats
    partners: npt.NDArray[np.int64]

    def to_dict(self) -> dict[str, Any]:
        """Return the numbers, ready for JSON; None for NaN, and text for what is infinite."""
        told = {name: [json_number(value) for value in getattr(self, name).tolist()] for name in FIELDS}
        return told | {"intercept_error": None if self.intercept_error is None else json_number(self.intercept_error)}


@dataclass(frozen=True)
class Moments:
    """Exact sums over the rows, of the constant 1 first and then of all parties' columns in order; shape (1 + d, 1 + d) each.

    Attributes
    ----------
    plain
        Σ z_j·z_k.
    weighted
        Σ w·σ′(u)·z_j·z_k in whole steps of `step`.
    step
        Of the weighted sums, the unit of the rows' weights included.
    """

    plain: Exact
    weighted: Exact
    step: float


def standard_errors(moments: Moments, alpha: float, n_own: int) -> tuple[Floats, float]:
    """Return the standard errors of the weights over the integer columns, shape (d,), and that of the guest's intercept.

    Parameters
    ----------
    alpha
        Penalty on the squared weights of standardised columns, beside the mean loss.
    n_own
        The guest's columns, which come first: its intercept is at 0 of these and at the mean of all others.

    Raises
    ------
    InputError
        Sums that no rows have.
    """
    n_rows, sums, spread = _centred(moments.plain)
    varies = np.flatnonzero([value > 0 for value in spread.diagonal()])
    scale = np.array([math.sqrt(spread[j, j]) / n_rows for j in varies])
    information = _standardised(moments, n_rows, sums, varies, scale)
    second = information.copy()
    inner = np.arange(1, len(second))
    second[inner, inner] += alpha * n_rows
    inverse = _inverse(second)
    covariance = _sandwich(inverse, information)
    errors = np.full(len(sums), np.nan)
    alone = inverse.diagonal() * second.diagonal()
    errors[varies] = np.where(alone[1:] > DEPENDENT, np.inf, np.sqrt(covariance.diagonal()[1:]) / scale)
    own = varies < n_own
    centre = np.array([sums[j] / n_rows for j in varies])
    direction = np.concatenate([[1.0], np.where(own, -centre / scale, 0.0)])
    moved = linalg.product(covariance, direction)
    intercept = math.fsum((direction * moved).tolist())
    undetermined = alone[0] > DEPENDENT or bool((np.isinf(errors[varies]) & own & (centre != 0.0)).any())
    return errors, math.inf if undetermined else math.sqrt(max(intercept, 0.0))


def correlations(plain: Exact) -> Floats:
    """Return the correlations of all columns, shape (d, d); rows and columns of constant ones are 0."""
    _, _, spread = _centred(plain)
    scale = np.array([math.sqrt(max(value, 0)) for value in spread.diagonal()])
    over = np.where(scale > 0.0, scale, np.inf)
    found: Floats = np.array(spread, dtype=np.float64) / over / over[:, None]
    return found


def inflation(correlated: Floats, features: Ints) -> Floats:
    """Return 1/(1 − R²) of every column, shape (d,), of its regression on the columns of all other features.

    NaN of a constant column, infinite of one that depends on other features. Levels of a category add up to the constant; what they tell of
    other features is the same without one of them, so that one is left out: the first, and for the first itself the last.

    Parameters
    ----------
    correlated
        Of `correlations`, shape (d, d).
    features
        The number of the feature that each column is of, shape (d,).
    """
    found = np.full(len(correlated), np.nan)
    varies = np.flatnonzero(correlated.diagonal() > 0.0)
    groups = [varies[features[varies] == feature] for feature in np.unique(features[varies])]
    dependent = [_dependent(correlated[np.ix_(group, group)]) for group in groups]
    for left_out in (-1, 0):  # what the second pass finds is kept
        kept = [np.delete(group, left_out) if whole else group for group, whole in zip(groups, dependent, strict=True)]
        columns = np.concatenate(kept) if kept else varies
        if columns.size:
            inverse, start = _inverse(correlated[np.ix_(columns, columns)]), 0
            for group in kept:
                own = slice(start, start + len(group))
                found[group] = _inflated(inverse[own, own])
                start += len(group)
    return found


def _dependent(correlated: Floats) -> bool:
    """Whether the columns of one feature add up to the constant."""
    return len(correlated) > 1 and bool((_inverse(correlated).diagonal() > DEPENDENT).any())


def _inflated(block: Floats) -> Floats:
    """1/(1 − R²) of a feature's columns from their block of the inverse, which is the inverse of what other features leave of them."""
    if not block.size or (block.diagonal() > DEPENDENT).any():
        return np.full(len(block), np.inf)
    return np.maximum(1.0 / _inverse(block).diagonal(), 1.0)


def strongest(correlated: Floats, own: slice) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Return of every own column the correlation of largest magnitude with another party's, and the number of that among all columns."""
    rows = correlated[own].copy()
    rows[:, own] = 0.0
    partners = np.abs(rows).argmax(axis=1)
    return rows[np.arange(len(rows)), partners], partners


def json_number(value: float) -> float | str | None:
    """Return a number for JSON: None for NaN, and text for what is infinite."""
    return value if math.isfinite(value) else None if math.isnan(value) else str(value)


def _centred(plain: Exact) -> tuple[int, Exact, Exact]:
    """Rows, sums of the columns, and n·Σzz′ − Σz·Σz′, exact; InputError for sums that no rows have."""
    n_rows, sums = int(plain[0, 0]), plain[0, 1:]
    spread = n_rows * plain[1:, 1:] - sums[:, None] * sums[None, :]
    if n_rows < 1 or any(value < 0 for value in spread.diagonal()):
        raise InputError("moments", "no rows have these sums")
    return n_rows, sums, spread


def _standardised(moments: Moments, n_rows: int, sums: Exact, varies: npt.NDArray[np.int64], scale: Floats) -> Floats:
    """Σ w·σ′·x_j·x_k of the constant and the standardised columns that vary; centred exactly, then divided."""
    weighted, own = moments.weighted, sums[varies]
    total, first = weighted[0, 0], weighted[0, 1 + varies]
    inner = n_rows * n_rows * weighted[np.ix_(1 + varies, 1 + varies)] - n_rows * (own[:, None] * first + first[:, None] * own)
    inner = inner + own[:, None] * own * total
    border = n_rows * first - own * total
    over = scale * n_rows
    found = np.empty((len(varies) + 1, len(varies) + 1))
    found[0, 0] = total
    found[0, 1:] = found[1:, 0] = np.array(border, dtype=np.float64) / over
    found[1:, 1:] = np.array(inner, dtype=np.float64) / over / over[:, None]
    return found * moments.step


def _inverse(matrix: Floats) -> Floats:
    """H⁻¹ of a positive semidefinite matrix, with a ridge of `RIDGE` of the diagonal; InputError for one that is not."""
    if not (matrix.diagonal() > 0.0).all():
        raise InputError("moments", "no rows have these sums")
    scale = np.sqrt(matrix.diagonal())
    lower = matrix / scale / scale[:, None]
    lower[np.diag_indices_from(lower)] += RIDGE
    if not linalg.cholesky(lower):
        raise InputError("moments", "no rows have these sums: their matrix is not positive definite")
    found = np.eye(len(matrix))
    linalg.forward(lower, found)
    return linalg.backward(lower, found) / scale / scale[:, None]


def _sandwich(inverse: Floats, information: Floats) -> Floats:
    """H⁻¹·I·H⁻¹."""
    half = np.stack([linalg.product(information, row) for row in inverse])
    return np.stack([linalg.product(inverse, row) for row in half])
