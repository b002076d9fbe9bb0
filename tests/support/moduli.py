"""Moduli, residues and exponents at the places where arithmetic turns over, and every backend in turn."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import pytest

from vflfast.crypto import backend as be

SIZES = (0, 1, 7, 8, 9, 15, 16, 17, 25, 33)
THREADS = (1, 2, 8)

# n all ones, n just above a power of two, n of random digits: at lengths around limbs of 64 bits and digits of 52
SMALL_BITS = (128, 130, 190, 192, 194, 254, 256, 258, 304, 306, 512, 514)
LARGE_BITS = (1022, 1024, 1026, 2048, 3072, 4096)


def moduli(lengths: tuple[int, ...]) -> list[Any]:
    rng = random.Random("moduli")
    shapes = {"ones": lambda b: (1 << b) - 1, "low": lambda b: (1 << b - 1) + 1, "mixed": lambda b: rng.getrandbits(b) | 1 | 1 << b - 1}
    return [pytest.param(make(bits), id=f"{bits}-{name}") for bits in lengths for name, make in shapes.items()]


def boundary_values(n: int) -> list[int]:
    """Residues where carries, borrows and lazy reductions turn over."""
    ones = (1 << (n * n).bit_length() - 1) - 1
    near = [n * k + d for k in (1, 2, n // 2, n - 1) for d in (-2, -1, 1, 2)]
    return [1, 2, n * n - 1, n * n - 2, ones, ones >> 64, (1 << 64) - 1, 1 << 64, *near]


def units(n: int, count: int, rng: random.Random) -> list[int]:
    """Boundary values in random order, then random ones, all without a factor of n."""
    pool = [v for v in boundary_values(n) if math.gcd(v, n) == 1]
    rng.shuffle(pool)
    while len(pool) < count:
        value = rng.randrange(n * n)
        if math.gcd(value, n) == 1:
            pool.append(value)
    return pool[:count]


def plaintexts(n: int, count: int, rng: random.Random) -> list[int]:
    pool = rng.sample([0, 1, n - 1, n - 2, n // 2, n // 2 + 1, (1 << 64) - 1, 1 << 64], 8)
    return (pool + [rng.randrange(n) for _ in range(count)])[:count]


def each_backend(threads: tuple[int, ...] = THREADS) -> Iterator[str]:
    """Makes every backend current with every number of threads."""
    for name in be.available():
        for count in threads:
            with be.use(name), be.use_threads(count):
                yield f"{name}, {count} threads"
