"""PublicKey: encryption, fresh randomness, validation of what arrives, requests of openings.

[[m]] = (1 + n)^m · h_s^α mod n², with h_s = (−x²)^n for a secret x of the encrypting party's own (Damgård–Jurik–Nielsen 2010).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import BoundError, CiphertextError, InputError, InvalidKeyError
from ...params import DEFAULT_FRAC_BITS, FULL_ENTROPY_EXTRA_BITS, MAX_COUNT, SHORT_ALPHA_BITS
from .. import backend as be
from .. import codec, engine, serial
from .. import limbs as lm
from ..arrays import CipherArray, WireArray
from ..context import SMALL_SUM_BITS, FixedBase, Vector
from ..key_files import hex_number
from ..limbs import Limbs
from ..pool import Pool
from . import keys
from .base_table import BaseTable
from .opening import MaskedOpening, check_weights, holder_plan, pack_checked, pack_with, plan_opening
from .ranges import check_range


class PublicKey:
    """Paillier encryption under modulus n.

    Parameters
    ----------
    n
        The modulus; validated (keys.check_modulus).
    subgroup
        Require n ≡ 1 (mod 4), as Blum integers have; False accepts any plain Paillier modulus, and then only `encrypt_with`
        encrypts: subgroup encryption and re-randomising are refused.
    test_sizes
        Accept sizes other than 2048, 3072 and 4096 bits.

    Raises
    ------
    InvalidKeyError
        n cannot be a sound modulus.
    """

    default_frac_bits = DEFAULT_FRAC_BITS

    def __init__(self, n: int, *, subgroup: bool = True, test_sizes: bool = False) -> None:
        keys.check_modulus(n, subgroup=subgroup, test_sizes=test_sizes)
        self.n = int(n)
        self.subgroup = subgroup
        self.key_bits = self.n.bit_length()
        self.fingerprint = keys.fingerprint(self.n)
        self.context = be.current().public(self.n)
        self._base_value: int | None = None
        self._tables: dict[int, BaseTable] = {}
        self._pool = Pool()

    def __repr__(self) -> str:
        return f"PublicKey({self.key_bits} bits, {self.fingerprint})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and other.n == self.n

    def __hash__(self) -> int:
        return hash(self.n)

    def __getstate__(self) -> None:
        raise TypeError("a PublicKey's secret base and randomness stay in its process")

    def __reduce__(self) -> Any:
        return _rebuilt, (self.to_bytes(),)

    def to_bytes(self) -> bytes:
        """Return the key as bytes: scheme, n, checksum. What else this object holds is secret and stays."""
        return serial.sealed({"kind": "public key", "scheme": "paillier", "n": f"{self.n:x}", "subgroup": self.subgroup})

    @classmethod
    def from_bytes(cls, data: bytes, *, test_sizes: bool = False) -> PublicKey:
        """Return the key that `to_bytes` gave, with secrets of its own; it is validated as any other, which is no proof of its shape.

        Raises
        ------
        CiphertextError, InvalidKeyError
            Damaged, another format or scheme; n cannot be a sound modulus.
        """
        header = serial.public_key_header(data, "paillier", {"n", "subgroup"})
        if not isinstance(header["subgroup"], bool):
            raise InvalidKeyError("subgroup", "must be true or false")
        return cls(hex_number("n", header["n"]), subgroup=header["subgroup"], test_sizes=test_sizes)

    @property
    def full_alpha_bits(self) -> int:
        """Bits of α towards the key holder: |n| + 64 (assurance rule 2)."""
        return self.key_bits + FULL_ENTROPY_EXTRA_BITS

    def encrypt(
        self, values: npt.ArrayLike, *, frac_bits: int | None = None, bound: float | None = None, alpha_bits: int | None = None
    ) -> WireArray:
        """Encrypt numbers.

        Parameters
        ----------
        values
            Real numbers of any shape. Integers are encrypted exactly unless `frac_bits` is given.
        frac_bits
            Fraction bits of the fixed point; default 24 for floats, 0 for integers.
        bound
            Largest magnitude that is accepted and that the vector declares; default: the largest present, which the vector
            then reveals to whoever gets it with its bound.
        alpha_bits
            Bits of randomness; default |n|/2. `full_alpha_bits` towards the key holder; 448 or 512 opt-in; less is refused.

        Returns
        -------
        WireArray
            The shape of `values`.

        Raises
        ------
        InputError, BoundError
            Not numbers, NaN, infinite, above the bound, or nonzero and all 0 at this scale.

        Warns
        -----
        PrecisionWarning
            Some number loses more than 0.1 % of its value at this scale.
        """
        encoded, bits, limit = codec.encodable(values, frac_bits, bound, self.default_frac_bits)
        wire = self.encrypt_encoded(encoded.ravel(), frac_bits=bits, bound=limit, alpha_bits=alpha_bits)
        return wire.with_shape(encoded.shape, bits or None)

    def encrypt_encoded(
        self, encoded: npt.NDArray[Any], *, frac_bits: int, bound: int, alpha_bits: int | None = None
    ) -> WireArray:
        """Encrypt integers that are already at scale 2^frac_bits, each |v| ≤ bound < n/2; BoundError above it."""
        self.check_bound(bound)
        whole = codec.declared("encoded", encoded, frac_bits, bound)
        return self._wire(None, codec.to_residues(whole, self.n), len(whole), frac_bits, bound, alpha_bits)

    def rerandomize(self, vector: CipherArray, *, alpha_bits: int | None = None, plus: Limbs | None = None) -> WireArray:
        """Return the same numbers (plus the residues `plus`, shape (count, limbs)) under fresh randomness, ready to leave.

        Raises
        ------
        InputError
            For no vector of this key.
        """
        if not isinstance(vector, CipherArray):
            raise InputError("vector", "must be a CipherArray")
        vector.require_key(self)
        wire = self._wire(vector.vector, plus, vector.size, vector.frac_bits, vector.bound, alpha_bits)
        return wire.with_shape(vector.shape, vector.precision)

    def _wire(
        self, start: Vector | None, plain: Limbs | None, count: int, frac_bits: int, bound: int, alpha_bits: int | None
    ) -> WireArray:
        if not self.subgroup:
            raise InvalidKeyError("n", "is a plain Paillier key, which subgroup encryption refuses; use encrypt_with")
        vector = self._shared(start, plain, count, alpha_bits)
        if vector is None:
            vector = self._masked(start, plain, count, alpha_bits)
        return WireArray(self, self.context.store(vector), frac_bits, bound, vector)

    def encrypt_with(self, messages: Sequence[int], randomness: Sequence[int]) -> WireArray:
        """Return (1 + n)^m · r^n mod n² for given r: plain Paillier, for known answers and for keys that are no Blum integers.

        Raises
        ------
        InputError
            For anything out of range.
        """
        if len(messages) != len(randomness):
            raise InputError("randomness", f"{len(randomness)} numbers for {len(messages)} messages")
        if any(type(r) is not int or not 0 < r < self.n or math.gcd(r, self.n) != 1 for r in randomness):
            raise InputError("randomness", "each must be a unit modulo n")
        if any(type(m) is not int or not 0 <= m < self.n for m in messages):
            raise InputError("messages", "each must be in [0, n)")
        limbs = self.context.limbs
        powers = self.context.power(self.context.load(lm.from_ints(randomness, 2 * limbs)), lm.from_ints([self.n], limbs))
        vector = self.context.add_plain(powers, lm.from_ints(messages, limbs))
        return WireArray(self, self.context.store(vector), 0, self.n // 2, vector)

    def parse(self, limbs: Limbs, *, frac_bits: int, bound: int) -> WireArray:
        """Return received ciphertexts as a vector, after validation (assurance rule 6).

        Raises
        ------
        CiphertextError
            Wrong width, 0, 1, ≥ n², a factor in common with n, or repeated.
        """
        width = 2 * self.context.limbs
        if not isinstance(limbs, np.ndarray) or limbs.dtype != np.uint64 or limbs.ndim != 2 or limbs.shape[1] != width:
            raise CiphertextError("ciphertexts", f"must be a uint64 array of shape (count, {width})")
        if len(limbs) > MAX_COUNT:
            raise CiphertextError("ciphertexts", f"more than {MAX_COUNT}")
        self.check_bound(bound)
        codec.check_frac_bits(frac_bits)
        if len(limbs) == 0:
            return WireArray(self, limbs, frac_bits, bound, self.context.one(0))
        check_range(limbs, self.n * self.n)
        vector = self.context.load(limbs)
        product = lm.to_ints(self.context.store(self.context.product(vector)))[0]
        if math.gcd(product % self.n, self.n) != 1:
            raise CiphertextError("ciphertexts", "one shares a factor with n")
        return WireArray(self, limbs, frac_bits, bound, vector)

    def add_numbers(self, vector: Vector, numbers: npt.NDArray[Any]) -> Vector:
        """Return c·(1 + n)^m for whole numbers m, int64 or Python integers, shape (count,)."""
        if numbers.dtype == np.int64 and self.key_bits >= SMALL_SUM_BITS:
            return self.context.add_small(vector, numbers)
        return self.context.add_plain(vector, codec.to_residues(numbers, self.n))

    def join_rows(self, vectors: Sequence[CipherArray], slot_bits: int, bound: int) -> CipherArray:
        """Return Σ_j 2^(slot_bits·j)·v_j of vectors of one length, at scale 1, by Horner's rule; InputError for none, or other keys."""
        if not vectors:
            raise InputError("vectors", "needs at least one vector")
        for vector in vectors:
            vector.require_key(self)
        first = vectors[0].vector
        joined = np.stack([vector.vector for vector in vectors], axis=1).reshape(-1, *first.shape[1:])
        return CipherArray(self, self.context.pack(joined, len(vectors), slot_bits), 0, bound)

    # --- opening of sums, and towards the holder (scheme.py) ------------------------------------------------------

    def opening(self, values: CipherArray) -> MaskedOpening:
        """Return an opening under masks uniform modulo n; InputError for no vector."""
        return MaskedOpening(self, values)

    def opening_size(self, n_values: int, bound: int) -> int:
        """Return how many ciphertexts the request for `n_values` numbers of magnitude ≤ bound has."""
        return plan_opening(n_values, bound, self.key_bits).n_plaintexts

    def hand_over(self, values: CipherArray, bound: int, secret: bytes) -> WireArray:
        """Return values packed with their check value, whose weights come from the secret, for another owner."""
        plan = plan_opening(len(values), bound, self.key_bits)
        return self.rerandomize(self._anything(pack_checked(values, plan, check_weights(secret, len(values)))))

    def opening_of(self, limbs: Limbs, n_values: int, bound: int, secret: bytes) -> MaskedOpening:
        """Return an opening of what `hand_over` made; InputError, CiphertextError."""
        plan = plan_opening(n_values, bound, self.key_bits)
        if len(limbs) != plan.n_plaintexts:
            raise CiphertextError("ciphertexts", f"sent {len(limbs)} ciphertexts, {plan.n_plaintexts} are due")
        return MaskedOpening.of_packed(self, self.parse_request(limbs), plan, check_weights(secret, n_values))

    def parse_request(self, limbs: Limbs) -> WireArray:
        """Return ciphertexts of anything modulo n after validation; CiphertextError."""
        return self.parse(limbs, frac_bits=0, bound=self.n // 2 - 1)

    def parse_to_holder(self, limbs: Limbs) -> WireArray:
        """Return ciphertexts of anything modulo n after validation; CiphertextError."""
        return self.parse_request(limbs)

    def encrypt_to_holder(self, numbers: npt.NDArray[Any], bound: int) -> WireArray:
        """Encrypt with full entropy numbers that the key holder is to read."""
        return self.encrypt_encoded(numbers, frac_bits=0, bound=bound, alpha_bits=self.full_alpha_bits)

    def pack_to_holder(self, numbers: list[int], bound: int) -> WireArray:
        """Encrypt with full entropy numbers that the key holder is to read, packed, their sum in a check slot."""
        plan = holder_plan(len(numbers), bound, self.key_bits)
        packed = np.empty(plan.n_plaintexts, dtype=object)
        packed[:] = plan.pack(numbers, sum(numbers))
        return self.encrypt_to_holder(packed, self.n // 2 - 1)

    def sums_to_holder(self, values: CipherArray) -> WireArray:
        """Return numbers that this party does not know itself, packed with their sum and under full entropy, for the key holder to read."""
        plan = holder_plan(values.size, values.bound, self.key_bits)
        plus = lm.from_ints(plan.offsets(), self.context.limbs)
        packed = self._anything(pack_with(values, plan, self.context.product(values.vector)))
        return self.rerandomize(packed, alpha_bits=self.full_alpha_bits, plus=plus)

    def sums_to_holder_size(self, n_values: int, bound: int) -> int:
        """Return how many ciphertexts that takes for numbers of magnitude ≤ bound."""
        return holder_plan(n_values, bound, self.key_bits).n_plaintexts

    def _anything(self, vector: Vector) -> CipherArray:
        """Ciphertexts of anything modulo n."""
        return CipherArray(self, vector, 0, self.n // 2 - 1)

    def check_bound(self, bound: int) -> None:
        """Refuse a declared bound that n cannot hold with its sign; BoundError, or InputError for no whole number."""
        if isinstance(bound, bool) or not isinstance(bound, int) or bound < 0:
            raise InputError("bound", "must be a non-negative whole number")
        if bound > self.n // 2:
            raise BoundError(
                "bound", f"numbers of {bound.bit_length()} bits do not fit a key of {self.key_bits} bits: "
                "use fewer frac_bits or float factors, or a longer key"
            )  # fmt: skip

    def alpha(self, count: int, alpha_bits: int | None = None) -> Limbs:
        """Return `count` random exponents; sizes below |n|/2 other than the opt-in ones are refused (assurance rule 2)."""
        return lm.random_limbs(count, self._alpha_bits(alpha_bits))

    def precompute(self, count: int, *, alpha_bits: int | None = None) -> None:
        """Compute `count` powers h_s^α now; later encryptions and re-randomisations of the same `alpha_bits` use each of them once.

        They then cost two products instead of a hundred. A power takes as much memory as a ciphertext. Emptied after a fork.

        Raises
        ------
        InputError
            `count` negative or above 2^31 − 1, `alpha_bits` as in `encrypt`.
        """
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_COUNT:
            raise InputError("count", f"must be a whole number from 0 to {MAX_COUNT}")
        bits = self._alpha_bits(alpha_bits)
        if count:
            self._pool.put(bits, self.fresh(None, None, count, bits))

    def expect(self, count: int) -> None:
        """Say how many encryptions of the default `alpha_bits` are to come: their table is then built once, at the width that pays.

        Raises
        ------
        InputError
            `count` is no whole number from 0.
        """
        if isinstance(count, bool) or not isinstance(count, int) or count < 0:
            raise InputError("count", "must be a whole number from 0")
        self._table(self.key_bits // 2).expected = count

    def precomputed(self, *, alpha_bits: int | None = None) -> int:
        """Return how many powers are ready."""
        return self._pool.size(self._alpha_bits(alpha_bits))

    def _alpha_bits(self, alpha_bits: int | None) -> int:
        bits = self.key_bits // 2 if alpha_bits is None else alpha_bits
        if isinstance(bits, bool) or not isinstance(bits, int) or bits > self.full_alpha_bits:
            raise InputError("alpha_bits", f"must be a whole number up to {self.full_alpha_bits}")
        if bits < self.key_bits // 2 and bits not in SHORT_ALPHA_BITS:
            raise InputError("alpha_bits", f"must be at least {self.key_bits // 2}, or one of {SHORT_ALPHA_BITS} on purpose")
        return bits

    def _masked(self, start: Vector | None, plain: Limbs | None, count: int, alpha_bits: int | None) -> Vector:
        """Return start · (1 + n)^plain · h_s^α with fresh α, from the pool as far as it reaches."""
        bits = self._alpha_bits(alpha_bits)
        if count == 0:
            return self.context.one(0)
        ready = self._pool.take(bits, count)
        if ready is None:
            return self.fresh(start, plain, count, bits)
        n_ready = len(ready)
        if start is not None:
            ready = self.context.multiply(ready, start[:n_ready])
        if plain is not None:
            ready = self.context.add_plain(ready, plain[:n_ready])
        if n_ready == count:
            return ready
        later_start = None if start is None else start[n_ready:]
        later_plain = None if plain is None else plain[n_ready:]
        return np.concatenate([ready, self.fresh(later_start, later_plain, count - n_ready, bits)])

    def _shared(self, start: Vector | None, plain: Limbs | None, count: int, alpha_bits: int | None) -> Vector | None:
        """Return what `_masked` would, from the engine's machines; None where there is none or the pool has enough."""
        shared, bits = engine.current(), self._alpha_bits(alpha_bits)
        return None if shared is None or self._pool.size(bits) >= count else shared.encrypt(self.context, start, plain, count, bits)

    def fresh(self, start: Vector | None, plain: Limbs | None, count: int, bits: int) -> Vector:
        """Return start · (1 + n)^plain · h_s^α with fresh α of `bits` bits."""
        alphas = self.alpha(count, bits)
        vector = self._fixed_base(count, bits).encrypt(start, plain, alphas)
        lm.wipe(alphas)
        return vector

    def _table(self, bits: int) -> BaseTable:
        return self._tables.setdefault(bits, BaseTable())

    def _fixed_base(self, count: int, bits: int) -> FixedBase:
        """Return the powers of h_s for `count` more exponents of `bits` bits."""
        table = self._table(bits)
        table.count += count
        window = table.wanted(bits, self.key_bits // 2)
        if table.base is None or window > table.window:
            if self._base_value is None:
                self._base_value = keys.subgroup_base(self.n)
            table.base = None  # the memory of the narrower one first
            table.base, table.window = self.context.fixed_base(self._base_value, bits, window), window
        return table.base


def _rebuilt(data: bytes) -> PublicKey:
    """Return a key that was in use in the process which pickled it: one for all that is unpickled here, so that its tables serve all."""
    return _kept(data, be.current().name)


@lru_cache(maxsize=8)
def _kept(data: bytes, backend: str) -> PublicKey:
    return PublicKey.from_bytes(data, test_sizes=True)
