"""The sines of several hosts' residual: cosines and sines with the library's values, the series, and sums of angles."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vflfast.learn.residual import LARGEST_LOSS
from vflfast.learn.sines import (
    FIRST_BITS,
    NEXT_BITS,
    TERMS_PER_L,
    Waves,
    agreed_reach,
    coefficients,
    is_reach,
    loss_coefficients,
    multiples,
    residual_bits,
    whole,
)
from vflfast.protocol.chain import columns_bound, plain_products
from vflfast.protocol.forward import SERIES_BOUND
from vflfast.protocol.multiplied import RoundWeights


def test_multiples_are_the_librarys_cosines_and_sines() -> None:
    angle = np.linspace(-np.pi / 2, np.pi / 2, 4001)
    cosines, sines = multiples(angle, 24)
    for k in range(24):
        np.testing.assert_allclose(cosines[k], np.cos((2 * k + 1) * angle), atol=2e-13)
        np.testing.assert_allclose(sines[k], np.sin((2 * k + 1) * angle), atol=2e-13)


def made(*ranges: tuple[float, float]) -> Waves:
    return Waves(ranges)


@pytest.mark.parametrize("ranges", [((0.0, 1 / 16),) * 3, ((-1.0, 4.0), (0.0, 2.0), (0.25, 8.0)), ((0.0, 16.0),) * 3, ((0.5, 8.0),) * 9])
def test_the_series_is_the_sigmoid_in_its_range_and_comes_back_beyond(ranges: tuple[tuple[float, float], ...]) -> None:
    agreed = made(*ranges)
    u = np.linspace(-agreed.length, agreed.length, 5001)
    a = np.array(coefficients(agreed.length, agreed.terms))
    series = 0.5 + a @ multiples(u * np.pi / (2 * agreed.length), agreed.terms)[1]
    assert np.abs(series - 1 / (1 + np.exp(-u))).max() < 3e-3
    assert 0.5 + a.sum() + 1 < SERIES_BOUND
    beyond = 0.5 + sum(x * np.sin((2 * k + 1) * np.pi) for k, x in enumerate(a))  # at u = 2L it says ½
    assert abs(beyond - 1) > 0.4


def test_no_sum_leaves_the_range() -> None:
    """Each half is held within its limit, and L is the sum of limits and centres."""
    ranges = ((-1.0, 4.0), (0.5, 2.0), (2.0, 8.0))
    agreed = made(*ranges)
    far = [np.array([-1e9, centre - reach, centre + reach, 1e9]) for centre, reach in ranges]
    for place, half in enumerate(far):
        cosines, sines = agreed.of(place, half)
        np.testing.assert_array_equal(cosines[:, 0], cosines[:, 1])
        np.testing.assert_array_equal(sines[:, 2], sines[:, 3])
    assert sum(reach for _, reach in ranges) + abs(sum(centre for centre, _ in ranges)) <= agreed.length


@pytest.mark.parametrize("n_hosts", [2, 3, 5, 8])
def test_the_residual_of_many_halves(n_hosts: int) -> None:
    rng = np.random.default_rng(n_hosts)
    n = 3000
    halves = [rng.normal(0.3 * k - 0.5, 2 / np.sqrt(n_hosts + 1), n) for k in range(n_hosts + 1)]
    labels = np.where(rng.random(n) < 0.3, 1, -1).astype(np.int8)
    found = plain_products(halves[0], halves[1:], labels, RoundWeights()).residual.astype(float) / 2.0 ** residual_bits(n_hosts)
    error = found - (1 / (1 + np.exp(-np.sum(halves, axis=0))) - (labels > 0))
    assert np.sqrt((error**2).mean()) < 6e-3
    assert abs(error.mean()) < 6e-4
    assert np.abs(found).max() < SERIES_BOUND
    swapped = plain_products(halves[0], halves[1:], -labels, RoundWeights()).residual.astype(float) / 2.0 ** residual_bits(n_hosts)
    assert np.abs(swapped - found).min() > 0.9  # the labels are in it


@pytest.mark.parametrize("n_hosts", [2, 3, 5])
def test_the_summed_loss_of_rows_comes_from_the_same_columns(n_hosts: int) -> None:
    rng = np.random.default_rng(n_hosts)
    halves = [rng.normal(0.3 * k - 0.8, 2 / np.sqrt(n_hosts + 1), 3000) for k in range(n_hosts + 1)]
    u = np.sum(halves, axis=0)
    labels = np.where(rng.random(3000) < 1 / (1 + np.exp(-u)), 1, -1).astype(np.int8)
    judged = (np.arange(3000) % 5 == 0).astype(np.int64) * 3
    found = plain_products(halves[0], halves[1:], labels, RoundWeights(judged=judged)).loss / 2.0 ** residual_bits(n_hosts)
    true = float((judged * np.logaddexp(0, -labels * u)).sum())
    assert abs(found / true - 1) < 0.005


def test_the_largest_loss_bounds_every_sum_of_columns() -> None:
    """The constant and both factors of every multiple, at the longest L that eight hosts and a guest can have."""
    for length in (6.0, 60.0, 300.0):
        constant, even, odd = loss_coefficients(length, math.ceil(length * TERMS_PER_L))
        assert abs(constant) + math.sqrt(2) * (np.abs(even).sum() + np.abs(odd).sum()) < LARGEST_LOSS


def test_columns_stay_within_their_bounds() -> None:
    rng = np.random.default_rng(0)
    halves = [rng.normal(0, 1, 500) for _ in range(3)]
    agreed = made(*(agreed_reach(half) for half in halves))
    first = [whole(part, FIRST_BITS) for part in agreed.of(1, halves[1])]
    second = [whole(part, NEXT_BITS) for part in agreed.of(2, halves[2])]
    assert max(np.abs(part).max() for part in first) <= columns_bound(0)
    turned = [first[0] * second[0] - first[1] * second[1], first[1] * second[0] + first[0] * second[1]]
    assert max(np.abs(part).max() for part in turned) <= columns_bound(1)
    assert max(np.abs(part).max() for part in agreed.factors(halves[0])) <= 1 << NEXT_BITS


def test_a_half_reaches_to_its_farthest_row_up_to_eight_deviations() -> None:
    rng = np.random.default_rng(0)
    half = rng.normal(0.5, 0.9, 10_000)
    centre, reach = agreed_reach(half)
    assert np.abs(half - centre).max() <= reach < 1.5 * np.abs(half - centre).max()
    half[0] = 1000.0  # one row far out does not stretch the series for all others
    assert agreed_reach(rng.normal(0.5, 0.9, 10_000)) == (centre, reach)
    assert agreed_reach(np.append(rng.normal(0, 0.9, 9_999), 15.0))[1] <= 8 * np.sqrt(2)


def test_reaches_that_are_none_are_refused() -> None:
    assert is_reach(*agreed_reach(np.random.default_rng(0).normal(0, 1, 100)))
    for centre, reach in ((0.0, 0.9), (0.0, 64.0), (0.0, 1 / 32), (np.nan, 1.0), (2000.0, 1.0), (0.0, np.nan), (np.inf, 1.0)):
        assert not is_reach(centre, reach)
