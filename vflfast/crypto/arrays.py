"""Arrays of ciphertexts: CipherArray, the result of arithmetic, and WireArray, which may leave the process."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, Protocol, Self

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import codec, matrices, serial, shapes, storage
from . import limbs as lm
from .context import Context, Vector
from .limbs import Limbs
from .shaped import Shaped


class Key(Protocol):
    """What an array needs of the key that its numbers are encrypted under."""

    fingerprint: str
    default_frac_bits: int

    @property
    def context(self) -> Context:
        """The arithmetic of its ciphertexts."""

    def check_bound(self, bound: int) -> None:
        """Refuse a bound that a plaintext cannot hold with its sign; BoundError, or InputError for no whole number."""

    def add_numbers(self, vector: Vector, numbers: npt.NDArray[Any]) -> Vector:
        """Return the ciphertexts of sums with whole numbers, int64 or Python integers, shape (count,)."""

    def parse(self, limbs: Limbs, *, frac_bits: int, bound: int) -> WireArray:
        """Return received ciphertexts after validation."""


class CipherArray(Shaped):
    """An array of encrypted numbers, the result of arithmetic. It cannot leave the process: `PublicKey.rerandomize` first.

    As a numpy array of real numbers: indexing, broadcasting, + − with arrays encrypted or not, × and ÷ by plain numbers,
    ``matrix @ c`` and ``c @ matrix``, `sum`, `mean`, `reshape`, `transpose`; `np.concatenate`, `np.stack` and their like take it.
    Products of two encrypted arrays and comparisons do not exist and raise TypeError.

    Parameters
    ----------
    public
        The key.
    vector
        The ciphertexts in the backend's form, one after the other in C order.
    frac_bits, bound
        See below.
    shape
        Default: (count,).
    precision
        See below; default: `frac_bits`, or the key's default for whole numbers.

    Attributes
    ----------
    frac_bits
        The scale: the numbers are integers over 2^frac_bits. A sum has the finer scale of its terms; a float factor adds `precision`.
    precision
        Fraction bits of the floats that the array is multiplied by, and of those that are added to whole numbers.
    bound
        Proved bound of the integers' magnitude; arithmetic that could pass what the key holds is refused.
    shape
        As numpy's.

    Raises
    ------
    InputError, BoundError
        A bound that is no whole number, or above what the key holds.
    """

    fresh = False

    def __init__(
        self, public: Key, vector: Vector, frac_bits: int, bound: int, *, shape: tuple[int, ...] | None = None, precision: int | None = None
    ) -> None:  # fmt: skip
        public.check_bound(bound)
        self.public = public
        self.vector = vector
        self.frac_bits = frac_bits
        self.bound = bound
        self.shape: tuple[int, ...] = (len(vector),) if shape is None else shape
        self.precision: int = (frac_bits or public.default_frac_bits) if precision is None else precision

    def __repr__(self) -> str:
        kind = "fresh" if self.fresh else "not fresh"
        return f"{type(self).__name__}(shape={self.shape}, key={self.public.fingerprint}, frac_bits={self.frac_bits}, {kind})"

    def _chosen(self, rows: Any, shape: tuple[int, ...] | None) -> Any:
        return CipherArray(self.public, self.vector[rows], self.frac_bits, self.bound, shape=shape, precision=self.precision)

    def __reduce__(self) -> Any:
        raise TypeError("results of arithmetic do not leave the process: they show what was done; rerandomize gives what may")

    if not TYPE_CHECKING:  # there is no such attribute; only its absence is explained

        def __getattr__(self, name: str) -> object:
            if name in ("limbs", "to_bytes"):
                raise AttributeError(f"no {name}: the result of arithmetic would show what was done; public.rerandomize(array) has them")
            raise AttributeError(f"{type(self).__name__!r} object has no attribute {name!r}")

    # --- arithmetic ----------------------------------------------------------------------------------------------

    def __add__(self, other: Any) -> CipherArray:
        if isinstance(other, CipherArray):
            return self._add_encrypted(other)
        return self._add_plain(other, 1)

    __radd__ = __add__

    def __neg__(self) -> CipherArray:
        return self.scaled(self.public.context.invert(self.vector))

    def __pos__(self) -> Self:
        return self

    def __sub__(self, other: Any) -> CipherArray:
        if isinstance(other, CipherArray):
            return self._add_encrypted(-other)
        return self._add_plain(other, -1)

    def __rsub__(self, other: Any) -> CipherArray:
        return (-self)._add_plain(other, 1)

    def __mul__(self, factor: Any) -> CipherArray:
        return self.multiply(factor)

    __rmul__ = __mul__

    def __truediv__(self, divisor: Any) -> CipherArray:
        return self.divide(divisor)

    def __matmul__(self, matrix: Any) -> CipherArray:
        """Return c @ matrix, as numpy's for up to two dimensions each: floats at `precision` fraction bits, integers exactly."""
        made: CipherArray = matrices.from_right(self, matrix)
        return made

    def __rmatmul__(self, matrix: Any) -> CipherArray:
        made: CipherArray = matrices.from_left(matrix, self)
        return made

    def dot(self, other: Any) -> CipherArray:
        """Return ``self @ other``, or the multiple by a single number."""
        made: CipherArray = shapes.dot(self, other)
        return made

    def multiply(self, factor: Any, *, frac_bits: int | None = None) -> CipherArray:
        """Return the products with plain numbers, broadcast.

        Parameters
        ----------
        factor
            One number, or an array. Integers are exact and leave the scale as it is; floats add `frac_bits` to it.
        frac_bits
            Fraction bits of floats; default: `precision`.

        Raises
        ------
        InputError, BoundError
            Not numbers, shapes that do not broadcast, nonzero factors that would all become 0; a product that the key cannot hold.

        Warns
        -----
        PrecisionWarning
            Some factor loses more than 0.1 % of its value.
        """
        if isinstance(factor, CipherArray):
            raise TypeError("encrypted numbers are added; two of them cannot be multiplied")
        numbers, bits = codec.numbers("factor", shapes.plain("factor", factor), frac_bits, self.precision)
        shape = shapes.broadcast("factor", self.shape, numbers.shape)
        bound = self.bound * max(codec.largest_magnitude(numbers), 1)
        self.public.check_bound(bound)
        flat = numbers.ravel() if numbers.size == 1 else np.broadcast_to(numbers, shape).ravel()
        return self.scaled(_powers(self.public.context, self._spread(shape), flat), bound, shape, bits)

    def divide(self, divisor: Any, *, frac_bits: int | None = None) -> CipherArray:
        """Return the quotients by plain numbers, broadcast: products with 1/divisor in fixed point.

        Parameters
        ----------
        divisor
            One number, or an array.
        frac_bits
            Fraction bits of 1/divisor; default: `precision`, and as many more as the largest divisor has places before the point.

        Raises
        ------
        InputError, BoundError
            As `multiply`; a divisor of 0.
        """
        if isinstance(divisor, CipherArray):
            raise TypeError("encrypted numbers do not divide")
        plain = shapes.plain("divisor", divisor)
        if plain.dtype.kind not in "fiu":
            raise InputError("divisor", f"must hold real numbers, not {plain.dtype}")
        if not plain.all():
            raise InputError("divisor", "is 0" if plain.ndim == 0 else "holds 0")
        whole_bits = max(0, int(np.frexp(np.abs(plain.astype(np.float64)).max(initial=0.0))[1]))
        return self.multiply(1.0 / plain, frac_bits=self.precision + whole_bits if frac_bits is None else frac_bits)

    def sum(self, axis: Any = None, *, keepdims: bool = False) -> CipherArray:
        """Return the encrypted sum over all numbers, or over one axis or several, as numpy's.

        Raises
        ------
        InputError
            No such axis, or a sum of no numbers: it would have no randomness.
        """
        places, shape = shapes.summed(self.shape, axis, keepdims)
        if len(places) == 0:
            raise InputError("array", "the sum of no ciphertexts has no randomness")
        bound = self.bound * len(places)
        self.public.check_bound(bound)
        context = self.public.context
        if places.shape[1] == 1:
            return self.scaled(context.product(self.vector[places.ravel()] if self.ndim > 1 else self.vector), bound, shape)
        return self.scaled(_tree_sum(context, self.vector[places.ravel()], len(places)), bound, shape)

    def mean(self, axis: Any = None, *, keepdims: bool = False, frac_bits: int | None = None) -> CipherArray:
        """Return the encrypted mean: `sum` divided by the count, as `divide`; InputError as `sum`."""
        total = self.sum(axis, keepdims=keepdims)
        return total.divide(self.size // max(1, total.size), frac_bits=frac_bits)

    @staticmethod
    def concatenate(arrays: Sequence[CipherArray], axis: int = 0) -> CipherArray:
        """Return arrays of one key, one after the other along an axis, at the finest of their scales; InputError otherwise."""
        alike = _at_one_scale(arrays)
        joined = alike[0].like(storage.concatenate([a.vector for a in alike]), max(a.bound for a in alike))
        if axis == 0 and all(a.ndim == 1 for a in alike):
            return joined
        return joined.at(shapes.joined([a.shape for a in alike], axis))

    @staticmethod
    def stack(arrays: Sequence[CipherArray], axis: int = 0) -> CipherArray:
        """Return arrays of one key and shape, joined along a new axis; InputError otherwise."""
        rows = [a.reshape(1, *a.shape) if isinstance(a, CipherArray) else a for a in arrays]
        return CipherArray.concatenate(rows)._rearranged(lambda places: np.moveaxis(places, 0, axis), "axis")

    # --- what arithmetic shares ----------------------------------------------------------------------------------

    def require_key(self, public: Key) -> None:
        """Refuse an array of another key; InputError."""
        if self.public != public:
            raise InputError("vector", f"belongs to key {self.public.fingerprint}, not {public.fingerprint}")

    def like(self, vector: Vector, bound: int | None = None) -> CipherArray:
        """Return other ciphertexts under the same key and scale, shape (count,), with this bound or another."""
        return self.scaled(vector, bound, shape=(len(vector),))

    def at_scale(self, frac_bits: int) -> CipherArray:
        """Return the same numbers at another scale, not below their own; InputError, BoundError."""
        codec.check_frac_bits(frac_bits)
        more = frac_bits - self.frac_bits
        if more < 0:
            raise InputError("frac_bits", f"is below the array's {self.frac_bits}: encrypted numbers are not rounded")
        if more == 0:
            return self
        self.public.check_bound(self.bound << more)
        one = np.array([1 << more], dtype=object)
        return self.scaled(_powers(self.public.context, self.vector, one), self.bound << more, more_bits=more)

    def each_column(self, work: Callable[[CipherArray], CipherArray]) -> CipherArray:
        """Return what `work` makes of the array of one dimension, or of each of the columns of one of two; InputError for others."""
        if self.ndim == 1:
            return work(self)
        if self.ndim != 2:
            raise InputError("array", f"must have one or two dimensions, not {self.ndim}")
        return CipherArray.stack([work(column) for column in self.T], axis=1)

    def scaled(
        self, vector: Vector, bound: int | None = None, shape: tuple[int, ...] | None = None, more_bits: int = 0
    ) -> CipherArray:  # fmt: skip
        """Return other ciphertexts under the same key, by default with the same bound and shape, at a scale finer by `more_bits`."""
        bound, shape = self.bound if bound is None else bound, self.shape if shape is None else shape
        return CipherArray(self.public, vector, self.frac_bits + more_bits, bound, shape=shape, precision=self.precision)

    def _spread(self, shape: tuple[int, ...]) -> Vector:
        """Return the ciphertexts of the array broadcast to a shape."""
        if shape == self.shape or np.prod(shape, dtype=int) == self.size:
            return self.vector
        return self.vector[np.broadcast_to(shapes.places(self.shape), shape).ravel()]

    def _add_encrypted(self, other: CipherArray) -> CipherArray:
        shape = shapes.broadcast("other", self.shape, other.shape)
        left, right = _at_one_scale([self, other])
        bound = left.bound + right.bound
        self.public.check_bound(bound)
        if left.size == 1:
            left, right = right, left
        added = right.vector if right.size == 1 else right._spread(shape)  # one number is added to all without copies of it
        return left.scaled(self.public.context.multiply(left._spread(shape), added), bound, shape)

    def _add_plain(self, other: Any, sign: int) -> CipherArray:
        plain = shapes.plain("other", other)
        numbers, bits = codec.numbers("other", plain, None, self.frac_bits or self.precision)
        shape = shapes.broadcast("other", self.shape, numbers.shape)
        rescaled = self.at_scale(max(bits, self.frac_bits))
        numbers = codec.shifted(numbers, rescaled.frac_bits - bits)
        bound = rescaled.bound + codec.largest_magnitude(numbers)
        self.public.check_bound(bound)
        flat = np.broadcast_to(numbers, shape).ravel()
        return rescaled.scaled(self.public.add_numbers(rescaled._spread(shape), flat * sign), bound, shape)


class WireArray(CipherArray):
    """Ciphertexts under fresh randomness, which may leave the process. Made by `encrypt`, `rerandomize` and `parse` only.

    Attributes
    ----------
    limbs
        uint64, shape (size, limbs): the ciphertexts in C order, little-endian.
    """

    fresh = True

    def __init__(
        self, public: Key, limbs: Limbs, frac_bits: int, bound: int, vector: Vector, *,
        shape: tuple[int, ...] | None = None, precision: int | None = None,
    ) -> None:  # fmt: skip
        super().__init__(public, vector, frac_bits, bound, shape=shape, precision=precision)
        self.limbs = limbs

    def to_bytes(self) -> bytes:
        """Return the array as bytes: key fingerprint, scale, bound, shape, ciphertexts, checksum (docs/arrays.md)."""
        return serial.array_to_bytes(self, self.public.fingerprint)

    @classmethod
    def from_bytes(cls, data: bytes, public: Key) -> WireArray:
        """Return the array that `to_bytes` made, after validation of its ciphertexts.

        Raises
        ------
        CiphertextError, InputError, BoundError
            Damaged or of another format; another key; ciphertexts that `PublicKey.parse` refuses.
        """
        head, limbs = serial.array_from_bytes(data, public.fingerprint)
        return public.parse(limbs, frac_bits=head.frac_bits, bound=head.bound).with_shape(head.shape, head.precision)

    def with_shape(self, shape: tuple[int, ...], precision: int | None) -> WireArray:
        """Return the same ciphertexts in a shape of as many numbers, with the `precision` that they were made with."""
        return WireArray(self.public, self.limbs, self.frac_bits, self.bound, self.vector, shape=shape, precision=precision)

    def __reduce__(self) -> Any:
        return WireArray.from_bytes, (self.to_bytes(), self.public)

    def reshape(self, *shape: Any) -> WireArray:
        """Return the same ciphertexts in another shape; what chooses or moves some of them would show which, and is not fresh."""
        places = shapes.tried("shape", lambda: shapes.places(self.shape).reshape(*shape))
        return self.with_shape(places.shape, self.precision)


def _powers(context: Context, vector: Vector, factors: npt.NDArray[Any]) -> Vector:
    """Return the multiples by whole numbers, one for all or one each."""
    whole = [int(f) for f in factors.tolist()]
    size = lm.limb_count(max(max(map(abs, whole), default=1).bit_length(), 1))
    powers = context.power(vector, lm.from_ints([abs(f) for f in whole], size))
    negative = np.array([f < 0 for f in whole], dtype=bool)
    if len(negative) == 1 and negative[0]:
        return context.invert(powers)
    if negative.any():
        powers[negative] = context.invert(powers[negative])
    return powers


def _tree_sum(context: Context, vector: Vector, count: int) -> Vector:
    """Return the sums of `count` groups of rows, place by place: halves are added until one group is left."""
    width = len(vector) // count
    while count > 1:
        half = count // 2
        added = context.multiply(vector[: half * width], vector[half * width : 2 * half * width])
        vector = np.concatenate([added, vector[2 * half * width :]])
        count -= half
    return vector


def _at_one_scale(arrays: Sequence[CipherArray]) -> list[CipherArray]:
    """Return arrays of one key at the finest of their scales; InputError for none, or another key."""
    if not arrays or not all(isinstance(array, CipherArray) for array in arrays):
        raise InputError("arrays", "needs at least one array, all of them encrypted: encrypt the others")
    for array in arrays[1:]:
        array.require_key(arrays[0].public)
    finest = max(array.frac_bits for array in arrays)
    return [array.at_scale(finest) for array in arrays]


CipherVector, WireVector = CipherArray, WireArray  # their names in version 0.1
