"""Random samples of every operation, compared between the backends and plain Python integers."""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from typing import Any

import numpy as np
from support.moduli import each_backend, plaintexts, units

from vflfast.crypto import backend as be
from vflfast.crypto import limbs as lm
from vflfast.crypto.context import SMALL_SUM_BITS

SMALL_BOUNDS = [0, 1, -1, (1 << 52) - 1, 1 << 52, -(1 << 52), (1 << 63) - 1, -(1 << 63) + 1]


class Sample:
    """Inputs of one size and what plain integers make of them."""

    def __init__(self, n: int, count: int, rng: random.Random) -> None:
        square, self.n, self.size = n * n, n, lm.limb_count(n.bit_length())
        self.a, self.b = units(n, count, rng), units(n, count, rng)
        self.plain = plaintexts(n, count, rng)
        self.small = (SMALL_BOUNDS + [rng.randrange(-(1 << 63) + 1, 1 << 63) >> rng.randrange(63) for _ in range(count)])[:count]
        rng.shuffle(self.small)
        bits = rng.choice((1, 5, 24, 25, 64, 81, n.bit_length() // 2))
        self.exponents = ([0, 1, (1 << bits) - 1] + [rng.getrandbits(bits) for _ in range(count)])[:count]
        self.common = rng.getrandbits(bits)
        self.limbs = lm.limb_count(bits)
        self.expected = {
            "load": self.a,
            "multiply": [x * y % square for x, y in zip(self.a, self.b, strict=True)],
            "multiply by one row": [x * self.b[0] % square for x in self.a],
            "add_plain": [x * (1 + m * n) % square for x, m in zip(self.a, self.plain, strict=True)],
            "power": [pow(x, e, square) for x, e in zip(self.a, self.exponents, strict=True)],
            "add_small": [x * (1 + s * n) % square for x, s in zip(self.a, self.small, strict=True)],
            "power by one": [pow(x, self.common, square) for x in self.a],
            "invert": [pow(x, -1, square) for x in self.a],
            "one": [1] * count,
        }
        if count:
            self.expected["product"] = [math.prod(self.a) % square]

    def computed(self, context: be.PublicContext) -> Iterator[tuple[str, Any]]:
        a, b = (context.load(lm.from_ints(values, 2 * self.size)) for values in (self.a, self.b))
        assert len(a) == len(self.a)
        yield "load", a
        yield "multiply", context.multiply(a, b)
        if self.a:
            yield "multiply by one row", context.multiply(a, b[:1])
            yield "product", context.product(a)
        yield "add_plain", context.add_plain(a, lm.from_ints(self.plain, self.size))
        if self.n.bit_length() >= SMALL_SUM_BITS:
            yield "add_small", context.add_small(a, np.array(self.small, dtype=np.int64))
        yield "power", context.power(a, lm.from_ints(self.exponents, self.limbs))
        yield "power by one", context.power(a, lm.from_ints([self.common], self.limbs))
        yield "invert", context.invert(a)
        yield "one", context.one(len(self.a))


def compare(n: int, samples: list[Sample], threads: tuple[int, ...]) -> int:
    cases = 0
    for where in each_backend(threads):
        context = be.current().public(n)
        assert (context.n, context.limbs) == (n, lm.limb_count(n.bit_length()))
        for sample in samples:
            for name, vector in sample.computed(context):
                stored = context.store(vector)
                assert stored.dtype == np.uint64
                assert stored.shape == (len(sample.expected[name]), 2 * context.limbs), (where, name)
                assert lm.to_ints(stored) == sample.expected[name], (where, name, len(sample.a))
                cases += len(stored)
    return cases
