"""ristretto255 on Python integers: `curve.CurveContext` for machines without a compiler, and the oracle of the tests.

Vectors are object arrays of tuples of points, a point (X, Y, Z, T) of mpz in extended coordinates. Python integers take as long as their
values let them: this arithmetic is not constant time.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import gmpy2
import numpy as np
import numpy.typing as npt
from gmpy2 import mpz

from ..errors import CiphertextError
from . import limbs as lm
from .bucket_sums import BucketSums, to_vector
from .context import BaseTerm, Logarithms, Vector
from .curve import CODE_LIMBS, ORDER, refuse_invalid
from .limbs import Limbs

P = mpz(2**255 - 19)
D = mpz(-121665 * int(gmpy2.invert(121666, P))) % P
SQRT_M1 = gmpy2.powmod(2, (P - 1) // 4, P)
SQRT_AD_MINUS_ONE = mpz(25063068953384623474111414158702152701244531502492656460079210482610430750235)
INVSQRT_A_MINUS_D = mpz(54469307008909316920995813868745141605393597292927456921205312896311721017578)
IDENTITY = (mpz(0), mpz(1), mpz(1), mpz(0))
WINDOW = 16  # multiples of a base in a table

Point = tuple[mpz, mpz, mpz, mpz]
Element = tuple[Point, ...]


def add_points(p: Point, q: Point) -> Point:
    """Return p + q (Hisil, Wong, Carter and Dawson 2008)."""
    (x1, y1, z1, t1), (x2, y2, z2, t2) = p, q
    a, b, c, d = (y1 - x1) * (y2 - x2) % P, (y1 + x1) * (y2 + x2) % P, 2 * D * t1 * t2 % P, 2 * z1 * z2 % P
    e, f, g, h = b - a, d - c, d + c, b + a
    return e * f % P, g * h % P, f * g % P, e * h % P


def times(p: Point, scalar: int) -> Point:
    """Return scalar · p, scalar from 0."""
    total = IDENTITY
    for bit in bin(scalar)[2:] if scalar else "":
        total = add_points(total, total)
        if bit == "1":
            total = add_points(total, p)
    return total


def sqrt_ratio(u: mpz, v: mpz) -> tuple[bool, mpz]:
    """Return whether u/v is a square, and √(u/v) or √(i·u/v), not negative (RFC 9496 §4.2)."""
    r = u * v**3 * gmpy2.powmod(u * v**7, (P - 5) // 8, P) % P
    check = v * r * r % P
    right, flipped, flipped_i = check == u % P, check == -u % P, check == -u * SQRT_M1 % P
    if flipped or flipped_i:
        r = r * SQRT_M1 % P
    return bool(right or flipped), _absolute(r)


def decode(code: int) -> Point | None:
    """Return the point of an encoding; None for one that is not canonical (RFC 9496 §4.3.1)."""
    s = mpz(code)
    if s >= P or s & 1:
        return None
    u1, u2 = (1 - s * s) % P, (1 + s * s) % P
    v = (-(D * u1 * u1) - u2 * u2) % P
    square, inverse = sqrt_ratio(mpz(1), v * u2 * u2 % P)
    x = _absolute(2 * s * inverse * u2 % P)
    y = u1 * inverse * inverse * u2 * v % P
    t = x * y % P
    return (x, y, mpz(1), t) if square and not t & 1 and y else None


def encode(p: Point) -> int:
    """Return the canonical encoding of a point (RFC 9496 §4.3.2)."""
    x, y, z, t = p
    u1, u2 = (z + y) * (z - y) % P, x * y % P
    _, inverse = sqrt_ratio(mpz(1), u1 * u2 * u2 % P)
    den1, den2 = inverse * u1 % P, inverse * u2 % P
    z_inverse = den1 * den2 * t % P
    den = den2
    if t * z_inverse % P & 1:
        x, y, den = y * SQRT_M1 % P, x * SQRT_M1 % P, den1 * INVSQRT_A_MINUS_D % P
    if x * z_inverse % P & 1:
        y = -y
    return int(_absolute(den * (z - y) % P))


def mapped(field: int) -> Point:
    """Return MAP of a field element (RFC 9496 §4.3.4)."""
    t = mpz(field) % P
    r = SQRT_M1 * t * t % P
    u, v = (r + 1) * (1 - D * D) % P, (-1 - r * D) * (r + D) % P
    square, s = sqrt_ratio(u, v)
    if not square:
        s = -_absolute(s * t % P) % P
    c = P - 1 if square else r
    n = (c * (r - 1) * (D - 1) ** 2 - v) % P
    w0, w1, w2, w3 = 2 * s * v % P, n * SQRT_AD_MINUS_ONE % P, (1 - s * s) % P, (1 + s * s) % P
    return w0 * w3 % P, w2 * w1 % P, w1 * w3 % P, w0 * w2 % P


def same(p: Point, q: Point) -> bool:
    """Return whether two points stand for the same element (RFC 9496 §4.3.3)."""
    return bool((p[0] * q[1] - p[1] * q[0]) % P == 0 or (p[1] * q[1] - p[0] * q[0]) % P == 0)


def _absolute(value: mpz) -> mpz:
    return P - value if value & 1 else value


class GmpyCurve(BucketSums):
    """Arithmetic on mpz."""

    name = "gmpy2"

    def __init__(self, points: int, parameter: int = 0) -> None:
        self.points, self.key = points, ("elgamal", parameter)
        self.zero: Element = (IDENTITY,) * points

    def plus(self, a: Element, b: Element) -> Element:
        """Return the sum of two elements."""
        return tuple(map(add_points, a, b))

    def times(self, a: Element, factor: int) -> Element:
        """Return factor · a."""
        return tuple(times(point, factor) for point in a)

    def load(self, wire: Limbs) -> Vector:
        """Return encodings, shape (count, 4·points), as a vector; CiphertextError for one that is not canonical."""
        if wire.shape[1] != CODE_LIMBS * self.points:
            raise CiphertextError("ciphertexts", "of the wrong width")
        decoded = [decode(code) for code in lm.to_ints(wire.reshape(-1, CODE_LIMBS))]
        refuse_invalid(np.array([point is not None for point in decoded], dtype=bool).reshape(-1, self.points))
        return to_vector([tuple(decoded[i : i + self.points]) for i in range(0, len(decoded), self.points)])

    def store(self, vector: Vector) -> Limbs:
        """Return canonical encodings, shape (count, 4·points)."""
        codes = lm.from_ints([encode(point) for element in vector for point in element], CODE_LIMBS)
        return codes.reshape(len(vector), CODE_LIMBS * self.points)

    def store_double(self, vector: Vector) -> Limbs:
        """Return the encodings of twice the elements, shape (count, 4·points)."""
        return self.store(self.multiply(vector, vector))

    def one(self, count: int) -> Vector:
        """Return `count` times the identity."""
        return to_vector([self.zero] * count)

    def multiply(self, a: Vector, b: Vector) -> Vector:
        """Return a + b, element by element; b may have one."""
        return to_vector([self.plus(x, y) for x, y in zip(a, _repeated(b, len(a)), strict=True)])

    def power(self, a: Vector, exponents: Limbs) -> Vector:
        """Return exponent · a; one row of exponents serves all."""
        factors = [value % ORDER for value in lm.to_ints(exponents)]
        return to_vector([self.times(x, e) for x, e in zip(a, _repeated(factors, len(a)), strict=True)])

    scale = power

    def invert(self, a: Vector) -> Vector:
        """Return −a."""
        return to_vector([tuple((-x % P, y, z, -t % P) for x, y, z, t in element) for element in a])

    def product(self, a: Vector) -> Vector:
        """Return the sum of all elements, one."""
        total = self.zero
        for element in a:
            total = self.plus(total, element)
        return to_vector([total])

    def part(self, a: Vector, point: int) -> Vector:
        """Return one point of every element, for a context of single points."""
        return to_vector([(element[point],) for element in a])

    def equal(self, a: Vector, b: Vector) -> npt.NDArray[np.bool_]:
        """Return where single points are the same element."""
        return np.array([same(x[0], y[0]) for x, y in zip(a, b, strict=True)], dtype=bool)

    def from_uniform(self, uniform: Limbs) -> Vector:
        """Return the one-way map of 512 uniform bits each, shape (count, 8), to single points (RFC 9496 §4.3.4)."""
        halves = [value & (1 << 255) - 1 for value in lm.to_ints(uniform.reshape(-1, CODE_LIMBS))]
        return to_vector([(add_points(mapped(a), mapped(b)),) for a, b in zip(halves[::2], halves[1::2], strict=True)])

    def base(self, point: Vector) -> Any:
        """Return a table of a single point's multiples: 0 to 15 times 16^w."""
        table, step = [], point[0][0]
        for _ in range(64):
            row = [IDENTITY]
            for _ in range(WINDOW):
                row.append(add_points(row[-1], step))
            table.append(row[:WINDOW])
            step = row[WINDOW]
        return table

    def add_terms(self, start: Vector | None, count: int, terms: Sequence[BaseTerm]) -> Vector:
        """Return start (None: the identity) plus multiples of fixed bases."""
        rows = [list(element) for element in (self.one(count) if start is None else start)]
        for term in terms:
            flips = [False] * count if term.negative is None else (term.negative != 0).tolist()
            for row, scalar, flip in zip(rows, lm.to_ints(term.scalars), flips, strict=True):
                total = IDENTITY
                for w, multiples in enumerate(term.table[: -(-max(term.bits, 1) // 4)]):
                    total = add_points(total, multiples[scalar >> 4 * w & 15])
                x, y, z, t = total
                row[term.point] = add_points(row[term.point], (-x, y, z, -t) if flip else total)
        return to_vector([tuple(row) for row in rows])

    def logarithms(self, base: Vector, bits: int) -> Logarithms:
        """Return a table of 2^bits multiples of a single point."""
        return GmpyLogarithms(base[0][0], min(bits, 14))


class GmpyLogarithms:
    """Baby steps in a dictionary by (xy)², the same for all representatives of an element and its negative; giant steps outward."""

    def __init__(self, base: Point, bits: int) -> None:
        self._size, self._babies = 1 << bits, {}
        point = IDENTITY
        for j in range(self._size + 1):
            self._babies[_square_of(point)] = j
            point = add_points(point, base)
        x, y, z, t = times(base, 2 * self._size + 1)
        self._up, self._down, self._base = (x, y, z, t), (-x, y, z, -t), base

    def find(self, vector: Vector, bound: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return m with |m| ≤ bound of every point m·base, and where there is one."""
        found = [self._one(element[0], bound) for element in vector]
        values = np.array([0 if m is None else m for m in found], dtype=np.int64)
        return values, np.array([m is not None for m in found], dtype=bool)

    def _one(self, point: Point, bound: int) -> int | None:
        above = below = point
        for k in range(bound // (2 * self._size + 1) + 2):
            for moved, centre in ((below, k), (above, -k)):
                j = self._babies.get(_square_of(moved))
                for m in () if j is None else (centre * (2 * self._size + 1) + j, centre * (2 * self._size + 1) - j):
                    if abs(m) <= bound and same(times(self._base, abs(m)), _signed(point, m)):
                        return m
            below, above = add_points(below, self._down), add_points(above, self._up)
        return None


def _square_of(point: Point) -> mpz:
    _, _, z, t = point
    return (t * gmpy2.invert(z, P)) ** 2 % P


def _signed(point: Point, m: int) -> Point:
    x, y, z, t = point
    return point if m >= 0 else (-x, y, z, -t)


def _repeated(items: Any, count: int) -> Iterable[Any]:
    return [items[0]] * count if len(items) == 1 else items
