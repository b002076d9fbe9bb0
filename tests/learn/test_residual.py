"""The tables of the logistic residual: how near they come to σ(a + b), their bounds, and the two numbers that they are made from."""

from __future__ import annotations

import math

import numpy as np
import pytest

from vflfast.errors import BoundError
from vflfast.learn import residual
from vflfast.learn.residual import RESIDUAL_BITS, Range, agreed_centre, agreed_range, agreed_scale, guest_range, is_agreed, tables

SCALES = [2.0 ** (k / 2) for k in range(-8, 5)]
Z = {"host": np.linspace(-6, 6, residual.B_POINTS), "guest": np.linspace(-12, 12, residual.A_POINTS)}


def sigma(u: np.ndarray) -> np.ndarray:
    return np.asarray(1 / (1 + np.exp(-u)))


def found(guest: Range, host: Range, a: np.ndarray, b: np.ndarray) -> np.ndarray:
    made = tables(guest, host)
    constant, factors = made.multipliers(a)
    return np.asarray((constant + (factors * made.columns(b)).sum(axis=0)) / 2.0**RESIDUAL_BITS)


def rms(values: np.ndarray) -> float:
    return math.sqrt((values**2).mean())


@pytest.mark.parametrize("guest", [(0.0, 1 / 16), (-2.0, 0.5), (-1.0, 1.0), (3.0, 4.0)])
@pytest.mark.parametrize("centre", [-3.0, 0.5])
@pytest.mark.parametrize("scale", SCALES)
def test_it_is_the_sigmoid_of_the_sum(scale: float, centre: float, guest: Range) -> None:
    rng = np.random.default_rng(1)
    host = agreed_centre(centre, scale), scale
    a, b = rng.normal(guest[0], 0.85 * guest[1], 20_000), rng.normal(host[0], 0.85 * scale, 20_000)
    error = found(guest, host, a, b) - sigma(a + b)
    assert rms(error) < 1.5e-3
    assert abs(error.mean()) < 2e-4


@pytest.mark.parametrize("guest", [(0.0, 1 / 16), (-2.0, 0.5), (-1.0, 1.0), (3.0, 4.0)])
@pytest.mark.parametrize("scale", SCALES)
def test_the_curvature_comes_from_the_same_columns(scale: float, guest: Range) -> None:
    rng = np.random.default_rng(1)
    made = tables(guest, (-0.5, scale))
    a, b = rng.normal(guest[0], 0.85 * guest[1], 20_000), rng.normal(-0.5, 0.85 * scale, 20_000)
    constant, factors = made.curvature_multipliers(a)
    columns = made.columns(b, residual.CURVATURE_PHI_BITS)
    whole = constant + (factors * columns).sum(axis=0)
    true = sigma(a + b) * sigma(-a - b)
    error = whole / 2.0**residual.CURVATURE_BITS - true
    assert rms(error) < 0.06 * true.mean()
    assert abs(error.mean()) < 0.02 * true.mean()
    assert np.abs(whole).max() <= 1 << residual.CURVATURE_BITS


@pytest.mark.parametrize("scale", [1 / 4, 1.0, 4.0])
def test_heavy_tails_are_followed(scale: float) -> None:
    """Student's t with three degrees of freedom; the control is the expansion to second order."""
    rng = np.random.default_rng(2)
    a, b = (0.6 * rng.standard_t(3, 20_000) for _ in range(2))
    error = found((0.0, 1.0), (0.0, scale), a, b * scale) - sigma(a + b * scale)
    assert rms(error) < 6e-3  # that of one row beyond the ends
    assert np.quantile(np.abs(error), 0.999) < 2e-2
    assert rms((a + b * scale) / 4 + 0.5 - sigma(a + b * scale)) > 20 * rms(error)


def test_a_guest_half_beyond_its_scale_is_still_exact() -> None:
    """c_k are functions of u′ on twelve either side, however little u′ varies as a rule."""
    rng = np.random.default_rng(3)
    a, b = rng.uniform(-10, 10, 20_000), rng.normal(0, 0.85, 20_000)
    assert rms(found((0.0, 1 / 16), (0.0, 1.0), a, b) - sigma(a + b)) < 0.02
    assert rms(found((0.0, 1.0), (0.0, 1.0), a, b) - sigma(a + b)) < 0.005


@pytest.mark.parametrize(("guest", "host", "columns"), [(1.0, 1.0, 4), (1.0, 2.0, 6), (0.5, 4.0, 6), (4.0, 4.0, 15), (1 / 16, 1 / 16, 1)])
def test_both_scales_say_how_many_columns(guest: float, host: float, columns: int) -> None:
    made = tables((0.0, guest), (0.0, host))
    assert len(made.phi) == len(made.factors) - 1 == columns


def test_too_few_columns_show() -> None:
    """The control of K: with half as many columns the error is four times as large and more."""
    rng = np.random.default_rng(2)
    a, b = rng.normal(0, 0.85, 20_000), rng.normal(0, 1.7, 20_000)
    many = found((0.0, 1.0), (0.0, 2.0), a, b) - sigma(a + b)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residual, "MOST_COLUMNS", 3)
        tables.cache_clear()
        few = found((0.0, 1.0), (0.0, 2.0), a, b) - sigma(a + b)
    tables.cache_clear()
    assert rms(few) > 4 * rms(many)


GUESTS = [(0.0, 1 / 16), (-8.0, 0.5), (0.0, 1.0), (-3.0, 4.0)]


@pytest.mark.parametrize("guest", GUESTS)
@pytest.mark.parametrize("host", [(0.0, 1 / 16), (2.0, 0.5), (0.0, 1.0), (0.0, 2.0), (-6.0, 4.0), (0.0, 4.0)])
def test_no_two_halves_exceed_the_agreed_bound(guest: Range, host: Range) -> None:
    """On all pairs of points, at which the extremes of a sum linear in either are, and beyond the ends."""
    made = tables(guest, host)
    a = guest[0] + np.linspace(-1.1, 1.1, 662) * residual.guest_end(guest[1])
    b = host[0] + np.linspace(-1.1, 1.1, 882) * residual.host_end(host[1])
    constant, factors = made.multipliers(a)
    columns = made.columns(b)
    assert np.abs(columns).max() <= 1 << residual.PHI_BITS
    value = constant[:, None] + factors.T @ columns
    assert np.abs(value).max() <= residual.BOUND
    assert np.abs(value - (1 << RESIDUAL_BITS)).max() <= residual.BOUND


def test_the_sum_is_held_within_its_bound_and_would_not_be_otherwise() -> None:
    """The control: the least squares alone leave it far from the centres, where few rows are."""
    guest, host = (-8.0, 0.25), (0.0, 1 / 16)
    made = tables(guest, host)
    held = made.factors[0][:, None] + made.factors[1:].T @ made.phi
    assert held.max() <= residual.HIGHEST + 1e-9
    assert held.min() >= residual.LOWEST - 1e-9
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(residual, "_held", lambda *_: 1.0)
        tables.cache_clear()
        free = tables(guest, host)
    tables.cache_clear()
    loose = free.factors[0][:, None] + free.factors[1:].T @ free.phi
    assert max(loose.max() - 1, -loose.min()) > 10


def test_functions_are_orthonormal_and_c_is_the_least_squares() -> None:
    """In the weighted inner product, without the constant function; where nothing has to be held."""
    made = tables((0.0, 1.0), (0.0, 1.0))
    z = Z["host"]
    weight = np.exp(-z * z / 2) + 0.03 * np.exp(-np.abs(z) / 2)
    gram = (made.phi * weight) @ made.phi.T / weight.sum()
    np.testing.assert_allclose(gram - np.diag(np.diag(gram)), 0, atol=1e-12)
    np.testing.assert_allclose((made.phi * weight).sum(axis=1) / weight.sum(), 0, atol=1e-12)
    points = [0, 200, 333, 600]
    system = np.vstack([np.ones_like(z), made.phi]).T * np.sqrt(weight)[:, None]
    expected = np.linalg.lstsq(system, sigma(Z["guest"][points][None, :] + z[:, None]) * np.sqrt(weight)[:, None], rcond=None)[0]
    np.testing.assert_allclose(made.factors[:, points], expected, atol=1e-9)


def test_functions_are_the_leading_ones() -> None:
    """No K functions leave less of σ(a + b) than the first K singular ones, by numpy's decomposition."""
    made = tables((0.0, 1.0), (0.0, 2.0))
    z, a = Z["host"], Z["guest"]
    weight, rows = (np.exp(-x * x / 2) + 0.03 * np.exp(-np.abs(x) / 2) for x in (z, a))
    weight, rows = weight / weight.sum(), rows / rows.sum()
    values = sigma(a[:, None] + 2 * z[None, :])
    centred = (values - (values @ weight)[:, None]) * np.sqrt(weight) * np.sqrt(rows)[:, None]
    singular = np.linalg.svd(centred, compute_uv=False)
    kept = values - made.factors[0][:, None] - made.factors[1:].T @ made.phi
    left = math.sqrt((kept**2 * weight[None, :] * rows[:, None]).sum())
    best = math.sqrt((singular[len(made.phi) :] ** 2).sum())
    assert best <= left <= min(1.05 * best, residual.ERROR)


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


def test_the_guest_half_may_vary_as_it_likes() -> None:
    half = np.random.default_rng(0).normal(0, 50, 1000)
    centre, scale = guest_range(half)
    assert scale == residual.LARGEST_SCALE
    assert is_agreed(centre, scale)
    assert abs(centre - half.mean()) <= 0.25


# --- the loss of rows held out -----------------------------------------------------------------------------------


def loss_found(guest: Range, host: Range, a: np.ndarray, b: np.ndarray, y: np.ndarray) -> np.ndarray:
    made = tables(guest, host, judging=True)
    constant, factors = made.loss_multipliers(a, y)
    return np.asarray((constant + (factors * made.columns(b)).sum(axis=0)) / 2.0**RESIDUAL_BITS)


@pytest.mark.parametrize(("guest", "host"), [
    ((-2.0, 1.0), (0.0, 1.0)), ((-3.0, 0.5), (0.0, 1 / 16)), ((0.0, 4.0), (0.0, 4.0)), ((-1.0, 2.0), (0.0, 2.0)),
    ((1.5, 0.5), (0.0, 2.0)), ((1.0, 0.25), (0.5, 4.0)),
])  # fmt: skip
def test_the_mean_loss_comes_from_the_same_columns(guest: Range, host: Range) -> None:
    rng = np.random.default_rng(5)
    a, b = rng.normal(guest[0], 0.85 * guest[1], 40_000), rng.normal(host[0], 0.85 * host[1], 40_000)
    y = np.where(rng.random(40_000) < sigma(a + b), 1, -1).astype(np.int8)
    true = np.logaddexp(0, -y * (a + b))
    found = loss_found(guest, host, a, b, y)
    assert abs(found.mean() / true.mean() - 1) < 1e-3
    swapped = loss_found(guest, host, a, b, -y)  # the control: the other label
    assert abs(swapped.mean() / true.mean() - 1) > 0.5


@pytest.mark.parametrize("guest", [(0.0, 1 / 16), (-500.0, 4.0), (0.0, 4.0)])
@pytest.mark.parametrize("host", [(0.0, 1 / 16), (6.0, 4.0)])
def test_no_loss_exceeds_its_bound(guest: Range, host: Range) -> None:
    a = np.repeat(np.array([-1e6, -12.0, 0.0, 12.0, 1e6]), 5)
    b = np.tile(np.array([-1e6, -12.0, 0.0, 12.0, 1e6]), 5)
    for label in (1, -1):
        assert np.abs(loss_found(guest, host, a, b, np.full(25, label, dtype=np.int8))).max() <= residual.LARGEST_LOSS


def test_a_run_that_searches_tells_any_scale() -> None:
    half = np.random.default_rng(0).normal(0, 5, 1000)
    told = agreed_range(half, 100.0)
    assert told[1] > residual.LARGEST_SCALE
    assert residual.within(told)[1] == residual.LARGEST_SCALE
    assert is_agreed(*told, tolerant=True)
    assert not is_agreed(*told)


def test_a_half_beyond_its_bound_tells_a_scale_that_is_too_large() -> None:
    half = np.zeros(1000)
    half[0] = 20.0
    for of in (agreed_range, guest_range):
        assert of(half, 20.0)[1] < 1
        told = of(half, 19.9)
        assert told[1] == 2 * residual.LARGEST_SCALE
        assert is_agreed(*told, tolerant=True)
