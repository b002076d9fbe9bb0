"""What the schemes send: bytes of a ciphertext, and how many numbers are opened with how many of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol

from ..crypto.curve import CODE_LIMBS
from ..crypto.elgamal.opening import HolderDigits
from ..crypto.elgamal.proofs import PROOF_ROWS
from ..crypto.paillier.opening import holder_plan, plan_opening
from ..protocol.settings import Settings

CODE_BYTES = 8 * CODE_LIMBS


class Form(Protocol):
    """Sizes of one scheme."""

    @property
    def width(self) -> int:
        """Bytes of a ciphertext."""

    def opening(self, n_values: int, bound: int) -> tuple[int, int, int, int]:
        """Return elements of the request for `n_values` sums and bytes of one, elements of the answer and bytes of one."""

    def to_holder(self, n_values: int, bound: int) -> int:
        """Return the ciphertexts of numbers that the arbiter reads."""

    def sums_to_holder(self, n_values: int, bound: int) -> int:
        """Return those of sums that the arbiter reads and their sender does not know."""


@dataclass(frozen=True)
class PaillierForm:
    """Packed plaintexts under masks."""

    key_bits: int

    @property
    def width(self) -> int:
        """Bytes of a number modulo n²."""
        return self.key_bits // 4

    def opening(self, n_values: int, bound: int) -> tuple[int, int, int, int]:
        """Return the request's ciphertexts, and as many numbers modulo n."""
        count = plan_opening(n_values, bound, self.key_bits).n_plaintexts
        return count, self.width, count, self.width // 2

    def to_holder(self, n_values: int, bound: int) -> int:
        """Return the packed ciphertexts."""
        return holder_plan(n_values, bound, self.key_bits).n_plaintexts

    def sums_to_holder(self, n_values: int, bound: int) -> int:
        """Return the packed ciphertexts."""
        return self.to_holder(n_values, bound)


@dataclass(frozen=True)
class ElGamalForm:
    """Points, one a number."""

    width: int = 2 * CODE_BYTES

    def opening(self, n_values: int, bound: int) -> tuple[int, int, int, int]:
        """Return a point for each number, both ways, and the proof."""
        return n_values, CODE_BYTES, n_values + PROOF_ROWS, CODE_BYTES

    def to_holder(self, n_values: int, bound: int) -> int:
        """Return a ciphertext for every digit."""
        return n_values * HolderDigits.of(bound).places

    def sums_to_holder(self, n_values: int, bound: int) -> int:
        """Return one each."""
        return n_values


def form_of(settings: Settings) -> Form:
    """Return the sizes of a run's scheme."""
    return ElGamalForm() if settings.scheme == "elgamal" else PaillierForm(settings.bits_of_key)
