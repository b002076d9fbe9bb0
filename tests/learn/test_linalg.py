"""Linear algebra in one order: the definition's operations in Python numbers, bit by bit, and no fused multiply-add in the machine code."""

from __future__ import annotations

import math
import os
import re
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pytest
from numba import njit

import vflfast
from vflfast.learn import linalg, logistic

Floats = npt.NDArray[np.float64]
SIZES = [1, 2, 3, 4, 5, 7, 8, 63, 64, 65, 67, 127, 128, 130, 200]


def positive(size: int, seed: int = 0) -> Floats:
    root = np.random.default_rng(seed + size).normal(size=(size, size + 3))
    return root @ root.T + 0.1 * np.eye(size)


def by_definition(matrix: Floats) -> Floats:
    """l_ij from left to right, in Python's numbers."""
    a, size = matrix.tolist(), len(matrix)
    lower = [[0.0] * size for _ in range(size)]
    for j in range(size):
        for i in range(j, size):
            value = a[i][j]
            for k in range(j):
                value -= lower[i][k] * lower[j][k]
            lower[i][j] = math.sqrt(value) if i == j else value / lower[j][j]
    return np.array(lower)


@pytest.mark.parametrize("size", SIZES)
def test_the_factor_is_the_definition_bit_by_bit(size: int) -> None:
    matrix = positive(size)
    lower = matrix.copy()
    assert linalg.cholesky(lower)
    assert np.tril(lower).tobytes() == by_definition(matrix).tobytes()
    assert np.triu(lower, 1).tobytes() == np.triu(matrix, 1).tobytes()  # not touched


@pytest.mark.parametrize("size", SIZES)
def test_it_is_lapacks_up_to_rounding(size: int) -> None:
    matrix = positive(size)
    lower = matrix.copy()
    assert linalg.cholesky(lower)
    np.testing.assert_allclose(np.tril(lower), np.linalg.cholesky(matrix), rtol=1e-9, atol=1e-12)
    right = np.random.default_rng(1).normal(size=size)
    np.testing.assert_allclose(linalg.solve(lower, right.copy()), np.linalg.solve(matrix, right), rtol=1e-7)


@pytest.mark.parametrize("place", [0, 1, 63, 64, 99])
@pytest.mark.parametrize("value", [-1.0, 0.0, np.nan, np.inf, -np.inf])
def test_what_is_not_positive_definite_is_told(place: int, value: float) -> None:
    matrix = np.eye(100)
    matrix[place, place] = value
    assert not linalg.cholesky(matrix)


def test_dependent_columns_are_told() -> None:
    matrix = np.ones((70, 70))
    assert not linalg.cholesky(matrix)


def test_threads_side_by_side_give_the_same_bits() -> None:
    matrices = [positive(150, seed) for seed in range(4)]

    def factored(matrix: Floats) -> bytes:
        lower = matrix.copy()
        linalg.cholesky(lower)
        return lower.tobytes()

    alone = [factored(matrix) for matrix in matrices]
    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(factored, matrices * 3)) == alone * 3


@pytest.mark.parametrize("shape", [(1, 1), (3, 8), (40, 100)])
def test_a_product_sums_each_row_from_left_to_right(shape: tuple[int, int]) -> None:
    rng = np.random.default_rng(3)
    matrix, vector = rng.normal(size=shape), rng.normal(size=shape[1])
    expected = []
    for row in matrix.tolist():
        total = 0.0
        for a, b in zip(row, vector.tolist(), strict=True):
            total += a * b
        expected.append(total)
    assert linalg.product(matrix, vector).tolist() == expected


# --- machine code ---------------------------------------------------------------------------------------------------

FUSED = re.compile(r"\bvf(?:n?m(?:add|sub))|\bfml[as]\b|\bfn?m(?:add|sub)\b")
KERNELS = (linalg._factor_panel, linalg._update, linalg.solve, linalg.product, logistic._add_features)


@njit(fastmath=True)
def contracted(x: Floats, y: Floats, z: Floats) -> None:
    """The control: with fast-math the compiler joins a product and a sum."""
    for i in range(x.size):
        x[i] = x[i] * y[i] + z[i]


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_no_multiply_add_is_fused() -> None:
    linalg.cholesky(positive(130))
    linalg.solve(np.eye(2), np.ones(2))
    linalg.product(np.eye(2), np.ones(2))
    logistic._add_features(np.zeros((1, 2), np.uint8), np.ones((1, 1)), np.zeros(2))
    for kernel in KERNELS:
        fresh = njit(nogil=True)(kernel.py_func)  # numba cannot show the code of what it took from its cache
        fresh.compile(kernel.signatures[0])
        (text,) = fresh.inspect_asm().values()
        assert re.search(r"\bv?(?:add|sub|mul)[ps]d\b|\bf(?:add|sub|mul)\b", text), kernel.__name__
        assert not FUSED.search(text), kernel.__name__


@pytest.mark.skipif(os.environ.get("NUMBA_DISABLE_JIT") == "1", reason="nothing is compiled")
def test_the_control_is_fused_where_the_processor_can() -> None:
    contracted(*np.ones((3, 64)))
    (text,) = contracted.inspect_asm().values()
    if "ymm" not in text and "zmm" not in text:
        pytest.skip("this processor has no vectors with fused operations")
    assert FUSED.search(text)


def test_the_same_bits_without_the_compiler() -> None:
    script = (
        "import hashlib, numpy as np; from vflfast.learn import linalg; r = np.random.default_rng(5).normal(size=(70, 75)); "
        "m = r @ r.T; m = np.round(m, 6) + np.eye(70); linalg.cholesky(m); print(hashlib.sha256(m.tobytes()).hexdigest())"
    )
    seen = set()
    for variables in ({}, {"NUMBA_DISABLE_JIT": "1"}, {"NUMBA_CPU_NAME": "generic"}):
        environment = {**os.environ, **variables}
        root = Path(vflfast.__file__).parents[1]
        done = subprocess.run([sys.executable, "-c", script], env=environment, capture_output=True, text=True, check=True, cwd=root)
        seen.add(done.stdout)
    assert len(seen) == 1
