"""Paillier behind the interface of a scheme: where its keys come from."""

from __future__ import annotations

from os import PathLike

from ...errors import InvalidKeyError
from ...params import KEY_BITS
from .. import limbs as lm
from ..limbs import Limbs
from . import keys
from .keyfile import load_private_key, save_private_key
from .private import PrivateKey, generate_keypair
from .public import PublicKey


class Paillier:
    """The scheme of Paillier 1999 with the randomness of Damgård, Jurik and Nielsen 2010."""

    name = "paillier"
    sizes = KEY_BITS

    def generate(self, key_bits: int, *, test_sizes: bool = False) -> PrivateKey:
        """Return a fresh key of `key_bits` bits."""
        return generate_keypair(key_bits, test_sizes=test_sizes)

    def load(self, path: str | PathLike[str], *, test_sizes: bool = False, passphrase: str | None = None) -> PrivateKey:
        """Return the private key of a file; InputError."""
        return PrivateKey(*load_private_key(path, test_sizes=test_sizes, passphrase=passphrase), test_sizes=test_sizes)

    def save(self, path: str | PathLike[str], key: PrivateKey, *, passphrase: str | None = None) -> None:
        """Write a private key to a new file of mode 0600; InputError."""
        save_private_key(path, *key.primes, passphrase=passphrase)

    def receive(self, key: Limbs, proof: Limbs, key_bits: int, context: bytes, *, test_sizes: bool = False) -> PublicKey:
        """Return an announced modulus as a key (assurance rule 6).

        Raises
        ------
        InvalidKeyError
            No modulus or several, of another size, that cannot be sound, or without a proof for this context.
        """
        if len(key) != 1:
            raise InvalidKeyError("n", "one modulus expected")
        n = lm.to_ints(key)[0]
        if n.bit_length() != key_bits:
            raise InvalidKeyError("n", f"has {n.bit_length()} bits, {key_bits} are agreed")
        public = PublicKey(n, test_sizes=test_sizes)
        keys.verify_square_free(n, lm.to_ints(proof), context)
        return public

    def validated(self, parameter: int) -> PublicKey:
        """Return the key of a modulus that was validated elsewhere, with a secret base of this process's own."""
        return PublicKey(parameter, test_sizes=True)
