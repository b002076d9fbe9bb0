"""What every arithmetic offers: contexts modulo n² and of ristretto255, blocks of coded features. Implemented by core and fallback."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple, Protocol, TypeAlias

import numpy as np
import numpy.typing as npt

from .limbs import Limbs

SMALL_SUM_BITS = 192  # of n, from which on small plaintexts have an addition of their own

Seconds: TypeAlias = dict[str, float]  # wall time by phase of the coded product: "logarithms" or "affine", "bucket", "collapse"
Vector: TypeAlias = npt.NDArray[Any]  # opaque but for its first axis, which counts ciphertexts


@dataclass(frozen=True)
class Block:
    """Features whose joint class is one mixed-radix number (crypto-core §6).

    ``class_counts`` of the features, first varying fastest; ``patterns`` uint16 of every row, or of the ascending ``rows`` when
    sparse; rows of the ``modal`` pattern are left out (−1: none).
    """

    class_counts: tuple[int, ...]
    patterns: npt.NDArray[np.uint16]
    rows: npt.NDArray[np.uint32] | None
    modal: int


class FixedBase(Protocol):
    """Powers of one base, from a table."""

    def encrypt(self, start: Vector | None, plain: Limbs | None, alphas: Limbs) -> Vector:
        """Return start · (1 + n)^plain · base^alpha, row by row."""


class Context(Protocol):
    """Arithmetic on vectors of ciphertexts: multiplying them adds what they hold."""

    @property
    def key(self) -> tuple[str, int]:
        """The scheme and the public parameter that a key is made of elsewhere."""

    def load(self, wire: Limbs) -> Vector:
        """Return wire ciphertexts, shape (count, limbs), as a vector."""

    def store(self, vector: Vector) -> Limbs:
        """Return canonical ciphertexts, shape (count, limbs)."""

    def one(self, count: int) -> Vector:
        """Return `count` times the neutral element, the trivial encryption of 0."""

    def multiply(self, a: Vector, b: Vector) -> Vector:
        """Return a·b, row by row; b may have one row."""

    def power(self, a: Vector, exponents: Limbs) -> Vector:
        """Return a^exponent; one row of exponents serves all."""

    def invert(self, a: Vector) -> Vector:
        """Return the inverses; CiphertextError when one does not exist."""

    def product(self, a: Vector) -> Vector:
        """Return the product of all rows, one row."""

    def class_sums(self, a: Vector, blocks: Sequence[Block], segments: int, spent: Seconds | None = None) -> Vector:
        """Return the product of the rows of every block's every feature's every class; `spent` gets the time by phase."""

    def combine(
        self, sums: Vector, first: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], exponents: npt.NDArray[np.int64]
    ) -> tuple[Vector, Vector]:
        """Return Π sums^exponent over positive and over negative exponents, by column."""


class PublicContext(Context, Protocol):
    """Arithmetic modulo n²; ciphertexts have 2·limbs limbs."""

    n: int
    limbs: int

    def add_plain(self, a: Vector, plain: Limbs) -> Vector:
        """Return a·(1 + n)^plain."""

    def add_small(self, a: Vector, values: npt.NDArray[np.int64]) -> Vector:
        """Return a·(1 + n)^value, for n of at least `SMALL_SUM_BITS` bits."""

    def fixed_base(self, base: int, alpha_bits: int, window: int) -> FixedBase:
        """Return a table for base^alpha, alpha < 2^alpha_bits."""

    def pack(self, a: Vector, slots: int, slot_bits: int) -> Vector:
        """Return rows packed `slots` at a time, slot j shifted by slot_bits·j."""


class BaseTerm(NamedTuple):
    """Multiples of a fixed base that are added to one point of every element; taken off where `negative` is all ones and not 0."""

    point: int
    table: Any
    scalars: Limbs
    bits: int
    negative: Limbs | None = None


class Logarithms(Protocol):
    """A table for discrete logarithms to one base."""

    def find(self, vector: Vector, bound: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return m with |m| ≤ bound of every point m·base, and where there is one."""


class CurveContext(Context, Protocol):
    """Arithmetic of ristretto255 on vectors, whose encodings have 4·points limbs; constant time in scalars where a method says so."""

    name: str  # of the kernel
    points: int

    def scale(self, a: Vector, scalars: Limbs) -> Vector:
        """Return scalar · a in constant time, scalars below 2^255; one row serves all."""

    def store_double(self, vector: Vector) -> Limbs:
        """Return the encodings of twice the elements, shape (count, 4·points): without the square roots of `store`."""

    def part(self, a: Vector, point: int) -> Vector:
        """Return one point of every element, for a context of single points."""

    def equal(self, a: Vector, b: Vector) -> npt.NDArray[np.bool_]:
        """Return where single points are the same element."""

    def from_uniform(self, uniform: Limbs) -> Vector:
        """Return the one-way map of 512 uniform bits each, shape (count, 8), to single points (RFC 9496 §4.3.4)."""

    def base(self, point: Vector) -> Any:
        """Return a table of a single point's multiples."""

    def add_terms(self, start: Vector | None, count: int, terms: Sequence[BaseTerm]) -> Vector:
        """Return start (None: the identity) plus multiples of fixed bases, in constant time."""

    def logarithms(self, base: Vector, bits: int) -> Logarithms:
        """Return a table of 2^bits multiples of a single point."""


class EdwardsContext(Protocol):
    """edwards25519 in its own encoding (RFC 8032), for protocols whose messages have it: rows of 4 limbs in, rows of 4 limbs out."""

    def hash_to_points(self, uniform: Limbs) -> Limbs:
        """Return Elligator 2 of 255 uniform bits and a sign each, the cofactor cleared."""

    def valid(self, points: Limbs) -> npt.NDArray[np.bool_]:
        """Return which encodings are canonical and of the prime-order group, the identity excepted."""

    def multiples(self, points: Limbs, scalar: Limbs) -> tuple[Limbs, npt.NDArray[np.bool_]]:
        """Return scalar · P in constant time, scalar below the order, shape (1, 4), and which points are `valid`; others have none."""


class PrivateContext(Protocol):
    """Decryption with the factorisation of n."""

    def decrypt(self, wire: Limbs) -> Limbs:
        """Return plaintexts in [0, n), shape (count, limbs); CheckError on a fault."""


class Backend(Protocol):
    """One arithmetic for the whole process: its name, why it was chosen, how many numbers it treats side by side."""

    name: str
    reason: str
    lanes: int

    def public(self, n: int) -> PublicContext:
        """Return the arithmetic modulo n²."""

    def private(self, p: int, q: int) -> PrivateContext:
        """Return decryption for n = p·q."""

    def curve(self, points: int, parameter: int = 0) -> CurveContext:
        """Return the arithmetic of ristretto255 on elements of so many points, for the key of a parameter."""

    def edwards(self) -> EdwardsContext | None:
        """Return the arithmetic of edwards25519; None where this backend has none."""
