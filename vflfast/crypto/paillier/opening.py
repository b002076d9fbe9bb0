"""Opening encrypted numbers with the key holder's help, without the key holder learning them (crypto-core §5, [0104]–[0107]).

The owner packs the numbers, adds a mask uniform modulo n to every packed plaintext, re-randomises with full entropy and sends; the key
holder decrypts and returns; the owner takes the mask off and checks a secretly weighted sum that travelled in a slot of its own.
"""

from __future__ import annotations

import hashlib
import secrets
from typing import Protocol, cast

import numpy as np

from ...errors import CheckError, InputError
from ...params import CHECK_WEIGHT_BITS
from .. import limbs as lm
from ..arrays import CipherArray, WireArray
from ..coded import CodedMatrix
from ..context import PublicContext
from ..limbs import Limbs
from ..slots import SlotPlan

WEIGHT_DIGIT_BITS = 4  # the weights ρ are split into base-16 digits: a coded matrix of 16 classes


class Modulus(Protocol):
    """What an opening needs of its public key."""

    n: int
    context: PublicContext

    @property
    def full_alpha_bits(self) -> int:
        """Bits of randomness towards the key holder."""

    def rerandomize(self, vector: CipherArray, *, alpha_bits: int | None = None, plus: Limbs | None = None) -> WireArray:
        """Return the numbers plus residues under fresh randomness."""


def plan_opening(n_values: int, bound: int, n_bits: int) -> SlotPlan:
    """Return the slot plan for `n_values` numbers of magnitude ≤ `bound`; both sides can compute it."""
    return SlotPlan.prove(n_values, bound, bound * n_values << CHECK_WEIGHT_BITS, n_bits)


def holder_plan(n_values: int, bound: int, n_bits: int) -> SlotPlan:
    """Return the slot plan for `n_values` numbers that the key holder reads; their check value is their sum."""
    return SlotPlan.prove(n_values, bound, bound * n_values, n_bits)


def check_weights(secret: bytes, count: int) -> list[int]:
    """Return the odd weights ρ of a check value that two owners agree on by a secret, which the key holder does not know."""
    size = CHECK_WEIGHT_BITS // 8
    stream = hashlib.shake_256(b"vflfast check weights" + secret).digest(size * count)
    return [int.from_bytes(stream[k * size : (k + 1) * size], "little") | 1 for k in range(count)]


def pack_checked(values: CipherArray, plan: SlotPlan, weights: list[int]) -> np.ndarray:
    """Return the values and their check value [[Σ_j ρ_j·v_j]] packed by `plan`, without its offsets."""
    return pack_with(values, plan, _check(values, weights))


def pack_with(values: CipherArray, plan: SlotPlan, check: np.ndarray) -> np.ndarray:
    """Return the values and a check value, one ciphertext, packed by `plan`, without its offsets."""
    context = _context_of(values)
    gap = context.one(plan.check_at - plan.n_values)
    tail = context.one(plan.check_slots - 1)
    rows = np.concatenate([values.vector, gap, check, tail])
    return context.pack(rows, plan.slots, plan.slot_bits)


def _check(values: CipherArray, weights: list[int]) -> np.ndarray:
    """[[Σ_j ρ_j·v_j]]: one coded column per base-16 digit of ρ, then Horner's rule over the digits."""
    digits = CHECK_WEIGHT_BITS // WEIGHT_DIGIT_BITS
    base = (1 << WEIGHT_DIGIT_BITS) - 1
    codes = np.array([[w >> (WEIGHT_DIGIT_BITS * d) & base for w in weights] for d in range(digits)], dtype=np.uint8)
    columns, _ = CodedMatrix(codes, np.full(digits, base + 1)).product(values)
    return _context_of(values).pack(columns.vector, digits, WEIGHT_DIGIT_BITS)


def _context_of(values: CipherArray) -> PublicContext:
    return cast(PublicContext, values.public.context)  # vectors of this scheme


class MaskedOpening:
    """One opening of `values`: `request` goes to the key holder, `open` takes the answer, once; InputError for no vector.

    Attributes
    ----------
    request
        WireArray of packed, masked, freshly randomised plaintexts.
    """

    def __init__(self, public: Modulus, values: CipherArray) -> None:
        if not isinstance(values, CipherArray):
            raise InputError("values", "must be a CipherArray")
        plan = plan_opening(values.size, values.bound, public.n.bit_length())
        weights = [secrets.randbits(CHECK_WEIGHT_BITS) | 1 for _ in range(values.size)]
        self._mask(public, values.like(pack_checked(values, plan, weights), public.n // 2 - 1), plan, weights)

    @classmethod
    def of_packed(cls, public: Modulus, packed: CipherArray, plan: SlotPlan, weights: list[int]) -> MaskedOpening:
        """Return an opening of what another party packed by `pack_checked` with the same plan and weights; InputError for a wrong count."""
        if not isinstance(packed, CipherArray) or len(packed) != plan.n_plaintexts:
            raise InputError("packed", f"must be a CipherArray of {plan.n_plaintexts} packed plaintexts")
        opening = cls.__new__(cls)
        opening._mask(public, packed, plan, weights)
        return opening

    def _mask(self, public: Modulus, packed: CipherArray, plan: SlotPlan, weights: list[int]) -> None:
        self._n, self.plan, self._weights = public.n, plan, weights
        self._masks: list[int] | None = lm.random_below(public.n, len(packed))
        plus = [(mask + offset) % public.n for mask, offset in zip(self._masks, plan.offsets(), strict=True)]
        self.request: WireArray = public.rerandomize(
            packed, alpha_bits=public.full_alpha_bits, plus=lm.from_ints(plus, public.context.limbs)
        )

    def open(self, answer: Limbs, noise: int = 0) -> list[int]:
        """Return the numbers from the key holder's decryptions, shape (count, limbs).

        Parameters
        ----------
        noise
            What the key holder may have added to each number, at most, in magnitude.

        Raises
        ------
        CheckError
            Overflow, corruption or tampering.
        InputError
            A second opening: a mask serves once.
        """
        if self._masks is None:
            raise InputError("answer", "this opening is done; a mask serves once")
        if not isinstance(answer, np.ndarray) or answer.dtype != np.uint64 or answer.ndim != 2:
            raise InputError("answer", "must be a uint64 array of shape (count, limbs)")
        masks, self._masks = self._masks, None
        opened = lm.to_ints(answer)
        if len(opened) != len(masks) or any(m >= self._n for m in opened):
            raise CheckError(f"opening: expected {len(masks)} numbers below n")
        values, check = self.plan.unpack([(m - mask) % self._n for m, mask in zip(opened, masks, strict=True)])
        off = sum(w * v for w, v in zip(self._weights, values, strict=True)) - check
        if abs(off) > noise * sum(self._weights):
            raise CheckError("opening: the check column does not agree; overflow, corruption or tampering")
        return values
