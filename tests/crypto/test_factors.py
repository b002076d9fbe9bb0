"""Products by a factor whose quotient is known, in the core: against Python integers at the least favourable representatives."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from assurance.figures import Figure
from support.moduli import LARGE_BITS, SIZES, moduli

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm

pytestmark = pytest.mark.skipif(be.available() == ["gmpy2"], reason="this build has no native core")

LOW, HIGH = 4, 10  # components at rest are below so many n (csrc/README.md)


def kernels(n: int) -> Iterator[tuple[be.NativeBackend, Any]]:
    """Every native backend and its arithmetic modulo n²."""
    for name in be.available():
        backend = be.select(name)
        if isinstance(backend, be.NativeBackend):
            yield backend, backend.public(n)


def digits_of(backend: be.NativeBackend, values: list[int], digits: int) -> Any:
    return np.stack([backend.digit_row(value, digits) for value in values])


def value_of(backend: be.NativeBackend, row: Any) -> int:
    return sum(int(digit) << backend.radix * i for i, digit in enumerate(row))


def pairs(n: int, count: int, rng: random.Random) -> list[tuple[int, int]]:
    """Pairs at rest, those at the bounds first; the low component a unit modulo n."""
    bounds = [(LOW * n - 1, HIGH * n - 1), (LOW * n - 1, 0), (1, HIGH * n - 1), (n - 1, n - 1), (n + 1, n), (3 * n + 1, 9 * n)]
    made = [(rng.randrange(n) | 1, rng.randrange(HIGH * n)) for _ in range(count)]
    return (bounds + made)[:count]


@pytest.mark.parametrize("n", moduli((128, 130, 192, 256, 306, 512, *LARGE_BITS)))
def test_factors_are_the_residue_its_quotient_and_its_logarithm(n: int, figure: Figure) -> None:
    rng = random.Random(n)
    for backend, context in kernels(n):
        digits = context.modulus.digits
        r = 1 << backend.radix * digits
        for count in SIZES[1:] if n.bit_length() < 1000 else (9,):
            given = [(a0, a1) for a0, a1 in pairs(n, 2 * count + 8, rng) if math.gcd(a0, n) == 1][:count]
            rows = np.stack([digits_of(backend, list(pair), digits) for pair in given])
            factors = context._factors(rows)
            assert factors.shape == (len(given), 3, digits)
            for (a0, a1), (b, quotient, logarithm) in zip(given, factors, strict=True):
                number = (a0 + a1 * n) * pow(r, -1, n * n) % (n * n)
                low, high = number % n, number // n
                assert value_of(backend, b) == low
                assert value_of(backend, quotient) == low * r // n
                assert value_of(backend, logarithm) == high * pow(low, -1, n) * r % n
            figure("A2", "cases", len(given))


@pytest.mark.parametrize("n", moduli((128, 192, 256, 306, 514, *LARGE_BITS)))
def test_a_product_stays_in_its_range(n: int) -> None:
    """r0 < 3n and r1 < 3n + a0 for every operand below 16n and every b, per lane and broadcast."""
    rng = random.Random(n)
    largest = 16 * n - 1
    for backend, context in kernels(n):
        digits = context.modulus.digits
        r = 1 << backend.radix * digits
        for b in (0, 1, 2, n // 2, n - 2, n - 1, rng.randrange(n), rng.randrange(n)):
            bounds = [(largest, largest), (largest, 0), (0, largest), (n, n)]
            given = (bounds + [(rng.randrange(16 * n), rng.randrange(16 * n)) for _ in range(4)])[: backend.lanes]
            rows = np.stack([digits_of(backend, list(pair), digits) for pair in given])
            factors = np.stack([digits_of(backend, [b, b * r // n], digits)] * len(given))
            for operation in ("mul_factor", "mul_factor_broadcast"):
                got = context.modulus.repeat(operation, rows, factors, 1)
                for row, (a0, a1) in zip(got, given, strict=True):
                    low, high = (value_of(backend, part) for part in row)
                    assert low < 3 * n, (backend.name, operation)
                    assert high < 3 * n + max(a0, 1), (backend.name, operation)
                    assert (low + high * n - (a0 + a1 * n) * b) % (n * n) == 0


@pytest.mark.parametrize("n", moduli((128, 130, 256, 306, 514, 1024, 2048, 3072, 4096)))
def test_many_factors_into_one_bucket(n: int) -> None:
    """More than can be added without a carry, by factors and logarithms at their bounds, from a first row at its bounds."""
    rng = random.Random(n)
    count = 4200 if n.bit_length() < 1000 else 130
    extreme = [1, n - 1, n - 2, (1 << n.bit_length() - 1) - 1, 0x5555 % n]
    for backend, context in kernels(n):
        digits = context.modulus.digits
        r = 1 << backend.radix * digits
        bs = [extreme[i % 5] if i < 50 else rng.randrange(1, n) for i in range(count)]
        logs = [n - 1 if i % 3 else rng.randrange(n) for i in range(count)]
        first = pairs(n, 2, rng)
        rows = np.zeros((count, 2, digits), dtype=np.uint64)
        rows[:2] = [digits_of(backend, list(pair), digits) for pair in first]
        factors = np.stack([digits_of(backend, [b, b * r // n, log], digits) for b, log in zip(bs, logs, strict=True)])
        patterns = np.array([0, 1] + [int(i % 7 == 0) for i in range(2, count)], dtype=np.uint16)
        expected = [(a0 + a1 * n) * pow(r, -1, n * n) for a0, a1 in first]
        for b, log, v in zip(bs[2:], logs[2:], patterns[2:].tolist(), strict=True):
            expected[v] = expected[v] * b * (1 + log * pow(r, -1, n) * n) % (n * n)
        for joint in ([2], [1, 2], [2, 1], [1, 2, 1]):  # the logarithms by the lower and by the upper half of the features
            for where in (None, np.arange(count, dtype=np.uint32)):
                sums = context.modulus.class_sums(rows, factors, [(joint, patterns, where, -1)], 1, 1)
                assert len(sums) == sum(joint)
                at = sum(joint[: joint.index(2)])
                assert lm.to_ints(context.store(sums[at : at + 2])) == [number % (n * n) for number in expected], (backend.name, joint)


@pytest.mark.parametrize("n", moduli((192, 194, 256, 306, 512, *LARGE_BITS)))
def test_small_plaintexts_on_pairs_at_their_bounds(n: int, figure: Figure) -> None:
    rng = random.Random(n)
    small = [s * sign for s in (0, 1, (1 << 52) - 1, 1 << 52, (1 << 62) + 1, (1 << 63) - 1) for sign in (1, -1)]
    for backend, context in kernels(n):
        digits = context.modulus.digits
        r = 1 << backend.radix * digits
        given = pairs(n, 9, rng)
        for s in small:
            rows = np.stack([digits_of(backend, list(pair), digits) for pair in given])
            got = context.add_small(rows, np.full(len(given), s, dtype=np.int64))
            for row, (a0, a1) in zip(got, given, strict=True):
                low, high = (value_of(backend, part) for part in row)
                assert low == a0
                assert high < LOW * n
                assert (low + high * n - (a0 + a1 * n) * (1 + s * n)) % (n * n) == 0, (backend.name, s)
            assert lm.to_ints(context.store(got)) == [(a0 + a1 * n) * (1 + s * n) * pow(r, -1, n * n) % (n * n) for a0, a1 in given]
            figure("A2", "cases", len(given))
