"""Fixed point: the one place where floats become integers.

Source: crypto-core §5. A float x is encoded as round(x·2^frac_bits); a negative integer v stands in Z_n as n + v.
"""

from __future__ import annotations

import math
import sys
import warnings
from fractions import Fraction
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BoundError, CheckError, InputError, PrecisionWarning
from ..params import MAX_FRAC_BITS, MAX_SCALE_BITS
from . import limbs as lm
from .limbs import Limbs

Ints = npt.NDArray[np.int64]
INT64_BOUND = (1 << 63) - 1
LOSSLESS_BITS = 9  # a number of at least 2^9 units of its scale is rounded by at most a thousandth of its value
MAX_RELATIVE_LOSS = 2.0**-10  # of a number's value before it is warned about: "0.1 %"


def encode(values: npt.ArrayLike, frac_bits: int, bound: float, name: str = "values") -> Ints:
    """Return round(x·2^frac_bits) as int64, shape as given.

    Raises
    ------
    InputError
        Not real numbers, NaN or infinite, naming `name`.
    BoundError
        Some |x| is above `bound`, or the scaled bound does not fit int64.
    """
    check_frac_bits(frac_bits, MAX_FRAC_BITS)
    array = as_array(name, values)
    if array.dtype.kind not in "fiu":
        raise InputError(name, f"must hold real numbers, not {array.dtype}")
    exact = array.dtype.kind in "iu"  # integers beyond 2^53 would be rounded on the way through float64
    array = array if exact else array.astype(np.float64)
    if not np.isfinite(array).all():
        raise InputError(name, "holds NaN or infinity; missing values are a class of their own, not a number")
    bound = real_number("bound", bound)
    if not 0 < bound < 2.0 ** (62 - frac_bits):
        raise BoundError("bound", f"must be positive, and fit 62 bits with {frac_bits} fraction bits")
    if array.size and max(array.max().item(), -array.min().item()) > bound:
        raise BoundError(name, f"some magnitude is above the agreed bound {bound}")
    if exact:
        return array.astype(np.int64) << frac_bits
    return np.rint(array * 2.0**frac_bits).astype(np.int64)


def numbers(name: str, values: npt.ArrayLike, frac_bits: int | None, default_bits: int) -> tuple[npt.NDArray[Any], int]:
    """Return real numbers as whole numbers, shape as given, and their fraction bits.

    Integers are exact and have no fraction bits unless `frac_bits` is given; floats have `default_bits` if none are given.

    Raises
    ------
    InputError
        Not real numbers, NaN or infinite, or nonzero numbers that would all become 0.

    Warns
    -----
    PrecisionWarning
        Some number loses more than `MAX_RELATIVE_LOSS` of its value.
    """
    array = as_array(name, values)
    if array.dtype.kind not in "fiuO":
        raise InputError(name, f"must hold real numbers, not {array.dtype}")
    bits = frac_bits if frac_bits is not None else (default_bits if array.dtype.kind == "f" else 0)
    check_frac_bits(bits)
    if array.dtype.kind == "f":
        return _fixed_point(name, array.astype(np.float64), bits), bits
    return shifted(whole_numbers(name, array), bits), bits


def encodable(
    values: npt.ArrayLike, frac_bits: int | None, bound: float | None, default_bits: int
) -> tuple[npt.NDArray[Any], int, int]:
    """Return numbers to encrypt as whole numbers, shape as given, their fraction bits, and a bound of their magnitude.

    As `numbers`; without `bound` it is the largest magnitude present.

    Raises
    ------
    InputError, BoundError
        As `numbers`; a number above the bound.
    """
    array = as_array("values", values)
    encoded, bits = numbers("values", array, frac_bits, default_bits)
    if bound is None:
        return encoded, bits, largest_magnitude(encoded) or 1 << bits
    limit = real_number("bound", bound)
    if limit < 0 or (limit == 0 and array.dtype.kind == "f"):
        raise InputError("bound", "must be positive, or 0 for integers")
    ends = [array.max(), array.min()] if array.size else []
    if any(abs(end.item() if isinstance(end, np.generic) else end) > limit for end in ends):  # Python's numbers: int64 has no 2^63
        raise BoundError("values", f"some magnitude is above the bound {bound}")
    return encoded, bits, math.ceil(Fraction(limit) * (1 << bits))


def declared(name: str, encoded: npt.NDArray[Any], frac_bits: int, bound: int) -> npt.NDArray[Any]:
    """Return whole numbers at a declared scale, shape (count,), each |v| ≤ bound; InputError or BoundError otherwise."""
    check_frac_bits(frac_bits)
    whole = whole_numbers(name, encoded)
    if whole.ndim != 1:
        raise InputError(name, f"must have one dimension, not {whole.ndim}")
    if largest_magnitude(whole) > bound:
        raise BoundError(name, "some magnitude is above the declared bound")
    return whole


def _fixed_point(name: str, array: npt.NDArray[np.float64], frac_bits: int) -> npt.NDArray[Any]:
    """Return round(x·2^frac_bits), half to even: int64 where all fit 62 bits, else Python integers."""
    if not np.isfinite(array).all():
        raise InputError(name, "holds NaN or infinity; missing values are a class of their own, not a number")
    exponent = int(np.frexp(np.abs(array).max(initial=0.0))[1])  # the largest is below 2^exponent
    if exponent + frac_bits <= 62:
        encoded = np.rint(np.ldexp(array, frac_bits)).astype(np.int64)
    else:
        encoded = np.empty(array.shape, dtype=object)
        encoded.ravel()[:] = [round(Fraction(x) * (1 << frac_bits)) for x in array.ravel().tolist()]
    _check_loss(name, array, encoded, frac_bits)
    return encoded


def _check_loss(name: str, array: npt.NDArray[np.float64], encoded: npt.NDArray[Any], frac_bits: int) -> None:
    """Say which numbers the scale is too coarse for."""
    magnitudes = np.abs(array)
    few = (magnitudes > 0) & (magnitudes < np.ldexp(1.0, LOSSLESS_BITS - frac_bits))  # others lose at most 2^-LOSSLESS_BITS / 2
    if not few.any():
        return
    exact = np.ldexp(magnitudes[few], frac_bits)  # below 2^LOSSLESS_BITS, as what it is rounded to
    lost = np.abs(np.abs(encoded[few].astype(np.float64)) - exact) > MAX_RELATIVE_LOSS * exact
    if not lost.any():
        return
    wanted = LOSSLESS_BITS + 1 - int(np.frexp(magnitudes[few][lost].min())[1])
    if not encoded.any():
        raise InputError(name, f"all would become 0 at {frac_bits} fraction bits; frac_bits={wanted} keeps them to 0.1 %")
    warnings.warn(
        f"{name}: {int(lost.sum()):,} of {array.size:,} numbers lose more than 0.1 % of their value at {frac_bits} fraction bits; "
        f"frac_bits={wanted} keeps them",
        PrecisionWarning, stacklevel=find_caller(),
    )  # fmt: skip


def find_caller() -> int:
    """Return the `stacklevel` of the first caller outside this package, for a warning that the calling function gives."""
    frame, level = sys._getframe(1), 1
    while frame.f_back is not None and str(frame.f_globals.get("__name__", "")).partition(".")[0] == "vflfast":
        frame, level = frame.f_back, level + 1
    return level


def shifted(whole: npt.NDArray[Any], bits: int) -> npt.NDArray[Any]:
    """Return whole numbers times 2^bits: int64 where they fit, else Python integers."""
    if bits == 0 or (whole.dtype == np.int64 and largest_magnitude(whole) <= INT64_BOUND >> bits):
        return whole << bits if bits else whole
    return np.asarray(whole.astype(object) * (1 << bits), dtype=object)


def decode(values: npt.NDArray[Any], frac_bits: int) -> npt.NDArray[np.float64]:
    """Return integers over 2^frac_bits as float64, each the nearest."""
    if values.dtype == object or frac_bits > 62:
        wide = [int(v) / (1 << frac_bits) for v in values.ravel().tolist()]
        return np.array(wide, dtype=np.float64).reshape(values.shape)
    return np.asarray(values / (1 << frac_bits), dtype=np.float64)


def as_array(name: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return an array, refusing what numpy would misread: ragged lists, and masked arrays, whose mask it would drop.

    Raises
    ------
    InputError
        For anything else.
    """
    if isinstance(value, np.ma.MaskedArray):
        raise InputError(name, "is a masked array; missing values are a class of their own, not a number")
    try:
        return np.asarray(value)
    except (TypeError, ValueError):
        raise InputError(name, "is no array of numbers") from None


def whole_numbers(name: str, value: npt.ArrayLike) -> npt.NDArray[Any]:
    """Return whole numbers, shape as given: int64 where all magnitudes are below 2^63, else Python integers.

    Raises
    ------
    InputError
        For anything else.
    """
    array = as_array(name, value)
    if array.dtype == object:
        if not all(isinstance(v, int) and not isinstance(v, bool) for v in array.ravel().tolist()):
            raise InputError(name, "an object array must hold Python integers")
        return array
    if array.dtype.kind not in "iu":
        raise InputError(name, f"must hold whole numbers, not {array.dtype}")
    if array.size and (int(array.max()) > INT64_BOUND or int(array.min()) < -INT64_BOUND):
        return array.astype(object)
    return array.astype(np.int64)


def largest_magnitude(array: npt.NDArray[Any]) -> int:
    """Return the largest |v| of whole numbers, 0 for none."""
    return int(np.abs(array).max(initial=0)) if array.ndim else abs(int(array))


def real_number(name: str, value: object) -> int | float:
    """Return a finite real number as Python's; bool is none; InputError for anything else."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if not isinstance(value, float | np.floating) or not np.isfinite(value):
        raise InputError(name, "must be a finite number")
    return float(value)


def check_frac_bits(frac_bits: int, most: int = MAX_SCALE_BITS) -> None:
    """Refuse a fraction width that is no whole number in 0..most; InputError otherwise."""
    if isinstance(frac_bits, bool) or not isinstance(frac_bits, int) or not 0 <= frac_bits <= most:
        raise InputError("frac_bits", f"must be a whole number from 0 to {most}")


def to_residues(values: npt.NDArray[Any], n: int) -> Limbs:
    """Return integers |v| < n/2 (int64 or Python integers) modulo n, shape (count, limbs)."""
    size = lm.limb_count(n.bit_length())
    if values.dtype == object:
        return lm.from_ints([int(v) % n for v in values], size)
    limbs = np.zeros((values.size, size), dtype=np.uint64)
    limbs[:, 0] = np.abs(values).astype(np.uint64)
    negative = values < 0
    limbs[negative] = _n_minus(limbs[negative], n)
    return limbs


def from_residues(limbs: Limbs, n: int, bound: int) -> npt.NDArray[Any]:
    """Return residues as integers in [−bound, bound]: int64 where they fit, else Python integers.

    Raises
    ------
    CheckError
        A residue stands for an integer above `bound`: overflow or tampering.
    """
    if bound > INT64_BOUND:
        centred = [m - n if m > n // 2 else m for m in lm.to_ints(limbs)]
        if any(abs(v) > bound for v in centred):
            raise CheckError("decryption: a number is above its declared bound")
        result = np.empty(len(centred), dtype=object)
        result[:] = centred
        return result
    negative = limbs[:, 1:].any(axis=1)
    magnitude = limbs.copy()
    magnitude[negative] = _n_minus(limbs[negative], n)
    if magnitude[:, 1:].any() or (magnitude.size and magnitude[:, 0].max() > np.uint64(bound)):
        raise CheckError("decryption: a number is above its declared bound")
    small = magnitude[:, 0].astype(np.int64)
    return np.asarray(np.where(negative, -small, small))


def _n_minus(limbs: Limbs, n: int) -> Limbs:
    """Return n − v limb by limb."""
    result = np.empty_like(limbs)
    borrow = np.zeros(limbs.shape[0], dtype=np.uint64)
    for i, digit in enumerate(lm.from_ints([n], limbs.shape[1])[0]):
        subtrahend = limbs[:, i] + borrow
        wrapped = subtrahend < borrow  # 2^64 - 1 plus a borrow
        result[:, i] = digit - subtrahend
        borrow = ((subtrahend > digit) | wrapped).astype(np.uint64)
    return result
