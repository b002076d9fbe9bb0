"""From two half scores to a label: normalise P and Q, weigh them into F, cut F at τ ([0148]–[0159])."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any, Self

import numpy as np
import numpy.typing as npt

from ..errors import BoundError, InputError, ModelError
from ..params import MIN_SEPARATING_POWER
from . import checks
from .checks import Floats, Labels
from .metrics import operating_points

METHODS = ("minmax", "rank", "zscore", "none")
CALIBRATIONS = ("quota", "precision", "ks")


# --- Norm --------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, eq=False)
class Norm:
    """Norm(P) with statistics frozen at training, so that a single customer can be scored ([0148]–[0159]).

    ======  =============================================================================
    minmax  (P − min)/(max − min + ε), held within [0, 1] for scores outside the training range
    rank    share of training scores below P, equal ones counted half
    zscore  (P − mean)/standard deviation
    none    P itself, which must be a probability
    ======  =============================================================================

    The first three do not change when all scores pass through one positive affine map (ε = 0), which is what the hardened
    profile sends instead of probabilities.

    Attributes
    ----------
    method
        One of the four.
    epsilon
        ε ≥ 0; minmax only.
    statistics
        float64: (min, max), (mean, deviation), the sorted training scores, or nothing.
    """

    method: str
    epsilon: float
    statistics: Floats = field(repr=False)

    @classmethod
    def fit(cls, scores: npt.ArrayLike, method: str = "minmax", epsilon: float = 0.0) -> Self:
        """Freeze the statistics of training scores.

        Parameters
        ----------
        scores
            Finite, shape (n_rows,).
        method
            "minmax", "rank", "zscore" or "none".
        epsilon
            Smoothing of the minmax denominator, ≥ 0.

        Raises
        ------
        InputError
            Wrong type or range, NaN, unknown method, constant scores under minmax or zscore.
        BoundError
            A spread that float64 cannot hold.
        """
        _check_method(method, epsilon)
        return cls(method, float(epsilon), _statistics(method, _scores(method, scores)))

    def apply(self, scores: npt.ArrayLike) -> Floats:
        """Return Norm(scores), float64 of the same length; InputError for NaN, or under none outside [0, 1]."""
        values = _scores(self.method, scores)
        if self.method == "none":
            return values.copy()
        if self.method == "rank":
            below = np.searchsorted(self.statistics, values, side="left")
            through = np.searchsorted(self.statistics, values, side="right")
            share: Floats = (below + through) / (2.0 * self.statistics.size)
            return share
        first, second = (float(statistic) for statistic in self.statistics)
        if self.method == "zscore":
            return (values - first) / second
        inside = np.clip(values, first, second)
        return (inside - first) / (second - first + self.epsilon)

    def to_dict(self) -> dict[str, Any]:
        """Return the settings and the frozen statistics, ready for JSON."""
        return {"method": self.method, "epsilon": self.epsilon, "statistics": self.statistics.tolist()}

    @classmethod
    def from_dict(cls, saved: dict[str, Any]) -> Self:
        """Rebuild from `to_dict`; ModelError names the entry that is missing or wrong."""
        if not isinstance(saved, dict) or set(saved) != {"method", "epsilon", "statistics"}:
            raise ModelError("norm", "must hold method, epsilon, statistics and nothing else")
        method, epsilon, statistics = saved["method"], saved["epsilon"], saved["statistics"]
        try:
            _check_method(method, epsilon)
            values = np.empty(0) if method == "none" and statistics == [] else checks.floats("statistics", statistics)
        except InputError as error:
            raise ModelError(error.argument, error.problem) from None
        if not _plausible(method, values):
            raise ModelError("statistics", f"not those of {method}")
        return cls(method, float(epsilon), values)


def _check_method(method: object, epsilon: object) -> None:
    if not isinstance(method, str) or method not in METHODS:
        raise InputError("method", f"must be one of {', '.join(METHODS)}")
    if checks.number("epsilon", epsilon, least=0.0) > 0.0 and method != "minmax":
        raise InputError("epsilon", "smooths the denominator of minmax only")


def _scores(method: str, scores: npt.ArrayLike) -> Floats:
    return checks.probabilities("scores", scores) if method == "none" else checks.floats("scores", scores)


def _statistics(method: str, values: Floats) -> Floats:
    if method == "none":
        return np.empty(0)
    if method == "rank":
        return np.sort(values)
    low, high = float(values.min()), float(values.max())
    if not math.isfinite(high - low):
        raise BoundError("scores", "their spread exceeds the range of float64")
    if method == "minmax":
        first, second, spread = low, high, high - low
    else:
        first = low + math.fsum((values - low) / values.size)
        second = spread = (high - low) * math.sqrt(math.fsum(((values - first) / (high - low)) ** 2) / values.size) if high > low else 0.0
    if spread == 0.0:
        raise InputError("scores", f"all equal, {method} cannot spread them")
    return np.array([first, second])


def _plausible(method: str, statistics: Floats) -> bool:
    if method == "none":
        return statistics.size == 0
    if method == "rank":
        return bool((np.diff(statistics) >= 0.0).all())
    if statistics.size != 2:
        return False
    first, second = statistics.tolist()
    return math.isfinite(second - first) and second > (first if method == "minmax" else 0.0)


# --- F -----------------------------------------------------------------------------------------------------------


def combine(norms: Sequence[npt.ArrayLike], powers: Sequence[float], epsilon: float = 0.0) -> Floats:
    """F = (Σ_k power_k·Norm_k + ε)/K for K parties; with two, (α·Norm(P) + β·Norm(Q) + ε)/2 ([0148]).

    Parameters
    ----------
    norms
        One vector of normalised scores per party, all of one length.
    powers
        One number above 0 per party; scaled here so that they sum to K.
    epsilon
        ε ≥ 0 of the numerator.

    Returns
    -------
    float64, shape (n_rows,)

    Raises
    ------
    InputError
        Wrong type, lengths that differ, NaN, a power that is not positive.
    """
    if not isinstance(norms, list | tuple) or not norms:
        raise InputError("norms", "must be a list with one vector per party")
    shares = _normalised("powers", powers, len(norms))
    total = np.full(checks.floats("norms", norms[0]).size, checks.number("epsilon", epsilon, least=0.0))
    for share, norm in zip(shares, norms, strict=True):
        total += share * checks.floats("norms", norm, total.size)
    return total / len(norms)


def powers_from_auc(auc: Sequence[float]) -> list[float]:
    """power_k ∝ AUC_k − ½ on the training rows, with Σ power_k = number of parties ([0148]–[0159]).

    A side at or below ½ keeps the floor 0.001 instead: it separates nothing, yet every power stays positive.

    Raises
    ------
    InputError
        Not a list, or an AUC outside [0, 1].
    """
    if not isinstance(auc, list | tuple) or not auc:
        raise InputError("auc", "must be a list with one AUC per party")
    excess = [checks.number("auc", one, least=0.0, most=1.0) - 0.5 for one in auc]
    return _normalised("auc", [max(one, MIN_SEPARATING_POWER) for one in excess], len(auc))


def _normalised(name: str, powers: Sequence[float], n_parties: int) -> list[float]:
    if not isinstance(powers, list | tuple) or len(powers) != n_parties:
        raise InputError(name, f"must be a list of {n_parties} numbers, one per party")
    values = [checks.number(name, power, above=0.0) for power in powers]
    largest = max(values)
    relative = [value / largest for value in values]  # so that no sum overflows
    return [value * n_parties / math.fsum(relative) for value in relative]


# --- τ -----------------------------------------------------------------------------------------------------------


def calibrate(f: npt.ArrayLike, y: npt.ArrayLike | None = None, *, by: str = "quota", value: float | None = None) -> float:
    """Pick τ on training rows, for the rule label = +1 where F > τ ([0148]–[0159]).

    Parameters
    ----------
    f
        F of the training rows, shape (n_rows,).
    y
        Labels −1/+1 of the same rows; not needed for a quota.
    by
        "quota": the most rows whose share is ≤ value (equal scores stay together; none if one tie is already too large).
        "precision": the most rows of which a share ≥ value is +1.
        "ks": the largest TPR − FPR; of equal ones the fewest rows.
    value
        In (0, 1]; None for "ks".

    Returns
    -------
    τ: midway between the lowest F that is flagged and the highest that is not, so that the last bits of a later F flip no label; the
    float just below all of them when all are flagged, F's largest when none is.

    Raises
    ------
    InputError
        Wrong type, length or range, labels missing, precision out of reach.
    """
    if not isinstance(by, str) or by not in CALIBRATIONS:
        raise InputError("by", f"must be one of {', '.join(CALIBRATIONS)}")
    if by == "ks" and value is not None:
        raise InputError("value", "must be None for ks")
    target = 0.0 if by == "ks" else checks.number("value", value, above=0.0, most=1.0)
    scores = checks.floats("f", f)
    if by == "quota":
        return _quota(scores, target)
    if y is None:
        raise InputError("y", f"labels are needed for {by}")
    points = operating_points(checks.labels("y", y, scores.size), scores)
    if by == "ks":
        return _cut_below(points.scores, int(points.separation.argmax()))
    reached = np.flatnonzero(points.positives / points.flagged >= target)
    if reached.size == 0:
        raise InputError("value", "no threshold reaches this precision")
    return _cut_below(points.scores, int(reached[-1]))


def classify(f: npt.ArrayLike, tau: float) -> Labels:
    """Label +1 where F > τ, else −1 ([0148]–[0159]); int8, shape (n_rows,)."""
    threshold = checks.number("tau", tau)
    return np.where(checks.floats("f", f) > threshold, 1, -1).astype(np.int8)


def _quota(scores: Floats, share: float) -> float:
    distinct, sizes = np.unique(scores, return_counts=True)
    allowed = np.flatnonzero(np.cumsum(sizes[::-1]) / scores.size <= share)
    return _cut_below(distinct[::-1], int(allowed[-1]) if allowed.size else -1)


def _cut_below(falling: Floats, index: int) -> float:
    """Return the τ that flags the distinct scores 0..index and no other."""
    if index + 1 >= falling.size:
        return float(np.nextafter(falling[-1], -np.inf))
    below = float(falling[index + 1])
    if index < 0:
        return below
    middle = below + (float(falling[index]) - below) / 2
    return middle if below <= middle < falling[index] else below
