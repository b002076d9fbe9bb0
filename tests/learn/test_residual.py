"""The tables of the logistic residual: how near they come to σ(a + b), their bounds, and the two numbers that they are made from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vflfast.errors import BoundError
from vflfast.learn import residual
from vflfast.learn.residual import RESIDUAL_BITS, agreed_centre, agreed_range, agreed_scale, columns_of, is_agreed, tables

SCALES = [2.0 ** (k / 2) for k in range(-8, 5)]


def sigma(u: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-u)))


def found(centre: float, scale: float, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    made = tables(centre, scale)
    constant, factors = made.multipliers(a)
    return np.asarray((constant + (factors * made.columns(b)).sum(axis=0)) / 2.0**RESIDUAL_BITS)


@pytest.mark.parametrize("centre", [-3.0, 0.0, 0.5])
@pytest.mark.parametrize("scale", SCALES)
def test_it_is_the_sigmoid_of_the_sum(scale: float, centre: float) -> None:
    rng = np.random.default_rng(1)
    a, b = rng.normal(-1, 2, 20_000), rng.normal(centre, 0.85 * scale, 20_000)
    error = found(agreed_centre(centre, scale), scale, a, b) - sigma(a + b)
    assert math.sqrt((error**2).mean()) < 2.5e-3
    assert abs(error.mean()) < 2e-4
    taylor = (a + b) / 4 + 0.5 - sigma(a + b)  # the control: what is used without it
    assert math.sqrt((taylor**2).mean()) > 20 * math.sqrt((error**2).mean())


def test_too_few_columns_show() -> None:
    """The control of K: with half as many columns the error is four times as large and more."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(-1, 2, 20_000), rng.normal(0, 0.85, 20_000)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residual, "columns_of", lambda _: 3)
        tables.cache_clear()
        few = found(0.0, 1.0, a, b) - sigma(a + b)
    tables.cache_clear()
    many = found(0.0, 1.0, a, b) - sigma(a + b)
    assert few.std() > 4 * many.std()


@pytest.mark.parametrize("scale", SCALES)
def test_no_two_halves_exceed_the_agreed_bound(scale: float) -> None:
    made = tables(0.0, scale)
    assert made.bound <= residual.BOUND
    ends = np.array([-1e6, -12.0, -3.3, 0.0, 4.4, 12.0, 1e6])
    constant, factors = made.multipliers(np.repeat(ends, ends.size))
    columns = made.columns(np.tile(ends, ends.size))
    assert np.abs(columns).max() <= 1 << residual.PHI_BITS
    assert np.abs(constant + (factors * columns).sum(axis=0)).max() + (1 << RESIDUAL_BITS) <= made.bound
    assert len(columns) == len(factors) == columns_of(scale)


def test_functions_are_orthonormal_and_c_is_the_least_squares() -> None:
    """In the weighted inner product, without the constant function."""
    made, z = tables(0.0, 1.0), np.linspace(-6, 6, residual.B_POINTS)
    weight = np.exp(-z * z / 2) + 0.01 * np.exp(-np.abs(z) / 2)
    gram = (made.phi * weight) @ made.phi.T / weight.sum()
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-12)
    np.testing.assert_allclose((made.phi * weight).sum(axis=1) / weight.sum(), 0, atol=1e-12)
    a = np.linspace(-12, 12, residual.A_POINTS)[[0, 200, 333, 600]]
    system = np.vstack([np.ones_like(z), made.phi]).T * np.sqrt(weight)[:, None]
    expected = np.linalg.lstsq(system, sigma(a[None, :] + z[:, None]) * np.sqrt(weight)[:, None], rcond=None)[0]
    np.testing.assert_allclose(made.factors[:, [0, 200, 333, 600]], expected, atol=1e-9)


ROOT_HALF = math.sqrt(0.5)


@pytest.mark.parametrize("deviation", [0.0, 0.01, 1 / 16, 0.0626, 0.5, ROOT_HALF, math.nextafter(ROOT_HALF, 1), 1.0, 1.3, 2.0, 3.9, 4.0])
def test_the_scale_is_the_next_power_of_root_2(deviation: float) -> None:
    scale = agreed_scale(deviation)
    assert scale >= max(deviation, 1 / 16)
    assert scale == 1 / 16 or scale / math.sqrt(2) < deviation * (1 + 1e-15)
    assert agreed_scale(scale) == scale
    assert any(scale == pytest.approx(known) for known in SCALES)


def test_two_numbers_are_agreed_and_others_are_refused() -> None:
    rng = np.random.default_rng(3)
    half = rng.normal(0.7, 0.9, 1000)
    centre, scale = agreed_range(half)
    assert (scale, abs(centre - half.mean()) <= scale / 16) == (1.0, True)
    assert is_agreed(centre, scale)
    for other in (0.9, 5.7, 1 / 32, math.nan, -1.0):
        assert not is_agreed(centre, other)
    for other in (centre + 0.01, math.nan, 2048.0, math.inf):
        assert not is_agreed(other, scale)
    assert agreed_range(np.zeros(10)) == (0.0, 1 / 16)


def test_a_half_that_varies_too_much_is_refused_with_the_way_on() -> None:
    with pytest.raises(BoundError, match=r"standard deviation above 4.*larger alpha.*taylor"):
        agreed_range(np.random.default_rng(0).normal(0, 5, 1000))
