"""Packing: several numbers in the slots of one plaintext, which are proved wide enough before anything is packed.

Source: crypto-core §5.
"""

from __future__ import annotations

from dataclasses import dataclass

from ..errors import BoundError, CheckError, InputError


@dataclass(frozen=True)
class SlotPlan:
    """Proof that `n_values` integers and one check value fit the slots of packed plaintexts without overflow.

    Made by `prove` only. Value j sits in slot j, offset by 2^(slot_bits − 1); the check value takes `check_slots` slots of its
    own at slot `check_at`, in one plaintext.

    Attributes
    ----------
    n_values, slot_bits, slots
        Number of values, bits of a slot, slots in a plaintext.
    check_at, check_slots
        First slot of the check value and how many it takes.
    """

    n_values: int
    slot_bits: int
    slots: int
    check_at: int
    check_slots: int

    @classmethod
    def prove(cls, n_values: int, bound: int, check_bound: int, n_bits: int) -> SlotPlan:
        """Return the narrowest plan for |value| ≤ bound and |check| ≤ check_bound in plaintexts modulo an n of `n_bits` bits.

        2^(slot_bits−1) > bound, 2^(slot_bits·check_slots−1) > check_bound and slots·slot_bits ≤ n_bits − 2.

        Raises
        ------
        BoundError
            No such plan exists.
        """
        for name, value in (("n_values", n_values), ("bound", bound), ("check_bound", check_bound), ("n_bits", n_bits)):
            if isinstance(value, bool) or not isinstance(value, int) or value < 0:
                raise InputError(name, "must be a non-negative whole number")
        if n_values < 1:
            raise InputError("n_values", "needs at least one value")
        slot_bits = int(bound).bit_length() + 1
        slots = (n_bits - 2) // slot_bits
        check_slots = -(-(int(check_bound).bit_length() + 1) // slot_bits)
        if slots < 1 or check_slots > slots:
            raise BoundError("bound", f"slots of {slot_bits} bits and a check of {check_slots} slots do not fit {n_bits} bits")
        free = -n_values % slots
        check_at = n_values if check_slots <= free else n_values + free
        return cls(n_values, slot_bits, slots, check_at, check_slots)

    @property
    def n_slots(self) -> int:
        """Slots in use, the gap before the check value included."""
        return self.check_at + self.check_slots

    @property
    def n_plaintexts(self) -> int:
        """Packed plaintexts."""
        return -(-self.n_slots // self.slots)

    def offsets(self) -> list[int]:
        """Return, for each packed plaintext, the sum of its slots' offsets."""
        totals = [0] * self.n_plaintexts
        for j in range(self.n_values):
            totals[j // self.slots] += 1 << (self.slot_bits * (j % self.slots) + self.slot_bits - 1)
        check_shift = self.slot_bits * (self.check_at % self.slots)
        totals[self.check_at // self.slots] += 1 << (check_shift + self.slot_bits * self.check_slots - 1)
        return totals

    def shifted(self, values: list[int]) -> list[int]:
        """Return, for each packed plaintext, Σ v_j·2^(shift of slot j): what adds v_j to every value, nothing to the check value."""
        totals = [0] * self.n_plaintexts
        for j, value in enumerate(values):
            totals[j // self.slots] += value << (self.slot_bits * (j % self.slots))
        return totals

    def pack(self, values: list[int], check: int) -> list[int]:
        """Return packed plaintexts, offsets included, of values their owner knows in the clear.

        Raises
        ------
        BoundError
            A value outside its slot.
        """
        half, check_half = 1 << (self.slot_bits - 1), 1 << (self.slot_bits * self.check_slots - 1)
        if len(values) != self.n_values:
            raise InputError("values", f"{len(values)} values for a plan of {self.n_values}")
        if any(not -half < v < half for v in values) or not -check_half < check < check_half:
            raise BoundError("values", "one is outside its slot")
        packed = [offset + own for offset, own in zip(self.offsets(), self.shifted(values), strict=True)]
        packed[self.check_at // self.slots] += check << (self.slot_bits * (self.check_at % self.slots))
        return packed

    def unpack(self, packed: list[int]) -> tuple[list[int], int]:
        """Return (values, check) from packed plaintexts that carry their offsets.

        Raises
        ------
        CheckError
            A plaintext has bits above its slots, or in slots that nothing is put into: overflow or tampering.
        """
        if len(packed) != self.n_plaintexts:
            raise CheckError(f"unpack: {len(packed)} plaintexts where the plan has {self.n_plaintexts}")
        if any(p < 0 or p >> (self.slots * self.slot_bits) for p in packed):
            raise CheckError("unpack: a plaintext has bits above its slots")
        half, mask = 1 << (self.slot_bits - 1), (1 << self.slot_bits) - 1
        taken = [(packed[j // self.slots] >> (self.slot_bits * (j % self.slots))) & mask for j in range(self.check_at)]
        bits = self.slot_bits * self.check_slots
        check = packed[self.check_at // self.slots] >> (self.slot_bits * (self.check_at % self.slots))
        if any(taken[self.n_values :]) or check >> bits:
            raise CheckError("unpack: slots that nothing is put into are not empty")
        return [slot - half for slot in taken[: self.n_values]], check - (1 << (bits - 1))
