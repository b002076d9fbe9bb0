"""Formulas over a CodedMatrix against plain Python integers and dense numpy."""

from __future__ import annotations

import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from vflfast.crypto.coded import CodedMatrix
from vflfast.errors import BoundError, InputError
from vflfast.learn import logistic
from vflfast.learn.logistic import (
    column_square_sums,
    column_sums,
    cross_entropy,
    cross_product,
    gram,
    linear_predictor,
    residual_offset,
    sigmoid,
    taylor_loss,
)


def random_matrix(seed: int, n_rows: int = 57, n_features: int = 6, largest: int = 40) -> CodedMatrix:
    """Features of 1 to 7 classes; columns in shuffled feature order, some features feeding several or none."""
    rng = np.random.default_rng(seed)
    counts = rng.integers(1, 8, n_features)
    codes = np.array([rng.integers(0, c, n_rows) for c in counts], dtype=np.uint8)
    features = rng.integers(0, n_features, 2 * n_features)
    return CodedMatrix(codes, counts, features, rng.integers(-largest, largest + 1, (features.size, 9)))


def dense(matrix: CodedMatrix) -> list[list[int]]:
    """Z as Python integers, row by row."""
    return [[int(matrix.column_values[j, matrix.codes[k, i]]) for j, k in enumerate(matrix.column_features)] for i in range(matrix.n_rows)]


@pytest.mark.parametrize("seed", range(5))
def test_exact_sums_are_those_of_python_integers(seed: int) -> None:
    matrix = random_matrix(seed)
    z = dense(matrix)
    g = np.random.default_rng(seed + 100).integers(-(2**45), 2**45, matrix.n_rows)
    columns = list(zip(*z, strict=True))
    assert cross_product(matrix, g).tolist() == [sum(a * int(b) for a, b in zip(c, g, strict=True)) for c in columns]
    assert column_sums(matrix).tolist() == [sum(c) for c in columns]
    assert matrix.absolute_sums.tolist() == [sum(abs(a) for a in c) for c in columns]
    assert column_square_sums(matrix).tolist() == [sum(a * a for a in c) for c in columns]
    assert gram(matrix).tolist() == [[sum(a * b for a, b in zip(c, d, strict=True)) for d in columns] for c in columns]
    assert matrix.class_rows.sum(axis=1).tolist() == [matrix.n_rows] * matrix.n_features


@given(st.lists(st.integers(-(2**58), 2**58), min_size=1, max_size=12), st.integers(0, 2**32))
@settings(max_examples=200, deadline=None)
def test_cross_product_is_exact_or_refused(g: list[int], seed: int) -> None:
    matrix = random_matrix(seed, n_rows=len(g), largest=9)
    exact = [sum(a * b for a, b in zip(c, g, strict=True)) for c in zip(*dense(matrix), strict=True)]
    try:
        assert cross_product(matrix, np.array(g, dtype=np.int64)).tolist() == exact
    except BoundError:
        assert 9 * sum(abs(value) for value in g) > 2**63 - 1


def test_cross_product_at_the_border_of_int64() -> None:
    ones = CodedMatrix(np.ones((1, 2), dtype=np.uint8))
    assert cross_product(ones, np.array([2**62, 2**62 - 1])).tolist() == [2**63 - 1]
    for over in ([2**62, 2**62], [-(2**62), -(2**62)], [-(2**63), 0], [2**63 - 1, -(2**63)]):
        with pytest.raises(BoundError, match=r"^g: "):
            cross_product(ones, np.array(over))


def test_values_beyond_the_class_count_are_ignored() -> None:
    codes = np.array([[0, 1, 1]], dtype=np.uint8)
    matrix = CodedMatrix(codes, [2], [0], [[3, 5, 2**20]])
    assert cross_product(matrix, np.array([2**58] * 3)).tolist() == [13 * 2**58]  # 2^20·3·2^58 would not fit
    assert gram(matrix).tolist() == [[9 + 25 + 25]]
    assert linear_predictor(matrix, [0.5], -1.0).tolist() == [0.5, 1.5, 1.5]


@pytest.mark.parametrize(
    ("largest", "n_rows", "chunk_bytes"),
    [(4, 5000, 1 << 12), (255, 3000, 1 << 14), (2**20, 8000, 1 << 14), (1, 20_000, 1 << 16)],
)
def test_gram_is_exact_over_many_chunks(largest: int, n_rows: int, chunk_bytes: int, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(logistic, "CHUNK_BYTES", chunk_bytes)
    rng = np.random.default_rng(largest)
    values = rng.integers(-largest, largest + 1, (5, 4))
    values[:, 0] = largest
    matrix = CodedMatrix(rng.integers(0, 4, (5, n_rows), dtype=np.uint8), [4] * 5, np.arange(5), values)
    z = np.array([values[j, matrix.codes[j]] for j in range(5)])
    assert gram(matrix).tolist() == (z @ z.T).tolist()  # int64: exact, 8000·2^40 < 2^63


def test_gram_single_precision_stops_where_it_would_round() -> None:
    """Odd sums just above 2^24 need float64: 1200 rows of 255² reach 7.8·10⁷."""
    matrix = CodedMatrix(np.full((2, 1201), 255, dtype=np.uint8))
    assert gram(matrix).tolist() == [[1201 * 255**2] * 2] * 2
    assert (1201 * 255**2) % 2 == 1


def test_gram_refuses_what_float64_cannot_hold() -> None:
    big = CodedMatrix(np.zeros((1, 1 << 13), dtype=np.uint8), [1], [0], [[1 << 20]])
    with pytest.raises(BoundError, match="matrix"):
        gram(big)
    with pytest.raises(BoundError, match="matrix"):
        column_square_sums(big)
    assert gram(big.take_rows(np.arange((1 << 13) - 1)))[0, 0] == ((1 << 13) - 1) << 40


def test_gram_and_predictor_do_not_depend_on_blas_threads() -> None:
    matrix = random_matrix(3, n_rows=4000, n_features=80)
    results = []
    for threads in (1, 2, 8):
        with threadpool_limits(limits=threads):
            results.append((gram(matrix).tobytes(), linear_predictor(matrix, np.linspace(-1, 1, 160)).tobytes()))
    assert len(set(results)) == 1


@pytest.mark.parametrize("seed", range(5))
def test_linear_predictor_is_z_times_w(seed: int) -> None:
    matrix = random_matrix(seed)
    w = np.random.default_rng(seed).normal(size=matrix.n_columns)
    exact = [float(sum(Fraction(a) * Fraction(b) for a, b in zip(row, w.tolist(), strict=True)) + Fraction(0.375)) for row in dense(matrix)]
    np.testing.assert_allclose(linear_predictor(matrix, w, 0.375), exact, rtol=1e-12, atol=1e-11)


def test_linear_predictor_of_a_row_does_not_depend_on_the_other_rows() -> None:
    matrix = random_matrix(8, n_rows=1000)
    w = np.random.default_rng(8).normal(size=matrix.n_columns)
    part = np.array([3, 999, 500, 3])
    assert linear_predictor(matrix.take_rows(part), w, 0.1).tobytes() == linear_predictor(matrix, w, 0.1)[part].tobytes()


def test_linear_predictor_refuses_overflow() -> None:
    matrix = CodedMatrix(np.array([[0, 3]], dtype=np.uint8))
    with pytest.raises(BoundError, match="weights"):
        linear_predictor(matrix, [1e308])


def test_plain_python_loops_give_the_same_bits() -> None:
    """The kernels with NUMBA_DISABLE_JIT=1, in a process of their own."""
    program = (
        "import json, numpy as np\n"
        "from vflfast.crypto.coded import CodedMatrix\n"
        "from vflfast.learn import logistic as f, solver as s\n"
        "r = np.random.default_rng(1)\n"
        "m = CodedMatrix(r.integers(0, 5, (7, 90), dtype=np.uint8))\n"
        "y = np.where(r.random(90) < 0.4, 1, -1)\n"
        "n = s.BlockNewton(m, alpha=0.1, n_blocks=2)\n"
        "t, b = s.local_start(n, m, y)\n"
        "g = f.cross_product(m, r.integers(-9, 9, 90))\n"
        "t = n.update(t, g, 5, 3)\n"
        "print(json.dumps([f.linear_predictor(m, t, b).tobytes().hex(), g.tolist(), f.gram(m).tolist(), t.tobytes().hex()]))\n"
    )
    root = str(Path(__file__).resolve().parents[2])
    answers = []
    for disable in ("0", "1"):
        run = subprocess.run(
            [sys.executable, "-c", program],
            env={**os.environ, "NUMBA_DISABLE_JIT": disable, "PYTHONPATH": root},
            capture_output=True,
            check=True,
            text=True,
        )
        answers.append(json.loads(run.stdout))
    assert answers[0] == answers[1]


# --- functions of the predictor ----------------------------------------------------------------------------------


def test_residual_offset_is_u_minus_2y() -> None:
    fixed = np.array([0, 5, -(1 << 40), 7], dtype=np.int64)
    y = np.array([1, -1, 1, -1], dtype=np.int8)
    assert residual_offset(fixed, y, 24).tolist() == [-(2 << 24), 5 + (2 << 24), -(1 << 40) - (2 << 24), 7 + (2 << 24)]


def test_residual_offset_at_the_border_of_int64() -> None:
    edge = 2**63 - 1 - 4
    assert residual_offset(np.array([edge]), np.array([-1]), 1).tolist() == [2**63 - 1]
    for over in (edge + 1, -edge - 1, -(2**63)):
        with pytest.raises(BoundError, match="predictor_fixed"):
            residual_offset(np.array([over]), np.array([1]), 1)


def test_sigmoid_values_and_symmetry() -> None:
    u = np.array([-800.0, -40.0, -1.0, 0.0, 1.0, 40.0, 800.0])
    p = sigmoid(u)
    assert p[3] == 0.5
    assert p[0] == 0.0
    assert p[-1] == 1.0
    np.testing.assert_allclose(p[2], 1 / (1 + math.e), rtol=1e-15)
    np.testing.assert_allclose(p[1], math.exp(-40), rtol=1e-12)
    np.testing.assert_allclose(p + p[::-1], 1.0, rtol=1e-15)


def test_cross_entropy_values() -> None:
    assert cross_entropy([0.0, 0.0], [1, -1]) == pytest.approx(math.log(2), rel=1e-15)
    assert cross_entropy([1000.0], [-1]) == 1000.0
    assert cross_entropy([1000.0], [1]) == 0.0
    assert cross_entropy([2.0, -1.0], [1, 1]) == pytest.approx((math.log1p(math.exp(-2)) + math.log1p(math.e)) / 2, rel=1e-14)


def test_cross_entropy_does_not_depend_on_row_order() -> None:
    rng = np.random.default_rng(0)
    u, y = rng.normal(size=5000) * 10, rng.choice([-1, 1], 5000)
    order = rng.permutation(5000)
    assert cross_entropy(u, y) == cross_entropy(u[order], y[order])


def test_taylor_loss_is_the_second_order_expansion() -> None:
    y = np.array([1, -1, 1])
    u = np.array([0.3, 0.2, -0.5])
    assert taylor_loss(u, y) == pytest.approx(np.mean(math.log(2) - y * u / 2 + u**2 / 8), rel=1e-14)
    for scale in (1e-1, 1e-2):  # the third derivative vanishes at 0: the error falls with u⁴, at most u⁴/192
        assert abs(taylor_loss(scale * u, y) - cross_entropy(scale * u, y)) <= (scale * 0.5) ** 4 / 192


def test_taylor_gradient_is_4g_over_4() -> None:
    """d taylor/du_i = u/4 − y/2, the g of the protocol ([0103])."""
    u, y, h = np.array([0.7, -1.1]), np.array([1, -1]), 1e-6
    fixed = np.rint(u * 2**30).astype(np.int64)
    g = residual_offset(fixed, y, 30) / 2**30 / 4
    for i in range(2):
        step = np.eye(2)[i] * h
        slope = (taylor_loss(u + step, y) - taylor_loss(u - step, y)) / (2 * h) * 2
        assert slope == pytest.approx(g[i], abs=1e-8)


# --- bad input ---------------------------------------------------------------------------------------------------

M = CodedMatrix(np.array([[0, 1, 2], [1, 1, 0]], dtype=np.uint8))
BAD_VECTORS = [
    None,
    "abc",
    [1.0, 2.0, 3.0],
    [[1.0, 2.0]],
    [],
    [1.0, math.nan],
    [1.0, math.inf],
    [1.0, -math.inf],
    [True, False],
    [1j, 2j],
    [None, 1.0],
    ["1", "2"],
    np.array([1, "a"], dtype=object),
    np.ma.masked_array([1.0, 2.0], mask=[True, False]),
    [[1.0], [1.0, 2.0]],
]


@pytest.mark.parametrize("weights", BAD_VECTORS)
def test_linear_predictor_refuses_weights(weights: object) -> None:
    with pytest.raises(InputError) as error:
        linear_predictor(M, weights)
    assert error.value.argument == "weights"


@pytest.mark.parametrize("g", [None, [1, 2], [1.0, 2.0, 3.0], [True, True, False], [[1, 2, 3]], [], np.array([1, 2, 2**63], np.uint64)])
def test_cross_product_refuses_g(g: object) -> None:
    with pytest.raises(InputError) as error:
        cross_product(M, g)
    assert error.value.argument == "g"


@pytest.mark.parametrize("matrix", [None, [[1]], np.ones((2, 2)), "matrix"])
@pytest.mark.parametrize(
    "function",
    [
        lambda m: linear_predictor(m, [1.0, 2.0]),
        lambda m: cross_product(m, [1, 2, 3]),
        column_sums,
        column_square_sums,
        gram,
    ],
)
def test_not_a_matrix(function: object, matrix: object) -> None:
    with pytest.raises(InputError) as error:
        function(matrix)  # type: ignore[operator]
    assert error.value.argument == "matrix"


@pytest.mark.parametrize("intercept", [None, "1", math.nan, math.inf, True, 1j])
def test_linear_predictor_refuses_intercept(intercept: object) -> None:
    with pytest.raises(InputError) as error:
        linear_predictor(M, [1.0, 2.0], intercept)
    assert error.value.argument == "intercept"


@pytest.mark.parametrize("y", [None, [0, 1], [1, 2], [1, -1, 1], [True, False], [1.0, math.nan], [0.5, 1], ["+1", "-1"]])
@pytest.mark.parametrize("function", [cross_entropy, taylor_loss, lambda u, y: residual_offset(np.array([1, 2]), y, 24)])
def test_labels_outside_the_coding(function: object, y: object) -> None:
    with pytest.raises(InputError) as error:
        function([0.1, 0.2], y)  # type: ignore[operator]
    assert error.value.argument == "y"


@pytest.mark.parametrize(
    ("fixed", "bits", "argument"),
    [([1.5, 2.0], 24, "predictor_fixed"), (None, 24, "predictor_fixed"), ([1, 2], -1, "frac_bits"), ([1, 2], 41, "frac_bits")]
    + [([1, 2], bad, "frac_bits") for bad in (24.0, True, None, "24")],
)
def test_residual_offset_refuses(fixed: object, bits: object, argument: str) -> None:
    with pytest.raises(InputError) as error:
        residual_offset(fixed, [1, -1], bits)
    assert error.value.argument == argument


@pytest.mark.parametrize("u", [None, [math.nan], [math.inf], [], [[0.0]], "u"])
@pytest.mark.parametrize("function", [sigmoid, lambda u: cross_entropy(u, [1]), lambda u: taylor_loss(u, [1])])
def test_predictors_that_are_no_numbers(function: object, u: object) -> None:
    with pytest.raises(InputError) as error:
        function(u)  # type: ignore[operator]
    assert error.value.argument == "u"


def test_taylor_loss_refuses_overflow() -> None:
    with pytest.raises(BoundError, match="u"):
        taylor_loss([1e200], [1])


def test_odd_memory_layouts_are_read_correctly() -> None:
    plain = np.array([3, -7, 11], dtype=np.int64)
    expected = cross_product(M, plain).tolist()
    read_only = plain.copy()
    read_only.flags.writeable = False
    unaligned = np.frombuffer(b"\0" + plain.tobytes(), dtype=np.uint8)[1:].view(np.int64)
    for layout in (plain.astype(">i8"), np.repeat(plain, 2)[::2], read_only, unaligned, plain.astype(np.int16), plain[::-1][::-1]):
        assert cross_product(M, layout).tolist() == expected


def test_errors_show_no_values() -> None:
    with pytest.raises(InputError) as error:
        taylor_loss([0.1, 0.2], [1, 424242])
    assert "424242" not in str(error.value)
    assert "row 1" in str(error.value)
