"""PrivateKey: decryption, answers to requests of openings, the proof of the key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import CheckError, InputError
from ...params import DEFAULT_KEY_BITS
from .. import backend as be
from .. import codec
from .. import limbs as lm
from ..arrays import CipherArray
from ..context import Vector
from ..limbs import Limbs
from . import keys
from .opening import holder_plan, plan_opening
from .public import PublicKey

BLINDED_BY_ONE = 32  # ciphertexts that one blinding factor and its squares hide while they are decrypted


class PrivateKey:
    """Decryption with the factorisation of n: by CRT, in constant time, on blinded ciphertexts, with a fault check.

    Parameters
    ----------
    p, q
        The primes; validated (keys.check_primes).
    subgroup
        Require the Blum shape that subgroup encryption needs; False loads any plain Paillier key.
    test_sizes
        Accept sizes other than 2048, 3072 and 4096 bits.

    Raises
    ------
    InvalidKeyError
        The primes do not make a sound key.
    """

    def __init__(self, p: int, q: int, *, subgroup: bool = True, test_sizes: bool = False) -> None:
        keys.check_primes(p, q, subgroup=subgroup, test_sizes=test_sizes)
        self.public = PublicKey(int(p) * int(q), subgroup=subgroup, test_sizes=test_sizes)
        self.primes = int(p), int(q)
        self._context = be.current().private(int(p), int(q))

    def __repr__(self) -> str:
        return f"PrivateKey({self.public.key_bits} bits, {self.public.fingerprint})"

    def __getstate__(self) -> None:
        raise TypeError("a PrivateKey is not pickled; use keyfile.save_private_key")

    def decrypt(self, vector: CipherArray) -> npt.NDArray[Any]:
        """Return the numbers, in the array's shape: float64 at frac_bits > 0; int64, or Python integers when the bound needs them.

        Raises
        ------
        CheckError
            A CRT branch failed, or a number is above the vector's declared bound.
        """
        values = codec.from_residues(self.decrypt_residues(vector), self.public.n, vector.bound)
        opened = (codec.decode(values, vector.frac_bits) if vector.frac_bits else values).reshape(vector.shape)
        return opened[()]

    def decrypt_residues(self, vector: CipherArray) -> Limbs:
        """Return the plaintexts in [0, n) as limbs, shape (count, limbs): what the arbiter returns of masked numbers.

        Raises
        ------
        InputError
            For no vector of this key.
        """
        if not isinstance(vector, CipherArray):
            raise InputError("vector", "must be a CipherArray")
        vector.require_key(self.public)
        return self._open(vector.vector)

    def announce(self, context: bytes) -> tuple[Limbs, Limbs]:
        """Return n and the proof that it is square-free, bound to `context`, shapes (1, limbs) and (challenges, limbs)."""
        n = self.public.n
        size = lm.limb_count(n.bit_length())
        return lm.from_ints([n], size), lm.from_ints(keys.prove_square_free(*self.primes, context), size)

    def answer(self, request: CipherArray, noise: Sequence[int] = (), bound: int = 0) -> Limbs:
        """Open the request of an opening: masked numbers in [0, n).

        Parameters
        ----------
        noise
            What to add to each number of the opening, in their order; none: nothing.
        bound
            Of the opening's numbers, noise included.
        """
        opened = self.decrypt_residues(request)
        if not noise:
            return opened
        added = plan_opening(len(noise), bound, self.public.key_bits).shifted(list(noise))
        n = self.public.n
        return lm.from_ints([(m + e) % n for m, e in zip(lm.to_ints(opened), added, strict=True)], self.public.context.limbs)

    def read(self, vector: CipherArray, bound: int) -> list[int]:
        """Return the numbers of `encrypt_to_holder`; CheckError for one outside 0 … bound."""
        values = lm.to_ints(self.decrypt_residues(vector))
        if any(value > bound for value in values):
            raise CheckError(f"a number is not from 0 to {bound}")
        return values

    def read_packed(self, vector: CipherArray, n_values: int, bound: int) -> list[int]:
        """Return the numbers of `pack_to_holder`.

        Raises
        ------
        CheckError
            Another number of ciphertexts, numbers outside their slots, or that do not add up to their check slot.
        """
        values, check = holder_plan(n_values, bound, self.public.key_bits).unpack(lm.to_ints(self.decrypt_residues(vector)))
        if sum(values) != check:
            raise CheckError("the numbers do not add up to their check slot")
        return values

    def read_sums(self, vector: CipherArray, n_values: int, bound: int) -> list[int]:
        """Return the numbers of `sums_to_holder`; CheckError as `read_packed`."""
        return self.read_packed(vector, n_values, bound)

    def encryptions_to_open(self, count: int) -> int:
        """Return how many encryptions of 0 hide `count` ciphertexts while they are decrypted."""
        return blinding_factors(count)

    def _open(self, vector: Vector) -> Limbs:
        """Blind with a random plaintext under randomness that nobody knows, decrypt together with the product of all, unblind.

        A fault in the high component of a branch passes the core's check but not Σm = Dec(Πc); a wrong plaintext that got out
        would give the factorisation away.
        """
        public, count = self.public, len(vector)
        if count == 0:
            return np.zeros((0, public.context.limbs), dtype=np.uint64)
        blinds = lm.random_below(public.n, count)
        hidden = public.context.multiply(vector, self._randomness(count))
        blinded = public.context.add_plain(hidden, lm.from_ints(blinds, public.context.limbs))
        *opened, total = lm.to_ints(
            self._context.decrypt(public.context.store(np.concatenate([blinded, public.context.product(blinded)])))
        )
        if sum(opened) % public.n != total:
            raise CheckError("decryption: the plaintexts do not add up to that of the product; no plaintext is returned")
        return lm.from_ints([(m - b) % public.n for m, b in zip(opened, blinds, strict=True)], public.context.limbs)

    def _randomness(self, count: int) -> Vector:
        """Return encryptions of 0 that hide what is decrypted from whoever watches it: nothing under them leaves the process.

        A fresh one serves with its squares for `BLINDED_BY_ONE` ciphertexts, as blinding factors of RSA do (Kocher 1996).
        """
        public = self.public
        masks = [public._masked(None, None, blinding_factors(count), None)]
        while len(masks) < BLINDED_BY_ONE and len(masks) * len(masks[0]) < count:
            masks.append(public.context.multiply(masks[-1], masks[-1]))
        return np.concatenate(masks)[:count]


def blinding_factors(count: int) -> int:
    """Return how many fresh encryptions of 0 hide `count` ciphertexts that are decrypted together."""
    return -(-count // BLINDED_BY_ONE)


def generate_keypair(key_bits: int = DEFAULT_KEY_BITS, *, test_sizes: bool = False) -> PrivateKey:
    """Return a fresh key of `key_bits` bits (2048, 3072 or 4096; others with `test_sizes`); its public half is ``.public``."""
    return PrivateKey(*keys.generate_primes(key_bits, test_sizes=test_sizes), test_sizes=test_sizes)
