"""D12: encodings of ristretto255: what the core accepts of random strings is what Python integers accept, and it makes the same of it."""

from __future__ import annotations

import numpy as np
import pytest
from assurance.figures import Figure

from vflfast.crypto import backend as be
from vflfast.crypto import fallback_curve as oracle
from vflfast.crypto import limbs as lm
from vflfast.crypto.curve import CODE_LIMBS, NativeCurve

KERNELS = [name for name in be.available() if name != "gmpy2"]
AT_ONCE = 5_000


def strings(count: int, seed: int) -> lm.Limbs:
    """Random ones, most of them even and below 2^255, where about every fourth is an element."""
    made = np.random.default_rng(seed).integers(0, 2**64, (count, CODE_LIMBS), dtype=np.uint64)
    made[count // 10 :, 0] &= ~np.uint64(1)
    made[count // 10 :, 3] &= np.uint64(2**63 - 1)
    return made


@pytest.mark.parametrize("count", [pytest.param(20_000, id="quick"), pytest.param(10**6, id="long", marks=pytest.mark.slow)])
@pytest.mark.parametrize("kernel", KERNELS)
def test_random_strings_are_judged_as_python_integers_judge_them(kernel: str, count: int, figure: Figure) -> None:
    curve = be.select(kernel).curve(1)
    assert isinstance(curve, NativeCurve)
    wrong = accepted = 0
    for seed in range(count // AT_ONCE):
        codes = strings(AT_ONCE, seed)
        expected = np.array([oracle.decode(code) is not None for code in lm.to_ints(codes)])
        found = curve.decodable(codes)
        wrong += int((found != expected).sum())
        accepted += int(found.sum())
        assert (curve.store(curve.load(codes[found])) == codes[found]).all()  # canonical: one encoding an element
    assert accepted > count // 8
    figure("D12", "strings", count)
    figure("D12", "strings judged otherwise", wrong)
    assert wrong == 0
