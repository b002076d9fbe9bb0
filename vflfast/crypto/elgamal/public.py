"""PublicKey: encryption, fresh randomness, validation of what arrives, requests of openings.

[[m]] = (r·G, m·G + r·H) with H = s·G (ElGamal 1985, lifted: Cramer, Gennaro and Schoenmakers 1997) in ristretto255 (RFC 9496).
Randomness is uniform below the group order, towards everybody.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import BoundError, CiphertextError, InputError, InvalidKeyError
from ...params import ELGAMAL_FRAC_BITS, MAX_COUNT
from .. import backend as be
from .. import codec, engine, serial
from .. import limbs as lm
from ..arrays import CipherArray, WireArray
from ..context import BaseTerm, Vector
from ..curve import CODE_BITS, CODE_LIMBS, MAX_LOGARITHM_BITS, ORDER_BITS, random_scalars
from ..key_files import hex_number
from ..limbs import Limbs
from ..pool import Pool
from .opening import HolderDigits, Opening, Request, logarithms
from .proofs import Generator

MAX_BOUND = 1 << MAX_LOGARITHM_BITS
ALL_ONES = np.uint64(2**64 - 1)
POOLED = CODE_BITS  # all randomness has one length


class PublicKey:
    """Lifted ElGamal encryption: small whole numbers, added and multiplied by integers.

    Parameters
    ----------
    h
        The encoding of H = s·G, shape (1, 4).

    Raises
    ------
    InvalidKeyError
        No canonical encoding, or the identity.
    """

    key_bits = CODE_BITS
    default_frac_bits = ELGAMAL_FRAC_BITS

    def __init__(self, h: Limbs) -> None:
        if not isinstance(h, np.ndarray) or h.dtype != np.uint64 or h.shape != (1, CODE_LIMBS):
            raise InvalidKeyError("h", "must be one encoded group element")
        if not h.any():
            raise InvalidKeyError("h", "is the identity")
        self.context, self.generator = be.current().curve(2, lm.to_ints(h)[0]), Generator.of_backend()
        self.single = self.generator.curve
        try:
            self._table = self.single.base(self.single.load(h))
        except CiphertextError:
            raise InvalidKeyError("h", "is no canonical ristretto255 encoding") from None
        self.h = h
        self.fingerprint = hashlib.sha256(h.astype("<u8").tobytes()).hexdigest()[:16]
        self._pool = Pool()

    def __repr__(self) -> str:
        return f"PublicKey(ristretto255, {self.fingerprint})"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PublicKey) and bool((other.h == self.h).all())

    def __hash__(self) -> int:
        return hash(self.h.tobytes())

    def __getstate__(self) -> None:
        raise TypeError("a PublicKey's randomness stays in its process")

    def __reduce__(self) -> Any:
        return _rebuilt, (self.to_bytes(),)

    def to_bytes(self) -> bytes:
        """Return the key as bytes: scheme, h, checksum."""
        return serial.sealed({"kind": "public key", "scheme": "elgamal", "h": f"{lm.to_ints(self.h)[0]:x}"})

    @classmethod
    def from_bytes(cls, data: bytes) -> PublicKey:
        """Return the key that `to_bytes` gave, with randomness of its own.

        Raises
        ------
        CiphertextError, InvalidKeyError
            Damaged, another format or scheme; no group element.
        """
        h = hex_number("h", serial.public_key_header(data, "elgamal", {"h"})["h"])
        if h.bit_length() > CODE_BITS:
            raise InvalidKeyError("h", "must be one encoded group element")
        return cls(lm.from_ints([h], CODE_LIMBS))

    def encrypt(self, values: npt.ArrayLike, *, frac_bits: int | None = None, bound: float | None = None) -> WireArray:
        """Encrypt numbers.

        Parameters
        ----------
        values
            Real numbers, shape (count,) or a scalar. Integers are encrypted exactly unless `frac_bits` is given.
        frac_bits
            Fraction bits of the fixed point; default 16 for floats, 0 for integers.
        bound
            Largest magnitude that is accepted and that the vector declares; default: the largest present, which the vector
            then reveals to whoever gets it with its bound.

        Returns
        -------
        WireArray
            shape (count,).

        Raises
        ------
        InputError, BoundError
            Not numbers, NaN, infinite, or above the bound.
        """
        encoded, bits, limit = codec.encodable(values, frac_bits, bound, self.default_frac_bits)
        return self.encrypt_encoded(encoded.ravel(), frac_bits=bits, bound=limit).with_shape(encoded.shape, bits or None)

    def encrypt_encoded(self, encoded: npt.NDArray[Any], *, frac_bits: int, bound: int) -> WireArray:
        """Encrypt integers that are already at scale 2^frac_bits, each |v| ≤ bound ≤ 2^61; BoundError above it."""
        self.check_bound(bound)
        whole = codec.declared("encoded", encoded, frac_bits, bound)
        halves = self._added(self._halves(len(whole)), whole, bound, self.generator.half_table)
        return WireArray(self, self.context.store_double(halves), frac_bits, bound, self.context.multiply(halves, halves))

    def rerandomize(self, vector: CipherArray) -> WireArray:
        """Return the same numbers under fresh randomness, ready to leave; InputError for no vector of this key."""
        if not isinstance(vector, CipherArray):
            raise InputError("vector", "must be a CipherArray")
        vector.require_key(self)
        halves = self._halves(vector.size)
        fresh = self.context.multiply(self.context.multiply(halves, halves), vector.vector)
        wire = WireArray(self, self.context.store(fresh), vector.frac_bits, vector.bound, fresh)
        return wire.with_shape(vector.shape, vector.precision)

    def parse(self, limbs: Limbs, *, frac_bits: int, bound: int) -> WireArray:
        """Return received ciphertexts as a vector, after validation (assurance rule 6).

        Raises
        ------
        CiphertextError
            Wrong width, no canonical encoding, no randomness, or repeated.
        """
        self.check_bound(bound)
        codec.check_frac_bits(frac_bits)
        _check_codes(limbs, 2 * CODE_LIMBS)
        return WireArray(self, limbs, frac_bits, bound, self.context.load(limbs))

    def add_numbers(self, vector: Vector, numbers: npt.NDArray[Any]) -> Vector:
        """Return the ciphertexts of sums with whole numbers, shape (count,), in constant time for the largest magnitude."""
        return self._added(vector, numbers, codec.largest_magnitude(numbers), self.generator.table)

    def _added(self, vector: Vector, numbers: npt.NDArray[Any], bound: int, table: Any) -> Vector:
        """Add m times the base of a table to the second points, in constant time for a bound of |m|."""
        magnitudes = np.abs(numbers.astype(np.int64)).astype(np.uint64)
        scalars = np.zeros((len(numbers), CODE_LIMBS), dtype=np.uint64)
        scalars[:, 0] = magnitudes
        term = BaseTerm(1, table, scalars, max(1, bound.bit_length()), np.where(numbers < 0, ALL_ONES, np.uint64(0)))
        return self.context.add_terms(vector, len(numbers), [term])

    def join_rows(self, vectors: Sequence[CipherArray], slot_bits: int, bound: int) -> CipherArray:
        """Refuse: the scheme holds small numbers only; InputError."""
        raise InputError("scheme", "elgamal holds small numbers only: several rows do not fit one; take paillier")

    def check_bound(self, bound: int) -> None:
        """Refuse a declared bound whose numbers could not be opened; BoundError, or InputError for no whole number."""
        if isinstance(bound, bool) or not isinstance(bound, int) or bound < 0:
            raise InputError("bound", "must be a non-negative whole number")
        if bound > MAX_BOUND:
            raise BoundError("bound", f"above 2^{MAX_LOGARITHM_BITS}: elgamal opens small numbers only; use fewer frac_bits, or paillier")

    # --- randomness ahead of need --------------------------------------------------------------------------------

    def expect(self, count: int) -> None:
        """Say how many encryptions are to come: nothing depends on it here."""

    def precompute(self, count: int) -> None:
        """Make `count` encryptions of 0 now; later encryptions and re-randomisations use each of them once.

        Raises
        ------
        InputError
            `count` negative or above 2^31 − 1.
        """
        if isinstance(count, bool) or not isinstance(count, int) or not 0 <= count <= MAX_COUNT:
            raise InputError("count", f"must be a whole number from 0 to {MAX_COUNT}")
        if count:
            self._pool.put(POOLED, self.fresh(None, None, count, POOLED))

    def precomputed(self) -> int:
        """Return how many encryptions of 0 are ready."""
        return self._pool.size(POOLED)

    def fresh(self, start: Vector | None, plain: Limbs | None, count: int, bits: int) -> Vector:
        """Return halves of fresh encryptions of 0: twice each is one, and twice a point is encoded without a square root.

        What they are added to, and what is added to them, are other steps here: `start` and `plain` are None.
        """
        r = random_scalars(count)
        terms = [BaseTerm(0, self.generator.table, r, ORDER_BITS), BaseTerm(1, self._table, r, ORDER_BITS)]
        vector = self.context.add_terms(None, count, terms)
        lm.wipe(r)
        return vector

    def _halves(self, count: int) -> Vector:
        """Return halves of fresh encryptions of 0, from the pool as far as it reaches."""
        shared = engine.current()
        if shared is not None and self._pool.size(POOLED) < count:
            made = shared.encrypt(self.context, None, None, count, POOLED)
            if made is not None:
                return made
        ready = self._pool.take(POOLED, count)
        if ready is None:
            return self.fresh(None, None, count, POOLED)
        return ready if len(ready) == count else np.concatenate([ready, self.fresh(None, None, count - len(ready), POOLED)])

    # --- opening of sums, and towards the holder (scheme.py) ------------------------------------------------------

    def opening(self, values: CipherArray) -> Opening:
        """Return an opening: its request is uniformly random, whatever the numbers; InputError for no vector."""
        return Opening(self, values)

    def opening_size(self, n_values: int, bound: int) -> int:
        """Return how many points the request for `n_values` numbers has."""
        return n_values

    def hand_over(self, values: CipherArray, bound: int, secret: bytes) -> WireArray:
        """Return values for another owner, who asks for their opening."""
        return self.rerandomize(values)

    def opening_of(self, limbs: Limbs, n_values: int, bound: int, secret: bytes) -> Opening:
        """Return an opening of what `hand_over` made, after validation; CiphertextError."""
        if len(limbs) != n_values:
            raise CiphertextError("ciphertexts", f"sent {len(limbs)} ciphertexts, {n_values} are due")
        return Opening(self, self.parse(limbs, frac_bits=0, bound=bound))

    def parse_request(self, limbs: Limbs) -> Request:
        """Return the request of an opening after validation; CiphertextError."""
        _check_codes(limbs, CODE_LIMBS)
        return Request(limbs, self.single.load(limbs))

    def parse_to_holder(self, limbs: Limbs) -> WireArray:
        """Return ciphertexts of small numbers after validation; CiphertextError."""
        return self.parse(limbs, frac_bits=0, bound=MAX_BOUND)

    def encrypt_to_holder(self, numbers: npt.NDArray[Any], bound: int) -> WireArray:
        """Encrypt numbers from 0 to bound that the key holder is to read, a ciphertext each."""
        return self.encrypt_encoded(numbers, frac_bits=0, bound=bound)

    def pack_to_holder(self, numbers: list[int], bound: int) -> WireArray:
        """Encrypt numbers of magnitude ≤ bound that the key holder is to read, as digits that are small enough (`HolderDigits`)."""
        digits = HolderDigits.of(bound)
        return self.encrypt_encoded(digits.split(numbers), frac_bits=0, bound=digits.base - 1)

    def sums_to_holder(self, values: CipherArray) -> WireArray:
        """Return numbers that this party does not know itself, for the holder to read; InputError for no vector of this key."""
        return self.rerandomize(values)

    def sums_to_holder_size(self, n_values: int, bound: int) -> int:
        """Return how many ciphertexts that takes."""
        return n_values

    def read(self, points: Vector, bound: int) -> tuple[npt.NDArray[np.int64], npt.NDArray[np.bool_]]:
        """Return the small logarithms of points m·G, and where there is one."""
        return logarithms(self.single, self.generator.point, bound, len(points)).find(points, bound)


def _rebuilt(data: bytes) -> PublicKey:
    """Return a key from a pickle: one for all that is unpickled in this process."""
    return _kept(data, be.current().name)


@lru_cache(maxsize=8)
def _kept(data: bytes, backend: str) -> PublicKey:
    return PublicKey.from_bytes(data)


def _check_codes(limbs: Limbs, width: int) -> None:
    if not isinstance(limbs, np.ndarray) or limbs.dtype != np.uint64 or limbs.ndim != 2 or limbs.shape[1] != width:
        raise CiphertextError("ciphertexts", f"must be a uint64 array of shape (count, {width})")
    if len(limbs) > MAX_COUNT:
        raise CiphertextError("ciphertexts", f"more than {MAX_COUNT}")
    randomness = np.ascontiguousarray(limbs[:, :CODE_LIMBS])
    if not randomness.any(axis=1).all():
        raise CiphertextError("ciphertexts", "one has no randomness")
    if len(np.unique(randomness[:, 0])) < len(limbs) and len(np.unique(randomness, axis=0)) < len(limbs):
        raise CiphertextError("ciphertexts", "one is repeated: fresh randomness never repeats")
