"""CodedMatrix: an integer matrix held as one byte per feature cell."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from ..params import MAX_CLASSES, MAX_COLUMN_VALUE, MAX_COUNT

Codes = npt.NDArray[np.uint8]
Ints = npt.NDArray[np.int64]


class CodedMatrix:
    """Integer matrix Z (n_rows × n_columns) whose columns are functions of byte-coded features.

    Column j of row i is ``column_values[j, codes[column_features[j], i]]``: an ordinal feature feeds one column with the
    values 0, 1, 2, …; a category feeds one 0/1 column per level.

    Parameters
    ----------
    codes
        uint8, shape (n_features, n_rows), feature-major.
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
            if np.abs(values).max() > MAX_COLUMN_VALUE:
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
        return CodedMatrix(np.ascontiguousarray(self.codes[:, index]), self.class_counts, self.column_features, self.column_values)


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
    array = np.asarray(value)
    if array.dtype.kind not in "iu":
        raise InputError(name, f"must hold integers, not {array.dtype}")
    if array.ndim != ndim or (shape is not None and array.shape != shape):
        raise InputError(name, f"must have shape {shape if shape is not None else f'of {ndim} dimensions'}, not {array.shape}")
    if array.dtype == np.uint64 and array.size and array.max() > np.iinfo(np.int64).max:
        raise InputError(name, "holds a value above 2^63 - 1")
    return np.ascontiguousarray(array, dtype=np.int64)
