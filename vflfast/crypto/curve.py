"""ristretto255 (RFC 9496): its constants, uniform scalars, and its arithmetic on vectors in the native core.

A vector's elements are one point or several; ElGamal ciphertexts are two. What numbers modulo n² multiply, points add: the methods keep the
names that `context.PublicContext` gives them, so that vectors and coded products need not know which of the two they hold.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ..errors import CiphertextError
from . import limbs as lm
from .context import BaseTerm, Block, Logarithms, Seconds, Vector
from .limbs import Limbs

ORDER = 2**252 + 27742317777372353535851937790883648493
ORDER_BITS = 253
CODE_BITS = 256  # of an encoding, and of a scalar at rest
CODE_LIMBS = 4
GENERATOR = bytes.fromhex("e2f2ae0a6abc4e71a884a961c500515f58e30b6aa582dd8db6a65945e08d2d76")
WINDOW_BITS = 4
HALF = (ORDER + 1) // 2  # modulo the order
MAX_WINDOWS = 64
MAX_LOGARITHM_BITS = 61  # of the bound of a discrete logarithm, which costs its square root


def random_scalars(count: int) -> Limbs:
    """Return `count` scalars uniform below the group order, shape (count, 4), from the operating system's generator, by rejection."""
    order, kept, n_kept = lm.from_ints([ORDER], CODE_LIMBS)[0], [], 0
    while n_kept < count:
        drawn = lm.random_limbs(2 * (count - n_kept) + 16, ORDER_BITS)
        kept.append(drawn[_below(drawn, order)])
        n_kept += len(kept[-1])
        lm.wipe(drawn)
    return np.concatenate(kept)[:count] if kept else np.zeros((0, CODE_LIMBS), dtype=np.uint64)


def _below(limbs: Limbs, limit: Limbs) -> npt.NDArray[np.bool_]:
    below = np.zeros(len(limbs), dtype=bool)
    for i in range(limbs.shape[1]):  # from the least significant: the last word that differs decides
        below = np.where(limbs[:, i] == limit[i], below, limbs[:, i] < limit[i])
    return below


def windows_for(bits: int) -> int:
    """Return how many signed digits of 4 bits hold a scalar of `bits` bits."""
    return min(MAX_WINDOWS, (bits + WINDOW_BITS) // WINDOW_BITS)


def reduced(exponents: Limbs) -> tuple[Limbs, int]:
    """Return exponents as four limbs below 2^253 and their longest length in bits."""
    values = [value if value.bit_length() < ORDER_BITS else value % ORDER for value in lm.to_ints(exponents)]
    return lm.from_ints(values, CODE_LIMBS), max((value.bit_length() for value in values), default=0)


def refuse_invalid(valid: npt.NDArray[np.bool_]) -> None:
    """Raise CiphertextError for the first encoding that is not valid, shape (count, points)."""
    if not valid.all():
        row = int(np.flatnonzero(~valid.all(axis=1))[0])
        raise CiphertextError("ciphertexts", f"number {row} is no canonical ristretto255 encoding")


class NativeCurve:
    """Arithmetic in the core, by one of its kernels."""

    def __init__(self, core: Any, kernel: str, points: int, threads: Callable[[], int], parameter: int = 0) -> None:
        self.name, self.points, self.key = kernel, points, ("elgamal", parameter)
        self._core, self._threads = core, threads
        self._curve = core.Curve(kernel, points)

    def load(self, wire: Limbs) -> Vector:
        """Return encodings, shape (count, 4·points), as a vector; CiphertextError for one that is not canonical."""
        rows, valid = self._curve.decode(wire, self._threads())
        refuse_invalid(np.asarray(valid).reshape(-1, self.points) == 1)
        return np.asarray(rows)

    def decodable(self, wire: Limbs) -> npt.NDArray[np.bool_]:
        """Return which elements `load` would take, shape (count,)."""
        _, valid = self._curve.decode(wire, self._threads())
        return np.asarray(np.asarray(valid).reshape(-1, self.points).all(axis=1), dtype=np.bool_)

    def store(self, vector: Vector) -> Limbs:
        """Return canonical encodings, shape (count, 4·points)."""
        return np.asarray(self._curve.encode(vector, self._threads()))

    def store_double(self, vector: Vector) -> Limbs:
        """Return the encodings of twice the elements, shape (count, 4·points)."""
        return np.asarray(self._curve.encode_double(vector, self._threads()))

    def one(self, count: int) -> Vector:
        """Return `count` times the identity."""
        return self.add_terms(None, count, [])

    def multiply(self, a: Vector, b: Vector) -> Vector:
        """Return a + b, element by element; b may have one."""
        return np.asarray(self._curve.add(a, b, self._threads()))

    def power(self, a: Vector, exponents: Limbs) -> Vector:
        """Return exponent · a; one row of exponents serves all. Time depends on the longest exponent."""
        scalars, bits = reduced(exponents)
        return np.asarray(self._curve.multiply(a, scalars, windows_for(bits), self._threads()))

    def scale(self, a: Vector, scalars: Limbs) -> Vector:
        """Return scalar · a in constant time, scalars below 2^255; one row serves all."""
        return np.asarray(self._curve.multiply(a, scalars, MAX_WINDOWS, self._threads()))

    def invert(self, a: Vector) -> Vector:
        """Return −a."""
        return np.asarray(self._curve.negate(a, self._threads()))

    def product(self, a: Vector) -> Vector:
        """Return the sum of all elements, one."""
        return np.asarray(self._curve.sum(a, self._threads()))

    def part(self, a: Vector, point: int) -> Vector:
        """Return one point of every element, for a context of single points."""
        return np.ascontiguousarray(a[:, point : point + 1])

    def equal(self, a: Vector, b: Vector) -> npt.NDArray[np.bool_]:
        """Return where single points are the same element."""
        return np.asarray(self._curve.equal(a, b, self._threads())).astype(np.bool_)

    def from_uniform(self, uniform: Limbs) -> Vector:
        """Return the one-way map of 512 uniform bits each, shape (count, 8), to single points (RFC 9496 §4.3.4)."""
        return np.asarray(self._curve.from_uniform(uniform, self._threads()))

    def base(self, point: Vector) -> Any:
        """Return a table of a single point's multiples."""
        return self._core.Curve(self.name, 1).base_table(point, self._threads())

    def add_terms(self, start: Vector | None, count: int, terms: Sequence[BaseTerm]) -> Vector:
        """Return start (None: the identity) plus multiples of fixed bases, in constant time."""
        tuples = [(term.point, term.table, term.scalars, windows_for(term.bits), term.negative) for term in terms]
        return np.asarray(self._curve.add_base_terms(start, count, tuples, self._threads()))

    def logarithms(self, base: Vector, bits: int) -> Logarithms:
        """Return a table of 2^bits multiples of a single point."""
        return NativeLogarithms(self._core.LogarithmTable(self._curve, base, bits, self._threads()), self._threads)

    def class_sums(self, a: Vector, blocks: Sequence[Block], segments: int, spent: Seconds | None = None) -> Vector:
        """Return the sum of the rows of every block's every feature's every class; `spent` gets the time by phase."""
        start = time.monotonic()
        prepared = self._curve.prepare(a, self._threads())
        tuples = [(list(b.class_counts), b.patterns, b.rows, b.modal) for b in blocks]
        phases, between = np.zeros(2, dtype=np.uint64), time.monotonic()
        sums = np.asarray(self._curve.class_sums(a, prepared, tuples, segments, self._threads(), phases))
        if spent is not None:
            bucket, collapse = (time.monotonic() - between) * phases / max(1, phases.sum())
            spent.update(affine=between - start, bucket=float(bucket), collapse=float(collapse))
        return sums

    def combine(
        self, sums: Vector, first: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], exponents: npt.NDArray[np.int64]
    ) -> tuple[Vector, Vector]:
        """Return Σ exponent · sums over positive and over negative exponents, by column."""
        positive, negative = self._curve.combine(sums, first, counts, np.ascontiguousarray(exponents), self._threads())
        return np.asarray(positive), np.asarray(negative)


class NativeEdwards:
    """edwards25519 in the core."""

    def __init__(self, curve: Any, threads: Callable[[], int]) -> None:
        self._curve, self._threads = curve, threads

    def hash_to_points(self, uniform: Limbs) -> Limbs:
        """Return Elligator 2 of 255 uniform bits and a sign each, the cofactor cleared."""
        return self._store(self._curve.edwards_from_uniform(uniform, self._threads()))

    def valid(self, points: Limbs) -> npt.NDArray[np.bool_]:
        """Return which encodings are canonical and of the prime-order group, the identity excepted."""
        return np.asarray(self._curve.decode_edwards(points, self._threads())[1]).astype(np.bool_)

    def multiples(self, points: Limbs, scalar: Limbs) -> tuple[Limbs, npt.NDArray[np.bool_]]:
        """Return scalar · P in constant time, scalar below the order, shape (1, 4), and which points are `valid`; others have none."""
        rows, valid = self._curve.decode_edwards(points, self._threads())
        return self._store(self._curve.multiply(rows, scalar, MAX_WINDOWS, self._threads())), np.asarray(valid).astype(np.bool_)

    def _store(self, rows: Vector) -> Limbs:
        return np.asarray(self._curve.encode_edwards(rows, self._threads()))


class NativeLogarithms:
    """A table in the core."""

    def __init__(self, table: Any, threads: Callable[[], int]) -> None:
        self._table, self._threads = table, threads

    def find(self, vector: Vector, bound: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return m with |m| ≤ bound of every point m·base, and where there is one."""
        values, found = self._table.find(vector, bound, self._threads())
        return np.asarray(values), np.asarray(found) == 1
