"""Opening encrypted numbers with the key holder's help, without masks (curve.md §2).

The owner re-randomises and sends only the first points, r·G, which are uniformly random whatever the numbers; the holder returns s times
each, with a proof for all of them; the owner takes them off its second points and finds small discrete logarithms.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple, Protocol

import numpy as np

from ...errors import CheckError, CiphertextError, InputError
from ..arrays import CipherArray
from ..context import CurveContext, Logarithms, Vector
from ..curve import CODE_LIMBS
from ..limbs import Limbs
from .proofs import PROOF_ROWS, Generator, verify_opening

TABLE_BITS = (10, 14, 18, 22)  # of tables of logarithms: from a millisecond to a second each, 8 kB to 64 MB


class Request(NamedTuple):
    """Points that the holder multiplies by its key."""

    limbs: Limbs
    vector: Vector

    def __len__(self) -> int:
        return len(self.limbs)


class Key(Protocol):
    """What an opening needs of its public key."""

    h: Limbs
    context: CurveContext
    single: CurveContext
    generator: Generator

    def rerandomize(self, vector: CipherArray) -> CipherArray:
        """Return the same numbers under fresh randomness."""

    def read(self, points: Vector, bound: int) -> tuple[Any, Any]:
        """Return the small logarithms of points m·G, and where there is one."""


class Opening:
    """One opening of `values`: `request` goes to the key holder, `open` takes the answer, once; InputError for no vector.

    Attributes
    ----------
    request
        `Request` of as many points as values.
    """

    def __init__(self, public: Key, values: CipherArray) -> None:
        if not isinstance(values, CipherArray):
            raise InputError("values", "must be a CipherArray")
        fresh = public.rerandomize(values).vector
        self._public, self._bound = public, values.bound
        self._second: Vector | None = public.context.part(fresh, 1)
        points = public.context.part(fresh, 0)
        self.request = Request(public.single.store(points), points)

    def open(self, answer: Limbs, noise: int = 0) -> list[int]:
        """Return the numbers from the key holder's answer, shape (count + 2, 4): points, then the proof.

        Parameters
        ----------
        noise
            What the key holder may have added to each number, at most, in magnitude. Then there is no proof, and its rows are not read.

        Raises
        ------
        CheckError
            Corruption, tampering, or a number above its proved bound.
        InputError
            A second opening: randomness serves once.
        """
        if self._second is None:
            raise InputError("answer", "this opening is done; its randomness serves once")
        if not isinstance(answer, np.ndarray) or answer.dtype != np.uint64 or answer.ndim != 2 or answer.shape[1] != CODE_LIMBS:
            raise InputError("answer", f"must be a uint64 array of shape (count, {CODE_LIMBS})")
        second, self._second = self._second, None
        if len(answer) != len(second) + PROOF_ROWS:
            raise CheckError(f"opening: expected {len(second)} points and a proof")
        single, codes = self._public.single, np.ascontiguousarray(answer[:-PROOF_ROWS])
        try:
            opened = single.load(codes)
        except CiphertextError as error:
            raise CheckError(f"opening: {error.problem}") from None
        if not noise:
            request = (self.request.vector, self.request.limbs)
            verify_opening(self._public.generator, self._public.h, request, (opened, codes), answer[-PROOF_ROWS:])
        values, found = self._public.read(single.multiply(second, single.invert(opened)), self._bound + noise)
        if not found.all():
            place = int(np.flatnonzero(~found)[0])
            raise CheckError(f"opening: number {place} is not within its bound; overflow, corruption or tampering")
        result: list[int] = values.tolist()
        return result


class HolderDigits(NamedTuple):
    """How numbers that the holder is to read are written, the least significant digit first: every digit is in reach of a table."""

    base: int
    places: int
    offset: int  # added to a number, so that no digit is negative

    @classmethod
    def of(cls, bound: int) -> HolderDigits:
        """Return the digits of numbers of magnitude ≤ bound."""
        bits = (2 * bound).bit_length()
        count = -(-bits // TABLE_BITS[-1])
        return cls(1 << -(-bits // count), count, bound)

    def split(self, numbers: list[int]) -> np.ndarray[Any, np.dtype[np.int64]]:
        """Return the digits of every number, one number after the other."""
        shift = self.base.bit_length() - 1
        digits = (number + self.offset >> shift * k & self.base - 1 for number in numbers for k in range(self.places))
        return np.fromiter(digits, dtype=np.int64)

    def join(self, digits: list[int]) -> list[int]:
        """Return the numbers of what `split` gave."""
        shift = self.base.bit_length() - 1
        rows = (digits[i : i + self.places] for i in range(0, len(digits), self.places))
        return [sum(digit << shift * k for k, digit in enumerate(row)) - self.offset for row in rows]


def logarithms(single: CurveContext, base: Vector, bound: int, count: int) -> Logarithms:
    """Return a table for `count` logarithms up to a bound; tables are kept as long as the process."""
    wanted = (bound.bit_length() + count.bit_length()) // 2
    bits = next((bits for bits in TABLE_BITS if bits >= wanted), TABLE_BITS[-1])
    return _table(_Shared(single, base), bits)


class _Shared:
    """A base of tables: one generator for all keys, so that contexts of one kind share what they made."""

    def __init__(self, single: CurveContext, base: Vector) -> None:
        self.single, self.base = single, base

    def __hash__(self) -> int:
        return hash(self._kind)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Shared) and other._kind == self._kind

    @property
    def _kind(self) -> tuple[Any, ...]:
        return type(self.single).__name__, self.single.name


@lru_cache(maxsize=8)
def _table(shared: _Shared, bits: int) -> Logarithms:
    return shared.single.logarithms(shared.base, bits)
