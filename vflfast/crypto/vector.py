"""Vectors of ciphertexts: CipherVector, the result of arithmetic, and WireVector, which may leave the process."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Protocol

import numpy as np
import numpy.typing as npt

from ..errors import InputError
from . import codec, storage
from . import limbs as lm
from .coded import CodedMatrix
from .context import Context, Vector
from .limbs import Limbs


class Key(Protocol):
    """What a vector needs of the key that its numbers are encrypted under."""

    fingerprint: str

    @property
    def context(self) -> Context:
        """The arithmetic of its ciphertexts."""

    def check_bound(self, bound: int) -> None:
        """Refuse a bound that a plaintext cannot hold with its sign; BoundError, or InputError for no whole number."""

    def add_numbers(self, vector: Vector, numbers: npt.NDArray[Any]) -> Vector:
        """Return the ciphertexts of sums with whole numbers, int64 or Python integers, shape (count,)."""


class CipherVector:
    """A vector of encrypted numbers, the result of arithmetic. It cannot leave the process: `PublicKey.rerandomize` first.

    Supports len, slicing, + and − with vectors and arrays, × integers, ``matrix.T @ c``, `sum` and `concatenate`. Products of two
    encrypted vectors, comparisons and float factors do not exist and raise.

    Attributes
    ----------
    frac_bits
        The numbers are integers over 2^frac_bits.
    bound
        Proved bound of the integers' magnitude; arithmetic that could pass n/2 is refused.
    """

    __array_ufunc__ = None  # else numpy would build object arrays from `array + c`
    __hash__ = None  # type: ignore[assignment]
    fresh = False

    def __init__(self, public: Key, vector: Vector, frac_bits: int, bound: int) -> None:
        public.check_bound(bound)
        self.public = public
        self.vector = vector
        self.frac_bits = frac_bits
        self.bound = bound

    def __repr__(self) -> str:
        kind = "fresh" if self.fresh else "not fresh"
        return f"{type(self).__name__}(shape={self.shape}, key={self.public.fingerprint}, frac_bits={self.frac_bits}, {kind})"

    def __len__(self) -> int:
        return len(self.vector)

    @property
    def shape(self) -> tuple[int]:
        """(count,)."""
        return (len(self.vector),)

    def __getitem__(self, index: Any) -> CipherVector:
        if isinstance(index, int | np.integer) and not isinstance(index, bool):
            if not -len(self) <= index < len(self):
                raise IndexError(f"index {index} of a vector of length {len(self)}")
            index = [int(index)]
        chosen = index if isinstance(index, slice) else np.asarray(index)
        # a tuple would reach into the limbs
        if not isinstance(chosen, slice) and (isinstance(index, tuple) or chosen.ndim != 1 or chosen.dtype.kind not in "biu"):
            raise IndexError("the index must be a whole number, a slice, or one dimension of whole numbers or of a mask")
        return self.like(self.vector[chosen])

    def __bool__(self) -> bool:
        raise TypeError("the truth of encrypted numbers is not known to their holder")

    def __array__(self, *_: object, **__: object) -> npt.NDArray[Any]:
        raise TypeError("encrypted numbers do not become an array; decrypt them, or re-randomise them and take .limbs")

    def __float__(self) -> float:
        raise TypeError("an encrypted number has no float value; decrypt it with the private key")

    def __eq__(self, other: object) -> bool:
        raise TypeError("encrypted numbers cannot be compared; equal numbers have different ciphertexts")

    def __add__(self, other: Any) -> CipherVector:
        if isinstance(other, CipherVector):
            return self._add_vector(other)
        return self._add_plain(other, 1)

    __radd__ = __add__

    def __neg__(self) -> CipherVector:
        return self.like(self.public.context.invert(self.vector))

    def __sub__(self, other: Any) -> CipherVector:
        if isinstance(other, CipherVector):
            return self._add_vector(-other)
        return self._add_plain(other, -1)

    def __rsub__(self, other: Any) -> CipherVector:
        return (-self)._add_plain(other, 1)

    def __mul__(self, factor: Any) -> CipherVector:
        """Multiply by integers: one for all, or an array of shape (count,)."""
        if isinstance(factor, CipherVector):
            raise TypeError("encrypted numbers are added; two of them cannot be multiplied")
        factors = self._integers("factor", factor)
        largest = codec.largest_magnitude(factors)
        self.public.check_bound(self.bound * max(largest, 1))
        context = self.public.context
        size = lm.limb_count(max(largest.bit_length(), 1))
        powers = context.power(self.vector, lm.from_ints([abs(int(f)) for f in factors.tolist()], size))
        negative = np.array([int(f) < 0 for f in factors.tolist()], dtype=bool)
        if len(negative) == 1 and negative[0]:
            powers = context.invert(powers)
        elif negative.any():
            powers[negative] = context.invert(powers[negative])
        return self.like(powers, self.bound * max(largest, 1))

    __rmul__ = __mul__

    def __matmul__(self, other: Any) -> CipherVector:
        raise TypeError("write matrix.T @ c, with the integer matrix on the left")

    def __rmatmul__(self, matrix: Any) -> CipherVector:
        return CodedMatrix.from_integers(codec.as_array("matrix", matrix).T).T @ self

    def sum(self) -> CipherVector:
        """Return the encrypted sum, shape (1,); InputError for no ciphertexts."""
        if len(self) == 0:
            raise InputError("vector", "the sum of no ciphertexts has no randomness")
        self.public.check_bound(self.bound * len(self))
        return self.like(self.public.context.product(self.vector), self.bound * len(self))

    @staticmethod
    def concatenate(vectors: Sequence[CipherVector]) -> CipherVector:
        """Return the vectors one after the other; key and scale must agree; InputError otherwise."""
        if not vectors:
            raise InputError("vectors", "needs at least one vector")
        first = vectors[0]
        for other in vectors[1:]:
            first.require_same(other)
        bound = max(v.bound for v in vectors)
        return CipherVector(first.public, storage.concatenate([v.vector for v in vectors]), first.frac_bits, bound)

    def require_key(self, public: Key) -> None:
        """Refuse a vector of another key; InputError."""
        if self.public != public:
            raise InputError("vector", f"belongs to key {self.public.fingerprint}, not {public.fingerprint}")

    def require_same(self, other: CipherVector) -> None:
        """Refuse to join vectors of different keys or scales; InputError."""
        other.require_key(self.public)
        if other.frac_bits != self.frac_bits:
            raise InputError("vector", f"has {other.frac_bits} fraction bits, the other {self.frac_bits}")

    def like(self, vector: Vector, bound: int | None = None) -> CipherVector:
        """Return ciphertexts under the same key and scale, with this bound or another."""
        return CipherVector(self.public, vector, self.frac_bits, self.bound if bound is None else bound)

    def _add_vector(self, other: CipherVector) -> CipherVector:
        self.require_same(other)
        if len(other) != len(self) and len(other) != 1:
            raise InputError("other", f"has length {len(other)}, not {len(self)} or 1")
        bound = self.bound + other.bound
        self.public.check_bound(bound)
        return self.like(self.public.context.multiply(self.vector, other.vector), bound)

    def _add_plain(self, other: Any, sign: int) -> CipherVector:
        encoded = self._encoded(other)
        bound = self.bound + codec.largest_magnitude(encoded)
        self.public.check_bound(bound)
        if len(encoded) == 1 != len(self):
            encoded = np.repeat(encoded, len(self))
        return self.like(self.public.add_numbers(self.vector, encoded * sign), bound)

    def _encoded(self, other: Any) -> npt.NDArray[Any]:
        """Plaintexts to add, brought to this vector's scale."""
        if self.frac_bits == 0:
            return self._integers("other", other)
        array = np.atleast_1d(codec.as_array("other", other))
        if array.dtype.kind not in "fiu" or array.ndim != 1 or len(array) not in (1, len(self)):
            raise InputError("other", f"must hold real numbers, one or {len(self)}, not {array.dtype} of shape {array.shape}")
        return codec.encode(array, self.frac_bits, 2.0 ** (61 - self.frac_bits), "other")

    def _integers(self, name: str, value: Any) -> npt.NDArray[Any]:
        array = codec.whole_numbers(name, value)
        if len(array) not in (1, len(self)):
            raise InputError(name, f"must be one number or {len(self)}, not shape {array.shape}")
        return array


class WireVector(CipherVector):
    """Ciphertexts under fresh randomness, as limbs that may leave the process. Made by `encrypt`, `rerandomize` and `parse` only."""

    fresh = True

    def __init__(self, public: Key, limbs: Limbs, frac_bits: int, bound: int, vector: Vector) -> None:
        super().__init__(public, vector, frac_bits, bound)
        self.limbs = limbs
