"""CodedMatrix: an integer matrix held as one byte per feature cell, and its product with encrypted vectors."""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import Any, Generic, Protocol, TypeVar, runtime_checkable

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..params import MAX_CLASSES, MAX_COLUMN_VALUE, MAX_COUNT
from . import backend as be
from . import blocks, codec, engine, storage
from . import limbs as lm
from .blocks import BlockPlan, make_plan
from .context import Context, Seconds, Vector

Codes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]
Made_co = TypeVar("Made_co", covariant=True)
Made = TypeVar("Made")


class Holder(Protocol):
    """What the product needs of a vector's key."""

    @property
    def context(self) -> Context:
        """The arithmetic of its ciphertexts."""

    def check_bound(self, bound: int) -> None:
        """Refuse a bound that a plaintext cannot hold with its sign; BoundError."""


@runtime_checkable
class Encrypted(Protocol[Made_co]):
    """What the product needs of a vector of ciphertexts."""

    vector: Vector
    bound: int

    @property
    def shape(self) -> tuple[int, ...]:
        """(count,) of one column."""

    @property
    def public(self) -> Holder:
        """The key."""

    def like(self, vector: Vector, bound: int) -> Made_co:
        """Return a vector under the same key and scale."""


@dataclass(frozen=True)
class ClassSums(Generic[Made]):
    """Encrypted class sums of a coded matrix with the vector `of`, and the wall time of the phases that made them."""

    of: Encrypted[Made]
    vector: Vector
    bounds: tuple[int, int]
    spent: Seconds


class CodedMatrix:
    """Integer matrix Z (n_rows × n_columns) whose columns are functions of byte-coded features.

    Column j of row i is ``column_values[j, codes[column_features[j], i]]``: an ordinal feature feeds one column with the
    values 0, 1, 2, …; a category feeds one 0/1 column per level.

    Parameters
    ----------
    codes
        uint8, shape (n_features, n_rows), feature-major; contiguous ones, mapped from a file or not, are not copied.
    class_counts
        shape (n_features,), each 1..256 and above every code of its feature; default: largest code + 1.
    column_features
        shape (n_columns,), the feature that feeds each column; default: one ordinal column per feature.
    column_values
        shape (n_columns, width ≥ largest class count), the integer of each class, |value| ≤ 2^20; entries beyond a
        feature's class count are ignored. Default: ordinal codes.

    Raises
    ------
    InputError
        Wrong type, shape or range; the message names the argument.
    """

    def __init__(
        self,
        codes: Codes,
        class_counts: npt.ArrayLike | None = None,
        column_features: npt.ArrayLike | None = None,
        column_values: npt.ArrayLike | None = None,
    ) -> None:
        self.codes = _check_codes(codes)
        n_features = self.codes.shape[0]
        largest = self.codes.max(axis=1).astype(np.int64) if self.codes.shape[1] else np.zeros(n_features, np.int64)
        self.class_counts = largest + 1 if class_counts is None else _int_array("class_counts", class_counts, (n_features,))
        if self.class_counts.min() < 1 or self.class_counts.max() > MAX_CLASSES:
            raise InputError("class_counts", f"each must be 1..{MAX_CLASSES}")
        over = np.flatnonzero(largest >= self.class_counts)
        if over.size and self.codes.shape[1]:
            raise InputError("codes", f"feature {over[0]} has a code at or above its class count {self.class_counts[over[0]]}")
        if column_features is None:
            if column_values is not None:
                raise InputError("column_features", "needed when column_values is given")
            self.column_features = np.arange(n_features, dtype=np.int64)
            self.column_values = np.tile(np.arange(int(self.class_counts.max()), dtype=np.int64), (n_features, 1))
        else:
            self.column_features = _int_array("column_features", column_features, None)
            if self.column_features.size == 0:
                raise InputError("column_features", "needs at least one column")
            if self.column_features.min() < 0 or self.column_features.max() >= n_features:
                raise InputError("column_features", f"each must be 0..{n_features - 1}")
            if column_values is None:
                raise InputError("column_values", "needed when column_features is given")
            values = _int_array("column_values", column_values, None, ndim=2)
            if values.shape[0] != self.column_features.size:
                raise InputError("column_values", f"{values.shape[0]} rows for {self.column_features.size} columns")
            if values.shape[1] < int(self.class_counts.max()):
                raise InputError("column_values", f"narrower than the largest class count {int(self.class_counts.max())}")
            if values.max() > MAX_COLUMN_VALUE or values.min() < -MAX_COLUMN_VALUE:  # np.abs of -2^63 is negative
                raise InputError("column_values", f"magnitude above {MAX_COLUMN_VALUE}")
            self.column_values = values

    @property
    def n_rows(self) -> int:
        """Number of rows (customers)."""
        return int(self.codes.shape[1])

    @property
    def n_features(self) -> int:
        """Number of coded features."""
        return int(self.codes.shape[0])

    @property
    def n_columns(self) -> int:
        """Number of integer columns, which is the number of model weights."""
        return int(self.column_features.size)

    @property
    def shape(self) -> tuple[int, int]:
        """(n_rows, n_columns)."""
        return self.n_rows, self.n_columns

    def take_rows(self, index: npt.NDArray[Any]) -> CodedMatrix:
        """Return the same columns on the rows `index` (integers or a boolean mask)."""
        rows = np.flatnonzero(index) if index.dtype == bool else index
        codes = storage.empty((self.n_features, len(rows)), np.uint8)
        for row, out in zip(self.codes, codes, strict=True):
            out[:] = row[rows]
        return CodedMatrix(codes, self.class_counts, self.column_features, self.column_values)

    @classmethod
    def from_integers(cls, matrix: npt.ArrayLike) -> CodedMatrix:
        """Return an integer matrix (n_rows × n_columns) with at most 256 neighbouring values in each column as codes.

        Raises
        ------
        InputError
            Not integers, or a column spans more than 256 values: quantise it, or split it into digits.
        """
        array = codec.as_array("matrix", matrix)
        if array.dtype == bool:
            array = array.astype(np.uint8)
        if array.ndim == 1:
            array = array[:, None]
        array = _int_array("matrix", array, None, ndim=2)
        if 0 in array.shape:
            raise InputError("matrix", f"needs at least one row and one column, shape is {array.shape}")
        low, high = array.min(axis=0), array.max(axis=0)
        if high.max() > MAX_COLUMN_VALUE or low.min() < -MAX_COLUMN_VALUE:
            raise InputError("matrix", f"magnitude above {MAX_COLUMN_VALUE}")
        wide = np.flatnonzero(high - low >= MAX_CLASSES)
        if wide.size:
            raise InputError("matrix", f"column {wide[0]} spans more than {MAX_CLASSES} values: quantise it or split it into digits")
        counts = high - low + 1
        values = np.minimum(low[:, None] + np.arange(int(counts.max())), high[:, None])
        return cls((array - low).T.astype(np.uint8), counts, np.arange(len(low)), values)

    @property
    def T(self) -> TransposedCodes:
        """The transpose, for ``matrix.T @ c``."""
        return TransposedCodes(self)

    @cached_property
    def class_rows(self) -> Ints:
        """Number of rows of every feature's every class, shape (n_features, largest class count)."""
        width = int(self.class_counts.max())
        return np.stack([np.bincount(row, minlength=width) for row in self.codes]).astype(np.int64)

    @cached_property
    def absolute_sums(self) -> Ints:
        """Σ_i |z_ij| of every column, exact, shape (n_columns,)."""
        width = self.class_rows.shape[1]
        rows = self.class_rows[self.column_features]
        return np.asarray((np.abs(self.column_values[:, :width]) * rows).sum(axis=1))

    @cached_property
    def largest(self) -> int:
        """The largest |z_ij|, at least 1."""
        width = self.class_rows.shape[1]
        taken = self.class_rows[self.column_features] > 0
        return max(1, int(np.where(taken, np.abs(self.column_values[:, :width]), 0).max()))

    @cached_property
    def plan(self) -> BlockPlan:
        """Blocks for the encrypted product; made once, kept as long as the matrix.

        Only classes up to the largest code present count: one kept for what later tables may hold costs no buckets here.
        """
        observed = self.codes.max(axis=1).astype(np.int64) + 1
        return make_plan(self.codes, observed, self.class_rows.max(axis=1) / self.n_rows, be.current().lanes)

    def product(self, vector: Encrypted[Made]) -> tuple[Made, Made]:
        """Return ([[Zᵀg]], [[Σg]]), shapes (n_columns,) and (1,), by buckets instead of exponentiations (crypto-core §6).

        Raises
        ------
        InputError
            The vector's length is not n_rows.
        BoundError
            bound · max_j Σ_i |z_ij| could wrap around n.
        """
        return self.combine(self.class_sums(vector))

    def class_sums(self, vector: Encrypted[Made]) -> ClassSums[Made]:
        """Return [[Σ_{i: code = v} g_i]] of every class v of every feature: the part of `product` that looks at the rows.

        Raises
        ------
        InputError, BoundError
            As `product`.
        """
        if not isinstance(vector, Encrypted):
            raise InputError("vector", "must be a CipherArray")
        if vector.shape != (self.n_rows,):
            raise InputError("vector", f"has shape {vector.shape}, the matrix {self.n_rows} rows")
        bound = vector.bound * max(int(self.absolute_sums.max()), 1)
        total_bound = vector.bound * self.n_rows
        vector.public.check_bound(max(bound, total_bound))
        plan, spent = self.plan, Seconds()
        context, shared = vector.public.context, engine.current()
        sums = None if shared is None else shared.class_sums(context, plan, vector.vector, spent)
        if sums is None:
            sums = blocks.class_sums(context, plan, vector.vector, spent, be.threads(), be.current().lanes)
        return ClassSums(vector, sums, (bound, total_bound), spent)

    def combine(self, sums: ClassSums[Made]) -> tuple[Made, Made]:
        """Return ([[Zᵀg]], [[Σg]]), shapes (n_columns,) and (1,), from what `class_sums` gave; InputError for anything else."""
        if not isinstance(sums, ClassSums):
            raise InputError("sums", "must be what class_sums gave")
        context = sums.of.public.context
        total = context.product(sums.vector[: self.plan.first_counts])
        columns = self._combine(context, sums.vector, total)
        return sums.of.like(columns, sums.bounds[0]), sums.of.like(total, sums.bounds[1])

    def _combine(self, context: Context, sums: Vector, total: Vector) -> Vector:
        """Σ_v T[v]·S_v = T[mode]·Σg + Σ_{v ≠ mode} (T[v] − T[mode])·S_v, where rows of the mode may be missing from S_mode."""
        features = self.column_features
        counts, modes = self.plan.class_counts[features], self.plan.modal_class[features]
        values = np.where(np.arange(self.column_values.shape[1]) < counts[:, None], self.column_values, 0)
        shift = np.where(modes >= 0, values[np.arange(len(modes)), modes], 0)
        exponents = np.where(np.arange(values.shape[1]) < counts[:, None], values - shift[:, None], 0)
        columns, negative = context.combine(sums, self.plan.first_class[features], counts, exponents)
        below = np.flatnonzero((exponents < 0).any(axis=1))
        if below.size:
            columns[below] = context.multiply(columns[below], context.invert(negative[below]))
        shifted = np.flatnonzero(shift)
        if shifted.size:
            distinct, which = np.unique(shift[shifted], return_inverse=True)
            repeated = np.repeat(total, len(distinct), axis=0)
            powers = context.power(repeated, lm.from_ints(np.abs(distinct).tolist(), 1))
            if (distinct < 0).any():
                powers[distinct < 0] = context.invert(powers[distinct < 0])
            columns[shifted] = context.multiply(columns[shifted], powers[which])
        return columns


class TransposedCodes:
    """Zᵀ of a CodedMatrix: only its product with an encrypted vector."""

    __array_ufunc__ = None

    def __init__(self, matrix: CodedMatrix) -> None:
        self.matrix = matrix

    @property
    def shape(self) -> tuple[int, int]:
        """(n_columns, n_rows)."""
        return self.matrix.n_columns, self.matrix.n_rows

    def __matmul__(self, vector: Encrypted[Made]) -> Made:
        """Return [[Zᵀg]], shape (n_columns,), or (n_columns, k) for k encrypted columns; errors as `CodedMatrix.product`."""
        if len(getattr(vector, "shape", ())) == 2:
            columns: Any = vector
            made: Made = columns.each_column(lambda column: self.matrix.product(column)[0])
            return made
        return self.matrix.product(vector)[0]


def _check_codes(codes: object) -> Codes:
    if not isinstance(codes, np.ndarray) or codes.dtype != np.uint8:
        raise InputError("codes", "must be a uint8 array of shape (n_features, n_rows)")
    if codes.ndim != 2:
        raise InputError("codes", f"must have 2 dimensions, not {codes.ndim}")
    if codes.shape[0] == 0 or codes.shape[1] == 0:
        raise InputError("codes", f"needs at least one feature and one row, shape is {codes.shape}")
    if max(codes.shape) > MAX_COUNT:
        raise InputError("codes", f"more than {MAX_COUNT} rows or features")
    return np.ascontiguousarray(codes)


def _int_array(name: str, value: npt.ArrayLike, shape: tuple[int, ...] | None, ndim: int = 1) -> Ints:
    array = codec.as_array(name, value)
    if array.dtype.kind not in "iu":
        raise InputError(name, f"must hold integers, not {array.dtype}")
    if array.ndim != ndim or (shape is not None and array.shape != shape):
        raise InputError(name, f"must have shape {shape if shape is not None else f'of {ndim} dimensions'}, not {array.shape}")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise InputError(name, "holds a value above 2^63 - 1")
    return np.ascontiguousarray(array, dtype=np.int64)
