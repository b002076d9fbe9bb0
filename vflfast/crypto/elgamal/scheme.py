"""Lifted ElGamal behind the interface of a scheme: where its keys come from."""

from __future__ import annotations

from os import PathLike

from ...errors import InvalidKeyError
from .. import limbs as lm
from ..curve import CODE_BITS, CODE_LIMBS
from ..limbs import Limbs
from .keyfile import load_private_key, save_private_key
from .private import PrivateKey, generate_keypair
from .proofs import verify_key
from .public import PublicKey


class ElGamal:
    """Lifted ElGamal over ristretto255; all keys have one size."""

    name = "elgamal"
    sizes = (CODE_BITS,)

    def generate(self, key_bits: int = CODE_BITS, *, test_sizes: bool = False) -> PrivateKey:
        """Return a fresh key."""
        return generate_keypair()

    def load(self, path: str | PathLike[str], *, test_sizes: bool = False, passphrase: str | None = None) -> PrivateKey:
        """Return the private key of a file; InputError."""
        return load_private_key(path, passphrase=passphrase)

    def save(self, path: str | PathLike[str], key: PrivateKey, *, passphrase: str | None = None) -> None:
        """Write a private key to a new file of mode 0600; InputError."""
        save_private_key(path, key, passphrase=passphrase)

    def receive(self, key: Limbs, proof: Limbs, key_bits: int, context: bytes, *, test_sizes: bool = False) -> PublicKey:
        """Return an announced group element as a key (assurance rule 6).

        Raises
        ------
        InvalidKeyError
            No element or several, the identity, or without a proof for this context.
        """
        if len(key) != 1:
            raise InvalidKeyError("h", "one group element expected")
        if key_bits != CODE_BITS:
            raise InvalidKeyError("h", f"has {CODE_BITS} bits, {key_bits} are agreed")
        public = PublicKey(key)
        verify_key(public.generator, public.h, proof, context)
        return public

    def validated(self, parameter: int) -> PublicKey:
        """Return the key of an element's encoding that was validated elsewhere."""
        return PublicKey(lm.from_ints([parameter], CODE_LIMBS))
