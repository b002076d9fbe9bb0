"""The choice of arithmetic: the native core or the gmpy2 fallback, behind one interface.

The only importer of either. A *context* (context.py) does arithmetic modulo n² for one n on *vectors*: opaque arrays whose
first axis counts ciphertexts (numpy slicing works on that axis). Plaintexts and wire ciphertexts are limb arrays (limbs.py).
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import gmpy2
import numpy as np
import numpy.typing as npt

from ..errors import BackendError, CheckError, CiphertextError, InputError
from . import limbs as lm
from .context import Backend, Block, CurveContext, EdwardsContext, FixedBase, PrivateContext, PublicContext, Seconds, Vector
from .curve import NativeCurve, NativeEdwards
from .limbs import Limbs

NAMES = ("auto", "ifma", "portable", "gmpy2")
ENTRIES_PER_PASS = 1 << 14  # of a table that is completed: what that takes besides the table is bounded by them
INVERSION_CHAIN = 512  # rows that share one inversion: three products each against one inversion of about 50


_threads: int | None = None
_current: Backend | None = None


def threads() -> int:
    """Return how many threads the core uses: ``VFLFAST_THREADS``, else the processors this process may run on.

    Raises
    ------
    InputError
        If the environment names no count.
    """
    if _threads is not None:
        return _threads
    given = os.environ.get("VFLFAST_THREADS", "")
    if given:
        if not given.isdecimal() or len(given) > 4 or int(given) < 1:
            raise InputError("VFLFAST_THREADS", "must be a whole number from 1 to 9999")
        return int(given)
    affinity = getattr(os, "sched_getaffinity", None)
    return len(affinity(0)) if affinity else os.cpu_count() or 1


@contextmanager
def use_threads(count: int) -> Iterator[None]:
    """Run a block with `count` threads; results do not depend on it; InputError for no count."""
    global _threads
    if isinstance(count, bool) or not isinstance(count, int) or count < 1:
        raise InputError("count", "threads must be a positive whole number")
    before, _threads = _threads, count
    try:
        yield
    finally:
        _threads = before


def current() -> Backend:
    """Return the backend in use; chosen at the first call by ``VFLFAST_BACKEND`` (auto, ifma, portable, gmpy2)."""
    global _current
    if _current is None:
        _current = select(os.environ.get("VFLFAST_BACKEND", "auto"))
    return _current


@contextmanager
def use(name: str) -> Iterator[Backend]:
    """Run a block on another backend; keys made inside it keep it."""
    global _current
    before, _current = _current, select(name)
    try:
        yield _current
    finally:
        _current = before


def available() -> list[str]:
    """Return the names of the backends this machine has, best first."""
    native, _ = _import_native()
    kernels = [name for name, _, _, supported in native.kernels() if supported] if native else []
    return [*kernels, "gmpy2"]


def select(name: str) -> Backend:
    """Return the backend `name`.

    Raises
    ------
    BackendError
        It cannot be had here; the message says why. ``auto`` never fails.
    """
    if name not in NAMES:
        raise BackendError(f"VFLFAST_BACKEND: must be one of {', '.join(NAMES)}, not {name!r}")
    native, problem = _import_native()
    if name == "gmpy2" or (name == "auto" and native is None):
        from .fallback import GmpyBackend

        return GmpyBackend("asked for" if name == "gmpy2" else f"no native core: {problem}")
    if native is None:
        raise BackendError(f"VFLFAST_BACKEND={name}: no native core: {problem}")
    found = {kernel: (lanes, radix, supported) for kernel, lanes, radix, supported in native.kernels()}
    if name == "auto":
        best = next(kernel for kernel, (_, _, supported) in found.items() if supported)
        missing = [kernel for kernel, (_, _, supported) in found.items() if not supported]
        reason = "best of this build" + "".join(f"; the processor lacks what {kernel} needs" for kernel in missing)
        return NativeBackend(native, best, found[best], reason)
    if name not in found:
        raise BackendError(f"VFLFAST_BACKEND={name}: this build has no such kernel")
    if not found[name][2]:
        raise BackendError(f"VFLFAST_BACKEND={name}: the processor lacks its instructions")
    return NativeBackend(native, name, found[name], "asked for")


def _import_native() -> tuple[Any, str]:
    try:
        from .. import _core
    except ImportError as error:
        return None, str(error)
    return _core, ""


class NativeBackend:
    """The C++ core with one of its kernels."""

    def __init__(self, core: Any, kernel: str, facts: tuple[int, int, bool], reason: str) -> None:
        self.core = core
        self.name = kernel
        self.lanes, self.radix = facts[0], facts[1]
        self.reason = reason + ("; products by GMP" if kernel == "portable" and core.has_gmp else "")

    def public(self, n: int) -> PublicContext:
        """Return the arithmetic modulo n²."""
        return NativePublic(self, n)

    def private(self, p: int, q: int) -> PrivateContext:
        """Return decryption for n = p·q."""
        return NativePrivate(self, p, q)

    def curve(self, points: int, parameter: int = 0) -> CurveContext:
        """Return the arithmetic of ristretto255 on elements of so many points, by the portable kernel where this one has no curve."""
        kernels = [name for name, _, supported in self.core.curve_kernels() if supported]
        return NativeCurve(self.core, self.name if self.name in kernels else kernels[-1], points, threads, parameter)

    def edwards(self) -> EdwardsContext:
        """Return the arithmetic of edwards25519."""
        return NativeEdwards(self.core.Curve(self.name, 1), threads)

    def constants(self, modulus: int, chunks: int) -> tuple[Any, ...]:
        """Return what the core's Modulus is made of (csrc/pair.h), for `modulus` and imports of `chunks` pieces of its limbs."""
        digits = self.core.digits(self.name, modulus.bit_length())
        limbs = lm.limb_count(modulus.bit_length())
        r, square = 1 << (self.radix * digits), modulus * modulus
        used = -(-modulus.bit_length() // self.radix)
        chunk_factors = [(r * r << (64 * limbs * i)) % square for i in range(chunks)]
        return (
            self.name,
            limbs,
            self.digit_row(modulus, digits),
            lm.from_ints([modulus], limbs)[0],
            int(-gmpy2.invert(modulus, 1 << self.radix) % (1 << self.radix)),
            self.digit_row((1 << self.radix * (used + 2)) // modulus, 3 if used >= 3 else 0),
            self.digit_row(r * r % modulus, digits),
            self.pair_rows([r % square], modulus, digits)[0].reshape(-1),
            self.pair_rows(chunk_factors, modulus, digits).reshape(-1),
        )

    def digit_row(self, value: int, digits: int) -> Limbs:
        """Return an integer in the kernel's radix."""
        mask = (1 << self.radix) - 1
        return np.array([value >> (self.radix * i) & mask for i in range(digits)], dtype=np.uint64)

    def pair_rows(self, values: list[int], modulus: int, digits: int) -> Limbs:
        """Return integers below modulus² as rows of pairs."""
        return np.stack([[self.digit_row(part, digits) for part in (v % modulus, v // modulus)] for v in values])


class NativePublic:
    """Arithmetic modulo n² in the core."""

    def __init__(self, backend: NativeBackend, n: int) -> None:
        self.n, self.key = n, ("paillier", n)
        self.limbs = lm.limb_count(n.bit_length())
        self.core = backend.core
        self.modulus = backend.core.Modulus(*backend.constants(n, 2))
        self._one = np.asarray(backend.pair_rows([(1 << (backend.radix * self.modulus.digits)) % (n * n)], n, self.modulus.digits))

    def load(self, wire: Limbs) -> Vector:
        """Return wire ciphertexts, shape (count, 2·limbs), as a vector."""
        return np.asarray(self.modulus.import_rows(wire, threads()))

    def store(self, vector: Vector) -> Limbs:
        """Return canonical ciphertexts, shape (count, 2·limbs)."""
        return np.asarray(self.modulus.export_rows(vector, threads()))

    def one(self, count: int) -> Vector:
        """Return `count` times the number 1, the trivial encryption of 0."""
        return np.repeat(self._one, count, axis=0)

    def multiply(self, a: Vector, b: Vector) -> Vector:
        """Return a·b, row by row; b may have one row."""
        return np.asarray(self.modulus.multiply(a, b, threads()))

    def add_plain(self, a: Vector, plain: Limbs) -> Vector:
        """Return a·(1 + n)^plain."""
        return np.asarray(self.modulus.add_plain(a, plain, threads()))

    def add_small(self, a: Vector, values: npt.NDArray[np.int64]) -> Vector:
        """Return a·(1 + n)^value, for n of at least `SMALL_SUM_BITS` bits."""
        return np.asarray(self.modulus.add_small(a, values, threads()))

    def power(self, a: Vector, exponents: Limbs) -> Vector:
        """Return a^exponent; one row of exponents serves all."""
        return np.asarray(self.modulus.power(a, exponents, threads()))

    def invert(self, a: Vector) -> Vector:
        """Return the inverses modulo n²."""
        return np.asarray(self.modulus.invert(a, self._inverses(a), threads())) if len(a) else a

    def product(self, a: Vector) -> Vector:
        """Return the product of all rows, one row."""
        return np.asarray(self.modulus.product(a, threads()))

    def fixed_base(self, base: int, alpha_bits: int, window: int) -> FixedBase:
        """Return a table for base^alpha, alpha < 2^alpha_bits."""
        row = self.load(lm.from_ints([base], 2 * self.limbs))
        table = self.core.BaseTable(self.modulus, row, alpha_bits, window, threads())
        entries = table.entries()
        for start in range(0, len(entries), ENTRIES_PER_PASS):
            piece = entries[start : start + ENTRIES_PER_PASS]
            piece[...] = self._factors(np.ascontiguousarray(piece[:, :2]))
        return NativeBase(table)

    def pack(self, a: Vector, slots: int, slot_bits: int) -> Vector:
        """Return rows packed `slots` at a time, slot j shifted by slot_bits·j."""
        return np.asarray(self.modulus.pack(a, slots, slot_bits, threads()))

    def class_sums(self, a: Vector, blocks: Sequence[Block], segments: int, spent: Seconds | None = None) -> Vector:
        """Return the product of the rows of every block's every feature's every class; `spent` gets the time by phase."""
        start = time.monotonic()
        factors = self._factors(a)
        tuples = [(list(b.class_counts), b.patterns, b.rows, b.modal) for b in blocks]
        phases, between = np.zeros(2, dtype=np.uint64), time.monotonic()
        sums = np.asarray(self.modulus.class_sums(a, factors, tuples, segments, threads(), phases))
        if spent is not None:  # the core counts over its threads, which take both phases block by block
            bucket, collapse = (time.monotonic() - between) * phases / max(1, phases.sum())
            spent.update(logarithms=between - start, bucket=float(bucket), collapse=float(collapse))
        return sums

    def combine(
        self, sums: Vector, first: npt.NDArray[np.int64], counts: npt.NDArray[np.int64], exponents: npt.NDArray[np.int64]
    ) -> tuple[Vector, Vector]:
        """Return Π sums^exponent over positive and over negative exponents."""
        positive, negative = self.modulus.combine(sums, first, counts, np.ascontiguousarray(exponents), threads())
        return np.asarray(positive), np.asarray(negative)

    def _inverses(self, rows: Vector) -> Limbs:
        chain = min(INVERSION_CHAIN, max(1, len(rows) // 16))
        prefixes, totals = self.modulus.chain(rows, chain, threads())
        try:
            inverted = [int(gmpy2.invert(total, self.n)) for total in lm.to_ints(totals)]
        except ZeroDivisionError:
            raise CiphertextError("ciphertexts", "one shares a factor with n") from None
        return np.asarray(self.modulus.unchain(prefixes, lm.from_ints(inverted, self.limbs), rows, chain, threads()))

    def _factors(self, rows: Vector) -> Vector:
        return np.asarray(self.modulus.factors(rows, self._inverses(rows), threads()))


class NativeBase:
    """A fixed-base table in the core."""

    def __init__(self, table: Any) -> None:
        self.table = table

    def encrypt(self, start: Vector | None, plain: Limbs | None, alphas: Limbs) -> Vector:
        """Return start · (1 + n)^plain · base^alpha."""
        return np.asarray(self.table.encrypt(start, plain, alphas, threads()))


class NativePrivate:
    """CRT decryption in the core: constant time, fault checked."""

    def __init__(self, backend: NativeBackend, p: int, q: int) -> None:
        n_limbs = lm.limb_count((p * q).bit_length())
        chunks = -(-2 * n_limbs // lm.limb_count(p.bit_length()))
        digits = backend.core.digits(backend.name, p.bit_length())
        r = 1 << (backend.radix * digits)
        q_inverse = backend.digit_row(int(gmpy2.invert(q, p)) * r % p, digits)
        branches = [self._branch(backend, prime, other, chunks) for prime, other in ((p, q), (q, p))]
        self.decryptor = backend.core.Decryptor(n_limbs, *branches, q_inverse)

    @staticmethod
    def _branch(backend: NativeBackend, prime: int, other: int, chunks: int) -> tuple[Any, ...]:
        constants = backend.constants(prime, chunks)
        digits = constants[2].size
        # L((1 + n)^(p-1)) = (p-1)·q mod p = -q, so the scale is (-q)^-1
        scale = int(gmpy2.invert(-other, prime)) * (1 << (backend.radix * digits)) % prime
        exponent = lm.from_ints([prime - 1], lm.limb_count(prime.bit_length()))[0]
        return (*constants, exponent, backend.digit_row(scale, digits))

    def decrypt(self, wire: Limbs) -> Limbs:
        """Return plaintexts in [0, n), shape (count, limbs).

        Raises
        ------
        CheckError
            A branch did not give 1 modulo its prime: a computation fault, or a ciphertext that is no unit.
        """
        plain, sound = self.decryptor.decrypt(wire, threads())
        if not sound:
            raise CheckError("decryption: a CRT branch failed its check; no plaintext is returned")
        return np.asarray(plain)
