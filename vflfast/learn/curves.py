"""Curves of scores against labels, thinned for drawing: ROC, KS, gains, calibration, distribution."""

from __future__ import annotations

from dataclasses import asdict
from typing import Any

import numpy as np
import numpy.typing as npt

from .checks import Floats, Labels
from .metrics import gains_table, operating_points
from .uncertainty import rate_interval

MAX_POINTS = 101  # of a drawn curve
BINS = 20  # of a distribution
DECILES = 10


def curves(y_true: npt.ArrayLike, y_score: npt.ArrayLike) -> dict[str, Any]:
    """Return what draws a score's power, ready for JSON: aggregates over rows only, no row's own score or label.

    Parameters
    ----------
    y_true
        Labels −1/+1, both present, shape (n_rows,).
    y_score
        Scores in [0, 1], shape (n_rows,).

    Returns
    -------
    dict
        ``roc``: false and true positive rates. ``ks``: share flagged, both rates. ``gains``: the rows of `metrics.gains_table`.
        ``calibration``: by tenth of rising scores mean score, rate with its 95 % interval, rows and positives.
        ``distribution``: edges, and rows of each class between them.

    Raises
    ------
    InputError
        Wrong type or length, NaN, labels outside the coding, one class only.
    """
    points = operating_points(y_true, y_score)
    labels, scores = np.asarray(y_true), np.asarray(y_score, dtype=np.float64)
    true_rate = np.append(0.0, points.positives / points.n_positive)
    false_rate = np.append(0.0, (points.flagged - points.positives) / (points.n_rows - points.n_positive))
    flagged = np.append(0.0, points.flagged / points.n_rows)
    kept = _thinned(true_rate - false_rate)
    gains = gains_table(y_true, y_score, min(DECILES, points.n_rows))
    return {
        "roc": {"false_positive_rate": _list(false_rate[kept]), "true_positive_rate": _list(true_rate[kept])},
        "ks": {"flagged": _list(flagged[kept]), "positive": _list(true_rate[kept]), "negative": _list(false_rate[kept])},
        "gains": [asdict(row) for row in gains],
        "calibration": _calibration(labels, scores, len(gains)),
        "distribution": _distribution(labels, scores),
    }


def _thinned(height: Floats) -> npt.NDArray[np.int64]:
    """Positions of at most MAX_POINTS + 1 points, the ends and the largest |height| among them."""
    even = np.linspace(0, len(height) - 1, min(len(height), MAX_POINTS)).astype(np.int64)
    return np.unique(np.append(even, np.abs(height).argmax()))


def _calibration(labels: Labels, scores: Floats, n_bins: int) -> list[dict[str, float]]:
    order = np.argsort(scores, kind="stable")
    parts = np.array_split(order, n_bins)
    return [_group(labels[part], scores[part]) for part in parts]


def _group(labels: Labels, scores: Floats) -> dict[str, float]:
    positives = int((labels > 0).sum())
    seen = rate_interval(positives, len(labels))
    return {
        "mean_score": float(scores.mean()), "rate": seen.value, "rate_low": seen.low, "rate_high": seen.high,
        "rows": len(labels), "positives": positives,
    }  # fmt: skip


def _distribution(labels: Labels, scores: Floats) -> dict[str, list[float]]:
    edges = np.linspace(min(0.0, scores.min()), max(1.0, scores.max()), BINS + 1)
    counts = {name: np.histogram(scores[labels * sign > 0], edges)[0].tolist() for name, sign in (("positive", 1), ("negative", -1))}
    return {"edges": _list(edges), **counts}


def _list(values: Floats) -> list[float]:
    return [float(x) for x in values.round(6)]
