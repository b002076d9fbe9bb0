"""Products of plain matrices with encrypted arrays, integers or floats, always by buckets (crypto-core §6) and never by a power a cell.

A column with few distinct values has one class for each. One with many is written in digits of a few bits, the same way, and the digits'
products are put together by Horner's rule: k numbers of b bits take some k·b/w insertions instead of k·b squarings.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..params import DEFAULT_FRAC_BITS, MAX_CLASSES
from . import codec, shapes
from . import limbs as lm
from .coded import CodedMatrix
from .context import Context, Vector

VALUE_DIGIT_BITS = 20  # of the values of classes: what CodedMatrix takes as a column
COLLAPSE = 3  # insertions that a class of a column costs besides its rows (crypto-core §6)


class Factor(Protocol):
    """What a product needs of an encrypted array."""

    vector: Vector
    shape: tuple[int, ...]
    precision: int
    bound: int

    @property
    def public(self) -> Any:
        """The key."""

    @property
    def ndim(self) -> int:
        """Number of dimensions."""

    def scaled(self, vector: Vector, bound: int, shape: tuple[int, ...], more_bits: int = 0) -> Any:
        """Return other ciphertexts under the same key, at a finer scale by `more_bits`."""

    def each_column(self, work: Callable[[Any], Any]) -> Any:
        """Return what `work` makes of the array of one dimension, or of every column of one of two."""


def from_left(matrix: Any, array: Factor) -> Any:
    """Return matrix @ array; InputError for what is no matrix."""
    plain = _plain_matrix(matrix)
    if plain is None:
        plain = shapes.plain("matrix", matrix)
        if plain.ndim == 1:
            return from_left(plain[None], array)[0]
        plain = PlainMatrix(plain, frac_bits=array.precision if plain.dtype.kind == "f" else None)
    return array.each_column(plain.times)


def from_right(array: Any, matrix: Any) -> Any:
    """Return array @ matrix; TypeError for two encrypted ones, InputError for what is no matrix."""
    if hasattr(matrix, "each_column"):
        raise TypeError("encrypted numbers are added; two of them cannot be multiplied")
    plain = _plain_matrix(matrix)
    if plain is None:
        plain = shapes.plain("matrix", matrix)
        if plain.ndim == 1:
            return from_left(plain, array.T)
    return from_left(plain.T, array.T).T


def _plain_matrix(matrix: Any) -> Any:
    return matrix if isinstance(matrix, PlainMatrix) else None


@dataclass(frozen=True)
class Part:
    """Some columns of Zᵀ as one coded matrix: `places` of them, and for each its digits' coded columns, the least significant first."""

    places: npt.NDArray[np.intp]
    digits: npt.NDArray[np.intp]
    digit_bits: int
    coded: CodedMatrix


class PlainMatrix:
    """A plain matrix that multiplies encrypted arrays many times: looked at once, shape (n_rows, n_columns).

    Parameters
    ----------
    matrix
        Real numbers, two dimensions.
    frac_bits
        Fraction bits; default: none for integers, 24 for floats. ``array @ c`` takes the precision of c instead.

    Attributes
    ----------
    method
        How it multiplies: which rows by their distinct values, which by digits of how many bits.

    Raises
    ------
    InputError
        Not real numbers, not two dimensions, or empty.

    Warns
    -----
    PrecisionWarning
        Some number loses more than 0.1 % of its value.
    """

    __array_ufunc__ = None

    def __init__(self, matrix: npt.ArrayLike, *, frac_bits: int | None = None) -> None:
        plain = shapes.plain("matrix", matrix)
        if plain.ndim != 2 or 0 in plain.shape:
            raise InputError("matrix", f"must have two dimensions and numbers in it, not shape {plain.shape}")
        self._hold(*codec.numbers("matrix", plain, frac_bits, DEFAULT_FRAC_BITS))

    def _hold(self, numbers: npt.NDArray[Any], frac_bits: int) -> None:
        self.numbers, self.frac_bits = numbers, frac_bits
        self.shape: tuple[int, ...] = numbers.shape
        self.row_bound = max(int(np.abs(numbers.astype(object)).sum(axis=1).max()), 1)
        self._parts = _parts(numbers)

    def __repr__(self) -> str:
        return f"PlainMatrix(shape={self.shape}, frac_bits={self.frac_bits}, {self.method})"

    @property
    def method(self) -> str:
        """How it multiplies."""
        return "; ".join(_said(part) for part in self._parts)

    @cached_property
    def T(self) -> PlainMatrix:
        """The transpose, looked at once as well: ``c @ matrix`` multiplies by it."""
        made = PlainMatrix.__new__(PlainMatrix)
        made._hold(self.numbers.T, self.frac_bits)
        return made

    def __matmul__(self, array: Any) -> Any:
        """Return matrix @ array, an encrypted array of one or two dimensions.

        Raises
        ------
        InputError, BoundError
            Another number of rows; a product that the key cannot hold.
        """
        if not hasattr(array, "each_column"):
            raise InputError("array", "must be a CipherArray")
        return from_left(self, array)

    def times(self, column: Factor) -> Any:
        """Return the product with one encrypted column, shape (n_rows,); InputError for another number of rows, BoundError."""
        if column.shape != (self.shape[1],):
            raise InputError("array", f"has shape {column.shape}, the matrix {self.shape}")
        bound = column.bound * self.row_bound
        column.public.check_bound(bound)
        rows: list[Vector] = [_times(part, column) for part in self._parts]
        order = np.argsort(np.concatenate([part.places for part in self._parts]))
        return column.scaled(np.concatenate(rows)[order], bound, (self.shape[0],), self.frac_bits)


def _times(part: Part, column: Factor) -> Vector:
    """Σ_d 2^(w·d)·(D_dᵀ c) of the digits D_d, from the most significant on."""
    context: Context = column.public.context
    sums = part.coded.product(column.scaled(column.vector, 0, column.shape))[0].vector  # bounds are proved for the whole product
    total: Vector = sums[part.digits[:, -1]]
    shift = lm.from_ints([1 << part.digit_bits], 1)
    for place in range(part.digits.shape[1] - 2, -1, -1):
        total = context.multiply(context.power(total, shift), sums[part.digits[:, place]])
    return total


def _said(part: Part) -> str:
    count, classes = len(part.places), int(part.coded.class_counts.max())
    many = part.digits.shape[1]
    if part.coded.n_features == count:
        return f"{count} rows by their at most {classes} distinct values"
    return f"{count} rows by {many} digits of {part.digit_bits} bits"


def _parts(numbers: npt.NDArray[Any]) -> list[Part]:
    """Divide the rows of a matrix between the two ways, by what they cost."""
    bits = max(codec.largest_magnitude(numbers).bit_length() + 1, 1)
    length = numbers.shape[1]
    width = min(range(1, 9), key=lambda w: _digit_cost(length, bits, w))
    distinct = [np.unique(row) for row in numbers]
    most = (_digit_cost(length, bits, width) - length) / (COLLAPSE + bits)  # the sum of a class is raised to its value
    few = np.array([len(values) <= min(MAX_CLASSES, max(most, 2)) for values in distinct])
    parts = []
    if few.any():
        parts.append(_by_values(numbers, np.flatnonzero(few), distinct))
    if not few.all():
        parts.append(_by_digits(numbers, np.flatnonzero(~few), width))
    return parts


def _digit_cost(length: int, bits: int, width: int) -> int:
    return -(-bits // width) * (length + COLLAPSE * (1 << width))


def _by_values(numbers: npt.NDArray[Any], rows: npt.NDArray[np.intp], distinct: list[npt.NDArray[Any]]) -> Part:
    """Code rows by their distinct values, whose digits are small enough to be columns."""
    codes = np.stack([np.searchsorted(distinct[row], numbers[row]) for row in rows]).astype(np.uint8)
    counts = np.array([len(distinct[row]) for row in rows])
    values = np.zeros((len(rows), int(counts.max())), dtype=numbers.dtype)
    for place, row in enumerate(rows):
        values[place, : counts[place]] = distinct[row]
    digits = _digits(values, VALUE_DIGIT_BITS)
    columns = np.concatenate(digits).astype(np.int64)
    features = np.tile(np.arange(len(rows)), len(digits))
    return Part(rows, _digit_places(len(rows), len(digits)), VALUE_DIGIT_BITS, CodedMatrix(codes, counts, features, columns))


def _by_digits(numbers: npt.NDArray[Any], rows: npt.NDArray[np.intp], width: int) -> Part:
    """Write rows in digits of `width` bits, each a row of its own."""
    digits = _digits(numbers[rows], width)
    coded = CodedMatrix.from_integers(np.concatenate(digits).astype(np.int64).T)
    return Part(rows, _digit_places(len(rows), len(digits)), width, coded)


def _digit_places(count: int, n_digits: int) -> npt.NDArray[np.intp]:
    return np.arange(count)[:, None] + count * np.arange(n_digits)


def _digits(numbers: npt.NDArray[Any], width: int) -> list[npt.NDArray[Any]]:
    """Return digits from 0 to 2^width − 1, the least significant first; the last has the sign."""
    count = max(1, -(-(codec.largest_magnitude(numbers).bit_length() + 1) // width))
    low = [numbers >> width * d & (1 << width) - 1 for d in range(count - 1)]
    return [*low, numbers >> width * (count - 1)]
