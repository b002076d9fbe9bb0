"""How well scores separate the two classes, and how true probabilities are. Arguments come as (y_true, y_score)."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
import numpy.typing as npt

from . import checks
from .checks import Floats, Ints

PROBABILITY_FLOOR = float(np.finfo(np.float64).eps)  # log loss holds probabilities this far from 0 and 1


@dataclass(frozen=True)
class OperatingPoints:
    """What flagging every score ≥ t gives, for each distinct score t in falling order.

    Attributes
    ----------
    scores
        t, float64.
    flagged, positives
        Rows with score ≥ t, and how many of them are +1; int64.
    """

    scores: Floats
    flagged: Ints
    positives: Ints

    @property
    def n_rows(self) -> int:
        """All rows."""
        return int(self.flagged[-1])

    @property
    def n_positive(self) -> int:
        """All rows with label +1."""
        return int(self.positives[-1])

    @property
    def separation(self) -> Ints:
        """n₊·n₋·(TPR − FPR) at each t, an exact integer."""
        return self.positives * self.n_rows - self.flagged * self.n_positive

    def positives_in_top(self, rows: Floats) -> Floats:
        """Expected number of +1 among the `rows` highest scores when ties stand in random order."""
        expected: Floats = np.interp(rows, np.append(0, self.flagged), np.append(0, self.positives))
        return expected


@dataclass(frozen=True)
class GainsRow:
    """One line of a gains table.

    Attributes
    ----------
    bin
        1 for the highest scores.
    rows, positives
        In this bin; ties across a border are shared out pro rata, so both may be fractions.
    rate, lift
        positives/rows, and that over the rate of all rows.
    captured, cumulative_lift
        Share of all positives in this bin and those above it; lift of these bins together.
    """

    bin: int
    rows: float
    positives: float
    rate: float
    lift: float
    captured: float
    cumulative_lift: float


def operating_points(y_true: npt.ArrayLike, y_score: npt.ArrayLike) -> OperatingPoints:
    """Count rows and positives at or above every distinct score.

    Parameters
    ----------
    y_true
        Labels −1/+1, both present, shape (n_rows,).
    y_score
        Finite scores, shape (n_rows,); more is more positive.

    Raises
    ------
    InputError
        Wrong type or length, NaN, labels outside the coding, one class only.
    """
    labels = checks.labels("y_true", y_true)
    scores = checks.floats("y_score", y_score, labels.size)
    order = np.argsort(-scores, kind="stable")
    ordered = scores[order]
    last = np.append(np.flatnonzero(ordered[1:] != ordered[:-1]), labels.size - 1)  # of each run of equal scores
    return OperatingPoints(ordered[last], last + 1, np.cumsum(labels[order] > 0, dtype=np.int64)[last])


def roc_auc(y_true: npt.ArrayLike, y_score: npt.ArrayLike) -> float:
    """P(score of a random +1 > score of a random −1) + ½·P(equal): the rank sum, exact in integers.

    Parameters
    ----------
    y_true
        Labels −1/+1, both present, shape (n_rows,).
    y_score
        Finite scores, shape (n_rows,).

    Raises
    ------
    InputError
        Wrong type or length, NaN, labels outside the coding, one class only.
    """
    points = operating_points(y_true, y_score)
    positives = np.diff(points.positives, prepend=0)
    negatives_above = points.flagged - points.positives
    pairs = 2 * positives @ (negatives_above[-1] - negatives_above) + positives @ np.diff(negatives_above, prepend=0)
    return int(pairs) / (2 * points.n_positive * (points.n_rows - points.n_positive))


def ks(y_true: npt.ArrayLike, y_score: npt.ArrayLike) -> float:
    """Maximum over thresholds of |TPR − FPR|, the Kolmogorov–Smirnov distance of the two score distributions.

    Parameters
    ----------
    y_true
        Labels −1/+1, both present, shape (n_rows,).
    y_score
        Finite scores, shape (n_rows,).

    Raises
    ------
    InputError
        Wrong type or length, NaN, labels outside the coding, one class only.
    """
    points = operating_points(y_true, y_score)
    return int(np.abs(points.separation).max()) / (points.n_positive * (points.n_rows - points.n_positive))


def lift(y_true: npt.ArrayLike, y_score: npt.ArrayLike, share: float = 0.1) -> float:
    """Rate of +1 among the highest-scored share·n rows over the rate of all rows; ties pro rata.

    Parameters
    ----------
    y_true
        Labels −1/+1, both present, shape (n_rows,).
    y_score
        Finite scores, shape (n_rows,).
    share
        0 < share ≤ 1.

    Raises
    ------
    InputError
        Wrong type, length or range, NaN, labels outside the coding, one class only.
    """
    top = checks.number("share", share, above=0.0, most=1.0)
    points = operating_points(y_true, y_score)
    return float(points.positives_in_top(np.array([top * points.n_rows]))[0]) / (top * points.n_positive)


def gains_table(y_true: npt.ArrayLike, y_score: npt.ArrayLike, n_bins: int = 10) -> list[GainsRow]:
    """Cut the rows, highest scores first, into n_bins equal parts and count the +1 in each; ties pro rata.

    Parameters
    ----------
    y_true
        Labels −1/+1, both present, shape (n_rows,).
    y_score
        Finite scores, shape (n_rows,).
    n_bins
        1..n_rows; 10 for deciles.

    Raises
    ------
    InputError
        Wrong type, length or range, NaN, labels outside the coding, one class only.
    """
    points = operating_points(y_true, y_score)
    bins = checks.count("n_bins", n_bins, most=points.n_rows)
    rows = points.n_rows / bins
    base = points.n_positive / points.n_rows
    cumulative = points.positives_in_top(np.arange(bins + 1) * points.n_rows / bins).tolist()
    table = []
    for bin_, (above, through) in enumerate(pairwise(cumulative), start=1):
        rate, captured = (through - above) / rows, through / points.n_positive
        table.append(GainsRow(bin_, rows, through - above, rate, rate / base, captured, captured * bins / bin_))
    return table


def log_loss(y_true: npt.ArrayLike, probability: npt.ArrayLike) -> float:
    """Mean of −log P(y), with P(+1) = probability held within [2^−52, 1 − 2^−52].

    Parameters
    ----------
    y_true
        Labels −1/+1, shape (n_rows,); one class alone is allowed.
    probability
        In [0, 1], shape (n_rows,).

    Raises
    ------
    InputError
        Wrong type, length or range, NaN, labels outside the coding.
    """
    labels = checks.labels("y_true", y_true, both=False)
    chance = np.clip(checks.probabilities("probability", probability, labels.size), PROBABILITY_FLOOR, 1.0 - PROBABILITY_FLOOR)
    return -math.fsum(np.where(labels > 0, np.log(chance), np.log1p(-chance))) / labels.size


def brier_score(y_true: npt.ArrayLike, probability: npt.ArrayLike) -> float:
    """Mean of (probability − y)², y ∈ {0, 1} (Brier 1950).

    Parameters
    ----------
    y_true, probability
        As of `log_loss`.

    Raises
    ------
    InputError
        Wrong type, length or range, NaN, labels outside the coding.
    """
    labels = checks.labels("y_true", y_true, both=False)
    chance = checks.probabilities("probability", probability, labels.size)
    return math.fsum((chance - (labels > 0)) ** 2) / labels.size


def calibration_error(y_true: npt.ArrayLike, probability: npt.ArrayLike, n_bins: int = 10) -> float:
    """Expected calibration error: |mean probability − rate of +1| over equally large bins of rising probability, by their rows.

    Parameters
    ----------
    y_true, probability
        As of `log_loss`.
    n_bins
        1..n_rows.

    Raises
    ------
    InputError
        Wrong type, length or range, NaN, labels outside the coding.
    """
    labels = checks.labels("y_true", y_true, both=False)
    chance = checks.probabilities("probability", probability, labels.size)
    order = np.argsort(chance, kind="stable")
    parts = np.array_split(order, checks.count("n_bins", n_bins, most=labels.size))
    return math.fsum(abs(math.fsum(chance[part] - (labels[part] > 0))) for part in parts) / labels.size
