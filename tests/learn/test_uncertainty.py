"""Intervals of AUCs against definitions counted pair by pair, a published example, and what they promise: coverage."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from vflfast.errors import InputError
from vflfast.learn.metrics import roc_auc
from vflfast.learn.uncertainty import auc_covariance, auc_interval, auc_test, rate_interval

ROWS = st.lists(st.tuples(st.sampled_from([-1, 1]), st.integers(-3, 3), st.integers(-3, 3)), min_size=4, max_size=30).filter(
    lambda rows: min(sum(r[0] == s for r in rows) for s in (-1, 1)) >= 2
)


def by_pairs(y: Any, scores: list[Any]) -> tuple[Any, Any]:
    """DeLong's estimate from its definition: structural components by counting pairs."""
    above, below = [], []
    for s in scores:
        kernel = np.array([[(a > b) + (a == b) / 2 for b in s[y < 0]] for a in s[y > 0]])
        above.append(kernel.mean(axis=1))
        below.append(kernel.mean(axis=0))
    a, b = np.array(above), np.array(below)
    centred = [side - side.mean(axis=1, keepdims=True) for side in (a, b)]
    return a.mean(axis=1), sum(side @ side.T / (side.shape[1] - 1) / side.shape[1] for side in centred)


@given(ROWS)
@settings(max_examples=200, deadline=None)
def test_the_covariance_is_that_of_counted_pairs(rows: list[tuple[int, int, int]]) -> None:
    y, first, second = np.array(rows).T
    aucs, covariance = auc_covariance(y, [first, second])
    expected, spread = by_pairs(y, [first, second])
    assert aucs == pytest.approx(expected, abs=1e-12)
    assert aucs == pytest.approx([roc_auc(y, first), roc_auc(y, second)], abs=1e-12)
    assert covariance == pytest.approx(spread, abs=1e-12)


def test_a_monotonic_change_of_a_score_changes_nothing() -> None:
    rng = np.random.default_rng(1)
    y, s = rng.choice([-1, 1], 200), rng.normal(size=200)
    plain, cubed = auc_interval(y, s), auc_interval(y, s**3)
    assert plain == cubed
    test = auc_test(y, s, s**3)
    assert (test.difference.value, test.z, test.p_value) == (0.0, 0.0, 1.0)


def simulated(rng: np.random.Generator, n: int, shift: float) -> tuple[Any, Any, Any]:
    y = rng.choice([-1, 1], n, p=[0.8, 0.2])
    shared = rng.normal(size=n)
    return y, shared + rng.normal(size=n) + shift * (y > 0), shared + rng.normal(size=n) + 0.7 * (y > 0)


def test_intervals_cover_the_truth_as_often_as_they_say() -> None:
    """The AUC of N(0.7, 2) against N(0, 2) is Φ(0.7/2); 95 % of 600 intervals hold it, within four standard errors of that share."""
    rng, truth = np.random.default_rng(2), 0.5 + 0.13683065  # Φ(0.35) − ½
    held = 0
    for _ in range(600):
        y, _, second = simulated(rng, 300, 0.0)
        found = auc_interval(y, second)
        held += found.low <= truth <= found.high
    assert 0.914 < held / 600 < 0.986


def test_the_test_of_equal_scores_errs_as_often_as_it_says_and_sees_a_difference() -> None:
    rng = np.random.default_rng(3)
    false = sum(auc_test(*simulated(rng, 300, 0.7)).p_value < 0.05 for _ in range(600)) / 600
    assert 0.014 < false < 0.086
    seen = auc_test(*simulated(rng, 4000, 1.4))
    assert seen.p_value < 1e-6
    assert seen.difference.low > 0
    turned = auc_test(*(lambda y, a, b: (y, b, a))(*simulated(np.random.default_rng(3), 4000, 1.4)))
    assert turned.difference.high < 0


def test_shares_have_wilsons_interval() -> None:
    """Newcombe 1998, table I: 81 of 263, 15 of 148, 0 of 20, 1 of 29."""
    for events, rows, low, high in ((81, 263, 0.2553, 0.3662), (15, 148, 0.0624, 0.1605), (0, 20, 0.0, 0.1611), (1, 29, 0.0061, 0.1718)):
        found = rate_interval(events, rows)
        assert (found.low, found.high) == pytest.approx((low, high), abs=5e-5)
    assert rate_interval(5, 5).high == 1.0


REFUSED: list[Callable[[], object]] = [
    lambda: auc_interval([1, -1, -1], [1, 2, 3]), lambda: auc_interval([1, 1, -1, -1], [1, 2, 3]),
    lambda: auc_interval([1, 1, -1, -1], [1, 2, 3, np.nan]), lambda: auc_interval([1, 1, 0, 0], [1, 2, 3, 4]),
    lambda: auc_interval([1, 1, -1, -1], [1, 2, 3, 4], 1.0), lambda: auc_interval([1, 1, -1, -1], [1, 2, 3, 4], 0.0),
    lambda: auc_test([1, 1, -1, -1], [1, 2, 3, 4], [1, 2, 3]), lambda: rate_interval(3, 2), lambda: rate_interval(-1, 2),
    lambda: rate_interval(0, 0),
]  # fmt: skip


@pytest.mark.parametrize("call", REFUSED)
def test_refusals(call: Callable[[], object]) -> None:
    with pytest.raises(InputError):
        call()
