"""Argument checks of this wing: each returns the argument in its one inner form, or names it in an error."""

from __future__ import annotations

import math
import numbers
import sys
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..crypto.coded import CodedMatrix
from ..errors import InputError
from ..params import MAX_COUNT, MAX_FRAC_BITS

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Labels = npt.NDArray[np.int8]


def number(name: str, value: object, *, above: float = -math.inf, least: float = -math.inf, most: float = math.inf) -> float:
    """Return a finite real number with above < value and least ≤ value ≤ most, as a float; InputError otherwise."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Real):
        raise InputError(name, f"must be a number, not {type(value).__name__}")
    result = float(value) if abs(value) <= sys.float_info.max else math.inf  # type: ignore[operator]
    if not math.isfinite(result):
        raise InputError(name, "must be finite")
    if result <= above or result < least or result > most:
        limits = [f"above {above:g}"] * (above > -math.inf) + [f"at least {least:g}"] * (least > -math.inf)
        raise InputError(name, "must be " + " and ".join(limits + [f"at most {most:g}"] * (most < math.inf)))
    return result


def count(name: str, value: object, *, least: int = 1, most: int = MAX_COUNT) -> int:
    """Return an integer with least ≤ value ≤ most; a bool is no integer; InputError otherwise."""
    if isinstance(value, bool | np.bool_) or not isinstance(value, numbers.Integral):
        raise InputError(name, f"must be an integer, not {type(value).__name__}")
    if not least <= int(value) <= most:
        raise InputError(name, f"must be {least}..{most}")
    return int(value)


def fraction_bits(name: str, value: object, most: int = MAX_FRAC_BITS) -> int:
    """Return a number of binary places f, 0 ≤ f ≤ 40 or another limit."""
    return count(name, value, least=0, most=most)


def coded(name: str, value: object) -> CodedMatrix:
    """Return a CodedMatrix, unchanged; InputError otherwise."""
    if not isinstance(value, CodedMatrix):
        raise InputError(name, f"must be a CodedMatrix, not {type(value).__name__}")
    return value


def floats(name: str, value: object, length: int | None = None) -> Floats:
    """Return a vector of finite numbers as contiguous native float64; InputError otherwise."""
    result = np.ascontiguousarray(_vector(name, value, "iuf", length), dtype=np.float64)
    bad = np.flatnonzero(~np.isfinite(result))
    if bad.size:
        raise InputError(name, f"NaN or infinite in row {bad[0]}")
    return result


def probabilities(name: str, value: object, length: int | None = None) -> Floats:
    """Return a vector of numbers in [0, 1] as float64; InputError otherwise."""
    result = floats(name, value, length)
    bad = np.flatnonzero((result < 0.0) | (result > 1.0))
    if bad.size:
        raise InputError(name, f"outside [0, 1] in row {bad[0]}")
    return result


def int64s(name: str, value: object, length: int | None = None) -> Ints:
    """Return a vector of integers as contiguous native int64; InputError otherwise."""
    array = _vector(name, value, "iu", length)
    if array.dtype.kind == "u" and array.max() > np.uint64(np.iinfo(np.int64).max):
        raise InputError(name, "holds a value above 2^63 - 1")
    return np.ascontiguousarray(array, dtype=np.int64)


def integers(name: str, value: object, length: int) -> list[int]:
    """Return a vector of integers of any size as Python ints; InputError otherwise."""
    if isinstance(value, list | tuple) or (isinstance(value, np.ndarray) and value.dtype == object and value.ndim == 1):
        items: Sequence[Any] = list(value)
        if any(isinstance(item, bool | np.bool_) or not isinstance(item, numbers.Integral) for item in items):
            raise InputError(name, "must hold integers")
        if len(items) != length:
            raise InputError(name, f"must have length {length}, not {len(items)}")
        return [int(item) for item in items]
    return [int(item) for item in int64s(name, value, length)]


def labels(name: str, value: object, length: int | None = None, *, both: bool = True) -> Labels:
    """Return labels −1/+1 as int8; with `both`, each class must be present; InputError otherwise."""
    array = _vector(name, value, "iuf", length)
    bad = np.flatnonzero(~((array == 1) | (array == -1)))
    if bad.size:
        raise InputError(name, f"labels must be -1 or +1, row {bad[0]} is not")
    result = np.ascontiguousarray(array, dtype=np.int8)
    if both and bool((result == result[0]).all()):
        raise InputError(name, "only one class is present, both are needed")
    return result


def _vector(name: str, value: object, kinds: str, length: int | None) -> npt.NDArray[Any]:
    if value is None or isinstance(value, str | bytes | np.ma.MaskedArray):
        raise InputError(name, f"must be a vector of numbers, not {type(value).__name__}")
    try:
        array = np.asarray(value)
    except (ValueError, TypeError):  # ragged lists
        raise InputError(name, "must be a vector of numbers") from None
    if array.dtype.kind not in kinds:
        raise InputError(name, f"must hold {'numbers' if 'f' in kinds else 'integers'}, not {array.dtype}")
    if array.ndim != 1 or array.size == 0:
        raise InputError(name, f"must be a vector with at least one entry, shape is {array.shape}")
    if length is not None and array.size != length:
        raise InputError(name, f"must have length {length}, not {array.size}")
    return array
