"""The interface of a scheme: additively homomorphic encryption of vectors, and the two ways in which the key holder opens numbers.

What encrypts, sums and opens in the protocol asks for these methods and does not know how they are done: masks, packing, check values
and the size of randomness are a scheme's own. `schemes` has those that exist.

* Opening of sums: their owner sends the holder a request that tells it nothing, and makes the numbers of the answer.
* Opening towards the holder: the holder is to read the numbers, such as votes and scores.
"""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import Any, Protocol

import numpy.typing as npt

from .arrays import CipherArray, Key, WireArray
from .context import Vector
from .limbs import Limbs


class Opening(Protocol):
    """One opening: `request` goes to the key holder, `open` takes the answer, once."""

    request: Any  # its `limbs` are what is sent

    def open(self, answer: Limbs, noise: int = 0) -> list[int]:
        """Return the numbers, each with at most `noise` added by the holder; CheckError for an answer that cannot be."""


class Public(Key, Protocol):
    """A public key: encryption, fresh randomness, checks of what arrives, requests of openings."""

    key_bits: int

    # --- vectors -------------------------------------------------------------------------------------------------

    def encrypt_encoded(self, encoded: npt.NDArray[Any], *, frac_bits: int, bound: int) -> WireArray:
        """Encrypt whole numbers at scale 2^frac_bits, each |v| ≤ bound, shape (count,); BoundError above it."""

    def rerandomize(self, vector: CipherArray) -> WireArray:
        """Return the same numbers under fresh randomness, ready to leave."""

    def parse(self, limbs: Limbs, *, frac_bits: int, bound: int) -> WireArray:
        """Return received ciphertexts after validation; CiphertextError."""

    def join_rows(self, vectors: Sequence[CipherArray], slot_bits: int, bound: int) -> CipherArray:
        """Return Σ_j 2^(slot_bits·j)·v_j of vectors of one length; InputError where the scheme holds small numbers only."""

    # --- randomness ahead of need --------------------------------------------------------------------------------

    def expect(self, count: int) -> None:
        """Say how many encryptions are to come."""

    def precompute(self, count: int) -> None:
        """Make the randomness of `count` encryptions now."""

    def precomputed(self) -> int:
        """Return how many encryptions have their randomness."""

    def fresh(self, start: Vector | None, plain: Limbs | None, count: int, bits: int) -> Vector:
        """Return `start` plus `plain` under fresh randomness of `bits` bits: the part of encryption that an engine shares out."""

    # --- opening of sums -----------------------------------------------------------------------------------------

    def opening(self, values: CipherArray) -> Opening:
        """Return an opening of the values for their owner."""

    def opening_size(self, n_values: int, bound: int) -> int:
        """Return how many ciphertexts the request for `n_values` numbers of magnitude ≤ bound has; all parties can compute it."""

    def hand_over(self, values: CipherArray, bound: int, secret: bytes) -> WireArray:
        """Return values for another owner, who asks for their opening; both know the secret, the key holder does not."""

    def opening_of(self, limbs: Limbs, n_values: int, bound: int, secret: bytes) -> Opening:
        """Return an opening of what `hand_over` made, after validation; CiphertextError."""

    def parse_request(self, limbs: Limbs) -> Any:
        """Return the request of an opening, for `answer`, after validation; CiphertextError."""

    # --- opening towards the holder ------------------------------------------------------------------------------

    def parse_to_holder(self, limbs: Limbs) -> WireArray:
        """Return what `encrypt_to_holder` or `pack_to_holder` made after validation; CiphertextError."""

    def encrypt_to_holder(self, numbers: npt.NDArray[Any], bound: int) -> WireArray:
        """Encrypt numbers from 0 to bound that the holder is to read, a ciphertext each."""

    def pack_to_holder(self, numbers: list[int], bound: int) -> WireArray:
        """Encrypt numbers of magnitude ≤ bound that the holder is to read, in as few ciphertexts as the scheme can."""

    def sums_to_holder(self, values: CipherArray) -> WireArray:
        """Return numbers that this party does not know itself, for the holder to read, in as few ciphertexts as the scheme can."""

    def sums_to_holder_size(self, n_values: int, bound: int) -> int:
        """Return how many ciphertexts that takes for numbers of magnitude ≤ bound; all parties can compute it."""


class Private(Protocol):
    """A private key, of the party that opens."""

    @property
    def public(self) -> Public:
        """The public half."""

    def announce(self, context: bytes) -> tuple[Limbs, Limbs]:
        """Return the public key and the proof that it is sound, bound to `context`, as arrays of limbs."""

    def answer(self, request: Any, noise: Sequence[int] = (), bound: int = 0) -> Limbs:
        """Open a request, with `noise` added to its numbers, whose bound then holds it; CheckError on a fault."""

    def read(self, vector: WireArray, bound: int) -> list[int]:
        """Return the numbers of `encrypt_to_holder`; CheckError for one outside 0 … bound."""

    def read_packed(self, vector: WireArray, n_values: int, bound: int) -> list[int]:
        """Return the numbers of `pack_to_holder`; CheckError for what cannot be its output."""

    def read_sums(self, vector: WireArray, n_values: int, bound: int) -> list[int]:
        """Return the numbers of `sums_to_holder`; CheckError for what cannot be its output."""

    def encryptions_to_open(self, count: int) -> int:
        """Return how many encryptions of the holder's own hide `count` ciphertexts while they are opened."""


class Scheme(Protocol):
    """Where keys come from."""

    @property
    def name(self) -> str:
        """What settings call it."""

    @property
    def sizes(self) -> tuple[int, ...]:
        """Bits of the keys that are offered."""

    def generate(self, key_bits: int, *, test_sizes: bool = False) -> Private:
        """Return a fresh key."""

    def load(self, path: str | PathLike[str], *, test_sizes: bool = False, passphrase: str | None = None) -> Private:
        """Return the private key of a file; InputError."""

    def save(self, path: str | PathLike[str], key: Any, *, passphrase: str | None = None) -> None:
        """Write a private key of this scheme to a new file of mode 0600, encrypted if there is a passphrase; InputError."""

    def receive(self, key: Limbs, proof: Limbs, key_bits: int, context: bytes, *, test_sizes: bool = False) -> Public:
        """Return an announced key after its validation; InputError."""

    def validated(self, parameter: int) -> Public:
        """Return the key of a public parameter that was validated elsewhere, with secrets of this process's own."""
