"""The gmpy2 fallback: the core's interface on Python integers, for machines without a compiler.

Vectors are object arrays of mpz. Same results bit for bit; speed is gmpy2's, with its list calls where they fit because they
release the interpreter lock.
"""

from __future__ import annotations

from typing import Any

import gmpy2
import numpy as np
import numpy.typing as npt
from gmpy2 import mpz

from ..errors import CheckError, CiphertextError
from . import limbs as lm
from .bucket_sums import BucketSums, to_vector
from .context import CurveContext, FixedBase, PrivateContext, PublicContext, Vector
from .fallback_curve import GmpyCurve
from .limbs import Limbs


class GmpyBackend:
    """Arithmetic on gmpy2."""

    name = "gmpy2"
    lanes = 1

    def __init__(self, reason: str) -> None:
        self.reason = reason

    def public(self, n: int) -> PublicContext:
        """Return the arithmetic modulo n²."""
        return GmpyPublic(n)

    def private(self, p: int, q: int) -> PrivateContext:
        """Return decryption for n = p·q."""
        return GmpyPrivate(p, q)

    def curve(self, points: int, parameter: int = 0) -> CurveContext:
        """Return the arithmetic of ristretto255 on elements of so many points."""
        return GmpyCurve(points, parameter)

    def edwards(self) -> None:
        """Python integers are slower than what there is elsewhere."""
        return


class GmpyPublic(BucketSums):
    """Arithmetic modulo n² on mpz."""

    def __init__(self, n: int) -> None:
        self.n, self.key = n, ("paillier", n)
        self.limbs = lm.limb_count(n.bit_length())
        self._n = mpz(n)
        self._square = self._n**2
        self.zero = mpz(1)

    def load(self, wire: Limbs) -> Vector:
        """Return wire ciphertexts as a vector."""
        return to_vector([mpz(c) for c in lm.to_ints(wire)])

    def store(self, vector: Vector) -> Limbs:
        """Return canonical ciphertexts, shape (count, 2·limbs)."""
        return lm.from_ints(vector, 2 * self.limbs)

    def one(self, count: int) -> Vector:
        """Return `count` times the number 1."""
        return to_vector([mpz(1)] * count)

    def multiply(self, a: Vector, b: Vector) -> Vector:
        """Return a·b, row by row; b may have one row."""
        return self._reduced(a * b)

    def add_plain(self, a: Vector, plain: Limbs) -> Vector:
        """Return a·(1 + n)^plain."""
        return self._reduced(a * self._plain(plain))

    def add_small(self, a: Vector, values: npt.NDArray[np.int64]) -> Vector:
        """Return a·(1 + n)^value."""
        return self._reduced(a * to_vector([1 + int(v) * self._n for v in values]))

    def power(self, a: Vector, exponents: Limbs) -> Vector:
        """Return a^exponent; one row of exponents serves all."""
        powers = [mpz(e) for e in lm.to_ints(exponents)]
        if len(powers) == 1:
            return to_vector(gmpy2.powmod_base_list(list(a), powers[0], self._square))
        return to_vector([gmpy2.powmod(c, e, self._square) for c, e in zip(a, powers, strict=True)])

    def invert(self, a: Vector) -> Vector:
        """Return the inverses modulo n²; CiphertextError if one has no inverse."""
        try:
            return to_vector([gmpy2.invert(c, self._square) for c in a])
        except ZeroDivisionError:
            raise CiphertextError("ciphertexts", "one shares a factor with n") from None

    def product(self, a: Vector) -> Vector:
        """Return the product of all rows, one row."""
        return to_vector([self._multiply_all(a)])

    def fixed_base(self, base: int, alpha_bits: int, window: int) -> FixedBase:
        """Return powers of one base; gmpy2 keeps no table."""
        return GmpyBase(self, base)

    def pack(self, a: Vector, slots: int, slot_bits: int) -> Vector:
        """Return rows packed `slots` at a time by Horner's rule."""
        shift, packed = mpz(1) << slot_bits, []
        for start in range(0, len(a), slots):
            total = mpz(1)
            for c in a[start : start + slots][::-1]:
                total = gmpy2.powmod(total, shift, self._square) * c % self._square
            packed.append(total)
        return to_vector(packed)

    def plus(self, a: Any, b: Any) -> Any:
        """Return the ciphertext of the sum."""
        return a * b % self._square

    def times(self, a: Any, factor: int) -> Any:
        """Return the ciphertext of the multiple."""
        return gmpy2.powmod(a, factor, self._square)

    def _plain(self, plain: Limbs) -> Vector:
        return to_vector([1 + m * self._n for m in lm.to_ints(plain)])

    def _reduced(self, products: Vector) -> Vector:
        return to_vector([c % self._square for c in products])

    def _multiply_all(self, values: Vector) -> mpz:
        total = mpz(1)
        for value in values:
            total = total * value % self._square
        return total


class GmpyBase:
    """Powers of one base by gmpy2's list call."""

    def __init__(self, context: GmpyPublic, base: int) -> None:
        self.context = context
        self.base = mpz(base)

    def encrypt(self, start: Vector | None, plain: Limbs | None, alphas: Limbs) -> Vector:
        """Return start · (1 + n)^plain · base^alpha."""
        exponents = [mpz(alpha) for alpha in lm.to_ints(alphas)]
        vector = to_vector(gmpy2.powmod_exp_list(self.base, exponents, self.context._square)) if exponents else to_vector([])
        if plain is not None:
            vector = self.context.add_plain(vector, plain)
        return vector if start is None else self.context.multiply(vector, start)


class GmpyPrivate:
    """CRT decryption on mpz, with the same fault check as the core.

    What has the key in it is done by GMP's functions for secrets, by products and by masks: `%` takes as long as its numbers let it.
    """

    def __init__(self, p: int, q: int) -> None:
        self.n_limbs = lm.limb_count((p * q).bit_length())
        self.p, self.q = mpz(p), mpz(q)
        self.branches = [
            (prime, prime * prime, gmpy2.invert(prime, mpz(1) << prime.bit_length()), gmpy2.invert(-other, prime))
            for prime, other in ((self.p, self.q), (self.q, self.p))
        ]
        self.q_inverse = gmpy2.invert(self.q, self.p)
        self.above_q = self.p * (self.q // self.p + 1)

    def decrypt(self, wire: Limbs) -> Limbs:
        """Return plaintexts in [0, n), shape (count, limbs); CheckError on a fault."""
        ciphertexts = [mpz(c) for c in lm.to_ints(wire)]
        mod_p, mod_q = (self._branch(ciphertexts, *branch) for branch in self.branches)
        joined = [
            b + self.q * gmpy2.powmod_sec((a + self.above_q - b) * self.q_inverse, 1, self.p) for a, b in zip(mod_p, mod_q, strict=True)
        ]
        return lm.from_ints(joined, self.n_limbs)

    @staticmethod
    def _branch(ciphertexts: list[Any], prime: Any, square: Any, inverse: Any, scale: Any) -> list[Any]:
        """Return m modulo a prime of every ciphertext: c^(p−1) = 1 + h·p modulo p², and h·scale = m."""
        mask, residues = (mpz(1) << prime.bit_length()) - 1, []
        for c in ciphertexts:
            power = gmpy2.powmod_sec(c, prime - 1, square)
            high = (power - 1) * inverse & mask  # the exact quotient, without a division
            if high * prime + 1 != power:
                raise CheckError("decryption: a CRT branch failed its check; no plaintext is returned")
            residues.append(gmpy2.powmod_sec(high * scale, 1, prime))
        return residues
