"""PrivateKey: decryption, answers to requests of openings, the proof of the key."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from ...errors import CheckError, InputError, InvalidKeyError
from .. import codec
from .. import limbs as lm
from ..arrays import CipherArray
from ..context import Vector
from ..curve import CODE_LIMBS, HALF, ORDER, random_scalars
from ..limbs import Limbs
from .opening import HolderDigits, Request
from .proofs import PROOF_ROWS, Generator, prove_key, prove_opening
from .public import PublicKey


class PrivateKey:
    """Decryption with s: one multiplication by s in constant time, and a small discrete logarithm.

    Parameters
    ----------
    secret
        s, from 1 to the group order − 1.

    Raises
    ------
    InvalidKeyError
        Another number.
    """

    def __init__(self, secret: int) -> None:
        if isinstance(secret, bool) or not isinstance(secret, int) or not 0 < secret < ORDER:
            raise InvalidKeyError("s", "must be a whole number from 1 to the group order - 1")
        self._secret, self._half = lm.from_ints([secret], CODE_LIMBS), lm.from_ints([secret * HALF % ORDER], CODE_LIMBS)
        self.public = PublicKey(_public_code(self._secret))

    def __repr__(self) -> str:
        return f"PrivateKey(ristretto255, {self.public.fingerprint})"

    def __getstate__(self) -> None:
        raise TypeError("a PrivateKey is not pickled; use keyfile.save_private_key")

    def __del__(self) -> None:
        if hasattr(self, "_secret"):
            lm.wipe(self._secret)
            lm.wipe(self._half)

    @property
    def secret(self) -> int:
        """The number s, for a key file."""
        return lm.to_ints(self._secret)[0]

    def decrypt(self, vector: CipherArray) -> npt.NDArray[Any]:
        """Return the numbers, in the array's shape: float64 at frac_bits > 0, else int64.

        Raises
        ------
        CheckError
            A number is above the vector's declared bound.
        InputError
            For no vector of this key.
        """
        if not isinstance(vector, CipherArray):
            raise InputError("vector", "must be a CipherArray")
        vector.require_key(self.public)
        values, found = self.public.read(self._opened(vector), vector.bound)
        if not found.all():
            raise CheckError(f"number {int(np.flatnonzero(~found)[0])} is above the declared bound")
        opened = (codec.decode(values, vector.frac_bits) if vector.frac_bits else values).reshape(vector.shape)
        return opened[()]

    def announce(self, context: bytes) -> tuple[Limbs, Limbs]:
        """Return H and the proof that s is known, bound to `context`, shapes (1, 4) and (2, 4)."""
        return self.public.h, prove_key(self.public.generator, self._secret, self.public.h, context)

    def answer(self, request: Request, noise: Sequence[int] = (), bound: int = 0) -> Limbs:
        """Answer the request of an opening: s times every point, then the proof; with noise, no proof but two rows of zeros.

        Parameters
        ----------
        noise
            What to add to each number of the opening, in their order; none: nothing. A proof would have to hide it.
        bound
            Of the opening's numbers, noise included.
        """
        single = self.public.single
        halves = single.scale(request.vector, self._half)
        opened = single.multiply(halves, halves)
        if noise:  # the owner takes what it gets off its second point
            added = self.public.add_numbers(self.public.context.one(len(noise)), -np.array(noise, dtype=np.int64))
            shift = self.public.context.part(added, 1)
            codes = single.store(single.multiply(opened, shift))
            return np.concatenate([codes, np.zeros((PROOF_ROWS, CODE_LIMBS), dtype=np.uint64)])
        codes = single.store_double(halves)
        proof = prove_opening(self.public.generator, self._secret, self.public.h, (request.vector, request.limbs), (opened, codes))
        return np.concatenate([codes, proof])

    def read(self, vector: CipherArray, bound: int) -> list[int]:
        """Return the numbers of `encrypt_to_holder`; CheckError for one outside 0 … bound."""
        values, found = self.public.read(self._opened(vector), bound)
        if not found.all() or (values < 0).any():
            raise CheckError(f"a number is not from 0 to {bound}")
        result: list[int] = values.tolist()
        return result

    def read_packed(self, vector: CipherArray, n_values: int, bound: int) -> list[int]:
        """Return the numbers of `pack_to_holder`; CheckError for another number of them, or one above the bound."""
        digits = HolderDigits.of(bound)
        if len(vector) != n_values * digits.places:
            raise CheckError(f"{len(vector)} ciphertexts for {n_values} numbers of {digits.places} digits")
        numbers = digits.join(self.read(vector, digits.base - 1))
        if any(abs(number) > bound for number in numbers):
            raise CheckError(f"a number is above {bound}")
        return numbers

    def read_sums(self, vector: CipherArray, n_values: int, bound: int) -> list[int]:
        """Return the numbers of `sums_to_holder`; CheckError for another number of them, or one above the bound."""
        values, found = self.public.read(self._opened(vector), bound)
        if len(values) != n_values or not found.all():
            raise CheckError(f"{n_values} numbers of magnitude up to {bound} are due")
        result: list[int] = values.tolist()
        return result

    def encryptions_to_open(self, count: int) -> int:
        """Return 0: nothing hides points while they are multiplied, which is constant time."""
        return 0

    def _opened(self, vector: CipherArray) -> Vector:
        """Return m·G of every ciphertext."""
        context, single = self.public.context, self.public.single
        shared = single.scale(context.part(vector.vector, 0), self._secret)
        return single.multiply(context.part(vector.vector, 1), single.invert(shared))


def _public_code(secret: Limbs) -> Limbs:
    generator = Generator.of_backend()
    return generator.curve.store(generator.times(secret))


def generate_keypair() -> PrivateKey:
    """Return a fresh key; its public half is ``.public``."""
    while True:
        (secret,) = lm.to_ints(random_scalars(1))
        if secret:
            return PrivateKey(secret)
