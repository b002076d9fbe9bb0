"""Formulas of logistic regression over a CodedMatrix, which is never expanded beyond a chunk of rows."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import numpy.typing as npt
from numba import njit

from ..crypto import engine
from ..crypto.coded import CodedMatrix, Codes
from ..errors import BoundError
from . import checks, elementary
from .checks import Floats, Ints, Labels

INT64_MAX = (1 << 63) - 1
EXACT_FLOAT64 = 1 << 53  # every integer up to here is a float64
EXACT_FLOAT32 = 1 << 24  # the same for float32
CHUNK_BYTES = 64 << 20  # of one expanded chunk of rows
FLOAT32_CHUNK_ROWS = 1024  # shorter products keep float32 from being the faster one
GRAM_TILE = 2048  # columns of a Gram matrix whose products are added at a time: BLAS would make a second matrix of them all


# --- products with the matrix ------------------------------------------------------------------------------------


def linear_predictor(matrix: CodedMatrix, weights: npt.ArrayLike, intercept: float = 0.0) -> Floats:
    """u_i = b + Σ_k W[k, code_ki] with W[k, v] = Σ_j w_j·value_j[v] over the columns j of feature k ([0075], [0101]).

    Each row adds its features in one fixed order, so the bits of u are the same on every machine and thread count.

    Parameters
    ----------
    matrix
        Z, n_rows × n_columns.
    weights
        w, shape (n_columns,).
    intercept
        b.

    Returns
    -------
    float64, shape (n_rows,)

    Raises
    ------
    InputError
        Wrong type, length, NaN or infinity.
    BoundError
        A predictor that float64 cannot hold.
    """
    checks.coded("matrix", matrix)
    w, constant = checks.floats("weights", weights, matrix.n_columns), checks.number("intercept", intercept)
    shared = engine.current()
    spread = None if shared is None else shared.linear_predictor(matrix, w, constant)
    if spread is not None:
        return spread
    width = int(matrix.class_counts.max())
    table = np.zeros((matrix.n_features, width))
    with np.errstate(over="ignore", invalid="ignore"):
        np.add.at(table, matrix.column_features, w[:, None] * matrix.column_values[:, :width])
    result = np.full(matrix.n_rows, constant)
    _add_features(matrix.codes, table, result)
    if not np.isfinite(result).all():
        raise BoundError("weights", "a linear predictor exceeds the range of float64")
    return result


def cross_product(matrix: CodedMatrix, g: npt.ArrayLike) -> Ints:
    """G_j = Σ_i z_ij·g_i, exactly: the plaintext twin of the encrypted product Zᵀ[[g]] ([0104]).

    Parameters
    ----------
    matrix
        Z, n_rows × n_columns.
    g
        int64, shape (n_rows,).

    Returns
    -------
    int64, shape (n_columns,)

    Raises
    ------
    InputError
        Wrong type, length or range.
    BoundError
        max|z|·Σ|g| does not fit int64.
    """
    checks.coded("matrix", matrix)
    residual = checks.int64s("g", g, matrix.n_rows)
    if largest_value(matrix) * _absolute_sum(residual) > INT64_MAX:
        raise BoundError("g", "max|z| times the sum of |g| exceeds 2^63 - 1, the products might overflow int64")
    shared = engine.current()
    spread = None if shared is None else shared.cross_product(matrix, residual)
    if spread is not None:
        return spread
    sums = np.zeros((matrix.n_features, int(matrix.class_counts.max())), dtype=np.int64)
    _add_by_class(matrix.codes, residual, sums)
    return _weigh_classes(matrix, matrix.column_values, sums)


def column_sums(matrix: CodedMatrix) -> Ints:
    """S_j = Σ_i z_ij, exactly, int64 of shape (n_columns,); |S_j| ≤ 2^20·2^31."""
    return _weigh_classes(checks.coded("matrix", matrix), matrix.column_values, matrix.class_rows)


def column_square_sums(matrix: CodedMatrix) -> Ints:
    """Q_j = Σ_i z_ij², exactly, int64 of shape (n_columns,); BoundError unless n·max z² < 2^53."""
    _prove_squares_fit(checks.coded("matrix", matrix))
    return _weigh_classes(matrix, matrix.column_values**2, matrix.class_rows)


def gram(matrix: CodedMatrix, row_weights: Ints | None = None) -> Floats:
    """ZᵀZ, or ZᵀDZ with D = diag(row_weights), with every entry an exact integer below 2^53.

    Chunks of rows go through BLAS in float32 while rows·max z²·max a ≤ 2^24, otherwise in float64 while it is below 2^53:
    every partial sum is then an exact integer, so neither the order nor the number of BLAS threads can show.

    Parameters
    ----------
    matrix
        Z, n_rows × n_columns.
    row_weights
        a, positive int64 of shape (n_rows,).

    Returns
    -------
    float64, shape (n_columns, n_columns)

    Raises
    ------
    BoundError
        n_rows·max z²·max a ≥ 2^53.
    """
    checks.coded("matrix", matrix)
    largest = max(_prove_squares_fit(matrix, 1 if row_weights is None else int(row_weights.max())), 1)
    shared = engine.current()
    spread = None if shared is None else shared.gram(matrix, row_weights)
    if spread is not None:
        return spread
    single = EXACT_FLOAT32 // largest >= min(FLOAT32_CHUNK_ROWS, matrix.n_rows)
    dtype: type[np.float32 | np.float64] = np.float32 if single else np.float64
    rows = max(CHUNK_BYTES // (np.dtype(dtype).itemsize * matrix.n_columns), 1)
    rows = min(rows, (EXACT_FLOAT32 if single else EXACT_FLOAT64) // largest, matrix.n_rows)
    values = matrix.column_values.astype(dtype)
    chunk = np.empty((matrix.n_columns, rows), dtype=dtype)
    result = np.zeros((matrix.n_columns, matrix.n_columns))
    for start in range(0, matrix.n_rows, rows):
        part = chunk[:, : min(rows, matrix.n_rows - start)]
        _expand(matrix.codes, matrix.column_features, values, start, part)
        weighted = part if row_weights is None else part * row_weights[start : start + part.shape[1]].astype(dtype)
        for tile in _tiles(matrix.n_columns):
            for other in _tiles(tile.stop):
                result[tile, other] += weighted[tile] @ part[other].T  # of one operand twice BLAS computes one triangle
    for tile in _tiles(matrix.n_columns):
        result[: tile.start, tile] = result[tile, : tile.start].T
    return result


def _tiles(n_columns: int) -> list[slice]:
    return [slice(start, min(start + GRAM_TILE, n_columns)) for start in range(0, n_columns, GRAM_TILE)]


# --- the model's functions ---------------------------------------------------------------------------------------


def residual_offset(predictor_fixed: npt.ArrayLike, y: npt.ArrayLike, frac_bits: int) -> Ints:
    """u′ − 2y in fixed point: the guest's summand of 4g = u″ + (u′ − 2y) ([0103]).

    Parameters
    ----------
    predictor_fixed
        u′·2^frac_bits, int64, shape (n_rows,).
    y
        Labels −1/+1, shape (n_rows,).
    frac_bits
        Binary places, 0..40.

    Returns
    -------
    int64, shape (n_rows,), at scale 2^frac_bits

    Raises
    ------
    InputError
        Wrong type, length or coding.
    BoundError
        The result leaves int64.
    """
    bits = checks.fraction_bits("frac_bits", frac_bits)
    fixed = checks.int64s("predictor_fixed", predictor_fixed)
    signs = checks.labels("y", y, fixed.size, both=False)
    room = INT64_MAX - (2 << bits)
    if int(fixed.max()) > room or int(fixed.min()) < -room:
        raise BoundError("predictor_fixed", "leaves no room for 2y within int64")
    return fixed - signs.astype(np.int64) * np.int64(2 << bits)


def sigmoid(u: npt.ArrayLike) -> Floats:
    """σ(u) = 1/(1 + e^(−u)), without overflow for any finite u ([0075])."""
    x = checks.floats("u", u)
    e = elementary.exp(-np.abs(x))
    return np.where(x >= 0.0, 1.0, e) / (1.0 + e)


def cross_entropy(u: npt.ArrayLike, y: npt.ArrayLike, row_weights: Ints | None = None) -> float:
    """Mean of log(1 + e^(−y·u)), weighted by a if given, without overflow, summed exactly ([0077], [0124], [0129]); labels −1/+1."""
    x, signs = _predictor_and_labels(u, y)
    losses = elementary.softplus(-signs * x)
    return math.fsum(losses) / x.size if row_weights is None else math.fsum(losses * row_weights) / int(row_weights.sum())


def taylor_loss(u: npt.ArrayLike, y: npt.ArrayLike) -> float:
    """Mean of log 2 − y·u/2 + u²/8, the second-order expansion at 0 that the encrypted rounds minimise ([0133]).

    Raises
    ------
    BoundError
        Beyond float64.
    """
    x, signs = _predictor_and_labels(u, y)
    with np.errstate(over="ignore", invalid="ignore"):
        terms = x * (x / 8.0 - signs / 2.0)
    if not np.isfinite(terms).all():
        raise BoundError("u", "its square exceeds the range of float64")
    return elementary.LN2 + math.fsum(terms) / x.size


def _predictor_and_labels(u: npt.ArrayLike, y: npt.ArrayLike) -> tuple[Floats, Labels]:
    x = checks.floats("u", u)
    return x, checks.labels("y", y, x.size, both=False)


# --- bounds ------------------------------------------------------------------------------------------------------


def largest_value(matrix: CodedMatrix) -> int:
    """Largest |value| of a class that a row can have."""
    width = matrix.column_values.shape[1]
    used = np.arange(width) < matrix.class_counts[matrix.column_features][:, None]
    return int(np.abs(matrix.column_values).max(where=used, initial=0))


def _absolute_sum(g: Ints) -> int:
    """Σ|g_i| without overflow: high and low halves apart, each sum below 2^31·2^32."""
    magnitude = np.where(g < 0, np.uint64(0) - g.view(np.uint64), g.view(np.uint64))
    high, low = magnitude >> np.uint64(32), magnitude & np.uint64(0xFFFFFFFF)
    return (int(high.sum()) << 32) + int(low.sum())


def _prove_squares_fit(matrix: CodedMatrix, row_weight: int = 1) -> int:
    largest = largest_value(matrix) ** 2 * row_weight
    if largest * matrix.n_rows >= EXACT_FLOAT64:
        raise BoundError("matrix", f"{matrix.n_rows} rows with squares up to {largest} exceed 2^53")
    return largest


def _weigh_classes(matrix: CodedMatrix, values: Ints, sums: Ints) -> Ints:
    """Σ_v values[j, v]·sums[feature of j, v]; sums beyond a class count are 0."""
    result: Ints = np.einsum("jv,jv->j", values[:, : sums.shape[1]], sums[matrix.column_features])
    return result


# --- loops (one thread: their sums keep one order; the GIL is free meanwhile) ------------------------------------


@njit(cache=True, nogil=True)
def _add_features(codes: Codes, table: Floats, result: Floats) -> None:
    for k in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            result[i] += table[k, codes[k, i]]


@njit(cache=True, nogil=True)
def _add_by_class(codes: Codes, g: Ints, sums: Ints) -> None:
    for k in range(codes.shape[0]):
        for i in range(codes.shape[1]):
            sums[k, codes[k, i]] += g[i]


@njit(cache=True, nogil=True)
def _expand(
    codes: Codes,
    column_features: Ints,
    values: npt.NDArray[Any],
    start: int,
    chunk: npt.NDArray[Any],
) -> None:
    for j in range(chunk.shape[0]):
        k = column_features[j]
        for i in range(chunk.shape[1]):
            chunk[j, i] = values[j, codes[k, start + i]]
