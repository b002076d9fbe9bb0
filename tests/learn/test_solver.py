"""Block updates against dense linear algebra, their convergence, and the figures on real data."""

from __future__ import annotations

import json
from fractions import Fraction
from itertools import pairwise

import numpy as np
import numpy.typing as npt
import pytest
from support.solvers import FRAC_BITS, opened, two_blocks
from threadpoolctl import threadpool_limits

from vflfast.crypto.coded import CodedMatrix
from vflfast.learn.logistic import linear_predictor, taylor_loss
from vflfast.learn.scaling import Scaling
from vflfast.learn.solver import BlockNewton, BlockSolver, GradientDescent, auto_alpha, largest_eigenvalue, local_start, taylor_optimum


def standardised(matrix: CodedMatrix) -> npt.NDArray[np.float64]:
    z = np.array([matrix.column_values[j, matrix.codes[k]] for j, k in enumerate(matrix.column_features)], dtype=float)
    centred = z - z.mean(axis=1, keepdims=True)
    spread = z.std(axis=1, keepdims=True)
    return np.divide(centred, spread, out=np.zeros_like(z), where=spread > 0).T


def train(
    solvers: list[BlockSolver], matrices: list[CodedMatrix], y: npt.NDArray[np.int8], rounds: int, start: str = "local"
) -> list[npt.NDArray[np.float64]]:
    """The rounds in plaintext; returns the joint predictor after each one."""
    thetas = [np.zeros(m.n_columns) for m in matrices]
    intercept = 0.0
    if start == "local":
        thetas[0], intercept = local_start(solvers[0], matrices[0], y)

    def predict() -> npt.NDArray[np.float64]:
        parts = [s.coefficients(t) for s, t in zip(solvers, thetas, strict=True)]
        return sum(linear_predictor(m, w, shift) for m, (w, shift) in zip(matrices, parts, strict=True)) + intercept

    history = []
    u = predict()
    for _ in range(rounds):
        gradients = [opened(m, u - 2.0 * y) for m in matrices]
        thetas = [s.update(t, sums, total, FRAC_BITS) for s, t, (sums, total) in zip(solvers, thetas, gradients, strict=True)]
        intercept += solvers[0].intercept_step(gradients[0][1], FRAC_BITS)
        u = predict()
        history.append(u)
    return history


# --- algebra -----------------------------------------------------------------------------------------------------



def test_scaling_is_mean_and_deviation() -> None:
    _, host, _ = two_blocks()
    scaling = Scaling(host)
    np.testing.assert_allclose(scaling.mean, host.codes.mean(axis=1), rtol=1e-15)
    np.testing.assert_allclose(scaling.scale, host.codes.std(axis=1), rtol=1e-13, atol=1e-15)
    assert scaling.scale[2] == 0.0
    assert scaling.varies.tolist() == [True, True, False, True, True]


def test_one_odd_row_far_from_zero_keeps_its_spread() -> None:
    """Values 2^20 and 2^20 − 1: floats of the raw sums would cancel to noise."""
    codes = np.zeros((2, 5000), dtype=np.uint8)
    codes[0, 17] = 1
    codes[1, :2500] = 1
    far = CodedMatrix(codes, [2, 2], [0, 1], [[2**20 - 1, 2**20]] * 2)  # 5000·2^40 is just below 2^53
    near = CodedMatrix(codes)
    np.testing.assert_allclose(Scaling(far).scale, Scaling(near).scale, rtol=1e-14)
    np.testing.assert_allclose(Scaling(far).correlations(far), Scaling(near).correlations(near), rtol=1e-12, atol=1e-15)


def test_correlations_are_those_of_standardised_columns() -> None:
    guest, host, _ = two_blocks()
    for matrix in (guest, host):
        x = standardised(matrix)
        np.testing.assert_allclose(Scaling(matrix).correlations(matrix), x.T @ x / matrix.n_rows, atol=1e-13)


def test_gradient_is_that_of_standardised_columns() -> None:
    guest, _, _ = two_blocks()
    four_g = np.rint(np.random.default_rng(0).normal(size=guest.n_rows) * 2**FRAC_BITS) / 2**FRAC_BITS
    sums, total = opened(guest, four_g)
    expected = standardised(guest).T @ (four_g / 4) / guest.n_rows
    np.testing.assert_allclose(Scaling(guest).gradient(sums, total, FRAC_BITS, guest.n_rows), expected, rtol=1e-11, atol=1e-14)


def test_a_batch_is_centred_by_all_rows_and_averaged_over_its_own() -> None:
    guest, _, y = two_blocks()
    rows = np.arange(1, guest.n_rows, 3)
    part = guest.take_rows(rows)
    sums, total = opened(part, -2.0 * y[rows])
    expected = standardised(guest)[rows].T @ (-y[rows] / 2) / rows.size
    solver = GradientDescent(guest, alpha=0.1, n_blocks=2, step=1.0)
    np.testing.assert_allclose(solver.update(np.zeros(4), sums, total, FRAC_BITS, rows.size), -expected, rtol=1e-11, atol=1e-14)
    assert solver.intercept_step(total, FRAC_BITS, rows.size) == pytest.approx(2 * y[rows].mean(), rel=1e-15)


def test_coefficients_undo_the_scaling() -> None:
    _, host, _ = two_blocks()
    theta = np.array([0.3, -1.0, 5.0, 0.0, 2.0])
    weights, shift = BlockNewton(host, alpha=0.1, n_blocks=2).coefficients(theta)
    assert weights[2] == 0.0
    np.testing.assert_allclose(linear_predictor(host, weights, shift), standardised(host) @ theta, atol=1e-12)


def test_newton_update_is_the_dense_formula() -> None:
    _, host, _ = two_blocks()
    x, alpha = standardised(host), 0.05
    theta = np.array([0.1, -0.2, 0.0, 0.4, 0.3])
    four_g = np.rint(np.random.default_rng(1).normal(size=host.n_rows) * 2**FRAC_BITS) / 2**FRAC_BITS
    hessian = x.T @ x / host.n_rows / 4 + alpha * np.eye(5)
    slope = x.T @ (four_g / 4) / host.n_rows + alpha * theta
    for omega, n_blocks in ((0.25, 2), (0.5, 3)):
        solver = BlockNewton(host, alpha=alpha, n_blocks=n_blocks, omega=omega)
        result = solver.update(theta, *opened(host, four_g), FRAC_BITS)
        np.testing.assert_allclose(result, theta - omega * np.linalg.solve(hessian, slope), atol=1e-12)
        assert result[2] == 0.0


def test_default_omega_lets_the_blocks_share_the_step() -> None:
    guest, _, _ = two_blocks()
    for n_blocks in (1, 2, 3):
        omega = BlockNewton(guest, alpha=0.1, n_blocks=n_blocks).omega
        assert 1.0 / n_blocks <= omega < 2.0 / n_blocks


def test_descent_update_is_the_dense_formula_with_momentum() -> None:
    guest, _, y = two_blocks()
    x, alpha, step, momentum = standardised(guest), 0.05, 0.3, 0.9
    solver = GradientDescent(guest, alpha=alpha, n_blocks=2, step=step, momentum=momentum)
    theta = expected = np.zeros(4)
    velocity = np.zeros(4)
    for _ in range(4):
        u = x @ expected
        velocity = momentum * velocity - step * (x.T @ (u / 4 - y / 2) / guest.n_rows + alpha * expected)
        expected = expected + velocity
        weights, shift = solver.coefficients(theta)
        theta = solver.update(theta, *opened(guest, linear_predictor(guest, weights, shift) - 2.0 * y), FRAC_BITS)
    np.testing.assert_allclose(theta, expected, atol=1e-6)


def test_auto_step_is_one_over_the_largest_curvature() -> None:
    guest, _, _ = two_blocks()
    x = standardised(guest)
    top = np.linalg.eigvalsh(x.T @ x / guest.n_rows)[-1]
    assert GradientDescent(guest, alpha=0.02, n_blocks=2).step == pytest.approx(1 / (2 * top / 4 + 0.02), rel=2e-3)


def test_power_iteration_finds_the_top_of_any_spectrum() -> None:
    rng = np.random.default_rng(3)
    for size, spectrum in ((1, [2.0]), (2, [1.0, 1.0]), (30, np.linspace(0, 5, 30)), (30, [*[0.0] * 29, 7.0])):
        q = np.linalg.qr(rng.normal(size=(size, size)))[0]
        assert largest_eigenvalue(q @ np.diag(spectrum) @ q.T) == pytest.approx(max(spectrum), rel=2e-2)
    assert largest_eigenvalue(np.ones((6, 6))) == pytest.approx(6.0)
    assert largest_eigenvalue(np.zeros((3, 3))) == 0.0


def test_gradient_sums_beyond_int64_stay_exact() -> None:
    """n·G − S·R is formed in integers: huge numbers that cancel leave the small difference."""
    codes = np.array([[0, 1, 2, 1]], dtype=np.uint8)
    matrix = CodedMatrix(codes)
    big = 10**30
    result = Scaling(matrix).gradient([big + 1], big, 0, 4)  # n = S = 4: 4·(big + 1) − 4·big = 4
    exact = Fraction(4, 4 * 4**2) / Fraction(Scaling(matrix).scale[0])
    assert result[0] == pytest.approx(float(exact), rel=1e-15)
    update = BlockNewton(matrix, alpha=1.0, n_blocks=1).update([0.0], np.array([big + 1], dtype=object), big, 0)
    assert update[0] == pytest.approx(-float(exact) / 1.25, rel=1e-14)


def test_intercept_step_is_exact_newton() -> None:
    guest, _, y = two_blocks()
    solver = BlockNewton(guest, alpha=0.1, n_blocks=2)
    total = int((-2 * y.astype(int)).sum()) << FRAC_BITS
    assert solver.intercept_step(total, FRAC_BITS) == pytest.approx(2 * y.mean(), rel=1e-15)


# --- convergence -------------------------------------------------------------------------------------------------



def test_taylor_optimum_has_no_slope() -> None:
    guest, host, y = two_blocks()
    weights, intercept = taylor_optimum([guest, host], y, 0.03)
    u = linear_predictor(guest, weights[0], intercept) + linear_predictor(host, weights[1])
    g = u / 4 - y / 2
    assert abs(g.mean()) < 1e-13
    for matrix, w in zip((guest, host), weights, strict=True):
        theta = w * Scaling(matrix).scale
        np.testing.assert_allclose(standardised(matrix).T @ g / guest.n_rows + 0.03 * theta, 0.0, atol=1e-13)
        assert w.size == matrix.n_columns


def test_taylor_optimum_beats_its_neighbours() -> None:
    guest, host, y = two_blocks()
    weights, intercept = taylor_optimum([guest, host], y, 0.0 + 1e-6)
    best = taylor_loss(linear_predictor(guest, weights[0], intercept) + linear_predictor(host, weights[1]), y)
    for j in range(4):
        moved = weights[0].copy()
        moved[j] += 1e-2
        assert taylor_loss(linear_predictor(guest, moved, intercept) + linear_predictor(host, weights[1]), y) > best


def test_local_start_is_half_the_own_optimum() -> None:
    guest, _, y = two_blocks()
    (own,), intercept = taylor_optimum([guest], y, 0.2)
    for solver in (BlockNewton(guest, alpha=0.2, n_blocks=2), GradientDescent(guest, alpha=0.2, n_blocks=2)):
        theta, centred_intercept = local_start(solver, guest, y)
        weights, shift = solver.coefficients(theta)
        np.testing.assert_allclose(weights, own / 2, rtol=1e-12)
        assert centred_intercept == pytest.approx(2 * y.mean(), rel=1e-14)
        assert shift * 2 + centred_intercept == pytest.approx(intercept, rel=1e-12)


@pytest.mark.parametrize("start", ["local", "zeros"])
@pytest.mark.parametrize("omega", [None, 0.5, 0.75, 0.95])
def test_block_newton_reaches_the_joint_optimum(start: str, omega: float | None) -> None:
    guest, host, y = two_blocks(overlap=0.9)
    solvers: list[BlockSolver] = [BlockNewton(m, alpha=0.02, n_blocks=2, omega=omega) for m in (guest, host)]
    weights, intercept = taylor_optimum([guest, host], y, 0.02)
    optimum = linear_predictor(guest, weights[0], intercept) + linear_predictor(host, weights[1])
    np.testing.assert_allclose(train(solvers, [guest, host], y, 400, start)[-1], optimum, atol=1e-7)


def test_identical_blocks_do_not_diverge() -> None:
    """The hardest correlation: both parties hold the same columns."""
    guest, _, y = two_blocks()
    solvers: list[BlockSolver] = [BlockNewton(guest, alpha=1e-3, n_blocks=2) for _ in range(2)]
    history = train(solvers, [guest, guest], y, 40, "zeros")
    # the joint mode has eigenvalue 2, so each round turns its error by 1 - 2 * 0.75 = -1/2
    errors = [np.abs(u - history[-1]).max() for u in history[:12]]
    assert all(after < 0.6 * before for before, after in pairwise(errors))


@pytest.mark.parametrize("momentum", [0.0, 0.7])
def test_gradient_descent_reaches_the_joint_optimum(momentum: float) -> None:
    guest, host, y = two_blocks()
    solvers: list[BlockSolver] = [GradientDescent(m, alpha=0.05, n_blocks=2, momentum=momentum) for m in (guest, host)]
    weights, intercept = taylor_optimum([guest, host], y, 0.05)
    optimum = linear_predictor(guest, weights[0], intercept) + linear_predictor(host, weights[1])
    np.testing.assert_allclose(train(solvers, [guest, host], y, 400)[-1], optimum, atol=1e-3)


def test_bits_do_not_depend_on_blas_threads() -> None:
    rng = np.random.default_rng(11)
    matrix = CodedMatrix(rng.integers(0, 5, (300, 2000), dtype=np.uint8))
    y = rng.choice([-1, 1], 2000)
    answers = set()
    for threads in (1, 2, 8):
        with threadpool_limits(limits=threads):
            newton = BlockNewton(matrix, alpha=0.1, n_blocks=2)
            theta, _ = local_start(newton, matrix, y)
            theta = newton.update(theta, *opened(matrix, -2.0 * y), FRAC_BITS)
            step = GradientDescent(matrix, alpha=0.1, n_blocks=2).step
            answers.add((theta.tobytes(), np.float64(step).tobytes(), newton.coefficients(theta)[0].tobytes()))
    assert len(answers) == 1


def test_checkpoint_restores_the_momentum_bit_by_bit() -> None:
    guest, _, y = two_blocks()
    gradient = opened(guest, -2.0 * y)

    def make() -> GradientDescent:
        return GradientDescent(guest, alpha=0.1, n_blocks=2, momentum=0.5)

    whole, first, second = make(), make(), make()
    theta = whole.update(whole.update(np.zeros(4), *gradient, FRAC_BITS), *gradient, FRAC_BITS)
    half = first.update(np.zeros(4), *gradient, FRAC_BITS)
    assert second.update(half, *gradient, FRAC_BITS).tobytes() != theta.tobytes()  # the velocity matters
    second.restore(json.loads(json.dumps(first.state())))
    assert second.update(half, *gradient, FRAC_BITS).tobytes() == theta.tobytes()
    newton = BlockNewton(guest, alpha=0.1, n_blocks=2)
    newton.restore(newton.state())


def test_auto_alpha() -> None:
    assert auto_alpha(3036, 16_462) == 3036 / 16_462
    assert auto_alpha(38, 1_000_000) == 1e-3
