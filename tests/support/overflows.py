"""Slots that overflow past the planner, and how opening them ends."""

from __future__ import annotations

import random
import secrets

from vflfast.crypto.slots import SlotPlan
from vflfast.errors import CheckError
from vflfast.params import CHECK_WEIGHT_BITS


def prove(n_values: int, bound: int, n_bits: int) -> SlotPlan:
    return SlotPlan.prove(n_values, bound, bound * n_values << CHECK_WEIGHT_BITS, n_bits)


def opened(plan: SlotPlan, values: list[int], n: int) -> str:
    """What the owner sees of values that no bound was checked for: caught by the width, by the check column, or passed."""
    weights = [secrets.randbits(CHECK_WEIGHT_BITS) | 1 for _ in values]
    packed = plan.offsets()
    for j, value in enumerate(values):
        packed[j // plan.slots] += value << plan.slot_bits * (j % plan.slots)
    check = sum(w * v for w, v in zip(weights, values, strict=True))
    packed[plan.check_at // plan.slots] += check << plan.slot_bits * (plan.check_at % plan.slots)
    try:
        got, claimed = plan.unpack([p % n for p in packed])
    except CheckError:
        return "width"
    return "passed" if sum(w * v for w, v in zip(weights, got, strict=True)) == claimed else "check"


def overflow_case(rng: random.Random) -> str:
    """How values that were forced past their slots are caught; the same plan passes values within their bound."""
    n = (1 << 512) - 569
    n_values, bound = rng.randint(1, 25), 1 << rng.randint(1, 60)
    plan = prove(n_values, bound, 512)
    half = 1 << plan.slot_bits - 1
    values = [rng.randint(-bound, bound) for _ in range(n_values)]
    assert opened(plan, values, n) == "passed"  # the control
    for _ in range(rng.choice((1, 1, 1, 2, n_values))):
        sizes = (half, half + 1, 2 * half, 2 * half + rng.randint(0, half), half << rng.randint(1, 70), half * rng.randint(2, 50))
        size = rng.choice(sizes)
        values[rng.randrange(n_values)] = size if rng.random() < 0.5 else -size - 1
    return opened(plan, values, n)
