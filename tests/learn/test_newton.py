"""Solving with a block's Hessian without its Gram matrix: the same numbers as with it, the same bits however the work is cut."""

from __future__ import annotations

import tracemalloc
from typing import Any

import numpy as np
import pytest
from support.runs import parties, settings, train

from vflfast.crypto import backend
from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import InputError
from vflfast.learn import logistic, newton, solver
from vflfast.learn.scaling import Scaling
from vflfast.learn.solver import BlockNewton, GradientDescent
from vflfast.learn.weights import RowWeights


def table(n_rows: int = 400, n_columns: int = 30, *, constant: bool = True) -> CodedMatrix:
    rng = np.random.default_rng(n_columns)
    codes = rng.integers(0, 5, (n_columns, n_rows), dtype=np.uint8)
    codes[1] = np.minimum(codes[0] + (rng.random(n_rows) < 0.1), 4)  # almost the same as its neighbour
    if constant:
        codes[3] = 2
    return CodedMatrix(codes, np.full(n_columns, 5))


@pytest.fixture
def no_gram(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(newton, "MAX_GRAM_COLUMNS", 0)
    monkeypatch.setattr(solver, "MAX_GRAM_COLUMNS", 0)


@pytest.mark.parametrize("own", [None, np.arange(400) % 7 + 1])
def test_the_operator_is_the_matrix(own: Any) -> None:
    matrix = table()
    scaling = Scaling(matrix, own)
    vector = np.random.default_rng(0).normal(size=30)
    found, expected = newton.Correlations(matrix, scaling).times(vector), scaling.correlations(matrix) @ vector
    assert found == pytest.approx(expected, rel=1e-9, abs=1e-9)
    assert found[3] == 0.0
    assert (newton.Correlations(matrix, scaling).times(np.zeros(30)) == 0.0).all()


@pytest.mark.parametrize("scale", [1e-12, 1.0, 1e12])
def test_conjugate_gradients_solve(scale: float) -> None:
    matrix = table()
    scaling = Scaling(matrix)
    slope = np.where(scaling.varies, np.random.default_rng(1).normal(size=30), 0.0) * scale
    iterated = newton.Iterated(newton.Correlations(matrix, scaling), 1e-3, 1.3).solve(slope)
    factored = newton.Factored(scaling.correlations(matrix), scaling, 1e-3, 1.3).solve(slope)
    assert np.abs(iterated - factored).max() <= 1e-4 * np.abs(factored).max()
    hessian = 0.25 * 1.3 * scaling.correlations(matrix) + 1e-3 * np.eye(30)
    assert np.linalg.norm(hessian @ iterated - slope) <= 2e-6 * np.linalg.norm(slope)
    assert iterated[3] == 0.0


def test_no_slope_no_step() -> None:
    matrix = table()
    assert (newton.Iterated(newton.Correlations(matrix, Scaling(matrix)), 0.1, 1.0).solve(np.zeros(30)) == 0.0).all()


def test_dependent_columns_without_a_penalty_end(no_gram: None) -> None:
    codes = np.random.default_rng(0).integers(0, 5, (3, 50), dtype=np.uint8)
    matrix = CodedMatrix(np.concatenate([codes, codes]))
    step = BlockNewton(matrix, alpha=0.0, n_blocks=2).newton(np.array([1.0, 2.0, 3.0, 1.0, 2.0, 3.0]))
    assert step[:3] == pytest.approx(step[3:])
    with pytest.raises(InputError, match="dependent"):
        newton.Factored(Scaling(matrix).correlations(matrix), Scaling(matrix), 0.0, 1.0)


def test_too_few_steps_are_told(monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture) -> None:
    monkeypatch.setattr(newton, "STEPS", 2)
    matrix = table()
    newton.Iterated(newton.Correlations(matrix, Scaling(matrix)), 1e-3, 1.0).solve(np.arange(30.0))
    assert "a larger alpha takes fewer" in caplog.text


def test_a_wide_block_trains_without_its_gram_matrix(no_gram: None, monkeypatch: pytest.MonkeyPatch) -> None:
    made = parties(120, (3, 9))
    monkeypatch.setattr(logistic, "gram", None)  # any use would raise
    found = train(made, settings(max_iter=4), verify=True)
    assert found.verified_rounds == 4
    with backend.use_threads(3):
        assert train(made, settings(max_iter=4)).weight_hash == found.weight_hash
    monkeypatch.undo()
    factored = train(made, settings(max_iter=4))
    assert found.hosts[0].weights == pytest.approx(factored.hosts[0].weights, rel=1e-4, abs=1e-6)
    assert found.weight_hash != factored.weight_hash  # or nothing was tested


def test_the_step_of_gradient_descent_without_a_gram_matrix(no_gram: None, monkeypatch: pytest.MonkeyPatch) -> None:
    weights = RowWeights(8, 1, np.arange(400) % 8 + 1)
    found = GradientDescent(table(), alpha=0.1, n_blocks=2, weights=weights).step
    monkeypatch.undo()
    assert found == pytest.approx(GradientDescent(table(), alpha=0.1, n_blocks=2, weights=weights).step, rel=1e-3)


# --- in the memory of one matrix ---------------------------------------------------------------------------------


@pytest.mark.parametrize("n_columns", [1, 7, 8, 30])
@pytest.mark.parametrize("own", [None, np.arange(400) % 7 + 1])
def test_a_gram_matrix_in_tiles_has_the_same_bits(n_columns: int, own: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    matrix = table(n_columns=n_columns, constant=False) if n_columns > 1 else CodedMatrix(table().codes[:1])
    whole = logistic.gram(matrix, own)
    monkeypatch.setattr(logistic, "GRAM_TILE", 7)
    monkeypatch.setattr(logistic, "CHUNK_BYTES", 1 << 10)
    assert logistic.gram(matrix, own).tobytes() == whole.tobytes()


def test_the_memory_of_a_wide_block_is_one_matrix(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "GRAM_TILE", 128)
    monkeypatch.setattr(logistic, "CHUNK_BYTES", 1 << 18)
    matrix = table(300, 1000)
    BlockNewton(matrix, alpha=3.0, n_blocks=2)  # compiled, cached properties
    tracemalloc.start()
    BlockNewton(matrix, alpha=3.0, n_blocks=2)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.5 * 8 * 1000**2
