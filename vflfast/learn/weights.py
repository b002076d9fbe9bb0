"""Weights of training rows: small integers a_i, in units of an agreed size, that the guest alone knows.

The rounds minimise Σ (a_i/unit)·ℓ_i/n + λ|θ|²/2 with ℓ the Taylor loss ([0133]), so the residual of row i is (a_i/unit)·g_i, and the
Hessian of party k's block is H_k = ¼·Z̃ᵀDZ̃/n + λI with D = diag(a_i/unit). A host cannot form it: a_i would tell it the labels. It knows the
agreed `most` ≥ a_i and takes P_k = (c/4)·C + λI with its own C = Z̃ᵀZ̃/n. From D ⪯ (most/unit)·I follows H_k ⪯ (most/unit)/c·P_k for
c ≤ most/unit. The guest knows a_i: it centres its columns by the weighted mean, which frees them from the intercept within its own block,
and takes P = H exactly; the intercept's own part of the Hessian is ā/4 with ā = Σa_i/(n·unit). Columns of a host, centred by the plain
mean, still meet the intercept, so it counts as a part of the guest's block and takes the same ω.

The whole Hessian is H ⪯ K·blockdiag(H_1 … H_K), as |Σ_k v_k|² ≤ K·Σ|v_k|². With ω·K·(most/unit)/c < 2 and ω·K < 2 every eigenvalue of
ω·P⁻¹H is below 2, and the rounds converge, whatever the weights and correlations. c = ω·K·(most/unit)/1.9, at least 1, holds that bound.
The price is speed: where weights say nothing about a host's columns, its steps are c times shorter than they could be.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..params import MAX_WEIGHT, WEIGHT_UNIT
from . import checks
from .checks import Floats, Ints, Labels

MARGIN = 1.9  # below 2, where rounds would not converge any more


@dataclass(frozen=True)
class RowWeights:
    """What a solver knows of the weights.

    Attributes
    ----------
    most, unit
        Agreed: 1 ≤ a_i ≤ most, and the a_i that stands for weight 1.
    own
        a_i, shape (n_rows,); None: another party's.
    """

    most: int
    unit: int
    own: Ints | None = None

    @property
    def largest(self) -> float:
        """Largest weight that a row can have."""
        return self.most / self.unit


def check_row_weights(values: object, n_rows: int, most: int) -> Ints:
    """Return weights of rows as int64 of shape (n_rows,).

    Raises
    ------
    InputError
        Not `n_rows` integers from 1 to `most`.
    """
    weights = checks.int64s("row_weights", values, n_rows)
    if int(weights.min()) < 1 or int(weights.max()) > most:
        raise InputError("row_weights", f"must be integers from 1 to max_weight = {most}; the largest is {int(weights.max())}")
    return weights


def class_weights(y: npt.ArrayLike, class_weight: str | Mapping[int, float] | None) -> Floats:
    """Return every row's weight by its label, as scikit-learn does: "balanced" is n/(2·n_k) for each of the n_k rows of class k.

    Parameters
    ----------
    y
        Labels −1/+1, shape (n_rows,).
    class_weight
        None: 1; "balanced"; or the weight of −1 and of +1, each 1 if it is left out.

    Raises
    ------
    InputError
        Labels outside the coding or of one class only; another word; a weight that is not a number above 0; another label.
    """
    labels = checks.labels("y", y)
    if class_weight is None:
        return np.ones(labels.size)
    if class_weight == "balanced":
        weights = {label: labels.size / (2.0 * int((labels == label).sum())) for label in (-1, 1)}
    elif isinstance(class_weight, Mapping) and not set(class_weight) - {-1, 1}:
        given = {label: checks.number("class_weight", weight, above=0.0) for label, weight in class_weight.items()}
        weights = {-1: 1.0, 1: 1.0} | given
    else:
        raise InputError("class_weight", 'must be None, "balanced" or weights by label')
    return np.where(labels > 0, weights[1], weights[-1])


def combined_weights(y: Labels, class_weight: str | Mapping[int, float] | None, sample_weight: object = None) -> Floats:
    """Return class weight × sample weight of every row; sample weights are integers from 1; InputError as `class_weights`."""
    weights = class_weights(y, class_weight)
    if sample_weight is None:
        return weights
    return weights * check_row_weights(checks.int64s("sample_weight", sample_weight, len(weights)), len(weights), MAX_WEIGHT)


def in_units(weights: Floats, unit: int) -> Ints:
    """Return a_i = weight·unit rounded, at least 1.

    Raises
    ------
    InputError
        Above the largest weight that there can be.
    """
    units = np.maximum(1.0, np.rint(weights * unit))
    if float(units.max()) > MAX_WEIGHT:
        raise InputError("class_weight", f"a row's weight is above {MAX_WEIGHT // unit}")
    return units.astype(np.int64)


def natural_unit(weights: Floats) -> int:
    """Return 1 where all weights are whole numbers, else a unit that keeps them within a percent or so."""
    return 1 if bool((weights == np.rint(weights)).all()) else WEIGHT_UNIT
