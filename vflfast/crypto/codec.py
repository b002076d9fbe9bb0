"""Fixed point and packing: the one place where floats become integers, and where slots are proved wide enough.

Source: crypto-core §5. A float x is encoded as round(x·2^frac_bits); a negative integer v stands in Z_n as n + v.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import BoundError, CheckError, InputError
from ..params import MAX_FRAC_BITS
from . import limbs as lm
from .limbs import Limbs

Ints = npt.NDArray[np.int64]
INT64_BOUND = (1 << 63) - 1


def encode(values: npt.ArrayLike, frac_bits: int, bound: float, name: str = "values") -> Ints:
    """Return round(x·2^frac_bits) as int64, shape as given.

    Raises
    ------
    InputError
        Not real numbers, NaN or infinite, naming `name`.
    BoundError
        Some |x| is above `bound`, or the scaled bound does not fit int64.
    """
    check_frac_bits(frac_bits)
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


def encodable(
    values: npt.ArrayLike, frac_bits: int | None, bound: float | None, default_bits: int
) -> tuple[npt.NDArray[Any], int, int]:
    """Return numbers to encrypt as whole numbers, shape (count,), their fraction bits, and a bound of their magnitude.

    Integers are exact unless `frac_bits` is given; other numbers have `default_bits` fraction bits if none are given. Without `bound` it is
    the largest magnitude present.

    Raises
    ------
    InputError, BoundError
        Not numbers, NaN, infinite, or above the bound.
    """
    array = np.atleast_1d(as_array("values", values))
    if array.ndim > 1:
        raise InputError("values", f"must have one dimension, not {array.ndim}")
    if array.dtype.kind not in "fiuO":
        raise InputError("values", f"must hold real numbers, not {array.dtype}")
    if array.dtype == object or (array.dtype.kind in "iu" and not frac_bits):
        return _whole(array, frac_bits, bound)
    bits = default_bits if frac_bits is None else frac_bits
    largest = np.abs(array[np.isfinite(array)]).max(initial=0).item()
    limit = real_number("bound", bound) if bound is not None else largest or 1
    return encode(array, bits, limit), bits, math.ceil(limit * (1 << bits))


def _whole(array: npt.NDArray[Any], frac_bits: int | None, bound: float | None) -> tuple[npt.NDArray[Any], int, int]:
    whole = whole_numbers("values", array)
    if frac_bits is not None:
        check_frac_bits(frac_bits)
    if frac_bits:
        raise InputError("frac_bits", "integers of arbitrary size are encrypted at 0 fraction bits")
    largest = largest_magnitude(whole)
    limit = max(largest, 1) if bound is None else int(real_number("bound", bound))
    if limit < 0:
        raise InputError("bound", "must be a non-negative whole number")
    if largest > limit:
        raise BoundError("values", f"some magnitude is above the bound {limit}")
    return whole, 0, limit


def decode(values: npt.NDArray[Any], frac_bits: int) -> npt.NDArray[np.float64]:
    """Return integers over 2^frac_bits as float64."""
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
    """Return whole numbers, shape (count,): int64 where all magnitudes are below 2^63, else Python integers.

    Raises
    ------
    InputError
        For anything else.
    """
    array = np.atleast_1d(as_array(name, value))
    if array.ndim != 1:
        raise InputError(name, f"must have one dimension, not {array.ndim}")
    if array.dtype == object:
        if not all(isinstance(v, int) and not isinstance(v, bool) for v in array):
            raise InputError(name, "an object array must hold Python integers")
        return array
    if array.dtype.kind not in "iu":
        raise InputError(name, f"must hold whole numbers, not {array.dtype}")
    if array.size and (int(array.max()) > INT64_BOUND or int(array.min()) < -INT64_BOUND):
        return array.astype(object)
    return array.astype(np.int64)


def largest_magnitude(array: npt.NDArray[Any]) -> int:
    """Return the largest |v| of whole numbers, 0 for none."""
    return int(np.abs(array).max(initial=0))


def real_number(name: str, value: object) -> int | float:
    """Return a finite real number as Python's; bool is none; InputError for anything else."""
    if isinstance(value, int | np.integer) and not isinstance(value, bool):
        return int(value)
    if not isinstance(value, float | np.floating) or not np.isfinite(value):
        raise InputError(name, "must be a finite number")
    return float(value)


def check_frac_bits(frac_bits: int) -> None:
    """Refuse a fraction width that is no whole number in 0..MAX_FRAC_BITS; InputError otherwise."""
    if isinstance(frac_bits, bool) or not isinstance(frac_bits, int) or not 0 <= frac_bits <= MAX_FRAC_BITS:
        raise InputError("frac_bits", f"must be a whole number from 0 to {MAX_FRAC_BITS}")


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


@dataclass(frozen=True)
class SlotPlan:
    """Proof that `n_values` integers and one check value fit the slots of packed plaintexts without overflow.

    Made by `prove` only. Value j sits in slot j, offset by 2^(slot_bits − 1); the check value takes `check_slots` slots of its
    own at slot `check_at`, in one plaintext.

    Attributes
    ----------
    n_values, slot_bits, slots
        Number of values, bits of a slot, slots in a plaintext.
    check_at, check_slots
        First slot of the check value and how many it takes.
    """

    n_values: int
    slot_bits: int
    slots: int
    check_at: int
    check_slots: int

    @classmethod
    def prove(cls, n_values: int, bound: int, check_bound: int, n_bits: int) -> SlotPlan:
        """Return the narrowest plan for |value| ≤ bound and |check| ≤ check_bound in plaintexts modulo an n of `n_bits` bits.

        2^(slot_bits−1) > bound, 2^(slot_bits·check_slots−1) > check_bound and slots·slot_bits ≤ n_bits − 2.

        Raises
        ------
        BoundError
            No such plan exists.
        """
        for name, value in (("n_values", n_values), ("bound", bound), ("check_bound", check_bound), ("n_bits", n_bits)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(name, "must be a non-negative whole number")
        if n_values < 1:
            raise InputError("n_values", "needs at least one value")
        slot_bits = int(bound).bit_length() + 1
        slots = (n_bits - 2) // slot_bits
        check_slots = -(-(int(check_bound).bit_length() + 1) // slot_bits)
        if slots < 1 or check_slots > slots:
            raise BoundError("bound", f"slots of {slot_bits} bits and a check of {check_slots} slots do not fit {n_bits} bits")
        free = -n_values % slots
        check_at = n_values if check_slots <= free else n_values + free
        return cls(n_values, slot_bits, slots, check_at, check_slots)

    @property
    def n_slots(self) -> int:
        """Slots in use, the gap before the check value included."""
        return self.check_at + self.check_slots

    @property
    def n_plaintexts(self) -> int:
        """Packed plaintexts."""
        return -(-self.n_slots // self.slots)

    def offsets(self) -> list[int]:
        """Return, for each packed plaintext, the sum of its slots' offsets."""
        totals = [0] * self.n_plaintexts
        for j in range(self.n_values):
            totals[j // self.slots] += 1 << (self.slot_bits * (j % self.slots) + self.slot_bits - 1)
        check_shift = self.slot_bits * (self.check_at % self.slots)
        totals[self.check_at // self.slots] += 1 << (check_shift + self.slot_bits * self.check_slots - 1)
        return totals

    def shifted(self, values: list[int]) -> list[int]:
        """Return, for each packed plaintext, Σ v_j·2^(shift of slot j): what adds v_j to every value, nothing to the check value."""
        totals = [0] * self.n_plaintexts
        for j, value in enumerate(values):
            totals[j // self.slots] += value << (self.slot_bits * (j % self.slots))
        return totals

    def pack(self, values: list[int], check: int) -> list[int]:
        """Return packed plaintexts, offsets included, of values their owner knows in the clear.

        Raises
        ------
        BoundError
            A value outside its slot.
        """
        half, check_half = 1 << (self.slot_bits - 1), 1 << (self.slot_bits * self.check_slots - 1)
        if len(values) != self.n_values:
            raise InputError("values", f"{len(values)} values for a plan of {self.n_values}")
        if any(not -half < v < half for v in values) or not -check_half < check < check_half:
            raise BoundError("values", "one is outside its slot")
        packed = [offset + own for offset, own in zip(self.offsets(), self.shifted(values), strict=True)]
        packed[self.check_at // self.slots] += check << (self.slot_bits * (self.check_at % self.slots))
        return packed

    def unpack(self, packed: list[int]) -> tuple[list[int], int]:
        """Return (values, check) from packed plaintexts that carry their offsets.

        Raises
        ------
        CheckError
            A plaintext has bits above its slots, or in slots that nothing is put into: overflow or tampering.
        """
        if len(packed) != self.n_plaintexts:
            raise CheckError(f"unpack: {len(packed)} plaintexts where the plan has {self.n_plaintexts}")
        if any(p < 0 or p >> (self.slots * self.slot_bits) for p in packed):
            raise CheckError("unpack: a plaintext has bits above its slots")
        half, mask = 1 << (self.slot_bits - 1), (1 << self.slot_bits) - 1
        taken = [(packed[j // self.slots] >> (self.slot_bits * (j % self.slots))) & mask for j in range(self.check_at)]
        bits = self.slot_bits * self.check_slots
        check = packed[self.check_at // self.slots] >> (self.slot_bits * (self.check_at % self.slots))
        if any(taken[self.n_values :]) or check >> bits:
            raise CheckError("unpack: slots that nothing is put into are not empty")
        return [slot - half for slot in taken[: self.n_values]], check - (1 << (bits - 1))
