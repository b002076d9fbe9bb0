"""Metrics against definitions counted pair by pair."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.errors import InputError
from vflfast.learn import metrics
from vflfast.learn.metrics import GainsRow, gains_table, ks, lift, log_loss, operating_points, roc_auc

samples = st.lists(st.tuples(st.sampled_from([-1, 1]), st.integers(-4, 4)), min_size=2, max_size=40).filter(
    lambda rows: len({label for label, _ in rows}) == 2
)


@given(samples)
@settings(max_examples=200, deadline=None)
def test_auc_counts_pairs(rows: list[tuple[int, int]]) -> None:
    y, s = zip(*rows, strict=True)
    pairs = [(a > b) + (a == b) / 2 for a, i in zip(s, y, strict=True) if i > 0 for b, j in zip(s, y, strict=True) if j < 0]
    assert roc_auc(y, s) == pytest.approx(sum(pairs) / len(pairs), rel=1e-15)


@given(samples)
@settings(max_examples=200, deadline=None)
def test_ks_is_the_largest_gap_of_the_two_distributions(rows: list[tuple[int, int]]) -> None:
    y, s = np.array(rows).T
    gaps = [abs((s[y > 0] > t).mean() - (s[y < 0] > t).mean()) for t in np.append(s, s.min() - 1)]
    assert ks(y, s) == pytest.approx(max(gaps), abs=1e-15)


@given(samples, st.integers(1, 10))
@settings(max_examples=200, deadline=None)
def test_gains_account_for_every_row_and_positive(rows: list[tuple[int, int]], n_bins: int) -> None:
    y, s = np.array(rows).T
    bins = min(n_bins, y.size)
    table = gains_table(y, s, bins)
    assert [row.bin for row in table] == list(range(1, bins + 1))
    assert sum(row.rows for row in table) == pytest.approx(y.size)
    assert sum(row.positives for row in table) == pytest.approx((y > 0).sum())
    assert table[-1].captured == 1.0
    assert table[-1].cumulative_lift == pytest.approx(1.0)
    assert table[0].lift == pytest.approx(lift(y, s, 1 / bins))


def test_metrics_agree_with_scikit_learn() -> None:
    sklearn_metrics = pytest.importorskip("sklearn.metrics")
    rng = np.random.default_rng(0)
    y = rng.choice([-1, 1], 3000, p=[0.9, 0.1])
    s = np.round(rng.normal(size=3000) + 0.8 * y, 1)
    p = 1 / (1 + np.exp(-s))
    assert roc_auc(y, s) == pytest.approx(sklearn_metrics.roc_auc_score(y, s), rel=1e-13)
    assert log_loss(y, p) == pytest.approx(sklearn_metrics.log_loss(y, p), rel=1e-12)
    fpr, tpr, _ = sklearn_metrics.roc_curve(y, s)
    assert ks(y, s) == pytest.approx(np.abs(tpr - fpr).max(), rel=1e-13)


def test_known_values() -> None:
    y = [1, 1, -1, -1]
    assert roc_auc(y, [4, 3, 2, 1]) == 1.0
    assert roc_auc(y, [1, 2, 3, 4]) == 0.0
    assert roc_auc(y, [7, 7, 7, 7]) == 0.5
    assert ks(y, [4, 3, 2, 1]) == 1.0
    assert ks(y, [1, 2, 3, 4]) == 1.0  # the distance has no direction
    assert ks(y, [7, 7, 7, 7]) == 0.0
    assert log_loss([1, -1], [0.8, 0.4]) == pytest.approx(-(math.log(0.8) + math.log(0.6)) / 2)


def test_operating_points_join_ties() -> None:
    points = operating_points([1, -1, 1, -1, 1], [2.0, 2.0, 5.0, -1.0, -0.0])
    assert points.scores.tolist() == [5.0, 2.0, 0.0, -1.0]
    assert points.flagged.tolist() == [1, 3, 4, 5]
    assert points.positives.tolist() == [1, 2, 3, 3]
    assert (points.n_rows, points.n_positive) == (5, 3)


def test_metrics_do_not_depend_on_row_order() -> None:
    rng = np.random.default_rng(1)
    y, s = rng.choice([-1, 1], 500), rng.integers(0, 6, 500)
    order = rng.permutation(500)
    for metric in (roc_auc, ks, lift, gains_table):
        assert metric(y, s) == metric(y[order], s[order])


def test_lift_shares_ties_out() -> None:
    y = [1, 1, -1, -1, -1, -1, -1, -1, -1, -1]
    assert lift(y, list(range(10, 0, -1)), 0.2) == pytest.approx(5.0)
    assert lift(y, list(range(10, 0, -1)), 0.1) == pytest.approx(5.0)
    assert lift(y, [3, 3, 3, 3] + [1] * 6, 0.2) == pytest.approx(2.5)  # half of the top is expected to be +1
    assert lift(y, [1] * 10, 0.3) == pytest.approx(1.0)
    assert lift(y, list(range(10)), 1.0) == pytest.approx(1.0)


def test_gains_of_a_perfect_score() -> None:
    first, second = gains_table([1, -1, -1, -1], [4, 3, 2, 1], 2)
    assert first == GainsRow(bin=1, rows=2.0, positives=1.0, rate=0.5, lift=2.0, captured=1.0, cumulative_lift=2.0)
    assert (second.positives, second.lift, second.cumulative_lift) == (0.0, 0.0, 1.0)


def test_log_loss_of_certain_errors_is_finite() -> None:
    assert log_loss([1], [0.0]) == pytest.approx(52 * math.log(2))
    assert log_loss([-1], [1.0]) == pytest.approx(52 * math.log(2))
    assert log_loss([1, -1], [1.0, 0.0]) < 1e-15


def test_large_samples_stay_exact() -> None:
    """100,000 rows: 10^10 pairs, more than 32 bits."""
    y = np.where(np.arange(100_000) % 2 == 0, 1, -1)
    assert roc_auc(y, np.arange(100_000)) == 0.5 - 0.5 / 50_000


# --- bad input ---------------------------------------------------------------------------------------------------

BAD_LABELS = [None, [1, 1], [-1, -1], [0, 1], [1, 2], [True, False], [1.0, math.nan], ["1", "-1"], [[1, -1]], [], [1, None], [0.5, -1]]
BAD_SCORES = [None, [0.1], [0.1, 0.2, 0.3], [0.1, math.nan], [math.inf, 0.0], ["a", "b"], [[0.1, 0.2]], [], [True, False], [1j, 2j]]


@pytest.mark.parametrize("metric", [roc_auc, ks, lift, gains_table, operating_points])
@pytest.mark.parametrize("y", BAD_LABELS)
def test_labels_are_refused(metric: object, y: object) -> None:
    with pytest.raises(InputError) as error:
        metric(y, [0.1, 0.2])  # type: ignore[operator]
    assert error.value.argument == "y_true"


@pytest.mark.parametrize("metric", [roc_auc, ks, lift, gains_table, operating_points])
@pytest.mark.parametrize("scores", BAD_SCORES)
def test_scores_are_refused(metric: object, scores: object) -> None:
    with pytest.raises(InputError) as error:
        metric([1, -1], scores)  # type: ignore[operator]
    assert error.value.argument == "y_score"


@pytest.mark.parametrize("share", [0.0, -0.1, 1.0001, math.nan, math.inf, None, "0.1", True])
def test_share_is_refused(share: object) -> None:
    with pytest.raises(InputError) as error:
        lift([1, -1], [0.1, 0.2], share)
    assert error.value.argument == "share"


@pytest.mark.parametrize("n_bins", [0, 3, -1, 2.0, True, None, "2"])
def test_n_bins_is_refused(n_bins: object) -> None:
    with pytest.raises(InputError) as error:
        gains_table([1, -1], [0.1, 0.2], n_bins)
    assert error.value.argument == "n_bins"


@pytest.mark.parametrize("p", [*BAD_SCORES, [-0.1, 0.5], [0.5, 1.0001]])
def test_probabilities_are_refused(p: object) -> None:
    with pytest.raises(InputError) as error:
        log_loss([1, -1], p)
    assert error.value.argument == "probability"


def test_brier_score_and_calibration_error_are_their_definitions() -> None:
    rng = np.random.default_rng(4)
    p = rng.random(997)
    y = np.where(rng.random(997) < p**1.3, 1, -1)
    assert metrics.brier_score(y, p) == pytest.approx(np.mean((p - (y > 0)) ** 2))
    bins = np.array_split(np.argsort(p), 10)
    assert metrics.calibration_error(y, p) == pytest.approx(sum(abs(p[b].mean() - (y[b] > 0).mean()) * len(b) for b in bins) / 997)
    assert metrics.calibration_error(y, p) > 0.04 > metrics.calibration_error(np.where(rng.random(997) < p, 1, -1), p)
    assert metrics.brier_score([1, -1], [1.0, 0.0]) == metrics.calibration_error([1, -1], [1.0, 0.0], 2) == 0.0
    assert metrics.brier_score([1, -1], [0.0, 1.0]) == metrics.calibration_error([1, -1], [0.0, 1.0], 2) == 1.0


@pytest.mark.parametrize("bad", [[0.5], [0.5, 1.5], [0.5, math.nan], None])
def test_probabilities_that_are_none_are_refused(bad: object) -> None:
    for metric in (metrics.brier_score, metrics.calibration_error):
        with pytest.raises(InputError):
            metric([1, -1], bad)
    with pytest.raises(InputError):
        metrics.calibration_error([1, -1], [0.1, 0.2], 3)
