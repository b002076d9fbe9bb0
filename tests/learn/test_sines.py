"""The sines of several hosts' residual: cosines and sines with the library's values, the series, and sums of angles."""

from __future__ import annotations

import numpy as np
import pytest

from vflfast.learn.sines import FIRST_BITS, NEXT_BITS, TERMS, L, coefficients, factors, residual_bits, waves, whole
from vflfast.protocol.chain import columns_bound, plain_residual
from vflfast.protocol.forward import SERIES_BOUND


def test_waves_are_cosines_and_sines_of_odd_multiples() -> None:
    u = np.linspace(-L, L, 4001)
    cosines, sines = waves(u, 1)
    for k in range(TERMS):
        np.testing.assert_allclose(cosines[k], np.cos((2 * k + 1) * np.pi * u / (2 * L)), atol=2e-14)
        np.testing.assert_allclose(sines[k], np.sin((2 * k + 1) * np.pi * u / (2 * L)), atol=2e-14)


@pytest.mark.parametrize("n_parties", [3, 4, 9])
def test_a_half_is_clipped_to_its_share(n_parties: int) -> None:
    ends = np.array([-1e9, -L / n_parties, L / n_parties, 1e9])
    cosines, sines = waves(ends, n_parties)
    np.testing.assert_array_equal(cosines[:, 0], cosines[:, 1])
    np.testing.assert_array_equal(sines[:, 2], sines[:, 3])


def test_the_series_is_the_sigmoid_within_its_range_and_comes_back_beyond() -> None:
    u = np.linspace(-L, L, 5001)
    series = 0.5 + np.array(coefficients()) @ waves(u, 1)[1]
    assert np.abs(series - 1 / (1 + np.exp(-u))).max() < 8.5e-4
    beyond = 0.5 + sum(a * np.sin((2 * k + 1) * np.pi * 2 * L / (2 * L)) for k, a in enumerate(coefficients()))
    assert abs(beyond - 1) > 0.4  # at u = 2L it says ½


@pytest.mark.parametrize("n_hosts", [2, 3, 5, 8])
def test_the_residual_of_many_halves(n_hosts: int) -> None:
    rng = np.random.default_rng(n_hosts)
    n, limit = 3000, L / (n_hosts + 1)
    halves = [np.clip(rng.normal(0, 1 / np.sqrt(n_hosts + 1), n), -limit, limit) for _ in range(n_hosts + 1)]
    labels = np.where(rng.random(n) < 0.3, 1, -1).astype(np.int8)
    found = plain_residual(halves[0], halves[1:], labels).astype(float) / 2.0 ** residual_bits(n_hosts)
    error = found - (1 / (1 + np.exp(-np.sum(halves, axis=0))) - (labels > 0))
    assert np.sqrt((error**2).mean()) < 2e-3
    assert abs(error.mean()) < 3e-4
    assert np.abs(found).max() < SERIES_BOUND
    swapped = plain_residual(halves[0], halves[1:], -labels).astype(float) / 2.0 ** residual_bits(n_hosts)
    assert np.abs(swapped - found).min() > 0.9  # the labels are in it


def test_columns_stay_within_their_bounds() -> None:
    rng = np.random.default_rng(0)
    first = [whole(part, FIRST_BITS) for part in waves(rng.uniform(-4, 4, 500), 3)]
    second = [whole(part, NEXT_BITS) for part in waves(rng.uniform(-4, 4, 500), 3)]
    assert max(np.abs(part).max() for part in first) <= columns_bound(0)
    turned = [first[0] * second[0] - first[1] * second[1], first[1] * second[0] + first[0] * second[1]]
    assert max(np.abs(part).max() for part in turned) <= columns_bound(1)
    assert max(np.abs(part).max() for part in factors(rng.uniform(-4, 4, 500), 3)) <= 1 << NEXT_BITS
