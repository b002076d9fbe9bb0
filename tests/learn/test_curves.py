"""Curves for drawing: their ends, their known heights, and that they add up to all rows."""

from __future__ import annotations

from dataclasses import asdict

import numpy as np
import pytest

from vflfast.errors import InputError
from vflfast.learn.curves import MAX_POINTS, curves
from vflfast.learn.metrics import gains_table, ks, roc_auc

RNG = np.random.default_rng(5)
LABELS = np.where(RNG.random(4000) < 0.3, 1, -1).astype(np.int8)
SCORES = 1 / (1 + np.exp(-(0.8 * LABELS + RNG.normal(size=4000))))


def test_four_rows_by_hand() -> None:
    found = curves([1, -1, 1, -1], [0.9, 0.6, 0.6, 0.1])
    assert found["roc"] == {"false_positive_rate": [0, 0, 0.5, 1], "true_positive_rate": [0, 0.5, 1, 1]}
    assert found["ks"]["flagged"] == [0, 0.25, 0.75, 1]
    assert [row["rate"] for row in found["gains"]] == [1, 0.5, 0.5, 0]
    assert found["calibration"][0] == pytest.approx(
        {"mean_score": 0.1, "rate": 0.0, "rate_low": 0.0, "rate_high": 0.7934507, "rows": 1, "positives": 0}  # Wilson: z²/(1 + z²)
    )
    assert sum(found["distribution"]["positive"]) == sum(found["distribution"]["negative"]) == 2


def test_thinned_curves_keep_area_gap_and_ends() -> None:
    found = curves(LABELS, SCORES)
    x, y = (np.array(found["roc"][key]) for key in ("false_positive_rate", "true_positive_rate"))
    assert len(x) <= MAX_POINTS + 1
    assert (x[0], y[0], x[-1], y[-1]) == (0, 0, 1, 1)
    assert ((x[1:] - x[:-1]) @ (y[1:] + y[:-1])) / 2 == pytest.approx(roc_auc(LABELS, SCORES), abs=2e-3)
    gap = np.array(found["ks"]["positive"]) - np.array(found["ks"]["negative"])
    assert np.abs(gap).max() == pytest.approx(ks(LABELS, SCORES), abs=2e-6)


def test_tenths_and_bins_hold_all_rows() -> None:
    found = curves(LABELS, SCORES)
    assert found["gains"] == [asdict(row) for row in gains_table(LABELS, SCORES)]
    assert sum(row["rows"] for row in found["calibration"]) == 4000
    assert [row["mean_score"] for row in found["calibration"]] == sorted(row["mean_score"] for row in found["calibration"])
    shown = found["distribution"]
    assert (sum(shown["positive"]), sum(shown["negative"])) == ((LABELS > 0).sum(), (LABELS < 0).sum())
    assert len(shown["edges"]) == len(shown["positive"]) + 1


def test_one_class_is_refused() -> None:
    with pytest.raises(InputError):
        curves([1, 1], [0.1, 0.2])
