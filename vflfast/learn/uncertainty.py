"""How sure a measured AUC is: DeLong's covariance of AUCs on the same rows, intervals, and the test of two scores.

Sources: DeLong, DeLong and Clarke-Pearson 1988; the rank form of Sun and Xu 2014.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Self

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import checks
from .checks import Floats, Labels

CONFIDENCE = 0.95
ROUNDING = 1e-12  # of a standard error: two scores with the same ranks differ by rounding alone


@dataclass(frozen=True)
class Estimate:
    """A number with its standard error and confidence interval.

    Attributes
    ----------
    value, standard_error
        As measured.
    low, high
        Limits of the interval.
    """

    value: float
    standard_error: float
    low: float
    high: float


@dataclass(frozen=True)
class AucTest:
    """The difference of two AUCs on the same rows.

    Attributes
    ----------
    difference
        First minus second.
    z, p_value
        Of the two-sided test of no difference; where the scores rank all pairs alike z is 0 and p is 1.
    """

    difference: Estimate
    z: float
    p_value: float


@dataclass(frozen=True)
class Coefficient:
    """One row of a coefficient table: value, standard error, z = value/error, two-sided p, and the ends of the 95 % interval."""

    value: float
    error: float
    z: float
    p: float
    low: float
    high: float

    @classmethod
    def of(cls, value: float, error: float) -> Self:
        """Return the row of a coefficient and its standard error; NaN where that is NaN, p = 1 where it is infinite."""
        z = value / error if error else math.nan
        half = _quantile(CONFIDENCE) * error
        return cls(value, error, z, math.erfc(abs(z) / math.sqrt(2.0)), value - half, value + half)


def auc_covariance(y_true: npt.ArrayLike, y_scores: Sequence[npt.ArrayLike]) -> tuple[Floats, Floats]:
    """Return the AUC of every score, shape (k,), and DeLong's estimate of their covariance, shape (k, k).

    Parameters
    ----------
    y_true
        Labels −1/+1, at least two of each, shape (n_rows,).
    y_scores
        k scores, finite, shape (n_rows,) each.

    Raises
    ------
    InputError
        Wrong type or length, NaN, labels outside the coding, fewer than two rows of a class.
    """
    labels = checks.labels("y_true", y_true)
    positive, negative = int((labels > 0).sum()), int((labels < 0).sum())
    if min(positive, negative) < 2:
        raise InputError("y_true", "needs at least two rows of each class")
    placements = [_placements(labels, checks.floats("y_scores", scores, labels.size)) for scores in y_scores]
    above, below = (np.array(side) for side in zip(*placements, strict=True))
    k = len(placements)
    covariance = np.cov(above, ddof=1).reshape(k, k) / positive + np.cov(below, ddof=1).reshape(k, k) / negative
    return above.mean(axis=1), covariance


def auc_interval(y_true: npt.ArrayLike, y_score: npt.ArrayLike, confidence: float = CONFIDENCE) -> Estimate:
    """Return the AUC with its standard error and normal confidence interval, within [0, 1].

    Parameters
    ----------
    y_true, y_score
        As of `auc_covariance`.
    confidence
        0 < confidence < 1.

    Raises
    ------
    InputError
        As `auc_covariance`; a confidence outside its range.
    """
    aucs, covariance = auc_covariance(y_true, [y_score])
    found = _estimate(float(aucs[0]), float(covariance[0, 0]), confidence)
    return Estimate(found.value, found.standard_error, max(0.0, found.low), min(1.0, found.high))


def auc_test(y_true: npt.ArrayLike, first: npt.ArrayLike, second: npt.ArrayLike, confidence: float = CONFIDENCE) -> AucTest:
    """Return the difference of two scores' AUCs on the same rows, and the test of no difference.

    Parameters
    ----------
    y_true, first, second
        Labels and two scores, as of `auc_covariance`.
    confidence
        0 < confidence < 1.

    Raises
    ------
    InputError
        As `auc_interval`.
    """
    aucs, covariance = auc_covariance(y_true, [first, second])
    variance = float(covariance[0, 0] + covariance[1, 1] - 2 * covariance[0, 1])
    difference = _estimate(float(aucs[0] - aucs[1]), max(variance, 0.0), confidence)
    if difference.standard_error < ROUNDING:
        return AucTest(difference, 0.0, 1.0)
    z = difference.value / difference.standard_error
    return AucTest(difference, z, math.erfc(abs(z) / math.sqrt(2)))


def rate_interval(events: float, rows: float, confidence: float = CONFIDENCE) -> Estimate:
    """Return a share of rows with Wilson's interval (1927), which holds for rare events and few rows.

    Parameters
    ----------
    events, rows
        0 ≤ events ≤ rows, rows > 0.
    confidence
        0 < confidence < 1.

    Raises
    ------
    InputError
        A number outside its range.
    """
    count = checks.number("rows", rows, above=0.0)
    share = checks.number("events", events, least=0.0, most=count) / count
    z = _quantile(confidence)
    spread = 1 + z * z / count
    centre = (share + z * z / (2 * count)) / spread
    half = z * math.sqrt(share * (1 - share) / count + z * z / (4 * count * count)) / spread
    low, high = max(0.0, centre - half), min(1.0, centre + half)
    return Estimate(share, math.sqrt(share * (1 - share) / count), min(low, share), max(high, share))  # at 0 and 1 but for rounding


def _placements(labels: Labels, scores: Floats) -> tuple[Floats, Floats]:
    """Share of negatives below every positive, and of positives above every negative; ties count a half."""
    positive, negative = scores[labels > 0], scores[labels < 0]
    together = _midranks(np.concatenate([positive, negative]))
    above = (together[: positive.size] - _midranks(positive)) / negative.size
    below = 1.0 - (together[positive.size :] - _midranks(negative)) / positive.size
    return above, below


def _midranks(values: Floats) -> Floats:
    """Ranks from 1, equal values sharing the mean of theirs."""
    _, inverse, counts = np.unique(values, return_inverse=True, return_counts=True)
    last = np.cumsum(counts)
    ranks: Floats = (last - (counts - 1) / 2)[inverse]
    return ranks


def _estimate(value: float, variance: float, confidence: float) -> Estimate:
    error = math.sqrt(variance)
    half = _quantile(confidence) * error
    return Estimate(value, error, value - half, value + half)


def _quantile(confidence: float) -> float:
    return NormalDist().inv_cdf(0.5 + checks.number("confidence", confidence, above=0.0, most=1.0 - 1e-9) / 2)
