"""Standard errors, variance inflation and correlations from sums: against numpy on the rows themselves, and against repeated samples."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from vflfast.errors import InputError
from vflfast.learn.inference import Inference, Moments, correlations, inflation, standard_errors, strongest
from vflfast.learn.uncertainty import Coefficient

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

BITS = 24


def moments(columns: Ints, curvature: Floats) -> tuple[Moments, Floats]:
    """The sums of columns (n_rows × d), and the curvature that they hold, rounded to BITS."""
    weights = np.rint(curvature * (1 << BITS)).astype(np.int64)
    rows = np.hstack([np.ones((len(columns), 1), dtype=np.int64), columns]).astype(object)
    return Moments(rows.T @ rows, (rows.T * weights) @ rows, 1.0 / (1 << BITS)), weights / (1 << BITS)


def sandwich(columns: Ints, curvature: Floats, alpha: float, n_own: int) -> tuple[Floats, float]:
    """As `standard_errors`, from the rows and by numpy."""
    n_rows = len(columns)
    mean, scale = columns.mean(axis=0), columns.std(axis=0)
    design = np.hstack([np.ones((n_rows, 1)), (columns - mean) / scale])
    information = (design.T * curvature) @ design
    inverse = np.linalg.inv(information + alpha * n_rows * np.diag([0.0, *[1.0] * len(mean)]))
    covariance = inverse @ information @ inverse
    direction = np.concatenate([[1.0], -(mean / scale)[:n_own], np.zeros(len(mean) - n_own)])
    return np.sqrt(covariance.diagonal()[1:]) / scale, math.sqrt(direction @ covariance @ direction)


def table(n_rows: int, d: int, seed: int, largest: int = 5) -> tuple[Ints, Floats]:
    rng = np.random.default_rng(seed)
    shared = rng.normal(size=(n_rows, 1))
    columns = np.clip(np.rint(shared + rng.normal(size=(n_rows, d)) * 1.5 + 2), 0, largest).astype(np.int64)
    return columns, rng.uniform(0.01, 0.25, n_rows)


@pytest.mark.parametrize("alpha", [0.0, 1e-3, 0.3])
@pytest.mark.parametrize(("n_rows", "d", "n_own"), [(50, 1, 1), (50, 1, 0), (400, 7, 3), (3000, 40, 25)])
def test_errors_are_those_of_the_rows(n_rows: int, d: int, n_own: int, alpha: float) -> None:
    columns, drawn = table(n_rows, d, seed=n_rows + d)
    sums, curvature = moments(columns, drawn)
    errors, intercept = standard_errors(sums, alpha, n_own)
    expected, expected_intercept = sandwich(columns, curvature, alpha, n_own)
    np.testing.assert_allclose(errors, expected, rtol=1e-8)
    assert intercept == pytest.approx(expected_intercept, rel=1e-8)


def test_without_a_penalty_they_are_the_inverse_information() -> None:
    columns, drawn = table(500, 4, seed=1)
    sums, curvature = moments(columns, drawn)
    design = np.hstack([np.ones((500, 1)), columns])
    expected = np.sqrt(np.linalg.inv((design.T * curvature) @ design).diagonal())
    errors, intercept = standard_errors(sums, 0.0, 4)
    np.testing.assert_allclose([intercept, *errors], expected, rtol=1e-8)


def test_they_are_how_much_fits_vary() -> None:
    """300 samples of one model: the deviation of the fitted weights, which has an error of 4 % itself."""
    rng, weights = np.random.default_rng(5), np.array([0.8, -0.5, 0.3])
    columns = rng.integers(0, 5, (600, 3))
    design = np.hstack([np.ones((600, 1)), columns])
    true = design @ np.array([-1.0, *weights])
    fits = []
    for _ in range(300):
        y = rng.random(600) < 1 / (1 + np.exp(-true))
        beta = np.zeros(4)
        for _ in range(8):
            p = 1 / (1 + np.exp(-design @ beta))
            beta += np.linalg.solve((design.T * (p * (1 - p))) @ design, design.T @ (y - p))
        fits.append(beta)
    p = 1 / (1 + np.exp(-true))
    errors, intercept = standard_errors(moments(columns, p * (1 - p))[0], 0.0, 3)
    np.testing.assert_allclose([intercept, *errors], np.std(fits, axis=0), rtol=0.15)


def test_a_constant_column_has_none_and_does_no_harm() -> None:
    columns, drawn = table(300, 4, seed=2)
    columns[:, 2] = 3
    others = np.delete(columns, 2, axis=1)
    errors, intercept = standard_errors(moments(columns, drawn)[0], 1e-3, 4)
    expected, expected_intercept = standard_errors(moments(others, drawn)[0], 1e-3, 3)
    np.testing.assert_array_equal(errors, np.insert(expected, 2, np.nan))
    assert intercept == expected_intercept
    found = inflation(correlations(moments(columns, drawn)[0].plain), np.arange(4))
    assert math.isnan(found[2])
    assert np.isfinite(np.delete(found, 2)).all()


def test_what_is_not_determined_is_infinite() -> None:
    """All levels of a category add up to the constant: without a penalty no level has a weight of its own; others have."""
    rng = np.random.default_rng(3)
    levels = np.eye(3, dtype=np.int64)[rng.integers(0, 3, 500)]
    columns, drawn = np.hstack([levels, rng.integers(0, 4, (500, 1))]), rng.uniform(0.1, 0.25, 500)
    sums, curvature = moments(columns, drawn)
    errors, intercept = standard_errors(sums, 0.0, 4)
    assert np.isinf(errors[:3]).all()
    assert math.isinf(intercept)
    np.testing.assert_allclose(errors[3], sandwich(columns[:, 1:], curvature, 0.0, 3)[0][2], rtol=1e-6)
    penalised = standard_errors(sums, 1e-2, 4)[0]
    np.testing.assert_allclose(penalised, sandwich(columns, curvature, 1e-2, 4)[0], rtol=1e-6)
    found = inflation(correlations(sums.plain), np.arange(4))
    assert np.isinf(found[:3]).all()
    assert 1.0 <= found[3] < 1.1


def regression(columns: Ints, column: int, others: Ints) -> float:
    """1/(1 − R²) of a column on others, by least squares."""
    design = np.hstack([np.ones((len(columns), 1)), others])
    y = columns[:, column] - columns[:, column].mean()
    fitted = design @ np.linalg.lstsq(design, y, rcond=None)[0]
    return float((y @ y) / ((y - fitted) @ (y - fitted)))


def test_levels_of_a_category_do_not_inflate_each_other() -> None:
    """Three categories with all levels, one of them nearly the second; a number; two columns of one feature that are no levels."""
    rng, n_rows = np.random.default_rng(6), 800
    drawn = [rng.integers(0, 4, n_rows), rng.integers(0, 3, n_rows)]
    drawn.append(np.where(rng.random(n_rows) < 0.8, drawn[1], rng.integers(0, 3, n_rows)))
    levels = [np.eye(one.max() + 1, dtype=np.int64)[one] for one in drawn]
    number = np.clip(np.rint(drawn[0] + rng.normal(size=n_rows)), 0, 6).astype(np.int64)[:, None]
    pair = np.stack([rng.integers(0, 5, n_rows), (rng.random(n_rows) < 0.2).astype(np.int64)], axis=1)
    columns = np.hstack([*levels, number, pair])
    features = np.repeat(np.arange(5), [4, 3, 3, 1, 2])
    found = inflation(correlations(moments(columns, np.full(n_rows, 0.2))[0].plain), features)
    for column, feature in enumerate(features):
        assert found[column] == pytest.approx(regression(columns, column, columns[:, features != feature]), rel=1e-6), column
    assert found[4:10].min() > 1.5
    mixed = rng.permutation(len(features))
    again = inflation(correlations(moments(columns[:, mixed], np.full(n_rows, 0.2))[0].plain), features[mixed])
    np.testing.assert_allclose(again, found[mixed], rtol=1e-6)


def test_a_feature_that_another_one_repeats_is_infinite() -> None:
    rng = np.random.default_rng(7)
    levels = np.eye(3, dtype=np.int64)[rng.integers(0, 3, 400)]
    columns = np.hstack([levels, levels, rng.integers(0, 5, (400, 1))])
    found = inflation(correlations(moments(columns, np.full(400, 0.2))[0].plain), np.repeat(np.arange(3), [3, 3, 1]))
    assert np.isinf(found[:6]).all()
    assert found[6] < 1.1


@pytest.mark.parametrize(("n_rows", "d"), [(60, 2), (500, 12), (2000, 60)])
def test_inflation_and_correlations_are_those_of_the_rows(n_rows: int, d: int) -> None:
    columns, drawn = table(n_rows, d, seed=d)
    columns[:, -1] = columns[:, 0] * 3 + (np.arange(n_rows) % 7 == 0)  # nearly the same
    expected = np.corrcoef(columns.T)
    found = correlations(moments(columns, drawn)[0].plain)
    np.testing.assert_allclose(found, expected, atol=1e-12)
    np.testing.assert_allclose(inflation(found, np.arange(d)), np.linalg.inv(expected).diagonal(), rtol=1e-7)
    values, partners = strongest(found, slice(0, 1))
    assert partners[0] == d - 1
    assert values[0] == found[0, d - 1]


def test_sums_that_no_rows_have_are_refused() -> None:
    columns, drawn = table(100, 3, seed=4)
    sums = moments(columns, drawn)[0]
    few = sums.plain.copy()
    few[1, 1] = 0  # Σz² below what Σz asks for
    for plain in (few, np.zeros_like(few)):
        with pytest.raises(InputError, match="no rows have these sums"):
            standard_errors(Moments(plain, sums.weighted, sums.step), 0.0, 3)
    turned = Moments(sums.plain, -sums.weighted, sums.step)
    with pytest.raises(InputError, match="no rows have these sums"):
        standard_errors(turned, 0.0, 3)


def test_a_coefficient_by_hand() -> None:
    row = Coefficient.of(1.0, 0.5)
    assert (row.value, row.error, row.z) == (1.0, 0.5, 2.0)
    assert row.p == pytest.approx(0.04550026389635842)  # 2·(1 − Φ(2))
    assert (row.low, row.high) == pytest.approx((1.0 - 0.979981992270027, 1.0 + 0.979981992270027))
    assert Coefficient.of(-1.0, 0.5).p == row.p
    undetermined, constant = Coefficient.of(1.0, math.inf), Coefficient.of(0.0, math.nan)
    assert (undetermined.p, undetermined.low, undetermined.high) == (1.0, -math.inf, math.inf)
    assert math.isnan(constant.p)


def test_numbers_for_json() -> None:
    errors, inflated, correlation = np.array([0.5, np.nan, np.inf]), np.array([1.0, np.nan, np.inf]), np.array([0.1, 0.0, -0.9])
    made = Inference(errors, None, inflated, correlation, np.array([2, 0, 1]))
    assert made.to_dict() == {
        "errors": [0.5, None, "inf"], "inflation": [1.0, None, "inf"], "correlation": [0.1, 0.0, -0.9], "partners": [2, 0, 1],
        "intercept_error": None,
    }  # fmt: skip
